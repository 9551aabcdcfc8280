import type { Row } from '../../adapter.ts'
import type { Host, PostgresSettings, TargetServer } from '../../config.ts'
import { DatabaseError, messageOf } from '../../errors.ts'
import { isConnectionLost, POOLER_ADVICE, postgresError } from './errors.ts'
import { type PostgresValue, types } from './values.ts'

// What is used of pg --------------------------------------------------------------------------------------------

interface NativeResult {
  /** The first word of the command's tag, such as `UPDATE`; null for an empty text. */
  readonly command: string | null
  readonly rowCount: number | null
  readonly rows: Row[]
  readonly fields: readonly { readonly name: string }[]
}

/** The answer to a statement, and whether a transaction was open after it. */
export interface Answer extends Pick<NativeResult, 'command' | 'rowCount' | 'rows'> {
  readonly columns: readonly string[]
  readonly inTransaction: boolean
}

interface NativeQuery {
  text: string
  values?: PostgresValue[]
  name?: string
  queryMode?: 'extended'
}

interface NativeStream {
  destroy(error?: Error): void
}

type AuthenticationEvent = 'authenticationCleartextPassword' | 'authenticationMD5Password' | 'authenticationOk'

interface NativeConnection {
  readonly stream: NativeStream
  connect(port: number | string, host?: string): void
  on(event: 'connect' | 'sslconnect' | 'error' | 'readyForQuery' | AuthenticationEvent, listener: () => void): void
  on(event: 'authenticationSASL', listener: (message: { readonly mechanisms: readonly string[] }) => void): void
  requestSsl(): void
  cancel(processId: number, secretKey: number): void
}

interface NativeClient {
  readonly connection: NativeConnection
  readonly processID: number
  readonly secretKey: number
  connect(): Promise<unknown>
  query(query: NativeQuery, callback: (error: Error | null, result: NativeResult) => void): void
  on(event: 'error' | 'end', listener: () => void): void
  /** `I` outside of a transaction, `T` inside, `E` inside one that failed. */
  getTransactionStatus(): string | null
  ref(): void
  unref(): void
  end(): Promise<void>
}

export type NativeConstructor = new (config: Record<string, unknown>) => NativeClient

/** What of a client's configuration is looked at again. */
export interface ClientConfig {
  readonly host: string
  readonly port: number
  readonly ssl: false | Record<string, unknown>
  readonly [name: string]: unknown
}

// How to connect ------------------------------------------------------------------------------------------------

/** What a client of `pg` is made with. Each setting is given, since `pg` would else look at PGHOST and its like. */
export async function clientConfig(settings: PostgresSettings, { host, port }: Host): Promise<ClientConfig> {
  const { user, password, database, applicationName, timeouts } = settings
  return {
    host,
    port,
    user,
    password: () => askPassword(password),
    database,
    application_name: applicationName,
    client_encoding: 'UTF8',
    connectionTimeoutMillis: timeouts.connect,
    keepAlive: true,
    ssl: await tlsOptions(settings),
    enableChannelBinding: settings.channelBinding !== 'disable',
    types,
    // Statements of a transaction are sent one behind the other, without waiting for answers in between.
    pipeline: true,
    options: startupOptions(settings)
  }
}

/** A password that a function makes may be of another type, which `pg` would send as it is. */
async function askPassword(password: () => string | Promise<string>): Promise<string> {
  let answer: unknown
  try {
    answer = await password()
  } catch (error) {
    throw new DatabaseError('invalid_authorization', 'the function of "postgres.password" failed', { cause: error })
  }
  if (typeof answer === 'string') return answer
  throw new DatabaseError('invalid_authorization', `the function of "postgres.password" must return a string, got ${typeof answer}`)
}

/**
 * What ends a transaction whose client was frozen or cut off, so that its locks do not stay. Servers before 9.6 do not
 * know it, and refuse who names it.
 */
const IDLE_TIMEOUT = 'idle_in_transaction_session_timeout'

/** Settings of servers that do not know the parameter. */
const withoutIdleTimeout = new WeakSet<PostgresSettings>()

function hasIdleTimeout(settings: PostgresSettings): boolean {
  return settings.timeouts.query > 0 && !settings.pooler && !withoutIdleTimeout.has(settings)
}

