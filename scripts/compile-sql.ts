/**
 * Compiles `sql/` into `src/queries.<dialect>.generated.ts`, so that nothing is read from the disk at run time.
 * `npm run sql` writes the files.
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

function targetOf(dialect: Dialect): string {
  return join(root, 'src', `queries.${dialect}.generated.ts`)
}

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

/** The module of one dialect: the shared queries, and those of its own instead of or beside them. */
function compile(dialect: Dialect): string {
  const queries = [...new Map([...queriesIn(join(root, 'sql')), ...queriesIn(join(root, 'sql', dialect))]).values()]
  queries.sort((a, b) => (a.name < b.name ? -1 : 1))
  const entries = queries.map(({ name, call, text }) => `  ${name}: {\n    call: '${call}',\n    text: ${JSON.stringify(text)}\n  }`)
  return `// Made from sql/ by "npm run sql". Change it there.\n\nexport const ${dialect}Queries = {\n${entries.join(',\n')}\n} as const\n`
}

/** What the compiled queries lack, or undefined when they are up to date. */
export function findDrift(): string | undefined {
  const isSame = DIALECTS.every(dialect => readFileSync(targetOf(dialect), 'utf8') === compile(dialect))
  return isSame ? undefined : 'src/queries.*.generated.ts are not what sql/ says. Run: npm run sql'
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const dialect of DIALECTS) writeFileSync(targetOf(dialect), compile(dialect))
}
