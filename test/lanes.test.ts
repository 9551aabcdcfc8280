/**
 * Reads of Postgres that share a connection: which ones do, and that none of them suffers from another. Views bring in
 * what a text does not show: which backend ran it, and functions with effects.
 */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { type PostgresSettings, readSettings } from '../src/config.ts'
import { Connection } from '../src/drivers/postgres/connection.ts'
import { Hosts } from '../src/drivers/postgres/hosts.ts'
import { Pace } from '../src/drivers/postgres/lanes.ts'
import { Pool } from '../src/drivers/postgres/pool.ts'
import { createDatabase, type Database, type DatabaseConfig, type DatabaseError } from '../src/index.ts'
import { failsWith } from './support/databases.ts'
import { Relay } from './support/relay.ts'

const url = process.env.TEST_PG_URL as string
const name = `lanes_${process.pid}`
const own = new URL(url)
own.pathname = `/${name}`
const admin = new pg.Client({ connectionString: url })
/** Other clients, which hold locks. */
const [other, another] = [new pg.Client({ connectionString: own.href }), new pg.Client({ connectionString: own.href })]

/** What views call for a row, by the row's id. */
const EFFECTS: Readonly<Record<number, string>> = {
  1: "PERFORM set_config('TimeZone', 'Asia/Tokyo', FALSE)",
  2: "EXECUTE 'DEALLOCATE ALL'",
  3: "PERFORM set_config('default_transaction_read_only', 'on', FALSE)"
}

before(async () => {
  await admin.connect()
  await admin.query(`CREATE DATABASE ${name}`)
  await Promise.all([other.connect(), another.connect()])
  const cases = Object.entries(EFFECTS).map(([id, effect]) => `IF id = ${id} THEN ${effect}; END IF;`)
  await other.query(`
    CREATE TABLE items (id INTEGER PRIMARY KEY, at TIMESTAMPTZ NOT NULL);
    INSERT INTO items SELECT n, '2024-07-10 11:12:13Z' FROM generate_series(0, 9) AS n;
    CREATE FUNCTION effect(id INTEGER) RETURNS INTEGER LANGUAGE plpgsql AS $$ BEGIN ${cases.join('\n')} RETURN id; END $$;
    CREATE VIEW backends AS SELECT pg_backend_pid() AS pid;
    CREATE VIEW effects AS SELECT id, at, effect(id) AS effect FROM items;
    CREATE TABLE gates (n INTEGER);
    CREATE TABLE other_gates (n INTEGER);
    CREATE SEQUENCE runs;
    CREATE VIEW counted AS SELECT nextval('runs') AS run;`)
})

after(async () => {
  await Promise.all([other.end(), another.end()])
  await admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`)
  await admin.query(`DROP DATABASE ${name}`)
  await admin.end()
})

const databases: Database[] = []
const relays: Relay[] = []

afterEach(async () => {
  for (const client of [other, another]) await client.query('ROLLBACK')
  await Promise.all(databases.splice(0).map(db => db.close()))
  for (const relay of relays.splice(0)) relay.close()
})

/** A relay to the server that ends with the test, also when that fails. */
function openRelay(): Relay {
  const relay = new Relay(own.href)
  relays.push(relay)
  return relay
}

function open(settings: DatabaseConfig['postgres'] = {}, timeouts: DatabaseConfig['timeouts'] = {}): Database {
  const db = createDatabase({ postgres: { enabled: true, connection: own.href, ...settings }, timeouts })
  databases.push(db)
  return db
}

const BACKEND = 'SELECT pid FROM backends'
/** Has an effect for the ids of EFFECTS. The time is in the session's zone. */
const EFFECT = 'SELECT CAST(at AS TEXT) AS at, effect, pid FROM effects, backends WHERE id = $1'
const QUOTIENT = 'SELECT 6 / id AS quotient, pid FROM items, backends WHERE id = $1'
/** Waits while `other` holds the lock of the table. */
const GATE = 'SELECT n FROM gates'
const OTHER_GATE = 'SELECT n FROM other_gates'
const COUNTED = 'SELECT run FROM counted'

async function pidsOf(db: Database, count: number, text = BACKEND, parameters: readonly unknown[] = []): Promise<number[]> {
  const rows = await Promise.all(Array.from({ length: count }, () => db.one<{ pid: number }>(text, parameters)))
  return rows.map(({ pid }) => pid)
}

function distinct(values: readonly unknown[]): number {
  return new Set(values).size
}

/** Runs texts one after the other until they are known to be fast. */
async function makeFast(db: Database, ...queries: readonly (readonly [text: string, ...parameters: unknown[]])[]): Promise<void> {
  for (let runs = 0; runs < 20; runs++) {
    for (const [text, ...parameters] of [[BACKEND] as const, ...queries]) await db.all(text, parameters)
  }
  // A busy machine may take long for any of them.
  while (distinct(await pidsOf(db, 2)) > 1) await db.all(BACKEND)
}

async function lock(client: pg.Client, table: string): Promise<void> {
  await client.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`)
}

