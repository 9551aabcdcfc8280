import { clock } from '../../clock.ts'
import type { PostgresSettings } from '../../config.ts'
import { closedError, DatabaseError } from '../../errors.ts'
import { type Connection, lettingExit, silenceError } from './connection.ts'
import type { Hosts } from './hosts.ts'

/** How long an unused connection stays open, in ms. */
const IDLE_LIMIT = 30_000

/**
 * How long an unused connection is trusted, in ms. A function that was frozen, or a network that forgot, leaves
 * sockets behind that are dead without having said so; a statement would be lost on them.
 */
const TRUSTED_FOR = 5_000

/** How long a connection may be kept while others wait for one, in ms. */
const SLICE = 5

/** After so long without a connection for those who wait, in ms, none is kept longer than SLICE; and for how long. */
const STALL = 250
const STALLED_FOR = 5_000

interface Waiter {
  resolve(connection: Connection): void
  reject(error: unknown): void
  timer: NodeJS.Timeout | undefined
}

export interface Idle {
  readonly connection: Connection
  /** When it came back, in ms of the monotonic clock. */
  readonly since: number
  /** The same in ms since 1970: the monotonic clock may stand still while the machine does. */
  readonly at: number
}

function isTrusted({ since, at }: Idle): boolean {
  return clock() - since < TRUSTED_FOR && Math.abs(Date.now() - at) < TRUSTED_FOR
}

/** The connections of one adapter: opened when they are needed, up to a limit, and handed out one user at a time. */
export class Pool {
  readonly #open: () => Promise<Connection>
  readonly #settings: PostgresSettings
  readonly #hosts: Hosts
  /** The last one that came back is handed out first, so that a busy hour's surplus ages and is closed. */
  readonly #idle: Idle[] = []
  readonly #waiting: Waiter[] = []
  /** Those whose connection many calls will share; every other connection that comes back is theirs. */
  readonly #waitingToShare: Waiter[] = []
  #lastWasToShare = false
  /** When the wait for the next connection began, in ms of the monotonic clock. */
  #waitsSince = 0
  #stalledUntil = Number.NEGATIVE_INFINITY
  /** Called before a connection is lent to one caller alone; may give another back, which is lent then. */
  onNeeded: () => void = () => undefined
  /** How many are open or opening; those that are lent and those that idle. */
  #size = 0
  #lent = 0
  /** Connections of an earlier generation are closed when they come back. */
  #generation = 0
  /** The open connections, lent or idle, each with its generation. */
  readonly #generations = new Map<Connection, number>()
  #isClosed = false
  #sweep: NodeJS.Timeout | undefined
  #onReturn: (() => void) | undefined

  constructor(open: () => Promise<Connection>, hosts: Hosts, settings: PostgresSettings) {
    this.#open = open
    this.#hosts = hosts
    this.#settings = settings
  }

  /**
   * Lends a connection, at once where one is idle. It must come back through `release`.
   *
   * @param isToShare true if many calls will share it, and wait for it together
   * @throws DatabaseError `connection_failure` when the server cannot be reached, or when no connection
   *   became free within `timeouts.acquire`
   */
  acquire(isToShare = false): Connection | Promise<Connection> {
    if (this.#isClosed) throw closedError()
    this.#lent++
    if (!isToShare) this.onNeeded()
    const taken = this.#takeIdle(isToShare) ?? this.#openOrWait(isToShare)
    return taken instanceof Promise ? this.#whenTaken(taken) : taken
  }

  async #whenTaken(taken: Promise<Connection>): Promise<Connection> {
    try {
      return await taken
    } catch (error) {
      this.#returned()
      throw error
    }
  }

