/**
 * The pages' code runs on both databases, and each line with `// => value` gives that value. What needs a caller to show
 * that it works has one behind it that readers do not see: a comment that begins with `then`.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import type { Dialect } from '../src/index.ts'
import { blocksOf, buildForPages, folderFor, pages, removeBuild, textOf } from './support/pages.ts'

const root = join(import.meta.dirname, '..')

/** `await call() // => value` becomes an assertion, and so does another expression. A database in memory is that of the environment on Postgres. */
function withAssertions(code: string, dialect: Dialect): string {
  const onDialect = dialect === 'sqlite' ? code : code.replaceAll("const db = createDatabase(':memory:')", 'const db = createDatabase()')
  return `import assert from 'node:assert/strict'\n${onDialect.replace(/^(?!const |let )(\w.*?) \/\/ => (.*)$/gm, 'assert.deepEqual($1, $2)')}`
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
async function run(page: string, code: string, place: Place): Promise<void> {
  const dialect = place === 'sqlite' ? 'sqlite' : 'postgres'
  const { directory, write } = folderFor(page)
  const file = write('main.ts', withAssertions(code, dialect))
  const made = dialect === 'sqlite' ? undefined : await makePlace(place)
  const settings = { DATABASE: made === undefined ? '' : 'postgres', DATABASE_URL: made?.own ?? '' }
  const env = { ...process.env, ...settings, DATA_DIR: '', DYNO: '', PORT: '0' }
  const child = spawn(process.execPath, [file], { cwd: directory, env, timeout: 60_000, stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  const [status] = await once(child, 'close')
  rmSync(directory, { recursive: true })
  await made?.remove()
  assert.equal(status, 0, stderr)
}

before(buildForPages)
after(removeBuild)

for (const page of pages) {
  describe(page, { concurrency: 2 }, () => {
    const places: Place[] = [
      'sqlite',
      'postgres',
      ...(page === 'docs/sql-for-both.md' ? (['postgres with an ICU collation'] as const) : [])
    ]
    blocksOf(page).forEach(({ code, then }, i) => {
      for (const place of places) test(`block ${i + 1} runs on ${place}`, () => run(page, code + then, place))
    })

    test('has no link to a page, or a part of one, that is not there', () => {
      for (const [, path = '', part] of textOf(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)) {
        const target = path === '' ? page : join(dirname(page), path)
        assert.ok(existsSync(join(root, target)), `${path}: there is no such file`)
        if (part !== undefined) assert.ok(partsOf(target).includes(part), `${path}#${part}: there is no such heading`)
      }
    })
  })
}

/** The anchors of a page's headings, as GitHub makes them. */
function partsOf(page: string): string[] {
  return [...textOf(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-')
  )
}
