import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type InputFile, type ModuleOptions, type ModuleQuery, readModule, type SqlModule } from '../src/files/module.ts'
import { SourceError } from '../src/files/source.ts'
import type { Dialect } from '../src/index.ts'
import { tokens } from '../src/lexer.ts'

type Files = Readonly<Record<string, string>>

function read(files: string | Files, options?: ModuleOptions): SqlModule {
  const given: Files = typeof files === 'string' ? { 'notes.sql': files } : files
  return readModule(
    Object.entries(given).map(([path, text]): InputFile => ({ path, text })),
    options
  )
}

/** The SQL of a query, with each part that may be left out in brackets behind its parameter. */
function textOf(query: ModuleQuery | undefined, dialect: Dialect): string | undefined {
  return query?.sql[dialect]?.segments.map(({ parameter, text }) => (parameter === undefined ? text : `[${parameter}|${text}]`)).join('')
}

/** The SQL of the one query of a file, for SQLite and for Postgres. */
function texts(files: string | Files, options?: ModuleOptions): (string | undefined)[] {
  const { queries } = read(files, options)
  assert.equal(queries.length, 1)
  return [textOf(queries[0], 'sqlite'), textOf(queries[0], 'postgres')]
}

function bothAre(files: string | Files, expected: string): void {
  assert.deepEqual(texts(files), [expected, expected])
}

/** Fails at a place, with a message. */
function refuses(files: string | Files, place: string, message: RegExp, options?: ModuleOptions): void {
  assert.throws(
    () => read(files, options),
    error => {
      assert.ok(error instanceof SourceError, String(error))
      assert.equal(`${error.path.replace(/^sql\//, '')}:${error.line}:${error.column}`, place, error.message)
      assert.match(error.problem, message)
      return true
    }
  )
}

