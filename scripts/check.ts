/** What must hold beside the tests: format and lint, types, the compiled SQL, the rooms of `src/`, the lock file. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative } from 'node:path'
import { findUnchecked } from './check-sql.ts'
import { findDrift } from './compile-sql.ts'

const root = join(import.meta.dirname, '..')

/** What every driver may import. */
const DRIVER = [
  'adapter.ts',
  'cache.ts',
  'clock.ts',
  'config.ts',
  'errors.ts',
  'lexer.ts',
  'shapes.ts',
  'statement.ts',
  'turns.ts',
  'values.ts',
  'drivers/package.ts'
]

/** For what runs on a developer's machine. */
const ANYTHING = '*'

/** What runs on an adapter: the store, the users, handles. */
const ON_ADAPTER = ['adapter.ts', 'errors.ts', 'execute.ts', 'queries.ts']

/**
 * Which files of `src/` a file may import. The first row whose name begins the file's path counts; a name that ends
 * in / stands for the folder. Only database.ts knows the drivers, and loads them when they are needed.
 */
const ROOMS: readonly (readonly [file: string, mayImport: readonly string[]])[] = [
  ['errors.ts', []],
  ['cache.ts', []],
  ['clock.ts', []],
  ['shapes.ts', []],
  ['turns.ts', ['clock.ts']],
  ['nearest.ts', []],
  ['kvs/limits.ts', []],
  ['queries.generated.ts', []],
  ['drivers/package.ts', []],
  ['adapter.ts', ['errors.ts']],
  ['lexer.ts', ['adapter.ts']],
  ['tracing.ts', ['adapter.ts', 'clock.ts']],
  ['json.ts', ['errors.ts']],
  ['scope.ts', ['errors.ts', 'shapes.ts']],
  ['config-check.ts', ['errors.ts', 'nearest.ts']],
  ['postgres-url.ts', ['config-check.ts', 'errors.ts', 'nearest.ts']],
  ['config.ts', ['config-check.ts', 'kvs/limits.ts', 'nearest.ts', 'postgres-url.ts']],
  ['sql.ts', ['adapter.ts', 'errors.ts', 'json.ts']],
  ['values.ts', ['adapter.ts', 'errors.ts', 'json.ts', 'sql.ts']],
  ['session-state.ts', ['adapter.ts', 'errors.ts', 'lexer.ts']],
  ['statement.ts', ['adapter.ts', 'cache.ts', 'errors.ts', 'lexer.ts', 'session-state.ts', 'sql.ts', 'values.ts']],
  ['execute.ts', ['adapter.ts', 'errors.ts', 'tracing.ts', 'values.ts']],
  ['queries.ts', ['adapter.ts', 'execute.ts', 'queries.generated.ts', 'statement.ts']],
  ['kvs/', [...ON_ADAPTER, 'clock.ts', 'json.ts', 'turns.ts', 'kvs/']],
  ['users.ts', [...ON_ADAPTER, 'nearest.ts']],
  ['transaction.ts', ['adapter.ts', 'errors.ts', 'scope.ts', 'session-state.ts', 'shapes.ts']],
  ['rebuild.ts', ON_ADAPTER],
  ['migrations.ts', [...ON_ADAPTER, 'clock.ts', 'handle.ts', 'lexer.ts', 'rebuild.ts', 'statement.ts', 'transaction.ts']],
  [
    'handle.ts',
    [
      ...ON_ADAPTER,
      'clock.ts',
      'kvs/',
      'migrations.ts',
      'scope.ts',
      'session-state.ts',
      'shapes.ts',
      'sql.ts',
      'statement.ts',
      'transaction.ts',
      'users.ts'
    ]
  ],
  ['drivers/sqlite/', [...DRIVER, 'drivers/sqlite/']],
  ['drivers/postgres/', [...DRIVER, 'drivers/postgres/']],
  ['database.ts', [...ON_ADAPTER, 'config.ts', 'handle.ts', 'kvs/', 'scope.ts', 'users.ts']],
  [
    'index.ts',
    [
      'adapter.ts',
      'config.ts',
      'database.ts',
      'errors.ts',
      'handle.ts',
      'kvs/',
      'migrations.ts',
      'sql.ts',
      'statement.ts',
      'tracing.ts',
      'users.ts'
    ]
  ],
  ['testing.ts', [ANYTHING]],
  ['files/', ['adapter.ts', 'lexer.ts', 'nearest.ts', 'sql.ts', 'files/']],
  ['tools/', [ANYTHING]]
]

/** Packages that a file may import; Node's own modules are free. */
const PACKAGES: readonly (readonly [file: string, name: string])[] = [
  ['kvs/path.ts', 'json-pointer'],
  ['drivers/sqlite/better-sqlite3.ts', 'better-sqlite3'],
  ['drivers/postgres/driver.ts', 'pg'],
  ['testing.ts', 'pg'],
  ['testing.ts', 'duolect'],
  ['tools/', 'duolect'],
  ['tools/', 'pg'],
  ['tools/', 'better-sqlite3']
]

