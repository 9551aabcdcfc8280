/** Chooses between the two packages that SQLite runs on. */
import type { SqliteSettings } from '../../config.ts'
import { DatabaseError } from '../../errors.ts'
import { loadBetterSqlite3 } from './better-sqlite3.ts'
import type { NativeConstructor } from './connection.ts'
import { loadNodeSqlite } from './node-sqlite.ts'

/**
 * Loads the package that the setting names, or the first one that works here.
 *
 * @throws DatabaseError `missing_driver` with the command that mends it
 */
export async function loadPackage(driver: SqliteSettings['driver']): Promise<NativeConstructor> {
  if ((globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent === 'Cloudflare-Workers') {
    throw new DatabaseError('missing_driver', 'SQLite cannot run on Cloudflare Workers, which have no files. Use Postgres there.')
  }
  if (driver === 'node:sqlite') return loadNodeSqlite() ?? noNodeSqlite()
  try {
    return await loadBetterSqlite3()
  } catch (error) {
    const Native = driver === undefined ? loadNodeSqlite() : undefined
    if (Native === undefined) throw error
    return Native
  }
}

function noNodeSqlite(): never {
  throw new DatabaseError(
    'missing_driver',
    `Cannot use "node:sqlite" (sqlite.driver): it needs Node.js 24 or newer, Bun or Deno, and this is ${process.versions.node}. ` +
      'Leave the setting out, and install better-sqlite3.'
  )
}
