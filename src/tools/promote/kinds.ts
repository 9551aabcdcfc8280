/**
 * What values a column takes, and how they travel: one kind for each type of Postgres that can be filled. Each says
 * which values of SQLite it can hold, writes them as COPY takes them, and has Postgres print them the same way. Pure.
 */
import type { ExpressionType } from './expression.ts'
import type { Cell } from './file.ts'
import { canonicalJson, jsonProblem, UnfitJson } from './json.ts'
import { plainDouble, printDouble } from './numbers.ts'
import { quoteText } from './quote.ts'
import { isDay, printTime, timeProblem } from './times.ts'

/** A value that is not NULL. */
export type Value = Exclude<Cell, null>

export interface Kind {
  /** The type on Postgres, as CREATE TABLE takes it. */
  readonly type: string
  /** What an expression that names the column sees. */
  readonly expression: ExpressionType
  /** True if its texts are escaped for COPY, as they may have any character in them. */
  readonly isText: boolean
  /** A condition in SQLite that holds only for values which `inSql` writes as they are. Others are judged one by one. */
  fine(column: string): string
  /** Returns why a value cannot move; completes "holds …". */
  problem(value: Value): string | undefined
  /** Writes a fine value in SQLite; undefined if only `print` can. NULL gives NULL. */
  inSql(column: string): string | undefined
  /** Writes a value that has no problem. */
  print(value: Value): string
  /** Has Postgres write a value just as `print` does. */
  onPostgres(column: string): string
}

/** What stands in a column, in words. */
function describe(value: Value): string {
  if (typeof value === 'bigint') return 'an integer'
  if (typeof value === 'number') return 'a real number'
  if (typeof value === 'string') return value === '' ? 'an empty text' : 'text'
  return 'bytes'
}

function toText(column: string): string {
  return `${column}::TEXT`
}

function same(column: string): string {
  return column
}

function none(): undefined {
  return undefined
}

const MIN_INT8 = -(2n ** 63n)
const MAX_INT8 = 2n ** 63n - 1n

function toBigInt(value: Value): bigint | undefined {
  if (typeof value === 'bigint') return value
  const isInteger = Number.isInteger(value) && !Object.is(value, -0)
  return typeof value === 'number' && isInteger && value >= -(2 ** 63) && value < 2 ** 63 ? BigInt(value) : undefined
}

function integerOf(type: string, min: bigint, max: bigint): Kind {
  return {
    type,
    expression: 'integer',
    isText: false,
    fine: c => (min === MIN_INT8 ? `typeof(${c}) = 'integer'` : `typeof(${c}) = 'integer' AND ${c} BETWEEN ${min} AND ${max}`),
    problem(value) {
      const integer = toBigInt(value)
      if (integer === undefined) return typeof value === 'number' ? 'a real number that is no integer of 64 bits' : describe(value)
      return integer < min || integer > max ? `an integer that ${type} cannot hold` : undefined
    },
    inSql: same,
    print: value => String(toBigInt(value)),
    onPostgres: toText
  }
}

const BIGINT = integerOf('BIGINT', MIN_INT8, MAX_INT8)

/** True if a double is the number itself. */
function toDouble(value: Value): number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'bigint' && BigInt(Number(value)) === value ? Number(value) : undefined
}

function double(isShortest: boolean): Kind {
  return {
    type: 'DOUBLE PRECISION',
    expression: 'real',
    isText: false,
    fine: c => `typeof(${c}) = 'real'`,
    problem(value) {
      if (toDouble(value) !== undefined) return undefined
      return typeof value === 'bigint' ? 'an integer that a double would round' : describe(value)
    },
    inSql: none,
    print: value => printDouble(toDouble(value) as number, isShortest),
    onPostgres: toText
  }
}

function float4(isShortest: boolean): Kind {
  const wide = double(isShortest)
  return {
    ...wide,
    type: 'REAL',
    problem(value) {
      const number = toDouble(value)
      if (number === undefined) return wide.problem(value)
      return Math.fround(number) === number ? undefined : 'a number that a REAL of 32 bits would round'
    },
    onPostgres: c => `${c}::DOUBLE PRECISION::TEXT`
  }
}

/** A decimal text that NUMERIC prints as it was written. */
const DECIMAL = /^-?(?:0|[1-9]\d*)(?:\.(\d+))?$/

/**
 * @param limits digits in all and behind the point, where the type says so
 * @param takesText whether the column in SQLite keeps decimals as text
 */
