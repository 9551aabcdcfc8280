/**
 * Every code that a `DatabaseError` can carry. Where SQLSTATE has a fitting condition, the code is that
 * condition's name (Postgres manual, appendix A); a code means the same on both databases.
 */
export type ErrorCode =
  // What the statement or its data did wrong.
  | 'unique_violation'
  | 'foreign_key_violation'
  | 'not_null_violation'
  | 'check_violation'
  | 'exclusion_violation'
  | 'syntax_error'
  | 'undefined_table'
  | 'undefined_column'
  | 'undefined_function'
  | 'undefined_object'
  | 'ambiguous_column'
  | 'duplicate_table'
  | 'duplicate_column'
  | 'duplicate_object'
  | 'invalid_column_reference'
  | 'grouping_error'
  | 'datatype_mismatch'
  | 'numeric_value_out_of_range'
  | 'division_by_zero'
  | 'invalid_text_representation'
  | 'data_exception'
  | 'program_limit_exceeded'
  | 'feature_not_supported'
  | 'raise_exception'
  // How many rows came.
  | 'no_data_found'
  | 'too_many_rows'
  // What the caller gave.
  | 'invalid_configuration'
  | 'invalid_parameter'
  | 'invalid_path'
  | 'invalid_value'
  // How handles and transactions were used.
  | 'wrong_handle'
  | 'migration_mismatch'
  | 'closed'
  | 'active_sql_transaction'
  | 'no_active_sql_transaction'
  | 'in_failed_sql_transaction'
  | 'idle_in_transaction_session_timeout'
  | 'invalid_transaction_termination'
  | 'commit_unknown'
  // What other work, the machine or the server did.
  | 'lock_not_available'
  | 'serialization_failure'
  | 'deadlock_detected'
  | 'query_canceled'
  | 'connection_failure'
  | 'too_many_connections'
  | 'invalid_authorization'
  | 'insufficient_privilege'
  | 'undefined_database'
  | 'missing_driver'
  | 'disk_full'
  | 'out_of_memory'
  | 'io_error'
  | 'read_only'
  | 'data_corrupted'
  // Conditions that Postgres alone has.
  | 'cardinality_violation'
  | 'array_subscript_error'
  | 'character_not_in_repertoire'
  | 'datetime_field_overflow'
  | 'error_in_assignment'
  | 'escape_character_conflict'
  | 'indicator_overflow'
  | 'interval_field_overflow'
  | 'invalid_argument_for_logarithm'
  | 'invalid_argument_for_ntile_function'
  | 'invalid_argument_for_nth_value_function'
  | 'invalid_argument_for_power_function'
  | 'invalid_argument_for_width_bucket_function'
  | 'invalid_character_value_for_cast'
  | 'invalid_datetime_format'
  | 'invalid_escape_character'
  | 'invalid_escape_octet'
  | 'invalid_escape_sequence'
  | 'nonstandard_use_of_escape_character'
  | 'invalid_indicator_parameter_value'
  | 'invalid_parameter_value'
  | 'invalid_preceding_or_following_size'
  | 'invalid_regular_expression'
  | 'invalid_row_count_in_limit_clause'
  | 'invalid_row_count_in_result_offset_clause'
  | 'invalid_tablesample_argument'
  | 'invalid_tablesample_repeat'
  | 'invalid_time_zone_displacement_value'
  | 'invalid_use_of_escape_character'
  | 'most_specific_type_mismatch'
  | 'null_value_not_allowed'
  | 'null_value_no_indicator_parameter'
  | 'sequence_generator_limit_exceeded'
  | 'string_data_length_mismatch'
  | 'string_data_right_truncation'
  | 'substring_error'
  | 'trim_error'
  | 'unterminated_c_string'
  | 'zero_length_character_string'
  | 'floating_point_exception'
  | 'invalid_binary_representation'
  | 'bad_copy_file_format'
  | 'untranslatable_character'
  | 'not_an_xml_document'
  | 'invalid_xml_document'
  | 'invalid_xml_content'
  | 'invalid_xml_comment'
  | 'invalid_xml_processing_instruction'
  | 'duplicate_json_object_key_value'
  | 'invalid_argument_for_sql_json_datetime_function'
  | 'invalid_json_text'
  | 'invalid_sql_json_subscript'
  | 'more_than_one_sql_json_item'
  | 'no_sql_json_item'
  | 'non_numeric_sql_json_item'
  | 'non_unique_keys_in_a_json_object'
  | 'singleton_sql_json_item_required'
  | 'sql_json_array_not_found'
  | 'sql_json_member_not_found'
  | 'sql_json_number_not_found'
  | 'sql_json_object_not_found'
  | 'too_many_json_array_elements'
  | 'too_many_json_object_members'
  | 'sql_json_scalar_required'
  | 'sql_json_item_cannot_be_cast_to_target_type'
  | 'integrity_constraint_violation'
  | 'invalid_transaction_state'
  | 'branch_transaction_already_active'
  | 'held_cursor_requires_same_isolation_level'
  | 'inappropriate_access_mode_for_branch_transaction'
  | 'inappropriate_isolation_level_for_branch_transaction'
  | 'no_active_sql_transaction_for_branch_transaction'
  | 'schema_and_data_statement_mixing_not_supported'
  | 'transaction_timeout'
  | 'transaction_rollback'
  | 'transaction_integrity_constraint_violation'
  | 'syntax_error_or_access_rule_violation'
  | 'cannot_coerce'
  | 'windowing_error'
  | 'invalid_recursion'
  | 'invalid_foreign_key'
  | 'invalid_name'
  | 'name_too_long'
  | 'reserved_name'
  | 'indeterminate_datatype'
  | 'collation_mismatch'
  | 'indeterminate_collation'
  | 'wrong_object_type'
  | 'generated_always'
  | 'duplicate_cursor'
  | 'duplicate_database'
  | 'duplicate_function'
  | 'duplicate_prepared_statement'
  | 'duplicate_schema'
  | 'duplicate_alias'
  | 'ambiguous_function'
  | 'ambiguous_parameter'
  | 'ambiguous_alias'
  | 'invalid_column_definition'
  | 'invalid_cursor_definition'
  | 'invalid_database_definition'
  | 'invalid_function_definition'
  | 'invalid_prepared_statement_definition'
  | 'invalid_schema_definition'
  | 'invalid_table_definition'
  | 'invalid_object_definition'
  | 'object_not_in_prerequisite_state'
  | 'object_in_use'
  | 'cant_change_runtime_param'
  | 'unsafe_new_enum_value_usage'
  | 'operator_intervention'
  | 'admin_shutdown'
  | 'crash_shutdown'
  | 'cannot_connect_now'
  | 'database_dropped'
  | 'idle_session_timeout'
  | 'connection_exception'
  | 'connection_does_not_exist'
  | 'sqlclient_unable_to_establish_sqlconnection'
  | 'sqlserver_rejected_establishment_of_sqlconnection'
  | 'transaction_resolution_unknown'
  | 'protocol_violation'
  | 'triggered_action_exception'
  | 'invalid_transaction_initiation'
  | 'invalid_grantor'
  | 'invalid_grant_operation'
  | 'invalid_role_specification'
  | 'case_not_found'
  | 'invalid_cursor_state'
  | 'triggered_data_change_violation'
  | 'dependent_objects_still_exist'
  | 'sql_routine_exception'
  | 'invalid_cursor_name'
  | 'external_routine_exception'
  | 'with_check_option_violation'
  | 'insufficient_resources'
  | 'configuration_limit_exceeded'
  | 'plpgsql_error'
  | 'assert_failure'
  | 'internal_error'
  | 'snapshot_too_old'
  | 'config_file_error'
  | 'fdw_error'
  | 'unclassified'

