/** Generates the parameters of queries: from their types, the rows, and the query's own literals. Pure. */
import type { TypeWord } from '../../files/types.ts'
import type { Literals } from './literals.ts'
import { Deck, Random } from './random.ts'
import type { DataRows } from './rows.ts'
import type { Column, Schema } from './schema.ts'
import { type DataValue, valuesFor } from './values.ts'

/** A parameter to be given values. */
export interface ParameterPlan {
  readonly name: string
  readonly type: TypeWord
  readonly isList: boolean
  /** True for a whole LIMIT or OFFSET. */
  readonly isCount: boolean
  /** True if NULL is one of the values. */
  readonly isNullable: boolean
  /** True for JSON whose elements the query reads as rows. @default false */
  readonly isArray?: boolean
}

export type ParameterSet = Readonly<Record<string, DataValue>>

/** What one set of rows has: those that are stored, and some that are not. */
type GivenRows = { readonly rows: DataRows; readonly fresh: DataRows }

/** Generates sets of parameters for one query on one set of rows. */
export function generateParameters(
  plans: readonly ParameterPlan[],
  given: GivenRows,
  schema: Schema,
  literals: Literals,
  count: number,
  seed: string
): ParameterSet[] {
  return new ParameterGenerator(plans, schema, literals, seed).sets(given, count)
}

/** Generates the parameters of one query. Its decks go on from one set of rows to the next, so that each value comes. */
export class ParameterGenerator {
  readonly #plans: readonly ParameterPlan[]
  readonly #schema: Schema
  readonly #random: Random
  /** The values of each parameter that no row gives. */
  readonly #edges: ReadonlyMap<string, Deck<DataValue>>
  /** The same for the parameter that leaves its row. */
  readonly #strays: ReadonlyMap<string, Deck<DataValue>>
  #turn = 0