/** The backends that wait for a lock, once there are so many. */
async function blocked(count: number): Promise<number[]> {
  while (true) {
    const { rows } = await admin.query(`SELECT pid FROM pg_stat_activity WHERE datname = '${name}' AND wait_event_type = 'Lock'`)
    if (rows.length >= count) return rows.map(({ pid }) => pid)
    await pause(5)
  }
}

/** A read that waits on the shared connection, and the backend of that. */
async function block(db: Database, text = GATE): Promise<{ read: Promise<unknown>; pid: number }> {
  const read = db.all(text)
  read.catch(() => undefined)
  const [pid] = await blocked(1)
  return { read, pid: pid as number }
}

/** Works while reads share a connection without a gap: one is sent each ms, and its way takes 4 ms. */
async function withReads(settings: DatabaseConfig['postgres'], work: (db: Database, pid: () => number) => Promise<void>): Promise<void> {
  const relay = openRelay()
  const db = open({ connection: await relay.listen(), ...settings }, { acquire: 5_000 })
  await makeFast(db)
  relay.delay = 4
  let pid = 0
  const reads: Promise<void>[] = []
  let waiting = 0
  const read = async () => {
    waiting++
    pid = (await db.one<{ pid: number }>(BACKEND)).pid
    waiting--
  }
  // No more than a connection answers in time where a stall of the machine keeps the reads from sharing it.
  const timer = setInterval(() => waiting < 50 && reads.push(read()), 1)
  try {
    while (pid === 0) await pause(5)
    await work(db, () => pid)
  } finally {
    clearInterval(timer)
    await Promise.all(reads)
  }
}

describe('Which statements share a connection', () => {
  test('reads that were fast do, whatever else they read', { timeout: 60_000 }, async () => {
    const db = open()
    await makeFast(db, [QUOTIENT, 1])
    const pids = async () => (await Promise.all([pidsOf(db, 2), pidsOf(db, 2, QUOTIENT, [2])])).flat()
    // Where the machine is busy, each may take long.
    while (distinct(await pids()) > 1) await pause(5)
  })

  test('a read that was not seen before does not', async () => {
    const db = open()
    await makeFast(db)
    assert.equal(distinct(await pidsOf(db, 5, 'SELECT pid FROM backends WHERE TRUE')), 5)
  })

  for (const [what, text] of [
    ['calls a function', 'SELECT pg_backend_pid() AS pid'],
    ['locks rows', 'SELECT pid FROM backends, items WHERE id = 1 FOR SHARE OF items'],
    ['writes', 'WITH done AS (UPDATE items SET id = id WHERE id < 0) SELECT pid FROM backends'],
    ['explains', 'EXPLAIN SELECT pid FROM backends']
  ] as const) {
    test(`a statement that ${what} does not`, { timeout: 60_000 }, async () => {
      const db = open()
      await makeFast(db, [GATE], [text])
      await lock(other, 'gates')
      // What shares the connection waits for this.
      const waiting = db.all(GATE)
      await Promise.all([db.all(text), db.all(text)])
      await other.query('COMMIT')
      await waiting
    })
  }

  test('SELECT … INTO, which makes a table, does not', { timeout: 60_000 }, async () => {
    const db = open()
    await makeFast(db, [GATE])
    const text = 'SELECT id INTO copies FROM items'
    for (let runs = 0; runs < 5; runs++) {
      await db.all(text)
      await db.run('DROP TABLE copies')
    }
    await lock(other, 'gates')
    const waiting = db.all(GATE)
    await db.all(text)
    await other.query('COMMIT')
    await waiting
  })

  test('no statement does behind a pooler', async () => {
    const db = open({ pooler: true })
    for (let i = 0; i < 10; i++) await db.all(BACKEND)
    assert.equal(distinct(await pidsOf(db, 5)), 5)
  })

  test('a statement that was stuck must be fast for longer than before', () => {
    const pace = new Pace()
    const run = () => {
      for (let i = 0; i < 10; i++) pace.ran(1, false)
      return pace.isFast
    }
    assert.ok(run())
    pace.wasStuck(200)
    assert.ok(!run())
  })

  test('a statement that got stuck does not for a while', async () => {
    const db = open()
    await makeFast(db, [GATE])
    await lock(other, 'gates')
    const { read } = await block(db)
    // Until the lane has been looked at some times.
    await pause(300)
    const others = [db.all(GATE), db.all(GATE)]
    assert.equal(distinct(await blocked(3)), 3)
    await other.query('COMMIT')
    await Promise.all([read, ...others])
  })
})

