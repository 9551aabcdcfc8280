/** From Postgres's SQLSTATEs and the failures of a connection to duolect's codes. */
import { DatabaseError, type ErrorCode, messageOf, withoutQuoted } from '../../errors.ts'
import { wordsOf } from '../../statement.ts'

/**
 * By SQLSTATE (Postgres manual, appendix A): the condition's own name, or the one that it shares with SQLite and with
 * duolect's own errors. A state that is not here falls back to its class, the first two characters.
 */
export const CODES: Readonly<Record<string, ErrorCode>> = {
  '08000': 'connection_exception',
  '08001': 'sqlclient_unable_to_establish_sqlconnection',
  '08003': 'connection_does_not_exist',
  '08004': 'sqlserver_rejected_establishment_of_sqlconnection',
  // `connection_failure` is that of duolect's own connection.
  '08006': 'connection_exception',
  '08007': 'transaction_resolution_unknown',
  '08P01': 'protocol_violation',
  '09': 'triggered_action_exception',
  '0A': 'feature_not_supported',
  '0B': 'invalid_transaction_initiation',
  '0L000': 'invalid_grantor',
  '0LP01': 'invalid_grant_operation',
  '0P': 'invalid_role_specification',
  '20': 'case_not_found',
  '21000': 'cardinality_violation',
  '22000': 'data_exception',
  '2202E': 'array_subscript_error',
  '22021': 'character_not_in_repertoire',
  '22008': 'datetime_field_overflow',
  '22012': 'division_by_zero',
  '22005': 'error_in_assignment',
  '2200B': 'escape_character_conflict',
  '22022': 'indicator_overflow',
  '22015': 'interval_field_overflow',
  '2201E': 'invalid_argument_for_logarithm',
  '22014': 'invalid_argument_for_ntile_function',
  '22016': 'invalid_argument_for_nth_value_function',
  '2201F': 'invalid_argument_for_power_function',
  '2201G': 'invalid_argument_for_width_bucket_function',
  '22018': 'invalid_character_value_for_cast',
  '22007': 'invalid_datetime_format',
  '22019': 'invalid_escape_character',
  '2200D': 'invalid_escape_octet',
  '22025': 'invalid_escape_sequence',
  '22P06': 'nonstandard_use_of_escape_character',
  '22010': 'invalid_indicator_parameter_value',
  '22023': 'invalid_parameter_value',
  '22013': 'invalid_preceding_or_following_size',
  '2201B': 'invalid_regular_expression',
  '2201W': 'invalid_row_count_in_limit_clause',
  '2201X': 'invalid_row_count_in_result_offset_clause',
  '2202H': 'invalid_tablesample_argument',
  '2202G': 'invalid_tablesample_repeat',
  '22009': 'invalid_time_zone_displacement_value',
  '2200C': 'invalid_use_of_escape_character',
  '2200G': 'most_specific_type_mismatch',
  '22004': 'null_value_not_allowed',
  '22002': 'null_value_no_indicator_parameter',
  '22003': 'numeric_value_out_of_range',
  '2200H': 'sequence_generator_limit_exceeded',
  '22026': 'string_data_length_mismatch',
  '22001': 'string_data_right_truncation',
  '22011': 'substring_error',
  '22027': 'trim_error',
  '22024': 'unterminated_c_string',
  '2200F': 'zero_length_character_string',
  '22P01': 'floating_point_exception',
  '22P02': 'invalid_text_representation',
  '22P03': 'invalid_binary_representation',
  '22P04': 'bad_copy_file_format',
  '22P05': 'untranslatable_character',
  '2200L': 'not_an_xml_document',
  '2200M': 'invalid_xml_document',
  '2200N': 'invalid_xml_content',
  '2200S': 'invalid_xml_comment',
  '2200T': 'invalid_xml_processing_instruction',
  '22030': 'duplicate_json_object_key_value',
  '22031': 'invalid_argument_for_sql_json_datetime_function',
  '22032': 'invalid_json_text',
  '22033': 'invalid_sql_json_subscript',
  '22034': 'more_than_one_sql_json_item',
  '22035': 'no_sql_json_item',
  '22036': 'non_numeric_sql_json_item',
  '22037': 'non_unique_keys_in_a_json_object',
  '22038': 'singleton_sql_json_item_required',
  '22039': 'sql_json_array_not_found',
  '2203A': 'sql_json_member_not_found',
  '2203B': 'sql_json_number_not_found',
  '2203C': 'sql_json_object_not_found',
  '2203D': 'too_many_json_array_elements',
  '2203E': 'too_many_json_object_members',
  '2203F': 'sql_json_scalar_required',
  '2203G': 'sql_json_item_cannot_be_cast_to_target_type',
  '22': 'data_exception',
  '23000': 'integrity_constraint_violation',
  // Postgres from version 18 on says so of ON DELETE RESTRICT.
  '23001': 'foreign_key_violation',
  '23502': 'not_null_violation',
  '23503': 'foreign_key_violation',
  '23505': 'unique_violation',
  '23514': 'check_violation',
  '23P01': 'exclusion_violation',
  '24': 'invalid_cursor_state',
  '25000': 'invalid_transaction_state',
  '25001': 'active_sql_transaction',
  '25002': 'branch_transaction_already_active',
  '25008': 'held_cursor_requires_same_isolation_level',
  '25003': 'inappropriate_access_mode_for_branch_transaction',
  '25004': 'inappropriate_isolation_level_for_branch_transaction',
  '25005': 'no_active_sql_transaction_for_branch_transaction',
  // As SQLite's files and transactions that allow no writes.
  '25006': 'read_only',
  '25007': 'schema_and_data_statement_mixing_not_supported',
  '25P01': 'no_active_sql_transaction',
  '25P02': 'in_failed_sql_transaction',
  '25P03': 'idle_in_transaction_session_timeout',
  '25P04': 'transaction_timeout',
  '26': 'undefined_object',
  '27': 'triggered_data_change_violation',
  '28': 'invalid_authorization',
  '2B': 'dependent_objects_still_exist',
  '2D': 'invalid_transaction_termination',
  '2F': 'sql_routine_exception',
  '34': 'invalid_cursor_name',
  '38': 'external_routine_exception',
  '39': 'external_routine_exception',
  '3B': 'undefined_object',
  '3D': 'undefined_database',
  '3F': 'undefined_object',
  '40000': 'transaction_rollback',
  '40002': 'transaction_integrity_constraint_violation',
  '40001': 'serialization_failure',
  '40003': 'commit_unknown',
  '40P01': 'deadlock_detected',
  '42000': 'syntax_error_or_access_rule_violation',
  '42601': 'syntax_error',
  '42501': 'insufficient_privilege',
  '42846': 'cannot_coerce',
  '42803': 'grouping_error',
  '42P20': 'windowing_error',
  '42P19': 'invalid_recursion',
  '42830': 'invalid_foreign_key',
  '42602': 'invalid_name',
  '42622': 'name_too_long',
  '42939': 'reserved_name',
  '42804': 'datatype_mismatch',
  '42P18': 'indeterminate_datatype',
  '42P21': 'collation_mismatch',
  '42P22': 'indeterminate_collation',
  '42809': 'wrong_object_type',
  '428C9': 'generated_always',
  '42703': 'undefined_column',
  '42883': 'undefined_function',
  '42P01': 'undefined_table',
  // As a placeholder that SQLite misses a value for.
  '42P02': 'invalid_parameter',
  '42704': 'undefined_object',
  '42701': 'duplicate_column',
  '42P03': 'duplicate_cursor',
  '42P04': 'duplicate_database',
  '42723': 'duplicate_function',
  '42P05': 'duplicate_prepared_statement',
  '42P06': 'duplicate_schema',
  '42P07': 'duplicate_table',
  '42712': 'duplicate_alias',
  '42710': 'duplicate_object',
  '42702': 'ambiguous_column',
  '42725': 'ambiguous_function',
  '42P08': 'ambiguous_parameter',
  '42P09': 'ambiguous_alias',
  '42P10': 'invalid_column_reference',
  '42611': 'invalid_column_definition',
  '42P11': 'invalid_cursor_definition',
  '42P12': 'invalid_database_definition',
  '42P13': 'invalid_function_definition',
  '42P14': 'invalid_prepared_statement_definition',
  '42P15': 'invalid_schema_definition',
  '42P16': 'invalid_table_definition',
  '42P17': 'invalid_object_definition',
  '44': 'with_check_option_violation',
  '53': 'insufficient_resources',
  '53100': 'disk_full',
  '53200': 'out_of_memory',
  '53300': 'too_many_connections',
  '53400': 'configuration_limit_exceeded',
  '54': 'program_limit_exceeded',
  '55000': 'object_not_in_prerequisite_state',
  '55006': 'object_in_use',
  '55P02': 'cant_change_runtime_param',
  '55P03': 'lock_not_available',
  '55P04': 'unsafe_new_enum_value_usage',
  '57000': 'operator_intervention',
  '57014': 'query_canceled',
  '57P01': 'admin_shutdown',
  '57P02': 'crash_shutdown',
  '57P03': 'cannot_connect_now',
  '57P04': 'database_dropped',
  '57P05': 'idle_session_timeout',
  '58': 'io_error',
  '72': 'snapshot_too_old',
  F0: 'config_file_error',
  HV: 'fdw_error',
  P0000: 'plpgsql_error',
  P0001: 'raise_exception',
  P0002: 'no_data_found',
  P0003: 'too_many_rows',
  P0004: 'assert_failure',
  XX000: 'internal_error',
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
  readonly severity?: string
  /** The function of the server's source that reports it; PgBouncer names none. */
  readonly routine?: string
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
  return !isServerError(error)
}

