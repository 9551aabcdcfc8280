/**
 * The code of the pages. A block that begins with a comment such as `// store.ts` is a file that the page's other blocks
 * import. A comment of the page that begins with `then`, directly behind a block, runs with it: readers do not see it.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build, transformSync } from 'esbuild'

const root = join(import.meta.dirname, '..', '..')

/** README.md and what is in docs/. */
export const pages: readonly string[] = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`)
]

export interface Block {
  /** Where other blocks find it, such as `store.ts`. */
  readonly file: string | undefined
  /** What readers see. */
  readonly code: string
  /** What runs behind it. */
  readonly then: string
}

export function textOf(page: string): string {
  return readFileSync(join(root, page), 'utf8')
}

/** The blocks of TypeScript. */
export function blocksOf(page: string): Block[] {
  const blocks = textOf(page).matchAll(/^```ts\n(?:\/\/ (\S+\.ts)\n)?([\s\S]*?)^```$(?:\n<!-- then\n([\s\S]*?)^-->$)?/gm)
  return [...blocks].map(([, file, code = '', then = '']) => ({ file, code, then }))
}

/** Where duolect is built for the pages; in node_modules, so that it finds the drivers. */
const home = join(root, 'node_modules', '.cache', `duolect-pages-${process.pid}`)

/** Builds duolect, since a program that loads its sources one by one takes a second longer. */
export async function buildForPages(): Promise<void> {
  await build({
    entryPoints: { index: join(root, 'src', 'index.ts'), testing: join(root, 'src', 'testing.ts') },
    alias: { duolect: join(root, 'src', 'index.ts') },
    outdir: home,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    external: ['pg', 'better-sqlite3'],
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: 'inline',
    logLevel: 'error'
  })
}

export function removeBuild(): void {
  rmSync(home, { recursive: true, force: true })
}

/** JavaScript of a block's TypeScript, on what `buildForPages` built. */
function compile(code: string): string {
  const onBuild = code
    .replaceAll("'duolect'", JSON.stringify(join(home, 'index.mjs')))
    .replaceAll("'duolect/testing'", JSON.stringify(join(home, 'testing.mjs')))
    .replace(/(from '\.\/[\w-]+)\.ts'/g, "$1.js'")
  return transformSync(onBuild, { loader: 'ts', format: 'esm', target: 'node20' }).code
}

/** The packages that pages show duolect together with. */
export function modulesOfPages(): string {
  const modules = join(root, 'test', 'integrations', 'node_modules')
  if (!existsSync(modules)) throw new Error('The packages of test/integrations are not installed; run "npm test", which does that.')
  return modules
}

export interface PageFolder {
  readonly directory: string
  /** Writes a program beside the page's files, and returns its path. */
  write(name: string, code: string): string
}

/** Makes a folder with the page's files, and with the packages that pages show duolect together with. */
export function folderFor(page: string): PageFolder {
  const directory = mkdtempSync(join(tmpdir(), 'duolect-page-'))
  symlinkSync(modulesOfPages(), join(directory, 'node_modules'))
  writeFileSync(join(directory, 'package.json'), '{ "type": "module" }')
  const write = (name: string, code: string): string => {
    const file = join(directory, name.replace(/\.ts$/, '.js'))
    writeFileSync(file, compile(code))
    return file
  }
  for (const { file, code } of blocksOf(page)) if (file !== undefined) write(file, code)
  return { directory, write }
}
