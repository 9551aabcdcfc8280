/** How calls become statements, seen between the store and the adapter. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Adapter, createKeyValueStore, type Database, DatabaseError } from '../src/index.ts'
import { failsWith, onEachDatabase } from './support/databases.ts'
import { watched } from './support/watched.ts'

/** The database's adapter, which writes down whether each statement reads or writes, and each transaction's beginning. */
function counting(db: Database): { adapter: Adapter; asked: string[] } {
  const asked: string[] = []
  return { adapter: watched(db, { statement: text => asked.push(kindOf(text)), begin: () => asked.push('transaction') }), asked }
}

function kindOf(text: string): string {
  return /INSERT|UPDATE|DELETE/.test(text.replace('FOR UPDATE', '')) ? 'write' : 'read'
}

/** The database's adapter, on which every statement that reads fails. */
function failingReads(db: Database): Adapter {
  return watched(db, {
    statement: text => {
      if (kindOf(text) === 'read') throw new DatabaseError('connection_failure', 'No answer.')
    }
  })
}

onEachDatabase('The statements of one turn', database => {
  /** What a store whose reads and writes are not both plain ones asks, apart from the transaction around it. */
  const readAndWrite = database.dialect === 'sqlite' ? ['transaction', 'read', 'write'] : ['read', 'write']

  /** SQLite writes by one statement for each key, as that is faster where there are no round trips. */
  const ofOneTurn = (asked: readonly string[]) =>
    database.dialect === 'sqlite' ? asked.filter((what, i) => what !== 'write' || asked[i - 1] !== 'write') : asked

  /** Two statements share many keys of a database that answers over a network. */
  const twice = (asked: readonly string[]) => (database.dialect === 'sqlite' ? asked : asked.flatMap(what => [what, what]))

  test('are few for 1000 calls, of which 10 are bad and fail alone', async () => {
    const db = await database.open()
    await db.kvs.setMany(Array.from({ length: 1000 }, (_, i) => [`key ${i}`, i % 100 === 0 ? 'text' : {}]))
    const { adapter, asked } = counting(await db.get())
    const kvs = createKeyValueStore(adapter)
    const calls = Array.from({ length: 1000 }, (_, i) => kvs.set(`key ${i}`, i, 'a.b'))
    const results = await Promise.allSettled(calls)
    assert.deepEqual(ofOneTurn(asked), twice(readAndWrite))
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 990)
    for (let i = 0; i < 1000; i += 100) {
      await assert.rejects(calls[i] as Promise<void>, failsWith('invalid_path', /holds a string/))
      assert.equal(await db.kvs.get(`key ${i}`), 'text')
    }
    assert.deepEqual(await db.kvs.get('key 999'), { a: { b: 999 } })
  })

  test('are few for whole values', async () => {
    const db = await database.open()
    const { adapter, asked } = counting(await db.get())
    const kvs = createKeyValueStore(adapter)
    await Promise.all(Array.from({ length: 100 }, (_, i) => kvs.set(`key ${i}`, i)))
    assert.deepEqual(ofOneTurn(asked), database.dialect === 'sqlite' ? ['transaction', 'write'] : ['write', 'write'])
  })

  test('are one write for several path sets on one key', async () => {
    const db = await database.open()
    const { adapter, asked } = counting(await db.get())
    const kvs = createKeyValueStore(adapter)
    await Promise.all(Array.from({ length: 50 }, (_, i) => kvs.set('key', i, ['list', i])))
    assert.deepEqual(asked, readAndWrite)
    assert.deepEqual(
      await db.kvs.get('key', 'list'),
      Array.from({ length: 50 }, (_, i) => i)
    )
  })

  if (database.dialect === 'postgres') {
    test('are two from 32 keys on, unless there is one connection', async () => {
      for (const { keys, maxConnections, statements } of [
        { keys: 31, maxConnections: 10, statements: 1 },
        { keys: 32, maxConnections: 10, statements: 2 },
        { keys: 1000, maxConnections: 10, statements: 2 },
        { keys: 1000, maxConnections: 1, statements: 1 }
      ]) {
        const config = await database.config()
        const db = await database.open({ postgres: { ...config.postgres, maxConnections } })
        const { adapter, asked } = counting(await db.get())
        const kvs = createKeyValueStore(adapter)
        const names = Array.from({ length: keys }, (_, i) => `key ${i}`)
        await Promise.all(names.map(key => kvs.set(key, key)))
        await Promise.all(names.map(key => kvs.set(key, key, 'path')).map(call => assert.rejects(call)))
        assert.deepEqual(await Promise.all(names.map(key => kvs.get(key))), names)
        const expected = ['write', 'read', 'read']
        assert.deepEqual(asked, statements === 2 ? expected.flatMap(what => [what, what]) : expected)
      }
    })

    test('are one for getMany(), whatever else is called, so that it sees all of a setMany() or nothing', async () => {
      const db = await database.open()
      const { adapter, asked } = counting(await db.get())
      const kvs = createKeyValueStore(adapter)
      const names = Array.from({ length: 100 }, (_, i) => `key ${i}`)
      await kvs.getMany(names)
      assert.deepEqual(asked.splice(0), ['read'])
      await Promise.all([...names.map(key => kvs.get(key)), kvs.getMany(['key 0', 'key 99'])])
      assert.deepEqual(asked.splice(0), ['read'])
      await Promise.all([kvs.getMany(['key 0', 'key 99']), ...names.map(key => kvs.set(key, 1, 'path'))])
      assert.deepEqual(asked.splice(0), ['read', 'write'])
      await Promise.all(names.map(key => kvs.get(key)))
      assert.deepEqual(asked, ['read', 'read'])
    })

    test('send reads beside whole values, which do not fail with them', async () => {
      const db = await database.open()
      const { adapter, asked } = counting(await db.get())
      const kvs = createKeyValueStore(adapter)
      const numbers = Array.from({ length: 100 }, (_, i) => i)
      await Promise.all(numbers.flatMap(i => [kvs.set(`key ${i}`, i), kvs.get(`other ${i}`)]))
      assert.deepEqual(asked, ['read', 'read', 'write', 'write'])
      const failing = createKeyValueStore(failingReads(await db.get()))
      const writes = ['one', 'two', 'three'].map(key => failing.set(key, 1))
      await assert.rejects(failing.get('four'), failsWith('connection_failure'))
      await Promise.all(writes)
      assert.equal((await db.kvs.getMany(['one', 'two', 'three'])).size, 3)
    })

    test('are one read for reads and changes of different keys', async () => {
      const db = await database.open()
      await db.kvs.set('read', 1)
      const { adapter, asked } = counting(await db.get())
      const kvs = createKeyValueStore(adapter)
      const [read, many] = await Promise.all([kvs.get('read'), kvs.getMany(['read', 'absent']), kvs.set('changed', 1, 'a')])
      assert.deepEqual({ read, many }, { read: 1, many: new Map([['read', 1]]) })
      assert.deepEqual(asked, ['read', 'write'])
    })
  }

  test('do not take down the others when the database refuses one', async () => {
    const db = await database.open()
    await db.exec(
      database.dialect === 'sqlite'
        ? "CREATE TRIGGER no_bad BEFORE INSERT ON kvs WHEN NEW.key = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END"
        : "ALTER TABLE kvs ADD CONSTRAINT no_bad CHECK (key <> 'bad')"
    )
    const keys = ['one', 'bad', 'two', 'three']
    for (const path of [undefined, 'a']) {
      const results = await Promise.allSettled(keys.map(key => db.kvs.set(key, 1, path)))
      assert.deepEqual(
        results.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled', 'fulfilled']
      )
      await db.kvs.delete('one')
      await db.kvs.delete('two')
      await db.kvs.delete('three')
    }
    const failed = db.kvs.setMany([
      ['one', 1],
      ['bad', 1]
    ])
    const other = db.kvs.set('other', 1)
    await assert.rejects(failed)
    await other
    assert.deepEqual([...(await db.kvs.getMany(['one', 'bad', 'other']))], [['other', 1]])
  })
})

/** The engine's own, which it hides unless a flag is set. */
function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

onEachDatabase('A list of 100 000 keys', database => {
  test('is read in order and in bounded memory', async () => {
    const db = await database.open()
    const text = 'x'.repeat(500)
    for (let i = 0; i < 100_000; i += 5000) {
      await db.kvs.setMany(Array.from({ length: 5000 }, (_, j) => [`key ${String(i + j).padStart(6, '0')}`, text]))
    }
    const gc = garbageCollector()
    gc()
    const before = process.memoryUsage().heapUsed
    let most = 0
    let count = 0
    let last = ''
    for await (const { key, value } of db.kvs.list({ prefix: 'key ' })) {
      assert.ok(key > last && value === text)
      last = key
      if (++count % 10_000 === 0) {
        gc()
        most = Math.max(most, process.memoryUsage().heapUsed - before)
      }
    }
    assert.equal(count, 100_000)
    // All of the values would take 50 MB.
    assert.ok(most < 10_000_000, `${most} bytes`)
  })
})
