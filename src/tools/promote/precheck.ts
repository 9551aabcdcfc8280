/**
 * Looks at every value before anything is written. SQLite picks out the rows that may hold something which Postgres
 * cannot; those are judged value by value. What is learnt on the way decides how the rows are written.
 */
import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { Cell, SqliteFile } from './file.ts'
import type { PlanColumn, PlanTable, Unique } from './plan.ts'
import { quoteName, quoteText } from './quote.ts'
import { BIG_CELL, balanced, from, hasEscapes, keyOf, mayBeBig, piecesOf, showKey, sizeOf, type TableFacts, whereKey } from './rows.ts'

/** COPY takes a line of less than 1 GB, in which a byte of a BLOB takes two characters. */
const MAX_LINE = 1_000_000_000

/** SQLite limits the columns of a result to 2000. */
const COLUMNS_AT_ONCE = 500

/** Rows that are looked at together, where none has a cell of more bytes. */
const CHUNK_ROWS = 1000
const SMALL_CELL = 8 * 1024

/** Rows of a problem that are named; the others are counted. */
const MAX_NAMED = 3

/** A trouble of a table, and the rows that have it. */
export interface Problem {
  readonly table: string
  readonly column: string | undefined
  readonly text: string
  readonly rows: readonly string[]
  readonly count: number
}

/** Collects problems: the first rows by their names, the others by their number. */
export class Problems {
  readonly #found = new Map<string, { table: string; column: string | undefined; text: string; rows: string[]; count: number }>()

  add(table: string, column: string | undefined, text: string, row: string | undefined): void {
    const id = JSON.stringify([table, column, text])
    const problem = this.#found.get(id) ?? { table, column, text, rows: [], count: 0 }
    problem.count++
    if (row !== undefined && problem.rows.length < MAX_NAMED) problem.rows.push(row)
    this.#found.set(id, problem)
  }

  get all(): readonly Problem[] {
    return [...this.#found.values()]
  }
}

/** A problem as a line: where, what, and in which rows. */
export function printProblem({ table, column, text, rows, count }: Problem): string {
  const others = count - rows.length
  const where = rows.length === 0 ? '' : `, in ${rows.join(', ')}${others > 0 ? ` and ${others} more` : ''}`
  return `${column === undefined ? table : `${table}.${column}`}: ${text}${where}`
}

/** Names a row by what identifies it. */
export function rowName(table: PlanTable, key: readonly Cell[]): string {
  if (table.source.rowId !== undefined) return `rowid ${key[0]}`
  return `the row with the key (${key.map(value => showKey(table.source, value)).join(', ')})`
}

/**
 * Checks the values of a table.
 *
 * @param breathe called now and then, so that the event loop can run
 */
export async function checkTable(
  file: SqliteFile,
  table: PlanTable,
  isUtf16: boolean,
  problems: Problems,
  breathe: () => Promise<void> | undefined
): Promise<TableFacts> {
  const checker = new TableChecker(file, table, isUtf16, problems)
  for (const part of checker.parts()) {
    for (const row of part) {
      checker.look(row)
      const pause = breathe()
      if (pause !== undefined) await pause
    }
    await breathe()
  }
  checker.lookAtIds()
  for (const unique of table.unique) checker.lookAtUnique(unique)
  return checker.facts
}

class TableChecker {
  readonly #file: SqliteFile
  readonly #table: PlanTable
  readonly #isUtf16: boolean
  readonly #problems: Problems
  readonly #checks: readonly string[]
  /** Columns that SQLite alone cannot tell to be fine. */
  readonly #judged: readonly PlanColumn[]
  readonly #unusual = new Set<string>()
  readonly #big = new Set<string>()
  #needsEscape = false
  #rowCount = 0

  constructor(file: SqliteFile, table: PlanTable, isUtf16: boolean, problems: Problems) {
    this.#file = file
    this.#table = table
    this.#isUtf16 = isUtf16
    this.#problems = problems
    this.#checks = table.checks
    this.#judged = table.columns.filter(({ kind }) => kind.fine('x') === 'FALSE')
  }

