import { join } from 'node:path'
import { build } from 'esbuild'

const src = join(import.meta.dirname, '..', '..', 'src')

/** Makes one ES module of a program and of duolect's source; the drivers' packages stay outside. */
export async function bundle(program: string, outfile: string): Promise<void> {
  await build({
    entryPoints: [program],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    external: ['pg', 'better-sqlite3'],
    alias: { duolect: join(src, 'index.ts'), 'duolect/testing': join(src, 'testing.ts') },
    logLevel: 'error'
  })
}
