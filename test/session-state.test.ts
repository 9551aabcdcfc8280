/** What a statement changes of its session: refused, or ended with its transaction, and never left behind. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Database, DatabaseError, type Dialect, type Handle } from '../src/index.ts'
import { statementsOf } from '../src/lexer.ts'
import { type PlaceKind, sessionEffectOf } from '../src/session-state.ts'
import { failsWith, onEachDatabase } from './support/databases.ts'

function allowedPlaces(text: string, dialect: Dialect): readonly PlaceKind[] | 'everywhere' {
  const [statement] = statementsOf(text, dialect)
  return (statement && sessionEffectOf(text, statement, dialect)?.allowed) ?? 'everywhere'
}

describe('A statement', () => {
  const BOTH = ['sqlite', 'postgres'] as const
  const NOWHERE: readonly PlaceKind[] = []
  const IN_TRANSACTION: readonly PlaceKind[] = ['transaction']
  const WITH_OTHERS: readonly PlaceKind[] = ['group', 'transaction']

  for (const [texts, allowed, dialects] of [
    [
      [
        'BEGIN',
        'begin immediate',
        'START TRANSACTION',
        'COMMIT',
        'COMMIT AND CHAIN',
        'END',
        'ABORT',
        'ROLLBACK',
        'ROLLBACK AND CHAIN',
        '/* a */ ;; COMMIT -- b'
      ],
      NOWHERE,
      BOTH
    ],
    [["PREPARE TRANSACTION 'a'", "COMMIT PREPARED 'a'", "ROLLBACK PREPARED 'a'"], NOWHERE, ['postgres']],
    [['SAVEPOINT a', 'RELEASE a', 'RELEASE SAVEPOINT a', 'ROLLBACK TO a', 'ROLLBACK TRANSACTION TO SAVEPOINT a'], IN_TRANSACTION, BOTH],
    [
      [
        'CREATE TEMP TABLE a (b INTEGER)',
        'create temporary table a as select 1',
        'CREATE TEMP VIEW a AS SELECT 1',
        'EXPLAIN CREATE TEMP TABLE a AS SELECT 1'
      ],
      IN_TRANSACTION,
      BOTH
    ],
    [
      ['CREATE TABLE temp.a (b)', 'CREATE TABLE IF NOT EXISTS "temp".a (b)', 'CREATE TRIGGER temp.a AFTER INSERT ON b BEGIN SELECT 1; END'],
      IN_TRANSACTION,
      ['sqlite']
    ],
    [
      [
        'CREATE LOCAL TEMPORARY TABLE a (b INTEGER)',
        'CREATE OR REPLACE TEMP VIEW a AS SELECT 1',
        'CREATE TABLE pg_temp.a (b INTEGER)',
        "CREATE FUNCTION pg_temp.a() RETURNS INTEGER LANGUAGE SQL AS 'SELECT 1'",
        'SELECT 1 INTO TEMP a',
        'WITH b AS (SELECT 1) SELECT * INTO TEMPORARY TABLE a FROM b',
        'EXPLAIN (ANALYZE, COSTS OFF) CREATE TEMP TABLE a AS SELECT 1',
        "SET search_path = 'a'",
        'set session TimeZone to 1',
        'SET ROLE a',
        'SET SESSION AUTHORIZATION a',
        'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
        'RESET ALL',
        'RESET search_path',
        "SELECT set_config('a.b', 'c', false)",
        'SELECT "set_config"(\'a.b\', $1, $2)',
        "SELECT 1 FROM a WHERE b = pg_catalog.set_config('a.b', 'c', 'f')"
      ],
      IN_TRANSACTION,
      ['postgres']
    ],
    [['SET LOCAL a = 1', 'SET TRANSACTION READ ONLY', 'SET CONSTRAINTS ALL DEFERRED'], WITH_OTHERS, ['postgres']],
    [['PRAGMA defer_foreign_keys = ON', 'PRAGMA main.defer_foreign_keys(1)'], WITH_OTHERS, ['sqlite']],
    [
      [
        'COPY a FROM STDIN',
        'COPY (SELECT 1) TO STDOUT',
        "COPY a TO '/tmp/a'",
        'LISTEN a',
        'UNLISTEN *',
        'PREPARE a AS SELECT 1',
        'DEALLOCATE ALL',
        'DEALLOCATE PREPARE a',
        'DISCARD ALL',
        'DISCARD TEMP',
        "LOAD 'a'",
        'DECLARE a CURSOR WITH HOLD FOR SELECT 1',
        'DECLARE a INSENSITIVE NO SCROLL CURSOR WITH HOLD FOR SELECT 1',
        'SELECT pg_advisory_lock(1)',
        'SELECT pg_catalog.pg_try_advisory_lock_shared(1, 2)',
        'SELECT pg_advisory_unlock_all()'
      ],
      NOWHERE,
      ['postgres']
    ],
    [
      [
        'PRAGMA foreign_keys = OFF',
        'pragma foreign_keys(0)',
        'PRAGMA main . foreign_keys = 0',
        'PRAGMA "foreign_keys" = off',
        'EXPLAIN PRAGMA synchronous = OFF',
        'EXPLAIN QUERY PLAN PRAGMA synchronous = OFF',
        'PRAGMA/**/query_only/**/=/**/ON',
        'PRAGMA case_sensitive_like = ON',
        'PRAGMA writable_schema = ON',
        'PRAGMA schema_version = 5',
        'PRAGMA no_such_pragma = 1',
        "ATTACH 'a' AS b",
        'ATTACH DATABASE $1 AS b',
        'DETACH b'
      ],
      NOWHERE,
      ['sqlite']
    ],
    [
      [
        'PRAGMA foreign_keys',
        'PRAGMA main.cache_size;',
        'PRAGMA table_info(a)',
        "PRAGMA table_xinfo('a')",
        'PRAGMA foreign_key_check(a)',
        'PRAGMA integrity_check(10)',
        'PRAGMA wal_checkpoint(TRUNCATE)',
        'PRAGMA optimize',
        'PRAGMA optimize = 0x10002',
        'PRAGMA incremental_vacuum(10)',
        'PRAGMA user_version = 5',
        'PRAGMA application_id = 5',
        'VACUUM',
        'ANALYZE',
        "VACUUM INTO 'a'",
        'CREATE TABLE temperatures (temp REAL)',
        'CREATE TABLE a AS SELECT * FROM temp.b'
      ],
      'everywhere',
      ['sqlite']
    ],
    [
      [
        'SELECT 1',
        "SELECT 'SET a = 1'",
        'UPDATE a SET b = 1',
        'INSERT INTO temp SELECT 1',
        'SELECT 1 INTO temp FROM a',
        'SELECT 1 INTO a.temp',
        "SELECT set_config('a.b', 'c', true)",
        "SELECT set_config('a.b', 'c', is_local => true)",
        "SELECT app.set_config('a')",
        'SELECT set_config FROM a',
        'SELECT pg_advisory_xact_lock(1)',
        'NOTIFY a',
        'DECLARE a CURSOR FOR SELECT 1 FROM b WITH HOLD',
        'ALTER ROLE a SET search_path = b',
        'ALTER TABLE a RESET (fillfactor)',
        'CREATE TABLE a.temp (b INTEGER)',
        "DO 'BEGIN SET a = 1; END'",
        'CALL a()',
        'VACUUM',
        'EXPLAIN SELECT 1',
        'EXECUTE a',
        ''
      ],
      'everywhere',
      ['postgres']
    ]
  ] as const) {
    for (const text of texts) {
      for (const dialect of dialects) {
        const where = allowed === 'everywhere' ? allowed : allowed.length === 0 ? 'nowhere' : `in a ${allowed.join(' or a ')} alone`
        test(`${JSON.stringify(text)} may run ${where} (${dialect})`, () => assert.deepEqual(allowedPlaces(text, dialect), allowed))
      }
    }
  }
})

