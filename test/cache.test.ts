import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { BoundedCache } from '../src/cache.ts'

describe('A bounded cache', () => {
  const held = (cache: BoundedCache<number>, keys: readonly string[]) => keys.filter(key => cache.get(key) !== undefined)

  test('never holds more than its number of entries', () => {
    const cache = new BoundedCache<number>(10, 1_000_000)
    const keys = Array.from({ length: 100 }, (_, i) => `key ${i}`)
    keys.forEach((key, i) => {
      cache.set(key, i)
    })
    const { length } = held(cache, keys)
    assert.ok(length <= 10 && length >= 5, `${length} entries`)
  })

  test('never holds more than its length of keys', () => {
    const cache = new BoundedCache<number>(1000, 1000)
    const keys = Array.from({ length: 100 }, (_, i) => `${i}`.padEnd(100))
    keys.forEach((key, i) => {
      cache.set(key, i)
    })
    const { length } = held(cache, keys)
    assert.ok(length <= 10 && length >= 5, `${length} entries`)
  })

  test('keeps what is used while others come and go', () => {
    const cache = new BoundedCache<number>(10, 1000)
    cache.set('used', 1)
    for (let i = 0; i < 1000; i++) {
      assert.equal(cache.get('used'), 1)
      cache.set(`key ${i}`, i)
    }
  })

  test('keeps nothing that is longer than its limit, and loses nothing for it', () => {
    const cache = new BoundedCache<number>(10, 100)
    cache.set('short', 1)
    cache.set('long'.repeat(100), 2)
    assert.deepEqual(held(cache, ['short', 'long'.repeat(100)]), ['short'])
  })

  test('is empty after clear()', () => {
    const cache = new BoundedCache<number>(4, 100)
    for (const key of ['a', 'b', 'c']) cache.set(key, 1)
    cache.clear()
    assert.deepEqual(held(cache, ['a', 'b', 'c']), [])
  })
})
