import type { Expression } from '../expressions.ts'
import { CERTAIN, comparedOf, type Evidence, LIKELY, POSSIBLE, type Rule, signs } from './rule.ts'

const isTimestamp = ({ type }: Expression) => type === 'timestamp'
const isDate = ({ type }: Expression) => type === 'date'
const isTime = (expression: Expression) => isTimestamp(expression) || isDate(expression)

/** The form in which times are kept on SQLite. */
const STORED = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const DAY = /^\d{4}-\d\d-\d\d$/

/** A literal that SQLite compares as text with a time of another form. */
function isOtherForm(literal: Expression, other: Expression): boolean {
  return literal.kind === 'string' && !(isDate(other) ? DAY : STORED).test(literal.name)
}

function comparisonsOf(evidence: Evidence, test: (operands: Expression[]) => boolean): Expression[] {
  return evidence.comparisons.filter(comparison => test(comparedOf(comparison)))
}

const SQLITE_TIMES = ['strftime', 'datetime', 'julianday', 'unixepoch', 'timediff', 'time', 'date']
const POSTGRES_TIMES =
  'now date_trunc extract date_part to_char to_date to_timestamp age make_date make_timestamp make_interval statement_timestamp clock_timestamp transaction_timestamp date_bin justify_days timezone'.split(
    ' '
  )
const CURRENT = ['current_timestamp', 'current_time', 'localtimestamp', 'localtime']

