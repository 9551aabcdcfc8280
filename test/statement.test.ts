import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DatabaseError, type Dialect, type Query, type QueryParameters } from '../src/index.ts'
import { bind, statementOf } from '../src/statement.ts'
import { failsWith, onEachDatabase } from './support/databases.ts'
import { processorTime } from './support/processor.ts'

/** For texts of a megabyte and more: a step for each pair of their characters would take minutes. */
function assertLinear(read: () => void): void {
  const time = processorTime(read)
  assert.ok(time < 5_000, `${time} ms`)
}

const DIALECTS: readonly Dialect[] = ['sqlite', 'postgres']

/** A parameter as the engine gets it. */
function placeholder(dialect: Dialect, number: number): string {
  return dialect === 'sqlite' ? '?' : `$${number}`
}

/** The values in the order of the placeholders in the text. */
function received(query: Query, parameters: unknown, dialect: Dialect): unknown[] {
  const { text, values } = bind(query, parameters as QueryParameters, dialect)
  if (dialect === 'sqlite') return values.map(value => (typeof value === 'bigint' ? Number(value) : value))
  // Postgres takes each value once, in its text form.
  const numbers = [...text.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number) - 1)
  return numbers.map(i => (/^-?\d+$/.test(String(values[i])) ? Number(values[i]) : values[i]))
}

/** Texts that end by themselves; what looks like a parameter in them is none. */
const OPAQUE: readonly (readonly [title: string, text: string, dialects?: readonly Dialect[]])[] = [
  ['a string', "SELECT '$1 :a'"],
  ['a string with a doubled quote', "SELECT 'it''s $1 :a'"],
  ['a string of doubled quotes', "SELECT '''''' || ''' $1 :a '''"],
  ['a string with the begin of a comment', "SELECT '-- /* $1' || ':a'"],
  ['a string over several lines', "SELECT '\n$1\n:a\n'"],
  ['a string that ends in a backslash', "SELECT ':a\\' || '$1'"],
  ['an empty string', "SELECT '' AS a"],
  ['a quoted name', 'SELECT 1 AS "$1 :a"'],
  ['a quoted name with a doubled quote', 'SELECT 1 AS "a"" $1 :a"'],
  ["a quoted name with a ' in it", 'SELECT 1 AS "it\'s $1", 2 AS "isn\'t :a"'],
  ['a line comment', "SELECT 1 -- it's $1 :a"],
  ['a line comment with the begin of a block', 'SELECT 1 -- /* $1 :a'],
  ['a block comment', "SELECT /* it's $1 :a */ 1"],
  ['a block comment over several lines', 'SELECT /*\n-- $1\n:a **/ 1'],
  ['a block comment with a string in it', "SELECT /* ' */ 1 /* $1 ' */"],
  ['a name with a $', 'SELECT foo$1, größe$1 FROM _$1'],
  ['a name after a name', 'SELECT a:b'],
  [':=', 'SELECT x := 5'],
  ['a colon without a name', 'SELECT a : 5 :: b'],
  ['$0', 'SELECT $0'],
  ['a lone $', 'SELECT $ 1'],
  ['an operator of JSON', `SELECT a ? 'x', a ?| b, a ?& c, a -> 'x' ->> '$1', a #>> '{:a}', a @? '$[*]'`, ['postgres']],
  ['a cast', 'SELECT a::text, b ::int, c:: int, "d"::e'],
  ['a slice', 'SELECT (ARRAY[1, 2])[1:2], arr[i:n], (x)[f(x):n], "a"[b[1]:c], a[1:n]', ['postgres']],
  ["a string with E'…'", "SELECT E'\\' $1 :a', e'\\\\\\' $1'", ['postgres']],
  ["a string with E'…' and doubled quotes", "SELECT E'it''s \\' $1 '' :a'", ['postgres']],
  ["a string with E'…' that ends in a backslash", "SELECT E':a\\\\' || '$1'", ['postgres']],
  ['a string behind a name that ends in E', "SELECT typE'$1' || '\\' || ':a'", ['postgres']],
  ['a string with its encoding', "SELECT U&'$1', B'0', X'1', N':a'"],
  ['a string in $$', "SELECT $$ it's $1 :a $ $$", ['postgres']],
  ['a string in $tag$', 'SELECT $tag$ $1 $$ :a $ta$ $TAG$ $tag$', ['postgres']],
  ['a string in $größe$', 'SELECT $größe$ $1 $größe$', ['postgres']],
  ['a string in $_1$', 'SELECT $_1$ $1 :a $_1$', ['postgres']],
  ['two strings in $$', 'SELECT $$$1$$ || $$:a$$', ['postgres']],
  ['nested block comments', 'SELECT /* /* $1 */ :a /* */ $2 */ 1', ['postgres']],
  ['a name in backticks', 'SELECT 1 AS `$1 :a`', ['sqlite']],
  ['a name in backticks with a doubled one', 'SELECT 1 AS `a`` $1 :a`', ['sqlite']],
  ['a name in brackets', "SELECT 1 AS [it's $1 :a]", ['sqlite']],
  ["a string behind E, which SQLite reads as '…'", "SELECT E '\\' || ':a'", ['sqlite']]
]

