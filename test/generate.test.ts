import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { bundle } from './support/bundle.ts'
import { commandLine } from './support/command-line.ts'

const root = join(import.meta.dirname, '..')

const TABLES = `CREATE TABLE notes (
  id sql.autoId,
  author TEXT NOT NULL,
  body TEXT,
  kind TEXT NOT NULL DEFAULT 'plain' CHECK (kind IN ('plain', 'rich')),
  tags JSON NOT NULL,
  written TIMESTAMPTZ NOT NULL DEFAULT (sql.now())
);`

const QUERIES = `-- name: perDay :all
-- Notes of each day, the newest day first.
-- @param since timestamp
SELECT
  sql.day(written) AS day,
  string_agg(author, ', ' ORDER BY author) AS authors,       -- @postgres
  group_concat(author, ', ' ORDER BY author) AS authors,     -- @sqlite
  count(*) AS notes
FROM notes
WHERE written >= :since
  AND author = :author                                       -- @if author
GROUP BY 1
ORDER BY 1 DESC
LIMIT :limit;

-- name: addNote :one
-- @row Note
-- @column tags json string[]
INSERT INTO notes (author, body, tags, written)
VALUES (:author, :body, :tags, :written)
RETURNING id, author, body, kind, tags, written;

-- name: findNote :maybeOne
-- @row Note
-- @column tags json string[]
SELECT id, author, body, kind, tags, written FROM notes WHERE id = :id;

-- name: byAuthors :iterate
-- @param authors text[]
-- @param skip integer = 0
SELECT id FROM notes WHERE author IN (:authors) ORDER BY id LIMIT 1000 OFFSET :skip;

-- name: newest :one
SELECT max(written) AS newest, count(*) > 1 AS several FROM notes;

-- name: rename :run
UPDATE notes SET author = :to WHERE author = :from;

-- name: clear :exec
-- Removes all notes, and
-- what belongs to them */.
DELETE FROM notes;`

/** What a program does with the module; it prints the same on both databases. */
const PROGRAM = `
import { createDatabase } from 'duolect'
import { addNote, byAuthors, clear, findNote, migrations, newest, type Note, perDay, rename } from './queries.ts'

const db = createDatabase(process.argv[2])
const out: unknown[] = [await db.migrate('notes', migrations)]
const written = new Date('2024-03-10T12:00:00Z')
const first: Note = await addNote(db, { author: 'Ann', body: null, tags: ['a'], written })
await db.batch([addNote.query({ author: 'Ben', body: 'it\\'s', tags: [], written })])
await db.transaction(tx => addNote(tx, { author: 'Ann', body: '', tags: ['b', 'c'], written: new Date('2024-03-11T00:00:00Z') }))
const days: string[] = (await perDay(db, { since: new Date(0), limit: 10 })).map(({ day, authors, notes }) => \`\${day} \${authors} \${notes.toFixed()}\`)
const ofAnn = await perDay(db, { since: new Date(0), limit: 1, author: 'Ann' })
const found: Note | undefined = await findNote(db, { id: first.id })
const kind: 'plain' | 'rich' = first.kind
const ids: number[] = []
for await (const { id } of byAuthors(db, { authors: ['Ann', 'Cid'] })) ids.push(id)
for await (const { id } of byAuthors(db, { authors: [], skip: 1 })) ids.push(id)
const { newest: at, several }: { newest: Date | null; several: boolean } = await newest(db)
const { changes } = await rename(db, { from: 'Ann', to: 'Dan' })
await clear(db)
out.push(days, ofAnn, found, kind, ids, at, several, changes, await findNote(db, { id: first.id }) ?? 'gone', await newest(db))
out.push(await perDay(db, { since: new Date(0), limit: -1 }).catch((error: Error) => error.message))
console.log(JSON.stringify(out))
await db.close()
// @ts-expect-error: a parameter is missing
void (() => findNote(db, {}))
// @ts-expect-error: there is no such kind
void (kind === 'poor')
`

