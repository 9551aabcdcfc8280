/** How long fast reads take beside slow ones, on Postgres: one of a hundred takes 200 ms, by the text of the others or by one of its own. */
import type { Contestant } from './contestant.ts'
import { PAUSES, SLOW_ROW } from './data.ts'
import type { Worker } from './process.ts'
import type { SlowReadResult } from './report.ts'
import { median, quantile, rounded } from './statistics.ts'

const CALLERS = 64

export interface Reads {
  /** The times of the fast reads, in ms. */
  readonly fast: readonly number[]
  readonly count: number
}

/** Has 64 callers read for so long, in the process that it runs in. */
export async function readBesideSlow(contestant: Contestant, milliseconds: number, hasOwnText: boolean): Promise<Reads> {
  const read = contestant.pausedRow
  if (read === undefined) throw new Error('There is no such call.')
  const fast: number[] = []
  let count = 0
  const end = performance.now() + milliseconds
  const caller = async () => {
    for (let now = performance.now(); now < end; ) {
      const id = count++ % PAUSES
      const row = await read(id, hasOwnText && id === SLOW_ROW)
      if (row !== id) throw new Error(`Asked for the row ${id}, got ${row}.`)
      const after = performance.now()
      if (id !== SLOW_ROW) fast.push(after - now)
      now = after
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
  return { fast, count }
}

export async function measureSlowReads(workers: readonly Worker[], rounds: number, milliseconds: number): Promise<SlowReadResult[]> {
  const results: SlowReadResult[] = []
  for (const hasOwnText of [true, false]) {
    const samples = new Map(workers.map(worker => [worker.name, [] as { rate: number; p50: number; p99: number }[]]))
    for (const worker of workers) await worker.call('slowReads', milliseconds / 2, hasOwnText)
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < workers.length; i++) {
        const worker = workers[(i + round) % workers.length] as Worker
        const { fast, count } = await worker.call('slowReads', milliseconds, hasOwnText)
        samples.get(worker.name)?.push({ rate: (count * 1000) / milliseconds, p50: median(fast), p99: quantile(fast, 0.99) })
      }
    }
    for (const [contestant, all] of samples) {
      const of = (pick: (sample: (typeof all)[number]) => number) => rounded(median(all.map(pick)), 3)
      results.push({ contestant, hasOwnText, readsPerSecond: of(({ rate }) => rate), p50: of(({ p50 }) => p50), p99: of(({ p99 }) => p99) })
    }
  }
  return results
}
