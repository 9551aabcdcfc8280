/**
 * Paths into JSON values. Pure: nothing here knows a database, and nothing is changed when a call fails.
 *
 * A part is a name, or an index, or the pointer's `-`. What exists decides how a part is used: an object takes an
 * index as a name, an array takes a name of digits as an index. Only where nothing exists, an index makes an array.
 */
import jsonPointer from 'json-pointer'
import type { JsonValue } from '../adapter.ts'
import { DatabaseError } from '../errors.ts'
import { MAX_FILL, MAX_GAP, MAX_PARTS } from './limits.ts'

/** A path as the caller gives it: `b._b`, `books[0]`, `a["x.y"]`, `/b/0`, or parts that are taken literally. */
export type Path = string | readonly (string | number)[]

/** The `-` of a JSON Pointer: behind an array's last element (RFC 6901, section 4). */
const APPEND = Symbol('-')

export type Part = string | number | typeof APPEND

type JsonObject = { [name: string]: JsonValue }
type Container = JsonValue[] | JsonObject

// Reading a path ------------------------------------------------------------------------------------------------

/**
 * Returns the parts of a path; none for the whole value.
 *
 * @throws DatabaseError `invalid_path`
 */
export function parsePath(path: Path | undefined): readonly Part[] {
  if (path === undefined || path === '') return []
  if (typeof path !== 'string') return literalParts(path)
  const parts = path.startsWith('/') ? pointerParts(path) : textParts(path)
  checkCount(parts.length)
  return parts
}

function literalParts(given: unknown): readonly Part[] {
  if (!Array.isArray(given)) {
    throw invalid(
      `A path is a text or an array of parts; got ${given === null ? 'null' : typeof given}. The order is set(key, value, path).`
    )
  }
  checkCount(given.length)
  // A copy, as the caller may change the array before the call takes effect.
  const path = [...given]
  checkCount(path.length)
  for (const part of path) {
    if (typeof part === 'string' || (Number.isSafeInteger(part) && part >= 0)) continue
    throw invalid(
      `A part of a path is a name or an index from 0; got ${typeof part === 'number' ? part : `a value of type ${typeof part}`}.`
    )
  }
  return path
}

function checkCount(count: number): void {
  if (count > MAX_PARTS) throw invalid(`A path has ${MAX_PARTS} parts at most.`)
}

function pointerParts(path: string): Part[] {
  if (/~(?![01])/.test(path)) {
    throw invalid(`In a JSON Pointer, ~ is written ~0 and / is written ~1 (RFC 6901); got ${quote(path)}.`)
  }
  if (path.split('/', MAX_PARTS + 2).length - 1 > MAX_PARTS) checkCount(MAX_PARTS + 1)
  return jsonPointer.parse(path).map(token => (token === '-' ? APPEND : indexOrName(token)))
}

/** `007` is a name: an index has no leading zero. */
function indexOrName(text: string): string | number {
  return /^(0|[1-9]\d{0,15})$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : text
}

