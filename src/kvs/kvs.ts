import type { JsonValue } from '../adapter.ts'
import { atCaller, DatabaseError } from '../errors.ts'
import type { Runner } from '../execute.ts'
import { MAX_LEVELS, toJson } from '../json.ts'
import { callQuery } from '../queries.ts'
import { Batch, type Call } from './batch.ts'
import { MAX_GAP, MAX_KEY_BYTES, MAX_TOTAL_LENGTH } from './limits.ts'
import { deleteAt, getAt, type Part, type Path, parsePath, setAt } from './path.ts'
import { parseStored, type StoredValue, storedValueOf } from './stored-value.ts'

/** An entry of `list`. */
export interface Entry<T = unknown> {
  /** The key, with its prefix. */
  key: string
  /** A copy of the value. */
  value: T
  /** When the value was stored last; null in a row that another program made without it. */
  modifiedOn: Date | null
}

/** Which keys `list` and `keys` yield. */
export interface ListOptions {
  /** Only keys that begin with it, literally. @default '' */
  prefix?: string
  /** Only keys sorted after this one. @default the first key */
  after?: string
  /** Maximum number of entries. @default all */
  limit?: number
}

/**
 * JSON values by key.
 *
 * A key is a text of 1 to 1024 bytes in UTF-8; a value is what `JSON.stringify` makes of it. A path leads into the
 * value: `b._b`, `books[0].title`, `a["x.y"]`, a JSON Pointer `/b/0`, or an array of literal parts.
 *
 * Calls on one key take effect in the order in which they were made, awaited or not. Calls of one turn of the
 * event loop travel to the database together. No update is lost between processes.
 *
 * Each method rejects with a `DatabaseError`: `invalid_parameter` for a bad key, `invalid_path`, `invalid_value`,
 * and whatever the database says.
 */
export interface KeyValueStore {
  /** Returns a copy of the value; null when the key is absent. */
  get<T = unknown>(key: string): Promise<T | null>
  /** Returns what the path leads to; null when the key is absent, undefined when the path leads nowhere. */
  get<T = unknown>(key: string, path: Path | undefined): Promise<T | null | undefined>
  /** Stores the whole value, or changes the place that the path leads to and leaves the rest. */
  set(key: string, value: unknown, path?: Path): Promise<void>
  /** Removes the key, or the place; an array closes the gap. Returns whether there was something. */
  delete(key: string, path?: Path): Promise<boolean>
  /** Returns whether the key exists, or the path leads to something, null included. */
  has(key: string, path?: Path): Promise<boolean>
  /**
   * Stores what `change` makes of the value (null when the key is absent), and returns it. Atomic. `change` is
   * synchronous and may run more than once, so it must do nothing else.
   */
  update<T = unknown>(key: string, change: (value: T | null) => T): Promise<T>
  /** Returns the values of those keys that exist. */
  getMany<T = unknown>(keys: Iterable<string>): Promise<Map<string, T>>
  /** Stores all entries, or on an error none. */
  setMany(entries: Iterable<readonly [key: string, value: unknown]>): Promise<void>
  /** Removes all keys, or on an error none. Returns the number of those that existed. */
  deleteMany(keys: Iterable<string>): Promise<number>
  /**
   * Removes every key that begins with the prefix, literally. Returns the number of removed keys. It takes effect
   * after all earlier calls on such keys, and before all later ones.
   */
  clear(options?: Pick<ListOptions, 'prefix'>): Promise<number>
  /** Yields keys in the order of their code points, without reading their values. */
  keys(options?: ListOptions): AsyncIterable<string>
  /** Yields entries in the order of their keys' code points, in bounded memory. */
  list<T = unknown>(options?: ListOptions): AsyncIterable<Entry<T>>
}

/** How many rows `list` reads at a time. */
const PAGE = 100

/** The store of a database or a transaction. */
export class Store implements KeyValueStore {
  readonly #runner: Runner
  readonly #maxValueBytes: number
  readonly #assertUsable: () => void
  readonly #batch: Batch

  /**
   * @param runner what the statements run on
   * @param maxValueBytes maximum size of a value, in bytes of its JSON text
   * @param lockLimit how long a key waits for the lock of another client, in ms; 0 for no limit
   * @param assertUsable fails when the store must not be used now
   */
  constructor(runner: Runner, maxValueBytes: number, lockLimit: number, assertUsable: () => void) {
    this.#runner = runner
    this.#maxValueBytes = maxValueBytes
    this.#assertUsable = assertUsable
    this.#batch = new Batch(runner, lockLimit)
  }

