/**
 * Checks the samples of test/check with seeds, and prints each verdict that is not the writer's: `npx tsx
 * scripts/check-seeds.ts a b c`. Rows and parameters differ by the seed, so this shows how often a difference is missed.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Session } from '../src/tools/check/session.ts'
import { startPostgres } from '../src/tools/servers/postgres.ts'

const samples = join(import.meta.dirname, '..', 'test', 'check')
const modules = JSON.parse(readFileSync(join(samples, 'verdicts.json'), 'utf8')) as Record<string, Record<string, string[]>>

const seeds = process.argv.length > 2 ? process.argv.slice(2) : Array.from({ length: 10 }, (_, i) => `seed ${i + 1}`)
const server = await startPostgres()
let checked = 0
let wrong = 0
try {
  for (const seed of seeds) {
    for (const [name, { byLanguage: _, ...lists }] of Object.entries(modules)) {
      const session = new Session({ sql: join(samples, name), needs: [], postgres: server.url, seed, runs: 8 })
      const { results } = await session.check().finally(() => session.close())
      for (const { subject, verdict } of results) {
        const expected = Object.entries(lists).find(([, names]) => names.includes(subject.query.name))?.[0] ?? 'same'
        checked++
        if (verdict === expected) continue
        wrong++
        console.log(`${name}, ${subject.query.name}, seed "${seed}": ${verdict}, expected ${expected}`)
      }
    }
  }
} finally {
  await server.stop()
}
console.log(`${checked} verdicts of ${seeds.length} seeds, ${wrong} not as expected`)
process.exitCode = wrong > 0 ? 1 : 0
