/** What has run in a database, without a change of it: not even duolect's own tables are made. */
import { existsSync } from 'node:fs'
import type { Adapter, Row } from '../../adapter.ts'
import type { Settings } from '../../config.ts'
import { openPostgres } from '../../drivers/postgres/driver.ts'
import { openSqlite } from '../../drivers/sqlite/driver.ts'
import { queryRows } from '../../execute.ts'
import { type MigrationState, readModule, statesOf } from '../../migrations.ts'
import { callQuery } from '../../queries.ts'
import { bind } from '../../statement.ts'
import type { FolderModule } from './command.ts'

export interface ModuleStatus {
  readonly name: string
  /** By name, those that are missing too. */
  readonly migrations: readonly { readonly name: string; readonly state: MigrationState; readonly appliedOn: Date | undefined }[]
  /** Another name of the module, under which its first migration ran. */
  readonly twin: string | undefined
}

interface MigrationRecord extends Row {
  readonly module: string
  readonly name: string
  readonly checksum: string | null
  readonly applied_on: Date
}

export async function findStatus(settings: Settings, modules: readonly FolderModule[]): Promise<ModuleStatus[]> {
  const records = await findAllRecords(settings)
  return Promise.all(modules.map(module => statusOf(module, records)))
}

async function statusOf({ name, migrations }: FolderModule, all: readonly MigrationRecord[]): Promise<ModuleStatus> {
  const module = await readModule(name, migrations)
  const records = new Map(all.filter(record => record.module === name).map(record => [record.name, record]))
  const states = await statesOf(module, new Map([...records.values()].map(({ name, checksum }) => [name, checksum])))
  const [first] = migrations
  const twin = all.find(
    record =>
      first !== undefined && record.name === first.name && record.checksum !== null && record.checksum === module.checksums.get(first.name)
  )
  return {
    name,
    migrations: [...states]
      .map(([name, state]) => ({ name, state, appliedOn: records.get(name)?.applied_on }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    twin: records.size === 0 ? twin?.module : undefined
  }
}

async function findAllRecords(settings: Settings): Promise<MigrationRecord[]> {
  if (settings.dialect === 'sqlite' && !existsSync(settings.location)) return []
  const adapter: Adapter =
    settings.dialect === 'postgres' ? await openPostgres(settings) : await openSqlite({ ...settings, isReadOnly: true })
  try {
    const { count } = await callQuery(adapter, 'countMigrationTables')
    if (count === 0) return []
    const text = 'SELECT module, name, checksum, applied_on FROM duolect_migrations'
    return (await queryRows(adapter, bind(text, undefined, adapter.dialect))) as MigrationRecord[]
  } finally {
    await adapter.close()
  }
}
