import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { createDatabase } from '../src/index.ts'
import { onEachSharedDatabase, type TestDatabase } from './support/databases.ts'
import type { WorkerTask } from './support/kvs-worker.ts'
import { finished, start } from './support/processes.ts'

const PROCESSES = 8
const COUNT = 200

/** Has all processes work at the same time on a key that is absent at first, and returns what is stored then. */
async function runWorkers(t: TestContext, database: TestDatabase, work: WorkerTask['work']): Promise<unknown> {
  const config = await database.config()
  const db = database.closeAfterTest(createDatabase(config))
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
  t.diagnostic(`${work} on ${database.name}: p50 ${quantile(0.5)}, p99 ${quantile(0.99)}, longest ${quantile(1)}`)
  return db.kvs.get('shared')
}

onEachSharedDatabase(`${PROCESSES} processes on one key`, database => {
  test(`lose none of ${COUNT} path sets each, on sibling paths`, { timeout: 120_000 }, async t => {
    const names = Array.from({ length: PROCESSES }, (_, worker) => `w${worker}`)
    // The last four values of the counter at each index.
    const counters = [COUNT, COUNT - 3, COUNT - 2, COUNT - 1]
    const expected = Object.fromEntries(names.map(name => [name, { counters }]))
    assert.deepEqual(await runWorkers(t, database, 'path'), { workers: expected })
  })

  test(`lose none of ${COUNT} updates each, of one counter`, { timeout: 120_000 }, async t => {
    assert.deepEqual(await runWorkers(t, database, 'update'), { count: PROCESSES * COUNT })
  })
})
