import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createDatabase, type Database, type JsonValue, type KeyValueStore, type Path } from '../src/index.ts'
import { deleteAt, getAt, parsePath, setAt } from '../src/kvs/path.ts'
import { onEachDatabase, type TestDatabase } from './support/databases.ts'

/** How many programs run on each database, of each of the three kinds. */
const RUNS = Number(process.env.DUOLECT_TEST_RUNS ?? 700)

/** How many of them run at the same time, so that steps of many keys overlap. */
const AT_A_TIME = 50

/** A call, on keys that are numbers from 0: each program has keys of its own. */
type Call =
  | { readonly name: 'get' | 'has' | 'delete'; readonly key: number; readonly path: Path | undefined }
  | { readonly name: 'set'; readonly key: number; readonly value: JsonValue; readonly path: Path | undefined }
  | { readonly name: 'update'; readonly key: number; readonly change: keyof typeof changes }
  | { readonly name: 'clear'; readonly key: number }
  | { readonly name: 'getMany' | 'deleteMany'; readonly keys: readonly number[] }
  | { readonly name: 'setMany'; readonly entries: readonly (readonly [number, JsonValue])[] }
  | { readonly name: 'list'; readonly limit: number }

/** What a call came to: its result, or its error. */
type Answer = { readonly result: unknown } | { readonly error: string }

/** What update does to the old value. */
const changes = {
  wrap: (old: JsonValue): JsonValue => ({ a: old }),
  count: (old: JsonValue): JsonValue => (typeof old === 'number' ? old + 1 : 0),
  keep: (old: JsonValue): JsonValue => old,
  extend: (old: JsonValue): JsonValue => (Array.isArray(old) ? [...old, 1] : [old]),
  fail: (): JsonValue => {
    throw new Error('The change failed.')
  }
}

const path: fc.Arbitrary<Path> = fc.oneof(
  fc.constantFrom('a', 'b', 'a.b', 'a[0]', 'a.1', 'b["x.y"]', '[0]', '[2].a', '', 'a..b', '__proto__', 'a.constructor', 'a[', 'a[0]b'),
  fc.constantFrom('/a', '/a/b', '/a/-', '/-', '/a/0', '/x~1y', '/a/~2'),
  fc.array(fc.constantFrom('a', 'b', '0', 'x.y', 0, 1), { maxLength: 3 }),
  fc.constantFrom<Path>('a.20000', ['a', -1])
)

const value: fc.Arbitrary<JsonValue> = fc.letrec<{ value: JsonValue }>(tie => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom(null, true, 0, 1.5, '', 'text', 'é\u{1f600}\0'),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', '0', 'x.y', '__proto__', ''), tie('value'), { maxKeys: 3, noNullPrototype: true })
  )
})).value

const key = fc.constantFrom(0, 0, 0, 1, 2, 3)
const maybePath = fc.option(path, { nil: undefined, freq: 1 })

