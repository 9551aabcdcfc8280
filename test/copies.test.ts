/** Two copies of the package in one process: two versions in a tree, or a bundle beside an installed one. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import * as own from '../src/index.ts'
import { bundle } from './support/bundle.ts'
import { failsWith, onEachDatabase } from './support/databases.ts'

let directory = ''
let other: typeof own

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'duolect-copy-'))
  const outfile = join(directory, 'copy.mjs')
  await bundle(join(import.meta.dirname, '..', 'src', 'index.ts'), outfile)
  other = (await import(pathToFileURL(outfile).href)) as typeof own
})

after(() => rmSync(directory, { recursive: true, force: true }))

describe('An error of another copy', () => {
  test('is a DatabaseError', () => {
    const error = new other.DatabaseError('closed', 'text', { sql: 'SELECT 1' })
    assert.notEqual(other.DatabaseError, own.DatabaseError)
    assert.ok(error instanceof own.DatabaseError)
    assert.ok(new own.DatabaseError('closed', 'text') instanceof other.DatabaseError)
    assert.deepEqual([error.code, error.sql], ['closed', 'SELECT 1'])
  })

  test('is no instance of a subclass, and other objects are no DatabaseError', () => {
    class OwnError extends own.DatabaseError {}
    assert.ok(new OwnError('closed', 'text') instanceof own.DatabaseError)
    assert.ok(new OwnError('closed', 'text') instanceof OwnError)
    assert.ok(!(new own.DatabaseError('closed', 'text') instanceof OwnError))
    for (const value of [new Error('x'), { code: 'closed' }, null, undefined, 'DatabaseError', () => undefined]) {
      assert.ok(!((value as object) instanceof own.DatabaseError))
    }
  })
})

onEachDatabase('A fragment of another copy', database => {
  test('is a query', async () => {
    const db = await database.open()
    assert.deepEqual(await db.one(other.sql`SELECT CAST(${'x'} AS TEXT) AS value`), { value: 'x' })
    assert.deepEqual(await db.batch([other.sql`SELECT CAST(${'x'} AS TEXT) AS value`]), [[{ value: 'x' }]])
    await db.exec(other.sql`SELECT 1`)
  })

  test('nests, in a list and in a join too', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE t (n INTEGER)')
    const rows = [other.sql`(${1})`, own.sql`(${2})`, other.sql`(${3})`]
    await db.run(own.sql`INSERT INTO ${other.sql.id('t')} VALUES ${own.sql.list(rows)}`)
    const conditions = own.sql.join([other.sql`n > ${1}`, own.sql`n < ${3}`], other.sql` AND `)
    assert.deepEqual(await db.all(own.sql`SELECT n FROM t WHERE ${conditions}`), [{ n: 2 }])
    assert.deepEqual(await db.one(own.sql`SELECT ${other.sql.dialect({ sqlite: "'sqlite'", postgres: "'postgres'" })} AS name`), {
      name: database.dialect
    })
  })

  test('is no value', async () => {
    const db = await database.open()
    await assert.rejects(db.all('SELECT $1', [other.sql`1`]), failsWith('invalid_parameter', /\$1 is a sql fragment/))
  })
})
