/**
 * Measures duolect against the bare drivers, postgres.js, drizzle, kysely, knex and keyv. CONTRIBUTING.md tells the options.
 *
 * This file only sees to what must be there, starts the parts, and hands on their results.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync
} from 'node:fs'
import { arch, cpus, platform, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { startPostgres } from '../../src/tools/servers/postgres.ts'
import { chartOf } from './chart.ts'
import { CONTESTANTS, type ContestantName, type Dialect, floorOf, isOnNodeSqlite, type Target } from './contestant.ts'
import { measureDelays } from './delays.ts'
import type { HotResult, HotTask } from './hot.ts'
import { nodeWithSqlite } from './node24.ts'
import { Worker } from './process.ts'
import {
  atSizeReport,
  type BenchResult,
  END_MARK,
  names,
  performancePage,
  readmeBlock,
  START_MARK,
  terminalReport,
  type WorkloadResult
} from './report.ts'
import type { SizeResult, SizeTask } from './size.ts'
import { sizeChartOf } from './size-chart.ts'
import { measureSlowReads } from './slow-reads.ts'
import { median, ratio, rounded, spread } from './statistics.ts'
import type { Workload } from './workloads.ts'

const directory = import.meta.dirname
const root = join(directory, '..', '..')

const HELP = `npm run bench -- [options]
  --quick           fewer and shorter rounds: under 2 minutes
  --rounds N        how many rounds (default 9; with --quick 3)
  --only WORD       only the workload of that name, or all workloads and parts that have it in their names:
                    "sqlite get 1", "postgres", "start", "size", "delay", "slow", "memory"
  --size            only the key-value store with up to 10 million keys, and with one that all
                    callers change: under 15 minutes
  --memory          the memory part too: 10 minutes, or --minutes N
  --json FILE       writes the result into a file
  --write           writes docs/performance.json, .md and .svg, and the README's figures; not with --quick or --only;
                    with --size only that part of them
With BENCH_PROFILE=directory, each contestant writes a CPU profile there.`

// What is wanted ------------------------------------------------------------------------------------------------

interface Options {
  readonly rounds: number
  readonly milliseconds: number
  readonly isQuick: boolean
  readonly only: string | undefined
  /** undefined leaves the memory part out. */
  readonly minutes: number | undefined
  readonly json: string | undefined
  readonly write: boolean
  readonly isSize: boolean
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      only: { type: 'string' },
      memory: { type: 'boolean', default: false },
      minutes: { type: 'string' },
      json: { type: 'string' },
      write: { type: 'boolean', default: false },
      size: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return undefined
  const rounds = values.rounds === undefined ? (values.quick ? 3 : 9) : Number(values.rounds)
  if (!(Number.isInteger(rounds) && rounds > 0)) throw new Error(`--rounds takes a whole number from 1, got ${values.rounds}.`)
  const minutes = values.minutes === undefined ? 10 : Number(values.minutes)
  if (!(minutes > 0)) throw new Error(`--minutes takes a number above 0, got ${values.minutes}.`)
  if (values.write && (values.quick || values.only !== undefined || rounds < 9)) {
    throw new Error('--write stores a whole result of at least 9 rounds; leave out --quick, --only and --rounds.')
  }
  return {
    rounds,
    milliseconds: values.quick ? 15 : 150,
    isQuick: values.quick,
    only: values.only,
    minutes: values.memory || values.minutes !== undefined ? minutes : undefined,
    json: values.json,
    write: values.write,
    isSize: values.size
  }
}

// What must be there --------------------------------------------------------------------------------------------

/** The contestants' packages; the drivers that some bring are removed, so that all take the project's own. */
function install(): void {
  const modules = join(directory, 'node_modules')
  const lock = readFileSync(join(directory, 'package-lock.json'), 'utf8')
  const mark = join(modules, '.installed')
  if (!existsSync(mark) || readFileSync(mark, 'utf8') !== lock) {
    console.log('Installing the contestants: npm ci')
    const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
      cwd: directory,
      stdio: 'inherit',
      shell: platform() === 'win32'
    })
    if (status !== 0) throw new Error('The contestants could not be installed.')
    writeFileSync(mark, lock)
  }
  for (const driver of ['pg', 'better-sqlite3']) rmSync(join(modules, driver), { recursive: true, force: true })
}

