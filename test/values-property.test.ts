/**
 * Values drawn at random, with a fixed seed, are stored and read on the database and on SQLite beside it. Both must
 * give what the contract says, or refuse with the same code. Local time must not matter, so all of it runs in two zones.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { createDatabase, type Database, DatabaseError } from '../src/index.ts'
import { parseAnyTimestamp, parseTimestamp } from '../src/values.ts'
import { onEachDatabase } from './support/databases.ts'

const SEED = 20181105
const COUNT = 10_000
/** So many values are stored by one statement. */
const BATCH = 1000

/** What the contract says becomes of a value; undefined when it is refused. */
type Contract<T> = (value: T) => unknown

interface Kind<T> {
  readonly title: string
  /** The column's type on SQLite and on Postgres. */
  readonly types: readonly [sqlite: string, postgres: string]
  readonly values: fc.Arbitrary<T>
  readonly contract: Contract<T>
}

/** Checks the types of a kind, which then stands in a list with others. */
function kind<T>(title: string, types: Kind<T>['types'], values: fc.Arbitrary<T>, contract: Contract<T>): Kind<unknown> {
  return { title, types, values, contract: contract as Contract<unknown> }
}

/** Any UTF-16 code units: letters, NUL, both halves of surrogate pairs, and whole pairs. */
const text = fc.string({
  unit: fc.oneof(
    { weight: 60, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }) },
    { weight: 30, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }) },
    { weight: 8, arbitrary: fc.constantFrom("'", '"', '\\', '$1', ':name', '\u2028', '\ufeff', '%', '\u007f', '\u0001') },
    { weight: 1, arbitrary: fc.constantFrom('\0') },
    { weight: 1, arbitrary: fc.integer({ min: 0xd800, max: 0xdfff }).map(unit => String.fromCharCode(unit)) }
  )
})

function isStorable(value: string): boolean {
  return !value.includes('\0') && value.isWellFormed()
}

/** Whether every text and every name in a JSON value can be stored. */
function isStorableJson(value: unknown): boolean {
  if (typeof value === 'string') return isStorable(value)
  if (typeof value !== 'object' || value === null) return true
  return Object.entries(value).every(([name, inner]) => isStorable(name) && isStorableJson(inner))
}

const FIRST_TIME = new Date('0001-01-01T00:00:00.000Z').getTime()
const LAST_TIME = new Date('9999-12-31T23:59:59.999Z').getTime()

const date = fc.oneof(
  { weight: 6, arbitrary: fc.date({ min: new Date(FIRST_TIME), max: new Date(LAST_TIME), noInvalidDate: true }) },
  { weight: 2, arbitrary: fc.date({ min: new Date('1900-01-01'), max: new Date('2100-01-01'), noInvalidDate: true }) },
  { weight: 1, arbitrary: fc.date({ noInvalidDate: false }) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: -2, max: 2 }).chain(ms => fc.constantFrom(new Date(FIRST_TIME + ms), new Date(LAST_TIME + ms)))
  }
)

/** An object or an array, since a text that is given for JSON is JSON already. */
const json = fc.oneof(
  fc.array(fc.jsonValue({ stringUnit: text, maxDepth: 3 }), { maxLength: 4 }),
  fc.dictionary(text, fc.jsonValue({ stringUnit: 'binary', maxDepth: 3 }), { maxKeys: 4 })
)

function asNumberWhereExact(value: bigint): number | bigint {
  return BigInt.asIntN(54, value) === value && value !== -(2n ** 53n) ? Number(value) : value
}

const KINDS: readonly Kind<unknown>[] = [
  kind('BigInts of 64 bits', ['BIGINT', 'BIGINT'], fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), asNumberWhereExact),
  kind(
    'BigInts about 2^53',
    ['INT8', 'INT8'],
    fc.bigInt({ min: 0n, max: 200n }).chain(n => fc.constantFrom(2n ** 53n - 100n + n, 100n - 2n ** 53n - n)),
    asNumberWhereExact
  ),
  kind('BigInts of up to 66 bits', ['BIGINT', 'BIGINT'], fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n }), value =>
    BigInt.asIntN(64, value) === value ? asNumberWhereExact(value) : undefined
  ),
  kind('safe integers', ['BIGINT', 'BIGINT'], fc.maxSafeInteger(), value => value),
  kind('doubles', ['DOUBLE PRECISION', 'DOUBLE PRECISION'], fc.double(), value => (Number.isNaN(value) ? undefined : value + 0)),
  kind('texts', ['TEXT', 'TEXT'], text, value => (isStorable(value) ? value : undefined)),
  kind('booleans', ['BOOLEAN', 'BOOLEAN'], fc.boolean(), value => value),
  kind('Dates in a TIMESTAMP', ['TIMESTAMP', 'TIMESTAMP'], date, timeOf),
  kind('Dates in a TIMESTAMPTZ', ['TIMESTAMPTZ', 'TIMESTAMPTZ'], date, timeOf),
  kind('bytes', ['BLOB', 'BYTEA'], fc.uint8Array({ maxLength: 40 }), value => Buffer.from(value)),
  kind('values in JSON', ['JSON', 'JSON'], json, jsonOf),
  kind('values in JSONB', ['JSONB', 'JSONB'], json, jsonOf)
]

function timeOf(value: Date): Date | undefined {
  return value.getTime() >= FIRST_TIME && value.getTime() <= LAST_TIME ? value : undefined
}

function jsonOf(value: unknown): unknown {
  return isStorableJson(value) ? JSON.parse(JSON.stringify(value)) : undefined
}

