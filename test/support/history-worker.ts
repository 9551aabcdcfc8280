/** Does random calls on a few keys of the store, as one of several processes; prints what it did and saw, as JSON. */
import { once } from 'node:events'
import { createDatabase, type DatabaseConfig, type KeyValueStore } from '../../src/index.ts'
import type { Operation } from './linearizability.ts'

export interface HistoryTask {
  readonly config: DatabaseConfig
  readonly worker: number
  readonly keys: readonly string[]
  /** Number of turns; in each, one to three calls are made without waiting in between. */
  readonly turns: number
  readonly seed: number
}

interface Value {
  readonly set?: string
  readonly parts?: Readonly<Record<string, string>>
  readonly list?: readonly string[]
}

const { config, worker, keys, turns, seed } = JSON.parse(process.argv[2] as string) as HistoryTask
const db = createDatabase(config)
await db.get()
console.log('ready')
await once(process.stdin, 'data')
process.stdin.destroy()

let state = seed * 7919 + worker * 104_729 + 1
/** A whole number below `n`, by a linear congruential generator. */
function below(n: number): number {
  state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
  return Math.floor((state / 2_147_483_648) * n)
}

const history: Operation[] = []
let count = 0

/** Nanoseconds of a clock that all processes of the machine share, as a number of microseconds. */
function now(): number {
  return Number(process.hrtime.bigint() / 1000n)
}

/** Makes a call and writes down what it did to each key. */
async function record(
  call: () => Promise<unknown>,
  steps: (result: unknown) => (Omit<Operation, 'worker' | 'order' | 'start' | 'end'> & { worker?: number })[]
): Promise<void> {
  const order = count++
  const start = now()
  const result = await call()
  const end = now()
  for (const step of steps(result)) history.push({ worker, ...step, order, start, end })
}

function append(value: Value | null, id: string): Value {
  return { ...value, list: [...(value?.list ?? []), id] }
}

function callOnce(kvs: KeyValueStore): Promise<void> {
  const key = keys[below(keys.length)] as string
  const own = count
  const id = `${worker}-${own}`
  const some = keys.filter(() => below(2) === 0)
  switch (below(9)) {
    case 0:
      return record(
        () => kvs.set(key, { set: id }),
        () => [{ key, kind: 'set', argument: { set: id } }]
      )
    case 1:
    case 2:
      return record(
        () => kvs.set(key, id, ['parts', `w${worker}`]),
        () => [{ key, kind: 'part', name: `w${worker}`, argument: id }]
      )
    case 3:
      return record(
        () => kvs.update<Value>(key, value => append(value, id)),
        result => [{ key, kind: 'append', argument: id, result }]
      )
    case 4:
      return record(
        () => kvs.getMany(some),
        result => some.map(key => ({ key, kind: 'get', result: (result as Map<string, unknown>).get(key) ?? null }))
      )
    case 5:
      return record(
        () => kvs.setMany(some.map(key => [key, { set: id }] as const)),
        () => some.map(key => ({ key, kind: 'set', argument: { set: id } }))
      )
    case 6:
      return record(
        () => kvs.deleteMany([key]),
        result => [{ key, kind: 'delete', result: result === 1 }]
      )
    case 7:
      return record(
        () =>
          db.transaction(
            async tx => {
              const value = append(await tx.kvs.update<Value>(key, old => ({ ...old })), id)
              await tx.kvs.set(key, value)
              return value
            },
            { retries: 50 }
          ),
        // Calls of the store that are made meanwhile have no order with a transaction.
        result => [{ key, kind: 'append', argument: id, result, worker: 1_000_000 * (worker + 1) + own }]
      )
    default:
      return record(
        () => kvs.get(key),
        result => [{ key, kind: 'get', result }]
      )
  }
}

for (let turn = 0; turn < turns; turn++) {
  await Promise.all(Array.from({ length: 1 + below(3) }, () => callOnce(db.kvs)))
}
await db.close()
console.log(JSON.stringify(history))
