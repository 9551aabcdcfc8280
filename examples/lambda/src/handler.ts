/**
 * Short links on AWS Lambda behind an HTTP API, with Postgres: `PUT /{id}` with a URL as its body, `GET /{id}` redirects.
 *
 * Environment: DATABASE=postgres, DATABASE_URL, and PG_SSL=true with PG_SSL_CA where the server is on another machine.
 */
import { createDatabase, DatabaseError } from 'duolect'
import { addLink, migrations, visitLink } from './links.ts'

/** What is used of an event of the payload format 2.0. */
export interface HttpEvent {
  readonly requestContext: { readonly http: { readonly method: string } }
  readonly pathParameters?: { readonly id?: string }
  readonly body?: string
}

export interface HttpResponse {
  readonly statusCode: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

// Outside of the handler, so that all requests of this instance share the connection. The limits are below the
// function's own, because what hits that is cut without an error.
const db = createDatabase({
  postgres: { maxConnections: 1 },
  timeouts: { connect: 3_000, acquire: 3_000, query: 5_000, lock: 2_000 }
})

// Two statements where there is nothing to run. A failure is that of the request, and the next one tries again.
let isMigrated = false

async function migrate(): Promise<void> {
  if (!isMigrated) await db.migrate('links', migrations)
  isMigrated = true
}

export async function handler({ requestContext, pathParameters, body = '' }: HttpEvent): Promise<HttpResponse> {
  const id = pathParameters?.id ?? ''
  try {
    await migrate()
    if (requestContext.http.method === 'PUT') {
      if (!URL.canParse(body)) return { statusCode: 400, body: 'The body must be a URL.' }
      await addLink(db, id, body)
      return { statusCode: 201, headers: { location: `/${id}` } }
    }
    const link = await visitLink(db, id)
    if (link === undefined) return { statusCode: 404 }
    return { statusCode: 302, headers: { location: link.url } }
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    if (error.code === 'unique_violation') return { statusCode: 409, body: 'The id is taken.' }
    // Nothing was stored, so the caller may try again.
    if (error.isRetryable) return { statusCode: 503, headers: { 'retry-after': '1' } }
    throw error
  }
}
