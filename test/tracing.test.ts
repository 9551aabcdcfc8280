/** The tracing channel `duolect:query`: what subscribers are told of statements, and what not. */
import assert from 'node:assert/strict'
import { tracingChannel } from 'node:diagnostics_channel'
import { afterEach, test } from 'node:test'
import { inspect } from 'node:util'
import { type Database, DatabaseError, type QueryTrace, sql } from '../src/index.ts'
import { failsWith, onEachDatabase } from './support/databases.ts'

const CANARY = 'canary-4711'

type Listeners = Parameters<ReturnType<typeof tracingChannel<QueryTrace, QueryTrace>>['subscribe']>[0]

const channel = tracingChannel<QueryTrace, QueryTrace>('duolect:query')
const subscribed: Listeners[] = []

/** Notes what is told, in order, until the test ends. */
function listen(): { event: string; context: QueryTrace }[] {
  const told: { event: string; context: QueryTrace }[] = []
  const note = (event: string) => (context: object) => void told.push({ event, context: context as QueryTrace })
  const listeners = {
    start: note('start'),
    end: note('end'),
    asyncStart: note('asyncStart'),
    asyncEnd: note('asyncEnd'),
    error: note('error')
  }
  channel.subscribe(listeners)
  subscribed.push(listeners)
  return told
}

function unlisten(): void {
  for (const listeners of subscribed.splice(0)) channel.unsubscribe(listeners)
}

afterEach(unlisten)

/** The statements that ended while the work was done. */
async function tracesOf(work: () => Promise<unknown>): Promise<QueryTrace[]> {
  const told = listen()
  await work().catch(() => undefined)
  unlisten()
  return told.filter(({ event }) => event === 'asyncEnd').map(({ context }) => context)
}

async function withTable(db: Database): Promise<Database> {
  await db.exec('CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)')
  await db.run("INSERT INTO things VALUES (1, 'one'), (2, 'two'), (3, 'three')")
  return db
}

