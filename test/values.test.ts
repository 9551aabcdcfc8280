import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { createDatabase, type Database, type Dialect, type Handle, type Row, sql } from '../src/index.ts'
import { failsWith, onEachDatabase, onEachSharedDatabase } from './support/databases.ts'

/** Where a dialect has another name for a declared type. */
const NAMES: Readonly<Record<string, Partial<Record<Dialect, string>>>> = {
  BLOB: { postgres: 'BYTEA' },
  DATETIME: { postgres: 'TIMESTAMP' },
  NUMERIC: { sqlite: 'TEXT' },
  DECIMAL: { sqlite: 'TEXT' }
}

function typeOn(dialect: Dialect, type: string): string {
  return NAMES[type]?.[dialect] ?? type
}

/** Makes a table with a column c0, c1 … of each type, and stores each value in all columns of a row. */
async function store(db: Database, types: readonly string[], values: readonly unknown[]): Promise<void> {
  await db.exec(`CREATE TABLE samples (id INTEGER, ${types.map((type, i) => `c${i} ${typeOn(db.dialect, type)}`).join(', ')})`)
  for (const [id, value] of values.entries()) {
    await db.run(`INSERT INTO samples VALUES ($1${types.map((_, i) => `, $${i + 2}`).join('')})`, [id, ...types.map(() => value)])
  }
}

async function collect(rows: AsyncIterable<Row>): Promise<Row[]> {
  const collected: Row[] = []
  for await (const row of rows) collected.push(row)
  return collected
}

/** Every way in which rows reach the caller. */
const WAYS: Readonly<Record<string, (db: Database) => Promise<Row[]>>> = {
  'all()': db => db.all('SELECT * FROM samples ORDER BY id'),
  'iterate()': db => collect(db.iterate('SELECT * FROM samples ORDER BY id')),
  'all() in a transaction': db => db.transaction(tx => tx.all('SELECT * FROM samples ORDER BY id')),
  'iterate() in a transaction': db => db.transaction(tx => collect(tx.iterate('SELECT * FROM samples ORDER BY id'))),
  RETURNING: async db => (await db.all('UPDATE samples SET id = id RETURNING *')).sort((a, b) => Number(a.id) - Number(b.id))
}

interface Sample {
  readonly title: string
  readonly types: readonly string[]
  readonly given: readonly unknown[]
  /** What is read, where that is not what was given. */
  readonly expected?: readonly unknown[]
  /** Whether what was read equals what is stored, for the engine's =. */
  readonly isComparable?: false
}

const MAX_SAFE = 2 ** 53 - 1
const MIB = Buffer.alloc(1024 * 1024, Buffer.from([0, 1, 127, 128, 255]))
const NESTED = { a: [1, { b: [null, true, 'ü😀', { c: {} }] }, []], 'x.y': { '': 'empty name' }, n: -1.5e-7, big: 1e300 }
const OWN_PROTO = JSON.parse('{"__proto__": {"isAdmin": true}, "constructor": 1}')

