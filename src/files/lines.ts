/**
 * Reads the lines of a SQL file: which belong to one database alone (`-- @sqlite`, blocks), which only with a parameter
 * (`-- @if x`), and which comments are annotations. Token by token, so nothing in a string or a block comment counts.
 */
import type { Dialect } from '../adapter.ts'
import { type Token, tokens } from '../lexer.ts'
import { nearestTo } from '../nearest.ts'
import { SourceError, type SourceFile } from './source.ts'

/** A comment that says something to this parser. */
export interface Annotation {
  /** `name`, `param`, `column`, `row`, `differs` or `rebuild`. */
  readonly kind: (typeof OWN_LINE)[number]
  /** What stands behind the kind. */
  readonly content: string
  readonly start: number
  /** Where `content` begins. */
  readonly contentStart: number
}

/** A part of the file that belongs to one database, or only with a parameter. */
export interface Region {
  readonly start: number
  readonly end: number
  readonly dialect: Dialect | undefined
  readonly parameter: string | undefined
  /** Where its marker stands. */
  readonly marker: number
}

/** A comment alone on its line that is no annotation: a description, or anything. */
export interface Remark {
  readonly start: number
  readonly text: string
}

export interface Lines {
  readonly annotations: readonly Annotation[]
  readonly remarks: readonly Remark[]
  readonly regions: readonly Region[]
}

const OWN_LINE = ['name', 'param', 'column', 'row', 'differs', 'rebuild'] as const
const DIALECTS: readonly string[] = ['sqlite', 'postgres']
const KNOWN = [...OWN_LINE.map(kind => `@${kind}`), '@sqlite', '@postgres', '@sqlite begin', '@postgres begin', '@end', '@if']

/** A segment of a comment: `-- a reason -- @sqlite` has two. */
interface Segment {
  readonly text: string
  readonly start: number
}

/**
 * Reads the lines of a file.
 *
 * @param dialects those that the file is for; both for a shared file
 * @throws SourceError for a comment that begins like an annotation and is none, or stands in a wrong place
 */
export function readLines(file: SourceFile, dialects: readonly Dialect[]): Lines {
  const annotations: Annotation[] = []
  const remarks: Remark[] = []
  const regions: Region[] = []
  let block: { dialect: Dialect; start: number; marker: number } | undefined
  /** The last token of SQL, and where the last region ended. */
  let before: string | undefined
  let regionEnd = -1

  for (const line of logicalLines(file, dialects, () => block?.dialect)) {
    const { code, comment } = line
    const segments = comment === undefined ? [] : segmentsOf(file.text, comment)
    const marks = segments.filter(({ text }) => isAnnotation(text))
    if (code.length === 0 && comment !== undefined) {
      const [mark] = marks
      if (mark === undefined) {
        remarks.push({ start: comment.start, text: file.text.slice(comment.start + 2, comment.end).trim() })
      } else if (/^@(sqlite|postgres)\s+begin$/.test(mark.text)) {
        if (block !== undefined) {
          throw new SourceError(
            file,
            mark.start,
            `This block begins inside of the one at ${file.describe(block.marker)}; end that with -- @end.`
          )
        }
        const dialect = mark.text.startsWith('@sqlite') ? 'sqlite' : 'postgres'
        assertShared(file, dialects, dialect, mark)
        block = { dialect, start: comment.start, marker: mark.start }
      } else if (mark.text === '@end') {
        if (block === undefined) throw new SourceError(file, mark.start, 'No block is open here; one begins with -- @sqlite begin.')
        regions.push({ start: block.start, end: comment.end, dialect: block.dialect, parameter: undefined, marker: block.marker })
        block = undefined
        regionEnd = comment.end
      } else {
        const annotation = annotationOf(file, mark, segments)
        annotations.push(annotation)
        if (annotation.kind === 'name') before = undefined
      }
      continue
    }
    if (marks.length > 0) {
      const region = regionOf(file, line, marks, dialects)
      if (block !== undefined && region.dialect !== undefined) {
        throw new SourceError(file, region.marker, `The line stands in the block of ${block.dialect} already; leave the marker out.`)
      }
      assertWhole(file, line, region, regionEnd !== -1 && isBlank(file.text, regionEnd, line.start) ? undefined : before)
      regions.push(region)
      regionEnd = line.end
    }
    const last = code.at(-1)
    if (last !== undefined) before = wordOf(file.text, last)
  }
  if (block !== undefined) throw new SourceError(file, block.marker, 'This block has no end; write -- @end on a line of its own.')
  return { annotations, remarks, regions }
}

