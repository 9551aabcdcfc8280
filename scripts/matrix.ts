/**
 * Runs the whole suite on each version of Postgres that `scripts/matrix/package.json` names, and prints a line for each.
 *
 * `npm run matrix` runs all; `npm run matrix -- 10 18` only those versions, `npm run matrix -- 10 kvs` only the test files
 * with "kvs" in their names. The programs are for Linux on x64, and are installed on the first run.
 */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { startPostgres } from '../src/tools/servers/postgres.ts'

const root = join(import.meta.dirname, '..')
const home = join(import.meta.dirname, 'matrix')

/** The versions by the names of their packages, such as `pg10-bin`. */
function versionsIn(file: string): string[] {
  const { dependencies } = JSON.parse(readFileSync(file, 'utf8')) as { dependencies: Record<string, string> }
  return Object.keys(dependencies).map(name => name.replace(/^pg(\d+)-bin$/, '$1'))
}

function install(): void {
  // The install scripts make nothing but the links, which restoreLinks() does wherever scripts may not run.
  const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: home, stdio: 'inherit' })
  if (status !== 0) throw new Error('Cannot install the versions of Postgres; see above.')
}

/** A package cannot hold symbolic links. */
function restoreLinks(native: string): void {
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    const link = join(native, '..', target)
    if (existsSync(link)) continue
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(source.split('/').at(-1) as string, link)
  }
}

async function serverVersion(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ server_version: string }>('SHOW server_version')
    return rows[0]?.server_version as string
  } finally {
    await client.end()
  }
}

/** A line of the test runner's summary, such as `ℹ pass 812`. */
function count(output: string, name: string): number {
  return Number(new RegExp(`^\\W*${name} (\\d+)$`, 'm').exec(output)?.[1] ?? 0)
}

/** The failures, which the test runner repeats at the end, and what the checks said. */
function whatFailed({ stdout, stderr }: SpawnSyncReturns<string>): string {
  const [, failures = ''] = stdout.split(/^.*failing tests:$/m)
  return failures + stderr
}

/** Runs the suite; the server of the suite and those that tests start for themselves are of the same version. */
async function runOn(version: string): Promise<boolean> {
  const native = join(home, 'node_modules', `pg${version}-bin`, 'native')
  restoreLinks(native)
  process.env.PG_BIN = join(native, 'bin')
  const server = await startPostgres()
  const start = performance.now()
  let reached: string
  let suite: SpawnSyncReturns<string>
  try {
    reached = await serverVersion(server.url)
    suite = spawnSync(process.execPath, ['--import', 'tsx', join('scripts', 'test.ts'), ...words], {
      cwd: root,
      env: { ...process.env, TEST_PG_URL: server.url },
      encoding: 'utf8',
      maxBuffer: 1e9
    })
  } finally {
    await server.stop()
  }
  const isRight = reached.startsWith(version)
  const output = suite.stdout
  const failed = count(output, 'fail') + count(output, 'cancelled')
  if (suite.status !== 0) console.error(whatFailed(suite))
  const seconds = Math.round((performance.now() - start) / 1000)
  console.log(`server_version ${reached}: ${count(output, 'pass')} tests passed, ${failed} failed, ${seconds} s`)
  return suite.status === 0 && isRight
}

if (!existsSync(join(home, 'node_modules'))) install()
const known = versionsIn(join(home, 'package.json'))
const wanted = process.argv.slice(2).filter(argument => /^\d/.test(argument))
const words = process.argv.slice(2).filter(argument => !/^\d/.test(argument))
const strange = wanted.filter(version => !known.includes(version))
if (strange.length > 0) throw new Error(`No version ${strange.join(', ')}; there are ${known.join(', ')}.`)
for (const version of wanted.length > 0 ? wanted : known) {
  if (!(await runOn(version))) process.exitCode = 1
}