/** The settings of a transaction that may idle, as one whose rows are read at leisure. */
export function mayIdle(settings: PostgresSettings): string {
  return hasIdleTimeout(settings) ? `; SET LOCAL ${IDLE_TIMEOUT} = 0` : ''
}

/** How long the server gets to end a statement by itself, and again after we have cancelled it, in ms. */
const MAX_GRACE = 5_000

/** The longest that a timer of Node waits. */
const MAX_TIMER = 2 ** 31 - 1

/**
 * The session's settings, so that texts mean the same everywhere: times are UTC, floats keep all digits. A pooler
 * refuses them, so there the server's own settings hold.
 */
function startupOptions(settings: PostgresSettings): string | undefined {
  const { pooler, options, timeouts } = settings
  if (pooler) return options
  const own = {
    TimeZone: 'UTC',
    DateStyle: 'ISO',
    IntervalStyle: 'postgres',
    extra_float_digits: 3,
    bytea_output: 'hex',
    statement_timeout: timeouts.query,
    lock_timeout: timeouts.lock,
    // Later than the client itself, which ends it with a better error when it can.
    ...(hasIdleTimeout(settings) && { [IDLE_TIMEOUT]: limitOf(timeouts.query) })
  }
  const text = Object.entries(own).map(([name, value]) => `-c ${name}=${value}`)
  return [...text, ...(options ? [options] : [])].join(' ')
}

/** A limit that is later than `query` by the grace time, for the side that ends a statement only if the other did not. */
function limitOf(query: number): number {
  return Math.min(query + graceOf(query), MAX_TIMER)
}

function graceOf(query: number): number {
  return Math.min(MAX_GRACE, query)
}

async function tlsOptions({ tls, ca, cert, key }: PostgresSettings): Promise<false | Record<string, unknown>> {
  if (tls === 'disable') return false
  const own = {
    ...(cert !== undefined && { cert: await readCertificate(cert, "the client's certificate", 'postgres.cert, PG_SSL_CERT or sslcert') }),
    ...(key !== undefined && { key: await readPem(key, "the client's key", 'postgres.key, PG_SSL_KEY or sslkey') })
  }
  if (tls === 'no-verify') return { ...own, rejectUnauthorized: false }
  return {
    ...own,
    rejectUnauthorized: true,
    ...(ca !== undefined && { ca: await readCertificate(ca, 'the certificate authority', 'postgres.ca, PG_SSL_CA or sslrootcert') }),
    ...(tls === 'verify-ca' && { checkServerIdentity: () => undefined })
  }
}

/** Checks the certificate, since Node silently accepts a file without one, and then trusts no server. */
async function readCertificate(given: string, what: string, setting: string): Promise<string> {
  const text = await readPem(given, what, setting)
  const { X509Certificate } = await import('node:crypto')
  try {
    new X509Certificate(text)
    return text
  } catch (error) {
    throw unreadable(given, what, setting, error)
  }
}

/** Returns PEM text, which is given itself or by its file's path. */
async function readPem(given: string, what: string, setting: string): Promise<string> {
  if (isPem(given)) return given
  // Loaded where it is used: it takes longer than the rest of a cold start here.
  const { readFile } = await import('node:fs/promises')
  try {
    return await readFile(given, 'utf8')
  } catch (error) {
    throw unreadable(given, what, setting, error)
  }
}

function isPem(given: string): boolean {
  return given.includes('-----BEGIN')
}

function unreadable(given: string, what: string, setting: string, error: unknown): DatabaseError {
  return new DatabaseError(
    'invalid_configuration',
    `Cannot read the ${isPem(given) ? 'text' : 'file'} of ${what} (${setting}): ${messageOf(error)}. Give PEM text or a file's path.`,
    { cause: error }
  )
}

