/** The workloads: what is timed, and the answers that are checked first. */
import assert from 'node:assert/strict'
import type { Contestant, Dialect, Target } from './contestant.ts'
import * as data from './data.ts'

export interface Workload {
  readonly id: string
  readonly title: string
  readonly dialect: Dialect
  /** How many callers work at the same time, each waiting for its answer before the next call. */
  readonly width: number
  /** What one call counts for. @default 1 */
  readonly scale?: number
  readonly unit: string
  /** Whether the contestant can do it. */
  can(contestant: Contestant): boolean
  /** Fails when the contestant's answers are wrong. */
  check(contestant: Contestant, target: Target): Promise<void>
  /** Done before each round, untimed. */
  before?(target: Target): Promise<void>
  /** The call number i. */
  call(contestant: Contestant, i: number): unknown
  /** Fails when the call number i, the last one of its key, did not do what it says. */
  verify?(contestant: Contestant, i: number): Promise<void>
}

type Shape = Omit<Workload, 'id' | 'title' | 'dialect' | 'width' | 'unit'> & { readonly unit?: string }

const getValue: Shape = {
  can: () => true,
  async check(contestant) {
    for (const i of [0, 1, 4711, data.KEYS - 1]) assert.deepEqual(await contestant.getValue(data.key(i)), data.document(i))
    const values = await Promise.all(Array.from({ length: 64 }, (_, i) => contestant.getValue(data.scattered(i))))
    values.forEach((value, i) => void assert.deepEqual(value, data.document((i * 7919) % data.KEYS)))
  },
  call: (contestant, i) => contestant.getValue(data.scattered(i))
}

const setValue: Shape = {
  can: () => true,
  async check(contestant) {
    await Promise.all(Array.from({ length: 64 }, (_, i) => contestant.setValue(data.key(i), data.document(i + 1))))
    for (let i = 0; i < 64; i++) assert.deepEqual(await contestant.getValue(data.key(i)), data.document(i + 1))
  },
  call: (contestant, i) => contestant.setValue(data.scattered(i), data.document(i)),
  async verify(contestant, i) {
    assert.deepEqual(await contestant.getValue(data.scattered(i)), data.document(i))
  }
}

const setPath: Shape = {
  can: contestant => contestant.setPath !== undefined,
  async check(contestant) {
    const key = data.key(5)
    await contestant.setValue(key, data.document(5))
    // Of changes of one document at the same time, none is lost.
    await Promise.all(Array.from({ length: 64 }, (_, i) => contestant.setPath?.(key, `n${i}`, i)))
    const expected = data.document(5)
    for (let i = 0; i < 64; i++) expected.profile[`n${i}`] = i
    assert.deepEqual(await contestant.getValue(key), expected)
    await contestant.setValue(key, data.document(5))
  },
  call: (contestant, i) => contestant.setPath?.(data.scattered(i), 'role', i),
  async verify(contestant, i) {
    const value = (await contestant.getValue(data.scattered(i))) as data.Document
    assert.equal(value.profile.role, i)
    assert.equal(value.first_name, 'Sylvain')
  }
}

const getPath: Shape = {
  can: () => true,
  async check(contestant) {
    for (const i of [0, 1, data.BIG_ITEMS - 1]) assert.equal(await contestant.getPath(data.BIG_KEY, i), `item ${i}`)
  },
  call: (contestant, i) => contestant.getPath(data.BIG_KEY, (i * 31) % data.BIG_ITEMS)
}

const userById: Shape = {
  can: contestant => contestant.userById !== undefined,
  async check(contestant) {
    for (const i of [0, 1, data.USERS - 1])
      assert.deepEqual({ ...((await contestant.userById?.(`messenger:${i}`)) as object) }, data.user(i))
  },
  call: (contestant, i) => contestant.userById?.(`messenger:${(i * 79) % data.USERS}`)
}

const usersByFirstName: Shape = {
  can: contestant => contestant.usersByFirstName !== undefined,
  async check(contestant) {
    const found = (await contestant.usersByFirstName?.('Name 7')) as data.User[]
    const expected = Array.from({ length: data.USERS }, (_, i) => data.user(i)).filter(user => user.first_name === 'Name 7')
    assert.deepEqual(sorted(found), sorted(expected))
  },
  call: (contestant, i) => contestant.usersByFirstName?.(data.firstName(i))
}

