/** The tables and the rows that all contestants work on. Everything is computed from a number, so that it can be checked. */
import Sqlite from 'better-sqlite3'
import pg from 'pg'
import type { Dialect, Target } from './contestant.ts'
import { openNodeSqlite } from './contestants/sqlite.ts'

// Documents -----------------------------------------------------------------------------------------------------

export interface Document {
  name: string
  first_name: string
  locale: string
  timezone: number
  profile: Record<string, unknown>
  last_seen: string
}

export const KEYS = 10_000

export function key(i: number): string {
  return `users/id/${String(i % KEYS).padStart(6, '0')}`
}

/** The key of the call number i: every key comes once before one comes again, in no order that a cache could like. */
export function scattered(i: number): string {
  return key((i * 7919) % KEYS)
}

/** About 200 bytes of JSON. */
export function document(i: number): Document {
  return {
    name: `Perron ${i}`,
    first_name: 'Sylvain',
    locale: 'fr_CA',
    timezone: -5,
    profile: { role: 'user', visits: i, tags: ['beta', 'mobile', 'québec'] },
    last_seen: '2018-11-05T12:00:00.000Z'
  }
}

export interface BigDocument {
  items: { id: number; name: string; text: string }[]
}

export const BIG_KEY = 'big'
export const BIG_ITEMS = 700

/** About 100 KB of JSON. */
export function bigDocument(): BigDocument {
  const text = 'The quick brown fox jumps over the lazy dog, and then it does so again for good measure.'
  return { items: Array.from({ length: BIG_ITEMS }, (_, id) => ({ id, name: `item ${id}`, text: `${text} ${id}` })) }
}

export function* documents(): Generator<readonly [key: string, document: Document | BigDocument]> {
  for (let i = 0; i < KEYS; i++) yield [key(i), document(i)]
  yield [BIG_KEY, bigDocument()]
}

// Rows ----------------------------------------------------------------------------------------------------------

export interface User {
  id: string
  userId: string
  platform: string
  gender: string | null
  timezone: number | null
  picture_url: string | null
  first_name: string | null
  last_name: string | null
  locale: string | null
  created_on: Date
}

export const USERS = 1000
/** So many users share a first name. */
const NAMESAKES = 10

export function firstName(i: number): string {
  return `Name ${i % (USERS / NAMESAKES)}`
}

export function user(i: number): User {
  return {
    id: `messenger:${i}`,
    userId: String(i),
    platform: 'messenger',
    gender: i % 2 === 0 ? 'female' : 'male',
    timezone: (i % 24) - 11.5,
    picture_url: `https://example.com/pictures/${i}.png`,
    first_name: firstName(i),
    last_name: 'Perron',
    locale: 'fr_CA',
    created_on: new Date(1541419200000 + i * 61_007)
  }
}

export interface Item {
  id: number
  name: string
  category: string
  city: string
  quantity: number
  year: number
  price: number
  note: string | null
}

export const ROWS = 1000

export function item(i: number): Item {
  return {
    id: i + 1,
    name: `Item number ${i}`,
    category: `category ${i % 12}`,
    city: 'Québec',
    quantity: i * 3,
    year: 1900 + (i % 120),
    price: i + 0.25,
    note: i % 3 === 0 ? null : 'A note of some words.'
  }
}

export interface Event {
  id: number
  name: string
  is_read: boolean
  created_on: Date
  seen_on: Date | null
  payload: unknown
  count: number
  score: number
}

/** `id` needs 64 bits in the database, and is exact as a number. */
export function event(i: number): Event {
  return {
    id: 2 ** 50 + i,
    name: `event ${i}`,
    is_read: i % 2 === 0,
    created_on: new Date(1541419200000 + i * 61_007),
    seen_on: i % 4 === 0 ? null : new Date(1541505600000 + i * 59_011),
    payload: { kind: 'message', tags: ['a', 'b'], size: i },
    count: i,
    score: i + 0.5
  }
}

export interface Mark {
  id: number
  name: string
  amount: number
}

export const MARKS = 10_000

export function mark(i: number): Mark {
  return { id: i, name: `mark ${i}`, amount: i + 0.5 }
}

// Tables --------------------------------------------------------------------------------------------------------