/** Texts that never end; the engine will say so. */
const UNTERMINATED: readonly (readonly [title: string, text: string, dialects?: readonly Dialect[]])[] = [
  ['string', "SELECT '$1 :a"],
  ['string behind a doubled quote', "SELECT 'it''$1 :a"],
  ['quoted name', 'SELECT "$1 :a'],
  ['comment', 'SELECT /* $1 :a'],
  ['comment that ends in *', 'SELECT /* $1 :a *'],
  ['line', 'SELECT -- $1 :a'],
  ["string with E'…'", "SELECT E'\\' $1 :a", ['postgres']],
  ["string with E'…' that ends in a backslash", "SELECT E'$1 :a\\", ['postgres']],
  ['string in $$', 'SELECT $$ $1 :a $', ['postgres']],
  ['string in $tag$', 'SELECT $tag$ $1 :a $$ $tag', ['postgres']],
  ['nested comment', 'SELECT /* /* */ $1 :a', ['postgres']],
  ['name in backticks', 'SELECT `$1 :a', ['sqlite']],
  ['name in brackets', 'SELECT [$1 :a', ['sqlite']]
]

for (const dialect of DIALECTS) {
  const p = (number: number) => placeholder(dialect, number)

  describe(`What is no parameter (${dialect})`, () => {
    for (const [title, text, dialects = DIALECTS] of OPAQUE) {
      if (!dialects.includes(dialect)) continue
      test(`${title} stays as it is`, () => {
        const statement = statementOf(text, dialect)
        assert.deepEqual([statement.text, statement.count, statement.names], [text, 0, undefined])
      })

      test(`a parameter in front of ${title} and one behind it are found`, () => {
        const statement = statementOf(`$1 ${text}\n+ $2`, dialect)
        assert.deepEqual([statement.text, statement.uses], [`${p(1)} ${text}\n+ ${p(2)}`, [0, 1]])
      })

      test(`a named parameter behind ${title} is found`, () => {
        const statement = statementOf(`${text}\n+ :last`, dialect)
        assert.deepEqual([statement.text, statement.names], [`${text}\n+ ${p(1)}`, ['last']])
      })
    }

    for (const [title, text, dialects = DIALECTS] of UNTERMINATED) {
      if (!dialects.includes(dialect)) continue
      test(`a ${title} that does not end reaches the engine as it is`, () => {
        const statement = statementOf(text, dialect)
        assert.deepEqual([statement.text, statement.count], [text, 0])
      })
    }
  })

  describe(`What is a parameter (${dialect})`, () => {
    for (const [text, expected] of [
      ['$1', p(1)],
      ['($1)', `(${p(1)})`],
      ['a=$1', `a=${p(1)}`],
      ['-$1', `-${p(1)}`],
      ['$1::int', `${p(1)}::int`],
      ["''$1''", `''${p(1)}''`],
      ['/**/$1/**/', `/**/${p(1)}/**/`],
      ['"a"=$1', `"a"=${p(1)}`],
      ['LIMIT $1;', `LIMIT ${p(1)};`],
      ['x := $1', `x := ${p(1)}`],
      ['x :=$1', `x :=${p(1)}`],
      ['1+$1', `1+${p(1)}`]
    ] as const) {
      test(`$1 in ${text}`, () => {
        const statement = statementOf(text, dialect)
        assert.deepEqual([statement.text, statement.count, statement.names], [expected, 1, undefined])
      })
    }

    for (const [text, expected, names] of [
      [':a', p(1), ['a']],
      ['(:a)', `(${p(1)})`, ['a']],
      ['x=:a', `x=${p(1)}`, ['a']],
      ['-:a', `-${p(1)}`, ['a']],
      [':a::int', `${p(1)}::int`, ['a']],
      [':a||:b', `${p(1)}||${p(2)}`, ['a', 'b']],
      ['(:a,:b)', `(${p(1)},${p(2)})`, ['a', 'b']],
      ['/**/:a', `/**/${p(1)}`, ['a']],
      ['LIMIT :n OFFSET :m;', `LIMIT ${p(1)} OFFSET ${p(2)};`, ['n', 'm']],
      ['x := :a', `x := ${p(1)}`, ['a']],
      [':_a1_B', p(1), ['_a1_B']],
      [':größe', p(1), ['größe']],
      [':a :A', `${p(1)} ${p(2)}`, ['a', 'A']],
      [':constructor :__proto__', `${p(1)} ${p(2)}`, ['constructor', '__proto__']]
    ] as const) {
      test(`names in ${text}`, () => {
        const statement = statementOf(text, dialect)
        assert.deepEqual([statement.text, statement.count, statement.names], [expected, names.length, names])
      })
    }

    test('a line break ends a line comment', () => {
      assert.deepEqual(statementOf('-- a\n$1 -- b\r\n$2', dialect).uses, [0, 1])
    })

    test('each $1 gets the first value', () => {
      assert.equal(statementOf('$1 $2 $1', dialect).text, `${p(1)} ${p(2)} ${p(1)}`)
      assert.deepEqual(received('$1 $2 $1', ['a', 'b'], dialect), ['a', 'b', 'a'])
    })

    test('numbers out of order get their own values', () => {
      assert.equal(statementOf('($2, $1)', dialect).text, `(${p(2)}, ${p(1)})`)
      assert.deepEqual(received('($2, $1)', ['a', 'b'], dialect), ['b', 'a'])
    })

    test('$10 is the tenth, not the first', () => {
      const text = '$1 $2 $3 $4 $5 $6 $7 $8 $9 $10'
      const values = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']
      assert.deepEqual(received(text, values, dialect), values)
    })

    test('a name that stands twice is one parameter', () => {
      assert.equal(statementOf(':a :b :a', dialect).text, `${p(1)} ${p(2)} ${p(1)}`)
      assert.deepEqual(received(':a :b :a', { b: 2, a: 1 }, dialect), [1, 2, 1])
    })

    test('a name that begins with another is not that one', () => {
      assert.deepEqual(received(':id :id2 :i', { i: 3, id: 1, id2: 2 }, dialect), [1, 2, 3])
    })

    test('null is a value', () => {
      assert.deepEqual(received('$1', [null], dialect), [null])
      assert.deepEqual(received(':a', { a: null }, dialect), [null])
    })

    test('other falsy values are values', () => {
      assert.deepEqual(received('$1 $2 $3', [0, '', false], dialect), [0, '', dialect === 'sqlite' ? 0 : 'false'])
    })

    test('an object without a prototype gives parameters', () => {
      assert.deepEqual(received(':a', Object.assign(Object.create(null), { a: 1 }), dialect), [1])
    })

    for (const parameters of [undefined, [], {}]) {
      test(`a text without parameters takes ${JSON.stringify(parameters)}`, () => {
        assert.deepEqual(received('SELECT 1', parameters, dialect), [])
      })
    }

    test('the same text is read once', () => {
      assert.equal(statementOf('SELECT $1 -- once', dialect), statementOf('SELECT $1 -- once', dialect))
    })
  })

  describe(`Long texts (${dialect})`, () => {
    const long = 1_000_000
    for (const [title, text] of [
      ['a string', `SELECT '${'x'.repeat(long)}', $1`],
      ['a string of doubled quotes', `SELECT '${"''".repeat(long / 2)}', $1`],
      ['a string of backslashes', `SELECT '${'\\'.repeat(long)}', $1`],
      ['a string that looks like parameters', `SELECT '${':a $1 '.repeat(long / 6)}', $1`],
      ['a quoted name', `SELECT "${'x'.repeat(long)}", $1`],
      ['a comment', `SELECT /*${'*'.repeat(long)}*/ $1`],
      ['blanks', `SELECT ${' '.repeat(long)} $1`],
      ['a name', `SELECT ${'x'.repeat(long)} = $1`],
      ['open dollars', `SELECT ${'$ '.repeat(long / 2)} $1`],
      ['colons', `SELECT ${': '.repeat(long / 2)} $1`]
    ] as const) {
      test(`${title} of 1 MB is read in linear time`, () => {
        assertLinear(() => assert.deepEqual(statementOf(text, dialect).uses, [0]))
      })
    }

    test('a string of 1 MB that does not end is read in linear time', () => {
      assertLinear(() => assert.equal(statementOf(`SELECT '${"''".repeat(long / 2)}`, dialect).count, 0))
    })

    test('a thousand parameters keep their order', () => {
      const values = Array.from({ length: 1000 }, (_, i) => i)
      assert.deepEqual(received(values.map(i => `$${i + 1}`).join(', '), values, dialect), values)
    })
  })

  describe(`Parameters that do not fit (${dialect})`, () => {
    const cases: readonly (readonly [title: string, text: string, parameters: unknown, message: RegExp])[] = [
      ['no array for $1', 'SELECT $1', undefined, /has 1 parameter, but no parameters were given/],
      ['no object for :name', 'SELECT :a, :b', undefined, /has :a, :b, but no parameters were given/],
      ['an array that is too short', 'SELECT $1, $2', [1], /has 2 parameters, but 1 was given: \$2 is missing/],
      ['an empty array', 'SELECT $1', [], /has 1 parameter, but 0 were given: \$1 is missing/],
      ['an array that is too long', 'SELECT $1', [1, 2], /has 1 parameter, but 2 were given: 1 unexpected parameter\./],
      ['an array without parameters in the text', 'SELECT 1', [1], /has 0 parameters, but 1 was given: 1 unexpected parameter\./],
      ['an array where all parameters are in a string', "SELECT '$1'", [1], /1 unexpected parameter/],
      ['an object without parameters in the text', 'SELECT 1', { a: 1 }, /no parameters, but :a was given/],
      ['a missing name', 'SELECT :a, :b', { a: 1 }, /:b is missing; given: :a/],
      ['an empty object', 'SELECT :a', {}, /:a is missing; given: none/],
      ['a name in other letters', 'SELECT :userId', { userid: 1 }, /:userId is missing; given: :userid/],
      ['a surplus name', 'SELECT :a', { a: 1, b: 2 }, /Unexpected parameter :b; the statement uses :a/],
      ['an undefined element', 'SELECT $1, $2', [1, undefined], /\$2 is undefined; for SQL NULL give null/],
      ['a hole in the array', 'SELECT $1, $2', [1, ...new Array(1)], /\$2 is undefined/],
      ['an undefined property', 'SELECT :a', { a: undefined }, /:a is undefined; for SQL NULL give null/],
      ['a surplus undefined property', 'SELECT :a', { a: 1, b: undefined }, /Unexpected parameter :b/],
      ['a property of the prototype', 'SELECT :a', Object.create({ a: 1 }), /:a is missing/],
      ['a method of every object', 'SELECT :toString', {}, /:toString is missing/],
      ['both kinds', 'SELECT $1, :a', [1], /mixes \$1 and :a; use one kind/],
      ['both kinds in the other order', 'SELECT :a, $2', { a: 1 }, /mixes \$2 and :a/],
      ['an object for $1', 'SELECT $1', { 1: 1 }, /uses \$1, so its parameters must be an array/],
      ['an array for :name', 'SELECT :a', [1], /uses :a, so its parameters must be an object/],
      ['null', 'SELECT $1', null, /an array for \$1 or an object for :name, got null/],
      ['null without parameters in the text', 'SELECT 1', null, /got null/],
      ['a number', 'SELECT $1', 5, /got number/],
      ['a text', 'SELECT $1', 'x', /got string/],
      ['a gap in the middle', 'SELECT $1, $3', [1, 2, 3], /uses \$3 but not \$2; number its parameters without gaps/],
      ['a gap in front', 'SELECT $2', [1, 2], /uses \$2 but not \$1/],
      ['a gap beside one that stands twice', 'SELECT $1, $1, $3', [1, 2, 3], /uses \$3 but not \$2/],
      ['too many', 'SELECT $32767', [], /32766 parameters at most/],
      ['a number without end', 'SELECT $99999999999999999999', [], /32766 parameters at most/]
    ]
    for (const [title, text, parameters, message] of cases) {
      test(`${title} is an error`, () => {
        assert.throws(() => bind(text, parameters as QueryParameters, dialect), failsWith('invalid_parameter', message))
      })
    }

    for (const query of [null, undefined, 5, {}, ['SELECT 1'], Buffer.from('SELECT 1')]) {
      test(`${JSON.stringify(query)} in place of SQL is an error`, () => {
        assert.throws(
          () => bind(query as unknown as Query, undefined, dialect),
          failsWith('invalid_parameter', /Expected SQL as a string or a sql`…` template/)
        )
      })
    }

    test('the error does not show the values', () => {
      assert.throws(
        () => bind('SELECT $1', ['hunter2', 'hunter2'], dialect),
        error => error instanceof Error && !error.message.includes('hunter2')
      )
    })
  })
}

