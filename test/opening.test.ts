import assert from 'node:assert/strict'
import { type ChildProcess, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, test } from 'node:test'
import Native from 'better-sqlite3'
import pg from 'pg'
import { createDatabase, type Handle } from '../src/index.ts'
import { bundle } from './support/bundle.ts'
import { failsWith, onEachDatabase, onEachSharedDatabase } from './support/databases.ts'
import { start } from './support/processes.ts'

const PROCESSES = 8
const ROUNDS = 20

onEachDatabase('Opening', database => {
  test('happens once, however many wait for it', async () => {
    const db = database.closeAfterTest(createDatabase(await database.config()))
    const handles = await Promise.all(Array.from({ length: 100 }, () => db.get()))
    assert.equal(new Set(handles).size, 1)
    assert.equal(await db.get(), handles[0])
  })

  test('happens on first use of whatever is used first', async () => {
    for (const use of ['all', 'kvs', 'saveUser', 'transaction', 'iterate', 'exec'] as const) {
      const db = database.closeAfterTest(createDatabase(await database.config()))
      if (use === 'all') assert.deepEqual(await db.all('SELECT * FROM users'), [])
      if (use === 'kvs') assert.equal(await db.kvs.get('key'), null)
      if (use === 'saveUser') assert.equal((await db.saveUser({ id: '1', platform: 'slack' })).id, 'slack:1')
      if (use === 'transaction') assert.equal(await db.transaction(async tx => tx.dialect), database.dialect)
      if (use === 'iterate') for await (const _ of db.iterate('SELECT * FROM users')) assert.fail()
      if (use === 'exec') await db.exec('DELETE FROM users')
    }
  })

  test('close() before any use opens nothing, and a close() while opening waits', async () => {
    const unused = createDatabase(await database.config())
    await unused.close()
    await assert.rejects(unused.get(), failsWith('closed'))
    const opening = createDatabase(await database.config())
    const first = opening.all('SELECT 1 AS one')
    await opening.close()
    assert.deepEqual(await first, [{ one: 1 }])
  })

  test('un-awaited calls of the store before it is open take effect in order', async () => {
    const db = database.closeAfterTest(createDatabase(await database.config()))
    const calls = [db.kvs.set('key', { a: 1 }), db.kvs.set('key', 2, 'b'), db.kvs.get('key'), db.kvs.delete('key', 'a'), db.kvs.get('key')]
    const results = await Promise.all(calls)
    assert.deepEqual(results.slice(2), [{ a: 1, b: 2 }, true, { b: 2 }])
  })
})

/** One of the processes, which opens what it is told to. */
class Opener {
  readonly #child: ChildProcess = start('opener.ts', null)
  readonly #lines = createInterface(this.#child.stdout as NodeJS.ReadableStream)[Symbol.asyncIterator]()

