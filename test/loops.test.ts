/** Loops over iterate() that nobody goes on with. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { failsWith, onEachDatabase } from './support/databases.ts'

/** A loop may take no row for ten times as long. */
const QUERY = 150
const LIMIT = 10 * QUERY

const THOUSAND = 'WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000) SELECT n FROM numbers'

onEachDatabase('A loop over iterate()', database => {
  async function open() {
    const config = await database.config()
    // Makes the tables without a limit.
    await database.open(config)
    return database.open({
      ...config,
      postgres: { ...config.postgres, maxConnections: 1 },
      timeouts: { query: QUERY, acquire: 20 * LIMIT }
    })
  }

  test('that is abandoned is ended after its limit, and its next step says so', async () => {
    const db = await open()
    const rows = db.iterate(THOUSAND)[Symbol.asyncIterator]()
    await rows.next()
    // On Postgres the only connection is the loop's until it is ended.
    const { n } = await db.one<{ n: number }>('SELECT 1 AS n')
    assert.equal(Number(n), 1)
    await pause(2 * LIMIT)
    await assert.rejects(rows.next(), failsWith('idle_in_transaction_session_timeout', /took no row for 1500 ms.*timeouts\.query/))
    assert.deepEqual(await rows.next(), { done: true, value: undefined })
  })

  test('that is abandoned does not keep close() waiting, and its next step says so', async () => {
    const db = await open()
    const rows = db.iterate(THOUSAND)[Symbol.asyncIterator]()
    await rows.next()
    await pause(2 * LIMIT)
    await db.close()
    await assert.rejects(rows.next(), failsWith('idle_in_transaction_session_timeout'))
  })

  test('whose body is slow for less than that with each row is not ended', async () => {
    const db = await open()
    let rows = 0
    for await (const _ of db.iterate(THOUSAND)) if (rows++ % 400 === 0) await pause(LIMIT / 2)
    assert.equal(rows, 1000)
  })

  test('that is slow and has no limit is not ended', async () => {
    const config = await database.config()
    const db = await database.open({ ...config, timeouts: { query: 0 } })
    let rows = 0
    for await (const _ of db.iterate(THOUSAND)) if (rows++ === 0) await pause(QUERY)
    assert.equal(rows, 1000)
  })
})
