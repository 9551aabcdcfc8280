/**
 * From calls to statements. The calls of one turn of the event loop travel together, and while they are on their way
 * the next gather. One step chooses the keys that are not busy, up to a size; loads what depends on old values, applies
 * the calls, and stores each key by the simplest statement that does it:
 *
 * | the calls on a key                          | Postgres                        | SQLite                        |
 * |---------------------------------------------|---------------------------------|-------------------------------|
 * | only read                                   | `findValues`                    | `findValues`                  |
 * | begin with a whole value                    | `putValues`                     | one transaction that has the  |
 * | depend on the old value, key is absent      | `findValues`, then `addValues`  | write lock: `findValues`,     |
 * | depend on the old value, key exists         | `findValues`, then `swapValues` | then `putValue` for each key, |
 * | remove the key                              | `removeValues`                  | and `deleteValues`            |
 * | `setMany`, `deleteMany`: all or none        | one of these alone              | a transaction of its own      |
 *
 * On Postgres each of these is one statement for all keys of its kind, atomic for each key, and it compares with the
 * old value: a key that another client changed meanwhile is loaded and applied again, after some conflicts under a row
 * lock. On SQLite the lock of the transaction keeps others out, and one prepared statement for each key is three times
 * as fast as one for all. Inside of a transaction of the caller both do the same, with row locks on Postgres.
 *
 * A statement that fails has changed nothing. If a value is at fault, the keys are halved until it is alone; a key that
 * another client has locked waits by itself.
 */
import { asLostCommit, copyOf, DatabaseError, type ErrorCode } from '../errors.ts'
import { inTransaction, type Runner } from '../execute.ts'
import { callQuery, textOf } from '../queries.ts'
import { StoredValue } from './stored-value.ts'

/** One call on one key. */
export interface Call {
  /** Whether it reads, depends on the old value, removes the key, or stores a whole value. */
  readonly kind: 'read' | 'change' | 'remove' | 'replace'
  /** Does the call on the value and returns its result. May run again; fails without having changed anything. */
  apply(stored: StoredValue): unknown
  resolve(result: unknown): void
  reject(error: unknown): void
  /** Number of characters that it stores. */
  readonly size: number
  /** Called when its key is detached. */
  onDetach?: () => void
}

/** Keys that are stored or removed together, or not at all. */
interface Group {
  /** The values by key; undefined to remove the keys. */
  readonly entries: ReadonlyMap<string, string | undefined>
  resolve(count: number): void
  reject(error: unknown): void
  onDetach?: () => void
  /** Number of its keys that are busy, or have earlier calls. */
  blockers: number
}

/** The calls on one key that a step carries out, in order. */
interface Chain {
  readonly key: string
  readonly calls: readonly Call[]
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

/** Maximum number of keys in a step. */
const MAX_KEYS = 2000

/** Number of characters after which a step takes no more values: a statement is one string. */
const MAX_SIZE = 32 * 1024 * 1024

/** How long a statement for several keys waits for a lock before the locked keys are left to wait by themselves, in ms. */
const SHARED_LOCK_WAIT = 100

/** Number of lost comparisons after which a key is locked. */
const MAX_CONFLICTS = 4

/** Number of lost comparisons under the lock after which the call fails: a new key has no row to lock. */
const MAX_CONFLICTS_LOCKED = 100

/** Maximum number of keys that wait for a lock at a time, each on a connection of its own. */
const MAX_DETACHED = 4

export class Batch {
  readonly #runner: Runner
  /** True if the runner is a transaction's session, which ends all or nothing by itself. */
  readonly #isTransaction: boolean
  /** True if the dialect compares and stores in one statement. */
  readonly #canCompare: boolean
  /** The calls and groups that wait, by key, in order. */
  #waiting = new Map<string, (Call | Group)[]>()
  /** The keys that a step works on. */
  #busy = new Set<string>()
  /** Groups that nothing blocks. */
  readonly #readyGroups: Group[] = []
  /** The steps that have not ended. */
  readonly #steps = new Set<Promise<void>>()
  /** The busy keys that no longer belong to a step, each with its own work: mostly, a wait for another client's lock. */
  readonly #detached = new Map<string, Promise<void>>()
  #isScheduled = false
  #isReading = false
  #isWriting = false
  /** The key of the last step that stored one key alone. */
  #single: string | undefined
  /** The calls made since `afterAll()`; undefined unless its work is running. */
  #held: (() => void)[] | undefined
  readonly #semaphore = new Semaphore(MAX_DETACHED)