/** duolect as it is published, and the worker as plain JavaScript, so that no loader is in the way of what is timed. */
async function compile(): Promise<string> {
  // As dist/ is made, but in a place of its own: a build in the middle of a run must not change what is measured.
  const outdir = join(directory, 'dist')
  rmSync(outdir, { recursive: true, force: true })
  const { buildPackage } = await import('../build.ts')
  const installed = join(directory, 'node_modules', 'duolect')
  await buildPackage(join(installed, 'dist'))
  copyFileSync(join(root, 'package.json'), join(installed, 'package.json'))
  const { build } = await import('esbuild')
  await build({
    entryPoints: [join(directory, 'worker.ts')],
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    splitting: true,
    logLevel: 'error'
  })
  return join(outdir, 'worker.mjs')
}

function versions(): Record<string, string> {
  const version = (...path: string[]) => (JSON.parse(readFileSync(join(...path, 'package.json'), 'utf8')) as { version: string }).version
  const ofProject = ['better-sqlite3', 'pg'].map(name => [name, version(root, 'node_modules', name)])
  const ofBench = ['postgres', 'drizzle-orm', 'kysely', 'knex', 'keyv'].map(name => [name, version(directory, 'node_modules', name)])
  const node = nodeWithSqlite()
  const ofNode =
    node === undefined
      ? []
      : [['Node.js with node:sqlite', execFileSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' }).trim()]]
  return Object.fromEntries([['Node.js', process.versions.node], ...ofNode, ['duolect', version(root)], ...ofProject, ...ofBench])
}

function describeMachine(place: string): BenchResult['machine'] {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown CPU',
    cores: cpus().length,
    memoryGigabytes: Math.round(totalmem() / 1e9),
    system: `${platform()} ${release()} ${arch()}`,
    syncMilliseconds: rounded(timeSync(place), 2)
  }
}

function timeSync(place: string): number {
  const file = openSync(join(place, 'sync'), 'w')
  const block = Buffer.alloc(4096, 1)
  const samples = Array.from({ length: 101 }, () => {
    const start = performance.now()
    writeSync(file, block)
    fsyncSync(file)
    return performance.now() - start
  })
  closeSync(file)
  return median(samples)
}

// The parts -----------------------------------------------------------------------------------------------------

type Place = (name: string) => Promise<string>

/** Where each contestant of a part has its database: a new file, or a new database of the server. */
function placesOf(dialect: Dialect, part: string, temporary: string, url: string): Place {
  return dialect === 'sqlite'
    ? async name => join(mkdtempSync(join(temporary, `${part}-`)), `${name}.sqlite`)
    : name => createDatabaseOn(url, `${part}_${name}`)
}

/** Has a new process of duolect do some work. */
async function inProcess<T>(file: string, target: Target, work: (worker: Worker) => Promise<T>): Promise<T> {
  const worker = new Worker(file, 'duolect', target)
  try {
    return await work(worker)
  } finally {
    worker.kill()
  }
}

function contestantsOn(dialect: Dialect): ContestantName[] {
  const hasNodeSqlite = dialect === 'sqlite' && nodeWithSqlite() !== undefined
  if (dialect === 'sqlite' && !hasNodeSqlite) console.log('There is no Node.js 24 here, so node:sqlite is left out.')
  return CONTESTANTS.filter(name => (hasNodeSqlite || !isOnNodeSqlite(name)) && (dialect === 'postgres' || name !== 'postgres.js'))
}

async function withWorkers<T>(
  contestants: readonly ContestantName[],
  dialect: Dialect,
  file: string,
  place: Place,
  work: (workers: Worker[]) => Promise<T>
): Promise<T> {
  const workers: Worker[] = []
  try {
    for (const name of contestants) {
      const worker = new Worker(file, name, { dialect, location: await place(name) })
      workers.push(worker)
      await worker.open()
    }
    const result = await work(workers)
    for (const worker of workers) await worker.close()
    return result
  } finally {
    for (const worker of workers) worker.kill()
  }
}

async function measureWorkload(workload: Workload, workers: readonly Worker[], options: Options): Promise<WorkloadResult> {
  const { id, title, dialect, width, unit, scale = 1 } = workload
  const { milliseconds } = options
  // One call of these is longer than a round.
  const isLong = workload.before !== undefined
  const rounds = isLong && options.isQuick ? 1 : options.rounds
  const able: Worker[] = []
  for (const worker of workers) if (await worker.call('check', id)) able.push(worker)
  const counts = new Map<Worker, number>()
  for (const worker of able) counts.set(worker, isLong && options.isQuick ? 1 : await worker.call('calibrate', id, milliseconds))
  const rates = new Map(able.map(worker => [worker.name, [] as number[]]))
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < able.length; i++) {
      const worker = able[(i + round) % able.length] as Worker
      const count = counts.get(worker) as number
      const taken = await worker.call('run', id, count)
      rates.get(worker.name)?.push((count * scale * 1000) / taken)
    }
  }
  for (const worker of able) await worker.call('verify', id)
  const contestants = able.map(({ name }) => {
    const own = rates.get(name) as number[]
    const base = { toRaw: rates.get(floorOf(name)), toPostgresJs: rates.get('postgres.js'), toKnex: rates.get('knex') }
    return {
      contestant: name,
      rate: rounded(median(own)),
      spread: rounded(spread(own), 2),
      ...(base.toRaw && { toRaw: rounded(ratio(own, base.toRaw), 3) }),
      ...(base.toPostgresJs && { toPostgresJs: rounded(ratio(own, base.toPostgresJs), 3) }),
      ...(base.toKnex && { toKnex: rounded(ratio(own, base.toKnex), 3) })
    }
  })
  return { id, title, dialect, width, unit, contestants }
}

