/** Opens a database and uses it, round by round, as the parent says: a line of JSON in, a line out. */
import { createInterface } from 'node:readline'
import { createDatabase, type DatabaseConfig } from '../../src/index.ts'

console.log('ready')
for await (const line of createInterface(process.stdin)) {
  const db = createDatabase(JSON.parse(line) as DatabaseConfig)
  try {
    await db.get()
    await db.kvs.set(`process ${process.pid}`, true)
    await db.close()
    console.log('opened')
  } catch (error) {
    console.log(`failed: ${(error as Error).message}`)
  }
}
