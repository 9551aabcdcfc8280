/**
 * Runs the work and returns the processor time of this process that it took, in ms. Other processes of the machine do
 * not count. For pure functions alone, whose steps cannot be counted from outside.
 */
export function processorTime(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}
