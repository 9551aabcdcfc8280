/** Config, connection URL and environment, validated and merged into one `Settings` value. */
import { resolve } from 'node:path'
import { DatabaseError } from './errors.ts'
import { DEFAULT_MAX_VALUE_BYTES } from './kvs/limits.ts'
import { nearestTo } from './nearest.ts'

/** How to reach the database. Each setting that is left out comes from the environment, else it has its default. */
export interface DatabaseConfig {
  /** The directory of the SQLite file; created when missing. @default env `DATA_DIR`, else `./data` */
  dataDir?: string | undefined
  sqlite?:
    | {
        /** The database's file, or `:memory:`. @default `${dataDir}/db.sqlite` */
        location?: string | undefined
        /**
         * `full` syncs each commit to the disk. `normal` is faster and may lose the last commits at a power
         * cut, but never corrupts the file.
         * @default 'full'
         */
        durability?: 'full' | 'normal' | undefined
        /**
         * Reads a file that is there, also in a folder that may not be written. Creates nothing; writes fail with
         * `read_only`.
         * @default false
         */
        readOnly?: boolean | undefined
        /**
         * PRAGMAs that are set on every connection, such as `{ cache_size: -65536, mmap_size: 2147483648 }`. Those that
         * duolect itself sets are refused.
         * @default {}
         */
        pragmas?: Readonly<Record<string, string | number | boolean>> | undefined
      }
    | undefined
  postgres?:
    | {
        /** Turns Postgres on; nothing else does. @default whether env `DATABASE` is `postgres` */
        enabled?: boolean | undefined
        /** A `postgres://` URL; it wins over the single parts. @default env `DATABASE_URL` */
        connection?: string | undefined
        /** @default env `PG_HOST`, else 127.0.0.1 */
        host?: string | undefined
        /** @default env `PG_PORT`, else 5432 */
        port?: number | string | undefined
        /** @default env `PG_USER`, else the name of the user who runs the process */
        user?: string | undefined
        /**
         * The password, or a function that is asked for it before each new connection, such as one that makes a token.
         * @default env `PG_PASSWORD`
         */
        password?: string | (() => string | Promise<string>) | undefined
        /** @default env `PG_DB`, else the user's name */
        database?: string | undefined
        /**
         * `false`, `no`, `off`, `0`, `disable`: no TLS. `true`, `yes`, `on`, `1`, `verify-full`: encrypted, and
         * the certificate and the host's name are verified. `verify-ca`: the certificate alone. `no-verify`,
         * `require`: encrypted, nothing verified.
         * @default env `PG_SSL`, else no TLS
         */
        ssl?: boolean | string | undefined
        /** The certificate authority: PEM text, or a file's path. @default env `PG_SSL_CA` */
        ca?: string | undefined
        /** The client's certificate: PEM text, or a file's path. @default env `PG_SSL_CERT` */
        cert?: string | undefined
        /** The key of the client's certificate: PEM text, or a file's path. @default env `PG_SSL_KEY` */
        key?: string | undefined
        /** Maximum number of connections that this process opens. @default 10 */
        maxConnections?: number | undefined
        /**
         * Set it behind PgBouncer and its like, in any mode: nothing is then used that outlives a transaction on the
         * server.
         * @default false
         */
        pooler?: boolean | undefined
      }
    | undefined
  kvs?:
    | {
        /** The largest value that the key-value store takes, in bytes of its JSON text. @default 16777216 */
        maxValueBytes?: number | undefined
      }
    | undefined
  /** How long to wait at most, in milliseconds; 0 waits without a limit. */
  timeouts?:
    | {
        /** For a connection to the server. @default 10000 */
        connect?: number | undefined
        /** For a free connection of the pool. @default 10000 */
        acquire?: number | undefined
        /** For a statement, and for a transaction's next statement. @default 60000 */
        query?: number | undefined
        /** For a lock that other work holds. @default 10000 */
        lock?: number | undefined
      }
    | undefined
}

/** Milliseconds; 0 is no limit. */
export interface Timeouts {
  readonly connect: number
  readonly acquire: number
  readonly query: number
  readonly lock: number
}