function filesBelow(folder: string, ending: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true })
  return entries.filter(entry => entry.isFile() && entry.name.endsWith(ending)).map(entry => join(entry.parentPath, entry.name))
}

function checkRooms(): string[] {
  const problems: string[] = []
  for (const path of filesBelow(join(root, 'src'), '.ts')) {
    const file = relative(join(root, 'src'), path).replaceAll('\\', '/')
    const source = readFileSync(path, 'utf8')
    const room = ROOMS.find(([name]) => (name.endsWith('/') ? file.startsWith(name) : file === name))
    if (room === undefined) {
      problems.push(`src/${file}: has no row in the rooms of scripts/check.ts`)
      continue
    }
    for (const [, target] of source.matchAll(/^(?:import|export)[^;'"]*?from '([^']+)'/gm))
      problems.push(...checkImport(file, target as string, room[1]))
    for (const [, target] of source.matchAll(/import\('([^']+)'\)/g)) {
      const isDriver = file === 'database.ts' && /^\.\/drivers\/\w+\/driver\.ts$/.test(target as string)
      if (!isDriver) problems.push(...checkImport(file, target as string, room[1]))
    }
    if (/^(kvs\/|users\.ts)/.test(file) && /['"`](sqlite|postgres)['"`]/.test(source)) problems.push(`src/${file}: knows a dialect`)
  }
  return problems
}

function checkImport(file: string, target: string, mayImport: readonly string[]): string[] {
  if (target.startsWith('node:')) return []
  if (!target.startsWith('.')) {
    return PACKAGES.some(([user, name]) => (user.endsWith('/') ? file.startsWith(user) : user === file) && name === target)
      ? []
      : [`src/${file}: imports the package ${target}`]
  }
  const imported = posix.join(dirname(file).replaceAll('\\', '/'), target)
  const isAllowed = mayImport.some(name => name === ANYTHING || (name.endsWith('/') ? imported.startsWith(name) : imported === name))
  return isAllowed ? [] : [`src/${file}: imports ${imported}; it may import: ${mayImport.join(', ') || 'nothing'}`]
}

const KEYWORDS =
  /\b(select|from|where|insert|into|values|update|set|delete|join|using|on|conflict|do|nothing|returning|order|by|limit|create|table|if|not|exists|primary|key|null|text|real|timestamp|and|or|in|as|with|case|when|then|else|end|union|for|any|array|cast)\b/

/** Keywords in capitals; names that are keywords too (key, value, end) stand in lower case on purpose. */
function checkSql(): string[] {
  const names = new Set(['key', 'value', 'values', 'end', 'set', 'text'])
  const problems: string[] = []
  for (const path of filesBelow(join(root, 'sql'), '.sql')) {
    readFileSync(path, 'utf8')
      .split('\n')
      .forEach((line, i) => {
        if (line.startsWith('--')) return
        const words = line.replace(/'[^']*'|"[^"]*"|:\w+/g, '').match(new RegExp(KEYWORDS, 'g')) ?? []
        const word = words.find(found => !names.has(found))
        if (word) problems.push(`${relative(root, path)}:${i + 1}: keyword "${word}" in lower case`)
      })
  }
  return problems
}

function checkLockFiles(): string[] {
  const folders = ['', 'test/workerd', 'test/integrations', 'scripts/bench', 'scripts/matrix']
  return folders
    .map(folder => posix.join(folder, 'package-lock.json'))
    .filter(file => /"resolved":\s*"https?:/.test(readFileSync(join(root, file), 'utf8')))
    .map(file => `${file}: holds addresses of a registry; run "npm config set omit-lockfile-registry-resolved true" and write it again`)
}

function run(name: string, script: string, ...parameters: string[]): string[] {
  const { status } = spawnSync(process.execPath, [join(root, 'node_modules', script), ...parameters], { cwd: root, stdio: 'inherit' })
  return status === 0 ? [] : [`${name} failed`]
}

/** Runs all checks; returns what is wrong. */
export function check(): string[] {
  return [
    ...[findDrift(), findUnchecked()].filter(problem => problem !== undefined),
    ...checkRooms(),
    ...checkSql(),
    ...checkLockFiles(),
    ...run('biome', '@biomejs/biome/bin/biome', 'check', '--error-on-warnings'),
    ...run('tsc', 'typescript/bin/tsc', '-p', '.')
  ]
}

if (process.argv[1] === import.meta.filename) {
  const problems = check()
  for (const problem of problems) console.error(problem)
  console.log(problems.length === 0 ? 'All checks pass.' : `${problems.length} problems.`)
  process.exitCode = problems.length === 0 ? 0 : 1
}
