/** The suite on versions of Postgres. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { startPostgres } from '../../src/tools/servers/postgres.ts'
import { home, root, versionsOf } from './home.ts'

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
async function runOn(version: string, words: readonly string[]): Promise<boolean> {
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

export async function runPostgres(parameters: readonly string[]): Promise<boolean> {
  const known = versionsOf('pg')
  const wanted = parameters.filter(parameter => /^\d/.test(parameter))
  const words = parameters.filter(parameter => !/^\d/.test(parameter))
  const unknown = wanted.filter(version => !known.includes(version))
  if (unknown.length > 0) throw new Error(`No version ${unknown.join(', ')}; there are ${known.join(', ')}.`)
  let isRight = true
  for (const version of wanted.length > 0 ? wanted : known) if (!(await runOn(version, words))) isRight = false
  return isRight
}