interface CommonSettings {
  readonly maxValueBytes: number
  readonly timeouts: Timeouts
}

export interface SqliteSettings extends CommonSettings {
  readonly dialect: 'sqlite'
  /** An absolute path, or `:memory:`. */
  readonly location: string
  readonly durability: 'full' | 'normal'
  readonly isReadOnly: boolean
  readonly pragmas: Readonly<Record<string, string>>
}

/** How the connection is encrypted, and what of the server is verified. */
export type TlsMode = 'disable' | 'no-verify' | 'verify-ca' | 'verify-full'

/** libpq's `channel_binding`: whether SCRAM authentication is bound to the TLS connection. */
export type ChannelBinding = 'disable' | 'prefer' | 'require'

/** libpq's `target_session_attrs`. */
export type TargetServer = 'any' | 'read-write' | 'read-only' | 'primary' | 'standby' | 'prefer-standby'

const TARGET_SERVERS: readonly string[] = [
  'any',
  'read-write',
  'read-only',
  'primary',
  'standby',
  'prefer-standby'
] satisfies TargetServer[]

/** A server's address; a host that begins with / is the directory of its socket. */
export interface Host {
  readonly host: string
  readonly port: number
}

export interface PostgresSettings extends CommonSettings {
  readonly dialect: 'postgres'
  /** The URL without its password. */
  readonly location: string
  /** Where the server is, or several that may be, in the order in which they are tried. */
  readonly hosts: readonly Host[]
  /** Which of the servers may be used. */
  readonly targetServer: TargetServer
  readonly user: string
  /** A function, so that no log that prints the settings shows it. */
  readonly password: () => string | Promise<string>
  readonly database: string
  readonly tls: TlsMode
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
  readonly channelBinding: ChannelBinding
  readonly applicationName: string
  /** Startup options that the URL gave, such as `-c search_path=app`. */
  readonly options: string | undefined
  readonly maxConnections: number
  readonly pooler: boolean
}

export type Settings = SqliteSettings | PostgresSettings

type Environment = Readonly<Record<string, string | undefined>>

// Checks ------------------------------------------------------------------------------------------------------

/** What a setting must be; the text completes "expected …". */
interface Kind {
  readonly expected: string
  accepts(value: unknown): boolean
}

const STRING: Kind = { expected: 'a string', accepts: value => typeof value === 'string' }
const PATH: Kind = {
  expected: 'a path (a string without a NUL character)',
  accepts: value => typeof value === 'string' && !value.includes('\0')
}
/** SQLite's packages cut blanks off, so that another file would be opened. */
const FILE: Kind = {
  expected: 'a path (a string without a NUL character, and without blanks at its ends)',
  accepts: value => PATH.accepts(value) && value === (value as string).trim()
}
const PASSWORD: Kind = {
  expected: 'a string, or a function that returns one or a promise of one',
  accepts: value => typeof value === 'string' || typeof value === 'function'
}
const PRAGMA: Kind = {
  expected: 'a number, a boolean, or a word such as NORMAL',
  accepts: value => typeof value === 'boolean' || Number.isSafeInteger(value) || (typeof value === 'string' && /^\w+$/.test(value))
}
const BOOLEAN: Kind = { expected: 'true or false', accepts: value => typeof value === 'boolean' }
const PORT: Kind = {
  expected: 'a port from 1 to 65535',
  accepts: value =>
    (typeof value === 'number' || (typeof value === 'string' && /^\d{1,5}$/.test(value))) && isWithin(Number(value), 1, 65535)
}
const COUNT: Kind = { expected: 'a whole number from 1 to 10000', accepts: value => isWithin(value, 1, 10_000) }
/** The longest that a timer of Node can wait. */
const MILLISECONDS: Kind = {
  expected: 'milliseconds as a whole number from 0 (no limit) to 2147483647',
  accepts: value => isWithin(value, 0, 2_147_483_647)
}
const BYTES: Kind = { expected: 'bytes as a whole number from 1 to 268435456', accepts: value => isWithin(value, 1, 268_435_456) }
const DURABILITY: Kind = { expected: "'full' or 'normal'", accepts: value => value === 'full' || value === 'normal' }
const TLS: Kind = {
  expected: 'true, false or one of: 0, no, off, disable, 1, yes, on, verify-full, verify-ca, no-verify, require',
  accepts: value => typeof value === 'boolean' || (typeof value === 'string' && tlsMode(value) !== undefined)
}

