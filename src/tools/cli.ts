#!/usr/bin/env node
/** `duolect schema --postgres` prints the statements that make duolect's tables, for whoever may create them. */
import { textOf } from '../queries.ts'

const USAGE = `Usage: duolect schema --postgres | --sqlite

Prints the SQL that creates duolect's tables, for a role that may create them. After that, duolect works with a
role that may only SELECT, INSERT, UPDATE and DELETE.`

const [command, option, ...others] = process.argv.slice(2)

if (command === 'schema' && others.length === 0 && (option === '--postgres' || option === '--sqlite')) {
  console.log(textOf('createTables', option === '--postgres' ? 'postgres' : 'sqlite'))
} else if (command === '--help' || command === undefined) {
  console.log(USAGE)
} else {
  console.error(USAGE)
  process.exitCode = 2
}
