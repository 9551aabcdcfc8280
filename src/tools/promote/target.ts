/**
 * The Postgres side: one connection of its own, and what its catalogue says.
 *
 * - COPY needs the simple protocol; through the extended one it would hang.
 * - Every setting is SET LOCAL in each transaction, so that a pooler in front of the server changes nothing.
 * - No statement has a time limit: verifying a large table takes as long as it takes.
 */
import type { Writable } from 'node:stream'
import type { PostgresSettings } from '../../config.ts'
import { requirePackage } from '../../drivers/package.ts'
import { clientConfig, explainConnecting } from '../../drivers/postgres/connection.ts'
import { DatabaseError, messageOf } from '../../errors.ts'
import type { TargetType } from './kinds.ts'
import { quoteName, quoteText } from './quote.ts'

// What is used of pg --------------------------------------------------------------------------------------------------

/** A row as the server writes it. */
export type TextRow = (string | null)[]

interface NativeConnection {
  readonly stream: Writable
  query(text: string): void
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
  sendCopyFail(message: string): void
}

/** What `pg` calls back on a query of another class. */
interface Submittable {
  submit(connection: NativeConnection): void
  handleCopyInResponse(connection: NativeConnection): void
  handleCommandComplete(): void
  handleError(error: Error): void
  handleReadyForQuery(): void
}

interface NativeClient {
  readonly connection: NativeConnection
  connect(): Promise<unknown>
  query(query: { text: string; rowMode: 'array' }): Promise<{ rows: TextRow[] }>
  query(query: Submittable): unknown
  on(event: 'error' | 'end', listener: () => void): void
  end(): Promise<void>
}

type NativeConstructor = new (config: Record<string, unknown>) => NativeClient

async function loadDriver(): Promise<NativeConstructor> {
  try {
    const pg =
      requirePackage<{ Client: NativeConstructor }>('pg') ?? ((await import('pg')).default as unknown as { Client: NativeConstructor })
    return pg.Client
  } catch (error) {
    throw new DatabaseError('missing_driver', 'Cannot load "pg", which Postgres needs. Run: npm install pg', { cause: error })
  }
}

// What is there -------------------------------------------------------------------------------------------------------

export interface TargetColumn {
  readonly name: string
  readonly type: TargetType
  readonly isNotNull: boolean
  /** True if an INSERT may leave it out. */
  readonly hasDefault: boolean
  readonly isGenerated: boolean
}

export interface TargetTable {
  readonly name: string
  /** pg_class.relkind: `r` for a table, `p` for a partitioned one. */
  readonly kind: string
  readonly columns: readonly TargetColumn[]
  /** True if `promote` made it, so that its keys and indexes are `promote`'s to make. */
  readonly isOwn: boolean
  readonly isEmpty: boolean
  /** The names of its indexes that can be used. */
  readonly indexes: readonly string[]
  /** The names of its constraints. */
  readonly constraints: readonly string[]
  /** The columns of its indexes. */
  readonly indexedColumns: readonly string[]
  /** The columns of unique indexes without a condition. */
  readonly uniqueColumns: readonly (readonly string[])[]
  /** True if more than its types, keys and plain indexes decides which rows it takes. */
  readonly hasConditions: boolean
}

/** The comment on a table that `promote` made. */
export const OWN_COMMENT = 'Made by duolect promote.'

/** What SET LOCAL makes the same everywhere, so that values are printed as the kinds expect it. */
const SETTINGS = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  extra_float_digits: '2',
  bytea_output: 'hex',
  standard_conforming_strings: 'on',
  statement_timeout: '0',
  lock_timeout: '0',
  client_min_messages: 'warning'
}

/** A property of the server, in a statement that older ones take too. */
const IDLE_TIMEOUT = "SELECT set_config('idle_in_transaction_session_timeout', '0', TRUE)"

/** Has the server notice within a second that a killed client is gone, so that the next run finds no locks of it. */
const CHECK_INTERVAL = "SELECT set_config('client_connection_check_interval', '1s', TRUE)"

export class Target {
  readonly location: string
  /** Such as 150004. */
  readonly version: number
  /** The schema that the tables are in. */
  readonly schema: string
  readonly #client: NativeClient

  private constructor(client: NativeClient, location: string, version: number, schema: string) {
    this.#client = client
    this.location = location
    this.version = version
    this.schema = schema
  }

