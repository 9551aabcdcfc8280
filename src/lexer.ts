/**
 * Reads SQL as its engine would: one text, token by token. Whatever needs to know what a text says (placeholders,
 * masked error messages, the statements of a script) asks this file and never matches the text with a pattern.
 */
import type { Dialect } from './adapter.ts'

export type TokenKind =
  /** A keyword or a name without quotes. */
  | 'word'
  /** A name in quotes: `"a"`; in SQLite also `` `a` `` and `[a]`. */
  | 'name'
  /** A string: `'a'`; in Postgres also `E'a'`, `$$a$$` and `$tag$a$tag$`. */
  | 'string'
  | 'number'
  /** A line comment or a block comment. */
  | 'comment'
  /** `$1` */
  | 'positional'
  /** `:name` where the engines have no meaning for the colon. */
  | 'named'
  /** One character of an operator or of punctuation; `::` is one token. */
  | 'symbol'

/** A piece of a text, from `start` up to but not including `end`. Whitespace belongs to none. */
export interface Token {
  readonly kind: TokenKind
  readonly start: number
  readonly end: number
  /** True if it begins an element of `IN (…)`, `ANY (…)` or `SOME (…)`. */
  readonly isInList: boolean
}

const WORD_START = /[A-Za-z_\u0080-\uffff]/
const WORD = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y
const NAMED = /:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*/y
const NUMBER = /\.?\d[\w.]*/y
const POSITIONAL = /\$\d+/y
/** `$$` or `$tag$`; a tag is a name without `$`, so `$1$` is none. */
const DOLLAR_TAG = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y
const SPACE = /\s+/y
const LINE_COMMENT: Record<Dialect, RegExp> = { sqlite: /--[^\n]*/y, postgres: /--[^\n\r]*/y }

/**
 * An open parenthesis or bracket:
 *
 * - `list`: of `IN (…)`, `ANY (…)` or `SOME (…)`
 * - `json object`: of `json_object(…)` on Postgres, where a colon stands between a key and its value
 * - `subscript`: of `a[…]`, where a colon is that of a slice; `ARRAY[…]` is none
 */
type Bracket = 'list' | 'json object' | 'subscript' | 'other'

/**
 * Yields the tokens of a text. A string or a comment without an end runs to the end of the text; the engine says what
 * is wrong with it.
 */
export function* tokens(text: string, dialect: Dialect): Generator<Token, void, undefined> {
  const brackets: Bracket[] = []
  /** The last token that is no comment. */
  let before: Token | undefined
  for (let at = 0; at < text.length; ) {
    const spaceEnd = match(SPACE, text, at)
    if (spaceEnd > at) {
      at = spaceEnd
      continue
    }
    const token = read(text, at, dialect, before, brackets.at(-1))
    if (token.kind === 'symbol') trackBrackets(brackets, text, token, before, dialect)
    // IN (SELECT …) is no list.
    else if (token.isInList && isWord(text, token, /^(?:SELECT|WITH|VALUES)$/i)) brackets[brackets.length - 1] = 'other'
    yield token
    if (token.kind !== 'comment') before = token
    at = token.end
  }
}

