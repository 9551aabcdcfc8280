/** Promote beside other processes: killed at any moment, and while an application goes on writing. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { createDatabase } from '../src/index.ts'
import { finished, start } from './support/processes.ts'
import { differences, inFile, promote, workshop } from './support/promotion.ts'

const { file, target, query } = workshop()

const TABLES = 8

function tables(): string[] {
  return Array.from(
    { length: TABLES },
    (_, i) =>
      `PRAGMA foreign_keys = OFF; CREATE TABLE t${i} (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES t${(i + 1) % TABLES} (id), v TEXT UNIQUE, d REAL);
       CREATE INDEX by_d_${i} ON t${i} (d);
       INSERT INTO t${i} WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 3000) SELECT n, n, 'row ' || n, n / 7.0 FROM s`
  )
}

/** The oid of each table and the number of its constraints and indexes. */
async function made(url: string): Promise<Map<string, string>> {
  const found = await query(
    url,
    "SELECT relname, oid::text FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
  )
  return new Map(found as [string, string][])
}

async function isSealed(path: string): Promise<boolean> {
  return inFile(path, "SELECT 1 FROM sqlite_schema WHERE name LIKE 'duolect_seal%'").length > 0
}

describe('Killed at any moment', () => {
  // The line after which it is killed, and how much later, in ms.
  for (const [line, later] of [
    [1, 0],
    [3, 40],
    [7, 10],
    [2 + TABLES, 5]
  ] as const) {
    test(`${later} ms after line ${line}, the same command completes it and does at most one table again`, async () => {
      const path = file(...tables())
      const url = await target()
      const child = start('promoter.ts', { args: [path, url] })
      let lines = 0
      child.stdout?.on('data', (data: Buffer) => {
        lines += data.toString().split('\n').length - 1
        if (lines >= line) setTimeout(() => child.kill('SIGKILL'), later)
      })
      const { signal } = await finished(child)
      const before = await made(url)
      const { status, output } = await promote(path, url)
      assert.equal(status, 0, output)
      assert.ok(signal === 'SIGKILL' || (await isSealed(path)))
      const after = await made(url)
      assert.equal(after.size, TABLES)
      for (const [name, oid] of before) assert.equal(after.get(name), oid, `${name} was made again`)
      const again = [...before.keys()].filter(name => new RegExp(`^${name}: .* rows copied`, 'm').test(output))
      assert.deepEqual(again, [])
      const keys = await query(
        url,
        "SELECT contype::text, count(*)::int FROM pg_constraint WHERE connamespace = current_schema()::regnamespace AND contype IN ('p', 'u', 'f') GROUP BY 1 ORDER BY 1"
      )
      assert.deepEqual(keys, [
        ['f', TABLES],
        ['p', TABLES],
        ['u', TABLES]
      ])
      assert.deepEqual(await differences(path, url), [])
    })
  }
})

describe('While an application writes', () => {
  test('all that it was told is stored is on Postgres, and its next write fails with the message of the seal', async () => {
    const path = file('PRAGMA journal_mode = WAL; CREATE TABLE marks (n INTEGER)', ...tables())
    const url = await target()
    const writer = start('writer.ts', { config: { postgres: { enabled: false }, sqlite: { location: path } }, from: 1, step: 1 })
    const ended = finished(writer)
    await once(writer.stdout as NodeJS.ReadableStream, 'data')
    const reader = createDatabase({ postgres: { enabled: false }, sqlite: { location: path, readOnly: true } })
    let reads = 0
    const reading = setInterval(() => void reader.one('SELECT count(*) AS count FROM marks').then(() => reads++), 5)
    const { status, output } = await promote(path, url)
    clearInterval(reading)
    await reader.close()
    assert.equal(status, 0, output)
    assert.ok(reads > 0, 'nothing could be read')
    const said = await ended
    assert.match(said.output, /moved to Postgres on/)
    const acknowledged = said.output
      .split('\n')
      .filter(line => /^\d+$/.test(line))
      .map(Number)
    const stored = (await query(url, 'SELECT n::int FROM marks ORDER BY n')).flat()
    assert.deepEqual(stored, acknowledged)
  })
})

describe('Two promotions of one file', () => {
  test('do not run at once: the second one waits, and finds the file moved', async () => {
    const path = file(...tables())
    const url = await target()
    const [first, second] = await Promise.all([promote(path, url), promote(path, url)])
    assert.deepEqual([first.status, second.status], [0, 0], first.output + second.output)
    assert.match(first.output + second.output, /moved already/)
  })
})

describe('A move that fails on the way', () => {
  const rows =
    "INSERT INTO notes WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 60000) SELECT n, printf('%.*c', 100, 'x') FROM s"

  test('by a row that the table on Postgres refuses names it among 60 000, and keeps nothing of the table', async () => {
    const path = file(`CREATE TABLE notes (id INTEGER PRIMARY KEY, v TEXT); ${rows}`)
    const url = await target()
    await query(url, 'CREATE TABLE notes (id BIGINT PRIMARY KEY CHECK (id <> 99), v TEXT)')
    const { status, output } = await promote(path, url)
    assert.equal(status, 1)
    assert.match(output, /notes: .*violates check constraint.* rowid 99$/m)
    assert.deepEqual(await query(url, 'SELECT count(*)::int FROM notes'), [[0]])
    inFile(path, 'DELETE FROM notes WHERE id = 99')
    assert.equal((await promote(path, url)).status, 0)
  })

  test('by a connection that breaks is completed by the same command', async () => {
    const path = file(`CREATE TABLE notes (id INTEGER PRIMARY KEY, v TEXT); ${rows}`)
    const url = await target()
    const schema = (await query(url, 'SELECT current_schema()')).flat()[0]
    const running = promote(path, url)
    let isCut = false
    while (!isCut) {
      const cut = await query(url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY "${schema}"%'`)
      isCut = cut.length > 0
    }
    const { status, output } = await running
    assert.equal(status, 1, output)
    assert.match(output, /run the same command again/)
    assert.equal((await promote(path, url)).status, 0)
    assert.deepEqual(await differences(path, url), [])
  })
})
