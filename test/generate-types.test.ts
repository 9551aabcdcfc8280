import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { readModule } from '../src/files/module.ts'
import { SourceError } from '../src/files/source.ts'
import { mergeSchemas, readSchema, type Schema } from '../src/tools/data/schema.ts'
import { describeQuery } from '../src/tools/generate/describe.ts'
import { observeQueries } from '../src/tools/generate/observe.ts'
import { type Property, type ShapedQuery, shapeQueries } from '../src/tools/generate/shape.ts'
import { type Lab, openLab } from '../src/tools/lab/lab.ts'

const TABLES = `
CREATE TABLE writers (
  id sql.autoId,
  name TEXT NOT NULL,
  born DATE,
  score INTEGER NOT NULL CHECK (score BETWEEN 0 AND 100),
  kind TEXT NOT NULL CHECK (kind IN ('human', 'bot')),
  boss BIGINT REFERENCES writers (id)
);
CREATE TABLE books (
  id BIGINT NOT NULL PRIMARY KEY,
  writer BIGINT NOT NULL REFERENCES writers (id),
  title TEXT NOT NULL,
  pages INTEGER NOT NULL,
  price DOUBLE PRECISION,
  paid NUMERIC NOT NULL, -- @postgres
  paid TEXT NOT NULL, -- @sqlite
  published TIMESTAMPTZ NOT NULL,
  meta JSON NOT NULL,
  available BOOLEAN NOT NULL,
  cover BYTEA -- @postgres
  cover BLOB -- @sqlite
);
CREATE TABLE loans (
  book BIGINT NOT NULL,
  place INTEGER NOT NULL,
  begins TIMESTAMPTZ NOT NULL,
  ends TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (book, place),
  CHECK (ends >= begins)
);
CREATE VIEW cheap AS SELECT id, title FROM books WHERE price < 5;`

