/**
 * Migrations of modules: each runs once in a database, in order, together with its record in `duolect_migrations`.
 * Any number of processes may start at once, since each of them looks again under a lock before it runs one.
 */
import type { Dialect } from './adapter.ts'
import { clock } from './clock.ts'
import { DatabaseError, messageOf } from './errors.ts'
import { executeScript } from './execute.ts'
import type { Transaction } from './handle.ts'
import { droppedTablesOf, statementsOf } from './lexer.ts'
import { callQuery } from './queries.ts'
import { rebuildTables } from './rebuild.ts'
import { scriptOf } from './statement.ts'
import type { TransactionSession } from './transaction.ts'

/**
 * One step from a schema to the next: SQL for each database, or a function. `duolect generate` writes the array of a
 * module's migrations from its folder `sql/migrations`. A module for one database leaves out the other's script; there
 * the migration is an error.
 *
 * @example
 * const migrations: Migration[] = [
 *   { name: '0001-notes', sqlite: 'CREATE TABLE notes (body TEXT)', postgres: 'CREATE TABLE notes (body TEXT)' },
 *   { name: '0002-first', step: async tx => { await tx.run(sql`INSERT INTO notes (body) VALUES (${'first'})`) } }
 * ]
 */
export type Migration =
  | {
      /** Identifies the migration within its module. */
      readonly name: string
      /** The script for SQLite. */
      readonly sqlite?: string | undefined
      /** The script for Postgres. */
      readonly postgres?: string | undefined
      /**
       * Lets the script rebuild tables on SQLite: foreign keys are not enforced while it runs and are checked before
       * the commit. Has no effect on Postgres.
       * @default false
       */
      readonly rebuild?: boolean | undefined
    }
  | {
      readonly name: string
      /** Does the step with the handle of its transaction. */
      readonly step: (tx: Transaction) => unknown
    }

/** Runs `body` in a transaction of its own. */
export type Transact = <T>(
  options: { isolation: 'read committed'; rebuildsTables?: boolean },
  body: (tx: Transaction, session: TransactionSession) => Promise<T>
) => Promise<T>

/** What `migrateModule` needs of a database. */
export interface MigrationTarget {
  readonly runner: Parameters<typeof callQuery>[0]
  readonly transact: Transact
  /** How long to wait for other processes that run migrations, in ms; 0 for no limit. */
  readonly waitLimit: number
}

type Script = Exclude<Migration, { step: unknown }>

/** The checksums of migrations, by name; null for a step in TypeScript, which counts by its name. */
type Checksums = ReadonlyMap<string, string | null>

export interface Module {
  readonly name: string
  readonly migrations: readonly Migration[]
  readonly checksums: Checksums
}

/** What a database's records say of a migration. */
export type MigrationState = 'ran' | 'pending' | 'changed' | 'missing' | 'late'

const DATABASES = { sqlite: 'SQLite', postgres: 'Postgres' } as const

/** Runs the migrations of a module that have not run, and returns their names. */
export async function migrateModule(target: MigrationTarget, name: unknown, migrations: unknown): Promise<string[]> {
  const module = await readModule(name, migrations)
  const { runner } = target
  const { count } = await callQuery(runner, 'countMigrationTables')
  const records = count === 0 ? new Map() : await findRecords(runner, module)
  const pending = await pendingOf(module, records)
  if (pending.length === 0) return []
  assertScripts(module, pending, runner.dialect)
  if (count === 0) await patiently(target, () => callQuery(runner, 'createMigrationTable'))
  const applied: string[] = []
  for (const migration of pending) if (await apply(target, module, migration)) applied.push(migration.name)
  return applied
}

/** Checks what the caller gave. */
export async function readModule(name: unknown, migrations: unknown): Promise<Module> {
  if (typeof name !== 'string' || name.trim() === '') throw invalid(`expects the module's name, a string that is not empty`)
  if (!Array.isArray(migrations)) throw invalid(`expects an array of migrations for the module "${name}", got ${typeof migrations}`)
  const checksums = new Map<string, string | null>()
  for (const [i, migration] of migrations.entries()) {
    const problem = problemOf(migration)
    if (problem !== undefined) throw invalid(`expects ${problem}, in migration ${i + 1} of the module "${name}"`)
    if (checksums.has(migration.name)) throw invalid(`got two migrations named "${migration.name}" in the module "${name}"`)
    checksums.set(migration.name, await checksumOf(migration))
  }
  return { name, migrations, checksums }
}

