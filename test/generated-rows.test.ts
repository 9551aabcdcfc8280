import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findAllowedValues } from '../src/tools/data/allowed.ts'
import { literalsOf, NO_LITERALS } from '../src/tools/data/literals.ts'
import { RefusedTable, withRows } from '../src/tools/data/load.ts'
import { generateParameters } from '../src/tools/data/parameters.ts'
import { Deck, Random } from '../src/tools/data/random.ts'
import { type DataRow, planSets, RowGenerator } from '../src/tools/data/rows.ts'
import { mergeSchemas, readSchema } from '../src/tools/data/schema.ts'
import { failsWith, onEachDatabase } from './support/databases.ts'

test('A deck deals each card before any comes again', () => {
  const deck = new Deck(['a', 'b', 'c'], new Random(1))
  const deals = Array.from({ length: 9 }, () => deck.deal())
  for (let i = 0; i < 9; i += 3) assert.deepEqual(deals.slice(i, i + 3).sort(), ['a', 'b', 'c'])
})

test('Literals are those of the tokens', () => {
  const text = "SELECT 'it''s', a - 77, -3, doc -> 'size' ->> 'x', json_extract(d, '$.a.\"b c\"') -- 'no' 9\nFROM t WHERE n < 1.5 /* 8 */"
  assert.deepEqual(literalsOf([text]), { numbers: [77, -77, 3, -3, 1.5], texts: ["it's"], jsonNames: ['size', 'x', 'a', 'b c'] })
})

