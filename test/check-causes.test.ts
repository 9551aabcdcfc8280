/** Each cause is told from a difference that a run shows, and its mend makes the databases agree. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import type { Client } from 'pg'
import { createDatabase, type Database } from '../src/index.ts'
import { tokens } from '../src/lexer.ts'
import { explain, RULES, schemaNotes } from '../src/tools/check/causes.ts'
import type { DifferenceKind, Finding } from '../src/tools/check/finding.ts'
import { mergeSchemas, readSchema, type Schema } from '../src/tools/data/schema.ts'
import { connect } from '../src/tools/servers/connect.ts'
import { CASES, pageOfCauses, ROWS, renderQuery, renderScript, TABLES } from './support/causes.ts'
import { answersOf, differenceOf } from './support/differences.ts'
import { textOf } from './support/pages.ts'

const url = process.env.TEST_PG_URL as string
const name = `causes_${process.pid}_${Date.now().toString(36)}`

const databases: Database[] = []
let server: Client
let schema: Schema

before(async () => {
  server = await connect(url)
  const { rows } = await server.query('SHOW server_version_num')
  // Servers before version 15 have collations of languages for columns alone; the column "name" has one.
  const collation = Number(rows[0].server_version_num) >= 150_000 ? "LOCALE_PROVIDER icu ICU_LOCALE 'en-US'" : ''
  await server.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' ${collation}`)
  const connection = new URL(url)
  connection.pathname = name
  databases.push(
    createDatabase({ sqlite: { location: ':memory:' }, postgres: { enabled: false } }),
    createDatabase({ postgres: { enabled: true, connection: connection.href } })
  )
  for (const db of databases) {
    await db.exec(renderScript(TABLES)[db.dialect])
    await db.exec(renderScript(ROWS)[db.dialect])
  }
  schema = await readSchema(databases[1] as Database)
})

after(async () => {
  await Promise.all(databases.map(db => db.close()))
  await server.query(`DROP DATABASE ${name}`)
  await server.end()
})

for (const { cause, faulty, mended, tables, mendedTables = tables, ...rest } of CASES) {
  describe(`${cause}: ${faulty}`, () => {
    test('is told from the difference', async () => {
      const finding = differenceOf(await answersOf(databases, { query: faulty, tables, ...rest }))
      assert.ok(finding, 'the databases answer alike')
      const { name, offset } = explain(finding) ?? {}
      assert.equal(name, cause, JSON.stringify(finding.errors ?? finding.values ?? finding.kind))
      assert.ok(offset !== undefined && offset < finding.texts.sqlite.length)
    })

    test('is mended', async () => {
      const answers = await answersOf(databases, { query: mended, tables: mendedTables, ...rest })
      assert.equal(answers.sqlite.error ?? answers.postgres.error, undefined)
      assert.equal(differenceOf(answers), undefined)
    })
  })
}

describe('The causes', () => {
  const rules = Object.values(RULES).flat()

  test('have names of their own', () => {
    assert.deepEqual(
      [...new Set(rules.map(({ name }) => name))],
      rules.map(({ name }) => name)
    )
  })

  test('have a case each, and each case has a cause', () => {
    assert.deepEqual([...new Set(CASES.map(({ cause }) => cause))].sort(), rules.map(({ name }) => name).sort())
  })

  test('stand in the page as they are', () => {
    assert.ok(textOf('docs/check-causes.md') === pageOfCauses(), 'The page is of other causes. Run: npx tsx scripts/check-causes.ts')
  })
})

describe('explain()', () => {
  const KINDS: readonly DifferenceKind[] = ['columns', 'rows', 'order', 'changes', 'error', 'tables']

  function findingOf(text: string, kind: DifferenceKind, more: Partial<Finding> = {}): Finding {
    return { kind, texts: { sqlite: text, postgres: text }, schema, ...more }
  }

  test('knows no cause where nothing fits', () => {
    const findings = [
      findingOf('SELECT id, points FROM people WHERE id = :id', 'rows', { column: 'points', values: { sqlite: 1, postgres: 2 } }),
      findingOf('SELECT id FROM people', 'error', { errors: { postgres: { code: 'disk_full', message: '' } } }),
      findingOf('DELETE FROM visits WHERE id = :id', 'changes')
    ]
    assert.deepEqual(findings.map(explain), [undefined, undefined, undefined])
  })

  /** Rows that have nothing in common leave no pair of values. */
  const BY_TEXT: Readonly<Record<string, string>> = {
    'SELECT avg(hits) AS mean FROM visits GROUP BY person': 'average',
    'SELECT sum(points) AS total FROM people GROUP BY active': 'sum-of-bigint',
    'SELECT age * 1.5 AS more FROM people': 'decimal-literal',
    'SELECT lower(name) AS name FROM people': 'case-beyond-ascii',
    'SELECT substr(name, -2) AS tail FROM people': 'substr-start',
    'SELECT round(weight) AS weight FROM people': 'round-half',
    'SELECT CAST(weight AS INTEGER) AS weight FROM people': 'cast-to-integer',
    'SELECT name || weight AS line FROM people': 'text-of-number',
    'SELECT name || active AS line FROM people': 'text-of-boolean',
    'SELECT born + 1 AS next FROM people': 'date-arithmetic',
    "SELECT doc ->> 'n' AS n FROM people": 'json-text',
    "SELECT doc -> 'n' AS n FROM people": 'json-part',
    "SELECT name FROM people WHERE name LIKE 'a%'": 'like-case',
    'SELECT lower(name) AS name FROM people WHERE seen > CURRENT_TIMESTAMP': 'current-timestamp',
    "SELECT round(weight) AS weight FROM people WHERE length(name) = '3'": 'quoted-number',
    'SELECT id FROM people ORDER BY age LIMIT 2': 'null-order',
    'SELECT id FROM people WHERE amount > 9': 'numeric-as-text',
    'SELECT :tag AS tag FROM people': 'untyped-parameter',
    'SELECT weight > 2 AS heavy FROM people': 'boolean-result',
    'SELECT max(seen) AS latest FROM people GROUP BY active': 'expression-of-time',
    'SELECT id FROM people LIMIT 1': 'limit-without-order'
  }
  for (const [query, cause] of Object.entries(BY_TEXT)) {
    test(`finds ${cause} without values: ${query}`, () => {
      assert.equal(explain(findingOf(query, 'rows'))?.name, cause)
    })
  }

  test('takes no piece of the tag for a cause', () => {
    const texts = renderQuery(
      "SELECT sql.day(seen) AS day, sql.hour(seen) AS hour, sql.shift(seen, 1, 'days') AS next FROM people WHERE seen < sql.shift(sql.now(), -7, 'days')"
    )
    for (const column of ['day', 'hour', 'next', undefined])
      assert.equal(explain({ ...findingOf('', 'rows', { column }), texts }), undefined)
  })

  test('looks at the column of the table that differs', () => {
    const query = 'UPDATE people SET age = CAST(weight AS INTEGER), email = name || active WHERE id = 1'
    assert.equal(explain(findingOf(query, 'tables', { column: 'age' }))?.name, 'cast-to-integer')
    assert.equal(explain(findingOf(query, 'tables', { column: 'email' }))?.name, 'text-of-boolean')
  })

  test('takes numbers of changed rows for no values', () => {
    const query = "UPDATE people SET age = 1 WHERE round(weight) = 2 AND doc ->> 'n' = :n"
    assert.equal(explain(findingOf(query, 'changes', { values: { sqlite: 2, postgres: 1 } }))?.name, 'json-text')
  })

  test('takes every text, also one that ends anywhere', () => {
    let read = 0
    for (const text of CASES.map(({ faulty }) => faulty)) {
      for (const { end } of tokens(text, 'sqlite')) {
        const kind = KINDS[read++ % KINDS.length] as DifferenceKind
        explain(findingOf(text.slice(0, end), kind, { column: 'id', values: { sqlite: 1, postgres: '1' } }))
      }
    }
    assert.ok(read > 2000, `${read} texts`)
  })

  test('takes words in any order', () => {
    const words = fc.array(fc.constantFrom(...new Set(CASES.flatMap(({ faulty }) => faulty.split(/\b/)))), { maxLength: 30 })
    fc.assert(
      fc.property(words, fc.constantFrom(...KINDS), (some, kind) => {
        explain(findingOf(some.join(' '), kind, { errors: { postgres: { code: 'syntax_error', message: 'at character 3' } } }))
      })
    )
  })
})

