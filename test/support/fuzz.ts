/**
 * Random programs of statements, scripts, batches and transactions, and a model of what they have to do: each call must
 * succeed or fail as the model says, and then the table must be that of the model. A seed makes the same program again.
 */
import assert from 'node:assert/strict'
import type { Database, Dialect, Handle, Transaction } from '../../src/index.ts'

/** The rows of the table: `n` and `u` by `id`. */
type Rows = Map<number, { n: number; u: number | null }>

interface Operation {
  readonly text: string
  readonly call: 'run' | 'all' | 'one' | 'maybeOne' | 'exec' | 'batch'
  /** Does to the rows what the statement does, or returns the code of its failure. */
  apply(rows: Rows): string | undefined
  /** The code of a failure that ends the whole transaction. */
  readonly endsBy?: string
}

/** Values of the trigger: an insert of them is refused in one of SQLite's ways. */
const ABORT = 666
const FAIL = 667
const ROLLBACK = 668

const SCHEMA: Record<Dialect, string> = {
  sqlite: `CREATE TABLE rows (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, u INTEGER UNIQUE);
    CREATE TRIGGER refuses AFTER INSERT ON rows WHEN new.n BETWEEN ${ABORT} AND ${ROLLBACK} BEGIN
      SELECT CASE new.n WHEN ${ABORT} THEN RAISE(ABORT, 'no') WHEN ${FAIL} THEN RAISE(FAIL, 'no') ELSE RAISE(ROLLBACK, 'no') END;
    END`,
  postgres: 'CREATE TABLE rows (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, u INTEGER UNIQUE)'
}

/** What a connection is set to, and must be set to afterwards. */
const FLAGS = [
  'foreign_keys',
  'synchronous',
  'query_only',
  'ignore_check_constraints',
  'recursive_triggers',
  'defer_foreign_keys',
  'reverse_unordered_selects',
  'writable_schema',
  'busy_timeout',
  'cache_size',
  'temp_store',
  'read_uncommitted',
  'trusted_schema'
]

export class Fuzz {
  readonly #db: Database
  readonly #dialect: Dialect
  #state = 0
  #rows: Rows = new Map()
  #flags: unknown

  constructor(db: Database) {
    this.#db = db
    this.#dialect = db.dialect
  }

  async prepare(): Promise<void> {
    await this.#db.exec(SCHEMA[this.#dialect])
    this.#flags = await this.#readFlags()
  }