/** What is known of a failure beside the statement. */
interface Circumstances {
  /** How much of the statement stands before the caller's text. */
  readonly offset?: number
  /** True if the server closed the connection with the error; else a function may have raised what sounds so. */
  readonly isLost?: boolean
  /** True if a parameter is an array, which travels as JSON. */
  readonly hasArray?: boolean
  /** True if `postgres.pooler` is set. */
  readonly isPooled?: boolean
}

/**
 * Makes a `DatabaseError` of what `pg` threw.
 *
 * @param sql the statement; without it the error is that of connecting, which shows settings and no values
 */
export function postgresError(
  error: unknown,
  sql?: string,
  { offset = 0, isLost = false, hasArray = false, isPooled = false }: Circumstances = {}
): DatabaseError {
  if (error instanceof DatabaseError) return error
  if (!isServerError(error)) {
    return new DatabaseError(
      'connection_failure',
      `The connection to Postgres was lost (${messageOf(error)}); the statement may have taken effect or not.`,
      { cause: error }
    )
  }
  const refusal = poolerRefusal(error)
  if (refusal !== undefined) {
    return new DatabaseError('connection_failure', `PgBouncer refused, and passed nothing on to the server: ${error.message}. ${refusal}`, {
      cause: withoutDetails(error, error.message),
      isRetryable: true
    })
  }
  const message = withoutData(error, sql)
  const code = isLost && /^(57P|08)/.test(error.code) ? 'connection_failure' : codeOf(error.code)
  const made = new DatabaseError(code, describe(error, message, { offset, hasArray, isPooled }), {
    cause: withoutDetails(error, message),
    constraint: error.constraint || undefined,
    table: error.table || undefined,
    column: error.column || columnOf(error),
    serverDetail: error.detail
  })
  if (error.where) raisedInside.add(made)
  return made
}

