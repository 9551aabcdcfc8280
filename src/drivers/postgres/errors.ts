/** From Postgres's SQLSTATEs and the failures of a connection to duolect's codes. */
import { DatabaseError, type ErrorCode, messageOf, withoutQuoted } from '../../errors.ts'
import { wordsOf } from '../../statement.ts'

/** By SQLSTATE (Postgres manual, appendix A). A state that is not here falls back to its class, the first two characters. */
export const CODES: Readonly<Record<string, ErrorCode>> = {
  '23505': 'unique_violation',
  '23503': 'foreign_key_violation',
  '23502': 'not_null_violation',
  '23514': 'check_violation',
  '23P01': 'exclusion_violation',
  '42601': 'syntax_error',
  '42P01': 'undefined_table',
  '42703': 'undefined_column',
  '42883': 'undefined_function',
  '42704': 'undefined_object',
  '3F000': 'undefined_object',
  '3B001': 'undefined_object',
  '42702': 'ambiguous_column',
  '2BP01': 'dependent_objects_still_exist',
  '42P07': 'duplicate_table',
  '42701': 'duplicate_column',
  '42710': 'duplicate_object',
  '42P05': 'duplicate_object',
  '26': 'undefined_object',
  '42P10': 'invalid_column_reference',
  '42803': 'grouping_error',
  '42804': 'datatype_mismatch',
  '42P18': 'datatype_mismatch',
  '42P02': 'invalid_parameter',
  '42501': 'insufficient_privilege',
  '22003': 'numeric_value_out_of_range',
  '22012': 'division_by_zero',
  '22P02': 'invalid_text_representation',
  '22P03': 'invalid_text_representation',
  '22007': 'invalid_text_representation',
  '22008': 'numeric_value_out_of_range',
  '22': 'data_exception',
  '54': 'program_limit_exceeded',
  '0A': 'feature_not_supported',
  P0001: 'raise_exception',
  P0002: 'no_data_found',
  P0003: 'too_many_rows',
  '25001': 'active_sql_transaction',
  '25006': 'read_only',
  '25P02': 'in_failed_sql_transaction',
  '25P03': 'idle_in_transaction_session_timeout',
  '2D': 'invalid_transaction_termination',
  '40001': 'serialization_failure',
  '40P01': 'deadlock_detected',
  '40003': 'commit_unknown',
  '55P03': 'lock_not_available',
  '57014': 'query_canceled',
  '57P': 'connection_failure',
  '08': 'connection_failure',
  '53300': 'too_many_connections',
  '53100': 'disk_full',
  '53200': 'out_of_memory',
  '58': 'io_error',
  '28': 'invalid_authorization',
  '3D': 'undefined_database',
  XX001: 'data_corrupted',
  XX002: 'data_corrupted'
}

/** What is read of the error that the server sent. */
interface ServerError extends Error {
  readonly code: string
  readonly detail?: string
  readonly hint?: string
  /** The functions that were running. */
  readonly where?: string
  readonly position?: string
  readonly schema?: string
  readonly dataType?: string
  readonly table?: string
  readonly column?: string
  readonly constraint?: string
}

function isServerError(error: unknown): error is ServerError {
  const code = (error as { code?: unknown } | null)?.code
  return error instanceof Error && typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && 'severity' in error
}

/** True if the connection is lost, so that it is unknown whether the statement took effect. */
export function isConnectionLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error instanceof DatabaseError) return error.code === 'connection_failure'
  return !isServerError(error) || /^(57P|08)/.test(error.code)
}

/**
 * Makes a `DatabaseError` of what `pg` threw.
 *
 * @param sql the statement; without it the error is that of connecting, which shows settings and no values
 * @param offset how much of it stands before the caller's text
 */