/** PRAGMAs that hold for a connection and that duolect does not need for itself (sqlite.org/pragma.html). */
const PRAGMAS = [
  'analysis_limit',
  'automatic_index',
  'cache_size',
  'cache_spill',
  'case_sensitive_like',
  'cell_size_check',
  'checkpoint_fullfsync',
  'fullfsync',
  'hard_heap_limit',
  'journal_size_limit',
  'legacy_alter_table',
  'max_page_count',
  'mmap_size',
  'page_size',
  'recursive_triggers',
  'reverse_unordered_selects',
  'secure_delete',
  'soft_heap_limit',
  'temp_store',
  'threads',
  'trusted_schema',
  'wal_autocheckpoint'
] as const

/** PRAGMAs that duolect sets or relies on, and what to do instead. */
const OWN_PRAGMAS: Readonly<Record<string, string>> = {
  synchronous: 'set "sqlite.durability" instead',
  query_only: 'set "sqlite.readOnly" instead',
  busy_timeout: 'set "timeouts.lock" instead',
  journal_mode: 'the journal is a WAL, so that readers and a writer do not wait for each other',
  locking_mode: 'other connections of the process and other processes use the file too',
  foreign_keys: 'foreign keys are always on, as in Postgres',
  read_uncommitted: 'readers see the last commit, as in Postgres',
  ignore_check_constraints: 'constraints always hold, as in Postgres'
}

function pragmaSettings(): Kinds {
  return Object.fromEntries(PRAGMAS.map(name => [name, PRAGMA]))
}

interface Kinds {
  readonly [setting: string]: Kind | Kinds
}

const SETTINGS: Kinds = {
  dataDir: PATH,
  sqlite: { location: FILE, durability: DURABILITY, readOnly: BOOLEAN, pragmas: pragmaSettings() },
  postgres: {
    enabled: BOOLEAN,
    connection: STRING,
    host: STRING,
    port: PORT,
    user: STRING,
    password: PASSWORD,
    database: STRING,
    ssl: TLS,
    ca: STRING,
    cert: STRING,
    key: STRING,
    maxConnections: COUNT,
    pooler: BOOLEAN
  },
  kvs: { maxValueBytes: BYTES },
  timeouts: { connect: MILLISECONDS, acquire: MILLISECONDS, query: MILLISECONDS, lock: MILLISECONDS }
}

/** An empty text counts as not given, as `process.env.PG_USER || ''` makes one. */
const MAY_BE_EMPTY: readonly Kind[] = [STRING, PATH, FILE, PASSWORD, PORT]

/** These are never shown, whatever was given. */
const SECRET = new Set(['postgres.password', 'postgres.connection', 'postgres.ca', 'postgres.cert', 'postgres.key'])

function isPostgresUrl(text: string): boolean {
  return /^\s*postgres(ql)?:/i.test(text)
}

function isWithin(value: unknown, from: number, to: number): boolean {
  return Number.isInteger(value) && (value as number) >= from && (value as number) <= to
}

function fail(message: string, cause?: unknown): DatabaseError {
  return new DatabaseError('invalid_configuration', message, { cause })
}

function show(name: string, value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (SECRET.has(name)) return `a value of type ${typeof value}`
  // A URL that stands in the wrong place has its password in it all the same.
  if (typeof value === 'string') return value.includes('://') ? 'a URL' : JSON.stringify(value)
  if (typeof value === 'object') return Array.isArray(value) ? 'an array' : 'an object'
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : `a value of type ${typeof value}`
}

/**
 * Returns a copy of the config that has its own properties alone, each read once and checked, so that nothing counts
 * that somebody put on a prototype.
 */
