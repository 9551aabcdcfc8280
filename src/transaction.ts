/** Transactions on any adapter: their options, their attempts, what is refused in them, and their savepoints. */
import type { Adapter, BeginOptions, BoundStatement, Dialect, Executor, Row, RunResult, Session, TransactionOptions } from './adapter.ts'
import { DatabaseError, invalidParameter, rethrowAtCaller, withStatement } from './errors.ts'
import { runInScope } from './scope.ts'
import { type Place, type Remnant, undoRemnants } from './session-state.ts'
import { lastOfShape } from './shapes.ts'

const ISOLATIONS: readonly unknown[] = [undefined, 'read committed', 'repeatable read', 'serializable']
const OPTIONS: readonly string[] = ['isolation', 'readOnly', 'retries']

/**
 * Checks what `transaction()` was given.
 *
 * @throws DatabaseError `invalid_parameter`
 */
export function checkTransaction(body: unknown, options: TransactionOptions): void {
  if (typeof body !== 'function') {
    throw invalidParameter(`transaction() expects a function of the transaction's handle, got ${typeof body}.`)
  }
  if (typeof options !== 'object' || options === null) {
    throw invalidParameter('transaction() expects its options as an object.')
  }
  const unknown = Object.keys(options).find(name => !OPTIONS.includes(name))
  if (unknown !== undefined) {
    throw invalidParameter(`transaction() has no option "${unknown}"; it has ${OPTIONS.join(', ')}.`)
  }
  if (!ISOLATIONS.includes(options.isolation)) {
    throw invalidParameter(
      `transaction() expects isolation to be 'read committed', 'repeatable read' or 'serializable', got ${JSON.stringify(options.isolation)}.`
    )
  }
  if (options.readOnly !== undefined && typeof options.readOnly !== 'boolean') {
    throw invalidParameter('transaction() expects readOnly to be true or false.')
  }
  if (options.retries !== undefined && !(Number.isInteger(options.retries) && options.retries >= 0)) {
    throw invalidParameter('transaction() expects retries to be a whole number from 0.')
  }
}

/**
 * Runs `body` in a transaction, and again after a failure that is worth a repetition, as often as `options.retries` says.
 *
 * @param idleLimit ms after which a transaction whose body runs no statement is rolled back; 0 for no limit
 */
export async function runTransaction<T>(
  adapter: Adapter,
  options: BeginOptions,
  idleLimit: number,
  body: (session: TransactionSession) => Promise<T>
): Promise<T> {
  const { retries = 0 } = options
  for (let failures = 0; ; failures++) {
    try {
      return await attempt(adapter, options, idleLimit, body)
    } catch (error) {
      if (failures >= retries || !isWorthRepeating(error)) throw error
      // What was in the way, others or a server that restarts, may need longer each time.
      await new Promise(resolve => setTimeout(resolve, Math.random() * Math.min(20 * 2 ** failures, MAX_PAUSE)))
    }
  }
}

/** Maximum time between two attempts, in ms. */
const MAX_PAUSE = 1_000

function isWorthRepeating(error: unknown): boolean {
  if (!(error instanceof DatabaseError)) return false
  return (
    error.code === 'serialization_failure' ||
    error.code === 'deadlock_detected' ||
    (error.code === 'connection_failure' && error.isRetryable)
  )
}