export function postgresError(error: unknown, sql?: string, offset = 0): DatabaseError {
  if (error instanceof DatabaseError) return error
  if (!isServerError(error)) {
    return new DatabaseError(
      'connection_failure',
      `The connection to Postgres was lost (${messageOf(error)}); the statement may have taken effect or not.`,
      { cause: error }
    )
  }
  const message = withoutData(error, sql)
  const made = new DatabaseError(codeOf(error.code), describe(error, message, offset), {
    cause: withoutDetails(error, message),
    constraint: error.constraint || undefined,
    table: error.table || undefined,
    column: error.column || columnOf(error),
    serverDetail: error.detail
  })
  if (error.where) raisedInside.add(made)
  return made
}

const raisedInside = new WeakSet<DatabaseError>()

/** True if a function or a trigger raised the error while the statement ran. */
export function wasRaisedInside(error: DatabaseError): boolean {
  return raisedInside.has(error)
}

function codeOf(state: string): ErrorCode {
  return CODES[state] ?? CODES[state.slice(0, 3)] ?? CODES[state.slice(0, 2)] ?? 'unclassified'
}

/** A name with dots, or that of a function, as some messages have it without quotes. */
const BARE_NAME = /(?<![^\s"().])[^\s"().]+(?:(?:\.[^\s"().]+)+|(?=\())/g

const BEHIND_COLON = /(?<=^[^:：]*[:：]\s*)\S.*/s

/** A number that stands by itself, not the length of `varying(3)`. */
const NUMBER = /(?<!\S)[-+]?\d\S*/g

/**
 * The server's message without what may be a value. Its wording depends on its language and version, so quotes,
 * digits and dots are all that is looked for.
 */
function withoutData(error: ServerError, sql: string | undefined): string {
  const { code, message, position, table, column, constraint, schema, dataType } = error
  if (message === 'cannot insert multiple commands into a prepared statement') {
    return 'The text has more than one statement; run scripts with exec()'
  }
  // What RAISE says was written to be shown.
  if (code === 'P0001') return message
  // Data exceptions are about values: none of their quotes and no number of their own is shown.
  if (code.startsWith('22')) return withoutQuoted(message, () => false).replace(NUMBER, '…')
  if (sql === undefined) return message
  const isKnown = wordsOf(sql, 'postgres', [table, column, constraint, schema, dataType].join(' '))
  const masked = (name: string) => (isKnown(name) ? name : '…')
  const text = withoutQuoted(message, isKnown).replace(BARE_NAME, masked)
  // With a position it is about the statement's text, and has the types of an operator behind a colon. Else it is about
  // what came while it ran. What other classes have there is the reason of the operating system.
  if (position || !/^(0A|42|54)/.test(code)) return text
  return (code.startsWith('42') ? text.replace(NUMBER, '…') : text).replace(BEHIND_COLON, masked)
}

/** The column of a unique violation, which only the `detail` field names, whatever the server's language. */
function columnOf({ code, detail }: ServerError): string | undefined {
  if (code !== '23505' || detail === undefined) return undefined
  const columns = /^[^(]*\(([^()]+)\)=\(/.exec(detail)?.[1]
  return columns === undefined || columns.includes(', ') ? undefined : columns.replace(/^"|"$/g, '')
}

/** The server's error with its state, but without the fields that quote rows; those would show in a log. */
function withoutDetails({ name, code }: ServerError, message: string): Error {
  const cause = Object.assign(new Error(message), { code })
  cause.name = name === 'error' ? 'PostgresError' : name
  cause.stack = `${cause.name}: ${message}`
  return cause
}

export const POOLER_ADVICE = 'If a pooler such as PgBouncer stands before the server, set "postgres.pooler" to true.'

const ADVICE: Readonly<Record<string, string>> = {
  '42P05': POOLER_ADVICE,
  '26000': POOLER_ADVICE,
  '08P01': POOLER_ADVICE,
  '53300': 'Lower "postgres.maxConnections", or put a pooler before the server.',
  '25006': 'The transaction or the server allows no writes.'
}

function describe({ code, position, hint }: ServerError, message: string, offset: number): string {
  const place = position ? ` (at character ${Number(position) - offset} of the statement)` : ''
  const advice = ADVICE[code] ?? (hint && !code.startsWith('22') && !code.startsWith('23') ? hint : undefined)
  return `${message}${place}${advice ? `. ${advice}` : ''}`
}
