/** From settings to a driver, opened once, on first use. */
import type { Adapter, BeginOptions, BoundStatement, Dialect, Row, RunResult, Session } from './adapter.ts'
import { type DatabaseConfig, DEFAULT_TIMEOUTS, loopLimitOf, readSettings, type Settings, type Timeouts } from './config.ts'
import { DatabaseError, rethrowAtCaller } from './errors.ts'
import { executeBatch } from './execute.ts'
import { BaseHandle, type Database, DatabaseHandle, type Handle, type HandleOptions, type OpeningAdapter } from './handle.ts'
import { type KeyValueStore, Store } from './kvs/kvs.ts'
import { DEFAULT_MAX_VALUE_BYTES } from './kvs/limits.ts'
import { callQuery, textOf } from './queries.ts'
import { assertOutside } from './scope.ts'
import { putUser, type User, type UserInput } from './users.ts'

/**
 * Makes a database. Does no I/O: the first use opens it, once, however many callers wait for it.
 *
 * @param config settings, a `postgres://` URL, or the path of a SQLite file; what is left out comes from the
 *   environment
 * @throws DatabaseError `invalid_configuration`, naming the setting
 *
 * @example
 * const db = createDatabase()
 * await db.all(sql`SELECT * FROM users WHERE first_name = ${'Sylvain'}`)
 */
export function createDatabase(config?: DatabaseConfig | string): Database {
  const settings = readSettings(config)
  const { dialect, location, maxValueBytes, timeouts } = settings
  const traits = dialect === 'sqlite' ? { dialect, isInProcess: true } : { dialect, maxConnections: settings.maxConnections }
  const adapter = new AdapterOnFirstUse(traits, () => openDriver(settings))
  return new DatabaseHandle(adapter, { location, maxValueBytes, ...limitsOf(timeouts) })
}

/**
 * Makes a database on an adapter of your own: all calls of a handle, the key-value store and the users. duolect's
 * tables are created on first use where they are missing.
 *
 * @example
 * const db = createDatabaseFrom(new MyAdapter())
 */
export function createDatabaseFrom(adapter: Adapter): Database {
  checkDialect(adapter)
  const onFirstUse = new AdapterOnFirstUse(adapter, async () => {
    await createTables(adapter)
    return adapter
  })
  const options = { location: 'an adapter', maxValueBytes: DEFAULT_MAX_VALUE_BYTES, ...limitsOf(DEFAULT_TIMEOUTS) }
  return new DatabaseHandle(onFirstUse, options)
}

function limitsOf(timeouts: Timeouts): Pick<HandleOptions, 'lockLimit' | 'idleLimit' | 'loopLimit'> {
  return { lockLimit: timeouts.lock, idleLimit: timeouts.query, loopLimit: loopLimitOf(timeouts) }
}

/**
 * Makes a key-value store of its own on a database, or on an adapter whose database has a `kvs` table.
 *
 * @param maxValueBytes maximum size of a value, in bytes of its JSON text
 */
export function createKeyValueStore(on: Handle | Adapter, maxValueBytes: number = DEFAULT_MAX_VALUE_BYTES): KeyValueStore {
  if (on instanceof BaseHandle) return on.createStore(maxValueBytes)
  if ('kvs' in on) return on.kvs
  checkDialect(on)
  return new Store(on, maxValueBytes, DEFAULT_TIMEOUTS.lock, () => assertOutside(on))
}

/**
 * Inserts a user, or updates the fields that are given, on any handle, or on an adapter whose database has a `users`
 * table. A row that was returned before may be given again.
 *
 * @returns the stored row
 * @throws DatabaseError `invalid_parameter`, naming the field
 */
export function saveUser(on: Handle | Adapter, user: UserInput): Promise<User> {
  return 'saveUser' in on ? on.saveUser(user) : putUser(on, user)
}

function checkDialect({ dialect }: Adapter): void {
  if (dialect === 'sqlite' || dialect === 'postgres') return
  throw new DatabaseError(
    'invalid_configuration',
    `The dialect of an adapter must be "sqlite" or "postgres"; got ${JSON.stringify(dialect)}.`
  )
}

// Opening -------------------------------------------------------------------------------------------------------

/** What is known of an adapter before it is opened. */
type AdapterTraits = Pick<Adapter, 'dialect' | 'isInProcess' | 'maxConnections'>

/** An adapter that is opened when it is first used. Forwards every call to the driver. */
class AdapterOnFirstUse implements OpeningAdapter {
  readonly dialect: Dialect
  readonly isInProcess: boolean
  readonly maxConnections: number | undefined
  readonly #open: () => Promise<Adapter>
  #driver: Adapter | undefined
  #opening: Promise<Adapter> | undefined

