/** Asks both databases what a query's parameters and columns are, and brings the answers together. */
import type { Dialect } from '../../adapter.ts'
import type { ModuleQuery, QueryParameter, QuerySql } from '../../files/module.ts'
import { SourceError } from '../../files/source.ts'
import type { TypeWord } from '../../files/types.ts'
import { DescribeError, type Description } from '../lab/description.ts'
import type { Side } from '../lab/lab.ts'
import {
  describedColumn,
  errorAt,
  NAMES,
  offsetInFile,
  type TypedColumn,
  type TypedParameter,
  type TypedQuery,
  textOf,
  type Variant,
  variantsOf
} from './typed.ts'

/** The descriptions of one variant. */
type Descriptions = ReadonlyMap<Dialect, Description>

/**
 * Describes a query on the databases.
 *
 * @throws SourceError when one refuses it, or when they disagree
 */
export async function describeQuery(query: ModuleQuery, sides: readonly Side[]): Promise<TypedQuery> {
  if (query.call === 'exec') return { query, parameters: [], columns: [], writes: true }
  const variants: Descriptions[] = []
  for (const variant of variantsOf(query)) variants.push(await describeVariant(query, sides, variant))
  const columns = variants.map(descriptions => columnsOf(query, descriptions))
  assertSameColumns(query, columns)
  const [first] = variants as [Descriptions]
  return {
    query,
    parameters: query.parameters.map(parameter => typeParameter(query, parameter, variants)),
    columns: query.call === 'run' ? [] : (columns[0] ?? []),
    writes: [...first.values()].some(({ writes }) => writes)
  }
}

async function describeVariant(query: ModuleQuery, sides: readonly Side[], variant: Variant): Promise<Descriptions> {
  const descriptions = new Map<Dialect, Description>()
  // Postgres first, since it says where a mistake is.
  for (const { dialect, describer } of sides.toReversed()) {
    const sql = query.sql[dialect] as QuerySql
    const description = await describer.describe(textOf(sql, variant)).catch(error => {
      throw error instanceof DescribeError ? refusal(query, dialect, sql, variant, error) : error
    })
    descriptions.set(dialect, description)
  }
  return new Map([...descriptions].reverse())
}

function refusal(query: ModuleQuery, dialect: Dialect, sql: QuerySql, variant: Variant, error: DescribeError): SourceError {
  const offset = error.offset === undefined ? undefined : offsetInFile(sql, variant, error.offset)
  const optional = query.parameters.filter(({ isOptional }) => isOptional)
  const given =
    optional.length === 0 ? '' : ` (with ${variant.size === 0 ? 'no optional line' : `the lines of ${[...variant].join(', ')}`})`
  const markers = sql.markers.map(marker => sql.file.describe(marker).split(':').slice(1).join(':'))
  const hint =
    markers.length === 0
      ? ''
      : ` Markers of lines stand at ${markers.join(', ')}; see that each still ends its own line, since formatters move comments.`
  const place = sql.file === query.header.file ? query.header.offset : 0
  return new SourceError(
    sql.file,
    offset ?? place,
    `${NAMES[dialect]} refuses the query "${query.name}"${given}: ${error.message}.${mendOf(error)}${hint}`
  )
}

/** What helps against an error of Postgres, by its SQLSTATE. */
function mendOf({ code }: DescribeError): string {
  if (code === '42P18' || code === '42P08') return ' Declare the type of the parameter: -- @param name text.'
  return ''
}

// Columns ---------------------------------------------------------------------------------------------------------

function columnsOf(query: ModuleQuery, descriptions: Descriptions): TypedColumn[] {
  const answers = [...descriptions].map(([dialect, { columns }]) => ({ dialect, columns, names: columns.map(({ name }) => name) }))
  const [first, second] = answers
  if (first === undefined) return []
  for (const { dialect, names } of answers) {
    if (query.call !== 'run' && names.length === 0) {
      throw errorAt(
        query,
        `The query "${query.name}" is :${query.call} and returns no rows on ${NAMES[dialect]}; make it :run, or add RETURNING.`
      )
    }
    const twin = names.find((name, i) => names.indexOf(name) !== i)
    if (twin !== undefined && query.call !== 'run') {
      throw errorAt(query, `Two columns of "${query.name}" are named "${twin}" on ${NAMES[dialect]}; name them with AS.`)
    }
  }
  if (second !== undefined && first.names.toSorted().join('\n') !== second.names.toSorted().join('\n')) {
    const lists = answers.map(({ dialect, names }) => `${NAMES[dialect]} ${names.map(name => `"${name}"`).join(', ')}`)
    throw errorAt(
      query,
      `The databases name the columns of "${query.name}" differently: ${lists.join('; ')}. Name each expression with AS, and quote a name that has capitals: AS "firstName".`
    )
  }
  return first.columns.map(({ name }) => typeColumn(query, name, descriptions))
}