/** The error for an answer that cannot be read, which leaves the connection useless. */
export function unreadableError(error: unknown): DatabaseError {
  const isTooLong = error instanceof RangeError || (error as { code?: unknown }).code === 'ERR_STRING_TOO_LONG'
  const made = new DatabaseError(
    isTooLong ? 'program_limit_exceeded' : 'connection_failure',
    isTooLong
      ? 'A value of the result is longer than a string of JavaScript can be (512 MB); read it in pieces with substr(). The connection was closed.'
      : `The answer of Postgres could not be read (${messageOf(error)}); the connection was closed.`,
    { cause: error }
  )
  unread.add(made)
  return made
}

const unread = new WeakSet<DatabaseError>()

/** True if the statement may have taken effect, but its answer could not be read. */
export function wasUnread(error: unknown): boolean {
  return unread.has(error as DatabaseError)
}

/** The server's SQLSTATE; empty for an error of duolect's own. */
export function stateOf(error: unknown): string {
  const state = error instanceof DatabaseError ? (error.cause as { code?: unknown } | undefined)?.code : undefined
  return typeof state === 'string' ? state : ''
}

const raisedInside = new WeakSet<DatabaseError>()

/** True if a function or a trigger raised the error while the statement ran. */
export function wasRaisedInside(error: DatabaseError): boolean {
  return raisedInside.has(error)
}

