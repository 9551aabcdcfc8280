/**
 * Moves one table: compares it by ranges and replaces those that differ. For a table that is empty, or is made here, all
 * of it differs, so that copying, resuming and repairing are one thing. Each table is one transaction: it is there as a
 * whole, compared and with its keys and indexes, or as it was.
 */
import { DatabaseError } from '../../errors.ts'
import type { Cell, SqliteFile } from './file.ts'
import { hasherFor } from './hash.ts'
import { Names } from './names.ts'
import type { PlanTable } from './plan.ts'
import { quoteName, quoteText } from './quote.ts'
import { deleteRanges, isSame, type RangeSum, rangesFor, rangesOnPostgres, Sums, totalOnPostgres } from './ranges.ts'
import { Lines, type TableFacts } from './rows.ts'
import { OWN_COMMENT, serverMessage, type Target } from './target.ts'
import { makeSchema } from './trial.ts'

export interface MoveContext {
  readonly file: SqliteFile
  readonly target: Target
  readonly isUtf16: boolean
  /** Where the statements are kept that put back foreign keys. */
  readonly pending: string
  /** The foreign keys that the plan makes itself, by table and name. */
  isPlanned(table: string, constraint: string): boolean
  /** Called for each row that is read. */
  progress(): void
  /** Returns a promise when it is time for the event loop to run. */
  breathe(): Promise<void> | undefined
}

export interface Moved {
  readonly rows: number
  /** Rows that were sent. */
  readonly copied: number
  /** Ranges that differed, and all of them. */
  readonly ranges: number
  readonly allRanges: number
}

/** Bytes that are sent at once. */
const CHUNK = 128 * 1024

/** Returns the name of the table with the statements that put back what was taken off; a later run finds them. */
export function pendingName(tables: readonly PlanTable[]): string {
  return new Names(tables.map(({ target }) => target)).take('duolect_promotion')
}

/** Returns whether a table on Postgres has the rows of the file. Writes nothing. */
export async function isMoved(context: MoveContext, table: PlanTable, facts: TableFacts): Promise<boolean> {
  if (table.existing === undefined) return false
  const lines = new Lines(table, facts, context.isUtf16)
  const sums = new Sums(hasherFor(context.target.version), 1)
  await readAll(context, lines, sums)
  return context.target.transaction(async () => isSame(sums.total, await total(context.target, table, lines.onPostgres(false))))
}

/** Returns the statements that make a table without its keys and indexes. */
export function creationOf(target: Target, table: PlanTable): string[] {
  return [table.create, `COMMENT ON TABLE ${target.qualify(table.target)} IS ${quoteText(OWN_COMMENT)}`]
}

/** Why the server refuses the rows of a table. */
export interface Refusal {
  readonly reason: string
  /** What identifies the row; undefined where it is none of them alone. */
  readonly key: readonly Cell[] | undefined
}

/**
 * Takes off what a move takes off a table that is there, and undoes it. Returns why it cannot, such as a missing right;
 * undefined if it can.
 */
export async function tryPreparing(context: MoveContext, table: PlanTable): Promise<string | undefined> {
  await context.target.begin()
  try {
    await prepare(context, table)
    return undefined
  } catch (error) {
    if ((error as { code?: string }).code === undefined) throw error
    return serverMessage(error)
  } finally {
    await context.target.query('ROLLBACK').catch(() => undefined)
  }
}

/** Moves a table, and undoes it. Returns why the server refuses it; undefined if it takes it. */
export async function tryTable(context: MoveContext, table: PlanTable, facts: TableFacts): Promise<Refusal | undefined> {
  const { target } = context
  if (table.existing?.isEmpty === false && (await isMoved(context, table, facts))) return undefined
  const lines = new Lines(table, facts, context.isUtf16)
  await target.begin()
  try {
    await makeSchema(target)
    await fill(context, table, facts, lines, true)
    return undefined
  } catch (error) {
    const { code, where } = error as { code?: string; where?: string }
    // A connection that is gone says nothing about the rows.
    if (code === undefined) throw error
    const start = `COPY ${table.target}`
    const line = where?.startsWith(start) ? /\d+/.exec(where.slice(start.length))?.[0] : undefined
    return {
      reason: error instanceof DatabaseError ? error.message : serverMessage(error),
      key: line === undefined ? undefined : lines.keyOfLine(context.file, Number(line))
    }
  } finally {
    await target.query('ROLLBACK').catch(() => undefined)
  }
}

/** Moves a table. */
export async function moveTable(context: MoveContext, table: PlanTable, facts: TableFacts): Promise<Moved> {
  const { target } = context
  const lines = new Lines(table, facts, context.isUtf16)
  if (table.existing === undefined || table.existing.isEmpty) return target.transaction(() => fill(context, table, facts, lines))
  const sums = new Sums(hasherFor(target.version), rangesFor(facts.rowCount))
  await readAll(context, lines, sums)
  return target.transaction(() => repair(context, table, facts, lines, sums))
}

