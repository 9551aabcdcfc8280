/**
 * better-sqlite3. Where it cannot run it fails late, or ends the process, so this looks before it is used:
 *
 * - Version 13 and newer crash on a Node.js that is older than their `engines` say, with a segmentation fault.
 * - A binding that is not built, or for another version of Node.js, fails with the first database that is opened.
 */
import { DatabaseError, messageOf } from '../../errors.ts'
import { requireInstalled, requirePackage } from '../package.ts'
import type { NativeConstructor } from './connection.ts'

/** @throws DatabaseError `missing_driver` with the command that mends it */
export async function loadBetterSqlite3(): Promise<NativeConstructor> {
  assertEngines()
  try {
    // A bundler lets a package be missing that is imported inside of a try.
    const Native = requirePackage<NativeConstructor>('better-sqlite3') ?? (await import('better-sqlite3')).default
    ;new (Native as NativeConstructor)(':memory:', { timeout: 0 }).close()
    return Native as NativeConstructor
  } catch (error) {
    throw missing(reasonOf(error), error)
  }
}

interface Manifest {
  readonly version: string
  readonly engines?: { readonly node?: string }
}

function assertEngines(): void {
  const manifest = requireInstalled<Manifest>('better-sqlite3/package.json')
  // Version 12 lists the versions that it has binaries for, and is compiled for others.
  const oldest = /^>=\s*(\d+)/.exec(manifest?.engines?.node ?? '')?.[1]
  if (manifest === undefined || oldest === undefined || nodeMajor() >= Number(oldest)) return
  throw missing(
    `Version ${manifest.version} needs Node.js ${oldest} or newer, and this is ${process.versions.node}. Run: ${installCommand()}`
  )
}

function nodeMajor(): number {
  return Number.parseInt(process.versions.node, 10)
}

/** The command for this version of Node.js. */
function installCommand(): string {
  return `npm install better-sqlite3${nodeMajor() < 22 ? '@12' : ''}`
}

function reasonOf(error: unknown): string {
  const { code } = error as { code?: unknown }
  const message = messageOf(error).replace(/\.$/, '')
  if (code === 'ERR_DLOPEN_DISABLED') {
    return 'Node.js runs with --permission, which refuses native code. Add --allow-addons'
  }
  if (/NODE_MODULE_VERSION/.test(message)) return 'It was built for another version of Node.js. Run: npm rebuild better-sqlite3'
  if (requireInstalled<Manifest>('better-sqlite3/package.json') !== undefined) {
    if (/bindings file|no native build|prebuil/i.test(message)) {
      return (
        'It is installed but not built, as its install script did not run. Allow that in package.json, ' +
        '"allowScripts": { "better-sqlite3": true }, and run: npm rebuild better-sqlite3 (pnpm: pnpm approve-builds; ' +
        'Yarn: "dependenciesMeta": { "better-sqlite3": { "built": true } }, and yarn install)'
      )
    }
    return `${message}. Run: npm rebuild better-sqlite3`
  }
  if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') return `Run: ${installCommand()}`
  // A bundler took its JavaScript along and left the binary behind.
  return `${message}. A bundle cannot hold it: leave better-sqlite3 out of the bundle ("external") and install it beside: ${installCommand()}`
}

function missing(reason: string, cause?: unknown): DatabaseError {
  return new DatabaseError(
    'missing_driver',
    `Cannot load "better-sqlite3", which SQLite needs. ${reason}. For Postgres instead, set DATABASE=postgres.`,
    { cause }
  )
}