/** Each way to send a text; what becomes of it does not matter. */
const WAYS: readonly (readonly [name: string, send: (on: Handle, text: string) => Promise<unknown>])[] = [
  ['all', (on, text) => on.all(text)],
  ['run', (on, text) => on.run(text)],
  ['exec', (on, text) => on.exec(text)],
  ['batch', (on, text) => on.batch([text])],
  [
    'iterate',
    async (on, text) => {
      for await (const _ of on.iterate(text)) break
    }
  ]
]

async function sendInEachWay(db: Database, text: string): Promise<void> {
  for (const [, send] of WAYS) {
    await send(db, text).catch(assertKnown)
    await db.transaction(tx => send(tx, text)).catch(assertKnown)
  }
}

function assertKnown(error: unknown): void {
  assert.ok(error instanceof DatabaseError, String(error))
  assert.notEqual(error.code, 'unclassified', error.message)
}

const SQLITE_TEXTS = [
  'PRAGMA foreign_keys = OFF',
  'PRAGMA foreign_keys=OFF; SELECT 1',
  'SELECT 1; PRAGMA foreign_keys = OFF',
  'PRAGMA foreign_keys = OFF; CREATE TABLE rebuilt (a); PRAGMA foreign_keys = ON',
  'PRAGMA synchronous=OFF; CREATE TABLE x (a)',
  'PRAGMA query_only=ON; SELECT nope',
  'EXPLAIN PRAGMA synchronous = OFF',
  'EXPLAIN QUERY PLAN PRAGMA query_only = ON',
  '-- a comment\nPRAGMA ignore_check_constraints = ON',
  ';;PRAGMA recursive_triggers(1)',
  'PRAGMA "case_sensitive_like" = ON',
  'PRAGMA temp.cache_size = 17',
  'PRAGMA writable_schema = ON',
  'PRAGMA journal_mode = DELETE',
  'PRAGMA locking_mode = EXCLUSIVE',
  'PRAGMA defer_foreign_keys = ON',
  'PRAGMA defer_foreign_keys = ON; SELECT nope',
  'PRAGMA legacy_alter_table = ON; SELECT nope',
  'PRAGMA foreign_keys',
  'PRAGMA integrity_check',
  'PRAGMA wal_checkpoint(PASSIVE)',
  'PRAGMA optimize',
  'SELECT nope',
  'SELECT 1',
  "ATTACH ':memory:' AS other",
  "ATTACH ':memory:' AS other; SELECT nope",
  'CREATE TEMP TABLE kept (a)',
  'CREATE TABLE temp.kept (a); SELECT nope',
  'CREATE TEMP VIEW kept AS SELECT 1',
  'CREATE TABLE made (a)',
  'SAVEPOINT a',
  'COMMIT',
  'SELECT 1; COMMIT',
  ''
]

