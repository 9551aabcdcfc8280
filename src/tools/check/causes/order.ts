import type { OrderKey } from '../expressions.ts'
import { CERTAIN, certain, type Evidence, LIKELY, POSSIBLE, type Rule, signs } from './rule.ts'

/** True for a key that may be NULL, as far as the schema tells. */
function mayBeNull({ expression }: OrderKey, evidence: Evidence): boolean {
  if (expression.kind === 'number' || expression.kind === 'string') return false
  if (expression.name === 'IS' || expression.name === 'IS NOT' || expression.name === 'EXISTS') return false
  const isRuledOut = evidence
    .operators('IS NOT')
    .some(({ operands: [left, right] }) => right?.name === 'NULL' && left?.name === expression.name && left.kind === expression.kind)
  if (isRuledOut) return false
  if (expression.column !== undefined) {
    const isOuter = evidence.wordsAt('LEFT').length + evidence.wordsAt('RIGHT').length + evidence.wordsAt('FULL').length > 0
    return !expression.column.isNotNull || isOuter
  }
  return expression.name !== 'count' && expression.name !== 'coalesce'
}

export const ORDER: readonly Rule[] = [
  {
    name: 'null-order',
    title: 'NULLs sort first on SQLite, and last on Postgres.',
    mend: 'Say where: ORDER BY age NULLS LAST.',
    *find(evidence) {
      if (!evidence.isOfRows) return
      for (const key of evidence.query.orders) {
        const { expression, hasNulls } = key
        if (hasNulls || !mayBeNull(key, evidence)) continue
        const isDiffering = evidence.finding.column !== undefined && expression.name === evidence.finding.column
        const isWithNull = evidence.values((a, b) => a === null || b === null)
        if (isDiffering && isWithNull) yield { at: expression, weight: CERTAIN }
        else if (isDiffering && evidence.kind === 'order') yield { at: expression, weight: POSSIBLE }
        else yield { at: expression, weight: expression.column === undefined ? LIKELY - 1 : LIKELY }
      }
    }
  },
  {
    name: 'limit-negative',
    title: 'A negative LIMIT or OFFSET means none on SQLite, and fails on Postgres.',
    mend: 'Leave LIMIT out, or bind a number from 0.',
    find: evidence =>
      evidence.fails('postgres', 'invalid_row_count_in_limit_clause', 'invalid_row_count_in_result_offset_clause')
        ? certain([...evidence.wordsAt('LIMIT'), ...evidence.wordsAt('OFFSET')])
        : []
  },
  {
    name: 'limit-comma',
    title: 'Only SQLite has LIMIT 1, 2, which skips one row and returns two.',
    mend: 'Write LIMIT 2 OFFSET 1.',
    find: evidence => (evidence.says('postgres', /LIMIT #,#/) ? certain(evidence.wordsAt('LIMIT')) : [])
  },
  {
    name: 'limit-null',
    title: 'LIMIT NULL and LIMIT ALL mean none on Postgres, and fail on SQLite.',
    mend: 'Leave LIMIT out; -- @if limit at the end of its line does it where the parameter is not given.',
    *find(evidence) {
      if (!evidence.fails('sqlite') || evidence.fails('postgres')) return
      yield* signs(CERTAIN, evidence.wordsAt('LIMIT', 'ALL'))
      if (evidence.fails('sqlite', 'invalid_text_representation', 'datatype_mismatch'))
        yield* signs(CERTAIN, [...evidence.wordsAt('LIMIT'), ...evidence.wordsAt('OFFSET')])
    }
  },
  {
    name: 'offset-alone',
    title: 'SQLite has OFFSET behind LIMIT alone.',
    mend: 'Write LIMIT 9223372036854775807 OFFSET 2.',
    find: evidence =>
      evidence.fails('sqlite', 'syntax_error') && evidence.wordsAt('LIMIT').length === 0 ? signs(LIKELY, evidence.wordsAt('OFFSET')) : []
  },
  {
    name: 'grouping-sets',
    title: 'SQLite has no ROLLUP, CUBE and GROUPING SETS.',
    mend: 'Join two queries by UNION ALL: one that groups, and one of the total.',
    find: evidence =>
      evidence.fails('sqlite')
        ? signs(CERTAIN, [...evidence.wordsAt('ROLLUP', '('), ...evidence.wordsAt('CUBE', '('), ...evidence.wordsAt('GROUPING', 'SETS')])
        : []
  },
  {
    name: 'except-all',
    title: 'SQLite has no EXCEPT ALL and INTERSECT ALL.',
    mend: 'Leave ALL out, or number the rows with row_number().',
    find: evidence =>
      evidence.fails('sqlite') ? signs(CERTAIN, [...evidence.wordsAt('EXCEPT', 'ALL'), ...evidence.wordsAt('INTERSECT', 'ALL')]) : []
  },
  {
    name: 'limit-without-order',
    title: 'LIMIT without ORDER BY returns rows in their physical order, which differs between the databases.',
    mend: 'Add ORDER BY with a unique key.',
    *find(evidence) {
      if (!evidence.isOfRows) return
      for (const { limit, hasOrder } of evidence.query.selects)
        if (limit !== undefined && !hasOrder) yield { at: limit, weight: LIKELY + 2 }
    }
  },
  {
    name: 'limit-ties',
    title: 'LIMIT picks any of the rows that are equal in ORDER BY.',
    mend: 'End ORDER BY with a unique key: ORDER BY active, id LIMIT 1.',
    *find(evidence) {
      if (!evidence.isOfRows) return
      const isUnique = evidence.query.orders.some(({ expression, level }) => level === 0 && isKey(evidence, expression.name))
      for (const { limit, hasOrder, level } of evidence.query.selects)
        if (limit !== undefined && hasOrder && level === 0 && !isUnique) yield { at: limit, weight: POSSIBLE }
    }
  },
  {
    name: 'fetch-first',
    title: 'SQLite has no FETCH FIRST.',
    mend: 'Write LIMIT 2.',
    find: evidence =>
      evidence.fails('sqlite') ? signs(CERTAIN, [...evidence.wordsAt('FETCH', 'FIRST'), ...evidence.wordsAt('FETCH', 'NEXT')]) : []
  },
  {
    name: 'distinct-order',
    title: 'SELECT DISTINCT sorts by a column that it does not select on SQLite alone.',
    mend: 'Select what you sort by, or group: GROUP BY active ORDER BY max(age) NULLS LAST.',
    find: evidence => (evidence.fails('postgres', 'invalid_column_reference') ? certain(evidence.wordsAt('ORDER', 'BY')) : [])
  },
  {
    name: 'distinct-on',
    title: 'Only Postgres has DISTINCT ON.',
    mend: 'Group, or number the rows: row_number() OVER (PARTITION BY person ORDER BY hits).',
    find: evidence => (evidence.fails('sqlite') ? signs(CERTAIN, evidence.wordsAt('DISTINCT', 'ON')) : [])
  },
  {
    name: 'bare-column',
    title: 'SQLite takes a column outside of GROUP BY from any row of the group; Postgres refuses it.',
    mend: 'Add it to GROUP BY, or say which one: min(place).',
    *find(evidence) {
      if (evidence.fails('postgres', 'grouping_error')) {
        const [, name] = /column "(?:[^"]*\.)?([^".]+)"/.exec(evidence.finding.errors?.postgres?.message ?? '') ?? []
        yield* certain(evidence.expressions(({ kind, name: own }) => kind === 'column' && own.toLowerCase() === name?.toLowerCase()))
      }
    }
  },
  {
    name: 'alias-in-condition',
    title: 'Only SQLite knows the aliases of SELECT in WHERE and HAVING.',
    mend: 'Write the expression again, or select from a subquery.',
    *find(evidence) {
      if (!evidence.fails('postgres', 'undefined_column')) return
      const aliases = evidence.query.items.filter(({ alias }) => alias !== undefined).map(({ name }) => name.toLowerCase())
      yield* signs(
        CERTAIN,
        evidence.expressions(
          ({ kind, name, column, clause }) =>
            kind === 'column' &&
            column === undefined &&
            ['where', 'having', 'group', 'on'].includes(clause) &&
            aliases.includes(name.toLowerCase())
        )
      )
    }
  },
  {
    name: 'locking',
    title: 'SQLite has no FOR UPDATE: its transactions write one after the other.',
    mend: 'Leave it out and check in the UPDATE itself, or mark its line with -- @postgres.',
    find: evidence =>
      evidence.fails('sqlite')
        ? signs(
            CERTAIN,
            [
              ['FOR', 'UPDATE'],
              ['FOR', 'SHARE'],
              ['FOR', 'NO'],
              ['FOR', 'KEY']
            ].flatMap(words => evidence.wordsAt(...words))
          )
        : []
  },
  {
    name: 'lateral',
    title: 'SQLite has no LATERAL.',
    mend: 'Write a subquery in SELECT, or number the rows with row_number().',
    find: evidence => (evidence.fails('sqlite') ? signs(CERTAIN, evidence.wordsAt('LATERAL')) : [])
  },
  {
    name: 'columns-of-alias',
    title: 'SQLite cannot name the columns of a subquery in FROM.',
    mend: 'Name them in WITH: WITH v (a) AS (VALUES (1), (2)) SELECT a FROM v.',
    *find(evidence) {
      if (!evidence.fails('sqlite', 'syntax_error') || evidence.fails('postgres')) return
      const { words } = evidence.query
      for (const [i, { kind, start, text }] of words.entries()) {
        const before = words[i - 1]?.text === 'AS' ? words[i - 2] : words[i - 1]
        if (kind === 'word' && before?.text === ')' && words[i + 1]?.text === '(' && words[i + 2]?.kind === 'word' && text !== 'AS')
          yield { at: start, weight: LIKELY }
      }
    }
  }
]

function isKey(evidence: Evidence, column: string): boolean {
  return evidence.finding.schema.tables.some(
    ({ name, keys }) => evidence.query.tables.includes(name) && keys.some(([only, ...others]) => others.length === 0 && only === column)
  )
}
