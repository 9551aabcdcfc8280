/** The values that a column or a parameter of a type gets: edges that tell the databases apart, and literals. Pure. */
import type { TypeWord } from '../../files/types.ts'
import type { Literals } from './literals.ts'

/** A value as a caller of duolect gives it. */
export type DataValue = null | boolean | number | string | Date | Buffer | readonly unknown[] | { readonly [name: string]: unknown }

/** What holds values. */
export interface ValueType {
  readonly type: TypeWord | undefined
  /** As the database names it: `smallint`, `character varying(5)`. */
  readonly typeName: string
}

/** Returns the values for a type, those near literals first. Never empty for a type that duolect knows. */
export function valuesFor(valueType: ValueType, literals: Literals): DataValue[] {
  const { type, typeName } = valueType
  // '3' is compared with numbers too.
  const numbers = [...literals.numbers, ...literals.texts.filter(text => /^-?\d+(\.\d+)?$/.test(text)).map(Number)]
  switch (type) {
    case 'integer':
    case 'bigint':
      return unique([...near(numbers).filter(Number.isSafeInteger), ...integersOf(typeName)]).filter(n => fits(n, typeName))
    case 'double':
      return unique([...near(numbers), 0, 1, 2, -1, 0.5, 1.5, 2.5, -2.5, 2.7, -0.1, 1e6, -1e6, 17.25])
    case 'numeric':
      return unique(
        [...near(numbers).map(String), '0', '1', '-1', '0.5', '1.50', '2.5', '10', '9', '-2.5', '1000000']
          .filter(text => fitsNumeric(text, typeName))
          .map(text => withScale(text, typeName))
      )
    case 'boolean':
      return [true, false]
    case 'timestamp':
      return [...timesOf(literals.texts), ...TIMES].map(text => new Date(text))
    case 'date':
      return unique([...timesOf(literals.texts).map(text => new Date(text).toISOString().slice(0, 10)), ...DATES])
    case 'json':
      return jsonOf(literals)
    case 'bytea':
      return [Buffer.from([]), Buffer.from([0]), Buffer.from('abc'), Buffer.from([255, 0, 128])]
    case 'text':
      return textsOf(literals, typeName)
    default:
      return []
  }
}

function unique<T>(values: readonly T[]): T[] {
  return [...new Set(values)]
}

/** A comparison with a number changes its answer at it or beside it. */
function near(numbers: readonly number[]): number[] {
  return numbers.flatMap(n => [n, n + 1, n - 1])
}

function integersOf(typeName: string): number[] {
  // Beyond, n + 1 would leave 32 bits in Postgres and make each such sum differ.
  const edge = typeName === 'smallint' ? 32_000 : 1_000_000
  return [1, 2, 3, 0, -1, 5, 7, 10, -2, 17, 18, 100, edge, -edge]
}

function fits(n: number, typeName: string): boolean {
  const limit = typeName === 'smallint' ? 2 ** 15 : typeName === 'integer' ? 2 ** 31 : 2 ** 53
  return Math.abs(n) < limit
}

function fitsNumeric(text: string, typeName: string): boolean {
  const found = /^numeric\((\d+),(\d+)\)$/.exec(typeName)
  if (found === null) return true
  const [whole = '', fraction = ''] = text.replace('-', '').split('.')
  return whole.length <= Number(found[1]) - Number(found[2]) && fraction.length <= Number(found[2])
}

/** As the column gives it back, since a NUMERIC(10,2) reads 1.50. */
function withScale(text: string, typeName: string): string {
  const scale = Number(/^numeric\(\d+,(\d+)\)$/.exec(typeName)?.[1] ?? 0)
  return scale === 0 ? text : Number(text).toFixed(scale)
}

/** Month ends, a leap day, and times around midnight in UTC and in other zones. */
const TIMES = [
  '2024-01-31T00:00:00.000Z',
  '2024-01-31T10:30:00.000Z',
  '2024-02-29T12:00:00.000Z',
  '2023-12-31T23:59:59.999Z',
  '2024-03-01T00:00:00.001Z',
  '2024-03-10T07:30:00.000Z',
  '2024-06-30T22:30:00.500Z',
  '1999-12-31T23:00:00.000Z'
]

const DATES = ['2024-01-31', '2024-02-29', '2023-12-31', '2024-03-01', '2024-03-10', '1999-12-31']

/** The texts that are times. */
function timesOf(texts: readonly string[]): string[] {
  return texts
    .filter(text => /^\d{4}-\d\d-\d\d/.test(text))
    .map(text => (/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : `${text.replace(' ', 'T').replace(/Z?$/, '')}Z`))
    .filter(text => !Number.isNaN(Date.parse(text)))
    .flatMap(text => [0, 1, -1, 3_600_000].map(by => new Date(Date.parse(text) + by).toISOString()))
}

function jsonOf({ jsonNames, numbers, texts }: Literals): DataValue[] {
  const kinds = [5, '5', true, false, null, 'text', ['a', 'b'], [], { k: 1 }, 1.5, ...numbers.slice(0, 5), ...texts.slice(0, 5)]
  const documents = kinds.map((kind, i) =>
    Object.fromEntries([['k', kind] as const, ...jsonNames.map((name, j) => [name, kinds[(i + j) % kinds.length]] as const)])
  )
  return [
    {},
    ...documents,
    ...(jsonNames.length > 0 ? [Object.fromEntries(jsonNames.map(name => [name, ['a', 'b']]))] : []),
    [1, 'a'],
    'text',
    7
  ]
}

/** Case beyond ASCII, blanks, LIKE's wildcards, quotes, digits. */
const TEXTS = [
  '',
  ' ',
  'a',
  'A',
  'b',
  'B',
  'Anna',
  'anna',
  'ärne',
  'ÄRNE',
  'é',
  'z',
  'a_b',
  'a%',
  'a\\b',
  "it's",
  '"q"',
  '10',
  '9',
  ' x ',
  'a,b',
  'ß',
  '日本',
  '😀',
  'Zoë Müller',
  'a longer text with blanks'
]

function textsOf({ texts, numbers }: Literals, typeName: string): string[] {
  if (typeName === 'uuid') {
    return Array.from({ length: 16 }, (_, i) => `${String(i).padStart(8, '0')}-0000-4000-8000-00000000000${(i % 10).toString()}`)
  }
  const limit = Number(/\((\d+)\)/.exec(typeName)?.[1] ?? Number.POSITIVE_INFINITY)
  const likely = texts.flatMap(text => {
    // A pattern's own text, with a character for each wildcard.
    const plain = text.replace(/\\(.)/g, '$1').replace(/[%_]/g, 'x')
    return [text, plain, text.replaceAll('%', ''), text.toUpperCase(), text.toLowerCase()]
  })
  // length(name) < 20
  const lengths = [...numbers, ...texts.map(Number)]
    .filter(n => Number.isInteger(n) && n > 2 && n < 300)
    .flatMap(n => [n - 1, n, n + 1].map(length => 'abcdefghij'.repeat(31).slice(0, length)))
  return unique([...likely, ...lengths, ...TEXTS]).filter(text => [...text].length <= limit)
}
