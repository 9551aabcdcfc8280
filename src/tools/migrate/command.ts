/** `duolect migrate`: the migrations of folders, on the database that a program would open. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { Dialect } from '../../adapter.ts'
import { type DatabaseConfig, readSettings, type Settings } from '../../config.ts'
import { createDatabase } from '../../database.ts'
import { DatabaseError } from '../../errors.ts'
import type { Migration } from '../../migrations.ts'
import { UsageError } from '../arguments.ts'
import { readFolder, toMigration } from '../folder.ts'
import { findStatus, type ModuleStatus } from './status.ts'

export interface MigrateOptions {
  /** The folder of SQL files. */
  readonly sql: string
  /** What the module is called in the database. @default the name in the package.json above the folder */
  readonly name: string | undefined
  /** Folders of modules whose migrations run first. */
  readonly needs: readonly string[]
  /** A URL or a file. @default what `createDatabase()` opens */
  readonly database: string | undefined
  /** The databases of the project. */
  readonly dialects: readonly Dialect[]
  /** Limit of one statement, in seconds. @default that of `createDatabase()` */
  readonly timeout: number | undefined
}

/** The migrations of a folder. */
export interface FolderModule {
  readonly name: string
  readonly migrations: readonly Migration[]
}

type Print = (line: string) => void

/** Runs what has not run. Returns the exit code. */
export async function runMigrations(options: MigrateOptions, print: Print): Promise<number> {
  const { settings, config } = configOf(options)
  const modules = await modulesOf(options)
  for (const module of await findStatus(settings, modules)) assertOneName(module)
  const db = createDatabase(config)
  try {
    for (const { name, migrations } of modules) {
      const ran = await db.migrate(name, migrations)
      for (const migration of ran) print(`${name}: ran ${migration}`)
      if (ran.length === 0) print(`${name}: nothing to run; ${count(migrations.length)} ran before`)
    }
  } finally {
    await db.close()
  }
  return 0
}

/** Prints what has run and what has not, and writes nothing. Returns the exit code: 0 when there is nothing to do. */
export async function printStatus(options: MigrateOptions, print: Print): Promise<number> {
  const { settings } = configOf(options)
  const statuses = await findStatus(settings, await modulesOf(options))
  for (const status of statuses) {
    assertOneName(status)
    print(`${status.name} on ${settings.location}:`)
    for (const { name, state, appliedOn } of status.migrations) {
      print(`  ${state.padEnd(7)}  ${name}${appliedOn === undefined ? '' : `  ${appliedOn.toISOString()}`}`)
    }
    if (status.migrations.length === 0) print('  no migrations')
  }
  const states = new Set(statuses.flatMap(({ migrations }) => migrations.map(({ state }) => state)))
  for (const [state, advice] of Object.entries(ADVICE)) if (states.has(state as keyof typeof ADVICE)) print(`${state}: ${advice}`)
  return [...states].every(state => state === 'ran') ? 0 : 1
}

const ADVICE = {
  pending: 'run "npx duolect migrate".',
  changed: 'its text is not the one that ran; restore it, and make the change in a new migration.',
  missing: 'it ran in this database and is not in the folder; put it back.',
  late: 'it has not run, but one behind it has; rename it so that it comes last.'
} as const

function count(migrations: number): string {
  return `${migrations} ${migrations === 1 ? 'migration' : 'migrations'}`
}

/** One name in the program and another here would run everything twice. */
function assertOneName({ name, twin }: ModuleStatus): void {
  if (twin === undefined) return
  throw new UsageError(
    `The migrations of "${name}" ran in this database already, as those of the module "${twin}". Give the name that the program gives ` +
      `to db.migrate(): --name ${twin}`
  )
}

/** The settings of the database, and the configuration that leads to them. */
function configOf({ database, timeout }: MigrateOptions): { settings: Settings; config: DatabaseConfig } {
  const settings = readDatabase(database)
  if (settings.location === ':memory:') throw new UsageError('A database in memory ends with this command; name a file or a URL.')
  const timeouts = timeout === undefined ? {} : { query: timeout * 1000 }
  const { dialect, location } = settings
  return {
    settings,
    config:
      dialect === 'postgres'
        ? { postgres: { enabled: true, connection: database }, timeouts }
        : { sqlite: { location }, postgres: { enabled: false }, timeouts }
  }
}

function readDatabase(database: string | undefined): Settings {
  try {
    return readSettings(database)
  } catch (error) {
    if (error instanceof DatabaseError) throw new UsageError(error.message)
    throw error
  }
}

// Modules -------------------------------------------------------------------------------------------------------

/** The modules in the order in which they run. */
async function modulesOf({ sql, name, needs, dialects }: MigrateOptions): Promise<FolderModule[]> {
  const folders = [...needs.map(folder => ({ folder, name: nameFor(folder) })), { folder: sql, name: name ?? nameFor(sql) }]
  const twin = folders.find((module, i) => folders.findIndex(({ name }) => name === module.name) < i)
  if (twin !== undefined) {
    throw new UsageError(
      `Two folders are of the module "${twin.name}". Migrate the first one by itself, under its own name: --sql DIR --name NAME`
    )
  }
  return Promise.all(
    folders.map(async ({ folder, name }) => ({
      name,
      migrations: await Promise.all(readFolder(folder, dialects).migrations.map(toMigration))
    }))
  )
}

/** The name in the nearest package.json. */
function nameFor(sql: string): string {
  for (let folder = resolve(sql); ; folder = dirname(folder)) {
    const file = join(folder, 'package.json')
    if (existsSync(file)) {
      const { name } = JSON.parse(readFileSync(file, 'utf8')) as { name?: unknown }
      if (typeof name === 'string' && name !== '') return name
    }
    if (folder === dirname(folder)) {
      throw new UsageError(
        `No package.json above ${sql} names the module. Give the name that the program gives to db.migrate(): --name NAME`
      )
    }
  }
}
