/**
 * One private Postgres server for all processes of a test run. The first process starts a keeper, which starts the
 * server. Every process holds a connection to the keeper as long as it lives; when the last connection has ended, also
 * by SIGKILL, the keeper ends the server.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** How long a server may take to start, in ms. */
const START_LIMIT = 60_000

/** What the keeper sends to each process that connects: one line of JSON. */
export type Answer = { readonly url: string } | { readonly problem: string }

/** Returns the URL of the run's server, which is started where there is none. It lasts as long as this process. */
export async function sharedPostgres(): Promise<string> {
  const path = socketPath()
  let hasKeeper = false
  for (const deadline = Date.now() + START_LIMIT; Date.now() < deadline; ) {
    const answer = await askKeeper(path)
    if (answer !== undefined) {
      if ('problem' in answer) throw new Error(answer.problem)
      return answer.url
    }
    if (!hasKeeper) startKeeper(path)
    hasKeeper = true
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error(`No Postgres server has started within ${START_LIMIT} ms. To use one that runs, set TEST_PG_URL.`)
}

/** Runs share a server when they are of one user, in one directory, and look for Postgres in the same places. */
function socketPath(): string {
  const places = [process.cwd(), process.env.PG_BIN, process.env.PG_EMBEDDED]
  const name = createHash('sha256').update(JSON.stringify(places)).digest('hex').slice(0, 16)
  if (process.platform === 'win32') return `\\\\.\\pipe\\duolect-testing-${userInfo().username}-${name}`
  const directory = join(tmpdir(), `duolect-testing-${userInfo().uid}`)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  return join(directory, name)
}

/** Connects to the keeper and returns its answer; undefined when there is no keeper. */
function askKeeper(path: string): Promise<Answer | undefined> {
  return new Promise(resolve => {
    const socket = connect(path)
    let text = ''
    socket.on('data', data => {
      text += data
      if (!text.endsWith('\n')) return
      // The connection stays open and does not keep this process alive.
      socket.unref()
      resolve(JSON.parse(text) as Answer)
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(undefined))
  })
}

function startKeeper(path: string): void {
  const isSource = import.meta.url.endsWith('.ts')
  const keeper = fileURLToPath(new URL(isSource ? './keeper.ts' : './tools/servers/keeper.js', import.meta.url))
  const options = isSource ? ['--import', 'tsx'] : []
  spawn(process.execPath, [...options, keeper, path], { detached: true, stdio: 'ignore' }).unref()
}
