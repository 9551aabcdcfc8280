/**
 * Makes `dist/`: the JavaScript in one file, as each file and each package costs time at a cold start; and the types,
 * one file a module. The drivers' packages stay outside, and are loaded on first use.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '..')

/** What comes into the file with duolect's own code. Its license comes along. */
const INLINED = ['json-pointer', 'foreach']

export async function buildPackage(directory: string): Promise<void> {
  rmSync(directory, { recursive: true, force: true })
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  execFileSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', directory], { cwd: root, stdio: 'inherit' })
  await build({
    entryPoints: ['src/index.ts', 'src/testing.ts', 'src/tools/cli.ts', 'src/tools/servers/keeper.ts'],
    absWorkingDir: root,
    outdir: directory,
    bundle: true,
    external: ['duolect', 'pg', 'better-sqlite3'],
    outbase: 'src',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'warning'
  })
  const licenses = INLINED.map(name => `${name}\n\n${readFileSync(join(root, 'node_modules', name, 'LICENSE'), 'utf8').trim()}\n`)
  writeFileSync(join(directory, 'LICENSES.txt'), `index.js holds code of these packages:\n\n${licenses.join('\n\n')}`)
}

if (process.argv[1] === import.meta.filename) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  await buildPackage(join(root, 'dist'))
  console.log(`Built duolect ${version} into dist/.`)
}
