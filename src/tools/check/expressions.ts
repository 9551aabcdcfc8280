/**
 * Reads the expressions of a query, with the types that the schema gives them. It knows the SQL of both databases, and
 * what it does not know it steps over: it never fails, since it only looks for what may explain a difference. Pure.
 */
import type { Dialect } from '../../adapter.ts'
import type { TypeWord } from '../../files/types.ts'
import { type Token, tokens } from '../../lexer.ts'
import type { Column, Schema } from '../data/schema.ts'
import { wordOfDeclared } from '../lab/types.ts'

/** Undefined where neither the schema nor the expression tells. */
export type ValueType = TypeWord | 'null' | undefined

export type Clause =
  | 'select'
  | 'returning'
  | 'from'
  | 'on'
  | 'where'
  | 'group'
  | 'having'
  | 'order'
  | 'limit'
  | 'values'
  | 'set'
  /** The ORDER BY of a window or an aggregate. */
  | 'inner order'

export type ExpressionKind =
  | 'column'
  | 'string'
  | 'number'
  | 'parameter'
  /** A function, also without parentheses: CURRENT_DATE. */
  | 'call'
  | 'operator'
  | 'case'
  | 'cast'
  | 'subquery'
  | 'list'
  /** TRUE, FALSE, NULL, DEFAULT, and `*`. */
  | 'word'
  | 'unknown'

export interface Expression {
  readonly kind: ExpressionKind
  /**
   * An operator in capitals (`NOT LIKE`), a function in lower case, a column without its quotes and its table, the
   * content of a string, the type of a cast in capitals, or the text.
   */
  readonly name: string
  readonly operands: readonly Expression[]
  readonly type: ValueType
  readonly start: number
  readonly end: number
  readonly clause: Clause
  /** 0 in the outermost query. */
  readonly level: number
  /** The column of the result that it is a part of, in the outermost list that has it. */
  readonly item: string | undefined
  /** The column of a table that it is. */
  readonly column?: Column | undefined
  /** True for a name in double quotes. */
  readonly isQuoted?: boolean
  readonly isParenthesized?: boolean
  /** Of a call: ORDER BY in it, and OVER. */
  readonly isOrdered?: boolean
  readonly isWindow?: boolean
}

/** A column of SELECT or RETURNING. */
export interface Item {
  readonly name: string
  /** Where the alias stands, if there is one. */
  readonly alias: { readonly start: number; readonly isQuoted: boolean } | undefined
  readonly expression: Expression
  readonly level: number
}

/** A key of ORDER BY. */
export interface OrderKey {
  readonly expression: Expression
  /** True with NULLS FIRST or NULLS LAST. */
  readonly hasNulls: boolean
  readonly level: number
}

/** One SELECT. */
export interface Select {
  readonly level: number
  readonly hasOrder: boolean
  /** Where LIMIT stands. */
  readonly limit: number | undefined
}

/** A value that is written into a column. */
export interface Assignment {
  readonly column: Column
  readonly value: Expression
}

export interface Query {
  readonly text: string
  /** Each expression of the text, the outer before its operands. */
  readonly expressions: readonly Expression[]
  readonly items: readonly Item[]
  readonly orders: readonly OrderKey[]
  readonly selects: readonly Select[]
  readonly assignments: readonly Assignment[]
  /** The names of tables, as they are in the schema where they are known. */
  readonly tables: readonly string[]
  /** The words of the text in capitals, with their places; operators of several characters are one word. */
  readonly words: readonly Word[]
}

export interface Word {
  /** In capitals, unless it is a string or in quotes. */
  readonly text: string
  readonly kind: Token['kind']
  readonly start: number
  readonly end: number
}

/** Reads the text that is sent to a database. */
export function readQuery(text: string, dialect: Dialect, schema: Schema): Query {
  const words = wordsOf(text, dialect)
  // FROM stands behind the columns that it explains, so the tables and the aliases of the first reading serve the second.
  const first = new Reading(text, words, new Scope(schema))
  first.read()
  const second = new Reading(text, words, first.scope)
  second.read()
  const { expressions, items, orders, selects, assignments, scope } = second
  return {
    text,
    words,
    expressions: expressions.toSorted((a, b) => a.start - b.start || b.end - a.end),
    items,
    orders,
    selects,
    assignments,
    tables: [...scope.tables]
  }
}

// Words -----------------------------------------------------------------------------------------------------------

