import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type Database, type DatabaseConfig, DatabaseError, type Transaction, type TransactionOptions } from '../src/index.ts'
import { failsWith, onEachDatabase, onEachSharedDatabase } from './support/databases.ts'

async function withAccounts(db: Database): Promise<void> {
  await db.exec('CREATE TABLE accounts (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL); INSERT INTO accounts VALUES (1, 100), (2, 0)')
}

async function amounts(db: Pick<Database, 'all'>): Promise<number[]> {
  return (await db.all<{ amount: number }>('SELECT amount FROM accounts ORDER BY id')).map(({ amount }) => amount)
}

onEachDatabase('A transaction', database => {
  test('returns what its body returns, and what it did is there', async () => {
    const db = await database.open()
    await withAccounts(db)
    const result = await db.transaction(async tx => {
      await tx.run('UPDATE accounts SET amount = amount - 10 WHERE id = 1')
      await tx.run('UPDATE accounts SET amount = amount + 10 WHERE id = 2')
      return 'moved'
    })
    assert.equal(result, 'moved')
    assert.deepEqual(await amounts(db), [90, 10])
  })

  test('throws what its body throws, and what it did is undone', async () => {
    const db = await database.open()
    await withAccounts(db)
    const error = new Error('stop')
    await assert.rejects(
      db.transaction(async tx => {
        await tx.run('DELETE FROM accounts')
        throw error
      }),
      thrown => thrown === error
    )
    assert.deepEqual(await amounts(db), [100, 0])
  })

  test('a body that is not asynchronous works too, and what it throws is thrown', async () => {
    const db = await database.open()
    assert.equal(await db.transaction(() => 5), 5)
    await assert.rejects(
      db.transaction(() => {
        throw new Error('stop')
      }),
      /stop/
    )
  })

  test('a statement that the body did not await is part of it', async () => {
    const db = await database.open()
    await withAccounts(db)
    await db.transaction(tx => {
      void tx.run('UPDATE accounts SET amount = 1')
    })
    assert.deepEqual(await amounts(db), [1, 1])
  })

  test('sees its own changes, which others do not see before the commit', async () => {
    const db = await database.open()
    await withAccounts(db)
    let outside: Promise<number[]> | undefined
    const read = () => amounts(db)
    let release: () => void = () => undefined
    const isOpen = new Promise<void>(resolve => (release = resolve))
    const isRead = isOpen.then(() => (outside = read()))
    await db.transaction(async tx => {
      await tx.run('UPDATE accounts SET amount = 7')
      assert.deepEqual(await amounts(tx), [7, 7])
      release()
      await Promise.race([isRead, pause(500)])
    })
    await isRead
    // A database in memory has one connection, so there the reader waits for the end.
    assert.deepEqual(await outside, database.isShared ? [100, 0] : [7, 7])
  })

  test('a nested one that throws is undone alone', async () => {
    const db = await database.open()
    await withAccounts(db)
    await db.transaction(async tx => {
      await tx.run('UPDATE accounts SET amount = 1 WHERE id = 1')
      await assert.rejects(
        tx.transaction(async inner => {
          await inner.run('UPDATE accounts SET amount = 2')
          await inner.transaction(async innermost => innermost.run('UPDATE accounts SET amount = 3'))
          throw new Error('undo')
        }),
        /undo/
      )
      await tx.transaction(async inner => inner.run('UPDATE accounts SET amount = 4 WHERE id = 2'))
    })
    assert.deepEqual(await amounts(db), [1, 4])
  })

  test('a statement that failed can be survived in a nested one, and only there', async () => {
    const db = await database.open()
    await withAccounts(db)
    await db.transaction(async tx => {
      await assert.rejects(
        tx.transaction(inner => inner.run('INSERT INTO accounts VALUES (1, 1)')),
        failsWith('unique_violation')
      )
      await tx.run('UPDATE accounts SET amount = 5')
    })
    assert.deepEqual(await amounts(db), [5, 5])
  })

  test('after a statement failed, others are refused and nothing is committed', async () => {
    const db = await database.open()
    await withAccounts(db)
    await assert.rejects(
      db.transaction(async tx => {
        await tx.run('UPDATE accounts SET amount = 5')
        await assert.rejects(tx.run('INSERT INTO accounts VALUES (1, 1)'), failsWith('unique_violation'))
        await assert.rejects(tx.all('SELECT 1'), failsWith('in_failed_sql_transaction', /tx\.transaction\(\)/))
      }),
      failsWith('in_failed_sql_transaction')
    )
    assert.deepEqual(await amounts(db), [100, 0])
  })

  test('what was refused before it was sent does not spoil it', async () => {
    const db = await database.open()
    await withAccounts(db)
    await db.transaction(async tx => {
      await assert.rejects(tx.run('UPDATE accounts SET amount = $1'), failsWith('invalid_parameter'))
      await assert.rejects(tx.one('SELECT id FROM accounts'), failsWith('too_many_rows'))
      await tx.run('UPDATE accounts SET amount = $1', [6])
    })
    assert.deepEqual(await amounts(db), [6, 6])
  })

  test('the outer handle inside of the body is refused at once, for every call, and the rest goes on', async () => {
    const config = await database.config()
    const db = await database.open({ ...config, ...onePostgresConnection(config) })
    const adapter = await db.get()
    await withAccounts(db)
    await db.transaction(async tx => {
      const calls: (() => Promise<unknown>)[] = [
        () => db.all('SELECT 1'),
        () => db.one('SELECT 1'),
        () => db.maybeOne('SELECT 1'),
        () => db.run('DELETE FROM accounts'),
        () => db.exec('DELETE FROM accounts'),
        () => db.transaction(async () => undefined),
        () => db.saveUser({ id: '1', platform: 'slack' }),
        () => db.kvs.get('key'),
        () => db.kvs.set('key', 1),
        () => adapter.run('DELETE FROM accounts'),
        () => db.close(),
        async () => {
          for await (const _ of db.iterate('SELECT 1')) assert.fail()
        }
      ]
      for (const call of calls) {
        const start = performance.now()
        await assert.rejects(call, failsWith('wrong_handle', /only the handle that the body gets/))
        assert.ok(performance.now() - start < 100)
      }
      await tx.run('UPDATE accounts SET amount = 8')
    })
    assert.deepEqual(await amounts(db), [8, 8])
  })

  test('the outer handle is refused in nested bodies and after awaiting too', async () => {
    const db = await database.open()
    await db.transaction(tx =>
      tx.transaction(async () => {
        await pause(5)
        await assert.rejects(db.all('SELECT 1'), failsWith('wrong_handle'))
      })
    )
  })

  test('code beside the body may use the outer handle meanwhile', async () => {
    const db = await database.open()
    await withAccounts(db)
    const beside = pause(10).then(() => db.run('UPDATE accounts SET amount = amount + 1'))
    await db.transaction(async tx => {
      await tx.run('UPDATE accounts SET amount = 50')
      await pause(40)
    })
    await beside
    assert.deepEqual(await amounts(db), [51, 51])
  })

  test('the handle is refused after the end, and inside of a nested body', async () => {
    const db = await database.open()
    let leaked: Transaction | undefined
    await db.transaction(async tx => {
      leaked = tx
      await tx.transaction(async () => {
        await assert.rejects(tx.all('SELECT 1'), failsWith('wrong_handle', /nested/))
      })
      await tx.all('SELECT 1')
    })
    await assert.rejects((leaked as Transaction).all('SELECT 1'), failsWith('wrong_handle', /has ended/))
    await assert.rejects(
      (leaked as Transaction).transaction(async () => undefined),
      failsWith('wrong_handle', /has ended/)
    )
    await assert.rejects((leaked as Transaction).kvs.get('key'), failsWith('wrong_handle', /has ended/))
  })

  test('work that outlives the body may use the outer handle after the end', async () => {
    const db = await database.open()
    let later: Promise<unknown> | undefined
    await db.transaction(async () => {
      later = pause(30).then(() => db.all('SELECT 1 AS one'))
    })
    assert.deepEqual(await later, [{ one: 1 }])
  })

  test('bystanders lose nothing when it rolls back, over 200 rounds', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE marks (n INTEGER PRIMARY KEY)')
    for (let round = 0; round < 200; round++) {
      let begun: () => void = () => undefined
      const isOpen = new Promise<void>(resolve => (begun = resolve))
      const bystander = isOpen.then(() => db.run('INSERT INTO marks VALUES ($1)', [round]))
      const failed = db.transaction(async tx => {
        await tx.run('INSERT INTO marks VALUES ($1)', [-1 - round])
        begun()
        await new Promise(resolve => setImmediate(resolve))
        throw new Error('undo')
      })
      await assert.rejects(failed, /undo/)
      await bystander
    }
    assert.deepEqual(await db.one('SELECT count(*) AS count, min(n) AS min FROM marks'), { count: 200, min: 0 })
  })

  test('a read-only one refuses to write, and reads', async () => {
    const db = await database.open()
    await withAccounts(db)
    await assert.rejects(
      db.transaction(
        async tx => {
          assert.deepEqual(await amounts(tx), [100, 0])
          await tx.run('DELETE FROM accounts')
        },
        { readOnly: true }
      ),
      failsWith('read_only')
    )
    assert.deepEqual(await amounts(db), [100, 0])
    await db.run('UPDATE accounts SET amount = 1')
  })

  test('accepts each level of isolation', async () => {
    const db = await database.open()
    for (const isolation of ['read committed', 'repeatable read', 'serializable'] as const) {
      assert.equal(await db.transaction(async () => isolation, { isolation }), isolation)
    }
  })

  test('runs the body again after a serialization failure, as often as it may', async () => {
    const db = await database.open()
    let runs = 0
    const fail = async () => {
      runs++
      throw serializationFailure()
    }
    await assert.rejects(db.transaction(fail, { retries: 2 }), failsWith('serialization_failure'))
    assert.equal(runs, 3)
    await assert.rejects(db.transaction(fail), failsWith('serialization_failure'))
    assert.equal(runs, 4)
  })

  for (const [title, options, message] of [
    ['an unknown option', { readonly: true }, /no option "readonly"; it has isolation, readOnly, retries/],
    ['an unknown isolation', { isolation: 'snapshot' }, /isolation to be .*got "snapshot"/],
    ['a negative number of retries', { retries: -1 }, /retries to be a whole number/],
    ['a readOnly that is no boolean', { readOnly: 1 }, /readOnly to be true or false/]
  ] as const) {
    test(`${title} is refused before it begins`, async () => {
      const db = await database.open()
      const body = () => assert.fail()
      await assert.rejects(db.transaction(body, options as unknown as TransactionOptions), failsWith('invalid_parameter', message))
    })
  }

  test('a body that is no function is refused', async () => {
    const db = await database.open()
    await assert.rejects(db.transaction('body' as unknown as () => void), failsWith('invalid_parameter', /function.*got string/))
    await db.transaction(async tx => {
      await assert.rejects(tx.transaction(5 as unknown as () => void), failsWith('invalid_parameter', /function.*got number/))
    })
  })

  test('one that idles for longer than the limit is rolled back, and others go on', async () => {
    const db = await database.open({ ...(await database.config()), timeouts: { query: 100 } })
    await withAccounts(db)
    const start = performance.now()
    let isOver: () => void = () => undefined
    const hung = db.transaction(async tx => {
      await tx.run('UPDATE accounts SET amount = 9')
      await new Promise<void>(resolve => (isOver = resolve))
      await assert.rejects(tx.all('SELECT 1'), failsWith('wrong_handle'))
    })
    await assert.rejects(hung, failsWith('idle_in_transaction_session_timeout', /timeouts\.query/))
    assert.ok(performance.now() - start < 2000)
    isOver()
    assert.deepEqual(await amounts(db), [100, 0])
    await db.run('UPDATE accounts SET amount = 3')
  })

  test('one that works for longer than the limit, statement by statement, is left alone', async () => {
    const db = await database.open({ ...(await database.config()), timeouts: { query: 200 } })
    await db.transaction(async tx => {
      for (let i = 0; i < 6; i++) {
        await tx.all('SELECT 1')
        await pause(50)
      }
    })
  })

  test('iterate() inside of it sees its changes, and later ones do not disturb it', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE marks (n INTEGER PRIMARY KEY)')
    await db.transaction(async tx => {
      for (let n = 0; n < 250; n++) await tx.run('INSERT INTO marks VALUES ($1)', [n])
      let count = 0
      for await (const { n } of tx.iterate<{ n: number }>('SELECT n FROM marks ORDER BY n')) {
        assert.equal(n, count++)
        await tx.run('DELETE FROM marks WHERE n = $1', [n + 1])
        await tx.run('INSERT INTO marks VALUES ($1)', [n + 1000])
      }
      assert.equal(count, 250)
      for await (const _ of tx.iterate('SELECT n FROM marks')) break
    })
    assert.deepEqual(await db.one('SELECT count(*) AS count FROM marks WHERE n >= 1000'), { count: 250 })
  })

  test('an iteration that outlives it fails', async () => {
    const db = await database.open()
    await db.exec('CREATE TABLE marks (n INTEGER PRIMARY KEY)')
    let rows: AsyncIterator<unknown> | undefined
    await db.transaction(async tx => {
      for (let n = 0; n < 250; n++) await tx.run('INSERT INTO marks VALUES ($1)', [n])
      rows = tx.iterate('SELECT n FROM marks')[Symbol.asyncIterator]()
      await rows.next()
    })
    await assert.rejects(async () => {
      for (let i = 0; i < 250; i++) await (rows as AsyncIterator<unknown>).next()
    }, failsWith('wrong_handle'))
    await db.run('DELETE FROM marks')
  })
})

