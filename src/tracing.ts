/**
 * Tracing of statements over `node:diagnostics_channel`: the tracing channel `duolect:query`. While nobody listens it
 * costs one look at a flag.
 */
import { tracingChannel } from 'node:diagnostics_channel'
import type { Dialect } from './adapter.ts'
import { clock } from './clock.ts'

/** The message of the tracing channel: one statement, without its parameters. */
export interface QueryTrace {
  /** The database that ran it. */
  readonly dialect: Dialect
  /** The statement, as the database got it; of a batch, all statements. */
  readonly sql: string
  /** How long it took, in ms; set at its end. */
  duration?: number
  /** How many rows came back; set at its end. */
  rows?: number
  /** Set when it failed. */
  error?: unknown
}

const channel = tracingChannel<QueryTrace, QueryTrace>('duolect:query')
const { start, end, asyncStart, asyncEnd, error } = channel

/** True if the channel has a subscriber. */
export function isTraced(): boolean {
  return start.hasSubscribers || end.hasSubscribers || asyncStart.hasSubscribers || asyncEnd.hasSubscribers || error.hasSubscribers
}

/** Does the work and publishes its events. */
export async function trace<T>(dialect: Dialect, sql: string, work: () => T | Promise<T>): Promise<T> {
  const context: QueryTrace = { dialect, sql }
  const began = clock()
  let result: T | undefined
  // tracePromise() publishes what the promise resolves with, so that must not be the rows.
  await channel.tracePromise(async () => {
    try {
      result = await work()
      const rows = rowsOf(result)
      if (rows !== undefined) context.rows = rows
    } finally {
      context.duration = clock() - began
    }
  }, context)
  return result as T
}

/** Number of rows of a result, of a batch, or of a portion of an iteration. */
function rowsOf(result: unknown): number | undefined {
  const rows: unknown = Array.isArray(result) ? result : (result as { value?: unknown } | undefined)?.value
  if (!Array.isArray(rows)) return undefined
  // The rows of a batch are those of all its queries.
  return rows.reduce((sum: number, row: unknown) => sum + (Array.isArray(row) ? row.length : 1), 0)
}