describe('A SQL file', () => {
  test('has queries with names, calls and descriptions', () => {
    const { queries } = read(
      '-- All of them.\n\n-- name: findNotes :all\n-- Every note.\n-- The newest first.\nSELECT id FROM notes;\n\n-- name: count :one\nSELECT 1 AS n'
    )
    assert.deepEqual(
      queries.map(({ name, call, description }) => [name, call, description]),
      [
        ['count', 'one', []],
        ['findNotes', 'all', ['Every note.', 'The newest first.']]
      ]
    )
  })

  test('keeps strings of several lines as they are, with -- in them', () => {
    bothAre(
      "-- name: a :all\nSELECT 'one\n-- name: b :all\n  two -- @sqlite\n' AS x;",
      "SELECT 'one\n-- name: b :all\n  two -- @sqlite\n' AS x"
    )
  })

  test('has no annotations in $$ bodies and block comments', () => {
    const body = '$$\n-- name: b :all\n-- @sqlite begin\n$$'
    const file = `-- name: a :exec\n/* -- @if x\n-- name: c :all */\nDO ${body};`
    assert.deepEqual(texts({ 'postgres/a.sql': file }, { dialects: ['postgres'] }), [undefined, `DO ${body};`])
  })

  test('reads CRLF as LF, also in strings, and passes by a byte order mark', () => {
    bothAre("\uFEFF-- name: a :all\r\nSELECT 'x\r\ny' AS x\r\nFROM notes;\r\n", "SELECT 'x\ny' AS x\nFROM notes")
  })

  test('means the same however it is laid out', () => {
    const [first, second] = [
      "-- name: a :all\nSELECT a.id,count (*)  AS n , x'00' AS b, -1 AS c\nFROM notes AS a WHERE a.id<=:id AND b->>'x' IN(1,2) GROUP BY a.id;",
      "-- name: a :all\nSELECT\n  a.id,\n  count(*) AS n,\n  x'00' AS b,\n  - 1 AS c\nFROM\n  notes AS a\nWHERE\n  a.id <= :id\n  AND b ->> 'x' IN (1, 2)\nGROUP BY\n  a.id;"
    ].map(text => texts(text))
    assert.deepEqual(first, second)
  })

  for (const text of [
    "SELECT a[1:2], ARRAY[:x, 1], b::TEXT, U&'\\0041', E'\\'', (- 1) - -2, a.*, $$it's$$ FROM \"t x\" AS a",
    "SELECT 'a'\n'b', j #>> '{a,b}', j @> '{}', 1.5e3, :a - -:b"
  ]) {
    test(`writes the tokens that it read: ${text}`, () => {
      const [, written = ''] = texts({ 'postgres/a.sql': `-- name: a :all\n${text}` }, { dialects: ['postgres'] })
      const words = (sql: string) => [...tokens(sql, 'postgres')].map(({ kind, start, end }) => `${kind} ${sql.slice(start, end)}`)
      assert.deepEqual(words(written), words(text))
    })
  }

  for (const [title, file, place, message] of [
    ['an unknown call', '-- name: a :al\nSELECT 1', 'notes.sql:1:12', /Unknown call ":al"; did you mean ":all"/],
    ['a header without a call', '-- name: a\nSELECT 1', 'notes.sql:1:10', /Expected a name and a call/],
    ['words behind the call', '-- name: a :all rows\nSELECT 1', 'notes.sql:1:12', /Nothing may stand behind the call/],
    ['a header in capitals', '-- NAME: a :all\nSELECT 1', 'notes.sql:1:4', /"name" in lower case/],
    ['a name that is none', '-- name: find-note :all\nSELECT 1', 'notes.sql:1:10', /"find-note" is no JavaScript name/],
    ['a reserved word', '-- name: delete :all\nSELECT 1', 'notes.sql:1:10', /"delete" is reserved/],
    ['a name of the module itself', '-- name: migrations :all\nSELECT 1', 'notes.sql:1:10', /reserved/],
    [
      'a name twice',
      '-- name: a :all\nSELECT 1;\n-- name: a :all\nSELECT 2;',
      'notes.sql:3:10',
      /"a" stands at sql\/notes.sql:1:10 already/
    ],
    ['names that differ in case', '-- name: ab :all\nSELECT 1;\n-- name: aB :all\nSELECT 2;', 'notes.sql:3:10', /in case alone/],
    ['SQL without a name', 'SELECT 1;\n-- name: a :all\nSELECT 1', 'notes.sql:1:1', /has no name/],
    ['a query without SQL', '-- name: a :all\n-- b\n', 'notes.sql:1:10', /has no SQL/],
    ['two statements', '-- name: a :all\nSELECT 1; SELECT 2', 'notes.sql:2:9', /goes on behind its end/],
    ['an open parenthesis', '-- name: a :all\nSELECT (1\n-- name: b :all\nSELECT 2', 'notes.sql:2:9', /not closed/],
    ['a parenthesis too much', '-- name: a :all\nSELECT 1)', 'notes.sql:2:9', /closes none/],
    ['$1', '-- name: a :all\nSELECT $1', 'notes.sql:2:8', /write :name instead of \$1/],
    ['an unknown annotation', '-- name: a :all\n-- @parm x text\nSELECT :x', 'notes.sql:2:4', /Unknown annotation.*Did you mean "@param"/],
    ['an annotation behind the SQL', '-- name: a :all\nSELECT :x\n-- @param x text', 'notes.sql:3:4', /before the SQL/],
    ['an annotation on a line of SQL', '-- name: a :all\nSELECT :x -- @param x text', 'notes.sql:2:14', /a line of its own/],
    ['an annotation before the first query', '-- @param x text\n-- name: a :all\nSELECT 1', 'notes.sql:1:4', /No query has begun/],
    ['a header behind SQL', '-- name: a :all\nSELECT 1; -- name: b :all', 'notes.sql:2:14', /a line of its own/],
    ['@rebuild in a query', '-- name: a :all\n-- @rebuild\nSELECT 1', 'notes.sql:2:4', /top of a migration/],
    ['parameters of a script', '-- name: a :exec\nDELETE FROM a WHERE id = :id', 'notes.sql:2:26', /:exec takes no parameters/]
  ] as const) {
    test(`refuses ${title}`, () => refuses(file, place, message))
  }

  test('shows the place and the line of a mistake', () => {
    assert.throws(() => read('-- name: a :all\n\t-- @parm x text\nSELECT :x'), {
      name: 'SourceError',
      message: /^sql\/notes\.sql:2:5: Unknown annotation .*\n {2}2 \| \t-- @parm x text\n {4}\| \t {3}\^$/
    })
  })
})

