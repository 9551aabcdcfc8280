/**
 * Lets 8 processes migrate a new database at once, 20 times on each: SQLite, Postgres, and Postgres through PgBouncer.
 * `npx tsx scripts/migrate-rounds.ts [rounds] [processes]` fails when any of them failed or ran something twice.
 */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'
import type { DatabaseConfig } from '../src/index.ts'
import { startPostgres } from '../src/tools/servers/postgres.ts'
import { start } from '../test/support/processes.ts'
import { startPgBouncer } from './pgbouncer.ts'

const [rounds = 20, processes = 8] = process.argv.slice(2).map(Number)
const EXPECTED = ['0000-script', '0001-script', '0002-script', '0003-step'].join()

const directory = mkdtempSync(join(tmpdir(), 'duolect-rounds-'))
const server = await startPostgres()
const pooler = await startPgBouncer(server.url)
const admin = new pg.Client({ connectionString: server.url })
await admin.connect()

const workers = Array.from({ length: processes }, () => {
  const child = start('migrator.ts', null)
  child.stderr?.pipe(process.stderr)
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  const next = async () => (await lines.next()).value as string
  return { child, next }
})

/** A schema is new when it is empty; a pooler takes no other one. */
async function emptySchema(): Promise<void> {
  await admin.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
}

const databases: Readonly<Record<string, (round: number) => Promise<DatabaseConfig>>> = {
  SQLite: async round => ({ dataDir: join(directory, String(round)), postgres: { enabled: false } }),
  Postgres: async () => {
    await emptySchema()
    return { postgres: { enabled: true, connection: server.url } }
  },
  PgBouncer: async () => {
    await emptySchema()
    return { postgres: { enabled: true, connection: pooler.url, pooler: true } }
  }
}

try {
  await Promise.all(workers.map(({ next }) => next()))
  for (const [name, configure] of Object.entries(databases)) {
    let failures = 0
    for (let round = 0; round < rounds; round++) {
      const config = JSON.stringify(await configure(round))
      for (const { child } of workers) child.stdin?.write(`${config}\n`)
      const answers: (string[] | string)[] = await Promise.all(workers.map(async ({ next }) => JSON.parse(await next())))
      if (answers.flat().sort().join() === EXPECTED) continue
      failures++
      console.error(name, round, answers)
    }
    console.log(`${name}: ${rounds} rounds of ${processes} processes, ${failures} failures`)
    if (failures > 0) process.exitCode = 1
  }
} finally {
  for (const { child } of workers) {
    child.stdin?.end()
    await once(child, 'exit')
  }
  await admin.end()
  await pooler.stop()
  await server.stop()
  rmSync(directory, { recursive: true, force: true })
}
