/** Random programs against a model; `npx tsx scripts/fuzz.ts 5000` runs more of them. */
import { test } from 'node:test'
import { onEachDatabase } from './support/databases.ts'
import { Fuzz } from './support/fuzz.ts'

const PROGRAMS = { sqlite: 200, postgres: 50 }

onEachDatabase('Programs of statements, scripts and transactions', database => {
  const programs = PROGRAMS[database.dialect]

  test(`leave what a model says, and the connections as they were, in ${programs} of them`, async () => {
    const fuzz = new Fuzz(await database.open())
    await fuzz.prepare()
    for (let seed = 1; seed <= programs; seed++) await fuzz.run(seed)
  })
})
