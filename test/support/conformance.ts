/** What every adapter does, as a function of one: run on duolect's own drivers and on one that a test writes by hand. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Adapter, type BoundStatement, createDatabaseFrom, type Database, type Query, type Row, sql } from '../../src/index.ts'
import { bind } from '../../src/statement.ts'
import { failsWith } from './databases.ts'

/** Describes the contract on an adapter; `open` gives one on an empty database. */
export function describeAdapter(name: string, open: () => Promise<Adapter>): void {
  describe(`The adapter ${name}`, () => {
    let adapter: Adapter
    const statement = (query: Query): BoundStatement => bind(query, undefined, adapter.dialect)
    /** Calls that fail may throw at once or reject. */
    const query = async (text: Query): Promise<Row[]> => adapter.query(statement(text))
    const execute = async (text: Query) => adapter.execute(statement(text))
    const names = async () => (await query('SELECT name FROM things ORDER BY name')).map(row => row.name)

    before(async () => {
      adapter = await open()
      await adapter.script('CREATE TABLE things (name TEXT PRIMARY KEY, n INTEGER, bytes BYTEA)')
    })

    async function empty(): Promise<void> {
      await execute('DELETE FROM things')
    }

    test('query() returns the rows, and none for a statement that has none', async () => {
      await empty()
      assert.deepEqual(await query(sql`INSERT INTO things (name, n) VALUES (${'a'}, ${1})`), [])
      assert.deepEqual(await query('SELECT name, n FROM things'), [{ name: 'a', n: 1 }])
      assert.deepEqual(await query(sql`DELETE FROM things WHERE n = ${1} RETURNING name`), [{ name: 'a' }])
      assert.deepEqual(await query('SELECT name FROM things'), [])
    })

    test('execute() returns the number of changed rows', async () => {
      await empty()
      assert.deepEqual(await execute("INSERT INTO things (name) VALUES ('a'), ('b'), ('c')"), { changes: 3 })
      assert.deepEqual(await execute(sql`DELETE FROM things WHERE name > ${'a'}`), { changes: 2 })
      assert.deepEqual(await execute(sql`DELETE FROM things WHERE name = ${'z'}`), { changes: 0 })
    })

    test('values come back as they were bound', async () => {
      await empty()
      const bytes = Buffer.from([0, 1, 255])
      await execute(sql`INSERT INTO things (name, n, bytes) VALUES (${'it’s'}, ${-5}, ${bytes}), (${'none'}, ${null}, ${null})`)
      const rows = await query('SELECT name, n, bytes FROM things ORDER BY name')
      assert.deepEqual(rows, [
        { name: 'it’s', n: -5, bytes },
        { name: 'none', n: null, bytes: null }
      ])
    })

    test('a failing statement rejects with its code and changes nothing', async () => {
      await empty()
      await execute("INSERT INTO things (name) VALUES ('a')")
      await assert.rejects(execute("INSERT INTO things (name) VALUES ('b'), ('a')"), failsWith('unique_violation'))
      await assert.rejects(query('SELECT name FROM missing'), failsWith('undefined_table'))
      await assert.rejects(query('SELEC name'), failsWith('syntax_error'))
      assert.deepEqual(await names(), ['a'])
    })

    test('stream() yields all rows, and return() frees what it holds', async () => {
      await empty()
      const rows = Array.from({ length: 250 }, (_, i) => sql`(${`row ${i}`}, ${i})`)
      await execute(sql`INSERT INTO things (name, n) VALUES ${sql.list(rows)}`)
      const seen: unknown[] = []
      for await (const portion of adapter.stream(statement('SELECT n FROM things ORDER BY n'))) seen.push(...portion.map(({ n }) => n))
      assert.deepEqual(
        seen,
        rows.map((_, i) => i)
      )
      for await (const _ of adapter.stream(statement('SELECT n FROM things'))) break
      assert.deepEqual(await execute('DELETE FROM things'), { changes: 250 })
    })

    test('script() runs all statements or none', async () => {
      await empty()
      await adapter.script("INSERT INTO things (name) VALUES ('a'); INSERT INTO things (name) VALUES ('b')")
      await assert.rejects(
        adapter.script("INSERT INTO things (name) VALUES ('c'); INSERT INTO things (name) VALUES ('a')"),
        failsWith('unique_violation')
      )
      assert.deepEqual(await names(), ['a', 'b'])
    })

    test('a session commits or rolls back', async () => {
      await empty()
      const first = await adapter.begin({})
      await first.execute(statement("INSERT INTO things (name) VALUES ('kept')"))
      await first.commit()
      await first.rollback()
      const second = await adapter.begin({})
      await second.execute(statement("INSERT INTO things (name) VALUES ('undone')"))
      assert.deepEqual((await second.query(statement('SELECT count(*) AS n FROM things')))[0], { n: 2 })
      await second.rollback()
      await second.rollback()
      assert.deepEqual(await names(), ['kept'])
    })

    test('a session takes savepoints as scripts', async () => {
      await empty()
      const session = await adapter.begin({})
      await session.execute(statement("INSERT INTO things (name) VALUES ('kept')"))
      await session.script('SAVEPOINT one')
      await session.execute(statement("INSERT INTO things (name) VALUES ('undone')"))
      await session.script('ROLLBACK TO one; RELEASE one')
      await session.commit()
      assert.deepEqual(await names(), ['kept'])
    })

    describe('carries a database', () => {
      let db: Database

      before(() => {
        db = createDatabaseFrom(adapter)
      })

      // Closes the adapter too.
      after(() => db.close())

      test('that creates its tables and is ready', async () => {
        assert.equal(await db.get(), db)
        assert.equal(await db.kvs.get('nothing'), null)
      })

      test('with the key-value store', async () => {
        await db.kvs.set('key', { a: 1 })
        await Promise.all([db.kvs.set('key', 5, 'b.5'), db.kvs.set('other', 'x'), db.kvs.update<number>('count', n => (n ?? 0) + 1)])
        assert.deepEqual(await db.kvs.get('key'), { a: 1, b: [null, null, null, null, null, 5] })
        assert.equal(await db.kvs.has('key', 'b[5]'), true)
        assert.equal(await db.kvs.delete('key', 'a'), true)
        assert.equal(await db.kvs.delete('other'), true)
        assert.deepEqual([...(await db.kvs.getMany(['other', 'count']))], [['count', 1]])
        const keys: string[] = []
        for await (const { key } of db.kvs.list()) keys.push(key)
        assert.deepEqual(keys, ['count', 'key'])
      })

      test('with the users', async () => {
        await db.saveUser({ id: '1', platform: 'slack', first_name: 'Sylvain' })
        const user = await db.saveUser({ id: '1', platform: 'slack', last_name: 'Perron' })
        assert.deepEqual([user.id, user.first_name, user.last_name], ['slack:1', 'Sylvain', 'Perron'])
      })

      test('with transactions that nest', async () => {
        await empty()
        await db.transaction(async tx => {
          await tx.run("INSERT INTO things (name) VALUES ('kept')")
          const failing = tx.transaction(async inner => {
            await inner.run("INSERT INTO things (name) VALUES ('undone')")
            throw new Error('enough')
          })
          await assert.rejects(failing, /enough/)
          await tx.kvs.set('in the transaction', true)
        })
        assert.deepEqual(await names(), ['kept'])
        assert.equal(await db.kvs.get('in the transaction'), true)
      })

      test('with batches that are all or none', async () => {
        await empty()
        const rows = await db.batch([sql`INSERT INTO things (name) VALUES (${'a'})`, ['SELECT name FROM things WHERE name = $1', ['a']]])
        assert.deepEqual(rows, [[], [{ name: 'a' }]])
        const failing = db.batch([sql`INSERT INTO things (name) VALUES (${'b'})`, sql`INSERT INTO things (name) VALUES (${'a'})`])
        await assert.rejects(failing, failsWith('unique_violation'))
        assert.deepEqual(await names(), ['a'])
      })

      test('with iterations', async () => {
        await empty()
        await db.run("INSERT INTO things (name) VALUES ('a'), ('b')")
        const seen: unknown[] = []
        for await (const { name } of db.iterate('SELECT name FROM things ORDER BY name')) seen.push(name)
        assert.deepEqual(seen, ['a', 'b'])
      })
    })
  })
}
