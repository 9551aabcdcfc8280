import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Database, Migration } from '../src/index.ts'
import { failsWith, onEachDatabase } from './support/databases.ts'

const NOTHING = 'SELECT 1'

/** Parents with children, an index, a trigger, and an id that was given and deleted. */
const schema: Migration = {
  name: '0001',
  sqlite: `
    CREATE TABLE parents (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT);
    CREATE INDEX parents_name ON parents (name);
    CREATE TRIGGER parents_log AFTER DELETE ON parents BEGIN UPDATE parents SET name = 'log' WHERE id < 0; END;
    CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES parents (id) ON DELETE CASCADE);
    CREATE TABLE empty (id INTEGER PRIMARY KEY AUTOINCREMENT);
    INSERT INTO parents (id, name) VALUES (1, 'a'), (2, 'b'), (9, 'deleted');
    DELETE FROM parents WHERE id = 9;
    INSERT INTO empty (id) VALUES (5);
    DELETE FROM empty;
    INSERT INTO children (id, parent) VALUES (1, 1), (2, 2), (3, 2);`,
  postgres: NOTHING
}

const MAKE_NEW = 'CREATE TABLE new_parents (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL);'
const COPY = 'INSERT INTO new_parents (id, name) SELECT id, name FROM parents;'
const REPLACE = 'DROP TABLE parents; ALTER TABLE new_parents RENAME TO parents;'
const MAKE_AGAIN = `
  CREATE INDEX parents_name ON parents (name);
  CREATE TRIGGER parents_log AFTER DELETE ON parents BEGIN UPDATE parents SET name = 'log' WHERE id < 0; END;`

function rebuild(...pieces: string[]): Migration {
  return { name: '0002-rebuild', sqlite: pieces.join('\n'), postgres: NOTHING, rebuild: true }
}

async function areForeignKeysOn(db: Database): Promise<boolean> {
  const [row] = await db.all('PRAGMA foreign_keys')
  return row?.foreign_keys === 1
}

const whole = [MAKE_NEW, COPY, REPLACE, MAKE_AGAIN]

onEachDatabase('A migration that rebuilds a table', database => {
  // What it does is SQLite's alone; on Postgres the mark means nothing.
  if (database.dialect === 'postgres') {
    test('runs as any other on Postgres', async () => {
      const db = await database.open()
      const migration: Migration = { name: '0001', sqlite: NOTHING, postgres: 'CREATE TABLE a (id INTEGER)', rebuild: true }
      assert.deepEqual(await db.migrate('family', [migration]), ['0001'])
    })
    return
  }

  test('keeps all rows, those of children too', async () => {
    const db = await database.open()
    await db.migrate('family', [schema, rebuild(...whole)])
    assert.deepEqual(await db.all('SELECT id, name FROM parents ORDER BY id'), [
      { id: 1, name: 'a' },
      { id: 2, name: 'b' }
    ])
    assert.equal((await db.all('SELECT id FROM children')).length, 3)
    await assert.rejects(db.run('INSERT INTO parents (name) VALUES (NULL)'), failsWith('not_null_violation'))
  })

  test('keeps the next id, also of an empty table', async () => {
    const db = await database.open()
    const rebuildEmpty =
      'CREATE TABLE new_empty (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT); DROP TABLE empty; ALTER TABLE new_empty RENAME TO empty;'
    await db.migrate('family', [schema, rebuild(...whole, rebuildEmpty)])
    assert.deepEqual(await db.all("INSERT INTO parents (name) VALUES ('c') RETURNING id"), [{ id: 10 }])
    assert.deepEqual(await db.all('INSERT INTO empty DEFAULT VALUES RETURNING id'), [{ id: 6 }])
  })

  test('leaves foreign keys on, and children refer to the new table', async () => {
    const db = await database.open()
    await db.migrate('family', [schema, rebuild(...whole)])
    assert.ok(await areForeignKeysOn(db))
    await assert.rejects(db.run('INSERT INTO children (id, parent) VALUES (4, 77)'), failsWith('foreign_key_violation'))
    await db.run('DELETE FROM parents WHERE id = 2')
    assert.deepEqual(await db.all('SELECT id FROM children'), [{ id: 1 }])
  })

  for (const [what, pieces, code, message] of [
    [
      'rows that children refer to are not copied',
      [MAKE_NEW, `${COPY.slice(0, -1)} WHERE id = 1;`, REPLACE, MAKE_AGAIN],
      'foreign_key_violation',
      /"children".*"parents": 2\./
    ],
    [
      'an index is not made again',
      [MAKE_NEW, COPY, REPLACE, MAKE_AGAIN.replace(/CREATE INDEX.*/, '')],
      'undefined_object',
      /the index "parents_name".*\nCREATE INDEX parents_name ON parents \(name\);/
    ],
    [
      'a trigger is not made again',
      [MAKE_NEW, COPY, REPLACE, MAKE_AGAIN.replace(/CREATE TRIGGER.*/, '')],
      'undefined_object',
      /the trigger "parents_log"/
    ],
    ['a statement fails', [MAKE_NEW, COPY, REPLACE, 'INSERT INTO missing VALUES (1);'], 'undefined_table', /missing/]
  ] as const) {
    test(`changes nothing when ${what}, and foreign keys are on`, async () => {
      const db = await database.open()
      await assert.rejects(db.migrate('family', [schema, rebuild(...pieces)]), failsWith(code, message))
      assert.equal((await db.all('SELECT id FROM parents')).length, 2)
      assert.equal((await db.all('SELECT id FROM children')).length, 3)
      assert.ok(await areForeignKeysOn(db))
      await assert.rejects(db.run('INSERT INTO children (id, parent) VALUES (4, 77)'), failsWith('foreign_key_violation'))
      assert.deepEqual(await db.all("INSERT INTO parents (name) VALUES ('c') RETURNING id"), [{ id: 10 }])
    })
  }

  test('may remove a table with its indexes', async () => {
    const db = await database.open()
    await db.migrate('family', [schema, rebuild('DROP TABLE children; DROP TABLE parents;')])
    await assert.rejects(db.all('SELECT * FROM parents'), failsWith('undefined_table'))
    assert.ok(await areForeignKeysOn(db))
  })

  test('needs no table with AUTOINCREMENT', async () => {
    const db = await database.open()
    await db.migrate('family', [rebuild('CREATE TABLE a (id INTEGER);')])
    assert.deepEqual(await db.all('SELECT * FROM a'), [])
  })
})
