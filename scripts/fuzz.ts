/** Runs random programs against a model: `npx tsx scripts/fuzz.ts 5000 1000` runs 5000 on each SQLite and 1000 on Postgres. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase } from '../src/index.ts'
import { findOrStartPostgres } from '../src/tools/servers/postgres.ts'
import { Fuzz } from '../test/support/fuzz.ts'

const [onSqlite = 5000, onPostgres = 1000] = process.argv.slice(2).map(Number)
const first = Date.now() % 1_000_000_000
const directory = mkdtempSync(join(tmpdir(), 'duolect-fuzz-'))
const server = onPostgres > 0 ? await findOrStartPostgres(process.env.TEST_PG_URL) : undefined

async function run(name: string, config: Parameters<typeof createDatabase>[0], programs: number): Promise<void> {
  const db = createDatabase(config)
  const fuzz = new Fuzz(db)
  await fuzz.prepare()
  for (let seed = first; seed < first + programs; seed++) await fuzz.run(seed)
  await db.close()
  console.log(`${name}: ${programs} programs from seed ${first} on`)
}

try {
  await run('SQLite in a file', { dataDir: directory, sqlite: { durability: 'normal' }, postgres: { enabled: false } }, onSqlite)
  await run('SQLite in memory', ':memory:', onSqlite)
  if (server !== undefined) await run('Postgres', server.url, onPostgres)
} finally {
  await server?.stop()
  rmSync(directory, { recursive: true })
}