/**
 * Copies a whole table.
 *
 * @param isTrial true if it is undone: each row is checked when it comes, so that the server names the first that it refuses
 */
async function fill(context: MoveContext, table: PlanTable, facts: TableFacts, lines: Lines, isTrial = false): Promise<Moved> {
  const { target } = context
  const name = target.qualify(table.target)
  const isNew = table.existing === undefined
  let putBack: () => Promise<void> = async () => undefined
  if (isNew) {
    for (const statement of creationOf(target, table)) await target.query(statement)
  } else {
    putBack = await prepare(context, table)
    if (isTrial) await target.query(`DELETE FROM ${name}`)
    const found = await target.query(`SELECT 1 FROM ${name} LIMIT 1`)
    if (found.length > 0)
      throw new DatabaseError('serialization_failure', `${table.target} got rows on Postgres while this ran. Run the same command again.`)
  }
  if (isTrial) {
    await makeMissing(target, table)
    await insertOneByOne(target, table)
  }
  const sums = new Sums(hasherFor(target.version), 1)
  // Rows of a table that no other transaction can see need no later look at who may see them.
  await copy(context, table, lines, sums, 'all', isNew)
  await verify(target, table, lines.onPostgres(true), sums)
  if (!isTrial) await makeMissing(target, table)
  await putBack()
  return { rows: facts.rowCount, copied: facts.rowCount, ranges: facts.rowCount === 0 ? 0 : 1, allRanges: 1 }
}

/** Has COPY insert each row by itself, as it does where a trigger could look at it; otherwise it names the last of a thousand. */
async function insertOneByOne(target: Target, table: PlanTable): Promise<void> {
  // Servers before 13 have no such triggers on partitioned tables.
  if (table.existing?.kind === 'p') return
  const call = 'FOR EACH ROW WHEN (FALSE) EXECUTE PROCEDURE suppress_redundant_updates_trigger()'
  await target.query(`CREATE TRIGGER duolect_one_by_one BEFORE INSERT ON ${target.qualify(table.target)} ${call}`)
}

/** Replaces the ranges that differ. */
async function repair(context: MoveContext, table: PlanTable, facts: TableFacts, lines: Lines, sums: Sums): Promise<Moved> {
  const { target } = context
  const allRanges = sums.ranges
  const line = lines.onPostgres(false)
  const checksum = hasherFor(target.version).onPostgres(line)
  if (isSame(sums.total, await total(target, table, line))) {
    await makeMissing(target, table)
    return { rows: facts.rowCount, copied: 0, ranges: 0, allRanges }
  }
  const putBack = await prepare(context, table)
  const name = target.qualify(table.target)
  const found = await target.query(rangesOnPostgres(name, checksum, sums.ranges))
  const differing = sums.differing(new Map(found.map(([range, ...sum]) => [Number(range), toSum(sum)])))
  await target.query(deleteRanges(name, checksum, sums.ranges, differing))
  const again = new Sums(hasherFor(target.version), sums.ranges)
  const copied = await copy(context, table, lines, again, differing, false)
  await verify(target, table, line, again)
  await makeMissing(target, table)
  await putBack()
  return { rows: facts.rowCount, copied, ranges: differing.size, allRanges }
}

function toSum([count, sum]: readonly (string | null | undefined)[]): RangeSum {
  return { count: Number(count), sum: BigInt(sum ?? 0) }
}

async function total(target: Target, table: PlanTable, line: string): Promise<RangeSum> {
  const [row] = await target.query(totalOnPostgres(target.qualify(table.target), hasherFor(target.version).onPostgres(line)))
  return toSum(row ?? [])
}

async function verify(target: Target, table: PlanTable, line: string, sums: Sums): Promise<void> {
  const own = sums.total
  const other = await total(target, table, line)
  if (isSame(own, other)) return
  throw new DatabaseError(
    'data_corrupted',
    `${table.source.name}: what Postgres holds after copying is not what the file holds (${own.count} rows in the file, ${other.count} on Postgres). ` +
      'Nothing of this table was kept. A generated column, a rule or a trigger on Postgres may change values.'
  )
}

/** Makes the keys and indexes that are not there. Only of tables that promote made: others are as migrations made them. */
async function makeMissing(target: Target, table: PlanTable): Promise<void> {
  if (table.create === '') return
  const { existing } = table
  const there = new Set([
    ...(existing?.indexes ?? []),
    ...(existing?.constraints ?? []),
    ...(existing?.columns ?? []).map(({ name }) => name)
  ])
  // CREATE TABLE has made the CHECKs of a new one.
  const wanted = existing === undefined ? table.makings : [...table.trials, ...table.makings]
  for (const { statement, target: name } of wanted) if (!there.has(name)) await target.query(statement)
}

/**
 * Takes off what would change other rows, or rows on their way: foreign keys, whose actions follow a DELETE, and the
 * table's triggers. Returns what puts the triggers back; the foreign keys wait for the end.
 */
