/** A folder of SQL files → one module: its queries for both databases, and its migrations. Pure. */
import type { Dialect } from '../adapter.ts'
import type { Call, ColumnAnnotation, Header, ParameterAnnotation, TextAnnotation } from './annotations.ts'
import { type FileQuery, type MigrationScript, readMigration, readQueries } from './queries.ts'
import type { Segment, Use } from './render.ts'
import { SourceError, SourceFile } from './source.ts'

/** A file of the folder. */
export interface InputFile {
  /** Below the folder, with `/`. */
  readonly path: string
  readonly text: string
}

/** A parameter of a query. */
export interface QueryParameter {
  readonly name: string
  /** Where it stands first. */
  readonly file: SourceFile
  readonly offset: number
  readonly annotation: ParameterAnnotation | undefined
  /** True for a whole LIMIT or OFFSET. */
  readonly isCount: boolean
  /** True if lines depend on it, so that it may be left out. */
  readonly isOptional: boolean
}

/** A query's SQL for one database. */
export interface QuerySql {
  readonly file: SourceFile
  readonly segments: readonly Segment[]
  /** Where the markers of its lines stand. */
  readonly markers: readonly number[]
}

/** A query of a module. */
export interface ModuleQuery {
  readonly name: string
  readonly call: Call
  /** Its header in the first file that has it. */
  readonly header: Header
  readonly description: readonly string[]
  readonly parameters: readonly QueryParameter[]
  readonly columns: readonly ColumnAnnotation[]
  readonly row: TextAnnotation | undefined
  readonly differs: TextAnnotation | undefined
  readonly sql: { readonly [D in Dialect]?: QuerySql }
}

/** A migration of a module: a script for each database, or a step in TypeScript. */
export type ModuleMigration =
  | {
      readonly kind: 'script'
      readonly name: string
      readonly rebuild: boolean
      readonly file: SourceFile
      readonly sql: { readonly [D in Dialect]?: string }
    }
  | { readonly kind: 'step'; readonly name: string; readonly path: string }

export interface SqlModule {
  /** By name. */
  readonly queries: readonly ModuleQuery[]
  /** In the order in which they run. */
  readonly migrations: readonly ModuleMigration[]
}

export interface ModuleOptions {
  /** The folder, as errors show it. @default 'sql' */
  readonly folder?: string
  /** The databases of the module. @default both */
  readonly dialects?: readonly Dialect[]
  /** Allows queries that one database lacks. @default false */
  readonly isPartial?: boolean
}

const BOTH: readonly Dialect[] = ['sqlite', 'postgres']

/**
 * Reads the files of a folder.
 *
 * @throws SourceError for the first problem
 */
export function readModule(
  files: readonly InputFile[],
  { folder = 'sql', dialects = BOTH, isPartial = false }: ModuleOptions = {}
): SqlModule {
  const located = files
    .toSorted((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ path, text }) => locate(path, new SourceFile(`${folder}/${path}`, text)))
    .filter(file => file !== undefined)
    .filter(({ dialect }) => dialect === undefined || dialects.includes(dialect))
  return {
    queries: queriesOf(
      located.filter(({ isMigration }) => !isMigration),
      dialects,
      isPartial
    ),
    migrations: migrationsOf(
      located.filter(({ isMigration }) => isMigration),
      dialects
    )
  }
}

/** A file and what its path says. */
interface Located {
  readonly file: SourceFile
  /** The database that it is for; undefined for both. */
  readonly dialect: Dialect | undefined
  /** The path without the folder of the database. */
  readonly path: string
  readonly isMigration: boolean
}

function locate(path: string, file: SourceFile): Located | undefined {
  const [, dialect, rest] = /^(?:(sqlite|postgres)\/)?(.*)$/s.exec(path) as unknown as [string, Dialect | undefined, string]
  const isMigration = rest.startsWith('migrations/')
  if (!rest.endsWith('.sql') && !(isMigration && dialect === undefined && /(?<!\.d)\.[cm]?[tj]s$/.test(rest))) return undefined
  return { file, dialect, path: rest, isMigration }
}

// Queries ---------------------------------------------------------------------------------------------------------

interface Candidate extends Located {
  readonly query: FileQuery
}

