/** Names for what has none of its own, or one that Postgres would cut off. Pure. */
import { createHash } from 'node:crypto'

/** Postgres cuts names off behind so many bytes. */
export const MAX_NAME_BYTES = 63

/** Columns that every table of Postgres has. */
export const SYSTEM_COLUMNS = ['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid']

export function isTooLong(name: string): boolean {
  return Buffer.byteLength(name) > MAX_NAME_BYTES
}

/** Gives names that nothing else in the schema has. The same calls give the same names, so that a later run finds them. */
export class Names {
  readonly #taken: Set<string>

  constructor(taken: Iterable<string>) {
    this.#taken = new Set(taken)
  }

  /** Returns the wanted name, or one like it that is free and short enough. */
  take(wanted: string): string {
    let name = isTooLong(wanted) ? shorten(wanted, wanted) : wanted
    for (let i = 1; this.#taken.has(name); i++) name = shorten(wanted, `${wanted} ${i}`)
    this.#taken.add(name)
    return name
  }
}

/** The beginning of a name, and a hash in place of the rest. */
function shorten(name: string, seed: string): string {
  const hash = createHash('sha256').update(seed).digest('hex').slice(0, 8)
  let start = ''
  for (const character of name) {
    if (Buffer.byteLength(start + character) > MAX_NAME_BYTES - 9) break
    start += character
  }
  return `${start}_${hash}`
}
