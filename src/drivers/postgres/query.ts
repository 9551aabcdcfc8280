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

/** What the server has answered to a statement, or to the last one of a script. */
export interface Result {
  /** The first word of the command's tag, such as `UPDATE`; null for an empty text. */
  readonly command: string | null
  /** The number of the command's tag; null where it has none. */
  readonly rowCount: number | null
  /** Not named `rows`, which `pg` takes for a limit. */
  readonly found: Row[]
  /** The columns; undefined for a statement without rows. */
  readonly plan: RowPlan | undefined
}

/** Is told how long a statement takes. */
export interface Timing {
  /**
   * @param duration how long it was the oldest unanswered statement of its connection, in ms
   * @param wasBehind true if another one was before it
   */
  ran(duration: number, wasBehind: boolean): void
  /** Called while it keeps others waiting, for so many ms since the last time. */
  isStuck(duration: number): void
}

/** What is sent. */
export interface Request {
  readonly text: string
  /** Undefined for a script, which goes by the simple protocol. */
  readonly values?: PostgresValue[] | undefined
  readonly prepared?: Prepared | undefined
  /** Names to be closed before. */
  readonly closing?: readonly string[] | undefined
  /** True if the statement is only to be prepared. */
  readonly isDescription?: boolean | undefined
  readonly timing?: Timing | undefined
}

/** Called with what has failed, or with the result. */
export type OnResult = (error: Error | null, result?: Result) => void

export type QueryConstructor = new (request: Request, callback: OnResult) => object

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

function makeClass(): QueryConstructor {
  return class Query implements Result {
    readonly text: string
    readonly callback: OnResult
    readonly #request: Request
    command: string | null = null
    rowCount: number | null = null
    found: Row[] = []
    plan: RowPlan | undefined = undefined
    /** What has failed while rows were decoded. */
    #failure: Error | undefined

    constructor(request: Request, callback: OnResult) {
      this.text = request.text
      this.callback = callback
      this.#request = request
    }

    /** Called by `pg` when it is this query's turn to be sent. */
    submit(connection: MessageSender): null {
      const { text, values, closing = [] } = this.#request
      if (values === undefined) {
        connection.query(text)
        return null
      }
      for (const name of closing) connection.close({ type: 'S', name })
      this.#sendStatement(connection, values)
      connection.sync()
      return null
    }

    #sendStatement(connection: MessageSender, values: PostgresValue[]): void {
      const { text, prepared, isDescription } = this.#request
      const statement = prepared?.name ?? ''
      const isNew = prepared === undefined || !prepared.isSent
      if (isNew) connection.parse({ text, name: statement })
      if (prepared !== undefined) prepared.isSent = true
      if (isDescription || (prepared !== undefined && isNew)) connection.describe({ type: 'S', name: statement })
      if (isDescription) return
      connection.bind({ statement, values })
      // The server fails a statement whose columns are no longer those that it has told.
      if (prepared?.plan === undefined) {
        if (prepared === undefined || !isNew) connection.describe({ type: 'P', name: '' })
      } else if (prepared.plan !== null) this.#begin(prepared.plan)
      connection.execute({})
    }

    /** The rows of a result follow. */
    #begin(plan: RowPlan): void {
      this.plan = plan.begin()
      if (this.found.length > 0) this.found = []
    }

    handleRowDescription({ fields }: { readonly fields: readonly Field[] }): void {
      const { prepared, isDescription } = this.#request
      const plan = RowPlan.of(fields)
      if (prepared !== undefined) prepared.plan = plan
      if (!isDescription) this.#begin(plan)
    }

    handleDataRow({ fields: cells }: { readonly fields: Cells }): void {
      if (this.#failure !== undefined) return
      try {
        this.found.push((this.plan as RowPlan).decode(cells))
      } catch (error) {
        this.#failure = error as Error
      }
    }

    /** The tag is such as `INSERT 0 5`, `SELECT 3` or `CREATE TABLE`. */
    handleCommandComplete({ text: tag }: { readonly text: string }): void {
      const space = tag.indexOf(' ')
      const count = space === -1 ? Number.NaN : Number(tag.slice(tag.lastIndexOf(' ') + 1))
      this.command = space === -1 ? tag : tag.slice(0, space)
      this.rowCount = Number.isNaN(count) ? null : count
    }

    handleError(error: Error): void {
      this.callback(this.#failure ?? error)
    }

    handleReadyForQuery(): void {
      if (this.#failure === undefined) this.callback(null, this)
      else this.callback(this.#failure)
    }

    handleEmptyQuery(): void {}
    handlePortalSuspended(): void {}
    handleCopyData(): void {}
    /** Answered by the connection, which knows what was sent behind it. */
    handleCopyInResponse(): void {}
  } as unknown as QueryConstructor
}
