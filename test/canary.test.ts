/**
 * A password and the values of rows are found nowhere that a log could show: each failure is provoked with a canary as
 * password or value, and the error is looked at in every way in which it may be printed.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { inspect } from 'node:util'
import pg from 'pg'
import { createDatabase, type Database, type DatabaseConfig, DatabaseError, sql } from '../src/index.ts'
import { type PostgresServer, startPostgres } from '../src/tools/servers/postgres.ts'
import { freePort } from '../src/tools/servers/private-server.ts'
import { serverSettings, Workshop } from './support/certificates.ts'
import { failsWith, onEachDatabase, onEachSharedDatabase, type TestDatabase } from './support/databases.ts'
import { finished } from './support/processes.ts'
import { Relay } from './support/relay.ts'

const root = join(import.meta.dirname, '..')

/** Not a word of any statement. Characters that have to be encoded in a URL, so that each form of it is looked for. */
const CANARY = 'c4nary/p@ss:w0rd#7'
const FORMS = [
  CANARY,
  encodeURIComponent(CANARY),
  'c4nary',
  'w0rd#7',
  '48151623',
  Buffer.from(CANARY).toString('base64'),
  Buffer.from(CANARY).toString('hex')
]

/** A number that stands in no statement. */
const NUMBER = 48151623

/** All that a log may show of it. */
function shown(thing: unknown): string {
  const texts = [
    inspect(thing, { depth: 10, showHidden: thing instanceof Error }),
    inspect(thing, { depth: 10, compact: false }),
    String(thing),
    jsonOf(thing)
  ]
  for (let error = thing; error instanceof Error; error = error.cause) {
    texts.push(error.message, error.stack ?? '', jsonOf(error), jsonOf({ ...error }))
    // How programs often bring an error's message into JSON.
    texts.push(JSON.stringify(error, Object.getOwnPropertyNames(error)))
    if (error instanceof AggregateError) texts.push(...error.errors.map(shown))
  }
  return texts.join('\n')
}

/** As JSON, or nothing where it is circular. */
function jsonOf(thing: unknown): string {
  try {
    return JSON.stringify(thing) ?? ''
  } catch {
    return ''
  }
}

function assertClean(thing: unknown): void {
  const text = shown(thing)
  for (const form of FORMS) {
    const at = text.indexOf(form)
    if (at >= 0) assert.fail(`Found the canary: ${text.slice(Math.max(0, at - 300), at + 100)}`)
  }
}

/** Fails unless the work fails, and shows no canary in doing so. */
async function assertFailsClean(work: () => unknown, code?: string): Promise<DatabaseError> {
  let failure: unknown
  try {
    await work()
  } catch (error) {
    failure = error
  }
  assert.ok(failure instanceof DatabaseError, `expected a DatabaseError, got ${String(failure).slice(0, 80)}`)
  if (code !== undefined) failsWith(code)(failure)
  assertClean(failure)
  return failure
}

// Passwords -----------------------------------------------------------------------------------------------------

const workshop = new Workshop()
const authority = workshop.selfSigned('authority', 'authority')
const certificate = workshop.signed('server', authority, 'DNS:db.example.com')
const access = `
host all postgres  127.0.0.1/32 trust
host all canary    127.0.0.1/32 scram-sha-256
host all canarymd5 127.0.0.1/32 md5
host all canarytext 127.0.0.1/32 password
hostssl all canarytls 127.0.0.1/32 scram-sha-256
`
const secret = encodeURIComponent(CANARY)

