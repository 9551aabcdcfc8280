import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { JsonValue, Path } from '../src/index.ts'
import { deleteAt, getAt, parsePath, setAt } from '../src/kvs/path.ts'
import { onEachDatabase } from './support/databases.ts'
import { processorTime } from './support/processor.ts'

// What an attacker would send -----------------------------------------------------------------------------------

const NAMES = [
  ...['__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'hasOwnProperty', '__defineGetter__', '__lookupSetter__', 'call'],
  ...['apply', 'bind', 'length', 'name', 'arguments', 'caller', 'push', 'then', 'toJSON', 'inspect', 'get', 'set', 'value', 'writable'],
  ...['0', '1', '00', '-0', '-1', '1e3', '0x10', '1.5', '+1', ' 1', '4294967294', '4294967295', '4294967296', '100000000', '10001'],
  ...['9007199254740991', '9007199254740992', '99999999999999999999', 'Infinity', 'NaN', 'null', 'undefined', 'true', '', ' ', '-', '.'],
  ...['..', '[', ']', '[]', '[0]', '"', "'", '\\', '\\"', '/', '~', '~0', '~1', '~2', '$', '$1', ':name', '?', '%', '%s', '%00', '_', '*'],
  ...['a', 'a.b', 'x.y', '\0', 'a\0b', '\n', '\r\n', '\u2028', '\ud800', '\udc00', '\udc00\ud800', '\u{1f600}', '\uffff', '\ufeff', 'é'],
  ...["'; DROP TABLE kvs; --", '"; DROP TABLE kvs; --', '$$', '<script>', '{"a":1}', '[1]', '__proto__.polluted', '../../etc/passwd']
]

/** Ways to write names as a path. Many of them are no path at all. */
const FORMS: ((one: string, other: string, third: string) => Path)[] = [
  one => one,
  (one, other) => `${one}.${other}`,
  (one, other, third) => `${one}.${other}.${third}`,
  (one, other) => `${one}[${other}]`,
  (one, other) => `${one}["${other}"]`,
  (one, other) => `['${one}']["${other}"]`,
  (one, other) => `${one}[${other}`,
  (one, other) => `${one}["${other}]`,
  (one, other) => `${one}]${other}`,
  (one, other) => `${one}..${other}`,
  (one, other) => `.${one}.${other}.`,
  (one, other, third) => `[${one}][${other}][${third}]`,
  one => `/${one}`,
  (one, other) => `/${one}/${other}`,
  (one, other, third) => `/${one.replaceAll('~', '~0').replaceAll('/', '~1')}/${other}/${third}/-`,
  one => [one],
  (one, other) => [one, other],
  (one, other, third) => [one, other, third],
  (one, other) => [one, 0, other],
  (one, other) => ['list', one, other],
  (one, other) => ['object', one, other],
  (one, other) => ['text', one, other]
]

/** Path number `i`; each is another up to far beyond the number that is tried. */
function hostilePath(i: number): Path {
  const form = FORMS[i % FORMS.length] as (typeof FORMS)[number]
  const at = Math.floor(i / FORMS.length)
  const name = (offset: number) => NAMES[(at + offset) % NAMES.length] as string
  const round = Math.floor(at / NAMES.length)
  return form(name(0), name(round), name(round * round + 7))
}

/** What the paths are tried on. */
const DOCUMENTS: (JsonValue | undefined)[] = [
  undefined,
  null,
  {},
  [],
  'text',
  7,
  { list: [1, { a: 2 }], object: { a: { b: 1 } }, text: 'text', a: { b: null }, '': { '': 0 } },
  JSON.parse('{"__proto__":{"toString":1},"constructor":{"prototype":{}},"0":[[]],"length":3}') as JsonValue
]

// What must stay as it is ---------------------------------------------------------------------------------------

const GLOBALS = [Object, Array, Function, String, Number, Boolean, Symbol, BigInt, RegExp, Date, Map, Set, Promise, Error, globalThis]

/** All properties of the things that a path could reach through a prototype, and of their functions. */
function describeGlobals(): Map<object, unknown[]> {
  const described = new Map<object, unknown[]>()
  const add = (thing: unknown, depth: number) => {
    if ((typeof thing !== 'object' && typeof thing !== 'function') || thing === null || described.has(thing)) return
    const properties = Reflect.ownKeys(thing).map(name => [name, Object.getOwnPropertyDescriptor(thing, name)] as const)
    described.set(
      thing,
      properties.flatMap(([name, property]) => [
        name,
        property?.value,
        property?.get,
        property?.set,
        property?.enumerable,
        property?.writable
      ])
    )
    if (depth > 0) for (const [, property] of properties) for (const part of [property?.value, property?.get]) add(part, depth - 1)
  }
  for (const thing of GLOBALS) if (thing !== globalThis) add(thing, 2)
  described.set(globalThis, Reflect.ownKeys(globalThis))
  return described
}

function assertUnchanged(before: Map<object, unknown[]>): void {
  const after = describeGlobals()
  assert.equal(after.size, before.size)
  for (const [thing, properties] of before) {
    const now = after.get(thing) ?? []
    assert.ok(
      now.length === properties.length && now.every((part, i) => Object.is(part, properties[i])),
      `${String((thing as { name?: unknown }).name)} was changed`
    )
  }
}

// What has to come of it ----------------------------------------------------------------------------------------

/** What a call came to. */
type Answer = { value: unknown } | { code: string | undefined }

function answer(call: () => unknown): Answer {
  try {
    return { value: call() }
  } catch (error) {
    return { code: (error as { code?: string }).code }
  }
}

async function answerLater(call: Promise<unknown>): Promise<Answer> {
  return call.then(
    value => ({ value }),
    error => ({ code: (error as { code?: string }).code })
  )
}

function isAppending(path: Path): boolean {
  return typeof path === 'string' && /^\/(.*\/)?-(\/|$)/s.test(path)
}

/** Tries one path on one document: it is refused without a change, or what is set is found and can be deleted. */
function tryPath(path: Path, document: JsonValue | undefined): 'refused' | 'set' {
  const parsed = answer(() => parsePath(path))
  if ('code' in parsed) {
    assert.equal(parsed.code, 'invalid_path')
    return 'refused'
  }
  const parts = parsed.value as ReturnType<typeof parsePath>
  const found = getAt(document, parts)
  assert.notEqual(typeof found.value, 'function')
  const root = structuredClone(document)
  const set = answer(() => setAt(root, parts, 'set'))
  if ('code' in set) {
    assert.equal(set.code, 'invalid_path')
    assert.deepEqual(root, document)
    return 'refused'
  }
  // What JSON makes of it is what is stored.
  const stored = JSON.parse(JSON.stringify(set.value)) as JsonValue
  assert.deepEqual(stored, set.value)
  if (!isAppending(path)) {
    assert.deepEqual(getAt(stored, parts), { isFound: true, value: 'set' })
    if (parts.length > 0) assert.equal(deleteAt(stored, parts), true)
  }
  return 'set'
}

describe('Hostile paths', () => {
  test('100 000 of them are refused or used as plain names, and change nothing else', () => {
    const before = describeGlobals()
    const counts = { refused: 0, set: 0 }
    for (let i = 0; i < 100_000; i++) {
      const path = hostilePath(i)
      try {
        counts[tryPath(path, DOCUMENTS[i % DOCUMENTS.length])]++
      } catch (error) {
        throw new Error(`Path ${i}, ${JSON.stringify(path)}, went wrong.`, { cause: error })
      }
    }
    assertUnchanged(before)
    assert.ok(counts.refused > 20_000 && counts.set > 20_000, JSON.stringify(counts))
  })

  test('every name is tried on every document in every form', () => {
    const before = describeGlobals()
    for (const name of NAMES) {
      for (const document of DOCUMENTS) for (const form of FORMS) tryPath(form(name, name, name), document)
    }
    assertUnchanged(before)
  })

  const long: [title: string, path: Path][] = [
    ['a name', 'a'.repeat(1_000_000)],
    ['a name of astral characters', '\u{1f600}'.repeat(250_000)],
    ['a name of halves of surrogate pairs', '\ud800'.repeat(1_000_000)],
    ['a name of NULs', '\0'.repeat(1_000_000)],
    ['digits', '9'.repeat(1_000_000)],
    ['zeros', '0'.repeat(1_000_000)],
    ['dots', '.'.repeat(1_000_000)],
    ['names and dots', '__proto__.'.repeat(100_000)],
    ['opening brackets', '['.repeat(1_000_000)],
    ['closing brackets', ']'.repeat(1_000_000)],
    ['empty brackets', '[]'.repeat(500_000)],
    ['indexes', '[0]'.repeat(333_333)],
    ['a name in a bracket', `[${'a'.repeat(1_000_000)}]`],
    ['a name in a bracket that is not closed', `[${'a'.repeat(1_000_000)}`],
    ['a quoted name', `["${'a'.repeat(1_000_000)}"]`],
    ['a quoted name that is not closed', `["${'a'.repeat(1_000_000)}`],
    ['a quoted name of backslashes', `["${'\\'.repeat(1_000_000)}"]`],
    ['a quoted name of backslashes that is not closed', `["${'\\'.repeat(1_000_001)}"]`],
    ['quotation marks', `["${'"'.repeat(1_000_000)}`],
    ['both quotation marks', `["${`"'`.repeat(500_000)}"]`],
    ['quoted names', '["a"]'.repeat(200_000)],
    ['quoted names that are not closed', '["a'.repeat(333_333)],
    ['a pointer with a long name', `/${'a'.repeat(1_000_000)}`],
    ['a pointer of many names', '/a'.repeat(500_000)],
    ['slashes', '/'.repeat(1_000_000)],
    ['tildes', `/${'~'.repeat(1_000_000)}`],
    ['escapes', `/${'~0~1'.repeat(250_000)}`],
    ['parts of an array', Array<string>(1_000_000).fill('__proto__')],
    ['one part of an array', ['a'.repeat(1_000_000)]]
  ]
  for (const [title, path] of long) {
    test(`a megabyte of ${title} is read in linear time`, () => {
      const time = processorTime(() => {
        for (let i = 0; i < 10; i++) tryPath(path, DOCUMENTS[i % DOCUMENTS.length])
      })
      // A step for each pair of characters would take minutes.
      assert.ok(time < 10_000, `${time} ms`)
    })
  }

  test('the message that refuses a megabyte is short', () => {
    let refused = 0
    for (const [, path] of long) {
      for (const document of ['text', [1]]) {
        try {
          setAt(document, parsePath(path), 1)
        } catch (error) {
          refused++
          const { message } = error as Error
          assert.ok(message.length < 600, message.slice(0, 700))
        }
      }
    }
    assert.ok(refused > long.length)
  })
})

onEachDatabase('Hostile paths and keys in the store', database => {
  /** As many as one turn carries. */
  const TURN = 100

  test('600 paths are answered as the pure functions answer them', async () => {
    const before = describeGlobals()
    const { kvs } = await database.open()
    const paths = Array.from({ length: 600 }, (_, i) => hostilePath(i * 167))
    const documents = paths.map((_, i) => DOCUMENTS[i % DOCUMENTS.length])
    for (let from = 0; from < paths.length; from += TURN) {
      const numbers = Array.from({ length: TURN }, (_, i) => from + i)
      await kvs.setMany(numbers.flatMap(i => (documents[i] === undefined ? [] : [[`k${i}`, documents[i]] as const])))
      const answers = await Promise.all(
        numbers.map(i => {
          const path = paths[i] as Path
          const calls = [kvs.get(`k${i}`, path), kvs.has(`k${i}`, path), kvs.set(`k${i}`, 'set', path), kvs.get(`k${i}`)]
          return Promise.all([...calls, kvs.delete(`k${i}`, path), kvs.get(`k${i}`)].map(answerLater))
        })
      )
      for (const [at, i] of numbers.entries())
        assert.deepEqual(answers[at], expected(paths[i] as Path, documents[i]), JSON.stringify(paths[i]))
    }
    assertUnchanged(before)
  })

  /** The answers to get, has, set, get of the whole, delete, and get of the whole. */
  function expected(path: Path, document: JsonValue | undefined): Answer[] {
    const parsed = answer(() => parsePath(path))
    const whole = (value: JsonValue | undefined): Answer => ({ value: value === undefined ? null : structuredClone(value) })
    if ('code' in parsed) return [parsed, parsed, parsed, whole(document), parsed, whole(document)]
    const parts = parsed.value as ReturnType<typeof parsePath>
    const { isFound, value } = getAt(document, parts)
    let now = structuredClone(document)
    const set = answer(() => {
      now = setAt(now, parts, 'set')
    })
    const afterSet = whole(now)
    let isDeleted = false
    if (now !== undefined && parts.length > 0) isDeleted = deleteAt(now, parts)
    else if (now !== undefined) {
      isDeleted = true
      now = undefined
    }
    return [{ value: document === undefined ? null : value }, { value: isFound }, set, afterSet, { value: isDeleted }, whole(now)]
  }

  test('every hostile name is a key like others, or is refused by each call', async () => {
    const before = describeGlobals()
    const { kvs } = await database.open()
    const isKey = (name: string) => name !== '' && !name.includes('\0') && name.isWellFormed()
    const answers = await Promise.all(
      NAMES.map(name =>
        Promise.all([kvs.set(name, { name }), kvs.get(name), kvs.set(name, 1, 'a'), kvs.get(name, 'a'), kvs.has(name)].map(answerLater))
      )
    )
    for (const [i, name] of NAMES.entries()) {
      const refused = Array(5).fill({ code: 'invalid_parameter' })
      const used = [{ value: undefined }, { value: { name } }, { value: undefined }, { value: 1 }, { value: true }]
      assert.deepEqual(answers[i], isKey(name) ? used : refused, JSON.stringify(name))
    }
    const listed: string[] = []
    for await (const { key } of kvs.list()) listed.push(key)
    assert.deepEqual(new Set(listed), new Set(NAMES.filter(isKey)))
    assert.equal(listed.length, new Set(listed).size)
    assertUnchanged(before)
  })

  test('every hostile name can be a prefix, or is refused', async () => {
    const { kvs } = await database.open()
    await kvs.setMany(NAMES.filter(name => name !== '' && !name.includes('\0') && name.isWellFormed()).map(name => [`${name}!`, name]))
    for (const prefix of NAMES) {
      const listed = await answerLater(
        (async () => {
          const keys: string[] = []
          for await (const { key } of kvs.list({ prefix })) keys.push(key)
          return keys.every(key => key.startsWith(prefix)) && (prefix === '' || keys.includes(`${prefix}!`))
        })()
      )
      const isText = !prefix.includes('\0') && prefix.isWellFormed()
      assert.deepEqual(listed, isText ? { value: true } : { code: 'invalid_parameter' }, JSON.stringify(prefix))
    }
  })

  test('a megabyte as a path or a key has the same answer everywhere', async () => {
    const { kvs } = await database.open()
    const long = 'a'.repeat(1_000_000)
    const calls = [
      kvs.set('k', 1, long),
      kvs.get('k', long),
      kvs.set('k', 2, `["${long}"]`),
      kvs.has('k', `/${long}`),
      kvs.delete('k', [long]),
      kvs.set('k', 3, '.'.repeat(1_000_000)),
      kvs.set('k', 4, '['.repeat(1_000_000)),
      kvs.set(long, 5),
      kvs.get(long),
      kvs.get('k')
    ]
    assert.deepEqual(await Promise.all(calls.map(answerLater)), [
      { value: undefined },
      { value: 1 },
      { value: undefined },
      { value: true },
      { value: true },
      { code: 'invalid_path' },
      { code: 'invalid_path' },
      { code: 'invalid_parameter' },
      { code: 'invalid_parameter' },
      { value: {} }
    ])
  })
})
