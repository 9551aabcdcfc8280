/**
 * How rows travel. SQLite itself writes most of a COPY line; JavaScript writes the fields that only it can write
 * exactly. Postgres prints the same line for the row that it has, so that both sides can be compared by checksums.
 */
import { createHash } from 'node:crypto'
import type { Cell, SqliteFile } from './file.ts'
import type { Kind, Value } from './kinds.ts'
import type { PlanColumn, PlanTable } from './plan.ts'
import { quoteName } from './quote.ts'
import type { SourceTable } from './schema.ts'

/** A cell of more bytes than this travels in pieces. */
export const BIG_CELL = 256 * 1024

/** How much of a big cell is read at once. SQLite reads the whole cell each time, which for 200 MB takes a second. */
const PIECE = 32 * 1024 * 1024

/** How much of it is worked on at once. */
const SLICE = 1024 * 1024

/** What the pre-check has learnt about a table's values. */
export interface TableFacts {
  /** Columns, by their names in the file, with values that only JavaScript can write. */
  readonly unusual: ReadonlySet<string>
  /** Columns with big cells. */
  readonly big: ReadonlySet<string>
  /** True if a text has a character that COPY needs escaped. */
  readonly needsEscape: boolean
  readonly rowCount: number
}

// A row's name --------------------------------------------------------------------------------------------------------

/**
 * What identifies a row: its rowid, else its key; nothing for a table whose columns hide all names of the rowid. Texts
 * and bytes of a key come in hex, since a text that is no UTF-8 would be read as another one.
 */
export function keyOf(table: SourceTable): string[] {
  if (table.rowId !== undefined) return [table.rowId]
  return table.key.map(
    ({ expression: e }) =>
      `CASE typeof(${e}) WHEN 'text' THEN 't' || hex(CAST(${e} AS BLOB)) WHEN 'blob' THEN 'b' || hex(${e}) ELSE ${e} END`
  )
}

/** A condition that finds a row by what `keyOf` gives. */
export function whereKey(table: SourceTable): string {
  if (table.rowId !== undefined) return `${table.rowId} IS ?`
  // In a query of its own, so that the key's index is used.
  const stored =
    "(SELECT CASE substr(x, 1, 1) WHEN 't' THEN CAST(unhex(substr(x, 2)) AS TEXT) WHEN 'b' THEN unhex(substr(x, 2)) ELSE x END FROM (SELECT ? AS x))"
  return table.key.map(({ expression }) => `${expression} IS ${stored}`).join(' AND ')
}

/** A value of a key as a person reads it. */
export function showKey(table: SourceTable, value: Cell): string {
  if (typeof value !== 'string') return String(value)
  const bytes = Buffer.from(value.slice(1), 'hex')
  const cut = (shown: string, limit: number) => (shown.length > limit ? `${shown.slice(0, limit)}…` : shown)
  if (value.startsWith('b')) return `x'${cut(bytes.toString('hex'), 40)}'`
  return JSON.stringify(cut(new TextDecoder(table.encoding, { ignoreBOM: true }).decode(bytes), 60))
}

export function from(table: SourceTable): string {
  return `FROM main.${quoteName(table.name)}`
}

// Expressions -----------------------------------------------------------------------------------------------------------

/** Joins expressions by an operator as a balanced tree, since SQLite limits how deep expressions nest. */
export function balanced(parts: readonly string[], operator: string): string {
  if (parts.length <= 2) return parts.join(` ${operator} `)
  const middle = parts.length >> 1
  return `(${balanced(parts.slice(0, middle), operator)}) ${operator} (${balanced(parts.slice(middle), operator)})`
}

/** Texts have their size in bytes, but in UTF-16 it is not that of Postgres, so there characters count. */
export function sizeOf(column: string, kind: Kind, isUtf16: boolean): string {
  return isUtf16 && kind.isText ? `length(${column})` : `octet_length(${column})`
}