function checkConfig(config: unknown, kinds: Kinds = SETTINGS, prefix = ''): Record<string, unknown> {
  if (config instanceof URL) throw fail('The configuration must be a string or a plain object, got a URL; give its href.')
  if (Object.prototype.toString.call(config) !== '[object Object]') {
    const what = prefix === '' ? 'The configuration' : `Setting "${prefix.slice(0, -1)}"`
    // A connection string in the wrong place has its password in it.
    const got = typeof config === 'string' ? 'a string' : show(prefix, config)
    throw fail(`${what} must be an object with: ${Object.keys(kinds).join(', ')}; got ${got}.`)
  }
  const copy: Record<string, unknown> = Object.create(null)
  for (const key of Object.keys(config as object)) {
    const name = prefix + key
    const kind = Object.hasOwn(kinds, key) ? kinds[key] : undefined
    if (kind === undefined) throw unknownSetting(key, kinds, prefix)
    const property = Object.getOwnPropertyDescriptor(config, key)
    if (property?.get !== undefined) throw fail(`Setting "${name}" must be a plain property; got a getter. Give its value.`)
    const value: unknown = property?.value
    if (value === undefined) continue
    copy[key] = isKind(kind) ? checkSetting(name, value, kind) : checkConfig(value, kind, `${name}.`)
  }
  return copy
}

function unknownSetting(key: string, kinds: Kinds, prefix: string): DatabaseError {
  const name = prefix + key
  if (prefix === 'sqlite.pragmas.' && Object.hasOwn(OWN_PRAGMAS, key)) {
    return fail(`Setting "${name}" cannot be changed: ${OWN_PRAGMAS[key]}.`)
  }
  const nearest = nearestTo(key, Object.keys(kinds))
  const hint = nearest === undefined ? `allowed here: ${Object.keys(kinds).join(', ')}` : `did you mean "${prefix}${nearest}"?`
  return fail(`Unknown setting "${name}"; ${hint}`)
}

function isKind(kind: Kind | Kinds): kind is Kind {
  return typeof kind.accepts === 'function'
}

function checkSetting(name: string, value: unknown, kind: Kind): unknown {
  if (kind.accepts(value) || (value === '' && MAY_BE_EMPTY.includes(kind))) return value
  throw fail(`Setting "${name}" must be ${kind.expected}; got ${show(name, value)}.`)
}

// From config and environment to settings -----------------------------------------------------------------------

export const DEFAULT_TIMEOUTS: Timeouts = { connect: 10_000, acquire: 10_000, query: 60_000, lock: 10_000 }

/**
 * Returns the settings that a config and an environment come to. Does no I/O.
 *
 * @param config what `createDatabase` was given: settings, a `postgres://` URL, or a SQLite file's path
 * @throws DatabaseError `invalid_configuration`, naming the setting, what it is and what it may be
 */
export function readSettings(config: DatabaseConfig | string = {}, env: Environment = process.env): Settings {
  const given = checkConfig(typeof config === 'string' ? configOf(config) : config) as DatabaseConfig
  const common: CommonSettings = {
    maxValueBytes: given.kvs?.maxValueBytes ?? DEFAULT_MAX_VALUE_BYTES,
    timeouts: { ...DEFAULT_TIMEOUTS, ...withoutUndefined(given.timeouts) }
  }
  return isPostgresEnabled(given, env) ? postgresSettings(given, env, common) : sqliteSettings(given, env, common)
}

function withoutUndefined<T extends object>(given: T | undefined): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(given ?? {}).filter(([, value]) => value !== undefined)) as never
}

