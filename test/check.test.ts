/** `duolect check`: what it finds, what it does not flag, and what it says. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ownFiles } from '../scripts/check-sql.ts'
import { ownModule } from '../scripts/own-queries.ts'
import type { Result } from '../src/tools/check/check.ts'
import { checkCommand } from '../src/tools/check/command.ts'
import { isProblem, paintFor, printReport } from '../src/tools/check/print.ts'
import { type CheckedModule, type Report, readChecked, Session } from '../src/tools/check/session.ts'

const postgres = process.env.TEST_PG_URL
const directory = mkdtempSync(join(tmpdir(), 'duolect-check-'))

after(() => rmSync(directory, { recursive: true, force: true }))

function sessionOf(sql: string, seed = 'duolect'): Session {
  return new Session({ sql, needs: [], postgres, seed, runs: 4 })
}

/** A folder of SQL files. */
function folder(name: string, files: Readonly<Record<string, string>>): string {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name, path)), { recursive: true })
    writeFileSync(join(directory, name, path), text)
  }
  return join(directory, name)
}

async function reportOf(checked: CheckedModule | string): Promise<Report> {
  const session = sessionOf('sql')
  try {
    return await session.checkModule(typeof checked === 'string' ? readChecked({ sql: checked, needs: [] }) : checked)
  } finally {
    await session.close()
  }
}

const rowsOf = ({ example }: Result) => [...(example?.rows.values() ?? [])].flat().length

describe("duolect's own queries", () => {
  const faults = [
    ['sqlite/kvs.sql', 'listValues', 'key > :after', 'key >= :after'],
    ['sqlite/kvs.sql', 'listKeys', 'key < :end', 'key <= :end'],
    ['postgres/kvs.sql', 'listValues', 'key COLLATE "C" >= :prefix', 'key COLLATE "C" > :prefix'],
    ['postgres/kvs.sql', 'listKeys', 'ORDER BY key COLLATE "C"', 'ORDER BY key COLLATE "C" DESC'],
    ['sqlite/kvs.sql', 'findValues', 'key IN (', 'key NOT IN (']
  ] as const

  test('mean the same on both databases', async () => {
    const { results } = await reportOf(ownModule(ownFiles()))
    assert.deepEqual(results.filter(isProblem), [])
    assert.ok(results.length >= 6)
  })

  for (const [path, name, right, wrong] of faults) {
    test(`show a fault by at most three rows: ${wrong} in ${name} of ${path}`, async () => {
      const files = ownFiles().map(file => {
        if (file.path !== path) return file
        const start = file.text.indexOf(`-- name: ${name} `)
        const at = file.text.indexOf(right, start)
        assert.ok(start !== -1 && at !== -1)
        return { path, text: file.text.slice(0, at) + wrong + file.text.slice(at + right.length) }
      })
      const { module, modules } = ownModule(files)
      const queries = module.queries.filter(query => query.name === name)
      const { results } = await reportOf({ module: { ...module, queries }, modules })
      assert.equal(results[0]?.verdict, 'different')
      assert.ok(rowsOf(results[0] as Result) <= 3)
    })
  }
})