  /** @param runner what the statements run on */
  constructor(runner: Runner) {
    this.#runner = runner
    this.#isTransaction = runner.begin === undefined
    this.#canCompare = textOf('swapValues', runner.dialect) !== undefined
  }

  /** True if no pending call could be reordered with a read of the key. */
  isFree(key: string): boolean {
    return !this.#isScheduled && this.#held === undefined && !this.#busy.has(key) && !this.#waiting.has(key)
  }

  /** True if every call is settled. */
  get isIdle(): boolean {
    return this.#waiting.size === 0 && this.#steps.size === 0 && this.#detached.size === 0 && this.#held === undefined
  }

  /** Adds a call to this turn. */
  add<T>(key: string, kind: Call['kind'], apply: Call['apply'], size = 0): Promise<T> {
    return new Promise((resolve, reject) => {
      const call: Call = { kind, apply, size, resolve: resolve as (result: unknown) => void, reject }
      if (this.#held === undefined) this.#push(key, call)
      else this.#held.push(() => this.#push(key, call))
    })
  }

  /** Adds keys that are stored (or, with undefined, removed) together; resolves with the number of changed rows. */
  addGroup(entries: ReadonlyMap<string, string | undefined>): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#pushUnlessHeld(() => {
        const group: Group = { entries, blockers: 0, resolve, reject }
        for (const key of entries.keys()) {
          if (this.#busy.has(key) || this.#waiting.has(key)) group.blockers++
          this.#push(key, group)
        }
        if (group.blockers === 0) this.#readyGroups.push(group)
      })
    })
  }

  #pushUnlessHeld(push: () => void): void {
    if (this.#held === undefined) push()
    else this.#held.push(push)
  }

  /** Runs work on keys that it does not name: after all earlier calls, and before all later ones. */
  afterAll<T>(work: () => Promise<T>): Promise<T> {
    if (this.#held !== undefined) return new Promise((resolve, reject) => this.#held?.push(() => this.afterAll(work).then(resolve, reject)))
    this.#held = []
    return this.#settledSteps(true)
      .then(work)
      .finally(() => {
        const held = this.#held ?? []
        this.#held = undefined
        // One of them may hold the rest again.
        for (const push of held) this.#pushUnlessHeld(push)
      })
  }

  /**
   * Resolves when all calls that were made so far are settled.
   *
   * @param isWithLocked false to leave out keys that wait for another client's lock
   */
  settled(isWithLocked = true): Promise<void> {
    return this.#held === undefined ? this.#settledSteps(isWithLocked) : this.afterAll(async () => undefined)
  }

  async #settledSteps(isWithLocked: boolean): Promise<void> {
    const waiting: Promise<void>[] = []
    for (const [key, queue] of this.#waiting) {
      // The calls on a key are settled in order, so the last one settles last.
      if (isWithLocked || !this.#detached.has(key)) waiting.push(whenSettled(queue.at(-1) as Call | Group, isWithLocked))
    }
    await Promise.all([...this.#steps, ...waiting])
    if (isWithLocked) await Promise.all(this.#detached.values())
  }

  #push(key: string, entry: Call | Group): void {
    const queue = this.#waiting.get(key)
    if (queue === undefined) this.#waiting.set(key, [entry])
    else queue.push(entry)
    this.#schedule()
  }

  /** Begins steps at the end of this turn, so that all calls of the turn come along. */
  #schedule(): void {
    if (this.#isScheduled || this.#waiting.size === 0) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#beginSteps()
    })
  }

  // Steps -----------------------------------------------------------------------------------------------------------

  /** Begins the steps that can begin: one that writes and one that reads at a time, and each group that nothing blocks. */
  #beginSteps(): void {
    for (const group of this.#readyGroups.splice(0)) this.#beginGroup(group)
    const reads: Chain[] = []
    const writes: Chain[] = []
    let size = 0
    for (const [key, queue] of this.#waiting) {
      if (reads.length >= MAX_KEYS || writes.length >= MAX_KEYS || size > MAX_SIZE) break
      if (this.#busy.has(key)) continue
      const chain = { key, calls: callsBeforeGroup(queue) }
      if (chain.calls.length === 0) continue
      if (chain.calls.every(isRead)) reads.push(chain)
      else if (!this.#isWriting) {
        writes.push(chain)
        for (const call of chain.calls) size += call.size
      }
    }
    // What is changed needs a look at old values in most cases; the reads come along with that.
    const shareLoad = this.#canCompare && reads.length > 0 && !writes.every(isIndependent)
    if (writes.length > 0) {
      this.#isWriting = true
      const done = () => {
        this.#isWriting = false
        this.#schedule()
      }
      const [only] = writes as [Chain]
      if (writes.length === 1 && reads.length === 0 && !this.#isTransaction) this.#storeOne(only, done)
      else
        void this.#track(this.#step([...writes, ...(shareLoad ? reads : [])], () => this.#store(writes, shareLoad ? reads : []))).then(done)
    }
    // The statements of a transaction run one after another in any case.
    const isOccupied = this.#isReading || (this.#isTransaction && this.#isWriting)
    if (reads.length > 0 && !shareLoad && !isOccupied) {
      this.#isReading = true
      void this.#track(this.#step(reads, () => this.#read(reads))).then(() => {
        this.#isReading = false
        this.#schedule()
      })
    }
  }

  /** Stores one key. If that takes long, as when another client has locked it, the next step does not wait for it. */
  #storeOne(chain: Chain, done: () => void): void {
    const { key } = chain
    this.#single = key
    // Ends with the step, or when the key is detached, so that nothing waits for the key any longer.
    let end: () => void = () => undefined
    void this.#track(new Promise<void>(resolve => (end = resolve)))
    const timer = setTimeout(() => {
      this.#setDetached(chain, step)
      end()
      done()
    }, SHARED_LOCK_WAIT)
    const step = this.#step([chain], async () => {
      await this.#store([chain])
      clearTimeout(timer)
      if (this.#detached.get(key) === step) this.#detached.delete(key)
      else done()
    })
    void step.then(end)
  }

  /** Carries out chains, which are taken out of the queue; gives their keys back when the work has ended. It never fails. */
  async #step(chains: readonly Chain[], work: () => Promise<void>): Promise<void> {
    for (const { key, calls } of chains) {
      this.#busy.add(key)
      const queue = this.#waiting.get(key) as (Call | Group)[]
      if (queue.length === calls.length) this.#waiting.delete(key)
      else queue.splice(0, calls.length)
    }
    // V8 frees entries deleted from an old Map or Set only at a full garbage collection, so that these are replaced.
    if (this.#waiting.size === 0) this.#waiting = new Map()
    await work()
    for (const { key } of chains) if (!this.#detached.has(key)) this.#release(key)
    if (this.#busy.size === 0) this.#busy = new Set()
    this.#schedule()
  }

  /** Lets chains go on by themselves, so that the step need not wait for them. */
  #detach(chains: readonly Chain[], work: (chain: Chain) => Promise<void>): void {
    for (const chain of chains) {
      const { key } = chain
      const ended = this.#semaphore
        .run(() => work(chain))
        .then(() => {
          this.#detached.delete(key)
          this.#release(key)
          this.#schedule()
        })
      this.#setDetached(chain, ended)
    }
  }

  #setDetached({ key, calls }: Chain, ended: Promise<void>): void {
    this.#detached.set(key, ended)
    for (const entry of [...calls, ...(this.#waiting.get(key) ?? [])]) entry.onDetach?.()
  }

  async #track(work: Promise<void>): Promise<void> {
    this.#steps.add(work)
    await work
    this.#steps.delete(work)
  }

  /** A group whose last key this was can begin. */
  #release(key: string): void {
    this.#busy.delete(key)
    const next = this.#waiting.get(key)?.[0]
    if (next !== undefined && isGroup(next) && --next.blockers === 0) this.#readyGroups.push(next)
  }

  #beginGroup(group: Group): void {
    for (const key of group.entries.keys()) {
      this.#busy.add(key)
      const queue = this.#waiting.get(key) as (Call | Group)[]
      if (queue.length === 1) this.#waiting.delete(key)
      else queue.shift()
    }
    void this.#track(this.#storeGroup(group).then(group.resolve, error => group.reject(copyOf(error)))).then(() => {
      for (const key of group.entries.keys()) this.#release(key)
      this.#schedule()
    })
  }

  // Reading ---------------------------------------------------------------------------------------------------------

  async #read(chains: readonly Chain[]): Promise<void> {
    try {
      answerReads(chains, await this.#load(chains.map(keyOf)))
    } catch (error) {
      rejectAll(chains, error)
    }
  }

  async #load(
    keys: readonly string[],
    runner = this.#runner,
    isLocking = this.#isTransaction && this.#canCompare
  ): Promise<Map<string, string>> {
    const texts = new Map<string, string>()
    if (keys.length === 0) return texts
    const [only] = keys
    if (keys.length === 1 && !isLocking) {
      const row = await callQuery(runner, 'findValue', { key: only })
      if (row !== undefined) texts.set(only as string, row.value ?? 'null')
      return texts
    }
    const rows = await callQuery(runner, isLocking ? 'findAndLockValues' : 'findValues', { keys })
    for (const { key, value } of rows) texts.set(key, value ?? 'null')
    return texts
  }

  // Storing ---------------------------------------------------------------------------------------------------------

  /** Stores chains, and answers reads that come along. Settles every call; never fails. */
  async #store(chains: readonly Chain[], reads: readonly Chain[] = []): Promise<void> {
    if (this.#canCompare) return this.#storeByComparison(chains, reads)
    try {
      settleAll(await this.#storeInTransaction(chains))
    } catch (error) {
      await this.#separate(chains, error, half => this.#store(half))
    }
  }

  /** Loads, applies and stores in a transaction that keeps others out. */
  async #storeInTransaction(chains: readonly Chain[]): Promise<readonly Outcome[]> {
    const [first] = chains as readonly [Chain]
    if (chains.length === 1 && isIndependent(first) && !this.#isTransaction) {
      const change = changeOf(first, undefined)
      if (change.text !== undefined) await callQuery(this.#runner, 'putValue', { key: first.key, value: change.text, now: new Date() })
      return change.outcomes
    }
    return this.#inTransaction(async tx => {
      const texts = await this.#load(chains.filter(chain => !isIndependent(chain)).map(keyOf), tx)
      const outcomes: Outcome[] = []
      const removed: string[] = []
      const now = new Date()
      for (const chain of chains) {
        const change = changeOf(chain, texts.get(chain.key))
        outcomes.push(...change.outcomes)
        if (change.text === change.old && !isIndependent(chain)) continue
        if (change.text === undefined) removed.push(chain.key)
        else await callQuery(tx, 'putValue', { key: chain.key, value: change.text, now })
      }
      if (removed.length > 0) await callQuery(tx, 'deleteValues', { keys: removed })
      return outcomes
    })
  }

  #inTransaction<T>(body: (tx: Runner) => Promise<T>): Promise<T> {
    return this.#isTransaction ? body(this.#runner) : inTransaction(this.#runner, { isolation: 'read committed' }, body)
  }

  /** Loads, applies, and stores by statements that compare; again for the keys that others have changed meanwhile. */
  async #storeByComparison(chains: readonly Chain[], reads: readonly Chain[]): Promise<void> {
    let left = chains
    for (let conflicts = 0; left.length > 0 || conflicts === 0; conflicts++) {
      if (conflicts > MAX_CONFLICTS && !this.#isTransaction) return this.#storeUnderLocks(left)
      if (conflicts > MAX_CONFLICTS_LOCKED) return rejectAll(left, conflictError())
      if (conflicts > 0 && !this.#isTransaction) await new Promise(resolve => setTimeout(resolve, Math.random() * 5 * conflicts))
      let texts: Map<string, string>
      try {
        const toLoad = left.filter(chain => !isIndependent(chain) && !isRemovalAlone(chain))
        texts = await this.#load([...toLoad, ...(conflicts === 0 ? reads : [])].map(keyOf))
      } catch (error) {
        if (conflicts === 0) rejectAll(reads, error)
        return this.#fail(left, error)
      }
      if (conflicts === 0) answerReads(reads, texts)
      left = await this.#compareAndStore(left.map(chain => changeOf(chain, texts.get(chain.key))))
    }
  }

  /** Stores changes by one statement for each kind. Settles those that are stored; returns the chains that others have changed. */
  async #compareAndStore(changes: readonly Change[]): Promise<Chain[]> {
    const byKind = new Map<ChangeKind, Change[]>()
    for (const change of changes) {
      const kind = kindOf(change)
      if (kind === undefined) settleAll(change.outcomes)
      else if (byKind.has(kind)) byKind.get(kind)?.push(change)
      else byKind.set(kind, [change])
    }
    const statements = [...byKind].map(([kind, changes]) => this.#storeOfKind(kind, changes))
    return (await Promise.all(statements)).flat()
  }

  /** Stores changes of one kind by statements that are not too long. Returns the chains that others have changed. */
  async #storeOfKind(kind: ChangeKind, changes: readonly Change[]): Promise<Chain[]> {
    const conflicts: Chain[] = []
    for (const portion of inPortions(changes)) conflicts.push(...(await this.#storePortion(kind, portion)))
    return conflicts
  }

  async #storePortion(kind: ChangeKind, changes: readonly Change[], isAgain = false): Promise<Chain[]> {
    const chains = changes.map(({ chain }) => chain)
    const begin = performance.now()
    // Other keys must not wait long for one of these; a key that is on its own may.
    const isShared = !this.#isTransaction && !chains.every(({ key }) => key === this.#single || this.#detached.has(key))
    try {
      const wait = isShared ? SHARED_LOCK_WAIT : undefined
      const stored = await this.#runStatement(this.#runner, kind, changes, wait)
      return changes.flatMap(change => {
        const outcomes = outcomesOf(change, kind, stored)
        if (outcomes === undefined) return [change.chain]
        settleAll(outcomes)
        return []
      })
    } catch (error) {
      // Others have changed a key, or lock keys in another order: nothing was stored.
      if (!this.#isTransaction && isConflict(error)) return chains
      // A lock on the whole table is waited for before the statement can set its limit.
      const isTable = performance.now() - begin > 10 * SHARED_LOCK_WAIT
      if (isShared && isLockTimeout(error) && !isTable) return this.#separateLocked(kind, changes, isAgain)
      await this.#separate(chains, error, half => this.#storeByComparison(half, []))
      return []
    }
  }

  /** Sends the statement of a kind. Returns the keys that it stored or removed. */
  async #runStatement(runner: Runner, kind: ChangeKind, changes: readonly Change[], wait?: number): Promise<ReadonlySet<string>> {
    const keys = changes.map(({ chain }) => chain.key)
    const values = changes.map(({ text }) => text)
    const olds = changes.map(({ old }) => old)
    const common = { keys, wait: String(wait ?? '') }
    const now = new Date()
    const query = (kind: Exclude<ChangeKind, 'put'>) => {
      switch (kind) {
        case 'add':
          return callQuery(runner, 'addValues', { ...common, values, now })
        case 'swap':
          return callQuery(runner, 'swapValues', { ...common, olds, values, now })
        case 'removeOld':
          return callQuery(runner, 'removeOldValues', { ...common, olds })
        case 'remove':
          return callQuery(runner, 'removeValues', common)
      }
    }
    try {
      if (kind === 'put') {
        // A single key needs no arrays.
        if (wait === undefined && keys.length === 1) await callQuery(runner, 'putValue', { key: keys[0], value: values[0], now })
        else await callQuery(runner, 'putValues', { ...common, values, now })
        return new Set(keys)
      }
      return new Set((await query(kind)).map(({ key }) => key))
    } catch (error) {
      // To the adapter a statement that returns rows is one that reads.
      throw this.#isTransaction || runner !== this.#runner ? error : asLostCommit(error)
    }
  }

  /** Leaves the keys that others have locked to wait by themselves, and stores the rest. */
  async #separateLocked(kind: ChangeKind, changes: readonly Change[], isAgain: boolean): Promise<Chain[]> {
    const chains = changes.map(({ chain }) => chain)
    let locked: ReadonlySet<string>
    try {
      // A row that somebody has inserted and not committed cannot be looked for: if the rest fails again, each key is on its own.
      const keys = chains.map(keyOf)
      locked = new Set(
        isAgain || keys.length === 1 ? keys : (await callQuery(this.#runner, 'findLockedKeys', { keys })).map(({ key }) => key)
      )
    } catch (error) {
      await this.#fail(chains, error)
      return []
    }
    this.#detach(
      chains.filter(({ key }) => locked.has(key)),
      chain => this.#storeByComparison([chain], [])
    )
    const unlocked = changes.filter(({ chain }) => !locked.has(chain.key))
    return unlocked.length === 0 ? [] : this.#storePortion(kind, unlocked, true)
  }

  /** Stores each of the chains under the lock of its row. */
  async #storeUnderLocks(chains: readonly Chain[]): Promise<void> {
    const [first] = chains as readonly [Chain]
    if (this.#detached.has(first.key)) await this.#storeUnderLock(first)
    else this.#detach(chains, chain => this.#storeUnderLock(chain))
  }

  async #storeUnderLock(chain: Chain): Promise<void> {
    try {
      const outcomes = await this.#inTransaction(async tx => {
        for (let conflicts = 0; conflicts < MAX_CONFLICTS_LOCKED; conflicts++) {
          const change = changeOf(chain, (await this.#load([chain.key], tx, true)).get(chain.key))
          const kind = kindOf(change)
          const outcomes = kind === undefined ? change.outcomes : outcomesOf(change, kind, await this.#runStatement(tx, kind, [change]))
          if (outcomes !== undefined) return outcomes
        }
        throw conflictError()
      })
      settleAll(outcomes)
    } catch (error) {
      await this.#separate([chain], error, half => this.#storeByComparison(half, []))
    }
  }

  async #storeGroup({ entries }: Group): Promise<number> {
    for (let conflicts = 0; ; conflicts++) {
      try {
        return await this.#storeEntries(entries)
      } catch (error) {
        if (this.#isTransaction || !isConflict(error) || conflicts >= MAX_CONFLICTS) throw error
      }
    }
  }

  async #storeEntries(entries: ReadonlyMap<string, string | undefined>): Promise<number> {
    const [changes, isRemoval] = [[...entries].map(([key, text]) => ({ key, text })), [...entries.values()].includes(undefined)]
    if (!this.#canCompare) {
      return this.#inTransaction(async tx => {
        if (isRemoval) return (await callQuery(tx, 'deleteValues', { keys: [...entries.keys()] })).changes
        for (const { key, text } of changes) await callQuery(tx, 'putValue', { key, value: text, now: new Date() })
        return changes.length
      })
    }
    const portions = [...inPortions(changes)]
    const send = async (runner: Runner, portion: typeof changes) => {
      const keys = portion.map(({ key }) => key)
      if (isRemoval) return (await callQuery(runner, 'removeValues', { keys, wait: '' })).length
      return (await callQuery(runner, 'putValues', { keys, values: portion.map(({ text }) => text), now: new Date(), wait: '' })).changes
    }
    const [only, ...others] = portions as [typeof changes, ...(typeof changes)[]]
    // One statement is a transaction by itself.
    if (others.length === 0 && !this.#isTransaction) {
      return send(this.#runner, only).catch(error => {
        throw asLostCommit(error)
      })
    }
    return this.#inTransaction(async tx => {
      let count = 0
      for (const portion of portions) count += await send(tx, portion)
      return count
    })
  }

  // Failures --------------------------------------------------------------------------------------------------------

  /** Nothing was stored of the chains. If one of their values is at fault, finds it by halving; else all fail. */
  async #separate(chains: readonly Chain[], error: unknown, retry: (chains: readonly Chain[]) => Promise<void>): Promise<void> {
    const [first] = chains as readonly [Chain]
    if (this.#isTransaction || !isValueError(error)) return this.#fail(chains, error)
    if (chains.length > 1) {
      const middle = Math.ceil(chains.length / 2)
      await retry(chains.slice(0, middle))
      await retry(chains.slice(middle))
    } else if (first.calls.length > 1) {
      for (const call of first.calls) await retry([{ key: first.key, calls: [call] }])
    } else {
      rejectAll(chains, error)
    }
  }

  /** Rejects the calls that write. A read has no part in that error, so it is answered with what is stored. */
  async #fail(chains: readonly Chain[], error: unknown): Promise<void> {
    const part = (isWanted: (call: Call) => boolean) =>
      chains.map(({ key, calls }) => ({ key, calls: calls.filter(isWanted) })).filter(({ calls }) => calls.length > 0)
    rejectAll(part(isWrite), error)
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

