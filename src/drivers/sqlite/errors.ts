/** From SQLite's result codes to duolect's codes. */
import { DatabaseError, type ErrorCode, messageOf, withoutQuoted } from '../../errors.ts'
import { wordsOf } from '../../statement.ts'

/** By extended result code (sqlite.org/rescode.html); a code that is not here falls back to its primary code. */
export const CODES: Readonly<Record<string, ErrorCode>> = {
  SQLITE_CONSTRAINT_UNIQUE: 'unique_violation',
  SQLITE_CONSTRAINT_PRIMARYKEY: 'unique_violation',
  SQLITE_CONSTRAINT_ROWID: 'unique_violation',
  SQLITE_CONSTRAINT_FOREIGNKEY: 'foreign_key_violation',
  SQLITE_CONSTRAINT_NOTNULL: 'not_null_violation',
  SQLITE_CONSTRAINT_CHECK: 'check_violation',
  SQLITE_CONSTRAINT_TRIGGER: 'raise_exception',
  SQLITE_CONSTRAINT_DATATYPE: 'invalid_text_representation',
  SQLITE_CONSTRAINT: 'data_exception',
  SQLITE_MISMATCH: 'invalid_text_representation',
  SQLITE_BUSY: 'lock_not_available',
  SQLITE_LOCKED: 'lock_not_available',
  SQLITE_READONLY: 'read_only',
  SQLITE_FULL: 'disk_full',
  SQLITE_NOMEM: 'out_of_memory',
  SQLITE_IOERR_NOMEM: 'out_of_memory',
  SQLITE_IOERR: 'io_error',
  SQLITE_CORRUPT: 'data_corrupted',
  SQLITE_NOTADB: 'data_corrupted',
  SQLITE_FORMAT: 'data_corrupted',
  SQLITE_CANTOPEN: 'connection_failure',
  SQLITE_PROTOCOL: 'lock_not_available',
  SQLITE_AUTH: 'insufficient_privilege',
  SQLITE_PERM: 'insufficient_privilege',
  SQLITE_INTERRUPT: 'query_canceled',
  SQLITE_TOOBIG: 'program_limit_exceeded',
  SQLITE_RANGE: 'invalid_parameter'
}

/** SQLITE_ERROR says what it means in its message only. */
export const MESSAGES: readonly (readonly [RegExp, ErrorCode])[] = [
  [/^no such table: /, 'undefined_table'],
  [/^no such view: /, 'undefined_table'],
  [/^no such column: /, 'undefined_column'],
  [/ has no column named /, 'undefined_column'],
  [/^no such function: /, 'undefined_function'],
  [/^wrong number of arguments to function/, 'undefined_function'],
  [/^no such (index|trigger|collation sequence|module|savepoint|database|window)/, 'undefined_object'],
  [/^unknown database /, 'undefined_object'],
  [/^unknown column /, 'undefined_column'],
  [/^cannot join using column /, 'undefined_column'],
  [/^ambiguous column name: /, 'ambiguous_column'],
  [/(^| after rename: )duplicate column name: /, 'duplicate_column'],
  [/^(table|view) .+ already exists$/, 'duplicate_table'],
  [/^there is already (a table|an index|another table or index)/, 'duplicate_table'],
  [/^index .+ already exists$/, 'duplicate_table'],
  [/^trigger .+ already exists$/, 'duplicate_object'],
  [/^integer overflow$/, 'numeric_value_out_of_range'],
  [/^bad JSON path: /, 'data_exception'],
  [/^malformed JSON/, 'invalid_text_representation'],
  [/^cannot (start a transaction|commit|rollback) /, 'invalid_transaction_termination'],
  [/^cannot VACUUM /, 'active_sql_transaction'],
  [/^ON CONFLICT clause does not match /, 'invalid_column_reference'],
  [/ (ORDER|GROUP) BY term out of range/, 'invalid_column_reference'],
  [/^ESCAPE expression must be a single character$/, 'invalid_escape_sequence'],
  [/^(Expression tree is too large|Recursion limit$|parser stack overflow$)/, 'program_limit_exceeded'],
  [/^misuse of aggregate/, 'grouping_error'],
  [/^(too many (terms|columns|attached|levels|arguments|SQL variables)|triggers nested too deep$)/, 'program_limit_exceeded'],
  [/^at most \d+ tables in a join$/, 'program_limit_exceeded'],
  [/^LIKE or GLOB pattern too complex$/, 'program_limit_exceeded'],
  [/^not authorized/, 'insufficient_privilege'],
  [/^table .+ may not be (dropped|altered|modified|indexed)$/, 'insufficient_privilege'],
  [/^view .+ may not be (altered|indexed)$/, 'wrong_object_type'],
  [/ is circularly defined$/, 'invalid_recursion'],
  [/^(multiple|circular) references? to recursive table|^circular reference: /, 'invalid_recursion'],
  [/^cannot modify .+ because it is a view$/, 'object_not_in_prerequisite_state'],
  [/^cannot (INSERT into|UPDATE) generated column /, 'generated_always'],
  [/^(PRIMARY KEY missing on table |AUTOINCREMENT )| has more than one primary key$/, 'invalid_table_definition'],
  [/^cannot drop .*column/, 'feature_not_supported'],
  [/^object name reserved for internal use: /, 'reserved_name'],
  [/^misuse of window function /, 'windowing_error'],
  [/^unknown datatype for /, 'undefined_object'],
  [/^unable to identify the object to be reindexed$/, 'undefined_object'],
  [/^foreign key mismatch /, 'invalid_foreign_key'],
  [/^non-deterministic /, 'invalid_object_definition'],
  [/ prohibited in |^default value of column .+ is not constant$/, 'feature_not_supported'],
  [/ ORDER BY term does not match any column /, 'feature_not_supported'],
  [/^unable to use function /, 'feature_not_supported'],
  [/^(row value misused|RAISE\(\) may only be used )/, 'syntax_error'],
  [/syntax error$/, 'syntax_error'],
  [/^incomplete input$/, 'syntax_error'],
  [/^no tables specified$/, 'syntax_error'],
  [/^all VALUES must have the same number of terms$/, 'syntax_error'],
  [/^unrecognized token: /, 'syntax_error'],
  [/ values for \d+ columns$/, 'syntax_error'],
  [/ has \d+ columns but \d+ values were supplied$/, 'syntax_error'],
  [/do not have the same number of result columns$/, 'syntax_error'],
  [/^sub-select returns \d+ columns/, 'syntax_error']
]

