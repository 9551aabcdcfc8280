/** A SQLite file with whatever a schema can have: each entry is one table, and what belongs to it. */

const alphabet = 'A-Z a-z 0-9 äöü ß ñ Ω 日本 🙂'

/** Every ASCII character but NUL, and what COPY and JSON treat specially. */
const everyCharacter = Array.from({ length: 127 }, (_, i) => String.fromCharCode(i + 1)).join('')

function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`
}

/** Scripts that make the file. What they hold can move as it is. */
export const AWKWARD: readonly string[] = [
  // Declared types and affinities.
  ...['INTEGER', 'INT', 'TINYINT', 'SMALLINT', 'MEDIUMINT', 'BIGINT', 'UNSIGNED BIG INT', 'INT2', 'INT8'].map(
    (type, i) =>
      `CREATE TABLE int_${i} (v ${type}); INSERT INTO int_${i} VALUES (0), (-1), (9007199254740993), (-9223372036854775808), (9223372036854775807), (NULL), (1.0), ('12')`
  ),
  ...['CHARACTER(20)', 'VARCHAR(255)', 'VARYING CHARACTER(255)', 'NCHAR(55)', 'NATIVE CHARACTER(70)', 'NVARCHAR(100)', 'TEXT', 'CLOB'].map(
    (type, i) =>
      `CREATE TABLE text_${i} (v ${type}); INSERT INTO text_${i} VALUES (''), (' '), ('\\N'), ('\\.'), (${text(alphabet)}), (${text(everyCharacter)}), (5), (1.5), (NULL), (char(65533)), ('a' || char(10) || 'b\\n')`
  ),
  ...['REAL', 'DOUBLE', 'DOUBLE PRECISION', 'FLOAT'].map(
    (type, i) =>
      `CREATE TABLE real_${i} (v ${type}); INSERT INTO real_${i} VALUES (0), (0.1), (-0.1), (1e15), (123456789012345680), (1e21), (1e-5), (5e-324), (1.7976931348623157e308), (9e999), (-9e999), (0.1 + 0.2), (1.0 / 3), (9007199254740991), (NULL), ('2.5')`
  ),
  ...['NUMERIC', 'DECIMAL(10,5)', 'DECIMAL(10, 2)'].map(
    (type, i) =>
      `CREATE TABLE numeric_${i} (v ${type}); INSERT INTO numeric_${i} VALUES (0), (1), (-1.5), (1e300), (1e-7), (0.1), ('12.25'), (123456789.125), (9223372036854775807), (NULL)`
  ),
  "CREATE TABLE booleans (v BOOLEAN, w BOOL DEFAULT TRUE, x BOOLEAN NOT NULL DEFAULT 0); INSERT INTO booleans VALUES (0, 1, TRUE), (NULL, NULL, FALSE), ('1', '0', 1)",
  `CREATE TABLE times (v TIMESTAMP, w DATETIME, x TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
   INSERT INTO times VALUES
     ('2024-01-01T00:00:00.000Z', '2024-02-29 23:59:59', '2024-01-01T10:00:00.120Z'), (0, -1, 1700000000123), (NULL, NULL, NULL),
     ('2024-12-31', '2024-01-01 10:00', '2024-01-01T10:00'), ('2024-01-01 10:00:00.123456', '2024-01-01T10:00:00+02:00', '2024-01-01 10:00:00-0530'),
     ('0001-01-01T00:00:00.000Z', '9999-12-31T23:59:59.999Z', '1969-12-31T23:59:59.999Z'), ('2024-01-31T23:59:59.100Z', '2024-06-30 12:00:00Z', '2024-01-01T10:00:00.5Z')`,
  "CREATE TABLE plain_times (v TIMESTAMP NOT NULL); INSERT INTO plain_times VALUES ('2024-01-01T00:00:00.000Z'), ('2024-01-31 12:30:00'), ('1999-12-31T23:59:59.999Z')",
  "CREATE TABLE dates (v DATE); INSERT INTO dates VALUES ('2024-02-29'), ('0001-01-01'), ('9999-12-31'), (NULL)",
  `CREATE TABLE jsons (v JSON); INSERT INTO jsons VALUES ('{"a": 1, "b": [1.50, "x\\n\\u00e4\\""], "a": 2}'), ('[]'), ('{}'), ('null'), ('"text"'), ('true'), (5), (1.5), ('"\\u0000"'), (NULL)`,
  `CREATE TABLE jsonbs (v JSONB); INSERT INTO jsonbs VALUES ('{"bb": 1, "a": [1.50, "x\\n\\u00e4\\"\\u2028"], "a": 2}'), (' [ ] '), ('{}'), ('null'), ('"text \\/ \\u001f \\ud83d\\ude42"'), (5), (1.5), ('[1e3, 1.5e-3, -12.50E+1, 0, 0.00, 100e-2, 1e20]'), ('{"":{"é":1,"z":2,"aa":3}}'), (NULL)`,
  "CREATE TABLE blobs (v BLOB, w BYTEA); INSERT INTO blobs VALUES (x'', x'00'), (x'5c4e5c2e', x'ff00ff0a0d095c'), (zeroblob(1000), NULL)",
  "CREATE TABLE uuids (v UUID); INSERT INTO uuids VALUES ('123e4567-e89b-12d3-a456-426614174000'), ('ABCDEF00-e89b-12d3-a456-426614174000')",
  "CREATE TABLE untyped (i, t, b, r, n, mixed); INSERT INTO untyped VALUES (1, 'a', x'01', 1.5, NULL, 1), (2, 'b', x'02', 2.5, NULL, 2.5)",
  "CREATE TABLE strange_types (m MONEY, s STRING, e \"my type\", z SERIAL); INSERT INTO strange_types VALUES (1.5, 'x', 'y', 1), (2, 'z', 'w', 2)",
  // Keys.
  "CREATE TABLE composite (a TEXT, b INTEGER, c TEXT, PRIMARY KEY (b, a)); INSERT INTO composite VALUES ('x', 1, 'p'), ('x', 2, 'q'), ('X', 1, 'r')",
  "CREATE TABLE text_key (id TEXT PRIMARY KEY NOT NULL, v INTEGER); INSERT INTO text_key VALUES ('a', 1), ('A', 2), ('ä', 3), ('', 4), (' a', 5)",
  "CREATE TABLE without_rowid (a TEXT, b INTEGER, v, PRIMARY KEY (a, b)) WITHOUT ROWID; INSERT INTO without_rowid VALUES ('x', 1, 1), ('x', 2, 2)",
  "CREATE TABLE strict (id INTEGER PRIMARY KEY, i INT, r REAL, t TEXT, b BLOB, a ANY) STRICT; INSERT INTO strict VALUES (1, 2, 3, '4', x'05', 'six'), (2, 2, 3.5, '4', x'05', 'seven')",
  "CREATE TABLE descending (id INTEGER PRIMARY KEY DESC, v TEXT); INSERT INTO descending VALUES (1, 'a'), (2, 'b')",
  "CREATE TABLE no_key (v TEXT); INSERT INTO no_key VALUES ('same'), ('same'), ('same'), (NULL), (NULL)",
  "CREATE TABLE nocase_key (id TEXT NOT NULL COLLATE NOCASE PRIMARY KEY, v INTEGER); INSERT INTO nocase_key VALUES ('Bob', 1), ('Ann', 2), ('Ä', 3), ('ä', 4)",
  "CREATE TABLE int_key (id INT PRIMARY KEY, v TEXT); INSERT INTO int_key VALUES (5, 'a'), (-3, 'b')",
  "CREATE TABLE hidden_rowid (rowid TEXT, v INTEGER); INSERT INTO hidden_rowid VALUES ('a', 1), ('b', 2)",
  // Ids.
  "CREATE TABLE gaps (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO gaps VALUES (3, 'a'), (1000, 'b'), (7, 'c'); DELETE FROM gaps WHERE id = 1000",
  "CREATE TABLE auto (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT); INSERT INTO auto (v) VALUES ('a'), ('b'), ('c'); DELETE FROM auto WHERE id = 3",
  "CREATE TABLE auto_empty (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT); INSERT INTO auto_empty (v) VALUES ('a'); DELETE FROM auto_empty",
  'CREATE TABLE auto_new (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT)',
  "CREATE TABLE negative_ids (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO negative_ids VALUES (-5, 'a'), (-7, 'b')",
  "CREATE TABLE auto_negative (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT); INSERT INTO auto_negative VALUES (-5, 'a')",
  'CREATE TABLE empty_table (id INTEGER PRIMARY KEY, v TEXT)',
  // Constraints and defaults.
  "CREATE TABLE checked (id INTEGER PRIMARY KEY, kind TEXT CHECK (kind IN ('in', 'out')), n INTEGER CONSTRAINT n_range CHECK (n BETWEEN 0 AND 10), ok BOOLEAN CHECK (ok IN (0, 1)), m TEXT CHECK (m LIKE '%@%'), CHECK (length(kind) > 1 OR n IS NULL)); INSERT INTO checked VALUES (1, 'in', 5, 1, 'A@b'), (2, NULL, NULL, NULL, NULL)",
  "CREATE TABLE exclusive (a TEXT, b TEXT, CHECK ((a IS NULL) + (b IS NULL) = 1)); INSERT INTO exclusive VALUES ('x', NULL), (NULL, 'y')",
  "CREATE TABLE defaults (id INTEGER PRIMARY KEY, a INTEGER DEFAULT 5, b INTEGER DEFAULT -5, c TEXT DEFAULT 'it''s', d REAL DEFAULT 1.5, e BOOLEAN DEFAULT TRUE, f BLOB DEFAULT x'00ff', g TIMESTAMP DEFAULT CURRENT_TIMESTAMP, h TEXT DEFAULT CURRENT_TIMESTAMP, i DATE DEFAULT CURRENT_DATE, j JSON DEFAULT '{}', k TIMESTAMP DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), l TEXT DEFAULT NULL, m TEXT DEFAULT (5 + 1), n INTEGER DEFAULT (unixepoch())); INSERT INTO defaults (id) VALUES (1)",
  "CREATE TABLE generated (a INTEGER, b TEXT, s INTEGER GENERATED ALWAYS AS (a * 2) STORED, v TEXT AS (lower(b) || '!'), l INTEGER AS (length(b)) VIRTUAL); INSERT INTO generated (a, b) VALUES (1, 'Äx'), (2, NULL), (NULL, 'Q')",
  "CREATE TABLE uniques (a TEXT UNIQUE, b INTEGER, c INTEGER, UNIQUE (b, c)); INSERT INTO uniques VALUES ('a', 1, 1), ('A', 1, NULL), (NULL, 1, NULL), (NULL, 2, 1)",
  "CREATE TABLE conflicts (a TEXT UNIQUE ON CONFLICT REPLACE, b INTEGER NOT NULL ON CONFLICT IGNORE); INSERT INTO conflicts VALUES ('a', 1)",
  // Indexes.
  "CREATE TABLE indexed (id INTEGER PRIMARY KEY, a TEXT, b INTEGER, ok BOOLEAN, d REAL); CREATE INDEX by_a ON indexed (a DESC, b); CREATE UNIQUE INDEX by_lower ON indexed (lower(a)); CREATE INDEX partial ON indexed (b) WHERE ok = 0 AND a IS NOT NULL; CREATE INDEX on_expression ON indexed (b + 1, abs(b)); CREATE UNIQUE INDEX nocase ON indexed (a COLLATE NOCASE); CREATE UNIQUE INDEX partial_unique ON indexed (b) WHERE ok; CREATE INDEX rtrimmed ON indexed (a COLLATE RTRIM); INSERT INTO indexed VALUES (1, 'Ab', 1, 0, 1.5), (2, 'c', 1, 0, 2), (3, NULL, 2, 1, NULL)",
  `CREATE TABLE long_index (a TEXT); CREATE INDEX ${'an_index_whose_name_is_very_long_'.repeat(3)} ON long_index (a); CREATE INDEX ${'an_index_whose_name_is_very_long_'.repeat(3)}2 ON long_index (a); INSERT INTO long_index VALUES ('x')`,
  "CREATE TABLE big_entries (a TEXT PRIMARY KEY NOT NULL); INSERT INTO big_entries VALUES (printf('%.*c', 5000, 'x'))",
  // Foreign keys.
  "CREATE TABLE parents (id INTEGER PRIMARY KEY, code TEXT UNIQUE, a INTEGER, b INTEGER, UNIQUE (a, b)); INSERT INTO parents VALUES (1, 'x', 1, 1), (2, 'y', 1, 2)",
  "CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents ON DELETE CASCADE ON UPDATE SET NULL, code TEXT REFERENCES parents (code) DEFERRABLE INITIALLY DEFERRED, a INTEGER, b INTEGER, CONSTRAINT of_both FOREIGN KEY (a, b) REFERENCES parents (a, b) ON DELETE SET DEFAULT); INSERT INTO children VALUES (1, 1, 'x', 1, 2), (2, NULL, NULL, 1, NULL)",
  'CREATE TABLE tree (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES tree (id)); INSERT INTO tree VALUES (1, 2), (2, 1), (3, 3), (4, NULL)',
  'CREATE TABLE cycle_a (id INTEGER PRIMARY KEY, b INTEGER REFERENCES cycle_b); CREATE TABLE cycle_b (id INTEGER PRIMARY KEY, a INTEGER REFERENCES cycle_a); INSERT INTO cycle_a VALUES (1, 1); INSERT INTO cycle_b VALUES (1, 1)',
  'CREATE TABLE dangling (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents); INSERT INTO dangling VALUES (1, 99), (2, 1)',
  // Names.
  'CREATE TABLE "select" ("from" INTEGER, "Order" TEXT, "a b" TEXT, "q""uote" TEXT, [brackets] TEXT, `ticks` TEXT, "ü" TEXT); INSERT INTO "select" VALUES (1, \'a\', \'b\', \'c\', \'d\', \'e\', \'f\')',
  "CREATE TABLE MixedCase (Id INTEGER PRIMARY KEY, \"userId\" TEXT, FirstName TEXT); INSERT INTO MixedCase VALUES (1, 'a', 'b')",
  'CREATE TABLE "Quoted Table" ("Id" INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT); INSERT INTO "Quoted Table" VALUES (9, \'x\')',
  'CREATE TABLE gaps_pkey (v INTEGER); CREATE TABLE gaps_id_seq (v INTEGER); INSERT INTO gaps_pkey VALUES (1)',
  `CREATE TABLE ${'t'.repeat(63)} (${'c'.repeat(63)} INTEGER PRIMARY KEY, v TEXT UNIQUE); INSERT INTO ${'t'.repeat(63)} VALUES (1, 'x')`,
  "CREATE TABLE commented (a INTEGER /* , x TEXT */, -- b, c\n b TEXT DEFAULT ',(' /* ) */); INSERT INTO commented VALUES (1, 'x')",
  'CREATE TABLE odd_types (a "it\'s" DEFAULT 5, b [odd one] DEFAULT (-1), c "q""uote" DEFAULT 7); INSERT INTO odd_types DEFAULT VALUES',
  'CREATE TABLE more_comments (a INTEGER DEFAULT (1 -- one\n) CHECK (a > 0 -- positive\n), b INTEGER CHECK (-- first\n b > 0)); INSERT INTO more_comments DEFAULT VALUES',
  `CREATE TABLE wide (${Array.from({ length: 400 }, (_, i) => `c${i} INTEGER`).join(', ')}); INSERT INTO wide (c0, c399) VALUES (1, 2)`,
  "CREATE TABLE altered (a INTEGER); INSERT INTO altered VALUES (1); ALTER TABLE altered ADD COLUMN b TEXT NOT NULL DEFAULT 'later'; ALTER TABLE altered RENAME COLUMN a TO c",
  "CREATE TABLE big_cells (id INTEGER PRIMARY KEY, t TEXT, b BLOB, j JSON); INSERT INTO big_cells VALUES (1, printf('%.*c', 300000, 'x') || char(10) || '\\' || 'ä', zeroblob(300000), '\"' || printf('%.*c', 300000, 'y') || '\"'), (2, 'small', x'01', '1')"
]
