import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import BetterSqlite3 from 'better-sqlite3'
import pg from 'pg'
import { CODES as POSTGRES_CODES, postgresError } from '../src/drivers/postgres/errors.ts'
import { MESSAGES, CODES as SQLITE_CODES, sqliteError } from '../src/drivers/sqlite/errors.ts'
import { createDatabase, type Database, DatabaseError, type Dialect, type ErrorCode, type QueryParameters, sql } from '../src/index.ts'
import { failsWith, onEachDatabase, onEachSharedDatabase, type TestDatabase } from './support/databases.ts'

/** Stands in rows and in parameters, and must not turn up in what a logger prints. The brackets and quotes are traps. */
const CANARY = 'zq7canary'
const TRAP = `x(${CANARY})=("${CANARY}" '${CANARY}'`

const SCHEMA = `
  CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT UNIQUE, nick TEXT);
  CREATE UNIQUE INDEX parents_nick ON parents (lower(nick));
  CREATE TABLE children (
    id INTEGER PRIMARY KEY,
    parent INTEGER NOT NULL CONSTRAINT children_parent REFERENCES parents (id),
    age INTEGER CONSTRAINT children_age CHECK (age >= 0),
    size INTEGER CHECK (size < 100),
    a TEXT,
    b TEXT,
    CONSTRAINT children_pair UNIQUE (a, b)
  );
  CREATE TABLE later (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED, note TEXT);
  CREATE VIEW elders AS SELECT id FROM parents`

/** Opens a database with the tables, and the canary in every text of a row. */
async function openWithTables(database: TestDatabase): Promise<Database> {
  const db = await database.open()
  await db.exec(SCHEMA)
  await db.run('INSERT INTO parents VALUES ($1, $2, $3)', [1, TRAP, TRAP])
  await db.run('INSERT INTO children VALUES ($1, $1, $1, $1, $2, $2)', [1, TRAP])
  return db
}

/** The error that a promise is rejected with. */
async function errorOf(promise: Promise<unknown>): Promise<DatabaseError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof DatabaseError) return error
    throw new Error('Expected a DatabaseError.', { cause: error })
  }
  throw new Error('Expected an error, but there was none.')
}

/** What an error tells of where it was. */
interface Subject {
  readonly constraint?: string
  readonly table?: string
  readonly column?: string
}

function subjectOf({ constraint, table, column }: DatabaseError): Subject {
  return { ...(constraint && { constraint }), ...(table && { table }), ...(column && { column }) }
}

// Codes that a statement meets on both databases ------------------------------------------------------------------

interface Failure {
  readonly title: string
  readonly code: ErrorCode
  readonly query: string | Readonly<Record<Dialect, string>>
  readonly parameters?: QueryParameters
  /** Nothing where it is left out. SQLite names neither a unique constraint nor anything of a foreign key. */
  readonly told?: Readonly<Record<Dialect, Subject>>
}

const FAILURES: readonly Failure[] = [
  {
    title: 'a value that a unique column has',
    code: 'unique_violation',
    query: 'INSERT INTO parents (id, name) VALUES ($1, $2)',
    parameters: [2, TRAP],
    told: {
      sqlite: { table: 'parents', column: 'name' },
      postgres: { constraint: 'parents_name_key', table: 'parents', column: 'name' }
    }
  },
  {
    title: 'a primary key that exists',
    code: 'unique_violation',
    query: 'INSERT INTO parents (id, name) VALUES ($1, $2)',
    parameters: [1, CANARY],
    told: { sqlite: { table: 'parents', column: 'id' }, postgres: { constraint: 'parents_pkey', table: 'parents', column: 'id' } }
  },
  {
    title: 'a row whose key and whose pair exist',
    code: 'unique_violation',
    query: 'INSERT INTO children (id, parent, a, b) VALUES ($1, $1, $2, $2)',
    parameters: [1, TRAP],
    told: { sqlite: { table: 'children', column: 'id' }, postgres: { constraint: 'children_pkey', table: 'children', column: 'id' } }
  },
  {
    title: 'a pair that exists',
    code: 'unique_violation',
    query: 'INSERT INTO children (id, parent, a, b) VALUES (2, 1, $1, $1)',
    parameters: [TRAP],
    told: { sqlite: { table: 'children' }, postgres: { constraint: 'children_pair', table: 'children' } }
  },
  {
    title: 'a value that a unique index over an expression has',
    code: 'unique_violation',
    query: 'INSERT INTO parents (id, nick) VALUES (2, $1)',
    parameters: [TRAP],
    told: { sqlite: { constraint: 'parents_nick' }, postgres: { constraint: 'parents_nick', table: 'parents' } }
  },
  {
    title: 'a row that refers to none',
    code: 'foreign_key_violation',
    query: 'INSERT INTO children (id, parent, a) VALUES (2, 99, $1)',
    parameters: [CANARY],
    told: { sqlite: {}, postgres: { constraint: 'children_parent', table: 'children' } }
  },
  {
    title: 'the end of a row that another refers to',
    code: 'foreign_key_violation',
    query: 'DELETE FROM parents WHERE name = $1',
    parameters: [TRAP],
    told: { sqlite: {}, postgres: { constraint: 'children_parent', table: 'children' } }
  },
  {
    title: 'a foreign key that is checked at the commit',
    code: 'foreign_key_violation',
    query: 'INSERT INTO later VALUES (1, 99, $1)',
    parameters: [CANARY],
    told: { sqlite: {}, postgres: { constraint: 'later_parent_fkey', table: 'later' } }
  },
  {
    title: 'null in a column that takes none',
    code: 'not_null_violation',
    query: 'INSERT INTO children (id, parent, a) VALUES (2, NULL, $1)',
    parameters: [CANARY],
    told: { sqlite: { table: 'children', column: 'parent' }, postgres: { table: 'children', column: 'parent' } }
  },
  {
    title: 'a value that a named check refuses',
    code: 'check_violation',
    query: 'INSERT INTO children (id, parent, age, a) VALUES (2, 1, -1, $1)',
    parameters: [CANARY],
    told: { sqlite: { constraint: 'children_age' }, postgres: { constraint: 'children_age', table: 'children' } }
  },
  {
    title: 'a value that a check without a name refuses',
    code: 'check_violation',
    query: 'INSERT INTO children (id, parent, size, a) VALUES (2, 1, 100, $1)',
    parameters: [CANARY],
    // SQLite tells the condition in place of a name.
    told: { sqlite: { constraint: 'size < 100' }, postgres: { constraint: 'children_size_check', table: 'children' } }
  },
  { title: 'a mistyped word', code: 'syntax_error', query: 'SELEC * FROM parents WHERE name = $1', parameters: [CANARY] },
  { title: 'a statement that stops too early', code: 'syntax_error', query: 'SELECT $1 FROM', parameters: [CANARY] },
  { title: 'a string without an end', code: 'syntax_error', query: "SELECT 'text" },
  { title: 'two statements', code: 'syntax_error', query: 'SELECT 1; SELECT 2' },
  { title: 'more values than columns', code: 'syntax_error', query: 'INSERT INTO parents (id) VALUES (2, $1)', parameters: [CANARY] },
  {
    title: 'more values than the table has',
    code: 'syntax_error',
    query: 'INSERT INTO parents VALUES (2, $1, $1, $1)',
    parameters: [CANARY]
  },
  { title: 'a union of unlike widths', code: 'syntax_error', query: 'SELECT 1 UNION SELECT 1, 2' },
  { title: 'a value of two columns', code: 'syntax_error', query: 'SELECT (SELECT 1, 2)' },
  { title: 'rows of unlike length', code: 'syntax_error', query: 'VALUES (1), (1, 2)' },
  { title: 'a star without a table', code: 'syntax_error', query: 'SELECT *' },
  { title: 'a missing table to read', code: 'undefined_table', query: 'SELECT $1 FROM missing', parameters: [CANARY] },
  { title: 'a missing table to write', code: 'undefined_table', query: 'INSERT INTO missing VALUES ($1)', parameters: [CANARY] },
  { title: 'a missing table to drop', code: 'undefined_table', query: 'DROP TABLE missing' },
  { title: 'a missing table to alter', code: 'undefined_table', query: 'ALTER TABLE missing ADD COLUMN a TEXT' },
  { title: 'a missing view to drop', code: 'undefined_table', query: 'DROP VIEW missing' },
  { title: 'a table of a missing schema', code: 'undefined_table', query: 'SELECT * FROM missing.parents' },
  {
    title: 'a missing column to read',
    code: 'undefined_column',
    query: 'SELECT missing FROM parents WHERE name = $1',
    parameters: [CANARY]
  },
  { title: 'a missing quoted column', code: 'undefined_column', query: 'SELECT "missing" FROM parents' },
  {
    title: 'a missing column to insert',
    code: 'undefined_column',
    query: 'INSERT INTO parents (missing) VALUES ($1)',
    parameters: [CANARY]
  },
  { title: 'a missing column to update', code: 'undefined_column', query: 'UPDATE parents SET missing = 1' },
  { title: 'a missing column to drop', code: 'undefined_column', query: 'ALTER TABLE parents DROP COLUMN missing' },
  { title: 'a missing column to index', code: 'undefined_column', query: 'CREATE INDEX broken ON parents (missing)' },
  { title: 'a missing column to join by', code: 'undefined_column', query: 'SELECT 1 FROM parents JOIN children USING (missing)' },
  {
    title: 'a missing column in a foreign key',
    code: 'undefined_column',
    query: 'CREATE TABLE broken (a INTEGER, FOREIGN KEY (missing) REFERENCES parents (id))'
  },
  { title: 'a missing function', code: 'undefined_function', query: 'SELECT missing(1)' },
  { title: 'a function with too many arguments', code: 'undefined_function', query: 'SELECT abs(1, 2)' },
  { title: 'a missing index', code: 'undefined_object', query: 'DROP INDEX missing' },
  { title: 'a missing collation', code: 'undefined_object', query: "SELECT name FROM parents ORDER BY name COLLATE missing, 'a'" },
  {
    title: 'a missing trigger',
    code: 'undefined_object',
    query: { sqlite: 'DROP TRIGGER missing', postgres: 'DROP TRIGGER missing ON parents' }
  },
  { title: 'a table in a missing schema', code: 'undefined_object', query: 'CREATE TABLE missing.fresh (a INTEGER)' },
  { title: 'a missing window', code: 'undefined_object', query: 'SELECT sum(id) OVER missing FROM parents' },
  { title: 'a name that two tables have', code: 'ambiguous_column', query: 'SELECT id FROM parents, children' },
  { title: 'a table that exists', code: 'duplicate_table', query: 'CREATE TABLE parents (id INTEGER)' },
  { title: 'a view that exists', code: 'duplicate_table', query: 'CREATE VIEW elders AS SELECT 1 AS id' },
  { title: 'an index that exists', code: 'duplicate_table', query: 'CREATE INDEX parents_nick ON parents (id)' },
  { title: 'an index with the name of a table', code: 'duplicate_table', query: 'CREATE INDEX children ON parents (id)' },
  { title: 'a table with the name of an index', code: 'duplicate_table', query: 'CREATE TABLE parents_nick (id INTEGER)' },
  { title: 'a new name that another table has', code: 'duplicate_table', query: 'ALTER TABLE parents RENAME TO children' },
  { title: 'a column that exists', code: 'duplicate_column', query: 'ALTER TABLE parents ADD COLUMN name TEXT' },
  { title: 'a column that is made twice', code: 'duplicate_column', query: 'CREATE TABLE broken (a INTEGER, a TEXT)' },
  { title: 'a new name that another column has', code: 'duplicate_column', query: 'ALTER TABLE parents RENAME COLUMN name TO nick' },
  {
    title: 'a conflict on a column that is not unique',
    code: 'invalid_column_reference',
    query: 'INSERT INTO children (id, parent, a) VALUES (2, 1, $1) ON CONFLICT (a) DO NOTHING',
    parameters: [CANARY]
  },
  { title: 'an order by a column that is not there', code: 'invalid_column_reference', query: 'SELECT id FROM parents ORDER BY 2' },
  { title: 'a group by a column that is not there', code: 'invalid_column_reference', query: 'SELECT count(*) FROM parents GROUP BY 2' },
  { title: 'an aggregate in WHERE', code: 'grouping_error', query: 'SELECT id FROM parents WHERE count(*) > 1' },
  { title: 'an aggregate of an aggregate', code: 'grouping_error', query: 'SELECT max(count(*)) FROM parents' },
  {
    title: 'an integer beyond 64 bits',
    code: 'numeric_value_out_of_range',
    query: 'SELECT abs(CAST($1 AS BIGINT))',
    parameters: [-(2n ** 63n)]
  },
  {
    title: 'a text that is no JSON',
    code: 'invalid_text_representation',
    query: { sqlite: 'SELECT json($1)', postgres: 'SELECT CAST($1 AS JSON)' },
    parameters: [TRAP]
  },
  {
    title: 'a text for an integer key',
    code: 'invalid_text_representation',
    query: 'INSERT INTO parents (id) VALUES ($1)',
    parameters: [TRAP]
  },
  {
    title: 'a text for a limit',
    code: 'invalid_text_representation',
    query: 'SELECT id FROM parents LIMIT $1',
    parameters: [TRAP]
  },
  { title: 'an escape of two characters', code: 'invalid_escape_sequence', query: "SELECT 'a' LIKE $1 ESCAPE 'xx'", parameters: [CANARY] },
  {
    title: 'a select of too many columns',
    code: 'program_limit_exceeded',
    query: `SELECT ${Array.from({ length: 2001 }, (_, i) => `1 AS c${i}`).join(', ')}`
  }
]

