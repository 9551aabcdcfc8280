/**
 * One SQL text for both engines: `$1` and `:name` outside of strings, comments and quoted names become the engine's own
 * placeholders; all else stays as it is. Statements are cached by their text.
 */
import type { BoundStatement, BoundValue, Dialect, RowCount } from './adapter.ts'
import { BoundedCache } from './cache.ts'
import { DatabaseError, invalidParameter } from './errors.ts'
import { statementsOf, type Token, tokens } from './lexer.ts'
import { ALONE, admit, type Place, type SessionEffect, sessionEffectOf } from './session-state.ts'
import { type FlatSql, flatten, isSql, type NamedSql, type QuerySource, type QueryText, type Sql } from './sql.ts'
import { encode, inForm, nameOf } from './values.ts'

/** A `sql` template, or a string of SQL with `$1` or `:name` parameters. */
export type Query = string | Sql

/** The parameters of a string of SQL: an array for `$1`, an object for `:name`. */
export type QueryParameters = readonly unknown[] | object

/** A text with its engine's own placeholders, and what they stand for. */
export interface Statement {
  /** The text for the engine: `$1`, `$2` for Postgres, `?` for SQLite. */
  readonly text: string
  /** The parameters' names as `:name` gave them, in order of first use; undefined where `$1` is used. */
  readonly names: readonly string[] | undefined
  /** Number of values that the caller has to give. */
  readonly count: number
  /** For each placeholder in order of the text, the index of its value. */
  readonly uses: readonly number[]
  /** For each placeholder, where it stands in the caller's text. */
  readonly positions: readonly number[]
  /** True if placeholder i takes value i. */
  readonly inOrder: boolean
  /** Index of a value that the text skips, as in `$1, $3`, and would silently drop; −1 without one. */
  readonly unused: number
  /** Number of statements in the text. */
  readonly statements: number
  /** What its statements change of the session or the transaction; undefined for nothing. */
  readonly effects: readonly SessionEffect[] | undefined
  /** Indexes of the values that stand in `IN (…)` or `ANY (…)`, where an array is a mistake. */
  readonly listed: ReadonlySet<number>
}

/** Most SQL is written in code, so there are few texts; the limits are for programs that build them. */
const MAX_CACHED = 1000
const MAX_CACHED_LENGTH = 2_000_000

const caches: Record<Dialect, BoundedCache<Statement>> = {
  sqlite: new BoundedCache(MAX_CACHED, MAX_CACHED_LENGTH),
  postgres: new BoundedCache(MAX_CACHED, MAX_CACHED_LENGTH)
}

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
    cache.set(text, statement)
  }
  return statement
}

/**
 * Brings a query and its parameters together, checked and encoded for the dialect's driver.
 *
 * @param place where it is to run
 * @throws DatabaseError `invalid_parameter` for a missing, unexpected or undefined parameter, or a value that one of the
 *   databases could not hold; the error names it
 */
export function bind(
  query: Query,
  parameters: QueryParameters | undefined,
  dialect: Dialect,
  place: Place = ALONE,
  expects?: RowCount
): BoundStatement {
  if (typeof query === 'string') {
    const statement = statementOf(query, dialect)
    return boundOf(statement, valuesFor(statement, parameters), dialect, parameters, place, expects)
  }
  if (!isSql(query)) {
    throw invalidParameter(`Expected SQL as a string or a sql\`…\` template, got ${describeWrong(query)}.`)
  }
  if (parameters !== undefined) {
    throw invalidParameter('A sql`…` template carries its own values; leave the parameters out.')
  }
  return query.named === undefined ? bindTemplate(query, dialect, place, expects) : bindNamed(query.named, dialect, place, expects)
}