  constructor({ dialect, isInProcess = false, maxConnections }: AdapterTraits, open: () => Promise<Adapter>) {
    this.dialect = dialect
    this.isInProcess = isInProcess
    this.maxConnections = maxConnections
    this.#open = open
  }

  /** The opening that is on its way, or one that begins now. Only success is remembered. */
  open(): Promise<Adapter> {
    this.#opening ??= this.#open().then(
      driver => {
        this.#driver = driver
        return driver
      },
      error => {
        this.#opening = undefined
        throw error
      }
    )
    return this.#opening
  }

  query(statement: BoundStatement): Row[] | Promise<Row[]> {
    return this.#driver === undefined ? this.#afterOpening(driver => driver.query(statement)) : this.#driver.query(statement)
  }

  execute(statement: BoundStatement): RunResult | Promise<RunResult> {
    return this.#driver === undefined ? this.#afterOpening(driver => driver.execute(statement)) : this.#driver.execute(statement)
  }

  batch(statements: readonly BoundStatement[]): Promise<Row[][]> {
    return this.#afterOpening(driver => (driver.batch === undefined ? executeBatch(driver, statements) : driver.batch(statements)))
  }

  stream(statement: BoundStatement): AsyncIterable<Row[]> {
    return this.#driver === undefined ? this.#streamAfterOpening(statement) : this.#driver.stream(statement)
  }

  async *#streamAfterOpening(statement: BoundStatement): AsyncGenerator<Row[], void, undefined> {
    yield* (await this.open()).stream(statement)
  }

  script(text: string): Promise<void> {
    return this.#afterOpening(driver => driver.script(text))
  }

  begin(options: BeginOptions): Promise<Session> {
    return this.#afterOpening(driver => driver.begin(options))
  }

  /** Closes what is open, or will be in a moment. */
  async close(): Promise<void> {
    const driver = await this.#opening?.catch(() => undefined)
    await driver?.close()
  }

  async #afterOpening<T>(work: (driver: Adapter) => T | Promise<T>): Promise<T> {
    return work(this.#driver ?? (await this.open().catch(rethrowAtCaller)))
  }
}

/** Loads the driver on demand, so you only install the package you use. */
async function openDriver(settings: Settings): Promise<Adapter> {
  if (settings.dialect === 'postgres') return withTables(await (await import('./drivers/postgres/driver.ts')).openPostgres(settings))
  warnOfHeroku(settings.location)
  const driver = await (await import('./drivers/sqlite/driver.ts')).openSqlite(settings)
  return settings.isReadOnly ? driver : withTables(driver)
}

/** Creates duolect's tables where they are missing; closes the adapter when that fails. */
async function withTables(adapter: Adapter): Promise<Adapter> {
  try {
    await createTables(adapter)
    return adapter
  } catch (error) {
    await adapter.close()
    throw error
  }
}

async function createTables(adapter: Adapter): Promise<void> {
  // Looking first costs less than the lock, and a role that may not create tables can use those that are there.
  const { count } = await callQuery(adapter, 'countTables')
  if (count === 2) return
  if (textOf('describeServer', adapter.dialect) !== undefined) await assertTakesWrites(adapter)
  await callQuery(adapter, 'createTables').catch(explainSchema)
}

async function assertTakesWrites(adapter: Adapter): Promise<void> {
  const { isStandby, isReadOnly } = await callQuery(adapter, 'describeServer')
  if (!isReadOnly) return
  throw new DatabaseError(
    'read_only',
    `The server ${isStandby ? 'is a standby' : 'takes no writes'}, and duolect's tables are not there yet. Open the primary once, or run what ` +
      '"npx duolect schema --postgres" prints there; a standby gets the tables from it.'
  )
}

function explainSchema(error: unknown): never {
  if (!(error instanceof DatabaseError && error.code === 'insufficient_privilege')) throw error
  throw new DatabaseError(
    error.code,
    `duolect's tables are not there, and the role may not create them: ${error.message}. Have an owner of the schema run ` +
      'what "npx duolect schema --postgres" prints.',
    { cause: error.cause }
  )
}

let hasWarned = false

function warnOfHeroku(location: string): void {
  if (hasWarned || !process.env.DYNO || location === ':memory:') return
  hasWarned = true
  process.emitWarning(
    'Heroku deletes the files of a dyno every day, so this SQLite database will be lost. Set DATABASE=postgres and ' +
      'PG_SSL=no-verify to use the Postgres of DATABASE_URL.',
    { code: 'DUOLECT_HEROKU' }
  )
}
