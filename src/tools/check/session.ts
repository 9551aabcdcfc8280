/** A module that is checked, once or again and again: its files, both databases, and what is known already. */
import { createHash } from 'node:crypto'
import type { Dialect } from '../../adapter.ts'
import type { ModuleMigration, ModuleQuery, SqlModule } from '../../files/module.ts'
import { mergeSchemas, readSchema, type Schema } from '../data/schema.ts'
import { readFolder } from '../folder.ts'
import { type Lab, type LabModule, openLab } from '../lab/lab.ts'
import { findOrStartPostgres } from '../servers/postgres.ts'
import { checkSubjects, type Result } from './check.ts'
import { prepareSubject } from './subject.ts'

export interface SessionOptions {
  /** The folder of SQL files. */
  readonly sql: string
  /** Folders of modules whose migrations run first. */
  readonly needs: readonly string[]
  /** The URL of a Postgres server where databases may be created. */
  readonly postgres: string | undefined
  readonly seed: string
  /** Number of sets of mixed rows. */
  readonly runs: number
}

/** What one check of a module gave. */
export interface Report {
  readonly results: readonly Result[]
  /** The fingerprint of each query, by name. */
  readonly fingerprints: ReadonlyMap<string, string>
  readonly schema: Schema
  readonly versions: Readonly<Record<Dialect, string>>
  /** True if texts were compared in a collation of a language on Postgres. */
  readonly hasLanguage: boolean
  readonly seed: string
}

const DIALECTS: readonly Dialect[] = ['sqlite', 'postgres']

/** The files of a module and of those that it needs. */
export interface CheckedModule {
  readonly module: SqlModule
  readonly modules: readonly LabModule[]
}

/** @throws SourceError */
export function readChecked({ sql, needs }: Pick<SessionOptions, 'sql' | 'needs'>): CheckedModule {
  const folder = sql.replaceAll('\\', '/').replace(/\/+$/, '')
  const module = readFolder(folder, DIALECTS)
  const needed = needs.map(path => ({ name: path, migrations: readFolder(path, DIALECTS).migrations }))
  return { module, modules: [...needed, { name: folder, migrations: module.migrations }] }
}

/** What a verdict depends on: the texts for both databases, the annotations, and the migrations. */
export function fingerprintsOf({ module, modules }: CheckedModule): Map<string, string> {
  const schema = fingerprintOfSchema(modules)
  return new Map(
    module.queries.map(({ name, call, parameters, columns, differs, sql }: ModuleQuery) => [
      name,
      hash([
        schema,
        call,
        parameters.map(({ name, annotation, isOptional }) => [name, annotation?.type, annotation?.isNullable, isOptional]),
        columns.map(({ name, type }) => [name, type]),
        differs !== undefined,
        DIALECTS.map(dialect => sql[dialect]?.segments.map(({ parameter, text }) => [parameter, text]))
      ])
    ])
  )
}

function fingerprintOfSchema(modules: readonly LabModule[]): string {
  const textOf = (migration: ModuleMigration) =>
    migration.kind === 'script' ? [migration.name, migration.sql.sqlite, migration.sql.postgres] : [migration.name]
  return hash(modules.map(({ migrations }) => migrations.map(textOf)))
}

function hash(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 24)
}

/** Both databases stay open from one check to the next; what has not changed is not run again. */
export class Session {
  readonly #options: SessionOptions
  #server: ReturnType<typeof findOrStartPostgres> | undefined
  #lab: { readonly key: string; readonly lab: Lab; readonly schema: Schema } | undefined
  /** By the name and the fingerprint. */
  #known = new Map<string, Result>()

  constructor(options: SessionOptions) {
    this.#options = options
  }

  /**
   * Checks the module as its files are now.
   *
   * @param onProgress is told of each query that is done
   * @throws SourceError for a mistake in a file, MigrationFailure
   */
  async check(onProgress: (done: number, total: number, name: string) => void = () => undefined): Promise<Report> {
    return this.checkModule(readChecked(this.#options), onProgress)
  }

  async checkModule(
    checked: CheckedModule,
    onProgress: (done: number, total: number, name: string) => void = () => undefined
  ): Promise<Report> {
    const { seed, runs } = this.#options
    const { lab, schema } = await this.#open(checked.modules)
    const fingerprints = fingerprintsOf(checked)
    const keyOf = ({ name }: ModuleQuery) => `${name} ${fingerprints.get(name)}`
    const { queries } = checked.module
    const changed = queries.filter(query => !this.#known.has(keyOf(query)))
    const subjects = []
    for (const query of changed) subjects.push(await prepareSubject(query, lab.sides, schema))
    let done = queries.length - changed.length
    const results = await checkSubjects(subjects, lab.sides, schema, {
      seed,
      runs,
      onResult: ({ subject }) => onProgress(++done, queries.length, subject.query.name)
    })
    for (const result of results) this.#known.set(keyOf(result.subject.query), result)
    // Its place may have moved.
    const all = queries.map(query => {
      const known = this.#known.get(keyOf(query)) as Result
      return { ...known, subject: { ...known.subject, query } }
    })
    this.#known = new Map(all.map(result => [keyOf(result.subject.query), result]))
    const [sqlite, postgres] = lab.sides as [(typeof lab.sides)[number], (typeof lab.sides)[number]]
    return {
      results: all,
      fingerprints,
      schema,
      versions: { sqlite: sqlite.version, postgres: postgres.version },
      hasLanguage: postgres.hasLanguage,
      seed
    }
  }

  /** Opens databases with the schema, unless those that are open have it. */
  async #open(modules: readonly LabModule[]): Promise<{ readonly lab: Lab; readonly schema: Schema }> {
    const key = fingerprintOfSchema(modules)
    if (this.#lab?.key === key) return this.#lab
    await this.#lab?.lab.close()
    this.#lab = undefined
    this.#server ??= findOrStartPostgres(this.#options.postgres)
    const { url } = await this.#server
    const lab = await openLab({ dialects: DIALECTS, postgresUrl: url, modules, isForCheck: true })
    const schema = mergeSchemas(await Promise.all(lab.sides.map(({ db }) => readSchema(db))))
    this.#lab = { key, lab, schema }
    return this.#lab
  }

  /** Drops the databases, and ends the server where it is ours. */
  async close(): Promise<void> {
    await this.#lab?.lab.close()
    this.#lab = undefined
    const server = await this.#server?.catch(() => undefined)
    this.#server = undefined
    await server?.stop()
  }
}
