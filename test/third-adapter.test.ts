/**
 * A third driver, written by hand in one file on the contract alone: it keeps a SQLite database in memory and
 * records what it is asked. The store and the users work on it as they are.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import Native from 'better-sqlite3'
import {
  type Adapter,
  createKeyValueStore,
  DatabaseError,
  type Query,
  type Queryable,
  type QueryParameters,
  type Row,
  type RunResult,
  saveUser
} from '../src/index.ts'

class RecordingAdapter implements Adapter {
  readonly dialect = 'sqlite'
  readonly asked: string[] = []
  readonly #native = new Native(':memory:')
  #last: Promise<unknown> = Promise.resolve()

  async all<T extends object = Row>(query: Query, parameters: QueryParameters = {}): Promise<T[]> {
    const text = String(query)
    this.asked.push(text.replace(/\s+/g, ' '))
    const values = Object.entries(parameters).map(([name, value]) => [name, this.#encode(value)])
    const statement = this.#native.prepare(text)
    if (statement.reader) return statement.all(Object.fromEntries(values)) as T[]
    statement.run(Object.fromEntries(values))
    return []
  }

  #encode(value: unknown): unknown {
    if (value instanceof Date) return value.toISOString()
    if (typeof value === 'boolean') return Number(value)
    return typeof value === 'object' && value !== null ? JSON.stringify(value) : value
  }

  async one<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T> {
    const [row, ...others] = await this.all<T>(query, parameters)
    if (row === undefined || others.length > 0) throw new DatabaseError(row ? 'too_many_rows' : 'no_data_found', 'one row')
    return row
  }

  async maybeOne<T extends object = Row>(query: Query, parameters?: QueryParameters): Promise<T | undefined> {
    return (await this.all<T>(query, parameters))[0]
  }

  async run(query: Query, parameters?: QueryParameters): Promise<RunResult> {
    await this.all(query, parameters)
    return { changes: 0 }
  }

  async *iterate<T extends object = Row>(query: Query, parameters?: QueryParameters): AsyncGenerator<T, void, undefined> {
    yield* await this.all<T>(query, parameters)
  }

  async exec(script: string): Promise<void> {
    this.#native.exec(script)
  }

  transaction<T>(body: (tx: Queryable) => T | PromiseLike<T>): Promise<T> {
    const result = this.#last.then(async () => {
      this.#native.exec('BEGIN')
      try {
        const value = await body(this)
        this.#native.exec('COMMIT')
        return value
      } catch (error) {
        this.#native.exec('ROLLBACK')
        throw error
      }
    })
    this.#last = result.catch(() => undefined)
    return result
  }

  async close(): Promise<void> {
    this.#native.close()
  }
}

async function withTables(): Promise<RecordingAdapter> {
  const adapter = new RecordingAdapter()
  await adapter.exec('CREATE TABLE kvs (key TEXT PRIMARY KEY, value TEXT, modified_on TIMESTAMP)')
  await adapter.exec(
    'CREATE TABLE users (id TEXT PRIMARY KEY, "userId" TEXT, platform TEXT, gender TEXT, timezone REAL, picture_url TEXT, ' +
      'first_name TEXT, last_name TEXT, locale TEXT, created_on TIMESTAMP)'
  )
  return adapter
}

describe('A third adapter', () => {
  test('carries the key-value store', async () => {
    const adapter = await withTables()
    const kvs = createKeyValueStore(adapter)
    await kvs.set('key', { a: 1 })
    await Promise.all([kvs.set('key', 5, 'b.5'), kvs.set('other', 'x'), kvs.update<number>('count', count => (count ?? 0) + 1)])
    assert.deepEqual(await kvs.get('key'), { a: 1, b: [null, null, null, null, null, 5] })
    assert.equal(await kvs.has('key', 'b[5]'), true)
    assert.equal(await kvs.delete('key', 'a'), true)
    assert.equal(await kvs.delete('other'), true)
    assert.deepEqual(
      [...(await kvs.getMany(['key', 'other', 'count']))],
      [
        ['key', { b: [null, null, null, null, null, 5] }],
        ['count', 1]
      ]
    )
    const keys: string[] = []
    for await (const { key } of kvs.list()) keys.push(key)
    assert.deepEqual(keys, ['count', 'key'])
    await adapter.close()
  })

  test('carries the users', async () => {
    const adapter = await withTables()
    await saveUser(adapter, { id: '1', platform: 'slack', first_name: 'Sylvain' })
    const user = await saveUser(adapter, { id: '1', platform: 'slack', last_name: 'Perron' })
    assert.equal(user.first_name, 'Sylvain')
    assert.equal(user.last_name, 'Perron')
    await adapter.close()
  })

  test('is asked once for the reads of one turn', async () => {
    const adapter = await withTables()
    const kvs = createKeyValueStore(adapter)
    await Promise.all(Array.from({ length: 50 }, (_, i) => kvs.set(`key ${i}`, i)))
    adapter.asked.length = 0
    const values = await Promise.all(Array.from({ length: 50 }, (_, i) => kvs.get(`key ${i}`)))
    assert.deepEqual(
      values,
      Array.from({ length: 50 }, (_, i) => i)
    )
    assert.equal(adapter.asked.length, 1)
    await adapter.close()
  })
})