function boundOf(
  statement: Statement,
  given: readonly unknown[],
  dialect: Dialect,
  parameters: unknown,
  place: Place,
  expects: RowCount | undefined
): BoundStatement {
  const { uses, count, listed, effects, statements, text } = statement
  if (statements === 0) throw new DatabaseError('syntax_error', 'The text has no statement.', { sql: text })
  if (effects !== undefined) for (const effect of effects) admit(effect, place, text)
  // Postgres takes each value once, SQLite one for each placeholder.
  const length = dialect === 'postgres' ? count : uses.length
  const values: BoundValue[] = new Array(length)
  for (let i = 0; i < length; i++) {
    const index = dialect === 'postgres' ? i : (uses[i] as number)
    const value = given[index]
    if (listed.size > 0 && listed.has(index) && Array.isArray(value)) throw arrayInList(statement, index)
    values[i] = encode(value, dialect, statement, index)
  }
  return { text, values, parameters, expects }
}

function arrayInList(statement: Statement, index: number): DatabaseError {
  return invalidParameter(
    `Parameter ${nameOf(statement, index)} is an array, which would be one value of the list. For a list of any length use a template: ` +
      'sql`… IN (${sql.list(values)})`.'
  )
}

function describeWrong(query: unknown): string {
  if (query instanceof Promise) return 'a Promise; await it first'
  if (Array.isArray(query)) return 'an array'
  return query === null || query === undefined ? String(query) : `a value of type ${typeof query}`
}

/** A text takes the parameters that it names; what else was given belongs to lines that it lacks. */
function bindNamed({ source, parameters }: NamedSql, dialect: Dialect, place: Place, expects: RowCount | undefined): BoundStatement {
  const statement = statementOf(textFor(source[dialect], parameters, dialect), dialect)
  const { columns, writes = false } = source
  const values = valuesOf(statement.names ?? [], parameters, source.parameters)
  const bound = boundOf(statement, values, dialect, parameters, place, expects)
  return columns === undefined || dialect === 'postgres' ? bound : { ...bound, decoding: { columns, writes } }
}

function textFor(text: QueryText | undefined, parameters: NamedSql['parameters'], dialect: Dialect): string {
  if (text === undefined) throw invalidParameter(`The query has no SQL for ${dialect}; generate its module for both databases.`)
  if (typeof text === 'string') return text
  let given = ''
  for (const piece of text) {
    if (typeof piece === 'string') given += piece
    else if (parameters[piece[0]] !== undefined) given += piece[1]
  }
  return given
}

function bindTemplate(query: Sql, dialect: Dialect, place: Place, expects: RowCount | undefined): BoundStatement {
  const { template } = query
  const known = template && templates[dialect].get(template)
  if (known !== undefined) {
    assertDefined(query.values)
    return boundOf(known, query.values, dialect, query.values, place, expects)
  }
  const flat = flatten(query, dialect)
  const statement = statementOf(flat.text, dialect)
  const { positions } = flat
  const areItsOwn =
    statement.inOrder &&
    statement.positions.length === positions.length &&
    positions.every((position, i) => position === statement.positions[i])
  if (!areItsOwn) {
    throw invalidParameter(
      statement.names === undefined
        ? 'A value of this sql`…` template stands inside a string or a comment, or its text has a $1 of its own. ' +
            'Put values outside of quotes, and let the template number them.'
        : `A sql\`…\` template takes its values as \${value}, but its text has the parameter :${statement.names[0]}.`,
      { sql: flat.text }
    )
  }
  if (template !== undefined) templates[dialect].set(template, statement)
  assertDefined(flat.values)
  return boundOf(statement, flat.values, dialect, flat.values, place, expects)
}

function assertDefined(values: readonly unknown[]): void {
  const at = values.indexOf(undefined)
  if (at !== -1) {
    throw invalidParameter(`Parameter \${…} number ${at + 1} of the template is undefined; for SQL NULL give null.`)
  }
}

const NONE: readonly unknown[] = []

function valuesFor(statement: Statement, parameters: QueryParameters | undefined): readonly unknown[] {
  const { names, count } = statement
  if (parameters === undefined) {
    if (count === 0) return NONE
    throw invalidParameter(`The statement has ${describeParameters(statement)}, but no parameters were given.`)
  }
  if (typeof parameters !== 'object' || parameters === null) {
    throw invalidParameter(
      `Expected the parameters as an array for $1 or an object for :name, got ${parameters === null ? 'null' : typeof parameters}.`
    )
  }
  return names === undefined ? positionalValues(statement, parameters) : namedValues(names, parameters as Readonly<Record<string, unknown>>)
}