async function measure(options: Options, file: string, temporary: string, url: string): Promise<BenchResult> {
  const { WORKLOADS } = await import('./workloads.ts')
  const { only } = options
  const isExact = WORKLOADS.some(({ id }) => id === only)
  const isWanted = (name: string) => only === undefined || (isExact ? name === only : name.includes(only))
  if (only !== undefined && ![...WORKLOADS.map(({ id }) => id), 'start', 'size', 'delay', 'slow', 'memory'].some(isWanted)) {
    throw new Error(`No workload or part has "${only}" in its name. The workloads: ${WORKLOADS.map(({ id }) => id).join(', ')}.`)
  }
  const say = (text: string) => process.stderr.write(`${((performance.now() - begin) / 1000).toFixed(0).padStart(4)} s  ${text}\n`)
  const begin = performance.now()
  const databaseUrl = (name: string) => createDatabaseOn(url, name)
  const placeOf = (dialect: Dialect, part: string) => placesOf(dialect, part, temporary, url)

  const workloads: WorkloadResult[] = []
  for (const dialect of ['sqlite', 'postgres'] as const) {
    const wanted = WORKLOADS.filter(workload => workload.dialect === dialect && isWanted(workload.id))
    if (wanted.length === 0) continue
    say(`${dialect}: opening`)
    await withWorkers(contestantsOn(dialect), dialect, file, placeOf(dialect, 'work'), async workers => {
      for (const workload of wanted) {
        say(workload.id)
        workloads.push(await measureWorkload(workload, workers, options))
      }
    })
  }

  const { measureStarts, measureBundles, measureInstalls } = await import('./start.ts')
  if (isWanted('start')) say('start')
  const starts = isWanted('start') ? await measureStarts(options.isQuick ? 1 : Math.max(15, options.rounds), temporary, databaseUrl) : []
  if (isWanted('size')) say('size')
  const bundles = isWanted('size') ? await measureBundles() : []
  const installs = isWanted('size') ? measureInstalls(root) : []

  let delays: BenchResult['delays'] = []
  if (isWanted('delay')) {
    say('delay')
    const milliseconds = options.isQuick ? 400 : 2000
    delays = await withWorkers(['raw', 'duolect', 'knex'], 'sqlite', file, placeOf('sqlite', 'delay'), workers =>
      measureDelays(workers, options.isQuick ? 1 : 3, milliseconds, root)
    )
  }

  let slowReads: BenchResult['slowReads']
  if (isWanted('slow')) {
    say('slow reads')
    slowReads = await withWorkers(['raw', 'duolect', 'postgres.js'], 'postgres', file, placeOf('postgres', 'slow'), workers =>
      measureSlowReads(workers, options.isQuick ? 1 : 5, options.isQuick ? 200 : 3000)
    )
  }

  const { minutes } = options
  let memory: BenchResult['memory']
  if (minutes !== undefined) {
    say(`memory, ${minutes} minutes`)
    const onOne = (dialect: Dialect) =>
      withWorkers(['duolect'], dialect, file, placeOf(dialect, 'memory'), async ([worker]) => ({
        dialect,
        ...(await (worker as Worker).call('memory', minutes))
      }))
    memory = await Promise.all([onOne('sqlite'), onOne('postgres')])
  }
  say('done')
  return {
    date: new Date().toISOString().slice(0, 10),
    rounds: options.rounds,
    milliseconds: options.milliseconds,
    machine: describeMachine(temporary),
    versions: { ...versions(), Postgres: await serverVersion(url) },
    workloads,
    starts,
    bundles,
    installs,
    delays,
    ...(slowReads && { slowReads }),
    ...(memory && { memory })
  }
}

/** Numbers of keys, and the pragmas that the larger are measured with, too. */
const SIZES: Record<Dialect, readonly number[]> = { sqlite: [1_000, 1_000_000, 5_000_000], postgres: [1_000_000, 10_000_000] }
const MORE_MEMORY = [{ cache_size: -262_144 }, { mmap_size: 2_147_483_648 }, { cache_size: -262_144, mmap_size: 2_147_483_648 }]