export const TIMES: readonly Rule[] = [
  {
    name: 'current-timestamp',
    title: "CURRENT_TIMESTAMP returns '2024-01-31 10:30:00' on SQLite, which compares wrongly with stored times: their form is another.",
    mend: 'Write sql.now().',
    find: evidence => (evidence.kind === 'columns' ? [] : signs(LIKELY + 4, evidence.calls(...CURRENT)))
  },
  {
    name: 'time-literal',
    title: 'SQLite compares times as text, so a literal in another form than 2024-01-31T10:30:00.000Z sorts wrongly.',
    mend: 'Give the time as a parameter, or write it as 2024-01-31T10:30:00.000Z; a day as 2024-01-31.',
    *find(evidence) {
      if (evidence.kind === 'columns') return
      const places = comparisonsOf(evidence, operands =>
        operands.some(time => isTime(time) && operands.some(literal => isOtherForm(literal, time)))
      )
      const isRefused = evidence.fails('postgres', 'invalid_datetime_format', 'datetime_field_overflow')
      if (evidence.isOfRows || isRefused) yield* signs(isRefused ? CERTAIN : LIKELY + 1, places)
    }
  },
  {
    name: 'date-with-time',
    title: 'A DATE column keeps a whole time on SQLite, and compares with one as text; on Postgres it is a day.',
    mend: 'Write sql.day(seen).',
    *find(evidence) {
      if (!evidence.isOfRows) return
      yield* signs(
        LIKELY + 1,
        comparisonsOf(evidence, operands => operands.some(isDate) && operands.some(isTimestamp))
      )
      const written = evidence.query.assignments.filter(({ column, value }) => column.type === 'date' && value.type !== 'date')
      const isCut = evidence.values((a, b) => typeof a === 'string' && a.length > 10 && b === a.slice(0, 10))
      yield* signs(
        isCut ? CERTAIN : POSSIBLE,
        written.map(({ value }) => value)
      )
    }
  },
  {
    name: 'date-arithmetic',
    title: 'SQLite computes with the year of a date, Postgres with days.',
    mend: "Write sql.shift(born, 1, 'days'), and take differences in JavaScript.",
    *find(evidence) {
      const isRefused =
        evidence.fails('postgres', 'undefined_function') && evidence.says('postgres', /(?:date|time).* [-+*/] |[-+*/] (?:date|time)/)
      if (!evidence.isOfRows && !isRefused) return
      yield* signs(
        isRefused ? CERTAIN : LIKELY + 1,
        evidence.operators('+', '-', '*', '/').filter(({ operands }) => operands.length === 2 && operands.some(isTime))
      )
    }
  },
  {
    name: 'cast-to-time',
    title: 'CAST to DATE or TIMESTAMP returns the year as a number on SQLite.',
    mend: 'Compare with the text itself, and write sql.day(seen) for the day of a time.',
    find: evidence =>
      evidence.isOfRows
        ? signs(
            LIKELY + 2,
            evidence.casts(({ name, operands }) => /^(?:DATE|TIME|DATETIME)/.test(name) && operands.length > 0)
          )
        : []
  },
  {
    name: 'cast-to-length',
    title: 'CAST to VARCHAR(n) or CHAR(n) truncates on Postgres alone.',
    mend: 'Write substr(name, 1, 2).',
    find: evidence =>
      evidence.isOfRows
        ? signs(
            LIKELY + 1,
            evidence.casts(
              ({ name, start, end }) =>
                /^(?:VARCHAR|CHAR|CHARACTER)/.test(name) && /\(\s*\d+\s*\)\s*\)?$/.test(evidence.query.text.slice(start, end))
            )
          )
        : []
  },
  {
    name: 'cast-to-other',
    title: 'CAST to BOOLEAN, JSON, UUID or BYTEA returns a number on SQLite, and Postgres has no BLOB.',
    mend: 'Write CASE for a truth value; cast to TEXT, INTEGER, BIGINT and DOUBLE PRECISION alone.',
    find: evidence =>
      evidence.kind === 'columns'
        ? []
        : signs(
            evidence.kind === 'error' ? LIKELY : LIKELY + 2,
            evidence.casts(({ name, operands }) => /^(?:BOOL|BOOLEAN|JSON|JSONB|UUID|BYTEA|BLOB)$/.test(name) && operands.length > 0)
          )
  },
  {
    name: 'expression-of-time',
    title: 'SQLite knows the types of plain columns alone, so a computed time is a string.',
    mend: 'Select the column of the row: ORDER BY seen DESC LIMIT 1; or declare it: -- @column latest timestamp.',
    *find(evidence) {
      const { differing } = evidence
      const isPair = evidence.values((a, b) => typeof a === 'string' && b instanceof Date)
      const isTime = isPair || differing?.type === 'timestamp'
      if (isTime && differing !== undefined && differing.kind !== 'column') yield* signs(evidence.weightOf(isPair) - 1, [differing])
    }
  },
  {
    name: 'sqlite-times',
    title: 'Postgres has no strftime() and datetime(), and its date() takes no second argument.',
    mend: "Write sql.now(), sql.shift(sql.now(), -7, 'days'), sql.day(seen) or sql.hour(seen).",
    find: evidence => (evidence.fails('postgres') ? signs(CERTAIN, evidence.calls(...SQLITE_TIMES)) : [])
  },
  {
    name: 'postgres-times',
    title: 'SQLite has no now(), date_trunc(), extract(), to_char(), INTERVAL and AT TIME ZONE.',
    mend: "Write sql.now(), sql.shift(sql.now(), -7, 'days'), sql.day(seen) or sql.hour(seen).",
    *find(evidence) {
      if (!evidence.fails('sqlite')) return
      const typed = evidence.casts(({ name }) => /^(?:DATE|TIMESTAMP|TIMESTAMPTZ|TIME|INTERVAL) ''$/.test(name))
      yield* signs(CERTAIN, [...typed, ...evidence.calls(...POSTGRES_TIMES), ...evidence.operators('AT TIME ZONE')])
    }
  },
  {
    name: 'zone-ignored',
    title: 'A TIMESTAMP column ignores the time zone of a string on Postgres, and SQLite applies it.',
    mend: 'Pass a Date, or declare TIMESTAMPTZ.',
    *find(evidence) {
      if (!evidence.isOfRows) return
      const isWithout = (typeName: string) => /^timestamp(?:\(\d\))? without/i.test(typeName)
      const written = evidence.query.assignments.filter(({ column }) => isWithout(column.typeName)).map(({ value }) => value)
      const compared = comparisonsOf(evidence, operands => operands.some(({ column }) => isWithout(column?.typeName ?? '')))
      const hasZone = ({ kind, name }: Expression) => kind === 'string' && /\d[-+]\d\d:?\d\d$/.test(name)
      const places = [...written, ...compared]
      yield* signs(
        LIKELY + 2,
        places.filter(place => hasZone(place) || place.operands.some(hasZone))
      )
      const isShifted = evidence.values(
        (a, b) => a instanceof Date && b instanceof Date && a.getTime() !== b.getTime() && (a.getTime() - b.getTime()) % 900_000 === 0
      )
      if (isShifted) yield* signs(LIKELY + 2, written)
    }
  }
]
