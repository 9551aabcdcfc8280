import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Database, sql } from '../src/index.ts'
import { failsWith, onEachDatabase } from './support/databases.ts'

async function withNumbers(db: Database, count: number): Promise<void> {
  await db.exec('CREATE TABLE numbers (n INTEGER PRIMARY KEY, word TEXT)')
  const rows = Array.from({ length: count }, (_, i) => sql`(${i + 1}, ${`number ${i + 1}`})`)
  for (let i = 0; i < rows.length; i += 500) {
    const values = rows.slice(i, i + 500).reduce((all, row) => sql`${all}, ${row}`)
    await db.run(sql`INSERT INTO numbers (n, word) VALUES ${values}`)
  }
}

onEachDatabase('A handle', database => {
  test('all() returns the rows in their order, or an empty array', async () => {
    const db = await database.open()
    await withNumbers(db, 3)
    assert.deepEqual(await db.all('SELECT n FROM numbers ORDER BY n DESC'), [{ n: 3 }, { n: 2 }, { n: 1 }])
    assert.deepEqual(await db.all('SELECT n FROM numbers WHERE n > 3'), [])
  })

  test('one() returns the one row, and fails with none and with several', async () => {
    const db = await database.open()
    await withNumbers(db, 3)
    assert.deepEqual(await db.one('SELECT n FROM numbers WHERE n = $1', [2]), { n: 2 })
    await assert.rejects(
      db.one('SELECT n FROM numbers WHERE n = 9'),
      failsWith('no_data_found', /one\(\) expected one row, got none.*maybeOne/)
    )
    await assert.rejects(db.one('SELECT n FROM numbers'), failsWith('too_many_rows', /one\(\) expected one row, got 3.*all\(\)/))
  })

  test('maybeOne() returns the row or undefined, and fails with several', async () => {
    const db = await database.open()
    await withNumbers(db, 3)
    assert.deepEqual(await db.maybeOne('SELECT n FROM numbers WHERE n = :n', { n: 2 }), { n: 2 })
    assert.equal(await db.maybeOne('SELECT n FROM numbers WHERE n = 9'), undefined)
    await assert.rejects(db.maybeOne('SELECT n FROM numbers'), failsWith('too_many_rows', /got 3/))
  })

  test('run() tells how many rows it changed', async () => {
    const db = await database.open()
    await withNumbers(db, 3)
    assert.deepEqual(await db.run("UPDATE numbers SET word = 'x' WHERE n > 1"), { changes: 2 })
    assert.deepEqual(await db.run('DELETE FROM numbers WHERE n = 9'), { changes: 0 })
    assert.deepEqual(await db.run("INSERT INTO numbers VALUES (9, 'a'), (10, 'b') RETURNING n"), { changes: 2 })
    assert.deepEqual(await db.run('SELECT n FROM numbers'), { changes: 0 })
    assert.deepEqual(await db.run('CREATE TABLE other (n INTEGER)'), { changes: 0 })
  })

  test('all() of a statement without rows does it and returns an empty array', async () => {
    const db = await database.open()
    await withNumbers(db, 1)
    assert.deepEqual(await db.all('DELETE FROM numbers'), [])
    assert.deepEqual(await db.all('SELECT n FROM numbers'), [])
  })

  test('all() of an INSERT with RETURNING returns the new rows', async () => {
    const db = await database.open()
    await withNumbers(db, 1)
    assert.deepEqual(await db.all("INSERT INTO numbers VALUES (2, 'two') RETURNING n, word"), [{ n: 2, word: 'two' }])
  })

  test('iterate() yields all rows in order, over many portions', async () => {
    const db = await database.open()
    await withNumbers(db, 1050)
    const seen: number[] = []
    for await (const { n } of db.iterate<{ n: number }>('SELECT n FROM numbers ORDER BY n')) seen.push(n)
    assert.deepEqual(
      seen,
      Array.from({ length: 1050 }, (_, i) => i + 1)
    )
  })

  test('iterate() yields nothing where there is nothing', async () => {
    const db = await database.open()
    await withNumbers(db, 1)
    for await (const row of db.iterate('SELECT n FROM numbers WHERE n > 1')) assert.fail(`got ${JSON.stringify(row)}`)
  })

  test('a loop over iterate() may end early, or throw, and the database goes on', async () => {
    const db = await database.open()
    await withNumbers(db, 300)
    for (let round = 0; round < 30; round++) {
      for await (const _ of db.iterate('SELECT n FROM numbers')) break
      await assert.rejects(async () => {
        for await (const _ of db.iterate('SELECT n FROM numbers')) throw new Error('enough')
      }, /enough/)
    }
    assert.deepEqual(await db.run('DELETE FROM numbers'), { changes: 300 })
  })

  test('iterate() yields the rows of its beginning, while other statements write', async () => {
    const db = await database.open()
    await withNumbers(db, 250)
    let count = 0
    for await (const { n } of db.iterate<{ n: number }>('SELECT n FROM numbers ORDER BY n')) {
      count++
      if (n % 50 === 0) await db.run('DELETE FROM numbers WHERE n > $1', [n])
      if (n === 1) await db.run("INSERT INTO numbers VALUES (1000, 'new')")
    }
    assert.equal(count, 250)
  })

  test('iterate() refuses a statement that writes, and writes nothing', async () => {
    const db = await database.open()
    await withNumbers(db, 1)
    await assert.rejects(async () => {
      for await (const _ of db.iterate('DELETE FROM numbers RETURNING n')) assert.fail()
    }, failsWith('syntax_error'))
    assert.equal((await db.all('SELECT n FROM numbers')).length, 1)
  })

  test('exec() runs a script with strings, comments and semicolons in them', async () => {
    const db = await database.open()
    await db.exec(`
      -- a comment; with a semicolon
      CREATE TABLE notes (text TEXT);
      INSERT INTO notes VALUES ('one; $1 :name'), ('two');
      /* INSERT INTO notes VALUES ('three'); */
    `)
    assert.deepEqual(await db.all('SELECT text FROM notes ORDER BY text'), [{ text: 'one; $1 :name' }, { text: 'two' }])
  })

  test('exec() does all of a script or none of it', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE notes (text TEXT NOT NULL)')
    await assert.rejects(db.exec("INSERT INTO notes VALUES ('one'); INSERT INTO notes VALUES (NULL)"), failsWith('not_null_violation'))
    assert.deepEqual(await db.all('SELECT text FROM notes'), [])
  })

  test('exec() accepts a script that has only comments, or nothing', async () => {
    const db = await database.open()
    await db.exec('')
    await db.exec('-- nothing')
  })

  test('a text with two statements is refused outside of exec()', async () => {
    const db = await database.open()
    for (const call of ['all', 'one', 'run'] as const) {
      await assert.rejects(db[call]('SELECT 1; SELECT 2'), failsWith('syntax_error'))
    }
  })

  test('a statement that begins or ends a transaction by itself is refused, and leaves none open', async () => {
    const db = await database.open()
    await withNumbers(db, 1)
    await assert.rejects(db.run('BEGIN'), failsWith('invalid_transaction_termination', /use transaction\(\)/))
    await assert.rejects(db.exec('BEGIN; DELETE FROM numbers'), failsWith('invalid_transaction_termination'))
    assert.deepEqual(await db.all('SELECT n FROM numbers'), [{ n: 1 }])
    assert.deepEqual(await db.run('DELETE FROM numbers'), { changes: 1 })
  })

  test('after close() each call is refused, and closing again does nothing', async () => {
    const db = await database.open()
    const adapter = await db.get()
    await Promise.all([db.close(), db.close()])
    await db.close()
    await adapter.close()
    const calls: (() => Promise<unknown>)[] = [
      () => db.get(),
      () => db.all('SELECT 1'),
      () => db.one('SELECT 1'),
      () => db.maybeOne('SELECT 1'),
      () => db.run('SELECT 1'),
      () => db.exec('SELECT 1'),
      () => db.transaction(async () => undefined),
      () => db.saveUser({ id: '1', platform: 'slack' }),
      () => db.kvs.get('key'),
      () => db.kvs.set('key', 1),
      () => adapter.all('SELECT 1'),
      async () => {
        for await (const _ of db.iterate('SELECT 1')) assert.fail()
      }
    ]
    for (const call of calls) await assert.rejects(call, failsWith('closed', /createDatabase/))
  })

  test('close() waits for what was called before', async () => {
    const db = await database.open()
    await withNumbers(db, 1)
    const work = [
      db.run("INSERT INTO numbers VALUES (2, 'two')"),
      db.transaction(async tx => {
        await new Promise(resolve => setTimeout(resolve, 30))
        return tx.run("INSERT INTO numbers VALUES (3, 'three')")
      }),
      db.kvs.set('key', 1),
      db.all('SELECT n FROM numbers')
    ]
    await db.close()
    const results = await Promise.all(work)
    assert.deepEqual(results.slice(0, 2), [{ changes: 1 }, { changes: 1 }])
  })
})
