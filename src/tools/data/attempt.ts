import type { Handle, Transaction } from '../../handle.ts'

/** Takes back what a statement did. */
const ROLLBACK = Symbol('rollback')

export type Outcome<T> = { readonly value: T } | { readonly error: unknown }

/** Runs something in a transaction or a savepoint, takes it back, and returns what came or how it failed. */
export async function attempt<T>(handle: Handle, work: (tx: Transaction) => Promise<T>): Promise<Outcome<T>> {
  let value: { value: T } | undefined
  try {
    await handle.transaction(async tx => {
      value = { value: await work(tx) }
      throw ROLLBACK
    })
  } catch (error) {
    if (error !== ROLLBACK) return { error }
  }
  return value as { value: T }
}