  get<T = unknown>(key: string, path?: Path): Promise<T | null> {
    return this.#checked(key, path, parts => this.#read(key, stored => (stored.exists ? getAt(stored.copy(), parts).value : null)))
  }

  set(key: string, value: unknown, path?: Path): Promise<void> {
    return this.#checked(key, path, parts => {
      const text = this.#toText(value, key, parts.length)
      if (parts.length === 0) return this.#put(key, text)
      const growth = text.length + growthBy(parts)
      return this.#perform(
        key,
        'change',
        stored => {
          const part = JSON.parse(text) as JsonValue
          if (mayExceed(stored.maxLength + growth, this.#maxValueBytes)) {
            // Near the limit the new value is measured before the old one is given up.
            const grown = setAt(stored.copy(), parts, part)
            const whole = JSON.stringify(grown)
            this.#checkSize(whole, key)
            stored.replace(whole)
          } else {
            // setAt() changes nothing when it fails.
            stored.change(setAt(stored.value, parts, part), growth)
          }
        },
        text.length
      )
    })
  }

  delete(key: string, path?: Path): Promise<boolean> {
    return this.#checked(key, path, parts =>
      this.#perform(key, parts.length === 0 ? 'remove' : 'change', stored => {
        if (!stored.exists) return false
        if (parts.length === 0) {
          stored.replace(undefined)
          return true
        }
        const value = stored.value as JsonValue
        const isDeleted = deleteAt(value, parts)
        if (isDeleted) stored.change(value, 0)
        return isDeleted
      })
    )
  }

  has(key: string, path?: Path): Promise<boolean> {
    return this.#checked(key, path, parts =>
      this.#read(key, stored => (parts.length === 0 ? stored.exists : getAt(stored.value, parts).isFound))
    )
  }

  update<T = unknown>(key: string, change: (value: T | null) => T): Promise<T> {
    return this.#checked(key, undefined, () => {
      if (typeof change !== 'function') {
        throw new DatabaseError('invalid_parameter', `kvs.update() expects a function of the old value, got ${typeof change}.`)
      }
      return this.#perform(key, 'change', stored => {
        const text = this.#toText(returned(change((stored.copy() ?? null) as T | null)), key)
        stored.replace(text)
        return JSON.parse(text)
      })
    })
  }

  async getMany<T = unknown>(keys: Iterable<string>): Promise<Map<string, T>> {
    this.#assertUsable()
    const wanted = [...new Set(iterable(keys, 'getMany', 'keys'))]
    for (const key of wanted) this.#check(key, undefined)
    // The result of a call counts and nothing that it does beside, as a call may be applied again to a newer value.
    const read = (stored: StoredValue) => (stored.exists ? { value: stored.copy() } : undefined)
    try {
      const found = await this.#batch.addReads<{ value: T } | undefined>(wanted, read)
      return new Map(wanted.flatMap((key, i) => (found[i] === undefined ? [] : [[key, (found[i] as { value: T }).value] as const])))
    } catch (error) {
      throw atCaller(error)
    }
  }

  async setMany(entries: Iterable<readonly [key: string, value: unknown]>): Promise<void> {
    this.#assertUsable()
    const texts = new Map<string, string>()
    for (const [key, value] of iterable(entries, 'setMany', 'pairs of a key and a value')) {
      this.#check(key, undefined)
      texts.set(key, this.#toText(value, key))
    }
    const total = [...texts.values()].reduce((sum, text) => sum + text.length, 0)
    if (total > MAX_TOTAL_LENGTH) {
      throw new DatabaseError(
        'invalid_value',
        `kvs.setMany() takes ${MAX_TOTAL_LENGTH} characters of JSON at most, got ${total}. Split it.`
      )
    }
    if (texts.size > 0) await this.#grouped(texts)
  }

  async deleteMany(keys: Iterable<string>): Promise<number> {
    this.#assertUsable()
    const removed = new Map<string, undefined>()
    for (const key of iterable(keys, 'deleteMany', 'keys')) {
      this.#check(key, undefined)
      removed.set(key, undefined)
    }
    return removed.size === 0 ? 0 : this.#grouped(removed)
  }

  async #grouped(entries: ReadonlyMap<string, string | undefined>): Promise<number> {
    try {
      return await this.#batch.addGroup(entries)
    } catch (error) {
      throw atCaller(error)
    }
  }

  async clear(options: { prefix?: string } = {}): Promise<number> {
    this.#assertUsable()
    checkOptions('clear', options, ['prefix'])
    const { prefix = '' } = options
    try {
      return await this.#batch.clear(prefix, endOfPrefix(prefix))
    } catch (error) {
      throw atCaller(error)
    }
  }

  list<T = unknown>(options: ListOptions = {}): AsyncGenerator<Entry<T>, void, undefined> {
    return this.#pages(
      'list',
      options,
      page => callQuery(this.#runner, 'listValues', page),
      ({ key, value, modifiedOn }) => ({
        key,
        value: parseStored(value ?? 'null', key) as T,
        modifiedOn
      })
    )
  }

  keys(options: ListOptions = {}): AsyncGenerator<string, void, undefined> {
    return this.#pages(
      'keys',
      options,
      page => callQuery(this.#runner, 'listKeys', page),
      ({ key }) => key
    )
  }

  /** Yields what `pick` makes of the rows, a page at a time. */
  async *#pages<R extends { key: string }, T>(
    call: string,
    options: ListOptions,
    find: (page: Record<string, unknown>) => Promise<R[]>,
    pick: (row: R) => T
  ): AsyncGenerator<T, void, undefined> {
    this.#assertUsable()
    checkOptions(call, options, ['prefix', 'after', 'limit'])
    const { prefix = '', after = '', limit = Infinity } = options
    await this.flush()
    const end = endOfPrefix(prefix)
    let last = after
    for (let left = limit; left > 0; ) {
      const size = Math.min(PAGE, left)
      const rows = await find({ prefix, after: last, end, limit: size })
      for (const row of rows) yield pick(row)
      if (rows.length < size) return
      left -= rows.length
      last = (rows.at(-1) as R).key
    }
  }

  /** True if every call is settled. */
  get isIdle(): boolean {
    return this.#batch.isIdle
  }

  /** Resolves when all calls made so far are settled, but for those that wait for another client's lock. */
  flush(): Promise<void> {
    return this.#batch.passed()
  }

  /** Resolves when all calls made so far are settled. */
  settled(): Promise<void> {
    return this.#batch.settled()
  }

  #read<T>(key: string, apply: (stored: StoredValue) => unknown): Promise<T> {
    return this.#runner.isInProcess && this.#batch.isFree(key) ? this.#readAtOnce(key, apply) : this.#perform(key, 'read', apply)
  }

  async #readAtOnce<T>(key: string, apply: (stored: StoredValue) => unknown): Promise<T> {
    try {
      return apply(storedValueOf(await callQuery(this.#runner, 'findValue', { key }), key)) as T
    } catch (error) {
      throw atCaller(error)
    }
  }

  async #perform<T>(key: string, kind: Call['kind'], apply: (stored: StoredValue) => unknown, size?: number): Promise<T> {
    try {
      return await this.#batch.add<T>(key, kind, apply, size)
    } catch (error) {
      throw atCaller(error)
    }
  }

  async #put(key: string, text: string): Promise<void> {
    try {
      return await this.#batch.put(key, text)
    } catch (error) {
      throw atCaller(error)
    }
  }

  /** Begins what returns a promise already: an asynchronous function around it would cost as much as a batched read. */
  #checked<T>(key: string, path: Path | undefined, begin: (parts: readonly Part[]) => Promise<T>): Promise<T> {
    try {
      return begin(this.#check(key, path))
    } catch (error) {
      return Promise.reject(atCaller(error))
    }
  }

  /** Checks what every call gets, and returns the path's parts. */
  #check(key: string, path: Path | undefined): readonly Part[] {
    this.#assertUsable()
    checkKey(key)
    return parsePath(path)
  }

  /** The value's JSON, checked; `levels` stand above it. */
  #toText(value: unknown, key: string, levels = 0): string {
    let text: string
    try {
      text = toJson(value, 'value', 'invalid_value', MAX_LEVELS - levels)
    } catch (error) {
      throw error instanceof DatabaseError && error.code === 'invalid_value' ? withKey(error, key) : error
    }
    this.#checkSize(text, key)
    return text
  }

  #checkSize(text: string, key: string): void {
    if (!mayExceed(text.length, this.#maxValueBytes)) return
    const size = Buffer.byteLength(text)
    if (size <= this.#maxValueBytes) return
    throw withKey(
      new DatabaseError(
        'invalid_value',
        `The value takes ${size} bytes as JSON, but ${this.#maxValueBytes} at most are stored (kvs.maxValueBytes). Split it over several keys.`
      ),
      key
    )
  }
}

/** The error with the key in its message. */
function withKey(error: DatabaseError, key: string): DatabaseError {
  return new DatabaseError(error.code, `${error.message} The key is ${JSON.stringify(key)}.`, { cause: error.cause })
}

/** Checks what the function of `update` returned. */
function returned(value: unknown): unknown {
  if (value === undefined)
    throw new DatabaseError('invalid_value', 'The function of kvs.update() returned undefined; it must return the new value.')
  if (value instanceof Promise) {
    value.catch(() => undefined)
    throw new DatabaseError(
      'invalid_value',
      'The function of kvs.update() returned a Promise; it must be synchronous. Await before the update.'
    )
  }
  return value
}

/** True if a string of that length may take more bytes in UTF-8: three for each character at most. */
function mayExceed(length: number, bytes: number): boolean {
  return length * 3 > bytes
}

/** How many characters the parts of a path can add to the JSON text, at most. */
function growthBy(parts: readonly Part[]): number {
  let growth = 0
  for (const part of parts) {
    // A name is escaped at worst as \u0000 for each character. An index, which a name of digits is in an array, may
    // fill the gap before it with null.
    const name = typeof part === 'symbol' ? '-' : String(part)
    const gap = /^\d+$/.test(name) ? Math.min(Number(name), MAX_GAP) * 5 : 0
    growth += name.length * 6 + 6 + gap
  }
  return growth
}

function iterable<T>(given: Iterable<T>, call: string, what: string): Iterable<T> {
  const refuse = () => new DatabaseError('invalid_parameter', `kvs.${call}() expects an iterable of ${what}.`)
  if (typeof given === 'string' || typeof (given as Iterable<T> | undefined)?.[Symbol.iterator] !== 'function') throw refuse()
  const all = [...given]
  if (call === 'setMany' && all.some(entry => !Array.isArray(entry))) throw refuse()
  return all
}

function checkOptions(call: string, options: unknown, names: readonly string[]): void {
  const refuse = (problem: string) => new DatabaseError('invalid_parameter', `kvs.${call}() expects ${problem}.`)
  if (typeof options !== 'object' || options === null) throw refuse('an object of options')
  for (const [name, value] of Object.entries(options)) {
    if (!names.includes(name)) throw refuse(`the options ${names.join(', ')}, not "${name}"`)
    if (value === undefined) continue
    if (name === 'limit') {
      if (value !== Infinity && !(Number.isInteger(value) && value >= 0)) throw refuse('limit to be a whole number from 0')
    } else if (typeof value !== 'string') throw refuse(`${name} to be a string`)
  }
}

function checkKey(key: unknown): void {
  if (typeof key !== 'string') throw badKey(key === null || key === undefined ? `is ${key}` : `is a ${typeof key}`)
  // A character takes three bytes at most.
  const size = key.length * 3 <= MAX_KEY_BYTES ? key.length : Buffer.byteLength(key)
  if (size === 0 || size > MAX_KEY_BYTES) throw badKey(`takes ${size} bytes`)
  if (key.includes('\0')) throw badKey('has a NUL character')
  if (!key.isWellFormed()) throw badKey('has half of a surrogate pair')
}

function badKey(problem: string): DatabaseError {
  return new DatabaseError('invalid_parameter', `A key is a text of 1 to ${MAX_KEY_BYTES} bytes of UTF-8 without NUL; this one ${problem}.`)
}

/** The first text behind all that begin with the prefix, in the order of code points; null without an end. */
function endOfPrefix(prefix: string): string | null {
  const points = [...prefix]
  while (points.length > 0) {
    const last = (points.pop() as string).codePointAt(0) as number
    // The code points of surrogates are none that a text can have.
    if (last < 0x10ffff) return points.join('') + String.fromCodePoint(last === 0xd7ff ? 0xe000 : last + 1)
  }
  return null
}
