/** What functions need that are started anew, frozen and thawed: bundles, few connections, sockets that died meanwhile. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type BuildOptions, build } from 'esbuild'
import { buildPackage } from '../scripts/build.ts'
import { createDatabase, type Database, type DatabaseConfig } from '../src/index.ts'
import { failsWith } from './support/databases.ts'
import { finished } from './support/processes.ts'
import { Relay } from './support/relay.ts'

const root = join(import.meta.dirname, '..')
const url = process.env.TEST_PG_URL as string
const source = join(root, 'src', 'index.ts')

/** Longer than an unused connection is trusted. */
const IDLE = 5_200
/** How long the process is frozen. Freezes of a minute are tried by hand: DUOLECT_FREEZE_MS=60000. */
const FROZEN = Number(process.env.DUOLECT_FREEZE_MS ?? 8_000)

/** Opens nothing yet; it is closed after the test. */
function open(context: TestContext, settings: DatabaseConfig['postgres'] = {}, timeouts: DatabaseConfig['timeouts'] = {}): Database {
  const db = createDatabase({ postgres: { enabled: true, connection: url, ...settings }, timeouts })
  context.after(() => db.close())
  return db
}

// Bundles -------------------------------------------------------------------------------------------------------

/** What `pg` loads Node's modules with, which bundles of ES modules do not have by themselves. */
const REQUIRE = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"

const FORMATS = [
  { format: 'esm', file: 'main.mjs', banner: { js: REQUIRE } },
  { format: 'cjs', file: 'main.cjs', banner: {} }
] as const

const FUNCTION = `
  import { createDatabase } from 'duolect'
  const db = createDatabase({ postgres: { enabled: true, connection: process.env.DATABASE_URL, maxConnections: 1 } })
  export async function handler({ n, key }) {
    const { sum } = await db.one('SELECT $1::INTEGER + 1 AS sum', [n])
    await db.kvs.set(key, { n })
    await db.kvs.set(key, n, 'last')
    return { sum, stored: await db.kvs.get(key) }
  }
  if (process.argv[2]) handler(JSON.parse(process.argv[2])).then(result => console.log(JSON.stringify(result)))`

describe('A bundle of a function that uses Postgres', () => {
  const directory = mkdtempSync(join(tmpdir(), 'duolect-bundle-'))
  const installed = join(directory, 'duolect')
  const key = `serverless_${process.pid}`

  before(async () => {
    await buildPackage(join(installed, 'dist'))
    cpSync(join(root, 'package.json'), join(installed, 'package.json'))
  })

  after(async () => {
    rmSync(directory, { recursive: true, force: true })
    const db = createDatabase(url)
    await db.kvs.delete(key)
    await db.close()
  })

  /** A project that has duolect, and of the other packages those that are named. */
  function project(name: string, packages: readonly string[]): string {
    const folder = join(directory, name)
    const modules = join(folder, 'node_modules')
    cpSync(installed, join(modules, 'duolect'), { recursive: true })
    for (const dependency of packages) symlinkSync(join(root, 'node_modules', dependency), join(modules, dependency))
    writeFileSync(join(folder, 'function.js'), FUNCTION)
    return folder
  }

  async function bundle(folder: string, file: string, options: BuildOptions): Promise<{ empty: string; inputs: string[] }> {
    const empty = mkdtempSync(join(directory, 'empty-'))
    const { metafile } = await build({
      entryPoints: [join(folder, 'function.js')],
      outfile: join(empty, file),
      bundle: true,
      platform: 'node',
      target: 'node20',
      logLevel: 'silent',
      ...options,
      metafile: true
    })
    return { empty, inputs: Object.keys(metafile.inputs) }
  }

  function assertRuns(empty: string, file: string): void {
    assert.deepEqual(readdirSync(empty), [file])
    const { status, stdout, stderr } = spawnSync(process.execPath, [file, JSON.stringify({ n: 1, key })], {
      cwd: empty,
      env: { PATH: process.env.PATH, DATABASE_URL: url },
      encoding: 'utf8',
      timeout: 20_000
    })
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '{"sum":2,"stored":{"n":1,"last":1}}\n', stderr: '' })
  }

  function assertWithoutSqlite(inputs: readonly string[], empty: string, file: string): void {
    assert.ok(inputs.some(input => input.includes('node_modules/pg/')))
    assert.deepEqual(
      inputs.filter(input => /node_modules\/(better-sqlite3|bindings|file-uri-to-path)\//.test(input)),
      []
    )
    assert.doesNotMatch(readFileSync(join(empty, file), 'utf8'), /better_sqlite3\.node/)
  }

  for (const { format, file, banner } of FORMATS) {
    for (const minify of [false, true]) {
      test(`has no better-sqlite3 where that is external, and runs from an empty directory (${format}, minify: ${minify})`, async () => {
        const folder = project(`external-${format}-${minify}`, ['pg', 'better-sqlite3'])
        const { empty, inputs } = await bundle(folder, file, { format, banner, minify, external: ['better-sqlite3'] })
        assertWithoutSqlite(inputs, empty, file)
        assertRuns(empty, file)
      })
    }

    test(`has no better-sqlite3 where that is not installed, and runs from an empty directory (${format})`, async () => {
      const folder = project(`without-${format}`, ['pg'])
      const { empty, inputs } = await bundle(folder, file, { format, banner })
      assertWithoutSqlite(inputs, empty, file)
      assertRuns(empty, file)
    })
  }

  test('of ES modules that cannot load pg for lack of require says why', async () => {
    const folder = project('no-require', ['pg'])
    const { empty } = await bundle(folder, 'main.mjs', { format: 'esm' })
    const { stderr } = spawnSync(process.execPath, ['main.mjs', JSON.stringify({ n: 1, key })], {
      cwd: empty,
      env: { PATH: process.env.PATH, DATABASE_URL: url },
      encoding: 'utf8'
    })
    assert.match(stderr, /Cannot load "pg".*Dynamic require of "\w+" is not supported/)
  })
})

