import type { DatabaseHandle } from '../../src/handle.ts'
import type { Adapter, BoundStatement, Database, Executor } from '../../src/index.ts'

interface Watcher {
  /** Called with the SQL of each statement, inside of transactions too. */
  statement(text: string): void
  /** Called when a transaction begins. */
  begin?(): void
}

/** Returns the adapter of a database, which reports what it is asked before it does it. */
export function watched(db: Database, watcher: Watcher): Adapter {
  const watch = <E extends Executor>(executor: E): E =>
    new Proxy(executor, {
      get(target, name) {
        const value = Reflect.get(target, name, target) as unknown
        if (typeof value !== 'function') return value
        return (...parameters: unknown[]) => {
          if (name === 'begin') {
            watcher.begin?.()
            return (value as Adapter['begin']).call(target as never, parameters[0] as object).then(watch)
          }
          if (name === 'query' || name === 'execute') watcher.statement((parameters[0] as BoundStatement).text)
          return value.apply(target, parameters) as unknown
        }
      }
    })
  return watch((db as DatabaseHandle).runner)
}
