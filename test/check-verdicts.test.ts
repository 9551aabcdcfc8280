import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Session } from '../src/tools/check/session.ts'

const samples = join(import.meta.dirname, 'check')

describe('The verdicts on queries that were written before the check ran are as their writer has them', () => {
  const verdicts = JSON.parse(readFileSync(join(samples, 'verdicts.json'), 'utf8')) as Record<string, Record<string, string[]>>

  for (const [name, lists] of Object.entries(verdicts)) {
    test(name, async () => {
      const session = new Session({ sql: join(samples, name), needs: [], postgres: process.env.TEST_PG_URL, seed: 'duolect', runs: 8 })
      const { results } = await session.check().finally(() => session.close())
      const expected = (query: string) => Object.entries(lists).find(([, names]) => names.includes(query))?.[0] ?? 'same'
      assert.deepEqual(
        results.map(({ subject, verdict }) => [subject.query.name, verdict]),
        results.map(({ subject }) => [subject.query.name, expected(subject.query.name)])
      )
    })
  }
})