const call: fc.Arbitrary<Call> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ name: fc.constant('set' as const), key, value, path: maybePath }) },
  { weight: 4, arbitrary: fc.record({ name: fc.constantFrom('get' as const, 'has' as const, 'delete' as const), key, path: maybePath }) },
  {
    weight: 2,
    arbitrary: fc.record({
      name: fc.constant('update' as const),
      key,
      change: fc.constantFrom('wrap' as const, 'count' as const, 'keep' as const, 'extend' as const, 'fail' as const)
    })
  },
  { weight: 1, arbitrary: fc.record({ name: fc.constant('clear' as const), key }) },
  {
    weight: 2,
    arbitrary: fc.record({ name: fc.constantFrom('getMany' as const, 'deleteMany' as const), keys: fc.array(key, { maxLength: 4 }) })
  },
  { weight: 1, arbitrary: fc.record({ name: fc.constant('setMany' as const), entries: fc.array(fc.tuple(key, value), { maxLength: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ name: fc.constant('list' as const), limit: fc.nat({ max: 5 }) }) }
)

const LIST: Call = { name: 'list', limit: 10 }

/** What is called without awaiting it, and what is awaited then. */
interface Turn {
  readonly calls: readonly Call[]
  readonly pause: 'none' | 'microtask' | 'turn' | 'settled'
}

/** A listing reads page by page and so sees later calls, too: it is made when all is settled. */
const turns: fc.Arbitrary<Turn[]> = fc.array(
  fc.record({
    calls: fc.array(
      call.filter(({ name }) => name !== 'list'),
      { minLength: 1, maxLength: 8 }
    ),
    pause: fc.constantFrom('none' as const, 'microtask' as const, 'turn' as const, 'settled' as const)
  }),
  { minLength: 1, maxLength: 6, size: 'max' }
)

// The model -----------------------------------------------------------------------------------------------------

/** The store as a Map. */
class Model {
  readonly #values = new Map<string, JsonValue>()
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  answer(call: Call): Answer {
    try {
      return { result: structuredClone(this.#perform(call)) }
    } catch (error) {
      return { error: (error as { code?: string }).code ?? (error as Error).message }
    }
  }

  #perform(call: Call): unknown {
    switch (call.name) {
      case 'getMany': {
        const found = call.keys.map(key => nameOf(this.#prefix, key)).filter(key => this.#values.has(key))
        return new Map(found.map(key => [key, this.#values.get(key)]))
      }
      case 'deleteMany':
        return call.keys.filter(key => this.#values.delete(nameOf(this.#prefix, key))).length
      case 'clear': {
        const cleared = [...this.#values.keys()].filter(key => key.startsWith(nameOf(this.#prefix, call.key)))
        for (const key of cleared) this.#values.delete(key)
        return cleared.length
      }
      case 'setMany':
        for (const [key, value] of call.entries) this.#values.set(nameOf(this.#prefix, key), structuredClone(value))
        return undefined
      case 'list':
        return [...this.#values]
          .sort(([one], [other]) => (one < other ? -1 : 1))
          .slice(0, call.limit)
          .map(([key, value]) => ({ key, value }))
      default:
        return this.#performOnKey(call, nameOf(this.#prefix, call.key))
    }
  }

  #performOnKey(call: Exclude<Call, { name: 'getMany' | 'deleteMany' | 'setMany' | 'clear' | 'list' }>, key: string): unknown {
    const old = structuredClone(this.#values.get(key))
    if (call.name === 'update') {
      const changed = changes[call.change](old ?? null)
      this.#values.set(key, changed)
      return changed
    }
    const parts = parsePath(call.path)
    switch (call.name) {
      case 'get':
        return old === undefined ? null : getAt(old, parts).value
      case 'has':
        return getAt(old, parts).isFound
      case 'set':
        this.#values.set(key, setAt(old, parts, structuredClone(call.value)))
        return undefined
      case 'delete': {
        if (old === undefined) return false
        if (parts.length === 0) return this.#values.delete(key)
        const isDeleted = deleteAt(old, parts)
        this.#values.set(key, old)
        return isDeleted
      }
    }
  }
}

/** The name of key 0 is what those of all others begin with, so that one clear() may cover what another does. */
function nameOf(prefix: string, key: number): string {
  return `${prefix}${['', 'b', 'é', '\u{1f600}'][key]}`
}

// The store -----------------------------------------------------------------------------------------------------

async function answer(kvs: KeyValueStore, prefix: string, call: Call): Promise<Answer> {
  try {
    return { result: await perform(kvs, prefix, call) }
  } catch (error) {
    return { error: (error as { code?: string }).code ?? (error as Error).message }
  }
}

function perform(kvs: KeyValueStore, prefix: string, call: Call): Promise<unknown> {
  switch (call.name) {
    case 'get':
      return kvs.get(nameOf(prefix, call.key), call.path)
    case 'has':
      return kvs.has(nameOf(prefix, call.key), call.path)
    case 'delete':
      return kvs.delete(nameOf(prefix, call.key), call.path)
    case 'set':
      return kvs.set(nameOf(prefix, call.key), call.value, call.path)
    case 'update':
      return kvs.update<JsonValue>(nameOf(prefix, call.key), changes[call.change] as (old: JsonValue) => JsonValue)
    case 'getMany':
      return kvs.getMany(call.keys.map(key => nameOf(prefix, key)))
    case 'deleteMany':
      return kvs.deleteMany(call.keys.map(key => nameOf(prefix, key)))
    case 'clear':
      return kvs.clear({ prefix: nameOf(prefix, call.key) })
    case 'setMany':
      return kvs.setMany(call.entries.map(([key, value]) => [nameOf(prefix, key), value] as const))
    case 'list':
      return list(kvs, prefix, call.limit)
  }
}

async function list(kvs: KeyValueStore, prefix: string, limit: number): Promise<unknown[]> {
  const entries: unknown[] = []
  for await (const { key, value } of kvs.list({ prefix, limit })) entries.push({ key, value })
  return entries
}

/** Syncs are left out: they say nothing about the order, and take most of the time. */
async function open(database: TestDatabase): Promise<Database> {
  const config = await database.config()
  return database.closeAfterTest(createDatabase({ ...config, sqlite: { ...config.sqlite, durability: 'normal' } }))
}

let programs = 0

/** Makes the calls turn by turn, without awaiting them. */
async function assertAgrees(kvs: KeyValueStore, program: readonly Turn[]): Promise<void> {
  const prefix = `program ${programs++} `
  const model = new Model(prefix)
  const expected: Answer[] = []
  const answers: Promise<Answer>[] = []
  for (const { calls, pause } of program) {
    for (const call of calls) {
      answers.push(answer(kvs, prefix, call))
      expected.push(model.answer(call))
    }
    if (pause === 'settled') await Promise.all(answers)
    else if (pause === 'turn') await new Promise(resolve => setImmediate(resolve))
    else if (pause === 'microtask') await undefined
  }
  assert.deepEqual(await Promise.all(answers), expected)
  assert.deepEqual(await answer(kvs, prefix, LIST), model.answer(LIST))
}

onEachDatabase('Random programs', database => {
  test(`${RUNS} whose calls are awaited one by one agree with the model`, async () => {
    const { kvs } = await open(database)
    const check = async (program: readonly Call[]) => {
      const prefix = `program ${programs++} `
      const model = new Model(prefix)
      for (const call of program) assert.deepEqual(await answer(kvs, prefix, call), model.answer(call), call.name)
      assert.deepEqual(await answer(kvs, prefix, LIST), model.answer(LIST))
    }
    const programOf = fc.array(call, { minLength: 1, maxLength: 16, size: 'max' })
    await fc.assert(fc.asyncProperty(programOf, check), { seed: 5, numRuns: RUNS })
  })

  test(`${RUNS} whose calls are made turn by turn, not awaited, agree with the model in the order of the calls`, async () => {
    const { kvs } = await open(database)
    await fc.assert(
      fc.asyncProperty(turns, program => assertAgrees(kvs, program)),
      { seed: 6, numRuns: RUNS }
    )
  })

  test(`${RUNS} of these agree with the model when ${AT_A_TIME} at a time have many keys on their way`, async () => {
    const { kvs } = await open(database)
    const programs = fc.array(turns, { minLength: AT_A_TIME, maxLength: AT_A_TIME, size: 'max' })
    const check = async (together: readonly (readonly Turn[])[]) => {
      await Promise.all(together.map(program => assertAgrees(kvs, program)))
    }
    await fc.assert(fc.asyncProperty(programs, check), { seed: 8, numRuns: Math.ceil(RUNS / AT_A_TIME) })
  })

  test(`${RUNS} inside of transactions, half of them rolled back, agree with the model`, async () => {
    const db = await open(database)
    const check = async (before: readonly Call[], inside: readonly Call[], isKept: boolean) => {
      const prefix = `program ${programs++} `
      const model = new Model(prefix)
      const rolledBack = new Model(prefix)
      for (const call of before) {
        assert.deepEqual(await answer(db.kvs, prefix, call), model.answer(call), call.name)
        rolledBack.answer(call)
      }
      const undo = new Error('undo')
      const transaction = db.transaction(async tx => {
        const answers = inside.map(call => answer(tx.kvs, prefix, call))
        assert.deepEqual(
          await Promise.all(answers),
          inside.map(call => model.answer(call))
        )
        if (!isKept) throw undo
      })
      if (isKept) await transaction
      else await assert.rejects(transaction, error => error === undo)
      assert.deepEqual(await answer(db.kvs, prefix, LIST), (isKept ? model : rolledBack).answer(LIST))
    }
    const few = (maxLength: number) =>
      fc.array(
        call.filter(({ name }) => name !== 'list'),
        { minLength: 1, maxLength }
      )
    await fc.assert(fc.asyncProperty(few(4), few(8), fc.boolean(), check), { seed: 7, numRuns: RUNS })
  })
})