  async next(): Promise<string> {
    return (await this.#lines.next()).value as string
  }

  open(config: unknown): Promise<string> {
    this.#child.stdin?.write(`${JSON.stringify(config)}\n`)
    return this.next()
  }

  end(): void {
    this.#child.stdin?.end()
  }
}

onEachSharedDatabase('A first start', database => {
  test(`of ${PROCESSES} processes at once succeeds in all of them, over ${ROUNDS} rounds`, async () => {
    const openers = Array.from({ length: PROCESSES }, () => new Opener())
    try {
      for (const opener of openers) assert.equal(await opener.next(), 'ready')
      for (let round = 0; round < ROUNDS; round++) {
        const config = await database.config()
        const answers = await Promise.all(openers.map(opener => opener.open(config)))
        assert.deepEqual(answers, Array(PROCESSES).fill('opened'))
        const db = createDatabase(config)
        assert.deepEqual(await db.one('SELECT count(*) AS count FROM kvs'), { count: PROCESSES })
        await db.close()
      }
    } finally {
      for (const opener of openers) opener.end()
    }
  })

  test('leaves tables that are there as they are', async () => {
    const config = await database.config()
    const first = await database.open(config)
    await first.kvs.set('key', 1)
    await first.exec('ALTER TABLE users ADD COLUMN nickname TEXT')
    await first.close()
    const second = await database.open(config)
    assert.equal(await second.kvs.get('key'), 1)
    assert.deepEqual(await second.all('SELECT nickname FROM users'), [])
  })
})

describe('A SQLite file that is only read', () => {
  function fresh(): string {
    return mkdtempSync(join(tmpdir(), 'duolect-test-'))
  }

  async function withFile(folder: string): Promise<string> {
    const location = join(folder, 'db.sqlite')
    const db = createDatabase(location)
    await db.exec("CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('one'), ('two')")
    await db.kvs.set('key', 1)
    await db.kvs.set('object', {})
    await db.close()
    return location
  }

  test('is read by every call, and every write is read_only', async () => {
    const folder = fresh()
    const location = await withFile(folder)
    const db = createDatabase({ sqlite: { location, readOnly: true } })
    assert.equal(await db.kvs.get('key'), 1)
    assert.deepEqual(await db.all('SELECT text FROM notes ORDER BY text'), [{ text: 'one' }, { text: 'two' }])
    const seen: unknown[] = []
    for await (const { text } of db.iterate('SELECT text FROM notes ORDER BY text')) seen.push(text)
    assert.deepEqual(seen, ['one', 'two'])
    assert.deepEqual(await db.batch(['SELECT 1 AS a', 'SELECT count(*) AS n FROM notes']), [[{ a: 1 }], [{ n: 2 }]])
    assert.deepEqual(await db.transaction(tx => tx.one('SELECT count(*) AS n FROM notes')), { n: 2 })
    for (const write of [
      () => db.run("INSERT INTO notes VALUES ('three')"),
      () => db.exec('DROP TABLE notes'),
      () => db.exec("INSERT INTO notes VALUES ('three'); INSERT INTO notes VALUES ('four')"),
      () => db.kvs.set('key', 2),
      () => db.kvs.set('object', 2, 'a'),
      () => db.saveUser({ id: '1', platform: 'slack' }),
      () => db.batch(["INSERT INTO notes VALUES ('three')"]),
      () => db.transaction(tx => tx.run('DELETE FROM notes'))
    ]) {
      await assert.rejects(write, failsWith('read_only'))
    }
    await Promise.all(
      [db.run('DELETE FROM notes'), db.run('DELETE FROM notes')].map(write => assert.rejects(write, failsWith('read_only')))
    )
    assert.deepEqual(await db.one('SELECT count(*) AS n FROM notes'), { n: 2 })
    await db.close()
    rmSync(folder, { recursive: true })
  })

  test('sees what another handle commits meanwhile', async () => {
    const folder = fresh()
    const location = await withFile(folder)
    const writer = createDatabase(location)
    await writer.get()
    const reader = createDatabase({ sqlite: { location, readOnly: true } })
    assert.equal(await reader.kvs.get('key'), 1)
    await writer.kvs.set('key', 2)
    assert.equal(await reader.kvs.get('key'), 2)
    await Promise.all([writer.close(), reader.close()])
    rmSync(folder, { recursive: true })
  })

  test('that is not there is an error, and is not created', async () => {
    const folder = fresh()
    const location = join(folder, 'sub', 'db.sqlite')
    await assert.rejects(createDatabase({ sqlite: { location, readOnly: true } }).get(), failsWith('connection_failure', /db\.sqlite/))
    assert.deepEqual(readdirSync(folder), [])
    rmSync(folder, { recursive: true })
  })

  test('without duolect’s tables is read all the same', async () => {
    const folder = fresh()
    const location = join(folder, 'other.sqlite')
    const native = new Native(location)
    native.exec('CREATE TABLE notes (text TEXT)')
    native.close()
    const db = createDatabase({ sqlite: { location, readOnly: true } })
    assert.deepEqual(await db.all('SELECT text FROM notes'), [])
    await assert.rejects(db.kvs.get('key'), failsWith('undefined_table'))
    await db.close()
    rmSync(folder, { recursive: true })
  })

  test('may stand in a folder that may not be written', async () => {
    const folder = fresh()
    const location = await withFile(folder)
    chmodSync(location, 0o444)
    chmodSync(folder, 0o555)
    // A superuser may write everywhere, so the program gives that up.
    const program = `
      import 'better-sqlite3'
      import { createDatabase } from ${JSON.stringify(join(import.meta.dirname, '..', 'src', 'index.ts'))}
      const db = createDatabase({ sqlite: { location: ${JSON.stringify(location)}, readOnly: true } })
      const loaded = createDatabase(':memory:')
      await loaded.get()
      if (process.getuid() === 0) {
        process.setgid(65534)
        process.setuid(65534)
      }
      const rows = []
      for await (const { text } of db.iterate('SELECT text FROM notes ORDER BY text')) rows.push(text)
      const write = await db.run('DELETE FROM notes').catch(({ code }) => code)
      console.log(JSON.stringify([rows, await db.kvs.get('key'), await db.all('SELECT count(*) AS n FROM notes'), write]))
      await db.close()`
    const scripts = join(import.meta.dirname, '..', 'node_modules', '.cache')
    mkdirSync(scripts, { recursive: true })
    const source = join(mkdtempSync(join(scripts, 'duolect-')), 'main.mts')
    const file = source.replace('.mts', '.mjs')
    writeFileSync(source, program)
    // In one file, as the other user may not be allowed to look into the folder of the project.
    await bundle(source, file)
    const { status, stdout, stderr } = spawnSync(process.execPath, [file], { encoding: 'utf8' })
    rmSync(dirname(file), { recursive: true })
    assert.equal(status, 0, stderr)
    assert.deepEqual(JSON.parse(stdout), [['one', 'two'], 1, [{ n: 2 }], 'read_only'])
    chmodSync(folder, 0o755)
    rmSync(folder, { recursive: true })
  })
})

test('PRAGMAs of the configuration hold on every connection', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'duolect-test-'))
  const db = createDatabase({ sqlite: { location: join(folder, 'db.sqlite'), pragmas: { cache_size: -1234, recursive_triggers: true } } })
  const settings = async (on: Handle) => [await on.one('PRAGMA cache_size'), await on.one('PRAGMA recursive_triggers')]
  const expected = [{ cache_size: -1234 }, { recursive_triggers: 1 }]
  assert.deepEqual(await settings(db), expected)
  await db.transaction(async tx => {
    assert.deepEqual(await settings(tx), expected)
  })
  await db.transaction(
    async tx => {
      assert.deepEqual(await settings(tx), expected)
    },
    { readOnly: true }
  )
  const iterated: unknown[] = []
  for await (const row of db.iterate('PRAGMA cache_size')) iterated.push(row)
  assert.deepEqual(iterated, [{ cache_size: -1234 }])
  assert.deepEqual(await db.one('PRAGMA foreign_keys'), { foreign_keys: 1 })
  await db.close()
  rmSync(folder, { recursive: true })
})

