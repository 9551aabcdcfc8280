import Sqlite from 'better-sqlite3'
import { end } from './end.mjs'

const db = new Sqlite(process.argv[2])
db.pragma('journal_mode = WAL')
db.pragma('synchronous = FULL')
db.pragma('foreign_keys = ON')
db.exec('CREATE TABLE IF NOT EXISTS starts (id INTEGER PRIMARY KEY, name TEXT)')
db.prepare('INSERT INTO starts (name) VALUES (?)').run('first')
console.log(db.prepare('SELECT name FROM starts LIMIT 1').get())
end()
