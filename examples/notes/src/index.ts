/** Notes on SQLite and Postgres. Every function takes a `Handle`: a database, or the transaction of the caller. */
import type { Database, Handle } from 'duolect'
import { type AddNoteParameters, addNote, migrations, type Note } from './queries.ts'

export {
  type AddNoteParameters,
  addNote,
  countTags,
  findNote,
  findNotes,
  type Note,
  notesPerDay,
  removeNotes
} from './queries.ts'

/** Creates the module's tables, or brings them up to date. Programs call it once when they start. */
export function migrateNotes(db: Database): Promise<string[]> {
  return db.migrate('duolect-example-notes', migrations)
}

/** Writes several notes, all or none, in one round trip. */
export async function addNotes(handle: Handle, notes: readonly AddNoteParameters[]): Promise<Note[]> {
  return (await handle.batch<Note>(notes.map(note => addNote.query(note)))).flat()
}