function queryOn(dialect: Dialect, query: Failure['query']): string {
  return typeof query === 'string' ? query : query[dialect]
}

/** All that a logger could print of an error. */
function printed(error: DatabaseError): string {
  const { cause } = error
  return [
    error.message,
    error.stack,
    String(error),
    JSON.stringify(error),
    JSON.stringify(Object.entries(error)),
    inspect(error, { depth: 10 }),
    inspect({ error }, { depth: 10, compact: false, showHidden: true }),
    JSON.stringify(error, Object.getOwnPropertyNames(error)),
    JSON.stringify(cause),
    inspect(cause, { depth: 10 })
  ].join('\n')
}

onEachDatabase('Errors of statements', database => {
  for (const { title, code, query, parameters, told } of FAILURES) {
    const text = queryOn(database.dialect, query)

    test(`${title} is ${code}, and the error tells what the database tells`, async () => {
      const db = await openWithTables(database)
      const error = await errorOf(db.run(text, parameters))
      assert.equal(error.code, code, error.message)
      assert.deepEqual(subjectOf(error), told?.[database.dialect] ?? {})
    })

    test(`${title} is the same through all() and in a transaction`, async () => {
      const db = await openWithTables(database)
      assert.equal((await errorOf(db.all(text, parameters))).code, code)
      assert.equal((await errorOf(db.transaction(tx => tx.all(text, parameters)))).code, code)
    })

    if (parameters !== undefined) {
      test(`${title} shows no parameter and no row when it is logged, but holds the parameters`, async () => {
        const db = await openWithTables(database)
        const error = await errorOf(db.run(text, parameters))
        assert.ok(!printed(error).includes(CANARY), printed(error))
        assert.deepEqual(error.parameters, parameters)
        assert.ok(typeof error.sql === 'string' && error.sql.length > 0)
      })
    }

    test(`${title} has the native error as its cause`, async () => {
      const db = await openWithTables(database)
      const { cause } = await errorOf(db.run(text, parameters))
      assert.ok(cause instanceof Error)
      if (database.dialect === 'postgres') assert.match((cause as { code?: string }).code ?? '', /^[0-9A-Z]{5}$/)
    })
  }

  test('a trigger that exists is duplicate_object', async () => {
    const db = await openWithTables(database)
    const trigger =
      database.dialect === 'sqlite'
        ? 'CREATE TRIGGER guard BEFORE DELETE ON parents BEGIN SELECT 1; END'
        : 'CREATE TRIGGER guard BEFORE DELETE ON parents FOR EACH ROW EXECUTE PROCEDURE suppress_redundant_updates_trigger()'
    await db.run(trigger.replace('DELETE', 'UPDATE'))
    await assert.rejects(db.run(trigger.replace('DELETE', 'UPDATE')), failsWith('duplicate_object', /guard/))
  })

  test('what a trigger raises is raise_exception, with the message of the trigger', async () => {
    const db = await openWithTables(database)
    await db.exec(
      database.dialect === 'sqlite'
        ? `CREATE TRIGGER guard BEFORE DELETE ON parents BEGIN SELECT RAISE(ABORT, 'parents stay'); END`
        : `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'parents stay'; END $$;
           CREATE TRIGGER guard BEFORE DELETE ON parents FOR EACH ROW EXECUTE PROCEDURE refuse()`
    )
    await assert.rejects(db.run('DELETE FROM parents'), failsWith('raise_exception', /parents stay/))
  })

  test('bytes that SQLite would cut off are program_limit_exceeded', async () => {
    const db = await database.open()
    await assert.rejects(db.all('SELECT $1', [Buffer.alloc(2_200_000_000)]), failsWith('program_limit_exceeded', /1000000000/))
  })

  test('a missing savepoint is undefined_object', async () => {
    const db = await database.open()
    await assert.rejects(
      db.transaction(tx => tx.run('RELEASE missing')),
      failsWith('undefined_object', /missing|no such savepoint/)
    )
  })

  test('VACUUM in a transaction is active_sql_transaction', async () => {
    const db = await database.open()
    await assert.rejects(
      db.transaction(tx => tx.run('VACUUM')),
      failsWith('active_sql_transaction', /VACUUM/)
    )
  })

  test('a write in a transaction that only reads is read_only', async () => {
    const db = await openWithTables(database)
    const write = db.transaction(tx => tx.run('DELETE FROM children WHERE a = $1', [CANARY]), { readOnly: true })
    const error = await errorOf(write)
    assert.equal(error.code, 'read_only')
    assert.match(error.message, /allows no writes/)
    assert.ok(!printed(error).includes(CANARY))
  })

  test('a deferred foreign key that fails at the COMMIT is foreign_key_violation of the transaction', async () => {
    const db = await openWithTables(database)
    const error = await errorOf(db.transaction(tx => tx.run('INSERT INTO later VALUES (1, 99, $1)', [CANARY])))
    assert.equal(error.code, 'foreign_key_violation')
    assert.ok(!printed(error).includes(CANARY))
  })

  test('two parameters of different kinds are invalid_parameter', async () => {
    const db = await database.open()
    await assert.rejects(db.all('SELECT $1, :name', [1]), failsWith('invalid_parameter', /mixes \$1 and :name/))
  })

  test('a placeholder of SQLite alone is an error on both', async () => {
    const db = await database.open()
    await assert.rejects(db.all('SELECT ?'))
  })
})

// Codes of handles, of the store and of the settings ---------------------------------------------------------------