/** What a `DatabaseError` carries beside its code and message. */
export interface ErrorDetails {
  /** The driver's own error. */
  cause?: unknown
  /** True if the same call may succeed when it is repeated. @default by the code */
  isRetryable?: boolean | undefined
  constraint?: string | undefined
  table?: string | undefined
  column?: string | undefined
  /** Postgres's `detail`; it may hold row data, so it is kept out of logs. */
  serverDetail?: string | undefined
  sql?: string | undefined
  parameters?: unknown
}

const RETRYABLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['serialization_failure', 'deadlock_detected', 'lock_not_available'])

/** A registered symbol, so that `instanceof` holds for errors of another copy of the package. */
const BRAND = Symbol.for('duolect.DatabaseError')

/** What an error carries, but must not show when it is logged. */
type Hidden = Pick<ErrorDetails, 'sql' | 'parameters' | 'serverDetail'>

const hidden = new WeakMap<object, Hidden>()

/**
 * The one error class of duolect. Match on `code`, never on the message.
 *
 * `sql`, `parameters` and `serverDetail` are there for debugging but are no properties of its own, so that a logger
 * that prints the error prints no row data, not even one that asks for hidden properties.
 */
export class DatabaseError extends Error {
  /** What went wrong, the same on both databases; docs/errors.md has cause and remedy of each. */
  readonly code: ErrorCode
  /** True if the same call, or for a failed transaction the whole transaction, may succeed when it is repeated. */
  readonly isRetryable: boolean
  /** The constraint's name, where the database names it. */
  declare readonly constraint?: string
  /** The table, where the database names it. */
  declare readonly table?: string
  /** The column, where the database names it. */
  declare readonly column?: string

