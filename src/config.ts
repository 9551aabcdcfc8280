/** Config, connection URL and environment, validated and merged into one `Settings` value. */
import { resolve } from 'node:path'
import { checkConfig, checked, fail, PORT, show, TLS, type TlsMode, tlsMode } from './config-check.ts'
import { DEFAULT_MAX_VALUE_BYTES } from './kvs/limits.ts'
import { nearestTo } from './nearest.ts'
import { type ChannelBinding, NO_URL, type PostgresUrl, parseUrl, type TargetServer } from './postgres-url.ts'

export type { TargetServer }

/** How to reach the database. Each setting that is left out comes from the environment, else it has its default. */
export interface DatabaseConfig {
  /** The directory of the SQLite file; created when missing. @default env `DATA_DIR`, else `./data` */
  dataDir?: string | undefined
  /** Where the SQLite file is, and how it is opened. */
  sqlite?:
    | {
        /** The database's file, or `:memory:`. @default `${dataDir}/db.sqlite` */
        location?: string | undefined
        /**
         * The package to use; without it, better-sqlite3 where it is installed and works, else `node:sqlite` (Node.js 24
         * and newer, Bun, Deno).
         */
        driver?: SqlitePackage | undefined
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
  /** Whether Postgres is used, and how to reach the server. */
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
  /** Limits of the key-value store. */
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

/** The packages that the SQLite driver works with. */
export type SqlitePackage = 'better-sqlite3' | 'node:sqlite'

/** Milliseconds; 0 is no limit. */
export interface Timeouts {
  readonly connect: number
  readonly acquire: number
  readonly query: number
  readonly lock: number
}

/** How long a loop over `iterate()` may take no row, in ms; 0 for no limit. Its body may be slow, so it is long. */
export function loopLimitOf({ query }: Pick<Timeouts, 'query'>): number {
  return query * 10
}

interface CommonSettings {
  readonly maxValueBytes: number
  readonly timeouts: Timeouts
}

export interface SqliteSettings extends CommonSettings {
  readonly dialect: 'sqlite'
  /** An absolute path, or `:memory:`. */
  readonly location: string
  /** Undefined for the first one that works. */
  readonly driver: SqlitePackage | undefined
  readonly durability: 'full' | 'normal'
  readonly isReadOnly: boolean
  readonly pragmas: Readonly<Record<string, string>>
}

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
    timeouts: { ...DEFAULT_TIMEOUTS, ...(given.timeouts as Partial<Timeouts> | undefined) }
  }
  return isPostgresEnabled(given, env) ? postgresSettings(given, env, common) : sqliteSettings(given, env, common)
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

function isPostgresUrl(text: string): boolean {
  return /^\s*postgres(ql)?:/i.test(text)
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
    driver: given.sqlite?.driver,
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
  const { parameters } = url
  // What the URL leaves out comes from the single parts.
  const port = Number(postgres.port || checked('Environment variable PG_PORT', env.PG_PORT || 5432, PORT))
  const parts = url.hosts.length > 0 ? url.hosts : [{ host: postgres.host || env.PG_HOST || '127.0.0.1', port }]
  const hosts = parts.map(part => ({ host: part.host, port: part.port ?? port }))
  const user = url.user || postgres.user || env.PG_USER || osUser()
  const database = url.database || postgres.database || env.PG_DB || user
  const password = url.password || postgres.password || env.PG_PASSWORD || ''
  const tls = agreeOnTls(postgres.ssl, env, url)
  return {
    dialect: 'postgres',
    location: `postgres://${encodeURIComponent(user)}@${hosts.map(showHost).join(',')}/${encodeURIComponent(database)}`,
    hosts,
    targetServer: (parameters.target_session_attrs || 'any') as TargetServer,
    user,
    database,
    password: typeof password === 'function' ? password : () => password,
    tls,
    ca: authorityOf(postgres.ca || parameters.sslrootcert || env.PG_SSL_CA || undefined),
    ...clientCertificate(postgres.cert || parameters.sslcert || env.PG_SSL_CERT, postgres.key || parameters.sslkey || env.PG_SSL_KEY),
    channelBinding: channelBindingOf(parameters.channel_binding || 'prefer', tls),
    applicationName: parameters.application_name || 'duolect',
    options: parameters.options || undefined,
    maxConnections: postgres.maxConnections ?? 10,
    pooler: postgres.pooler ?? parameters.pgbouncer === 'true',
    maxValueBytes: common.maxValueBytes,
    timeouts:
      parameters.connect_timeout === undefined || given.timeouts?.connect !== undefined
        ? common.timeouts
        : { ...common.timeouts, connect: Number(parameters.connect_timeout) * 1000 }
  }
}

/** The explicit URL, else the environment's, unless the config names a server of its own. */
function connectionUrl(postgres: NonNullable<DatabaseConfig['postgres']>, env: Environment): PostgresUrl {
  if (postgres.connection) return parseUrl(postgres.connection, 'Setting "postgres.connection"')
  const { host, port, user, password, database } = postgres
  if (!env.DATABASE_URL || host || port || user || password || database) return NO_URL
  return parseUrl(env.DATABASE_URL, 'Environment variable DATABASE_URL')
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

/** The host and its port, as a URL has them. */
export function showHost({ host, port }: Host): string {
  return `${host.includes(':') ? `[${host}]` : encodeURIComponent(host)}:${port}`
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

function channelBindingOf(mode: string, tls: TlsMode): ChannelBinding {
  if (mode === 'require' && tls === 'disable') {
    throw fail('Parameter "channel_binding=require" of the Postgres URL needs TLS; add sslmode=verify-full or sslmode=require.')
  }
  return mode as ChannelBinding
}

/** The mode that config or environment, and the URL, agree on. */
function agreeOnTls(ssl: boolean | string | undefined, env: Environment, { parameters }: PostgresUrl): TlsMode {
  const sources = [
    ssl === undefined
      ? { name: 'environment variable PG_SSL', value: env.PG_SSL || undefined }
      : { name: 'setting "postgres.ssl"', value: ssl },
    { name: '"sslmode" in the Postgres URL', value: parameters.sslmode },
    { name: '"ssl" in the Postgres URL', value: parameters.ssl }
  ].flatMap(({ name, value }) =>
    value === undefined ? [] : [{ name, value, mode: tlsMode(checked(`TLS: ${name}`, value, TLS)) as TlsMode }]
  )
  const [first] = sources
  if (first === undefined) return 'disable'
  const other = sources.find(({ mode }) => mode !== first.mode)
  if (other === undefined) return first.mode
  throw fail(
    `TLS: ${first.name} says ${show(first.value)} (${first.mode}), but ${other.name} says ${show(other.value)} ` +
      `(${other.mode}). Leave one of them out, or make them agree.`
  )
}