onEachDatabase('Errors of use', database => {
  test('one() without a row is no_data_found and points to maybeOne()', async () => {
    const db = await database.open()
    const error = await errorOf(db.one('SELECT 1 AS a WHERE 1 = 0'))
    assert.equal(error.code, 'no_data_found')
    assert.equal(error.message, 'one() expected one row, got none; where it may be missing, use maybeOne().')
  })

  test('one() with more rows is too_many_rows and says how many came', async () => {
    const db = await database.open()
    const error = await errorOf(db.one('SELECT 1 AS a UNION ALL SELECT 2 UNION ALL SELECT 3'))
    assert.equal(error.code, 'too_many_rows')
    assert.equal(error.message, 'one() expected one row, got 3; for several, use all().')
  })

  test('maybeOne() with more rows is too_many_rows and says how many came', async () => {
    const db = await database.open()
    const error = await errorOf(db.maybeOne('SELECT 1 AS a UNION ALL SELECT 2'))
    assert.equal(error.code, 'too_many_rows')
    assert.equal(error.message, 'maybeOne() expected one row or none, got 2; for several, use all().')
  })

  test('maybeOne() without a row is undefined', async () => {
    const db = await database.open()
    assert.equal(await db.maybeOne('SELECT 1 AS a WHERE 1 = 0'), undefined)
  })

  test('a wrong number of rows shows no row', async () => {
    const db = await openWithTables(database)
    await db.run('INSERT INTO parents VALUES (2, $1, $1)', [CANARY])
    for (const error of [
      await errorOf(db.one('SELECT * FROM parents')),
      await errorOf(db.maybeOne('SELECT * FROM parents')),
      await errorOf(db.one('SELECT * FROM parents WHERE name = $1', [`no ${CANARY}`]))
    ]) {
      assert.ok(!printed(error).includes(CANARY), printed(error))
      assert.match(error.sql ?? '', /FROM parents/)
    }
  })

  test('an unknown setting is invalid_configuration', async () => {
    const config = { ...(await database.config()), dataDIR: '.' }
    assert.throws(() => createDatabase(config), failsWith('invalid_configuration', /dataDIR.*dataDir/))
  })

  test('a missing parameter is invalid_parameter', async () => {
    const db = await database.open()
    await assert.rejects(db.all('SELECT $1, $2', [CANARY]), failsWith('invalid_parameter', /\$2 is missing/))
  })

  test('a path that cannot be read is invalid_path', async () => {
    const db = await database.open()
    await assert.rejects(db.kvs.set('key', 1, 'a['), failsWith('invalid_path'))
  })

  test('a value that JSON cannot hold is invalid_value', async () => {
    const db = await database.open()
    await assert.rejects(db.kvs.set('key', { a: [Number.NaN] }), failsWith('invalid_value', /value\.a\[0\] is NaN/))
  })

  test('the outer handle inside of a transaction is wrong_handle', async () => {
    const db = await database.open()
    await assert.rejects(
      db.transaction(() => db.all('SELECT 1')),
      failsWith('wrong_handle', /inside of its own transaction/)
    )
  })

  test('a use after close() is closed', async () => {
    const db = await database.open()
    await db.close()
    await assert.rejects(db.all('SELECT 1'), failsWith('closed', /createDatabase/))
  })

  test('a statement after one that failed is in_failed_sql_transaction and has the failure as its cause', async () => {
    const db = await database.open()
    const failures: DatabaseError[] = []
    const error = await errorOf(
      db.transaction(async tx => {
        failures.push(await errorOf(tx.all('SELECT * FROM missing')))
        await tx.all('SELECT 1')
      })
    )
    assert.equal(error.code, 'in_failed_sql_transaction')
    assert.equal(error.cause, failures[0])
  })

  test('a body that does nothing for too long is idle_in_transaction_session_timeout', async () => {
    const db = await database.open({ timeouts: { query: 100 } })
    const idle = db.transaction(() => new Promise(resolve => setTimeout(resolve, 1000)))
    await assert.rejects(idle, failsWith('idle_in_transaction_session_timeout', /100 ms/))
  })

  test('BEGIN as a statement is invalid_transaction_termination', async () => {
    const db = await database.open()
    await assert.rejects(db.run('BEGIN'), failsWith('invalid_transaction_termination', /transaction\(\)/))
  })

  test('COMMIT in a transaction is invalid_transaction_termination', async () => {
    const db = await database.open()
    await assert.rejects(
      db.transaction(tx => tx.run('COMMIT')),
      failsWith('invalid_transaction_termination')
    )
  })

  test('a row that another transaction keeps for too long is lock_not_available, which may be tried again', async () => {
    const db = await database.open({ timeouts: { lock: 150 } })
    await db.exec('CREATE TABLE counters (n INTEGER); INSERT INTO counters VALUES (0)')
    let release = () => {}
    let hold = () => {}
    const held = new Promise<void>(resolve => {
      hold = resolve
    })
    const holder = db.transaction(async tx => {
      await tx.run('UPDATE counters SET n = 1')
      hold()
      await new Promise<void>(resolve => {
        release = resolve
      })
    })
    await held
    const error = await errorOf(db.run('UPDATE counters SET n = 2'))
    release()
    await holder
    assert.equal(error.code, 'lock_not_available')
    assert.equal(error.isRetryable, true)
  })
})

onEachSharedDatabase('Errors of opening', database => {
  test('a database that cannot be reached is connection_failure', async () => {
    const unreachable =
      database.dialect === 'sqlite'
        ? { dataDir: process.execPath, postgres: { enabled: false } }
        : { postgres: { enabled: true, connection: 'postgres://postgres@127.0.0.1:1/postgres' } }
    const db = database.closeAfterTest(createDatabase(unreachable))
    await assert.rejects(db.all('SELECT 1'), failsWith('connection_failure', /Cannot (open|connect to)/))
  })

  if (database.dialect === 'sqlite') {
    test('a file of another kind is data_corrupted', async () => {
      const config = await database.config()
      const { location } = await database.open(config)
      const other = `${dirname(location)}/text.sqlite`
      writeFileSync(other, 'no database, but a text that is longer than the header of one. '.repeat(100))
      const db = database.closeAfterTest(createDatabase({ sqlite: { location: other }, postgres: { enabled: false } }))
      await assert.rejects(db.all('SELECT 1'), failsWith('data_corrupted', /text\.sqlite.*file of another kind/))
    })
  } else {
    test('a missing database of the server is undefined_database', async () => {
      const config = await database.config()
      const url = new URL(config.postgres?.connection ?? '')
      url.pathname = '/missing_database'
      const db = database.closeAfterTest(createDatabase(url.href))
      await assert.rejects(db.all('SELECT 1'), failsWith('undefined_database', /missing_database/))
    })

    test('a user whom the server does not know is invalid_authorization', async () => {
      const config = await database.config()
      const url = new URL(config.postgres?.connection ?? '')
      url.username = 'missing_user'
      const db = database.closeAfterTest(createDatabase(url.href))
      await assert.rejects(db.all('SELECT 1'), failsWith('invalid_authorization', /missing_user/))
    })
  }
})

// What one of the two does alone ---------------------------------------------------------------------------------

onEachDatabase('Errors of one dialect', database => {
  if (database.dialect === 'sqlite') {
    test('a database that may not grow is disk_full', async () => {
      const config = await database.config()
      const db = await database.open({ ...config, sqlite: { ...config.sqlite, pragmas: { max_page_count: 20 } } })
      await db.exec('CREATE TABLE notes (note TEXT)')
      const error = await errorOf(db.run('INSERT INTO notes VALUES ($1)', [CANARY.repeat(100_000)]))
      assert.equal(error.code, 'disk_full')
      assert.ok(!printed(error).includes(CANARY))
    })

    for (const [type, text, telling] of [
      ['TIMESTAMP', CANARY, /not a timestamp/],
      ['JSON', `{${CANARY}`, /not JSON/]
    ] as const) {
      test(`a text in a ${type} that is none is data_corrupted, names the column and shows no row`, async () => {
        const db = await database.open()
        await db.exec(`CREATE TABLE notes (id INTEGER, kept ${type})`)
        await db.run('INSERT INTO notes VALUES (1, $1)', [text])
        const error = await errorOf(db.all('SELECT id, kept AS shown FROM notes'))
        assert.equal(error.code, 'data_corrupted')
        assert.match(error.message, telling)
        assert.deepEqual(subjectOf(error), { table: 'notes', column: 'kept' })
        assert.ok(!printed(error).includes(CANARY), printed(error))
      })
    }

    for (const query of ["SELECT json_extract('{}', note) FROM notes", "SELECT '{}' -> '$.a', json_set('{}', note, 1) FROM notes"]) {
      test(`a bad path of JSON in a row is not shown: ${query}`, async () => {
        const db = await database.open()
        await db.exec('CREATE TABLE notes (note TEXT)')
        await db.run('INSERT INTO notes VALUES ($1)', [TRAP])
        const error = await errorOf(db.all(query))
        assert.ok(!printed(error).includes(CANARY), printed(error))
      })
    }
  } else {
    for (const [query, code, value] of [
      ['SELECT CAST($1 AS INTEGER) AS a', 'invalid_text_representation', TRAP],
      ['SELECT CAST($1 AS NUMERIC) AS a', 'invalid_text_representation', TRAP],
      ['SELECT CAST($1 AS DOUBLE PRECISION) AS a', 'invalid_text_representation', TRAP],
      ['SELECT CAST($1 AS BOOLEAN) AS a', 'invalid_text_representation', TRAP],
      ['SELECT CAST($1 AS UUID) AS a', 'invalid_text_representation', TRAP],
      ['SELECT CAST($1 AS JSONB) AS a', 'invalid_text_representation', `{"a": ${CANARY}}`],
      ['SELECT CAST($1 AS INTEGER[]) AS a', 'invalid_text_representation', TRAP],
      ['SELECT CAST($1 AS INET) AS a', 'invalid_text_representation', TRAP],
      ['SELECT CAST($1 AS TIMESTAMP) AS a', 'invalid_datetime_format', TRAP],
      ['SELECT CAST($1 AS DATE) AS a', 'invalid_datetime_format', TRAP],
      ["SELECT to_date($1, 'YYYY') AS a", 'invalid_datetime_format', CANARY],
      ['SELECT CAST(CAST($1 AS TEXT) AS REGCLASS) AS a', 'undefined_table', CANARY],
      ['SELECT CAST(CAST($1 AS TEXT) AS REGTYPE) AS a', 'undefined_object', CANARY],
      ['SELECT to_tsquery($1) AS a', 'syntax_error', `${CANARY} ${CANARY}`]
    ] as const) {
      test(`${query} with a text that does not fit is ${code} and does not show it`, async () => {
        const db = await database.open()
        const error = await errorOf(db.all(query, [value]))
        assert.equal(error.code, code)
        assert.ok(!printed(error).includes(CANARY), printed(error))
        assert.deepEqual(error.parameters, [value])
      })
    }

    test('a number that is out of range is numeric_value_out_of_range and is not shown', async () => {
      const db = await openWithTables(database)
      const error = await errorOf(db.run('INSERT INTO children (id, parent) VALUES (2, $1)', [7301928465017]))
      assert.equal(error.code, 'numeric_value_out_of_range')
      assert.ok(!printed(error).includes('7301928465017'), printed(error))
    })

    test('a text that is too long is string_data_right_truncation', async () => {
      const db = await database.open()
      await db.exec('CREATE TABLE notes (note VARCHAR(3))')
      const error = await errorOf(db.run('INSERT INTO notes VALUES ($1)', [CANARY]))
      assert.equal(error.code, 'string_data_right_truncation')
      assert.ok(!printed(error).includes(CANARY))
    })

    test('an array for an array type is explained', async () => {
      const db = await database.open()
      const query = 'SELECT 1 AS a WHERE CAST($1 AS INTEGER[]) IS NULL'
      await assert.rejects(db.all(query, [[1, 2]]), failsWith('invalid_text_representation', /sql\.list\(values\).*\{1,2\}/))
    })

    for (const [query, code] of [
      ['SELECT $1 IS NULL AS a', 'indeterminate_datatype'],
      ['SELECT 1 AS a WHERE $1 IS NULL OR $1 = 1', 'ambiguous_parameter']
    ] as const) {
      test(`a parameter of no certain type says what to write: ${query}`, async () => {
        const db = await database.open()
        const error = await errorOf(db.all(query, [1]))
        assert.equal(error.code, code)
        assert.match(error.message, /CAST\(:x AS …\) at the first use/)
      })
    }

    test('a division by zero is division_by_zero', async () => {
      const db = await database.open()
      await assert.rejects(db.all('SELECT 1 / 0'), failsWith('division_by_zero'))
    })

    test('a row that an exclusion refuses is exclusion_violation', async () => {
      const db = await database.open()
      await db.exec('CREATE TABLE stays (room TEXT, CONSTRAINT stays_room EXCLUDE USING hash (room WITH =))')
      await db.run('INSERT INTO stays VALUES ($1)', [TRAP])
      const error = await errorOf(db.run('INSERT INTO stays VALUES ($1)', [TRAP]))
      assert.equal(error.code, 'exclusion_violation')
      assert.deepEqual(subjectOf(error), { constraint: 'stays_room', table: 'stays' })
      assert.ok(!printed(error).includes(CANARY), printed(error))
    })

    test('what a role may not do is insufficient_privilege', async () => {
      const db = await database.open()
      await assert.rejects(
        db.transaction(tx => tx.exec('SET LOCAL ROLE pg_monitor; SELECT * FROM pg_authid')),
        failsWith('insufficient_privilege')
      )
    })

    test('a statement that runs for too long is query_canceled', async () => {
      const db = await database.open({ timeouts: { query: 100 } })
      await assert.rejects(db.all('SELECT pg_sleep(10)'), failsWith('query_canceled', /statement timeout/))
    })

    test('two transactions that change what the other read are serialization_failure', async () => {
      const config = await database.config()
      const [db, other] = [await database.open(config), await database.open(config)]
      await db.exec('CREATE TABLE counters (n INTEGER); INSERT INTO counters VALUES (0)')
      const error = await errorOf(
        db.transaction(
          async tx => {
            await tx.all('SELECT n FROM counters')
            await other.run('UPDATE counters SET n = 1')
            await tx.run('UPDATE counters SET n = 2')
          },
          { isolation: 'repeatable read' }
        )
      )
      assert.equal(error.code, 'serialization_failure')
      assert.equal(error.isRetryable, true)
    })

    test('two transactions that wait for each other are deadlock_detected', async () => {
      const db = await database.open()
      await db.exec('CREATE TABLE counters (id INTEGER, n INTEGER); INSERT INTO counters VALUES (1, 0), (2, 0)')
      let arrived = 0
      let meet = () => {}
      const both = new Promise<void>(resolve => {
        meet = resolve
      })
      const change = (first: number, second: number) =>
        db.transaction(async tx => {
          await tx.run('UPDATE counters SET n = n + 1 WHERE id = $1', [first])
          if (++arrived === 2) meet()
          await both
          await tx.run('UPDATE counters SET n = n + 1 WHERE id = $1', [second])
        })
      const results = await Promise.allSettled([change(1, 2), change(2, 1)])
      const failed = results.filter(result => result.status === 'rejected')
      assert.equal(failed.length, 1)
      assert.ok(failsWith('deadlock_detected')(failed[0]?.reason))
    })

    test('a connection that breaks is connection_failure', async () => {
      const db = await database.open()
      await assert.rejects(db.all('SELECT pg_terminate_backend(pg_backend_pid())'), failsWith('connection_failure'))
    })

    for (const [state, code] of [
      ['08P01', 'protocol_violation'],
      ['08006', 'connection_exception'],
      ['57P01', 'admin_shutdown']
    ] as const) {
      test(`${state} that a statement raises is ${code}, and the connection goes on`, async () => {
        const config = await database.config()
        const db = await database.open({ ...config, postgres: { ...config.postgres, maxConnections: 1 } })
        const { pid } = await db.one('SELECT pg_backend_pid() AS pid')
        const raise = `DO $$ BEGIN RAISE EXCEPTION 'raised' USING ERRCODE = '${state}'; END $$`
        await assert.rejects(db.exec(raise), failsWith(code))
        assert.deepEqual(await db.one('SELECT pg_backend_pid() AS pid'), { pid })
      })
    }

    test('bytes for a time are an error of the statement, and the connection goes on', async () => {
      const config = await database.config()
      const db = await database.open({ ...config, postgres: { ...config.postgres, maxConnections: 1 } })
      const { pid } = await db.one('SELECT pg_backend_pid() AS pid')
      await db.exec('CREATE TABLE notes (written TIMESTAMPTZ)')
      const error = await errorOf(db.run('INSERT INTO notes VALUES ($1)', [Buffer.from('bytes')]))
      assert.match(error.code, /^(protocol_violation|invalid_binary_representation)$/)
      assert.deepEqual(await db.one('SELECT pg_backend_pid() AS pid'), { pid })
    })

    test('a connection that breaks while COMMIT is on its way is commit_unknown, which is not to be repeated', async () => {
      const db = await database.open()
      await db.exec(`
        CREATE TABLE notes (note TEXT);
        CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER hang_up AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED
          FOR EACH ROW EXECUTE PROCEDURE hang_up()`)
      const error = await errorOf(db.transaction(tx => tx.run('INSERT INTO notes VALUES ($1)', [CANARY])))
      assert.equal(error.code, 'commit_unknown')
      assert.equal(error.isRetryable, false)
      assert.ok(!printed(error).includes(CANARY), printed(error))
    })
  }
})

