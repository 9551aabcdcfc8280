import Sqlite from 'better-sqlite3'
import { eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { customType, integer, real, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import type { Contestant } from '../contestant.ts'
import type { Document } from '../data.ts'
import { openSqlite } from './sqlite.ts'

const time = customType<{ data: Date; driverData: string }>({
  dataType: () => 'TIMESTAMP',
  fromDriver: value => new Date(value),
  toDriver: value => value.toISOString()
})

const kvs = sqliteTable('kvs', {
  key: text().primaryKey(),
  value: text({ mode: 'json' }).$type<Document>(),
  modified_on: time()
})
const users = sqliteTable('users', {
  id: text().primaryKey(),
  userId: text().notNull(),
  platform: text().notNull(),
  gender: text(),
  timezone: real(),
  picture_url: text(),
  first_name: text(),
  last_name: text(),
  locale: text(),
  created_on: time().notNull()
})
const items = sqliteTable('items', {
  id: integer().primaryKey(),
  name: text().notNull(),
  category: text().notNull(),
  city: text().notNull(),
  quantity: integer().notNull(),
  year: integer().notNull(),
  price: real().notNull(),
  note: text()
})
const events = sqliteTable('events', {
  id: integer().primaryKey(),
  name: text().notNull(),
  is_read: integer({ mode: 'boolean' }).notNull(),
  created_on: time().notNull(),
  seen_on: time(),
  payload: text({ mode: 'json' }).notNull(),
  count: integer().notNull(),
  score: real().notNull()
})
const marks = sqliteTable('marks', { id: integer().notNull(), name: text().notNull(), amount: real().notNull() })

export function open(location: string): Contestant {
  const client = openSqlite(Sqlite, location)
  const db = drizzle({ client })
  const find = db
    .select({ value: kvs.value })
    .from(kvs)
    .where(eq(kvs.key, sql.placeholder('key')))
    .prepare()
  const findPath = db
    .select({ value: sql<string>`json_extract(${kvs.value}, ${sql.placeholder('path')})` })
    .from(kvs)
    .where(eq(kvs.key, sql.placeholder('key')))
    .prepare()
  const put = db
    .insert(kvs)
    .values({ key: sql.placeholder('key'), value: sql.placeholder('value'), modified_on: sql.placeholder('now') })
    .onConflictDoUpdate({ target: kvs.key, set: { value: sql`excluded.value`, modified_on: sql`excluded.modified_on` } })
    .prepare()
  const usersByFirstName = db
    .select()
    .from(users)
    .where(eq(users.first_name, sql.placeholder('name')))
    .prepare()
  const userById = db
    .select()
    .from(users)
    .where(eq(users.id, sql.placeholder('id')))
    .prepare()
  const plainRows = db.select().from(items).prepare()
  const typedRows = db.select().from(events).prepare()
  const insert = db
    .insert(marks)
    .values({ id: sql.placeholder('id'), name: sql.placeholder('name'), amount: sql.placeholder('amount') })
    .prepare()
  return {
    getValue: key => find.get({ key })?.value ?? null,
    setValue: (key, value) => put.run({ key, value, now: new Date() }),
    setPath: (key, name, value) =>
      db.transaction(
        tx => {
          const document = find.get({ key })?.value as Document
          document.profile[name] = value
          tx.update(kvs).set({ value: document, modified_on: new Date() }).where(eq(kvs.key, key)).run()
        },
        { behavior: 'immediate' }
      ),
    getPath: (key, index) => findPath.get({ key, path: `$.items[${index}].name` })?.value,
    usersByFirstName: name => usersByFirstName.all({ name }),
    userById: id => userById.get({ id }),
    plainRows: () => plainRows.all(),
    typedRows: () => typedRows.all(),
    insertMarks: rows =>
      db.transaction(
        () => {
          for (const row of rows) insert.run({ ...row })
        },
        { behavior: 'immediate' }
      ),
    close: () => client.close()
  }
}
