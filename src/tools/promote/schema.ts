/** Reads the schema of a SQLite file: its PRAGMAs, and what only the CREATE texts say. */
import { type CheckText, readIndexText, readTableText, type TableText, type WrittenName } from './create-text.ts'
import type { SqliteFile } from './file.ts'
import { foldName, quoteName, quoteText } from './quote.ts'
import { readSeal, SEAL_PREFIX, type Seal } from './seal.ts'

export interface SourceColumn extends WrittenName {
  /** The declared type; empty without one. */
  readonly type: string
  readonly isNotNull: boolean
  /** The text of DEFAULT. */
  readonly default: string | undefined
  /** In capitals. */
  readonly collation: string
  /** The expression that computes it. */
  readonly generatedAs: string | undefined
}

export interface SourceTerm {
  /** The column, or undefined for an expression. */
  readonly column: string | undefined
  readonly expression: string
  /** In capitals. */
  readonly collation: string
  readonly isDescending: boolean
}

export interface SourceIndex extends WrittenName {
  readonly isUnique: boolean
  /** True for the one that a UNIQUE constraint made, false for CREATE INDEX. */
  readonly isConstraint: boolean
  readonly terms: readonly SourceTerm[]
  readonly where: string | undefined
}

export interface SourceForeignKey {
  readonly name: string | undefined
  readonly columns: readonly string[]
  readonly parent: string
  /** Empty for the primary key. */
  readonly parentColumns: readonly string[]
  readonly onUpdate: string
  readonly onDelete: string
  readonly isDeferred: boolean
}

export interface SourceTable extends WrittenName {
  readonly columns: readonly SourceColumn[]
  /** The primary key's columns, in its order. */
  readonly key: readonly SourceTerm[]
  /** The column that is the rowid: SQLite gives it the next number. */
  readonly idColumn: string | undefined
  readonly isAutoIncrement: boolean
  /** The name by which the rowid can be read; undefined in a table WITHOUT ROWID, and where columns have all its names. */
  readonly rowId: string | undefined
  readonly indexes: readonly SourceIndex[]
  readonly foreignKeys: readonly SourceForeignKey[]
  readonly checks: readonly CheckText[]
  readonly conflictClauses: readonly string[]
  /** How its texts are stored, as TextDecoder calls it. */
  readonly encoding: string
}

export interface SourceSchema {
  readonly tables: readonly SourceTable[]
  readonly views: readonly string[]
  readonly triggers: readonly { readonly name: string; readonly table: string }[]
  readonly virtualTables: readonly string[]
  /** How the file was sealed; undefined for an open one. */
  readonly seal: Seal | undefined
  /** True if texts are stored in UTF-16. */
  readonly isUtf16: boolean
}

/** Reads the schema. The caller has a transaction open, so that it stays as it is. */
export function readSchema(file: SqliteFile): SourceSchema {
  const kinds = new Map(
    file.rows('PRAGMA main.table_list').map(([, name, type, , withoutRowId]) => [name as string, { type, withoutRowId }])
  )
  const names = file.rows(
    "SELECT name, sql FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
  )
  const ofType = (type: string) => names.filter(([name]) => kinds.get(name as string)?.type === type)
  const triggers = file.rows("SELECT name, tbl_name FROM main.sqlite_schema WHERE type = 'trigger' ORDER BY rowid")
  return {
    tables: ofType('table').map(([name, sql]) =>
      readTable(file, name as string, sql as string, kinds.get(name as string)?.withoutRowId === 1n)
    ),
    views: file.rows("SELECT name FROM main.sqlite_schema WHERE type = 'view' ORDER BY rowid").map(([name]) => name as string),
    triggers: triggers
      .map(([name, table]) => ({ name: name as string, table: table as string }))
      .filter(({ name }) => !name.startsWith(SEAL_PREFIX)),
    virtualTables: ofType('virtual').map(([name]) => name as string),
    seal: readSeal(file),
    isUtf16: (file.value('PRAGMA main.encoding') as string) !== 'UTF-8'
  }
}