/** Operators of several characters, which the lexer gives one by one; the longest first. */
const LONG_OPERATORS = '!~~* ->> #>> !~~ !~* ~~* || -> <= >= <> != == << >> ~* !~ ~~ #> @> <@ ?| ?& @@ &&'.split(' ')

function wordsOf(text: string, dialect: Dialect): Word[] {
  const found = [...tokens(text, dialect)].filter(({ kind }) => kind !== 'comment')
  const words: Word[] = []
  for (let i = 0; i < found.length; ) {
    const { kind, start, end } = found[i] as Token
    const operator = kind === 'symbol' ? LONG_OPERATORS.find(longer => text.startsWith(longer, start)) : undefined
    if (operator !== undefined) {
      words.push({ text: operator, kind, start, end: start + operator.length })
      while (found[i] !== undefined && (found[i] as Token).start < start + operator.length) i++
    } else {
      const own = text.slice(start, end)
      words.push({ text: kind === 'word' ? own.toUpperCase() : own, kind, start, end })
      i++
    }
  }
  return words
}

/** A name without its quotes. */
function unquoted(name: string): string {
  if (name.startsWith('[')) return name.slice(1, -1)
  const [quote = ''] = name
  return '"`'.includes(quote) ? name.slice(1, -1).replaceAll(quote + quote, quote) : name
}

/** The content of a string of either database. */
function contentOf(text: string): string {
  const start = text.indexOf("'")
  if (text.startsWith('$')) return text.slice(text.indexOf('$', 1) + 1, text.lastIndexOf('$', text.length - 2))
  return text.slice(start + 1, text.endsWith("'") ? -1 : undefined).replaceAll("''", "'")
}

// Names -----------------------------------------------------------------------------------------------------------

/** What names stand for. */
class Scope {
  readonly tables = new Set<string>()
  readonly #aliases = new Map<string, string>()
  readonly #items = new Map<string, ValueType>()
  readonly #schema: Schema

  constructor(schema: Schema) {
    this.#schema = schema
  }

  addTable(name: string, alias: string | undefined): void {
    const known = this.#table(name)?.name ?? name
    this.tables.add(known)
    this.#aliases.set((alias ?? name).toLowerCase(), known)
  }

  addItem(name: string, type: ValueType): void {
    if (type !== undefined) this.#items.set(name.toLowerCase(), type)
  }

