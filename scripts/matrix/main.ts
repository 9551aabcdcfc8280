/**
 * Runs duolect on everything that it promises to run on, and prints tables.
 *
 * - `npm run matrix` runs all of it.
 * - `npm run matrix -- postgres 10 18 kvs`: the suite on those versions of Postgres; only the test files with "kvs" in
 *   their names.
 * - `npm run matrix -- node 24 kvs`: the suite on versions of Node.js, with each package of the SQLite driver;
 *   `node 24 node:sqlite` with that alone.
 * - `npm run matrix -- runtimes`: a small program on Node.js, Bun and Deno.
 * - `npm run matrix -- installs npm`: a fresh project by package managers, and a program that uses it.
 *
 * The programs are for Linux on x64, and are installed on the first run.
 */
import { installMatrix } from './home.ts'
import { runInstalls } from './installs.ts'
import { runNode } from './node.ts'
import { runPostgres } from './postgres.ts'
import { runRuntimes } from './runtimes.ts'

const PARTS = { postgres: runPostgres, node: runNode, runtimes: runRuntimes, installs: runInstalls } as const

const [part, ...rest] = process.argv.slice(2)
if (part !== undefined && !(part in PARTS)) throw new Error(`There is no part "${part}"; there are ${Object.keys(PARTS).join(', ')}.`)

installMatrix()
for (const [name, run] of Object.entries(PARTS)) {
  if (part !== undefined && part !== name) continue
  console.log(`\n${name}`)
  if (!(await run(rest))) process.exitCode = 1
}
