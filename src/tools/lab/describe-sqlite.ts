/** What SQLite says about a statement: the columns of tables among its columns, and their declared types. */
import { loadPackage } from '../../drivers/sqlite/load.ts'
import type { Handle } from '../../handle.ts'
import { statementOf } from '../../statement.ts'
import { DescribeError, type Describer } from './description.ts'
import { wordOfDeclared } from './types.ts'

interface NativeColumn {
  readonly name: string
  readonly type: string | null
  readonly table: string | null
  readonly column: string | null
}

/** What is used of the package that SQLite runs on. */
interface Native {
  exec(sql: string): void
  prepare(sql: string): { columns(): NativeColumn[]; readonly reader: boolean; readonly readonly: boolean }
  close(): unknown
}

/** Makes a describer that knows the tables of a database as they are now. */
export async function openSqliteDescriber(db: Handle): Promise<Describer> {
  const Sqlite = await loadPackage(undefined)
  const native = new Sqlite(':memory:', { timeout: 0 }) as unknown as Native
  const schema = await db.all<{ sql: string }>(
    "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
  )
  for (const { sql } of schema) {
    try {
      native.exec(sql)
    } catch (error) {
      // A virtual table makes its own tables.
      if (!/already exists/.test((error as Error).message)) throw error
    }
  }
  const notNull = new Map<string, boolean>()

  async function isNotNull({ table, column }: NativeColumn): Promise<boolean> {
    if (table === null || column === null) return false
    if (!notNull.has(`${table}.${column}`)) {
      const columns = await db.all<{ name: string; type: string; required: number; key: number }>(
        'SELECT name, type, "notnull" AS required, pk AS key FROM pragma_table_info(:table)',
        { table }
      )
      const isRowid = (type: string) => /^integer$/i.test(type) && columns.filter(({ key }) => key > 0).length === 1
      for (const { name, type, required, key } of columns) {
        // Another primary key may hold NULL in SQLite.
        notNull.set(`${table}.${name}`, required === 1 || (key === 1 && isRowid(type)))
      }
    }
    return notNull.get(`${table}.${column}`) ?? false
  }

  return {
    async describe(text) {
      const statement = statementOf(text, 'sqlite')
      let columns: NativeColumn[] = []
      let writes = false
      try {
        const prepared = native.prepare(statement.text)
        writes = !prepared.readonly
        if (prepared.reader) columns = prepared.columns()
      } catch (error) {
        const { message, code } = error as { message: string; code?: string }
        throw new DescribeError(message, code, undefined)
      }
      // Of a compound SELECT, SQLite describes the first part, whose declared types decode all of it.
      const isCompound = /\b(?:union|intersect|except)\b/i.test(text)
      const described = columns.map(async column => ({
        name: column.name,
        type: wordOfDeclared(column.type),
        typeName: column.type ?? 'an expression',
        isPlain: column.column !== null && !isCompound,
        isNotNull: await isNotNull(column),
        table: column.table ?? undefined,
        column: column.column ?? undefined
      }))
      return {
        parameters: (statement.names ?? []).map(name => ({ name, type: undefined, typeName: 'unknown' })),
        columns: await Promise.all(described),
        writes
      }
    },
    close: async () => {
      native.close()
    }
  }
}
