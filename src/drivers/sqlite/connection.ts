import { readFileSync, statSync } from 'node:fs'
import { assertDistinctColumns, type BoundValue, PORTION_SIZE, type Row, type RunResult, transactionControlError } from '../../adapter.ts'
import type { SqliteSettings } from '../../config.ts'
import { DatabaseError } from '../../errors.ts'
import { statementsOf } from '../../lexer.ts'
import { isGeneric, nativeCode } from './errors.ts'
import { type ColumnDefinition, type DecodePlan, decodePlan } from './values.ts'

// What is used of better-sqlite3 -----------------------------------------------------------------------------
export interface NativeStatement {
  readonly reader: boolean
  readonly readonly: boolean
  raw(on: boolean): this
  safeIntegers(on: boolean): this
  columns(): ColumnDefinition[]
  all(...values: BoundValue[]): unknown[][]
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

/** Statements are few where SQL is written by hand; the limit is for programs that build texts. */
const CACHE_SIZE = 500

export interface Prepared {
  readonly text: string
  readonly native: NativeStatement
  readonly isReader: boolean
  readonly isReadonly: boolean
  readonly plan: DecodePlan | undefined
  /** True if integers are read as BigInt. Stays true once a row needed it. */
  isExact: boolean
}

/** How often a connection of this process has found that tables were changed. */
let schemaChanges = 0

export class Connection {
  readonly #native: NativeDatabase
  readonly #isReadonly: boolean
  readonly #statements = new Map<string, Prepared>()
  readonly #readSchemaVersion: NativeStatement
  #schemaVersion: unknown
  #seenChanges = schemaChanges

  constructor(Native: NativeConstructor, settings: SqliteSettings, readonly: boolean) {
    this.#isReadonly = readonly
    this.#native = openFile(Native, settings, readonly)
    try {
      // First, since page_size has no effect in WAL mode.
      for (const [name, value] of Object.entries(settings.pragmas)) this.#native.pragma(`${name} = ${value}`)
      if (!readonly) this.#native.pragma('journal_mode = WAL')
      this.#native.pragma(`synchronous = ${settings.durability === 'full' ? 'FULL' : 'NORMAL'}`)
      this.#native.pragma('foreign_keys = ON')
      if (settings.pragmas.journal_size_limit === undefined) this.#native.pragma(`journal_size_limit = ${JOURNAL_SIZE_LIMIT}`)
      this.#readSchemaVersion = this.#native.prepare('PRAGMA schema_version').raw(true)
      this.#schemaVersion = this.#readSchemaVersion.all()[0]?.[0]
    } catch (error) {
      this.#native.close()
      throw error
    }
  }

  get inTransaction(): boolean {
    return this.#native.inTransaction
  }

  /** Runs a text without parameters or rows, such as BEGIN. */
  exec(text: string): void {
    this.#native.exec(text)
  }

