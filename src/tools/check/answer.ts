/** What a database answered, in a form in which equal answers are equal texts. Pure. */
import { isDate } from 'node:util/types'
import type { Row } from '../../adapter.ts'
import { DatabaseError } from '../../errors.ts'

/** What one run of a query gave on one database. */
export type Answer =
  | { readonly kind: 'rows'; readonly rows: readonly Row[]; readonly keys: readonly string[]; readonly tables: Tables }
  | { readonly kind: 'changes'; readonly changes: number; readonly tables: Tables }
  | { readonly kind: 'error'; readonly code: string; readonly message: string }

/** The rows of each table after a write, as keys, sorted. */
export type Tables = ReadonlyMap<string, { readonly rows: readonly Row[]; readonly keys: readonly string[] }>

export const NO_TABLES: Tables = new Map()

/** How the clock is read in an answer. */
export interface Clock {
  /** When the query was sent, in ms. */
  readonly now: number
  /** The times that were stored or given, which no clock made. */
  readonly known: ReadonlySet<number>
}

/** A row as a text that is the same for the same values, whatever the order of its columns. */
export function keyOfRow(row: Row, clock: Clock | undefined): string {
  const names = Object.keys(row).sort()
  return JSON.stringify(names.map(name => [name, keyOfValue(row[name], clock)]))
}

/** A value as a text. Doubles count to 12 digits, since sums depend on the order of what is added. */
export function keyOfValue(value: unknown, clock?: Clock): string {
  switch (typeof value) {
    case 'number':
      if (Number.isSafeInteger(value) || !Number.isFinite(value)) return `n${value === 0 ? 0 : value}`
      return `n${Number(value.toPrecision(12))}`
    case 'bigint':
      return `n${value}`
    case 'boolean':
      return `b${value}`
    case 'string':
      return `s${value}`
    case 'undefined':
      return 'u'
    default:
      return keyOfObject(value, clock)
  }
}

function keyOfObject(value: unknown, clock: Clock | undefined): string {
  if (value === null) return 'null'
  if (isDate(value)) return `t${timeOf(value.getTime(), clock)}`
  if (value instanceof Uint8Array) return `x${Buffer.from(value).toString('hex')}`
  if (Array.isArray(value)) return `[${value.map(item => keyOfValue(item)).join()}]`
  const entries = Object.entries(value as object).map(([name, item]) => `${JSON.stringify(name)}:${keyOfValue(item)}`)
  return `{${entries.sort().join()}}`
}

/** A time of the clock counts from when the query was sent, in seconds. */
function timeOf(time: number, clock: Clock | undefined): string {
  if (clock === undefined || clock.known.has(time)) return String(time)
  return `now${Math.floor((time - clock.now + 200) / 1000)}`
}

/** What something rejected with. */
export function errorAnswer(error: unknown): Answer {
  const { message } = error as Error
  return { kind: 'error', code: error instanceof DatabaseError ? error.code : 'unknown', message }
}