onEachDatabase('Generated rows', database => {
  const TABLES = `
    CREATE TABLE people (id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, boss INTEGER REFERENCES people (id),
      age INTEGER CHECK (age BETWEEN 18 AND 30), kind VARCHAR(3) NOT NULL CHECK (kind IN ('a', 'b')), born DATE, seen TIMESTAMP NOT NULL);
    CREATE TABLE marks (person INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE, place INTEGER NOT NULL, low INTEGER NOT NULL,
      high INTEGER NOT NULL, PRIMARY KEY (person, place), CHECK (low < high));`

  async function open(tables = TABLES) {
    const db = await database.open()
    await db.exec(tables)
    const schema = mergeSchemas([await readSchema(db)])
    const sides = [{ db, dialect: db.dialect }]
    const generator = async (seed: string) => new RowGenerator(NO_LITERALS, seed, await findAllowedValues(sides, schema, NO_LITERALS))
    return { db, schema, sides, generator }
  }

  const mixed = { name: 'mixed', size: 12, nulls: 0.2, without: undefined }

  test('keep to keys, references and CHECKs, and are many', async () => {
    const { schema, sides, generator } = await open()
    const counts = await withRows(sides, schema, await generator('one'), mixed, async ({ handles: [tx], rows }) => {
      assert.ok(tx)
      const stored = await tx.one('SELECT (SELECT count(*) FROM people) AS people, (SELECT count(*) FROM marks) AS marks')
      assert.deepEqual(stored, { people: rows.get('people')?.length, marks: rows.get('marks')?.length })
      return stored
    })
    assert.deepEqual(counts, { people: 12, marks: 12 })
  })

  test('are gone afterwards', async () => {
    const { db, schema, sides, generator } = await open()
    await withRows(sides, schema, await generator('one'), mixed, async () => undefined)
    assert.deepEqual(await db.all('SELECT id FROM people'), [])
  })

  test('are the same for the same seed, and others for another', async () => {
    const { schema, sides, generator } = await open()
    const rowsOf = async (seed: string) =>
      withRows(sides, schema, await generator(seed), mixed, async ({ rows }) => JSON.stringify([...rows.entries()]))
    const [first, again, other] = [await rowsOf('one'), await rowsOf('one'), await rowsOf('two')]
    assert.equal(first, again)
    assert.notEqual(first, other)
  })

  test('come in sets: none, all that may be NULL is, and each table empty in turn', async () => {
    const { schema, sides, generator } = await open()
    const one = await generator('one')
    const seen: Record<string, [number, number, boolean]> = {}
    for (const plan of planSets(schema, 1)) {
      await withRows(sides, schema, one, plan, async ({ rows }) => {
        const [people = [], marks = []] = [rows.get('people'), rows.get('marks')]
        seen[plan.name] = [
          Math.sign(people.length),
          Math.sign(marks.length),
          people.every(({ age, boss }: DataRow) => age === null && boss === null)
        ]
      })
    }
    assert.deepEqual(seen.empty, [0, 0, true])
    assert.deepEqual(seen.nulls, [1, 1, true])
    assert.deepEqual(seen['without people'], [0, 0, true])
    assert.deepEqual(seen['without marks']?.slice(0, 2), [1, 0])
  })

  test('that are all refused are an error with the refusal', async () => {
    const { schema, sides, generator } = await open(
      "CREATE TABLE odd (id INTEGER NOT NULL PRIMARY KEY, a TEXT NOT NULL, CHECK (a = 'x' AND id = 7777777))"
    )
    const work = withRows(sides, schema, await generator('one'), mixed, async () => undefined)
    await assert.rejects(
      work,
      error => error instanceof RefusedTable && /No generated row of the table "odd".*CHECK|check/.test(error.message)
    )
  })

  test('give parameters: those of a row, of a fresh one, and edges', async () => {
    const { schema, sides, generator } = await open()
    const plan = { isList: false, isCount: false, isNullable: false }
    await withRows(sides, schema, await generator('one'), mixed, async ({ rows, fresh }) => {
      const plans = [
        { ...plan, name: 'person', type: 'integer' as const },
        { ...plan, name: 'limit', type: 'integer' as const, isCount: true },
        { ...plan, name: 'ages', type: 'integer' as const, isList: true }
      ]
      const sets = generateParameters(plans, { rows, fresh }, schema, NO_LITERALS, 30, 'seed')
      const people = rows.get('people')?.map(({ id }) => id)
      assert.ok(sets.some(({ person }) => people?.includes(person)))
      assert.ok(sets.every(({ limit }) => typeof limit === 'number' && limit >= 0))
      assert.ok(sets.some(({ ages }) => Array.isArray(ages) && ages.length === 0))
      assert.deepEqual(generateParameters(plans, { rows, fresh }, schema, NO_LITERALS, 30, 'seed'), sets)
    })
  })

  test('give parameters that many rows refer to, and texts in the other case', async () => {
    const { schema, sides, generator } = await open()
    const rowsOf = await generator('one')
    const plan = { isList: false, isCount: false, isNullable: false }
    const plans = [
      { ...plan, name: 'id', type: 'integer' as const },
      { ...plan, name: 'name', type: 'text' as const }
    ]
    let swapped = 0
    for (let i = 0; i < 10; i++) {
      await withRows(sides, schema, rowsOf, mixed, async ({ rows, fresh }) => {
        const sets = generateParameters(plans, { rows, fresh }, schema, NO_LITERALS, 10, `seed ${i}`)
        const people = rows.get('people') ?? []
        assert.ok(sets.some(({ id }) => id === people[0]?.id))
        const names = people.map(({ name }) => String(name))
        const lower = new Set(names.map(name => name.toLowerCase()))
        if (sets.some(({ name }) => !names.includes(String(name)) && lower.has(String(name).toLowerCase()))) swapped++
      })
    }
    // Every other set gives the name, not the id, in another way than its row has it.
    assert.ok(swapped >= 4, `${swapped}`)
  })

  test('leave the next generated id behind those that were given', async () => {
    const id = database.dialect === 'sqlite' ? 'INTEGER PRIMARY KEY AUTOINCREMENT' : 'BIGSERIAL PRIMARY KEY'
    const { schema, sides, generator } = await open(`CREATE TABLE items (id ${id}, body TEXT)`)
    await withRows(sides, schema, await generator('one'), mixed, async ({ handles: [tx] }) => {
      await tx?.run("INSERT INTO items (body) VALUES ('a'), ('b')")
    })
    await assert.rejects(
      withRows(sides, schema, await generator('one'), mixed, async ({ handles: [tx], rows }) => {
        await tx?.run('INSERT INTO items (id) VALUES (:id)', { id: rows.get('items')?.[0]?.id })
      }),
      failsWith('unique_violation')
    )
  })
})
