/** What the pages say of codes and names is what the sources have. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { blocksOf, modulesOfPages, pages, textOf } from './support/pages.ts'

const source = join(import.meta.dirname, '..', 'src')

function read(folder: string, isWanted: (file: string) => boolean = () => true): string {
  const files = readdirSync(join(source, folder), { withFileTypes: true, recursive: true })
  const paths = files.filter(file => file.isFile()).map(file => join(file.parentPath, file.name))
  return paths
    .filter(isWanted)
    .map(path => readFileSync(path, 'utf8'))
    .join('\n')
}

/** Where a code is given to a new error. */
const MADE = /(?:DatabaseError\(\s*|\bcode: )'\w+'/g

describe('The reference of errors', () => {
  const [, union = ''] = /export type ErrorCode =\n([\s\S]*?)\n\n/.exec(readFileSync(join(source, 'errors.ts'), 'utf8')) ?? []
  const codes = [...union.matchAll(/^ {2}\| '(\w+)'$/gm)].map(([, code = '']) => code)
  const rows = new Map<string, string[]>()
  for (const [, names = '', ...cells] of textOf('docs/errors.md').matchAll(/^\| ((?:`\w+` )+)\| (.+) \| (.+) \| (\w+) \|$/gm)) {
    for (const [, name = ''] of names.matchAll(/`(\w+)`/g)) rows.set(name, cells)
  }

  test('has a row for each code, and for nothing else', () => {
    assert.ok(codes.length > 50, `${codes.length} codes`)
    assert.deepEqual([...rows.keys()].sort(), [...codes].sort())
  })

  test('says on which databases each code comes', () => {
    const shared = read('', file => !/drivers|errors\.ts|tools|testing\.ts/.test(file)).match(MADE) ?? []
    const drivers = { SQLite: read('drivers/sqlite'), Postgres: read('drivers/postgres') }
    for (const [code, [, , databases]] of rows) {
      const on = Object.entries(drivers).filter(([, text]) => text.includes(`'${code}'`) || shared.some(made => made.includes(`'${code}'`)))
      const expected = on.length === 1 ? on[0]?.[0] : 'both'
      assert.equal(databases, expected, code)
    }
  })
})

describe('The reference of calls', () => {
  const page = textOf('docs/api.md')
  const index = readFileSync(join(source, 'index.ts'), 'utf8')
  const names = [...index.replaceAll(/ from '.*'$/gm, '').matchAll(/\b(?!export\b|type\b)[A-Za-z]+\b/g)].map(([name]) => name)

  test('has each public name', () => {
    assert.ok(names.length > 30, `${names.length} names`)
    for (const name of names) assert.match(page, new RegExp(`\\b${name}\\b`), name)
  })

  for (const [name, file] of [
    ['Handle', 'handle.ts'],
    ['Database', 'handle.ts'],
    ['KeyValueStore', 'kvs/kvs.ts'],
    ['SqlTag', 'sql.ts']
  ] as const) {
    test(`has each member of ${name}`, () => {
      const [, body = ''] =
        new RegExp(`^export interface ${name}[^{]*\\{\\n([\\s\\S]*?)^\\}`, 'm').exec(read('', path => path.endsWith(file))) ?? []
      const members = [...body.matchAll(/^ {2}(?:readonly )?(\[?[\w.]+\]?)[(<:]/gm)].map(([, member = '']) => member)
      assert.ok(members.length > 3, members.join())
      for (const member of members) assert.ok(page.includes(name === 'SqlTag' ? `sql.${member}` : `\`${member}`), member)
    })
  }
})

describe('The code of the pages', () => {
  const directory = mkdtempSync(join(tmpdir(), 'duolect-types-'))
  after(() => rmSync(directory, { recursive: true }))

  test('has no error of types in a strict project', () => {
    symlinkSync(modulesOfPages(), join(directory, 'node_modules'))
    writeFileSync(join(directory, 'package.json'), '{ "type": "module" }')
    for (const page of pages) {
      const folder = join(directory, page.replaceAll('/', '-'))
      mkdirSync(folder)
      for (const [i, { file, code }] of blocksOf(page).entries())
        writeFileSync(join(folder, file ?? `block-${i + 1}.ts`), `${code}\nexport {}\n`)
    }
    const root = join(source, '..')
    const compilerOptions = {
      noEmit: true,
      noUnusedLocals: false,
      typeRoots: [join(root, 'node_modules', '@types')],
      paths: { duolect: [join(source, 'index.ts')], 'duolect/testing': [join(source, 'testing.ts')] }
    }
    writeFileSync(
      join(directory, 'tsconfig.json'),
      JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions, include: ['*/*.ts'], exclude: [] })
    )
    const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', directory], { encoding: 'utf8' })
    assert.equal(status, 0, stdout)
  })
})