/** PRAGMAs that tell a state, without those that act. */
const FLAGS = [
  'analysis_limit',
  'automatic_index',
  'busy_timeout',
  'cache_size',
  'cache_spill',
  'cell_size_check',
  'checkpoint_fullfsync',
  'defer_foreign_keys',
  'foreign_keys',
  'fullfsync',
  'ignore_check_constraints',
  'journal_mode',
  'journal_size_limit',
  'legacy_alter_table',
  'locking_mode',
  'max_page_count',
  'mmap_size',
  'query_only',
  'read_uncommitted',
  'recursive_triggers',
  'reverse_unordered_selects',
  'secure_delete',
  'synchronous',
  'temp_store',
  'threads',
  'trusted_schema',
  'wal_autocheckpoint',
  'writable_schema'
]

async function flagsOn(on: Handle): Promise<unknown[]> {
  const states: unknown[] = []
  for (const flag of FLAGS) states.push([flag, await on.all(`PRAGMA ${flag}`)])
  for (const state of [
    // SQLite opens the schema temp when it is used first.
    "SELECT name FROM pragma_database_list WHERE name <> 'temp'",
    "SELECT name FROM temp.sqlite_schema WHERE name NOT LIKE 'duolect%'",
    "SELECT 'a' LIKE 'A' AS folds"
  ]) {
    states.push(await on.all(state))
  }
  return states.map(state => JSON.stringify(state))
}

async function settingsOfSqlite(db: Database): Promise<unknown> {
  // Within a transaction reads go to another connection.
  const inTransaction = await db.transaction(tx => flagsOn(tx))
  const readOnly = await db.transaction(tx => flagsOn(tx), { readOnly: true })
  return { alone: await flagsOn(db), inTransaction, readOnly }
}

