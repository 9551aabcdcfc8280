/** What only Postgres has: a server, and a way to it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { createDatabase, type Database, type DatabaseConfig } from '../src/index.ts'
import { failsWith } from './support/databases.ts'
import { Relay } from './support/relay.ts'

const url = process.env.TEST_PG_URL as string

function open(settings: DatabaseConfig['postgres'] = {}, timeouts: DatabaseConfig['timeouts'] = {}): Database {
  return createDatabase({ postgres: { enabled: true, connection: url, ...settings }, timeouts })
}

describe('A statement that takes too long', () => {
  for (const pooler of [false, true]) {
    test(`ends with query_canceled, on the server too (pooler: ${pooler})`, async () => {
      const db = open({ pooler }, { query: 150 })
      await assert.rejects(db.all('SELECT pg_sleep(20), 5115 AS mark'), failsWith('query_canceled'))
      await pause(50)
      const running = await db.all(
        "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%5115 AS mark%' AND pid <> pg_backend_pid()"
      )
      assert.deepEqual(running, [])
      await db.close()
    })
  }

  test('ends in a transaction too, which is rolled back', async () => {
    const db = open({}, { query: 150 })
    await assert.rejects(
      db.transaction(tx => tx.all('SELECT pg_sleep(20)')),
      failsWith('query_canceled')
    )
    assert.deepEqual(await db.all('SELECT 1 AS one'), [{ one: 1 }])
    await db.close()
  })

  test('ends when the server does not answer at all', async () => {
    const relay = new Relay()
    const db = createDatabase({ postgres: { enabled: true, connection: await relay.listen() }, timeouts: { query: 100 } })
    await db.get()
    relay.isAnswering = false
    await assert.rejects(db.all('SELECT 1'), failsWith('connection_failure', /timeouts\.query/))
    relay.isAnswering = true
    assert.deepEqual(await db.all('SELECT 1 AS one'), [{ one: 1 }])
    await db.close()
    relay.close()
  })
})

describe('The pool', () => {
  test('lets calls wait for a free connection, and fails after the limit', async () => {
    const db = open({ maxConnections: 1 }, { acquire: 100 })
    await db.get()
    const slow = db.all('SELECT pg_sleep(0.4)')
    await assert.rejects(db.all('SELECT 1'), failsWith('connection_failure', /None of the 1 connections.*timeouts\.acquire/))
    await slow
    assert.deepEqual(await Promise.all([db.all('SELECT 1 AS one'), db.all('SELECT 2 AS two')]), [[{ one: 1 }], [{ two: 2 }]])
    await db.close()
  })

  test('never opens more connections than it may', async () => {
    const db = createDatabase({ postgres: { enabled: true, connection: `${url}?application_name=counted`, maxConnections: 3 } })
    const counts = await Promise.all(
      Array.from({ length: 50 }, () =>
        db.one<{ count: number }>("SELECT count(*) AS count FROM pg_stat_activity WHERE application_name = 'counted'")
      )
    )
    assert.ok(counts.every(({ count }) => count <= 3))
    await db.close()
  })

  test('lets the process end while it is idle', async () => {
    const { spawnSync } = await import('node:child_process')
    const { join } = await import('node:path')
    const source = `
      import { createDatabase } from ${JSON.stringify(join(import.meta.dirname, '..', 'src', 'index.ts'))}
      const db = createDatabase(${JSON.stringify(url)})
      console.log(JSON.stringify(await db.all('SELECT 1 AS one')))`
    const start = performance.now()
    const { status, stdout } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', source], {
      encoding: 'utf8',
      cwd: join(import.meta.dirname, '..')
    })
    assert.deepEqual({ status, stdout }, { status: 0, stdout: '[{"one":1}]\n' })
    assert.ok(performance.now() - start < 10_000)
  })

  test('replaces a connection that died while it was idle', async () => {
    const db = open({ maxConnections: 1 })
    const { pid } = await db.one<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    const other = open()
    await other.all('SELECT pg_terminate_backend($1)', [pid])
    await other.close()
    await pause(50)
    const { pid: next } = await db.one<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    assert.notEqual(next, pid)
    await db.close()
  })
})

describe('A connection that breaks', () => {
  test('while it commits is commit_unknown, and the transaction is not repeated', async () => {
    const relay = new Relay()
    const db = createDatabase({ postgres: { enabled: true, connection: await relay.listen() } })
    await db.exec('DROP TABLE IF EXISTS cut_commits; CREATE TABLE cut_commits (n INTEGER)')
    relay.onRequest = data => {
      if (data.includes('COMMIT')) {
        relay.isAnswering = false
        setTimeout(() => relay.cut(), 50)
      }
      return true
    }
    let runs = 0
    const moved = db.transaction(
      tx => {
        runs++
        return tx.run('INSERT INTO cut_commits VALUES (1)')
      },
      { retries: 5 }
    )
    await assert.rejects(moved, failsWith('commit_unknown', /Look before you repeat/))
    assert.equal(runs, 1)
    relay.onRequest = () => true
    relay.isAnswering = true
    assert.deepEqual(await db.one('SELECT count(*) AS count FROM cut_commits'), { count: 1 })
    await db.exec('DROP TABLE cut_commits')
    await db.close()
    relay.close()
  })

  test('under a write of its own is commit_unknown, under a read connection_failure', async () => {
    const relay = new Relay()
    const db = createDatabase({ postgres: { enabled: true, connection: await relay.listen() } })
    await db.get()
    for (const [call, code] of [
      [() => db.run('SELECT pg_sleep(5)'), 'commit_unknown'],
      [() => db.exec('SELECT pg_sleep(5)'), 'commit_unknown'],
      [() => db.all('SELECT pg_sleep(5)'), 'connection_failure'],
      [() => db.transaction(tx => tx.run('SELECT pg_sleep(5)')), 'connection_failure']
    ] as const) {
      const work = assert.rejects(call, failsWith(code))
      await pause(100)
      relay.cut()
      await work
      assert.deepEqual(await db.all('SELECT 1 AS one'), [{ one: 1 }])
    }
    await db.close()
    relay.close()
  })

  test('under the store says so, and the store goes on', async () => {
    const relay = new Relay()
    const db = createDatabase({ postgres: { enabled: true, connection: await relay.listen() } })
    await db.kvs.delete('cut')
    relay.onRequest = data => {
      if (data.includes('cut')) {
        relay.isAnswering = false
        setTimeout(() => relay.cut(), 50)
      }
      return true
    }
    await assert.rejects(db.kvs.set('cut', 1), failsWith('commit_unknown'))
    relay.onRequest = () => true
    relay.isAnswering = true
    assert.equal(await db.kvs.get('cut'), 1)
    await db.kvs.delete('cut')
    await db.close()
    relay.close()
  })
})

describe('A prepared statement', () => {
  test('whose table was changed works on every connection', async () => {
    const db = open({ maxConnections: 2 })
    await db.exec('DROP TABLE IF EXISTS changed; CREATE TABLE changed (n INTEGER); INSERT INTO changed VALUES (1)')
    const read = () => Promise.all([db.all('SELECT * FROM changed'), db.all('SELECT * FROM changed')])
    await read()
    await db.exec('ALTER TABLE changed ADD COLUMN m INTEGER')
    assert.deepEqual(await read(), [[{ n: 1, m: null }], [{ n: 1, m: null }]])
    await db.exec('DROP TABLE changed')
    await db.close()
  })
})
