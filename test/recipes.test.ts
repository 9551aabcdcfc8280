/** The work queue of docs/recipes.md, shared by processes. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import type { DatabaseConfig } from '../src/index.ts'
import { onEachSharedDatabase } from './support/databases.ts'
import { buildForPages, folderFor, type PageFolder, removeBuild } from './support/pages.ts'

const JOBS = 200
const WORKERS = 4

onEachSharedDatabase('The work queue', database => {
  let folder: PageFolder

  before(async () => {
    await buildForPages()
    folder = folderFor('docs/recipes.md')
  })

  after(() => {
    rmSync(folder.directory, { recursive: true })
    removeBuild()
  })

  /** Starts a program on the queue of a database; what it prints is its answer. */
  function start(config: DatabaseConfig, body: string): ChildProcess {
    const file = folder.write(
      'main.ts',
      `import { createDatabase } from 'duolect'
      import { add, createQueue, finish, take } from './queue.ts'
      const db = createDatabase(JSON.parse(process.argv[2]))
      ${body}
      await db.close()`
    )
    return spawn(process.execPath, [file, JSON.stringify(config)], { stdio: ['ignore', 'pipe', 'inherit'] })
  }

  async function run(config: DatabaseConfig, body: string): Promise<string> {
    const child = start(config, body)
    const [output, [status]] = await Promise.all([text(child.stdout as NonNullable<typeof child.stdout>), once(child, 'close')])
    assert.equal(status, 0)
    return output
  }

  test('gives each job to one of four processes', async () => {
    const config = await database.config()
    await run(config, `await db.exec(createQueue); for (let i = 0; i < ${JOBS}; i++) await add(db, i)`)
    const worker = `
      for (let job = await take(db, 60); job !== undefined; job = await take(db, 60)) {
        console.log(job.work)
        if (!(await finish(db, job))) throw new Error('Another process has the job.')
      }`
    const outputs = await Promise.all(Array.from({ length: WORKERS }, () => run(config, worker)))
    const done = outputs.flatMap(output => output.trim().split('\n').filter(Boolean).map(Number)).sort((a, b) => a - b)
    assert.deepEqual(
      done,
      Array.from({ length: JOBS }, (_, i) => i)
    )
  })

  test('gives the job of a process that was killed to another, when its lease has run out', async () => {
    const config = await database.config()
    await run(config, "await db.exec(createQueue); await add(db, 'the job')")
    const first = start(config, 'console.log((await take(db, 0.5)).work); setInterval(() => {}, 1000); await new Promise(() => {})')
    await once(first.stdout as NonNullable<typeof first.stdout>, 'data')
    first.kill('SIGKILL')
    const output = await run(
      config,
      `let job
      while ((job = await take(db, 60)) === undefined) await new Promise(resolve => setTimeout(resolve, 20))
      console.log(job.work, job.attempts, await finish(db, job), await take(db, 60))`
    )
    assert.equal(output, 'the job 2 true undefined\n')
  })
})