// What is loaded ------------------------------------------------------------------------------------------------

describe('What is loaded', () => {
  /** The packages that a program has loaded at its end. */
  function packagesOf(program: string): string[] {
    const probe = `
      import { createRequire } from 'node:module'
      import * as duolect from ${JSON.stringify(source)}
      ${program}
      const files = Object.keys(createRequire(${JSON.stringify(join(root, 'x.js'))}).cache)
      console.log(JSON.stringify([...new Set(files.flatMap(file => /node_modules\\/([^/]+)/.exec(file)?.[1] ?? []))].sort()))`
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', probe], {
      cwd: root,
      encoding: 'utf8'
    })
    assert.equal(status, 0, stderr)
    return (JSON.parse(stdout) as string[]).filter(name => name === 'pg' || name === 'better-sqlite3')
  }

  test('by the import is no driver', () => {
    assert.deepEqual(packagesOf('void duolect'), [])
  })

  test('by createDatabase is no driver', () => {
    assert.deepEqual(packagesOf(`duolect.createDatabase(${JSON.stringify(url)}); duolect.createDatabase(':memory:')`), [])
  })

  test('by using SQLite is better-sqlite3 alone', () => {
    assert.deepEqual(packagesOf(`await duolect.createDatabase(':memory:').all('SELECT 1 AS one')`), ['better-sqlite3'])
  })

  test('by using Postgres is pg alone', () => {
    assert.deepEqual(packagesOf(`await duolect.createDatabase(${JSON.stringify(url)}).all('SELECT 1 AS one')`), ['pg'])
  })
})

describe('A process', () => {
  for (const pooler of [false, true]) {
    test(`ends by itself while its pool is idle, without close() (pooler: ${pooler})`, async () => {
      const program = `
        import { createDatabase } from ${JSON.stringify(source)}
        const db = createDatabase({ postgres: { enabled: true, connection: ${JSON.stringify(url)}, pooler: ${pooler} } })
        await Promise.all([1, 2, 3, 4].map(n => db.all('SELECT $1::INTEGER, pg_sleep(0.05)::TEXT', [n])))
        await db.transaction(tx => tx.kvs.get('nothing'))
        for await (const row of db.iterate('SELECT 1 AS one')) void row
        console.log('done')`
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], { cwd: root })
      let doneAt = 0
      child.stdout.on('data', () => (doneAt = performance.now()))
      const { status, output } = await finished(child)
      assert.deepEqual({ status, output }, { status: 0, output: 'done\n' })
      assert.ok(performance.now() - doneAt < 3_000)
    })
  }
})

// One connection ------------------------------------------------------------------------------------------------

