/** One contestant on one database, in a process of its own. Does what its parent asks for, one thing after another. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Contestant, ContestantName, Open, Target } from './contestant.ts'
import * as data from './data.ts'
import { type HotTask, measureHot } from './hot.ts'
import { measureMemory } from './memory.ts'
import { fill, measureSize, type SizeTask } from './size.ts'
import { type Reads, readBesideSlow } from './slow-reads.ts'
import { WORKLOADS, type Workload } from './workloads.ts'

const LOADERS: Record<ContestantName, () => Promise<{ open: Open }>> = {
  raw: () => import('./contestants/raw.ts'),
  duolect: () => import('./contestants/duolect.ts'),
  'postgres.js': () => import('./contestants/postgres-js.ts'),
  drizzle: () => import('./contestants/drizzle.ts'),
  kysely: () => import('./contestants/kysely.ts'),
  knex: () => import('./contestants/knex.ts'),
  keyv: () => import('./contestants/keyv.ts'),
  'node:sqlite': () => import('./contestants/node-sqlite.ts'),
  'duolect on node:sqlite': async () => {
    const { open } = await import('./contestants/duolect.ts')
    return { open: target => open(target, 'node:sqlite') }
  }
}

let target: Target
let contestant: Contestant
/**
 * The calls run untimed first, so that they are compiled: for so many rounds' time, and on until there were so many of
 * them or so much time has passed. With less, calls to a server, of which a round has few, are timed half compiled.
 */
const WARM_UP = { minRounds: 3, calls: 5000, maxRounds: 8 }

/** Numbers the calls of each workload, so that no round repeats another's. */
const counters = new Map<string, number>()

function workloadOf(id: string): Workload {
  const found = WORKLOADS.find(workload => workload.id === id)
  if (found === undefined) throw new Error(`There is no workload "${id}".`)
  return found
}

/** `gc()`, whose types know no options. */
const collect = globalThis.gc as ((options: { type: 'minor' }) => void) | undefined

/** Runs so many calls, and returns how many milliseconds they took. */
async function time({ id, width, before, call }: Workload, count: number): Promise<number> {
  await before?.(target)
  // The garbage of what came before. A full collection would throw away optimised code, and the round measure the compiler.
  collect?.({ type: 'minor' })
  const first = counters.get(id) ?? 0
  counters.set(id, first + count)
  let next = first
  const end = first + count
  const caller = async () => {
    while (next < end) await call(contestant, next++)
  }
  const start = performance.now()
  await Promise.all(Array.from({ length: Math.min(width, count) }, caller))
  return performance.now() - start
}

/** The longest time that the event loop did not run while the work was done, in ms. */
async function longestDelay(work: () => Promise<unknown>): Promise<number> {
  const histogram = monitorEventLoopDelay({ resolution: 1 })
  histogram.enable()
  await new Promise(resolve => setTimeout(resolve, 20))
  await work()
  // A loop that did not run in the end is noticed when it runs again.
  await new Promise(resolve => setTimeout(resolve, 20))
  histogram.disable()
  return histogram.max / 1e6
}

const COMMANDS = {
  async open(name: ContestantName, where: Target): Promise<void> {
    target = where
    await data.seed(target)
    contestant = await (await LOADERS[name]()).open(target)
    await contestant.seed?.(data.documents())
  },

  /** Checks the answers; returns false where the contestant has no such call. */
  async check(id: string): Promise<boolean> {
    const workload = workloadOf(id)
    if (!workload.can(contestant)) return false
    await workload.check(contestant, target)
    return true
  },

  /** Warms up, and returns how many calls one round of so many milliseconds has. */
  async calibrate(id: string, milliseconds: number): Promise<number> {
    const workload = workloadOf(id)
    const start = performance.now()
    let calls = 0
    for (let count = Math.max(1, workload.width); ; ) {
      const taken = await time(workload, count)
      if (workload.before) return 1
      calls += count
      const rounds = (performance.now() - start) / milliseconds
      const isWarm = rounds >= (calls >= WARM_UP.calls ? WARM_UP.minRounds : WARM_UP.maxRounds)
      if (taken >= milliseconds / 2 && isWarm) {
        return Math.max(1, Math.round((count * milliseconds) / taken))
      }
      if (taken < milliseconds) count *= 2
    }
  },

  run: (id: string, count: number): Promise<number> => time(workloadOf(id), count),

  async verify(id: string): Promise<void> {
    await workloadOf(id).verify?.(contestant, (counters.get(id) ?? 0) - 1)
  },

  /** 64 callers write for so long; returns the longest delay and how many writes there were. */
  async writers(kind: 'set' | 'path-set', milliseconds: number): Promise<{ delay: number; writes: number }> {
    const workload = workloadOf(`${target.dialect} ${kind} 64`)
    let writes = 0
    const delay = await longestDelay(async () => {
      const end = performance.now() + milliseconds
      const caller = async () => {
        while (performance.now() < end) await workload.call(contestant, writes++)
      }
      await Promise.all(Array.from({ length: 64 }, caller))
    })
    return { delay, writes }
  },

  /** One write, which has to wait for another process's lock. */
  async blocked(): Promise<{ delay: number; waited: number }> {
    let waited = 0
    const delay = await longestDelay(async () => {
      const start = performance.now()
      await contestant.setValue(data.key(1), data.document(2))
      waited = performance.now() - start
    })
    return { delay, waited }
  },

  slowReads: (milliseconds: number, hasOwnText: boolean): Promise<Reads> => readBesideSlow(contestant, milliseconds, hasOwnText),

  memory: (minutes: number) => measureMemory(contestant, minutes),

  fill: ({ dialect, location, keys }: SizeTask, from: number) => fill(dialect, location, from, keys),

  size: (task: SizeTask) => measureSize(task),

  hot: (task: HotTask) => measureHot(task),

  async close(): Promise<void> {
    await contestant.close()
  }
}

export type Commands = typeof COMMANDS

// Also when the parent was killed: nobody is left to ask for anything.
process.on('disconnect', () => process.exit())

process.on('message', ({ command, parameters }: { command: keyof Commands; parameters: never[] }) => {
  const run = COMMANDS[command] as (...parameters: never[]) => Promise<unknown>
  run(...parameters).then(
    result => {
      process.send?.({ result })
      if (command === 'close') process.disconnect()
    },
    error => process.send?.({ error: error instanceof Error ? error.stack : String(error) })
  )
})
