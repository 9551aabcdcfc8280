import type Sqlite from 'better-sqlite3'

/** Opens a file with the pragmas that all contestants have: those of duolect. */
export function openSqlite(Native: typeof Sqlite, location: string): Sqlite.Database {
  const db = new Native(location)
  setPragmas(db)
  return db
}

export function setPragmas(db: Pick<Sqlite.Database, 'pragma'>): void {
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  db.pragma('foreign_keys = ON')
}

/** What is used of `node:sqlite`, whose types come with @types/node 22 and newer. */
export interface NodeSqlite {
  exec(sql: string): void
  prepare(sql: string): { get(...values: unknown[]): unknown; all(...values: unknown[]): unknown[]; run(...values: unknown[]): unknown }
  close(): void
}

export function openNodeSqlite(location: string): NodeSqlite {
  // An import would have to be resolved where the module is missing.
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite' as 'node:fs') as unknown as {
    DatabaseSync: new (location: string) => NodeSqlite
  }
  return new DatabaseSync(location)
}

// Rows as a bare driver returns them, and their decoding by hand -----------------------------------------------------

export interface ValueRow {
  value: string
}

export interface UserRow {
  created_on: string
}

export interface EventRow {
  is_read: number
  created_on: string
  seen_on: string | null
  payload: string
}

export function decodeUser(row: UserRow) {
  return { ...row, created_on: new Date(row.created_on) }
}

export function decodeEvent(row: EventRow) {
  return {
    ...row,
    is_read: row.is_read === 1,
    created_on: new Date(row.created_on),
    seen_on: row.seen_on === null ? null : new Date(row.seen_on),
    payload: JSON.parse(row.payload)
  }
}
