/** Runs a query through duolect on databases that hold the same rows. */
import type { Transaction } from '../../handle.ts'
import { sql } from '../../sql.ts'
import { attempt } from '../data/attempt.ts'
import { setSequences } from '../data/load.ts'
import type { ParameterSet } from '../data/parameters.ts'
import type { DataRows } from '../data/rows.ts'
import type { Schema } from '../data/schema.ts'
import { type Answer, type Clock, errorAnswer, keyOfRow, NO_TABLES, type Tables } from './answer.ts'
import type { Subject } from './subject.ts'

/** Runs a query once with each set of parameters, and takes back what it wrote. */
export async function runQuery(
  handle: Transaction,
  subject: Subject,
  runs: readonly ParameterSet[],
  rows: DataRows,
  schema: Schema
): Promise<Answer[]> {
  if (subject.writes) {
    const answers: Answer[] = []
    for (const parameters of runs) answers.push(await runOnce(handle, subject, parameters, rows, schema))
    return answers
  }
  // Reads share a savepoint, unless one of them fails.
  const together = await attempt(handle, async tx => {
    const answers: Answer[] = []
    for (const parameters of runs) answers.push(await read(tx, subject, parameters, rows))
    return answers
  })
  if ('value' in together) return together.value
  if (runs.length === 1) return [errorAnswer(together.error)]
  const answers: Answer[] = []
  for (const parameters of runs) answers.push(await runOnce(handle, subject, parameters, rows, schema))
  return answers
}

async function runOnce(handle: Transaction, subject: Subject, parameters: ParameterSet, rows: DataRows, schema: Schema): Promise<Answer> {
  const outcome = await attempt(handle, tx => (subject.writes ? write(tx, subject, parameters, rows, schema) : read(tx, subject, parameters, rows)))
  return 'value' in outcome ? outcome.value : errorAnswer(outcome.error)
}

async function read(tx: Transaction, subject: Subject, parameters: ParameterSet, stored: DataRows): Promise<Answer> {
  const clock = clockOf(subject, parameters, stored)
  const rows = await tx.all(sql.query(subject.source, parameters))
  return { kind: 'rows', rows, keys: rows.map(row => keyOfRow(row, clock)), tables: NO_TABLES }
}

async function write(tx: Transaction, subject: Subject, parameters: ParameterSet, stored: DataRows, schema: Schema): Promise<Answer> {
  await setSequences(tx, schema, stored)
  const clock = clockOf(subject, parameters, stored)
  const statement = sql.query(subject.source, parameters)
  const { call } = subject.query
  if (call === 'exec' || call === 'run') {
    const changes = call === 'run' ? (await tx.run(statement)).changes : await tx.exec(statement).then(() => 0)
    return { kind: 'changes', changes, tables: await readTables(tx, schema, clock) }
  }
  const rows = await tx.all(statement)
  return { kind: 'rows', rows, keys: rows.map(row => keyOfRow(row, clock)), tables: await readTables(tx, schema, clock) }
}

async function readTables(tx: Transaction, { tables }: Schema, clock: Clock | undefined): Promise<Tables> {
  const own = tables.filter(({ dialects, columns }) => dialects.length === 2 && columns.length > 0)
  const results = await tx.batch(
    own.map(({ name, columns }) => sql`SELECT ${sql.list(columns.map(column => sql.id(column.name)))} FROM ${sql.id(name)}`)
  )
  return new Map(
    own.map(({ name }, i) => {
      const rows = results[i] ?? []
      return [name, { rows, keys: rows.map(row => keyOfRow(row, clock)).sort() }]
    })
  )
}

function clockOf({ usesClock }: Subject, parameters: ParameterSet, rows: DataRows): Clock | undefined {
  if (!usesClock) return undefined
  const stored = [...rows.values()].flat().flatMap(row => Object.values(row))
  const times = [...stored, ...Object.values(parameters)].flatMap(value => (value instanceof Date ? [value.getTime()] : []))
  return { now: Date.now(), known: new Set(times) }
}
