/**
 * Writes the tokens of a file as the SQL of one database: without comments and other lines' breaks, so that formatting a
 * file changes nothing; with the pieces of the tag (`sql.now()`), declared parameters cast, and lists.
 */
import type { Dialect } from '../adapter.ts'
import type { Token } from '../lexer.ts'
import { type Sql, sql } from '../sql.ts'
import { SourceError, type SourceFile } from './source.ts'
import { type ParameterType, POSTGRES_TYPES } from './types.ts'

/** A part of a query's SQL, and where it comes from. */
export interface Segment {
  /** The parameter without which the part is left out. */
  readonly parameter: string | undefined
  readonly text: string
  /** For each token that begins in the part: its place in `text` and in the file. */
  readonly origins: readonly (readonly [inText: number, inFile: number])[]
}

/** How a parameter is used. */
export interface Use {
  readonly name: string
  /** Where it stands first. */
  readonly offset: number
  /** The parameter without which the line that has it is left out. */
  readonly parameter: string | undefined
  /** True for a whole LIMIT or OFFSET. */
  readonly isCount: boolean
}

export interface Rendered {
  readonly segments: readonly Segment[]
  readonly uses: readonly Use[]
}

/** What of a file is rendered. */
export interface Source {
  readonly file: SourceFile
  readonly dialect: Dialect
  /** Without comments, and without what belongs to the other database. */
  readonly tokens: readonly Token[]
  /** The parameter without which a token is left out. */
  parameterOf(token: Token): string | undefined
  /** The declared types of parameters. */
  readonly declared: ReadonlyMap<string, ParameterType>
  /** True for a script of several statements. */
  readonly isScript: boolean
}

/** A token on its way out, or a text that stands for several. */
interface Item {
  readonly text: string
  readonly kind: Token['kind']
  readonly start: number
  readonly end: number
  readonly parameter: string | undefined
}

export function render(source: Source): Rendered {
  const renderer = new Renderer(source)
  const items = renderer.items(source.tokens)
  return { segments: segmentsOf(source, items), uses: renderer.uses }
}

class Renderer {
  readonly uses: Use[] = []
  readonly #source: Source

  constructor(source: Source) {
    this.#source = source
  }

  items(tokens: readonly Token[]): Item[] {
    const items: Item[] = []
    for (let i = 0; i < tokens.length; ) i = this.#read(tokens, i, items)
    return items
  }