function positionalValues(statement: Statement, parameters: QueryParameters): readonly unknown[] {
  const { count, unused } = statement
  if (!Array.isArray(parameters)) {
    if (count === 0 && Object.keys(parameters).length === 0) return NONE
    throw invalidParameter(
      count === 0
        ? `The statement has no parameters, but :${Object.keys(parameters)[0]} was given.`
        : 'The statement uses $1, so its parameters must be an array, but an object was given.'
    )
  }
  if (parameters.length !== count) throw wrongNumber(statement, parameters.length)
  if (unused !== -1) {
    throw invalidParameter(`The statement uses $${count} but not $${unused + 1}; number its parameters without gaps.`)
  }
  return parameters
}

function wrongNumber(statement: Statement, given: number): DatabaseError {
  const { count } = statement
  const unexpected = given - count
  const problem = unexpected < 0 ? `$${given + 1} is missing` : `${unexpected} unexpected parameter${unexpected === 1 ? '' : 's'}`
  return invalidParameter(
    `The statement has ${describeParameters(statement)}, but ${given} ${given === 1 ? 'was' : 'were'} given: ${problem}.${count === 0 ? ' A parameter is written $1 or :name, outside of quotes.' : ''}`
  )
}

function namedValues(names: readonly string[], parameters: Readonly<Record<string, unknown>>): readonly unknown[] {
  if (Array.isArray(parameters)) {
    throw invalidParameter(`The statement uses :${names[0]}, so its parameters must be an object, but an array was given.`)
  }
  const values = valuesOf(names, parameters)
  const given = Object.keys(parameters)
  if (given.length !== names.length) {
    const known = new Set(names)
    const unexpected = given.find(name => !known.has(name))
    throw invalidParameter(`Unexpected parameter :${unexpected}; the statement uses ${names.map(name => `:${name}`).join(', ')}.`)
  }
  return values
}

function valuesOf(
  names: readonly string[],
  parameters: Readonly<Record<string, unknown>>,
  forms?: QuerySource['parameters']
): readonly unknown[] {
  const values: unknown[] = new Array(names.length)
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string
    if (!Object.hasOwn(parameters, name)) {
      throw invalidParameter(`Parameter :${name} is missing; given: ${listNames(parameters)}.`)
    }
    values[i] = forms === undefined ? parameters[name] : inForm(parameters[name], forms[name], name)
  }
  return values
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
 * Returns the text of a script, which has no parameters.
 *
 * @param place where it is to run; 'group' stands for 'alone' when the script has one statement
 * @throws DatabaseError `invalid_parameter` for a parameter, `invalid_transaction_termination` for a BEGIN or COMMIT
 */
export function scriptOf(script: Query, dialect: Dialect, place: Place): string {
  if (typeof script !== 'string' && !isSql(script)) {
    throw invalidParameter(`exec() expects a script as a string or a sql\`…\` template, got ${describeWrong(script)}.`)
  }
  const flat = typeof script === 'string' ? { text: script, values: NONE } : flatScript(script, dialect)
  const { text } = flat
  if (flat.values.length > 0) {
    throw invalidParameter('exec() takes a template without values; use run() for one statement, or batch().', {
      sql: text
    })
  }
  const { names, count, statements, effects = [] } = read(text, dialect)
  if (count > 0) {
    throw invalidParameter(
      `exec() takes no parameters, but the script has ${names ? `:${names[0]}` : '$1'}; use run() for one statement.`,
      { sql: text }
    )
  }
  for (const effect of effects) admit(effect, place.kind === 'group' && statements === 1 ? ALONE : place, text)
  return text
}

