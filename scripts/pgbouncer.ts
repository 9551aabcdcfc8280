/** A private PgBouncer in transaction mode before a server, for tests. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, hold, ownDirectory, ownerOfServers, waitUntilReady } from '../src/tools/servers/private-server.ts'

export interface Pooler {
  /** The URL of the same database, through the pooler. */
  readonly url: string
  /** Ends it at once, as a crash would, and starts it again. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** Starts PgBouncer, with a pool of 3, before the server that the URL names; more settings are lines of its file. */
export async function startPgBouncer(url: string, more: readonly string[] = []): Promise<Pooler> {
  const target = new URL(url)
  const owner = ownerOfServers()
  const directory = ownDirectory('pgbouncer', owner)
  const port = await freePort()
  const settings = [
    '[databases]',
    `* = host=${target.hostname} port=${target.port} user=${decodeURIComponent(target.username)}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    'pool_mode = transaction',
    'default_pool_size = 3',
    'max_client_conn = 500',
    ...more
  ]
  writeFileSync(join(directory, 'pgbouncer.ini'), `${settings.join('\n')}\n`)
  const server = hold(['pgbouncer', '-q', join(directory, 'pgbouncer.ini')], directory, owner, { endSignal: 'TERM' })
  target.hostname = '127.0.0.1'
  target.port = String(port)
  await waitUntilReady(target.href)
  return {
    url: target.href,
    stop: server.stop,
    async restart() {
      server.restart('KILL')
      await waitUntilReady(target.href)
    }
  }
}
