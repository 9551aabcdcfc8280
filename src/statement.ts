/**
 * One SQL text for both engines. The text is read once, token by token, as its engine would read it: only
 * `$1` and `:name` outside of strings, comments and quoted names are parameters; all else stays as it is.
 * What was read is cached by the text.
 */
import type { Dialect, Query, QueryParameters } from './adapter.ts'
import { DatabaseError } from './errors.ts'
import { Sql } from './sql.ts'

/** A text with its engine's own placeholders, and what they stand for. */
export interface Statement {
  /** The text for the engine: `$1`, `$2` for Postgres, `?` for SQLite. */
  readonly text: string
  /** The parameters' names as `:name` gave them, in order of first use; undefined where `$1` is used. */
  readonly names: readonly string[] | undefined
  /** How many values the caller has to give. */
  readonly count: number
  /** Which value each placeholder takes, in order of the text. */
  readonly uses: readonly number[]
  /** Where in the caller's text each of them stands. */
  readonly positions: readonly number[]
  /** Whether placeholder i takes value i, so that the caller's array can be bound as it is. */
  readonly inOrder: boolean
}

/** A statement and the values for its placeholders. */
export interface BoundStatement {
  readonly statement: Statement
  /** The caller's values, in the order of `$1`, `$2`. Not yet encoded. */
  readonly values: readonly unknown[]
}

const NONE: readonly unknown[] = []

/** Texts are usually written in code, so few; a program that builds texts must not fill the memory. */
const CACHE_SIZE = 1000
const MAX_CACHED_LENGTH = 100_000

const caches: Record<Dialect, Map<string, Statement>> = { sqlite: new Map(), postgres: new Map() }

/** The statements of templates without fragments: one look-up by the identity that the engine gives a call site. */
const templates: Record<Dialect, WeakMap<readonly string[], Statement>> = {
  sqlite: new WeakMap(),
  postgres: new WeakMap()
}

/**
 * Returns the statement of a text, from the cache if it was read before.
 *
 * @throws DatabaseError `invalid_parameter` when the text mixes `$1` and `:name`
 */
export function statementOf(text: string, dialect: Dialect): Statement {
  const cache = caches[dialect]
  let statement = cache.get(text)
  if (statement === undefined) {
    statement = read(text, dialect)
    if (text.length > MAX_CACHED_LENGTH) return statement
    if (cache.size >= CACHE_SIZE) cache.delete(cache.keys().next().value as string)
    cache.set(text, statement)
  }
  return statement
}

/**
 * Brings a query and its parameters together.
 *
 * @throws DatabaseError `invalid_parameter` for a missing, surplus or undefined parameter, naming it
 */
export function bind(query: Query, parameters: QueryParameters | undefined, dialect: Dialect): BoundStatement {
  if (typeof query === 'string') {
    const statement = statementOf(query, dialect)
    return { statement, values: valuesFor(statement, parameters) }
  }
  if (!(query instanceof Sql)) {
    throw new DatabaseError('invalid_parameter', `Expected SQL as a text or a sql\`…\` template, got ${describeWrong(query)}.`)
  }
  if (parameters !== undefined) {
    throw new DatabaseError('invalid_parameter', 'A sql`…` template carries its own values; leave the parameters out.')
  }
  return bindTemplate(query, dialect)
}

function describeWrong(query: unknown): string {
  if (query instanceof Promise) return 'a Promise; await it first'
  if (Array.isArray(query)) return 'an array'
  return query === null || query === undefined ? String(query) : `a value of type ${typeof query}`
}

