/**
 * Rebuilding tables on SQLite, whose ALTER TABLE changes little: a script makes a new table, copies the rows, drops the
 * old one and renames. (SQLite manual, "Making Other Kinds Of Table Schema Changes".)
 */
import { DatabaseError } from './errors.ts'
import type { Runner } from './execute.ts'
import { callQuery } from './queries.ts'

/**
 * Runs a script in a transaction that does not enforce foreign keys, and checks what it left.
 *
 * @throws DatabaseError `foreign_key_violation` when rows refer to none; `undefined_object` when an index or a
 *   trigger is gone whose table is there
 */
export async function rebuildTables(runner: Runner, runScript: () => Promise<void>): Promise<void> {
  const { count } = await callQuery(runner, 'countEnforcedForeignKeys')
  if (count !== 0) {
    throw new DatabaseError(
      'feature_not_supported',
      'The adapter enforces foreign keys in spite of rebuildsTables, so nothing was rebuilt.'
    )
  }
  const before = await callQuery(runner, 'findIndexesAndTriggers')
  const sequences = await findSequences(runner)
  await runScript()
  await assertNoneDangles(runner)
  await assertNoneIsLost(runner, before)
  // A new table with AUTOINCREMENT would begin above its largest row and give ids of deleted rows again.
  for (const sequence of sequences) {
    await callQuery(runner, 'moveSequence', sequence)
    await callQuery(runner, 'addSequence', sequence)
  }
}

async function findSequences(runner: Runner): Promise<{ name: string; largestId: number | bigint }[]> {
  // SQLite makes this table with the first AUTOINCREMENT.
  const tables = await callQuery(runner, 'findTables')
  return tables.some(({ name }) => name === 'sqlite_sequence') ? callQuery(runner, 'findSequences') : []
}

async function assertNoneDangles(runner: Runner): Promise<void> {
  const [first, ...others] = await callQuery(runner, 'findDanglingRows')
  if (first === undefined) return
  const more = others.length === 0 ? '' : ` The same holds for ${others.map(({ child }) => `"${child}"`).join(', ')}.`
  throw new DatabaseError(
    'foreign_key_violation',
    `Rows of "${first.child}" that refer to no row of "${first.parent}": ${first.count}.${more} Copy all rows, or delete those that refer to ` +
      'them in the same script. To see them, run PRAGMA foreign_key_check.',
    { table: first.child }
  )
}

async function assertNoneIsLost(runner: Runner, before: { type: string; name: string; tableName: string; sql: string }[]): Promise<void> {
  const after = await callQuery(runner, 'findIndexesAndTriggers')
  const tables = await callQuery(runner, 'findTables')
  const lost = before.filter(
    ({ type, name, tableName }) =>
      tables.some(table => table.name === tableName) && !after.some(other => other.type === type && other.name === name)
  )
  if (lost.length === 0) return
  throw new DatabaseError(
    'undefined_object',
    `DROP TABLE also dropped ${lost.map(({ type, name }) => `the ${type} "${name}"`).join(', ')}. Make ${lost.length === 1 ? 'it' : 'them'} ` +
      `again at the end of the script; to drop one for good, do that in a migration before this one:\n${lost.map(({ sql }) => `${sql};`).join('\n')}`
  )
}
