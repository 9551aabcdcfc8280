/**
 * Keyv: a key-value store alone, with tables of its own and no paths. Its official adapter for SQLite brings another
 * driver, so the one used here is an adapter that has better-sqlite3.
 */
import KeyvPostgres from '@keyv/postgres'
import { KeyvSqlite } from '@resolid/keyv-sqlite'
import type Sqlite from 'better-sqlite3'
import { Keyv } from 'keyv'
import { CONNECTIONS, type Contestant, type Target } from '../contestant.ts'
import type { BigDocument } from '../data.ts'
import { setPragmas } from './sqlite.ts'

export async function open({ dialect, location }: Target): Promise<Contestant> {
  const { store, native } = dialect === 'sqlite' ? sqliteStore(location) : { store: postgresStore(location), native: undefined }
  const keyv = new Keyv({ store, throwOnErrors: true })
  return {
    getValue: key => keyv.get(key),
    setValue: (key, value) => keyv.set(key, value),
    async getPath(key, index) {
      const document = await keyv.get<BigDocument>(key)
      return document?.items[index]?.name
    },
    async seed(documents) {
      native?.pragma('synchronous = OFF')
      let waiting: Promise<unknown>[] = []
      for (const [key, document] of documents) {
        waiting.push(keyv.set(key, document))
        if (waiting.length < 100) continue
        await Promise.all(waiting)
        waiting = []
      }
      await Promise.all(waiting)
      native?.pragma('synchronous = FULL')
    },
    close: () => keyv.disconnect()
  }
}

function sqliteStore(location: string) {
  const store = new KeyvSqlite({ uri: location })
  const native = (store as unknown as { sqlite: Sqlite.Database }).sqlite
  setPragmas(native)
  return { store, native }
}

function postgresStore(location: string) {
  return new KeyvPostgres({ uri: location, max: CONNECTIONS, keySize: 1024 })
}
