import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, test } from 'node:test'
import Native from 'better-sqlite3'
import pg from 'pg'
import type { DatabaseHandle } from '../src/handle.ts'
import {
  type Adapter,
  type BoundStatement,
  createDatabase,
  createKeyValueStore,
  type Database,
  type DatabaseConfig,
  type Entry,
  type JsonValue,
  type KeyValueStore,
  type ListOptions,
  type Path
} from '../src/index.ts'
import { toJson } from '../src/json.ts'
import { failsWith, onEachDatabase, onEachSharedDatabase } from './support/databases.ts'

async function collect<T = unknown>(entries: AsyncIterable<Entry<T>>): Promise<Entry<T>[]> {
  const all: Entry<T>[] = []
  for await (const entry of entries) all.push(entry)
  return all
}

async function keysOf(kvs: KeyValueStore, options?: ListOptions): Promise<string[]> {
  return (await collect(kvs.list(options))).map(({ key }) => key)
}

/** Objects in objects. */
function nested(levels: number): JsonValue {
  let value: JsonValue = {}
  for (let i = 0; i < levels; i++) value = { a: value }
  return value
}

/** What each call came to: its result, or its error's code. */
async function outcomes(calls: readonly Promise<unknown>[]): Promise<unknown[]> {
  const settled = await Promise.allSettled(calls)
  return settled.map(outcome => (outcome.status === 'fulfilled' ? outcome.value : (outcome.reason as { code: string }).code))
}

