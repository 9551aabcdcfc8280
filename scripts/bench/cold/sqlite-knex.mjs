import knex from 'knex'
import { end } from './end.mjs'

const db = knex({
  client: 'better-sqlite3',
  connection: { filename: process.argv[2] },
  useNullAsDefault: true,
  pool: {
    min: 1,
    max: 1,
    afterCreate(connection, done) {
      connection.pragma('journal_mode = WAL')
      connection.pragma('synchronous = FULL')
      connection.pragma('foreign_keys = ON')
      done(null, connection)
    }
  }
})
await db.raw('CREATE TABLE IF NOT EXISTS starts (id INTEGER PRIMARY KEY, name TEXT)')
await db('starts').insert({ name: 'first' })
console.log(await db('starts').first('name'))
end()
