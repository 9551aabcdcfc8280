/**
 * An HTTP server that keeps notes, on SQLite or Postgres: `POST /notes` with a body, `GET /notes?before=ID`, `GET /health`.
 * SIGTERM and SIGINT let it finish its requests, close the database, and end.
 *
 * Environment: PORT; DATABASE=postgres and DATABASE_URL, or DATA_DIR for SQLite.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { createDatabase, DatabaseError } from 'duolect'
import { addNote, migrations, notes } from './notes.ts'

const db = createDatabase()

async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
  const route = `${request.method} ${pathname}`
  if (route === 'GET /health') {
    await db.one('SELECT 1 AS one')
    send(response, 200, { dialect: db.dialect })
  } else if (route === 'POST /notes') {
    const body = await text(request)
    if (body === '') send(response, 400, { error: 'The body is empty.' })
    else send(response, 201, await addNote(db, body))
  } else if (route === 'GET /notes') {
    const before = searchParams.get('before')
    if (before !== null && !/^\d{1,15}$/.test(before)) send(response, 400, { error: '"before" must be the id of a note.' })
    else send(response, 200, await notes(db, before === null ? undefined : Number(before)))
  } else {
    send(response, 404, { error: 'There is no such page.' })
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  // A response after SIGTERM ends its connection, so that the server can end.
  if (isStopping) response.setHeader('connection', 'close')
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

const server = createServer((request, response) => {
  respond(request, response).catch((error: unknown) => {
    console.error(error)
    // Others hold a lock, or the server cannot be reached: nothing was stored, so the client may try again.
    const isRetryable = error instanceof DatabaseError && error.isRetryable
    if (response.headersSent) response.destroy()
    else send(response, isRetryable ? 503 : 500, { error: isRetryable ? 'Try again.' : 'Something went wrong.' })
  })
})

// Before the first request, so that what is wrong with the database shows at the start.
await db.migrate('notes', migrations)
server.listen(Number(process.env.PORT ?? 3000), () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on port ${port}, ${db.dialect} at ${db.location}`)
})

let isStopping = false

function stop(): void {
  if (isStopping) return
  isStopping = true
  // Takes no new connections, ends idle ones, and waits for the requests that run.
  server.close(() => {
    void db.close()
  })
}

process.on('SIGTERM', stop)
process.on('SIGINT', stop)