describe('A password', () => {
  let server: PostgresServer
  let port = 0

  before(async () => {
    const settings = [
      ...serverSettings(certificate),
      `hba_file=${workshop.write('pg_hba.conf', access)}`,
      'password_encryption=scram-sha-256'
    ]
    server = await startPostgres(settings)
    port = Number(new URL(server.url).port)
    const admin = new pg.Client({ connectionString: server.url })
    await admin.connect()
    for (const user of ['canary', 'canarymd5', 'canarytext', 'canarytls']) await admin.query(`CREATE ROLE ${user} LOGIN PASSWORD 'another'`)
    await admin.query(`CREATE ROLE canaryright LOGIN PASSWORD '${CANARY}'; GRANT ALL ON SCHEMA public TO canaryright`)
    await admin.end()
  })

  after(async () => {
    await server.stop()
    workshop.remove()
  })

  async function assertRefusedClean(config: DatabaseConfig | string, code?: string): Promise<void> {
    const db = createDatabase(config)
    assertClean(db)
    await assertFailsClean(() => db.get(), code)
    await assertFailsClean(() => db.all('SELECT 1'), code)
    await assertFailsClean(() => db.kvs.get('a'), code)
    await assertFailsClean(() => db.transaction(tx => tx.all('SELECT 1')), code)
    assertClean(db)
    assertClean(db.kvs)
    assertClean(db.location)
    await db.close()
  }

  for (const user of ['canary', 'canarymd5', 'canarytext', 'canarynobody'] as const) {
    test(`that is refused is not shown (${user})`, async () => {
      await assertRefusedClean(`postgres://${user}:${secret}@127.0.0.1:${port}/postgres`, 'invalid_authorization')
      await assertRefusedClean(
        { postgres: { enabled: true, host: '127.0.0.1', port, user, password: CANARY, database: 'postgres' } },
        'invalid_authorization'
      )
    })
  }

  test('is not shown when the database does not exist', async () => {
    const db = createDatabase({
      postgres: { enabled: true, host: '127.0.0.1', port, user: 'postgres', password: CANARY, database: 'nothing' }
    })
    await assertFailsClean(() => db.get(), 'undefined_database')
  })

  test('is not shown when the server cannot be reached', async () => {
    const nobody = await freePort()
    await assertRefusedClean(`postgres://canary:${secret}@127.0.0.1:${nobody}/postgres`, 'connection_failure')
    await assertRefusedClean(`postgres://canary:${secret}@nowhere.invalid:${nobody}/postgres`, 'connection_failure')
    await assertRefusedClean(`postgres://canary:${secret}@localhost:${nobody},127.0.0.1:${nobody}/postgres`, 'connection_failure')
    await assertRefusedClean(`postgres://canary:${secret}@/postgres?host=/nowhere`, 'connection_failure')
  })

  test('is not shown when the server does not answer', async () => {
    const relay = new Relay(server.url)
    const target = new URL(await relay.listen())
    relay.isSilentToNew = true
    await assertRefusedClean(
      {
        postgres: { enabled: true, connection: `postgres://canary:${secret}@127.0.0.1:${target.port}/postgres` },
        timeouts: { connect: 100 }
      },
      'connection_failure'
    )
    relay.close()
  })

  for (const [title, ssl, ca, user] of [
    ['the certificate is not known', 'verify-full', undefined, 'canary'],
    ['the host name is wrong', 'verify-full', authority.certificate, 'canary'],
    ['the file of the authority is missing', 'verify-full', '/nowhere.pem', 'canary'],
    ['TLS is wanted', 'disable', undefined, 'canarytls'],
    ['TLS is there but the password is wrong', 'no-verify', undefined, 'canarytls']
  ] as const) {
    test(`is not shown when ${title}`, async () => {
      const connection = `postgres://${user}:${secret}@localhost:${port}/postgres`
      await assertRefusedClean({ postgres: { enabled: true, connection, ssl, ca } })
    })
  }

  test('is not shown when the server has no TLS', async () => {
    const plain = new URL(process.env.TEST_PG_URL as string)
    const connection = `postgres://canary:${secret}@${plain.host}/postgres?sslmode=verify-full`
    const db = createDatabase(connection)
    await assertFailsClean(() => db.get())
    await db.close()
  })

  test('that is right is not shown by any handle, open or closed', async () => {
    const db = createDatabase({ postgres: { enabled: true, connection: server.url, password: CANARY } })
    const adapter = await db.get()
    await db.transaction(async tx => {
      for (const handle of [db, adapter, tx, tx.kvs, db.kvs, db.iterate('SELECT 1'), Object.getOwnPropertyDescriptors(adapter)])
        assertClean(handle)
    })
    await db.close()
    for (const handle of [db, adapter]) assertClean(handle)
    await assertFailsClean(() => db.all('SELECT 1'), 'closed')
  })

  const p = CANARY
  for (const url of [
    `postgres://canary:${p}@127.0.0.1:5432/postgres`,
    `postgres://canary:${p}@127.0.0.1/postgres?sslmode=require`,
    `postgres://canary:${secret}@127.0.0.1:70000/postgres`,
    `postgres://canary:${secret}@127.0.0.1:port/postgres`,
    `postgres://canary:${secret}%zz@127.0.0.1/postgres`,
    `postgres://canary:${secret}@/postgres`,
    `postgres://canary:${secret}@:5432/postgres`,
    `postgres://canary:${secret}@h1,:5432/postgres`,
    `postgres://canary:${secret}@[::1/postgres`,
    `postgres://canary:${secret}@127.0.0.1/postgres?sslmode=maybe`,
    `postgres://canary:${secret}@127.0.0.1/postgres?sslmod=require`,
    `postgres://canary:${secret}@127.0.0.1/postgres?sslmode=require&sslmode=disable`,
    `postgres://canary:${secret}@127.0.0.1/postgres?sslmode=require&ssl=false`,
    `postgres://canary:${secret}@127.0.0.1/postgres?connect_timeout=soon`,
    `postgres://canary:${secret}@127.0.0.1/postgres?target_session_attrs=best`,
    `postgres://canary:${secret}@127.0.0.1/postgres?host=/tmp`,
    `postgres://canary:${secret}@127.0.0.1/post%gres`,
    `postgres://canary@127.0.0.1/postgres?password=${secret}`,
    `postgres://canary@127.0.0.1/postgres#${secret}`,
    `postgres:canary:${secret}@127.0.0.1/postgres`,
    `postgres:/canary:${secret}@127.0.0.1/postgres`,
    ` postgres://canary:${secret}@127.0.0.1/postgres`,
    `mysql://canary:${secret}@127.0.0.1/postgres`,
    `http://canary:${secret}@127.0.0.1/postgres`,
    `sqlite:postgres://canary:${secret}@127.0.0.1/postgres`,
    `canary:${secret}@127.0.0.1/postgres`,
    `localhost:5432/postgres?password=${secret}`
  ]) {
    const form = url.replaceAll(p, '…').replaceAll(secret, '…')
    test(`is not shown when the URL is refused: ${form}`, async () => {
      await assertFailsClean(() => createDatabase(url), 'invalid_configuration')
      await assertFailsClean(
        () => createDatabase({ postgres: { enabled: true, connection: url.trim() === url ? url : `x${url}` } }),
        'invalid_configuration'
      )
    })
  }

  for (const [title, config] of [
    ['is a number', { postgres: { enabled: true, password: 4711 } }],
    ['is in a list', { postgres: { enabled: true, password: [CANARY] } }],
    ['is in an object', { postgres: { enabled: true, password: { value: CANARY } } }],
    ['stands in the host', { postgres: { enabled: true, host: 5, password: CANARY } }],
    ['is a URL in the place of the port', { postgres: { enabled: true, port: `postgres://canary:${secret}@h/d` } }],
    ['is a URL in the place of ssl', { postgres: { enabled: true, ssl: `postgres://canary:${secret}@h/d` } }],
    ['is a URL in the place of a switch', { postgres: { enabled: `postgres://canary:${secret}@h/d` } }],
    ['is a URL in the place of the file', { sqlite: { location: `postgres://canary:${secret}@h/d` }, postgres: { enabled: false } }],
    ['is a URL as an object', new URL(`postgres://canary:${secret}@127.0.0.1/d`)],
    ['is the whole of postgres', { postgres: `postgres://canary:${secret}@h/d` }],
    ['is in a list of URLs', [`postgres://canary:${secret}@h/d`]]
  ] as const) {
    test(`is not shown when a setting of the wrong type ${title}`, async () => {
      const { message } = await assertFailsClean(() => createDatabase(config as unknown as DatabaseConfig), 'invalid_configuration')
      assert.doesNotMatch(message, /4711/)
    })
  }
})

