/**
 * Writes to a SQLite file on a small file system until it is full, again and again, and compares what is stored with
 * what was acknowledged: `npx tsx scripts/full-disk.ts` as root on Linux, which may mount a file system in memory;
 * else `npx tsx scripts/full-disk.ts DIRECTORY` with an empty directory on a file system of a few MB.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase, type Database, DatabaseError } from '../src/index.ts'

const ROUNDS = 10

function mountSmall(): string {
  const directory = mkdtempSync(join(tmpdir(), 'duolect-small-'))
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', directory], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`Cannot mount a small file system (${stderr.trim()}). Name a directory on one.`)
  return directory
}

/** What is stored as far as the callers know: the value by its key, and the keys of rows. */
class Expectation {
  readonly values = new Map<string, unknown>()
  readonly rows = new Set<string>()
  failed = 0

  /** Notes the effect of a write that succeeds; one that fails must be for want of space. */
  async expect(write: Promise<unknown>, effect: () => void): Promise<void> {
    try {
      await write
    } catch (error) {
      assert.ok(error instanceof DatabaseError && error.code === 'disk_full', String(error))
      this.failed++
      return
    }
    effect()
  }
}

async function fill(db: Database, expected: Expectation): Promise<void> {
  const text = 'x'.repeat(3000)
  for (let turn = 0; expected.failed < 40; turn++) {
    await Promise.all([
      expected.expect(db.kvs.set(`set ${turn}`, text), () => expected.values.set(`set ${turn}`, text)),
      expected.expect(db.kvs.set('path', turn, `turns.${turn}`), () => undefined),
      expected.expect(
        db.kvs.setMany([
          [`many ${turn} a`, text],
          [`many ${turn} b`, text]
        ]),
        () => expected.values.set(`many ${turn} a`, text).set(`many ${turn} b`, text)
      ),
      expected.expect(db.run('INSERT INTO t VALUES ($1, $2)', [`run ${turn}`, text]), () => expected.rows.add(`run ${turn}`)),
      expected.expect(
        db.batch([
          ['INSERT INTO t VALUES ($1, $2)', [`batch ${turn} a`, text]],
          ['INSERT INTO t VALUES ($1, $2)', [`batch ${turn} b`, text]]
        ]),
        () => expected.rows.add(`batch ${turn} a`).add(`batch ${turn} b`)
      )
    ])
    await expected.expect(
      db.transaction(async tx => {
        await tx.run('INSERT INTO t VALUES ($1, $2)', [`tx ${turn} a`, text])
        await tx.transaction(inner => inner.run('INSERT INTO t VALUES ($1, $2)', [`tx ${turn} b`, text]))
      }),
      () => expected.rows.add(`tx ${turn} a`).add(`tx ${turn} b`)
    )
    assert.equal((await db.one<{ n: number }>('SELECT 1 AS n')).n, 1)
  }
}

async function compare(db: Database, expected: Expectation): Promise<void> {
  const rows = await db.all<{ id: string }>('SELECT id FROM t ORDER BY id')
  assert.deepEqual(new Set(rows.map(({ id }) => id)), expected.rows)
  for (const [key, value] of expected.values) assert.deepEqual(await db.kvs.get(key), value)
  const keys = new Set<string>()
  for await (const key of db.kvs.keys()) if (key !== 'path') keys.add(key)
  assert.deepEqual(keys, new Set(expected.values.keys()))
  assert.deepEqual(await db.all('PRAGMA integrity_check'), [{ integrity_check: 'ok' }])
}

const given = process.argv[2]
const directory = given ?? mountSmall()
const ballast = join(directory, 'ballast')
const location = join(directory, 'db.sqlite')
try {
  let failed = 0
  for (let round = 0; round < ROUNDS; round++) {
    const expected = new Expectation()
    writeFileSync(ballast, Buffer.alloc(1_000_000))
    const db = createDatabase({ sqlite: { location }, postgres: { enabled: false } })
    await db.exec('CREATE TABLE t (id TEXT PRIMARY KEY, text TEXT)')
    await fill(db, expected)
    await compare(db, expected)
    rmSync(ballast)
    // With space again, the same handle goes on.
    await db.run("INSERT INTO t VALUES ($1, '')", ['after'])
    expected.rows.add('after')
    await compare(db, expected)
    await db.close()
    for (const end of ['', '-wal', '-shm']) rmSync(`${location}${end}`, { force: true })
    failed += expected.failed
  }
  console.log(`${ROUNDS} rounds: ${failed} writes failed with disk_full, and nothing was stored but what was acknowledged`)
} finally {
  if (given === undefined) {
    spawnSync('umount', ['--lazy', directory])
    rmdirSync(directory)
  }
}
