/** One SQL file → its named queries, or the script of a migration. Pure. */
import type { Dialect } from '../adapter.ts'
import { statementsOf, type Token, tokens } from '../lexer.ts'
import {
  type ColumnAnnotation,
  type Header,
  type ParameterAnnotation,
  readColumn,
  readDiffers,
  readHeader,
  readParameter,
  readRow,
  type TextAnnotation
} from './annotations.ts'
import { type Annotation, type Lines, type Region, readLines } from './lines.ts'
import { type Rendered, render } from './render.ts'
import { SourceError, type SourceFile } from './source.ts'
import type { ParameterType } from './types.ts'

/** The tokens of a file for one database, without those of the other. */
interface DialectTokens {
  readonly dialect: Dialect
  readonly tokens: readonly Token[]
}

/** A query as one file has it: what its lines say, and the tokens of each database. */
export interface FileQuery {
  readonly file: SourceFile
  readonly header: Header
  /** The comments right behind the header. */
  readonly description: readonly string[]
  readonly parameters: readonly ParameterAnnotation[]
  readonly columns: readonly ColumnAnnotation[]
  readonly row: TextAnnotation | undefined
  readonly differs: TextAnnotation | undefined
  /** Where the markers of lines stand that belong to one database, or only with a parameter. */
  readonly markers: readonly number[]
  /** Writes the SQL of a database, with parameters of these types. */
  render(dialect: Dialect, declared: ReadonlyMap<string, ParameterType>): Rendered
}

/** Lines of one database, and lines that belong only with a parameter, may be this many parameters. */
const MAX_CONDITIONS = 4

/** Reads the queries of a file. */
export function readQueries(file: SourceFile, dialects: readonly Dialect[]): FileQuery[] {
  const lines = readLines(file, dialects)
  const perDialect = dialects.map(dialect => tokensOf(file, dialect, lines.regions))
  const headers = lines.annotations.filter(({ kind }) => kind === 'name')
  const [first] = headers
  assertNothingBefore(file, first, lines, perDialect)
  return headers.map((header, i) => readQuery(file, header, headers[i + 1]?.start ?? Number.POSITIVE_INFINITY, lines, perDialect))
}

function assertNothingBefore(file: SourceFile, first: Annotation | undefined, lines: Lines, perDialect: readonly DialectTokens[]): void {
  const end = first?.start ?? Number.POSITIVE_INFINITY
  const annotation = lines.annotations.find(({ start }) => start < end)
  if (annotation !== undefined) {
    const mend =
      annotation.kind === 'rebuild' ? '@rebuild stands at the top of a migration' : 'An annotation stands behind -- name: findNotes :all'
    throw new SourceError(file, annotation.start, `No query has begun here. ${mend}.`)
  }
  const token = perDialect.flatMap(({ tokens: [token] }) => (token === undefined ? [] : [token])).find(({ start }) => start < end)
  if (token !== undefined) throw new SourceError(file, token.start, 'This SQL has no name. Write -- name: findNotes :all above it.')
}

function readQuery(file: SourceFile, header: Annotation, end: number, lines: Lines, perDialect: readonly DialectTokens[]): FileQuery {
  const isHere = ({ start }: { readonly start: number }) => start > header.start && start < end
  const head = readHeader(file, header)
  const own = perDialect.map(({ dialect, tokens }) => ({ dialect, tokens: tokens.filter(isHere) }))
  for (const { dialect, tokens } of own) assertStatements(file, head, dialect, tokens)
  const firstSql = Math.min(...own.map(({ tokens: [token] }) => token?.start ?? Number.POSITIVE_INFINITY))
  const annotations = lines.annotations.filter(isHere)
  for (const { kind, start } of annotations) {
    if (kind === 'rebuild') throw new SourceError(file, start, '@rebuild stands at the top of a migration, not in a query.')
    if (start > firstSql) throw new SourceError(file, start, `@${kind} stands right behind -- name: …, before the SQL.`)
  }
  const regions = lines.regions.filter(isHere)
  const of = (kind: Annotation['kind']) => annotations.filter(annotation => annotation.kind === kind)
  const parameters = distinct(of('param').map(annotation => readParameter(file, annotation)))
  const columns = distinct(of('column').map(annotation => readColumn(file, annotation)))
  assertConditions(file, head, regions)
  return {
    file,
    header: head,
    description: lines.remarks.filter(remark => isHere(remark) && remark.start < firstSql).map(({ text }) => text),
    parameters,
    columns,
    row: only(of('row').map(annotation => readRow(file, annotation))),
    differs: only(of('differs').map(annotation => readDiffers(file, annotation))),
    markers: regions.map(({ marker }) => marker),
    render(dialect, declared) {
      const tokens = own.find(candidate => candidate.dialect === dialect)?.tokens ?? []
      const isScript = head.call === 'exec'
      const rendered = render({
        file,
        dialect,
        tokens: isScript ? tokens : withoutEnd(file, tokens),
        parameterOf: conditionsOf(regions),
        declared,
        isScript
      })
      assertConditionsUse(file, regions, dialect, rendered)
      assertNoGap(file, regions, tokens, dialect)
      return rendered
    }
  }
}

