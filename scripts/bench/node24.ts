/** The Node.js that has `node:sqlite`: the one that runs, where it is new enough, else that of a package. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Returns its program; undefined where there is none. */
export function nodeWithSqlite(): string | undefined {
  if (Number.parseInt(process.versions.node, 10) >= 24) return process.execPath
  // The package is for Linux on x64, and left out of an installation elsewhere.
  const program = join(import.meta.dirname, 'node_modules', 'node24', 'bin', 'node')
  return existsSync(program) ? program : undefined
}
