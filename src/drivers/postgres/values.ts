/** Values of Postgres: how columns are decoded by their types. */
import type { BoundValue } from '../../adapter.ts'
import { DatabaseError } from '../../errors.ts'
import { parseTimestamp, toInteger } from '../../values.ts'

/** What `pg` sends: strings, and bytes for BYTEA. */
export type PostgresValue = BoundValue

/** Reads the text of a value. */
export type Parse = (text: string) => unknown

function parseInteger(text: string): number | bigint {
  return text.length < 16 ? Number(text) : toInteger(BigInt(text))
}

/** `+ 0` makes the zero of a negative zero, which SQLite cannot keep. */
function parseFloat8(text: string): number {
  return Number(text) + 0
}

/** A timestamp; `infinity` is a number, as no Date can be it. */
function parseTime(text: string): unknown {
  const time = parseTimestamp(text)
  if (time !== undefined) return time
  if (text === 'infinity') return Number.POSITIVE_INFINITY
  return text === '-infinity' ? Number.NEGATIVE_INFINITY : notIso('time')
}

/** A day stays a text, whose form DateStyle decides too. */
function parseDay(text: string): string {
  return /^\d{4,7}-\d\d-\d\d( BC)?$|^-?infinity$/.test(text) ? text : notIso('date')
}

function notIso(what: string): never {
  throw new DatabaseError(
    'invalid_configuration',
    `A ${what} came in another form than ISO 8601: the session's DateStyle was changed, by the server's configuration, a pooler, or a SET. ` +
      "Run: ALTER DATABASE … SET DateStyle = 'ISO, MDY'."
  )
}

/** `\x` and two hexadecimal digits a byte; or, with `bytea_output = escape`, bytes and `\ooo`, where `\\` is a backslash. */
function parseBytes(text: string): Buffer {
  if (text.startsWith('\\x')) return Buffer.from(text.slice(2), 'hex')
  const bytes = Buffer.allocUnsafe(text.length)
  let length = 0
  for (let i = 0; i < text.length; length++) {
    if (text[i] !== '\\') bytes[length] = text.charCodeAt(i++)
    else if (text[i + 1] === '\\') {
      bytes[length] = 0x5c
      i += 2
    } else {
      bytes[length] = Number.parseInt(text.slice(i + 1, i + 4), 8)
      i += 4
    }
  }
  return bytes.subarray(0, length)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The reason that JSON.parse gives quotes the value.
    throw new DatabaseError('data_corrupted', 'A JSON value of the result cannot be read as JSON.')
  }
}

/** By the type's OID, from the catalogue pg_type, whose numbers never change. Other types are texts. */
const PARSERS: Readonly<Record<number, Parse>> = {
  16: text => text === 't', // bool
  17: parseBytes, // bytea
  20: parseInteger, // int8
  21: Number, // int2
  23: Number, // int4
  26: Number, // oid
  114: parseJson, // json
  700: parseFloat8, // float4
  701: parseFloat8, // float8
  1082: parseDay, // date
  1114: parseTime, // timestamp
  1184: parseTime, // timestamptz
  3802: parseJson // jsonb
}

/** Returns what reads a value of the type; undefined for a type whose values stay texts. */
export function parserOf(oid: number): Parse | undefined {
  return PARSERS[oid]
}
