/** Generates the rows of tables from what the databases report about them. Pure: a seed gives the same rows. */
import { tokens } from '../../lexer.ts'
import { type Literals, literalsOf, mergeLiterals } from './literals.ts'
import { Deck, Random } from './random.ts'
import type { Column, ForeignKey, Schema, Table } from './schema.ts'
import { type DataValue, valuesFor } from './values.ts'

export type DataRow = Readonly<Record<string, DataValue>>

/** The rows of each table by its name. */
export type DataRows = ReadonlyMap<string, readonly DataRow[]>

/** What one set of rows looks like. */
export interface SetPlan {
  readonly name: string
  /** Maximum number of rows of a table. */
  readonly size: number
  /** How often a column that may be NULL is NULL, from 0 to 1. */
  readonly nulls: number
  /** A table that stays empty, with those that cannot do without it. */
  readonly without: string | undefined
  /**
   * How often a column has the value that it has in a row before, from 0 to 1: ties tell an order that is asked for from
   * one that is not. @default 0.2
   */
  readonly ties?: number
}

/** Nothing, one row, and all that may be NULL is. */
export const EMPTY: SetPlan = { name: 'empty', size: 0, nulls: 0, without: undefined }
export const ONE_ROW: SetPlan = { name: 'one row', size: 1, nulls: 0, without: undefined }
export const ALL_NULL: SetPlan = { name: 'nulls', size: 4, nulls: 1, without: undefined }

/** A bit of everything, in few rows and in many by turns; the first is number 1. */
export function mixedSet(number: number): SetPlan {
  return { name: `mixed ${number}`, size: number % 2 === 0 ? 24 : 8, nulls: 0.2, without: undefined }
}

/** The sets that show most: nothing, all that may be NULL is, a bit of everything, and each table empty in turn. */
export function planSets(schema: Schema, mixed: number): SetPlan[] {
  return [
    EMPTY,
    ALL_NULL,
    ONE_ROW,
    ...Array.from({ length: mixed }, (_, i) => mixedSet(i + 1)),
    ...schema.tables.map(({ name }) => ({ name: `without ${name}`, size: 6, nulls: 0.2, without: name }))
  ]
}

/** How often a row is made anew when its keys are taken. */
const ATTEMPTS = 20

/** How often a column has the value of another one. */
const ECHOES = 0.3

/** How often a row refers to the first of the rows that it may refer to. */
const POPULAR = 0.35

/** The literals that matter to a column. */
export type LiteralsOf = (column: Column) => Literals

/** The values of a column that its CHECKs allow, by `table.column`; undefined where they were not asked for. */
export type AllowedValues = ReadonlyMap<string, readonly DataValue[]>

export class RowGenerator {
  readonly #random: Random
  readonly #literalsOf: LiteralsOf
  readonly #allowed: AllowedValues
  /** By table and column; they go on from set to set, so that each value comes. */
  readonly #decks = new Map<string, Deck<DataValue>>()

  constructor(literals: Literals | LiteralsOf, seed: string | number, allowed: AllowedValues = new Map()) {
    this.#random = new Random(seed)
    this.#literalsOf = typeof literals === 'function' ? literals : () => literals
    this.#allowed = allowed
  }

