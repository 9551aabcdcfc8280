/** Runs a query on both databases, in transactions that are rolled back, and says how the answers differ. */
import { inspect } from 'node:util'
import type { Database, Dialect, Row } from '../../src/index.ts'
import { statementsOf } from '../../src/lexer.ts'
import { statementOf } from '../../src/statement.ts'
import type { Finding } from '../../src/tools/check/finding.ts'
import { mergeSchemas, readSchema, type Schema } from '../../src/tools/data/schema.ts'
import { renderQuery, renderScript } from './causes.ts'

/** What is run: SQL as in files. */
export interface Run {
  readonly query: string
  /** Those that the query does not name are left out. */
  readonly parameters?: Readonly<Record<string, unknown>> | undefined
  /** More tables. */
  readonly tables?: string | undefined
  /** Statements that run before the query. */
  readonly rows?: string | undefined
  /** What is read after a write. */
  readonly after?: string | undefined
}

interface Answer {
  readonly schema: Schema
  readonly rows: readonly Row[]
  readonly changes: number
  readonly after: readonly Row[]
  readonly error?: { readonly code: string; readonly message: string }
}

export interface Answers {
  readonly texts: Readonly<Record<Dialect, string>>
  readonly parameters: Run['parameters']
  readonly sqlite: Answer
  readonly postgres: Answer
}

const UNDO = new Error('undone')

export async function answersOf(databases: readonly Database[], run: Run): Promise<Answers> {
  const texts = renderQuery(run.query)
  const answers = {} as Record<Dialect, Answer>
  for (const db of databases) answers[db.dialect] = await runOn(db, run, texts[db.dialect])
  return { texts, parameters: run.parameters, ...answers }
}

async function runOn(db: Database, run: Run, text: string): Promise<Answer> {
  let answer: Answer | undefined
  const shared = run.tables === undefined ? await schemaOf(db) : undefined
  try {
    await db.transaction(async tx => {
      if (run.tables !== undefined) await tx.exec(renderScript(run.tables)[db.dialect])
      if (run.rows !== undefined) await tx.exec(renderScript(run.rows)[db.dialect])
      const schema = shared ?? (await readSchema(tx))
      const { names = [] } = statementOf(text, db.dialect)
      const parameters = Object.fromEntries(names.map(name => [name, run.parameters?.[name]]))
      const returnsNothing = /^(?:INSERT|REPLACE|UPDATE|DELETE|TRUNCATE)\b(?!.*\bRETURNING\b)/is.test(text)
      try {
        await tx.transaction(async inner => {
          const rows = returnsNothing ? [] : await inner.all(text, parameters)
          const { changes } = returnsNothing ? await inner.run(text, parameters) : { changes: 0 }
          answer = { schema, rows, changes, after: run.after === undefined ? [] : await inner.all(run.after) }
        })
      } catch (error) {
        const { code, message } = error as { code: string; message: string }
        answer = { schema, rows: [], changes: 0, after: [], error: { code, message } }
      }
      throw UNDO
    })
  } catch (error) {
    if (error !== UNDO) throw error
  }
  return answer as Answer
}

const schemas = new WeakMap<Database, Promise<Schema>>()

/** Reads the schema once. */
function schemaOf(db: Database): Promise<Schema> {
  const schema = schemas.get(db) ?? readSchema(db)
  schemas.set(db, schema)
  return schema
}

/** Returns the difference, and undefined where both answer alike. */
export function differenceOf({ texts, parameters, sqlite, postgres }: Answers): Finding | undefined {
  const finding = { texts, parameters, schema: mergeSchemas([sqlite.schema, postgres.schema]) }
  if (sqlite.error?.code !== postgres.error?.code) {
    const errors = { ...(sqlite.error && { sqlite: sqlite.error }), ...(postgres.error && { postgres: postgres.error }) }
    return { kind: 'error', ...finding, errors }
  }
  if (sqlite.changes !== postgres.changes) return { kind: 'changes', ...finding }
  if (!isSame(sqlite.after, postgres.after)) return { kind: 'tables', ...finding, ...firstDifference(sqlite.after, postgres.after) }
  const [names, others] = [sqlite, postgres].map(({ rows: [row] }) => Object.keys(row ?? {})) as [string[], string[]]
  if (sqlite.rows.length > 0 && postgres.rows.length > 0 && !isSame(names, others)) {
    return { kind: 'columns', ...finding, column: names.find((name, i) => name !== others[i]) }
  }
  const isOrdered = statementsOf(texts.sqlite, 'sqlite')[0]?.tokens.some(({ start, end }) =>
    /^order$/i.test(texts.sqlite.slice(start, end))
  )
  const sorted = [sqlite, postgres].map(({ rows }) => rows.toSorted((a, b) => (shown(a) < shown(b) ? -1 : 1))) as [Row[], Row[]]
  if (isSame(...sorted)) {
    const isSameOrder = !isOrdered || isSame(sqlite.rows, postgres.rows)
    return isSameOrder ? undefined : { kind: 'order', ...finding, ...firstDifference(sqlite.rows, postgres.rows) }
  }
  return { kind: 'rows', ...finding, ...(isOrdered ? firstDifference(sqlite.rows, postgres.rows) : firstDifference(...sorted)) }
}

function firstDifference(rows: readonly Row[], others: readonly Row[]): Pick<Finding, 'column' | 'values'> {
  if (rows.length !== others.length) return {}
  for (const [i, row] of rows.entries()) {
    const column = Object.keys(row).find(name => !isSame(row[name], others[i]?.[name]))
    if (column !== undefined) return { column, values: { sqlite: row[column], postgres: others[i]?.[column] } }
  }
  return {}
}

function isSame(a: unknown, b: unknown): boolean {
  return shown(a) === shown(b)
}

/** A value with its type. */
function shown(value: unknown): string {
  return inspect(value, { depth: null })
}
