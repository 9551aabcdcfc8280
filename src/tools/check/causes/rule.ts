/** What the rules of causes look at, and what they say. Pure. */
import type { Dialect } from '../../../adapter.ts'
import type { Column } from '../../data/schema.ts'
import { type Expression, type Query, readQuery } from '../expressions.ts'
import type { DifferenceKind, Finding } from '../finding.ts'

/** How much speaks for a cause. */
export const POSSIBLE = 1
export const LIKELY = 3
/** The values or the error show it. */
export const CERTAIN = 8

/** A place in the query that speaks for a cause. */
export interface Sign {
  /** An expression, or an offset in the text of SQLite. */
  readonly at: Expression | number
  readonly weight: number
}

/** A cause, and how to tell it. */
export interface Rule {
  readonly name: string
  readonly title: string
  readonly mend: string
  find(evidence: Evidence): Iterable<Sign>
}

/** A difference with its query, read for both databases. */
export class Evidence {
  readonly finding: Finding
  readonly query: Query
  readonly postgres: Query
  readonly #own: readonly Expression[]

  constructor(finding: Finding) {
    this.finding = finding
    this.query = readQuery(finding.texts.sqlite, 'sqlite', finding.schema)
    this.postgres = readQuery(finding.texts.postgres, 'postgres', finding.schema)
    const pieces = this.query.expressions.filter(expression => this.#isPiece(expression))
    this.#own = this.query.expressions.filter(({ start, end }) => !pieces.some(piece => piece.start <= start && end <= piece.end))
  }

  get kind(): DifferenceKind {
    return this.finding.kind
  }

  /** True if both ran and what they read or wrote differs. */
  get isOfRows(): boolean {
    return this.kind !== 'error' && this.kind !== 'columns'
  }

  /** True if a parameter has a backslash. */
  get givesBackslash(): boolean {
    return Object.values(this.finding.parameters ?? {}).some(value => typeof value === 'string' && value.includes('\\'))
  }

  /** True if a database rejected with one of the codes; without codes, if it rejected at all. */
  fails(dialect: Dialect, ...codes: string[]): boolean {
    const error = this.finding.errors?.[dialect]
    return error !== undefined && (codes.length === 0 || codes.includes(error.code))
  }

  /** True if the message of a database's error matches. */
  says(dialect: Dialect, pattern: RegExp): boolean {
    return pattern.test(this.finding.errors?.[dialect]?.message ?? '')
  }

  /** The expressions that a test holds for, without those that a piece such as sql.shift() brings. */
  expressions(isWanted: (expression: Expression) => boolean): Expression[] {
    return this.#own.filter(isWanted)
  }

  operators(...names: string[]): Expression[] {
    return this.expressions(({ kind, name }) => kind === 'operator' && names.includes(name))
  }

  /** True for what sql.day() and its like are on SQLite: strftime(), which the text of Postgres does not have. */
  #isPiece({ kind, name, operands: [first] }: Expression): boolean {
    const call = kind === 'case' ? first : kind === 'call' ? { name } : undefined
    const isOfPieces = call?.name === 'strftime' || call?.name === 'typeof' || call?.name === 'json_each'
    return isOfPieces && !this.postgres.expressions.some(other => other.kind === 'call' && other.name === call.name)
  }

  get comparisons(): Expression[] {
    return this.operators(...COMPARISONS)
  }

  /** Calls that stand in both texts: what a piece such as sql.now() brings stands in one. */
  calls(...names: string[]): Expression[] {
    const isOfBoth = (name: string) => this.postgres.expressions.some(other => other.kind === 'call' && other.name === name)
    return this.expressions(({ kind, name }) => kind === 'call' && names.includes(name) && isOfBoth(name))
  }

  /** Casts of the text of SQLite: a declared parameter is cast on Postgres alone. */
  casts(isWanted: (cast: Expression) => boolean): Expression[] {
    return this.expressions(expression => expression.kind === 'cast' && isWanted(expression))
  }

