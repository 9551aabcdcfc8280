/**
 * Kills `duolect promote` at random moments, and has the same command go on, until it is done: 20 times. After each kill
 * the tables that were there are there as they were; at the end every row is on Postgres.
 *
 * `npx tsx scripts/promote-kills.ts [kills]`; the server is that of TEST_PG_URL, else one of its own.
 */
import { spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import pg from 'pg'
import { findOrStartPostgres } from '../src/tools/servers/postgres.ts'

const kills = Number(process.argv[2] ?? 20)
const TABLES = 12
const ROWS = 20_000

function makeFile(path: string): void {
  const database = new Database(path)
  database.pragma('foreign_keys = OFF')
  for (let i = 0; i < TABLES; i++) {
    database.exec(
      `CREATE TABLE t${i} (id INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER REFERENCES t${(i + 1) % TABLES} (id), v TEXT UNIQUE, d REAL, at TIMESTAMP);
       CREATE INDEX by_d_${i} ON t${i} (d);
       INSERT INTO t${i} WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ${ROWS})
         SELECT n, n, 'row ' || n, n / 7.0, strftime('%Y-%m-%dT%H:%M:%fZ', n * 1000, 'unixepoch') FROM s`
    )
  }
  database.close()
}

/** Runs promote, and kills it after so many ms; undefined lets it end. */
function promote(file: string, url: string, killAfter?: number): Promise<{ status: number | null; output: string }> {
  const cli = join(import.meta.dirname, '..', 'src', 'cli.ts')
  const child = spawn(process.execPath, ['--import', 'tsx', cli, 'promote', file, url])
  let output = ''
  child.stdout.on('data', data => (output += data))
  child.stderr.on('data', data => (output += data))
  const timer = killAfter === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfter)
  return new Promise(resolve =>
    child.once('close', status => {
      clearTimeout(timer)
      resolve({ status, output })
    })
  )
}

const home = mkdtempSync(join(tmpdir(), 'duolect-promote-kills-'))
const server = await findOrStartPostgres(process.env.TEST_PG_URL)
const client = new pg.Client({ connectionString: server.url })
await client.connect()

/** The tables of a schema, and their object ids, which a table that is made again does not keep. */
async function tables(schema: string): Promise<Map<string, string>> {
  const { rows } = await client.query({
    text: `SELECT relname, oid::text FROM pg_class WHERE relkind = 'r' AND relnamespace = '${schema}'::regnamespace`,
    rowMode: 'array'
  })
  return new Map(rows as [string, string][])
}

function urlOf(schema: string): string {
  return `${server.url}${server.url.includes('?') ? '&' : '?'}options=-c%20search_path%3D${schema}`
}

let failures = 0
try {
  const original = join(home, 'original.sqlite')
  makeFile(original)
  const file = join(home, 'killed.sqlite')
  let length = 0
  for (let kill = 0; kill <= kills; kill++) {
    copyFileSync(original, file)
    const schema = `promote_kills_${kill}`
    await client.query(`CREATE SCHEMA ${schema}`)
    const start = performance.now()
    const after = kill === 0 ? undefined : Math.random() * length
    const first = await promote(file, urlOf(schema), after)
    // The first one is not killed: it tells how long one takes.
    if (kill === 0) length = performance.now() - start
    const before = await tables(schema)
    const { status, output } = kill === 0 ? first : await promote(file, urlOf(schema))
    const now = await tables(schema)
    const again = [...before].filter(([name, oid]) => now.get(name) !== oid)
    const counts = [...now.keys()].map(name => `(SELECT count(*) FROM ${schema}.${name})`)
    const { rows } = await client.query(`SELECT ${counts.join(' + ') || 0} AS count`)
    const isFine = status === 0 && now.size === TABLES && again.length === 0 && Number(rows[0].count) === TABLES * ROWS
    if (!isFine) failures++
    const when = after === undefined ? 'not killed' : `killed after ${Math.round(after)} ms`
    console.log(`${kill}: ${when}, ${before.size} of ${TABLES} tables done; ${isFine ? 'complete' : `FAILED:\n${output}`}`)
    await client.query(`DROP SCHEMA ${schema} CASCADE`)
  }
  console.log(failures === 0 ? `${kills} kills, each completed by the same command.` : `${failures} of ${kills} failed.`)
} finally {
  await client.end()
  await server.stop()
  rmSync(home, { recursive: true, force: true })
  process.exitCode = failures === 0 ? 0 : 1
}
