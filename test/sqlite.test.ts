/** What only SQLite's driver has: shares of a turn, schemas that change under it, connections that read. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import Native from 'better-sqlite3'
import { createDatabase, type Database, type Row, type Sql, sql } from '../src/index.ts'
import { failsWith, onEachDatabase, onEachSharedDatabase } from './support/databases.ts'

async function withNotes(db: Database): Promise<Database> {
  await db.exec('CREATE TABLE notes (id INTEGER PRIMARY KEY, a INTEGER); INSERT INTO notes VALUES (1, 10)')
  await db.kvs.set('key', 1)
  return db
}

async function rowsOf(rows: AsyncIterable<Row>): Promise<Row[]> {
  const taken: Row[] = []
  for await (const row of rows) taken.push(row)
  return taken
}

onEachDatabase('Each turn of the event loop', database => {
  if (database.dialect !== 'sqlite') return

  /** Runs calls in loops beside each other until one has been made 3000 times, and returns how often each was made. */
  async function beside(...calls: (() => Promise<unknown>)[]): Promise<number[]> {
    const counts = calls.map(() => 0)
    let isOver = false
    await Promise.all(
      calls.map(async (call, i) => {
        while (!isOver) {
          await call()
          counts[i] = (counts[i] as number) + 1
          if (counts[i] === 3000) isOver = true
        }
      })
    )
    return counts
  }

  test('is shared by loops of reads and the store', async () => {
    const db = await withNotes(await database.open())
    const read = () => db.all('SELECT a FROM notes')
    const get = () => db.kvs.get('key')
    for (const calls of [
      [get, read],
      [read, get],
      [read, read]
    ]) {
      const counts = await beside(...calls)
      assert.ok(Math.min(...counts) > 300, `${counts[0]} calls beside ${counts[1]}`)
    }
  })

  test('leaves writes in their order, also when it is long over', async () => {
    const db = await withNotes(await database.open())
    await db.all('SELECT a FROM notes')
    const end = performance.now() + 15
    while (performance.now() < end);
    const [inserted] = await Promise.all([
      db.all('INSERT INTO notes VALUES (2, 20) RETURNING id'),
      db.run('DELETE FROM notes'),
      db.one('INSERT INTO notes VALUES (2, 30) RETURNING id')
    ])
    assert.deepEqual([inserted, await db.all('SELECT * FROM notes')], [[{ id: 2 }], [{ id: 2, a: 30 }]])
  })

  test('comes also while reads are chained without an end', async () => {
    const db = await withNotes(await database.open())
    let isOver = false
    setTimeout(() => (isOver = true), 50)
    while (!isOver) await db.all('SELECT a FROM notes')
    assert.ok(isOver)
  })

  if (!database.isShared) return

  test('is shared by a loop of reads and the statements of a transaction', async () => {
    const db = await withNotes(await database.open())
    let reads = 0
    let statements = 0
    const whole = db.transaction(async tx => {
      while (reads < 3000 && statements < 3000) {
        await tx.run('UPDATE notes SET a = a + 1')
        statements++
      }
    })
    while (reads < 3000 && statements < 3000) {
      await db.all('SELECT a FROM notes')
      reads++
    }
    await whole
    assert.ok(Math.min(reads, statements) > 300, `${reads} reads beside ${statements} statements`)
  })

  test('is shared by writes and a loop of reads', async () => {
    const db = await withNotes(await database.open())
    const counts = { writes: 0, reads: 0 }
    while (counts.writes < 20) {
      const write = db.run('UPDATE notes SET a = a + 1').then(() => counts.writes++)
      const before = counts.writes
      while (counts.writes === before) {
        await db.all('SELECT a FROM notes')
        counts.reads++
      }
      await write
    }
    assert.ok(counts.reads > 200, `${counts.reads} reads beside 20 writes`)
  })
})