function fail(): never {
  throw new TypeError(CANARY)
}

// Values of rows ------------------------------------------------------------------------------------------------

async function prepare(database: TestDatabase, config: DatabaseConfig = {}): Promise<Database> {
  const db = await database.open(config)
  await db.exec(`
    CREATE TABLE parents (id TEXT PRIMARY KEY);
    CREATE TABLE things (
      id INTEGER PRIMARY KEY,
      name TEXT NOT NULL UNIQUE CHECK (name <> 'refused'),
      short TEXT CHECK (length(short) < 10),
      parent TEXT REFERENCES parents (id)
    );
    CREATE UNIQUE INDEX lower_names ON things (lower(name))`)
  await db.run('INSERT INTO things (id, name) VALUES ($1, $2)', [1, CANARY])
  await db.kvs.set('object', { secret: CANARY, list: [CANARY] })
  await db.kvs.set('text', CANARY)
  return db
}

async function search(db: Database, module: string, value: string): Promise<void> {
  await db.exec(`CREATE VIRTUAL TABLE texts USING ${module}(body)`)
  await db.all('SELECT * FROM texts WHERE texts MATCH $1', [value])
}

async function attach(db: Database, text: string): Promise<void> {
  await db.run(text, ['c4nary'])
  await db.run(text, ['c4nary'])
}