function queriesOf(files: readonly Located[], dialects: readonly Dialect[], isPartial: boolean): ModuleQuery[] {
  const byName = new Map<string, Candidate[]>()
  for (const file of files) {
    for (const query of readQueries(file.file, file.dialect === undefined ? dialects : [file.dialect])) {
      const { name } = query.header
      const others = byName.get(name.toLowerCase()) ?? []
      const [other] = others
      if (other !== undefined && other.query.header.name !== name) {
        throw at(query.header, `"${name}" differs from "${other.query.header.name}" (${whereIs(other.query)}) in case alone; rename one.`)
      }
      const twin = others.find(({ dialect }) => dialect === file.dialect)
      if (twin !== undefined) throw at(query.header, `"${name}" stands at ${whereIs(twin.query)} already; names are unique in a module.`)
      byName.set(name.toLowerCase(), [...others, { ...file, query }])
    }
  }
  const queries = [...byName.values()].map(candidates => queryOf(candidates, dialects, isPartial))
  return queries.sort((a, b) => (a.name < b.name ? -1 : 1))
}

function at({ file, offset }: { readonly file: SourceFile; readonly offset: number }, problem: string): SourceError {
  return new SourceError(file, offset, problem)
}

function whereIs({ file, header }: FileQuery): string {
  return file.describe(header.offset)
}

function queryOf(candidates: readonly Candidate[], dialects: readonly Dialect[], isPartial: boolean): ModuleQuery {
  const shared = candidates.find(({ dialect }) => dialect === undefined)
  const own = candidates.filter(({ dialect }) => dialect !== undefined)
  assertOverrides(shared, own, dialects)
  const [first] = shared === undefined ? own : [shared]
  const { header, description, parameters, columns, row, differs } = (first as Candidate).query
  const { name, call } = header
  for (const { query } of own) {
    if (query.header.call !== call) {
      throw at(
        query.header,
        `"${name}" is :${query.header.call} here and :${call} at ${whereIs((first as Candidate).query)}; give it one call.`
      )
    }
  }
  const annotations = shared === undefined ? own.flatMap(({ query }) => query.parameters) : parameters
  const declared = new Map(annotations.flatMap(({ name, type }) => (type === undefined ? [] : [[name, type] as const])))
  const sql: { [D in Dialect]?: QuerySql } = {}
  const uses = new Map<Dialect, { file: SourceFile; uses: readonly Use[] }>()
  for (const dialect of dialects) {
    const source = own.find(candidate => candidate.dialect === dialect) ?? shared
    if (source === undefined) {
      if (isPartial) continue
      throw at(
        header,
        `The query "${name}" has no SQL for ${dialect}. Write it in sql/${dialect}/${(first as Candidate).path}, or once for both above the folders.`
      )
    }
    const rendered = source.query.render(dialect, declared)
    sql[dialect] = { file: source.file, segments: rendered.segments, markers: source.query.markers }
    uses.set(dialect, { file: source.file, uses: rendered.uses })
  }
  return {
    name,
    call,
    header,
    description,
    parameters: parametersOf(header, annotations, uses),
    columns: shared === undefined ? own.flatMap(({ query }) => query.columns) : columns,
    row: row ?? own.find(({ query }) => query.row)?.query.row,
    differs: differs ?? own.find(({ query }) => query.differs)?.query.differs,
    sql
  }
}

/** What stands below sqlite/ or postgres/ replaces a query of the same file above, or stands below both. */
function assertOverrides(shared: Candidate | undefined, own: readonly Candidate[], dialects: readonly Dialect[]): void {
  if (shared === undefined) return
  const { header } = shared.query
  if (own.length > 0 && own.length === dialects.length) {
    throw at(header, `"${header.name}" is replaced for ${dialects.join(' and ')}, so this SQL is never used; remove it.`)
  }
  for (const { query, path, dialect } of own) {
    if (path !== shared.path) {
      throw at(
        query.header,
        `"${header.name}" replaces the query of ${whereIs(shared.query)}, so it belongs into sql/${dialect}/${shared.path}.`
      )
    }
    const annotation = query.parameters[0] ?? query.columns[0] ?? query.row ?? query.differs
    if (annotation !== undefined)
      throw at(annotation, `The annotations of "${header.name}" stand at ${whereIs(shared.query)}; write it there.`)
  }
}

