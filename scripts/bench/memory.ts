/** Whether memory and file descriptors stay where they were under a long mixed load. */
import { readdirSync } from 'node:fs'
import type { Contestant } from './contestant.ts'
import * as data from './data.ts'

export interface MemoryResult {
  readonly minutes: number
  readonly calls: number
  /** MB after a garbage collection, over time; the first after a warm-up. */
  readonly heap: readonly number[]
  readonly rss: readonly number[]
  readonly descriptorsAtStart: number
  readonly descriptorsAtEnd: number
}

const SAMPLES = 20

function descriptors(): number {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return Number.NaN
  }
}

export async function measureMemory(contestant: Contestant, minutes: number): Promise<MemoryResult> {
  const rows = Array.from({ length: 100 }, (_, i) => data.mark(i))
  let calls = 0
  const call = async (i: number) => {
    calls++
    switch (i % 8) {
      case 0:
        return contestant.setValue(data.scattered(i), data.document(i))
      case 1:
        return contestant.setPath?.(data.scattered(i), 'role', i)
      case 2:
        return contestant.usersByFirstName?.(data.firstName(i))
      case 3:
        return contestant.userById?.(`messenger:${i % data.USERS}`)
      case 4:
        return i % 64 === 4 ? contestant.typedRows?.() : contestant.getValue(data.scattered(i))
      case 5:
        return i % 640 === 5 ? contestant.insertMarks?.(rows) : contestant.getValue(data.scattered(i))
      default:
        return i % 64 === 6 ? contestant.getPath(data.BIG_KEY, i % data.BIG_ITEMS) : contestant.getValue(data.scattered(i))
    }
  }
  const workFor = async (milliseconds: number) => {
    const end = performance.now() + milliseconds
    const caller = async () => {
      while (performance.now() < end) await call(calls)
    }
    await Promise.all(Array.from({ length: 64 }, caller))
  }
  const megabytes = (bytes: number) => Math.round(bytes / 1e4) / 100
  const heap: number[] = []
  const rss: number[] = []
  const total = minutes * 60_000
  await workFor(Math.min(10_000, total / SAMPLES))
  const descriptorsAtStart = descriptors()
  for (let i = 0; i <= SAMPLES; i++) {
    if (i > 0) await workFor(total / SAMPLES)
    globalThis.gc?.()
    const usage = process.memoryUsage()
    heap.push(megabytes(usage.heapUsed))
    rss.push(megabytes(usage.rss))
  }
  return { minutes, calls, heap, rss, descriptorsAtStart, descriptorsAtEnd: descriptors() }
}
