/**
 * What both drivers share: from the adapter's calls to the few things that a driver does. Here stand the
 * checks of a handle's use, the binding of parameters, and the transactions; nothing here knows a dialect.
 */
import type { Adapter, Dialect, Query, Queryable, QueryParameters, Row, RunResult, TransactionOptions } from '../adapter.ts'
import type { Timeouts } from '../config.ts'
import { atCaller, closedError, DatabaseError, withStatement } from '../errors.ts'
import { assertOutside, runInScope } from '../scope.ts'
import { type BoundStatement, bind, checkScript } from '../statement.ts'
import { isTraced, trace } from '../tracing.ts'

/** What runs statements. Each method fails with a `DatabaseError`. */
export interface Executor {
  /** Returns the rows; not as a promise when they are there at once. */
  query(bound: BoundStatement): Row[] | Promise<Row[]>
  execute(bound: BoundStatement): RunResult | Promise<RunResult>
  /** Yields the rows in portions. */
  stream(bound: BoundStatement): AsyncIterable<Row[]>
  script(text: string): Promise<void>
}

/** A connection that a transaction has for itself, from its BEGIN on. */
export interface Session extends Executor {
  /** Runs the text of a savepoint. */
  control(text: string): void | Promise<void>
  /** Commits and gives the connection back. */
  commit(): Promise<void>
  /** Rolls back and gives the connection back. Never fails: a connection that cannot roll back is closed. */
  rollback(): Promise<void>
}

/** What a driver has to do. `HandleOfDriver` makes an adapter of it. */
export interface Driver extends Executor {
  readonly dialect: Dialect
  readonly isLocal: boolean
  begin(options: TransactionOptions): Promise<Session>
  /** Waits for what runs, then closes. Called once. */
  close(): Promise<void>
}

/** How many rows an iteration takes at a time. */
export const PORTION = 100

/** The error for a statement that left another transaction state behind than it found. */
export function ownTransaction(): DatabaseError {
  return new DatabaseError(
    'invalid_transaction_termination',
    'A statement began or ended a transaction by itself; use transaction(), which does both. What was open has been rolled back; ' +
      'what it committed stays.'
  )
}

abstract class Handle implements Queryable {
  readonly dialect: Dialect
  readonly isLocal: boolean
  readonly #executor: Executor

  constructor(dialect: Dialect, isLocal: boolean, executor: Executor) {
    this.dialect = dialect
    this.isLocal = isLocal
    this.#executor = executor
  }

  /** Fails when the handle must not be used now. */
  protected abstract check(): void
  /** Fails when an iteration that has begun must not go on. */
  protected checkAlive(): void {}
  /** Told of an iteration's beginning and end. */
  protected iterationBegan(_iteration: Iteration): void {}
  protected iterationEnded(_iteration: Iteration): void {}
  /** Told of each statement that the database refused. */
  protected failed(_error: unknown): void {}
  /** Told when a statement begins, and when it has ended. */
  protected began(): void {}
  protected ended(): void {}

  abstract transaction<T>(body: (tx: Queryable) => T | PromiseLike<T>, options?: TransactionOptions): Promise<T>

  // These three answer without an asynchronous function of their own where the rows are there at once: that is most
  // of what a read of one row costs.

  all<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T[]> {
    return this.#answer(query, parameters, rows => rows as T[])
  }

  one<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T> {
    return this.#answer(query, parameters, rows => this.#one<T>(rows, query))
  }

  maybeOne<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T | undefined> {
    return this.#answer(query, parameters, rows => (rows.length <= 1 ? (rows[0] as T | undefined) : this.#tooMany(rows, query)))
  }

  #answer<T>(query: Query, parameters: QueryParameters | undefined, pick: (rows: Row[]) => T): Promise<T> {
    try {
      const rows = this.#rows(query, parameters)
      return Array.isArray(rows) ? Promise.resolve(pick(rows)) : this.#answerLater(rows, pick)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async #answerLater<T>(rows: Promise<Row[]>, pick: (rows: Row[]) => T): Promise<T> {
    try {
      return pick(await rows)
    } catch (error) {
      throw atCaller(error)
    }
  }

