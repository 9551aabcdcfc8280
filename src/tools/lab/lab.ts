/**
 * Both databases with the schema of a module, empty and thrown away afterwards: SQLite in memory, and a Postgres
 * database of its own.
 */
import { randomBytes } from 'node:crypto'
import type { Dialect } from '../../adapter.ts'
import type { DatabaseConfig } from '../../config.ts'
import { createDatabase } from '../../database.ts'
import type { ModuleMigration } from '../../files/module.ts'
import type { Database } from '../../handle.ts'
import type { Migration } from '../../migrations.ts'
import { toMigration } from '../folder.ts'
import { DatabaseServer, type OwnDatabase } from '../servers/databases.ts'
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
  /** The same schema once more, where rows are kept and read in another physical order. */
  readonly twin: Database | undefined
  readonly describer: Describer
  /** Such as `SQLite 3.53.0`. */
  readonly version: string
  /** True if texts are ordered as a language does. */
  readonly hasLanguage: boolean
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
  /** Opens each database twice, and gives that of Postgres a collation of a language. @default false */
  readonly isForCheck?: boolean
}

/** A migration failed on one of the databases. */
export class MigrationFailure extends Error {
  readonly module: string

  constructor(module: string, dialect: Dialect, cause: unknown) {
    super(`On ${dialect}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    this.module = module
  }
}

/**
 * Opens the databases and runs the migrations.
 *
 * @throws MigrationFailure
 */
export async function openLab({ dialects, postgresUrl, modules, isForCheck = false }: LabOptions): Promise<Lab> {
  const migrations = await Promise.all(
    modules.map(async ({ name, migrations }) => ({ name, migrations: await Promise.all(migrations.map(toMigration)) }))
  )
  const cleanups: (() => Promise<unknown>)[] = []
  const open = async (config: DatabaseConfig) => {
    const db = createDatabase(config)
    cleanups.push(() => db.close())
    await migrate(db, migrations)
    return db
  }
  const openSqlite = async (): Promise<Side> => {
    const inMemory = (pragmas = {}) => open({ sqlite: { location: ':memory:', pragmas }, postgres: { enabled: false } })
    const db = await inMemory()
    const twin = isForCheck ? await inMemory({ reverse_unordered_selects: true }) : undefined
    const describer = await openSqliteDescriber(db)
    cleanups.push(() => describer.close())
    const { version } = await db.one<{ version: string }>('SELECT sqlite_version() AS version')
    return { dialect: 'sqlite', db, twin, describer, version: `SQLite ${version}`, hasLanguage: false }
  }
  const openPostgres = async (): Promise<Side> => {
    const server = await findOrStartPostgres(postgresUrl)
    cleanups.push(() => server.stop())
    const databases = new DatabaseServer(server.url)
    cleanups.push(() => databases.close())
    const [first, second] = await Promise.all(
      (isForCheck ? [true, true] : [false]).map(async wantsLanguage => {
        const database = await createDatabaseOn(databases, wantsLanguage)
        cleanups.push(database.drop)
        return database
      })
    )
    const { url, hasLanguage } = first as OwnDatabase & { hasLanguage: boolean }
    const connect = (connection: string) => open({ postgres: { enabled: true, connection, maxConnections: 2 } })
    const [db, twin] = await Promise.all([connect(url), second && connect(second.url)])
    const describer = await openPostgresDescriber(url)
    cleanups.push(() => describer.close())
    const { version } = await db.one<{ version: string }>("SELECT current_setting('server_version') AS version")
    return { dialect: 'postgres', db, twin, describer, version: `Postgres ${version.split(' ')[0]}`, hasLanguage }
  }
  const opening = dialects
    .toSorted()
    .toReversed()
    .map(dialect => (dialect === 'sqlite' ? openSqlite() : openPostgres()))
  const close = async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  }
  try {
    return { sides: await Promise.all(opening), close }
  } catch (error) {
    await Promise.allSettled(opening)
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

/**
 * Creates a database of a name that nobody uses.
 *
 * @param wantsLanguage asks for the collation of a language, which servers before version 15 and those without ICU lack
 */
async function createDatabaseOn(server: DatabaseServer, wantsLanguage: boolean): Promise<OwnDatabase & { hasLanguage: boolean }> {
  const create = async (hasLanguage: boolean) => {
    const options = `TEMPLATE template0 ENCODING 'UTF8'${hasLanguage ? " LOCALE_PROVIDER icu ICU_LOCALE 'en-US'" : ''}`
    return { ...(await server.create(`duolect_${randomBytes(6).toString('hex')}`, options)), hasLanguage }
  }
  return wantsLanguage ? create(true).catch(() => create(false)) : create(false)
}
