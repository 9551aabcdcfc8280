/**
 * SQLite through better-sqlite3 or `node:sqlite`, which are synchronous. What that brings with it:
 *
 * - A busy wait of SQLite blocks the event loop, so `timeout` is 0 and waiting for other processes is done here.
 * - BEGIN IMMEDIATE, because a transaction that reads first and then wants to write can fail with
 *   SQLITE_BUSY_SNAPSHOT, which no waiting heals.
 * - One connection does all, in the order of the calls. While a transaction has it, another one reads, so that readers
 *   see the last commit. `:memory:` has one connection only, so there readers wait for the transaction.
 * - Writes that are issued in one turn of the event loop share one transaction, as each commit costs a sync.
 * - better-sqlite3's builds default to synchronous=NORMAL in WAL mode, which can lose commits at a power cut.
 * - An open iterator forbids writes on its connection, so outside of transactions an iteration has a connection
 *   of its own; inside, it reads from a temporary copy.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import {
  type Adapter,
  type BeginOptions,
  type BoundStatement,
  type Row,
  type RunResult,
  type Session,
  transactionControlError
} from '../../adapter.ts'
import type { SqliteSettings } from '../../config.ts'
import { DatabaseError, messageOf } from '../../errors.ts'
import { loadBetterSqlite3 } from './better-sqlite3.ts'
import { Connection, type NativeConstructor } from './connection.ts'
import { isBusy, isGeneric, nativeCode, sqliteError } from './errors.ts'
import { loadNodeSqlite } from './node-sqlite.ts'
import { WriteQueue } from './queue.ts'
import { nextTurn, TurnClock, whenUnlocked } from './waiting.ts'

// Opening -----------------------------------------------------------------------------------------------------

/**
 * Opens the file, which is created when it is missing.
 *
 * @throws DatabaseError `missing_driver` without a package that works, `connection_failure` when the file cannot be
 *   opened, `data_corrupted` when it is no database, `lock_not_available` when another process holds it
 */
export async function openSqlite(settings: SqliteSettings): Promise<Adapter> {
  const Native = await loadPackage(settings.driver)
  const isMemory = settings.location === ':memory:'
  if (!isMemory && !settings.isReadOnly) createFile(settings)
  const open = (readonly: boolean) => new Connection(Native, settings, readonly)
  const writer = await whenUnlocked(settings.timeouts.lock, () => open(settings.isReadOnly)).catch(error => {
    throw explainOpening(error, settings)
  })
  return new SqliteDriver(writer, isMemory ? undefined : () => open(true), settings)
}

