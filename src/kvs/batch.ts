/**
 * From calls to statements. The calls of one turn of the event loop travel together, and while they are on their way
 * the next gather; a call that is alone does not wait for the end of its turn (turns.ts). One step takes the keys that
 * are not busy, up to a size; loads what depends on old values, applies the calls, and stores each key by the simplest
 * statement that does it. On Postgres two steps share many keys, so that the server works on one of them while this
 * process prepares the other, or settles its calls.
 *
 * | the calls on a key                          | Postgres                        | SQLite                        |
 * |---------------------------------------------|---------------------------------|-------------------------------|
 * | only read                                   | `findValues`                    | `findValues`                  |
 * | one read, and nothing else waits            | `findValue`, without a chain    | `findValue`, without a chain  |
 * | a whole value, and nothing else waits       | `putLoneValue`, without a chain | `putValue`, without a chain   |
 * | begin with a whole value                    | `putValues`                     | one transaction that has the  |
 * | depend on the old value, key is absent      | `findValues`, then `addValues`  | write lock: `findValues`,     |
 * | depend on the old value, key exists         | `findValues`, then `swapValues` | then `putValue` for each key, |
 * | depend on the old value, and remove the key | `findValues`, `removeOldValues` | and `deleteValues`            |
 * | remove the key                              | `removeValues`                  |                               |
 * | `setMany`, `deleteMany`: all or none        | one of these alone              | a transaction of its own      |
 * | `clear`                                     | `removePrefix`                  | `deletePrefix`                |
 *
 * On Postgres each of these is one statement for all keys of its kind, atomic for each key, and it compares with the
 * old value; for one key, most have a twin without arrays (`swapLoneValue`, …). On SQLite the lock of the transaction
 * keeps others out, and one prepared statement for each key is three times as fast as one for all. Inside of a
 * transaction of the caller both do the same, with row locks on Postgres.
 *
 * A statement that fails has changed nothing. What it leaves goes on beside the next steps:
 *
 * | the statement               | what becomes of its keys                                                              |
 * |-----------------------------|---------------------------------------------------------------------------------------|
 * | met other values            | loaded and applied again; after some times under a row lock                           |
 * | met the lock of a row       | each locked key waits by itself, without a connection; the others are stored          |
 * | was refused for a value     | halved until it is alone; then the calls on its key are stored one by one             |
 * | failed for any other reason | all calls fail, as the error speaks for the database, the role or the connection      |
 */

import type { RunResult } from '../adapter.ts'
import { clock } from '../clock.ts'
import { asLostCommit, copyOf, DatabaseError, type ErrorCode } from '../errors.ts'
import { inTransaction, type Runner } from '../execute.ts'
import { callQuery, runGathered, textOf } from '../queries.ts'
import { Gathering } from '../turns.ts'
import { StoredValue, storedValueOf } from './stored-value.ts'

/** What waits for its turn on a key. */
interface Entry {
  resolve(result: unknown): void
  reject(error: unknown): void
  /** Resolves when the entry is settled; there once somebody waits for it. */
  settled?: Promise<void>
  /** Resolves when the entry is settled, or waits for a lock of another client. */
  passed?: Promise<void>
  /** Called when the entry waits for a lock, its own or that of an entry before it. */
  onHeldUp?: () => void
}

/** One call on one key. */
export interface Call extends Entry {
  /** Whether it reads, depends on the old value, removes the key, or stores a whole value. */
  readonly kind: 'read' | 'change' | 'remove' | 'replace'
  /** Does the call on the value and returns its result. May run again; fails without having changed anything. */
  apply(stored: StoredValue): unknown
  /** Number of characters that it stores. */
  readonly size: number
  /** True if it is one of several reads that are to see the same state, so that no two steps may share these. */
  readonly isJoint: boolean
}

/** A whole value that nothing stands beside. */
interface LoneValue extends Pick<Entry, 'resolve' | 'reject'> {
  readonly key: string
  readonly text: string
}

/** A read that nothing stands beside. */
interface LoneRead {
  readonly key: string
  readonly call: Call
}

/** A call on several keys: on all of them, or on none. */
interface Group extends Entry {
  /** Its keys; those of a `clear()` grow by the keys of later calls, so that these wait for it. */
  readonly keys: Set<string>
  /** What the keys of a `clear()` begin with; undefined for the others. */
  readonly prefix?: string
  /** Stores or removes the keys, and returns how many. `wait` limits the wait for a lock. */
  store(wait: string): Promise<number>
  /** Number of its keys that are busy, or have earlier calls. */
  blockers: number
  isRunning: boolean
}

/** The calls on one key that a step carries out, in order. */
interface Chain {
  readonly key: string
  readonly calls: readonly Call[]
}

/** A wait for the lock of a key. */
interface LockWait {
  readonly key: string
  readonly until: number
  resolve(isWorthTrying: boolean): void
}

/** Settles one call, once its effect is stored. */
type Outcome = () => void

/** What a chain comes to: the value before and after, and how its calls are settled. */
interface Change {
  readonly chain: Chain
  readonly outcomes: readonly Outcome[]
  readonly old: string | undefined
  readonly text: string | undefined
}

type ChangeKind = 'put' | 'add' | 'swap' | 'remove' | 'removeOld'

/** Chains of which nothing was stored, and why. */
interface Left {
  readonly chains: readonly Chain[]
  readonly reason: 'conflict' | 'locked' | 'refused'
  readonly error: unknown
}

/** Maximum number of keys in a step. */
const MAX_KEYS = 2000

/** Number of keys from which on a step begins beside another: for fewer its statement costs more than that gains. */
const MIN_OVERLAP = 16

/** Number of characters after which a step takes no more values: a statement is one string. */
const MAX_SIZE = 32 * 1024 * 1024

/** Number of characters to parse or to write after which other work of the process gets its turn. */
const MAX_WORK = 1024 * 1024

/** How long a statement waits for the lock of a row, and so keeps its connection, in ms. */
const LOCK_WAIT = 100

