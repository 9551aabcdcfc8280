import { type BoundStatement, type Row, type RunResult, transactionControlError } from '../../adapter.ts'
import { copyOf, DatabaseError, withStatement } from '../../errors.ts'
import type { Connection } from './connection.ts'
import { nativeCode, sqliteError } from './errors.ts'
import { MAX_BLOCKING_TIME, nextTurn, whenUnlocked } from './waiting.ts'

/** A statement, several that belong together, or the connection itself for as long as it takes. */
type Kind = 'rows' | 'changes' | 'batch' | 'exclusive'

interface Entry {
  readonly kind: Kind
  readonly statements: readonly BoundStatement[]
  resolve(result: unknown): void
  reject(error: unknown): void
  /** When it was added, in ms of the monotonic clock. */
  readonly since: number
  timer: NodeJS.Timeout | undefined
  /** True if it waited for too long and was rejected. */
  isExpired: boolean
}

/**
 * The queue of all that uses the writing connection. Statements that stand next to each other share a
 * transaction; a transaction of the caller has the connection for itself until it ends.
 */
export class WriteQueue {
  readonly #connection: Connection
  readonly #lockLimit: number
  readonly #onChange: () => void
  #waiting: Entry[] = []
  /** Index in `#waiting` of the entry that is next. */
  #next = 0
  /** Entries of a shared transaction that failed; each runs by itself, before all others. */
  #retries: Entry[] = []
  /** Number of entries that wait for the connection itself. */
  #exclusiveWaiting = 0
  #isRunning = false
  /** When the connection was given away; undefined while statements run. */
  #exclusiveSince: number | undefined
  #onIdle: (() => void)[] = []

  constructor(connection: Connection, lockLimit: number, onChange: () => void) {
    this.#connection = connection
    this.#lockLimit = lockLimit
    this.#onChange = onChange
  }

  /** True if anything waits or runs. */
  get hasWork(): boolean {
    return this.#isRunning
  }

  /** True while the connection is given away. */
  get isHeld(): boolean {
    return this.#exclusiveSince !== undefined
  }

  /** Runs a statement and returns its rows, after the commit. */
  rows(statement: BoundStatement): Promise<Row[]> {
    return this.#add('rows', [statement]) as Promise<Row[]>
  }

  /** Runs a statement and returns the number of rows that it changed, after the commit. */
  changes(statement: BoundStatement): Promise<RunResult> {
    return this.#add('changes', [statement]) as Promise<RunResult>
  }

  /** Runs statements, all or none, and returns the rows of each, after the commit. */
  batch(statements: readonly BoundStatement[]): Promise<Row[][]> {
    return this.#add('batch', statements) as Promise<Row[][]>
  }

  /** Gives the connection away until the returned function is called. Without `hasLimit` it waits for ever. */
  exclusive(hasLimit = true): Promise<() => void> {
    return this.#add('exclusive', [], hasLimit) as Promise<() => void>
  }

  /** Resolves when nothing waits or runs. */
  whenIdle(): Promise<void> {
    return this.#isRunning ? new Promise(resolve => this.#onIdle.push(resolve)) : Promise.resolve()
  }

  #add(kind: Kind, statements: readonly BoundStatement[], hasLimit = true): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const entry: Entry = { kind, statements, resolve, reject, since: performance.now(), timer: undefined, isExpired: false }
      if (hasLimit && (this.isHeld || this.#exclusiveWaiting > 0)) this.#limit(entry)
      if (kind === 'exclusive') this.#exclusiveWaiting++
      this.#waiting.push(entry)
      if (!this.#isRunning) {
        this.#isRunning = true
        // At the end of this turn, so that all writes of the turn come along.
        setImmediate(() => void this.#run())
      }
    })
  }

  /** Rejects an entry that waits for one transaction for too long. Waiting behind many short ones is no reason. */
  #limit(entry: Entry): void {
    if (this.#lockLimit === 0) return
    const look = () => {
      const since = Math.max(entry.since, this.#exclusiveSince ?? performance.now())
      const left = since + this.#lockLimit - performance.now()
      if (left > 0) {
        entry.timer = setTimeout(look, Math.ceil(left))
        return
      }
      entry.isExpired = true
      if (entry.kind === 'exclusive') this.#exclusiveWaiting--
      entry.reject(
        new DatabaseError(
          'lock_not_available',
          `Timed out after ${this.#lockLimit} ms (timeouts.lock) waiting for another transaction on the SQLite database. Keep transactions short.`
        )
      )
    }
    entry.timer = setTimeout(look, this.#lockLimit)
  }

  async #run(): Promise<void> {
    while (true) {
      const retry = this.#retries.shift()
      const entry = retry ?? this.#peek()
      if (entry === undefined) break
      if (retry !== undefined) await this.#runSingle(retry)
      else if (entry.kind === 'exclusive') await this.#runExclusive(this.#take())
      else if (this.#peek(1)?.kind === 'exclusive' || this.#peek(1) === undefined) await this.#runSingle(this.#take())
      else await this.#runShared()
      // What the callers of settled promises write next belongs into one transaction again.
      await nextTurn()
    }
    this.#isRunning = false
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }

  /** Returns the next entry, or the one behind it. */
  #peek(distance: 0 | 1 = 0): Entry | undefined {
    for (let i = this.#next, left = distance as number; i < this.#waiting.length; i++) {
      const entry = this.#waiting[i] as Entry
      if (entry.isExpired) {
        if (i === this.#next) this.#next++
      } else if (left-- === 0) return entry
    }
    return undefined
  }

  /** Takes the next entry out of the queue. There is one: `#peek` was asked. */
  #take(): Entry {
    const entry = this.#waiting[this.#next++] as Entry
    // In portions, as moving the rest for each entry takes quadratic time.
    if (this.#next === this.#waiting.length || this.#next > 10_000) {
      this.#waiting = this.#waiting.slice(this.#next)
      this.#next = 0
    }
    clearTimeout(entry.timer)
    if (entry.kind === 'exclusive') this.#exclusiveWaiting--
    return entry
  }

  async #runExclusive(entry: Entry): Promise<void> {
    this.#exclusiveSince = performance.now()
    await new Promise<void>(release => entry.resolve(release))
    this.#exclusiveSince = undefined
    this.#onChange()
  }

