/**
 * Moves a SQLite file to Postgres: nothing lost, compared, resumable, its writes fenced.
 *
 * read the schema → plan → look at every value → move → foreign keys, ids, statistics → seal. Until the last of the
 * values was looked at, nothing is written. The file is written once, when all else is done.
 */
import type { PostgresSettings } from '../../config.ts'
import { nativeCode } from '../../drivers/sqlite/errors.ts'
import { DatabaseError, messageOf } from '../../errors.ts'
import { type Cell, missingExtension, SqliteFile } from './file.ts'
import { analyze, checkNextId, makeForeignKeys, setNextIds } from './finish.ts'
import { checkIndexSizes } from './index-sizes.ts'
import { checkIntegrity } from './integrity.ts'
import type { StorageClass, Stored } from './kinds.ts'
import { creationOf, isMoved, type MoveContext, type Moved, moveTable, pendingName, tryPreparing, tryTable } from './move.ts'
import { makePlan, type Plan, type PlanTable, targetName } from './plan.ts'
import { checkTable, Problems, printProblem, rowName } from './precheck.ts'
import { count, type Output, Progress } from './progress.ts'
import { quoteName } from './quote.ts'
import type { TableFacts } from './rows.ts'
import { readSchema, type SourceColumn, type SourceSchema } from './schema.ts'
import { readSeal, sealStatements } from './seal.ts'
import { Target } from './target.ts'
import { makeSchema, schemaToMake, tryPlan } from './trial.ts'

export interface PromoteOptions {
  /** The file's path. */
  readonly file: string
  readonly postgres: PostgresSettings
  /** Writes nothing, and prints the plan as SQL. */
  readonly check: boolean
  /** Leaves the file open, and its writers free: a rehearsal. */
  readonly keepOpen: boolean
  readonly schema: string | undefined
  readonly texts: readonly string[]
  readonly without: readonly string[]
  /** How long to wait for another writer of the file, in ms. */
  readonly lockLimit: number
}

/** True when all of the file is on Postgres, or could be. */
export async function promote(options: PromoteOptions, output: Output): Promise<boolean> {
  const file = await SqliteFile.open(options.file)
  let target: Target | undefined
  try {
    // First, so that nobody waits for a server that is not there.
    target = await Target.connect(options.postgres, options.schema)
    const writes = !options.check && !options.keepOpen
    // Reading, a snapshot is enough: writers go on, and their later commits are not in it.
    await file.execWhenUnlocked(writes ? 'BEGIN IMMEDIATE' : 'BEGIN', options.lockLimit)
    await file.execWhenUnlocked('SELECT 1 FROM sqlite_schema LIMIT 1', options.lockLimit)
    return await new Promotion(file, target, options, output).run(writes)
  } finally {
    file.close()
    await target?.close()
  }
}

class Promotion {
  readonly #file: SqliteFile
  readonly #target: Target
  readonly #options: PromoteOptions
  readonly #output: Output
  readonly #progress: Progress
  readonly #schema: SourceSchema
  readonly #problems = new Problems()

  constructor(file: SqliteFile, target: Target, options: PromoteOptions, output: Output) {
    this.#file = file
    this.#target = target
    this.#options = options
    this.#output = output
    this.#progress = new Progress(output)
    this.#schema = readSchema(file)
  }

  async run(writes: boolean): Promise<boolean> {
    const { seal } = this.#schema
    this.#say(`${this.#file.location} → ${this.#target.location}, schema ${this.#target.schema}`)
    if (seal === undefined && writes) {
      this.#output.print('From now on, who writes to the file waits, and fails after its timeouts.lock (10 s by default). Readers go on.')
    }
    const plan = await this.#plan(seal !== undefined)
    for (const note of plan.notes) this.#say(`note: ${note}`)
    const facts = plan.refusals.length > 0 ? new Map<PlanTable, TableFacts>() : await this.#look(plan)
    if (this.#refuse(plan, seal !== undefined)) return false
    if (seal !== undefined) return this.#verify(plan, facts, seal.message)
    if (this.#options.check) {
      await this.#printPlan(plan)
      return true
    }
    try {
      await this.#move(plan, facts)
    } catch (error) {
      throw new DatabaseError(
        'unclassified',
        `${messageOf(error).replace(/\.$/, '')}. The file is open; run the same command again, and it goes on.`,
        {
          cause: error
        }
      )
    }
    if (!writes) {
      this.#output.print(
        'The file stays open, as --keep-open says. Run it without --keep-open to move what was written since, and to seal the file.'
      )
      return true
    }
    await this.#seal(plan)
    return true
  }

