/** What promote computes by itself must be what the server computes: numbers, JSON, checksums, expressions. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import pg from 'pg'
import { type ExpressionColumn, translateCondition } from '../src/tools/promote/expression.ts'
import { hasherFor } from '../src/tools/promote/hash.ts'
import { canonicalJson } from '../src/tools/promote/json.ts'
import { plainDouble, printDouble } from '../src/tools/promote/numbers.ts'
import { Sums } from '../src/tools/promote/ranges.ts'
import { printTime } from '../src/tools/promote/times.ts'

async function onServer<T>(work: (client: pg.Client, version: number) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: process.env.TEST_PG_URL })
  await client.connect()
  try {
    const { rows } = await client
      .query("SET extra_float_digits = 2; SET TimeZone = 'UTC'; SHOW server_version_num")
      .then(results => (results as unknown as pg.QueryResult[])[2] as pg.QueryResult)
    return await work(client, Number(rows[0].server_version_num))
  } finally {
    await client.end()
  }
}

async function column(client: pg.Client, sql: string, values: unknown[]): Promise<string[]> {
  return (await client.query({ text: sql, values, rowMode: 'array' })).rows.map(([value]) => value as string)
}

describe('A value is written as the server writes it', () => {
  test('a double', () =>
    onServer(async (client, version) => {
      const doubles = fc.sample(fc.double({ noNaN: true }), { numRuns: 3000, seed: 1 }).map(value => (value === 0 ? 0 : value))
      const edges = [
        1e15,
        999999999999999.9,
        1e-4,
        9.999e-5,
        123456789012345680,
        5e-324,
        2 ** 53,
        0.1 + 0.2,
        1e21,
        1e22,
        // In the middle between two decimals of 17 digits.
        2 ** -4 + 42851309644599.75,
        16395561673694078,
        Infinity,
        -Infinity
      ]
      const all = [...edges, ...doubles]
      const printed = await column(
        client,
        'SELECT v::DOUBLE PRECISION::TEXT FROM unnest($1::TEXT[]) WITH ORDINALITY AS u (v, n) ORDER BY n',
        [all.map(String)]
      )
      assert.deepEqual(
        all.map(value => printDouble(value, version >= 120_000)),
        printed
      )
    }))

  test('a double as NUMERIC', () =>
    onServer(async client => {
      const doubles = fc.sample(fc.double({ noNaN: true, noDefaultInfinity: true }), { numRuns: 1000, seed: 2 })
      const printed = await column(client, 'SELECT v::NUMERIC::TEXT FROM unnest($1::TEXT[]) WITH ORDINALITY AS u (v, n) ORDER BY n', [
        doubles.map(plainDouble)
      ])
      assert.deepEqual(doubles.map(plainDouble), printed)
      assert.ok(doubles.every(value => Number(plainDouble(value)) === value + 0))
    }))

  test('JSON as JSONB', () =>
    onServer(async client => {
      const values = fc
        .sample(fc.jsonValue(), { numRuns: 1000, seed: 3 })
        .map(value => JSON.stringify(value))
        .filter(text => !/\\u0000|\\ud[89a-f]|-0[,}\]\s]|^-0$/.test(text))
      const edges = [
        '{"b":1,"a":2,"aa":3,"é":4,"":5}',
        '{"a":1,"a":2}',
        '[1e3,1.50,0.0,1E-5,100e-2,12345678901234567890.5]',
        '"\\u00e9\\n\\u001f\\/\\u2028"',
        ' { } '
      ]
      const all = [...edges, ...values]
      const printed = await column(client, 'SELECT v::JSONB::TEXT FROM unnest($1::TEXT[]) WITH ORDINALITY AS u (v, n) ORDER BY n', [all])
      assert.deepEqual(all.map(canonicalJson), printed)
    }))

  test('a time', () =>
    onServer(async client => {
      const dates = fc.sample(
        fc.date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
        { numRuns: 500, seed: 4 }
      )
      const printed = await column(client, 'SELECT v::TIMESTAMPTZ::TEXT FROM unnest($1::TEXT[]) WITH ORDINALITY AS u (v, n) ORDER BY n', [
        dates.map(date => date.toISOString())
      ])
      assert.deepEqual(
        dates.map(date => printTime(date.toISOString())),
        printed
      )
      assert.deepEqual(
        dates.map(date => printTime(BigInt(date.getTime()))),
        printed
      )
    }))
})

describe('A checksum is that of the server', () => {
  for (const version of [110_000, 100_000]) {
    test(`for lines of every length, as servers of version ${version / 10_000} have it`, () =>
      onServer(async (client, own) => {
        if (version >= 110_000 && own < 110_000) return assert.equal(hasherFor(own), hasherFor(version - 10_000))
        const hasher = hasherFor(version)
        const lines = Array.from({ length: 80 }, (_, i) => 'aé🙂\t'.repeat(30).slice(0, i))
        const [found] = (
          await client.query({
            text: `SELECT count(*), sum(${hasher.onPostgres('v')}) FROM unnest($1::TEXT[]) AS u (v)`,
            values: [lines.map(line => line.toWellFormed())],
            rowMode: 'array'
          })
        ).rows
        const sums = new Sums(hasher, 4)
        for (const line of lines) {
          const bytes = Buffer.from(line.toWellFormed())
          sums.add(bytes, 0, bytes.length)
        }
        const { count, sum } = sums.total
        assert.deepEqual([String(count), String(sum)], found)
      }))
  }
})

describe('An expression gives the same answer on both', () => {
  const columns: Record<string, ExpressionColumn> = {
    i: { target: 'i', type: 'integer', collation: 'BINARY' },
    j: { target: 'j', type: 'integer', collation: 'BINARY' },
    r: { target: 'r', type: 'real', collation: 'BINARY' },
    t: { target: 't', type: 'text', collation: 'BINARY' },
    n: { target: 'n', type: 'text', collation: 'NOCASE' },
    b: { target: 'b', type: 'boolean', collation: 'BINARY' },
    d: { target: 'd', type: 'date', collation: 'BINARY' }
  }
  const SQLITE = 'CREATE TABLE x (i INTEGER, j INTEGER, r REAL, t TEXT, n TEXT COLLATE NOCASE, b BOOLEAN, d DATE)'
  const POSTGRES = 'CREATE TEMP TABLE x (i BIGINT, j BIGINT, r DOUBLE PRECISION, t TEXT COLLATE "C", n TEXT COLLATE "C", b BOOLEAN, d DATE)'
  const ROWS = [
    [0, 1, 0.5, 'a', 'Bob', 0, '2024-01-31'],
    [1, 0, -1.5, 'A', 'bob', 1, '1999-12-31'],
    [-7, 3, 1e15, 'Äb ', 'ÄB', 1, '2024-02-29'],
    [10, -4, 0, '', '', 0, '0001-01-01'],
    [null, 2, null, null, null, null, null],
    [2, 2, 2, 'a%b_c', 'a@B', 1, '2024-02-28']
  ]

  const EXPRESSIONS = [
    'b = 0',
    'b <> 1',
    'b',
    'NOT b',
    'b IN (0, 1)',
    'b IS NOT NULL AND b != 0',
    'b = (i > 0)',
    'b + i > 1',
    'i',
    'i AND r',
    'NOT i',
    'i / j',
    'i % 3 = -1',
    'i / 2 * 2 = i',
    '-i > j',
    'i + j * 2 >= r',
    'i & 1',
    'i | j = 3',
    'abs(i) = 7',
    'i BETWEEN 0 AND 5',
    'i NOT BETWEEN j AND 10',
    'i IN (1, 2, NULL)',
    'i NOT IN (1, 2)',
    'i = 1.0',
    'r = i',
    'i IS j',
    'i IS NOT j',
    'i IS NULL',
    'i ISNULL',
    'i NOTNULL',
    'i NOT NULL',
    'i == 1 OR i <> 2 AND j = 2',
    '(i IS NULL) + (t IS NULL) = 2',
    'i IS NOT DISTINCT FROM 2',
    "t = 'a'",
    "t < 'a'",
    "t >= ''",
    "t <> 'A'",
    "t LIKE 'a%'",
    "t NOT LIKE '%b_c'",
    "t LIKE 'a\\%'",
    "t LIKE 'a!%%' ESCAPE '!'",
    "n = 'BOB'",
    "n IN ('bob', 'x')",
    "n > 'aa'",
    "t = 'a' COLLATE NOCASE",
    'n = t',
    'length(t) > 2',
    'length(i) = 2',
    "lower(t) = 'äb '",
    "upper(t) = 'A'",
    "trim(t) = 'Äb'",
    "replace(t, 'a', 'x') = 'x'",
    "instr(t, 'b') > 0",
    "substr(t, 2) = '%b_c'",
    "substr(t, 1, 1) = 'a'",
    "t || i = 'a0'",
    "t || '' = t",
    'coalesce(i, j) = 2',
    'ifnull(b, i) = 1',
    'nullif(i, j) IS NULL',
    'iif(i > 0, j, r) > 1',
    "CASE i WHEN 1 THEN 'x' ELSE t END = 'x'",
    'CASE WHEN i > j THEN 1 WHEN i < j THEN 0 END',
    'CAST(i AS TEXT) = t',
    'CAST(b AS INTEGER) = 1',
    'CAST(i AS REAL) / 4 = 0.25',
    "d > '2024-01-31'",
    "d BETWEEN '2024-01-01' AND '2024-02-28'",
    "d = '0001-01-01'",
    'TRUE',
    'i = TRUE',
    'NULL',
    '1 = 1 AND (i = 1) = 1',
    'x.i > 0 OR "t" = \'a\''
  ]

  test('for every row, or is refused', () =>
    onServer(async client => {
      const sqlite = new Database(':memory:')
      sqlite.exec(SQLITE)
      await client.query(POSTGRES)
      for (const row of ROWS) {
        sqlite.prepare('INSERT INTO x VALUES (?, ?, ?, ?, ?, ?, ?)').run([...row])
        await client.query('INSERT INTO x VALUES ($1, $2, $3, $4, $5, $6::INTEGER::BOOLEAN, $7)', [...row])
      }
      const failures: string[] = []
      for (const expression of EXPRESSIONS) {
        const translated = translateCondition(expression, name => columns[name])
        const expected = sqlite
          .prepare(`SELECT CASE WHEN ${expression} THEN 'true' WHEN NOT (${expression}) THEN 'false' ELSE 'null' END FROM x ORDER BY rowid`)
          .pluck()
          .all()
        const { rows } = await client.query({
          text: `SELECT coalesce((${translated})::TEXT, 'null') FROM x ORDER BY ctid`,
          rowMode: 'array'
        })
        const got = rows.flat()
        if (got.some((value, i) => value !== expected[i]))
          failures.push(`${expression} → ${translated}: ${expected.join()} <> ${got.join()}`)
      }
      sqlite.close()
      assert.deepEqual(failures, [])
    }))

  for (const expression of [
    "t GLOB 'a*'",
    'typeof(i) = 1',
    't > 5',
    'd > t',
    'json_valid(t)',
    'i IN (SELECT 1)',
    'i << 1',
    'max(i, j) > 0',
    'round(r) = 1',
    'unknown = 1',
    "substr(t, -1) = 'a'",
    "strftime('%Y', d) = '2024'",
    "t MATCH 'a'",
    'r % 2 = 0'
  ]) {
    test(`${expression} is refused`, () => {
      assert.throws(() => translateCondition(expression, name => columns[name]))
    })
  }
})
