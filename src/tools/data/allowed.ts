/** Asks the databases which values the CHECKs of a column allow, since reading a CHECK would be guessing. */
import type { Handle } from '../../handle.ts'
import { sql } from '../../sql.ts'
import type { Side } from '../lab/lab.ts'
import { attempt } from './attempt.ts'
import type { Literals } from './literals.ts'
import { type AllowedValues, candidatesFor, checksOf, type LiteralsOf, namesIn } from './rows.ts'
import type { Column, Schema, Table } from './schema.ts'
import type { DataValue } from './values.ts'

/** Returns the values of each column that has a CHECK of its own. A CHECK of several columns is met by trying rows. */
export async function findAllowedValues(
  sides: readonly Pick<Side, 'db' | 'dialect'>[],
  schema: Schema,
  literals: Literals | LiteralsOf
): Promise<AllowedValues> {
  const allowed = new Map<string, readonly DataValue[]>()
  for (const table of schema.tables) {
    for (const column of table.columns) {
      const checks = checksOf(table, column).filter(check => isOfOne(table, column, check))
      if (checks.length === 0) continue
      const values: DataValue[] = []
      for (const value of candidatesFor(table, column, typeof literals === 'function' ? literals(column) : literals)) {
        if (await isAllowed(sides, column, checks, value)) values.push(value)
      }
      if (values.length > 0) allowed.set(`${table.name}.${column.name}`, values)
    }
  }
  return allowed
}

function isOfOne({ columns }: Table, column: Column, check: string): boolean {
  const names = namesIn(check)
  return columns.every(other => other.name === column.name || !names.has(other.name.toLowerCase()))
}

/** True if a CHECK is true or NULL wherever it can be asked; each was written for one of the databases. */
async function isAllowed(
  sides: readonly Pick<Side, 'db' | 'dialect'>[],
  column: Column,
  checks: readonly string[],
  value: DataValue
): Promise<boolean> {
  for (const { db } of sides) {
    for (const check of checks) {
      const outcome = await attempt(db, tx => ask(tx, column, check, value))
      if ('value' in outcome && outcome.value === false) return false
    }
  }
  return true
}

async function ask(handle: Handle, { name, typeName }: Column, check: string, value: DataValue): Promise<boolean> {
  const given = Buffer.isBuffer(value) || value instanceof Date || typeof value !== 'object' ? value : JSON.stringify(value)
  const typed = handle.dialect === 'sqlite' ? sql`${given}` : sql`CAST(${given} AS ${sql.unsafe(typeName)})`
  const condition = sql.unsafe(check.slice(check.indexOf('(')))
  const { ok } = await handle.one<{ ok: unknown }>(sql`SELECT ${condition} AS ok FROM (SELECT ${typed} AS ${sql.id(name)}) AS candidate`)
  return ok !== false && ok !== 0
}