function readTable(file: SqliteFile, name: string, sql: string, isWithoutRowId: boolean): SourceTable {
  const text = readTableText(sql)
  const infos = file.rows(`PRAGMA main.table_xinfo(${quoteText(name)})`)
  const columns = infos.map(info => readColumn(info, text))
  const indexes = file.rows(`PRAGMA main.index_list(${quoteText(name)})`).reverse()
  const ofKey = indexes.find(([, , , origin]) => origin === 'pk')
  const keyNames = infos
    .filter(info => (info[5] as bigint) > 0n)
    .sort((a, b) => Number((a[5] as bigint) - (b[5] as bigint)))
    .map(info => info[1] as string)
  const named = new Set(columns.map(column => foldName(column.name)))
  return {
    name,
    isQuoted: text.isQuoted,
    columns,
    key: ofKey === undefined ? keyNames.map(column => plainTerm(column)) : termsOf(file, ofKey[1] as string, undefined),
    // Only INTEGER PRIMARY KEY is the rowid itself, and has no index.
    idColumn: !isWithoutRowId && keyNames.length === 1 && ofKey === undefined ? keyNames[0] : undefined,
    isAutoIncrement: text.isAutoIncrement,
    rowId: isWithoutRowId ? undefined : ['rowid', '_rowid_', 'oid'].find(alias => !named.has(alias)),
    indexes: indexes.filter(([, , , origin]) => origin !== 'pk').map(index => readIndex(file, index)),
    foreignKeys: readForeignKeys(file, name, text),
    checks: text.checks,
    conflictClauses: text.conflictClauses,
    encoding: String(file.value('PRAGMA main.encoding')).toLowerCase()
  }
}

function readColumn(info: readonly unknown[], text: TableText): SourceColumn {
  const [, name, type, isNotNull, defaultText] = info as [bigint, string, string, bigint, string | null]
  const written = text.columns.find(column => foldName(column.name) === foldName(name))
  return {
    name,
    isQuoted: written?.isQuoted ?? true,
    type: type.replace(/\s*GENERATED ALWAYS$/i, ''),
    isNotNull: isNotNull === 1n,
    default: defaultText ?? undefined,
    collation: written?.collation ?? 'BINARY',
    generatedAs: written?.generatedAs
  }
}

function plainTerm(column: string): SourceTerm {
  return { column, expression: quoteName(column), collation: 'BINARY', isDescending: false }
}

function termsOf(file: SqliteFile, index: string, texts: readonly { readonly expression: string }[] | undefined): SourceTerm[] {
  return file
    .rows(`PRAGMA main.index_xinfo(${quoteText(index)})`)
    .filter(([, , , , , isKey]) => isKey === 1n)
    .map(([, , column, isDescending, collation], i) => ({
      column: (column as string | null) ?? undefined,
      expression: column === null ? (texts?.[i]?.expression ?? '') : quoteName(column as string),
      collation: (collation as string).toUpperCase(),
      isDescending: isDescending === 1n
    }))
}

function readIndex(file: SqliteFile, info: readonly unknown[]): SourceIndex {
  const [, name, isUnique, origin] = info as [bigint, string, bigint, string]
  const sql = file.value("SELECT sql FROM main.sqlite_schema WHERE type = 'index' AND name = ?", name)
  const text = typeof sql === 'string' ? readIndexText(sql) : undefined
  return {
    name,
    isQuoted: text?.isQuoted ?? false,
    isUnique: isUnique === 1n,
    isConstraint: origin === 'u',
    terms: termsOf(file, name, text?.terms),
    where: text?.where
  }
}

function readForeignKeys(file: SqliteFile, table: string, text: TableText): SourceForeignKey[] {
  const keys = new Map<number, { columns: string[]; parentColumns: string[]; info: readonly unknown[] }>()
  for (const info of file.rows(`PRAGMA main.foreign_key_list(${quoteText(table)})`)) {
    const [id, , , from, to] = info as [bigint, bigint, string, string, string | null]
    const key = keys.get(Number(id)) ?? { columns: [], parentColumns: [], info }
    key.columns.push(from)
    if (to !== null) key.parentColumns.push(to)
    keys.set(Number(id), key)
  }
  // SQLite numbers them from the last one.
  return [...keys]
    .sort(([a], [b]) => b - a)
    .map(([, { columns, parentColumns, info }], i) => ({
      name: text.foreignKeys[i]?.name,
      columns,
      parent: info[2] as string,
      parentColumns,
      onUpdate: info[5] as string,
      onDelete: info[6] as string,
      isDeferred: text.foreignKeys[i]?.isDeferred ?? false
    }))
}
