/**
 * The statements that one connection has prepared by name. The server keeps the parameters' types of a name for as long
 * as it lives: after ALTER COLUMN TYPE from DATE to TIMESTAMP it goes on cutting the time off, without an error. So a
 * name is prepared anew when it is old, or older than a change of tables that this process made.
 */
import { clock } from '../../clock.ts'
import type { RowPlan } from './rows.ts'

/** How long a name is used, in ms: as long as a change of tables by another process may go unnoticed. */
const MAX_AGE = 2_000

/** The server holds each statement in memory, for each connection. */
const MAX_STATEMENTS = 500
const MAX_LENGTH = 1024 * 1024
const MAX_TEXT_LENGTH = 32 * 1024

export interface Prepared {
  readonly text: string
  readonly name: string
  /** The number of the last change of tables before it was prepared. */
  readonly change: number
  /** When it was prepared, in ms of the monotonic clock. */
  readonly at: number
  /** True once Parse was sent, and once the server has answered it. */
  isSent: boolean
  isParsed: boolean
  /** The parameters' types, once the server has told them. */
  types: readonly number[] | undefined
  /** How its rows are decoded, once the server has told their columns; null for a statement without rows. */
  plan: RowPlan | null | undefined
}

export class PreparedStatements {
  /** The least recently used first. */
  readonly #statements = new Map<string, Prepared>()
  #length = 0
  #count = 0
  /** Names that are given up and still known to the server. */
  #closing: string[] = []

  /**
   * Returns the statement of a text: the one that is prepared, or one that has to be. Undefined for a text that is too
   * long to be kept.
   *
   * @param change the number of the last change of tables that this process made
   */
  take(text: string, change: number): Prepared | undefined {
    if (text.length > MAX_TEXT_LENGTH) return undefined
    const known = this.#statements.get(text)
    const now = clock()
    if (known !== undefined && known.change === change && now - known.at < MAX_AGE) {
      this.#statements.delete(text)
      this.#statements.set(text, known)
      return known
    }
    if (known !== undefined) this.forget(known)
    const statement: Prepared = {
      text,
      name: `duolect_${++this.#count}`,
      change,
      at: now,
      isSent: false,
      isParsed: false,
      types: undefined,
      plan: undefined
    }
    this.#statements.set(text, statement)
    this.#length += text.length
    while (this.#statements.size > MAX_STATEMENTS || this.#length > MAX_LENGTH) {
      this.forget(this.#statements.values().next().value as Prepared)
    }
    return statement
  }

  /** Gives a name up: it is closed with the next statement, and the text is prepared anew when it is used again. */
  forget(statement: Prepared): void {
    if (this.#statements.get(statement.text) !== statement) return
    this.#statements.delete(statement.text)
    this.#length -= statement.text.length
    if (statement.isSent) this.#closing.push(statement.name)
  }

  /** Returns the names to be closed now. */
  takeClosing(): readonly string[] {
    const closing = this.#closing
    if (closing.length > 0) this.#closing = []
    return closing
  }
}
