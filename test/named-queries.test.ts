import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type QuerySource, sql } from '../src/index.ts'
import { failsWith, onEachDatabase } from './support/databases.ts'

onEachDatabase('A query of a SQL file', database => {
  async function openNotes() {
    const db = await database.open()
    await db.exec('CREATE TABLE notes (id INTEGER NOT NULL PRIMARY KEY, body TEXT NOT NULL, meta TEXT)')
    await db.run("INSERT INTO notes (id, body) VALUES (1, 'a'), (2, 'b'), (3, 'b')")
    return db
  }

  const both = (text: string): QuerySource => ({ sqlite: text, postgres: text })

  test('takes the parameters that its text names, and leaves out what else is given', async () => {
    const db = await openNotes()
    const query = sql.query(both('SELECT id FROM notes WHERE body = :body AND id < :id AND body = :body'), { id: 3, body: 'b', more: 1 })
    assert.deepEqual(await db.all(query), [{ id: 2 }])
  })

  test('names a parameter that is missing', async () => {
    const db = await openNotes()
    await assert.rejects(
      db.all(sql.query(both('SELECT :id'), { other: 1 })),
      failsWith('invalid_parameter', /:id is missing; given: :other/)
    )
  })

  test('has lines that belong only when their parameter is given', async () => {
    const db = await openNotes()
    const text = ['SELECT id FROM notes WHERE id > :after', ['body', ' AND body = :body'], ' ORDER BY id'] as const
    const source: QuerySource = { sqlite: text, postgres: text }
    assert.deepEqual(await db.all(sql.query(source, { after: 1 })), [{ id: 2 }, { id: 3 }])
    assert.deepEqual(await db.all(sql.query(source, { after: 1, body: undefined })), [{ id: 2 }, { id: 3 }])
    assert.deepEqual(await db.all(sql.query(source, { after: 0, body: 'a' })), [{ id: 1 }])
  })

  test('sends a JSON parameter as JSON, and null as NULL', async () => {
    const db = await openNotes()
    const source: QuerySource = { ...both('UPDATE notes SET meta = :meta WHERE id = :id RETURNING meta'), parameters: { meta: 'json' } }
    assert.deepEqual(await db.one(sql.query(source, { id: 1, meta: 'dark' })), { meta: '"dark"' })
    assert.deepEqual(await db.one(sql.query(source, { id: 1, meta: null })), { meta: null })
  })

  for (const [ids, found] of [
    [[], []],
    [
      [3, 1n],
      [{ id: 1 }, { id: 3 }]
    ]
  ] as const) {
    test(`takes a list of ${ids.length}`, async () => {
      const db = await openNotes()
      const source: QuerySource = {
        sqlite: 'SELECT id FROM notes WHERE id IN (SELECT value FROM json_each(:ids)) ORDER BY id',
        postgres:
          'SELECT id FROM notes WHERE id = ANY (ARRAY(SELECT CAST(e AS INTEGER) FROM json_array_elements_text(CAST(:ids AS JSON)) AS e)) ORDER BY id',
        parameters: { ids: 'list' }
      }
      assert.deepEqual(await db.all(sql.query(source, { ids })), found)
    })
  }

  for (const limit of [-1, 1.5, null, '1'] as const) {
    test(`refuses ${JSON.stringify(limit)} as a limit before anything is sent`, async () => {
      const db = await openNotes()
      const source: QuerySource = { ...both('SELECT id FROM notes LIMIT :limit'), parameters: { limit: 'count' } }
      await assert.rejects(db.all(sql.query(source, { limit })), failsWith('invalid_parameter', /:limit expects an integer from 0/))
    })
  }

  const expressions: QuerySource = {
    sqlite: "SELECT 1 > 0 AS ok, '2024-03-10T00:00:00.000Z' AS at, '[1]' AS doc, NULL AS none",
    postgres: "SELECT TRUE AS ok, TIMESTAMPTZ '2024-03-10Z' AS at, JSON '[1]' AS doc, NULL AS none",
    columns: { ok: 'boolean', at: 'timestamp', doc: 'json', none: 'timestamp' }
  }
  const decoded = [{ ok: true, at: new Date('2024-03-10'), doc: [1], none: null }]

  test('has its expressions decoded, through every call', async () => {
    const db = await openNotes()
    const query = sql.query(expressions)
    assert.deepEqual(await db.all(query), decoded)
    assert.deepEqual(await db.batch([query]), [decoded])
    assert.deepEqual(await db.transaction(tx => tx.all(query)), decoded)
    assert.deepEqual(await db.transaction(tx => tx.batch([query])), [decoded])
    const rows: unknown[] = []
    for await (const row of db.iterate(query)) rows.push(row)
    assert.deepEqual(rows, decoded)
  })

  test('cannot stand inside of a template', async () => {
    const db = await openNotes()
    await assert.rejects(
      db.all(sql`SELECT * FROM (${sql.query(both('SELECT 1'))}) AS x`),
      failsWith('invalid_parameter', /cannot stand inside/)
    )
  })

  test('can be a script', async () => {
    const db = await openNotes()
    await db.exec(sql.query(both('DELETE FROM notes WHERE id = 1; DELETE FROM notes WHERE id = 2')))
    assert.deepEqual(await db.all('SELECT id FROM notes'), [{ id: 3 }])
  })

  test('that lacks the SQL of the database says so', async () => {
    const db = await openNotes()
    const query = sql.query(database.dialect === 'sqlite' ? { postgres: 'SELECT 1' } : { sqlite: 'SELECT 1' })
    await assert.rejects(db.all(query), failsWith('invalid_parameter', /no SQL for/))
  })

  if (database.dialect === 'sqlite') {
    const undecodable = sql.query({
      sqlite: "UPDATE notes SET body = 'changed' RETURNING '30 February' AS at",
      columns: { at: 'timestamp' },
      writes: true
    })

    test('whose rows cannot be decoded has changed nothing', async () => {
      const db = await openNotes()
      await assert.rejects(db.all(undecodable), failsWith('data_corrupted', /"at" is a timestamp/))
      await assert.rejects(db.batch([undecodable, 'DELETE FROM notes']), failsWith('data_corrupted'))
      assert.deepEqual(await db.all("SELECT id FROM notes WHERE body <> 'changed' ORDER BY id"), [{ id: 1 }, { id: 2 }, { id: 3 }])
    })

    test('whose rows cannot be decoded fails its transaction', async () => {
      const db = await openNotes()
      const work = db.transaction(async tx => {
        await tx.all(undecodable).catch(() => undefined)
      })
      await assert.rejects(work, failsWith('in_failed_sql_transaction'))
    })
  }
})
