/** Tables of duolect that are partitioned by hash, made by the statements of docs/promote.md. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createDatabase, type Database, type Entry } from '../src/index.ts'
import { differences, inFile, promote, workshop } from './support/promotion.ts'

const { file, target, query } = workshop()

const page = readFileSync(join(import.meta.dirname, '..', 'docs', 'promote.md'), 'utf8')

/** The page's statements, which begin with CREATE TABLE kvs. */
const STATEMENTS = /^ *CREATE TABLE kvs[\s\S]*?(?=^ *```)/m.exec(page)?.[0] as string

/** Servers before 11 have no keys on partitioned tables, so there the plain tables of duolect stand in. */
async function partitioned(): Promise<string> {
  const url = await target()
  const [[version] = []] = await query(url, 'SHOW server_version_num')
  if (Number(version) >= 110_000) await query(url, STATEMENTS)
  return url
}

async function keysOf(entries: AsyncIterable<Entry>): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of entries) keys.push(key)
  return keys
}

describe('Tables that are partitioned by hash', () => {
  let db: Database
  let url: string
  before(async () => {
    url = await partitioned()
    db = createDatabase(url)
  })
  after(() => db.close())

  test('are those that duolect uses', async () => {
    await db.kvs.setMany(Array.from({ length: 100 }, (_, i) => [`spread:${i}`, i] as const))
    const [[used] = []] = await query(url, "SELECT count(DISTINCT tableoid)::INT FROM kvs WHERE key LIKE 'spread:%'")
    const [[made] = []] = await query(url, "SELECT greatest(count(*), 1)::INT FROM pg_inherits WHERE inhparent = 'kvs'::REGCLASS")
    assert.equal(used, made)
  })

  test('hold values, their parts, and what update makes of them', async () => {
    await db.kvs.set('a', { b: [1, 2] })
    await db.kvs.set('a', 5, 'b[1]')
    await db.kvs.set('new', 'x', 'deep.path')
    await db.kvs.update<{ b: number[] }>('a', value => ({ b: [...(value?.b ?? []), 6] }))
    const stored = new Map<string, unknown>([
      ['a', { b: [1, 5, 6] }],
      ['new', { deep: { path: 'x' } }]
    ])
    assert.deepEqual(await db.kvs.getMany(['a', 'new', 'missing']), stored)
    assert.equal(await db.kvs.get('a', 'b[2]'), 6)
    assert.equal(await db.kvs.has('a', 'c'), false)
    await db.kvs.delete('a', 'b')
    assert.deepEqual(await db.kvs.get('a'), {})
    await db.kvs.delete('a')
    assert.equal(await db.kvs.has('a'), false)
  })

  test('keep each of many calls of one turn, on many keys and on one', async () => {
    await Promise.all([
      ...Array.from({ length: 64 }, (_, i) => db.kvs.set(`turn:${i}`, i)),
      ...Array.from({ length: 64 }, (_, i) => db.kvs.set('turn:one', i, `n${i}`)),
      ...Array.from({ length: 16 }, () => db.kvs.update<number>('turn:counter', n => (n ?? 0) + 1))
    ])
    const stored = await db.kvs.getMany(Array.from({ length: 64 }, (_, i) => `turn:${i}`))
    assert.deepEqual(
      [...stored.values()],
      Array.from({ length: 64 }, (_, i) => i)
    )
    assert.equal(Object.keys((await db.kvs.get<object>('turn:one')) as object).length, 64)
    assert.equal(await db.kvs.get('turn:counter'), 16)
  })

  test('are listed in the order of the keys, and cleared by a prefix', async () => {
    await db.kvs.setMany([
      ['list:b', 2],
      ['list:a', 1],
      ['list:c', 3]
    ])
    assert.deepEqual(await keysOf(db.kvs.list({ prefix: 'list:', after: 'list:a' })), ['list:b', 'list:c'])
    await db.kvs.deleteMany(['list:a', 'list:none'])
    await db.kvs.clear({ prefix: 'list:' })
    assert.deepEqual(await keysOf(db.kvs.list({ prefix: 'list:' })), [])
  })

  test('hold users, one for each id however many save it at once', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, i) => db.saveUser({ id: '1', platform: 'slack', timezone: i })))
    await db.saveUser({ id: '2', platform: 'slack', first_name: 'Ada' })
    const changed = await db.saveUser({ id: '2', platform: 'slack', last_name: 'Lovelace' })
    assert.deepEqual([changed.first_name, changed.last_name], ['Ada', 'Lovelace'])
    assert.deepEqual(await db.all('SELECT id FROM users ORDER BY id'), [{ id: 'slack:1' }, { id: 'slack:2' }])
  })

  test('change with a transaction, and not without it', async () => {
    await db.transaction(async tx => {
      await tx.kvs.set('tx', 1)
      await tx.saveUser({ id: 'tx', platform: 'web' })
    })
    await assert.rejects(
      db.transaction(async tx => {
        await tx.kvs.set('tx', 2)
        throw new Error('undo')
      }),
      /undo/
    )
    assert.equal(await db.kvs.get('tx'), 1)
  })
})

describe('promote', () => {
  test('fills partitioned tables, and repairs them', async () => {
    const path = file()
    const sqlite = createDatabase({ postgres: { enabled: false }, sqlite: { location: path } })
    await sqlite.kvs.setMany(Array.from({ length: 300 }, (_, i) => [`key ${i}`, { i }] as const))
    for (let i = 0; i < 20; i++) await sqlite.saveUser({ id: `${i}`, platform: 'slack' })
    await sqlite.close()
    const url = await partitioned()
    const first = await promote(path, url, '--keep-open')
    assert.equal(first.status, 0, first.output)
    assert.deepEqual(await differences(path, url), [])
    inFile(path, "DELETE FROM kvs WHERE key = 'key 7'")
    inFile(path, `UPDATE kvs SET value = '"new"' WHERE key = 'key 8'`)
    const second = await promote(path, url)
    assert.equal(second.status, 0, second.output)
    assert.match(second.output, /users: 20 rows, the same on Postgres/)
    assert.deepEqual(await differences(path, url), [])
  })
})
