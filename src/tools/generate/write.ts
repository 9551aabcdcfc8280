/** Shaped queries and migrations → the text of a TypeScript module. Pure. */
import { posix } from 'node:path'
import type { ModuleMigration } from '../../files/module.ts'
import type { QuerySource, QueryText } from '../../sql.ts'
import { capitalized, type Property, quoted, type ShapedQuery } from './shape.ts'
import { sourceOf } from './typed.ts'

export interface WriteOptions {
  /** The folder, as the module's first line names it. */
  readonly folder: string
  /** The module's own folder, from which it imports steps. */
  readonly directory: string
  /** How imports of TypeScript files end. */
  readonly extension: '.ts' | '.js'
}

export function writeModule(queries: readonly ShapedQuery[], migrations: readonly ModuleMigration[], options: WriteOptions): string {
  const names = new Set(queries.map(({ typed }) => typed.query.name))
  const body = [
    ...writeRows(queries),
    ...queries.flatMap(query => writeQuery(query, names)),
    ...(migrations.length > 0 ? [writeMigrations(migrations)] : [])
  ].join('\n\n')
  const head = `// Made from ${options.folder}/ by "npx duolect generate". Change it there.`
  return `${[head, writeImports(body, migrations, options)].join('\n')}\n\n${body}\n`
}

const IMPORTED_TYPES = ['Handle', 'JsonValue', 'Migration', 'QuerySource', 'QueryText', 'RunResult', 'Sql']

function writeImports(body: string, migrations: readonly ModuleMigration[], { directory, extension }: WriteOptions): string {
  // Texts of SQL name no types.
  const code = body.replace(/`(?:\\.|[^`\\])*`/gs, '')
  const types = IMPORTED_TYPES.filter(name => new RegExp(`\\b${name}\\b`).test(code)).map(name => `type ${name}`)
  const values = /\bsql\./.test(code) ? ['sql'] : []
  const steps = migrations.flatMap((migration, i) => {
    if (migration.kind !== 'step') return []
    const path = posix.relative(directory, migration.path).replace(/\.ts$/, extension)
    return [`import step${i} from ${quoted(path.startsWith('.') ? path : `./${path}`)}`]
  })
  const names = [...types, ...values]
  return [...(names.length > 0 ? [`import { ${names.join(', ')} } from 'duolect'`] : []), ...steps].join('\n')
}

function writeRows(queries: readonly ShapedQuery[]): string[] {
  const written = new Set<string>()
  return queries.flatMap(({ row, typed }) => {
    if (row === undefined || written.has(row.name)) return []
    written.add(row.name)
    const users = queries.filter(query => query.row?.name === row.name).map(query => `\`${query.typed.query.name}\``)
    const of = users.length === 1 ? `\`${typed.query.name}\`` : `${users.slice(0, -1).join(', ')} and ${users.at(-1)}`
    return [`/** A row of ${of}. */\n${writeInterface(row.name, row.properties)}`]
  })
}

function writeInterface(name: string, properties: readonly Property[]): string {
  const lines = properties.map(({ name, type, isOptional, comment }) => {
    const line = `  ${isIdentifier(name) ? name : quoted(name)}${isOptional ? '?' : ''}: ${type}${isOptional ? ' | undefined' : ''}`
    return comment === undefined ? line : `  /** ${comment} */\n${line}`
  })
  return `export interface ${name} {\n${lines.join('\n')}\n}`
}

function isIdentifier(name: string): boolean {
  return /^[A-Za-z_$][\w$]*$/.test(name)
}

// Queries ---------------------------------------------------------------------------------------------------------

