import {
  assertDistinctColumns,
  assertRowCount,
  type BoundStatement,
  type BoundValue,
  PORTION_SIZE,
  type Row,
  type RunResult,
  transactionControlError
} from '../../adapter.ts'
import { BoundedCache } from '../../cache.ts'
import type { SqliteSettings } from '../../config.ts'
import { DatabaseError } from '../../errors.ts'
import { statementsOf, tokens } from '../../lexer.ts'
import { lastOfShape } from '../../shapes.ts'
import { isGeneric, nativeCode } from './errors.ts'
import { files } from './files.ts'
import { SchemaWatch } from './schema.ts'
import { type ColumnDefinition, type DecodePlan, decodePlan } from './values.ts'

// What is used of better-sqlite3 -----------------------------------------------------------------------------
export interface NativeStatement {
  readonly reader: boolean
  readonly readonly: boolean
  raw(on: boolean): this
  pluck(on: boolean): this
  safeIntegers(on: boolean): this
  columns(): ColumnDefinition[]
  all(...values: BoundValue[]): unknown[][]
  get(...values: BoundValue[]): unknown
  run(...values: BoundValue[]): { changes: number }
  iterate(...values: BoundValue[]): IterableIterator<unknown[]>
}

export interface NativeDatabase {
  readonly inTransaction: boolean
  prepare(sql: string): NativeStatement
  exec(sql: string): unknown
  pragma(sql: string, options?: { simple: boolean }): unknown
  close(): unknown
}

export type NativeConstructor = new (location: string | Buffer, options: { timeout: number; readonly?: boolean }) => NativeDatabase

// A connection and its statements ----------------------------------------------------------------------------

/** After a large value the WAL is cut back to this, instead of staying as large as it ever was. */
const JOURNAL_SIZE_LIMIT = 64 * 1024 * 1024

/** Statements are few where SQL is written by hand; the limits are for programs that build texts. SQLite takes 20 to 30 bytes a character. */
const MAX_CACHED = 500
const MAX_CACHED_LENGTH = 1_000_000

export interface Prepared {
  readonly text: string
  readonly native: NativeStatement
  readonly isReader: boolean
  readonly isReadonly: boolean
  /** True if it has to run by itself, outside of a transaction. */
  readonly isLone: boolean
  /** True if tables may be others after it. */
  readonly mayChangeTables: boolean
  /** True if it can fail after it has changed rows: RETURNING is decoded afterwards, and FAIL keeps what was done before it. */
  readonly mayFailLate: boolean
  readonly plan: DecodePlan | undefined
  /** True if integers are read as BigInt. Stays true once a row needed it. */
  isExact: boolean
}

/** First words of statements that change no table. */
const DATA_WORDS: readonly string[] = ['SELECT', 'VALUES', 'WITH', 'INSERT', 'REPLACE', 'UPDATE', 'DELETE', 'EXPLAIN']

/** First words of statements that SQLite takes outside of transactions only, or that reach beyond the transaction. */
const LONE_WORDS: readonly string[] = ['VACUUM', 'PRAGMA', 'ATTACH', 'DETACH']

export class Connection {
  readonly #native: NativeDatabase
  readonly #statements = new BoundedCache<Prepared>(MAX_CACHED, MAX_CACHED_LENGTH)
  readonly #schema: SchemaWatch
  readonly #begin: string
  /** SQLite's own counters, prepared when they are needed first. */
  #countChanges: NativeStatement | undefined
  #countAllChanges: NativeStatement | undefined
  /** True if a trigger keeps half of a failed statement; undefined while nobody has looked. */
  #hasFailingTriggers: boolean | undefined

