/** The tables of a database as it reports them, and those of both as one. */
import type { Dialect } from '../../adapter.ts'
import type { TypeWord } from '../../files/types.ts'
import type { Handle } from '../../handle.ts'
import { tokens } from '../../lexer.ts'
import { wordOfDeclared, wordOfOid } from '../lab/types.ts'

export interface Schema {
  readonly tables: readonly Table[]
  /** True if a trigger may write into a table that the statement does not name. */
  readonly hasTriggers?: boolean
}

export interface Table {
  readonly name: string
  readonly columns: readonly Column[]
  /** The columns of each unique key, the primary key among them. */
  readonly keys: readonly (readonly string[])[]
  readonly foreignKeys: readonly ForeignKey[]
  /** The CHECK constraints as SQL. */
  readonly checks: readonly string[]
  /** The databases that have it. */
  readonly dialects: readonly Dialect[]
}

export interface Column {
  readonly name: string
  /** Undefined for a type that only Postgres has. */
  readonly type: TypeWord | undefined
  /** The type as Postgres names it, such as `character varying(5)`; else as SQLite declares it. */
  readonly typeName: string
  readonly isNotNull: boolean
  /** True if the database computes it from other columns, so that nothing can be put into it. */
  readonly isComputed: boolean
  /** The sequence that gives its values, in Postgres. */
  readonly sequence: string | undefined
}

export interface ForeignKey {
  readonly columns: readonly string[]
  readonly table: string
  /** Its columns there, in the same order. */
  readonly references: readonly string[]
}

/** duolect's record of migrations, which no query of a module reads. */
const OWN = 'duolect_migrations'

/** Reads the tables of a database. */
export async function readSchema(db: Handle): Promise<Schema> {
  const tables = db.dialect === 'sqlite' ? await readSqlite(db) : await readPostgres(db)
  const triggers =
    db.dialect === 'sqlite'
      ? "SELECT count(*) AS count FROM sqlite_master WHERE type = 'trigger'"
      : 'SELECT count(*) AS count FROM pg_trigger WHERE NOT tgisinternal'
  const { count } = await db.one<{ count: number }>(triggers)
  return { tables: tables.filter(({ name }) => name !== OWN), hasTriggers: count > 0 }
}

// Postgres --------------------------------------------------------------------------------------------------------

async function readPostgres(db: Handle): Promise<Table[]> {
  // Older servers lack some columns of the catalogue; those of a row's JSON are null then.
  const columns = await db.all<{
    table: string
    column: string
    type: number
    typeName: string
    isNotNull: boolean
    isComputed: boolean
    sequence: string | null
  }>(`SELECT relname AS table, attname AS column, atttypid::INTEGER AS type, format_type(atttypid, atttypmod) AS "typeName",
      attnotnull AS "isNotNull", coalesce(to_jsonb(a) ->> 'attgenerated', '') <> '' AS "isComputed",
      pg_get_serial_sequence(quote_ident(relname), attname) AS sequence
    FROM pg_class AS c JOIN pg_attribute AS a ON attrelid = c.oid
    WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace AND attnum > 0 AND NOT attisdropped
    ORDER BY relname, attnum`)
  const keys = await db.all<{ table: string; columns: string }>(`SELECT relname AS table, array_to_json(ARRAY(
        SELECT attname FROM unnest(indkey::INTEGER[]) WITH ORDINALITY AS k (number, place) JOIN pg_attribute ON attrelid = indrelid AND attnum = number
        ORDER BY place))::TEXT AS columns
    FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
    WHERE indisunique AND indpred IS NULL AND indexprs IS NULL AND relnamespace = current_schema()::regnamespace`)
  const constraints = await db.all<{ table: string; kind: string; columns: string; target: string | null; targets: string; text: string }>(
    `SELECT c.relname AS table, contype::TEXT AS kind, pg_get_constraintdef(k.oid) AS text, t.relname AS target,
      array_to_json(ARRAY(SELECT attname FROM unnest(conkey) WITH ORDINALITY AS u (number, place)
        JOIN pg_attribute ON attrelid = conrelid AND attnum = number ORDER BY place))::TEXT AS columns,
      array_to_json(ARRAY(SELECT attname FROM unnest(confkey) WITH ORDINALITY AS u (number, place)
        JOIN pg_attribute ON attrelid = confrelid AND attnum = number ORDER BY place))::TEXT AS targets
    FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = conrelid LEFT JOIN pg_class AS t ON t.oid = confrelid
    WHERE contype IN ('f', 'c') AND c.relnamespace = current_schema()::regnamespace ORDER BY k.oid`
  )
  return [...new Set(columns.map(({ table }) => table))].map(name => {
    const isHere = ({ table }: { readonly table: string }) => table === name
    const own = constraints.filter(isHere)
    return {
      name,
      columns: columns.filter(isHere).map(({ column, type, typeName, isNotNull, isComputed, sequence }) => ({
        name: column,
        type: wordOfOid(type),
        typeName,
        isNotNull,
        isComputed,
        sequence: sequence ?? undefined
      })),
      keys: keys.filter(isHere).map(key => JSON.parse(key.columns) as string[]),
      foreignKeys: own
        .filter(({ kind }) => kind === 'f')
        .map(key => ({ columns: JSON.parse(key.columns), table: key.target as string, references: JSON.parse(key.targets) })),
      checks: own.filter(({ kind }) => kind === 'c').map(({ text }) => text),
      dialects: ['postgres']
    }
  })
}

