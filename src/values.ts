/**
 * Values on their way in and out, the part that both databases share. What one of them could not hold is
 * refused on both, so that code which works on one works on the other.
 */
import { DatabaseError } from './errors.ts'
import { toJson } from './json.ts'
import { placeOf, type Statement } from './statement.ts'

/** A parameter's value after the checks: what a driver has to know how to send. */
export type Scalar = null | boolean | number | bigint | string | Uint8Array

const MAX_BIGINT = 2n ** 63n - 1n
const MIN_BIGINT = -(2n ** 63n)

/** Years outside cannot be written as four digits, so that text order would no longer be time order. */
const MIN_TIME = Date.parse('0001-01-01T00:00:00.000Z')
const MAX_TIME = Date.parse('9999-12-31T23:59:59.999Z')

/**
 * Checks the value of the statement's parameter `i` and brings it to a scalar.
 *
 * @throws DatabaseError `invalid_parameter` for what the databases cannot both hold
 */
export function toScalar(value: unknown, statement: Statement, i: number): Scalar {
  switch (typeof value) {
    case 'string':
      checkText(value, statement, i)
      return value
    case 'number':
      // A NaN would become NULL in SQLite. A negative zero loses its sign in SQLite's REAL columns.
      if (Number.isNaN(value)) throw refuse(statement, i, 'is NaN; for SQL NULL give null')
      // A number's text is rounded beyond 2^53; that of a BigInt is not.
      if (Number.isInteger(value) && !Number.isSafeInteger(value) && value < 2 ** 63 && value >= -(2 ** 63)) return BigInt(value)
      return value === 0 ? 0 : value
    case 'boolean':
      return value
    case 'bigint':
      if (value > MAX_BIGINT || value < MIN_BIGINT) throw refuse(statement, i, 'is a BigInt outside of 64 bits; store it as text')
      return value
    case 'object':
      return value === null ? null : objectToScalar(value, statement, i)
    default:
      throw refuse(statement, i, `is a ${typeof value}`)
  }
}

function objectToScalar(value: object, statement: Statement, i: number): Scalar {
  if (value instanceof Uint8Array) return value
  if (value instanceof Date) {
    const time = value.getTime()
    if (Number.isNaN(time)) throw refuse(statement, i, 'is an invalid Date')
    if (time < MIN_TIME || time > MAX_TIME) throw refuse(statement, i, 'is a Date outside of the years 0001 to 9999')
    return value.toISOString()
  }
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) throw refuse(statement, i, 'is binary data of another kind; give a Buffer')
  const text = toJson(value, `Parameter ${placeOf(statement, i)}`, 'invalid_parameter')
  // JSON.stringify writes these as escapes, which a JSONB column cannot take.
  if (JSON_ESCAPES.test(text))
    throw refuse(statement, i, 'has a text with a NUL character or half of a surrogate pair in it, which JSONB cannot hold')
  return text
}

/** `\u0000` or a lone `\ud800`, after an even number of backslashes. */
const JSON_ESCAPES = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/

function checkText(value: string, statement: Statement, i: number): void {
  if (value.includes('\0')) throw refuse(statement, i, 'has a NUL character, which Postgres cannot hold; store it as a Buffer')
  if (!value.isWellFormed()) throw refuse(statement, i, 'has half of a surrogate pair, which UTF-8 cannot hold')
}

function refuse(statement: Statement, i: number, problem: string): DatabaseError {
  return new DatabaseError('invalid_parameter', `Parameter ${placeOf(statement, i)} ${problem}.`)
}

/** An integer as JavaScript's number where that is exact, else as BigInt. */
export function toInteger(value: bigint): number | bigint {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value
}

const TIMESTAMP =
  /^(\d{4,6})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?\s?(?:(Z)|([+-])(\d\d)(?::?(\d\d))?(?::?(\d\d))?)?( BC)?$/i

/**
 * Reads a timestamp as SQL writes it or as ISO 8601 has it; without a zone it is UTC. Digits behind the
 * milliseconds are cut off, since a Date has none. Returns undefined for another text.
 */
export function parseTimestamp(text: string): Date | undefined {
  const found = TIMESTAMP.exec(text)
  if (found === null) return undefined
  const [, year, month, day, hours = '0', minutes = '0', seconds = '0', fraction = '', , sign, zoneHours, zoneMinutes, zoneSeconds, bc] =
    found
  const date = new Date(0)
  date.setUTCFullYear(bc ? 1 - Number(year) : Number(year), Number(month) - 1, Number(day))
  date.setUTCHours(Number(hours), Number(minutes), Number(seconds), Number(fraction.padEnd(3, '0').slice(0, 3)))
  if (sign !== undefined) {
    const offset = Number(zoneHours) * 3600 + Number(zoneMinutes ?? 0) * 60 + Number(zoneSeconds ?? 0)
    date.setTime(date.getTime() - (sign === '-' ? -offset : offset) * 1000)
  }
  return Number.isNaN(date.getTime()) ? undefined : date
}