/** What better-sqlite3 itself refuses comes without a result code. */
const REFUSALS: readonly (readonly [RegExp, ErrorCode, string])[] = [
  [/contains more than one statement/, 'syntax_error', 'The text has more than one statement; run scripts with exec().'],
  [/^Cannot open database because the directory does not exist/, 'connection_failure', 'The directory does not exist'],
  [/contains no statements/, 'syntax_error', 'The text has no statement.'],
  [
    /string, buffer, or bigint is too big/,
    'program_limit_exceeded',
    'A parameter is longer than SQLite takes (1 000 000 000 bytes); store it in pieces.'
  ],
  [
    /Too (few|many) parameter values|Missing named parameter|cannot use anonymous/i,
    'invalid_parameter',
    'The statement has placeholders of SQLite (?, @name, $name) that are not bound; write $1 or :name.'
  ]
]

const UNIQUE = /^UNIQUE constraint failed: (.+)$/
const NOT_NULL = /^NOT NULL constraint failed: (.+)\.(.+)$/
const CHECK = /^CHECK constraint failed: (.+)$/

/** True if the statement failed because another connection holds a lock. */
export function isBusy(error: unknown): boolean {
  const code = nativeCode(error)
  return code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED') || code === 'SQLITE_PROTOCOL'
}

/** SQLite's extended result code, or an empty text. */
export function nativeCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && code.startsWith('SQLITE_') ? code : ''
}

/**
 * Makes a `DatabaseError` of what better-sqlite3 threw.
 *
 * @param sql the statement
 */
export function sqliteError(error: unknown, sql = ''): DatabaseError {
  if (error instanceof DatabaseError) return error
  const message = messageOf(error)
  const native = nativeCode(error)
  if (native === '') {
    const refusal = REFUSALS.find(([pattern]) => pattern.test(message))
    return refusal
      ? new DatabaseError(refusal[1], refusal[2], { cause: error })
      : new DatabaseError('unclassified', message, { cause: error })
  }
  const shown = withoutData(native, message, sql)
  return new DatabaseError(codeOf(native, message), describe(native, shown), {
    cause: shown === message ? error : Object.assign(new Error(shown), { code: native }),
    ...subject(message)
  })
}

/**
 * What a message ends with, and the name of a database that is attached. Tables are named by statements and the schema
 * alone, and a search quotes what it shows.
 */
const UNQUOTED = /(?<=^(?!fts5: |no such table: |error in )[^"]*: )(?!").+|(?<=^database ).+(?= is already in use$)/s

/** SQLite's message without what may be a value. Those of constraints are made of the schema, or of RAISE. */
function withoutData(native: string, message: string, sql: string): string {
  if (native.startsWith('SQLITE_CONSTRAINT')) return message
  const isKnown = wordsOf(sql, 'sqlite', 'main temp')
  return withoutQuoted(message, isKnown).replace(UNQUOTED, text => (isKnown(text) ? text : '…'))
}

/** SQLITE_ERROR and its extended codes. */
export function isGeneric(native: string): boolean {
  return native === 'SQLITE_ERROR' || native.startsWith('SQLITE_ERROR_')
}

function codeOf(native: string, message: string): ErrorCode {
  if (isGeneric(native)) return MESSAGES.find(([pattern]) => pattern.test(message))?.[1] ?? 'unclassified'
  // SQLITE_IOERR_WRITE falls back to SQLITE_IOERR.
  return CODES[native] ?? CODES[native.split('_').slice(0, 2).join('_')] ?? 'unclassified'
}

function describe(native: string, message: string): string {
  if (native.startsWith('SQLITE_READONLY')) return `${message}; the file, its directory or the transaction allows no writes.`
  if (/^cannot (start a transaction|commit|rollback) /.test(message)) return `${message}; use transaction(), which begins and ends it.`
  if (native === 'SQLITE_NOTADB') return `${message}; the path leads to a file of another kind.`
  return message
}

/** The constraint, table and column that the message names. SQLite writes a column as `table.column`. */
function subject(message: string): { constraint?: string; table?: string; column?: string } {
  const unique = UNIQUE.exec(message)?.[1]
  if (unique !== undefined) {
    if (unique.startsWith('index ')) return { constraint: unique.slice('index '.length).replace(/^'|'$/g, '') }
    const columns = unique.split(', ')
    const table = columns[0]?.slice(0, columns[0].indexOf('.'))
    return { ...(table && { table }), ...(columns.length === 1 && { column: unique.slice(unique.indexOf('.') + 1) }) }
  }
  const notNull = NOT_NULL.exec(message)
  if (notNull !== null) return { table: notNull[1] as string, column: notNull[2] as string }
  const check = CHECK.exec(message)?.[1]
  return check === undefined ? {} : { constraint: check }
}
