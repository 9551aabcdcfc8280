import assert from 'node:assert/strict'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { createDatabase, type DatabaseConfig } from '../src/index.ts'
import { readFolder } from '../src/tools/folder.ts'
import { writeModule } from '../src/tools/generate/write.ts'
import { type MigrateOptions, printStatus, runMigrations } from '../src/tools/migrate/command.ts'
import { commandLine } from './support/command-line.ts'
import { failsWith, onEachSharedDatabase } from './support/databases.ts'
import { finished } from './support/processes.ts'

const { project, duolect, start } = commandLine()

const FILES = {
  'package.json': '{ "name": "notes", "type": "module" }',
  'sql/migrations/0001-tables.sql': 'CREATE TABLE notes (id sql.autoId, body TEXT NOT NULL);',
  'sql/migrations/0002-first.js': 'export default async tx => tx.run("INSERT INTO notes (body) VALUES (\'first\')")'
}

let projects = 0
const notes = (more: Readonly<Record<string, string>> = {}) => project(`notes-${++projects}`, { ...FILES, ...more })

/** The environment in which `createDatabase()` opens a database. */
function environmentOf({ dataDir, postgres }: DatabaseConfig): NodeJS.ProcessEnv {
  return postgres?.enabled ? { DATABASE: 'postgres', DATABASE_URL: postgres.connection } : { DATABASE: '', DATA_DIR: dataDir }
}

/** The command in this process, as the command line calls it. */
async function run(
  command: typeof runMigrations,
  { dataDir, postgres }: DatabaseConfig,
  folder: string,
  options: Partial<MigrateOptions> = {}
): Promise<{ status: number; lines: string[] }> {
  const lines: string[] = []
  const database = dataDir === undefined ? postgres?.connection : join(dataDir, 'db.sqlite')
  const given: MigrateOptions = {
    sql: join(folder, 'sql'),
    name: undefined,
    needs: [],
    database,
    dialects: ['sqlite', 'postgres'],
    timeout: undefined
  }
  const status = await command({ ...given, ...options }, line => lines.push(line))
  // The place of the database and the times differ.
  return { status, lines: lines.map(line => line.replace(/ on .*:$/, ':').replace(/\d{4}-\d\d-\d\dT\S+Z$/, 'TIME')) }
}

