/**
 * The README's code runs, and each line with `// => value` gives that value. What needs a caller to show that it works
 * has one behind it that readers do not see: a comment that begins with `then`.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'

const root = join(import.meta.dirname, '..')
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map(name => `docs/${name}`)].filter(name => name.endsWith('.md'))

function codeOf(page: string): string[] {
  const blocks = readFileSync(join(root, page), 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$(?:\n<!-- then\n([\s\S]*?)^-->$)?/gm)
  return [...blocks].map(([, code, then = '']) => `${code}${then}`)
}

/** `await call() // => value` becomes an assertion. */
function withAssertions(code: string): string {
  const source = JSON.stringify(join(root, 'src', 'index.ts'))
  return `import assert from 'node:assert/strict'\n${code
    .replaceAll("'duolect'", source)
    .replace(/^(await .*?) \/\/ => (.*)$/gm, 'assert.deepEqual($1, $2)')}`
}

for (const page of pages) {
  describe(page, () => {
    codeOf(page).forEach((code, i) => {
      test(`block ${i + 1} runs`, () => {
        const directory = mkdtempSync(join(tmpdir(), 'duolect-readme-'))
        const file = join(directory, 'main.mts')
        writeFileSync(file, withAssertions(code))
        const loader = import.meta.resolve('tsx')
        const env = { ...process.env, DATABASE: '', DATA_DIR: '', DYNO: '', PORT: '0' }
        const options = { cwd: directory, env, encoding: 'utf8', timeout: 30_000 } as const
        const { status, stderr } = spawnSync(process.execPath, ['--import', loader, file], options)
        rmSync(directory, { recursive: true })
        assert.equal(status, 0, stderr)
      })
    })

    test('has no link to a page that is not there', () => {
      const links = [...readFileSync(join(root, page), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link]) => link as string)
      for (const link of links) assert.ok(existsSync(join(root, dirname(page), link)), link)
    })
  })
}