  prepare(text: string): Prepared {
    let prepared = this.#statements.get(text)
    if (prepared === undefined) {
      const native = this.#native.prepare(text)
      const isReader = native.reader
      if (isReader) native.raw(true)
      const plan = isReader ? decodePlan(native.columns()) : undefined
      // What writes cannot be read a second time, so its integers are exact from the start.
      prepared = { text, native, isReader, isReadonly: native.readonly, plan, isExact: false }
      if (plan?.mayHoldIntegers && !native.readonly) readExactly(prepared)
      if (this.#statements.size >= CACHE_SIZE) this.#statements.delete(this.#statements.keys().next().value as string)
      this.#statements.set(text, prepared)
    }
    return prepared
  }

  all(text: string, values: BoundValue[]): Row[] {
    return this.rows(this.prepare(text), values)
  }

  rows(prepared: Prepared, values: BoundValue[]): Row[] {
    const { text, native, plan } = prepared
    if (plan === undefined) {
      this.run(text, values)
      return []
    }
    if (plan.hasDuplicates) assertDistinctColumns(plan.columns)
    const raw = native.all(...values)
    if (raw.length > 0 && (raw[0] as unknown[]).length !== plan.columns.length) {
      // Another process changed the table, and SQLite prepared the statement again with other columns.
      if (!prepared.isReadonly) return decodePlan(native.columns()).decodeExact(raw)
      this.#statements.clear()
      return this.all(text, values)
    }
    if (!prepared.isExact) {
      const rows = plan.decode(raw)
      if (rows !== undefined) return rows
      readExactly(prepared)
      return plan.decodeExact(native.all(...values))
    }
    return plan.decodeExact(raw)
  }

  run(text: string, values: BoundValue[]): RunResult {
    const { native, isReader } = this.prepare(text)
    if (isReader) {
      // RETURNING, or a SELECT: SQLite's own counters say how many rows were changed.
      const before = this.#count('total_changes')
      native.all(...values)
      // total_changes() counts what triggers and cascades do, and changes() is that of the last statement that wrote.
      return { changes: this.#count('total_changes') === before ? 0 : this.#count('changes') }
    }
    const { changes } = native.run(...values)
    // A statement that changes no row may have changed a table.
    if (changes === 0 && this.inTransaction) this.forgetOldSchema()
    return { changes }
  }

  /** Yields decoded rows in portions. The connection takes no writes until the last one. */
  *portions(text: string, values: BoundValue[]): Generator<Row[], void, undefined> {
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
  copy(text: string, values: BoundValue[]): Copy {
    const prepared = this.prepare(text)
    assertReads(prepared)
    const { plan } = prepared
    const table = `temp.duolect_rows_${copies++}`
    if (plan === undefined) return { portions: () => [].values(), drop: () => undefined }
    if (plan.hasDuplicates) assertDistinctColumns(plan.columns)
    // A column of that name hides the row's number.
    const rowId = ['rowid', '_rowid_', 'oid'].find(name => !plan.columns.some(column => column.toLowerCase() === name))
    if (rowId === undefined) return { portions: () => [this.all(text, values)].values(), drop: () => undefined }
    try {
      this.#native.prepare(`CREATE TEMP TABLE ${table.slice('temp.'.length)} AS ${text}`).run(...values)
    } catch (error) {
      // PRAGMA and EXPLAIN cannot stand there, and what they return is small; query_only forbids the table.
      if (!isGeneric(nativeCode(error)) && !nativeCode(error).startsWith('SQLITE_READONLY')) throw error
      return { portions: () => [this.all(text, values)].values(), drop: () => undefined }
    }
    const page = this.#native.prepare(`SELECT * FROM ${table} WHERE ${rowId} > ? AND ${rowId} <= ?`).raw(true).safeIntegers(true)
    function* portions(): Generator<Row[], void, undefined> {
      for (let from = 0; ; from += PORTION_SIZE) {
        const rows = page.all(from, from + PORTION_SIZE)
        if (rows.length > 0) yield (plan as DecodePlan).decodeExact(rows)
        if (rows.length < PORTION_SIZE) return
      }
    }
    return { portions, drop: () => this.#native.exec(`DROP TABLE IF EXISTS ${table}`) }
  }

  /** Runs a script: all of it, or on an error none of it. Inside a transaction it is part of that. */
  script(text: string): void {
    const count = statementsOf(text, 'sqlite').length
    if (count === 0) return
    // A lone statement stays outside of a transaction, since VACUUM and some PRAGMAs need that.
    if (count === 1 || this.inTransaction) this.#native.exec(text)
    else this.inTransactionOfItsOwn(() => this.#native.exec(text))
    if (this.inTransaction) this.forgetOldSchema()
  }

  /** Begins a transaction that may write, and waits for no lock in the middle of it. */
  begin(): void {
    this.#native.exec(this.#isReadonly ? 'BEGIN' : 'BEGIN IMMEDIATE')
  }

  /** Does the work in a transaction. */
  inTransactionOfItsOwn<T>(work: () => T): T {
    this.begin()
    try {
      const result = work()
      if (!this.inTransaction) throw transactionControlError()
      this.#native.exec('COMMIT')
      return result
    } finally {
      if (this.inTransaction) this.#native.exec('ROLLBACK')
    }
  }

  #count(name: 'changes' | 'total_changes'): number {
    return this.all(`SELECT ${name}() AS count`, [])[0]?.count as number
  }

  /** Forgets how rows were decoded when a table was changed since. */
  forgetOldSchema(): void {
    const version = this.#readSchemaVersion.all()[0]?.[0]
    this.#seenChanges = schemaChanges
    if (version === this.#schemaVersion) return
    this.#schemaVersion = version
    this.#seenChanges = ++schemaChanges
    // Reading the version does not bring the schema itself up to date; reading a table does.
    this.#native.prepare('SELECT 1 FROM sqlite_schema LIMIT 0').all()
    this.#statements.clear()
  }

  /** The same, without a look at the file: only when another connection of this process has found a change. */
  forgetKnownChanges(): void {
    if (this.#seenChanges !== schemaChanges) this.forgetOldSchema()
  }

  close(): void {
    this.#statements.clear()
    this.#native.close()
  }
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
    const bytes = readFileSync(location)
    // Bytes 18 and 19 of the header say how the file is written and read; memory has no WAL (sqlite.org/fileformat2.html).
    bytes[18] = 1
    bytes[19] = 1
    return new Native(bytes, { timeout: 0, readonly: true })
  }
}

/** True if commits may stand in the WAL alone. Reading leaves an empty one behind. */
function hasWal(location: string): boolean {
  return (statSync(`${location}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0
}

/** Rows that were copied, to be read while the connection writes. */
export interface Copy {
  portions(): Iterator<Row[]> & Iterable<Row[]>
  drop(): void
}

/** Numbers the temporary tables. */
let copies = 0

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
