/** What breaks between a program and Postgres, and how the program goes on. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { createDatabase, type Database, type DatabaseConfig, DatabaseError, type Handle } from '../src/index.ts'
import { type PostgresServer, startPostgres } from '../src/tools/servers/postgres.ts'
import { failsWith } from './support/databases.ts'
import { Relay } from './support/relay.ts'

const url = process.env.TEST_PG_URL as string

const databases: Database[] = []
const relays: Relay[] = []

afterEach(async () => {
  // Where a relay is closed, no database waits for an answer through it.
  for (const relay of relays.splice(0)) relay.close()
  await Promise.all(databases.splice(0).map(db => db.close()))
})

function open(connection = url, settings: DatabaseConfig['postgres'] = {}, timeouts: DatabaseConfig['timeouts'] = {}): Database {
  const db = createDatabase({ postgres: { enabled: true, connection, ...settings }, timeouts })
  databases.push(db)
  return db
}

function openRelay(target = url): Relay {
  const relay = new Relay(target)
  relays.push(relay)
  return relay
}

/** Fails when a promise does not settle in time. */
async function settlesWithin<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  const timer = new AbortController()
  const late = pause(milliseconds, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`Still pending after ${milliseconds} ms.`)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    timer.abort()
    late.catch(() => undefined)
  }
}

/** Works with a table of one column `n`, which nothing keeps from holding a number twice. */
async function withMarks(name: string, work: (admin: Database) => Promise<void>): Promise<void> {
  const admin = open()
  await admin.exec(`DROP TABLE IF EXISTS ${name}; CREATE TABLE ${name} (n INTEGER)`)
  try {
    await work(admin)
  } finally {
    await admin.exec(`DROP TABLE ${name}`)
  }
}

async function pidOf(db: Pick<Database, 'one'>): Promise<number> {
  return (await db.one<{ pid: number }>('SELECT pg_backend_pid() AS pid')).pid
}

/** Ends backends as an administrator does, and waits until they are gone and their clients have heard of it. */
async function terminate(admin: Database, pids: readonly number[]): Promise<void> {
  for (const pid of pids) await admin.all('SELECT pg_terminate_backend($1)', [pid])
  for (const pid of pids) {
    while ((await admin.all('SELECT 1 FROM pg_stat_activity WHERE pid = $1', [pid])).length > 0) await pause(5)
  }
  // Their last words may still be on the way to the clients; a statement that meets them is lost, on any driver.
  await pause(20)
}

/** The backends of one application, when there is at least one that matches. */
async function pidsOf(admin: Database, application: string, condition = 'true'): Promise<number[]> {
  while (true) {
    const rows = await admin.all<{ pid: number }>(`SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND ${condition}`, [
      application
    ])
    if (rows.length > 0) return rows.map(({ pid }) => pid)
    await pause(5)
  }
}

