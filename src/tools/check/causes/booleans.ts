import { type Expression, isNumber } from '../expressions.ts'
import { CERTAIN, certain, comparedOf, LIKELY, POSSIBLE, type Rule, signs } from './rule.ts'

const isBoolean = ({ type }: Expression) => type === 'boolean'
/** A literal that stands for a truth value. */
const isTruthLiteral = ({ kind, name }: Expression) =>
  (kind === 'number' && /^[01]$/.test(name)) || (kind === 'string' && /^(?:t|f|true|false|yes|no|on|off|y|n|0|1)$/i.test(name))
const isNumeral = ({ kind, name }: Expression) => kind === 'string' && /^\s*[-+]?\d+(?:\.\d+)?\s*$/.test(name)

export const BOOLEANS: readonly Rule[] = [
  {
    name: 'boolean-literal',
    title: "A BOOLEAN is 0 or 1 on SQLite and never equals 'true'; Postgres reads 'true', and compares with no number.",
    mend: 'Write active, NOT active, TRUE or FALSE.',
    *find(evidence) {
      if (evidence.kind === 'columns') return
      const chosen = evidence.expressions(({ kind, name }) => kind === 'case' || (kind === 'call' && /^(?:coalesce|nullif)$/.test(name)))
      const isRefused = evidence.fails('postgres', 'undefined_function', 'datatype_mismatch') && evidence.says('postgres', /boolean/)
      const compared = [...evidence.comparisons, ...(isRefused ? chosen : [])].filter(comparison => {
        const operands = comparedOf(comparison)
        return operands.some(isBoolean) && operands.some(operand => isTruthLiteral(operand) || isNumber(operand))
      })
      const written = evidence.query.assignments
        .filter(({ column, value }) => column.type === 'boolean' && (value.kind === 'string' || isNumber(value)))
        .map(({ value }) => value)
      if (isRefused) yield* signs(CERTAIN + 1, [...compared, ...written])
      else if (evidence.isOfRows) yield* signs(LIKELY + 1, [...compared, ...written])
    }
  },
  {
    name: 'max-of-boolean',
    title: 'Only SQLite has min() and max() of a BOOLEAN.',
    mend: 'Write max(CASE WHEN active THEN 1 ELSE 0 END).',
    find: evidence =>
      evidence.fails('postgres', 'undefined_function') && evidence.says('postgres', /function (?:min|max)\(boolean/)
        ? certain(evidence.calls('min', 'max'))
        : []
  },
  {
    name: 'boolean-arithmetic',
    title: 'SQLite computes with truth values as 0 and 1; Postgres refuses them.',
    mend: 'Count with count(*) FILTER (WHERE active), or write CASE WHEN active THEN 1 ELSE 0 END.',
    *find(evidence) {
      if (!evidence.fails('postgres', 'undefined_function')) return
      if (!evidence.says('postgres', /function (?:sum|avg|abs|round)\(boolean|boolean [-+*/%|&] |[-+*/%|&] boolean/)) return
      const isOfTruth = ({ kind, name, operands }: Expression) =>
        operands.some(isBoolean) && (kind === 'call' || ['+', '-', '*', '/', '%', '|', '&'].includes(name))
      yield* certain(evidence.expressions(isOfTruth))
    }
  },
  {
    name: 'boolean-result',
    title: 'A comparison returns 0 or 1 on SQLite, and a boolean on Postgres.',
    mend: 'Write CASE WHEN weight > 2 THEN 1 ELSE 0 END, or declare the column: -- @column heavy boolean.',
    *find(evidence) {
      const { differing } = evidence
      const isPair = evidence.values((a, b) => typeof b === 'boolean' && (a === 0 || a === 1 || a === null))
      const isTruth = isPair || (differing?.type === 'boolean' && differing.kind !== 'column')
      if (isTruth && differing !== undefined) yield* signs(evidence.weightOf(isPair) - 1, [differing])
    }
  },
  {
    name: 'number-as-condition',
    title: 'SQLite accepts a number as a condition; Postgres needs a boolean.',
    mend: 'Write points <> 0.',
    find: evidence =>
      evidence.fails('postgres', 'datatype_mismatch') && evidence.says('postgres', /argument of .* must be type boolean/)
        ? certain(evidence.expressions(({ kind, type, clause }) => kind === 'column' && type !== 'boolean' && clause !== 'order'))
        : []
  },
  {
    name: 'is-with-value',
    title: 'IS compares any values on SQLite; on Postgres only NULL, TRUE and FALSE stand behind it.',
    mend: 'Write email IS NOT DISTINCT FROM :email.',
    find: evidence =>
      evidence.fails('postgres', 'syntax_error')
        ? signs(
            CERTAIN,
            evidence
              .operators('IS', 'IS NOT')
              .filter(({ operands: [, right] }) => right !== undefined && !/^(?:NULL|TRUE|FALSE|UNKNOWN)$/i.test(right.name))
          )
        : []
  },
  {
    name: 'double-equals',
    title: 'Only SQLite has ==.',
    mend: 'Write =.',
    find: evidence => (evidence.fails('postgres') ? signs(CERTAIN + 1, evidence.operators('==')) : [])
  },
  {
    name: 'not-null-operator',
    title: 'Only SQLite has age NOT NULL as a condition.',
    mend: 'Write age IS NOT NULL.',
    find: evidence => (evidence.fails('postgres', 'syntax_error') ? signs(CERTAIN, evidence.operators('NOT NULL')) : [])
  },
  {
    name: 'between-symmetric',
    title: 'Only Postgres has BETWEEN SYMMETRIC.',
    mend: 'Write the smaller one first.',
    find: evidence => (evidence.fails('sqlite') ? signs(CERTAIN, evidence.wordsAt('BETWEEN', 'SYMMETRIC')) : [])
  },
  {
    name: 'any-subquery',
    title: 'SQLite has no ANY, SOME and ALL of a subquery.',
    mend: 'Write IN (SELECT …), or compare with (SELECT max(…) …).',
    find: evidence =>
      evidence.fails('sqlite')
        ? signs(CERTAIN, [...evidence.wordsAt('ANY', '('), ...evidence.wordsAt('SOME', '('), ...evidence.wordsAt('ALL', '(')])
        : []
  },
  {
    name: 'quoted-number',
    title: "A computed number never equals a string on SQLite; Postgres reads '3' as a number.",
    mend: 'Write the number without quotes.',
    *find(evidence) {
      for (const comparison of [...evidence.comparisons, ...evidence.calls('nullif')]) {
        const operands = comparedOf(comparison)
        const isComputed = operands.some(
          operand => isNumber(operand) && operand.kind !== 'number' && (operand.kind !== 'column' || comparison.kind === 'call')
        )
        if (evidence.isOfRows && isComputed && operands.some(isNumeral)) yield { at: comparison, weight: LIKELY + 1 }
        const isText = operands.some(({ kind }) => kind === 'string')
        if (evidence.fails('postgres', 'invalid_text_representation') && isText && operands.some(isNumber))
          yield { at: comparison, weight: CERTAIN }
      }
    }
  },
  {
    name: 'mixed-types',
    title: 'SQLite compares values of any two types; Postgres refuses those that it has no operator for.',
    mend: 'Cast one side to the type of the other: email = CAST(age AS TEXT).',
    *find(evidence) {
      const isRefused =
        (evidence.fails('postgres', 'undefined_function') && evidence.says('postgres', /operator does not exist/)) ||
        (evidence.fails('postgres', 'datatype_mismatch') && evidence.says('postgres', /types? .* cannot be matched/))
      const isChoice = ({ kind, name, operands }: Expression) =>
        (kind === 'case' || (kind === 'call' && /^(?:coalesce|nullif)$/.test(name))) &&
        operands.some(isNumber) &&
        operands.some(operand => operand.kind === 'string' && !isNumeral(operand))
      if (evidence.fails('postgres', 'invalid_text_representation')) yield* signs(CERTAIN, evidence.expressions(isChoice))
      if (isRefused) {
        yield* certain(
          evidence.expressions(
            ({ kind, operands }) => kind === 'operator' && operands.length > 1 && new Set(operands.map(({ type }) => type)).size > 1
          ),
          CERTAIN - 2
        )
      } else if (evidence.isOfRows) {
        const isMixed = ({ operands: [left, right] }: Expression) =>
          left !== undefined &&
          right !== undefined &&
          ((isNumber(left) && right.type === 'text') || (left.type === 'text' && isNumber(right)))
        yield* signs(POSSIBLE, evidence.comparisons.filter(isMixed))
      }
    }
  }
]
