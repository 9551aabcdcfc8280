import type { Column } from '../../data/schema.ts'
import { type Expression, isNumber } from '../expressions.ts'
import { CERTAIN, certain, comparedOf, type Evidence, LIKELY, POSSIBLE, type Rule, type Sign, signs, some } from './rule.ts'

/** What makes a text of its operands. */
function textsOf(evidence: Evidence): Expression[] {
  return [
    ...evidence.operators('||', 'LIKE', 'NOT LIKE'),
    ...evidence.calls('concat', 'concat_ws', 'string_agg', 'group_concat', 'replace'),
    ...evidence.casts(({ type }) => type === 'text')
  ]
}

/** The expressions that make a text of an operand of a kind. */
function textsWith(evidence: Evidence, test: (operand: Expression) => boolean): Expression[] {
  return textsOf(evidence).filter(({ operands }) => operands.some(test))
}

function isLowered({ kind, name }: Expression): boolean {
  return kind === 'call' && (name === 'lower' || name === 'upper')
}

const hasCollate = (expression: Expression) => some(expression, ({ name }) => name === 'COLLATE')

function isText({ type, kind }: Expression): boolean {
  return type === 'text' && kind !== 'string'
}

/** The places where the order of texts decides, and the text of Postgres gives no collation. */
function orderedTexts(evidence: Evidence): Expression[] {
  const { postgres, query } = evidence
  const keys = postgres.orders.flatMap(({ expression }, i) =>
    isText(expression) && !hasCollate(expression) ? (query.orders[i]?.expression ?? []) : []
  )
  const compared = postgres.expressions.filter(
    ({ kind, name, operands }) =>
      kind === 'operator' &&
      ['<', '>', '<=', '>=', 'BETWEEN', 'NOT BETWEEN'].includes(name) &&
      (operands.some(isText) || operands.every(({ type }) => type === 'text'))
  )
  const extremes = postgres.expressions.filter(
    ({ kind, name, operands }) => kind === 'call' && (name === 'min' || name === 'max') && operands.some(isText)
  )
  const others = [...compared, ...extremes].filter(expression => !hasCollate(expression))
  return [...keys, ...others.flatMap(expression => evidence.counterpart(expression) ?? [])]
}

function isChar(column: Column | undefined): boolean {
  return column !== undefined && /^(?:character|char|bpchar)\b(?! varying)/i.test(column.typeName)
}

