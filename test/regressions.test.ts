/** What went wrong once, and must not again. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { createDatabase, createKeyValueStore, type Database, DatabaseError, type Transaction } from '../src/index.ts'
import { failsWith, onEachDatabase, onEachSharedDatabase } from './support/databases.ts'

async function withMarks(db: Database, count = 0): Promise<void> {
  const rows = Array.from({ length: count }, (_, i) => `(${i + 1})`)
  await db.exec(`CREATE TABLE marks (n INTEGER PRIMARY KEY)${count > 0 ? `; INSERT INTO marks VALUES ${rows.join(', ')}` : ''}`)
}

const marks = async (db: Pick<Database, 'all'>) => (await db.all<{ n: number }>('SELECT n FROM marks ORDER BY n')).map(({ n }) => n)

/** Keeps this turn of the event loop for longer than a breath, so that the next reads are put off. */
function keepTheTurn(): void {
  const end = performance.now() + 15
  while (performance.now() < end);
}

onEachDatabase('A nested transaction', database => {
  test('that its outer one does not await makes it fail, and writes nothing afterwards', async () => {
    const db = await database.open()
    await withMarks(db)
    let nested: Promise<unknown> | undefined
    const outer = db.transaction(async tx => {
      nested = tx.transaction(async inner => {
        await pause(30)
        await inner.run('INSERT INTO marks VALUES (1)')
      })
      nested.catch(() => undefined)
    })
    await assert.rejects(outer, failsWith('wrong_handle', /await it inside of the body/))
    await db.transaction(async tx => {
      await pause(60)
      await tx.run('INSERT INTO marks VALUES (2)')
    })
    await assert.rejects(nested as Promise<unknown>, failsWith('wrong_handle'))
    assert.deepEqual(await marks(db), [2])
  })

  test('whose statement failed without a word is undone, and its outer one goes on', async () => {
    const db = await database.open()
    await withMarks(db, 1)
    await db.transaction(async tx => {
      const nested = tx.transaction(async inner => {
        await inner.run('INSERT INTO marks VALUES (2)')
        await inner.run('INSERT INTO marks VALUES (1)').catch(() => undefined)
      })
      await assert.rejects(nested, failsWith('in_failed_sql_transaction'))
      await tx.run('INSERT INTO marks VALUES (3)')
    })
    assert.deepEqual(await marks(db), [1, 3])
  })

  test('of a transaction that idled for too long cannot write any more', async () => {
    const db = await database.open({ ...(await database.config()), timeouts: { query: 50 } })
    await withMarks(db)
    let leaked: Transaction | undefined
    const idle = db.transaction(tx =>
      tx.transaction(async inner => {
        leaked = inner
        await pause(300)
      })
    )
    await assert.rejects(idle, failsWith('idle_in_transaction_session_timeout'))
    await assert.rejects((leaked as Transaction).run('INSERT INTO marks VALUES (1)'), failsWith('wrong_handle'))
    await pause(300)
    assert.deepEqual(await marks(db), [])
  })
})

onEachDatabase('close()', database => {
  test('waits for a transaction that is to be run again, and opens nothing afterwards', async () => {
    const db = await database.open()
    await withMarks(db)
    let runs = 0
    const work = db.transaction(
      async tx => {
        await tx.run('INSERT INTO marks VALUES ($1)', [++runs])
        if (runs < 3) throw new DatabaseError('serialization_failure', 'again')
      },
      { retries: 5 }
    )
    await db.close()
    await work
    assert.equal(runs, 3)
  })

  test('waits for reads that were put off', async () => {
    const db = await database.open()
    await db.kvs.set('key', 1)
    await db.all('SELECT 1')
    keepTheTurn()
    const reads = Promise.all([db.all('SELECT 1 AS one'), db.kvs.get('key')])
    await db.close()
    assert.deepEqual(await reads, [[{ one: 1 }], 1])
  })

  test('ends a loop that was abandoned', async () => {
    const db = await database.open()
    await withMarks(db, 250)
    const rows = db.iterate('SELECT n FROM marks')[Symbol.asyncIterator]()
    await rows.next()
    await db.close()
    await assert.rejects(async () => {
      for (let i = 0; i < 250; i++) await rows.next()
    }, failsWith('closed'))
  })
})

onEachDatabase('Calls in a long turn', database => {
  test('of get() and then set() on a key keep their order', async () => {
    const db = await database.open()
    for (let round = 0; round < 10; round++) {
      await db.kvs.set('key', 'old')
      await db.all('SELECT 1')
      keepTheTurn()
      const other = db.kvs.set('other', 1)
      const read = db.kvs.get('key')
      await Promise.all([db.kvs.set('key', 'new'), other])
      assert.equal(await read, 'old')
    }
  })
})

