import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { createDatabase, type Database, DatabaseError } from '../src/index.ts'
import { startPostgres } from '../src/tools/servers/postgres.ts'
import { finished, start } from './support/processes.ts'

/** Fails when a number that was acknowledged is not stored. */
async function assertStored(db: Database, acknowledged: readonly number[]): Promise<void> {
  const stored = new Set((await db.all<{ n: number }>('SELECT n FROM marks')).map(({ n }) => n))
  assert.deepEqual(
    acknowledged.filter(n => !stored.has(n)),
    []
  )
}

describe('What was acknowledged', () => {
  /** `DUOLECT_TEST_KILLS=120 npm test -- durability` takes more than a minute. */
  const KILLS = Number(process.env.DUOLECT_TEST_KILLS ?? 40)
  const AT_ONCE = 4

  test(`is there after ${KILLS} SIGKILLs of processes that write to one SQLite file`, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'duolect-test-'))
    const config = { dataDir: directory, postgres: { enabled: false } }
    const db = createDatabase(config)
    await db.exec('CREATE TABLE marks (n INTEGER PRIMARY KEY)')
    const acknowledged: number[] = []
    for (let kill = 0; kill < KILLS; kill += AT_ONCE) {
      const writers = Array.from({ length: AT_ONCE }, (_, i) => start('writer.ts', { config, from: (kill + i) * 1_000_000, step: 1 }))
      const ends = writers.map(finished)
      await Promise.all(writers.map(writer => new Promise(resolve => writer.stdout?.once('data', resolve))))
      await pause(Math.random() * 40)
      for (const writer of writers) writer.kill('SIGKILL')
      for (const { output, signal } of await Promise.all(ends)) {
        assert.equal(signal, 'SIGKILL', output)
        // The last line may have been cut in two.
        acknowledged.push(...output.slice(0, output.lastIndexOf('\n')).split('\n').map(Number))
      }
    }
    assert.ok(acknowledged.length >= KILLS, `${acknowledged.length} writes`)
    await assertStored(db, acknowledged)
    assert.deepEqual(await db.all('PRAGMA integrity_check'), [{ integrity_check: 'ok' }])
    await db.close()
    rmSync(directory, { recursive: true })
  })

  test('is there after 5 immediate restarts of Postgres, and the process goes on', async () => {
    const server = await startPostgres()
    const db = createDatabase(server.url)
    await db.exec('CREATE TABLE marks (n INTEGER PRIMARY KEY)')
    const acknowledged: number[] = []
    let isOver = false
    let next = 0
    const workers = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        const n = next++
        try {
          await db.run('INSERT INTO marks (n) VALUES ($1)', [n])
          acknowledged.push(n)
        } catch (error) {
          assert.ok(error instanceof DatabaseError, String(error))
          assert.match(error.code, /^(connection_failure|commit_unknown|too_many_connections)$/, error.message)
          await pause(5)
        }
      }
    })
    for (let i = 0; i < 5; i++) {
      await pause(150)
      await server.restart('QUIT')
      const before = acknowledged.length
      await pause(200)
      assert.ok(acknowledged.length > before, 'writes go on after the restart')
    }
    isOver = true
    await Promise.all(workers)
    await assertStored(db, acknowledged)
    await db.close()
    await server.stop()
  })

  test('was synced to the disk: at least one fsync for each commit that was awaited', () => {
    const directory = mkdtempSync(join(tmpdir(), 'duolect-test-'))
    const trace = join(directory, 'trace')
    const source = `
      import { createDatabase } from ${JSON.stringify(join(import.meta.dirname, '..', 'src', 'index.ts'))}
      const db = createDatabase(${JSON.stringify({ dataDir: directory, postgres: { enabled: false } })})
      await db.exec('CREATE TABLE marks (n INTEGER PRIMARY KEY)')
      for (let n = 0; n < 200; n++) await db.run('INSERT INTO marks VALUES ($1)', [n])
      await db.close()`
    const command = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', source]
    const { status, stderr } = spawnSync('strace', ['-f', '-qq', '-e', 'trace=fsync,fdatasync', '-o', trace, ...command], {
      encoding: 'utf8',
      cwd: join(import.meta.dirname, '..')
    })
    assert.equal(status, 0, stderr)
    const syncs = readFileSync(trace, 'utf8').match(/f(data)?sync\(/g)?.length ?? 0
    assert.ok(syncs >= 200, `${syncs} syncs for 200 commits`)
    rmSync(directory, { recursive: true })
  })
})

describe('Transactions of several processes on one SQLite file', () => {
  test('4 × 1000 that read, then write, all succeed, and the sum is right', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'duolect-test-'))
    const config = { dataDir: directory, postgres: { enabled: false } }
    const db = createDatabase(config)
    await db.exec('CREATE TABLE counters (amount INTEGER NOT NULL); INSERT INTO counters VALUES (0)')
    const movers = Array.from({ length: 4 }, () => finished(start('mover.ts', { config, times: 1000 })))
    for (const { status, output } of await Promise.all(movers)) assert.equal(status, 0, output)
    assert.deepEqual(await db.one('SELECT amount FROM counters'), { amount: 4000 })
    await db.close()
    rmSync(directory, { recursive: true })
  })
})