describe('Where the dialects differ', () => {
  for (const [title, text, sqlite, postgres] of [
    ["a backslash escapes a quote in E'…' of Postgres only", "E'\\' $1 '", 1, 0],
    ['comments nest in Postgres only', '/* /* */ $1 /* */', 1, 0],
    ['backticks quote in SQLite only', '`$1`', 0, 1],
    ['brackets quote in SQLite only', 'a[$1]', 0, 1],
    ['$$ quotes in Postgres only', '$$ :a $$', 1, 0]
  ] as const) {
    test(title, () => {
      assert.deepEqual([statementOf(text, 'sqlite').count, statementOf(text, 'postgres').count], [sqlite, postgres])
    })
  }

  test('bounds of a slice are parameters in Postgres', () => {
    assert.deepEqual(statementOf('a[$1:$2]', 'postgres').uses, [0, 1])
    assert.deepEqual(statementOf('a[(:low):(:high)]', 'postgres').names, ['low', 'high'])
  })

  test('a carriage return ends a line comment in Postgres only', () => {
    assert.deepEqual([statementOf('-- a\r$1', 'sqlite').count, statementOf('-- a\r$1', 'postgres').count], [0, 1])
  })

  for (const [title, string] of [
    ['quotes with a backslash', `E'${"\\'".repeat(500_000)}'`],
    ['doubled quotes', `E'${"''".repeat(500_000)}'`],
    ['letters', `E'${'x'.repeat(1_000_000)}'`],
    ['8 MB of quotes with a backslash', `E'${"\\'".repeat(4_000_000)}'`],
    ['an end that is missing', `E'${"\\'".repeat(500_000)}\\`]
  ] as const) {
    test(`a long E'…' of Postgres with ${title} is read in linear time`, () => {
      assertLinear(() => assert.equal(statementOf(`SELECT ${string}`, 'postgres').count, 0))
    })
  }

  for (const [title, text] of [
    ['$$ of 1 MB', `SELECT $a$${'$a $$ $b$'.repeat(100_000)}$a$, $1`],
    ['a comment that is nested 100 000 times', `SELECT ${'/*'.repeat(100_000)}${'*/'.repeat(100_000)} $1`],
    ['100 000 openings of $a that never become a tag', `SELECT ${'$a '.repeat(100_000)} $1`]
  ] as const) {
    test(`${title} of Postgres is read in linear time`, () => {
      assertLinear(() => assert.deepEqual(statementOf(text, 'postgres').uses, [0]))
    })
  }
})

