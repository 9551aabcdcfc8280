import type { Expression } from '../expressions.ts'
import { CERTAIN, certain, comparedOf, LIKELY, type Rule, signs, some } from './rule.ts'

const isTextOfJson = ({ kind, name }: Expression) => kind === 'operator' && name === '->>'

const SQLITE_JSON =
  'json_extract json_each json_tree json_group_array json_group_object json_set json_insert json_replace json_remove json_patch json_type json_valid json_quote json jsonb jsonb_extract jsonb_group_array json_object json_array json_error_position json_pretty'.split(
    ' '
  )
const POSTGRES_JSON =
  'jsonb_set jsonb_insert json_agg jsonb_agg json_object_agg jsonb_object_agg json_build_object jsonb_build_object json_build_array jsonb_build_array to_json to_jsonb row_to_json json_array_elements jsonb_array_elements json_array_elements_text jsonb_array_elements_text json_each_text jsonb_each jsonb_each_text json_typeof jsonb_typeof jsonb_array_length json_object_keys jsonb_object_keys json_extract_path json_extract_path_text jsonb_extract_path jsonb_pretty jsonb_strip_nulls json_strip_nulls jsonb_path_query jsonb_path_exists json_populate_record'.split(
    ' '
  )

export const JSON_PARTS: readonly Rule[] = [
  {
    name: 'json-boolean',
    title: "->> returns 1 for true on SQLite, and 'true' on Postgres.",
    mend: "Compare the text of ->: CAST(doc -> 'isGift' AS TEXT) = 'true'.",
    *find(evidence) {
      if (evidence.kind === 'columns') return
      const isTruth = ({ kind, name, type }: Expression) => (kind === 'string' && /^(?:true|false)$/.test(name)) || type === 'boolean'
      const places = evidence.comparisons.filter(comparison => {
        const operands = comparedOf(comparison)
        return operands.some(isTextOfJson) && operands.some(isTruth)
      })
      yield* signs(evidence.kind === 'error' ? CERTAIN + 2 : LIKELY + 2, places)
      if (evidence.values((a, b) => (a === 1 || a === 0) && (b === 'true' || b === 'false')))
        yield* signs(CERTAIN, evidence.operators('->>'))
    }
  },
  {
    name: 'json-path',
    title: '-> and ->> take a path such as $.tags on SQLite; on Postgres it is the name of a member.',
    mend: "Write one name after the other: doc -> 'a' ->> 'b'.",
    find: evidence =>
      evidence.isOfRows
        ? signs(
            CERTAIN,
            evidence.operators('->', '->>').filter(({ operands: [, right] }) => right?.kind === 'string' && right.name.startsWith('$'))
          )
        : []
  },
  {
    name: 'json-text',
    title: '->> returns a number for a number on SQLite, and its text on Postgres.',
    mend: "Cast it: CAST(doc ->> 'size' AS INTEGER), or AS TEXT.",
    *find(evidence) {
      const isRefused =
        evidence.fails('postgres', 'undefined_function') && evidence.says('postgres', /operator does not exist: (?:text|.* text)/)
      if (!evidence.isOfRows && !isRefused) return
      const compared = evidence.comparisons.filter(comparison => comparedOf(comparison).some(isTextOfJson))
      const computed = evidence.expressions(({ operands, kind }) => kind !== 'cast' && operands.some(isTextOfJson))
      yield* signs(isRefused ? CERTAIN + 1 : LIKELY + 1, isRefused ? computed : compared)
      if (evidence.isNumberAndText) yield* signs(CERTAIN, evidence.operators('->>'))
      else if (evidence.isOfRows) {
        for (const at of evidence.operators('->>'))
          yield { at, weight: at.clause === 'order' || at.clause === 'inner order' ? LIKELY + 1 : LIKELY - 1 }
      }
    }
  },
  {
    name: 'json-part',
    title: '-> returns a string on SQLite, and parsed JSON on Postgres.',
    mend: 'Select the whole column and take the part in JavaScript, or declare it: -- @column tags json.',
    *find(evidence) {
      const { differing } = evidence
      const weight = evidence.weightOf(evidence.values((a, b) => typeof a === 'string' && typeof b !== 'string')) - 1
      if (weight > 0 && differing?.type === 'json' && differing.kind !== 'column') yield { at: differing, weight }
    }
  },
  {
    name: 'json-comparison',
    title: 'SQLite compares JSON as text; Postgres has no = for JSON.',
    mend: "Compare its text: CAST(doc -> 'n' AS TEXT) = 'null'.",
    *find(evidence) {
      if (!evidence.fails('postgres', 'undefined_function')) return
      if (!evidence.says('postgres', /operator for type json|operator does not exist: (?:json|.* json)/)) return
      const isJson = ({ type }: Expression) => type === 'json'
      const compared = evidence.comparisons.filter(comparison => comparedOf(comparison).some(isJson))
      yield* certain([...compared, ...evidence.query.items.map(({ expression }) => expression).filter(isJson)], CERTAIN + 1)
    }
  },
  {
    name: 'json-array-length',
    title: 'json_array_length() returns 0 for a value that is no array on SQLite, and fails on Postgres.',
    mend: "Ask first: CASE WHEN CAST(doc -> 'tags' AS TEXT) LIKE '[%' THEN json_array_length(doc -> 'tags') ELSE 0 END.",
    find: evidence => (evidence.kind === 'error' ? signs(LIKELY, evidence.calls('json_array_length')) : [])
  },
  {
    name: 'json-functions',
    title: 'Only ->, ->> and json_array_length() mean the same on both; other functions of JSON belong to one database.',
    mend: "Write doc -> 'a' ->> 'b', and build and change JSON in JavaScript.",
    *find(evidence) {
      if (evidence.kind !== 'error') return
      const operators = evidence
        .operators('#>', '#>>', '@>', '<@', '?', '?|', '?&')
        .filter(operator => !some(operator, ({ name }) => name === ''))
      if (evidence.fails('postgres')) yield* signs(CERTAIN, evidence.calls(...SQLITE_JSON))
      if (evidence.fails('sqlite')) yield* signs(CERTAIN, [...evidence.calls(...POSTGRES_JSON), ...operators])
    }
  }
]
