/** Random programs against a model; `npx tsx scripts/fuzz.ts 5000` runs more of them. */
import { test } from 'node:test'
import { onEachDatabase } from './support/databases.ts'
import { Fuzz } from './support/fuzz.ts'

const PROGRAMS = 200

onEachDatabase('Programs of statements, scripts and transactions', database => {
  test(`leave what a model says, and the connections as they were, in ${PROGRAMS} of them`, async () => {
    const fuzz = new Fuzz(await database.open())
    await fuzz.prepare()
    for (let seed = 1; seed <= PROGRAMS; seed++) await fuzz.run(seed)
  })
})
