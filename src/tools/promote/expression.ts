/**
 * Translates expressions of SQLite (CHECKs, partial and expression indexes, generated columns) into expressions of
 * Postgres that give the same answer for every row. What has no exact counterpart is refused, never guessed. The texts
 * of the columns have the collation "C"; where nothing else is needed, none is written, so that the server uses an index
 * for the same words in a query. Pure.
 */
import { nameOf, type Piece, piecesOf, Reader } from './create-text.ts'
import { foldName, quoteName, quoteText } from './quote.ts'

/** What an expression evaluates to, on Postgres. */
export type ExpressionType = 'integer' | 'real' | 'numeric' | 'text' | 'boolean' | 'timestamp' | 'date' | 'bytes' | 'json' | 'null'

/** A column that an expression may name. */
export interface ExpressionColumn {
  /** The name on Postgres. */
  readonly target: string
  readonly type: ExpressionType
  /** In capitals, as SQLite compares the column. */
  readonly collation: string
}

export interface Translation {
  readonly sql: string
  readonly type: ExpressionType
}

interface Translated extends Translation {
  /** True if Postgres may refuse values that SQLite takes: where a number overflows, SQLite goes on with a double. */
  readonly mayFail: boolean
}

/** Says why an expression cannot be translated; completes "it uses …". */
export class Untranslatable extends Error {}

export type FindColumn = (name: string) => ExpressionColumn | undefined

/** Translates an expression. Throws `Untranslatable`. */
export function translateExpression(expression: string, find: FindColumn): Translated {
  const reader = new Reader(expression, piecesOf(expression))
  const translator = new Translator(reader, find)
  const { sql, type } = translator.expression(0)
  if (!reader.isAtEnd) throw new Untranslatable(`${show(reader.peek())}`)
  return { sql, type, mayFail: translator.computes }
}

/** Translates a condition: SQLite takes every number but 0 as true. */
export function translateCondition(expression: string, find: FindColumn): string {
  return asBoolean(translateExpression(expression, find)).sql
}

/** Returns the function names and CURRENT_… words of an expression, in capitals: what makes a default vary. */
export function callsOf(expression: string): string[] {
  const pieces = piecesOf(expression)
  return pieces
    .filter((piece, i) => piece.kind === 'word' && (pieces[i + 1]?.text === '(' || /^CURRENT_/i.test(piece.text)))
    .map(({ text }) => text.toUpperCase())
}

/** A translated operand, and how SQLite compares it. */
interface Operand extends Translation {
  /** NOCASE or RTRIM, by a column or by COLLATE. */
  readonly collation?: string | undefined
  /** The value of an integer literal. */
  readonly literal?: number | undefined
}

function show(piece: Piece | undefined): string {
  return piece === undefined ? 'an expression without an end' : piece.text
}

const NUMBERS: readonly ExpressionType[] = ['integer', 'real', 'numeric']

function isNumber({ type }: Operand): boolean {
  return NUMBERS.includes(type)
}

function asBoolean(operand: Operand): Operand {
  if (operand.type === 'boolean') return operand
  if (operand.literal !== undefined) return { sql: operand.literal === 0 ? 'FALSE' : 'TRUE', type: 'boolean' }
  if (operand.type === 'null') return { sql: 'NULL::BOOLEAN', type: 'boolean' }
  if (isNumber(operand)) return { sql: `(${operand.sql} <> 0)`, type: 'boolean' }
  throw new Untranslatable(`a ${operand.type} as a condition`)
}

/** A truth value is 0 or 1 in SQLite. */
function asNumber(operand: Operand): Operand {
  if (operand.type === 'boolean') return { sql: `(${operand.sql})::INTEGER`, type: 'integer' }
  if (isNumber(operand) || operand.type === 'null') return operand
  throw new Untranslatable(`a ${operand.type} as a number`)
}

function asText(operand: Operand): Operand {
  if (operand.type === 'text' || operand.type === 'null') return operand
  if (operand.type === 'integer') return { sql: `(${operand.sql})::TEXT`, type: 'text' }
  throw new Untranslatable(`a ${operand.type} as text`)
}

/** What SQLite compares: with NOCASE and RTRIM not the texts themselves. */
function collated({ sql, type }: Operand, collation: string | undefined): string {
  if (type !== 'text' || collation === undefined) return sql
  if (collation === 'NOCASE') return `lower(${sql} COLLATE "C")`
  if (collation === 'RTRIM') return `rtrim(${sql} COLLATE "C")`
  throw new Untranslatable(`the collation ${collation}`)
}

