import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { on } from 'node:events'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { createDatabase, type Handle, type Migration, sql } from '../src/index.ts'
import { failsWith, onEachDatabase, onEachSharedDatabase } from './support/databases.ts'
import { start } from './support/processes.ts'

/** A migration with one script for both databases. */
function both(name: string, script: string, rebuild?: boolean) {
  return { name, sqlite: script, postgres: script, rebuild }
}

const tables = both('0001-tables', 'CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);')
const first = both('0002-first', "INSERT INTO notes (id, body) VALUES (1, 'first')")

async function bodies(on: Handle): Promise<unknown[]> {
  return (await on.all('SELECT body FROM notes ORDER BY id')).map(({ body }) => body)
}

onEachDatabase('migrate()', database => {
  test('runs what has not run, in order, and returns the names that it ran', async () => {
    const db = await database.open()
    assert.deepEqual(await db.migrate('notes', [tables]), ['0001-tables'])
    assert.deepEqual(await db.migrate('notes', [tables, first]), ['0002-first'])
    assert.deepEqual(await db.migrate('notes', [tables, first]), [])
    assert.deepEqual(await bodies(db), ['first'])
  })

  test('records each with its module and the time', async () => {
    const db = await database.open()
    const before = Date.now()
    await db.migrate('notes', [tables])
    const [record] = await db.all<{ applied_on: Date }>('SELECT module, name, applied_on FROM duolect_migrations')
    const { applied_on, ...names } = record as { applied_on: Date }
    assert.deepEqual(names, { module: 'notes', name: '0001-tables' })
    assert.ok(applied_on.getTime() >= before && applied_on.getTime() <= Date.now())
  })

  test('keeps modules apart that name their migrations alike', async () => {
    const db = await database.open()
    await db.migrate('a', [both('0001', 'CREATE TABLE a (id INTEGER)')])
    assert.deepEqual(await db.migrate('b', [both('0001', 'CREATE TABLE b (id INTEGER)')]), ['0001'])
  })

  test('gives a step the handle of its transaction', async () => {
    const db = await database.open()
    await db.migrate('notes', [
      tables,
      {
        name: '0002-step',
        step: async tx => {
          await tx.run(sql`INSERT INTO notes (id, body) VALUES (${1}, ${'by a step'})`)
          // Not awaited on purpose: it takes effect before the commit all the same.
          void tx.kvs.set('step', true)
        }
      }
    ])
    assert.deepEqual(await bodies(db), ['by a step'])
    assert.equal(await db.kvs.get('step'), true)
  })

  test('refuses the outer handle inside a step', async () => {
    const db = await database.open()
    const migrations: Migration[] = [tables, { name: '0002', step: () => bodies(db) }]
    await assert.rejects(db.migrate('notes', migrations), failsWith('wrong_handle', /"0002" of the module "notes"/))
  })

  test('keeps what ran before the one that fails, and nothing of that one', async () => {
    const db = await database.open()
    const failing = both('0002-fails', "INSERT INTO notes (id, body) VALUES (1, 'a'); INSERT INTO notes (id, body) VALUES (1, 'b')")
    await assert.rejects(
      db.migrate('notes', [tables, failing]),
      failsWith('unique_violation', /^The migration "0002-fails" of the module "notes" failed, and nothing of it was kept: /)
    )
    assert.deepEqual(await bodies(db), [])
    assert.deepEqual(await db.migrate('notes', [tables, first]), ['0002-first'])
  })

  test('undoes a step that throws, and says which it was', async () => {
    const db = await database.open()
    const cause = new Error('thrown by the step')
    const step = async (tx: Handle) => {
      await tx.run("INSERT INTO notes (id, body) VALUES (1, 'a')")
      throw cause
    }
    const error = await db.migrate('notes', [tables, { name: '0002', step }]).catch(e => e)
    failsWith('raise_exception', /"0002" .*thrown by the step/)(error)
    assert.equal(error.cause, cause)
    assert.deepEqual(await bodies(db), [])
  })

  test('refuses a migration that was changed after it ran, in either script', async () => {
    const db = await database.open()
    await db.migrate('notes', [tables])
    for (const dialect of ['sqlite', 'postgres'] as const) {
      const changed = { ...tables, [dialect]: 'CREATE TABLE notes (id TEXT)' }
      await assert.rejects(db.migrate('notes', [changed]), failsWith('migration_mismatch', /"0001-tables".*changed after it ran/))
    }
  })

  test('takes a script for the same with other ends of lines', async () => {
    const db = await database.open()
    const script = 'CREATE TABLE notes (\n  id INTEGER,\n  body TEXT\n);\n'
    await db.migrate('notes', [both('0001', script)])
    assert.deepEqual(await db.migrate('notes', [both('0001', script.replaceAll('\n', '\r\n'))]), [])
  })

  const script = { name: '0001', [database.dialect]: 'CREATE TABLE alone (id INTEGER)' }
  const other = database.dialect === 'sqlite' ? 'postgres' : 'sqlite'

  test('runs a migration that is for this database alone', async () => {
    const db = await database.open()
    assert.deepEqual(await db.migrate('notes', [script]), ['0001'])
    assert.deepEqual(await db.migrate('notes', [script]), [])
    assert.deepEqual(await db.all('SELECT id FROM alone'), [])
  })

  test('runs none of a module that has no script for this database', async () => {
    const db = await database.open()
    await assert.rejects(
      db.migrate('notes', [tables, { name: '0002', [other]: 'SELECT 1' }]),
      failsWith('feature_not_supported', /"0002" of the module "notes" has no script for (SQLite|Postgres), so none/)
    )
    await assert.rejects(bodies(db), failsWith('undefined_table'))
  })

  test('takes a migration for the same when the other database gets a script later', async () => {
    const db = await database.open()
    await db.migrate('notes', [script])
    assert.deepEqual(await db.migrate('notes', [{ ...script, [other]: 'CREATE TABLE alone (id INTEGER)' }]), [])
  })

  test('refuses a migration whose empty script for the other database is filled later', async () => {
    const db = await database.open()
    await db.migrate('notes', [{ ...script, [other]: '' }])
    await assert.rejects(
      db.migrate('notes', [{ ...script, [other]: 'CREATE TABLE alone (id INTEGER)' }]),
      failsWith('migration_mismatch', /changed/)
    )
  })

  test('needs no script for what ran before the database was moved', async () => {
    const db = await database.open()
    await db.migrate('notes', [script])
    const elsewhere: { sqlite?: string; postgres?: string } = { [other]: 'CREATE TABLE alone (id INTEGER)' }
    // The record of the other database, as a move to this one brings it along.
    const scripts = JSON.stringify([elsewhere.sqlite ?? null, elsewhere.postgres ?? null])
    await db.run(sql`UPDATE duolect_migrations SET checksum = ${createHash('sha256').update(scripts).digest('hex')}`)
    assert.deepEqual(await db.migrate('notes', [{ name: '0001', ...elsewhere }]), [])
  })

  test('knows a step by its name alone', async () => {
    const db = await database.open()
    await db.migrate('notes', [tables, { name: '0002', step: tx => bodies(tx) }])
    assert.deepEqual(await db.migrate('notes', [tables, { name: '0002', step: () => assert.fail('ran again') }]), [])
  })

  test('refuses a step in place of a script that ran', async () => {
    const db = await database.open()
    await db.migrate('notes', [tables])
    const step: Migration = { name: '0001-tables', step: () => undefined }
    await assert.rejects(db.migrate('notes', [step]), failsWith('migration_mismatch', /changed/))
  })

  test('refuses to go on when one that ran is missing', async () => {
    const db = await database.open()
    await db.migrate('notes', [tables, first])
    await assert.rejects(db.migrate('notes', [tables]), failsWith('migration_mismatch', /"0002-first".*missing/))
  })

  test('refuses one that stands before another that has run', async () => {
    const db = await database.open()
    await db.migrate('notes', [tables, first])
    const late = both('0001-later', 'CREATE TABLE late (id INTEGER)')
    await assert.rejects(
      db.migrate('notes', [tables, late, first]),
      failsWith('migration_mismatch', /"0001-later".*"0002-first" behind it has.*comes last/)
    )
    assert.deepEqual(await db.migrate('notes', [tables, first, late]), ['0001-later'])
  })

  test('runs nothing for a script that has only comments', async () => {
    const db = await database.open()
    assert.deepEqual(await db.migrate('notes', [both('0001', '-- Nothing to do here.\n')]), ['0001'])
  })

  test('refuses a script that ends its transaction', async () => {
    const db = await database.open()
    const script = 'CREATE TABLE a (id INTEGER); COMMIT; CREATE TABLE b (id INTEGER)'
    await assert.rejects(db.migrate('notes', [both('0001', script)]), failsWith('invalid_transaction_termination'))
    await assert.rejects(db.all('SELECT * FROM a'), failsWith('undefined_table'))
  })

  for (const [what, module, migrations] of [
    ['no name of the module', '', []],
    ['a name that is no string', 5, []],
    ['no array', 'notes', { name: '0001' }],
    ['no object', 'notes', ['0001']],
    ['no name', 'notes', [{ sqlite: '', postgres: '' }]],
    ['no script', 'notes', [{ name: '0001' }]],
    ['a script that is no string', 'notes', [{ name: '0001', sqlite: 'SELECT 1', postgres: 1 }]],
    ['a step that is no function', 'notes', [{ name: '0001', step: 'SELECT 1' }]],
    ['one name twice', 'notes', [tables, tables]]
  ] as const) {
    test(`refuses ${what} before anything is run`, async () => {
      const db = await database.open()
      await assert.rejects(
        db.migrate(module as string, migrations as unknown as Migration[]),
        failsWith('invalid_parameter', /^migrate\(\)/)
      )
    })
  }

  test('is refused inside a transaction of the caller', async () => {
    const db = await database.open()
    await assert.rejects(
      db.transaction(tx => tx.migrate('notes', [tables])),
      failsWith('active_sql_transaction', /outside of transaction\(\)/)
    )
    await assert.rejects(
      db.transaction(() => db.migrate('notes', [tables])),
      failsWith('wrong_handle')
    )
  })

  test('is waited for by close()', async () => {
    const db = await database.open()
    const running = db.migrate('notes', [tables, first])
    await db.close()
    assert.deepEqual(await running, ['0001-tables', '0002-first'])
    await assert.rejects(db.migrate('notes', [tables]), failsWith('closed'))
  })

  test('sends two statements when there is nothing to run', async () => {
    const db = await database.open()
    await db.migrate('notes', [tables])
    const { channel } = await import('node:diagnostics_channel')
    const texts: string[] = []
    const listen = (message: unknown) => texts.push((message as { sql: string }).sql)
    channel('tracing:duolect:query:start').subscribe(listen)
    await db.migrate('notes', [tables])
    channel('tracing:duolect:query:start').unsubscribe(listen)
    assert.equal(texts.length, 2, texts.join('\n'))
  })
})

