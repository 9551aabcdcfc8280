/** What every contestant can do, and what each workload asks of it. No package of a contestant is named here. */
import type { BigDocument, Document, Mark } from './data.ts'

export type Dialect = 'sqlite' | 'postgres'

export interface Target {
  readonly dialect: Dialect
  /** The SQLite file, or the URL of the Postgres database. */
  readonly location: string
}

/**
 * Each method may return its result at once or as a promise. Whoever calls awaits both, so that a synchronous
 * driver keeps its advantage.
 */
export interface Contestant {
  getValue(key: string): unknown
  setValue(key: string, value: Document): unknown
  /** Sets `profile[name]` of the stored document, and loses no other change. */
  setPath?(key: string, name: string, value: unknown): unknown
  /** Returns `items[index].name` of the stored document. */
  getPath(key: string, index: number): unknown
  /** Returns all columns of the users with that first name, `created_on` as a Date. */
  usersByFirstName?(name: string): unknown
  /** Returns all columns of one user. */
  userById?(id: string): unknown
  /** Returns all columns of all rows of `items`. */
  plainRows?(): unknown
  /** Returns all columns of all rows of `events`, with booleans, Dates, parsed JSON and exact integers. */
  typedRows?(): unknown
  /** Returns the id of a row of `paused`, a view that takes as long as the row says, by one of two statements. */
  pausedRow?(id: number, isOther: boolean): Promise<number>
  /** Inserts the rows into `marks` one by one, in one transaction. */
  insertMarks?(rows: readonly Mark[]): unknown
  /** The same in the contestant's own way to send statements together. */
  batchMarks?(rows: readonly Mark[]): unknown
  /** Stores two rows in `marks`, both or none, in a transaction; or in the contestant's own way to send statements together. */
  putPair?(pair: readonly [Mark, Mark], way: 'batch' | 'transaction'): unknown
  /** Stores what the other contestants find in their tables; only where a contestant has tables of its own. */
  seed?(documents: Iterable<readonly [key: string, document: Document | BigDocument]>): Promise<void>
  close(): unknown
}

export type Open = (target: Target) => Promise<Contestant>

/** The contestants, the floor first. The page's columns stand in this order. */
export const CONTESTANTS = [
  'raw',
  'duolect',
  'postgres.js',
  'drizzle',
  'kysely',
  'knex',
  'keyv',
  'node:sqlite',
  'duolect on node:sqlite'
] as const
export type ContestantName = (typeof CONTESTANTS)[number]

/** Those that run on `node:sqlite`, each in a Node.js that has it. */
export function isOnNodeSqlite(name: ContestantName): boolean {
  return name.endsWith('node:sqlite')
}

/** The bare driver that a contestant's rates are compared with. */
export function floorOf(name: ContestantName): ContestantName {
  return isOnNodeSqlite(name) ? 'node:sqlite' : 'raw'
}

/** How many Postgres connections each contestant may open. */
export const CONNECTIONS = 10
