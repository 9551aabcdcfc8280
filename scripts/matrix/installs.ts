/** A fresh project by each package manager on each version of Node.js, and a program that uses duolect in it. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BUN, environmentOf, home, inDirectory, pack, printTable, run, versionsOf } from './home.ts'
import { outcomeOf } from './runtimes.ts'

interface Manager {
  /** The commands that install packages, with `node` in front where it is a script. */
  readonly command: readonly string[]
  readonly add: readonly string[]
  /** Files that the project has before. */
  readonly files?: Readonly<Record<string, string>>
  /** What runs a program. @default node */
  readonly start?: readonly string[]
}

const script = (...path: string[]) => ['node', join(home, 'node_modules', ...path)]
const BERRY = script('yarn-berry', 'bin', 'yarn.js')

const MANAGERS: Readonly<Record<string, Manager>> = {
  'npm 10': { command: script('npm10', 'bin', 'npm-cli.js'), add: ['install', '--no-audit', '--no-fund'] },
  'npm 11': { command: script('npm11', 'bin', 'npm-cli.js'), add: ['install', '--no-audit', '--no-fund'] },
  'npm 12': { command: script('npm12', 'bin', 'npm-cli.js'), add: ['install', '--no-audit', '--no-fund'] },
  'pnpm 10': { command: script('pnpm10', 'bin', 'pnpm.cjs'), add: ['add'] },
  'yarn classic': { command: script('yarn-classic', 'bin', 'yarn.js'), add: ['add', '--non-interactive'] },
  'berry, node_modules': { command: BERRY, add: ['add'], files: { '.yarnrc.yml': 'nodeLinker: node-modules\n', 'yarn.lock': '' } },
  'berry, PnP': { command: BERRY, add: ['add'], files: { 'yarn.lock': '' }, start: [...BERRY, 'node'] },
  bun: { command: [BUN], add: ['add'] }
}

/** What a user installs on SQLite: as README says for this version of Node.js, and nothing beside where it needs nothing. */
function driversFor(version: string): string[] {
  if (version === '20') return ['better-sqlite3@12']
  return Number(version) < 24 ? ['better-sqlite3'] : []
}

export async function runInstalls(words: readonly string[]): Promise<boolean> {
  return inDirectory(directory => {
    const tarball = pack(directory)
    const versions = versionsOf('node')
    const rows = [['package manager', ...versions.map(version => `Node.js ${version}`)]]
    for (const [name, manager] of Object.entries(MANAGERS)) {
      if (words.length > 0 && !words.some(word => name.includes(word))) continue
      const cells = versions.map(version => tryManager(join(directory, `${name} ${version}`), manager, version, tarball))
      rows.push([name, ...cells])
      console.error(`${name}: ${cells.join(' · ')}`)
    }
    printTable(rows)
    return rows.slice(1).every(([, ...cells]) => cells.every(cell => cell === 'works'))
  })
}

function tryManager(folder: string, { command, add, files = {}, start = ['node'] }: Manager, version: string, tarball: string): string {
  mkdirSync(folder)
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'project', private: true, type: 'module', allowScripts: { 'better-sqlite3': true } })
  )
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  cpSync(join(home, 'program.mjs'), join(folder, 'program.mjs'))
  const env = environmentOf(version)
  const [program, ...options] = command as [string, ...string[]]
  const installed = run(program, [...options, ...add, `duolect@file:${tarball}`, ...driversFor(version)], folder, env)
  if (installed.status !== 0) return `install: ${(installed.stderr || installed.stdout).trim().split('\n').at(-1)}`
  const [starter, ...starting] = start as [string, ...string[]]
  return outcomeOf(run(starter, [...starting, 'program.mjs'], folder, { ...env, DATABASE: '', DATA_DIR: '' }))
}
