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

const url = process.env.TEST_PG_URL as string
const prefix = `readme_${process.pid}`
let schemas = 0

async function onServer(text: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  await client.query(text)
  await client.end()
}

/** Runs a program in a folder of its own, on a database of its own. */
async function run(code: string, dialect: Dialect): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'duolect-readme-'))
  const file = join(directory, 'main.mts')
  writeFileSync(file, withAssertions(code, dialect))
  const schema = `${prefix}_${schemas++}`
  const own = `${url}${url.includes('?') ? '&' : '?'}options=-c%20search_path%3D${schema}`
  const place = dialect === 'sqlite' ? { DATABASE: '', DATABASE_URL: '' } : { DATABASE: 'postgres', DATABASE_URL: own }
  if (dialect === 'postgres') await onServer(`CREATE SCHEMA ${schema}`)
  const env = { ...process.env, ...place, DATA_DIR: '', DYNO: '', PORT: '0' }
  const loader = import.meta.resolve('tsx')
  const { status, stderr } = spawnSync(process.execPath, ['--import', loader, file], {
    cwd: directory,
    env,
    encoding: 'utf8',
    timeout: 30_000
  })
  rmSync(directory, { recursive: true })
  if (dialect === 'postgres') await onServer(`DROP SCHEMA ${schema} CASCADE`)
  assert.equal(status, 0, stderr)
}

for (const page of pages) {
  describe(page, () => {
    codeOf(page).forEach((code, i) => {
      for (const dialect of ['sqlite', 'postgres'] as const) test(`block ${i + 1} runs on ${dialect}`, () => run(code, dialect))
    })

    test('has no link to a page that is not there', () => {
      const links = [...readFileSync(join(root, page), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link]) => link as string)
      for (const link of links) assert.ok(existsSync(join(root, dirname(page), link)), link)
    })
  })
}
