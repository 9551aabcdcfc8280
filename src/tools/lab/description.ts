/** What a database says about a statement without running it. */
import type { TypeWord } from '../../files/types.ts'

export interface Description {
  /** In order of first use. SQLite knows no types of parameters. */
  readonly parameters: readonly { readonly name: string; readonly type: TypeWord | undefined; readonly typeName: string }[]
  readonly columns: readonly DescribedColumn[]
  /** True if the statement may write. */
  readonly writes: boolean
}

export interface DescribedColumn {
  readonly name: string
  /** Undefined for an expression in SQLite, and for a type that only Postgres has. */
  readonly type: TypeWord | undefined
  /** The type as the database names it. */
  readonly typeName: string
  /** True for a column of a table, false for an expression. */
  readonly isPlain: boolean
  /** True for a column of a table that cannot hold NULL there. A join may still give NULL. */
  readonly isNotNull: boolean
  readonly table: string | undefined
  readonly column: string | undefined
}

export interface Describer {
  /**
   * Describes a statement with `:name` parameters.
   *
   * @param types of parameters, as numbers of Postgres's catalogue, where the statement does not decide
   * @throws DescribeError when the database refuses it
   */
  describe(text: string, types?: ReadonlyMap<string, number>): Promise<Description>
  close(): Promise<void>
}

/** A database refused a statement. */
export class DescribeError extends Error {
  readonly code: string | undefined
  /** Where in the text; undefined where the database does not say. */
  readonly offset: number | undefined

  constructor(message: string, code: string | undefined, offset: number | undefined) {
    super(message)
    this.code = code
    this.offset = offset
  }
}
