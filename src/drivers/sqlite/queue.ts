import { type BoundStatement, type Row, type RunResult, transactionControlError } from '../../adapter.ts'
import { clock } from '../../clock.ts'
import { copyOf, DatabaseError, type ErrorCode, withStatement } from '../../errors.ts'
import { currentTurn, Gathering, MAX_BLOCKING_TIME, nextTurn, restartTurn } from '../../turns.ts'
import type { Connection, Prepared } from './connection.ts'
import { isBusy, sqliteError } from './errors.ts'
import { whenUnlocked } from './waiting.ts'

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

/** Codes of failures that a transaction of fewer changes may not have. */
const RESOURCES: readonly ErrorCode[] = ['disk_full', 'out_of_memory', 'io_error']

/**
 * The queue of all that uses the writing connection. Statements that stand next to each other share a
 * transaction; a transaction of the caller has the connection for itself until it ends.
 */
export class WriteQueue {
  readonly #connection: Connection
  readonly #lockLimit: number
  #waiting: Entry[] = []
  /** Index in `#waiting` of the entry that is next. */
  #next = 0
  /** Entries of a shared transaction that have to run by themselves, before all others. */
  #retries: Entry[] = []
  /** Number of entries that wait for the connection itself. */
  #exclusiveWaiting = 0
  #isRunning = false
  readonly #gathering = new Gathering(() => this.#begin())
  /** The turn in which the time of a commit was left out last. */
  #restarted = 0
  /** When the connection was given away; undefined while statements run. */
  #exclusiveSince: number | undefined
  #onIdle: (() => void)[] = []