/** The strength of binary operators, as SQLite has it; the weakest first. */
const STRENGTHS: Readonly<Record<string, number>> = {
  OR: 1,
  AND: 2,
  '=': 4,
  '==': 4,
  '<>': 4,
  '!=': 4,
  IS: 4,
  IN: 4,
  LIKE: 4,
  GLOB: 4,
  MATCH: 4,
  REGEXP: 4,
  BETWEEN: 4,
  ISNULL: 4,
  NOTNULL: 4,
  NOT: 4,
  '<': 5,
  '<=': 5,
  '>': 5,
  '>=': 5,
  '&': 6,
  '|': 6,
  '<<': 6,
  '>>': 6,
  '+': 7,
  '-': 7,
  '*': 8,
  '/': 8,
  '%': 8,
  '||': 9,
  '->': 9,
  '->>': 9,
  COLLATE: 10
}

/** Two-character operators, which the lexer gives as two tokens. */
const LONG_OPERATORS = ['->>', '==', '<>', '!=', '<=', '>=', '<<', '>>', '||', '->']

const COMPARISONS: Readonly<Record<string, string>> = {
  '=': '=',
  '==': '=',
  '<>': '<>',
  '!=': '<>',
  '<': '<',
  '<=': '<=',
  '>': '>',
  '>=': '>='
}

class Translator {
  /** True once a number was computed. */
  computes = false
  readonly #reader: Reader
  readonly #find: FindColumn

  constructor(reader: Reader, find: FindColumn) {
    this.#reader = reader
    this.#find = find
  }

  /** Reads an expression whose operators are at least so strong. */
  expression(strength: number): Operand {
    let left = this.#prefix()
    while (true) {
      const operator = this.#operator()
      if (operator === undefined) return left
      const own = STRENGTHS[operator.name]
      if (own === undefined || own < strength) return left
      this.#reader.at += operator.length
      left = this.#binary(left, operator.name, own)
    }
  }

