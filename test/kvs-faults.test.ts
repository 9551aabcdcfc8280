/** What goes wrong around the store: a refused value, a lock, a lost connection, a row that others wrote. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import {
  type Adapter,
  createDatabase,
  createDatabaseFrom,
  createKeyValueStore,
  type Database,
  type DatabaseConfig,
  type KeyValueStore
} from '../src/index.ts'
import { textOf } from '../src/queries.ts'
import { failsWith, onEachDatabase, type TestDatabase } from './support/databases.ts'
import { Relay } from './support/relay.ts'
import { watched } from './support/watched.ts'

const MEGABYTE = 1024 * 1024

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** Has the table refuse the key `bad`, and values that hold the word `refused`. */
async function refuse(db: Database): Promise<void> {
  await db.exec(
    db.dialect === 'sqlite'
      ? `CREATE TRIGGER no_bad BEFORE INSERT ON kvs WHEN NEW.key = 'bad' OR NEW.value LIKE '%refused%'
           BEGIN SELECT RAISE(ABORT, 'no'); END;
         CREATE TRIGGER no_bad_update BEFORE UPDATE ON kvs WHEN NEW.key = 'bad' OR NEW.value LIKE '%refused%'
           BEGIN SELECT RAISE(ABORT, 'no'); END`
      : "ALTER TABLE kvs ADD CONSTRAINT no_bad CHECK (key <> 'bad' AND value NOT LIKE '%refused%')"
  )
}

/** The outcome of each call: `ok`, or its error's code. */
async function codesOf(calls: readonly Promise<unknown>[]): Promise<string[]> {
  const settled = await Promise.allSettled(calls)
  return settled.map(outcome => (outcome.status === 'fulfilled' ? 'ok' : (outcome.reason as { code: string }).code))
}

/** The database's adapter, and the statements that it has run. */
function counting(db: Database): { adapter: Adapter; statements: string[] } {
  const statements: string[] = []
  return { adapter: watched(db, { statement: text => statements.push(text) }), statements }
}

onEachDatabase('A value that the database refuses', database => {
  test('fails its call alone, and every other call of the turn takes effect once', async () => {
    const db = await database.open()
    await refuse(db)
    const text = 'x'.repeat(12 * MEGABYTE)
    const calls = [
      db.kvs.update<number>('counter', n => (n ?? 0) + 1),
      db.kvs.set('one', text, 'a'),
      db.kvs.set('bad', text, 'a'),
      db.kvs.set('two', text, 'a')
    ]
    const [counter, ...others] = await Promise.allSettled(calls)
    assert.deepEqual(counter, { status: 'fulfilled', value: 1 })
    assert.deepEqual(
      others.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled']
    )
    assert.equal(await db.kvs.get('counter'), 1)
    assert.equal(await db.kvs.has('bad'), false)
    assert.equal(((await db.kvs.get('two', 'a')) as string).length, text.length)
  })

  test('leaves nothing of a setMany, however large', async () => {
    const db = await database.open()
    await refuse(db)
    const text = 'x'.repeat(10 * MEGABYTE)
    await assert.rejects(db.kvs.setMany(['one', 'two', 'three', 'bad'].map(key => [key, text] as const)))
    assert.deepEqual(await collect(db.kvs.keys()), [])
  })

  test('does not reject a read of its turn, before or behind it', async () => {
    const db = await database.open()
    await refuse(db)
    await db.kvs.set('k', 'old')
    for (const write of [
      () => db.kvs.set('k', 'refused'),
      () => db.kvs.set('k', { a: 'refused' }),
      () => db.kvs.update('k', () => 'refused')
    ]) {
      const results = await Promise.allSettled([db.kvs.get('k'), write(), db.kvs.get('k'), db.kvs.has('k'), db.kvs.getMany(['k'])])
      assert.deepEqual(
        results.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled']
      )
      assert.equal((results[2] as PromiseFulfilledResult<unknown>).value, 'old')
    }
  })

  test('fails alone among several calls on its key', async () => {
    const db = await database.open()
    await refuse(db)
    const codes = await codesOf([
      db.kvs.set('k', { n: 1 }),
      db.kvs.set('k', 'refused', 'text'),
      db.kvs.set('k', 2, 'n'),
      db.kvs.update<{ n: number }>('k', value => ({ ...value, n: (value?.n ?? 0) + 1 }))
    ])
    assert.deepEqual([codes[0], codes[2], codes[3]], ['ok', 'ok', 'ok'])
    assert.notEqual(codes[1], 'ok')
    assert.deepEqual(await db.kvs.get('k'), { n: 3 })
  })

  test('is found by halving: 10 of 1000 take some hundred statements', async () => {
    const db = await database.open()
    await refuse(db)
    const { adapter, statements } = counting(db)
    const kvs = createKeyValueStore(adapter)
    const codes = await codesOf(Array.from({ length: 1000 }, (_, i) => kvs.set(`k${i}`, i % 100 === 50 ? 'refused' : i)))
    assert.equal(codes.filter(code => code === 'ok').length, 990)
    if (database.dialect === 'postgres') assert.ok(statements.length < 250, `${statements.length} statements`)
    assert.equal((await collect(db.kvs.keys())).length, 990)
  })
})