  get facts(): TableFacts {
    return { unusual: this.#unusual, big: this.#big, needsEscape: this.#needsEscape, rowCount: this.#rowCount }
  }

  /** Yields the rows that have to be looked at one by one. */
  *parts(): Generator<Iterable<Cell[]>, void, undefined> {
    const { source } = this.#table
    if (source.rowId === undefined || this.#judged.length > 0 || this.#isUtf16) {
      yield this.#file.each(`SELECT ${this.#columnsOfRow()} ${from(source)}`)
      return
    }
    const { rowId } = source
    const chunk =
      `SELECT count(*), max(id), sum(is_fine), CAST(group_concat(text) AS BLOB) FROM (SELECT ${rowId} AS id, ` +
      `(${this.#isFine()}) AND (${this.#isSmall(SMALL_CELL)}) AS is_fine, ${this.#text(SMALL_CELL)} AS text ` +
      `${from(source)} WHERE ${rowId} > ? ORDER BY ${rowId} LIMIT ${CHUNK_ROWS})`
    const rows = `SELECT ${this.#columnsOfRow()} ${from(source)} WHERE ${rowId} > ? AND ${rowId} <= ?`
    // From the smallest rowid on, which is compared by >=.
    let last: Cell = this.#file.value(`SELECT min(${rowId}) ${from(source)}`) ?? null
    if (last === null) return
    yield this.#file.each(`SELECT ${this.#columnsOfRow()} ${from(source)} WHERE ${rowId} = ?`, last)
    while (true) {
      const [count, id, fine, texts] = this.#file.rows(chunk, last)[0] as [bigint, bigint | null, bigint, Buffer | null]
      if (id === null) return
      if (fine === count && this.#areFine(texts)) this.#rowCount += Number(count)
      else yield this.#file.each(rows, last, id)
      last = id
    }
  }

  /** True if the texts of a chunk are valid, and none of them has a NUL. */
  #areFine(texts: Buffer | null): boolean {
    if (texts === null) return true
    if (!isUtf8(texts) || texts.includes(0)) return false
    this.#needsEscape ||= [0x09, 0x0a, 0x0d, 0x5c].some(byte => texts.includes(byte))
    return true
  }

  /** Whether a row is fine; its texts if none is big; the columns that are judged here; its key. */
  #columnsOfRow(): string {
    const judged = this.#judged.map(({ source }) => quoteName(source.name))
    const isSmall = this.#isSmall(BIG_CELL)
    return [`(${this.#isFine()}) AND (${isSmall})`, this.#text(BIG_CELL), ...judged, ...keyOf(this.#table.source)].join(', ')
  }

  #isSmall(limit: number): string {
    const sizes = this.#table.columns
      .filter(({ kind }) => mayBeBig(kind) || kind.isText)
      .map(({ source, kind }) => `coalesce(${sizeOf(quoteName(source.name), kind, this.#isUtf16)}, 0) <= ${limit}`)
    return sizes.length === 0 ? 'TRUE' : balanced(sizes, 'AND')
  }

  /** The texts of a row, apart from each other, since the end of one and the beginning of the next could make a character. */
  #text(limit: number): string {
    const texts = this.#table.columns.filter(({ kind }) => kind.isText).map(({ source }) => `coalesce(${quoteName(source.name)}, '')`)
    return texts.length === 0 ? "''" : `CASE WHEN ${this.#isSmall(limit)} THEN ${balanced(texts, "|| ',' ||")} END`
  }

