import { copyOf, DatabaseError } from '../../errors.ts'
import { ownTransaction } from '../handle.ts'
import type { Connection } from './connection.ts'
import { nativeCode, sqliteError } from './errors.ts'
import type { SqliteValue } from './values.ts'
import { BREATH, turn, whenUnlocked } from './waiting.ts'

/** How a write uses the connection: with its neighbours, by itself after that failed, or for as long as it takes. */
type Share = 'shared' | 'single' | 'alone'

interface Write {
  share: Share
  readonly text: string
  readonly values: SqliteValue[]
  readonly wantsRows: boolean
  resolve(value: unknown): void
  reject(error: unknown): void
  /** When it was issued. */
  readonly since: number
  timer: NodeJS.Timeout | undefined
}

/**
 * The queue of all that uses the writing connection. Statements that stand next to each other share a
 * transaction; a transaction of the caller has the connection for itself until it ends.
 */
export class WriteQueue {
  readonly #connection: Connection
  readonly #lockLimit: number
  readonly #onChange: () => void
  #waiting: Write[] = []
  #isRunning = false
  /** Since when what runs alone has the connection; undefined while statements run. */
  #aloneSince: number | undefined
  #idle: (() => void)[] = []

  constructor(connection: Connection, lockLimit: number, onChange: () => void) {
    this.#connection = connection
    this.#lockLimit = lockLimit
    this.#onChange = onChange
  }

  /** Whether anything waits or runs. */
  get hasWork(): boolean {
    return this.#isRunning
  }

  /** Whether a transaction has the connection for itself. */
  get isHeld(): boolean {
    return this.#aloneSince !== undefined
  }

  /** Runs a statement and returns its rows or changes, after the commit. */
  statement(text: string, values: SqliteValue[], wantsRows: boolean): Promise<unknown> {
    return this.#add('shared', text, values, wantsRows)
  }

  /** Gives the connection away until the returned function is called. Without a limit it waits however long it takes. */
  alone(hasLimit = true): Promise<() => void> {
    return this.#add('alone', '', [], false, hasLimit) as Promise<() => void>
  }

  /** Resolves when nothing waits or runs. */
  whenIdle(): Promise<void> {
    return this.#isRunning ? new Promise(resolve => this.#idle.push(resolve)) : Promise.resolve()
  }

  #add(share: Share, text: string, values: SqliteValue[], wantsRows: boolean, hasLimit = true): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const write: Write = { share, text, values, wantsRows, resolve, reject, since: performance.now(), timer: undefined }
      if (hasLimit && (this.isHeld || this.#waiting.some(other => other.share === 'alone'))) this.#limit(write)
      this.#waiting.push(write)
      if (!this.#isRunning) {
        this.#isRunning = true
        // At the end of this turn, so that all writes of the turn come along.
        setImmediate(() => void this.#runAll())
      }
    })
  }

  /** Rejects a write that stands behind one transaction for too long. A queue that moves on is no reason. */
  #limit(write: Write): void {
    if (this.#lockLimit === 0) return
    const look = () => {
      const since = Math.max(write.since, this.#aloneSince ?? performance.now())
      const left = since + this.#lockLimit - performance.now()
      if (left > 0) {
        write.timer = setTimeout(look, Math.ceil(left))
        return
      }
      this.#waiting.splice(this.#waiting.indexOf(write), 1)
      write.reject(
        new DatabaseError(
          'lock_not_available',
          `A transaction before this one had the SQLite database, or waited for it, for ${this.#lockLimit} ms (timeouts.lock). Keep transactions short.`
        )
      )
    }
    write.timer = setTimeout(look, this.#lockLimit)
  }

  async #runAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const other = this.#waiting.findIndex(({ share }) => share !== 'shared')
      const count = other === -1 ? this.#waiting.length : other
      if (count > 1) await this.#runShared(count)
      else await this.#runFirst(this.#take(1)[0] as Write)
      // What the callers of settled promises write next belongs into one transaction again.
      await turn()
    }
    this.#isRunning = false
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  #take(count: number): Write[] {
    const taken = this.#waiting.splice(0, count)
    for (const write of taken) clearTimeout(write.timer)
    return taken
  }

  async #runFirst(write: Write): Promise<void> {
    if (write.share !== 'alone') return this.#runSingle(write)
    this.#aloneSince = performance.now()
    await new Promise<void>(release => write.resolve(release))
    this.#aloneSince = undefined
    this.#onChange()
  }

  /** A lone statement needs no BEGIN of ours, and some, such as VACUUM, allow none. */
  async #runSingle(write: Write): Promise<void> {
    try {
      const result = await whenUnlocked(this.#lockLimit, () => this.#perform(write), write.text)
      if (this.#connection.inTransaction) {
        this.#connection.exec('ROLLBACK')
        throw ownTransaction()
      }
      write.resolve(result)
      this.#onChange()
    } catch (error) {
      write.reject(sqliteError(error))
    }
  }

  async #runShared(count: number): Promise<void> {
    try {
      await whenUnlocked(this.#lockLimit, () => this.#connection.exec('BEGIN IMMEDIATE'))
    } catch (error) {
      for (const write of this.#take(count)) write.reject(copyOf(error))
      return
    }
    this.#runGroup(count)
  }

  /** Runs statements in the open transaction, for one breath of the event loop at most, and commits. */
  #runGroup(count: number): void {
    const start = performance.now()
    const done: { write: Write; result: unknown }[] = []
    const again: Write[] = []
    // What has to be done again comes before its followers, so the group ends there.
    for (let i = 0; i < count && again.length === 0 && this.#connection.inTransaction && performance.now() - start < BREATH; i++) {
      const write = this.#take(1)[0] as Write
      try {
        if (this.#mayShare(write)) done.push({ write, result: this.#perform(write) })
        else again.push(write)
      } catch (error) {
        // A constraint speaks for the statement alone. What else fails may do so for the company that it is in.
        if (nativeCode(error).startsWith('SQLITE_CONSTRAINT')) write.reject(sqliteError(error))
        else again.push(write)
      }
    }
    try {
      this.#connection.exec('COMMIT')
      for (const { write, result } of done) write.resolve(result)
    } catch {
      // One statement undid the others (ON CONFLICT ROLLBACK, a full disk, a deferred foreign key): each for itself.
      if (this.#connection.inTransaction) this.#connection.exec('ROLLBACK')
      again.unshift(...done.map(({ write }) => write))
    }
    this.#onChange()
    for (const write of again) write.share = 'single'
    this.#waiting.unshift(...again)
  }

  /** BEGIN, COMMIT and the like must not reach into the transaction of others: they neither write nor return rows. */
  #mayShare({ text }: Write): boolean {
    const { isReader, isReadonly } = this.#connection.prepare(text)
    return isReader || !isReadonly
  }

  #perform({ text, values, wantsRows }: Write): unknown {
    return wantsRows ? this.#connection.all(text, values) : this.#connection.run(text, values)
  }
}