  /** Writes what begins at a token, and returns the index of the next one. */
  #read(tokens: readonly Token[], i: number, items: Item[]): number {
    const token = tokens[i] as Token
    const { file, dialect } = this.#source
    if (token.kind === 'positional') {
      throw new SourceError(file, token.start, `A parameter of a SQL file has a name: write :name instead of ${this.#textOf(token)}.`)
    }
    if (token.kind === 'named') return this.#readParameter(tokens, i, items)
    if (token.kind !== 'word') {
      items.push(this.#item(token))
      return i + 1
    }
    const word = this.#word(tokens, i)
    if (word === 'SQL' && this.#isSymbol(tokens, i + 1, '.') && tokens[i + 1]?.start === token.end) return this.#readPiece(tokens, i, items)
    if (word === 'COLLATE' && dialect === 'sqlite' && tokens[i + 1] !== undefined && this.#textOf(tokens[i + 1] as Token) === '"C"') {
      return i + 2
    }
    const end = this.#readList(tokens, i, word, items)
    if (end !== undefined) return end
    items.push(this.#item(token))
    return i + 1
  }

  // Parameters ----------------------------------------------------------------------------------------------------

  #readParameter(tokens: readonly Token[], i: number, items: Item[]): number {
    const token = tokens[i] as Token
    const { dialect, declared, file } = this.#source
    const name = this.#textOf(token).slice(1)
    const type = declared.get(name)
    if (type?.isList)
      throw new SourceError(file, token.start, `:${name} is a list, which stands in IN (:${name}) or NOT IN (:${name}) alone.`)
    const isCount = this.#isCount(tokens, i)
    this.#use(token, name, isCount)
    const postgresType = isCount ? 'BIGINT' : type && POSTGRES_TYPES[type.word]
    const isCast = dialect === 'postgres' && postgresType !== undefined
    items.push({ ...this.#item(token), text: isCast ? `CAST(:${name} AS ${postgresType})` : `:${name}` })
    return i + 1
  }

  #use(token: Token, name: string, isCount: boolean): void {
    this.uses.push({ name, offset: token.start, parameter: this.#source.parameterOf(token), isCount })
  }

  /** True for a parameter that is a whole LIMIT or OFFSET. */
  #isCount(tokens: readonly Token[], i: number): boolean {
    const before = this.#word(tokens, i - 1)
    if (before !== 'LIMIT' && before !== 'OFFSET') return false
    const next = tokens[i + 1]
    return next === undefined || ['LIMIT', 'OFFSET', 'FOR', ')', ';', ',', 'UNION'].includes(this.#word(tokens, i + 1))
  }

  /** `IN (:ids)` of a list. Returns undefined when it is none. */
  #readList(tokens: readonly Token[], i: number, word: string, items: Item[]): number | undefined {
    const isNegated = word === 'NOT' && this.#word(tokens, i + 1) === 'IN'
    if (word !== 'IN' && !isNegated) return undefined
    const at = i + (isNegated ? 2 : 1)
    const parameter = tokens[at + 1]
    if (!this.#isSymbol(tokens, at, '(') || parameter?.kind !== 'named' || !this.#isSymbol(tokens, at + 2, ')')) return undefined
    const name = this.#textOf(parameter).slice(1)
    const type = this.#source.declared.get(name)
    if (!type?.isList) return undefined
    this.#use(parameter, name, false)
    const elements = `ARRAY(SELECT CAST(element AS ${POSTGRES_TYPES[type.word]}) FROM json_array_elements_text(CAST(:${name} AS JSON)) AS element)`
    const text =
      this.#source.dialect === 'sqlite'
        ? `${isNegated ? 'NOT IN' : 'IN'} (SELECT value FROM json_each(:${name}))`
        : // One look-up in an index for each element, which IN (SELECT …) is not always.
          `${isNegated ? '<> ALL' : '= ANY'} (${elements})`
    items.push({ ...this.#item(tokens[i] as Token), text, end: (tokens[at + 2] as Token).end })
    return at + 3
  }

  // Pieces of the tag ---------------------------------------------------------------------------------------------

  #readPiece(tokens: readonly Token[], i: number, items: Item[]): number {
    const { file, dialect } = this.#source
    const start = tokens[i] as Token
    const name = tokens[i + 2]
    const piece = name === undefined ? '' : this.#textOf(name)
    const refuse = (problem: string): never => {
      throw new SourceError(file, start.start, problem)
    }
    if (piece === 'autoId') {
      items.push({ ...this.#item(start), text: sql.autoId.flatten(dialect).text, end: (name as Token).end })
      return i + 3
    }
    if (!['now', 'shift', 'day', 'hour'].includes(piece)) {
      refuse(
        `There is no sql.${piece} in files; there are sql.now(), sql.shift(time, 7, 'days'), sql.day(time), sql.hour(time), sql.autoId.`
      )
    }
    if (!this.#isSymbol(tokens, i + 3, '(')) refuse(`Expected parentheses: sql.${piece}(…).`)
    const { parts, end } = this.#partsOf(tokens, i + 3)
    if (end === undefined) refuse(`The parenthesis of sql.${piece}( has no end.`)
    const text = this.#pieceOf(piece, parts, refuse).flatten(dialect).text
    items.push({ ...this.#item(start), text, end: (tokens[(end as number) - 1] as Token).end })
    return end as number
  }

  #pieceOf(piece: string, parts: readonly (readonly Token[])[], refuse: (problem: string) => never): Sql {
    const [time, amount, unit] = parts
    if (piece === 'now') return parts.length === 0 ? sql.now : refuse('sql.now() takes nothing.')
    if (time === undefined) return refuse(`sql.${piece}() takes a time, such as a column.`)
    const timeSql = sql.unsafe(this.#inline(time))
    if (piece !== 'shift') {
      if (parts.length !== 1) return refuse(`sql.${piece}() takes one time.`)
      return piece === 'day' ? sql.day(timeSql) : sql.hour(timeSql)
    }
    const unitText = unit?.length === 1 ? this.#textOf(unit[0] as Token).slice(1, -1) : ''
    if (amount === undefined || parts.length !== 3 || !['days', 'hours', 'minutes', 'seconds'].includes(unitText)) {
      return refuse("Expected sql.shift(time, amount, 'days'), or 'hours', 'minutes', 'seconds'.")
    }
    const text = amount.map(token => this.#textOf(token)).join('')
    const isLiteral = /^-?\d+(\.\d+)?$/.test(text)
    return sql.shift(timeSql, { [unitText]: isLiteral ? Number(text) : sql.unsafe(`CAST(${this.#inline(amount)} AS DOUBLE PRECISION)`) })
  }

  /** What stands between the parentheses, separated by commas, and the index behind them. */
  #partsOf(tokens: readonly Token[], open: number): { parts: Token[][]; end: number | undefined } {
    const parts: Token[][] = [[]]
    let depth = 0
    for (let i = open; i < tokens.length; i++) {
      const token = tokens[i] as Token
      const symbol = token.kind === 'symbol' ? this.#textOf(token) : ''
      if (symbol === '(' && depth++ === 0) continue
      if (symbol === ')' && --depth === 0) return { parts: parts.length === 1 && parts[0]?.length === 0 ? [] : parts, end: i + 1 }
      if (symbol === ',' && depth === 1) parts.push([])
      else parts.at(-1)?.push(token)
    }
    return { parts, end: undefined }
  }

  /** The SQL of an argument. */
  #inline(tokens: readonly Token[]): string {
    return segmentsOf({ ...this.#source, isScript: false }, this.items(tokens))
      .map(segment => segment.text)
      .join('')
      .replaceAll('\n', ' ')
  }

  // Tokens --------------------------------------------------------------------------------------------------------

  #item(token: Token): Item {
    return { ...token, text: this.#textOf(token), parameter: this.#source.parameterOf(token) }
  }

  #textOf({ start, end }: Token): string {
    return this.#source.file.text.slice(start, end)
  }

  #word(tokens: readonly Token[], i: number): string {
    const token = tokens[i]
    return token === undefined ? '' : this.#textOf(token).toUpperCase()
  }

  #isSymbol(tokens: readonly Token[], i: number, symbol: string): boolean {
    const token = tokens[i]
    return token?.kind === 'symbol' && this.#textOf(token) === symbol
  }
}

// Layout ----------------------------------------------------------------------------------------------------------

/** Words that begin a line. */
const CLAUSES = new Set('SELECT FROM WHERE GROUP HAVING WINDOW ORDER LIMIT UNION EXCEPT INTERSECT VALUES RETURNING SET'.split(' '))

/** Words that have a space before a parenthesis; other words are functions. */
const SPACED = new Set(
  'ALL AND ANY AS BETWEEN BY CASE CHECK CONFLICT DISTINCT ELSE EXCEPT EXISTS FILTER FROM IN INTERSECT IS JOIN KEY LIKE NOT ON OR OVER REFERENCES SELECT SOME THEN UNION UNIQUE USING VALUES WHEN WHERE'.split(
    ' '
  )
)

function segmentsOf(source: Source, items: readonly Item[]): Segment[] {
  const segments: { parameter: string | undefined; text: string; origins: [number, number][] }[] = []
  const layout = new Layout(source)
  for (const [i, item] of items.entries()) {
    let segment = segments.at(-1)
    if (segment === undefined || segment.parameter !== item.parameter) {
      segment = { parameter: item.parameter, text: '', origins: [] }
      segments.push(segment)
    }
    segment.text += layout.between(items[i - 1], item)
    segment.origins.push([segment.text.length, item.start])
    segment.text += item.text
  }
  return segments
}

/** What stands between two tokens. Depends on the tokens alone, not on the space between them in the file. */
class Layout {
  readonly #source: Source
  #depth = 0
  /** The first words of the statement. */
  #head: string[] = []
  #isTable = false

  constructor(source: Source) {
    this.#source = source
  }

  between(before: Item | undefined, item: Item): string {
    const space = before === undefined ? '' : this.#space(before, item)
    this.#follow(item)
    return space
  }

  #space(before: Item, item: Item): string {
    const { text } = item
    const isTableLevel = this.#isTable && this.#depth === 1
    if (this.#source.isScript && before.kind === 'symbol' && before.text === ';' && this.#depth === 0) return '\n'
    if (isTableLevel && text === ')') return '\n'
    if (isTableLevel && (before.text === '(' || before.text === ',')) return '\n  '
    if (before.kind === 'symbol') {
      if (before.text === '(' || before.text === '[' || before.text === '.' || before.text.startsWith('::')) return ''
      // Two characters of one operator.
      if (item.kind === 'symbol' && !'()[],;.'.includes(text) && !')],;'.includes(before.text)) return before.end === item.start ? '' : ' '
      if (before.text === '&' && item.start === before.end && (item.kind === 'string' || item.kind === 'name')) return ''
    }
    if (item.kind === 'symbol') {
      if (')],;.['.includes(text) || text.startsWith('::')) return ''
      if (text === '(' && isCallable(before)) return ''
      if (text === '&' && item.start === before.end && /^u$/i.test(before.text)) return ''
    }
    if (item.kind === 'string' && before.end === item.start && /^[xbneu]$/i.test(before.text)) return ''
    // Postgres joins strings on several lines.
    if (item.kind === 'string' && before.kind === 'string')
      return this.#source.file.text.slice(before.end, item.start).includes('\n') ? '\n' : ' '
    if (this.#depth === 0 && item.kind === 'word' && this.#beginsLine(before, text.toUpperCase())) return '\n'
    return ' '
  }

  #beginsLine(before: Item, word: string): boolean {
    if (this.#source.isScript || !CLAUSES.has(word)) return false
    const last = before.text.toUpperCase()
    return !(word === 'FROM' && ['DELETE', 'DISTINCT'].includes(last)) && !(word === 'SET' && last === 'UPDATE')
  }

  #follow({ text, kind }: Item): void {
    if (kind === 'symbol') {
      if (text === '(') this.#depth++
      else if (text === ')') this.#depth--
      else if (text === ';' && this.#depth === 0) {
        this.#head = []
        return
      }
    }
    if (this.#head.length < 3) this.#head.push(text.toUpperCase())
    this.#isTable = this.#source.isScript && this.#head[0] === 'CREATE' && this.#head.includes('TABLE')
  }
}

function isCallable({ kind, text }: Item): boolean {
  return kind === 'name' || (kind === 'word' && !SPACED.has(text.toUpperCase()))
}
