/** Many failures under load. `npm run soak` goes on for longer. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { createDatabase, type DatabaseConfig } from '../src/index.ts'
import { startPostgres } from '../src/tools/servers/postgres.ts'
import type { LoadReport } from './support/load.ts'
import { finished, start } from './support/processes.ts'

/** How long it goes on, in seconds, and how often the server is restarted. */
const LOAD_SECONDS = Number(process.env.SOAK_SECONDS ?? 5)
const LOAD_RESTARTS = Number(process.env.SOAK_RESTARTS ?? 1)

test(`${LOAD_SECONDS} s of terminations and ${LOAD_RESTARTS} restarts lose and double nothing that 32 workers write`, async t => {
  const server = await startPostgres()
  const admin = createDatabase(server.url)
  await admin.exec('CREATE TABLE marks (n INTEGER)')
  const config: DatabaseConfig = { postgres: { enabled: true, connection: `${server.url}?application_name=load`, maxConnections: 20 } }
  const load = start('load.ts', { config, workers: 32 })
  const end = finished(load)
  await new Promise(resolve => load.stdout?.once('data', resolve))

  const countMarks = async () => (await admin.one<{ count: number }>('SELECT count(*) AS count FROM marks')).count
  const lasts = LOAD_SECONDS * 1000
  const from = performance.now()
  let terminations = 0
  let restarts = 0
  while (performance.now() - from < lasts) {
    if (restarts < LOAD_RESTARTS && performance.now() - from > ((restarts + 0.5) * lasts) / LOAD_RESTARTS) {
      await server.restart(restarts++ % 2 === 0 ? 'QUIT' : 'INT')
      const before = await countMarks()
      await pause(1000)
      assert.ok((await countMarks()) > before, 'writes go on within a second after the restart')
    }
    const { count } = await admin.one<{ count: number }>(
      `SELECT count(pg_terminate_backend(pid)) AS count FROM (
         SELECT pid FROM pg_stat_activity WHERE application_name = 'load' ORDER BY random() LIMIT 2) victims`
    )
    terminations += count
    await pause(Math.random() * 60)
  }
  load.stdin?.end()
  const { status, output } = await end
  assert.equal(status, 0, output.slice(0, 2000))
  const report = JSON.parse(output) as LoadReport
  const { acknowledged, unknown, refused, codes, longest } = report
  t.diagnostic(
    JSON.stringify({ acknowledged: acknowledged.length, unknown: unknown.length, terminations, restarts, codes, longest, status })
  )
  assert.deepEqual({ unsettled: report.unsettled, strange: report.strange }, { unsettled: 0, strange: [] })
  assert.ok(longest < 10_000, `${longest} ms`)

  const stored = new Map<number, number>()
  for await (const { n } of admin.iterate<{ n: number }>('SELECT n FROM marks')) stored.set(n, (stored.get(n) ?? 0) + 1)
  const isHalf = (n: number) => n % 4 !== 0
  const wrong = (numbers: number[], isRight: (whole: number, half: number) => boolean) =>
    numbers.filter(n => !isRight(stored.get(n) ?? 0, isHalf(n) ? (stored.get(-n) ?? 0) : (stored.get(n) ?? 0)))
  assert.deepEqual(
    {
      lostOrDoubled: wrong(acknowledged, (whole, half) => whole === 1 && half === 1),
      storedThoughRefused: wrong(refused, (whole, half) => whole === 0 && half === 0),
      halfOrDoubled: wrong(unknown, (whole, half) => whole <= 1 && half === whole)
    },
    { lostOrDoubled: [], storedThoughRefused: [], halfOrDoubled: [] }
  )
  await admin.close()
  await server.stop()
})
