/**
 * Compares `duolect promote` with pgloader (a Debian package): a million rows of eight columns, from one SQLite file to
 * one Postgres server, alternately. promote looks at every value first and compares both sides afterwards; pgloader
 * does neither. Prints times, their ratio, and the largest memory of each.
 *
 * `npx tsx scripts/bench-promote.ts [rows] [rounds]`; the server is that of TEST_PG_URL, else one of its own.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import pg from 'pg'
import { findOrStartPostgres } from '../src/tools/servers/postgres.ts'
import { buildPackage } from './build.ts'

const rows = Number(process.argv[2] ?? 1_000_000)
const rounds = Number(process.argv[3] ?? 3)

function makeFile(path: string): void {
  const database = new Database(path)
  database.pragma('journal_mode = WAL')
  database.exec(
    'CREATE TABLE events (id INTEGER PRIMARY KEY, account INTEGER NOT NULL, name TEXT NOT NULL, amount DOUBLE PRECISION, ' +
      'ok BOOLEAN NOT NULL, written TIMESTAMP NOT NULL, note TEXT, meta JSON); BEGIN'
  )
  const insert = database.prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
  for (let i = 1; i <= rows; i++) {
    const amount = i % 11 === 0 ? null : ((i * 7919) % 1_000_003) / 997
    const note = i % 5 === 0 ? null : `a note with some words that belongs to number ${i}`
    const written = new Date(1.6e12 + i * 1000 + (i % 1000)).toISOString()
    const meta = JSON.stringify({ kind: `k${i % 9}`, size: i, tags: ['a', 'b'] })
    insert.run(i, (i * 7) % 100_003, `name of ${i}`, amount, i % 2, written, note, meta)
  }
  database.exec('COMMIT; CREATE INDEX events_account ON events (account)')
  database.close()
}

interface Run {
  readonly seconds: number
  readonly megabytes: number
}

/** Runs a program to its end. The largest memory is read from /proc, so this needs Linux. */
function run(command: string, args: readonly string[]): Promise<Run> {
  const start = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let peak = 0
  child.stdout.on('data', data => (output += data))
  child.stderr.on('data', data => (output += data))
  const look = setInterval(() => {
    try {
      peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0))
    } catch {
      // It has just ended.
    }
  }, 20)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', status => {
      clearInterval(look)
      if (status !== 0) reject(new Error(`${command} failed:\n${output}`))
      else resolve({ seconds: (performance.now() - start) / 1000, megabytes: peak / 1024 })
    })
  })
}

function show({ seconds, megabytes }: Run): string {
  return `${seconds.toFixed(1)} s, ${Math.round(megabytes)} MB`
}

if (spawnSync('pgloader', ['--version']).status !== 0) throw new Error('pgloader is not installed. Run: apt-get install pgloader')
const home = mkdtempSync(join(tmpdir(), 'duolect-bench-promote-'))
const server = await findOrStartPostgres(process.env.TEST_PG_URL)
const client = new pg.Client({ connectionString: server.url })
await client.connect()

/** Makes an empty database, and returns its URL. */
async function emptyDatabase(name: string): Promise<string> {
  await client.query(`DROP DATABASE IF EXISTS ${name}`)
  await client.query(`CREATE DATABASE ${name}`)
  const url = new URL(server.url)
  url.pathname = name
  return url.href
}

try {
  const file = join(home, 'events.sqlite')
  makeFile(file)
  // In the package's own folder, so that the drivers are found.
  const dist = join(import.meta.dirname, '..', 'dist')
  await buildPackage(dist)
  const ratios: number[] = []
  let peak = 0
  for (let round = 1; round <= rounds; round++) {
    const promote = await run(process.execPath, [
      join(dist, 'cli.js'),
      'promote',
      file,
      await emptyDatabase('bench_promote'),
      '--keep-open'
    ])
    const command = join(home, 'pgloader.load')
    writeFileSync(
      command,
      `LOAD DATABASE FROM sqlite://${file} INTO ${await emptyDatabase('bench_pgloader')} WITH include drop, create tables, create indexes, reset sequences;\n`
    )
    const pgloader = await run('pgloader', [command])
    ratios.push(promote.seconds / pgloader.seconds)
    peak = Math.max(peak, promote.megabytes)
    console.log(`round ${round}: promote ${show(promote)}; pgloader ${show(pgloader)}; ratio ${ratios.at(-1)?.toFixed(2)}`)
  }
  const median = ratios.sort((a, b) => a - b)[ratios.length >> 1] as number
  console.log(`${rows} rows: median ratio ${median.toFixed(2)}, target 0.70; memory at most ${Math.round(peak)} MB, target 200.`)
} finally {
  await client.query('DROP DATABASE IF EXISTS bench_promote')
  await client.query('DROP DATABASE IF EXISTS bench_pgloader')
  await client.end()
  await server.stop()
  rmSync(home, { recursive: true, force: true })
}