function typeColumn(query: ModuleQuery, name: string, descriptions: Descriptions): TypedColumn {
  const described = describedColumn(descriptions, name)
  const { sqlite, postgres } = described
  const annotation = query.columns.find(column => column.name === name)
  const type = postgres?.type ?? sqlite?.type ?? annotation?.type
  if (annotation?.type !== undefined && type !== undefined && !areSame(annotation.type, type)) {
    throw new SourceError(
      annotation.file,
      annotation.offset,
      `The column "${name}" is declared ${annotation.type}, and ${answersOf(described)}. Cast it in the SQL: CAST(… AS ${annotation.type.toUpperCase()}).`
    )
  }
  if (postgres !== undefined && postgres.type === undefined && sqlite !== undefined) {
    throw errorAt(
      query,
      `The column "${name}" of "${query.name}" has the type ${postgres.typeName} on Postgres, which SQLite lacks. Cast it: CAST(… AS TEXT).`
    )
  }
  if (sqlite?.type !== undefined && postgres?.type !== undefined && !areSame(sqlite.type, postgres.type)) {
    throw errorAt(
      query,
      `The databases give the column "${name}" of "${query.name}" different types: ${answersOf(described)}. ${castAdvice(postgres.type)}`
    )
  }
  const all = Object.values(described)
  return {
    name,
    type: annotation?.type === 'integer' && type === 'bigint' ? 'integer' : type,
    described,
    // SQLite says of the first part of a UNION what Postgres says of none.
    isPlain: (postgres ?? sqlite)?.isPlain ?? false,
    isNotNull: all.every(({ isNotNull }) => isNotNull)
  }
}

/** True for types that are the same in JavaScript, where the databases name them differently. */
function areSame(one: TypeWord, other: TypeWord): boolean {
  return one === other || GROUPS.some(group => group.includes(one) && group.includes(other))
}

const GROUPS: readonly (readonly TypeWord[])[] = [
  ['integer', 'bigint'],
  // Exact numbers are kept as texts in SQLite.
  ['text', 'numeric']
]

export function answersOf(described: TypedColumn['described']): string {
  return Object.entries(described)
    .map(([dialect, { typeName }]) => `${typeName} on ${NAMES[dialect as Dialect]}`)
    .join(', ')
}

/** How to make both databases give one type. */
export function castAdvice(postgres: TypeWord | undefined): string {
  if (postgres === 'numeric') {
    return 'A NUMERIC is a string, since it is exact; sums and averages of integers are NUMERIC in Postgres. Cast them: CAST(avg(n) AS DOUBLE PRECISION), CAST(sum(n) AS BIGINT).'
  }
  return 'Give both one type, with a CAST or with a line for each database.'
}

function assertSameColumns(query: ModuleQuery, variants: readonly (readonly TypedColumn[])[]): void {
  const describe = (columns: readonly TypedColumn[]) => columns.map(({ name, type }) => `${name} ${type}`).join(', ')
  const [first = []] = variants
  const other = variants.find(columns => describe(columns) !== describe(first))
  if (other !== undefined) {
    throw errorAt(
      query,
      `The columns of "${query.name}" depend on its optional lines: ${describe(first)}; ${describe(other)}. Split the query.`
    )
  }
}

// Parameters ------------------------------------------------------------------------------------------------------

function typeParameter(query: ModuleQuery, parameter: QueryParameter, variants: readonly Descriptions[]): TypedParameter {
  const { name, annotation, isCount, file, offset } = parameter
  const declared = annotation?.type
  const answers = variants.flatMap(
    descriptions => descriptions.get('postgres')?.parameters.filter(described => described.name === name) ?? []
  )
  const [answer] = answers
  const other = answers.find(({ typeName }) => typeName !== answer?.typeName)
  if (declared === undefined && answer !== undefined && other !== undefined) {
    throw new SourceError(
      file,
      offset,
      `Postgres takes :${name} as ${answer.typeName} or ${other.typeName}, depending on the optional lines. ${declare(name)}`
    )
  }
  if (declared === undefined && answer !== undefined && answer.type === undefined) {
    throw new SourceError(
      file,
      offset,
      `Postgres takes :${name} of "${query.name}" as ${answer.typeName}, which SQLite lacks. ${declare(name)}`
    )
  }
  const type = isCount ? 'integer' : (declared?.word ?? answer?.type)
  return {
    parameter,
    name,
    type: type ?? 'text',
    isTypeKnown: type !== undefined,
    isList: declared?.isList ?? false,
    isCount,
    isNullable: annotation?.isNullable ?? false
  }
}

function declare(name: string): string {
  return `Declare its type: -- @param ${name} text.`
}
