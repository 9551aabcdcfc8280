/** The driver of docs/unstorage.md does what unstorage asks of a driver. */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { after, beforeEach, test } from 'node:test'
import type { Database, Handle } from '../src/index.ts'
import { onEachDatabase } from './support/databases.ts'
import { folderFor } from './support/pages.ts'

/** What is used of unstorage, whose types are not installed where only the checks run. */
interface Storage {
  hasItem(key: string): Promise<boolean>
  getItem(key: string): Promise<unknown>
  getItemRaw(key: string): Promise<Uint8Array>
  getItems(items: readonly (string | { key: string })[]): Promise<{ key: string; value: unknown }[]>
  setItem(key: string, value: unknown): Promise<void>
  setItemRaw(key: string, value: unknown): Promise<void>
  setItems(items: readonly { key: string; value: unknown }[]): Promise<void>
  removeItem(key: string): Promise<void>
  getMeta(key: string): Promise<{ mtime?: Date; owner?: string }>
  setMeta(key: string, value: object): Promise<void>
  getKeys(base?: string, options?: { maxDepth: number }): Promise<string[]>
  clear(base?: string): Promise<void>
  mount(base: string, driver: Driver): void
  watch(listener: (event: string, key: string) => void): Promise<() => Promise<void>>
}

type Driver = { readonly name: string }

interface Package {
  createStorage(options?: { driver: Driver }): Storage
  prefixStorage(storage: Storage, base: string): Storage
  snapshot(storage: Storage, base: string): Promise<object>
  restoreSnapshot(storage: Storage, items: object, base: string): Promise<void>
}

const { directory, write } = folderFor('docs/unstorage.md')
const { createStorage, prefixStorage, restoreSnapshot, snapshot } = (await import(write('load.ts', "export * from 'unstorage'"))) as Package
const { duolectDriver } = (await import(`${directory}/duolect-driver.js`)) as {
  duolectDriver: (options: { db: Handle; prefix?: string }) => Driver
}
after(() => rmSync(directory, { recursive: true }))

onEachDatabase('The unstorage driver', database => {
  let db: Database
  let storage: Storage

  beforeEach(async () => {
    db = await database.open()
    storage = createStorage({ driver: duolectDriver({ db }) })
  })

  test('has nothing at first', async () => {
    assert.equal(await storage.hasItem('a:b'), false)
    assert.equal(await storage.getItem('a:b'), null)
    assert.deepEqual(await storage.getKeys(), [])
  })

  for (const value of ['text', 'a "quoted" text', 0, 42, true, false, { a: [1, { b: null }] }, [1, 2], '12', 'null', '']) {
    test(`gives back ${JSON.stringify(value)} as a driver in memory does`, async () => {
      const memory = createStorage()
      for (const each of [memory, storage]) await each.setItem('k', value)
      assert.deepEqual(await storage.getItem('k'), await memory.getItem('k'))
      assert.equal(await storage.hasItem('k'), true)
    })
  }

  test('gives back bytes', async () => {
    await storage.setItemRaw('raw.bin', new Uint8Array([0, 1, 255]))
    assert.deepEqual(Buffer.from(await storage.getItemRaw('raw.bin')), Buffer.from([0, 1, 255]))
  })

  test('takes null and undefined as unstorage does', async () => {
    await storage.setItem('k', null)
    assert.equal(await storage.getItem('k'), null)
    await storage.setItem('k', undefined)
    assert.equal(await storage.hasItem('k'), false)
  })

  test('refuses what unstorage cannot make a string of', async () => {
    await assert.rejects(storage.setItem('k', new (class Thing {})()), /Cannot stringify/)
  })

  test('removes an item', async () => {
    await storage.setItem('k', 1)
    await storage.removeItem('k')
    assert.equal(await storage.hasItem('k'), false)
  })

  test('stores and gives several items, in the order in which they were asked for', async () => {
    await storage.setItems([
      { key: 'a', value: 'one' },
      { key: 'b', value: { two: 2 } }
    ])
    assert.deepEqual(await storage.getItems(['b', { key: 'absent' }, 'a']), [
      { key: 'b', value: { two: 2 } },
      { key: 'absent', value: null },
      { key: 'a', value: 'one' }
    ])
  })

  test('lists the keys of a base, to a depth', async () => {
    for (const key of ['a', 'b:c', 'b:d:e', 'bc:d']) await storage.setItem(key, 1)
    assert.deepEqual(await storage.getKeys(), ['a', 'b:c', 'b:d:e', 'bc:d'])
    assert.deepEqual(await storage.getKeys('b'), ['b:c', 'b:d:e'])
    assert.deepEqual(await storage.getKeys('', { maxDepth: 0 }), ['a'])
    assert.deepEqual(await storage.getKeys('', { maxDepth: 1 }), ['a', 'b:c', 'bc:d'])
  })

  test('clears what is mounted at a base, then all, then nothing', async () => {
    storage.mount('b', duolectDriver({ db, prefix: 'b/' }))
    for (const key of ['a', 'b:c', 'bc:d']) await storage.setItem(key, 1)
    await storage.clear('b')
    assert.deepEqual(await storage.getKeys(), ['a', 'bc:d'])
    await storage.clear()
    await storage.clear()
    assert.deepEqual(await storage.getKeys(), [])
  })

  test('leaves other keys of the store alone', async () => {
    await db.kvs.set('mine', 1)
    await storage.setItem('a', 1)
    await storage.clear()
    assert.equal(await db.kvs.get('mine'), 1)
  })

  test('tells when an item was changed', async () => {
    await storage.setItem('k', 1)
    await storage.setItem('k2', 1)
    const { mtime } = await storage.getMeta('k')
    assert.ok(mtime instanceof Date && Math.abs(Date.now() - mtime.getTime()) < 60_000, String(mtime))
    assert.equal((await storage.getMeta('absent')).mtime, undefined)
  })

  test('keeps meta data that the caller sets', async () => {
    await storage.setItem('k', 1)
    await storage.setMeta('k', { owner: 'emma' })
    assert.equal((await storage.getMeta('k')).owner, 'emma')
  })

  test('mounts below a base, and beside another driver', async () => {
    const both = createStorage()
    both.mount('db', duolectDriver({ db }))
    await both.setItem('db:a', 1)
    await both.setItem('b', 2)
    assert.deepEqual((await both.getKeys()).sort(), ['b', 'db:a'])
    assert.equal(await db.kvs.get('storage:a'), '1')
  })

  test('takes and gives snapshots', async () => {
    await restoreSnapshot(storage, { 'a:b': 'one', 'a:c': { two: 2 } }, 's')
    assert.deepEqual(await snapshot(storage, 's'), { 'a:b': 'one', 'a:c': { two: 2 } })
    assert.equal(await prefixStorage(storage, 's').getItem('a:b'), 'one')
  })

  test('tells watchers of the changes of its own process', async () => {
    const told: string[] = []
    const unwatch = await storage.watch((event, key) => told.push(`${event} ${key}`))
    await storage.setItem('k', 1)
    await storage.removeItem('k')
    await unwatch()
    assert.deepEqual(told, ['update k', 'remove k'])
  })
})
