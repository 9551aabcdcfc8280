/** From settings to an adapter, opened once; the key-value store and the users on top. */
import type { Adapter, Dialect, Query, Queryable, QueryParameters, Row, RunResult, TransactionOptions } from './adapter.ts'
import { type DatabaseConfig, readSettings, type Settings } from './config.ts'
import { atCaller, closedError, DatabaseError } from './errors.ts'
import { type KeyValueStore, Store } from './kvs/kvs.ts'
import { callQuery } from './queries.ts'
import { assertOutside, standFor } from './scope.ts'
import { putUser, type User, type UserInput } from './users.ts'

/** A transaction's handle. */
export interface Transaction extends Omit<Queryable, 'transaction'> {
  /** The key-value store inside of the transaction. */
  readonly kvs: KeyValueStore
  /** Inserts or updates a user inside of the transaction. */
  saveUser(user: UserInput): Promise<User>
  /** Runs `body` in a savepoint: what it did is undone when it throws, and the rest goes on. */
  transaction<T>(body: (tx: Transaction) => T | PromiseLike<T>): Promise<T>
}

/** An open database. What it does on the adapter, `Database` does too. */
export interface OpenDatabase extends Omit<Adapter, 'transaction'> {
  /** Runs `body` in a transaction, which commits when it returns and rolls back when it throws. */
  transaction<T>(body: (tx: Transaction) => T | PromiseLike<T>, options?: TransactionOptions): Promise<T>
}

/** What `createDatabase` returns. Everything opens the database on first use. */
export interface Database extends Omit<OpenDatabase, 'isLocal'> {
  /** The key-value store. */
  readonly kvs: KeyValueStore
  /** The SQLite file's path, or the Postgres URL without its password. */
  readonly location: string
  /** Returns the open database, its tables created. A failed opening is not remembered. */
  get(): Promise<OpenDatabase>
  /** Inserts a user, or updates the fields that are given; returns the stored row. */
  saveUser(user: UserInput): Promise<User>
}

/**
 * Makes a database. Does no I/O: the first use opens it, once, however many wait for it.
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
  return new LazyDatabase(readSettings(config))
}

// On first use --------------------------------------------------------------------------------------------------

/** Hands everything to the adapter, which it opens on first use. */
class LazyHandle implements Queryable {
  readonly dialect: Dialect
  readonly isLocal: boolean
  readonly #settings: Settings
  readonly #onOpen: (adapter: Adapter) => void
  #adapter: Adapter | undefined
  #opening: Promise<Adapter> | undefined

  constructor(settings: Settings, onOpen: (adapter: Adapter) => void) {
    this.dialect = settings.dialect
    this.isLocal = settings.dialect === 'sqlite'
    this.#settings = settings
    this.#onOpen = onOpen
  }

  /** Whether it is open, so that the queries of its dialect are known. */
  get isOpen(): boolean {
    return this.#adapter !== undefined
  }

  /** The opening that is on its way, or one that begins now. Only success is remembered. */
  open(): Promise<Adapter> {
    this.#opening ??= openAdapter(this.#settings).then(
      adapter => {
        this.#onOpen(adapter)
        this.#adapter = adapter
        return adapter
      },
      error => {
        this.#opening = undefined
        throw error
      }
    )
    return this.#opening
  }

  all<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T[]> {
    return this.#adapter ? this.#adapter.all(query, parameters) : this.#afterOpening(adapter => adapter.all(query, parameters))
  }

  one<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T> {
    return this.#adapter ? this.#adapter.one(query, parameters) : this.#afterOpening(adapter => adapter.one(query, parameters))
  }

  maybeOne<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T | undefined> {
    return this.#adapter ? this.#adapter.maybeOne(query, parameters) : this.#afterOpening(adapter => adapter.maybeOne(query, parameters))
  }

  run(query: Query, parameters?: QueryParameters): Promise<RunResult> {
    return this.#adapter ? this.#adapter.run(query, parameters) : this.#afterOpening(adapter => adapter.run(query, parameters))
  }

  async *iterate<T extends object = Row>(query: Query, parameters?: QueryParameters): AsyncGenerator<T, void, undefined> {
    const adapter = this.#adapter ?? (await this.#afterOpening(async adapter => adapter))
    yield* adapter.iterate<T>(query, parameters)
  }

  exec(script: string): Promise<void> {
    return this.whenOpen(adapter => adapter.exec(script))
  }

  transaction<T>(body: (tx: Queryable) => T | PromiseLike<T>, options?: TransactionOptions): Promise<T> {
    return this.whenOpen(adapter => adapter.transaction(body, options))
  }

  /** Closes what is open, or will be in a moment. */
  async close(): Promise<void> {
    const adapter = await this.#opening?.catch(() => undefined)
    await adapter?.close()
  }

  /** Does the work at once when the adapter is open, else after that. */
  whenOpen<T>(work: (adapter: Adapter) => Promise<T>): Promise<T> {
    return this.#adapter ? work(this.#adapter) : this.#afterOpening(work)
  }

  async #afterOpening<T>(work: (adapter: Adapter) => Promise<T>): Promise<T> {
    let adapter: Adapter
    try {
      adapter = await this.open()
    } catch (error) {
      throw atCaller(error)
    }
    try {
      return await work(adapter)
    } catch (error) {
      throw atCaller(error)
    }
  }
}