onEachDatabase('A statement of SQLite', database => {
  if (database.dialect !== 'sqlite') return

  test('reads a temporary table that was made anew in its transaction', async () => {
    const db = await database.open()
    await db.transaction(async tx => {
      await tx.run('CREATE TEMP TABLE marks AS SELECT 1 AS a')
      assert.deepEqual(await tx.all('SELECT * FROM marks'), [{ a: 1 }])
      await tx.run('DROP TABLE marks')
      await tx.exec('CREATE TEMP TABLE marks (b TIMESTAMP); INSERT INTO marks VALUES (0)')
      assert.deepEqual(await tx.all('SELECT * FROM marks'), [{ b: new Date(0) }])
      await tx.run('ALTER TABLE marks RENAME COLUMN b TO c')
      assert.deepEqual(await tx.all('SELECT * FROM marks'), [{ c: new Date(0) }])
      await tx.exec('DROP TABLE marks')
    })
  })

  test('reads a table whose new column a nested transaction took back', async () => {
    const db = await withNotes(await database.open())
    await db.transaction(async tx => {
      for (const name of ['b', 'c']) {
        const nested = tx.transaction(async inner => {
          await inner.run(`ALTER TABLE notes RENAME COLUMN a TO ${name}`)
          assert.deepEqual(await inner.all('SELECT * FROM notes'), [{ id: 1, [name]: 10 }])
          throw new Error('taken back')
        })
        await assert.rejects(nested, /taken back/)
        assert.deepEqual(await tx.all('SELECT * FROM notes'), [{ id: 1, a: 10 }])
      }
    })
  })

  test('reads a table whose new column a transaction took back', async () => {
    const db = await withNotes(await database.open())
    for (const name of ['b', 'c']) {
      const whole = db.transaction(async tx => {
        await tx.run(`ALTER TABLE notes RENAME COLUMN a TO ${name}`)
        assert.deepEqual(await tx.all('SELECT * FROM notes'), [{ id: 1, [name]: 10 }])
        throw new Error('taken back')
      })
      await assert.rejects(whole, /taken back/)
      assert.deepEqual(await db.all('SELECT * FROM notes'), [{ id: 1, a: 10 }])
    }
    await db.run('ALTER TABLE notes RENAME COLUMN a TO d')
    assert.deepEqual(await db.all('SELECT * FROM notes'), [{ id: 1, d: 10 }])
  })

  test('reads what a statement of its turn has renamed', async () => {
    const db = await withNotes(await database.open())
    await db.all('SELECT * FROM notes')
    const renamed = db.run('ALTER TABLE notes RENAME COLUMN a TO b')
    const [written] = await Promise.all([db.all('UPDATE notes SET id = 2 RETURNING *'), renamed])
    assert.deepEqual(written, [{ id: 2, b: 10 }])
  })
})

describe('A table that another process renames a column of, while reads are chained', () => {
  async function open() {
    const directory = mkdtempSync(join(tmpdir(), 'duolect-test-'))
    const db = await withNotes(createDatabase({ dataDir: directory, postgres: { enabled: false } }))
    const other = new Native(join(directory, 'db.sqlite'))
    return { db, other, close: () => Promise.all([db.close(), other.close()]).then(() => rmSync(directory, { recursive: true })) }
  }

  for (const [title, read] of [
    ['iterate()', (db: Database) => rowsOf(db.iterate('SELECT * FROM notes'))],
    ['a read-only transaction', (db: Database) => db.transaction(tx => tx.all('SELECT * FROM notes'), { readOnly: true })],
    ['a transaction', (db: Database) => db.transaction(tx => tx.all('SELECT * FROM notes'))],
    ['RETURNING', (db: Database) => db.all('UPDATE notes SET a = a RETURNING *').catch(() => db.all('UPDATE notes SET b = b RETURNING *'))]
  ] as const) {
    test(`is read as it is by ${title}, in the same turn`, async () => {
      const { db, other, close } = await open()
      const texts = ['SELECT * FROM notes', 'UPDATE notes SET b = b RETURNING *']
      for (let i = 0; i < 3; i++) {
        await read(db)
        await db.all(texts[0] as string)
      }
      other.exec('ALTER TABLE notes RENAME COLUMN a TO b')
      assert.deepEqual(await read(db), [{ id: 1, b: 10 }])
      await close()
    })
  }

  test('is read as it is by a chain of all(), from its next turn on', async () => {
    const { db, other, close } = await open()
    for (let i = 0; i < 3; i++) await db.all('SELECT * FROM notes')
    other.exec('ALTER TABLE notes RENAME COLUMN a TO b')
    await turn()
    assert.deepEqual(await db.all('SELECT * FROM notes'), [{ id: 1, b: 10 }])
    other.exec('ALTER TABLE notes RENAME COLUMN b TO c')
    let isNext = false
    setImmediate(() => (isNext = true))
    while (!isNext) await db.all('SELECT id FROM notes')
    assert.deepEqual(await db.all('SELECT * FROM notes'), [{ id: 1, c: 10 }])
    await close()
  })
})