// Stacks -----------------------------------------------------------------------------------------------------------

/** Calls that fail, each awaited as a caller does. */
const CALLS: Readonly<Record<string, (db: Database) => Promise<unknown>>> = {
  'all()': async db => await db.all('SELECT * FROM missing'),
  'all() of a statement that writes': async db => await db.all('INSERT INTO missing VALUES (1) RETURNING *'),
  'all() with a bad parameter': async db => await db.all('SELECT $1', [Number.NaN]),
  'one()': async db => await db.one('SELECT * FROM missing'),
  'one() without a row': async db => await db.one('SELECT 1 AS a WHERE 1 = 0'),
  'maybeOne()': async db => await db.maybeOne('SELECT * FROM missing'),
  'maybeOne() with two rows': async db => await db.maybeOne('SELECT 1 AS a UNION ALL SELECT 2'),
  'run()': async db => await db.run('DELETE FROM missing'),
  'run() beside others': async db => {
    const others = [db.run('DELETE FROM users'), db.run('DELETE FROM users')]
    try {
      await db.run('DELETE FROM missing')
    } finally {
      await Promise.all(others)
    }
  },
  'iterate()': async db => {
    for await (const row of db.iterate('SELECT * FROM missing')) assert.fail(inspect(row))
  },
  'exec()': async db => await db.exec('DELETE FROM missing'),
  'exec() of two statements': async db => await db.exec('DELETE FROM users; DELETE FROM missing'),
  'transaction()': async db => await db.transaction(async tx => await tx.run('DELETE FROM missing')),
  'transaction() that fails at its COMMIT': async db => {
    await db.exec('CREATE TABLE later (id INTEGER PRIMARY KEY, other INTEGER REFERENCES later (id) DEFERRABLE INITIALLY DEFERRED)')
    await db.transaction(async tx => {
      await tx.run('INSERT INTO later VALUES (1, 2)')
    })
  },
  'a nested transaction()': async db =>
    await db.transaction(async tx => await tx.transaction(async inner => await inner.all('SELECT * FROM missing'))),
  'iterate() in a transaction': async db =>
    await db.transaction(async tx => {
      for await (const row of tx.iterate('SELECT * FROM missing')) assert.fail(inspect(row))
    }),
  'kvs.set()': async db => {
    await db.exec('ALTER TABLE kvs RENAME TO old_kvs')
    await db.kvs.set('key', 1)
  },
  'kvs.set() with a path': async db => {
    await db.exec('ALTER TABLE kvs RENAME TO old_kvs')
    await db.kvs.set('key', 1, 'a.b')
  },
  'kvs.get()': async db => {
    await db.exec('ALTER TABLE kvs RENAME TO old_kvs')
    await db.kvs.get('key')
  },
  'kvs.has()': async db => {
    await db.exec('ALTER TABLE kvs RENAME TO old_kvs')
    await db.kvs.has('key')
  },
  'kvs.get() of what is no JSON': async db => {
    await db.run("INSERT INTO kvs (key, value) VALUES ('key', '{')")
    await db.kvs.get('key')
  },
  'kvs.set() of a bad value': async db => await db.kvs.set('key', Number.NaN),
  'saveUser()': async db => {
    await db.exec('ALTER TABLE users RENAME TO old_users')
    await db.saveUser({ id: '1', platform: 'slack' })
  },
  'saveUser() of no user': async db => await db.saveUser({ id: '', platform: 'slack' })
}

onEachDatabase("An error's stack leads to the caller", database => {
  for (const [call, fail] of Object.entries(CALLS)) {
    test(`of ${call}`, async () => {
      const db = await database.open()
      const error = await errorOf(fail(db))
      assert.match(error.stack ?? '', /errors\.test\.ts/)
      assert.ok(error.stack?.startsWith(`DatabaseError: ${error.message}`), error.stack)
    })

    test(`of ${call} that opens the database`, async () => {
      const db = database.closeAfterTest(createDatabase(await database.config()))
      const error = await errorOf(fail(db))
      assert.match(error.stack ?? '', /errors\.test\.ts/)
    })
  }
})

// The tables of native codes -----------------------------------------------------------------------------------------