/** The database's adapter, which sends its first statement that returns rows only after 100 ms, as over a slow connection. */
function slowAtFirst(db: Database): Adapter {
  let delay = 100
  const adapter = (db as DatabaseHandle).runner
  return new Proxy(adapter, {
    get(target, name) {
      if (name === 'isInProcess') return false
      if (name === 'query') {
        return async (statement: BoundStatement) => {
          const wait = delay
          delay = 0
          if (wait > 0) await new Promise(resolve => setTimeout(resolve, wait))
          return target.query(statement)
        }
      }
      const value = Reflect.get(target, name, target) as unknown
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? String(value)
}

onEachDatabase('The guide of the key-value store', database => {
  test('its table of keys and values can be stored and read', async () => {
    const { kvs } = await database.open()
    const table: [string, unknown][] = [
      ['hello', 'world'],
      ['botpress', 'version 1.0'],
      ['movies', { batman: { released: 1962 } }],
      ['users.358583', { name: 'Sylvain' }],
      ['users.757739', { name: 'Dany' }]
    ]
    for (const [key, value] of table) await kvs.set(key, value)
    for (const [key, value] of table) assert.deepEqual(await kvs.get(key), value)
  })

  test('a circular structure is refused', async () => {
    const { kvs } = await database.open()
    const books: { first?: unknown } = {}
    books.first = { list: [books] }
    await assert.rejects(kvs.set('k', books), failsWith('invalid_value', /^value\.first\.list\[0\] .*circular/))
  })

  test('get returns the books of a user', async () => {
    const { kvs } = await database.open()
    const event = { user: { id: '002485' } }
    await kvs.set(`users/id/${event.user.id}/books`, ['Dune', 'Emma'])
    assert.deepEqual(await kvs.get(`users/id/${event.user.id}/books`), ['Dune', 'Emma'])
  })

  test('get with a path returns the role alone', async () => {
    const { kvs } = await database.open()
    await kvs.set('users/id/002485', { role: 'Admin', name: 'Perron', first_name: 'Sylvain' })
    assert.equal(await kvs.get('users/id/002485', 'role'), 'Admin')
  })

  test('set takes a Date, which comes back as its ISO text', async () => {
    const { kvs } = await database.open()
    const now = new Date()
    await kvs.set('bot_updated_on', now)
    assert.equal(await kvs.get('bot_updated_on'), now.toISOString())
  })

  test('set resolves with nothing', async () => {
    const { kvs } = await database.open()
    assert.equal(await kvs.set('users/id/002485', { name: 'Sylvain', first_name: 'Perron' }), undefined)
    assert.equal(await kvs.set('users/id/002485', 'Admin', 'role'), undefined)
  })

  test('set stores an object', async () => {
    const { kvs } = await database.open()
    await kvs.set('users/id/002485', { name: 'Sylvain', first_name: 'Perron' })
    assert.deepEqual(await kvs.get('users/id/002485'), { name: 'Sylvain', first_name: 'Perron' })
  })

  test('set with a path merges', async () => {
    const { kvs } = await database.open()
    await kvs.set('key', { a: 1, b: { _b: 2 } })
    await kvs.set('key', 5, 'b._b')
    assert.deepEqual(await kvs.get('key'), { a: 1, b: { _b: 5 } })
  })

  test('set without a path replaces the entire value', async () => {
    const { kvs } = await database.open()
    await kvs.set('key', { a: 1, b: { _b: 2 } })
    await kvs.set('key', { c: 3 })
    assert.deepEqual(await kvs.get('key'), { c: 3 })
  })

  test('an all-digit part of a path is an index; 5 is the sixth, so that five nulls stand before it', async () => {
    const { kvs } = await database.open()
    await kvs.set('key', { a: 1 })
    await kvs.set('key', 5, 'b.5')
    assert.deepEqual(await kvs.get('key'), { a: 1, b: [null, null, null, null, null, 5] })
  })

  test('a path as an array of parts is literal', async () => {
    const { kvs } = await database.open()
    await kvs.set('key', { a: 1 })
    await kvs.set('key', 5, ['b', '5'])
    assert.deepEqual(await kvs.get('key'), { a: 1, b: { '5': 5 } })
  })
})

onEachDatabase('Paths in the key-value store', database => {
  const rows: [stored: JsonValue | undefined, path: Path, result: JsonValue][] = [
    [{ a: 1, b: { _b: 2 } }, 'b._b', { a: 1, b: { _b: 5 } }],
    [{ a: 1 }, 'b.5', { a: 1, b: [null, null, null, null, null, 5] }],
    [{ a: 1 }, ['b', '5'], { a: 1, b: { '5': 5 } }],
    [{ a: 1 }, ['b', 5], { a: 1, b: [null, null, null, null, null, 5] }],
    [{ b: { x: 1 } }, 'b.5', { b: { x: 1, '5': 5 } }],
    [{ b: [1] }, ['b', '0'], { b: [5] }],
    [{ b: null }, 'b.c', { b: { c: 5 } }],
    [undefined, 'users.002485', { users: { '002485': 5 } }],
    [null, 'a', { a: 5 }],
    [{ a: 1 }, '', 5],
    [{ b: [1] }, '/b/-', { b: [1, 5] }],
    [{ a: {} }, 'a["x.y"]', { a: { 'x.y': 5 } }]
  ]
  for (const [stored, path, result] of rows) {
    test(`${stored === undefined ? 'an absent key' : show(stored)} with 5 at ${show(path)} becomes ${show(result)}`, async () => {
      const { kvs } = await database.open()
      if (stored !== undefined) await kvs.set('k', stored)
      await kvs.set('k', 5, path)
      assert.deepEqual(await kvs.get('k'), result)
      assert.equal(await kvs.get('k', path), path === '/b/-' ? undefined : 5)
    })
  }

  const refused: [stored: JsonValue, path: Path, message: RegExp][] = [
    [{ b: 'text' }, 'b.c', /"b" holds a string.*nothing was changed/],
    [{ b: [1] }, 'b.name', /"b" holds an array.*nothing was changed/],
    [{ b: 7 }, 'b.c', /"b" holds a number/],
    [{ b: true }, 'b.c', /"b" holds a boolean/],
    [{ b: [1] }, 'b.100000000', /Index 100000000 of "b" is more than 10000/],
    [{ b: [1] }, 'b[0', /bracket at position 1/],
    [{ b: [1] }, Array<string>(501).fill('b'), /500 parts at most/]
  ]
  for (const [stored, path, message] of refused) {
    test(`${show(stored)} refuses a value at ${show(path).slice(0, 40)}, and nothing changes`, async () => {
      const { kvs } = await database.open()
      await kvs.set('k', stored)
      const [before] = await collect(kvs.list())
      await assert.rejects(kvs.set('k', 5, path), failsWith('invalid_path', message))
      assert.deepEqual(await collect(kvs.list()), [before])
    })
  }

  test('a bad path is refused by every call that takes one', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', { a: 1 })
    for (const call of [() => kvs.get('k', 'a['), () => kvs.set('k', 1, 'a['), () => kvs.delete('k', 'a['), () => kvs.has('k', 'a[')]) {
      await assert.rejects(call(), failsWith('invalid_path', /position 1/))
    }
  })

  test('500 parts can be set, read and deleted', async () => {
    const { kvs } = await database.open()
    const path = Array<string>(500).fill('a')
    await kvs.set('k', 5, path)
    assert.equal(await kvs.get('k', path), 5)
    assert.equal(await kvs.delete('k', path), true)
    assert.equal(await kvs.has('k', path), false)
  })

  for (const name of ['__proto__', 'constructor', 'prototype']) {
    test(`${name} is a plain name, kept through every call`, async () => {
      const { kvs } = await database.open()
      await kvs.set('k', { a: 1 })
      assert.equal(await kvs.get('k', name), undefined)
      await kvs.set('k', true, [name, 'polluted'])
      await kvs.set('k', 2, 'a')
      assert.equal(await kvs.get('k', [name, 'polluted']), true)
      assert.equal(JSON.stringify(await kvs.get('k')), `{"a":2,"${name}":{"polluted":true}}`)
      assert.equal(({} as { polluted?: unknown }).polluted, undefined)
      assert.equal(await kvs.delete('k', name), true)
      assert.deepEqual(await kvs.get('k'), { a: 2 })
    })
  }

  test('a path that is changed after the call has no effect', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', { a: 0, b: 0 })
    const path = ['a']
    const calls = [kvs.set('k', 1, path), kvs.get('k', path), kvs.has('k', path)]
    path[0] = 'b'
    path.push('c')
    assert.deepEqual(await outcomes(calls), [undefined, 1, true])
    assert.deepEqual(await kvs.get('k'), { a: 1, b: 0 })
  })
})

onEachDatabase('The calls of the key-value store', database => {
  const values: [title: string, value: JsonValue][] = [
    ['null', null],
    ['an empty text', ''],
    ['a text', 'text'],
    ['0', 0],
    ['a fraction', -1.5e-7],
    ['the largest whole number', Number.MAX_SAFE_INTEGER],
    ['the largest number', Number.MAX_VALUE],
    ['false', false],
    ['true', true],
    ['an empty array', []],
    ['an empty object', {}],
    ['an object with an empty name', { '': { '': 0 } }],
    ['an array of arrays', [[], [[]], [null]]],
    ['a text with a NUL, quotes and a backslash', 'a\0b"\'\\c'],
    ['a text with half of a surrogate pair', 'a\ud800b'],
    ['a name with a NUL and half of a surrogate pair', { 'a\0\udfff': 1 }],
    ['a text of many scripts', 'é 漢字 👩‍👩‍👧 \u{10ffff} \u2028 \ufeff \uffff'],
    ['a text that looks like a parameter', '$1 :name ? %s \\']
  ]
  for (const [title, value] of values) {
    test(`${title} comes back from get, getMany and list as it was`, async () => {
      const { kvs } = await database.open()
      await kvs.set('k', value)
      await kvs.set('in', value, 'a.b')
      assert.deepEqual(await kvs.get('k'), value)
      assert.deepEqual(await kvs.get('in', 'a.b'), value)
      assert.deepEqual((await kvs.getMany(['k'])).get('k'), value)
      assert.deepEqual((await collect(kvs.list({ prefix: 'k' })))[0]?.value, value)
    })
  }

  test('get returns null for an absent key, with and without a path', async () => {
    const { kvs } = await database.open()
    assert.equal(await kvs.get('k'), null)
    assert.equal(await kvs.get('k', 'a'), null)
    assert.equal(await kvs.get('k', ''), null)
    assert.equal(await kvs.get('k', undefined), null)
  })

  test('get returns undefined for a path that leads nowhere', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', { a: { b: null } })
    for (const path of ['x', 'a.x', 'a.b.x', 'a[0]', '/a/-', 'toString', 'a.constructor']) {
      assert.equal(await kvs.get('k', path), undefined, path)
    }
  })

  test('get returns a stored null, at the top and at a path', async () => {
    const { kvs } = await database.open()
    await kvs.set('top', null)
    await kvs.set('in', { a: null })
    assert.equal(await kvs.get('top'), null)
    assert.equal(await kvs.get('in', 'a'), null)
  })

  test('get with an empty path returns the whole value', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', { a: 1 })
    assert.deepEqual(await kvs.get('k', ''), { a: 1 })
    assert.deepEqual(await kvs.get('k', []), { a: 1 })
  })

  test('delete removes a key and says whether it was there', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', null)
    await kvs.set('other', 1)
    assert.equal(await kvs.delete('k'), true)
    assert.equal(await kvs.delete('k'), false)
    assert.equal(await kvs.get('k'), null)
    assert.deepEqual(await keysOf(kvs), ['other'])
  })

  test('delete with a path removes a place and says whether it was there', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', { a: 1, b: null })
    assert.equal(await kvs.delete('k', 'a'), true)
    assert.equal(await kvs.delete('k', 'a'), false)
    assert.equal(await kvs.delete('k', 'b'), true)
    assert.equal(await kvs.delete('k', 'b.c'), false)
    assert.deepEqual(await kvs.get('k'), {})
  })

  test('delete splices an array element out', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', { list: [1, 2, 3] })
    assert.equal(await kvs.delete('k', 'list[1]'), true)
    assert.equal(await kvs.delete('k', 'list[2]'), false)
    assert.deepEqual(await kvs.get('k'), { list: [1, 3] })
  })

  test('delete with a path does not make an absent key', async () => {
    const { kvs } = await database.open()
    assert.equal(await kvs.delete('k', 'a'), false)
    assert.equal(await kvs.has('k'), false)
  })

  test('has tells a stored null from nothing', async () => {
    const { kvs } = await database.open()
    await kvs.set('null', null)
    await kvs.set('in', { a: null, list: [0] })
    const answers = [kvs.has('null'), kvs.has('in', 'a'), kvs.has('in', 'list[0]'), kvs.has('in', ''), kvs.has('in', ['a'])]
    assert.deepEqual(await Promise.all(answers), [true, true, true, true, true])
    const others = [kvs.has('k'), kvs.has('k', 'a'), kvs.has('null', 'a'), kvs.has('in', 'b'), kvs.has('in', 'list[1]'), kvs.has('k', '')]
    assert.deepEqual(await Promise.all(others), [false, false, false, false, false, false])
  })

  test('update gets null for an absent key, and returns what it stored', async () => {
    const { kvs } = await database.open()
    const seen: unknown[] = []
    const result = await kvs.update<{ count: number }>('k', old => {
      seen.push(old)
      return { count: (old?.count ?? 0) + 1 }
    })
    assert.deepEqual(result, { count: 1 })
    assert.deepEqual(seen, [null])
    assert.deepEqual(await kvs.update<{ count: number }>('k', old => ({ count: (old?.count ?? 0) + 1 })), { count: 2 })
    assert.deepEqual(await kvs.get('k'), { count: 2 })
  })

  test('update returns the value as it is stored', async () => {
    const { kvs } = await database.open()
    assert.deepEqual(await kvs.update<unknown>('k', () => ({ on: new Date(0), no: undefined })), { on: '1970-01-01T00:00:00.000Z' })
  })

  test('update may change the old value in place', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', { list: [1] })
    await kvs.update<{ list: number[] }>('k', old => {
      old?.list.push(2)
      return old as { list: number[] }
    })
    assert.deepEqual(await kvs.get('k'), { list: [1, 2] })
  })

  test('update whose function changes the old value and throws changes nothing', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', { list: [1] })
    const failed = kvs.update<{ list: number[] }>('k', old => {
      old?.list.push(2)
      throw new Error('no')
    })
    await assert.rejects(failed, /^Error: no$/)
    assert.deepEqual(await kvs.get('k'), { list: [1] })
  })

  test('update whose function throws rejects alone, with what was thrown', async () => {
    const { kvs } = await database.open()
    const thrown = new RangeError('mine')
    const [first, second, third] = await Promise.allSettled([
      kvs.update('k', () => 1),
      kvs.update('k', () => {
        throw thrown
      }),
      kvs.update<number>('k', old => (old ?? 0) + 1)
    ])
    assert.deepEqual(
      [first, third].map(outcome => outcome.status === 'fulfilled' && outcome.value),
      [1, 2]
    )
    assert.ok(second.status === 'rejected' && second.reason === thrown)
    assert.equal(await kvs.get('k'), 2)
  })

  test('update refuses a function that is asynchronous or returns nothing', async () => {
    const { kvs } = await database.open()
    await assert.rejects(
      kvs.update<unknown>('k', async () => 1),
      failsWith('invalid_value', /update\(\) returned a Promise; it must be synchronous/)
    )
    await assert.rejects(
      kvs.update<unknown>('k', () => undefined),
      failsWith('invalid_value', /update\(\) returned undefined; it must return the new value/)
    )
    assert.equal(await kvs.has('k'), false)
  })

  test('update refuses what is no function', async () => {
    const { kvs } = await database.open()
    await assert.rejects(kvs.update('k', 5 as never), failsWith('invalid_parameter', /function of the old value, got number/))
  })

  test('getMany returns the keys that exist, in the order in which they were asked for', async () => {
    const { kvs } = await database.open()
    await kvs.set('a', 1)
    await kvs.set('b', null)
    const found = await kvs.getMany(['b', 'absent', 'a', 'b'])
    assert.ok(found instanceof Map)
    assert.deepEqual(
      [...found],
      [
        ['b', null],
        ['a', 1]
      ]
    )
    assert.deepEqual(await kvs.getMany([]), new Map())
  })

  test('getMany takes any iterable, and many keys', async () => {
    const { kvs } = await database.open()
    const keys = Array.from({ length: 3000 }, (_, i) => `k${i}`)
    await kvs.setMany(new Map(keys.map((key, i) => [key, i])))
    const found = await kvs.getMany(new Set(keys))
    assert.deepEqual(
      [...found],
      keys.map((key, i) => [key, i])
    )
  })

  test('setMany stores all, the last of two for one key', async () => {
    const { kvs } = await database.open()
    await kvs.set('a', 'old')
    assert.equal(
      await kvs.setMany([
        ['a', 1],
        ['b', { c: 2 }],
        ['a', 3]
      ]),
      undefined
    )
    assert.deepEqual(
      [...(await kvs.getMany(['a', 'b']))],
      [
        ['a', 3],
        ['b', { c: 2 }]
      ]
    )
    await kvs.setMany([])
    assert.deepEqual(await keysOf(kvs), ['a', 'b'])
  })

  test('setMany with one bad value stores nothing, and says which', async () => {
    const { kvs } = await database.open()
    await kvs.set('a', 'old')
    const entries: [string, unknown][] = [
      ['a', 1],
      ['b', { tags: [1, 2n] }],
      ['c', 3]
    ]
    await assert.rejects(kvs.setMany(entries), failsWith('invalid_value', /tags\[1\] is a BigInt/))
    assert.deepEqual(await collect(kvs.list()).then(all => all.map(({ key, value }) => [key, value])), [['a', 'old']])
  })

  test('setMany with one bad key stores nothing', async () => {
    const { kvs } = await database.open()
    await assert.rejects(
      kvs.setMany([
        ['a', 1],
        ['', 2]
      ]),
      failsWith('invalid_parameter', /takes 0 bytes/)
    )
    assert.deepEqual(await keysOf(kvs), [])
  })

  test('getMany with one bad key rejects', async () => {
    const { kvs } = await database.open()
    await assert.rejects(kvs.getMany(['a', 'b\0']), failsWith('invalid_parameter', /NUL/))
  })

  for (const [call, given] of [
    ['getMany', 5],
    ['getMany', undefined],
    ['setMany', 5],
    ['setMany', { a: 1 }],
    ['setMany', [5]]
  ] as const) {
    test(`${call}(${show(given)}) is refused as a bad parameter`, async () => {
      const { kvs } = await database.open()
      await assert.rejects(kvs[call](given as never), failsWith('invalid_parameter', new RegExp(call)))
    })
  }
})

