/** Files to promote, schemas to promote them to, and a comparison of both that uses nothing of promote. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import Database from 'better-sqlite3'
import pg from 'pg'
import { createDatabase } from '../../src/index.ts'
import { promoteCommand, unsealCommand } from '../../src/tools/promote/command.ts'

export interface Promoted {
  readonly status: number
  /** What was printed, errors too. */
  readonly output: string
}

/** Runs `duolect promote` in this process. */
export async function promote(...args: readonly string[]): Promise<Promoted> {
  return run(promoteCommand, args)
}

export async function unseal(...args: readonly string[]): Promise<Promoted> {
  return run(unsealCommand, args)
}

async function run(command: typeof promoteCommand, args: readonly string[]): Promise<Promoted> {
  const lines: string[] = []
  const write = (line: string) => void lines.push(line)
  const status = await command(args, { print: write, error: write, status: () => undefined })
  return { status, output: lines.join('\n') }
}

export interface Workshop {
  /** Makes a SQLite file. */
  file(...scripts: readonly string[]): string
  /** Returns the URL of an empty schema. */
  target(): Promise<string>
  /** Runs SQL on Postgres; rows as arrays. */
  query(url: string, sql: string): Promise<unknown[][]>
}

/** What the tests of a file need; removed after the last of them. */
export function workshop(): Workshop {
  const url = process.env.TEST_PG_URL as string
  const directory = mkdtempSync(join(tmpdir(), 'duolect-promote-'))
  const schemas: string[] = []
  const clients = new Map<string, pg.Client>()
  let count = 0

  async function client(of: string): Promise<pg.Client> {
    let found = clients.get(of)
    if (found === undefined) {
      found = new pg.Client({ connectionString: of })
      clients.set(of, found)
      await found.connect()
    }
    return found
  }

  before(() => {
    if (!url) throw new Error('TEST_PG_URL is not set. Run the tests with "npm test", which starts a server.')
  })
  after(async () => {
    for (const schema of schemas) await (await client(url)).query(`DROP SCHEMA ${schema} CASCADE`)
    for (const open of clients.values()) await open.end()
    rmSync(directory, { recursive: true, force: true })
  })
  return {
    file(...scripts) {
      const path = join(directory, `${++count}.sqlite`)
      const database = new Database(path)
      // Lets a script change sqlite_schema.
      database.unsafeMode(true)
      for (const script of scripts) database.exec(script)
      database.close()
      return path
    },
    async target() {
      const schema = `promote_${process.pid}_${schemas.length}`
      schemas.push(schema)
      await (await client(url)).query(`CREATE SCHEMA ${schema}`)
      return `${url}${url.includes('?') ? '&' : '?'}options=-c%20search_path%3D${schema}`
    },
    async query(of, sql) {
      return (await (await client(of)).query({ text: sql, rowMode: 'array' })).rows
    }
  }
}

/** Runs SQL on a SQLite file; rows as arrays. */
export function inFile(path: string, sql: string): unknown[][] {
  const database = new Database(path, { timeout: 5000 })
  try {
    const statement = database.prepare(sql)
    if (statement.reader) return statement.raw(true).safeIntegers(true).all() as unknown[][]
    statement.run()
    return []
  } finally {
    database.close()
  }
}

/** The tables of a file, and their names on Postgres: without quotes, A to Z become a to z. */
function tablesOf(path: string): { name: string; target: string }[] {
  return inFile(path, "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'").map(
    ([name, sql]) => {
      const isQuoted = /^CREATE TABLE ["`[]/.test(sql as string)
      return {
        name: name as string,
        target: isQuoted ? (name as string) : (name as string).replace(/[A-Z]/g, letter => letter.toLowerCase())
      }
    }
  )
}

/** A value as a text that is the same for what duolect reads alike. A NUMERIC is a string there, a number here. */
function show(value: unknown): string {
  if (value instanceof Date) return `time ${value.toISOString()}`
  if (Buffer.isBuffer(value)) return `bytes ${value.toString('hex')}`
  if (typeof value === 'bigint' || typeof value === 'number') return Number.isInteger(value) ? `number ${BigInt(value)}` : `number ${value}`
  if (typeof value !== 'object' || value === null) return `${typeof value} ${JSON.stringify(value)}`
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`
  return `{${Object.entries(value)
    .map(([name, inner]) => `${JSON.stringify(name)}: ${show(inner)}`)
    .sort()
    .join(', ')}}`
}

function toNumber(decimal: string): number | bigint {
  return /^-?\d{1,19}$/.test(decimal) ? BigInt(decimal) : Number(decimal)
}

/** Returns the tables whose rows duolect reads otherwise from Postgres than from the file. */
export async function differences(path: string, url: string): Promise<string[]> {
  const file = createDatabase({ postgres: { enabled: false }, sqlite: { location: path, readOnly: true } })
  const postgres = createDatabase(url)
  const found: string[] = []
  try {
    for (const { name, target } of tablesOf(path)) {
      const before = await file.all(`SELECT * FROM "${name.replaceAll('"', '""')}"`)
      const now = await postgres.all(`SELECT * FROM "${target.replaceAll('"', '""')}"`)
      const numeric = await postgres.all(
        `SELECT attnum FROM pg_attribute WHERE attrelid = $1::regclass AND atttypid = 'numeric'::regtype`,
        [`"${target.replaceAll('"', '""')}"`]
      )
      const isNumeric = new Set(numeric.map(({ attnum }) => (attnum as number) - 1))
      const lines = (rows: readonly object[]) => {
        const texts = rows.map(row =>
          Object.values(row).map((value, i) => show(isNumeric.has(i) && typeof value === 'string' ? toNumber(value) : value))
        )
        return texts.map(line => line.join(' | ')).sort()
      }
      const [left, right] = [lines(before), lines(now)]
      const at = left.findIndex((line, i) => line !== right[i])
      if (left.length !== right.length || at >= 0) found.push(`${name}: ${left[at]?.slice(0, 200)} <> ${right[at]?.slice(0, 200)}`)
    }
  } finally {
    await file.close()
    await postgres.close()
  }
  return found
}
