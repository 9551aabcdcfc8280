import type * as Files from 'node:fs'

type Used = Pick<typeof Files, 'closeSync' | 'existsSync' | 'mkdirSync' | 'openSync' | 'readFileSync' | 'statSync'>

/** Node's functions for files; there once `loadFiles` was called. */
export let files: Used

/**
 * Loads them without an import where Node.js can: an import reads every export of `node:fs`, which loads its streams, 4
 * to 12 ms of a cold start.
 */
export async function loadFiles(): Promise<void> {
  files ??= process.getBuiltinModule?.('node:fs') ?? (await import('node:fs'))
}
