/**
 * Postgres through `pg`. What that brings with it:
 *
 * - `pg` reads PGHOST, PGPASSWORD, PGSSLMODE and the like by itself, so every setting is given to it.
 * - Its types are converted by duolect's own table, given to each client, never through `pg.types`.
 * - Statements are prepared by name, once on each connection; behind a pooler, where the next statement may meet
 *   another server connection, they are not.
 * - A text that is run with query() is always sent as one prepared statement, since the simple protocol would
 *   accept several.
 * - The server answers COMMIT of a failed transaction with ROLLBACK, which is no error to `pg`.
 * - A connection that breaks after COMMIT was sent leaves open whether it took effect: `commit_unknown`.
 */
import {
  type Adapter,
  assertDistinctColumns,
  assertRowCount,
  type BoundStatement,
  PORTION_SIZE,
  type Row,
  type RowCount,
  type RunResult,
  type Session,
  type TransactionOptions,
  transactionControlError
} from '../../adapter.ts'
import type { PostgresSettings } from '../../config.ts'
import { asLostCommit, DatabaseError, messageOf, withStatement } from '../../errors.ts'
import { statementsOf, tokens } from '../../lexer.ts'
import { requirePackage } from '../package.ts'
import { type Answer, Connection, mayIdle, type NativeConstructor } from './connection.ts'
import { isConnectionLost, wasRaisedInside } from './errors.ts'
import { Pool } from './pool.ts'
import { insertsOneRow, returnsDistinctNames } from './returning.ts'
import type { PostgresValue } from './values.ts'

// Opening -------------------------------------------------------------------------------------------------------

/**
 * Connects to the server once, so that settings which do not work fail here.
 *
 * @throws DatabaseError `missing_driver` without `pg`, `connection_failure` when the server cannot be reached,
 *   `invalid_authorization`, `undefined_database`
 */
export async function openPostgres(settings: PostgresSettings): Promise<Adapter> {
  const Native = await loadDriver()
  const pool = new Pool(() => Connection.open(Native, settings), settings)
  pool.release(await pool.acquire())
  return new PostgresDriver(pool, settings)
}

interface Pg {
  readonly Client: NativeConstructor
}

async function loadDriver(): Promise<NativeConstructor> {
  try {
    // A bundler lets a package be missing that is imported inside of a try.
    const pg = requirePackage<Pg>('pg') ?? ((await import('pg')).default as unknown as Pg)
    return pg.Client
  } catch (error) {
    // Where it is there but cannot be loaded, as in a bundle without require, installing it does not help.
    const isMissing = (error as { code?: unknown }).code === 'ERR_MODULE_NOT_FOUND'
    const advice = isMissing ? 'Run: npm install pg' : messageOf(error)
    throw new DatabaseError('missing_driver', `Cannot load "pg", which postgres:// needs. ${advice}`, { cause: error })
  }
}

// Statements ----------------------------------------------------------------------------------------------------

/** Maximum number of named statements. A program that builds SQL must not fill the server's memory. */
const MAX_NAMES = 1000

/** A statement's name, and whether the server has carried it out. */
interface NamedStatement {
  name: string
  hasWorked: boolean
}

/** Errors of a prepared statement whose tables were changed since it was prepared. */
const STALE: readonly string[] = ['datatype_mismatch', 'undefined_function', 'undefined_column', 'undefined_table']

/** The names of prepared statements, the same on all connections of an adapter. */
class StatementNames {
  readonly #statements = new Map<string, NamedStatement>()
  readonly #isOff: boolean
  #count = 0

  constructor(isOff: boolean) {
    this.#isOff = isOff
  }

  /** Runs a statement by its name; gives it one if there are fewer than `MAX_NAMES`. */
  async run(connection: Connection, text: string, values: PostgresValue[]): Promise<Answer> {
    const statement = this.#of(text)
    if (statement === undefined) return connection.query(text, values, undefined)
    const { name, hasWorked } = statement
    try {
      const answer = await connection.query(text, values, name)
      assertStatement(answer)
      if (statement.name === name) statement.hasWorked = true
      return answer
    } catch (error) {
      if (!hasWorked || !isStale(error)) throw error
      if (statement.name === name) {
        // From now on each connection prepares it again.
        statement.name = `duolect_${++this.#count}`
        statement.hasWorked = false
      }
      throw new StaleStatement(error)
    }
  }

