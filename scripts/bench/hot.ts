/** One key that 64 callers change: how long the rate holds, and what the table and the log grow by. */
import { statSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import pg from 'pg'
import type * as Duolect from '../../src/index.ts'
import type { Target } from './contestant.ts'
import { document } from './data.ts'
import { bytesOf, openOwn } from './size.ts'

export interface HotTask extends Target {
  /** Maximum number of calls. */
  readonly calls: number
  /** The longest that the calls take, in ms. */
  readonly milliseconds: number
  /** True if another connection keeps a snapshot from before the first call open. */
  readonly hasReader: boolean
}

export interface HotResult extends Pick<HotTask, 'dialect' | 'hasReader'> {
  readonly calls: number
  /** Calls a second over the first and the last tenth of the calls. */
  readonly firstRate: number
  readonly lastRate: number
  readonly tableMegabytes: { readonly before: number; readonly after: number }
  /** Postgres: the bytes that were written to the WAL. SQLite: the size of the WAL file after the last call. */
  readonly logMegabytes: number
}

const CALLERS = 64

/** Measures one case, in the process that it runs in. */
export async function measureHot(task: HotTask): Promise<HotResult> {
  const { dialect, calls, milliseconds, hasReader } = task
  const db = await openOwn(task)
  const set = (i: number) => db.kvs.set('hot', i, 'profile.visits')
  await db.kvs.set('hot', document(1))
  const warmUp = 20_000
  await inParallel(warmUp, Number.POSITIVE_INFINITY, set)
  const closeReader = hasReader ? await openReader(task) : undefined
  const tableBefore = await bytesOf(db)
  const log = await logOf(db, task)
  const times = await inParallel(calls, milliseconds, set)
  const logMegabytes = megabytes(await log())
  const tableAfter = await bytesOf(db)
  const stored = await db.kvs.get<number>('hot', 'profile.visits')
  if (!(Number(stored) >= times.length - CALLERS)) throw new Error(`The last of ${times.length} calls is not stored: ${stored}.`)
  await closeReader?.()
  await db.close()
  const tenth = Math.floor(times.length / 10)
  const rate = (from: number, to: number) => Math.round((tenth * 1000) / ((times[to] as number) - (times[from] as number)))
  return {
    dialect,
    hasReader,
    calls: times.length,
    firstRate: rate(0, tenth),
    lastRate: rate(times.length - 1 - tenth, times.length - 1),
    tableMegabytes: { before: megabytes(tableBefore), after: megabytes(tableAfter) },
    logMegabytes
  }
}

/** Makes calls by all callers, and returns when each was done, in ms. */
async function inParallel(calls: number, milliseconds: number, call: (i: number) => Promise<unknown>): Promise<number[]> {
  const times: number[] = []
  const end = performance.now() + milliseconds
  let next = 0
  const caller = async () => {
    while (next < calls && performance.now() < end) {
      await call(next++)
      times.push(performance.now())
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
  return times
}

/** Opens a transaction that reads the key, and returns what ends it. */
async function openReader({ dialect, location }: HotTask): Promise<() => unknown> {
  if (dialect === 'sqlite') {
    const reader = new Sqlite(location, { readonly: true })
    reader.exec('BEGIN')
    reader.prepare("SELECT value FROM kvs WHERE key = 'hot'").get()
    return () => reader.close()
  }
  const reader = new pg.Client(location)
  await reader.connect()
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await reader.query("SELECT value FROM kvs WHERE key = 'hot'")
  return () => reader.end()
}

/** Begins to look at the log; what it returns tells the bytes. */
async function logOf(db: Duolect.Database, { dialect, location }: HotTask): Promise<() => Promise<number>> {
  if (dialect === 'sqlite') return async () => statSync(`${location}-wal`).size
  const position = async () => Number((await db.one<{ at: string }>("SELECT pg_current_wal_lsn() - '0/0' AS at")).at)
  const before = await position()
  return async () => (await position()) - before
}

function megabytes(bytes: number): number {
  return Number((bytes / 1e6).toPrecision(3))
}
