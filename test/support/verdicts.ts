/** The samples of test/check: queries whose verdicts their writer gave before the check ran. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Session } from '../../src/tools/check/session.ts'

const samples = join(import.meta.dirname, '..', 'check')

/** By module, the queries of each verdict but `same`; `byLanguage` are those that need a collation of a language. */
export const MODULES = JSON.parse(readFileSync(join(samples, 'verdicts.json'), 'utf8')) as Record<string, Record<string, string[]>>

export interface SampleVerdict {
  readonly query: string
  readonly verdict: string
  readonly expected: string
}

export async function checkSample(module: string, postgres: string, seed: string): Promise<SampleVerdict[]> {
  const session = new Session({ sql: join(samples, module), needs: [], postgres, seed, runs: 8 })
  const { results, hasLanguage } = await session.check().finally(() => session.close())
  // Postgres has databases with an ICU collation from 15 on; before, only the collation "C" is there on every machine.
  const { byLanguage = [], ...lists } = MODULES[module] ?? {}
  const expectedOf = (query: string) => {
    if (!hasLanguage && byLanguage.includes(query)) return 'same'
    return Object.entries(lists).find(([, names]) => names.includes(query))?.[0] ?? 'same'
  }
  return results.map(({ subject: { query }, verdict }) => ({ query: query.name, verdict, expected: expectedOf(query.name) }))
}
