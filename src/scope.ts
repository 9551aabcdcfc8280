/**
 * Which transaction's body the running code belongs to.
 *
 * A statement on the outer handle inside of a body would wait for the transaction that waits for it, or escape
 * from it. It is refused instead. AsyncLocalStorage slows every promise of the process while it is in use, so it
 * is used only while a transaction is open.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { DatabaseError } from './errors.ts'
import { lastOfShape } from './shapes.ts'

interface Scope {
  /** The adapter whose transaction it is. */
  readonly root: object
  readonly parent: Scope | undefined
  isOpen: boolean
}

const storage = new AsyncLocalStorage<Scope>()
let open = 0

async function nothing(): Promise<void> {}

/** Runs the body of a transaction of `root`, and returns what it returns. */
export async function runInScope<T>(root: object, body: () => T | PromiseLike<T>): Promise<T> {
  const scope: Scope = { root, parent: open > 0 ? storage.getStore() : undefined, isOpen: true }
  open++
  try {
    return await storage.run(scope, async () => {
      lastOfShape.promises = [Promise.resolve(), nothing()]
      return body()
    })
  } finally {
    scope.isOpen = false
    open--
    if (open === 0) disable()
  }
}

/**
 * Checks that the running code does not belong to the body of an open transaction of the adapter.
 *
 * @throws DatabaseError `wrong_handle`
 */
export function assertOutside(root: object): void {
  if (open === 0) return
  for (let scope = storage.getStore(); scope !== undefined; scope = scope.parent) {
    if (scope.root === root && scope.isOpen) {
      throw new DatabaseError(
        'wrong_handle',
        'The database was used inside of its own transaction, where only the handle that the body gets may be used: ' +
          'write transaction(async tx => { await tx.run(…) }), and tx.kvs for the key-value store.'
      )
    }
  }
}

/** Cloudflare Workers have no `disable()`, and throw. */
function disable(): void {
  try {
    storage.disable()
  } catch {
    // The storage stays in use, which costs time and changes nothing.
  }
}