// SQLite ----------------------------------------------------------------------------------------------------------

async function readSqlite(db: Handle): Promise<Table[]> {
  const tables = await db.all<{ name: string; sql: string }>(
    "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
  )
  return Promise.all(tables.map(({ name, sql }) => readSqliteTable(db, name, sql)))
}

async function readSqliteTable(db: Handle, name: string, sql: string): Promise<Table> {
  const columns = await db.all<{ name: string; type: string; required: number; key: number; hidden: number }>(
    'SELECT name, type, "notnull" AS required, pk AS key, hidden FROM pragma_table_xinfo(:name) ORDER BY cid',
    { name }
  )
  const indexes = await db.all<{ name: string }>('SELECT name FROM pragma_index_list(:name) WHERE "unique" AND NOT partial', { name })
  const keys = await Promise.all(
    indexes.map(index =>
      db.all<{ name: string | null }>('SELECT name FROM pragma_index_info(:index) ORDER BY seqno', { index: index.name })
    )
  )
  const foreign = await db.all<{ id: number; table: string; from: string; to: string | null }>(
    'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(:name) ORDER BY id, seq',
    { name }
  )
  const primary = columns.filter(({ key }) => key > 0).sort((a, b) => a.key - b.key)
  const primaryKey = primary.map(column => column.name)
  const foreignKeys: ForeignKey[] = []
  for (const id of new Set(foreign.map(({ id }) => id))) {
    const parts = foreign.filter(part => part.id === id)
    const [{ table }] = parts as [(typeof parts)[number]]
    const target = await db.all<{ name: string }>('SELECT name FROM pragma_table_info(:table) WHERE pk > 0 ORDER BY pk', { table })
    foreignKeys.push({
      columns: parts.map(({ from }) => from),
      table,
      references: parts.map(({ to }, i) => to ?? (target[i]?.name as string))
    })
  }
  return {
    name,
    columns: columns.map(column => ({
      name: column.name,
      type: wordOfDeclared(column.type),
      typeName: column.type,
      isNotNull: column.required === 1 || (primaryKey.length === 1 && column.key === 1 && /^integer$/i.test(column.type)),
      isComputed: column.hidden > 1,
      sequence: undefined
    })),
    keys: [primaryKey, ...keys.map(parts => parts.flatMap(part => (part.name === null ? [] : [part.name])))].filter(key => key.length > 0),
    foreignKeys,
    checks: checksOf(sql),
    dialects: ['sqlite']
  }
}

/** The CHECK constraints of CREATE TABLE. */
function checksOf(sql: string): string[] {
  const checks: string[] = []
  let start = -1
  let depth = 0
  for (const token of tokens(sql, 'sqlite')) {
    const text = sql.slice(token.start, token.end)
    if (token.kind === 'word' && /^check$/i.test(text)) {
      start = token.start
      depth = 0
    } else if (start !== -1 && token.kind === 'symbol') {
      if (text === '(') depth++
      else if (text === ')' && --depth === 0) {
        checks.push(sql.slice(start, token.end))
        start = -1
      }
    }
  }
  return checks
}

// Both ------------------------------------------------------------------------------------------------------------

/**
 * The tables of both databases as one: what fits into them fits into both. The order is that of foreign keys: a table
 * comes behind those that it refers to.
 */
export function mergeSchemas(schemas: readonly Schema[]): Schema {
  const tables = new Map<string, Table>()
  // Postgres is the stricter one, so its types come last and win.
  for (const schema of schemas) {
    for (const table of schema.tables) {
      const known = tables.get(table.name)
      tables.set(table.name, known === undefined ? table : mergeTables(known, table))
    }
  }
  return { tables: inOrder([...tables.values()]), hasTriggers: schemas.some(({ hasTriggers }) => hasTriggers) }
}

function mergeTables(first: Table, second: Table): Table {
  const columns = second.columns.flatMap(column => {
    const other = first.columns.find(({ name }) => name === column.name)
    if (other === undefined) return []
    return [{ ...column, isNotNull: column.isNotNull || other.isNotNull, isComputed: column.isComputed || other.isComputed }]
  })
  return {
    name: first.name,
    columns,
    keys: distinct([...first.keys, ...second.keys]),
    foreignKeys: distinct([...first.foreignKeys, ...second.foreignKeys]),
    checks: [...first.checks, ...second.checks],
    dialects: [...first.dialects, ...second.dialects]
  }
}

function distinct<T>(values: readonly T[]): T[] {
  const seen = new Map(values.map(value => [JSON.stringify(value), value]))
  return [...seen.values()]
}

function inOrder(tables: readonly Table[]): Table[] {
  const sorted: Table[] = []
  const visiting = new Set<string>()
  const visit = (table: Table) => {
    if (sorted.includes(table) || visiting.has(table.name)) return
    visiting.add(table.name)
    for (const { table: target } of table.foreignKeys) {
      const other = tables.find(({ name }) => name.toLowerCase() === target.toLowerCase())
      if (other !== undefined) visit(other)
    }
    sorted.push(table)
  }
  for (const table of tables) visit(table)
  return sorted
}
