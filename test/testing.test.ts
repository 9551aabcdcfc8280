import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import pg from 'pg'
import type { Database } from '../src/index.ts'
import { findUnportable, testDatabases } from '../src/testing.ts'
import { failsWith } from './support/databases.ts'
import { finished, start } from './support/processes.ts'

const url = process.env.TEST_PG_URL as string

async function prepare(db: Database): Promise<void> {
  await db.exec("CREATE TABLE notes (body TEXT); INSERT INTO notes (body) VALUES ('prepared')")
  await db.kvs.set('prepared', true)
}

const { open, databases } = testDatabases({ prepare, url, databases: ['sqlite', 'postgres'] })

async function databasesOnServer(): Promise<string[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query("SELECT datname AS name FROM pg_database WHERE datname LIKE 'duolect_test%'")
  await client.end()
  return rows.map(({ name }) => name)
}

for (const database of databases) {
  test(`a test database has what was prepared (${database})`, async () => {
    const db = await open(database)
    assert.equal(db.dialect, database)
    assert.deepEqual(await db.all('SELECT body FROM notes'), [{ body: 'prepared' }])
    assert.equal(await db.kvs.get('prepared'), true)
    await db.close()
  })

  test(`test databases do not see each other's changes (${database})`, async () => {
    const [a, b] = await Promise.all([open(database), open(database)])
    await a.run('DELETE FROM notes')
    await b.kvs.set('prepared', false)
    assert.equal((await b.all('SELECT body FROM notes')).length, 1)
    assert.equal(await a.kvs.get('prepared'), true)
    await Promise.all([a.close(), b.close()])
    const c = await open(database)
    assert.equal((await c.all('SELECT body FROM notes')).length, 1)
    await c.close()
  })

  test(`a test database takes further settings (${database})`, async () => {
    const db = await open(database, { kvs: { maxValueBytes: 10 } })
    await assert.rejects(db.kvs.set('long', 'more than ten'), failsWith('invalid_value'))
    await db.close()
  })

  test(`prepare runs once, also for test databases that are opened at once (${database})`, async () => {
    let count = 0
    const kit = testDatabases({ prepare: () => count++, url })
    const opened = await Promise.all([kit.open(database), kit.open(database), kit.open(database)])
    assert.equal(count, 1)
    await Promise.all(opened.map(db => db.close()))
  })
}

test('close() drops the database of Postgres', async () => {
  const db = await open('postgres')
  const name = new URL(db.location).pathname.slice(1)
  assert.ok((await databasesOnServer()).includes(name))
  await db.close()
  assert.ok(!(await databasesOnServer()).includes(name))
})

test('databases of a run that was killed are dropped by one that starts an hour later', async () => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const [old, recent] = [`duolect_test_${Date.now() - 3_700_000}_1_1`, `duolect_test_${Date.now() - 60_000}_1_1`]
  await client.query(`CREATE DATABASE ${old}`)
  await client.query(`CREATE DATABASE ${recent}`)
  const db = await testDatabases({ url }).open('postgres')
  const names = await databasesOnServer()
  assert.deepEqual([names.includes(old), names.includes(recent)], [false, true])
  await client.query(`DROP DATABASE ${recent}`)
  await client.end()
  await db.close()
})

test('a database that is none is refused', () => {
  assert.throws(
    () => testDatabases({ databases: ['mysql' as 'sqlite'] }),
    failsWith('invalid_configuration', /"mysql".*sqlite or postgres/)
  )
})

