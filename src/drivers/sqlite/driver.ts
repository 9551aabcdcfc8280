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
import { isTurnOverdue, nextTurn } from '../../turns.ts'
import { Connection, type Copy } from './connection.ts'
import { isBusy, isGeneric, nativeCode, sqliteError } from './errors.ts'
import { files, loadFiles } from './files.ts'
import { loadPackage } from './load.ts'
import { WriteQueue } from './queue.ts'
import { Readers } from './readers.ts'
import { whenUnlocked } from './waiting.ts'

// Opening -----------------------------------------------------------------------------------------------------

/**
 * Opens the file, which is created when it is missing.
 *
 * @throws DatabaseError `missing_driver` without a package that works, `connection_failure` when the file cannot be
 *   opened, `data_corrupted` when it is no database, `lock_not_available` when another process holds it
 */
export async function openSqlite(settings: SqliteSettings): Promise<Adapter> {
  const Native = await loadPackage(settings.driver)
  await loadFiles()
  const isMemory = settings.location === ':memory:'
  if (!isMemory && !settings.isReadOnly) createFile(settings)
  const open = (readonly: boolean) => new Connection(Native, settings, readonly)
  const writer = await whenUnlocked(settings.timeouts.lock, () => open(settings.isReadOnly)).catch(error => {
    throw explainOpening(error, settings)
  })
  return new SqliteDriver(writer, isMemory ? undefined : new Readers(() => open(true), settings.timeouts), settings)
}

/** SQLite would create the file readable for everyone; -wal and -shm get the file's own mode. */
function createFile(settings: SqliteSettings): void {
  const { location } = settings
  try {
    makeDirectory(dirname(location))
    files.closeSync(files.openSync(location, 'a', 0o600))
  } catch (error) {
    throw explainOpening(error, settings)
  }
}

/** Not by the option `recursive`, which tries for ever where a directory takes no others, as in /proc. */
function makeDirectory(path: string): void {
  if (files.existsSync(path)) return
  if (dirname(path) !== path) makeDirectory(dirname(path))
  try {
    files.mkdirSync(path, 0o700)
  } catch (error) {
    // Another process may have made it meanwhile.
    if (!files.existsSync(path)) throw error
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

class SqliteDriver implements Adapter {
  readonly dialect = 'sqlite'
  readonly isInProcess = true
  readonly #settings: SqliteSettings
  readonly #writer: Connection
  /** Read while the writer is given away; undefined where there can be one connection only. */
  readonly #readers: Readers | undefined
  readonly #queue: WriteQueue
  /** How many readings are under way that did not end at once, and who waits for them. */
  #reading = 0
  #onceRead: (() => void) | undefined

  constructor(writer: Connection, readers: Readers | undefined, settings: SqliteSettings) {
    this.#settings = settings
    this.#writer = writer
    this.#readers = readers
    this.#queue = new WriteQueue(writer, settings.timeouts.lock)
  }

  query(statement: BoundStatement): Row[] | Promise<Row[]> {
    return isTurnOverdue() && !this.#writes(statement) ? this.#whileReading(this.#readLater(statement)) : this.#read(statement)
  }

  /** A write waits in the queue, whose order a turn's end must not change. */
  #writes({ text }: BoundStatement): boolean {
    try {
      return !this.#connection().prepare(text).isReadonly
    } catch {
      return false
    }
  }

  async #readLater(statement: BoundStatement): Promise<Row[]> {
    do await nextTurn()
    while (isTurnOverdue())
    return this.#read(statement)
  }

  #read(statement: BoundStatement): Row[] | Promise<Row[]> {
    if (this.#readers === undefined && this.#queue.isHeld) return this.#queue.rows(statement)
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
    const connection = this.#connection()
    const prepared = connection.prepare(statement.text)
    return prepared.isReader && prepared.isReadonly ? connection.rows(prepared, statement.values) : this.#queue.rows(statement)
  }

  /** The connection for a read that ends at once. */
  #connection(): Connection {
    return this.#readers === undefined || !this.#queue.isHeld ? this.#writer : this.#readers.direct
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

  execute(statement: BoundStatement): RunResult | Promise<RunResult> {
    return statement.isGathered ? this.#queue.changesNow(statement) : this.#queue.changes(statement)
  }

  batch(statements: readonly BoundStatement[]): Promise<Row[][]> {
    return this.#queue.batch(statements)
  }

  async *stream(statement: BoundStatement): AsyncGenerator<Row[], void, undefined> {
    this.#reading++
    let end = () => this.#readingEnded()
    try {
      const portions = this.#readers === undefined ? await this.#copy(statement) : await this.#open(this.#readers, statement)
      end = portions.end
      yield* letLoopRun(portions.rows, statement.text)
    } finally {
      end()
    }
  }

  async #open(readers: Readers, statement: BoundStatement): Promise<Portions> {
    const connection = await readers.borrow()
    const rows = connection.portions(statement)
    const end = () => {
      rows.return()
      readers.giveBack(connection)
      this.#readingEnded()
    }
    return { rows, end }
  }

  async #copy(statement: BoundStatement): Promise<Portions> {
    const copy = await this.#exclusively(writer => writer.copy(statement), statement.text)
    // Who leaves the loop need not wait for a transaction that is open meanwhile.
    const ended = () => this.#readingEnded()
    const end = () => void this.#exclusively(copy.drop, '', false).then(ended, ended)
    return { rows: copy.portions(), end }
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
      this.#writer.rollback()
      release()
    }
  }

  async begin({ readOnly = false, rebuildsTables = false }: BeginOptions): Promise<Session> {
    return readOnly && this.#readers !== undefined ? this.#beginOnReader(this.#readers) : this.#beginOnWriter(readOnly, rebuildsTables)
  }

  async #beginOnReader(readers: Readers): Promise<Session> {
    const connection = await this.#whileReading(readers.borrow())
    this.#reading++
    return new SqliteSession(connection, () => {
      readers.giveBack(connection)
      this.#readingEnded()
    })
  }

  async #beginOnWriter(readOnly: boolean, rebuildsTables: boolean): Promise<Session> {
    const writer = this.#writer
    const release = await this.#queue.exclusive()
    try {
      if (rebuildsTables) writer.enforceForeignKeys(false)
      await whenUnlocked(this.#settings.timeouts.lock, () => writer.begin())
      if (readOnly) writer.allowWrites(false)
    } catch (error) {
      writer.rollback()
      if (rebuildsTables) writer.enforceForeignKeys(true)
      release()
      throw sqliteError(error)
    }
    return new SqliteSession(writer, () => {
      try {
        if (readOnly) writer.allowWrites(true)
        if (rebuildsTables) writer.enforceForeignKeys(true)
      } finally {
        release()
      }
    })
  }

  async close(): Promise<void> {
    await this.#queue.whenIdle()
    if (this.#reading > 0) await new Promise<void>(resolve => (this.#onceRead = resolve))
    await this.#queue.whenIdle()
    this.#readers?.close()
    this.#writer.close()
  }
}