function flatScript(script: Sql, dialect: Dialect): Pick<FlatSql, 'text' | 'values'> {
  const { named } = script
  return named === undefined ? flatten(script, dialect) : { text: textFor(named.source[dialect], named.parameters, dialect), values: NONE }
}

/**
 * Checks a text that is to be sent.
 *
 * @throws DatabaseError `invalid_parameter` for a NUL, at which SQLite would silently end the text
 */
function checkText(text: string): void {
  const at = text.indexOf('\0')
  if (at !== -1) throw invalidParameter(`The SQL has a NUL character at position ${at + 1}; pass such data as a Buffer parameter.`)
}

// Words of a statement, for the messages of errors ----------------------------------------------------------------

/** Longer texts are not read for an error: programs write them, and put values into them. */
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
    if (sql.length > MAX_READ_LENGTH) return false
    read ??= readWords(sql, dialect)
    if (found === null) return read.bare.includes(text)
    return !text.includes("'") && found.every(word => /^\D/.test(word) && (given.has(word) || read?.words.has(word)))
  }
}

/** The text with a space in place of strings and comments, and its words. */
function readWords(sql: string, dialect: Dialect): { bare: string; words: Set<string> } {
  let bare = ''
  let copied = 0
  for (const { kind, start, end } of tokens(sql, dialect)) {
    if (kind !== 'string' && kind !== 'comment') continue
    bare += `${sql.slice(copied, start)} `
    copied = end
  }
  bare += sql.slice(copied)
  return { bare, words: new Set(bare.toLowerCase().match(WORD)) }
}

// Placeholders --------------------------------------------------------------------------------------------------

/** SQLite's default SQLITE_MAX_VARIABLE_NUMBER; Postgres's protocol would hold 65 535. */
const MAX_PARAMETERS = 32_766

function read(text: string, dialect: Dialect): Statement {
  checkText(text)
  const names = new Map<string, number>()
  const uses: number[] = []
  const positions: number[] = []
  const listed = new Set<number>()
  const effects: SessionEffect[] = []
  const statements = statementsOf(text, dialect)
  let highest = 0
  let output = ''
  let copied = 0

  for (const statement of statements) {
    const effect = sessionEffectOf(text, statement, dialect)
    if (effect !== undefined) effects.push(effect)
    for (const token of statement.tokens) {
      const index = token.kind === 'positional' || token.kind === 'named' ? indexOf(token) : -1
      if (index >= 0) {
        uses.push(index)
        positions.push(token.start)
        output += text.slice(copied, token.start) + (dialect === 'sqlite' ? '?' : `$${index + 1}`)
        copied = token.end
        if (token.isInList) listed.add(index)
      }
    }
  }

  /** The index of a parameter's value; −1 for `$0`, which is none. */
  function indexOf({ kind, start, end }: Token): number {
    const name = text.slice(start + 1, end)
    if (kind === 'positional') {
      highest = Math.max(highest, Number(name))
      return Number(name) - 1
    }
    const index = names.get(name) ?? names.size
    names.set(name, index)
    return index
  }

  const [firstName] = names.keys()
  if (highest > 0 && firstName !== undefined) {
    throw invalidParameter(`The statement mixes $${highest} and :${firstName}; use one kind of parameter.`, {
      sql: text
    })
  }
  if (highest > MAX_PARAMETERS || names.size > MAX_PARAMETERS) {
    throw invalidParameter(`A statement can have ${MAX_PARAMETERS} parameters at most.`, { sql: text })
  }
  return {
    text: output + text.slice(copied),
    names: names.size > 0 ? [...names.keys()] : undefined,
    count: Math.max(highest, names.size),
    uses,
    positions,
    inOrder: uses.every((use, i) => use === i),
    unused: firstUnused(uses, highest),
    statements: statements.length,
    effects: effects.length > 0 ? effects : undefined,
    listed
  }
}

/** The index of the first value that no placeholder takes; −1 without one. */
function firstUnused(uses: readonly number[], count: number): number {
  const used = new Set(uses)
  for (let i = 0; i < count; i++) if (!used.has(i)) return i
  return -1
}
