/** From a SQLite schema, and what is there on Postgres, to what has to be made, and what cannot move. Pure. */
import { DatabaseError } from '../../errors.ts'
import { defaultOf } from './defaults.ts'
import { type ExpressionColumn, translateCondition, translateExpression, Untranslatable } from './expression.ts'
import type { Cell } from './file.ts'
import { isUndeclared, type Kind, kindOfDeclared, kindOfTarget, kindOfText, type Server, type Stored } from './kinds.ts'
import { isTooLong, MAX_NAME_BYTES, Names, SYSTEM_COLUMNS } from './names.ts'
import { foldName, quoteName } from './quote.ts'
import type { SourceColumn, SourceForeignKey, SourceIndex, SourceSchema, SourceTable, SourceTerm } from './schema.ts'
import type { TargetTable } from './target.ts'

export interface PlanColumn {
  readonly source: SourceColumn
  /** The name on Postgres. */
  readonly target: string
  readonly kind: Kind
  /** True if Postgres computes it, so that it is compared, but not copied. */
  readonly isComputed: boolean
  /** Why NULL is refused. */
  readonly requiredBy: 'a key' | 'NOT NULL' | undefined
}

/** A statement that makes one thing. */
export interface Making {
  /** How it is called where it cannot be made. */
  readonly name: string
  /** What `--without` may call it. */
  readonly aliases: readonly string[]
  /** What it is, for a list. */
  readonly what: string
  readonly statement: string
  /** The name of the index or constraint on Postgres. */
  readonly target: string
}

/** A set of columns whose values must differ on Postgres. */
export interface Unique {
  readonly name: string
  readonly columns: readonly PlanColumn[]
  /** What is compared of the texts of a column, by its name in the file; without one the whole. */
  readonly collations: ReadonlyMap<string, (text: string) => string>
  readonly where: string | undefined
}

/** An index whose entries must not be too large. */
export interface Indexed {
  readonly name: string
  /** Expressions in SQLite. */
  readonly expressions: readonly string[]
  readonly where: string | undefined
  /** The columns whose values the server is asked about. */
  readonly columns: readonly PlanColumn[]
  /** The terms on Postgres. */
  readonly terms: string
}

export interface PlanTable {
  readonly source: SourceTable
  /** The name on Postgres. */
  readonly target: string
  /** What is there already. */
  readonly existing: TargetTable | undefined
  readonly columns: readonly PlanColumn[]
  /** CREATE TABLE; empty for a table that is not `promote`'s own. */
  readonly create: string
  /** The same without what is tried by itself. */
  readonly plainCreate: string
  /** CHECKs and generated columns, each as an ALTER TABLE that tries it. */
  readonly trials: readonly Making[]
  /** The CHECKs that move, as SQLite has them. */
  readonly checks: readonly string[]
  /** Keys and indexes, made after the rows. */
  readonly makings: readonly Making[]
  readonly foreignKeys: readonly Making[]
  readonly unique: readonly Unique[]
  readonly indexed: readonly Indexed[]
  /** The column that gets the next number, by its name on Postgres. */
  readonly idColumn: string | undefined
  /** True if only the server can tell whether it takes all rows, so that it is asked before anything is written. */
  readonly isUncertain: boolean
}

/** What cannot move, and is listed. */
export interface Unmovable {
  readonly name: string
  readonly aliases: readonly string[]
  readonly what: string
}

export interface Plan {
  readonly tables: readonly PlanTable[]
  readonly notes: readonly string[]
  readonly unmovable: readonly Unmovable[]
  /** Why the file cannot move at all: names and columns that do not fit. */
  readonly refusals: readonly string[]
  /** Names of `--without` that nothing has which cannot move. */
  readonly unused: readonly string[]
}

export interface PlanOptions {
  readonly schema: string
  readonly server: Server
  /** Columns as `table.column` that become TEXT whatever they hold. */
  readonly texts: readonly string[]
  /** Names of what is given up. */
  readonly without: readonly string[]
  /** Statements that the server refused when they were tried, with its reasons. */
  readonly rejected: ReadonlyMap<string, string>
}

