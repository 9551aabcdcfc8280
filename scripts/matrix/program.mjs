// Uses duolect as a new user would, on the database of the environment, and prints what came.
import { createDatabase, sql } from 'duolect'

const db = createDatabase()
await db.exec(
  'CREATE TABLE IF NOT EXISTS notes (id BIGINT, body TEXT, at TIMESTAMPTZ, data JSON, bytes BLOB)'.replace(
    'BLOB',
    db.dialect === 'postgres' ? 'BYTEA' : 'BLOB'
  )
)
await db.run(sql`DELETE FROM notes`)
const at = new Date(Date.UTC(2024, 1, 29))
await db.transaction(async tx => {
  await tx.run(sql`INSERT INTO notes VALUES (${2n ** 60n}, ${'first'}, ${at}, ${{ a: [1] }}, ${Buffer.from('bytes')})`)
  await tx.transaction(() => Promise.reject(new Error('undone'))).catch(() => undefined)
})
await db.batch([sql`INSERT INTO notes (body) VALUES (${'second'})`, sql`DELETE FROM notes WHERE body = ${'second'}`])
const bodies = []
for await (const { body } of db.iterate('SELECT body FROM notes')) bodies.push(body)
await db.kvs.set('visits', 1)
await Promise.all([db.kvs.update('visits', n => n + 1), db.kvs.set('user', 5, 'books[1]')])
const code = await db.run('INSERT INTO missing VALUES (1)').catch(error => error.code)
const row = await db.one('SELECT * FROM notes')
await db.close()
console.log(
  JSON.stringify([String(row.id), row.at.toISOString(), row.data, Buffer.isBuffer(row.bytes) && row.bytes.toString(), bodies, code])
)
