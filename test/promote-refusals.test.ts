/** What cannot move is refused by table, column and row before anything is written; what only looks like it moves. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { before, describe, test } from 'node:test'
import Database from 'better-sqlite3'
import { differences, inFile, promote, workshop } from './support/promotion.ts'

const { file, target, query } = workshop()

interface Trouble {
  /** Completes "A file with …". */
  readonly what: string
  readonly script: string
  /** What the refusal says, beside the table, the column and the row. */
  readonly says: RegExp
  /** What looks alike, and moves. */
  readonly control?: string
}

/** A table with a column `v`, whose second row has the trouble. */
function column(type: string, good: string, bad: string): string {
  return control(type, good, bad)
}

/** A table with a column `v`; each trouble has a table of its own, whose name takes the place of `t`. */
function control(type: string, ...values: readonly string[]): string {
  return `CREATE TABLE t (v ${type}); INSERT INTO t VALUES ${values.map(value => `(${value})`).join(', ')}`
}

function named(script: string, name: string): string {
  return script.replaceAll(/\b(TABLE|INTO) t\b/g, `$1 ${name}`)
}

const random = Array.from({ length: 3000 }, (_, i) => String.fromCharCode(97 + ((i * i * 7919 + i * 104729) % 26))).join('')
/** Compression does not help. */
const noise = randomBytes(2500).toString('base64')

/** More than a page has room for, unless most of them are NULL. */
const columns = Array.from({ length: 1100 }, (_, i) => `c${i} INTEGER`).join(', ')