describe('A line of one database', () => {
  const marked = (lines: string) => `-- name: a :all\nSELECT\n  id,\n${lines}\nFROM notes\nWHERE TRUE;`

  test('belongs to that one alone', () => {
    assert.deepEqual(texts(marked("  string_agg(b, ', ') AS b -- @postgres\n  group_concat(b) AS b -- a reason -- @sqlite")), [
      'SELECT id, group_concat(b) AS b\nFROM notes\nWHERE TRUE',
      "SELECT id, string_agg(b, ', ') AS b\nFROM notes\nWHERE TRUE"
    ])
  })

  test('may be one of several, between two comments', () => {
    assert.deepEqual(texts(marked('  -- @sqlite begin\n  a,\n  b\n  -- @end\n  -- @postgres begin\n  $$it is$$ AS a, c\n  -- @end')), [
      'SELECT id, a, b\nFROM notes\nWHERE TRUE',
      'SELECT id, $$it is$$ AS a, c\nFROM notes\nWHERE TRUE'
    ])
  })

  test('is read as its database reads it', () => {
    assert.deepEqual(texts(marked("  [it's] AS b -- @sqlite\n  $$it's$$ AS b -- @postgres")), [
      "SELECT id, [it's] AS b\nFROM notes\nWHERE TRUE",
      "SELECT id, $$it's$$ AS b\nFROM notes\nWHERE TRUE"
    ])
  })

  test('is a condition, a clause or a statement too', () => {
    assert.deepEqual(
      texts(
        '-- name: a :all\nSELECT 1\nFROM a\nLEFT JOIN b ON b.x = a.x -- @sqlite\nWHERE TRUE\n  AND a BETWEEN 1 AND 2 -- @sqlite\nFOR UPDATE -- @postgres'
      ),
      ['SELECT 1\nFROM a LEFT JOIN b ON b.x = a.x\nWHERE TRUE AND a BETWEEN 1 AND 2', 'SELECT 1\nFROM a\nWHERE TRUE FOR UPDATE']
    )
  })

  for (const [title, lines, place, message] of [
    ['alone on its line', '  b,\n  -- @sqlite\n  c', 'notes.sql:5:6', /alone on its line.*formatters move comments/],
    ['with words behind it', '  b -- @sqlite for now', 'notes.sql:4:8', /Nothing may stand behind/],
    ['that is misspelled', '  b -- @sqllite', 'notes.sql:4:8', /Did you mean "@sqlite"/],
    ['in capitals', '  b -- @SQLite', 'notes.sql:4:8', /Did you mean "@sqlite"/],
    ['of two databases', '  b -- @sqlite -- @postgres', 'notes.sql:4:19', /one database/],
    ['on the end of a broken item', '  string_agg(\n    b\n  ) AS b -- @postgres', 'notes.sql:6:13', /closes a parenthesis/],
    ['on the begin of a broken item', '  string_agg( -- @postgres\n    b\n  ) AS b', 'notes.sql:4:18', /opens a parenthesis/],
    ['on two items', '  b, c -- @sqlite', 'notes.sql:4:11', /more than one item/],
    ['on two clauses', '  b FROM notes -- @sqlite', 'notes.sql:4:19', /goes on with FROM/],
    ['on two conditions', '  b\nFROM a\nWHERE TRUE\n  AND a = 1 AND b = 2 -- @sqlite\n  AND b', 'notes.sql:7:26', /goes on with AND/],
    ['in the middle of an expression', '  b +\n  1 AS b -- @sqlite', 'notes.sql:5:13', /begins in the middle of what \+ begins/],
    ['that leaves a comma behind', '  b,\n  c -- @sqlite', 'notes.sql:5:8', /leaves a comma with nothing behind it/]
  ] as const) {
    test(`cannot have a marker ${title}`, () => refuses(marked(lines), place, message))
  }

  for (const [title, file, place, message] of [
    ['has no end', '-- name: a :all\n-- @sqlite begin\nSELECT 1', 'notes.sql:2:4', /no end/],
    ['has no begin', '-- name: a :all\nSELECT 1\n-- @end', 'notes.sql:3:4', /No block is open/],
    ['begins in another one', '-- name: a :all\n-- @sqlite begin\n-- @postgres begin\nSELECT 1', 'notes.sql:3:4', /inside of the one at/],
    ['begins behind SQL', '-- name: a :all\nSELECT 1 -- @sqlite begin\n-- @end', 'notes.sql:2:13', /on a line of its own/]
  ] as const) {
    test(`cannot be in a block that ${title}`, () => refuses(file, place, message))
  }

  test('that both databases read, and read differently, is refused', () => {
    refuses(marked('  $$b$$ AS b'), 'notes.sql:4:3', /read this differently/)
    refuses(marked('  /* /* b */ */ c'), 'notes.sql:4:14', /read this differently/)
  })

  test('has no marker in a file of one database', () => {
    refuses({ 'sqlite/notes.sql': marked('  b -- @sqlite') }, 'sqlite/notes.sql:4:8', /for sqlite alone/, { dialects: ['sqlite'] })
    refuses({ 'sqlite/notes.sql': marked('  b -- @postgres') }, 'sqlite/notes.sql:4:8', /for nobody/, { dialects: ['sqlite'] })
  })
})