/** What is typed, by title: the SQL with its annotations, the row, and the parameters. */
const TYPED: Readonly<Record<string, readonly [sql: string, row: string, parameters?: string]>> = {
  'each type of a column': [
    'SELECT id, writer, title, pages, price, paid, published, meta, available, cover FROM books',
    'id: number | bigint; writer: number; title: string; pages: number; price: number | null; paid: string; published: Date; meta: JsonValue; available: boolean; cover: Uint8Array | null'
  ],
  'the texts that a CHECK of both allows': ['SELECT id, kind, born FROM writers', "id: number; kind: 'bot' | 'human'; born: string | null"],
  'a LEFT JOIN': ['SELECT w.name, b.title FROM writers AS w LEFT JOIN books AS b ON b.writer = w.id', 'name: string; title: string | null'],
  'a RIGHT JOIN': [
    'SELECT w.name, b.title FROM books AS b RIGHT JOIN writers AS w ON b.writer = w.id',
    'name: string; title: string | null'
  ],
  'a FULL JOIN': [
    'SELECT w.name, l.place FROM writers AS w FULL JOIN loans AS l ON l.book = w.id',
    'name: string | null; place: number | null'
  ],
  'a LEFT JOIN that a foreign key makes whole': [
    'SELECT b.title, w.name FROM books AS b LEFT JOIN writers AS w ON w.id = b.writer',
    'title: string; name: string'
  ],
  'a LEFT JOIN with one more condition': [
    'SELECT b.title, w.name FROM books AS b LEFT JOIN writers AS w ON w.id = b.writer AND w.score > 90',
    'title: string; name: string | null'
  ],
  'a LEFT JOIN whose condition takes a parameter': [
    'SELECT b.title, w.name FROM books AS b LEFT JOIN writers AS w ON w.id = b.writer AND w.score > :least',
    'title: string; name: string | null',
    'least: number'
  ],
  'a chain of LEFT JOINs': [
    'SELECT w.name, b.title, l.place FROM writers AS w LEFT JOIN books AS b ON b.writer = w.id LEFT JOIN loans AS l ON l.book = b.id',
    'name: string; title: string | null; place: number | null'
  ],
  'a LEFT JOIN that a RIGHT JOIN follows': [
    'SELECT w.name, b.title, l.place FROM writers AS w LEFT JOIN books AS b ON b.writer = w.id RIGHT JOIN loans AS l ON l.book = b.id',
    'name: string | null; title: string | null; place: number'
  ],
  'a LEFT JOIN whose missing rows WHERE takes away': [
    'SELECT w.name, b.title FROM writers AS w LEFT JOIN books AS b ON b.writer = w.id WHERE b.id IS NOT NULL',
    'name: string; title: string'
  ],
  'a LEFT JOIN of a subquery': [
    'SELECT w.name, d.title FROM writers AS w LEFT JOIN (SELECT writer, title FROM books WHERE available) AS d ON d.writer = w.id',
    'name: string; title: string | null'
  ],
  'nullif with a literal': ['SELECT nullif(score, 73) AS s FROM writers', 's: number | null'],
  'nullif with a column': ['SELECT nullif(name, kind) AS s FROM writers', 's: string | null'],
  'nullif that coalesce ends': ["SELECT coalesce(nullif(name, ''), 'nobody') AS s FROM writers", 's: string'],
  'a division that nullif guards': ['SELECT pages / nullif(pages - 77, 0) AS s FROM books', 's: number | null'],
  'CASE without ELSE': ["SELECT CASE WHEN score <= 99 THEN 'low' END AS s FROM writers", 's: string | null'],
  'CASE with ELSE': ["SELECT CASE WHEN score > 50 THEN 'high' ELSE 'low' END AS s FROM writers", 's: string'],
  'CASE whose NULL is rare': [
    "SELECT CASE WHEN score = 37 AND kind = 'bot' AND name = 'Xerxes' THEN NULL ELSE score END AS s FROM writers",
    's: number | null'
  ],
  'CASE on the length of a text': [
    'SELECT CASE WHEN length(b.title) < 40 THEN b.title ELSE c.title END AS s FROM books AS b LEFT JOIN cheap AS c ON c.id = b.id',
    's: string | null'
  ],
  'a rare NULL of a subquery': [
    'WITH t AS (SELECT id, CASE WHEN pages <> 12345 THEN 1 END AS x FROM books) SELECT x, id FROM t',
    'x: number | null; id: number | bigint'
  ],
  'lag and lead': [
    'SELECT lag(pages) OVER (ORDER BY id) AS a, lead(title) OVER (PARTITION BY writer ORDER BY id) AS b, lag(pages, 1, 0) OVER (ORDER BY id) AS c FROM books',
    'a: number | null; b: string | null; c: number'
  ],
  'numbers of rows': ['SELECT row_number() OVER (ORDER BY id) AS n, rank() OVER (ORDER BY pages) AS r FROM books', 'n: number; r: number'],
  'counts and sums over nothing': [
    'SELECT count(*) AS n, count(price) FILTER (WHERE available) AS m, sum(pages) AS s, max(published) AS p, min(title) AS t, avg(price) AS a FROM books',
    'n: number; m: number; s: number | bigint | null; p: Date | null; t: string | null; a: number | null'
  ],
  'aggregates of groups': [
    'SELECT writer, sum(pages) AS s, max(price) AS p, sum(pages) FILTER (WHERE available) AS f FROM books GROUP BY writer',
    'writer: number; s: number | bigint; p: number | null; f: number | bigint | null'
  ],
  'max over an empty group': [
    'SELECT w.id, max(b.published) AS newest, min(b.title) AS title, count(b.id) AS n FROM writers AS w LEFT JOIN books AS b ON b.writer = w.id GROUP BY w.id',
    'id: number; newest: Date | null; title: string | null; n: number'
  ],
  'max of what FILTER leaves': [
    'SELECT writer, max(pages) FILTER (WHERE available) AS most, max(pages) AS longest FROM books GROUP BY writer',
    'writer: number; most: number | null; longest: number'
  ],
  'an aggregate over nothing that HAVING keeps': ['SELECT max(pages) AS longest FROM books HAVING count(*) >= 0', 'longest: number | null'],
  'the first and the second row of a window': [
    'SELECT first_value(title) OVER (ORDER BY id) AS a, nth_value(title, 2) OVER (ORDER BY id) AS b FROM books',
    'a: string; b: string | null'
  ],
  'UNION of what is NULL in one part': [
    'SELECT id, title AS s FROM books UNION ALL SELECT id, NULL FROM writers',
    'id: number | bigint; s: string | null'
  ],
  'UNION of what is NULL in no part': [
    'SELECT title AS s, published AS d FROM books UNION ALL SELECT name, NULL FROM writers',
    's: string; d: Date | null'
  ],
  'EXCEPT that takes the NULLs away': ['SELECT born AS s FROM writers EXCEPT SELECT born FROM writers WHERE born IS NULL', 's: string'],
  'subqueries of one value': [
    "SELECT (SELECT name FROM writers AS w WHERE w.id = b.writer) AS a, (SELECT max(place) FROM loans) AS c, (SELECT w.name FROM writers AS w WHERE w.id = b.writer AND w.kind = 'bot') AS d FROM books AS b",
    'a: string; c: number | null; d: string | null'
  ],
  'a frame that may be empty': [
    'SELECT id, sum(pages) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING) AS s FROM books',
    'id: number | bigint; s: number | bigint | null'
  ],
  'an aggregate of a CASE': [
    'SELECT writer, max(CASE WHEN pages > 123456 THEN pages END) AS m FROM books GROUP BY writer',
    'writer: number; m: number | null'
  ],
  'a UNION below, one of whose parts is rarely NULL': [
    'SELECT s FROM (SELECT title AS s FROM books UNION ALL SELECT CASE WHEN score = 77 THEN NULL ELSE name END FROM writers) AS u',
    's: string | null'
  ],
  'counts of a CTE that is joined from outside': [
    'WITH t AS (SELECT writer, count(*) AS n FROM books GROUP BY writer) SELECT w.id, t.n FROM writers AS w LEFT JOIN t ON t.writer = w.id',
    'id: number; n: number | bigint | null'
  ],
  'a subquery of an aggregate that no row may reach': [
    'SELECT w.id, (SELECT max(b.pages) FROM books AS b WHERE b.writer = w.id AND b.pages > 4000000) AS m FROM writers AS w',
    'id: number; m: number | null'
  ],
  'a subquery that finds no row': [
    'SELECT (SELECT title FROM books WHERE id = :id) AS a, coalesce((SELECT title FROM books WHERE id = :id), name) AS b FROM writers',
    'a: string | null; b: string',
    'id: number | bigint'
  ],
  comparisons: [
    'SELECT price IS NULL AS a, price > 5 AS b, EXISTS (SELECT 1 FROM loans WHERE book = books.id) AS c, id IN (SELECT book FROM loans) AS d, NOT available AS e FROM books',
    'a: boolean; b: boolean | null; c: boolean; d: boolean; e: boolean'
  ],
  'times, JSON and bytes of expressions': [
    "SELECT max(published) AS a, sql.day(published) AS c, sql.hour(published) AS d, sql.shift(published, 1, 'days') AS e FROM books GROUP BY published",
    'a: Date; c: string; d: number; e: Date'
  ],
  'part of a JSON value': ["SELECT meta -> 'size' AS s FROM books", 's: JsonValue'],
  'the text of a JSON value': ["SELECT CAST(meta ->> 'size' AS TEXT) AS s FROM books", 's: string | null'],
  'a view': ['SELECT id, title FROM cheap', 'id: number | bigint; title: string'],
  'a recursion': ['WITH RECURSIVE steps (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM steps WHERE n < 5) SELECT n FROM steps', 'n: number'],
  'what an UPDATE returns': [
    'UPDATE books SET price = :price WHERE id = :id RETURNING id, price, price > 3 AS dear, published',
    'id: number | bigint; price: number | null; dear: boolean | null; published: Date',
    'price: number | null; id: number | bigint'
  ],
  'parameters that may be NULL': [
    'INSERT INTO writers (name, born, score, kind, boss) VALUES (:name, :born, :score, :kind, :boss) RETURNING id',
    'id: number',
    'name: string; born: string | null; score: number; kind: string; boss: number | bigint | null'
  ],
  'a parameter for which NULL finds rows': [
    'SELECT id FROM writers WHERE born IS NOT DISTINCT FROM :born AND score >= :least',
    'id: number',
    'born: string | null; least: number'
  ],
  'LIMIT, OFFSET and a default': [
    '-- @param skip integer = 0\nSELECT id FROM writers ORDER BY id LIMIT :limit OFFSET :skip',
    'id: number',
    'limit: number; skip?: number'
  ],
  'a parameter that may be left out': [
    'SELECT id FROM writers\nWHERE TRUE\n  AND name = :name -- @if name\n  AND born < :before -- @if before',
    'id: number',
    'name?: string; before?: string'
  ],
  lists: [
    '-- @param ids bigint[]\n-- @param days date[]\nSELECT id FROM writers WHERE id IN (:ids) OR born IN (:days)',
    'id: number',
    'ids: readonly (number | bigint)[]; days: readonly string[]'
  ],
  'what annotations say': [
    '-- @column meta json string[]\n-- @column s text null\n-- @column size integer not null\nSELECT meta, title AS s, CASE WHEN pages < 5000000 THEN 1 END AS size FROM books WHERE pages < 4000000',
    'meta: string[]; s: string | null; size: number'
  ]
}

