/**
 * Lets servers and poolers fail under 12 callers, and writes what the callers see, and for how long, into
 * docs/failures.md. For Linux and macOS.
 *
 * `npm run failures` runs all; `npm run failures -- frozen` only prints those with "frozen" in their names.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { createDatabase, type Database, type DatabaseConfig, DatabaseError } from '../src/index.ts'
import { type PostgresServer, startPostgres } from '../src/tools/servers/postgres.ts'
import { Relay } from '../test/support/relay.ts'
import { startPgBouncer } from './pgbouncer.ts'
import { startReplica } from './replica.ts'

const TIMEOUTS = { connect: 2_000, query: 2_000 }
const READERS = 4
const WRITERS = 8

// What callers see --------------------------------------------------------------------------------------------------

interface Call {
  readonly isRead: boolean
  readonly begin: number
  readonly end: number
  /** The error's code; undefined for success. */
  readonly code: string | undefined
}

/** Makes calls with several callers, each one after another; returns what ends them. */
function load(db: Database): () => Promise<Call[]> {
  const calls: Call[] = []
  let isOver = false
  const callers = Array.from({ length: READERS + WRITERS }, async (_, i) => {
    const isRead = i < READERS
    while (!isOver) {
      const begin = performance.now()
      const code = await (isRead ? db.kvs.get('a') : db.run('INSERT INTO marks VALUES (1)')).then(
        () => undefined,
        error => (error instanceof DatabaseError ? `\`${error.code}\`${error.isRetryable ? ', retryable' : ''}` : String(error))
      )
      calls.push({ isRead, begin, end: performance.now(), code })
      await pause(10)
    }
  })
  return async () => {
    isOver = true
    await Promise.all(callers)
    return calls
  }
}

/** How many calls failed with each code. */
function codesOf(calls: readonly Call[]): string {
  const counts = new Map<string, number>()
  for (const { code } of calls) if (code !== undefined) counts.set(code, (counts.get(code) ?? 0) + 1)
  return counts.size === 0 ? 'nothing' : [...counts].map(([code, count]) => `${count} × ${code}`).join('; ')
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`
}

// What fails --------------------------------------------------------------------------------------------------------

interface Scene {
  readonly postgres: DatabaseConfig['postgres']
  /** Lets it fail; resolves when there is a server again. */
  fail(): Promise<unknown>
  stop(): Promise<unknown>
}

/** A primary and its replica; the first host of the URL leads to the primary by a way that can be cut. */
async function startPair() {
  const primary = await startPostgres()
  const replica = await startReplica(primary)
  const relay = new Relay(primary.url)
  const address = await relay.listen()
  const hosts = [address, replica.url].map(url => new URL(url).host)
  const stop = async () => {
    relay.close()
    await Promise.all([primary.stop(), replica.stop()])
  }
  return { primary, replica, relay, address, stop, connection: `postgres://postgres@${hosts}/postgres?target_session_attrs=read-write` }
}

/** Freezes each process of a server; returns what continues them. */
async function freeze(server: PostgresServer): Promise<() => void> {
  const db = createDatabase(server.url)
  const { directory } = await db.one<{ directory: string }>("SELECT current_setting('data_directory') AS directory")
  await db.close()
  const postmaster = readFileSync(join(directory, 'postmaster.pid'), 'utf8').split('\n')[0] as string
  const children = execFileSync('pgrep', ['-P', postmaster], { encoding: 'utf8' }).trim().split('\n')
  // One that has ended meanwhile is no failure.
  const kill = (signal: string) =>
    execFileSync('sh', ['-c', `kill -${signal} "$@" || true`, 'sh', postmaster, ...children], { stdio: 'ignore' })
  kill('STOP')
  return () => kill('CONT')
}

