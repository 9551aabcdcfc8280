/** The commands `duolect promote` and `duolect unseal`. */
import { parseArgs } from 'node:util'
import { type PostgresSettings, readSettings, type SqliteSettings } from '../../config.ts'
import { DatabaseError } from '../../errors.ts'
import { SqliteFile } from './file.ts'
import type { Output } from './progress.ts'
import { promote } from './promote.ts'
import { readSeal, removeSeal } from './seal.ts'

/** All is moved, or could be. */
const DONE = 0
/** The file was refused, or something failed. */
const FAILED = 1
/** The command was written wrongly. */
const USAGE_ERROR = 2
/** Ctrl-C. */
const INTERRUPTED = 130

export const PROMOTE_USAGE = `Usage: duolect promote [file] [url] [options]

Moves a SQLite file to Postgres: every value is looked at first, each table is compared after it was copied, and at the
end the file is sealed, so that later writes fail. The file and the server are those that createDatabase() would use.
Run it again after an interruption, and it goes on.

  --check               writes nothing; prints what is made on Postgres as SQL
  --keep-open           a rehearsal: moves all, does not stop the file's writers, and does not seal the file
  --text table.column   moves a column as TEXT whatever it holds (may be given again)
  --schema name         the schema on Postgres
  --without name        gives up what Postgres does not have: a view, a trigger, … (may be given again)

Usage: duolect unseal [file]

Opens a file again that was sealed.`

/**
 * Runs `duolect promote`.
 *
 * @returns the exit code: 0 when all is moved, 1 when the file was refused or something failed, 2 for a wrong command
 */
export async function promoteCommand(args: readonly string[], output: Output = terminal()): Promise<number> {
  let given: ReturnType<typeof readArguments>
  try {
    given = readArguments(args)
  } catch (error) {
    return misused(error, output)
  }
  const { values, sqlite, postgres } = given
  const stop = () => {
    output.error('Interrupted. What was copied as a whole table is kept, the file is open; the same command goes on.')
    process.exit(INTERRUPTED)
  }
  process.once('SIGINT', stop)
  try {
    const isDone = await promote(
      {
        file: sqlite.location,
        postgres,
        check: values.check ?? false,
        keepOpen: values['keep-open'] ?? false,
        schema: values.schema,
        texts: values.text ?? [],
        without: values.without ?? [],
        lockLimit: sqlite.timeouts.lock
      },
      output
    )
    return isDone ? DONE : FAILED
  } catch (error) {
    return failed(error, output)
  } finally {
    process.off('SIGINT', stop)
  }
}

/** Runs `duolect unseal`. */
export async function unsealCommand(args: readonly string[], output: Output = terminal()): Promise<number> {
  let settings: SqliteSettings
  try {
    const { positionals } = parseArgs({ args: [...args], allowPositionals: true })
    if (positionals.length > 1) throw new DatabaseError('invalid_configuration', 'Expected one file.')
    settings = fileSettings(positionals[0])
  } catch (error) {
    return misused(error, output)
  }
  try {
    const file = await SqliteFile.open(settings.location)
    try {
      await file.execWhenUnlocked('BEGIN IMMEDIATE', settings.timeouts.lock)
      const seal = readSeal(file)
      removeSeal(file)
      await file.execWhenUnlocked('COMMIT', settings.timeouts.lock)
      output.print(
        seal === undefined
          ? `${settings.location} was open.`
          : `${settings.location} is open again; it was ${seal.message.replace(/;.*/s, '')}.`
      )
      return DONE
    } finally {
      file.close()
    }
  } catch (error) {
    return failed(error, output)
  }
}

function readArguments(args: readonly string[]) {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      check: { type: 'boolean' },
      'keep-open': { type: 'boolean' },
      text: { type: 'string', multiple: true },
      schema: { type: 'string' },
      without: { type: 'string', multiple: true }
    }
  })
  const isUrl = (text: string) => /^\s*postgres(ql)?:/i.test(text)
  const urls = positionals.filter(isUrl)
  const files = positionals.filter(text => !isUrl(text))
  if (urls.length > 1 || files.length > 1) throw new DatabaseError('invalid_configuration', 'Expected one file and one postgres:// URL.')
  const postgres = readSettings({ postgres: { enabled: true, ...(urls[0] !== undefined && { connection: urls[0] }) } }) as PostgresSettings
  return { values, sqlite: fileSettings(files[0]), postgres }
}

function fileSettings(file: string | undefined): SqliteSettings {
  const settings = readSettings({
    postgres: { enabled: false },
    ...(file !== undefined && { sqlite: { location: file } })
  }) as SqliteSettings
  if (settings.location === ':memory:')
    throw new DatabaseError('invalid_configuration', 'A database in memory belongs to its process; name a file.')
  return settings
}

function misused(error: unknown, output: Output): number {
  output.error(error instanceof Error ? error.message : String(error))
  output.error(`\n${PROMOTE_USAGE}`)
  return USAGE_ERROR
}

function failed(error: unknown, output: Output): number {
  output.error(error instanceof Error ? error.message : String(error))
  if (!(error instanceof DatabaseError) && process.env.DUOLECT_DEBUG) output.error(String((error as Error).stack))
  return error instanceof DatabaseError && error.code === 'invalid_configuration' ? USAGE_ERROR : FAILED
}

/** How often progress is a line of its own where it is no terminal, in ms. */
const LOG_INTERVAL = 5000

/** Writes to the terminal, where the line of progress takes the place of the one before. */
function terminal(): Output {
  const { stderr } = process
  let next = performance.now() + LOG_INTERVAL
  const clear = () => {
    if (stderr.isTTY) stderr.write('\r\x1b[K')
  }
  return {
    print(line) {
      clear()
      console.log(line)
    },
    error(line) {
      clear()
      console.error(line)
    },
    status(line) {
      if (stderr.isTTY) stderr.write(`\r\x1b[K${line}`)
      else if (line !== '' && performance.now() > next) {
        next = performance.now() + LOG_INTERVAL
        console.error(line)
      }
    }
  }
}