describe('With maxConnections: 1', () => {
  const LIMITS = { acquire: 20_000 }

  /** Makes each kind of call at once, many times. */
  function everything(db: Database, prefix: string): Promise<unknown>[] {
    return Array.from({ length: 10 }, (_, i) => [
      db.all('SELECT $1::INTEGER AS n', [i]),
      db.run('UPDATE users SET locale = $1 WHERE id = $2', ['en', 'nobody']),
      db.exec('SELECT 1; SELECT 2'),
      db.kvs.set(`${prefix}${i % 3}`, { n: i }),
      db.kvs.set(`${prefix}${i % 3}`, i, 'm'),
      db.kvs.get(`${prefix}${i % 3}`),
      db.kvs.update(`${prefix}n`, (n: number | null) => (n ?? 0) + 1),
      db.transaction(async tx => {
        await tx.all('SELECT 1 AS one')
        await tx.kvs.update(`${prefix}t`, (n: number | null) => (n ?? 0) + 1)
        return tx.transaction(inner => inner.kvs.get(`${prefix}0`))
      }),
      (async () => {
        for await (const row of db.iterate('SELECT generate_series(1, 250) AS n')) assert.ok(row)
      })()
    ]).flat()
  }

  for (const pooler of [false, true]) {
    test(`calls of all kinds at once all end, and soon (pooler: ${pooler})`, async context => {
      const db = open(context, { maxConnections: 1, pooler }, LIMITS)
      const prefix = `one_${process.pid}_${pooler}_`
      const start = performance.now()
      const results = await Promise.allSettled(everything(db, prefix))
      assert.deepEqual(
        results.filter(({ status }) => status === 'rejected'),
        []
      )
      assert.ok(performance.now() - start < 10_000)
      assert.deepEqual([await db.kvs.get(`${prefix}n`), await db.kvs.get(`${prefix}t`)], [10, 10])
      for (const name of ['0', '1', '2', 'n', 't']) await db.kvs.delete(prefix + name)
    })
  }

  test('an iteration that is left early gives the connection back', async context => {
    const db = open(context, { maxConnections: 1 }, { acquire: 2_000 })
    for (let i = 0; i < 5; i++) {
      for await (const row of db.iterate('SELECT generate_series(1, 1000) AS n')) if (row) break
      assert.deepEqual(await db.one('SELECT 1 AS one'), { one: 1 })
    }
  })

  test('what fails gives the connection back', async context => {
    const db = open(context, { maxConnections: 1 }, { acquire: 2_000 })
    for (let i = 0; i < 5; i++) {
      await assert.rejects(db.all('SELECT 1 / 0'), failsWith('division_by_zero'))
      await assert.rejects(
        db.transaction(tx => tx.all('SELECT 1 / 0')),
        failsWith('division_by_zero')
      )
      await assert.rejects(async () => {
        for await (const row of db.iterate('SELECT 1 / (150 - generate_series(1, 200)) AS n')) assert.ok(row)
      }, failsWith('division_by_zero'))
      await assert.rejects(db.exec('SELECT 1; SELECT 1 / 0'), failsWith('division_by_zero'))
    }
    assert.deepEqual(await db.one('SELECT 1 AS one'), { one: 1 })
  })

  test('a statement on the outer handle inside of a transaction is refused at once', async context => {
    const db = open(context, { maxConnections: 1 }, LIMITS)
    await db.get()
    const start = performance.now()
    for (const call of [() => db.all('SELECT 1'), () => db.kvs.get('a'), () => db.transaction(tx => tx.all('SELECT 1'))]) {
      await assert.rejects(db.transaction(call), failsWith('wrong_handle'))
    }
    assert.ok(performance.now() - start < 1_000)
  })

  test('a statement inside of a loop over few rows works', async context => {
    const db = open(context, { maxConnections: 1 }, { acquire: 1_000 })
    const found: unknown[] = []
    for await (const { n } of db.iterate<{ n: number }>('SELECT generate_series(1, 50) AS n')) {
      found.push(await db.one('SELECT $1::INTEGER AS n', [n]))
    }
    assert.equal(found.length, 50)
  })

  test('a statement inside of a loop over many rows does not wait for ever, and is told of the iteration', async context => {
    const db = open(context, { maxConnections: 1 }, { acquire: 200 })
    const loop = async () => {
      for await (const row of db.iterate('SELECT generate_series(1, 1000) AS n')) assert.ok(row && (await db.all('SELECT 1')))
    }
    await assert.rejects(loop, failsWith('connection_failure', /None of the 1 connections.*iterat.*"postgres\.maxConnections"/))
    assert.deepEqual(await db.one('SELECT 1 AS one'), { one: 1 })
  })
})

// Transactions that idle ----------------------------------------------------------------------------------------