  #one<T>(rows: readonly Row[], query: Query): T {
    if (rows.length === 1) return rows[0] as T
    throw rows.length === 0
      ? wrongCount('no_data_found', 'one() expected one row, got none; where it may be missing, use maybeOne().', query, this.dialect)
      : wrongCount('too_many_rows', `one() expected one row, got ${rows.length}; for several, use all().`, query, this.dialect)
  }

  #tooMany(rows: readonly Row[], query: Query): never {
    throw wrongCount(
      'too_many_rows',
      `maybeOne() expected one row or none, got ${rows.length}; for several, use all().`,
      query,
      this.dialect
    )
  }

  async run(query: Query, parameters?: QueryParameters): Promise<RunResult> {
    this.check()
    const bound = bind(query, parameters, this.dialect)
    // Awaited, since a promise that is returned as it is takes this call out of the error's stack.
    return await this.#settle(bound, () => this.#executor.execute(bound))
  }

  async *iterate<T extends object = Row>(query: Query, parameters?: QueryParameters): AsyncGenerator<T, void, undefined> {
    this.check()
    const bound = bind(query, parameters, this.dialect)
    const portions = this.#executor.stream(bound)[Symbol.asyncIterator]()
    const iteration: Iteration = {
      isAsked: true,
      since: performance.now(),
      isOver: false,
      end: async () => void (await portions.return?.())
    }
    this.iterationBegan(iteration)
    try {
      while (true) {
        iteration.isAsked = true
        const portion = await this.#settle(bound, () => portions.next())
        iteration.isAsked = false
        iteration.since = performance.now()
        if (portion.done) return
        yield* portion.value as T[]
        if (iteration.isOver) throw closedError()
        this.checkAlive()
      }
    } finally {
      this.iterationEnded(iteration)
      await iteration.end()
    }
  }

  async exec(script: string): Promise<void> {
    this.check()
    if (typeof script !== 'string') {
      throw new DatabaseError(
        'invalid_parameter',
        `exec() expects a script as a text, got ${typeof script}; for a sql\`…\` template use run().`
      )
    }
    checkScript(script, this.dialect)
    await this.#settle({ statement: { text: script }, values: undefined }, () => this.#executor.script(script))
  }

  /** The rows, at once where the driver has them at once. */
  #rows(query: Query, parameters: QueryParameters | undefined): Row[] | Promise<Row[]> {
    this.check()
    const bound = bind(query, parameters, this.dialect)
    if (isTraced()) return this.#settle(bound, () => this.#executor.query(bound))
    this.began()
    let rows: Row[] | Promise<Row[]>
    try {
      rows = this.#executor.query(bound)
    } catch (error) {
      throw atCaller(this.#ended(bound, error))
    }
    if (!Array.isArray(rows)) return this.#settleLater(bound, rows)
    this.ended()
    return rows
  }

  /** Does a driver's work. Its error gets the statement, and a stack that leads to the caller. */
  #settle<T>(what: Work, task: () => T | Promise<T>): T | Promise<T> {
    const work = isTraced() ? () => trace(this.dialect, what.statement.text, task) : task
    this.began()
    let result: T | Promise<T>
    try {
      result = work()
    } catch (error) {
      throw atCaller(this.#ended(what, error))
    }
    if (result instanceof Promise) return this.#settleLater(what, result)
    this.ended()
    return result
  }

  async #settleLater<T>(what: Work, result: Promise<T>): Promise<T> {
    try {
      const value = await result
      this.ended()
      return value
    } catch (error) {
      throw atCaller(this.#ended(what, error))
    }
  }

  #ended({ statement, values }: Work, error: unknown): unknown {
    this.ended()
    this.failed(error)
    return error instanceof DatabaseError ? withStatement(error, statement.text, values) : error
  }
}

/** A loop over rows. */
interface Iteration {
  /** Whether the loop waits for rows, and since when it does not, in ms of the monotonic clock. */
  isAsked: boolean
  since: number
  /** Whether it was ended from outside. */
  isOver: boolean
  /** Frees what it holds. */
  end(): Promise<void>
}

/** What is being done, for its error. */
interface Work {
  readonly statement: { readonly text: string }
  readonly values: readonly unknown[] | undefined
}

function wrongCount(code: 'no_data_found' | 'too_many_rows', message: string, query: Query, dialect: Dialect): DatabaseError {
  return new DatabaseError(code, message, { sql: typeof query === 'string' ? query : query.flatten(dialect).text })
}

// The outer handle --------------------------------------------------------------------------------------------

/** The adapter that a driver makes. */
export class HandleOfDriver extends Handle implements Adapter {
  readonly #driver: Driver
  readonly #timeouts: Timeouts
  readonly #iterations = new Set<Iteration>()
  readonly #transactions = new Set<Promise<unknown>>()
  #closing: Promise<void> | undefined

  constructor(driver: Driver, timeouts: Timeouts) {
    super(driver.dialect, driver.isLocal, driver)
    this.#driver = driver
    this.#timeouts = timeouts
  }