describe('A backend that is terminated', () => {
  test('while idle is replaced for the next call', async () => {
    const admin = open()
    const db = open()
    const pid = await pidOf(db)
    await terminate(admin, [pid])
    assert.notEqual(await pidOf(db), pid)
  })

  test('with all the others, all idle, fails none of the next calls', async () => {
    const admin = open()
    const db = open(`${url}?application_name=all_idle`)
    await Promise.all(Array.from({ length: 10 }, () => db.all('SELECT pg_sleep(0.05)')))
    const pids = await pidsOf(admin, 'all_idle')
    assert.equal(pids.length, 10)
    await terminate(admin, pids)
    await Promise.all(Array.from({ length: 30 }, () => db.all('SELECT 1')))
  })

  test('while it reads fails the read with connection_failure', async () => {
    const admin = open()
    const db = open(`${url}?application_name=reads`)
    const read = assert.rejects(db.all('SELECT pg_sleep(20)'), failsWith('connection_failure'))
    await terminate(admin, await pidsOf(admin, 'reads', "query LIKE '%pg_sleep(20)%'"))
    await settlesWithin(1000, read)
    assert.deepEqual(await db.all('SELECT 1 AS one'), [{ one: 1 }])
  })

  test('while it writes makes the write commit_unknown, and the write is not repeated', async () => {
    await withMarks('killed_writes', async admin => {
      const db = open(`${url}?application_name=writes`)
      const write = assert.rejects(db.run('INSERT INTO killed_writes SELECT 1 FROM pg_sleep(20)'), failsWith('commit_unknown'))
      await terminate(admin, await pidsOf(admin, 'writes', "query LIKE '%pg_sleep(20)%'"))
      await settlesWithin(1000, write)
      assert.deepEqual(await db.all('SELECT n FROM killed_writes'), [])
    })
  })

  for (const [name, next] of [
    ['a statement', (tx: Handle) => tx.run('INSERT INTO killed_inside VALUES (2)')],
    ['a script', (tx: Handle) => tx.exec('INSERT INTO killed_inside VALUES (2)')],
    ['a batch', (tx: Handle) => tx.batch(['INSERT INTO killed_inside VALUES (2)'])],
    ['the store', (tx: Handle) => tx.kvs.set('killed_inside', 2)],
    ['a loop', (tx: Handle) => tx.iterate('SELECT 1')[Symbol.asyncIterator]().next()],
    ['a savepoint', (tx: Handle) => tx.transaction(inner => inner.run('INSERT INTO killed_inside VALUES (2)'))]
  ] as const) {
    test(`inside a transaction, before ${name}, is repeated by \`retries\`, since nothing was committed`, async () => {
      await withMarks('killed_inside', async admin => {
        const db = open()
        let deaths = 0
        const body = (kills: number) => async (tx: Handle) => {
          await tx.run('INSERT INTO killed_inside VALUES (1)')
          if (deaths++ < kills) await terminate(admin, [await pidOf(tx)])
          await next(tx)
        }
        const failure = await settlesWithin(
          2000,
          db.transaction(body(1)).catch(error => error)
        )
        assert.deepEqual([failure.code, failure.isRetryable], ['connection_failure', true])
        assert.match(failure.message, /nothing was committed/)
        assert.deepEqual(await db.all('SELECT n FROM killed_inside'), [])
        deaths = 0
        await settlesWithin(2000, db.transaction(body(2), { retries: 2 }))
        assert.equal(deaths, 3)
        assert.deepEqual(await db.all('SELECT n FROM killed_inside WHERE n = 1'), [{ n: 1 }])
        await db.kvs.delete('killed_inside')
      })
    })
  }

  for (const [title, returned, expected] of [
    ['that waits for its columns before COMMIT is a failure that can be repeated', '*', ['connection_failure', true]],
    ['that commits by itself may have taken effect', 'n', ['commit_unknown', false]]
  ] as const) {
    test(`under a write with RETURNING ${title}`, async () => {
      await withMarks('killed_write', async admin => {
        const db = open(`${url}?application_name=writes`)
        const failure = db.all(`INSERT INTO killed_write SELECT 1 FROM pg_sleep(20) RETURNING ${returned}`).catch(error => error)
        await terminate(admin, await pidsOf(admin, 'writes', "query LIKE '%pg_sleep(20)%'"))
        const { code, isRetryable } = await settlesWithin(1000, failure)
        assert.deepEqual([code, isRetryable], expected)
      })
    })
  }

  test('inside a savepoint fails the whole transaction', async () => {
    await withMarks('killed_savepoint', async admin => {
      const db = open()
      const moved = db.transaction(async tx => {
        await tx.run('INSERT INTO killed_savepoint VALUES (1)')
        await tx
          .transaction(async inner => {
            await terminate(admin, [await pidOf(inner)])
            await inner.run('INSERT INTO killed_savepoint VALUES (2)')
          })
          .catch(() => undefined)
      })
      await settlesWithin(1000, assert.rejects(moved, DatabaseError))
      assert.deepEqual(await db.all('SELECT n FROM killed_savepoint'), [])
    })
  })

  test('before COMMIT was sent is a connection_failure that can be repeated, as nothing can have been stored', async () => {
    await withMarks('killed_before', async admin => {
      const db = open()
      const moved = db.transaction(async tx => {
        await tx.run('INSERT INTO killed_before VALUES (1)')
        await terminate(admin, [await pidOf(tx)])
        await pause(50)
      })
      const failure = await settlesWithin(
        1000,
        moved.then(
          () => undefined,
          error => error
        )
      )
      assert.ok(failure instanceof DatabaseError)
      assert.deepEqual([failure.code, failure.isRetryable], ['connection_failure', true])
      assert.deepEqual(await db.all('SELECT n FROM killed_before'), [])
    })
  })

  test('while it commits makes the transaction commit_unknown, and its body does not run again', async () => {
    await withMarks('killed_commits', async admin => {
      await admin.exec(`
        CREATE FUNCTION commit_slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(20); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON killed_commits DEFERRABLE INITIALLY DEFERRED
          FOR EACH ROW EXECUTE PROCEDURE commit_slowly();`)
      const db = open(`${url}?application_name=commits`)
      let runs = 0
      const body = (tx: Pick<Database, 'run'>) => {
        runs++
        return tx.run('INSERT INTO killed_commits VALUES (1)')
      }
      const moved = assert.rejects(db.transaction(body, { retries: 5 }), failsWith('commit_unknown'))
      await terminate(admin, await pidsOf(admin, 'commits', "query = 'COMMIT' AND state = 'active'"))
      await settlesWithin(1000, moved)
      assert.equal(runs, 1)
      assert.deepEqual(await db.all('SELECT n FROM killed_commits'), [])
      await admin.exec('DROP FUNCTION commit_slowly() CASCADE')
    })
  })

  test('under an iteration ends it with connection_failure, and never as if the rows were all', async () => {
    const admin = open()
    const db = open(`${url}?application_name=iterates`)
    let rows = 0
    const iteration = async () => {
      for await (const _ of db.iterate('SELECT generate_series(1, 100000)')) {
        if (++rows === 150) await terminate(admin, await pidsOf(admin, 'iterates'))
      }
    }
    await settlesWithin(2000, assert.rejects(iteration, failsWith('connection_failure')))
    assert.ok(rows < 100_000)
    assert.deepEqual(await db.all('SELECT 1 AS one'), [{ one: 1 }])
  })

  for (const isBack of [true, false]) {
    test(`under a path set of the store leaves the get() behind it ${isBack ? 'its answer' : 'a connection_failure'}`, async () => {
      const relay = openRelay()
      const db = open(await relay.listen())
      await db.kvs.set('behind', {})
      await db.kvs.set('behind', 1, 'a')
      relay.onRequest = data => {
        // Only the statement that stores has the value.
        if (!data.includes('{"a":2}')) return true
        if (!isBack) relay.moveTo('postgres://127.0.0.1:1')
        relay.onRequest = () => true
        relay.cut()
        return false
      }
      const change = db.kvs.set('behind', 2, 'a').catch(({ code }) => code)
      const read = db.kvs.get('behind').catch(({ code }) => code)
      assert.deepEqual(await settlesWithin(2000, Promise.all([change, read])), ['commit_unknown', isBack ? { a: 1 } : 'connection_failure'])
    })
  }

  test('under the store fails the call, and the store goes on', async () => {
    const admin = open()
    const locker = open()
    const db = open(`${url}?application_name=stores`)
    await db.kvs.set('recovery', { a: 1 })
    await locker.transaction(async tx => {
      await tx.all("SELECT 1 FROM kvs WHERE key = 'recovery' FOR UPDATE")
      const change = assert.rejects(db.kvs.set('recovery', 2, 'a'), DatabaseError)
      await terminate(admin, await pidsOf(admin, 'stores', "wait_event_type = 'Lock'"))
      await settlesWithin(1000, change)
    })
    assert.deepEqual(await db.kvs.get('recovery'), { a: 1 })
    await db.kvs.set('recovery', 3, 'a')
    assert.deepEqual(await db.kvs.get('recovery'), { a: 3 })
    await db.kvs.delete('recovery')
  })
})

