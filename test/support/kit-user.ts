/** Uses a test database until it is killed; prints the port of the server and the id of its process. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { testDatabases } from '../../src/testing.ts'

const db = await testDatabases().open('postgres')
const { port, directory } = await db.one<{ port: number; directory: string }>(
  "SELECT inet_server_port() AS port, current_setting('data_directory') AS directory"
)
const [pid] = readFileSync(join(directory, 'postmaster.pid'), 'utf8').split('\n')
console.log(`${port} ${pid}`)
setInterval(() => undefined, 1_000)