/** A failure for both databases, whose values are canaries. */
const FAILURES: readonly (readonly [title: string, code: string | undefined, call: (db: Database) => unknown])[] = [
  ['a unique constraint', 'unique_violation', db => db.run('INSERT INTO things (id, name) VALUES (2, $1)', [CANARY])],
  [
    'a unique index on an expression',
    'unique_violation',
    db => db.run('INSERT INTO things (id, name) VALUES (2, $1)', [CANARY.toUpperCase()])
  ],
  [
    'a NOT NULL constraint',
    'not_null_violation',
    db => db.run('INSERT INTO things (id, name, short) VALUES (2, NULL, $1)', [CANARY.slice(0, 6)])
  ],
  [
    'a CHECK constraint',
    'check_violation',
    db => db.run('INSERT INTO things (id, name, short) VALUES (2, $1, $2)', [`${CANARY}2`, CANARY])
  ],
  ['a foreign key', 'foreign_key_violation', db => db.run("INSERT INTO things (id, name, parent) VALUES (2, 'b', $1)", [CANARY])],
  ['a value of the wrong type', undefined, db => db.run("INSERT INTO things (id, name) VALUES ($1, 'b')", [CANARY])],
  ['a constraint in a script', 'unique_violation', db => db.exec(`INSERT INTO things (id, name) VALUES (3, '${CANARY}')`)],
  [
    'a constraint in a transaction',
    'unique_violation',
    db => db.transaction(tx => tx.run('INSERT INTO things (id, name) VALUES (2, $1)', [CANARY]))
  ],
  [
    'a statement after the one that failed',
    'in_failed_sql_transaction',
    db =>
      db.transaction(async tx => {
        await tx.run('INSERT INTO things (id, name) VALUES (2, $1)', [CANARY]).catch(() => undefined)
        await tx.run('INSERT INTO things (id, name) VALUES (3, $1)', [`${CANARY}3`])
      })
  ],
  ['a table that is missing', 'undefined_table', db => db.all('SELECT * FROM missing WHERE name = $1', [CANARY])],
  ['a column that is missing', 'undefined_column', db => db.all(sql`SELECT missing FROM things WHERE name = ${CANARY}`)],
  ['a syntax error', 'syntax_error', db => db.all('SELEC name FROM things WHERE name = $1', [CANARY])],
  // A text that is built with values in it: what stands in quotes, and numbers, may be values; names are the programmer's.
  ['a syntax error before a value in the text', 'syntax_error', db => db.all(`SELECT * FROM things WHERE id = 1 '${CANARY}'`)],
  ['a syntax error at a number in the text', 'syntax_error', db => db.all(`SELECT * FROM things WHERE id = 1 ${NUMBER} 1`)],
  ['a value in the text with quotes in it', 'syntax_error', db => db.all(`SELECT id FROM things WHERE id = 1 '" things "${CANARY}'`)],
  ['a value in a comment of the text', 'syntax_error', db => db.all(`SELECT id FROM /* ${CANARY} */ WHERE -- ${CANARY}`)],
  ['a value in the text whose quote is not closed', 'syntax_error', db => db.exec(`SELECT 1; SELECT '${CANARY}`)],
  ['no row', 'no_data_found', db => db.one('SELECT * FROM things WHERE name = $1', [`${CANARY}9`])],
  ['too many rows', 'too_many_rows', db => db.one('SELECT name FROM things UNION ALL SELECT name FROM things')],
  ['a missing parameter', 'invalid_parameter', db => db.all('SELECT $1, $2', [CANARY])],
  ['a surplus parameter', 'invalid_parameter', db => db.all('SELECT 1', [CANARY])],
  ['an unknown name of a parameter', 'invalid_parameter', db => db.all('SELECT :a', { b: CANARY })],
  ['a parameter with a NUL character', 'invalid_parameter', db => db.all('SELECT $1', [`${CANARY}\0`])],
  ['a parameter with half a character', 'invalid_parameter', db => db.all('SELECT $1', [`${CANARY}\ud800`])],
  ['a parameter that is a function', 'invalid_parameter', db => db.all('SELECT $1', [(() => CANARY) as never])],
  ['a parameter that is a symbol', 'invalid_parameter', db => db.all('SELECT $1', [Symbol(CANARY) as never])],
  ['parameters that are a text', 'invalid_parameter', db => db.all('SELECT $1', CANARY as never)],
  ['a query that is none', undefined, db => db.all({ text: CANARY } as never)],
  ['a path through a text', 'invalid_path', db => db.kvs.set('text', 1, 'a.b')],
  ['a path through a value', 'invalid_path', db => db.kvs.set('object', CANARY, 'secret.deeper')],
  [
    'a value that is circular',
    'invalid_value',
    db => {
      const value: Record<string, unknown> = { text: CANARY }
      value.self = value
      return db.kvs.set('a', value as never)
    }
  ],
  ['a value that is no JSON', 'invalid_value', db => db.kvs.set('a', { text: CANARY, map: new Map([[CANARY, CANARY]]) } as never)],
  ['a value that is too large', 'invalid_value', db => db.kvs.set('a', CANARY.repeat(8))],
  ['a key that is too long', undefined, db => db.kvs.set('k'.repeat(2000), CANARY)],
  [
    'a bad key among entries',
    undefined,
    db =>
      db.kvs.setMany([
        ['ok', CANARY],
        ['', CANARY]
      ])
  ],
  ['an update that gives no JSON', 'invalid_value', db => db.kvs.update('text', ((value: unknown) => ({ value, bad: NaN })) as never)],
  [
    'a stored text that is no JSON',
    'data_corrupted',
    async db => {
      await db.run('UPDATE kvs SET value = $1 WHERE key = $2', [`{"${CANARY}`, 'text'])
      await db.kvs.get('text')
    }
  ],
  ['a user without an id', undefined, db => db.saveUser({ platform: 'slack', first_name: CANARY } as never)],
  ['a user with a field of the wrong type', undefined, db => db.saveUser({ id: '1', platform: 'slack', timezone: CANARY } as never)],
  ['a user with an unknown field', undefined, db => db.saveUser({ id: '1', platform: 'slack', first_nam: CANARY } as never)],
  ['an option of a transaction', 'invalid_parameter', db => db.transaction(tx => tx.all('SELECT 1'), { isolation: 'none' as never })],
  ['the wrong handle', 'wrong_handle', db => db.transaction(() => db.all('SELECT $1', [CANARY]))],
  [
    'an idle transaction',
    'idle_in_transaction_session_timeout',
    db =>
      db.transaction(async tx => {
        await tx.all('SELECT name FROM things')
        await new Promise(resolve => setTimeout(resolve, 600))
      })
  ]
]