function read(text: string, at: number, dialect: Dialect, before: Token | undefined, bracket: Bracket | undefined): Token {
  const character = text[at] as string
  const isInList = bracket === 'list' && before?.kind === 'symbol' && /[(,]/.test(text[before.start] as string)
  const token = (kind: TokenKind, end: number): Token => ({ kind, start: at, end, isInList })
  switch (character) {
    case "'":
      return token('string', endOfQuoted(text, at, "'"))
    case '"':
      return token('name', endOfQuoted(text, at, '"'))
    case '`':
      if (dialect === 'sqlite') return token('name', endOfQuoted(text, at, '`'))
      break
    case '[':
      if (dialect === 'sqlite') return token('name', endAfter(text, ']', at + 1))
      break
    case '-':
      if (text[at + 1] === '-') return token('comment', match(LINE_COMMENT[dialect], text, at))
      break
    case '/':
      // Block comments nest in Postgres and do not in SQLite.
      if (text[at + 1] === '*')
        return token('comment', dialect === 'postgres' ? endOfNestedComment(text, at) : endAfter(text, '*/', at + 2))
      break
    case '$': {
      const tagEnd = dialect === 'postgres' ? match(DOLLAR_TAG, text, at) : at
      if (tagEnd > at) return token('string', endAfter(text, text.slice(at, tagEnd), tagEnd))
      const numberEnd = match(POSITIONAL, text, at)
      if (numberEnd > at) return token('positional', numberEnd)
      break
    }
    case ':': {
      if (text[at + 1] === ':') {
        let end = at + 2
        while (text[end] === ':') end++
        return token('symbol', end)
      }
      const nameEnd = match(NAMED, text, at)
      if (nameEnd > at && !isColonOfEngine(text, at, before, bracket)) return token('named', nameEnd)
      break
    }
  }
  if (WORD_START.test(character)) {
    if ((character === 'E' || character === 'e') && text[at + 1] === "'" && dialect === 'postgres') {
      return token('string', endOfEscapeString(text, at + 2))
    }
    return token('word', match(WORD, text, at))
  }
  const numberEnd = match(NUMBER, text, at)
  return numberEnd > at ? token('number', numberEnd) : token('symbol', at + 1)
}

/** Returns where a sticky pattern's match at `at` ends; `at` itself without one. */
function match(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : at
}

/** Keywords behind which an expression begins. */
const KEYWORDS = new Set(
  'AND AS BETWEEN CASE DISTINCT ELSE FROM ILIKE IN IS KEY LIKE LIMIT NOT NULL OFFSET ON OR SELECT SIMILAR THEN TO VALUE WHEN WHERE'.split(
    ' '
  )
)

/** True if the colon is the engine's: of a slice `a[1:n]`, or between a key and a value of `json_object('a':b)`. */
function isColonOfEngine(text: string, at: number, before: Token | undefined, bracket: Bracket | undefined): boolean {
  if (before === undefined) return false
  switch (before.kind) {
    case 'string':
    case 'name':
    case 'number':
      return true
    case 'positional':
    case 'named':
    case 'word': {
      // A keyword may stand before a parameter (LIMIT :n), but not without a space.
      if (before.end === at) return true
      const isOperand = before.kind !== 'word' || !KEYWORDS.has(text.slice(before.start, before.end).toUpperCase())
      return isOperand && (bracket === 'subscript' || bracket === 'json object')
    }
    default: {
      const symbol = text[before.start]
      return symbol === ')' || symbol === ']' || (symbol === '[' && bracket === 'subscript')
    }
  }
}

function trackBrackets(brackets: Bracket[], text: string, token: Token, before: Token | undefined, dialect: Dialect): void {
  switch (text[token.start]) {
    case '(':
      if (isWord(text, before, /^(?:IN|ANY|SOME)$/i)) brackets.push('list')
      else brackets.push(dialect === 'postgres' && isWord(text, before, /^json_object(?:agg)?$/i) ? 'json object' : 'other')
      break
    case '[':
      brackets.push(before !== undefined && isOperandEnd(text, before) ? 'subscript' : 'other')
      break
    case ')':
    case ']':
      brackets.pop()
  }
}

function isWord(text: string, token: Token | undefined, pattern: RegExp): boolean {
  return token?.kind === 'word' && pattern.test(text.slice(token.start, token.end))
}

/** True if what ends with the token has elements, so that `[` behind it is a subscript. */
function isOperandEnd(text: string, token: Token): boolean {
  if (token.kind === 'word') return !isWord(text, token, /^array$/i)
  if (token.kind === 'symbol') return text[token.start] === ')' || text[token.start] === ']'
  return token.kind !== 'number'
}

/** The end of a string or a name; a doubled quote is part of it. */
function endOfQuoted(text: string, start: number, quote: string): number {
  let at = text.indexOf(quote, start + 1)
  while (at !== -1 && text[at + 1] === quote) at = text.indexOf(quote, at + 2)
  return at === -1 ? text.length : at + 1
}

function endAfter(text: string, mark: string, from: number): number {
  const at = text.indexOf(mark, from)
  return at === -1 ? text.length : at + mark.length
}

/** The end of E'…', which has backslash escapes. */
function endOfEscapeString(text: string, start: number): number {
  for (let at = start; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === "'" && text[at + 1] === "'") at++
    else if (text[at] === "'") return at + 1
  }
  return text.length
}

