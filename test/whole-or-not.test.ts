/** A call that fails has changed nothing: what its rows are is judged before anything is committed. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { describe, test } from 'node:test'
import Native from 'better-sqlite3'
import pg from 'pg'
import { type Database, type Handle, sql } from '../src/index.ts'
import { failsWith, onEachDatabase } from './support/databases.ts'

async function openWithMarks(db: Database): Promise<Database> {
  await db.exec('CREATE TABLE marks (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, meta JSON, at TIMESTAMP)')
  await db.run('INSERT INTO marks (id, n) VALUES (1, 10), (2, 20)')
  return db
}

/** The class and the method by which the driver sends its ROLLBACK. */
function senderOfRollback(): [prototype: Record<string, (this: unknown, text: string) => unknown>, method: string] {
  if (process.env.DUOLECT_TEST_SQLITE !== 'node:sqlite') return [Native.prototype as never, 'exec']
  return [createRequire(import.meta.url)('node:sqlite').DatabaseSync.prototype, 'prepare']
}

const marks = (on: Handle) => on.all('SELECT id, n FROM marks ORDER BY id')
const BEFORE = [
  { id: 1, n: 10 },
  { id: 2, n: 20 }
]

/** Calls that fail for their rows, after the database has carried them out. */
const WRITES = [
  ['one() of several', 'too_many_rows', (on: Handle) => on.one('UPDATE marks SET n = n + 1 RETURNING id')],
  ['maybeOne() of several', 'too_many_rows', (on: Handle) => on.maybeOne('DELETE FROM marks RETURNING id')],
  [
    'one() of rows of a SELECT',
    'too_many_rows',
    (on: Handle) => on.one('INSERT INTO marks (id, n) SELECT id + 2, n FROM marks RETURNING id')
  ],
  [
    'one() of several VALUES',
    'too_many_rows',
    (on: Handle) => on.one(sql`INSERT INTO marks (id, n) VALUES (${3}, 1), (4, 1) RETURNING id`)
  ],
  [
    'one() of an upsert of several',
    'too_many_rows',
    (on: Handle) => on.one('INSERT INTO marks (id, n) VALUES (1, 5), (3, 5) ON CONFLICT (id) DO UPDATE SET n = 0 RETURNING id')
  ],
  [
    'one() of two columns of a name',
    'duplicate_column',
    (on: Handle) => on.one('INSERT INTO marks (id, n) VALUES (3, 1) RETURNING id AS a, id AS a')
  ],
  ['all() of two columns of a name', 'duplicate_column', (on: Handle) => on.all('UPDATE marks SET n = 0 RETURNING *, id')],
  ['all() of two names without quotes', 'duplicate_column', (on: Handle) => on.all('UPDATE marks SET n = 0 RETURNING n, marks.n')]
] as const

