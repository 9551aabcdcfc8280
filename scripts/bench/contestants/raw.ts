/** The floor: the bare drivers, with every statement prepared by hand and every value converted by hand. */
import Sqlite from 'better-sqlite3'
import pg from 'pg'
import { CONNECTIONS, type Contestant, type Target } from '../contestant.ts'
import type { Document, Mark } from '../data.ts'
import { decodeEvent, decodeUser, type EventRow, openSqlite, type UserRow, type ValueRow } from './sqlite.ts'

export async function open(target: Target): Promise<Contestant> {
  return target.dialect === 'sqlite' ? sqlite(target.location) : postgres(target.location)
}

function sqlite(location: string): Contestant {
  const db = openSqlite(Sqlite, location)
  const find = db.prepare<[string], ValueRow>('SELECT value FROM kvs WHERE key = ?')
  const findPath = db.prepare<[string, string], ValueRow>('SELECT json_extract(value, ?) AS value FROM kvs WHERE key = ?')
  const put = db.prepare(
    `INSERT INTO kvs (key, value, modified_on) VALUES (?, ?, ?)
     ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified_on = excluded.modified_on`
  )
  const update = db.prepare('UPDATE kvs SET value = ?, modified_on = ? WHERE key = ?')
  const usersByFirstName = db.prepare<[string], UserRow>('SELECT * FROM users WHERE first_name = ?')
  const userById = db.prepare<[string], UserRow>('SELECT * FROM users WHERE id = ?')
  const items = db.prepare('SELECT * FROM items')
  const events = db.prepare<[], EventRow>('SELECT * FROM events')
  const insert = db.prepare('INSERT INTO marks (id, name, amount) VALUES (?, ?, ?)')
  const setPath = db.transaction((key: string, name: string, value: unknown) => {
    const document = JSON.parse((find.get(key) as ValueRow).value) as Document
    document.profile[name] = value
    update.run(JSON.stringify(document), new Date().toISOString(), key)
  })
  const insertMarks = db.transaction((rows: readonly Mark[]) => {
    for (const { id, name, amount } of rows) insert.run(id, name, amount)
  })
  return {
    getValue(key) {
      const row = find.get(key)
      return row === undefined ? null : JSON.parse(row.value)
    },
    setValue: (key, value) => put.run(key, JSON.stringify(value), new Date().toISOString()),
    setPath: (key, name, value) => setPath.immediate(key, name, value),
    getPath: (key, index) => findPath.get(`$.items[${index}].name`, key)?.value,
    usersByFirstName: name => usersByFirstName.all(name).map(decodeUser),
    userById(id) {
      const row = userById.get(id)
      return row && decodeUser(row)
    },
    plainRows: () => items.all(),
    typedRows: () => events.all().map(decodeEvent),
    insertMarks: rows => insertMarks.immediate(rows),
    batchMarks: rows => insertMarks.immediate(rows),
    putPair: pair => insertMarks.immediate(pair),
    close: () => db.close()
  }
}

function postgres(location: string): Contestant {
  pg.types.setTypeParser(pg.types.builtins.INT8, Number)
  const pool = new pg.Pool({ connectionString: location, max: CONNECTIONS })
  const inTransaction = async (body: (client: pg.PoolClient) => Promise<void>) => {
    const client = await pool.connect()
    try {
      await client.query('BEGIN')
      await body(client)
      await client.query('COMMIT')
    } catch (error) {
      await client.query('ROLLBACK')
      throw error
    } finally {
      client.release()
    }
  }
  const insertMarks = (rows: readonly Mark[]) =>
    inTransaction(async client => {
      for (const { id, name, amount } of rows) {
        await client.query({
          name: 'insert',
          text: 'INSERT INTO marks (id, name, amount) VALUES ($1, $2, $3)',
          values: [id, name, amount]
        })
      }
    })
  return {
    async getValue(key) {
      const { rows } = await pool.query<ValueRow>({ name: 'find', text: 'SELECT value FROM kvs WHERE key = $1', values: [key] })
      return rows[0] === undefined ? null : JSON.parse(rows[0].value)
    },
    setValue: (key, value) =>
      pool.query({
        name: 'put',
        text: `INSERT INTO kvs (key, value, modified_on) VALUES ($1, $2, $3)
               ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified_on = excluded.modified_on`,
        values: [key, JSON.stringify(value), new Date()]
      }),
    setPath: (key, name, value) =>
      inTransaction(async client => {
        const { rows } = await client.query<ValueRow>({
          name: 'lock',
          text: 'SELECT value FROM kvs WHERE key = $1 FOR UPDATE',
          values: [key]
        })
        const document = JSON.parse((rows[0] as ValueRow).value) as Document
        document.profile[name] = value
        await client.query({
          name: 'update',
          text: 'UPDATE kvs SET value = $1, modified_on = $2 WHERE key = $3',
          values: [JSON.stringify(document), new Date(), key]
        })
      }),
    async getPath(key, index) {
      const { rows } = await pool.query<ValueRow>({
        name: 'find-path',
        text: 'SELECT value::JSON #>> $1 AS value FROM kvs WHERE key = $2',
        values: [['items', String(index), 'name'], key]
      })
      return rows[0]?.value
    },
    async usersByFirstName(name) {
      return (await pool.query({ name: 'users', text: 'SELECT * FROM users WHERE first_name = $1', values: [name] })).rows
    },
    async userById(id) {
      return (await pool.query({ name: 'user', text: 'SELECT * FROM users WHERE id = $1', values: [id] })).rows[0]
    },
    async plainRows() {
      return (await pool.query({ name: 'items', text: 'SELECT * FROM items' })).rows
    },
    async typedRows() {
      return (await pool.query({ name: 'events', text: 'SELECT * FROM events' })).rows
    },
    async pausedRow(id, isOther) {
      const statement = isOther
        ? { name: 'other', text: 'SELECT id FROM paused AS other WHERE id = $1' }
        : { name: 'paused', text: 'SELECT id FROM paused WHERE id = $1' }
      const { rows } = await pool.query<{ id: number }>({ ...statement, values: [id] })
      return (rows[0] as { id: number }).id
    },
    putPair: insertMarks,
    insertMarks,
    batchMarks: insertMarks,
    close: () => pool.end()
  }
}