  constructor(Native: NativeConstructor, settings: SqliteSettings, readonly: boolean) {
    this.#begin = readonly ? 'BEGIN' : 'BEGIN IMMEDIATE'
    this.#native = openFile(Native, settings, readonly)
    try {
      this.#native.exec(pragmasOf(settings, readonly))
      this.#schema = new SchemaWatch(this.#native, () => {
        this.#statements.clear()
        this.#hasFailingTriggers = undefined
      })
    } catch (error) {
      this.#native.close()
      throw error
    }
  }

  // Transactions ------------------------------------------------------------------------------------------------

  get inTransaction(): boolean {
    return this.#native.inTransaction
  }

  /** Begins a transaction; one that may write waits for no lock in its middle. From here on the tables are known. */
  begin(): void {
    this.#native.exec(this.#begin)
    this.#schema.look()
  }

  commit(): void {
    this.#native.exec('COMMIT')
    this.#schema.settled()
  }

  /** Undoes what is open, if anything is. Never fails: an error before it says more. */
  rollback(): void {
    if (!this.inTransaction) return
    try {
      this.#native.exec('ROLLBACK')
    } catch {
      // SQLite has ended the transaction all the same, or the next call of this will.
    }
    this.#schema.settled()
  }

  /** Does the work as a whole: in a transaction of its own, or in a savepoint of the one that is open. */
  whole<T>(work: () => T): T {
    return this.inTransaction ? this.#inSavepoint(work) : this.#inTransactionOfItsOwn(work)
  }

  #inTransactionOfItsOwn<T>(work: () => T): T {
    try {
      this.begin()
      const result = work()
      if (!this.inTransaction) throw transactionControlError()
      this.commit()
      return result
    } finally {
      this.rollback()
    }
  }

  #inSavepoint<T>(work: () => T): T {
    this.#native.exec('SAVEPOINT duolect_whole')
    try {
      return work()
    } catch (error) {
      if (this.inTransaction) this.#native.exec('ROLLBACK TO duolect_whole')
      throw error
    } finally {
      if (this.inTransaction) this.#native.exec('RELEASE duolect_whole')
    }
  }

  /** Forbids writes, or allows them again. */
  allowWrites(isAllowed: boolean): void {
    this.#native.pragma(`query_only = ${isAllowed ? 'OFF' : 'ON'}`)
  }

  /** Enforces foreign keys, or does not. SQLite ignores it inside a transaction. */
  enforceForeignKeys(isEnforced: boolean): void {
    this.#native.pragma(`foreign_keys = ${isEnforced ? 'ON' : 'OFF'}`)
  }

  // Statements --------------------------------------------------------------------------------------------------

  prepare(text: string): Prepared {
    if (this.#schema.isDue && !this.inTransaction) this.#schema.look()
    let prepared = this.#statements.get(text)
    if (prepared === undefined) {
      prepared = this.#prepare(text)
      this.#statements.set(text, prepared)
    }
    return prepared
  }

  #prepare(text: string): Prepared {
    const native = this.#native.prepare(text)
    const { reader: isReader, readonly: isReadonly } = native
    if (isReader) native.raw(true)
    const plan = isReader ? decodePlan(native.columns()) : undefined
    const word = firstWordOf(text)
    const isLone = LONE_WORDS.includes(word) || (!isReader && isReadonly)
    const prepared: Prepared = {
      text,
      native,
      isReader,
      isReadonly,
      isLone,
      mayChangeTables: !DATA_WORDS.includes(word),
      mayFailLate: !isReadonly && !isLone && (isReader || FAIL.test(text) || this.#mayTriggersFail()),
      plan,
      isExact: false
    }
    // What writes cannot be read a second time, so its integers are exact from the start.
    if (plan?.mayHoldIntegers && !isReadonly) readExactly(prepared)
    return prepared
  }

  #mayTriggersFail(): boolean {
    this.#hasFailingTriggers ??= this.#native
      .prepare("SELECT sql FROM sqlite_schema WHERE type = 'trigger'")
      .pluck(true)
      .all()
      .some(isFailing)
    return this.#hasFailingTriggers
  }

  /** Runs a statement and returns its rows. */
  query(statement: BoundStatement): Row[] {
    return this.queryPrepared(this.prepare(statement.text), statement)
  }

  queryPrepared(prepared: Prepared, { values, expects }: BoundStatement): Row[] {
    const rows = this.rows(prepared, values)
    // A read of another number of rows has changed nothing, so that its transaction may go on.
    if (!prepared.isReadonly) assertRowCount(rows.length, expects)
    return rows
  }

  rows(prepared: Prepared, values: BoundValue[]): Row[] {
    const { text, native, plan } = prepared
    if (plan === undefined) {
      this.runPrepared(prepared, values)
      return []
    }
    if (plan.hasDuplicates) assertDistinctColumns(plan.columns)
    const raw = native.all(...values)
    if (prepared.isReadonly && raw.length > 0 && (raw[0] as unknown[]).length !== plan.columns.length) {
      // Another process has changed the table in this turn.
      this.#statements.clear()
      return this.rows(this.prepare(text), values)
    }
    if (!prepared.isExact) {
      const rows = plan.decode(raw)
      if (rows !== undefined) return rows
      readExactly(prepared)
      return plan.decodeExact(native.all(...values))
    }
    return plan.decodeExact(raw)
  }

  /** Runs a statement and returns the number of rows that it changed. */
  run({ text, values }: BoundStatement): RunResult {
    return this.runPrepared(this.prepare(text), values)
  }

  runPrepared({ native, isReader, mayChangeTables }: Prepared, values: BoundValue[]): RunResult {
    if (!isReader) {
      const result = native.run(...values)
      lastOfShape.result = result
      if (mayChangeTables) this.#tablesChanged()
      return { changes: result.changes }
    }
    // RETURNING, or a SELECT: SQLite's own counters say how many rows were changed.
    this.#countChanges ??= this.#native.prepare('SELECT changes()').pluck(true)
    this.#countAllChanges ??= this.#native.prepare('SELECT total_changes()').pluck(true)
    const before = this.#countAllChanges.get()
    native.all(...values)
    // total_changes() counts what triggers and cascades do, and changes() is that of the last statement that wrote.
    return { changes: this.#countAllChanges.get() === before ? 0 : (this.#countChanges.get() as number) }
  }

  #tablesChanged(): void {
    this.#schema.changed()
    if (!this.inTransaction) this.#schema.settled()
  }

  /** Runs a script: all of it, or on an error none of it. */
  script(text: string): void {
    const statements = statementsOf(text, 'sqlite')
    if (statements.length === 0) return
    const [word = ''] = statements[0]?.firstWords ?? []
    const isLone = statements.length === 1 && LONE_WORDS.includes(word)
    if (isLone || this.inTransaction) this.#native.exec(text)
    else this.#inTransactionOfItsOwn(() => this.#native.exec(text))
    // SAVEPOINT and RELEASE change no table, and ROLLBACK TO may undo that one was changed.
    if (word === 'SAVEPOINT' || word === 'RELEASE' || word === 'ROLLBACK') this.#schema.look()
    else this.#tablesChanged()
  }

  /** Yields decoded rows in portions. The connection takes no writes until the last one. */
  *portions({ text, values }: BoundStatement): Generator<Row[], void, undefined> {
    const prepared = this.prepare(text)
    assertReads(prepared)
    const { native, plan } = prepared
    if (plan === undefined) return
    if (plan.hasDuplicates) assertDistinctColumns(plan.columns)
    if (plan.mayHoldIntegers) readExactly(prepared)
    let portion: unknown[][] = []
    for (const row of native.iterate(...values)) {
      portion.push(row)
      if (portion.length === PORTION_SIZE) {
        yield plan.decodeExact(portion)
        portion = []
      }
    }
    if (portion.length > 0) yield plan.decodeExact(portion)
  }

  /** Copies the rows that a statement returns into a temporary table, in their order. */
  copy(statement: BoundStatement): Copy {
    const { text, values } = statement
    const prepared = this.prepare(text)
    assertReads(prepared)
    const { plan } = prepared
    const table = `temp.duolect_rows_${copies++}`
    if (plan === undefined) return { portions: () => [].values(), drop: () => undefined }
    if (plan.hasDuplicates) assertDistinctColumns(plan.columns)
    // A column of that name hides the row's number.
    const rowId = ['rowid', '_rowid_', 'oid'].find(name => !plan.columns.some(column => column.toLowerCase() === name))
    if (rowId === undefined) return { portions: () => [this.query(statement)].values(), drop: () => undefined }
    try {
      this.#native.prepare(`CREATE TEMP TABLE ${table.slice('temp.'.length)} AS ${text}`).run(...values)
    } catch (error) {
      // PRAGMA and EXPLAIN cannot stand there, and what they return is small; query_only forbids the table.
      if (!isGeneric(nativeCode(error)) && !nativeCode(error).startsWith('SQLITE_READONLY')) throw error
      return { portions: () => [this.query(statement)].values(), drop: () => undefined }
    }
    this.#schema.keep()
    const page = this.#native.prepare(`SELECT * FROM ${table} WHERE ${rowId} > ? AND ${rowId} <= ?`).raw(true).safeIntegers(true)
    function* portions(): Generator<Row[], void, undefined> {
      for (let from = 0; ; from += PORTION_SIZE) {
        const rows = page.all(from, from + PORTION_SIZE)
        if (rows.length > 0) yield (plan as DecodePlan).decodeExact(rows)
        if (rows.length < PORTION_SIZE) return
      }
    }
    const drop = () => {
      this.#native.exec(`DROP TABLE IF EXISTS ${table}`)
      this.#schema.keep()
    }
    return { portions, drop }
  }

  close(): void {
    this.#statements.clear()
    this.#native.close()
  }
}

