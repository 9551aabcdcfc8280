import type { Client } from 'pg'

/** A package is needed that is not installed. */
export class MissingPackage extends Error {}

/** Opens a connection of its own. Loads `pg` on demand, so that commands which need no Postgres run without it. */
export async function connect(url: string): Promise<Client> {
  const { default: pg } = await import('pg').catch(error => {
    throw new MissingPackage('This command asks Postgres, and the package "pg" is missing. Run: npm install --save-dev pg', {
      cause: error
    })
  })
  const client = new pg.Client({ connectionString: url })
  // Otherwise a connection that breaks while it is idle ends the process.
  client.on('error', () => undefined)
  await client.connect()
  return client
}