const TROUBLES: readonly Trouble[] = [
  {
    what: 'a NUL in a text',
    script: column('TEXT', "'a'", "'a' || char(0) || 'b'"),
    says: /NUL/,
    control: control('TEXT', "'a' || char(1)")
  },
  { what: 'a NUL at the end of a text', script: column('VARCHAR(9)', "'a'", "'a' || char(0)"), says: /NUL/ },
  {
    what: 'invalid UTF-8',
    script: column('TEXT', "'a'", "CAST(x'61ff62' AS TEXT)"),
    says: /UTF-8/,
    control: control('TEXT', 'char(65533)', "'ÿ'")
  },
  {
    what: 'UTF-8 that is cut off',
    script: column('TEXT', "'a'", "CAST(x'61c3' AS TEXT)"),
    says: /UTF-8/,
    control: control('TEXT', "CAST(x'61c3a9' AS TEXT)")
  },
  { what: 'a surrogate in UTF-8', script: column('TEXT', "'a'", "CAST(x'eda080' AS TEXT)"), says: /UTF-8/ },
  {
    what: 'invalid UTF-8 in a large text',
    script: column('TEXT', "'a'", "CAST(zeroblob(0) || printf('%.*c', 300000, 'x') || CAST(x'c3' AS TEXT) AS TEXT)"),
    says: /UTF-8/
  },
  {
    what: 'a NUL in a large text',
    script: column('TEXT', "'a'", "printf('%.*c', 300000, 'x') || char(0)"),
    says: /NUL/,
    control: control('TEXT', "printf('%.*c', 300000, 'x') || 'é'")
  },
  { what: 'text in INTEGER', script: column('INTEGER', '1', "'one'"), says: /holds text/, control: control('INTEGER', "'12'", "' 7 '") },
  { what: 'an empty text in INTEGER', script: column('INTEGER', '1', "''"), says: /empty text/, control: control('INTEGER', 'NULL') },
  { what: 'an empty text in REAL', script: column('REAL', '1', "''"), says: /empty text/ },
  { what: 'an empty text in NUMERIC', script: column('NUMERIC', '1', "''"), says: /empty text/ },
  { what: 'an empty text in BOOLEAN', script: column('BOOLEAN', '1', "''"), says: /empty text/ },
  { what: 'an empty text in TIMESTAMP', script: column('TIMESTAMP', 'NULL', "''"), says: /empty text/ },
  { what: 'an empty text in DATE', script: column('DATE', 'NULL', "''"), says: /empty text/ },
  { what: 'an empty text in JSON', script: column('JSON', 'NULL', "''"), says: /empty text/ },
  { what: 'bytes in INTEGER', script: column('INTEGER', '1', "x'01'"), says: /bytes/ },
  { what: 'bytes in TEXT', script: column('TEXT', "'a'", "x'61'"), says: /bytes/ },
  { what: 'bytes in REAL', script: column('REAL', '1', "x'01'"), says: /bytes/ },
  { what: 'bytes in TIMESTAMP', script: column('TIMESTAMP', '1', "x'01'"), says: /bytes/ },
  { what: 'bytes in JSON', script: column('JSON', '1', "x'01'"), says: /bytes/ },
  {
    what: 'large bytes in TEXT',
    script: column('TEXT', "'a'", 'zeroblob(300000)'),
    says: /bytes/,
    control: control('BLOB', 'zeroblob(300000)')
  },
  { what: 'text in BLOB', script: column('BLOB', "x'01'", "'a'"), says: /holds text/, control: control('BLOB', "x''") },
  { what: 'an integer in BLOB', script: column('BLOB', "x'01'", '5'), says: /integer/ },
  {
    what: 'a fraction in INTEGER',
    script: column('INTEGER', '1', '1.5'),
    says: /real/,
    control: control('INTEGER', '1.0', '1e15', '9007199254740993')
  },
  {
    what: 'a real beyond 64 bits in INTEGER',
    script: column('INTEGER', '1', '1e19'),
    says: /64 bits/,
    control: control('INTEGER', '1e18')
  },
  { what: 'an infinity in INTEGER', script: column('INTEGER', '1', '9e999'), says: /64 bits/ },
  { what: 'text in REAL', script: column('DOUBLE', '1', "'x'"), says: /text/, control: control('DOUBLE', "'1e3'", '9e999', '-9e999') },
  {
    what: 'an infinity in NUMERIC',
    script: column('NUMERIC', '1', '9e999'),
    says: /infinity/,
    control: control('NUMERIC', '1e308', '5e-324')
  },
  {
    what: 'text in NUMERIC',
    script: column('DECIMAL(10,2)', '1', "'abc'"),
    says: /text/,
    control: control('DECIMAL(10,2)', "'1.005'", '12345678901.125')
  },
  {
    what: "'true' in BOOLEAN",
    script: column('BOOLEAN', '1', "'true'"),
    says: /text/,
    control: control('BOOLEAN', 'TRUE', 'FALSE', "'1'")
  },
  { what: '2 in BOOLEAN', script: column('BOOLEAN', '1', '2'), says: /0 and 1/ },
  { what: '0.5 in BOOLEAN', script: column('BOOLEAN', '1', '0.5'), says: /real/ },
  ...[
    "'2024-13-01 00:00:00'",
    "'2024-02-30T00:00:00.000Z'",
    "'2023-02-29'",
    "'2024-01-01T25:00:00.000Z'",
    "'2024-01-01 10:60:00'",
    "'0000-01-01'",
    "'0000-12-31 00:00:00'",
    "'now'",
    "'infinity'",
    "'epoch'",
    "'today'",
    "'2024-01-01 10:00:00.1234567'",
    '2460310.5',
    "'1/2/2024'",
    "'12:00'",
    "'2024-01-01T00:00:00+16:00'",
    '253402300800000'
  ].map(value => ({
    what: `${value} in TIMESTAMP`,
    script: column('TIMESTAMP', '1', value),
    says: /TIMESTAMPTZ/
  })),
  {
    what: 'a time like those',
    script: column('DATETIME', '1', "'2024-06-31 00:00:00'"),
    says: /does not exist/,
    control: control('DATETIME', "'2024-02-29T23:59:59.999Z'", '-1', "'2024-01-01 10:00:00.123456000'", "'2024-01-01T24:00:00Z'")
  },
  {
    what: 'a date with a time',
    script: column('DATE', "'2024-01-01'", "'2024-01-01 10:00:00'"),
    says: /time of day/,
    control: control('DATE', "'2024-02-29'")
  },
  { what: 'a date that does not exist', script: column('DATE', "'2024-01-01'", "'2023-02-29'"), says: /does not exist/ },
  { what: 'a date in the year 0000', script: column('DATE', "'0001-01-01'", "'0000-01-01'"), says: /does not exist/ },
  { what: 'a date with one digit', script: column('DATE', "'2024-01-01'", "'2024-1-1'"), says: /YYYY-MM-DD/ },
  { what: 'a word of Postgres as a date', script: column('DATE', "'2024-01-01'", "'tomorrow'"), says: /YYYY-MM-DD/ },
  { what: 'a number as a date', script: column('DATE', "'2024-01-01'", '20240101'), says: /integer/ },
  {
    what: 'JSON that is none',
    script: column('JSON', "'{}'", "'{a: 1}'"),
    says: /not JSON/,
    control: control('JSON', '\'{"a": 1}\'', "' [1 , 2] '", '5', '\'"\\u0000"\'', '\'"\\ud800"\'')
  },
  { what: 'JSON with a comma too many', script: column('JSON', "'{}'", "'[1,]'"), says: /not JSON/ },
  { what: 'JSONB that is none', script: column('JSONB', "'{}'", "'nothing'"), says: /not JSON/ },
  {
    what: 'JSONB with \\u0000',
    script: column('JSONB', "'{}'", '\'{"a":"x\\u0000"}\''),
    says: /u0000/,
    control: control('JSONB', '\'{"a":"x\\\\u0000"}\'')
  },
  {
    what: 'JSONB with half of a surrogate pair',
    script: column('JSONB', "'{}'", '\'["\\ud83d"]\''),
    says: /surrogate/,
    control: control('JSONB', '\'["\\ud83d\\ude42"]\'')
  },
  {
    what: 'JSONB with a number that it cannot hold',
    script: column('JSONB', "'{}'", "'[1e200000]'"),
    says: /number/,
    control: control('JSONB', "'[1e400, 1e-400]'")
  },
  {
    what: 'JSONB with a negative zero',
    script: column('JSONB', "'{}'", "'[-0.0]'"),
    says: /negative zero/,
    control: control('JSONB', "'[0.0]'")
  },
  {
    what: 'several types in an untyped column',
    script: "CREATE TABLE t (v); INSERT INTO t VALUES ('a'), (5), ('b')",
    says: /integer/,
    control: control('', '1', '2.5')
  },
  {
    what: 'an integer among reals that a double rounds',
    script: 'CREATE TABLE t (v MONEY); INSERT INTO t VALUES (1.5), (9007199254740993)',
    says: /round/,
    control: control('MONEY', '1.5', '9007199254740992')
  }
]

