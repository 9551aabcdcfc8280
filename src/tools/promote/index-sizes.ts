/**
 * Entries of an index that may be too large: at most a third of a page, after compression. Only the server can tell, so
 * it is asked, with a temporary table that is rolled back.
 */
import type { Cell, SqliteFile } from './file.ts'
import { literalOf } from './kinds.ts'
import type { PlanTable } from './plan.ts'
import { type Problems, rowName } from './precheck.ts'
import { quoteName } from './quote.ts'
import { from, keyOf, whereKey } from './rows.ts'
import { serverMessage, type Target } from './target.ts'

/** An entry of fewer bytes always fits; the rest of the limit of 2704 is for its header. */
const SAFE_SIZE = 2600

/** Compression makes at most a ninetieth of an entry. */
const HOPELESS_SIZE = 2704 * 90

const PROBE = 'duolect_entry'

interface Probe {
  readonly name: string
  /** Expressions in SQLite whose sizes add up. */
  readonly expressions: readonly string[]
  readonly where: string | undefined
  /** Makes the temporary table with the index. */
  readonly statements: readonly string[]
}

/** Reports rows whose index entries the server refuses. Called inside of a transaction, which is rolled back. */
export async function checkIndexSizes(file: SqliteFile, target: Target, table: PlanTable, problems: Problems): Promise<void> {
  for (const probe of probesOf(target, table)) await tryEntries(file, target, table, probe, problems)
}

function probesOf(target: Target, table: PlanTable): Probe[] {
  const { existing } = table
  if (existing !== undefined && !existing.isOwn) {
    const columns = table.columns.filter(column => existing.indexedColumns.includes(column.target) && column.kind.type !== 'BOOLEAN')
    if (columns.length === 0) return []
    return [
      {
        name: 'an index on Postgres',
        expressions: columns.map(({ source }) => quoteName(source.name)),
        where: undefined,
        statements: [`CREATE TEMP TABLE ${PROBE} (LIKE ${target.qualify(table.target)} INCLUDING INDEXES)`]
      }
    ]
  }
  const columns = table.columns.map(column => `${quoteName(column.target)} ${column.kind.type}`)
  return table.indexed.map(({ name, expressions, where, terms }) => ({
    name,
    expressions,
    where,
    statements: [`CREATE TEMP TABLE ${PROBE} (${columns.join(', ')})`, `CREATE INDEX ON ${PROBE} (${terms})`]
  }))
}

async function tryEntries(file: SqliteFile, target: Target, table: PlanTable, probe: Probe, problems: Problems): Promise<void> {
  const size = probe.expressions.map(expression => `coalesce(octet_length(${expression}), 0)`).join(' + ')
  const where = `(${size}) > ${SAFE_SIZE}${probe.where === undefined ? '' : ` AND (${probe.where})`}`
  let isMade = false
  for (const [bytes, ...key] of file.each(`SELECT ${size}, ${keyOf(table.source).join(', ')} ${from(table.source)} WHERE ${where}`)) {
    const report = (reason: string) => {
      problems.add(
        table.source.name,
        probe.expressions.length === 1 ? plain(probe.expressions[0] as string) : undefined,
        reason,
        rowName(table, key)
      )
    }
    if ((bytes as bigint) > HOPELESS_SIZE) {
      report(`is too large for ${probe.name}: Postgres takes 2704 bytes`)
      continue
    }
    if (!isMade) {
      isMade = true
      for (const statement of [`DROP TABLE IF EXISTS pg_temp.${PROBE}`, ...probe.statements]) await target.query(statement)
    }
    const error = await target.attempt(() => target.query(insertOf(file, table, key)))
    if (error !== undefined && (error as { code?: string }).code === '54000')
      report(`is too large for ${probe.name}: ${serverMessage(error)}`)
  }
}

function plain(expression: string): string {
  return /^"(?:[^"]|"")*"$/.test(expression) ? expression.slice(1, -1).replaceAll('""', '"') : expression
}

/** Inserts the row's values that can be, since others are reported elsewhere. */
function insertOf(file: SqliteFile, table: PlanTable, key: readonly Cell[]): string {
  const columns = table.columns.filter(({ isComputed }) => !isComputed)
  const list = columns.map(
    ({ source }) => `CASE WHEN coalesce(octet_length(${quoteName(source.name)}), 0) <= ${HOPELESS_SIZE} THEN ${quoteName(source.name)} END`
  )
  const [row] = file.rows(`SELECT ${list.join(', ')} ${from(table.source)} WHERE ${whereKey(table.source)}`, ...key) as [Cell[]]
  const values = columns.map(({ kind }, i) => {
    const value = row[i] as Cell
    if (value === null || kind.problem(value) !== undefined) return 'NULL'
    return literalOf(kind, value)
  })
  return `INSERT INTO ${PROBE} (${columns.map(({ target }) => quoteName(target)).join(', ')}) VALUES (${values.join(', ')})`
}
