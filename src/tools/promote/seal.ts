/** The seal of a file that was moved: triggers that refuse every write, whichever program makes it. */
import type { SqliteFile } from './file.ts'
import { quoteName, quoteText } from './quote.ts'

/** With this begin the names of the seal's triggers. */
export const SEAL_PREFIX = 'duolect_seal_'

export interface Seal {
  /** What a write is refused with. */
  readonly message: string
}

/** Returns the seal of a file; undefined for an open one. */
export function readSeal(file: SqliteFile): Seal | undefined {
  const sql = file.value(
    "SELECT sql FROM main.sqlite_schema WHERE type = 'trigger' AND substr(name, 1, ?) = ?",
    BigInt(SEAL_PREFIX.length),
    SEAL_PREFIX
  )
  if (typeof sql !== 'string') return undefined
  const text = /RAISE\(ABORT, '((?:[^']|'')*)'\)/.exec(sql)?.[1] ?? ''
  return { message: text.replaceAll("''", "'") }
}

/** Returns the statements that seal tables. */
export function sealStatements(tables: readonly string[], now: Date): string[] {
  const message = `moved to Postgres on ${now.toISOString()}; this file takes no writes any more ("npx duolect unseal" opens it again)`
  return tables.flatMap((table, i) =>
    ['INSERT', 'UPDATE', 'DELETE'].map(
      event =>
        `CREATE TRIGGER main.${quoteName(`${SEAL_PREFIX}${i + 1}_${event.toLowerCase()}`)} BEFORE ${event} ON ${quoteName(table)} ` +
        `BEGIN SELECT RAISE(ABORT, ${quoteText(message)}); END`
    )
  )
}

/** Takes the seal off. Returns false when there was none. */
export function removeSeal(file: SqliteFile): boolean {
  const names = file.rows(
    "SELECT name FROM main.sqlite_schema WHERE type = 'trigger' AND substr(name, 1, ?) = ?",
    BigInt(SEAL_PREFIX.length),
    SEAL_PREFIX
  )
  for (const [name] of names) file.exec(`DROP TRIGGER main.${quoteName(name as string)}`)
  return names.length > 0
}