onEachDatabase('A table that others refer to', database => {
  const parents = both('0001', 'CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT)')
  const children = both(
    '0002',
    "CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents (id) ON DELETE CASCADE); INSERT INTO parents VALUES (1, 'a'); INSERT INTO children VALUES (1, 1)"
  )

  test('is not dropped by a migration', async () => {
    const db = await database.open()
    const drop = both('0003', 'DROP TABLE IF EXISTS /* all of it */ parents')
    await assert.rejects(db.migrate('family', [parents, children, drop]), failsWith('dependent_objects_still_exist', /"0003"/))
    assert.deepEqual(await db.all('SELECT id FROM children'), [{ id: 1 }])
  })

  test('is dropped behind those that refer to it', async () => {
    const db = await database.open()
    await db.migrate('family', [parents, children, both('0003', 'DROP TABLE children; DROP TABLE parents')])
    await assert.rejects(db.all('SELECT * FROM parents'), failsWith('undefined_table'))
  })
})

onEachSharedDatabase('Processes that migrate at once', database => {
  test('run each migration once, and none fails', async () => {
    const processes = Array.from({ length: 6 }, () => {
      const child = start('migrator.ts', null)
      const lines = on(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line')
      return { child, next: async (): Promise<string> => (await lines.next()).value[0] }
    })
    try {
      for (const { next } of processes) assert.equal(await next(), 'ready')
      for (let round = 0; round < 3; round++) {
        const config = await database.config()
        for (const { child } of processes) child.stdin?.write(`${JSON.stringify(config)}\n`)
        const ran = await Promise.all(processes.map(async ({ next }) => JSON.parse(await next())))
        assert.deepEqual(ran.flat().sort(), ['0000-script', '0001-script', '0002-script', '0003-step'])
        const db = database.closeAfterTest(createDatabase(config))
        assert.deepEqual(await db.all('SELECT id, name FROM parts ORDER BY id'), [
          { id: 1, name: 'first' },
          { id: 2, name: 'second' }
        ])
      }
    } finally {
      for (const { child } of processes) child.kill()
    }
  })

  test('wait for one that takes longer than timeouts.lock', async () => {
    const config = await database.config()
    const open = () => database.closeAfterTest(createDatabase({ ...config, timeouts: { lock: 100 } }))
    const [a, b] = [open(), open()]
    let ran = 0
    const slow: Migration = {
      name: '0002-slow',
      step: async tx => {
        ran++
        await new Promise(resolve => setTimeout(resolve, 700))
        await tx.run("INSERT INTO notes (id, body) VALUES (1, 'slow')")
      }
    }
    const both = await Promise.all([a.migrate('notes', [tables, slow]), b.migrate('notes', [tables, slow])])
    assert.deepEqual(both.flat().sort(), ['0001-tables', '0002-slow'])
    assert.equal(ran, 1)
  })
})
