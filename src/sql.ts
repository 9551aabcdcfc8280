import type { Dialect } from './adapter.ts'
import { DatabaseError } from './errors.ts'

/** Gathers the text and the values of a template while it is flattened. */
interface Output {
  text: string
  values: unknown[]
  /** Where in the text the parameter of each value stands. */
  positions: number[]
}

type Write = (output: Output, dialect: Dialect) => void

/**
 * A piece of SQL with its values, made by `sql`. It can be run, or stand inside another template.
 * Its values do not show when it is logged.
 */
export class Sql {
  readonly #write: Write
  readonly #strings: readonly string[] | undefined
  readonly #values: readonly unknown[]

  /** Made by `sql` and its functions only. */
  constructor(write: Write, strings?: readonly string[], values: readonly unknown[] = []) {
    this.#write = write
    this.#strings = strings
    this.#values = values
  }

  /** The literal parts when every value is a plain parameter, so that the statement can be found by them. */
  get strings(): readonly string[] | undefined {
    return this.#strings
  }

  /** The values that stand between `strings`. */
  get values(): readonly unknown[] {
    return this.#values
  }

  /** Returns the text with `$1`, `$2` … in order, and the values for them. */
  flatten(dialect: Dialect): Readonly<Output> {
    const output: Output = { text: '', values: [], positions: [] }
    this.#write(output, dialect)
    return output
  }

  /** Writes this piece into a larger one. */
  writeTo(output: Output, dialect: Dialect): void {
    this.#write(output, dialect)
  }
}

/** What `sql` is: a template tag, and the functions for what a value cannot say. */
export interface SqlTag {
  /**
   * Makes SQL of a template. Each `${value}` becomes a parameter; a `${sql`…`}` becomes part of the text.
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
   * Makes a parameter of each value, with commas between, for `IN (…)` and `VALUES (…)`. Refuses an empty
   * list with `invalid_parameter`, since SQL has none.
   *
   * @example
   * sql`SELECT * FROM users WHERE platform IN (${sql.list(['slack', 'telegram'])})`
   */
  list(values: readonly unknown[]): Sql
  /** Inserts a text as it is. Never pass it what a user typed. */
  unsafe(text: string): Sql
  /** The current time, in milliseconds, as the type of a `TIMESTAMP` column. */
  readonly now: Sql
  /** Picks the piece for the database in use; a string is inserted as it is. */
  dialect(pieces: { readonly [D in Dialect]: Sql | string }): Sql
}

function template(strings: TemplateStringsArray, ...values: readonly unknown[]): Sql {
  if (!Array.isArray(strings)) {
    throw new DatabaseError(
      'invalid_parameter',
      'sql is a template tag: write sql`SELECT 1`, or pass the text itself where SQL is expected.'
    )
  }
  const plain = !values.some(value => value instanceof Sql)
  return new Sql(
    (output, dialect) => {
      for (let i = 0; i < strings.length; i++) {
        output.text += strings[i]
        if (i < values.length) write(values[i], output, dialect)
      }
    },
    plain ? strings : undefined,
    plain ? values : undefined
  )
}

function write(value: unknown, output: Output, dialect: Dialect): void {
  if (value instanceof Sql) {
    value.writeTo(output, dialect)
  } else {
    output.values.push(value)
    output.positions.push(output.text.length)
    output.text += `$${output.values.length}`
  }
}

function text(piece: string): Sql {
  return new Sql(output => {
    output.text += piece
  })
}

function id(...names: readonly string[]): Sql {
  if (names.length === 0) throw new DatabaseError('invalid_parameter', 'sql.id() expects a name.')
  for (const name of names) {
    if (typeof name !== 'string' || name === '' || name.includes('\0')) {
      throw new DatabaseError('invalid_parameter', 'sql.id() expects names that are not empty and have no NUL character.')
    }
  }
  return text(names.map(name => `"${name.replaceAll('"', '""')}"`).join('.'))
}

function list(values: readonly unknown[]): Sql {
  if (!Array.isArray(values) || values.length === 0) {
    throw new DatabaseError(
      'invalid_parameter',
      'sql.list() expects an array with at least one value: SQL has no empty list. Leave the condition out when there is none.'
    )
  }
  return new Sql((output, dialect) => {
    values.forEach((value, i) => {
      if (i > 0) output.text += ', '
      write(value, output, dialect)
    })
  })
}

function unsafe(piece: string): Sql {
  if (typeof piece !== 'string') {
    throw new DatabaseError('invalid_parameter', `sql.unsafe() expects a text, got ${typeof piece}.`)
  }
  return text(piece)
}

function dialect(pieces: { readonly [D in Dialect]: Sql | string }): Sql {
  return new Sql((output, wanted) => {
    const piece = pieces[wanted]
    if (piece instanceof Sql) piece.writeTo(output, wanted)
    else if (typeof piece === 'string') output.text += piece
    else throw new DatabaseError('invalid_parameter', `sql.dialect() has no piece for ${wanted}.`)
  })
}

// Both have milliseconds, so that a time that was read finds its row again.
const now = dialect({
  sqlite: "(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))",
  postgres: "date_trunc('milliseconds', CURRENT_TIMESTAMP)"
})

export const sql: SqlTag = Object.assign(template, { id, list, unsafe, now, dialect })
