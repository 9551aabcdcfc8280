/** Waiting without blocking: for locks of other processes, and for the event loop. */
import { DatabaseError } from '../../errors.ts'
import { isBusy, sqliteError } from './errors.ts'

function pause(milliseconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, milliseconds))
}

/** Resolves in the next turn of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
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
          `Another process held the lock of the SQLite database for ${limit} ms (timeouts.lock). Try again, or keep transactions short.`,
          { cause: error }
        )
      }
      // About as long as a commit takes; the jitter keeps waiting processes from meeting again and again.
      await pause(1 + Math.random() * Math.min(3, 1 + attempt))
    }
  }
}

/** How long calls that never leave a turn of the event loop may block it, in ms. */
export const MAX_BLOCKING_TIME = 10

/** Tells when the event loop has to run: a long chain of awaited calls would otherwise never leave its turn. */
export class TurnClock {
  #turnBegan: number | undefined

  /**
   * Returns true if the turn has lasted for `MAX_BLOCKING_TIME`.
   *
   * @param onNewTurn called at the first call of each turn
   */
  isOverdue(onNewTurn?: () => void): boolean {
    if (this.#turnBegan === undefined) {
      this.#turnBegan = performance.now()
      setImmediate(() => {
        this.#turnBegan = undefined
      })
      onNewTurn?.()
      return false
    }
    return performance.now() - this.#turnBegan > MAX_BLOCKING_TIME
  }
}
