import { eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { bigint, boolean, doublePrecision, integer, jsonb, pgTable, text, timestamp } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { CONNECTIONS, type Contestant } from '../contestant.ts'
import type { Document } from '../data.ts'

const time = () => timestamp({ withTimezone: true })

const kvs = pgTable('kvs', { key: text().primaryKey(), value: text().notNull(), modified_on: time() })
const users = pgTable('users', {
  id: text().primaryKey(),
  userId: text().notNull(),
  platform: text().notNull(),
  gender: text(),
  timezone: doublePrecision(),
  picture_url: text(),
  first_name: text(),
  last_name: text(),
  locale: text(),
  created_on: time().notNull()
})
const items = pgTable('items', {
  id: integer().primaryKey(),
  name: text().notNull(),
  category: text().notNull(),
  city: text().notNull(),
  quantity: integer().notNull(),
  year: integer().notNull(),
  price: doublePrecision().notNull(),
  note: text()
})
const events = pgTable('events', {
  id: bigint({ mode: 'number' }).primaryKey(),
  name: text().notNull(),
  is_read: boolean().notNull(),
  created_on: time().notNull(),
  seen_on: time(),
  payload: jsonb().notNull(),
  count: integer().notNull(),
  score: doublePrecision().notNull()
})
const marks = pgTable('marks', { id: integer().notNull(), name: text().notNull(), amount: doublePrecision().notNull() })

export function open(location: string): Contestant {
  const client = new pg.Pool({ connectionString: location, max: CONNECTIONS })
  const db = drizzle({ client })
  const find = db
    .select({ value: kvs.value })
    .from(kvs)
    .where(eq(kvs.key, sql.placeholder('key')))
    .prepare('find')
  const findPath = db
    .select({ value: sql<string>`${kvs.value}::JSON #>> ${sql.placeholder('path')}` })
    .from(kvs)
    .where(eq(kvs.key, sql.placeholder('key')))
    .prepare('find_path')
  const put = db
    .insert(kvs)
    .values({ key: sql.placeholder('key'), value: sql.placeholder('value'), modified_on: sql.placeholder('now') })
    .onConflictDoUpdate({ target: kvs.key, set: { value: sql`excluded.value`, modified_on: sql`excluded.modified_on` } })
    .prepare('put')
  const usersByFirstName = db
    .select()
    .from(users)
    .where(eq(users.first_name, sql.placeholder('name')))
    .prepare('users')
  const userById = db
    .select()
    .from(users)
    .where(eq(users.id, sql.placeholder('id')))
    .prepare('user')
  const plainRows = db.select().from(items).prepare('items')
  const typedRows = db.select().from(events).prepare('events')
  return {
    async getValue(key) {
      const [row] = await find.execute({ key })
      return row === undefined ? null : JSON.parse(row.value)
    },
    setValue: (key, value) => put.execute({ key, value: JSON.stringify(value), now: new Date() }),
    setPath: (key, name, value) =>
      db.transaction(async tx => {
        const [row] = await tx.select({ value: kvs.value }).from(kvs).where(eq(kvs.key, key)).for('update')
        const document = JSON.parse(row?.value as string) as Document
        document.profile[name] = value
        await tx
          .update(kvs)
          .set({ value: JSON.stringify(document), modified_on: new Date() })
          .where(eq(kvs.key, key))
      }),
    async getPath(key, index) {
      const [row] = await findPath.execute({ key, path: ['items', String(index), 'name'] })
      return row?.value
    },
    usersByFirstName: name => usersByFirstName.execute({ name }),
    userById: async id => (await userById.execute({ id }))[0],
    plainRows: () => plainRows.execute(),
    typedRows: () => typedRows.execute(),
    insertMarks: rows =>
      db.transaction(async tx => {
        for (const row of rows) await tx.insert(marks).values(row)
      }),
    close: () => client.end()
  }
}