async function measureSizes(options: Options, file: string, temporary: string, url: string): Promise<SizeResult[]> {
  const results: SizeResult[] = []
  for (const dialect of ['sqlite', 'postgres'] as const) {
    const location = await placesOf(dialect, 'size', temporary, url)('duolect')
    let filled = 0
    for (const keys of SIZES[dialect]) {
      const task: SizeTask = { dialect, location, keys, pragmas: {}, milliseconds: options.isQuick ? 300 : 2000 }
      process.stderr.write(`${names[dialect]}, ${keys} keys\n`)
      await inProcess(file, task, worker => worker.call('fill', task, filled))
      filled = keys
      for (const pragmas of dialect === 'sqlite' && keys >= 1_000_000 ? [{}, ...MORE_MEMORY] : [{}]) {
        results.push(await inProcess(file, task, worker => worker.call('size', { ...task, pragmas: pragmas as SizeTask['pragmas'] })))
      }
    }
  }
  return results
}

/** One key that all callers change, without and with a reader of an old snapshot, each case in a new table. */
async function measureHotKey(options: Options, file: string, temporary: string, url: string): Promise<HotResult[]> {
  const results: HotResult[] = []
  for (const dialect of ['sqlite', 'postgres'] as const) {
    for (const hasReader of [false, true]) {
      process.stderr.write(`${names[dialect]}, one key${hasReader ? ', an old snapshot' : ''}\n`)
      const location = await placesOf(dialect, `hot_${hasReader}`, temporary, url)('duolect')
      const task: HotTask = { dialect, location, calls: options.isQuick ? 50_000 : 1_000_000, milliseconds: 90_000, hasReader }
      results.push(await inProcess(file, task, worker => worker.call('hot', task)))
    }
  }
  return results
}

async function measureAtSize(...parameters: Parameters<typeof measureSizes>): Promise<NonNullable<BenchResult['atSize']>> {
  const results = await measureSizes(...parameters)
  return { date: new Date().toISOString().slice(0, 10), results, hot: await measureHotKey(...parameters) }
}

/** Makes a database on the server, and returns its URL. */
async function createDatabaseOn(url: string, name: string): Promise<string> {
  await onServer(url, client => client.query(`CREATE DATABASE "${name}"`))
  const own = new URL(url)
  own.pathname = `/${name}`
  return own.href
}

function serverVersion(url: string): Promise<string> {
  return onServer(url, async client => ((await client.query('SHOW server_version')).rows[0] as { server_version: string }).server_version)
}

async function onServer<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

// -----------------------------------------------------------------------------------------------------------------

async function main(options: Options): Promise<void> {
  install()
  const file = await compile()
  const temporary = mkdtempSync(join(tmpdir(), 'duolect-bench-'))
  process.once('exit', () => rmSync(temporary, { recursive: true, force: true }))
  process.once('SIGINT', () => process.exit(130))
  // A vacuum in the middle of a round would be a matter of luck; the tables are vacuumed once they are filled.
  const server = await startPostgres(['autovacuum=off', 'shared_buffers=256MB'])
  try {
    const path = join(root, 'docs', 'performance.json')
    const stored = JSON.parse(readFileSync(path, 'utf8')) as BenchResult
    const result = options.isSize
      ? { ...stored, atSize: await measureAtSize(options, file, temporary, server.url) }
      : { ...(await measure(options, file, temporary, server.url)), ...(options.write && stored.atSize && { atSize: stored.atSize }) }
    console.log(`\n${options.isSize ? atSizeReport(result) : terminalReport(result)}`)
    const text = `${JSON.stringify(result, undefined, 2)}\n`
    if (options.json !== undefined) writeFileSync(options.json, text)
    if (options.write) {
      writeFileSync(path, text)
      writeFileSync(join(root, 'docs', 'performance.md'), performancePage(result))
      writeFileSync(join(root, 'docs', 'performance.svg'), chartOf(result))
      if (result.atSize !== undefined) writeFileSync(join(root, 'docs', 'performance-size.svg'), sizeChartOf(result.atSize.results))
      const readme = readFileSync(join(root, 'README.md'), 'utf8')
      const [before, behind] = [readme.split(START_MARK)[0], readme.split(END_MARK)[1]]
      if (behind === undefined) throw new Error(`README.md has no block from ${START_MARK} to ${END_MARK}.`)
      writeFileSync(join(root, 'README.md'), `${before}${readmeBlock(result)}${behind}`)
    }
  } finally {
    await server.stop()
  }
}

const options = readOptions()
if (options === undefined) console.log(HELP)
else await main(options)
