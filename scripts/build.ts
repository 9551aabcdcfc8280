/**
 * Makes `dist/`: the JavaScript in few files, one for all that is loaded at once and one for each driver, as each file
 * costs time at a cold start, and so does each line that is not used; and the types, one file a module. The drivers'
 * packages stay outside.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BuildOptions, build, type Plugin } from 'esbuild'

const root = join(import.meta.dirname, '..')

/** What comes into the file with duolect's own code. Its license comes along. */
const INLINED = ['json-pointer', 'foreach']

/** What is loaded on first use. */
const LATER = ['src/drivers/sqlite/driver.ts', 'src/drivers/postgres/driver.ts', 'src/migrations.ts'].map(path => join(root, path))

/**
 * Makes one chunk of all that is loaded at once. By itself esbuild makes one for each set of programs that share
 * something; so the index imports what the drivers share, and what is loaded later imports the whole index.
 */
const ONE_CORE: Plugin = {
  name: 'one core',
  setup({ onLoad }) {
    const importing = (path: string, other: string) => ({
      contents: `${readFileSync(path, 'utf8')}\nimport ${JSON.stringify(join(root, 'src', other))}`,
      loader: 'ts' as const
    })
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      if (LATER.includes(path)) return importing(path, 'index.ts')
      return path === join(root, 'src', 'index.ts') ? importing(path, 'drivers/package.ts') : undefined
    })
  }
}

export async function buildPackage(directory: string): Promise<void> {
  rmSync(directory, { recursive: true, force: true })
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  execFileSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', directory], { cwd: root, stdio: 'inherit' })
  const options: BuildOptions = {
    absWorkingDir: root,
    outdir: directory,
    bundle: true,
    external: ['duolect', 'pg', 'better-sqlite3'],
    outbase: 'src',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'warning'
  }
  await build({
    ...options,
    entryPoints: ['src/index.ts'],
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    plugins: [ONE_CORE],
    // Else an import of nothing is left out, as package.json says that it does nothing.
    ignoreAnnotations: true
  })
  await build({ ...options, entryPoints: ['src/testing.ts', 'src/tools/cli.ts', 'src/tools/servers/keeper.ts'] })
  const licenses = INLINED.map(name => `${name}\n\n${readFileSync(join(root, 'node_modules', name, 'LICENSE'), 'utf8').trim()}\n`)
  writeFileSync(join(directory, 'LICENSES.txt'), `The JavaScript here holds code of these packages:\n\n${licenses.join('\n\n')}`)
}

if (process.argv[1] === import.meta.filename) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  await buildPackage(join(root, 'dist'))
  console.log(`Built duolect ${version} into dist/.`)
}
