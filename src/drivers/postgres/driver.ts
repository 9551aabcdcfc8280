/**
 * Postgres through `pg`. What that brings with it:
 *
 * - `pg` reads PGHOST, PGPASSWORD, PGSSLMODE and the like by itself, so every setting is given to it.
 * - Its rows are decoded here, never through `pg.types`, which other code of the process may change.
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
import {
  type Answer,
  Connection,
  failedAt,
  mayIdle,
  type NativeConstructor,
  resultsBefore,
  reusedBy,
  wasCancelledForAnother
} from './connection.ts'
import { isConnectionLost, stateOf, wasRaisedInside, wasUnread } from './errors.ts'
import { Hosts } from './hosts.ts'
import { Lanes, Pace } from './lanes.ts'
import { Pool } from './pool.ts'
import type { Result, Timing } from './query.ts'
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
  const hosts = new Hosts(settings.hosts)
  const pool = new Pool(() => Connection.open(Native, settings, hosts), hosts, settings)
  pool.release(await pool.acquire())
  return new PostgresDriver(pool, settings)
}

interface Pg {
  readonly Client: NativeConstructor
}

async function loadDriver(): Promise<NativeConstructor> {
  try {
    // A bundler lets a package be missing that is imported inside of a try.
    const pg = asNode(() => requirePackage<Pg>('pg')) ?? ((await import('pg')).default as unknown as Pg)
    return pg.Client
  } catch (error) {
    // Where it is there but cannot be loaded, as in a bundle without require, installing it does not help.
    const isMissing = (error as { code?: unknown }).code === 'ERR_MODULE_NOT_FOUND'
    const advice = isMissing ? 'Run: npm install pg' : messageOf(error)
    throw new DatabaseError('missing_driver', `Cannot load "pg", which postgres:// needs. ${advice}`, { cause: error })
  }
}

/**
 * Loads `pg` with the `navigator` that Node.js has from version 21 on, so that `pg` sees by it that this is not
 * Cloudflare. Without one it makes a `Response` to see that, for which Node.js loads all of `fetch`, 20 ms.
 */
function asNode<T>(load: () => T): T {
  if ('navigator' in globalThis) return load()
  const value = { userAgent: `Node.js/${Number.parseInt(process.versions.node, 10)}` }
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true })
  try {
    return load()
  } finally {
    Reflect.deleteProperty(globalThis, 'navigator')
  }
}

// Statements ----------------------------------------------------------------------------------------------------

/** Maximum number of texts that something is remembered of. */
const MAX_NAMES = 1000

/**
 * States in which the server refuses a statement of an old name before it has done anything: a name that is gone, a
 * result of other columns, and what no longer fits the tables.
 */
const REFUSED_STATES: readonly string[] = ['26000', '0A000', '42804', '42883', '42703', '42P01']

/** Runs statements by their names, which are prepared anew after this process has changed tables. */
class StatementNames {
  /** Behind a pooler the next statement may meet another session, so none has a name. */
  readonly #isOff: boolean
  /** Number of changes of tables. */
  #changes = 0
  readonly #scopes = new Map<string, Scope>()

  constructor(isOff: boolean) {
    this.#isOff = isOff
  }

