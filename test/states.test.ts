/** Every call in every bad state. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createDatabase, type Database } from '../src/index.ts'
import { failsWith, onEachDatabase } from './support/databases.ts'

/** All that a handle can do, and what it returns on a table `marks` with the rows 1 to 250. */
const CALLS: Readonly<Record<string, { call(db: Database): Promise<unknown>; result: unknown }>> = {
  all: { call: db => db.all('SELECT n FROM marks WHERE n < 3 ORDER BY n'), result: [{ n: 1 }, { n: 2 }] },
  one: { call: db => db.one('SELECT n FROM marks WHERE n = 1'), result: { n: 1 } },
  maybeOne: { call: db => db.maybeOne('SELECT n FROM marks WHERE n = 0'), result: undefined },
  run: { call: db => db.run('UPDATE marks SET n = n WHERE n = 1'), result: { changes: 1 } },
  iterate: {
    async call(db) {
      const seen: unknown[] = []
      for await (const row of db.iterate('SELECT n FROM marks WHERE n = 2')) seen.push(row)
      return seen
    },
    result: [{ n: 2 }]
  },
  exec: { call: db => db.exec('UPDATE marks SET n = n; DELETE FROM kvs'), result: undefined },
  transaction: { call: db => db.transaction(tx => tx.one('SELECT n FROM marks WHERE n = 3')), result: { n: 3 } },
  saveUser: { call: async db => (await db.saveUser({ id: '1', platform: 'slack' })).id, result: 'slack:1' },
  'kvs.set': { call: db => db.kvs.set('key', 1), result: undefined },
  'kvs.set with a path': { call: db => db.kvs.set('other', 1, 'a'), result: undefined },
  'kvs.get': { call: db => db.kvs.get('absent'), result: null },
  'kvs.delete': { call: db => db.kvs.delete('absent'), result: false },
  'kvs.has': { call: db => db.kvs.has('absent'), result: false },
  'kvs.update': { call: db => db.kvs.update('updated', () => 1), result: 1 },
  'kvs.getMany': { call: db => db.kvs.getMany(['absent']), result: new Map() },
  'kvs.setMany': { call: db => db.kvs.setMany([['many', 1]]), result: undefined },
  'kvs.list': {
    async call(db) {
      for await (const { key } of db.kvs.list({ prefix: 'no such' })) return key
      return undefined
    },
    result: undefined
  }
}

async function withMarks(db: Database): Promise<void> {
  const rows = Array.from({ length: 250 }, (_, i) => `(${i + 1})`)
  await db.exec(`CREATE TABLE marks (n INTEGER PRIMARY KEY); INSERT INTO marks VALUES ${rows.join(', ')}`)
}

onEachDatabase('Each call', database => {
  for (const [name, { call, result }] of Object.entries(CALLS)) {
    test(`${name}() works while a loop iterates, and the loop goes on`, async () => {
      const db = await database.open()
      await withMarks(db)
      let count = 0
      for await (const _ of db.iterate('SELECT n FROM marks')) {
        if (count % 120 === 0) assert.deepEqual(await call(db), result)
        count++
      }
      assert.equal(count, 250)
    })

    test(`${name}() of the outer handle is wrong_handle in a transaction, and works after it`, async () => {
      const db = await database.open()
      await withMarks(db)
      await db.transaction(async () => assert.rejects(call(db), failsWith('wrong_handle')))
      assert.deepEqual(await call(db), result)
    })

    test(`${name}() is closed after close()`, async () => {
      const db = await database.open()
      await db.close()
      await assert.rejects(call(db), failsWith('closed'))
    })

    test(`${name}() that is called before close() is answered`, async () => {
      const db = await database.open()
      await withMarks(db)
      const answer = call(db)
      await db.close()
      assert.deepEqual(await answer, result)
    })

    test(`${name}() fails with the opening, and nothing stays pending`, async () => {
      const directory = mkdtempSync(join(tmpdir(), 'duolect-test-'))
      writeFileSync(join(directory, 'data'), 'a file')
      const config =
        database.dialect === 'sqlite'
          ? { sqlite: { location: join(directory, 'data', 'db.sqlite') }, postgres: { enabled: false } }
          : { postgres: { enabled: true, host: '127.0.0.1', port: 1 } }
      const db = createDatabase(config)
      await assert.rejects(call(db), failsWith('connection_failure'))
      await db.close()
      rmSync(directory, { recursive: true })
    })
  }
})
