/**
 * Handles: every public call, written once. A database and a transaction differ in when a call is allowed and in what
 * `transaction()` does; all else is `BaseHandle`.
 */
import type { Adapter, BoundStatement, Dialect, Row, RowCount, RunResult, TransactionOptions } from './adapter.ts'
import { clock } from './clock.ts'
import { atCaller, closedError, DatabaseError } from './errors.ts'
import { decodeRows, executeBatch, executeScript, executeStatement, queryRow, queryRows, type Runner, same, settle } from './execute.ts'
import { type KeyValueStore, Store } from './kvs/kvs.ts'
import type { Migration, Transact } from './migrations.ts'
import { assertOutside } from './scope.ts'
import { ALONE, GROUP, type Place } from './session-state.ts'
import { lastOfShape } from './shapes.ts'
import type { Sql } from './sql.ts'
import { bind, type Query, type QueryParameters, scriptOf } from './statement.ts'
import { checkTransaction, runTransaction, type TransactionSession } from './transaction.ts'
import { putUser, type User, type UserInput } from './users.ts'

// So that the types of this package compile where the compiler's library has no `Symbol.asyncDispose`.
declare global {
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol
  }
}

/** A query of `batch()`: a template, a string without parameters, or a string with its parameters. */
export type BatchQuery = Query | readonly [sql: string, parameters: QueryParameters]

/**
 * What runs statements: a database or a transaction. A module that takes a `Handle` works on both.
 *
 * Each method rejects with a `DatabaseError`. A missing, unexpected or `undefined` parameter is `invalid_parameter`,
 * before anything is sent. Values are taken when the call is made; changing an object or a Buffer later has no effect.
 */
export interface Handle {
  /** The database in use: `sqlite` or `postgres`. */
  readonly dialect: Dialect
  /** The key-value store. */
  readonly kvs: KeyValueStore
  /** Returns all rows, in the order in which the database gave them. */
  all<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T[]>
  /** Returns the one row. Fails with `no_data_found` or `too_many_rows` when there is another number of them. */
  one<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T>
  /** Returns the one row, or `undefined` without one. Fails with `too_many_rows` when there are more. */
  maybeOne<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T | undefined>
  /** Runs a statement whose rows do not matter, and returns the number of rows that it changed. */
  run(query: Query, parameters?: QueryParameters): Promise<RunResult>
  /**
   * Runs several statements, all or none, and returns the rows of each. On a database they are a transaction of their
   * own: one round trip on Postgres, a part of the shared commit on SQLite.
   *
   * @example
   * await db.batch([sql`DELETE FROM marks`, ['INSERT INTO marks (id) VALUES ($1)', [1]]])
   */
  batch<T extends object = Row>(queries: readonly BatchQuery[]): Promise<T[][]>
  /**
   * Yields the rows of a statement that reads, in bounded memory. The rows are those of the moment when the
   * loop began. Leaving the loop early frees what it held. A loop that takes no row for 10 × `timeouts.query` is
   * ended; its next step fails with `idle_in_transaction_session_timeout`.
   */
  iterate<T extends object = Row>(query: Query, parameters?: QueryParameters): AsyncIterable<T>
  /** Runs a script of several statements, a string or a template without values: all of it, or on an error none. */
  exec(script: string | Sql): Promise<void>
  /** Inserts a user, or updates the fields that are given; returns the stored row. */
  saveUser(user: UserInput): Promise<User>
  /**
   * Runs `body` in a transaction: commits when it returns, rolls back when it throws, and returns or throws
   * the same. Inside a transaction it nests as a savepoint, which takes no options.
   *
   * Inside the body, only the handle that the body gets may be used; another is `wrong_handle`. That handle fails
   * after the body has ended.
   */
  transaction<T>(body: (tx: Transaction) => T | PromiseLike<T>, options?: TransactionOptions): Promise<T>
  /**
   * Runs the migrations of a module that have not run in this database: in order, each in a transaction with its
   * record. Any number of processes may call it at once. Inside a transaction it is `active_sql_transaction`.
   *
   * @param module the module's name; each has migrations of its own
   * @returns the names of those that ran now
   * @throws DatabaseError `migration_mismatch` when a migration was changed after it ran, is missing, or stands
   *   before one that has run; else the code of the statement that failed
   *
   * @example
   * await db.migrate('notes', migrations)
   */
  migrate(module: string, migrations: readonly Migration[]): Promise<string[]>
}

/** The handle of a transaction. */
export interface Transaction extends Handle {}

