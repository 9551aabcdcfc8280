/** What annotations say: `-- name:`, `-- @param`, `-- @column`, `-- @row`, `-- @differs`. */
import { nearestTo } from '../nearest.ts'
import type { Annotation } from './lines.ts'
import { SourceError, type SourceFile } from './source.ts'
import { isTypeWord, type ParameterType, TYPE_WORDS, type TypeWord } from './types.ts'

export const CALLS = ['all', 'one', 'maybeOne', 'run', 'iterate', 'exec'] as const
export type Call = (typeof CALLS)[number]

/** Where an annotation stands, for errors about what it says. */
interface Located {
  readonly file: SourceFile
  readonly offset: number
}

/** `-- @param name type null = default` */
export interface ParameterAnnotation extends Located {
  readonly name: string
  readonly type: ParameterType | undefined
  /** True for `null`, false for `not null`. */
  readonly isNullable: boolean | undefined
  readonly defaultValue: string | number | boolean | undefined
}

/** `-- @column name type not null` */
export interface ColumnAnnotation extends Located {
  readonly name: string
  readonly type: TypeWord | undefined
  /** The TypeScript type of a JSON column. */
  readonly shape: string | undefined
  readonly isNullable: boolean | undefined
}

/** `-- name: findNotes :all` */
export interface Header extends Located {
  readonly name: string
  readonly call: Call
}

/** `-- @row Note` or `-- @differs reason` */
export interface TextAnnotation extends Located {
  readonly text: string
}

/** Words that cannot name a function, and names that a generated module has itself. */
const RESERVED = new Set(
  (
    'arguments await break case catch class const continue debugger default delete do else enum eval export extends false finally for ' +
    'function if implements import in instanceof interface let new null package private protected public return static super switch this ' +
    'throw true try typeof undefined var void while with yield sql migrations'
  ).split(' ')
)

const NAME = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u

export function readHeader(file: SourceFile, { content, contentStart }: Annotation): Header {
  const found = /^(\S+)\s+:(\S+)(\s.*)?$/.exec(content)
  if (found === null) {
    throw new SourceError(file, contentStart, `Expected a name and a call: -- name: findNotes :all. Calls are ${calls()}.`)
  }
  const [, name, call, rest] = found as unknown as [string, string, string, string | undefined]
  if (!NAME.test(name)) {
    throw new SourceError(file, contentStart, `"${name}" is no JavaScript name; use letters, digits and _, such as findNotes.`)
  }
  if (RESERVED.has(name)) throw new SourceError(file, contentStart, `"${name}" is reserved; choose another name.`)
  const callStart = contentStart + content.indexOf(`:${call}`)
  if (!(CALLS as readonly string[]).includes(call)) {
    const near = nearestTo(call, CALLS)
    throw new SourceError(
      file,
      callStart,
      `Unknown call ":${call}"${near === undefined ? `; there are ${calls()}` : `; did you mean ":${near}"?`}`
    )
  }
  if (rest !== undefined) throw new SourceError(file, callStart, 'Nothing may stand behind the call; a description goes on the next line.')
  return { file, offset: contentStart, name, call: call as Call }
}

function calls(): string {
  return CALLS.map(call => `:${call}`).join(' ')
}

export function readParameter(file: SourceFile, { content, contentStart }: Annotation): ParameterAnnotation {
  const example = '-- @param since timestamp'
  const [declaration = '', ...defaults] = content.split('=')
  const { name, words, isNullable } = readWords(file, declaration, contentStart, example)
  const [word, ...others] = words
  if (others.length > 0) throw new SourceError(file, contentStart, `"${others.join(' ')}" is unexpected here. Expected ${example} null = …`)
  const type = word === undefined ? undefined : { word: typeOf(file, word.replace(/\[\]$/, ''), contentStart), isList: word.endsWith('[]') }
  if (type?.isList && (type.word === 'bytea' || type.word === 'json')) {
    throw new SourceError(file, contentStart, `A list of ${type.word} cannot be sent; use another type.`)
  }
  const defaultText = defaults.join('=').trim()
  const defaultValue = content.includes('=') ? readDefault(file, defaultText, type, contentStart) : undefined
  return { file, offset: contentStart, name: name.replace(/^:/, ''), type, isNullable, defaultValue }
}