  /** Where words stand one behind the other, in the text of SQLite. */
  wordsAt(...texts: string[]): number[] {
    const { words } = this.query
    const isHere = (i: number) =>
      texts.every((text, j) => words[i + j]?.text === text && words[i + j]?.kind !== 'string' && words[i + j]?.kind !== 'name')
    return words.flatMap(({ start }, i) => (isHere(i) ? [start] : []))
  }

  /** The expression in the text of SQLite for one of Postgres: the same one, counted from the beginning. */
  counterpart(expression: Expression): Expression | undefined {
    const isLike = ({ kind, name, clause }: Expression) =>
      kind === expression.kind && name === expression.name && clause === expression.clause
    return this.query.expressions.filter(isLike)[this.postgres.expressions.filter(isLike).indexOf(expression)]
  }

  /** The expression of the column that differs, in the outermost query. */
  get differing(): Expression | undefined {
    const { column } = this.finding
    const items = this.query.items.filter(({ level }) => level === 0)
    if (column === undefined && items.length === 1) return items[0]?.expression
    return (
      items.find(({ name }) => name === column)?.expression ??
      items.find(({ name }) => name.toLowerCase() === column?.toLowerCase())?.expression
    )
  }

  /** The columns of the query's tables. */
  get columns(): Column[] {
    const names = this.query.tables
    return this.finding.schema.tables.filter(({ name }) => names.includes(name)).flatMap(({ columns }) => columns)
  }

  /** The table's column that differs, also where the query names it by `*`. */
  get differingColumn(): Column | undefined {
    return (
      this.differing?.column ?? (this.differing === undefined ? this.columns.find(({ name }) => name === this.finding.column) : undefined)
    )
  }

  // Values --------------------------------------------------------------------------------------------------------

  /** One value of each; those of changes are numbers of rows, which say nothing. */
  get #values(): Finding['values'] {
    return this.kind === 'changes' ? undefined : this.finding.values
  }

  /** True if both values are known and a test holds for them. */
  values(test: (sqlite: unknown, postgres: unknown) => boolean): boolean {
    const values = this.#values
    return values !== undefined && test(values.sqlite, values.postgres)
  }

  /** How much a fact about the values weighs: a certainty if it holds, little where the values are not known. */
  weightOf(holds: boolean): number {
    if (holds) return CERTAIN
    return this.isOfRows && this.#values === undefined ? LIKELY : 0
  }

  /** True if the values are known, and are not two strings. */
  get isOfOtherValues(): boolean {
    return this.values((a, b) => typeof a !== 'string' || typeof b !== 'string')
  }

  /** 5 on SQLite and '5' on Postgres, whose type is NUMERIC or text. */
  get isNumberAndText(): boolean {
    return this.values((a, b) => isNumeric(a) && typeof b === 'string' && isClose(Number(a), Number(b)))
  }
}

function isNumeric(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint'
}

/** True for numbers that only rounding tells apart. */
export function isClose(a: number, b: number): boolean {
  return Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(a), Math.abs(b))
}

/** Signs of one weight. */
export function signs(weight: number, places: readonly (Expression | number)[]): Sign[] {
  return weight <= 0 ? [] : places.map(at => ({ at, weight }))
}

/** A certain sign at each place; at the beginning of the text without one. */
export function certain(places: readonly (Expression | number)[], weight = CERTAIN): Sign[] {
  return signs(weight, places.length > 0 ? places : [0])
}

export const COMPARISONS = ['=', '==', '<>', '!=', '<', '>', '<=', '>=', 'IN', 'NOT IN', 'BETWEEN', 'NOT BETWEEN', 'IS', 'IS NOT']

/** What a comparison compares: each operand, and the elements of a list. */
export function comparedOf({ operands }: Expression): Expression[] {
  return operands.flatMap(operand => (operand.kind === 'list' ? operand.operands : [operand]))
}

/** True for the expression or one that it is made of. */
export function some(expression: Expression, test: (part: Expression) => boolean): boolean {
  return test(expression) || expression.operands.some(operand => some(operand, test))
}