onEachDatabase('Listing the key-value store', database => {
  test('an entry has its key, its value and when it was stored', async () => {
    const { kvs } = await database.open()
    const before = Date.now()
    await kvs.set('k', { a: 1 })
    const [entry, ...others] = await collect(kvs.list())
    assert.deepEqual(others, [])
    assert.deepEqual({ key: entry?.key, value: entry?.value }, { key: 'k', value: { a: 1 } })
    const time = entry?.modifiedOn?.getTime() ?? 0
    assert.ok(time >= before && time <= Date.now())
  })

  test('every kind of write tells when it was', async () => {
    const { kvs } = await database.open()
    await kvs.setMany([
      ['all', 0],
      ['path', { a: 0, b: 0 }],
      ['delete', { a: 0 }],
      ['update', 0],
      ['untouched', 0]
    ])
    await new Promise(resolve => setTimeout(resolve, 10))
    const since = Date.now()
    await kvs.set('all', 1)
    await kvs.set('path', 1, 'a')
    await kvs.delete('delete', 'a')
    await kvs.update('update', () => 1)
    const entries = await collect(kvs.list())
    const isNew = entries.map(({ key, modifiedOn }) => [key, (modifiedOn?.getTime() ?? 0) >= since])
    assert.deepEqual(isNew, [
      ['all', true],
      ['delete', true],
      ['path', true],
      ['untouched', false],
      ['update', true]
    ])
  })

  test('keys come in the order of code points', async () => {
    const { kvs } = await database.open()
    const ordered = [
      '\u0001',
      ' ',
      '!',
      '-',
      '0',
      '10',
      '2',
      'A',
      'B',
      'Z',
      '_',
      'a',
      'a b',
      'a-b',
      'aB',
      'ab',
      'b',
      'z',
      '~',
      'é',
      '漢',
      '\ud7ff',
      '\ue000',
      '\uffff',
      '\u{10000}',
      '\u{1f600}',
      '\u{10ffff}'
    ]
    await kvs.setMany([...ordered].reverse().map(key => [key, key]))
    assert.deepEqual(await keysOf(kvs), ordered)
  })

  test('a prefix is literal', async () => {
    const { kvs } = await database.open()
    await kvs.setMany(['a_b%', 'a_b%c', 'a_b', 'axb%', 'axbc', 'a_bc', 'A_B%', 'a_b%%', 'a\\_b%', 'a_b&'].map(key => [key, 1]))
    assert.deepEqual(await keysOf(kvs, { prefix: 'a_b%' }), ['a_b%', 'a_b%%', 'a_b%c'])
    assert.deepEqual(await keysOf(kvs, { prefix: 'a\\' }), ['a\\_b%'])
    assert.deepEqual(await keysOf(kvs, { prefix: "a'" }), [])
    assert.deepEqual(await keysOf(kvs, { prefix: '*' }), [])
  })

  test('a prefix may end with any code point', async () => {
    const { kvs } = await database.open()
    for (const last of ['z', '\u007f', '\u07ff', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}']) {
      const prefix = `p${last}`
      await kvs.setMany([prefix, `${prefix}\u0001`, `${prefix}\u{10ffff}`].map(key => [key, 1]))
      assert.deepEqual(await keysOf(kvs, { prefix }), [prefix, `${prefix}\u0001`, `${prefix}\u{10ffff}`])
    }
    assert.deepEqual(await keysOf(kvs, { prefix: '\u{10ffff}' }), [])
  })

  test('after begins behind a key, whether it exists or not', async () => {
    const { kvs } = await database.open()
    await kvs.setMany(['a', 'b', 'c', 'd'].map(key => [key, 1]))
    assert.deepEqual(await keysOf(kvs, { after: 'b' }), ['c', 'd'])
    assert.deepEqual(await keysOf(kvs, { after: 'bb' }), ['c', 'd'])
    assert.deepEqual(await keysOf(kvs, { after: 'd' }), [])
    assert.deepEqual(await keysOf(kvs, { after: '' }), ['a', 'b', 'c', 'd'])
  })

  test('prefix, after and limit go together', async () => {
    const { kvs } = await database.open()
    await kvs.setMany(['a', 'p1', 'p2', 'p3', 'p4', 'q'].map(key => [key, 1]))
    assert.deepEqual(await keysOf(kvs, { prefix: 'p', after: 'p1', limit: 2 }), ['p2', 'p3'])
    assert.deepEqual(await keysOf(kvs, { prefix: 'p', after: 'a', limit: 2 }), ['p1', 'p2'])
    assert.deepEqual(await keysOf(kvs, { prefix: 'p', after: 'q' }), [])
  })

  test('a limit of 0 yields nothing, and one beyond the end all', async () => {
    const { kvs } = await database.open()
    await kvs.setMany([
      ['a', 1],
      ['b', 2]
    ])
    assert.deepEqual(await keysOf(kvs, { limit: 0 }), [])
    assert.deepEqual(await keysOf(kvs, { limit: 1 }), ['a'])
    assert.deepEqual(await keysOf(kvs, { limit: 3 }), ['a', 'b'])
    assert.deepEqual(await keysOf(kvs, { limit: Infinity }), ['a', 'b'])
  })

  for (const count of [99, 100, 101, 200, 350]) {
    test(`${count} entries all come, once and in order`, async () => {
      const { kvs } = await database.open()
      const keys = Array.from({ length: count }, (_, i) => `k${String(i).padStart(4, '0')}`)
      await kvs.setMany(keys.map(key => [key, key]))
      assert.deepEqual(await keysOf(kvs), keys)
      assert.deepEqual(await keysOf(kvs, { limit: count - 1 }), keys.slice(0, -1))
    })
  }

  test('an undefined option counts as not given', async () => {
    const { kvs } = await database.open()
    await kvs.set('a', 1)
    assert.deepEqual(await keysOf(kvs, { prefix: undefined, after: undefined, limit: undefined } as unknown as ListOptions), ['a'])
  })

  test('a listing sees the calls that were made before it, awaited or not', async () => {
    const { kvs } = await database.open()
    await kvs.set('old', 1)
    void kvs.set('new', 1)
    void kvs.set('old', 2, '')
    void kvs.set('path', 3, 'a')
    void kvs.delete('absent')
    assert.deepEqual(
      (await collect(kvs.list())).map(({ key, value }) => [key, value]),
      [
        ['new', 1],
        ['old', 2],
        ['path', { a: 3 }]
      ]
    )
  })

  test('what it yields may be changed and deleted meanwhile', async () => {
    const { kvs } = await database.open()
    await kvs.setMany(Array.from({ length: 250 }, (_, i) => [`k${i}`, i] as const))
    let count = 0
    for await (const { key } of kvs.list()) {
      count++
      await kvs.delete(key)
    }
    assert.equal(count, 250)
    assert.deepEqual(await keysOf(kvs), [])
  })

  test('a loop that is left early leaves nothing open', async () => {
    const { kvs } = await database.open()
    await kvs.setMany(Array.from({ length: 250 }, (_, i) => [`k${i}`, i] as const))
    for await (const _ of kvs.list()) break
    await kvs.set('k', 1)
    assert.equal(await kvs.get('k'), 1)
  })

  test('a listing begins while others keep writing', { timeout: 20_000 }, async () => {
    const { kvs } = await database.open()
    await kvs.set('a', 1)
    let isDone = false
    const write = async () => {
      // One write in each turn, so that there is always one on its way.
      const calls: Promise<void>[] = []
      for (let i = 0; !isDone; i++) {
        calls.push(kvs.set('writer', i))
        await new Promise(resolve => setImmediate(resolve))
      }
      await Promise.all(calls)
    }
    const writing = write()
    const listed = keysOf(kvs, { prefix: 'a' })
    const first = await Promise.race([listed, new Promise(resolve => setTimeout(resolve, 3000, 'still waiting after 3 s'))])
    isDone = true
    await writing
    assert.deepEqual(first, ['a'])
  })

  const refused: [title: string, options: unknown, message: RegExp][] = [
    ['a negative limit', { limit: -1 }, /limit to be a whole number from 0/],
    ['half a limit', { limit: 1.5 }, /limit to be a whole number from 0/],
    ['NaN as a limit', { limit: Number.NaN }, /limit to be a whole number from 0/],
    ['minus infinity as a limit', { limit: -Infinity }, /limit to be a whole number from 0/],
    ['a text as a limit', { limit: '5' }, /limit to be a whole number from 0/],
    ['null as a limit', { limit: null }, /limit to be a whole number from 0/],
    ['a number as a prefix', { prefix: 5 }, /prefix/],
    ['null as a prefix', { prefix: null }, /prefix/],
    ['an array as a prefix', { prefix: ['a'] }, /prefix/],
    ['a prefix with a NUL', { prefix: 'a\0' }, /prefix.*NUL/],
    ['a prefix with half of a surrogate pair', { prefix: 'a\ud800' }, /prefix.*surrogate/],
    ['a number as after', { after: 5 }, /after/],
    ['null as after', { after: null }, /after/],
    ['after with a NUL', { after: 'a\0' }, /after.*NUL/],
    ['null for the options', null, /list\(\)/],
    ['a text for the options', 'a', /list\(\)/],
    ['an unknown option', { limt: 5 }, /"limt"/]
  ]
  for (const [title, options, message] of refused) {
    test(`${title} is refused`, async () => {
      const { kvs } = await database.open()
      await kvs.set('a', 1)
      await assert.rejects(async () => collect(kvs.list(options as ListOptions)), failsWith('invalid_parameter', message))
    })
  }
})

