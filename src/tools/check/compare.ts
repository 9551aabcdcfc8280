/** Compares what both databases answered, each in two physical orders. Pure. */
import type { Dialect, Row } from '../../adapter.ts'
import type { Answer, Tables } from './answer.ts'
import { keyOfValue } from './answer.ts'
import type { DifferenceKind } from './finding.ts'

/** The answers of one run: of each database, with the rows in one order and in the other. */
export type Answers = Readonly<Record<Dialect, readonly Answer[]>>

export type Comparison =
  | { readonly status: 'same' }
  /** A database gave two answers for the same rows. */
  | { readonly status: 'undetermined'; readonly dialect: Dialect; readonly kind: DifferenceKind; readonly column?: string | undefined }
  | Difference

export interface Difference {
  readonly status: 'different'
  readonly kind: DifferenceKind
  /** The table that differs, for the kind `tables`. */
  readonly table?: string | undefined
  /** The first column that differs, and its value on each. */
  readonly column?: string | undefined
  readonly values?: Readonly<Record<Dialect, unknown>> | undefined
}

const SAME: Comparison = { status: 'same' }

/** @param isOrdered whether the query asks for the order of its rows */
export function compareAnswers({ sqlite, postgres }: Answers, isOrdered: boolean): Comparison {
  // Whatever the order, one of them fails.
  if (
    sqlite.every(({ kind }) => kind !== 'error') === postgres.every(({ kind }) => kind === 'error') &&
    areAlike(sqlite) &&
    areAlike(postgres)
  ) {
    return { status: 'different', kind: 'error' }
  }
  for (const [dialect, answers] of Object.entries({ sqlite, postgres }) as [Dialect, readonly Answer[]][]) {
    const [first, second = first] = answers as [Answer]
    const between = differenceOf(first, second)
    if (between !== undefined) return { status: 'undetermined', dialect, kind: between.kind, column: between.column }
  }
  const between = differenceOf(sqlite[0] as Answer, postgres[0] as Answer)
  if (between !== undefined) return between
  return isOrdered && isInverted(sqlite.map(keysOf), postgres.map(keysOf)) ? { status: 'different', kind: 'order' } : SAME
}

/** True if all fail, or none. */
function areAlike(answers: readonly Answer[]): boolean {
  return new Set(answers.map(({ kind }) => kind === 'error')).size === 1
}

function keysOf(answer: Answer): readonly string[] {
  return answer.kind === 'rows' ? answer.keys : []
}

/** Compares two answers, rows as sets. The first answer counts as SQLite's. */
function differenceOf(sqlite: Answer, postgres: Answer): Difference | undefined {
  if (sqlite.kind === 'error' || postgres.kind === 'error') {
    const isSame = sqlite.kind === 'error' && postgres.kind === 'error' && sqlite.code === postgres.code
    return isSame ? undefined : { status: 'different', kind: 'error' }
  }
  if (sqlite.kind === 'rows' && postgres.kind === 'rows') {
    const found = differenceOfRows(sqlite, postgres)
    if (found !== undefined) return found
  }
  if (sqlite.kind === 'changes' && postgres.kind === 'changes' && sqlite.changes !== postgres.changes) {
    return { status: 'different', kind: 'changes', values: { sqlite: sqlite.changes, postgres: postgres.changes } }
  }
  return differenceOfTables(sqlite.tables, postgres.tables)
}

interface Keyed {
  readonly rows: readonly Row[]
  readonly keys: readonly string[]
}

function differenceOfTables(sqlite: Tables, postgres: Tables): Difference | undefined {
  for (const [table, rows] of sqlite) {
    const found = differenceOfRows(rows, postgres.get(table) as Keyed)
    if (found !== undefined) return { ...found, kind: 'tables', table }
  }
  return undefined
}

function differenceOfRows(sqlite: Keyed, postgres: Keyed): Difference | undefined {
  const [onlySqlite, onlyPostgres] = [without(sqlite, postgres.keys), without(postgres, sqlite.keys)]
  if (onlySqlite.length === 0 && onlyPostgres.length === 0) return undefined
  const names = (row: Row | undefined) => JSON.stringify(Object.keys(row ?? {}).sort())
  const [first, other] = [sqlite.rows[0], postgres.rows[0]]
  if (first !== undefined && other !== undefined && names(first) !== names(other)) return { status: 'different', kind: 'columns' }
  return { status: 'different', kind: 'rows', ...nearestPair(onlySqlite, onlyPostgres) }
}

/** The rows that the other answer does not have, or not as often. */
function without({ rows, keys }: Keyed, others: readonly string[]): Row[] {
  const left = new Map<string, number>()
  for (const key of others) left.set(key, (left.get(key) ?? 0) + 1)
  return rows.filter((_, i) => {
    const key = keys[i] as string
    const count = left.get(key) ?? 0
    left.set(key, count - 1)
    return count <= 0
  })
}

/** The first column in which the two rows that have most in common differ. */
function nearestPair(sqlite: readonly Row[], postgres: readonly Row[]): Pick<Difference, 'column' | 'values'> {
  let best: { common: number; column: string; values: Record<Dialect, unknown> } | undefined
  for (const a of sqlite.slice(0, 20)) {
    for (const b of postgres.slice(0, 20)) {
      const names = Object.keys(a)
      const differing = names.filter(name => keyOfValue(a[name]) !== keyOfValue(b[name]))
      const [column] = differing
      const common = names.length - differing.length
      if (column !== undefined && common > (best?.common ?? -1))
        best = { common, column, values: { sqlite: a[column], postgres: b[column] } }
    }
  }
  // Of rows that have nothing in common, other ones were found.
  const isOneColumn = sqlite.length === 1 && postgres.length === 1
  return best !== undefined && (best.common > 0 || isOneColumn) ? { column: best.column, values: best.values } : {}
}

/** True if two rows stand in one order in every answer of SQLite, and in the other in every answer of Postgres. */
function isInverted(sqlite: readonly (readonly string[])[], postgres: readonly (readonly string[])[]): boolean {
  const places = (answers: readonly (readonly string[])[]) => answers.map(keys => new Map(keys.map((key, i) => [key, i])))
  const [ofSqlite, ofPostgres] = [places(sqlite), places(postgres)]
  const keys = [...new Set(sqlite[0])].filter((key, _, all) => all.length > 1 && sqlite[0]?.indexOf(key) === sqlite[0]?.lastIndexOf(key))
  const isBefore = (all: readonly Map<string, number>[], a: string, b: string) =>
    all.every(of => (of.get(a) as number) < (of.get(b) as number))
  return keys.some((a, i) =>
    keys.slice(i + 1).some(b => {
      return (isBefore(ofSqlite, a, b) && isBefore(ofPostgres, b, a)) || (isBefore(ofSqlite, b, a) && isBefore(ofPostgres, a, b))
    })
  )
}