/** The driver's module is loaded when it is needed, so that who uses one database can leave the other's out. */
async function openAdapter(settings: Settings): Promise<Adapter> {
  if (settings.dialect === 'sqlite') warnOfHeroku(settings.location)
  const adapter =
    settings.dialect === 'sqlite'
      ? await (await import('./drivers/sqlite/driver.ts')).openSqlite(settings)
      : await (await import('./drivers/postgres/driver.ts')).openPostgres(settings)
  try {
    // Looking first costs less than the lock, and a role that may not create tables can use those that are there.
    const { count } = await callQuery(adapter, 'countTables')
    if (count < 2) await callQuery(adapter, 'createTables').catch(explainSchema)
    return adapter
  } catch (error) {
    await adapter.close()
    throw error
  }
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

// The store on every handle -------------------------------------------------------------------------------------

/** Passes on what needs no opening. */
abstract class Passing {
  readonly dialect: Dialect
  readonly isLocal: boolean
  protected readonly inner: Queryable

  constructor(inner: Queryable) {
    this.dialect = inner.dialect
    this.isLocal = inner.isLocal ?? false
    this.inner = inner
  }

  all<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T[]> {
    return this.inner.all(query, parameters)
  }

  one<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T> {
    return this.inner.one(query, parameters)
  }

  maybeOne<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T | undefined> {
    return this.inner.maybeOne(query, parameters)
  }

  run(query: Query, parameters?: QueryParameters): Promise<RunResult> {
    return this.inner.run(query, parameters)
  }

  iterate<T extends object = Row>(query: Query, parameters?: QueryParameters): AsyncIterable<T> {
    return this.inner.iterate(query, parameters)
  }

  exec(script: string): Promise<void> {
    return this.inner.exec(script)
  }
}

class TransactionWithStore extends Passing implements Transaction {
  readonly #maxValueBytes: number
  #store: Store | undefined

  constructor(inner: Queryable, maxValueBytes: number) {
    super(inner)
    this.#maxValueBytes = maxValueBytes
  }

  get kvs(): KeyValueStore {
    this.#store ??= new Store(this.inner, { isTransaction: true, maxValueBytes: this.#maxValueBytes })
    return this.#store
  }

  saveUser(user: UserInput): Promise<User> {
    return putUser(this.inner, user)
  }

  transaction<T>(body: (tx: Transaction) => T | PromiseLike<T>, options?: TransactionOptions): Promise<T> {
    const begin = () => this.inner.transaction(withStore(body, this.#maxValueBytes), options)
    return this.#store === undefined ? begin() : this.flush().then(begin)
  }

  /** Waits for calls of the store that the body did not await. */
  async flush(): Promise<void> {
    await this.#store?.flush()
  }
}

/** A body for the adapter, of a body that wants the store. */
function withStore<T>(body: (tx: Transaction) => T | PromiseLike<T>, maxValueBytes: number): (tx: Queryable) => T | PromiseLike<T> {
  // What is no function is refused where transaction() checks the rest.
  if (typeof body !== 'function') return body
  return async inner => {
    const tx = new TransactionWithStore(inner, maxValueBytes)
    const result = await body(tx)
    await tx.flush()
    return result
  }
}

class AdapterWithStore extends Passing implements OpenDatabase {
  readonly #maxValueBytes: number
  readonly #close: () => Promise<void>

  constructor(adapter: Adapter, maxValueBytes: number, close: () => Promise<void>) {
    super(adapter)
    standFor(this, adapter)
    this.#maxValueBytes = maxValueBytes
    this.#close = close
  }

  transaction<T>(body: (tx: Transaction) => T | PromiseLike<T>, options?: TransactionOptions): Promise<T> {
    return this.inner.transaction(withStore(body, this.#maxValueBytes), options)
  }

  close(): Promise<void> {
    return this.#close()
  }
}

class LazyDatabase implements Database {
  readonly dialect: Dialect
  readonly location: string
  readonly kvs: KeyValueStore
  readonly #handle: LazyHandle
  readonly #store: Store
  readonly #maxValueBytes: number
  #open: OpenDatabase | undefined
  #closing: Promise<void> | undefined

  constructor(settings: Settings) {
    this.dialect = settings.dialect
    this.location = settings.location
    this.#maxValueBytes = settings.maxValueBytes
    this.#handle = new LazyHandle(settings, adapter => standFor(this, adapter))
    this.#store = new Store(this.#handle, {
      isTransaction: false,
      maxValueBytes: settings.maxValueBytes,
      check: () => this.#check(),
      lazy: this.#handle
    })
    this.kvs = this.#store
  }

  async get(): Promise<OpenDatabase> {
    this.#check()
    try {
      const adapter = await this.#handle.open()
      this.#open ??= new AdapterWithStore(adapter, this.#maxValueBytes, () => this.close())
      return this.#open
    } catch (error) {
      throw atCaller(error)
    }
  }

  all<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T[]> {
    return this.#closing ? refuse() : this.#handle.all(query, parameters)
  }

  one<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T> {
    return this.#closing ? refuse() : this.#handle.one(query, parameters)
  }

  maybeOne<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T | undefined> {
    return this.#closing ? refuse() : this.#handle.maybeOne(query, parameters)
  }

  run(query: Query, parameters?: QueryParameters): Promise<RunResult> {
    return this.#closing ? refuse() : this.#handle.run(query, parameters)
  }

  async *iterate<T extends object = Row>(query: Query, parameters?: QueryParameters): AsyncGenerator<T, void, undefined> {
    this.#check()
    yield* this.#handle.iterate<T>(query, parameters)
  }

  exec(script: string): Promise<void> {
    return this.#closing ? refuse() : this.#handle.exec(script)
  }

  transaction<T>(body: (tx: Transaction) => T | PromiseLike<T>, options?: TransactionOptions): Promise<T> {
    if (this.#closing) return refuse()
    const begin = () => this.#handle.transaction(withStore(body, this.#maxValueBytes), options)
    return this.#store.isIdle ? begin() : this.#afterStore(begin)
  }

  /** Begins when the store's calls that were made before have taken effect. */
  async #afterStore<T>(begin: () => Promise<T>): Promise<T> {
    this.#check()
    await this.#store.flush()
    try {
      return await begin()
    } catch (error) {
      throw atCaller(error)
    }
  }

  saveUser(user: UserInput): Promise<User> {
    return this.#closing ? refuse() : this.#handle.whenOpen(adapter => putUser(adapter, user))
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      try {
        this.#check()
      } catch (error) {
        return Promise.reject(error)
      }
      this.#closing = this.#closeAll()
    }
    return this.#closing
  }

  async #closeAll(): Promise<void> {
    // Calls of the store that were made before are still to be sent.
    await this.#store.flush()
    await this.#handle.close()
  }

  /** Fails when the database must not be used now. */
  #check(): void {
    if (this.#closing) throw closedError()
    assertOutside(this)
  }
}

function refuse(): Promise<never> {
  return Promise.reject(closedError())
}