  /** The connection that came back last, at once; or as a promise when it has to be looked at first. */
  #takeIdle(isToShare: boolean): Connection | Promise<Connection> | undefined {
    while (true) {
      const idle = this.#idle.pop()
      if (idle === undefined) return undefined
      const { connection } = idle
      if (connection.isLost) {
        this.#discard(connection)
        continue
      }
      connection.ref()
      return isTrusted(idle) ? connection : this.#takeChecked(connection, isToShare)
    }
  }

  async #takeChecked(connection: Connection, isToShare: boolean): Promise<Connection> {
    if (await connection.isAlive()) return connection
    this.#discard(connection)
    // What killed one killed the others of its age; looking at each in turn would take too long.
    for (const idle of this.#idle) if (!isTrusted(idle)) idle.connection.destroy()
    return (await this.#takeIdle(isToShare)) ?? this.#openOrWait(isToShare)
  }

  #openOrWait(isToShare: boolean): Promise<Connection> {
    if (this.#size < this.#settings.maxConnections) return this.#openOne()
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { resolve, reject, timer: undefined }
      const queue = isToShare ? this.#waitingToShare : this.#waiting
      if (!this.#hasWaiters) this.#waitsSince = clock()
      queue.push(waiter)
      const limit = this.#settings.timeouts.acquire
      if (limit === 0) return
      waiter.timer = setTimeout(() => {
        queue.splice(queue.indexOf(waiter), 1)
        const { maxConnections } = this.#settings
        reject(
          new DatabaseError(
            'connection_failure',
            `None of the ${maxConnections} connections to Postgres became free within ${limit} ms (timeouts.acquire). ` +
              'Keep transactions and iterations short, and run no statements in the loop of one; or raise "postgres.maxConnections".',
            { isRetryable: true }
          )
        )
      }, limit)
    })
  }

  async #openOne(): Promise<Connection> {
    this.#size++
    const generation = this.#generation
    try {
      const connection = await this.#open()
      this.#generations.set(connection, generation)
      connection.onSilence = since => this.#abandonServer(connection, since)
      return connection
    } catch (error) {
      this.#size--
      this.#serveNext()
      throw error
    }
  }

  /**
   * True if a lent connection may be used for further calls: it would be taken back, and until then nobody waits, or
   * those that wait get others.
   *
   * @param since when it was lent, in ms of the monotonic clock
   * @param kept number of connections that are lent like this
   */
  mayKeep(connection: Connection, since: number, kept: number): boolean {
    if (!this.#isUsable(connection)) return false
    if (!this.#hasWaiters) return true
    const now = clock()
    if (now < since + SLICE) return true
    const { acquire } = this.#settings.timeouts
    if (now - this.#waitsSince > Math.min(STALL, acquire === 0 ? STALL : acquire / 4)) this.#stalledUntil = now + STALLED_FOR
    return this.#size > kept && now > this.#stalledUntil
  }

  #isUsable(connection: Connection): boolean {
    return connection.isReusable && this.#generations.get(connection) === this.#generation
  }

  /**
   * Takes a connection back. A lost one is replaced when somebody waits.
   *
   * @param unused how it idled before, if nothing was sent on it since
   */
  release(connection: Connection, unused?: Idle): void {
    if (!this.#isUsable(connection)) {
      if (!connection.isLost) connection.destroy()
      this.#discard(connection)
      this.#returned()
      this.#serveNext()
      return
    }
    this.#returned()
    const waiter = this.#nextWaiter()
    if (waiter !== undefined) {
      clearTimeout(waiter.timer)
      waiter.resolve(connection)
      return
    }
    connection.unref()
    const idle = unused ?? { connection, since: clock(), at: Date.now() }
    this.#idle.splice(this.#idle.findLastIndex(({ since }) => since <= idle.since) + 1, 0, idle)
    this.#sweep ??= lettingExit(setTimeout(() => this.#closeOld(), IDLE_LIMIT))
  }

  /** Takes a connection back, to be lent next, and lends an idle one for it; undefined if one of them may not work. */
  exchange(connection: Connection): Idle | undefined {
    const idle = this.#idle.at(-1)
    if (idle === undefined || idle.connection.isLost || !isTrusted(idle) || !this.#isUsable(connection)) return undefined
    this.#idle.pop()
    idle.connection.ref()
    this.#lent++
    this.release(connection)
    return idle
  }

  /** True if the next caller gets a connection without waiting for one that is lent. */
  get hasRoom(): boolean {
    return this.#idle.length > 0 || this.#size < this.#settings.maxConnections
  }

  /** The connection no longer counts. */
  #discard(connection: Connection): void {
    this.#size--
    this.#generations.delete(connection)
  }

  /** Leaves a server that takes no writes any more: all connections of its generation are closed when they come back. */
  leaveServer(connection: Connection): void {
    if (this.#generations.get(connection) !== this.#generation) return
    this.#hosts.mayTakeNoWrites = true
    this.#hosts.avoid(connection.host)
    this.#generation++
    for (const { connection } of this.#idle) connection.destroy()
  }

  /**
   * Gives up the server that a connection leads to, with all connections of its generation, also those in use: it is
   * frozen or cut off, so each of them would wait as long. Not if one of them was answered `since` then.
   */
  #abandonServer(connection: Connection, since: number): void {
    const generation = this.#generations.get(connection)
    if (generation !== this.#generation) return
    const others = [...this.#generations.keys()].filter(other => this.#generations.get(other) === generation)
    if (others.some(({ answeredAt }) => answeredAt > since)) return
    this.#hosts.avoid(connection.host)
    this.#generation++
    for (const other of others) other.giveUp(silenceError())
  }

  get #hasWaiters(): boolean {
    return this.#waiting.length > 0 || this.#waitingToShare.length > 0
  }

  #nextWaiter(): Waiter | undefined {
    if (!this.#hasWaiters) return undefined
    const [first, second] = this.#lastWasToShare ? [this.#waiting, this.#waitingToShare] : [this.#waitingToShare, this.#waiting]
    const queue = first.length > 0 ? first : second
    this.#lastWasToShare = queue === this.#waitingToShare
    this.#waitsSince = clock()
    return queue.shift()
  }

  #returned(): void {
    this.#lent--
    if (this.#lent === 0) this.#onReturn?.()
  }

  /** Opens a connection for the oldest waiter, unless `maxConnections` are open. */
  #serveNext(): void {
    if (this.#size >= this.#settings.maxConnections) return
    const waiter = this.#nextWaiter()
    if (waiter === undefined) return
    clearTimeout(waiter.timer)
    this.#openOne().then(waiter.resolve, waiter.reject)
  }

  #closeOld(): void {
    this.#sweep = undefined
    const now = clock()
    while (this.#idle.length > 0 && now - (this.#idle[0] as Idle).since >= IDLE_LIMIT) {
      const { connection } = this.#idle.shift() as Idle
      this.#discard(connection)
      void connection.close()
    }
    if (this.#idle.length > 0) this.#sweep = lettingExit(setTimeout(() => this.#closeOld(), IDLE_LIMIT))
  }

  /** Waits until all connections came back, then closes them. */
  async close(): Promise<void> {
    if (this.#lent > 0) await new Promise<void>(resolve => (this.#onReturn = resolve))
    this.#isClosed = true
    clearTimeout(this.#sweep)
    await Promise.all(this.#idle.splice(0).map(({ connection }) => connection.close()))
  }
}
