import { type Expression, isInteger, isNumber } from '../expressions.ts'
import { CERTAIN, COMPARISONS, certain, type Evidence, isClose, LIKELY, type Rule, signs } from './rule.ts'

/** True for an expression whose value is NUMERIC on Postgres, because of a decimal literal in it. */
function isDecimal(expression: Expression): boolean {
  if (expression.kind === 'number') return expression.type === 'numeric'
  return expression.type === 'numeric' && ['operator', 'call', 'case'].includes(expression.kind) && expression.operands.some(isDecimal)
}

function isKept({ column }: Expression): boolean {
  return column?.type === 'numeric'
}

/** The parts of the column that differs. */
function partsOfDiffering(evidence: Evidence, test: (part: Expression) => boolean): Expression[] {
  const { column } = evidence.finding
  return evidence.expressions(part => part.item !== undefined && (column === undefined || part.item === column) && test(part))
}

const isWhole = (value: unknown) => typeof value === 'bigint' || Number.isInteger(value)

export const NUMBERS: readonly Rule[] = [
  {
    name: 'division-by-zero',
    title: 'Division by zero returns NULL on SQLite and fails on Postgres.',
    mend: 'Divide by nullif(hits, 0).',
    find: evidence => (evidence.fails('postgres', 'division_by_zero') ? certain(evidence.operators('/', '%')) : [])
  },
  {
    name: 'random',
    title: 'random() returns an integer of 64 bits on SQLite, and a number from 0 to 1 on Postgres.',
    mend: 'Give a random number as a parameter: Math.random().',
    find: evidence => (evidence.kind === 'columns' ? [] : signs(LIKELY + 2, evidence.calls('random')))
  },
  {
    name: 'average',
    title: 'avg() returns a number on SQLite, and NUMERIC on Postgres, which is a string in JavaScript.',
    mend: 'Write CAST(avg(age) AS DOUBLE PRECISION).',
    find: evidence =>
      signs(
        evidence.weightOf(evidence.isNumberAndText),
        partsOfDiffering(evidence, ({ kind, name, type }) => kind === 'call' && name === 'avg' && type === 'numeric')
      )
  },
  {
    name: 'numeric-as-text',
    title: 'SQLite keeps NUMERIC as text: it compares and sorts as text, and computes as DOUBLE PRECISION.',
    mend: 'Store a BIGINT of the smallest unit; where exactness does not count, write CAST(amount AS DOUBLE PRECISION).',
    *find(evidence) {
      if (evidence.kind === 'columns') return
      const places = evidence.expressions(
        ({ kind, operands, name }) =>
          operands.some(isKept) &&
          !operands.some(operand => operand.name === 'NULL') &&
          ((kind === 'operator' && (COMPARISONS.includes(name) || ['+', '-', '*', '/', '%'].includes(name))) || kind === 'call')
      )
      const keys = evidence.query.orders.map(({ expression }) => expression).filter(isKept)
      yield* signs(evidence.isNumberAndText ? CERTAIN : LIKELY + 1, [...places, ...keys])
    }
  },
  {
    name: 'sum-of-bigint',
    title: 'sum() of BIGINT returns an integer on SQLite, and NUMERIC on Postgres, which is a string in JavaScript.',
    mend: 'Write CAST(sum(points) AS BIGINT).',
    find: evidence =>
      signs(
        evidence.weightOf(evidence.isNumberAndText || evidence.fails('sqlite', 'numeric_value_out_of_range')),
        evidence.calls('sum').filter(({ type }) => type === 'numeric' || evidence.kind === 'error')
      )
  },
  {
    name: 'round-digits',
    title: 'round(x, 2) takes no DOUBLE PRECISION on Postgres, and returns NUMERIC, which is a string in JavaScript.',
    mend: 'Round by floor(): floor(weight * 100 + 0.5) / 100.',
    *find(evidence) {
      const calls = evidence.calls('round').filter(({ operands }) => operands.length === 2)
      if (evidence.isNumberAndText || (evidence.fails('postgres', 'undefined_function') && evidence.says('postgres', /function round\(/)))
        yield* signs(CERTAIN + 1, calls)
    }
  },
  {
    name: 'decimal-literal',
    title:
      'A literal such as 1.5, or an integer beyond 64 bits, is DOUBLE PRECISION on SQLite and NUMERIC on Postgres, which is a string in JavaScript.',
    mend: 'Make one operand a double: CAST(age AS DOUBLE PRECISION) * 1.5.',
    find: evidence => signs(evidence.weightOf(evidence.isNumberAndText) - 1, partsOfDiffering(evidence, isDecimal))
  },
  {
    name: 'round-half',
    title: 'round() rounds .5 away from zero on SQLite; on Postgres it rounds .5 of a DOUBLE PRECISION to the even number.',
    mend: 'Say which way: floor(weight + 0.5).',
    *find(evidence) {
      if (!evidence.isOfRows) return
      const calls = evidence.calls('round').filter(({ operands: [first] }) => first !== undefined && !isInteger(first))
      const isNext = evidence.values((a, b) => isWhole(a) && isWhole(b) && Math.abs(Number(a) - Number(b)) === 1)
      yield* signs(isNext ? LIKELY + 2 : LIKELY, calls)
    }
  },
  {
    name: 'cast-to-integer',
    title: 'CAST to INTEGER truncates on SQLite and rounds on Postgres.',
    mend: 'Say which way: CAST(floor(weight) AS INTEGER).',
    find: evidence =>
      evidence.isOfRows
        ? signs(
            LIKELY + 1,
            evidence.casts(
              ({ type, operands: [operand] }) =>
                (type === 'integer' || type === 'bigint') &&
                operand !== undefined &&
                (operand.type === 'double' || operand.type === 'numeric') &&
                !/^(?:floor|ceil|ceiling|trunc)$/.test(operand.name)
            )
          )
        : []
  },
  {
    name: 'cast-of-text',
    title: 'CAST of a string that is no number returns 0 on SQLite and fails on Postgres.',
    mend: 'Cast only what is a number, and read other texts in JavaScript.',
    find: evidence =>
      evidence.fails('postgres', 'invalid_text_representation')
        ? signs(
            CERTAIN,
            evidence.casts(cast => isNumber(cast) && cast.operands.some(operand => !isNumber(operand)))
          )
        : []
  },
  {
    name: 'integer-overflow',
    title: 'INTEGER has 64 bits on SQLite and 32 on Postgres, where a larger value fails.',
    mend: 'Declare BIGINT, or compute with it: CAST(hits AS BIGINT) * 1000000.',
    *find(evidence) {
      if (!evidence.fails('postgres', 'numeric_value_out_of_range')) return
      const computed = evidence.operators('*', '+', '-').filter(({ operands }) => operands.length === 2)
      const casts = evidence.casts(isInteger)
      const written = evidence.query.assignments.filter(({ column }) => column.type === 'integer').map(({ value }) => value)
      yield* certain([...casts, ...computed, ...written])
    }
  },
  {
    name: 'bit-shift',
    title: '<< shifts 64 bits on SQLite; on Postgres it loses those of an INTEGER beyond 32.',
    mend: 'Write CAST(hits AS BIGINT) << 28.',
    find: evidence => (evidence.isOfRows ? signs(LIKELY + 1, evidence.operators('<<', '>>')) : [])
  },
  {
    name: 'domain-of-function',
    title: 'sqrt() of a negative number and ln() of zero return NULL on SQLite and fail on Postgres.',
    mend: 'Ask first: CASE WHEN weight > 0 THEN ln(weight) END.',
    find: evidence =>
      evidence.fails('postgres', 'invalid_argument_for_power_function', 'invalid_argument_for_logarithm', 'numeric_value_out_of_range')
        ? signs(CERTAIN + 1, evidence.calls('sqrt', 'ln', 'log', 'log10', 'log2', 'power', 'pow', 'asin', 'acos', 'exp'))
        : []
  },
  {
    name: 'modulo',
    title: '% converts its operands to integers on SQLite; on Postgres it takes no DOUBLE PRECISION.',
    mend: 'Make integers: CAST(floor(weight) AS INTEGER) % 2.',
    find: evidence =>
      evidence.fails('postgres', 'undefined_function') && evidence.says('postgres', /operator does not exist: .* % /)
        ? certain(evidence.operators('%'))
        : []
  },
  {
    name: 'power-operator',
    title: 'Only Postgres has the operator ^.',
    mend: 'Write power(weight, 2).',
    find: evidence => (evidence.fails('sqlite') ? signs(CERTAIN, evidence.operators('^')) : [])
  },
  {
    name: 'min-max-scalar',
    title: 'The larger of two values is max(a, b) on SQLite and greatest(a, b) on Postgres, and they treat NULL differently.',
    mend: 'Write CASE WHEN age < 18 THEN 18 ELSE age END.',
    find: evidence =>
      evidence.kind === 'error'
        ? signs(CERTAIN, [
            ...evidence.calls('min', 'max').filter(({ operands }) => operands.length > 1),
            ...evidence.calls('greatest', 'least')
          ])
        : []
  },
  {
    name: 'total',
    title: 'Only SQLite has total().',
    mend: 'Write coalesce(sum(hits), 0).',
    find: evidence => (evidence.fails('postgres') ? signs(CERTAIN, evidence.calls('total')) : [])
  },
  {
    name: 'aggregate-of-text',
    title: 'sum() and avg() convert strings and times to numbers on SQLite, and refuse them on Postgres.',
    mend: 'Cast it first: sum(CAST(place AS INTEGER)).',
    find: evidence =>
      evidence.fails('postgres', 'undefined_function') && evidence.says('postgres', /function (?:sum|avg)\((?!boolean)/)
        ? certain(evidence.calls('sum', 'avg'))
        : []
  },
  {
    name: 'untyped-parameter',
    title: 'Postgres takes a parameter without a type as a string, or refuses it; SQLite keeps the type of the bound value.',
    mend: 'Declare it, -- @param tag integer, or cast it: CAST(:tag AS INTEGER).',
    *find(evidence) {
      const isTyped = (parameter: Expression) =>
        evidence.postgres.expressions.some(({ kind, operands }) => kind === 'cast' && operands.some(({ name }) => name === parameter.name))
      const parameters = evidence.expressions(({ kind }) => kind === 'parameter').filter(parameter => !isTyped(parameter))
      if (
        evidence.fails('postgres', 'indeterminate_datatype', 'ambiguous_parameter', 'datatype_mismatch') &&
        evidence.says('postgres', /parameter/)
      )
        yield* certain(parameters)
      else if (evidence.isOfRows)
        yield* signs(
          evidence.weightOf(evidence.values((a, b) => typeof a !== typeof b)),
          parameters.filter(({ start }) => start === evidence.differing?.start && evidence.differing.kind === 'parameter')
        )
    }
  },
  {
    name: 'hex-literal',
    title: "x'01' is a BLOB on SQLite and a bit string on Postgres.",
    mend: 'Give bytes as a parameter: -- @param magic bytea.',
    find: evidence =>
      evidence.kind === 'columns'
        ? []
        : signs(
            LIKELY + 2,
            evidence.casts(({ name }) => name === "X ''")
          )
  },
  {
    name: 'real',
    title: 'REAL has 64 bits on SQLite and 32 on Postgres.',
    mend: 'Declare and cast to DOUBLE PRECISION.',
    *find(evidence) {
      if (!evidence.isOfRows) return
      const places = evidence.expressions(
        ({ column, kind, name }) => /^real$/i.test(column?.typeName ?? '') || (kind === 'cast' && /^(?:REAL|FLOAT4)$/.test(name))
      )
      const isNear = evidence.values((a, b) => typeof a === 'number' && typeof b === 'number' && isClose(a, b))
      const isStored = /^real$/i.test(evidence.differingColumn?.typeName ?? '')
      yield* signs(isNear ? CERTAIN : LIKELY, places.length > 0 ? places : isStored ? [0] : [])
    }
  },
  {
    name: 'cast-to-numeric',
    title: 'CAST to NUMERIC returns a number on SQLite, and NUMERIC on Postgres, which is a string in JavaScript.',
    mend: 'Cast to DOUBLE PRECISION, or to BIGINT.',
    find: evidence =>
      evidence.isOfRows
        ? signs(
            evidence.isNumberAndText ? CERTAIN : LIKELY,
            evidence.casts(({ type }) => type === 'numeric')
          )
        : []
  }
]
