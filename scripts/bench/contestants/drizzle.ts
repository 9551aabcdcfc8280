/** Drizzle, with its statements prepared once. On SQLite it is as synchronous as its driver. */

import type { Contestant, Target } from '../contestant.ts'
import { open as openPostgres } from './drizzle-postgres.ts'
import { open as openSqlite } from './drizzle-sqlite.ts'

export async function open(target: Target): Promise<Contestant> {
  return target.dialect === 'sqlite' ? openSqlite(target.location) : openPostgres(target.location)
}