describe('Loops over iterate() on a SQLite file', () => {
  test('run 600 at once where a process may have 256 files open', () => {
    const source = `
      import { createDatabase } from ${JSON.stringify(join(import.meta.dirname, '..', 'src', 'index.ts'))}
      const db = createDatabase({ dataDir: process.env.DIRECTORY, postgres: { enabled: false } })
      await db.exec('CREATE TABLE notes (id INTEGER PRIMARY KEY)')
      await db.batch(Array.from({ length: 150 }, (_, id) => ['INSERT INTO notes VALUES ($1)', [id]]))
      const count = async () => {
        let rows = 0
        for await (const row of db.iterate('SELECT id FROM notes')) if (rows++ === 120) await new Promise(setImmediate)
        return rows
      }
      const counts = await Promise.all(Array.from({ length: 600 }, count))
      if (counts.some(rows => rows !== 150)) throw new Error('rows are missing')
      await db.close()`
    const directory = mkdtempSync(join(tmpdir(), 'duolect-test-'))
    const node = `${JSON.stringify(process.execPath)} --import ${import.meta.resolve('tsx')} --input-type=module -e "$SOURCE"`
    const { status, stderr } = spawnSync('sh', ['-c', `ulimit -n 256 && ${node}`], {
      encoding: 'utf8',
      cwd: join(import.meta.dirname, '..'),
      env: { ...process.env, SOURCE: source, DIRECTORY: directory }
    })
    assert.equal(status, 0, stderr)
    rmSync(directory, { recursive: true })
  })

  test('that wait for one of the 64 connections give up after their limit, and the next ones run', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'duolect-test-'))
    const db = await withNotes(createDatabase({ dataDir: directory, postgres: { enabled: false }, timeouts: { acquire: 30 } }))
    const loops = Array.from({ length: 65 }, () => db.iterate('SELECT * FROM notes')[Symbol.asyncIterator]())
    const settled = await Promise.allSettled(loops.map(loop => loop.next()))
    const failures = settled.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[]
    assert.equal(failures.length, 1)
    failsWith('connection_failure', /64 connections .*timeouts\.acquire/)(failures[0]?.reason)
    await Promise.all(loops.map(loop => loop.return?.()))
    const open = readdirSync('/proc/self/fd').length
    assert.equal((await rowsOf(db.iterate('SELECT * FROM notes'))).length, 1)
    assert.equal(readdirSync('/proc/self/fd').length, open)
    await db.close()
    rmSync(directory, { recursive: true })
  })
})

onEachSharedDatabase('An iteration that outlives its transaction', database => {
  if (database.dialect !== 'sqlite') return
  for (const ends of ['commits', 'fails'] as const) {
    test(`leaves no table behind when that ${ends}`, async () => {
      const db = await withNotes(await database.open())
      const whole = db.transaction(async tx => {
        await tx.iterate('SELECT * FROM notes')[Symbol.asyncIterator]().next()
        await tx.run('UPDATE notes SET a = 11')
        if (ends === 'fails') throw new Error('fails')
      })
      await whole.catch(() => undefined)
      assert.deepEqual(await db.transaction(tx => tx.all('SELECT name FROM sqlite_temp_schema')), [])
    })
  }
})

