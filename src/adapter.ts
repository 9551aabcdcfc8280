/**
 * The contract that a driver fulfils. Handles, the key-value store and the users table run on any `Adapter`; the
 * two that duolect brings are in `drivers/`, and `createDatabaseFrom` takes one of your own.
 *
 * A driver gets statements that were checked and encoded: it never sees a `Date`, a boolean or an object.
 */
import { DatabaseError } from './errors.ts'

/** The two SQL dialects. */
export type Dialect = 'sqlite' | 'postgres'

/** What a column's value is in JavaScript; docs/values.md has the table of types. */
export type Value = null | boolean | number | bigint | string | Date | Uint8Array | JsonValue

/** What JSON can hold. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [name: string]: JsonValue }

/** A row: column names to values. Name its type at the call: `all<User>(…)`. */
export type Row = Record<string, unknown>

/** What a statement did. */
export interface RunResult {
  /** Number of rows that were inserted, updated or deleted. */
  changes: number
}

/** How a transaction runs. */
export interface TransactionOptions {
  /**
   * What the transaction sees of others. SQLite's transactions are always serializable, so it accepts each.
   * @default the server's default, which is `read committed` on Postgres
   */
  isolation?: 'read committed' | 'repeatable read' | 'serializable' | undefined
  /** Refuses writes with `read_only`. @default false */
  readOnly?: boolean | undefined
  /**
   * Maximum number of times that the body runs again after a `serialization_failure`, a `deadlock_detected`, or a
   * `connection_failure` before COMMIT was sent. The body's effects outside the database happen again too.
   * @default 0
   */
  retries?: number | undefined
}

/** What `Adapter.begin` gets. */
export interface BeginOptions extends TransactionOptions {
  /**
   * SQLite: does not enforce foreign keys until the transaction has ended, so that a migration can rebuild tables.
   * Other dialects ignore it.
   */
  rebuildsTables?: boolean | undefined
}

/**
 * A parameter's value as the driver binds it.
 *
 * - SQLite: null, a string, bytes, `bigint` for integers and booleans (0 and 1), `number` for all other numbers. Dates
 *   are ISO 8601 strings.
 * - Postgres: null, the text form of the value as a string, or bytes for BYTEA.
 */
export type BoundValue = null | number | bigint | string | Uint8Array

/** How many rows the caller of a statement takes. */
export type RowCount = 'one' | 'one or none'

/** The types of a result's columns that are expressions, by the columns' names. */
export type ExpressionTypes = { readonly [column: string]: 'boolean' | 'timestamp' | 'json' }

/** What the core decodes of a statement's rows after the driver. */
export interface Decoding {
  /** The columns, and their types. */
  readonly columns: ExpressionTypes
  /** True if the statement writes, so that a row which cannot be decoded has to undo it. */
  readonly writes: boolean
}

/** One statement, ready to be sent. */
export interface BoundStatement {
  /** The SQL with the dialect's own placeholders: `?` for SQLite, `$1`, `$2` … for Postgres. */
  readonly text: string
  /** SQLite: one value for each `?`. Postgres: the value of `$n` at index n − 1. The caller never uses it again. */
  readonly values: BoundValue[]
  /** The parameters as the caller gave them, for `DatabaseError.parameters`. */
  readonly parameters: unknown
  /**
   * How many rows there may be; any number when it is undefined. A statement that writes and returns another number
   * fails with `no_data_found` or `too_many_rows` before it is committed; a transaction's session fails too.
   */
  readonly expects: RowCount | undefined
  /** What the caller decodes of the rows, so that a driver need not; undefined for nothing. */
  readonly decoding?: Decoding | undefined
  /**
   * True if the caller has gathered the calls of this turn of the event loop, so that a driver need not wait for more
   * of them to share a commit.
   * @default false
   */
  readonly isGathered?: boolean | undefined
}

/**
 * What runs statements: an adapter, or the session of a transaction.
 *
 * Each method fails with a `DatabaseError`. A statement has either taken effect when its promise resolves, or failed
 * and changed nothing; `commit_unknown` says that the driver cannot tell.
 */
