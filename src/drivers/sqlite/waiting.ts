/** Waiting without blocking: for locks of other connections, and for the event loop. */
import { DatabaseError } from '../../errors.ts'
import { isBusy, sqliteError } from './errors.ts'

function pause(milliseconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, milliseconds))
}

/**
 * Does the work, and does it again while another connection holds the lock, without blocking the event loop.
 *
 * @param limit ms; 0 waits without a limit
 * @param sql the statement, for its error
 * @throws DatabaseError `lock_not_available` after the limit
 */
export async function whenUnlocked<T>(limit: number, work: () => T, sql?: string): Promise<T> {
  const start = performance.now()
  for (let attempt = 0; ; attempt++) {
    try {
      return work()
    } catch (error) {
      if (!isBusy(error)) throw sqliteError(error, sql)
      if (limit > 0 && performance.now() - start >= limit) {
        throw new DatabaseError(
          'lock_not_available',
          `Another connection held the lock of the SQLite database for ${limit} ms (timeouts.lock): that of another process, or of ` +
            'another handle of this one. Try again, or keep transactions short.',
          { cause: error }
        )
      }
      // About as long as a commit takes; the jitter keeps waiting processes from meeting again and again.
      await pause(1 + Math.random() * Math.min(3, 1 + attempt))
    }
  }
}

// Turns of the event loop -----------------------------------------------------------------------------------------

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
    turnBegan = performance.now()
    setImmediate(() => {
      hasEnded = true
    })
  }
  return turn
}

/** Returns true if the event loop has to run: a long chain of awaited calls would otherwise never leave its turn. */
export function isTurnOverdue(): boolean {
  currentTurn()
  return performance.now() - turnBegan > (next === undefined ? MAX_BLOCKING_TIME : MAX_TIME_BEFORE_OTHERS)
}

/** Begins to count anew, for those whose share of the turn a commit would else have used up. */
export function restartTurn(): void {
  currentTurn()
  turnBegan = performance.now()
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