describe('Tables that older versions made', () => {
  test('hold times of every form, which are read alike and compare by sql.shift()', async () => {
    const db = createDatabase(':memory:')
    const forms = [1_710_000_000_000, '2024-03-09 16:00:00', '2024-03-09T16:00:00.000Z', '2024-03-09 16:00:00.000+00:00']
    for (const [id, form] of forms.entries()) {
      await db.run(sql`INSERT INTO users (id, "userId", platform, created_on) VALUES (${`a:${id}`}, ${String(id)}, ${'a'}, ${form})`)
      await db.run(sql`INSERT INTO kvs VALUES (${String(id)}, ${'1'}, ${form})`)
    }
    const at = new Date(1_710_000_000_000)
    for (const [table, column] of [
      ['users', 'created_on'],
      ['kvs', 'modified_on']
    ] as const) {
      const time = sql.shift(sql.id(column), { days: 0 })
      const count = (condition: Sql) => db.one(sql`SELECT count(*) AS n FROM ${sql.id(table)} WHERE ${condition}`)
      assert.deepEqual(await count(sql`${time} = ${at}`), { n: 4 })
      assert.deepEqual(await count(sql`${time} > ${new Date(at.getTime() - 60_000)} AND ${time} < ${new Date(at.getTime() + 60_000)}`), {
        n: 4
      })
      const rows = await db.all(sql`SELECT ${sql.id(column)} AS at FROM ${sql.id(table)}`)
      assert.deepEqual(
        rows,
        forms.map(() => ({ at }))
      )
    }
    await db.close()
  })
})

describe('A SQLite file', () => {
  test('below a folder that takes no others is an error', async () => {
    const db = createDatabase('/proc/nope/deep/db.sqlite')
    await assert.rejects(db.get(), failsWith('connection_failure', /\/proc\/nope/))
    await db.close()
  })

  test('whose lock another handle of this process holds is said to be held by a connection', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'duolect-test-'))
    const config = { dataDir: directory, postgres: { enabled: false }, timeouts: { lock: 30 } }
    const [first, second] = [createDatabase(config), createDatabase(config)]
    await withNotes(first)
    await second.get()
    const whole = first.transaction(async tx => {
      await tx.run('UPDATE notes SET a = 11')
      await new Promise(resolve => setTimeout(resolve, 100))
    })
    await turn()
    await assert.rejects(second.run('UPDATE notes SET a = 12'), failsWith('lock_not_available', /another handle of this one/))
    await whole
    await Promise.all([first.close(), second.close()])
    rmSync(directory, { recursive: true })
  })
})

test('Rows are the same where Node makes no code from strings', () => {
  const source = `
    import assert from 'node:assert/strict'
    import { createDatabase, sql } from ${JSON.stringify(join(import.meta.dirname, '..', 'src', 'index.ts'))}
    assert.throws(() => new Function('return 1'), EvalError)
    const db = createDatabase(':memory:')
    await db.exec('CREATE TABLE t (id INTEGER, n BIGINT, j JSON, at TIMESTAMP, ok BOOLEAN, "__proto__" TEXT)')
    const row = { id: 1, n: 2n ** 60n, j: { a: [1] }, at: new Date(0), ok: true, ['__proto__']: 'text' }
    await db.run('INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6)', Object.values(row))
    assert.deepEqual(await db.all('SELECT * FROM t'), [row])
    for await (const read of db.iterate('SELECT * FROM t')) assert.deepEqual(read, row)
    await db.kvs.set('key', { a: 1 })
    assert.deepEqual(await db.kvs.get('key', 'a'), 1)
    await db.close()`
  const options = ['--disallow-code-generation-from-strings', '--import', import.meta.resolve('tsx'), '--input-type=module', '-e', source]
  const { status, stderr } = spawnSync(process.execPath, options, { encoding: 'utf8', cwd: join(import.meta.dirname, '..') })
  assert.equal(status, 0, stderr)
})