onEachDatabase('Tracing', database => {
  test('tells the statement, the dialect, how long it took and how many rows came', async () => {
    const db = await withTable(await database.open())
    const [trace, ...others] = await tracesOf(() => db.all('SELECT id FROM things'))
    assert.deepEqual(others, [])
    assert.deepEqual([trace?.sql, trace?.dialect, trace?.rows, trace?.error], ['SELECT id FROM things', database.dialect, 3, undefined])
    assert.ok(trace?.duration !== undefined && trace.duration >= 0 && trace.duration < 5_000)
  })

  test('tells nothing else', async () => {
    const db = await withTable(await database.open())
    const traces = await tracesOf(async () => {
      await db.all('SELECT id FROM things')
      await db.run('UPDATE things SET name = $1', ['x'])
      await db.all('SELECT missing FROM things')
    })
    const allowed = ['dialect', 'sql', 'duration', 'rows', 'error']
    for (const trace of traces) {
      const others = Object.entries(trace).filter(([name, value]) => value !== undefined && !allowed.includes(name))
      assert.deepEqual(others, [])
    }
    assert.equal(traces.length, 3)
  })

  test('tells start before and asyncEnd after, once each, about one context', async () => {
    const db = await withTable(await database.open())
    const told = listen()
    await db.all('SELECT id FROM things')
    assert.deepEqual(
      told.map(({ event }) => event),
      ['start', 'end', 'asyncStart', 'asyncEnd']
    )
    assert.equal(new Set(told.map(({ context }) => context)).size, 1)
  })

  test('measures the time until the answer', async () => {
    const db = await database.open()
    const slow =
      database.dialect === 'postgres'
        ? 'SELECT pg_sleep(0.1)::TEXT'
        : 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT max(i) FROM n'
    const began = performance.now()
    const [trace] = await tracesOf(() => db.all(slow))
    const took = performance.now() - began
    assert.ok(trace?.duration !== undefined && trace.duration > took / 3 && trace.duration <= took, `${trace?.duration} of ${took}`)
  })

  for (const [name, call, rows] of [
    ['all', (db: Database) => db.all(sql`SELECT id FROM things WHERE id > ${1}`), 2],
    ['one', (db: Database) => db.one(sql`SELECT id FROM things WHERE id = ${1}`), 1],
    ['maybeOne', (db: Database) => db.maybeOne(sql`SELECT id FROM things WHERE id = ${9}`), 0],
    ['run', (db: Database) => db.run(sql`DELETE FROM things WHERE id > ${1}`), undefined],
    ['exec', (db: Database) => db.exec('DELETE FROM things; DELETE FROM things'), undefined],
    ['a transaction', (db: Database) => db.transaction(tx => tx.all(sql`SELECT id FROM things WHERE id > ${1}`)), 2],
    ['a nested transaction', (db: Database) => db.transaction(tx => tx.transaction(inner => inner.all('SELECT id FROM things'))), 3]
  ] as const) {
    test(`works for ${name}`, async () => {
      const db = await withTable(await database.open())
      const traces = await tracesOf(() => call(db))
      assert.deepEqual(
        traces.map(trace => [/things/.test(trace.sql), trace.rows, trace.error]),
        [[true, rows, undefined]]
      )
    })
  }

  test('works for iterate, whose portions add up to its rows', async () => {
    const db = await database.open()
    const statement = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250) SELECT i FROM n'
    const traces = await tracesOf(async () => {
      for await (const row of db.iterate(statement)) assert.ok(row)
    })
    assert.ok(traces.every(trace => trace.sql === statement))
    assert.equal(
      traces.reduce((sum, { rows }) => sum + (rows ?? 0), 0),
      250
    )
  })

  test('works for the key-value store and for users', async () => {
    const db = await database.open()
    for (const [call, table] of [
      [() => db.kvs.set('key', 1), /kvs/],
      [() => db.kvs.set('key', { a: 1 }, 'b'), /kvs/],
      [() => db.kvs.get('key'), /kvs/],
      [() => db.kvs.delete('key'), /kvs/],
      [() => db.transaction(tx => tx.kvs.get('key')), /kvs/],
      [() => db.saveUser({ id: '1', platform: 'slack' }), /users/]
    ] as const) {
      const traces = await tracesOf(call)
      assert.ok(traces.length > 0)
      assert.ok(traces.every(trace => table.test(trace.sql) && trace.dialect === database.dialect))
    }
  })

  test('tells the error of a statement that failed, once, and the caller gets the same', async () => {
    const db = await withTable(await database.open())
    const told = listen()
    const failure: unknown = await db.run('INSERT INTO things VALUES (1, $1)', ['x']).catch(error => error)
    const errors = told.filter(({ event }) => event === 'error')
    assert.equal(errors.length, 1)
    assert.equal(errors[0]?.context.error, failure)
    assert.ok(failsWith('unique_violation')(failure))
    assert.ok(errors[0]?.context.duration !== undefined)
  })

  test('leaves errors and results as they are', async () => {
    const db = await withTable(await database.open())
    const plain = [await db.all('SELECT * FROM things'), await db.run('UPDATE things SET name = name')]
    listen()
    assert.deepEqual([await db.all('SELECT * FROM things'), await db.run('UPDATE things SET name = name')], plain)
    await assert.rejects(db.all('SELECT missing FROM things'), failsWith('undefined_column'))
  })

  test('tells no parameter and no value of a row', async () => {
    const db = await withTable(await database.open())
    const told = listen()
    await db.run('INSERT INTO things VALUES (4, $1)', [CANARY])
    await db.all(sql`SELECT name FROM things WHERE name = ${CANARY}`)
    await db.one('SELECT name FROM things WHERE name = :name', { name: CANARY })
    for await (const row of db.iterate('SELECT name FROM things WHERE name = $1', [CANARY])) assert.ok(row)
    await db.transaction(tx => tx.all('SELECT name FROM things WHERE name = $1', [CANARY]))
    await db.kvs.set('key', { [CANARY]: CANARY })
    await db.kvs.set('key', CANARY, 'a')
    await db.kvs.get('key')
    await db.kvs.update(CANARY, () => CANARY)
    await db.saveUser({ id: CANARY, platform: 'slack', first_name: CANARY })
    await assert.rejects(db.run('INSERT INTO things VALUES (4, $1)', [CANARY]), DatabaseError)
    await assert.rejects(db.one('SELECT name FROM things WHERE name <> $1', [CANARY]), DatabaseError)
    assert.ok(told.length > 40)
    for (const { context } of told) {
      assert.equal(inspect(context, { depth: 10 }).includes(CANARY), false, context.sql)
      assert.equal(JSON.stringify(context).includes(CANARY), false, context.sql)
    }
  })

  test('tells a listener to one event alone', async () => {
    const db = await withTable(await database.open())
    const ended: QueryTrace[] = []
    const listener = (context: unknown) => void ended.push(context as QueryTrace)
    channel.asyncEnd.subscribe(listener)
    await db.all('SELECT id FROM things')
    channel.asyncEnd.unsubscribe(listener)
    assert.deepEqual(
      ended.map(trace => trace.rows),
      [3]
    )
  })

  test('tells nothing any more after unsubscribing', async () => {
    const db = await withTable(await database.open())
    const told = listen()
    await db.all('SELECT id FROM things')
    const count = told.length
    unlisten()
    await db.all('SELECT id FROM things')
    await db.kvs.set('key', 1)
    assert.ok(count > 0)
    assert.equal(told.length, count)
  })

  test('has no subscriber of its own, so nothing is told when nobody listens', async () => {
    const db = await withTable(await database.open())
    await db.all('SELECT id FROM things')
    const { start, end, asyncStart, asyncEnd, error } = channel
    assert.deepEqual(
      [start, end, asyncStart, asyncEnd, error].map(part => part.hasSubscribers),
      [false, false, false, false, false]
    )
  })

  test('tells of statements that run at once apart', async () => {
    const db = await withTable(await database.open())
    const traces = await tracesOf(() => Promise.all([1, 2, 3].map(limit => db.all(`SELECT id FROM things LIMIT ${limit}`))))
    assert.deepEqual(
      traces.map(({ sql, rows }) => `${sql}: ${rows}`).sort(),
      [1, 2, 3].map(limit => `SELECT id FROM things LIMIT ${limit}: ${limit}`)
    )
  })
})