class Money {
  readonly #cents: number
  constructor(cents: number) {
    this.#cents = cents
  }
  toJSON(): unknown {
    return { euros: this.#cents / 100 }
  }
}

/** What no JSON can hold, and what the message says of it. */
const unstorable: [title: string, value: () => unknown, message: RegExp][] = [
  ['undefined', () => undefined, /^value is undefined/],
  ['a function', () => () => 1, /^value is a function/],
  ['a symbol', () => Symbol('s'), /^value is a symbol/],
  ['a BigInt', () => 1n, /^value is a BigInt; store it as a string/],
  ['NaN', () => Number.NaN, /^value is NaN/],
  ['infinity', () => Infinity, /^value is Infinity/],
  ['minus infinity', () => -Infinity, /^value is -Infinity/],
  ['a Map', () => new Map([[1, 2]]), /^value is a Map.*Object\.fromEntries/],
  ['a Set', () => new Set([1]), /^value is a Set.*\[\.\.\.set\]/],
  ['a WeakMap', () => new WeakMap(), /^value is a WeakMap/],
  ['a Promise', () => Promise.resolve(1), /^value is a Promise.*await/],
  ['an invalid Date', () => new Date(Number.NaN), /^value is an invalid Date/],
  ['a Map in an array', () => ({ tags: [1, 2, 3, new Map()] }), /^value\.tags\[3\] is a Map/],
  ['a Set in an object', () => ({ a: { b: new Set() } }), /^value\.a\.b is a Set/],
  ['NaN in an array', () => [[0], [1, Number.NaN]], /^value\[1\]\[1\] is NaN/],
  ['infinity below a name that is no word', () => ({ 'x.y': { '': -Infinity } }), /^value\["x\.y"\]\[""\] is -Infinity/],
  ['a BigInt in an array', () => ({ ids: [1n] }), /^value\.ids\[0\] is a BigInt/],
  ['an invalid Date in an object', () => ({ on: new Date('no') }), /^value\.on is an invalid Date/],
  ['a Promise in an object', () => ({ later: Promise.resolve() }), /^value\.later is a Promise/],
  [
    'an array that holds itself',
    () => {
      const list: unknown[] = [1]
      list.push(list)
      return list
    },
    /^value\[1\] .*circular/
  ],
  [
    'an object that holds itself',
    () => {
      const top: Record<string, unknown> = {}
      top.child = { parent: top }
      return top
    },
    /^value\.child\.parent .*circular/
  ],
  ['a value that is too deep', () => nested(1001), /^value\.a\.a\.a nests deeper than 1000 levels/],
  ['a value that is far too deep', () => nested(100_000), /nests deeper than 1000 levels/],
  ['a toJSON that returns nothing', () => ({ toJSON: () => undefined }), /^value .*undefined|^value .*nothing/],
  ['a toJSON that returns a BigInt', () => ({ id: { toJSON: () => 1n } }), /^value\.id is a BigInt/],
  ['a toJSON that returns a Map', () => [{ toJSON: () => new Map() }], /^value\[0\] is a Map/],
  ['a toJSON that returns something with NaN', () => ({ toJSON: () => ({ n: Number.NaN }) }), /^value\.n is NaN/],
  ['a BigInt object', () => ({ id: Object(1n) }), /^value\.id is a BigInt/],
  ['a Number object of NaN', () => ({ n: Object(Number.NaN) }), /^value\.n is NaN/]
]

describe('A value as JSON', () => {
  for (const [title, value, message] of unstorable) {
    test(`${title} is refused, and the message says where it is`, () => {
      assert.throws(() => toJson(value(), 'value', 'invalid_value'), failsWith('invalid_value', message))
    })
  }

  test('the place begins with what the value is to the caller', () => {
    assert.throws(() => toJson({ a: 1n }, '$2', 'invalid_parameter'), failsWith('invalid_parameter', /^\$2\.a is a BigInt/))
  })

  test('an object that stands in two places is no circle', () => {
    const shared = { a: 1 }
    assert.equal(toJson([shared, { again: shared }], 'value', 'invalid_value'), '[{"a":1},{"again":{"a":1}}]')
  })

  test('an undefined property is left out, and an undefined element becomes null', () => {
    assert.equal(toJson({ a: undefined, b: [undefined, 1] }, 'value', 'invalid_value'), '{"b":[null,1]}')
  })

  test('a thousand levels are not too deep', () => {
    assert.equal(toJson(nested(1000), 'value', 'invalid_value').length, 5 * 1000 + 2 + 1000)
  })

  test('what a getter throws is thrown on', () => {
    const value = {
      get broken() {
        throw new RangeError('mine')
      }
    }
    assert.throws(() => toJson(value, 'value', 'invalid_value'), /^RangeError: mine$/)
  })
})

onEachDatabase('Values of the key-value store', database => {
  test('what JSON cannot hold is refused by set, and nothing is stored', async () => {
    const { kvs } = await database.open()
    for (const [, value, message] of unstorable) {
      await assert.rejects(kvs.set('k', value()), failsWith('invalid_value', message))
      await assert.rejects(kvs.set('k', value(), 'a.b'), failsWith('invalid_value', message))
    }
    assert.deepEqual(await keysOf(kvs), [])
  })

  test('an own toJSON decides what is stored', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', { price: new Money(250), list: [new Money(1)] })
    assert.deepEqual(await kvs.get('k'), { price: { euros: 2.5 }, list: [{ euros: 0.01 }] })
  })

  test('a Date in a value and at a path comes back as its ISO text', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', { on: new Date(0) })
    await kvs.set('k', new Date(1), 'list[0]')
    assert.deepEqual(await kvs.get('k'), { on: '1970-01-01T00:00:00.000Z', list: ['1970-01-01T00:00:00.001Z'] })
  })

