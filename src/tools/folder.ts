/** Reads a module's folder of SQL files. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Dialect } from '../adapter.ts'
import { type InputFile, type ModuleMigration, readModule, type SqlModule } from '../files/module.ts'
import type { Migration } from '../migrations.ts'
import { UsageError } from './arguments.ts'

/**
 * Reads the module of a folder.
 *
 * @throws SourceError for a mistake in a file, UsageError without the folder
 */
export function readFolder(folder: string, dialects: readonly Dialect[]): SqlModule {
  return readModule(filesOf(folder), { folder, dialects })
}

function filesOf(folder: string): InputFile[] {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new UsageError(`There is no folder ${folder}. Create it with your SQL files, or name another: --sql DIR.`)
  }
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter(entry => entry.isFile() && /\.(sql|[cm]?[tj]s)$/.test(entry.name))
    .map(entry => join(entry.parentPath, entry.name))
    .map(file => ({ path: relative(folder, file).replaceAll('\\', '/'), text: readFileSync(file, 'utf8') }))
}

/** A migration of a folder as `db.migrate()` takes it; the function of a step is imported. */
export async function toMigration(migration: ModuleMigration): Promise<Migration> {
  const { name } = migration
  if (migration.kind === 'script') return { name, ...migration.sql, rebuild: migration.rebuild }
  const step = await importStep(migration.path)
  if (typeof step !== 'function')
    throw new Error(`${migration.path}: a step in TypeScript is a default export, a function of the transaction.`)
  return { name, step: step as () => unknown }
}

async function importStep(path: string): Promise<unknown> {
  try {
    return ((await import(pathToFileURL(path).href)) as { default?: unknown }).default
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_UNKNOWN_FILE_EXTENSION') throw error
    throw new Error(
      `${path}: this Node cannot import TypeScript. Use Node 22.18 or later, or run: node --import tsx node_modules/duolect/dist/tools/cli.js …`,
      { cause: error }
    )
  }
}