/** How long locked keys are left alone before the next look, in ms. */
const LOCK_PAUSE = 50

/** Number of lost comparisons after which a key is locked. */
const MAX_CONFLICTS = 4

/** Number of lost comparisons after which the call fails. Under the lock only a new key, which has no row, can lose. */
const MAX_CONFLICTS_LOCKED = 100

/** Number of groups, and of steps that go on beside the next, which may use connections at a time. */
const MAX_ASIDE = 4

/** Number of locked keys and groups that may use connections at a time. */
const MAX_LOCKED = 2

export class Batch {
  readonly #runner: Runner
  /** True if the runner is a transaction's session, which ends all or nothing by itself. */
  readonly #isTransaction: boolean
  /** True if the dialect compares and stores in one statement. */
  readonly #canCompare: boolean
  /** True if two steps that write may be on their way at the same time, and two that read. */
  readonly #canOverlap: boolean
  /** How long a key waits for the lock of another client, in ms. */
  readonly #lockLimit: number
  /** True if a read or a whole value that is alone is carried out without a chain. */
  readonly #takesLone: boolean
  /** A call that is to be carried out while nothing else waits or is worked on. */
  #lone: LoneValue | LoneRead | undefined
  /** The calls and groups that wait, by key, in order. */
  #waiting = new Map<string, (Call | Group)[]>()
  /** The keys that are worked on, and how many of their calls and groups are not settled. */
  #busy = new Map<string, number>()
  /** The waiting keys that no step has looked at since their last call: those with reads alone, and the others. */
  #readKeys = new Set<string>()
  #writeKeys = new Set<string>()
  /** Groups that nothing blocks. */
  readonly #readyGroups: Group[] = []
  /** The `clear()` calls that are not settled. */
  readonly #clears = new Set<Group>()
  /** What steps and groups do, until all is settled or waits for a lock. */
  readonly #steps = new Set<Promise<void>>()
  /** What waits for a lock of another client, and the busy keys that wait with it. */
  readonly #locked = new Map<Promise<void>, Iterable<string>>()
  /** Those that are told when a lock may be gone, or the limit is over. */
  readonly #lockWaits: LockWait[] = []
  #isPolling = false
  readonly #gathering = new Gathering(() => this.#beginSteps())
  /** Number of waiting calls that are joint. */
  #joint = 0
  /** Numbers of the steps that are on their way. */
  #reading = 0
  #writing = 0
  readonly #asideSteps = new Semaphore(MAX_ASIDE)
  readonly #asideGroups = new Semaphore(MAX_ASIDE)
  readonly #asideLocked = new Semaphore(MAX_LOCKED)

  /**
   * @param runner what the statements run on
   * @param lockLimit how long a key waits for the lock of another client, in ms; 0 for no limit
   */
  constructor(runner: Runner, lockLimit: number) {
    this.#runner = runner
    this.#isTransaction = runner.begin === undefined
    this.#canCompare = textOf('swapValues', runner.dialect) !== undefined
    this.#canOverlap = this.#canCompare && !this.#isTransaction && runner.isInProcess !== true && runner.maxConnections !== 1
    this.#takesLone = this.#canCompare ? !this.#isTransaction : runner.isInProcess === true
    this.#lockLimit = lockLimit === 0 ? Infinity : lockLimit
  }

  /** True if no pending call could be reordered with a read of the key. */
  isFree(key: string): boolean {
    return (
      !this.#gathering.isScheduled && !this.#busy.has(key) && !this.#waiting.has(key) && (this.#clears.size === 0 || !this.#isCovered(key))
    )
  }

  #isCovered(key: string): boolean {
    return [...this.#clears].some(({ prefix = '' }) => key.startsWith(prefix))
  }

  /** True if every call is settled. */
  get isIdle(): boolean {
    return (
      this.#lone === undefined &&
      this.#waiting.size === 0 &&
      this.#readyGroups.length === 0 &&
      this.#steps.size === 0 &&
      this.#locked.size === 0
    )
  }

  /** Adds a call to this turn. */
  add<T>(key: string, kind: Call['kind'], apply: Call['apply'], size = 0): Promise<T> {
    return new Promise((resolve, reject) => {
      const call: Call = { kind, apply, size, isJoint: false, resolve: resolve as (result: unknown) => void, reject }
      if (kind === 'read' && this.#takesLone && this.isIdle) {
        this.#lone = { key, call }
        this.#gathering.schedule()
      } else {
        this.#queueLone()
        this.#push(key, call)
      }
    })
  }

  /** Adds reads of several keys, which one statement answers; resolves with their results in the order of the keys. */
  addReads<T>(keys: readonly string[], apply: Call['apply']): Promise<T[]> {
    const [only] = keys
    if (keys.length === 1) return this.add<T>(only as string, 'read', apply).then(result => [result])
    this.#queueLone()
    this.#joint += keys.length
    return Promise.all(
      keys.map(
        key =>
          new Promise<T>((resolve, reject) => {
            this.#push(key, { kind: 'read', apply, size: 0, isJoint: true, resolve: resolve as (result: unknown) => void, reject })
          })
      )
    )
  }

