/**
 * Comparing by checksums. A row's range is given by the first digits of its line's MD5, so that tables without a key
 * have ranges, too, and a changed row concerns two small ones wherever it stands. A range is compared by the number of
 * its rows and the sum of their checksums: a sum, since equal rows would cancel each other out in a XOR.
 */
import * as crypto from 'node:crypto'

/** Rows that a range has about. */
const RANGE_SIZE = 64

/** Digits of the MD5 that name a range: at most 65536 ranges. */
const MAX_DIGITS = 4

/** Returns how many digits name a range of a table. */
export function digitsFor(rowCount: number): number {
  let digits = 0
  while (digits < MAX_DIGITS && rowCount / 16 ** digits > RANGE_SIZE) digits++
  return digits
}

/** The MD5 of a line in UTF-8, a character for each byte. */
function md5(line: string): string {
  // hash() is four times as fast; Node.js before 20.12 lacks it.
  return crypto.hash === undefined ? crypto.createHash('md5').update(line).digest('binary') : crypto.hash('md5', line, 'binary')
}

export interface RangeSum {
  readonly count: number
  readonly sum: bigint
}

const TWO_32 = 2 ** 32

/** Adds up the checksums of lines by their ranges. */
export class Sums {
  readonly digits: number
  readonly #counts: Float64Array
  /** The upper 24 and the lower 32 bits, since a sum of 56 bits would be rounded. */
  readonly #upper: Float64Array
  readonly #lower: Float64Array

  constructor(digits: number) {
    const size = 16 ** digits
    this.digits = digits
    this.#counts = new Float64Array(size)
    this.#upper = new Float64Array(size)
    this.#lower = new Float64Array(size)
  }

  /** Adds a line, and returns its range. */
  add(line: string): number {
    const digest = md5(line)
    const at = (i: number) => digest.charCodeAt(i)
    const range = ((at(0) << 8) | at(1)) >> (16 - 4 * this.digits)
    let lower = (this.#lower[range] as number) + at(5) * 0x1000000 + ((at(6) << 16) | (at(7) << 8) | at(8))
    let upper = (this.#upper[range] as number) + ((at(2) << 16) | (at(3) << 8) | at(4))
    if (lower >= TWO_32) {
      lower -= TWO_32
      upper++
    }
    this.#lower[range] = lower
    this.#upper[range] = upper
    ;(this.#counts[range] as number)++
    return range
  }

  of(range: number): RangeSum {
    return {
      count: this.#counts[range] as number,
      sum: BigInt(this.#upper[range] as number) * BigInt(TWO_32) + BigInt(this.#lower[range] as number)
    }
  }

  get total(): RangeSum {
    let count = 0
    let sum = 0n
    for (let range = 0; range < this.#counts.length; range++) {
      const own = this.of(range)
      count += own.count
      sum += own.sum
    }
    return { count, sum }
  }

  /** Returns the ranges that differ from those of Postgres, which leaves out empty ones. */
  differing(others: ReadonlyMap<number, RangeSum>): Set<number> {
    const found = new Set<number>()
    for (let range = 0; range < this.#counts.length; range++) {
      if (!isSame(this.of(range), others.get(range) ?? { count: 0, sum: 0n })) found.add(range)
    }
    return found
  }
}

export function isSame(a: RangeSum, b: RangeSum): boolean {
  return a.count === b.count && a.sum === b.sum
}

/** Has Postgres add up a whole table. The line stands in it once, so that the server may share the work among processes. */
export function totalOnPostgres(table: string, line: string): string {
  return `SELECT count(*), sum(('x' || substr(md5(${line}), 5, 14))::BIT(56)::BIGINT) FROM ${table}`
}

/** Has Postgres add up each range. OFFSET 0 keeps it from computing each line twice. */
export function rangesOnPostgres(table: string, line: string, digits: number): string {
  return (
    `SELECT substr(sum, 1, ${digits}), count(*), sum(('x' || substr(sum, 5, 14))::BIT(56)::BIGINT) ` +
    `FROM (SELECT md5(${line}) AS sum FROM ${table} OFFSET 0) AS lines GROUP BY 1`
  )
}

/** Has Postgres delete the rows of ranges. */
export function deleteRanges(table: string, line: string, digits: number, ranges: ReadonlySet<number>): string {
  const names = [...ranges].map(range => range.toString(16).padStart(digits, '0'))
  if (digits === 0) return `DELETE FROM ${table}`
  // Joined, since ANY would compare each row with each range.
  return `DELETE FROM ${table} USING unnest('{${names.join(',')}}'::TEXT[]) AS wanted (duolect_range) WHERE substr(md5(${line}), 1, ${digits}) = duolect_range`
}