describe("SQLite's result codes", () => {
  const PINNED: readonly (readonly [native: string, code: ErrorCode])[] = [
    ['SQLITE_CONSTRAINT_UNIQUE', 'unique_violation'],
    ['SQLITE_CONSTRAINT_PRIMARYKEY', 'unique_violation'],
    ['SQLITE_CONSTRAINT_ROWID', 'unique_violation'],
    ['SQLITE_CONSTRAINT_FOREIGNKEY', 'foreign_key_violation'],
    ['SQLITE_CONSTRAINT_NOTNULL', 'not_null_violation'],
    ['SQLITE_CONSTRAINT_CHECK', 'check_violation'],
    ['SQLITE_CONSTRAINT_TRIGGER', 'raise_exception'],
    // Postgres says so where a text cannot be read as the column's type.
    ['SQLITE_CONSTRAINT_DATATYPE', 'invalid_text_representation'],
    ['SQLITE_CONSTRAINT', 'data_exception'],
    ['SQLITE_MISMATCH', 'invalid_text_representation'],
    ['SQLITE_BUSY', 'lock_not_available'],
    ['SQLITE_LOCKED', 'lock_not_available'],
    ['SQLITE_READONLY', 'read_only'],
    ['SQLITE_FULL', 'disk_full'],
    ['SQLITE_NOMEM', 'out_of_memory'],
    ['SQLITE_IOERR_NOMEM', 'out_of_memory'],
    ['SQLITE_IOERR', 'io_error'],
    ['SQLITE_CORRUPT', 'data_corrupted'],
    ['SQLITE_NOTADB', 'data_corrupted'],
    ['SQLITE_FORMAT', 'data_corrupted'],
    ['SQLITE_CANTOPEN', 'connection_failure'],
    ['SQLITE_PROTOCOL', 'lock_not_available'],
    ['SQLITE_AUTH', 'insufficient_privilege'],
    ['SQLITE_PERM', 'insufficient_privilege'],
    ['SQLITE_INTERRUPT', 'query_canceled'],
    ['SQLITE_TOOBIG', 'program_limit_exceeded'],
    ['SQLITE_RANGE', 'invalid_parameter']
  ]

  test('each row of the table is pinned here', () => {
    assert.deepEqual(Object.keys(SQLITE_CODES).sort(), PINNED.map(([native]) => native).sort())
  })

  for (const [native, code] of [
    ...PINNED,
    // Extended codes fall back to their primary one.
    ['SQLITE_BUSY_SNAPSHOT', 'lock_not_available'],
    ['SQLITE_LOCKED_SHAREDCACHE', 'lock_not_available'],
    ['SQLITE_READONLY_DBMOVED', 'read_only'],
    ['SQLITE_IOERR_WRITE', 'io_error'],
    ['SQLITE_CORRUPT_INDEX', 'data_corrupted'],
    ['SQLITE_CANTOPEN_ISDIR', 'connection_failure'],
    ['SQLITE_CONSTRAINT_VTAB', 'data_exception'],
    ['SQLITE_ERROR', 'unclassified'],
    ['SQLITE_MISUSE', 'unclassified']
  ] as const) {
    test(`${native} is ${code}, with the native error as its cause`, () => {
      const cause = new BetterSqlite3.SqliteError('what SQLite says', native)
      const error = sqliteError(cause)
      assert.equal(error.code, code)
      assert.equal(error.cause, cause)
      assert.match(error.message, /what SQLite says/)
    })
  }

  // What SQLite itself makes of statements; each but the last of a list prepares the failure.
  const STATEMENTS: readonly (readonly [statements: readonly string[], native: string, code: ErrorCode])[] = [
    [['CREATE TABLE t (a UNIQUE)', 'INSERT INTO t VALUES (1), (1)'], 'SQLITE_CONSTRAINT_UNIQUE', 'unique_violation'],
    [['CREATE TABLE t (a INTEGER PRIMARY KEY)', 'INSERT INTO t VALUES (1), (1)'], 'SQLITE_CONSTRAINT_PRIMARYKEY', 'unique_violation'],
    [['CREATE TABLE t (a)', 'INSERT INTO t (rowid) VALUES (1), (1)'], 'SQLITE_CONSTRAINT_ROWID', 'unique_violation'],
    [
      ['CREATE TABLE t (a INTEGER PRIMARY KEY, b REFERENCES t (a))', 'INSERT INTO t VALUES (1, 2)'],
      'SQLITE_CONSTRAINT_FOREIGNKEY',
      'foreign_key_violation'
    ],
    [['CREATE TABLE t (a NOT NULL)', 'INSERT INTO t VALUES (NULL)'], 'SQLITE_CONSTRAINT_NOTNULL', 'not_null_violation'],
    [['CREATE TABLE t (a CHECK (a > 0))', 'INSERT INTO t VALUES (0)'], 'SQLITE_CONSTRAINT_CHECK', 'check_violation'],
    [
      ['CREATE TABLE t (a)', `CREATE TRIGGER r BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, 'no'); END`, 'INSERT INTO t VALUES (1)'],
      'SQLITE_CONSTRAINT_TRIGGER',
      'raise_exception'
    ],
    [['CREATE TABLE t (a INTEGER) STRICT', "INSERT INTO t VALUES ('text')"], 'SQLITE_CONSTRAINT_DATATYPE', 'invalid_text_representation'],
    [['CREATE TABLE t (a INTEGER PRIMARY KEY)', "INSERT INTO t VALUES ('text')"], 'SQLITE_MISMATCH', 'invalid_text_representation'],
    [['SELECT zeroblob(2147483647)'], 'SQLITE_TOOBIG', 'program_limit_exceeded'],
    [["ATTACH '/missing/directory/file' AS other"], 'SQLITE_CANTOPEN', 'connection_failure'],
    [['PRAGMA query_only = ON', 'CREATE TABLE t (a)'], 'SQLITE_READONLY', 'read_only'],
    [['SELECT * FROM missing'], 'SQLITE_ERROR', 'undefined_table'],
    [['DROP VIEW missing'], 'SQLITE_ERROR', 'undefined_table'],
    [['SELECT missing'], 'SQLITE_ERROR', 'undefined_column'],
    [['CREATE TABLE t (a)', 'INSERT INTO t (missing) VALUES (1)'], 'SQLITE_ERROR', 'undefined_column'],
    [['CREATE TABLE t (a, FOREIGN KEY (missing) REFERENCES t (a))'], 'SQLITE_ERROR', 'undefined_column'],
    [['CREATE TABLE t (a)', 'SELECT 1 FROM t JOIN t AS u USING (missing)'], 'SQLITE_ERROR', 'undefined_column'],
    [['SELECT missing(1)'], 'SQLITE_ERROR', 'undefined_function'],
    [['SELECT abs(1, 2)'], 'SQLITE_ERROR', 'undefined_function'],
    [['DROP INDEX missing'], 'SQLITE_ERROR', 'undefined_object'],
    [['DROP TRIGGER missing'], 'SQLITE_ERROR', 'undefined_object'],
    [["SELECT 'a' = 'b' COLLATE missing"], 'SQLITE_ERROR_MISSING_COLLSEQ', 'undefined_object'],
    [['CREATE VIRTUAL TABLE t USING missing'], 'SQLITE_ERROR', 'undefined_object'],
    [['RELEASE missing'], 'SQLITE_ERROR', 'undefined_object'],
    [['DETACH missing'], 'SQLITE_ERROR', 'undefined_object'],
    [['CREATE TABLE missing.t (a)'], 'SQLITE_ERROR', 'undefined_object'],
    [['SELECT sum(1) OVER missing'], 'SQLITE_ERROR', 'undefined_object'],
    [['CREATE TABLE t (a)', 'SELECT a FROM t, t AS u'], 'SQLITE_ERROR', 'ambiguous_column'],
    [['CREATE TABLE t (a, a)'], 'SQLITE_ERROR', 'duplicate_column'],
    [['CREATE TABLE t (a, b)', 'ALTER TABLE t RENAME COLUMN a TO b'], 'SQLITE_ERROR', 'duplicate_column'],
    [['CREATE TABLE t (a)', 'CREATE TABLE t (a)'], 'SQLITE_ERROR', 'duplicate_table'],
    [['CREATE VIEW v AS SELECT 1', 'CREATE VIEW v AS SELECT 1'], 'SQLITE_ERROR', 'duplicate_table'],
    [['CREATE TABLE t (a)', 'CREATE INDEX t ON t (a)'], 'SQLITE_ERROR', 'duplicate_table'],
    [['CREATE TABLE t (a)', 'CREATE INDEX i ON t (a)', 'CREATE INDEX i ON t (a)'], 'SQLITE_ERROR', 'duplicate_table'],
    [['CREATE TABLE t (a)', 'CREATE INDEX i ON t (a)', 'CREATE TABLE i (a)'], 'SQLITE_ERROR', 'duplicate_table'],
    [['CREATE TABLE t (a)', 'CREATE TABLE u (a)', 'ALTER TABLE t RENAME TO u'], 'SQLITE_ERROR', 'duplicate_table'],
    [
      [
        'CREATE TABLE t (a)',
        'CREATE TRIGGER r BEFORE INSERT ON t BEGIN SELECT 1; END',
        'CREATE TRIGGER r BEFORE INSERT ON t BEGIN SELECT 1; END'
      ],
      'SQLITE_ERROR',
      'duplicate_object'
    ],
    [['SELECT abs(-9223372036854775808)'], 'SQLITE_ERROR', 'numeric_value_out_of_range'],
    [["SELECT json_extract('{}', 'a')"], 'SQLITE_ERROR', 'data_exception'],
    [["SELECT json('{')"], 'SQLITE_ERROR', 'invalid_text_representation'],
    [["SELECT 'a' LIKE 'b' ESCAPE 'cc'"], 'SQLITE_ERROR', 'invalid_escape_sequence'],
    [['BEGIN', 'BEGIN'], 'SQLITE_ERROR', 'invalid_transaction_termination'],
    [['COMMIT'], 'SQLITE_ERROR', 'invalid_transaction_termination'],
    [['ROLLBACK'], 'SQLITE_ERROR', 'invalid_transaction_termination'],
    [['BEGIN', 'VACUUM'], 'SQLITE_ERROR', 'active_sql_transaction'],
    [['CREATE TABLE t (a)', 'INSERT INTO t VALUES (1) ON CONFLICT (a) DO NOTHING'], 'SQLITE_ERROR', 'invalid_column_reference'],
    [['SELECT 1 ORDER BY 2'], 'SQLITE_ERROR', 'invalid_column_reference'],
    [['SELECT 1 GROUP BY 2'], 'SQLITE_ERROR', 'invalid_column_reference'],
    [['SELECT 1 WHERE count(*) > 1'], 'SQLITE_ERROR', 'grouping_error'],
    [[`SELECT 1${' UNION ALL SELECT 1'.repeat(600)}`], 'SQLITE_ERROR', 'program_limit_exceeded'],
    [[`SELECT 1${', 1'.repeat(2100)}`], 'SQLITE_ERROR', 'program_limit_exceeded'],
    [[`SELECT max(1${', 1'.repeat(2000)})`], 'SQLITE_ERROR', 'program_limit_exceeded'],
    [[`SELECT 1${'+1'.repeat(2000)}`], 'SQLITE_ERROR', 'program_limit_exceeded'],
    [[`SELECT ${'('.repeat(5000)}1${')'.repeat(5000)}`], 'SQLITE_ERROR', 'program_limit_exceeded'],
    [Array.from({ length: 11 }, (_, i) => `ATTACH ':memory:' AS other${i}`), 'SQLITE_ERROR', 'program_limit_exceeded'],
    [
      [
        'CREATE TABLE t (a)',
        'CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO t VALUES (1); END',
        'PRAGMA recursive_triggers = ON',
        'INSERT INTO t VALUES (1)'
      ],
      'SQLITE_ERROR',
      'program_limit_exceeded'
    ],
    [[`SELECT ${Array.from({ length: 32_767 }, () => '?').join(', ')}`], 'SQLITE_ERROR', 'program_limit_exceeded'],
    [
      [`SELECT 1 FROM (SELECT 1) AS a0${Array.from({ length: 64 }, (_, i) => `, (SELECT 1) AS a${i + 1}`).join('')}`],
      'SQLITE_ERROR',
      'program_limit_exceeded'
    ],
    [[`SELECT 'a' LIKE '${'%a'.repeat(30_000)}'`], 'SQLITE_ERROR', 'program_limit_exceeded'],
    [
      [
        Array.from({ length: 1100 }, (_, i) => `CREATE TABLE t${i} (a)`).join(';'),
        Array.from(
          { length: 1099 },
          (_, i) => `CREATE TRIGGER r${i} AFTER INSERT ON t${i} BEGIN INSERT INTO t${i + 1} VALUES (1); END`
        ).join(';'),
        'INSERT INTO t0 VALUES (1)'
      ],
      'SQLITE_ERROR',
      'program_limit_exceeded'
    ],
    [["SELECT load_extension('a')"], 'SQLITE_ERROR', 'insufficient_privilege'],
    [['DROP TABLE sqlite_schema'], 'SQLITE_ERROR', 'insufficient_privilege'],
    [['CREATE VIEW v AS SELECT 1', 'ALTER TABLE v RENAME TO w'], 'SQLITE_ERROR', 'wrong_object_type'],
    [
      [
        'CREATE VIEW v AS SELECT 1',
        'CREATE VIEW w AS SELECT * FROM v',
        'DROP VIEW v',
        'CREATE VIEW v AS SELECT * FROM w',
        'SELECT * FROM v'
      ],
      'SQLITE_ERROR',
      'invalid_recursion'
    ],
    [['WITH RECURSIVE r (a) AS (SELECT 1 UNION ALL SELECT r.a FROM r, r AS s) SELECT * FROM r'], 'SQLITE_ERROR', 'invalid_recursion'],
    [['CREATE VIEW v AS SELECT 1 AS a', 'INSERT INTO v VALUES (1)'], 'SQLITE_ERROR', 'object_not_in_prerequisite_state'],
    [['CREATE TABLE t (a, b AS (a))', 'INSERT INTO t (b) VALUES (1)'], 'SQLITE_ERROR', 'generated_always'],
    [['CREATE TABLE t (a, b AS (a))', 'UPDATE t SET b = 1'], 'SQLITE_ERROR', 'generated_always'],
    [['CREATE TABLE t (a) WITHOUT ROWID'], 'SQLITE_ERROR', 'invalid_table_definition'],
    [['CREATE TABLE t (a TEXT PRIMARY KEY AUTOINCREMENT)'], 'SQLITE_ERROR', 'invalid_table_definition'],
    [['CREATE TABLE t (a PRIMARY KEY, b PRIMARY KEY)'], 'SQLITE_ERROR', 'invalid_table_definition'],
    [['CREATE TABLE t (a PRIMARY KEY, b)', 'ALTER TABLE t DROP COLUMN a'], 'SQLITE_ERROR', 'feature_not_supported'],
    [['CREATE TABLE sqlite_t (a)'], 'SQLITE_ERROR', 'reserved_name'],
    [['SELECT row_number()'], 'SQLITE_ERROR', 'windowing_error'],
    [['CREATE TABLE t (a NOPE) STRICT'], 'SQLITE_ERROR', 'undefined_object'],
    [['REINDEX missing'], 'SQLITE_ERROR', 'undefined_object'],
    [['CREATE TABLE t (a)', 'CREATE TABLE u (a REFERENCES t (a))', 'INSERT INTO u VALUES (1)'], 'SQLITE_ERROR', 'invalid_foreign_key'],
    [['CREATE TABLE t (a)', 'CREATE INDEX i ON t (random())'], 'SQLITE_ERROR', 'invalid_object_definition'],
    [['CREATE TABLE t (a CHECK (a IN (SELECT 1)))'], 'SQLITE_ERROR', 'feature_not_supported'],
    [['CREATE TABLE t (a DEFAULT (b))'], 'SQLITE_ERROR', 'feature_not_supported'],
    [['SELECT 1 AS a UNION SELECT 2 ORDER BY a + 1'], 'SQLITE_ERROR', 'feature_not_supported'],
    [["SELECT 'a' MATCH 'b'"], 'SQLITE_ERROR', 'feature_not_supported'],
    [['SELECT (1, 2)'], 'SQLITE_ERROR', 'syntax_error'],
    [["SELECT RAISE(ABORT, 'a')"], 'SQLITE_ERROR', 'syntax_error'],
    [['SELEC'], 'SQLITE_ERROR', 'syntax_error'],
    [['SELECT'], 'SQLITE_ERROR', 'syntax_error'],
    [["SELECT 'a"], 'SQLITE_ERROR', 'syntax_error'],
    [['SELECT *'], 'SQLITE_ERROR', 'syntax_error'],
    [['VALUES (1), (1, 2)'], 'SQLITE_ERROR', 'syntax_error'],
    [['CREATE TABLE t (a)', 'INSERT INTO t (a) VALUES (1, 2)'], 'SQLITE_ERROR', 'syntax_error'],
    [['CREATE TABLE t (a)', 'INSERT INTO t VALUES (1, 2)'], 'SQLITE_ERROR', 'syntax_error'],
    [['SELECT 1 UNION SELECT 1, 2'], 'SQLITE_ERROR', 'syntax_error'],
    [['SELECT (SELECT 1, 2)'], 'SQLITE_ERROR', 'syntax_error']
  ]

  /** The error that SQLite throws at the last of the statements. */
  function nativeErrorOf(statements: readonly string[]): unknown {
    const native = new BetterSqlite3(':memory:')
    try {
      for (const statement of statements.slice(0, -1)) native.exec(statement)
      native.exec(statements.at(-1) ?? '')
    } catch (error) {
      return error
    } finally {
      native.close()
    }
    return undefined
  }

  for (const [statements, native, code] of STATEMENTS) {
    const last = statements.at(-1) ?? ''
    test(`${native} of ${last.length > 80 ? `${last.slice(0, 80)}…` : last} is ${code}`, () => {
      const cause = nativeErrorOf(statements)
      assert.ok(cause instanceof BetterSqlite3.SqliteError)
      assert.equal(cause.code, native)
      assert.equal(sqliteError(cause).code, code, cause.message)
    })
  }

  test('each row of the table of messages is what SQLite says to one of the statements', () => {
    const messages = STATEMENTS.map(([statements]) => (nativeErrorOf(statements) as Error).message)
    for (const [pattern, code] of MESSAGES) {
      const decided = messages.filter(message => MESSAGES.find(([other]) => other.test(message))?.[0] === pattern)
      assert.ok(decided.length > 0, `${pattern} (${code}) decided about none`)
    }
  })

  test('what better-sqlite3 refuses itself is explained', () => {
    const native = new BetterSqlite3(':memory:')
    try {
      for (const [run, code, message] of [
        [() => native.prepare('SELECT 1; SELECT 2'), 'syntax_error', /more than one statement.*exec\(\)/],
        [() => native.prepare('-- nothing'), 'syntax_error', /no statement/],
        [() => native.prepare('SELECT ?').all(), 'invalid_parameter', /\$1 or :name/],
        [() => native.prepare('SELECT @name').all({}), 'invalid_parameter', /\$1 or :name/]
      ] as const) {
        assert.throws(
          () => {
            try {
              run()
            } catch (error) {
              throw sqliteError(error)
            }
          },
          failsWith(code, message)
        )
      }
    } finally {
      native.close()
    }
  })

  test('a DatabaseError passes as it is', () => {
    const error = new DatabaseError('closed', 'text')
    assert.equal(sqliteError(error), error)
  })
})

