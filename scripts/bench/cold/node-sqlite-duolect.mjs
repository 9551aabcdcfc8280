import { createDatabase, sql } from 'duolect'
import { end } from './end.mjs'

const db = createDatabase({ sqlite: { location: process.argv[2], driver: 'node:sqlite' }, postgres: { enabled: false } })
await db.exec('CREATE TABLE IF NOT EXISTS starts (id INTEGER PRIMARY KEY, name TEXT)')
await db.run(sql`INSERT INTO starts (name) VALUES (${'first'})`)
console.log(await db.one('SELECT name FROM starts LIMIT 1'))
end()