  /** Adds a whole value to this turn. */
  put(key: string, text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const value = { key, text, resolve: resolve as (result: unknown) => void, reject }
      if (this.#takesLone && this.isIdle) {
        this.#lone = value
        this.#gathering.schedule()
      } else {
        this.#queueLone()
        this.#pushValue(value)
      }
    })
  }

  /** Lets the lone call wait as all calls do. */
  #queueLone(): void {
    const lone = this.#lone
    if (lone === undefined) return
    this.#lone = undefined
    if ('call' in lone) this.#push(lone.key, lone.call)
    else this.#pushValue(lone)
  }

  #pushValue(value: LoneValue): void {
    this.#push(value.key, callOf(value))
  }

  /** Adds keys that are stored (or, with undefined, removed) together; resolves with the number of changed rows. */
  addGroup(entries: ReadonlyMap<string, string | undefined>): Promise<number> {
    return this.#addGroup([...entries.keys()], wait => this.#storeEntries(entries, wait))
  }

  /**
   * Removes the keys that begin with `prefix`, after all earlier calls on them, and before all later ones; resolves with
   * the number of removed keys.
   *
   * @param end the first key behind those that begin with the prefix; null if there is none
   */
  clear(prefix: string, end: string | null): Promise<number> {
    this.#queueLone()
    // With the prefix itself among them, two that overlap have a key in common, so that the later one waits.
    const keys = [...new Set([prefix, ...this.#busy.keys(), ...this.#waiting.keys()])].filter(key => key.startsWith(prefix))
    const remove = async (wait: string) => {
      const result = this.#canCompare
        ? callQuery(this.#runner, 'removePrefix', { prefix, end, wait })
        : callQuery(this.#runner, 'deletePrefix', { prefix, end })
      return (await result).changes
    }
    return this.#addGroup(keys, remove, prefix)
  }

  #addGroup(keys: readonly string[], store: Group['store'], prefix?: string): Promise<number> {
    this.#queueLone()
    return new Promise((resolve, reject) => {
      const group: Group = {
        keys: new Set(keys),
        ...(prefix !== undefined && { prefix }),
        store,
        blockers: 0,
        isRunning: false,
        resolve: resolve as (result: unknown) => void,
        reject
      }
      for (const key of keys) this.#push(key, group)
      if (prefix !== undefined) this.#clears.add(group)
      if (group.blockers === 0) this.#readyGroups.push(group)
      this.#schedule()
    })
  }

  /** Resolves when all calls that were made so far are settled. */
  async settled(): Promise<void> {
    this.#queueLone()
    await Promise.all([...this.#steps, ...this.#lastEntries().map(([, entry]) => whenSettled(entry))])
    await Promise.all(this.#locked.keys())
  }

  /** Resolves when all calls that were made so far are settled, but for those that wait for a lock of another client. */
  async passed(): Promise<void> {
    this.#queueLone()
    const heldUp = this.#heldUpKeys([...this.#locked.values()].flatMap(keys => [...keys]))
    const waiting = this.#lastEntries().filter(([key]) => key === undefined || !heldUp.has(key))
    await Promise.all([...this.#steps, ...waiting.map(([, entry]) => whenPassed(entry))])
  }

  /** The entries that are settled last, as those of a key are settled in order. */
  #lastEntries(): [key: string | undefined, entry: Entry][] {
    return [
      ...[...this.#waiting].map(([key, queue]): [string, Entry] => [key, queue.at(-1) as Entry]),
      ...this.#readyGroups.map((group): [undefined, Entry] => [undefined, group])
    ]
  }

  /** The keys that wait for a lock of another client, and those behind a group that waits for them. */
  #heldUpKeys(locked: Iterable<string>): ReadonlySet<string> {
    const heldUp = new Set(locked)
    // The loop visits what it adds.
    for (const key of heldUp) {
      for (const entry of this.#waiting.get(key) ?? []) if (isGroup(entry)) for (const other of entry.keys) heldUp.add(other)
    }
    return heldUp
  }

  /** Adds an entry to the queue of a key, behind each `clear()` that it comes after. */
  #push(key: string, entry: Call | Group): void {
    for (const clear of this.#clears) {
      if (clear.keys.has(key) || !key.startsWith(clear.prefix as string)) continue
      clear.keys.add(key)
      if (clear.isRunning) this.#setBusy(key, 1)
      else this.#append(key, clear)
    }
    this.#append(key, entry)
    this.#schedule()
  }

  #append(key: string, entry: Call | Group): void {
    const queue = this.#waiting.get(key)
    const isBusy = this.#busy.has(key)
    if (queue === undefined) this.#waiting.set(key, [entry])
    else queue.push(entry)
    if (isGroup(entry)) {
      if (isBusy || queue !== undefined) entry.blockers++
    } else if (!isBusy) {
      this.#setReady(key, isRead(entry))
    }
  }

  #setReady(key: string, isReadAlone: boolean): void {
    if (!isReadAlone) {
      this.#readKeys.delete(key)
      this.#writeKeys.add(key)
    } else if (!this.#writeKeys.has(key)) {
      this.#readKeys.add(key)
    }
  }

  /** Begins steps at the end of this turn, so that all calls of the turn come along. */
  #schedule(): void {
    if (this.#waiting.size > 0 || this.#readyGroups.length > 0) this.#gathering.schedule()
  }

  // Steps -----------------------------------------------------------------------------------------------------------

  /**
   * Begins the steps that can begin: one or two that write and as many that read at a time, and each group that nothing
   * blocks. Returns how many calls they have.
   */
  #beginSteps(): number {
    const lone = this.#lone
    if (lone !== undefined) {
      this.#lone = undefined
      if ('call' in lone) void this.#track(this.#answerLone(lone))
      else this.#storeLone(lone)
      return 1
    }
    let count = this.#readyGroups.length
    for (const group of this.#readyGroups.splice(0)) this.#beginGroup(group)
    const writes = this.#takeSteps(this.#writeKeys, this.#writing)
    // What is changed needs a look at old values in most cases; the reads come along with that.
    const loader = this.#canCompare ? writes.find(chains => !chains.every(chain => isIndependent(chain))) : undefined
    // The statements of a transaction run one after another in any case.
    const canRead = !this.#isTransaction || this.#writing + writes.length === 0
    const alongReads = loader === undefined ? [] : this.#take(this.#readKeys)
    const reads = loader === undefined && canRead ? this.#takeSteps(this.#readKeys, this.#reading) : []
    for (const chains of [...writes, ...reads, alongReads]) for (const { calls } of chains) count += calls.length
    for (const chains of writes) this.#beginWriting(chains, chains === loader ? alongReads : [])
    for (const chains of reads) this.#beginReading(chains)
    return count
  }

  #beginWriting(chains: readonly Chain[], reads: readonly Chain[]): void {
    this.#writing++
    void this.#track(
      this.#store(chains, reads, () => {
        this.#writing--
        this.#schedule()
      })
    )
  }

  #beginReading(chains: readonly Chain[]): void {
    this.#reading++
    void this.#track(
      this.#read(chains).then(() => {
        this.#reading--
        this.#schedule()
      })
    )
  }

  /** Takes the calls on keys for the steps that can begin beside those that are running. */
  #takeSteps(ready: Set<string>, running: number): Chain[][] {
    if (running > 1 || (running === 1 && !(this.#canOverlap && ready.size >= MIN_OVERLAP))) return []
    const isShared = running === 0 && this.#canOverlap && ready.size >= 2 * MIN_OVERLAP && this.#joint === 0
    const half = Math.min(Math.ceil(ready.size / 2), MAX_KEYS)
    const steps = isShared ? [this.#take(ready, half), this.#take(ready)] : [this.#take(ready)]
    return steps.filter(({ length }) => length > 0)
  }

  /** Takes the calls on keys out of their queues, up to a size. */
  #take(ready: Set<string>, maxKeys = MAX_KEYS): Chain[] {
    const chains: Chain[] = []
    let size = 0
    for (const key of ready) {
      if (chains.length >= maxKeys || size > MAX_SIZE) break
      ready.delete(key)
      const queue = this.#waiting.get(key)
      if (queue === undefined || this.#busy.has(key)) continue
      const calls = callsBeforeGroup(queue)
      if (calls.length === 0) continue
      chains.push({ key, calls })
      for (const call of calls) {
        size += call.size
        if (call.isJoint) this.#joint--
      }
      if (queue.length === calls.length) this.#waiting.delete(key)
      else queue.splice(0, calls.length)
      this.#setBusy(key, calls.length)
    }
    // V8 frees entries deleted from an old Map or Set only at a full garbage collection, so that these are replaced.
    if (this.#waiting.size === 0) {
      this.#waiting = new Map()
      this.#readKeys = new Set()
      this.#writeKeys = new Set()
    }
    return chains
  }

  #setBusy(key: string, count: number): void {
    this.#busy.set(key, (this.#busy.get(key) ?? 0) + count)
  }

  /** Counts what is settled of a key. After the last, its next calls can begin, or the group whose last key this was. */
  #done(key: string, count: number): void {
    const left = (this.#busy.get(key) as number) - count
    if (left > 0) {
      this.#busy.set(key, left)
      return
    }
    this.#busy.delete(key)
    if (this.#busy.size === 0) this.#busy = new Map()
    const queue = this.#waiting.get(key)
    if (queue === undefined) return
    const [next] = queue as [Call | Group]
    if (!isGroup(next)) this.#setReady(key, callsBeforeGroup(queue).every(isRead))
    else if (--next.blockers === 0) this.#readyGroups.push(next)
    this.#schedule()
  }

  async #track(work: Promise<void>): Promise<void> {
    this.#steps.add(work)
    await work
    this.#steps.delete(work)
  }

  /** Marks keys as waiting for a lock until the work has ended, so that `passed()` leaves them out. */
  #holdUp(keys: Iterable<string>, entries: readonly Entry[], work: Promise<void>): void {
    this.#locked.set(work, keys)
    for (const entry of entries) entry.onHeldUp?.()
    for (const key of this.#heldUpKeys(keys)) for (const entry of this.#waiting.get(key) ?? []) entry.onHeldUp?.()
    void work.then(() => this.#locked.delete(work))
  }

  #beginGroup(group: Group): void {
    group.isRunning = true
    for (const key of group.keys) {
      this.#setBusy(key, 1)
      const queue = this.#waiting.get(key) as (Call | Group)[]
      if (queue.length === 1) this.#waiting.delete(key)
      else queue.shift()
    }
    void this.#track(
      new Promise(pass => {
        const work: Promise<void> = this.#storeGroup(group, () => {
          this.#holdUp(group.keys, [group], work)
          pass()
        }).then(() => {
          this.#clears.delete(group)
          for (const key of group.keys) this.#done(key, 1)
          pass()
        })
      })
    )
  }

  // Reading ---------------------------------------------------------------------------------------------------------

  async #read(chains: readonly Chain[]): Promise<void> {
    try {
      await this.#answer(chains, await this.#load(chains.map(keyOf)))
    } catch (error) {
      this.#reject(chains, error)
    }
  }

  /** Answers a read without all that several calls need. */
  async #answerLone({ key, call }: LoneRead): Promise<void> {
    this.#setBusy(key, 1)
    this.#reading++
    try {
      apply(call, storedValueOf(await callQuery(this.#runner, 'findValue', { key }), key))()
    } catch (error) {
      call.reject(error)
    }
    this.#reading--
    this.#done(key, 1)
    this.#schedule()
  }

  async #answer(chains: readonly Chain[], texts: ReadonlyMap<string, string>): Promise<void> {
    for (const { chain, outcomes } of await changesOf(chains, texts)) this.#settle(chain, outcomes)
  }

  async #load(keys: readonly string[], runner = this.#runner, wait = ''): Promise<Map<string, string>> {
    const texts = new Map<string, string>()
    if (keys.length === 0) return texts
    const [only] = keys
    // A transaction that reads a value may store what it makes of it, and nobody must change the value meanwhile.
    const isLocking = this.#canCompare && runner.begin === undefined && runner.isReadOnly !== true
    if (keys.length === 1 && !isLocking) {
      const row = await callQuery(runner, 'findValue', { key: only })
      if (row !== undefined) texts.set(only as string, row.value ?? 'null')
      return texts
    }
    const rows = isLocking ? await callQuery(runner, 'findAndLockValues', { keys, wait }) : await callQuery(runner, 'findValues', { keys })
    for (const { key, value } of rows) texts.set(key, value ?? 'null')
    return texts
  }

  // Storing ---------------------------------------------------------------------------------------------------------

  /** Stores a whole value without all that several calls need. */
  #storeLone(value: LoneValue): void {
    const { key, text } = value
    let result: RunResult | Promise<RunResult>
    try {
      result = this.#canCompare
        ? runGathered(this.#runner, 'putLoneValue', { key, value: text, now: new Date(), wait: this.#wait })
        : runGathered(this.#runner, 'putValue', { key, value: text, now: new Date() })
    } catch (error) {
      value.reject(error)
      return
    }
    if (result instanceof Promise) void this.#track(this.#awaitLone(value, result))
    else value.resolve(undefined)
  }

  /** Calls on the key may come meanwhile. */
  async #awaitLone(value: LoneValue, result: Promise<RunResult>): Promise<void> {
    const { key, resolve } = value
    const begin = clock()
    const release = () => {
      this.#writing--
      this.#schedule()
    }
    this.#setBusy(key, 1)
    this.#writing++
    try {
      await result
      resolve(undefined)
      this.#done(key, 1)
      release()
    } catch (error) {
      await this.#finishAside(await this.#leftOf([{ key, calls: [callOf(value)] }], error, begin), release)
    }
  }

  /**
   * Stores chains, and answers reads that come along. Settles every call; never fails.
   *
   * @param release called when the next step may begin: before what the first attempt has left
   */
  async #store(chains: readonly Chain[], reads: readonly Chain[], release: () => void): Promise<void> {
    await this.#finishAside(await this.#attempt(chains, reads), release)
  }

  /** Lets the next step begin, and goes on beside it with what an attempt has left. */
  async #finishAside(left: readonly Left[], release: () => void): Promise<void> {
    if (left.length === 0) return release()
    await this.#asideSteps.run(() => {
      release()
      return this.#finish(left)
    })
  }

  /** Loads, applies and stores. Settles what it has stored, and what has failed for good; returns the rest. Never fails. */
  async #attempt(chains: readonly Chain[], reads: readonly Chain[] = []): Promise<Left[]> {
    if (!this.#canCompare) {
      try {
        for (const { chain, outcomes } of await this.#storeInTransaction(chains)) this.#settle(chain, outcomes)
        return []
      } catch (error) {
        return this.#leftOf(chains, error)
      }
    }
    let texts: Map<string, string>
    try {
      texts = await this.#load([...chains.filter(chain => !isIndependent(chain) && !isRemovalAlone(chain)), ...reads].map(keyOf))
    } catch (error) {
      this.#reject(reads, error)
      return this.#leftOf(chains, error)
    }
    await this.#answer(reads, texts)
    const byKind = new Map<ChangeKind, Change[]>()
    for (const change of await changesOf(chains, texts)) {
      const kind = kindOf(change)
      if (kind === undefined) this.#settle(change.chain, change.outcomes)
      else if (byKind.has(kind)) byKind.get(kind)?.push(change)
      else byKind.set(kind, [change])
    }
    return (await Promise.all([...byKind].map(([kind, changes]) => this.#storeOfKind(kind, changes)))).flat()
  }

  /** Loads, applies and stores in a transaction that keeps others out. */
  async #storeInTransaction(chains: readonly Chain[]): Promise<readonly Change[]> {
    const [first] = chains as readonly [Chain]
    if (chains.length === 1 && isIndependent(first) && !this.#isTransaction) {
      const change = changeOf(first, undefined)
      if (change.text !== undefined) await runGathered(this.#runner, 'putValue', { key: first.key, value: change.text, now: new Date() })
      return [change]
    }
    return this.#inTransaction(async tx => {
      const texts = await this.#load(chains.filter(chain => !isIndependent(chain)).map(keyOf), tx)
      const changes = await changesOf(chains, texts)
      const removed: string[] = []
      const now = new Date()
      for (const { chain, old, text } of changes) {
        if (text === old && !isIndependent(chain)) continue
        if (text === undefined) removed.push(chain.key)
        else await callQuery(tx, 'putValue', { key: chain.key, value: text, now })
      }
      if (removed.length > 0) await callQuery(tx, 'deleteValues', { keys: removed })
      return changes
    })
  }

  #inTransaction<T>(body: (tx: Runner) => Promise<T>): Promise<T> {
    return this.#isTransaction ? body(this.#runner) : inTransaction(this.#runner, { isolation: 'read committed' }, body)
  }

  /** Stores changes of one kind by statements that are not too long. */
  async #storeOfKind(kind: ChangeKind, changes: readonly Change[]): Promise<Left[]> {
    const left: Left[] = []
    for (const portion of inPortions(changes)) {
      const begin = clock()
      try {
        const stored = await this.#runStatement(this.#runner, kind, portion)
        const lost: Chain[] = []
        for (const change of portion) {
          const outcomes = outcomesOf(change, kind, stored)
          if (outcomes === undefined) lost.push(change.chain)
          else this.#settle(change.chain, outcomes)
        }
        if (lost.length > 0) left.push({ chains: lost, reason: 'conflict', error: undefined })
      } catch (error) {
        const chains = portion.map(({ chain }) => chain)
        left.push(...(await this.#leftOf(chains, error, begin)))
      }
    }
    return left
  }

  /** Sends the statement of a kind. Returns the keys that it stored or removed. */
  async #runStatement(runner: Runner, kind: ChangeKind, changes: readonly Change[]): Promise<ReadonlySet<string>> {
    const [first] = changes as readonly [Change]
    try {
      return await (changes.length === 1 ? storeOne(runner, kind, first, this.#wait) : storeMany(runner, kind, changes, this.#wait))
    } catch (error) {
      // To the adapter a statement that returns rows is one that reads.
      throw this.#isTransaction || runner !== this.#runner ? error : asLostCommit(error)
    }
  }

  /** How long a statement waits for a lock, in ms; empty in a transaction of the caller, whose locks wait as long as all. */
  get #wait(): string {
    return this.#isTransaction ? '' : String(Math.min(LOCK_WAIT, this.#lockLimit))
  }

  /** Loads, applies and stores one chain under the lock of its row. */
  async #attemptUnderLock(chain: Chain): Promise<Left[]> {
    const begin = clock()
    try {
      const outcomes = await this.#inTransaction(async tx => {
        const texts = await this.#load([chain.key], tx, this.#wait)
        const [change] = (await changesOf([chain], texts)) as [Change]
        const kind = kindOf(change)
        return kind === undefined ? change.outcomes : outcomesOf(change, kind, await this.#runStatement(tx, kind, [change]))
      })
      if (outcomes === undefined) return [{ chains: [chain], reason: 'conflict', error: undefined }]
      this.#settle(chain, outcomes)
      return []
    } catch (error) {
      return this.#leftOf([chain], error, begin)
    }
  }

  // What an attempt leaves ------------------------------------------------------------------------------------------

  /** What becomes of chains of which a statement has stored nothing: those that nothing helps fail at once. */
  async #leftOf(chains: readonly Chain[], error: unknown, begin?: number): Promise<Left[]> {
    const reason = this.#reasonOf(error, begin)
    const [first] = chains as readonly [Chain]
    if (reason !== undefined && !(reason === 'refused' && chains.length === 1 && first.calls.length === 1))
      return [{ chains, reason, error }]
    await this.#fail(chains, error)
    return []
  }

  #reasonOf(error: unknown, begin = Number.NEGATIVE_INFINITY): Left['reason'] | undefined {
    // What follows a failed statement in a transaction is refused.
    if (this.#isTransaction) return undefined
    if (isValueError(error)) return 'refused'
    if (!this.#canCompare) return undefined
    if (isConflict(error)) return 'conflict'
    // A lock on the whole table is waited for before the statement can set its limit.
    return isLockTimeout(error) && clock() - begin < this.#lockLimit ? 'locked' : undefined
  }

  /** Goes on until every call is settled, or waits for a lock. Never fails. */
  async #finish(left: readonly Left[], conflicts = 1): Promise<void> {
    await Promise.all(left.map(one => this.#goOn(one, conflicts)))
  }

  async #goOn({ chains, reason, error }: Left, conflicts: number): Promise<void> {
    const [first, ...others] = chains as readonly [Chain, ...Chain[]]
    if (reason === 'conflict') {
      if (conflicts > MAX_CONFLICTS_LOCKED) return this.#fail(chains, error ?? conflictError())
      if (!this.#isTransaction) await pause(Math.random() * 5 * Math.min(conflicts, MAX_CONFLICTS))
      if (conflicts <= MAX_CONFLICTS || this.#isTransaction) return this.#finish(await this.#attempt(chains), conflicts + 1)
      for (const chain of chains) await this.#finish(await this.#attemptUnderLock(chain), conflicts + 1)
    } else if (others.length > 0) {
      const parts = reason === 'locked' ? await this.#separateLocked(chains, error) : halvesOf(chains)
      for (const part of parts) await this.#finish(await this.#attempt(part))
    } else if (reason === 'locked') {
      this.#waitForLock(first, error)
    } else {
      await this.#storeOneByOne(first)
    }
  }

  /** Has the chains whose rows are locked wait by themselves, and returns the others in parts to be stored. */
  async #separateLocked(chains: readonly Chain[], error: unknown): Promise<(readonly Chain[])[]> {
    let locked: ReadonlySet<string>
    try {
      locked = keysOf(await callQuery(this.#runner, 'findLockedKeys', { keys: chains.map(keyOf) }))
    } catch (failure) {
      await this.#fail(chains, failure)
      return []
    }
    // Somebody has inserted a key and not committed, which cannot be looked for.
    if (locked.size === 0) return halvesOf(chains)
    for (const chain of chains) if (locked.has(chain.key)) this.#waitForLock(chain, error)
    const unlocked = chains.filter(({ key }) => !locked.has(key))
    return unlocked.length === 0 ? [] : [unlocked]
  }

  #waitForLock(chain: Chain, error: unknown): void {
    this.#holdUp([chain.key], chain.calls, this.#storeAlone(chain, error))
  }

  async #storeOneByOne({ key, calls }: Chain): Promise<void> {
    for (const call of calls) await this.#storeAlone({ key, calls: [call] })
  }

  /**
   * Stores one chain, and waits as long as it may for its lock. It keeps no connection while it waits, so that many
   * locked keys leave the pool to others.
   *
   * @param error with which its row was found locked before
   */
  async #storeAlone(chain: Chain, error?: unknown): Promise<void> {
    const until = clock() + this.#lockLimit - LOCK_WAIT
    let isContended = false
    while (error === undefined || (await this.#unlocked(chain.key, until))) {
      const [left] = await this.#asideLocked.run(() => (isContended ? this.#attemptUnderLock(chain) : this.#attempt([chain])))
      if (left === undefined) return
      if (left.reason === 'refused') return this.#storeOneByOne(chain)
      isContended = left.reason === 'conflict'
      error = left.error ?? conflictError()
    }
    await this.#fail([chain], error)
  }

  /** Resolves with true when the key's lock may be gone, and with false when the limit is over. */
  #unlocked(key: string, until: number): Promise<boolean> {
    return new Promise(resolve => {
      this.#lockWaits.push({ key, until, resolve })
      if (!this.#isPolling) void this.#poll()
    })
  }

  /** Looks after locked keys, all by one statement. The first of them may queue for its lock, so that it gets its turn. */
  async #poll(): Promise<void> {
    this.#isPolling = true
    while (this.#lockWaits.length > 0) {
      await pause(LOCK_PAUSE)
      const [first, ...others] = this.#lockWaits.splice(0) as [LockWait, ...LockWait[]]
      const keys = others.map(({ key }) => key)
      const locked =
        keys.length === 0 ? new Set() : await callQuery(this.#runner, 'findLockedKeys', { keys }).then(keysOf, () => new Set<string>())
      for (const wait of [first, ...others]) {
        const isOver = clock() >= wait.until
        if (isOver || !locked.has(wait.key)) wait.resolve(!isOver)
        else this.#lockWaits.push(wait)
      }
    }
    this.#isPolling = false
  }

  // Groups ----------------------------------------------------------------------------------------------------------

  /** @param onLocked called once if a lock of another client is in the way */
  async #storeGroup(group: Group, onLocked: () => void): Promise<void> {
    const until = clock() + this.#lockLimit - LOCK_WAIT
    for (let [conflicts, isHeldUp] = [0, false]; ; ) {
      let begin = 0
      try {
        const count = await (isHeldUp ? this.#asideLocked : this.#asideGroups).run(() => {
          begin = clock()
          return group.store(this.#wait)
        })
        return group.resolve(count)
      } catch (error) {
        const reason = this.#reasonOf(error, begin)
        if (reason === 'locked' && clock() < until) {
          if (!isHeldUp) onLocked()
          isHeldUp = true
          await pause(LOCK_PAUSE)
        } else if (reason === 'conflict' && conflicts++ < MAX_CONFLICTS_LOCKED) {
          await pause(Math.random() * 5 * Math.min(conflicts, MAX_CONFLICTS))
        } else {
          return group.reject(copyOf(error))
        }
      }
    }
  }

  async #storeEntries(entries: ReadonlyMap<string, string | undefined>, wait: string): Promise<number> {
    const [changes, isRemoval] = [[...entries].map(([key, text]) => ({ key, text })), [...entries.values()].includes(undefined)]
    if (!this.#canCompare) {
      return this.#inTransaction(async tx => {
        if (isRemoval) return (await callQuery(tx, 'deleteValues', { keys: [...entries.keys()] })).changes
        for (const { key, text } of changes) await callQuery(tx, 'putValue', { key, value: text, now: new Date() })
        return changes.length
      })
    }
    const send = async (runner: Runner, portion: typeof changes) => {
      const keys = portion.map(({ key }) => key)
      if (isRemoval) return (await callQuery(runner, 'removeValues', { keys, wait })).length
      return (await callQuery(runner, 'putValues', { keys, values: portion.map(({ text }) => text), now: new Date(), wait })).changes
    }
    const [only, ...others] = [...inPortions(changes)] as [typeof changes, ...(typeof changes)[]]
    // One statement is a transaction by itself.
    if (others.length === 0 && !this.#isTransaction) {
      return send(this.#runner, only).catch(error => {
        throw asLostCommit(error)
      })
    }
    return this.#inTransaction(async tx => {
      let count = 0
      for (const portion of [only, ...others]) count += await send(tx, portion)
      return count
    })
  }

  // Settling --------------------------------------------------------------------------------------------------------

  #settle({ key, calls }: Chain, outcomes: readonly Outcome[]): void {
    for (const settle of outcomes) settle()
    this.#done(key, calls.length)
  }

  #reject(chains: readonly Chain[], error: unknown): void {
    for (const chain of chains) {
      this.#settle(
        chain,
        chain.calls.map(call => () => call.reject(copyOf(error)))
      )
    }
  }

  /** Rejects the calls that write. A read has no part in that error, so it is answered with what is stored. */
  async #fail(chains: readonly Chain[], error: unknown): Promise<void> {
    const part = (isWanted: (call: Call) => boolean) =>
      chains.map(({ key, calls }) => ({ key, calls: calls.filter(isWanted) })).filter(({ calls }) => calls.length > 0)
    this.#reject(part(isWrite), error)
    const reads = part(isRead)
    if (reads.length > 0) await this.#read(reads)
  }
}