  test('an undefined property is left out, and minus zero is zero', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', { a: undefined, b: -0 })
    assert.deepEqual(await kvs.get('k'), { b: 0 })
  })

  test('a value is taken at the time of the call', async () => {
    const { kvs } = await database.open()
    const value = { list: [1] }
    const calls = [kvs.set('whole', value), kvs.set('path', value, 'a'), kvs.setMany([['many', value]])]
    value.list.push(2)
    await Promise.all(calls)
    const expected = { list: [1] }
    assert.deepEqual([...(await kvs.getMany(['whole', 'path', 'many'])).values()], [expected, { a: expected }, expected])
  })

  test('a value that came back can be changed without an effect', async () => {
    const { kvs } = await database.open()
    const calls = [kvs.set('k', { a: {} }), kvs.set('k', 1, 'a.b'), kvs.get('k'), kvs.get('k', 'a'), kvs.update('k', old => old)]
    const [, , whole, part, updated] = (await Promise.all(calls)) as { a?: unknown; b?: unknown }[]
    Object.assign(whole as object, { a: 'changed' })
    Object.assign(part as object, { b: 'changed' })
    Object.assign(updated as object, { a: 'changed' })
    assert.deepEqual(await kvs.get('k'), { a: { b: 1 } })
  })

  test('two gets of one turn return values of their own', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', { a: { b: 1 } })
    const [first, second, many] = await Promise.all([kvs.get<{ a: object }>('k'), kvs.get('k'), kvs.getMany(['k'])])
    Object.assign(first?.a ?? {}, { b: 'changed' })
    assert.deepEqual(second, { a: { b: 1 } })
    assert.deepEqual(many.get('k'), { a: { b: 1 } })
  })

  test('16 MiB of JSON are stored, and one byte more is refused', async () => {
    const { kvs } = await database.open()
    const largest = 'x'.repeat(16 * 1024 * 1024 - 2)
    await kvs.set('k', largest)
    assert.ok((await kvs.get('k')) === largest)
    await assert.rejects(kvs.set('k', `${largest}x`), failsWith('invalid_value', /16777217 bytes.*16777216 at most.*kvs\.maxValueBytes/))
    assert.ok((await kvs.get('k')) === largest)
  })

  test('16 MiB cannot be exceeded by a path set, and nothing is stored then', async () => {
    const { kvs } = await database.open()
    const half = 'x'.repeat(9 * 1024 * 1024)
    await kvs.set('k', half, 'a')
    await assert.rejects(kvs.set('k', half, 'b'), failsWith('invalid_value', /16777216 at most/))
    assert.equal(await kvs.has('k', 'b'), false)
  })

  test('the limit is configurable, and counts bytes', async () => {
    const { kvs } = await database.open({ kvs: { maxValueBytes: 10 } })
    await kvs.set('k', 'éééé')
    await kvs.set('k', '12345678')
    await assert.rejects(kvs.set('k', 'ééééé'), failsWith('invalid_value', /takes 12 bytes as JSON, but 10 at most/))
    await assert.rejects(kvs.set('k', '123456789'), failsWith('invalid_value', /takes 11 bytes/))
    assert.equal(await kvs.get('k'), '12345678')
  })

  test('the limit holds for path sets, update and setMany, and nothing is stored beyond it', async () => {
    const { kvs } = await database.open({ kvs: { maxValueBytes: 10 } })
    await kvs.set('k', { a: 12 })
    const tooLarge = failsWith('invalid_value', /but 10 at most/)
    await assert.rejects(kvs.set('k', 12345, 'a'), tooLarge)
    await assert.rejects(kvs.set('k', 1, 'b'), tooLarge)
    await assert.rejects(
      kvs.update('k', () => '123456789'),
      tooLarge
    )
    await assert.rejects(
      kvs.setMany([
        ['other', 1],
        ['k', '123456789']
      ]),
      tooLarge
    )
    await kvs.set('k', 1234, 'a')
    assert.deepEqual(await kvs.get('k'), { a: 1234 })
    assert.deepEqual(await keysOf(kvs), ['k'])
  })

  test('the limit holds inside of a transaction', async () => {
    const db = await database.open({ kvs: { maxValueBytes: 10 } })
    await assert.rejects(
      db.transaction(tx => tx.kvs.set('k', '123456789')),
      failsWith('invalid_value', /but 10 at most/)
    )
  })
})

onEachDatabase('Keys of the key-value store', database => {
  const longest: [title: string, key: string][] = [
    ['one byte', 'k'],
    ['1024 bytes', 'k'.repeat(1024)],
    ['1024 bytes of two each', 'é'.repeat(512)],
    ['1024 bytes of four each', '\u{1f600}'.repeat(256)],
    ['blanks, quotes and control characters', ' \t\n"\'\\%_$1:name?\u0001\u007f'],
    ['an astral character', '\u{10ffff}'],
    ['a name that JavaScript knows', '__proto__'],
    ['what looks like JSON', '["k"]'],
    ['what is no character', '\uffff\ufeff']
  ]
  for (const [title, key] of longest) {
    test(`a key of ${title} is stored and found`, async () => {
      const { kvs } = await database.open()
      await kvs.set(key, 1)
      await kvs.update<number>(key, old => (old ?? 0) + 1)
      assert.equal(await kvs.get(key), 2)
      assert.deepEqual([...(await kvs.getMany([key]))], [[key, 2]])
      assert.deepEqual(await keysOf(kvs, { prefix: key }), [key])
      assert.equal(await kvs.delete(key), true)
      assert.equal(await kvs.has(key), false)
    })
  }

  test('keys that differ only in case, blanks or composition are different keys', async () => {
    const { kvs } = await database.open()
    const keys = ['k', 'K', 'k ', ' k', 'é', 'e\u0301', 'ﬁ', 'fi']
    await kvs.setMany(keys.map(key => [key, key]))
    assert.deepEqual([...(await kvs.getMany(keys)).values()], keys)
  })

  const refused: [title: string, key: unknown, message: RegExp][] = [
    ['an empty text', '', /1 to 1024 bytes.*takes 0 bytes/],
    ['1025 bytes', 'k'.repeat(1025), /takes 1025 bytes/],
    ['1025 bytes in 513 characters', `${'é'.repeat(512)}k`, /takes 1025 bytes/],
    ['a million bytes', 'k'.repeat(1_000_000), /takes 1000000 bytes/],
    ['a NUL', 'a\0b', /has a NUL/],
    ['half of a surrogate pair', 'a\ud800', /half of a surrogate pair/],
    ['the other half of a surrogate pair', '\udc00a', /half of a surrogate pair/],
    ['a number', 5, /is a number/],
    ['null', null, /null/],
    ['undefined', undefined, /undefined/],
    ['an object', {}, /object/],
    ['an array', ['k'], /object|array/],
    ['a symbol', Symbol('k'), /symbol/]
  ]
  for (const [title, given, message] of refused) {
    test(`${title} as a key is refused by every call`, async () => {
      const { kvs } = await database.open()
      const key = given as string
      const calls = [
        () => kvs.get(key),
        () => kvs.get(key, 'a'),
        () => kvs.set(key, 1),
        () => kvs.set(key, 1, 'a'),
        () => kvs.delete(key),
        () => kvs.has(key),
        () => kvs.update(key, () => 1),
        () => kvs.getMany([key]),
        () => kvs.setMany([[key, 1]])
      ]
      for (const call of calls) await assert.rejects(call(), failsWith('invalid_parameter', message))
      assert.deepEqual(await keysOf(kvs), [])
    })
  }
})

