import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findUnportable, testDatabases } from 'duolect/testing'
import { addNote, addNotes, countTags, findNote, findNotes, migrateNotes, type Note, notesPerDay, removeNotes } from '../src/index.ts'

const { open, databases } = testDatabases({ prepare: migrateNotes })

for (const database of databases) {
  test(`a note is found as it was written (${database})`, async () => {
    const db = await open(database)
    const note = await addNote(db, { author: 'Ann', body: 'It works.', tags: ['first'] })
    assert.deepEqual(
      { ...note, written: undefined },
      { id: 1, author: 'Ann', body: 'It works.', kind: 'plain', tags: ['first'], written: undefined }
    )
    assert.deepEqual(await findNote(db, { id: note.id }), note)
    assert.equal(await findNote(db, { id: 2 }), undefined)
    await db.close()
  })

  test(`notes of some authors come page by page (${database})`, async () => {
    const db = await open(database)
    const authors = ['Ann', 'Ben', 'Cid']
    await addNotes(
      db,
      Array.from({ length: 7 }, (_, i) => ({ author: authors[i % 3] as string, body: `${i}`, tags: [] }))
    )
    const first = await findNotes(db, { authors: ['Ann', 'Cid'], limit: 3 })
    assert.deepEqual(
      first.map(({ body }) => body),
      ['6', '5', '3']
    )
    const rest = await findNotes(db, { authors: ['Ann', 'Cid'], limit: 3, before: (first.at(-1) as Note).id })
    assert.deepEqual(
      rest.map(({ body }) => body),
      ['2', '0']
    )
    assert.deepEqual(await findNotes(db, { authors: [], limit: 3 }), [])
    await db.close()
  })

  test(`days and tags are counted (${database})`, async () => {
    const db = await open(database)
    await addNotes(db, [
      { author: 'Ann', body: '', tags: ['sql', 'notes'] },
      { author: 'Ann', body: '', kind: 'rich', tags: ['sql'] }
    ])
    assert.deepEqual(await notesPerDay(db, { since: new Date(0) }), [
      { day: new Date().toISOString().slice(0, 10), authors: 'Ann, Ann', notes: 2 }
    ])
    assert.deepEqual(await countTags(db), [
      { tag: 'sql', notes: 2 },
      { tag: 'notes', notes: 1 }
    ])
    await db.close()
  })

  test(`of several notes all are written or none (${database})`, async () => {
    const db = await open(database)
    const good = { author: 'Ann', body: 'good', tags: [] }
    await assert.rejects(addNotes(db, [good, { ...good, kind: 'poor' }]), { code: 'check_violation' })
    assert.deepEqual(await findNotes(db, { authors: ['Ann'], limit: 10 }), [])
    await db.close()
  })

  test(`what a transaction of the caller did is undone with it (${database})`, async () => {
    const db = await open(database)
    await addNote(db, { author: 'Ann', body: 'kept', tags: [] })
    const work = db.transaction(async tx => {
      assert.deepEqual(await removeNotes(tx, { author: 'Ann' }), { changes: 1 })
      throw new Error('changed my mind')
    })
    await assert.rejects(work, /changed my mind/)
    assert.equal((await findNotes(db, { authors: ['Ann'], limit: 10 })).length, 1)
    await db.close()
  })

  test(`what is stored may move to the other database (${database})`, async () => {
    const db = await open(database)
    await addNote(db, { author: 'Ann', body: 'It works.', tags: ['first'] })
    assert.deepEqual(await findUnportable(db), [])
    await db.close()
  })
}