/** What is set on a connection, as one script. */
function pragmasOf({ pragmas, durability }: SqliteSettings, readonly: boolean): string {
  const all = {
    journal_size_limit: JOURNAL_SIZE_LIMIT,
    // Before the mode, since page_size has no effect in WAL mode.
    ...pragmas,
    ...(!readonly && { journal_mode: 'WAL' }),
    synchronous: durability === 'full' ? 'FULL' : 'NORMAL',
    foreign_keys: 'ON'
  }
  return Object.entries(all)
    .map(([name, value]) => `PRAGMA ${name} = ${value};`)
    .join('')
}

/**
 * Opens the file, or for `sqlite.readOnly` in a folder that may not be written a copy of it in memory: SQLite cannot
 * make the files there that it needs to read a database in WAL mode.
 */
function openFile(Native: NativeConstructor, { location, isReadOnly }: SqliteSettings, readonly: boolean): NativeDatabase {
  const native = new Native(location, { timeout: 0, ...(readonly && { readonly }) })
  if (!isReadOnly) return native
  try {
    native.prepare('SELECT 1 FROM sqlite_schema LIMIT 0').all()
    return native
  } catch (error) {
    native.close()
    // With a WAL beside the file, a copy of the file alone would lack the last commits.
    if (!/^SQLITE_(CANTOPEN|READONLY)/.test(nativeCode(error)) || hasWal(location)) throw error
    const bytes = files.readFileSync(location)
    // Bytes 18 and 19 of the header say how the file is written and read; memory has no WAL (sqlite.org/fileformat2.html).
    bytes[18] = 1
    bytes[19] = 1
    return new Native(bytes, { timeout: 0, readonly: true })
  }
}

/** True if commits may stand in the WAL alone. Reading leaves an empty one behind. */
function hasWal(location: string): boolean {
  return (files.statSync(`${location}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0
}

/** Rows that were copied, to be read while the connection writes. */
export interface Copy {
  portions(): Iterator<Row[]> & Iterable<Row[]>
  drop(): void
}

/** Numbers the temporary tables. */
let copies = 0

/** What FAIL makes of a statement: it keeps the rows that it has changed before the error. */
const FAIL = /\bFAIL\b/i

function isFailing(sql: unknown): boolean {
  return FAIL.test(String(sql))
}

/** The first word of a text in capitals. */
function firstWordOf(text: string): string {
  for (const { kind, start, end } of tokens(text, 'sqlite')) {
    if (kind === 'word') return text.slice(start, end).toUpperCase()
    if (kind !== 'comment' && text[start] !== ';') break
  }
  return ''
}

function assertReads(prepared: Prepared): void {
  if (!prepared.isReadonly) {
    throw new DatabaseError('syntax_error', 'iterate() takes a statement that only reads; for one that writes use all() or run().')
  }
}

function readExactly(prepared: Prepared): void {
  if (prepared.isExact) return
  prepared.native.safeIntegers(true)
  prepared.isExact = true
}
