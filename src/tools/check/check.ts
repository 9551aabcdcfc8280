/** `duolect check`: describe → generate → run → compare → shrink → explain, for the queries of one module. */
import type { Dialect } from '../../adapter.ts'
import type { QuerySql } from '../../files/module.ts'
import { findAllowedValues } from '../data/allowed.ts'
import { mergeLiterals } from '../data/literals.ts'
import { type LoadedSet, withRows } from '../data/load.ts'
import { ParameterGenerator, type ParameterSet } from '../data/parameters.ts'
import { Random } from '../data/random.ts'
import { ALL_NULL, EMPTY, mixedSet, ONE_ROW, RowGenerator, type SetPlan } from '../data/rows.ts'
import type { Column, Schema } from '../data/schema.ts'
import { parametersIn, textOf, type Variant } from '../generate/typed.ts'
import type { Side } from '../lab/lab.ts'
import { explain } from './causes.ts'
import type { Comparison } from './compare.ts'
import type { Cause, DifferenceKind, Finding } from './finding.ts'
import { runQuery } from './run.ts'
import { type Shrunk, shrink } from './shrink.ts'
import type { Subject } from './subject.ts'
import { answersOf, type Example, judge, type Replica, replicasOf, type Trial } from './trial.ts'

export type Verdict = 'same' | 'different' | 'undetermined' | 'vacuous' | 'accepted'

/** What the check says of a query. */
export interface Result {
  readonly subject: Subject
  readonly verdict: Verdict
  /** How often it ran on each database. */
  readonly runs: number
  readonly kind?: DifferenceKind | undefined
  /** The database that disagrees with itself. */
  readonly dialect?: Dialect | undefined
  readonly cause?: Cause | undefined
  readonly example?: Example | undefined
  readonly trial?: Trial | undefined
  /** Why nothing was seen. */
  readonly problem?: string | undefined
}

export interface CheckOptions {
  readonly seed: string
  /** Number of sets of mixed rows. */
  readonly runs: number
  /** Told of each query that is done. */
  readonly onResult?: ((result: Result) => void) | undefined
}

/** How many queries share the rows that are generated for their literals. */
const CHUNK = 25

/** How many more sets of rows a query gets that has given no row. */
const MORE = 12

/** How many more sets with ties a query gets whose answer may depend on the order in which rows are read. */
const TIED = 6

/** What picks rows, or numbers them, by the order in which they come. */
const PICKING = ['limit', 'offset', 'fetch', 'over', 'group_concat', 'string_agg', 'array_agg', 'json_group_array', 'json_agg']

/** Checks queries, and returns the results in their order. */
export async function checkSubjects(
  subjects: readonly Subject[],
  sides: readonly Side[],
  whole: Schema,
  { seed, runs, onResult }: CheckOptions
): Promise<Result[]> {
  const results = new Map<Subject, Result>()
  const schema = withoutOwnTables(whole, subjects)
  for (let at = 0; at < subjects.length; at += CHUNK) {
    const chunk = subjects.slice(at, at + CHUNK)
    for (const result of await checkChunk(chunk, sides, schema, seed, runs)) {
      results.set(result.subject, result)
      onResult?.(result)
    }
  }
  return subjects.map(subject => results.get(subject) as Result)
}

/** Without duolect's own tables, where no query and no foreign key names them. */
function withoutOwnTables({ tables, ...rest }: Schema, subjects: readonly Subject[]): Schema {
  const isNamed = (name: string) =>
    subjects.some(({ words }) => words.has(name)) || tables.some(({ foreignKeys }) => foreignKeys.some(({ table }) => table === name))
  return { ...rest, tables: tables.filter(({ name }) => !['kvs', 'users'].includes(name) || isNamed(name)) }
}

/** What is known of a query while it runs. */
interface Progress {
  readonly subject: Subject
  readonly parameters: ParameterGenerator
  runs: number
  /** True if a run gave or changed a row. */
  hasRows: boolean
  found: { readonly example: Example; readonly comparison: Comparison } | undefined
  lastError: string | undefined
}