/** The tokens of a database: what belongs to the other one is blank. */
function tokensOf(file: SourceFile, dialect: Dialect, regions: readonly Region[]): DialectTokens {
  let text = ''
  let copied = 0
  for (const region of regions) {
    if (region.dialect === undefined || region.dialect === dialect || region.start < copied) continue
    text += file.text.slice(copied, region.start) + file.text.slice(region.start, region.end).replace(/[^\n]/g, ' ')
    copied = region.end
  }
  text += file.text.slice(copied)
  return { dialect, tokens: [...tokens(text, dialect)].filter(({ kind }) => kind !== 'comment') }
}

function withoutEnd(file: SourceFile, tokens: readonly Token[]): readonly Token[] {
  const end = tokens.findLastIndex(token => !isSymbol(file, token, ';'))
  return tokens.slice(0, end + 1)
}

function isSymbol(file: SourceFile, { kind, start, end }: Token, symbol: string): boolean {
  return kind === 'symbol' && file.text.slice(start, end) === symbol
}

function assertStatements(file: SourceFile, { name, call, offset }: Header, dialect: Dialect, tokens: readonly Token[]): void {
  const [first] = tokens
  const last = tokens.at(-1)
  const problem = (at: number, text: string) => new SourceError(file, at, text)
  if (first === undefined || last === undefined) throw problem(offset, `The query "${name}" has no SQL for ${dialect}.`)
  let depth = 0
  for (const token of tokens) {
    if (isSymbol(file, token, '(')) depth++
    else if (isSymbol(file, token, ')') && --depth < 0) throw problem(token.start, 'This parenthesis closes none.')
  }
  if (depth > 0) throw problem(last.start, `A parenthesis of the query "${name}" is not closed where the query ends.`)
  if (call === 'exec') return
  // Masked, so that the statements are those of this database.
  const masked = tokens.map(({ start, end }) => file.text.slice(start, end)).join('\n')
  const statements = statementsOf(masked, dialect)
  if (statements.length === 0) throw problem(offset, `The query "${name}" has no SQL for ${dialect}.`)
  if (statements.length > 1) {
    const end = tokens.find(token => isSymbol(file, token, ';')) ?? last
    throw problem(end.start, `The query "${name}" goes on behind its end. Give each statement a name of its own, or make it :exec.`)
  }
}

function distinct<A extends { readonly name: string; readonly file: SourceFile; readonly offset: number }>(
  annotations: readonly A[]
): readonly A[] {
  for (const [i, { name, file, offset }] of annotations.entries()) {
    const earlier = annotations.slice(0, i).find(annotation => annotation.name === name)
    if (earlier !== undefined) throw new SourceError(file, offset, `"${name}" is declared at ${file.describe(earlier.offset)} already.`)
  }
  return annotations
}

function only(annotations: readonly TextAnnotation[]): TextAnnotation | undefined {
  const [first, second] = annotations
  if (second !== undefined) throw new SourceError(second.file, second.offset, 'A query has one annotation of this kind.')
  return first
}

// Optional lines --------------------------------------------------------------------------------------------------

function conditionsOf(regions: readonly Region[]): (token: Token) => string | undefined {
  const conditional = regions.filter(({ parameter }) => parameter !== undefined)
  if (conditional.length === 0) return () => undefined
  return ({ start }) => conditional.find(region => start >= region.start && start < region.end)?.parameter
}

function assertConditions(file: SourceFile, { call }: Header, regions: readonly Region[]): void {
  const names: string[] = []
  for (const { parameter, marker } of regions) {
    if (parameter === undefined) continue
    if (call === 'exec') throw new SourceError(file, marker, ':exec takes no parameters, so no line can depend on one.')
    if (!names.includes(parameter)) names.push(parameter)
    if (names.length > MAX_CONDITIONS) {
      throw new SourceError(
        file,
        marker,
        `A query can depend on ${MAX_CONDITIONS} parameters: each doubles the queries to check. Split the query.`
      )
    }
  }
}

/** A line with `-- @if x` uses `:x`, and nothing else does. */
function assertConditionsUse(file: SourceFile, regions: readonly Region[], dialect: Dialect, { uses, segments }: Rendered): void {
  for (const region of regions) {
    const { parameter, marker } = region
    if (parameter === undefined || (region.dialect !== undefined && region.dialect !== dialect)) continue
    if (!uses.some(use => use.name === parameter && use.offset >= region.start && use.offset < region.end)) {
      throw new SourceError(
        file,
        marker,
        `The marked line does not use :${parameter}. Formatters move comments: the marker ends the line that has :${parameter}.`
      )
    }
    const outside = uses.find(use => use.name === parameter && use.parameter !== parameter)
    if (outside !== undefined) {
      throw new SourceError(
        file,
        outside.offset,
        `:${parameter} may be left out (-- @if at ${file.describe(marker)}), so each line that uses it ends in -- @if ${parameter}.`
      )
    }
  }
  const [first] = segments
  if (first?.parameter !== undefined) {
    const { marker } = regions.find(({ parameter }) => parameter === first.parameter) as Region
    throw new SourceError(file, marker, 'A query cannot begin with a line that may be left out.')
  }
}