const PRINTED =
  '[["0001-tables"],["2024-03-11 Ann 1","2024-03-10 Ann, Ben 2"],[{"day":"2024-03-11","authors":"Ann","notes":1}],' +
  '{"id":1,"author":"Ann","body":null,"kind":"plain","tags":["a"],"written":"2024-03-10T12:00:00.000Z"},"plain",[1,3],' +
  '"2024-03-11T00:00:00.000Z",true,2,"gone",{"newest":null,"several":false},' +
  '"Parameter :limit expects an integer from 0, for LIMIT or OFFSET; got -1."]\n'

describe('npx duolect generate', () => {
  const { directory, project, duolect: run } = commandLine()
  const duolect = (folder: string, ...parameters: string[]) => run(folder, parameters)

  /** Bundles a file of a folder, and runs it where there are no SQL files. */
  async function bundleAndRun(folder: string, parameters: readonly string[], file = 'src/main.ts'): Promise<string> {
    const elsewhere = mkdtempSync(join(directory, 'bundle-'))
    await bundle(join(folder, file), join(elsewhere, 'main.mjs'))
    // Tests of their own, not of this run.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const { stdout, stderr } = spawnSync(process.execPath, ['main.mjs', ...parameters], { cwd: elsewhere, env, encoding: 'utf8' })
    return stdout + stderr
  }

  /** With the suite's server, since starting one takes seconds. */
  const generate = (folder: string, ...parameters: string[]) =>
    duolect(folder, 'generate', '--postgres', process.env.TEST_PG_URL as string, ...parameters)

  describe('writes a module that', () => {
    let folder = ''
    let output = ''

    before(() => {
      folder = project('notes', {
        'sql/migrations/0001-tables.sql': TABLES,
        'sql/notes.sql': QUERIES,
        'src/main.ts': PROGRAM,
        'tsconfig.json': JSON.stringify({
          compilerOptions: {
            target: 'es2023',
            lib: ['es2024'],
            module: 'nodenext',
            types: ['node'],
            strict: true,
            exactOptionalPropertyTypes: true,
            noUncheckedIndexedAccess: true,
            noUnusedLocals: true,
            verbatimModuleSyntax: true,
            isolatedModules: true,
            erasableSyntaxOnly: true,
            allowImportingTsExtensions: true,
            noEmit: true,
            skipLibCheck: true,
            paths: { duolect: [join(root, 'src', 'index.ts')] }
          },
          include: ['src']
        })
      })
      output = generate(folder).output
    })

    test('it names with what typed it', () => {
      assert.match(output, /^Wrote src\/queries\.ts: 7 queries and 1 migration, typed by SQLite 3\.\d+\.\d+ and Postgres \d+(\.\d+)?\.\n$/)
    })

    test('has the types and descriptions of the queries', () => {
      const text = readFileSync(join(folder, 'src', 'queries.ts'), 'utf8')
      assert.match(text, /^\/\/ Made from sql\/ by "npx duolect generate"\. Change it there\.\nimport \{ /)
      assert.match(
        text,
        /\/\*\* Notes of each day, the newest day first\. \*\/\nexport function perDay\(handle: Handle, parameters: PerDayParameters\): Promise<PerDayRow\[\]> \{/
      )
      assert.match(text, /export interface PerDayRow \{\n {2}day: string\n {2}authors: string\n {2}notes: number\n\}/)
      assert.match(text, /export interface PerDayParameters \{\n {2}since: Date\n {2}author\?: string \| undefined\n {2}limit: number\n\}/)
      assert.match(text, /\/\*\* A row of `addNote` and `findNote`\. \*\/\nexport interface Note \{/)
      assert.match(text, /\/\*\* Removes all notes, and\n \* what belongs to them \*\\\/\.\n \*\/\nexport function clear/)
      assert.match(text, /\/\*\* @default 0 \*\/\n {2}skip\?: number \| undefined/)
    })

    test('compiles under the strictest settings', () => {
      const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
      const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', folder], { encoding: 'utf8' })
      assert.equal(status, 0, stdout)
    })

    test('does the same on both databases, bundled, without the SQL files', async () => {
      const url = process.env.TEST_PG_URL as string
      const schema = `generate_${process.pid}`
      const prepare = `import pg from 'pg'
        const client = new pg.Client(process.argv[1])
        await client.connect()
        await client.query('DROP SCHEMA IF EXISTS ${schema} CASCADE; CREATE SCHEMA ${schema}')
        await client.end()`
      spawnSync(process.execPath, ['--input-type=module', '-e', prepare, url], { cwd: root })
      const onPostgres = `${url}${url.includes('?') ? '&' : '?'}options=-c%20search_path%3D${schema}`
      const outputs = [await bundleAndRun(folder, [':memory:']), await bundleAndRun(folder, [onPostgres])]
      spawnSync(process.execPath, ['--input-type=module', '-e', prepare.replace(/; CREATE SCHEMA \w+/, ''), url], { cwd: root })
      assert.deepEqual(outputs, [PRINTED, PRINTED])
    })

    test('it writes again only when it changes', () => {
      const file = join(folder, 'src', 'queries.ts')
      const before = statSync(file).mtimeMs
      const { status, output } = generate(folder)
      assert.deepEqual([status, statSync(file).mtimeMs], [0, before])
      assert.match(output, /src\/queries\.ts has not changed/)
    })

    test('--check compares, and fails when it would change', () => {
      assert.deepEqual(generate(folder, '--check').status, 0)
      const file = join(folder, 'sql', 'notes.sql')
      writeFileSync(file, QUERIES.replace('count(*) AS notes', 'count(*) AS number'))
      const { status, output } = generate(folder, '--check')
      writeFileSync(file, QUERIES)
      assert.equal(status, 1)
      assert.match(output, /src\/queries\.ts is not what sql\/ says\. Run: npx duolect generate/)
    })
  })

  test('makes the project of docs/modules.md work', async () => {
    const page = readFileSync(join(root, 'docs', 'modules.md'), 'utf8')
    const blocks = [...page.matchAll(/^```\w+\n(?:--|\/\/) (\S+\.(?:sql|ts))\n([\s\S]*?)^```$/gm)]
    const folder = project('page', Object.fromEntries(blocks.map(([, path = '', text = '']) => [path, text])))
    const { output } = generate(folder)
    assert.match(output, /^Wrote src\/queries\.ts: 2 queries and 1 migration/)
    const printed = await bundleAndRun(folder, [])
    assert.equal(printed, `${/console\.log.* \/\/ (.*)/.exec(page)?.[1]}\n`)
    assert.match(await bundleAndRun(folder, [], 'test/notes.test.ts'), / pass 2\n. fail 0\n/)
    const check = duolect(folder, 'check', '--postgres', process.env.TEST_PG_URL as string)
    assert.match(check.output, /^2 queries: 2 same\./)
    const [interfaces = ''] = page.match(/^export interface PerDayRow[\s\S]*?^```$/m) ?? []
    const text = readFileSync(join(folder, 'src', 'queries.ts'), 'utf8')
    for (const [part] of interfaces.matchAll(/^export interface [\s\S]*?^}$/gm)) assert.ok(text.includes(part), part)
  })

  test('makes the example, in which the check finds no difference', () => {
    const folder = project('example', {})
    cpSync(join(root, 'examples', 'notes', 'sql'), join(folder, 'sql'), { recursive: true })
    assert.match(generate(folder).output, /^Wrote src\/queries\.ts: 6 queries and 2 migrations/)
    const text = readFileSync(join(folder, 'src', 'queries.ts'), 'utf8')
    assert.equal(text, readFileSync(join(root, 'examples', 'notes', 'src', 'queries.ts'), 'utf8'))
    const { output } = duolect(folder, 'check', '--postgres', process.env.TEST_PG_URL as string)
    assert.match(output, /^6 queries: 6 same\./)
  })

  test('for one database needs no other', () => {
    const folder = project('one', {
      'sql/migrations/0001-one.sql': 'CREATE TABLE one (n INTEGER) STRICT;',
      'sql/notes.sql': '-- name: one :one\nSELECT 1 AS n, typeof(:x) AS t;'
    })
    const { status, output } = duolect(folder, 'generate', '--dialect', 'sqlite', '--out', 'one.ts')
    assert.equal(status, 0, output)
    const text = readFileSync(join(folder, 'one.ts'), 'utf8')
    assert.match(text, /sqlite: `SELECT 1 AS n, typeof\(:x\) AS t`\n/)
    assert.match(text, /name: '0001-one',\n {4}sqlite: `CREATE TABLE one/)
    assert.doesNotMatch(text, /postgres/)
  })

  test('runs steps in TypeScript, and the migrations that a module needs', () => {
    const folder = project('steps', {
      'notes/migrations/0001-tables.sql': TABLES,
      'sql/migrations/0001-step.ts':
        "export default async (tx: { exec(sql: string): Promise<void> }) => tx.exec('CREATE TABLE marks (note BIGINT NOT NULL)')",
      'sql/marks.sql': '-- name: marked :all\nSELECT id, body FROM notes JOIN marks ON note = id;'
    })
    const parameters = ['generate', '--needs', 'notes', '--postgres', process.env.TEST_PG_URL as string]
    // Node 20 imports steps in TypeScript with this.
    const { status, output } = run(folder, parameters, { NODE_OPTIONS: '--import tsx' })
    assert.equal(status, 0, output)
    const text = readFileSync(join(folder, 'src', 'queries.ts'), 'utf8')
    assert.match(text, /import step0 from '\.\.\/sql\/migrations\/0001-step\.ts'/)
    assert.match(text, /migrations: readonly Migration\[\] = \[\n {2}\{ name: '0001-step', step: step0 \}\n\]/)
    assert.match(text, /body: string \| null/)
  })

  for (const [title, parameters, status, message] of [
    ['a command that there is not', ['generat'], 2, /There is no command "generat"; did you mean "generate"\?/],
    ['an option that there is not', ['generate', '--sq', 'x'], 2, /Unknown option '--sq'/],
    ['a dialect that there is not', ['generate', '--dialect', 'mysql'], 2, /--dialect is sqlite or postgres, got "mysql"/],
    ['a folder that there is not', ['generate', '--sql', 'absent'], 2, /There is no folder absent.*--sql DIR/],
    ['a mistake in a file', ['generate'], 1, /^sql\/a\.sql:1:12: Unknown call ":al"; did you mean ":all"\?\n {2}1 \| -- name: a :al\n/]
  ] as const) {
    test(`says what is wrong with ${title}`, () => {
      const folder = project(title, { 'sql/a.sql': '-- name: a :al\nSELECT 1' })
      const ended = duolect(folder, ...parameters)
      assert.equal(ended.status, status)
      assert.match(ended.output, message)
    })
  }

  test('says which migration a database refuses', () => {
    const folder = project('refused', { 'sql/migrations/0001-a.sql': 'CREATE TABLE a (id TEXT PRIMARY);' })
    const { status, output } = duolect(folder, 'generate', '--dialect', 'sqlite')
    assert.equal(status, 1)
    assert.match(output, /On sqlite: The migration "0001-a" of the module "sql" failed/)
  })

  test('warns of what no generated row reached, and takes its joins and expressions for nullable', () => {
    const folder = project('unreached', {
      'sql/migrations/0001-a.sql':
        "CREATE TABLE odd (id INTEGER NOT NULL PRIMARY KEY, a TEXT NOT NULL, CHECK (a = 'x' AND id = 7777777));\n" +
        'CREATE TABLE others (id INTEGER NOT NULL PRIMARY KEY, b TEXT NOT NULL);',
      'sql/a.sql': '-- name: odd :all\nSELECT odd.a, others.b, upper(odd.a) AS c FROM odd LEFT JOIN others ON others.id = odd.id;'
    })
    const { status, output } = generate(folder)
    assert.equal(status, 0, output)
    assert.match(output, /warning: No generated row of the table "odd" was accepted/)
    assert.match(output, /warning: sql\/a\.sql:1:10: no generated row reached "odd"/)
    const text = readFileSync(join(folder, 'src', 'queries.ts'), 'utf8')
    assert.match(text, /\{\n {2}a: string \| null\n {2}b: string \| null\n {2}c: string \| null\n\}/)
  })

  test('leaves `npx duolect schema` as it was', () => {
    const { status, output } = duolect(project('schema', {}), 'schema', '--postgres')
    assert.equal(status, 0)
    assert.match(output, /CREATE TABLE IF NOT EXISTS kvs/)
  })
})