/** Troubles with words of their own for the row. */
const OTHERS: readonly Trouble[] = [
  {
    what: 'the largest id',
    script: 'CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (9223372036854775807)',
    says: /t\.id: .*2\^63-1.* rowid 9223372036854775807/,
    control: 'CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO t VALUES (9223372036854775806, 9223372036854775807)'
  },
  {
    what: 'the largest id given before',
    script: 'CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO t VALUES (9223372036854775807); DELETE FROM t',
    says: /t\.id: has given the id 2\^63-1/
  },
  {
    what: 'NULL in a key',
    script: "CREATE TABLE t (v TEXT PRIMARY KEY); INSERT INTO t VALUES ('a'), (NULL)",
    says: /t\.v: holds NULL in a key, in rowid 2/,
    control: "CREATE TABLE t (v TEXT UNIQUE); INSERT INTO t VALUES ('a'), (NULL), (NULL)"
  },
  {
    what: 'NULL in a column that is NOT NULL',
    script:
      "CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('a'), (NULL); PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE t (v TEXT NOT NULL)' WHERE name = 't'",
    says: /t\.v: holds NULL in a column that is NOT NULL, in rowid 2/
  },
  {
    what: 'one time in two forms where it is unique',
    script: "CREATE TABLE t (v TIMESTAMP UNIQUE); INSERT INTO t VALUES ('2024-01-01 00:00:00'), ('2024-01-01T00:00:00.000Z')",
    says: /t\.v: .*unique.* rowid 2/,
    control: "CREATE TABLE t (v TIMESTAMP UNIQUE); INSERT INTO t VALUES ('2024-01-01 00:00:00'), ('2024-01-01T00:00:00.001Z')"
  },
  {
    what: 'a broken CHECK',
    script: 'PRAGMA ignore_check_constraints = ON; CREATE TABLE t (v INTEGER CHECK (v > 0)); INSERT INTO t VALUES (1), (-1)',
    says: /t: breaks its CHECK \(v > 0\), in rowid 2/,
    control: 'CREATE TABLE t (v INTEGER CHECK (v > 0)); INSERT INTO t VALUES (1), (NULL)'
  },
  {
    what: 'a broken CHECK that ends with a comment',
    script: 'PRAGMA ignore_check_constraints = ON; CREATE TABLE t (v INTEGER CHECK (v > 0 -- positive\n)); INSERT INTO t VALUES (1), (-1)',
    says: /t: breaks its CHECK \(v > 0\), in rowid 2/,
    control: 'CREATE TABLE t (v INTEGER CHECK (/* a */ v > 0 -- positive\n)); INSERT INTO t VALUES (1)'
  },
  {
    what: 'one time in two forms beside a text in two cases where they are unique',
    script:
      "CREATE TABLE t (v TIMESTAMP, n TEXT COLLATE NOCASE, UNIQUE (v, n)); INSERT INTO t VALUES (0, 'a'), ('1970-01-01 00:00:00', 'A')",
    says: /t: .*unique.* rowid 2/,
    control:
      "CREATE TABLE t (v TIMESTAMP, n TEXT COLLATE NOCASE, UNIQUE (v, n)); INSERT INTO t VALUES (0, 'a'), ('1970-01-01 00:00:00', 'b')"
  },
  {
    what: 'invalid UTF-8 in a key beside the key that it would be read as',
    script: "CREATE TABLE t (k TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID; INSERT INTO t VALUES (char(65533), 1), (CAST(x'ff' AS TEXT), 2)",
    says: /t\.k: .*UTF-8/,
    control: 'CREATE TABLE t (k TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID; INSERT INTO t VALUES (char(65533), 1)'
  },
  {
    what: 'an index entry that is too large',
    script: `CREATE TABLE t (v TEXT); CREATE INDEX by_v ON t (v); INSERT INTO t VALUES ('a'), ('${noise}')`,
    says: /t\.v: is too large for index by_v.* rowid 2/,
    control: `CREATE TABLE t (v TEXT); CREATE INDEX by_v ON t (v); INSERT INTO t VALUES (printf('%.*c', 5000, 'x')), ('${random.slice(0, 2600)}')`
  },
  {
    what: 'a key that is much too large',
    script: 'CREATE TABLE t (v TEXT PRIMARY KEY); INSERT INTO t VALUES (hex(randomblob(300000)))',
    says: /t\.v: is too large for primary key of t/,
    control: 'CREATE TABLE t (v TEXT); INSERT INTO t VALUES (hex(randomblob(300000)))'
  },
  {
    what: 'a name of 64 bytes',
    script: `CREATE TABLE ${'t'.repeat(64)} (v TEXT)`,
    says: /more than 63 bytes/,
    control: `CREATE TABLE ${'t'.repeat(63)} (v TEXT)`
  },
  {
    what: 'a name of 32 letters and 64 bytes',
    script: `CREATE TABLE t ("${'ä'.repeat(32)}" TEXT)`,
    says: /column.* more than 63 bytes/,
    control: `CREATE TABLE t ("${'ä'.repeat(31)}" TEXT)`
  },
  {
    what: 'a system column',
    script: 'CREATE TABLE t (xmin INTEGER)',
    says: /table t: .*system column.* xmin/,
    control: 'CREATE TABLE t ("XMIN" INTEGER, oid INTEGER)'
  },
  {
    what: 'a row that does not fit into a page',
    script: `CREATE TABLE other (v INTEGER); CREATE TABLE t (${columns}); INSERT INTO t (c0) VALUES (1), (2); UPDATE t SET ${columns.replaceAll(/ INTEGER/g, ' = 5')} WHERE c0 = 2`,
    says: /t: .*row is too big.* rowid 2/,
    control: `CREATE TABLE t (${columns}); INSERT INTO t (c0) VALUES (1), (2)`
  },
  {
    what: 'a CHECK whose numbers overflow on Postgres',
    script: 'CREATE TABLE other (v INTEGER); CREATE TABLE t (v INTEGER CHECK (v * 2 > 0)); INSERT INTO t VALUES (1), (9223372036854775806)',
    says: /t: .*out of range.* rowid 2/,
    control: 'CREATE TABLE t (v INTEGER CHECK (v * 2 > 0)); INSERT INTO t VALUES (1), (4611686018427387903)'
  },
  {
    what: 'an index whose numbers overflow on Postgres',
    script:
      'CREATE TABLE other (v INTEGER); CREATE TABLE t (v INTEGER); CREATE INDEX by_v ON t (v + 1); INSERT INTO t VALUES (1), (9223372036854775807)',
    says: /t: .*out of range.* rowid 2/,
    control: 'CREATE TABLE t (v INTEGER); CREATE INDEX by_v ON t (v + 1); INSERT INTO t VALUES (1), (9223372036854775806)'
  },
  {
    what: 'one time in two forms in a unique index of expressions',
    script:
      "CREATE TABLE other (v INTEGER); CREATE TABLE t (v TIMESTAMP, n TEXT); CREATE UNIQUE INDEX by_v ON t (v, lower(n)); INSERT INTO t VALUES (0, 'a'), ('1970-01-01 00:00:00', 'A')",
    says: /t: .*duplicate key.* rowid 2/,
    control:
      "CREATE TABLE t (v TIMESTAMP, n TEXT); CREATE UNIQUE INDEX by_v ON t (v, lower(n)); INSERT INTO t VALUES (0, 'a'), ('1970-01-01 00:00:01', 'A')"
  },
  {
    what: 'too many columns',
    script: `CREATE TABLE t (${Array.from({ length: 1700 }, (_, i) => `c${i}`).join(', ')})`,
    says: /table t: .*1600 columns/
  },
  {
    what: 'a row of a table WITHOUT ROWID',
    script: "CREATE TABLE t (k TEXT, n INTEGER, v INTEGER, PRIMARY KEY (k, n)) WITHOUT ROWID; INSERT INTO t VALUES ('a', 1, 'x')",
    says: /t\.v: holds text.* in the row with the key \("a", 1\)/
  },
  {
    what: 'a row of a table whose columns hide the rowid',
    script: "CREATE TABLE t (rowid TEXT, oid TEXT, v INTEGER); INSERT INTO t VALUES ('a', 'b', 'x')",
    says: /t\.v: holds text.* in rowid 1/
  },
  {
    what: 'many troubles of one kind',
    script: "CREATE TABLE t (v INTEGER); INSERT INTO t VALUES ('a'), ('b'), ('c'), ('d'), ('e')",
    says: /t\.v: holds text, but becomes BIGINT, in rowid 1, rowid 2, rowid 3 and 2 more/
  },
  {
    what: 'troubles in several columns',
    script: "CREATE TABLE t (v INTEGER, w BOOLEAN); INSERT INTO t VALUES ('a', 5)",
    says: /t\.v: [\s\S]*t\.w: /
  }
]

