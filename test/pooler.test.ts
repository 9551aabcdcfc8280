/** Postgres through PgBouncer in transaction mode, where the next statement may meet another session. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { after, afterEach, before, describe, test } from 'node:test'
import { type Pooler, startPgBouncer } from '../scripts/pgbouncer.ts'
import { createDatabase, type Database, type DatabaseConfig, DatabaseError, type Handle, sql } from '../src/index.ts'
import { DatabaseServer } from '../src/tools/servers/databases.ts'
import { startPostgres } from '../src/tools/servers/postgres.ts'
import { commandLine } from './support/command-line.ts'
import { failsWith } from './support/databases.ts'
import { finished } from './support/processes.ts'

const WORKERS = 20
const ROUNDS = 5

const serverUrl = process.env.TEST_PG_URL as string
const server = new DatabaseServer(serverUrl)
// Startup options would choose a schema, but a pooler refuses them; so here it is a database.
const own = await server.create(`pooler_${process.pid}`)
const databases: Database[] = []
let pooler: Pooler
const { project, start } = commandLine()

before(async () => {
  pooler = await startPgBouncer(own.url)
})

after(async () => {
  await pooler.stop()
  await own.drop()
  await server.close()
})

afterEach(async () => {
  await Promise.all(databases.splice(0).map(db => db.close()))
})

function open(settings: DatabaseConfig['postgres'] = {}): Database {
  const db = createDatabase({ postgres: { enabled: true, connection: pooler.url, ...settings } })
  databases.push(db)
  return db
}

describe('Through PgBouncer with a pool of 3', () => {
  test(`the first start of 8 processes' worth of handles at once makes the tables`, async () => {
    const starts = Array.from({ length: 8 }, () => open({ pooler: true }))
    await Promise.all(starts.map(db => db.get()))
    assert.deepEqual(await starts[0]?.all('SELECT key FROM kvs'), [])
  })

  test('migrations of 8 handles at once run once each', async () => {
    const script = 'CREATE TABLE migrated (id INTEGER)'
    const migrations = [
      { name: '0001', sqlite: script, postgres: script },
      { name: '0002', step: (tx: Handle) => tx.run('INSERT INTO migrated VALUES (1)') }
    ]
    const starts = Array.from({ length: 8 }, () => open({ pooler: true }))
    const ran = await Promise.all(starts.map(db => db.migrate('pooled', migrations)))
    assert.deepEqual(ran.flat().sort(), ['0001', '0002'])
    assert.deepEqual(await starts[0]?.all('SELECT id FROM migrated'), [{ id: 1 }])
  })

  test('six processes of "npx duolect migrate" at once run each migration once', async () => {
    const folder = project('pooled', {
      'sql/migrations/0001-tables.sql': 'CREATE TABLE commanded (id BIGINT NOT NULL);',
      'sql/migrations/0002-first.sql': 'INSERT INTO commanded VALUES (1);'
    })
    const parameters = ['migrate', '--name', 'commanded', '--database', `${pooler.url}?pgbouncer=true`]
    const ended = await Promise.all(Array.from({ length: 6 }, () => finished(start(folder, parameters))))
    for (const { status, output } of ended) assert.equal(status, 0, output)
    const lines = ended.flatMap(({ output }) => output.split('\n'))
    assert.deepEqual(lines.filter(line => line.includes(': ran ')).sort(), ['commanded: ran 0001-tables', 'commanded: ran 0002-first'])
    assert.deepEqual(await open({ pooler: true }).all('SELECT id FROM commanded'), [{ id: 1 }])
  })

  test(`2000 operations of ${WORKERS} workers give right results and no error`, async () => {
    const db = open({ pooler: true, maxConnections: WORKERS })
    await db.exec('CREATE TABLE pooled (id INTEGER PRIMARY KEY, worker INTEGER NOT NULL, at TIMESTAMPTZ, data JSONB)')
    let operations = 0
    /** Counts an operation, and checks its result. */
    const expect = async (work: Promise<unknown>, wanted: unknown) => {
      operations++
      assert.deepEqual(await work, wanted)
    }
    const collect = async <T>(rows: AsyncIterable<T>) => {
      const all: T[] = []
      for await (const row of rows) all.push(row)
      return all
    }

    /** Twenty operations, each with a result that no other worker has. */
    async function round(worker: number, id: number): Promise<void> {
      const key = `worker/${worker}`
      const at = new Date(1_700_000_000_000 + id)
      await expect(db.run(sql`INSERT INTO pooled VALUES (${id}, ${worker}, ${at}, ${{ id }})`), { changes: 1 })
      await expect(db.one('SELECT worker, at, data FROM pooled WHERE id = $1', [id]), { worker, at, data: { id } })
      await expect(db.maybeOne('SELECT id FROM pooled WHERE id = :id', { id: -id }), undefined)
      await expect(db.all('SELECT id FROM pooled WHERE worker = $1 AND id >= $2', [worker, id]), [{ id }])
      await expect(db.exec(`SET LOCAL search_path = public; UPDATE pooled SET at = NULL WHERE id = ${id}`), undefined)
      await expect(
        db.transaction(async tx => {
          await tx.run('UPDATE pooled SET at = $1 WHERE id = $2', [at, id])
          const undone = tx.transaction(async inner => {
            await inner.run('DELETE FROM pooled WHERE id = $1', [id])
            throw new Error('undone')
          })
          await assert.rejects(undone, /undone/)
          await tx.transaction(inner => inner.run("UPDATE pooled SET data = '[1]' WHERE id = $1", [id]))
          return tx.one('SELECT at, data FROM pooled WHERE id = $1', [id])
        }),
        { at, data: [1] }
      )
      await expect(
        db
          .transaction(tx => tx.run("UPDATE pooled SET data = '[2]' WHERE id = $1", [id]).then(() => Promise.reject(new Error('no'))))
          .catch(({ message }) => message),
        'no'
      )
      await expect(
        db.transaction(tx => tx.one('SELECT data FROM pooled WHERE id = $1', [id]), {
          isolation: 'serializable',
          readOnly: true,
          retries: 3
        }),
        { data: [1] }
      )
      await expect(
        collect(db.iterate('SELECT n FROM generate_series(1, $1) n', [250])).then(rows => rows.length),
        250
      )
      await expect(collect(db.iterate('SELECT id FROM pooled WHERE id = $1', [id])), [{ id }])
      await expect(db.kvs.set(key, { id, list: [1, 2] }), undefined)
      await expect(db.kvs.set(key, id, 'deep.er'), undefined)
      await expect(db.kvs.get(key), { id, list: [1, 2], deep: { er: id } })
      await expect(db.kvs.has(key, 'deep.er'), true)
      await expect(db.kvs.delete(key, 'list[0]'), true)
      await expect(
        db.kvs.update<{ id: number }>(key, value => ({ id: (value?.id ?? 0) + 1 })),
        { id: id + 1 }
      )
      await expect(
        db.kvs.setMany([
          [`${key}/b`, id],
          [`${key}/a`, id]
        ]),
        undefined
      )
      await expect(
        db.kvs.getMany([`${key}/a`, `${key}/b`]).then(found => [...found.values()]),
        [id, id]
      )
      await expect(
        collect(db.kvs.list({ prefix: `${key}/` })).then(entries => entries.map(entry => entry.key)),
        [`${key}/a`, `${key}/b`]
      )
      await expect(
        db
          .transaction(async tx => {
            await tx.kvs.set(`${key}/b`, null)
            return tx.saveUser({ id: worker, platform: 'pooled', first_name: String(id) })
          })
          .then(user => user.first_name),
        String(id)
      )
    }

    await Promise.all(
      Array.from({ length: WORKERS }, async (_, worker) => {
        for (let i = 0; i < ROUNDS; i++) await round(worker, 1 + worker * ROUNDS + i)
      })
    )
    assert.equal(operations, 2000)
    assert.deepEqual(await db.one('SELECT count(*) AS count FROM pooled'), { count: WORKERS * ROUNDS })
    assert.deepEqual(await db.one("SELECT count(*) AS count FROM users WHERE platform = 'pooled'"), { count: WORKERS })
    const [sessions] = await server.query(`SELECT count(*) FROM pg_stat_activity WHERE datname = '${own.name}'`)
    assert.ok(Number(sessions?.count) <= 3, `${sessions?.count} sessions on the server`)
  })

  test('path sets of 20 workers on one key lose nothing', async () => {
    const handles = Array.from({ length: 4 }, () => open({ pooler: true }))
    await handles[0]?.kvs.delete('shared')
    await Promise.all(
      Array.from({ length: WORKERS }, async (_, worker) => {
        for (let i = 0; i < 5; i++) await handles[worker % 4]?.kvs.set('shared', i, `w${worker}.n${i}`)
      })
    )
    const stored = await handles[0]?.kvs.get<Record<string, object>>('shared')
    assert.equal(
      Object.values(stored ?? {}).reduce((sum, one) => sum + Object.keys(one).length, 0),
      WORKERS * 5
    )
  })

  test('a transaction has its limits, and the next user of the session does not', async () => {
    const db = createDatabase({
      postgres: { enabled: true, connection: pooler.url, pooler: true, maxConnections: 1 },
      timeouts: { query: 4321, lock: 1234 }
    })
    databases.push(db)
    const limits = "SELECT current_setting('statement_timeout') AS query, current_setting('lock_timeout') AS lock"
    assert.deepEqual(await db.transaction(tx => tx.one(limits)), { query: '4321ms', lock: '1234ms' })
    assert.deepEqual(
      await Promise.all(Array.from({ length: 6 }, () => open({ pooler: true }).one(limits))),
      Array(6).fill({ query: '0', lock: '0' })
    )
  })
})