describe('Files that a formatter has moved', () => {
  const query = `-- name: a :all
SELECT
  string_agg(author, ', ' ORDER BY author) AS authors, -- @postgres
  group_concat(author, ', ' ORDER BY author) AS authors, -- @sqlite
  count(*) AS notes
FROM notes
WHERE TRUE
  AND author = :author -- @if author
LIMIT :limit;`

  test('mean the same, or are refused', () => {
    const moved = query.replace(
      "string_agg(author, ', ' ORDER BY author)",
      "string_agg(\n    author,\n    ', '\n    ORDER BY\n      author\n  )"
    )
    refuses(moved, 'notes.sql:8:20', /closes a parenthesis that an earlier line opens/)
    assert.deepEqual(texts(query.replace('FROM notes\nWHERE TRUE', 'FROM\n      notes\nWHERE\n      TRUE')), texts(query))
  })

  for (const [title, lines, place, message] of [
    [
      'a keyword to the line of its first item',
      'SELECT id, -- @sqlite\n  author, -- @postgres\n  kind\nFROM notes',
      '2:15',
      /takes the keyword of its line away from AUTHOR/
    ],
    ['AND to the end of a line', 'SELECT id\nFROM notes\nWHERE a = 1 AND\n  b = 2 -- @sqlite', '5:12', /leaves AND with nothing behind it/],
    [
      'the keyword of a clause to a line of its own',
      'SELECT id\nFROM notes\nLIMIT\n  :limit -- @if limit',
      '5:13',
      /Without :limit.*leaves LIMIT/
    ],
    ['UPDATE behind FOR', 'SELECT id\nFROM notes FOR\nUPDATE -- @postgres', '4:11', /leaves FOR/]
  ] as const) {
    test(`are refused where it has moved ${title}`, () => refuses(`-- name: a :all\n${lines}`, `notes.sql:${place}`, message))
  }

  test('are refused where a condition has left its line', () => {
    refuses(
      query.replace('author = :author', 'author = :author\n  AND kind = 1'),
      'notes.sql:9:19',
      /does not use :author.*Formatters move comments/
    )
  })
})