const plainRows: Shape = {
  can: contestant => contestant.plainRows !== undefined,
  async check(contestant) {
    const rows = (await contestant.plainRows?.()) as data.Item[]
    assert.deepEqual(sorted(rows), sorted(Array.from({ length: data.ROWS }, (_, i) => data.item(i))))
  },
  call: contestant => contestant.plainRows?.(),
  unit: 'queries/s'
}

const typedRows: Shape = {
  can: contestant => contestant.typedRows !== undefined,
  async check(contestant) {
    const rows = (await contestant.typedRows?.()) as data.Event[]
    assert.deepEqual(sorted(rows), sorted(Array.from({ length: data.ROWS }, (_, i) => data.event(i))))
  },
  call: contestant => contestant.typedRows?.(),
  unit: 'queries/s'
}

const marks = Array.from({ length: data.MARKS }, (_, i) => data.mark(i))

/** Many rows in one transaction. */
function insertMarks(way: 'insertMarks' | 'batchMarks'): Shape {
  return {
    can: contestant => contestant[way] !== undefined,
    async check(contestant, target) {
      await data.runScript(target, 'DELETE FROM marks')
      await contestant[way]?.(marks.slice(0, 10))
      assert.deepEqual(sorted(await data.rowsOf<data.Mark>(target, 'SELECT id, name, amount FROM marks ORDER BY id')), marks.slice(0, 10))
    },
    before: target => data.runScript(target, 'DELETE FROM marks'),
    call: contestant => contestant[way]?.(marks),
    scale: data.MARKS,
    unit: 'rows/s'
  }
}

/** Two rows in a transaction of their own. */
function putPair(way: 'batch' | 'transaction'): Shape {
  const pairOf = (i: number) => [data.mark(2 * i), data.mark(2 * i + 1)] as const
  return {
    can: contestant => contestant.putPair !== undefined,
    async check(contestant, target) {
      await data.runScript(target, 'DELETE FROM marks')
      await Promise.all(Array.from({ length: 64 }, (_, i) => contestant.putPair?.(pairOf(i), way)))
      assert.deepEqual(
        sorted(await data.rowsOf<data.Mark>(target, 'SELECT id, name, amount FROM marks ORDER BY id')),
        Array.from({ length: 128 }, (_, id) => data.mark(id))
      )
    },
    call: (contestant, i) => contestant.putPair?.(pairOf(i), way)
  }
}

/** Objects of one kind (a driver may give rows another prototype), in one order. */
function sorted<T extends { id: number | string }>(rows: readonly T[]): T[] {
  return rows.map(row => ({ ...row })).sort((one, other) => (one.id < other.id ? -1 : 1))
}

function workload(dialect: Dialect, name: string, title: string, width: number, shape: Shape): Workload {
  return { unit: 'calls/s', ...shape, id: `${dialect} ${name} ${width}`, title, dialect, width }
}

/** How many callers the key-value store is asked by. */
const WIDTHS = [1, 4, 16, 64, 256] as const

export const WORKLOADS: readonly Workload[] = (['sqlite', 'postgres'] as const).flatMap(dialect => [
  ...WIDTHS.map(width => workload(dialect, 'get', 'kvs.get', width, getValue)),
  ...WIDTHS.map(width => workload(dialect, 'set', 'kvs.set', width, setValue)),
  workload(dialect, 'path-set', 'kvs.set of a path', 1, setPath),
  workload(dialect, 'path-set', 'kvs.set of a path', 64, setPath),
  workload(dialect, 'path-get', 'kvs.get of a path, 100 KB', 1, getPath),
  workload(dialect, 'one', 'one() by primary key', 1, userById),
  ...(dialect === 'postgres' ? [workload(dialect, 'one', 'one() by primary key', 64, userById)] : []),
  workload(dialect, 'users', 'users by first name, 10 rows', 1, usersByFirstName),
  workload(dialect, 'rows', '1000 rows × 8 columns', 1, plainRows),
  workload(dialect, 'typed-rows', '1000 rows × 8 columns to decode', 1, typedRows),
  workload(dialect, 'batch', 'batch() of two statements', 64, putPair('batch')),
  workload(dialect, 'transaction', 'the same as a transaction', 64, putPair('transaction')),
  workload(dialect, 'insert', '10 000 rows in a transaction', 1, insertMarks('insertMarks')),
  workload(dialect, 'insert-batch', '10 000 rows by batch()', 1, insertMarks('batchMarks'))
])