/** What only one of them has. */
const OWN_FAILURES: Readonly<
  Record<string, readonly (readonly [title: string, code: string | undefined, call: (db: Database) => unknown])[]>
> = {
  sqlite: [
    ['a path of JSON', undefined, db => db.all("SELECT json_extract('{}', $1)", [CANARY])],
    ['a malformed JSON', undefined, db => db.all('SELECT json($1)', [CANARY])],
    [
      'a column of JSON that holds none',
      undefined,
      async db => {
        await db.exec('CREATE TABLE documents (body JSON)')
        await db.run('INSERT INTO documents VALUES ($1)', [`{"${CANARY}`])
        await db.all('SELECT body FROM documents')
      }
    ],
    ['a database that is attached already', undefined, db => db.run('ATTACH DATABASE $1 AS main', [CANARY])],
    ['a database that is attached twice', undefined, db => attach(db, "ATTACH DATABASE ':memory:' AS $1")],
    ['a database that cannot be detached', undefined, db => db.run('DETACH DATABASE $1', ['c4nary'])],
    ['a database in quotes that cannot be detached', undefined, db => db.exec("DETACH DATABASE 'c4nary'")],
    ['a search by another module', undefined, db => search(db, 'fts4', '"c4nary')],
    ['a database that cannot be attached', undefined, db => db.run('ATTACH DATABASE $1 AS other', [`/nowhere/${CANARY}`])],
    ['a search in a column that is a value', undefined, db => search(db, 'fts5', 'c4nary:x')],
    ['a search with a syntax error', undefined, db => search(db, 'fts5', 'a AND "" c4nary/x')],
    ['a search that is a command', undefined, db => search(db, 'fts5', '*c4nary')],
    [
      'a strict table',
      undefined,
      async db => {
        await db.exec('CREATE TABLE strict_things (id INTEGER) STRICT')
        await db.run('INSERT INTO strict_things VALUES ($1)', [CANARY])
      }
    ]
  ],
  postgres: [
    ...[
      'INTEGER',
      'BIGINT',
      'NUMERIC',
      'BOOLEAN',
      'DATE',
      'TIMESTAMPTZ',
      'TIME',
      'INTERVAL',
      'UUID',
      'JSON',
      'JSONB',
      'INET',
      'POINT',
      'INTEGER[]',
      'INT4RANGE',
      'BIT(3)',
      'TSQUERY',
      'BYTEA'
    ].map(
      type =>
        [
          `a cast to ${type}`,
          undefined,
          (db: Database) =>
            db.all(`SELECT CAST($1::TEXT AS ${type})`, [type === 'TSQUERY' ? `& ${CANARY}` : type === 'BYTEA' ? `\\x${CANARY}` : CANARY])
        ] as const
    ),
    ...(
      [
        ['CAST($1::TEXT AS regclass)', 'c4nary'],
        ['CAST($1::TEXT AS regclass)', 'c4nary.b.c.d'],
        ['CAST($1::TEXT AS regclass)', 'things" c4nary'],
        ['CAST($1::TEXT AS regclass)', '"c4 nary.c4nary".b.c.d'],
        ['CAST($1::TEXT AS regtype)', 'c4nary'],
        ['CAST($1::TEXT AS regtype)', 'c4nary.b.c.d'],
        ['CAST($1::TEXT AS regtype)', 'int c4nary'],
        ['CAST($1::TEXT AS regproc)', 'c4nary'],
        ['CAST($1::TEXT AS regoperator)', 'c4nary.@@@(integer,integer)'],
        ['CAST($1::TEXT AS regrole)', 'c4nary'],
        ['CAST($1::TEXT AS regnamespace)', 'c4nary'],
        ['CAST($1::TEXT AS regconfig)', 'c4nary'],
        ["pg_get_object_address('operator', ARRAY[$1::TEXT], '{integer,integer}')", 'c4nary'],
        ["pg_get_object_address('function', ARRAY[$1::TEXT], '{integer}')", 'c4nary'],
        ["query_to_xml($1, true, true, '')", 'SELECT c4nary.x'],
        ["query_to_xml($1, true, true, '')", 'SELECT c4nary(1)'],
        ['make_date(9999, $1::INTEGER, 1)', NUMBER],
        ['chr($1)', NUMBER],
        ['lo_get($1::OID)', NUMBER],
        ["has_table_privilege($1::OID, 'c4nary')", NUMBER],
        ['percentile_cont($1::FLOAT8) WITHIN GROUP (ORDER BY 1)', NUMBER],
        ["set_config('max_parallel_workers_per_gather', $1, true)", String(NUMBER)],
        ["set_config($1, 'a', true)", 'c4nary-x'],
        ["to_timestamp('c4nary', $1)", 'YYYY']
      ] as const
    ).map(
      ([call, value]) => [`the value ${value} in ${call}`, undefined, (db: Database) => db.all(`SELECT ${call} AS a`, [value])] as const
    ),
    ...["'c4nary'", "E'c4nary'", '$$c4nary$$', '$tag$c4nary$tag$', "'pub' /* c4nary */ 'c4nary'", "'pub' -- c4nary\n 'c4nary'"].map(
      literal =>
        [`the text ${literal} in the statement`, undefined, (db: Database) => db.all(`SELECT CAST(${literal} AS regnamespace)`)] as const
    ),
    ['a name with dots in the statement', undefined, db => db.all("SELECT CAST('c4nary.b.c.d' AS regclass)")],
    ['a name of a database that is a value', undefined, db => db.all("SELECT has_database_privilege($1::TEXT, 'CONNECT')", [CANARY])],
    ['a name of a schema that is a value', undefined, db => db.all("SELECT has_schema_privilege($1::TEXT, 'USAGE')", [CANARY])],
    ['a name of a file that is a value', undefined, db => db.all('SELECT pg_read_file($1)', [`/nowhere/${CANARY}`])],
    ['a setting that is a value', undefined, db => db.all("SELECT set_config('work_mem', $1, true)", [CANARY])],
    ['the name of a setting that is a value', undefined, db => db.all('SELECT current_setting($1)', ['c4nary'])],
    ['a regular expression that is malformed', undefined, db => db.all("SELECT 'a' ~ $1", [`${CANARY}(`])],
    [
      'a path of JSON that is malformed',
      undefined,
      db => db.all("SELECT jsonb_path_query('{}', CAST($1::TEXT AS jsonpath))", [`$ c4nary`])
    ],
    [
      'a text that is too long',
      undefined,
      async db => {
        await db.exec('CREATE TABLE shorts (name VARCHAR(3))')
        await db.run('INSERT INTO shorts VALUES ($1)', [CANARY])
      }
    ],
    [
      'an enumeration',
      undefined,
      async db => {
        await db.exec("CREATE TYPE mood AS ENUM ('good')")
        await db.all('SELECT CAST($1::TEXT AS mood)', [CANARY])
      }
    ],
    [
      'a domain',
      undefined,
      async db => {
        await db.exec('CREATE DOMAIN brief AS TEXT CHECK (length(VALUE) < 5)')
        await db.all('SELECT CAST($1::TEXT AS brief)', [CANARY])
      }
    ],
    [
      'an exclusion constraint',
      'exclusion_violation',
      async db => {
        await db.exec('CREATE TABLE exclusive (name TEXT, EXCLUDE (name WITH =))')
        await db.run('INSERT INTO exclusive VALUES ($1), ($1)', [CANARY])
      }
    ],
    [
      'a partition that is missing',
      undefined,
      async db => {
        await db.exec('CREATE TABLE parts (name TEXT) PARTITION BY LIST (name)')
        await db.run('INSERT INTO parts VALUES ($1)', [CANARY])
      }
    ],
    [
      'a key that is too long for its index',
      undefined,
      async db => {
        await db.run('INSERT INTO parents VALUES ($1)', [CANARY + randomBytes(6_000).toString('base64')])
      }
    ],
    [
      'a statement that is built from a value',
      undefined,
      db => db.exec(`DO $do$ BEGIN EXECUTE 'SELECT ' || (SELECT name FROM things LIMIT 1); END $do$`)
    ],
    [
      'a failure inside of a function',
      undefined,
      async db => {
        await db.exec('CREATE FUNCTION fails(value TEXT) RETURNS INTEGER LANGUAGE plpgsql AS $f$ BEGIN RETURN value::INTEGER; END $f$')
        await db.all('SELECT fails($1)', [CANARY])
      }
    ],
    ['a statement that takes too long', 'query_canceled', db => db.all('SELECT pg_sleep(5)::TEXT, $1::TEXT', [CANARY])],
    ['a connection that is ended', undefined, db => db.all('SELECT pg_terminate_backend(pg_backend_pid()), $1::TEXT', [CANARY])],
    [
      'a write whose answer is lost',
      'commit_unknown',
      db => db.run('INSERT INTO parents SELECT $1 WHERE pg_terminate_backend(pg_backend_pid())', [CANARY])
    ],
    [
      'an iteration that fails',
      'division_by_zero',
      async db => {
        for await (const row of db.iterate('SELECT $1::TEXT AS name, 1 / (150 - generate_series(1, 200)) AS n', [CANARY])) assert.ok(row)
      }
    ]
  ]
}