  protected check(): void {
    if (this.#closing !== undefined) throw closedError()
    assertOutside(this)
  }

  protected override iterationBegan(iteration: Iteration): void {
    this.#iterations.add(iteration)
  }

  protected override iterationEnded(iteration: Iteration): void {
    this.#iterations.delete(iteration)
  }

  async transaction<T>(body: (tx: Queryable) => T | PromiseLike<T>, options: TransactionOptions = {}): Promise<T> {
    this.check()
    checkTransaction(body, options)
    const work = this.#attempts(body, options)
    this.#transactions.add(work)
    try {
      return await work
    } finally {
      this.#transactions.delete(work)
    }
  }

  async #attempts<T>(body: (tx: Queryable) => T | PromiseLike<T>, options: TransactionOptions): Promise<T> {
    for (let retriesLeft = options.retries ?? 0; ; retriesLeft--) {
      try {
        return await this.#attempt(body, options)
      } catch (error) {
        if (retriesLeft <= 0 || !isWorthRepeating(error)) throw error
        await new Promise(resolve => setTimeout(resolve, Math.random() * 20))
      }
    }
  }

  async #attempt<T>(body: (tx: Queryable) => T | PromiseLike<T>, options: TransactionOptions): Promise<T> {
    const session = await this.#driver.begin(options).catch(error => {
      throw atCaller(error)
    })
    const activity: Activity = { running: 0, since: Date.now(), isOver: false }
    const tx = new TransactionHandle(this.dialect, this.isLocal, session, activity, 0)
    const limit = new IdleLimit(this.#timeouts.query, activity)
    try {
      const result = await Promise.race([runInScope(this, () => body(tx)), limit.exceeded])
      tx.assertComplete()
      activity.isOver = true
      await session.commit().catch(error => {
        throw atCaller(error)
      })
      return result
    } catch (error) {
      activity.isOver = true
      // After a commit() that failed there is nothing to roll back, and the session knows.
      await session.rollback()
      throw error
    } finally {
      limit.clear()
    }
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      try {
        assertOutside(this)
      } catch (error) {
        return Promise.reject(error)
      }
      this.#closing = this.#closeAll()
    }
    return this.#closing
  }

  async #closeAll(): Promise<void> {
    await Promise.allSettled(this.#transactions)
    // A loop that goes on is waited for; one that was left without a word would be waited for for ever.
    while (this.#iterations.size > 0) {
      for (const iteration of this.#iterations) {
        if (iteration.isAsked || performance.now() - iteration.since < ABANDONED_AFTER) continue
        iteration.isOver = true
        this.#iterations.delete(iteration)
        await iteration.end()
      }
      await new Promise(resolve => setTimeout(resolve, 10))
    }
    await this.#driver.close()
  }
}

/** When close() takes a loop that asks for no more rows for abandoned, in ms. */
const ABANDONED_AFTER = 1_000

const ISOLATIONS: readonly unknown[] = [undefined, 'read committed', 'repeatable read', 'serializable']
const OPTIONS: readonly string[] = ['isolation', 'readOnly', 'retries']

function checkTransaction(body: unknown, options: TransactionOptions): void {
  if (typeof body !== 'function') {
    throw new DatabaseError('invalid_parameter', `transaction() expects a function of the transaction's handle, got ${typeof body}.`)
  }
  if (typeof options !== 'object' || options === null) {
    throw new DatabaseError('invalid_parameter', 'transaction() expects its options as an object.')
  }
  const unknown = Object.keys(options).find(name => !OPTIONS.includes(name))
  if (unknown !== undefined) {
    throw new DatabaseError('invalid_parameter', `transaction() has no option "${unknown}"; it has ${OPTIONS.join(', ')}.`)
  }
  if (!ISOLATIONS.includes(options.isolation)) {
    throw new DatabaseError(
      'invalid_parameter',
      `transaction() expects isolation to be 'read committed', 'repeatable read' or 'serializable', got ${JSON.stringify(options.isolation)}.`
    )
  }
  if (options.readOnly !== undefined && typeof options.readOnly !== 'boolean') {
    throw new DatabaseError('invalid_parameter', 'transaction() expects readOnly to be true or false.')
  }
  if (options.retries !== undefined && !(Number.isInteger(options.retries) && options.retries >= 0)) {
    throw new DatabaseError('invalid_parameter', 'transaction() expects retries to be a whole number from 0.')
  }
}

function isWorthRepeating(error: unknown): boolean {
  return error instanceof DatabaseError && (error.code === 'serialization_failure' || error.code === 'deadlock_detected')
}

// The handle of a transaction -----------------------------------------------------------------------------------

