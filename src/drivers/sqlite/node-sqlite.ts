/**
 * `node:sqlite` with the methods of better-sqlite3 that the driver uses. What differs:
 *
 * - It does not tell whether a statement only reads. The authorizer sees what a statement does while it is prepared.
 * - It runs the first of several statements and ignores the others, and binds NULL for a parameter that is missing, so
 *   both are counted here.
 * - Its errors carry SQLite's result code as a number. Deno's `exec()` gives none, so scripts are prepared one
 *   statement at a time.
 * - An integer beyond ±(2^53−1) is an error where it is not read as a BigInt.
 * - `changes` is that of the statement before when a statement is none that changes rows.
 * - It returns a BLOB as a Uint8Array.
 */
import type { BoundValue } from '../../adapter.ts'
import { statementsOf, tokens } from '../../lexer.ts'
import type { NativeConstructor, NativeDatabase, NativeStatement } from './connection.ts'
import type { ColumnDefinition } from './values.ts'

// What is used of node:sqlite, whose types come with @types/node 22 and newer -----------------------------------

interface StatementSync {
  all(...values: BoundValue[]): unknown[][]
  run(...values: BoundValue[]): { changes: number | bigint }
  iterate(...values: BoundValue[]): IterableIterator<unknown[]>
  columns(): ColumnDefinition[]
  setReturnArrays(on: boolean): void
  setReadBigInts(on: boolean): void
}

interface DatabaseSync {
  readonly isTransaction: boolean
  prepare(sql: string): StatementSync
  setAuthorizer(callback: (action: number, ...subject: (string | null)[]) => number): void
  deserialize(bytes: Uint8Array): void
  close(): void
}

interface NodeSqlite {
  readonly DatabaseSync: new (location: string, options: { timeout: number; readOnly?: boolean }) => DatabaseSync
}

/** Returns `node:sqlite`; undefined where it is missing or lacks what the driver needs, as in Node.js before 24. */
export function loadNodeSqlite(): NativeConstructor | undefined {
  // An import would print a warning where the module is experimental, and would have to be resolved by bundlers.
  const { DatabaseSync } = (process.getBuiltinModule?.('node:sqlite') ?? {}) as Partial<NodeSqlite>
  // Deno defines the methods on each database.
  if (DatabaseSync === undefined || !('setAuthorizer' in DatabaseSync.prototype || 'deno' in process.versions)) return undefined
  const Native = DatabaseSync
  return class extends NodeDatabase {
    constructor(location: string | Uint8Array, options: { timeout: number; readonly?: boolean }) {
      super(Native, location, options)
    }
  }
}

// Databases -----------------------------------------------------------------------------------------------------

class NodeDatabase implements NativeDatabase {
  readonly #database: DatabaseSync
  /** What the statement does that is being prepared. */
  #actions: Set<string> | undefined