function writeQuery(shaped: ShapedQuery, names: ReadonlySet<string>): string[] {
  const { typed, parameters, row } = shaped
  const { name, call, description } = typed.query
  const source = freeName(`${name}Source`, names)
  const parts: string[] = []
  const type = `${capitalized(name)}Parameters`
  if (parameters.length > 0) parts.push(`/** The parameters of \`${name}\`. */\n${writeInterface(type, parameters)}`)
  const texts = sourceOf(typed)
  if (JSON.stringify(texts.sqlite) === JSON.stringify(texts.postgres)) {
    const text = freeName(`${name}Text`, names)
    parts.push(
      `const ${text}: QueryText = ${writeText(texts.sqlite ?? '', '')}\nconst ${source}: QuerySource = ${writeSource(texts, text)}`
    )
  } else {
    parts.push(`const ${source}: QuerySource = ${writeSource(texts)}`)
  }
  const areAllOptional = parameters.every(({ isOptional }) => isOptional)
  const parameter = parameters.length === 0 ? '' : `parameters: ${type}${areAllOptional ? ' = {}' : ''}`
  const argument = parameters.length === 0 ? '' : 'parameters'
  const comment = description.filter(line => line !== '')
  const doc =
    comment.length === 0
      ? ''
      : `/** ${comment.map(line => line.replaceAll('*/', '*\\/')).join('\n * ')}${comment.length > 1 ? '\n' : ''} */\n`
  const head = `${doc}export function ${name}(handle: Handle${parameter && `, ${parameter}`}): ${resultOf(call, row?.name)}`
  const rowType = row === undefined ? '' : `<${row.name}>`
  parts.push(
    `${head} {\n  return handle.${call}${rowType}(${call === 'exec' ? `sql.query(${source})` : `${name}.query(${argument})`})\n}` +
      (call === 'exec' ? '' : `\n${name}.query = (${parameter}): Sql => sql.query(${source}${writeArgument(shaped)})`)
  )
  return parts
}

/** The parameters, with defaults where they have some. */
function writeArgument({ typed, parameters }: ShapedQuery): string {
  if (parameters.length === 0) return ''
  const defaults = typed.parameters.flatMap(({ name, parameter }) => {
    const value = parameter.annotation?.defaultValue
    return value === undefined ? [] : [`${name}: parameters.${name} ?? ${typeof value === 'string' ? quoted(value) : value}`]
  })
  return defaults.length === 0 ? ', parameters' : `, { ...parameters, ${defaults.join(', ')} }`
}

function resultOf(call: ShapedQuery['typed']['query']['call'], row = ''): string {
  switch (call) {
    case 'all':
      return `Promise<${row}[]>`
    case 'one':
      return `Promise<${row}>`
    case 'maybeOne':
      return `Promise<${row} | undefined>`
    case 'iterate':
      return `AsyncIterable<${row}>`
    case 'run':
      return 'Promise<RunResult>'
    case 'exec':
      return 'Promise<void>'
  }
}

function freeName(wanted: string, names: ReadonlySet<string>): string {
  let name = wanted
  while (names.has(name)) name += '_'
  return name
}

/** @param text the constant that holds the text of both databases, if they have one */
function writeSource(source: QuerySource, text?: string): string {
  const { sqlite, postgres, parameters, columns, writes } = source
  const properties = [
    ...(sqlite === undefined ? [] : [`sqlite: ${text ?? writeText(sqlite)}`]),
    ...(postgres === undefined ? [] : [`postgres: ${text ?? writeText(postgres)}`]),
    ...(parameters === undefined ? [] : [`parameters: ${writeWords(parameters)}`]),
    ...(columns === undefined ? [] : [`columns: ${writeWords(columns)}`]),
    ...(writes ? ['writes: true'] : [])
  ]
  return text === undefined ? `{\n  ${properties.join(',\n  ')}\n}` : `{ ${properties.join(', ')} }`
}

function writeWords(words: Readonly<Record<string, string>>): string {
  return `{ ${Object.entries(words)
    .map(([name, word]) => `${name === '__proto__' ? "['__proto__']" : isIdentifier(name) ? name : quoted(name)}: '${word}'`)
    .join(', ')} }`
}

function writeText(text: QueryText, indent = '  '): string {
  if (typeof text === 'string') return template(text)
  const pieces = text.map(piece => (typeof piece === 'string' ? template(piece) : `[${quoted(piece[0])}, ${template(piece[1])}]`))
  return `[\n${indent}  ${pieces.join(`,\n${indent}  `)}\n${indent}]`
}

/** A template without values, so that SQL keeps its lines. */
function template(text: string): string {
  return `\`${text.replace(/[\\`]|\$(?=\{)/g, '\\$&').replaceAll('\r', '\\r')}\``
}

// Migrations ------------------------------------------------------------------------------------------------------

function writeMigrations(migrations: readonly ModuleMigration[]): string {
  const entries = migrations.map((migration, i) => {
    const name = quoted(migration.name)
    if (migration.kind === 'step') return `  { name: ${name}, step: step${i} }`
    const properties = [
      `name: ${name}`,
      ...(migration.rebuild ? ['rebuild: true'] : []),
      ...Object.entries(migration.sql).map(([dialect, text]) => `${dialect}: ${template(text)}`)
    ]
    return `  {\n    ${properties.join(',\n    ')}\n  }`
  })
  return `/** The migrations of the module, for \`db.migrate(name, migrations)\`. */\nexport const migrations: readonly Migration[] = [\n${entries.join(',\n')}\n]`
}
