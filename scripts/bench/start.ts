/** What a process pays before its first row, and what an installation takes. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build, type Plugin } from 'esbuild'
import { nodeWithSqlite } from './node24.ts'
import type { BundleResult, InstallResult, StartResult } from './report.ts'
import { median, rounded, spread } from './statistics.ts'

/** Contestants whose starts are compared with that of the first, and the programs that they run. */
interface Group {
  readonly dialect: 'sqlite' | 'postgres'
  readonly node: string
  readonly programs: Readonly<Record<string, string>>
}

function groups(): Group[] {
  const node = process.execPath
  const withSqlite = nodeWithSqlite()
  return [
    { dialect: 'sqlite', node, programs: { raw: 'sqlite-raw', duolect: 'sqlite-duolect', knex: 'sqlite-knex' } },
    { dialect: 'postgres', node, programs: { raw: 'postgres-raw', duolect: 'postgres-duolect', knex: 'postgres-knex' } },
    ...(withSqlite === undefined
      ? []
      : [
          {
            dialect: 'sqlite' as const,
            node: withSqlite,
            programs: { 'node:sqlite': 'node-sqlite-raw', 'duolect on node:sqlite': 'node-sqlite-duolect' }
          }
        ])
  ]
}

// Cold start ----------------------------------------------------------------------------------------------------

/** Starts a program, and returns the ms until its first line and the bytes of memory it had at its end. */
function startOnce(node: string, program: string, location: string): Promise<{ milliseconds: number; rss: number }> {
  const start = performance.now()
  const child = spawn(node, [program, location], { stdio: ['ignore', 'pipe', 'inherit'], env: environment() })
  let milliseconds = Number.NaN
  let output = ''
  child.stdout.on('data', data => {
    if (Number.isNaN(milliseconds)) milliseconds = performance.now() - start
    output += String(data)
  })
  return new Promise((resolve, reject) => {
    child.once('close', status => {
      const rss = Number(/^rss (\d+)$/m.exec(output)?.[1])
      if (status === 0 && output.startsWith("{ name: 'first' }")) resolve({ milliseconds, rss })
      else reject(new Error(`${program} ended with status ${status} and said: ${output}`))
    })
  })
}

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, NODE_ENV: 'production', DATABASE: '', DATA_DIR: '' }
}

function countFiles(node: string, program: string, location: string, directory: string): number {
  const list = join(directory, 'files')
  const env = { ...environment(), COUNT_FILES: list }
  execFileSync(node, ['--import', join(import.meta.dirname, 'cold', 'count.mjs'), program, location], { env, stdio: 'ignore' })
  const files = readFileSync(list, 'utf8')
    .split('\n')
    .filter(file => file !== '' && !file.endsWith('count.mjs') && !file.endsWith('end.mjs'))
  rmSync(list)
  return new Set(files).size
}

/** Each contestant has a database of its own, whose tables are there after the first start, which is not timed. */
export async function measureStarts(
  rounds: number,
  directory: string,
  databaseUrl: (name: string) => Promise<string>
): Promise<StartResult[]> {
  const results: StartResult[] = []
  for (const { dialect, node, programs } of groups()) {
    const contestants = Object.keys(programs)
    const program = (name: string) => join(import.meta.dirname, 'cold', `${programs[name]}.mjs`)
    const places = new Map<string, string>()
    for (const name of contestants) {
      const isSqlite = dialect === 'sqlite'
      places.set(name, isSqlite ? join(mkdtempSync(join(directory, 'start-')), 'db.sqlite') : await databaseUrl(`start_${name}`))
    }
    const place = (name: string) => places.get(name) as string
    const samples = new Map(contestants.map(name => [name, { milliseconds: [] as number[], rss: [] as number[] }]))
    for (const name of contestants) await startOnce(node, program(name), place(name))
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < contestants.length; i++) {
        const name = contestants[(i + round) % contestants.length] as string
        const { milliseconds, rss } = await startOnce(node, program(name), place(name))
        samples.get(name)?.milliseconds.push(milliseconds)
        samples.get(name)?.rss.push(rss)
      }
    }
    const base = samples.get(contestants[0] as string)?.milliseconds ?? []
    for (const [name, { milliseconds, rss }] of samples) {
      results.push({
        dialect,
        contestant: name,
        milliseconds: rounded(median(milliseconds)),
        spread: rounded(spread(milliseconds), 2),
        overRaw: rounded(median(milliseconds.map((value, i) => value - (base[i] as number))), 3),
        rssMegabytes: rounded(median(rss) / 1e6, 3),
        files: countFiles(node, program(name), place(name), directory)
      })
    }
  }
  return results
}

// Sizes ---------------------------------------------------------------------------------------------------------