onEachDatabase('A value of a row', database => {
  for (const [title, code, call] of [...FAILURES, ...(OWN_FAILURES[database.dialect] ?? [])]) {
    test(`is not shown by ${title}`, async () => {
      const db = await prepare(database, { kvs: { maxValueBytes: 100 }, timeouts: { query: 400 } })
      const error = await assertFailsClean(() => call(db), code)
      assert.ok(error.message.length > 10)
      assertClean(db)
    })
  }

  // The error of the caller's own code is thrown on as it is, before anything is sent; no text of ours repeats it.
  for (const [title, value] of [
    ['toJSON()', { toJSON: () => fail() }],
    [
      'getter',
      {
        get name() {
          return fail()
        }
      }
    ]
  ] as const) {
    test(`is not repeated from what the caller's own ${title} throws`, async () => {
      const db = await prepare(database)
      for (const call of [() => db.all('SELECT $1', [value as never]), () => db.kvs.set('a', value as never)]) {
        await assert.rejects(call, (error: Error) => {
          assert.ok(error instanceof TypeError)
          assert.equal(error.message, CANARY)
          return true
        })
      }
      await assertFailsClean(
        () =>
          db.transaction(async tx => {
            await tx.all('SELECT $1', [value as never]).catch(() => undefined)
            await tx.kvs.set('a', value as never).catch(() => undefined)
            await tx.all('SELECT * FROM missing').catch(() => undefined)
            await tx.all('SELECT 1')
          }),
        'in_failed_sql_transaction'
      )
    })
  }

  test('does not hide the names of the statement', async () => {
    const db = await prepare(database)
    for (const [text, name] of [
      ['SELECT * FROM Missing_Table WHERE id = $1', 'missing_table'],
      ['SELECT "missing column" FROM things WHERE name = $1', 'missing column'],
      ['SELECT missing_function(id, $1) FROM things', 'missing_function'],
      ['SELECT name FROM things WHERE $1 = id nonsense', 'nonsense']
    ] as const) {
      const { message } = await assertFailsClean(() => db.all(text, [CANARY]))
      assert.ok(message.toLowerCase().includes(name), message)
    }
    await assert.rejects(db.exec('SELECT 1; DROP TABLE missing_table'), /missing_table/)
    await assert.rejects(db.run('INSERT INTO things (id) VALUES (2)'), /name/)
    if (database.dialect === 'postgres') return
    await db.exec('CREATE TABLE orphans (parent INTEGER REFERENCES missing_parents (id))')
    await assert.rejects(db.run('INSERT INTO orphans VALUES (1)'), /missing_parents/)
  })

  test('is not shown by a handle that was closed', async () => {
    const db = await prepare(database)
    await db.close()
    await assertFailsClean(() => db.run('INSERT INTO things (id, name) VALUES (2, $1)', [CANARY]), 'closed')
    await assertFailsClean(() => db.kvs.set('a', CANARY), 'closed')
    assertClean(db)
  })

  test('is on the error where a program looks for it', async () => {
    const db = await prepare(database)
    const error = await assertFailsClean(() => db.run('INSERT INTO things (id, name) VALUES (2, $1)', [CANARY]), 'unique_violation')
    assert.deepEqual(error.parameters, [CANARY])
    assert.match(error.sql ?? '', /INSERT INTO things/)
    assert.deepEqual(
      Object.keys(error).filter(key => ['sql', 'parameters', 'serverDetail'].includes(key)),
      []
    )
  })

  test('is not shown when a wait for a lock ends', { timeout: 20_000 }, async () => {
    if (!database.isShared) return
    const config = await database.config()
    const one = database.closeAfterTest(createDatabase(config))
    const other = database.closeAfterTest(createDatabase({ ...config, timeouts: { lock: 100 } }))
    await one.kvs.set('locked', 'x')
    await other.get()
    await one.transaction(async tx => {
      await tx.kvs.set('locked', CANARY)
      await tx.kvs.get('locked')
      await assertFailsClean(
        () => other.run('UPDATE kvs SET value = $1 WHERE key = $2', [JSON.stringify(CANARY), 'locked']),
        'lock_not_available'
      )
    })
  })
})