// Chains and changes ------------------------------------------------------------------------------------------------

function keyOf({ key }: Chain): string {
  return key
}

function isGroup(entry: Call | Group): entry is Group {
  return 'entries' in entry
}

/** Resolves when the call or the group is settled, or unless `isWithLocked` when its key waits for another client's lock. */
function whenSettled(entry: Call | Group, isWithLocked: boolean): Promise<void> {
  return new Promise(done => {
    if (!isWithLocked) entry.onDetach = done
    const { resolve, reject } = entry
    entry.resolve = (result: never) => {
      resolve(result)
      done()
    }
    entry.reject = error => {
      reject(error)
      done()
    }
  })
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

/** Applies a chain's calls in order, each with its own success or failure. */
function changeOf(chain: Chain, old: string | undefined): Change {
  const stored = new StoredValue(old, chain.key)
  const outcomes = chain.calls.map(call => apply(call, stored))
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
      return () => call.reject(tooDeep(error, chain.key))
    }
  })
  return { chain, old, outcomes, text }
}

function apply(call: Call, stored: StoredValue): Outcome {
  try {
    const result = call.apply(stored)
    return () => call.resolve(result)
  } catch (error) {
    return () => call.reject(tooDeep(error, stored.key))
  }
}

/** `JSON.stringify` and `structuredClone` overflow the stack on values that others have stored with thousands of levels. */
function tooDeep(error: unknown, key: string): unknown {
  if (!(error instanceof RangeError && /call stack/.test(error.message))) return error
  return new DatabaseError(
    'invalid_value',
    `The value of the key ${JSON.stringify(key)} has too many levels to be changed; nothing was changed.`
  )
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

// Settling ----------------------------------------------------------------------------------------------------------

function settleAll(outcomes: readonly Outcome[]): void {
  for (const settle of outcomes) settle()
}

function answerReads(chains: readonly Chain[], texts: ReadonlyMap<string, string>): void {
  for (const chain of chains) settleAll(changeOf(chain, texts.get(chain.key)).outcomes)
}

function rejectAll(chains: readonly Chain[], error: unknown): void {
  for (const { calls } of chains) for (const call of calls) call.reject(copyOf(error))
}

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
