/** What the types of a schema mean on one database alone: said once a column, whatever the queries do with it. Pure. */
import type { Column, Schema, Table } from '../data/schema.ts'

/** A rule of the schema, and the column that it is about. */
export interface SchemaNote {
  readonly table: string
  readonly column: string
  /** Stable, for tools: `varchar-length`. */
  readonly name: string
  /** One sentence: what each database does. */
  readonly title: string
  /** One sentence: what to declare, so that both do the same. */
  readonly mend: string
}

interface SchemaRule {
  readonly name: string
  readonly title: string
  readonly mend: string
  /** Types are named as on Postgres, since the schema is that of both. */
  fits(column: Column, table: Table): boolean
}

function hasType(pattern: RegExp): SchemaRule['fits'] {
  return ({ typeName }) => pattern.test(typeName)
}

/** True for a column that is a key by itself and could number the rows. */
function isIntegerKey({ name, type }: Column, { keys, foreignKeys }: Table): boolean {
  const [primary = []] = keys
  const refers = foreignKeys.some(({ columns }) => columns.includes(name))
  return primary.length === 1 && primary[0] === name && (type === 'integer' || type === 'bigint') && !refers
}

/** Of a column's rules, the first that fits is the one that is said. */
export const SCHEMA_RULES: readonly SchemaRule[] = [
  {
    name: 'reused-id',
    title: 'An INTEGER PRIMARY KEY numbers rows on SQLite alone, where the id of a deleted last row is given again.',
    mend: 'Declare it with sql.autoId; where the program gives the ids, BIGINT NOT NULL PRIMARY KEY.',
    fits: (column, table) => isIntegerKey(column, table) && !/^bigint$/i.test(column.typeName)
  },
  {
    name: 'integer-32-bits',
    title: 'An integer column has 64 bits on SQLite; on Postgres INTEGER has 32 and SMALLINT 16, and a larger value fails.',
    mend: 'Declare BIGINT where milliseconds, ids of others or sums may come.',
    fits: hasType(/^(?:integer|int|int4|smallint|int2)$/i)
  },
  {
    name: 'varchar-length',
    title: 'Postgres enforces the length of VARCHAR(n), and SQLite does not.',
    mend: 'Declare TEXT with CHECK (length(x) <= n), which both hold to.',
    fits: hasType(/^(?:character varying|varchar)\s*\(/i)
  },
  {
    name: 'char-padding',
    title: 'Postgres pads CHAR(n) with blanks, and SQLite does not.',
    mend: 'Declare TEXT with CHECK (length(x) = n).',
    fits: hasType(/^(?:character|char|bpchar)\b(?! varying)/i)
  },
  {
    name: 'real',
    title: 'REAL has 64 bits on SQLite and 32 on Postgres.',
    mend: 'Declare DOUBLE PRECISION.',
    fits: hasType(/^(?:real|float4)$/i)
  },
  {
    name: 'numeric-as-text',
    title: 'NUMERIC is exact on Postgres; the text that SQLite keeps sorts and compares as text, with 10 before 9.',
    mend: 'Declare BIGINT of the smallest unit.',
    fits: hasType(/^(?:numeric|decimal)\b/i)
  },
  {
    name: 'zone-ignored',
    title: 'A TIMESTAMP column ignores the time zone of a string on Postgres, and SQLite applies it.',
    mend: 'Declare TIMESTAMPTZ.',
    fits: hasType(/^timestamp(?:\(\d\))? without/i)
  },
  {
    name: 'date-with-time',
    title: 'A DATE column keeps the whole time of a Date on SQLite, and its day on Postgres.',
    mend: 'Write sql.day(time) into it.',
    fits: hasType(/^date$/i)
  },
  {
    name: 'uuid-case',
    title: 'Postgres stores a UUID in lower case, SQLite as it was given.',
    mend: 'Give UUIDs in lower case, as randomUUID() does.',
    fits: hasType(/^uuid$/i)
  },
  {
    name: 'jsonb-form',
    title: 'Postgres drops the blanks, the order of members and doubled members of JSONB; SQLite keeps the text.',
    mend: 'Declare JSON.',
    fits: hasType(/^jsonb$/i)
  }
]

/**
 * Returns what is to be known of a schema's columns, one note a column at most.
 *
 * @param schema that of both databases, as `mergeSchemas` makes it
 */
export function schemaNotes(schema: Schema): SchemaNote[] {
  return schema.tables.flatMap(table =>
    table.columns.flatMap(column => {
      const rule = SCHEMA_RULES.find(({ fits }) => fits(column, table))
      if (rule === undefined) return []
      const { name, title, mend } = rule
      return [{ table: table.name, column: column.name, name, title, mend }]
    })
  )
}
