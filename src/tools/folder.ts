/** Reads a module's folder of SQL files. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { Dialect } from '../adapter.ts'
import { type InputFile, readModule, type SqlModule } from '../files/module.ts'

/** A mistake in how a command was called; its message is for the terminal. */
export class UsageError extends Error {}

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
