/** Makes a counterexample small: fewer rows, plainer parameters and values, as long as the same difference holds. */
import type { TypeWord } from '../../files/types.ts'
import type { DataRow, DataRows } from '../data/rows.ts'
import type { Schema, Table } from '../data/schema.ts'
import type { DataValue } from '../data/values.ts'
import type { Comparison } from './compare.ts'
import type { Subject } from './subject.ts'
import { type Example, type Replica, type Trial, tryExample } from './trial.ts'

/** How many smaller examples are tried. */
const BUDGET = 150

export interface Shrunk {
  readonly example: Example
  readonly trial: Trial
}

/** Returns the smallest example that was found; undefined when the difference does not come again. */
export async function shrink(replicas: readonly Replica[], schema: Schema, subject: Subject, found: Example): Promise<Shrunk | undefined> {
  const shrinker = new Shrinker(replicas, schema, subject, found)
  return shrinker.run()
}

class Shrinker {
  readonly #replicas: readonly Replica[]
  readonly #schema: Schema
  readonly #subject: Subject
  #wanted: Comparison | undefined
  #example: Example
  #trial: Trial | undefined
  #left = BUDGET

  constructor(replicas: readonly Replica[], schema: Schema, subject: Subject, example: Example) {
    this.#replicas = replicas
    this.#schema = schema
    this.#subject = subject
    this.#example = example
  }

