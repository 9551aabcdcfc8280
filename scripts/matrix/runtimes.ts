/** A small program on Node.js, Bun and Deno, on both databases. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startPostgres } from '../../src/tools/servers/postgres.ts'
import { BUN, DENO, environmentOf, home, inDirectory, pack, printTable, root, run, versionsOf } from './home.ts'

/** What program.mjs prints. */
export const EXPECTED = '["1152921504606846976","2024-02-29T00:00:00.000Z",{"a":[1]},"bytes",["first"],"undefined_table"]'

export async function runRuntimes(): Promise<boolean> {
  const server = await startPostgres()
  try {
    return await inDirectory(directory => {
      const project = makeProject(directory)
      const rows = [['runtime', 'SQLite, better-sqlite3', 'SQLite, built in', 'Postgres']]
      const runtimes: [name: string, command: string, options: string[], env: NodeJS.ProcessEnv][] = [
        ...versionsOf('node').map(version => [`Node.js ${version}`, 'node', [], environmentOf(version)] as never),
        ['Bun', BUN, [], process.env],
        ['Deno', DENO, ['run', '-A'], process.env]
      ]
      for (const [name, command, options, env] of runtimes) {
        const use = (own: NodeJS.ProcessEnv, file = 'program.mjs') =>
          outcomeOf(run(command, [...options, file], project, { ...env, DATABASE: '', DATA_DIR: join(directory, name), ...own }))
        rows.push([
          name,
          use({}, 'with-better-sqlite3.mjs'),
          use({}, 'with-node-sqlite.mjs'),
          use({ DATABASE: 'postgres', DATABASE_URL: server.url })
        ])
      }
      printTable(rows)
      return rows
        .slice(1)
        .flat()
        .every(cell => !cell.startsWith('crashed'))
    })
  } finally {
    await server.stop()
  }
}

/** What a run of the program came to: "works", or its first line of output. */
export function outcomeOf({
  status,
  signal,
  stdout,
  stderr
}: {
  status: number | null
  signal: string | null
  stdout: string
  stderr: string
}): string {
  if (status === 0 && stdout.trim() === EXPECTED) return 'works'
  if (signal !== null) return `crashed (${signal})`
  const [line = `exit ${status}`] = /missing_driver.*|\w*Error.*/.exec(stdout + stderr) ?? []
  return line
}

/** A project with duolect and both drivers; better-sqlite3 is the one that has a binary for every runtime. */
function makeProject(directory: string): string {
  const project = join(directory, 'project')
  const modules = join(project, 'node_modules')
  mkdirSync(join(modules, 'duolect'), { recursive: true })
  run('tar', ['-xzf', pack(directory), '--strip-components=1', '-C', join(modules, 'duolect')], directory, process.env)
  cpSync(join(home, 'node_modules', 'better-sqlite3-13'), join(modules, 'better-sqlite3'), { recursive: true })
  for (const name of ['pg', 'pg-connection-string', 'pg-int8', 'pg-pool', 'pg-protocol', 'pg-types', 'pgpass', 'split2', 'xtend']) {
    cpSync(join(root, 'node_modules', name), join(modules, name), { recursive: true })
  }
  for (const name of ['postgres-array', 'postgres-bytea', 'postgres-date', 'postgres-interval']) {
    cpSync(join(root, 'node_modules', name), join(modules, name), { recursive: true })
  }
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }')
  cpSync(join(home, 'program.mjs'), join(project, 'program.mjs'))
  for (const [file, driver] of [
    ['with-better-sqlite3.mjs', 'better-sqlite3'],
    ['with-node-sqlite.mjs', 'node:sqlite']
  ] as const) {
    const source = run('cat', ['program.mjs'], home, process.env).stdout
    writeFileSync(join(project, file), source.replace('createDatabase()', `createDatabase({ sqlite: { driver: '${driver}' } })`))
  }
  return project
}
