import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Session } from '../src/tools/check/session.ts'

const samples = join(import.meta.dirname, 'check')

describe('The verdicts on queries that were written before the check ran are as their writer has them', () => {
  const modules = JSON.parse(readFileSync(join(samples, 'verdicts.json'), 'utf8')) as Record<string, Record<string, string[]>>

  for (const [name, lists] of Object.entries(modules)) {
    test(name, async () => {
      const session = new Session({ sql: join(samples, name), needs: [], postgres: process.env.TEST_PG_URL, seed: 'duolect', runs: 8 })
      const { results, hasLanguage } = await session.check().finally(() => session.close())
      // Postgres has databases with an ICU collation from 15 on; before, only the collation "C" is there on every machine.
      const { byLanguage = [], ...verdicts } = lists
      const isSame = (query: string) => !hasLanguage && byLanguage.includes(query)
      const expected = (query: string) =>
        (!isSame(query) && Object.entries(verdicts).find(([, names]) => names.includes(query))?.[0]) || 'same'
      assert.deepEqual(
        results.map(({ subject, verdict }) => [subject.query.name, verdict]),
        results.map(({ subject }) => [subject.query.name, expected(subject.query.name)])
      )
    })
  }
})