  #operator(): { name: string; length: number } | undefined {
    const reader = this.#reader
    const first = reader.peek()
    if (first === undefined || (first.kind !== 'symbol' && first.kind !== 'word')) return undefined
    if (first.kind === 'word') return { name: first.text.toUpperCase(), length: 1 }
    for (const operator of LONG_OPERATORS) {
      const pieces = [...operator].map((_, i) => reader.peek(i))
      const isHere = pieces.every((piece, i) => piece?.text === operator[i] && piece?.start === first.start + i)
      if (isHere) return { name: operator, length: operator.length }
    }
    return { name: first.text, length: 1 }
  }

  #prefix(): Operand {
    const reader = this.#reader
    if (reader.take('NOT')) return { sql: `NOT ${asBoolean(this.expression(3)).sql}`, type: 'boolean' }
    if (reader.take('-')) {
      const operand = asNumber(this.expression(10))
      this.computes ||= operand.literal === undefined
      return { sql: `(- ${operand.sql})`, type: operand.type, literal: operand.literal === undefined ? undefined : -operand.literal }
    }
    if (reader.take('+')) return asNumber(this.expression(10))
    if (reader.sees('(')) {
      reader.next()
      const inner = this.expression(0)
      if (!reader.take(')')) throw new Untranslatable('a list of values')
      return { ...inner, sql: `(${inner.sql})` }
    }
    if (reader.take('CASE')) return this.#case()
    if (reader.take('CAST', '(')) return this.#cast()
    const piece = reader.next()
    switch (piece.kind) {
      case 'number':
        return number(piece.text)
      case 'string':
        return { sql: piece.text, type: 'text' }
      case 'word':
        if (reader.sees('(')) return this.#call(piece.text.toUpperCase())
        if (/^x$/i.test(piece.text) && reader.peek()?.kind === 'string') return blob(reader.next().text)
        return this.#word(piece)
      case 'name':
        return this.#column(nameOf(piece).name) ?? missing(piece)
      default:
        throw new Untranslatable(piece.text)
    }
  }

  #word(piece: Piece): Operand {
    const column = this.#column(piece.text)
    if (column !== undefined) return column
    switch (piece.text.toUpperCase()) {
      case 'NULL':
        return { sql: 'NULL', type: 'null' }
      case 'TRUE':
        return { sql: 'TRUE', type: 'boolean', literal: 1 }
      case 'FALSE':
        return { sql: 'FALSE', type: 'boolean', literal: 0 }
      default:
        return missing(piece)
    }
  }

  #column(name: string): Operand | undefined {
    const found = this.#find(foldName(name))
    // table.column, which a CHECK may write.
    if (found === undefined && this.#reader.take('.')) return this.#column(nameOf(this.#reader.next()).name)
    if (found === undefined) return undefined
    const collation = found.collation === 'BINARY' ? undefined : found.collation
    return { sql: quoteName(found.target), type: found.type, collation }
  }

  #binary(left: Operand, operator: string, strength: number): Operand {
    const reader = this.#reader
    switch (operator) {
      case 'AND':
      case 'OR':
        return { sql: `(${asBoolean(left).sql} ${operator} ${asBoolean(this.expression(strength + 1)).sql})`, type: 'boolean' }
      case 'ISNULL':
        return { sql: `(${left.sql} IS NULL)`, type: 'boolean' }
      case 'NOTNULL':
        return { sql: `(${left.sql} IS NOT NULL)`, type: 'boolean' }
      case 'IS': {
        const isNegated = reader.take('NOT')
        const isDistinct = reader.take('DISTINCT', 'FROM')
        return compare(left, this.expression(strength + 1), isNegated === isDistinct ? 'IS NOT DISTINCT FROM' : 'IS DISTINCT FROM')
      }
      case 'NOT': {
        if (reader.take('NULL')) return { sql: `(${left.sql} IS NOT NULL)`, type: 'boolean' }
        const { name } = this.#operator() ?? { name: '' }
        reader.at++
        const inner = this.#binary(left, name, strength)
        return { sql: `(NOT ${inner.sql})`, type: 'boolean' }
      }
      case 'BETWEEN': {
        const low = this.expression(strength + 1)
        if (!reader.take('AND')) throw new Untranslatable('BETWEEN without AND')
        const high = this.expression(strength + 1)
        return { sql: `(${compare(left, low, '>=').sql} AND ${compare(left, high, '<=').sql})`, type: 'boolean' }
      }
      case 'IN':
        return this.#in(left)
      case 'LIKE':
        return this.#like(left)
      case '||':
        return { sql: `(${asText(left).sql} || ${asText(this.expression(strength + 1)).sql})`, type: 'text' }
      case 'COLLATE':
        return { ...left, collation: nameOf(reader.next()).name.toUpperCase() }
      case '+':
      case '-':
      case '*':
      case '/':
      case '%':
      case '&':
      case '|':
        this.computes = true
        return arithmetic(asNumber(left), asNumber(this.expression(strength + 1)), operator)
    }
    const comparison = COMPARISONS[operator]
    if (comparison === undefined) throw new Untranslatable(operator)
    return compare(left, this.expression(strength + 1), comparison)
  }

  #in(left: Operand): Operand {
    const reader = this.#reader
    if (!reader.take('(') || reader.sees('SELECT')) throw new Untranslatable('IN with a query')
    const parts: string[] = []
    while (!reader.take(')')) {
      parts.push(compare(left, this.expression(0), '=').sql)
      reader.take(',')
    }
    return { sql: parts.length === 0 ? 'FALSE' : `(${parts.join(' OR ')})`, type: 'boolean' }
  }

  /** SQLite's LIKE takes A to Z in either case, as ILIKE does for columns of the collation "C", and has no escape character. */
  #like(left: Operand): Operand {
    if (left.type !== 'text') throw new Untranslatable(`LIKE on a ${left.type}`)
    const pattern = this.expression(5)
    if (pattern.type !== 'text') throw new Untranslatable(`LIKE with a ${pattern.type}`)
    const character = this.#reader.take('ESCAPE') ? this.#reader.next().text : "''"
    return { sql: `(${left.sql} ILIKE ${pattern.sql} ESCAPE ${character})`, type: 'boolean' }
  }

  #case(): Operand {
    const reader = this.#reader
    const subject = reader.sees('WHEN') ? undefined : this.expression(0)
    const branches: { when: string; result: Operand }[] = []
    while (reader.take('WHEN')) {
      const value = this.expression(0)
      const when = subject === undefined ? asBoolean(value).sql : compare(subject, value, '=').sql
      if (!reader.take('THEN')) throw new Untranslatable('CASE without THEN')
      branches.push({ when, result: this.expression(0) })
    }
    const last = reader.take('ELSE') ? this.expression(0) : undefined
    if (!reader.take('END')) throw new Untranslatable('CASE without END')
    const results = sameType([...branches.map(({ result }) => result), ...(last ? [last] : [])])
    const texts = branches.map(({ when }, i) => `WHEN ${when} THEN ${results[i]?.sql}`)
    return {
      sql: `CASE ${texts.join(' ')}${last ? ` ELSE ${results.at(-1)?.sql}` : ''} END`,
      type: results.find(({ type }) => type !== 'null')?.type ?? 'null'
    }
  }

  #cast(): Operand {
    const reader = this.#reader
    const operand = this.expression(0)
    if (!reader.take('AS')) throw new Untranslatable('CAST without AS')
    const words: string[] = []
    while (!reader.take(')')) words.push(reader.sees('(') ? `(${reader.takeParenthesis()})` : reader.next().text)
    const type = words.join(' ').toUpperCase()
    if (/INT/.test(type) && ['integer', 'boolean'].includes(operand.type)) return asNumber(operand)
    if (/CHAR|CLOB|TEXT/.test(type)) return asText(operand)
    if (/REAL|FLOA|DOUB/.test(type) && ['integer', 'real'].includes(operand.type)) {
      return { sql: `(${operand.sql})::DOUBLE PRECISION`, type: 'real' }
    }
    throw new Untranslatable(`CAST of a ${operand.type} AS ${type}`)
  }

  #call(name: string): Operand {
    const reader = this.#reader
    reader.next()
    const values: Operand[] = []
    while (!reader.take(')')) {
      values.push(this.expression(0))
      reader.take(',')
    }
    this.computes ||= name === 'ABS'
    const translate = FUNCTIONS[name]
    const translated = translate?.(values)
    if (translated === undefined) throw new Untranslatable(`${name.toLowerCase()}()`)
    return translated
  }
}

