/**
 * Runs queries on generated rows through duolect, to see what no description tells: whether an expression is ever NULL,
 * what SQLite's expressions are, and whether NULL as a parameter has an effect.
 */
import type { Dialect, Row } from '../../adapter.ts'
import { DatabaseError } from '../../errors.ts'
import type { SourceError } from '../../files/source.ts'
import type { TypeWord } from '../../files/types.ts'
import type { Transaction } from '../../handle.ts'
import { type QuerySource, type Sql, sql } from '../../sql.ts'
import { findAllowedValues } from '../data/allowed.ts'
import { attempt, type Outcome } from '../data/attempt.ts'
import { literalsOf, mergeLiterals } from '../data/literals.ts'
import { type LoadedSet, withRows } from '../data/load.ts'
import { generateParameters, type ParameterSet } from '../data/parameters.ts'
import { planSets, RowGenerator } from '../data/rows.ts'
import { mergeSchemas, readSchema, type Schema } from '../data/schema.ts'
import type { DataValue } from '../data/values.ts'
import type { Side } from '../lab/lab.ts'
import { answersOf, castAdvice } from './describe.ts'
import {
  errorAt,
  NAMES,
  parametersIn,
  sourceOf,
  type TypedColumn,
  type TypedParameter,
  type TypedQuery,
  textOf,
  variantsOf
} from './typed.ts'

/** What was seen of a query. */
export interface Observation {
  /** Number of rows that it returned or changed. */
  rows: number
  /** Columns that were NULL in a row. */
  readonly nulls: Set<string>
  /** Columns that were NULL in a row when a parameter was NULL, by the parameter. */
  readonly nullsWith: Map<string, Set<string>>
  /** The types of JavaScript of columns whose types nothing says. */
  readonly kinds: Map<string, Set<string>>
  /** Parameters for which NULL has an effect, by database. */
  readonly nullable: Map<string, Set<Dialect>>
  /** Parameters that refused NULL. */
  readonly refused: Set<string>
  /** The last error, for a query that never succeeded. */
  error: unknown
}

export interface ObserveOptions {
  readonly seed: string
  /** Number of sets of mixed rows. */
  readonly mixedSets: number
  /** Number of sets of parameters for each set of rows. */
  readonly parameterSets: number
}

export const DEFAULTS: ObserveOptions = { seed: 'duolect', mixedSets: 4, parameterSets: 5 }

/**
 * Runs the queries. The observations are in their order.
 *
 * @param warn is told of tables for which no row could be generated
 */
export async function observeQueries(
  queries: readonly TypedQuery[],
  sides: readonly Side[],
  warn: (warning: string) => void,
  options: ObserveOptions = DEFAULTS
): Promise<Observation[]> {
  const schema = mergeSchemas(await Promise.all(sides.map(({ db }) => readSchema(db))))
  const tried = queries.map(query => new TriedQuery(query, schema, options))
  const literals = mergeLiterals(tried.map(({ literals }) => literals))
  const generator = new RowGenerator(literals, options.seed, await findAllowedValues(sides, schema, literals))
  const tables = new Map<string, string>()
  for (const plan of planSets(schema, options.mixedSets)) {
    const use = async (loaded: LoadedSet) => {
      for (const query of tried) await query.run(loaded, plan.name)
    }
    await withRows(sides, schema, generator, plan, use, refused => tables.set(refused.table, refused.message))
  }
  for (const warning of tables.values()) warn(warning)
  return tried.map(({ observation }) => observation)
}

class TriedQuery {
  readonly observation: Observation = {
    rows: 0,
    nulls: new Set(),
    nullsWith: new Map(),
    kinds: new Map(),
    nullable: new Map(),
    refused: new Set(),
    error: undefined
  }
  readonly literals
  readonly #typed: TypedQuery
  readonly #schema: Schema
  readonly #source: QuerySource
  readonly #options: ObserveOptions
  /** What NULL gave on no rows, by parameter. */
  readonly #onNothing = new Map<string, Set<string>>()

  constructor(typed: TypedQuery, schema: Schema, options: ObserveOptions) {
    this.#typed = typed
    this.#schema = schema
    this.#source = sourceOf(typed)
    this.#options = options
    const [all] = variantsOf(typed.query)
    this.literals = literalsOf(Object.values(typed.query.sql).map(sql => textOf(sql, all ?? new Set())))
  }

