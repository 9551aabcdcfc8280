/** Puts generated rows into the databases, the same into each. */
import type { Handle, Transaction } from '../../handle.ts'
import { type Sql, sql } from '../../sql.ts'
import type { Side } from '../lab/lab.ts'
import type { DataRow, DataRows, RowGenerator, SetPlan } from './rows.ts'
import type { Column, Schema, Table } from './schema.ts'
import type { DataValue } from './values.ts'

/** A table whose rows were all refused, so that no query is tried on it. */
export class RefusedTable extends Error {
  readonly table: string

  constructor(table: string, refusal: unknown) {
    const reason = refusal instanceof Error ? refusal.message : String(refusal)
    super(`No generated row of the table "${table}" was accepted, so nothing that reads it can be tried. The last refusal: ${reason}`)
    this.table = table
  }
}

/** Rolls back what a set of rows was. */
const ROLLBACK = Symbol('rollback')

/** The handles of the transactions that hold a set of rows, in the order of the sides. */
export interface LoadedSet {
  readonly handles: readonly Transaction[]
  readonly rows: DataRows
  /** A few rows more for each table that are likely to be accepted, for statements that insert. */
  readonly fresh: DataRows
}

/** Number of fresh rows of a table. */
const FRESH = 3

/**
 * Fills the databases with a set of rows, calls `use`, and takes it all back.
 *
 * @param onRefused is told of a table whose rows were all refused, which then stays empty; without it, that is thrown
 * @throws RefusedTable
 */
export async function withRows<T>(
  sides: readonly Pick<Side, 'db'>[],
  schema: Schema,
  generator: RowGenerator,
  plan: SetPlan,
  use: (set: LoadedSet) => Promise<T>,
  onRefused: (refused: RefusedTable) => void = refused => {
    throw refused
  }
): Promise<T> {
  let result: { value: T } | undefined
  const begin = async (handles: readonly Transaction[]): Promise<void> => {
    const next = sides[handles.length]
    if (next !== undefined) return next.db.transaction(tx => begin([...handles, tx]))
    const rows = await fill(handles, schema, generator, plan, onRefused)
    result = { value: await use({ handles, rows, fresh: freshRows(schema, generator, plan, rows) }) }
    throw ROLLBACK
  }
  await begin([]).catch(error => {
    if (error !== ROLLBACK) throw error
  })
  return (result as unknown as { value: T }).value
}

function freshRows(schema: Schema, generator: RowGenerator, plan: SetPlan, rows: DataRows): DataRows {
  const fresh = schema.tables.map(table => {
    const made = Array.from({ length: FRESH }, () => generator.row(table, rows.get(table.name) ?? [], rows, plan))
    return [table.name, made.filter(row => row !== undefined)] as const
  })
  return new Map(fresh)
}

async function fill(
  handles: readonly Transaction[],
  schema: Schema,
  generator: RowGenerator,
  plan: SetPlan,
  onRefused: (refused: RefusedTable) => void
): Promise<Map<string, DataRow[]>> {
  const rows = new Map<string, DataRow[]>()
  for (const table of schema.tables) {
    const users = handles.filter(({ dialect }) => table.dialects.includes(dialect))
    const isEmpty = plan.size === 0 || plan.without === table.name
    rows.set(table.name, isEmpty ? [] : await fillTable(users, table, generator, plan, rows, onRefused))
  }
  return rows
}

/** How many rows are tried for each one that is wanted. */
const TRIES = 20

/** Fills a table with rows that all databases accept, and returns them. */
async function fillTable(
  handles: readonly Transaction[],
  table: Table,
  generator: RowGenerator,
  plan: SetPlan,
  others: DataRows,
  onRefused: (refused: RefusedTable) => void
): Promise<DataRow[]> {
  const generated: DataRow[] = []
  for (let i = 0; i < plan.size; i++) {
    const row = generator.row(table, generated, others, plan)
    if (row !== undefined) generated.push(row)
  }
  // All at once where that goes.
  if (generated.length === 0 || (await insertAll(handles, table, generated)) === undefined) return generated
  const accepted: DataRow[] = []
  let refusal: unknown
  for (let i = 0; i < plan.size * TRIES && accepted.length < plan.size; i++) {
    const row = generator.row(table, accepted, others, plan)
    const problem = row === undefined ? undefined : await insertAll(handles, table, [row])
    if (problem !== undefined) refusal = problem
    else if (row !== undefined) accepted.push(row)
  }
  if (accepted.length === 0 && refusal !== undefined && plan.nulls < 1) onRefused(new RefusedTable(table.name, refusal))
  return accepted
}

/** Inserts rows into all databases, or into none. Returns the refusal. */
async function insertAll(handles: readonly Transaction[], table: Table, rows: readonly DataRow[]): Promise<unknown> {
  const [handle, ...others] = handles
  if (handle === undefined) return undefined
  try {
    await handle.transaction(async tx => {
      await insert(tx, table, rows)
      const refusal = await insertAll(others, table, rows)
      if (refusal !== undefined) throw refusal
    })
    return undefined
  } catch (error) {
    return error
  }
}

async function insert(handle: Handle, table: Table, rows: readonly DataRow[]): Promise<void> {
  if (rows.length === 0) return
  const columns = table.columns.filter(({ isComputed }) => !isComputed)
  const names = sql.list(columns.map(({ name }) => sql.id(name)))
  const target = sql.id(table.name)
  if (handle.dialect === 'sqlite') {
    const values = rows.map(row => sql`(${sql.list(columns.map(column => toSqlite(column, row[column.name] ?? null)))})`)
    await handle.run(sql`INSERT INTO ${target} (${names}) VALUES ${sql.list(values)}`)
    return
  }
  const documents = rows.map(row => Object.fromEntries(columns.map(({ name }) => [name, toJson(row[name] ?? null)])))
  const overriding = columns.some(({ sequence }) => sequence) ? sql`OVERRIDING SYSTEM VALUE` : sql``
  await handle.run(
    sql`INSERT INTO ${target} (${names}) ${overriding} SELECT ${names} FROM json_populate_recordset(NULL::${target}, ${JSON.stringify(documents)}::JSON)`
  )
  for (const { name, sequence } of columns) {
    const largest = Math.max(...rows.map(row => Number(row[name])))
    // The next generated id comes behind those that were given.
    if (sequence !== undefined && largest > 0)
      await handle.all('SELECT setval(:sequence::regclass, :largest::BIGINT)', { sequence, largest })
  }
}

function toSqlite({ type }: Column, value: DataValue): DataValue | Sql {
  return type === 'json' && value !== null ? sql.json(value) : value
}

function toJson(value: DataValue): unknown {
  return Buffer.isBuffer(value) ? `\\x${value.toString('hex')}` : value
}
