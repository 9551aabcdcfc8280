/**
 * How long `duolect check` takes for 100 queries on one schema: with the server's start, and again in the same session
 * when one query, all queries, or nothing has changed. Run: npx tsx scripts/bench-check.ts
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readModule } from '../src/files/module.ts'
import { Session } from '../src/tools/check/session.ts'

const root = join(import.meta.dirname, '..', 'test', 'check', 'shop')
const MODULE = 'shop'

/** The queries that answer alike, as often as it takes to be 100. A name that is new is a query that is new. */
function moduleOf(suffix: (i: number) => string) {
  const { different, undetermined } = JSON.parse(readFileSync(join(root, '..', 'verdicts.json'), 'utf8'))[MODULE] as Record<
    string,
    string[]
  >
  const queries = readFileSync(join(root, 'queries.sql'), 'utf8')
    .split(/(?=^-- name: )/m)
    .filter(query => ![...(different ?? []), ...(undetermined ?? [])].some(name => query.startsWith(`-- name: ${name} `)))
  const text = Array.from({ length: 100 }, (_, i) => {
    const query = queries[i % queries.length] as string
    return query.replace(/name: (\w+)/, `name: $1${i}${suffix(i)}`)
  }).join('\n')
  const files = [
    { path: 'migrations/0001-tables.sql', text: readFileSync(join(root, 'migrations', '0001-tables.sql'), 'utf8') },
    { path: 'queries.sql', text }
  ]
  const module = readModule(files)
  return { module, modules: [{ name: MODULE, migrations: module.migrations }] }
}

const session = new Session({ sql: MODULE, needs: [], postgres: process.env.TEST_PG_URL, seed: 'duolect', runs: 8 })
const time = async (what: string, suffix: (i: number) => string) => {
  const start = performance.now()
  const { results } = await session.checkModule(moduleOf(suffix))
  const runs = results.reduce((sum, result) => sum + result.runs, 0)
  const same = results.filter(({ verdict }) => verdict === 'same').length
  console.log(`${what}: ${((performance.now() - start) / 1000).toFixed(1)} s (${results.length} queries, ${same} same, ${runs} runs)`)
}

try {
  await time("with the server's start", () => '')
  await time('again, nothing changed', () => '')
  await time('again, one query changed', i => (i === 7 ? 'Changed' : ''))
  await time('again, all changed', () => 'Changed')
} finally {
  await session.close()
}