/** Rows under way, and what frees them. */
interface Portions {
  readonly rows: Iterable<Row[]>
  end(): void
}

/** Yields portions, and lets the event loop run between them when it is time. */
async function* letLoopRun(portions: Iterable<Row[]>, text: string): AsyncGenerator<Row[], void, undefined> {
  try {
    for (const portion of portions) {
      yield portion
      while (isTurnOverdue()) await nextTurn()
    }
  } catch (error) {
    throw sqliteError(error, text)
  }
}

class SqliteSession implements Session {
  readonly #connection: Connection
  readonly #release: () => void
  /** The last statement that had to wait for the event loop; what follows it must not overtake it. */
  #last: Promise<unknown> | undefined
  /** The first statement's failure. What was issued before it was known is refused, as Postgres does it. */
  #failure: unknown
  /** Rows of iterations that go on. */
  readonly #copies = new Set<Copy>()
  #isReleased = false

  constructor(connection: Connection, release: () => void) {
    this.#connection = connection
    this.#release = release
  }

  query(statement: BoundStatement): Row[] | Promise<Row[]> {
    return this.#perform(statement.text, () => this.#connection.query(statement))
  }

  execute(statement: BoundStatement): RunResult | Promise<RunResult> {
    return this.#perform(statement.text, () => this.#connection.run(statement))
  }

  async *stream(statement: BoundStatement): AsyncGenerator<Row[], void, undefined> {
    const copy = await this.#perform(statement.text, () => this.#connection.copy(statement))
    this.#copies.add(copy)
    try {
      yield* letLoopRun(copy.portions(), statement.text)
    } finally {
      // After the transaction's end the copy is gone, or another's transaction is open.
      if (this.#copies.delete(copy)) copy.drop()
    }
  }

  async script(text: string): Promise<void> {
    const undoes = text.startsWith('ROLLBACK TO ')
    await this.#perform(
      text,
      () => {
        this.#connection.script(text)
        if (undoes) this.#failure = undefined
      },
      undoes
    )
  }

  async commit(): Promise<void> {
    await this.#last
    try {
      if (!this.#connection.inTransaction) throw transactionControlError()
      // A rollback undoes them with all else.
      for (const copy of this.#copies) copy.drop()
      this.#connection.commit()
    } catch (error) {
      throw sqliteError(error)
    }
    this.#giveBack()
  }

  async rollback(): Promise<void> {
    await this.#last
    if (this.#isReleased) return
    this.#connection.rollback()
    this.#giveBack()
  }

  #giveBack(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#copies.clear()
    this.#release()
  }

  /** Does the work at once, or after the event loop has run when it is time for that. Keeps the order. */
  #perform<T>(text: string, work: () => T, undoes = false): T | Promise<T> {
    if (this.#last === undefined && !isTurnOverdue()) return this.#attempt(text, work, undoes)
    const result = this.#performLater(this.#last, text, work, undoes)
    const last: Promise<void> = result.then(noop, noop).then(() => {
      if (this.#last === last) this.#last = undefined
    })
    this.#last = last
    return result
  }

  async #performLater<T>(previous: Promise<unknown> | undefined, text: string, work: () => T, undoes: boolean): Promise<T> {
    await previous
    while (isTurnOverdue()) await nextTurn()
    return this.#attempt(text, work, undoes)
  }

  #attempt<T>(text: string, work: () => T, undoes: boolean): T {
    try {
      if (this.#failure !== undefined && !undoes) {
        throw new DatabaseError('in_failed_sql_transaction', 'A statement of this transaction failed before.', { cause: this.#failure })
      }
      if (this.#isReleased) throw transactionControlError()
      const result = work()
      // What follows would commit by itself; it is refused, as it is after an error, which may also end the transaction.
      if (!this.#connection.inTransaction) throw transactionControlError()
      return result
    } catch (error) {
      const known = sqliteError(error, text)
      this.#failure ??= known
      throw known
    }
  }
}

function noop(): void {}