  /** A lone statement needs no BEGIN of ours, and some, such as VACUUM, allow none. */
  async #runSingle(entry: Entry): Promise<void> {
    const text = entry.statements[0]?.text
    try {
      const result = await whenUnlocked(
        this.#lockLimit,
        () => (entry.kind === 'batch' ? this.#connection.inTransactionOfItsOwn(() => this.#perform(entry)) : this.#perform(entry)),
        text
      )
      if (this.#connection.inTransaction) {
        this.#connection.exec('ROLLBACK')
        throw transactionControlError()
      }
      entry.resolve(result)
      this.#onChange()
    } catch (error) {
      entry.reject(sqliteError(error, text))
    }
  }

  async #runShared(): Promise<void> {
    try {
      await whenUnlocked(this.#lockLimit, () => this.#connection.begin())
    } catch (error) {
      for (let entry = this.#peek(); entry !== undefined && entry.kind !== 'exclusive'; entry = this.#peek()) {
        this.#take().reject(copyOf(error))
      }
      return
    }
    this.#runGroup()
  }

  /** Runs entries in the open transaction, as long as the event loop may be blocked, and commits. */
  #runGroup(): void {
    const start = performance.now()
    const done: { entry: Entry; result: unknown }[] = []
    const again: Entry[] = []
    // An entry that is retried runs before those behind it, so the group ends there.
    while (again.length === 0 && this.#connection.inTransaction && performance.now() - start < MAX_BLOCKING_TIME) {
      const next = this.#peek()
      if (next === undefined || next.kind === 'exclusive') break
      const entry = this.#take()
      try {
        if (!this.#mayShare(entry)) again.push(entry)
        else done.push({ entry, result: entry.kind === 'batch' ? this.#performInSavepoint(entry) : this.#perform(entry) })
      } catch (error) {
        // A constraint is a matter of the statement alone. Any other failure may be caused by the shared transaction, so it is tried again alone.
        if (nativeCode((error as DatabaseError).cause ?? error).startsWith('SQLITE_CONSTRAINT')) entry.reject(sqliteError(error))
        else again.push(entry)
      }
    }
    try {
      this.#connection.exec('COMMIT')
      for (const { entry, result } of done) entry.resolve(result)
    } catch {
      // One statement undid the others (ON CONFLICT ROLLBACK, a full disk, a deferred foreign key): each for itself.
      if (this.#connection.inTransaction) this.#connection.exec('ROLLBACK')
      again.unshift(...done.map(({ entry }) => entry))
    }
    this.#onChange()
    this.#retries.push(...again)
  }

  /** A statement that neither writes nor returns rows, such as VACUUM or ATTACH, must not reach into the transaction of others. */
  #mayShare({ statements }: Entry): boolean {
    return statements.every(({ text }) => {
      const { isReader, isReadonly } = this.#connection.prepare(text)
      return isReader || !isReadonly
    })
  }

  #perform({ kind, statements }: Entry): unknown {
    if (kind === 'batch') return this.#performEach(statements)
    const { text, values } = statements[0] as BoundStatement
    return kind === 'rows' ? this.#connection.all(text, values) : this.#connection.run(text, values)
  }

  #performEach(statements: readonly BoundStatement[]): Row[][] {
    return statements.map(statement => {
      try {
        return this.#connection.all(statement.text, statement.values)
      } catch (error) {
        throw withStatement(sqliteError(error, statement.text), statement)
      }
    })
  }

  /** A batch that fails must leave nothing in the transaction that it shares. */
  #performInSavepoint({ statements }: Entry): Row[][] {
    this.#connection.exec('SAVEPOINT duolect_batch')
    try {
      return this.#performEach(statements)
    } catch (error) {
      if (this.#connection.inTransaction) this.#connection.exec('ROLLBACK TO duolect_batch')
      throw error
    } finally {
      if (this.#connection.inTransaction) this.#connection.exec('RELEASE duolect_batch')
    }
  }
}
