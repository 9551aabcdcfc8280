/** How a pool chooses among the hosts of a URL, gives one up, and what of the environment it takes no notice of. */
import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { createDatabase, type Database, type DatabaseConfig } from '../src/index.ts'
import { failsWith } from './support/databases.ts'
import { Relay } from './support/relay.ts'

const url = process.env.TEST_PG_URL as string

const databases: Database[] = []
const relays: Relay[] = []

afterEach(async () => {
  for (const relay of relays.splice(0)) relay.close()
  await Promise.all(databases.splice(0).map(db => db.close()))
})

function open(settings: DatabaseConfig['postgres'], timeouts: DatabaseConfig['timeouts'] = {}): Database {
  const db = createDatabase({ postgres: { enabled: true, ...settings }, timeouts })
  databases.push(db)
  return db
}

/** Two ways to the same server, which a pool takes for two servers, and the URL of both. */
async function openTwoHosts(): Promise<{ first: Relay; second: Relay; connection: string }> {
  const [first, second] = [new Relay(), new Relay()]
  relays.push(first, second)
  const [one, other] = [new URL(await first.listen()), new URL(await second.listen())]
  const { username, pathname } = one
  return { first, second, connection: `postgres://${username}@${one.host},${other.host}${pathname}` }
}

/** Has so many connections opened at once, and lets them idle. */
async function fill(db: Database, connections: number): Promise<void> {
  await Promise.all(Array.from({ length: connections }, () => db.all('SELECT pg_sleep(0.1)')))
}

describe('Of several hosts,', () => {
  test('one that did not answer in time is asked last by the connections that follow', async () => {
    const { first, second, connection } = await openTwoHosts()
    first.isSilentToNew = true
    const db = open({ connection }, { connect: 500 })
    await db.get()
    await fill(db, 5)
    assert.deepEqual([first.connections, second.connections], [1, 5])
  })

  test('the one that worked last is asked first', async () => {
    const { first, second, connection } = await openTwoHosts()
    first.moveTo('postgres://127.0.0.1:1')
    const db = open({ connection })
    await db.get()
    first.moveTo(url)
    await fill(db, 5)
    assert.deepEqual([first.connections, second.connections], [1, 5])
  })

  test('a silent one is given up within timeouts.connect also when it goes silent after the login', async () => {
    const relay = new Relay()
    relays.push(relay)
    // Asking the server what it is comes after the login.
    relay.onRequest = data => !data.includes('transaction_read_only')
    const db = open({ connection: `${await relay.listen()}?target_session_attrs=read-write` }, { connect: 300 })
    await assert.rejects(db.get(), failsWith('connection_failure', /timeouts\.connect/))
  })
})

describe('A server that answers neither a statement nor its cancel request', () => {
  const LIMITS = { query: 400, connect: 2000 }
  /** After the limit, the grace for the server to end it, and that for the cancel request. */
  const SETTLES = 3 * LIMITS.query

  /** When a call settled, and how. */
  async function outcome(call: Promise<unknown>): Promise<{ at: number; code: string }> {
    const code = await call.then(
      () => 'done',
      error => error.code
    )
    return { at: performance.now(), code }
  }

  test('fails all that runs on its connections at once, and the next call goes to another host alone', async () => {
    const { first, second, connection } = await openTwoHosts()
    const db = open({ connection, maxConnections: 4 }, LIMITS)
    await fill(db, 4)
    assert.deepEqual([first.connections, second.connections], [4, 0])
    first.isSilentToNew = true
    first.silence()
    const start = performance.now()
    const oldest = outcome(db.all('SELECT 1'))
    await pause(SETTLES / 2)
    const later = Promise.all([outcome(db.all('SELECT 1')), outcome(db.run('SELECT 1')), outcome(db.transaction(tx => tx.all('SELECT 1')))])
    const { at, code } = await oldest
    const others = await later
    assert.deepEqual(
      [code, ...others.map(other => other.code)],
      ['connection_failure', 'connection_failure', 'commit_unknown', 'connection_failure']
    )
    // By themselves they would have taken as long as the first.
    for (const other of others) assert.ok(other.at - at < at - start - SETTLES / 2, `${other.at - at} ms later`)
    await db.all('SELECT 1')
    // The cancel request was the last that the first host saw.
    assert.deepEqual([first.connections, second.connections], [5, 1])
  })

  test('keeps its connections if one of them is answered meanwhile', async () => {
    const relay = new Relay()
    relays.push(relay)
    // The server itself knows no limit then.
    const db = open({ connection: await relay.listen(), pooler: true, maxConnections: 2 }, LIMITS)
    await fill(db, 2)
    relay.isSilentToNew = true
    const slow = assert.rejects(db.all('SELECT pg_sleep(3)'), failsWith('connection_failure'))
    await db.transaction(async tx => {
      for (let i = 0; i < 12; i++) {
        await tx.all('SELECT 1')
        await pause(SETTLES / 10)
      }
    })
    await slow
    assert.equal(relay.connections, 3)
  })
})

describe("The environment's variables of libpq and pg", () => {
  const VARIABLES = {
    PGHOST: '127.0.0.9',
    PGHOSTADDR: '127.0.0.9',
    PGPORT: '1',
    PGUSER: 'nobody',
    PGPASSWORD: 'wrong',
    PGPASSFILE: '/nowhere',
    PGDATABASE: 'nothing',
    PGOPTIONS: '-c search_path=nowhere -c TimeZone=Asia/Tokyo',
    PGAPPNAME: 'stranger',
    PGSSLMODE: 'require',
    PGSSLNEGOTIATION: 'direct',
    PGREPLICATION: 'database',
    PGCLIENT_ENCODING: 'LATIN1',
    PGCLIENTENCODING: 'LATIN1',
    PGCONNECT_TIMEOUT: '1',
    PGBINARY: 'true',
    PGTZ: 'Asia/Tokyo',
    PGDATESTYLE: 'SQL, DMY',
    PGTARGETSESSIONATTRS: 'standby',
    PGSERVICE: 'none'
  }

  /** The startup message of a client, which the server is never shown. */
  async function startupOf(settings: DatabaseConfig['postgres']): Promise<string> {
    const relay = new Relay()
    relays.push(relay)
    let message = ''
    relay.onRequest = data => {
      message ||= data.toString('latin1')
      setImmediate(() => relay.cut())
      return false
    }
    await assert.rejects(open({ connection: await relay.listen(), ...settings }).get(), failsWith('connection_failure'))
    return message
  }

  for (const settings of [{}, { pooler: true }, { ssl: 'no-verify' }]) {
    test(`change nothing of what a server is sent first (${JSON.stringify(settings)})`, async () => {
      const before = await startupOf(settings)
      const own = { ...process.env }
      try {
        Object.assign(process.env, VARIABLES)
        assert.equal(await startupOf(settings), before)
      } finally {
        for (const name of Object.keys(VARIABLES)) delete process.env[name]
        Object.assign(process.env, own)
      }
    })
  }
})