/** What a transaction does, its savepoints included. */
interface Activity {
  /** How many statements are on their way. */
  running: number
  /** When the last one ended, in ms since 1970. */
  since: number
  /** Whether the whole transaction has ended. */
  isOver: boolean
}

class TransactionHandle extends Handle {
  readonly #session: Session
  readonly #activity: Activity
  readonly #depth: number
  #hasEnded = false
  #child: TransactionHandle | undefined
  /** The statement that failed. Postgres refuses what follows it, so SQLite's driver must not accept it. */
  #failure: unknown

  constructor(dialect: Dialect, isLocal: boolean, session: Session, activity: Activity, depth: number) {
    super(dialect, isLocal, session)
    this.#session = session
    this.#activity = activity
    this.#depth = depth
  }

  protected override checkAlive(): void {
    if (this.#hasEnded || this.#activity.isOver) {
      throw new DatabaseError('wrong_handle', 'The transaction of this handle has ended; await everything inside of its body.')
    }
  }

  protected check(): void {
    this.checkAlive()
    if (this.#child !== undefined) {
      throw new DatabaseError(
        'wrong_handle',
        'A nested transaction of this handle is open; use the handle that its body gets, and await it before you go on here.'
      )
    }
    this.assertIntact()
  }

  /** Fails when a statement had failed. */
  assertIntact(): void {
    if (this.#failure === undefined) return
    throw new DatabaseError(
      'in_failed_sql_transaction',
      'A statement of this transaction failed, so it can only be rolled back; let the error leave the body, or run what ' +
        // What the caller's own toJSON() or getter threw may hold a value.
        `may fail inside tx.transaction().${this.#failure instanceof DatabaseError ? ` The failure was: ${this.#failure.message}` : ''}`,
      { cause: this.#failure }
    )
  }

  /** Fails when what was done cannot be committed. */
  assertComplete(): void {
    if (this.#child !== undefined) {
      throw new DatabaseError(
        'wrong_handle',
        'A nested transaction is still open at the end of its outer one; await it inside of the body.'
      )
    }
    this.assertIntact()
  }

  protected override failed(error: unknown): void {
    // A parameter that was refused was not sent, so the database knows nothing of it.
    const wasSent = !(error instanceof DatabaseError && error.code === 'invalid_parameter' && error.cause === undefined)
    if (wasSent) this.#failure ??= error
  }

  protected override began(): void {
    this.#activity.running++
  }

  protected override ended(): void {
    this.#activity.running--
    this.#activity.since = Date.now()
  }

  async transaction<T>(body: (tx: Queryable) => T | PromiseLike<T>, options?: TransactionOptions): Promise<T> {
    this.check()
    checkTransaction(body, options ?? {})
    if (options !== undefined && Object.values(options).some(value => value !== undefined)) {
      throw new DatabaseError('invalid_parameter', 'A nested transaction has no options of its own; give them to the outermost.')
    }
    const name = `duolect_${this.#depth + 1}`
    const child = new TransactionHandle(this.dialect, this.isLocal, this.#session, this.#activity, this.#depth + 1)
    this.#child = child
    try {
      await this.#session.control(`SAVEPOINT ${name}`)
      return await this.#inSavepoint(name, child, body)
    } finally {
      this.#child = undefined
    }
  }

  async #inSavepoint<T>(name: string, child: TransactionHandle, body: (tx: Queryable) => T | PromiseLike<T>): Promise<T> {
    try {
      const result = await body(child)
      child.assertComplete()
      child.checkAlive()
      await this.#session.control(`RELEASE ${name}`)
      return result
    } catch (error) {
      if (!this.#activity.isOver) await this.#session.control(`ROLLBACK TO ${name}; RELEASE ${name}`)
      throw error
    } finally {
      child.#hasEnded = true
    }
  }
}

/** Ends a transaction whose body does nothing for too long: it would hold its locks for ever. */
class IdleLimit {
  readonly exceeded: Promise<never>
  #timer: NodeJS.Timeout | undefined

  constructor(milliseconds: number, activity: Activity) {
    this.exceeded = new Promise((_, reject) => {
      if (milliseconds === 0) return
      const look = () => {
        const left = activity.running > 0 ? milliseconds : activity.since + milliseconds - Date.now()
        if (left > 0) {
          this.#timer = setTimeout(look, left)
          return
        }
        reject(
          new DatabaseError(
            'idle_in_transaction_session_timeout',
            `The transaction was rolled back: its body ran no statement for ${milliseconds} ms (timeouts.query). ` +
              'Do slow work before or after the transaction.'
          )
        )
      }
      this.#timer = setTimeout(look, milliseconds)
    })
  }

  clear(): void {
    clearTimeout(this.#timer)
  }
}
