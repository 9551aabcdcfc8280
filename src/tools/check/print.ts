/** What the check shows of its results: as a compiler shows errors, and as JSON for tools. Pure. */
import { inspect } from 'node:util'
import type { Dialect } from '../../adapter.ts'
import type { Place, SourceFile } from '../../files/source.ts'
import type { DataRow } from '../data/rows.ts'
import { NAMES, offsetInFile } from '../generate/typed.ts'
import type { Answer } from './answer.ts'
import { schemaNotes } from './causes.ts'
import { type Result, type Verdict, variantOf } from './check.ts'
import type { Report } from './session.ts'

/** Puts a text into a colour, or leaves it as it is. */
export type Paint = (style: 'bold' | 'red' | 'yellow' | 'green' | 'dim', text: string) => string

const CODES = { bold: 1, red: 31, yellow: 33, green: 32, dim: 2 } as const

export function paintFor(hasColors: boolean): Paint {
  return hasColors ? (style, text) => `\u001b[${CODES[style]}m${text}\u001b[0m` : (_, text) => text
}

/** True if a result lets the check fail. */
export function isProblem({ verdict, problem }: Result): boolean {
  return problem !== undefined || (verdict !== 'same' && verdict !== 'accepted')
}

const BOTH: readonly Dialect[] = ['sqlite', 'postgres']

// For people ------------------------------------------------------------------------------------------------------

/** Everything that a run has to say. */
export function printReport(report: Report, paint: Paint): string {
  const problems = inOrder(report.results.filter(isProblem)).map(result => printResult(result, paint))
  return [...problems, ...printNotes(report, paint), printSummary(report, paint)].join('\n\n')
}

/** As the queries stand in the files. */
function inOrder(results: readonly Result[]): Result[] {
  const placeOf = ({ subject }: Result) => subject.query.header.file.placeOf(subject.query.header.offset)
  return results.toSorted((a, b) => {
    const [one, other] = [placeOf(a), placeOf(b)]
    return one.path === other.path ? one.line - other.line : one.path < other.path ? -1 : 1
  })
}

export function printResult(result: Result, paint: Paint): string {
  const { verdict, cause, subject } = result
  const place = placeOf(result)
  const number = String(place.line)
  const indent = place.content.slice(0, place.column - 1).replace(/[^\t]/g, ' ')
  const title = verdict === 'same' ? 'stale' : verdict
  return [
    `${paint('bold', `${place.path}:${place.line}:${place.column}:`)} ${paint(verdict === 'undetermined' ? 'yellow' : 'red', `${title}:`)} ${paint('bold', messageOf(result))}`,
    paint('dim', `  ${number} | ${place.content}\n  ${' '.repeat(number.length)} | ${indent}^`),
    ...printExample(result).map(line => `  ${line}`),
    ...(cause === undefined ? [] : [`  ${cause.title} (${cause.name})`, `  ${paint('green', 'Mend:')} ${cause.mend}`]),
    ...(verdict === 'different' && subject.untyped.some(name => result.example?.parameters[name] === 5)
      ? [`  Or declare its type: -- @param ${subject.untyped.join(' text, -- @param ')} text.`]
      : [])
  ].join('\n')
}

/** One sentence. */
export function messageOf(result: Result): string {
  const { subject, verdict, kind, dialect, problem } = result
  const name = `"${subject.query.name}"`
  if (problem !== undefined) return `${name}: ${problem}`
  if (verdict === 'undetermined') {
    return dialect === undefined
      ? `${name} gives another answer each time.`
      : `${name} depends on the physical order of rows: ${NAMES[dialect]} gives two answers for the same rows.`
  }
  switch (kind) {
    case 'columns':
      return `${name}: the databases name its columns differently.`
    case 'rows':
      return `${name}: the databases return different rows.`
    case 'order':
      return `${name}: the databases return the same rows in different orders.`
    case 'changes':
      return `${name}: the databases change different numbers of rows.`
    case 'tables':
      return `${name}: the databases store different rows.`
    case 'error':
      return `${name}: ${errorsOf(result)}.`
    default:
      return `${name}: both databases answer alike.`
  }
}

function errorsOf({ trial }: Result): string {
  const codes = BOTH.map(dialect => trial?.answers[dialect][0]).map(answer => (answer?.kind === 'error' ? answer.code : undefined))
  const [sqlite, postgres] = codes
  if (sqlite !== undefined && postgres !== undefined) return `SQLite rejects with ${sqlite}, and Postgres with ${postgres}`
  return sqlite === undefined
    ? `Postgres rejects with ${postgres}, and SQLite does not`
    : `SQLite rejects with ${sqlite}, and Postgres does not`
}

/** Where the cause stands, else the query's header. */
export function placeOf({ subject, cause, example }: Result): Place {
  const sql = subject.query.sql.sqlite
  if (cause?.offset !== undefined && sql !== undefined && example !== undefined) {
    const offset = offsetInFile(sql, variantOf(subject, example), cause.offset)
    if (offset !== undefined) return sql.file.placeOf(offset)
  }
  const { file, offset }: { readonly file: SourceFile; readonly offset: number } = subject.query.header
  return file.placeOf(offset)
}

function printExample({ example, trial, verdict, dialect, kind }: Result): string[] {
  if (example === undefined) return []
  const lines = [...example.rows].filter(([, rows]) => rows.length > 0).map(([table, rows]) => insertOf(table, rows))
  if (lines.length === 0) lines.push('On empty tables.')
  const parameters = Object.entries(example.parameters).map(([name, value]) => `:${name} = ${show(value)}`)
  if (parameters.length > 0) lines.push(`With ${parameters.join(', ')}:`)
  if (trial === undefined) return lines
  if (verdict === 'undetermined' && dialect !== undefined) {
    const [first, second] = trial.answers[dialect]
    return [...lines, ...printAnswer(NAMES[dialect], first, kind), ...printAnswer('backwards', second, kind)]
  }
  return [...lines, ...BOTH.flatMap(each => printAnswer(NAMES[each], trial.answers[each][0], kind))]
}

