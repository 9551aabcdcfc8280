/**
 * What a statement changes of its session, judged by its tokens before anything is prepared or sent: SQLite carries out
 * PRAGMAs while it prepares them, and a SET holds on one of several connections by chance (SPEC section 2).
 */
import type { Dialect, Executor } from './adapter.ts'
import { DatabaseError, type ErrorCode } from './errors.ts'
import { controlsTransaction, type ScriptStatement, type Token } from './lexer.ts'

/** Where a statement runs: alone, in a batch or script of several, or in the body of `transaction()`. */
export type PlaceKind = 'alone' | 'group' | 'transaction'

/** What a statement leaves in its session, to be undone before the transaction commits. */
export type Remnant = 'settings' | 'temporary objects'

export interface Place {
  readonly kind: PlaceKind
  /** What the statements of a transaction have left so far. */
  readonly left?: Set<Remnant>
}

export const ALONE: Place = { kind: 'alone' }
export const GROUP: Place = { kind: 'group' }

/** A statement's effect on its session or transaction. */
export interface SessionEffect {
  /** Where it may run. */
  readonly allowed: readonly PlaceKind[]
  readonly leaves?: Remnant
  /** The error's code elsewhere. */
  readonly code: ErrorCode
  /** Why, and what to do. */
  readonly reason: string
}

/**
 * Refuses a statement whose effect would outlive the place where it runs, or have none there.
 *
 * @throws DatabaseError with the effect's code
 */
export function admit({ allowed, leaves, code, reason }: SessionEffect, place: Place, sql: string): void {
  if (!allowed.includes(place.kind)) throw new DatabaseError(code, `${reason} Nothing was sent.`, { sql })
  if (leaves !== undefined) place.left?.add(leaves)
}

/** Undoes what a transaction has changed of its session, so that it ends with the transaction. */
export async function undoRemnants(session: Executor, dialect: Dialect, left: ReadonlySet<Remnant>): Promise<void> {
  if (left.has('settings')) await session.script('RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL')
  if (!left.has('temporary objects')) return
  if (dialect === 'postgres') return session.script('DISCARD TEMP')
  const text = `SELECT type, name FROM temp.sqlite_schema WHERE type <> 'index' AND name NOT GLOB 'sqlite_*' AND name NOT GLOB 'duolect_*'`
  const objects = await session.query({ text, values: [], parameters: undefined, expects: undefined })
  // A virtual table takes its own tables along, and a table its triggers.
  const drops = objects.map(({ type, name }) => `DROP ${type} IF EXISTS temp."${String(name).replaceAll('"', '""')}"`)
  await session.script(drops.join('; '))
}

// What a statement is -------------------------------------------------------------------------------------------

/** Returns what a statement changes of its session or transaction; undefined for what changes neither. */
export function sessionEffectOf(text: string, statement: ScriptStatement, dialect: Dialect): SessionEffect | undefined {
  const [first] = statement.firstWords
  if (controlsTransaction(statement.firstWords)) return transactionControl(first as string)
  if (first === 'SAVEPOINT' || first === 'RELEASE' || first === 'ROLLBACK') return savepoint(first)
  const words = new Words(text, statement.tokens)
  const at = first === 'EXPLAIN' ? words.afterExplain() : 0
  return dialect === 'sqlite' ? effectInSqlite(words, at) : effectInPostgres(words, at)
}

/** The tokens of a statement, read by their number. Behind the last one there are empty words. */
class Words {
  readonly #text: string
  readonly #tokens: readonly Token[]

  constructor(text: string, tokens: readonly Token[]) {
    this.#text = text
    this.#tokens = tokens
  }

  get length(): number {
    return this.#tokens.length
  }

  /** A keyword or an unquoted name in capitals, a symbol, or another token as it is. */
  at(i: number): string {
    const token = this.#tokens[i]
    if (token === undefined) return ''
    const piece = this.#text.slice(token.start, token.end)
    return token.kind === 'word' ? piece.toUpperCase() : piece
  }

  /** A name in small letters, without its quotes; empty for another token. */
  name(i: number): string {
    const token = this.#tokens[i]
    if (token === undefined) return ''
    const piece = this.#text.slice(token.start, token.end)
    if (token.kind === 'word') return piece.toLowerCase()
    // SQLite takes a string for a name too.
    return token.kind === 'name' || token.kind === 'string' ? piece.slice(1, -1).toLowerCase() : ''
  }

  /** The number of the first of the words from `from` on that is none of `skipped`. */
  skip(from: number, skipped: readonly string[]): number {
    let i = from
    while (skipped.includes(this.at(i))) i++
    return i
  }