const SCENES: Readonly<Record<string, () => Promise<Scene>>> = {
  'killed, and started again': async () => {
    const server = await startPostgres()
    return { postgres: { connection: server.url }, fail: () => server.restart('QUIT'), stop: server.stop }
  },
  'killed, its replica promoted (two hosts)': async () => {
    const { primary, replica, relay, connection, stop } = await startPair()
    const fail = async () => {
      void primary.stop()
      relay.moveTo('postgres://127.0.0.1:1')
      await replica.promote()
    }
    return { postgres: { connection }, fail, stop }
  },
  'frozen for 10 s': async () => {
    const server = await startPostgres()
    const fail = async () => {
      const thaw = await freeze(server)
      await pause(10_000)
      thaw()
    }
    return { postgres: { connection: server.url }, fail, stop: server.stop }
  },
  'frozen, its replica promoted (two hosts)': async () => {
    const { primary, replica, connection, stop } = await startPair()
    let thaw = () => {}
    const fail = async () => {
      thaw = await freeze(primary)
      await replica.promote()
    }
    const end = () => {
      thaw()
      return stop()
    }
    return { postgres: { connection }, fail, stop: end }
  },
  'cut off without a word, its replica promoted (two hosts)': async () => {
    const { replica, relay, connection, stop } = await startPair()
    const fail = async () => {
      relay.isSilentToNew = true
      relay.silence()
      await replica.promote()
    }
    return { postgres: { connection }, fail, stop }
  },
  'replaced: it takes no writes, and its address leads to another': async () => {
    const { primary, replica, relay, address, stop } = await startPair()
    const set = async (setting: string) => {
      const admin = createDatabase(primary.url)
      await admin.exec(`ALTER SYSTEM SET ${setting}`)
      await admin.all('SELECT pg_reload_conf()')
      await admin.close()
    }
    await set("synchronous_standby_names = ''")
    const fail = async () => {
      await set('default_transaction_read_only = on')
      await replica.promote()
      relay.moveTo(replica.url)
    }
    return { postgres: { connection: address }, fail, stop }
  },
  'PgBouncer killed, and started again (`pooler: true`)': async () => {
    const server = await startPostgres()
    const pooler = await startPgBouncer(server.url)
    const stop = () => pooler.stop().then(server.stop)
    return { postgres: { connection: pooler.url, pooler: true }, fail: pooler.restart, stop }
  },
  'server behind PgBouncer killed, and started again (`pooler: true`, `server_login_retry = 1`)': async () => {
    const server = await startPostgres()
    const pooler = await startPgBouncer(server.url, ['server_login_retry = 1'])
    const stop = () => pooler.stop().then(server.stop)
    return { postgres: { connection: pooler.url, pooler: true }, fail: () => server.restart('QUIT'), stop }
  }
}

/** Lets it fail under load, and returns a row of the table. */
async function play(name: string, start: () => Promise<Scene>): Promise<string> {
  const { postgres, fail, stop } = await start()
  const db = createDatabase({ postgres: { enabled: true, ...postgres }, timeouts: TIMEOUTS })
  try {
    await db.exec('CREATE TABLE marks (n INTEGER)')
    const end = load(db)
    await pause(1_000)
    const failedAt = performance.now()
    await fail()
    const backAt = performance.now()
    await pause(10_000)
    const calls = (await end()).filter(call => call.end > failedAt)
    const failed = calls.filter(({ code }) => code !== undefined)
    const longest = Math.max(0, ...failed.map(({ begin, end }) => end - begin))
    const successes = calls.filter(({ isRead, code, begin }) => !isRead && code === undefined && begin > backAt)
    const success = Math.min(...successes.map(({ end }) => end))
    const [reads, writes] = [true, false].map(isRead => codesOf(failed.filter(call => call.isRead === isRead)))
    const times = [failed.length === 0 ? '–' : seconds(longest), seconds(backAt - failedAt), seconds(success - failedAt)]
    return `| ${[name, reads, writes, ...times].join(' | ')} |`
  } finally {
    await db.close()
    await stop()
  }
}

const words = process.argv.slice(2)
const head = [
  'what happens to the server',
  'reads that fail',
  'writes that fail',
  'the longest of these',
  'a server is there after',
  'a write succeeds after'
]
const rows = [`| ${head.join(' | ')} |`, '|---|---|---|--:|--:|--:|']
for (const [name, start] of Object.entries(SCENES)) {
  if (words.length > 0 && !words.some(word => name.includes(word))) continue
  rows.push(await play(name, start))
  console.log(rows.at(-1))
}

if (words.length === 0) {
  const file = join(import.meta.dirname, '..', 'docs', 'failures.md')
  const figures = /(?<=<!-- figures -->\n).*(?=<!-- \/figures -->)/s
  writeFileSync(file, readFileSync(file, 'utf8').replace(figures, `${rows.join('\n')}\n`))
}
