import type { Sql } from './sql.ts'

/** The two SQL dialects. */
export type Dialect = 'sqlite' | 'postgres'

/** What a column's value is in JavaScript; the table of types is in the README. */
export type Value = null | boolean | number | bigint | string | Date | Uint8Array | JsonValue

/** What JSON can hold. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [name: string]: JsonValue }

/** A row: column names to values. Name its type at the call: `all<User>(…)`. */
export type Row = Record<string, unknown>

/** A `sql` template, or a text with `$1` or `:name` parameters. */
export type Query = string | Sql

/** The parameters of a text: an array for `$1`, an object for `:name`. */
export type QueryParameters = readonly unknown[] | Readonly<Record<string, unknown>>

/** What a statement did. */
export interface RunResult {
  /** How many rows were inserted, updated or deleted. */
  changes: number
}

/** How a transaction runs. */
export interface TransactionOptions {
  /**
   * What the transaction sees of others. SQLite's transactions are always serializable, so it accepts each.
   * @default the server's default, which is `read committed` on Postgres
   */
  isolation?: 'read committed' | 'repeatable read' | 'serializable'
  /** Refuses writes with `read_only`. @default false */
  readOnly?: boolean
  /**
   * How often the body may run again after a `serialization_failure` or `deadlock_detected`. The body's
   * effects outside the database happen again too.
   * @default 0
   */
  retries?: number
}

/**
 * What can run statements: an adapter, or a transaction.
 *
 * Each method rejects with a `DatabaseError`. A missing, surplus or `undefined` parameter is
 * `invalid_parameter`, before anything is sent.
 */
export interface Queryable {
  readonly dialect: Dialect
  /**
   * True when a statement is carried out in this process, so that gathering several into one
   * saves no round trip.
   * @default false
   */
  readonly isLocal?: boolean
  /** Returns all rows, in the order in which the database gave them. */
  all<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T[]>
  /** Returns the one row. Fails with `no_data_found` or `too_many_rows` when there is another number of them. */
  one<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T>
  /** Returns the one row, or `undefined` without one. Fails with `too_many_rows` when there are more. */
  maybeOne<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T | undefined>
  /** Runs a statement whose rows do not matter, and returns how many rows it changed. */
  run(query: Query, parameters?: QueryParameters): Promise<RunResult>
  /**
   * Yields the rows of a statement that reads, in bounded memory. The rows are those of the moment when the
   * loop began. Leaving the loop early frees what it held.
   */
  iterate<T extends object = Row>(query: Query, parameters?: QueryParameters): AsyncIterable<T>
  /** Runs a script of several statements without parameters: all of it, or on an error none of it. */
  exec(script: string): Promise<void>
  /**
   * Runs `body` in a transaction: commits when it returns, rolls back when it throws, and returns or throws
   * the same. Inside a transaction it nests as a savepoint.
   *
   * Inside the body, only the handle that the body gets may be used; another is `wrong_handle`. The
   * handle fails after the body has ended.
   */
  transaction<T>(body: (tx: Queryable) => T | PromiseLike<T>, options?: TransactionOptions): Promise<T>
}

/**
 * The contract that a driver fulfils. The key-value store and the users table need nothing else.
 *
 * Calls may be made at any time, also while others run. A driver settles each promise after the
 * statement's effect is durable.
 */
export interface Adapter extends Queryable {
  /** Waits for what runs, then closes. Closing again does nothing; any other call afterwards is `closed`. */
  close(): Promise<void>
}
