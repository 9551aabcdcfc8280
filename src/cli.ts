#!/usr/bin/env node
/** The command `duolect`: `schema` prints the statements that make duolect's tables, `promote` moves a file to Postgres. */
import { textOf } from './queries.ts'
import { PROMOTE_USAGE, promoteCommand, unsealCommand } from './tools/promote/command.ts'

const USAGE = `Usage: duolect schema --postgres | --sqlite

Prints the SQL that creates duolect's tables, for a role that may create them. After that, duolect works with a
role that may only SELECT, INSERT, UPDATE and DELETE.

${PROMOTE_USAGE}`

const [command, option, ...others] = process.argv.slice(2)

if (command === 'schema' && others.length === 0 && (option === '--postgres' || option === '--sqlite')) {
  console.log(textOf('createTables', option === '--postgres' ? 'postgres' : 'sqlite'))
} else if (command === 'promote' || command === 'unseal') {
  process.exitCode = await (command === 'promote' ? promoteCommand : unsealCommand)(process.argv.slice(3))
} else if (command === '--help' || command === undefined) {
  console.log(USAGE)
} else {
  console.error(USAGE)
  process.exitCode = 2
}
