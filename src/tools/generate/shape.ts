/** Queries and what was seen of them → the TypeScript types of their parameters and rows. Pure. */
import type { ColumnAnnotation } from '../../files/annotations.ts'
import type { QuerySql } from '../../files/module.ts'
import { SourceError } from '../../files/source.ts'
import type { TypeWord } from '../../files/types.ts'
import { tokens } from '../../lexer.ts'
import type { Column, Schema } from '../data/schema.ts'
import type { Observation } from './observe.ts'
import { riskyColumns } from './risk.ts'
import { errorAt, type TypedColumn, type TypedParameter, type TypedQuery, textOf } from './typed.ts'

/** A property of a generated interface. */
export interface Property {
  readonly name: string
  readonly type: string
  readonly isOptional: boolean
  /** What stands above it. */
  readonly comment: string | undefined
}

/** A query as the module has it. */
export interface ShapedQuery {
  readonly typed: TypedQuery
  /** The name of the rows' type, and its properties; undefined for :run and :exec. */
  readonly row: { readonly name: string; readonly properties: readonly Property[] } | undefined
  readonly parameters: readonly Property[]
}

/** What the author should know, and what is no error. */
export type Warn = (warning: string) => void

export function shapeQueries(
  queries: readonly TypedQuery[],
  observations: readonly Observation[],
  schema: Schema,
  warn: Warn
): ShapedQuery[] {
  const shaped = queries.map((typed, i) => shapeQuery(typed, observations[i] as Observation, schema, warn))
  assertSharedRows(shaped)
  return shaped
}

function shapeQuery(typed: TypedQuery, observation: Observation, schema: Schema, warn: Warn): ShapedQuery {
  const { query, columns, parameters } = typed
  for (const annotation of query.columns) {
    if (query.call !== 'run' && columns.some(({ name }) => name === annotation.name)) continue
    const names = columns.map(({ name }) => `"${name}"`).join(', ')
    throw new SourceError(
      annotation.file,
      annotation.offset,
      `The query "${query.name}" has no column "${annotation.name}"${names && `; it has ${names}`}.`
    )
  }
  if (query.call !== 'exec' && observation.rows === 0) {
    const { error } = observation
    const reason = error instanceof Error ? ` Its last error was: ${error.message}` : ''
    const place = query.header.file.describe(query.header.offset)
    warn(`${place}: no generated row reached "${query.name}", so each expression of it may be null.${reason}`)
  }
  const counts = countsOf(typed)
  return {
    typed,
    row:
      query.call === 'run' || query.call === 'exec'
        ? undefined
        : {
            name: query.row?.text ?? `${capitalized(query.name)}Row`,
            properties: columns.map(column => shapeColumn(typed, column, observation, schema, counts))
          },
    parameters: parameters.map(parameter => shapeParameter(typed, parameter, observation))
  }
}

// Columns ---------------------------------------------------------------------------------------------------------

function shapeColumn(
  typed: TypedQuery,
  column: TypedColumn,
  observation: Observation,
  schema: Schema,
  counts: ReadonlySet<string>
): Property {
  const { name } = column
  const annotation = typed.query.columns.find(annotation => annotation.name === name)
  const risky = new Set(Object.values(typed.query.sql).flatMap(sql => [...riskyColumns(fullText(typed, sql))]))
  const nullable = nullableParameters(typed, observation)
  const wasNull = observation.nulls.has(name) || nullable.some(parameter => observation.nullsWith.get(parameter)?.has(name))
  if (annotation?.isNullable === false && wasNull) {
    throw new SourceError(
      annotation.file,
      annotation.offset,
      `The column "${name}" is declared not null, but it was NULL on generated rows. Use coalesce(), or declare it null.`
    )
  }
  // A plain column is what its table says, unless a join was seen to give NULL; an expression is what was seen.
  const isUnseen = observation.rows === 0
  const mayBeNull = wasNull || (column.isPlain ? !column.isNotNull || (isUnseen && hasOuterJoin(typed)) : isUnseen || risky.has(name))
  const isNullable = annotation?.isNullable ?? mayBeNull
  const type = columnType(column, annotation, schema, counts, observation.kinds.get(name))
  return { name, type: isNullable ? orNull(type) : type, isOptional: false, comment: undefined }
}

