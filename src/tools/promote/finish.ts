/** What follows the rows: foreign keys, the next ids, statistics. Each step looks at what is there, so that it can run again. */
import type { SqliteFile } from './file.ts'
import { pendingName } from './move.ts'
import type { Making, PlanTable } from './plan.ts'
import { lastSequence, type Problems } from './precheck.ts'
import { quoteName, quoteText } from './quote.ts'
import { from } from './rows.ts'
import type { Target } from './target.ts'

/** SQLSTATE of a foreign key that rows break. */
const FOREIGN_KEY_VIOLATION = '23503'

/** Makes the foreign keys, also those that were taken off. Returns notes on those that rows of the file break. */
export async function makeForeignKeys(target: Target, tables: readonly PlanTable[]): Promise<string[]> {
  return [...(await putBack(target, pendingName(tables))), ...(await makePlanned(target, tables))]
}

/** Makes the foreign keys again that were taken off tables of migrations. */
async function putBack(target: Target, pending: string): Promise<string[]> {
  const [found] = await target.query(`SELECT to_regclass(${quoteText(target.qualify(pending))})`)
  if (found?.[0] == null) return []
  const notes: string[] = []
  await target.transaction(async () => {
    for (const [statement] of await target.query(`SELECT statement FROM ${target.qualify(pending)}`)) {
      const error = await target.attempt(() => target.query(statement as string))
      if (error === undefined) continue
      if ((error as { code?: string }).code !== FOREIGN_KEY_VIOLATION) throw error
      await target.query(`${statement} NOT VALID`)
      notes.push(`rows of the file break a foreign key, so it is NOT VALID: ${statement}`)
    }
    await target.query(`DROP TABLE ${target.qualify(pending)}`)
  })
  return notes
}

async function makePlanned(target: Target, tables: readonly PlanTable[]): Promise<string[]> {
  const notes: string[] = []
  for (const table of tables) {
    if (table.foreignKeys.length === 0) continue
    const found = await target.query(
      `SELECT conname, convalidated FROM pg_constraint WHERE contype = 'f' AND conrelid = ${quoteText(target.qualify(table.target))}::REGCLASS`
    )
    const isValid = new Map(found.map(([name, valid]) => [name, valid === 't']))
    for (const key of table.foreignKeys) {
      if (isValid.get(key.target) === true) continue
      await target.transaction(async () => {
        if (!isValid.has(key.target)) await target.query(`${key.statement} NOT VALID`)
        const note = await validate(target, table, key)
        if (note !== undefined) notes.push(note)
      })
    }
  }
  return notes
}

async function validate(target: Target, table: PlanTable, key: Making): Promise<string | undefined> {
  const error = await target.attempt(() =>
    target.query(`ALTER TABLE ${target.qualify(table.target)} VALIDATE CONSTRAINT ${quoteName(key.target)}`)
  )
  if (error === undefined) return undefined
  if ((error as { code?: string }).code !== FOREIGN_KEY_VIOLATION) throw error
  return `rows of ${table.source.name} refer to rows that do not exist: the ${key.what} is NOT VALID, and holds for new rows alone`
}

/** The id that SQLite would give next. */
export function nextId(file: SqliteFile, { source }: PlanTable): bigint {
  const largest = file.value(`SELECT max(${quoteName(source.idColumn as string)}) ${from(source)}`) as bigint | null
  if (!source.isAutoIncrement) return largest === null ? 1n : largest + 1n
  const last = lastSequence(file, source.name) ?? 0n
  return (largest !== null && largest > last ? largest : last) + 1n
}

/** Reports a table whose sequence ends before the next id. */
export async function checkNextId(file: SqliteFile, target: Target, table: PlanTable, problems: Problems): Promise<void> {
  if (table.idColumn === undefined || table.existing === undefined) return
  const sequence = await sequenceOf(target, table)
  if (sequence === undefined) return
  const [found] = await target.query(
    target.version >= 100_000
      ? `SELECT seqmax FROM pg_sequence WHERE seqrelid = ${quoteText(sequence)}::REGCLASS`
      : `SELECT max_value FROM ${sequence}`
  )
  const next = nextId(file, table)
  if (next > BigInt(found?.[0] as string))
    problems.add(
      table.source.name,
      table.source.idColumn,
      `gives the id ${next} next, above the largest of the sequence ${sequence}`,
      undefined
    )
}

/** The name of a sequence as SQL takes it; undefined where the column has none. */
async function sequenceOf(target: Target, { target: name, idColumn }: PlanTable): Promise<string | undefined> {
  const table = quoteText(target.qualify(name))
  const [found] = await target.query(`SELECT pg_get_serial_sequence(${table}, ${quoteText(idColumn as string)})`)
  return found?.[0] ?? undefined
}

/** Has each table give the next id that SQLite would have given. */
export async function setNextIds(file: SqliteFile, target: Target, tables: readonly PlanTable[]): Promise<void> {
  await target.transaction(async () => {
    for (const table of tables) {
      if (table.idColumn === undefined) continue
      const sequence = await sequenceOf(target, table)
      if (sequence === undefined) continue
      const next = nextId(file, table)
      if (next < 1n) await target.query(`ALTER SEQUENCE ${sequence} MINVALUE ${next}`)
      await target.query(`SELECT setval(${quoteText(sequence)}, ${next}, FALSE)`)
    }
  })
}

/** Gives the planner statistics. */
export async function analyze(target: Target, tables: readonly PlanTable[]): Promise<void> {
  for (const { target: name } of tables) await target.query(`ANALYZE ${target.qualify(name)}`)
}
