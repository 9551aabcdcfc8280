/** A primary and its synchronous replica, behind a URL that names both. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type Replica, startReplica } from '../scripts/replica.ts'
import { createDatabase, type Database, DatabaseError } from '../src/index.ts'
import { type PostgresServer, startPostgres } from '../src/tools/servers/postgres.ts'
import { failsWith } from './support/databases.ts'

const WORKERS = 8

let primary: PostgresServer
let replica: Replica
let primaryEnd: Promise<void> | undefined
const databases: Database[] = []

beforeEach(async () => {
  // What is acknowledged can be read on the replica at once.
  primary = await startPostgres(['synchronous_commit=remote_apply'])
  primaryEnd = undefined
  replica = await startReplica(primary)
})

afterEach(async () => {
  await Promise.all(databases.splice(0).map(db => db.close()))
  await Promise.all([killPrimary(), replica.stop()])
})

function killPrimary(): Promise<void> {
  primaryEnd ??= primary.stop()
  return primaryEnd
}

function bothHosts(wanted: string, [first, second] = [primary.url, replica.url]): string {
  return `postgres://postgres@${new URL(first).host},${new URL(second).host}/postgres?target_session_attrs=${wanted}`
}

function open(url: string): Database {
  const db = createDatabase(url)
  databases.push(db)
  return db
}

async function isStandby(db: Database): Promise<unknown> {
  return (await db.one('SELECT pg_is_in_recovery() AS standby')).standby
}

/** Writes with several workers until it is told to stop. */
function write(db: Database) {
  const acknowledged = new Map<number, number>()
  const codes: Record<string, number> = {}
  let isOver = false
  let next = 0
  const running = Array.from({ length: WORKERS }, async () => {
    while (!isOver) {
      const n = next++
      try {
        if (n % 2 === 0) await db.run('INSERT INTO marks VALUES ($1)', [n])
        else await db.transaction(tx => tx.run('INSERT INTO marks VALUES ($1)', [n]))
        acknowledged.set(n, performance.now())
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error
        codes[error.code] = (codes[error.code] ?? 0) + 1
        await pause(10)
      }
    }
  })
  return {
    acknowledged,
    codes,
    async stop() {
      isOver = true
      await Promise.all(running)
    }
  }
}

describe('A URL with two hosts', () => {
  test('leads to the primary, in whatever order they are', async () => {
    assert.equal(await isStandby(open(bothHosts('read-write'))), false)
    assert.equal(await isStandby(open(bothHosts('primary', [replica.url, primary.url]))), false)
  })

  test('leads to the first that answers, where a replica will do', async () => {
    const db = open(bothHosts('any'))
    await db.get()
    assert.equal(await isStandby(open(bothHosts('any', [replica.url, primary.url]))), true)
  })

  for (const [wanted, hosts, standby] of [
    ['standby', ['primary', 'replica'], true],
    ['read-only', ['primary', 'replica'], true],
    ['prefer-standby', ['primary', 'replica'], true],
    ['primary', ['replica', 'primary'], false],
    ['read-write', ['replica', 'primary'], false]
  ] as const) {
    test(`leads by target_session_attrs=${wanted} to the ${standby ? 'replica' : 'primary'}`, async () => {
      await open(primary.url).get()
      const urls = { primary: primary.url, replica: replica.url }
      assert.equal(await isStandby(open(bothHosts(wanted, [urls[hosts[0]], urls[hosts[1]]]))), standby)
    })
  }

  test('leads by prefer-standby to the primary where there is no replica, and by standby nowhere', async () => {
    await open(primary.url).get()
    const alone = (wanted: string) => `${primary.url}?target_session_attrs=${wanted}`
    assert.equal(await isStandby(open(alone('prefer-standby'))), false)
    await assert.rejects(
      open(alone('standby')).get(),
      failsWith('read_only', /the server is the primary, but target_session_attrs wants standby/)
    )
    await assert.rejects(open(alone('read-only')).get(), failsWith('read_only', /takes writes, but target_session_attrs wants read-only/))
  })

  test('fails with what is wrong when the primary is gone and nothing is promoted', async () => {
    const db = open(bothHosts('read-write'))
    await db.get()
    await killPrimary()
    await assert.rejects(db.all('SELECT 1'), failsWith('connection_failure', /ECONNREFUSED/))
  })

  for (const [title, failOver] of [
    [
      'before its replica is promoted',
      async () => {
        await killPrimary()
        await replica.promote()
      }
    ],
    [
      'after its replica was promoted',
      async () => {
        await replica.promote()
        await pause(100)
        await killPrimary()
      }
    ]
  ] as const) {
    test(`goes on within 3 s when the primary dies ${title}, and nothing that was acknowledged is missing`, async t => {
      const db = open(bothHosts('read-write'))
      await db.exec('CREATE TABLE marks (n INTEGER)')
      const load = write(db)
      await pause(500)
      await failOver()
      const over = performance.now()
      const before = [...load.acknowledged.keys()]
      assert.ok(before.length > 0)
      await pause(3000)
      await load.stop()
      const after = [...load.acknowledged.values()].filter(time => time > over)
      assert.ok(after.length > 0, `no write within 3 s, but ${JSON.stringify(load.codes)}`)
      const wentOn = Math.round(Math.min(...after) - over)
      t.diagnostic(JSON.stringify({ before: before.length, after: after.length, wentOn, codes: load.codes }))

      const stored = new Map<number, number>()
      for await (const { n } of open(replica.url).iterate<{ n: number }>('SELECT n FROM marks')) stored.set(n, (stored.get(n) ?? 0) + 1)
      assert.deepEqual(
        [...load.acknowledged.keys()].filter(n => stored.get(n) !== 1),
        []
      )
      assert.equal(await isStandby(db), false)
    })
  }
})
