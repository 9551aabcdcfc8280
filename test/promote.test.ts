import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import Database from 'better-sqlite3'
import { createDatabase } from '../src/index.ts'
import { AWKWARD } from './support/awkward.ts'
import { finished } from './support/processes.ts'
import { differences, inFile, promote, unseal, workshop } from './support/promotion.ts'

const { file, target, query } = workshop()

const root = join(import.meta.dirname, '..')

function runScript(script: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<{ status: number | null; output: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', join(root, script), ...args], { cwd: root, env: { ...process.env, ...env } })
  return finished(child)
}

async function npmStart(env: NodeJS.ProcessEnv): Promise<string> {
  const { status, output } = await runScript('scripts/quickstart.ts', [], env)
  assert.equal(status, 0, output)
  return output
}

function duolect(args: readonly string[], env: NodeJS.ProcessEnv): Promise<{ status: number | null; output: string }> {
  return runScript('src/tools/cli.ts', args, env)
}

/** Tables of the file with an id of their own, and the id that SQLite gives next. */
function nextIds(path: string): Map<string, bigint> {
  const database = new Database(path)
  const tables = database
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%INTEGER PRIMARY KEY%' AND sql NOT LIKE '%KEY DESC%'")
    .pluck()
    .all() as string[]
  const ids = new Map<string, bigint>()
  database.exec('BEGIN')
  database.pragma('foreign_keys = OFF')
  for (const table of tables) {
    database.pragma('ignore_check_constraints = ON')
    ids.set(table, BigInt(database.prepare(`INSERT INTO "${table}" DEFAULT VALUES`).run().lastInsertRowid))
  }
  database.exec('ROLLBACK')
  database.close()
  return ids
}

/** Servers before 12 have no generated columns, so those are given up there. */
async function withoutGenerated(url: string): Promise<string[]> {
  const [[version] = []] = await query(url, 'SHOW server_version_num')
  return Number(version) >= 120_000 ? [] : ['s', 'v', 'l'].flatMap(column => ['--without', `generated.${column}`])
}

describe('A file of awkward tables', () => {
  test('moves with every cell as duolect read it, and running it again copies nothing', async () => {
    const path = file('PRAGMA foreign_keys = OFF', ...AWKWARD)
    const url = await target()
    const options = ['--keep-open', ...(await withoutGenerated(url))]
    const first = await promote(path, url, ...options)
    assert.equal(first.status, 0, first.output)
    assert.deepEqual(await differences(path, url), [])
    const again = await promote(path, url, ...options)
    assert.equal(again.status, 0, again.output)
    assert.match(again.output, /\b0 ranges were copied/)
  })

  test("takes a table called like promote's own for what it is", async () => {
    const path = file(
      "CREATE TABLE duolect_promotion (statement TEXT); INSERT INTO duolect_promotion VALUES ('DROP TABLE kept')",
      'CREATE TABLE kept (v INTEGER)'
    )
    const url = await target()
    const { status, output } = await promote(path, url)
    assert.equal(status, 0, output)
    assert.deepEqual(await differences(path, url), [])
  })

  test('keeps the sign of a zero in a column without a type', async () => {
    const path = file('CREATE TABLE t (v); INSERT INTO t VALUES (-1e-200 * 1e-200), (1.5)')
    const url = await target()
    await promote(path, url)
    assert.deepEqual(await query(url, 'SELECT v::TEXT FROM t ORDER BY v'), [['-0'], ['1.5']])
  })

  test('gives the ids that SQLite would have given', async () => {
    const path = file('PRAGMA foreign_keys = OFF', ...AWKWARD)
    const url = await target()
    const expected = nextIds(path)
    assert.ok(expected.size > 10)
    assert.equal((await promote(path, url, ...(await withoutGenerated(url)))).status, 0)
    for (const [table, id] of expected) {
      const name = table === 'MixedCase' ? 'mixedcase' : table
      const column = table === 'Quoted Table' ? '"Id"' : /^c{63}$/m.test(table) ? table : 'id'
      const [[sequence] = []] = await query(
        url,
        `SELECT pg_get_serial_sequence('"${name}"', (SELECT attname FROM pg_attribute WHERE attrelid = '"${name}"'::regclass AND attidentity <> ''))`
      )
      const [[next] = []] = await query(url, `SELECT nextval('${sequence}')`)
      assert.equal(String(next), String(id), `${table}.${column}`)
    }
  })
})

describe('Keys and indexes', () => {
  test('come along: partial, of expressions, without case, with their directions', async () => {
    const path = file(
      `CREATE TABLE notes (id INTEGER PRIMARY KEY, author TEXT, done BOOLEAN, n INTEGER, UNIQUE (author, n));
       CREATE INDEX open_notes ON notes (n DESC) WHERE done = 0;
       CREATE UNIQUE INDEX by_author ON notes (author COLLATE NOCASE);
       CREATE INDEX on_half ON notes (n / 2)`
    )
    const url = await target()
    assert.equal((await promote(path, url)).status, 0)
    const found = await query(
      url,
      "SELECT regexp_replace(indexdef, '^.* ON [^.]*\\.', '') FROM pg_indexes WHERE tablename = 'notes' AND schemaname = current_schema() ORDER BY 1"
    )
    assert.deepEqual(found.flat(), [
      'notes USING btree (((n / 2)))',
      'notes USING btree (author, n)',
      'notes USING btree (id)',
      'notes USING btree (lower((author COLLATE "C")))',
      'notes USING btree (n DESC) WHERE (done = false)'
    ])
  })

  test('come again when one is missing on a later run', async () => {
    const path = file(
      'CREATE TABLE parents (id INTEGER PRIMARY KEY); CREATE TABLE notes (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents); CREATE INDEX by_parent ON notes (parent)'
    )
    const url = await target()
    await promote(path, url, '--keep-open')
    await query(
      url,
      'ALTER TABLE notes DROP CONSTRAINT notes_parent_fkey; DROP INDEX by_parent; ALTER TABLE notes DROP CONSTRAINT notes_pkey'
    )
    assert.equal((await promote(path, url, '--keep-open')).status, 0)
    const found = await query(
      url,
      "SELECT conname FROM pg_constraint WHERE conrelid = 'notes'::regclass AND contype <> 'n' UNION ALL SELECT indexname FROM pg_indexes WHERE tablename = 'notes' AND schemaname = current_schema() ORDER BY 1"
    )
    assert.deepEqual(found.flat(), ['by_parent', 'notes_parent_fkey', 'notes_pkey', 'notes_pkey'])
  })

  test('a foreign key that rows break is made for new rows alone, with a note', async () => {
    const path = file(
      'PRAGMA foreign_keys = OFF; CREATE TABLE parents (id INTEGER PRIMARY KEY); CREATE TABLE notes (parent INTEGER REFERENCES parents); INSERT INTO notes VALUES (9)'
    )
    const url = await target()
    const { status, output } = await promote(path, url)
    assert.equal(status, 0)
    assert.match(output, /rows of notes refer to rows that do not exist/)
    await assert.rejects(query(url, 'INSERT INTO notes VALUES (8)'), { code: '23503' })
  })
})

describe('Running it again', () => {
  function rows(count: number): string {
    return `CREATE TABLE notes (id INTEGER PRIMARY KEY, author TEXT, n INTEGER); CREATE INDEX by_n ON notes (n);
      INSERT INTO notes SELECT value, 'author ' || value, value % 10 FROM generate_series(1, ${count});
      CREATE TABLE marks (author TEXT, n INTEGER); INSERT INTO marks SELECT 'author ' || (value % 5), value FROM generate_series(1, ${count})`
  }

  /** better-sqlite3 has no generate_series. */
  function series(script: string): string {
    return script.replace(
      /FROM generate_series\(1, (\d+)\)/g,
      (_, n) => `FROM (WITH RECURSIVE s (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < ${n}) SELECT value FROM s)`
    )
  }

  test('copies only the ranges of changed rows', async () => {
    const path = file(series(rows(20_000)))
    const url = await target()
    await promote(path, url, '--keep-open')
    inFile(path, "UPDATE notes SET author = author || '!' WHERE id BETWEEN 5000 AND 5009")
    inFile(path, 'DELETE FROM notes WHERE id = 1')
    inFile(path, "INSERT INTO marks VALUES ('new', 1)")
    const { status, output } = await promote(path, url, '--keep-open')
    assert.equal(status, 0, output)
    const [, ranges] = /notes: .* copied in (\d+) of/.exec(output) ?? []
    // The old and the new version of ten rows, and the deleted row.
    assert.ok(Number(ranges) <= 21, output)
    assert.match(output, /marks: .* copied in 1 of/)
    assert.deepEqual(await differences(path, url), [])
  })

  test('copies them whatever the table and its columns are called', async () => {
    const path = file(
      'CREATE TABLE wanted (duolect_range INTEGER, checksum INTEGER, id INTEGER); INSERT INTO wanted VALUES (1, 2, 3), (4, 5, 6)'
    )
    const url = await target()
    await promote(path, url, '--keep-open')
    inFile(path, 'UPDATE wanted SET id = 7 WHERE id = 3')
    const { status, output } = await promote(path, url)
    assert.equal(status, 0, output)
    assert.deepEqual(await differences(path, url), [])
  })

  test('leaves the rows of other ranges as they are', async () => {
    const path = file(series(rows(20_000)))
    const url = await target()
    await promote(path, url, '--keep-open')
    const before = new Map((await query(url, 'SELECT id, ctid FROM notes')) as [string, string][])
    inFile(path, 'UPDATE notes SET n = 77 WHERE id = 7')
    await promote(path, url, '--keep-open')
    const moved = ((await query(url, 'SELECT id, ctid FROM notes')) as [string, string][]).filter(([id, place]) => before.get(id) !== place)
    assert.ok(moved.length > 0 && moved.length < 300, `${moved.length} rows were written`)
  })

  test('puts back what was changed on Postgres, also where deleting a row would delete others', async () => {
    const path = file(
      'CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE notes (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents ON DELETE CASCADE)',
      "INSERT INTO parents VALUES (1, 'a'), (2, 'b'); INSERT INTO notes VALUES (1, 1), (2, 2)"
    )
    const url = await target()
    await promote(path, url, '--keep-open')
    await query(url, "UPDATE parents SET name = 'changed'; INSERT INTO notes (parent) VALUES (1)")
    const { status, output } = await promote(path, url, '--keep-open')
    assert.equal(status, 0, output)
    assert.deepEqual(await differences(path, url), [])
    assert.deepEqual(
      await query(url, "SELECT convalidated FROM pg_constraint WHERE conname = 'notes_parent_fkey' AND conrelid = 'notes'::regclass"),
      [[true]]
    )
  })
})

describe('The seal', () => {
  const notes = "CREATE TABLE notes (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO notes VALUES (1, 'a')"

  for (const [what, sql] of [
    ['an INSERT', "INSERT INTO notes VALUES (2, 'b')"],
    ['an INSERT OR IGNORE', "INSERT OR IGNORE INTO notes VALUES (2, 'b')"],
    ['an INSERT OR REPLACE', "INSERT OR REPLACE INTO notes VALUES (1, 'b')"],
    ['an upsert', "INSERT INTO notes VALUES (1, 'b') ON CONFLICT (id) DO UPDATE SET v = 'c'"],
    ['an UPDATE', "UPDATE notes SET v = 'b'"],
    ['a DELETE of all rows', 'DELETE FROM notes']
  ] as const) {
    test(`refuses ${what}, also of a program without duolect`, async () => {
      const path = file(notes)
      await promote(path, await target())
      assert.throws(() => inFile(path, sql), /moved to Postgres on \d{4}-/)
    })
  }

  test('refuses the writes of duolect with its message, and lets it read', async () => {
    const path = file(notes)
    const database = createDatabase({ postgres: { enabled: false }, sqlite: { location: path } })
    await database.kvs.set('a', 1)
    await promote(path, await target())
    await assert.rejects(database.kvs.set('a', 2), { code: 'raise_exception', message: /moved to Postgres on/ })
    assert.equal(await database.kvs.get('a'), 1)
    await database.close()
  })

  test('is taken off by unseal', async () => {
    const path = file(notes)
    await promote(path, await target())
    const { status, output } = await unseal(path)
    assert.equal(status, 0, output)
    inFile(path, "INSERT INTO notes VALUES (2, 'b')")
    assert.match((await unseal(path)).output, /was open/)
  })

  test('has a later run compare, say so, and copy nothing', async () => {
    const path = file(notes)
    const url = await target()
    await promote(path, url)
    const { status, output } = await promote(path, url)
    assert.equal(status, 0)
    assert.match(output, /moved already/)
    assert.match(output, /\b0 ranges/)
  })

  test('keeps what was written on Postgres since then', async () => {
    const path = file(notes)
    const url = await target()
    await promote(path, url)
    await query(url, "INSERT INTO notes (v) VALUES ('on Postgres')")
    const { status, output } = await promote(path, url)
    assert.equal(status, 1)
    assert.match(output, /other rows now in: notes/)
    assert.deepEqual(await query(url, 'SELECT count(*)::int FROM notes'), [[2]])
  })
})

/** Tables on Postgres that refuse the second row of a table in a file, and the table in the file. */
const REFUSING: readonly (readonly [what: string, onPostgres: string, script: string, says: RegExp])[] = [
  [
    'a CHECK',
    'CREATE TABLE t (v INTEGER CHECK (v < 10))',
    'CREATE TABLE t (v INTEGER); INSERT INTO t VALUES (1), (12)',
    /check constraint.* rowid 2/
  ],
  [
    'a unique index of an expression',
    'CREATE TABLE t (v TEXT); CREATE UNIQUE INDEX ON t (lower(v))',
    "CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('a'), ('A')",
    /duplicate key.* rowid 2/
  ],
  [
    'a unique index with a condition',
    'CREATE TABLE t (v INTEGER); CREATE UNIQUE INDEX ON t (v) WHERE v > 0',
    'CREATE TABLE t (v INTEGER); INSERT INTO t VALUES (1), (1)',
    /duplicate key.* rowid 2/
  ],
  [
    'an exclusion constraint',
    'CREATE TABLE t (v INTEGER, EXCLUDE USING btree (v WITH =))',
    'CREATE TABLE t (v INTEGER); INSERT INTO t VALUES (1), (1)',
    /exclusion constraint.* rowid 2/
  ],
  [
    'an index of an expression that takes no large entries',
    'CREATE TABLE t (v TEXT); CREATE INDEX ON t (upper(v))',
    "CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('a'), (hex(randomblob(3000)))",
    /index row.* rowid 2/
  ],
  [
    'a sequence that ends before the next id',
    'CREATE TABLE t (id SERIAL PRIMARY KEY)',
    'CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO t VALUES (3000000000); DELETE FROM t',
    /t\.id: gives the id 3000000001 next/
  ]
]

describe('Tables that are there', () => {
  for (const [what, onPostgres, script, says] of REFUSING) {
    test(`are left empty, as all others, where one has ${what} that refuses a row`, async () => {
      const path = file('CREATE TABLE other (v INTEGER); INSERT INTO other VALUES (1)', script)
      const url = await target()
      await query(url, onPostgres)
      const { status, output } = await promote(path, url)
      assert.equal(status, 1, output)
      assert.match(output, says)
      assert.deepEqual(await query(url, "SELECT to_regclass('other')"), [[null]])
      assert.deepEqual(await query(url, 'SELECT count(*)::INT FROM t'), [[0]])
    })
  }

  test('are left as they are, as all others, where the right to fill one is missing', async () => {
    const path = file('CREATE TABLE other (v INTEGER); INSERT INTO other VALUES (1); CREATE TABLE t (v INTEGER); INSERT INTO t VALUES (1)')
    const url = await target()
    const role = `promote_${process.pid}`
    const [[schema] = []] = await query(url, 'SELECT current_schema()')
    await query(
      url,
      `CREATE ROLE ${role}; CREATE TABLE t (v BIGINT); GRANT ALL ON SCHEMA ${schema} TO ${role}; GRANT SELECT ON t TO ${role}`
    )
    try {
      const { status, output } = await promote(path, `${url}%20-c%20role%3D${role}`)
      assert.equal(status, 1)
      assert.match(output, /t: is refused by Postgres: permission denied/)
      assert.deepEqual(await query(url, "SELECT to_regclass('other')"), [[null]])
    } finally {
      await query(url, `DROP OWNED BY ${role}; DROP ROLE ${role}`)
    }
  })

  test('get a CHECK that the file got after a rehearsal', async () => {
    const path = file('CREATE TABLE t (v INTEGER); INSERT INTO t VALUES (1)')
    const url = await target()
    await promote(path, url, '--keep-open')
    inFile(path, 'ALTER TABLE t RENAME TO old')
    inFile(path, 'CREATE TABLE t (v INTEGER CHECK (v > 0))')
    inFile(path, 'INSERT INTO t SELECT v FROM old')
    inFile(path, 'DROP TABLE old')
    const { status, output } = await promote(path, url)
    assert.equal(status, 0, output)
    await assert.rejects(query(url, 'INSERT INTO t VALUES (-1)'), /violates check constraint/)
  })

  test('take times in every form where they hold whole seconds', async () => {
    const path = file("CREATE TABLE t (v TIMESTAMP); INSERT INTO t VALUES (0), ('2024-01-01 00:00:00'), ('2024-01-01T00:00:01.000Z')")
    const url = await target()
    await query(url, 'CREATE TABLE t (v TIMESTAMPTZ(0))')
    const { status, output } = await promote(path, url)
    assert.equal(status, 0, output)
    assert.deepEqual(await differences(path, url), [])
  })

  test('are filled as migrations made them: smaller types, other columns, foreign keys, triggers', async () => {
    const path = file(
      'CREATE TABLE parents (id INTEGER PRIMARY KEY AUTOINCREMENT, price TEXT, at TIMESTAMP); CREATE TABLE notes (id INTEGER PRIMARY KEY, parent INTEGER, kind TEXT, data TEXT)',
      "INSERT INTO parents VALUES (5, '1.50', '2024-01-01T00:00:00.000Z'); INSERT INTO notes VALUES (1, 5, 'in', '{\"a\": 1}')"
    )
    const url = await target()
    await query(
      url,
      `CREATE TABLE parents (id INTEGER GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, price NUMERIC(8, 2), at TIMESTAMP(3));
       CREATE TYPE kind AS ENUM ('in', 'out');
       CREATE TABLE notes (id SMALLINT PRIMARY KEY, parent INTEGER REFERENCES parents ON DELETE CASCADE, kind kind, data JSONB, made TIMESTAMPTZ DEFAULT now());
       CREATE TABLE log (n INTEGER);
       CREATE FUNCTION log_it() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (1); NEW.kind := ''out''; RETURN NEW; END';
       CREATE TRIGGER logging BEFORE INSERT ON notes FOR EACH ROW EXECUTE PROCEDURE log_it()`
    )
    const { status, output } = await promote(path, url)
    assert.equal(status, 0, output)
    assert.deepEqual(await query(url, 'SELECT id, parent, kind, data FROM notes'), [[1, 5, 'in', { a: 1 }]])
    assert.deepEqual(await query(url, 'SELECT price FROM parents'), [['1.50']])
    assert.deepEqual(await query(url, 'SELECT count(*)::int FROM log'), [[0]])
    assert.deepEqual(await query(url, "SELECT tgenabled FROM pg_trigger WHERE tgname = 'logging' AND tgrelid = 'notes'::regclass"), [['O']])
    assert.deepEqual(
      await query(url, "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND conrelid = 'notes'::regclass"),
      [['FOREIGN KEY (parent) REFERENCES parents(id) ON DELETE CASCADE']]
    )
    assert.deepEqual(await query(url, "SELECT nextval(pg_get_serial_sequence('parents', 'id'))::int"), [[6]])
    assert.deepEqual(await query(url, "SELECT to_regclass('duolect_promotion')"), [[null]])
  })

  test("are duolect's own, made by an application that started on Postgres before", async () => {
    const path = file()
    const database = createDatabase({ postgres: { enabled: false }, sqlite: { location: path } })
    await database.kvs.set('a', { b: [1, 'x'] })
    await database.saveUser({ id: '1', platform: 'slack', first_name: 'Ada', timezone: 5.5 })
    await database.close()
    const url = await target()
    const postgres = createDatabase(url)
    await postgres.get()
    assert.equal((await promote(path, url)).status, 0)
    assert.deepEqual(await postgres.kvs.get('a'), { b: [1, 'x'] })
    assert.deepEqual(await differences(path, url), [])
    await postgres.close()
  })
})

describe('The story of a program that outgrows its file', () => {
  test('the quickstart on SQLite, promote, and the same program on Postgres shows the same data', async () => {
    const dataDir = dirname(file())
    const url = await target()
    const env = { DATA_DIR: join(dataDir, 'story'), DATABASE_URL: url, DATABASE: '' }
    const sqlite = await npmStart(env)
    assert.match(sqlite, /db\.sqlite/)
    const { status, output } = await duolect(['promote'], env)
    assert.equal(status, 0, output)
    const postgres = createDatabase(url)
    const before = await postgres.all('SELECT * FROM users ORDER BY id')
    assert.deepEqual(
      before.map(row => (row as { first_name: string }).first_name),
      ['Sylvain', 'Dany']
    )
    const shown = await npmStart({ ...env, DATABASE: 'postgres' })
    // All but the times of the two runs.
    const steps = (text: string) => text.slice(text.indexOf('Users are saved')).replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'a time')
    assert.equal(steps(shown), steps(sqlite))
    // What was saved on SQLite was found, not made anew.
    assert.deepEqual(
      await postgres.all('SELECT id, created_on FROM users ORDER BY id'),
      before.map(row => ({ id: (row as { id: string }).id, created_on: (row as { created_on: Date }).created_on }))
    )
    await postgres.close()
  })
})

