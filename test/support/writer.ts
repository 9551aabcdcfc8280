/** Writes numbers one after another until it is killed, and prints each after it was acknowledged. */
import { createDatabase, type DatabaseConfig } from '../../src/index.ts'

const { config, from, step } = JSON.parse(process.argv[2] as string) as { config: DatabaseConfig; from: number; step: number }
const db = createDatabase(config)
await db.get()
for (let n = from; ; n += step) {
  await db.run('INSERT INTO marks (n) VALUES ($1)', [n])
  process.stdout.write(`${n}\n`)
}
