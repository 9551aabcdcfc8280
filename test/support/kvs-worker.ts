/**
 * Writes to the key-value store as one of several processes. Prints `ready` when the database is open, begins at the
 * first byte of its input, and prints how long each call took, as JSON.
 */
import { once } from 'node:events'
import { createDatabase, type DatabaseConfig } from '../../src/index.ts'

export interface WorkerTask {
  readonly config: DatabaseConfig
  /** `path` sets a counter of the worker's own; `update` counts up the counter that all share. */
  readonly work: 'path' | 'update'
  readonly key: string
  readonly worker: number
  readonly count: number
}

const { config, work, key, worker, count } = JSON.parse(process.argv[2] as string) as WorkerTask
const db = createDatabase(config)
await db.get()
console.log('ready')
await once(process.stdin, 'data')
process.stdin.destroy()
const latencies: number[] = []
for (let i = 1; i <= count; i++) {
  const start = performance.now()
  if (work === 'path') await db.kvs.set(key, i, `workers.w${worker}.counters[${i % 4}]`)
  else await db.kvs.update<{ count: number }>(key, old => ({ count: (old?.count ?? 0) + 1 }))
  latencies.push(performance.now() - start)
}
await db.close()
console.log(JSON.stringify(latencies))