/** What the plan has to know of the file's content. */
export interface Content {
  /** The types of the values of a column without a declared type. */
  stored(table: string, column: string): Stored
  /** What SQLite stores for a constant default. */
  constant(column: SourceColumn): Cell
}

/** Returns the name that a table or column gets on Postgres. */
export function targetName({ name, isQuoted }: { readonly name: string; readonly isQuoted: boolean }): string {
  return isQuoted ? name : foldName(name)
}

export function makePlan(schema: SourceSchema, existing: ReadonlyMap<string, TargetTable>, content: Content, options: PlanOptions): Plan {
  return new Planner(schema, existing, content, options).plan()
}

interface Creation {
  readonly create: string
  readonly plainCreate: string
  readonly trials: Making[]
  readonly checks: string[]
  /** Columns, by their names on Postgres, that it computes. */
  readonly computed: Set<string>
}

/** How a name on Postgres belongs to a column or table of the file. */
function sameName(a: string, b: string): boolean {
  return foldName(a) === foldName(b)
}

class Planner {
  readonly #schema: SourceSchema
  readonly #existing: ReadonlyMap<string, TargetTable>
  readonly #content: Content
  readonly #options: PlanOptions
  /** Names of tables, indexes and sequences, which share one space. */
  readonly #names: Names
  /** Names of each table's constraints. SQLite lets two of them have one name. */
  readonly #constraints = new Map<SourceTable, Names>()
  readonly #notes: string[] = []
  readonly #refusals: string[] = []
  readonly #unmovable: Unmovable[] = []
  readonly #used = new Set<string>()
  readonly #columns = new Map<string, readonly PlanColumn[]>()

  constructor(schema: SourceSchema, existing: ReadonlyMap<string, TargetTable>, content: Content, options: PlanOptions) {
    this.#schema = schema
    this.#existing = existing
    this.#content = content
    this.#options = options
    this.#names = new Names(schema.tables.map(targetName))
  }

  plan(): Plan {
    const { tables, views, triggers, virtualTables } = this.#schema
    this.#checkNames('table', 'the file', tables)
    for (const name of views) this.#giveUp({ name, aliases: [], what: `view ${name}` })
    for (const { name, table } of triggers) this.#giveUp({ name, aliases: [], what: `trigger ${name} on ${table}` })
    for (const name of virtualTables) this.#giveUp({ name, aliases: [], what: `virtual table ${name}` })
    // All columns first, since foreign keys name those of other tables.
    for (const table of tables) this.#columns.set(foldName(table.name), this.#planColumns(table))
    const planned = tables.map(table => this.#planTable(table))
    this.#checkTexts()
    const unused = this.#options.without.filter(name => !this.#used.has(name))
    return { tables: planned, notes: this.#notes, unmovable: this.#unmovable, refusals: this.#refusals, unused }
  }

  #checkTexts(): void {
    const known = this.#schema.tables.flatMap(table => table.columns.map(column => `${table.name}.${column.name}`))
    const unknown = this.#options.texts.find(text => !known.some(name => sameName(name, text)))
    if (unknown === undefined) return
    throw new DatabaseError('invalid_configuration', `--text ${unknown}: the file has no such column; write it as table.column.`)
  }

  /** Lists what cannot move, unless it is given up. */
  #giveUp(item: Unmovable): void {
    const asked = this.#options.without.filter(name => [item.name, ...item.aliases].some(own => sameName(own, name)))
    if (asked.length === 0) this.#unmovable.push(item)
    else this.#notes.push(`left behind: ${item.what}`)
    for (const name of asked) this.#used.add(name)
  }

