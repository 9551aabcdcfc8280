import Sqlite from 'better-sqlite3'
import { type Generated, Kysely, PostgresDialect, SqliteDialect, sql } from 'kysely'
import pg from 'pg'
import { CONNECTIONS, type Contestant, type Target } from '../contestant.ts'
import type { Document, Event, Item, Mark, User } from '../data.ts'
import { openSqlite } from './sqlite.ts'

interface Tables {
  kvs: { key: string; value: string; modified_on: Date | string }
  users: Omit<User, 'created_on'> & { created_on: Generated<Date | string> }
  items: Item
  events: Omit<Event, 'is_read' | 'created_on' | 'seen_on' | 'payload'> & {
    is_read: boolean | number
    created_on: Date | string
    seen_on: Date | string | null
    payload: unknown
  }
  marks: Mark
}

export async function open({ dialect, location }: Target): Promise<Contestant> {
  const isSqlite = dialect === 'sqlite'
  if (!isSqlite) pg.types.setTypeParser(pg.types.builtins.INT8, Number)
  const db = new Kysely<Tables>({
    dialect: isSqlite
      ? new SqliteDialect({ database: openSqlite(Sqlite, location) })
      : new PostgresDialect({ pool: new pg.Pool({ connectionString: location, max: CONNECTIONS }) })
  })
  const now = () => (isSqlite ? new Date().toISOString() : new Date())
  return {
    async getValue(key) {
      const row = await db.selectFrom('kvs').select('value').where('key', '=', key).executeTakeFirst()
      return row === undefined ? null : JSON.parse(row.value)
    },
    setValue: (key, value) =>
      db
        .insertInto('kvs')
        .values({ key, value: JSON.stringify(value), modified_on: now() })
        .onConflict(conflict =>
          conflict.column('key').doUpdateSet(({ ref }) => ({ value: ref('excluded.value'), modified_on: ref('excluded.modified_on') }))
        )
        .execute(),
    setPath: (key, name, value) =>
      db.transaction().execute(async trx => {
        const find = trx.selectFrom('kvs').select('value').where('key', '=', key)
        const row = await (isSqlite ? find : find.forUpdate()).executeTakeFirstOrThrow()
        const document = JSON.parse(row.value) as Document
        document.profile[name] = value
        await trx
          .updateTable('kvs')
          .set({ value: JSON.stringify(document), modified_on: now() })
          .where('key', '=', key)
          .execute()
      }),
    async getPath(key, index) {
      const found = isSqlite
        ? sql<string>`json_extract(value, ${`$.items[${index}].name`})`
        : sql<string>`value::JSON #>> ${['items', String(index), 'name']}`
      const row = await db.selectFrom('kvs').select(found.as('value')).where('key', '=', key).executeTakeFirst()
      return row?.value
    },
    async usersByFirstName(name) {
      const rows = await db.selectFrom('users').selectAll().where('first_name', '=', name).execute()
      return isSqlite ? rows.map(row => ({ ...row, created_on: new Date(row.created_on) })) : rows
    },
    async userById(id) {
      const row = await db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
      return isSqlite ? { ...row, created_on: new Date(row.created_on) } : row
    },
    plainRows: () => db.selectFrom('items').selectAll().execute(),
    async typedRows() {
      const rows = await db.selectFrom('events').selectAll().execute()
      if (!isSqlite) return rows
      return rows.map(row => ({
        ...row,
        is_read: row.is_read === 1,
        created_on: new Date(row.created_on),
        seen_on: row.seen_on === null ? null : new Date(row.seen_on),
        payload: JSON.parse(row.payload as string)
      }))
    },
    insertMarks: rows =>
      db.transaction().execute(async trx => {
        for (const row of rows) await trx.insertInto('marks').values(row).execute()
      }),
    close: () => db.destroy()
  }
}