test('processes of a run share one server, which ends with the last of them, also when it is killed', async () => {
  const env = { TEST_PG_URL: '', PG_EMBEDDED: process.env.PG_EMBEDDED ?? '' }
  const children = [1, 2].map(() => start('kit-user.ts', null, env))
  const outputs = children.map(child => new Promise<string>(resolve => child.stdout?.once('data', data => resolve(String(data).trim()))))
  const [first, second] = await Promise.all(outputs)
  assert.match(first as string, /^\d+ \d+$/)
  // Its port, and the id of its process.
  assert.equal(first, second)
  const server = Number((first as string).split(' ')[1])
  process.kill(server, 0)
  for (const child of children) {
    const end = finished(child)
    child.kill('SIGKILL')
    await end
  }
  const isAlive = () => {
    try {
      // A process that has ended may still be listed until its parent looks.
      return !execFileSync('ps', ['-o', 'stat=', '-p', String(server)], { encoding: 'utf8' })
        .trim()
        .startsWith('Z')
    } catch {
      return false
    }
  }
  for (let i = 0; i < 150 && isAlive(); i++) await new Promise(resolve => setTimeout(resolve, 100))
  assert.ok(!isAlive())
})

for (const [type, value, problem] of [
  ['JSON', "'{'", /no JSON/],
  ['TIMESTAMP', 'CURRENT_TIMESTAMP', /CURRENT_TIMESTAMP/],
  ['TIMESTAMP', '1700000000000', /another form/],
  ['TIMESTAMP', "'2024-02-30T00:00:00.000Z'", /another form/],
  ['TIMESTAMP', "'2024-13-01T00:00:00.000Z'", /another form/],
  ['DATE', "'2024-01-01T10:00:00.000Z'", /has a time/],
  ['DATE', "'2024-02-30'", /no day/],
  ['BOOLEAN', "'true'", /neither TRUE nor FALSE/],
  ['BOOLEAN', '2', /neither TRUE nor FALSE/],
  ['INTEGER', '2147483648', /32 bits/],
  ['INTEGER', "'five'", /no integer/],
  ['BIGINT', '5.5', /no integer/],
  ['SMALLINT', '40000', /16 bits/],
  ['DOUBLE PRECISION', "'a'", /no number/],
  ['BLOB', "'a'", /bytes/],
  ['TEXT', "x'00'", /no string/],
  ['TEXT', "'a' || char(0)", /NUL/],
  ['VARCHAR(3)', "'four'", /longer than VARCHAR\(3\)/]
] as const) {
  test(`findUnportable() names ${value} in a column ${type} of SQLite`, async () => {
    const db = await open('sqlite')
    await db.exec(
      `CREATE TABLE samples (good ${type}, "the ""column""" ${type}); INSERT INTO samples VALUES (NULL, ${value}), (NULL, NULL)`
    )
    const found = await findUnportable(db)
    assert.equal(found.length, 1)
    assert.deepEqual({ ...found[0], problem: '' }, { table: 'samples', column: 'the "column"', type, problem: '', count: 1 })
    assert.match(found[0]?.problem as string, problem)
    await db.close()
  })
}

for (const [type, value, problem] of [
  ['TIMESTAMPTZ', "'infinity'", /infinite/],
  ['TIMESTAMP', "'2024-01-01 00:00:00.000001'", /microseconds/],
  ['DATE', "'-infinity'", /infinite/],
  ['NUMERIC', "'NaN'", /no number/],
  ['DOUBLE PRECISION', "'NaN'", /no number/]
] as const) {
  test(`findUnportable() names ${value} in a column ${type} of Postgres`, async () => {
    const db = await open('postgres')
    await db.exec(`CREATE TABLE samples (good ${type}, bad ${type}); INSERT INTO samples VALUES (NULL, ${value})`)
    const found = await findUnportable(db)
    assert.deepEqual(
      found.map(({ table, column, count }) => [table, column, count]),
      [['samples', 'bad', 1]]
    )
    assert.match(found[0]?.problem as string, problem)
    await db.close()
  })
}

for (const database of databases) {
  test(`findUnportable() finds nothing in what duolect stores (${database})`, async () => {
    const db = await open(database)
    await db.saveUser({ id: '1', platform: 'slack', timezone: 2 })
    await db.exec('CREATE TABLE samples (a JSON, b TIMESTAMP, c BOOLEAN, d BIGINT, e VARCHAR(5))')
    await db.run('INSERT INTO samples VALUES ($1, $2, $3, $4, $5)', [[1], new Date(), true, 2n ** 60n, 'five5'])
    assert.deepEqual(await findUnportable(db), [])
    await db.close()
  })
}