  /** Returns the making, unless the server refused it before. */
  #keep(making: Making): Making | undefined {
    const reason = this.#options.rejected.get(making.statement)
    if (reason === undefined) return making
    this.#giveUp({ ...making, what: `${making.what} (Postgres: ${reason})` })
    return undefined
  }

  #made(making: Making): Making[] {
    const kept = this.#keep(making)
    return kept === undefined ? [] : [kept]
  }

  #checkNames(what: string, where: string, items: readonly { readonly name: string; readonly isQuoted: boolean }[]): void {
    const seen = new Map<string, string>()
    for (const item of items) {
      const target = targetName(item)
      if (isTooLong(target))
        this.#refusals.push(
          `${where}: the name of the ${what} ${item.name} has more than ${MAX_NAME_BYTES} bytes, and Postgres would cut it off`
        )
      const other = seen.get(target)
      if (other !== undefined)
        this.#refusals.push(`${where}: the names of the ${what}s ${other} and ${item.name} are both ${target} on Postgres`)
      seen.set(target, item.name)
    }
  }

  // Columns ---------------------------------------------------------------------------------------------------------

  #planColumns(table: SourceTable): readonly PlanColumn[] {
    const existing = this.#existing.get(targetName(table))
    this.#checkNames('column', `table ${table.name}`, table.columns)
    for (const column of table.columns) {
      if (SYSTEM_COLUMNS.includes(targetName(column))) {
        this.#refusals.push(`table ${table.name}: Postgres has a system column of the name ${column.name}; rename the column`)
      }
    }
    if (existing === undefined) return table.columns.map(column => this.#newColumn(table, column))
    return this.#existingColumns(table, existing)
  }

  #isText(table: SourceTable, column: SourceColumn): boolean {
    return this.#options.texts.some(text => sameName(text, `${table.name}.${column.name}`))
  }

  #newColumn(table: SourceTable, column: SourceColumn): PlanColumn {
    const stored = isUndeclared(column.type) ? this.#content.stored(table.name, column.name) : new Map()
    const kind = this.#isText(table, column) ? kindOfText() : kindOfDeclared(column.type, stored, this.#options.server)
    if (kind.type === 'NUMERIC')
      this.#notes.push(`${table.name}.${column.name} becomes NUMERIC: its values are strings in JavaScript, exact ones`)
    if (column.collation === 'NOCASE' && kind.expression === 'text') {
      this.#notes.push(
        `${table.name}.${column.name} has the collation NOCASE: on Postgres compare lower(${targetName(column)} COLLATE "C"), which its indexes hold`
      )
    }
    return { source: column, target: targetName(column), kind, isComputed: false, requiredBy: requiredBy(table, column, false) }
  }

  #existingColumns(table: SourceTable, existing: TargetTable): readonly PlanColumn[] {
    if (existing.kind !== 'r' && existing.kind !== 'p') {
      this.#refusals.push(`table ${table.name}: on Postgres the name ${existing.name} belongs to something that is no table`)
      return []
    }
    const columns: PlanColumn[] = []
    for (const source of table.columns) {
      const target =
        existing.columns.find(({ name }) => name === targetName(source)) ?? existing.columns.find(({ name }) => sameName(name, source.name))
      if (target === undefined) {
        this.#refusals.push(`table ${table.name}: the column ${source.name} is missing in the table that is there on Postgres`)
        continue
      }
      const isText = this.#isText(table, source)
      const isOwnText = isText && ['text', 'varchar'].includes(target.type.name)
      const kind = isOwnText ? kindOfText() : kindOfTarget(target.type, source.type, this.#options.server)
      if (kind === undefined) {
        this.#refusals.push(
          `table ${table.name}: the column ${source.name} has the type ${target.type.written} on Postgres, which promote cannot fill`
        )
        continue
      }
      columns.push({
        source,
        target: target.name,
        kind,
        isComputed: target.isGenerated,
        requiredBy: requiredBy(table, source, target.isNotNull)
      })
    }
    for (const { name, isNotNull, hasDefault, isGenerated } of existing.columns) {
      const isFilled = columns.some(column => column.target === name)
      if (!isFilled && isNotNull && !hasDefault && !isGenerated) {
        this.#refusals.push(
          `table ${table.name}: on Postgres it has the column ${name}, NOT NULL and without a default, which the file does not have`
        )
      }
    }
    return columns
  }

  #finder(table: SourceTable): (name: string) => ExpressionColumn | undefined {
    const columns = this.#columns.get(foldName(table.name)) ?? []
    return name => {
      const column = columns.find(({ source }) => foldName(source.name) === name)
      return column && { target: column.target, type: column.kind.expression, collation: column.source.collation }
    }
  }

  // Tables ----------------------------------------------------------------------------------------------------------

  #planTable(table: SourceTable): PlanTable {
    if (table.rowId === undefined && table.key.length === 0) {
      this.#refusals.push(
        `table ${table.name}: its columns have all names of the rowid (rowid, _rowid_, oid), and it has no key; rename one`
      )
    }
    const target = targetName(table)
    const existing = this.#existing.get(target)
    const isOwn = existing === undefined || existing.isOwn
    const columns = this.#columns.get(foldName(table.name)) ?? []
    const { create, plainCreate, trials, checks, computed } = isOwn
      ? this.#create(table, target, columns)
      : { create: '', plainCreate: '', trials: [], checks: [], computed: new Set<string>() }
    const final = columns.map(column => (computed.has(column.target) ? { ...column, isComputed: true } : column))
    const keys = isOwn ? this.#keys(table, target, final) : []
    const indexes = isOwn ? table.indexes.flatMap(index => this.#index(table, target, index)) : []
    if (isOwn && table.conflictClauses.length > 0) {
      this.#notes.push(
        `${table.name}: ON CONFLICT ${[...new Set(table.conflictClauses)].join(', ')} of its constraints does not move; a conflict is an error on Postgres`
      )
    }
    return {
      source: table,
      target,
      existing,
      columns: final,
      create,
      plainCreate,
      trials,
      checks,
      makings: [...keys, ...indexes],
      foreignKeys: isOwn ? table.foreignKeys.flatMap(key => this.#foreignKey(table, target, key)) : [],
      unique: this.#uniques(table, existing, final),
      indexed: this.#indexed(table, final),
      idColumn: final.find(column => column.source.name === table.idColumn)?.target,
      isUncertain: isOwn ? this.#isUncertain(table, final, checks) : (existing?.hasConditions ?? false) || mayBeTooWide(final)
    }
  }

  #isUncertain(table: SourceTable, columns: readonly PlanColumn[], checks: readonly string[]): boolean {
    const find = this.#finder(table)
    const mayFail = (expression: string) => {
      try {
        return translateExpression(expression, find).mayFail
      } catch (error) {
        // What cannot be translated is not made either.
        if (error instanceof Untranslatable) return false
        throw error
      }
    }
    const computed = columns.flatMap(({ isComputed, source }) => (isComputed ? [source.generatedAs as string] : []))
    const ofIndexes = table.indexes.flatMap(({ terms, where }) => [
      ...terms.flatMap(({ column, expression }) => (column === undefined ? [expression] : [])),
      ...(where === undefined ? [] : [where])
    ])
    const isUniqueExpression = table.indexes.some(({ isUnique, terms }) => isUnique && terms.some(({ column }) => column === undefined))
    return (
      mayBeTooWide(columns) ||
      [...checks, ...computed, ...ofIndexes].some(mayFail) ||
      (isUniqueExpression && columns.some(({ kind }) => !keepsDifferences(kind)))
    )
  }

  #constraintNames(table: SourceTable): Names {
    const names = this.#constraints.get(table) ?? new Names([])
    this.#constraints.set(table, names)
    return names
  }

  #qualify(name: string): string {
    return `${quoteName(this.#options.schema)}.${quoteName(name)}`
  }

  #create(table: SourceTable, target: string, columns: readonly PlanColumn[]): Creation {
    const checks: string[] = []
    const lines: string[] = []
    const plain: string[] = []
    const trials: Making[] = []
    const computed = new Set<string>()
    for (const column of columns) {
      const generated =
        column.source.generatedAs === undefined ? undefined : this.#generated(table, target, column, column.source.generatedAs)
      if (generated !== undefined) {
        trials.push(generated.trial)
        computed.add(column.target)
      }
      // Servers before 10 have no identity columns.
      const isSerial = column.source.name === table.idColumn && this.#options.server.version < 100_000
      const clauses = generated === undefined ? this.#clauses(table, target, column) : [generated.clause]
      lines.push([quoteName(column.target), isSerial ? 'BIGSERIAL' : column.kind.type, ...clauses].join(' '))
      if (generated === undefined) plain.push(lines.at(-1) as string)
    }
    for (const check of table.checks) {
      const item = {
        name: check.name ?? (check.column === undefined ? `${table.name}.check` : `${table.name}.${check.column}`),
        aliases: check.name === undefined ? [`${table.name}.check`] : [`${table.name}.${check.name}`],
        what: `CHECK (${check.expression}) of ${table.name}`
      }
      const condition = this.#translate(item, () => translateCondition(check.expression, this.#finder(table)))
      if (condition === undefined) continue
      const name = this.#constraintNames(table).take(
        check.name ?? [target, ...(check.column === undefined ? [] : [foldName(check.column)]), 'check'].join('_')
      )
      const clause = `CONSTRAINT ${quoteName(name)} CHECK (${condition})`
      const trial = { ...item, statement: `ALTER TABLE ${this.#qualify(target)} ADD ${clause}`, target: name }
      if (this.#keep(trial) === undefined) continue
      trials.push(trial)
      checks.push(check.expression)
      lines.push(clause)
    }
    const withLines = (list: readonly string[]) => `CREATE TABLE ${this.#qualify(target)} (\n  ${list.join(',\n  ')}\n)`
    return { create: withLines(lines), plainCreate: withLines(plain), trials, checks, computed }
  }

  /** NOT NULL, the default and the identity of a column. */
  #clauses(table: SourceTable, target: string, column: PlanColumn): string[] {
    const { source, kind } = column
    const clauses: string[] = []
    if (source.name === table.idColumn) {
      const sequence = this.#names.take(`${target}_${column.target}_seq`)
      if (this.#options.server.version >= 100_000)
        clauses.push(this.#identity(sequence === `${target}_${column.target}_seq` ? '' : `SEQUENCE NAME ${this.#qualify(sequence)}`))
    }
    const isKey = table.key.some(term => term.column === source.name)
    if (source.isNotNull || isKey) clauses.push('NOT NULL')
    if (source.default !== undefined && source.name !== table.idColumn) {
      const item = { name: `${table.name}.${source.name}`, aliases: [], what: `DEFAULT ${source.default} of ${table.name}.${source.name}` }
      const text = this.#translate(item, () => defaultOf(source, kind, this.#content))
      if (text !== undefined && text !== 'NULL') clauses.push(`DEFAULT ${text}`)
    }
    return clauses
  }

  #identity(options: string): string {
    return `GENERATED BY DEFAULT AS IDENTITY${options && ` (${options})`}`
  }

  #generated(table: SourceTable, target: string, column: PlanColumn, expression: string): { clause: string; trial: Making } | undefined {
    const item = {
      name: `${table.name}.${column.source.name}`,
      aliases: [],
      what: `GENERATED ALWAYS AS (${expression}) of ${table.name}.${column.source.name}; --without keeps its values in a plain column`
    }
    const text = this.#translate(item, () => {
      if (this.#options.server.version < 120_000) throw new Untranslatable('a generated column, which servers before 12 do not have')
      return assignable(translateExpression(expression, this.#finder(table)), column.kind)
    })
    if (text === undefined) return undefined
    const clause = `GENERATED ALWAYS AS (${text}) STORED`
    const trial = {
      ...item,
      statement: `ALTER TABLE ${this.#qualify(target)} ADD ${quoteName(column.target)} ${column.kind.type} ${clause}`,
      target: column.target
    }
    return this.#keep(trial) && { clause: column.source.isNotNull ? `${clause} NOT NULL` : clause, trial }
  }

  /** Returns a translation; lists what has none. */
  #translate(item: Unmovable, translate: () => string): string | undefined {
    try {
      return translate()
    } catch (error) {
      if (!(error instanceof Untranslatable)) throw error
      this.#giveUp({ ...item, what: `${item.what} (${error.message})` })
      return undefined
    }
  }

  // Keys and indexes ------------------------------------------------------------------------------------------------

  #keys(table: SourceTable, target: string, columns: readonly PlanColumn[]): Making[] {
    if (table.key.length === 0) return []
    const makings: Making[] = []
    const name = this.#names.take(`${target}_pkey`)
    const item = { name: `${table.name}.primary key`, aliases: [], what: `primary key of ${table.name}` }
    const list = table.key.map(({ column }) => quoteName(columns.find(({ source }) => source.name === column)?.target ?? ''))
    const statement = `ALTER TABLE ${this.#qualify(target)} ADD CONSTRAINT ${quoteName(name)} PRIMARY KEY (${list.join(', ')})`
    makings.push(...this.#made({ ...item, target: name, statement }))
    const isFolded = table.key.some(term => term.collation !== 'BINARY' && this.#kindOf(columns, term)?.expression === 'text')
    if (isFolded)
      makings.push(
        ...this.#makeIndex(
          table,
          target,
          { ...item, name: `${table.name}.primary key` },
          `${target}_pkey_nocase`,
          table.key,
          undefined,
          true
        )
      )
    return makings
  }

  #kindOf(columns: readonly PlanColumn[], term: SourceTerm): Kind | undefined {
    return columns.find(({ source }) => source.name === term.column)?.kind
  }

  #index(table: SourceTable, target: string, index: SourceIndex): Making[] {
    const columns = this.#columns.get(foldName(table.name)) ?? []
    const isPlain = index.terms.every(
      term => term.column !== undefined && (term.collation === 'BINARY' || this.#kindOf(columns, term)?.expression !== 'text')
    )
    if (!index.isConstraint) {
      const item = { name: index.name, aliases: [], what: `index ${index.name} on ${table.name}` }
      return this.#makeIndex(table, target, item, targetName(index), index.terms, index.where, index.isUnique)
    }
    const names = index.terms.map(({ column }) => columns.find(({ source }) => source.name === column)?.target ?? '')
    const wanted = `${target}_${names.join('_')}_key`
    const item = { name: `${table.name}.unique`, aliases: [], what: `UNIQUE (${names.join(', ')}) of ${table.name}` }
    if (!isPlain) return this.#makeIndex(table, target, item, wanted, index.terms, undefined, true)
    const name = this.#names.take(wanted)
    const statement = `ALTER TABLE ${this.#qualify(target)} ADD CONSTRAINT ${quoteName(name)} UNIQUE (${names.map(quoteName).join(', ')})`
    return this.#made({ ...item, target: name, statement })
  }

  #makeIndex(
    table: SourceTable,
    target: string,
    item: Unmovable,
    wanted: string,
    terms: readonly SourceTerm[],
    where: string | undefined,
    isUnique: boolean
  ): Making[] {
    const find = this.#finder(table)
    const parts = this.#translate(item, () => {
      const list = terms.map(term => indexTerm(term, find)).join(', ')
      return where === undefined ? `(${list})` : `(${list}) WHERE ${translateCondition(where, find)}`
    })
    if (parts === undefined) return []
    const name = this.#names.take(wanted)
    const statement = `CREATE ${isUnique ? 'UNIQUE ' : ''}INDEX ${quoteName(name)} ON ${this.#qualify(target)} ${parts}`
    return this.#made({ ...item, target: name, statement })
  }

  #foreignKey(table: SourceTable, target: string, key: SourceForeignKey): Making[] {
    const columns = this.#columns.get(foldName(table.name)) ?? []
    const parent = this.#schema.tables.find(({ name }) => sameName(name, key.parent))
    const item = {
      name: key.name ?? `${table.name}.${key.columns.join('_')}`,
      aliases: [
        `${table.name}.${key.columns.join(',')}`,
        `${table.name}.${key.parent}`,
        ...(key.name ? [`${table.name}.${key.name}`] : [])
      ],
      what: `foreign key (${key.columns.join(', ')}) of ${table.name} to ${key.parent}`
    }
    const parentColumns = key.parentColumns.length > 0 ? key.parentColumns : (parent?.key.map(({ column }) => column ?? '') ?? [])
    if (parent === undefined || parentColumns.length !== key.columns.length) {
      this.#giveUp({ ...item, what: `${item.what}, which ${parent === undefined ? 'is no table' : 'has no such key'}` })
      return []
    }
    const list = (names: readonly string[], all: readonly PlanColumn[]) =>
      names.map(name => quoteName(all.find(({ source }) => sameName(source.name, name))?.target ?? name)).join(', ')
    const ofParent = this.#columns.get(foldName(parent.name)) ?? []
    const name = this.#constraintNames(table).take(key.name ?? `${target}_${key.columns.map(foldName).join('_')}_fkey`)
    const actions = [
      ...(key.onUpdate === 'NO ACTION' ? [] : [`ON UPDATE ${key.onUpdate}`]),
      ...(key.onDelete === 'NO ACTION' ? [] : [`ON DELETE ${key.onDelete}`]),
      ...(key.isDeferred ? ['DEFERRABLE INITIALLY DEFERRED'] : [])
    ]
    const statement =
      `ALTER TABLE ${this.#qualify(target)} ADD CONSTRAINT ${quoteName(name)} FOREIGN KEY (${list(key.columns, columns)}) ` +
      [`REFERENCES ${this.#qualify(targetName(parent))} (${list(parentColumns, ofParent)})`, ...actions].join(' ')
    return this.#made({ ...item, target: name, statement })
  }

  /** What is unique, where values that differ in SQLite may be one value on Postgres. */
  #uniques(table: SourceTable, existing: TargetTable | undefined, columns: readonly PlanColumn[]): Unique[] {
    const byName = (names: readonly (string | undefined)[]) => columns.filter(({ source }) => names.includes(source.name))
    const ofFile = [
      { name: `primary key of ${table.name}`, terms: table.key, where: undefined },
      ...table.indexes
        .filter(({ isUnique }) => isUnique)
        .map(({ name, isConstraint, terms, where }) => ({ name: isConstraint ? `UNIQUE of ${table.name}` : name, terms, where }))
    ]
      .filter(({ terms }) => terms.length > 0 && terms.every(({ column }) => column !== undefined))
      .map(({ name, terms, where }) => ({
        name,
        columns: byName(terms.map(({ column }) => column)),
        collations: collationsOf(terms),
        where
      }))
    const changing = ofFile.filter(unique => unique.columns.some(({ kind }) => !keepsDifferences(kind)))
    const ofTarget = (existing?.isOwn === false ? existing.uniqueColumns : [])
      .map(names => columns.filter(({ target }) => names.includes(target)))
      .filter((found, i) => found.length > 0 && found.length === existing?.uniqueColumns[i]?.length)
      .filter(found => !ofFile.some(unique => unique.where === undefined && unique.columns.every(column => found.includes(column))))
      .map(found => ({
        name: `UNIQUE (${found.map(({ target }) => target).join(', ')}) on Postgres`,
        columns: found,
        collations: new Map<string, (text: string) => string>(),
        where: undefined
      }))
    return [...changing, ...ofTarget]
  }

  /** Indexes that hold texts or bytes. */
  #indexed(table: SourceTable, columns: readonly PlanColumn[]): Indexed[] {
    const find = this.#finder(table)
    const all = [
      ...(table.key.length > 0 ? [{ name: `primary key of ${table.name}`, terms: table.key, where: undefined }] : []),
      ...table.indexes.map(({ name, isConstraint, terms, where }) => ({
        name: isConstraint ? `UNIQUE of ${table.name}` : `index ${name}`,
        terms,
        where
      }))
    ]
    return all.flatMap(({ name, terms, where }) => {
      const isLarge = terms.some(
        term => term.column === undefined || ['text', 'bytes', 'json', 'numeric'].includes(this.#kindOf(columns, term)?.expression ?? '')
      )
      if (!isLarge) return []
      try {
        return [
          {
            name,
            expressions: terms.map(({ expression }) => expression),
            where,
            columns,
            terms: terms.map(term => indexTerm(term, find)).join(', ')
          }
        ]
      } catch (error) {
        // What cannot be translated is not made either.
        if (error instanceof Untranslatable) return []
        throw error
      }
    })
  }
}