/** A text alone: what its scheme says. A single letter and a colon is a drive of Windows. */
function configOf(text: string): DatabaseConfig {
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(text)?.[1]?.toLowerCase()
  if (scheme === 'postgres' || scheme === 'postgresql') return { postgres: { enabled: true, connection: text } }
  if (scheme !== undefined && scheme !== 'sqlite') {
    throw fail(
      `Expected a postgres:// URL or the path of a SQLite file, got a string that begins with "${scheme}:". ` +
        `For a file of that name put "sqlite:" or "./" in front.`
    )
  }
  if (/^\s*(host|hostaddr|port|user|password|dbname|service)\s*=/.test(text)) {
    throw fail('Expected a postgres:// URL or the path of a SQLite file, got a connection string of keywords; write it as a URL.')
  }
  const location = scheme === undefined ? text : text.slice('sqlite:'.length).replace(/^\/\//, '')
  if (location === '' || isPostgresUrl(location)) {
    throw fail(
      `Expected a postgres:// URL or the path of a SQLite file, got ${location === '' ? 'an empty string' : 'a URL with blanks around it'}.`
    )
  }
  return { postgres: { enabled: false }, sqlite: { location } }
}

function isPostgresEnabled(given: DatabaseConfig, env: Environment): boolean {
  if (given.postgres?.enabled !== undefined) return given.postgres.enabled
  const database = env.DATABASE
  if (database !== 'postgres' && (given.postgres?.connection || given.postgres?.host)) warnOfSwitch()
  const isMeant = /^\s*(pg|psql)\s*$/i.test(database ?? '') || nearestTo(database ?? '', ['postgres', 'postgresql']) !== undefined
  if (database !== 'postgres' && isMeant) {
    throw fail(`Environment variable DATABASE is ${JSON.stringify(database)}; to turn Postgres on set it to "postgres".`)
  }
  return database === 'postgres'
}

let hasWarned = false

/** Nothing but the switch turns Postgres on; who gives a server most likely means it. */
function warnOfSwitch(): void {
  if (hasWarned) return
  hasWarned = true
  process.emitWarning(
    'Settings for Postgres were given, but it is off, so SQLite is used. Set "postgres.enabled" to true, or the environment variable ' +
      'DATABASE to postgres; false says that SQLite is meant.',
    { code: 'DUOLECT_POSTGRES_OFF' }
  )
}

function sqliteSettings(given: DatabaseConfig, env: Environment, common: CommonSettings): SqliteSettings {
  const dataDir = given.dataDir || env.DATA_DIR || './data'
  const location = given.sqlite?.location || resolve(dataDir, 'db.sqlite')
  if (isPostgresUrl(location)) {
    throw fail('Setting "sqlite.location" is a postgres:// URL; give it as "postgres.connection", with "postgres.enabled": true.')
  }
  if (location === ':memory:' && given.sqlite?.readOnly) {
    throw fail('Setting "sqlite.readOnly" is true, but a database in memory is empty; name a file as "sqlite.location".')
  }
  return {
    dialect: 'sqlite',
    location: location === ':memory:' ? location : resolve(location),
    durability: given.sqlite?.durability || 'full',
    isReadOnly: given.sqlite?.readOnly ?? false,
    pragmas: pragmasOf(given.sqlite?.pragmas),
    ...common
  }
}

function pragmasOf(given: Readonly<Record<string, string | number | boolean>> = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, typeof value === 'boolean' ? String(Number(value)) : String(value)])
  )
}

function postgresSettings(given: DatabaseConfig, env: Environment, common: CommonSettings): PostgresSettings {
  const postgres = given.postgres ?? {}
  const url = connectionUrl(postgres, env)
  // What the URL leaves out comes from the single parts.
  const port = Number(pick('postgres.port', postgres.port, env, 'PG_PORT', PORT) ?? 5432)
  const hosts = url?.hosts.map(host => ({ host: host.host, port: host.port ?? port })) ?? [
    { host: postgres.host || env.PG_HOST || '127.0.0.1', port }
  ]
  const user = url?.user || postgres.user || env.PG_USER || osUser()
  const database = url?.database || postgres.database || env.PG_DB || user
  const password = url?.password || postgres.password || env.PG_PASSWORD || ''
  const tls = agreeOnTls(postgres.ssl, env, url)
  const parameter = (name: UrlParameter) => url?.parameters.get(name) || undefined
  return {
    dialect: 'postgres',
    location: `postgres://${encodeURIComponent(user)}@${hosts.map(showHost).join(',')}/${encodeURIComponent(database)}`,
    hosts,
    targetServer: oneOf('target_session_attrs', parameter('target_session_attrs') ?? 'any', TARGET_SERVERS) as TargetServer,
    user,
    database,
    password: typeof password === 'function' ? password : () => password,
    tls,
    ca: authorityOf(postgres.ca || parameter('sslrootcert') || env.PG_SSL_CA || undefined),
    ...clientCertificate(postgres.cert || parameter('sslcert') || env.PG_SSL_CERT, postgres.key || parameter('sslkey') || env.PG_SSL_KEY),
    channelBinding: channelBinding(parameter('channel_binding') ?? 'prefer', tls),
    applicationName: parameter('application_name') ?? 'duolect',
    options: parameter('options'),
    maxConnections: postgres.maxConnections ?? 10,
    pooler: postgres.pooler ?? isPgBouncer(parameter('pgbouncer')),
    maxValueBytes: common.maxValueBytes,
    timeouts: connectTimeout(common.timeouts, given, url)
  }
}

