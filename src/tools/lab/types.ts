/** The types of columns and parameters, as the two databases name them. */
import type { TypeWord } from '../../files/types.ts'

/** From the catalogue pg_type, whose numbers never change. */
const OIDS: Readonly<Record<number, TypeWord>> = {
  16: 'boolean',
  17: 'bytea',
  18: 'text', // "char"
  19: 'text', // name
  20: 'bigint',
  21: 'integer', // smallint
  23: 'integer',
  25: 'text',
  26: 'integer', // oid
  114: 'json',
  700: 'double', // real
  701: 'double',
  705: 'text', // unknown
  1042: 'text', // char(n)
  1043: 'text', // varchar
  1082: 'date',
  1114: 'timestamp',
  1184: 'timestamp', // timestamptz
  1700: 'numeric',
  2950: 'text', // uuid
  3802: 'json' // jsonb
}

/** Returns the word for a type of Postgres; undefined for one that only Postgres has. */
export function wordOfOid(oid: number): TypeWord | undefined {
  return OIDS[oid]
}

/** Returns the word for a type that a SQLite table declares, as duolect decodes it; undefined without one. */
export function wordOfDeclared(type: string | null): TypeWord | undefined {
  if (type === null || type === '') return undefined
  if (/^(TIMESTAMP|DATETIME)/i.test(type)) return 'timestamp'
  if (/^DATE$/i.test(type)) return 'date'
  if (/^BOOL/i.test(type)) return 'boolean'
  if (/^JSONB?$/i.test(type)) return 'json'
  if (/BIGINT|INT8/i.test(type)) return 'bigint'
  if (/INT/i.test(type)) return 'integer'
  if (/CHAR|CLOB|TEXT|UUID/i.test(type)) return 'text'
  if (/BLOB|BYTEA/i.test(type)) return 'bytea'
  if (/REAL|FLOA|DOUB/i.test(type)) return 'double'
  return undefined
}
