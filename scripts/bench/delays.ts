/** How long the event loop is kept from running, on SQLite: under 64 writers, and while another process holds the lock. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Worker } from './process.ts'
import type { DelayResult } from './report.ts'
import { median, rounded } from './statistics.ts'

const HELD = 3000

/** Has another process take the write lock for 3 seconds; resolves when it has it. `ended` resolves when it is gone. */
async function holdLock(location: string, root: string): Promise<{ ended: Promise<unknown> }> {
  const script = `
    const db = require('better-sqlite3')(${JSON.stringify(location)})
    db.exec('BEGIN IMMEDIATE')
    console.log('held')
    setTimeout(() => { db.exec('COMMIT'); db.close() }, ${HELD})`
  const holder = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'], cwd: root })
  const ended = once(holder, 'exit')
  await Promise.race([
    once(holder.stdout, 'data'),
    ended.then(([status]) => Promise.reject(new Error(`The holder of the lock ended with status ${status}.`)))
  ])
  return { ended }
}

export async function measureDelays(
  workers: readonly Worker[],
  rounds: number,
  milliseconds: number,
  root: string
): Promise<DelayResult[]> {
  const results: DelayResult[] = []
  const add = (contestant: string, work: DelayResult['work'], delays: readonly number[], writes: number | undefined) => {
    results.push({
      contestant,
      work,
      delay: rounded(median(delays), 3),
      worst: rounded(Math.max(...delays), 3),
      ...(writes !== undefined && { writesPerSecond: rounded(writes, 3) })
    })
  }
  for (const work of ['set', 'path-set'] as const) {
    const samples = new Map(workers.map(worker => [worker, [] as { delay: number; writes: number }[]]))
    for (let round = 0; round < rounds; round++) {
      for (const worker of workers) samples.get(worker)?.push(await worker.call('writers', work, milliseconds))
    }
    for (const [{ name }, all] of samples) {
      const delays = all.map(({ delay }) => delay)
      const speeds = all.map(({ writes, delay }) => (writes * 1000) / Math.max(milliseconds, delay))
      add(name, work, delays, median(speeds))
    }
  }
  for (const worker of workers) {
    const delays: number[] = []
    for (let round = 0; round < rounds; round++) {
      const { ended } = await holdLock(worker.target.location, root)
      const { delay } = await worker.call('blocked')
      delays.push(delay)
      await ended
    }
    add(worker.name, 'held-lock', delays, undefined)
  }
  return results
}