function parametersOf(
  header: Header,
  annotations: readonly ParameterAnnotation[],
  byDialect: ReadonlyMap<Dialect, { file: SourceFile; uses: readonly Use[] }>
): QueryParameter[] {
  const parameters = new Map<string, QueryParameter>()
  for (const { file, uses } of byDialect.values()) {
    for (const { name, offset, parameter, isCount } of uses) {
      const known = parameters.get(name)
      const annotation = annotations.find(annotation => annotation.name === name)
      parameters.set(name, {
        ...(known ?? { name, file, offset, annotation }),
        isCount: known?.isCount === true || isCount,
        isOptional: known?.isOptional === true || parameter === name
      })
    }
  }
  for (const [dialect, { uses }] of byDialect) {
    const missing = [...parameters.values()].find(({ name }) => !uses.some(use => use.name === name))
    if (missing !== undefined) {
      throw at(
        missing,
        `:${missing.name} has no place in the SQL for ${dialect}. Both databases take the same parameters; use it there too, or in neither.`
      )
    }
  }
  const unknown = annotations.find(({ name }) => !parameters.has(name))
  if (unknown !== undefined) {
    throw at(
      unknown,
      `The query "${header.name}" has no parameter :${unknown.name}${parameters.size > 0 ? `; it has ${[...parameters.keys()].map(name => `:${name}`).join(', ')}` : ''}.`
    )
  }
  const [first] = parameters.values()
  if (header.call === 'exec' && first !== undefined)
    throw at(first, `:exec takes no parameters, but here is :${first.name}; use :run for one statement.`)
  for (const parameter of parameters.values()) assertCount(parameter)
  return [...parameters.values()]
}

function assertCount({ name, annotation, isCount }: QueryParameter): void {
  if (!isCount || annotation === undefined) return
  const { type, isNullable } = annotation
  if (isNullable === true || (type !== undefined && (type.isList || !['integer', 'bigint'].includes(type.word)))) {
    throw at(annotation, `:${name} is a whole LIMIT or OFFSET, which is an integer from 0 and never null.`)
  }
}

// Migrations ------------------------------------------------------------------------------------------------------

function migrationsOf(files: readonly Located[], dialects: readonly Dialect[]): ModuleMigration[] {
  const byName = new Map<string, Located[]>()
  for (const file of files) {
    const name = file.path.slice('migrations/'.length).replace(/\.\w+$/, '')
    byName.set(name, [...(byName.get(name) ?? []), file])
  }
  const names = [...byName.keys()].sort()
  assertOrder(names, byName)
  return names.map(name => migrationOf(name, byName.get(name) as Located[], dialects))
}

/** Names sort as texts, so numbers need as many digits each. */
function assertOrder(names: readonly string[], byName: ReadonlyMap<string, readonly Located[]>): void {
  for (const [i, name] of names.entries()) {
    const [{ file }] = byName.get(name) as [Located]
    const digits = /^\d+/.exec(name)?.[0]
    if (digits === undefined) throw new SourceError(file, 0, 'The name of a migration begins with its number: 0001-tables.sql.')
    const before = names[i - 1]
    const beforeDigits = before === undefined ? undefined : (/^\d+/.exec(before)?.[0] as string)
    if (beforeDigits === undefined) continue
    if (BigInt(beforeDigits) === BigInt(digits))
      throw new SourceError(file, 0, `The migration "${before}" has this number already; migrations run in one order.`)
    if (BigInt(beforeDigits) > BigInt(digits)) {
      throw new SourceError(
        file,
        0,
        `"${name}" comes behind "${before}" by its text and before it by its number; write both with the same number of digits.`
      )
    }
  }
}

function migrationOf(name: string, files: readonly Located[], dialects: readonly Dialect[]): ModuleMigration {
  const [first] = files as [Located]
  const step = files.find(({ file }) => !file.path.endsWith('.sql'))
  if (step !== undefined) {
    const other = files.find(file => file !== step)
    if (other !== undefined)
      throw new SourceError(other.file, 0, `The migration "${name}" is a step in TypeScript too (${step.file.path}); rename one.`)
    return { kind: 'step', name, path: step.file.path }
  }
  const scripts = new Map<Dialect | undefined, MigrationScript>()
  for (const { file, dialect } of files) scripts.set(dialect, readMigration(file, dialect === undefined ? dialects : [dialect]))
  const shared = scripts.get(undefined)
  if (shared !== undefined && scripts.size > dialects.length) {
    throw new SourceError(
      shared.file,
      0,
      `The migration is replaced for ${dialects.join(' and ')}, so this script is never used; remove it.`
    )
  }
  const sql: { [D in Dialect]?: string } = {}
  for (const dialect of dialects) {
    const script = scripts.get(dialect) ?? shared
    if (script === undefined)
      throw new SourceError(first.file, 0, `The migration "${name}" has no script for ${dialect}; write ${dialect}/${first.path}.`)
    sql[dialect] = script.text(dialect)
  }
  // Only SQLite rebuilds tables.
  const rebuild = (scripts.get('sqlite') ?? shared)?.rebuild === true
  return { kind: 'script', name, rebuild, file: first.file, sql }
}
