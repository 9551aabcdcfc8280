/** What gathers in a turn of the event loop, counted by how often it is begun. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createKeyValueStore } from '../src/index.ts'
import { Gathering } from '../src/turns.ts'
import { onEachDatabase } from './support/databases.ts'
import { watched } from './support/watched.ts'

/** Calls that gather, and how many were begun together each time. */
function gathered(): { call: () => Promise<void>; begun: number[] } {
  const begun: number[] = []
  const waiting: (() => void)[] = []
  const gathering = new Gathering(() => {
    const calls = waiting.splice(0)
    begun.push(calls.length)
    for (const settle of calls) settle()
    return calls.length
  })
  const call = () =>
    new Promise<void>(resolve => {
      waiting.push(resolve)
      gathering.schedule()
    })
  return { call, begun }
}

/** Counts the turns of the event loop until it is stopped. */
function countTurns(): () => number {
  let count = 0
  let next = setImmediate(function look() {
    count++
    next = setImmediate(look)
  })
  return () => {
    clearImmediate(next)
    return count
  }
}

/** So many microtasks. */
async function hops(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await undefined
}

const ROUNDS = 20

/** Lets callers, whose chains of promises are up to five microtasks longer, make calls one after another. */
async function beside(width: number, call: (caller: number, round: number) => Promise<unknown>): Promise<void> {
  await Promise.all(
    Array.from({ length: width }, async (_, caller) => {
      for (let round = 0; round < ROUNDS; round++) {
        await hops(caller % 6)
        await call(caller, round)
      }
    })
  )
}

describe('Calls that gather', () => {
  test('wait for no turn while each is alone', async () => {
    const { call, begun } = gathered()
    const turns = countTurns()
    for (let i = 0; i < 1000; i++) await call()
    assert.ok(turns() < 500)
    assert.equal(begun.length, 1000)
  })

  for (const width of [2, 4, 8, 64, 256]) {
    test(`are begun together when ${width} callers make them, however long their chains of promises are`, async () => {
      const { call, begun } = gathered()
      await beside(width, call)
      assert.deepEqual(
        begun,
        Array.from({ length: ROUNDS }, () => width)
      )
    })
  }

  test('of several callbacks of a turn are begun at its end', async () => {
    const { call, begun } = gathered()
    for (let round = 0; round < ROUNDS; round++) {
      const calls: Promise<void>[] = []
      await Promise.all(
        Array.from(
          { length: 8 },
          () =>
            new Promise<void>(resolve => {
              setImmediate(() => {
                calls.push(call())
                resolve()
              })
            })
        )
      )
      await Promise.all(calls)
    }
    // The first call could not know that others follow.
    assert.deepEqual(begun, [1, 7, ...Array.from({ length: ROUNDS - 1 }, () => 8)])
  })

  test('wait for no turn again once they are alone', async () => {
    const { call, begun } = gathered()
    await Promise.all([call(), call()])
    await call()
    const turns = countTurns()
    for (let i = 0; i < 1000; i++) await call()
    assert.ok(turns() < 500)
    assert.equal(begun.length, 1002)
  })

  test('let the event loop run beside an endless chain of them', async () => {
    const { call } = gathered()
    let isOver = false
    setTimeout(() => {
      isOver = true
    }, 1)
    while (!isOver) await call()
  })
})

onEachDatabase('Sets of several callers', database => {
  for (const width of [1, 2, 4, 8, 64, 256]) {
    test(`are stored once a round, or by halves, when there are ${width}`, async () => {
      const db = await database.open()
      let stored = 0
      const adapter = new Proxy(watched(db, { statement: () => undefined, begin: () => stored++ }), {
        get(target, name) {
          if (name === 'execute') stored++
          return Reflect.get(target, name, target) as unknown
        }
      })
      const kvs = createKeyValueStore(adapter)
      await beside(width, (caller, round) => kvs.set(`key ${caller}`, round))
      // Two halves of many callers go on side by side; those that are left by a half that has ended share its place.
      if (database.dialect === 'postgres' && width >= 32) assert.ok(stored <= 3 * ROUNDS, `${stored} statements in ${ROUNDS} rounds`)
      else assert.equal(stored, ROUNDS)
      assert.equal(await kvs.get(`key ${width - 1}`), ROUNDS - 1)
    })
  }
})
