/** Rows of Postgres are the same, however they are decoded: as they come at first, or by code that was made for their columns. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { createDatabase, type Database } from '../src/index.ts'

const url = process.env.TEST_PG_URL as string

async function using(work: (db: Database) => Promise<void>): Promise<void> {
  const db = createDatabase({ postgres: { enabled: true, connection: url } })
  try {
    await work(db)
  } finally {
    await db.close()
  }
}

const ROW = {
  id: 1,
  n: 2n ** 60n,
  d: 0.5,
  j: { a: [1] },
  at: new Date(0),
  ok: true,
  day: '2024-02-29',
  bytes: Buffer.from([0, 255]),
  ['__proto__']: 'text',
  "it's\n\\": 'name'
}
const QUERY = `SELECT 1 AS id, ${ROW.n} AS n, CAST(0.5 AS DOUBLE PRECISION) AS d, CAST('{"a":[1]}' AS JSONB) AS j,
  CAST('1970-01-01Z' AS TIMESTAMPTZ) AS at, TRUE AS ok, CAST('2024-02-29' AS DATE) AS day, CAST('\\x00ff' AS BYTEA) AS bytes,
  'text' AS "__proto__", 'name' AS "it's\n\\"`

describe('Rows', () => {
  test('are the same each time', () =>
    using(async db => {
      for (let i = 0; i < 6; i++) assert.deepEqual(await db.one(QUERY), ROW)
    }))

  test('hold NULL in a column of each type', () =>
    using(async db => {
      const nothing = Object.fromEntries(Object.keys(ROW).map(name => [name, null]))
      const columns = Object.keys(ROW).map(name => `NULLIF(a."${name}", a."${name}") AS "${name}"`)
      for (let i = 0; i < 6; i++) assert.deepEqual(await db.one(`SELECT ${columns.join()} FROM (${QUERY}) AS a`), nothing)
    }))

  test('of the same names are decoded by the types of their own statement', () =>
    using(async db => {
      for (let i = 0; i < 6; i++) {
        assert.deepEqual(await db.one('SELECT 1 AS a, 2 AS b'), { a: 1, b: 2 })
        assert.deepEqual(await db.one("SELECT '1' AS a, 2 AS b"), { a: '1', b: 2 })
      }
    }))

  test('are the same where Node makes no code from strings', () => {
    const source = `
      import assert from 'node:assert/strict'
      import { createDatabase } from ${JSON.stringify(join(import.meta.dirname, '..', 'src', 'index.ts'))}
      assert.throws(() => new Function('return 1'), EvalError)
      const db = createDatabase(${JSON.stringify(url)})
      for (let i = 0; i < 6; i++) {
        const { n, at, ...rest } = await db.one(${JSON.stringify(QUERY)})
        assert.equal(n, 2n ** 60n)
        assert.equal(at.getTime(), 0)
        assert.equal(Object.getOwnPropertyDescriptor(rest, '__proto__').value, 'text')
        assert.deepEqual(rest.j, { a: [1] })
      }
      await db.close()`
    const options = ['--disallow-code-generation-from-strings', '--import', import.meta.resolve('tsx'), '--input-type=module', '-e', source]
    const { status, stderr } = spawnSync(process.execPath, options, { encoding: 'utf8', cwd: join(import.meta.dirname, '..') })
    assert.equal(status, 0, stderr)
  })
})
