import { DatabaseSync } from 'node:sqlite'
import { end } from './end.mjs'

const db = new DatabaseSync(process.argv[2])
db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON')
db.exec('CREATE TABLE IF NOT EXISTS starts (id INTEGER PRIMARY KEY, name TEXT)')
db.prepare('INSERT INTO starts (name) VALUES (?)').run('first')
console.log({ ...db.prepare('SELECT name FROM starts LIMIT 1').get() })
end()
