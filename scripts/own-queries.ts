/** duolect's own queries, as a module to be checked: those that both databases have. */
import { type InputFile, readModule } from '../src/files/module.ts'
import type { CheckedModule } from '../src/tools/check/session.ts'

/** What makes and counts the tables that are there already, and what reads the record of migrations, which is no table of rows. */
const LEFT_OUT = new Set(['countTables', 'createTables', 'countMigrationTables', 'createMigrationTable', 'findMigrations'])

export function ownModule(files: readonly InputFile[]): CheckedModule {
  const { queries } = readModule(files, { isPartial: true })
  const shared = queries.filter(({ name, sql }) => sql.sqlite !== undefined && sql.postgres !== undefined && !LEFT_OUT.has(name))
  // An empty migration brings the table of migrations.
  const migrations = readModule([{ path: 'migrations/0001-none.sql', text: 'SELECT 1;' }]).migrations
  return { module: { queries: shared, migrations: [] }, modules: [{ name: 'duolect', migrations }] }
}
