/**
 * The SQLite file, through the few methods of better-sqlite3 or node:sqlite that a move needs.
 *
 * - `timeout` is 0, since SQLite's own waiting for a lock would block the event loop.
 * - Integers are read as BigInt: a rounded one would be a changed one.
 * - The file is opened by its path alone and never created.
 */
import { existsSync } from 'node:fs'
import { nativeCode, sqliteError } from '../../drivers/sqlite/errors.ts'
import { loadPackage } from '../../drivers/sqlite/load.ts'
import { whenUnlocked } from '../../drivers/sqlite/waiting.ts'
import { DatabaseError, messageOf } from '../../errors.ts'

/** A value as SQLite holds it. */
export type Cell = null | bigint | number | string | Buffer

/** What is used of the package that SQLite runs on. */
interface NativeStatement {
  raw(on: boolean): this
  safeIntegers(on: boolean): this
  all(...values: Cell[]): Cell[][]
  iterate(...values: Cell[]): IterableIterator<Cell[]>
}

interface NativeDatabase {
  readonly inTransaction: boolean
  prepare(sql: string): NativeStatement
  exec(sql: string): unknown
  close(): unknown
}

/** Says what a program adds to SQLite, and is missing here; undefined for another error. */
export function missingExtension(error: unknown): string | undefined {
  const message = messageOf(error)
  if (!/^(no such|unknown) (function|collation sequence): /.test(message)) return undefined
  return `cannot be read: ${message}. What a program adds to SQLite itself, promote does not have; drop the indexes and columns that use it`
}

async function openNative(location: string): Promise<NativeDatabase> {
  const Native = await loadPackage(undefined)
  return new Native(location, { timeout: 0 }) as NativeDatabase
}

// The file ----------------------------------------------------------------------------------------------------------

export class SqliteFile {
  readonly location: string
  readonly #native: NativeDatabase
  readonly #statements = new Map<string, NativeStatement>()

  private constructor(location: string, native: NativeDatabase) {
    this.location = location
    this.#native = native
  }

  /**
   * Opens a file that is there.
   *
   * @throws DatabaseError `connection_failure` without the file, `data_corrupted` when it is no database
   */
  static async open(location: string): Promise<SqliteFile> {
    const failure = (reason: string, cause?: unknown) =>
      new DatabaseError('connection_failure', `Cannot open the SQLite file ${location}: ${reason}.`, { cause })
    // The packages would create it.
    if (!existsSync(location)) throw failure('there is no such file')
    try {
      return new SqliteFile(location, await openNative(location))
    } catch (error) {
      throw error instanceof DatabaseError ? error : failure(messageOf(error), error)
    }
  }

  /** Makes an empty database in memory, where SQLite itself says what it would store. */
  static async inMemory(): Promise<SqliteFile> {
    return new SqliteFile(':memory:', await openNative(':memory:'))
  }

  /** Returns all rows of a statement. */
  rows(sql: string, ...values: Cell[]): Cell[][] {
    try {
      return this.#prepare(sql).all(...values)
    } catch (error) {
      throw this.#explain(error, sql)
    }
  }

  /** Returns an iterator of the rows of a statement, one in memory at a time. Other statements may read meanwhile. */
  each(sql: string, ...values: Cell[]): IterableIterator<Cell[]> {
    try {
      // Not from the cache: one statement cannot run twice at a time.
      return this.#native
        .prepare(sql)
        .raw(true)
        .safeIntegers(true)
        .iterate(...values)
    } catch (error) {
      throw this.#explain(error, sql)
    }
  }

  /** Returns the first value of the first row. */
  value(sql: string, ...values: Cell[]): Cell | undefined {
    return this.rows(sql, ...values)[0]?.[0]
  }

  exec(sql: string): void {
    try {
      this.#native.exec(sql)
    } catch (error) {
      throw this.#explain(error, sql)
    }
  }

  /** Runs statements without rows, as long as other connections hold the lock again and again. */
  async execWhenUnlocked(sql: string, limit: number): Promise<void> {
    await whenUnlocked(limit, () => this.#native.exec(sql), sql)
  }

  /** Rolls back what is open, and closes the file. */
  close(): void {
    if (this.#native.inTransaction) this.#native.exec('ROLLBACK')
    this.#native.close()
  }

  #prepare(sql: string): NativeStatement {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#native.prepare(sql).raw(true).safeIntegers(true)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  #explain(error: unknown, sql: string): unknown {
    if (nativeCode(error) === '' || missingExtension(error) !== undefined) return error
    return sqliteError(error, sql)
  }
}