describe('duolect check', () => {
  const TABLES = 'CREATE TABLE notes (id INTEGER NOT NULL PRIMARY KEY, author TEXT NOT NULL, stars INTEGER NOT NULL);'

  const GOOD = '-- name: byId :maybeOne\nSELECT id, author FROM notes WHERE id = :id;\n'
  const BAD = '-- name: search :all\nSELECT id\nFROM notes\nWHERE author LIKE :pattern;\n'

  async function check(...args: string[]): Promise<{ code: number; text: string }> {
    const lines: string[] = []
    const write = (text: string) => void lines.push(text)
    const code = await checkCommand(['--runs', '3', ...args, ...(postgres === undefined ? [] : ['--postgres', postgres])], {
      print: write,
      error: write,
      status: () => undefined,
      hasColors: false
    })
    return { code, text: lines.join('\n') }
  }

  test('returns 0, and says how many runs on which versions found nothing', async () => {
    const sql = folder('good', { 'migrations/0001-tables.sql': TABLES, 'notes.sql': GOOD })
    const { code, text } = await check('--sql', sql)
    assert.equal(code, 0)
    assert.match(text, /^1 query: 1 same\. \d+ runs on SQLite 3\.\S+ and Postgres \d+\S*, seed duolect, found no difference/m)
    assert.doesNotMatch(text, /proved/)
  })

  test('returns 1, and shows the place, the rows, both answers, the cause and the mend', async () => {
    const sql = folder('bad', { 'migrations/0001-tables.sql': TABLES, 'notes.sql': BAD })
    const { code, text } = await check('--sql', sql)
    assert.equal(code, 1)
    for (const part of [
      /notes\.sql:4:\d+: different: "search": the databases return different rows\./,
      /INSERT INTO notes \(id, author, stars\) VALUES \(.*\);/,
      /With :pattern = '.*':/,
      /SQLite: +\{ id: \d+ \}/,
      /Postgres: +no rows/,
      /like-case/,
      /Mend: /
    ]) {
      assert.match(text, part)
    }
  })

  test('--json prints one object', async () => {
    const sql = folder('json', { 'migrations/0001-tables.sql': TABLES, 'notes.sql': GOOD + BAD })
    const { code, text } = await check('--sql', sql, '--json')
    const { runs, sqlite, queries } = JSON.parse(text)
    assert.equal(code, 1)
    assert.ok(runs > 0)
    assert.match(sqlite, /^SQLite/)
    assert.deepEqual(
      queries.map(({ name, line, verdict, kind }: Record<string, unknown>) => [name, line, verdict, kind]),
      [
        ['byId', 1, 'same', null],
        ['search', 6, 'different', 'rows']
      ]
    )
    assert.equal(queries[1].counterexample.rows.notes.length, 1)
  })

  test('--offline fails for what has changed since it was checked', async () => {
    const files = { 'migrations/0001-tables.sql': TABLES, 'notes.sql': GOOD }
    const sql = folder('offline', files)
    await check('--sql', sql)
    assert.equal((await check('--sql', sql, '--offline')).code, 0)
    folder('offline', { 'notes.sql': GOOD.replace('id = :id', 'id >= :id') })
    const { code, text } = await check('--sql', sql, '--offline')
    assert.equal(code, 1)
    assert.match(text, /notes\.sql:1:10: "byId" has changed since it was checked\./)
  })

  test('refuses a wrong command', async () => {
    await assert.rejects(check('--runs', '0'), { message: '--runs is a number from 1, got "0".' })
  })

  test('shows why no row of a table was accepted', async () => {
    const impossible = TABLES.replace('stars INTEGER NOT NULL', 'stars INTEGER NOT NULL CHECK (stars > 5 AND stars < 5)')
    const { results } = await reportOf(folder('refused', { 'migrations/0001-tables.sql': impossible, 'notes.sql': GOOD }))
    assert.equal(results[0]?.verdict, 'vacuous')
    assert.match(results[0]?.problem ?? '', /No generated row of the table "notes" was accepted.*check constraint/is)
  })

  test('reports an accepted difference that is none any more', async () => {
    const stale = GOOD.replace('\nSELECT', '\n-- @differs it did\nSELECT')
    const report = await reportOf(folder('stale', { 'migrations/0001-tables.sql': TABLES, 'notes.sql': stale }))
    assert.ok(isProblem(report.results[0] as Result))
    assert.match(printReport(report, paintFor(false)), /No run differs any more; remove -- @differs\./)
  })

  test('takes a query that both databases refuse for no answer', async () => {
    const { results } = await reportOf(
      folder('both', { 'migrations/0001-tables.sql': TABLES, 'notes.sql': GOOD.replace('FROM notes', 'FROM note') })
    )
    assert.equal(results[0]?.verdict, 'vacuous')
    assert.match(results[0]?.problem ?? '', /Both databases refuse it\. Postgres: relation "note" does not exist/)
  })

  describe('again in one session', () => {
    let session: Session
    const sql = folder('watched', { 'migrations/0001-tables.sql': TABLES, 'a.sql': GOOD, 'b.sql': GOOD.replace('byId', 'other') })

    before(() => {
      session = sessionOf(sql)
    })

    after(() => session.close())

    async function checked(): Promise<string[]> {
      const names: string[] = []
      await session.check((_, __, name) => names.push(name))
      return names
    }

    test('runs only what has changed', async () => {
      assert.deepEqual(await checked(), ['byId', 'other'])
      folder('watched', { 'b.sql': GOOD.replace('byId', 'other').replace('id, author', 'id') })
      assert.deepEqual(await checked(), ['other'])
      folder('watched', { 'migrations/0001-tables.sql': TABLES.replace('stars', 'points') })
      assert.deepEqual(await checked(), ['byId', 'other'])
    })
  })
})