// Lines -----------------------------------------------------------------------------------------------------------

/** A line, or several where a token runs on: what stands between two line ends outside of tokens. */
interface Line {
  readonly start: number
  readonly end: number
  readonly code: readonly Token[]
  /** The line comment at its end. */
  readonly comment: Token | undefined
}

function* logicalLines(file: SourceFile, dialects: readonly Dialect[], blockDialect: () => Dialect | undefined): Generator<Line> {
  const { text } = file
  for (let at = 0; at < text.length; ) {
    const line = readLine(file, at, dialects, blockDialect())
    yield line
    at = line.end + 1
  }
}

function readLine(file: SourceFile, start: number, dialects: readonly Dialect[], block: Dialect | undefined): Line {
  const { text } = file
  if (block !== undefined) return lineOf(text, start, block)
  const [first, second] = dialects.map(dialect => ({ dialect, line: lineOf(text, start, dialect) }))
  if (first === undefined) throw new Error('A file is for one database at least.')
  if (second === undefined) return first.line
  // What a marker gives to one database is read as that one reads it, which ends where the other may see a string go on.
  const marked = [first, second].filter(({ dialect, line }) => dialectOf(text, line) === dialect).sort((a, b) => a.line.end - b.line.end)
  if (marked[0] !== undefined) return marked[0].line
  const differing = first.line.code.find((token, i) => second.line.code[i]?.end !== token.end)
  const differs = differing ?? (first.line.end === second.line.end ? undefined : second.line.code[first.line.code.length])
  if (differs !== undefined) {
    throw new SourceError(
      file,
      differs.start,
      'SQLite and Postgres read this differently. Mark the line with -- @sqlite or -- @postgres, or put the query into a file below ' +
        'sqlite/ and postgres/.'
    )
  }
  return first.line
}

function lineOf(text: string, start: number, dialect: Dialect): Line {
  const code: Token[] = []
  const rest = text.slice(start)
  let end = 0
  for (const token of tokens(rest, dialect)) {
    const lineEnd = rest.indexOf('\n', end)
    if (lineEnd !== -1 && lineEnd < token.start) break
    end = token.end
    const moved = { ...token, start: token.start + start, end: token.end + start }
    if (token.kind === 'comment' && rest[token.start] === '-') return { start, end: start + lineEndFrom(rest, end), code, comment: moved }
    if (token.kind !== 'comment') code.push(moved)
  }
  return { start, end: start + lineEndFrom(rest, end), code, comment: undefined }
}

function lineEndFrom(text: string, from: number): number {
  const end = text.indexOf('\n', from)
  return end === -1 ? text.length : end
}

function dialectOf(text: string, { comment, code }: Line): string | undefined {
  if (comment === undefined || code.length === 0) return undefined
  return segmentsOf(text, comment)
    .map(segment => segment.text.slice(1))
    .find(word => DIALECTS.includes(word))
}

// Markers ---------------------------------------------------------------------------------------------------------

function segmentsOf(text: string, comment: Token): Segment[] {
  const segments: Segment[] = []
  const content = text.slice(comment.start, comment.end)
  // Only what begins like an annotation is one, so dashes in a sentence separate nothing.
  for (const found of content.matchAll(/--\s*((?:(?!--\s*@).)*)/g)) {
    const segment = found[1] as string
    segments.push({ text: segment.trim(), start: comment.start + found.index + found[0].length - segment.length })
  }
  return segments
}

