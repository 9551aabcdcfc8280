import { isDate } from 'node:util/types'
import type { Dialect, ExpressionTypes } from './adapter.ts'
import { invalidParameter } from './errors.ts'
import { toJsonText } from './json.ts'

/** A registered symbol, so that a fragment made by another copy of the package is a fragment here. */
const CONTENT: unique symbol = Symbol.for('duolect.sql')

/** What a fragment is made of. Other versions of the package read it, so fields may be added but not changed. */
interface Content {
  /** The SQL around the values, as in a template: one string more than there are values. */
  readonly strings: readonly string[]
  /** Parameters and fragments. */
  readonly values: readonly unknown[]
  /** What stands in place of `strings` and `values`, by dialect: a fragment or SQL. */
  readonly dialects?: { readonly [D in Dialect]: unknown } | undefined
  /** What stands in place of `strings` and `values`: a query of a SQL file. */
  readonly named?: NamedSql | undefined
}

/** A query of a SQL file with the values of its parameters. */
export interface NamedSql {
  readonly source: QuerySource
  readonly parameters: Readonly<Record<string, unknown>>
}

/**
 * SQL with `:name` parameters. Of an array, each `[name, text]` belongs to the SQL only when the parameter of that name
 * is given.
 */
export type QueryText = string | readonly (string | readonly [name: string, text: string])[]

/** A query of a SQL file, as `duolect generate` writes it. */
export interface QuerySource {
  /** The text for SQLite; missing in a module for Postgres alone. */
  readonly sqlite?: QueryText
  /** The text for Postgres; missing in a module for SQLite alone. */
  readonly postgres?: QueryText
  /**
   * Parameters that are sent in another form than a plain value: `json` as JSON text, also a string or a boolean;
   * `list` as the JSON text of an array; `count` is an integer from 0, for LIMIT and OFFSET.
   */
  readonly parameters?: { readonly [name: string]: 'json' | 'list' | 'count' }
  /** Expressions of the result, whose types SQLite does not know. */
  readonly columns?: ExpressionTypes
  /** True if the statement writes, so that a row which cannot be decoded has to undo it. @default false */
  readonly writes?: boolean
}

/** What to do with a fragment instead. */
const WAY_OUT = 'Put it into a template: sql`… ${fragment}`; join several with sql.join(fragments, sql`, `).'

/** SQL with `$1`, `$2` … in order, and the values for them. */
export interface FlatSql {
  readonly text: string
  readonly values: readonly unknown[]
  /** Where in the text the placeholder of each value stands. */
  readonly positions: readonly number[]
}

/**
 * A piece of SQL with its values, made by `sql`. It can be run, or stand inside another template.
 * Its values do not show when it is logged.
 */
export class Sql {
  readonly #content: Content
  readonly #template: readonly string[] | undefined

  /** @internal Made by `sql` and its functions only. */
  constructor(content: Content, template?: readonly string[]) {
    this.#content = content
    this.#template = template
  }

  /** @internal */
  get [CONTENT](): Content {
    return this.#content
  }

  /** @internal The literal parts if all values are parameters: the same array each time that a call site runs. */
  get template(): readonly string[] | undefined {
    return this.#template
  }

  /** @internal The query of a SQL file that this is. */
  get named(): NamedSql | undefined {
    return this.#content.named
  }

  /** @internal The values that stand between the parts of `template`. */
  get values(): readonly unknown[] {
    return this.#content.values
  }

  /** @internal Returns the SQL and its values for a dialect. */
  flatten(dialect: Dialect): FlatSql {
    return flatten(this, dialect)
  }

  /** Throws `invalid_parameter`: a string would lose the values. */
  toString(): string {
    throw invalidParameter(`A sql fragment was turned into a string, which would lose its values. ${WAY_OUT}`)
  }

  /** Throws `invalid_parameter`, as `toString` does. */
  [Symbol.toPrimitive](): string {
    return this.toString()
  }

  /** Throws `invalid_parameter`: a fragment is SQL and not a value. */
  toJSON(): never {
    throw invalidParameter(`A sql fragment stands where a value belongs. ${WAY_OUT}`)
  }
}

/** True for a fragment of this copy of the package or another one. */
export function isSql(value: unknown): value is Sql {
  return typeof value === 'object' && value !== null && CONTENT in value
}

