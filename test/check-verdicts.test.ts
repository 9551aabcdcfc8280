import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { checkSample, MODULES } from './support/verdicts.ts'

describe('The verdicts on queries that were written before the check ran are as their writer has them', () => {
  for (const module of Object.keys(MODULES)) {
    test(module, async () => {
      const verdicts = await checkSample(module, process.env.TEST_PG_URL as string, 'duolect')
      assert.deepEqual(
        verdicts.map(({ query, verdict }) => [query, verdict]),
        verdicts.map(({ query, expected }) => [query, expected])
      )
    })
  }
})
