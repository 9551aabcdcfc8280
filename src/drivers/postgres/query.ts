/**
 * What travels to the server for one call: a class of `pg` whose messages are chosen here, so that a statement that is
 * prepared is not described again, and one that is given up is closed in the same flight.
 */
import type { Row } from '../../adapter.ts'
import { type Cells, type Field, RowPlan } from './rows.ts'
import type { Prepared } from './statements.ts'
import type { PostgresValue } from './values.ts'

/** The messages of the protocol, as `pg` sends them. */
export interface MessageSender {
  query(text: string): void
  parse(message: { text: string; name: string }): void
  bind(message: { statement: string; values: readonly unknown[] }): void
  describe(message: { type: 'S' | 'P'; name: string }): void
  execute(message: object): void
  close(message: { type: 'S'; name: string }): void
  sync(): void
}

/** `pg`'s Query, of which nothing is used but that a pipelined client takes no other. */
export type BaseQueryConstructor = new (config: { text: string }) => object

/** What the server has answered to one statement. */
export interface Result {
  /** The first word of the command's tag, such as `UPDATE`; null for an empty text. */
  readonly command: string | null
  /** The number of the command's tag; null where it has none. */
  readonly rowCount: number | null
  readonly rows: Row[]
  /** The columns; undefined for a statement without rows. */
  readonly plan: RowPlan | undefined
}

/** Is told how long a statement takes. */
export interface Timing {
  /**
   * @param duration how long it was the oldest unanswered statement of its connection, in ms
   * @param wasBehind true if it was sent right behind another one, so that its way to the server does not count
   */
  ran(duration: number, wasBehind: boolean): void
  /** Called while it keeps others waiting, for so many ms since the last time. */
  wasStuck(duration: number): void
}

/** A statement. */
export interface Part {
  readonly text: string
  readonly values: PostgresValue[]
  readonly prepared: Prepared | undefined
}

/** What is sent for one answer. */
export interface Request {
  /** A script, which goes by the simple protocol; undefined where there are parts. */
  readonly script?: string | undefined
  /** Statements that are run one after the other; behind one that fails, none is. */
  readonly parts: readonly Part[]
  /** Names to be closed before. */
  readonly closing?: readonly string[] | undefined
  /** True if the statement is only to be prepared. */
  readonly isDescription?: boolean | undefined
  readonly timing?: Timing | undefined
}

/** Called with what has failed, or with the results of the statements. */
export type OnResults = (error: Error | null, results: readonly Result[]) => void

/** A request on its way. */
export interface SentQuery {
  /** The statement whose answer is read; undefined for a script. */
  readonly part: Part | undefined
  /** The statement that has failed, once one has. */
  readonly failed: Part | undefined
  /** The results of the statements that are done. */
  readonly results: readonly Result[]
}

export type QueryConstructor = new (request: Request, callback: OnResults) => SentQuery

const classes = new WeakMap<BaseQueryConstructor, QueryConstructor>()

/** Returns the class of queries for `pg`'s own, which a pipelined client insists on. */
export function queryClassOf(Base: BaseQueryConstructor): QueryConstructor {
  let made = classes.get(Base)
  if (made === undefined) {
    made = makeClass()
    // It is of the class without its constructor, which makes an EventEmitter and more for each query.
    Object.setPrototypeOf(made.prototype, Base.prototype)
    classes.set(Base, made)
  }
  return made
}

const NO_ROWS: Row[] = []

function makeClass(): QueryConstructor {
  return class Query implements SentQuery {
    readonly text: string
    readonly callback: OnResults
    readonly #request: Request
    readonly results: Result[] = []
    /** The columns that were described for each statement when it was sent. */
    readonly #plans: (RowPlan | undefined)[] = []
    #plan: RowPlan | undefined
    #rows: Row[] = NO_ROWS
    /** What has failed while rows were decoded, and of which statement. */
    #failure: Error | undefined
    #failed: Part | undefined

    constructor(request: Request, callback: OnResults) {
      // For programs that watch the queries of `pg`.
      this.text = request.script ?? request.parts[0]?.text ?? ''
      this.callback = callback
      this.#request = request
    }

    get part(): Part | undefined {
      return this.#request.parts[this.results.length]
    }

    get failed(): Part | undefined {
      return this.#failed ?? this.part
    }

    /** Called by `pg` when it is this query's turn to be sent. */
    submit(connection: MessageSender): null {
      const { script, parts, closing = [] } = this.#request
      if (script !== undefined) {
        connection.query(script)
        return null
      }
      for (const name of closing) connection.close({ type: 'S', name })
      for (const part of parts) this.#send(connection, part)
      connection.sync()
      return null
    }

    #send(connection: MessageSender, { text, values, prepared }: Part): void {
      const { isDescription } = this.#request
      const statement = prepared?.name ?? ''
      const isNew = prepared === undefined || !prepared.isSent
      if (isNew) connection.parse({ text, name: statement })
      if (prepared !== undefined) prepared.isSent = true
      if (isDescription || (prepared !== undefined && isNew)) connection.describe({ type: 'S', name: statement })
      if (isDescription) return
      connection.bind({ statement, values })
      // The server fails a statement whose columns are no longer those that it has told.
      if (prepared?.plan === undefined && (prepared === undefined || !isNew)) connection.describe({ type: 'P', name: '' })
      this.#plans.push(prepared?.plan ?? undefined)
      connection.execute({})
    }

    handleRowDescription({ fields }: { readonly fields: readonly Field[] }): void {
      const prepared = this.part?.prepared
      this.#plan = RowPlan.of(fields)
      if (prepared !== undefined) prepared.plan = this.#plan
    }

    handleDataRow({ fields: cells }: { readonly fields: Cells }): void {
      if (this.#failure !== undefined) return
      if (this.#plan === undefined) this.#plan = this.#plans[this.results.length]
      if (this.#rows === NO_ROWS) this.#rows = []
      try {
        this.#rows.push((this.#plan as RowPlan).decode(cells))
      } catch (error) {
        this.#failure = error as Error
        this.#failed = this.part
      }
    }

    /** The tag is such as `INSERT 0 5`, `SELECT 3` or `CREATE TABLE`. */
    handleCommandComplete({ text: tag }: { readonly text: string }): void {
      const space = tag.indexOf(' ')
      const count = space === -1 ? Number.NaN : Number(tag.slice(tag.lastIndexOf(' ') + 1))
      this.#finish(space === -1 ? tag : tag.slice(0, space), Number.isNaN(count) ? null : count)
    }

    handleEmptyQuery(): void {
      this.#finish(null, null)
    }

    #finish(command: string | null, rowCount: number | null): void {
      const plan = this.#plan ?? this.#plans[this.results.length]
      plan?.used()
      this.results.push({ command, rowCount, rows: this.#rows === NO_ROWS ? [] : this.#rows, plan })
      this.#plan = undefined
      this.#rows = NO_ROWS
    }

    handleError(error: Error): void {
      this.callback(this.#failure ?? error, this.results)
    }

    handleReadyForQuery(): void {
      this.callback(this.#failure ?? null, this.results)
    }

    handlePortalSuspended(): void {}
    handleCopyData(): void {}
    /** Answered by the connection, which knows what was sent behind it. */
    handleCopyInResponse(): void {}
  } as unknown as QueryConstructor
}