/** The error for a server that could not be reached, with what to do. */
export function explainConnecting(error: unknown, settings: PostgresSettings): DatabaseError {
  const isMissing = isPasswordMissing(messageOf(error))
  const known = isMissing ? new DatabaseError('invalid_authorization', messageOf(error), { cause: error }) : postgresError(error)
  const reason = error instanceof AggregateError ? error.errors.map(messageOf).join('; ') : messageOf(error)
  const isServers = known.code !== 'connection_failure'
  const text = isServers ? known.message : reason || (error as { code?: string }).code || 'no reason was given'
  return new DatabaseError(
    known.code,
    `Cannot connect to ${settings.location}: ${text.replace(/\.$/, '')}.${advise(error, reason, settings)}`,
    {
      cause: isServers ? known.cause : error,
      isRetryable: known.code === 'connection_failure' || known.code === 'too_many_connections'
    }
  )
}

/** `pg` itself refuses to answer a server that wants a password where none is given. */
function isPasswordMissing(reason: string): boolean {
  return /client password must be/.test(reason)
}

function advise(error: unknown, reason: string, settings: PostgresSettings): string {
  const code = String((error as { code?: unknown } | null)?.code)
  if (/SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY)|CERT_SIGNATURE_FAILURE/.test(code)) {
    return (
      " The server's certificate is not signed by an authority that is known here: give the authority's certificate as " +
      '"postgres.ca" (PG_SSL_CA), or, as Heroku needs it, set "postgres.ssl" (PG_SSL) to "no-verify".'
    )
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return ' Use the host name that the certificate names, or set "postgres.ssl" to "verify-ca".'
  if (/^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/.test(code)) {
    return ' Renew the server\'s certificate, or look at this machine\'s clock; "postgres.ssl" (PG_SSL) "no-verify" connects without looking.'
  }
  if (/does not support SSL/.test(reason)) return ' Turn TLS off with "postgres.ssl": false (PG_SSL=off), or turn it on at the server.'
  if (/no pg_hba.conf entry.*(no encryption|SSL off)/.test(reason))
    return ' The server wants TLS: set "postgres.ssl" (PG_SSL) to true, or on Heroku to "no-verify".'
  if (/no pg_hba.conf entry.*(SSL encryption|SSL on)/.test(reason))
    return ' The server\'s pg_hba.conf lets this user in from here without TLS only ("postgres.ssl": false), or not at all.'
  if (isPasswordMissing(reason)) return ' The server wants a password: set "postgres.password" (PG_PASSWORD), or give it in the URL.'
  // PgBouncer, RDS Proxy and Supabase each have their own code and words.
  if (code === '08P01' || /startup (option|parameter)|command-line options/i.test(reason))
    return settings.pooler ? ' A pooler passes no startup options on: take "options" out of the URL.' : ` ${POOLER_ADVICE}`
  if (code === '28P01' || code === '28000') return ' Check the user and the password.'
  if (code === '3D000') return ' Create the database, or name another one.'
  if (/timeout expired/.test(reason)) return ` No answer within ${settings.timeouts.connect} ms (timeouts.connect).`
  if (/ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ENOENT/.test(code) || /establishing an SSL connection/.test(reason))
    return ' Check the host and the port, and that the server runs.'
  return ''
}

// A connection --------------------------------------------------------------------------------------------------

/** A statement on its way. */
interface Sent {
  /** Called when the server is ready for the next one. */
  onReady: (() => void) | undefined
}

/** How long a server may take to answer whether it is there, in ms. */
const PING_LIMIT = 1_000

/** One connection. Statements that are issued while others run are sent at once and answered in order. */
export class Connection {
  readonly #client: NativeClient
  readonly #Native: NativeConstructor
  readonly #config: ClientConfig
  readonly #limit: number
  readonly #grace: number
  /** Why the connection was given up, where we know better than the socket. */
  #reason: DatabaseError | undefined
  #isLost = false
  /** True once a cancel request was sent: it could cancel a later statement, so the connection is not reused. */
  #isSpent = false
  /** The statements that were sent and are not answered, the oldest first; and the time that the oldest has. */
  readonly #sent: Sent[] = []
  #timer: NodeJS.Timeout | undefined

  private constructor(Native: NativeConstructor, config: ClientConfig, settings: PostgresSettings) {
    this.#Native = Native
    this.#config = config
    this.#client = new Native(config)
    // Without a listener, the death of an idle connection would end the process.
    this.#client.on('error', () => this.#lose())
    this.#client.on('end', () => this.#lose())
    this.#client.connection.on('readyForQuery', () => this.#ready())
    const { query } = settings.timeouts
    this.#grace = graceOf(query)
    // The server ends a statement by itself at its limit; a pooler does not pass that limit on.
    this.#limit = settings.pooler ? Math.min(query, MAX_TIMER) : limitOf(query)
  }

