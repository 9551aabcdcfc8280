/** A query as the check runs it: its texts, what the databases say of it, and what it does. */
import type { Dialect } from '../../adapter.ts'
import type { ModuleQuery, QuerySql } from '../../files/module.ts'
import { tokens } from '../../lexer.ts'
import type { QuerySource } from '../../sql.ts'
import { type Literals, literalsOf } from '../data/literals.ts'
import type { ParameterPlan } from '../data/parameters.ts'
import { namesIn } from '../data/rows.ts'
import type { Column, Schema } from '../data/schema.ts'
import { describedColumn, sourceOf, type TypedColumn, textOf, type Variant, variantsOf } from '../generate/typed.ts'
import { DescribeError, type Description } from '../lab/description.ts'
import type { Side } from '../lab/lab.ts'

export interface Subject {
  readonly query: ModuleQuery
  /** Each combination of the optional lines, that with all of them first. */
  readonly variants: readonly Variant[]
  readonly parameters: readonly ParameterPlan[]
  /** Parameters whose type nothing decides, so that Postgres takes any value as a text. */
  readonly untyped: readonly string[]
  readonly source: QuerySource
  readonly literals: Literals
  /** The words and names of its texts, in lower case. */
  readonly words: ReadonlySet<string>
  readonly writes: boolean
  /** True if the order of its rows is asked for. */
  readonly isOrdered: boolean
  /** True if it reads the clock. */
  readonly usesClock: boolean
  /** What the databases refused its text with. */
  readonly refusals: { readonly [D in Dialect]?: DescribeError }
  /** The names of its columns, where they were described. */
  readonly columns: { readonly [D in Dialect]?: readonly string[] }
}

/** Words that read the clock. */
const CLOCK = /\b(current_(date|time|timestamp)|localtime(stamp)?|now|(statement|clock|transaction)_timestamp|unixepoch|julianday)\b/i

const INTEGER = 23

/** Describes a query on both databases. What one of them refuses is kept, to be seen when it is run. */
export async function prepareSubject(query: ModuleQuery, sides: readonly Side[], schema: Schema): Promise<Subject> {
  const variants = variantsOf(query)
  const [all = new Set<string>()] = variants
  const texts = new Map(sides.map(({ dialect }) => [dialect, textOf(query.sql[dialect] as QuerySql, all)]))
  const descriptions: { [D in Dialect]?: Description } = {}
  const refusals: { [D in Dialect]?: DescribeError } = {}
  if (query.call !== 'exec') {
    await Promise.all(
      sides.map(async ({ dialect, describer }) => {
        try {
          descriptions[dialect] = await describer.describe(texts.get(dialect) as string)
        } catch (error) {
          if (!(error instanceof DescribeError)) throw error
          refusals[dialect] = error
        }
      })
    )
  }
  const parameters = query.parameters.map(({ name, annotation, isCount }) => {
    const described = descriptions.postgres?.parameters.find(parameter => parameter.name === name)
    return {
      name,
      type: isCount ? 'integer' : (annotation?.type?.word ?? described?.type ?? typeOfNamesake(name, schema) ?? 'text'),
      isList: annotation?.type?.isList ?? false,
      isCount,
      isNullable: annotation?.isNullable !== false,
      isArray: [...texts.values()].some(text =>
        new RegExp(`\\bjsonb?_(each|array_elements(_text)?)\\s*\\(\\s*(cast\\s*\\(\\s*)?:${name}\\b`, 'i').test(text)
      )
    } as const
  })
  const columns = columnsOf(query, descriptions)
  // SQLite knows; Postgres's words are looked at.
  const writes = query.call === 'exec' || (descriptions.sqlite ?? descriptions.postgres)?.writes !== false
  const typed = query.parameters.map((parameter, i) => ({ ...(parameters[i] as ParameterPlan), parameter, isTypeKnown: true }))
  return {
    query,
    variants,
    parameters,
    untyped: await findUntyped(query, sides, texts.get('postgres') ?? '', descriptions.postgres),
    source: sourceOf({ query, parameters: typed, columns, writes }),
    literals: literalsOf([...texts.values()]),
    words: new Set([...texts.values()].flatMap(text => [...namesIn(text)])),
    writes,
    isOrdered: !writes && [...texts.values()].some(asksForOrder),
    usesClock: [...texts.values()].some(text => CLOCK.test(text)),
    refusals,
    columns: Object.fromEntries(Object.entries(descriptions).map(([dialect, { columns }]) => [dialect, columns.map(({ name }) => name)]))
  }
}

function columnsOf(query: ModuleQuery, descriptions: { readonly [D in Dialect]?: Description }): TypedColumn[] {
  const { sqlite, postgres } = descriptions
  return (
    (postgres ?? sqlite)?.columns.map(({ name }) => {
      const described = describedColumn(Object.entries(descriptions) as [Dialect, Description][], name)
      const declared = query.columns.find(column => column.name === name)?.type
      const type = described.postgres?.type ?? declared ?? described.sqlite?.type
      return { name, type, described, isPlain: described.sqlite?.isPlain ?? false, isNotNull: false }
    }) ?? []
  )
}

/** The type of a column that is named like a parameter, where Postgres describes nothing. */
function typeOfNamesake(name: string, { tables }: Schema): Column['type'] {
  return tables.flatMap(({ columns }) => columns).find(column => column.name.toLowerCase() === name.toLowerCase())?.type
}

/**
 * The parameters that Postgres takes as texts only because it must take something: given as an integer instead, the
 * statement is as good, and its columns have other types.
 */
async function findUntyped(
  query: ModuleQuery,
  sides: readonly Side[],
  text: string,
  description: Description | undefined
): Promise<string[]> {
  const describer = sides.find(({ dialect }) => dialect === 'postgres')?.describer
  if (describer === undefined || description === undefined) return []
  const untyped: string[] = []
  for (const { name, type } of description.parameters) {
    if (type !== 'text' || query.parameters.find(parameter => parameter.name === name)?.annotation?.type !== undefined) continue
    const other = await describer.describe(text, new Map([[name, INTEGER]])).catch(() => undefined)
    if (other?.columns.some(({ typeName }, i) => typeName !== description.columns[i]?.typeName)) untyped.push(name)
  }
  return untyped
}

/** True if the outermost SELECT has an ORDER BY. */
function asksForOrder(text: string): boolean {
  let depth = 0
  for (const { kind, start, end } of tokens(text, 'postgres')) {
    const token = text.slice(start, end)
    if (kind === 'symbol' && token === '(') depth++
    if (kind === 'symbol' && token === ')') depth--
    if (kind === 'word' && depth === 0 && /^order$/i.test(token)) return true
  }
  return false
}
