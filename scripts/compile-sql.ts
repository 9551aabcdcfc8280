/**
 * Compiles `sql/` into `src/queries.generated.ts`, so that nothing is read from the disk at run time.
 * `npm run sql` writes the file.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const DIALECTS = ['sqlite', 'postgres'] as const
const CALLS = ['all', 'one', 'maybeOne', 'run', 'iterate', 'exec'] as const

type Dialect = (typeof DIALECTS)[number]
type Call = (typeof CALLS)[number]

export interface NamedQuery {
  readonly name: string
  readonly call: Call
  readonly text: string
}

const root = join(import.meta.dirname, '..')

const target = join(root, 'src', 'queries.generated.ts')

/**
 * Reads the queries of one file. A query begins with `-- name: findUser :one`; comment lines right behind that
 * describe it and are left out.
 *
 * @param file the file's name, for errors
 */
export function parseQueries(source: string, file: string): NamedQuery[] {
  const queries: NamedQuery[] = []
  let current: { name: string; call: Call; line: number; text: string[] } | undefined

  function finish(): void {
    if (current === undefined) return
    const { name, call, line } = current
    const text = current.text.join('\n').trim()
    if (text === '') throw new Error(`${file}:${line}: query "${name}" has no SQL`)
    queries.push({ name, call, text: call === 'exec' ? text : text.replace(/;$/, '') })
    current = undefined
  }

  source.split('\n').forEach((content, i) => {
    const header = /^-- name:\s*(.*)$/.exec(content)
    if (header !== null) {
      finish()
      const [, name, call] = /^(\w+) :(\w+)$/.exec(header[1] as string) ?? []
      if (name === undefined || !CALLS.includes(call as Call)) {
        throw new Error(`${file}:${i + 1}: expected "-- name: findUser :${CALLS.join('|:')}", got ${JSON.stringify(content)}`)
      }
      if (queries.some(query => query.name === name)) throw new Error(`${file}:${i + 1}: query "${name}" stands here twice`)
      current = { name, call: call as Call, line: i + 1, text: [] }
    } else if (!content.startsWith('--') && content.trim() !== '') {
      if (current === undefined) throw new Error(`${file}:${i + 1}: SQL before the first "-- name:"`)
      current.text.push(content)
    }
  })
  finish()
  return queries
}

function queriesIn(folder: string): Map<string, NamedQuery> {
  const queries = new Map<string, NamedQuery>()
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.sql')) continue
    const file = join(folder, entry.name)
    for (const query of parseQueries(readFileSync(file, 'utf8'), file.slice(root.length + 1))) {
      if (queries.has(query.name)) throw new Error(`${file}: query "${query.name}" stands in another file of ${folder} too`)
      queries.set(query.name, query)
    }
  }
  return queries
}

/** The module: each query with its SQL, by dialect where a folder of `sql/` has it. */
function compile(): string {
  const shared = queriesIn(join(root, 'sql'))
  const own = Object.fromEntries(DIALECTS.map(dialect => [dialect, queriesIn(join(root, 'sql', dialect))])) as Record<
    Dialect,
    Map<string, NamedQuery>
  >
  const names = [...new Set([shared, ...Object.values(own)].flatMap(queries => [...queries.keys()]))].sort()
  const entries = names.map(name => {
    const found = DIALECTS.map(dialect => ({ dialect, query: own[dialect].get(name) ?? shared.get(name) }))
    const calls = new Set(found.flatMap(({ query }) => (query ? [query.call] : [])))
    if (calls.size !== 1) throw new Error(`sql/: query "${name}" is ${[...calls].map(call => `:${call}`).join(' and ')}; give it one call`)
    const isShared = found.every(({ query }) => query !== undefined && query === shared.get(name))
    const texts = found.flatMap(({ dialect, query }) => (query ? [`      ${dialect}: ${JSON.stringify(query.text)}`] : []))
    const text = isShared ? JSON.stringify(shared.get(name)?.text) : `{\n${texts.join(',\n')}\n    }`
    return `  ${name}: {\n    call: '${[...calls][0]}',\n    text: ${text}\n  }`
  })
  return `// Made from sql/ by "npm run sql". Change it there.\n\nexport const ownQueries = {\n${entries.join(',\n')}\n} as const\n`
}

/** Returns what is wrong with the compiled queries, or undefined when they are up to date. */
export function findDrift(): string | undefined {
  return readFileSync(target, 'utf8') === compile() ? undefined : 'src/queries.generated.ts is not what sql/ says. Run: npm run sql'
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) writeFileSync(target, compile())