/** The explicit URL, else the environment's, unless the config names a server of its own. */
function connectionUrl(postgres: NonNullable<DatabaseConfig['postgres']>, env: Environment): PostgresUrl | undefined {
  if (postgres.connection) return parseUrl(postgres.connection, 'Setting "postgres.connection"')
  const { host, port, user, password, database } = postgres
  if (!env.DATABASE_URL || host || port || user || password || database) return undefined
  return parseUrl(env.DATABASE_URL, 'Environment variable DATABASE_URL')
}

/** The explicit value, else the environment's, which is checked as the setting is. */
function pick<T>(name: string, value: T | '' | undefined, env: Environment, variable: string, kind: Kind): T | string | undefined {
  if (value !== undefined && value !== '') return value
  const fromEnv = env[variable]
  if (fromEnv === undefined || fromEnv === '') return undefined
  if (kind.accepts(fromEnv)) return fromEnv
  throw fail(`Environment variable ${variable} must be ${kind.expected}; got ${show(name, fromEnv)}.`)
}

function osUser(): string {
  try {
    // Needed by few, so it is not imported. Node.js before 20.16 has no such function.
    const { username } = process.getBuiltinModule?.('node:os').userInfo() ?? { username: process.env.USER ?? process.env.USERNAME }
    if (username) return username
  } catch {
    // The user has no name on this machine, as in some containers.
  }
  throw fail('No user for Postgres: set "postgres.user", PG_USER, or a user in the URL.')
}

function showHost({ host, port }: Host): string {
  return `${host.includes(':') ? `[${host}]` : encodeURIComponent(host)}:${port}`
}

/** Checks a parameter of the URL that takes one of several words. */
function oneOf(name: UrlParameter, value: string, words: readonly string[]): string {
  if (words.includes(value)) return value
  throw fail(`Parameter "${name}" of the Postgres URL must be ${words.slice(0, -1).join(', ')} or ${words.at(-1)}; got ${show('', value)}.`)
}

/** Node's own authorities are those of the system. */
function authorityOf(ca: string | undefined): string | undefined {
  return ca === 'system' ? undefined : ca
}

function clientCertificate(cert: string | undefined, key: string | undefined): { cert: string | undefined; key: string | undefined } {
  if (Boolean(cert) !== Boolean(key)) {
    throw fail(`A client's certificate and its key belong together; "${cert ? 'postgres.key' : 'postgres.cert'}" is missing.`)
  }
  return { cert: cert || undefined, key: key || undefined }
}

function channelBinding(value: string, tls: TlsMode): ChannelBinding {
  const mode = oneOf('channel_binding', value, ['disable', 'prefer', 'require']) as ChannelBinding
  if (mode === 'require' && tls === 'disable') {
    throw fail('Parameter "channel_binding=require" of the Postgres URL needs TLS; add sslmode=verify-full or sslmode=require.')
  }
  return mode
}

function isPgBouncer(value: string | undefined): boolean {
  return value !== undefined && oneOf('pgbouncer', value, ['true', 'false']) === 'true'
}