function requiredBy(table: SourceTable, column: SourceColumn, isNotNullOnTarget: boolean): 'a key' | 'NOT NULL' | undefined {
  if (column.name === table.idColumn) return undefined
  if (table.key.some(term => term.column === column.name)) return 'a key'
  return column.isNotNull || isNotNullOnTarget ? 'NOT NULL' : undefined
}

/** What a row may take of a page, which is all that Postgres has for it. */
const MAX_ROW = 8160

/** True if rows may not fit into a page, even with their texts and bytes elsewhere, which takes 18 bytes and up to 3 to align each. */
function mayBeTooWide(columns: readonly PlanColumn[]): boolean {
  const sizes = columns.map(({ kind }) => (['integer', 'real', 'boolean', 'timestamp', 'date'].includes(kind.expression) ? 8 : 21))
  return sizes.reduce((sum, size) => sum + size, 32 + columns.length / 8) > MAX_ROW
}

/** True if values that differ in SQLite differ on Postgres, too. */
function keepsDifferences(kind: Kind): boolean {
  return !/^(TIMESTAMP|JSONB|NUMERIC)/.test(kind.type) && kind !== kindOfText()
}

function collationsOf(terms: readonly SourceTerm[]): ReadonlyMap<string, (text: string) => string> {
  const found = new Map<string, (text: string) => string>()
  for (const { column, collation } of terms) {
    if (column === undefined) continue
    if (collation === 'NOCASE') found.set(column, foldName)
    if (collation === 'RTRIM') found.set(column, text => text.replace(/ +$/, ''))
  }
  return found
}