const POSTGRES_TEXTS = [
  "SET search_path = 'pg_catalog'",
  "SET TimeZone = 'America/New_York'; SELECT 1",
  'SELECT 1; SET ROLE pg_monitor',
  'SET SESSION AUTHORIZATION pg_monitor',
  "SET DateStyle = 'SQL, DMY'; SELECT nope",
  'SET LOCAL work_mem = 1234; SELECT 1',
  'SET LOCAL work_mem = 1234',
  'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
  'RESET ALL',
  "SELECT set_config('work_mem', '1234', false)",
  "SELECT set_config('work_mem', '1234', true)",
  'EXPLAIN ANALYZE CREATE TEMP TABLE kept AS SELECT 1 AS a',
  'CREATE TEMP TABLE kept (a INTEGER)',
  'CREATE TABLE pg_temp.kept (a INTEGER); SELECT nope',
  'SELECT 1 AS a INTO TEMP kept',
  'CREATE TEMP SEQUENCE kept',
  'PREPARE kept AS SELECT 1',
  'DEALLOCATE ALL',
  'DISCARD ALL',
  'DISCARD PLANS; SELECT nope',
  'LISTEN kept',
  'SELECT 1; LISTEN kept',
  'UNLISTEN *',
  "LOAD 'plpgsql'",
  'DECLARE kept CURSOR WITH HOLD FOR SELECT 1',
  'DECLARE kept CURSOR FOR SELECT 1',
  'SELECT pg_advisory_lock(1)',
  'SELECT pg_advisory_xact_lock(1)',
  'COPY kvs FROM STDIN',
  'COPY kvs TO STDOUT; SELECT 1',
  'SELECT 1',
  'SELECT nope',
  'CREATE TABLE made (a INTEGER)',
  'DROP TABLE made',
  'BEGIN',
  'COMMIT AND CHAIN',
  'SELECT 1; ROLLBACK AND CHAIN',
  'SAVEPOINT a',
  ''
]

/** Everything of a session that a statement could have changed. */
const SESSION = `SELECT
  (SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE name NOT LIKE 'transaction%') AS settings,
  (SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = pg_my_temp_schema()) AS temporary,
  (SELECT string_agg(name, ' ') FROM pg_prepared_statements WHERE name NOT LIKE 'duolect%') AS prepared,
  (SELECT string_agg(name, ' ') FROM pg_cursors WHERE is_holdable) AS cursors,
  (SELECT string_agg(channel, ' ') FROM pg_listening_channels() AS channel) AS channels,
  (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory') AS locks,
  current_user AS who, session_user AS first_who`

onEachDatabase('No text', database => {
  const isSqlite = database.dialect === 'sqlite'
  const settingsOf = isSqlite ? settingsOfSqlite : (db: Database) => db.one(SESSION)

  for (const text of isSqlite ? SQLITE_TEXTS : POSTGRES_TEXTS) {
    test(`leaves a session changed: ${JSON.stringify(text)}`, async () => {
      const config = await database.config()
      // One connection, so that what a text left would be seen.
      const db = await database.open(isSqlite ? config : { postgres: { ...config.postgres, maxConnections: 1 } })
      const before = await settingsOf(db)
      await sendInEachWay(db, text)
      assert.deepEqual(await settingsOf(db), before)
      assert.deepEqual(await db.all('SELECT 1 AS a'), [{ a: 1 }])
    })
  }
})

