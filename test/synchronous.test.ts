/** A primary whose synchronous standby is gone: it commits, and acknowledges only when its wait is ended. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type Pooler, startPgBouncer } from '../scripts/pgbouncer.ts'
import { createDatabase, type Database, type DatabaseConfig } from '../src/index.ts'
import { type PostgresServer, startPostgres } from '../src/tools/servers/postgres.ts'
import { failsWith } from './support/databases.ts'

const UNREPLICATED = failsWith('commit_unknown', /wait for the synchronous standby was cancelled/)

/** `timeouts.query`, in ms: as long for the server to begin the commit, and again to answer the cancel request. */
const QUERY = 300

let server: PostgresServer
let pooler: Pooler
/** Its own commits wait for no standby. */
let admin: Database
const databases: Database[] = []

before(async () => {
  server = await startPostgres()
  pooler = await startPgBouncer(server.url)
  admin = createDatabase(`${server.url}?options=-c%20synchronous_commit%3Dlocal`)
  await admin.exec('CREATE TABLE marks (n INTEGER)')
  await admin.exec('CREATE DATABASE quiet')
  await admin.exec("ALTER DATABASE quiet SET client_min_messages = 'error'")
  const quiet = createDatabase(quietUrl())
  await quiet.get()
  await quiet.close()
  await admin.exec("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
  await admin.all('SELECT pg_reload_conf()')
  while ((await admin.one('SHOW synchronous_standby_names')).synchronous_standby_names !== 'gone') await pause(10)
})

after(async () => {
  await admin.close()
  await pooler.stop()
  await server.stop()
})

afterEach(async () => {
  await Promise.all(databases.splice(0).map(db => db.close()))
  await admin.exec('DELETE FROM marks; DELETE FROM kvs; DELETE FROM users')
})

function quietUrl(): string {
  return server.url.replace(/postgres$/, 'quiet')
}

function open(connection: string, query: number, settings: DatabaseConfig['postgres'] = {}): Database {
  const db = createDatabase({ postgres: { enabled: true, connection, ...settings }, timeouts: { query } })
  databases.push(db)
  return db
}

/** Does the work of an administrator who sees a statement that waits for the standby. */
async function cancelWaiting(): Promise<void> {
  const cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
  while ((await admin.all(cancel)).length === 0) await pause(5)
}

for (const [name, write] of [
  ['run()', db => db.run('INSERT INTO marks VALUES (1)')],
  ['exec()', db => db.exec('INSERT INTO marks VALUES (1)')],
  ['batch()', db => db.batch(['INSERT INTO marks VALUES (1)'])],
  ['all() with RETURNING', db => db.all('INSERT INTO marks VALUES (1) RETURNING n')],
  ['transaction()', db => db.transaction(tx => tx.run('INSERT INTO marks VALUES (1)'), { retries: 3 })],
  ['kvs.set()', db => db.kvs.set('a', 1)],
  ['kvs.setMany()', db => db.kvs.setMany(Object.entries({ a: 1, b: 2 }))],
  ['kvs.update()', db => db.kvs.update('a', () => 1)],
  ['saveUser()', db => db.saveUser({ id: '1', platform: 'test' })]
] satisfies [string, (db: Database) => Promise<unknown>][]) {
  describe(`${name} that a gone standby holds up`, () => {
    test('is commit_unknown when timeouts.query ends the wait', async () => {
      await assert.rejects(write(open(server.url, QUERY)), UNREPLICATED)
    })

    test('is commit_unknown when an administrator ends the wait', async () => {
      const ended = assert.rejects(write(open(server.url, 0)), UNREPLICATED)
      await cancelWaiting()
      await ended
    })

    test('is commit_unknown behind PgBouncer', async () => {
      await assert.rejects(write(open(pooler.url, QUERY, { pooler: true })), UNREPLICATED)
    })
  })
}

test('A commit that a gone standby holds up is told of where the server hides its warnings', async () => {
  await assert.rejects(open(quietUrl(), QUERY).kvs.set('a', 1), UNREPLICATED)
})

test('A warning of another kind is none of a commit', async () => {
  const warn = "DO $$ BEGIN RAISE WARNING 'SyncRepWaitForLSN' USING ERRCODE = '01000'; END $$"
  assert.deepEqual(await open(server.url, 0).run(warn), { changes: 0 })
})