onEachDatabase('Keys among which a refused one is looked for', database => {
  test('hold up no call on another key', async () => {
    const db = await database.open()
    await refuse(db)
    let settled = 0
    const calls = Array.from({ length: 500 }, (_, i) => db.kvs.set(`k${i}`, i % 10 === 5 ? 'refused' : i))
    for (const call of calls) void call.catch(() => undefined).finally(() => settled++)
    await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
    await db.kvs.set('D', 1)
    assert.ok(settled < 500)
    assert.equal((await codesOf(calls)).filter(code => code === 'ok').length, 450)
  })
})

onEachDatabase('The work of a turn', database => {
  for (const [title, call] of [
    ['path sets', (kvs: KeyValueStore, i: number) => kvs.set(`k${i}`, i, 'a.b')],
    ['whole values', (kvs: KeyValueStore, i: number) => kvs.set(`k${i}`, i)],
    ['removals', (kvs: KeyValueStore, i: number) => kvs.delete(`k${i}`)],
    ['reads', (kvs: KeyValueStore, i: number) => kvs.get(`k${i}`)]
  ] as const) {
    test(`grows linearly with the keys: ${title}`, async () => {
      const db = await database.open()
      const { adapter, statements } = counting(db)
      const kvs = createKeyValueStore(adapter)
      const count = async (n: number) => {
        statements.length = 0
        await Promise.all(Array.from({ length: n }, (_, i) => call(kvs, i)))
        return statements.length
      }
      await count(10)
      const few = await count(2000)
      const many = await count(8000)
      assert.ok(many <= 4.5 * few, `${few} statements for 2000 keys, ${many} for 8000`)
    })
  }

  if (database.dialect === 'postgres') {
    /** Number of rows that the plan's nodes have looked at. */
    const rowsOf = (plan: Record<string, unknown>): number => {
      const number = (name: string) => Number(plan[name] ?? 0)
      const own =
        (number('Actual Rows') + number('Rows Removed by Filter') + number('Rows Removed by Join Filter')) * number('Actual Loops')
      return own + ((plan.Plans as Record<string, unknown>[] | undefined) ?? []).reduce((sum, child) => sum + rowsOf(child), 0)
    }

    const names = [
      'findValues',
      'findAndLockValues',
      'findLockedKeys',
      'putValues',
      'addValues',
      'swapValues',
      'removeOldValues',
      'removeValues'
    ] as const
    /** Number of rows that a statement on so many keys looks at. */
    const rowsFor = async (db: Database, name: (typeof names)[number], n: number) => {
      const keys = Array.from({ length: n }, (_, i) => `key ${i}`)
      const given = { keys, values: keys.map(() => '2'), olds: keys.map(() => '1'), now: new Date(), wait: '' }
      const text = textOf(name, 'postgres') as string
      const parameters = Object.fromEntries(Object.entries(given).filter(([key]) => new RegExp(`:${key}\\b`).test(text)))
      const { 'QUERY PLAN': plans } = await db.one<{ 'QUERY PLAN': [{ Plan: Record<string, unknown> }] }>(
        `EXPLAIN (ANALYZE, FORMAT JSON) ${text}`,
        parameters
      )
      return rowsOf(plans[0].Plan)
    }
    const entries = (n: number) => Array.from({ length: n }, (_, i) => [`key ${i}`, 1] as const)

    for (const name of names) {
      test(`grows linearly in the database: ${name}`, async () => {
        const db = await database.open()
        const comparisons = async (n: number) => {
          await db.kvs.clear()
          if (name !== 'addValues') await db.kvs.setMany(entries(n))
          return rowsFor(db, name, n)
        }
        const few = await comparisons(500)
        const many = await comparisons(2000)
        assert.ok(many <= 4.5 * few, `${few} rows for 500 keys, ${many} for 2000`)
      })

      test(`looks at its own rows in the database: ${name}`, async () => {
        const db = await database.open()
        await db.kvs.setMany(entries(5000))
        await db.exec('ANALYZE kvs')
        const rows = await rowsFor(db, name, 50)
        assert.ok(rows <= 500, `${rows} rows for 50 keys`)
      })
    }
  }

  test('lets others run while it changes a large value again and again', async () => {
    const db = await database.open()
    await db.kvs.set('large', { text: 'x'.repeat(MEGABYTE), n: 0 })
    let turn = 0
    let hasEnded = false
    const count = () => {
      turn++
      if (!hasEnded) setImmediate(count)
    }
    count()
    const turns = new Set<number>()
    const updates = Array.from({ length: 12 }, () =>
      db.kvs.update<{ n: number }>('large', value => {
        turns.add(turn)
        return { ...(value as { n: number }), n: (value as { n: number }).n + 1 }
      })
    )
    await Promise.all(updates)
    hasEnded = true
    assert.ok(turns.size >= 6, `${turns.size} turns`)
    assert.equal(await db.kvs.get('large', 'n'), 12)
  })

  test('in a transaction may be 20 000 path sets', async () => {
    const db = await database.open()
    await db.transaction(async tx => {
      await Promise.all(Array.from({ length: 20_000 }, (_, i) => tx.kvs.set(`k${i}`, i, 'a')))
    })
    assert.deepEqual(await db.kvs.get('k19999'), { a: 19_999 })
    assert.equal((await collect(db.kvs.keys())).length, 20_000)
  })

  test('that one key makes slow keeps no other waiting, and reads never go back in time', async () => {
    const db = await database.open()
    await db.kvs.set('n', 0)
    let last = 0
    for (let i = 1; i <= 100; i++) {
      const write = db.kvs.set('n', i)
      const [first, second] = await Promise.all([db.kvs.get<number>('n'), db.kvs.get<number>('n')])
      assert.ok((first as number) >= last && (second as number) >= (first as number))
      last = second as number
      await write
    }
  })
})