function insertOf(table: string, rows: readonly DataRow[]): string {
  const names = Object.keys(rows[0] ?? {}).filter(name => rows.some(row => row[name] !== null))
  const tuples = rows.map(row => `(${names.map(name => literalOf(row[name])).join(', ')})`)
  return `INSERT INTO ${quote(table)} (${names.map(quote).join(', ')}) VALUES ${tuples.join(', ')};`
}

function quote(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name}"`
}

/** A value as SQL has it. */
function literalOf(value: unknown): string {
  if (value === null || value === undefined) return 'NULL'
  if (typeof value === 'number') return String(value)
  if (typeof value === 'boolean') return value ? 'TRUE' : 'FALSE'
  if (value instanceof Date) return `'${value.toISOString()}'`
  if (value instanceof Uint8Array) return `'\\x${Buffer.from(value).toString('hex')}'`
  return `'${(typeof value === 'string' ? value : JSON.stringify(value)).replaceAll("'", "''")}'`
}

/** How many rows of an answer are shown. */
const SHOWN = 6

function printAnswer(name: string, answer: Answer | undefined, kind: Result['kind']): string[] {
  const label = `  ${`${name}:`.padEnd(10)} `
  if (answer === undefined) return []
  if (answer.kind === 'error') return [`${label}${answer.code}: ${answer.message}`]
  if (kind === 'tables') {
    return [...answer.tables].flatMap(([table, { rows }]) => rows.map(row => `${label}${table} ${show(row)}`)).slice(0, SHOWN)
  }
  if (answer.kind === 'changes') return [`${label}${answer.changes} changed`]
  if (answer.rows.length === 0) return [`${label}no rows`]
  const rows = answer.rows.slice(0, SHOWN).map((row, i) => `${i === 0 ? label : ' '.repeat(label.length)}${show(row)}`)
  return answer.rows.length > SHOWN ? [...rows, `${' '.repeat(label.length)}… and ${answer.rows.length - SHOWN} more`] : rows
}

function show(value: unknown): string {
  return inspect(value, { depth: 5, breakLength: Number.POSITIVE_INFINITY, maxArrayLength: 10, maxStringLength: 200 })
}

function printNotes({ schema, results }: Report, paint: Paint): string[] {
  const words = new Set(results.flatMap(({ subject }) => [...subject.words]))
  const notes = schemaNotes(schema).filter(({ table }) => words.has(table.toLowerCase()))
  if (notes.length === 0) return []
  const byRule = new Map(notes.map(note => [note.name, note]))
  return [...byRule.values()].map(({ name, title, mend }) => {
    const columns = notes.filter(note => note.name === name).map(({ table, column }) => `${table}.${column}`)
    return `${paint('bold', `${columns.join(', ')}:`)} ${title} (${name})\n  ${mend}`
  })
}

const ORDER: readonly Verdict[] = ['same', 'accepted', 'different', 'undetermined', 'vacuous']

export function printSummary({ results, versions, hasLanguage, seed }: Report, paint: Paint): string {
  const counts = ORDER.map(verdict => [verdict, results.filter(result => result.verdict === verdict).length] as const)
  const total = `${results.length} ${results.length === 1 ? 'query' : 'queries'}`
  const parts = counts.filter(([, count]) => count > 0).map(([verdict, count]) => `${count} ${verdict}`)
  const runs = results.reduce((sum, result) => sum + result.runs, 0)
  const language = hasLanguage
    ? ''
    : '\nThis server has no ICU collation for a database, so differences of a language’s order of texts were not looked for.'
  const isGood = !results.some(isProblem)
  const found = isGood ? 'found no difference that is not accepted' : `found: ${parts.join(', ')}`
  return `${paint(isGood ? 'green' : 'red', `${total}: ${parts.join(', ')}.`)} ${runs} runs on ${versions.sqlite} and ${versions.postgres}, seed ${seed}, ${found}.${language}`
}

// For tools -------------------------------------------------------------------------------------------------------

/** One object. */
export function jsonOf({ results, versions }: Report): unknown {
  return {
    runs: results.reduce((sum, { runs }) => sum + runs, 0),
    ...versions,
    queries: results.map(result => {
      const { subject, verdict, kind, cause, example, trial } = result
      const { path, line, column } = placeOf(result)
      return {
        name: subject.query.name,
        file: path,
        line,
        column,
        verdict,
        kind: kind ?? null,
        message: verdict === 'same' && result.problem === undefined ? null : messageOf(result),
        cause: cause === undefined ? null : { name: cause.name, title: cause.title, mend: cause.mend },
        counterexample:
          example === undefined
            ? null
            : {
                rows: Object.fromEntries([...example.rows].filter(([, rows]) => rows.length > 0)),
                parameters: example.parameters,
                sqlite: trial?.answers.sqlite.map(answerJson) ?? null,
                postgres: trial?.answers.postgres.map(answerJson) ?? null
              }
      }
    })
  }
}

/** The answers of a database: for the rows in one physical order, and in the other. */
function answerJson(answer: Answer): unknown {
  if (answer.kind === 'error') return { error: answer.code, message: answer.message }
  const tables = answer.tables.size === 0 ? {} : { tables: Object.fromEntries([...answer.tables].map(([name, { rows }]) => [name, rows])) }
  return answer.kind === 'changes' ? { changes: answer.changes, ...tables } : { rows: answer.rows, ...tables }
}

/** JSON has no bigint. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? String(part) : part), 2)
}
