/** Tries a plan on the server and undoes it, so that nothing of it fails after rows were written. */
import type { Making, Plan } from './plan.ts'
import { quoteName, quoteText } from './quote.ts'
import { serverMessage, type Target } from './target.ts'

export interface Trial {
  /** Statements that the server refused, with its reasons. */
  readonly rejected: ReadonlyMap<string, string>
  /** Tables that cannot be made at all. */
  readonly refusals: readonly string[]
}

/** Makes everything without rows, in a transaction that is rolled back. */
export async function tryPlan(target: Target, plan: Plan): Promise<Trial> {
  const rejected = new Map<string, string>()
  const refusals: string[] = []
  const missing = plan.tables.filter(({ existing }) => existing === undefined)
  if (missing.length === 0) return { rejected, refusals }
  const attempt = async ({ statement }: Making) => {
    const error = await target.attempt(() => target.query(statement))
    if (error !== undefined) rejected.set(statement, serverMessage(error))
  }
  await target.begin()
  try {
    await makeSchema(target)
    const made = []
    for (const table of missing) {
      const error = await target.attempt(() => target.query(table.create))
      if (error === undefined) {
        made.push(table)
        continue
      }
      // Which of its parts does not work, or the table itself.
      const plain = await target.attempt(() => target.query(table.plainCreate))
      if (plain !== undefined) refusals.push(`table ${table.source.name}: Postgres: ${serverMessage(plain)}`)
      else for (const trial of table.trials) await attempt(trial)
    }
    for (const table of made) for (const making of table.makings) await attempt(making)
    for (const table of made) for (const key of table.foreignKeys) await attempt(key)
  } finally {
    await target.query('ROLLBACK')
  }
  return { rejected, refusals }
}

/** Makes the schema. */
export async function makeSchema(target: Target): Promise<void> {
  for (const statement of await schemaToMake(target)) await target.query(statement)
}

/** Returns what makes the schema. Not IF NOT EXISTS, which asks for the right to make one even where it is there. */
export async function schemaToMake(target: Target): Promise<string[]> {
  const found = await target.query(`SELECT 1 FROM pg_namespace WHERE nspname = ${quoteText(target.schema)}`)
  return found.length === 0 ? [`CREATE SCHEMA ${quoteName(target.schema)}`] : []
}
