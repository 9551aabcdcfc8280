/**
 * How long the event loop is kept from running, on SQLite with full durability: under 64 writers, and while another
 * process holds the write lock for 3 seconds. Prints the longest delay of each.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createDatabase } from '../src/index.ts'

const directory = mkdtempSync(join(tmpdir(), 'duolect-delay-'))
const db = createDatabase({ dataDir: directory, postgres: { enabled: false } })
await db.exec('CREATE TABLE marks (n INTEGER PRIMARY KEY, text TEXT)')

/** The longest delay while the work runs, in ms. */
async function longestDelay(work: () => Promise<unknown>): Promise<number> {
  const histogram = monitorEventLoopDelay({ resolution: 1 })
  histogram.enable()
  await work()
  histogram.disable()
  return histogram.max / 1e6
}

async function writeFor(milliseconds: number, write: (n: number) => Promise<unknown>): Promise<number> {
  const end = performance.now() + milliseconds
  let n = 0
  const writer = async () => {
    while (performance.now() < end) await write(n++)
  }
  await Promise.all(Array.from({ length: 64 }, writer))
  return n
}

for (const [name, write] of [
  ['64 writers, run()', (n: number) => db.run('INSERT INTO marks VALUES ($1, $2)', [n, 'text'])],
  ['64 writers, kvs.set()', (n: number) => db.kvs.set(`key ${n % 1000}`, { n })],
  ['64 writers, kvs.set() with a path', (n: number) => db.kvs.set(`path ${n % 1000}`, n, 'a.b')]
] as const) {
  let count = 0
  const delay = await longestDelay(async () => {
    count = await writeFor(2000, write)
  })
  console.log(`${name}: ${count} writes in 2 s, longest delay ${delay.toFixed(1)} ms`)
}

const holder = spawn(
  process.execPath,
  [
    '-e',
    `const db = require('better-sqlite3')(${JSON.stringify(join(directory, 'db.sqlite'))})
     db.exec('BEGIN IMMEDIATE')
     console.log('held')
     setTimeout(() => { db.exec('COMMIT'); db.close() }, 3000)`
  ],
  { stdio: ['ignore', 'pipe', 'inherit'], cwd: join(import.meta.dirname, '..') }
)
await new Promise(resolve => holder.stdout.once('data', resolve))
let waited = 0
const delay = await longestDelay(async () => {
  const start = performance.now()
  await db.kvs.set('held', true)
  waited = performance.now() - start
})
console.log(`a lock held for 3 s: waited ${waited.toFixed(0)} ms, longest delay ${delay.toFixed(1)} ms`)

await db.close()
rmSync(directory, { recursive: true })