function numeric(limits: { precision: number; scale: number } | undefined, takesText: boolean): Kind {
  const print = (value: Value): string => {
    if (typeof value === 'string') return value
    const plain = typeof value === 'bigint' ? String(value) : plainDouble(value as number)
    if (limits === undefined || limits.scale === 0) return plain
    const [whole, fraction = ''] = plain.split('.')
    return `${whole}.${fraction.padEnd(limits.scale, '0')}`
  }
  return {
    type: limits === undefined ? 'NUMERIC' : `NUMERIC(${limits.precision}, ${limits.scale})`,
    expression: 'numeric',
    isText: false,
    fine: c => (limits === undefined ? `typeof(${c}) = 'integer'` : 'FALSE'),
    problem(value) {
      if (typeof value === 'number' && !Number.isFinite(value)) return 'an infinity, which NUMERIC cannot hold'
      if (typeof value === 'string' && takesText) {
        const found = DECIMAL.exec(value)
        if (found === null || /^-0(\.0*)?$/.test(value)) return 'a text that NUMERIC would write otherwise'
        if (limits !== undefined && (found[1]?.length ?? 0) !== limits.scale)
          return `a text that NUMERIC(…, ${limits.scale}) would write otherwise`
      } else if (typeof value !== 'number' && typeof value !== 'bigint') return describe(value)
      if (limits === undefined) return undefined
      const [whole = '', fraction = ''] = print(value).replace('-', '').split('.')
      if (fraction.length > limits.scale) return `a number with more than ${limits.scale} digits behind the point`
      return whole.replace(/^0$/, '').length > limits.precision - limits.scale ? 'a number that is too large for its NUMERIC' : undefined
    },
    inSql: c => (limits === undefined ? c : undefined),
    print,
    onPostgres: toText
  }
}

const BOOLEAN: Kind = {
  type: 'BOOLEAN',
  expression: 'boolean',
  isText: false,
  fine: c => `typeof(${c}) = 'integer' AND ${c} IN (0, 1)`,
  problem: value =>
    value === 0n || value === 1n ? undefined : typeof value === 'bigint' ? 'an integer other than 0 and 1' : describe(value),
  inSql: c => `CASE ${c} WHEN 1 THEN 't' WHEN 0 THEN 'f' END`,
  print: value => (value === 1n ? 't' : 'f'),
  onPostgres: c => `CASE WHEN ${c} THEN 't' WHEN NOT ${c} THEN 'f' END`
}

/** @param maxLength in characters, of VARCHAR(n) */
function text(type: string, maxLength?: number): Kind {
  return {
    type,
    expression: 'text',
    isText: true,
    fine: c => (maxLength === undefined ? `typeof(${c}) = 'text'` : `typeof(${c}) = 'text' AND length(${c}) <= ${maxLength}`),
    problem(value) {
      if (typeof value !== 'string') return describe(value)
      return maxLength !== undefined && [...value].length > maxLength ? `a text of more than ${maxLength} characters` : undefined
    },
    inSql: same,
    print: String,
    onPostgres: toText
  }
}

/** Takes the blanks at the end of CHAR(n) for padding, as Postgres does. */
function char(length: number): Kind {
  const kind = text(`CHAR(${length})`, length)
  return {
    ...kind,
    fine: c => `${kind.fine(c)} AND ${c} NOT LIKE '% '`,
    problem: value =>
      kind.problem(value) ?? (/ $/.test(value as string) ? `a text that ends with a blank, which CHAR(${length}) loses` : undefined)
  }
}

/** What `--text` makes of a column: each value as SQLite writes it. */
const ANY_TEXT: Kind = {
  ...text('TEXT COLLATE "C"'),
  problem: value => (Buffer.isBuffer(value) ? describe(value) : undefined),
  print(value) {
    if (typeof value !== 'number') return String(value)
    if (!Number.isFinite(value)) return value > 0 ? 'Inf' : '-Inf'
    if (Object.is(value, -0)) return '-0.0'
    return Number.isInteger(value) && !String(value).includes('e') ? `${value}.0` : String(value)
  }
}

const BYTES: Kind = {
  type: 'BYTEA',
  expression: 'bytes',
  isText: false,
  fine: c => `typeof(${c}) = 'blob'`,
  problem: value => (Buffer.isBuffer(value) ? undefined : describe(value)),
  // COPY reads two backslashes as one.
  inSql: c => `'\\\\x' || CASE WHEN ${c} IS NOT NULL THEN hex(${c}) END`,
  print: value => `\\\\x${(value as Buffer).toString('hex').toUpperCase()}`,
  onPostgres: c => `'\\\\x' || upper(encode(${c}, 'hex'))`
}

/** True for a year that Postgres has. Not by comparing the column, whose affinity would make a number of '0001'. */
function hasYear(column: string): string {
  return `substr(${column}, 1, 4) <> '0000'`
}

