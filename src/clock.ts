/** The clock that durations and limits are measured by. */

/**
 * Returns ms of a clock that is never set. Not by `performance.now()`, whose first use loads all of `perf_hooks`, 2 to 3
 * ms of a cold start.
 */
export function clock(): number {
  // Looked up each time, as tests may replace it for a while; Cloudflare Workers of older compatibility dates lack it.
  if ((process.hrtime as typeof process.hrtime | undefined) === undefined) return performance.now()
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}