describe('A transaction of a client that went silent', () => {
  const LIMIT = 400

  test('is ended by the server after the limit and its grace, so that its locks do not stay', async context => {
    const relay = new Relay()
    const silent = open(context, { connection: await relay.listen(), maxConnections: 1 }, { query: LIMIT })
    context.after(() => relay.close())
    const other = open(context)
    await other.kvs.set(`${process.pid}/locked`, 1)
    const left = silent.transaction(async tx => {
      await tx.run('UPDATE kvs SET value = value WHERE key = $1', [`${process.pid}/locked`])
      relay.silence()
      await pause(LIMIT * 4)
    })
    left.catch(() => undefined)
    await pause(LIMIT / 2)
    const start = performance.now()
    await other.kvs.delete(`${process.pid}/locked`)
    const waited = performance.now() - start
    assert.ok(waited > LIMIT / 2 && waited < LIMIT * 4, `${waited} ms`)
    await assert.rejects(left)
  })

  test('is not one whose rows are read at leisure', async context => {
    const db = open(context, { maxConnections: 1 }, { query: 100 })
    let rows = 0
    for await (const _ of db.iterate('SELECT generate_series(1, 250)')) if (rows++ % 100 === 0) await pause(300)
    assert.equal(rows, 250)
  })

  test('is ended later where it is a loop, which may be slow', async context => {
    const db = open(context, {}, { query: 100 })
    const limit = "SELECT current_setting('idle_in_transaction_session_timeout') AS limit"
    for await (const row of db.iterate(limit)) assert.deepEqual(row, { limit: '2s' })
    assert.deepEqual(await db.one(limit), { limit: '200ms' })
  })

  test('has no such limit on a server that does not know it, and connects all the same', async context => {
    const asked: string[] = []
    const server = createServer(socket =>
      socket.once('data', data => {
        asked.push(String(data))
        const message = data.includes('idle_in_transaction')
          ? 'unrecognized configuration parameter "idle_in_transaction_session_timeout"'
          : 'no more than that'
        const refusal = Buffer.from(`E\0\0\0\0SFATAL\0C42704\0M${message}\0\0`)
        refusal.writeInt32BE(refusal.length - 1, 1)
        socket.end(refusal)
      })
    )
    await once(server.listen(0, '127.0.0.1'), 'listening')
    context.after(() => server.close())
    const { port } = server.address() as AddressInfo
    const db = createDatabase(`postgres://user@127.0.0.1:${port}/db`)
    await assert.rejects(Promise.all([db.all('SELECT 1'), db.all('SELECT 1')]), /no more than that/)
    assert.deepEqual(
      asked.map(text => text.includes('idle_in_transaction')),
      [true, false]
    )
  })
})

// Sockets that died ---------------------------------------------------------------------------------------------

describe('Connections that died while nothing was sent on them', { concurrency: true }, () => {
  /** A database whose pool has so many connections, through a relay, which after that lets nothing through on them. */
  async function openAndSilence(
    context: TestContext,
    connections: number,
    settings: DatabaseConfig['postgres'] = {},
    timeouts: DatabaseConfig['timeouts'] = {}
  ): Promise<Database> {
    const relay = new Relay()
    const db = open(context, { connection: await relay.listen(), maxConnections: connections, ...settings }, timeouts)
    context.after(() => relay.close())
    const work = Array.from({ length: connections }, () => db.one<{ pid: number }>('SELECT pg_backend_pid() AS pid, pg_sleep(0.2)::TEXT'))
    const pids = new Set((await Promise.all(work)).map(({ pid }) => pid))
    assert.equal(pids.size, connections)
    relay.silence()
    return db
  }

  for (const pooler of [false, true]) {
    test(`are replaced before a query is lost on them (pooler: ${pooler})`, async context => {
      const db = await openAndSilence(context, 1, { pooler })
      await pause(IDLE)
      const start = performance.now()
      assert.deepEqual(await db.one('SELECT 1 AS one'), { one: 1 })
      // It is lost only after `timeouts.query`, which is 30 s.
      assert.ok(performance.now() - start < 15_000)
    })
  }

  for (const [title, call, expected] of [
    ['a write', (db: Database) => db.run("UPDATE users SET locale = 'en' WHERE id = 'nobody'"), { changes: 0 }],
    ['a script', (db: Database) => db.exec('SELECT 1; SELECT 2'), undefined],
    ['a transaction', (db: Database) => db.transaction(tx => tx.one('SELECT 1 AS one')), { one: 1 }],
    ['the store', (db: Database) => db.kvs.get('nothing-of-that-name'), null]
  ] as const) {
    test(`are replaced before ${title} is lost on them`, async context => {
      const db = await openAndSilence(context, 1)
      await pause(IDLE)
      assert.deepEqual(await call(db), expected)
    })
  }

  test('are all given up when one of them is found dead, so that the first query does not try them in turn', async context => {
    const db = await openAndSilence(context, 6)
    await pause(IDLE)
    const start = performance.now()
    assert.deepEqual(await db.one('SELECT 1 AS one'), { one: 1 })
    assert.ok(performance.now() - start < 2_500, `${performance.now() - start} ms`)
  })

  test('do not take places of the pool from those who wait', async context => {
    const db = await openAndSilence(context, 3)
    await pause(IDLE)
    const start = performance.now()
    const rows = await Promise.all(Array.from({ length: 20 }, (_, n) => db.one('SELECT $1::INTEGER AS n', [n])))
    assert.deepEqual(
      rows,
      Array.from({ length: 20 }, (_, n) => ({ n }))
    )
    assert.ok(performance.now() - start < 3_000)
  })

  test('do not hold up close() for longer than a connection may take', async context => {
    const db = await openAndSilence(context, 2, {}, { connect: 1_000 })
    const start = performance.now()
    await db.close()
    assert.ok(performance.now() - start < 2_000)
  })
})

