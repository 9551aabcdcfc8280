/** Keeps the server of a test run: see shared.ts. Started with the path of the socket that it listens on. */
import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { findOrStartPostgres } from './postgres.ts'
import type { Answer } from './shared.ts'

/** How long to wait for the next process, in ms, as a run may start its files one after another. */
const LINGER = 3_000
/** How long to wait for the first one. */
const FIRST_LINGER = 30_000

const path = process.argv[2] as string
let stop: () => Promise<void> = async () => undefined

const answer: Promise<Answer> = findOrStartPostgres(undefined).then(
  server => {
    stop = server.stop
    return { url: server.url }
  },
  error => ({ problem: String(error.message) })
)

let connections = 0
let timer = setTimeout(end, FIRST_LINGER)

const listener = createServer(socket => {
  connections++
  clearTimeout(timer)
  socket.on('error', () => undefined)
  socket.on('close', () => {
    connections--
    if (connections === 0) timer = setTimeout(end, LINGER)
  })
  // Data that nobody reads would keep the end of the connection from being seen.
  socket.resume()
  void answer.then(known => socket.write(`${JSON.stringify(known)}\n`))
})

async function end(): Promise<void> {
  listener.close()
  await answer
  await stop()
  process.exit()
}

let hasTried = false
listener.on('error', error => {
  // The socket of a keeper that was killed is still there. Of two keepers that start at once, the second one ends.
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || hasTried || process.platform === 'win32') void end()
  hasTried = true
  rmSync(path, { force: true })
  listener.listen(path)
})
listener.listen(path)
