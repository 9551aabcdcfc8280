/** Chance that can be repeated: the same seed gives the same values. */

export class Random {
  #state: number

  constructor(seed: string | number) {
    // FNV-1a, so that similar seeds begin far apart.
    let hash = 0x811c9dc5
    for (const character of String(seed)) hash = Math.imul(hash ^ (character.codePointAt(0) as number), 0x01000193)
    this.#state = hash >>> 0
  }

  /** A number from 0 to below 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** An integer from 0 to below `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T
  }

  shuffle<T>(values: readonly T[]): T[] {
    const shuffled = [...values]
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const value = shuffled[i] as T
      shuffled[i] = shuffled[j] as T
      shuffled[j] = value
    }
    return shuffled
  }
}

/** Deals values like cards: each one before any comes again, since drawing misses some for long. */
export class Deck<T> {
  readonly #cards: readonly T[]
  readonly #random: Random
  #left: T[]

  /** @param first are dealt before the others, once */
  constructor(cards: readonly T[], random: Random, first: readonly T[] = []) {
    this.#cards = cards
    this.#random = random
    this.#left = [...first]
  }

  /** Undefined when the deck has no cards. */
  deal(): T | undefined {
    if (this.#left.length === 0) this.#left = this.#random.shuffle(this.#cards)
    return this.#left.pop()
  }
}
