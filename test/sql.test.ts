import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { type Database, type Query, type QueryParameters, type Sql, sql } from '../src/index.ts'
import { failsWith, onEachDatabase } from './support/databases.ts'

onEachDatabase('The sql tag', database => {
  /** A database with the rows 1 to 5, named a to e. */
  async function openWithRows(): Promise<Database> {
    const db = await database.open()
    await db.exec("CREATE TABLE t (n INTEGER, name TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e')")
    return db
  }

  async function names(db: Database, query: Sql): Promise<string> {
    const rows = await db.all<{ name: string }>(query)
    return rows.map(({ name }) => name).join('')
  }

  test('a value is a parameter, whatever it holds', async () => {
    const db = await database.open()
    const value = `Robert'); DROP TABLE "users"; -- $1 :a ? /*`
    assert.deepEqual(await db.one(sql`SELECT CAST(${value} AS TEXT) AS value`), { value })
  })

  test('values keep their order', async () => {
    const db = await database.open()
    const row = await db.one(sql`SELECT CAST(${1} AS INTEGER) AS a, CAST(${'x'} AS TEXT) AS b, CAST(${null} AS TEXT) AS c`)
    assert.deepEqual(row, { a: 1, b: 'x', c: null })
  })

  test('a template without values is a query', async () => {
    const db = await database.open()
    assert.deepEqual(await db.one(sql`SELECT 'a:b $1 ?' AS text`), { text: 'a:b $1 ?' })
  })

  test('twelve values stand in one template', async () => {
    const db = await openWithRows()
    const query = sql`SELECT name FROM t WHERE n IN (${9}, ${9}, ${9}, ${9}, ${9}, ${9}, ${9}, ${9}, ${9}, ${2}, ${4}, ${9}) ORDER BY n`
    assert.equal(await names(db, query), 'bd')
  })

  test('a template can be run again, and by every method', async () => {
    const db = await openWithRows()
    const query = sql`SELECT name FROM t WHERE n = ${3}`
    const expected = { name: 'c' }
    assert.deepEqual(await db.all(query), [expected])
    assert.deepEqual(await db.all(query), [expected])
    assert.deepEqual(await db.one(query), expected)
    assert.deepEqual(await db.maybeOne(query), expected)
    for await (const row of db.iterate(query)) assert.deepEqual(row, expected)
    assert.deepEqual(await db.run(sql`UPDATE t SET name = ${'z'} WHERE n = ${3}`), { changes: 1 })
  })

  test('one place in the code takes other values, then fragments, then values', async () => {
    const db = await openWithRows()
    const at = (n: unknown) => sql`SELECT name FROM t WHERE n = ${n}`
    assert.equal(await names(db, at(1)), 'a')
    assert.equal(await names(db, at(2)), 'b')
    assert.equal(await names(db, at(sql`1 + ${2}`)), 'c')
    assert.equal(await names(db, at(sql`4`)), 'd')
    assert.equal(await names(db, at(5)), 'e')
  })

  test('a template is flattened for each dialect by itself', () => {
    const query = sql`SELECT ${1}, ${sql.dialect({ sqlite: sql`${'s'}`, postgres: 'p' })}, ${2}`
    assert.deepEqual(query.flatten('sqlite'), { text: 'SELECT $1, $2, $3', values: [1, 's', 2], positions: [7, 11, 15] })
    assert.deepEqual(query.flatten('postgres'), { text: 'SELECT $1, p, $2', values: [1, 2], positions: [7, 14] })
  })

  // Nesting -----------------------------------------------------------------------------------------------------

  test('templates nest, and their values keep the order of the text', async () => {
    const db = await openWithRows()
    const low = sql`n >= ${2}`
    const both = sql`(${low} AND n <= ${4})`
    assert.equal(await names(db, sql`SELECT name FROM t WHERE name <> ${'c'} AND ${both} AND ${true} ORDER BY n`), 'bd')
  })

  test('a fragment can stand twice', async () => {
    const db = await openWithRows()
    const three = sql`CAST(${3} AS INTEGER)`
    assert.equal(await names(db, sql`SELECT name FROM t WHERE n = ${three} OR n = ${three} + 1 ORDER BY n`), 'cd')
  })

  test('an empty fragment adds nothing', async () => {
    const db = await openWithRows()
    assert.equal(await names(db, sql`SELECT name FROM t ${sql``} WHERE n = ${1} ${sql``}`), 'a')
  })

  test('a subquery nests', async () => {
    const db = await openWithRows()
    const most = sql`SELECT max(n) FROM t WHERE n < ${5}`
    assert.equal(await names(db, sql`SELECT name FROM t WHERE n = (${most})`), 'd')
  })

  // Names -------------------------------------------------------------------------------------------------------

  for (const name of [
    'analytics-interactions',
    'we"ird',
    '""',
    "it's $1 :a",
    'select',
    'größe',
    'a.b',
    ' ',
    '[x]',
    '`',
    '--',
    '/*',
    '$$'
  ]) {
    test(`sql.id quotes ${name}`, async () => {
      const db = await database.open()
      await db.run(sql`CREATE TABLE ${sql.id(name)} (${sql.id(`${name}1`)} INTEGER)`)
      await db.run(sql`INSERT INTO ${sql.id(name)} VALUES (${5})`)
      assert.deepEqual(await db.all(sql`SELECT * FROM ${sql.id(name)} WHERE ${sql.id(`${name}1`)} = ${5}`), [{ [`${name}1`]: 5 }])
    })
  }

  test('sql.id keeps upper and lower case', async () => {
    const db = await database.open()
    assert.deepEqual(await db.one(sql`SELECT 1 AS ${sql.id('userId')}`), { userId: 1 })
  })

  test('sql.id puts dots between several names', async () => {
    const db = await openWithRows()
    assert.equal(await names(db, sql`SELECT ${sql.id('t', 'name')} FROM t WHERE ${sql.id('t', 'n')} = ${2}`), 'b')
  })

  for (const [title, name] of [
    ['an empty name', ''],
    ['a name with a NUL', 'a\0b'],
    ['a number', 5],
    ['null', null],
    ['undefined', undefined],
    ['an array', ['t', 'n']]
  ] as const) {
    test(`sql.id refuses ${title}, also as the second name`, () => {
      const message = /sql\.id\(\) expects names that are not empty and have no NUL/
      assert.throws(() => sql.id(name as string), failsWith('invalid_parameter', message))
      assert.throws(() => sql.id('t', name as string), failsWith('invalid_parameter', message))
    })
  }

  test('sql.id refuses to be called without a name', () => {
    assert.throws(() => sql.id(...([] as unknown as [string])), failsWith('invalid_parameter', /sql\.id\(\)/))
  })

  // Lists -------------------------------------------------------------------------------------------------------

  for (const [title, list, expected] of [
    ['one value', [2], 'b'],
    ['several values', [2, 4, 5], 'bde'],
    ['a thousand values', Array.from({ length: 1000 }, (_, i) => i + 3), 'cde']
  ] as const) {
    test(`sql.list takes ${title}`, async () => {
      const db = await openWithRows()
      assert.equal(await names(db, sql`SELECT name FROM t WHERE n IN (${sql.list(list)}) AND name <> ${'x'} ORDER BY n`), expected)
    })
  }

  test('sql.list fills VALUES', async () => {
    const db = await openWithRows()
    await db.run(sql`INSERT INTO t (n, name) VALUES (${sql.list([6, "it's"])})`)
    assert.equal(await names(db, sql`SELECT name FROM t WHERE n = ${6}`), "it's")
  })

  test('sql.list takes fragments', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE t (n INTEGER, name TEXT)')
    const rows = [sql`(${1}, ${'a'})`, sql`(${2}, ${'b'})`]
    assert.deepEqual(await db.run(sql`INSERT INTO t (n, name) VALUES ${sql.list(rows)}`), { changes: 2 })
    assert.equal(await names(db, sql`SELECT name FROM t ORDER BY n`), 'ab')
  })

  test('sql.list refuses an empty list, and says what to do', () => {
    assert.throws(() => sql.list([]), failsWith('invalid_parameter', /at least one value.*Leave the condition out/))
  })

  for (const values of [null, undefined, 'abc', 5, new Set([1]), { length: 1 }]) {
    test(`sql.list refuses ${inspect(values)}`, () => {
      assert.throws(() => sql.list(values as unknown as unknown[]), failsWith('invalid_parameter', /sql\.list\(\) expects an array/))
    })
  }

  // Text as it is -----------------------------------------------------------------------------------------------

  test('sql.unsafe inserts a text as it is', async () => {
    const db = await openWithRows()
    assert.equal(await names(db, sql`SELECT name FROM t WHERE n > ${3} ${sql.unsafe('ORDER BY n DESC')}`), 'ed')
  })

  for (const value of [null, undefined, 5, ['x']]) {
    test(`sql.unsafe refuses ${inspect(value)}`, () => {
      assert.throws(() => sql.unsafe(value as unknown as string), failsWith('invalid_parameter', /sql\.unsafe\(\) expects a string/))
    })
  }

  // Dialects ----------------------------------------------------------------------------------------------------

  test('sql.dialect picks a text', async () => {
    const db = await database.open()
    assert.deepEqual(await db.one(sql`SELECT ${sql.dialect({ sqlite: "'sqlite'", postgres: "'postgres'" })} AS name`), {
      name: database.dialect
    })
  })

  test('sql.dialect picks a template with its values', async () => {
    const db = await database.open()
    const piece = sql.dialect({ sqlite: sql`CAST(${'sqlite'} AS TEXT)`, postgres: sql`${'postgres'}::text` })
    const row = await db.one(sql`SELECT CAST(${1} AS INTEGER) AS a, ${piece} AS b, CAST(${2} AS INTEGER) AS c`)
    assert.deepEqual(row, { a: 1, b: database.dialect, c: 2 })
  })

  test('sql.dialect without a piece for the database is an error that names it', async () => {
    const db = await database.open()
    const piece = sql.dialect({} as { sqlite: string; postgres: string })
    await assert.rejects(db.all(sql`SELECT ${piece}`), failsWith('invalid_parameter', new RegExp(`no piece for ${database.dialect}`)))
  })

  // The current time --------------------------------------------------------------------------------------------

  /** Runs what stores `at` in table `t`, and checks that it is now. */
  async function assertStoresNow(db: Database, store: () => Promise<unknown>): Promise<void> {
    const before = Date.now()
    await store()
    const { at } = await db.one<{ at: Date }>('SELECT at FROM t')
    assert.ok(at instanceof Date)
    assert.ok(at.getTime() >= before && at.getTime() <= Date.now(), `${at.toISOString()} is not now`)
  }

  for (const type of ['TIMESTAMP', 'TIMESTAMPTZ']) {
    test(`sql.now is the current time in a column of type ${type}`, async () => {
      const db = await database.open()
      await db.exec(`CREATE TABLE t (at ${type})`)
      await assertStoresNow(db, () => db.run(sql`INSERT INTO t VALUES (${sql.now})`))
    })
  }

  test('sql.now can be the default of a column', async () => {
    const db = await database.open()
    await db.run(sql`CREATE TABLE t (id INTEGER, at TIMESTAMP NOT NULL DEFAULT ${sql.now})`)
    await assertStoresNow(db, () => db.run('INSERT INTO t (id) VALUES (1)'))
  })

  test('sql.now compares with a Date that was stored', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE t (n INTEGER, at TIMESTAMP)')
    await db.run(sql`INSERT INTO t VALUES (${1}, ${new Date(Date.now() - 60_000)}), (${2}, ${new Date(Date.now() + 60_000)})`)
    assert.deepEqual(await db.all(sql`SELECT n FROM t WHERE at <= ${sql.now}`), [{ n: 1 }])
  })

  test('a time of sql.now that was read finds its row again', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE t (at TIMESTAMP)')
    await db.run(sql`INSERT INTO t VALUES (${sql.now})`)
    const { at } = await db.one<{ at: Date }>('SELECT at FROM t')
    assert.deepEqual(await db.all(sql`SELECT at FROM t WHERE at = ${at}`), [{ at }])
  })

  if (database.dialect === 'postgres') {
    test('sql.now is the current time also behind a pooler where the server has a time zone of its own, in a TIMESTAMPTZ', async () => {
      const { postgres } = await database.config()
      const connection = `${postgres?.connection}%20-c%20TimeZone%3DAmerica/New_York`
      const db = await database.open({ postgres: { enabled: true, connection, pooler: true } })
      await db.exec('CREATE TABLE t (at TIMESTAMPTZ)')
      await assertStoresNow(db, () => db.run(sql`INSERT INTO t VALUES (${sql.now})`))
    })
  }

  // What is refused ---------------------------------------------------------------------------------------------

  for (const [title, query, message] of [
    ['a value in a string', sql`SELECT '${1}'`, /stands inside a string or a comment.*Put values outside of quotes/],
    ['a value in a string beside one outside', sql`SELECT '${1}', ${2}`, /inside a string/],
    ['a value in a quoted name', sql`SELECT 1 AS "${'a'}"`, /inside a string/],
    ['a value in a block comment', sql`SELECT 1 /* ${1} */`, /or a comment/],
    ['a value in a line comment', sql`SELECT 1 -- ${1}`, /or a comment/],
    ['a value in a fragment in a string', sql`SELECT '${sql`${1}`}'`, /inside a string/],
    ['a value that ends a name', sql`SELECT a${1}`, /of this sql`…` template/],
    ['a value before a digit', sql`SELECT ${1}0`, /of this sql`…` template/],
    ['$1 in the text', sql`SELECT $1`, /has a \$1 of its own/],
    ['$1 beside a value', sql`SELECT $1, ${1}`, /\$1 of its own/],
    ['$2 beside a value', sql`SELECT ${1}, $2`, /\$1 of its own/],
    ['$1 beside a value in a string', sql`SELECT '${1}', $1`, /\$1 of its own/],
    ['$1 in sql.unsafe', sql`SELECT ${sql.unsafe('$1')}`, /\$1 of its own/],
    [':name in the text', sql`SELECT :name`, /takes its values as \$\{value\}.*:name/],
    [':name in sql.unsafe', sql`SELECT ${sql.unsafe(':name')}`, /:name/],
    ['both kinds', sql`SELECT ${1}, :name`, /\$1 and :name|:name/],
    ['undefined', sql`SELECT ${1}, ${undefined}`, /\$\{…\} number 2 of the template is undefined; for SQL NULL give null/],
    ['undefined in a fragment', sql`SELECT ${1}, ${sql`${undefined}`}`, /number 2 of the template is undefined/],
    ['undefined in a list', sql`SELECT 1 WHERE 1 IN (${sql.list([1, undefined])})`, /number 2 of the template is undefined/],
    ['a function', sql`SELECT ${() => 1}`, /\$1 is a function/],
    ['a NUL in sql.unsafe', sql`SELECT 1 ${sql.unsafe('\0')}`, /NUL/],
    ['a symbol', sql`SELECT ${Symbol('a')}`, /\$1 is a symbol/]
  ] as const) {
    test(`${title} is an error`, async () => {
      const db = await database.open()
      await assert.rejects(db.all(query), failsWith('invalid_parameter', message))
    })
  }

  test('undefined is an error also at a place that was run before', async () => {
    const db = await openWithRows()
    const at = (n: unknown) => sql`SELECT name FROM t WHERE n = ${n}`
    assert.equal(await names(db, at(1)), 'a')
    await assert.rejects(db.all(at(undefined)), failsWith('invalid_parameter', /number 1 of the template is undefined/))
  })

  for (const parameters of [[], [1], {}, { a: 1 }, null]) {
    test(`the parameters ${inspect(parameters)} beside a template are an error`, async () => {
      const db = await database.open()
      await assert.rejects(
        db.all(sql`SELECT 1`, parameters as QueryParameters),
        failsWith('invalid_parameter', /carries its own values; leave the parameters out/)
      )
    })
  }

  test('a string that looks like a template is not run', async () => {
    const db = await database.open()
    await assert.rejects(
      db.all(['SELECT 1'] as unknown as Query),
      failsWith('invalid_parameter', /Expected SQL as a string or a sql`…` template/)
    )
  })

  test('an invalid escape in a template is refused, where its text would be lost', async () => {
    const db = await openWithRows()
    const table = sql.id('t')
    // biome-ignore format: the escape is what is tested
    assert.throws(() => sql`DELETE FROM ${table} WHERE name = 'C:\users'`, failsWith('invalid_parameter', /invalid escape.*write a backslash as/))
    assert.equal((await db.all('SELECT n FROM t')).length, 5)
  })

  test('sql.shift with numbers may stand in a DEFAULT and twice in a GROUP BY', async () => {
    const db = await database.open()
    await db.exec(sql`CREATE TABLE sessions (id INTEGER, ends TIMESTAMPTZ DEFAULT ${sql.shift(sql.now, { days: 1.5, hours: -1 })})`)
    await db.run('INSERT INTO sessions (id) VALUES (1)')
    const later = sql.shift(sql`ends`, { days: -1 })
    assert.equal((await db.all(sql`SELECT ${later} AS later, count(*) AS n FROM sessions GROUP BY ${later}`)).length, 1)
  })

  test('sql.json refuses what JSONB cannot hold', () => {
    for (const value of ['a\0b', { a: '\ud800' }, ['\0']]) {
      assert.throws(() => sql.json(value), failsWith('invalid_parameter', /NUL character or half of a surrogate pair/))
    }
  })

  // A fragment is no text ----------------------------------------------------------------------------------------

  for (const [title, use] of [
    ['joined into a template string', (fragment: unknown) => `SELECT ${fragment}`],
    // biome-ignore lint/style/useTemplate: this is what is tried.
    ['added to a string', (fragment: unknown) => 'SELECT ' + fragment],
    ['joined in an array', (fragment: unknown) => [fragment, fragment].join(', ')],
    ['written with toString()', (fragment: unknown) => (fragment as object).toString()],
    ['written as JSON', (fragment: unknown) => JSON.stringify({ fragment })],
    ['made a number', (fragment: unknown) => Number(fragment)]
  ] as const) {
    test(`a fragment is refused when it is ${title}`, () => {
      assert.throws(() => use(sql`x = ${1}`), failsWith('invalid_parameter', /sql fragment.*Put it into a template: sql`… \$\{fragment\}`/))
    })
  }

  test('a fragment is refused as a value, and so is an array that holds one', async () => {
    const db = await database.open()
    for (const [value, message] of [
      [sql`1`, /\$1 is a sql fragment; put it into a template/],
      [[sql`1`], /\$1 is an array of sql fragments; join them with sql\.join/],
      [[1, [sql`1`]], /sql fragment stands where a value belongs/],
      [{ a: sql`1` }, /sql fragment stands where a value belongs/]
    ] as const) {
      await assert.rejects(db.all('SELECT $1', [value]), failsWith('invalid_parameter', message))
      await assert.rejects(db.all('SELECT :a', { a: value }), failsWith('invalid_parameter'))
      await assert.rejects(db.kvs.set('k', value), failsWith('invalid_parameter', /sql fragment/))
    }
    await assert.rejects(db.all(sql`SELECT ${[sql`1`, sql`2`]}`), failsWith('invalid_parameter', /array of sql fragments; join them/))
  })

  test('a chain of 20 000 fragments works', async () => {
    const db = await database.open()
    let left = sql`SELECT 1 AS n`
    let right = sql` AS n`
    for (let i = 0; i < 20_000; i++) {
      left = sql`${left} `
      right = sql` ${right}`
    }
    assert.deepEqual(await db.one(left), { n: 1 })
    assert.deepEqual(await db.one(sql`SELECT 1${right}`), { n: 1 })
  })

  test('a chain of more values than a statement takes is refused', async () => {
    const db = await database.open()
    let chain = sql`SELECT ${1}`
    for (let i = 0; i < 40_000; i++) chain = sql`${chain}, ${i}`
    await assert.rejects(db.all(chain), failsWith('invalid_parameter', /32766 parameters at most/))
  })

  // Joining -----------------------------------------------------------------------------------------------------

  test('sql.join puts a fragment between fragments', async () => {
    const db = await openWithRows()
    const conditions = [sql`n > ${1}`, sql`n < ${4}`]
    assert.equal(await names(db, sql`SELECT name FROM t WHERE ${sql.join([sql`TRUE`, ...conditions], sql` AND `)} ORDER BY n`), 'bc')
    assert.equal(await names(db, sql`SELECT name FROM t WHERE ${sql.join([sql`TRUE`], sql` AND `)} ORDER BY n`), 'abcde')
    assert.equal(await names(db, sql`SELECT name FROM t ORDER BY ${sql.join([sql.id('name'), sql`n`], sql` DESC, `)}`), 'edcba')
  })

  test('sql.join refuses an empty list, and says how to begin', () => {
    assert.throws(
      () => sql.join([], sql` AND `),
      failsWith('invalid_parameter', /at least one fragment.*sql\.join\(\[sql`TRUE`, \.\.\.conditions\]/)
    )
  })

  test('sql.join takes no text as its separator and no values as its pieces', () => {
    assert.throws(() => sql.join([sql`1`], ' AND ' as never), failsWith('invalid_parameter', /separator as a sql fragment.*got string/))
    assert.throws(() => sql.join(['n = 1'] as never, sql` AND `), failsWith('invalid_parameter', /for values use sql\.list\(\)/))
    assert.throws(() => sql.join('n' as never, sql` AND `), failsWith('invalid_parameter'))
  })

  test('sql.list of fragments inserts many rows', async () => {
    const db = await openWithRows()
    const rows = [6, 7].map(n => sql`(${n}, ${`name ${n}`})`)
    assert.deepEqual(await db.run(sql`INSERT INTO t (n, name) VALUES ${sql.list(rows)}`), { changes: 2 })
    assert.deepEqual(await db.one('SELECT name FROM t WHERE n = 7'), { name: 'name 7' })
  })

  test('an array in IN is refused with the way out', async () => {
    const db = await openWithRows()
    const refused = failsWith('invalid_parameter', /is an array, which would be one value of the list.*sql\.list\(values\)/)
    await assert.rejects(db.all(sql`SELECT n FROM t WHERE n IN (${[1, 2]})`), refused)
    await assert.rejects(db.all('SELECT n FROM t WHERE n IN ($1)', [[1, 2]]), refused)
    await assert.rejects(db.all('SELECT n FROM t WHERE n NOT IN (0, :ids)', { ids: [1, 2] }), refused)
    await assert.rejects(db.all('SELECT n FROM t WHERE n = ANY ($1)', [[1, 2]]), refused)
    assert.equal(await names(db, sql`SELECT name FROM t WHERE n IN (${sql.list([1, 2])}) ORDER BY n`), 'ab')
    // In a subquery and in a function an array is JSON, as everywhere.
    const json = database.dialect === 'sqlite' ? 'json_each($1)' : 'json_array_elements_text($1::JSON)'
    assert.deepEqual(await db.all(`SELECT n FROM t WHERE CAST(n AS TEXT) IN (SELECT CAST(value AS TEXT) FROM ${json})`, [[1, 9]]), [
      { n: 1 }
    ])
  })

  // JSON, ids and time ------------------------------------------------------------------------------------------

  test('sql.json stores what is JSON: strings, booleans and null too', async () => {
    const db = await database.open()
    await db.run(sql`CREATE TABLE documents (id ${sql.autoId}, document JSON)`)
    const values = ['text', true, { a: [1] }, [1, 'b'], '{"a":1}']
    for (const value of values) await db.run(sql`INSERT INTO documents (document) VALUES (${sql.json(value)})`)
    const rows = await db.all<{ document: unknown }>('SELECT document FROM documents ORDER BY id')
    assert.deepEqual(
      rows.map(({ document }) => document),
      values
    )
    await db.run(sql`INSERT INTO documents (document) VALUES (${sql.json(null)}), (${null})`)
    assert.deepEqual(await db.one('SELECT count(*) AS n FROM documents WHERE document IS NULL'), { n: 1 })
  })

  test('sql.json refuses what JSON cannot hold, at once', () => {
    assert.throws(() => sql.json({ tags: [new Map()] }), failsWith('invalid_parameter', /The value of sql\.json\(\)\.tags\[0\] is a Map/))
    assert.throws(() => sql.json(undefined), failsWith('invalid_parameter', /is undefined/))
  })

  test('sql.json takes the value when it is called', async () => {
    const db = await database.open()
    const value = { n: 1 }
    const query = sql`SELECT CAST(${sql.json(value)} AS TEXT) AS text`
    value.n = 2
    assert.deepEqual(await db.one(query), { text: '{"n":1}' })
  })

  test('sql.autoId gives an id that is never given twice', async () => {
    const db = await database.open()
    await db.run(sql`CREATE TABLE things (id ${sql.autoId}, name TEXT)`)
    const add = () => db.one<{ id: number }>("INSERT INTO things (name) VALUES ('a') RETURNING id")
    assert.deepEqual([await add(), await add()], [{ id: 1 }, { id: 2 }])
    await db.run('DELETE FROM things WHERE id = 2')
    assert.deepEqual(await add(), { id: 3 })
  })

  test('sql.now is the time of the statement, also within a transaction', async () => {
    const db = await database.open()
    await db.exec(sql`CREATE TABLE times (n INTEGER, at TIMESTAMPTZ DEFAULT ${sql.now})`)
    await db.transaction(async tx => {
      await tx.run('INSERT INTO times (n) VALUES (1)')
      await new Promise(resolve => setTimeout(resolve, 20))
      await tx.run(sql`INSERT INTO times (n, at) VALUES (2, ${sql.now})`)
    })
    const [first, second] = await db.all<{ at: Date }>('SELECT at FROM times ORDER BY n')
    assert.ok((second as { at: Date }).at.getTime() - (first as { at: Date }).at.getTime() >= 15)
  })

  /** A table of one time, in the column `at`. */
  async function openWithTime(at: Date): Promise<Database> {
    const db = await database.open()
    await db.exec('CREATE TABLE times (at TIMESTAMPTZ, plain TIMESTAMP, day DATE, days INTEGER)')
    await db.run(sql`INSERT INTO times VALUES (${at}, ${at}, ${sql.day(at)}, ${2})`)
    return db
  }

  for (const [by, expected] of [
    [{ days: -1 }, '2024-02-28T23:59:59.123Z'],
    [{ days: 1, hours: 1, minutes: 1, seconds: 1.5 }, '2024-03-02T01:01:00.623Z'],
    [{ days: 0.5 }, '2024-03-01T11:59:59.123Z'],
    [{ seconds: 0 }, '2024-02-29T23:59:59.123Z'],
    [{ seconds: 0.877 }, '2024-03-01T00:00:00.000Z'],
    [{ days: 365_000 }, '3023-07-02T23:59:59.123Z'],
    [{ days: sql`days` }, '2024-03-02T23:59:59.123Z'],
    [{ days: sql`days`, hours: -1 }, '2024-03-02T22:59:59.123Z'],
    [{ days: sql`CAST(NULL AS INTEGER)` }, null]
  ] as const) {
    test(`sql.shift moves a column and a Date by ${inspect(by, { breakLength: Number.POSITIVE_INFINITY })}`, async () => {
      const at = new Date('2024-02-29T23:59:59.123Z')
      const db = await openWithTime(at)
      await db.exec('CREATE TABLE shifted (at TIMESTAMPTZ)')
      await db.run(sql`INSERT INTO shifted SELECT ${sql.shift(sql`at`, by)} FROM times`)
      await db.run(sql`INSERT INTO shifted SELECT ${sql.shift(sql`plain`, by)} FROM times`)
      await db.run(sql`INSERT INTO shifted SELECT ${sql.shift(at, by)} FROM times`)
      const time = { at: expected === null ? null : new Date(expected) }
      assert.deepEqual(await db.all('SELECT at FROM shifted'), [time, time, time])
    })
  }

  test('sql.shift compares with a column', async () => {
    const db = await openWithTime(new Date())
    const count = (condition: Sql) => db.one(sql`SELECT count(*) AS n FROM times WHERE ${condition}`)
    assert.deepEqual(await count(sql`at > ${sql.shift(sql.now, { minutes: -1 })}`), { n: 1 })
    assert.deepEqual(await count(sql`at > ${sql.shift(sql.now, { minutes: 1 })}`), { n: 0 })
    assert.deepEqual(await count(sql`${sql.shift(sql`at`, { days: 1 })} > ${sql.now}`), { n: 1 })
  })

  test('sql.day and sql.hour are those of UTC', async () => {
    const db = await openWithTime(new Date('2024-02-29T23:59:59.999Z'))
    const at = new Date('2024-12-31T00:00:00.000Z')
    const row =
      await db.one(sql`SELECT ${sql.day(sql`at`)} AS a, ${sql.day(sql`plain`)} AS b, ${sql.day(at)} AS c, ${sql.hour(sql`at`)} AS d,
      ${sql.hour(sql`plain`)} AS e, ${sql.hour(at)} AS f, day AS g FROM times`)
    assert.deepEqual(row, { a: '2024-02-29', b: '2024-02-29', c: '2024-12-31', d: 23, e: 23, f: 0, g: '2024-02-29' })
    const found = await db.all(sql`SELECT days FROM times WHERE day = ${sql.day(sql`at`)} AND ${sql.day(sql`at`)} = ${'2024-02-29'}`)
    assert.deepEqual(found, [{ days: 2 }])
  })

  test('sql.shift, sql.day and sql.hour read integers of milliseconds, as SQLite tables of older versions have them', async () => {
    if (database.dialect !== 'sqlite') return
    const db = await openWithTime(new Date())
    await db.run('UPDATE times SET at = $1', [Date.parse('2024-02-29T23:59:59.123Z')])
    const row = await db.one(
      sql`SELECT ${sql.day(sql`at`)} AS a, ${sql.hour(sql`at`)} AS b, ${sql.shift(sql`at`, { days: 1 })} AS c FROM times`
    )
    assert.deepEqual(row, { a: '2024-02-29', b: 23, c: '2024-03-01T23:59:59.123Z' })
  })

  for (const [title, make] of [
    ['no parts', () => sql.shift(sql.now, {})],
    ['an unknown part', () => sql.shift(sql.now, { weeks: 1 } as never)],
    ['a part that is no number', () => sql.shift(sql.now, { days: '1' } as never)],
    ['an infinite part', () => sql.shift(sql.now, { days: Number.POSITIVE_INFINITY })],
    ['a number', () => sql.shift(sql.now, 5 as never)],
    ['null', () => sql.shift(sql.now, null as never)]
  ] as const) {
    test(`sql.shift refuses ${title}`, () => {
      assert.throws(make, failsWith('invalid_parameter', /sql\.shift\(\) expects an object with days, hours, minutes or seconds/))
    })
  }

  test('sql.shift, sql.day and sql.hour refuse a time that is neither a Date nor a fragment', () => {
    for (const time of ['now', 5, null, undefined]) {
      assert.throws(() => sql.day(time as never), failsWith('invalid_parameter', /sql\.day\(\) expects a Date or a sql fragment/))
    }
  })

  test('sql.dialect deep in a template fails with a stack that leads to the caller', async () => {
    const db = await database.open()
    let deep = sql.dialect({} as never)
    for (let i = 0; i < 50; i++) deep = sql`${deep}`
    await assert.rejects(
      async function caller() {
        await db.all(sql`SELECT ${deep}`)
      },
      (error: Error) => /sql\.dialect\(\) has no piece/.test(error.message) && /caller/.test(error.stack ?? '')
    )
  })

  // What shows --------------------------------------------------------------------------------------------------

  test('the values do not show when a template is printed', () => {
    const query = sql`SELECT ${'hunter2'}, ${sql`${'hunter2'}`}, ${sql.list(['hunter2'])}`
    for (const shown of [query, sql`SELECT ${'hunter2'}`, [query], { query }]) {
      assert.doesNotMatch(inspect(shown, { depth: 10, showHidden: true }), /hunter2/)
    }
  })

  for (const [title, query] of [
    ['of a parameter', sql`SELECT '${'hunter2'}'`],
    ['of the database', sql`SELECT ${'hunter2'} FROM nowhere`]
  ] as const) {
    test(`the values do not show in an error ${title}`, async () => {
      const db = await database.open()
      await assert.rejects(db.all(query), error => {
        assert.doesNotMatch(inspect(error), /hunter2/)
        return true
      })
    })
  }
})