onEachDatabase('Session state', database => {
  const isSqlite = database.dialect === 'sqlite'

  for (const [text, code, advice] of isSqlite
    ? ([
        ['PRAGMA cache_size = 5', 'feature_not_supported', /sqlite\.pragmas/],
        ['PRAGMA foreign_keys = OFF', 'active_sql_transaction', /-- @rebuild.*defer_foreign_keys/],
        ["ATTACH 'a' AS b", 'feature_not_supported', /createDatabase\(\)/],
        ['CREATE TEMP TABLE a (b)', 'feature_not_supported', /transaction\(\)/]
      ] as const)
    : ([
        ['SET search_path = a', 'feature_not_supported', /SET LOCAL.*options=-c/],
        ['SET LOCAL search_path = a', 'no_active_sql_transaction', /transaction\(\) or batch\(\)/],
        ['DISCARD ALL', 'feature_not_supported', /DISCARD/],
        ['COPY a FROM STDIN', 'feature_not_supported', /batch\(\) or sql\.list/],
        ['LISTEN a', 'feature_not_supported', /client of "pg"/],
        ['CREATE TEMP TABLE a (b INTEGER)', 'feature_not_supported', /transaction\(\)/]
      ] as const)) {
    test(`is refused before anything is sent: ${text}`, async () => {
      const db = await database.open()
      for (const [name, send] of WAYS) {
        if (name !== 'batch' || !text.startsWith('SET LOCAL')) await assert.rejects(send(db, text), failsWith(code, advice))
      }
    })
  }

  for (const text of isSqlite
    ? ['PRAGMA foreign_keys = OFF', "ATTACH 'a' AS b", 'PRAGMA cache_size = 5']
    : ['COPY a FROM STDIN', 'COPY (SELECT 1) TO STDOUT', 'LISTEN a', 'DISCARD ALL', 'PREPARE a AS SELECT 1']) {
    test(`is refused in a transaction, which goes on: ${text}`, async () => {
      const db = await database.open()
      await db.exec('CREATE TABLE notes (id INTEGER)')
      await db.transaction(async tx => {
        for (const [, send] of WAYS) await assert.rejects(send(tx, text), DatabaseError)
        await tx.run('INSERT INTO notes VALUES (1)')
      })
      assert.deepEqual(await db.all('SELECT id FROM notes'), [{ id: 1 }])
    })
  }

  test('of a script is refused wherever it stands, and nothing of the script runs', async () => {
    const db = await database.open()
    const text = isSqlite ? 'CREATE TABLE a (b); PRAGMA foreign_keys = OFF' : 'CREATE TABLE a (b INTEGER); LISTEN a'
    await assert.rejects(db.exec(text), DatabaseError)
    await assert.rejects(db.all('SELECT * FROM a'), failsWith('undefined_table'))
  })

  test('a temporary table ends with its transaction, committed or not', async () => {
    const db = await database.open()
    for (const fails of [false, true]) {
      const work = db.transaction(async tx => {
        await tx.run('CREATE TEMP TABLE picked (id INTEGER)')
        await tx.exec('CREATE INDEX picked_ids ON picked (id); CREATE TEMP VIEW seen AS SELECT id FROM picked')
        await tx.run('INSERT INTO picked VALUES (1)')
        assert.deepEqual(await tx.all('SELECT id FROM seen'), [{ id: 1 }])
        await tx.kvs.set('done', fails)
        if (fails) throw new Error('enough')
      })
      await work.catch(error => assert.match(error.message, /enough/))
      await assert.rejects(db.all('SELECT id FROM picked'), failsWith('undefined_table'))
    }
    assert.equal(await db.kvs.get('done'), false)
  })

  test('a temporary table of a nested transaction ends with the outermost', async () => {
    const db = await database.open()
    await db.transaction(async tx => {
      await tx.transaction(inner => inner.exec('CREATE TEMP TABLE picked (id INTEGER)'))
      assert.deepEqual(await tx.all('SELECT id FROM picked'), [])
    })
    await assert.rejects(db.all('SELECT id FROM picked'), failsWith('undefined_table'))
  })

  if (isSqlite) {
    test('foreign keys stay on when a script means to turn them off', async () => {
      const db = await database.open()
      await db.exec('CREATE TABLE parents (id INTEGER PRIMARY KEY); CREATE TABLE children (parent INTEGER REFERENCES parents)')
      const rebuild =
        'PRAGMA foreign_keys = OFF; DROP TABLE parents; CREATE TABLE parents (id INTEGER PRIMARY KEY); PRAGMA foreign_keys = ON'
      await assert.rejects(db.exec(rebuild), failsWith('active_sql_transaction'))
      await assert.rejects(db.run('INSERT INTO children VALUES (1)'), failsWith('foreign_key_violation'))
    })

    test('foreign keys can be deferred to the end of a transaction or a script', async () => {
      const db = await database.open()
      await db.exec('CREATE TABLE parents (id INTEGER PRIMARY KEY); CREATE TABLE children (parent INTEGER REFERENCES parents)')
      await db.exec('PRAGMA defer_foreign_keys = ON; INSERT INTO children VALUES (1); INSERT INTO parents VALUES (1)')
      await db.transaction(async tx => {
        await tx.run('PRAGMA defer_foreign_keys = ON')
        await tx.run('INSERT INTO children VALUES (2)')
        await tx.run('INSERT INTO parents VALUES (2)')
      })
      await assert.rejects(db.run('INSERT INTO children VALUES (3)'), failsWith('foreign_key_violation'))
    })

    test('what is kept in the file or acts on it is free', async () => {
      const db = await database.open()
      await db.run('PRAGMA user_version = 7')
      await db.transaction(tx => tx.exec('PRAGMA application_id = 8'))
      assert.deepEqual(await db.one('PRAGMA user_version'), { user_version: 7 })
      assert.deepEqual(await db.one('PRAGMA application_id'), { application_id: 8 })
      await db.all('PRAGMA wal_checkpoint(TRUNCATE)')
      await db.all('PRAGMA optimize')
    })
    return
  }

  test('SET, SET ROLE and set_config() end with their transaction', async () => {
    const config = await database.config()
    const db = await database.open({ postgres: { ...config.postgres, maxConnections: 1 } })
    const state = () => db.one("SELECT current_setting('search_path') AS path, current_setting('work_mem') AS memory, current_user AS who")
    const before = await state()
    const during = await db.transaction(async tx => {
      await tx.run('SET search_path = pg_catalog')
      await tx.exec("SELECT set_config('work_mem', '1MB', false); SET ROLE pg_monitor")
      return tx.one("SELECT current_setting('search_path') AS path, current_setting('work_mem') AS memory, current_user AS who")
    })
    assert.deepEqual(during, { path: 'pg_catalog', memory: '1MB', who: 'pg_monitor' })
    assert.deepEqual(await state(), before)
  })

  test('SET LOCAL holds in a batch and in a script', async () => {
    const db = await database.open()
    const [, rows] = await db.batch(['SET LOCAL work_mem = 1234', "SELECT current_setting('work_mem') AS memory"])
    assert.deepEqual(rows, [{ memory: '1234kB' }])
    await db.exec("SET LOCAL a.b = 'c'; DO $$ BEGIN ASSERT current_setting('a.b') = 'c'; END $$")
  })
})