  /** Runs the program of a seed. Fails when the database and the model differ. */
  async run(seed: number): Promise<void> {
    this.#state = seed * 2654435761 + 1
    await this.#db.run('DELETE FROM rows')
    this.#rows = new Map()
    for (let i = 0; i < 4; i++) this.#rows.set(i, { n: i, u: i * 10 })
    await this.#db.run('INSERT INTO rows VALUES (0, 0, 0), (1, 1, 10), (2, 2, 20), (3, 3, 30)')
    try {
      for (let steps = 3 + this.#below(6); steps > 0; steps--) await this.#step()
      assert.deepEqual(await this.#readFlags(), this.#flags, 'the flags of the connections')
    } catch (error) {
      throw new Error(`Seed ${seed}: ${(error as Error).message}`, { cause: error })
    }
  }

  /** Of the connection that writes, and of the one that reads while a transaction has the first. */
  async #readFlags(): Promise<unknown> {
    if (this.#dialect === 'postgres') return this.#db.all("SELECT name, setting FROM pg_settings WHERE source = 'session' ORDER BY name")
    const read = async (on: Handle) => {
      const values: unknown[] = []
      for (const name of FLAGS) values.push(await on.all(`PRAGMA ${name}`))
      return values
    }
    const isInMemory = this.#db.location === ':memory:'
    let flags: unknown
    let isRead: () => void = () => undefined
    const whenRead = new Promise<void>(resolve => (isRead = resolve))
    const whole = this.#db.transaction(async tx => {
      flags = [await read(tx), await tx.all('PRAGMA journal_mode')]
      if (!isInMemory) await whenRead
    })
    // Outside of the transaction, which has the other connection by now.
    while (flags === undefined) await new Promise(setImmediate)
    const beside = await read(this.#db)
    isRead()
    await whole
    return [flags, beside, await read(this.#db)]
  }

  // Chance ------------------------------------------------------------------------------------------------------

  /** A whole number from 0 to below the limit (mulberry32). */
  #below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % limit
  }

  #oneOf<T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)] as T
  }

  // Operations --------------------------------------------------------------------------------------------------

  #operation(): Operation {
    const [id, n, u] = [this.#below(9), this.#below(50), this.#below(9) * 10]
    const insert = (rows: Rows, row: { id: number; n: number; u: number | null }): string | undefined => {
      if (rows.has(row.id) || (row.u !== null && [...rows.values()].some(other => other.u === row.u))) return 'unique_violation'
      rows.set(row.id, { n: row.n, u: row.u })
      return undefined
    }
    const where = (rows: Rows) => [...rows.entries()].filter(([key]) => key <= id)
    const made: Operation[] = [
      {
        text: `INSERT INTO rows VALUES (${id}, ${n}, ${u})`,
        call: this.#oneOf(['run', 'exec', 'batch']),
        apply: rows => insert(rows, { id, n, u })
      },
      {
        text: `INSERT INTO rows VALUES (${id}, ${n}, NULL) RETURNING id`,
        call: this.#oneOf(['one', 'maybeOne', 'all', 'run', 'batch']),
        apply: rows => insert(rows, { id, n, u: null })
      },
      {
        text: `INSERT INTO rows VALUES (${id}, ${n}, ${u}), (${id + 1}, ${n}, NULL) RETURNING id`,
        call: 'one',
        apply: rows => insert(rows, { id, n, u }) ?? insert(rows, { id: id + 1, n, u: null }) ?? 'too_many_rows'
      },
      {
        text: `UPDATE rows SET n = n + 1 WHERE id <= ${id} RETURNING id`,
        call: this.#oneOf(['one', 'maybeOne']),
        apply(rows) {
          const found = where(rows)
          if (found.length === 0) return this.call === 'one' ? 'no_data_found' : undefined
          if (found.length > 1) return 'too_many_rows'
          for (const [, row] of found) row.n++
          return undefined
        }
      },
      {
        text: `UPDATE rows SET n = 0 WHERE id <= ${id} RETURNING id AS a, n AS a`,
        call: this.#oneOf(['all', 'one']),
        apply: () => 'duplicate_column'
      },
      {
        text: `UPDATE rows SET n = n + 2 WHERE id <= ${id}`,
        call: this.#oneOf(['run', 'all', 'exec', 'batch']),
        apply(rows) {
          for (const [, row] of where(rows)) row.n += 2
          return undefined
        }
      },
      {
        text: `DELETE FROM rows WHERE id = ${id}`,
        call: this.#oneOf(['run', 'exec']),
        apply(rows) {
          rows.delete(id)
          return undefined
        }
      },
      { text: 'UPDATE rows SET nope = 1', call: this.#oneOf(['run', 'exec', 'batch', 'all']), apply: () => 'undefined_column' },
      { text: `UPDATE rows SET n = 1 WHERE id = ${id}; INSERT INTO missing VALUES (1)`, call: 'exec', apply: () => 'undefined_table' },
      {
        text: `INSERT INTO rows VALUES (${id}, ${n}, ${u}) ON CONFLICT (id) DO UPDATE SET n = 7 RETURNING n`,
        call: 'one',
        apply(rows) {
          const row = rows.get(id)
          if (row === undefined) return insert(rows, { id, n, u })
          row.n = 7
          return undefined
        }
      }
    ]
    // A unique column is looked at before the conflict of the key, in an order that is each engine's own.
    if (this.#dialect === 'postgres') made.pop()
    else made.push(...this.#sqliteOperations(id, n, u, insert))
    return this.#oneOf(made)
  }

  #sqliteOperations(
    id: number,
    n: number,
    u: number,
    insert: (rows: Rows, row: { id: number; n: number; u: number | null }) => string | undefined
  ): Operation[] {
    const both = (rows: Rows) => insert(rows, { id, n, u }) ?? insert(rows, { id: id + 1, n, u: null })
    const values = `INTO rows VALUES (${id}, ${n}, ${u}), (${id + 1}, ${n}, NULL)`
    const refused = (value: number): Operation => ({
      text: `INSERT INTO rows VALUES (${id}, ${n}, ${u}), (${id + 1}, ${value}, NULL)`,
      call: this.#oneOf(['run', 'exec', 'batch']),
      apply: rows => insert(rows, { id, n, u }) ?? insert(rows, { id: id + 1, n, u: null }) ?? 'raise_exception',
      ...(value === ROLLBACK && { endsBy: 'raise_exception' })
    })
    return [
      { text: `INSERT OR FAIL ${values}`, call: this.#oneOf(['run', 'exec', 'batch']), apply: both },
      { text: `INSERT OR ROLLBACK ${values}`, call: this.#oneOf(['run', 'exec', 'batch', 'all']), apply: both, endsBy: 'unique_violation' },
      refused(ABORT),
      refused(FAIL),
      refused(ROLLBACK),
      { text: `PRAGMA user_version = ${n}`, call: 'run', apply: () => undefined },
      { text: 'PRAGMA optimize', call: 'all', apply: () => undefined },
      { text: 'PRAGMA table_info(rows)', call: 'all', apply: () => undefined }
    ]
  }

  /** Carries an operation out on the model: wholly, or not at all. */
  #apply(operation: Operation, rows: Rows): string | undefined {
    const copy = copyOf(rows)
    const code = operation.apply(copy)
    if (code === undefined) replace(rows, copy)
    return code
  }

  #call(on: Handle, { text, call }: Operation): Promise<unknown> {
    return call === 'batch' ? on.batch([text]) : on[call](text)
  }

  async #expect(on: Handle, operation: Operation, code: string | undefined): Promise<void> {
    assert.equal(await codeOf(this.#call(on, operation)), code, `${operation.call}: ${operation.text}`)
  }

  async #assertRows(on: Handle, rows: Rows): Promise<void> {
    const stored = await on.all<{ id: number; n: number; u: number | null }>('SELECT id, n, u FROM rows ORDER BY id')
    const expected = [...rows.entries()].sort(([a], [b]) => a - b).map(([id, row]) => ({ id, ...row }))
    assert.deepEqual(stored, expected)
  }

  // Steps -------------------------------------------------------------------------------------------------------

  async #step(): Promise<void> {
    switch (this.#below(5)) {
      case 0: {
        const operation = this.#operation()
        await this.#expect(this.#db, operation, this.#apply(operation, this.#rows))
        break
      }
      case 1:
        await this.#turn()
        break
      case 2:
        await this.#batch()
        break
      default:
        await this.#transaction()
    }
    await this.#assertRows(this.#db, this.#rows)
  }

  /** Several statements of one turn; on SQLite they take effect in their order. */
  async #turn(): Promise<void> {
    const operations = Array.from({ length: this.#dialect === 'sqlite' ? 2 + this.#below(5) : 1 }, () => this.#operation())
    // Reads go their own way, and so do scripts.
    const inOrder = operations.filter(({ call, text }) => call !== 'exec' && !text.startsWith('PRAGMA'))
    const expected = inOrder.map(operation => this.#apply(operation, this.#rows))
    const codes = await Promise.all(inOrder.map(operation => codeOf(this.#call(this.#db, operation))))
    assert.deepEqual(codes, expected, inOrder.map(({ call, text }) => `${call}: ${text}`).join('\n'))
  }

  async #batch(): Promise<void> {
    const operations = Array.from({ length: 1 + this.#below(4) }, () => this.#operation()).filter(
      ({ call, text }) => call !== 'exec' && call !== 'one' && call !== 'maybeOne' && !text.startsWith('PRAGMA')
    )
    const copy = copyOf(this.#rows)
    let expected: string | undefined
    for (const operation of operations) expected ??= this.#apply(operation, copy)
    if (expected === undefined) replace(this.#rows, copy)
    const queries = operations.map(({ text }) => text)
    assert.equal(await codeOf(this.#db.batch(queries)), expected, queries.join('\n'))
  }

  async #transaction(): Promise<void> {
    const rows = copyOf(this.#rows)
    const level: Level = { rows, failed: undefined, ended: undefined }
    const code = await codeOf(this.#db.transaction(tx => this.#body(tx, level, 0)))
    assert.equal(code, level.failed, 'the outcome of a transaction')
    if (code === undefined) replace(this.#rows, rows)
  }

  /** The body of a transaction. Leaves in `level.failed` the code that the transaction has to reject with. */
  async #body(tx: Transaction, level: Level, depth: number): Promise<void> {
    for (let steps = 1 + this.#below(5); steps > 0; steps--) {
      switch (this.#below(8)) {
        case 0:
          level.failed = 'body'
          throw Object.assign(new Error('the body throws'), { code: 'body' })
        case 1:
          await this.#assertRows(tx, level.rows)
          break
        case 2:
        case 3:
          if (depth < 3) await this.#nested(tx, level, depth)
          break
        case 4:
          for await (const _ of tx.iterate('SELECT * FROM rows')) if (this.#below(2) === 0) break
          break
        default: {
          const operation = this.#operation()
          const code = this.#apply(operation, level.rows)
          await this.#expect(tx, operation, code)
          if (code !== undefined) return this.#failed(tx, level, code, operation.endsBy === code)
        }
      }
    }
    if (this.#below(3) > 0) return
    // Statements that the body does not await; behind the first that fails all is undone.
    for (let more = 1 + this.#below(3); more > 0; more--) {
      const operation = this.#operation()
      const code = level.failed === undefined ? this.#apply(operation, level.rows) : undefined
      if (code !== undefined) {
        level.failed = 'in_failed_sql_transaction'
        if (operation.endsBy === code) level.ended = code
      }
      if (this.#below(4) === 0) await new Promise(setImmediate)
      this.#call(tx, operation).catch(() => undefined)
    }
  }

  /** A statement of the body failed: the body throws that, or goes on, which is refused. */
  async #failed(tx: Transaction, level: Level, code: string, isEnded: boolean): Promise<void> {
    if (isEnded) level.ended = code
    if (this.#below(2) === 0) {
      level.failed = code
      throw Object.assign(new Error('thrown on'), { code })
    }
    await this.#expect(tx, this.#operation(), 'in_failed_sql_transaction')
    level.failed = 'in_failed_sql_transaction'
  }

  async #nested(tx: Transaction, level: Level, depth: number): Promise<void> {
    const inner: Level = { rows: copyOf(level.rows), failed: undefined, ended: undefined }
    const code = await codeOf(tx.transaction(nested => this.#body(nested, inner, depth + 1)))
    assert.equal(code, inner.failed, 'the outcome of a nested transaction')
    if (code === undefined) {
      replace(level.rows, inner.rows)
      return
    }
    if (this.#below(2) === 0) {
      level.failed = code
      level.ended = inner.ended
      throw Object.assign(new Error('thrown on'), { code })
    }
    if (inner.ended === undefined) return
    // SQLite has ended all of it, so nothing more is done, and the first error is that of the transaction.
    await this.#expect(tx, this.#operation(), 'in_failed_sql_transaction')
    level.ended = inner.ended
    level.failed = code
    throw Object.assign(new Error('thrown on'), { code })
  }
}

/** A transaction in the model. */
interface Level {
  readonly rows: Rows
  failed: string | undefined
  /** The code of the failure with which SQLite ended the whole transaction. */
  ended: string | undefined
}

function copyOf(rows: Rows): Rows {
  return new Map([...rows].map(([id, row]) => [id, { ...row }]))
}

function replace(rows: Rows, by: Rows): void {
  rows.clear()
  for (const [id, row] of by) rows.set(id, row)
}

async function codeOf(call: Promise<unknown>): Promise<string | undefined> {
  try {
    await call
    return undefined
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error
    return (error as { code?: string }).code ?? String(error)
  }
}
