/** A worker, as its parent sees it. */
import { type ChildProcess, fork } from 'node:child_process'
import { type ContestantName, isOnNodeSqlite, type Target } from './contestant.ts'
import { nodeWithSqlite } from './node24.ts'
import type { Commands } from './worker.ts'

interface Answer {
  readonly result?: unknown
  readonly error?: string
}

export class Worker {
  readonly name: ContestantName
  readonly target: Target
  readonly #child: ChildProcess
  #settle: ((answer: Answer) => void) | undefined

  constructor(file: string, name: ContestantName, target: Target) {
    this.name = name
    this.target = target
    const isOnNode = isOnNodeSqlite(name)
    const env = { ...process.env, NODE_ENV: 'production', DATABASE: '', DATA_DIR: '', BENCH_SQLITE: isOnNode ? 'node:sqlite' : '' }
    // With BENCH_PROFILE each worker writes a .cpuprofile into that directory when it ends.
    const profile = process.env.BENCH_PROFILE
      ? [
          '--cpu-prof',
          `--cpu-prof-dir=${process.env.BENCH_PROFILE}`,
          `--cpu-prof-name=${target.dialect}-${name.replaceAll(/[ :]/g, '-')}.cpuprofile`
        ]
      : []
    // Not 'advanced', whose form differs between versions of Node.js.
    this.#child = fork(file, [], { env, execArgv: ['--expose-gc', ...profile], ...(isOnNode && { execPath: nodeWithSqlite() as string }) })
    this.#child.on('message', answer => this.#settle?.(answer as Answer))
    this.#child.on('exit', status => this.#settle?.({ error: `its process ended with status ${status}` }))
  }

  async call<C extends keyof Commands>(command: C, ...parameters: Parameters<Commands[C]>): Promise<Awaited<ReturnType<Commands[C]>>> {
    const answer = await new Promise<Answer>(resolve => {
      this.#settle = resolve
      this.#child.send({ command, parameters })
    })
    this.#settle = undefined
    if (answer.error === undefined) return answer.result as Awaited<ReturnType<Commands[C]>>
    throw new Error(`${this.name} on ${this.target.dialect}, ${command} ${String(parameters[0] ?? '')}: ${answer.error}`)
  }

  async open(): Promise<void> {
    await this.call('open', this.name, this.target)
  }

  async close(): Promise<void> {
    const ended = new Promise(resolve => this.#child.once('exit', resolve))
    await this.call('close')
    await ended
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}
