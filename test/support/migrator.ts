/** Runs migrations, round by round, as the parent says: a line of JSON in, the names that ran here or the failure out. */
import { createInterface } from 'node:readline'
import { createDatabase, type DatabaseConfig, type Migration } from '../../src/index.ts'

const SCRIPTS = [
  'CREATE TABLE parts (id INTEGER PRIMARY KEY)',
  'ALTER TABLE parts ADD COLUMN name TEXT; CREATE INDEX parts_name ON parts (name)',
  "INSERT INTO parts (id, name) VALUES (1, 'first')"
]
const migrations: Migration[] = [
  ...SCRIPTS.map((script, i) => ({ name: `000${i}-script`, sqlite: script, postgres: script })),
  { name: '0003-step', step: tx => tx.run("INSERT INTO parts (id, name) VALUES (2, 'second')") }
]

console.log('ready')
for await (const line of createInterface(process.stdin)) {
  const db = createDatabase(JSON.parse(line) as DatabaseConfig)
  try {
    console.log(JSON.stringify(await db.migrate('parts', migrations)))
  } catch (error) {
    console.log(JSON.stringify((error as Error).message))
  }
  await db.close()
}