/** An expression as a column of the kind takes it. */
function assignable({ sql, type }: { sql: string; type: string }, kind: Kind): string {
  const wanted = kind.expression
  if (type === wanted || type === 'null') return sql
  if (type === 'boolean' && wanted === 'integer') return `(${sql})::INTEGER`
  if (type === 'integer' && wanted === 'boolean') return `(${sql}) <> 0`
  if (type === 'integer' && (wanted === 'real' || wanted === 'numeric')) return sql
  if (type === 'integer' && wanted === 'text') return `(${sql})::TEXT`
  throw new Untranslatable(`a ${type} in a column of ${kind.type}`)
}

/** A term of an index. A text that SQLite compares without its case, or its last blanks, is indexed that way. */
function indexTerm(term: SourceTerm, find: (name: string) => ExpressionColumn | undefined): string {
  const { sql, type } =
    term.column === undefined
      ? translateExpression(term.expression, find)
      : translateExpression(quoteName(term.column), name => {
          const column = find(name)
          return column && { ...column, collation: 'BINARY' }
        })
  const folded =
    type !== 'text' || term.collation === 'BINARY'
      ? term.column === undefined
        ? `(${sql})`
        : sql
      : term.collation === 'NOCASE'
        ? `lower(${sql} COLLATE "C")`
        : term.collation === 'RTRIM'
          ? `rtrim(${sql} COLLATE "C")`
          : undefined
  if (folded === undefined) throw new Untranslatable(`the collation ${term.collation}`)
  return term.isDescending ? `${folded} DESC` : folded
}