describe('A server that restarts', () => {
  let server: PostgresServer

  before(async () => {
    server = await startPostgres()
  })
  after(() => server.stop())

  for (const [name, signal] of [
    ['fast', 'INT'],
    ['immediate', 'QUIT']
  ] as const) {
    test(`(${name}) fails what runs, and the first call after works within a second`, async () => {
      const db = open(`${server.url}?application_name=restarts`)
      await db.get()
      const running = [
        db.all('SELECT pg_sleep(30)'),
        db.run('SELECT pg_sleep(30)'),
        db.exec('SELECT pg_sleep(30)'),
        db.transaction(tx => tx.all('SELECT pg_sleep(30)')),
        db.transaction(tx => tx.transaction(inner => inner.all('SELECT pg_sleep(30)')))
      ].map(call =>
        call.then(
          () => 'done',
          error => error.code
        )
      )
      const admin = open(server.url)
      while ((await pidsOf(admin, 'restarts', "query LIKE '%pg_sleep(30)%' AND state = 'active'")).length < running.length) await pause(10)
      await server.restart(signal)
      await settlesWithin(2000, db.all('SELECT 1'))
      assert.deepEqual(await settlesWithin(1000, Promise.all(running)), [
        'connection_failure',
        'commit_unknown',
        'commit_unknown',
        'connection_failure',
        'connection_failure'
      ])
    })

    test(`(${name}) under idle connections alone goes unnoticed`, async () => {
      const db = open(server.url)
      await Promise.all(Array.from({ length: 10 }, () => db.all('SELECT pg_sleep(0.05)')))
      await server.restart(signal)
      await settlesWithin(1000, Promise.all(Array.from({ length: 10 }, () => db.all('SELECT 1'))))
    })
  }

  test('and is not there yet fails calls at once, with a connection_failure that can be repeated', async () => {
    const relay = openRelay()
    const db = open(await relay.listen())
    await db.get()
    relay.moveTo('postgres://127.0.0.1:1')
    relay.cut()
    await pause(20)
    const failure = await settlesWithin(
      1000,
      db.all('SELECT 1').catch(error => error)
    )
    assert.deepEqual([failure.code, failure.isRetryable], ['connection_failure', true])
    relay.moveTo(url)
    await settlesWithin(1000, db.all('SELECT 1'))
  })
})

