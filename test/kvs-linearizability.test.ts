/** Several processes do random calls on a few keys; each key's history must be that of one value. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { startPgBouncer } from '../scripts/pgbouncer.ts'
import { createDatabase, type DatabaseConfig } from '../src/index.ts'
import { onEachSharedDatabase } from './support/databases.ts'
import type { HistoryTask } from './support/history-worker.ts'
import { linearize, type Operation } from './support/linearizability.ts'
import { finished, start } from './support/processes.ts'

const PROCESSES = 4
const TURNS = Number(process.env.DUOLECT_TEST_TURNS ?? 150)

async function historyOf(config: DatabaseConfig, keys: readonly string[], seed: number): Promise<Operation[]> {
  const db = createDatabase(config)
  await db.kvs.deleteMany(keys)
  await db.close()
  const workers = Array.from({ length: PROCESSES }, (_, worker) => {
    const task: HistoryTask = { config, worker, keys, turns: TURNS, seed }
    return start('history-worker.ts', task)
  })
  const ends = Promise.all(workers.map(finished))
  await Promise.all(workers.map(child => Promise.race([once(child.stdout as Readable, 'data'), once(child, 'exit')])))
  for (const { stdin } of workers) stdin?.end('go')
  const ended = await ends
  for (const { status, output } of ended) assert.equal(status, 0, output)
  return ended.flatMap(({ output }) => JSON.parse(output.replace('ready', '')) as Operation[])
}

async function check(config: DatabaseConfig, seed: number): Promise<void> {
  const keys = ['x', 'y', 'z'].map(name => `history-${name}-${seed}`)
  const history = await historyOf(config, keys, seed)
  assert.ok(history.length > PROCESSES * TURNS)
  for (const key of keys) {
    const operations = history.filter(operation => operation.key === key)
    assert.ok(operations.length > 100)
    assert.ok(linearize(operations), `the ${operations.length} operations on ${key} (seed ${seed}) have no order`)
  }
}

onEachSharedDatabase(`The calls of ${PROCESSES} processes`, database => {
  for (const seed of [1, 2]) {
    test(`are linearizable (seed ${seed})`, { timeout: 120_000 }, async () => check(await database.config(), seed))
  }
})

describe(`The calls of ${PROCESSES} processes (postgres behind PgBouncer in transaction mode)`, () => {
  test('are linearizable', { timeout: 120_000 }, async () => {
    const pooler = await startPgBouncer(process.env.TEST_PG_URL as string)
    try {
      await check({ postgres: { enabled: true, connection: pooler.url, pooler: true } }, 3)
    } finally {
      await pooler.stop()
    }
  })
})

describe('The check of histories', () => {
  const operation = (kind: Operation['kind'], start: number, end: number, more: Partial<Operation> = {}): Operation => ({
    key: 'k',
    kind,
    worker: start,
    order: start,
    start,
    end,
    ...more
  })

  test('accepts calls that overlap, in the order that explains them', () => {
    const history = [
      operation('set', 0, 10, { argument: { set: 1 } }),
      operation('get', 1, 9, { result: null }),
      operation('get', 2, 20, { result: { set: 1 } })
    ]
    assert.deepEqual(
      linearize(history)?.map(({ start }) => start),
      [1, 0, 2]
    )
  })

  for (const [title, history] of [
    ['a read that goes back in time', [operation('set', 0, 1, { argument: { set: 1 } }), operation('get', 2, 3, { result: null })]],
    [
      'a lost update',
      [
        operation('append', 0, 5, { argument: 'a', result: { list: ['a'] } }),
        operation('append', 1, 6, { argument: 'b', result: { list: ['b'] } })
      ]
    ],
    [
      'two calls of one process in the wrong order',
      [
        operation('set', 0, 10, { worker: 1, order: 1, argument: { set: 1 } }),
        operation('get', 0, 10, { worker: 1, order: 2, result: null })
      ]
    ],
    ['a removal of what is not there', [operation('delete', 0, 1, { result: true })]]
  ] as const) {
    test(`refuses ${title}`, () => assert.equal(linearize(history), undefined))
  }
})
