/**
 * The key-value store at size: rates and memory with so many keys in the table, on each database in a process of its own.
 * The parent fills the tables by the bare driver, and hands them from size to size.
 */
import Sqlite from 'better-sqlite3'
import pg from 'pg'
import type * as Duolect from '../../src/index.ts'
import type { Dialect, Target } from './contestant.ts'
import { document } from './data.ts'

/** What is measured of one size; rates in calls a second, `list` in entries, `clear` in removed keys. */
export interface SizeResult {
  readonly dialect: Dialect
  readonly keys: number
  /** The pragmas beside the defaults, for a curve of their own. */
  readonly pragmas: Readonly<Record<string, number>>
  readonly fileMegabytes: number
  readonly get: number
  readonly get64: number
  readonly set: number
  readonly set64: number
  readonly pathSet64: number
  readonly list: number
  readonly clear: number
  /** Resident size after the reads, in MB; mapped pages of the file count. */
  readonly rssMegabytes: number
  /** What of it is the process's own: all that is not backed by a file. */
  readonly ownMegabytes: number
}

export interface SizeTask {
  readonly dialect: Dialect
  readonly location: string
  readonly keys: number
  readonly pragmas: Readonly<Record<string, number>>
  /** How long each kind of call is made, in ms. */
  readonly milliseconds: number
}

/** The key number i: all of one length, and in the order of their numbers. */
function key(i: number): string {
  return `users/id/${String(i).padStart(9, '0')}`
}

const CLEARED = 10_000

/** Fills the table up to so many keys, through the bare driver; what is there stays. */
export async function fill(dialect: Dialect, location: string, from: number, to: number): Promise<void> {
  await (dialect === 'sqlite' ? fillSqlite(location, from, to) : fillPostgres(location, from, to))
}

const VALUE = JSON.stringify(document(1))
const NOW = '2018-11-05T12:00:00.000Z'

function fillSqlite(location: string, from: number, to: number): void {
  const db = new Sqlite(location)
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
    CREATE TABLE IF NOT EXISTS kvs (key TEXT NOT NULL PRIMARY KEY, value TEXT, modified_on TIMESTAMP)`)
  const put = db.prepare('INSERT INTO kvs VALUES (?, ?, ?)')
  const portion = db.transaction((begin: number, end: number) => {
    for (let i = begin; i < end; i++) put.run(key(i), VALUE, NOW)
  })
  for (let i = from; i < to; i += 100_000) portion(i, Math.min(to, i + 100_000))
  db.pragma('wal_checkpoint(TRUNCATE)')
  db.close()
}

async function fillPostgres(location: string, from: number, to: number): Promise<void> {
  const client = new pg.Client(location)
  await client.connect()
  await client.query('CREATE TABLE IF NOT EXISTS kvs (key TEXT COLLATE "C" NOT NULL PRIMARY KEY, value TEXT, modified_on TIMESTAMPTZ)')
  await client.query(
    "INSERT INTO kvs SELECT 'users/id/' || lpad(i::TEXT, 9, '0'), $1, $2 FROM generate_series($3::INTEGER, $4::INTEGER - 1) AS i",
    [VALUE, NOW, from, to]
  )
  await client.query('VACUUM ANALYZE kvs')
  await client.end()
}

/** Opens duolect as it is installed. */
export async function openOwn({ dialect, location }: Target, pragmas: SizeTask['pragmas'] = {}): Promise<Duolect.Database> {
  const name = 'duolect'
  const { createDatabase } = (await import(name)) as typeof Duolect
  const db = createDatabase(
    dialect === 'sqlite'
      ? { sqlite: { location, pragmas }, postgres: { enabled: false } }
      : { postgres: { enabled: true, connection: location } }
  )
  return db.get()
}

/** Bytes of the table with its index, or of the whole file. */
export async function bytesOf(db: Duolect.Database): Promise<number> {
  const { size } = await db.one<{ size: number }>(
    db.dialect === 'sqlite'
      ? 'SELECT page_count * page_size AS size FROM pragma_page_count, pragma_page_size'
      : "SELECT pg_total_relation_size('kvs') AS size"
  )
  return Number(size)
}

/** Measures one size, in the process that it runs in. */
export async function measureSize({ dialect, location, keys, pragmas, milliseconds }: SizeTask): Promise<SizeResult> {
  const db = await openOwn({ dialect, location }, pragmas)
  // Multiplied by a prime that no size is a multiple of, so that each key comes once before one comes again.
  let next = 0
  const anyKey = () => key((next++ * 7_368_787) % keys)
  const rate = async (width: number, call: () => Promise<unknown>): Promise<number> => {
    let count = 0
    const begin = performance.now()
    const caller = async () => {
      for (; performance.now() - begin < milliseconds; count++) await call()
    }
    await Promise.all(Array.from({ length: width }, caller))
    return (count * 1000) / (performance.now() - begin)
  }
  const get = () => db.kvs.get(anyKey())
  const set = () => db.kvs.set(anyKey(), document(2))
  await rate(64, get)
  const getOne = await rate(1, get)
  const get64 = await rate(64, get)
  const { rssMegabytes, ownMegabytes } = await memory()
  const setOne = await rate(1, set)
  const set64 = await rate(64, set)
  const pathSet64 = await rate(64, () => db.kvs.set(anyKey(), next, 'profile.visits'))
  let [lists, entries] = [0, 0]
  const listRate = await rate(1, async () => {
    lists++
    for await (const _ of db.kvs.list({ after: anyKey(), limit: 1000 })) entries++
  })
  const cleared = Array.from({ length: CLEARED }, (_, i) => [`cleared/${i}`, document(3)] as const)
  await db.kvs.setMany(cleared)
  const begin = performance.now()
  if ((await db.kvs.clear({ prefix: 'cleared/' })) !== CLEARED) throw new Error('clear() removed another number of keys.')
  const clear = (CLEARED * 1000) / (performance.now() - begin)
  const fileBytes = await bytesOf(db)
  await db.close()
  const whole = Math.round
  return {
    dialect,
    keys,
    pragmas,
    fileMegabytes: whole(fileBytes / 1e6),
    get: whole(getOne),
    get64: whole(get64),
    set: whole(setOne),
    set64: whole(set64),
    pathSet64: whole(pathSet64),
    list: whole((listRate * entries) / lists),
    clear: whole(clear),
    rssMegabytes,
    ownMegabytes
  }
}

/** On Linux; elsewhere what is not told apart counts as the process's own. */
async function memory(): Promise<{ rssMegabytes: number; ownMegabytes: number }> {
  globalThis.gc?.()
  const { readFile } = await import('node:fs/promises')
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '')
  const rss = process.memoryUsage.rss()
  const own = Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? rss / 1024) * 1024
  return { rssMegabytes: Math.round(rss / 1e6), ownMegabytes: Math.round(own / 1e6) }
}