  /**
   * Generates one more row of a table. Returns undefined where its keys and references leave no room.
   *
   * @param own the rows that the table has
   * @param others the rows of the tables that it refers to
   */
  row(table: Table, own: readonly DataRow[], others: DataRows, plan: SetPlan): DataRow | undefined {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const row = this.#row(table, own, others, plan, attempt)
      if (row !== undefined && table.keys.every(key => isFree(key, row, own))) return row
    }
    return undefined
  }

  #row(table: Table, own: readonly DataRow[], others: DataRows, plan: SetPlan, attempt: number): DataRow | undefined {
    const row: Record<string, DataValue> = {}
    for (const column of table.columns) {
      if (!column.isComputed) row[column.name] = this.#value(table, column, own, plan, attempt)
    }
    if (this.#random.chance(ECHOES)) this.#echo(table, row)
    for (const key of table.foreignKeys) {
      const parents = key.table === table.name ? [...own, row] : (others.get(key.table) ?? [])
      if (!this.#refer(table, key, row, parents, plan.nulls)) return undefined
    }
    return row
  }

  /** Gives a column the value of another one, for comparisons of two columns. */
  #echo(table: Table, row: Record<string, DataValue>): void {
    const target = this.#random.pick(table.columns)
    const isFree = table.keys.every(key => !key.includes(target.name)) && checksOf(table, target).length === 0
    const twins = table.columns.filter(({ name, typeName }) => name !== target.name && typeName === target.typeName && row[name] !== null)
    if (isFree && !target.isComputed && twins.length > 0) row[target.name] = row[this.#random.pick(twins).name] ?? null
  }

  /** Takes the values of a row that is referred to, or NULL. Returns false where neither is possible. */
  #refer(table: Table, key: ForeignKey, row: Record<string, DataValue>, parents: readonly DataRow[], nulls: number): boolean {
    const nullable = key.columns.filter(name => table.columns.find(column => column.name === name)?.isNotNull === false)
    if (nullable.length > 0 && (parents.length === 0 || this.#random.chance(Math.max(nulls, 0.05)))) {
      for (const name of nullable) row[name] = null
      return true
    }
    // The last ones stay without rows that refer to them.
    const referable = parents.slice(0, Math.max(1, Math.ceil((parents.length * 2) / 3)))
    if (referable.length === 0) return false
    // Many rows of one parent, so that joins find several of them.
    const parent = this.#random.chance(POPULAR) ? (referable[0] as DataRow) : this.#random.pick(referable)
    for (const [i, name] of key.columns.entries()) row[name] = parent[key.references[i] as string] ?? null
    return true
  }

  #value(table: Table, column: Column, own: readonly DataRow[], { nulls, size, ties = 0.2 }: SetPlan, attempt: number): DataValue {
    const isKey = table.keys.some(key => key.length === 1 && key[0] === column.name)
    if (!column.isNotNull && !isKey && nulls > 0 && this.#random.chance(nulls)) return null
    const isInteger = column.type === 'integer' || column.type === 'bigint'
    // Small numbers, so that keys of one table are numbers of another.
    if (isInteger && isKey && !this.#allowed.has(nameOf(table, column))) {
      const taken = new Set(own.map(row => row[column.name]))
      const free = Array.from({ length: size + 4 }, (_, i) => i + 1).filter(id => !taken.has(id))
      return this.#random.pick(free)
    }
    if (!isKey && own.length > 0 && this.#random.chance(ties)) return this.#random.pick(own)[column.name] ?? null
    const value = this.#deckOf(table, column).deal()
    if (value === undefined) return null
    // A deck has an end, and a key needs more.
    if (isKey && attempt > ATTEMPTS / 2 && column.type === 'text' && column.typeName !== 'uuid') return `${String(value)}${own.length}`
    return value
  }

  #deckOf(table: Table, column: Column): Deck<DataValue> {
    const name = nameOf(table, column)
    let deck = this.#decks.get(name)
    if (deck === undefined) {
      deck = new Deck(this.#allowed.get(name) ?? candidatesFor(table, column, this.#literalsOf(column)), this.#random)
      this.#decks.set(name, deck)
    }
    return deck
  }
}

function nameOf(table: Table, column: Column): string {
  return `${table.name}.${column.name}`
}

/** The values that are tried in a column: those of its type, and those near the literals of its CHECKs and of queries. */
export function candidatesFor(table: Table, column: Column, literals: Literals): DataValue[] {
  return valuesFor(column, mergeLiterals([literalsOf(checksOf(table, column)), literals]))
}

/** The CHECKs that name a column. */
export function checksOf(table: Table, { name }: Column): string[] {
  return table.checks.filter(check => namesIn(check).has(name.toLowerCase()))
}

/** The names and words of a CHECK or a statement, in lower case. */
export function namesIn(text: string): Set<string> {
  const names = new Set<string>()
  for (const { kind, start, end } of tokens(text, 'postgres')) {
    if (kind === 'word' || kind === 'name')
      names.add(
        text
          .slice(start, end)
          .replace(/^"(.*)"$/, '$1')
          .toLowerCase()
      )
  }
  return names
}

function isFree(key: readonly string[], row: DataRow, own: readonly DataRow[]): boolean {
  // NULL is distinct from NULL.
  if (key.some(name => row[name] === null)) return true
  const text = keyText(key, row)
  return own.every(other => keyText(key, other) !== text)
}

function keyText(key: readonly string[], row: DataRow): string {
  return JSON.stringify(key.map(name => row[name]))
}