/** What is listed, and moves past only by its name. */
const LISTED: readonly { readonly what: string; readonly script: string; readonly name: string }[] = [
  { what: 'a view', script: 'CREATE TABLE t (v INTEGER); CREATE VIEW all_of_t AS SELECT * FROM t', name: 'all_of_t' },
  {
    what: 'a trigger',
    script: 'CREATE TABLE t (v INTEGER); CREATE TRIGGER t_changed AFTER UPDATE ON t BEGIN SELECT 1; END',
    name: 't_changed'
  },
  {
    what: 'a virtual table',
    script: "CREATE TABLE t (v INTEGER); CREATE VIRTUAL TABLE search USING fts5 (body); INSERT INTO search VALUES ('x')",
    name: 'search'
  },
  {
    what: 'a CHECK of its own',
    script: "CREATE TABLE t (v TEXT CONSTRAINT lower_case CHECK (v GLOB '[a-z]*')); INSERT INTO t VALUES ('a')",
    name: 'lower_case'
  },
  { what: 'a CHECK without a name', script: "CREATE TABLE t (v TEXT CHECK (json_valid(v))); INSERT INTO t VALUES ('{}')", name: 't.v' },
  {
    what: 'a default of its own',
    script: 'CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT DEFAULT (lower(hex(randomblob(16)))))',
    name: 't.v'
  },
  {
    what: 'a default that its column cannot hold',
    script: "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER DEFAULT 'none')",
    name: 't.v'
  },
  { what: 'a reference to no table', script: 'CREATE TABLE t (v INTEGER REFERENCES missing (id))', name: 't.v' },
  {
    what: 'a reference to a column of another type',
    script: 'CREATE TABLE p (id TEXT PRIMARY KEY NOT NULL); CREATE TABLE t (v INTEGER REFERENCES p (id))',
    name: 't.v'
  },
  {
    what: 'an index on an expression of its own',
    script: "CREATE TABLE t (v TEXT); CREATE INDEX by_path ON t (json_extract(v, '$.a'))",
    name: 'by_path'
  },
  { what: 'an index that Postgres refuses', script: 'CREATE TABLE t (v JSON); CREATE INDEX by_json ON t (v)', name: 'by_json' },
  {
    what: 'a generated column of its own',
    script: "CREATE TABLE t (v TEXT, w TEXT AS (printf('%s!', v))); INSERT INTO t (v) VALUES ('a')",
    name: 't.w'
  }
]