/** True if big cells of the kind travel in pieces. JSONB is rewritten as a whole. */
export function mayBeBig(kind: Kind): boolean {
  return kind.type === 'BYTEA' || (kind.isText && kind.type !== 'JSONB')
}

function escapedInSqlite(text: string): string {
  return `replace(replace(replace(replace(${text}, '\\', '\\\\'), char(9), '\\t'), char(10), '\\n'), char(13), '\\r')`
}

function escapedOnPostgres(text: string): string {
  return `replace(replace(replace(replace(${text}, '\\', '\\\\'), chr(9), '\\t'), chr(10), '\\n'), chr(13), '\\r')`
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

function escaped(text: string): string {
  return text.replace(/[\\\t\n\r]/g, character => ESCAPES[character] as string)
}

/** True if COPY would take a character of the text for something else. */
export function hasEscapes(text: string): boolean {
  return /[\\\t\n\r]/.test(text)
}

// Lines -----------------------------------------------------------------------------------------------------------------

/** A row as COPY takes it, and what both sides compare where that is another line: with computed columns. */
export interface Line {
  readonly copied: string
  readonly compared: string | undefined
}

/** A piece of a line: an expression of SQLite, or a column that JavaScript writes. */
type Part = { readonly sql: string } | { readonly kind: Kind; readonly column: string }

/** Writes the lines of one table. */
export class Lines {
  readonly #table: PlanTable
  readonly #facts: TableFacts
  readonly #isUtf16: boolean
  readonly #copied: readonly PlanColumn[]
  readonly #computed: readonly PlanColumn[]

  constructor(table: PlanTable, facts: TableFacts, isUtf16: boolean) {
    this.#table = table
    this.#facts = facts
    this.#isUtf16 = isUtf16
    this.#copied = table.columns.filter(({ isComputed }) => !isComputed)
    this.#computed = table.columns.filter(({ isComputed }) => isComputed)
  }

  /** The columns that COPY fills, by their names on Postgres. */
  get columns(): readonly string[] {
    return this.#copied.map(({ target }) => target)
  }

  /**
   * The line of a row, as Postgres writes it.
   *
   * @param isFresh true if the table has nothing but what COPY has just brought
   */
  onPostgres(isFresh: boolean): string {
    const fields = [...this.#copied, ...this.#computed].map(column => this.#fieldOnPostgres(column, isFresh))
    return `array_to_string(ARRAY[${fields.join(', ')}]::TEXT[], chr(9), '\\N')`
  }

  #fieldOnPostgres({ kind, source, target }: PlanColumn, isFresh: boolean): string {
    const name = quoteName(target)
    const written = kind.onPostgres(name)
    if (!kind.isText && kind.type !== 'BYTEA') return written
    // Without escapes in the file, only a text that looks like a NULL has to differ from it, and COPY brings none.
    const field =
      !kind.isText || (isFresh && !this.#facts.needsEscape)
        ? written
        : this.#facts.needsEscape
          ? escapedOnPostgres(written)
          : `CASE WHEN ${written} = '\\N' THEN '\\\\N' ELSE ${written} END`
    if (!this.#facts.big.has(source.name)) return field
    const raw = kind.isText ? written : name
    const size = this.#isUtf16 && kind.isText ? `char_length(${raw})` : `octet_length(${raw})`
    return `CASE WHEN ${size} > ${BIG_CELL} THEN '\\' || md5(${raw}) ELSE ${field} END`
  }

  #part({ kind, source }: PlanColumn): Part {
    const name = quoteName(source.name)
    const sql = this.#facts.unusual.has(source.name) ? undefined : kind.inSql(name)
    if (sql === undefined) return { kind, column: name }
    return { sql: `coalesce(${kind.isText && this.#facts.needsEscape ? escapedInSqlite(sql) : sql}, '\\N')` }
  }

  #bigColumns(): readonly PlanColumn[] {
    return this.#table.columns.filter(({ source, kind }) => mayBeBig(kind) && this.#facts.big.has(source.name))
  }

  /** A condition for rows with a big cell; undefined where there are none. */
  #isBig(): string | undefined {
    const columns = this.#bigColumns()
    if (columns.length === 0) return undefined
    return balanced(
      columns.map(({ source, kind }) => `coalesce(${sizeOf(quoteName(source.name), kind, this.#isUtf16)}, 0) > ${BIG_CELL}`),
      'OR'
    )
  }

  /** Returns the key of the row whose line is the n-th, from 1 on. */
  keyOfLine(file: SqliteFile, n: number): Cell[] | undefined {
    const isBig = this.#isBig()
    const where = isBig === undefined ? '' : `WHERE NOT (${isBig})`
    // With all columns, so that SQLite reads the rows in the same order.
    const { expressions } = new Writer([...this.#copied, ...this.#computed].map(column => this.#part(column)))
    const list = [...keyOf(this.#table.source), ...expressions].join(', ')
    const [row] = file.rows(`SELECT ${list} ${from(this.#table.source)} ${where} LIMIT 1 OFFSET ?`, BigInt(n - 1))
    if (row !== undefined) return row.slice(0, keyOf(this.#table.source).length)
    const smallCount = Number(file.value(`SELECT count(*) ${from(this.#table.source)} ${where}`))
    return [...this.bigKeys(file)][n - 1 - smallCount]
  }

  /** Yields the lines of the rows without big cells. */
  *small(file: SqliteFile): Generator<Line, void, undefined> {
    const isBig = this.#isBig()
    const copied = new Writer(this.#copied.map(column => this.#part(column)))
    const computed = new Writer(this.#computed.map(column => this.#part(column)))
    const sql = `SELECT ${[...copied.expressions, ...computed.expressions].join(', ')} ${from(this.#table.source)}${isBig ? ` WHERE NOT (${isBig})` : ''}`
    const count = copied.expressions.length
    const hasComputed = this.#computed.length > 0
    for (const row of file.each(sql)) {
      const line = copied.write(row, 0)
      yield { copied: line, compared: hasComputed ? `${line}\t${computed.write(row, count)}` : undefined }
    }
  }

  /** Yields the keys of the rows with big cells. */
  *bigKeys(file: SqliteFile): Generator<Cell[], void, undefined> {
    const isBig = this.#isBig()
    if (isBig !== undefined) yield* file.each(`SELECT ${keyOf(this.#table.source).join(', ')} ${from(this.#table.source)} WHERE ${isBig}`)
  }

  /** Yields a row with big cells, as COPY takes it, in pieces; returns the line that is compared. */
  *big(file: SqliteFile, key: readonly Cell[]): Generator<Buffer, string, undefined> {
    const compared: string[] = []
    for (const [i, column] of [...this.#copied, ...this.#computed].entries()) {
      const isCopied = i < this.#copied.length
      if (isCopied && i > 0) yield Buffer.from('\t')
      const checksum = createHash('md5')
      let isBig = false
      for (const piece of this.#bigPieces(file, column, key)) {
        if (isCopied && !isBig && !column.kind.isText) yield Buffer.from('\\\\x')
        isBig = true
        checksum.update(piece)
        if (isCopied) yield column.kind.isText ? escapedBytes(piece) : hexadecimal(piece)
      }
      if (isBig) {
        compared.push(`\\${checksum.digest('hex')}`)
        continue
      }
      const writer = new Writer([this.#part(column)])
      const [row] = file.rows(
        `SELECT ${writer.expressions.join(', ')} ${from(this.#table.source)} WHERE ${whereKey(this.#table.source)}`,
        ...key
      )
      const field = writer.write(row as Cell[], 0)
      if (isCopied) yield Buffer.from(field)
      compared.push(field)
    }
    yield Buffer.from('\n')
    return compared.join('\t')
  }

  /** Yields the bytes of a big cell, of a text in UTF-8; nothing for a cell that is not big. */
  *#bigPieces(file: SqliteFile, { source, kind }: PlanColumn, key: readonly Cell[]): Generator<Buffer, void, undefined> {
    if (!mayBeBig(kind) || !this.#facts.big.has(source.name)) return
    const name = quoteName(source.name)
    const where = `${from(this.#table.source)} WHERE ${whereKey(this.#table.source)}`
    const size = file.value(`SELECT coalesce(${sizeOf(name, kind, this.#isUtf16)}, 0) ${where}`, ...key) as bigint
    if (size <= BIG_CELL) return
    const isEncoded = kind.isText && this.#isUtf16
    for (const piece of piecesOf(file, name, where, key)) yield isEncoded ? piece.toUtf8() : piece.bytes
  }
}

/** A piece of a cell, as the file stores it. */
interface StoredPiece {
  readonly bytes: Buffer
  /** For a text of a file in UTF-16. Pieces must be asked in their order. */
  toUtf8(): Buffer
}

/** Yields the bytes of a cell in pieces of a MB. */
export function* piecesOf(file: SqliteFile, name: string, where: string, key: readonly Cell[]): Generator<StoredPiece, void, undefined> {
  const encoding = String(file.value('PRAGMA main.encoding'))
  const decoder = new TextDecoder(encoding.toLowerCase(), { fatal: true, ignoreBOM: true })
  for (let at = 1n; ; at += BigInt(PIECE)) {
    const bytes = file.value(`SELECT substr(CAST(${name} AS BLOB), ?, ?) ${where}`, at, BigInt(PIECE), ...key) as Buffer
    const isLast = bytes.length < PIECE
    for (let start = 0; start === 0 || start < bytes.length; start += SLICE) {
      const slice = bytes.subarray(start, start + SLICE)
      const stream = !isLast || start + SLICE < bytes.length
      yield { bytes: slice, toUtf8: () => Buffer.from(decoder.decode(slice, { stream })) }
    }
    if (isLast) return
  }
}

/** The characters that COPY needs escaped are ASCII, so that a piece may end within another. */
function escapedBytes(piece: Buffer): Buffer {
  const text = piece.toString('latin1')
  return hasEscapes(text) ? Buffer.from(escaped(text), 'latin1') : piece
}

function hexadecimal(piece: Buffer): Buffer {
  return Buffer.from(piece.toString('hex').toUpperCase(), 'latin1')
}

/** Writes fields: what SQLite gives, and between it what JavaScript prints. */
class Writer {
  /** What is selected for them. */
  readonly expressions: readonly string[]
  /** How to print each; undefined for what SQLite wrote. */
  readonly #kinds: readonly (Kind | undefined)[]

  constructor(parts: readonly Part[]) {
    const expressions: string[] = []
    const kinds: (Kind | undefined)[] = []
    let run: string[] = []
    const finishRun = () => {
      if (run.length > 0) {
        expressions.push(balanced(run, '|| char(9) ||'))
        kinds.push(undefined)
      }
      run = []
    }
    for (const part of parts) {
      if ('sql' in part) {
        run.push(part.sql)
        continue
      }
      finishRun()
      expressions.push(part.column)
      kinds.push(part.kind)
    }
    finishRun()
    this.expressions = expressions
    this.#kinds = kinds
  }

  write(row: readonly Cell[], offset: number): string {
    let line = ''
    for (let i = 0; i < this.#kinds.length; i++) {
      if (i > 0) line += '\t'
      const kind = this.#kinds[i]
      const value = row[offset + i] as Cell
      line += kind === undefined ? value : value === null ? '\\N' : printed(kind, value)
    }
    return line
  }
}

function printed(kind: Kind, value: Value): string {
  const text = kind.print(value)
  return kind.isText ? escaped(text) : text
}