  #isFine(): string {
    const ofColumns = this.#table.columns.map(({ source, kind, requiredBy }) => {
      const name = quoteName(source.name)
      const fine = kind.fine(name)
      if (fine === 'FALSE') return requiredBy === undefined ? 'TRUE' : `${name} IS NOT NULL`
      return requiredBy === undefined ? `(${name} IS NULL OR (${fine}))` : `coalesce(${fine}, FALSE)`
    })
    const ofChecks = this.#checks.map(check => `coalesce(${check}, TRUE)`)
    return balanced([...ofColumns, ...ofChecks], 'AND')
  }

  look(row: readonly Cell[]): void {
    this.#rowCount++
    const [isFine, text] = row
    const count = 2 + this.#judged.length
    for (const [i, column] of this.#judged.entries()) this.#judge(column, row[2 + i] as Cell, () => row.slice(count))
    // SQLite reads half of a surrogate pair of UTF-16 together with what follows, as a character of its own.
    const hasTrouble =
      typeof text !== 'string' || text.includes('\uFFFD') || text.includes('\0') || (this.#isUtf16 && /[\ud800-\udfff]/.test(text))
    if (typeof text === 'string' && !this.#needsEscape && hasEscapes(text)) this.#needsEscape = true
    if (isFine !== 1n || hasTrouble) this.#examine(row.slice(count))
  }

  #report(column: string | undefined, text: string, key: readonly Cell[]): void {
    this.#problems.add(this.#table.source.name, column, text, rowName(this.#table, key))
  }

  #judge(column: PlanColumn, value: Cell, key: () => readonly Cell[]): void {
    if (value === null) return
    const problem = column.kind.problem(value)
    if (problem !== undefined) this.#report(column.source.name, `holds ${problem}, but becomes ${column.kind.type}`, key())
  }

  /** Looks at each value of a row. */
  #examine(key: readonly Cell[]): void {
    const where = `${from(this.#table.source)} WHERE ${whereKey(this.#table.source)}`
    let lineSize = 0
    for (let at = 0; at < this.#table.columns.length; at += COLUMNS_AT_ONCE) {
      const columns = this.#table.columns.slice(at, at + COLUMNS_AT_ONCE)
      const found = this.#file.rows(`SELECT ${columns.map(column => this.#examination(column)).join(', ')} ${where}`, ...key)[0] as Cell[]
      for (const [i, column] of columns.entries()) {
        const [type, size, isFine] = found.slice(3 * i, 3 * i + 3) as [string, bigint, bigint]
        lineSize += this.#examineColumn(column, type, size, isFine === 1n, where, key)
      }
    }
    if (lineSize > MAX_LINE) this.#report(undefined, 'has a row of more bytes than COPY takes in a line', key)
    for (const check of this.#checks) {
      if (this.#file.value(`SELECT NOT (${check}) ${where}`, ...key) === 1n) this.#report(undefined, `breaks its CHECK (${check})`, key)
    }
  }

  /** The type of a value, its size, and whether it is fine. */
  #examination({ source, kind }: PlanColumn): string {
    const name = quoteName(source.name)
    return `typeof(${name}), coalesce(${sizeOf(name, kind, this.#isUtf16)}, 0), coalesce(${kind.fine(name)}, FALSE)`
  }

  /** Returns how many bytes the value takes in a line. */
  #examineColumn(column: PlanColumn, type: string, size: bigint, isFine: boolean, where: string, key: readonly Cell[]): number {
    const { source, kind, requiredBy } = column
    if (type === 'null') {
      if (requiredBy !== undefined) {
        this.#report(source.name, `holds NULL in ${requiredBy === 'a key' ? requiredBy : `a column that is ${requiredBy}`}`, key)
      }
      return 0
    }
    if (size > BIG_CELL && (type === 'text' || type === 'blob')) this.#examineBig(column, type, isFine, where, key)
    else this.#examineSmall(column, type, isFine, where, key)
    return Number(size) * (kind.isText ? 1 : 2)
  }

  #examineSmall(column: PlanColumn, type: string, isFine: boolean, where: string, key: readonly Cell[]): void {
    const name = quoteName(column.source.name)
    const problem =
      type === 'text' ? this.#problemOfText(this.#file.value(`SELECT CAST(${name} AS BLOB) ${where}`, ...key) as Buffer) : undefined
    if (problem !== undefined) {
      this.#report(column.source.name, problem, key)
      return
    }
    if (isFine || this.#judged.includes(column)) return
    this.#unusual.add(column.source.name)
    this.#judge(column, this.#file.value(`SELECT ${name} ${where}`, ...key) as Cell, () => key)
  }

  /** A text may hold U+FFFD itself, which is what broken bytes are read as. */
  #problemOfText(bytes: Buffer): string | undefined {
    if (this.#isUtf16) {
      const text = decodeUtf16(this.#file, bytes)
      if (text === undefined) return 'holds half of a surrogate pair, which Postgres cannot hold'
      return text.includes('\0') ? HAS_NUL : undefined
    }
    if (!isUtf8(bytes)) return NO_UTF8
    return bytes.includes(0) ? HAS_NUL : undefined
  }

  #examineBig(column: PlanColumn, type: string, isFine: boolean, where: string, key: readonly Cell[]): void {
    const { source, kind } = column
    const name = quoteName(source.name)
    if (!mayBeBig(kind)) {
      // JSONB is rewritten as a whole; where another kind has so much, it is a wrong value.
      if (!this.#judged.includes(column)) this.#judge(column, this.#file.value(`SELECT ${name} ${where}`, ...key) as Cell, () => key)
      return
    }
    this.#big.add(source.name)
    if (!isFine) this.#judge(column, type === 'blob' ? Buffer.alloc(1) : 'x', () => key)
    if (type === 'blob') return
    try {
      for (const piece of piecesOf(this.#file, name, where, key)) {
        // A character may end in the next piece, so the decoder judges them one after the other.
        const bytes = piece.toUtf8()
        if (bytes.includes(0)) throw new Error(HAS_NUL)
        if (!this.#needsEscape && hasEscapes(bytes.toString('latin1'))) this.#needsEscape = true
      }
    } catch (error) {
      this.#report(source.name, error instanceof Error && error.message === HAS_NUL ? HAS_NUL : NO_UTF8, key)
    }
  }

  /** No id can follow the largest. */
  lookAtIds(): void {
    const { source } = this.#table
    if (source.idColumn === undefined) return
    const name = quoteName(source.idColumn)
    if (this.#file.value(`SELECT max(${name}) ${from(source)}`) === MAX_ID)
      this.#report(source.idColumn, 'holds the id 2^63-1, which none can follow', [MAX_ID])
    else if (source.isAutoIncrement && lastSequence(this.#file, source.name) === MAX_ID) {
      this.#problems.add(source.name, source.idColumn, 'has given the id 2^63-1, which none can follow', undefined)
    }
  }

  /** Looks for values that differ in SQLite and are one on Postgres. */
  lookAtUnique({ name, columns, collations, where }: Unique): void {
    const conditions = [
      ...columns.map(({ source }) => `${quoteName(source.name)} IS NOT NULL`),
      ...(where === undefined ? [] : [`(${where})`])
    ]
    const seen = new Set<string>()
    const list = [...columns.map(({ source }) => quoteName(source.name)), ...keyOf(this.#table.source)]
    for (const row of this.#file.each(`SELECT ${list.join(', ')} ${from(this.#table.source)} WHERE ${conditions.join(' AND ')}`)) {
      const values = columns.map(({ kind, source }, i) => {
        const value = row[i] as Exclude<Cell, null>
        if (kind.problem(value) !== undefined) return String(value)
        const text = kind.print(value)
        if (kind.isText) return collations.get(source.name)?.(text) ?? text
        // 1.5 and 1.50 are one NUMERIC.
        return kind.expression === 'numeric' && text.includes('.') ? text.replace(/\.?0+$/, '') : text
      })
      const hash = createHash('md5').update(JSON.stringify(values)).digest('binary')
      if (seen.has(hash))
        this.#report(
          columns.length === 1 ? columns[0]?.source.name : undefined,
          `holds a value again that is unique (${name}) under the type on Postgres`,
          row.slice(columns.length)
        )
      seen.add(hash)
    }
  }
}

const MAX_ID = 2n ** 63n - 1n
const HAS_NUL = 'holds a NUL character, which Postgres cannot hold'
const NO_UTF8 = 'holds a text that is not valid UTF-8'

function decodeUtf16(file: SqliteFile, bytes: Buffer): string | undefined {
  const encoding = String(file.value('PRAGMA main.encoding')).toLowerCase()
  try {
    return new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** The last id that AUTOINCREMENT gave; undefined before the first. */
export function lastSequence(file: SqliteFile, table: string): bigint | undefined {
  const hasTable = file.value("SELECT count(*) FROM main.sqlite_schema WHERE name = 'sqlite_sequence'") === 1n
  const value = hasTable
    ? file.value(`SELECT max(CAST(seq AS INTEGER)) FROM main.sqlite_sequence WHERE name = ${quoteText(table)}`)
    : undefined
  return typeof value === 'bigint' ? value : undefined
}
