/** Reads a counter and writes it back with one more, so many times, each in a transaction of its own. */
import { createDatabase, type DatabaseConfig } from '../../src/index.ts'

const { config, times } = JSON.parse(process.argv[2] as string) as { config: DatabaseConfig; times: number }
const db = createDatabase(config)
for (let i = 0; i < times; i++) {
  await db.transaction(async tx => {
    const { amount } = await tx.one<{ amount: number }>('SELECT amount FROM counters')
    await tx.run('UPDATE counters SET amount = $1', [amount + 1])
  })
}
await db.close()