  /** Runs a statement in a transaction. */
  async run(connection: Connection, text: string, values: PostgresValue[], timing?: Timing): Promise<Answer> {
    try {
      const answer = await connection.query(text, values, this.#isNamed(text) ? this.#changes : undefined, { timing })
      assertStatement(answer)
      return answer
    } catch (error) {
      this.#forgetIfRefused(connection, error)
      throw error
    }
  }

  /** The same outside of a transaction, where it is run again if only its old name failed. */
  async runAlone(connection: Connection, text: string, values: PostgresValue[], timing?: Timing): Promise<Answer> {
    try {
      return await this.run(connection, text, values, timing)
    } catch (error) {
      if (!(await this.isWorthRepeating(connection, error))) throw error
      return this.run(connection, text, values, timing)
    } finally {
      if (this.scopeOf(text) === 'tables') this.tablesChanged()
    }
  }

  /**
   * Runs statements of a transaction one after the other, and returns the rows of each.
   *
   * @param named so many from the first on may have names
   */
  async runAll(connection: Connection, statements: readonly BoundStatement[], named: number): Promise<Row[][]> {
    let answers: Answer[]
    try {
      answers = await connection.queries(
        statements.map(({ text, values }, i) => ({ text, values, change: i < named && this.#isNamed(text) ? this.#changes : undefined }))
      )
    } catch (error) {
      this.#forgetIfRefused(connection, error)
      // An earlier statement may be refused for its rows, and the first failure is the one to tell.
      if (!connection.isLost) rowsOfAll(resultsBefore(error), statements)
      throw withStatement(error, statements[failedAt(error) ?? 0] ?? (statements[0] as BoundStatement))
    }
    return rowsOfAll(answers, statements)
  }

  #isNamed(text: string): boolean {
    return !this.#isOff && this.scopeOf(text) === 'rows'
  }

  #forgetIfRefused(connection: Connection, error: unknown): void {
    const prepared = reusedBy(error)
    if (prepared !== undefined && (isRefused(error) || isOfValue(error))) connection.forget(prepared)
  }

  /** True if a statement failed because its name was prepared for other tables, and nothing of it took effect. */
  async isWorthRepeating(connection: Connection, error: unknown): Promise<boolean> {
    const prepared = reusedBy(error)
    if (prepared === undefined || connection.isLost) return false
    if (isRefused(error)) return true
    if (!isOfValue(error)) return false
    // A value that did not fit the old type of its parameter. The statement is run again only if there is another type now.
    const { text, types } = prepared
    const now = await connection.prepare(text, this.#changes).catch(() => undefined)
    return now?.types !== undefined && now.types.join() !== types?.join()
  }

  /** What the text of one statement may change. */
  scopeOf(text: string): Scope {
    let scope = this.#scopes.get(text)
    if (scope === undefined) {
      scope = scopeOf(text)
      if (this.#scopes.size >= MAX_NAMES) this.#scopes.clear()
      if (text.length <= MAX_REMEMBERED_LENGTH) this.#scopes.set(text, scope)
    }
    return scope
  }

  /** From now on each connection prepares its statements anew. */
  tablesChanged(): void {
    this.#changes++
  }
}

/**
 * Number of statements of a batch that the server answers together. Servers before version 11 count the time of all of
 * them against `timeouts.query`.
 */
const MAX_TOGETHER = 100

/** Texts that are longer are read again each time. */
const MAX_REMEMBERED_LENGTH = 100_000

/** True if the server refused the statement before it did anything. */
function isRefused(error: unknown): error is DatabaseError {
  // What a function inside of the statement raised is no word on the statement.
  return error instanceof DatabaseError && REFUSED_STATES.includes(stateOf(error)) && !wasRaisedInside(error)
}

/** True for a data exception, such as a value that does not fit its type. */
function isOfValue(error: unknown): boolean {
  return stateOf(error).startsWith('22')
}

/** A statement commits by itself, so when its answer was lost, so was the commit's. */
function explainLostCommit(error: unknown): never {
  throw wasUnread(error) ? unknownEffect(error) : asLostCommit(error)
}

/** The error for a write whose answer could not be read. */
function unknownEffect(cause: unknown): DatabaseError {
  return new DatabaseError('commit_unknown', `${messageOf(cause)} The statement may have taken effect or not; look before you repeat it.`, {
    cause
  })
}

/** SQLite refuses a text without a statement, so both do. */
function assertStatement({ command }: Result): void {
  if (command === null) throw new DatabaseError('syntax_error', 'The text has no statement.')
}

/** The commands whose row count is one of changes. */
const CHANGING = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

/** The commands that change neither the columns of tables nor what their names lead to. */
const ROW_COMMANDS = new Set([
  ...CHANGING,
  ...'SELECT WITH VALUES TABLE FETCH MOVE CLOSE DECLARE SHOW EXPLAIN LOCK NOTIFY TRUNCATE ANALYZE VACUUM CHECKPOINT'.split(' '),
  ...['SAVEPOINT', 'RELEASE', 'ROLLBACK']
])

/**
 * What a text may change: rows alone; settings of its transaction, such as the path in which tables are found; or the
 * tables themselves.
 */
type Scope = 'rows' | 'settings' | 'tables'

function scopeOf(text: string): Scope {
  let scope: Scope = 'rows'
  for (const { firstWords } of statementsOf(text, 'postgres')) {
    const [command = 'SELECT'] = firstWords
    if (command === 'SET' || command === 'RESET') scope = 'settings'
    else if (!ROW_COMMANDS.has(command)) return 'tables'
  }
  return scope
}

function changesOf({ command, rowCount }: Answer): RunResult {
  return { changes: CHANGING.has(command ?? '') ? (rowCount ?? 0) : 0 }
}

function rowsOf({ rows, plan }: Result, expects?: RowCount): Row[] {
  if (plan?.hasDuplicates) assertDistinctColumns(plan.names)
  assertRowCount(rows.length, expects)
  return rows
}

/** The rows of each result; fails with the statement of the first that is refused. */
function rowsOfAll(results: readonly Result[], statements: readonly BoundStatement[]): Row[][] {
  return results.map((result, i) => {
    const statement = statements[i] as BoundStatement
    try {
      assertStatement(result)
      return rowsOf(result, statement.expects)
    } catch (error) {
      throw withStatement(error, statement)
    }
  })
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
 * What a statement may do, as far as its words tell: only read; read, and lock rows or call functions, which may write;
 * write and return rows; or return none, or none that the caller has named.
 */
type Effect = 'reads' | 'calls' | 'writes' | 'returns nothing'

function effectOf(text: string): Effect {
  const command = statementsOf(text, 'postgres')[0]?.firstWords[0] ?? ''
  const isQuery = ['SELECT', 'VALUES', 'TABLE', 'WITH', 'EXPLAIN', ''].includes(command)
  if (!isQuery && !CHANGING.has(command)) return 'returns nothing'
  let effect: Effect = isQuery ? (command === 'EXPLAIN' ? 'calls' : 'reads') : 'returns nothing'
  let before = ''
  for (const { kind, start, end } of tokens(text, 'postgres')) {
    if (kind === 'comment') continue
    const word = kind === 'word' ? text.slice(start, end).toUpperCase() : ''
    if (word === 'RETURNING' || (isQuery && CHANGING.has(word))) return 'writes'
    // SELECT … INTO makes a table.
    if (isQuery && word === 'INTO') return 'returns nothing'
    // FOR SHARE locks rows; FOR UPDATE has a word of writes.
    if (isQuery && (word === 'SHARE' || (text[start] === '(' && before !== '' && !PURE.has(before)))) effect = 'calls'
    before = kind === 'name' ? text.slice(start, end) : word
  }
  return effect
}

/** What the text of a statement tells, and how fast it was. */
interface Traits {
  readonly effect: Effect
  /** Undefined for a statement that may do more than read. */
  readonly pace: Pace | undefined
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

  /** How fast a statement was lately; undefined for one that may do more than read. */
  paceOf({ text }: BoundStatement): Pace | undefined {
    return this.#traitsOf(text).pace
  }

  /** True if a statement only reads, as far as its text tells; functions that it calls may write. */
  isQuery({ text }: BoundStatement): boolean {
    const { effect } = this.#traitsOf(text)
    return effect === 'reads' || effect === 'calls'
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
      traits = {
        effect,
        pace: effect === 'reads' ? new Pace() : undefined,
        writesOneRow: isWrite && insertsOneRow(text, name => PURE.has(name))
      }
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

/** The error for a transaction whose connection broke before COMMIT was sent. */
function uncommittedError(reason?: DatabaseError): DatabaseError {
  return new DatabaseError(
    'connection_failure',
    'The connection to Postgres broke before COMMIT was sent, so nothing was committed; run the transaction again.' +
      (reason === undefined ? '' : ` The reason: ${reason.message}`),
    { isRetryable: true, cause: reason?.cause }
  )
}

/** The same for an error before COMMIT, unless nothing was sent at all. Returns other errors as they are. */
function asUncommitted(error: unknown): unknown {
  return error instanceof DatabaseError && error.code === 'connection_failure' && !error.isRetryable ? uncommittedError(error) : error
}

/** True if a statement of the text may make its own transaction read only. */
function maySetReadOnly(text: string): boolean {
  return statementsOf(text, 'postgres').some(({ firstWords }) => firstWords[0] === 'SET')
}

/** Leaves servers that take no writes any more, as a primary that became a standby. */
class Leaving {
  readonly #pool: Pool
  /** True if the handle is for reading, so that another server would not take writes either. */
  readonly #isOff: boolean

  constructor(pool: Pool, { targetServer }: PostgresSettings) {
    this.#pool = pool
    this.#isOff = ['standby', 'read-only', 'prefer-standby'].includes(targetServer)
  }

  /**
   * Leaves the server if the error says that it takes no writes, so that the next connection may find one that does.
   *
   * @returns the error for the caller; one that can be repeated if the server was not known to take no writes
   */
  after(error: unknown, connection: Connection): unknown {
    if (this.#isOff || !(error instanceof DatabaseError && error.code === 'read_only')) return error
    this.#pool.leaveServer(connection)
    if (connection.takesNoWrites) return error
    return new DatabaseError(
      'connection_failure',
      `The server takes no writes any more (${error.message.replace(/\..*/s, '')}), as after a failover, so nothing was written. Its ` +
        'connections are closed; the next call looks for a server that takes writes.',
      { isRetryable: true, cause: error.cause }
    )
  }
}

// The driver ----------------------------------------------------------------------------------------------------

class PostgresDriver implements Adapter {
  readonly dialect = 'postgres'
  readonly #pool: Pool
  readonly #settings: PostgresSettings
  readonly #leaving: Leaving
  readonly #names: StatementNames
  readonly #columns: KnownColumns
  /** Undefined behind a pooler, which lends a server connection for one statement at a time itself. */
  readonly #lanes: Lanes | undefined

  constructor(pool: Pool, settings: PostgresSettings) {
    this.#pool = pool
    this.#lanes = settings.pooler ? undefined : new Lanes(pool)
    this.#settings = settings
    this.#leaving = new Leaving(pool, settings)
    this.#names = new StatementNames(settings.pooler)
    this.#columns = new KnownColumns(settings.pooler)
  }

  async query(statement: BoundStatement): Promise<Row[]> {
    // A write whose result may be refused for its columns must not commit by itself.
    if (this.#columns.isUnknownWrite(statement)) return (await this.batch([statement]))[0] as Row[]
    const pace = this.#columns.paceOf(statement)
    if (pace !== undefined) return rowsOf(await this.#read(statement, pace))
    const answer = this.#statement(statement)
    return rowsOf(await (this.#columns.isQuery(statement) ? answer : answer.catch(explainLostCommit)))
  }

  /** Runs a statement that only reads: on a connection that others share if it is known to be fast, else on one of its own. */
  #read(statement: BoundStatement, pace: Pace): Promise<Answer> {
    return pace.isFast && this.#lanes !== undefined ? this.#readShared(this.#lanes, statement, pace) : this.#statement(statement, pace)
  }

  async #readShared(lanes: Lanes, statement: BoundStatement, pace: Pace): Promise<Answer> {
    const { text, values } = statement
    let isWorthRepeating = false
    try {
      return await lanes.run(pace, connection =>
        this.#names.run(connection, text, values, pace).catch(async error => {
          isWorthRepeating = wasCancelledForAnother(error) || (await this.#names.isWorthRepeating(connection, error))
          throw this.#leaving.after(error, connection)
        })
      )
    } catch (error) {
      if (!isWorthRepeating) throw error
      // Where nobody can disturb it again.
      return this.#statement(statement, pace)
    }
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
        await rollBack(connection)
        if (!(await this.#names.isWorthRepeating(connection, error))) throw error
        this.#columns.forget(statements)
        return this.#batchOn(connection, statements)
      })
    } catch (error) {
      throw this.#leaving.after(error, connection)
    } finally {
      await this.#takeBack(connection)
    }
  }

  async #batchOn(connection: Connection, statements: readonly BoundStatement[]): Promise<Row[][]> {
    const begin = connection.script(this.#beginText({}))
    const scopes = statements.map(({ text }) => this.#names.scopeOf(text))
    const firstChange = scopes.findIndex(scope => scope !== 'rows')
    // What was prepared before may not fit the tables behind a change of them.
    const named = firstChange === -1 ? statements.length : firstChange
    const answers: Promise<Row[][]>[] = []
    for (let from = 0; from < statements.length; from += MAX_TOGETHER) {
      answers.push(this.#names.runAll(connection, statements.slice(from, from + MAX_TOGETHER), named - from))
    }
    // A result that is refused for its columns must not be committed; what the server refuses, it does not commit.
    if (!this.#columns.areKnown(statements)) {
      await Promise.all([begin, ...answers]).catch(error => {
        throw asUncommitted(error)
      })
    }
    const commit = connection.script('COMMIT')
    const settled = await Promise.allSettled([begin, ...answers, commit])
    // What fails behind the first failure is a consequence of it.
    const failure = settled.find(({ status }) => status === 'rejected')
    if (failure !== undefined) {
      const { reason } = failure as PromiseRejectedResult
      if (this.#columns.areReads(statements)) throw reason
      explainLostCommit(reason)
    }
    if ((await commit).command === 'ROLLBACK') throw transactionControlError()
    if (scopes.includes('tables')) this.#names.tablesChanged()
    this.#columns.add(statements)
    return (await Promise.all(answers)).flat()
  }

  #statement({ text, values }: BoundStatement, timing?: Timing): Promise<Answer> {
    return this.#withConnection(connection => this.#names.runAlone(connection, text, values, timing))
  }

  async script(text: string): Promise<void> {
    try {
      await this.#withConnection(connection => connection.script(text), maySetReadOnly(text)).catch(explainLostCommit)
    } finally {
      if (scopeOf(text) === 'tables') this.#names.tablesChanged()
    }
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

  /** Lends a connection for one statement, or one script, outside of transactions. */
  async #withConnection(work: (connection: Connection) => Promise<Answer>, mayBeReadOnly = false): Promise<Answer> {
    const connection = await this.#pool.acquire()
    try {
      const answer = await work(connection)
      if (answer.inTransaction) throw transactionControlError()
      return answer
    } catch (error) {
      throw mayBeReadOnly ? error : this.#leaving.after(error, connection)
    } finally {
      await this.#takeBack(connection)
    }
  }

  /** Gives a connection back to the pool, without a transaction that a statement left open. */
  async #takeBack(connection: Connection): Promise<void> {
    await rollBack(connection)
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
      await this.#takeBack(connection)
      throw asUncommitted(error)
    }
    const leaving = options.readOnly ? undefined : this.#leaving
    return new PostgresSession(connection, this.#names, this.#columns, leaving, () => this.#pool.release(connection))
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

/** Ends a transaction that a failure or a statement left open. */
async function rollBack(connection: Connection): Promise<void> {
  if (!connection.isLost && connection.inTransaction) await connection.script('ROLLBACK').catch(() => connection.destroy())
}

/** A cursor takes these; of another first word the server says no more than that it is wrong. */
const CURSOR_COMMANDS: readonly (string | undefined)[] = ['SELECT', 'WITH', 'VALUES', 'TABLE', undefined]

function assertReads(text: string): void {
  if (CURSOR_COMMANDS.includes(statementsOf(text, 'postgres')[0]?.firstWords[0])) return
  throw new DatabaseError('syntax_error', 'iterate() takes a statement that only reads; for one that writes use all() or run().')
}

/** Number of cursors so far, for their names. */
let cursors = 0

class PostgresSession implements Session {
  readonly #connection: Connection
  readonly #names: StatementNames
  readonly #columns: KnownColumns
  readonly #release: () => void
  /** Undefined once a statement may have made the transaction read only. */
  #leaving: Leaving | undefined
  #isReleased = false
  /** True once a named statement may have been prepared for other tables than those that its names lead to now. */
  #isUnnamed = false
  #hasChangedTables = false

  constructor(connection: Connection, names: StatementNames, columns: KnownColumns, leaving: Leaving | undefined, release: () => void) {
    this.#leaving = leaving
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
    this.#willRun(this.#names.scopeOf(text))
    const answer = await this.#inTransaction(
      this.#isUnnamed ? this.#connection.query(text, values, undefined) : this.#names.run(this.#connection, text, values)
    )
    if (answer.command === 'SET') this.#leaving = undefined
    return answer
  }

  #willRun(scope: Scope): void {
    if (scope !== 'rows') this.#isUnnamed = true
    if (scope === 'tables') this.#hasChangedTables = true
  }

  /** What must leave the transaction open. */
  async #inTransaction(work: Promise<Answer>): Promise<Answer> {
    try {
      const answer = await work
      if (!answer.inTransaction) throw transactionControlError()
      return answer
    } catch (error) {
      if (error instanceof DatabaseError && error.code === 'connection_failure') throw uncommittedError(error)
      if (reusedBy(error) === undefined || !isRefused(error) || stateOf(error).startsWith('42')) {
        throw this.#leaving?.after(error, this.#connection) ?? error
      }
      throw new DatabaseError('serialization_failure', 'A table was changed since the statement was prepared; run the transaction again.', {
        cause: error
      })
    }
  }

  async *stream({ text, values }: BoundStatement): AsyncGenerator<Row[], void, undefined> {
    assertReads(text)
    const cursor = `duolect_cursor_${++cursors}`
    const declare = `DECLARE ${cursor} NO SCROLL CURSOR FOR `
    await this.#inTransaction(this.#connection.query(declare + text, values, undefined, { offset: declare.length }))
    try {
      while (true) {
        const rows = rowsOf(await this.#inTransaction(this.#connection.query(`FETCH ${PORTION_SIZE} FROM ${cursor}`, [], undefined)))
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
    this.#willRun(scopeOf(text))
    if (maySetReadOnly(text)) this.#leaving = undefined
    await this.#inTransaction(this.#connection.script(text))
  }

  async commit(): Promise<void> {
    if (this.#connection.isLost) throw uncommittedError()
    let result: Answer
    try {
      result = await this.#connection.script('COMMIT')
    } catch (error) {
      if (!isConnectionLost(error)) throw error
      this.#giveBack()
      throw asLostCommit(new DatabaseError('connection_failure', messageOf(error), { cause: error }))
    } finally {
      if (this.#hasChangedTables) this.#names.tablesChanged()
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