function endOfNestedComment(text: string, start: number): number {
  let depth = 0
  for (let at = start; at < text.length; ) {
    if (text.startsWith('/*', at)) {
      depth++
      at += 2
    } else if (text.startsWith('*/', at)) {
      depth--
      at += 2
      if (depth === 0) return at
    } else {
      at++
    }
  }
  return text.length
}

// The statements of a script ------------------------------------------------------------------------------------

/** One statement of a script. */
export interface ScriptStatement {
  /** Where it stands in the script, without the semicolon. */
  readonly start: number
  readonly end: number
  /** Its first words in capitals, four at most, up to the first token that is no word: `PRAGMA`; `CREATE TEMP TABLE notes`. */
  readonly firstWords: readonly string[]
  /** Its tokens without comments. */
  readonly tokens: readonly Token[]
}

/** Enough to tell `ROLLBACK TRANSACTION TO` from `ROLLBACK`. */
const MAX_FIRST_WORDS = 4

/**
 * Returns the statements of a script. Semicolons in parentheses and in bodies (BEGIN … END of a trigger, BEGIN ATOMIC
 * … END of a function) separate none.
 */
export function statementsOf(script: string, dialect: Dialect): ScriptStatement[] {
  const statements: ScriptStatement[] = []
  let start = -1
  let end = 0
  let firstWords: string[] = []
  let own: Token[] = []
  let areWordsOver = false
  let depth = 0
  /** Number of bodies and CASEs that are open. */
  let bodies = 0
  let previous = ''

  function finish(): void {
    if (start !== -1) statements.push({ start, end, firstWords, tokens: own })
    start = -1
    firstWords = []
    own = []
    areWordsOver = false
    depth = 0
    bodies = 0
  }

  for (const token of tokens(script, dialect)) {
    if (token.kind === 'comment') continue
    const character = script[token.start]
    if (token.kind === 'symbol' && character === ';' && depth <= 0 && bodies <= 0) {
      finish()
      continue
    }
    if (start === -1) start = token.start
    end = token.end
    own.push(token)
    if (token.kind === 'symbol') {
      if (character === '(') depth++
      else if (character === ')') depth--
    }
    if (token.kind !== 'word') {
      areWordsOver = true
      continue
    }
    const word = script.slice(token.start, token.end).toUpperCase()
    if (!areWordsOver && firstWords.length < MAX_FIRST_WORDS) firstWords.push(word)
    // Only a trigger and a function have a body; in it, CASE ends with END too. Elsewhere these words may be names.
    if (word === 'ATOMIC' && previous === 'BEGIN') bodies++
    else if (word === 'BEGIN' && depth === 0 && firstWords.includes('TRIGGER')) bodies++
    else if (word === 'CASE' && bodies > 0) bodies++
    else if (word === 'END' && bodies > 0) bodies--
    previous = word
  }
  finish()
  return statements
}

/** Statements that begin or end a transaction, which only `transaction()` may do. ROLLBACK TO is none. */
export function controlsTransaction([first, ...others]: readonly string[]): boolean {
  switch (first) {
    case 'BEGIN':
    case 'COMMIT':
    case 'END':
    case 'ABORT':
      return true
    case 'START':
    case 'PREPARE':
      return others[0] === 'TRANSACTION'
    case 'ROLLBACK':
      return !others.includes('TO')
    default:
      return false
  }
}

/** Returns the tables that DROP TABLE statements of a script name, without their schemas, as the script writes them. */
export function droppedTablesOf(script: string, dialect: Dialect): string[] {
  return statementsOf(script, dialect).flatMap(({ start, end, firstWords: [verb, object] }) => {
    if (verb !== 'DROP' || object !== 'TABLE') return []
    const statement = script.slice(start, end)
    const texts = [...tokens(statement, dialect)]
      .filter(({ kind }) => kind !== 'comment')
      .map(token => statement.slice(token.start, token.end))
    const rest = texts.slice(texts[2]?.toUpperCase() === 'IF' && texts[3]?.toUpperCase() === 'EXISTS' ? 4 : 2)
    const [name = '', dot, qualified = ''] = rest
    return [unquoted(dot === '.' ? qualified : name)]
  })
}

/** A name without its quotes. */
function unquoted(name: string): string {
  const quote = name[0] as string
  if (quote === '[') return name.slice(1, -1)
  return quote === '"' || quote === '`' || quote === "'" ? name.slice(1, -1).replaceAll(quote + quote, quote) : name
}