  /** Connects to the first of the servers that answers and is of the wanted kind. */
  static async open(Native: NativeConstructor, settings: PostgresSettings): Promise<Connection> {
    const failures: DatabaseError[] = []
    // prefer-standby takes any server when there is no standby.
    const wanted: TargetServer[] = settings.targetServer === 'prefer-standby' ? ['standby', 'any'] : [settings.targetServer]
    for (const target of wanted) {
      for (const host of settings.hosts) {
        try {
          return await Connection.#openAt(Native, settings, host, target)
        } catch (error) {
          failures.push(explainConnecting(error, settings))
        }
      }
    }
    // That a server is of the other kind says less than why one could not be reached.
    throw failures.find(({ code }) => code !== 'read_only') ?? failures[0]
  }

  static async #openAt(Native: NativeConstructor, settings: PostgresSettings, host: Host, target: TargetServer): Promise<Connection> {
    const hasLimit = hasIdleTimeout(settings)
    const connection = new Connection(Native, await clientConfig(settings, host), settings)
    try {
      if (settings.channelBinding === 'require') connection.#requireChannelBinding()
      await connection.#client.connect()
      await connection.#assertIs(target)
      return connection
    } catch (error) {
      connection.destroy()
      if (connection.#reason !== undefined) throw connection.#reason
      const isUnknown = (error as { code?: unknown }).code === '42704' && messageOf(error).includes(IDLE_TIMEOUT)
      if (!hasLimit || !isUnknown) throw error
      withoutIdleTimeout.add(settings)
      return Connection.#openAt(Native, settings, host, target)
    }
  }