function serializationFailure(): Error {
  return new DatabaseError('serialization_failure', 'could not serialize')
}

function onePostgresConnection(config: DatabaseConfig): DatabaseConfig {
  return config.postgres?.enabled ? { postgres: { ...config.postgres, maxConnections: 1 } } : {}
}

onEachSharedDatabase('A lock that another handle holds', database => {
  test('is waited for, and after the limit lock_not_available says so', async () => {
    const config = await database.config()
    const first = await database.open(config)
    const second = await database.open({ ...config, timeouts: { lock: 150 } })
    await withAccounts(first)
    let release: () => void = () => undefined
    const held = new Promise<void>(resolve => (release = resolve))
    let locked: () => void = () => undefined
    const isLocked = new Promise<void>(resolve => (locked = resolve))
    const holder = first.transaction(async tx => {
      await tx.run('UPDATE accounts SET amount = 1')
      locked()
      await held
    })
    await isLocked
    await assert.rejects(second.run('UPDATE accounts SET amount = 2'), failsWith('lock_not_available'))
    const waiting = second.run('UPDATE accounts SET amount = 3')
    await pause(20)
    release()
    await holder
    await waiting
    assert.deepEqual(await amounts(first), [3, 3])
  })
})

onEachDatabase('A transaction that is used out of turn', database => {
  async function openWithTable(): Promise<Database> {
    const db = await database.open()
    await db.exec('CREATE TABLE t (a TEXT PRIMARY KEY)')
    return db
  }
  const rows = async (db: Database) => (await db.all<{ a: string }>('SELECT a FROM t ORDER BY a')).map(({ a }) => a)

  for (const usesStore of [false, true]) {
    test(`refuses a second nested transaction beside an open one${usesStore ? ', also after a use of the store' : ''}`, async () => {
      const db = await openWithTable()
      const settled = await db.transaction(async tx => {
        if (usesStore) await tx.kvs.get('x')
        return Promise.allSettled([
          tx.transaction(async inner => {
            await inner.run("INSERT INTO t VALUES ('A')")
            await pause(20)
          }),
          tx.transaction(async () => {
            await pause(60)
            throw new Error('boom')
          })
        ])
      })
      assert.equal(settled[0].status, 'fulfilled')
      assert.equal((settled[1] as PromiseRejectedResult).reason.code, 'wrong_handle')
      assert.deepEqual(await rows(db), ['A'])
    })
  }

  test('refuses a nested transaction that begins behind its end, and harms no other call', async () => {
    for (let turns = 0; turns < 16; turns++) {
      const db = await openWithTable()
      await db
        .transaction(async tx => {
          await tx.kvs.get('x')
          void (async () => {
            for (let i = 0; i < turns; i++) await null
            await tx.transaction(async () => 1).catch(() => 0)
          })()
        })
        .catch(() => undefined)
      await Promise.all([db.run("INSERT INTO t VALUES ('a')"), db.run("INSERT INTO t VALUES ('b')")])
      assert.deepEqual(await rows(db), ['a', 'b'])
      await db.exec('DROP TABLE t')
      await db.close()
    }
  })

  test('commits nothing when a statement fails that the body did not await, whatever the timing', async () => {
    for (const block of [0, 30]) {
      const db = await openWithTable()
      const whole = db.transaction(async tx => {
        await tx.run("INSERT INTO t VALUES ('1')")
        const end = performance.now() + block
        while (performance.now() < end);
        void tx.run("INSERT INTO t VALUES ('1')").catch(() => 0)
      })
      await assert.rejects(whole, failsWith('in_failed_sql_transaction'))
      assert.deepEqual(await rows(db), [])
      await db.exec('DROP TABLE t')
    }
  })

  test('commits the whole of a batch that the body did not await', async () => {
    const db = await openWithTable()
    await db.transaction(async tx => {
      void tx.batch(Array.from({ length: 50 }, (_, i) => [`INSERT INTO t VALUES ($1)`, [String(i)]] as const))
    })
    assert.equal((await rows(db)).length, 50)
  })

  test('leads the error of tx.batch() to the caller', async () => {
    const db = await openWithTable()
    await assert.rejects(
      async function caller() {
        await db.transaction(async tx => {
          await tx.batch(["INSERT INTO t VALUES ('1')", "INSERT INTO t VALUES ('1')"])
        })
      },
      (error: Error) => /caller/.test(error.stack ?? '')
    )
  })

  for (const text of ['COMMIT', '; COMMIT', '/* a */ ;; ROLLBACK', 'COMMIT AND CHAIN']) {
    test(`refuses ${text} before it is sent, in every call, and then commits nothing`, async () => {
      const db = await openWithTable()
      const refused = failsWith('invalid_transaction_termination')
      await assert.rejects(db.batch(["INSERT INTO t VALUES ('1')", text, "INSERT INTO t VALUES ('2')"]), refused)
      await assert.rejects(db.exec(`INSERT INTO t VALUES ('1'); ${text}`), refused)
      for (const call of ['all', 'one', 'run', 'exec'] as const) {
        const whole = db.transaction(async tx => {
          await tx.run("INSERT INTO t VALUES ('1')")
          await assert.rejects(tx[call](text), refused)
        })
        await assert.rejects(whole, failsWith('in_failed_sql_transaction'))
      }
      assert.deepEqual(await rows(db), [])
    })
  }

  if (database.dialect === 'sqlite') {
    test('stores nothing behind a statement that ended it', async () => {
      const db = await openWithTable()
      await db.run("INSERT INTO t VALUES ('1')")
      const whole = db.transaction(async tx => {
        await tx.run("INSERT INTO t VALUES ('2')")
        await tx.transaction(inner => inner.run("INSERT OR ROLLBACK INTO t VALUES ('1')")).catch(() => 0)
        await tx.run("INSERT INTO t VALUES ('50')")
      })
      await assert.rejects(whole)
      const awaited = db.transaction(tx => tx.transaction(inner => inner.run("INSERT OR ROLLBACK INTO t VALUES ('1')")))
      await assert.rejects(awaited, failsWith('unique_violation'))
      assert.deepEqual(await rows(db), ['1'])
    })
  }
})
