/** Types are checked by tsc (`npm run check`); here stands what must compile, and what must not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Database, Handle, Row, RunResult, Transaction } from '../src/index.ts'
import { onEachDatabase } from './support/databases.ts'

/** Fails to compile unless the two types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function isType<_T extends true>(): void {}

interface Note {
  id: number
}

/** A module's function: it works on a database and inside of a transaction. */
async function countNotes(on: Handle): Promise<number> {
  const { n } = await on.one<{ n: number }>('SELECT count(*) AS n FROM notes')
  return n
}

function typesOf(on: Handle, db: Database, tx: Transaction): void {
  isType<Same<ReturnType<typeof on.run>, Promise<RunResult>>>()
  const notes = on.all<Note>('SELECT id FROM notes')
  isType<Same<typeof notes, Promise<Note[]>>>()
  const rows = on.batch(['SELECT 1 AS a'])
  isType<Same<typeof rows, Promise<Row[][]>>>()
  const typed = on.batch<Note>(['SELECT id FROM notes'])
  isType<Same<typeof typed, Promise<Note[][]>>>()
  const loop = on.iterate<Note>('SELECT id FROM notes')
  isType<Same<typeof loop, AsyncIterable<Note>>>()
  const opened = db.get()
  isType<Same<typeof opened, Promise<Database>>>()
  const moved = on.transaction(async inner => countNotes(inner))
  isType<Same<typeof moved, Promise<number>>>()
  const handles: Handle[] = [db, tx]
  void handles
  // @ts-expect-error: a transaction cannot be closed
  void tx.close()
  // @ts-expect-error: a query of a batch with parameters is a pair
  void on.batch([['SELECT 1']])
  // @ts-expect-error: a script has no parameters
  void on.exec('SELECT 1', [])
}

onEachDatabase('A function of a Handle', database => {
  test('takes the database and a transaction', async () => {
    assert.equal(typeof typesOf, 'function')
    const db = await database.open()
    await db.exec('CREATE TABLE notes (id INTEGER)')
    await db.run('INSERT INTO notes VALUES (1)')
    assert.equal(await countNotes(db), 1)
    assert.equal(await db.transaction(tx => countNotes(tx)), 1)
    assert.equal(await db.transaction(tx => tx.transaction(inner => countNotes(inner))), 1)
  })

  test('is given the database itself by get()', async () => {
    const db = await database.open()
    assert.equal(await db.get(), db)
    assert.equal(await (await db.get()).get(), db)
  })

  test('sees an earlier call of the store in a transaction of what get() returned', async () => {
    const db = await database.open()
    const opened = await db.get()
    void db.kvs.set('k', 1)
    assert.equal(await opened.transaction(tx => tx.kvs.get('k')), 1)
  })

  test('may be used with `await using`, which closes the database', async () => {
    const db = await database.open()
    await db[Symbol.asyncDispose]()
    await assert.rejects(db.all('SELECT 1 AS a'), { code: 'closed' })
  })
})