  /** The number of the token behind the parenthesis that opens at `open`. */
  afterParenthesis(open: number): number {
    let depth = 0
    for (let i = open; i < this.length; i++) {
      if (this.at(i) === '(') depth++
      else if (this.at(i) === ')' && --depth === 0) return i + 1
    }
    return this.length
  }

  /** The number of the token where the explained statement begins. */
  afterExplain(): number {
    return this.at(1) === '(' ? this.afterParenthesis(1) : this.skip(1, ['ANALYZE', 'ANALYSE', 'VERBOSE', 'QUERY', 'PLAN'])
  }
}

const IN_TRANSACTION: readonly PlaceKind[] = ['transaction']
const WITH_OTHERS: readonly PlaceKind[] = ['group', 'transaction']

function never(reason: string, code: ErrorCode = 'feature_not_supported'): SessionEffect {
  return { allowed: [], code, reason }
}

function transactionControl(word: string): SessionEffect {
  return never(`${word} begins or ends a transaction; use transaction(), which does both, or batch().`, 'invalid_transaction_termination')
}

function savepoint(word: string): SessionEffect {
  return {
    allowed: IN_TRANSACTION,
    code: 'no_active_sql_transaction',
    reason: `${word} needs an open transaction; use transaction(), which nests as savepoints.`
  }
}

function temporary(dialect: Dialect): SessionEffect {
  const other = dialect === 'sqlite' ? '' : ' Elsewhere use WITH, or an ordinary table.'
  return {
    allowed: IN_TRANSACTION,
    leaves: 'temporary objects',
    code: 'feature_not_supported',
    reason: `A temporary object is there on one of several connections by chance; make it inside of transaction(), where it is dropped before the COMMIT.${other}`
  }
}

/** True if CREATE makes a temporary object, by its keyword or by its schema. */
function isTemporary(words: Words, at: number, schema: string): boolean {
  const i = words.skip(at + 1, ['OR', 'REPLACE', 'LOCAL', 'GLOBAL'])
  if (words.at(i) === 'TEMP' || words.at(i) === 'TEMPORARY') return true
  // CREATE TABLE temp.notes, up to where the name has ended.
  for (let j = i; j < words.length && !['(', 'AS', 'ON', 'USING', 'FROM', 'FOR'].includes(words.at(j)); j++) {
    if (words.at(j + 1) === '.') return words.name(j) === schema
  }
  return false
}

// SQLite --------------------------------------------------------------------------------------------------------

/** PRAGMAs whose argument says what they read, or that act on the file or are kept in it. */
const FREE_PRAGMAS: ReadonlySet<string> = new Set([
  'application_id',
  'foreign_key_check',
  'foreign_key_list',
  'incremental_vacuum',
  'index_info',
  'index_list',
  'index_xinfo',
  'integrity_check',
  'optimize',
  'quick_check',
  'table_info',
  'table_list',
  'table_xinfo',
  'user_version',
  'wal_checkpoint'
])

function effectInSqlite(words: Words, at: number): SessionEffect | undefined {
  switch (words.at(at)) {
    case 'PRAGMA':
      return pragma(words, at + 1)
    case 'ATTACH':
    case 'DETACH':
      return never(`${words.at(at)} changes one of several connections; open the other file with a createDatabase() of its own.`)
    case 'CREATE':
      return isTemporary(words, at, 'temp') ? temporary('sqlite') : undefined
    default:
      return undefined
  }
}

function pragma(words: Words, at: number): SessionEffect | undefined {
  const i = words.at(at + 1) === '.' ? at + 2 : at
  const name = words.name(i)
  const isSet = words.at(i + 1) === '=' || words.at(i + 1) === '('
  // Without an argument each only reads, or acts on the file.
  if (!isSet || FREE_PRAGMAS.has(name)) return undefined
  switch (name) {
    case 'defer_foreign_keys':
      // SQLite turns it off at the end of each transaction.
      return {
        allowed: WITH_OTHERS,
        code: 'no_active_sql_transaction',
        reason: 'PRAGMA defer_foreign_keys holds until the end of a transaction, and outside of one has no effect; use transaction().'
      }
    case 'foreign_keys':
      return never(
        'PRAGMA foreign_keys cannot be changed: foreign keys are always on, and inside of a transaction SQLite ignores the change. To ' +
          'rebuild a table that others refer to, use a migration marked "-- @rebuild"; to check foreign keys at the COMMIT, set ' +
          'PRAGMA defer_foreign_keys = ON in a transaction.',
        'active_sql_transaction'
      )
    default:
      return never(`PRAGMA ${name} changes one of several connections; give it to all of them with the setting "sqlite.pragmas".`)
  }
}

