/**
 * The checksum of a line: 64 bits that Postgres computes as well. Since version 11 it is `hashtextextended(line, 0)`,
 * which costs a tenth of MD5 there; older servers give a part of the MD5.
 */
import { createHash } from 'node:crypto'

/** A 64-bit integer with a sign: `upper` has it, `lower` has none. */
export interface Checksum {
  upper: number
  lower: number
}

/** Computes checksums of bytes. */
export interface Hasher {
  /** An expression of Postgres, a BIGINT, for a line that is a TEXT. */
  onPostgres(line: string): string
  /** Writes the checksum of `bytes[from … to]` into `result`. */
  compute(bytes: Buffer, from: number, to: number, result: Checksum): void
}

export function hasherFor(version: number): Hasher {
  return version >= 110_000 ? LOOKUP3 : MD5
}

const MD5: Hasher = {
  onPostgres: line => `('x' || substr(md5(${line}), 1, 16))::BIT(64)::BIGINT`,
  compute(bytes, from, to, result) {
    const digest = createHash('md5').update(bytes.subarray(from, to)).digest()
    result.upper = digest.readInt32BE(0)
    result.lower = digest.readUInt32BE(4)
  }
}

/** Bob Jenkins' lookup3 with the seed 0, as Postgres has it in hashfn.c, little-endian. */
const LOOKUP3: Hasher = {
  // The collation says how texts are hashed; without one, a line of columns of several collations has none.
  onPostgres: line => `hashtextextended((${line}) COLLATE "C", 0)`,
  compute(bytes, from, to, result) {
    const length = to - from
    let a = (0x9e3779b9 + length + 3923095) | 0
    let b = a
    let c = a
    let at = from
    for (; to - at >= 12; at += 12) {
      a =
        (a +
          ((bytes[at] as number) |
            ((bytes[at + 1] as number) << 8) |
            ((bytes[at + 2] as number) << 16) |
            ((bytes[at + 3] as number) << 24))) |
        0
      b =
        (b +
          ((bytes[at + 4] as number) |
            ((bytes[at + 5] as number) << 8) |
            ((bytes[at + 6] as number) << 16) |
            ((bytes[at + 7] as number) << 24))) |
        0
      c =
        (c +
          ((bytes[at + 8] as number) |
            ((bytes[at + 9] as number) << 8) |
            ((bytes[at + 10] as number) << 16) |
            ((bytes[at + 11] as number) << 24))) |
        0
      a = (a - c) | 0
      a ^= (c << 4) | (c >>> 28)
      c = (c + b) | 0
      b = (b - a) | 0
      b ^= (a << 6) | (a >>> 26)
      a = (a + c) | 0
      c = (c - b) | 0
      c ^= (b << 8) | (b >>> 24)
      b = (b + a) | 0
      a = (a - c) | 0
      a ^= (c << 16) | (c >>> 16)
      c = (c + b) | 0
      b = (b - a) | 0
      b ^= (a << 19) | (a >>> 13)
      a = (a + c) | 0
      c = (c - b) | 0
      c ^= (b << 4) | (b >>> 28)
      b = (b + a) | 0
    }
    // The bytes that are left; the lowest byte of c stands for the length.
    const left = to - at
    for (let i = left - 1; i >= 0; i--) {
      const byte = bytes[at + i] as number
      if (i >= 8) c = (c + (byte << (8 * (i - 7)))) | 0
      else if (i >= 4) b = (b + (byte << (8 * (i - 4)))) | 0
      else a = (a + (byte << (8 * i))) | 0
    }
    c = (c ^ b) - ((b << 14) | (b >>> 18))
    a = (a ^ c) - ((c << 11) | (c >>> 21))
    b = (b ^ a) - ((a << 25) | (a >>> 7))
    c = (c ^ b) - ((b << 16) | (b >>> 16))
    a = (a ^ c) - ((c << 4) | (c >>> 28))
    b = (b ^ a) - ((a << 14) | (a >>> 18))
    c = (c ^ b) - ((b << 24) | (b >>> 8))
    result.upper = b | 0
    result.lower = c >>> 0
  }
}