const DRIVERS = ['better-sqlite3', 'pg']
/** The other databases' drivers, which knex and drizzle look for. */
const OTHERS = ['mysql', 'mysql2', 'oracledb', 'sqlite3', 'tedious', 'pg-query-stream', 'pg-native', 'libsql', 'mariadb']

const OWN = `import { createDatabase, sql } from ${JSON.stringify(join(import.meta.dirname, '..', '..', 'src', 'index.ts'))}
console.log(createDatabase, sql)`

/** duolect with its own two drivers, which the core loads when they are needed. */
const WITH_DRIVERS = 'duolect and its drivers'

const ENTRIES: Record<string, () => string> = {
  duolect: () => OWN,
  [WITH_DRIVERS]: () => OWN,
  kysely: () =>
    "import { Kysely, PostgresDialect, SqliteDialect, sql } from 'kysely'\nconsole.log(Kysely, PostgresDialect, SqliteDialect, sql)",
  drizzle: () => `
    import { eq, sql } from 'drizzle-orm'
    import { drizzle as onSqlite } from 'drizzle-orm/better-sqlite3'
    import { drizzle as onPostgres } from 'drizzle-orm/node-postgres'
    import { pgTable } from 'drizzle-orm/pg-core'
    import { sqliteTable } from 'drizzle-orm/sqlite-core'
    console.log(eq, sql, onSqlite, onPostgres, pgTable, sqliteTable)`,
  knex: () => "import knex from 'knex'\nconsole.log(knex)"
}

/** Leaves out what a module imports on first use. */
const WITHOUT_LATER: Plugin = {
  name: 'without later',
  setup({ onResolve }) {
    onResolve({ filter: /^\./ }, ({ kind, path }) => (kind === 'dynamic-import' ? { path, external: true } : undefined))
  }
}

/** The size of what a bundler makes of each, the drivers' packages left out; of duolect also without what it loads on first use, which is its core. */
export async function measureBundles(): Promise<BundleResult[]> {
  const results: BundleResult[] = []
  for (const [contestant, entry] of Object.entries(ENTRIES)) {
    const { outputFiles } = await build({
      stdin: { contents: entry(), resolveDir: import.meta.dirname },
      bundle: true,
      minify: true,
      format: 'esm',
      platform: 'node',
      external: [...DRIVERS, ...OTHERS],
      plugins: contestant === 'duolect' ? [WITHOUT_LATER] : [],
      write: false,
      logLevel: 'error'
    })
    const [output] = outputFiles
    if (output === undefined) throw new Error(`esbuild made nothing of ${contestant}.`)
    results.push({ contestant, minified: output.contents.length, gzipped: gzipSync(output.contents, { level: 9 }).length })
  }
  return results
}

interface Manifest {
  readonly name: string
  readonly dependencies?: Record<string, string>
}

/** A package's folder, looked for as Node does. */
function folderOf(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = join(folder, '..')) {
    const candidate = join(folder, 'node_modules', name)
    if (statSync(join(candidate, 'package.json'), { throwIfNoEntry: false })) return candidate
    if (folder === join(folder, '..')) return undefined
  }
}

function sizeOf(folder: string): number {
  let size = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name === 'node_modules') continue
    const path = join(folder, entry.name)
    size += entry.isDirectory() ? sizeOf(path) : entry.isFile() ? statSync(path).size : 0
  }
  return size
}

/** What an installation without the drivers takes: the package and all that it depends on. */
export function measureInstalls(root: string): InstallResult[] {
  const packages = { kysely: 'kysely', drizzle: 'drizzle-orm', knex: 'knex' }
  const found = (folder: string, into: Map<string, number>): Map<string, number> => {
    const { dependencies = {} } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
    for (const name of Object.keys(dependencies)) {
      const dependency = folderOf(name, folder)
      if (dependency === undefined || into.has(dependency)) continue
      into.set(dependency, sizeOf(dependency))
      found(dependency, into)
    }
    return into
  }
  const total = (contestant: string, own: number, folder: string): InstallResult => {
    const others = found(folder, new Map())
    return { contestant, bytes: own + [...others.values()].reduce((sum, size) => sum + size, 0), packages: others.size + 1 }
  }
  const ownFiles = ['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE'].map(file => statSync(join(root, file)).size)
  const own = sizeOf(join(import.meta.dirname, 'node_modules', 'duolect', 'dist')) + ownFiles.reduce((sum, size) => sum + size, 0)
  const others = Object.entries(packages).map(([contestant, name]) => {
    const folder = folderOf(name, import.meta.dirname) as string
    return total(contestant, sizeOf(folder), folder)
  })
  return [total('duolect', own, root), ...others]
}