onEachDatabase('A write that is refused for its rows', database => {
  for (const [title, code, call] of WRITES) {
    test(`${title} changes nothing, also the second time`, async () => {
      const db = await openWithMarks(await database.open())
      for (let i = 0; i < 2; i++) await assert.rejects(call(db), failsWith(code))
      assert.deepEqual(await marks(db), BEFORE)
    })

    test(`${title} changes nothing among other writes of its turn, which are stored`, async () => {
      const db = await openWithMarks(await database.open())
      const [first, refused, last] = await Promise.allSettled([
        db.run('INSERT INTO marks (id, n) VALUES (8, 80)'),
        call(db).catch(error => Promise.reject(error.code)),
        db.run('INSERT INTO marks (id, n) VALUES (9, 90)')
      ])
      assert.deepEqual([first.status, (refused as PromiseRejectedResult).reason, last.status], ['fulfilled', code, 'fulfilled'])
      assert.deepEqual(await marks(db), [...BEFORE, { id: 8, n: 80 }, { id: 9, n: 90 }])
    })

    test(`${title} fails its transaction, as every failed statement does`, async () => {
      const db = await openWithMarks(await database.open())
      const whole = db.transaction(async tx => {
        await tx.run('UPDATE marks SET n = 99 WHERE id = 1')
        await assert.rejects(call(tx), failsWith(code))
        await assert.rejects(tx.run('UPDATE marks SET n = 98 WHERE id = 1'), failsWith('in_failed_sql_transaction'))
      })
      await assert.rejects(whole, failsWith('in_failed_sql_transaction'))
      assert.deepEqual(await marks(db), BEFORE)
    })

    test(`${title} is undone by the nested transaction around it`, async () => {
      const db = await openWithMarks(await database.open())
      await db.transaction(async tx => {
        await assert.rejects(
          tx.transaction(async inner => void (await call(inner))),
          failsWith(code)
        )
        assert.deepEqual(await marks(tx), BEFORE)
        await tx.run('INSERT INTO marks (id, n) VALUES (9, 90)')
      })
      assert.deepEqual(await marks(db), [...BEFORE, { id: 9, n: 90 }])
    })
  }

  test('leaves what read no row, or too many, to go on in its transaction', async () => {
    const db = await openWithMarks(await database.open())
    await db.transaction(async tx => {
      await assert.rejects(tx.one('SELECT n FROM marks'), failsWith('too_many_rows'))
      await assert.rejects(tx.one('SELECT n FROM marks WHERE id = 7'), failsWith('no_data_found'))
      await tx.run('UPDATE marks SET n = 11 WHERE id = 1')
    })
    assert.deepEqual((await marks(db))[0], { id: 1, n: 11 })
  })

  test('may be one() that returns no row, since nothing was changed', async () => {
    const db = await openWithMarks(await database.open())
    await assert.rejects(db.one('UPDATE marks SET n = 0 WHERE id = 7 RETURNING id'), failsWith('no_data_found'))
    await assert.rejects(db.one('INSERT INTO marks (id, n) VALUES (1, 1) ON CONFLICT DO NOTHING RETURNING id'), failsWith('no_data_found'))
    assert.deepEqual(await marks(db), BEFORE)
  })

  test('leaves the rows of one() and maybeOne() that fit', async () => {
    const db = await openWithMarks(await database.open())
    assert.deepEqual(await db.one('UPDATE marks SET n = 11 WHERE id = 1 RETURNING n'), { n: 11 })
    assert.deepEqual(await db.maybeOne('DELETE FROM marks WHERE id = 2 RETURNING id'), { id: 2 })
    assert.deepEqual(await db.one('INSERT INTO marks (id, n) VALUES (3, 30) RETURNING id, n AS "n, of id"'), { id: 3, 'n, of id': 30 })
    assert.deepEqual(await marks(db), [
      { id: 1, n: 11 },
      { id: 3, n: 30 }
    ])
  })

  if (database.dialect === 'postgres') {
    test('takes BEGIN only where the rows have to be judged', async () => {
      const db = await openWithMarks(await database.open())
      const sent: string[] = []
      const { query } = pg.Client.prototype
      pg.Client.prototype.query = function (this: pg.Client, ...given: [{ text: string }]) {
        sent.push(given[0].text.split(' ')[0] as string)
        return (query as (...given: unknown[]) => unknown).apply(this, given)
      } as never
      const commandsOf = async (call: () => Promise<unknown>) => {
        sent.length = 0
        await call().catch(() => undefined)
        return sent.join(' ')
      }
      try {
        const insert = () => db.one('INSERT INTO marks (id, n) VALUES ($1, coalesce($2, 0)) RETURNING id', [sent.length + 9, 1])
        assert.equal(await commandsOf(insert), 'INSERT')
        assert.equal(await commandsOf(() => db.one('INSERT INTO marks DEFAULT VALUES RETURNING id')), 'INSERT')
        assert.equal(await commandsOf(() => db.all('UPDATE marks SET n = 0 RETURNING marks.id, "n", n + 1 AS more')), 'UPDATE')
        assert.equal(await commandsOf(() => db.all('UPDATE marks SET n = 0 RETURNING *')), 'BEGIN UPDATE COMMIT')
        assert.equal(await commandsOf(() => db.all('UPDATE marks SET n = 0 RETURNING *')), 'UPDATE')
        assert.equal(await commandsOf(() => db.one('UPDATE marks SET n = 0 WHERE id = 1 RETURNING n')), 'BEGIN UPDATE COMMIT')
        assert.equal(await commandsOf(() => db.one('SELECT n FROM marks WHERE id = 1')), 'SELECT')
      } finally {
        pg.Client.prototype.query = query
      }
    })

    test('may have its rows from a function that returns a set', async () => {
      const db = await openWithMarks(await database.open())
      const call = () => db.one('INSERT INTO marks (id, n) VALUES (generate_series(3, 4), 1) RETURNING id')
      for (let i = 0; i < 2; i++) await assert.rejects(call(), failsWith('too_many_rows'))
      assert.deepEqual(await marks(db), BEFORE)
    })

    test('may stand in a WITH, or behind EXPLAIN ANALYZE', async () => {
      const db = await openWithMarks(await database.open())
      for (let i = 0; i < 2; i++) {
        await assert.rejects(db.one('WITH gone AS (DELETE FROM marks RETURNING id) SELECT * FROM gone'), failsWith('too_many_rows'))
        await assert.rejects(db.one('EXPLAIN ANALYZE DELETE FROM marks'), failsWith('too_many_rows'))
      }
      assert.deepEqual(await marks(db), BEFORE)
    })
  }

  if (database.dialect === 'sqlite') {
    for (const [column, text, of] of [
      ['meta', 'no JSON', 'JSON'],
      ['at', 'no time', 'a timestamp']
    ] as const) {
      test(`is one whose RETURNING has ${text} in "${column}"`, async () => {
        const db = await openWithMarks(await database.open())
        const insert = () => db.all(`INSERT INTO marks (id, n, ${column}) VALUES (3, 1, $1) RETURNING *`, [text])
        await assert.rejects(insert(), failsWith('data_corrupted', new RegExp(`"${column}".*${of}`)))
        const [alone, beside] = await Promise.allSettled([insert(), db.run('UPDATE marks SET n = n + 1 WHERE id = 1')])
        assert.deepEqual([alone.status, beside.status], ['rejected', 'fulfilled'])
        await assert.rejects(
          db.transaction(tx => tx.all(`UPDATE marks SET ${column} = $1 RETURNING *`, [text])),
          failsWith('data_corrupted')
        )
        assert.deepEqual(await marks(db), [{ id: 1, n: 11 }, BEFORE[1]])
      })
    }

    test('runs once, also when it fails beside others', async () => {
      const db = await openWithMarks(await database.open())
      await db.exec(`CREATE TABLE log (n INTEGER);
        CREATE TRIGGER logs AFTER UPDATE ON marks BEGIN INSERT INTO log VALUES (new.n); END`)
      await db.run("UPDATE marks SET meta = 'no JSON' WHERE id = 1")
      const settled = await Promise.allSettled([
        db.run('UPDATE marks SET n = 21 WHERE id = 2'),
        db.all('UPDATE marks SET n = n + 1 WHERE id = 1 RETURNING n, meta'),
        db.run('UPDATE marks SET n = 22 WHERE id = 2')
      ])
      assert.deepEqual(
        settled.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled']
      )
      assert.deepEqual(await db.all('SELECT n FROM log'), [{ n: 10 }, { n: 21 }, { n: 22 }])
    })
  }
})