  constructor(
    DatabaseSync: NodeSqlite['DatabaseSync'],
    location: string | Uint8Array,
    { timeout, readonly = false }: { timeout: number; readonly?: boolean }
  ) {
    if (typeof location === 'string') {
      this.#database = withNativeCode(() => new DatabaseSync(location, { timeout, readOnly: readonly }), 'SQLITE_CANTOPEN')
    } else {
      this.#database = new DatabaseSync(':memory:', { timeout })
      withNativeCode(() => this.#database.deserialize(location))
      if (readonly) this.exec('PRAGMA query_only = ON')
    }
    // Once, since SQLite prepares all statements again after each call.
    this.#database.setAuthorizer((action, subject, value) => {
      this.#actions?.add(nameOf(action, subject, value))
      return 0
    })
  }

  get inTransaction(): boolean {
    return this.#database.isTransaction
  }

  prepare(sql: string): NativeStatement {
    const statements = statementsOf(sql, 'sqlite')
    if (statements.length === 0) throw new RangeError('The supplied SQL string contains no statements')
    if (statements.length > 1) throw new RangeError('The supplied SQL string contains more than one statement')
    this.#actions = new Set()
    try {
      const native = withNativeCode(() => this.#database.prepare(sql))
      const isExplained = statements[0]?.firstWords[0] === 'EXPLAIN'
      return new NodeStatement(native, placeholdersIn(sql), isExplained ? new Set() : this.#actions)
    } finally {
      this.#actions = undefined
    }
  }

  exec(sql: string): void {
    for (const { start, end } of statementsOf(sql, 'sqlite')) {
      const statement = withNativeCode(() => this.#database.prepare(sql.slice(start, end)))
      withNativeCode(() => statement.run())
    }
  }

  pragma(sql: string): unknown {
    return withNativeCode(() => this.#database.prepare(`PRAGMA ${sql}`).all())
  }

  close(): void {
    this.#database.close()
  }
}

/** PRAGMAs that take an argument and only read (sqlite.org/pragma.html). */
const READING_PRAGMAS = new Set([
  'foreign_key_check',
  'foreign_key_list',
  'index_info',
  'index_list',
  'index_xinfo',
  'integrity_check',
  'quick_check',
  'table_info',
  'table_list',
  'table_xinfo'
])

/** What an action means for the statement: the numbers are those of sqlite.org/c3ref/c_alter_table.html. */
function nameOf(action: number, subject: string | null | undefined, value: string | null | undefined): 'reads' | 'changes rows' | 'writes' {
  switch (action) {
    case 20: // READ
    case 21: // SELECT
    case 22: // TRANSACTION
    case 24: // ATTACH
    case 25: // DETACH
    case 31: // FUNCTION
    case 32: // SAVEPOINT
    case 33: // RECURSIVE
      return 'reads'
    case 19: // PRAGMA
      return value === null || value === undefined || READING_PRAGMAS.has((subject ?? '').toLowerCase()) ? 'reads' : 'writes'
    case 9: // DELETE
    case 18: // INSERT
    case 23: // UPDATE
      return 'changes rows'
    default:
      return 'writes'
  }
}

/**
 * Number of the placeholders `?`.
 *
 * @throws RangeError for SQLite's other placeholders, which nothing binds
 */
function placeholdersIn(sql: string): number {
  let count = 0
  for (const { kind, start, end } of tokens(sql, 'sqlite')) {
    const isPlaceholder = kind === 'symbol' && sql[start] === '?'
    const isOther = isPlaceholder
      ? /\d/.test(sql[end] ?? '')
      : kind === 'positional' || (kind === 'symbol' && /[@$]/.test(sql[start] as string))
    if (isOther) throw new RangeError('Missing named parameter')
    if (isPlaceholder) count++
  }
  return count
}

// Statements ----------------------------------------------------------------------------------------------------

class NodeStatement implements NativeStatement {
  readonly reader: boolean
  readonly readonly: boolean
  readonly #native: StatementSync
  readonly #placeholders: number
  readonly #changesRows: boolean
  #isExact = false
  #plucks = false

  constructor(native: StatementSync, placeholders: number, actions: ReadonlySet<string>) {
    this.#native = native
    this.#placeholders = placeholders
    this.reader = native.columns().length > 0
    this.readonly = !actions.has('writes') && !actions.has('changes rows')
    // A statement that changes the schema changes rows of sqlite_schema.
    this.#changesRows = actions.has('changes rows') && !actions.has('writes')
  }

  raw(on: boolean): this {
    this.#native.setReturnArrays(on)
    return this
  }

  pluck(on: boolean): this {
    this.#plucks = on
    return this.raw(on)
  }

  safeIntegers(on: boolean): this {
    this.#native.setReadBigInts(on)
    this.#isExact = on
    return this
  }

  columns(): ColumnDefinition[] {
    return this.#native.columns()
  }

  all(...values: BoundValue[]): unknown[][] {
    this.#assertBound(values)
    return withNativeCode(() => this.#read(values)).map(withBuffers)
  }

  get(...values: BoundValue[]): unknown {
    const [row] = this.all(...values)
    return this.#plucks ? row?.[0] : row
  }

  #read(values: BoundValue[]): unknown[][] {
    try {
      return this.#native.all(...values)
    } catch (error) {
      if (this.#isExact || (error as { code?: unknown }).code !== 'ERR_OUT_OF_RANGE') throw error
      // As better-sqlite3 does: rounded, which the decoder notices.
      this.#native.setReadBigInts(true)
      try {
        return this.#native.all(...values).map(row => row.map(value => (typeof value === 'bigint' ? Number(value) : value)))
      } finally {
        this.#native.setReadBigInts(false)
      }
    }
  }

  run(...values: BoundValue[]): { changes: number } {
    this.#assertBound(values)
    const { changes } = withNativeCode(() => this.#native.run(...values))
    return { changes: this.#changesRows ? Number(changes) : 0 }
  }

  *iterate(...values: BoundValue[]): IterableIterator<unknown[]> {
    this.#assertBound(values)
    const rows = withNativeCode(() => this.#native.iterate(...values))
    try {
      for (let next = withNativeCode(() => rows.next()); !next.done; next = withNativeCode(() => rows.next())) yield withBuffers(next.value)
    } finally {
      rows.return?.()
    }
  }

  #assertBound(values: readonly BoundValue[]): void {
    if (this.#placeholders === values.length) return
    throw new RangeError(`Too ${values.length < this.#placeholders ? 'few' : 'many'} parameter values were provided`)
  }
}

/** The row, with a Buffer on the same memory in the place of each Uint8Array. */
function withBuffers(row: unknown[]): unknown[] {
  for (let i = 0; i < row.length; i++) {
    const value = row[i]
    if (value instanceof Uint8Array) row[i] = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  }
  return row
}

// Errors --------------------------------------------------------------------------------------------------------

/** The names of SQLite's primary result codes, by number (sqlite.org/rescode.html). */
const PRIMARY =
  'OK ERROR INTERNAL PERM ABORT BUSY LOCKED NOMEM READONLY INTERRUPT IOERR CORRUPT NOTFOUND FULL CANTOPEN PROTOCOL EMPTY SCHEMA TOOBIG CONSTRAINT MISMATCH MISUSE NOLFS AUTH FORMAT RANGE NOTADB NOTICE WARNING'.split(
    ' '
  )

/** The extended codes that mean something else than their primary code. */
const EXTENDED: Readonly<Record<number, string>> = {
  275: 'CONSTRAINT_CHECK',
  787: 'CONSTRAINT_FOREIGNKEY',
  1299: 'CONSTRAINT_NOTNULL',
  1555: 'CONSTRAINT_PRIMARYKEY',
  1811: 'CONSTRAINT_TRIGGER',
  2067: 'CONSTRAINT_UNIQUE',
  2579: 'CONSTRAINT_ROWID',
  3091: 'CONSTRAINT_DATATYPE',
  3082: 'IOERR_NOMEM',
  517: 'BUSY_SNAPSHOT'
}

/**
 * Does the work; its error gets the name of SQLite's result code as `code`, as better-sqlite3's have it.
 *
 * @param otherwise the name for an error that has no number
 */
function withNativeCode<T>(work: () => T, otherwise?: string): T {
  try {
    return work()
  } catch (error) {
    const number = (error as { errcode?: unknown }).errcode
    const name = typeof number === 'number' ? `SQLITE_${EXTENDED[number] ?? PRIMARY[number & 255] ?? 'ERROR'}` : otherwise
    if (name !== undefined && error instanceof Error) Object.assign(error, { code: name })
    throw error
  }
}