/**
 * What a marker leaves behind must be whole, for the database or the parameter that does not have its line. Otherwise a
 * formatter has moved it: past a comma, or away from the keyword that its line began with.
 */
function assertNoGap(file: SourceFile, regions: readonly Region[], tokens: readonly Token[], dialect: Dialect): void {
  const words = tokens.map(({ start, end }) => file.text.slice(start, end).toUpperCase())
  for (const { start, end, dialect: only, parameter, marker } of regions) {
    const first = tokens.findIndex(token => token.start >= start)
    const behind = tokens.findIndex(token => token.start >= end)
    const after = behind === -1 ? '' : (words[behind] as string)
    const before = words[(first === -1 ? words.length : first) - 1] ?? ''
    const last = words[(behind === -1 ? words.length : behind) - 1] ?? ''
    const isGone = only !== undefined && only !== dialect
    const problem =
      (isGone || parameter !== undefined) && OPENS.has(before) && CLOSES.has(after)
        ? `leaves ${before === ',' ? 'a comma' : before} with nothing behind it`
        : !isGone && last === ',' && CLOSES.has(after)
          ? 'leaves a comma with nothing behind it'
          : (isGone || parameter !== undefined) && takesHead(file, start, end) && !CLOSES.has(after)
            ? `takes the keyword of its line away from ${after}`
            : undefined
    if (problem === undefined) continue
    const without = parameter === undefined ? `For ${dialect}` : `Without :${parameter}`
    throw new SourceError(
      file,
      marker,
      `${without}, this marker ${problem}. Formatters move comments and commas; put the line right, or use a block.`
    )
  }
}

/** Tokens that something has to follow. */
const OPENS = new Set(
  ', ( AND OR NOT WHERE ON HAVING BY SET SELECT DISTINCT VALUES RETURNING LIMIT OFFSET FROM JOIN WHEN THEN ELSE FOR UNION ALL EXCEPT INTERSECT'.split(
    ' '
  )
)

/** Tokens with which nothing of a list, a condition or a clause goes on; the empty one is the end. */
const CLOSES = new Set(
  [''].concat(
    ', ) ; AND OR FROM WHERE GROUP HAVING WINDOW ORDER LIMIT OFFSET FETCH RETURNING UNION EXCEPT INTERSECT ON JOIN LEFT RIGHT INNER FULL CROSS NATURAL SELECT SET VALUES FOR'.split(
      ' '
    )
  )
)

/** True if the line begins with the keyword of a clause that goes on with items. */
function takesHead(file: SourceFile, start: number, end: number): boolean {
  return /^\s*(SELECT|SET|WHERE|HAVING|RETURNING|VALUES|FROM|GROUP\s+BY|ORDER\s+BY)\s/i.test(file.text.slice(start, end))
}

// Migrations ------------------------------------------------------------------------------------------------------

/** The script of a migration. */
export interface MigrationScript {
  readonly file: SourceFile
  /** True for `-- @rebuild`. */
  readonly rebuild: boolean
  text(dialect: Dialect): string
}

/** Reads a migration: the whole file is one script. */
export function readMigration(file: SourceFile, dialects: readonly Dialect[]): MigrationScript {
  const lines = readLines(file, dialects)
  const perDialect = dialects.map(dialect => tokensOf(file, dialect, lines.regions))
  const firstSql = Math.min(...perDialect.map(({ tokens: [token] }) => token?.start ?? Number.POSITIVE_INFINITY))
  for (const { kind, start, content } of lines.annotations) {
    if (kind === 'name')
      throw new SourceError(file, start, 'A migration is one script; queries with names stand in files outside of migrations/.')
    if (kind !== 'rebuild') throw new SourceError(file, start, `@${kind} belongs to a query, and a migration has none.`)
    if (content !== '') throw new SourceError(file, start, 'Nothing may stand behind @rebuild.')
    if (start > firstSql) throw new SourceError(file, start, '@rebuild stands at the top of a migration, before its SQL.')
  }
  const optional = lines.regions.find(({ parameter }) => parameter !== undefined)
  if (optional !== undefined) throw new SourceError(file, optional.marker, 'A migration has no parameters, so no line can depend on one.')
  return {
    file,
    rebuild: lines.annotations.length > 0,
    text(dialect) {
      const tokens = perDialect.find(candidate => candidate.dialect === dialect)?.tokens ?? []
      assertNoGap(file, lines.regions, tokens, dialect)
      const { segments, uses } = render({ file, dialect, tokens, parameterOf: () => undefined, declared: new Map(), isScript: true })
      const [use] = uses
      if (use !== undefined) throw new SourceError(file, use.offset, `A migration has no parameters, but here is :${use.name}.`)
      return segments.map(segment => segment.text).join('')
    }
  }
}