onEachDatabase('The order of calls on one key', database => {
  test('calls that are not awaited take effect in the order in which they were made', async () => {
    const { kvs } = await database.open()
    const calls = [
      kvs.get('k'),
      kvs.has('k'),
      kvs.set('k', 1, 'a'),
      kvs.get('k'),
      kvs.set('k', 2, 'b.c'),
      kvs.has('k', 'b.c'),
      kvs.update<object>('k', old => ({ ...old, d: 3 })),
      kvs.delete('k', 'a'),
      kvs.get('k'),
      kvs.set('k', 'whole'),
      kvs.get('k'),
      kvs.set('k', 4, 'a'),
      kvs.delete('k'),
      kvs.delete('k'),
      kvs.has('k'),
      kvs.get('k'),
      kvs.set('k', 5, 'z'),
      kvs.getMany(['k']),
      kvs.setMany([['k', 6]]),
      kvs.get('k')
    ]
    assert.deepEqual(await outcomes(calls), [
      null,
      false,
      undefined,
      { a: 1 },
      undefined,
      true,
      { a: 1, b: { c: 2 }, d: 3 },
      true,
      { b: { c: 2 }, d: 3 },
      undefined,
      'whole',
      'invalid_path',
      true,
      false,
      false,
      null,
      undefined,
      new Map([['k', { z: 5 }]]),
      undefined,
      6
    ])
    assert.equal(await kvs.get('k'), 6)
  })

  test('they do so before the database is open, too', async () => {
    const db = database.closeAfterTest(createDatabase(await database.config()))
    const { kvs } = db
    const calls = [kvs.get('k'), kvs.set('k', 1), kvs.get('k'), kvs.set('k', 2), kvs.delete('k'), kvs.set('k', 3, 'a'), kvs.get('k')]
    assert.deepEqual(await outcomes(calls), [null, undefined, 1, undefined, true, undefined, { a: 3 }])
  })

  test('they do so over several turns', async () => {
    const { kvs } = await database.open()
    const calls: Promise<unknown>[] = []
    for (let i = 0; i < 50; i++) {
      calls.push(kvs.set('k', i, `[${i}]`), kvs.get('k', `[${i}]`), kvs.set(`other ${i}`, i))
      if (i % 3 === 0) await new Promise(resolve => setImmediate(resolve))
      if (i % 7 === 0) await new Promise(resolve => setTimeout(resolve, 1))
    }
    const results = await outcomes(calls)
    assert.deepEqual(
      results.filter((_, i) => i % 3 === 1),
      Array.from({ length: 50 }, (_, i) => i)
    )
    assert.equal((await kvs.get<unknown[]>('k'))?.length, 50)
  })

  test('a get does not see a set that was made after it', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', 'old')
    const before = kvs.get('k')
    const change = kvs.set('k', 'new')
    const after = kvs.get('k')
    assert.deepEqual(await outcomes([before, change, after]), ['old', undefined, 'new'])
  })

  test('a getMany does not see a set that was made after it', async () => {
    const { kvs } = await database.open()
    await kvs.setMany([
      ['a', 'old'],
      ['b', 'old']
    ])
    const before = kvs.getMany(['a', 'b'])
    void kvs.set('a', 'new')
    void kvs.set('b', 1, '')
    assert.deepEqual([...(await before).values()], ['old', 'old'])
  })

  test('a set and a delete of one turn leave no key, one that existed before included', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', 'old')
    assert.deepEqual(await outcomes([kvs.set('k', 'new'), kvs.delete('k')]), [undefined, true])
    assert.equal(await kvs.has('k'), false)
  })

  test('a set and a delete of one turn leave no key beside calls on other keys', async () => {
    const { kvs } = await database.open()
    await kvs.setMany([
      ['k', 'old'],
      ['other', {}]
    ])
    await Promise.all([kvs.set('other', 1, 'a'), kvs.set('k', 'new'), kvs.delete('k')])
    assert.deepEqual([...(await kvs.getMany(['k', 'other']))], [['other', { a: 1 }]])
  })

  test('a delete and a set of one turn leave the new value', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', { old: 1 })
    assert.deepEqual(await outcomes([kvs.delete('k'), kvs.set('k', 1, 'new'), kvs.delete('k'), kvs.set('k', 2, 'newer')]), [
      true,
      undefined,
      true,
      undefined
    ])
    assert.deepEqual(await kvs.get('k'), { newer: 2 })
  })

  test('a set, an update and a path set see each other in one turn', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', 'old')
    const calls = [kvs.set('k', { n: 1 }), kvs.update<{ n: number }>('k', old => ({ n: (old?.n ?? 0) + 1 })), kvs.set('k', 3, 'm')]
    await Promise.all(calls)
    assert.deepEqual(await kvs.get('k'), { n: 2, m: 3 })
  })

  test('several path sets of one turn are all there', async () => {
    const { kvs } = await database.open()
    await Promise.all(Array.from({ length: 200 }, (_, i) => kvs.set('k', i, `a.b${i}`)))
    const expected = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`b${i}`, i]))
    assert.deepEqual(await kvs.get('k'), { a: expected })
  })

  test('one path set that fails does so alone, and those beside it are stored', async () => {
    const { kvs } = await database.open()
    const calls = [
      kvs.set('k', 'text', 'a'),
      kvs.set('k', 1, 'a.b'),
      kvs.set('k', 2, 'c'),
      kvs.set('k', 3, 'd[99999]'),
      kvs.set('k', 4, 'e')
    ]
    assert.deepEqual(await outcomes(calls), [undefined, 'invalid_path', undefined, 'invalid_path', undefined])
    assert.deepEqual(await kvs.get('k'), { a: 'text', c: 2, e: 4 })
  })

  test('a hundred updates of one turn all count', async () => {
    const { kvs } = await database.open()
    const results = await Promise.all(Array.from({ length: 100 }, () => kvs.update<number>('k', old => (old ?? 0) + 1)))
    assert.deepEqual(
      results,
      Array.from({ length: 100 }, (_, i) => i + 1)
    )
  })

  test('a read that is slow does not see a write that was made after it, also when another read was quick', async () => {
    const db = await database.open()
    const kvs = createKeyValueStore(slowAtFirst(await db.get()))
    await kvs.set('k', 'old')
    const slow = kvs.get('k')
    await new Promise(resolve => setTimeout(resolve, 10))
    const quick = kvs.get('k')
    await new Promise(resolve => setTimeout(resolve, 10))
    const change = kvs.set('k', 'new')
    assert.deepEqual(await outcomes([slow, quick, change, kvs.get('k')]), ['old', 'old', undefined, 'new'])
  })
})

onEachDatabase('A thousand calls in one turn', database => {
  test('990 are stored when the values of 10 are refused', async () => {
    const { kvs } = await database.open()
    const isBad = (i: number) => i % 100 === 50
    const calls = Array.from({ length: 1000 }, (_, i) => kvs.set(`k${i}`, isBad(i) ? { n: 1n } : i))
    const results = await outcomes(calls)
    assert.deepEqual(
      results,
      Array.from({ length: 1000 }, (_, i) => (isBad(i) ? 'invalid_value' : undefined))
    )
    assert.equal((await keysOf(kvs)).length, 990)
  })

  test('990 are stored when the paths of 10 lead into a text', async () => {
    const { kvs } = await database.open()
    const isBad = (i: number) => i % 100 === 50
    await kvs.setMany(Array.from({ length: 1000 }, (_, i) => [`k${i}`, isBad(i) ? 'text' : { b: 1 }] as const))
    const results = await outcomes(Array.from({ length: 1000 }, (_, i) => kvs.set(`k${i}`, i, 'a')))
    assert.equal(results.filter(result => result === 'invalid_path').length, 10)
    const stored = await collect(kvs.list())
    assert.equal(stored.filter(({ value }) => value === 'text').length, 10)
    assert.equal(stored.filter(({ value }) => typeof (value as { a?: unknown }).a === 'number').length, 990)
  })

  const kinds: [title: string, call: (kvs: KeyValueStore, key: string) => Promise<unknown>][] = [
    ['sets', (kvs, key) => kvs.set(key, 1)],
    ['path sets', (kvs, key) => kvs.set(key, 1, 'a')],
    ['updates', (kvs, key) => kvs.update(key, () => 1)],
    [
      'entries of setMany',
      (kvs, key) =>
        kvs.setMany([
          [key, 1],
          [`${key} too`, 1]
        ])
    ]
  ]
  for (const [title, call] of kinds) {
    test(`990 ${title} are stored when the database refuses 10`, { timeout: 60_000 }, async () => {
      const db = await database.open()
      await db.exec(`
        DROP TABLE kvs;
        CREATE TABLE kvs (
          key TEXT NOT NULL PRIMARY KEY,
          value TEXT,
          modified_on TIMESTAMP,
          CONSTRAINT no_bad_key CHECK (key NOT LIKE 'bad%')
        )`)
      const keys = Array.from({ length: 1000 }, (_, i) => (i % 100 === 50 ? `bad${i}` : `k${i}`))
      const settled = await Promise.allSettled(keys.map(key => call(db.kvs, key)))
      const failures = settled.flatMap((outcome, i) => (outcome.status === 'rejected' ? [[keys[i], outcome.reason.code]] : []))
      assert.deepEqual(
        failures,
        keys.filter(key => key.startsWith('bad')).map(key => [key, 'check_violation'])
      )
      const stored = (await keysOf(db.kvs)).filter(key => !key.endsWith(' too'))
      assert.deepEqual(stored, keys.filter(key => !key.startsWith('bad')).sort())
      assert.deepEqual(await keysOf(db.kvs, { prefix: 'bad' }), [])
    })
  }

  test('a setMany of which the database refuses one entry stores none, among others that are stored', async () => {
    const db = await database.open()
    await db.exec(`
      DROP TABLE kvs;
      CREATE TABLE kvs (key TEXT NOT NULL PRIMARY KEY, value TEXT, modified_on TIMESTAMP, CHECK (key <> 'bad'))`)
    const calls = [
      db.kvs.set('a', 1),
      db.kvs.setMany([
        ['b', 1],
        ['bad', 1],
        ['c', 1]
      ]),
      db.kvs.set('d', 1, 'x'),
      db.kvs.setMany([['e', 1]])
    ]
    assert.deepEqual(await outcomes(calls), [undefined, 'check_violation', undefined, undefined])
    assert.deepEqual(await keysOf(db.kvs), ['a', 'd', 'e'])
  })
})

