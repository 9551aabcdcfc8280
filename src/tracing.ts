/**
 * Tracing of statements over `node:diagnostics_channel`: the tracing channel `duolect:query`. While nobody listens it
 * costs one look at a flag.
 */
import { tracingChannel } from 'node:diagnostics_channel'
import type { Dialect } from './adapter.ts'

/** What a subscriber is told of a statement. Its parameters are not among it. */
export interface QueryTrace {
  readonly dialect: Dialect
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

/** Whether anybody listens. */
export function isTraced(): boolean {
  return start.hasSubscribers || end.hasSubscribers || asyncStart.hasSubscribers || asyncEnd.hasSubscribers || error.hasSubscribers
}

/** Does the work and tells the subscribers of it. */
export function trace<T>(dialect: Dialect, sql: string, work: () => T | Promise<T>): Promise<T> {
  const context: QueryTrace = { dialect, sql }
  const began = performance.now()
  return channel.tracePromise(async () => {
    try {
      const result = await work()
      if (Array.isArray(result)) context.rows = result.length
      return result
    } finally {
      context.duration = performance.now() - began
    }
  }, context)
}