onEachDatabase('A value', database => {
  test('cannot pass its limit through nulls that an index fills in', async () => {
    const db = await database.open({ ...(await database.config()), kvs: { maxValueBytes: 1000 } })
    await db.kvs.set('key', [1])
    for (const path of [['9999'], [9999], '9999']) await assert.rejects(db.kvs.set('key', 5, path), failsWith('invalid_value', /1000/))
    assert.deepEqual(await db.kvs.get('key'), [1])
  })

  test('of 16 MiB can be set 20 times in one turn', async () => {
    const db = await database.open()
    const text = 'x'.repeat(16 * 1024 * 1024 - 10)
    await Promise.all(Array.from({ length: 20 }, (_, i) => db.kvs.set(`key ${i}`, text)))
    assert.equal((await db.kvs.get<string>('key 19'))?.length, text.length)
  })

  test('of more than 64 MiB over all is refused by setMany()', async () => {
    const db = await database.open()
    const text = 'x'.repeat(16 * 1024 * 1024 - 10)
    const entries = Array.from({ length: 5 }, (_, i) => [`key ${i}`, text] as const)
    await assert.rejects(db.kvs.setMany(entries), failsWith('invalid_value', /Split it/))
    assert.equal(await db.kvs.has('key 0'), false)
  })
})

onEachDatabase('iterate()', database => {
  test('yields a table with a column that is called rowid', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE numbered (rowid INTEGER, name TEXT)')
    await db.transaction(async tx => {
      for (let i = 1; i <= 250; i++) await tx.run('INSERT INTO numbered VALUES ($1, $2)', [i + 1000, 'name'])
      let count = 0
      for await (const { rowid } of tx.iterate<{ rowid: number }>('SELECT rowid, name FROM numbered ORDER BY rowid')) {
        assert.equal(rowid, ++count + 1000)
      }
      assert.equal(count, 250)
    })
  })

  test('works in a read-only transaction', async () => {
    const db = await database.open()
    await withMarks(db, 3)
    const seen = await db.transaction(
      async tx => {
        const rows: unknown[] = []
        for await (const row of tx.iterate('SELECT n FROM marks ORDER BY n')) rows.push(row)
        return rows
      },
      { readOnly: true }
    )
    assert.deepEqual(seen, [{ n: 1 }, { n: 2 }, { n: 3 }])
  })

  test('can be left while a transaction is open elsewhere', async () => {
    const db = await database.open({ ...(await database.config()), timeouts: { lock: 200 } })
    await withMarks(db, 300)
    let release: () => void = () => undefined
    const held = new Promise<void>(resolve => (release = resolve))
    let transaction: Promise<unknown> | undefined
    for await (const _ of db.iterate('SELECT n FROM marks')) {
      transaction = db.transaction(async tx => {
        await tx.run('UPDATE marks SET n = n')
        await held
      })
      await pause(10)
      break
    }
    release()
    await transaction
  })
})

onEachDatabase('What a statement tells', database => {
  test('run() with RETURNING does not count what cascades', async () => {
    const db = await database.open()
    await db.exec(
      `CREATE TABLE parents (id INTEGER PRIMARY KEY);
       CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents (id) ON DELETE CASCADE);
       INSERT INTO parents VALUES (1);
       INSERT INTO children VALUES (1, 1), (2, 1), (3, 1)`
    )
    assert.deepEqual(await db.run('DELETE FROM parents WHERE id = 1 RETURNING id'), { changes: 1 })
  })

  test('a text without a statement is refused', async () => {
    const db = await database.open()
    for (const text of ['', '-- nothing']) {
      await assert.rejects(db.all(text), failsWith('syntax_error', /no statement/))
      await assert.rejects(db.run(text), failsWith('syntax_error', /no statement/))
    }
  })

  test('a parameter that was refused does not spoil a transaction', async () => {
    const db = await database.open()
    await withMarks(db)
    await db.transaction(async tx => {
      await assert.rejects(tx.run('INSERT INTO marks VALUES ($1)', [Number.NaN]), failsWith('invalid_parameter'))
      await tx.run('INSERT INTO marks VALUES (1)')
    })
    assert.deepEqual(await marks(db), [1])
  })

  test('statements of one turn take effect in their order on SQLite, and each by itself on Postgres', async () => {
    const db = await database.open({ ...(await database.config()) })
    if (database.dialect === 'postgres') return assert.equal(db.dialect, 'postgres')
    const first = db.run('INSERT INTO later VALUES (1)')
    const second = db.run('CREATE TABLE later (n INTEGER)')
    await assert.rejects(first, failsWith('undefined_table'))
    await second
  })
})

onEachSharedDatabase('Errors of one lock', database => {
  test('are one for each call, each with its own statement', async () => {
    const config = await database.config()
    const first = await database.open(config)
    await withMarks(first, 1)
    const second = await database.open({ ...config, timeouts: { lock: 100 } })
    await first.transaction(async tx => {
      await tx.run('UPDATE marks SET n = n')
      const texts = ['UPDATE marks SET n = 1', 'UPDATE marks SET n = 1 + 0']
      const results = await Promise.allSettled(texts.map(text => second.run(text)))
      const errors = results.map(result => (result as PromiseRejectedResult).reason as DatabaseError)
      assert.deepEqual(
        errors.map(({ code, sql }) => [code, sql]),
        texts.map(text => ['lock_not_available', text])
      )
    })
  })
})