onEachDatabase('The key-value store inside of a transaction', database => {
  test('a value is visible inside, and kept after the commit', async () => {
    const db = await database.open()
    const inside = await db.transaction(async tx => {
      await tx.kvs.set('k', { a: 1 })
      await tx.kvs.set('k', 2, 'b')
      return tx.kvs.get('k')
    })
    assert.deepEqual(inside, { a: 1, b: 2 })
    assert.deepEqual(await db.kvs.get('k'), { a: 1, b: 2 })
  })

  test('every call works inside', async () => {
    const db = await database.open()
    await db.kvs.set('old', { a: 1 })
    const results = await db.transaction(async tx => [
      await tx.kvs.get('old', 'a'),
      await tx.kvs.has('old', 'b'),
      await tx.kvs.delete('old', 'a'),
      await tx.kvs.update<number>('n', old => (old ?? 0) + 1),
      await tx.kvs.setMany([['m', 2]]),
      await tx.kvs.getMany(['m', 'n', 'old']),
      (await collect(tx.kvs.list())).map(({ key }) => key),
      await tx.kvs.delete('m')
    ])
    assert.deepEqual(results, [
      1,
      false,
      true,
      1,
      undefined,
      new Map<string, unknown>([
        ['m', 2],
        ['n', 1],
        ['old', {}]
      ]),
      ['m', 'n', 'old'],
      true
    ])
    assert.deepEqual(await keysOf(db.kvs), ['n', 'old'])
  })

  test('it sees what statements of the transaction wrote, and they see it', async () => {
    const db = await database.open()
    await db.transaction(async tx => {
      await tx.run(`INSERT INTO kvs (key, value) VALUES ('sql', '{"a":1}')`)
      assert.deepEqual(await tx.kvs.get('sql'), { a: 1 })
      await tx.kvs.set('kvs', 'x')
      assert.deepEqual(await tx.one(`SELECT value FROM kvs WHERE key = 'kvs'`), { value: '"x"' })
    })
  })

  test('everything is gone after a rollback', async () => {
    const db = await database.open()
    await db.kvs.setMany([
      ['changed', { a: 1 }],
      ['deleted', 1]
    ])
    await assert.rejects(
      db.transaction(async tx => {
        await tx.kvs.set('new', 1)
        await tx.kvs.set('changed', 2, 'a')
        await tx.kvs.delete('deleted')
        throw new Error('undo')
      }),
      /undo/
    )
    assert.deepEqual(
      (await collect(db.kvs.list())).map(({ key, value }) => [key, value]),
      [
        ['changed', { a: 1 }],
        ['deleted', 1]
      ]
    )
  })

  test('calls that the body does not await are committed', async () => {
    const db = await database.open()
    await db.kvs.set('old', 1)
    await db.transaction(async tx => {
      void tx.kvs.set('whole', 1)
      void tx.kvs.set('path', 2, 'a')
      void tx.kvs.update('update', () => 3)
      void tx.kvs.delete('old')
    })
    assert.deepEqual(
      (await collect(db.kvs.list())).map(({ key, value }) => [key, value]),
      [
        ['path', { a: 2 }],
        ['update', 3],
        ['whole', 1]
      ]
    )
  })

  test('a call that the body does not await is not stored when the body fails', async () => {
    const db = await database.open()
    let call: Promise<unknown> | undefined
    await assert.rejects(
      db.transaction(async tx => {
        call = tx.kvs.set('k', 1)
        call.catch(() => undefined)
        throw new Error('undo')
      }),
      /undo/
    )
    await assert.rejects(call ?? Promise.resolve(), failsWith('wrong_handle', /has ended/))
    assert.equal(await db.kvs.has('k'), false)
  })

  test('a path that is refused leaves the transaction usable', async () => {
    const db = await database.open()
    await db.transaction(async tx => {
      await tx.kvs.set('k', 'text')
      await assert.rejects(tx.kvs.set('k', 1, 'a'), failsWith('invalid_path', /holds a string/))
      await tx.kvs.set('other', 1)
    })
    assert.deepEqual(await keysOf(db.kvs), ['k', 'other'])
  })

  test('the outer store inside of the body is the wrong handle, in every call', async () => {
    const db = await database.open()
    await db.transaction(async () => {
      const { kvs } = db
      const calls = [
        () => kvs.get('k'),
        () => kvs.set('k', 1),
        () => kvs.set('k', 1, 'a'),
        () => kvs.delete('k'),
        () => kvs.has('k'),
        () => kvs.update('k', () => 1),
        () => kvs.getMany(['k']),
        () => kvs.setMany([['k', 1]]),
        () => collect(kvs.list())
      ]
      for (const call of calls) await assert.rejects(call(), failsWith('wrong_handle', /tx\.kvs/))
    })
    assert.equal(await db.kvs.has('k'), false)
  })

  test('a listing of the outer store inside of the body fails at once, also while an outer call waits', { timeout: 20_000 }, async () => {
    const db = await database.open()
    let waiting: Promise<unknown> | undefined
    let allowWrite = () => {}
    const outside = new Promise<void>(resolve => (allowWrite = resolve)).then(() => {
      waiting = db.kvs.set('k', 1, 'a')
    })
    const start = performance.now()
    await db.transaction(async tx => {
      await tx.kvs.set('k', {})
      allowWrite()
      await outside
      await assert.rejects(collect(db.kvs.list()), failsWith('wrong_handle', /tx\.kvs/))
    })
    assert.ok(performance.now() - start < 2000)
    await waiting
    assert.deepEqual(await db.kvs.get('k'), { a: 1 })
  })

  test('the store of a transaction that has ended fails, in every call', async () => {
    const db = await database.open()
    const kvs = await db.transaction(tx => tx.kvs)
    const calls = [
      () => kvs.get('k'),
      () => kvs.set('k', 1),
      () => kvs.set('k', 1, 'a'),
      () => kvs.delete('k'),
      () => kvs.has('k'),
      () => kvs.update('k', () => 1),
      () => kvs.getMany(['k']),
      () => kvs.setMany([['k', 1]]),
      () => collect(kvs.list())
    ]
    for (const call of calls) await assert.rejects(call(), failsWith('wrong_handle', /has ended/))
  })

  test('a savepoint that is rolled back undoes what its store did, and keeps the rest', async () => {
    const db = await database.open()
    await db.transaction(async tx => {
      await tx.kvs.set('k', { outer: 1 })
      await assert.rejects(
        tx.transaction(async inner => {
          await inner.kvs.set('k', 2, 'inner')
          assert.deepEqual(await inner.kvs.get('k'), { outer: 1, inner: 2 })
          throw new Error('undo')
        }),
        /undo/
      )
      assert.deepEqual(await tx.kvs.get('k'), { outer: 1 })
      await tx.transaction(inner => inner.kvs.set('k', 3, 'kept'))
    })
    assert.deepEqual(await db.kvs.get('k'), { outer: 1, kept: 3 })
  })

  test('a call that is not awaited before a savepoint is not undone with it', async () => {
    const db = await database.open()
    await db.transaction(async tx => {
      const call = tx.kvs.set('k', 1)
      const nested = tx.transaction(async inner => {
        await inner.kvs.set('inner', 2)
        await new Promise(resolve => setTimeout(resolve, 20))
        throw new Error('undo')
      })
      assert.deepEqual(
        (await Promise.allSettled([call, nested])).map(({ status }) => status),
        ['fulfilled', 'rejected']
      )
    })
    assert.deepEqual(await keysOf(db.kvs), ['k'])
  })

  test('calls of other parts of the process wait or pass, and are not lost', async () => {
    const db = await database.open()
    await db.kvs.set('k', { n: 0 })
    const transactions = Array.from({ length: 10 }, () =>
      db.transaction(async tx => {
        const n = (await tx.kvs.update<{ n: number }>('k', old => ({ n: (old?.n ?? 0) + 1 }))).n
        await tx.kvs.set(`seen ${n}`, true)
      })
    )
    const outside = Array.from({ length: 10 }, () => db.kvs.update<{ n: number }>('k', old => ({ n: (old?.n ?? 0) + 1 })))
    await Promise.all([...transactions, ...outside])
    assert.deepEqual(await db.kvs.get('k'), { n: 20 })
    assert.equal((await keysOf(db.kvs, { prefix: 'seen' })).length, 10)
  })
})

