import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import lodash from 'lodash'
import type { JsonValue, Path } from '../src/index.ts'
import { MAX_GAP, MAX_PARTS } from '../src/kvs/limits.ts'
import { deleteAt, getAt, parsePath, setAt } from '../src/kvs/path.ts'
import { failsWith } from './support/databases.ts'

/** Sets as the store does, on a copy. */
function set(stored: JsonValue | undefined, value: JsonValue, path: Path): JsonValue {
  return setAt(structuredClone(stored), parsePath(path), value)
}

function get(stored: JsonValue | undefined, path: Path): JsonValue | undefined {
  return getAt(stored, parsePath(path)).value
}

/** What is left, and whether something was removed. */
function remove(stored: JsonValue, path: Path): [left: JsonValue, isRemoved: boolean] {
  const copy = structuredClone(stored)
  const isRemoved = deleteAt(copy, parsePath(path))
  return [copy, isRemoved]
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

/** How the parts of a pointer come out, whose `-` is a symbol. */
function readable(parts: readonly unknown[]): unknown[] {
  return parts.map(part => (typeof part === 'symbol' ? { append: part.description } : part))
}

describe('Reading a path', () => {
  const accepted: [Path | undefined, unknown[]][] = [
    // The whole value.
    [undefined, []],
    ['', []],
    [[], []],
    // Dots and brackets.
    ['role', ['role']],
    ['b._b', ['b', '_b']],
    ['books[0].title', ['books', 0, 'title']],
    ['books.0.title', ['books', 0, 'title']],
    ['a["x.y"]', ['a', 'x.y']],
    ["a['x.y']", ['a', 'x.y']],
    ['a["x\\"y"]', ['a', 'x"y']],
    ["a['x\\'y']", ['a', "x'y"]],
    ['a["x\\\\y"]', ['a', 'x\\y']],
    ['a["it\'s"]', ['a', "it's"]],
    ['a["]"]', ['a', ']']],
    ['a[""]', ['a', '']],
    ['a[b]', ['a', 'b']],
    ['a[b c]', ['a', 'b c']],
    ['[0]', [0]],
    ['["x.y"].z', ['x.y', 'z']],
    ['a[0][1]', ['a', 0, 1]],
    ['a.[0]', ['a', 0]],
    ['a["0"]', ['a', 0]],
    ['a b.ç', ['a b', 'ç']],
    ['users.002485', ['users', '002485']],
    ['a.00', ['a', '00']],
    ['a.-', ['a', '-']],
    ['a.-1', ['a', '-1']],
    ['a[-1]', ['a', '-1']],
    ['a.9007199254740991', ['a', 9007199254740991]],
    ['a.9007199254740992', ['a', '9007199254740992']],
    ['a/b', ['a/b']],
    ['a..b', ['a', '', 'b']],
    ['.a', ['', 'a']],
    ['a.', ['a', '']],
    ['.', ['', '']],
    // JSON Pointers.
    ['/', ['']],
    ['/b/0', ['b', 0]],
    ['/b/007', ['b', '007']],
    ['/a~1b', ['a/b']],
    ['/m~0n', ['m~n']],
    ['/~01', ['~1']],
    ['/x.y[0]', ['x.y[0]']],
    ['/a//b', ['a', '', 'b']],
    ['/b/-', ['b', { append: '-' }]],
    // Literal parts.
    [
      ['b', '5'],
      ['b', '5']
    ],
    [
      ['b', 5],
      ['b', 5]
    ],
    [['x.y'], ['x.y']],
    [['/b'], ['/b']],
    [['-'], ['-']],
    [[''], ['']]
  ]
  for (const [path, parts] of accepted) {
    test(`${show(path)} is read as ${show(parts)}`, () => {
      assert.deepEqual(readable(parsePath(path)), parts)
    })
  }

  const refused: [string, unknown, RegExp][] = [
    ['an unclosed bracket', 'a[0', /bracket at position 1 of the path "a\[0" is not \[0\], \["name"\] or \[name\]/],
    ['a bracket that only opens', 'a[', /bracket at position 1/],
    ['an empty bracket', 'a[]', /bracket at position 1/],
    ['an empty bracket at the beginning', '[]', /bracket at position 0/],
    ['an unclosed quotation mark', 'a["b]', /bracket at position 1/],
    ['quotation marks that differ', 'a["b\']', /bracket at position 1/],
    ['text behind a quoted name', 'a["b"c]', /bracket at position 1/],
    ['a dot in an unquoted bracket', 'a[x.y]', /bracket at position 1/],
    ['a bracket in a bracket', 'a[[0]]', /bracket at position 1/],
    ['a bracket that only closes', 'a]', /Unexpected "\]" at position 1 of the path "a\]"/],
    ['a bracket that closes twice', 'a[0]]', /Unexpected "\]" at position 4/],
    ['text behind a bracket', 'a[0]b', /Unexpected text behind "\]" at position 4/],
    ['a tilde of no meaning in a pointer', '/a~2b', /~ is written ~0 and \/ is written ~1.*got "\/a~2b"/],
    ['a tilde at the end of a pointer', '/a~', /~ is written ~0/],
    ['null', null, /text or an array of parts; got null/],
    ['a number', 5, /text or an array of parts; got number/],
    ['an object', { 0: 'a' }, /text or an array of parts; got object/],
    ['a negative index', ['a', -1], /name or an index from 0; got -1/],
    ['half an index', ['a', 1.5], /name or an index from 0; got 1\.5/],
    ['NaN', [Number.NaN], /name or an index from 0; got NaN/],
    ['an index that no number holds exactly', [2 ** 53], /name or an index from 0; got 9007199254740992/],
    ['an undefined part', ['a', undefined], /got a value of type undefined/],
    ['a missing part', Array(2), /got a value of type undefined/],
    ['a null part', [null], /got a value of type object/],
    ['a symbol, also one called -', [Symbol('-')], /got a value of type symbol/],
    ['a BigInt', [1n], /got a value of type bigint/],
    ['a part that is an array', [['a']], /got a value of type object/]
  ]
  for (const [title, path, message] of refused) {
    test(`${title} is refused`, () => {
      assert.throws(() => parsePath(path as Path), failsWith('invalid_path', message))
    })
  }

  test('a long path is cut in the message', () => {
    assert.throws(
      () => parsePath(`${'a'.repeat(1_000_000)}]`),
      (error: Error) =>
        failsWith('invalid_path', /Unexpected "\]" at position 1000000 of the path "a+…"/)(error) && error.message.length < 200
    )
  })

  const forms: [string, (count: number) => Path][] = [
    ['a text', count => Array(count).fill('a').join('.')],
    ['a text of brackets', count => '[0]'.repeat(count)],
    ['a pointer', count => '/a'.repeat(count)],
    ['an array', count => Array<string>(count).fill('a')]
  ]
  for (const [form, make] of forms) {
    test(`${form} may have 500 parts`, () => {
      assert.equal(MAX_PARTS, 500)
      assert.equal(parsePath(make(MAX_PARTS)).length, 500)
    })

    test(`${form} of 501 parts is refused`, () => {
      assert.throws(() => parsePath(make(MAX_PARTS + 1)), failsWith('invalid_path', /500 parts at most/))
    })
  }

  test('a quoted name of 20 MB is read like a short one', () => {
    const name = 'a'.repeat(20_000_000)
    assert.ok(parsePath(`["${name}"]`)[0] === name)
  })

  test('a text of a million dots is refused at once', () => {
    const start = performance.now()
    assert.throws(() => parsePath('.'.repeat(1_000_000)), failsWith('invalid_path', /500 parts at most/))
    assert.ok(performance.now() - start < 1000)
  })
})

describe('Setting at a path', () => {
  const rows: [JsonValue | undefined, Path, JsonValue][] = [
    [{ a: 1, b: { _b: 2 } }, 'b._b', { a: 1, b: { _b: 5 } }],
    [{ a: 1 }, 'b.5', { a: 1, b: [null, null, null, null, null, 5] }],
    [{ a: 1 }, ['b', '5'], { a: 1, b: { '5': 5 } }],
    [{ a: 1 }, ['b', 5], { a: 1, b: [null, null, null, null, null, 5] }],
    [{ b: { x: 1 } }, 'b.5', { b: { x: 1, '5': 5 } }],
    [{ b: { x: 1 } }, ['b', 5], { b: { x: 1, '5': 5 } }],
    [{ b: [1] }, ['b', '0'], { b: [5] }],
    [{ b: null }, 'b.c', { b: { c: 5 } }],
    [undefined, 'users.002485', { users: { '002485': 5 } }],
    // Beyond the table.
    [undefined, '', 5],
    [{ a: 1 }, '', 5],
    [{ a: 1 }, [], 5],
    [null, 'a', { a: 5 }],
    [null, '[1]', [null, 5]],
    [undefined, 'a.b.c', { a: { b: { c: 5 } } }],
    [undefined, 'a[0].b[1]', { a: [{ b: [null, 5] }] }],
    [undefined, 'a["0"]', { a: [5] }],
    [undefined, ['a', '0'], { a: { '0': 5 } }],
    [{ a: [1, 2, 3] }, 'a[1]', { a: [1, 5, 3] }],
    [{ a: [1] }, 'a[3]', { a: [1, null, null, 5] }],
    [{ a: [null] }, 'a[0].x', { a: [{ x: 5 }] }],
    [{ a: [] }, 'a[2].x', { a: [null, null, { x: 5 }] }],
    [{ a: 1 }, 'a', { a: 5 }],
    [{ a: { b: 1 } }, 'a', { a: 5 }],
    [{ 'x.y': 1 }, 'x.y', { 'x.y': 1, x: { y: 5 } }],
    [{ a: {} }, 'a["x.y"]', { a: { 'x.y': 5 } }],
    [undefined, 'a..b', { a: { '': { b: 5 } } }],
    [undefined, 'a.-1', { a: { '-1': 5 } }],
    [[1, 2], '[0]', [5, 2]],
    [[1, 2], '5', [1, 2, null, null, null, 5]],
    // JSON Pointers.
    [{ b: [1] }, '/b/-', { b: [1, 5] }],
    [{ b: [] }, '/b/-', { b: [5] }],
    [undefined, '/b/-', { b: [5] }],
    [undefined, '/b/-/-', { b: [[5]] }],
    [{ b: [1] }, '/b/-/c', { b: [1, { c: 5 }] }],
    [{ b: { x: 1 } }, '/b/-', { b: { x: 1, '-': 5 } }],
    [{ b: [1] }, '/b/0', { b: [5] }],
    [undefined, '/b/2', { b: [null, null, 5] }],
    [undefined, '/users/002485', { users: { '002485': 5 } }],
    [undefined, '/a~1b/m~0n', { 'a/b': { 'm~n': 5 } }]
  ]
  for (const [stored, path, result] of rows) {
    test(`${show(stored)} with 5 at ${show(path)} becomes ${show(result)}`, () => {
      assert.deepEqual(set(stored, 5, path), result)
    })
  }

  const refused: [JsonValue | undefined, Path, RegExp][] = [
    [{ b: 'text' }, 'b.c', /^"b" holds a string, so "b\.c" cannot be set in it; nothing was changed/],
    [{ b: [1] }, 'b.name', /^"b" holds an array, so "name" is no place in it; nothing was changed/],
    [{ b: 'text' }, 'b.0', /"b" holds a string/],
    [{ b: '' }, 'b.c', /"b" holds a string/],
    [{ b: 1 }, 'b.c', /"b" holds a number/],
    [{ b: 0 }, 'b[0]', /"b" holds a number/],
    [{ b: false }, 'b.c', /"b" holds a boolean/],
    ['text', 'c', /^the value holds a string, so "c"/],
    [7, '[0]', /^the value holds a number, so "\[0\]"/],
    [[1], 'name', /^the value holds an array, so "name"/],
    [{ b: { c: { d: 1 } } }, 'b.c.d.e.f', /^"b\.c\.d" holds a number, so "b\.c\.d\.e"/],
    [{ 'x.y': 1 }, '["x.y"].z', /^"\['x\.y'\]" holds a number/],
    [{ b: [1] }, 'b.00', /"b" holds an array, so "00"/],
    [{ b: [1] }, 'b.-1', /"b" holds an array, so "-1"/],
    [{ b: [1] }, 'b.length', /"b" holds an array, so "length"/],
    [{ b: [1] }, ['b', '-'], /"b" holds an array, so "-"/],
    [{ b: [1] }, ['b', ''], /"b" holds an array, so ""/],
    [{ b: [1] }, 'b.name.deeper', /"b" holds an array, so "name"/],
    [{ b: 'text' }, '/b/-', /"b" holds a string/]
  ]
  for (const [stored, path, message] of refused) {
    test(`${show(stored)} refuses a value at ${show(path)}, and stays as it is`, () => {
      const root = structuredClone(stored)
      assert.throws(() => setAt(root, parsePath(path), 5), failsWith('invalid_path', message))
      assert.deepEqual(root, stored)
    })
  }

  test('the value itself is put in, not a copy', () => {
    const value = { x: 1 }
    assert.equal((setAt({}, parsePath('a'), value) as { a: unknown }).a, value)
  })

  test('the root is changed in place where it exists', () => {
    const root = { a: { b: 1 } }
    assert.equal(setAt(root, parsePath('a.c'), 5), root)
    assert.deepEqual(root, { a: { b: 1, c: 5 } })
  })

  test('500 parts can be set, read and removed', () => {
    const path = Array<string>(MAX_PARTS).fill('a')
    const root = set(undefined, 5, path)
    assert.equal(get(root, path), 5)
    assert.equal(deleteAt(root, parsePath(path)), true)
    assert.equal(get(root, path), undefined)
  })

  test('500 indexes of 0 nest arrays', () => {
    assert.equal(get(set(undefined, 5, '[0]'.repeat(MAX_PARTS)), '[0]'.repeat(MAX_PARTS)), 5)
  })
})

describe('How far an index may be', () => {
  test('a new array takes index 10 000 and is filled with null', () => {
    const { b } = set({}, 5, 'b.10000') as { b: JsonValue[] }
    assert.equal(MAX_GAP, 10_000)
    assert.equal(b.length, 10_001)
    assert.ok(b.slice(0, -1).every(element => element === null))
    assert.equal(b.at(-1), 5)
  })

  test('an array takes an index 10 000 behind its end', () => {
    const { b } = set({ b: [1] }, 5, 'b.10001') as { b: JsonValue[] }
    assert.equal(b.length, 10_002)
    assert.equal(b.at(-1), 5)
  })

  test('a long array takes any index that it has', () => {
    const long = Array<JsonValue>(30_000).fill(0)
    assert.equal((set(long, 5, '[29999]') as JsonValue[])[29_999], 5)
  })

  test('an object takes any index as a name', () => {
    assert.deepEqual(set({ b: {} }, 5, 'b.4294967295'), { b: { '4294967295': 5 } })
  })

  test('several indexes may fill 100 000 places', () => {
    const path = Array<number>(10).fill(10_000)
    assert.equal(get(set(undefined, 5, path), path), 5)
  })

  const beyond: [string, JsonValue | undefined, Path, RegExp][] = [
    ['index 10 001 of a new array', {}, 'b.10001', /^Index 10001 of "b" is more than 10000 behind the array's end; nothing was changed/],
    ['index 10 001 of a new value', undefined, '[10001]', /^Index 10001 of the value is more than 10000/],
    ['an index 10 001 behind the end', { b: [1] }, 'b[10002]', /^Index 10002 of "b"/],
    ['a far index in a text', { b: [1] }, 'b.4294967295', /^Index 4294967295 of "b"/],
    ['a far index in a literal name', { b: [1] }, ['b', '100000000'], /^Index 100000000 of "b"/],
    ['a far index in a number', { b: [1] }, ['b', 100_000_000], /^Index 100000000 of "b"/],
    ['a far index in a pointer', { b: [1] }, '/b/100000000', /^Index 100000000 of "b"/],
    ['a far index deep in what is new', { a: 1 }, 'b.c[0].d[99999]', /^Index 99999 of "b\.c\[0\]\.d"/],
    ['a far index behind an existing gap', { b: [] }, 'b[9999][10001]', /^Index 10001 of "b\[9999\]"/],
    ['indexes that fill more than 100 000 places', { a: 1 }, ['b', ...Array<number>(11).fill(10_000)], /would fill more than 100000 places/]
  ]
  for (const [title, stored, path, message] of beyond) {
    test(`${title}: refused, and nothing is changed`, () => {
      const root = structuredClone(stored)
      assert.throws(() => setAt(root, parsePath(path), 5), failsWith('invalid_path', message))
      assert.deepEqual(root, stored)
    })
  }
})

describe('Getting at a path', () => {
  const document = { a: 1, n: null, e: '', f: false, list: [10, { x: 'y' }, null], 'x.y': 2, t: 'text', '': { '': 3 } }
  const rows: [Path, boolean, JsonValue | undefined][] = [
    ['a', true, 1],
    ['n', true, null],
    ['e', true, ''],
    ['f', true, false],
    ['list[0]', true, 10],
    ['list.1.x', true, 'y'],
    ['list[2]', true, null],
    [['list', '0'], true, 10],
    [['list', 0], true, 10],
    ['["x.y"]', true, 2],
    ['.', true, 3],
    ['/list/1/x', true, 'y'],
    ['/', true, { '': 3 }],
    ['b', false, undefined],
    ['a.b', false, undefined],
    ['n.b', false, undefined],
    ['list[3]', false, undefined],
    ['list.00', false, undefined],
    ['list[-1]', false, undefined],
    ['list.name', false, undefined],
    ['x.y', false, undefined],
    ['/list/-', false, undefined],
    ['list.push', false, undefined],
    ['t.trim', false, undefined],
    ['a.toFixed', false, undefined]
  ]
  for (const [path, isFound, value] of rows) {
    test(`${show(path)} ${isFound ? `leads to ${show(value)}` : 'leads nowhere'}`, () => {
      assert.deepEqual(getAt(document, parsePath(path)), { isFound, value })
    })
  }

  test('no part leads to the whole value', () => {
    assert.deepEqual(getAt(document, []), { isFound: true, value: document })
  })

  test('nothing is found in nothing', () => {
    assert.deepEqual(getAt(undefined, []), { isFound: false, value: undefined })
    assert.deepEqual(getAt(undefined, parsePath('a')), { isFound: false, value: undefined })
  })
})

describe('Deleting at a path', () => {
  const rows: [JsonValue, Path, JsonValue, boolean][] = [
    [{ a: 1, b: 2 }, 'a', { b: 2 }, true],
    [{ a: { b: null } }, 'a.b', { a: {} }, true],
    [{ a: [1, 2, 3] }, 'a[1]', { a: [1, 3] }, true],
    [{ a: [1, 2, 3] }, ['a', '0'], { a: [2, 3] }, true],
    [{ a: [1, 2, 3] }, '/a/2', { a: [1, 2] }, true],
    [[1, 2], '[0]', [2], true],
    [{ '': 1 }, '/', {}, true],
    [{ a: 1 }, 'b', { a: 1 }, false],
    [{ a: 1 }, 'a.b', { a: 1 }, false],
    [{ a: 1 }, 'b.c.d', { a: 1 }, false],
    [{ a: 'text' }, 'a[0]', { a: 'text' }, false],
    [{ a: 'text' }, 'a.length', { a: 'text' }, false],
    [{ a: null }, 'a.b', { a: null }, false],
    [{ a: [1] }, 'a[1]', { a: [1] }, false],
    [{ a: [1] }, 'a.00', { a: [1] }, false],
    [{ a: [1] }, 'a.length', { a: [1] }, false],
    [{ a: [1] }, '/a/-', { a: [1] }, false],
    [null, 'a', null, false],
    ['text', '[0]', 'text', false]
  ]
  for (const [stored, path, left, isRemoved] of rows) {
    test(`${show(stored)} without ${show(path)} ${isRemoved ? `becomes ${show(left)}` : 'stays as it is'}`, () => {
      assert.deepEqual(remove(stored, path), [left, isRemoved])
    })
  }
})

describe('Names that JavaScript knows', () => {
  for (const name of ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf']) {
    test(`${name} leads nowhere in an object, an array or a text`, () => {
      for (const holder of [{}, [], 'text', 1, true]) {
        assert.deepEqual(getAt(holder, [name]), { isFound: false, value: undefined })
        assert.deepEqual(getAt({ a: holder }, ['a', name, 'name']), { isFound: false, value: undefined })
      }
    })

    test(`${name} is a plain name: set, read and deleted, and JSON has it`, () => {
      const root = set({ a: 1 }, { polluted: true }, [name]) as { a: 1 }
      assert.deepEqual(Object.keys(root), ['a', name])
      assert.equal(Object.getPrototypeOf(root), Object.prototype)
      assert.equal(JSON.stringify(root), `{"a":1,"${name}":{"polluted":true}}`)
      assert.equal(get(root, [name, 'polluted']), true)
      assert.equal(deleteAt(root, [name]), true)
      assert.deepEqual(Object.keys(root), ['a'])
    })

    test(`${name} on the way to a place makes an object of its own`, () => {
      const root = set(undefined, 5, `${name}.polluted`)
      assert.equal(JSON.stringify(root), `{"${name}":{"polluted":5}}`)
      assert.equal(JSON.stringify(set(root, 6, `${name}.more`)), `{"${name}":{"polluted":5,"more":6}}`)
      assert.equal(({} as { polluted?: unknown }).polluted, undefined)
    })

    test(`${name} is no place in an array`, () => {
      assert.throws(() => set([1], 5, [name]), failsWith('invalid_path', /holds an array/))
    })

    test(`${name} cannot be deleted where it is not`, () => {
      assert.deepEqual(remove({ a: {} }, ['a', name]), [{ a: {} }, false])
      assert.deepEqual(remove({ a: {} }, ['a', name, 'toString']), [{ a: {} }, false])
    })
  }
})

// Against lodash ------------------------------------------------------------------------------------------------

/** The form that a text has: names with dots between, and brackets behind names. */
const GRAMMAR = (() => {
  const bracket = String.raw`\[(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^.[\]"']+)\]`
  const segment = String.raw`[^.[\]]*(?:${bracket})*`
  return new RegExp(`^${segment}(?:\\.${segment})*$`, 's')
})()

interface Case {
  readonly document: JsonValue
  readonly path: string
  /** What lodash makes of the path, when it does not look for it as one key. */
  readonly names: readonly string[]
}

/** Goes the path through own properties; the last is where it ends, or where it cannot go on. */
function walk({ document, names }: Case): { holder: unknown; name: string; isLast: boolean }[] {
  const steps: { holder: unknown; name: string; isLast: boolean }[] = []
  let holder: unknown = document
  for (const [i, name] of names.entries()) {
    if (holder === null || holder === undefined) break
    steps.push({ holder, name, isLast: i === names.length - 1 })
    holder = Object.hasOwn(Object(holder), name) ? (holder as Record<string, unknown>)[name] : undefined
  }
  return steps
}

function isIndex(name: string): boolean {
  return /^(0|[1-9]\d*)$/.test(name)
}

/** The names behind the place where nothing exists. */
function missing(given: Case): readonly string[] {
  return given.names.slice(walk(given).length)
}

interface Difference {
  readonly reason: string
  readonly shows: (given: Case) => boolean
  /** Where it shows: in how the path is read, or only when it is used. */
  readonly in: readonly ('parse' | 'get' | 'set')[]
  /** Whether it is an error here. */
  readonly isRefused: boolean
}

/** Each deliberate difference from lodash, and why it is there. */
const differences: Difference[] = [
  {
    reason: 'A text that begins with / is a JSON Pointer.',
    shows: ({ path }) => path.startsWith('/'),
    in: ['parse'],
    isRefused: false
  },
  {
    reason: 'Unclosed and empty brackets, text behind a bracket, and dots in an unquoted bracket are slips; lodash guesses.',
    shows: ({ path }) => !path.startsWith('/') && !GRAMMAR.test(path),
    in: ['parse'],
    isRefused: true
  },
  {
    reason: 'The empty path is the whole value; for lodash it is a property whose name is empty.',
    shows: ({ path }) => path === '',
    in: ['parse'],
    isRefused: false
  },
  {
    reason: 'A path is always a path; lodash first looks for a property that has the whole path as its name.',
    shows: ({ document, path }) => /[.[\]]/.test(path) && document !== null && Object.hasOwn(Object(document), path),
    in: ['parse'],
    isRefused: false
  },
  {
    reason: 'Only own properties are used; lodash reads inherited ones, and writes into them.',
    shows: given =>
      walk(given).some(({ holder, name }) => !Object.hasOwn(Object(holder), name) && name in Object(holder)) ||
      missing(given).some(name => name in {}),
    in: ['get', 'set'],
    isRefused: false
  },
  {
    reason: 'Only objects and arrays hold anything; lodash reads the characters of a string, and lengths.',
    shows: given =>
      walk(given).some(
        ({ holder, name }) => (typeof holder === 'string' || Array.isArray(holder)) && (name === 'length' || typeof holder === 'string')
      ),
    in: ['get'],
    isRefused: false
  },
  {
    reason: 'A string, number or boolean on the way is an error; lodash replaces it and loses it.',
    shows: given => walk(given).some(({ holder }) => typeof holder !== 'object'),
    in: ['set'],
    isRefused: true
  },
  {
    reason: 'An array has no names; lodash gives it a property that JSON then drops.',
    shows: given => walk(given).some(({ holder, name }) => Array.isArray(holder) && !isIndex(name)),
    in: ['set'],
    isRefused: true
  },
  {
    reason: 'An index is at most 10 000 behind the end; lodash makes an array of any length.',
    shows: given =>
      walk(given).some(({ holder, name }) => Array.isArray(holder) && isIndex(name) && Number(name) - holder.length > MAX_GAP) ||
      missing(given).some(name => isIndex(name) && Number(name) > MAX_GAP),
    in: ['set'],
    isRefused: true
  },
  {
    reason: 'Nothing or null as the whole value is replaced by what the path needs; lodash returns it as it is.',
    shows: ({ document }) => document === null,
    in: ['set'],
    isRefused: false
  },
  {
    reason: '__proto__, constructor and prototype are plain names; lodash ends in silence when it meets one.',
    shows: ({ names }) => names.some(name => ['__proto__', 'constructor', 'prototype'].includes(name)),
    in: ['set'],
    isRefused: false
  }
  // What an index skips is filled with null; lodash leaves holes, of which JSON makes null. Both are compared as JSON.
]

const NAMES = ['a', 'b', '0', '1', '2', 'x.y', '', '007', '-', 'length', '__proto__', 'constructor', 'toString', 'a.b', '"']
const SCALARS: readonly JsonValue[] = [null, true, false, 0, 1.5, '', 'text']
const TOKENS = [
  ...['a', 'b', 'a.b', '.', '.', '.', '[0]', '[1]', '.0', '.1', '.2', '["x.y"]', "['a']", '[b]', 'x.y', '["a\\"b"]', '[-1]', '-'],
  ...['a.a', 'b.a', 'a[0]', 'a.b[1]', '007', 'length', '__proto__', 'constructor', 'prototype', 'toString', '12000', '99', '/', '~1'],
  ...['[', ']', '"', '\\', '[]', 'é', '[x.y]', ' ', '["', '"]']
]

/** Makes a document of random bytes; faster than combining arbitraries by an order of magnitude. */
function documentOf(bytes: Uint8Array): JsonValue {
  let at = 0
  const next = (below: number) => (bytes[at++] ?? 0) % below
  const make = (depth: number): JsonValue => {
    const kind = depth > 3 ? 0 : next(5)
    if (kind === 0) return SCALARS[next(SCALARS.length)] as JsonValue
    const values = Array.from({ length: next(4) }, () => make(depth + 1))
    if (kind === 1) return values
    // fromEntries makes __proto__ a property of the object's own.
    return Object.fromEntries(values.map(value => [NAMES[next(NAMES.length)] as string, value]))
  }
  return make(0)
}

/** A path of up to five pieces. */
function pathOf(bytes: Uint8Array): string {
  return Array.from(bytes, byte => TOKENS[byte % TOKENS.length]).join('')
}

describe('Paths beside those of lodash', () => {
  test('100 000 random documents and paths are read and set as by lodash, but for the listed differences', () => {
    const seen = new Map(differences.map(({ reason }) => [reason, 0]))
    const compared = { get: 0, set: 0, refused: 0 }
    const shown = (given: Case, call: Difference['in'][number]) => {
      const found = differences.filter(difference => difference.in.includes(call) && difference.shows(given))
      for (const { reason } of found) seen.set(reason, (seen.get(reason) ?? 0) + 1)
      return found
    }

    const check = (documentBytes: Uint8Array, pathBytes: Uint8Array) => {
      const document = documentOf(documentBytes)
      const path = pathOf(pathBytes)
      const given: Case = { document, path, names: lodash.toPath(path) }

      const inParse = shown(given, 'parse')
      if (inParse.some(({ isRefused }) => isRefused)) {
        assert.throws(() => parsePath(path), failsWith('invalid_path'))
        return
      }
      if (inParse.length > 0) return
      if (shown(given, 'get').length === 0) {
        assert.deepEqual(get(document, path), lodash.get(document, path))
        compared.get++
      }
      const inSet = shown(given, 'set')
      if (inSet.some(({ isRefused }) => isRefused)) {
        const root = structuredClone(document)
        assert.throws(() => setAt(root, parsePath(path), 5), failsWith('invalid_path'))
        assert.deepEqual(root, document)
        compared.refused++
      } else if (inSet.length === 0) {
        const theirs = lodash.set(structuredClone(document) as object, path, 5)
        assert.equal(JSON.stringify(set(document, 5, path)), JSON.stringify(theirs))
        compared.set++
      }
    }

    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 2, maxLength: 40, size: 'max' }),
        fc.uint8Array({ minLength: 0, maxLength: 5, size: 'max' }),
        check
      ),
      {
        seed: 20181105,
        numRuns: 100_000
      }
    )
    for (const [reason, count] of seen) assert.ok(count >= 10, `${reason} was met ${count} times.`)
    for (const count of Object.values(compared)) assert.ok(count > 5000, JSON.stringify(compared))
  })
})
