/** A primary and its synchronous replica, behind a URL that names both. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type Replica, startReplica } from '../scripts/replica.ts'
import { createDatabase, type Database, type DatabaseConfig, DatabaseError } from '../src/index.ts'
import { type PostgresServer, startPostgres } from '../src/tools/servers/postgres.ts'
import { failsWith } from './support/databases.ts'
import { Relay } from './support/relay.ts'

const WORKERS = 8

const databases: Database[] = []

/** A primary whose commits wait for its replica, and the replica. */
class Pair {
  readonly primary: PostgresServer
  readonly replica: Replica

  private constructor(primary: PostgresServer, replica: Replica) {
    this.primary = primary
    this.replica = replica
  }

  /** @param link where the replica finds its primary, when that is not the primary itself */
  static async start(link?: (primary: string) => Promise<string>): Promise<Pair> {
    // What is acknowledged can be read on the replica at once.
    const primary = await startPostgres(['synchronous_commit=remote_apply'])
    return new Pair(primary, await startReplica(primary, await link?.(primary.url)))
  }

  async stop(): Promise<void> {
    await Promise.all([this.primary.stop(), this.replica.stop()])
  }

  /** A URL of both hosts. */
  url(wanted: string, [first, second] = [this.primary.url, this.replica.url]): string {
    return `postgres://postgres@${new URL(first).host},${new URL(second).host}/postgres?target_session_attrs=${wanted}`
  }
}

afterEach(async () => {
  await Promise.all(databases.splice(0).map(db => db.close()))
})

function open(url: string, timeouts: DatabaseConfig['timeouts'] = {}): Database {
  const db = createDatabase({ postgres: { enabled: true, connection: url }, timeouts })
  databases.push(db)
  return db
}

async function isStandby(db: Database): Promise<unknown> {
  return (await db.one('SELECT pg_is_in_recovery() AS standby')).standby
}