  #of(text: string): NamedStatement | undefined {
    let statement = this.#statements.get(text)
    if (statement === undefined && !this.#isOff && this.#statements.size < MAX_NAMES) {
      statement = { name: `duolect_${++this.#count}`, hasWorked: false }
      this.#statements.set(text, statement)
    }
    return statement
  }
}

/** A prepared statement failed that may not fail when it is prepared again. */
class StaleStatement {
  readonly reason: DatabaseError

  constructor(reason: DatabaseError) {
    this.reason = reason
  }
}

/** The server refuses such a statement before it has done anything. */
function isStale(error: unknown): error is DatabaseError {
  // What a function inside of the statement raised is no word on the statement.
  if (!(error instanceof DatabaseError) || wasRaisedInside(error)) return false
  return STALE.includes(error.code) || (error.code === 'feature_not_supported' && error.message.startsWith('cached plan'))
}

/** A statement commits by itself, so when its answer was lost, so was the commit's. */
function explainLostCommit(error: unknown): never {
  throw asLostCommit(error)
}

/** SQLite refuses a text without a statement, so both do. */
function assertStatement({ command }: Answer): void {
  if (command === null) throw new DatabaseError('syntax_error', 'The text has no statement.')
}

/** The commands whose row count is one of changes. */
const CHANGING = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

/** The commands that change no table. */
const ROW_COMMANDS = new Set([...CHANGING, 'SELECT', 'FETCH', 'SHOW', 'EXPLAIN', 'LOCK'])

function changesOf({ command, rowCount }: Answer): RunResult {
  return { changes: CHANGING.has(command ?? '') ? (rowCount ?? 0) : 0 }
}

function rowsOf({ rows, columns }: Answer, expects?: RowCount): Row[] {
  assertDistinctColumns(columns)
  assertRowCount(rows.length, expects)
  return rows
}

/** Keywords and functions before a parenthesis that write nothing. */
const PURE = new Set(
  (
    'ABS ALL AND ANY ARRAY AS AVG BETWEEN BY CASE CAST COALESCE CONCAT COUNT DATE_TRUNC DISTINCT ELSE EXISTS EXTRACT FILTER FROM GREATEST ' +
    'GROUP HAVING IN INTERVAL IS JOIN JSON_AGG JSONB_AGG LEAST LENGTH LIKE LIMIT LOWER MAX MIN NOT NOW NULLIF NUMERIC OFFSET ON OR ORDER ' +
    'OVER PARTITION REPLACE ROUND ROW_NUMBER SELECT SOME STRING_AGG SUBSTR SUBSTRING SUM THEN TO_CHAR TRIM UNION UPPER USING VALUES ' +
    'VARCHAR WHEN WHERE WITH'
  ).split(' ')
)

/**
 * What a statement may do, as far as its words tell: only read; read and call functions, which may write; write and
 * return rows; or return none, or none that the caller has named.
 */
type Effect = 'reads' | 'calls' | 'writes' | 'returns nothing'

function effectOf(text: string): Effect {
  const command = statementsOf(text, 'postgres')[0]?.firstWords[0] ?? ''
  const isQuery = ['SELECT', 'VALUES', 'TABLE', 'WITH', 'EXPLAIN', ''].includes(command)
  if (!isQuery && !CHANGING.has(command)) return 'returns nothing'
  let effect: Effect = isQuery ? 'reads' : 'returns nothing'
  let before = ''
  for (const { kind, start, end } of tokens(text, 'postgres')) {
    if (kind === 'comment') continue
    const word = kind === 'word' ? text.slice(start, end).toUpperCase() : ''
    if (word === 'RETURNING' || (isQuery && CHANGING.has(word))) return 'writes'
    if (isQuery && text[start] === '(' && before !== '' && !PURE.has(before)) effect = 'calls'
    before = kind === 'name' ? text.slice(start, end) : word
  }
  return effect
}

/** What the text of a statement tells. */
interface Traits {
  readonly effect: Effect
  /** True for an INSERT of one row: it returns that row, or none if it has changed nothing. */
  readonly writesOneRow: boolean
}

/**
 * Remembers which statements return columns of distinct names. Of the others the server's answer has to be seen before
 * what they changed is committed, which takes a round trip more; so has the number of rows where the caller takes one.
 */