function missing(piece: Piece): never {
  throw new Untranslatable(`${piece.text}, which names no column that moves`)
}

function number(text: string): Operand {
  if (/^\d+$/.test(text)) {
    if (BigInt(text) < 2n ** 63n) return { sql: text, type: 'integer', literal: Number(text) }
  } else if (/^0x/i.test(text)) {
    return { sql: String(BigInt.asIntN(64, BigInt(text))), type: 'integer' }
  }
  return { sql: `${text.replaceAll('_', '')}::DOUBLE PRECISION`, type: 'real' }
}

function blob(text: string): Operand {
  return { sql: `${quoteText(`\\x${text.slice(1, -1)}`)}::BYTEA`, type: 'bytes' }
}

function compare(left: Operand, right: Operand, operator: string): Operand {
  const build = (a: string, b: string): Operand => ({ sql: `(${a} ${operator} ${b})`, type: 'boolean' })
  if (left.type === 'null' || right.type === 'null') {
    if (operator === 'IS NOT DISTINCT FROM' && right.type === 'null') return { sql: `(${left.sql} IS NULL)`, type: 'boolean' }
    if (operator === 'IS DISTINCT FROM' && right.type === 'null') return { sql: `(${left.sql} IS NOT NULL)`, type: 'boolean' }
    return build(left.sql, right.sql)
  }
  if (left.type === 'boolean' || right.type === 'boolean') return compareBooleans(left, right, build)
  if (isNumber(left) && isNumber(right)) return build(left.sql, right.sql)
  if (left.type === 'text' && right.type === 'text') {
    // The left operand's collation counts before that of the right.
    const collation = left.collation ?? right.collation
    if (collation !== undefined && collation !== 'BINARY') return build(collated(left, collation), collated(right, collation))
    return build(left.sql, right.sql)
  }
  const day = [left, right].find(({ type }) => type === 'date')
  const text = [left, right].find(({ type }) => type === 'text')
  if (day !== undefined && text !== undefined && /^'\d{4}-\d\d-\d\d'$/.test(text.sql)) return build(left.sql, right.sql)
  if (left.type === right.type && (left.type === 'date' || left.type === 'bytes')) return build(left.sql, right.sql)
  throw new Untranslatable(`a comparison of ${left.type} and ${right.type}`)
}

function compareBooleans(left: Operand, right: Operand, build: (a: string, b: string) => Operand): Operand {
  const isTruth = ({ type, literal }: Operand) => type === 'boolean' || literal === 0 || literal === 1
  if (isTruth(left) && isTruth(right)) return build(asBoolean(left).sql, asBoolean(right).sql)
  return build(asNumber(left).sql, asNumber(right).sql)
}