describe('A peer that goes silent', () => {
  const LIMITS = { query: 100, connect: 1000 }
  /** The limit twice for the server to end the statement, once more for the answer; and a busy machine. */
  const LATEST = 2500

  async function openSilent(): Promise<{ relay: Relay; db: Database }> {
    const relay = openRelay()
    const db = open(await relay.listen(), { maxConnections: 2 }, LIMITS)
    await db.get()
    return { relay, db }
  }

  for (const [name, code, work] of [
    ['a read', 'connection_failure', (db: Database) => db.all('SELECT 1')],
    ['a write', 'commit_unknown', (db: Database) => db.run('SELECT 1')],
    ['a script', 'commit_unknown', (db: Database) => db.exec('SELECT 1')],
    ['BEGIN', 'connection_failure', (db: Database) => db.transaction(tx => tx.all('SELECT 1'))],
    ['the store', 'connection_failure', (db: Database) => db.kvs.get('silent')]
  ] as const) {
    test(`under ${name} makes it ${code} within the limit`, async () => {
      const { relay, db } = await openSilent()
      relay.silence()
      await settlesWithin(LATEST, assert.rejects(work(db), failsWith(code)))
      await settlesWithin(LATEST, db.all('SELECT 1'))
    })
  }

  test('inside a transaction makes it connection_failure within the limit', async () => {
    const { relay, db } = await openSilent()
    const moved = db.transaction(async tx => {
      await tx.all('SELECT 1')
      relay.silence()
      await tx.all('SELECT 1')
    })
    await settlesWithin(LATEST, assert.rejects(moved, failsWith('connection_failure')))
    await settlesWithin(LATEST, db.all('SELECT 1'))
  })

  test('under COMMIT makes it commit_unknown within the limit', async () => {
    const { relay, db } = await openSilent()
    const moved = db.transaction(async tx => {
      await tx.all('SELECT 1')
      relay.silence()
    })
    await settlesWithin(LATEST, assert.rejects(moved, failsWith('commit_unknown')))
    await settlesWithin(LATEST, db.all('SELECT 1'))
  })

  test('under an iteration ends it with connection_failure within the limit', async () => {
    const { relay, db } = await openSilent()
    const iteration = async () => {
      for await (const _ of db.iterate('SELECT generate_series(1, 1000)')) relay.silence()
    }
    await settlesWithin(LATEST, assert.rejects(iteration, failsWith('connection_failure')))
    await settlesWithin(LATEST, db.all('SELECT 1'))
  })

  test('under a first connection makes it connection_failure within the limit', async () => {
    const relay = openRelay()
    relay.isSilentToNew = true
    const db = open(await relay.listen(), {}, LIMITS)
    await settlesWithin(LATEST, assert.rejects(db.all('SELECT 1'), failsWith('connection_failure', /timeouts\.connect/)))
    relay.isSilentToNew = false
    await settlesWithin(LATEST, db.all('SELECT 1'))
  })

  test('under an idle connection is noticed before a call is lost on it', async () => {
    const relay = openRelay()
    const db = open(await relay.listen())
    await db.get()
    relay.silence()
    await pause(5200)
    await settlesWithin(2500, db.run('SELECT 1'))
  })

  test('under an idle connection does not keep close() waiting', async () => {
    const { relay, db } = await openSilent()
    relay.silence()
    await settlesWithin(3000, db.close())
  })
})