describe('A process that was frozen', { concurrency: true }, () => {
  /** Answers each line of input with the row of a query. */
  const PROGRAM = `
    import { createInterface } from 'node:readline'
    import { createDatabase } from ${JSON.stringify(source)}
    const db = createDatabase({ postgres: { enabled: true, connection: process.argv[1], maxConnections: 3 } })
    const ask = text => db.one(text).then(row => row.pid, error => error.code + ': ' + error.message)
    const pids = await Promise.all([1, 2, 3].map(() => ask('SELECT pg_backend_pid() AS pid, pg_sleep(0.2)::TEXT')))
    console.log(JSON.stringify(pids))
    for await (const line of createInterface({ input: process.stdin })) {
      const start = performance.now()
      const answers = await Promise.all(Array.from({ length: Number(line) }, () => ask('SELECT pg_backend_pid() AS pid')))
      console.log(JSON.stringify({ answers, took: performance.now() - start }))
    }`

  function start(context: TestContext, connection: string): { child: ChildProcess; line: () => Promise<string> } {
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', PROGRAM, connection], {
      cwd: root,
      stdio: ['pipe', 'pipe', 'inherit']
    })
    context.after(() => child.kill('SIGKILL'))
    const lines = createInterface({ input: child.stdout as Readable })[Symbol.asyncIterator]()
    return { child, line: async () => String((await lines.next()).value) }
  }

  for (const [title, queries] of [
    ['one query', 1],
    ['ten queries at once', 10]
  ] as const) {
    test(`${FROZEN} ms while its connections were ended by the server works at once: ${title}`, async context => {
      const { child, line } = start(context, url)
      const pids = JSON.parse(await line()) as number[]
      child.kill('SIGSTOP')
      const admin = open(context)
      await admin.all('SELECT pg_terminate_backend(pid::INTEGER) FROM json_array_elements_text($1::JSON) AS pid', [pids])
      await pause(FROZEN)
      // The question is there before the process sees that its sockets were closed.
      child.stdin?.write(`${queries}\n`)
      child.kill('SIGCONT')
      const { answers, took } = JSON.parse(await line()) as { answers: unknown[]; took: number }
      assert.equal(answers.length, queries)
      for (const answer of answers) assert.ok(typeof answer === 'number' && !pids.includes(answer), String(answer))
      assert.ok(took < 2_000, `${took} ms`)
    })

    test(`${FROZEN} ms while its connections went silent works at once: ${title}`, async context => {
      const relay = new Relay()
      context.after(() => relay.close())
      const { child, line } = start(context, await relay.listen())
      const pids = JSON.parse(await line()) as number[]
      child.kill('SIGSTOP')
      relay.silence()
      await pause(FROZEN)
      child.stdin?.write(`${queries}\n`)
      child.kill('SIGCONT')
      const { answers, took } = JSON.parse(await line()) as { answers: unknown[]; took: number }
      assert.equal(answers.length, queries)
      for (const answer of answers) assert.ok(typeof answer === 'number' && !pids.includes(answer), String(answer))
      assert.ok(took < 3_000, `${took} ms`)
    })
  }
})