function problemOf(migration: unknown): string | undefined {
  if (typeof migration !== 'object' || migration === null) return 'an object'
  const { name, sqlite, postgres, step } = migration as Record<string, unknown>
  if (typeof name !== 'string' || name.trim() === '') return 'a name, a string that is not empty'
  if (typeof step === 'function') return undefined
  const scripts = [sqlite, postgres].filter(script => script !== undefined)
  if (scripts.length > 0 && scripts.every(script => typeof script === 'string')) return undefined
  return 'a script for each database, { name, sqlite, postgres }, or a function, { name, step }'
}

function invalid(problem: string): DatabaseError {
  return new DatabaseError('invalid_parameter', `migrate() ${problem}.`)
}

/** Of both databases' scripts, so that it outlives a move from SQLite to Postgres, and of LF, so that it outlives an editor. */
async function checksumOf(migration: Migration): Promise<string | null> {
  if ('step' in migration) return null
  const text = JSON.stringify([migration.sqlite, migration.postgres].map(script => script?.replaceAll('\r\n', '\n').trim() ?? null))
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(digest), byte => byte.toString(16).padStart(2, '0')).join('')
}

export async function findRecords(runner: MigrationTarget['runner'], module: Module): Promise<Checksums> {
  const rows = await callQuery(runner, 'findMigrations', { module: module.name })
  return new Map(rows.map(({ name, checksum }) => [name, checksum]))
}

/** Compares a module with what ran: first what is missing, then the migrations in their order. */
export async function statesOf({ migrations, checksums }: Module, records: Checksums): Promise<Map<string, MigrationState>> {
  const states = new Map<string, MigrationState>()
  for (const name of records.keys()) if (!checksums.has(name)) states.set(name, 'missing')
  const last = migrations.findLastIndex(({ name }) => records.has(name))
  for (const [i, migration] of migrations.entries()) {
    const { name } = migration
    const recorded = records.get(name)
    if (recorded === undefined) states.set(name, i < last ? 'late' : 'pending')
    else states.set(name, checksums.get(name) === recorded || (await hasNewScript(migration, recorded)) ? 'ran' : 'changed')
  }
  return states
}

/** True if a script was added for a database that had none when the migration ran, so that what ran is as it was. */
async function hasNewScript(migration: Migration, recorded: string | null): Promise<boolean> {
  if ('step' in migration || migration.sqlite === undefined || migration.postgres === undefined) return false
  const { name, sqlite, postgres } = migration
  return recorded === (await checksumOf({ name, sqlite })) || recorded === (await checksumOf({ name, postgres }))
}

/**
 * Returns the migrations that have not run.
 *
 * @throws DatabaseError `migration_mismatch` when those that ran are not the first ones of the module, as they are now
 */
async function pendingOf(module: Module, records: Checksums): Promise<readonly Migration[]> {
  const states = await statesOf(module, records)
  const last = module.migrations.findLast(({ name }) => records.has(name))
  const problems = {
    missing:
      'ran in this database and is missing now. Put it back; to undo it, add a migration behind the last one. If this program is ' +
      'older than the database, start the newer one',
    changed: 'was changed after it ran in this database. Restore its text, and make the change in a new migration',
    late: `has not run, but "${last?.name}" behind it has. Rename it so that it comes last`
  }
  for (const [name, state] of states) if (state in problems) throw mismatch(module, name, problems[state as keyof typeof problems])
  return module.migrations.filter(({ name }) => states.get(name) === 'pending')
}

/** @throws DatabaseError `feature_not_supported` for a migration that has no script for this database */
function assertScripts(module: Module, migrations: readonly Migration[], dialect: Dialect): void {
  const lacking = migrations.find(migration => !('step' in migration) && migration[dialect] === undefined)
  if (lacking === undefined) return
  throw new DatabaseError(
    'feature_not_supported',
    `The migration "${lacking.name}" of the module "${module.name}" has no script for ${DATABASES[dialect]}, so none of the module was run. ` +
      'Add the script, which may be empty, or use the module on the other database.'
  )
}

