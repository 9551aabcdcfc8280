// Made from sql/ by "npx duolect generate". Change it there.
import { type Handle, type Migration, type QuerySource, type QueryText, type RunResult, type Sql, sql } from 'duolect'

/** A row of `addNote`, `findNote` and `findNotes`. */
export interface Note {
  id: number
  author: string
  body: string
  kind: 'plain' | 'rich'
  tags: string[]
  written: Date
}

/** A row of `countTags`. */
export interface CountTagsRow {
  tag: string
  notes: number
}

/** A row of `notesPerDay`. */
export interface NotesPerDayRow {
  day: string
  authors: string
  notes: number
}

/** The parameters of `addNote`. */
export interface AddNoteParameters {
  author: string
  body: string
  /** @default "plain" */
  kind?: string | undefined
  tags: unknown
}

const addNoteSource: QuerySource = {
  sqlite: `INSERT INTO notes(author, body, kind, tags, written)
VALUES (:author, :body, :kind, :tags, (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')))
RETURNING id, author, body, kind, tags, written`,
  postgres: `INSERT INTO notes(author, body, kind, tags, written)
VALUES (:author, :body, CAST(:kind AS TEXT), CAST(:tags AS JSON), date_trunc('milliseconds', statement_timestamp()))
RETURNING id, author, body, kind, tags, written`,
  parameters: { tags: 'json' }
}

/** Writes a note, and returns it. */
export function addNote(handle: Handle, parameters: AddNoteParameters): Promise<Note> {
  return handle.one<Note>(addNote.query(parameters))
}
addNote.query = (parameters: AddNoteParameters): Sql => sql.query(addNoteSource, { ...parameters, kind: parameters.kind ?? 'plain' })

const countTagsSource: QuerySource = {
  sqlite: `SELECT CAST(tags.value AS TEXT) AS tag, count(*) AS notes
FROM notes CROSS JOIN json_each(notes.tags) AS tags
WHERE tags.value IS NOT NULL
GROUP BY 1
ORDER BY 2 DESC, 1`,
  postgres: `SELECT tags.value AS tag, count(*) AS notes
FROM notes CROSS JOIN json_array_elements_text(notes.tags) AS tags(value)
WHERE tags.value IS NOT NULL
GROUP BY 1
ORDER BY 2 DESC, tags.value COLLATE "C"`
}

/** How many notes have each tag, the most used one first. */
export function countTags(handle: Handle): Promise<CountTagsRow[]> {
  return handle.all<CountTagsRow>(countTags.query())
}
countTags.query = (): Sql => sql.query(countTagsSource)

/** The parameters of `findNote`. */
export interface FindNoteParameters {
  id: number | bigint
}

const findNoteText: QueryText = `SELECT id, author, body, kind, tags, written
FROM notes
WHERE id = :id`
const findNoteSource: QuerySource = { sqlite: findNoteText, postgres: findNoteText }

export function findNote(handle: Handle, parameters: FindNoteParameters): Promise<Note | undefined> {
  return handle.maybeOne<Note>(findNote.query(parameters))
}
findNote.query = (parameters: FindNoteParameters): Sql => sql.query(findNoteSource, parameters)

/** The parameters of `findNotes`. */
export interface FindNotesParameters {
  authors: readonly string[]
  before?: number | bigint | undefined
  limit: number
}

const findNotesSource: QuerySource = {
  sqlite: [
    `SELECT id, author, body, kind, tags, written
FROM notes
WHERE author IN (SELECT value FROM json_each(:authors))`,
    ['before', ` AND id < :before`],
    `
ORDER BY id DESC
LIMIT :limit`
  ],
  postgres: [
    `SELECT id, author, body, kind, tags, written
FROM notes
WHERE author = ANY (ARRAY(SELECT CAST(element AS TEXT) FROM json_array_elements_text(CAST(:authors AS JSON)) AS element))`,
    ['before', ` AND id < :before`],
    `
ORDER BY id DESC
LIMIT CAST(:limit AS BIGINT)`
  ],
  parameters: { authors: 'list', limit: 'count' }
}

/** Notes of some authors, the newest first. */
export function findNotes(handle: Handle, parameters: FindNotesParameters): Promise<Note[]> {
  return handle.all<Note>(findNotes.query(parameters))
}
findNotes.query = (parameters: FindNotesParameters): Sql => sql.query(findNotesSource, parameters)

/** The parameters of `notesPerDay`. */
export interface NotesPerDayParameters {
  since: Date
}

const notesPerDaySource: QuerySource = {
  sqlite: `SELECT (CASE typeof(written) WHEN 'integer' THEN strftime('%Y-%m-%d', written / 1000.0, 'unixepoch') ELSE strftime('%Y-%m-%d', written) END) AS day, group_concat(author, ', ' ORDER BY id) AS authors, count(*) AS notes
FROM notes
WHERE written >= :since
GROUP BY 1
ORDER BY 1 DESC`,
  postgres: `SELECT CAST(CAST(written AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS DATE) AS day, string_agg(author, ', ' ORDER BY id) AS authors, count(*) AS notes
FROM notes
WHERE written >= :since
GROUP BY 1
ORDER BY 1 DESC`
}

/** Notes of each day, the newest day first, with who wrote them. */
export function notesPerDay(handle: Handle, parameters: NotesPerDayParameters): Promise<NotesPerDayRow[]> {
  return handle.all<NotesPerDayRow>(notesPerDay.query(parameters))
}
notesPerDay.query = (parameters: NotesPerDayParameters): Sql => sql.query(notesPerDaySource, parameters)

/** The parameters of `removeNotes`. */
export interface RemoveNotesParameters {
  author: string
}

const removeNotesText: QueryText = `DELETE FROM notes
WHERE author = :author`
const removeNotesSource: QuerySource = { sqlite: removeNotesText, postgres: removeNotesText }

/** Removes the notes of an author. */
export function removeNotes(handle: Handle, parameters: RemoveNotesParameters): Promise<RunResult> {
  return handle.run(removeNotes.query(parameters))
}
removeNotes.query = (parameters: RemoveNotesParameters): Sql => sql.query(removeNotesSource, parameters)

/** The migrations of the module, for `db.migrate(name, migrations)`. */
export const migrations: readonly Migration[] = [
  {
    name: '0001-notes',
    sqlite: `CREATE TABLE notes(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  author TEXT NOT NULL,
  body TEXT NOT NULL,
  tags JSON NOT NULL CHECK (json_type(tags) = 'array'),
  written TIMESTAMPTZ NOT NULL
);
CREATE INDEX notes_author ON notes(author, written);`,
    postgres: `CREATE TABLE notes(
  id BIGSERIAL PRIMARY KEY,
  author TEXT NOT NULL,
  body TEXT NOT NULL,
  tags JSON NOT NULL CHECK (json_typeof(tags) = 'array'),
  written TIMESTAMPTZ NOT NULL
);
CREATE INDEX notes_author ON notes(author, written);`
  },
  {
    name: '0002-kinds',
    sqlite: `ALTER TABLE notes ADD COLUMN kind TEXT NOT NULL DEFAULT 'plain' CHECK (kind IN ('plain', 'rich'));`,
    postgres: `ALTER TABLE notes ADD COLUMN kind TEXT NOT NULL DEFAULT 'plain' CHECK (kind IN ('plain', 'rich'));`
  }
]
