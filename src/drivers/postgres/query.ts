/**
 * What travels to the server for one call: a class of `pg` whose messages are chosen here, so that a statement that is
 * prepared is not described again, and one that is given up is closed in the same flight.
 */
import type { Field, Prepared } from './statements.ts'
import type { PostgresValue } from './values.ts'

/** The messages of the protocol, as `pg` sends them. */
export interface MessageSender {
  readonly stream: { cork?(): void; uncork?(): void }
  query(text: string): void
  parse(message: { text: string; name: string }): void
  bind(message: { statement: string; values: readonly unknown[] }): void
  describe(message: { type: 'S' | 'P'; name: string }): void
  execute(message: object): void
  close(message: { type: 'S'; name: string }): void
  sync(): void
}

/** What is used of `pg`'s Query. */
export interface BaseQuery {
  handleRowDescription(message: { readonly fields: readonly Field[] }): void
}

export type BaseQueryConstructor = new (config: { text: string; callback: unknown }) => BaseQuery

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
}

export type QueryConstructor = new (request: Request, callback: unknown) => BaseQuery

const classes = new WeakMap<BaseQueryConstructor, QueryConstructor>()

/** Returns the class of queries for `pg`'s own, which a pipelined client insists on. */
export function queryClassOf(Base: BaseQueryConstructor): QueryConstructor {
  let made = classes.get(Base)
  if (made === undefined) {
    made = makeClass(Base)
    classes.set(Base, made)
  }
  return made
}

function makeClass(Base: BaseQueryConstructor): QueryConstructor {
  return class Query extends Base {
    readonly #request: Request

    constructor(request: Request, callback: unknown) {
      super({ text: request.text, callback })
      this.#request = request
    }

    /** Called by `pg` when it is this query's turn to be sent. */
    submit(connection: MessageSender): null {
      const { text, values, closing = [] } = this.#request
      if (values === undefined) {
        connection.query(text)
        return null
      }
      // Else each message may travel in a packet of its own.
      connection.stream.cork?.()
      try {
        for (const name of closing) connection.close({ type: 'S', name })
        this.#sendStatement(connection, values)
        connection.sync()
      } finally {
        connection.stream.uncork?.()
      }
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
      if (prepared?.fields === undefined) {
        if (prepared === undefined || !isNew) connection.describe({ type: 'P', name: '' })
      } else if (prepared.fields.length > 0) super.handleRowDescription({ fields: prepared.fields })
      connection.execute({})
    }

    override handleRowDescription(message: { readonly fields: readonly Field[] }): void {
      const { prepared, isDescription } = this.#request
      if (prepared !== undefined) prepared.fields = message.fields
      if (!isDescription) super.handleRowDescription(message)
    }

    /** Answered by the connection, which knows what was sent behind it. */
    handleCopyInResponse(): void {}
  } as unknown as QueryConstructor
}
