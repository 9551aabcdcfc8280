/** `duolect check --offline`: what was checked, where a Postgres was, is what stands in the files. */
import type { Output } from './command.ts'
import { readCheckedFile } from './fingerprints.ts'
import { paintFor, toJson } from './print.ts'
import { fingerprintsOf, readChecked, type SessionOptions } from './session.ts'

/** @returns the exit code */
export function checkOffline({ sql, needs }: Pick<SessionOptions, 'sql' | 'needs'>, json: boolean, output: Output): number {
  const checked = readChecked({ sql, needs })
  const file = readCheckedFile(sql)
  const fingerprints = fingerprintsOf(checked)
  const queries = checked.module.queries.map(({ name, header }) => {
    const known = Object.hasOwn(file.queries, name) ? file.queries[name] : undefined
    const isCurrent = known !== undefined && known.fingerprint === fingerprints.get(name)
    const { path, line, column } = header.file.placeOf(header.offset)
    const message = isCurrent
      ? null
      : known === undefined
        ? `"${name}" was not checked, or was found different.`
        : `"${name}" has changed since it was checked.`
    return { name, file: path, line, column, verdict: isCurrent ? known.verdict : 'vacuous', kind: null, message, runs: known?.runs ?? 0 }
  })
  const unchecked = queries.filter(({ message }) => message !== null)
  const { sqlite, postgres } = file
  const runs = queries.reduce((sum, query) => sum + query.runs, 0)
  if (json) {
    output.print(toJson({ runs, sqlite, postgres, queries: queries.map(({ runs: _, ...query }) => ({ ...query, counterexample: null })) }))
    return unchecked.length === 0 ? 0 : 1
  }
  const paint = paintFor(output.hasColors)
  for (const { file: path, line, column, message } of unchecked) output.print(`${paint('bold', `${path}:${line}:${column}:`)} ${message}`)
  output.print(
    unchecked.length === 0
      ? `${queries.length} queries are as they were when ${runs} runs on ${sqlite} and ${postgres} found no difference that is not accepted.`
      : `${unchecked.length} of ${queries.length} queries are to be checked. Run "npx duolect check" where a Postgres is, and commit ${sql}/checked.json.`
  )
  return unchecked.length === 0 ? 0 : 1
}
