import { clock } from '../../clock.ts'
import { type Host, loopLimitOf, type PostgresSettings, showHost, type TargetServer } from '../../config.ts'
import { copyOf, DatabaseError, messageOf } from '../../errors.ts'
import { isConnectionLost, poolerAdvice, postgresError, stateOf, unreadableError, wasUnread } from './errors.ts'
import type { Hosts } from './hosts.ts'
import {
  type BaseQueryConstructor,
  type Part,
  type QueryConstructor,
  queryClassOf,
  type Request,
  type Result,
  type SentQuery,
  type Timing
} from './query.ts'
import { type Prepared, PreparedStatements } from './statements.ts'
import type { PostgresValue } from './values.ts'

// What is used of pg --------------------------------------------------------------------------------------------

/** The answer to a statement, and whether a transaction was open after it and what was sent with it. */
export interface Answer extends Result {
  readonly inTransaction: boolean
}

type OnData = (chunk: unknown) => void

interface NativeStream {
  readonly writable: boolean
  write(data: Buffer, ...rest: unknown[]): boolean
  destroy(error?: Error): void
  listeners(event: 'data'): OnData[]
  on(event: 'data', listener: OnData): void
  removeListener(event: 'data', listener: OnData): void
}

/** What the server sends beside rows. */
type AnswerEvent = 'parseComplete' | 'noData' | 'commandComplete' | 'copyInResponse' | 'copyOutResponse'

type AuthenticationEvent = 'authenticationCleartextPassword' | 'authenticationMD5Password' | 'authenticationOk'

interface NativeConnection {
  readonly stream: NativeStream
  connect(port: number | string, host?: string): void
  on(event: 'connect' | 'sslconnect' | 'error' | 'end' | 'readyForQuery' | AnswerEvent | AuthenticationEvent, listener: () => void): void
  on(event: 'parameterStatus', listener: (message: { readonly parameterName: string; readonly parameterValue: string }) => void): void
  on(event: 'parameterDescription', listener: (message: { readonly dataTypeIDs: readonly number[] }) => void): void
  on(event: 'authenticationSASL', listener: (message: { readonly mechanisms: readonly string[] }) => void): void
  on(event: 'notice', listener: (message: { readonly code?: string; readonly routine?: string }) => void): void
  requestSsl(): void
  sendCopyFail(reason: string): void
  sync(): void
  cancel(processId: number, secretKey: number): void
}

interface NativeClient {
  readonly connection: NativeConnection
  readonly connectionParameters: { options: string | undefined; replication: string | undefined }
  readonly processID: number
  readonly secretKey: number
  connect(): Promise<unknown>
  /** The parameters of the startup message. */
  getStartupConf(): Record<string, unknown>
  query(query: object): void
  on(event: 'error' | 'end', listener: () => void): void
  /** `I` outside of a transaction, `T` inside, `E` inside one that failed. */
  getTransactionStatus(): string | null
  ref(): void
  unref(): void
  end(): Promise<void>
}

export interface NativeConstructor {
  new (config: Record<string, unknown>): NativeClient
  readonly Query: BaseQueryConstructor
}

/** What of a client's configuration is looked at again. */
export interface ClientConfig {
  readonly host: string
  readonly port: number
  readonly ssl: false | Record<string, unknown>
  readonly options: string | undefined
  readonly [name: string]: unknown
}

// How to connect ------------------------------------------------------------------------------------------------

/**
 * What a client of `pg` is made with. Each setting is given, since `pg` would else look at PGHOST and its like; those
 * that may be empty are set by `newClient()`.
 */
export async function clientConfig(settings: PostgresSettings, { host, port }: Host): Promise<ClientConfig> {
  const { user, password, database, applicationName } = settings
  return {
    host,
    port,
    user,
    password: () => askPassword(password),
    database,
    application_name: applicationName,
    client_encoding: 'UTF8',
    keepAlive: true,
    ssl: await tlsOptions(settings),
    sslnegotiation: 'postgres',
    enableChannelBinding: settings.channelBinding !== 'disable',
    // Statements of a transaction are sent one behind the other, without waiting for answers in between.
    pipeline: true,
    options: startupOptions(settings)
  }
}