function columnType(
  column: TypedColumn,
  annotation: ColumnAnnotation | undefined,
  schema: Schema,
  counts: ReadonlySet<string>,
  kinds: ReadonlySet<string> = new Set(['unknown'])
): string {
  if (annotation?.shape !== undefined) return annotation.shape
  if (column.type === 'bigint' && (counts.has(column.name) || isGeneratedId(column, schema))) return 'number'
  if (column.type === 'text' && column.isPlain) {
    const choices = choicesOf(column, schema)
    if (choices !== undefined) return choices.map(quoted).join(' | ')
  }
  if (column.type === undefined) return [...kinds].sort().join(' | ')
  return COLUMN_TYPES[column.type]
}

/** What comes from the database. */
const COLUMN_TYPES: Readonly<Record<TypeWord, string>> = {
  text: 'string',
  integer: 'number',
  bigint: 'number | bigint',
  double: 'number',
  numeric: 'string',
  boolean: 'boolean',
  timestamp: 'Date',
  date: 'string',
  json: 'JsonValue',
  bytea: 'Uint8Array'
}

/** What goes to the database. */
const PARAMETER_TYPES: Readonly<Record<TypeWord, string>> = { ...COLUMN_TYPES, json: 'unknown' }

function orNull(type: string): string {
  if (type === 'JsonValue' || type === 'unknown') return type
  return `${/=>/.test(type) ? `(${type})` : type} | null`
}

/** Ids that a sequence gives begin at 1, and no program sees the one above 2^53. So it is with references to them. */
function isGeneratedId({ described }: TypedColumn, { tables }: Schema): boolean {
  const { table, column } = described.postgres ?? {}
  const found = tables.find(({ name }) => name === table)
  const isGenerated = (columns: readonly Column[] = [], name: string | undefined) =>
    columns.some(candidate => candidate.name === name && candidate.sequence !== undefined)
  if (isGenerated(found?.columns, column)) return true
  return (found?.foreignKeys ?? []).some(key => {
    const target = tables.find(({ name }) => name === key.table)
    return isGenerated(target?.columns, key.references[key.columns.indexOf(column ?? '')])
  })
}

/** The texts that a CHECK of both databases allows. */
function choicesOf({ described }: TypedColumn, { tables }: Schema): string[] | undefined {
  const [first, ...others] = Object.values(described).map(({ table, column }) => {
    const checks = tables.find(({ name }) => name === table)?.checks ?? []
    return checks.map(check => choicesOfCheck(check, column ?? '')).filter(choices => choices !== undefined)
  })
  // The checks of both databases stand together; each has to be there once for each.
  const list = first?.find(choices => {
    const same = first.filter(other => other.join('\n') === choices.join('\n'))
    return same.length >= others.length + 1
  })
  return list
}

/** `CHECK (kind IN ('a', 'b'))`, and as Postgres writes it: `CHECK ((kind = ANY (ARRAY['a'::text, 'b'::text])))`. */
function choicesOfCheck(check: string, column: string): string[] | undefined {
  const read = [...tokens(check, 'postgres')].filter(({ kind }) => kind !== 'comment')
  const texts = read.map(({ start, end }) => check.slice(start, end))
  const bare = texts.filter(
    (text, i) => !'()[],'.includes(text) && text !== '::' && texts[i - 1] !== '::' && text.toLowerCase() !== 'varying'
  )
  const [word = '', name = '', ...rest] = bare
  const head = rest.findIndex(text => text.startsWith("'"))
  const operator = rest.slice(0, head).join(' ').toUpperCase()
  const choices = rest.slice(head)
  const isList =
    word.toUpperCase() === 'CHECK' && unquoted(name) === column.toLowerCase() && (operator === 'IN' || operator === '= ANY ARRAY')
  if (!isList || choices.length === 0 || !choices.every(text => text.startsWith("'"))) return undefined
  return choices.map(text => text.slice(1, -1).replaceAll("''", "'")).sort()
}

function unquoted(name: string): string {
  return name.replace(/^"(.*)"$/, '$1').toLowerCase()
}

function hasOuterJoin(typed: TypedQuery): boolean {
  return Object.values(typed.query.sql).some(sql => /\b(?:left|right|full)\b/i.test(fullText(typed, sql)))
}