class KnownColumns {
  readonly #traits = new Map<string, Traits>()
  readonly #known = new Set<string>()
  /** Behind a pooler statements are not prepared, so nothing fails when a table gets another column. */
  readonly #isOff: boolean

  constructor(isOff: boolean) {
    this.#isOff = isOff
  }

  /** True if a statement may write, and may be refused for the rows that it returns. */
  isUnknownWrite(statement: BoundStatement): boolean {
    return this.writes(statement) && !this.#isKnown(statement)
  }

  /** True if none of the statements can be refused for its rows, or none changes anything. */
  areKnown(statements: readonly BoundStatement[]): boolean {
    return statements.every(statement => this.#isKnown(statement)) || this.areReads(statements)
  }

  areReads(statements: readonly BoundStatement[]): boolean {
    return statements.every(({ text }) => this.#traitsOf(text).effect === 'reads')
  }

  /** True if a statement writes and returns rows. */
  writes({ text }: BoundStatement): boolean {
    return this.#traitsOf(text).effect === 'writes'
  }

  #isKnown({ text, expects }: BoundStatement): boolean {
    const { effect, writesOneRow } = this.#traitsOf(text)
    if (effect === 'returns nothing') return true
    return this.#known.has(text) && (expects === undefined || writesOneRow)
  }

  #traitsOf(text: string): Traits {
    let traits = this.#traits.get(text)
    if (traits === undefined) {
      const effect = effectOf(text)
      const isWrite = effect === 'writes'
      traits = { effect, writesOneRow: isWrite && insertsOneRow(text, name => PURE.has(name)) }
      if (this.#traits.size >= MAX_NAMES) {
        this.#traits.clear()
        this.#known.clear()
      }
      this.#traits.set(text, traits)
      if (isWrite && returnsDistinctNames(text)) this.#known.add(text)
    }
    return traits
  }

  add(statements: readonly BoundStatement[]): void {
    if (this.#isOff) return
    if (this.#known.size >= MAX_NAMES) this.#known.clear()
    for (const { text } of statements) this.#known.add(text)
  }

  forget(statements: readonly BoundStatement[]): void {
    for (const { text } of statements) this.#known.delete(text)
  }
}

/** A primary that became a standby takes no writes any more: the next connection may find the new primary. */
function isStandby(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === 'read_only'
}

// The driver ----------------------------------------------------------------------------------------------------

class PostgresDriver implements Adapter {
  readonly dialect = 'postgres'
  readonly #pool: Pool
  readonly #settings: PostgresSettings
  readonly #names: StatementNames
  readonly #columns: KnownColumns

  constructor(pool: Pool, settings: PostgresSettings) {
    this.#pool = pool
    this.#settings = settings
    this.#names = new StatementNames(settings.pooler)
    this.#columns = new KnownColumns(settings.pooler)
  }

  async query(statement: BoundStatement): Promise<Row[]> {
    // A write whose result may be refused for its columns must not commit by itself.
    if (this.#columns.isUnknownWrite(statement)) return (await this.batch([statement]))[0] as Row[]
    return rowsOf(await this.#statement(statement))
  }

  async execute(statement: BoundStatement): Promise<RunResult> {
    return changesOf(await this.#statement(statement).catch(explainLostCommit))
  }

  /** One flight: BEGIN, the statements and COMMIT are sent without waiting for answers in between. */
  async batch(statements: readonly BoundStatement[]): Promise<Row[][]> {
    const connection = await this.#pool.acquire()
    try {
      return await this.#batchOn(connection, statements).catch(async error => {
        // The server has refused a statement that was prepared for other tables, so nothing was committed.
        if (!(error instanceof StaleStatement)) throw error
        this.#columns.forget(statements)
        if (connection.inTransaction) await connection.script('ROLLBACK')
        return this.#batchOn(connection, statements)
      })
    } catch (error) {
      if (isStandby(error)) this.#pool.leaveServer(connection)
      throw error
    } finally {
      await this.#takeBack(connection)
    }
  }

  async #batchOn(connection: Connection, statements: readonly BoundStatement[]): Promise<Row[][]> {
    const begin = connection.script(this.#beginText({}))
    const answers = statements.map(statement =>
      this.#names
        .run(connection, statement.text, statement.values)
        .then(answer => rowsOf(answer, statement.expects))
        .catch(error => {
          throw withStatement(error, statement)
        })
    )
    // A result that is refused for its columns must not be committed; what the server refuses, it does not commit.
    if (!this.#columns.areKnown(statements)) await Promise.all([begin, ...answers])
    const commit = connection.script('COMMIT')
    const settled = await Promise.allSettled([begin, ...answers, commit])
    // What fails behind the first failure is a consequence of it.
    const failure = settled.find(({ status }) => status === 'rejected')
    if (failure !== undefined) {
      const { reason } = failure as PromiseRejectedResult
      throw this.#columns.areReads(statements) ? reason : asLostCommit(reason)
    }
    if ((await commit).command === 'ROLLBACK') throw transactionControlError()
    this.#columns.add(statements)
    return Promise.all(answers)
  }

  #statement({ text, values }: BoundStatement): Promise<Answer> {
    return this.#withConnection(connection =>
      this.#names.run(connection, text, values).catch(error => {
        if (error instanceof StaleStatement) return this.#names.run(connection, text, values)
        throw error
      })
    )
  }