/** How SQLite itself ends a transaction: what prepares it, the statement, and its error. */
const ENDINGS = [
  ['OR ROLLBACK', '', 'INSERT OR ROLLBACK INTO marks (id, n) VALUES (1, 0)', 'unique_violation'],
  [
    'RAISE(ROLLBACK)',
    "CREATE TRIGGER ends BEFORE INSERT ON marks WHEN new.id = 5 BEGIN SELECT RAISE(ROLLBACK, 'no five'); END",
    'INSERT INTO marks (id, n) VALUES (5, 0)',
    'raise_exception'
  ],
  ['a full disk', 'CREATE TABLE large (a)', 'INSERT INTO large VALUES (randomblob(4000000))', 'disk_full']
] as const

onEachDatabase('A transaction that SQLite ended', database => {
  if (database.dialect !== 'sqlite') return
  for (const [by, preparation, text, code] of ENDINGS) {
    const open = async () => {
      const { sqlite } = await database.config()
      const db = await openWithMarks(await database.open({ sqlite: { ...sqlite, pragmas: { max_page_count: 500 } } }))
      await db.exec(preparation)
      return db
    }

    test(`by ${by} rejects with the error, and nothing is stored`, async () => {
      const db = await open()
      const whole = db.transaction(async tx => {
        await tx.run('UPDATE marks SET n = 11 WHERE id = 1')
        await tx.run(text)
      })
      await assert.rejects(whole, failsWith(code))
      assert.deepEqual(await marks(db), BEFORE)
    })

    test(`by ${by} refuses all that follows`, async () => {
      const db = await open()
      const whole = db.transaction(async tx => {
        await assert.rejects(tx.run(text), failsWith(code))
        for (const call of [
          () => tx.run('UPDATE marks SET n = 12 WHERE id = 1'),
          () => tx.all('SELECT n FROM marks'),
          () => tx.exec('INSERT INTO marks (id, n) VALUES (8, 0); SELECT 1'),
          () => tx.batch(['INSERT INTO marks (id, n) VALUES (9, 0)']),
          () => tx.kvs.set('key', 1),
          () => tx.transaction(inner => inner.run('UPDATE marks SET n = 13 WHERE id = 1'))
        ])
          await assert.rejects(call as () => Promise<unknown>, failsWith('in_failed_sql_transaction'))
      })
      await assert.rejects(whole, failsWith('in_failed_sql_transaction'))
      assert.deepEqual([await marks(db), await db.kvs.get('key')], [BEFORE, null])
    })

    for (const depth of [1, 2]) {
      test(`by ${by}, ${depth} savepoints deep, rejects with the error, whether or not it was caught`, async () => {
        const db = await open()
        for (const isCaught of [false, true]) {
          const whole = db.transaction(async tx => {
            await tx.run('UPDATE marks SET n = 11 WHERE id = 1')
            const failing = async (inner: Handle) => {
              await inner.run('UPDATE marks SET n = 12 WHERE id = 1')
              await inner.run(text)
            }
            const nested = tx.transaction(inner => (depth === 1 ? failing(inner) : inner.transaction(failing)))
            if (!isCaught) return nested
            await assert.rejects(nested, failsWith(code))
            await assert.rejects(tx.run('UPDATE marks SET n = 13 WHERE id = 1'), failsWith('in_failed_sql_transaction'))
          })
          await assert.rejects(whole, failsWith(code))
          assert.deepEqual(await marks(db), BEFORE)
        }
      })
    }

    test(`by ${by}, un-awaited, stores nothing`, async () => {
      const db = await open()
      const whole = db.transaction(async tx => {
        await tx.run('UPDATE marks SET n = 11 WHERE id = 1')
        const end = performance.now() + 15
        while (performance.now() < end);
        tx.run(text).catch(() => undefined)
        tx.run('UPDATE marks SET n = 12 WHERE id = 1').catch(() => undefined)
      })
      await assert.rejects(whole, failsWith('in_failed_sql_transaction'))
      assert.deepEqual(await marks(db), BEFORE)
    })

    test(`by ${by} was not that of the others of its turn, whose writes are stored`, async () => {
      const db = await open()
      const settled = await Promise.allSettled([
        db.run('UPDATE marks SET n = 11 WHERE id = 1'),
        db.run(text),
        db.batch(['UPDATE marks SET n = 21 WHERE id = 2', text]),
        db.run('INSERT INTO marks (id, n) VALUES (9, 90)')
      ])
      assert.deepEqual(
        settled.map(({ status }) => status),
        ['fulfilled', 'rejected', 'rejected', 'fulfilled']
      )
      assert.deepEqual(await marks(db), [{ id: 1, n: 11 }, BEFORE[1], { id: 9, n: 90 }])
    })
  }

  test('is none whose failed statement was issued behind another failure, in a turn that is long over', async () => {
    const db = await openWithMarks(await database.open())
    await db.transaction(async tx => {
      const nested = tx.transaction(async inner => {
        await inner.run('UPDATE marks SET n = 11 WHERE id = 1')
        const end = performance.now() + 15
        while (performance.now() < end);
        inner.run('INSERT INTO marks (id, n) VALUES (1, 0)').catch(() => undefined)
        inner.run('INSERT OR ROLLBACK INTO marks (id, n) VALUES (1, 0)').catch(() => undefined)
      })
      await assert.rejects(nested, failsWith('in_failed_sql_transaction'))
      await tx.run('UPDATE marks SET n = 21 WHERE id = 2')
    })
    assert.deepEqual(await marks(db), [BEFORE[0], { id: 2, n: 21 }])
  })

  test('gives the connection back when its ROLLBACK fails', async () => {
    const [prototype, method] = senderOfRollback()
    const send = prototype[method] as (this: unknown, text: string) => unknown
    const db = await openWithMarks(await database.open())
    await db.exec('CREATE TABLE notes (mark INTEGER REFERENCES marks DEFERRABLE INITIALLY DEFERRED)')
    const refused = () => Promise.reject(new Error('refused'))
    for (const [name, call] of Object.entries({
      'a transaction': () => db.transaction(refused),
      'a script': () => db.exec('UPDATE marks SET n = 0; SELECT nope'),
      'a batch': () => db.batch(['UPDATE marks SET n = 0', 'SELECT nope']),
      'writes of one turn': () => Promise.all([db.run('UPDATE marks SET n = 0 WHERE id = 1'), db.run('INSERT INTO notes VALUES (7)')])
    })) {
      let fails = true
      prototype[method] = function (text: string) {
        if (text !== 'ROLLBACK' || !fails) return send.call(this, text)
        fails = false
        throw new Error('ROLLBACK fails')
      }
      try {
        await assert.rejects(call as () => Promise<unknown>, name)
        await db.run('UPDATE marks SET n = 5')
      } finally {
        prototype[method] = send
      }
      assert.deepEqual([fails, await db.all('SELECT DISTINCT n FROM marks')], [false, [{ n: 5 }]], name)
    }
  })
})

