/** The suite on versions of Node.js, with each package of the SQLite driver that works there. */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { copyProject, environmentOf, home, inDirectory, printTable, root, run, versionsOf } from './home.ts'

const NODE_SQLITE = 'node:sqlite'

/** The packages of the SQLite driver by version of Node.js. */
function packagesFor(version: string): string[] {
  if (version === '20') return ['better-sqlite3@12']
  return Number(version) < 24 ? ['better-sqlite3@13'] : ['better-sqlite3@13', NODE_SQLITE]
}

export async function runNode(parameters: readonly string[]): Promise<boolean> {
  const versions = parameters.filter(parameter => /^\d/.test(parameter))
  const isNodeSqliteAlone = parameters.includes(NODE_SQLITE)
  const words = parameters.filter(parameter => !/^\d/.test(parameter) && parameter !== NODE_SQLITE)
  const rows = [['Node.js', 'SQLite package', 'passed', 'failed']]
  let isRight = true
  for (const version of versions.length > 0 ? versions : versionsOf('node')) {
    for (const sqlite of packagesFor(version)) {
      if (isNodeSqliteAlone && sqlite !== NODE_SQLITE) continue
      const { passed, failed, output } = await runSuite(version, sqlite, words)
      if (failed > 0 || passed === 0) {
        isRight = false
        console.error(output)
      }
      rows.push([version, sqlite, String(passed), String(failed)])
    }
  }
  printTable(rows)
  return isRight
}

/** Runs the suite in a copy of the project, whose better-sqlite3 fits the version. */
function runSuite(version: string, sqlite: string, words: readonly string[]): Promise<{ passed: number; failed: number; output: string }> {
  return inDirectory(directory => {
    copyProject(directory)
    cpSync(join(root, 'node_modules'), join(directory, 'node_modules'), { recursive: true, verbatimSymlinks: true })
    for (const folder of ['workerd', 'integrations']) {
      cpSync(join(root, 'test', folder, 'node_modules'), join(directory, 'test', folder, 'node_modules'), { recursive: true })
    }
    if (version !== '20') {
      const target = join(directory, 'node_modules', 'better-sqlite3')
      rmSync(target, { recursive: true })
      cpSync(join(home, 'node_modules', 'better-sqlite3-13'), target, { recursive: true })
    }
    const env = { ...environmentOf(version), ...(sqlite === NODE_SQLITE && { DUOLECT_TEST_SQLITE: sqlite }) }
    // The checks are those of the project's own Node.js, so a word that every file has leaves them out.
    const parameters = ['--import', 'tsx', join('scripts', 'test.ts'), ...(words.length > 0 ? words : ['.test'])]
    const { stdout, stderr } = run('node', parameters, directory, env)
    const count = (name: string) => Number(new RegExp(`^\\W*${name} (\\d+)$`, 'm').exec(stdout)?.[1] ?? 0)
    const [, failures = stderr] = stdout.split(/^.*failing tests:$/m)
    return { passed: count('pass'), failed: count('fail') + count('cancelled'), output: failures }
  })
}