/** The package that the setting names, or the first one that works here. */
async function loadPackage(driver: SqliteSettings['driver']): Promise<NativeConstructor> {
  if ((globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent === 'Cloudflare-Workers') {
    throw new DatabaseError('missing_driver', 'SQLite cannot run on Cloudflare Workers, which have no files. Use Postgres there.')
  }
  if (driver === 'node:sqlite') return loadNodeSqlite() ?? noNodeSqlite()
  try {
    return await loadBetterSqlite3()
  } catch (error) {
    const Native = driver === undefined ? loadNodeSqlite() : undefined
    if (Native === undefined) throw error
    return Native
  }
}

function noNodeSqlite(): never {
  throw new DatabaseError(
    'missing_driver',
    `Cannot use "node:sqlite" (sqlite.driver): it needs Node.js 24 or newer, Bun or Deno, and this is ${process.versions.node}. ` +
      'Leave the setting out, and install better-sqlite3.'
  )
}

/** SQLite would create the file readable for everyone; -wal and -shm get the file's own mode. */
function createFile(settings: SqliteSettings): void {
  const { location } = settings
  try {
    mkdirSync(dirname(location), { recursive: true, mode: 0o700 })
    closeSync(openSync(location, 'a', 0o600))
  } catch (error) {
    throw explainOpening(error, settings)
  }
}

function explainOpening(error: unknown, { location, isReadOnly }: SqliteSettings): DatabaseError {
  if (error instanceof DatabaseError && error.code !== 'connection_failure') {
    return new DatabaseError(error.code, `Cannot open the SQLite database ${location}: ${error.message}`, { cause: error.cause ?? error })
  }
  return new DatabaseError(
    'connection_failure',
    `Cannot open the SQLite database ${location}: ${messageOf(error)}. The path must be that of a file which this process may read` +
      `${isReadOnly ? ', as "sqlite.readOnly" is set' : ' and write, in a directory which it may write'}; set "dataDir" or "sqlite.location".`,
    { cause: error }
  )
}

// The driver --------------------------------------------------------------------------------------------------

/** Reading connections that are kept for the next iteration. */
const IDLE_READERS = 2

class SqliteDriver implements Adapter {
  readonly dialect = 'sqlite'
  readonly isInProcess = true
  readonly #settings: SqliteSettings
  readonly #writer: Connection
  /** Reads while the writer is given away; opened when that happens first. */
  #reader: Connection | undefined
  /** Opens another connection that reads; undefined where there can be only one. */
  readonly #openReader: (() => Connection) | undefined
  readonly #queue: WriteQueue
  readonly #clock = new TurnClock()
  readonly #idleReaders: Connection[] = []
  /** How many readings are under way that did not end at once, and who waits for them. */
  #reading = 0
  #onceRead: (() => void) | undefined

  constructor(writer: Connection, openReader: (() => Connection) | undefined, settings: SqliteSettings) {
    this.#settings = settings
    this.#writer = writer
    this.#openReader = openReader
    this.#queue = new WriteQueue(writer, settings.timeouts.lock, this.#forgetOldSchema)
  }

  query(statement: BoundStatement): Row[] | Promise<Row[]> {
    if (this.#clock.isOverdue(this.#forgetOldSchema)) return this.#whileReading(nextTurn().then(() => this.#read(statement)))
    return this.#read(statement)
  }

  #read(statement: BoundStatement): Row[] | Promise<Row[]> {
    if (this.#openReader === undefined && this.#queue.isHeld) return this.#queue.rows(statement)
    const { text } = statement
    try {
      return this.#readOrWrite(statement)
    } catch (error) {
      if (isBusy(error)) return this.#whileReading(whenUnlocked(this.#settings.timeouts.lock, () => this.#readOrWrite(statement), text))
      // What the statement names may be made by a write that waits.
      if (isGeneric(nativeCode(error)) && this.#queue.hasWork) return this.#queue.rows(statement)
      throw sqliteError(error, text)
    }
  }

  /** Reads at once what only reads. */
  #readOrWrite(statement: BoundStatement): Row[] | Promise<Row[]> {
    const connection = this.#readingConnection()
    connection.forgetKnownChanges()
    const prepared = connection.prepare(statement.text)
    return prepared.isReader && prepared.isReadonly ? connection.rows(prepared, statement.values) : this.#queue.rows(statement)
  }

  #readingConnection(): Connection {
    if (this.#openReader === undefined || !this.#queue.isHeld) return this.#writer
    this.#reader ??= this.#openReader()
    return this.#reader
  }

  /** Counts a reading until it ends. */
  async #whileReading<T>(work: Promise<T>): Promise<Awaited<T>> {
    this.#reading++
    try {
      return await work
    } finally {
      this.#readingEnded()
    }
  }

  #readingEnded(): void {
    this.#reading--
    if (this.#reading === 0) this.#onceRead?.()
  }

  execute(statement: BoundStatement): Promise<RunResult> {
    return this.#queue.changes(statement)
  }

  batch(statements: readonly BoundStatement[]): Promise<Row[][]> {
    return this.#queue.batch(statements)
  }

  async *stream({ text, values }: BoundStatement): AsyncGenerator<Row[], void, undefined> {
    if (this.#openReader === undefined) {
      const copy = await this.#exclusively(writer => writer.copy(text, values), text)
      this.#reading++
      try {
        yield* letLoopRun(copy.portions(), this.#clock, text)
      } finally {
        // Who leaves the loop need not wait for a transaction that is open meanwhile.
        void this.#exclusively(() => copy.drop(), '', false).then(
          () => this.#readingEnded(),
          () => this.#readingEnded()
        )
      }
      return
    }
    const connection = await this.#borrowReader()
    const portions = connection.portions(text, values)
    try {
      yield* letLoopRun(portions, this.#clock, text)
    } finally {
      portions.return()
      this.#returnReader(connection)
    }
  }

  script(text: string): Promise<void> {
    return this.#exclusively(writer => writer.script(text), text)
  }

  /** Does something on the writing connection while nothing else uses it. */
  async #exclusively<T>(work: (writer: Connection) => T, text: string, hasLimit = true): Promise<T> {
    const release = await this.#queue.exclusive(hasLimit)
    try {
      const result = await whenUnlocked(this.#settings.timeouts.lock, () => work(this.#writer), text)
      if (this.#writer.inTransaction) throw transactionControlError()
      return result
    } finally {
      if (this.#writer.inTransaction) this.#writer.exec('ROLLBACK')
      release()
    }
  }

  async begin({ readOnly = false, rebuildsTables = false }: BeginOptions): Promise<Session> {
    if (readOnly && this.#openReader !== undefined) {
      const connection = await this.#borrowReader()
      try {
        connection.exec('BEGIN')
      } catch (error) {
        this.#returnReader(connection)
        throw sqliteError(error)
      }
      return new SqliteSession(connection, this.#clock, () => this.#returnReader(connection))
    }
    const writer = this.#writer
    const release = await this.#queue.exclusive()
    try {
      // SQLite ignores this PRAGMA inside a transaction.
      if (rebuildsTables) writer.exec('PRAGMA foreign_keys = OFF')
      await whenUnlocked(this.#settings.timeouts.lock, () => (readOnly ? writer.exec('BEGIN') : writer.begin()))
      writer.forgetOldSchema()
    } catch (error) {
      if (writer.inTransaction) writer.exec('ROLLBACK')
      if (rebuildsTables) writer.exec('PRAGMA foreign_keys = ON')
      release()
      throw sqliteError(error)
    }
    if (rebuildsTables) {
      return new SqliteSession(writer, this.#clock, () => {
        writer.exec('PRAGMA foreign_keys = ON')
        release()
      })
    }
    if (!readOnly) return new SqliteSession(writer, this.#clock, release)
    writer.exec('PRAGMA query_only = ON')
    return new SqliteSession(writer, this.#clock, () => {
      writer.exec('PRAGMA query_only = OFF')
      release()
    })
  }

  async close(): Promise<void> {
    await this.#queue.whenIdle()
    if (this.#reading > 0) await new Promise<void>(resolve => (this.#onceRead = resolve))
    await this.#queue.whenIdle()
    for (const connection of [...this.#idleReaders, this.#reader, this.#writer]) connection?.close()
  }

  readonly #forgetOldSchema = (): void => {
    try {
      this.#writer.forgetOldSchema()
      this.#reader?.forgetOldSchema()
    } catch {
      // Another process holds the lock, or the file is damaged: the next turn tries again, and the next statement fails with the reason.
    }
  }

  async #borrowReader(): Promise<Connection> {
    this.#reading++
    try {
      const connection = this.#idleReaders.pop() ?? (await whenUnlocked(this.#settings.timeouts.lock, this.#openReader as () => Connection))
      connection.forgetOldSchema()
      return connection
    } catch (error) {
      this.#readingEnded()
      throw sqliteError(error)
    }
  }

  #returnReader(connection: Connection): void {
    if (this.#idleReaders.length < IDLE_READERS) this.#idleReaders.push(connection)
    else connection.close()
    this.#readingEnded()
  }
}

/** Yields portions, and lets the event loop run between them when it is time. */
async function* letLoopRun(portions: Iterable<Row[]>, clock: TurnClock, text: string): AsyncGenerator<Row[], void, undefined> {
  try {
    for (const portion of portions) {
      yield portion
      if (clock.isOverdue()) await nextTurn()
    }
  } catch (error) {
    throw sqliteError(error, text)
  }
}

class SqliteSession implements Session {
  readonly #connection: Connection
  readonly #clock: TurnClock
  readonly #release: () => void
  /** The last statement that had to wait for the event loop; what follows it must not overtake it. */
  #last: Promise<unknown> | undefined
  #isReleased = false

  constructor(connection: Connection, clock: TurnClock, release: () => void) {
    this.#connection = connection
    this.#clock = clock
    this.#release = release
  }

  query({ text, values }: BoundStatement): Row[] | Promise<Row[]> {
    return this.#perform(text, () => this.#connection.all(text, values))
  }

  execute({ text, values }: BoundStatement): RunResult | Promise<RunResult> {
    return this.#perform(text, () => this.#connection.run(text, values))
  }

  async *stream({ text, values }: BoundStatement): AsyncGenerator<Row[], void, undefined> {
    const copy = await this.#perform(text, () => this.#connection.copy(text, values))
    try {
      yield* letLoopRun(copy.portions(), this.#clock, text)
    } finally {
      // After the transaction's end the copy is gone, or another's transaction is open.
      if (!this.#isReleased) copy.drop()
    }
  }

  async script(text: string): Promise<void> {
    await this.#perform(text, () => this.#connection.script(text))
  }

  async commit(): Promise<void> {
    await this.#last
    try {
      this.#connection.exec('COMMIT')
    } catch (error) {
      throw sqliteError(error)
    }
    this.#giveBack()
  }

  async rollback(): Promise<void> {
    await this.#last
    if (this.#isReleased) return
    try {
      if (this.#connection.inTransaction) this.#connection.exec('ROLLBACK')
    } catch {
      // The body's error says more; the connection's next BEGIN will tell when it cannot go on.
    }
    this.#giveBack()
  }

  #giveBack(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#release()
  }

  /** Does the work at once, or after the event loop has run when it is time for that. Keeps the order. */
  #perform<T>(text: string, work: () => T): T | Promise<T> {
    const attempt = () => {
      try {
        // Without this, a statement would commit by itself when one before it ended the transaction.
        if (this.#isReleased || !this.#connection.inTransaction) throw transactionControlError()
        const result = work()
        if (!this.#connection.inTransaction) throw transactionControlError()
        return result
      } catch (error) {
        throw sqliteError(error, text)
      }
    }
    if (this.#last === undefined && !this.#clock.isOverdue()) return attempt()
    const result = (this.#last ?? Promise.resolve()).then(nextTurn).then(attempt)
    const last: Promise<void> = result.then(noop, noop).then(() => {
      if (this.#last === last) this.#last = undefined
    })
    this.#last = last
    return result
  }
}

function noop(): void {}