async function checkChunk(
  subjects: readonly Subject[],
  sides: readonly Side[],
  schema: Schema,
  seed: string,
  mixed: number
): Promise<Result[]> {
  const replicas = replicasOf(sides)
  const literalsOf = literalsFor(subjects)
  const generator = new RowGenerator(literalsOf, seed, await findAllowedValues(sides, schema, literalsOf))
  const progress = subjects.map(
    (subject): Progress => ({
      subject,
      parameters: new ParameterGenerator(subject.parameters, namedBy(subject, schema), subject.literals, `${seed} ${subject.query.name}`),
      runs: 0,
      hasRows: false,
      found: undefined,
      lastError: undefined
    })
  )
  const refusals = new Map<string, string>()
  const filled = new Set<string>()
  const results = new Map<Subject, Result>()
  const runSet = async (plan: SetPlan, wanted: readonly Progress[]) => {
    await withRows(
      replicas,
      schema,
      generator,
      plan,
      async loaded => {
        for (const [name, rows] of loaded.rows) if (rows.length > 0) filled.add(name)
        for (const one of wanted) await runOnSet(one, replicas, schema, loaded)
      },
      ({ table, message }) => refusals.set(table, message)
    )
    for (const one of wanted) {
      if (one.found === undefined) continue
      const result = await resultOfDifference(one, replicas, schema)
      // What does not come again, and reads no clock, is chance.
      if (result === undefined) one.found = undefined
      else results.set(one.subject, result)
    }
  }
  const open = () => progress.filter(({ subject }) => !results.has(subject))
  for (const plan of planRuns(schema, mixed, seed)) await runSet(plan, open())
  for (let i = 1; i <= TIED; i++) {
    const picking = open().filter(({ subject }) => picksRows(subject))
    if (picking.length === 0) break
    await runSet({ ...mixedSet(i), name: `tied ${i}`, ties: i % 3 === 0 ? 0.2 : 0.7 }, picking)
  }
  for (let i = 1; i <= MORE; i++) {
    const vacuous = open().filter(({ hasRows }) => !hasRows)
    if (vacuous.length === 0) break
    await runSet({ name: `more ${i}`, size: i % 2 === 0 ? 24 : 12, nulls: i % 3 === 0 ? 0.5 : 0.1, without: undefined }, vacuous)
  }
  const emptyTables = whyEmpty(schema, filled, refusals)
  return progress.map(one => results.get(one.subject) ?? resultWithoutDifference(one, emptyTables))
}

/** The tables that a query names, whose rows its parameters are about; all of them where it names none. */
function namedBy({ words }: Subject, { tables, ...rest }: Schema): Schema {
  const named = tables.filter(({ name }) => words.has(name.toLowerCase()))
  return { ...rest, tables: named.length > 0 ? named : tables }
}

/** True for a window, a LIMIT, a list of values, and UPDATE … FROM, which takes one of several rows. */
function picksRows({ words }: Subject): boolean {
  return PICKING.some(word => words.has(word)) || (words.has('update') && words.has('from'))
}

/** Why tables never had a row: what their own rows were refused with, or those of a table that they refer to. */
function whyEmpty({ tables }: Schema, filled: ReadonlySet<string>, refusals: ReadonlyMap<string, string>): Map<string, string> {
  const reasons = new Map<string, string>()
  // A table comes behind those that it refers to.
  for (const { name, foreignKeys } of tables) {
    if (filled.has(name)) continue
    const inherited = foreignKeys.map(({ table }) => reasons.get(table)).find(reason => reason !== undefined)
    reasons.set(
      name,
      refusals.get(name) ?? inherited ?? `No row of the table "${name}" could be generated, so nothing that reads it can be tried.`
    )
  }
  return reasons
}

/** The literals of the queries that name a column. */
function literalsFor(subjects: readonly Subject[]): (column: Column) => ReturnType<typeof mergeLiterals> {
  const usesClock = subjects.some(({ usesClock }) => usesClock)
  const day = 86_400_000
  const today = Math.floor(Date.now() / day) * day
  const times = usesClock ? [today, today - day, today + day, today + 2 * day].map(time => new Date(time).toISOString()) : []
  return ({ name, type }) => {
    const own = subjects.filter(({ words }) => words.has(name.toLowerCase())).map(({ literals }) => literals)
    const isTime = type === 'timestamp' || type === 'date'
    return mergeLiterals(isTime ? [...own, { numbers: [], texts: times, jsonNames: [] }] : own)
  }
}

/** Nothing, all that may be NULL is, one row, and a bit of everything, now and then alike or without one of the tables. */
function planRuns({ tables }: Schema, mixed: number, seed: string): SetPlan[] {
  const random = new Random(`${seed} plans`)
  const mixedSets = Array.from({ length: mixed }, (_, i): SetPlan => {
    const number = i + 1
    const without = number % 4 === 0 && tables.length > 1 ? random.pick(tables).name : undefined
    return { ...mixedSet(number), without, ...(number % 4 === 3 && { ties: 0.7 }) }
  })
  return [EMPTY, ONE_ROW, ALL_NULL, ...mixedSets]
}

// Running ---------------------------------------------------------------------------------------------------------