function newClient(Native: NativeConstructor, config: ClientConfig): NativeClient {
  const client = new Native(config)
  // An empty setting is none to `pg`, which then takes PGOPTIONS and PGREPLICATION.
  client.connectionParameters.options = config.options
  client.connectionParameters.replication = undefined
  return client
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

/** The settings of a transaction whose rows are read at leisure: later than the handle, which ends abandoned loops itself. */
export function mayIdle(settings: PostgresSettings): string {
  return hasIdleTimeout(settings) ? `; SET LOCAL ${IDLE_TIMEOUT} = ${limitOf(loopLimitOf(settings.timeouts))}` : ''
}

/** How long the server gets to end a statement by itself, and again after we have cancelled it, in ms. */
const MAX_GRACE = 5_000

/** The longest that a timer of Node waits. */
const MAX_TIMER = 2 ** 31 - 1

/**
 * The session's settings, so that texts mean the same everywhere: times are UTC, floats keep all digits. A pooler
 * refuses `options`, so there the server's own settings hold, but for those of POOLER_PARAMETERS.
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
    // Else a backslash in a string would mean something else to the server than to the lexer.
    standard_conforming_strings: 'on',
    // A commit that did not wait for its synchronous standby is told by a warning.
    client_min_messages: 'warning',
    statement_timeout: timeouts.query,
    lock_timeout: timeouts.lock,
    // Later than the client itself, which ends it with a better error when it can.
    ...(hasIdleTimeout(settings) && { [IDLE_TIMEOUT]: limitOf(timeouts.query) })
  }
  const text = Object.entries(own).map(([name, value]) => `-c ${name}=${value}`)
  return [...text, ...(options ? [options] : [])].join(' ')
}

/** Settings that PgBouncer and its like follow for each client when they are startup parameters of their own. */
const POOLER_PARAMETERS = { TimeZone: 'UTC', DateStyle: 'ISO, MDY' }

/** Settings that the server reports; a session where a function has changed one is not used again. */
const REPORTED = [
  'TimeZone',
  'DateStyle',
  'IntervalStyle',
  'client_encoding',
  'standard_conforming_strings',
  'session_authorization',
  'is_superuser',
  'search_path'
]

const UTC = /^(Etc\/)?(UTC|UCT|GMT|Greenwich|Universal|Zulu)$/i

/**
 * Fails when texts would mean something else than they say, since a pooler or the URL's options have set it.
 *
 * @throws DatabaseError `invalid_configuration`, naming the setting
 */
function assertSettings(reported: ReadonlyMap<string, string>, { pooler }: PostgresSettings): void {
  const wrong = [
    ['DateStyle', "'ISO, MDY'", (value: string) => value.startsWith('ISO')] as const,
    ['standard_conforming_strings', 'on', (value: string) => value === 'on'] as const,
    // Without a pooler it is UTC unless the URL's options want another.
    ['TimeZone', "'UTC'", (value: string) => !pooler || UTC.test(value)] as const
  ].find(([name, , isRight]) => reported.has(name) && !isRight(reported.get(name) as string))
  if (wrong === undefined) return
  const [name, value] = wrong
  throw new DatabaseError(
    'invalid_configuration',
    `the session's ${name} is ${reported.get(name)}, with which values would be read or stored wrongly` +
      `${pooler ? ', and the pooler does not pass on what is asked for' : ''}. Run: ALTER DATABASE … SET ${name} = ${value}`
  )
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

/** Why a server could not be used. */
interface Refusal {
  readonly host: Host
  readonly error: unknown
}

class ConnectTimeout extends DatabaseError {
  constructor() {
    super('connection_failure', 'timeout expired')
  }
}

/** True if the host did not answer, so that the next connection would wait for it as long. */
function isTimeout(error: unknown): boolean {
  return (
    error instanceof ConnectTimeout || /^(ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/.test(String((error as { code?: unknown } | null)?.code))
  )
}

/** The error for servers none of which could be used, with what to do. Nothing was sent, so the call can be made again later. */
export function explainConnecting(refusals: readonly Refusal[], settings: PostgresSettings): DatabaseError {
  const known = refusals.map(({ error }) => explainRefusal(error, settings))
  // That a server cannot be reached says less than why another one refuses.
  const first = known.find(({ code }) => code !== 'connection_failure') ?? (known[0] as DatabaseError)
  const reasons =
    settings.hosts.length === 1 ? [first.message] : known.map(({ message }, i) => `${showHost(refusals[i]?.host as Host)}: ${message}`)
  return new DatabaseError(first.code, `Cannot connect to ${settings.location}: ${reasons.join(' ')}`, {
    cause: first.cause,
    isRetryable: known.some(({ code }) => code === 'connection_failure' || code === 'too_many_connections')
  })
}

function explainRefusal(error: unknown, settings: PostgresSettings): DatabaseError {
  const isMissing = isPasswordMissing(messageOf(error))
  const known = isMissing
    ? new DatabaseError('invalid_authorization', messageOf(error), { cause: error })
    : postgresError(error, undefined, { isLost: true, isPooled: settings.pooler })
  const reason = error instanceof AggregateError ? error.errors.map(messageOf).join('; ') : messageOf(error)
  // The message of a lost connection is about a statement, and there was none.
  const isServers = known.code !== 'connection_failure' || known.isRetryable
  const text = isServers ? known.message : reason || (error as { code?: string }).code || 'no reason was given'
  return new DatabaseError(known.code, `${text.replace(/\.$/, '')}.${advise(error, reason, settings)}`, {
    cause: isServers ? known.cause : error
  })
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
  if (/startup (option|parameter)|command-line options/i.test(reason))
    return settings.pooler ? ' A pooler passes no startup options on: take "options" out of the URL.' : ` ${poolerAdvice(false)}`
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
  readonly request: Request
  query: SentQuery | undefined
  /** Since when it is the oldest that is not answered, in ms of the monotonic clock; and whether it was sent right behind another. */
  since: number
  wasBehind: boolean
  /** True if the server has answered it. */
  isAnswered: boolean
  /** Called when the server is ready for the next one. */
  onReady: (() => void) | undefined
  /** True if the server wants to send or to get data beside the statement. */
  isCopy: boolean
  /** True if the server ended the commit's wait for its synchronous standby early. */
  isUnreplicated: boolean
}

function copyError(): DatabaseError {
  return new DatabaseError('feature_not_supported', 'COPY sends data beside the statement, which no call here takes. Nothing was copied.')
}

/** The error for a commit that is on the primary, and on its synchronous standby perhaps not. */
function unreplicatedError(): DatabaseError {
  return new DatabaseError(
    'commit_unknown',
    'Postgres committed, but its wait for the synchronous standby was cancelled; if the primary fails now, the commit may be lost. ' +
      'Look before you repeat it.'
  )
}

/** The error for what was sent to a server that does not answer any more. */
export function silenceError(): DatabaseError {
  return new DatabaseError(
    'connection_failure',
    'Postgres did not answer within the limit (timeouts.query), nor after the statement was cancelled; the connection was closed. ' +
      'What was sent may have taken effect or not.'
  )
}

/** The error for what was sent behind a statement that has changed the session. */
function changedSessionError(): DatabaseError {
  return new DatabaseError(
    'connection_failure',
    'A function that another read called has changed settings of the session, which this read shared; its answer was not used.'
  )
}

const cancelledForAnother = new WeakSet<DatabaseError>()

/** True if a cancel request that was meant for the statement before it has met this one, so that the server undid it. */
export function wasCancelledForAnother(error: unknown): boolean {
  return cancelledForAnother.has(error as DatabaseError)
}

interface Failure {
  /** The number of the statement among those that were sent together. */
  readonly at: number
  /** What the statement had been prepared as before, so that tables may have been changed since. */
  readonly reused: Prepared | undefined
  /** The results of those before it. */
  readonly results: readonly Result[]
}

const failures = new WeakMap<DatabaseError, Failure>()

/** Returns the prepared statement that failed with the error, if it was not prepared for this very call. */
export function reusedBy(error: unknown): Prepared | undefined {
  return failures.get(error as DatabaseError)?.reused
}

/** Returns the number of the statement that failed, among those that were sent together. */
export function failedAt(error: unknown): number | undefined {
  return failures.get(error as DatabaseError)?.at
}

/** Returns the results of the statements before the one that failed, among those that were sent together. */
export function resultsBefore(error: unknown): readonly Result[] {
  return failures.get(error as DatabaseError)?.results ?? []
}

/** How long a server may take to answer whether it is there, in ms. */
const PING_LIMIT = 1_000

/** Number of bytes that are put together before they are written: more would be copied in vain. */
const MAX_COLLECTED = 64 * 1024

const NO_PARTS: readonly Part[] = []

function firstOf([answer]: Answer[]): Answer {
  return answer as Answer
}

/** A statement to be sent. */
export interface Unsent {
  readonly text: string
  readonly values: PostgresValue[]
  /** As that of `query()`. */
  readonly change: number | undefined
}

interface QueryOptions {
  /** Number of characters before the caller's text. */
  readonly offset?: number
  readonly timing?: Timing | undefined
}

/** One connection. Statements that are issued while others run are sent at once and answered in order. */
export class Connection {
  readonly #client: NativeClient
  readonly #Native: NativeConstructor
  readonly #config: ClientConfig
  readonly #settings: PostgresSettings
  readonly #limit: number
  readonly #grace: number
  /** The server that it leads to. */
  readonly host: Host
  /** True if the server was seen to take no writes when the connection was opened. */
  takesNoWrites = false
  /** When the last answer came, in ms of the monotonic clock. */
  answeredAt = 0
  /** Called when neither a statement nor its cancel request was answered; `since` is when the latter was sent. */
  onSilence: (since: number) => void = () => undefined
  /** Why the connection was given up, where we know better than the socket. */
  #reason: DatabaseError | undefined
  #isLost = false
  /** True while statements of several calls share it, each outside of a transaction. */
  isShared = false
  /** True once a setting has changed that others read their values by. */
  #hasChanged = false
  /** The statement that could not be read or cancelled, for which the connection was given up. */
  #culprit: Sent | undefined
  /** The statement that a cancel request was sent for. */
  #cancelled: Sent | undefined
  /** True until what this turn sends is written. */
  #isCollecting = false
  /** True once a cancel request was sent: it could cancel a later statement, so the connection is not reused. */
  #isSpent = false
  /** The statements that were sent and are not answered, the oldest first; and the time that the oldest has. */
  readonly #sent: Sent[] = []
  #timer: NodeJS.Timeout | undefined
  readonly #Query: QueryConstructor
  readonly #prepared = new PreparedStatements()
  /** The settings that the server reports, now and when the connection was opened. */
  readonly #reported = new Map<string, string>()
  #reportedFirst: ReadonlyMap<string, string> = this.#reported

  private constructor(Native: NativeConstructor, config: ClientConfig, settings: PostgresSettings, host: Host) {
    this.#Native = Native
    this.#config = config
    this.#settings = settings
    this.host = host
    this.#client = newClient(Native, config)
    // Without a listener, the death of an idle connection would end the process.
    this.#client.on('error', () => this.#lose())
    this.#client.on('end', () => this.#lose())
    this.#Query = queryClassOf(Native.Query)
    this.#listen(this.#client.connection)
    if (settings.pooler) {
      const parameters = this.#client.getStartupConf.bind(this.#client)
      this.#client.getStartupConf = () => ({ ...parameters(), ...POOLER_PARAMETERS })
    }
    const { query } = settings.timeouts
    this.#grace = graceOf(query)
    // The server ends a statement by itself at its limit; a pooler does not pass that limit on.
    this.#limit = settings.pooler ? Math.min(query, MAX_TIMER) : limitOf(query)
  }

  #listen(connection: NativeConnection): void {
    const prepared = () => this.#sent[0]?.query?.part?.prepared ?? ({} as Partial<Prepared>)
    connection.on('readyForQuery', () => this.#ready())
    connection.on('notice', ({ code, routine }) => {
      const [statement] = this.#sent
      if (code === '01000' && routine === 'SyncRepWaitForLSN' && statement !== undefined) statement.isUnreplicated = true
    })
    connection.on('parameterStatus', ({ parameterName, parameterValue }) => {
      if (!REPORTED.includes(parameterName)) return
      this.#reported.set(parameterName, parameterValue)
      this.#hasChanged = REPORTED.some(name => this.#reported.get(name) !== this.#reportedFirst.get(name))
    })
    connection.on('parseComplete', () => {
      prepared().isParsed = true
    })
    connection.on('parameterDescription', ({ dataTypeIDs }) => {
      prepared().types = dataTypeIDs
    })
    connection.on('noData', () => {
      prepared().plan = null
    })
    connection.on('commandComplete', () => this.#advance())
    connection.on('copyOutResponse', () => this.#copies())
    connection.on('copyInResponse', () => {
      // What was sent behind it would be taken for data.
      if (this.#sent.length > 1 || (this.oldest?.request.parts.length ?? 0) > 1) return this.giveUp(copyError())
      connection.sendCopyFail('no data')
      // The server has thrown the first one away.
      if (this.#copies()?.request.script === undefined) connection.sync()
    })
  }

  #copies(): Sent | undefined {
    const [statement] = this.#sent
    if (statement !== undefined) statement.isCopy = true
    return statement
  }

  /**
   * Has an error in the handler of the socket's data fail what was sent, instead of ending the process: `pg` reads values
   * there, and a text of more than 512 MB is more than a string can hold.
   */
  #guardReading(): void {
    const { stream } = this.#client.connection
    for (const read of stream.listeners('data')) {
      stream.removeListener('data', read)
      stream.on('data', chunk => {
        try {
          read.call(stream, chunk)
        } catch (error) {
          this.giveUp(unreadableError(error))
        }
      })
    }
  }

  /** Connects to the first of the servers that answers and is of the wanted kind. */
  static async open(Native: NativeConstructor, settings: PostgresSettings, hosts: Hosts): Promise<Connection> {
    const failures: Refusal[] = []
    // prefer-standby takes any server when there is no standby.
    const wanted: TargetServer[] = settings.targetServer === 'prefer-standby' ? ['standby', 'any'] : [settings.targetServer]
    for (const target of wanted) {
      for (const host of hosts.inOrder()) {
        try {
          const connection = await Connection.#openAt(Native, settings, host, target, hosts)
          hosts.worked(host)
          return connection
        } catch (error) {
          if (isTimeout(error)) hosts.avoid(host)
          failures.push({ host, error })
        }
      }
    }
    throw explainConnecting(failures, settings)
  }

  static async #openAt(
    Native: NativeConstructor,
    settings: PostgresSettings,
    host: Host,
    target: TargetServer,
    hosts: Hosts
  ): Promise<Connection> {
    const hasLimit = hasIdleTimeout(settings)
    const connection = new Connection(Native, await clientConfig(settings, host), settings, host)
    const { connect } = settings.timeouts
    const timer = connect > 0 ? setTimeout(() => connection.giveUp(new ConnectTimeout()), connect) : undefined
    try {
      if (settings.channelBinding === 'require') connection.#requireChannelBinding()
      await connection.#client.connect()
      // A server that lets in without a password says so and that it is ready in one packet.
      if (connection.#isLost) throw connection.#reason
      connection.#guardReading()
      connection.#reportedFirst = new Map(connection.#reported)
      assertSettings(connection.#reported, settings)
      await connection.#assertIs(target)
      if (hosts.mayTakeNoWrites) hosts.mayTakeNoWrites = connection.takesNoWrites = await connection.#isReadOnly()
      return connection
    } catch (error) {
      connection.destroy()
      if (connection.#reason !== undefined) throw connection.#reason
      const isUnknown = (error as { code?: unknown }).code === '42704' && messageOf(error).includes(IDLE_TIMEOUT)
      if (!hasLimit || !isUnknown) throw error
      withoutIdleTimeout.add(settings)
      return Connection.#openAt(Native, settings, host, target, hosts)
    } finally {
      clearTimeout(timer)
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
    const kind = isByWrites
      ? (await this.#isReadOnly())
        ? 'read-only'
        : 'read-write'
      : (await this.#isInRecovery())
        ? 'standby'
        : 'primary'
    if (kind === target) return
    const what = { 'read-write': 'takes writes', 'read-only': 'takes no writes', standby: 'is a standby', primary: 'is the primary' }[kind]
    throw new DatabaseError('connection_failure', `the server ${what}, but target_session_attrs wants ${target}`)
  }

  async #isReadOnly(): Promise<boolean> {
    const { rows } = await this.query('SHOW transaction_read_only', [], undefined)
    return rows[0]?.transaction_read_only === 'on'
  }

  async #isInRecovery(): Promise<boolean> {
    const { rows } = await this.query('SELECT pg_is_in_recovery() AS is_standby', [], undefined)
    return rows[0]?.is_standby === true
  }

  /** True if the connection is closed or broken. */
  get isLost(): boolean {
    return this.#isLost
  }

  /** True if the pool may hand it out again. */
  get isReusable(): boolean {
    return !this.#isLost && !this.#isSpent && !this.#hasChanged
  }

  /** True if a transaction is open, failed or not, according to the last ReadyForQuery message. */
  get inTransaction(): boolean {
    return this.#client.getTransactionStatus() !== 'I'
  }

  /** The oldest of the statements that are not answered. */
  get oldest(): Pick<Sent, 'request' | 'since'> | undefined {
    return this.#sent[0]
  }

  /**
   * Runs one statement.
   *
   * @param change prepares it by name, or uses what was prepared since the change of tables of that number; undefined to
   *   send it without a name
   */
  query(text: string, values: PostgresValue[], change: number | undefined, { offset = 0, timing }: QueryOptions = {}): Promise<Answer> {
    const parts = [this.#partOf({ text, values, change })]
    return this.#send({ parts, closing: this.#prepared.takeClosing(), timing }, offset).then(firstOf)
  }

  /** Runs statements of one transaction, and tells the server to answer when all of them are done. */
  queries(statements: readonly Unsent[]): Promise<Answer[]> {
    const parts = statements.map(statement => this.#partOf(statement))
    return this.#send({ parts, closing: this.#prepared.takeClosing() })
  }

  #partOf({ text, values, change }: Unsent): Part {
    return { text, values, prepared: change === undefined ? undefined : this.#prepared.take(text, change) }
  }

  /** Prepares a statement without running it. */
  async prepare(text: string, change: number): Promise<Prepared | undefined> {
    const part = this.#partOf({ text, values: [], change })
    await this.#send({ parts: [part], closing: this.#prepared.takeClosing(), isDescription: true })
    return part.prepared
  }

  /** Runs a text of one or more statements without parameters; the server takes it as one transaction. */
  async script(text: string): Promise<Answer> {
    return (await this.#send({ script: text, parts: NO_PARTS })).at(-1) as Answer
  }

  async #send(request: Request, offset = 0): Promise<Answer[]> {
    if (this.#isLost) {
      // Nothing was sent, so outside of a transaction the call can be made again.
      throw new DatabaseError('connection_failure', 'The connection to Postgres was lost.', { isRetryable: true, cause: this.#reason })
    }
    const { parts } = request
    const isReused = parts.map(({ prepared }) => prepared?.isSent === true)
    const statement: Sent = {
      request,
      query: undefined,
      since: 0,
      wasBehind: this.#sent.length > 0 && this.#isCollecting,
      isAnswered: false,
      onReady: undefined,
      isCopy: false,
      isUnreplicated: false
    }
    try {
      return await this.#ask(statement)
    } catch (error) {
      if (isConnectionLost(error)) this.destroy()
      const failed = statement.query?.failed
      const text = request.script ?? failed?.text ?? ''
      const hasArray = failed?.values.some(value => typeof value === 'string' && value.startsWith('[')) ?? false
      const circumstances = { offset, isLost: this.#isLost, hasArray, isPooled: this.#settings.pooler }
      const known = this.#reasonFor(statement) ?? postgresError(error, text, circumstances)
      const at = failed === undefined ? -1 : parts.indexOf(failed)
      failures.set(known, { at, reused: isReused[at] ? failed?.prepared : undefined, results: statement.query?.results ?? [] })
      for (const { prepared } of parts) if (prepared?.isParsed === false) this.#prepared.forget(prepared)
      if (this.#cancelled !== undefined && this.#cancelled !== statement && stateOf(known) === '57014') cancelledForAnother.add(known)
      throw known
    }
  }

  /** Why a statement failed, if the connection was given up. */
  #reasonFor(statement: Sent): DatabaseError | undefined {
    const reason = this.#isLost && !statement.isAnswered ? this.#reason : undefined
    if (reason === undefined || !this.isShared) return reason
    // What could not be read was the answer to another call.
    return wasUnread(reason) ? (statement === this.#culprit ? reason : undefined) : (copyOf(reason) as DatabaseError)
  }

  /** Has a statement prepared anew when it is used again. */
  forget(prepared: Prepared): void {
    this.#prepared.forget(prepared)
  }

  #ask(statement: Sent): Promise<Answer[]> {
    return new Promise((resolve, reject) => {
      this.#sent.push(statement)
      if (this.#sent.length === 1) this.#startTimer(clock())
      this.#collect()
      statement.query = new this.#Query(statement.request, (error, results) => {
        if (statement.isCopy) error = copyError()
        // An error of the server comes before it says what became of the transaction; one of a value's parser, behind.
        if (error && this.#sent.includes(statement)) statement.onReady = () => reject(error)
        else if (error) reject(error)
        else if (statement.isUnreplicated) reject(unreplicatedError())
        else if (statement.isAnswered) resolve(this.#answersOf(results))
        // What was read behind the answer for which the connection was given up.
        else reject(this.#reason)
      })
      this.#client.query(statement.query)
    })
  }

  /**
   * Has what is sent in this turn of the event loop travel as one piece. `pg` writes each message by itself; also corked,
   * each would cost the stream and the system more than its bytes do.
   */
  #collect(): void {
    if (this.#isCollecting) return
    this.#isCollecting = true
    const { stream } = this.#client.connection
    const { write } = stream
    let [pieces, size]: [Buffer[], number] = [[], 0]
    const flush = () => {
      const data = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces)
      ;[pieces, size] = [[], 0]
      if (data.length > 0 && stream.writable) write.call(stream, data)
    }
    stream.write = (data, ...rest) => {
      size += data.length
      // Somebody may wait until it is written, which must be behind the rest.
      if (rest.length === 0 && size <= MAX_COLLECTED) return pieces.push(data) > 0
      flush()
      return write.call(stream, data, ...rest)
    }
    process.nextTick(() => {
      this.#isCollecting = false
      stream.write = write
      flush()
    })
  }

  #answersOf(results: readonly Result[]): Answer[] {
    const { inTransaction } = this
    return results.map(({ command, rowCount, rows, plan }) => ({ command, rowCount, rows, plan, inTransaction }))
  }

  /** One of several statements that were sent together is done; the next one's time begins. */
  #advance(): void {
    const parts = this.#sent[0]?.request.parts
    if (parts === undefined || parts.length < 2) return
    clearTimeout(this.#timer)
    this.#startTimer(clock())
  }

  /** The server has answered the oldest of the statements that were sent; the next one's time begins. */
  #ready(): void {
    clearTimeout(this.#timer)
    const now = clock()
    this.answeredAt = now
    const answered = this.#sent.shift()
    if (answered !== undefined) {
      answered.isAnswered = true
      answered.request.timing?.ran(now - answered.since, answered.wasBehind)
      answered.onReady?.()
    }
    if (this.#sent.length === 0) return
    // The others ran, or will run, with settings by which their values cannot be read.
    if (this.isShared && this.#hasChanged) this.giveUp(changedSessionError())
    else this.#startTimer(now)
  }

  /** Begins the time of the oldest statement. */
  #startTimer(now: number): void {
    const [oldest] = this.#sent
    if (oldest !== undefined) oldest.since = now
    if (this.#limit > 0) this.#timer = setTimeout(() => this.#exceeded(), this.#limit)
  }

  /** A statement got no answer in time: it is cancelled on the server, and the connection given up if that does not help. */
  #exceeded(): void {
    this.#isSpent = true
    const since = clock()
    this.#cancelled = this.#sent[0]
    const cancel = this.#cancel(this.#cancelled)
    this.#timer = setTimeout(() => {
      this.giveUp(silenceError())
      if (!cancel.isAnswered) this.onSilence(since)
    }, this.#grace)
  }

  /** Asks the server, over a connection of its own, to end what runs on this one. The server answers by closing that connection. */
  #cancel(statement: Sent | undefined): { isAnswered: boolean } {
    const request = { isAnswered: false }
    const { connection } = newClient(this.#Native, this.#config)
    const { host, port, ssl } = this.#config
    let isSent = false
    const send = () => {
      isSent = true
      if (this.#sent[0] === statement) connection.cancel(this.#client.processID, this.#client.secretKey)
      else connection.stream.destroy()
    }
    connection.on('connect', () => (ssl === false ? send() : connection.requestSsl()))
    connection.on('sslconnect', send)
    connection.on('error', () => undefined)
    connection.on('end', () => {
      request.isAnswered = isSent
    })
    if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
    else connection.connect(port, host)
    // After the question whether it was answered.
    lettingExit(setTimeout(() => connection.stream.destroy(), this.#grace + 100))
    return request
  }

  /** Closes the socket at once; what was sent fails with `reason`. */
  giveUp(reason: DatabaseError): void {
    if (!this.#isLost) {
      this.#reason = reason
      this.#culprit = this.#sent[0]
    }
    this.destroy()
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
    this.#client.unref?.()
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

/** Lets the process exit while the timer runs. Returns the timer, which is a number on Cloudflare Workers. */
export function lettingExit(timer: NodeJS.Timeout): NodeJS.Timeout {
  timer.unref?.()
  return timer
}