export interface Executor {
  /** Runs a statement and returns its rows, decoded; without a promise when they are there at once. */
  query(statement: BoundStatement): Row[] | Promise<Row[]>
  /** Runs a statement whose rows do not matter. */
  execute(statement: BoundStatement): RunResult | Promise<RunResult>
  /**
   * Yields the rows of a statement that only reads, in portions, as of the moment when the first one is asked for.
   * `return()` frees what it holds.
   */
  stream(statement: BoundStatement): AsyncIterable<Row[]>
  /** Runs several statements without parameters: all of them, or on an error none. */
  script(text: string): Promise<void>
}

/** A transaction's connection, from BEGIN to its end. Statements run in the order of the calls. */
export interface Session extends Executor {
  /** Commits and gives the connection back. When it fails for good, `rollback()` follows. */
  commit(): Promise<void>
  /** Rolls back and gives the connection back; does nothing after `commit()`. Never fails. */
  rollback(): Promise<void>
}

/**
 * The contract that a driver fulfils.
 *
 * Calls may be made at any time, also while others run. A promise settles after the statement's effect is durable.
 */
export interface Adapter extends Executor {
  /** The dialect of SQL that the driver's database understands. */
  readonly dialect: Dialect
  /**
   * True if statements run in this process, so that sending several as one saves no round trip.
   * @default false
   */
  readonly isInProcess?: boolean | undefined
  /**
   * How many connections it has at most. With 1, the store does not halve the calls of a turn, as one half would only wait
   * for the other.
   * @default no limit
   */
  readonly maxConnections?: number | undefined
  /** Begins a transaction. Of `options`, `retries` is handled by the caller. */
  begin(options: BeginOptions): Promise<Session>
  /**
   * Runs statements as one transaction and returns the rows of each. Without it, `begin()` and `query()` do the same.
   * Implement it where that saves round trips or commits.
   */
  batch?(statements: readonly BoundStatement[]): Promise<Row[][]>
  /** Waits for what runs, then closes. Called once; nothing is called afterwards. */
  close(): Promise<void>
}

/** Number of rows in a portion of `stream()`, for drivers that choose it. */
export const PORTION_SIZE = 100

/** The error for a statement that began or ended a transaction by itself. */
export function transactionControlError(): DatabaseError {
  return new DatabaseError(
    'invalid_transaction_termination',
    'A statement began or ended a transaction by itself; use transaction(), which does both. What was open has been rolled back; ' +
      'what it committed stays.'
  )
}

/**
 * Fails when there is another number of rows than the caller of the statement takes.
 *
 * @throws DatabaseError `no_data_found`, `too_many_rows`
 */
export function assertRowCount(count: number, expects: RowCount | undefined): void {
  if (expects === undefined || count === 1) return
  if (expects === 'one or none') {
    if (count === 0) return
    throw new DatabaseError('too_many_rows', `maybeOne() expected one row or none, got ${count}; for several, use all().`)
  }
  throw count === 0
    ? new DatabaseError('no_data_found', 'one() expected one row, got none; where it may be missing, use maybeOne().')
    : new DatabaseError('too_many_rows', `one() expected one row, got ${count}; for several, use all().`)
}

/**
 * Fails when two columns of a result share a name, since a row can hold only one of them.
 *
 * @throws DatabaseError `duplicate_column`
 */
export function assertDistinctColumns(names: readonly string[]): void {
  if (new Set(names).size === names.length) return
  const name = names.find((candidate, i) => names.indexOf(candidate) !== i)
  // Postgres gives expressions that have no name this one.
  const what = name === '?column?' ? 'Two columns of the result have no name of their own' : `Two columns of the result are named "${name}"`
  throw new DatabaseError(
    'duplicate_column',
    `${what}, and a row can hold only one of them. Name them with AS: SELECT a.id AS a_id, b.id AS b_id.`
  )
}
