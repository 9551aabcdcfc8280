/**
 * From calls to statements. The calls of one turn of the event loop travel together: one statement reads what they
 * need, one writes what they changed. For each key the calls keep their order.
 *
 * A change that depends on the old value must not lose another process's change. Where the dialect can compare and
 * set in one statement, a change whose key was changed meanwhile is made again; else the turn is one transaction.
 */
import type { JsonValue } from '../adapter.ts'
import { asLostCommit, copyOf, DatabaseError, type ErrorCode } from '../errors.ts'
import { inTransaction, type Runner } from '../execute.ts'
import { callQuery, textOf, type ValueChange } from '../queries.ts'

/** The stored value of one key while the turn's calls are applied to it. */
export class StoredValue {
  /** As it is stored; undefined when the key is absent. */
  readonly #old: string | undefined
  #text: string | undefined
  /** What the text says, once it was needed. Shared with nobody. */
  #value: JsonValue | undefined
  #isParsed = false
  #isChanged = false
  /** How long the value's text can be at most, in characters. */
  maxLength: number

  constructor(text: string | undefined) {
    this.#old = text
    this.#text = text
    this.maxLength = text?.length ?? 0
  }

  /** Whether the key exists. */
  get exists(): boolean {
    return this.#isParsed ? this.#value !== undefined : this.#text !== undefined
  }

  /** The value, to be changed in place and handed to `change`; undefined when the key is absent. */
  get value(): JsonValue | undefined {
    if (!this.#isParsed) {
      this.#value = this.#text === undefined ? undefined : parseStored(this.#text)
      this.#isParsed = true
    }
    return this.#value
  }

  /** A value of its own for a caller. */
  copy(): JsonValue | undefined {
    return this.#isParsed ? structuredClone(this.#value) : this.#text === undefined ? undefined : parseStored(this.#text)
  }

  /** Takes another text as the whole value; undefined removes the key. */
  replace(text: string | undefined): void {
    this.#text = text
    this.maxLength = text?.length ?? 0
    this.#isParsed = false
    this.#isChanged = true
  }

  /** Takes a value that nobody else has, whose text has grown by so many characters at most. */
  change(value: JsonValue, growth: number): void {
    this.#value = value
    this.maxLength += growth
    this.#isParsed = true
    this.#isChanged = true
  }

  /** What has to be stored, or undefined when nothing changed. */
  finish(): { old: string | undefined; text: string | undefined } | undefined {
    if (!this.#isChanged) return undefined
    const text = this.#isParsed && this.#value !== undefined ? JSON.stringify(this.#value) : this.#text
    return text === this.#old ? undefined : { old: this.#old, text }
  }
}

/** Reads a stored text. A NULL of an older version's table counts as JSON's null. */
export function parseStored(text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue
  } catch {
    throw new DatabaseError('data_corrupted', 'The value of a key of the kvs table is not JSON; something else than duolect wrote it.', {
      table: 'kvs',
      column: 'value'
    })
  }
}

/** One call on one key. */
export interface Call {
  readonly key: string
  /** Whether it only reads, depends on the old value, or stores a whole value whatever was there. */
  readonly kind: 'read' | 'change' | 'remove' | 'replace'
  /** Does the call on the stored value and returns its result. May run again; fails without having changed anything. */
  apply(stored: StoredValue): unknown
  resolve(result: unknown): void
  reject(error: unknown): void
  /** How long the text is that it stores. */
  readonly size: number
  /** Calls that must be stored together or not at all. */
  readonly group: object | undefined
}

type Chain = readonly Call[]

/** Settles one call, after the commit. */
type Outcome = () => void

/** Number of lost comparisons after which a key is locked. */
const MAX_CONFLICTS = 4

/** Number of lost comparisons under the lock after which the call fails. */
const MAX_CONFLICTS_LOCKED = 100

/** How much text one write takes, in characters; a statement is one text, and Node's have a limit. */
const MAX_BATCH_SIZE = 32 * 1024 * 1024

export class Batch {
  readonly #runner: Runner
  /** True if the runner is a transaction's session, which ends all or nothing by itself. */
  readonly #isTransaction: boolean
  #waiting = new Map<string, Call[]>()
  /** The keys of the write that is on its way. */
  #writing: ReadonlySet<string> = new Set()
  /** The reads that are on their way, by key. */
  readonly #reading = new Map<string, Promise<void>>()
  #isScheduled = false
  #isWriting = false
  /** The write that is on its way, or the last one. */
  #written: Promise<void> = Promise.resolve()

  /** @param runner what the statements run on */
  constructor(runner: Runner) {
    this.#runner = runner
    this.#isTransaction = runner.begin === undefined
  }

  /** True if no pending operation on the key could be reordered with a read of it. */
  isFree(key: string): boolean {
    return !this.#isScheduled && !this.#writing.has(key) && !this.#waiting.has(key)
  }