  /**
   * Connects to the first server that answers and takes writes.
   *
   * @param schema the schema to use; without one that of the search path
   */
  static async connect(settings: PostgresSettings, schema: string | undefined): Promise<Target> {
    const Native = await loadDriver()
    const failures: unknown[] = []
    for (const host of settings.hosts) {
      const client = new Native({
        ...(await clientConfig(settings, host)),
        pipeline: false,
        connectionTimeoutMillis: settings.timeouts.connect,
        types: { getTypeParser: () => (text: string) => text }
      })
      // Without a listener, a connection that breaks would end the process.
      client.on('error', () => undefined)
      try {
        await client.connect()
        return await Target.#inspect(client, settings.location, schema)
      } catch (error) {
        client.connection.stream.destroy()
        failures.push(error instanceof DatabaseError ? error : explainConnecting([{ host, error }], settings))
      }
    }
    throw failures.find(error => !(error instanceof DatabaseError && error.code === 'read_only')) ?? failures[0]
  }

  static async #inspect(client: NativeClient, location: string, schema: string | undefined): Promise<Target> {
    const { rows } = await client.query({
      text:
        "SELECT current_setting('server_version_num'), current_setting('server_encoding'), " +
        "current_setting('transaction_read_only'), current_schema()",
      rowMode: 'array'
    })
    const [version, encoding, isReadOnly, current] = rows[0] as TextRow
    if (isReadOnly === 'on') throw new DatabaseError('read_only', `${location} takes no writes; name its primary.`)
    if (encoding !== 'UTF8') {
      throw new DatabaseError(
        'invalid_configuration',
        `The database at ${location} has the encoding ${encoding}; promote needs one with UTF8.`
      )
    }
    if (schema === undefined && current === null) {
      throw new DatabaseError('invalid_configuration', `The search path at ${location} leads to no schema; name one with --schema.`)
    }
    return new Target(client, location, Number(version), schema ?? (current as string))
  }

  /** Returns the name of a table or an index with its schema. */
  qualify(name: string): string {
    return `${quoteName(this.schema)}.${quoteName(name)}`
  }

  /** Runs one statement, or several without rows. */
  async query(text: string): Promise<TextRow[]> {
    return (await this.#client.query({ text, rowMode: 'array' })).rows ?? []
  }

  /** Does the work in a transaction, which is rolled back when it fails. */
  async transaction<T>(work: () => Promise<T>): Promise<T> {
    await this.begin()
    try {
      const result = await work()
      await this.query('COMMIT')
      return result
    } catch (error) {
      // What failed says more than a ROLLBACK on a connection that is gone.
      await this.query('ROLLBACK').catch(() => undefined)
      throw error
    }
  }

  async begin(): Promise<void> {
    const settings = Object.entries(SETTINGS).map(([name, value]) => `SET LOCAL ${name} = ${quoteText(value)}`)
    await this.query(
      [
        'BEGIN ISOLATION LEVEL READ COMMITTED',
        ...settings,
        ...(this.version >= 90_600 ? [IDLE_TIMEOUT] : []),
        ...(this.version >= 140_000 ? [CHECK_INTERVAL] : [])
      ].join('; ')
    )
  }

  /** Does the work, and undoes it. Returns the error that it failed with. */
  async attempt(work: () => Promise<unknown>): Promise<Error | undefined> {
    await this.query('SAVEPOINT duolect_attempt')
    try {
      await work()
      await this.query('RELEASE duolect_attempt')
      return undefined
    } catch (error) {
      await this.query('ROLLBACK TO duolect_attempt')
      return error as Error
    }
  }

  /** Runs COPY … FROM STDIN with what the source yields. Ends when the source has ended, too. */
  copy(text: string, source: AsyncIterable<Buffer>): Promise<void> {
    return new Promise((resolve, reject) => {
      let failure: unknown
      let sending: Promise<void> = Promise.resolve()
      const finish = () => void sending.then(() => (failure === undefined ? resolve() : reject(failure)))
      const query: Submittable = {
        submit: connection => connection.query(text),
        handleCopyInResponse(connection) {
          sending = send(connection, source, () => failure !== undefined).catch(error => {
            failure ??= error
            connection.sendCopyFail('the source failed')
          })
        },
        handleCommandComplete: () => undefined,
        // After an error, `pg` tells a query no more, not even that the server is ready.
        handleError(error) {
          failure ??= error
          finish()
        },
        handleReadyForQuery: finish
      }
      this.#client.query(query)
    })
  }

  /** Reads the tables of these names, and the views and the like that have them. */
  async tables(names: readonly string[]): Promise<Map<string, TargetTable>> {
    if (names.length === 0) return new Map()
    const list = names.map(quoteText).join(', ')
    const from = `FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ${quoteText(this.schema)} AND c.relname IN (${list})`
    const found = await this.query(`SELECT c.oid, c.relname, c.relkind, obj_description(c.oid, 'pg_class') ${from}`)
    const tables = new Map<string, TargetTable>()
    for (const [oid, name, kind, comment] of found)
      tables.set(name as string, await this.#table(oid as string, name as string, kind as string, comment ?? ''))
    return tables
  }

  async #table(oid: string, name: string, kind: string, comment: string): Promise<TargetTable> {
    const isTable = kind === 'r' || kind === 'p'
    const generated = this.version >= 120_000 ? "a.attgenerated <> ''" : 'FALSE'
    const identity = this.version >= 100_000 ? "a.attidentity <> ''" : 'FALSE'
    const columns = await this.query(
      `SELECT a.attname, t.typname, a.atttypmod, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef OR ${identity}, ${generated}, ` +
        '(SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) ' +
        `FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = ${oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`
    )
    const indexes = await this.query(
      `SELECT c.relname, i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL, ` +
        '(SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)) ' +
        `FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = ${oid} AND i.indisvalid`
    )
    const constraints = await this.query(`SELECT conname FROM pg_constraint WHERE conrelid = ${oid}`)
    const [conditions] = await this.query(
      `SELECT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = ${oid} AND contype IN ('c', 'x')) ` +
        `OR EXISTS (SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam WHERE i.indrelid = ${oid} ` +
        `AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL OR m.amname <> 'btree')) ` +
        `OR (SELECT relrowsecurity FROM pg_class WHERE oid = ${oid}) ` +
        // Partitions by hash take every row, where none of them is missing.
        `OR ${kind === 'p' ? `NOT (SELECT coalesce(sum(1.0 / substring(pg_get_expr(c.relpartbound, c.oid) FROM 'modulus (d+)')::NUMERIC), 0) > 0.9999 FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = ${oid} AND c.relkind = 'r')` : 'FALSE'}`
    )
    const first = isTable ? await this.query(`SELECT 1 FROM ${this.qualify(name)} LIMIT 1`) : []
    return {
      name,
      kind,
      columns: columns.map(([column, type, modifier, written, isNotNull, hasDefault, isGenerated, labels]) => ({
        name: column as string,
        type: {
          name: type as string,
          modifier: Number(modifier),
          written: written as string,
          labels: labels == null ? undefined : (JSON.parse(labels) as string[])
        },
        isNotNull: isNotNull === 't',
        hasDefault: hasDefault === 't',
        isGenerated: isGenerated === 't'
      })),
      isOwn: comment === OWN_COMMENT,
      isEmpty: first.length === 0,
      indexes: indexes.map(([index]) => index as string),
      constraints: constraints.map(([constraint]) => constraint as string),
      indexedColumns: [...new Set(indexes.flatMap(([, , names]) => JSON.parse(names ?? '[]') as string[]))],
      hasConditions: conditions?.[0] === 't' || columns.some(([, , , , , , isGenerated]) => isGenerated === 't'),
      uniqueColumns: indexes.filter(([, isUnique]) => isUnique === 't').map(([, , names]) => JSON.parse(names ?? '[]') as string[])
    }
  }

  async close(): Promise<void> {
    await this.#client.end().catch(() => undefined)
  }

  /** Closes the socket at once: the server rolls back what is open. */
  destroy(): void {
    this.#client.connection.stream.destroy()
  }
}

/** Sends all that the source yields, no faster than the server takes it. */
async function send(connection: NativeConnection, source: AsyncIterable<Buffer>, hasFailed: () => boolean): Promise<void> {
  for await (const chunk of source) {
    // The server drops what comes after its error, and a socket that is closed takes nothing.
    if (hasFailed() || connection.stream.destroyed) return
    connection.sendCopyFromChunk(chunk)
    if (connection.stream.writableNeedDrain) await drained(connection.stream)
  }
  connection.endCopyFrom()
}

function drained(stream: Writable): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      stream.off('drain', done)
      stream.off('close', done)
      resolve()
    }
    stream.on('drain', done)
    stream.on('close', done)
  })
}

/** What the server says, without the words that `pg` puts before it. */
export function serverMessage(error: unknown): string {
  const { code } = error as { code?: string }
  return `${messageOf(error)}${code === undefined ? '' : ` (${code})`}`
}