/** What `createDatabase` returns. Every call opens the database on first use. */
export interface Database extends Handle {
  /** The SQLite file's path, or the Postgres URL without its password. */
  readonly location: string
  /** Opens the database, creates its tables, and returns this handle. A failed opening is not remembered. */
  get(): Promise<Database>
  /** Waits for what runs, then closes. Closing again does nothing; any other call afterwards is `closed`. */
  close(): Promise<void>
  /** Closes the database, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** The adapter of a database: opened on first use. */
export interface OpeningAdapter extends Adapter {
  /** Opens it, if that was not done before. */
  open(): Promise<unknown>
}

/** A loop over `iterate()`. */
interface RowLoop {
  /** True while the loop waits for rows. */
  isWaiting: boolean
  /** Number of rows that the loop has taken. */
  rowsTaken: number
  /** Why it was ended before its time. */
  reason: DatabaseError | undefined
  /** Frees what it holds. */
  end(): Promise<unknown>
}

export abstract class BaseHandle<R extends Runner = Runner> implements Handle {
  readonly dialect: Dialect
  /** @internal What the statements run on. */
  readonly runner: R
  protected readonly loops = new Set<RowLoop>()
  /** ms that a loop over `iterate()` may take no row; 0 for no limit. */
  protected readonly loopLimit: number = 0
  /** Its own store, once it was used, and those that `createKeyValueStore` made. */
  protected readonly stores: Store[] = []
  protected readonly maxValueBytes: number
  readonly #lockLimit: number
  #store: Store | undefined

  /** @param lockLimit how long a key of the store waits for the lock of another client, in ms; 0 for no limit */
  constructor(runner: R, maxValueBytes: number, lockLimit = 0) {
    this.dialect = runner.dialect
    this.runner = runner
    this.maxValueBytes = maxValueBytes
    this.#lockLimit = lockLimit
  }

  get kvs(): KeyValueStore {
    this.#store ??= this.createStore(this.maxValueBytes)
    return this.#store
  }

  /** @internal */
  createStore(maxValueBytes: number): Store {
    const store = new Store(this.runner, maxValueBytes, this.#lockLimit, () => this.assertUsable())
    this.stores.push(store)
    return store
  }

  /** @internal Waits for calls of the stores that were not awaited, so that they take effect before what comes next. */
  async flush(): Promise<void> {
    for (const store of this.stores) if (!store.isIdle) await store.flush()
  }

  abstract transaction<T>(body: (tx: Transaction) => T | PromiseLike<T>, options?: TransactionOptions): Promise<T>
  abstract migrate(module: string, migrations: readonly Migration[]): Promise<string[]>
  /** @internal Fails when no call may be made now. */
  abstract assertUsable(): void
  /** Where a statement runs that is called by itself, and those of a batch or a script. */
  protected abstract readonly place: Place
  protected abstract readonly groupPlace: Place

  all<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T[]> {
    try {
      this.assertUsable()
      return queryRows(this.runner, bind(query, parameters, this.dialect, this.place)) as Promise<T[]>
    } catch (error) {
      return this.#reject(error)
    }
  }

  one<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T> {
    return this.#queryRow<T>(query, parameters, 'one')
  }

  maybeOne<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T | undefined> {
    return this.#queryRow<T | undefined>(query, parameters, 'one or none')
  }

  #queryRow<T>(query: Query, parameters: QueryParameters | undefined, expects: RowCount): Promise<T> {
    try {
      this.assertUsable()
      return queryRow(this.runner, bind(query, parameters, this.dialect, this.place, expects))
    } catch (error) {
      return this.#reject(error)
    }
  }

  #reject(error: unknown): Promise<never> {
    this.refused(error)
    return Promise.reject(atCaller(error))
  }

  /** Called with the error of a call that was refused before anything was sent. */
  protected refused(_error: unknown): void {}

  run(query: Query, parameters?: QueryParameters): Promise<RunResult> {
    try {
      this.assertUsable()
      return executeStatement(this.runner, bind(query, parameters, this.dialect, this.place))
    } catch (error) {
      return this.#reject(error)
    }
  }

  batch<T extends object = Row>(queries: readonly BatchQuery[]): Promise<T[][]> {
    try {
      this.assertUsable()
      if (!Array.isArray(queries)) {
        throw new DatabaseError('invalid_parameter', `batch() expects an array of queries, got ${typeof queries}.`)
      }
      if (queries.length === 0) return Promise.resolve([])
      const statements: BoundStatement[] = []
      for (let i = 0; i < queries.length; i++) statements.push(this.#bindBatchQuery(queries[i] as BatchQuery, i))
      return executeBatch(this.runner, statements) as Promise<T[][]>
    } catch (error) {
      return this.#reject(error)
    }
  }

  #bindBatchQuery(query: BatchQuery, i: number): BoundStatement {
    try {
      if (!Array.isArray(query)) return bind(query as Query, undefined, this.dialect, this.groupPlace)
      if (query.length !== 2 || typeof query[0] !== 'string') {
        throw new DatabaseError('invalid_parameter', 'Expected a template, a string, or [string, parameters].')
      }
      return bind(query[0], query[1], this.dialect, this.groupPlace)
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error
      throw new DatabaseError(error.code, `Query ${i + 1} of batch(): ${error.message}`, { sql: error.sql })
    }
  }

