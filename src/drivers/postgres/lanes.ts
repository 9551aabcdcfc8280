/**
 * Lets fast reads share connections. A connection that is lent for one statement at a time waits for a round trip
 * between them; one that many calls share gets the next statement before it has answered the last, and their messages
 * travel in one packet. Each statement keeps a transaction and an error of its own, since each has its own Sync.
 *
 * The server answers in order, so a statement waits for those before it. Hence only statements share that do no more
 * than read and that were fast lately, a connection takes them only as long as they are expected to be answered within
 * MAX_LOAD, and one whose oldest statement is not answered within STUCK_AFTER takes no more: calls that follow go
 * elsewhere. A shared connection is one of the pool's: it is taken when the first call needs it, and comes back after
 * the last one, at the end of the turn, or when somebody else wants a connection and another is to be had.
 */
import { clock } from '../../clock.ts'
import { copyOf } from '../../errors.ts'
import { type Connection, lettingExit } from './connection.ts'
import type { Idle, Pool } from './pool.ts'
import type { Timing } from './query.ts'

/** A statement takes a connection of its own until it was answered within FAST, so many times one after the other. In ms. */
const FAST = 10
const FAST_RUNS = 3

/** What a fast statement is expected to take of a shared connection, until it was measured there, in ms. */
const FIRST_GUESS = 0.1

/** A run counts for no more than this, in ms, as it may be this process that was busy; and for this part of the average. */
const MAX_SAMPLE = 8
const WEIGHT = 1 / 128

/** How long the statements that share a connection may take together, as far as is known, in ms. */
const MAX_LOAD = 3

/** After this time without an answer, a shared connection takes no more, in ms; and how often that is looked at. */
const STUCK_AFTER = 15
const LOOK_EVERY = 10

/** For so long may a statement be stuck until it shares no more, in ms; and what each run takes off that. */
const MAX_STUCK = 100
const FORGIVEN = 0.05

/** How long a statement that was stuck has a connection of its own, in ms: twice as long each time, up to a limit. */
const FIRST_BAR = 10_000
const MAX_BAR = 600_000

/** How fast a statement was lately. */
export class Pace implements Timing {
  /** What it takes of a connection, in ms. */
  expected = FIRST_GUESS
  #fastRuns = 0
  #stuck = 0
  #bar = 0
  #barredUntil = Number.NEGATIVE_INFINITY

  get isFast(): boolean {
    return this.#fastRuns >= FAST_RUNS
  }

