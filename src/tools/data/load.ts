/** Puts generated rows into the databases, the same into each. */
import type { Dialect } from '../../adapter.ts'
import type { Handle, Transaction } from '../../handle.ts'
import { type Sql, sql } from '../../sql.ts'
import { attempt } from './attempt.ts'
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

/** A database that holds rows. */
export interface Store {
  readonly db: Handle
  /** True if the rows go in backwards, so that they lie in another physical order. @default false */
  readonly isReversed?: boolean
}

/** The handles of the transactions that hold a set of rows, in the order of the stores. */
export interface LoadedSet {
  readonly handles: readonly Transaction[]
  readonly rows: DataRows
  /** A few rows more for each table that are likely to be accepted, for statements that insert. */
  readonly fresh: DataRows
}

/** Number of fresh rows of a table. */
const FRESH = 3

/**
 * Fills the databases with a generated set of rows, calls `use`, and takes it all back.
 *
 * @param onRefused is told of a table whose rows were all refused, which then stays empty; without it, that is thrown
 * @throws RefusedTable
 */
export function withRows<T>(
  stores: readonly Store[],
  schema: Schema,
  generator: RowGenerator,
  plan: SetPlan,
  use: (set: LoadedSet) => Promise<T>,
  onRefused: (refused: RefusedTable) => void = refused => {
    throw refused
  }
): Promise<T> {
  return inTransactions(stores, async handles => {
    const rows = await fill(handles, stores, schema, generator, plan, onRefused)
    return use({ handles, rows, fresh: freshRows(schema, generator, plan, rows) })
  })
}

/**
 * Fills the databases with these rows, calls `use`, and takes it all back.
 *
 * @throws what a database refuses a row with
 */
export function withGivenRows<T>(
  stores: readonly Store[],
  schema: Schema,
  rows: DataRows,
  use: (handles: readonly Transaction[]) => Promise<T>
): Promise<T> {
  return inTransactions(stores, async handles => {
    const load = async (handle: Transaction, { isReversed }: Store) => {
      const filled = schema.tables.filter(({ name, dialects }) => dialects.includes(handle.dialect) && (rows.get(name)?.length ?? 0) > 0)
      const statements = filled.map(table => {
        const own = rows.get(table.name) ?? []
        return insertion(handle.dialect, table, isReversed === true ? own.toReversed() : own)
      })
      await Promise.all([handle.batch(statements), setSequences(handle, schema, rows)])
    }
    await Promise.all(handles.map((handle, i) => load(handle, stores[i] as Store)))
    return use(handles)
  })
}