/** Returns the SQL and the values of a fragment. Iterative, so that fragments nest as deep as they like. */
export function flatten(fragment: Sql, dialect: Dialect): FlatSql {
  const values: unknown[] = []
  const positions: number[] = []
  let text = ''
  const open = [{ content: contentOf(fragment, dialect), next: 0 }]
  for (let frame = open[0]; frame !== undefined; frame = open.at(-1)) {
    const { content } = frame
    const i = frame.next++
    text += content.strings[i]
    if (i >= content.values.length) {
      open.pop()
      continue
    }
    const value = content.values[i]
    if (isSql(value)) {
      open.push({ content: contentOf(value, dialect), next: 0 })
    } else {
      values.push(value)
      positions.push(text.length)
      text += `$${values.length}`
    }
  }
  return { text, values, positions }
}

function contentOf(fragment: Sql, dialect: Dialect): Content {
  let content = fragment[CONTENT]
  if (content.named !== undefined) {
    throw invalidParameter('A query of a SQL file cannot stand inside of another one; write the whole in the file.')
  }
  while (content.dialects !== undefined) {
    const piece = content.dialects[dialect]
    if (isSql(piece)) content = piece[CONTENT]
    else if (typeof piece === 'string') return { strings: [piece], values: [] }
    else throw invalidParameter(`sql.dialect() has no piece for ${dialect}; give one for each: { sqlite, postgres }.`)
  }
  return content
}

/** A length of time, for `sql.shift`. Each part is a number, or a fragment that is one, and may be negative. */
export interface TimeShift {
  /** Days of 24 hours. */
  days?: number | Sql | undefined
  /** Hours. */
  hours?: number | Sql | undefined
  /** Minutes. */
  minutes?: number | Sql | undefined
  /** Seconds; fractions are allowed. */
  seconds?: number | Sql | undefined
}

/** What `sql` is: a template tag, and functions for what a value cannot say. */
export interface SqlTag {
  /**
   * Makes SQL of a template. Each `${value}` becomes a parameter; a `${sql`…`}` becomes part of the SQL.
   *
   * @example
   * db.all(sql`SELECT * FROM users WHERE first_name = ${'Sylvain'}`)
   */
  (strings: TemplateStringsArray, ...values: readonly unknown[]): Sql
  /**
   * Quotes a name, or several with dots between.
   *
   * @example
   * sql`SELECT * FROM ${sql.id('analytics-interactions')}`
   */
  id(...names: readonly [string, ...string[]]): Sql
  /**
   * Makes a parameter of each value, with commas between, for `IN (…)`; fragments become part of the SQL, for the
   * rows of an INSERT. Refuses an empty list with `invalid_parameter`, since SQL has none.
   *
   * @example
   * sql`SELECT * FROM users WHERE platform IN (${sql.list(['slack', 'telegram'])})`
   * sql`INSERT INTO books (title, year) VALUES ${sql.list(books.map(({ title, year }) => sql`(${title}, ${year})`))}`
   */
  list(values: readonly unknown[]): Sql
  /**
   * Joins fragments with a separator between. Refuses an empty array with `invalid_parameter`.
   *
   * @example
   * sql`SELECT * FROM books WHERE ${sql.join([sql`TRUE`, ...conditions], sql` AND `)}`
   */
  join(fragments: readonly Sql[], separator: Sql): Sql
  /**
   * Makes a parameter that is the value's JSON text, for a JSON column. Strings, booleans and null become JSON too,
   * where a plain `${null}` is SQL's NULL.
   *
   * @example
   * sql`INSERT INTO settings (value) VALUES (${sql.json('dark')})`
   */
  json(value: unknown): Sql
  /** Inserts SQL as it is. Never pass it what a user typed. */
  unsafe(text: string): Sql
  /** The time of the statement in milliseconds, as the type of a TIMESTAMPTZ column. */
  readonly now: Sql
  /** A column definition: an integer primary key that the database gives and never gives twice. */
  readonly autoId: Sql
  /**
   * Moves a time, as the type of a TIMESTAMPTZ column. A day is 24 hours.
   *
   * @param time a `Date`, or a fragment such as a column
   * @example
   * sql`DELETE FROM sessions WHERE seen < ${sql.shift(sql.now, { days: -30 })}`
   */
  shift(time: Date | Sql, by: TimeShift): Sql
  /** The day of a time in UTC, as the type of a DATE column: `2024-03-10`. */
  day(time: Date | Sql): Sql
  /** The hour of a time in UTC, an integer from 0 to 23. */
  hour(time: Date | Sql): Sql
  /**
   * Makes a query of its texts for both databases and of the values of their `:name` parameters. A text takes those
   * that it names. `duolect generate` writes modules of such queries.
   */
  query(source: QuerySource, parameters?: object): Sql
  /** Picks the piece for the database in use: a fragment, or SQL that is inserted as it is. */
  dialect(pieces: { readonly [D in Dialect]: Sql | string }): Sql
}