/** A text with a NUL is either no SQL or no parameter of a call. */
function refusesNul(error: unknown): boolean {
  const { code } = error as DatabaseError
  return failsWith(code === 'syntax_error' ? code : 'invalid_parameter', /NUL/)(error)
}

onEachDatabase('The same text', database => {
  for (const [title, text, parameters, row] of [
    [
      'keeps what looks like a parameter in a string',
      "SELECT '$1 :a ''$2''' AS text, CAST($1 AS INTEGER) AS n",
      [5],
      { text: "$1 :a '$2'", n: 5 }
    ],
    ['keeps it in a quoted name', 'SELECT CAST(:n AS INTEGER) AS "$1 :a"', { n: 5 }, { '$1 :a': 5 }],
    ['keeps it in comments', "SELECT /* it's $2 :b */ CAST($1 AS INTEGER) AS n -- isn't $3\n", [5], { n: 5 }],
    ['keeps a backslash in a string', "SELECT '\\' AS text, CAST($1 AS INTEGER) AS n", [5], { text: '\\', n: 5 }],
    [
      'gives $1 the first value each time',
      'SELECT CAST($1 AS INTEGER) AS a, CAST($2 AS INTEGER) AS b, CAST($1 AS INTEGER) AS c',
      [1, 2],
      { a: 1, b: 2, c: 1 }
    ],
    ['takes numbers out of order', 'SELECT CAST($2 AS INTEGER) AS a, CAST($1 AS INTEGER) AS b', [1, 2], { a: 2, b: 1 }],
    [
      'takes a name twice',
      'SELECT CAST(:x AS INTEGER) AS a, CAST(:y AS INTEGER) AS b, CAST(:x AS INTEGER) AS c',
      { y: 2, x: 1 },
      { a: 1, b: 2, c: 1 }
    ],
    ['takes null', 'SELECT CAST($1 AS INTEGER) AS a', [null], { a: null }],
    ['may end in a semicolon', 'SELECT CAST($1 AS INTEGER) AS a;', [5], { a: 5 }],
    ['may end in a comment', 'SELECT CAST(:a AS INTEGER) AS a; -- :b', { a: 5 }, { a: 5 }],
    ['may have a parameter as LIMIT', 'SELECT 1 AS a LIMIT $1 OFFSET $2', [1, 0], { a: 1 }]
  ] as const) {
    test(title, async () => {
      const db = await database.open()
      assert.deepEqual(await db.one(text, parameters), row)
    })
  }

  test('takes ten parameters', async () => {
    const db = await database.open()
    const text = Array.from({ length: 10 }, (_, i) => `CAST($${i + 1} AS INTEGER)`).join(" || ',' || ")
    assert.deepEqual(await db.one(`SELECT ${text} AS text`, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), { text: '1,2,3,4,5,6,7,8,9,10' })
  })

  test('takes names with a $', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE t (foo$1 INTEGER)')
    await db.run('INSERT INTO t (foo$1) VALUES ($1)', [5])
    assert.deepEqual(await db.all('SELECT foo$1 FROM t WHERE foo$1 = :n', { n: 5 }), [{ foo$1: 5 }])
  })

  test('takes a string of 1 MB', async () => {
    const db = await database.open()
    const row = await db.one<{ n: number }>(`SELECT length('${"it''s :a $1 ".repeat(100_000)}') AS n, CAST($1 AS INTEGER) AS one`, [1])
    assert.deepEqual(row, { n: 1_100_000, one: 1 })
  })

  test('fails when a string does not end', async () => {
    const db = await database.open()
    await assert.rejects(db.all("SELECT '$1"), failsWith('syntax_error'))
  })

  for (const text of ['SELECT ? AS a', 'SELECT ?1 AS a', 'SELECT @a AS a', 'SELECT $a AS a', 'SELECT $0 AS a']) {
    test(`fails for a placeholder of another kind, as in ${text}`, async () => {
      const db = await database.open()
      const expected =
        database.dialect === 'sqlite'
          ? failsWith('invalid_parameter', /placeholders of SQLite.*write \$1 or :name/)
          : (error: unknown) => error instanceof DatabaseError && /^(syntax_error|undefined_|invalid_parameter)/.test(error.code)
      await assert.rejects(db.all(text), expected)
    })
  }

  test('fails for a NUL, which would end it, and the database works on', async () => {
    const db = await database.open()
    await assert.rejects(db.all("SELECT 1 AS a\0, 'x'"), refusesNul)
    await assert.rejects(db.exec("SELECT 1 AS a\0, 'x'"), refusesNul)
    assert.deepEqual(await db.one('SELECT 1 AS a'), { a: 1 })
  })

  for (const [title, text, parameters, message] of [
    ['missing', 'INSERT INTO t VALUES ($1, $2)', [1], /\$2 is missing/],
    ['surplus', 'INSERT INTO t VALUES ($1, $1)', [1, 2], /1 unexpected parameter/],
    ['undefined', 'INSERT INTO t VALUES ($1, $2)', [1, undefined], /\$2 is undefined/],
    ['missing by name', 'INSERT INTO t VALUES (:a, :b)', { a: 1 }, /:b is missing/]
  ] as const) {
    test(`is not run when a parameter is ${title}`, async () => {
      const db = await database.open()
      await db.exec('CREATE TABLE t (a INTEGER, b INTEGER)')
      for (const call of [db.run(text, parameters), db.all(text, parameters), db.one(text, parameters), db.maybeOne(text, parameters)]) {
        await assert.rejects(call, failsWith('invalid_parameter', message))
      }
      assert.deepEqual(await db.all('SELECT * FROM t'), [])
    })
  }

  const own: readonly (readonly [title: string, text: string, parameters: readonly unknown[], row: object])[] =
    database.dialect === 'sqlite'
      ? [
          ['keeps names in backticks and brackets', 'SELECT $1 + 0 AS `$2 :a`, 2 AS [$3 :b]', [5], { '$2 :a': 5, '$3 :b': 2 }],
          ['ends a comment at the first */', 'SELECT /* /* */ $1 + 0 AS a', [5], { a: 5 }],
          ['keeps the operators of JSON', `SELECT '{"a":{"b":5}}' -> 'a' ->> '$.b' AS b, $1 + 0 AS n`, [5], { b: 5, n: 5 }]
        ]
      : [
          ['keeps casts', "SELECT '5'::int AS a, $1::int AS b", [5], { a: 5, b: 5 }],
          ['keeps strings in $$', 'SELECT $$ $1 :a $$ AS a, $x$ $$ $2 $x$ AS b, $1::int AS c', [5], { a: ' $1 :a ', b: ' $$ $2 ', c: 5 }],
          ["keeps E'…'", "SELECT E'\\'$1' AS a, $1::int AS b", [5], { a: "'$1", b: 5 }],
          ['keeps nested comments', 'SELECT /* /* $2 */ :a */ $1::int AS a', [5], { a: 5 }],
          [
            'keeps the operators of JSON',
            `SELECT '{"a":1}'::jsonb ? 'a' AS a, '{"a":1}'::jsonb ?| ARRAY['b'] AS b, $1::int AS c`,
            [5],
            { a: true, b: false, c: 5 }
          ],
          [
            'keeps slices',
            'SELECT array_length((ARRAY[1, 2, 3])[1:2], 1) AS a, array_length(r[i:n], 1) AS b FROM (SELECT ARRAY[1, 2, 3] AS r, 1 AS i, 3 AS n) t WHERE 1 = $1',
            [1],
            { a: 2, b: 3 }
          ],
          ['takes bounds of a slice', 'SELECT array_length((ARRAY[1, 2, 3])[$1:$2], 1) AS a', [2, 3], { a: 2 }],
          ['keeps :=', 'SELECT make_date(year := $1, month := 2, day := 3) AS a', [2024], { a: '2024-02-03' }],
          ['ends a line comment at a carriage return', 'SELECT -- a\r$1::int AS a', [5], { a: 5 }]
        ]
  for (const [title, text, parameters, row] of own) {
    test(title, async () => {
      const db = await database.open()
      assert.deepEqual(await db.one(text, parameters), row)
    })
  }
})
