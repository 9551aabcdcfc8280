import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import Native from 'better-sqlite3'
import { createDatabase, type Database, type Handle, sql } from '../src/index.ts'
import { failsWith, onEachDatabase, onEachSharedDatabase } from './support/databases.ts'
import { Relay } from './support/relay.ts'

async function withMarks(db: Database): Promise<void> {
  await db.exec('CREATE TABLE marks (id INTEGER PRIMARY KEY, name TEXT NOT NULL)')
}

async function ids(on: Handle): Promise<unknown[]> {
  return (await on.all('SELECT id FROM marks ORDER BY id')).map(({ id }) => id)
}

onEachDatabase('batch()', database => {
  test('returns the rows of each query, in order', async () => {
    const db = await database.open()
    await withMarks(db)
    const results = await db.batch([
      sql`INSERT INTO marks VALUES (${1}, ${'a'}), (${2}, ${'b'})`,
      ['SELECT name FROM marks WHERE id = $1', [2]],
      ['UPDATE marks SET name = :name WHERE id = :id RETURNING id, name', { id: 1, name: 'c' }],
      'SELECT count(*) AS n FROM marks'
    ])
    assert.deepEqual(results, [[], [{ name: 'b' }], [{ id: 1, name: 'c' }], [{ n: 2 }]])
  })

  test('takes no queries, and the same query many times', async () => {
    const db = await database.open()
    await withMarks(db)
    assert.deepEqual(await db.batch([]), [])
    await db.batch(Array.from({ length: 500 }, (_, i) => sql`INSERT INTO marks VALUES (${i}, ${'a'})`))
    assert.equal((await ids(db)).length, 500)
  })

  test('that fails leaves nothing, wherever it fails', async () => {
    const db = await database.open()
    await withMarks(db)
    const good = (id: number) => sql`INSERT INTO marks VALUES (${id}, ${'a'})`
    for (const [bad, code] of [
      [sql`INSERT INTO marks VALUES (${9}, ${null})`, 'not_null_violation'],
      [sql`INSERT INTO missing VALUES (1)`, 'undefined_table'],
      [sql`SELEC 1`, 'syntax_error'],
      [sql`SELECT id, id FROM marks`, 'duplicate_column']
    ] as const) {
      for (const queries of [
        [bad, good(1), good(2)],
        [good(1), bad, good(2)],
        [good(1), good(2), bad]
      ]) {
        await assert.rejects(db.batch(queries), failsWith(code))
        assert.deepEqual(await ids(db), [])
      }
    }
    assert.deepEqual(await db.batch([good(1)]), [[]])
  })

  test('that fails in several statements fails with the first of them', async () => {
    const db = await database.open()
    await withMarks(db)
    const failing = [
      [sql`INSERT INTO marks VALUES (${9}, ${null})`, 'not_null_violation'],
      [sql`UPDATE marks SET nope = ${1}`, 'undefined_column'],
      [sql`SELECT id, id FROM marks`, 'duplicate_column'],
      [sql`UPDATE marks SET name = ${'b'} RETURNING id, id`, 'duplicate_column']
    ] as const
    for (const [first, code] of failing) {
      for (const [second] of failing) {
        await assert.rejects(db.batch([first, second]), failsWith(code))
        await assert.rejects(
          db.transaction(tx => tx.batch([first, second])),
          failsWith(code)
        )
      }
    }
  })

  test('that fails alone among others of its turn leaves theirs', async () => {
    const db = await database.open()
    await withMarks(db)
    const insert = (id: number) => sql`INSERT INTO marks VALUES (${id}, ${'a'})`
    const settled = await Promise.allSettled([
      db.batch([insert(1), insert(2)]),
      db.batch([insert(3), insert(3)]),
      db.run(insert(4)),
      db.batch([insert(5), sql`INSERT INTO missing VALUES (1)`]),
      db.batch([insert(6), insert(7)])
    ])
    assert.deepEqual(
      settled.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled']
    )
    assert.deepEqual(await ids(db), [1, 2, 4, 6, 7])
  })

  test('names the failing statement and leads to the caller', async () => {
    const db = await database.open()
    await withMarks(db)
    await assert.rejects(
      async function caller() {
        await db.batch([sql`INSERT INTO marks VALUES (${1}, ${'a'})`, ['INSERT INTO marks VALUES ($1, $2)', [1, 'b']]])
      },
      (error: { code: string; sql: string; parameters: unknown; stack: string }) => {
        assert.equal(error.code, 'unique_violation')
        assert.match(error.sql, /INSERT INTO marks/)
        assert.deepEqual(error.parameters, [1, 'b'])
        return /caller/.test(error.stack)
      }
    )
  })

  test('refuses what is no query before anything is sent, and says which', async () => {
    const db = await database.open()
    await withMarks(db)
    const good = sql`INSERT INTO marks VALUES (${1}, ${'a'})`
    for (const [queries, message] of [
      [[good, ['SELECT $1', []]], /Query 2 of batch\(\): .*\$1 is missing/],
      [[good, ['SELECT $1', [undefined]]], /Query 2 of batch\(\): .*\$1 is undefined/],
      [[good, ['SELECT 1']], /Query 2 of batch\(\): Expected a template, a string, or \[string, parameters\]/],
      [[good, 5], /Query 2 of batch\(\): Expected SQL/],
      ['SELECT 1', /batch\(\) expects an array of queries, got string/]
    ] as const) {
      await assert.rejects(db.batch(queries as never), failsWith('invalid_parameter', message))
    }
    assert.deepEqual(await ids(db), [])
  })

  test('inside of a transaction is a part of it', async () => {
    const db = await database.open()
    await withMarks(db)
    const undone = db.transaction(async tx => {
      assert.deepEqual(await tx.batch([sql`INSERT INTO marks VALUES (${1}, ${'a'})`, 'SELECT id FROM marks']), [[], [{ id: 1 }]])
      throw new Error('undo')
    })
    await assert.rejects(undone, /undo/)
    assert.deepEqual(await ids(db), [])
    await db.transaction(tx => tx.batch([sql`INSERT INTO marks VALUES (${1}, ${'a'})`, sql`INSERT INTO marks VALUES (${2}, ${'a'})`]))
    assert.deepEqual(await ids(db), [1, 2])
  })

  test('that fails inside of a transaction fails it, and in a nested one that alone', async () => {
    const db = await database.open()
    await withMarks(db)
    const failing = [sql`INSERT INTO marks VALUES (${5}, ${'a'})`, sql`INSERT INTO marks VALUES (${1}, ${'a'})`]
    await db.transaction(async tx => {
      await tx.run(sql`INSERT INTO marks VALUES (${1}, ${'a'})`)
      await assert.rejects(
        tx.transaction(inner => inner.batch(failing)),
        failsWith('unique_violation')
      )
    })
    assert.deepEqual(await ids(db), [1])
    const whole = db.transaction(async tx => {
      await tx.batch(failing).catch(() => undefined)
      await tx.all('SELECT 1 AS a')
    })
    await assert.rejects(whole, failsWith('in_failed_sql_transaction'))
    assert.deepEqual(await ids(db), [1])
  })

  test('on the outer handle inside of a transaction, and after close(), is refused', async () => {
    const db = await database.open()
    await db.transaction(async () => {
      await assert.rejects(db.batch(['SELECT 1 AS a']), failsWith('wrong_handle'))
    })
    await db.close()
    await assert.rejects(db.batch(['SELECT 1 AS a']), failsWith('closed'))
    await assert.rejects(db.batch([]), failsWith('closed'))
  })

  test('opens the database', async () => {
    const db = database.closeAfterTest(createDatabase(await database.config()))
    assert.deepEqual(await db.batch(['SELECT 1 AS a', 'SELECT 2 AS b']), [[{ a: 1 }], [{ b: 2 }]])
  })

  test('takes values when it is called', async () => {
    const db = await database.open()
    const parameters = ['a']
    const batch = db.batch([['SELECT CAST($1 AS TEXT) AS value', parameters]])
    parameters[0] = 'b'
    assert.deepEqual(await batch, [[{ value: 'a' }]])
  })
})

