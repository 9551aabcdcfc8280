import type { SqliteSettings } from '../../config.ts'
import { DatabaseError } from '../../errors.ts'
import type { Connection } from './connection.ts'
import { whenUnlocked } from './waiting.ts'

/** How many may be lent at once. Each has two or three files open, and systems allow a process 1024 or fewer. */
const MAX_LENT = 64

/** How many stay open for the next user. */
const MAX_IDLE = 2

interface Waiter {
  resolve(connection: Connection): void
  readonly timer: NodeJS.Timeout | undefined
}

/** The connections that read a file beside the one that writes. Opened when they are needed. */
export class Readers {
  readonly #open: () => Connection
  readonly #timeouts: SqliteSettings['timeouts']
  #direct: Connection | undefined
  readonly #idle: Connection[] = []
  readonly #waiting = new Set<Waiter>()
  #lent = 0

  constructor(open: () => Connection, timeouts: SqliteSettings['timeouts']) {
    this.#open = open
    this.#timeouts = timeouts
  }

  /** The one for statements that end at once; it is never lent. */
  get direct(): Connection {
    this.#direct ??= this.#open()
    return this.#direct
  }

  /**
   * Lends a connection in a transaction, which sees the last commit. It must come back through `giveBack`.
   *
   * @throws DatabaseError `connection_failure` when none became free within `timeouts.acquire`
   */
  async borrow(): Promise<Connection> {
    const waited = this.#lent < MAX_LENT ? undefined : await this.#wait()
    if (waited === undefined) this.#lent++
    let connection = waited
    try {
      return await whenUnlocked(this.#timeouts.lock, () => {
        connection ??= this.#idle.pop() ?? this.#open()
        connection.begin()
        return connection
      })
    } catch (error) {
      this.giveBack(connection)
      throw error
    }
  }

  #wait(): Promise<Connection> {
    const { acquire } = this.#timeouts
    return new Promise((resolve, reject) => {
      const expire = () => {
        this.#waiting.delete(waiter)
        reject(
          new DatabaseError(
            'connection_failure',
            `None of the ${MAX_LENT} connections that read the SQLite file became free within ${acquire} ms (timeouts.acquire). ` +
              'Keep transactions and iterations short, and begin no iteration in the loop of many others.',
            { isRetryable: true }
          )
        )
      }
      const waiter: Waiter = { resolve, timer: acquire === 0 ? undefined : setTimeout(expire, acquire) }
      this.#waiting.add(waiter)
    })
  }

  /** Ends the transaction of a lent connection and takes it back; undefined when its opening has failed. */
  giveBack(connection: Connection | undefined): void {
    connection?.rollback()
    const [waiter] = this.#waiting
    if (waiter !== undefined && connection !== undefined) {
      this.#waiting.delete(waiter)
      clearTimeout(waiter.timer)
      waiter.resolve(connection)
      return
    }
    this.#lent--
    if (connection === undefined) return
    if (this.#idle.length < MAX_IDLE) this.#idle.push(connection)
    else connection.close()
  }

  /** Closes those that are not lent. */
  close(): void {
    for (const connection of this.#idle.splice(0)) connection.close()
    this.#direct?.close()
  }
}