async function runOnSet(progress: Progress, replicas: readonly Replica[], schema: Schema, loaded: LoadedSet): Promise<void> {
  const { subject } = progress
  if (progress.found !== undefined) return
  const runs = parametersOf(progress, loaded)
  // One row has one order, and a write that depends on the order does so with most parameters.
  const isSingle = [...loaded.rows.values()].every(rows => rows.length < 2)
  const runsOf = ({ isReversed }: Replica) => (!isReversed ? runs : isSingle ? [] : subject.writes ? runs.slice(0, 4) : runs)
  const all = await Promise.all(
    loaded.handles.map((handle, i) => runQuery(handle, subject, runsOf(replicas[i] as Replica), loaded.rows, schema))
  )
  progress.runs += runs.length
  for (const [i, parameters] of runs.entries()) {
    const answers = answersOf(
      replicas,
      all.map(answers => answers[i])
    )
    for (const answer of [...answers.sqlite, ...answers.postgres]) {
      if (answer.kind === 'error') progress.lastError = answer.message
      else if (answer.kind === 'rows' ? answer.rows.length > 0 : answer.changes > 0 || subject.query.call === 'exec')
        progress.hasRows = true
    }
    const comparison = judge(answers, subject, parameters)
    if (comparison.status === 'same') continue
    progress.found = { example: { rows: loaded.rows, parameters }, comparison }
    return
  }
}

/** The parameters of each run: those of every combination of the optional lines. */
function parametersOf({ subject, parameters }: Progress, loaded: LoadedSet): ParameterSet[] {
  const { query, variants, untyped } = subject
  const isEmpty = [...loaded.rows.values()].every(rows => rows.length === 0)
  const sets = parameters.sets(loaded, isEmpty ? 2 : Math.min(subject.writes ? 10 : 12, 6 + 2 * query.parameters.length))
  const runs = variants.flatMap((variant, i) => (i === 0 ? sets : sets.slice(0, 3)).map(values => parametersIn(query, values, variant)))
  const [first] = runs
  return first === undefined ? runs : [...runs, ...untyped.map(name => ({ ...first, [name]: 5 }))]
}

// Results ---------------------------------------------------------------------------------------------------------

async function resultOfDifference(progress: Progress, replicas: readonly Replica[], schema: Schema): Promise<Result | undefined> {
  const { subject, found, runs } = progress
  if (found === undefined) return undefined
  const shrunk = await shrink(replicas, schema, subject, found.example)
  if (shrunk === undefined) return subject.usesClock ? undefined : resultOfChance(progress)
  const { comparison } = shrunk.trial
  if (comparison.status === 'same') return undefined
  const finding = findingOf(subject, schema, shrunk)
  const cause = explain(finding)
  const verdict = subject.query.differs !== undefined ? 'accepted' : comparison.status
  return {
    subject,
    verdict,
    runs,
    kind: comparison.kind,
    dialect: comparison.status === 'undetermined' ? comparison.dialect : undefined,
    cause,
    ...shrunk
  }
}

/** The same rows and parameters gave a difference once, and then none. */
function resultOfChance({ subject, found, runs }: Progress): Result {
  const kind = found?.comparison.status === 'same' ? undefined : found?.comparison.kind
  return { subject, verdict: subject.query.differs === undefined ? 'undetermined' : 'accepted', runs, kind, example: found?.example }
}

export function variantOf(subject: Subject, { parameters }: Example): Variant {
  return new Set(Object.keys(parameters).filter(name => subject.query.parameters.some(other => other.name === name && other.isOptional)))
}

function findingOf(subject: Subject, schema: Schema, { example, trial }: Shrunk): Finding {
  const variant = variantOf(subject, example)
  const text = (dialect: Dialect) => textOf(subject.query.sql[dialect] as QuerySql, variant)
  const { comparison, answers } = trial
  const [sqlite, postgres] = [answers.sqlite[0], answers.postgres[0]]
  const errors = Object.fromEntries(
    Object.entries({ sqlite, postgres }).flatMap(([dialect, answer]) =>
      answer?.kind === 'error' ? [[dialect, { code: answer.code, message: answer.message }]] : []
    )
  )
  const { kind, column, values } = { column: undefined, values: undefined, ...(comparison as Extract<Comparison, { status: 'different' }>) }
  return {
    kind,
    texts: { sqlite: text('sqlite'), postgres: text('postgres') },
    schema,
    parameters: example.parameters,
    column,
    values,
    errors
  }
}

function resultWithoutDifference({ subject, runs, hasRows, lastError }: Progress, emptyTables: ReadonlyMap<string, string>): Result {
  const { query, words, refusals } = subject
  const empty = [...emptyTables].find(([table]) => words.has(table.toLowerCase()))
  if (empty !== undefined) return { subject, verdict: 'vacuous', runs, problem: empty[1] }
  if (refusals.sqlite !== undefined && refusals.postgres !== undefined) {
    return { subject, verdict: 'vacuous', runs, problem: `Both databases refuse it. Postgres: ${refusals.postgres.message}.` }
  }
  if (!hasRows) {
    const problem = lastError === undefined ? 'No run gave or changed a row.' : `No run gave or changed a row. The last error: ${lastError}`
    return { subject, verdict: 'vacuous', runs, problem }
  }
  if (query.differs !== undefined) {
    return { subject, verdict: 'same', runs, problem: 'No run differs any more; remove -- @differs.' }
  }
  return { subject, verdict: 'same', runs }
}
