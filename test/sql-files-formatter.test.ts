/** What the package sql-formatter makes of SQL files is the same module, or an error that names the marker it has moved. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { type InputFile, readModule } from '../src/files/module.ts'
import { SourceError } from '../src/files/source.ts'

const root = join(import.meta.dirname, '..')

/** What is used of the package, whose types are not installed where only the checks run. */
interface Formatter {
  format(text: string, options: object): string
}

const { format } = createRequire(join(root, 'test', 'integrations', 'package.json'))('sql-formatter') as Formatter

/** The files of the pages and examples, and markers in every place where one may stand. */
const MODULES: Readonly<Record<string, readonly InputFile[]>> = {
  'examples/notes': filesBelow(join(root, 'examples', 'notes', 'sql')),
  'docs/modules.md': [
    ...readFileSync(join(root, 'docs', 'modules.md'), 'utf8').matchAll(/^```sql\n-- sql\/(\S+\.sql)\n([\s\S]*?)^```$/gm)
  ].map(([, path = '', text = '']) => ({ path, text })),
  'with markers everywhere': [
    {
      path: 'migrations/0001-tables.sql',
      text: `-- @rebuild
CREATE TABLE notes (
  id sql.autoId,
  body TEXT COLLATE "C" NOT NULL,
  paid NUMERIC, -- @postgres
  paid TEXT, -- @sqlite
  written TIMESTAMPTZ DEFAULT (sql.now())
);

-- @sqlite begin
CREATE TRIGGER notes_log AFTER DELETE ON notes BEGIN
  UPDATE notes SET body = 'log -- @postgres' WHERE id < 0;
END;
-- @end`
    },
    {
      path: 'notes.sql',
      text: `-- name: find :all
-- Finds notes, and what else
-- @param ids bigint[]
-- @param text text null
-- @column tag text
SELECT
  id,
  body || ' -- @sqlite' AS tag,
  paid::TEXT AS paid, -- a reason -- @postgres
  paid AS paid, -- @sqlite
  sql.shift(written, -7, 'days') AS week
FROM notes
WHERE id IN (:ids)
  AND (:text IS NULL OR body = :text)
  AND body > :other -- @if other
  AND body ILIKE :like -- @if like -- @postgres
  AND body LIKE :like -- @if like -- @sqlite
ORDER BY id DESC
LIMIT :limit
OFFSET :skip;

-- name: log :exec
-- @sqlite begin
DELETE FROM notes WHERE id < 0;
-- @end
DELETE FROM others;`
    }
  ]
}

function filesBelow(folder: string): InputFile[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.sql'))
    .map(path => ({ path: path.replaceAll('\\', '/'), text: readFileSync(join(folder, path), 'utf8') }))
}

/** Each option of the formatter that moves words. */
const OPTIONS: readonly object[] = [
  {},
  { keywordCase: 'upper', expressionWidth: 120 },
  { expressionWidth: 20 },
  { logicalOperatorNewline: 'after' },
  { indentStyle: 'tabularLeft' },
  { indentStyle: 'tabularRight', keywordCase: 'upper' },
  { tabWidth: 4, useTabs: true, linesBetweenQueries: 3, newlineBeforeSemicolon: true },
  { denseOperators: true }
]

/** All that a generated module would have of the files. */
function meaningOf(files: readonly InputFile[]): string {
  const { queries, migrations } = readModule(files)
  return JSON.stringify([
    queries.map(({ name, call, description, parameters, columns, row, sql }) => [
      [name, call, description, row?.text],
      parameters.map(({ name, annotation, isCount, isOptional }) => [name, annotation?.type, annotation?.isNullable, isCount, isOptional]),
      columns.map(({ name, type, isNullable, shape }) => [name, type, isNullable, shape]),
      Object.entries(sql).map(([dialect, { segments }]) => [dialect, segments.map(({ text, parameter }) => [text, parameter])])
    ]),
    migrations
      .map(migration => (migration.kind === 'script' ? [migration.name, migration.rebuild, migration.sql] : [migration.name]))
      .map(entry => JSON.stringify(entry).replace(/\s+/g, ' '))
  ])
}

describe('A module that sql-formatter has formatted', () => {
  const outcomes = new Set<'same' | 'refused'>()

  for (const [title, files] of Object.entries(MODULES)) {
    const meaning = meaningOf(files)

    for (const language of ['sql', 'sqlite', 'postgresql']) {
      test(`is the same, or the error names the marker that has moved: ${title}, as ${language}`, () => {
        for (const options of OPTIONS) {
          const formatted = files.map(({ path, text }) => {
            try {
              return { path, text: format(text, { language, paramTypes: { named: [':'] }, ...options }) }
            } catch {
              // What the formatter cannot read stays as it is.
              return { path, text }
            }
          })
          try {
            assert.ok(meaningOf(formatted) === meaning, `another meaning with ${JSON.stringify(options)}`)
            outcomes.add('same')
          } catch (error) {
            if (!(error instanceof SourceError)) throw error
            assert.match(error.message, /^\S+\.sql:\d+:\d+: [\s\S]*(-- @|marker|annotation|-- name:)/)
            outcomes.add('refused')
          }
        }
      })
    }
  }

  test('was the same with some options, and refused with others', () => assert.equal(outcomes.size, 2))
})