async function createTable(db: Database, [sqlite, postgres]: Kind<unknown>['types']): Promise<void> {
  await db.exec(`CREATE TABLE samples (id INTEGER, value ${db.dialect === 'sqlite' ? sqlite : postgres})`)
}

async function storeAndRead(db: Database, values: readonly unknown[]): Promise<unknown[]> {
  for (let from = 0; from < values.length; from += BATCH) {
    const batch = values.slice(from, from + BATCH)
    await db.run(`INSERT INTO samples VALUES ${batch.map((_, i) => `(${from + i}, $${i + 1})`).join(', ')}`, batch)
  }
  return (await db.all('SELECT value FROM samples ORDER BY id')).map(({ value }) => value)
}

/** The code with which the value is refused. */
async function refusal(db: Database, value: unknown): Promise<unknown> {
  try {
    await db.run('INSERT INTO samples VALUES (0, $1)', [value])
  } catch (error) {
    if (error instanceof DatabaseError) return error.code
    throw error
  }
  return undefined
}

for (const [zone, offset] of [
  ['UTC', 0],
  ['America/St_Johns', 210]
] as const) {
  describe(`In ${zone}`, () => {
    const outer = process.env.TZ
    before(() => {
      process.env.TZ = zone
    })
    after(() => {
      if (outer === undefined) delete process.env.TZ
      else process.env.TZ = outer
    })

    test('local time is that of the zone', () => {
      assert.equal(new Date(2018, 0, 15).getTimezoneOffset(), offset)
      assert.equal(new Date('2018-01-15T00:00').getTime(), Date.UTC(2018, 0, 15, 0, offset))
    })

    onEachDatabase('Values drawn at random', database => {
      for (const { title, types, values, contract } of KINDS) {
        test(`${title} are the same on the database and on SQLite, and as the contract says`, async () => {
          const db = await database.open()
          const beside = database.closeAfterTest(createDatabase({ sqlite: { location: ':memory:' }, postgres: { enabled: false } }))
          await createTable(db, types)
          await createTable(beside, types)
          const drawn = fc.sample(values, { numRuns: COUNT, seed: SEED })
          const stored = drawn.filter(value => contract(value) !== undefined)

          const read = await storeAndRead(db, stored)
          const readBeside = await storeAndRead(beside, stored)
          assertSame(read, readBeside)
          assertSame(read, stored.map(contract))

          for (const value of drawn) {
            if (contract(value) !== undefined) continue
            assert.equal(await refusal(db, value), 'invalid_parameter')
            assert.equal(await refusal(beside, value), 'invalid_parameter')
          }
        })
      }
    })
  })
}

/** A number in decimal, with at least so many digits. */
function digits(length: number, max: number): fc.Arbitrary<string> {
  return fc.integer({ min: 0, max }).map(value => String(value).padStart(length, '0'))
}

/** A part of a time that is possible in most draws. */
function part(likely: number, max: number): fc.Arbitrary<string> {
  return fc.oneof({ weight: 9, arbitrary: digits(2, likely) }, { weight: 1, arbitrary: digits(2, max) })
}

/** Texts in the forms of both databases, of times and of what is none, such as 30 February. */
const timeText = fc
  .tuple(
    fc.oneof({ weight: 9, arbitrary: digits(4, 9999) }, { weight: 1, arbitrary: digits(4, 300_000) }),
    fc.constantFrom('-', '-', '-', '/', ''),
    part(12, 99),
    part(31, 99),
    fc.constantFrom('T', 'T', ' ', ' ', 't', '  ', ''),
    part(24, 99),
    part(60, 99),
    part(60, 99),
    fc.oneof(digits(1, 999_999), digits(3, 999), fc.constant('')),
    fc.constantFrom('.', '.', '.', '', ','),
    fc.constantFrom('Z', 'Z', '', '+00', '+00', 'z', ' Z', '+00:00', '-00', '+05:30', '-07', '+01:02:03', '+0', 'ZZ', ' BC', '+00 BC')
  )
  .map(([year, hyphen, month, day, separator, hour, minute, second, fraction, point, zone]) =>
    [year, hyphen, month, hyphen, day, separator, hour, ':', minute, ':', second, point, fraction, zone].join('')
  )

/** The same with one character more, less, or of another kind. */
const brokenText = fc
  .tuple(timeText, fc.nat(30), fc.nat(1), fc.constantFrom('', '0', '9', ':', '-', '/', '.', ' ', 'Z', '+', 'é', '٣', '\u{1f600}'))
  .map(([text, at, length, inserted]) => text.slice(0, at) + inserted + text.slice(at + length))

describe('The short way to read a time', () => {
  for (const [title, texts] of [
    ['of the usual forms', timeText],
    ['with a broken character', brokenText]
  ] as const) {
    test(`agrees with the regular expression on texts ${title}`, () => {
      fc.assert(
        fc.property(texts, text => assert.deepEqual(parseTimestamp(text), parseAnyTimestamp(text))),
        { seed: SEED, numRuns: 20_000 }
      )
    })
  }

  test('reads each day of the years 1 to 9999 as Date writes it', () => {
    for (let day = FIRST_TIME; day <= LAST_TIME; day += 86_400_000) {
      const written = new Date(day + 45_296_789).toISOString()
      if (parseTimestamp(written)?.getTime() !== day + 45_296_789) assert.fail(written)
    }
  })
})

/** As deepEqual, one by one: the message then shows one value and not ten thousand. */
function assertSame(actual: readonly unknown[], expected: readonly unknown[]): void {
  assert.equal(actual.length, expected.length)
  for (const [i, value] of actual.entries()) assert.deepEqual(value, expected[i])
}