/** Calls `use` with a transaction of each database, and rolls them back. */
async function inTransactions<T>(stores: readonly Store[], use: (handles: readonly Transaction[]) => Promise<T>): Promise<T> {
  let result: { value: T } | undefined
  const begin = async (handles: readonly Transaction[]): Promise<void> => {
    const next = stores[handles.length]
    if (next !== undefined) return next.db.transaction(tx => begin([...handles, tx]))
    result = { value: await use(handles) }
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
  stores: readonly Store[],
  schema: Schema,
  generator: RowGenerator,
  plan: SetPlan,
  onRefused: (refused: RefusedTable) => void
): Promise<Map<string, DataRow[]>> {
  const rows = new Map<string, DataRow[]>()
  for (const table of schema.tables) {
    const users = (isReversed: boolean) =>
      handles.filter(({ dialect }, i) => table.dialects.includes(dialect) && (stores[i]?.isReversed ?? false) === isReversed)
    const isEmpty = plan.size === 0 || plan.without === table.name
    const accepted = isEmpty ? [] : await fillTable(users(false), table, generator, plan, rows, onRefused)
    rows.set(table.name, accepted)
    await Promise.all(users(true).map(handle => insert(handle, table, accepted.toReversed())))
  }
  await Promise.all(handles.map(handle => setSequences(handle, schema, rows)))
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
  // All at once where that goes, or all that the database in this process accepts.
  if (generated.length === 0 || (await insertAll(handles, table, generated)) === undefined) return generated
  const likely = await acceptedInProcess(handles, table, generator, plan, others)
  if (likely.length > 0 && (await insertAll(handles, table, likely)) === undefined) return likely
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

/** Finds rows that SQLite accepts, where a try costs no round trip. */
async function acceptedInProcess(
  handles: readonly Transaction[],
  table: Table,
  generator: RowGenerator,
  plan: SetPlan,
  others: DataRows
): Promise<DataRow[]> {
  const accepted: DataRow[] = []
  const inProcess = handles.find(({ dialect }) => dialect === 'sqlite')
  if (inProcess === undefined || handles.length === 1) return accepted
  await attempt(inProcess, async tx => {
    for (let i = 0; i < plan.size * TRIES && accepted.length < plan.size; i++) {
      const row = generator.row(table, accepted, others, plan)
      if (row !== undefined && (await insertAll([tx], table, [row])) === undefined) accepted.push(row)
    }
  })
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
  if (rows.length > 0) await handle.run(insertion(handle.dialect, table, rows))
}

function insertion(dialect: Dialect, table: Table, rows: readonly DataRow[]): Sql {
  const columns = table.columns.filter(({ isComputed }) => !isComputed)
  const names = sql.list(columns.map(({ name }) => sql.id(name)))
  const target = sql.id(table.name)
  if (dialect === 'sqlite') {
    const values = rows.map(row => sql`(${sql.list(columns.map(column => toSqlite(column, row[column.name] ?? null)))})`)
    return sql`INSERT INTO ${target} (${names}) VALUES ${sql.list(values)}`
  }
  const documents = rows.map(row => Object.fromEntries(columns.map(({ name }) => [name, toJson(row[name] ?? null)])))
  const overriding = columns.some(({ sequence }) => sequence) ? sql`OVERRIDING SYSTEM VALUE` : sql``
  return sql`INSERT INTO ${target} (${names}) ${overriding} SELECT ${names} FROM json_populate_recordset(NULL::${target}, ${JSON.stringify(documents)}::JSON)`
}

/** How many ids behind the largest one were given to rows that are gone. */
const GONE = 2

/**
 * Has the next generated ids come behind those of rows that were removed. A sequence of Postgres is in no transaction, so
 * this is done again before each statement that may take from it. SQLite gives an id again without AUTOINCREMENT.
 */
export async function setSequences(handle: Handle, { tables }: Schema, rows: DataRows): Promise<void> {
  const sequences = tables.flatMap(table => {
    const column = table.columns.find(({ sequence }) => sequence !== undefined)
    if (column === undefined || !table.dialects.includes(handle.dialect)) return []
    const own = rows.get(table.name) ?? []
    const last = own.length === 0 ? 0 : Math.max(0, ...own.map(row => Number(row[column.name]))) + GONE
    return [{ table: table.name, sequence: column.sequence, last }]
  })
  if (sequences.length === 0) return
  if (handle.dialect === 'postgres') {
    const calls = sequences.map(
      ({ sequence, last }, i) =>
        sql`setval(${sequence}::regclass, ${Math.max(last, 1)}::BIGINT, ${last > 0}::BOOLEAN) AS ${sql.id(`sequence_${i}`)}`
    )
    await handle.all(sql`SELECT ${sql.list(calls)}`)
    return
  }
  // The table is there once one has AUTOINCREMENT.
  const found = await handle.all("SELECT 1 AS found FROM sqlite_master WHERE name = 'sqlite_sequence'")
  if (found.length > 0)
    await handle.batch(sequences.map(({ table, last }) => sql`UPDATE sqlite_sequence SET seq = ${last} WHERE name = ${table}`))
}

function toSqlite({ type }: Column, value: DataValue): DataValue | Sql {
  return type === 'json' && value !== null ? sql.json(value) : value
}

function toJson(value: DataValue): unknown {
  return Buffer.isBuffer(value) ? `\\x${value.toString('hex')}` : value
}
