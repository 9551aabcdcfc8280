/** The floor on `node:sqlite`: as raw.ts on better-sqlite3, with every statement prepared by hand. */
import type { Contestant, Target } from '../contestant.ts'
import type { Document, Mark } from '../data.ts'
import { decodeEvent, decodeUser, type EventRow, openNodeSqlite, type UserRow, type ValueRow } from './sqlite.ts'

export async function open({ location }: Target): Promise<Contestant> {
  const db = openNodeSqlite(location)
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON')
  const find = db.prepare('SELECT value FROM kvs WHERE key = ?')
  const findPath = db.prepare('SELECT json_extract(value, ?) AS value FROM kvs WHERE key = ?')
  const put = db.prepare(
    `INSERT INTO kvs (key, value, modified_on) VALUES (?, ?, ?)
     ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified_on = excluded.modified_on`
  )
  const update = db.prepare('UPDATE kvs SET value = ?, modified_on = ? WHERE key = ?')
  const usersByFirstName = db.prepare('SELECT * FROM users WHERE first_name = ?')
  const userById = db.prepare('SELECT * FROM users WHERE id = ?')
  const items = db.prepare('SELECT * FROM items')
  const events = db.prepare('SELECT * FROM events')
  const insert = db.prepare('INSERT INTO marks (id, name, amount) VALUES (?, ?, ?)')
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  const inTransaction = (body: () => void) => {
    begin.run()
    try {
      body()
      commit.run()
    } catch (error) {
      db.exec('ROLLBACK')
      throw error
    }
  }
  const insertMarks = (rows: readonly Mark[]) =>
    inTransaction(() => {
      for (const { id, name, amount } of rows) insert.run(id, name, amount)
    })
  return {
    getValue(key) {
      const row = find.get(key) as ValueRow | undefined
      return row === undefined ? null : JSON.parse(row.value)
    },
    setValue: (key, value) => put.run(key, JSON.stringify(value), new Date().toISOString()),
    setPath: (key, name, value) =>
      inTransaction(() => {
        const document = JSON.parse((find.get(key) as ValueRow).value) as Document
        document.profile[name] = value
        update.run(JSON.stringify(document), new Date().toISOString(), key)
      }),
    getPath: (key, index) => (findPath.get(`$.items[${index}].name`, key) as ValueRow | undefined)?.value,
    usersByFirstName: name => (usersByFirstName.all(name) as UserRow[]).map(decodeUser),
    userById(id) {
      const row = userById.get(id) as UserRow | undefined
      return row && decodeUser(row)
    },
    plainRows: () => items.all(),
    typedRows: () => (events.all() as EventRow[]).map(decodeEvent),
    putPair: insertMarks,
    insertMarks,
    batchMarks: insertMarks,
    close: () => db.close()
  }
}