function codeOf(state: string): ErrorCode {
  return CODES[state] ?? CODES[state.slice(0, 2)] ?? 'unclassified'
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

/** What to do when a pooler is at fault. */
export function poolerAdvice(isPooled: boolean): string | undefined {
  return isPooled ? undefined : 'If a pooler such as PgBouncer stands before the server, set "postgres.pooler" to true.'
}

/** The codes of a server or a pooler that meets named statements or settings of another session. */
const POOLER_STATES: readonly string[] = ['42P05', '26000', '08P01']

const ADVICE: Readonly<Record<string, string>> = {
  '53300': 'Lower "postgres.maxConnections", or put a pooler before the server.',
  '25006': 'The transaction or the server allows no writes.',
  '42P08': 'Write CAST(:x AS …) at the first use of the parameter.',
  '42P18': 'Write CAST(:x AS …) at the first use of the parameter.'
}

const ARRAY_ADVICE =
  'An array is bound as JSON. For a list write sql`… IN (${sql.list(values)})`; for a column of an array type give its text, such as {1,2}.'

const NO_SERVER = "The server behind it is down, or refuses PgBouncer; PgBouncer's log says which."

/** What PgBouncer says to clients that have no server connection, so that nothing of theirs was sent; and what to do. */
const POOLER_REFUSALS: readonly (readonly [begin: string, advice: string])[] = [
  ['server login has been failing', NO_SERVER],
  ['pgbouncer cannot connect to server', NO_SERVER],
  ['server DNS lookup failed', NO_SERVER],
  ['client_login_timeout', NO_SERVER],
  ['query_wait_timeout', 'Its server connections were all in use for that time: keep transactions short, or raise default_pool_size.'],
  ['no more connections allowed', 'Lower "postgres.maxConnections", or raise max_client_conn.'],
  ['client connections exceeded', 'Lower "postgres.maxConnections", or raise the limit that it names.'],
  ['client_idle_timeout', 'Make it longer than 30 s, after which duolect closes unused connections itself.']
]

function poolerRefusal({ code, severity, routine, message }: ServerError): string | undefined {
  if (code !== '08P01' || severity !== 'FATAL' || routine !== undefined) return undefined
  return POOLER_REFUSALS.find(([begin]) => message.startsWith(begin))?.[1]
}

function describe({ code, position, hint }: ServerError, message: string, { offset = 0, hasArray, isPooled }: Circumstances): string {
  const place = position ? ` (at character ${Number(position) - offset} of the statement)` : ''
  const isOfPooler = POOLER_STATES.includes(code)
  const ownAdvice = hasArray && code === '22P02' ? ARRAY_ADVICE : isOfPooler ? poolerAdvice(isPooled === true) : ADVICE[code]
  const advice = ownAdvice ?? (hint && !code.startsWith('22') && !code.startsWith('23') ? hint : undefined)
  return `${message}${place}${advice ? `. ${advice}` : ''}`
}