describe('A line with -- @if', () => {
  test('is left out without its parameter', () => {
    bothAre(
      '-- name: a :all\nSELECT id FROM notes\nWHERE id > :after\n  AND author = :author -- @if author\nORDER BY id',
      'SELECT id\nFROM notes\nWHERE id > :after[author| AND author = :author]\nORDER BY id'
    )
  })

  test('makes its parameter optional, and no other', () => {
    const { queries } = read('-- name: a :all\nSELECT id FROM notes\nWHERE id > :after\n  AND author = :author -- @if author')
    assert.deepEqual(
      queries[0]?.parameters.map(({ name, isOptional }) => [name, isOptional]),
      [
        ['after', false],
        ['author', true]
      ]
    )
  })

  test('may be a line of one database', () => {
    assert.deepEqual(
      texts(
        '-- name: a :all\nSELECT id FROM notes\nWHERE TRUE\n  AND a LIKE :a -- @if a -- @sqlite\n  AND a ILIKE :a -- @if a -- @postgres'
      ),
      ['SELECT id\nFROM notes\nWHERE TRUE[a| AND a LIKE :a]', 'SELECT id\nFROM notes\nWHERE TRUE[a| AND a ILIKE :a]']
    )
  })

  const file = (lines: string) => `-- name: a :all\nSELECT id FROM notes\nWHERE TRUE\n${lines}`
  for (const [title, lines, place, message] of [
    ['that it does not use', '  AND author = :author -- @if other', 'notes.sql:4:27', /does not use :other/],
    ['that another line uses', '  AND a = :a -- @if a\n  AND b = :a', 'notes.sql:5:11', /each line that uses it ends in -- @if a/],
    ['that is missing', '  AND a = :a -- @if', 'notes.sql:4:17', /Expected one parameter/],
    [
      'that is the fifth',
      ['a', 'b', 'c', 'd', 'e'].map(name => `  AND ${name} = :${name} -- @if ${name}`).join('\n'),
      'notes.sql:8:17',
      /4 parameters/
    ]
  ] as const) {
    test(`cannot depend on a parameter ${title}`, () => refuses(file(lines), place, message))
  }
})

describe('A folder', () => {
  const shared = '-- name: a :all\n-- @param x text\nSELECT :x AS x;'

  test('replaces a query for one database, by its name', () => {
    assert.deepEqual(texts({ 'notes.sql': shared, 'postgres/notes.sql': '-- name: a :all\nSELECT upper(:x) AS x;' }), [
      'SELECT :x AS x',
      'SELECT upper(CAST(:x AS TEXT)) AS x'
    ])
  })

  test('may have a query for each database', () => {
    assert.deepEqual(texts({ 'sqlite/a.sql': '-- name: a :all\nSELECT 1', 'postgres/b.sql': '-- name: a :all\nSELECT 2' }), [
      'SELECT 1',
      'SELECT 2'
    ])
  })

  test('of one database needs no other', () => {
    assert.deepEqual(texts({ 'a.sql': '-- name: a :all\nSELECT [b c] FROM notes' }, { dialects: ['sqlite'] }), [
      'SELECT [b c]\nFROM notes',
      undefined
    ])
  })

  for (const [title, files, place, message] of [
    [
      'a query that one database lacks',
      { 'sqlite/a.sql': '-- name: a :all\nSELECT 1' },
      'sqlite/a.sql:1:10',
      /no SQL for postgres.*sql\/postgres\/a\.sql/
    ],
    [
      'a replacement of another call',
      { 'notes.sql': shared, 'postgres/notes.sql': '-- name: a :one\nSELECT :x AS x;' },
      'postgres/notes.sql:1:10',
      /:one here and :all at/
    ],
    [
      'a replacement in another file',
      { 'notes.sql': shared, 'postgres/others.sql': '-- name: a :all\nSELECT :x AS x;' },
      'postgres/others.sql:1:10',
      /belongs into sql\/postgres\/notes\.sql/
    ],
    [
      'a replacement that has annotations',
      { 'notes.sql': shared, 'postgres/notes.sql': shared },
      'postgres/notes.sql:2:11',
      /The annotations of "a" stand at sql\/notes\.sql/
    ],
    [
      'a query that is replaced for both',
      { 'notes.sql': shared, 'postgres/notes.sql': '-- name: a :all\nSELECT :x', 'sqlite/notes.sql': '-- name: a :all\nSELECT :x' },
      'notes.sql:1:10',
      /never used/
    ],
    [
      'a parameter in one dialect alone',
      { 'notes.sql': shared, 'postgres/notes.sql': '-- name: a :all\nSELECT :x AS x, :y AS y;' },
      'postgres/notes.sql:2:17',
      /:y has no place in the SQL for sqlite/
    ],
    ['a name that stands in two files', { 'a.sql': shared, 'b.sql': shared }, 'b.sql:1:10', /stands at sql\/a\.sql:1:10 already/]
  ] as const) {
    test(`cannot have ${title}`, () => refuses(files as Files, place, message))
  }
})