/** Does work while another client has locked rows; `lock` runs in its transaction. */
async function whileLocked(config: DatabaseConfig, lock: string, work: () => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: config.postgres?.connection as string })
  await client.connect()
  try {
    await client.query('BEGIN')
    await client.query(lock)
    await work()
  } finally {
    await client.query('ROLLBACK')
    await client.end()
  }
}

function onPostgres(title: string, define: (database: TestDatabase) => void): void {
  onEachDatabase(title, database => {
    if (database.dialect === 'postgres') define(database)
  })
}

onPostgres('A key that another client has locked', database => {
  const LOCK = 1500

  async function openLimited(): Promise<{ db: Database; config: DatabaseConfig }> {
    const config = { ...(await database.config()), timeouts: { lock: LOCK } }
    const db = database.closeAfterTest(createDatabase(config))
    await db.kvs.setMany(['A', 'B', 'C'].map(key => [key, { n: 0 }] as const))
    return { db, config }
  }

  for (const [title, lock] of [
    ['by an update', "UPDATE kvs SET value = value WHERE key = 'A'"],
    ['by a select', "SELECT * FROM kvs WHERE key = 'A' FOR UPDATE"],
    ['by inserting it', "DELETE FROM kvs WHERE key = 'A'; INSERT INTO kvs (key, value) VALUES ('A', '1')"]
  ] as const) {
    test(`${title} waits alone and then fails; the others do not wait`, async () => {
      const { db, config } = await openLimited()
      await whileLocked(config, lock, async () => {
        const begin = performance.now()
        const locked = [db.kvs.set('A', 1), db.kvs.set('A', 1, 'n'), db.kvs.delete('A')]
        const outcomes = codesOf(locked)
        const read = db.kvs.get('A')
        const free = [
          db.kvs.set('B', 1),
          db.kvs.update<{ n: number }>('C', value => ({ n: (value?.n ?? 0) + 1 })),
          db.kvs.set('new', 1, 'a'),
          db.kvs.delete('nothing')
        ]
        await Promise.all(free)
        await db.kvs.set('D', 1)
        assert.equal((await collect(db.kvs.keys({ prefix: 'D' }))).length, 1)
        assert.ok(performance.now() - begin < LOCK / 2, `${performance.now() - begin} ms`)
        assert.deepEqual(await outcomes, ['lock_not_available', 'lock_not_available', 'lock_not_available'])
        assert.deepEqual(await read, { n: 0 })
      })
      assert.deepEqual(await db.kvs.get('C'), { n: 1 })
      await db.kvs.set('A', 2, 'n')
      assert.deepEqual(await db.kvs.get('A'), { n: 2 })
    })
  }

  test('holds up no transaction and no listing that comes behind it, however soon', async () => {
    const { db, config } = await openLimited()
    await whileLocked(config, "UPDATE kvs SET value = value WHERE key = 'A'", async () => {
      const begin = performance.now()
      const locked = codesOf([db.kvs.set('A', 1)])
      await db.transaction(tx => tx.kvs.set('B', 2))
      await collect(db.kvs.keys())
      await db.kvs.set('D', 1, 'path')
      assert.ok(performance.now() - begin < LOCK / 2, `${performance.now() - begin} ms`)
      assert.deepEqual(await locked, ['lock_not_available'])
    })
  })

  const LOCK_OF_A = "SELECT * FROM kvs WHERE key = 'A' FOR UPDATE"

  test('holds up no key that is stored with it, though it was stored alone before', async () => {
    const { db, config } = await openLimited()
    await db.kvs.set('A', 1)
    await whileLocked(config, LOCK_OF_A, async () => {
      const begin = performance.now()
      const locked = codesOf([db.kvs.set('A', 2)])
      await db.kvs.set('B', 1, 'n')
      await db.kvs.set('D', 1)
      assert.ok(performance.now() - begin < LOCK / 2, `${performance.now() - begin} ms`)
      assert.deepEqual(await locked, ['lock_not_available'])
    })
  })

  for (const [title, call] of [
    ['setMany', kvs => kvs.setMany(Object.entries({ A: 1, B: 1 }))],
    ['deleteMany', kvs => kvs.deleteMany(['A', 'B'])],
    ['clear', kvs => kvs.clear({ prefix: 'A' })]
  ] as [string, (kvs: KeyValueStore) => Promise<unknown>][]) {
    test(`lets ${title}() fail alone; no other key, listing or transaction waits`, async () => {
      const { db, config } = await openLimited()
      await whileLocked(config, LOCK_OF_A, async () => {
        const begin = performance.now()
        const locked = codesOf([call(db.kvs)])
        await db.kvs.set('C', 1)
        await Promise.all([collect(db.kvs.keys()), collect(db.kvs.list())])
        await db.transaction(tx => tx.kvs.set('D', 1))
        assert.ok(performance.now() - begin < LOCK / 2, `${performance.now() - begin} ms`)
        assert.deepEqual(await locked, ['lock_not_available'])
      })
      assert.deepEqual([...(await db.kvs.getMany(['A', 'B'])).values()], [{ n: 0 }, { n: 0 }])
    })
  }

  test('lets a setMany() behind it wait, but no listing and no clear() of other keys', async () => {
    const { db, config } = await openLimited()
    await whileLocked(config, LOCK_OF_A, async () => {
      const begin = performance.now()
      const locked = codesOf([db.kvs.set('A', 1), db.kvs.setMany(Object.entries({ A: 2, B: 2 })), db.kvs.set('B', 3)])
      await collect(db.kvs.keys())
      await db.kvs.clear({ prefix: 'C' })
      await pause(LOCK / 5)
      const later = codesOf([db.kvs.setMany(Object.entries({ A: 4, D: 4 }))])
      await collect(db.kvs.keys())
      assert.ok(performance.now() - begin < (LOCK * 3) / 4, `${performance.now() - begin} ms`)
      assert.equal((await locked)[0], 'lock_not_available')
      await later
    })
    assert.deepEqual(await db.kvs.get('B'), 3)
  })

  test('lets a key that comes behind a clear() wait, but no listing', async () => {
    const { db, config } = await openLimited()
    await whileLocked(config, LOCK_OF_A, async () => {
      const begin = performance.now()
      const locked = codesOf([db.kvs.clear({ prefix: 'A' })])
      await collect(db.kvs.keys())
      const later = codesOf([db.kvs.set('A9', 1)])
      await collect(db.kvs.keys())
      assert.ok(performance.now() - begin < LOCK / 2, `${performance.now() - begin} ms`)
      assert.deepEqual(await Promise.all([locked, later]), [['lock_not_available'], ['ok']])
    })
  })

  test('keeps the order of calls with a clear() inside of one that waits', async () => {
    const { db, config } = await openLimited()
    const calls: Promise<unknown>[] = []
    await whileLocked(config, "SELECT * FROM kvs WHERE key = 'B' FOR UPDATE", async () => {
      calls.push(db.kvs.set('B', 1))
      await pause(LOCK / 20)
      await whileLocked(config, LOCK_OF_A, async () => {
        calls.push(db.kvs.clear(), db.kvs.clear({ prefix: 'A' }))
        await pause(LOCK / 20)
        calls.push(db.kvs.get('A1'))
        await pause(LOCK / 20)
      })
      await pause(LOCK / 5)
    })
    assert.deepEqual(await Promise.all(calls), [undefined, 3, 0, null])
    assert.equal(await db.kvs.get('B'), null)
  })

  test('leaves the only connection of a pool to the others', async () => {
    const { db: first, config } = await openLimited()
    await first.close()
    const postgres = { ...config.postgres, maxConnections: 1 }
    const db = database.closeAfterTest(createDatabase({ ...config, postgres, timeouts: { lock: LOCK, acquire: LOCK / 2 } }))
    await whileLocked(config, LOCK_OF_A, async () => {
      const locked = codesOf([db.kvs.set('A', 1), db.kvs.set('B', 1)])
      const others: Promise<unknown>[] = []
      for (let i = 0; i < 10; i++) {
        await pause(LOCK / 20)
        others.push(db.kvs.set(`D${i}`, i), db.kvs.get('C'), db.all('SELECT 1 AS one'))
      }
      assert.deepEqual(new Set(await codesOf(others)), new Set(['ok']))
      assert.deepEqual(await locked, ['lock_not_available', 'ok'])
    })
  })

  test('leaves the pool to the others, however many they are', async () => {
    const config = await database.config()
    const postgres = { ...config.postgres, maxConnections: 3 }
    const db = database.closeAfterTest(createDatabase({ ...config, postgres, timeouts: { lock: LOCK } }))
    const keys = Array.from({ length: 6 }, (_, i) => `locked ${i}`)
    await db.kvs.setMany([...keys, 'C'].map(key => [key, 0] as const))
    await whileLocked(config, "SELECT * FROM kvs WHERE key LIKE 'locked%' FOR UPDATE", async () => {
      const locked: Promise<string[]>[] = []
      for (const key of keys) {
        locked.push(codesOf([db.kvs.set(key, 1)]))
        await pause(120)
      }
      const begin = performance.now()
      await db.kvs.set('D', 1)
      await db.kvs.update('C', () => 1)
      assert.ok(performance.now() - begin < LOCK / 3, `${performance.now() - begin} ms`)
      assert.deepEqual(new Set((await Promise.all(locked)).flat()), new Set(['lock_not_available']))
    })
  })

  test('fails alone, also if the statement waited long for its connection', async () => {
    const config = await database.config()
    const postgres = { ...config.postgres, maxConnections: 1 }
    const db = database.closeAfterTest(createDatabase({ ...config, postgres, timeouts: { lock: 3000 } }))
    await db.kvs.set('A', 0)
    await whileLocked(config, LOCK_OF_A, async () => {
      const slow = db.all('SELECT CAST(pg_sleep(1.2) AS TEXT) AS slept')
      const calls = ['A', 'B', 'C'].map(key => db.kvs.set(key, 1))
      assert.deepEqual(await codesOf(calls), ['lock_not_available', 'ok', 'ok'])
      await slow
    })
  })

  test('is stored when the lock is released in time', async () => {
    const { db, config } = await openLimited()
    let calls: Promise<unknown> | undefined
    await whileLocked(config, "UPDATE kvs SET value = value WHERE key = 'A'", async () => {
      calls = Promise.all([db.kvs.set('A', 1, 'n'), db.kvs.set('B', 1, 'n')])
      await pause(300)
    })
    await calls
    assert.deepEqual([...(await db.kvs.getMany(['A', 'B'])).values()], [{ n: 1 }, { n: 1 }])
  })

  test('with the whole table fails all calls of a turn after one limit', async () => {
    const { db, config } = await openLimited()
    await whileLocked(config, 'LOCK TABLE kvs IN ACCESS EXCLUSIVE MODE', async () => {
      const begin = performance.now()
      const codes = await codesOf(Array.from({ length: 8 }, (_, i) => db.kvs.set(`k${i}`, i)))
      assert.deepEqual(new Set(codes), new Set(['lock_not_available']))
      assert.ok(performance.now() - begin < 2 * LOCK, `${performance.now() - begin} ms`)
    })
  })
})