onEachSharedDatabase('npx duolect migrate', database => {
  test('runs what has not run', async () => {
    const [folder, config] = [notes(), await database.config()]
    assert.deepEqual(await run(runMigrations, config, folder), { status: 0, lines: ['notes: ran 0001-tables', 'notes: ran 0002-first'] })
    assert.deepEqual(await run(runMigrations, config, folder), { status: 0, lines: ['notes: nothing to run; 2 migrations ran before'] })
    const db = database.closeAfterTest(createDatabase(config))
    assert.deepEqual(await db.all('SELECT body FROM notes'), [{ body: 'first' }])
  })

  test('records what db.migrate() records for the generated module', async () => {
    const [folder, config] = [notes(), await database.config()]
    const out = join(folder, 'queries.js')
    const options = { folder: 'sql', directory: folder, extension: '.js' } as const
    const { migrations: read } = readFolder(join(folder, 'sql'), ['sqlite', 'postgres'])
    writeFileSync(
      out,
      writeModule([], read, options)
        .replace(/^import .* from 'duolect'$/m, '')
        .replace(/: readonly .*(?= = )/, '')
    )
    const { migrations } = await import(out)
    const db = database.closeAfterTest(createDatabase(config))
    assert.deepEqual(await db.migrate('notes', migrations.slice(0, 1)), ['0001-tables'])
    assert.deepEqual((await run(runMigrations, config, folder)).lines, ['notes: ran 0002-first'])
    assert.deepEqual(await db.migrate('notes', migrations), [])
  })

  test('--status says what is to be done, and writes nothing', async () => {
    const [folder, config] = [notes(), await database.config()]
    assert.deepEqual(await run(printStatus, config, folder), {
      status: 1,
      lines: ['notes:', '  pending  0001-tables', '  pending  0002-first', 'pending: run "npx duolect migrate".']
    })
    if (config.dataDir !== undefined) assert.equal(existsSync(config.dataDir), false)
    await run(runMigrations, config, folder)
    assert.deepEqual(await run(printStatus, config, folder), {
      status: 0,
      lines: ['notes:', '  ran      0001-tables  TIME', '  ran      0002-first  TIME']
    })
  })

  test('--status names what was changed, is missing, or late, and migrate refuses it', async () => {
    const [folder, config] = [notes({ 'sql/migrations/0003-gone.sql': 'CREATE TABLE gone (id BIGINT);' }), await database.config()]
    await run(runMigrations, config, folder)
    const migrations = join(folder, 'sql', 'migrations')
    writeFileSync(join(migrations, '0001-tables.sql'), 'CREATE TABLE notes (id sql.autoId);')
    rmSync(join(migrations, '0003-gone.sql'))
    writeFileSync(join(migrations, '0000-late.sql'), 'CREATE TABLE late (id BIGINT);')
    const { status, lines } = await run(printStatus, config, folder)
    assert.equal(status, 1)
    assert.deepEqual(lines.slice(1, 5), [
      '  late     0000-late',
      '  changed  0001-tables  TIME',
      '  ran      0002-first  TIME',
      '  missing  0003-gone  TIME'
    ])
    await assert.rejects(run(runMigrations, config, folder), failsWith('migration_mismatch', /"0003-gone" .* is missing now/))
  })

  test('runs what a module needs first, each under its own name', async () => {
    const folder = project(`needs-${database.dialect}`, {
      'package.json': '{ "name": "marks", "type": "module" }',
      'modules/notes/package.json': FILES['package.json'],
      'modules/notes/sql/migrations/0001-tables.sql': FILES['sql/migrations/0001-tables.sql'],
      'sql/migrations/0001-marks.sql': 'CREATE TABLE marks (note BIGINT NOT NULL REFERENCES notes (id));'
    })
    const needs = [join(folder, 'modules', 'notes', 'sql')]
    assert.deepEqual((await run(runMigrations, await database.config(), folder, { needs })).lines, [
      'notes: ran 0001-tables',
      'marks: ran 0001-marks'
    ])
  })

  test('refuses another name of a module that has run', async () => {
    const [folder, config] = [notes(), await database.config()]
    await run(runMigrations, config, folder, { name: 'diary' })
    for (const command of [runMigrations, printStatus]) {
      await assert.rejects(run(command, config, folder), /^Error: The migrations of "notes" ran .* of the module "diary"\..*--name diary$/)
    }
  })

  test('takes the database of the environment, and six processes at once run each migration once', async () => {
    const [folder, config] = [notes(), await database.config()]
    const ended = await Promise.all(Array.from({ length: 6 }, () => finished(start(folder, ['migrate'], environmentOf(config)))))
    for (const { status, output } of ended) assert.equal(status, 0, output)
    const ran = ended.flatMap(({ output }) => output.split('\n').filter(line => line.includes(': ran ')))
    assert.deepEqual(ran.sort(), ['notes: ran 0001-tables', 'notes: ran 0002-first'])
    const db = database.closeAfterTest(createDatabase(config))
    assert.deepEqual(await db.all('SELECT body FROM notes'), [{ body: 'first' }])
  })
})

describe('npx duolect migrate', () => {
  test('takes the script of one dialect for a project that uses one', async () => {
    const folder = notes({ 'sql/migrations/0003-strict.sql': 'CREATE TABLE kept (id INTEGER) STRICT;' })
    const config = { dataDir: folder }
    assert.equal((await run(runMigrations, config, folder, { dialects: ['sqlite'] })).status, 0)
    await assert.rejects(
      run(runMigrations, { dataDir: join(folder, 'other') }, folder, { dialects: ['postgres'] }),
      failsWith('feature_not_supported', /"0001-tables" .* has no script for SQLite/)
    )
  })

  test('ends with 1 and names the migration that fails', () => {
    const folder = notes({ 'sql/migrations/0003-fails.sql': 'CREATE TABLE half (id BIGINT); INSERT INTO absent VALUES (1);' })
    const { status, output } = duolect(folder, ['migrate', '--database', 'own.sqlite'])
    assert.equal(status, 1)
    assert.match(output, /^The migration "0003-fails" of the module "notes" failed, and nothing of it was kept: .*absent/)
  })

  test('ends with 2 for an option that there is not', () => {
    const { status, output } = duolect(notes(), ['migrate', '--statuss'])
    assert.equal(status, 2)
    assert.match(output, /Unknown option '--statuss'/)
  })

  for (const [title, options, message] of [
    ['a folder that there is not', { sql: 'absent' }, /There is no folder absent/],
    ['a database of another kind', { database: 'mysql://localhost/a' }, /Expected a postgres:\/\/ URL or the path of a SQLite file/],
    ['a database in memory', { database: ':memory:' }, /A database in memory ends with this command/]
  ] as const) {
    test(`says what is wrong with ${title}`, async () => {
      await assert.rejects(run(runMigrations, { dataDir: 'absent' }, notes(), options), message)
    })
  }

  test('refuses two folders of one module', async () => {
    const folder = notes()
    await assert.rejects(
      run(runMigrations, { dataDir: folder }, folder, { needs: [join(folder, 'sql')] }),
      /Two folders are of the module "notes"/
    )
  })
})
