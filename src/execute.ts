/**
 * Runs statements on an adapter, or on the session of a transaction: traced, with errors that know their statement and
 * whose stack leads to the caller. Handles, the key-value store and the users table all send statements through here.
 */
import {
  type Adapter,
  assertRowCount,
  type BoundStatement,
  type Executor,
  type Row,
  type RunResult,
  type TransactionOptions
} from './adapter.ts'
import { atCaller, DatabaseError, messageOf, withStatement } from './errors.ts'
import { isTraced, trace } from './tracing.ts'
import { decodeExpressions } from './values.ts'

/** What statements run on: an adapter, or a session of it, which cannot begin another transaction. */
export type Runner = Executor &
  Pick<Adapter, 'dialect' | 'isInProcess' | 'maxConnections'> &
  Partial<Pick<Adapter, 'begin'>> & {
    /** True for a transaction that must not write. */
    readonly isReadOnly?: boolean
    /** Fails the transaction that it is the session of. */
    fail?(error: DatabaseError): void
  }

/** Runs a statement and returns its rows. */
export function queryRows(runner: Runner, statement: BoundStatement): Promise<Row[]> {
  return settle(runner, statement, () => decodedRows(runner, statement), same)
}

/** Runs a statement that `expects` one row, or one or none, and returns that row. */
export function queryRow<T>(runner: Runner, statement: BoundStatement): Promise<T> {
  const pick = (rows: Row[]) => {
    // The driver has looked already where the statement writes.
    assertRowCount(rows.length, statement.expects)
    return rows[0] as T
  }
  return settle(runner, statement, () => decodedRows(runner, statement), pick)
}

/** Runs a statement and decodes what the driver cannot: SQLite knows no types of expressions. */
function decodedRows(runner: Runner, statement: BoundStatement): Row[] | Promise<Row[]> {
  const { decoding } = statement
  if (decoding === undefined) return runner.query(statement)
  // A row that cannot be decoded undoes what the statement did.
  if (decoding.writes && runner.begin !== undefined)
    return inTransaction(runner, {}, async tx => decodeRows(tx, await tx.query(statement), statement))
  const rows = runner.query(statement)
  return rows instanceof Promise ? rows.then(found => decodeRows(runner, found, statement)) : decodeRows(runner, rows, statement)
}

/** Decodes rows of a statement; in a transaction, a failure fails that too. */
export function decodeRows(runner: Runner, rows: Row[], { decoding }: BoundStatement): Row[] {
  if (decoding === undefined) return rows
  try {
    return decodeExpressions(rows, decoding.columns)
  } catch (error) {
    runner.fail?.(error as DatabaseError)
    throw error
  }
}

/** Runs a statement whose rows do not matter. */
export function executeStatement(runner: Runner, statement: BoundStatement): Promise<RunResult> {
  try {
    const result = executeNow(runner, statement)
    return result instanceof Promise ? result : Promise.resolve(result)
  } catch (error) {
    return Promise.reject(error)
  }
}

/** Runs a statement whose rows do not matter; returns no promise when the adapter returns none. */
export function executeNow(runner: Runner, statement: BoundStatement): RunResult | Promise<RunResult> {
  if (isTraced()) return settle(runner, statement, () => runner.execute(statement), same)
  try {
    const result = runner.execute(statement)
    return result instanceof Promise ? settleLater(result, statement, same) : result
  } catch (error) {
    throw explain(error, statement)
  }
}

/** Runs a script. */
export function executeScript(runner: Runner, text: string): Promise<void> {
  return settle(runner, unbound(text), () => runner.script(text), same)
}

/** Runs statements as one transaction, or as a part of the one that `runner` is a session of. */
export function executeBatch(runner: Runner & Pick<Adapter, 'batch'>, statements: readonly BoundStatement[]): Promise<Row[][]> {
  const isToDecode = statements.some(({ decoding }) => decoding !== undefined)
  const writesToDecode = isToDecode && statements.some(({ decoding }) => decoding?.writes)
  const work = async () => {
    if (runner.batch === undefined || (writesToDecode && runner.begin !== undefined)) {
      return inTransaction(runner, {}, tx => queryInOrder(tx, statements))
    }
    const results = await runner.batch(statements)
    if (!isToDecode) return results
    return results.map((rows, i) => decodeRows(runner, rows, statements[i] as BoundStatement))
  }
  // Many statements make a long text, which nobody may ask for.
  const all: BoundStatement = {
    ...unbound(''),
    get text() {
      return statements.map(statement => statement.text).join(';\n')
    }
  }
  return settle(runner, all, work, same)
}

/** What stands for a text without parameters where a statement is wanted. */
function unbound(text: string): BoundStatement {
  return { text, values: [], parameters: undefined, expects: undefined }
}

async function queryInOrder(runner: Runner, statements: readonly BoundStatement[]): Promise<Row[][]> {
  const results: Row[][] = []
  for (const statement of statements) {
    try {
      results.push(decodeRows(runner, await runner.query(statement), statement))
    } catch (error) {
      throw withStatement(error, statement)
    }
  }
  return results
}

/** Runs `body` in a transaction of its own: commits when it returns, rolls back when it throws. */
export async function inTransaction<T>(runner: Runner, options: TransactionOptions, body: (tx: Runner) => Promise<T>): Promise<T> {
  const session = await (runner as Adapter).begin(options)
  try {
    const result = await body({
      dialect: runner.dialect,
      isInProcess: runner.isInProcess,
      query: statement => session.query(statement),
      execute: statement => session.execute(statement),
      stream: statement => session.stream(statement),
      script: text => session.script(text)
    })
    await session.commit()
    return result
  } catch (error) {
    // After a commit() that failed there is nothing to roll back, and the session knows.
    await session.rollback()
    throw error
  }
}

/** Does a driver's work and returns what `pick` makes of its result. The promise rejects with an error for the caller. */
export function settle<R, T>(runner: Runner, statement: BoundStatement, work: () => R | Promise<R>, pick: (result: R) => T): Promise<T> {
  try {
    const result = isTraced() ? trace(runner.dialect, statement.text, work) : work()
    return result instanceof Promise ? settleLater(result, statement, pick) : Promise.resolve(pick(result))
  } catch (error) {
    return Promise.reject(explain(error, statement))
  }
}

async function settleLater<R, T>(result: Promise<R>, statement: BoundStatement, pick: (result: R) => T): Promise<T> {
  try {
    return pick(await result)
  } catch (error) {
    throw explain(error, statement)
  }
}

/** The error for the caller. Another error than a `DatabaseError` comes from an adapter of a third party. */
function explain(error: unknown, statement: BoundStatement): DatabaseError {
  const known = error instanceof DatabaseError ? error : new DatabaseError('unclassified', messageOf(error), { cause: error })
  return atCaller(withStatement(known, statement))
}

/** The result itself. */
export function same<T>(result: T): T {
  return result
}