  /**
   * Called after each run.
   *
   * @param duration how long it was the oldest unanswered statement of its connection, in ms
   * @param wasBehind true if it was sent right behind another one, so that its way to the server does not count
   */
  ran(duration: number, wasBehind: boolean): void {
    if (this.#stuck > 0) this.#stuck -= FORGIVEN
    if (wasBehind) this.expected += (Math.min(duration, MAX_SAMPLE) - this.expected) * WEIGHT
    else if (this.isFast) this.expected = Math.min(this.expected, duration)
    else if (duration > FAST || clock() < this.#barredUntil) this.#fastRuns = 0
    else this.#fastRuns++
  }

  /** Called while it keeps others waiting, for so many ms since the last time. */
  wasStuck(duration: number): void {
    this.#stuck += duration
    if (this.#stuck < MAX_STUCK) return
    this.#stuck = 0
    const now = clock()
    // One that was fast for long since the last time begins anew.
    this.#bar = now - this.#barredUntil < this.#bar ? Math.min(2 * this.#bar, MAX_BAR) : FIRST_BAR
    this.#barredUntil = now + this.#bar
    this.#fastRuns = 0
  }
}

/** A connection that calls share, from the first of them to the last. */
interface Lane {
  readonly opening: Connection | Promise<Connection>
  /** Undefined while it waits for the pool. */
  connection: Connection | undefined
  /** When it got its connection, in ms of the monotonic clock. */
  since: number
  /** How the connection idled before, as long as no call has used it. */
  unused: Idle | undefined
  /** Number of calls that are not answered, and how long they are expected to take, in ms. */
  calls: number
  load: number
}

export class Lanes {
  readonly #pool: Pool
  /** Those that have calls, and those of them that take more. */
  readonly #lanes = new Set<Lane>()
  #open: Lane[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(pool: Pool) {
    this.#pool = pool
    pool.onNeeded = () => this.#leaveUnused()
  }

  /**
   * Runs a statement on a connection that it may share.
   *
   * @param work runs the statement alone, without a transaction around it
   */
  async run<T>(pace: Pace, work: (connection: Connection) => Promise<T>): Promise<T> {
    const { expected } = pace
    const lane = this.#laneFor(expected)
    lane.unused = undefined
    lane.calls++
    lane.load += expected
    try {
      return await work(lane.connection ?? (await this.#whenOpen(lane)))
    } finally {
      lane.load -= expected
      if (--lane.calls === 0) this.#endSoon(lane)
    }
  }

  /** Ends a lane at the end of this turn of the event loop, unless a caller that was answered makes another call. */
  #endSoon(lane: Lane): void {
    if (!this.#open.includes(lane)) this.#end(lane)
    else setImmediate(() => lane.calls === 0 && this.#end(lane))
  }

  async #whenOpen(lane: Lane): Promise<Connection> {
    try {
      return await lane.opening
    } catch (error) {
      // All calls that wait for it get an error of their own.
      throw copyOf(error)
    }
  }

  #laneFor(expected: number): Lane {
    let lane = this.#open.find(({ load }) => load + expected <= MAX_LOAD)
    if (lane !== undefined && !this.#mayGoOn(lane)) {
      this.#open = this.#open.filter(other => this.#mayGoOn(other))
      lane = this.#open.find(({ load }) => load + expected <= MAX_LOAD)
    }
    return lane ?? this.#begin()
  }

  #mayGoOn({ connection, since }: Lane): boolean {
    return connection === undefined || this.#pool.mayKeep(connection, since, this.#lanes.size)
  }

  #begin(): Lane {
    const opening = this.#pool.acquire(true)
    const lane: Lane = { opening, connection: undefined, since: 0, unused: undefined, calls: 0, load: 0 }
    this.#lanes.add(lane)
    this.#open.push(lane)
    const open = (connection: Connection) => {
      lane.connection = connection
      lane.since = clock()
      connection.isShared = true
    }
    if (opening instanceof Promise) opening.then(open, () => this.#close(lane))
    else open(opening)
    if (this.#timer === undefined) this.#startTimer()
    return lane
  }

  /**
   * Gives back a connection that waits for the end of the turn, so that a write that follows a read runs on the same
   * one: its server process is awake, and has the rows at hand.
   */
  #leaveUnused(): void {
    const lane = this.#open.find(({ calls }) => calls === 0)
    const connection = lane?.connection
    if (lane === undefined || connection === undefined || connection.inTransaction) return
    const other = this.#pool.exchange(connection)
    if (other !== undefined) {
      connection.isShared = false
      other.connection.isShared = true
      lane.connection = other.connection
      lane.unused = other
      lane.since = clock()
    } else if (this.#pool.hasRoom) {
      this.#end(lane)
    }
  }

  /** Lets the lane take no more calls. */
  #close(lane: Lane): void {
    this.#open = this.#open.filter(other => other !== lane)
  }

  #end(lane: Lane): void {
    this.#close(lane)
    if (!this.#lanes.delete(lane)) return
    const { connection } = lane
    if (connection === undefined) return
    connection.isShared = false
    if (connection.inTransaction) connection.destroy()
    this.#pool.release(connection, lane.unused)
  }

  #startTimer(): void {
    const look = () => {
      this.#timer = undefined
      if (this.#lanes.size > 0) this.#startTimer()
      for (const lane of this.#lanes) this.#look(lane)
    }
    this.#timer = lettingExit(setTimeout(look, LOOK_EVERY))
  }

  /** Closes a lane that is stuck. */
  #look(lane: Lane): void {
    const oldest = lane.connection?.oldest
    if (oldest === undefined || clock() - oldest.since < STUCK_AFTER) return
    // An answer may be there, if it was this process that was busy: then it is read before this runs.
    setImmediate(() => {
      if (lane.connection?.oldest !== oldest) return
      oldest.request.timing?.wasStuck(LOOK_EVERY)
      this.#close(lane)
    })
  }
}