/** What is refused, by title: the SQL, and the message. */
const REFUSED: Readonly<Record<string, readonly [sql: string, message: RegExp, call?: string]>> = {
  'names that fold': ['SELECT name AS firstName FROM writers', /SQLite "firstName"; Postgres "firstname".*AS "firstName"/],
  'an expression without a name': ['SELECT count(*) FROM writers', /SQLite "count\(\*\)"; Postgres "count"/],
  'two columns of one name': ['SELECT w.id, b.id FROM writers AS w JOIN books AS b ON TRUE', /Two columns .* are named "id"/],
  'the average of integers': [
    'SELECT avg(pages) AS a FROM books',
    /an expression on SQLite, numeric on Postgres, where SQLite gave a number.*CAST\(avg\(n\) AS DOUBLE PRECISION\)/
  ],
  'a number of a JSON text': ["SELECT meta ->> 'n' AS n FROM books", /text on Postgres, where SQLite gave a number/],
  'a type that SQLite lacks': ['SELECT published - published AS p FROM books', /the type interval on Postgres, which SQLite lacks/],
  'a parameter without a type': ['SELECT id FROM writers WHERE :x IS NULL', /could not determine data type of parameter \$1.*-- @param/],
  'no rows': ['DELETE FROM loans', /returns no rows on SQLite; make it :run/],
  'a mistake': ['SELECT id FROM writers WHERE nam = 1', /column "nam" does not exist/],
  'a @column that there is not': ['-- @column nam text\nSELECT name FROM writers', /has no column "nam"; it has "name"/],
  'a @column of another type': ['-- @column name date\nSELECT name FROM writers', /declared date, and TEXT on SQLite, text on Postgres/],
  'a @column that was NULL': ['-- @column born date not null\nSELECT born FROM writers', /declared not null, but it was NULL/],
  'lines that change the columns': ['SELECT id, name\nFROM writers\nWHERE id = :id\nUNION ALL SELECT 1 -- @if id', /goes on with SELECT/]
}