  find(name: string, qualifier: string | undefined): { column: Column | undefined; type: ValueType } {
    const column = this.findColumn(name, qualifier)
    if (column !== undefined) return { column, type: column.type }
    return { column: undefined, type: this.#items.get(name.toLowerCase()) }
  }

  findColumn(name: string, qualifier?: string): Column | undefined {
    const key = qualifier?.toLowerCase()
    const tables = key === undefined ? [...this.tables] : [this.#aliases.get(key) ?? (key === 'excluded' ? [...this.tables][0] : undefined)]
    for (const table of tables) {
      const column = table && this.#table(table)?.columns.find(own => own.name.toLowerCase() === name.toLowerCase())
      if (column) return column
    }
    return undefined
  }

  columnsOf(table: string): readonly Column[] {
    return this.#table(table)?.columns ?? []
  }

  #table(name: string) {
    return this.#schema.tables.find(table => table.name.toLowerCase() === name.toLowerCase())
  }
}

// Types -----------------------------------------------------------------------------------------------------------

/** The type that a name of either database stands for. */
function typeOfName(name: string): ValueType {
  if (/^(NUMERIC|DECIMAL)/.test(name)) return 'numeric'
  // SQLite would take it for an INT.
  if (name === 'INTERVAL') return undefined
  return wordOfDeclared(name)
}

const RESULTS: Readonly<Record<string, TypeWord>> = {
  count: 'bigint',
  total: 'double',
  length: 'integer',
  char_length: 'integer',
  octet_length: 'integer',
  instr: 'integer',
  strpos: 'integer',
  position: 'integer',
  ascii: 'integer',
  unicode: 'integer',
  json_array_length: 'integer',
  row_number: 'bigint',
  rank: 'bigint',
  dense_rank: 'bigint',
  ntile: 'integer',
  extract: 'numeric',
  date_part: 'double',
  julianday: 'double',
  unixepoch: 'bigint',
  random: 'double',
  sqrt: 'double',
  exp: 'double',
  ln: 'double',
  power: 'double',
  pow: 'double',
  pi: 'double',
  lower: 'text',
  upper: 'text',
  trim: 'text',
  ltrim: 'text',
  rtrim: 'text',
  btrim: 'text',
  substr: 'text',
  substring: 'text',
  replace: 'text',
  concat: 'text',
  concat_ws: 'text',
  string_agg: 'text',
  group_concat: 'text',
  hex: 'text',
  typeof: 'text',
  printf: 'text',
  format: 'text',
  strftime: 'text',
  to_char: 'text',
  left: 'text',
  right: 'text',
  lpad: 'text',
  rpad: 'text',
  date: 'date',
  current_date: 'date',
  now: 'timestamp',
  datetime: 'timestamp',
  current_timestamp: 'timestamp',
  date_trunc: 'timestamp',
  statement_timestamp: 'timestamp'
}

const NUMBERS: readonly ValueType[] = ['integer', 'bigint', 'numeric', 'double']

export function isNumber({ type }: Expression): boolean {
  return NUMBERS.includes(type)
}

export function isInteger({ type }: { readonly type: ValueType }): boolean {
  return type === 'integer' || type === 'bigint'
}

function widest(types: readonly ValueType[]): ValueType {
  const numbers = types.filter(type => NUMBERS.includes(type))
  return numbers.length === 0 ? undefined : NUMBERS[Math.max(...numbers.map(type => NUMBERS.indexOf(type)))]
}

function typeOfCall(name: string, operands: readonly Expression[]): ValueType {
  const [first] = operands
  switch (name) {
    case 'sum':
      return first?.type === 'integer' ? 'bigint' : first?.type === 'bigint' ? 'numeric' : first?.type
    case 'avg':
      return first?.type === 'double' ? 'double' : 'numeric'
    case 'round':
    case 'floor':
    case 'ceil':
    case 'ceiling':
    case 'trunc':
      return first?.type === 'numeric' ? 'numeric' : 'double'
    case 'min':
    case 'max':
    case 'abs':
    case 'lag':
    case 'lead':
    case 'first_value':
    case 'last_value':
    case 'nth_value':
    case 'nullif':
      return first?.type
    case 'coalesce':
    case 'ifnull':
    case 'greatest':
    case 'least':
      return typeOfMany(operands)
    case 'iif':
      return typeOfMany(operands.slice(1))
    default:
      return Object.hasOwn(RESULTS, name) ? RESULTS[name] : undefined
  }
}

/** The type of what is one of several values. */
function typeOfMany(values: readonly Expression[]): ValueType {
  const types = values.map(({ type }) => type)
  return widest(types) ?? types.find(type => type !== undefined && type !== 'null')
}

function typeOfOperator(name: string, [left, right]: readonly Expression[]): ValueType {
  switch (name) {
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
      if (right === undefined) return left?.type
      if (left?.type === 'date' || left?.type === 'timestamp') return name === '-' && right.type === left.type ? 'integer' : left.type
      return widest([left?.type, right.type])
    case '&':
    case '|':
    case '<<':
    case '>>':
    case '~':
      return left?.type
    case '||':
    case '->>':
    case '#>>':
      return 'text'
    case '->':
    case '#>':
      return 'json'
    case 'COLLATE':
      return left?.type
    case 'AT TIME ZONE':
      return 'timestamp'
    default:
      return 'boolean'
  }
}

// Reading ---------------------------------------------------------------------------------------------------------

/** How strongly binary operators bind on Postgres. */
const STRENGTHS: Readonly<Record<string, number>> = {
  OR: 1,
  AND: 2,
  IS: 4,
  ISNULL: 4,
  NOTNULL: 4,
  '=': 5,
  '==': 5,
  '<>': 5,
  '!=': 5,
  '<': 5,
  '>': 5,
  '<=': 5,
  '>=': 5,
  IN: 6,
  LIKE: 6,
  ILIKE: 6,
  GLOB: 6,
  REGEXP: 6,
  MATCH: 6,
  SIMILAR: 6,
  BETWEEN: 6,
  NOT: 6,
  '+': 8,
  '-': 8,
  '*': 9,
  '/': 9,
  '%': 9,
  '^': 10,
  AT: 11,
  COLLATE: 12,
  '::': 14
}
const OTHER = new Set([...LONG_OPERATORS.filter(operator => STRENGTHS[operator] === undefined), '&', '|', '~', '#', '@', '?'])

/** Words that end an expression. */
const ENDS = new Set(
  'FROM WHERE GROUP HAVING ORDER LIMIT OFFSET UNION INTERSECT EXCEPT RETURNING AS ON THEN ELSE END WHEN ASC DESC NULLS JOIN LEFT RIGHT FULL INNER CROSS NATURAL SET VALUES WINDOW FOR FETCH DO USING ESCAPE PARTITION ROWS RANGE GROUPS FILTER OVER'.split(
    ' '
  )
)
const BARE_CALLS = new Set(['CURRENT_TIMESTAMP', 'CURRENT_DATE', 'CURRENT_TIME', 'LOCALTIMESTAMP', 'LOCALTIME', 'CURRENT_USER'])
/** Words that stand before a string and give it a type. */
const TYPED_STRINGS = new Set(['DATE', 'TIMESTAMP', 'TIMESTAMPTZ', 'TIME', 'INTERVAL'])

class Reading {
  readonly scope: Scope
  readonly expressions: Expression[] = []
  readonly items: Item[] = []
  readonly orders: OrderKey[] = []
  readonly selects: Select[] = []
  readonly assignments: Assignment[] = []
  readonly #text: string
  readonly #words: readonly Word[]
  #at = 0
  #clause: Clause = 'select'
  #level = 0
  #item: string | undefined

