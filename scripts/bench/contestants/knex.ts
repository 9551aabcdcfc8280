import type Sqlite from 'better-sqlite3'
import knex from 'knex'
import pg from 'pg'
import { CONNECTIONS, type Contestant, type Target } from '../contestant.ts'
import type { Document } from '../data.ts'
import { setPragmas } from './sqlite.ts'

interface ValueRow {
  value: string
}

export async function open({ dialect, location }: Target): Promise<Contestant> {
  const isSqlite = dialect === 'sqlite'
  if (!isSqlite) pg.types.setTypeParser(pg.types.builtins.INT8, Number)
  const db = isSqlite
    ? knex({
        client: 'better-sqlite3',
        connection: { filename: location },
        useNullAsDefault: true,
        pool: {
          min: 1,
          max: 1,
          afterCreate(connection: Sqlite.Database, done: (error: Error | null, connection: Sqlite.Database) => void) {
            setPragmas(connection)
            done(null, connection)
          }
        }
      })
    : knex({ client: 'pg', connection: location, pool: { min: 0, max: CONNECTIONS } })
  /** SQLite has no dates; what goes in is a text there, as duolect stores it. */
  const now = () => (isSqlite ? new Date().toISOString() : new Date())
  return {
    async getValue(key) {
      const row = await db<ValueRow & { key: string }>('kvs').where({ key }).first('value')
      return row === undefined ? null : JSON.parse(row.value)
    },
    setValue: (key, value) =>
      db('kvs')
        .insert({ key, value: JSON.stringify(value), modified_on: now() })
        .onConflict('key')
        .merge(['value', 'modified_on'])
        .then(),
    setPath: (key, name, value) =>
      db.transaction(async trx => {
        const find = trx('kvs').where({ key }).first('value')
        const row = (await (isSqlite ? find : find.forUpdate())) as ValueRow
        const document = JSON.parse(row.value) as Document
        document.profile[name] = value
        await trx('kvs')
          .where({ key })
          .update({ value: JSON.stringify(document), modified_on: now() })
      }),
    async getPath(key, index) {
      const found = isSqlite
        ? db.raw('json_extract(value, ?) AS value', [`$.items[${index}].name`])
        : db.raw('value::JSON #>> ? AS value', [['items', String(index), 'name']])
      const row = (await db('kvs').where({ key }).first(found)) as ValueRow | undefined
      return row?.value
    },
    async usersByFirstName(name) {
      const rows = await db('users').where({ first_name: name }).select('*')
      return isSqlite ? rows.map(row => ({ ...row, created_on: new Date(row.created_on) })) : rows
    },
    async userById(id) {
      const row = await db('users').where({ id }).first()
      return isSqlite ? { ...row, created_on: new Date(row.created_on) } : row
    },
    plainRows: () => db('items').select('*').then(),
    async typedRows() {
      const rows = await db('events').select('*')
      if (!isSqlite) return rows
      return rows.map(row => ({
        ...row,
        is_read: row.is_read === 1,
        created_on: new Date(row.created_on),
        seen_on: row.seen_on === null ? null : new Date(row.seen_on),
        payload: JSON.parse(row.payload)
      }))
    },
    insertMarks: rows =>
      db.transaction(async trx => {
        for (const row of rows) await trx('marks').insert(row)
      }),
    close: () => db.destroy()
  }
}
