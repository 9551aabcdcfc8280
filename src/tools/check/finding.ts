/** What a run has shown, and what `explain` says of it. */
import type { Dialect } from '../../adapter.ts'
import type { Schema } from '../data/schema.ts'

/**
 * What differs:
 *
 * - `columns`: the names or the number of the result's columns
 * - `rows`: the rows, as a set
 * - `order`: the order of the same rows
 * - `changes`: the number of rows that were written
 * - `error`: one database rejects, or both with different codes
 * - `tables`: what is stored afterwards
 */
export type DifferenceKind = 'columns' | 'rows' | 'order' | 'changes' | 'error' | 'tables'

/** One difference of one query. */
export interface Finding {
  readonly kind: DifferenceKind
  /** The text of the query as it is sent to each database, with its parameters as :name. */
  readonly texts: Readonly<Record<Dialect, string>>
  readonly schema: Schema
  readonly parameters?: Readonly<Record<string, unknown>> | undefined
  /** The result's first column that differs. */
  readonly column?: string | undefined
  /** One differing value of each database. */
  readonly values?: Readonly<Record<Dialect, unknown>> | undefined
  /** What each database rejected with, where it did. */
  readonly errors?: Readonly<Partial<Record<Dialect, { readonly code: string; readonly message: string }>>> | undefined
}

/** Why the databases differ, as far as the text and the values tell. */
export interface Cause {
  /** Stable, for tools: `like-case`. */
  readonly name: string
  /** One sentence: what each database does. */
  readonly title: string
  /** One sentence: what to write, so that both do the same. */
  readonly mend: string
  /** Where in the text of SQLite. */
  readonly offset?: number | undefined
}