onEachSharedDatabase('batch() beside others', database => {
  test('is seen whole or not at all', async () => {
    const config = await database.config()
    const [writer, reader] = [1, 2].map(() => database.closeAfterTest(createDatabase(config))) as [Database, Database]
    await withMarks(writer)
    let isOver = false
    const reading = (async () => {
      while (!isOver) {
        const { n } = await reader.one<{ n: number }>('SELECT count(*) AS n FROM marks')
        assert.equal(n % 3, 0)
        await pause(1)
      }
    })()
    for (let i = 0; i < 60; i += 3) {
      await writer.batch([i, i + 1, i + 2].map(id => sql`INSERT INTO marks VALUES (${id}, ${'a'})`))
    }
    isOver = true
    await reading
  })
})

test('64 batches of one turn share a few commits on SQLite', async () => {
  const db = createDatabase(':memory:')
  await withMarks(db)
  const commits: string[] = []
  const { exec } = Native.prototype
  Native.prototype.exec = function (text: string) {
    if (text === 'COMMIT') commits.push(text)
    return exec.call(this, text)
  }
  try {
    const pairs = Array.from({ length: 64 }, (_, i) => [2 * i, 2 * i + 1])
    const insert = (id: number) => sql`INSERT INTO marks VALUES (${id}, ${'a'})`
    await Promise.all(pairs.map(pair => db.batch(pair.map(insert))))
    assert.ok(commits.length <= 6, `${commits.length} commits`)
    await db.run('DELETE FROM marks')
    commits.length = 0
    await Promise.all(
      pairs.map(pair =>
        db.transaction(async tx => {
          for (const id of pair) await tx.run(insert(id))
        })
      )
    )
    assert.equal(commits.length, 64)
    assert.equal((await ids(db)).length, 128)
  } finally {
    Native.prototype.exec = exec
    await db.close()
  }
})