/** @param digits of a second's fraction */
function timestamp(type: string, digits: number): Kind {
  const hasZone = type.startsWith('TIMESTAMPTZ')
  return {
    type,
    expression: 'timestamp',
    isText: false,
    // SQLite makes nothing of month 13, and 1 March of 30 February, but not where it has a modifier.
    fine: c =>
      digits < 3
        ? 'FALSE'
        : `(${c} = replace(datetime(${c}, 'subsec'), ' ', 'T') || 'Z' OR ${c} = datetime(${c})) AND typeof(${c}) = 'text' AND ${hasYear(c)} ` +
          `AND (substr(${c}, 9, 2) <= '28' OR date(${c}) = substr(${c}, 1, 10))`,
    problem: value =>
      typeof value === 'string' || typeof value === 'bigint' ? emptyOr(value, timeProblem(value, digits)) : describe(value),
    // Of fewer digits, no value is known to be a text.
    inSql: c =>
      digits < 3 ? undefined : `substr(${c}, 1, 10) || ' ' || substr(${c}, 12, 8) || rtrim(rtrim(substr(${c}, 20, 4), '0'), '.') || '+00'`,
    print: value => printTime(value as bigint | string),
    onPostgres: c => (hasZone ? toText(c) : `${c}::TEXT || '+00'`)
  }
}

function emptyOr(value: Value, problem: string | undefined): string | undefined {
  return value === '' ? 'an empty text' : problem
}

const DATE: Kind = {
  type: 'DATE',
  expression: 'date',
  isText: false,
  fine: c => `${c} = date(${c}) AND typeof(${c}) = 'text' AND ${hasYear(c)}`,
  problem(value) {
    if (typeof value !== 'string' || value === '') return describe(value)
    const [, year = '', month = '', day = '', rest] = /^(\d{4})-(\d\d)-(\d\d)([ T].*)?$/s.exec(value) ?? []
    if (year === '') return 'a text that is no date of the form YYYY-MM-DD'
    if (rest !== undefined) return 'a date with a time of day, which DATE would cut off'
    return isDay(year, month, day) ? undefined : 'a day that does not exist'
  },
  inSql: same,
  print: String,
  onPostgres: toText
}

const JSON_TEXT: Kind = {
  type: 'JSON',
  expression: 'json',
  isText: true,
  fine: c => `typeof(${c}) = 'text' AND json_valid(${c})`,
  problem(value) {
    if (typeof value === 'string') return emptyOr(value, jsonProblem(value))
    if (typeof value === 'number' && !Number.isFinite(value)) return 'an infinity, which JSON cannot hold'
    return Buffer.isBuffer(value) ? describe(value) : undefined
  },
  inSql: same,
  print: String,
  onPostgres: toText
}

const JSONB: Kind = {
  ...JSON_TEXT,
  type: 'JSONB',
  fine: () => 'FALSE',
  problem(value) {
    const problem = JSON_TEXT.problem(value)
    if (problem !== undefined) return problem
    try {
      canonicalJson(String(value))
      return undefined
    } catch (error) {
      if (error instanceof UnfitJson) return error.message
      throw error
    }
  },
  inSql: none,
  print: value => canonicalJson(String(value))
}

const UUID: Kind = {
  ...text('UUID'),
  isText: false,
  fine: () => 'FALSE',
  problem: value =>
    typeof value === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value)
      ? undefined
      : `${describe(value)} that UUID would refuse, or write otherwise`
}

function enumeration(type: string, labels: readonly string[]): Kind {
  const kind = text(type)
  return {
    ...kind,
    fine: c => `${c} IN (${labels.map(quoteText).join(', ')})`,
    problem: value => (typeof value === 'string' && labels.includes(value) ? undefined : `a value that ${type} does not have`)
  }
}

/** A string literal that Postgres reads as a column of the kind. */
export function literalOf(kind: Kind, value: Value): string {
  const text = kind.print(value)
  // In COPY, a backslash is written twice.
  return quoteText(kind === BYTES ? text.slice(1) : text)
}

// Which column has which kind ---------------------------------------------------------------------------------------

/** What of the server changes how values are printed. */
export interface Server {
  /** Such as 150004. */
  readonly version: number
}

function hasShortestDoubles({ version }: Server): boolean {
  return version >= 120_000
}

/** Types of stored values, as SQLite's typeof() names them. */
export type StorageClass = 'integer' | 'real' | 'text' | 'blob'

/** How many values of each type a column has. */
export type Stored = ReadonlyMap<StorageClass, number>

