/** Times as duolect stores them in SQLite: what each means, and what Postgres prints for it. Pure. */

/** Why a value is no time that can move; completes "holds …". */
export type TimeProblem = string

const TIME = /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?\s?(?:(Z)|([+-])(\d\d)(?::?(\d\d))?(?::?(\d\d))?)?$/i

/** The years 0001 to 9999, in ms since 1970. */
const FIRST = new Date('0001-01-01T00:00:00.000Z').getTime()
const LAST = new Date('9999-12-31T23:59:59.999Z').getTime()

/** A time to the microsecond. */
interface Instant {
  /** ms since 1970. */
  readonly time: number
  /** Six digits of the second's fraction. */
  readonly fraction: string
}

function readTime(text: string, digits: number): Instant | TimeProblem {
  const found = TIME.exec(text)
  if (found === null) return 'a text that is no time'
  const [
    ,
    year = '',
    month = '',
    day = '',
    hour = '0',
    minute = '0',
    second = '0',
    given = '',
    ,
    sign,
    zoneHour = '0',
    zoneMinute = '0',
    zoneSecond = '0'
  ] = found
  if (!isDay(year, month, day)) return 'a day that does not exist'
  const isEndOfDay = Number(hour) === 24 && Number(minute) === 0 && Number(second) === 0 && /^0*$/.test(given)
  if ((Number(hour) > 23 && !isEndOfDay) || Number(minute) > 59 || Number(second) > 59) return 'a time of day that does not exist'
  if (Number(zoneHour) > 15 || Number(zoneMinute) > 59 || Number(zoneSecond) > 59) return 'a time zone that does not exist'
  if (!/^0*$/.test(given.slice(digits))) return `a time with more than ${digits} digits of a second`
  const fraction = given.padEnd(6, '0').slice(0, 6)
  const date = new Date(0)
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day))
  date.setUTCHours(Number(hour), Number(minute), Number(second), 0)
  const offset = Number(zoneHour) * 3600 + Number(zoneMinute) * 60 + Number(zoneSecond)
  return within({ time: date.getTime() - (sign === undefined ? 0 : sign === '-' ? -offset : offset) * 1000, fraction })
}

function within(instant: Instant): Instant | TimeProblem {
  return instant.time >= FIRST && instant.time <= LAST ? instant : 'a time outside of the years 0001 to 9999'
}

/** True for a day of the calendar. */
export function isDay(year: string, month: string, day: string): boolean {
  const date = new Date(0)
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day))
  return Number(year) > 0 && date.getUTCMonth() === Number(month) - 1 && date.getUTCDate() === Number(day)
}

/** Reads a text, or ms since 1970. */
function toInstant(value: bigint | string, digits: number): Instant | TimeProblem {
  if (typeof value === 'string') return readTime(value, digits)
  const time = Number(value)
  if (value < BigInt(FIRST) || value > BigInt(LAST)) return 'a time outside of the years 0001 to 9999'
  const seconds = Math.floor(time / 1000)
  const fraction = String(time - seconds * 1000).padStart(3, '0')
  if (!/^0*$/.test(fraction.slice(digits))) return `a time with more than ${digits} digits of a second`
  return { time: seconds * 1000, fraction: `${fraction}000` }
}

/**
 * Returns why a value is no time; undefined for one that is.
 *
 * @param digits of the second's fraction that the column holds
 */
export function timeProblem(value: bigint | string, digits: number): TimeProblem | undefined {
  const instant = toInstant(value, digits)
  return typeof instant === 'string' ? instant : undefined
}

/** A time as Postgres prints a TIMESTAMPTZ in UTC. */
export function printTime(value: bigint | string): string {
  const instant = toInstant(value, 6) as Instant
  const text = new Date(instant.time).toISOString()
  const fraction = instant.fraction.replace(/0+$/, '')
  return `${text.slice(0, 10)} ${text.slice(11, 19)}${fraction && `.${fraction}`}+00`
}
