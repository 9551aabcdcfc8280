/** Short links in a table of their own. Works on a database and on a transaction, of SQLite and of Postgres. */
import { type Handle, type Migration, sql } from 'duolect'

export const migrations: Migration[] = [
  {
    name: '0001-links',
    sqlite: 'CREATE TABLE links (id TEXT PRIMARY KEY, url TEXT NOT NULL, visits INTEGER NOT NULL DEFAULT 0)',
    postgres: 'CREATE TABLE links (id TEXT PRIMARY KEY, url TEXT NOT NULL, visits INTEGER NOT NULL DEFAULT 0)'
  }
]

export interface Link {
  id: string
  url: string
  visits: number
}

/** Stores a link. An id that is taken is `unique_violation`. */
export async function addLink(db: Handle, id: string, url: string): Promise<void> {
  await db.run(sql`INSERT INTO links (id, url) VALUES (${id}, ${url})`)
}

/** Counts a visit, and returns the link; undefined without one. */
export function visitLink(db: Handle, id: string): Promise<Link | undefined> {
  return db.maybeOne<Link>(sql`UPDATE links SET visits = visits + 1 WHERE id = ${id} RETURNING id, url, visits`)
}
