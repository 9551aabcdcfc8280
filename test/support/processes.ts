/** Child processes that run a piece of TypeScript with the tests' own loader. */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')

export interface Finished {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
}

/** Starts a file of this directory, with a value that it reads from `process.argv[2]` as JSON. */
export function start(file: string, argument: unknown, env: NodeJS.ProcessEnv = {}): ChildProcess {
  const path = join(import.meta.dirname, file)
  return spawn(process.execPath, ['--import', 'tsx', path, JSON.stringify(argument)], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe']
  })
}

/** Resolves when the process has ended, with all that it printed. */
export function finished(child: ChildProcess): Promise<Finished> {
  let output = ''
  child.stdout?.on('data', data => (output += data))
  child.stderr?.on('data', data => (output += data))
  return new Promise(resolve => child.once('close', (status, signal) => resolve({ status, signal, output })))
}
