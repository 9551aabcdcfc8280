/**
 * A visit counter on Cloudflare Workers, with Postgres.
 *
 * A socket there belongs to the request that opened it, so each request makes a handle and closes it. Making one costs
 * nothing; connecting does, so put Hyperdrive or another pooler in front of the server.
 */
import { createDatabase, type Handle, sql } from 'duolect'

interface Environment {
  /** Of Hyperdrive's binding: `env.HYPERDRIVE.connectionString`. */
  readonly DATABASE_URL: string
}

interface Visits {
  count: number
  last: string
}

async function visit(db: Handle, page: string): Promise<Visits> {
  return db.kvs.update<Visits>(`visits ${page}`, visits => ({
    count: (visits?.count ?? 0) + 1,
    last: new Date().toISOString()
  }))
}

/** The most visited pages, without keeping more than a portion of the rows in memory. */
async function pages(db: Handle): Promise<string[]> {
  const found: string[] = []
  for await (const { key } of db.iterate<{ key: string }>(sql`SELECT key FROM kvs WHERE key LIKE ${'visits %'} ORDER BY key`)) {
    found.push(key.slice('visits '.length))
  }
  return found
}

// biome-ignore lint/style/noDefaultExport: Workers ask for one
export default {
  async fetch(request: Request, env: Environment): Promise<Response> {
    const db = createDatabase({ postgres: { enabled: true, connection: env.DATABASE_URL, pooler: true, maxConnections: 1 } })
    try {
      const { pathname } = new URL(request.url)
      if (pathname === '/pages') return Response.json(await pages(db))
      if (request.method === 'DELETE') {
        // All or none: the page and the note of who removed it.
        await db.transaction(async tx => {
          await tx.kvs.delete(`visits ${pathname}`)
          await tx.kvs.set('removed', new Date().toISOString(), [pathname])
        })
        return new Response(null, { status: 204 })
      }
      await visit(db, pathname)
      await db.kvs.set(`visits ${pathname}`, request.headers.get('user-agent'), 'agent')
      return Response.json(await db.kvs.get(`visits ${pathname}`))
    } finally {
      await db.close()
    }
  }
}
