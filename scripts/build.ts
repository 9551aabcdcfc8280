/** Makes `dist/`: the JavaScript in few files, as each file costs time at a cold start; and the types, one file a module. */
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '..')

/** Each driver becomes a file of its own, which is loaded on first use. */
export async function buildPackage(directory: string): Promise<void> {
  rmSync(directory, { recursive: true, force: true })
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  execFileSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', directory], { cwd: root, stdio: 'inherit' })
  await build({
    entryPoints: ['src/index.ts', 'src/cli.ts'],
    absWorkingDir: root,
    outdir: directory,
    bundle: true,
    splitting: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'warning'
  })
}

if (process.argv[1] === import.meta.filename) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  await buildPackage(join(root, 'dist'))
  console.log(`Built duolect ${version} into dist/.`)
}
