/** Runs a query on given rows, on both databases in both orders: what a counterexample is, and whether it holds. */
import type { Dialect } from '../../adapter.ts'
import type { Handle } from '../../handle.ts'
import { type Store, withGivenRows } from '../data/load.ts'
import type { ParameterSet } from '../data/parameters.ts'
import type { DataRows } from '../data/rows.ts'
import type { Schema } from '../data/schema.ts'
import type { Side } from '../lab/lab.ts'
import { type Answers, type Comparison, compareAnswers } from './compare.ts'
import { runAlone } from './run.ts'
import type { Subject } from './subject.ts'

/** A database that holds the rows in one of the orders. */
export interface Replica extends Store {
  readonly db: Handle
  readonly dialect: Dialect
  readonly isReversed: boolean
}

/** One run: the rows, and the parameters, which tell the variant too. */
export interface Example {
  readonly rows: DataRows
  readonly parameters: ParameterSet
}

export interface Trial {
  readonly comparison: Comparison
  readonly answers: Answers
}

export function replicasOf(sides: readonly Side[]): Replica[] {
  return sides.flatMap(({ dialect, db, twin }) => [
    { db, dialect, isReversed: false },
    ...(twin === undefined ? [] : [{ db: twin, dialect, isReversed: true }])
  ])
}

/** Runs an example. Returns undefined where a database refuses its rows. */
export async function tryExample(
  replicas: readonly Replica[],
  schema: Schema,
  subject: Subject,
  { rows, parameters }: Example
): Promise<Trial | undefined> {
  try {
    return await withGivenRows(replicas, schema, rows, async handles => {
      const answers = answersOf(replicas, await Promise.all(handles.map(handle => runAlone(handle, subject, parameters, rows, schema))))
      return { comparison: judge(answers, subject, parameters), answers }
    })
  } catch {
    return undefined
  }
}

/** The answers by their database, without those that were not asked for. */
export function answersOf<T>(replicas: readonly Replica[], answers: readonly (T | undefined)[]): Readonly<Record<Dialect, readonly T[]>> {
  const of = (dialect: Dialect) =>
    answers.filter((answer, i): answer is T & typeof answer => answer !== undefined && replicas[i]?.dialect === dialect)
  return { sqlite: of('sqlite'), postgres: of('postgres') }
}

/** Compares answers, unless the parameters are some that no caller may give. */
export function judge(answers: Answers, subject: Subject, parameters: ParameterSet): Comparison {
  const comparison = compareAnswers(answers, subject.isOrdered)
  if (comparison.status === 'same') return comparison
  // A column that is NOT NULL makes a parameter so, in the types of callers.
  const isRefused = [...answers.sqlite, ...answers.postgres].some(answer => answer.kind === 'error' && answer.code === 'not_null_violation')
  const givesNull = subject.query.parameters.some(({ name, annotation }) => parameters[name] === null && annotation?.isNullable !== true)
  return isRefused && givesNull ? { status: 'same' } : comparison
}