describe('Pieces of the tag in a file', () => {
  test('are written for each database', () => {
    const [sqlite, postgres] = texts(
      "-- name: a :all\nSELECT sql.now() AS a, sql.shift(at, -7, 'days') AS b, sql.hour(sql.now()) AS c FROM notes"
    )
    assert.match(
      sqlite as string,
      /^SELECT \(strftime\('%Y-%m-%dT%H:%M:%fZ', 'now'\)\) AS a, .*CAST\(-604800 AS DOUBLE PRECISION\).* AS b, CAST\(.* AS INTEGER\) AS c\nFROM notes$/
    )
    assert.match(
      postgres as string,
      /^SELECT date_trunc\('milliseconds', statement_timestamp\(\)\) AS a, .*INTERVAL '1 second'\) AS b, .* AS c\nFROM notes$/
    )
  })

  test('take parameters, also declared ones', () => {
    const [, postgres] = texts(
      "-- name: a :all\n-- @param since timestamp\nSELECT id FROM notes WHERE at > sql.shift(:since, :days, 'days')"
    )
    assert.match(
      postgres as string,
      /CAST\(CAST\(:since AS TIMESTAMPTZ\) AS TIMESTAMPTZ\) \+ \(\(CAST\(:days AS DOUBLE PRECISION\)\) \* 86400\)/
    )
  })

  test('leave COLLATE "C" out for SQLite', () => {
    assert.deepEqual(texts('-- name: a :all\nSELECT id FROM notes ORDER BY name COLLATE "C" DESC'), [
      'SELECT id\nFROM notes\nORDER BY name DESC',
      'SELECT id\nFROM notes\nORDER BY name COLLATE "C" DESC'
    ])
  })

  for (const [title, sql, column, message] of [
    ['sql.json', 'SELECT sql.json(a)', 8, /no sql\.json in files/],
    ['sql.now without parentheses', 'SELECT sql.now', 8, /Expected parentheses/],
    ['sql.shift of another unit', "SELECT sql.shift(a, 1, 'months')", 8, /Expected sql\.shift/],
    ['sql.day of nothing', 'SELECT sql.day()', 8, /takes a time/]
  ] as const) {
    test(`cannot be ${title}`, () => refuses(`-- name: a :all\n${sql}`, `notes.sql:2:${column}`, message))
  }
})

describe('A declared parameter', () => {
  test('is cast in Postgres wherever it stands', () => {
    assert.deepEqual(texts('-- name: a :all\n-- @param x text null\nSELECT id FROM notes WHERE :x IS NULL OR a = :x'), [
      'SELECT id\nFROM notes\nWHERE :x IS NULL OR a = :x',
      'SELECT id\nFROM notes\nWHERE CAST(:x AS TEXT) IS NULL OR a = CAST(:x AS TEXT)'
    ])
  })

  test('is a list in IN and NOT IN', () => {
    assert.deepEqual(texts('-- name: a :all\n-- @param ids bigint[]\nSELECT id FROM notes WHERE id IN (:ids) OR parent NOT IN (:ids)'), [
      'SELECT id\nFROM notes\nWHERE id IN (SELECT value FROM json_each(:ids)) OR parent NOT IN (SELECT value FROM json_each(:ids))',
      'SELECT id\nFROM notes\nWHERE id = ANY (ARRAY(SELECT CAST(element AS BIGINT) FROM json_array_elements_text(CAST(:ids AS JSON)) AS element)) OR ' +
        'parent <> ALL (ARRAY(SELECT CAST(element AS BIGINT) FROM json_array_elements_text(CAST(:ids AS JSON)) AS element))'
    ])
  })

  for (const [title, annotation, sql, place, message] of [
    ['an unknown type', '@param x string', 'SELECT :x', '2:11', /Unknown type "string"/],
    ['no parameter of the query', '@param y text', 'SELECT :x', '2:11', /has no parameter :y; it has :x/],
    ['a default of another type', "@param x integer = 'a'", 'SELECT :x', '2:11', /The default 'a' is no integer/],
    ['a default without a type', '@param x = 5', 'SELECT :x', '2:11', /needs a type/],
    ['words too much', '@param x text maybe', 'SELECT :x', '2:11', /"maybe" is unexpected/],
    ['a list outside of IN', '@param x text[]', 'SELECT id = :x', '3:13', /stands in IN \(:x\)/],
    ['a list of JSON', '@param x json[]', 'SELECT id IN (:x)', '2:11', /list of json/],
    ['a list of bytes', '@param x bytea[]', 'SELECT id IN (:x)', '2:11', /list of bytea/],
    ['a LIMIT that is a text', '@param x text', 'SELECT id FROM notes LIMIT :x', '2:11', /integer from 0/],
    ['a LIMIT that is null', '@param x integer null', 'SELECT id FROM notes LIMIT :x', '2:11', /never null/]
  ] as const) {
    test(`cannot have ${title}`, () => refuses(`-- name: a :all\n-- ${annotation}\n${sql}`, `notes.sql:${place}`, message))
  }

  test('cannot be declared twice', () => {
    refuses('-- name: a :all\n-- @param x text\n-- @param x date\nSELECT :x', 'notes.sql:3:11', /declared at sql\/notes\.sql:2:11 already/)
  })
})