function bindTemplate(query: Sql, dialect: Dialect): BoundStatement {
  const { strings, values } = query
  if (strings !== undefined) {
    const known = templates[dialect].get(strings)
    if (known !== undefined) {
      checkDefined(values)
      return { statement: known, values }
    }
  }
  const flat = query.flatten(dialect)
  const statement = statementOf(flat.text, dialect)
  const { positions } = flat
  const areItsOwn =
    statement.inOrder &&
    statement.positions.length === positions.length &&
    positions.every((position, i) => position === statement.positions[i])
  if (!areItsOwn) {
    throw new DatabaseError(
      'invalid_parameter',
      statement.names === undefined
        ? 'A value of this sql`…` template stands inside a string or a comment, or its text has a $1 of its own. ' +
            'Put values outside of quotes, and let the template number them.'
        : `A sql\`…\` template takes its values as \${value}, but its text has the parameter :${statement.names[0]}.`,
      { sql: flat.text }
    )
  }
  if (strings !== undefined) templates[dialect].set(strings, statement)
  checkDefined(flat.values)
  return { statement, values: flat.values }
}

function checkDefined(values: readonly unknown[]): void {
  for (let i = 0; i < values.length; i++) {
    if (values[i] === undefined) throw undefinedValue(`\${…} number ${i + 1} of the template`)
  }
}

function valuesFor(statement: Statement, parameters: QueryParameters | undefined): readonly unknown[] {
  const { names, count } = statement
  if (parameters === undefined) {
    if (count === 0) return NONE
    throw new DatabaseError('invalid_parameter', `The statement has ${describeParameters(statement)}, but no parameters were given.`)
  }
  if (typeof parameters !== 'object' || parameters === null) {
    throw new DatabaseError(
      'invalid_parameter',
      `Expected the parameters as an array for $1 or an object for :name, got ${parameters === null ? 'null' : typeof parameters}.`
    )
  }
  return names === undefined ? positionalValues(statement, parameters) : namedValues(names, parameters as Readonly<Record<string, unknown>>)
}

function positionalValues(statement: Statement, parameters: QueryParameters): readonly unknown[] {
  const { count } = statement
  if (!Array.isArray(parameters)) {
    if (count === 0 && Object.keys(parameters).length === 0) return NONE
    throw new DatabaseError(
      'invalid_parameter',
      count === 0
        ? `The statement has no parameters, but :${Object.keys(parameters)[0]} was given.`
        : 'The statement uses $1, so its parameters must be an array, but an object was given.'
    )
  }
  if (parameters.length !== count) {
    const problem = parameters.length < count ? `$${parameters.length + 1} is missing` : `number ${count + 1} is surplus`
    throw new DatabaseError(
      'invalid_parameter',
      `The statement has ${describeParameters(statement)}, but ${parameters.length} ${parameters.length === 1 ? 'was' : 'were'} given: ${problem}.${count === 0 ? ' A parameter is written $1 or :name, outside of quotes.' : ''}`
    )
  }
  for (let i = 0; i < count; i++) {
    if (parameters[i] === undefined) throw undefinedValue(`$${i + 1}`)
  }
  // A number that the text skips, as in "$1, $3", means that a value would be dropped without a word.
  if (statement.uses.length < count || !statement.inOrder) {
    for (let i = 0; i < count; i++) {
      if (!statement.uses.includes(i)) {
        throw new DatabaseError('invalid_parameter', `The statement uses $${count} but not $${i + 1}; number its parameters without gaps.`)
      }
    }
  }
  return parameters
}

function namedValues(names: readonly string[], parameters: Readonly<Record<string, unknown>>): readonly unknown[] {
  if (Array.isArray(parameters)) {
    throw new DatabaseError(
      'invalid_parameter',
      `The statement uses :${names[0]}, so its parameters must be an object, but an array was given.`
    )
  }
  const values: unknown[] = new Array(names.length)
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string
    const value = parameters[name]
    if (value === undefined || !Object.hasOwn(parameters, name)) {
      if (Object.hasOwn(parameters, name)) throw undefinedValue(`:${name}`)
      throw new DatabaseError('invalid_parameter', `Parameter :${name} is missing; given: ${listNames(parameters)}.`)
    }
    values[i] = value
  }
  const given = Object.keys(parameters)
  if (given.length !== names.length) {
    const surplus = given.find(name => !names.includes(name))
    throw new DatabaseError(
      'invalid_parameter',
      `Parameter :${surplus} is surplus; the statement uses ${names.map(name => `:${name}`).join(', ')}.`
    )
  }
  return values
}

