import pg from 'pg'
import { end } from './end.mjs'

const pool = new pg.Pool({ connectionString: process.argv[2] })
await pool.query('CREATE TABLE IF NOT EXISTS starts (id SERIAL PRIMARY KEY, name TEXT)')
await pool.query('INSERT INTO starts (name) VALUES ($1)', ['first'])
console.log((await pool.query('SELECT name FROM starts LIMIT 1')).rows[0])
end()