/** A row of the table of values for each, and some for the ends of their ranges. */
const SAMPLES: readonly Sample[] = [
  {
    title: 'small integers are numbers',
    types: ['INTEGER', 'SMALLINT', 'BIGINT', 'INT8'],
    given: [0, -0, 1, -1, 32767, -32768, 5n, null],
    expected: [0, 0, 1, -1, 32767, -32768, 5, null]
  },
  {
    title: 'integers to 2^53-1 are numbers, and those beyond are BigInts',
    types: ['BIGINT', 'INT8'],
    given: [MAX_SAFE, -MAX_SAFE, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, -(2n ** 53n) + 1n, -(2n ** 53n), -(2n ** 53n) - 1n],
    expected: [MAX_SAFE, -MAX_SAFE, MAX_SAFE, 2n ** 53n, 2n ** 53n + 1n, -MAX_SAFE, -(2n ** 53n), -(2n ** 53n) - 1n]
  },
  { title: 'the ends of 64 bits are exact', types: ['BIGINT', 'INT8'], given: [2n ** 63n - 1n, -(2n ** 63n)] },
  {
    title: 'a number that is an integer beyond 2^53 is stored as that integer',
    types: ['BIGINT', 'INT8'],
    given: [2 ** 53, 2 ** 60, -(2 ** 60), 2 ** 62 + 2 ** 10, -(2 ** 63)],
    expected: [2n ** 53n, 2n ** 60n, -(2n ** 60n), 2n ** 62n + 2n ** 10n, -(2n ** 63n)]
  },
  {
    title: 'floats that four bytes hold are numbers',
    types: ['REAL', 'DOUBLE PRECISION'],
    given: [0, -0, 1.5, -0.25, 65536, Infinity, -Infinity, null],
    expected: [0, 0, 1.5, -0.25, 65536, Infinity, -Infinity, null]
  },
  {
    title: 'floats of eight bytes keep every digit',
    types: ['DOUBLE PRECISION'],
    given: [0.1 + 0.2, 1 / 3, Number.MAX_VALUE, Number.MIN_VALUE, -Number.MIN_VALUE, Number.EPSILON, MAX_SAFE, 2 ** 63, 1e21, 5e-7]
  },
  {
    title: 'exact decimals are texts',
    types: ['NUMERIC', 'DECIMAL'],
    given: ['0', '-0.10', '12345678901234567890.123456789012345678', '0.1', '1000', null]
  },
  { title: 'booleans are booleans', types: ['BOOLEAN'], given: [true, false, null] },
  {
    title: 'times are Dates to the millisecond',
    types: ['TIMESTAMP', 'TIMESTAMPTZ', 'DATETIME'],
    given: [
      new Date('2018-11-05T02:30:00.123Z'),
      new Date(0),
      new Date(-1),
      new Date('0001-01-01T00:00:00.000Z'),
      new Date('0099-12-31T23:59:59.999Z'),
      new Date('9999-12-31T23:59:59.999Z'),
      null
    ]
  },
  { title: 'days are texts', types: ['DATE'], given: ['2018-11-05', '0001-01-01', '9999-12-31', '2024-02-29', '1970-01-01', null] },
  {
    title: 'JSON is its value',
    types: ['JSON', 'JSONB'],
    given: [{}, [], NESTED, [NESTED, [[[]]]], { text: 'quote " backslash \\ \\u0000 \\ud800 line\n' }, OWN_PROTO, null],
    isComparable: false
  },
  {
    title: 'a text in a JSON column is JSON',
    types: ['JSON', 'JSONB'],
    given: ['{"a":[1,null]}', '"text"', '5', 'true', '1.5', '"5"', '9007199254740993'],
    expected: [{ a: [1, null] }, 'text', 5, true, 1.5, '5', 2 ** 53],
    isComparable: false
  },
  {
    title: 'bytes are Buffers',
    types: ['BLOB', 'BYTEA'],
    given: [Buffer.alloc(0), Buffer.from([0]), Buffer.from([255, 0, 128]), new Uint8Array([9, 1, 2, 3]).subarray(1), null],
    expected: [Buffer.alloc(0), Buffer.from([0]), Buffer.from([255, 0, 128]), Buffer.from([1, 2, 3]), null]
  },
  { title: 'a MiB of bytes is a Buffer', types: ['BLOB', 'BYTEA'], given: [MIB] },
  {
    title: 'texts are texts',
    types: ['TEXT', 'VARCHAR', 'VARCHAR(40)'],
    given: [
      '',
      ' ',
      'Sylvain',
      '😀 𝒳 \u{10ffff}',
      'it\'s "quoted" \\ \\x41',
      'line\r\nbreak\ttab',
      '5',
      '1e3',
      '2018-11-05',
      'e\u0301',
      '\ufeff',
      null
    ]
  },
  {
    title: 'a number in a column of texts is its digits',
    types: ['TEXT', 'VARCHAR'],
    given: [0, -0, 5, -7n, 1.5, 2 ** 53, 2n ** 63n - 1n],
    expected: ['0', '0', '5', '-7', '1.5', '9007199254740992', '9223372036854775807']
  },
  {
    title: 'UUIDs are texts',
    types: ['UUID'],
    given: ['00000000-0000-0000-0000-000000000000', '1e5a4c3b-9f1e-4b8a-8f00-0123456789ab', null]
  }
]

