import { type Expression, isInteger } from '../expressions.ts'
import { CERTAIN, certain, type Evidence, LIKELY, POSSIBLE, type Rule, signs } from './rule.ts'

function isInsert(evidence: Evidence): boolean {
  return evidence.wordsAt('INSERT').length > 0
}

/** True if a value of another type than the column's is kept on SQLite and converted on Postgres. */
function isConverted(type: string | undefined, value: Expression): boolean {
  if (value.type === undefined || value.type === 'null') return false
  if (type === 'integer' || type === 'bigint') return value.type === 'double' || value.type === 'numeric'
  if (type === 'text') return value.type === 'boolean' || value.type === 'double'
  return false
}

export const WRITES: readonly Rule[] = [
  {
    name: 'insert-or',
    title: 'Only SQLite has INSERT OR … and REPLACE, which deletes the row that is there and what refers to it.',
    mend: 'Write ON CONFLICT (id) DO NOTHING, or DO UPDATE SET name = excluded.name.',
    find: evidence =>
      evidence.fails('postgres', 'syntax_error')
        ? signs(CERTAIN, [...evidence.wordsAt('INSERT', 'OR'), ...evidence.wordsAt('REPLACE', 'INTO'), ...evidence.wordsAt('UPDATE', 'OR')])
        : []
  },
  {
    name: 'upsert-twice',
    title: 'INSERT … ON CONFLICT DO UPDATE can change a row twice on SQLite, and fails on Postgres.',
    mend: 'Let each key come once: SELECT DISTINCT, or GROUP BY the key.',
    find: evidence => (evidence.fails('postgres', 'cardinality_violation') ? certain(evidence.wordsAt('ON', 'CONFLICT')) : [])
  },
  {
    name: 'subquery-of-many',
    title: "SQLite takes the first of a subquery's rows; Postgres refuses more than one.",
    mend: 'Say which row: (SELECT max(hits) FROM visits …), or ORDER BY … LIMIT 1.',
    find: evidence =>
      evidence.fails('postgres', 'cardinality_violation') && evidence.wordsAt('ON', 'CONFLICT').length === 0
        ? certain(
            evidence.expressions(({ kind }) => kind === 'subquery'),
            CERTAIN + 1
          )
        : []
  },
  {
    name: 'upsert-without-where',
    title: 'Behind SELECT … FROM, SQLite takes ON CONFLICT for the condition of a join.',
    mend: 'Write WHERE TRUE before it.',
    find: evidence =>
      evidence.fails('sqlite', 'syntax_error') && evidence.query.selects.length > 0
        ? signs(CERTAIN, evidence.wordsAt('ON', 'CONFLICT'))
        : []
  },
  {
    name: 'upsert-ambiguous',
    title: 'In DO UPDATE a bare column is that of the existing row on SQLite, and ambiguous on Postgres.',
    mend: 'Name the table: SET points = people.points + 1.',
    find: evidence => (evidence.fails('postgres', 'ambiguous_column') ? certain(evidence.wordsAt('ON', 'CONFLICT')) : [])
  },
  {
    name: 'conflict-constraint',
    title: 'SQLite has no ON CONFLICT ON CONSTRAINT.',
    mend: 'Name the columns of the key: ON CONFLICT (id).',
    find: evidence => (evidence.fails('sqlite') ? signs(CERTAIN + 1, evidence.wordsAt('ON', 'CONFLICT', 'ON', 'CONSTRAINT')) : [])
  },
  {
    name: 'delete-using',
    title: 'Only Postgres has DELETE … USING.',
    mend: 'Write WHERE id IN (SELECT …).',
    find: evidence => (evidence.fails('sqlite') && evidence.wordsAt('DELETE').length > 0 ? signs(CERTAIN, evidence.wordsAt('USING')) : [])
  },
  {
    name: 'default-keyword',
    title: 'SQLite has no DEFAULT among values.',
    mend: 'Leave the column out.',
    find: evidence =>
      evidence.fails('sqlite')
        ? signs(
            CERTAIN,
            evidence.expressions(
              ({ kind, name, clause }) => kind === 'column' && /^default$/i.test(name) && (clause === 'values' || clause === 'set')
            )
          )
        : []
  },
  {
    name: 'writing-with',
    title: 'Only Postgres has INSERT, UPDATE and DELETE in WITH.',
    mend: 'Run two statements in a transaction.',
    find: evidence =>
      evidence.fails('sqlite')
        ? signs(
            CERTAIN,
            ['DELETE', 'INSERT', 'UPDATE'].flatMap(verb => evidence.wordsAt('AS', '(', verb))
          )
        : []
  },
  {
    name: 'write-limit',
    title: 'Only SQLite has ORDER BY and LIMIT in UPDATE and DELETE.',
    mend: 'Choose the rows in a subquery: WHERE id IN (SELECT id FROM visits ORDER BY id LIMIT 1).',
    find: evidence =>
      evidence.fails('postgres', 'syntax_error') && evidence.wordsAt('DELETE').length + evidence.wordsAt('UPDATE').length > 0
        ? signs(CERTAIN - 2, [...evidence.wordsAt('ORDER', 'BY'), ...evidence.wordsAt('LIMIT')])
        : []
  },
  {
    name: 'returning-table',
    title: 'SQLite has no visits.* in RETURNING.',
    mend: 'Write RETURNING *.',
    find: evidence =>
      evidence.fails('sqlite')
        ? signs(
            CERTAIN,
            evidence.expressions(({ kind, name, clause }) => kind === 'column' && name === '*' && clause === 'returning')
          )
        : []
  },
  {
    name: 'truncate',
    title: 'Only Postgres has TRUNCATE.',
    mend: 'Write DELETE FROM visits.',
    find: evidence => (evidence.fails('sqlite') ? signs(CERTAIN, evidence.wordsAt('TRUNCATE')) : [])
  },
  {
    name: 'varchar-length',
    title: 'Postgres enforces the length of VARCHAR(n), and SQLite does not.',
    mend: 'Declare TEXT with CHECK (length(label) <= 5), which both hold to.',
    find: evidence =>
      evidence.fails('postgres', 'string_data_right_truncation') ? certain(evidence.query.assignments.map(({ value }) => value)) : []
  },
  {
    name: 'nulls-in-key',
    title: 'SQLite accepts NULL in a primary key that is no INTEGER.',
    mend: 'Declare it NOT NULL PRIMARY KEY.',
    find: evidence => (evidence.fails('postgres', 'not_null_violation') && !evidence.fails('sqlite') ? certain([]) : [])
  },
  {
    name: 'stored-type',
    title: "SQLite stores a value of another type than the column's; Postgres converts or refuses it.",
    mend: "Bind values of the column's type: Math.round(x), String(flag).",
    *find(evidence) {
      const { assignments } = evidence.query
      const isRefused = evidence.fails('postgres', 'datatype_mismatch') && evidence.says('postgres', /column .* is of type/)
      if (isRefused)
        yield* certain(
          assignments.filter(({ column, value }) => column.type !== value.type).map(({ value }) => value),
          CERTAIN - 1
        )
      if (!evidence.isOfRows) return
      const converted = assignments.filter(({ column, value }) => isConverted(column.type, value)).map(({ value }) => value)
      yield* signs(
        evidence.values((a, b) => typeof a === 'number' && typeof b === 'number' && Math.round(a) === b) ? LIKELY + 2 : LIKELY,
        converted
      )
    }
  },
  {
    name: 'reused-id',
    title: 'INTEGER PRIMARY KEY reuses the id of a deleted last row on SQLite.',
    mend: 'Declare the id with sql.autoId.',
    *find(evidence) {
      if (!evidence.isOfRows || !isInsert(evidence)) return
      const [table] = evidence.finding.schema.tables.filter(({ name }) => evidence.query.tables.includes(name))
      const generated = table?.columns.filter(({ name, type }) => {
        const isKey = table.keys.some(([only, ...others]) => only === name && others.length === 0)
        return isKey && (type === 'integer' || type === 'bigint') && !evidence.query.assignments.some(({ column }) => column.name === name)
      })
      if (generated === undefined || generated.length === 0) return
      const isOfIds =
        generated.some(({ name }) => name === evidence.finding.column) &&
        evidence.values((a, b) => Number.isInteger(a) && Number.isInteger(b))
      yield* signs(isOfIds ? CERTAIN - 1 : POSSIBLE, evidence.wordsAt('INSERT'))
    }
  },
  {
    name: 'update-from-many',
    title: 'UPDATE … FROM takes any one of several rows that match.',
    mend: 'Say which: SET points = (SELECT max(hits) FROM visits WHERE …).',
    *find(evidence) {
      if (!evidence.isOfRows || evidence.wordsAt('UPDATE').length === 0) return
      const [update = 0] = evidence.wordsAt('SET')
      const isSelect = evidence.query.selects.some(({ level }) => level === 0)
      if (!isSelect && evidence.query.tables.length > 1)
        yield* signs(
          LIKELY + 1,
          evidence
            .wordsAt('FROM')
            .filter(at => at > update)
            .slice(0, 1)
        )
    }
  },
  {
    name: 'text-into-number',
    title: 'SQLite stores a string that is no number in an INTEGER column; Postgres refuses it.',
    mend: 'Bind numbers.',
    find: evidence =>
      evidence.fails('postgres', 'invalid_text_representation') && !evidence.fails('sqlite')
        ? signs(
            LIKELY + 2,
            evidence.query.assignments.filter(({ column, value }) => isInteger(column) && !isInteger(value)).map(({ value }) => value)
          )
        : []
  }
]
