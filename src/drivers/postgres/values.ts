/** Values of Postgres: how columns are decoded by their types. */
import type { BoundValue } from '../../adapter.ts'
import { parseTimestamp, toInteger } from '../../values.ts'

/** What `pg` sends: strings, and bytes for BYTEA. */
export type PostgresValue = BoundValue

type Parse = (text: string) => unknown

function parseInteger(text: string): number | bigint {
  return text.length < 16 ? Number(text) : toInteger(BigInt(text))
}

/** `+ 0` makes the zero of a negative zero, which SQLite cannot keep. */
function parseFloat8(text: string): number {
  return Number(text) + 0
}

/** A timestamp; `infinity` is a number, as no Date can be it. */
function parseTime(text: string): unknown {
  return parseTimestamp(text) ?? Number(text.replace('infinity', 'Infinity'))
}

/** `\x` and two hexadecimal digits a byte, as `bytea_output = hex` writes it. */
function parseBytes(text: string): Buffer {
  return Buffer.from(text.slice(2), 'hex')
}

function keep(text: string): string {
  return text
}

/** By the type's OID, from the catalogue pg_type, whose numbers never change. Other types are texts. */
const PARSERS: Readonly<Record<number, Parse>> = {
  16: text => text === 't', // bool
  17: parseBytes, // bytea
  20: parseInteger, // int8
  21: Number, // int2
  23: Number, // int4
  26: Number, // oid
  114: JSON.parse, // json
  700: parseFloat8, // float4
  701: parseFloat8, // float8
  1114: parseTime, // timestamp
  1184: parseTime, // timestamptz
  3802: JSON.parse // jsonb
}

/** What a client of `pg` takes as `types`: nothing here changes what other clients of the process do. */
export const types = {
  getTypeParser(oid: number): Parse {
    return PARSERS[oid] ?? keep
  }
}