function isAnnotation(text: string): boolean {
  return text.startsWith('@') || /^name\s*:/i.test(text)
}

function annotationOf(file: SourceFile, mark: Segment, segments: readonly Segment[]): Annotation {
  const found = /^(?:(name)\s*:|@(\w+)(?=\s|$))\s*/.exec(mark.text)
  const kind = found?.[1] ?? found?.[2]
  if (found === null || !(OWN_LINE as readonly (string | undefined)[]).includes(kind) || mark.text.startsWith('@name')) {
    throw new SourceError(file, mark.start, problemOfMark(mark.text))
  }
  const contentStart = mark.start + found[0].length
  const next = segments[segments.indexOf(mark) + 1]
  if (next !== undefined) throw new SourceError(file, next.start, 'One comment holds one annotation; write this one on a line of its own.')
  return { kind: kind as Annotation['kind'], content: mark.text.slice(found[0].length), start: mark.start, contentStart }
}

/** Of a comment that is alone on its line, and no annotation that may be. */
function problemOfMark(text: string): string {
  const [word = ''] = text.split(/\s+/)
  if (/^@(sqlite|postgres|if)$/.test(word)) {
    return `"${word}" marks the line of SQL that it ends, and here it is alone on its line. Write it behind the SQL; formatters move comments.`
  }
  if (/^name\s*:/i.test(text)) return 'A query begins with -- name: findNotes :all, "name" in lower case.'
  return `Unknown annotation "${text}".${suggestion(text)}`
}

function suggestion(text: string): string {
  const near = nearestTo(text, KNOWN) ?? nearestTo(text.split(/\s+/)[0] as string, KNOWN)
  const words = `@param @column @row @differs @rebuild @if @sqlite @postgres`
  return near === undefined ? ` Known are ${words}, and "name:".` : ` Did you mean "${near}"?`
}

/** What the markers at the end of a line say about it. */
function regionOf(file: SourceFile, line: Line, marks: readonly Segment[], dialects: readonly Dialect[]): Region {
  let dialect: Dialect | undefined
  let parameter: string | undefined
  for (const mark of marks) {
    const [word = '', ...others] = mark.text.split(/\s+/)
    if (word === '@sqlite' || word === '@postgres') {
      if (others.length > 0) {
        const mend = others[0] === 'begin' ? 'A block begins on a line of its own' : 'Write a reason before it: -- a reason -- @sqlite'
        throw new SourceError(file, mark.start, `Nothing may stand behind the marker "${word}". ${mend}.`)
      }
      assertShared(file, dialects, word.slice(1) as Dialect, mark)
      if (dialect !== undefined) throw new SourceError(file, mark.start, 'A line belongs to one database, or to both without a marker.')
      dialect = word.slice(1) as Dialect
    } else if (word === '@if') {
      if (others.length !== 1) throw new SourceError(file, mark.start, 'Expected one parameter: -- @if author.')
      if (parameter !== undefined) throw new SourceError(file, mark.start, 'A line depends on one parameter.')
      parameter = (others[0] as string).replace(/^:/, '')
    } else {
      const isOwnLine = OWN_LINE.some(kind => word === `@${kind}`) || word === '@end' || /^name\s*:/i.test(mark.text)
      const problem = isOwnLine
        ? `"${mark.text.split(/\s/)[0]}" must stand on a line of its own, not behind SQL; formatters move comments.`
        : `Unknown annotation "${mark.text}".${suggestion(mark.text)}`
      throw new SourceError(file, mark.start, problem)
    }
  }
  return { start: line.start, end: line.comment?.start ?? line.end, dialect, parameter, marker: (marks[0] as Segment).start }
}

function assertShared(file: SourceFile, dialects: readonly Dialect[], dialect: Dialect, mark: Segment): void {
  if (dialects.length > 1) return
  const problem =
    dialects[0] === dialect
      ? `All of this file is for ${dialect} alone; leave the marker out.`
      : `This file is for ${dialects[0]} alone, so the marked line is for nobody; leave it out.`
  throw new SourceError(file, mark.start, problem)
}

