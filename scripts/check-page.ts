/** Writes the outputs in `docs/check.md`, from the queries in `test/check/`. Run: npx tsx scripts/check-page.ts */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { paintFor, printResult, printSummary } from '../src/tools/check/print.ts'
import { readChecked, Session } from '../src/tools/check/session.ts'

const root = join(import.meta.dirname, '..')
const page = join(root, 'docs', 'check.md')

/** One of each verdict. */
const SHOWN = ['authors', 'shareOf', 'tags', 'impossible', 'acceptedUpper']

process.chdir(join(root, 'test', 'check'))
const outputs: string[] = []
for (const [sql, shown] of [
  ['board', SHOWN],
  ['shop', ['latestOrder']]
] as const) {
  const session = new Session({ sql, needs: [], postgres: process.env.TEST_PG_URL, seed: 'duolect', runs: 8 })
  const report = await session.checkModule(readChecked({ sql, needs: [] })).finally(() => session.close())
  const results = report.results.filter(({ subject }) => shown.some(name => name === subject.query.name))
  outputs.push(...results.map(result => printResult(result, paintFor(false))), printSummary(report, paintFor(false)))
}
const text = readFileSync(page, 'utf8').replace(/(<!-- outputs -->\n).*?(<!-- end -->)/s, (_, start: string, end: string) => {
  return `${start}\n${outputs.map(output => `\`\`\`text\n${output}\n\`\`\`\n`).join('\n')}\n${end}`
})
writeFileSync(page, text)
