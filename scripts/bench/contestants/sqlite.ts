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