function undefinedValue(place: string): DatabaseError {
  return new DatabaseError('invalid_parameter', `Parameter ${place} is undefined; for SQL NULL give null.`)
}

function describeParameters({ names, count }: Statement): string {
  if (names !== undefined) return names.map(name => `:${name}`).join(', ')
  return count === 1 ? '1 parameter' : `${count} parameters`
}

function listNames(parameters: object): string {
  const names = Object.keys(parameters)
  return names.length === 0 ? 'none' : names.map(name => `:${name}`).join(', ')
}

/**
 * Checks a script, which has no parameters.
 *
 * @throws DatabaseError `invalid_parameter`
 */
export function checkScript(text: string, dialect: Dialect): void {
  const { names, count } = read(text, dialect)
  if (count === 0) return
  throw new DatabaseError(
    'invalid_parameter',
    `exec() takes no parameters, but the script has ${names ? `:${names[0]}` : '$1'}; use run() for one statement.`,
    {
      sql: text
    }
  )
}

/**
 * Checks a text that is to be sent.
 *
 * @throws DatabaseError `invalid_parameter` for a NUL, at which SQLite would end the text without a word
 */
function checkText(text: string): void {
  const at = text.indexOf('\0')
  if (at !== -1)
    throw new DatabaseError('invalid_parameter', `The SQL has a NUL character at position ${at + 1}; pass such data as a Buffer parameter.`)
}

/** Where parameter `i` of the statement stands, for an error: `$2` or `:name`. */
export function placeOf(statement: Statement, i: number): string {
  return statement.names === undefined ? `$${i + 1}` : `:${statement.names[i]}`
}

/** How long a text may be whose words are looked up for an error, in characters. */
const MAX_READ_LENGTH = 100_000

const WORD = /[\p{L}\p{M}\p{N}_$]+/gu

/**
 * Returns whether a text is made of the statement's own words, so that a message which repeats it shows no value.
 * What stands in strings and comments is not of them, nor are numbers.
 *
 * @param names other words that are no values
 */
export function wordsOf(sql: string, dialect: Dialect, names = ''): (text: string) => boolean {
  const given = new Set(names.toLowerCase().match(WORD))
  let read: { bare: string; words: Set<string> } | undefined
  return text => {
    const found = text.toLowerCase().match(WORD)
    if (found?.every(word => given.has(word)) && !text.includes("'")) return true
    // Reading takes long for what programs write, who put values into it.
    if (sql.length > MAX_READ_LENGTH) return false
    read ??= readWords(sql, dialect)
    if (found === null) return read.bare.includes(text)
    return !text.includes("'") && found.every(word => /^\D/.test(word) && (given.has(word) || read?.words.has(word)))
  }
}