  iterate<T extends object = Row>(query: Query, parameters?: QueryParameters): AsyncGenerator<T, void, undefined> {
    try {
      this.assertUsable()
      return this.#rows<T>(bind(query, parameters, this.dialect, this.place))
    } catch (error) {
      this.refused(error)
      return failing(atCaller(error))
    }
  }

  async *#rows<T>(statement: BoundStatement): AsyncGenerator<T, void, undefined> {
    // The loop may begin long after the call.
    this.assertUsable()
    const portions = this.runner.stream(statement)[Symbol.asyncIterator]()
    const loop: RowLoop = { isWaiting: true, rowsTaken: 0, reason: undefined, end: async () => portions.return?.() }
    this.loops.add(loop)
    const watch = this.#endWhenAbandoned(loop)
    try {
      while (true) {
        loop.isWaiting = true
        const portion = await settle(this.runner, statement, () => portions.next(), same)
        loop.isWaiting = false
        if (portion.done) return
        for (const row of decodeRows(this.runner, portion.value, statement)) {
          loop.rowsTaken++
          yield row as T
          if (loop.reason !== undefined) throw loop.reason
        }
      }
    } finally {
      clearInterval(watch)
      this.loops.delete(loop)
      await loop.end()
    }
  }

  /** Ends a loop that takes no row for too long: it would hold a connection, and what it reads, for ever. */
  #endWhenAbandoned(loop: RowLoop): NodeJS.Timeout | undefined {
    if (this.loopLimit === 0) return undefined
    let [looks, seen] = [0, 0]
    const watch = setInterval(() => {
      looks = loop.isWaiting || loop.rowsTaken !== seen ? 0 : looks + 1
      seen = loop.rowsTaken
      if (looks < LOOKS) return
      clearInterval(watch)
      this.loops.delete(loop)
      loop.reason = new DatabaseError(
        'idle_in_transaction_session_timeout',
        `The loop over iterate() was ended: it took no row for ${this.loopLimit} ms (10 × timeouts.query). Leave a loop with break or ` +
          'return(), and do slow work after it.'
      )
      void loop.end()
    }, this.loopLimit / LOOKS)
    // A number on Cloudflare Workers.
    watch.unref?.()
    return watch
  }

  exec(script: string | Sql): Promise<void> {
    try {
      this.assertUsable()
      return executeScript(this.runner, scriptOf(script, this.dialect, this.groupPlace))
    } catch (error) {
      return this.#reject(error)
    }
  }

  saveUser(user: UserInput): Promise<User> {
    try {
      this.assertUsable()
      return putUser(this.runner, user)
    } catch (error) {
      return this.#reject(error)
    }
  }
}

/** How often within its limit a loop is looked at, so that it is not ended before that. */
const LOOKS = 10

/** An iteration that fails at its first step, as a rejected promise does when it is awaited. */
// biome-ignore lint/correctness/useYield: the type is that of an iteration
async function* failing(error: unknown): AsyncGenerator<never, void, undefined> {
  throw error
}

// The database --------------------------------------------------------------------------------------------------

/** After this time without taking a row, `close()` takes a loop for abandoned, in ms. */
const ABANDONED_AFTER = 1_000

/** What a handle needs to know beside its adapter. */
export interface HandleOptions {
  readonly location: string
  readonly maxValueBytes: number
  /** How long work waits for the locks of others, in ms; 0 for no limit. */
  readonly lockLimit: number
  /** ms after which a transaction whose body runs no statement is rolled back; 0 for no limit. */
  readonly idleLimit: number
  /** ms that a loop over `iterate()` may take no row; 0 for no limit. */
  readonly loopLimit: number
}

export class DatabaseHandle extends BaseHandle<OpeningAdapter> implements Database {
  readonly location: string
  protected readonly place = ALONE
  protected readonly groupPlace = GROUP
  protected override readonly loopLimit: number
  readonly #options: HandleOptions
  readonly #transactions = new Set<Promise<unknown>>()
  #closing: Promise<void> | undefined

  constructor(adapter: OpeningAdapter, options: HandleOptions) {
    super(adapter, options.maxValueBytes, options.lockLimit)
    this.location = options.location
    this.loopLimit = options.loopLimit
    this.#options = options
  }

