/** The clock that durations and limits are measured by. */

/** Cloudflare Workers of older compatibility dates lack it. */
const read: typeof process.hrtime | undefined = process.hrtime

/**
 * Returns ms of a clock that is never set. Not by `performance.now()`, whose first use loads all of `perf_hooks`, 2 to 3
 * ms of a cold start.
 */
export function clock(): number {
  if (read === undefined) return performance.now()
  const [seconds, nanoseconds] = read()
  return seconds * 1e3 + nanoseconds / 1e6
}