onEachDatabase('Calls of the store', database => {
  test('do not overtake a set of their key that waits behind another write', async () => {
    const db = await database.open()
    await db.kvs.set('b', 'old')
    await withMarks(db, 1)
    let release = () => {}
    const held = new Promise<void>(resolve => (release = resolve))
    const holding = db.transaction(async tx => {
      await tx.run('UPDATE marks SET n = n')
      await held
    })
    const sets = [db.kvs.set('a', 1)]
    await pause(20)
    sets.push(db.kvs.set('b', 'new'))
    await pause(20)
    const got = db.kvs.get('b')
    release()
    await Promise.all([holding, ...sets])
    assert.equal(await got, 'new')
  })

  test('that were made before a transaction have taken effect in it', async () => {
    const db = await database.open()
    const set = db.kvs.set('k', 1)
    assert.equal(await db.transaction(tx => tx.kvs.get('k')), 1)
    await set
  })

  test('that wait do not keep the wrong handle from being refused at once', async () => {
    const db = await database.open()
    await db.get()
    const set = db.kvs.set('k', 1)
    await db.transaction(async () => {
      await assert.rejects(
        db.transaction(() => 1),
        failsWith('wrong_handle')
      )
    })
    await set
  })

  test('on a store of one’s own are refused inside of the database’s transaction', async () => {
    const db = await database.open()
    for (const handle of [db, await db.get()]) {
      const kvs = createKeyValueStore(handle)
      await db.transaction(async () => {
        await assert.rejects(kvs.set('k', 1), failsWith('wrong_handle'))
      })
    }
  })

  test('are refused after close() also when they name nothing', async () => {
    const db = await database.open()
    await db.close()
    await assert.rejects(db.kvs.getMany([]), failsWith('closed'))
    await assert.rejects(db.kvs.setMany([]), failsWith('closed'))
  })
})

describe('What stands for an error', () => {
  test('has no statement, and none to fail with', () => {
    const error = new DatabaseError('closed', 'text', { sql: 'SELECT 1', parameters: [1] })
    assert.equal(error.sql, 'SELECT 1')
    for (const other of [Object.create(error), new Proxy(error, {}), DatabaseError.prototype] as DatabaseError[]) {
      assert.deepEqual([other.sql, other.parameters, other.serverDetail], [undefined, undefined, undefined])
    }
  })
})

describe('Limits of Postgres', () => {
  const url = process.env.TEST_PG_URL as string

  test('that the URL gives wrongly are refused at once', async () => {
    const bad = new URL(url)
    bad.searchParams.set('options', '-c idle_in_transaction_session_timeout=abc')
    const db = createDatabase(bad.href)
    const start = performance.now()
    await assert.rejects(db.all('SELECT 1'), DatabaseError)
    assert.ok(performance.now() - start < 2_000)
    await db.close()
  })

  test('count from a statement’s turn, not from when it was issued', async () => {
    const db = createDatabase({ postgres: { enabled: true, connection: url, pooler: true }, timeouts: { query: 400 } })
    await db.transaction(tx => Promise.all(Array.from({ length: 4 }, () => tx.all('SELECT pg_sleep(0.2)'))))
    await db.close()
  })

  test('do not cancel the next user of the connection', async () => {
    const db = createDatabase({ postgres: { enabled: true, connection: url, pooler: true, maxConnections: 1 }, timeouts: { query: 100 } })
    for (let i = 0; i < 10; i++) {
      await db.all('SELECT pg_sleep(0.098)').catch(error => assert.equal((error as DatabaseError).code, 'query_canceled'))
      assert.deepEqual(await db.all('SELECT 1 AS one'), [{ one: 1 }])
    }
    await db.close()
  })

  test('may be as long as a timer can wait', async () => {
    const db = createDatabase({ postgres: { enabled: true, connection: url }, timeouts: { query: 2_147_483_647 } })
    await db.all('SELECT pg_sleep(0.1)')
    await db.close()
  })

  test('of prepared statements hold when a function raises what looks like a changed table', async () => {
    const db = createDatabase({ postgres: { enabled: true, connection: url, maxConnections: 1 } })
    await db.exec(
      `CREATE OR REPLACE FUNCTION sometimes(fails BOOLEAN) RETURNS INTEGER LANGUAGE plpgsql AS $$
       BEGIN IF fails THEN RAISE undefined_table; END IF; RETURN 1; END $$`
    )
    const call = (fails: boolean) => db.all('SELECT sometimes($1::BOOLEAN)', [fails])
    for (let i = 0; i < 10; i++) {
      await call(false)
      await assert.rejects(call(true), failsWith('undefined_table'))
    }
    const count = await db.one(
      "SELECT count(*) AS count FROM pg_prepared_statements WHERE statement LIKE '%sometimes%' AND name LIKE 'duolect%'"
    )
    assert.ok((count as { count: number }).count <= 2)
    await db.exec('DROP FUNCTION sometimes(BOOLEAN)')
    await db.close()
  })
})