onEachDatabase('A body that means to end its transaction', database => {
  for (const text of [
    'COMMIT',
    'END',
    'ROLLBACK',
    'BEGIN',
    ...(database.dialect === 'postgres'
      ? ['COMMIT AND CHAIN', 'ROLLBACK AND CHAIN', 'ABORT', 'START TRANSACTION', "PREPARE TRANSACTION 'a'", 'COMMIT; BEGIN']
      : ['COMMIT; BEGIN', 'END TRANSACTION'])
  ]) {
    test(`with ${JSON.stringify(text)} gets invalid_transaction_termination, and nothing takes effect`, async () => {
      const db = await database.open()
      await db.exec('CREATE TABLE notes (id INTEGER)')
      for (const [, send] of WAYS) {
        let refusal: unknown
        const work = db.transaction(async tx => {
          await tx.run('INSERT INTO notes VALUES (1)')
          refusal = await send(tx, text).catch(error => error)
          await tx.run('INSERT INTO notes VALUES (2)').catch(() => undefined)
        })
        await assert.rejects(work, failsWith('in_failed_sql_transaction'))
        assert.ok(failsWith('invalid_transaction_termination', /transaction\(\)/)(refusal))
        assert.deepEqual(await db.all('SELECT id FROM notes'), [])
      }
    })
  }

  test('may set savepoints of its own', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE notes (id INTEGER)')
    await db.transaction(async tx => {
      await tx.run('SAVEPOINT mine')
      await tx.run('INSERT INTO notes VALUES (1)')
      await tx.run('ROLLBACK TO mine')
      await tx.run('INSERT INTO notes VALUES (2)')
      await tx.exec('RELEASE mine')
    })
    assert.deepEqual(await db.all('SELECT id FROM notes'), [{ id: 2 }])
  })

  test('cannot release the savepoint of a nested transaction without failing it', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE notes (id INTEGER)')
    const work = db.transaction(tx => tx.transaction(inner => inner.exec('INSERT INTO notes VALUES (1); RELEASE duolect_1')))
    await assert.rejects(work, failsWith('undefined_object'))
    assert.deepEqual(await db.all('SELECT id FROM notes'), [])
  })

  for (const text of ['SAVEPOINT a', 'RELEASE a', 'ROLLBACK TO a']) {
    test(`outside of a transaction gets no_active_sql_transaction for ${text}`, async () => {
      const db = await database.open()
      for (const [, send] of WAYS) await assert.rejects(send(db, text), failsWith('no_active_sql_transaction', /transaction\(\)/))
    })
  }

  if (database.dialect === 'sqlite') return
  test('by a DO block gets the server’s invalid_transaction_termination, and nothing takes effect', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE notes (id INTEGER)')
    const work = db.transaction(async tx => {
      await tx.run('INSERT INTO notes VALUES (1)')
      await tx.run('DO $$ BEGIN COMMIT; END $$')
    })
    const { code } = (await work.catch(error => error)) as DatabaseError
    // Servers before 11 know no COMMIT there.
    assert.match(code, /^(invalid_transaction_termination|feature_not_supported)$/)
    assert.deepEqual(await db.all('SELECT id FROM notes'), [])
  })
})