function arithmetic(left: Operand, right: Operand, operator: string): Operand {
  const types = [left.type, right.type]
  // SQLite computes with the double that it keeps, Postgres with the exact decimal.
  if (types.includes('numeric')) throw new Untranslatable(`${operator} on a NUMERIC`)
  const type = types.includes('real') ? 'real' : 'integer'
  if (type === 'real' && /[%&|]/.test(operator)) throw new Untranslatable(`${operator} on a real number`)
  // SQLite's result of a division by zero is NULL.
  const divisor = /[/%]/.test(operator) && !right.literal ? `NULLIF(${right.sql}, 0)` : right.sql
  return { sql: `(${left.sql} ${operator} ${divisor})`, type }
}

/** The operands as one type, as CASE and coalesce() need it. */
function sameType(operands: readonly Operand[]): readonly Operand[] {
  const types = new Set(operands.map(({ type }) => type).filter(type => type !== 'null'))
  if (types.size <= 1) return operands
  if ([...types].every(type => NUMBERS.includes(type) || type === 'boolean')) return operands.map(asNumber)
  throw new Untranslatable(`values of several types (${[...types].join(', ')})`)
}

function typeOf(operands: readonly Operand[]): ExpressionType {
  return operands.find(({ type }) => type !== 'null')?.type ?? 'null'
}

/** Calls a function of texts that is the same on both. */
function onTexts(name: string, counts: readonly number[]): (values: readonly Operand[]) => Operand | undefined {
  return values => {
    if (!counts.includes(values.length)) return undefined
    return { sql: `${name}(${values.map(value => asText(value).sql).join(', ')})`, type: 'text' }
  }
}

/** lower() and upper() of SQLite change A to Z alone, as those of Postgres do for columns of the collation "C". */
function folded(name: string): (values: readonly Operand[]) => Operand | undefined {
  return ([value, ...others]) =>
    value === undefined || others.length > 0 ? undefined : { sql: `${name}(${asText(value).sql})`, type: 'text' }
}

function coalesce(values: readonly Operand[]): Operand | undefined {
  if (values.length < 2) return undefined
  const operands = sameType(values)
  return { sql: `coalesce(${operands.map(({ sql }) => sql).join(', ')})`, type: typeOf(operands) }
}

function choose([condition, yes, no]: readonly Operand[]): Operand | undefined {
  if (condition === undefined || yes === undefined || no === undefined) return undefined
  const [first, second] = sameType([yes, no])
  return { sql: `CASE WHEN ${asBoolean(condition).sql} THEN ${first?.sql} ELSE ${second?.sql} END`, type: typeOf([yes, no]) }
}

/** From the first character on; Postgres counts positions before it in another way. */
function substring([text, start, length, ...others]: readonly Operand[]): Operand | undefined {
  if (text === undefined || start?.literal === undefined || start.literal < 1 || others.length > 0) return undefined
  if (length !== undefined && (length.literal === undefined || length.literal < 0)) return undefined
  const values = [asText(text).sql, start.sql, ...(length === undefined ? [] : [length.sql])]
  return { sql: `substr(${values.join(', ')})`, type: 'text' }
}

/** Functions that both databases have, by SQLite's name; undefined where the arguments make a difference. */
const FUNCTIONS: Readonly<Record<string, (values: readonly Operand[]) => Operand | undefined>> = {
  ABS: ([value, ...others]) =>
    value === undefined || others.length > 0 ? undefined : { sql: `abs(${asNumber(value).sql})`, type: asNumber(value).type },
  COALESCE: coalesce,
  IFNULL: coalesce,
  IIF: choose,
  IF: choose,
  INSTR: ([text, part, ...others]) =>
    text?.type === 'text' && part?.type === 'text' && others.length === 0
      ? { sql: `strpos(${text.sql}, ${part.sql})`, type: 'integer' }
      : undefined,
  LENGTH: ([value, ...others]) => {
    if (value === undefined || others.length > 0) return undefined
    return { sql: `length(${value.type === 'bytes' ? value.sql : asText(value).sql})`, type: 'integer' }
  },
  LOWER: folded('lower'),
  UPPER: folded('upper'),
  LTRIM: onTexts('ltrim', [1, 2]),
  RTRIM: onTexts('rtrim', [1, 2]),
  TRIM: onTexts('btrim', [1, 2]),
  NULLIF: ([left, right, ...others]) => {
    if (left === undefined || right === undefined || others.length > 0) return undefined
    return { sql: `CASE WHEN ${compare(left, right, '=').sql} THEN NULL ELSE ${left.sql} END`, type: left.type }
  },
  REPLACE: onTexts('replace', [3]),
  SUBSTR: substring,
  SUBSTRING: substring
}