/** Lets at most so many run at a time. */
class Semaphore {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(size: number) {
    this.#free = size
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>(resolve => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}

function pause(duration: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, duration))
}

// Chains and changes ------------------------------------------------------------------------------------------------

function callOf({ text, resolve, reject }: LoneValue): Call {
  return { kind: 'replace', apply: stored => stored.replace(text), size: text.length, isJoint: false, resolve, reject }
}

function keyOf({ key }: Chain): string {
  return key
}

function keysOf(rows: readonly { readonly key: string }[]): ReadonlySet<string> {
  return new Set(rows.map(({ key }) => key))
}

function isGroup(entry: Call | Group): entry is Group {
  return 'store' in entry
}

function whenSettled(entry: Entry): Promise<void> {
  entry.settled ??= new Promise(done => {
    const { resolve, reject } = entry
    entry.resolve = result => {
      resolve(result)
      done()
    }
    entry.reject = error => {
      reject(error)
      done()
    }
  })
  return entry.settled
}

function whenPassed(entry: Entry): Promise<void> {
  entry.passed ??= new Promise(done => {
    entry.onHeldUp = done
    void whenSettled(entry).then(done)
  })
  return entry.passed
}

function halvesOf(chains: readonly Chain[]): (readonly Chain[])[] {
  const middle = Math.ceil(chains.length / 2)
  return [chains.slice(0, middle), chains.slice(middle)].filter(({ length }) => length > 0)
}