async function prepare({ target, pending, isPlanned }: MoveContext, table: PlanTable): Promise<() => Promise<void>> {
  const name = target.qualify(table.target)
  await target.query(`LOCK TABLE ${name} IN SHARE ROW EXCLUSIVE MODE`)
  const id = `${quoteText(name)}::REGCLASS`
  const keys = await target.query(
    'SELECT k.conname, c.relname, n.nspname, pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid ' +
      `JOIN pg_namespace n ON n.oid = c.relnamespace WHERE k.contype = 'f' AND (k.conrelid = ${id} OR k.confrelid = ${id}) ` +
      // Those of partitions belong to the one of their table.
      `${target.version >= 110_000 ? 'AND k.conparentid = 0' : ''}`
  )
  for (const [key, relation, schema, definition] of keys as string[][]) {
    const on = `${quoteName(schema as string)}.${quoteName(relation as string)}`
    if (schema !== target.schema || !isPlanned(relation as string, key as string)) {
      await target.query(`CREATE TABLE IF NOT EXISTS ${target.qualify(pending)} (statement TEXT NOT NULL)`)
      const statement = `ALTER TABLE ${on} ADD CONSTRAINT ${quoteName(key as string)} ${definition}`
      await target.query(`INSERT INTO ${target.qualify(pending)} VALUES (${quoteText(statement)})`)
    }
    await target.query(`ALTER TABLE ${on} DROP CONSTRAINT ${quoteName(key as string)}`)
  }
  const triggers = await target.query(
    `SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = ${id} AND NOT tgisinternal AND tgenabled <> 'D'`
  )
  for (const [trigger] of triggers) await target.query(`ALTER TABLE ${name} DISABLE TRIGGER ${quoteName(trigger as string)}`)
  return async () => {
    for (const [trigger, mode] of triggers) {
      const word = mode === 'A' ? 'ENABLE ALWAYS' : mode === 'R' ? 'ENABLE REPLICA' : 'ENABLE'
      await target.query(`ALTER TABLE ${name} ${word} TRIGGER ${quoteName(trigger as string)}`)
    }
  }
}

/** The ranges whose rows are sent. */
type Wanted = 'all' | ReadonlySet<number>

/** Reads all rows of the file for their checksums. */
async function readAll(context: MoveContext, lines: Lines, sums: Sums): Promise<void> {
  const nothing = send(context, lines, sums, new Set(), { copied: 0 })
  while (!(await nothing.next()).done);
}

/** Copies the rows of some ranges. Returns how many. */
async function copy(context: MoveContext, table: PlanTable, lines: Lines, sums: Sums, wanted: Wanted, isNew: boolean): Promise<number> {
  const columns = lines.columns.map(quoteName).join(', ')
  const count = { copied: 0 }
  await context.target.copy(
    `COPY ${context.target.qualify(table.target)} (${columns}) FROM STDIN${isNew ? ' WITH (FREEZE)' : ''}`,
    send(context, lines, sums, wanted, count)
  )
  return count.copied
}

/** Adds up the checksums of all rows, and yields the lines of those that are wanted, as COPY takes them. */
async function* send(
  { file, progress, breathe }: MoveContext,
  lines: Lines,
  sums: Sums,
  wanted: Wanted,
  count: { copied: number }
): AsyncGenerator<Buffer, void, undefined> {
  let chunk = Buffer.allocUnsafe(CHUNK)
  let end = 0
  for (const { copied, compared } of lines.small(file)) {
    progress()
    const pause = breathe()
    if (pause !== undefined) await pause
    // A character takes three bytes at most for each of its units.
    const room = 3 * copied.length + 1
    if (end + room > chunk.length) {
      if (end > 0) yield chunk.subarray(0, end)
      chunk = Buffer.allocUnsafe(Math.max(CHUNK, room))
      end = 0
    }
    const stop = end + chunk.write(copied, end)
    const range = compared === undefined ? sums.add(chunk, end, stop) : addText(sums, compared)
    if (wanted !== 'all' && !wanted.has(range)) continue
    chunk[stop] = 0x0a
    end = stop + 1
    count.copied++
  }
  if (end > 0) yield chunk.subarray(0, end)
  for (const key of lines.bigKeys(file)) {
    progress()
    if (wanted === 'all') addText(sums, yield* lines.big(file, key))
    // Twice, since whether it is wanted is known only when it was read.
    else if (wanted.has(addText(sums, comparedOf(lines.big(file, key))))) yield* lines.big(file, key)
    else continue
    count.copied++
    await breathe()
  }
}

function addText(sums: Sums, text: string): number {
  const bytes = Buffer.from(text)
  return sums.add(bytes, 0, bytes.length)
}

function comparedOf(pieces: Generator<Buffer, string, undefined>): string {
  for (;;) {
    const next = pieces.next()
    if (next.done === true) return next.value
  }
}
