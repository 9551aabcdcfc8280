/** What each setting may be, and the messages that refuse another value. */
import { DatabaseError } from './errors.ts'
import { nearestTo } from './nearest.ts'

/** What a setting must be; the text completes "expected …". */
export interface Kind {
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
/** Like every text, it may be empty, which counts as not given: `process.env.PG_PORT || ''` makes such a one. */
export const PORT: Kind = {
  expected: 'a port from 1 to 65535',
  accepts: value =>
    value === '' ||
    ((typeof value === 'number' || (typeof value === 'string' && /^\d{1,5}$/.test(value))) && isWithin(Number(value), 1, 65535))
}
const COUNT = wholeNumber('a whole number', 1, 10_000)
/** The longest that a timer of Node can wait. */
const MILLISECONDS = wholeNumber('milliseconds as a whole number', 0, 2_147_483_647)
const BYTES = wholeNumber('bytes as a whole number', 1, 268_435_456)
const DRIVER: Kind = {
  expected: "'better-sqlite3' or 'node:sqlite'",
  accepts: value => value === 'better-sqlite3' || value === 'node:sqlite'
}
const DURABILITY: Kind = { expected: "'full' or 'normal'", accepts: value => value === 'full' || value === 'normal' }

/** How the connection is encrypted, and what of the server is verified. */
export type TlsMode = 'disable' | 'no-verify' | 'verify-ca' | 'verify-full'

const TLS_WORDS: Readonly<Record<TlsMode, readonly string[]>> = {
  disable: ['0', 'no', 'off', 'disable'],
  'verify-full': ['1', 'yes', 'on', 'verify-full'],
  'verify-ca': ['verify-ca'],
  'no-verify': ['no-verify', 'require']
}
const TLS_MODES = Object.keys(TLS_WORDS) as TlsMode[]

export const TLS: Kind = {
  expected: `true, false or one of: ${Object.values(TLS_WORDS).flat().join(', ')}`,
  accepts: value => (typeof value === 'boolean' || typeof value === 'string') && tlsMode(value) !== undefined
}

function wholeNumber(what: string, from: number, to: number): Kind {
  const start = from === 0 ? '0 (no limit)' : from
  return { expected: `${what} from ${start} to ${to}`, accepts: value => isWithin(value, from, to) }
}

function isWithin(value: unknown, from: number, to: number): boolean {
  return Number.isInteger(value) && (value as number) >= from && (value as number) <= to
}

/** One of several words; an empty text counts as not given. */
export function oneOf(...words: readonly string[]): Kind {
  return {
    expected: `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`,
    accepts: value => value === '' || words.includes(value as string)
  }
}

export function tlsMode(value: boolean | string): TlsMode | undefined {
  const word = String(value).trim().toLowerCase()
  if (word === 'false' || word === '') return 'disable'
  if (word === 'true') return 'verify-full'
  return TLS_MODES.find(mode => TLS_WORDS[mode].includes(word))
}

// Settings ------------------------------------------------------------------------------------------------------

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
]

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

interface Kinds {
  readonly [setting: string]: Kind | Kinds
}

const SETTINGS: Kinds = {
  dataDir: PATH,
  sqlite: {
    location: FILE,
    driver: DRIVER,
    durability: DURABILITY,
    readOnly: BOOLEAN,
    pragmas: Object.fromEntries(PRAGMAS.map(name => [name, PRAGMA]))
  },
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

/**
 * Returns a copy of the config that has its own properties alone, each read once and checked, so that nothing counts
 * that somebody put on a prototype.
 */
export function checkConfig(config: unknown, kinds: Kinds = SETTINGS, prefix = ''): Record<string, unknown> {
  if (config instanceof URL) throw fail('The configuration must be a string or a plain object, got a URL; give its href.')
  if (Object.prototype.toString.call(config) !== '[object Object]') {
    const what = prefix === '' ? 'The configuration' : `Setting "${prefix.slice(0, -1)}"`
    // A connection string in the wrong place has its password in it.
    const got = typeof config === 'string' ? 'a string' : show(config)
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
    copy[key] = isKind(kind) ? checked(`Setting "${name}"`, value, kind, SECRET.has(name)) : checkConfig(value, kind, `${name}.`)
  }
  return copy
}

function isKind(kind: Kind | Kinds): kind is Kind {
  return typeof kind.accepts === 'function'
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

// Errors --------------------------------------------------------------------------------------------------------

export function fail(message: string): DatabaseError {
  return new DatabaseError('invalid_configuration', message)
}

/** These are never shown, whatever was given. */
const SECRET = new Set(['postgres.password', 'postgres.connection', 'postgres.ca', 'postgres.cert', 'postgres.key'])

/**
 * Returns the value if it is of the kind.
 *
 * @param source where the value comes from; the message begins with it
 * @throws DatabaseError `invalid_configuration`
 */
export function checked<T>(source: string, value: T, kind: Kind, isSecret = false): T {
  if (kind.accepts(value)) return value
  throw fail(`${source} must be ${kind.expected}; got ${isSecret ? showType(value) : show(value)}.`)
}

/** What a message says of a value. */
export function show(value: unknown): string {
  // A URL that stands in the wrong place has its password in it all the same.
  if (typeof value === 'string') return value.includes('://') ? 'a URL' : JSON.stringify(value)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return showType(value)
}

function showType(value: unknown): string {
  return value === null || value === undefined ? String(value) : `a value of type ${typeof value}`
}