  /** Prints a line; beside SQL, as a comment. */
  #say(line: string): void {
    this.#output.print(this.#options.check ? `-- ${line.replaceAll('\n', '\n-- ')}` : line)
  }

  // Planning --------------------------------------------------------------------------------------------------------

  /** Plans until the server takes every statement of the plan. */
  async #plan(isSealed: boolean): Promise<Plan> {
    const { texts, without } = this.#options
    const existing = await this.#target.tables(this.#schema.tables.map(targetName))
    const rejected = new Map<string, string>()
    const constants = new Map<SourceColumn, Cell>()
    const memory = await SqliteFile.inMemory()
    try {
      const content = {
        stored: (table: string, column: string) => this.#stored(table, column),
        constant: (column: SourceColumn) => constants.get(column) ?? remember(constants, column, constantOf(memory, column))
      }
      const options = { schema: this.#target.schema, server: { version: this.#target.version }, texts, without, rejected }
      while (true) {
        const plan = makePlan(this.#schema, existing, content, options)
        const trial =
          isSealed || plan.refusals.length > 0 ? { rejected: new Map<string, string>(), refusals: [] } : await tryPlan(this.#target, plan)
        if (trial.rejected.size > 0) {
          for (const [statement, reason] of trial.rejected) rejected.set(statement, reason)
          continue
        }
        if (!isSealed && plan.refusals.length === 0 && plan.unused.length > 0) {
          throw new DatabaseError(
            'invalid_configuration',
            `--without ${plan.unused[0]}: nothing of that name has to be given up. Leave it out, or look at --check.`
          )
        }
        return { ...plan, refusals: [...plan.refusals, ...trial.refusals] }
      }
    } finally {
      memory.close()
    }
  }

  #stored(table: string, column: string): Stored {
    const name = quoteName(column)
    try {
      const rows = this.#file.rows(`SELECT typeof(${name}), count(*) FROM main.${quoteName(table)} WHERE ${name} IS NOT NULL GROUP BY 1`)
      return new Map(rows.map(([type, number]) => [type as StorageClass, Number(number)]))
    } catch (error) {
      // The look says so, by the table's name.
      if (missingExtension(error) !== undefined) return new Map()
      throw error
    }
  }

  // Looking ---------------------------------------------------------------------------------------------------------

  async #look(plan: Plan): Promise<Map<PlanTable, TableFacts>> {
    const { isUtf16 } = this.#schema
    const integrity = checkIntegrity(this.#file)
    // Whatever else fails first, its rejection is waited for below.
    integrity.catch(() => undefined)
    const facts = new Map<PlanTable, TableFacts>()
    const report = (what: string, text: string) => this.#problems.add(what, undefined, text, undefined)
    for (const table of plan.tables) {
      this.#progress.begin(`looking at ${table.source.name}`, 0)
      try {
        facts.set(table, await checkTable(this.#file, table, isUtf16, this.#problems, this.#breathe))
      } catch (error) {
        const isCorrupt = nativeCode(error instanceof DatabaseError ? error.cause : error) === 'SQLITE_CORRUPT'
        const reason = isCorrupt ? 'cannot be read to its end' : missingExtension(error)
        if (reason === undefined) throw error
        report(table.source.name, reason)
      }
    }
    this.#progress.end()
    try {
      for (const message of await integrity) report('the file', `PRAGMA integrity_check says: ${message}`)
    } catch (error) {
      const reason = missingExtension(error)
      if (reason === undefined) throw error
      report('the file', reason)
    }
    if (facts.size < plan.tables.length) return facts
    if (this.#schema.seal !== undefined) return facts
    await this.#target.begin()
    try {
      for (const table of plan.tables) {
        await checkIndexSizes(this.#file, this.#target, table, this.#problems)
        await checkNextId(this.#file, this.#target, table, this.#problems)
      }
    } finally {
      await this.#target.query('ROLLBACK')
    }
    if (this.#problems.all.length === 0 && plan.unmovable.length === 0) await this.#askServer(plan, facts)
    return facts
  }

  /** Has the server take what only it can judge, and undo it. */
  async #askServer(plan: Plan, facts: ReadonlyMap<PlanTable, TableFacts>): Promise<void> {
    for (const table of plan.tables) {
      if (!table.isUncertain) {
        const reason = table.existing?.isEmpty === true ? await tryPreparing(this.#context(plan), table) : undefined
        if (reason !== undefined) this.#problems.add(table.source.name, undefined, `is refused by Postgres: ${reason}`, undefined)
        continue
      }
      const own = facts.get(table) as TableFacts
      this.#progress.begin(`trying ${table.source.name}`, own.rowCount)
      const refusal = await tryTable(this.#context(plan), table, own)
      this.#progress.end()
      if (refusal === undefined) continue
      const row = refusal.key && rowName(table, refusal.key)
      this.#problems.add(table.source.name, undefined, `is refused by Postgres: ${refusal.reason}`, row)
    }
  }

  /** Prints why the file cannot move. */
  #refuse({ refusals, unmovable }: Plan, isSealed: boolean): boolean {
    const problems = this.#problems.all
    const listed = isSealed ? [] : unmovable
    if (refusals.length + problems.length + listed.length === 0) return false
    this.#output.error(`${this.#file.location} cannot move yet. Nothing was written, and the file is open.`)
    for (const refusal of refusals) this.#output.error(`  ${refusal}`)
    for (const problem of problems) this.#output.error(`  ${printProblem(problem)}`)
    if (problems.length > 0)
      this.#output.error('Mend these rows in the file; or, where a column holds texts of any kind, move it as it is: --text table.column')
    if (listed.length > 0) this.#output.error('What Postgres does not have, and is left behind only by its name:')
    for (const { name, what } of listed) this.#output.error(`  ${what}\n    --without ${shellWord(name)}`)
    return true
  }

  /** Prints what is made, so that psql runs it as it is. */
  async #printPlan({ tables }: Plan): Promise<void> {
    const schema = await schemaToMake(this.#target)
    const statements = tables.flatMap(table => [
      ...(table.existing === undefined ? creationOf(this.#target, table) : []),
      ...table.makings.filter(({ target }) => !isThere(table, target)).map(({ statement }) => statement)
    ])
    const keys = tables.flatMap(table =>
      table.foreignKeys.filter(({ target }) => !isThere(table, target)).map(({ statement }) => statement)
    )
    for (const statement of [...schema, ...statements, ...keys]) this.#output.print(`${statement};`)
    this.#say('The file can move. Nothing was written.')
  }

  // Moving ----------------------------------------------------------------------------------------------------------

  #context(plan: Plan): MoveContext {
    const planned = new Set(plan.tables.flatMap(({ target, foreignKeys }) => foreignKeys.map(key => JSON.stringify([target, key.target]))))
    return {
      file: this.#file,
      target: this.#target,
      isUtf16: this.#schema.isUtf16,
      pending: pendingName(plan.tables),
      isPlanned: (table, constraint) => planned.has(JSON.stringify([table, constraint])),
      progress: () => this.#progress.add(),
      breathe: this.#breathe
    }
  }

  async #move(plan: Plan, facts: ReadonlyMap<PlanTable, TableFacts>): Promise<void> {
    await makeSchema(this.#target)
    const context = this.#context(plan)
    let ranges = 0
    for (const table of plan.tables) {
      const own = facts.get(table) as TableFacts
      this.#progress.begin(table.source.name, own.rowCount)
      const moved = await moveTable(context, table, own)
      this.#progress.end()
      ranges += moved.ranges
      this.#output.print(`${table.source.name}: ${describe(moved)}, ${this.#progress.summary}`)
    }
    for (const note of await makeForeignKeys(this.#target, plan.tables)) this.#output.print(`note: ${note}`)
    await setNextIds(this.#file, this.#target, plan.tables)
    await analyze(this.#target, plan.tables)
    this.#output.print(`All ${plan.tables.length} tables are on Postgres, compared by checksums. ${count(ranges)} ranges were copied.`)
  }

  /** Compares a file that was moved before with what Postgres has now. */
  async #verify(plan: Plan, facts: ReadonlyMap<PlanTable, TableFacts>, message: string): Promise<boolean> {
    this.#say(`The file is sealed: ${message}`)
    const context = this.#context(plan)
    const differing: string[] = []
    for (const table of plan.tables) {
      const own = facts.get(table) as TableFacts
      this.#progress.begin(table.source.name, own.rowCount)
      if (!(await isMoved(context, table, own))) differing.push(table.source.name)
      this.#progress.end()
    }
    if (differing.length === 0) {
      this.#say(`It is moved already: all ${plan.tables.length} tables are on Postgres, compared by checksums. 0 ranges were copied.`)
      return true
    }
    this.#output.error(
      `It was moved, and Postgres has other rows now in: ${differing.join(', ')}. Nothing was copied, since what was written on Postgres ` +
        'since then would be lost. To move the file again all the same, open it with: npx duolect unseal'
    )
    return false
  }

  async #seal(plan: Plan): Promise<void> {
    for (const statement of sealStatements(
      plan.tables.map(({ source }) => source.name),
      new Date()
    ))
      this.#file.exec(statement)
    await this.#file.execWhenUnlocked('COMMIT', 0)
    const seal = readSeal(this.#file)
    this.#output.print(seal === undefined ? 'The file has no tables, so nothing of it is sealed.' : `The file is sealed: ${seal.message}`)
  }

  #since = performance.now()
  #rows = 0

  /** Lets the event loop run every 10 ms, so that Ctrl-C and the connection are heard. */
  readonly #breathe = (): Promise<void> | undefined => {
    if ((++this.#rows & 63) !== 0 || performance.now() - this.#since < 10) return undefined
    return new Promise(resolve =>
      setImmediate(() => {
        this.#since = performance.now()
        resolve()
      })
    )
  }
}

function remember<K, V>(map: Map<K, V>, key: K, value: V): V {
  map.set(key, value)
  return value
}

/** What SQLite itself stores for a constant default. */
function constantOf(memory: SqliteFile, { type, default: text }: SourceColumn): Cell {
  memory.exec('DROP TABLE IF EXISTS d')
  // In quotes, since a type may be any text; the line's end ends a comment.
  const column = `c ${type === '' ? '' : quoteName(type)}`
  try {
    memory.exec(`CREATE TABLE d (${column} DEFAULT ${text}\n)`)
  } catch {
    // SQLite takes the parentheses of an expression away.
    memory.exec(`CREATE TABLE d (${column} DEFAULT (${text}\n))`)
  }
  memory.exec('INSERT INTO d DEFAULT VALUES')
  return memory.value('SELECT c FROM d') ?? null
}

function isThere({ existing }: PlanTable, name: string): boolean {
  return existing !== undefined && (existing.indexes.includes(name) || existing.constraints.includes(name))
}

function describe({ rows, copied, ranges, allRanges }: Moved): string {
  if (ranges === 0) return `${count(rows)} rows, the same on Postgres, 0 ranges copied`
  if (allRanges === 1) return `${count(rows)} rows copied`
  return `${count(rows)} rows, ${count(copied)} of them copied in ${count(ranges)} of ${count(allRanges)} ranges`
}

/** A name as a shell takes it. */
function shellWord(name: string): string {
  return /^[\w./-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`
}
