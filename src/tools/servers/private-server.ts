/** Servers of our own: on the loopback interface, and gone when this process is. */
import { spawn } from 'node:child_process'
import { chownSync, mkdtempSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { connect, MissingPackage } from './connect.ts'

/** Who the server's processes run as; undefined for the user of this process. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** Postgres and PgBouncer refuse to run as root; then it is `postgres`, else `nobody`. */
export function ownerOfServers(): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined
  for (const name of ['postgres', 'nobody']) {
    const entry = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .map(line => line.split(':'))
      .find(fields => fields[0] === name)
    if (entry) return { uid: Number(entry[2]), gid: Number(entry[3]) }
  }
  throw new Error(`Postgres does not run as root (${userInfo().username}), and there is no user "postgres" or "nobody".`)
}

/** A temporary directory that the servers' user may write. */
export function ownDirectory(name: string, owner: Owner | undefined): string {
  const directory = mkdtempSync(join(tmpdir(), `duolect-${name}-`))
  if (owner) chownSync(directory, owner.uid, owner.gid)
  return directory
}

export interface HeldServer {
  /** Ends the server by a signal and starts it again. */
  restart(signal: string): void
  /** Ends the server and removes its directory; does nothing when called again. */
  stop(): Promise<void>
}

/**
 * Starts a server in the hands of a shell: when our end of the shell's input closes, and be it by SIGKILL, the
 * server ends too. A line of input is a signal for the server, after which it starts again.
 */
export function hold(
  command: readonly string[],
  directory: string,
  owner: Owner | undefined,
  { env = process.env, endSignal = 'QUIT' }: { env?: NodeJS.ProcessEnv; endSignal?: string } = {}
): HeldServer {
  const script = `
    while true; do
      "$@" </dev/null & server=$!
      read signal || break
      kill -$signal $server
      wait $server
    done
    kill -${endSignal} $server
    wait $server
    cd /
    rm -rf "$DIRECTORY"`
  const child = spawn('sh', ['-c', script, 'sh', ...command], {
    ...owner,
    env: { ...env, DIRECTORY: directory },
    cwd: directory,
    stdio: ['pipe', 'ignore', process.env.DEBUG_SERVERS ? 'inherit' : 'ignore'],
    // Ctrl+C must reach us alone, as it is us who end the server.
    detached: true
  })
  const ended = new Promise<void>(resolve => child.once('exit', () => resolve()))
  return {
    restart: signal => {
      child.stdin?.write(`${signal}\n`)
    },
    stop() {
      child.stdin?.end()
      return ended
    }
  }
}

/** Resolves when a client can connect. `DEBUG_SERVERS=1` shows what the server says. */
export async function waitUntilReady(url: string): Promise<void> {
  const deadline = Date.now() + 30_000
  while (true) {
    try {
      const client = await connect(url)
      await client.end()
      return
    } catch (error) {
      if (error instanceof MissingPackage || Date.now() > deadline) throw error
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
}

/** A port that nobody uses. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
