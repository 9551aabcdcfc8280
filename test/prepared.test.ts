/** How statements reach a Postgres server, and how its answers are read, whatever others do to tables and settings. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { type Pooler, startPgBouncer } from '../scripts/pgbouncer.ts'
import { readSettings } from '../src/config.ts'
import { openPostgres } from '../src/drivers/postgres/driver.ts'
import { unreadableError } from '../src/drivers/postgres/errors.ts'
import { type Adapter, createDatabase, type Database, type DatabaseConfig, DatabaseError } from '../src/index.ts'
import { DatabaseServer } from '../src/tools/servers/databases.ts'
import { failsWith } from './support/databases.ts'
import { Relay } from './support/relay.ts'

const server = new DatabaseServer(process.env.TEST_PG_URL as string)
const own = await server.create(`prepared_${process.pid}`)
/** Another process, as the server sees it. */
const other = new pg.Client({ connectionString: own.url })

before(() => other.connect())

after(async () => {
  await other.end()
  await own.drop()
  await server.close()
})

async function using(settings: DatabaseConfig['postgres'], work: (db: Database) => Promise<void>): Promise<void> {
  const db = createDatabase({ postgres: { enabled: true, connection: own.url, ...settings } })
  try {
    await work(db)
  } finally {
    await db.close()
  }
}

/** A column's type before and after, and a value that only the second one holds. */
const CHANGES = [
  ['DATE', 'TIMESTAMP', new Date('2024-03-10T11:12:13.456Z'), new Date('2024-03-10T11:12:13.456Z')],
  ['REAL', 'DOUBLE PRECISION', 1 / 3, 1 / 3],
  ['CHAR(3)', 'TEXT', 'longer ', 'longer '],
  ['NUMERIC(10, 2)', 'NUMERIC', '1.2345', '1.2345'],
  ['INTEGER', 'BIGINT', 3_000_000_000, 3_000_000_000],
  ['INTEGER', 'TEXT', '007', '007'],
  ['TEXT', 'BYTEA', Buffer.from([0, 255]), Buffer.from([0, 255])]
] as const

/** Ways of this process to change a column. */
const OWN_WAYS: readonly (readonly [name: string, change: (db: Database, text: string) => Promise<unknown>])[] = [
  ['exec()', (db, text) => db.exec(text)],
  ['run()', (db, text) => db.run(text)],
  ['batch()', (db, text) => db.batch([text])],
  ['a transaction', (db, text) => db.transaction(tx => tx.run(text))],
  ['a script of a transaction', (db, text) => db.transaction(tx => tx.exec(text))],
  ['a DO block', (db, text) => db.run(`DO $$ BEGIN ${text}; END $$`)]
]

async function prepare(db: Database, table: string, from: string): Promise<void> {
  await db.exec(`DROP TABLE IF EXISTS ${table}; CREATE TABLE ${table} (v ${from})`)
  // So that the statement is prepared on each of the connections.
  await Promise.all([insert(db, table, null), insert(db, table, null), insert(db, table, null)])
}

function insert(db: Database, table: string, value: unknown): Promise<unknown> {
  return db.run(`INSERT INTO ${table} VALUES ($1)`, [value])
}

async function stored(db: Database, table: string): Promise<unknown[]> {
  return (await db.all(`SELECT v FROM ${table} WHERE v IS NOT NULL`)).map(({ v }) => v)
}

