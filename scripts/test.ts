/**
 * Runs the checks and the whole suite, on SQLite and on a Postgres server that is started for it.
 *
 * `npm test` runs all; `npm test -- kvs users` only the files whose names contain one of the words.
 */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { findOrStartPostgres } from '../src/tools/servers/postgres.ts'
import { check } from './check.ts'

const root = join(import.meta.dirname, '..')

function testFiles(words: readonly string[]): string[] {
  const files = readdirSync(join(root, 'test'))
    .filter(name => name.endsWith('.test.ts'))
    .filter(name => words.length === 0 || words.some(word => name.includes(word)))
  if (files.length === 0) throw new Error(`No test file has ${words.join(' or ')} in its name.`)
  return files.map(name => relative(root, join(root, 'test', name)))
}

function runTests(files: readonly string[], url: string): Promise<number> {
  const options = [
    '--import',
    'tsx',
    '--test',
    `--test-concurrency=${availableParallelism()}`,
    '--test-reporter=spec',
    '--test-timeout=600000'
  ]
  const child = spawn(process.execPath, [...options, ...files], { cwd: root, stdio: 'inherit', env: { ...process.env, TEST_PG_URL: url } })
  return new Promise(resolve => child.once('exit', status => resolve(status ?? 1)))
}

const words = process.argv.slice(2)
const files = testFiles(words)
const problems = words.length === 0 ? check() : []
for (const problem of problems) console.error(problem)

const server = await findOrStartPostgres(process.env.TEST_PG_URL)
console.log(server.bin ? `Postgres of ${server.bin}` : 'Postgres of TEST_PG_URL')
try {
  const status = await runTests(files, server.url)
  if (problems.length > 0) console.error(`The checks found ${problems.length} problems; see above.`)
  process.exitCode = status !== 0 ? status : problems.length > 0 ? 1 : 0
} finally {
  await server.stop()
}