/** The text without strings, comments and numbers, and its words. */
function readWords(sql: string, dialect: Dialect): { bare: string; words: Set<string> } {
  let bare = ''
  for (let at = 0; at < sql.length; ) {
    const end = dialect === 'postgres' ? endOfPostgresToken(sql, at) : at
    TOKEN[dialect].lastIndex = at
    const token = end > at ? sql.slice(at, end) : (TOKEN[dialect].exec(sql)?.[0] ?? (sql[at] as string))
    bare += /^(?:[eE]?'|--|\/\*|\$\D)/.test(token) ? ' ' : token
    at += token.length
  }
  return { bare, words: new Set(bare.toLowerCase().match(WORD)) }
}

// Reading a text ---------------------------------------------------------------------------------------------

/**
 * One alternative for each kind of token in which a parameter cannot stand, then the two kinds of parameter.
 * Sticky and ordered: an identifier is taken whole, so that neither `foo$1` nor `a::b` holds a parameter. An
 * unterminated string or comment runs to the end: the engine will say what is wrong with it.
 */
const SHARED = [
  // A doubled quote reads as the end of one string and the beginning of the next, which comes to the same.
  /'[^']*(?:'|$)/,
  /"[^"]*(?:"|$)/,
  /::+/,
  /\$(?<number>\d+)/
]

const TOKEN: Record<Dialect, RegExp> = {
  postgres: sticky([
    /--[^\n\r]*/,
    // $$ … $$ and $tag$ … $tag$; the tag is an identifier, so $1$ is none.
    /\$(?<tag>(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?)\$[\s\S]*?(?:\$\k<tag>\$|$)/,
    ...SHARED,
    /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/
  ]),
  sqlite: sticky([
    /--[^\n]*/,
    // SQLite's block comments do not nest, Postgres's do; those are read by hand below.
    /\/\*[\s\S]*?(?:\*\/|$)/,
    /`[^`]*(?:`|$)/,
    /\[[^\]]*(?:\]|$)/,
    ...SHARED,
    /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/
  ])
}

/** `:name`. A colon behind a name, a number or a bracket is that of a slice or a cast. */
const NAMED = /:([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)/y
const BEFORE_SLICE = /[\w$\])"\u0080-\uffff]/

function sticky(alternatives: readonly RegExp[]): RegExp {
  return new RegExp(alternatives.map(({ source }) => `(?:${source})`).join('|'), 'y')
}

function read(text: string, dialect: Dialect): Statement {
  checkText(text)
  const token = TOKEN[dialect]
  const names = new Map<string, number>()
  const uses: number[] = []
  const positions: number[] = []
  let numbered = false
  let highest = 0
  let output = ''
  let copied = 0

  function parameter(start: number, end: number, index: number): void {
    uses.push(index)
    positions.push(start)
    output += text.slice(copied, start) + (dialect === 'sqlite' ? '?' : `$${index + 1}`)
    copied = end
  }

  for (let at = 0; at < text.length; ) {
    const end = dialect === 'postgres' ? endOfPostgresToken(text, at) : at
    if (end > at) {
      at = end
      continue
    }
    token.lastIndex = at
    const found = token.exec(text)
    if (found !== null) {
      const end = token.lastIndex
      const number = found.groups?.number
      if (number !== undefined && Number(number) > 0) {
        numbered = true
        highest = Math.max(highest, Number(number))
        parameter(at, end, Number(number) - 1)
      }
      at = end
      continue
    }
    NAMED.lastIndex = at
    const named = at > 0 && BEFORE_SLICE.test(text[at - 1] as string) ? null : NAMED.exec(text)
    if (named !== null) {
      const name = named[1] as string
      const index = names.get(name) ?? names.size
      names.set(name, index)
      parameter(at, NAMED.lastIndex, index)
      at = NAMED.lastIndex
      continue
    }
    at++
  }

  const [firstName] = names.keys()
  if (numbered && firstName !== undefined) {
    throw new DatabaseError('invalid_parameter', `The statement mixes $${highest} and :${firstName}; use one kind of parameter.`, {
      sql: text
    })
  }
  if (highest > MAX_PARAMETERS || names.size > MAX_PARAMETERS) {
    throw new DatabaseError('invalid_parameter', `A statement can have ${MAX_PARAMETERS} parameters at most.`, { sql: text })
  }
  return {
    text: output + text.slice(copied),
    names: names.size > 0 ? [...names.keys()] : undefined,
    count: Math.max(highest, names.size),
    uses,
    positions,
    inOrder: uses.every((use, i) => use === i)
  }
}

/** SQLite's default SQLITE_MAX_VARIABLE_NUMBER; Postgres's protocol would hold 65 535. */
const MAX_PARAMETERS = 32_766

/** The end of what a regular expression cannot read, or only with a stack as deep as the text is long. */
function endOfPostgresToken(text: string, at: number): number {
  if (text.startsWith('/*', at)) return endOfNestedComment(text, at)
  return /[eE]/.test(text[at] as string) && text[at + 1] === "'" ? endOfEscapeString(text, at + 2) : at
}

/** E'…' has backslash escapes. */
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
  let at = start
  while (at < text.length) {
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
  return at
}