  /** Refuses a server that would authenticate without a binding to the TLS connection, before a password is sent. */
  #requireChannelBinding(): void {
    const { connection } = this.#client
    let isBound = false
    const refuse = () => {
      if (isBound) return
      this.#reason = new DatabaseError(
        'invalid_authorization',
        'the server offers no channel binding, but the URL has channel_binding=require'
      )
      this.destroy()
    }
    connection.on('authenticationSASL', ({ mechanisms }) => {
      isBound = mechanisms.includes('SCRAM-SHA-256-PLUS')
      refuse()
    })
    for (const event of ['authenticationCleartextPassword', 'authenticationMD5Password', 'authenticationOk'] as const)
      connection.on(event, refuse)
  }

  /** Fails when the server is not of the kind that `target_session_attrs` wants. */
  async #assertIs(target: TargetServer): Promise<void> {
    if (target === 'any') return
    const isByWrites = target === 'read-write' || target === 'read-only'
    const { rows } = await this.query(isByWrites ? 'SHOW transaction_read_only' : 'SELECT pg_is_in_recovery() AS is_standby', [], undefined)
    const kind = isByWrites
      ? rows[0]?.transaction_read_only === 'off'
        ? 'read-write'
        : 'read-only'
      : rows[0]?.is_standby === true
        ? 'standby'
        : 'primary'
    if (kind === target) return
    const what = { 'read-write': 'takes writes', 'read-only': 'takes no writes', standby: 'is a standby', primary: 'is the primary' }[kind]
    throw new DatabaseError('read_only', `the server ${what}, but target_session_attrs wants ${target}`)
  }

  /** True if the connection is closed or broken. */
  get isLost(): boolean {
    return this.#isLost
  }

  /** True if the pool may hand it out again. */
  get isReusable(): boolean {
    return !this.#isLost && !this.#isSpent
  }

  /** True if a transaction is open, failed or not, according to the last ReadyForQuery message. */
  get inTransaction(): boolean {
    return this.#client.getTransactionStatus() !== 'I'
  }

  /** Runs one statement. With a name it is prepared once on this connection. */
  query(text: string, values: PostgresValue[], name: string | undefined, offset = 0): Promise<Answer> {
    return this.#send(name === undefined ? { text, values, queryMode: 'extended' } : { text, values, name }, offset)
  }

  /** Runs a text of one or more statements without parameters; the server takes it as one transaction. */
  script(text: string): Promise<Answer> {
    return this.#send({ text })
  }

  async #send(query: NativeQuery, offset = 0): Promise<Answer> {
    if (this.#isLost) {
      // Nothing was sent, so outside of a transaction the call can be made again.
      throw this.#reason ?? new DatabaseError('connection_failure', 'The connection to Postgres was lost.', { isRetryable: true })
    }
    try {
      return await this.#ask(query)
    } catch (error) {
      if (isConnectionLost(error)) this.destroy()
      throw this.#isLost && this.#reason !== undefined ? this.#reason : postgresError(error, query.text, offset)
    }
  }

  #ask(query: NativeQuery): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const statement: Sent = { onReady: undefined }
      this.#sent.push(statement)
      if (this.#sent.length === 1) this.#startTimer()
      this.#client.query(query, (error, result) => {
        // An error comes before the server says what became of the transaction.
        if (error && !this.#isLost) statement.onReady = () => reject(error)
        else if (error) reject(error)
        else resolve(this.#answerOf(result))
      })
    })
  }

  #answerOf({ command, rowCount, rows, fields }: NativeResult): Answer {
    // A script of several statements has an array of results here, of which nothing is read.
    return { command, rowCount, rows, columns: fields?.map(({ name }) => name) ?? [], inTransaction: this.inTransaction }
  }

  /** The server has answered the oldest of the statements that were sent; the next one's time begins. */
  #ready(): void {
    clearTimeout(this.#timer)
    this.#sent.shift()?.onReady?.()
    if (this.#sent.length > 0) this.#startTimer()
  }

  #startTimer(): void {
    if (this.#limit > 0) this.#timer = setTimeout(() => this.#exceeded(), this.#limit)
  }

  /** A statement got no answer in time: it is cancelled on the server, and the connection given up if that does not help. */
  #exceeded(): void {
    const [statement] = this.#sent
    this.#isSpent = true
    this.#cancel(statement)
    this.#timer = setTimeout(() => {
      this.#reason = new DatabaseError(
        'connection_failure',
        'Postgres did not answer within the limit (timeouts.query), nor after the statement was cancelled; the connection was closed. ' +
          'What was sent may have taken effect or not.'
      )
      this.destroy()
    }, this.#grace)
  }

  /** Asks the server, over a connection of its own, to end what runs on this one. */
  #cancel(statement: Sent | undefined): void {
    const { connection } = new this.#Native(this.#config)
    const { host, port, ssl } = this.#config
    const send = () => {
      if (this.#sent[0] === statement) connection.cancel(this.#client.processID, this.#client.secretKey)
      else connection.stream.destroy()
    }
    connection.on('connect', () => (ssl === false ? send() : connection.requestSsl()))
    connection.on('sslconnect', send)
    connection.on('error', () => undefined)
    if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
    else connection.connect(port, host)
    setTimeout(() => connection.stream.destroy(), this.#grace).unref()
  }

  #lose(): void {
    this.#isLost = true
    clearTimeout(this.#timer)
    for (const { onReady } of this.#sent.splice(0)) onReady?.()
  }

  /** Sends an empty query and returns true if the server answers within PING_LIMIT. A dead socket may not report an error. */
  async isAlive(): Promise<boolean> {
    const timer = setTimeout(() => this.destroy(), PING_LIMIT)
    try {
      await this.script('')
    } catch {
      this.destroy()
    } finally {
      clearTimeout(timer)
    }
    return !this.#isLost
  }

  /** Lets the process end while the connection is idle. */
  unref(): void {
    this.#client.unref()
  }

  ref(): void {
    this.#client.ref()
  }

  /** Sends Terminate and closes the socket, after PING_LIMIT at the latest. */
  async close(): Promise<void> {
    this.#lose()
    // Keeps the process alive until Terminate is sent.
    this.ref()
    // A peer that is gone never closes its side of the socket.
    const timer = setTimeout(() => this.destroy(), PING_LIMIT)
    // An error means that the socket is closed already.
    await this.#client.end().catch(() => undefined)
    clearTimeout(timer)
  }

  /** Closes the socket at once, without sending Terminate. */
  destroy(): void {
    this.#lose()
    this.#client.connection.stream.destroy()
  }
}