const TEXT_FUNCTIONS =
  /function (?:pg_catalog\.)?(length|upper|lower|trim|btrim|ltrim|rtrim|substr|substring|replace)\((integer|bigint|smallint|double precision|real|numeric|json|jsonb|boolean|date|timestamp|uuid)/

export const TEXTS: readonly Rule[] = [
  {
    name: 'like-backslash',
    title: 'In a pattern of LIKE a backslash escapes on Postgres; on SQLite it stands for itself.',
    mend: "Name another character: LIKE '50!%' ESCAPE '!'.",
    *find(evidence) {
      if (evidence.kind === 'columns') return
      for (const like of evidence.operators('LIKE', 'NOT LIKE')) {
        const [, pattern, escapes] = like.operands
        if (escapes !== undefined || pattern === undefined) continue
        const isInText = some(pattern, ({ kind, name }) => kind === 'string' && name.includes('\\'))
        if (isInText || (evidence.isOfRows && pattern.kind !== 'string' && evidence.givesBackslash)) yield { at: like, weight: LIKELY + 1 }
        else if (evidence.fails('postgres', 'invalid_escape_sequence')) yield { at: like, weight: CERTAIN }
        else if (pattern.kind !== 'string' && evidence.isOfRows) yield { at: like, weight: POSSIBLE }
      }
    }
  },
  {
    name: 'like-case',
    title: 'LIKE ignores the case of A to Z on SQLite, and never on Postgres.',
    mend: 'Compare in lower case: lower(name COLLATE "C") LIKE lower(:pattern COLLATE "C").',
    *find(evidence) {
      if (!evidence.isOfRows) return
      for (const like of evidence.operators('LIKE', 'NOT LIKE')) {
        const [left, pattern] = like.operands
        if (left === undefined || pattern === undefined || (isLowered(left) && isLowered(pattern))) continue
        const hasLetters = pattern.kind !== 'string' || /[a-z]/i.test(pattern.name)
        if (hasLetters && !(isLowered(left) && pattern.kind === 'string')) yield { at: like, weight: LIKELY }
      }
    }
  },
  {
    name: 'like-number',
    title: 'LIKE takes values of any type on SQLite, and only text on Postgres.',
    mend: "Make a text of it: CAST(age AS TEXT) LIKE '1%'.",
    find: evidence =>
      evidence.fails('postgres', 'undefined_function') && evidence.says('postgres', /~~/)
        ? certain(evidence.operators('LIKE', 'NOT LIKE'))
        : []
  },
  {
    name: 'ilike',
    title: 'Only Postgres has ILIKE.',
    mend: 'Compare in lower case: lower(name COLLATE "C") LIKE lower(:pattern COLLATE "C").',
    find: evidence => (evidence.fails('sqlite') ? signs(CERTAIN, evidence.operators('ILIKE', 'NOT ILIKE')) : [])
  },
  {
    name: 'case-beyond-ascii',
    title: 'lower() and upper() convert only A to Z on SQLite, and the letters of all languages on Postgres.',
    mend: 'Write lower(name COLLATE "C"), and do the rest in JavaScript.',
    *find(evidence) {
      if (!evidence.isOfRows) return
      const isSameWithoutCase = evidence.values(
        (a, b) => typeof a === 'string' && typeof b === 'string' && a !== b && a.toLowerCase() === b.toLowerCase()
      )
      for (const call of evidence.postgres.expressions) {
        if (!isLowered(call) || hasCollate(call)) continue
        const at = evidence.counterpart(call)
        if (at === undefined) continue
        const isDiffering = at.item !== undefined && at.item === evidence.finding.column
        if (isDiffering && evidence.finding.values !== undefined) {
          if (isSameWithoutCase) yield { at, weight: CERTAIN }
        } else {
          yield { at, weight: LIKELY - 1 }
        }
      }
    }
  },
  {
    name: 'substr-start',
    title: 'substr() counts a negative start or length from the end on SQLite; on Postgres a negative start lies before the string.',
    mend: 'Count it yourself: substr(name, length(name) - 2).',
    *find(evidence) {
      if (!evidence.isOfRows && !evidence.fails('postgres', 'substring_error')) return
      for (const call of evidence.calls('substr', 'substring')) {
        const places = call.operands.slice(1)
        const isNegative = places.some(({ kind, name, operands }) => kind === 'operator' && name === '-' && operands.length === 1)
        const isZero = places.some(({ kind, name }) => kind === 'number' && Number(name) === 0)
        const isKnown = places.every(({ kind }) => kind === 'number')
        if (evidence.kind === 'error') yield { at: call, weight: CERTAIN }
        else if (isNegative) yield { at: call, weight: LIKELY + 1 }
        else if (isZero || !isKnown) yield { at: call, weight: POSSIBLE }
      }
    }
  },
  {
    name: 'precedence',
    title: '|| and -> bind more strongly than + and * on SQLite, and more weakly on Postgres.',
    mend: "Write parentheses: 'x' || (age + 1).",
    find: evidence =>
      signs(
        evidence.kind === 'columns' ? 0 : LIKELY + 1,
        evidence
          .operators('||', '->', '->>')
          .filter(({ operands }) =>
            operands.some(
              ({ kind, name, isParenthesized, operands: inner }) =>
                kind === 'operator' && inner.length === 2 && ['+', '-', '*', '/', '%'].includes(name) && !isParenthesized
            )
          )
      )
  },
  {
    name: 'text-of-number',
    title: "A DOUBLE PRECISION becomes '1.0' as text on SQLite, and '1' on Postgres.",
    mend: 'Select the number and format it in JavaScript, or make an integer of it first: CAST(CAST(floor(weight) AS BIGINT) AS TEXT).',
    find: evidence =>
      evidence.isOfRows
        ? signs(
            evidence.values((a, b) => /\d\.0|e[+-]?\d/i.test(`${a} ${b}`)) ? LIKELY + 2 : LIKELY,
            textsWith(evidence, ({ type }) => type === 'double')
          )
        : []
  },
  {
    name: 'text-of-boolean',
    title: "A BOOLEAN becomes '1' as text on SQLite, and 'true' on Postgres.",
    mend: "Write CASE WHEN active THEN 'true' ELSE 'false' END.",
    find: evidence =>
      evidence.isOfRows
        ? signs(
            LIKELY + 1,
            textsWith(evidence, ({ type }) => type === 'boolean')
          )
        : []
  },
  {
    name: 'text-of-time',
    title: "A time becomes '2024-01-31T10:30:00.000Z' as text on SQLite, and '2024-01-31 10:30:00+00' on Postgres.",
    mend: 'Select the column itself, or take a part of it: sql.day(seen).',
    find: evidence =>
      evidence.isOfRows
        ? signs(LIKELY + 1, [
            ...textsWith(evidence, ({ type }) => type === 'timestamp'),
            ...evidence.calls('substr', 'length').filter(({ operands }) => operands[0]?.type === 'timestamp')
          ])
        : []
  },
  {
    name: 'concat-operands',
    title: '|| joins values of any types on SQLite; Postgres needs text on one side.',
    mend: 'Make a text of one: CAST(age AS TEXT) || age.',
    find: evidence =>
      evidence.fails('postgres', 'undefined_function') && evidence.says('postgres', /operator does not exist: .*\|\|/)
        ? certain(evidence.operators('||'))
        : []
  },
  {
    name: 'glob',
    title: 'Only SQLite has GLOB and MATCH.',
    mend: "Compare the beginning: substr(name, 1, 1) = 'a'; or write LIKE.",
    find: evidence => (evidence.fails('postgres') ? signs(CERTAIN, evidence.operators('GLOB', 'NOT GLOB', 'MATCH', 'NOT MATCH')) : [])
  },
  {
    name: 'regexp',
    title: 'SQLite has no regular expressions: it lacks ~ and SIMILAR TO, and has no function behind REGEXP.',
    mend: 'Write LIKE or substr(), or filter the rows in JavaScript.',
    find: evidence =>
      evidence.kind === 'error'
        ? signs(
            CERTAIN,
            evidence
              .operators('~', '~*', '!~', '!~*', 'REGEXP', 'NOT REGEXP', 'SIMILAR', 'NOT SIMILAR')
              .filter(({ operands }) => operands.length > 1)
          )
        : []
  },
  {
    name: 'function-keywords',
    title: 'SQLite has no keywords between the arguments of substring() and trim().',
    mend: "Write commas: substr(name, 2, 2), trim(name, 'x').",
    find: evidence =>
      evidence.fails('sqlite')
        ? signs(
            CERTAIN,
            evidence
              .calls('substring', 'trim', 'overlay')
              .filter(({ start, end }) => evidence.wordsAt('FROM').some(at => at > start && at < end))
          )
        : []
  },
  {
    name: 'text-argument',
    title: 'length(), upper() and other functions of text take values of any type on SQLite, and only text on Postgres.',
    mend: 'Make a text of it: length(CAST(age AS TEXT)).',
    *find(evidence) {
      if (!evidence.fails('postgres', 'undefined_function')) return
      const [, name] = TEXT_FUNCTIONS.exec(evidence.finding.errors?.postgres?.message ?? '') ?? []
      if (name !== undefined) yield* certain(evidence.calls(name, name === 'btrim' ? 'trim' : name))
    }
  },
  {
    name: 'string-aggregate',
    title: 'Only SQLite has group_concat(), and string_agg() takes only text on Postgres.',
    mend: "Write string_agg(CAST(hits AS TEXT), ',' ORDER BY id), which both have.",
    find: evidence => (evidence.fails('postgres', 'undefined_function') ? signs(CERTAIN, evidence.calls('group_concat', 'string_agg')) : [])
  },
  {
    name: 'distinct-aggregate',
    title: 'An aggregate of DISTINCT values takes one argument on SQLite.',
    mend: "Aggregate a subquery: SELECT string_agg(place, ',' ORDER BY place) FROM (SELECT DISTINCT place FROM visits) AS v.",
    find: evidence =>
      evidence.fails('sqlite') && evidence.says('sqlite', /DISTINCT/) ? certain(evidence.calls('string_agg', 'group_concat')) : []
  },
  {
    name: 'aggregate-order',
    title: 'string_agg() without ORDER BY joins the rows in their physical order.',
    mend: "Write the order into it: string_agg(name, ',' ORDER BY id).",
    *find(evidence) {
      if (!evidence.isOfRows) return
      const letters = (value: unknown) => [...String(value)].sort().join('')
      const isShuffled = evidence.values((a, b) => typeof a === 'string' && typeof b === 'string' && letters(a) === letters(b))
      const calls = evidence.calls('string_agg', 'group_concat').filter(({ isOrdered, isWindow }) => !isOrdered && !isWindow)
      yield* signs(isShuffled ? CERTAIN : POSSIBLE + 1, calls)
    }
  },
  {
    name: 'char-padding',
    title: 'Postgres pads CHAR(n) with blanks, and SQLite does not.',
    mend: 'Declare the column TEXT with CHECK (length(code) <= 5).',
    *find(evidence) {
      if (!evidence.isOfRows) return
      const isPadded = evidence.values((a, b) => typeof a === 'string' && typeof b === 'string' && a !== b && a.trimEnd() === b.trimEnd())
      const places: (Expression | number)[] = evidence.expressions(({ column }) => isChar(column))
      if (places.length === 0 && evidence.columns.some(isChar)) places.push(...evidence.wordsAt('*'))
      yield* signs(isPadded ? CERTAIN : evidence.isOfOtherValues ? 0 : LIKELY - 1, places)
    }
  },
  {
    name: 'uuid-case',
    title: 'Postgres stores a UUID in lower case, SQLite as it was given.',
    mend: 'Give UUIDs in lower case, as randomUUID() does: lower(:token).',
    *find(evidence) {
      if (!evidence.isOfRows) return
      const columns = evidence.expressions(({ column }) => column !== undefined && /^uuid$/i.test(column.typeName))
      const written = evidence.query.assignments.filter(({ column }) => /^uuid$/i.test(column.typeName)).map(({ value }) => value)
      const isSameWithoutCase = evidence.values(
        (a, b) => typeof a === 'string' && typeof b === 'string' && a.toLowerCase() === b.toLowerCase()
      )
      yield* signs(isSameWithoutCase ? CERTAIN : LIKELY - 1, [...columns, ...written])
    }
  },
  {
    name: 'collation',
    title: 'SQLite sorts strings by their bytes, Postgres by the collation of the database.',
    mend: 'Write name COLLATE "C" in the query or in the table; a SQL file leaves it out for SQLite.',
    *find(evidence) {
      if (!evidence.isOfRows) return
      for (const at of orderedTexts(evidence)) yield* textOrderSigns(evidence, at)
    }
  }
]

function* textOrderSigns(evidence: Evidence, at: Expression): Iterable<Sign> {
  const isOfTimes = comparedOf(at).some(({ type }) => type === 'timestamp' || type === 'date')
  const isOfNumbers = comparedOf(at).some(isNumber)
  if (isOfTimes || isOfNumbers) return
  const isExtreme = at.kind === 'call' && at.item === evidence.finding.column
  if (isExtreme && evidence.isOfOtherValues) return
  yield { at, weight: LIKELY }
}