/** True if the declared type says nothing, so that the stored values have to. */
export function isUndeclared(declared: string): boolean {
  return kindByName(declared) === undefined
}

type KindName = 'timestamp' | 'date' | 'boolean' | 'json' | 'jsonb' | 'integer' | 'text' | 'double' | 'numeric' | 'bytes'

/** In the order in which duolect itself, and then SQLite's affinity, reads a declared type. */
const BY_DECLARED: readonly (readonly [RegExp, KindName])[] = [
  [/^(TIMESTAMP|DATETIME)/i, 'timestamp'],
  [/^DATE$/i, 'date'],
  [/^BOOL/i, 'boolean'],
  [/^JSON$/i, 'json'],
  [/^JSONB$/i, 'jsonb'],
  [/INT/i, 'integer'],
  [/CHAR|CLOB|TEXT|^UUID$/i, 'text'],
  [/BLOB|^BYTEA$/i, 'bytes'],
  [/REAL|FLOA|DOUB/i, 'double'],
  [/^(NUMERIC|DECIMAL)\b/i, 'numeric']
]

function kindByName(declared: string): KindName | undefined {
  return BY_DECLARED.find(([pattern]) => pattern.test(declared))?.[1]
}

/** The kind of a column that `promote` makes. */
export function kindOfDeclared(declared: string, stored: Stored, server: Server): Kind {
  switch (kindByName(declared)) {
    case 'timestamp':
      return timestamp('TIMESTAMPTZ', 6)
    case 'date':
      return DATE
    case 'boolean':
      return BOOLEAN
    case 'json':
      return JSON_TEXT
    case 'jsonb':
      return JSONB
    case 'integer':
      return BIGINT
    case 'text':
      return text('TEXT COLLATE "C"')
    case 'double':
      return double(hasShortestDoubles(server))
    case 'numeric':
      return numeric(undefined, false)
    case 'bytes':
      return BYTES
    default:
      return kindOfContent(stored, server)
  }
}

/**
 * Of a column without a known type: that of most values, so that the others are named as what does not fit. Integers and
 * reals together are numbers, since SQLite stores 2.0 as 2.
 */
function kindOfContent(stored: Stored, server: Server): Kind {
  const count = (type: StorageClass) => stored.get(type) ?? 0
  const numbers = count('integer') + count('real')
  if (count('blob') > Math.max(numbers, count('text'))) return BYTES
  if (numbers <= count('text')) return text('TEXT COLLATE "C"')
  return count('real') > 0 ? double(hasShortestDoubles(server)) : BIGINT
}

/** The kind of a column that `--text` names. */
export function kindOfText(): Kind {
  return ANY_TEXT
}

/** A column's type on Postgres, as its catalogue has it. */
export interface TargetType {
  /** pg_type.typname, such as `int8`. */
  readonly name: string
  /** pg_attribute.atttypmod; -1 without one. */
  readonly modifier: number
  /** As format_type() writes it. */
  readonly written: string
  /** The labels of an enumeration. */
  readonly labels: readonly string[] | undefined
}

/** The kind of a column that is there; undefined for a type that cannot be filled. */
export function kindOfTarget(type: TargetType, declared: string, server: Server): Kind | undefined {
  const { name, modifier, written, labels } = type
  if (labels !== undefined) return enumeration(written, labels)
  const digits = modifier < 0 ? 6 : modifier
  switch (name) {
    case 'int2':
      return integerOf('SMALLINT', -32_768n, 32_767n)
    case 'int4':
      return integerOf('INTEGER', -2_147_483_648n, 2_147_483_647n)
    case 'int8':
      return BIGINT
    case 'float8':
      return double(hasShortestDoubles(server))
    case 'float4':
      return float4(hasShortestDoubles(server))
    case 'numeric':
      // The modifier holds the precision above 16 bits, and 4 for its own header.
      return numeric(
        modifier < 0 ? undefined : { precision: (modifier - 4) >> 16, scale: (modifier - 4) & 0x7ff },
        kindByName(declared) === 'text'
      )
    case 'bool':
      return BOOLEAN
    case 'text':
      return text('TEXT')
    case 'varchar':
      return text(written, modifier < 0 ? undefined : modifier - 4)
    case 'bpchar':
      return char(modifier - 4)
    case 'bytea':
      return BYTES
    case 'timestamptz':
      return timestamp('TIMESTAMPTZ', digits)
    case 'timestamp':
      return timestamp('TIMESTAMP', digits)
    case 'date':
      return DATE
    case 'json':
      return JSON_TEXT
    case 'jsonb':
      return JSONB
    case 'uuid':
      return UUID
    default:
      return undefined
  }
}
