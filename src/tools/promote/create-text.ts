/**
 * Reads the CREATE texts that SQLite keeps in sqlite_schema, for what its PRAGMAs leave out: which names were quoted,
 * collations, CHECKs, generated columns, names of constraints, and the expressions of indexes. Pure.
 */
import { tokens } from '../../lexer.ts'

/** A token of a CREATE text, without comments. */
export interface Piece {
  readonly kind: 'word' | 'name' | 'string' | 'number' | 'symbol'
  /** As it is written. */
  readonly text: string
  readonly start: number
  readonly end: number
}

/** A name, and whether it was written in quotes, so that Postgres keeps its capitals. */
export interface WrittenName {
  readonly name: string
  readonly isQuoted: boolean
}

/** What a column's definition says beside PRAGMA table_xinfo. */
export interface ColumnText extends WrittenName {
  /** In capitals. */
  readonly collation: string
  /** The expression of GENERATED ALWAYS AS. */
  readonly generatedAs: string | undefined
}

export interface CheckText {
  readonly name: string | undefined
  readonly expression: string
  /** The column whose definition holds it. */
  readonly column: string | undefined
}

export interface ForeignKeyText {
  readonly name: string | undefined
  readonly isDeferred: boolean
}

export interface TableText extends WrittenName {
  readonly columns: readonly ColumnText[]
  readonly checks: readonly CheckText[]
  /** In the order in which they are written. */
  readonly foreignKeys: readonly ForeignKeyText[]
  /** What a conflict does where ON CONFLICT says it, such as `UNIQUE … ON CONFLICT REPLACE`. */
  readonly conflictClauses: readonly string[]
  readonly isAutoIncrement: boolean
}

/** One term of an index. */
export interface TermText {
  /** The expression without its collation and direction. */
  readonly expression: string
}

export interface IndexText extends WrittenName {
  readonly terms: readonly TermText[]
  readonly where: string | undefined
}

/** Returns the tokens of a text, comments left out; a number with a signed exponent is one token. */
export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = []
  for (const { kind, start, end } of tokens(text, 'sqlite')) {
    if (kind === 'comment') continue
    const before = pieces.at(-1)
    const sign = pieces.at(-2)
    if (kind === 'number' && before !== undefined && sign?.kind === 'number' && /^[+-]$/.test(before.text)) {
      const isExponent = /^[\d.]+e$/i.test(sign.text) && sign.end === before.start && before.end === start
      if (isExponent) {
        pieces.splice(-2, 2, { kind: 'number', text: text.slice(sign.start, end), start: sign.start, end })
        continue
      }
    }
    const known = kind === 'positional' || kind === 'named' ? 'symbol' : kind
    pieces.push({ kind: known, text: text.slice(start, end), start, end })
  }
  return pieces
}

/** The name that a token stands for. SQLite takes a string where a name belongs. */
export function nameOf(piece: Piece): WrittenName {
  const { kind, text } = piece
  if (kind === 'word') return { name: text, isQuoted: false }
  const quote = text[0] === '[' ? ']' : (text[0] as string)
  return { name: text.slice(1, -1).replaceAll(quote + quote, quote), isQuoted: true }
}

/** Walks over the tokens of a text. */
export class Reader {
  readonly text: string
  readonly pieces: readonly Piece[]
  at = 0

  constructor(text: string, pieces: readonly Piece[] = piecesOf(text)) {
    this.text = text
    this.pieces = pieces
  }

  get isAtEnd(): boolean {
    return this.at >= this.pieces.length
  }

  peek(distance = 0): Piece | undefined {
    return this.pieces[this.at + distance]
  }

  /** True if the tokens that follow are these keywords or symbols. */
  sees(...words: readonly string[]): boolean {
    return words.every((word, i) => {
      const piece = this.peek(i)
      return (piece?.kind === 'word' || piece?.kind === 'symbol') && piece.text.toUpperCase() === word
    })
  }

  /** Takes these keywords or symbols if they follow. */
  take(...words: readonly string[]): boolean {
    if (!this.sees(...words)) return false
    this.at += words.length
    return true
  }

  next(): Piece {
    const piece = this.pieces[this.at++]
    if (piece === undefined) throw new Error(`Unexpected end of ${this.text}`)
    return piece
  }

  /** Takes a parenthesis with all that is in it, and returns what stands inside. */
  takeParenthesis(): string {
    const open = this.next()
    for (let depth = 1; ; ) {
      const piece = this.next()
      if (piece.kind !== 'symbol') continue
      if (piece.text === '(') depth++
      else if (piece.text === ')' && --depth === 0) return this.text.slice(open.end, piece.start)
    }
  }
}

/** An expression without what stands before and behind it: a comment at its end would swallow what is written after it. */
function withoutComments(text: string): string {
  const pieces = piecesOf(text)
  return text.slice(pieces[0]?.start, pieces.at(-1)?.end)
}

/** Splits a text at its commas that stand in no parenthesis. */
function splitAtCommas(text: string): string[] {
  const parts: string[] = []
  let depth = 0
  let from = 0
  for (const { kind, text: symbol, start, end } of piecesOf(text)) {
    if (kind !== 'symbol') continue
    if (symbol === '(') depth++
    else if (symbol === ')') depth--
    else if (symbol === ',' && depth === 0) {
      parts.push(text.slice(from, start))
      from = end
    }
  }
  return [...parts, text.slice(from)]
}

/** Words that begin a constraint of a table, where no column can have them as its name. */
const TABLE_CONSTRAINTS = ['CONSTRAINT', 'PRIMARY', 'UNIQUE', 'CHECK', 'FOREIGN']