function connectTimeout(timeouts: Timeouts, given: DatabaseConfig, url: PostgresUrl | undefined): Timeouts {
  const seconds = url?.parameters.get('connect_timeout')
  if (seconds === undefined) return timeouts
  if (!/^\d{1,6}$/.test(seconds)) throw fail('Parameter "connect_timeout" of the Postgres URL must be seconds as a whole number.')
  if (given.timeouts?.connect !== undefined) return timeouts
  return { ...timeouts, connect: Number(seconds) * 1000 }
}

// TLS -----------------------------------------------------------------------------------------------------------

const TLS_MODES: Readonly<Record<string, TlsMode>> = {
  '': 'disable',
  '0': 'disable',
  false: 'disable',
  no: 'disable',
  off: 'disable',
  disable: 'disable',
  '1': 'verify-full',
  true: 'verify-full',
  yes: 'verify-full',
  on: 'verify-full',
  'verify-full': 'verify-full',
  'verify-ca': 'verify-ca',
  'no-verify': 'no-verify',
  require: 'no-verify'
}

function tlsMode(value: boolean | string): TlsMode | undefined {
  const name = String(value).trim().toLowerCase()
  return Object.hasOwn(TLS_MODES, name) ? TLS_MODES[name] : undefined
}

/** The mode that config or environment, and the URL, agree on. */
function agreeOnTls(ssl: boolean | string | undefined, env: Environment, url: PostgresUrl | undefined): TlsMode {
  const sources: { name: string; value: boolean | string }[] = []
  if (ssl !== undefined) sources.push({ name: 'setting "postgres.ssl"', value: ssl })
  else if (env.PG_SSL !== undefined && env.PG_SSL !== '') {
    sources.push({ name: 'environment variable PG_SSL', value: env.PG_SSL })
  }
  for (const parameter of ['sslmode', 'ssl']) {
    const value = url?.parameters.get(parameter)
    if (value !== undefined) sources.push({ name: `"${parameter}" in the Postgres URL`, value })
  }
  const modes = sources.map(({ name, value }) => {
    const mode = tlsMode(value)
    if (mode === undefined) throw fail(`TLS: ${name} must be ${TLS.expected}; got ${show('', value)}.`)
    return { name, value, mode }
  })
  const [first, ...others] = modes
  const other = others.find(({ mode }) => mode !== first?.mode)
  if (first !== undefined && other !== undefined) {
    throw fail(
      `TLS: ${first.name} says ${show('', first.value)} (${first.mode}), but ${other.name} says ${show('', other.value)} ` +
        `(${other.mode}). Leave one of them out, or make them agree.`
    )
  }
  return first?.mode ?? 'disable'
}

// The URL -------------------------------------------------------------------------------------------------------

interface PostgresUrl {
  readonly user: string
  readonly password: string
  readonly hosts: readonly { readonly host: string; readonly port: number | undefined }[]
  readonly database: string
  readonly parameters: ReadonlyMap<string, string>
}

const URL_PARAMETERS = [
  'sslmode',
  'ssl',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'channel_binding',
  'application_name',
  'connect_timeout',
  'options',
  'host',
  'port',
  'target_session_attrs',
  'pgbouncer'
] as const

type UrlParameter = (typeof URL_PARAMETERS)[number]

/** Parameters that other tools put into their URLs, and what to write here. */
const FOREIGN_PARAMETERS: Readonly<Record<string, (value: string) => string>> = {
  schema: value => `write options=-c%20search_path%3D${encodeURIComponent(value || 'public')} instead`,
  currentSchema: value => `write options=-c%20search_path%3D${encodeURIComponent(value || 'public')} instead`,
  connection_limit: () => 'leave it out, and set "postgres.maxConnections"',
  pool_timeout: () => 'leave it out, and set "timeouts.acquire"',
  socket_timeout: () => 'leave it out, and set "timeouts.query"',
  statement_cache_size: () => 'leave it out; behind a pooler write pgbouncer=true',
  sslaccept: value => `write sslmode=${value === 'strict' ? 'verify-full' : 'no-verify'} instead`,
  sslidentity: () => 'write sslcert and sslkey instead',
  uselibpqcompat: () => 'leave it out: sslmode means what it says here',
  supa: () => 'leave it out'
}

