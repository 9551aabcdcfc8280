/** Waiting for the locks of other connections without blocking. */
import { clock } from '../../clock.ts'
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
  const start = clock()
  for (let attempt = 0; ; attempt++) {
    try {
      return work()
    } catch (error) {
      if (!isBusy(error)) throw sqliteError(error, sql)
      if (limit > 0 && clock() - start >= limit) {
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