describe("Postgres's SQLSTATEs", () => {
  /** Each condition of classes 21, 22, 23, 25, 40, 42, 55 and 57 (Postgres manual, appendix A). */
  const CONDITIONS = `
    21000 cardinality_violation,
    22000 data_exception, 2202E array_subscript_error, 22021 character_not_in_repertoire, 22008 datetime_field_overflow,
    22012 division_by_zero, 22005 error_in_assignment, 2200B escape_character_conflict, 22022 indicator_overflow,
    22015 interval_field_overflow, 2201E invalid_argument_for_logarithm, 22014 invalid_argument_for_ntile_function,
    22016 invalid_argument_for_nth_value_function, 2201F invalid_argument_for_power_function,
    2201G invalid_argument_for_width_bucket_function, 22018 invalid_character_value_for_cast, 22007 invalid_datetime_format,
    22019 invalid_escape_character, 2200D invalid_escape_octet, 22025 invalid_escape_sequence,
    22P06 nonstandard_use_of_escape_character, 22010 invalid_indicator_parameter_value, 22023 invalid_parameter_value,
    22013 invalid_preceding_or_following_size, 2201B invalid_regular_expression, 2201W invalid_row_count_in_limit_clause,
    2201X invalid_row_count_in_result_offset_clause, 2202H invalid_tablesample_argument, 2202G invalid_tablesample_repeat,
    22009 invalid_time_zone_displacement_value, 2200C invalid_use_of_escape_character, 2200G most_specific_type_mismatch,
    22004 null_value_not_allowed, 22002 null_value_no_indicator_parameter, 22003 numeric_value_out_of_range,
    2200H sequence_generator_limit_exceeded, 22026 string_data_length_mismatch, 22001 string_data_right_truncation,
    22011 substring_error, 22027 trim_error, 22024 unterminated_c_string, 2200F zero_length_character_string,
    22P01 floating_point_exception, 22P02 invalid_text_representation, 22P03 invalid_binary_representation,
    22P04 bad_copy_file_format, 22P05 untranslatable_character, 2200L not_an_xml_document, 2200M invalid_xml_document,
    2200N invalid_xml_content, 2200S invalid_xml_comment, 2200T invalid_xml_processing_instruction,
    22030 duplicate_json_object_key_value, 22031 invalid_argument_for_sql_json_datetime_function, 22032 invalid_json_text,
    22033 invalid_sql_json_subscript, 22034 more_than_one_sql_json_item, 22035 no_sql_json_item, 22036 non_numeric_sql_json_item,
    22037 non_unique_keys_in_a_json_object, 22038 singleton_sql_json_item_required, 22039 sql_json_array_not_found,
    2203A sql_json_member_not_found, 2203B sql_json_number_not_found, 2203C sql_json_object_not_found,
    2203D too_many_json_array_elements, 2203E too_many_json_object_members, 2203F sql_json_scalar_required,
    2203G sql_json_item_cannot_be_cast_to_target_type,
    23000 integrity_constraint_violation, 23001 restrict_violation, 23502 not_null_violation, 23503 foreign_key_violation,
    23505 unique_violation, 23514 check_violation, 23P01 exclusion_violation,
    25000 invalid_transaction_state, 25001 active_sql_transaction, 25002 branch_transaction_already_active,
    25008 held_cursor_requires_same_isolation_level, 25003 inappropriate_access_mode_for_branch_transaction,
    25004 inappropriate_isolation_level_for_branch_transaction, 25005 no_active_sql_transaction_for_branch_transaction,
    25006 read_only_sql_transaction, 25007 schema_and_data_statement_mixing_not_supported, 25P01 no_active_sql_transaction,
    25P02 in_failed_sql_transaction, 25P03 idle_in_transaction_session_timeout, 25P04 transaction_timeout,
    40000 transaction_rollback, 40002 transaction_integrity_constraint_violation, 40001 serialization_failure,
    40003 statement_completion_unknown, 40P01 deadlock_detected,
    42000 syntax_error_or_access_rule_violation, 42601 syntax_error, 42501 insufficient_privilege, 42846 cannot_coerce,
    42803 grouping_error, 42P20 windowing_error, 42P19 invalid_recursion, 42830 invalid_foreign_key, 42602 invalid_name,
    42622 name_too_long, 42939 reserved_name, 42804 datatype_mismatch, 42P18 indeterminate_datatype, 42P21 collation_mismatch,
    42P22 indeterminate_collation, 42809 wrong_object_type, 428C9 generated_always, 42703 undefined_column,
    42883 undefined_function, 42P01 undefined_table, 42P02 undefined_parameter, 42704 undefined_object, 42701 duplicate_column,
    42P03 duplicate_cursor, 42P04 duplicate_database, 42723 duplicate_function, 42P05 duplicate_prepared_statement,
    42P06 duplicate_schema, 42P07 duplicate_table, 42712 duplicate_alias, 42710 duplicate_object, 42702 ambiguous_column,
    42725 ambiguous_function, 42P08 ambiguous_parameter, 42P09 ambiguous_alias, 42P10 invalid_column_reference,
    42611 invalid_column_definition, 42P11 invalid_cursor_definition, 42P12 invalid_database_definition,
    42P13 invalid_function_definition, 42P14 invalid_prepared_statement_definition, 42P15 invalid_schema_definition,
    42P16 invalid_table_definition, 42P17 invalid_object_definition,
    55000 object_not_in_prerequisite_state, 55006 object_in_use, 55P02 cant_change_runtime_param, 55P03 lock_not_available,
    55P04 unsafe_new_enum_value_usage,
    57000 operator_intervention, 57014 query_canceled, 57P01 admin_shutdown, 57P02 crash_shutdown, 57P03 cannot_connect_now,
    57P04 database_dropped, 57P05 idle_session_timeout,
  `
    .split(',')
    .map(condition => condition.trim().split(' '))
    .filter(([state]) => state !== '') as [state: string, name: string][]

  /** Conditions that have the name of one which SQLite or duolect itself knows. */
  const SHARED: Readonly<Record<string, ErrorCode>> = {
    '42P02': 'invalid_parameter',
    '25006': 'read_only',
    '40003': 'commit_unknown',
    '23001': 'foreign_key_violation'
  }

  for (const [state, name] of CONDITIONS) {
    const code = SHARED[state] ?? name
    test(`${state} is ${code}`, () => assert.equal(postgresError(serverError(state, 'text')).code, code))
  }

  /** Of other classes, by the table's own key: a state that falls under it, and the code. */
  const PINNED: readonly (readonly [key: string, state: string, code: ErrorCode])[] = [
    ['08000', '08000', 'connection_exception'],
    ['08001', '08001', 'sqlclient_unable_to_establish_sqlconnection'],
    ['08003', '08003', 'connection_does_not_exist'],
    ['08004', '08004', 'sqlserver_rejected_establishment_of_sqlconnection'],
    ['08006', '08006', 'connection_exception'],
    ['08007', '08007', 'transaction_resolution_unknown'],
    ['08P01', '08P01', 'protocol_violation'],
    ['09', '09000', 'triggered_action_exception'],
    ['0A', '0A000', 'feature_not_supported'],
    ['0B', '0B000', 'invalid_transaction_initiation'],
    ['0L000', '0L000', 'invalid_grantor'],
    ['0LP01', '0LP01', 'invalid_grant_operation'],
    ['0P', '0P000', 'invalid_role_specification'],
    ['20', '20000', 'case_not_found'],
    ['22', '22999', 'data_exception'],
    ['24', '24000', 'invalid_cursor_state'],
    ['26', '26000', 'undefined_object'],
    ['27', '27000', 'triggered_data_change_violation'],
    ['28', '28000', 'invalid_authorization'],
    ['2B', '2B000', 'dependent_objects_still_exist'],
    ['2D', '2D000', 'invalid_transaction_termination'],
    ['2F', '2F000', 'sql_routine_exception'],
    ['34', '34000', 'invalid_cursor_name'],
    ['38', '38000', 'external_routine_exception'],
    ['39', '39000', 'external_routine_exception'],
    ['3B', '3B000', 'undefined_object'],
    ['3D', '3D000', 'undefined_database'],
    ['3F', '3F000', 'undefined_object'],
    ['44', '44000', 'with_check_option_violation'],
    ['53', '53000', 'insufficient_resources'],
    ['53100', '53100', 'disk_full'],
    ['53200', '53200', 'out_of_memory'],
    ['53300', '53300', 'too_many_connections'],
    ['53400', '53400', 'configuration_limit_exceeded'],
    ['54', '54000', 'program_limit_exceeded'],
    ['58', '58000', 'io_error'],
    ['72', '72000', 'snapshot_too_old'],
    ['F0', 'F0000', 'config_file_error'],
    ['HV', 'HV000', 'fdw_error'],
    ['P0000', 'P0000', 'plpgsql_error'],
    ['P0001', 'P0001', 'raise_exception'],
    ['P0002', 'P0002', 'no_data_found'],
    ['P0003', 'P0003', 'too_many_rows'],
    ['P0004', 'P0004', 'assert_failure'],
    ['XX000', 'XX000', 'internal_error'],
    ['XX001', 'XX001', 'data_corrupted'],
    ['XX002', 'XX002', 'data_corrupted']
  ]

  test('each row of the table is pinned here', () => {
    const pinned = [...PINNED.map(([key]) => key), ...CONDITIONS.map(([state]) => state)]
    assert.deepEqual(Object.keys(POSTGRES_CODES).sort(), pinned.sort())
  })

  /** An error as `pg` makes it of what a server sends. */
  function serverError(state: string, message: string, fields: Partial<pg.DatabaseError> = {}): pg.DatabaseError {
    return Object.assign(new pg.DatabaseError(message, message.length, 'error'), { severity: 'ERROR', code: state, ...fields })
  }

  for (const [key, state, code] of PINNED) {
    test(`${state}, by ${key}, is ${code}`, () => {
      const error = postgresError(serverError(state, 'what Postgres says'))
      assert.equal(error.code, code)
      assert.match(error.message, /what Postgres says/)
      assert.equal((error.cause as { code?: string }).code, state)
    })
  }

  test('a state that is not in the table is unclassified', () => {
    assert.equal(postgresError(serverError('ZZ999', 'text')).code, 'unclassified')
  })

  test('what is no error of the server is connection_failure, with it as the cause', () => {
    const cause = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
    const error = postgresError(cause)
    assert.equal(error.code, 'connection_failure')
    assert.match(error.message, /ECONNRESET/)
    assert.equal(error.cause, cause)
  })

  test('a DatabaseError passes as it is', () => {
    const error = new DatabaseError('closed', 'text')
    assert.equal(postgresError(error), error)
  })

  for (const message of [
    `invalid input syntax for type integer: "${CANARY}"`,
    `ungültige Eingabesyntax für Typ integer: »${CANARY}«`,
    `syntaxe en entrée invalide pour le type integer : « ${CANARY} »`,
    `неверный синтаксис для типа integer: "${CANARY}"`,
    `integer型の入力構文が不正です: "${CANARY}"`,
    `类型 integer 的输入语法无效: “${CANARY}”`
  ]) {
    test(`the value in "${message.replace(CANARY, '…')}" is not shown`, () => {
      const error = postgresError(
        serverError('22P02', message, { detail: `Token "${CANARY}" is invalid.`, where: `unnamed portal parameter $1 = '${CANARY}'` })
      )
      assert.ok(!printed(error).includes(CANARY), printed(error))
    })
  }

  test('the detail of the server is kept but does not show', () => {
    const detail = `Key (name)=(${CANARY}) already exists.`
    const error = postgresError(serverError('23505', 'duplicate key value', { detail, table: 'parents', constraint: 'parents_name_key' }))
    assert.equal(error.serverDetail, detail)
    assert.deepEqual(subjectOf(error), { constraint: 'parents_name_key', table: 'parents', column: 'name' })
    assert.ok(!printed(error).includes(CANARY), printed(error))
  })

  test('a message says what to do where that is known', () => {
    assert.match(postgresError(serverError('26000', 'prepared statement "a" does not exist')).message, /postgres\.pooler/)
    assert.match(postgresError(serverError('53300', 'too many connections')).message, /postgres\.maxConnections/)
    assert.match(postgresError(serverError('42883', 'no function', { hint: 'Cast it.' })).message, /no function\. Cast it\./)
    assert.match(postgresError(serverError('42601', 'syntax error', { position: '8' })).message, /at character 8/)
  })
})