/** Userinfo reaches to the last @ before the path; there may be several hosts. */
const URL_PARTS =
  /^postgres(?:ql)?:\/\/(?:(?<user>[^:@/?#]*)(?::(?<password>[^@/?#]*))?@)?(?<hosts>[^\s@/?#]*)(?:\/(?<database>[^/?#@]*))?(?:\?(?<query>[^#@]*))?$/i

/** Reads a URL by its parts. Node's own parser would accept forms that libpq reads in another way. */
function parseUrl(url: string, source: string): PostgresUrl {
  const found = URL_PARTS.exec(url)?.groups
  if (found === undefined) {
    throw notUrl(source)
  }
  const parameters = parseParameters(found.query ?? '', source)
  const hosts = parseHosts(found.hosts ?? '', source)
  const socket = parameters.get('host')
  const port = parameters.get('port')
  if (hosts.length > 0 && socket) throw fail(`${source} names a host and has the parameter "host" too; leave one of them out.`)
  if (hosts.length > 0 && port)
    throw fail(`${source} names a host and has the parameter "port" too; write it behind the host: host:${port}.`)
  if (hosts.length === 0 && !socket) throw noHost(source)
  if (port && !PORT.accepts(port)) throw fail(`${source} must have ${PORT.expected}; got ${show('', port)}.`)
  return {
    user: decode(found.user ?? '', source, 'user'),
    password: decode(found.password ?? '', source, 'password'),
    hosts: socket ? [{ host: socket, port: port ? Number(port) : undefined }] : hosts,
    database: decode(found.database ?? '', source, 'database'),
    parameters
  }
}

function notUrl(source: string): DatabaseError {
  return fail(
    `${source} is not a URL of the form postgres://user:password@host:port/database. If the password has characters ` +
      'such as @ : / ? # %, percent-encode them (encodeURIComponent).'
  )
}

function noHost(source: string): DatabaseError {
  return fail(`${source} names no host; expected postgres://user:password@host:port/database.`)
}

/** A host is a name, an address, or an IPv6 address in brackets. */
const HOST = /^(\[[0-9a-f:.%]+\]|[^:[\]]+)(?::(\d*))?$/i

function parseHosts(text: string, source: string): { host: string; port: number | undefined }[] {
  if (text === '') return []
  return text.split(',').map(part => {
    const [, host, port] = HOST.exec(part) ?? []
    if (host === undefined) throw /^(:|$)/.test(part) ? noHost(source) : notUrl(source)
    if (port && !PORT.accepts(port)) throw fail(`${source} must have ${PORT.expected}; got ${port}.`)
    return { host: decode(host, source, 'host').replace(/^\[|\]$/g, ''), port: port ? Number(port) : undefined }
  })
}

function parseParameters(query: string, source: string): Map<string, string> {
  const parameters = new Map<string, string>()
  for (const pair of query.split('&').filter(pair => pair !== '')) {
    const [name = '', value = ''] = pair.split(/=(.*)/s).map(part => decode(part, source, 'query'))
    if (!(URL_PARAMETERS as readonly string[]).includes(name)) throw unknownParameter(name, value, source)
    if (parameters.has(name)) throw fail(`${source} has the parameter "${name}" twice.`)
    parameters.set(name, value)
  }
  return parameters
}

function unknownParameter(name: string, value: string, source: string): DatabaseError {
  if (Object.hasOwn(FOREIGN_PARAMETERS, name)) return fail(`${source} has the parameter "${name}"; ${FOREIGN_PARAMETERS[name]?.(value)}.`)
  const nearest = nearestTo(name, URL_PARAMETERS)
  const hint = nearest === undefined ? `allowed: ${URL_PARAMETERS.join(', ')}` : `did you mean "${nearest}"?`
  return fail(`${source} has the unknown parameter "${name}"; ${hint}`)
}

function decode(text: string, source: string, part: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw fail(`${source}: the ${part} has a % that is not followed by two hexadecimal digits; write a % itself as %25.`)
  }
}
