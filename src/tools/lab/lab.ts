/**
 * Both databases with the schema of a module, empty and thrown away afterwards: SQLite in memory, and a Postgres
 * database of its own.
 */
import { randomBytes } from 'node:crypto'
import type { Dialect } from '../../adapter.ts'
import { createDatabase } from '../../database.ts'
import type { ModuleMigration } from '../../files/module.ts'
import type { Database } from '../../handle.ts'
import type { Migration } from '../../migrations.ts'
import { toMigration } from '../folder.ts'
import { DatabaseServer } from '../servers/databases.ts'
import { findOrStartPostgres } from '../servers/postgres.ts'
import { openPostgresDescriber } from './describe-postgres.ts'
import { openSqliteDescriber } from './describe-sqlite.ts'
import type { Describer } from './description.ts'

/** A module whose migrations make the schema. */
export interface LabModule {
  readonly name: string
  readonly migrations: readonly ModuleMigration[]
}

/** One of the databases. */
export interface Side {
  readonly dialect: Dialect
  readonly db: Database
  readonly describer: Describer
  /** Such as `SQLite 3.53.0`. */
  readonly version: string
}

export interface Lab {
  /** Those of the dialects that were asked for, Postgres last. */
  readonly sides: readonly Side[]
  close(): Promise<void>
}

export interface LabOptions {
  readonly dialects: readonly Dialect[]
  /** The URL of a server where databases may be created. @default one that is started */
  readonly postgresUrl?: string | undefined
  /** In the order in which their migrations run. */
  readonly modules: readonly LabModule[]
}

/** A migration failed on one of the databases. */
export class MigrationFailure extends Error {
  readonly module: string

  constructor(module: string, dialect: Dialect, cause: unknown) {
    super(`On ${dialect}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    this.module = module
  }
}

export async function openLab({ dialects, postgresUrl, modules }: LabOptions): Promise<Lab> {
  const migrations = await Promise.all(
    modules.map(async ({ name, migrations }) => ({ name, migrations: await Promise.all(migrations.map(toMigration)) }))
  )
  const sides: Side[] = []
  const cleanups: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  }
  try {
    if (dialects.includes('sqlite')) {
      const db = createDatabase({ sqlite: { location: ':memory:' }, postgres: { enabled: false } })
      cleanups.push(() => db.close())
      await migrate(db, migrations)
      const describer = await openSqliteDescriber(db)
      cleanups.push(() => describer.close())
      const { version } = await db.one<{ version: string }>('SELECT sqlite_version() AS version')
      sides.push({ dialect: 'sqlite', db, describer, version: `SQLite ${version}` })
    }
    if (dialects.includes('postgres')) {
      const server = await findOrStartPostgres(postgresUrl)
      cleanups.push(() => server.stop())
      const databases = new DatabaseServer(server.url)
      cleanups.push(() => databases.close())
      const { url, drop } = await databases.create(`duolect_${randomBytes(6).toString('hex')}`, "TEMPLATE template0 ENCODING 'UTF8'")
      cleanups.push(drop)
      const db = createDatabase({ postgres: { enabled: true, connection: url, maxConnections: 2 } })
      cleanups.push(() => db.close())
      await migrate(db, migrations)
      const describer = await openPostgresDescriber(url)
      cleanups.push(() => describer.close())
      const { version } = await db.one<{ version: string }>("SELECT current_setting('server_version') AS version")
      sides.push({ dialect: 'postgres', db, describer, version: `Postgres ${version.split(' ')[0]}` })
    }
    return { sides, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function migrate(db: Database, modules: readonly { name: string; migrations: readonly Migration[] }[]): Promise<void> {
  await db.get()
  for (const { name, migrations } of modules) {
    await db.migrate(name, migrations).catch(error => {
      throw new MigrationFailure(name, db.dialect, error)
    })
  }
}
