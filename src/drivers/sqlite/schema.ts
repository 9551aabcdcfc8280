import { currentTurn } from '../../turns.ts'
import type { NativeDatabase, NativeStatement } from './connection.ts'

/** How many changes of tables connections of this process have made or found. */
let changes = 0

/**
 * Tells a connection when the tables are no longer those that its statements were prepared for. SQLite prepares such a
 * statement again by itself, but says nothing of it, so that rows would be decoded by old names and types.
 *
 * Inside a transaction this is exact: nobody else changes tables there, so one look behind BEGIN is enough. A statement
 * that reads outside of transactions looks at the file once in a turn of the event loop, as a look costs as much as a
 * short read; what another process changes within that turn is seen in the next.
 */
export class SchemaWatch {
  readonly #native: NativeDatabase
  readonly #onChange: () => void
  readonly #readMain: NativeStatement
  readonly #readTemp: NativeStatement
  #main: unknown
  #temp: unknown
  #seen = changes
  #turn = 0
  /** True if this connection has changed tables since the last commit. */
  #hasChanged = false

  /** @param onChange forgets what was prepared */
  constructor(native: NativeDatabase, onChange: () => void) {
    this.#native = native
    this.#onChange = onChange
    this.#readMain = native.prepare('PRAGMA schema_version').pluck(true)
    this.#readTemp = native.prepare('PRAGMA temp.schema_version').pluck(true)
    this.look()
  }

  /** Looks at the versions of the tables. */
  look(): void {
    const main = this.#readMain.get()
    const temp = this.#readTemp.get()
    this.#seen = changes
    this.#turn = currentTurn()
    if (main !== this.#main || temp !== this.#temp) this.#renew(main, temp)
  }

  /** False if a look was taken in this turn, and no connection of this process has found a change since. */
  get isDue(): boolean {
    return this.#seen !== changes || this.#turn !== currentTurn()
  }

  /** This connection has changed a table, or may have. */
  changed(): void {
    this.#hasChanged = true
    // A version that was rolled back is given again, so that comparing it would not tell.
    this.#renew(this.#readMain.get(), this.#readTemp.get())
  }

  /** This connection has made or dropped a table that no statement of a caller reads. */
  keep(): void {
    this.#temp = this.#readTemp.get()
  }

  /** What this connection has changed is now there for others, or undone. */
  settled(): void {
    if (!this.#hasChanged) return
    this.#hasChanged = false
    changes++
  }

  #renew(main: unknown, temp: unknown): void {
    this.#main = main
    this.#temp = temp
    this.#seen = ++changes
    // Reading the version does not bring the schema itself up to date; reading a table does.
    this.#native.exec('SELECT 1 FROM sqlite_schema LIMIT 0')
    this.#onChange()
  }
}
