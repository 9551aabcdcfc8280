import { isArrayBufferView, isBoxedPrimitive, isDate, isMap, isNativeError, isPromise, isRegExp, isSet } from 'node:util/types'
import { DatabaseError, type ErrorCode, invalidParameter } from './errors.ts'

/** Deeper values could overflow the stack of `JSON.stringify`, whose limit depends on the machine. */
export const MAX_LEVELS = 1000

/**
 * Returns the JSON text of a value, after a check that nothing in it would be lost silently. Accepted are what JSON
 * has, arrays, plain objects, objects with `toJSON`, and instances of classes with enumerable properties of their own.
 *
 * @param value anything
 * @param place what the value is to the caller (`value`, `$2`); the error continues it (`value.tags[3]`)
 * @param code the error's code
 * @param maxLevels how deep the value may nest
 */
export function toJson(value: unknown, place: string, code: ErrorCode, maxLevels = MAX_LEVELS): string {
  check(value, [], new Set(), { place, code, maxLevels })
  const text = JSON.stringify(value) as string | undefined
  if (text === undefined) throw refuse(place, [], 'has a toJSON() that returns nothing', code)
  return text
}

/** `\u0000` or a lone `\ud800`, after an even number of backslashes. */
const JSON_ESCAPES = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/

/**
 * Returns the JSON text of a value for a parameter, which a JSONB column must be able to hold.
 *
 * @throws DatabaseError `invalid_parameter`
 */
export function toJsonText(value: unknown, place: string): string {
  const text = toJson(value, place, 'invalid_parameter')
  if (!JSON_ESCAPES.test(text)) return text
  throw invalidParameter(`${place} has a text with a NUL character or half of a surrogate pair in it, which JSONB cannot hold.`)
}

/** What is checked against, and what the error says. */
interface Limits {
  readonly place: string
  readonly code: ErrorCode
  readonly maxLevels: number
}

/** True for `{}` and `Object.create(null)`, of this realm or another one. */
export function isPlainObject(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null
}

function check(value: unknown, path: (string | number)[], above: Set<object>, limits: Limits, isReplacement = false): void {
  const { place, code } = limits
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return
    case 'number':
      if (Number.isFinite(value)) return
      throw refuse(place, path, `is ${value}`, code)
    case 'undefined':
      // JSON.stringify leaves out an undefined property and makes null of an undefined element, as everywhere.
      if (path.length > 0) return
      throw refuse(place, path, 'is undefined', code)
    case 'bigint':
      throw refuse(place, path, 'is a BigInt; store it as a string', code)
    case 'function':
    case 'symbol':
      throw refuse(place, path, `is a ${typeof value}`, code)
  }
  if (value === null) return
  // JSON.stringify makes the primitive of these.
  if (isBoxedPrimitive(value)) {
    check((value as { valueOf(): unknown }).valueOf(), path, above, limits)
    return
  }
  const object = value as object
  if (above.has(object)) throw refuse(place, path, 'refers to an object that holds it (a circular structure)', code)
  if (path.length > limits.maxLevels) throw refuse(place, path.slice(0, 3), `nests deeper than ${MAX_LEVELS} levels`, code)
  if (isDate(object)) {
    if (Number.isNaN(Date.prototype.getTime.call(object))) throw refuse(place, path, 'is an invalid Date', code)
    return
  }
  // A Buffer's toJSON() would make an object of numbers.
  if (isArrayBufferView(object)) throw refuse(place, path, describe(tagOf(object)), code)
  if (!isReplacement && typeof (object as { toJSON?: unknown }).toJSON === 'function') {
    // What an object's own toJSON makes of it is what will be stored.
    const replacement = (object as { toJSON: (key: string) => unknown }).toJSON(String(path.at(-1) ?? ''))
    check(replacement, path, above, limits, true)
    return
  }
  above.add(object)
  if (Array.isArray(object)) {
    for (let i = 0; i < object.length; i++) {
      path.push(i)
      check(object[i], path, above, limits)
      path.pop()
    }
  } else {
    const names = Object.keys(object)
    if (!isPlainObject(object)) assertKeptByJson(object, names, place, path, code)
    for (const name of names) {
      path.push(name)
      check((object as Record<string, unknown>)[name], path, above, limits)
      path.pop()
    }
  }
  above.delete(object)
}

/**
 * Refuses an object whose contents are not its enumerable properties: those of the language's own classes, and any
 * instance without such properties, as what it holds is private (a Blob, Headers, a class with private fields).
 */
function assertKeptByJson(object: object, names: readonly string[], place: string, path: (string | number)[], code: ErrorCode): void {
  const holdsMore = isNativeError(object) || isRegExp(object) || isMap(object) || isSet(object) || isPromise(object)
  if (names.length > 0 && !holdsMore) return
  const tag = tagOf(object)
  if (tag !== 'Object') throw refuse(place, path, describe(tag), code)
  const name = String((object as { constructor?: { name?: unknown } }).constructor?.name || 'a class')
  throw refuse(place, path, `is an instance of ${name} without properties that JSON could hold; give a plain object`, code)
}

/** The class that the language or the platform names: `Map` of `[object Map]`. */
function tagOf(object: object): string {
  return Object.prototype.toString.call(object).slice('[object '.length, -1)
}

const WAYS_OUT: Readonly<Record<string, string>> = {
  Map: '; use Object.fromEntries(map)',
  Set: '; use [...set]',
  Promise: '; await it first',
  Headers: '; use Object.fromEntries(headers)',
  URLSearchParams: '; use String(parameters)',
  FormData: '; use Object.fromEntries(formData)',
  Uint8Array: '; use Buffer.from(bytes).toString("base64")',
  ArrayBuffer: '; use Buffer.from(bytes).toString("base64")'
}

function describe(tag: string): string {
  const article = /^[AEIO]/.test(tag) ? 'an' : 'a'
  return `is ${article} ${tag}, which JSON cannot hold${WAYS_OUT[tag] ?? ''}`
}

function refuse(place: string, path: readonly (string | number)[], problem: string, code: ErrorCode): DatabaseError {
  const steps = path.map(part =>
    typeof part === 'number' ? `[${part}]` : /^[A-Za-z_$][\w$]*$/.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`
  )
  return new DatabaseError(code, `${place}${steps.join('')} ${problem}.`)
}
