/** duolect as it is published and installed. */
import type * as Duolect from '../../../src/index.ts'
import { CONNECTIONS, type Contestant, type Target } from '../contestant.ts'

export async function open({ dialect, location }: Target, driver?: 'node:sqlite'): Promise<Contestant> {
  const name = 'duolect'
  const { createDatabase, sql } = (await import(name)) as typeof Duolect
  const db = createDatabase(
    dialect === 'sqlite'
      ? { sqlite: { location, driver }, postgres: { enabled: false } }
      : { postgres: { enabled: true, connection: location, maxConnections: CONNECTIONS } }
  )
  await db.get()
  return {
    getValue: key => db.kvs.get(key),
    setValue: (key, value) => db.kvs.set(key, value),
    setPath: (key, name, value) => db.kvs.set(key, value, `profile.${name}`),
    getPath: (key, index) => db.kvs.get(key, `items[${index}].name`),
    usersByFirstName: name => db.all(sql`SELECT * FROM users WHERE first_name = ${name}`),
    userById: id => db.one(sql`SELECT * FROM users WHERE id = ${id}`),
    plainRows: () => db.all('SELECT * FROM items'),
    typedRows: () => db.all('SELECT * FROM events'),
    async pausedRow(id, isOther) {
      const query = isOther ? sql`SELECT id FROM paused AS other WHERE id = ${id}` : sql`SELECT id FROM paused WHERE id = ${id}`
      return (await db.one<{ id: number }>(query)).id
    },
    insertMarks: rows =>
      db.transaction(async tx => {
        for (const { id, name, amount } of rows) await tx.run(sql`INSERT INTO marks (id, name, amount) VALUES (${id}, ${name}, ${amount})`)
      }),
    batchMarks: rows =>
      db.batch(rows.map(({ id, name, amount }) => sql`INSERT INTO marks (id, name, amount) VALUES (${id}, ${name}, ${amount})`)),
    putPair(pair, way) {
      const statements = pair.map(({ id, name, amount }) => sql`INSERT INTO marks (id, name, amount) VALUES (${id}, ${name}, ${amount})`)
      if (way === 'batch') return db.batch(statements)
      return db.transaction(async tx => {
        for (const statement of statements) await tx.run(statement)
      })
    },
    close: () => db.close()
  }
}
