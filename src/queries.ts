/** duolect's own statements: written in `sql/`, compiled into `queries.generated.ts`, called here by name. */
import type { Dialect, RunResult } from './adapter.ts'
import { executeNow, executeScript, executeStatement, queryRow, queryRows, type Runner } from './execute.ts'
import { ownQueries } from './queries.generated.ts'
import { bind, type QueryParameters } from './statement.ts'

type OwnQueries = typeof ownQueries
export type QueryName = keyof OwnQueries

/** What the rows of those that return any look like. */
interface QueryRows {
  countTables: { count: number }
  describeServer: { isStandby: boolean; isReadOnly: boolean }
  findValue: { value: string | null }
  findValues: { key: string; value: string | null }
  findAndLockValues: { key: string; value: string | null }
  findLockedKeys: { key: string }
  addValues: { key: string }
  addLoneValue: { key: string }
  swapValues: { key: string }
  swapLoneValue: { key: string }
  removeValues: { key: string }
  removeLoneValue: { key: string }
  removeOldValues: { key: string }
  listKeys: { key: string }
  listValues: { key: string; value: string | null; modifiedOn: Date | null }
  saveUser: object
  countMigrationTables: { count: number }
  findMigrations: { name: string; checksum: string | null }
  lockMigrations: object
  findForeignKeys: { child: string; parent: string }
  countEnforcedForeignKeys: { count: number }
  findDanglingRows: { child: string; parent: string; count: number }
  findIndexesAndTriggers: { type: string; name: string; tableName: string; sql: string }
  findTables: { name: string }
  findSequences: { name: string; largestId: number | bigint }
}

type RowOf<N extends QueryName> = N extends keyof QueryRows ? QueryRows[N] : object

type ResultOf<N extends QueryName> = {
  all: RowOf<N>[]
  one: RowOf<N>
  maybeOne: RowOf<N> | undefined
  run: RunResult
  exec: undefined
}[OwnQueries[N]['call']]

/** Returns the SQL of a query; undefined where the dialect has none. */
export function textOf(name: QueryName, dialect: Dialect): string | undefined {
  const text: string | { readonly [D in Dialect]?: string } = ownQueries[name].text
  return typeof text === 'string' ? text : text[dialect]
}

function textFor(name: QueryName, { dialect }: Runner): string {
  const text = textOf(name, dialect)
  if (text === undefined) throw new Error(`The query ${name} has no SQL for ${dialect}.`)
  return text
}

/** Runs a named query in the runner's dialect; what comes back is what its `:all`, `:one` … says. */
export function callQuery<N extends QueryName>(runner: Runner, name: N, parameters?: QueryParameters): Promise<ResultOf<N>> {
  return call(runner, name, parameters) as Promise<ResultOf<N>>
}

/**
 * Runs a named query whose call is `:run`, for a caller who has gathered the calls of this turn: a driver need not wait
 * for more of them, and may return the result without a promise.
 */
export function runGathered(runner: Runner, name: QueryName, parameters: QueryParameters): RunResult | Promise<RunResult> {
  const { text, values, expects } = bind(textFor(name, runner), parameters, runner.dialect)
  return executeNow(runner, { text, values, parameters, expects, isGathered: true })
}

function call(runner: Runner, name: QueryName, parameters: QueryParameters | undefined): Promise<unknown> {
  const text = textFor(name, runner)
  switch (ownQueries[name].call) {
    case 'exec':
      return executeScript(runner, text)
    case 'run':
      return executeStatement(runner, bind(text, parameters, runner.dialect))
    case 'all':
      return queryRows(runner, bind(text, parameters, runner.dialect))
    case 'one':
      return queryRow(runner, bind(text, parameters, runner.dialect, undefined, 'one'))
    case 'maybeOne':
      return queryRow(runner, bind(text, parameters, runner.dialect, undefined, 'one or none'))
  }
}