async function attempt<T>(
  adapter: Adapter,
  options: BeginOptions,
  idleLimit: number,
  body: (session: TransactionSession) => Promise<T>
): Promise<T> {
  const session = await adapter.begin(options).catch(rethrowAtCaller)
  const activity: Activity = { running: 0, idleSince: Date.now(), isOver: false, onIdle: [], left: new Set() }
  const transaction = new TransactionSession(adapter, options.readOnly === true, session, activity, 0)
  const limit = new IdleLimit(idleLimit, activity)
  lastOfShape.session = transaction
  try {
    const result = await Promise.race([runInScope(adapter, () => body(transaction)), limit.exceeded])
    await transaction.idle()
    transaction.assertComplete()
    activity.isOver = true
    if (activity.left.size > 0) await undoRemnants(session, adapter.dialect, activity.left)
    await session.commit().catch(rethrowAtCaller)
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

/** What a transaction does, its savepoints included. */
interface Activity {
  /** Number of statements that are not answered. */
  running: number
  /** When the last statement was answered, in ms since 1970. */
  idleSince: number
  /** True from COMMIT or ROLLBACK on. */
  isOver: boolean
  /** Called when no statement is unanswered. */
  readonly onIdle: (() => void)[]
  /** What its statements changed of the session. */
  readonly left: Set<Remnant>
}

/** The session of a transaction or of a savepoint in it. Refuses what the two databases would treat differently. */
export class TransactionSession implements Executor {
  readonly dialect: Dialect
  readonly isInProcess: boolean
  readonly isReadOnly: boolean
  readonly place: Place
  readonly #session: Session
  readonly #activity: Activity
  readonly #depth: number
  #hasEnded = false
  /** The savepoint that is open in this one. */
  #child: TransactionSession | undefined
  /** The first error of a statement. Postgres refuses what follows it, so that SQLite must not accept it. */
  #failure: unknown
  /** The error with which the database itself ended the transaction, from inside of a savepoint. */
  #endedBy: unknown

  constructor(
    { dialect, isInProcess = false }: Pick<Adapter, 'dialect' | 'isInProcess'>,
    isReadOnly: boolean,
    session: Session,
    activity: Activity,
    depth: number
  ) {
    this.dialect = dialect
    this.isInProcess = isInProcess
    this.isReadOnly = isReadOnly
    this.#session = session
    this.#activity = activity
    this.#depth = depth
    this.place = { kind: 'transaction', left: activity.left }
  }

  /** Fails when no statement may run now. */
  assertUsable(): void {
    this.#assertAlive()
    if (this.#child !== undefined) {
      throw new DatabaseError(
        'wrong_handle',
        'A nested transaction of this handle is open; use the handle that its body gets, and await it before you go on here.'
      )
    }
    this.#assertIntact()
  }

  /** Fails if a statement failed or a savepoint is open, so that the transaction cannot be committed. */
  assertComplete(): void {
    if (this.#child !== undefined) {
      throw new DatabaseError(
        'wrong_handle',
        'A nested transaction is still open at the end of its outer one; await it inside of the body.'
      )
    }
    // The body took it for the failure of its nested transaction alone.
    if (this.#endedBy !== undefined) throw this.#endedBy
    this.#assertIntact()
  }

  #assertAlive(): void {
    if (this.#hasEnded || this.#activity.isOver) {
      throw new DatabaseError('wrong_handle', 'The transaction of this handle has ended; await everything inside of its body.')
    }
  }

  #assertIntact(): void {
    if (this.#failure === undefined) return
    throw new DatabaseError(
      'in_failed_sql_transaction',
      'A statement of this transaction failed, so it can only be rolled back; let the error leave the body, or run what ' +
        `may fail inside tx.transaction().${this.#failure instanceof DatabaseError ? ` The failure was: ${this.#failure.message}` : ''}`,
      { cause: this.#failure }
    )
  }

  /** Refuses all further statements and the commit. */
  fail(error: DatabaseError): void {
    this.#failure ??= error
  }

  query(statement: BoundStatement): Row[] | Promise<Row[]> {
    this.#begin()
    try {
      return this.#end(this.#session.query(statement))
    } catch (error) {
      throw this.#failed(error)
    }
  }

  execute(statement: BoundStatement): RunResult | Promise<RunResult> {
    this.#begin()
    try {
      return this.#end(this.#session.execute(statement))
    } catch (error) {
      throw this.#failed(error)
    }
  }

  stream(statement: BoundStatement): AsyncIterable<Row[]> {
    const portions = this.#session.stream(statement)[Symbol.asyncIterator]()
    const tracked: AsyncIterator<Row[]> = {
      next: async () => this.#track(() => portions.next()),
      return: async () => (await portions.return?.()) ?? { done: true, value: undefined }
    }
    return { [Symbol.asyncIterator]: () => tracked }
  }

  async script(text: string): Promise<void> {
    await this.#track(() => this.#session.script(text))
  }

  /** Runs statements as a part of the transaction, and returns the rows of each. */
  async batch(statements: readonly BoundStatement[]): Promise<Row[][]> {
    return this.#track(() => this.#queryEach(statements))
  }

  async #queryEach(statements: readonly BoundStatement[]): Promise<Row[][]> {
    const answers: Promise<Row[]>[] = []
    for (const statement of statements) {
      const answer = this.#query(statement)
      answers.push(answer)
      // In this process the answer is there as soon as the statement has run, and nothing must run behind a failure.
      if (this.isInProcess) await answer
      // The failure of a later statement is a consequence of an earlier one's.
      else answer.catch(() => undefined)
    }
    const settled = await Promise.allSettled(answers)
    const failure = settled.find(({ status }) => status === 'rejected')
    if (failure !== undefined) throw (failure as PromiseRejectedResult).reason
    return Promise.all(answers)
  }

  async #query(statement: BoundStatement): Promise<Row[]> {
    try {
      return await this.#session.query(statement)
    } catch (error) {
      throw withStatement(error, statement)
    }
  }

  /** Resolves when no statement of the transaction is unanswered, also of those that the body did not await. */
  async idle(): Promise<void> {
    while (this.#activity.running > 0) await new Promise<void>(resolve => this.#activity.onIdle.push(resolve))
  }

  /** Runs `body` in a savepoint: what it did is undone when it throws. */
  async savepoint<T>(body: (session: TransactionSession) => Promise<T>): Promise<T> {
    this.assertUsable()
    const name = `duolect_${this.#depth + 1}`
    const child = new TransactionSession(this, this.isReadOnly, this.#session, this.#activity, this.#depth + 1)
    this.#child = child
    try {
      await this.#session.script(`SAVEPOINT ${name}`)
      return await this.#inSavepoint(name, child, body)
    } finally {
      this.#child = undefined
    }
  }

  async #inSavepoint<T>(name: string, child: TransactionSession, body: (session: TransactionSession) => Promise<T>): Promise<T> {
    try {
      const result = await body(child)
      await child.idle()
      child.assertComplete()
      child.#assertAlive()
      await this.#session.script(`RELEASE ${name}`)
      return result
    } catch (error) {
      if (!this.#activity.isOver) await this.#rollBackTo(name, error)
      throw error
    } finally {
      child.#hasEnded = true
    }
  }

  /** Undoes a savepoint. Where that fails, the database has ended the whole transaction, and the body's error says why. */
  async #rollBackTo(name: string, bodyError: unknown): Promise<void> {
    try {
      await this.#session.script(`ROLLBACK TO ${name}; RELEASE ${name}`)
    } catch {
      this.#endedBy ??= bodyError
      this.#failure ??= bodyError
    }
  }

  /** Does a statement's work. Its failure fails the transaction. */
  #track<T>(work: () => T | Promise<T>): T | Promise<T> {
    this.#begin()
    try {
      return this.#end(work())
    } catch (error) {
      throw this.#failed(error)
    }
  }

  #begin(): void {
    this.assertUsable()
    this.#activity.running++
  }

  #end<T>(result: T | Promise<T>): T | Promise<T> {
    if (result instanceof Promise) return this.#endLater(result)
    this.#settled()
    return result
  }

  async #endLater<T>(result: Promise<T>): Promise<T> {
    try {
      const value = await result
      this.#settled()
      return value
    } catch (error) {
      throw this.#failed(error)
    }
  }

  #failed(error: unknown): unknown {
    this.#failure ??= error
    this.#settled()
    return error
  }

  #settled(): void {
    const activity = this.#activity
    activity.running--
    activity.idleSince = Date.now()
    if (activity.running === 0 && activity.onIdle.length > 0) for (const resolve of activity.onIdle.splice(0)) resolve()
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
        const left = activity.running > 0 ? milliseconds : activity.idleSince + milliseconds - Date.now()
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
