/**
 * Checks the samples of test/check with seeds, and prints each verdict that is not the writer's: `npx tsx
 * scripts/check-seeds.ts a b c`. Rows and parameters differ by the seed, so this shows how often a difference is missed.
 */
import { startPostgres } from '../src/tools/servers/postgres.ts'
import { checkSample, MODULES } from '../test/support/verdicts.ts'

const seeds = process.argv.length > 2 ? process.argv.slice(2) : Array.from({ length: 10 }, (_, i) => `seed ${i + 1}`)
const server = await startPostgres()
let [checked, wrong] = [0, 0]
try {
  for (const seed of seeds) {
    for (const module of Object.keys(MODULES)) {
      for (const { query, verdict, expected } of await checkSample(module, server.url, seed)) {
        checked++
        if (verdict === expected) continue
        wrong++
        console.log(`${module}, ${query}, seed "${seed}": ${verdict}, expected ${expected}`)
      }
    }
  }
} finally {
  await server.stop()
}
console.log(`${checked} verdicts of ${seeds.length} seeds, ${wrong} not as expected`)
process.exitCode = wrong > 0 ? 1 : 0