  constructor(connection: Connection, lockLimit: number) {
    this.#connection = connection
    this.#lockLimit = lockLimit
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

  /** Runs a statement of a caller who has gathered those of this turn: at once, when nothing else waits or runs. */
  changesNow(statement: BoundStatement): RunResult | Promise<RunResult> {
    if (this.#isRunning) return this.changes(statement)
    try {
      this.#connection.rollback()
      return this.#performAlone({ kind: 'changes', statements: [statement] }) as RunResult
    } catch (error) {
      if (isBusy(error)) return this.changes(statement)
      throw sqliteError(error, statement.text)
    } finally {
      this.#leaveTimeToOthers()
    }
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
      const entry: Entry = { kind, statements, resolve, reject, since: clock(), timer: undefined, isExpired: false }
      if (hasLimit && (this.isHeld || this.#exclusiveWaiting > 0)) this.#limit(entry)
      if (kind === 'exclusive') this.#exclusiveWaiting++
      this.#waiting.push(entry)
      if (!this.#isRunning) {
        this.#isRunning = true
        this.#gathering.schedule()
      }
    })
  }

  /** Rejects an entry that waits for one transaction for too long. Waiting behind many short ones is no reason. */
  #limit(entry: Entry): void {
    if (this.#lockLimit === 0) return
    const look = () => {
      const since = Math.max(entry.since, this.#exclusiveSince ?? clock())
      const left = since + this.#lockLimit - clock()
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

  /** Begins with what waits, and returns how much that is. */
  #begin(): number {
    const count = this.#waiting.length - this.#next
    void this.#run()
    return count
  }

  async #run(): Promise<void> {
    while (true) {
      // A ROLLBACK that failed may have left a transaction open.
      this.#connection.rollback()
      const retry = this.#retries.shift()
      const entry = retry ?? this.#peek()
      if (entry === undefined) break
      const work = this.#runNext(entry, retry !== undefined)
      if (work !== undefined) await work
      this.#leaveTimeToOthers()
      if (this.#retries.length === 0 && this.#peek() === undefined) break
      // What the callers of settled promises write next belongs into one transaction again.
      await nextTurn()
    }
    this.#isRunning = false
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }

  /** Runs an entry, or those that stand together; without a promise when that was done at once. */
  #runNext(entry: Entry, isRetry: boolean): Promise<void> | undefined {
    if (isRetry) return this.#runSingle(entry)
    if (entry.kind === 'exclusive') return this.#runExclusive(this.#take())
    const behind = this.#peek(1)
    return behind === undefined || behind.kind === 'exclusive' ? this.#runSingle(this.#take()) : this.#runShared()
  }

  /** Does not count what the first commit of a turn takes, as it could else be all of the turn's time. */
  #leaveTimeToOthers(): void {
    const turn = currentTurn()
    if (turn === this.#restarted) return
    this.#restarted = turn
    restartTurn()
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
    this.#exclusiveSince = clock()
    await new Promise<void>(release => entry.resolve(release))
    this.#exclusiveSince = undefined
  }

  #runSingle(entry: Entry): Promise<void> | undefined {
    const text = entry.statements[0]?.text
    try {
      entry.resolve(this.#performAlone(entry))
    } catch (error) {
      if (isBusy(error)) return this.#runWhenUnlocked(entry, text)
      entry.reject(sqliteError(error, text))
    }
  }

  async #runWhenUnlocked(entry: Entry, text: string | undefined): Promise<void> {
    try {
      entry.resolve(await whenUnlocked(this.#lockLimit, () => this.#performAlone(entry), text))
    } catch (error) {
      entry.reject(error)
    }
  }

  /** Performs an entry outside of transactions. */
  #performAlone(entry: Pick<Entry, 'kind' | 'statements'>): unknown {
    try {
      const result = this.#perform(entry)
      if (this.#connection.inTransaction) throw transactionControlError()
      return result
    } finally {
      this.#connection.rollback()
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
    const start = clock()
    const done: { entry: Entry; result: unknown }[] = []
    const again: Entry[] = []
    // An entry that runs alone runs before those behind it, so the group ends there.
    while (again.length === 0 && this.#connection.inTransaction && clock() - start < MAX_BLOCKING_TIME) {
      const next = this.#peek()
      if (next === undefined || next.kind === 'exclusive') break
      const entry = this.#take()
      try {
        if (this.#isLone(entry)) again.push(entry)
        else done.push({ entry, result: this.#perform(entry) })
      } catch (error) {
        const known = sqliteError(error, entry.statements[0]?.text)
        // It took the others' changes with it, or lacked what a smaller transaction may find.
        if (!this.#connection.inTransaction || RESOURCES.includes(known.code)) again.push(entry)
        else entry.reject(known)
      }
    }
    try {
      this.#connection.commit()
      for (const { entry, result } of done) entry.resolve(result)
    } catch {
      // One statement undid the others (OR ROLLBACK, a full disk, a deferred foreign key): nothing has happened, so each runs for itself.
      again.unshift(...done.map(({ entry }) => entry))
    } finally {
      this.#connection.rollback()
    }
    this.#retries.push(...again)
  }

  #isLone({ statements }: Entry): boolean {
    return statements.some(({ text }) => this.#connection.prepare(text).isLone)
  }

  #perform(entry: Pick<Entry, 'kind' | 'statements'>): unknown {
    const { kind, statements } = entry
    if (kind === 'batch') return this.#connection.whole(() => this.#performEach(statements))
    const statement = statements[0] as BoundStatement
    const prepared = this.#connection.prepare(statement.text)
    if (!prepared.mayFailLate) return this.#performPrepared(kind, prepared, statement)
    // BEGIN may find other tables.
    return this.#connection.whole(() => this.#performPrepared(kind, this.#connection.prepare(statement.text), statement))
  }

  #performPrepared(kind: Kind, prepared: Prepared, statement: BoundStatement): Row[] | RunResult {
    return kind === 'rows' ? this.#connection.queryPrepared(prepared, statement) : this.#connection.runPrepared(prepared, statement.values)
  }

  #performEach(statements: readonly BoundStatement[]): Row[][] {
    const results: Row[][] = new Array(statements.length)
    let i = 0
    try {
      for (; i < statements.length; i++) results[i] = this.#connection.query(statements[i] as BoundStatement)
    } catch (error) {
      const statement = statements[i] as BoundStatement
      throw withStatement(sqliteError(error, statement.text), statement)
    }
    return results
  }
}