// What a process prints -----------------------------------------------------------------------------------------

/** Provokes failures and prints them in each way that there is, then leaves one to Node. */
const PROGRAM = `
  import { inspect } from 'node:util'
  import { createDatabase } from ${JSON.stringify(join(root, 'src', 'index.ts'))}
  const { config, canary, last } = JSON.parse(process.env.TOLD)
  process.env.TOLD = ''
  const db = createDatabase(config)
  const calls = {
    open: () => db.get(),
    unique: async () => {
      await db.exec('CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY)')
      await db.run('INSERT INTO names VALUES ($1)', [canary]).catch(() => undefined)
      await db.run('INSERT INTO names VALUES ($1)', [canary])
    },
    cast: () => db.run('INSERT INTO users (id, "userId", platform, created_on) VALUES ($1, $1, NULL, $1)', [canary]),
    parameter: () => db.all('SELECT $1, $2', [canary]),
    value: () => db.kvs.set('a', { canary, bad: NaN }),
    none: () => db.one('SELECT id FROM users WHERE id = $1', [canary]),
    nested: () => db.transaction(async tx => {
      await tx.run('INSERT INTO names VALUES ($1)', [canary]).catch(() => undefined)
      await tx.run('INSERT INTO names VALUES ($1)', [canary + '2'])
    })
  }
  for (const [name, call] of Object.entries(calls)) {
    const error = await call().catch(error => error)
    console.log(name, error)
    console.error(error)
    console.dir({ error, db }, { depth: 10 })
    console.log('%s %o %j', error, error, error)
    console.log(inspect(error, { depth: 10 }), String(error?.stack), JSON.stringify([error, { ...error }]))
  }
  console.table([{ db: String(db) }])
  console.error('provoked')
  if (last === 'rejection') void calls.unique()
  if (last === 'exception') calls.unique().catch(error => setImmediate(() => { throw error }))
  if (last === 'emitted') calls.unique().catch(error => process.emitWarning(error))`