/** The calls at the head of a queue, before the next group. */
function callsBeforeGroup(queue: readonly (Call | Group)[]): readonly Call[] {
  const end = queue.findIndex(isGroup)
  return (end === -1 ? queue : queue.slice(0, end)) as readonly Call[]
}

function isRead({ kind }: Call): boolean {
  return kind === 'read'
}

function isWrite({ kind }: Call): boolean {
  return kind !== 'read'
}

/** True if the chain begins with a whole value and removes nothing, so that it does not depend on the old value. */
function isIndependent({ calls }: Chain, begin = 0): boolean {
  return calls[begin]?.kind === 'replace' && (calls.length === 1 || calls.every(({ kind }) => kind !== 'remove'))
}

/** True if the chain is a removal alone, whose result the statement itself returns. */
function isRemovalAlone({ calls }: Chain): boolean {
  return calls.length === 1 && calls[0]?.kind === 'remove'
}

/** Applies each chain to its stored value. Other work of the process gets its turn meanwhile, as values may be large. */
async function changesOf(chains: readonly Chain[], texts: ReadonlyMap<string, string>): Promise<Change[]> {
  const changes: Change[] = []
  let work = 0
  for (const chain of chains) {
    const old = texts.get(chain.key)
    const size = chain.calls.reduce((sum, call) => sum + call.size + (old?.length ?? 0), 0)
    work += size
    if (work > MAX_WORK) {
      work = 0
      await nextTurn()
    }
    changes.push(size > MAX_WORK ? await slowChangeOf(chain, old) : changeOf(chain, old))
  }
  return changes
}