describe('What SQLite keeps of a statement that fails', () => {
  onEachDatabase('Half of a statement', database => {
    if (database.dialect !== 'sqlite') return
    const calls = {
      'run()': (on: Handle, text: string) => on.run(text),
      'all()': (on: Handle, text: string) => on.all(`${text} RETURNING id`),
      'batch()': (on: Handle, text: string) => on.batch([text]),
      'exec()': (on: Handle, text: string) => on.exec(text),
      'exec() of two': (on: Handle, text: string) => on.exec(`${text}; SELECT 1`)
    }
    for (const [name, call] of Object.entries(calls)) {
      for (const [what, make] of [
        [
          'INSERT OR FAIL',
          async (db: Database) => openWithMarks(db).then(() => 'INSERT OR FAIL INTO marks (id, n) VALUES (3, 30), (1, 1)')
        ],
        [
          'RAISE(FAIL) in a trigger',
          async (db: Database) => {
            await openWithMarks(db)
            await db.exec(`CREATE TRIGGER fails BEFORE INSERT ON marks WHEN new.id = 5 BEGIN SELECT RAISE(FAIL, 'no five'); END`)
            return 'INSERT INTO marks (id, n) VALUES (4, 40), (5, 50)'
          }
        ],
        [
          'OR FAIL in a trigger',
          async (db: Database) => {
            await openWithMarks(db)
            await db.exec(`CREATE TABLE log (id INTEGER PRIMARY KEY);
                CREATE TRIGGER logs AFTER INSERT ON marks BEGIN INSERT OR FAIL INTO log VALUES (new.n); END`)
            return 'INSERT INTO marks (id, n) VALUES (3, 7), (4, 7)'
          }
        ],
        [
          'INSERT OR ROLLBACK',
          async (db: Database) => openWithMarks(db).then(() => 'INSERT OR ROLLBACK INTO marks (id, n) VALUES (3, 30), (1, 1)')
        ]
      ] as const) {
        test(`of ${what} by ${name} does not stay, alone or among others`, async () => {
          const db = await database.open()
          const text = await make(db)
          await assert.rejects(call(db, text), failsWith(what.startsWith('RAISE') ? 'raise_exception' : 'unique_violation'))
          const settled = await Promise.allSettled([
            db.run('UPDATE marks SET n = 11 WHERE id = 1'),
            call(db, text),
            db.run('UPDATE marks SET n = 21 WHERE id = 2')
          ])
          assert.deepEqual(
            settled.map(({ status }) => status),
            ['fulfilled', 'rejected', 'fulfilled']
          )
          assert.deepEqual(await marks(db), [
            { id: 1, n: 11 },
            { id: 2, n: 21 }
          ])
        })
      }
    }
  })
})
