/** `duolect generate`: read the files → describe → run on generated rows → shape → write. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Dialect } from '../../adapter.ts'
import { mergeSchemas, readSchema } from '../data/schema.ts'
import { readFolder } from '../folder.ts'
import { openLab } from '../lab/lab.ts'
import { describeQuery } from './describe.ts'
import { observeQueries } from './observe.ts'
import { shapeQueries, type Warn } from './shape.ts'
import type { TypedQuery } from './typed.ts'
import { writeModule } from './write.ts'

export interface GenerateOptions {
  /** The folder of SQL files. */
  readonly sql: string
  /** The module to write. */
  readonly out: string
  /** The databases of the project. */
  readonly dialects: readonly Dialect[]
  /** Folders of modules whose tables the queries use; their migrations run first. */
  readonly needs: readonly string[]
  /** The URL of a Postgres server where a database may be created. */
  readonly postgres: string | undefined
}

export interface Generated {
  readonly text: string
  readonly queries: number
  readonly migrations: number
  /** Such as `SQLite 3.53.0`. */
  readonly versions: readonly string[]
}

/** Generates the text of a module. */
export async function generate(options: GenerateOptions, warn: Warn): Promise<Generated> {
  const { dialects, needs, out } = options
  const folder = options.sql.replaceAll('\\', '/').replace(/\/+$/, '')
  const module = readFolder(folder, dialects)
  const modules = [...needs, folder].map(path => ({
    name: path,
    migrations: (path === folder ? module : readFolder(path, dialects)).migrations
  }))
  const lab = await openLab({ dialects, postgresUrl: options.postgres, modules })
  try {
    const typed: TypedQuery[] = []
    for (const query of module.queries) typed.push(await describeQuery(query, lab.sides))
    const observations = await observeQueries(typed, lab.sides, warn)
    const schema = mergeSchemas(await Promise.all(lab.sides.map(({ db }) => readSchema(db))))
    const shaped = shapeQueries(typed, observations, schema, warn)
    const directory = dirname(out).replaceAll('\\', '/')
    return {
      text: writeModule(shaped, module.migrations, { folder, directory, extension: extensionFor(directory) }),
      queries: module.queries.length,
      migrations: module.migrations.length,
      versions: lab.sides.map(({ version }) => version)
    }
  } finally {
    await lab.close()
  }
}

/** Writes a module when it would change. Returns false when it is as it should be. */
export function writeChanged(out: string, text: string): boolean {
  if (isCurrent(out, text)) return false
  mkdirSync(dirname(out), { recursive: true })
  writeFileSync(out, text)
  return true
}

/** True if the file has this text, whatever its line ends. */
export function isCurrent(out: string, text: string): boolean {
  return existsSync(out) && readFileSync(out, 'utf8').replaceAll('\r\n', '\n') === text
}

/** Compilers that rewrite imports, or emit nothing, take `.ts`; others take the name of what they emit. */
function extensionFor(directory: string): '.ts' | '.js' {
  for (let folder = join(process.cwd(), directory); ; folder = dirname(folder)) {
    const config = join(folder, 'tsconfig.json')
    if (existsSync(config)) {
      return /"(?:allowImportingTsExtensions|rewriteRelativeImportExtensions)"\s*:\s*true/.test(readFileSync(config, 'utf8'))
        ? '.ts'
        : '.js'
    }
    if (folder === dirname(folder)) return '.ts'
  }
}