describe('A column whose type changes', () => {
  for (const [way, change] of OWN_WAYS) {
    test(`by ${way} of this process takes values of the new type at once`, () =>
      using({ maxConnections: 3 }, async db => {
        for (const [from, to, value, expected] of CHANGES) {
          await prepare(db, 'changing', from)
          await change(db, `ALTER TABLE changing ALTER v TYPE ${to} USING NULL`)
          await Promise.all([insert(db, 'changing', value), insert(db, 'changing', value), insert(db, 'changing', value)])
          assert.deepEqual(await stored(db, 'changing'), [expected, expected, expected], `${from} to ${to}`)
        }
      }))
  }

  test('by another process takes them after two seconds', () =>
    using({ maxConnections: 3 }, async db => {
      for (const [i, [from]] of CHANGES.entries()) await prepare(db, `aging_${i}`, from)
      for (const [i, [, to]] of CHANGES.entries()) await other.query(`ALTER TABLE aging_${i} ALTER v TYPE ${to} USING NULL`)
      await pause(2_100)
      for (const [i, [from, to, value, expected]] of CHANGES.entries()) {
        await insert(db, `aging_${i}`, value)
        assert.deepEqual(await stored(db, `aging_${i}`), [expected], `${from} to ${to}`)
      }
    }))

  test('by another process takes at once what the old type would have refused', () =>
    using({ maxConnections: 1 }, async db => {
      for (const batched of [false, true]) {
        await prepare(db, 'widened', 'INTEGER')
        await other.query('ALTER TABLE widened ALTER v TYPE BIGINT')
        if (batched) await db.batch([['INSERT INTO widened VALUES ($1)', [3_000_000_000]]])
        else await insert(db, 'widened', 3_000_000_000)
        assert.deepEqual(await stored(db, 'widened'), [3_000_000_000])
      }
    }))

  test('by an earlier statement of the same batch or transaction takes them', () =>
    using({ maxConnections: 1 }, async db => {
      const text = 'ALTER TABLE changing ALTER v TYPE TIMESTAMP USING NULL'
      const time = new Date('2024-03-10T11:12:13.456Z')
      await prepare(db, 'changing', 'DATE')
      await db.batch([text, ['INSERT INTO changing VALUES ($1)', [time]]])
      assert.deepEqual(await stored(db, 'changing'), [time])
      await prepare(db, 'changing', 'DATE')
      await db.transaction(async tx => {
        // Not awaited, so that both are on their way at once.
        const change = tx.run(text)
        await tx.run('INSERT INTO changing VALUES ($1)', [time])
        await change
      })
      assert.deepEqual(await stored(db, 'changing'), [time])
    }))
})

