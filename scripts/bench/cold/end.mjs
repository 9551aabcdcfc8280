/** Tells the memory that the process has, and ends it. */
export function end() {
  console.log(`rss ${process.memoryUsage.rss()}`)
  process.exit()
}
