import knex from 'knex'
import { end } from './end.mjs'

const db = knex({ client: 'pg', connection: process.argv[2] })
await db.raw('CREATE TABLE IF NOT EXISTS starts (id SERIAL PRIMARY KEY, name TEXT)')
await db('starts').insert({ name: 'first' })
console.log(await db('starts').first('name'))
end()
