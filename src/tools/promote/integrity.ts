/** PRAGMA integrity_check, for a large file in a thread of its own, beside the look at the values. */

import { statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import type { SqliteFile } from './file.ts'

/** A thread takes 50 ms and 30 MB. */
const LARGE_FILE = 64 * 1024 * 1024

const PRAGMA = 'PRAGMA main.integrity_check'

/** A text, so that bundles have no second file; CommonJS, as code without a file is. */
const CODE = `
  const { parentPort, workerData: { driver, location, pragma } } = require('node:worker_threads')
  let database
  try {
    database = new (require(driver))(location, { timeout: 10000 })
  } catch (error) {
    const sqlite = process.getBuiltinModule('node:sqlite')
    if (sqlite === undefined) throw error
    database = new sqlite.DatabaseSync(location, { timeout: 10000 })
  }
  try {
    parentPort.postMessage(database.prepare(pragma).all().map(row => row.integrity_check))
  } finally {
    database.close()
  }`

/** Returns what SQLite finds wrong in the file. The caller holds a transaction, so that nobody writes to it. */
export async function checkIntegrity(file: SqliteFile): Promise<string[]> {
  const isLarge = statSync(file.location).size > LARGE_FILE
  const messages = isLarge ? await inThread(file.location) : file.rows(PRAGMA).map(([message]) => message as string)
  // What rows break is named by the row elsewhere.
  return messages.filter(
    message => message !== 'ok' && !/^(NULL value|CHECK constraint failed|NUMERIC value|TEXT value|non-\w+ value) in /.test(message)
  )
}

function inThread(location: string): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(CODE, { eval: true, execArgv: [], workerData: { driver: betterSqlite3(), location, pragma: PRAGMA } })
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

/** Where better-sqlite3 is; undefined where it is missing, so that the file was opened by node:sqlite. */
function betterSqlite3(): string | undefined {
  try {
    return createRequire(import.meta.url).resolve('better-sqlite3')
  } catch {
    return undefined
  }
}
