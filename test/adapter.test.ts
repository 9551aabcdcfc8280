/** The contract of a driver, on duolect's own and on a third one, which is written here by hand. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import Native from 'better-sqlite3'
import pg from 'pg'
import { readSettings, type Settings } from '../src/config.ts'
import { openPostgres } from '../src/drivers/postgres/driver.ts'
import { openSqlite } from '../src/drivers/sqlite/driver.ts'
import {
  type Adapter,
  type BoundStatement,
  createDatabaseFrom,
  createKeyValueStore,
  DatabaseError,
  type ErrorCode,
  type Row,
  type RunResult,
  type Session,
  saveUser
} from '../src/index.ts'
import { describeAdapter } from './support/conformance.ts'
import { failsWith } from './support/databases.ts'

const CODES: readonly [RegExp, ErrorCode][] = [
  [/UNIQUE/, 'unique_violation'],
  [/no such table/, 'undefined_table'],
  [/syntax error/, 'syntax_error']
]

/** A SQLite database in memory. One call runs at a time; a transaction has the database until it ends. */
class MemoryAdapter implements Adapter {
  readonly dialect = 'sqlite'
  readonly isInProcess = true
  /** The statements that were run. */
  readonly asked: string[] = []
  readonly #native = new Native(':memory:')
  #last: Promise<unknown> = Promise.resolve()

  query(statement: BoundStatement): Promise<Row[]> {
    return this.#inTurn(() => this.#rows(statement))
  }

  execute(statement: BoundStatement): Promise<RunResult> {
    return this.#inTurn(() => this.#changes(statement))
  }

  async *stream(statement: BoundStatement): AsyncGenerator<Row[], void, undefined> {
    yield await this.query(statement)
  }

  script(text: string): Promise<void> {
    return this.#inTurn(() => {
      this.#run('BEGIN')
      try {
        this.#run(`${text}; COMMIT`)
      } finally {
        if (this.#native.inTransaction) this.#run('ROLLBACK')
      }
    })
  }

  async begin(): Promise<Session> {
    let end: () => void = () => undefined
    await new Promise<void>((resolve, reject) => {
      // The next call waits until the transaction has ended.
      void this.#inTurn(async () => {
        this.#run('BEGIN')
        resolve()
        await new Promise<void>(ended => (end = ended))
      }).catch(reject)
    })
    const finish = async (text: string) => {
      if (this.#native.inTransaction) this.#run(text)
      end()
    }
    return {
      query: async statement => this.#rows(statement),
      execute: async statement => this.#changes(statement),
      stream: statement => [this.#rows(statement)] as unknown as AsyncIterable<Row[]>,
      script: async text => this.#run(text),
      commit: () => finish('COMMIT'),
      rollback: () => finish('ROLLBACK')
    }
  }

  async close(): Promise<void> {
    this.#native.close()
  }

  #inTurn<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => undefined)
    return result
  }

  #rows({ text, values }: BoundStatement): Row[] {
    return this.#attempt(() => {
      this.asked.push(text)
      const statement = this.#native.prepare(text)
      if (statement.reader) return statement.all(...values) as Row[]
      statement.run(...values)
      return []
    })
  }

  #changes({ text, values }: BoundStatement): RunResult {
    return this.#attempt(() => ({ changes: this.#native.prepare(text).run(...values).changes }))
  }

  #run(text: string): void {
    this.#attempt(() => this.#native.exec(text))
  }

  #attempt<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      const { message } = error as Error
      throw new DatabaseError(CODES.find(([pattern]) => pattern.test(message))?.[1] ?? 'unclassified', message, { cause: error })
    }
  }
}

describeAdapter('of a third party', async () => new MemoryAdapter())

describe('duolect’s own adapters', () => {
  const directory = mkdtempSync(join(tmpdir(), 'duolect-adapter-'))
  const schema = `adapter_${process.pid}`
  const url = process.env.TEST_PG_URL as string

  async function onServer(text: string): Promise<void> {
    const client = new pg.Client(url)
    await client.connect()
    await client.query(text)
    await client.end()
  }

  after(async () => {
    rmSync(directory, { recursive: true })
    await onServer(`DROP SCHEMA ${schema} CASCADE`)
  })

  describeAdapter('for SQLite', () => openSqlite(readSettings(join(directory, 'db.sqlite'), {}) as Settings & { dialect: 'sqlite' }))

  describeAdapter('for SQLite in memory', () => openSqlite(readSettings(':memory:', {}) as Settings & { dialect: 'sqlite' }))

  describeAdapter('for Postgres', async () => {
    await onServer(`CREATE SCHEMA ${schema}`)
    const own = `${url}${url.includes('?') ? '&' : '?'}options=-c%20search_path%3D${schema}`
    return openPostgres(readSettings(own, {}) as Settings & { dialect: 'postgres' })
  })
})

test('An adapter whose first use fails is used again, and closed once', async () => {
  const calls: string[] = []
  const adapter = new MemoryAdapter()
  const { query, close } = adapter
  adapter.query = statement => {
    calls.push('query')
    return calls.length === 1 ? Promise.reject(new Error('not yet')) : query.call(adapter, statement)
  }
  adapter.close = () => {
    calls.push('close')
    return close.call(adapter)
  }
  const db = createDatabaseFrom(adapter)
  await assert.rejects(db.get(), failsWith('unclassified', /not yet/))
  assert.equal(await db.get(), db)
  await db.close()
  await db.close()
  assert.equal(calls.filter(call => call === 'close').length, 1)
})

describe('A store and a user on an adapter alone', () => {
  async function withTables(): Promise<MemoryAdapter> {
    const adapter = new MemoryAdapter()
    await adapter.script('CREATE TABLE kvs (key TEXT PRIMARY KEY, value TEXT, modified_on TIMESTAMP)')
    await adapter.script(
      'CREATE TABLE users (id TEXT PRIMARY KEY, "userId" TEXT, platform TEXT, gender TEXT, timezone REAL, picture_url TEXT, ' +
        'first_name TEXT, last_name TEXT, locale TEXT, created_on TIMESTAMP)'
    )
    return adapter
  }

  test('work without a database', async () => {
    const adapter = await withTables()
    const kvs = createKeyValueStore(adapter)
    await kvs.set('key', 5, 'b.1')
    assert.deepEqual(await kvs.get('key'), { b: [null, 5] })
    assert.equal((await saveUser(adapter, { id: '1', platform: 'slack', first_name: 'Sylvain' })).first_name, 'Sylvain')
    await adapter.close()
  })

  test('ask once for the reads of one turn', async () => {
    const adapter = await withTables()
    const kvs = createKeyValueStore(Object.assign(adapter, { isInProcess: false }))
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
