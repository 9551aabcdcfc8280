/**
 * Comparing by checksums. A row's range is given by the last bits of its line's checksum, so that tables without a key
 * have ranges, too, and a changed row concerns two small ones wherever it stands. A range is compared by the number of
 * its rows and the sum of their checksums: a sum, since equal rows would cancel each other out in a XOR.
 */
import type { Checksum, Hasher } from './hash.ts'

/** Rows that a range has about. */
const RANGE_SIZE = 64

const MAX_RANGES = 65_536

/** Returns how many ranges a table has: a power of two. */
export function rangesFor(rowCount: number): number {
  let ranges = 1
  while (ranges < MAX_RANGES && rowCount / ranges > RANGE_SIZE) ranges *= 2
  return ranges
}

export interface RangeSum {
  readonly count: number
  readonly sum: bigint
}

const TWO_32 = 2 ** 32

/** Adds up the checksums of lines by their ranges. */
export class Sums {
  readonly ranges: number
  readonly #hasher: Hasher
  readonly #checksum: Checksum = { upper: 0, lower: 0 }
  readonly #counts: Float64Array
  /** The upper 8 bits with the sign, 24 bits, and the lower 32 bits: a sum of all 64 would be rounded. */
  readonly #top: Float64Array
  readonly #middle: Float64Array
  readonly #lower: Float64Array

  constructor(hasher: Hasher, ranges: number) {
    this.#hasher = hasher
    this.ranges = ranges
    this.#counts = new Float64Array(ranges)
    this.#top = new Float64Array(ranges)
    this.#middle = new Float64Array(ranges)
    this.#lower = new Float64Array(ranges)
  }

  /** Adds the line that `bytes` holds from one place to another, and returns its range. */
  add(bytes: Buffer, from: number, to: number): number {
    const checksum = this.#checksum
    this.#hasher.compute(bytes, from, to, checksum)
    const range = (checksum.lower & (this.ranges - 1)) >>> 0
    let lower = (this.#lower[range] as number) + checksum.lower
    let middle = (this.#middle[range] as number) + (checksum.upper & 0xffffff)
    if (lower >= 2 ** 52) {
      middle += Math.floor(lower / TWO_32)
      lower %= TWO_32
    }
    this.#lower[range] = lower
    this.#middle[range] = middle
    this.#top[range] = (this.#top[range] as number) + (checksum.upper >> 24)
    this.#counts[range] = (this.#counts[range] as number) + 1
    return range
  }

  of(range: number): RangeSum {
    const [top, middle, lower] = [this.#top[range], this.#middle[range], this.#lower[range]].map(lane => BigInt(lane as number)) as [
      bigint,
      bigint,
      bigint
    ]
    return { count: this.#counts[range] as number, sum: (top << 56n) + (middle << 32n) + lower }
  }

  get total(): RangeSum {
    let count = 0
    let sum = 0n
    for (let range = 0; range < this.ranges; range++) {
      const own = this.of(range)
      count += own.count
      sum += own.sum
    }
    return { count, sum }
  }

  /** Returns the ranges that differ from those of Postgres, which leaves out empty ones. */
  differing(others: ReadonlyMap<number, RangeSum>): Set<number> {
    const found = new Set<number>()
    for (let range = 0; range < this.ranges; range++) {
      if (!isSame(this.of(range), others.get(range) ?? { count: 0, sum: 0n })) found.add(range)
    }
    return found
  }
}

export function isSame(a: RangeSum, b: RangeSum): boolean {
  return a.count === b.count && a.sum === b.sum
}

/** Has Postgres add up a whole table. The checksum stands in it once, so that the server may share the work among processes. */
export function totalOnPostgres(table: string, checksum: string): string {
  return `SELECT count(*), sum(${checksum}) FROM ${table}`
}

/** Has Postgres add up each range. OFFSET 0 keeps it from computing each checksum twice. */
export function rangesOnPostgres(table: string, checksum: string, ranges: number): string {
  return (
    `SELECT checksum & ${ranges - 1}, count(*), sum(checksum) ` +
    `FROM (SELECT ${checksum} AS checksum FROM ${table} OFFSET 0) AS checksums GROUP BY 1`
  )
}

/** Has Postgres delete the rows of ranges. By a query, which is hashed, since ANY would compare each row with each range. */
export function deleteRanges(table: string, checksum: string, ranges: number, wanted: ReadonlySet<number>): string {
  // Without a name of its own, which the table or a column could have, too.
  return `DELETE FROM ${table} WHERE (${checksum} & ${ranges - 1}) IN (SELECT unnest('{${[...wanted].join(',')}}'::BIGINT[]))`
}