describe('Notes of the schema', () => {
  /** The names of the notes of a table's columns, by column. */
  async function notesOf(columns: string): Promise<Record<string, string>> {
    const { sqlite, postgres } = await answersOf(databases, { query: 'SELECT 1 AS one', tables: `CREATE TABLE kinds (${columns});` })
    const notes = schemaNotes(mergeSchemas([sqlite.schema, postgres.schema])).filter(({ table }) => table === 'kinds')
    for (const { title, mend } of notes) assert.match(`${title} ${mend}`, /^[A-Z].*\.$/)
    return Object.fromEntries(notes.map(({ column, name }) => [column, name]))
  }

  test('name each type that differs, once a column', async () => {
    assert.deepEqual(
      await notesOf(
        'id INTEGER PRIMARY KEY, count INTEGER, small SMALLINT, label VARCHAR(5), code CHAR(2), size REAL, price NUMERIC(10, 2), at TIMESTAMP, day DATE, token UUID, doc JSONB'
      ),
      {
        id: 'reused-id',
        count: 'integer-32-bits',
        small: 'integer-32-bits',
        label: 'varchar-length',
        code: 'char-padding',
        size: 'real',
        price: 'numeric-as-text',
        at: 'zone-ignored',
        day: 'date-with-time',
        token: 'uuid-case',
        doc: 'jsonb-form'
      }
    )
  })

  test('are none where the types mean the same', async () => {
    const columns = 'count BIGINT, label TEXT, size DOUBLE PRECISION, at TIMESTAMPTZ, done BOOLEAN, doc JSON, free VARCHAR'
    assert.deepEqual(await notesOf(`id sql.autoId, ${columns}`), {})
    assert.deepEqual(await notesOf(`key TEXT NOT NULL PRIMARY KEY, ${columns}`), {})
  })

  test('take a key that refers to another table for no number of its own', async () => {
    const columns = 'id INTEGER NOT NULL PRIMARY KEY REFERENCES people (id)'
    assert.deepEqual(await notesOf(columns), { id: 'integer-32-bits' })
  })
})