async function printed(config: DatabaseConfig | string, last: string): Promise<{ status: number | null; output: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'duolect-canary-'))
  // In a file, so that what Node shows of the source is the program's, where no canary stands.
  const file = join(directory, 'program.mts')
  writeFileSync(file, PROGRAM)
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), '--trace-warnings', file], {
    cwd: directory,
    env: { ...process.env, TOLD: JSON.stringify({ config, canary: CANARY, last }) }
  })
  const { status, output } = await finished(child)
  rmSync(directory, { recursive: true })
  return { status, output }
}

onEachSharedDatabase('What a process prints', database => {
  for (const [last, expected] of [
    ['rejection', 1],
    ['exception', 1],
    ['emitted', 0]
  ] as const) {
    test(`shows no value of a row when the last failure is left to Node as ${last}`, async () => {
      const { status, output } = await printed(await database.config(), last)
      assert.equal(status, expected, output.slice(-500))
      assert.match(output, /provoked/)
      assert.match(output.slice(output.indexOf('provoked')), /DatabaseError/)
      for (const form of FORMS)
        assert.equal(output.includes(form), false, output.slice(Math.max(0, output.indexOf(form) - 300), output.indexOf(form) + 50))
    })
  }
})

describe('What a process prints', () => {
  test('shows no password when the server cannot be reached', async () => {
    const { status, output } = await printed(`postgres://canary:${secret}@127.0.0.1:${await freePort()}/postgres`, 'rejection')
    assert.equal(status, 1)
    assert.match(output, /connection_failure/)
    for (const form of FORMS) assert.equal(output.includes(form), false)
  })

  test('shows no password when the URL is refused', async () => {
    const { status, output } = await printed(`postgres://canary:${CANARY}@127.0.0.1/postgres`, 'rejection')
    assert.equal(status, 1)
    assert.match(output, /invalid_configuration/)
    for (const form of FORMS) assert.equal(output.includes(form), false)
  })
})