function template(strings: TemplateStringsArray, ...values: readonly unknown[]): Sql {
  if (!Array.isArray(strings) || strings.length !== values.length + 1) {
    throw invalidParameter('sql is a template tag: write sql`SELECT 1`, or pass the string itself where SQL is expected.')
  }
  // JavaScript makes undefined of a part with an escape that it does not have.
  if (strings.includes(undefined as never)) {
    throw invalidParameter('The sql template has an invalid escape, such as \\u without digits; write a backslash as \\\\.')
  }
  return new Sql({ strings, values }, values.some(isSql) ? undefined : strings)
}

function text(piece: string): Sql {
  return new Sql({ strings: [piece], values: [] })
}

function id(...names: readonly string[]): Sql {
  if (names.length === 0) throw invalidParameter('sql.id() expects a name.')
  for (const name of names) {
    if (typeof name !== 'string' || name === '' || name.includes('\0')) {
      throw invalidParameter('sql.id() expects names that are not empty and have no NUL character.')
    }
  }
  return text(names.map(name => `"${name.replaceAll('"', '""')}"`).join('.'))
}

function list(values: readonly unknown[]): Sql {
  if (!Array.isArray(values) || values.length === 0) {
    throw invalidParameter(
      'sql.list() expects an array with at least one value: SQL has no empty list. Leave the condition out when there is none.'
    )
  }
  return new Sql({ strings: ['', ...new Array<string>(values.length - 1).fill(', '), ''], values: [...values] })
}

function join(fragments: readonly Sql[], separator: Sql): Sql {
  if (!Array.isArray(fragments) || !fragments.every(isSql)) {
    throw invalidParameter('sql.join() expects an array of sql fragments; for values use sql.list().')
  }
  if (!isSql(separator)) {
    throw invalidParameter(`sql.join() expects the separator as a sql fragment, such as sql\` AND \`; got ${typeof separator}.`)
  }
  if (fragments.length === 0) {
    throw invalidParameter(
      'sql.join() expects at least one fragment. Where there may be no condition, begin with one that holds: sql.join([sql`TRUE`, ...conditions], sql` AND `).'
    )
  }
  const values = fragments.flatMap((fragment, i) => (i === 0 ? [fragment] : [separator, fragment]))
  return new Sql({ strings: new Array<string>(values.length + 1).fill(''), values })
}

function json(value: unknown): Sql {
  return parameter(toJsonText(value, 'The value of sql.json()'))
}

function unsafe(piece: string): Sql {
  if (typeof piece !== 'string') {
    throw invalidParameter(`sql.unsafe() expects a string, got ${typeof piece}.`)
  }
  return text(piece)
}

function dialect(pieces: { readonly [D in Dialect]: Sql | string }): Sql {
  return new Sql({ strings: [''], values: [], dialects: { sqlite: pieces?.sqlite, postgres: pieces?.postgres } })
}

function query(source: QuerySource, parameters: object = {}): Sql {
  return new Sql({ strings: [''], values: [], named: { source, parameters: { ...parameters } } })
}

function parameter(value: unknown): Sql {
  return new Sql({ strings: ['', ''], values: [value] })
}

// Time ----------------------------------------------------------------------------------------------------------

/** The form in which SQLite keeps times: ISO 8601 with milliseconds, so that text order is time order. */
const ISO = "'%Y-%m-%dT%H:%M:%fZ'"