describe('Reads that share a connection', () => {
  test('fail alone', async () => {
    const db = open()
    await makeFast(db, [QUOTIENT, 1])
    const reads = await Promise.allSettled([1, 2, 0, 3, 0, 6].map(id => db.one<{ quotient: number }>(QUOTIENT, [id])))
    assert.deepEqual(
      reads.map(read => (read.status === 'fulfilled' ? read.value.quotient : (read.reason as DatabaseError).code)),
      [6, 3, 'division_by_zero', 2, 'division_by_zero', 1]
    )
  })

  test('have errors of their own', async () => {
    const db = open()
    await makeFast(db, [QUOTIENT, 1])
    const reads = await Promise.allSettled([db.one(QUOTIENT, [0]), db.one(QUOTIENT, [0])])
    const [first, second] = reads.map(read => (read as PromiseRejectedResult).reason as DatabaseError)
    assert.notEqual(first, second)
    assert.deepEqual(first?.parameters, [0])
  })

  test('see what was committed before they were called', async () => {
    const db = open()
    await db.exec('CREATE TABLE seen (n INTEGER); INSERT INTO seen VALUES (0)')
    await makeFast(db, ['SELECT n FROM seen'])
    for (let n = 1; n <= 50; n++) {
      const before = [db.one(BACKEND), db.one(BACKEND)]
      await db.run('UPDATE seen SET n = $1', [n])
      assert.deepEqual(await db.one('SELECT n FROM seen'), { n })
      await Promise.all(before)
    }
  })

  test('go elsewhere when the oldest is stuck', async () => {
    const db = open()
    await makeFast(db, [GATE])
    await lock(other, 'gates')
    const { read, pid } = await block(db)
    await pause(100)
    assert.ok(!(await pidsOf(db, 10)).includes(pid))
    await other.query('COMMIT')
    assert.deepEqual(await read, [])
  })

  test('leave a connection to others that wait for it', { timeout: 60_000 }, () =>
    withReads({ maxConnections: 1 }, async db => {
      for (let i = 0; i < 5; i++) await db.transaction(tx => tx.run('UPDATE items SET id = id'))
    })
  )

  test('leave it also when they follow each other', { timeout: 60_000 }, async () => {
    const db = open({ maxConnections: 1 })
    await makeFast(db)
    let isWritten = false
    const writes = Array.from({ length: 3 }, () => db.run('UPDATE items SET id = id'))
    const all = Promise.all(writes).then(() => (isWritten = true))
    while (!isWritten) await db.one(BACKEND)
    await all
  })

  test('keep it for a while where those that wait have others', { timeout: 60_000 }, async () => {
    const db = open({ maxConnections: 10 })
    await makeFast(db)
    await Promise.all(Array.from({ length: 10 }, () => db.all('SELECT pg_sleep(0.2)::TEXT')))
    await lock(other, 'gates')
    await db.one(BACKEND)
    // Nine take all other connections, and two wait for one.
    const slow = Array.from({ length: 11 }, () => db.all(GATE))
    const { pid } = await db.one<{ pid: number }>(BACKEND)
    for (let i = 0; i < 5; i++) assert.equal((await db.one<{ pid: number }>(BACKEND)).pid, pid)
    await other.query('COMMIT')
    await Promise.all(slow)
  })

  test('give it to others that get none for a while, one after the other', { timeout: 60_000 }, async () => {
    const db = open({ maxConnections: 10 })
    await makeFast(db)
    await lock(other, 'gates')
    const slow = Array.from({ length: 9 }, () => db.all(GATE))
    await blocked(9)
    let written = 0
    let reads = 0
    const writes = Array.from({ length: 20 }, () => db.run('UPDATE items SET id = id').then(() => written++))
    const begin = performance.now()
    while (written < 20) {
      await db.one(BACKEND)
      reads++
    }
    // It is kept for long once, not for each of them.
    assert.ok(performance.now() - begin < 4_000, `${reads} reads`)
    await other.query('COMMIT')
    await Promise.all([...slow, ...writes])
  })

  test('leave their connection to what follows them', async () => {
    const db = open({ maxConnections: 10 })
    await makeFast(db)
    const { pid } = await db.one<{ pid: number }>(BACKEND)
    for (let i = 0; i < 3; i++) {
      await db.run('UPDATE items SET id = id')
      assert.equal((await db.one<{ pid: number }>(BACKEND)).pid, pid)
      assert.equal(await db.transaction(async tx => (await tx.one<{ pid: number }>(BACKEND)).pid), pid)
      assert.equal((await db.one<{ pid: number }>(BACKEND)).pid, pid)
    }
    const { rows } = await admin.query(
      `SELECT count(*)::INTEGER AS n FROM pg_stat_activity WHERE datname = '${name}' AND pid <> ALL ($1)`,
      [(await Promise.all([other, another].map(client => client.query('SELECT pg_backend_pid() AS pid')))).map(({ rows }) => rows[0].pid)]
    )
    assert.ok(rows[0].n <= 2, `${rows[0].n} connections`)
  })

  test('leave it to what follows them although others are idle, and go on with one of these', async () => {
    const db = open({ maxConnections: 10 })
    await makeFast(db)
    await Promise.all(Array.from({ length: 10 }, () => db.all('SELECT pg_sleep(0.2)::TEXT')))
    for (let i = 0; i < 5; i++) {
      const { pid } = await db.one<{ pid: number }>(BACKEND)
      assert.equal((await db.one<{ pid: number }>('UPDATE items SET id = id WHERE id = 1 RETURNING pg_backend_pid() AS pid')).pid, pid)
      const [written, read] = await Promise.all([db.run('UPDATE items SET id = id'), db.one<{ pid: number }>(BACKEND)])
      assert.ok(written.changes > 0 && read.pid !== pid)
    }
  })

  test('do not make a connection younger that none of them used', async t => {
    const settings = readSettings({ postgres: { enabled: true, connection: own.href } }) as PostgresSettings
    const hosts = new Hosts(settings.hosts)
    const pool = new Pool(() => Connection.open(pg.Client as never, settings, hosts), hosts, settings)
    const [idle, used] = await Promise.all([pool.acquire(), pool.acquire()])
    pool.release(idle)
    pool.release(used)
    const now = Date.now()
    let time = now + 4_000
    t.mock.method(Date, 'now', () => time)
    assert.equal(pool.acquire(true), used)
    const lent = pool.exchange(used)
    assert.equal(lent?.connection, idle)
    pool.release(idle, lent)
    time = now + 6_000
    assert.equal(pool.acquire(), used)
    // Nothing was sent on it for 6 s, so that it is looked at first.
    const looked = pool.acquire()
    assert.ok(looked instanceof Promise)
    assert.equal(await looked, idle)
    pool.release(used)
    pool.release(idle)
    await pool.close()
  })

  test('are waited for by close()', async () => {
    const db = open()
    await makeFast(db)
    const reads = pidsOf(db, 20)
    await db.close()
    assert.equal((await reads).length, 20)
  })

  test('wait together for a connection, and fail each with an error of its own', async () => {
    const db = open({ maxConnections: 1 }, { acquire: 300 })
    await makeFast(db)
    let end: () => void = () => undefined
    const begun = new Promise<void>(resolve => {
      void db.transaction(async tx => {
        await tx.all(BACKEND)
        resolve()
        await new Promise<void>(done => (end = done))
      })
    })
    await begun
    const reads = await Promise.allSettled([db.one(BACKEND), db.one(BACKEND)])
    const [first, second] = reads.map(read => (read as PromiseRejectedResult).reason as DatabaseError)
    assert.ok(failsWith('connection_failure', /timeouts\.acquire/)(first))
    assert.ok(failsWith('connection_failure', /timeouts\.acquire/)(second))
    assert.notEqual(first, second)
    end()
    assert.equal(distinct(await pidsOf(db, 5)), 1)
  })

  test('read a table that another process has changed', async () => {
    const db = open()
    await other.query('CREATE TABLE changing (a INTEGER); INSERT INTO changing VALUES (1)')
    await makeFast(db, ['SELECT * FROM changing'])
    await other.query('ALTER TABLE changing ADD COLUMN b INTEGER')
    const reads = await Promise.all(Array.from({ length: 10 }, () => db.one('SELECT * FROM changing')))
    for (const read of reads) assert.deepEqual(read, { a: 1, b: null })
  })

  test('are read although their names are gone', async () => {
    const db = open()
    await makeFast(db, [EFFECT, 0])
    const reads = await Promise.all([0, 2, 4, 5, 2, 6].map(id => db.one<{ effect: number }>(EFFECT, [id])))
    assert.deepEqual(
      reads.map(({ effect }) => effect),
      [0, 2, 4, 5, 2, 6]
    )
  })

  test('never get an answer of a session that another has changed', async () => {
    const db = open()
    await makeFast(db, [EFFECT, 0])
    const reads = await Promise.allSettled([1, 4, 5, 6, 7, 8].map(id => db.one<{ at: string }>(EFFECT, [id])))
    assert.equal(reads[0]?.status, 'fulfilled')
    for (const read of reads.slice(1)) {
      if (read.status === 'fulfilled') assert.equal(read.value.at, '2024-07-10 11:12:13+00')
      else assert.ok(failsWith('connection_failure', /changed settings of the session/)(read.reason))
    }
    assert.equal((await db.one<{ at: string }>(EFFECT, [4])).at, '2024-07-10 11:12:13+00')
  })

  test('leave a server that takes no writes any more', { timeout: 60_000 }, () =>
    withReads({ maxConnections: 2 }, async (db, pid) => {
      const old = pid()
      // As a session of a server that has become a standby.
      const write = async () => {
        while (true) {
          await db.all('SELECT effect(3) AS effect')
          await db.run('INSERT INTO gates SELECT 1 WHERE FALSE')
        }
      }
      await assert.rejects(write(), failsWith('connection_failure', /takes no writes any more/))
      while (pid() === old) await pause(5)
    })
  )
})

