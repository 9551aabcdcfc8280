/** Finds stored values that the other database would refuse or read differently. */
import type { Dialect, Handle } from 'duolect'

/** Values of a column that are not portable. */
export interface Unportable {
  /** The table's name. */
  readonly table: string
  /** The column's name. */
  readonly column: string
  /** The column's declared type. */
  readonly type: string
  /** What is wrong with the values. */
  readonly problem: string
  /** Number of rows. */
  readonly count: number
}

/** A rule for columns of some types: values for which the condition is true are not portable. */
interface Rule {
  readonly types: RegExp
  readonly problem: (type: string) => string
  /** @param column the column's name, quoted */
  readonly condition: (column: string, type: string) => string
}

const INTEGERS = /^(INT|INTEGER|INT4|MEDIUMINT)$/i
const TEXTS = /CHAR|CLOB|TEXT|UUID/i

const RULES: Record<Dialect, readonly Rule[]> = {
  sqlite: [
    { types: /^JSONB?$/i, problem: () => 'is no JSON', condition: column => `NOT json_valid(${column})` },
    {
      types: /^(TIMESTAMP|DATETIME)/i,
      problem: () =>
        'is a time in another form than duolect stores, such as that of CURRENT_TIMESTAMP, so it compares wrongly; use sql.now',
      condition: column => `typeof(${column}) <> 'text' OR strftime('%Y-%m-%dT%H:%M:%fZ', ${column}) IS NOT ${column}`
    },
    {
      types: /^DATE$/i,
      problem: () => 'is no day, or has a time in it; use sql.day()',
      condition: column => `date(${column}) IS NOT ${column}`
    },
    {
      types: /^BOOL/i,
      problem: () => 'is neither TRUE nor FALSE',
      condition: column => `typeof(${column}) <> 'integer' OR ${column} NOT IN (0, 1)`
    },
    {
      types: INTEGERS,
      problem: () => 'has no place in the 32 bits of an INTEGER of Postgres; declare the column BIGINT',
      condition: column => `typeof(${column}) = 'integer' AND ${column} NOT BETWEEN -2147483648 AND 2147483647`
    },
    {
      types: /^SMALLINT$/i,
      problem: () => 'has no place in the 16 bits of a SMALLINT of Postgres',
      condition: column => `typeof(${column}) = 'integer' AND ${column} NOT BETWEEN -32768 AND 32767`
    },
    { types: /INT/i, problem: () => 'is no integer', condition: column => `typeof(${column}) <> 'integer'` },
    { types: /REAL|FLOA|DOUB/i, problem: () => 'is no number', condition: column => `typeof(${column}) NOT IN ('real', 'integer')` },
    {
      types: /BLOB|BYTEA/i,
      problem: () => 'is a string or a number where bytes belong',
      condition: column => `typeof(${column}) <> 'blob'`
    },
    { types: TEXTS, problem: () => 'is no string', condition: column => `typeof(${column}) <> 'text'` },
    {
      types: TEXTS,
      problem: () => 'has a NUL character, which Postgres cannot store',
      condition: column => `typeof(${column}) = 'text' AND instr(${column}, char(0)) > 0`
    },
    {
      types: /^(VAR)?CHAR(ACTER)?( VARYING)? *\(\d+\)$/i,
      problem: type => `is longer than ${type}`,
      condition: (column, type) => `length(${column}) > ${/\d+/.exec(type)?.[0]}`
    }
  ],
  postgres: [
    {
      types: /^timestamp/i,
      problem: () => 'is infinite, before the year 0 or after 9999, which SQLite cannot store',
      condition: column => `${column} NOT BETWEEN '0001-01-01' AND '9999-12-31 23:59:59'`
    },
    {
      types: /^timestamp/i,
      problem: () => 'has microseconds, which SQLite would not keep',
      condition: column => `isfinite(${column}) AND date_trunc('milliseconds', ${column}) <> ${column}`
    },
    {
      types: /^date$/i,
      problem: () => 'is infinite or has a year beyond 9999',
      condition: column => `${column} NOT BETWEEN '0001-01-01' AND '9999-12-31'`
    },
    { types: /^numeric/i, problem: () => 'is no number', condition: column => `${column} = 'NaN'` },
    {
      types: /^(double precision|real)$/i,
      problem: () => 'is no number, which SQLite stores as NULL',
      condition: column => `${column} = 'NaN'`
    }
  ]
}

/**
 * Finds stored values that the other database would refuse or read differently: a string that is no JSON, a time in the
 * form of CURRENT_TIMESTAMP, more than 32 bits in an INTEGER, more characters than a VARCHAR(n) holds.
 *
 * Reads every table of the database once. NULL is portable everywhere.
 *
 * @returns a line for each column and problem, by table; empty when all values are portable
 *
 * @example
 * assert.deepEqual(await findUnportable(db), [])
 */
export async function findUnportable(db: Handle): Promise<Unportable[]> {
  const found: Unportable[] = []
  for (const { table, column, type } of await columnsOf(db)) {
    const rules = RULES[db.dialect].filter(({ types }) => types.test(type))
    for (const { problem, condition } of rules) {
      const quoted = quote(column)
      const text = `SELECT count(*) AS count FROM ${quote(table)} WHERE ${quoted} IS NOT NULL AND (${condition(quoted, type)})`
      const { count } = await db.one<{ count: number }>(text)
      if (count > 0) found.push({ table, column, type, problem: problem(type), count })
    }
  }
  return found
}

interface Column {
  readonly table: string
  readonly column: string
  readonly type: string
}

function columnsOf(db: Handle): Promise<Column[]> {
  return db.dialect === 'sqlite'
    ? db.all(
        `SELECT tables.name AS "table", columns.name AS "column", columns.type AS type
         FROM pragma_table_list AS tables, pragma_table_info(tables.name) AS columns
         WHERE tables.type = 'table' AND tables.schema = 'main' AND tables.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
         ORDER BY 1, columns.cid`
      )
    : db.all(
        `SELECT classes.relname AS "table", attname AS "column", format_type(atttypid, atttypmod) AS type
         FROM pg_attribute JOIN pg_class AS classes ON classes.oid = attrelid
         WHERE classes.relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped AND pg_table_is_visible(classes.oid)
           AND classes.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
         ORDER BY 1, attnum`
      )
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
