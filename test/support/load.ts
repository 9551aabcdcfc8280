/**
 * Writes numbers with many workers until its input ends, then prints what became of each number. A number below zero
 * is the second half of a transaction: it is stored with its counterpart or not at all.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { createDatabase, type DatabaseConfig, DatabaseError } from '../../src/index.ts'

export interface LoadReport {
  readonly acknowledged: number[]
  /** Those that failed with `commit_unknown`. */
  readonly unknown: number[]
  /** Those that failed with anything else, so that they must not be stored. */
  readonly refused: number[]
  /** How often each code came. */
  readonly codes: Record<string, number>
  /** The calls that were still pending at the end. */
  readonly unsettled: number
  /** The longest call, in ms. */
  readonly longest: number
  /** What was thrown that is no `DatabaseError`. */
  readonly strange: string[]
}

const { config, workers, from = 1 } = JSON.parse(process.argv[2] as string) as { config: DatabaseConfig; workers: number; from?: number }
const db = createDatabase(config)
const report = { acknowledged: [] as number[], unknown: [] as number[], refused: [] as number[], strange: [] as string[] }
const codes: Record<string, number> = {}
let unsettled = 0
let longest = 0
let next = from
let isOver = false

const writes = [
  (n: number) => db.run('INSERT INTO marks (n) VALUES ($1)', [n]),
  (n: number) =>
    db.transaction(async tx => {
      await tx.run('INSERT INTO marks (n) VALUES ($1)', [n])
      await tx.run('INSERT INTO marks (n) VALUES ($1)', [-n])
    }),
  (n: number) =>
    db.transaction(async tx => {
      await tx.run('INSERT INTO marks (n) VALUES ($1)', [n])
      await pause(n % 5)
      await tx.transaction(inner => inner.run('INSERT INTO marks (n) VALUES ($1)', [-n]))
    }),
  (n: number) => db.exec(`INSERT INTO marks (n) VALUES (${n}); INSERT INTO marks (n) VALUES (${-n})`)
]

/** Runs one write, and notes what became of it. */
async function write(n: number): Promise<void> {
  const start = performance.now()
  unsettled++
  try {
    await writes[n % writes.length]?.(n)
    report.acknowledged.push(n)
  } catch (error) {
    if (!(error instanceof DatabaseError)) report.strange.push(String(error))
    const code = error instanceof DatabaseError ? error.code : 'none'
    codes[code] = (codes[code] ?? 0) + 1
    report[code === 'commit_unknown' ? 'unknown' : 'refused'].push(n)
    await pause(5)
  } finally {
    unsettled--
    longest = Math.max(longest, performance.now() - start)
  }
}

process.stdin.resume()
process.stdin.once('end', () => {
  isOver = true
})
await db.get()
process.stdout.write('\n')
const running = Array.from({ length: workers }, async () => {
  while (!isOver) await write(next++)
})
while (!isOver) await pause(20)
await Promise.race([Promise.all(running), pause(15_000, undefined, { ref: false })])
process.stdout.write(JSON.stringify({ ...report, codes, unsettled, longest: Math.round(longest) } satisfies LoadReport))
await db.close()
