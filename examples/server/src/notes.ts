/** Notes in a table of their own. */
import { type Handle, type Migration, sql } from 'duolect'

export const migrations: Migration[] = [
  {
    name: '0001-notes',
    sqlite: `CREATE TABLE notes (
      id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, written TIMESTAMPTZ NOT NULL)`,
    postgres: 'CREATE TABLE notes (id BIGSERIAL PRIMARY KEY, body TEXT NOT NULL, written TIMESTAMPTZ NOT NULL)'
  }
]

export interface Note {
  id: number
  body: string
  written: Date
}

export function addNote(db: Handle, body: string): Promise<Note> {
  return db.one<Note>(sql`INSERT INTO notes (body, written) VALUES (${body}, ${sql.now}) RETURNING id, body, written`)
}

/** A page of notes, newest first: those before the note `before`, or the newest. */
export function notes(db: Handle, before: number | undefined, limit = 20): Promise<Note[]> {
  const start = before === undefined ? sql`TRUE` : sql`id < ${before}`
  return db.all<Note>(sql`SELECT id, body, written FROM notes WHERE ${start} ORDER BY id DESC LIMIT ${limit}`)
}