  assertUsable(): void {
    if (this.#closing !== undefined) throw closedError()
    assertOutside(this.runner)
  }

  async get(): Promise<Database> {
    this.assertUsable()
    try {
      await this.runner.open()
      return this
    } catch (error) {
      throw atCaller(error)
    }
  }

  async transaction<T>(body: (tx: Transaction) => T | PromiseLike<T>, options: TransactionOptions = {}): Promise<T> {
    this.assertUsable()
    checkTransaction(body, options)
    return this.#untilDone(this.#transaction(body, options))
  }

  /** Lets `close()` wait for the work. */
  async #untilDone<T>(work: Promise<T>): Promise<T> {
    this.#transactions.add(work)
    try {
      return await work
    } finally {
      this.#transactions.delete(work)
    }
  }

  async #transaction<T>(body: (tx: Transaction) => T | PromiseLike<T>, options: TransactionOptions): Promise<T> {
    // The store's calls that were made before take effect before.
    if (this.stores.some(store => !store.isIdle)) await this.flush()
    return runTransaction(this.runner, options, this.#options.idleLimit, session => runBody(session, this.maxValueBytes, body))
  }

  async migrate(module: string, migrations: readonly Migration[]): Promise<string[]> {
    this.assertUsable()
    try {
      return await this.#untilDone(this.#migrate(module, migrations))
    } catch (error) {
      throw atCaller(error)
    }
  }

  async #migrate(module: string, migrations: readonly Migration[]): Promise<string[]> {
    const { runner, maxValueBytes } = this
    const { idleLimit } = this.#options
    const transact: Transact = (options, body) =>
      runTransaction(runner, options, idleLimit, session => runBody(session, maxValueBytes, tx => body(tx, session)))
    // Loaded on demand, since most programs that run statements run no migrations.
    const { migrateModule } = await import('./migrations.ts')
    return migrateModule({ runner, transact, waitLimit: idleLimit }, module, migrations)
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      try {
        assertOutside(this.runner)
      } catch (error) {
        return Promise.reject(error)
      }
      this.#closing = this.#close()
    }
    return this.#closing
  }

  async #close(): Promise<void> {
    await Promise.all(this.stores.map(store => store.settled()))
    await Promise.allSettled(this.#transactions)
    await this.#endLoops()
    await this.runner.close()
  }

  /** Waits for loops that go on. One that was left without `return()` would be waited for for ever, so it is ended. */
  async #endLoops(): Promise<void> {
    const seen = new Map<RowLoop, { rowsTaken: number; at: number }>()
    while (this.loops.size > 0) {
      for (const loop of this.loops) {
        const last = seen.get(loop)
        if (last === undefined || loop.isWaiting || last.rowsTaken !== loop.rowsTaken) {
          seen.set(loop, { rowsTaken: loop.rowsTaken, at: clock() })
        } else if (clock() - last.at >= ABANDONED_AFTER) {
          loop.reason = closedError()
          this.loops.delete(loop)
          await loop.end()
        }
      }
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

// A transaction -------------------------------------------------------------------------------------------------

/** Runs the body of a transaction or a savepoint, and waits for what it asked of the store and did not await. */
async function runBody<T>(session: TransactionSession, maxValueBytes: number, body: (tx: Transaction) => T | PromiseLike<T>): Promise<T> {
  const tx = new TransactionHandle(session, maxValueBytes)
  lastOfShape.handle = tx
  const result = await body(tx)
  await tx.flush()
  return result
}

class TransactionHandle extends BaseHandle<TransactionSession> implements Transaction {
  protected readonly place = this.runner.place
  protected readonly groupPlace = this.runner.place

  assertUsable(): void {
    this.runner.assertUsable()
  }

  /** A body that means to end its transaction must not go on in it. */
  protected override refused(error: unknown): void {
    if (error instanceof DatabaseError && error.code === 'invalid_transaction_termination') this.runner.fail(error)
  }

  async transaction<T>(body: (tx: Transaction) => T | PromiseLike<T>, options: TransactionOptions = {}): Promise<T> {
    this.assertUsable()
    checkTransaction(body, options)
    if (Object.values(options).some(value => value !== undefined)) {
      throw new DatabaseError('invalid_parameter', 'A nested transaction has no options of its own; give them to the outermost.')
    }
    if (this.stores.length > 0) await this.flush()
    return this.runner.savepoint(session => runBody(session, this.maxValueBytes, body))
  }

  async migrate(): Promise<never> {
    throw new DatabaseError(
      'active_sql_transaction',
      'migrate() runs each migration in a transaction of its own; call it on the database, outside of transaction().'
    )
  }
}