  constructor(text: string, words: readonly Word[], scope: Scope) {
    this.#text = text
    this.#words = words
    this.scope = scope
  }

  read(): void {
    while (this.#at < this.#words.length) {
      this.#statement()
      // A parenthesis that nothing opened.
      this.#at++
    }
  }

  // Clauses -------------------------------------------------------------------------------------------------------

  /** Reads up to the parenthesis that closes it, and returns the columns of its first SELECT. */
  #statement(): readonly Item[] {
    const clause = this.#clause
    let target: readonly Column[] | undefined
    let select: { -readonly [K in keyof Select]: Select[K] } | undefined
    let first: readonly Item[] | undefined
    const finish = () => {
      if (select !== undefined) this.selects.push(select)
      select = undefined
    }
    while (this.#at < this.#words.length && !this.#is(')')) {
      const word = this.#words[this.#at] as Word
      this.#at++
      switch (word.kind === 'name' ? '' : word.text) {
        case 'WITH':
          this.#with()
          break
        case 'SELECT':
        case 'RETURNING': {
          const isSelect = word.text === 'SELECT'
          if (isSelect && this.#accept('DISTINCT') && this.#accept('ON')) this.#expression()
          this.#accept('ALL')
          const items = this.#itemsOf(isSelect ? 'select' : 'returning')
          first ??= items
          if (isSelect) {
            finish()
            select = { level: this.#level, hasOrder: false, limit: undefined }
            for (const [i, { expression }] of items.entries()) this.#assign(target?.[i], expression)
          }
          break
        }
        case 'INTO':
        case 'UPDATE':
          if (this.#is('SET')) break
          target = this.#target()
          break
        case 'FROM':
        case 'JOIN':
          this.#table()
          while (this.#accept(',')) this.#table()
          break
        case 'USING':
          if (!this.#is('(')) this.#table()
          break
        case 'ON':
          if (this.#accept('CONFLICT')) break
          this.#in('on', () => this.#expression())
          break
        case 'WHERE':
          this.#in('where', () => this.#expression())
          break
        case 'HAVING':
          this.#in('having', () => this.#expression())
          break
        case 'GROUP':
          this.#accept('BY')
          this.#in('group', () => this.#list())
          break
        case 'ORDER':
          if (select !== undefined) select.hasOrder = true
          this.#orderBy('order')
          break
        case 'LIMIT':
        case 'OFFSET':
          if (select !== undefined && word.text === 'LIMIT') select.limit = word.start
          this.#in('limit', () => this.#list())
          break
        case 'UNION':
        case 'INTERSECT':
        case 'EXCEPT':
          this.#accept('ALL')
          break
        case 'VALUES':
          for (const row of this.#in('values', () => this.#list())) {
            const values = row.kind === 'list' ? row.operands : [row]
            for (const [i, value] of values.entries()) this.#assign(target?.[i], value)
          }
          break
        case 'SET':
          this.#in('set', () => this.#assignments())
          break
        case '(':
          this.#statement()
          this.#accept(')')
      }
    }
    finish()
    this.#clause = clause
    return first ?? []
  }

  #with(): void {
    this.#accept('RECURSIVE')
    do {
      const name = this.#name()
      if (this.#is('(')) this.#skipParentheses()
      if (name === undefined || !this.#accept('AS')) return
      this.#accept('NOT')
      this.#accept('MATERIALIZED')
      if (this.#is('(')) this.#subquery()
    } while (this.#accept(','))
  }

  #itemsOf(clause: Clause): Item[] {
    const own: Item[] = []
    do {
      const word = this.#words[this.#at]
      if (word === undefined) break
      const alias = this.#item === undefined ? this.#aliasAhead() : undefined
      const isOutermost = this.#item === undefined
      if (isOutermost) this.#item = alias
      const expression = this.#in(clause, () => this.#expression())
      if (isOutermost) this.#item = undefined
      const item = this.#itemOf(expression)
      own.push(item)
      this.items.push(item)
      this.scope.addItem(item.name, expression.type)
    } while (this.#accept(','))
    return own
  }

  #itemOf(expression: Expression): Item {
    const hasAs = this.#accept('AS')
    const word = this.#words[this.#at]
    const isAlias = word !== undefined && (word.kind === 'name' || (word.kind === 'word' && (hasAs || !ENDS.has(word.text))))
    if (!isAlias) {
      const { kind, name, start, end } = expression
      return { name: kind === 'column' ? name : this.#text.slice(start, end), alias: undefined, expression, level: this.#level }
    }
    this.#at++
    const name = unquoted(this.#text.slice(word.start, word.end))
    return { name, alias: { start: word.start, isQuoted: word.kind === 'name' }, expression, level: this.#level }
  }

  /** The name that the column which begins here will have: what stands before the next comma or clause. */
  #aliasAhead(): string {
    let depth = 0
    let i = this.#at
    for (; i < this.#words.length; i++) {
      const { text, kind } = this.#words[i] as Word
      if (kind === 'symbol' && text === '(') depth++
      else if (kind === 'symbol' && text === ')' && --depth < 0) break
      else if (depth === 0 && (text === ',' || text === ';' || (kind === 'word' && text === 'FROM'))) break
    }
    const { start, end, kind } = this.#words[i - 1] as Word
    if (kind === 'word' || kind === 'name') return unquoted(this.#text.slice(start, end))
    return this.#text.slice((this.#words[this.#at] as Word).start, end)
  }

  /** The table that is written into, and its columns in the order of the values. */
  #target(): readonly Column[] {
    const table = this.#name()
    if (table === undefined) return []
    const alias = this.#accept('AS') || this.#isAlias() ? this.#name() : undefined
    this.scope.addTable(table, alias)
    if (!this.#is('(')) return this.scope.columnsOf(table)
    const names: string[] = []
    this.#at++
    while (this.#at < this.#words.length && !this.#accept(')')) {
      const name = this.#name()
      if (name === undefined) this.#at++
      else names.push(name)
    }
    return names.flatMap(name => this.scope.findColumn(name) ?? [])
  }

  #table(): void {
    this.#accept('LATERAL')
    this.#accept('ONLY')
    if (this.#is('(')) {
      this.#subquery()
    } else {
      const word = this.#words[this.#at]
      const next = this.#words[this.#at + 1]
      if (word?.kind === 'word' && next?.text === '(') {
        this.#in('from', () => this.#expression())
      } else {
        const name = this.#name()
        if (name === undefined) return
        const alias = this.#accept('AS') || this.#isAlias() ? this.#name() : undefined
        this.scope.addTable(name, alias)
        return
      }
    }
    if (this.#accept('AS') || this.#isAlias()) this.#name()
    if (this.#is('(')) this.#skipParentheses()
  }

  #isAlias(): boolean {
    const word = this.#words[this.#at]
    return word !== undefined && (word.kind === 'name' || (word.kind === 'word' && !ENDS.has(word.text)))
  }

  #assignments(): void {
    do {
      const name = this.#is('(') ? undefined : this.#name()
      if (name === undefined) this.#skipParentheses()
      if (!this.#accept('=')) return
      const value = this.#expression()
      this.#assign(name === undefined ? undefined : this.scope.findColumn(name), value)
    } while (this.#accept(','))
  }

  #assign(column: Column | undefined, value: Expression): void {
    if (column !== undefined) this.assignments.push({ column, value })
  }

  #orderBy(clause: 'order' | 'inner order'): void {
    this.#accept('BY')
    do {
      const expression = this.#in(clause, () => this.#expression())
      if (!this.#accept('DESC')) this.#accept('ASC')
      const hasNulls = this.#accept('NULLS')
      if (hasNulls) this.#at++
      // ORDER BY 2 is the second column.
      const key = this.items.filter(({ level }) => level === this.#level)[Number(expression.name) - 1]?.expression
      this.orders.push({
        expression:
          expression.kind === 'number' && key !== undefined ? { ...key, start: expression.start, end: expression.end } : expression,
        hasNulls,
        level: this.#level
      })
    } while (this.#accept(','))
  }

  // Expressions ---------------------------------------------------------------------------------------------------

  #list(): Expression[] {
    const expressions: Expression[] = []
    do expressions.push(this.#expression())
    while (this.#accept(','))
    return expressions
  }

  #expression(least = 0): Expression {
    let left = this.#operand()
    for (;;) {
      const next = this.#infix(left, least)
      if (next === undefined) return left
      left = next
    }
  }

  #infix(left: Expression, least: number): Expression | undefined {
    const word = this.#words[this.#at]
    if (word === undefined || word.kind === 'string' || word.kind === 'name') return undefined
    const { text } = word
    if (text === '[' && this.#words[this.#at] !== undefined) {
      while (this.#at < this.#words.length && !this.#accept(']')) this.#at++
      return this.#make({ kind: 'unknown', name: '[]', operands: [left], type: undefined, start: left.start })
    }
    const strength = OTHER.has(text) ? 7 : Object.hasOwn(STRENGTHS, text) ? (STRENGTHS[text] as number) : undefined
    if (strength === undefined || strength <= least) return undefined
    this.#at++
    const operator = (name: string, ...others: Expression[]) => this.#operator(name, [left, ...others], left.start)
    switch (text) {
      case '::': {
        const name = this.#typeName(false)
        return this.#make({ kind: 'cast', name, operands: [left], type: typeOfName(name), start: left.start })
      }
      case 'COLLATE':
        this.#at++
        return operator('COLLATE')
      case 'AT':
        this.#accept('TIME')
        this.#accept('ZONE')
        return operator('AT TIME ZONE', this.#expression(strength))
      case 'ISNULL':
      case 'NOTNULL':
        return operator(text)
      case 'IS': {
        const name = this.#accept('NOT') ? 'IS NOT' : 'IS'
        if (this.#accept('DISTINCT')) {
          this.#accept('FROM')
          return operator(`${name} DISTINCT FROM`, this.#expression(strength))
        }
        return operator(name, this.#expression(strength))
      }
      case 'NOT': {
        const inner = this.#words[this.#at]?.text ?? ''
        if (!['IN', 'LIKE', 'ILIKE', 'GLOB', 'REGEXP', 'MATCH', 'SIMILAR', 'BETWEEN', 'NULL'].includes(inner)) return operator('NOT')
        this.#at++
        return this.#wordOperator(`NOT ${inner}`, left)
      }
      case 'IN':
      case 'LIKE':
      case 'ILIKE':
      case 'GLOB':
      case 'REGEXP':
      case 'MATCH':
      case 'SIMILAR':
      case 'BETWEEN':
        return this.#wordOperator(text, left)
      default:
        return operator(text, this.#expression(strength))
    }
  }

  #wordOperator(name: string, left: Expression): Expression {
    if (name.endsWith('NULL')) return this.#operator(name, [left], left.start)
    if (name.endsWith('SIMILAR')) this.#accept('TO')
    if (name.endsWith('BETWEEN')) this.#accept('SYMMETRIC')
    const operands = [left, this.#expression(6)]
    if (name.endsWith('BETWEEN') && this.#accept('AND')) operands.push(this.#expression(6))
    if (this.#accept('ESCAPE')) operands.push(this.#expression(6))
    return this.#operator(name, operands, left.start)
  }

  #operator(name: string, operands: readonly Expression[], start: number): Expression {
    return this.#make({ kind: 'operator', name, operands, type: typeOfOperator(name, operands), start })
  }

  #operand(): Expression {
    const word = this.#words[this.#at]
    if (word === undefined || (word.kind === 'symbol' && /^[),;\]]/.test(word.text))) {
      const start = word?.start ?? this.#text.length
      return this.#make({ kind: 'unknown', name: '', operands: [], type: undefined, start })
    }
    this.#at++
    const { start, text } = word
    const leaf = (kind: ExpressionKind, name: string, type: ValueType): Expression => this.#make({ kind, name, operands: [], type, start })
    switch (word.kind) {
      case 'string':
        return leaf('string', contentOf(text), 'text')
      case 'number':
        return leaf('number', text, typeOfNumber(text))
      case 'named':
      case 'positional':
        return leaf('parameter', text, undefined)
      case 'name':
        return this.#column(word, true)
      case 'symbol':
        if (text === '(') return this.#parenthesis(word)
        if (text === '*') return leaf('word', '*', undefined)
        if ('-+~'.includes(text)) return this.#operator(text, [this.#expression(13)], start)
        return leaf('unknown', text, undefined)
    }
    const next = this.#words[this.#at]
    if (next?.kind === 'string' && (next.start === word.end || TYPED_STRINGS.has(text))) {
      this.#at++
      const type = text === 'X' ? 'bytea' : typeOfName(text)
      return this.#make({ kind: 'cast', name: `${text} ''`, operands: [], type, start })
    }
    switch (text) {
      case 'NULL':
        return leaf('word', text, 'null')
      case 'TRUE':
      case 'FALSE':
        return leaf('word', text, 'boolean')
      case 'NOT':
        return this.#operator('NOT', [this.#expression(3)], start)
      case 'EXISTS':
        return this.#operator('EXISTS', [this.#expression(13)], start)
      case 'CASE':
        return this.#case(start)
      case 'CAST':
        if (this.#is('(')) return this.#cast(start)
    }
    if (BARE_CALLS.has(text) && next?.text !== '(') return this.#make(this.#call(text.toLowerCase(), [], start))
    if (next?.text === '(' && next.kind === 'symbol') return this.#readCall(text.toLowerCase(), start)
    if (ENDS.has(text)) {
      this.#at--
      return this.#make({ kind: 'unknown', name: '', operands: [], type: undefined, start })
    }
    return this.#column(word, false)
  }

  #column(word: Word, isQuoted: boolean): Expression {
    let last = word
    let qualifier: string | undefined
    while (this.#is('.')) {
      this.#at++
      qualifier = unquoted(this.#text.slice(last.start, last.end))
      last = this.#words[this.#at] ?? last
      this.#at++
    }
    const name = unquoted(this.#text.slice(last.start, last.end))
    const { column, type } = this.scope.find(name, qualifier)
    const isLast = last.kind === 'name'
    return this.#make({
      kind: 'column',
      name,
      operands: [],
      type,
      start: word.start,
      column,
      isQuoted: isQuoted && isLast
    })
  }

  #parenthesis({ start }: Word): Expression {
    if (['SELECT', 'WITH', 'VALUES'].includes(this.#words[this.#at]?.text ?? '')) {
      this.#at--
      const items = this.#subquery()
      return this.#make({ kind: 'subquery', name: '', operands: [], type: items[0]?.expression.type, start })
    }
    const operands = this.#is(')') ? [] : this.#list()
    this.#accept(')')
    const [only] = operands
    if (operands.length === 1 && only !== undefined) {
      const inner = { ...only, start, end: this.#end(), isParenthesized: true }
      this.expressions.splice(this.expressions.indexOf(only), 1, inner)
      return inner
    }
    return this.#make({ kind: 'list', name: '', operands, type: operands[0]?.type, start })
  }

  /** Reads `(SELECT …)`. */
  #subquery(): readonly Item[] {
    this.#accept('(')
    this.#level++
    const items = this.#statement()
    this.#level--
    this.#accept(')')
    return items
  }

  #case(start: number): Expression {
    const operands: Expression[] = []
    const values: Expression[] = []
    while (this.#at < this.#words.length && !this.#accept('END')) {
      const isValue = this.#is('THEN') || this.#is('ELSE')
      if (isValue || this.#is('WHEN')) this.#at++
      const before = this.#at
      const operand = this.#expression()
      operands.push(operand)
      if (isValue) values.push(operand)
      if (this.#at === before) this.#at++
    }
    return this.#make({ kind: 'case', name: '', operands, type: typeOfMany(values), start })
  }

  #cast(start: number): Expression {
    this.#accept('(')
    const operand = this.#expression()
    this.#accept('AS')
    const name = this.#typeName(true)
    this.#accept(')')
    return this.#make({ kind: 'cast', name, operands: [operand], type: typeOfName(name), start })
  }

  /** The name of a type in capitals; in CAST up to its parenthesis. */
  #typeName(isInCast: boolean): string {
    const words: string[] = []
    while (this.#at < this.#words.length && !this.#is(')')) {
      const word = this.#words[this.#at] as Word
      const isMore = ['PRECISION', 'VARYING', 'WITH', 'WITHOUT', 'TIME', 'ZONE'].includes(word.text)
      if (!isInCast && words.length > 0 && !isMore) break
      this.#at++
      if (word.text === '(') {
        while (this.#at < this.#words.length && !this.#accept(')')) this.#at++
      } else {
        words.push(word.text)
      }
    }
    if (!isInCast && this.#is('(')) this.#skipParentheses()
    return words.join(' ')
  }

  #readCall(name: string, start: number): Expression {
    this.#accept('(')
    this.#accept('DISTINCT')
    const operands: Expression[] = []
    let isOrdered = false
    while (this.#at < this.#words.length && !this.#accept(')')) {
      const before = this.#at
      if (this.#accept('ORDER')) {
        isOrdered = true
        this.#orderBy('inner order')
        // substring(a FROM 1 FOR 2), extract(YEAR FROM at), position('a' IN name), trim(BOTH 'x' FROM name)
      } else if (!this.#accept(',') && !this.#accept('FROM') && !this.#accept('FOR') && !this.#accept('AS')) {
        if (['SELECT', 'WITH', 'VALUES'].includes(this.#words[this.#at]?.text ?? '')) {
          this.#level++
          this.#statement()
          this.#level--
        } else {
          operands.push(this.#expression())
        }
      }
      if (this.#at === before) this.#at++
    }
    if (this.#accept('FILTER')) {
      this.#accept('(')
      this.#accept('WHERE')
      this.#expression()
      this.#accept(')')
    }
    const isWindow = this.#accept('OVER')
    if (isWindow) this.#over()
    return this.#make({ ...this.#call(name, operands, start), isOrdered, isWindow })
  }

  #over(): void {
    if (!this.#accept('(')) {
      this.#at++
      return
    }
    while (this.#at < this.#words.length && !this.#accept(')')) {
      if (this.#accept('PARTITION')) {
        this.#accept('BY')
        this.#list()
      } else if (this.#accept('ORDER')) {
        this.#orderBy('inner order')
      } else {
        this.#at++
      }
    }
  }

  #call(name: string, operands: readonly Expression[], start: number) {
    return { kind: 'call', name, operands, type: typeOfCall(name, operands), start } as const
  }

  #make(part: Omit<Expression, 'end' | 'clause' | 'level' | 'item'>): Expression {
    const { start } = part
    const expression = { ...part, end: Math.max(this.#end(), start), clause: this.#clause, level: this.#level, item: this.#item }
    this.expressions.push(expression)
    return expression
  }

  // Words ---------------------------------------------------------------------------------------------------------

  #in<T>(clause: Clause, read: () => T): T {
    const outer = this.#clause
    this.#clause = clause
    const result = read()
    this.#clause = outer
    return result
  }

  /** Where what was read last ends. */
  #end(): number {
    return this.#words[this.#at - 1]?.end ?? 0
  }

  #is(text: string): boolean {
    const word = this.#words[this.#at]
    return word !== undefined && word.text === text && word.kind !== 'string' && word.kind !== 'name'
  }

  #accept(text: string): boolean {
    if (!this.#is(text)) return false
    this.#at++
    return true
  }

  /** Reads a name, also with its schema, of which it returns the last part. */
  #name(): string | undefined {
    let name: string | undefined
    do {
      const word = this.#words[this.#at]
      if (word === undefined || (word.kind !== 'word' && word.kind !== 'name')) return name
      name = unquoted(this.#text.slice(word.start, word.end))
      this.#at++
    } while (this.#accept('.'))
    return name
  }

  #skipParentheses(): void {
    let depth = 0
    while (this.#at < this.#words.length) {
      if (this.#is('(')) depth++
      else if (this.#is(')') && --depth <= 0) {
        this.#at++
        return
      }
      this.#at++
      if (depth === 0) return
    }
  }
}

function typeOfNumber(text: string): ValueType {
  if (/^0x/i.test(text)) return 'integer'
  if (/[.e]/i.test(text) || Number(text) > 2 ** 63) return 'numeric'
  return Math.abs(Number(text)) > 2_147_483_647 ? 'bigint' : 'integer'
}
