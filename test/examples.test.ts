/** The examples run as their users would run them. The Worker has a test of its own. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, afterEach, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import pg from 'pg'
import type { HttpEvent, HttpResponse } from '../examples/lambda/src/handler.ts'
import type { DatabaseConfig } from '../src/index.ts'
import { onEachSharedDatabase } from './support/databases.ts'

const root = join(import.meta.dirname, '..')

describe('The example of a function', () => {
  const schema = `lambda_${process.pid}`
  const admin = new pg.Client(process.env.TEST_PG_URL as string)
  const directory = mkdtempSync(join(tmpdir(), 'duolect-lambda-'))
  let handler: (event: HttpEvent) => Promise<HttpResponse>

  before(async () => {
    await admin.connect()
    await admin.query(`CREATE SCHEMA ${schema}`)
    const url = process.env.TEST_PG_URL as string
    process.env.DATABASE = 'postgres'
    process.env.DATABASE_URL = `${url}${url.includes('?') ? '&' : '?'}application_name=${schema}&options=-c%20search_path%3D${schema}`
    // The command of its package.json, which leaves the bundle alone in a folder.
    const manifest = JSON.parse(readFileSync(join(root, 'examples', 'lambda', 'package.json'), 'utf8')) as { scripts: { build: string } }
    const command = manifest.scripts.build
      .replace('src/handler.ts', join('examples', 'lambda', 'src', 'handler.ts'))
      .replace('dist/index.mjs', join(directory, 'index.mjs'))
    execFileSync('sh', ['-c', `node_modules/.bin/${command} --log-level=error`], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
    handler = (await import(pathToFileURL(join(directory, 'index.mjs')).href)).handler
  })

  after(async () => {
    await admin.query(`DROP SCHEMA ${schema} CASCADE`)
    await admin.end()
    rmSync(directory, { recursive: true })
  })

  const call = (method: string, id: string, body?: string) =>
    handler({ requestContext: { http: { method } }, pathParameters: { id }, ...(body === undefined ? {} : { body }) })

  test('stores a link and leads to it', async () => {
    assert.equal((await call('PUT', 'a', 'https://example.com/a')).statusCode, 201)
    assert.deepEqual(await call('GET', 'a'), { statusCode: 302, headers: { location: 'https://example.com/a' } })
  })

  test('refuses an id that is taken, and a body that is no URL', async () => {
    await call('PUT', 'b', 'https://example.com/b')
    assert.equal((await call('PUT', 'b', 'https://example.com/other')).statusCode, 409)
    assert.equal((await call('PUT', 'c', 'not a URL')).statusCode, 400)
  })

  test('says that a link is absent', async () => {
    assert.equal((await call('GET', 'absent')).statusCode, 404)
  })

  test('counts each of many visits', async () => {
    await call('PUT', 'd', 'https://example.com/d')
    await Promise.all(Array.from({ length: 20 }, () => call('GET', 'd')))
    const { rows } = await admin.query(`SELECT visits FROM ${schema}.links WHERE id = 'd'`)
    assert.deepEqual(rows, [{ visits: 20 }])
  })

  test('opens one connection', async () => {
    await call('GET', 'absent')
    const { rows } = await admin.query('SELECT count(*)::INTEGER AS n FROM pg_stat_activity WHERE application_name = $1', [schema])
    assert.deepEqual(rows, [{ n: 1 }])
  })
})

onEachSharedDatabase('The example of a server', database => {
  let child: ChildProcess | undefined

  afterEach(() => {
    child?.kill('SIGKILL')
  })

  function environmentOf({ dataDir, postgres }: DatabaseConfig): NodeJS.ProcessEnv {
    return postgres?.enabled ? { DATABASE: 'postgres', DATABASE_URL: postgres.connection } : { DATABASE: '', DATA_DIR: dataDir }
  }

  async function start(): Promise<{ origin: string; ended: Promise<number | null> }> {
    const env = { ...process.env, ...environmentOf(await database.config()), PORT: '0' }
    const server = spawn(process.execPath, ['--import', 'tsx', join('examples', 'server', 'src', 'server.ts')], {
      cwd: root,
      env,
      stdio: ['ignore', 'pipe', 'inherit']
    })
    child = server
    const ended = once(server, 'exit').then(([status]) => status as number | null)
    const [line] = await Promise.race([once(server.stdout, 'data'), ended.then(status => Promise.reject(new Error(`exit ${status}`)))])
    return { origin: `http://127.0.0.1:${/port (\d+)/.exec(String(line))?.[1]}`, ended }
  }

  test('keeps notes and pages through them', async () => {
    const { origin } = await start()
    for (let i = 1; i <= 25; i++) assert.equal((await fetch(`${origin}/notes`, { method: 'POST', body: `note ${i}` })).status, 201)
    const first = (await (await fetch(`${origin}/notes`)).json()) as { id: number; body: string }[]
    const second = (await (await fetch(`${origin}/notes?before=${first.at(-1)?.id}`)).json()) as { id: number; body: string }[]
    assert.deepEqual(
      [...first, ...second].map(note => note.body),
      Array.from({ length: 25 }, (_, i) => `note ${25 - i}`)
    )
  })

  test('tells its health and refuses what it does not know', async () => {
    const { origin } = await start()
    assert.deepEqual(await (await fetch(`${origin}/health`)).json(), { dialect: database.dialect })
    assert.equal((await fetch(`${origin}/absent`)).status, 404)
    assert.equal((await fetch(`${origin}/notes?before=x`)).status, 400)
    assert.equal((await fetch(`${origin}/notes`, { method: 'POST' })).status, 400)
  })

  test('finishes a request that runs when it is told to stop', async () => {
    const { origin, ended } = await start()
    const upload = request(`${origin}/notes`, { method: 'POST' })
    upload.write('first half, ')
    await once(upload, 'socket')
    // An answer to another request shows that the server has taken the first one.
    await fetch(`${origin}/health`)
    child?.kill('SIGTERM')
    await refusesConnections(origin)
    upload.end('second half')
    const [response] = await once(upload, 'response')
    assert.equal(response.statusCode, 201)
    assert.equal((JSON.parse(await text(response)) as { body: string }).body, 'first half, second half')
    assert.equal(await ended, 0)
  })

  async function refusesConnections(origin: string): Promise<void> {
    while (
      await fetch(`${origin}/health`, { headers: { connection: 'close' } }).then(
        () => true,
        () => false
      )
    );
  }
})
