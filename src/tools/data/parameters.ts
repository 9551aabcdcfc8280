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
}

export type ParameterSet = Readonly<Record<string, DataValue>>

/** Generates sets of parameters for one query on one set of rows. */
export function generateParameters(
  plans: readonly ParameterPlan[],
  { rows, fresh }: { readonly rows: DataRows; readonly fresh: DataRows },
  schema: Schema,
  literals: Literals,
  count: number,
  seed: string
): ParameterSet[] {
  if (plans.length === 0) return [{}]
  const random = new Random(seed)
  const decks = plans.map(plan => new Deck(candidatesFor(plan, rows, schema, literals, random), random))
  // Values of one row belong together: WHERE id = :id AND author = :author; INSERT.
  const ofFresh = rowParameters(plans, fresh, schema, random)
  const ofRows = rowParameters(plans, rows, schema, random)
  return Array.from({ length: count }, (_, i) => {
    const dealt = Object.fromEntries(plans.map((plan, p) => [plan.name, decks[p]?.deal() ?? null]))
    const known = [ofFresh, ofRows, [], ofRows, ofFresh][i % 5] as ParameterSet[]
    if (known.length === 0) return dealt
    const set: Record<string, DataValue> = { ...dealt, ...random.pick(known) }
    // One that leaves the row shows what the others hide.
    const { name } = random.pick(plans)
    if (i % 5 > 2) set[name] = dealt[name] ?? null
    return set
  })
}

const COUNTS = [0, 1, 2, 5, 1000]

function candidatesFor(plan: ParameterPlan, rows: DataRows, schema: Schema, literals: Literals, random: Random): DataValue[] {
  if (plan.isCount) return COUNTS
  const columns = columnsAlike(plan, schema)
  const ofRows = columns.flatMap(({ table, column }) => (rows.get(table) ?? []).map(row => row[column.name] ?? null))
  const known = random.shuffle(ofRows.filter(value => value !== null)).slice(0, 12)
  const general = valuesFor({ type: plan.type, typeName: plan.type }, literals)
  // Half of the rows, so that conditions hold, and half of the edges.
  const values = [...known, ...random.shuffle(general).slice(0, Math.max(6, known.length)), ...overlong(columns.map(({ column }) => column))]
  if (plan.isList) {
    const given = values.filter(value => value !== null)
    return [[], given.slice(0, 1), given.slice(0, 3), given, random.shuffle(given).slice(0, 5)]
  }
  return plan.isNullable ? [...values, null, null] : values
}

/** A text for each limit of a VARCHAR or CHAR, and one that is longer. */
function overlong(columns: readonly Column[]): string[] {
  const limits = columns.map(({ typeName }) => Number(/^character.*\((\d+)\)/.exec(typeName)?.[1]))
  return [...new Set(limits)].filter(limit => limit < 1000).flatMap(limit => ['x'.repeat(limit), 'x'.repeat(limit + 1)])
}

/** The columns of a parameter's type; those whose name is alike alone, where there are any. */
function columnsAlike({ name, type }: ParameterPlan, { tables }: Schema): { table: string; column: Column }[] {
  const found = tables.flatMap(table =>
    table.columns.filter(column => isAlike(column.type, type)).map(column => ({ table: table.name, column }))
  )
  const alike = found.filter(({ column }) => simple(column.name) === simple(name))
  return alike.length > 0 ? alike : found
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