  /** Whether no call is unanswered. */
  get isIdle(): boolean {
    return this.#waiting.size === 0 && !this.#isWriting && this.#reading.size === 0
  }

  /** Adds a call to this turn. */
  add<T>(key: string, kind: Call['kind'], apply: Call['apply'], size = 0, group?: object): Promise<T> {
    return new Promise((resolve, reject) => {
      const call: Call = { key, kind, apply, size, group, resolve: resolve as (result: unknown) => void, reject }
      const chain = this.#waiting.get(key)
      if (chain === undefined) this.#waiting.set(key, [call])
      else chain.push(call)
      this.#schedule()
    })
  }

  /** Resolves when all calls that were made so far are answered. */
  settled(): Promise<void> {
    const waiting = [...this.#waiting.keys()].map(key => this.add(key, 'read', () => undefined))
    return Promise.allSettled([...waiting, this.#written, ...this.#reading.values()]).then(() => undefined)
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => this.#flush())
  }

  #flush(): void {
    this.#isScheduled = false
    const reads: Chain[] = []
    const writes: Chain[] = []
    const waiting = this.#waiting
    this.#waiting = new Map()
    for (const [key, chain] of waiting) {
      const onlyReads = chain.every(isRead)
      // While one write is on its way, the next gathers.
      if (this.#writing.has(key) || (this.#isWriting && !onlyReads)) this.#waiting.set(key, chain)
      else (onlyReads ? reads : writes).push(chain)
    }
    this.#cut(writes)
    // What is written needs a look at old values in most cases, and the reads come along with that.
    const shareRead = reads.length > 0 && this.#canSwap && !this.#isTransaction && !writes.every(isIndependent)
    if (reads.length > 0 && !shareRead) void this.#read(reads)
    if (writes.length > 0) this.#written = this.#write(writes, shareRead ? reads : [])
  }

  /** What does not fit into one statement waits for the next. What must be stored together stays together. */
  #cut(writes: Chain[]): void {
    if (sizeOf(writes) <= MAX_BATCH_SIZE) return
    let size = 0
    for (const part of separable(writes.splice(0))) {
      if (size <= MAX_BATCH_SIZE) writes.push(...part)
      else for (const chain of part) this.#waiting.set(keyOf(chain), [...chain])
      size += sizeOf(part)
    }
  }

  get #canSwap(): boolean {
    return textOf('swapValues', this.#runner.dialect) !== undefined
  }

  #done(): void {
    if (this.#waiting.size > 0) this.#schedule()
  }

  async #read(chains: readonly Chain[]): Promise<void> {
    const keys = chains.map(keyOf)
    // Who waits for this read waits for the earlier ones of its keys, too.
    const earlier = this.#readingOf(keys)
    const answered = this.#load(keys, 'findValues').then(
      texts => answerReads(chains, texts),
      error => rejectAll(chains, error)
    )
    const work: Promise<void> = Promise.all([answered, ...earlier])
      .then(() => undefined)
      .finally(() => {
        for (const key of keys) if (this.#reading.get(key) === work) this.#reading.delete(key)
        this.#done()
      })
    for (const key of keys) this.#reading.set(key, work)
    await work
  }

  /** The reads of those keys that are on their way. */
  #readingOf(keys: Iterable<string>): Promise<void>[] {
    const reading: Promise<void>[] = []
    if (this.#reading.size === 0) return reading
    for (const key of keys) {
      const work = this.#reading.get(key)
      if (work !== undefined) reading.push(work)
    }
    return reading
  }

  async #write(chains: readonly Chain[], reads: readonly Chain[]): Promise<void> {
    this.#isWriting = true
    this.#writing = new Set(chains.map(keyOf))
    try {
      // A read that was made before must not see what is written now.
      await Promise.all(this.#readingOf(this.#writing))
      await this.#store(chains, reads)
    } finally {
      this.#isWriting = false
      this.#writing = new Set()
      this.#done()
    }
  }

  /** Carries the chains out and answers each call. Never fails. */
  async #store(chains: readonly Chain[], reads: readonly Chain[] = []): Promise<void> {
    /** What is not stored yet. */
    let left = chains
    try {
      if (chains.every(isIndependent)) settleAll(await this.#storeIndependent(chains))
      else if (!this.#canSwap) settleAll(await this.#storeInTransaction(chains))
      else {
        for (let conflicts = 0; left.length > 0 && conflicts < MAX_CONFLICTS; conflicts++) {
          if (conflicts > 0) await new Promise(resolve => setTimeout(resolve, Math.random() * 5 * conflicts))
          left = await this.#swap(left, conflicts === 0 ? reads : [])
        }
        if (left.length > 0) settleAll(await this.#swapWithLock(left))
      }
    } catch (error) {
      rejectAll(reads, error)
      const parts = separable(left)
      if (parts.length === 1 || this.#isTransaction || !isValueError(error)) return rejectAll(left, error)
      // One of them is at fault; the others must not fail with it.
      for (const part of parts) await this.#store(part)
    }
  }

  /** Whole values need neither a look at the old ones nor a transaction: one statement stores them. */
  async #storeIndependent(chains: readonly Chain[]): Promise<Outcome[]> {
    const outcomes: Outcome[] = []
    const entries: (readonly [string, string])[] = []
    for (const chain of chains) {
      const stored = new StoredValue(undefined)
      outcomes.push(...applyAll(chain, stored))
      const text = stored.finish()?.text
      if (text !== undefined) entries.push([keyOf(chain), text])
    }
    // Several statements need a transaction to be one.
    if (entries.length > 1 && this.#runner.isInProcess && !this.#isTransaction)
      await inTransaction(this.#runner, {}, tx => putAll(tx, entries))
    else if (entries.length > 0) await putAll(this.#runner, entries)
    return outcomes
  }

  /** Reads, applies and writes in a transaction that keeps others out. */
  async #storeInTransaction(chains: readonly Chain[]): Promise<Outcome[]> {
    const store = async (tx: Runner) => {
      const texts = await this.#load(chains.map(keyOf), 'findAndLockValues', tx)
      const outcomes: Outcome[] = []
      const entries: (readonly [string, string])[] = []
      const removed: string[] = []
      for (const chain of chains) {
        const key = keyOf(chain)
        const stored = new StoredValue(texts.get(key))
        outcomes.push(...applyAll(chain, stored))
        const change = stored.finish()
        if (change === undefined) continue
        if (change.text === undefined) removed.push(key)
        else entries.push([key, change.text])
      }
      await putAll(tx, entries)
      if (removed.length > 0) await callQuery(tx, 'deleteValues', { keys: removed })
      return outcomes
    }
    return this.#isTransaction ? store(this.#runner) : inTransaction(this.#runner, {}, store)
  }

  /**
   * Reads, applies, and compares and sets in one statement. Answers what was stored, and the reads that came along;
   * returns the chains whose keys others have changed meanwhile.
   */
  async #swap(chains: readonly Chain[], reads: readonly Chain[]): Promise<readonly Chain[]> {
    const dependent = chains.filter(chain => !isIndependent(chain))
    const keys = [...dependent, ...reads].map(keyOf)
    const texts = await this.#load(keys, this.#isTransaction ? 'findAndLockValues' : 'findValues')
    answerReads(reads, texts)
    const { outcomes, left } = await this.#compareAndSet(this.#runner, chains, texts)
    settleAll(outcomes)
    return left
  }

  /** The same under a lock, which keeps out whoever takes it too. Nothing is stored before the end. */
  async #swapWithLock(chains: readonly Chain[]): Promise<Outcome[]> {
    const swap = async (tx: Runner) => {
      const outcomes: Outcome[] = []
      let left = chains
      // A plain set() of a new key takes no lock, so it may still come between.
      for (let conflicts = 0; conflicts < MAX_CONFLICTS_LOCKED; conflicts++) {
        const swapped = await this.#compareAndSet(tx, left, await this.#load(left.map(keyOf), 'findAndLockValues', tx))
        outcomes.push(...swapped.outcomes)
        left = swapped.left
        if (left.length === 0) return outcomes
      }
      throw new DatabaseError('serialization_failure', 'A key of the store was changed by others again and again; try again.')
    }
    // At another level, what the others have changed would be an error instead of a loss.
    return this.#isTransaction ? swap(this.#runner) : inTransaction(this.#runner, { isolation: 'read committed' }, swap)
  }

  async #compareAndSet(
    runner: Runner,
    chains: readonly Chain[],
    texts: ReadonlyMap<string, string>
  ): Promise<{ outcomes: Outcome[]; left: Chain[] }> {
    const outcomes: Outcome[] = []
    const changes: ValueChange[] = []
    const pending = new Map<string, { chain: Chain; settle: Outcome[] }>()
    for (const chain of chains) {
      const key = keyOf(chain)
      const stored = new StoredValue(texts.get(key))
      const settle = applyAll(chain, stored)
      const change = stored.finish()
      if (change === undefined) {
        outcomes.push(...settle)
        continue
      }
      pending.set(key, { chain, settle })
      const { old, text = null } = change
      // A whole value that was stored on the way makes the result one that the old value has no part in.
      if (text !== null && chain.some(call => call.kind === 'replace')) changes.push(['put', key, null, text])
      else if (old === undefined) changes.push(['add', key, null, text])
      else changes.push(['swap', key, old, text])
    }
    for (const portion of inPortions(changes)) {
      const swapped = await callQuery(runner, 'swapValues', { changes: portion, now: new Date() }).catch(explainLostCommit)
      for (const { key } of swapped) {
        outcomes.push(...(pending.get(key)?.settle ?? []))
        pending.delete(key)
      }
    }
    return { outcomes, left: [...pending.values()].map(({ chain }) => chain) }
  }

  async #load(
    keys: readonly string[],
    query: 'findValues' | 'findAndLockValues',
    runner: Runner = this.#runner
  ): Promise<Map<string, string>> {
    if (keys.length === 0) return new Map()
    const texts = new Map<string, string>()
    for (const { key, value } of await callQuery(runner, query, { keys })) texts.set(key, value ?? 'null')
    return texts
  }
}

/** Stores whole values: in one statement, or where that saves no round trip in one for each, which is thrice as fast. */
async function putAll(runner: Runner, entries: readonly (readonly [string, string])[]): Promise<void> {
  const now = new Date()
  if (runner.isInProcess) {
    for (const [key, value] of entries) await callQuery(runner, 'putValue', { key, value, now })
    return
  }
  for (const portion of inPortions(entries)) {
    await callQuery(runner, 'putValues', { keys: portion.map(([key]) => key), values: portion.map(([, value]) => value), now })
  }
}

/** To the adapter a statement that returns rows is one that reads. */
function explainLostCommit(error: unknown): never {
  throw asLostCommit(error)
}

function keyOf(chain: Chain): string {
  return (chain[0] as Call).key
}

/** How long the texts are that the chains store. */
function sizeOf(chains: readonly Chain[]): number {
  let sum = 0
  for (const chain of chains) for (const { size } of chain) sum += size
  return sum
}

function isRead({ kind }: Call): boolean {
  return kind === 'read'
}

/** Whether the chain's first call stores a whole value, so that nothing depends on the old one. */
function isIndependent(chain: Chain): boolean {
  return (chain[0] as Call).kind === 'replace' && chain.every(call => call.kind !== 'remove')
}

/** Applies a chain's calls in order, each with its own success or failure. */
function applyAll(chain: Chain, stored: StoredValue): Outcome[] {
  return chain.map(call => {
    try {
      const result = call.apply(stored)
      return () => call.resolve(result)
    } catch (error) {
      return () => call.reject(error)
    }
  })
}

/** Reads have nothing to wait for once they were applied. */
function answerReads(chains: readonly Chain[], texts: ReadonlyMap<string, string>): void {
  for (const chain of chains) {
    const stored = new StoredValue(texts.get(keyOf(chain)))
    for (const call of chain) {
      try {
        call.resolve(call.apply(stored))
      } catch (error) {
        call.reject(error)
      }
    }
  }
}

/** Cuts what is to be sent where one statement would get too long: in one portion nearly always. */
function* inPortions<T extends readonly (string | null)[]>(entries: readonly T[]): Generator<T[], void, undefined> {
  let portion: T[] = []
  let size = 0
  for (const entry of entries) {
    const length = entry.reduce((sum, text) => sum + (text?.length ?? 0), 0)
    if (portion.length > 0 && size + length > MAX_BATCH_SIZE) {
      yield portion
      portion = []
      size = 0
    }
    portion.push(entry)
    size += length
  }
  if (portion.length > 0) yield portion
}

function settleAll(outcomes: readonly Outcome[]): void {
  for (const settle of outcomes) settle()
}

function rejectAll(chains: readonly Chain[], error: unknown): void {
  for (const chain of chains) for (const call of chain) call.reject(copyOf(error))
}

/** Errors of a value; all others tell something of the database, the role or the connection. */
const VALUE_ERRORS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'unique_violation',
  'foreign_key_violation',
  'not_null_violation',
  'check_violation',
  'exclusion_violation',
  'datatype_mismatch',
  'numeric_value_out_of_range',
  'invalid_text_representation',
  'data_exception',
  'program_limit_exceeded',
  'raise_exception',
  'data_corrupted',
  'out_of_memory'
])

/** True if the error may come from one of the values, so that the others can be stored without it. */
function isValueError(error: unknown): boolean {
  return error instanceof DatabaseError && VALUE_ERRORS.has(error.code)
}

/** Parts that can be stored apart: chains that share a group stay together. */
function separable(chains: readonly Chain[]): Chain[][] {
  const parts = new Set<Chain[]>()
  const partOf = new Map<object, Chain[]>()
  for (const chain of chains) {
    let part: Chain[] = [chain]
    parts.add(part)
    for (const { group } of chain) {
      if (group === undefined) continue
      const other = partOf.get(group)
      if (other !== undefined && other !== part) {
        other.push(...part)
        parts.delete(part)
        for (const [member, owner] of partOf) if (owner === part) partOf.set(member, other)
        part = other
      }
      partOf.set(group, part)
    }
  }
  return [...parts]
}
