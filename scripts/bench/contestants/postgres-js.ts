/** postgres.js, which pipelines on its connections and prepares statements by itself. */
import postgres from 'postgres'
import { CONNECTIONS, type Contestant, type Target } from '../contestant.ts'
import type { Document, Event, Item, Mark, User } from '../data.ts'

export async function open({ location }: Target): Promise<Contestant> {
  const sql = postgres(location, { max: CONNECTIONS, types: { bigint: { to: 20, from: [20], serialize: String, parse: Number } } })
  const insertMarks = (rows: readonly Mark[]) =>
    sql.begin(async tx => {
      for (const { id, name, amount } of rows) await tx`INSERT INTO marks (id, name, amount) VALUES (${id}, ${name}, ${amount})`
    })
  return {
    async getValue(key) {
      const [row] = await sql<{ value: string }[]>`SELECT value FROM kvs WHERE key = ${key}`
      return row === undefined ? null : JSON.parse(row.value)
    },
    setValue: (key, value) => sql`
      INSERT INTO kvs (key, value, modified_on) VALUES (${key}, ${JSON.stringify(value)}, ${new Date()})
      ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified_on = excluded.modified_on`,
    setPath: (key, name, value) =>
      sql.begin(async tx => {
        const [row] = await tx<{ value: string }[]>`SELECT value FROM kvs WHERE key = ${key} FOR UPDATE`
        const document = JSON.parse((row as { value: string }).value) as Document
        document.profile[name] = value
        await tx`UPDATE kvs SET value = ${JSON.stringify(document)}, modified_on = ${new Date()} WHERE key = ${key}`
      }),
    async getPath(key, index) {
      const path = ['items', String(index), 'name']
      const [row] = await sql<{ value: string }[]>`SELECT value::JSON #>> ${path}::TEXT[] AS value FROM kvs WHERE key = ${key}`
      return row?.value
    },
    usersByFirstName: name => plain(sql<User[]>`SELECT * FROM users WHERE first_name = ${name}`),
    async userById(id) {
      return (await sql<User[]>`SELECT * FROM users WHERE id = ${id}`)[0]
    },
    plainRows: () => plain(sql<Item[]>`SELECT * FROM items`),
    typedRows: () => plain(sql<Event[]>`SELECT * FROM events`),
    async pausedRow(id, isOther) {
      const [row] = isOther
        ? await sql<{ id: number }[]>`SELECT id FROM paused AS other WHERE id = ${id}`
        : await sql<{ id: number }[]>`SELECT id FROM paused WHERE id = ${id}`
      return (row as { id: number }).id
    },
    insertMarks,
    // Sent together, which is its way to pipeline.
    batchMarks: rows =>
      sql.begin(tx => rows.map(({ id, name, amount }) => tx`INSERT INTO marks (id, name, amount) VALUES (${id}, ${name}, ${amount})`)),
    putPair: insertMarks,
    close: () => sql.end()
  }
}

/** Its results are arrays with properties of their own. */
async function plain<T>(rows: Promise<Iterable<T>>): Promise<T[]> {
  return [...(await rows)]
}