const DEFAULTS: Readonly<Partial<Record<TypeWord, RegExp>>> = {
  text: /^'(?:[^']|'')*'$/,
  date: /^'\d{4}-\d\d-\d\d'$/,
  numeric: /^'-?\d+(\.\d+)?'$/,
  integer: /^-?\d+$/,
  bigint: /^-?\d+$/,
  double: /^-?\d+(\.\d+)?$/,
  boolean: /^(true|false)$/i
}

function readDefault(file: SourceFile, text: string, type: ParameterType | undefined, offset: number): string | number | boolean {
  if (type === undefined) throw new SourceError(file, offset, 'A parameter with a default needs a type: -- @param limit integer = 20.')
  if (type.isList || DEFAULTS[type.word] === undefined) throw new SourceError(file, offset, `A parameter of this type can have no default.`)
  if (!DEFAULTS[type.word]?.test(text)) {
    throw new SourceError(file, offset, `The default ${text} is no ${type.word}. Write = 20, = 'text' or = true.`)
  }
  if (text.startsWith("'")) return text.slice(1, -1).replaceAll("''", "'")
  return type.word === 'boolean' ? /^true$/i.test(text) : Number(text)
}

export function readColumn(file: SourceFile, { content, contentStart }: Annotation): ColumnAnnotation {
  const { name, words, isNullable } = readWords(file, content, contentStart, '-- @column author text not null')
  const [word, ...others] = words
  const type = word === undefined ? undefined : typeOf(file, word, contentStart)
  const shape = others.join(' ')
  if (shape !== '' && type !== 'json') {
    throw new SourceError(
      file,
      contentStart,
      `"${shape}" is unexpected here; only a json column has a shape: -- @column tags json string[].`
    )
  }
  if (!isBalanced(shape)) throw new SourceError(file, contentStart, `The shape ${shape} is no TypeScript type; its brackets do not match.`)
  return { file, offset: contentStart, name, type, shape: shape === '' ? undefined : shape, isNullable }
}

/** True if brackets match, and nothing ends the type. */
function isBalanced(shape: string): boolean {
  const open: string[] = []
  for (const character of shape.replace(/=>/g, '').replace(/'[^']*'|"[^"]*"/g, '')) {
    const at = '([{<'.indexOf(character)
    if (at !== -1) open.push(')]}>'[at] as string)
    else if (')]}>'.includes(character) && open.pop() !== character) return false
    else if (character === ';' && open.length === 0) return false
  }
  return open.length === 0 && !/\/\*|\/\//.test(shape)
}

function readWords(
  file: SourceFile,
  content: string,
  offset: number,
  example: string
): { name: string; words: string[]; isNullable: boolean | undefined } {
  const found = /^(?:"((?:[^"]|"")+)"|(\S+))(.*)$/s.exec(content.trim())
  if (found === null) throw new SourceError(file, offset, `Expected a name: ${example}.`)
  const [, quoted, plain, rest = ''] = found
  const words = rest.split(/\s+/).filter(word => word !== '')
  let isNullable: boolean | undefined
  // In a shape, `string | null` is a type.
  if (words.at(-1)?.toLowerCase() === 'null' && words.at(-2) !== '|') {
    words.pop()
    isNullable = words.at(-1)?.toLowerCase() !== 'not'
    if (!isNullable) words.pop()
  }
  return { name: quoted?.replaceAll('""', '"') ?? (plain as string), words, isNullable }
}

function typeOf(file: SourceFile, word: string, offset: number): TypeWord {
  if (isTypeWord(word)) return word
  const near = nearestTo(word, TYPE_WORDS)
  throw new SourceError(
    file,
    offset,
    `Unknown type "${word}"${near === undefined ? `; there are ${TYPE_WORDS.join(' ')}` : `; did you mean "${near}"?`}`
  )
}

export function readRow(file: SourceFile, { content, contentStart }: Annotation): TextAnnotation {
  if (!/^\p{Lu}[\p{ID_Continue}$]*$/u.test(content)) {
    throw new SourceError(file, contentStart, 'Expected the name of a type with a capital: -- @row Note.')
  }
  return { file, offset: contentStart, text: content }
}

export function readDiffers(file: SourceFile, { content, contentStart }: Annotation): TextAnnotation {
  if (content === '')
    throw new SourceError(file, contentStart, 'Say why the databases may differ: -- @differs the order of names is that of the server.')
  return { file, offset: contentStart, text: content }
}
