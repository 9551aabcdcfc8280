export type {
  Adapter,
  BeginOptions,
  BoundStatement,
  BoundValue,
  Decoding,
  Dialect,
  Executor,
  ExpressionTypes,
  JsonValue,
  Row,
  RowCount,
  RunResult,
  Session,
  TransactionOptions,
  Value
} from './adapter.ts'
export type { DatabaseConfig } from './config.ts'
export { createDatabase, createDatabaseFrom, createKeyValueStore, saveUser } from './database.ts'
export { DatabaseError, type ErrorCode } from './errors.ts'
export type { BatchQuery, Database, Handle, Transaction } from './handle.ts'
export type { Entry, KeyValueStore, ListOptions } from './kvs/kvs.ts'
export type { Path } from './kvs/path.ts'
export type { Migration } from './migrations.ts'
export { type QuerySource, type QueryText, type Sql, type SqlTag, sql, type TimeShift } from './sql.ts'
export type { Query, QueryParameters } from './statement.ts'
export type { QueryTrace } from './tracing.ts'
export type { User, UserInput } from './users.ts'
