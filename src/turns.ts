/** Turns of the event loop: how long this one lasts, and what gathers in it. */
import { clock } from './clock.ts'

/** How long calls that never leave a turn of the event loop may block it, in ms. */
export const MAX_BLOCKING_TIME = 10

/** How long they may while somebody waits for the next turn, in ms. */
const MAX_TIME_BEFORE_OTHERS = 3

/** Number of the turn, counted when something asks; when it began, in ms of the monotonic clock; whether it has ended. */
let turn = 0
let turnBegan = 0
let hasEnded = true
let next: Promise<void> | undefined

/** The number of this turn. */
export function currentTurn(): number {
  if (hasEnded) {
    hasEnded = false
    turn++
    turnBegan = clock()
    setImmediate(endTurn)
  }
  return turn
}

function endTurn(): void {
  hasEnded = true
}

/** Returns true if the event loop has to run: a long chain of awaited calls would otherwise never leave its turn. */
export function isTurnOverdue(): boolean {
  currentTurn()
  return clock() - turnBegan > (next === undefined ? MAX_BLOCKING_TIME : MAX_TIME_BEFORE_OTHERS)
}

/** Begins to count anew, for those whose share of the turn a commit would else have used up. */
export function restartTurn(): void {
  currentTurn()
  turnBegan = clock()
}

/** Resolves in the next turn; all who wait for it go on together, so that each gets its share of the turn. */
export function nextTurn(): Promise<void> {
  next ??= new Promise(resolve => {
    setImmediate(() => {
      next = undefined
      resolve()
    })
  })
  return next
}

/** Begins a microtask at half of what `queueMicrotask` costs. */
const SETTLED = Promise.resolve()

/**
 * Gathers calls, so that those of one turn are begun together: by `setImmediate`, which costs several µs.
 *
 * A call that is alone need not wait for that. As long as a turn brings one call, the next one begins at the end of its
 * callback: `process.nextTick` runs once no microtask is left, so that callers whose chains of promises differ in length
 * come along. From the second call on, or from a call of another callback of the same turn, all turns are waited for
 * again. So is a turn that lasts too long, or whose end somebody waits for.
 */
export class Gathering {
  readonly #begin: () => number
  #isScheduled = false
  /** True if the last call was alone in its turn. */
  #isLone = true
  /** The turn of the last call. */
  #turn = 0
  /** True from the beginning of calls until the callback has ended, so that a call is one that follows from them. */
  #isFollowed = false
  /** True if calls wait for the end of the callback. */
  #isSoon = false
  /** True if all calls of the turn are among those that wait, or were answered before. */
  #isWhole = true

  /** @param begin begins what has gathered, and returns how many calls that were */
  constructor(begin: () => number) {
    this.#begin = begin
  }

  /** True if calls wait for their beginning. */
  get isScheduled(): boolean {
    return this.#isScheduled
  }

  /** Begins what has gathered, at the end of the turn or sooner. */
  schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    const turn = currentTurn()
    this.#isWhole = this.#turn !== turn || this.#isFollowed
    this.#turn = turn
    this.#isLone &&= this.#isWhole
    this.#isSoon = this.#isLone && next === undefined && !isTurnOverdue()
    if (!this.#isSoon) setImmediate(this.#run)
    else if (!this.#isFollowed) void SETTLED.then(this.#awaitEnd)
  }

  readonly #run = (): void => {
    this.#isScheduled = false
    const count = this.#begin()
    if (count > 0) this.#isLone = count === 1 && this.#isWhole
  }

  /** From a microtask, as a tick that is asked for by a tick comes before all microtasks. */
  readonly #awaitEnd = (): void => process.nextTick(this.#endCallback)

  readonly #endCallback = (): void => {
    this.#isFollowed = this.#isSoon
    if (!this.#isSoon) return
    this.#isSoon = false
    this.#run()
    void SETTLED.then(this.#awaitEnd)
  }
}
