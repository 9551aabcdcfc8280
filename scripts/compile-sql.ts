/**
 * Compiles `sql/` into `src/queries.generated.ts`, so that nothing is read from the disk at run time.
 * `npm run sql` writes the file.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type ModuleQuery, readModule } from '../src/files/module.ts'

const root = join(import.meta.dirname, '..')

const target = join(root, 'src', 'queries.generated.ts')

function compile(): string {
  const folder = join(root, 'sql')
  const files = readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .map(file => ({ path: relative(folder, file).replaceAll('\\', '/'), text: readFileSync(file, 'utf8') }))
  // What one database does in a call of its own, the other need not have.
  const { queries } = readModule(files, { isPartial: true })
  return `// Made from sql/ by "npm run sql". Change it there.\n\nexport const ownQueries = {\n${queries.map(entryOf).join(',\n')}\n} as const\n`
}

function entryOf({ name, call, sql }: ModuleQuery): string {
  const texts = Object.entries(sql).map(
    ([dialect, { segments }]) => [dialect, JSON.stringify(segments.map(({ text }) => text).join(''))] as const
  )
  const [first, second] = texts
  const isShared = first !== undefined && second !== undefined && first[1] === second[1]
  const text = isShared ? first[1] : `{\n${texts.map(([dialect, text]) => `      ${dialect}: ${text}`).join(',\n')}\n    }`
  return `  ${name}: {\n    call: '${call}',\n    text: ${text}\n  }`
}

/** Returns what is wrong with the compiled queries, or undefined when they are up to date. */
export function findDrift(): string | undefined {
  return readFileSync(target, 'utf8') === compile() ? undefined : 'src/queries.generated.ts is not what sql/ says. Run: npm run sql'
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) writeFileSync(target, compile())