describe('Without "pooler", PgBouncer', () => {
  test('refuses the startup options, and the error says what to set', async () => {
    await assert.rejects(open().all('SELECT 1'), failsWith('connection_failure', /options.*set "postgres\.pooler" to true/s))
  })

  test('that ignores startup options refuses named statements, and the error says what to set', async () => {
    const lenient = await startPgBouncer(serverUrl, ['ignore_startup_parameters = options'])
    try {
      const handles = Array.from({ length: 4 }, () => open({ connection: lenient.url, maxConnections: 5 }))
      const calls = Array.from({ length: 40 }, (_, i) => handles[i % 4]?.all(`SELECT ${i % 3} AS n`))
      const failures = (await Promise.allSettled(calls)).filter(call => call.status === 'rejected')
      assert.ok(failures.length > 0)
      for (const { reason } of failures) assert.match(String(reason), /set "postgres\.pooler" to true/)
    } finally {
      await lenient.stop()
    }
  })

  for (const [service, code, message] of [
    ['RDS Proxy', '0A000', "RDS Proxy currently doesn't support command-line options."],
    ['Supabase', '22023', 'unsupported startup option: lock_timeout']
  ] as const) {
    test(`or ${service}, in words of its own, does too`, async t => {
      const fields = ['SFATAL', `C${code}`, `M${message}`].map(field => `${field}\0`).join('')
      const refusal = Buffer.from(`E\0\0\0\0${fields}\0`)
      refusal.writeInt32BE(refusal.length - 1, 1)
      const server = createServer(socket => socket.once('data', () => socket.end(refusal)))
      await once(server.listen(0, '127.0.0.1'), 'listening')
      t.after(() => server.close())
      const { port } = server.address() as AddressInfo
      await assert.rejects(
        open({ connection: `postgres://user@127.0.0.1:${port}/db` }).all('SELECT 1'),
        (error: Error) => error.message.includes(message.replace(/\.$/, '')) && /set "postgres\.pooler" to true/.test(error.message)
      )
    })
  }

  test('refuses them with "pooler" too where the URL asks for options, and names them', async () => {
    await assert.rejects(
      open({ pooler: true, connection: `${pooler.url}?options=-c%20search_path%3Dpublic` }).all('SELECT 1'),
      failsWith('connection_failure', /options.*take "options" out of the URL/i)
    )
  })
})