/** `strftime` of a time in SQLite. An integer is milliseconds since 1970, as in the tables of older versions. */
function strftime(format: string, time: Sql, modifier: Sql = text('')): Sql {
  const formatSql = text(format)
  return template`(CASE typeof(${time}) WHEN 'integer' THEN strftime(${formatSql}, ${time} / 1000.0, 'unixepoch'${modifier}) ELSE strftime(${formatSql}, ${time}${modifier}) END)`
}

/** The time as a fragment. The cast gives a parameter its type in Postgres, and makes a TIMESTAMP a TIMESTAMPTZ. */
function timeOf(time: Date | Sql, call: string): { sqlite: Sql; postgres: Sql } {
  if (!isSql(time) && !isDate(time)) {
    throw invalidParameter(`sql.${call}() expects a Date or a sql fragment, such as sql\`written\`; got ${typeof time}.`)
  }
  const fragment = isSql(time) ? time : parameter(time)
  return { sqlite: fragment, postgres: template`CAST(${fragment} AS TIMESTAMPTZ)` }
}

const SECONDS = { days: 86_400, hours: 3600, minutes: 60, seconds: 1 } as const

function shift(time: Date | Sql, by: TimeShift): Sql {
  const { sqlite, postgres } = timeOf(time, 'shift')
  const seconds = secondsOf(by)
  return dialect({
    sqlite: strftime(ISO, sqlite, template`, (${seconds}) || ' seconds'`),
    postgres: template`(${postgres} + (${seconds}) * INTERVAL '1 second')`
  })
}

/** The sum of the parts in seconds: a literal for the numbers, and a term for each fragment. */
function secondsOf(by: TimeShift): Sql {
  const parts = Object.entries(typeof by === 'object' && by !== null ? by : {}).filter(([, amount]) => amount !== undefined)
  const isKnown = parts.every(([unit, amount]) => Object.hasOwn(SECONDS, unit) && (isSql(amount) || Number.isFinite(amount)))
  if (parts.length === 0 || !isKnown) {
    throw invalidParameter(
      'sql.shift() expects an object with days, hours, minutes or seconds, each a number or a sql fragment: sql.shift(sql.now, { days: -7 }).'
    )
  }
  let sum = 0
  const terms: Sql[] = []
  for (const [unit, amount] of parts as [keyof typeof SECONDS, number | Sql][]) {
    if (isSql(amount)) terms.push(template`(${amount}) * ${text(String(SECONDS[unit]))}`)
    else sum += amount * SECONDS[unit]
  }
  // A literal, so that the fragment may stand in a DEFAULT, and twice in a GROUP BY.
  if (sum !== 0 || terms.length === 0) terms.push(text(`CAST(${sum} AS DOUBLE PRECISION)`))
  return join(terms, text(' + '))
}

function day(time: Date | Sql): Sql {
  const { sqlite, postgres } = timeOf(time, 'day')
  return dialect({ sqlite: strftime("'%Y-%m-%d'", sqlite), postgres: template`CAST(${postgres} AT TIME ZONE 'UTC' AS DATE)` })
}

function hour(time: Date | Sql): Sql {
  const { sqlite, postgres } = timeOf(time, 'hour')
  return dialect({
    sqlite: template`CAST(${strftime("'%H'", sqlite)} AS INTEGER)`,
    postgres: template`CAST(EXTRACT(HOUR FROM ${postgres} AT TIME ZONE 'UTC') AS INTEGER)`
  })
}

// Both have milliseconds, so that a time that was read finds its row again.
const now = dialect({
  sqlite: `(strftime(${ISO}, 'now'))`,
  // CURRENT_TIMESTAMP would stand still within a transaction.
  postgres: "date_trunc('milliseconds', statement_timestamp())"
})

const autoId = dialect({ sqlite: 'INTEGER PRIMARY KEY AUTOINCREMENT', postgres: 'BIGSERIAL PRIMARY KEY' })

/**
 * The template tag for SQL: each `${value}` becomes a parameter, each fragment part of the SQL.
 *
 * @example
 * db.all(sql`SELECT * FROM users WHERE first_name = ${'Sylvain'}`)
 */
export const sql: SqlTag = Object.assign(template, { id, list, join, json, unsafe, now, autoId, shift, day, hour, query, dialect })