function nextTurn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

/** Applies a chain's calls in order, each with its own success or failure. */
function changeOf(chain: Chain, old: string | undefined): Change {
  const stored = new StoredValue(old, chain.key)
  const outcomes = chain.calls.map(call => apply(call, stored))
  return changed(chain, old, outcomes, stored)
}

async function slowChangeOf(chain: Chain, old: string | undefined): Promise<Change> {
  const stored = new StoredValue(old, chain.key)
  const outcomes: Outcome[] = []
  for (const call of chain.calls) {
    if (stored.work > MAX_WORK) {
      stored.work = 0
      await nextTurn()
    }
    outcomes.push(apply(call, stored))
  }
  return changed(chain, old, outcomes, stored)
}

function changed(chain: Chain, old: string | undefined, outcomes: readonly Outcome[], stored: StoredValue): Change {
  try {
    return { chain, old, outcomes, text: stored.text }
  } catch {
    // The value has become too deep to be written: the call that did it fails, the others do not.
    return changeOneByOne(chain, old)
  }
}

function changeOneByOne(chain: Chain, old: string | undefined): Change {
  let text = old
  const outcomes = chain.calls.map(call => {
    const stored = new StoredValue(text, chain.key)
    const outcome = apply(call, stored)
    try {
      text = stored.text
      return outcome
    } catch (error) {
      return () => call.reject(error)
    }
  })
  return { chain, old, outcomes, text }
}