onEachDatabase('A batch of ten', database => {
  if (database.dialect !== 'postgres') return

  /** Number of times that the client sends something after an answer has come. */
  async function countFlights(relay: Relay, work: () => Promise<unknown>): Promise<number> {
    let flights = 0
    let hasAnswer = true
    relay.onRequest = () => {
      if (hasAnswer) flights++
      hasAnswer = false
      return true
    }
    relay.onAnswer = () => {
      hasAnswer = true
    }
    await work()
    return flights
  }

  test('goes to Postgres in one flight', async () => {
    const relay = new Relay()
    const target = new URL((await database.config()).postgres?.connection as string)
    const through = new URL(await relay.listen())
    through.search = target.search
    const db = createDatabase(through.href)
    await withMarks(db)
    const reads = Array.from({ length: 10 }, (_, i) => sql`SELECT CAST(${i} AS INTEGER) AS n`)
    const writes = Array.from({ length: 10 }, (_, i) => sql`INSERT INTO marks VALUES (${i}, ${'a'})`)
    const both = [...writes.slice(0, 5), ...reads.slice(0, 5)]
    assert.equal(await countFlights(relay, () => db.batch(reads)), 1)
    assert.equal(await countFlights(relay, () => db.batch(writes)), 1)
    await db.run('DELETE FROM marks')
    assert.equal(await countFlights(relay, () => db.batch(both)), 1)
    await db.close()
    relay.close()
  })

  test('waits for the columns of a result that it does not know, before it commits', async () => {
    const db = await database.open()
    await withMarks(db)
    const insert = sql`INSERT INTO marks VALUES (${1}, ${'a'})`
    for (const bad of [sql`SELECT id, id FROM marks`, sql`UPDATE marks SET name = ${'b'} RETURNING id, id`]) {
      await assert.rejects(db.batch([insert, bad]), failsWith('duplicate_column'))
      assert.deepEqual(await ids(db), [])
    }
  })
})

onEachDatabase('A write whose columns share a name', database => {
  test('is refused before anything is committed, at its first use and later', async () => {
    const db = await database.open()
    await withMarks(db)
    for (let i = 0; i < 3; i++) {
      await assert.rejects(db.all("INSERT INTO marks VALUES (1, 'a') RETURNING id, id"), failsWith('duplicate_column'))
      await assert.rejects(
        db.one("WITH x AS (SELECT 1 AS a) INSERT INTO marks SELECT a, 'a' FROM x RETURNING id, id"),
        failsWith('duplicate_column')
      )
      assert.deepEqual(await ids(db), [])
    }
    assert.deepEqual(await db.all("INSERT INTO marks VALUES (1, 'a') RETURNING id"), [{ id: 1 }])
  })
})

onEachDatabase('A batch after a table has changed', database => {
  test('runs again with what was prepared anew', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE s (id INTEGER)')
    for (let i = 0; i < 2; i++) await db.all('SELECT * FROM s')
    await db.exec('ALTER TABLE s ADD COLUMN b TEXT')
    assert.deepEqual(await db.batch(['SELECT * FROM s', 'INSERT INTO s (id) VALUES (1) RETURNING id']), [[], [{ id: 1 }]])
  })
})

test('a batch that ends before COMMIT was sent, or only reads, is connection_failure', async () => {
  const db = createDatabase(process.env.TEST_PG_URL as string)
  for (const queries of [
    ['SELECT 1 AS a', 'SELECT 2 AS a'],
    [sql`INSERT INTO kvs (key, value) VALUES (${'batch'}, ${'1'}) RETURNING key`, 'SELECT 1 AS a']
  ]) {
    const { pid } = await db.one<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    assert.ok(pid > 0)
    await db.batch(queries)
    await db.kvs.delete('batch')
  }
  await assert.rejects(
    db.batch(["INSERT INTO kvs (key, value) VALUES ('batch', '1') RETURNING value", 'SELECT pg_terminate_backend(pg_backend_pid()) AS a']),
    failsWith('connection_failure')
  )
  assert.equal(await db.kvs.has('batch'), false)
  await db.close()
})

test('a batch whose connection breaks before the answer to COMMIT is commit_unknown', async () => {
  const relay = new Relay()
  const db = createDatabase(await relay.listen())
  // The columns of its SELECT are known then, so that COMMIT is sent at once.
  await db.batch(["UPDATE kvs SET value = '1' WHERE key = 'nothing'", 'SELECT 1 AS a'])
  relay.isAnswering = false
  const batch = db.batch(["UPDATE kvs SET value = '1' WHERE key = 'nothing'", 'SELECT 1 AS a'])
  const outcome = assert.rejects(batch, failsWith('commit_unknown'))
  await pause(100)
  relay.cut()
  await outcome
  relay.close()
  await db.close()
})
