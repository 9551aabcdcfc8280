/**
 * The pages' code runs on both databases, and each line with `// => value` gives that value. What needs a caller to show
 * that it works has one behind it that readers do not see: a comment that begins with `then`.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import pg from 'pg'
import type { Dialect } from '../src/index.ts'

const root = join(import.meta.dirname, '..')
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map(name => `docs/${name}`)].filter(name => name.endsWith('.md'))

function codeOf(page: string): string[] {
  const blocks = readFileSync(join(root, page), 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$(?:\n<!-- then\n([\s\S]*?)^-->$)?/gm)
  return [...blocks].map(([, code, then = '']) => `${code}${then}`)
}

/** `await call() // => value` becomes an assertion. A database in memory is that of the environment on Postgres. */
function withAssertions(code: string, dialect: Dialect): string {
  const source = JSON.stringify(join(root, 'src', 'index.ts'))
  const onDialect = dialect === 'sqlite' ? code : code.replaceAll("const db = createDatabase(':memory:')", 'const db = createDatabase()')
  return `import assert from 'node:assert/strict'\n${onDialect
    .replaceAll("'duolect'", source)
    .replaceAll("'duolect/testing'", JSON.stringify(join(root, 'src', 'testing.ts')))
    .replace(/^(await .*?) \/\/ => (.*)$/gm, 'assert.deepEqual($1, $2)')}`
}

/** Where a program runs; a Postgres database has the server's own collation, or that of a language. */
type Place = Dialect | 'postgres with an ICU collation'

const url = process.env.TEST_PG_URL as string
const prefix = `readme_${process.pid}`
let schemas = 0

async function onServer(text: string): Promise<{ rows: { server_version_num?: string }[] }> {
  const client = new pg.Client(url)
  await client.connect()
  const result = await client.query(text)
  await client.end()
  return result
}

/** Makes a schema, or a database where the collation matters, and returns its URL and what removes it. */
async function makePlace(place: Place): Promise<{ own: string; remove: () => Promise<unknown> }> {
  const name = `${prefix}_${schemas++}`
  if (place !== 'postgres with an ICU collation') {
    await onServer(`CREATE SCHEMA ${name}`)
    const own = `${url}${url.includes('?') ? '&' : '?'}options=-c%20search_path%3D${name}`
    return { own, remove: () => onServer(`DROP SCHEMA ${name} CASCADE`) }
  }
  // Servers before version 15 have such collations for columns alone, so there it is the server's own again.
  const { rows } = await onServer('SHOW server_version_num')
  const collation = Number(rows[0]?.server_version_num) >= 150_000 ? "LOCALE_PROVIDER icu ICU_LOCALE 'en-US'" : ''
  await onServer(`CREATE DATABASE ${name} TEMPLATE template0 ${collation}`)
  const own = new URL(url)
  own.pathname = name
  return { own: own.href, remove: () => onServer(`DROP DATABASE ${name}`) }
}

/** Runs a program in a folder of its own, on a database of its own. */
async function run(code: string, place: Place): Promise<void> {
  const dialect = place === 'sqlite' ? 'sqlite' : 'postgres'
  const directory = mkdtempSync(join(tmpdir(), 'duolect-readme-'))
  const file = join(directory, 'main.mts')
  writeFileSync(file, withAssertions(code, dialect))
  const made = dialect === 'sqlite' ? undefined : await makePlace(place)
  const settings = { DATABASE: made === undefined ? '' : 'postgres', DATABASE_URL: made?.own ?? '' }
  const env = { ...process.env, ...settings, DATA_DIR: '', DYNO: '', PORT: '0' }
  const loader = import.meta.resolve('tsx')
  const { status, stderr } = spawnSync(process.execPath, ['--import', loader, file], {
    cwd: directory,
    env,
    encoding: 'utf8',
    timeout: 30_000
  })
  rmSync(directory, { recursive: true })
  await made?.remove()
  assert.equal(status, 0, stderr)
}

for (const page of pages) {
  describe(page, () => {
    const places: Place[] = [
      'sqlite',
      'postgres',
      ...(page === 'docs/sql-for-both.md' ? (['postgres with an ICU collation'] as const) : [])
    ]
    codeOf(page).forEach((code, i) => {
      for (const place of places) test(`block ${i + 1} runs on ${place}`, () => run(code, place))
    })

    test('has no link to a page that is not there', () => {
      const links = [...readFileSync(join(root, page), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link]) => link as string)
      for (const link of links) assert.ok(existsSync(join(root, dirname(page), link)), link)
    })
  })
}