describe('A server that takes no writes any more', () => {
  let old: PostgresServer
  let next: PostgresServer

  before(async () => {
    ;[old, next] = await Promise.all([startPostgres(), startPostgres()])
    for (const server of [old, next]) {
      const admin = createDatabase(server.url)
      await admin.exec('CREATE TABLE moved (n INTEGER)')
      await admin.close()
    }
  })
  after(() => Promise.all([old.stop(), next.stop()]))
  afterEach(() => setReadOnly(old.url, false))

  /** As a managed server does while it hands over: open sessions stay, their next transaction may not write. */
  async function setReadOnly(address: string, isReadOnly: boolean): Promise<void> {
    const admin = createDatabase(address)
    await admin.exec(`ALTER SYSTEM SET default_transaction_read_only = ${isReadOnly ? 'on' : 'off'}`)
    await admin.all('SELECT pg_reload_conf()')
    const isDone = async () => (await admin.one('SHOW default_transaction_read_only')).default_transaction_read_only
    while ((await isDone()) !== (isReadOnly ? 'on' : 'off')) await pause(10)
    await admin.close()
    await pause(50)
  }

  /** A database with several open connections to a server that gave its address away. */
  async function openMoved(): Promise<Database> {
    const relay = openRelay(old.url)
    const db = open(await relay.listen(), { maxConnections: 4 })
    await Promise.all(Array.from({ length: 4 }, () => db.all('SELECT pg_sleep(0.05)')))
    await setReadOnly(old.url, true)
    relay.moveTo(next.url)
    return db
  }

  function isRetryableFailure(error: DatabaseError): boolean {
    assert.deepEqual([error.code, error.isRetryable], ['connection_failure', true], error.message)
    assert.match(error.message, /takes no writes any more/)
    return true
  }

  async function countMoved(n: number): Promise<number> {
    const admin = createDatabase(next.url)
    const { count } = await admin.one<{ count: number }>('SELECT count(*) AS count FROM moved WHERE n = $1', [n])
    await admin.close()
    return count
  }

  test('fails a write that can be repeated, and the next write meets the server that the address leads to now', async () => {
    const db = await openMoved()
    await assert.rejects(db.run('INSERT INTO moved VALUES (1)'), isRetryableFailure)
    await settlesWithin(1000, db.run('INSERT INTO moved VALUES (1)'))
    assert.equal(await countMoved(1), 1)
  })

  test('fails a transaction that can be repeated, and `retries` repeats it on the new server', async () => {
    const db = await openMoved()
    const move = (retries: number) => db.transaction(tx => tx.run('INSERT INTO moved VALUES (2)'), { retries })
    await assert.rejects(move(0), isRetryableFailure)
    await setReadOnly(next.url, true)
    await assert.rejects(move(0), failsWith('read_only'))
    await setReadOnly(next.url, false)
    await settlesWithin(1000, move(1))
    assert.equal(await countMoved(2), 1)
  })

  test('is left by all connections, also those that were in use', async () => {
    const db = await openMoved()
    const reads = Array.from({ length: 3 }, () => db.all('SELECT pg_sleep(0.2)'))
    await assert.rejects(db.run('INSERT INTO moved VALUES (3)'), isRetryableFailure)
    await Promise.all(reads)
    await Promise.all(Array.from({ length: 4 }, () => db.run('INSERT INTO moved SELECT 3 FROM pg_sleep(0.05)')))
    assert.equal(await countMoved(3), 4)
  })

  for (const [title, write] of [
    ['a read-only transaction', (db: Database) => db.transaction(tx => tx.run('INSERT INTO moved VALUES (4)'), { readOnly: true })],
    [
      'a transaction that made itself read only',
      (db: Database) =>
        db.transaction(async tx => {
          await tx.run('SET TRANSACTION READ ONLY')
          await tx.run('INSERT INTO moved VALUES (4)')
        })
    ],
    ['a script that made itself read only', (db: Database) => db.exec('SET TRANSACTION READ ONLY; INSERT INTO moved VALUES (4)')]
  ] as const) {
    test(`keeps its connections where ${title} tried to write`, async () => {
      const db = open(old.url, { maxConnections: 1 })
      const pid = await pidOf(db)
      await assert.rejects(write(db), failsWith('read_only'))
      assert.equal(await pidOf(db), pid)
    })
  }
})

