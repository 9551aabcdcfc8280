/** The example for Cloudflare Workers runs in workerd, their runtime, on a Postgres server. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { build } from 'esbuild'
import { createDatabase, type Row } from '../src/index.ts'
import { DatabaseServer, type OwnDatabase } from '../src/tools/servers/databases.ts'

const root = join(import.meta.dirname, '..')
const server = new DatabaseServer(process.env.TEST_PG_URL as string)

function programOfWorkerd(): string {
  const home = join(import.meta.dirname, 'workerd', 'node_modules', '@cloudflare')
  const [platform] = readdirSync(home).filter(entry => entry.startsWith('workerd-'))
  if (platform === undefined) throw new Error('workerd is not installed; run "npm test", which does that.')
  return join(home, platform, 'bin', 'workerd')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  return port
}

describe('The example for Cloudflare Workers', () => {
  const directory = mkdtempSync(join(tmpdir(), 'duolect-worker-'))
  let own: OwnDatabase
  let origin: string
  let workerd: ChildProcess

  before(async () => {
    // A pooler refuses startup options, so the database is the test's own instead of a schema.
    own = await server.create(`worker_${process.pid}`)
    await build({
      entryPoints: [join(root, 'examples', 'worker', 'src', 'worker.ts')],
      outfile: join(directory, 'worker.js'),
      alias: { duolect: join(root, 'src', 'index.ts') },
      bundle: true,
      format: 'esm',
      platform: 'node',
      conditions: ['workerd', 'worker'],
      external: ['cloudflare:sockets', 'better-sqlite3'],
      // wrangler gives CommonJS its require in a similar way.
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire('file:///worker.js');" },
      logLevel: 'error'
    })
    const port = await freePort()
    origin = `http://127.0.0.1:${port}`
    writeFileSync(
      join(directory, 'config.capnp'),
      `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .main), (name = "internet", network = (allow = ["private", "public"])) ],
  sockets = [ (name = "http", address = "127.0.0.1:${port}", http = (), service = "main") ]
);
const main :Workerd.Worker = (
  modules = [ (name = "worker.js", esModule = embed "worker.js") ],
  compatibilityDate = "2026-01-01",
  compatibilityFlags = ["nodejs_compat"],
  bindings = [ (name = "DATABASE_URL", fromEnvironment = "DATABASE_URL") ]
);`
    )
    workerd = spawn(programOfWorkerd(), ['serve', join(directory, 'config.capnp')], { env: { DATABASE_URL: own.url }, stdio: 'inherit' })
    for (let attempt = 0; attempt < 100; attempt++) {
      if (
        await fetch(`${origin}/pages`).then(
          response => response.ok,
          () => false
        )
      )
        return
      await new Promise(resolve => setTimeout(resolve, 100))
    }
    throw new Error('workerd does not answer.')
  })

  after(async () => {
    workerd.kill()
    await own.drop()
    await server.close()
    rmSync(directory, { recursive: true, force: true })
  })

  test('gets, sets, sets a path and updates', async () => {
    const visit = async () => (await fetch(`${origin}/start`, { headers: { 'user-agent': 'tests' } })).json()
    const first = (await visit()) as { count: number; agent: string }
    assert.deepEqual({ count: first.count, agent: first.agent }, { count: 1, agent: 'tests' })
    assert.equal(((await visit()) as { count: number }).count, 2)
  })

  test('counts each of many requests at once', async () => {
    await Promise.all(Array.from({ length: 20 }, () => fetch(`${origin}/many`)))
    const rows = await inDatabase("SELECT value::JSON ->> 'count' AS count FROM kvs WHERE key = 'visits /many'")
    assert.deepEqual(rows, [{ count: '20' }])
  })

  test('iterates', async () => {
    await fetch(`${origin}/a`)
    const pages = (await (await fetch(`${origin}/pages`)).json()) as string[]
    assert.ok(pages.includes('/a'))
  })

  test('runs transactions', async () => {
    await fetch(`${origin}/gone`)
    const { status } = await fetch(`${origin}/gone`, { method: 'DELETE' })
    assert.equal(status, 204)
    const rows = await inDatabase("SELECT key FROM kvs WHERE key IN ('visits /gone', 'removed')")
    assert.deepEqual(rows, [{ key: 'removed' }])
  })

  async function inDatabase(text: string): Promise<Row[]> {
    const db = createDatabase(own.url)
    try {
      return await db.all(text)
    } finally {
      await db.close()
    }
  }
})