/** Writes with several workers until it is told to stop. */
function write(db: Database, from = 0) {
  const acknowledged = new Map<number, number>()
  const codes: Record<string, number> = {}
  let isOver = false
  let next = from
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

/** What was acknowledged and is not stored exactly once. */
async function missing(load: ReturnType<typeof write>, url: string): Promise<number[]> {
  const stored = new Map<number, number>()
  for await (const { n } of open(url).iterate<{ n: number }>('SELECT n FROM marks')) stored.set(n, (stored.get(n) ?? 0) + 1)
  return [...load.acknowledged.keys()].filter(n => stored.get(n) !== 1)
}

describe('Without a failover,', () => {
  let pair: Pair
  let writer: Database

  before(async () => {
    pair = await Pair.start()
    writer = createDatabase(pair.primary.url)
    await writer.kvs.set('a', { b: 1 })
  })
  after(async () => {
    await writer.close()
    await pair.stop()
  })

  describe('a URL with two hosts', () => {
    test('leads to the first that answers, where a replica will do', async () => {
      await open(pair.url('any')).get()
      assert.equal(await isStandby(open(pair.url('any', [pair.replica.url, pair.primary.url]))), true)
    })

    for (const [wanted, hosts, standby] of [
      ['standby', ['primary', 'replica'], true],
      ['read-only', ['primary', 'replica'], true],
      ['prefer-standby', ['primary', 'replica'], true],
      ['primary', ['replica', 'primary'], false],
      ['read-write', ['replica', 'primary'], false],
      ['read-write', ['primary', 'replica'], false]
    ] as const) {
      test(`(${hosts}) leads by target_session_attrs=${wanted} to the ${standby ? 'replica' : 'primary'}`, async () => {
        await open(pair.primary.url).get()
        assert.equal(await isStandby(open(pair.url(wanted, [pair[hosts[0]].url, pair[hosts[1]].url]))), standby)
      })
    }

    test('leads by prefer-standby to the primary where there is no replica, and by standby nowhere', async () => {
      const alone = (wanted: string) => `${pair.primary.url}?target_session_attrs=${wanted}`
      await open(pair.primary.url).get()
      assert.equal(await isStandby(open(alone('prefer-standby'))), false)
      await assert.rejects(
        open(alone('standby')).get(),
        failsWith('connection_failure', /the server is the primary, but target_session_attrs wants standby/)
      )
      await assert.rejects(
        open(alone('read-only')).get(),
        failsWith('connection_failure', /takes writes, but target_session_attrs wants read-only/)
      )
    })
  })

  describe('a handle for reading on a standby', () => {
    for (const wanted of ['any', 'standby', 'read-only', 'prefer-standby'] as const) {
      const reader = () => open(`${pair.replica.url}?target_session_attrs=${wanted}`)

      test(`(${wanted}) opens and reads in every way`, async () => {
        const db = reader()
        assert.equal(await isStandby(db), true)
        assert.deepEqual(await db.kvs.get('a'), { b: 1 })
        assert.deepEqual(await db.kvs.getMany(['a', 'c']), new Map([['a', { b: 1 }]]))
        for await (const { key } of db.kvs.list()) assert.equal(key, 'a')
        for await (const { key } of db.iterate('SELECT key FROM kvs')) assert.equal(key, 'a')
        assert.deepEqual(await db.batch(['SELECT key FROM kvs']), [[{ key: 'a' }]])
        assert.deepEqual(await db.transaction(tx => tx.all('SELECT key FROM kvs')), [{ key: 'a' }])
        assert.deepEqual(await db.transaction(tx => tx.all('SELECT key FROM kvs'), { isolation: 'repeatable read', readOnly: true }), [
          { key: 'a' }
        ])
      })

      test(`(${wanted}) says that serializable is not to be had there, and goes on`, async () => {
        const db = reader()
        await assert.rejects(
          db.transaction(tx => tx.all('SELECT 1'), { isolation: 'serializable' }),
          failsWith('feature_not_supported', /serializable.*standby.*repeatable read/is)
        )
        assert.equal(await isStandby(db), true)
      })

      test(`(${wanted}) says that it is a standby where the tables are not there yet`, async () => {
        const name = `empty_${wanted.replace('-', '_')}`
        await writer.exec(`CREATE DATABASE ${name}`)
        const empty = open(`${pair.replica.url.replace(/postgres$/, name)}?target_session_attrs=${wanted}`)
        for (const attempt of ['first', 'second']) {
          await assert.rejects(empty.get(), failsWith('read_only', /is a standby, and duolect's tables are not there yet/), attempt)
        }
        const primary = open(pair.primary.url.replace(/postgres$/, name))
        await primary.kvs.set('a', 1)
        assert.equal(await empty.kvs.get('a'), 1)
      })
    }

    for (const wanted of ['standby', 'read-only', 'prefer-standby'] as const) {
      test(`(${wanted}) refuses a write with read_only, and keeps its connection`, async () => {
        const db = open(`${pair.replica.url}?target_session_attrs=${wanted}`)
        const pid = () => db.one('SELECT pg_backend_pid() AS pid')
        const before = await pid()
        const failure = await db.kvs.set('a', 2).catch(error => error)
        assert.deepEqual([failure.code, failure.isRetryable], ['read_only', false])
        assert.deepEqual(await pid(), before)
      })
    }

    test('(any) refuses a second write with read_only', async () => {
      const db = open(pair.replica.url)
      await assert.rejects(db.kvs.set('a', 2), failsWith('connection_failure', /takes no writes/))
      await assert.rejects(db.kvs.set('a', 2), failsWith('read_only'))
      await assert.rejects(
        db.transaction(tx => tx.kvs.set('a', 2)),
        failsWith('read_only')
      )
    })
  })
})

describe('A failover', () => {
  let pair: Pair
  let relay: Relay | undefined

  afterEach(async () => {
    relay?.close()
    relay = undefined
    await pair.stop()
  })

  for (const [title, failOver] of [
    [
      'before its replica is promoted',
      async (db: Database) => {
        await pair.primary.stop()
        // Until then no host takes writes, and nothing is sent.
        const failure = await db.run('SELECT 1').catch(error => error)
        assert.deepEqual([failure.code, failure.isRetryable], ['connection_failure', true], failure.message)
        assert.match(failure.message, /127\.0\.0\.1:\d+: .*ECONNREFUSED.*127\.0\.0\.1:\d+: the server takes no writes/s)
        await pair.replica.promote()
      }
    ],
    [
      'after its replica was promoted',
      async () => {
        await pair.replica.promote()
        await pause(100)
        await pair.primary.stop()
      }
    ]
  ] as const) {
    test(`goes on within 3 s when the primary dies ${title}, and nothing that was acknowledged is missing`, async t => {
      pair = await Pair.start()
      const db = open(pair.url('read-write'))
      await db.exec('CREATE TABLE marks (n INTEGER)')
      const load = write(db)
      await pause(500)
      await failOver(db)
      const over = performance.now()
      const before = [...load.acknowledged.keys()]
      assert.ok(before.length > 0)
      await pause(3000)
      await load.stop()
      const after = [...load.acknowledged.values()].filter(time => time > over)
      assert.ok(after.length > 0, `no write within 3 s, but ${JSON.stringify(load.codes)}`)
      const wentOn = Math.round(Math.min(...after) - over)
      t.diagnostic(JSON.stringify({ before: before.length, after: after.length, wentOn, codes: load.codes }))
      assert.deepEqual(await missing(load, pair.replica.url), [])
      assert.equal(await isStandby(db), false)
    })
  }

  test('to a replica that was cut off before loses nothing that was acknowledged, whatever timeouts.query is', async t => {
    pair = await Pair.start(primary => {
      relay = new Relay(primary)
      return relay.listen()
    })
    await open(pair.url('read-write')).exec('CREATE TABLE marks (n INTEGER)')
    const loads = [300, 0].map((query, i) => write(open(pair.url('read-write'), { query }), 1_000_000 * i))
    await pause(500)
    // The primary cannot know that its replica is gone, so that it goes on waiting for it.
    if (relay !== undefined) relay.isSilentToNew = true
    relay?.silence()
    await pause(1500)
    await pair.primary.stop()
    await pair.replica.promote()
    await pause(500)
    for (const load of loads) {
      await load.stop()
      t.diagnostic(JSON.stringify({ acknowledged: load.acknowledged.size, codes: load.codes }))
      assert.ok((load.codes.commit_unknown ?? 0) > 0)
      assert.deepEqual(await missing(load, pair.replica.url), [])
    }
  })
})