/** Time that the processor works, in ms: unlike the clock it does not run while others use the machine. */
async function processorTimeOf(work: () => Promise<void>): Promise<number> {
  const begin = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(begin)
  return (user + system) / 1000
}

onPostgres('Calls that wait for a statement', database => {
  test('cost as much in each turn, however many wait', async () => {
    const config = await database.config()
    const db = database.closeAfterTest(createDatabase(config))
    await db.kvs.set('A', 1)
    const calls: Promise<unknown>[] = []
    const add = (count: number) => async () => {
      for (let i = 0; i < count; i++) {
        calls.push(db.kvs.set(`k${calls.length}`, 1))
        await new Promise(resolve => setImmediate(resolve))
      }
    }
    await whileLocked(config, 'LOCK TABLE kvs IN ACCESS EXCLUSIVE MODE', async () => {
      await processorTimeOf(add(500))
      const few = await processorTimeOf(add(2000))
      const many = await processorTimeOf(add(8000))
      assert.ok(many < 10 * few, `${few} ms for 2000 turns, ${many} ms for 8000`)
    })
    assert.deepEqual(new Set(await codesOf(calls)), new Set(['ok']))
  })
})

onPostgres('A role without the privilege', database => {
  test('fails all calls of a turn by a few statements', async () => {
    const db = await database.open()
    const role = `kvs_${process.pid}`
    const { schema } = await db.one<{ schema: string }>('SELECT CAST(current_schema() AS TEXT) AS schema')
    await db.exec(
      `CREATE ROLE ${role}; GRANT USAGE ON SCHEMA ${schema} TO ${role}; GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${role}`
    )
    const [server] = ((await database.config()).postgres?.connection as string).split('?')
    const url = `${server}?options=${encodeURIComponent(`-c search_path=${schema} -c role=${role}`)}`
    const limited = database.closeAfterTest(createDatabase(url))
    await limited.get()
    const { adapter, statements } = counting(limited)
    const kvs = createKeyValueStore(adapter)
    const codes = await codesOf(Array.from({ length: 10_000 }, (_, i) => kvs.set(`k${i}`, i)))
    assert.deepEqual(new Set(codes), new Set(['insufficient_privilege']))
    assert.ok(statements.length <= 10, `${statements.length} statements`)
    await db.exec(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
  })
})

describe('A server that is far away', () => {
  test('answers 2000 reads that are made one a turn, through a pool of one', async () => {
    const relay = new Relay()
    relay.delay = 20
    const db = createDatabase({
      postgres: { enabled: true, connection: await relay.listen(), maxConnections: 1 },
      timeouts: { acquire: 1000 }
    })
    await db.kvs.set('far', 1)
    const reads: Promise<unknown>[] = []
    for (let i = 0; i < 2000; i++) {
      reads.push(db.kvs.get(i % 2 ? 'far' : `absent ${i}`))
      await new Promise(resolve => setImmediate(resolve))
    }
    assert.deepEqual(new Set(await Promise.all(reads)), new Set([1, null]))
    await db.kvs.delete('far')
    await db.close()
    relay.close()
  })

  test('answers 200 setMany() and deleteMany() of a turn through a pool of one', async () => {
    const relay = new Relay()
    relay.delay = 20
    const db = createDatabase({
      postgres: { enabled: true, connection: await relay.listen(), maxConnections: 1 },
      timeouts: { acquire: 3000 }
    })
    await db.get()
    const calls = Array.from({ length: 200 }, (_, i) => (i % 2 ? db.kvs.setMany([[`far ${i}`, i]]) : db.kvs.deleteMany([`far ${i}`])))
    assert.deepEqual(new Set(await codesOf(calls)), new Set(['ok']))
    assert.equal(await db.kvs.clear({ prefix: 'far ' }), 100)
    await db.close()
    relay.close()
  })
})

onPostgres('A server whose transactions are repeatable read', database => {
  test('loses no clear() that meets a change of another client', async () => {
    const { postgres } = await database.config()
    const connection = `${postgres?.connection}%20-c%20default_transaction_isolation%3Drepeatable%5C%20read`
    const db = database.closeAfterTest(createDatabase(connection))
    await db.kvs.set('A', 1)
    const client = new pg.Client({ connectionString: connection })
    await client.connect()
    await client.query("BEGIN; UPDATE kvs SET value = '2' WHERE key = 'A'")
    const cleared = db.kvs.clear()
    await pause(30)
    await client.query('COMMIT')
    await client.end()
    assert.equal(await cleared, 1)
  })

  test('loses no path set of two clients', async () => {
    const { postgres } = await database.config()
    const connection = `${postgres?.connection}%20-c%20default_transaction_isolation%3Drepeatable%5C%20read`
    const handles = [1, 2].map(() => database.closeAfterTest(createDatabase(connection)))
    const sets = handles.flatMap((db, h) =>
      Array.from({ length: 200 }, async (_, i) => {
        await pause(i % 20)
        await db.kvs.set(`k${i % 2}`, i, `h${h}.i${i}`)
      })
    )
    assert.deepEqual(new Set(await codesOf(sets)), new Set(['ok']))
    const stored = await (handles[0] as Database).kvs.getMany<Record<string, object>>(['k0', 'k1'])
    const count = [...stored.values()].flatMap(value => Object.values(value)).reduce((sum, half) => sum + Object.keys(half).length, 0)
    assert.equal(count, 400)
  })
})

onPostgres('A backend that dies', database => {
  test('during tx.kvs.set() fails it as connection_failure, as nothing was committed', async () => {
    const db = await database.open()
    const admin = await database.open()
    await db.kvs.set('k', 1)
    let call: Promise<unknown> | undefined
    const whole = db.transaction(async tx => {
      const { pid } = await tx.one<{ pid: number }>('SELECT pg_backend_pid() AS pid')
      const sleep = tx.all('SELECT CAST(pg_sleep(10) AS TEXT) AS a').catch(() => undefined)
      call = tx.kvs.set('k', 2)
      call.catch(() => undefined)
      await pause(50)
      await admin.all('SELECT pg_terminate_backend($1)', [pid])
      await sleep
      await call
    })
    await assert.rejects(whole, failsWith('connection_failure'))
    await assert.rejects(call ?? Promise.resolve(), failsWith('connection_failure'))
    assert.equal(await db.kvs.get('k'), 1)
  })
})

onEachDatabase('A row that something else wrote', database => {
  test('and that is not JSON is named by its key, and every other key works', async () => {
    const db = await database.open()
    await db.kvs.setMany([
      ['a', 1],
      ['c', 3]
    ])
    await db.run("INSERT INTO kvs (key, value) VALUES ('b', 'no JSON')")
    const corrupted = failsWith('data_corrupted', /The value of the key "b" is not JSON/)
    await assert.rejects(collect(db.kvs.list()), corrupted)
    await assert.rejects(db.kvs.getMany(['a', 'b', 'c']), corrupted)
    await assert.rejects(db.kvs.get('b'), corrupted)
    await assert.rejects(db.kvs.set('b', 1, 'a'), corrupted)
    const [first, , third] = await Promise.allSettled([db.kvs.get('a'), db.kvs.get('b'), db.kvs.get('c')])
    assert.deepEqual(
      [first, third],
      [1, 3].map(value => ({ status: 'fulfilled', value }))
    )
    assert.deepEqual(await collect(db.kvs.keys()), ['a', 'b', 'c'])
    assert.equal(await db.kvs.has('b'), true)
    assert.equal(await db.kvs.delete('b'), true)
    assert.equal((await collect(db.kvs.list())).length, 2)
  })

  test('and that has 9000 levels can be read, and a path set on it affects no other key', async () => {
    const db = await database.open()
    const deep = `${'{"a":'.repeat(9000)}1${'}'.repeat(9000)}`
    await db.run('INSERT INTO kvs (key, value) VALUES ($1, $2)', ['deep', deep])
    const [changed, other] = await Promise.allSettled([db.kvs.set('deep', 1, 'b'), db.kvs.set('other', 1, 'b'), db.kvs.get('deep', 'a.a')])
    // Newer versions of Node.js write as many levels as they read.
    if (canWrite(deep)) assert.equal(await db.kvs.get('deep', 'b'), 1)
    else {
      assert.equal(changed.status, 'rejected')
      await assert.rejects(db.kvs.set('deep', 1, 'b'), failsWith('invalid_value', /key "deep" has too many levels/))
    }
    assert.equal(other.status, 'fulfilled')
    assert.deepEqual(await db.kvs.get('other'), { b: 1 })
    assert.equal(await db.kvs.delete('deep'), true)
  })
})

function canWrite(text: string): boolean {
  try {
    JSON.stringify(JSON.parse(text))
    return true
  } catch {
    return false
  }
}

onEachDatabase('A value of 1000 levels', database => {
  const nested = (levels: number) => JSON.parse(`${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`) as object
  const path = (parts: number) => Array.from({ length: parts }, () => 'a')

  test('is the limit for path sets too', async () => {
    const db = await database.open()
    await db.kvs.set('k', nested(500), path(500))
    await assert.rejects(db.kvs.set('k', nested(502), path(500)), failsWith('invalid_value', /1000 levels.*The key is "k"/))
    await assert.rejects(db.kvs.set('other', nested(1002)), failsWith('invalid_value', /1000 levels/))
    assert.equal(await db.kvs.has('other'), false)
  })
})

onEachDatabase('Only objects and arrays', database => {
  test('hold anything: a path into a text leads nowhere', async () => {
    const db = await database.open()
    await db.kvs.set('k', { name: 'text', list: [1], n: 5 })
    for (const place of ['/name/0', 'name.length', 'name[0]', 'list.length', 'n.toFixed']) {
      assert.equal(await db.kvs.has('k', place), false, place)
      assert.equal(await db.kvs.get('k', place), undefined, place)
      assert.equal(await db.kvs.delete('k', place), false, place)
    }
  })
})

onEachDatabase('What JSON would lose', database => {
  for (const [title, value, place] of [
    ['a Buffer', () => [Buffer.from('x')], /^value\[0\] is a Uint8Array/],
    ['a Uint8Array', () => ({ a: new Uint8Array(2) }), /^value\.a is a Uint8Array/],
    ['an ArrayBuffer', () => [new ArrayBuffer(2)], /^value\[0\] is an ArrayBuffer/],
    ['a DataView', () => new DataView(new ArrayBuffer(2)), /^value is a DataView/],
    ['a Blob', () => ({ b: new Blob(['x']) }), /^value\.b is a Blob/],
    ['Headers', () => new Headers({ a: '1' }), /^value is a Headers/],
    ['URLSearchParams', () => new URLSearchParams('a=1'), /^value is a URLSearchParams/],
    ['FormData', () => new FormData(), /^value is a FormData/],
    ['an iterator', () => [1].values(), /^value is an Array Iterator/],
    [
      'a class with private fields',
      () =>
        new (class Secret {
          readonly #x = 1
          get x() {
            return this.#x
          }
        })(),
      /^value is an instance of Secret/
    ]
  ] as const) {
    test(`is refused with its place and its key: ${title}`, async () => {
      const db = await database.open()
      const refused = (error: { code: string; message: string }) =>
        error.code === 'invalid_value' && place.test(error.message) && /The key is "k"\./.test(error.message)
      await assert.rejects(db.kvs.set('k', value()), refused)
      await assert.rejects(db.kvs.set('k', value(), 'path'), refused)
      await assert.rejects(
        db.kvs.setMany([
          ['other', 1],
          ['k', value()]
        ]),
        refused
      )
      await assert.rejects(
        db.kvs.update('k', () => value() as never),
        refused
      )
      assert.deepEqual(await collect(db.kvs.keys()), [])
    })
  }

  test('is not what an instance of a class with properties holds', async () => {
    const db = await database.open()
    await db.kvs.set(
      'k',
      new (class Point {
        x = 1
        y = [2]
      })()
    )
    assert.deepEqual(await db.kvs.get('k'), { x: 1, y: [2] })
  })
})

onEachDatabase('A store of one’s own', database => {
  test('has its limit in a transaction too', async () => {
    const db = await database.open()
    await db.transaction(async tx => {
      await assert.rejects(createKeyValueStore(tx, 10).set('a', 'x'.repeat(50)), failsWith('invalid_value'))
    })
  })

  test('is waited for by transactions and by close()', async () => {
    const db = await database.open()
    const kvs = createKeyValueStore(db)
    void kvs.set('z', 1)
    assert.equal(await db.transaction(tx => tx.kvs.get('z')), 1)
    const set = kvs.set('a', 'x')
    await db.close()
    await set
  })
})

test('An adapter of an unknown dialect is refused', () => {
  const adapter = { dialect: 'mysql' } as unknown as Adapter
  const refused = failsWith('invalid_configuration', /dialect.*sqlite.*postgres.*"mysql"/)
  assert.throws(() => createKeyValueStore(adapter), refused)
  assert.throws(() => createDatabaseFrom(adapter), refused)
})

onEachDatabase('deleteMany(), clear() and keys()', database => {
  async function openWithKeys(): Promise<Database> {
    const db = await database.open()
    await db.kvs.setMany(['a', 'a/1', 'a/2', 'b', 'a%', 'A/1', 'ä/1'].map(key => [key, key] as const))
    return db
  }
  const keysOf = (db: Database, options = {}) => collect(db.kvs.keys(options))

  test('keys() yields them in the order of code points, as list() does', async () => {
    const db = await openWithKeys()
    assert.deepEqual(await keysOf(db), ['A/1', 'a', 'a%', 'a/1', 'a/2', 'b', 'ä/1'])
    assert.deepEqual(await keysOf(db, { prefix: 'a/' }), ['a/1', 'a/2'])
    assert.deepEqual(await keysOf(db, { after: 'a/1', limit: 2 }), ['a/2', 'b'])
    assert.deepEqual(await keysOf(db, { limit: 0 }), [])
    await assert.rejects(keysOf(db, { prefix: 5 }), failsWith('invalid_parameter', /kvs\.keys\(\) expects prefix to be a string/))
  })

  test('keys() yields more than a page', async () => {
    const db = await database.open()
    await db.kvs.setMany(Array.from({ length: 250 }, (_, i) => [String(i).padStart(4, '0'), i] as const))
    assert.equal((await keysOf(db)).length, 250)
  })

  test('deleteMany() removes keys and returns how many were there', async () => {
    const db = await openWithKeys()
    assert.equal(await db.kvs.deleteMany(['a', 'b', 'a', 'absent']), 2)
    assert.equal(await db.kvs.deleteMany([]), 0)
    assert.equal(await db.kvs.deleteMany(new Set(['absent'])), 0)
    assert.deepEqual(await keysOf(db, { prefix: 'a' }), ['a%', 'a/1', 'a/2'])
    await assert.rejects(db.kvs.deleteMany('a'), failsWith('invalid_parameter', /deleteMany\(\) expects an iterable of keys/))
    await assert.rejects(db.kvs.deleteMany(['a%', '']), failsWith('invalid_parameter'))
    assert.equal(await db.kvs.has('a%'), true)
  })

  test('clear() removes what has the prefix, literally, and returns how many', async () => {
    const db = await openWithKeys()
    assert.equal(await db.kvs.clear({ prefix: 'a%' }), 1)
    assert.equal(await db.kvs.clear({ prefix: 'a/' }), 2)
    assert.deepEqual(await keysOf(db), ['A/1', 'a', 'b', 'ä/1'])
    assert.equal(await db.kvs.clear(), 4)
    assert.deepEqual(await keysOf(db), [])
    await assert.rejects(db.kvs.clear({ prefix: 5 } as never), failsWith('invalid_parameter', /kvs\.clear\(\)/))
    await assert.rejects(db.kvs.clear({ after: 'a' } as never), failsWith('invalid_parameter', /not "after"/))
  })

  test('keep their order among un-awaited calls', async () => {
    const db = await database.open()
    const results = await Promise.all([
      db.kvs.set('a', 1),
      db.kvs.set('b', 1, 'x'),
      db.kvs.clear({ prefix: 'a' }),
      db.kvs.set('a', 2),
      db.kvs.get('a'),
      db.kvs.deleteMany(['a', 'b']),
      db.kvs.get('b'),
      db.kvs.setMany([
        ['a', 3],
        ['c', 3]
      ]),
      db.kvs.set('c', 4),
      db.kvs.getMany(['a', 'b', 'c']),
      db.kvs.clear(),
      db.kvs.has('c')
    ])
    assert.deepEqual(results.slice(2, 7), [1, undefined, 2, 2, null])
    assert.deepEqual(
      results[9],
      new Map([
        ['a', 3],
        ['c', 4]
      ])
    )
    assert.deepEqual(results.slice(10), [2, false])
  })

  test('keep their order where one clear() is inside of another', async () => {
    const db = await database.open()
    const { kvs } = db
    const inside = [kvs.set('b', 1), kvs.clear(), kvs.clear({ prefix: 'a' }), kvs.get('a')]
    assert.deepEqual(await Promise.all(inside), [undefined, 1, 0, null])
    await kvs.setMany(Object.entries({ a: 1, ab: 1, b: 1 }))
    assert.deepEqual(await Promise.all([kvs.clear({ prefix: 'a' }), kvs.clear(), kvs.clear({ prefix: 'ab' })]), [2, 1, 0])
    await kvs.setMany(Object.entries({ a: 1, ab: 1, b: 1 }))
    const around = [kvs.clear({ prefix: 'ab' }), kvs.clear({ prefix: 'a' }), kvs.set('ab', 2), kvs.clear({ prefix: 'ab' }), kvs.has('ab')]
    assert.deepEqual(await Promise.all(around), [1, 1, undefined, 1, false])
    assert.equal(await kvs.clear(), 1)
  })

  test('keep their order with calls that come while a clear() waits', async () => {
    const db = await database.open()
    const results: unknown[] = []
    const calls: Promise<unknown>[] = []
    const make = (call: Promise<unknown>) => {
      const place = calls.push(call) - 1
      void call.then(result => (results[place] = result))
    }
    for (let i = 0; i < 20; i++) {
      make(db.kvs.set('a', i))
      make(db.kvs.setMany(Object.entries({ a1: i, b1: i })))
      make(db.kvs.clear({ prefix: 'a' }))
      if (i % 2) await new Promise(resolve => setImmediate(resolve))
      make(db.kvs.update<number>('a', value => (value ?? 100) + 1))
      if (i % 3) await new Promise(resolve => setImmediate(resolve))
      make(db.kvs.clear({ prefix: 'b' }))
      make(db.kvs.set('b2', i))
      make(db.kvs.clear())
      make(db.kvs.has('b2'))
    }
    await Promise.all(calls)
    for (let i = 0; i < 20; i++) assert.deepEqual(results.slice(8 * i, 8 * i + 8), [undefined, undefined, 2, 101, 1, undefined, 2, false])
  })

  test('are a part of a transaction', async () => {
    const db = await openWithKeys()
    const undone = db.transaction(async tx => {
      assert.equal(await tx.kvs.deleteMany(['a', 'b']), 2)
      assert.equal(await tx.kvs.clear({ prefix: 'a/' }), 2)
      assert.deepEqual(await collect(tx.kvs.keys()), ['A/1', 'a%', 'ä/1'])
      throw new Error('undo')
    })
    await assert.rejects(undone, /undo/)
    assert.equal((await keysOf(db)).length, 7)
  })

  test('wait for a close(), which waits for them', async () => {
    const db = await openWithKeys()
    const cleared = db.kvs.clear({ prefix: 'a' })
    const set = db.kvs.set('after', 1)
    await db.close()
    assert.equal(await cleared, 4)
    await set
  })
})

onEachDatabase('A transaction that only reads', database => {
  test('reads the store, and refuses what writes', async () => {
    const db = await database.open()
    await db.kvs.setMany(Object.entries({ a: { n: 1 }, b: 2 }))
    const read = await db.transaction(
      async tx => [await tx.kvs.get('a', 'n'), await tx.kvs.has('c'), (await tx.kvs.getMany(['a', 'b'])).size],
      { readOnly: true }
    )
    assert.deepEqual(read, [1, false, 2])
    await assert.rejects(
      db.transaction(tx => tx.kvs.set('a', 2, 'n'), { readOnly: true }),
      failsWith('read_only')
    )
  })
})

onEachDatabase('The function of an update', database => {
  test('that overflows the stack has its own error thrown on', async () => {
    const db = await database.open()
    const endless = (n: number): number => endless(n + 1) + 1
    await assert.rejects(
      db.kvs.update<number>('k', n => endless(n ?? 0)),
      (error: unknown) => error instanceof RangeError
    )
  })

  test('may call the store, whose calls take effect after it', async () => {
    const db = await database.open()
    const inner: Promise<unknown>[] = []
    const updated = db.kvs.update<number>('k', n => {
      inner.push(
        db.kvs.get('k'),
        db.kvs.update<number>('other', m => (m ?? 0) + 1)
      )
      return (n ?? 0) + 1
    })
    assert.equal(await updated, 1)
    assert.deepEqual(await Promise.all(inner), [1, 1])
  })
})