describe('Options', () => {
  test('--check writes nothing, and prints what would be made', async () => {
    const path = file('CREATE TABLE notes (id INTEGER PRIMARY KEY, v TEXT NOT NULL); CREATE INDEX by_v ON notes (v)')
    const url = await target()
    const { status, output } = await promote(path, url, '--check')
    assert.equal(status, 0)
    assert.match(
      output,
      /CREATE TABLE .*"notes" \(\n {2}"id" BIGINT GENERATED BY DEFAULT AS IDENTITY NOT NULL,\n {2}"v" TEXT COLLATE "C" NOT NULL\n\);/
    )
    assert.match(output, /CREATE INDEX "by_v"/)
    assert.deepEqual(await query(url, 'SELECT count(*)::int FROM pg_class WHERE relnamespace = current_schema()::regnamespace'), [[0]])
    inFile(path, "INSERT INTO notes VALUES (1, 'open')")
  })

  test('--check prints SQL that runs as it is, and makes tables that promote fills', async () => {
    const path = file('PRAGMA foreign_keys = OFF', ...AWKWARD)
    const url = await target()
    const schema = `${new URL(url).searchParams.get('options')?.replace('-c search_path=', '')}_checked`
    const without = await withoutGenerated(url)
    const { output } = await promote(path, url, '--check', '--schema', schema, ...without)
    try {
      await query(url, output)
      const { status, output: moved } = await promote(path, url, '--schema', schema, ...without)
      assert.equal(status, 0, moved)
    } finally {
      await query(url, `DROP SCHEMA IF EXISTS "${schema}" CASCADE`)
    }
  })

  test('--keep-open lets others write while it runs, and leaves the file open', async () => {
    const path = file('PRAGMA journal_mode = WAL; CREATE TABLE notes (v TEXT)')
    const url = await target()
    const running = promote(path, url, '--keep-open')
    await new Promise(resolve => setTimeout(resolve, 5))
    inFile(path, "INSERT INTO notes VALUES ('meanwhile')")
    assert.equal((await running).status, 0)
  })

  test('--text moves a column of mixed values', async () => {
    const path = file("CREATE TABLE notes (v INTEGER, w); INSERT INTO notes VALUES (1, 1), ('n/a', 'x'), (2.5, 2.5)")
    const url = await target()
    assert.equal((await promote(path, url)).status, 1)
    const { status, output } = await promote(path, url, '--text', 'notes.v', '--text', 'notes.w')
    assert.equal(status, 0, output)
    assert.deepEqual(await query(url, 'SELECT v, w FROM notes ORDER BY v COLLATE "C"'), [
      ['1', '1'],
      ['2.5', '2.5'],
      ['n/a', 'x']
    ])
  })

  test('--schema makes the schema, and the tables in it', async () => {
    const path = file('CREATE TABLE notes (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO notes VALUES (1, 2)')
    const url = await target()
    const schema = `made_${process.pid}`
    const { status, output } = await promote(path, url, '--schema', schema)
    assert.equal(status, 0, output)
    assert.deepEqual(await query(url, `SELECT v FROM ${schema}.notes`), [['2']])
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
  })

  test('an unknown one ends with 2, and prints the usage', async () => {
    const { status, output } = await promote('--chekc')
    assert.equal(status, 2)
    assert.match(output, /Usage: duolect promote/)
  })
})