function apply(call: Call, stored: StoredValue): Outcome {
  try {
    const result = call.apply(stored)
    return () => call.resolve(result)
  } catch (error) {
    return () => call.reject(error)
  }
}

/** How a change is stored on a dialect that compares; undefined if there is nothing to store. */
function kindOf({ chain, old, text }: Change): ChangeKind | undefined {
  if (isRemovalAlone(chain)) return 'remove'
  // Reads before a whole value have their answer from the old one, and do not depend on what is stored.
  if (isIndependent(chain, chain.calls.findIndex(isWrite))) return 'put'
  if (text === old) return undefined
  if (old === undefined) return 'add'
  return text === undefined ? 'removeOld' : 'swap'
}

/** Sends the statement of a kind for one key, which needs no arrays. Returns its key if it was stored or removed. */
async function storeOne(runner: Runner, kind: ChangeKind, change: Change, wait: string): Promise<ReadonlySet<string>> {
  const { chain, old, text: value } = change
  const { key } = chain
  switch (kind) {
    case 'put':
      await callQuery(runner, 'putLoneValue', { key, value, now: new Date(), wait })
      return new Set([key])
    case 'add':
      return keysOf(await callQuery(runner, 'addLoneValue', { key, value, now: new Date(), wait }))
    case 'swap':
      return keysOf(await callQuery(runner, 'swapLoneValue', { key, old, value, now: new Date(), wait }))
    case 'remove':
      return keysOf(await callQuery(runner, 'removeLoneValue', { key, wait }))
    case 'removeOld':
      return storeMany(runner, kind, [change], wait)
  }
}