  async script(text: string): Promise<void> {
    await this.#withConnection(connection => connection.script(text)).catch(explainLostCommit)
  }

  async *stream(statement: BoundStatement): AsyncGenerator<Row[], void, undefined> {
    const session = await this.#begin({ readOnly: true }, mayIdle(this.#settings))
    let isDone = false
    let last: Row[] = []
    try {
      for await (const rows of session.stream(statement)) {
        if (rows.length < PORTION_SIZE) last = rows
        else yield rows
      }
      isDone = true
    } finally {
      // How a transaction ends that read all its rows changes nothing; but the connection must come back.
      if (isDone) await session.commit().catch(() => undefined)
      await session.rollback()
    }
    // By now the connection is free for what the caller does with the rows.
    if (last.length > 0) yield last
  }

  /** Lends a connection for one statement outside of transactions. */
  async #withConnection(work: (connection: Connection) => Promise<Answer>): Promise<Answer> {
    const connection = await this.#pool.acquire()
    try {
      const answer = await work(connection)
      if (answer.inTransaction) throw transactionControlError()
      return answer
    } catch (error) {
      if (isStandby(error)) this.#pool.leaveServer(connection)
      throw error
    } finally {
      await this.#takeBack(connection)
    }
  }

  /** Gives a connection back to the pool, without a transaction that a statement left open. */
  async #takeBack(connection: Connection): Promise<void> {
    if (!connection.isLost && connection.inTransaction) await connection.script('ROLLBACK').catch(() => connection.destroy())
    this.#pool.release(connection)
  }

  begin(options: TransactionOptions): Promise<Session> {
    return this.#begin(options)
  }

  async #begin(options: TransactionOptions, more = ''): Promise<Session> {
    const connection = await this.#pool.acquire()
    try {
      await connection.script(this.#beginText(options) + more)
    } catch (error) {
      connection.destroy()
      this.#pool.release(connection)
      throw error
    }
    const onStandby = options.readOnly ? undefined : () => this.#pool.leaveServer(connection)
    return new PostgresSession(connection, this.#names, this.#columns, onStandby, () => this.#pool.release(connection))
  }

  #beginText({ isolation, readOnly }: TransactionOptions): string {
    const begin = `BEGIN${isolation ? ` ISOLATION LEVEL ${isolation.toUpperCase()}` : ''}${readOnly ? ' READ ONLY' : ''}`
    if (!this.#settings.pooler) return begin
    // What startup options do elsewhere.
    const { lock, query } = this.#settings.timeouts
    return `${begin}; SET LOCAL lock_timeout = ${lock}; SET LOCAL statement_timeout = ${query}`
  }

  close(): Promise<void> {
    return this.#pool.close()
  }
}

/** A cursor takes these; of another first word the server says no more than that it is wrong. */
const CURSOR_COMMANDS: readonly (string | undefined)[] = ['SELECT', 'WITH', 'VALUES', 'TABLE', undefined]

function assertReads(text: string): void {
  if (CURSOR_COMMANDS.includes(statementsOf(text, 'postgres')[0]?.firstWords[0])) return
  throw new DatabaseError('syntax_error', 'iterate() takes a statement that only reads; for one that writes use all() or run().')
}

/** Number of cursors so far, for their names. */
let cursors = 0

/** Commands of a script after which prepared statements still fit. */
const SAVEPOINT_COMMANDS: readonly (string | undefined)[] = ['SAVEPOINT', 'RELEASE', 'ROLLBACK']