/** The SQL with all lines that may be left out. */
function fullText({ query }: TypedQuery, sql: QuerySql): string {
  return textOf(sql, new Set(query.parameters.map(({ name }) => name)))
}

/** The columns that are a count or a number of a row, which no database lets grow beyond 2^53. */
function countsOf(typed: TypedQuery): Set<string> {
  const names = new Set<string>()
  const [sql] = Object.values(typed.query.sql)
  if (sql === undefined) return names
  const text = fullText(typed, sql)
  const read = [...tokens(text, 'postgres')].map(({ start, end }) => text.slice(start, end))
  let depth = 0
  for (const [i, token] of read.entries()) {
    if (token === '(') depth++
    else if (token === ')') depth--
    if (depth > 0) continue
    // Another part of a compound SELECT may be no count.
    if (/^(union|intersect|except)$/i.test(token)) return new Set()
    const before = read[i - 1]?.toUpperCase()
    if (!/^(count|row_number|rank|dense_rank)$/i.test(token) || read[i + 1] !== '(' || (before !== 'SELECT' && before !== ',')) continue
    let at = behindParentheses(read, i + 1)
    while (/^(filter|over)$/i.test(read[at] ?? '') && read[at + 1] === '(') at = behindParentheses(read, at + 1)
    const isAliased = read[at]?.toUpperCase() === 'AS'
    const name = isAliased ? (read[at + 1] as string) : token
    const next = read[isAliased ? at + 2 : at]
    if (next === undefined || next === ',' || next.toUpperCase() === 'FROM') names.add(name.startsWith('"') ? name.slice(1, -1) : name)
  }
  return names
}

function behindParentheses(read: readonly string[], open: number): number {
  let depth = 0
  for (let i = open; i < read.length; i++) {
    if (read[i] === '(') depth++
    else if (read[i] === ')' && --depth === 0) return i + 1
  }
  return read.length
}

// Parameters ------------------------------------------------------------------------------------------------------

/** The parameters that may be NULL: those that say so, and those where NULL has an effect on all databases. */
function nullableParameters({ query, parameters }: TypedQuery, observation: Observation): string[] {
  const sides = Object.keys(query.sql).length
  const mayBeNull = ({ name, parameter }: TypedParameter) =>
    parameter.annotation?.isNullable ?? (!observation.refused.has(name) && observation.nullable.get(name)?.size === sides)
  return parameters.filter(mayBeNull).map(({ name }) => name)
}

function shapeParameter(
  typed: TypedQuery,
  { name, type, isList, isTypeKnown, parameter }: TypedParameter,
  observation: Observation
): Property {
  const { annotation, isOptional } = parameter
  const isNullable = nullableParameters(typed, observation).includes(name)
  const element = isTypeKnown ? PARAMETER_TYPES[type] : 'string | number | bigint | boolean | Date | Uint8Array | null'
  const plain = isList ? `readonly ${element.includes('|') ? `(${element})` : element}[]` : element
  const defaultValue = annotation?.defaultValue
  return {
    name,
    type: isNullable && isTypeKnown ? orNull(plain) : plain,
    isOptional: isOptional || defaultValue !== undefined,
    comment: defaultValue === undefined ? undefined : `@default ${JSON.stringify(defaultValue)}`
  }
}

// Names -----------------------------------------------------------------------------------------------------------

export function capitalized(name: string): string {
  return name[0]?.toUpperCase() + name.slice(1)
}

/** A text in TypeScript. */
export function quoted(text: string): string {
  return `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
}

/** Rows of one name have one type. */
function assertSharedRows(queries: readonly ShapedQuery[]): void {
  const rows = new Map<string, ShapedQuery>()
  for (const query of queries) {
    if (query.row === undefined) continue
    const { name, properties } = query.row
    const other = rows.get(name)
    rows.set(name, query)
    const describe = (all: readonly Property[]) =>
      all
        .map(({ name, type }) => `${name}: ${type}`)
        .toSorted()
        .join('; ')
    if (other?.row === undefined || describe(other.row.properties) === describe(properties)) continue
    throw errorAt(
      query.typed.query,
      `The rows of "${query.typed.query.name}" and "${other.typed.query.name}" are both named ${name}, and differ: { ${describe(properties)} } and { ${describe(other.row.properties)} }.`
    )
  }
}