/** Sends the statement of a kind. Returns the keys that it stored or removed. */
async function storeMany(runner: Runner, kind: ChangeKind, changes: readonly Change[], wait: string): Promise<ReadonlySet<string>> {
  const keys = changes.map(({ chain }) => chain.key)
  const values = changes.map(({ text }) => text)
  const olds = changes.map(({ old }) => old)
  const now = new Date()
  switch (kind) {
    case 'put':
      await callQuery(runner, 'putValues', { keys, values, now, wait })
      return new Set(keys)
    case 'add':
      return keysOf(await callQuery(runner, 'addValues', { keys, values, now, wait }))
    case 'swap':
      return keysOf(await callQuery(runner, 'swapValues', { keys, olds, values, now, wait }))
    case 'removeOld':
      return keysOf(await callQuery(runner, 'removeOldValues', { keys, olds, wait }))
    case 'remove':
      return keysOf(await callQuery(runner, 'removeValues', { keys, wait }))
  }
}

/** Returns how the calls are settled after the statement; undefined if another client has changed the key meanwhile. */
function outcomesOf({ chain, outcomes }: Change, kind: ChangeKind, stored: ReadonlySet<string>): readonly Outcome[] | undefined {
  if (kind === 'remove') return [() => chain.calls[0]?.resolve(stored.has(chain.key))]
  return stored.has(chain.key) ? outcomes : undefined
}

/** Cuts what is to be sent where one statement would get too long: in one portion nearly always. */
function* inPortions<T extends { readonly text: string | undefined; readonly old?: string | undefined }>(
  changes: readonly T[]
): Generator<T[], void, undefined> {
  let portion: T[] = []
  let size = 0
  for (const change of changes) {
    const length = (change.text?.length ?? 0) + (change.old?.length ?? 0)
    if (portion.length > 0 && size + length > MAX_SIZE) {
      yield portion
      portion = []
      size = 0
    }
    portion.push(change)
    size += length
  }
  if (portion.length > 0) yield portion
}

// Errors ------------------------------------------------------------------------------------------------------------

function conflictError(): DatabaseError {
  return new DatabaseError('serialization_failure', 'Other clients changed a key of the store again and again; try again.')
}

function isConflict(error: unknown): boolean {
  return error instanceof DatabaseError && (error.code === 'serialization_failure' || error.code === 'deadlock_detected')
}

function isLockTimeout(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === 'lock_not_available'
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

function isValueError(error: unknown): boolean {
  return error instanceof DatabaseError && VALUE_ERRORS.has(error.code)
}
