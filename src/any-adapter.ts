/** The store and the users on any adapter, also on one that duolect did not make: all dialects' queries come along. */
import type { Queryable } from './adapter.ts'
import { type KeyValueStore, Store } from './kvs/kvs.ts'
import { DEFAULT_MAX_VALUE_BYTES } from './kvs/limits.ts'
import { postgresQueries } from './queries.postgres.generated.ts'
import { sqliteQueries } from './queries.sqlite.generated.ts'
import { useQueries } from './queries.ts'
import { assertOutside } from './scope.ts'
import { putUser, type User, type UserInput } from './users.ts'

function useAllQueries(): void {
  useQueries('sqlite', sqliteQueries)
  useQueries('postgres', postgresQueries)
}

/**
 * Makes a key-value store on any adapter, whose database has a `kvs` table.
 *
 * @example
 * const kvs = createKeyValueStore(adapter)
 */
export function createKeyValueStore(adapter: Queryable, maxValueBytes: number = DEFAULT_MAX_VALUE_BYTES): KeyValueStore {
  useAllQueries()
  return new Store(adapter, { isTransaction: false, maxValueBytes, check: () => assertOutside(adapter) })
}

/**
 * Inserts a user, or updates the fields that are given, on any adapter whose database has a `users` table. A row that
 * was returned before may be given again.
 *
 * @returns the stored row
 * @throws DatabaseError `invalid_parameter`, naming the field
 */
export function saveUser(handle: Queryable, user: UserInput): Promise<User> {
  useAllQueries()
  return putUser(handle, user)
}