onEachDatabase('SQLSTATEs that a server raises', database => {
  if (database.dialect === 'sqlite') {
    test('SQLite has none: an error of its own keeps its result code in the cause', async () => {
      const db = await database.open()
      const { cause } = await errorOf(db.all('SELECT * FROM missing'))
      assert.equal((cause as { code?: string }).code, 'SQLITE_ERROR')
    })
    return
  }
  for (const [state, code] of [
    ['53100', 'disk_full'],
    ['53200', 'out_of_memory'],
    ['53300', 'too_many_connections'],
    ['58030', 'io_error'],
    ['XX001', 'data_corrupted'],
    ['XX002', 'data_corrupted'],
    ['0A000', 'feature_not_supported'],
    ['P0001', 'raise_exception'],
    ['P0002', 'no_data_found'],
    ['P0003', 'too_many_rows'],
    ['40001', 'serialization_failure'],
    ['40003', 'commit_unknown'],
    ['42P18', 'indeterminate_datatype'],
    ['22000', 'data_exception'],
    ['ZZ999', 'unclassified']
  ] as const) {
    test(`${state} is ${code}, and the database can be used afterwards`, async () => {
      const db = await database.open()
      await assert.rejects(db.exec(`DO $$ BEGIN RAISE EXCEPTION 'raised' USING ERRCODE = '${state}'; END $$`), failsWith(code, /raised/))
      assert.deepEqual(await db.all('SELECT 1 AS a'), [{ a: 1 }])
    })
  }
})

// The class ------------------------------------------------------------------------------------------------------

