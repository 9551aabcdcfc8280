/**
 * The databases that the suite runs on: one list, and a loop. `SUITE_DATABASES=sqlite,postgres` picks some.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe } from 'node:test'
import pg from 'pg'
import { createDatabase, type Database, type DatabaseConfig, type Dialect } from '../../src/index.ts'

export interface TestDatabase {
  readonly name: string
  readonly dialect: Dialect
  /** Whether several handles can open the same database. */
  readonly isShared: boolean
  /** The configuration of an empty database of the running test's own. */
  config(): Promise<DatabaseConfig>
  /** Opens an empty database that is closed after the test. */
  open(config?: DatabaseConfig): Promise<Database>
  /** Has another handle closed after the test. */
  closeAfterTest(database: Database): Database
}

interface Source {
  readonly name: string
  readonly dialect: Dialect
  readonly isShared: boolean
  /** Called once in each file, and told where the file's things are to be kept. */
  create(): { config(): Promise<DatabaseConfig>; remove(): Promise<void> }
}

/** The package that the SQLite tests run on; `DUOLECT_TEST_SQLITE=node:sqlite` picks the other. */
const driver = process.env.DUOLECT_TEST_SQLITE as 'better-sqlite3' | 'node:sqlite' | undefined

const sqliteFile: Source = {
  name: 'sqlite',
  dialect: 'sqlite',
  isShared: true,
  create() {
    const directory = mkdtempSync(join(tmpdir(), 'duolect-test-'))
    let count = 0
    return {
      config: async () => ({ dataDir: join(directory, String(++count)), sqlite: { driver }, postgres: { enabled: false } }),
      remove: async () => rmSync(directory, { recursive: true, force: true })
    }
  }
}

const sqliteMemory: Source = {
  name: 'sqlite in memory',
  dialect: 'sqlite',
  isShared: false,
  create: () => ({
    config: async () => ({ sqlite: { location: ':memory:', driver }, postgres: { enabled: false } }),
    remove: async () => undefined
  })
}

/** Each test has a schema of its own: that takes a few milliseconds, a database of its own a hundred. */
const postgres: Source = {
  name: 'postgres',
  dialect: 'postgres',
  isShared: true,
  create() {
    const url = process.env.TEST_PG_URL
    if (!url) throw new Error('TEST_PG_URL is not set. Run the tests with "npm test", which starts a server.')
    const prefix = `test_${process.pid}_${Date.now().toString(36)}`
    const schemas: string[] = []
    const admin = new pg.Client({ connectionString: url })
    let connected: Promise<unknown> | undefined
    return {
      async config() {
        connected ??= admin.connect()
        await connected
        const schema = `${prefix}_${schemas.length}`
        schemas.push(schema)
        await admin.query(`CREATE SCHEMA ${schema}`)
        const separator = url.includes('?') ? '&' : '?'
        return { postgres: { enabled: true, connection: `${url}${separator}options=-c%20search_path%3D${schema}` } }
      },
      async remove() {
        if (connected === undefined) return
        for (const schema of schemas) await admin.query(`DROP SCHEMA ${schema} CASCADE`)
        await admin.end()
      }
    }
  }
}

const sources = { sqlite: sqliteFile, memory: sqliteMemory, postgres }

function selected(): Source[] {
  const names = process.env.SUITE_DATABASES?.split(',') ?? Object.keys(sources)
  return names.map(name => {
    const source = (sources as Record<string, Source | undefined>)[name]
    if (source === undefined) throw new Error(`Unknown test database "${name}"; there are ${Object.keys(sources).join(', ')}.`)
    return source
  })
}

/** Describes behaviour on every database. */
export function onEachDatabase(title: string, define: (database: TestDatabase) => void): void {
  for (const source of selected()) describeOn(source, title, define)
}

/** Describes behaviour on the databases that several handles and processes can share. */
export function onEachSharedDatabase(title: string, define: (database: TestDatabase) => void): void {
  for (const source of selected()) if (source.isShared) describeOn(source, title, define)
}

function describeOn(source: Source, title: string, define: (database: TestDatabase) => void): void {
  describe(`${title} (${source.name})`, () => {
    const opened: Database[] = []
    let home: ReturnType<Source['create']>
    const database: TestDatabase = {
      name: source.name,
      dialect: source.dialect,
      isShared: source.isShared,
      config: () => home.config(),
      async open(config = {}) {
        const handle = createDatabase({ ...(await home.config()), ...config })
        opened.push(handle)
        await handle.get()
        return handle
      },
      closeAfterTest(handle) {
        opened.push(handle)
        return handle
      }
    }
    before(() => {
      home = source.create()
    })
    afterEach(async () => {
      await Promise.all(opened.splice(0).map(handle => handle.close()))
    })
    after(() => home.remove())
    define(database)
  })
}

/** A matcher for `assert.rejects` and `assert.throws`: the code, and the telling part of the message. */
export function failsWith(code: string, message: RegExp = /./): (error: unknown) => boolean {
  return error => {
    const { code: actual, message: text } = error as { code?: string; message?: string }
    if (actual !== code) throw new Error(`Expected the code ${code}, got ${actual}: ${text}`, { cause: error })
    if (!message.test(text ?? '')) throw new Error(`Expected a message like ${message}, got: ${text}`, { cause: error })
    return true
  }
}
