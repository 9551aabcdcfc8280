#!/usr/bin/env node
/** `duolect schema --postgres` prints the statements that make duolect's tables, for whoever may create them. */
import { postgresQueries } from './queries.postgres.generated.ts'
import { sqliteQueries } from './queries.sqlite.generated.ts'

const USAGE = `Usage: duolect schema --postgres | --sqlite

Prints the SQL that creates duolect's tables, for a role that may create them. After that, duolect works with a
role that may only SELECT, INSERT, UPDATE and DELETE.`

const [command, option, ...others] = process.argv.slice(2)

if (command === 'schema' && others.length === 0 && (option === '--postgres' || option === '--sqlite')) {
  console.log((option === '--postgres' ? postgresQueries : sqliteQueries).createTables.text)
} else if (command === '--help' || command === undefined) {
  console.log(USAGE)
} else {
  console.error(USAGE)
  process.exitCode = 2
}