/** Returns what was printed. */
async function assertRefused(path: string, says: RegExp): Promise<string> {
  const url = await target()
  const { status, output } = await promote(path, url)
  assert.equal(status, 1, output)
  assert.match(output, says)
  assert.deepEqual(await query(url, 'SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace'), [])
  assert.deepEqual(inFile(path, "SELECT name FROM sqlite_schema WHERE name LIKE 'duolect%'"), [])
  return output
}

async function assertMoves(path: string): Promise<void> {
  const url = await target()
  const { status, output } = await promote(path, url)
  assert.equal(status, 0, output)
  assert.deepEqual(await differences(path, url), [])
}

describe('A file', () => {
  describe('with values that cannot move', () => {
    let output = ''
    before(async () => {
      const path = file(...TROUBLES.map(({ script }, i) => named(script, `t${i}`)))
      output = await assertRefused(path, /cannot move yet/)
    })
    for (const [i, { what, says }] of TROUBLES.entries()) {
      test(`is refused: ${what}`, () => {
        const line = output.split('\n').find(found => found.includes(` t${i}.v: `)) ?? ''
        assert.match(line, /, in rowid 2$/)
        assert.match(line, says)
      })
    }
  })

  test('with nothing but values that look alike moves', async () => {
    await assertMoves(file(...TROUBLES.flatMap(({ control: alike }, i) => (alike === undefined ? [] : [named(alike, `t${i}`)]))))
  })

  for (const { what, script, says, control: alike } of OTHERS) {
    test(`with ${what} is refused`, async () => {
      await assertRefused(file(script), says)
    })
    if (alike !== undefined) test(`with what looks like ${what} moves`, () => assertMoves(file(alike)))
  }

  for (const { what, script, name } of LISTED) {
    test(`with ${what} moves only without it`, async () => {
      const path = file(script)
      await assertRefused(path, new RegExp(`--without ${name.replace('.', '\\.')}`))
      const { status, output } = await promote(path, await target(), '--without', name)
      assert.equal(status, 0, output)
      assert.match(output, /left behind/)
    })
  }

  test('with a damaged page is refused', async () => {
    const path = file(
      "CREATE TABLE t (v TEXT); CREATE INDEX by_v ON t (v); INSERT INTO t WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 500) SELECT 'row ' || n FROM s"
    )
    const bytes = readFileSync(path)
    const at = bytes.lastIndexOf('row 300')
    bytes.write('row 999', at)
    writeFileSync(path, bytes)
    await assertRefused(path, /integrity_check/)
  })

  test('with a function or a collation of a program is refused by its name', async () => {
    const path = file('CREATE TABLE t (v TEXT); CREATE TABLE u (v TEXT); CREATE INDEX by_v ON u (v)')
    const database = new Database(path)
    database.unsafeMode(true)
    database.function('secret', { deterministic: true }, value => value)
    database.exec('ALTER TABLE t ADD COLUMN w AS (secret(v)); PRAGMA writable_schema = ON')
    database.exec("UPDATE sqlite_schema SET sql = 'CREATE TABLE u (v TEXT COLLATE own)' WHERE name = 'u'; INSERT INTO t VALUES ('a')")
    database.close()
    const output = await assertRefused(path, /t: cannot be read: .*secret/)
    assert.match(output, /the file: cannot be read: .*own/)
  })

  test('that is no database is refused', async () => {
    const path = file()
    writeFileSync(path, 'not a database, but long enough to look like a file of some kind')
    const { status, output } = await promote(path, await target())
    assert.equal(status, 1)
    assert.match(output, /not a database/)
  })

  test('that is not there is not made', async () => {
    const { status, output } = await promote('/tmp/no/such.sqlite', await target())
    assert.equal(status, 1)
    assert.match(output, /Cannot open the SQLite file/)
  })

  test('in UTF-16 moves', () =>
    assertMoves(
      file(
        `PRAGMA encoding = 'UTF-16'; CREATE TABLE t (v TEXT, j JSON); INSERT INTO t VALUES ('aé🙂' || char(65533), '["é"]'), (printf('%.*c', 300000, 'é'), NULL)`
      )
    ))

  test('in UTF-16 with half of a surrogate pair is refused', async () => {
    await assertRefused(
      file(
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('a'), (CAST(x'3dd842de' AS TEXT)), (CAST(x'3dd86100' AS TEXT))"
      ),
      /t\.v: .*surrogate.* rowid 3/
    )
  })

  test('gives up only what cannot move', async () => {
    const path = file('CREATE TABLE t (v INTEGER); CREATE INDEX by_v ON t (v)')
    const { status, output } = await promote(path, await target(), '--without', 'by_v')
    assert.equal(status, 2)
    assert.match(output, /nothing of that name/)
  })
})