describe('A failed opening', () => {
  test('of a directory that cannot be made says which, and the next use works when the cause is gone', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'duolect-test-'))
    const obstacle = join(directory, 'data')
    writeFileSync(obstacle, 'a file, no directory')
    const db = createDatabase({ dataDir: obstacle, postgres: { enabled: false } })
    await assert.rejects(db.get(), failsWith('connection_failure', /Cannot open the SQLite database .*db\.sqlite.*dataDir/))
    await assert.rejects(db.kvs.set('key', 1), failsWith('connection_failure'))
    rmSync(obstacle)
    await db.kvs.set('key', 1)
    assert.equal(await db.kvs.get('key'), 1)
    await db.close()
    assert.ok(existsSync(join(obstacle, 'db.sqlite')))
    rmSync(directory, { recursive: true })
  })

  test('of a file that is no database says so, and leaves it as it is', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'duolect-test-'))
    const location = join(directory, 'notes.txt')
    writeFileSync(location, 'These are my notes, and they are longer than a header of SQLite is. '.repeat(20))
    const db = createDatabase(location)
    await assert.rejects(db.get(), failsWith('data_corrupted', /notes\.txt/))
    rmSync(directory, { recursive: true })
  })

  test('of an unreachable server says which, and the next use works when it is there', async () => {
    const target = new URL(process.env.TEST_PG_URL as string)
    const port = await unusedPort()
    const db = createDatabase(`postgres://${target.username}:secret-word@127.0.0.1:${port}${target.pathname}`)
    await assert.rejects(db.get(), error => {
      failsWith('connection_failure', /Cannot connect to postgres:\/\/\w+@127\.0\.0\.1:\d+\/.*ECONNREFUSED.*that the server runs/)(error)
      assert.doesNotMatch(String((error as Error).stack), /secret-word/)
      return true
    })
    const { createConnection } = await import('node:net')
    const proxy = createServer(socket => {
      const upstream = createConnection(Number(target.port), target.hostname)
      socket.pipe(upstream).pipe(socket)
      socket.on('error', () => upstream.destroy())
      upstream.on('error', () => socket.destroy())
    })
    await new Promise<void>(resolve => proxy.listen(port, '127.0.0.1', resolve))
    assert.deepEqual(await db.all('SELECT 1 AS one'), [{ one: 1 }])
    await db.close()
    proxy.close()
  })

  test('of a server that never answers ends after the limit', async () => {
    const silent = createServer(() => undefined)
    await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as { port: number }
    const db = createDatabase({ postgres: { enabled: true, connection: `postgres://me@127.0.0.1:${port}/db` }, timeouts: { connect: 100 } })
    await assert.rejects(db.get(), failsWith('connection_failure', /timeouts\.connect/))
    silent.close()
  })

  test('for a database, or a user, that is not there has a code of its own', async () => {
    const target = new URL(process.env.TEST_PG_URL as string)
    target.pathname = '/no_such_database'
    await assert.rejects(createDatabase(target.href).get(), failsWith('undefined_database', /Create the database/))
    const admin = new pg.Client({ connectionString: process.env.TEST_PG_URL as string })
    await admin.connect()
    await admin.end()
    target.username = 'no_such_user'
    await assert.rejects(createDatabase(target.href).get(), failsWith('invalid_authorization', /Check the user/))
  })
})

async function unusedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}
