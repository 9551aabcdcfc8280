/** Reads a Postgres URL by its parts. Node's own parser would accept forms that libpq reads in another way. */
import { checked, fail, type Kind, oneOf, PORT, show } from './config-check.ts'
import type { DatabaseError } from './errors.ts'
import { nearestTo } from './nearest.ts'

/** libpq's `channel_binding`: whether SCRAM authentication is bound to the TLS connection. */
export type ChannelBinding = 'disable' | 'prefer' | 'require'

/** libpq's `target_session_attrs`. */
export type TargetServer = 'any' | 'read-write' | 'read-only' | 'primary' | 'standby' | 'prefer-standby'

/** What a URL says. A part that it leaves out is empty. */
export interface PostgresUrl {
  readonly user: string
  readonly password: string
  readonly hosts: readonly UrlHost[]
  readonly database: string
  readonly parameters: UrlParameters
}

interface UrlHost {
  readonly host: string
  readonly port: number | undefined
}

type UrlParameters = { readonly [P in keyof typeof PARAMETERS]?: string }

export const NO_URL: PostgresUrl = { user: '', password: '', hosts: [], database: '', parameters: {} }

const ANY: Kind = { expected: 'a text', accepts: () => true }

/** What the parameters may be. TLS modes are checked together with those of other sources. */
const PARAMETERS = {
  sslmode: ANY,
  ssl: ANY,
  sslrootcert: ANY,
  sslcert: ANY,
  sslkey: ANY,
  channel_binding: oneOf('disable', 'prefer', 'require'),
  application_name: ANY,
  connect_timeout: { expected: 'seconds as a whole number', accepts: (value: unknown) => /^\d{1,6}$/.test(String(value)) },
  options: ANY,
  host: ANY,
  port: ANY,
  target_session_attrs: oneOf('any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'),
  pgbouncer: oneOf('true', 'false')
} satisfies Record<string, Kind>

/** Parameters that other tools put into their URLs, and what to write here. */
const FOREIGN_PARAMETERS: Readonly<Record<string, (value: string) => string>> = {
  schema: asSearchPath,
  currentSchema: asSearchPath,
  connection_limit: () => 'leave it out, and set "postgres.maxConnections"',
  pool_timeout: () => 'leave it out, and set "timeouts.acquire"',
  socket_timeout: () => 'leave it out, and set "timeouts.query"',
  statement_cache_size: () => 'leave it out; behind a pooler write pgbouncer=true',
  sslaccept: value => `write sslmode=${value === 'strict' ? 'verify-full' : 'no-verify'} instead`,
  sslidentity: () => 'write sslcert and sslkey instead',
  uselibpqcompat: () => 'leave it out: sslmode means what it says here',
  supa: () => 'leave it out'
}

function asSearchPath(schema: string): string {
  return `write options=-c%20search_path%3D${encodeURIComponent(schema || 'public')} instead`
}

/** Userinfo reaches to the last @ before the path; there may be several hosts. */
const URL_PARTS =
  /^postgres(?:ql)?:\/\/(?:(?<user>[^:@/?#]*)(?::(?<password>[^@/?#]*))?@)?(?<hosts>[^\s@/?#]*)(?:\/(?<database>[^/?#@]*))?(?:\?(?<query>[^#@]*))?$/i

/**
 * Reads a URL.
 *
 * @param source where the URL comes from; the message of an error begins with it
 * @throws DatabaseError `invalid_configuration`; its message does not show the URL
 */
export function parseUrl(url: string, source: string): PostgresUrl {
  const found = URL_PARTS.exec(url)?.groups
  if (found === undefined) throw notUrl(source)
  const parameters = parseParameters(found.query ?? '', source)
  const hosts = parseHosts(found.hosts ?? '', source)
  const { host: socket, port } = parameters
  if (hosts.length > 0 && socket) throw fail(`${source} names a host and has the parameter "host" too; leave one of them out.`)
  if (hosts.length > 0 && port)
    throw fail(`${source} names a host and has the parameter "port" too; write it behind the host: host:${port}.`)
  if (hosts.length === 0 && !socket) throw noHost(source)
  return {
    user: decode(found.user ?? '', source, 'user'),
    password: decode(found.password ?? '', source, 'password'),
    hosts: socket ? [{ host: socket, port: portOf(port, source) }] : hosts,
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

function parseHosts(text: string, source: string): UrlHost[] {
  if (text === '') return []
  return text.split(',').map(part => {
    const [, host, port] = HOST.exec(part) ?? []
    if (host === undefined) throw /^(:|$)/.test(part) ? noHost(source) : notUrl(source)
    return { host: decode(host, source, 'host').replace(/^\[|\]$/g, ''), port: portOf(port, source) }
  })
}

function portOf(port: string | undefined, source: string): number | undefined {
  if (!port) return undefined
  if (!PORT.accepts(port)) throw fail(`${source} must have ${PORT.expected}; got ${show(port)}.`)
  return Number(port)
}

function parseParameters(query: string, source: string): UrlParameters {
  const parameters: Record<string, string> = Object.create(null)
  for (const pair of query.split('&').filter(pair => pair !== '')) {
    const [name = '', value = ''] = pair.split(/=(.*)/s).map(part => decode(part, source, 'query'))
    if (!Object.hasOwn(PARAMETERS, name)) throw unknownParameter(name, value, source)
    if (name in parameters) throw fail(`${source} has the parameter "${name}" twice.`)
    parameters[name] = checked(`Parameter "${name}" of the Postgres URL`, value, PARAMETERS[name as keyof typeof PARAMETERS])
  }
  return parameters
}

function unknownParameter(name: string, value: string, source: string): DatabaseError {
  if (Object.hasOwn(FOREIGN_PARAMETERS, name)) return fail(`${source} has the parameter "${name}"; ${FOREIGN_PARAMETERS[name]?.(value)}.`)
  const known = Object.keys(PARAMETERS)
  const nearest = nearestTo(name, known)
  const hint = nearest === undefined ? `allowed: ${known.join(', ')}` : `did you mean "${nearest}"?`
  return fail(`${source} has the unknown parameter "${name}"; ${hint}`)
}

function decode(text: string, source: string, part: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw fail(`${source}: the ${part} has a % that is not followed by two hexadecimal digits; write a % itself as %25.`)
  }
}
