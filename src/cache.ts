/** Keeps what was used last. Half of it is dropped at once, so that a hit costs one look-up and no bookkeeping. */
export class BoundedCache<V> {
  readonly #maxCount: number
  readonly #maxLength: number
  #recent = new Map<string, V>()
  /** What was used before that; dropped as a whole when `#recent` is full. */
  #older = new Map<string, V>()
  /** Characters of the keys in `#recent`. */
  #length = 0

  /**
   * @param maxCount maximum number of entries
   * @param maxLength maximum number of characters of all keys together; a longer text has a larger value too
   */
  constructor(maxCount: number, maxLength: number) {
    this.#maxCount = maxCount / 2
    this.#maxLength = maxLength / 2
  }

  get(key: string): V | undefined {
    const recent = this.#recent.get(key)
    if (recent !== undefined) return recent
    const older = this.#older.get(key)
    if (older !== undefined) this.set(key, older)
    return older
  }

  /** Adds an entry that is not there. */
  set(key: string, value: V): void {
    if (key.length > this.#maxLength) return
    if (this.#recent.size >= this.#maxCount || this.#length + key.length > this.#maxLength) {
      this.#older = this.#recent
      this.#recent = new Map()
      this.#length = 0
    }
    this.#recent.set(key, value)
    this.#length += key.length
  }

  clear(): void {
    this.#recent.clear()
    this.#older.clear()
    this.#length = 0
  }
}