describe('A statement that is prepared', () => {
  test('and fails for a value is run once', () =>
    using({ maxConnections: 1 }, async db => {
      await db.exec('CREATE SEQUENCE calls')
      const divide = (n: number) => db.all('SELECT nextval($2) / CAST($1 AS INTEGER) AS a', [n, 'calls'])
      await divide(1)
      await assert.rejects(divide(0), failsWith('division_by_zero'))
      await assert.rejects(divide(0), failsWith('division_by_zero'))
      assert.deepEqual(await db.all("SELECT currval('calls') AS calls"), [{ calls: 3 }])
    }))

  test('reads on, or fails as its table does, while tables are dropped and made', () =>
    using({ maxConnections: 16 }, async db => {
      await db.exec('CREATE TABLE remade (a INTEGER)')
      const end = Date.now() + 1_500
      const failures: unknown[] = []
      const readers = Array.from({ length: 16 }, async () => {
        while (Date.now() < end) await db.all('SELECT * FROM remade').catch(error => failures.push(error))
      })
      while (Date.now() < end) {
        await other.query('DROP TABLE remade')
        await other.query('CREATE TABLE remade (a INTEGER, b TEXT)')
        await other.query('DROP TABLE remade; CREATE TABLE remade (a TEXT)')
      }
      await Promise.all(readers)
      for (const error of failures) {
        assert.ok(error instanceof DatabaseError, String(error))
        assert.notEqual(error.code, 'unclassified', error.message)
      }
      assert.deepEqual(await db.all('SELECT * FROM remade'), [])
    }))

  test('works again after its name is gone from the server', () =>
    using({ maxConnections: 1 }, async db => {
      await db.exec("CREATE FUNCTION forget() RETURNS VOID LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
      const read = () => db.all('SELECT CAST($1 AS INTEGER) AS a', [1])
      await read()
      await db.all('SELECT forget()')
      assert.deepEqual(await read(), [{ a: 1 }])
      await db.all('SELECT forget()')
      assert.deepEqual(await db.batch([['SELECT CAST($1 AS INTEGER) AS a', [1]]]), [[{ a: 1 }]])
      const rows = await db.transaction(
        async tx => {
          if (attempts++ === 0) await tx.all('SELECT forget()')
          return tx.all('SELECT CAST($1 AS INTEGER) AS a', [1])
        },
        { retries: 1 }
      )
      assert.deepEqual(rows, [{ a: 1 }])
    }))
  let attempts = 0

  test('stays while transactions set what ends with them', () =>
    using({ maxConnections: 1 }, async db => {
      await db.all('SELECT 1 AS kept')
      const prepared = () => db.all("SELECT name FROM pg_prepared_statements WHERE statement = 'SELECT 1 AS kept'")
      const before = await prepared()
      await db.transaction(tx => tx.exec("SET LOCAL a.b = 'c'; SELECT 1"))
      await db.batch(["SET LOCAL a.b = 'c'"])
      await db.all('SELECT 1 AS kept')
      assert.equal(before.length, 1)
      assert.deepEqual(await prepared(), before)
    }))

  test('is kept while it is in use, and 2000 others are not', () =>
    using({ maxConnections: 1 }, async db => {
      const names = async () => (await db.all('SELECT name, statement FROM pg_prepared_statements')).map(({ statement }) => statement)
      for (let i = 0; i < 2000; i++) {
        await db.all(`SELECT ${i} AS a`)
        if (i % 100 === 0) await db.all("SELECT 'in use' AS a")
      }
      await db.all('SELECT 2000 AS a')
      const kept = await names()
      assert.ok(kept.includes('SELECT 2000 AS a'))
      assert.ok(kept.includes("SELECT 'in use' AS a"))
      assert.ok(kept.length <= 500, String(kept.length))
    }))

  test('is one of few when texts are long', () =>
    using({ maxConnections: 1 }, async db => {
      for (let i = 0; i < 100; i++) await db.all(`SELECT ${i} AS a /* ${'x'.repeat(30_000)} */`)
      await db.all(`SELECT 1 AS a /* ${'x'.repeat(100_000)} */`)
      const [{ length }] = (await db.all('SELECT sum(length(statement)) AS length FROM pg_prepared_statements')) as [{ length: string }]
      assert.ok(Number(length) > 500_000 && Number(length) <= 1_100_000, length)
    }))
})

describe('COPY that reaches the server', () => {
  let adapter: Adapter

  before(async () => {
    adapter = await openPostgres(readSettings({ postgres: { enabled: true, connection: own.url, maxConnections: 1 } }) as never)
    await adapter.script('CREATE TABLE copied (a INTEGER)')
  })
  after(() => adapter.close())

  const statement = (text: string) => ({ text, values: [], parameters: undefined, expects: undefined })

  for (const text of ['COPY copied FROM STDIN', 'COPY (SELECT 1) TO STDOUT']) {
    for (const [way, send] of [
      ['query()', async () => adapter.query(statement(text))],
      ['execute()', async () => adapter.execute(statement(text))],
      ['script()', async () => adapter.script(text)]
    ] as const) {
      test(`by ${way} is ended at once, and the connection goes on: ${text}`, async () => {
        await assert.rejects(send(), failsWith('feature_not_supported', /COPY/))
        assert.deepEqual(await adapter.query(statement('SELECT 1 AS a')), [{ a: 1 }])
      })
    }
  }

  test('fails what was sent behind it, too', async () => {
    const session = await adapter.begin({})
    const answers = await Promise.allSettled([
      session.query(statement('COPY copied FROM STDIN')),
      session.query(statement('INSERT INTO copied VALUES (1)'))
    ])
    assert.deepEqual(
      answers.map(({ status }) => status),
      ['rejected', 'rejected']
    )
    await session.rollback()
    assert.deepEqual(await adapter.query(statement('SELECT a FROM copied')), [])
  })
})

describe('An answer that cannot be read', () => {
  test('fails its query, and not the process', async () => {
    const relay = new Relay(own.url)
    await using({ connection: await relay.listen(), maxConnections: 2 }, async db => {
      await db.get()
      // A message that `pg` cannot read, which it says by an exception in the handler of the socket's data.
      relay.onAnswer = data => (data.includes('unreadable') ? Buffer.from([...'R\0\0\0\x08\0\0\0\x63'].map(c => c.charCodeAt(0))) : data)
      const other = db.all('SELECT 1 AS a FROM pg_sleep(0.3)')
      await assert.rejects(db.all("SELECT concat('un', 'readable') AS a"), failsWith('connection_failure', /could not be read/))
      await assert.rejects(db.run("SELECT concat('un', 'readable') AS a"), failsWith('commit_unknown', /could not be read/))
      assert.deepEqual(await other, [{ a: 1 }])
      assert.deepEqual(await db.all('SELECT 1 AS a'), [{ a: 1 }])
    })
    relay.close()
  })

  test('since it is longer than a string can be is program_limit_exceeded', () => {
    let reason: unknown
    try {
      Buffer.alloc(540_000_000).toString()
    } catch (error) {
      reason = error
    }
    assert.ok(failsWith('program_limit_exceeded', /512 MB/)(unreadableError(reason)))
  })

  test('for its type’s form rejects, and the transaction is rolled back', () =>
    using({ maxConnections: 1 }, async db => {
      for (const value of ['now()', 'now()::TIMESTAMP', 'now()::DATE']) {
        const work = db.transaction(async tx => {
          await tx.run("SET DateStyle = 'SQL, DMY'")
          return tx.all(`SELECT ${value} AS a`)
        })
        await assert.rejects(work, failsWith('invalid_configuration', /DateStyle/))
      }
      assert.deepEqual(await db.all("SELECT CAST('2024-03-10' AS DATE) AS a"), [{ a: '2024-03-10' }])
    }))
})

describe('A setting that a function changes', () => {
  for (const [setting, value] of [
    ['TimeZone', 'America/New_York'],
    ['DateStyle', 'SQL, DMY'],
    ['session_authorization', 'pg_monitor']
  ]) {
    test(`ends with the connection: ${setting}`, () =>
      using({ maxConnections: 1 }, async db => {
        await db.exec(`CREATE OR REPLACE FUNCTION change(name TEXT, value TEXT) RETURNS VOID LANGUAGE plpgsql
          AS $$ BEGIN PERFORM set_config(name, value, FALSE); END $$`)
        const read = () => db.one(`SELECT current_setting('${setting}') AS setting, CAST('2024-03-10 11:12Z' AS TIMESTAMPTZ) AS time`)
        const first = await read()
        await db.all('SELECT change($1, $2)', [setting, value])
        assert.deepEqual(await read(), first)
      }))
  }

  test('is read rightly all the same: bytea_output', () =>
    using({ maxConnections: 1 }, async db => {
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
      await db.all("SELECT change('bytea_output', 'escape')")
      assert.deepEqual(await db.one('SELECT CAST($1 AS BYTEA) AS a, CAST($2 AS BYTEA) AS b', [bytes, Buffer.from('\\x41')]), {
        a: bytes,
        b: Buffer.from('\\x41')
      })
      assert.deepEqual(await db.one("SELECT CAST('' AS BYTEA) AS a"), { a: Buffer.alloc(0) })
    }))
})

describe('Behind a pooler, a server of other settings', () => {
  const time = new Date('2024-07-10T11:12:13.456Z')
  let pooler: Pooler

  before(async () => {
    for (const setting of ["DateStyle = 'SQL, DMY'", "TimeZone = 'America/New_York'", 'bytea_output = escape']) {
      await server.query(`ALTER DATABASE ${own.name} SET ${setting}`)
    }
    pooler = await startPgBouncer(own.url)
  })
  after(() => pooler.stop())

  test('gives and takes the same values', () =>
    using({ connection: pooler.url, pooler: true }, async db => {
      await db.exec('CREATE TABLE times (zoned TIMESTAMPTZ, plain TIMESTAMP, day DATE, bytes BYTEA, made TIMESTAMP DEFAULT now())')
      const bytes = Buffer.from([0, 92, 120, 255])
      await db.run('INSERT INTO times VALUES ($1, $2, $3, $4)', [time, time, '2024-07-10', bytes])
      const expected = { zoned: time, plain: time, day: '2024-07-10', bytes }
      const query = 'SELECT zoned, plain, day, bytes FROM times'
      assert.deepEqual(await db.one(query), expected)
      assert.deepEqual(await db.transaction(tx => tx.one(query)), expected)
      const { made } = (await db.one('SELECT made FROM times')) as { made: Date }
      assert.ok(Math.abs(made.getTime() - Date.now()) < 60_000, made.toISOString())
    }))

  test('also after a function has changed them', () =>
    using({ connection: pooler.url, pooler: true }, async db => {
      for (let i = 0; i < 5; i++) {
        await db.all(
          "SELECT change('DateStyle', 'German') AS a, change('TimeZone', 'Asia/Tokyo') AS b, change('bytea_output', 'escape') AS c"
        )
        const query = 'SELECT CAST($1 AS TIMESTAMPTZ) AS a, CAST($2 AS DATE) AS b, CAST($3 AS BYTEA) AS c'
        const bytes = Buffer.from([0, 92, 255])
        assert.deepEqual(await db.one(query, [time, '2024-07-10', bytes]), { a: time, b: '2024-07-10', c: bytes })
      }
    }))

  test('is refused by the name of the setting where the pooler does not pass it on', async () => {
    const relay = new Relay(own.url)
    // Asia/Taipei, in as many letters.
    relay.onRequest = data => {
      const at = data.indexOf('TimeZone\0UTC')
      if (at !== -1) data.write('ROC', at + 'TimeZone\0'.length)
      return true
    }
    await using({ connection: await relay.listen(), pooler: true }, db =>
      assert.rejects(db.all('SELECT 1 AS a'), failsWith('invalid_configuration', /TimeZone is ROC.*ALTER DATABASE/))
    )
    relay.close()
  })

  for (const options of ['-c DateStyle=German', '-c standard_conforming_strings=off']) {
    test(`is refused by the name of the setting where the URL has it: ${options}`, () =>
      using({ connection: `${own.url}?options=${encodeURIComponent(options)}` }, db =>
        assert.rejects(db.all('SELECT 1 AS a'), failsWith('invalid_configuration', /DateStyle|standard_conforming_strings/))
      ))
  }
})