onEachDatabase('The key-value store in a bad state', database => {
  test('after close() every call fails', async () => {
    const db = await database.open()
    await db.close()
    const { kvs } = db
    const calls = [
      () => kvs.get('k'),
      () => kvs.set('k', 1),
      () => kvs.set('k', 1, 'a'),
      () => kvs.delete('k'),
      () => kvs.has('k'),
      () => kvs.update('k', () => 1),
      () => kvs.getMany(['k']),
      () => kvs.setMany([['k', 1]]),
      () => collect(kvs.list())
    ]
    for (const call of calls) await assert.rejects(call(), failsWith('closed', /createDatabase/))
  })

  test('after close() a database that was never opened is not opened by a call', async () => {
    const db = database.closeAfterTest(createDatabase(await database.config()))
    await db.close()
    await assert.rejects(db.kvs.get('k'), failsWith('closed'))
    await assert.rejects(db.kvs.set('k', 1), failsWith('closed'))
    await assert.rejects(collect(db.kvs.list()), failsWith('closed'))
  })

  test('close() waits for calls that were made before', async () => {
    const db = await database.open()
    const calls = [db.kvs.set('k', 1, 'a'), db.kvs.set('other', 2), db.kvs.get('k')]
    await db.close()
    assert.deepEqual(await outcomes(calls), [undefined, undefined, { a: 1 }])
  })

  test('a value that is not JSON is told as corrupted data, by every call that reads it', async () => {
    const db = await database.open()
    const { kvs } = db
    await db.run(`INSERT INTO kvs (key, value) VALUES ('k', 'oops')`)
    const calls = [
      () => kvs.get('k'),
      () => kvs.get('k', 'a'),
      () => kvs.set('k', 1, 'a'),
      () => kvs.delete('k', 'a'),
      () => kvs.has('k', 'a'),
      () => kvs.update('k', old => old),
      () => kvs.getMany(['k']),
      () => collect(kvs.list())
    ]
    for (const call of calls) {
      await assert.rejects(call(), (error: { table?: string; column?: string; message: string }) => {
        assert.deepEqual([error.table, error.column], ['kvs', 'value'])
        assert.doesNotMatch(error.message, /oops/)
        return failsWith('data_corrupted', /not JSON/)(error)
      })
    }
    assert.deepEqual(await db.one(`SELECT value FROM kvs WHERE key = 'k'`), { value: 'oops' })
  })

  test('a value that is not JSON fails alone, and can be replaced and deleted', async () => {
    const db = await database.open()
    const { kvs } = db
    await db.run(`INSERT INTO kvs (key, value) VALUES ('k', 'oops'), ('x', ''), ('good', '1')`)
    assert.deepEqual(await outcomes([kvs.set('k', 1, 'a'), kvs.set('other', 1, 'a'), kvs.get('k'), kvs.get('good'), kvs.has('k')]), [
      'data_corrupted',
      undefined,
      'data_corrupted',
      1,
      true
    ])
    await kvs.set('k', 1)
    assert.equal(await kvs.get('k'), 1)
    assert.equal(await kvs.delete('x'), true)
    assert.deepEqual(await keysOf(kvs), ['good', 'k', 'other'])
  })

  test('without its table every call says so', async () => {
    const db = await database.open()
    await db.exec('DROP TABLE kvs')
    for (const call of [() => db.kvs.get('k'), () => db.kvs.set('k', 1), () => db.kvs.set('k', 1, 'a'), () => collect(db.kvs.list())]) {
      await assert.rejects(call(), failsWith('undefined_table', /kvs/))
    }
  })

  test('the stack of an error leads to the line of the call', async () => {
    const { kvs } = await database.open()
    await kvs.set('k', 'text')
    const calls = [() => kvs.set('', 1), () => kvs.set('k', 1n), () => kvs.get('k', '['), () => kvs.set('k', 1, 'a')]
    for (const call of calls) {
      await assert.rejects(
        async () => await call(),
        (error: Error) => /kvs\.test\.ts/.test(error.stack ?? '')
      )
    }
  })

  test('createKeyValueStore makes a store on an adapter', async () => {
    const db = await database.open()
    const kvs = createKeyValueStore(await db.get(), 10)
    await kvs.set('k', 1, 'a')
    assert.deepEqual(await db.kvs.get('k'), { a: 1 })
    await assert.rejects(kvs.set('k', '123456789'), failsWith('invalid_value', /10 at most/))
  })
})

// The framework's older versions --------------------------------------------------------------------------------

const OLD_TABLE = 'CREATE TABLE kvs (key varchar(255) primary key, value text, modified_on timestamp)'
const OLD_ROWS = `INSERT INTO kvs (key, value, modified_on) VALUES
  ('B', '{"a":{"b":[1,2]}}', '2018-11-05 10:20:30.456'),
  ('a', '"text"', NULL),
  ('a_b', '{ "spaced" : [ 1 ] }', '2018-11-05 10:20:30'),
  ('nothing', NULL, '2018-11-05 10:20:30'),
  ('é', 'null', '2018-11-05 10:20:30')`

/** Makes the table as it was before duolect, and returns what opens the database. */
async function withOldTable(config: DatabaseConfig): Promise<DatabaseConfig> {
  const { dialect, location } = createDatabase(config)
  if (dialect === 'sqlite') {
    mkdirSync(dirname(location), { recursive: true })
    const file = new Native(location)
    file.exec(`${OLD_TABLE}; ${OLD_ROWS}`)
    file.close()
  } else {
    const client = new pg.Client({ connectionString: config.postgres?.connection })
    await client.connect()
    await client.query(OLD_TABLE)
    await client.query(OLD_ROWS)
    await client.end()
  }
  return config
}

onEachSharedDatabase('A table of the older versions', database => {
  const open = async () => database.closeAfterTest(createDatabase(await withOldTable(await database.config())))

  test('its values are read as they are, NULL as null', async () => {
    const { kvs } = await open()
    assert.deepEqual(
      [...(await kvs.getMany(['a', 'B', 'nothing', 'é', 'absent']))],
      [
        ['a', 'text'],
        ['B', { a: { b: [1, 2] } }],
        ['nothing', null],
        ['é', null]
      ]
    )
    assert.equal(await kvs.get('B', 'a.b[1]'), 2)
    assert.equal(await kvs.get('nothing'), null)
    assert.equal(await kvs.get('nothing', 'a'), undefined)
    assert.deepEqual(await outcomes([kvs.has('nothing'), kvs.has('nothing', 'a'), kvs.has('absent')]), [true, false, false])
  })

  test('it is listed in the order of code points, with its times in UTC', async () => {
    const { kvs } = await open()
    assert.deepEqual(await collect(kvs.list()), [
      { key: 'B', value: { a: { b: [1, 2] } }, modifiedOn: new Date('2018-11-05T10:20:30.456Z') },
      { key: 'a', value: 'text', modifiedOn: null },
      { key: 'a_b', value: { spaced: [1] }, modifiedOn: new Date('2018-11-05T10:20:30.000Z') },
      { key: 'nothing', value: null, modifiedOn: new Date('2018-11-05T10:20:30.000Z') },
      { key: 'é', value: null, modifiedOn: new Date('2018-11-05T10:20:30.000Z') }
    ])
    assert.deepEqual(await keysOf(kvs, { prefix: 'a', after: 'a' }), ['a_b'])
  })

  test('path sets change its values', async () => {
    const { kvs } = await open()
    await Promise.all([kvs.set('B', 5, 'a.b[0]'), kvs.set('a_b', 6, 'x'), kvs.set('é', 7, 'y'), kvs.set('new', 8, 'z')])
    assert.deepEqual(
      [...(await kvs.getMany(['B', 'a_b', 'é', 'new'])).values()],
      [{ a: { b: [5, 2] } }, { spaced: [1], x: 6 }, { y: 7 }, { z: 8 }]
    )
  })

  test('a path set replaces a NULL', { timeout: 10_000 }, async () => {
    const { kvs } = await open()
    await kvs.set('nothing', 5, 'a')
    assert.deepEqual(await kvs.get('nothing'), { a: 5 })
  })

  test('an update gets null for a NULL and replaces it', { timeout: 10_000 }, async () => {
    const { kvs } = await open()
    assert.equal(await kvs.update('nothing', old => (old === null ? 'was null' : 'was not')), 'was null')
    assert.equal(await kvs.get('nothing'), 'was null')
  })

  test('a NULL is deleted as a key', { timeout: 10_000 }, async () => {
    const { kvs } = await open()
    assert.equal(await kvs.delete('nothing', 'a'), false)
    assert.equal(await kvs.delete('nothing'), true)
    assert.equal(await kvs.has('nothing'), false)
  })

  test('a NULL is changed inside of a transaction', { timeout: 10_000 }, async () => {
    const db = await open()
    await db.transaction(tx => tx.kvs.set('nothing', 5, 'a'))
    assert.deepEqual(await db.kvs.get('nothing'), { a: 5 })
  })

  test('a time that is written is read as the same time', async () => {
    const { kvs } = await open()
    const before = Date.now()
    await kvs.set('a', 1)
    const [entry] = await collect(kvs.list({ prefix: 'a', limit: 1 }))
    const time = entry?.modifiedOn?.getTime() ?? 0
    assert.ok(time >= before && time <= Date.now(), `${entry?.modifiedOn?.toISOString()}`)
  })

  test('it stays as it was made, and the users table comes beside it', async () => {
    const db = await open()
    await db.saveUser({ id: '1', platform: 'slack' })
    await db.kvs.set('k', 1)
    assert.equal((await db.all('SELECT * FROM users')).length, 1)
    assert.equal((await db.all('SELECT key FROM kvs')).length, 6)
  })
})
