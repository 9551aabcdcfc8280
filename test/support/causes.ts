/**
 * Queries that differ between the databases, by the cause that explains it, and the same queries mended. The page of
 * causes shows them, and the tests run them.
 */
import { readModule } from '../../src/files/module.ts'
import type { Dialect } from '../../src/index.ts'
import { RULES } from '../../src/tools/check/causes.ts'
import { SCHEMA_RULES } from '../../src/tools/check/schema-notes.ts'
import { textOf } from '../../src/tools/generate/typed.ts'

export interface CauseCase {
  readonly cause: string
  /** As in a SQL file. */
  readonly faulty: string
  readonly mended: string
  readonly parameters?: Readonly<Record<string, unknown>>
  /** More tables, as in a migration. */
  readonly tables?: string
  /** Tables for the mended query, where the mend is one of the schema. */
  readonly mendedTables?: string
  /** Statements that run before the query. */
  readonly rows?: string
  /** What is read after a write. */
  readonly after?: string
}

/** The page of all causes, as docs/check-causes.md has it. */
export function pageOfCauses(): string {
  const escaped = (sentence: string) => sentence.replaceAll(/[*|<_\\]/g, '\\$&')
  const tables = Object.entries(RULES).map(([area, rules]) => {
    const rows = rules.map(({ name, title, mend }) => `| \`${name}\` | ${escaped(title)} | ${escaped(mend)} |`)
    return [`## ${area}`, '', '| cause | why the databases differ | what both read alike |', '|---|---|---|', ...rows, ''].join('\n')
  })
  const notes = SCHEMA_RULES.map(({ name, title, mend }) => `| \`${name}\` | ${escaped(title)} | ${escaped(mend)} |`)
  return [INTRODUCTION, ...tables, NOTES, ...notes, ''].join('\n')
}

const INTRODUCTION = `# Causes of differences

\`duolect check\` shows a difference by running the query, and then names the likeliest cause. Here are all that it knows, each with SQL that works on both databases; tests run them. The mends are written as in [SQL files](modules.md), where \`sql.now()\` stands for the time of each database and \`COLLATE "C"\` is left out for SQLite; [SQL for both](sql-for-both.md) has the same in TypeScript.
`

const NOTES = `## Types of columns

Said once for each column, whatever the queries do with it.

| note | what each database does | what to declare |
|---|---|---|`

/** The tables that every case has. */
export const TABLES = `
CREATE TABLE people (
  id INTEGER NOT NULL PRIMARY KEY,
  name TEXT NOT NULL, -- @sqlite
  name TEXT COLLATE "en-x-icu" NOT NULL, -- @postgres
  email TEXT,
  age INTEGER,
  points BIGINT NOT NULL,
  weight DOUBLE PRECISION NOT NULL,
  active BOOLEAN NOT NULL,
  born DATE,
  seen TIMESTAMPTZ NOT NULL,
  doc JSON NOT NULL,
  amount NUMERIC NOT NULL -- @postgres
  amount TEXT NOT NULL -- @sqlite
);
CREATE TABLE visits (
  id sql.autoId,
  person INTEGER NOT NULL REFERENCES people (id),
  hits INTEGER NOT NULL,
  place TEXT
);`

export const ROWS = `
INSERT INTO people VALUES
  (1, 'Anna', 'anna@x.org', 30, 10, 1.0, TRUE, '2024-01-31', '2024-01-31T00:00:00.000Z', '{"n":5,"s":"5","t":true,"tags":["a","b"]}', '9.50'),
  (2, 'bob', NULL, NULL, -7, 2.5, FALSE, NULL, '2024-01-31T10:30:00.000Z', '{"n":1,"s":"x","t":false,"tags":[]}', '10.00'),
  (3, 'Ärne', 'ARNE@x.org', 17, 2, -2.5, TRUE, '2024-02-03', '2024-02-01T12:00:00.000Z', '{"n":null,"s":"","t":true,"tags":{}}', '-1.25'),
  (4, 'anton', 'a_b@x.org', 18, 9, 2.7, TRUE, '2023-12-31', '2023-12-31T23:59:59.999Z', '{}', '100.00');
INSERT INTO visits (person, hits, place) VALUES (1, 3, 'x'), (1, 5000, NULL), (3, 0, 'y'), (3, -7, 'a\\b');`

/** The queries of a text in the form of a SQL file, for each database. */
export function renderQuery(text: string): Record<Dialect, string> {
  const [query] = readModule([{ path: 'case.sql', text: `-- name: find :all\n${text};` }]).queries
  if (query?.sql.sqlite === undefined || query.sql.postgres === undefined) throw new Error(`No query in ${text}`)
  return { sqlite: textOf(query.sql.sqlite, new Set()), postgres: textOf(query.sql.postgres, new Set()) }
}

export function renderScript(text: string): Record<Dialect, string> {
  const [migration] = readModule([{ path: 'migrations/0001-tables.sql', text }]).migrations
  if (migration?.kind !== 'script') throw new Error(`No script in ${text}`)
  return { sqlite: migration.sql.sqlite ?? '', postgres: migration.sql.postgres ?? '' }
}

