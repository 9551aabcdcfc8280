import { DatabaseError, type ErrorCode } from './errors.ts'

/** Deeper values could overflow the stack of `JSON.stringify`, whose limit depends on the machine. */
const MAX_DEPTH = 1000

/** Objects of these classes become `{}` in JSON: their contents would be lost without a word. */
const LOSSY = [Map, Set, WeakMap, WeakSet, Promise, RegExp, Error] as const

/**
 * Returns the JSON text of a value, after a check that nothing in it would be lost silently.
 *
 * @param value anything
 * @param place what the value is to the caller (`value`, `$2`); the error continues it (`value.tags[3]`)
 * @param code the error's code
 */
export function toJson(value: unknown, place: string, code: ErrorCode): string {
  check(value, [], new Set(), place, code)
  const text = JSON.stringify(value) as string | undefined
  if (text === undefined) throw refuse(place, [], 'has a toJSON() that returns nothing', code)
  return text
}

function check(value: unknown, path: (string | number)[], above: Set<object>, place: string, code: ErrorCode, isReplacement = false): void {
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
  if (value instanceof Number || value instanceof BigInt) {
    check(value.valueOf(), path, above, place, code)
    return
  }
  const object = value as object
  if (above.has(object)) throw refuse(place, path, 'refers to an object that holds it (a circular structure)', code)
  if (path.length > MAX_DEPTH) throw refuse(place, path.slice(0, 3), `nests deeper than ${MAX_DEPTH} levels`, code)
  if (object instanceof Date) {
    if (Number.isNaN(object.getTime())) throw refuse(place, path, 'is an invalid Date', code)
    return
  }
  if (!isReplacement && typeof (object as { toJSON?: unknown }).toJSON === 'function') {
    // What an object's own toJSON makes of it is what will be stored.
    const replacement = (object as { toJSON: (key: string) => unknown }).toJSON(String(path.at(-1) ?? ''))
    check(replacement, path, above, place, code, true)
    return
  }
  for (const type of LOSSY) {
    if (object instanceof type) throw refuse(place, path, describe(type.name), code)
  }
  above.add(object)
  if (Array.isArray(object)) {
    for (let i = 0; i < object.length; i++) {
      path.push(i)
      check(object[i], path, above, place, code)
      path.pop()
    }
  } else {
    for (const name of Object.keys(object)) {
      path.push(name)
      check((object as Record<string, unknown>)[name], path, above, place, code)
      path.pop()
    }
  }
  above.delete(object)
}

function describe(type: string): string {
  const article = /^[AEIOU]/.test(type) ? 'an' : 'a'
  const wayOut: Record<string, string> = {
    Map: '; use Object.fromEntries(map)',
    Set: '; use [...set]',
    Promise: '; await it first'
  }
  return `is ${article} ${type}, which JSON cannot hold${wayOut[type] ?? ''}`
}

function refuse(place: string, path: readonly (string | number)[], problem: string, code: ErrorCode): DatabaseError {
  const steps = path.map(part =>
    typeof part === 'number' ? `[${part}]` : /^[A-Za-z_$][\w$]*$/.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`
  )
  return new DatabaseError(code, `${place}${steps.join('')} ${problem}.`)
}
