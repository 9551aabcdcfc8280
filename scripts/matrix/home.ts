/** What the parts of the matrix share: its programs, temporary projects, and running things. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

export const root = join(import.meta.dirname, '..', '..')
export const home = import.meta.dirname

/** Installs the programs, when that was not done before. */
export function installMatrix(): void {
  const { dependencies } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { dependencies: object }
  if (Object.keys(dependencies).every(name => existsSync(join(home, 'node_modules', name)))) return
  // The install scripts make nothing but links, which the servers make anew.
  const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: home, stdio: 'inherit' })
  if (status !== 0) throw new Error('Cannot install the programs of the matrix; see above.')
}

/** The versions of a program by the names of their packages, such as `node20`. */
export function versionsOf(program: string): string[] {
  const { dependencies } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { dependencies: object }
  return Object.keys(dependencies).flatMap(name => new RegExp(`^${program}(\\d+)`).exec(name)?.[1] ?? [])
}

export const BUN = join(home, 'node_modules', '@oven', 'bun-linux-x64', 'bin', 'bun')
export const DENO = join(home, 'node_modules', '@deno', 'linux-x64-glibc', 'deno')

/** The environment in which a version of Node.js is `node`. Other registries than npm's own are those of npm. */
export function environmentOf(node: string): NodeJS.ProcessEnv {
  const registry = spawnSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).stdout.trim()
  const path = [join(home, 'node_modules', `node${node}`, 'bin'), process.env.PATH].join(delimiter)
  return {
    ...process.env,
    PATH: path,
    npm_config_registry: registry,
    YARN_REGISTRY: registry,
    YARN_NPM_REGISTRY_SERVER: registry,
    BUN_CONFIG_REGISTRY: registry
  }
}

/** Runs a command; ends it after an hour, the suite's time on a slow machine. */
export function run(command: string, parameters: readonly string[], cwd: string, env: NodeJS.ProcessEnv): SpawnSyncReturns<string> {
  return spawnSync(command, parameters, { cwd, env, encoding: 'utf8', maxBuffer: 1e9, timeout: 3_600_000 })
}

/** Does something in a temporary directory. */
export async function inDirectory<T>(work: (directory: string) => T | Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'duolect-matrix-'))
  try {
    return await work(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Packs duolect into a directory and returns the file. */
export function pack(directory: string): string {
  const { status, stderr, stdout } = run('npm', ['pack', '--pack-destination', directory, '--silent'], root, process.env)
  if (status !== 0) throw new Error(`Cannot pack duolect: ${stderr}`)
  return join(directory, stdout.trim().split('\n').at(-1) as string)
}

/** Copies the files of the repository, committed or not. */
export function copyProject(directory: string): void {
  const { stdout } = run('git', ['ls-files', '-co', '--exclude-standard', '-z'], root, process.env)
  for (const file of stdout.split('\0')) {
    if (file !== '' && existsSync(join(root, file))) cpSync(join(root, file), join(directory, file))
  }
}

/** Prints rows below each other, the columns in line. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map(row => row[i]?.length ?? 0)))
  for (const row of rows)
    console.log(
      row
        .map((cell, i) => cell.padEnd(widths[i] as number))
        .join('  ')
        .trimEnd()
    )
}
