/** Folders with files, and duolect's command line in them, built as the package has it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before } from 'node:test'
import { bundle } from './bundle.ts'

const root = join(import.meta.dirname, '..', '..')

export interface CommandLine {
  /** Where the folders are; removed after the tests. */
  readonly directory: string
  /** Makes a folder with files. */
  project(name: string, files: Readonly<Record<string, string>>): string
  /** Runs a command in a folder. */
  duolect(folder: string, parameters: readonly string[], env?: NodeJS.ProcessEnv): { status: number | null; output: string }
  /** Starts a command in a folder, whose output goes to a pipe. */
  start(folder: string, parameters: readonly string[], env?: NodeJS.ProcessEnv): ChildProcess
}

/** Makes the command line for the tests of a file or of a `describe`. */
export function commandLine(): CommandLine {
  const directory = mkdtempSync(join(tmpdir(), 'duolect-command-'))
  const file = join(directory, 'cli.mjs')

  before(async () => {
    symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'))
    await bundle(join(root, 'src', 'tools', 'cli.ts'), file)
  })

  after(() => rmSync(directory, { recursive: true, force: true }))

  return {
    directory,
    project(name, files) {
      const folder = join(directory, name)
      mkdirSync(folder)
      for (const [path, text] of Object.entries({ 'package.json': '{ "type": "module" }', ...files })) {
        mkdirSync(dirname(join(folder, path)), { recursive: true })
        writeFileSync(join(folder, path), text)
      }
      symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
      return folder
    },
    duolect(folder, parameters, env = {}) {
      const options = { cwd: folder, env: { ...process.env, ...env }, encoding: 'utf8' } as const
      const { status, stdout, stderr } = spawnSync(process.execPath, [file, ...parameters], options)
      return { status, output: stdout + stderr }
    },
    start: (folder, parameters, env = {}) =>
      spawn(process.execPath, [file, ...parameters], { cwd: folder, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  }
}