  constructor(plans: readonly ParameterPlan[], schema: Schema, literals: Literals, seed: string) {
    this.#plans = plans
    this.#schema = schema
    const random = new Random(seed)
    this.#random = random
    this.#edges = new Map(plans.map(plan => [plan.name, new Deck(edgesOf(plan, schema, literals), random)]))
    this.#strays = new Map(
      plans.map(plan => {
        // Behind a row's other values, so that they meet it: three times, as some sets have no such row.
        const limits = overlong(columnsAlike(plan, schema).map(({ column }) => column))
        return [plan.name, new Deck(edgesOf(plan, schema, literals), random, [...limits, ...limits, ...limits])]
      })
    )
  }

  sets({ rows, fresh }: GivenRows, count: number): ParameterSet[] {
    if (this.#plans.length === 0) return [{}]
    const known = new Map(this.#plans.map(plan => [plan.name, this.#valuesOf(plan, rows)]))
    // Values of one row belong together: WHERE id = :id AND author = :author; INSERT.
    const ofFresh = rowParameters(this.#plans, fresh, this.#schema, this.#random)
    const ofRows = rowParameters(this.#plans, rows, this.#schema, this.#random)
    // Many rows refer to the first one of a table.
    const first = new Map([...rows].map(([table, own]) => [table, own.slice(0, 1)]))
    const ofFirst = rowParameters(this.#plans, first, this.#schema, this.#random)
    return Array.from({ length: count }, (_, i) => {
      const dealt = Object.fromEntries(this.#plans.map(plan => [plan.name, this.#deal(plan, known.get(plan.name) ?? [])]))
      const rowsOfSet = i === 1 ? ofFirst : i === 2 ? [] : i % 3 === 0 ? ofFresh : ofRows
      if (rowsOfSet.length === 0) return dealt
      const set: Record<string, DataValue> = { ...dealt, ...this.#random.pick(rowsOfSet) }
      if (i < 3) return set
      // One that leaves the row shows what the others hide.
      const plan = this.#plans[this.#turn++ % this.#plans.length] as ParameterPlan
      const other = i === 4 ? this.#inOtherCase(known.get(plan.name) ?? []) : undefined
      const stray = plan.isList || plan.isArray === true ? dealt[plan.name] : (other ?? this.#strays.get(plan.name)?.deal())
      set[plan.name] = stray ?? null
      return set
    })
  }

  /** Half of the rows, so that conditions hold, and half of the edges. */
  #deal(plan: ParameterPlan, known: readonly DataValue[]): DataValue {
    const one = () =>
      known.length > 0 && this.#random.chance(0.5) ? this.#random.pick(known) : (this.#edges.get(plan.name)?.deal() ?? null)
    if (!plan.isList && plan.isArray !== true) return one()
    const length = this.#random.pick([0, 1, 3, 5, 20])
    return Array.from({ length }, one).filter(value => value !== null)
  }

  /** A text of the rows in the other case, beyond ASCII where there is one: the databases' lower() differ there. */
  #inOtherCase(known: readonly DataValue[]): DataValue | undefined {
    const texts = known.filter(value => typeof value === 'string').filter(text => otherCase(text) !== text)
    const beyond = texts.filter(text => /[^\0-\x7f]/.test(text))
    return texts.length === 0 ? undefined : otherCase(this.#random.pick(beyond.length > 0 ? beyond : texts))
  }

  #valuesOf(plan: ParameterPlan, rows: DataRows): DataValue[] {
    if (plan.isCount) return []
    const columns = columnsAlike(plan, this.#schema)
    return columns
      .flatMap(({ table, column }) => (rows.get(table) ?? []).map(row => row[column.name] ?? null))
      .filter(value => value !== null)
  }
}

function otherCase(text: string): string {
  const lower = text.toLowerCase()
  return lower === text ? text.toUpperCase() : lower
}

const COUNTS = [0, 1, 2, 5, 1000]

function edgesOf(plan: ParameterPlan, schema: Schema, literals: Literals): DataValue[] {
  if (plan.isCount) return COUNTS
  const columns = columnsAlike(plan, schema).map(({ column }) => column)
  const type = plan.isArray === true ? (columns[0]?.type ?? 'text') : plan.type
  const values = [...valuesFor({ type, typeName: type }, literals), ...overlong(columns)]
  return plan.isNullable && !plan.isList && plan.isArray !== true ? [...values, null, null] : values
}

/** A text for each limit of a VARCHAR or CHAR, and one that is longer. */
function overlong(columns: readonly Column[]): string[] {
  const limits = columns.map(({ typeName }) => Number(/^character.*\((\d+)\)/.exec(typeName)?.[1]))
  return [...new Set(limits)].filter(limit => limit < 1000).flatMap(limit => ['x'.repeat(limit), 'x'.repeat(limit + 1)])
}

/** The columns of a parameter's type; those whose name is alike alone, where there are any. `keys` is an array of `key`. */
function columnsAlike({ name, type, isArray = false }: ParameterPlan, { tables }: Schema): { table: string; column: Column }[] {
  const all = tables.flatMap(table => table.columns.map(column => ({ table: table.name, column })))
  const wanted = simple(isArray ? name.replace(/s$/, '') : name)
  const found = isArray ? all : all.filter(({ column }) => isAlike(column.type, type))
  const alike = found.filter(({ column }) => simple(column.name) === wanted)
  return alike.length > 0 ? alike : isArray ? [] : found
}

function isInteger(type: TypeWord | undefined): boolean {
  return type === 'integer' || type === 'bigint'
}

/** `authorId` and `author_id` are alike. */
function simple(name: string): string {
  return name.replaceAll('_', '').toLowerCase()
}

/** For each row of a table, the parameters that are named like its columns, and of their types. */
function rowParameters(plans: readonly ParameterPlan[], rows: DataRows, { tables }: Schema, random: Random): ParameterSet[] {
  const sets: ParameterSet[] = []
  for (const { name: table, columns } of tables) {
    const pairs = plans.flatMap(({ name, type, isList, isCount }) => {
      const column = columns.find(column => simple(column.name) === simple(name))
      return isList || isCount || column === undefined || !isAlike(column.type, type) ? [] : [{ name, column: column.name }]
    })
    if (pairs.length === 0) continue
    for (const row of random.shuffle(rows.get(table) ?? []).slice(0, 8)) {
      const entries = pairs.map(({ name, column }) => [name, row[column] ?? null] as const).filter(([, value]) => value !== null)
      if (entries.length > 0) sets.push(Object.fromEntries(entries))
    }
  }
  return sets
}

function isAlike(one: TypeWord | undefined, other: TypeWord | undefined): boolean {
  return one === other || (isInteger(one) && isInteger(other))
}
