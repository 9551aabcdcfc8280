/** duolect's own statements: written in `sql/`, compiled into `queries.<dialect>.generated.ts`, called here by name. */
import type { Dialect, Queryable, QueryParameters, RunResult } from './adapter.ts'
import type { postgresQueries } from './queries.postgres.generated.ts'
import type { sqliteQueries } from './queries.sqlite.generated.ts'

type Compiled = typeof sqliteQueries | typeof postgresQueries
/** The names that every dialect has. */
export type QueryName = keyof Compiled
type CallOf<N extends QueryName> = Compiled[N]['call']

/** What the rows of those that return any look like. */
interface QueryRows {
  countTables: { count: number }
  findValue: { value: string | null }
  findValues: { key: string; value: string | null }
  findAndLockValues: { key: string; value: string | null }
  listValues: { key: string; value: string | null; modifiedOn: Date | null }
  saveUser: object
}

type RowOf<N extends QueryName> = N extends keyof QueryRows ? QueryRows[N] : object

type ResultOf<N extends QueryName> = {
  all: Promise<RowOf<N>[]>
  one: Promise<RowOf<N>>
  maybeOne: Promise<RowOf<N> | undefined>
  run: Promise<RunResult>
  iterate: AsyncIterable<RowOf<N>>
  exec: Promise<void>
}[CallOf<N>]

const known: Partial<Record<Dialect, Compiled>> = {}

/** Makes a dialect's queries known. Its driver does so, as who uses one database need not carry the other's. */
export function useQueries(dialect: Dialect, queries: Compiled): void {
  known[dialect] = queries
}

function queriesOf({ dialect }: Queryable): Compiled {
  return known[dialect] as Compiled
}

/** Calls a named query of the handle's dialect; what comes back is what its `:all`, `:one` … says. */
export function callQuery<N extends QueryName>(handle: Queryable, name: N, parameters?: QueryParameters): ResultOf<N> {
  const { call, text } = queriesOf(handle)[name]
  return handle[call](text, parameters) as ResultOf<N>
}

/** A change for `swapValues`; the file says what the kinds mean. */
export type ValueChange = readonly [kind: 'put' | 'add' | 'swap', key: string, old: string | null, value: string | null]

/** The text of a query that compares and sets in one statement, where the dialect has one. */
export function swapValuesText(handle: Queryable): string | undefined {
  const queries = queriesOf(handle)
  return 'swapValues' in queries ? queries.swapValues.text : undefined
}