describe('Migrations', () => {
  const table = 'CREATE TABLE notes (id sql.autoId, body TEXT);'

  test('are scripts for each database, in the order of their names', () => {
    const { migrations } = read({
      'migrations/0002-index.sql':
        '-- @rebuild\nCREATE INDEX a ON notes (body); -- @sqlite\nCREATE INDEX a ON notes (body text_pattern_ops); -- @postgres',
      'migrations/0001-tables.sql': table
    })
    assert.deepEqual(
      migrations.map(migration => migration.kind === 'script' && [migration.name, migration.rebuild, migration.sql]),
      [
        [
          '0001-tables',
          false,
          {
            sqlite: 'CREATE TABLE notes(\n  id INTEGER PRIMARY KEY AUTOINCREMENT,\n  body TEXT\n);',
            postgres: 'CREATE TABLE notes(\n  id BIGSERIAL PRIMARY KEY,\n  body TEXT\n);'
          }
        ],
        ['0002-index', true, { sqlite: 'CREATE INDEX a ON notes(body);', postgres: 'CREATE INDEX a ON notes(body text_pattern_ops);' }]
      ]
    )
  })

  test('may be steps in TypeScript', () => {
    const { migrations } = read({
      'migrations/0001-tables.sql': table,
      'migrations/0002-fill.ts': 'export default () => {}',
      'migrations/0002-fill.d.ts': ''
    })
    assert.deepEqual(migrations[1], { kind: 'step', name: '0002-fill', path: 'sql/migrations/0002-fill.ts' })
  })

  test('are replaced for one database', () => {
    const { migrations } = read({ 'migrations/0001-a.sql': 'SELECT 1', 'sqlite/migrations/0001-a.sql': 'SELECT 2' })
    assert.deepEqual(migrations[0]?.kind === 'script' && migrations[0].sql, { sqlite: 'SELECT 2', postgres: 'SELECT 1' })
  })

  for (const [title, files, place, message] of [
    [
      'the number of another one',
      { 'migrations/0001-a.sql': table, 'migrations/0001-b.sql': table },
      'migrations/0001-b.sql:1:1',
      /"0001-a" has this number/
    ],
    [
      'a number of other length',
      { 'migrations/10-b.sql': table, 'migrations/9-a.sql': table },
      'migrations/9-a.sql:1:1',
      /same number of digits/
    ],
    ['no number', { 'migrations/tables.sql': table }, 'migrations/tables.sql:1:1', /begins with its number/],
    ['no script for a database', { 'sqlite/migrations/0001-a.sql': table }, 'sqlite/migrations/0001-a.sql:1:1', /no script for postgres/],
    ['named queries', { 'migrations/0001-a.sql': `-- name: a :exec\n${table}` }, 'migrations/0001-a.sql:1:4', /A migration is one script/],
    ['parameters', { 'migrations/0001-a.sql': 'DELETE FROM notes WHERE id = :id' }, 'migrations/0001-a.sql:1:30', /no parameters/],
    ['@rebuild behind SQL', { 'migrations/0001-a.sql': `${table}\n-- @rebuild` }, 'migrations/0001-a.sql:2:4', /at the top/]
  ] as const) {
    test(`cannot have ${title}`, () => refuses(files as Files, place, message))
  }
})