// Postgres ------------------------------------------------------------------------------------------------------

/** Session-level advisory locks. */
const SESSION_LOCKS: ReadonlySet<string> = new Set([
  'pg_advisory_lock',
  'pg_advisory_lock_shared',
  'pg_try_advisory_lock',
  'pg_try_advisory_lock_shared',
  'pg_advisory_unlock',
  'pg_advisory_unlock_shared',
  'pg_advisory_unlock_all'
])

function effectInPostgres(words: Words, at: number): SessionEffect | undefined {
  const command = words.at(at)
  switch (command) {
    case 'SET':
      return ['LOCAL', 'TRANSACTION', 'CONSTRAINTS'].includes(words.at(at + 1)) ? localSetting(words.at(at + 1)) : setting('SET')
    case 'RESET':
      return setting('RESET')
    case 'LISTEN':
    case 'UNLISTEN':
      return never(`${command} needs a connection of its own, and notifications would reach nobody here; use a client of "pg" for it.`)
    case 'COPY':
      return never(
        'COPY sends data beside the statement, which no call here takes; use batch() or sql.list for rows, iterate() to read many.'
      )
    case 'PREPARE':
    case 'DEALLOCATE':
      return never(`${command} changes one of several connections; statements that run again are prepared by themselves.`)
    case 'DISCARD':
      return never('DISCARD changes one of several connections, and what duolect has prepared there; what a transaction sets ends with it.')
    case 'LOAD':
      return never('LOAD changes one of several connections; set session_preload_libraries of the role or the database.')
    case 'CREATE':
      return isTemporary(words, at, 'pg_temp') ? temporary('postgres') : undefined
    case 'DECLARE':
      return declaresHold(words, at)
        ? never('A cursor WITH HOLD stays on one of several connections; read with iterate(), or without HOLD in a transaction.')
        : undefined
    default:
      return effectOfCalls(words, at)
  }
}

function setting(command: string): SessionEffect {
  return {
    allowed: IN_TRANSACTION,
    leaves: 'settings',
    code: 'feature_not_supported',
    reason:
      `${command} changes one of several connections; use it inside of transaction(), with which it ends, or SET LOCAL in a batch() or a ` +
      'script. For all connections set it in the URL (options=-c%20search_path%3Dapp), or with ALTER ROLE … SET.'
  }
}

function localSetting(word: string): SessionEffect {
  return {
    allowed: WITH_OTHERS,
    code: 'no_active_sql_transaction',
    reason: `SET ${word} holds until the end of a transaction, and outside of one has no effect; use transaction() or batch().`
  }
}

function declaresHold(words: Words, at: number): boolean {
  for (let i = at; i < words.length && words.at(i) !== 'FOR'; i++) if (words.at(i) === 'WITH' && words.at(i + 1) === 'HOLD') return true
  return false
}

/** The effects of SELECT INTO TEMP, and of functions that change the session. */
function effectOfCalls(words: Words, at: number): SessionEffect | undefined {
  const isQuery = words.at(at) === 'SELECT' || words.at(at) === 'WITH'
  for (let i = at; i < words.length; i++) {
    if (isQuery && words.at(i) === 'INTO' && words.at(i - 1) !== 'INSERT' && words.at(i - 1) !== 'MERGE') {
      const isTemp = words.at(i + 1) === 'TEMP' || words.at(i + 1) === 'TEMPORARY'
      if (isTemp && words.name(i + 2) !== '' && words.at(i + 2) !== 'FROM') return temporary('postgres')
    }
    if (words.at(i + 1) !== '(' || (words.at(i - 1) === '.' && words.name(i - 2) !== 'pg_catalog')) continue
    const name = words.name(i)
    if (SESSION_LOCKS.has(name)) {
      return never(
        `${name}() locks for one of several connections; use pg_advisory_xact_lock() in a transaction, with which the lock ends.`
      )
    }
    if (name === 'set_config' && !isLocal(words, i + 1)) return setting('set_config() without true as its last argument')
  }
  return undefined
}

/** True if the last argument of set_config(…) is TRUE, so that the setting ends with the transaction. */
function isLocal(words: Words, open: number): boolean {
  const last = words.afterParenthesis(open) - 2
  return words.at(last) === 'TRUE' || words.name(last) === 'true' || words.name(last) === 't'
}
