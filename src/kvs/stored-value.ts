import type { JsonValue } from '../adapter.ts'
import { DatabaseError } from '../errors.ts'

/** The stored value of one key, while calls are applied to it. */
export class StoredValue {
  readonly key: string
  #text: string | undefined
  /** What the text says, once it was needed. Shared with nobody. */
  #value: JsonValue | undefined
  #isParsed = false
  /** True if the value differs from the text. */
  #isChanged = false
  /** Upper bound of the text's length, in characters. */
  maxLength: number
  /** Number of characters that were parsed, copied or written. */
  work = 0

  /** @param text the value as it is stored; undefined when the key is absent */
  constructor(text: string | undefined, key: string) {
    this.key = key
    this.#text = text
    this.maxLength = text?.length ?? 0
  }

  /** True if the key exists. */
  get exists(): boolean {
    return this.#isParsed ? this.#value !== undefined : this.#text !== undefined
  }

  /** The value, to be read, or to be changed in place and handed to `change`; undefined when the key is absent. */
  get value(): JsonValue | undefined {
    if (!this.#isParsed) {
      this.#value = this.#text === undefined ? undefined : this.#parse(this.#text)
      this.#isParsed = true
    }
    return this.#value
  }

  /** A value of its own for a caller. */
  copy(): JsonValue | undefined {
    if (!this.#isParsed) return this.#text === undefined ? undefined : this.#parse(this.#text)
    this.work += this.maxLength
    return this.#orTooDeep(() => structuredClone(this.#value))
  }

  /** Takes another text as the whole value; undefined removes the key. */
  replace(text: string | undefined): void {
    this.#text = text
    this.maxLength = text?.length ?? 0
    this.#isParsed = false
    this.#isChanged = false
  }

  /** Takes a value that nobody else has, whose text has grown by at most so many characters. */
  change(value: JsonValue, growth: number): void {
    this.#value = value
    this.maxLength += growth
    this.#isParsed = true
    this.#isChanged = true
  }

  /**
   * The value as it is to be stored; undefined when the key is absent.
   *
   * @throws DatabaseError `invalid_value` when the value has too many levels
   */
  get text(): string | undefined {
    if (this.#isChanged) {
      this.work += this.maxLength
      this.#text = this.#orTooDeep(() => JSON.stringify(this.#value))
      this.#isChanged = false
    }
    return this.#text
  }

  #parse(text: string): JsonValue {
    this.work += text.length
    return parseStored(text, this.key)
  }

  /** `JSON.stringify` and `structuredClone` overflow the stack on values that others have stored with thousands of levels. */
  #orTooDeep<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      throw new DatabaseError(
        'invalid_value',
        `The value of the key ${JSON.stringify(this.key)} has too many levels to be changed; nothing was changed.`,
        { cause: error }
      )
    }
  }
}

/** The value of a row that was found, or not. A NULL, which duolect itself does not store, counts as JSON's null. */
export function storedValueOf(row: { readonly value: string | null } | undefined, key: string): StoredValue {
  return new StoredValue(row === undefined ? undefined : (row.value ?? 'null'), key)
}

/** Reads a stored text. */
export function parseStored(text: string, key: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue
  } catch {
    throw new DatabaseError(
      'data_corrupted',
      `The value of the key ${JSON.stringify(key)} is not JSON; something else than duolect wrote it. Delete the key, or store another value.`,
      { table: 'kvs', column: 'value' }
    )
  }
}