onEachDatabase('Values', database => {
  for (const { title, types, given, expected = given, isComparable = true } of SAMPLES) {
    const rows = expected.map((value, id) => ({ id, ...Object.fromEntries(types.map((_, i) => [`c${i}`, value])) }))

    for (const [way, read] of Object.entries(WAYS)) {
      test(`${title}: ${types.join(', ')} through ${way}`, async () => {
        const db = await database.open()
        await store(db, types, given)
        assert.deepEqual(await read(db), rows)
      })
    }

    if (isComparable) {
      test(`${title}: what was read finds its row`, async () => {
        const db = await database.open()
        await store(db, types, given)
        const wanted = types.map((_, i) => `c${i} = $${i + 1}`).join(' AND ')
        for (const [id, value] of expected.entries()) {
          if (value === null) continue
          const found = await db.all(
            `SELECT id FROM samples WHERE ${wanted}`,
            types.map(() => value)
          )
          assert.ok(
            found.some(row => row.id === id),
            `row ${id} was not found by ${String(value)}`
          )
        }
      })
    }
  }

  test('an integer beyond 2^53 turns up as a BigInt behind more rows than are read at a time', async () => {
    const db = await database.open()
    const values = Array.from({ length: 250 }, (_, i) => (i === 230 ? 2n ** 53n + 1n : i))
    await store(db, ['BIGINT'], [])
    await db.run(`INSERT INTO samples VALUES ${values.map((_, i) => `(${i}, $${i + 1})`).join(', ')}`, values)
    const rows = values.map((c0, id) => ({ id, c0 }))
    for (const read of Object.values(WAYS)) assert.deepEqual(await read(db), rows)
  })

  // Numbers that the engine makes ------------------------------------------------------------------------------

  test('count(*), sum() of integers and max() are numbers', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE amounts (small INTEGER, big BIGINT); INSERT INTO amounts VALUES (1, 2), (3, 9007199254740991)')
    assert.deepEqual(await db.one('SELECT count(*) AS count, sum(small) AS sum, max(small) AS high, max(big) AS highest FROM amounts'), {
      count: 2,
      sum: 4,
      high: 3,
      highest: MAX_SAFE
    })
  })

  test('a sum beyond 2^53 is a BigInt when it is cast to an integer', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE amounts (big BIGINT); INSERT INTO amounts VALUES (9007199254740991), (2)')
    assert.deepEqual(await db.all('SELECT CAST(sum(big) AS BIGINT) AS sum FROM amounts'), [{ sum: 2n ** 53n + 1n }])
  })

  test('the sum of no rows is null, and their count 0', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE amounts (small INTEGER)')
    assert.deepEqual(await db.one('SELECT count(*) AS count, sum(small) AS sum FROM amounts'), { count: 0, sum: null })
  })

  // Times ------------------------------------------------------------------------------------------------------

  for (const [literal, expected] of [
    ['2018-11-05 02:30:00', '2018-11-05T02:30:00.000Z'],
    ['2018-11-05 02:30:00.5', '2018-11-05T02:30:00.500Z'],
    ['2018-11-05 02:30:00.123456', '2018-11-05T02:30:00.123Z'],
    ['2018-11-05T02:30:00.999999', '2018-11-05T02:30:00.999Z'],
    ['1969-12-31 23:59:59.999999', '1969-12-31T23:59:59.999Z'],
    ['2018-11-05T02:30:00.123Z', '2018-11-05T02:30:00.123Z'],
    ['2018-11-05', '2018-11-05T00:00:00.000Z'],
    ['0001-01-01 00:00:00.000001', '0001-01-01T00:00:00.000Z'],
    ['9999-12-31 23:59:59.999999', '9999-12-31T23:59:59.999Z']
  ] as const) {
    test(`the time '${literal}' in SQL is ${expected}`, async () => {
      const db = await database.open()
      await store(db, ['TIMESTAMP', 'TIMESTAMPTZ', 'DATETIME'], [])
      await db.exec(`INSERT INTO samples VALUES (1, '${literal}', '${literal}', '${literal}')`)
      const time = new Date(expected)
      assert.deepEqual(await db.all('SELECT c0, c1, c2 FROM samples'), [{ c0: time, c1: time, c2: time }])
    })
  }

  for (const [literal, expected] of [
    ['2018-11-05T02:30:00.123456+02:00', '2018-11-05T00:30:00.123Z'],
    ['2018-11-05 02:30:00-03:30', '2018-11-05T06:00:00.000Z'],
    ['2018-11-05 02:30:00+05', '2018-11-04T21:30:00.000Z'],
    ['2018-11-05 02:30:00+0545', '2018-11-04T20:45:00.000Z'],
    ['1890-01-01 00:00:00+00:12:34', '1889-12-31T23:47:26.000Z']
  ] as const) {
    test(`the time '${literal}' in SQL is ${expected} in a TIMESTAMPTZ`, async () => {
      const db = await database.open()
      await store(db, ['TIMESTAMPTZ'], [])
      await db.exec(`INSERT INTO samples VALUES (1, '${literal}')`)
      assert.deepEqual(await db.all('SELECT c0 FROM samples'), [{ c0: new Date(expected) }])
    })
  }

  test('times sort in the order of time', async () => {
    const db = await database.open()
    const times = ['0001-01-01T00:00:00.000Z', '1969-12-31T23:59:59.999Z', '1970-01-01T00:00:00.000Z', '2018-11-05T02:30:00.010Z'].map(
      text => new Date(text)
    )
    await store(db, ['TIMESTAMP'], [...times, new Date('9999-12-31T23:59:59.999Z')].reverse())
    const rows = await db.all('SELECT c0 FROM samples WHERE c0 < $1 ORDER BY c0', [new Date('9999-12-31T23:59:59.999Z')])
    assert.deepEqual(
      rows.map(({ c0 }) => c0),
      times
    )
  })

  test('the day of a Date is stored by sql.day(), found by its text, and there once', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE samples (c0 DATE UNIQUE)')
    for (const time of ['00:00:00.000', '23:59:59.999']) {
      const insert = db.run(sql`INSERT INTO samples VALUES (${sql.day(new Date(`2024-03-10T${time}Z`))})`)
      if (time < '12') await insert
      else await assert.rejects(insert, failsWith('unique_violation'))
    }
    assert.deepEqual(await db.all("SELECT c0 FROM samples WHERE c0 = '2024-03-10'"), [{ c0: '2024-03-10' }])
  })

  if (database.dialect === 'sqlite') {
    test('what is shown of a column of days finds its row, whatever is in it', async () => {
      const db = await database.open()
      await store(db, ['DATE'], [new Date('2024-03-10T10:00:00Z'), '2024-03-10 10:00', 20240310, 2n ** 60n])
      for (const [way, read] of Object.entries(WAYS)) {
        for (const { id, c0 } of await read(db)) {
          assert.deepEqual(await db.all('SELECT id FROM samples WHERE c0 = $1', [c0]), [{ id }], way)
        }
      }
    })

    for (const [type, value, expected] of [
      ...['2010-02-30', '2011-02-29 10:00:00', '2010-13-01', '2010-00-10', '2010-01-01 25:00:00', '2010-01-01 24:00:01'].map(
        text => ['TIMESTAMP', text, 'data_corrupted'] as const
      ),
      ...['2010-01-01 10:61:00', '2010-01-01 10:00:61', '2010-01-01T10:00:00+16:00', 'now', ''].map(
        text => ['TIMESTAMPTZ', text, 'data_corrupted'] as const
      ),
      ['TIMESTAMP', '2010-01-31 24:00:00', new Date('2010-02-01')],
      ['TIMESTAMP', '2012-02-29', new Date('2012-02-29')],
      ['TIMESTAMP', 8.64e15, new Date(8.64e15)],
      ['TIMESTAMP', -8.64e15, new Date(-8.64e15)],
      ['TIMESTAMP', 8.64e15 + 1, 'data_corrupted'],
      ['DATETIME', 1.7e18, 'data_corrupted'],
      ['TIMESTAMPTZ', -(2n ** 63n), 'data_corrupted'],
      ['TIMESTAMP', 1e300, 'data_corrupted'],
      ['BOOLEAN', 2n ** 53n + 1n, 2n ** 53n + 1n],
      ['BOOLEAN', -(2n ** 63n), -(2n ** 63n)],
      ['BOOLEAN', 2, 2],
      ['DATE', 2n ** 53n + 1n, 2n ** 53n + 1n],
      ['DATE', 2n ** 63n - 1n, 2n ** 63n - 1n],
      ['JSON', 'no JSON', 'data_corrupted'],
      ['JSONB', '{"a":', 'data_corrupted']
    ] as const) {
      test(`${JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? `${v}n` : v))} in a column declared ${type} is the same through every way`, async () => {
        const db = await database.open()
        await store(db, [type], [value])
        for (const [way, read] of Object.entries(WAYS)) {
          if (expected !== 'data_corrupted') assert.deepEqual(await read(db), [{ id: 0, c0: expected }], way)
          else await assert.rejects(read(db), failsWith('data_corrupted', /"c0" is declared.*CAST\("c0" AS TEXT\)/), way)
        }
        assert.deepEqual(await db.all('SELECT id FROM samples'), [{ id: 0 }])
      })
    }

    test('a Date is kept as ISO 8601 text with milliseconds and Z', async () => {
      const db = await database.open()
      await store(db, ['TIMESTAMP'], [new Date('2018-11-05T02:30:00Z')])
      assert.deepEqual(await db.one('SELECT c0 || $1 AS text FROM samples', ['']), { text: '2018-11-05T02:30:00.000Z' })
    })

    test('an integer in a column of times is read as milliseconds since 1970', async () => {
      const db = await database.open()
      await store(db, ['TIMESTAMP', 'TIMESTAMPTZ', 'DATETIME'], [1541385000123, 0, -1])
      for (const [way, read] of Object.entries(WAYS)) {
        const times = (await read(db)).flatMap(({ c0, c1, c2 }) => [c0, c1, c2])
        assert.deepEqual(
          times,
          [1541385000123, 0, -1].flatMap(ms => [new Date(ms), new Date(ms), new Date(ms)]),
          way
        )
      }
    })

    test('0 and 1 in a column of booleans are booleans', async () => {
      const db = await database.open()
      await store(db, ['BOOLEAN', 'BOOL'], [0, 1])
      assert.deepEqual(await db.all('SELECT c0, c1 FROM samples ORDER BY id'), [
        { c0: false, c1: false },
        { c0: true, c1: true }
      ])
    })
  }

  // JSON and null ----------------------------------------------------------------------------------------------

  test('JSON null and SQL null are both null in JavaScript, and stay two things in SQL', async () => {
    const db = await database.open()
    await store(db, ['JSON', 'JSONB'], ['null', null])
    assert.deepEqual(await db.all('SELECT * FROM samples ORDER BY id'), [
      { id: 0, c0: null, c1: null },
      { id: 1, c0: null, c1: null }
    ])
    assert.deepEqual(await db.all('SELECT id FROM samples WHERE c0 IS NULL AND c1 IS NULL'), [{ id: 1 }])
  })

  for (const [way, read] of Object.entries(WAYS)) {
    test(`a whole number beyond 2^53 is the same JSON value through ${way}`, async () => {
      const db = await database.open()
      await store(db, ['JSON', 'JSONB'], [2 ** 53, [2 ** 53]])
      assert.deepEqual(await read(db), [
        { id: 0, c0: 2 ** 53, c1: 2 ** 53 },
        { id: 1, c0: [2 ** 53], c1: [2 ** 53] }
      ])
    })
  }

  test('an undefined property is left out of JSON, as JSON.stringify does', async () => {
    const db = await database.open()
    await store(db, ['JSON'], [{ a: undefined, b: [undefined], at: new Date(0) }])
    assert.deepEqual(await db.all('SELECT c0 FROM samples'), [{ c0: { b: [null], at: '1970-01-01T00:00:00.000Z' } }])
  })

  // Names of columns -------------------------------------------------------------------------------------------

  test('a column named __proto__ is a property like any other', async () => {
    const db = await database.open()
    const row = await db.one('SELECT 1 AS "__proto__", 2 AS "constructor", 3 AS a')
    assert.deepEqual(Object.entries(row), [
      ['__proto__', 1],
      ['constructor', 2],
      ['a', 3]
    ])
    assert.equal(Object.getPrototypeOf(row), Object.prototype)
  })

  test('two columns of one name are refused, through every call that returns rows', async () => {
    const db = await database.open()
    const text = 'SELECT 1 AS a, 2 AS b, 3 AS a'
    const refused = failsWith('duplicate_column', /^Two columns of the result are named "a".*AS a_id/)
    for (const handle of [db, null]) {
      const calls: ((on: Handle) => Promise<unknown>)[] = [
        on => on.all(text),
        on => on.one(text),
        on => on.maybeOne(text),
        on => on.batch([text]),
        on => collect(on.iterate(text)),
        on => collect(on.iterate(`${text} LIMIT 0`))
      ]
      for (const call of calls) {
        await assert.rejects(handle === null ? db.transaction(call) : call(db), refused)
      }
    }
    await db.run(text)
  })

  test('columns of one name in RETURNING are refused', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE a (id INTEGER); CREATE TABLE b (id INTEGER)')
    await assert.rejects(db.all('INSERT INTO a VALUES (1) RETURNING id, id'), failsWith('duplicate_column', /"id"/))
    await assert.rejects(db.all('SELECT a.id, b.id FROM a, b'), failsWith('duplicate_column', /"id"/))
    assert.deepEqual(await db.all('SELECT a.id AS a_id, b.id AS b_id FROM a, b'), [])
  })

  test('any name of a column comes back as it is', async () => {
    const db = await database.open()
    const names = ['a b', "it's", 'q"q', '\\', 'ü😀', '$1', '`', '\u2028', 'CamelCase', '0']
    const row = await db.one(`SELECT ${names.map((name, i) => `${i} AS "${name.replaceAll('"', '""')}"`).join(', ')}`)
    assert.deepEqual(row, Object.fromEntries(names.map((name, i) => [name, i])))
  })

  // What the databases cannot both hold ------------------------------------------------------------------------

  const circular: Record<string, unknown> = {}
  circular.self = { circular }

  for (const [title, value, problem] of [
    ['an invalid Date', new Date(Number.NaN), /invalid Date/],
    ['a Date in the year 10000', new Date('+010000-01-01T00:00:00.000Z'), /years 0001 to 9999/],
    ['a Date in the year 0', new Date('0000-12-31T23:59:59.999Z'), /years 0001 to 9999/],
    ['NaN', Number.NaN, /NaN/],
    ['a function', () => 1, /function/],
    ['a symbol', Symbol('s'), /symbol/],
    ['undefined', undefined, /undefined/],
    ['a text with NUL', 'a\0b', /NUL/],
    ['a text with a high surrogate alone', 'a\ud83d', /surrogate/],
    ['a text with a low surrogate alone', '\ude00b', /surrogate/],
    ['a BigInt of 2^63', 2n ** 63n, /64 bits/],
    ['a BigInt of -2^63-1', -(2n ** 63n) - 1n, /64 bits/],
    ['a circular object', circular, /circular/],
    ['JSON with NUL in a text', { deep: ['a\0b'] }, /NUL/],
    ['JSON with NUL in a name', { 'a\0b': 1 }, /NUL/],
    ['JSON with half of a surrogate pair in a text', ['\\\ud83d'], /surrogate/],
    ['JSON with NaN in it', { deep: [Number.NaN] }, /\.deep\[0\] is NaN/],
    ['JSON with a BigInt in it', { deep: 1n }, /\.deep is a BigInt/],
    ['JSON with a function in it', [() => 1], /\[0\] is a function/],
    ['a Map', new Map(), /Map/],
    ['an ArrayBuffer', new ArrayBuffer(8), /Buffer/],
    ['a DataView', new DataView(new ArrayBuffer(8)), /Buffer/],
    ['a Float64Array', new Float64Array(1), /Buffer/],
    ['URLSearchParams', new URLSearchParams('a=1'), /URLSearchParams/],
    ['Headers', new Headers({ a: '1' }), /Headers/],
    ['a Blob', new Blob(['a']), /Blob/],
    ['an iterator', [1][Symbol.iterator](), /Array Iterator/],
    ['a generator', (function* () {})(), /Generator/],
    ['a WeakRef', new WeakRef({}), /WeakRef/],
    ['a Promise', Promise.resolve(1), /Promise; await it first/],
    ['a RegExp', /a/, /RegExp/],
    ['an Error', new Error('a'), /Error/],
    ['a String object', Object('x'), /String/],
    [
      'a class with private fields',
      new (class Money {
        readonly #cents = 1
        get cents() {
          return this.#cents
        }
      })(),
      /class Money; give a plain object/
    ],
    [
      'an instance of a class',
      new (class Point {
        x = 1
      })(),
      /class Point/
    ],
    [
      'a fragment of another library',
      new (class SQL {
        readonly queryChunks = ['1']
      })(),
      /class SQL/
    ],
    ['a Map in an object', { a: new Map() }, /\.a is a Map/],
    ['bytes in an object', { a: new Uint8Array(1) }, /\.a is a Uint8Array/],
    ['a Map of another realm', runInNewContext('new Map([[1, 2]])'), /Map/],
    ['an Error of another realm', runInNewContext('new Error("x")'), /Error/]
  ] as const) {
    for (const [way, place, run] of [
      ['$2', /\$2/, (db: Handle) => db.run('INSERT INTO samples VALUES ($1, $2)', [1, value])],
      [':second', /:second/, (db: Handle) => db.run('INSERT INTO samples VALUES (:first, :second)', { first: 1, second: value })],
      ['a template', /\$2|number 2 of the template/, (db: Handle) => db.run(sql`INSERT INTO samples VALUES (${1}, ${value})`)]
    ] as const) {
      test(`${title} as a parameter of ${way} is refused by name, and nothing is stored`, async () => {
        const db = await database.open()
        await store(db, ['TEXT'], [])
        await assert.rejects(run(db), failsWith('invalid_parameter', place))
        await assert.rejects(run(db), failsWith('invalid_parameter', problem))
        assert.deepEqual(await db.all('SELECT * FROM samples'), [])
      })
    }
  }

  for (const [title, value, stored] of [
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
    ['an object of another realm', runInNewContext('({ a: [1, { b: null }] })'), { a: [1, { b: null }] }],
    ['an array of another realm', runInNewContext('[1, 2]'), [1, 2]],
    [
      'an object with toJSON',
      new (class Money {
        readonly #cents = 5
        toJSON() {
          return { cents: this.#cents }
        }
      })(),
      { cents: 5 }
    ],
    [
      'an instance with properties in an object',
      {
        point: new (class Point {
          x = 1
        })()
      },
      { point: { x: 1 } }
    ],
    ['a Date in an object', { at: new Date(0) }, { at: '1970-01-01T00:00:00.000Z' }]
  ] as const) {
    test(`${title} is stored as JSON`, async () => {
      const db = await database.open()
      await store(db, ['JSON'], [value])
      assert.deepEqual(await db.one('SELECT c0 FROM samples'), { c0: stored })
    })
  }

  test('a Date and bytes of another realm are what they are', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE samples (at TIMESTAMPTZ, bytes BYTEA)')
    await db.run('INSERT INTO samples VALUES ($1, $2)', [runInNewContext('new Date(5)'), runInNewContext('new Uint8Array([0, 1, 255])')])
    assert.deepEqual(await db.all('SELECT at, bytes FROM samples'), [{ at: new Date(5), bytes: Buffer.from([0, 1, 255]) }])
  })

  test('values are taken when the call is made, also before the first opening', async () => {
    const config = await database.config()
    for (const db of [await database.open(), database.closeAfterTest(createDatabase(config))]) {
      const scratch = Buffer.alloc(1)
      const object = { n: 0 }
      const table = db.exec('CREATE TABLE scratch (n INTEGER, bytes BYTEA, document JSON)')
      if (database.dialect === 'postgres') await table
      const calls = [0, 1, 2, 3].map(n => {
        scratch[0] = n
        object.n = n
        return db.run(
          n % 2 ? sql`INSERT INTO scratch VALUES (${n}, ${scratch}, ${object})` : 'INSERT INTO scratch VALUES (:n, :scratch, :object)',
          ...(n % 2 ? [] : [{ n, scratch, object }])
        )
      })
      scratch[0] = 9
      object.n = 9
      await Promise.all(calls)
      assert.deepEqual(
        await db.all('SELECT n, bytes, document FROM scratch ORDER BY n'),
        [0, 1, 2, 3].map(n => ({ n, bytes: Buffer.from([n]), document: { n } }))
      )
    }
  })

  test('a refused parameter of iterate() is named too', async () => {
    const db = await database.open()
    await assert.rejects(collect(db.iterate('SELECT $1, $2', ['a', 'a\0'])), failsWith('invalid_parameter', /\$2/))
  })

  // Tables that change between two calls -----------------------------------------------------------------------

  test('a statement returns the column that was added since it ran last', async () => {
    const db = await database.open()
    await store(db, ['TEXT'], ['old'])
    for (const read of Object.values(WAYS)) await read(db)
    await db.exec('ALTER TABLE samples ADD COLUMN added TIMESTAMP')
    await db.run('UPDATE samples SET added = $1', [new Date(0)])
    for (const read of Object.values(WAYS)) assert.deepEqual(await read(db), [{ id: 0, c0: 'old', added: new Date(0) }])
  })

  test('a statement leaves out the column that was dropped since it ran last', async () => {
    const db = await database.open()
    await store(db, ['TEXT', 'BIGINT'], ['1'])
    for (const read of Object.values(WAYS)) await read(db)
    await db.exec('ALTER TABLE samples DROP COLUMN c0')
    for (const read of Object.values(WAYS)) assert.deepEqual(await read(db), [{ id: 0, c1: 1 }])
  })

  test('a statement reads by the types that a table has now', async () => {
    const db = await database.open()
    await store(db, ['TEXT', 'TIMESTAMP'], ['2018-11-05T02:30:00.123Z'])
    for (const read of Object.values(WAYS)) await read(db)
    await db.exec('DROP TABLE samples')
    await store(db, ['TIMESTAMP', 'TEXT'], ['2018-11-05T02:30:00.123Z'])
    const rows = [{ id: 0, c0: new Date('2018-11-05T02:30:00.123Z'), c1: '2018-11-05T02:30:00.123Z' }]
    for (const read of Object.values(WAYS)) assert.deepEqual(await read(db), rows)
  })

  test('a transaction that changes a table reads what it is then', async () => {
    const db = await database.open()
    await store(db, ['TEXT'], ['2018-11-05T02:30:00.123Z'])
    const rows = await db.transaction(async tx => {
      await tx.all('SELECT * FROM samples')
      await tx.exec('DROP TABLE samples; CREATE TABLE samples (id INTEGER, c0 TIMESTAMP)')
      await tx.run('INSERT INTO samples VALUES ($1, $2)', [0, new Date(0)])
      return tx.all('SELECT * FROM samples')
    })
    assert.deepEqual(rows, [{ id: 0, c0: new Date(0) }])
  })
})