// Whole lines -----------------------------------------------------------------------------------------------------

/** Words before which formatters break lines. */
const CLAUSES = new Set(
  (
    'SELECT FROM WHERE GROUP HAVING WINDOW ORDER LIMIT OFFSET FETCH UNION EXCEPT INTERSECT JOIN LEFT RIGHT INNER FULL CROSS NATURAL VALUES ' +
    'RETURNING SET INSERT UPDATE DELETE WITH AND OR WHEN ELSE'
  ).split(' ')
)

/** Words that an item may follow, beside the ones above. */
const BEFORE_ITEM = new Set([',', '(', ';', 'BY', 'ALL', 'DISTINCT', 'AS'])

/**
 * A marker means its line, and formatters break and join lines. So the line must be what they leave alone: one item of
 * a list, one condition, one clause, or one statement. Then a marker whose line was broken stands on a line that is none
 * of these, or leaves SQL behind that no engine takes.
 *
 * @param before the last token before the line; undefined at the begin, and behind another marked line
 */
function assertWhole(file: SourceFile, { code }: Line, { marker }: Region, before: string | undefined): void {
  const { text } = file
  const words = code.map(token => wordOf(text, token))
  const [first = ''] = words
  const last = words.at(-1)
  const refuse = (problem: string): never => {
    throw new SourceError(
      file,
      marker,
      `The marked line ${problem}. A marker takes one whole item, condition, clause or statement on a line of its own, since formatters ` +
        'break and join lines; for more use -- @sqlite begin … -- @end.'
    )
  }
  let depth = 0
  let isBetween = false
  for (const [i, word] of words.entries()) {
    if (word === '(' || word === '[' || word === 'CASE') depth++
    else if (word === ')' || word === ']' || (word === 'END' && depth > 0)) depth--
    if (depth < 0) refuse('closes a parenthesis that an earlier line opens')
    if (depth > 0 || i === 0 || last === ';') continue
    if (word === 'BETWEEN') isBetween = true
    else if (word === 'AND' && isBetween) isBetween = false
    else if (word === ',' && i < words.length - 1) refuse('holds more than one item')
    else if (word === ',' && first === ',') refuse('has a comma at both ends')
    else if (CLAUSES.has(word) && !isHead(words, i)) refuse(`goes on with ${word}, before which a formatter would break it`)
  }
  if (depth > 0) refuse('opens a parenthesis that a later line closes')
  if (last === ';') {
    if (words.indexOf(';') < words.length - 1) refuse('holds more than one statement')
    if (before !== undefined && before !== ';') refuse('ends a statement that begins on an earlier line')
    return
  }
  const isBegin = before === undefined || BEFORE_ITEM.has(before) || CLAUSES.has(before)
  const startsItself = first === ',' || CLAUSES.has(first) || (first === 'ON' && words[1] === 'CONFLICT') || first === 'FOR'
  if (!isBegin && !startsItself) refuse(`begins in the middle of what ${before} begins`)
}

/** True if a clause's word still belongs to the words that begin the line: LEFT OUTER JOIN, DELETE FROM. */
function isHead(words: readonly string[], i: number): boolean {
  const head = words.slice(0, i)
  if (words[i] === 'JOIN') return head.every(word => CLAUSES.has(word) || word === 'OUTER')
  if (words[i] === 'FROM') return head.join(' ') === 'DELETE' || head.at(-1) === 'DISTINCT'
  if (words[i] === 'OR') return head.join(' ') === 'INSERT'
  // DO UPDATE SET stays on one line in no formatter; FOR UPDATE does.
  return words[i] === 'UPDATE' && head.join(' ') === 'FOR'
}

/** A word in capitals; another token as it is. */
function wordOf(text: string, { kind, start, end }: Token): string {
  const token = text.slice(start, end)
  return kind === 'word' ? token.toUpperCase() : token
}

function isBlank(text: string, from: number, to: number): boolean {
  return (
    text
      .slice(from, to)
      .replace(/--[^\n]*/g, '')
      .trim() === ''
  )
}
