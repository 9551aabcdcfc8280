/** Defaults: constants as SQLite would store them, and what it writes for the time. Pure. */
import { callsOf, Untranslatable } from './expression.ts'
import type { Cell } from './file.ts'
import { type Kind, literalOf } from './kinds.ts'
import { quoteText } from './quote.ts'
import type { SourceColumn } from './schema.ts'

/** Expressions that give the time, without blanks and in lower case, by what they give. */
const TIMES: Readonly<Record<string, 'seconds' | 'milliseconds' | 'day' | 'clock' | 'epoch' | 'epochMilliseconds'>> = {
  current_timestamp: 'seconds',
  "datetime('now')": 'seconds',
  'datetime()': 'seconds',
  "strftime('%y-%m-%d%h:%m:%s','now')": 'seconds',
  "strftime('%y-%m-%dt%h:%m:%fz','now')": 'milliseconds',
  "strftime('%y-%m-%dt%h:%m:%fz')": 'milliseconds',
  current_date: 'day',
  "date('now')": 'day',
  'date()': 'day',
  current_time: 'clock',
  "time('now')": 'clock',
  'unixepoch()': 'epoch',
  "unixepoch('now')": 'epoch',
  "strftime('%s','now')": 'epoch',
  "cast(strftime('%s','now')asint)": 'epoch',
  "cast(strftime('%s','now')asinteger)": 'epoch',
  'unixepoch()*1000': 'epochMilliseconds',
  "strftime('%s','now')*1000": 'epochMilliseconds',
  "cast(unixepoch('subsec')*1000asint)": 'epochMilliseconds',
  "cast(unixepoch('subsec')*1000asinteger)": 'epochMilliseconds'
}

const UTC = "CURRENT_TIMESTAMP AT TIME ZONE 'UTC'"

/** What to_char() writes as SQLite does. */
const PATTERNS = { seconds: 'YYYY-MM-DD HH24:MI:SS', milliseconds: 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"', day: 'YYYY-MM-DD', clock: 'HH24:MI:SS' }

/** Returns the default of a column on Postgres. Throws `Untranslatable`. */
export function defaultOf(column: SourceColumn, kind: Kind, content: { constant(column: SourceColumn): Cell }): string {
  const text = column.default as string
  const time = TIMES[withoutParentheses(text.replace(/\s+/g, '').toLowerCase())]
  if (time !== undefined) return timeOf(time, kind)
  const [call] = callsOf(text)
  if (call !== undefined) throw new Untranslatable(`${call.toLowerCase()}, which is SQLite's own in a default`)
  const value = content.constant(column)
  if (value === null) return 'NULL'
  const problem = kind.problem(value)
  if (problem !== undefined) throw new Untranslatable(`a default that is ${problem}`)
  return literalOf(kind, value)
}

function withoutParentheses(text: string): string {
  return /^\(.*\)$/.test(text) ? withoutParentheses(text.slice(1, -1)) : text
}

function timeOf(time: (typeof TIMES)[string], kind: Kind): string {
  const type = kind.expression
  switch (time) {
    case 'seconds':
    case 'milliseconds':
      if (type === 'timestamp') return 'CURRENT_TIMESTAMP'
      break
    case 'day':
      if (type === 'date') return `(${UTC})::DATE`
      break
    case 'epoch':
      if (type === 'integer') return 'floor(extract(epoch FROM CURRENT_TIMESTAMP))::BIGINT'
      break
    case 'epochMilliseconds':
      if (type === 'integer') return 'floor(extract(epoch FROM CURRENT_TIMESTAMP) * 1000)::BIGINT'
      if (type === 'timestamp') return 'CURRENT_TIMESTAMP'
  }
  const pattern = (PATTERNS as Partial<Record<string, string>>)[time as string]
  if (type === 'text' && pattern !== undefined) return `to_char(${UTC}, ${quoteText(pattern)})`
  throw new Untranslatable(`a time in a column of ${kind.type}`)
}