/** Each code, so that the compiler misses none. */
const IS_RETRYABLE: Readonly<Record<ErrorCode, boolean>> = {
  unique_violation: false,
  foreign_key_violation: false,
  not_null_violation: false,
  check_violation: false,
  exclusion_violation: false,
  syntax_error: false,
  undefined_table: false,
  undefined_column: false,
  undefined_function: false,
  undefined_object: false,
  ambiguous_column: false,
  duplicate_table: false,
  duplicate_column: false,
  duplicate_object: false,
  invalid_column_reference: false,
  grouping_error: false,
  datatype_mismatch: false,
  numeric_value_out_of_range: false,
  division_by_zero: false,
  invalid_text_representation: false,
  data_exception: false,
  program_limit_exceeded: false,
  feature_not_supported: false,
  raise_exception: false,
  no_data_found: false,
  too_many_rows: false,
  invalid_configuration: false,
  invalid_parameter: false,
  invalid_path: false,
  invalid_value: false,
  wrong_handle: false,
  migration_mismatch: false,
  closed: false,
  active_sql_transaction: false,
  no_active_sql_transaction: false,
  in_failed_sql_transaction: false,
  idle_in_transaction_session_timeout: false,
  invalid_transaction_termination: false,
  commit_unknown: false,
  lock_not_available: true,
  serialization_failure: true,
  deadlock_detected: true,
  query_canceled: false,
  connection_failure: false,
  too_many_connections: false,
  invalid_authorization: false,
  insufficient_privilege: false,
  undefined_database: false,
  missing_driver: false,
  disk_full: false,
  out_of_memory: false,
  io_error: false,
  read_only: false,
  data_corrupted: false,
  cardinality_violation: false,
  array_subscript_error: false,
  character_not_in_repertoire: false,
  datetime_field_overflow: false,
  error_in_assignment: false,
  escape_character_conflict: false,
  indicator_overflow: false,
  interval_field_overflow: false,
  invalid_argument_for_logarithm: false,
  invalid_argument_for_ntile_function: false,
  invalid_argument_for_nth_value_function: false,
  invalid_argument_for_power_function: false,
  invalid_argument_for_width_bucket_function: false,
  invalid_character_value_for_cast: false,
  invalid_datetime_format: false,
  invalid_escape_character: false,
  invalid_escape_octet: false,
  invalid_escape_sequence: false,
  nonstandard_use_of_escape_character: false,
  invalid_indicator_parameter_value: false,
  invalid_parameter_value: false,
  invalid_preceding_or_following_size: false,
  invalid_regular_expression: false,
  invalid_row_count_in_limit_clause: false,
  invalid_row_count_in_result_offset_clause: false,
  invalid_tablesample_argument: false,
  invalid_tablesample_repeat: false,
  invalid_time_zone_displacement_value: false,
  invalid_use_of_escape_character: false,
  most_specific_type_mismatch: false,
  null_value_not_allowed: false,
  null_value_no_indicator_parameter: false,
  sequence_generator_limit_exceeded: false,
  string_data_length_mismatch: false,
  string_data_right_truncation: false,
  substring_error: false,
  trim_error: false,
  unterminated_c_string: false,
  zero_length_character_string: false,
  floating_point_exception: false,
  invalid_binary_representation: false,
  bad_copy_file_format: false,
  untranslatable_character: false,
  not_an_xml_document: false,
  invalid_xml_document: false,
  invalid_xml_content: false,
  invalid_xml_comment: false,
  invalid_xml_processing_instruction: false,
  duplicate_json_object_key_value: false,
  invalid_argument_for_sql_json_datetime_function: false,
  invalid_json_text: false,
  invalid_sql_json_subscript: false,
  more_than_one_sql_json_item: false,
  no_sql_json_item: false,
  non_numeric_sql_json_item: false,
  non_unique_keys_in_a_json_object: false,
  singleton_sql_json_item_required: false,
  sql_json_array_not_found: false,
  sql_json_member_not_found: false,
  sql_json_number_not_found: false,
  sql_json_object_not_found: false,
  too_many_json_array_elements: false,
  too_many_json_object_members: false,
  sql_json_scalar_required: false,
  sql_json_item_cannot_be_cast_to_target_type: false,
  integrity_constraint_violation: false,
  invalid_transaction_state: false,
  branch_transaction_already_active: false,
  held_cursor_requires_same_isolation_level: false,
  inappropriate_access_mode_for_branch_transaction: false,
  inappropriate_isolation_level_for_branch_transaction: false,
  no_active_sql_transaction_for_branch_transaction: false,
  schema_and_data_statement_mixing_not_supported: false,
  transaction_timeout: false,
  transaction_rollback: false,
  transaction_integrity_constraint_violation: false,
  syntax_error_or_access_rule_violation: false,
  cannot_coerce: false,
  windowing_error: false,
  invalid_recursion: false,
  invalid_foreign_key: false,
  invalid_name: false,
  name_too_long: false,
  reserved_name: false,
  indeterminate_datatype: false,
  collation_mismatch: false,
  indeterminate_collation: false,
  wrong_object_type: false,
  generated_always: false,
  duplicate_cursor: false,
  duplicate_database: false,
  duplicate_function: false,
  duplicate_prepared_statement: false,
  duplicate_schema: false,
  duplicate_alias: false,
  ambiguous_function: false,
  ambiguous_parameter: false,
  ambiguous_alias: false,
  invalid_column_definition: false,
  invalid_cursor_definition: false,
  invalid_database_definition: false,
  invalid_function_definition: false,
  invalid_prepared_statement_definition: false,
  invalid_schema_definition: false,
  invalid_table_definition: false,
  invalid_object_definition: false,
  object_not_in_prerequisite_state: false,
  object_in_use: false,
  cant_change_runtime_param: false,
  unsafe_new_enum_value_usage: false,
  operator_intervention: false,
  admin_shutdown: false,
  crash_shutdown: false,
  cannot_connect_now: false,
  database_dropped: false,
  idle_session_timeout: false,
  connection_exception: false,
  connection_does_not_exist: false,
  sqlclient_unable_to_establish_sqlconnection: false,
  sqlserver_rejected_establishment_of_sqlconnection: false,
  transaction_resolution_unknown: false,
  protocol_violation: false,
  triggered_action_exception: false,
  invalid_transaction_initiation: false,
  invalid_grantor: false,
  invalid_grant_operation: false,
  invalid_role_specification: false,
  case_not_found: false,
  invalid_cursor_state: false,
  triggered_data_change_violation: false,
  dependent_objects_still_exist: false,
  sql_routine_exception: false,
  invalid_cursor_name: false,
  external_routine_exception: false,
  with_check_option_violation: false,
  insufficient_resources: false,
  configuration_limit_exceeded: false,
  plpgsql_error: false,
  assert_failure: false,
  internal_error: false,
  snapshot_too_old: false,
  config_file_error: false,
  fdw_error: false,
  unclassified: false
}

describe('DatabaseError', () => {
  for (const [code, isRetryable] of Object.entries(IS_RETRYABLE) as [ErrorCode, boolean][]) {
    test(`${code} is ${isRetryable ? '' : 'not '}to be tried again unless told otherwise`, () => {
      assert.equal(new DatabaseError(code, 'text').isRetryable, isRetryable)
      assert.equal(new DatabaseError(code, 'text', { isRetryable: !isRetryable }).isRetryable, !isRetryable)
    })
  }

  test('is an Error with a name, a message and a code', () => {
    const error = new DatabaseError('closed', 'text')
    assert.ok(error instanceof Error)
    assert.equal(String(error), 'DatabaseError: text')
    assert.equal(error.code, 'closed')
  })

  test('has the cause that it is given, and else none', () => {
    const cause = new Error('native')
    assert.equal(new DatabaseError('closed', 'text', { cause }).cause, cause)
    assert.ok(!('cause' in new DatabaseError('closed', 'text')))
  })

  test('the statement, its parameters and the detail of the server are there but no properties of its own', () => {
    const details = { sql: `SELECT '${CANARY}'`, parameters: [CANARY], serverDetail: `Key (a)=(${CANARY})` }
    const error = new DatabaseError('unique_violation', 'text', { ...details, constraint: 'c', table: 't', column: 'a' })
    assert.deepEqual({ sql: error.sql, parameters: error.parameters, serverDetail: error.serverDetail }, details)
    assert.deepEqual({ ...error }, { code: 'unique_violation', isRetryable: false, constraint: 'c', table: 't', column: 'a' })
    assert.ok(!printed(error).includes(CANARY), printed(error))
  })

  test('has no property for what is not known', () => {
    assert.deepEqual(Object.keys(new DatabaseError('closed', 'text', { constraint: undefined, table: undefined })), ['code', 'isRetryable'])
  })

  test('in JSON it has its code and what it tells, and nothing of the statement', () => {
    const error = new DatabaseError('check_violation', 'text', { constraint: 'c', sql: 'SELECT 1', parameters: [1] })
    assert.deepEqual(JSON.parse(JSON.stringify(error)), { code: 'check_violation', isRetryable: false, constraint: 'c' })
  })
})

onEachDatabase('The statement of an error', database => {
  test('is the text with its values, also of a template', async () => {
    const db = await database.open()
    const error = await errorOf(db.all(sql`SELECT * FROM missing WHERE a = ${CANARY}`))
    assert.match(error.sql ?? '', /^SELECT \* FROM missing WHERE a = (\?|\$1)$/)
    assert.deepEqual(error.parameters, [CANARY])
    assert.ok(!printed(error).includes(CANARY))
  })

  test('is the script of exec(), which may hold data', async () => {
    const db = await database.open()
    const script = `INSERT INTO users (id) VALUES ('${CANARY}'); DELETE FROM missing`
    const error = await errorOf(db.exec(script))
    assert.equal(error.sql, script)
    assert.ok(!printed(error).includes(CANARY), printed(error))
  })

  test('is that of iterate(), with its values', async () => {
    const db = await database.open()
    const rows = db.iterate('SELECT * FROM missing WHERE a = $1', [CANARY])[Symbol.asyncIterator]()
    const error = await errorOf(rows.next())
    assert.match(error.sql ?? '', /FROM missing/)
    assert.deepEqual(error.parameters, [CANARY])
    assert.ok(!printed(error).includes(CANARY))
  })

  test('does not show what the store was given', async () => {
    const db = await database.open()
    await db.exec('ALTER TABLE kvs RENAME TO old_kvs')
    const error = await errorOf(db.kvs.set(CANARY, { [CANARY]: CANARY }))
    assert.ok(!printed(error).includes(CANARY), printed(error))
  })

  test('does not show what saveUser() was given', async () => {
    const db = await database.open()
    await db.exec('ALTER TABLE users RENAME TO old_users')
    const error = await errorOf(db.saveUser({ id: CANARY, platform: 'slack', first_name: CANARY }))
    assert.ok(!printed(error).includes(CANARY), printed(error))
  })
})