/** Words that end a column's type. */
const COLUMN_CONSTRAINTS = [...TABLE_CONSTRAINTS, 'NOT', 'NULL', 'DEFAULT', 'COLLATE', 'REFERENCES', 'GENERATED', 'AS']

/** Takes `CREATE [TEMP | UNIQUE] WHAT [IF NOT EXISTS] [schema.]name`. */
function takeHead(reader: Reader, what: 'TABLE' | 'INDEX'): WrittenName {
  while (!reader.take(what)) reader.next()
  reader.take('IF', 'NOT', 'EXISTS')
  const first = reader.next()
  return nameOf(reader.take('.') ? reader.next() : first)
}

/** Reads the text of a CREATE TABLE. */
export function readTableText(text: string): TableText {
  const reader = new Reader(text)
  const name = takeHead(reader, 'TABLE')
  const found = {
    columns: [] as ColumnText[],
    checks: [] as CheckText[],
    foreignKeys: [] as ForeignKeyText[],
    conflictClauses: [] as string[],
    isAutoIncrement: false
  }
  for (const item of splitAtCommas(reader.takeParenthesis())) {
    const part = new Reader(item)
    if (part.isAtEnd) continue
    if (TABLE_CONSTRAINTS.some(word => part.sees(word))) readConstraints(part, undefined, found)
    else readColumn(part, found)
  }
  return { ...name, ...found }
}

interface Found {
  readonly columns: ColumnText[]
  readonly checks: CheckText[]
  readonly foreignKeys: ForeignKeyText[]
  readonly conflictClauses: string[]
  isAutoIncrement: boolean
}

function readColumn(reader: Reader, found: Found): void {
  const name = nameOf(reader.next())
  while (!reader.isAtEnd && !COLUMN_CONSTRAINTS.some(word => reader.sees(word))) {
    if (reader.sees('(')) reader.takeParenthesis()
    else reader.next()
  }
  const { collation = 'BINARY', generatedAs } = readConstraints(reader, name.name, found)
  found.columns.push({ ...name, collation, generatedAs })
}

function readConstraints(reader: Reader, column: string | undefined, found: Found): { collation?: string; generatedAs?: string } {
  const own: { collation?: string; generatedAs?: string } = {}
  let name: string | undefined
  while (!reader.isAtEnd) {
    if (reader.take('CONSTRAINT')) {
      name = nameOf(reader.next()).name
      continue
    }
    if (reader.take('CHECK')) found.checks.push({ name, column, expression: withoutComments(reader.takeParenthesis()) })
    else if (reader.take('COLLATE')) own.collation = nameOf(reader.next()).name.toUpperCase()
    else if (reader.take('AUTOINCREMENT')) found.isAutoIncrement = true
    else if (reader.take('ON', 'CONFLICT')) readConflict(reader, found)
    else if (reader.take('REFERENCES')) readReferences(reader, name, found)
    else if (reader.take('DEFAULT')) {
      if (reader.sees('(')) reader.takeParenthesis()
      else if (reader.take('-') || reader.take('+') || !reader.isAtEnd) reader.next()
      continue
    } else if (reader.take('AS')) own.generatedAs = withoutComments(reader.takeParenthesis())
    else if (reader.sees('(')) {
      // The columns of PRIMARY KEY, UNIQUE and FOREIGN KEY; PRIMARY KEY (id AUTOINCREMENT) is allowed there.
      if (/\bAUTOINCREMENT\s*$/i.test(reader.takeParenthesis())) found.isAutoIncrement = true
      continue
    } else {
      // Only FOREIGN KEY has words before what carries its name.
      const keepsName = reader.sees('FOREIGN') || reader.sees('KEY')
      reader.next()
      if (keepsName) continue
    }
    name = undefined
  }
  return own
}

function readConflict(reader: Reader, found: Found): void {
  const action = reader.next().text.toUpperCase()
  // ABORT is what Postgres does too.
  if (action !== 'ABORT') found.conflictClauses.push(action)
}

function readReferences(reader: Reader, name: string | undefined, found: Found): void {
  reader.next()
  if (reader.sees('(')) reader.takeParenthesis()
  let isDeferred = false
  while (!reader.isAtEnd) {
    if (reader.take('ON', 'DELETE') || reader.take('ON', 'UPDATE')) {
      if (reader.take('SET') || reader.take('NO') || !reader.isAtEnd) reader.next()
    } else if (reader.take('MATCH')) reader.next()
    else if (reader.take('NOT', 'DEFERRABLE')) {
      if (reader.take('INITIALLY')) reader.next()
    } else if (reader.take('DEFERRABLE')) {
      if (reader.take('INITIALLY', 'DEFERRED')) isDeferred = true
      else if (reader.take('INITIALLY')) reader.next()
    } else break
  }
  found.foreignKeys.push({ name, isDeferred })
}

/** Reads the text of a CREATE INDEX. */
export function readIndexText(text: string): IndexText {
  const reader = new Reader(text)
  const name = takeHead(reader, 'INDEX')
  reader.take('ON')
  reader.next()
  const terms = splitAtCommas(reader.takeParenthesis()).map(term => ({ expression: withoutOrder(term) }))
  const where = reader.take('WHERE') ? text.slice(reader.peek()?.start, reader.pieces.at(-1)?.end) : undefined
  return { ...name, terms, where }
}

/** A term without its ASC or DESC, and without its collation, which PRAGMA index_xinfo has. */
function withoutOrder(term: string): string {
  const pieces = piecesOf(term)
  let end = pieces.length
  if (/^(ASC|DESC)$/i.test(pieces[end - 1]?.text ?? '')) end--
  if (/^COLLATE$/i.test(pieces[end - 2]?.text ?? '')) end -= 2
  return term.slice(pieces[0]?.start, pieces[end - 1]?.end)
}
