/** Runs a query through duolect on databases that hold the same rows. */
import type { Transaction } from '../../handle.ts'
import { sql } from '../../sql.ts'
import { attempt } from '../data/attempt.ts'
import { setSequences } from '../data/load.ts'
import type { ParameterSet } from '../data/parameters.ts'
import type { DataRows } from '../data/rows.ts'
import type { Schema, Table } from '../data/schema.ts'
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
  if (!subject.writes && runs.length > 1) {
    // Reads share a savepoint, unless one of them fails.
    const together = await attempt(handle, tx => Promise.all(runs.map(parameters => read(tx, subject, parameters, rows))))
    if ('value' in together) return together.value
  }
  const answers: Answer[] = []
  for (const parameters of runs) {
    const outcome = await attempt(handle, tx => runOnce(tx, subject, parameters, rows, schema))
    answers.push('value' in outcome ? outcome.value : errorAnswer(outcome.error))
  }
  return answers
}

/** Runs a query in a transaction that nothing else is done in. */
export function runAlone(tx: Transaction, subject: Subject, parameters: ParameterSet, rows: DataRows, schema: Schema): Promise<Answer> {
  return runOnce(tx, subject, parameters, rows, schema).catch(errorAnswer)
}

function runOnce(tx: Transaction, subject: Subject, parameters: ParameterSet, rows: DataRows, schema: Schema): Promise<Answer> {
  return subject.writes ? write(tx, subject, parameters, rows, schema) : read(tx, subject, parameters, rows)
}

async function read(tx: Transaction, subject: Subject, parameters: ParameterSet, stored: DataRows): Promise<Answer> {
  const clock = clockOf(subject, parameters, stored)
  const rows = await tx.all(sql.query(subject.source, parameters))
  return { kind: 'rows', rows, keys: rows.map(row => keyOfRow(row, clock)), tables: NO_TABLES }
}

/** What goes to Postgres goes there together: the transaction refuses what follows a statement that failed. */
async function write(tx: Transaction, subject: Subject, parameters: ParameterSet, stored: DataRows, schema: Schema): Promise<Answer> {
  const clock = clockOf(subject, parameters, stored)
  const statement = sql.query(subject.source, parameters)
  const { call } = subject.query
  const [, result, tables] = await Promise.all([
    subject.words.has('insert') ? setSequences(tx, schema, stored) : undefined,
    call === 'run' ? tx.run(statement) : call === 'exec' ? tx.exec(statement).then(() => ({ changes: 0 })) : tx.all(statement),
    readTables(tx, changedTables(subject, schema), clock)
  ])
  if (!Array.isArray(result)) return { kind: 'changes', changes: result.changes, tables }
  return { kind: 'rows', rows: result, keys: result.map(row => keyOfRow(row, clock)), tables }
}

/** The tables that a statement names, and those that refer to them, whose rows may go with theirs. */
function changedTables({ words }: Subject, { tables, hasTriggers }: Schema): readonly Table[] {
  const isHere = ({ dialects, columns }: Table) => dialects.length === 2 && columns.length > 0
  if (hasTriggers === true) return tables.filter(isHere)
  const names = new Set(tables.filter(({ name }) => words.has(name.toLowerCase())).map(({ name }) => name))
  for (let size = -1; size !== names.size; ) {
    size = names.size
    for (const { name, foreignKeys } of tables) if (foreignKeys.some(({ table }) => names.has(table))) names.add(name)
  }
  return tables.filter(table => names.has(table.name) && isHere(table))
}

async function readTables(tx: Transaction, tables: readonly Table[], clock: Clock | undefined): Promise<Tables> {
  const results = await tx.batch(
    tables.map(({ name, columns }) => sql`SELECT ${sql.list(columns.map(column => sql.id(column.name)))} FROM ${sql.id(name)}`)
  )
  return new Map(
    tables.map(({ name }, i) => {
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