/** The key-value store and the users are duolect's own tables, so that it finds them made. */
function schema(dialect: Dialect): string {
  const isPostgres = dialect === 'postgres'
  const timestamp = isPostgres ? 'TIMESTAMPTZ' : 'TIMESTAMP'
  const real = isPostgres ? 'DOUBLE PRECISION' : 'REAL'
  return `
    CREATE TABLE kvs (key TEXT ${isPostgres ? 'COLLATE "C"' : ''} NOT NULL PRIMARY KEY, value TEXT, modified_on ${timestamp});
    CREATE TABLE users (
      id TEXT NOT NULL PRIMARY KEY, "userId" TEXT NOT NULL, platform TEXT NOT NULL, gender TEXT, timezone ${real},
      picture_url TEXT, first_name TEXT, last_name TEXT, locale TEXT, created_on ${timestamp} NOT NULL
    );
    CREATE INDEX users_by_first_name ON users (first_name);
    CREATE TABLE items (
      id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, category TEXT NOT NULL, city TEXT NOT NULL,
      quantity INTEGER NOT NULL, year INTEGER NOT NULL, price ${real} NOT NULL, note TEXT
    );
    CREATE TABLE events (
      id BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, is_read BOOLEAN NOT NULL, created_on ${timestamp} NOT NULL,
      seen_on ${timestamp}, payload ${isPostgres ? 'JSONB' : 'JSON'} NOT NULL, count INTEGER NOT NULL, score ${real} NOT NULL
    );
    CREATE TABLE marks (id INTEGER NOT NULL, name TEXT NOT NULL, amount ${real} NOT NULL);`
}

function allRows(): Record<string, object[]> {
  const now = new Date(1541419200000)
  return {
    kvs: Array.from(documents(), ([key, value]) => ({ key, value: JSON.stringify(value), modified_on: now })),
    users: Array.from({ length: USERS }, (_, i) => user(i)),
    items: Array.from({ length: ROWS }, (_, i) => item(i)),
    events: Array.from({ length: ROWS }, (_, i) => event(i))
  }
}

/** Makes the tables and fills them, through the bare driver. */
export async function seed({ dialect, location }: Target): Promise<void> {
  if (dialect === 'sqlite') seedSqlite(location)
  else await seedPostgres(location)
}

/** What is used of better-sqlite3 and of `node:sqlite`. */
interface SqliteFile {
  exec(sql: string): unknown
  prepare(sql: string): { all(...values: unknown[]): unknown[]; run(...values: unknown[]): unknown }
  close(): unknown
}

/** Opens a file by the package that is there for this version of Node.js. */
export function openFile(location: string): SqliteFile {
  return process.env.BENCH_SQLITE === 'node:sqlite' ? openNodeSqlite(location) : (new Sqlite(location) as SqliteFile)
}

/** Number of rows of `pauses`. */
export const PAUSES = 100

/** The one that takes long. */
export const SLOW_ROW = 0

function seedSqlite(location: string): void {
  const db = openFile(location)
  db.exec('PRAGMA journal_mode = WAL')
  db.exec(schema('sqlite'))
  db.exec('BEGIN')
  for (const [table, rows] of Object.entries(allRows())) {
    const names = Object.keys(rows[0] ?? {})
    const insert = db.prepare(`INSERT INTO ${table} ("${names.join('", "')}") VALUES (${names.map(() => '?').join(', ')})`)
    for (const row of rows) insert.run(...Object.values(row).map(toSqlite))
  }
  db.exec('COMMIT')
  db.exec('ANALYZE')
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  db.close()
}

/** A value as duolect stores it: times as ISO 8601 texts. */
function toSqlite(value: unknown): unknown {
  if (value instanceof Date) return value.toISOString()
  if (typeof value === 'boolean') return value ? 1 : 0
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value)
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : value
}

async function seedPostgres(location: string): Promise<void> {
  const client = new pg.Client(location)
  await client.connect()
  await client.query(schema('postgres'))
  for (const [table, rows] of Object.entries(allRows())) {
    await client.query(`INSERT INTO ${table} SELECT * FROM json_populate_recordset(NULL::${table}, $1)`, [JSON.stringify(rows)])
  }
  await client.query(
    `CREATE TABLE pauses (id INTEGER NOT NULL PRIMARY KEY, seconds DOUBLE PRECISION NOT NULL);
     INSERT INTO pauses SELECT id, CASE id WHEN ${SLOW_ROW} THEN 0.2 ELSE 0 END FROM generate_series(0, ${PAUSES - 1}) AS id;
     CREATE VIEW paused AS SELECT id, pg_sleep(seconds)::TEXT AS slept FROM pauses`
  )
  await client.query('VACUUM ANALYZE')
  await client.end()
}

/** Runs a script on a connection of its own, beside the contestant. */
export async function runScript(target: Target, script: string): Promise<void> {
  await beside(
    target,
    db => db.exec(script),
    client => client.query(script)
  )
}

/** The rows of a query, read on a connection of its own. */
export function rowsOf<T>(target: Target, text: string): Promise<T[]> {
  return beside(
    target,
    db => db.prepare(text).all(),
    async client => (await client.query(text)).rows
  ) as Promise<T[]>
}

async function beside(
  { dialect, location }: Target,
  onSqlite: (db: SqliteFile) => unknown,
  onPostgres: (client: pg.Client) => Promise<unknown>
): Promise<unknown> {
  if (dialect === 'sqlite') {
    const db = openFile(location)
    try {
      return onSqlite(db)
    } finally {
      db.close()
    }
  }
  const client = new pg.Client(location)
  await client.connect()
  try {
    return await onPostgres(client)
  } finally {
    await client.end()
  }
}