  async run(): Promise<Shrunk | undefined> {
    // With every order at hand, another verdict may come of it.
    const first = await tryExample(this.#replicas, this.#schema, this.#subject, this.#example)
    if (first === undefined || first.comparison.status === 'same') return undefined
    this.#trial = first
    this.#wanted = first.comparison
    await this.#dropTables()
    await this.#loosen()
    await this.#dropRows()
    await this.#loosen()
    await this.#dropRows()
    await this.#simplifyParameters()
    await this.#simplifyValues()
    return this.#trial === undefined ? undefined : { example: this.#example, trial: this.#trial }
  }

  /** Takes an example when it differs in the same way. */
  async #accepts(example: Example): Promise<boolean> {
    if (this.#left-- <= 0) return false
    const trial = await tryExample(this.#replicas, this.#schema, this.#subject, example)
    if (trial === undefined || !isAlike(trial.comparison, this.#wanted)) return false
    this.#example = example
    this.#trial = trial
    return true
  }

  async #dropTables(): Promise<void> {
    if (await this.#accepts(this.#with(new Map()))) return
    // Tables that depend on others first.
    for (const { name } of this.#schema.tables.toReversed()) {
      if (this.#rowsOf(name).length > 0) await this.#accepts(this.#withRows(name, []))
    }
  }

  /** Has rows refer to nothing, or all to the row that one of them refers to, so that others can go. */
  async #loosen(): Promise<void> {
    for (const table of this.#schema.tables) {
      for (const { columns } of table.foreignKeys) {
        const rows = this.#rowsOf(table.name)
        const [first] = rows.filter(row => columns.every(name => row[name] !== null))
        if (first === undefined) continue
        const set = (values: DataRow) =>
          this.#accepts(
            this.#withRows(
              table.name,
              rows.map(row => ({ ...row, ...values }))
            )
          )
        const nullable = columns.filter(name => table.columns.find(column => column.name === name)?.isNotNull === false)
        if (nullable.length > 0 && (await set(Object.fromEntries(nullable.map(name => [name, null]))))) continue
        if (rows.length > 1) await set(Object.fromEntries(columns.map(name => [name, first[name] ?? null])))
      }
    }
  }

  async #dropRows(): Promise<void> {
    for (let before = -1; before !== this.#count(); ) {
      before = this.#count()
      for (const { name } of this.#schema.tables.toReversed()) await this.#dropRowsOf(name)
    }
  }

  /** Leaves out half of the rows, then a quarter …, then each. */
  async #dropRowsOf(table: string): Promise<void> {
    for (let size = Math.ceil(this.#rowsOf(table).length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let at = 0; at < this.#rowsOf(table).length; ) {
        const rows = this.#rowsOf(table)
        if (!(await this.#accepts(this.#withRows(table, [...rows.slice(0, at), ...rows.slice(at + size)])))) at += size
      }
    }
  }

  async #simplifyParameters(): Promise<void> {
    for (const { name, type, isList } of this.#subject.parameters) {
      const value = this.#example.parameters[name]
      if (value === undefined || isList) continue
      for (const plain of plainer(type, value)) {
        if (await this.#accepts({ ...this.#example, parameters: { ...this.#example.parameters, [name]: plain } })) break
      }
    }
  }

  async #simplifyValues(): Promise<void> {
    for (const table of this.#schema.tables) {
      for (const i of this.#rowsOf(table.name).keys()) {
        for (const column of table.columns) {
          if (isKey(table, column.name)) continue
          const rows = this.#rowsOf(table.name)
          const row = rows[i] as DataRow
          const value = row[column.name] ?? null
          const candidates = column.isNotNull ? plainer(column.type, value) : value === null ? [] : [null, ...plainer(column.type, value)]
          for (const plain of candidates) {
            if (await this.#accepts(this.#withRows(table.name, rows.with(i, { ...row, [column.name]: plain })))) break
          }
        }
      }
    }
  }

  #rowsOf(table: string): readonly DataRow[] {
    return this.#example.rows.get(table) ?? []
  }

  #count(): number {
    return [...this.#example.rows.values()].reduce((sum, rows) => sum + rows.length, 0)
  }

  #with(rows: DataRows): Example {
    return { ...this.#example, rows: withoutDangling(this.#schema, rows) }
  }

  #withRows(table: string, rows: readonly DataRow[]): Example {
    return this.#with(new Map([...this.#example.rows, [table, rows]]))
  }
}

function isAlike(one: Comparison, other: Comparison | undefined): boolean {
  if (other === undefined || one.status !== other.status) return false
  return one.status === 'same' || other.status === 'same' || one.kind === other.kind
}

function isKey({ keys, foreignKeys }: Table, column: string): boolean {
  return keys.some(key => key.includes(column)) || foreignKeys.some(({ columns }) => columns.includes(column))
}

/** Without the rows whose references lead nowhere. */
function withoutDangling({ tables }: Schema, rows: DataRows): DataRows {
  let left = rows
  for (let before = -1, count = 0; before !== count; ) {
    before = count
    left = new Map(
      tables.map(table => [
        table.name,
        (left.get(table.name) ?? []).filter(row =>
          table.foreignKeys.every(({ columns, table: target, references }) => {
            if (columns.some(name => (row[name] ?? null) === null)) return true
            const parents = left.get(tables.find(({ name }) => name.toLowerCase() === target.toLowerCase())?.name ?? target) ?? []
            return parents.some(parent => columns.every((name, i) => isSameValue(row[name], parent[references[i] as string])))
          })
        )
      ])
    )
    count = [...left.values()].reduce((sum, own) => sum + own.length, 0)
  }
  return left
}

function isSameValue(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

/** Values of a type that are plainer than this one, the plainest first. */
function plainer(type: TypeWord | undefined, value: DataValue): readonly DataValue[] {
  const all = type === undefined ? [] : (PLAIN[type] ?? [])
  const place = all.findIndex(plain => isSameValue(plain, value))
  return place === -1 ? all : all.slice(0, place)
}

const PLAIN: Readonly<Partial<Record<TypeWord, readonly DataValue[]>>> = {
  text: ['', 'a', 'A', 'b'],
  integer: [0, 1, 2],
  bigint: [0, 1, 2],
  double: [0, 1, 0.5],
  numeric: ['0', '1'],
  boolean: [false],
  timestamp: [new Date('2024-01-31T00:00:00.000Z')],
  date: ['2024-01-31'],
  json: [{}]
}