  /** @param details what is known beside the code: the driver's own error as `cause`, the constraint, the statement */
  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.isRetryable = details.isRetryable ?? RETRYABLE.has(code)
    for (const name of ['constraint', 'table', 'column'] as const) {
      if (details[name] !== undefined) this[name as 'table'] = details[name] as never
    }
    const { sql, parameters, serverDetail } = details
    hidden.set(this, { sql, parameters, serverDetail })
  }

  /** The statement, as the database got it. */
  get sql(): string | undefined {
    return hidden.get(this)?.sql
  }

  /** The statement's parameters. */
  get parameters(): unknown {
    return hidden.get(this)?.parameters
  }

  /**
   * Postgres's `detail`, which may hold row data. Node prints a property of that name when an error is emitted as a
   * warning, so it has another one.
   */
  get serverDetail(): string | undefined {
    return hidden.get(this)?.serverDetail
  }
}

// Not in a static block: bundlers rename a class that refers to itself in its body.
Object.defineProperties(DatabaseError.prototype, {
  name: { value: 'DatabaseError', configurable: true, writable: true },
  [BRAND]: { value: true }
})
Object.defineProperty(DatabaseError, Symbol.hasInstance, {
  value(this: unknown, value: unknown): boolean {
    // A subclass inherits this and means its own instances.
    if (this !== DatabaseError) return Function.prototype[Symbol.hasInstance].call(this, value)
    return typeof value === 'object' && value !== null && BRAND in value
  }
})

/** Attaches the statement to an error that was made where the statement was not known. Returns the error. */
export function withStatement<E>(error: E, statement: { readonly text: string; readonly parameters: unknown }): E {
  const details = hidden.get(error as object)
  if (details !== undefined && details.sql === undefined) {
    hidden.set(error as object, { ...details, sql: statement.text, parameters: statement.parameters })
  }
  return error
}

const QUOTE = /(["«»“”„‟「」『』])/

/**
 * A database's message without its quoted texts that are not known; those may be values. All from the first of them
 * to the last quote is left out, since a value may have quotes in it.
 */
export function withoutQuoted(message: string, isKnown: (text: string) => boolean): string {
  // A text, a quote, a quoted text, a quote, a text…
  const parts = message.split(QUOTE)
  const first = parts.length % 4 === 1 ? parts.findIndex((part, i) => i % 4 === 2 && !isKnown(part)) : 2
  return first < 0 ? message : `${parts.slice(0, first - 1).join('')}"…"${parts.at(-1)}`
}

/**
 * Points the error's stack at the caller of an asynchronous method, and returns the error.
 *
 * Work that was queued fails in a later turn of the event loop, where the caller is no longer on the stack.
 * The method that the caller awaits resumes with V8's asynchronous frames, which lead to the caller's line.
 */
export function atCaller<E>(error: E): E {
  if (error instanceof DatabaseError) Error.captureStackTrace(error, atCaller)
  return error
}

/** `atCaller` for a promise's `catch`. */
export function rethrowAtCaller(error: unknown): never {
  throw atCaller(error)
}

/** The same error for another call, with a stack and a statement of its own. */
export function copyOf(error: unknown): unknown {
  if (!(error instanceof DatabaseError)) return error
  const { code, message, cause, isRetryable, constraint, table, column, serverDetail } = error
  return new DatabaseError(code, message, { cause, isRetryable, constraint, table, column, serverDetail })
}

/**
 * The error for a write that commits by itself: when the connection broke after it was sent, it may have taken
 * effect. Returns other errors as they are.
 */
export function asLostCommit(error: unknown): unknown {
  if (!(error instanceof DatabaseError && error.code === 'connection_failure' && !error.isRetryable)) return error
  return new DatabaseError(
    'commit_unknown',
    'The connection broke before the commit was answered, so it may have taken effect or not. Look before you repeat it.',
    { cause: error }
  )
}

/** The error for what the caller gave. */
export function invalidParameter(message: string, details?: ErrorDetails): DatabaseError {
  return new DatabaseError('invalid_parameter', message, details)
}

/** The error for a use after close(). */
export function closedError(): DatabaseError {
  return new DatabaseError('closed', 'The database was closed; make a new one with createDatabase().')
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