class PostgresSession implements Session {
  readonly #connection: Connection
  readonly #names: StatementNames
  readonly #columns: KnownColumns
  readonly #release: () => void
  /** What is done when the server takes no writes; undefined where none are wanted. */
  readonly #onStandby: (() => void) | undefined
  #isReleased = false
  #hasChangedTables = false

  constructor(
    connection: Connection,
    names: StatementNames,
    columns: KnownColumns,
    onStandby: (() => void) | undefined,
    release: () => void
  ) {
    this.#onStandby = onStandby
    this.#connection = connection
    this.#names = names
    this.#columns = columns
    this.#release = release
  }

  async query(statement: BoundStatement): Promise<Row[]> {
    const answer = await this.#statement(statement)
    // A read of another number of rows has changed nothing, so that its transaction may go on.
    return rowsOf(answer, this.#columns.writes(statement) ? statement.expects : undefined)
  }

  async execute(bound: BoundStatement): Promise<RunResult> {
    return changesOf(await this.#statement(bound))
  }

  async #statement({ text, values }: BoundStatement): Promise<Answer> {
    this.#assertOpen()
    // A named statement may have been prepared for a table that the transaction has changed since.
    const work = this.#hasChangedTables ? this.#connection.query(text, values, undefined) : this.#names.run(this.#connection, text, values)
    const answer = await this.#inTransaction(work)
    if (!ROW_COMMANDS.has(answer.command ?? '')) this.#hasChangedTables = true
    return answer
  }

  /** What must leave the transaction open. */
  async #inTransaction(work: Promise<Answer>): Promise<Answer> {
    try {
      const answer = await work
      if (!answer.inTransaction) throw transactionControlError()
      return answer
    } catch (error) {
      if (isStandby(error)) this.#onStandby?.()
      if (!(error instanceof StaleStatement)) throw error
      if (error.reason.code !== 'feature_not_supported') throw error.reason
      throw new DatabaseError('serialization_failure', 'A table was changed since the statement was prepared; run the transaction again.', {
        cause: error.reason
      })
    }
  }

  async *stream({ text, values }: BoundStatement): AsyncGenerator<Row[], void, undefined> {
    assertReads(text)
    const cursor = `duolect_cursor_${++cursors}`
    const declare = `DECLARE ${cursor} NO SCROLL CURSOR FOR `
    await this.#connection.query(declare + text, values, undefined, declare.length)
    try {
      while (true) {
        const rows = rowsOf(await this.#connection.query(`FETCH ${PORTION_SIZE} FROM ${cursor}`, [], undefined))
        if (rows.length > 0) yield rows
        if (rows.length < PORTION_SIZE) return
      }
    } finally {
      // After a failure the cursor went with the transaction.
      if (!this.#isReleased) await this.#connection.query(`CLOSE ${cursor}`, [], undefined).catch(() => undefined)
    }
  }

  /** The connection may be somebody else's by now. */
  #assertOpen(): void {
    if (this.#isReleased) throw transactionControlError()
  }

  async script(text: string): Promise<void> {
    this.#assertOpen()
    await this.#inTransaction(this.#connection.script(text))
    if (!statementsOf(text, 'postgres').every(({ firstWords }) => SAVEPOINT_COMMANDS.includes(firstWords[0]))) this.#hasChangedTables = true
  }

  async commit(): Promise<void> {
    if (this.#connection.isLost) {
      throw new DatabaseError(
        'connection_failure',
        'The connection to Postgres broke before COMMIT was sent, so nothing was stored; run the transaction again.',
        {
          isRetryable: true
        }
      )
    }
    let result: Answer
    try {
      result = await this.#connection.script('COMMIT')
    } catch (error) {
      if (!isConnectionLost(error)) throw error
      this.#giveBack()
      throw asLostCommit(new DatabaseError('connection_failure', messageOf(error), { cause: error }))
    }
    this.#giveBack()
    if (result.command === 'ROLLBACK') {
      throw new DatabaseError('in_failed_sql_transaction', 'Postgres rolled the transaction back, since a statement of it had failed.')
    }
  }

  async rollback(): Promise<void> {
    if (this.#isReleased) return
    if (!this.#connection.isLost) await this.#connection.script('ROLLBACK').catch(() => this.#connection.destroy())
    this.#giveBack()
  }

  #giveBack(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#release()
  }
}
