/** What Postgres says about a statement without running it: the types of its parameters and columns. */
import { statementOf } from '../../statement.ts'
import { connect } from '../servers/connect.ts'
import { DescribeError, type Describer, type Description } from './description.ts'
import { wordOfOid } from './types.ts'

interface Field {
  readonly name: string
  readonly tableID: number
  readonly columnID: number
  readonly dataTypeID: number
}

/** What is used of pg's connection. */
interface NativeConnection {
  parse(query: { name: string; text: string; types: readonly number[] }): void
  describe(target: { type: 'S'; name: string }): void
  sync(): void
  on(event: 'parameterDescription', listener: (message: { dataTypeIDs: number[] }) => void): void
}

/** A query of pg that parses and describes, and runs nothing. */
class DescribeQuery {
  readonly done: Promise<readonly Field[]>
  readonly #text: string
  readonly #types: readonly number[]
  #fields: readonly Field[] = []
  #resolve: (fields: readonly Field[]) => void = () => undefined
  #reject: (error: unknown) => void = () => undefined

  constructor(text: string, types: readonly number[]) {
    this.#text = text
    this.#types = types
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  submit(connection: NativeConnection): void {
    connection.parse({ name: '', text: this.#text, types: this.#types })
    connection.describe({ type: 'S', name: '' })
    connection.sync()
  }

  handleRowDescription({ fields }: { fields: readonly Field[] }): void {
    this.#fields = fields
  }

  handleReadyForQuery(): void {
    this.#resolve(this.#fields)
  }

  handleError(error: unknown): void {
    this.#reject(error)
  }
}

export async function openPostgresDescriber(url: string): Promise<Describer> {
  const client = await connect(url)
  let parameterTypes: readonly number[] = []
  const { connection } = client as unknown as { connection: NativeConnection }
  connection.on('parameterDescription', ({ dataTypeIDs }) => {
    parameterTypes = dataTypeIDs
  })

  async function describe(text: string, types: ReadonlyMap<string, number> = new Map()): Promise<Description> {
    const statement = statementOf(text, 'postgres')
    parameterTypes = []
    // 0 lets the statement decide.
    const query = new DescribeQuery(statement.text, statement.names?.map(name => types.get(name) ?? 0) ?? [])
    client.query(query as never)
    const fields = await query.done.catch(error => {
      const { message, position, code } = error as { message: string; position?: string; code?: string }
      throw new DescribeError(message, code, position === undefined ? undefined : originalOffset(text, Number(position) - 1))
    })
    const [columns, typeNames] = await Promise.all([
      originsOf(fields),
      namesOf([...fields.map(({ dataTypeID }) => dataTypeID), ...parameterTypes])
    ])
    const parameters = (statement.names ?? []).map((name, i) => {
      const oid = parameterTypes[i] as number
      return { name, type: wordOfOid(oid), typeName: typeNames.get(oid) ?? String(oid) }
    })
    return {
      parameters,
      columns: fields.map((field, i) => ({
        name: field.name,
        type: wordOfOid(field.dataTypeID),
        typeName: typeNames.get(field.dataTypeID) ?? String(field.dataTypeID),
        isPlain: columns[i] !== undefined,
        isNotNull: columns[i]?.isNotNull ?? false,
        table: columns[i]?.table,
        column: columns[i]?.column
      })),
      writes: !/^\s*(?:select|with|values|table)\b/i.test(text) || /\b(?:insert|update|delete|merge)\b/i.test(text)
    }
  }

  /** The columns of tables that the fields are, without those of views. */
  async function originsOf(fields: readonly Field[]): Promise<({ table: string; column: string; isNotNull: boolean } | undefined)[]> {
    const { rows } = await client.query<{ table: number; number: number; name: string; column: string; notNull: boolean }>(
      `SELECT attrelid::INTEGER AS table, attnum::INTEGER AS number, relname AS name, attname AS column, attnotnull AS "notNull"
       FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
       WHERE relkind IN ('r', 'p') AND attrelid = ANY ($1::oid[])`,
      [fields.map(({ tableID }) => tableID)]
    )
    return fields.map(({ tableID, columnID }) => {
      const found = rows.find(({ table, number }) => table === tableID && number === columnID)
      return found && { table: found.name, column: found.column, isNotNull: found.notNull }
    })
  }

  async function namesOf(oids: readonly number[]): Promise<Map<number, string>> {
    const { rows } = await client.query<{ oid: number; name: string }>(
      'SELECT oid::INTEGER AS oid, format_type(oid, NULL) AS name FROM pg_type WHERE oid = ANY ($1::oid[])',
      [oids]
    )
    return new Map(rows.map(({ oid, name }) => [oid, name]))
  }

  return { describe, close: () => client.end() }
}

/** Where an offset in the text with `$1` stands in the text with `:name`. */
function originalOffset(text: string, offset: number): number {
  const { positions, uses, names } = statementOf(text, 'postgres')
  let shift = 0
  for (const [i, position] of positions.entries()) {
    if (position - shift >= offset) break
    const index = uses[i] as number
    shift += `$${index + 1}`.length - (names?.[index]?.length ?? 0) - 1
  }
  return offset - shift
}