describe('A way that is cut at the end of an iteration', () => {
  for (const word of ['CLOSE', 'COMMIT']) {
    test(`(at ${word}) loses no row, and keeps no connection from the next call, nor close() waiting`, async () => {
      const relay = openRelay()
      const db = open(await relay.listen(), { maxConnections: 1 }, { acquire: 500 })
      await db.get()
      relay.onRequest = data => {
        if (!data.includes(word)) return true
        relay.cut()
        return false
      }
      let rows = 0
      const iteration = async () => {
        for await (const _ of db.iterate('SELECT generate_series(1, 3)')) rows++
      }
      await settlesWithin(1000, iteration())
      assert.equal(rows, 3)
      relay.onRequest = () => true
      await settlesWithin(1000, db.all('SELECT 1'))
      await settlesWithin(1000, db.close())
    })
  }
})

describe('A way that is cut around COMMIT', () => {
  const CUTS = 50

  /** The same numbers from 0 to 1 on each run (mulberry32). */
  function numbersFrom(seed: number): () => number {
    let state = seed
    return () => {
      state = (state + 0x6d2b79f5) | 0
      let t = Math.imul(state ^ (state >>> 15), 1 | state)
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
    }
  }

  test(`${CUTS} times is commit_unknown where the answer was cut, stores nothing twice and keeps all that was acknowledged`, async () => {
    await withMarks('cuts', async admin => {
      const relay = openRelay()
      const db = open(await relay.listen())
      const random = numbersFrom(20)
      const outcomes: Record<string, number> = {}
      for (let n = 1; n <= CUTS; n++) {
        const place = (['insert', 'request', 'answer', 'any'] as const)[Math.floor(random() * 4)] as string
        const isLone = random() < 0.3
        const delay = random() * 4
        relay.onRequest = data => {
          const isWanted = isLone || place === 'insert' ? data.includes('INSERT') || data.includes(`mark ${n}`) : data.includes('COMMIT')
          if (!isWanted) return true
          // Once: what is repeated gets through.
          relay.onRequest = () => true
          if (place !== 'any') relay.isAnswering = false
          const cut = () => {
            relay.cut()
            relay.isAnswering = true
          }
          setTimeout(cut, place === 'any' ? delay : 5 + delay)
          return place !== 'request' && place !== 'insert'
        }
        const write = isLone
          ? db.run(`INSERT INTO cuts VALUES ($1) /* mark ${n} */`, [n])
          : db.transaction(tx => tx.run(`INSERT INTO cuts VALUES ($1) /* mark ${n} */`, [n]), { retries: 3 })
        const outcome = await settlesWithin(
          2000,
          write.then(
            () => 'acknowledged',
            error => error.code
          )
        )
        // Until the last cut has come, so that it does not hit the next round.
        await pause(10)
        relay.cut()
        await pause(10)
        const { count } = await admin.one<{ count: number }>('SELECT count(*) AS count FROM cuts WHERE n = $1', [n])
        const what = `cut ${n} (${place}, ${isLone ? 'a lone write' : 'a transaction'}): ${outcome}, stored ${count} times`
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
        if (place === 'insert' && !isLone) assert.equal(outcome, 'acknowledged', what)
        else if (place === 'any') assert.match(outcome, /^(acknowledged|commit_unknown)$/, what)
        else assert.equal(outcome, 'commit_unknown', what)
        if (outcome === 'acknowledged') assert.equal(count, 1, what)
        else if (place === 'answer') assert.equal(count, 1, what)
        else assert.ok(count <= 1, what)
      }
      assert.ok((outcomes.commit_unknown ?? 0) >= CUTS / 3, JSON.stringify(outcomes))
    })
  })
})