describe('What PgBouncer refuses without a server connection can be repeated:', () => {
  const writes: readonly ((db: Database) => Promise<unknown>)[] = [
    db => db.run('INSERT INTO marks VALUES (1)'),
    db => db.exec('INSERT INTO marks VALUES (1)'),
    db => db.transaction(tx => tx.run('INSERT INTO marks VALUES (1)')),
    db => db.kvs.set('a', 1),
    db => db.kvs.update('a', () => 1)
  ]

  /** A matcher: nothing was sent, and the advice is not what is set already. */
  function isRefusal(reason: string, advice: RegExp): (error: DatabaseError) => boolean {
    return error => {
      assert.ok(error instanceof DatabaseError)
      assert.deepEqual([error.code, error.isRetryable], ['connection_failure', true], error.message)
      assert.ok(error.message.includes(reason), error.message)
      assert.match(error.message, advice)
      assert.doesNotMatch(error.message, /postgres\.pooler/)
      return true
    }
  }

  test('each write while the server is down', async t => {
    const server = await startPostgres()
    // The first to ask waits for the server, and is told after this time.
    const own = await startPgBouncer(server.url, ['query_wait_timeout = 1', 'server_login_retry = 30'])
    t.after(() => own.stop())
    const db = open({ pooler: true, connection: own.url })
    await db.exec('CREATE TABLE marks (n INTEGER)')
    await server.stop()
    await assert.rejects(db.all('SELECT 1'), isRefusal('', /./))
    for (const write of writes) await assert.rejects(write(db), isRefusal('server login has been failing', /server behind it is down/))
  })

  test('each write while all its server connections are in use', async t => {
    const own = await startPgBouncer(serverUrl, ['default_pool_size = 1', 'query_wait_timeout = 1'])
    t.after(() => own.stop())
    const [holder, db] = [open({ pooler: true, connection: own.url }), open({ pooler: true, connection: own.url })]
    await db.exec('DROP TABLE IF EXISTS marks; CREATE TABLE marks (n INTEGER)')
    await holder.transaction(async tx => {
      await tx.all('SELECT 1')
      const refused = writes.map(write => assert.rejects(write(db), isRefusal('query_wait_timeout', /default_pool_size/)))
      await Promise.all(refused)
    })
    assert.deepEqual(await db.all('SELECT n FROM marks'), [])
  })

  test('but not a write that was sent', async t => {
    const own = await startPgBouncer(serverUrl, ['query_timeout = 1'])
    t.after(() => own.stop())
    const db = open({ pooler: true, connection: own.url })
    await assert.rejects(db.run('SELECT pg_sleep(10)'), failsWith('commit_unknown'))
  })

  test('a connection beyond max_client_conn', async t => {
    const own = await startPgBouncer(serverUrl, ['max_client_conn = 1'])
    t.after(() => own.stop())
    const db = open({ pooler: true, connection: own.url })
    await db.transaction(async tx => {
      await tx.all('SELECT 1')
      await assert.rejects(
        open({ pooler: true, connection: own.url }).run('SELECT 1'),
        isRefusal('no more connections allowed', /"postgres\.maxConnections"/)
      )
    })
  })
})
