/**
 * What duolect does, step by step, on the database that the environment names: SQLite unless DATABASE=postgres.
 * Each step prints its code and its result.
 */
import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { createDatabase, sql } from '../src/index.ts'

const db = createDatabase()

/** The steps below, as they are written. */
const code = readFileSync(import.meta.filename, 'utf8').matchAll(/^await step\(\(\) => (.*)\)$/gm)

/** Runs a step, and prints what it runs and what comes of it. */
async function step(work: () => unknown): Promise<void> {
  const result = await work()
  console.log(`\n> ${code.next().value?.[1]}`)
  if (result !== undefined) console.log(inspect(result, { depth: 5, breakLength: 100 }))
}

console.log(`Database: ${db.location}`)

console.log('\nUsers are saved once, updated when saved again, and found with SQL.')
await step(() => db.saveUser({ id: '002485', platform: 'messenger', first_name: 'Sylvain', last_name: 'Perron', timezone: -5 }))
await step(() => db.saveUser({ id: '757739', platform: 'slack', first_name: 'Dany' }))
await step(() => db.all(sql`SELECT id, last_name FROM users WHERE first_name = ${'Sylvain'}`))

console.log('\nThe key-value store keeps JSON.')
await step(() => db.kvs.set('bot_updated_on', new Date()))
await step(() => db.kvs.get('bot_updated_on'))

console.log('\nA path reads or changes one place of a value.')
await step(() => db.kvs.set('users/id/002485', { name: 'Perron', first_name: 'Sylvain' }))
await step(() => db.kvs.set('users/id/002485', 'Admin', 'role'))
await step(() => db.kvs.get('users/id/002485', 'role'))
await step(() => db.kvs.get('users/id/002485'))

console.log('\nWith a path the value is merged; without one it is replaced.')
await step(() => db.kvs.set('key', { a: 1, b: { _b: 2 } }))
await step(() => db.kvs.set('key', 5, 'b._b'))
await step(() => db.kvs.get('key'))

console.log('\nDigits in a path are an index; in an array of parts, a text is a name.')
await step(() => db.kvs.set('key', { a: 1 }))
await step(() => db.kvs.set('key', 5, 'b.5'))
await step(() => db.kvs.get('key'))
await step(() => db.kvs.set('key', { a: 1 }))
await step(() => db.kvs.set('key', 5, ['b', '5']))
await step(() => db.kvs.get('key'))

await db.close()
