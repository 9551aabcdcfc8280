/** Queries with the types of their parameters and columns. */
import type { Dialect, ExpressionTypes } from '../../adapter.ts'
import type { ModuleQuery, QueryParameter, QuerySql } from '../../files/module.ts'
import { SourceError } from '../../files/source.ts'
import type { TypeWord } from '../../files/types.ts'
import type { QuerySource, QueryText } from '../../sql.ts'
import type { ParameterPlan } from '../data/parameters.ts'
import type { DescribedColumn, Description } from '../lab/description.ts'

export interface TypedParameter extends ParameterPlan {
  readonly parameter: QueryParameter
  /** False where only SQLite was asked, which knows no types of parameters, and nothing declares one. */
  readonly isTypeKnown: boolean
}

export interface TypedColumn {
  readonly name: string
  /** Undefined for an expression where only SQLite was asked, and nothing declares it. */
  readonly type: TypeWord | undefined
  /** As each database describes it. */
  readonly described: { readonly [D in Dialect]?: DescribedColumn }
  /** True for a column of a table, false for an expression. */
  readonly isPlain: boolean
  /** True for a column of a table that no database lets be NULL. */
  readonly isNotNull: boolean
}

export interface TypedQuery {
  readonly query: ModuleQuery
  readonly parameters: readonly TypedParameter[]
  /** Empty for :run and :exec. */
  readonly columns: readonly TypedColumn[]
  readonly writes: boolean
}

/** Which lines are there: the optional parameters that are given. */
export type Variant = ReadonlySet<string>

/** Every combination of the optional parameters, the one with all of them first. */
export function variantsOf({ parameters }: ModuleQuery): Variant[] {
  const optional = parameters.filter(({ isOptional }) => isOptional).map(({ name }) => name)
  const variants = Array.from({ length: 2 ** optional.length }, (_, bits) => new Set(optional.filter((_, i) => bits & (1 << i))))
  return variants.reverse()
}

/** The parameters that belong to a variant: without those whose optional lines it lacks. */
export function parametersIn<T>({ parameters }: ModuleQuery, values: Readonly<Record<string, T>>, variant: Variant): Record<string, T> {
  const left = new Set(parameters.filter(({ name, isOptional }) => isOptional && !variant.has(name)).map(({ name }) => name))
  return Object.fromEntries(Object.entries(values).filter(([name]) => !left.has(name)))
}

/** A column as each database describes it. */
export function describedColumn(descriptions: Iterable<readonly [Dialect, Description]>, name: string): TypedColumn['described'] {
  const described: { [D in Dialect]?: DescribedColumn } = {}
  for (const [dialect, { columns }] of descriptions) {
    const column = columns.find(column => column.name === name)
    if (column !== undefined) described[dialect] = column
  }
  return described
}

/** The text of a variant. */
export function textOf({ segments }: QuerySql, variant: Variant): string {
  return segments.map(({ parameter, text }) => (parameter === undefined || variant.has(parameter) ? text : '')).join('')
}

/** Where an offset in the text of a variant stands in the file. */
export function offsetInFile({ segments }: QuerySql, variant: Variant, offset: number): number | undefined {
  let start = 0
  let found: number | undefined
  for (const { parameter, text, origins } of segments) {
    if (parameter !== undefined && !variant.has(parameter)) continue
    for (const [inText, inFile] of origins) if (start + inText <= offset) found = inFile
    start += text.length
  }
  return found
}

/** What a generated module gives to `sql.query`. */
export function sourceOf({ query, parameters, columns, writes }: TypedQuery): QuerySource {
  const forms = parameters.flatMap(({ name, type, isList, isCount }) => {
    const form = isList ? 'list' : isCount ? 'count' : type === 'json' ? 'json' : undefined
    return form === undefined ? [] : [[name, form] as const]
  })
  const expressions = expressionsOf(columns)
  const hasExpressions = Object.keys(expressions).length > 0
  return {
    ...Object.fromEntries(Object.entries(query.sql).map(([dialect, sql]) => [dialect, queryTextOf(sql)])),
    ...(forms.length > 0 && { parameters: Object.fromEntries(forms) }),
    ...(hasExpressions && { columns: expressions }),
    ...(hasExpressions && writes && { writes })
  }
}

/** The columns whose types SQLite does not know. */
function expressionsOf(columns: readonly TypedColumn[]): ExpressionTypes {
  const expressions: { [name: string]: ExpressionTypes[string] } = {}
  for (const { name, type, described } of columns) {
    const isUnknown = described.sqlite !== undefined && described.sqlite.type === undefined
    if (isUnknown && (type === 'boolean' || type === 'timestamp' || type === 'json')) expressions[name] = type
  }
  return expressions
}

function queryTextOf({ segments }: QuerySql): QueryText {
  if (segments.every(({ parameter }) => parameter === undefined)) return segments.map(({ text }) => text).join('')
  return segments.map(({ parameter, text }) => (parameter === undefined ? text : ([parameter, text] as const)))
}

export function errorAt({ header }: ModuleQuery, problem: string): SourceError {
  return new SourceError(header.file, header.offset, problem)
}

/** The databases' names, as sentences have them. */
export const NAMES: Readonly<Record<Dialect, string>> = { sqlite: 'SQLite', postgres: 'Postgres' }
