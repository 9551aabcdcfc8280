/** `checked.json`: what was checked where a Postgres is, for `--offline` where none is. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { UsageError } from '../arguments.ts'
import type { Verdict } from './check.ts'
import type { Report } from './session.ts'

export interface CheckedQuery {
  readonly fingerprint: string
  readonly verdict: Verdict
  readonly runs: number
}

export interface CheckedFile {
  readonly sqlite: string
  readonly postgres: string
  readonly queries: Readonly<Record<string, CheckedQuery>>
}

const NAME = 'checked.json'

/**
 * Reads the file of a folder.
 *
 * @throws UsageError without the file, or when it is none
 */
export function readCheckedFile(folder: string): CheckedFile {
  const path = join(folder, NAME)
  if (!existsSync(path)) throw new UsageError(`There is no ${path}. Run "npx duolect check" where a Postgres is, and commit the file.`)
  try {
    const file = JSON.parse(readFileSync(path, 'utf8')) as CheckedFile
    if (typeof file.queries === 'object' && file.queries !== null) return file
  } catch {
    // Said below.
  }
  throw new UsageError(`${path} is no JSON as "npx duolect check" writes it. Run that again where a Postgres is.`)
}

/**
 * Writes what passed, unless it stands there. A run on other versions alone changes nothing, so that the file does not
 * change from one machine to the next.
 *
 * @returns the path of a file that was written
 */
export function writeCheckedFile(folder: string, report: Report): string | undefined {
  const passed = report.results.filter(({ verdict, problem }) => (verdict === 'same' || verdict === 'accepted') && problem === undefined)
  const queries = Object.fromEntries(
    passed.map(({ subject, verdict, runs }) => {
      const { name } = subject.query
      return [name, { fingerprint: report.fingerprints.get(name) as string, verdict, runs }]
    })
  )
  const path = join(folder, NAME)
  const known = existsSync(path) ? readCheckedFile(folder).queries : {}
  const essence = (all: CheckedFile['queries']) =>
    JSON.stringify(Object.entries(all).map(([name, { fingerprint, verdict }]) => [name, fingerprint, verdict]))
  if (essence(known) === essence(queries)) return undefined
  writeFileSync(path, `${JSON.stringify({ ...report.versions, queries }, undefined, 2)}\n`)
  return path
}