const NAME = /[^.[\]]*/y
const UNQUOTED = /\[([^.[\]"']+)\]/y

/** Names with dots between, and brackets. As in lodash, a missing name, as in `a..b`, is the empty one. */
function textParts(path: string): Part[] {
  const parts: Part[] = []
  let at = 0
  /** At the beginning and behind a dot, a name must come, if only an empty one. */
  let wantsName = true
  while (at < path.length || (wantsName && at > 0)) {
    if (parts.length > MAX_PARTS) return parts
    const character = path[at]
    if (character === '[') {
      const [part, end] = bracket(path, at)
      parts.push(part)
      at = end
      wantsName = false
    } else if (wantsName) {
      NAME.lastIndex = at
      const name = NAME.exec(path)?.[0] ?? ''
      parts.push(indexOrName(name))
      at += name.length
      wantsName = false
    } else if (character === '.') {
      at++
      wantsName = true
    } else {
      throw invalid(`Unexpected ${character === ']' ? '"]"' : 'text behind "]"'} at position ${at} of the path ${quote(path)}.`)
    }
  }
  return parts
}

function bracket(path: string, at: number): [Part, number] {
  const quotation = path[at + 1]
  if (quotation === '"' || quotation === "'") {
    const end = endOfQuoted(path, at + 2, quotation)
    if (path.startsWith(`${quotation}]`, end)) {
      const text = path.slice(at + 2, end)
      return [indexOrName(text.includes('\\') ? text.replace(/\\([\s\S])/g, '$1') : text), end + 2]
    }
  } else {
    UNQUOTED.lastIndex = at
    const found = UNQUOTED.exec(path)
    if (found !== null) return [indexOrName(found[1] as string), UNQUOTED.lastIndex]
  }
  throw invalid(`The bracket at position ${at} of the path ${quote(path)} is not [0], ["name"] or [name].`)
}

/** Where the quoted name ends. A regular expression would need a stack as deep as the name is long. */
function endOfQuoted(path: string, start: number, quotation: string): number {
  let backslash = path.indexOf('\\', start)
  let end = path.indexOf(quotation, start)
  while (backslash !== -1 && backslash < end) {
    if (end === backslash + 1) end = path.indexOf(quotation, backslash + 2)
    backslash = path.indexOf('\\', backslash + 2)
  }
  return end === -1 ? path.length : end
}

// Using a path --------------------------------------------------------------------------------------------------

/** Returns what a path leads to; `isFound` is false where it leads nowhere, which a stored null does not mean. */
export function getAt(root: JsonValue | undefined, parts: readonly Part[]): { isFound: boolean; value: JsonValue | undefined } {
  let current = root
  for (const part of parts) {
    const name = nameOf(part)
    if (!holds(current, name)) return { isFound: false, value: undefined }
    current = (current as JsonObject)[name]
  }
  return { isFound: current !== undefined, value: current }
}

/** True if the value is an object or an array that has the name or index. Own properties only, and no `length`. */
function holds(value: JsonValue | undefined, name: string): value is JsonObject {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return false
  return !Array.isArray(value) || name !== 'length'
}

/**
 * Returns the root with the value at the path; it is changed in place where it exists.
 *
 * @throws DatabaseError `invalid_path` when something on the way holds no others; nothing is changed then
 */
export function setAt(root: JsonValue | undefined, parts: readonly Part[], value: JsonValue): JsonValue {
  if (parts.length === 0) return value
  if (root === null || root === undefined) return build(parts, 0, value)
  let current: JsonValue = root
  for (let i = 0; ; i++) {
    const holder = asContainer(current, parts, i)
    const key = keyIn(holder, parts, i)
    const next: JsonValue | undefined = Object.hasOwn(holder, key) ? (holder as JsonObject)[key] : undefined
    if (i === parts.length - 1 || next === null || next === undefined) {
      put(holder, key, i === parts.length - 1 ? value : build(parts, i + 1, value))
      return root
    }
    current = next
  }
}

/** Removes what the path leads to, and returns whether there was something. An array closes the gap. */
export function deleteAt(root: JsonValue, parts: readonly Part[]): boolean {
  const { value: holder } = getAt(root, parts.slice(0, -1))
  const name = nameOf(parts.at(-1) as Part)
  if (!holds(holder, name)) return false
  if (!Array.isArray(holder)) return delete (holder as JsonObject)[name]
  const index = indexOrName(name)
  if (typeof index !== 'number') return false
  holder.splice(index, 1)
  return true
}

function nameOf(part: Part): string {
  return part === APPEND ? '-' : String(part)
}

function asContainer(value: JsonValue, parts: readonly Part[], i: number): Container {
  if (typeof value === 'object' && value !== null) return value as Container
  throw invalid(`${describe(parts, i)} holds a ${typeof value}, so ${describe(parts, i + 1)} cannot be set in it; nothing was changed.`)
}

/** The property's name, or the index as its text. */
function keyIn(holder: Container, parts: readonly Part[], i: number): string {
  const part = parts[i] as Part
  if (!Array.isArray(holder)) return nameOf(part)
  const index = part === APPEND ? holder.length : typeof part === 'number' ? part : indexOrName(part)
  if (typeof index !== 'number') {
    throw invalid(`${describe(parts, i)} holds an array, so ${quote(nameOf(part))} is no place in it; nothing was changed.`)
  }
  checkGap(index - holder.length, parts, i)
  return String(index)
}

function checkGap(gap: number, parts: readonly Part[], i: number): void {
  if (gap > MAX_GAP) {
    throw invalid(
      `Index ${nameOf(parts[i] as Part)} of ${describe(parts, i)} is more than ${MAX_GAP} behind the array's end; nothing was changed.`
    )
  }
}

function put(holder: Container, key: string, value: JsonValue): void {
  if (Array.isArray(holder)) {
    const index = Number(key)
    while (holder.length < index) holder.push(null)
    holder[index] = value
  } else if (key === '__proto__') {
    // An assignment would set the prototype.
    Object.defineProperty(holder, key, { value, writable: true, enumerable: true, configurable: true })
  } else {
    holder[key] = value
  }
}

/** Makes what does not exist, from the path's part `from` on. */
function build(parts: readonly Part[], from: number, value: JsonValue): JsonValue {
  let filled = 0
  for (let i = from; i < parts.length; i++) {
    const part = parts[i]
    if (typeof part !== 'number') continue
    checkGap(part, parts, i)
    filled += part
  }
  if (filled > MAX_FILL) throw invalid(`The path's indexes would fill more than ${MAX_FILL} places with null; nothing was changed.`)
  let built = value
  for (let i = parts.length - 1; i >= from; i--) {
    const part = parts[i] as Part
    const holder: Container = typeof part === 'string' ? {} : []
    put(holder, part === APPEND ? '0' : String(part), built)
    built = holder
  }
  return built
}

// Errors --------------------------------------------------------------------------------------------------------

/** Longer texts would make a message unreadable. */
const MAX_QUOTED = 80

function quote(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text)
}

/** The first parts of a path as the caller could have written them. */
function describe(parts: readonly Part[], count: number): string {
  if (count === 0) return 'the value'
  let text = ''
  for (const part of parts.slice(0, count)) {
    if (typeof part === 'number') text += `[${part}]`
    else if (/^[\w$-]+$/.test(nameOf(part))) text += `${text && '.'}${nameOf(part)}`
    else text += `[${quote(nameOf(part))}]`
  }
  return quote(text)
    .slice(0, MAX_QUOTED + 3)
    .replace(/\\"/g, "'")
}

function invalid(message: string): DatabaseError {
  return new DatabaseError('invalid_path', message)
}
