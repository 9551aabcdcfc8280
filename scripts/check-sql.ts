/**
 * Checks duolect's own queries as `npx duolect check` checks those of a module, and keeps in `sql/checked.json` what was
 * checked. `npm run check` compares that file with `sql/`, so that it needs no Postgres.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { InputFile } from '../src/files/module.ts'
import { isProblem, paintFor, printReport } from '../src/tools/check/print.ts'
import { fingerprintsOf, Session } from '../src/tools/check/session.ts'
import { ownModule } from './own-queries.ts'

const folder = join(import.meta.dirname, '..', 'sql')
const target = join(folder, 'checked.json')

export function ownFiles(): InputFile[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter(entry => entry.isFile() && entry.name.endsWith('.sql'))
    .map(entry => join(entry.parentPath, entry.name))
    .map(file => ({ path: relative(folder, file).replaceAll('\\', '/'), text: readFileSync(file, 'utf8') }))
}

function fileOf(fingerprints: ReadonlyMap<string, string>): string {
  return `${JSON.stringify(Object.fromEntries([...fingerprints].sort()), undefined, 2)}\n`
}

/** Returns what is wrong with the fingerprints, or undefined when they are up to date. */
export function findUnchecked(): string | undefined {
  const isCurrent = existsSync(target) && readFileSync(target, 'utf8') === fileOf(fingerprintsOf(ownModule(ownFiles())))
  return isCurrent ? undefined : 'sql/ is not what was checked on both databases. Run: npx tsx scripts/check-sql.ts'
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const session = new Session({ sql: 'sql', needs: [], postgres: process.env.TEST_PG_URL, seed: 'duolect', runs: 8 })
  try {
    const report = await session.checkModule(ownModule(ownFiles()))
    console.log(printReport(report, paintFor(false)))
    if (report.results.some(isProblem)) process.exitCode = 1
    else writeFileSync(target, fileOf(report.fingerprints))
  } finally {
    await session.close()
  }
}