describe('When the connection that reads share', () => {
  test('dies, they fail and are not sent again', async () => {
    const db = open()
    await makeFast(db, [GATE], [COUNTED])
    await lock(other, 'gates')
    const first = db.all(GATE)
    const reads = [first, ...Array.from({ length: 5 }, () => db.all(COUNTED))]
    const settled = Promise.allSettled(reads)
    const { last_value: before } = (await another.query('SELECT last_value FROM runs')).rows[0]
    for (const pid of await blocked(1)) await admin.query(`SELECT pg_terminate_backend(${pid})`)
    for (const read of await settled) {
      assert.ok(failsWith('connection_failure')((read as PromiseRejectedResult).reason))
      assert.equal((read as PromiseRejectedResult).reason.isRetryable, false)
    }
    const { last_value: after } = (await another.query('SELECT last_value FROM runs')).rows[0]
    assert.equal(after, before)
    await other.query('COMMIT')
    assert.deepEqual(await db.all(GATE), [])
  })

  test('has an answer that cannot be read, the others fail as when it dies', async () => {
    const relay = openRelay()
    const db = open({ connection: await relay.listen() })
    await makeFast(db, ['SELECT $1 AS a', 'text'])
    relay.onAnswer = data => (data.includes('unreadable') ? Buffer.from([...'R\0\0\0\x08\0\0\0\x63'].map(c => c.charCodeAt(0))) : data)
    const [first, second] = await Promise.allSettled([db.one('SELECT $1 AS a', ['unreadable']), db.one(BACKEND)])
    assert.ok(failsWith('connection_failure', /could not be read/)((first as PromiseRejectedResult).reason))
    assert.ok(failsWith('connection_failure', /^(?!.*could not be read)/)((second as PromiseRejectedResult).reason))
  })

  test('has a statement that takes too long, it fails alone', async () => {
    const db = open({}, { query: 500 })
    await makeFast(db, [GATE])
    await lock(other, 'gates')
    const [first, second] = await Promise.allSettled([db.all(GATE), pidsOf(db, 1)])
    assert.ok(failsWith('query_canceled')((first as PromiseRejectedResult).reason))
    assert.equal(second.status, 'fulfilled')
  })

  test('gets a cancel request too late, the next statement is run again', { timeout: 60_000 }, async () => {
    const relay = openRelay()
    let isCancelled = false
    // A cancel request, by its code; the test sends one itself, later.
    relay.onRequest = data => {
      if (data.length !== 16 || data.readInt32BE(4) !== 80877102) return true
      isCancelled = true
      return false
    }
    const connection = `${await relay.listen()}?options=${encodeURIComponent('-c statement_timeout=0')}`
    const db = open({ connection }, { query: 1_000 })
    await makeFast(db, [GATE], [OTHER_GATE])
    await lock(other, 'gates')
    await lock(another, 'other_gates')
    const reads = [db.all(GATE), db.all(OTHER_GATE)]
    const [pid] = await blocked(1)
    while (!isCancelled) await pause(5)
    await other.query('COMMIT')
    await reads[0]
    while (!(await blocked(1)).includes(pid as number)) await pause(5)
    await admin.query(`SELECT pg_cancel_backend(${pid})`)
    while ((await blocked(1)).includes(pid as number)) await pause(5)
    await another.query('COMMIT')
    assert.deepEqual(await reads[1], [])
  })
})
