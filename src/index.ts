export type {
  Adapter,
  Dialect,
  JsonValue,
  Query,
  Queryable,
  QueryParameters,
  Row,
  RunResult,
  TransactionOptions,
  Value
} from './adapter.ts'
export { createKeyValueStore, saveUser } from './any-adapter.ts'
export type { DatabaseConfig } from './config.ts'
export { createDatabase, type Database, type OpenDatabase, type Transaction } from './database.ts'
export { DatabaseError, type ErrorCode } from './errors.ts'
export type { Entry, KeyValueStore, ListOptions } from './kvs/kvs.ts'
export type { Path } from './kvs/path.ts'
export { type Sql, type SqlTag, sql } from './sql.ts'
export type { QueryTrace } from './tracing.ts'
export type { User, UserInput } from './users.ts'
