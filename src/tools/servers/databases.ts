/** Databases of one's own on a server: for tests, and for what a tool tries out. */
import type { Client } from 'pg'
import { connect } from './connect.ts'

/** What the types of pg lack. */
interface Referenced extends Client {
  ref(): void
  unref(): void
}

export interface OwnDatabase {
  readonly name: string
  readonly url: string
  /** Ends the sessions of the database, and drops it. */
  drop(): Promise<void>
}

/** A server on which databases may be created, over one connection that does not keep the process alive. */
export class DatabaseServer {
  readonly #url: string
  #client: Promise<Referenced> | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(url: string) {
    this.#url = url
  }

  /** @param options what follows the name in CREATE DATABASE */
  async create(name: string, options = ''): Promise<OwnDatabase> {
    await this.query(`CREATE DATABASE ${name} ${options}`)
    return { name, url: this.urlOf(name), drop: () => this.#drop(name) }
  }

  async #drop(name: string): Promise<void> {
    // WITH (FORCE) does so too, from Postgres 13 on.
    await this.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}' AND pid <> pg_backend_pid()`)
    await this.query(`DROP DATABASE IF EXISTS ${name}`)
  }

  urlOf(name: string): string {
    const own = new URL(this.#url)
    own.pathname = `/${name}`
    return own.href
  }

  /** Runs statements one after another, however many callers there are. */
  query(text: string): Promise<Record<string, unknown>[]> {
    const rows = this.#last.then(() => this.#query(text))
    this.#last = rows.catch(() => undefined)
    return rows
  }

  async #query(text: string): Promise<Record<string, unknown>[]> {
    this.#client ??= this.#connect()
    const client = await this.#client
    client.ref()
    try {
      return (await client.query(text)).rows
    } finally {
      client.unref()
    }
  }

  async close(): Promise<void> {
    const client = await this.#client?.catch(() => undefined)
    client?.ref()
    await client?.end()
  }

  /** A failure, and the end of a connection, are not remembered. */
  async #connect(): Promise<Referenced> {
    const forget = () => {
      this.#client = undefined
    }
    try {
      const client = (await connect(this.#url)) as Referenced
      client.once('end', forget)
      return client
    } catch (error) {
      forget()
      throw error
    }
  }
}
