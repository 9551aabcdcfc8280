import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { describe, type TestContext, test } from 'node:test'
import { startPgBouncer } from '../scripts/pgbouncer.ts'
import { createDatabase, type DatabaseConfig } from '../src/index.ts'
import { onEachSharedDatabase } from './support/databases.ts'
import type { WorkerTask } from './support/kvs-worker.ts'
import { finished, start } from './support/processes.ts'

const PROCESSES = 8
const COUNT = 200

/** Has all processes work at the same time on a key that is absent at first, and returns what is stored then. */
async function runWorkers(t: TestContext, name: string, config: DatabaseConfig, work: WorkerTask['work']): Promise<unknown> {
  const db = createDatabase(config)
  await db.get()
  const workers = Array.from({ length: PROCESSES }, (_, worker) => {
    const task: WorkerTask = { config, work, key: 'shared', worker, count: COUNT }
    return start('kvs-worker.ts', task)
  })
  const ends = Promise.all(workers.map(finished))
  // All begin when the last is ready, or when one could not become it, which its status will tell.
  await Promise.all(workers.map(child => Promise.race([once(child.stdout as Readable, 'data'), once(child, 'exit')])))
  for (const { stdin } of workers) stdin?.end('go')
  const ended = await ends
  for (const { status, output } of ended) assert.equal(status, 0, output)
  const printed = ended.map(({ output }) => JSON.parse(output.replace('ready', '')) as number[])
  const latencies = printed.flat().sort((one, other) => one - other)
  assert.equal(latencies.length, PROCESSES * COUNT)
  const quantile = (part: number) => `${latencies[Math.floor(part * (latencies.length - 1))]?.toFixed(1)} ms`
  t.diagnostic(`${work} on ${name}: p50 ${quantile(0.5)}, p99 ${quantile(0.99)}, longest ${quantile(1)}`)
  const stored = await db.kvs.get('shared')
  await db.close()
  return stored
}

const NAMES = Array.from({ length: PROCESSES }, (_, worker) => `w${worker}`)
/** The last four values of the counter at each index. */
const COUNTERS = [COUNT, COUNT - 3, COUNT - 2, COUNT - 1]
/** What all workers' path sets come to. */
const PATHS = { workers: Object.fromEntries(NAMES.map(name => [name, { counters: COUNTERS }])) }

onEachSharedDatabase(`${PROCESSES} processes on one key`, database => {
  test(`lose none of ${COUNT} path sets each, on sibling paths`, { timeout: 120_000 }, async t => {
    assert.deepEqual(await runWorkers(t, database.name, await database.config(), 'path'), PATHS)
  })

  test(`lose none of ${COUNT} updates each, of one counter`, { timeout: 120_000 }, async t => {
    assert.deepEqual(await runWorkers(t, database.name, await database.config(), 'update'), { count: PROCESSES * COUNT })
  })
})

describe(`${PROCESSES} processes on one key (postgres behind PgBouncer in transaction mode)`, () => {
  test(`lose none of ${COUNT} path sets and updates each`, { timeout: 120_000 }, async t => {
    const pooler = await startPgBouncer(process.env.TEST_PG_URL as string)
    const config = { postgres: { enabled: true, connection: pooler.url, pooler: true } }
    const db = createDatabase(config)
    await db.kvs.delete('shared')
    assert.deepEqual(await runWorkers(t, 'PgBouncer', config, 'path'), PATHS)
    await db.kvs.delete('shared')
    assert.deepEqual(await runWorkers(t, 'PgBouncer', config, 'update'), { count: PROCESSES * COUNT })
    await db.kvs.delete('shared')
    await db.close()
    await pooler.stop()
  })
})