onEachSharedDatabase('Values of a table that another handle changed', database => {
  const CHANGES = [
    ['has one more column', 'ALTER TABLE samples ADD COLUMN added BOOLEAN DEFAULT TRUE', { c0: '2018-11-05T02:30:00.123Z', added: true }],
    [
      'has other types',
      `DROP TABLE samples; CREATE TABLE samples (id INTEGER, c0 TIMESTAMP); INSERT INTO samples VALUES (0, '2018-11-05T02:30:00.123Z')`,
      { c0: new Date('2018-11-05T02:30:00.123Z') }
    ],
    [
      'has other names',
      `DROP TABLE samples; CREATE TABLE samples (id INTEGER, renamed TEXT); INSERT INTO samples VALUES (0, 'text')`,
      { renamed: 'text' }
    ]
  ] as const

  for (const [title, change, row] of CHANGES) {
    for (const [way, read] of Object.entries(WAYS)) {
      // A transaction may have to run again: the server refuses a statement that it had prepared before.
      const readAgain = way.includes('transaction')
        ? (db: Database) =>
            db.transaction(tx => (way.startsWith('all') ? tx.all('SELECT * FROM samples') : collect(tx.iterate('SELECT * FROM samples'))), {
              retries: 1
            })
        : read

      test(`a table that ${title} now is read as it is through ${way}`, async () => {
        const config = await database.config()
        const [first, second] = [await database.open(config), await database.open(config)]
        await store(first, ['TEXT'], ['2018-11-05T02:30:00.123Z'])
        assert.deepEqual(await readAgain(second), [{ id: 0, c0: '2018-11-05T02:30:00.123Z' }])
        await first.exec(change)
        assert.deepEqual(await readAgain(second), [{ id: 0, ...row }])
      })
    }
  }

  test('a parameter goes by the type that its column has now', async () => {
    const config = await database.config()
    const [first, second] = [await database.open(config), await database.open(config)]
    await store(first, ['TEXT'], [])
    await second.run('INSERT INTO samples VALUES ($1, $2)', [0, '2018-11-05T02:30:00.123Z'])
    await first.exec('DROP TABLE samples; CREATE TABLE samples (id INTEGER, c0 TIMESTAMP)')
    await second.run('INSERT INTO samples VALUES ($1, $2)', [1, '2018-11-05T02:30:00.123Z'])
    assert.deepEqual(await second.all('SELECT c0 FROM samples'), [{ c0: new Date('2018-11-05T02:30:00.123Z') }])
  })
})