  async run(loaded: LoadedSet, set: string): Promise<void> {
    const { query, parameters } = this.#typed
    const { handles } = loaded
    if (query.call === 'exec') return this.#runScript(handles, set)
    const seed = `${this.#options.seed} ${query.name} ${set}`
    const sets = generateParameters(parameters, loaded, this.#schema, this.literals, this.#options.parameterSets, seed)
    for (const [i, variant] of variantsOf(query).entries()) {
      for (const values of i === 0 ? sets : sets.slice(0, 2)) {
        const given = parametersIn(query, values, variant)
        for (const handle of handles) this.#see(handle.dialect, await this.#try(handle, given), this.observation.nulls)
      }
    }
    const [first = {}, second = first] = sets
    for (const parameter of parameters) {
      if (parameter.isList || parameter.isCount || parameter.parameter.annotation?.isNullable !== undefined) continue
      for (const values of [first, second]) {
        for (const handle of handles) await this.#tryNull(handle, parameter, values, set)
      }
    }
  }

  async #runScript(handles: readonly Transaction[], set: string): Promise<void> {
    if (set !== 'empty') return
    for (const handle of handles) {
      const outcome = await attempt(handle, tx => tx.exec(sql.query(this.#source)))
      if ('error' in outcome)
        throw errorAt(this.#typed.query, `${NAMES[handle.dialect]} refuses the script: ${(outcome.error as Error).message}`)
    }
  }

  #try(handle: Transaction, values: ParameterSet): Promise<Outcome<Row[] | number>> {
    const { call } = this.#typed.query
    const statement: Sql = sql.query(this.#source, values)
    return attempt(handle, async tx => (call === 'run' ? (await tx.run(statement)).changes : tx.all(statement)))
  }

  #see(dialect: Dialect, outcome: Outcome<Row[] | number>, nulls: Set<string>): void {
    if ('error' in outcome) {
      this.observation.error = outcome.error
      if (isUndecodable(outcome.error)) throw this.#undecodable(dialect, outcome.error)
      return
    }
    const { value } = outcome
    this.observation.rows += typeof value === 'number' ? value : value.length
    if (typeof value === 'number') return
    for (const row of value) {
      for (const column of this.#typed.columns) {
        const cell = row[column.name]
        if (cell === null) nulls.add(column.name)
        else if (column.type === undefined) this.#seeKind(column, cell)
        else if (!isOfType(cell, column)) throw this.#wrongType(dialect, column, cell)
      }
    }
  }

  #seeKind({ name }: TypedColumn, cell: unknown): void {
    const kinds = this.observation.kinds.get(name) ?? new Set()
    this.observation.kinds.set(name, kinds.add(cell instanceof Uint8Array ? 'Uint8Array' : typeof cell))
  }

  #wrongType(dialect: Dialect, column: TypedColumn, cell: unknown): SourceError {
    const { query } = this.#typed
    const { name, described, type } = column
    return errorAt(
      query,
      `The databases give the column "${name}" of "${query.name}" different types: ${answersOf(described)}, where ${NAMES[dialect]} gave ${nameOfValue(cell)}. ${castAdvice(type)}`
    )
  }

  #undecodable(dialect: Dialect, error: DatabaseError): SourceError {
    const column = this.#typed.columns.find(({ name }) => name === error.column)
    const answers = column === undefined ? '' : ` (${answersOf(column.described)})`
    return errorAt(
      this.#typed.query,
      `${NAMES[dialect]} gave what Postgres's type does not fit${answers}: ${error.message} Give both one type, with a CAST or with a line for each database.`
    )
  }

  /**
   * NULL has an effect when it changes a row, or when it finds rows that neither empty tables nor values beyond all
   * others give: a comparison with it finds what a comparison with those finds.
   */
  async #tryNull(handle: Transaction, { name, type }: TypedParameter, values: ParameterSet, set: string): Promise<void> {
    const { dialect } = handle
    const outcome = await this.#try(handle, { ...values, [name]: null })
    if ('error' in outcome) {
      if (outcome.error instanceof DatabaseError && outcome.error.code === 'not_null_violation') this.observation.refused.add(name)
      return
    }
    const { value } = outcome
    const nulls = this.observation.nullsWith.get(name) ?? new Set()
    this.observation.nullsWith.set(name, nulls)
    this.#see(dialect, outcome, nulls)
    const onNothing = this.#onNothing.get(`${dialect} ${name}`) ?? new Set()
    this.#onNothing.set(`${dialect} ${name}`, onNothing)
    const text = fingerprint(value)
    if (set === 'empty' && !this.#typed.writes) onNothing.add(text)
    if (set === 'empty' || (typeof value === 'number' ? value === 0 : value.length === 0) || onNothing.has(text)) return
    if (!this.#typed.writes) {
      for (const extreme of EXTREMES[type] ?? []) {
        const other = await this.#try(handle, { ...values, [name]: extreme })
        if ('value' in other && fingerprint(other.value) === text) return
      }
    }
    const dialects = this.observation.nullable.get(name) ?? new Set()
    this.observation.nullable.set(name, dialects.add(dialect))
  }
}

/** Values that no row has, below and above all that rows have. */
const EXTREMES: Readonly<Partial<Record<TypeWord, readonly DataValue[]>>> = {
  text: ['\u0001', '\u{10fffd}'],
  integer: [-2_000_000_001, 2_000_000_001],
  bigint: [-2_000_000_001, 2_000_000_001],
  double: [-2_000_000_001.5, 2_000_000_001.5],
  numeric: ['-2000000001.5', '2000000001.5'],
  boolean: [true, false],
  timestamp: [new Date('0002-01-01'), new Date('9998-01-01')],
  date: ['0002-01-01', '9998-01-01']
}

function fingerprint(value: Row[] | number): string {
  return JSON.stringify(value, (_, cell) => (typeof cell === 'bigint' ? String(cell) : cell))
}

function isUndecodable(error: unknown): error is DatabaseError {
  return error instanceof DatabaseError && error.code === 'data_corrupted'
}

/** True if a value that is not NULL is what a column's type says. */
function isOfType(value: unknown, { type }: TypedColumn): boolean {
  switch (type) {
    case 'integer':
    case 'bigint':
      return typeof value === 'bigint' || Number.isInteger(value)
    case 'double':
      return typeof value === 'number'
    case 'boolean':
      return typeof value === 'boolean'
    case 'timestamp':
      return value instanceof Date
    case 'date':
      return typeof value === 'string' && /^\d{4,}-\d\d-\d\d/.test(value)
    case 'bytea':
      return value instanceof Uint8Array
    case 'json':
      return true
    default:
      return typeof value === 'string'
  }
}

function nameOfValue(value: unknown): string {
  if (value instanceof Date) return 'a time'
  if (value instanceof Uint8Array) return 'bytes'
  return typeof value === 'object' ? 'JSON' : `a ${typeof value}`
}