function mismatch({ name: module }: Module, migration: string, problem: string): DatabaseError {
  return new DatabaseError('migration_mismatch', `The migration "${migration}" of the module "${module}" ${problem}.`)
}

/** Runs a migration, unless another process has. Returns true if it ran here. */
function apply(target: MigrationTarget, module: Module, migration: Migration): Promise<boolean> {
  // READ COMMITTED, because a snapshot that is older than the lock would not show what others have run.
  const options = { isolation: 'read committed', rebuildsTables: 'rebuild' in migration && migration.rebuild === true } as const
  return patiently(target, onLocked =>
    target.transact(options, async (tx, session) => {
      const { dialect } = session
      if (dialect === 'postgres') await callQuery(session, 'lockMigrations')
      onLocked()
      if (!(await pendingOf(module, await findRecords(session, module))).includes(migration)) return false
      try {
        if ('step' in migration) await migration.step(tx)
        else await runScript(session, migration)
      } catch (error) {
        throw failure(module, migration, error)
      }
      const checksum = module.checksums.get(migration.name)
      await callQuery(session, 'addMigration', { module: module.name, name: migration.name, checksum, now: new Date() })
      return true
    })
  )
}

async function runScript(session: TransactionSession, migration: Script): Promise<void> {
  const { dialect } = session
  const { [dialect]: script = '' } = migration
  const run = async () => {
    if (statementsOf(script, dialect).length > 0) await executeScript(session, scriptOf(script, dialect, session.place))
  }
  if (dialect === 'postgres') return run()
  if (migration.rebuild === true) return rebuildTables(session, run)
  await assertNoneLosesRows(session, script)
  return run()
}

/** In SQLite, DROP TABLE deletes the rows of the table first, and with them those that refer to them by ON DELETE CASCADE. */
async function assertNoneLosesRows(session: TransactionSession, script: string): Promise<void> {
  const dropped = droppedTablesOf(script, 'sqlite').map(table => table.toLowerCase())
  if (dropped.length === 0) return
  const references = await callQuery(session, 'findForeignKeys')
  for (const [i, table] of dropped.entries()) {
    const reference = references.find(
      ({ child, parent }) => parent.toLowerCase() === table && !dropped.slice(0, i).includes(child.toLowerCase())
    )
    if (reference === undefined) continue
    throw new DatabaseError(
      'dependent_objects_still_exist',
      `DROP TABLE ${reference.parent} would delete rows of "${reference.child}", which refers to it. To rebuild the table, begin the ` +
        'migration with "-- @rebuild" (in TypeScript: rebuild: true); to remove it, drop the tables that refer to it first.'
    )
  }
}

/** The failure of a step, with its place. What was undone is undone by the transaction. */
function failure(module: Module, { name }: Migration, error: unknown): DatabaseError {
  const message = `The migration "${name}" of the module "${module.name}" failed, and nothing of it was kept: ${messageOf(error)}`
  if (!(error instanceof DatabaseError)) return new DatabaseError('raise_exception', message, { cause: error })
  const { code, cause, isRetryable, constraint, table, column, sql } = error
  return new DatabaseError(code, message, { cause: cause ?? error, isRetryable, constraint, table, column, sql })
}

/**
 * Waits for other processes that run migrations for longer than `timeouts.lock`, since a migration may take long.
 *
 * @param work is told how to say that it has the lock; from then on its failures are its own
 */
async function patiently<T>({ waitLimit }: MigrationTarget, work: (onLocked: () => void) => Promise<T>): Promise<T> {
  for (const since = clock(); ; ) {
    let isLocked = false
    try {
      return await work(() => {
        isLocked = true
      })
    } catch (error) {
      const isWaiting = error instanceof DatabaseError && error.code === 'lock_not_available' && !isLocked
      if (!isWaiting || (waitLimit > 0 && clock() - since >= waitLimit)) throw error
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
}