export const CASES: readonly CauseCase[] = [
  // Texts
  {
    cause: 'like-case',
    faulty: "SELECT id FROM people WHERE name LIKE 'a%'",
    mended: `SELECT id FROM people WHERE lower(name COLLATE "C") LIKE 'a%'`
  },
  {
    cause: 'like-case',
    faulty: 'SELECT id FROM people WHERE name NOT LIKE :pattern',
    mended: '-- @param pattern text\nSELECT id FROM people WHERE lower(name COLLATE "C") NOT LIKE lower(:pattern COLLATE "C")',
    parameters: { pattern: 'AN%' }
  },
  {
    cause: 'like-backslash',
    faulty: "SELECT id FROM people WHERE email LIKE '%a\\_b%'",
    mended: "SELECT id FROM people WHERE lower(email) LIKE '%a!_b%' ESCAPE '!'"
  },
  {
    cause: 'like-backslash',
    faulty: 'SELECT id FROM people WHERE email LIKE :pattern',
    mended: "-- @param pattern text\nSELECT id FROM people WHERE lower(email) LIKE replace(:pattern, '\\', '!') ESCAPE '!'",
    parameters: { pattern: '%a\\_b%' }
  },
  {
    cause: 'like-number',
    faulty: "SELECT id FROM people WHERE age LIKE '1%'",
    mended: "SELECT id FROM people WHERE CAST(age AS TEXT) LIKE '1%'"
  },
  { cause: 'ilike', faulty: "SELECT id FROM people WHERE name ILIKE 'a%'", mended: "SELECT id FROM people WHERE lower(name) LIKE 'a%'" },
  {
    cause: 'case-beyond-ascii',
    faulty: 'SELECT lower(name) AS lowered FROM people',
    mended: 'SELECT lower(name COLLATE "C") AS lowered FROM people'
  },
  {
    cause: 'case-beyond-ascii',
    faulty: "SELECT id FROM people WHERE lower(name) = 'ärne'",
    mended: `SELECT id FROM people WHERE lower(name COLLATE "C") = 'ärne'`
  },
  {
    cause: 'collation',
    faulty: 'SELECT id, name FROM people ORDER BY name',
    mended: 'SELECT id, name FROM people ORDER BY name COLLATE "C"'
  },
  { cause: 'collation', faulty: "SELECT id FROM people WHERE name > 'a'", mended: 'SELECT id FROM people WHERE name > \'a\' COLLATE "C"' },
  { cause: 'collation', faulty: 'SELECT max(name) AS last FROM people', mended: 'SELECT max(name COLLATE "C") AS last FROM people' },
  {
    cause: 'collation',
    faulty: 'SELECT id FROM people ORDER BY name DESC LIMIT 1',
    mended: 'SELECT id FROM people ORDER BY name COLLATE "C" DESC LIMIT 1'
  },
  {
    cause: 'collation',
    faulty: 'SELECT id, row_number() OVER (ORDER BY name) AS place FROM people ORDER BY id',
    mended: 'SELECT id, row_number() OVER (ORDER BY name COLLATE "C") AS place FROM people ORDER BY id'
  },
  {
    cause: 'substr-start',
    faulty: 'SELECT id, substr(name, -3) AS tail FROM people',
    mended: 'SELECT id, substr(name, length(name) - 2) AS tail FROM people'
  },
  {
    cause: 'substr-start',
    faulty: 'SELECT id, substr(name, 3, -2) AS head FROM people',
    mended: 'SELECT id, substr(name, 1, 2) AS head FROM people'
  },
  {
    cause: 'text-of-number',
    faulty: "SELECT id, name || ': ' || weight AS line FROM people",
    mended: "SELECT id, name || ': ' || CAST(CAST(floor(weight * 100 + 0.5) AS INTEGER) AS TEXT) AS line FROM people"
  },
  {
    cause: 'text-of-boolean',
    faulty: 'SELECT id, name || active AS line FROM people',
    mended: "SELECT id, name || CASE WHEN active THEN 'true' ELSE 'false' END AS line FROM people"
  },
  {
    cause: 'concat-operands',
    faulty: 'SELECT id, age || age AS twice FROM people',
    mended: 'SELECT id, CAST(age AS TEXT) || CAST(age AS TEXT) AS twice FROM people'
  },
  {
    cause: 'precedence',
    faulty: "SELECT id, 'x' || age + 1 AS next FROM people",
    mended: "SELECT id, 'x' || (age + 1) AS next FROM people"
  },
  { cause: 'glob', faulty: "SELECT id FROM people WHERE name GLOB 'a*'", mended: "SELECT id FROM people WHERE substr(name, 1, 1) = 'a'" },
  { cause: 'regexp', faulty: "SELECT id FROM people WHERE name ~ '^a'", mended: "SELECT id FROM people WHERE substr(name, 1, 1) = 'a'" },
  {
    cause: 'regexp',
    faulty: "SELECT id FROM people WHERE name REGEXP '^a'",
    mended: "SELECT id FROM people WHERE substr(name, 1, 1) = 'a'"
  },
  {
    cause: 'text-functions',
    faulty: "SELECT id, instr(name, 'n') AS place FROM people",
    mended: "SELECT id, length(name) - length(replace(name, 'n', '')) AS places FROM people"
  },
  {
    cause: 'text-functions',
    faulty: "SELECT id, position('n' IN name) AS place FROM people",
    mended: "SELECT id FROM people WHERE name LIKE '%n%'"
  },
  {
    cause: 'text-functions',
    faulty: 'SELECT id, left(name, 2) AS head FROM people',
    mended: 'SELECT id, substr(name, 1, 2) AS head FROM people'
  },
  {
    cause: 'text-functions',
    faulty: "SELECT id, printf('%s!', name) AS line FROM people",
    mended: "SELECT id, name || '!' AS line FROM people"
  },
  {
    cause: 'function-keywords',
    faulty: 'SELECT id, substring(name FROM 2 FOR 2) AS part FROM people',
    mended: 'SELECT id, substr(name, 2, 2) AS part FROM people'
  },
  {
    cause: 'text-argument',
    faulty: 'SELECT id, length(age) AS digits FROM people',
    mended: 'SELECT id, length(CAST(age AS TEXT)) AS digits FROM people'
  },
  {
    cause: 'text-argument',
    faulty: 'SELECT id, upper(doc) AS shout FROM people',
    mended: 'SELECT id, upper(CAST(doc AS TEXT)) AS shout FROM people'
  },
  {
    cause: 'string-aggregate',
    faulty: 'SELECT group_concat(name) AS names FROM people',
    mended: "SELECT string_agg(name, ',' ORDER BY id) AS names FROM people"
  },
  {
    cause: 'string-aggregate',
    faulty: "SELECT string_agg(hits, ',') AS hits FROM visits",
    mended: "SELECT string_agg(CAST(hits AS TEXT), ',' ORDER BY id) AS hits FROM visits"
  },
  {
    cause: 'aggregate-order',
    faulty: "SELECT string_agg(name, ',') AS names FROM people",
    mended: "SELECT string_agg(name, ',' ORDER BY id) AS names FROM people",
    rows: 'UPDATE people SET age = 1 WHERE id = 1'
  },

  // Numbers
  {
    cause: 'division-by-zero',
    faulty: 'SELECT id, 10 / hits AS share FROM visits',
    mended: 'SELECT id, 10 / nullif(hits, 0) AS share FROM visits'
  },
  {
    cause: 'division-by-zero',
    faulty: 'SELECT id, 10 % hits AS rest FROM visits',
    mended: 'SELECT id, 10 % nullif(hits, 0) AS rest FROM visits'
  },
  {
    cause: 'decimal-literal',
    faulty: 'SELECT id, age * 1.5 AS more FROM people',
    mended: 'SELECT id, CAST(age AS DOUBLE PRECISION) * 1.5 AS more FROM people'
  },
  { cause: 'decimal-literal', faulty: 'SELECT 0.5 AS half', mended: 'SELECT CAST(0.5 AS DOUBLE PRECISION) AS half' },
  {
    cause: 'round-half',
    faulty: 'SELECT id, round(weight) AS rounded FROM people',
    mended: 'SELECT id, floor(weight + 0.5) AS rounded FROM people'
  },
  {
    cause: 'round-digits',
    faulty: 'SELECT id, round(weight, 1) AS rounded FROM people',
    mended: 'SELECT id, floor(weight * 10 + 0.5) / 10 AS rounded FROM people'
  },
  {
    cause: 'cast-to-integer',
    faulty: 'SELECT id, CAST(weight AS INTEGER) AS whole FROM people',
    mended: 'SELECT id, CAST(floor(weight) AS INTEGER) AS whole FROM people'
  },
  {
    cause: 'cast-of-text',
    faulty: 'SELECT id, CAST(email AS INTEGER) AS number FROM people',
    mended: 'SELECT id, CAST(CAST(age AS TEXT) AS INTEGER) AS number FROM people'
  },
  {
    cause: 'average',
    faulty: 'SELECT avg(age) AS average FROM people',
    mended: 'SELECT CAST(avg(age) AS DOUBLE PRECISION) AS average FROM people'
  },
  {
    cause: 'sum-of-bigint',
    faulty: 'SELECT sum(points) AS total FROM people',
    mended: 'SELECT CAST(sum(points) AS BIGINT) AS total FROM people'
  },
  {
    cause: 'numeric-as-text',
    faulty: 'SELECT id FROM people ORDER BY amount',
    mended: 'SELECT id FROM people ORDER BY CAST(amount AS DOUBLE PRECISION)'
  },
  {
    cause: 'numeric-as-text',
    faulty: 'SELECT sum(amount) AS total FROM people',
    mended: 'SELECT sum(CAST(amount AS DOUBLE PRECISION)) AS total FROM people'
  },
  {
    cause: 'numeric-as-text',
    faulty: 'SELECT id FROM people WHERE amount > 9',
    mended: 'SELECT id FROM people WHERE CAST(amount AS DOUBLE PRECISION) > 9'
  },
  {
    cause: 'numeric-as-text',
    faulty: 'SELECT max(amount) AS largest FROM people',
    mended: 'SELECT max(CAST(amount AS DOUBLE PRECISION)) AS largest FROM people'
  },
  {
    cause: 'integer-overflow',
    faulty: 'SELECT id, hits * 1000000 AS micros FROM visits',
    mended: 'SELECT id, CAST(hits AS BIGINT) * 1000000 AS micros FROM visits'
  },
  {
    cause: 'integer-overflow',
    faulty: 'UPDATE visits SET hits = 3000000000 WHERE id = 1',
    mended: 'UPDATE people SET points = 3000000000 WHERE id = 1'
  },
  {
    cause: 'integer-overflow',
    faulty: 'SELECT id FROM people WHERE CAST(points * 1000000000 AS INTEGER) > 0',
    mended: 'SELECT id FROM people WHERE CAST(points * 1000000000 AS BIGINT) > 0'
  },
  {
    cause: 'bit-shift',
    faulty: 'SELECT id, hits << 28 AS shifted FROM visits',
    mended: 'SELECT id, CAST(hits AS BIGINT) << 28 AS shifted FROM visits'
  },
  {
    cause: 'domain-of-function',
    faulty: 'SELECT id, sqrt(weight) AS root FROM people',
    mended: 'SELECT id, CASE WHEN weight >= 0 THEN sqrt(weight) END AS root FROM people'
  },
  {
    cause: 'domain-of-function',
    faulty: 'SELECT id, ln(weight) AS log FROM people',
    mended: 'SELECT id, CASE WHEN weight > 0 THEN ln(weight) END AS log FROM people'
  },
  {
    cause: 'modulo',
    faulty: 'SELECT id, weight % 2 AS rest FROM people',
    mended: 'SELECT id, CAST(floor(weight) AS INTEGER) % 2 AS rest FROM people'
  },
  {
    cause: 'random',
    faulty: 'SELECT count(*) AS hits FROM people WHERE random() NOT BETWEEN 0 AND 1',
    mended: '-- @param random double\nSELECT count(*) AS hits FROM people WHERE :random NOT BETWEEN 0 AND 1',
    parameters: { random: 0.5 }
  },
  {
    cause: 'min-max-scalar',
    faulty: 'SELECT id, max(age, 18) AS least FROM people',
    mended: 'SELECT id, CASE WHEN age < 18 THEN 18 ELSE age END AS least FROM people'
  },
  { cause: 'total', faulty: 'SELECT total(hits) AS total FROM visits', mended: 'SELECT coalesce(sum(hits), 0) AS total FROM visits' },
  {
    cause: 'untyped-parameter',
    faulty: 'SELECT id, :tag AS tag FROM people',
    mended: '-- @param tag integer\nSELECT id, :tag AS tag FROM people',
    parameters: { tag: 5 }
  },
  {
    cause: 'hex-literal',
    faulty: "SELECT x'0102' AS magic",
    mended: '-- @param magic bytea\nSELECT :magic AS magic',
    parameters: { magic: Buffer.from([1, 2]) }
  },
  {
    cause: 'real',
    faulty: 'SELECT size FROM parts',
    mended: 'SELECT size FROM parts',
    tables: 'CREATE TABLE parts (size REAL);',
    mendedTables: 'CREATE TABLE parts (size DOUBLE PRECISION);',
    rows: 'INSERT INTO parts VALUES (16777217)'
  },
  {
    cause: 'real',
    faulty: 'SELECT sum(size) AS size FROM parts',
    mended: 'SELECT sum(size) AS size FROM parts',
    tables: 'CREATE TABLE parts (size REAL);',
    mendedTables: 'CREATE TABLE parts (size DOUBLE PRECISION);',
    rows: 'INSERT INTO parts VALUES (16777217), (1)'
  },

  // Comparisons and booleans
  {
    cause: 'quoted-number',
    faulty: "SELECT id FROM people WHERE length(name) = '3'",
    mended: 'SELECT id FROM people WHERE length(name) = 3'
  },
  {
    cause: 'mixed-types',
    faulty: 'SELECT id FROM people WHERE email = age',
    mended: 'SELECT id FROM people WHERE email = CAST(age AS TEXT)'
  },
  { cause: 'boolean-literal', faulty: "SELECT id FROM people WHERE active = 'true'", mended: 'SELECT id FROM people WHERE active = TRUE' },
  { cause: 'boolean-literal', faulty: 'SELECT id FROM people WHERE active = 1', mended: 'SELECT id FROM people WHERE active' },
  {
    cause: 'boolean-literal',
    faulty: "UPDATE people SET active = 't' WHERE id = 2",
    mended: 'UPDATE people SET active = TRUE WHERE id = 2',
    after: 'SELECT active FROM people WHERE id = 2'
  },
  {
    cause: 'boolean-arithmetic',
    faulty: 'SELECT sum(active) AS actives FROM people',
    mended: 'SELECT count(*) FILTER (WHERE active) AS actives FROM people'
  },
  {
    cause: 'boolean-arithmetic',
    faulty: 'SELECT id, (age > 18) + 1 AS grade FROM people',
    mended: 'SELECT id, CASE WHEN age > 18 THEN 2 WHEN age <= 18 THEN 1 END AS grade FROM people'
  },
  {
    cause: 'boolean-result',
    faulty: 'SELECT id, weight > 2 AS heavy FROM people',
    mended: 'SELECT id, CASE WHEN weight > 2 THEN 1 ELSE 0 END AS heavy FROM people'
  },
  {
    cause: 'boolean-result',
    faulty: 'SELECT EXISTS (SELECT 1 FROM visits) AS found',
    mended: 'SELECT CASE WHEN EXISTS (SELECT 1 FROM visits) THEN 1 ELSE 0 END AS found'
  },
  { cause: 'number-as-condition', faulty: 'SELECT id FROM people WHERE age', mended: 'SELECT id FROM people WHERE age <> 0' },
  {
    cause: 'number-as-condition',
    faulty: 'SELECT id, CASE WHEN points THEN 1 ELSE 0 END AS any FROM people',
    mended: 'SELECT id, CASE WHEN points <> 0 THEN 1 ELSE 0 END AS some FROM people'
  },
  {
    cause: 'is-with-value',
    faulty: "SELECT id FROM people WHERE email IS 'a_b@x.org'",
    mended: "SELECT id FROM people WHERE email IS NOT DISTINCT FROM 'a_b@x.org'"
  },
  { cause: 'double-equals', faulty: 'SELECT id FROM people WHERE age == 30', mended: 'SELECT id FROM people WHERE age = 30' },
  {
    cause: 'max-of-boolean',
    faulty: 'SELECT max(active) AS active FROM people',
    mended: 'SELECT max(CASE WHEN active THEN 1 ELSE 0 END) AS active FROM people'
  },

  // Order and limits
  { cause: 'null-order', faulty: 'SELECT id FROM people ORDER BY age, id', mended: 'SELECT id FROM people ORDER BY age NULLS LAST, id' },
  {
    cause: 'null-order',
    faulty: 'SELECT id FROM people ORDER BY age DESC, id LIMIT 1',
    mended: 'SELECT id FROM people ORDER BY age DESC NULLS LAST, id LIMIT 1'
  },
  {
    cause: 'null-order',
    faulty: 'SELECT id, first_value(id) OVER (ORDER BY age) AS first FROM people ORDER BY id',
    mended: 'SELECT id, first_value(id) OVER (ORDER BY age NULLS LAST) AS first FROM people ORDER BY id'
  },
  { cause: 'limit-negative', faulty: 'SELECT id FROM people ORDER BY id LIMIT -1', mended: 'SELECT id FROM people ORDER BY id' },
  {
    cause: 'limit-negative',
    faulty: 'SELECT id FROM people ORDER BY id LIMIT 2 OFFSET -1',
    mended: 'SELECT id FROM people ORDER BY id LIMIT 2 OFFSET 0'
  },
  {
    cause: 'limit-comma',
    faulty: 'SELECT id FROM people ORDER BY id LIMIT 1, 2',
    mended: 'SELECT id FROM people ORDER BY id LIMIT 2 OFFSET 1'
  },
  { cause: 'limit-null', faulty: 'SELECT id FROM people ORDER BY id LIMIT NULL', mended: 'SELECT id FROM people ORDER BY id' },
  {
    cause: 'limit-without-order',
    faulty: "SELECT id, name FROM people WHERE name < 'z' LIMIT 1",
    mended: "SELECT id, name FROM people WHERE name < 'z' ORDER BY id LIMIT 1",
    rows: 'UPDATE people SET age = 1 WHERE id = 1'
  },
  {
    cause: 'fetch-first',
    faulty: 'SELECT id FROM people ORDER BY id FETCH FIRST 2 ROWS ONLY',
    mended: 'SELECT id FROM people ORDER BY id LIMIT 2'
  },
  {
    cause: 'distinct-order',
    faulty: 'SELECT DISTINCT active FROM people ORDER BY age',
    mended: 'SELECT active FROM people GROUP BY active ORDER BY max(age) NULLS LAST'
  },
  {
    cause: 'distinct-on',
    faulty: 'SELECT DISTINCT ON (person) person, hits FROM visits ORDER BY person, hits',
    mended: 'SELECT person, min(hits) AS hits FROM visits GROUP BY person ORDER BY person'
  },
  {
    cause: 'bare-column',
    faulty: 'SELECT person, place, max(hits) AS hits FROM visits GROUP BY person',
    mended: 'SELECT person, max(hits) AS hits FROM visits GROUP BY person'
  },
  {
    cause: 'bare-column',
    faulty: 'SELECT name, count(*) AS n FROM people',
    mended: 'SELECT name, count(*) AS n FROM people GROUP BY name'
  },
  {
    cause: 'alias-in-condition',
    faulty: 'SELECT points + 1 AS more FROM people WHERE more > 3',
    mended: 'SELECT points + 1 AS more FROM people WHERE points + 1 > 3'
  },
  {
    cause: 'alias-in-condition',
    faulty: 'SELECT person, sum(hits) AS total FROM visits GROUP BY person HAVING total > 0',
    mended: 'SELECT person, sum(hits) AS total FROM visits GROUP BY person HAVING sum(hits) > 0'
  },

  // Times
  {
    cause: 'current-timestamp',
    faulty: 'SELECT id FROM people WHERE seen >= CURRENT_TIMESTAMP',
    mended: 'SELECT id FROM people WHERE seen >= sql.now()',
    rows: "UPDATE people SET seen = strftime('%Y-%m-%dT00:00:00.000Z', 'now'); -- @sqlite\nUPDATE people SET seen = date_trunc('day', statement_timestamp()); -- @postgres\n"
  },
  {
    cause: 'current-timestamp',
    faulty: 'SELECT CURRENT_TIMESTAMP AS now',
    mended: "SELECT CASE WHEN sql.now() > sql.shift(sql.now(), -1, 'days') THEN 1 ELSE 0 END AS later"
  },
  {
    cause: 'time-literal',
    faulty: "SELECT id FROM people WHERE seen > '2024-01-31 11:00:00'",
    mended: "SELECT id FROM people WHERE seen > '2024-01-31T11:00:00.000Z'"
  },
  {
    cause: 'time-literal',
    faulty: "SELECT id FROM people WHERE seen <= '2024-01-31'",
    mended: "SELECT id FROM people WHERE seen <= '2024-01-31T00:00:00.000Z'"
  },
  {
    cause: 'time-literal',
    faulty: "SELECT id FROM people WHERE seen BETWEEN '2024-01-31T00:00Z' AND '2024-01-31T10:30:00Z'",
    mended: "SELECT id FROM people WHERE seen BETWEEN '2024-01-31T00:00:00.000Z' AND '2024-01-31T10:30:00.000Z'"
  },
  {
    cause: 'date-with-time',
    faulty: 'SELECT id FROM people WHERE born = seen',
    mended: 'SELECT id FROM people WHERE born = sql.day(seen)'
  },
  {
    cause: 'date-arithmetic',
    faulty: 'SELECT id, born + 1 AS next FROM people',
    mended: "SELECT id, sql.day(sql.shift(born, 1, 'days')) AS next FROM people"
  },
  { cause: 'date-arithmetic', faulty: 'SELECT id, seen - born AS days FROM people', mended: 'SELECT id, born, seen FROM people' },
  {
    cause: 'cast-to-time',
    faulty: "SELECT id FROM people WHERE born >= CAST('2024-02-01' AS DATE)",
    mended: "SELECT id FROM people WHERE born >= '2024-02-01'"
  },
  {
    cause: 'cast-to-time',
    faulty: 'SELECT id, CAST(seen AS DATE) AS day FROM people',
    mended: 'SELECT id, sql.day(seen) AS day FROM people'
  },
  {
    cause: 'cast-to-other',
    faulty: 'SELECT id, CAST(age AS BOOLEAN) AS truth FROM people',
    mended: 'SELECT id, CASE WHEN age <> 0 THEN 1 ELSE 0 END AS truth FROM people'
  },
  { cause: 'cast-to-other', faulty: "SELECT CAST('[1, 2]' AS JSON) AS list", mended: "SELECT CAST('[1, 2]' AS TEXT) AS list" },
  {
    cause: 'cast-to-numeric',
    faulty: 'SELECT id, CAST(age AS NUMERIC) AS number FROM people',
    mended: 'SELECT id, CAST(age AS DOUBLE PRECISION) AS number FROM people'
  },
  {
    cause: 'cast-to-length',
    faulty: 'SELECT id, CAST(name AS VARCHAR(2)) AS head FROM people',
    mended: 'SELECT id, substr(name, 1, 2) AS head FROM people'
  },
  {
    cause: 'expression-of-time',
    faulty: 'SELECT max(seen) AS latest FROM people',
    mended: 'SELECT seen AS latest FROM people ORDER BY seen DESC LIMIT 1'
  },
  {
    cause: 'sqlite-times',
    faulty: "SELECT id, strftime('%Y-%m-%d', seen) AS day FROM people",
    mended: 'SELECT id, sql.day(seen) AS day FROM people'
  },
  {
    cause: 'sqlite-times',
    faulty: "SELECT id FROM people WHERE seen < datetime('now', '-7 days')",
    mended: "SELECT id FROM people WHERE seen < sql.shift(sql.now(), -7, 'days')"
  },
  {
    cause: 'sqlite-times',
    faulty: "SELECT id, date(seen, '+1 day') AS next FROM people",
    mended: "SELECT id, sql.day(sql.shift(seen, 1, 'days')) AS next FROM people"
  },
  {
    cause: 'postgres-times',
    faulty: "SELECT id, date_trunc('day', seen) AS day FROM people",
    mended: 'SELECT id, sql.day(seen) AS day FROM people'
  },
  {
    cause: 'postgres-times',
    faulty: 'SELECT id, extract(HOUR FROM seen) AS hour FROM people',
    mended: 'SELECT id, sql.hour(seen) AS hour FROM people'
  },
  {
    cause: 'postgres-times',
    faulty: "SELECT id FROM people WHERE seen < now() - INTERVAL '7 days'",
    mended: "SELECT id FROM people WHERE seen < sql.shift(sql.now(), -7, 'days')"
  },
  {
    cause: 'postgres-times',
    faulty: "SELECT id, to_char(seen, 'YYYY-MM-DD') AS day FROM people",
    mended: 'SELECT id, sql.day(seen) AS day FROM people'
  },
  {
    cause: 'zone-ignored',
    faulty: "INSERT INTO alarms (at) VALUES ('2024-03-10T01:30:00.000+05:00') RETURNING at",
    mended: "INSERT INTO alarms (at) VALUES ('2024-03-09T20:30:00.000Z') RETURNING at",
    tables: 'CREATE TABLE alarms (at TIMESTAMP);'
  },
  {
    cause: 'date-with-time',
    faulty: 'INSERT INTO days (day) VALUES (:at) RETURNING day',
    mended: 'INSERT INTO days (day) VALUES (sql.day(:at)) RETURNING day',
    parameters: { at: new Date('2024-03-09T20:30:00Z') },
    tables: 'CREATE TABLE days (day DATE);'
  },

  // JSON
  {
    cause: 'json-text',
    faulty: "SELECT id, doc ->> 'n' AS n FROM people",
    mended: "SELECT id, CAST(doc ->> 'n' AS INTEGER) AS n FROM people"
  },
  {
    cause: 'json-text',
    faulty: "SELECT id FROM people WHERE doc ->> 'n' = '5'",
    mended: "SELECT id FROM people WHERE CAST(doc ->> 'n' AS TEXT) = '5'"
  },
  {
    cause: 'json-text',
    faulty: "SELECT id FROM people WHERE doc ->> 'n' = 5",
    mended: "SELECT id FROM people WHERE CAST(doc ->> 'n' AS INTEGER) = 5"
  },
  {
    cause: 'json-boolean',
    faulty: "SELECT id FROM people WHERE doc ->> 't' = 'true'",
    mended: "SELECT id FROM people WHERE CAST(doc -> 't' AS TEXT) = 'true'"
  },
  {
    cause: 'json-part',
    faulty: "SELECT id, doc -> 'tags' AS tags FROM people",
    mended: "SELECT id, CAST(doc -> 'n' AS TEXT) AS n FROM people"
  },
  {
    cause: 'json-comparison',
    faulty: "SELECT id FROM people WHERE doc -> 'n' = 'null'",
    mended: "SELECT id FROM people WHERE CAST(doc -> 'n' AS TEXT) = 'null'"
  },
  {
    cause: 'json-path',
    faulty: "SELECT id, doc -> '$.tags' AS tags FROM people",
    mended: "SELECT id, CAST(doc -> 'n' AS TEXT) AS n FROM people"
  },
  {
    cause: 'json-array-length',
    faulty: "SELECT id, json_array_length(doc -> 'tags') AS tags FROM people",
    mended:
      "SELECT id, CASE WHEN CAST(doc -> 'tags' AS TEXT) LIKE '[%' THEN json_array_length(doc -> 'tags') ELSE 0 END AS tags FROM people"
  },
  {
    cause: 'json-functions',
    faulty: "SELECT id, json_extract(doc, '$.n') AS n FROM people",
    mended: "SELECT id, CAST(doc ->> 'n' AS INTEGER) AS n FROM people"
  },
  {
    cause: 'json-functions',
    faulty: "SELECT id, jsonb_set(CAST(doc AS JSONB), '{n}', '6') AS doc FROM people",
    mended: 'SELECT id, doc FROM people'
  },
  {
    cause: 'json-functions',
    faulty: 'SELECT json_group_array(name) AS names FROM people',
    mended: "SELECT string_agg(name, ',' ORDER BY id) AS names FROM people"
  },
  { cause: 'json-comparison', faulty: 'SELECT DISTINCT doc FROM people', mended: 'SELECT DISTINCT CAST(doc AS TEXT) AS doc FROM people' },

  // Names
  { cause: 'folded-name', faulty: 'SELECT id, name AS firstName FROM people', mended: 'SELECT id, name AS "firstName" FROM people' },
  { cause: 'unnamed-column', faulty: 'SELECT count(*) FROM people', mended: 'SELECT count(*) AS n FROM people' },
  {
    cause: 'unnamed-column',
    faulty: 'SELECT id, upper(name), points + 1 FROM people WHERE id = 1',
    mended: 'SELECT id, upper(name) AS upper, points + 1 AS next FROM people WHERE id = 1'
  },
  { cause: 'string-as-alias', faulty: "SELECT id AS 'number' FROM people", mended: 'SELECT id AS "number" FROM people' },
  { cause: 'rowid', faulty: 'SELECT rowid FROM people', mended: 'SELECT id FROM people' },
  { cause: 'postgres-cast', faulty: 'SELECT id, age::TEXT AS age FROM people', mended: 'SELECT id, CAST(age AS TEXT) AS age FROM people' },
  {
    cause: 'sqlite-functions',
    faulty: 'SELECT id, ifnull(age, 0) AS age FROM people',
    mended: 'SELECT id, coalesce(age, 0) AS age FROM people'
  },
  {
    cause: 'sqlite-functions',
    faulty: "SELECT id, iif(active, 'yes', 'no') AS active FROM people",
    mended: "SELECT id, CASE WHEN active THEN 'yes' ELSE 'no' END AS active FROM people"
  },
  {
    cause: 'typeof',
    faulty: 'SELECT id, typeof(age) AS kind FROM people',
    mended: "SELECT id, CASE WHEN age IS NULL THEN 'null' ELSE 'integer' END AS kind FROM people"
  },
  {
    cause: 'postgres-functions',
    faulty: 'SELECT n FROM generate_series(1, 3) AS n',
    mended: 'WITH RECURSIVE steps (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM steps WHERE n < 3) SELECT n FROM steps ORDER BY n'
  },
  {
    cause: 'postgres-functions',
    faulty: 'SELECT array_agg(id) AS ids FROM people',
    mended: "SELECT string_agg(CAST(id AS TEXT), ',' ORDER BY id) AS ids FROM people"
  },

  // Writes
  {
    cause: 'insert-or',
    faulty:
      'INSERT OR IGNORE INTO people (id, name, points, weight, active, seen, doc, amount) SELECT id, name, points, weight, active, seen, doc, amount FROM people',
    mended:
      'INSERT INTO people (id, name, points, weight, active, seen, doc, amount) SELECT id, name, points, weight, active, seen, doc, amount FROM people WHERE TRUE ON CONFLICT (id) DO NOTHING'
  },
  {
    cause: 'insert-or',
    faulty: 'REPLACE INTO visits (id, person, hits) VALUES (1, 1, 1)',
    mended:
      'INSERT INTO visits (id, person, hits) VALUES (1, 1, 1) ON CONFLICT (id) DO UPDATE SET person = excluded.person, hits = excluded.hits'
  },
  {
    cause: 'upsert-twice',
    faulty:
      'INSERT INTO people (id, name, points, weight, active, seen, doc, amount) SELECT p.id, p.name || v.hits, points, weight, active, seen, doc, amount FROM people AS p JOIN visits AS v ON v.person = p.id WHERE TRUE ON CONFLICT (id) DO UPDATE SET points = people.points + 1',
    mended:
      'INSERT INTO people (id, name, points, weight, active, seen, doc, amount) SELECT p.id, p.name, points, weight, active, seen, doc, amount FROM people AS p WHERE p.id IN (SELECT person FROM visits) ON CONFLICT (id) DO UPDATE SET points = people.points + 1'
  },
  {
    cause: 'upsert-without-where',
    faulty:
      'INSERT INTO people (id, name, points, weight, active, seen, doc, amount) SELECT id, name, points, weight, active, seen, doc, amount FROM people ON CONFLICT (id) DO NOTHING',
    mended:
      'INSERT INTO people (id, name, points, weight, active, seen, doc, amount) SELECT id, name, points, weight, active, seen, doc, amount FROM people WHERE TRUE ON CONFLICT (id) DO NOTHING'
  },
  {
    cause: 'upsert-ambiguous',
    faulty:
      "INSERT INTO people (id, name, points, weight, active, seen, doc, amount) VALUES (1, 'x', 1, 1, TRUE, '2024-01-01T00:00:00.000Z', '{}', '1') ON CONFLICT (id) DO UPDATE SET points = points + 1",
    mended:
      "INSERT INTO people (id, name, points, weight, active, seen, doc, amount) VALUES (1, 'x', 1, 1, TRUE, '2024-01-01T00:00:00.000Z', '{}', '1') ON CONFLICT (id) DO UPDATE SET points = people.points + 1"
  },
  {
    cause: 'reused-id',
    faulty: 'INSERT INTO notes (body) VALUES (:body) RETURNING id',
    mended: 'INSERT INTO notes (body) VALUES (:body) RETURNING id',
    parameters: { body: 'd' },
    tables: 'CREATE TABLE notes (\n  id INTEGER PRIMARY KEY, -- @sqlite\n  id SERIAL PRIMARY KEY, -- @postgres\n  body TEXT NOT NULL\n);',
    mendedTables: 'CREATE TABLE notes (id sql.autoId, body TEXT NOT NULL);',
    rows: "INSERT INTO notes (body) VALUES ('a'), ('b'); DELETE FROM notes WHERE body = 'b'"
  },
  {
    cause: 'varchar-length',
    faulty: 'UPDATE tags SET label = :label WHERE id = :id',
    mended: 'UPDATE tags SET label = :label WHERE id = :id',
    parameters: { id: 1, label: 'too long' },
    tables: 'CREATE TABLE tags (id INTEGER NOT NULL PRIMARY KEY, label VARCHAR(5) NOT NULL);',
    mendedTables: 'CREATE TABLE tags (id INTEGER NOT NULL PRIMARY KEY, label TEXT NOT NULL);',
    rows: "INSERT INTO tags VALUES (1, 'a')"
  },
  {
    cause: 'char-padding',
    faulty: 'SELECT id, code FROM codes ORDER BY id',
    mended: 'SELECT id, code FROM codes ORDER BY id',
    tables: 'CREATE TABLE codes (id INTEGER NOT NULL PRIMARY KEY, code CHAR(5) NOT NULL);',
    mendedTables: 'CREATE TABLE codes (id INTEGER NOT NULL PRIMARY KEY, code TEXT NOT NULL CHECK (length(code) <= 5));',
    rows: "INSERT INTO codes VALUES (1, 'ab')"
  },
  {
    cause: 'char-padding',
    faulty: 'SELECT * FROM codes',
    mended: 'SELECT * FROM codes',
    tables: 'CREATE TABLE codes (id INTEGER NOT NULL PRIMARY KEY, code CHAR(5) NOT NULL);',
    mendedTables: 'CREATE TABLE codes (id INTEGER NOT NULL PRIMARY KEY, code TEXT NOT NULL CHECK (length(code) <= 5));',
    rows: "INSERT INTO codes VALUES (1, 'ab')"
  },
  {
    cause: 'update-from-many',
    faulty: 'UPDATE people SET points = v.hits FROM visits AS v WHERE v.person = people.id RETURNING people.id, people.points',
    mended:
      'UPDATE people SET points = (SELECT max(v.hits) FROM visits AS v WHERE v.person = people.id) WHERE id IN (SELECT person FROM visits) RETURNING id, points'
  },
  {
    cause: 'stored-type',
    faulty: 'UPDATE visits SET hits = 2.5 WHERE id = 1',
    mended: 'UPDATE visits SET hits = 3 WHERE id = 1',
    after: 'SELECT hits FROM visits WHERE id = 1'
  },
  {
    cause: 'stored-type',
    faulty: 'UPDATE people SET email = active WHERE id = 1',
    mended: "UPDATE people SET email = CASE WHEN active THEN 'true' ELSE 'false' END WHERE id = 1",
    after: 'SELECT email FROM people WHERE id = 1'
  },
  {
    cause: 'nulls-in-key',
    faulty: 'INSERT INTO keys (key) VALUES (NULL)',
    mended: "INSERT INTO keys (key) VALUES ('')",
    tables: 'CREATE TABLE keys (key TEXT PRIMARY KEY);'
  },
  {
    cause: 'limit-without-order',
    faulty: 'DELETE FROM visits WHERE person = 1 AND id IN (SELECT id FROM visits LIMIT 1) RETURNING hits',
    mended: 'DELETE FROM visits WHERE id = (SELECT min(id) FROM visits WHERE person = 1) RETURNING hits',
    rows: 'UPDATE visits SET hits = 4 WHERE id = 1'
  },
  { cause: 'locking', faulty: 'SELECT id FROM people FOR UPDATE', mended: 'SELECT id FROM people' },
  // More
  {
    cause: 'text-of-time',
    faulty: "SELECT id, name || ' ' || seen AS line FROM people",
    mended: "SELECT id, name || ' ' || sql.day(seen) AS line FROM people"
  },
  {
    cause: 'text-of-time',
    faulty: 'SELECT id, CAST(seen AS TEXT) AS seen FROM people',
    mended: 'SELECT id, sql.day(seen) AS seen FROM people'
  },
  { cause: 'text-of-number', faulty: 'SELECT id, CAST(weight AS TEXT) AS weight FROM people', mended: 'SELECT id, weight FROM people' },
  {
    cause: 'text-of-number',
    faulty: 'SELECT id, concat(name, weight) AS line FROM people',
    mended: 'SELECT id, concat(name, age) AS line FROM people'
  },
  {
    cause: 'precedence',
    faulty: "SELECT id, age + 1 || 'x' AS next FROM people",
    mended: "SELECT id, (age + 1) || 'x' AS next FROM people"
  },
  {
    cause: 'uuid-case',
    faulty: "SELECT id FROM tokens WHERE token = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
    mended: "SELECT id FROM tokens WHERE token = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
    tables: 'CREATE TABLE tokens (id INTEGER NOT NULL PRIMARY KEY, token UUID NOT NULL);',
    rows: "INSERT INTO tokens VALUES (1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')"
  },
  { cause: 'quoted-case', faulty: 'SELECT "Name" FROM people', mended: 'SELECT name FROM people' },
  {
    cause: 'real',
    faulty: 'SELECT CAST(weight AS REAL) * 2 AS twice FROM people',
    mended: 'SELECT CAST(weight AS DOUBLE PRECISION) * 2 AS twice FROM people'
  },
  {
    cause: 'power-operator',
    faulty: 'SELECT id, weight ^ 2 AS square FROM people',
    mended: 'SELECT id, power(weight, 2) AS square FROM people'
  },
  {
    cause: 'aggregate-of-text',
    faulty: 'SELECT sum(place) AS total FROM visits',
    mended: "SELECT sum(CAST(place AS INTEGER)) AS total FROM visits WHERE place = '7'"
  },
  {
    cause: 'untyped-parameter',
    faulty: 'SELECT id FROM people WHERE :age IS NULL OR age = :age',
    mended: '-- @param age integer null\nSELECT id FROM people WHERE :age IS NULL OR age = :age',
    parameters: { age: 30 }
  },
  { cause: 'quoted-number', faulty: "SELECT id FROM people WHERE age = ''", mended: 'SELECT id FROM people WHERE age IS NULL' },
  {
    cause: 'quoted-number',
    faulty: "SELECT person FROM visits GROUP BY person HAVING count(*) > '1'",
    mended: 'SELECT person FROM visits GROUP BY person HAVING count(*) > 1'
  },
  {
    cause: 'mixed-types',
    faulty: "SELECT coalesce(age, 'none') AS age FROM people",
    mended: "SELECT coalesce(CAST(age AS TEXT), 'none') AS age FROM people"
  },
  {
    cause: 'mixed-types',
    faulty: 'SELECT name AS x FROM people UNION SELECT hits FROM visits',
    mended: 'SELECT name AS x FROM people UNION SELECT CAST(hits AS TEXT) FROM visits'
  },
  {
    cause: 'boolean-literal',
    faulty: 'SELECT id FROM people WHERE coalesce(active, 0) = 1',
    mended: 'SELECT id FROM people WHERE coalesce(active, FALSE)'
  },
  {
    cause: 'any-subquery',
    faulty: 'SELECT id FROM people WHERE id = ANY (SELECT person FROM visits)',
    mended: 'SELECT id FROM people WHERE id IN (SELECT person FROM visits)'
  },
  {
    cause: 'limit-ties',
    faulty: 'SELECT id FROM people ORDER BY active DESC LIMIT 1',
    mended: 'SELECT id FROM people ORDER BY active DESC, id LIMIT 1',
    rows: 'UPDATE people SET age = 1 WHERE id = 1'
  },
  {
    cause: 'lateral',
    faulty: 'SELECT p.id, v.hits FROM people AS p CROSS JOIN LATERAL (SELECT max(hits) AS hits FROM visits WHERE person = p.id) AS v',
    mended: 'SELECT p.id, (SELECT max(hits) FROM visits WHERE person = p.id) AS hits FROM people AS p'
  },
  {
    cause: 'columns-of-alias',
    faulty: 'SELECT a FROM (VALUES (1), (2)) AS v (a)',
    mended: 'WITH v (a) AS (VALUES (1), (2)) SELECT a FROM v'
  },
  {
    cause: 'delete-using',
    faulty: 'DELETE FROM visits USING people WHERE people.id = visits.person AND people.active',
    mended: 'DELETE FROM visits WHERE person IN (SELECT id FROM people WHERE active)'
  },
  {
    cause: 'default-keyword',
    faulty: 'INSERT INTO visits (id, person, hits) VALUES (DEFAULT, 1, 2)',
    mended: 'INSERT INTO visits (person, hits) VALUES (1, 2)'
  },
  {
    cause: 'writing-with',
    faulty: 'WITH gone AS (DELETE FROM visits RETURNING hits) SELECT hits FROM gone',
    mended: 'DELETE FROM visits RETURNING hits'
  },
  { cause: 'truncate', faulty: 'TRUNCATE visits', mended: 'DELETE FROM visits' },
  {
    cause: 'collation-name',
    faulty: "SELECT id FROM people WHERE name = 'ANNA' COLLATE NOCASE",
    mended: `SELECT id FROM people WHERE lower(name COLLATE "C") = lower('ANNA' COLLATE "C")`
  },
  {
    cause: 'catalogue',
    faulty: "SELECT name FROM sqlite_master WHERE name = 'people'",
    mended:
      "-- @sqlite begin\nSELECT name FROM sqlite_master WHERE name = 'people'\n-- @end\n-- @postgres begin\nSELECT relname AS name FROM pg_class WHERE relname = 'people'\n-- @end\n"
  },
  {
    cause: 'subquery-of-many',
    faulty: 'SELECT id, (SELECT hits FROM visits WHERE person = people.id) AS hits FROM people',
    mended: 'SELECT id, (SELECT max(hits) FROM visits WHERE person = people.id) AS hits FROM people'
  },
  {
    cause: 'stored-type',
    faulty: 'UPDATE visits SET hits = place WHERE id = 1',
    mended: 'UPDATE visits SET hits = CAST(person AS INTEGER) WHERE id = 1'
  },
  { cause: 'text-into-number', faulty: "UPDATE visits SET hits = 'many' WHERE id = 1", mended: 'UPDATE visits SET hits = 1 WHERE id = 1' },
  { cause: 'arguments', faulty: 'SELECT id, abs(place) AS size FROM visits', mended: 'SELECT id, abs(hits) AS size FROM visits' },
  {
    cause: 'unknown-value',
    faulty: 'SELECT id FROM people WHERE age < :age',
    mended: '-- @param age double\nSELECT id FROM people WHERE age < :age',
    parameters: { age: 17.5 }
  },
  {
    cause: 'time-literal',
    faulty: "SELECT id FROM people WHERE seen > 'yesterday evening'",
    mended: "SELECT id FROM people WHERE seen > '2024-01-30T18:00:00.000Z'"
  },
  {
    cause: 'time-literal',
    faulty: "SELECT id FROM people WHERE born > '2024-1-5'",
    mended: "SELECT id FROM people WHERE born > '2024-01-05'"
  },
  {
    cause: 'postgres-times',
    faulty: "SELECT id FROM people WHERE born = DATE '2024-01-31'",
    mended: "SELECT id FROM people WHERE born = '2024-01-31'"
  },
  { cause: 'postgres-times', faulty: "SELECT id, seen AT TIME ZONE 'UTC' AS local FROM people", mended: 'SELECT id, seen FROM people' },
  {
    cause: 'json-functions',
    faulty: "SELECT id, doc #>> '{tags,0}' AS tag FROM people",
    mended: "SELECT id, CAST(doc ->> 's' AS TEXT) AS s FROM people"
  },
  {
    cause: 'json-text',
    faulty: "SELECT id FROM people ORDER BY doc ->> 'n' NULLS LAST, id",
    mended: "SELECT id FROM people ORDER BY CAST(doc ->> 'n' AS INTEGER) NULLS LAST, id",
    rows: `UPDATE people SET doc = '{"n":10}' WHERE id = 1; UPDATE people SET doc = '{"n":9}' WHERE id = 2`
  },
  {
    cause: 'decimal-literal',
    faulty: 'SELECT id, age / 2.0 AS half FROM people',
    mended: 'SELECT id, age / CAST(2 AS DOUBLE PRECISION) AS half FROM people'
  },
  {
    cause: 'average',
    faulty: 'SELECT person, avg(hits) AS mean FROM visits GROUP BY person',
    mended: 'SELECT person, CAST(avg(hits) AS DOUBLE PRECISION) AS mean FROM visits GROUP BY person'
  },
  {
    cause: 'null-order',
    faulty: 'SELECT id, email FROM people ORDER BY email DESC',
    mended: 'SELECT id, email FROM people ORDER BY email COLLATE "C" DESC NULLS LAST'
  },
  { cause: 'not-null-operator', faulty: 'SELECT id FROM people WHERE age NOT NULL', mended: 'SELECT id FROM people WHERE age IS NOT NULL' },
  {
    cause: 'between-symmetric',
    faulty: 'SELECT id FROM people WHERE age BETWEEN SYMMETRIC 30 AND 17',
    mended: 'SELECT id FROM people WHERE age BETWEEN 17 AND 30'
  },
  {
    cause: 'write-limit',
    faulty: 'DELETE FROM visits ORDER BY id LIMIT 1',
    mended: 'DELETE FROM visits WHERE id IN (SELECT id FROM visits ORDER BY id LIMIT 1)'
  },
  {
    cause: 'returning-table',
    faulty: 'DELETE FROM visits WHERE id = 1 RETURNING visits.*',
    mended: 'DELETE FROM visits WHERE id = 1 RETURNING *'
  },
  {
    cause: 'collation',
    faulty: 'SELECT DISTINCT name FROM people ORDER BY 1',
    mended: 'SELECT DISTINCT name COLLATE "C" AS name FROM people ORDER BY 1'
  },
  { cause: 'quoted-number', faulty: "SELECT nullif(age, '30') AS n FROM people", mended: 'SELECT nullif(age, 30) AS n FROM people' },
  {
    cause: 'decimal-literal',
    faulty: 'SELECT 99999999999999999999 AS n',
    mended: 'SELECT CAST(99999999999999999999 AS DOUBLE PRECISION) AS n'
  },
  {
    cause: 'unnamed-column',
    faulty: 'SELECT points * 2 FROM people WHERE id = 1',
    mended: 'SELECT points * 2 AS twice FROM people WHERE id = 1'
  },
  {
    cause: 'like-case',
    faulty: "SELECT id, CASE WHEN name LIKE 'a%' THEN 'yes' ELSE 'no' END AS a FROM people",
    mended: "SELECT id, CASE WHEN substr(name, 1, 1) = 'a' THEN 'yes' ELSE 'no' END AS a FROM people"
  },
  {
    cause: 'substr-start',
    faulty: '-- @param n integer\nSELECT id, substr(name, :n) AS tail FROM people',
    mended: '-- @param n integer\nSELECT id, substr(name, length(name) + 1 + :n) AS tail FROM people',
    parameters: { n: -2 }
  },
  { cause: 'glob', faulty: "SELECT id FROM people WHERE name MATCH 'a'", mended: "SELECT id FROM people WHERE lower(name) LIKE '%a%'" },
  { cause: 'text-functions', faulty: 'SELECT char_length(name) AS n FROM people', mended: 'SELECT length(name) AS n FROM people' },
  {
    cause: 'distinct-on',
    faulty: 'SELECT DISTINCT ON (person) person, hits FROM visits ORDER BY person, hits DESC',
    mended:
      'SELECT person, hits FROM (SELECT person, hits, row_number() OVER (PARTITION BY person ORDER BY hits DESC) AS place FROM visits) AS v WHERE place = 1 ORDER BY person'
  },
  {
    cause: 'function-keywords',
    faulty: "SELECT trim(BOTH 'a' FROM name) AS name FROM people",
    mended: "SELECT trim(name, 'a') AS name FROM people"
  },
  {
    cause: 'collation',
    faulty: 'SELECT place, count(*) AS n FROM marks WHERE place IS NOT NULL GROUP BY place ORDER BY place',
    mended: 'SELECT place, count(*) AS n FROM marks WHERE place IS NOT NULL GROUP BY place ORDER BY place COLLATE "C"',
    tables: 'CREATE TABLE marks (\n  place TEXT COLLATE "en-x-icu" -- @postgres\n  place TEXT -- @sqlite\n);',
    rows: "INSERT INTO marks VALUES ('B'), ('a'), (NULL)"
  },
  {
    cause: 'distinct-aggregate',
    faulty: "SELECT string_agg(DISTINCT place, ',') AS places FROM visits",
    mended: 'SELECT string_agg(place, \',\' ORDER BY place COLLATE "C") AS places FROM (SELECT DISTINCT place FROM visits) AS v'
  },
  {
    cause: 'conflict-constraint',
    faulty: 'INSERT INTO visits (id, person, hits) VALUES (1, 1, 1) ON CONFLICT ON CONSTRAINT visits_pkey DO NOTHING',
    mended: 'INSERT INTO visits (id, person, hits) VALUES (1, 1, 1) ON CONFLICT (id) DO NOTHING'
  },
  {
    cause: 'offset-alone',
    faulty: 'SELECT id FROM people ORDER BY id OFFSET 2',
    mended: 'SELECT id FROM people ORDER BY id LIMIT 9223372036854775807 OFFSET 2'
  },
  {
    cause: 'grouping-sets',
    faulty: 'SELECT person, sum(hits) AS hits FROM visits GROUP BY ROLLUP (person)',
    mended: 'SELECT person, sum(hits) AS hits FROM visits GROUP BY person UNION ALL SELECT NULL, sum(hits) FROM visits'
  },
  {
    cause: 'except-all',
    faulty: 'SELECT person FROM visits EXCEPT ALL SELECT id FROM people WHERE id = 1',
    mended: 'SELECT person FROM visits EXCEPT SELECT id FROM people WHERE id = 1'
  },
  { cause: 'limit-null', faulty: 'SELECT id FROM people ORDER BY id LIMIT ALL', mended: 'SELECT id FROM people ORDER BY id' },
  {
    cause: 'collation',
    faulty: "SELECT CASE WHEN name > 'a' THEN 1 ELSE 0 END AS later FROM people",
    mended: 'SELECT CASE WHEN name COLLATE "C" > \'a\' THEN 1 ELSE 0 END AS later FROM people'
  }
]