describe('The types of a query', () => {
  let lab: Lab
  let schema: Schema
  const shaped = new Map<string, ShapedQuery>()

  const folder = (queries: string) =>
    readModule([
      { path: 'migrations/1.sql', text: TABLES },
      { path: 'q.sql', text: queries }
    ])

  before(async () => {
    const { migrations } = folder('')
    lab = await openLab({
      dialects: ['sqlite', 'postgres'],
      postgresUrl: process.env.TEST_PG_URL,
      modules: [{ name: 'books', migrations }]
    })
    schema = mergeSchemas(await Promise.all(lab.sides.map(({ db }) => readSchema(db))))
    const titles = Object.keys(TYPED)
    const text = Object.values(TYPED).map(([sql], i) => `-- name: q${i} :all\n${sql}\n;`)
    const typed = []
    for (const query of folder(text.join('\n')).queries) typed.push(await describeQuery(query, lab.sides))
    const warnings: string[] = []
    const warn = (warning: string) => void warnings.push(warning)
    const queries = shapeQueries(typed, await observeQueries(typed, lab.sides, warn), schema, warn)
    for (const query of queries) shaped.set(titles[Number(query.typed.query.name.slice(1))] as string, query)
    assert.deepEqual(warnings, [])
  })

  after(() => lab.close())

  const list = (properties: readonly Property[] = []) =>
    properties.map(({ name, type, isOptional }) => `${name}${isOptional ? '?' : ''}: ${type}`).join('; ')

  for (const [title, [, row, parameters = '']] of Object.entries(TYPED)) {
    test(`are right for ${title}`, () => {
      const query = shaped.get(title)
      assert.deepEqual([list(query?.row?.properties), list(query?.parameters)], [row, parameters])
    })
  }

  for (const [title, [sql, message, call = 'all']] of Object.entries(REFUSED)) {
    test(`are an error for ${title}`, async () => {
      const work = async () => {
        const { queries } = folder(`-- name: a :${call}\n${sql}`)
        const typed = await Promise.all(queries.map(query => describeQuery(query, lab.sides)))
        shapeQueries(typed, await observeQueries(typed, lab.sides, () => undefined), schema, () => undefined)
      }
      await assert.rejects(work, error => {
        assert.ok(error instanceof SourceError, String(error))
        assert.match(error.problem, message)
        return true
      })
    })
  }

  test('are shown with the place of a mistake in the file', async () => {
    const { queries } = folder('-- name: a :all\nSELECT id,\n  sql.now() AS n,\n  nam -- a comment\nFROM writers WHERE id = :id')
    const [query] = queries
    assert.ok(query)
    await assert.rejects(describeQuery(query, lab.sides), {
      message:
        /^sql\/q\.sql:4:3: Postgres refuses the query "a": column "nam" does not exist\.\n {2}4 \| {3}nam -- a comment\n {4}\| {3}\^$/
    })
  })
})
