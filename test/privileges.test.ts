/** A role that may not create tables, on a schema that was prepared with what the command prints; and the command. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import pg from 'pg'
import { createDatabase, type Database, sql } from '../src/index.ts'
import { failsWith } from './support/databases.ts'

const root = join(import.meta.dirname, '..')
const url = process.env.TEST_PG_URL as string
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
const name = `privileges_${process.pid}_${Date.now().toString(36)}`
const role = `${name}_role`

function command(...parameters: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', 'src/tools/cli.ts', ...parameters], {
    cwd: root,
    encoding: 'utf8'
  })
  return { status, stdout, stderr }
}

// The role ------------------------------------------------------------------------------------------------------

const admin = new pg.Client({ connectionString: url })
const opened: Database[] = []
let script = ''
let count = 0

before(async () => {
  script = command('schema', '--postgres').stdout
  await admin.connect()
  await admin.query(`CREATE ROLE ${role}`)
})

after(async () => {
  for (let i = 1; i <= count; i++) await admin.query(`DROP SCHEMA ${name}_${i} CASCADE`)
  await admin.query(`DROP ROLE ${role}`)
  await admin.end()
})

afterEach(async () => {
  await Promise.all(opened.splice(0).map(db => db.close()))
})

/** A schema of the administrator's, on which the role may only work. */
async function makeSchema(preparation = ''): Promise<string> {
  const schema = `${name}_${++count}`
  await admin.query(`CREATE SCHEMA ${schema}`)
  await admin.query(`SET search_path = ${schema}`)
  await admin.query(preparation)
  await admin.query(`
    GRANT USAGE ON SCHEMA ${schema} TO ${role};
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role}`)
  return schema
}

/** Opens nothing yet. The role is taken at the beginning of each session, so that it needs no way to log in. */
function asRole(schema: string, pooler = false): Database {
  const options = encodeURIComponent(`-c search_path=${schema} -c role=${role}`)
  const connection = `${url}${url.includes('?') ? '&' : '?'}options=${options}`
  const db = createDatabase({ postgres: { enabled: true, connection, pooler } })
  opened.push(db)
  return db
}

for (const pooler of [false, true]) {
  describe(`A role without CREATE on a prepared schema (pooler: ${pooler})`, () => {
    async function open(more = ''): Promise<Database> {
      return asRole(await makeSchema(`${script};\n${more}`), pooler)
    }

    test('is what it is taken for', async () => {
      const db = await open()
      assert.deepEqual(await db.one('SELECT current_user AS name'), { name: role })
      await assert.rejects(db.exec('CREATE TABLE more (id INTEGER)'), failsWith('insufficient_privilege', /permission denied for schema/))
    })

    test('has the whole key-value store', async () => {
      const { kvs } = await open()
      await kvs.set('a', { b: 1 })
      await kvs.set('a', 2, 'b')
      await kvs.set('new', 1, 'path.to')
      await kvs.setMany([
        ['m', 1],
        ['n', 2]
      ])
      assert.equal(await kvs.update('n', (n: number | null) => (n ?? 0) + 1), 3)
      assert.deepEqual([await kvs.get('a'), await kvs.get('new'), await kvs.has('m')], [{ b: 2 }, { path: { to: 1 } }, true])
      assert.deepEqual(
        await kvs.getMany(['m', 'n']),
        new Map([
          ['m', 1],
          ['n', 3]
        ])
      )
      assert.deepEqual([await kvs.delete('a', 'b'), await kvs.delete('m'), await kvs.delete('nothing')], [true, true, false])
      const keys: string[] = []
      for await (const { key } of kvs.list()) keys.push(key)
      assert.deepEqual(keys, ['a', 'n', 'new'])
    })

    test('has the store in transactions, with keys that are there and keys that are not', async () => {
      const db = await open()
      await db.kvs.set('there', 1)
      await db.transaction(async tx => {
        await tx.kvs.update('there', (n: number | null) => (n ?? 0) + 1)
        await tx.kvs.set('absent', 5, 'a.b')
        await tx.kvs.delete('nothing')
      })
      assert.deepEqual(
        await db.kvs.getMany(['there', 'absent']),
        new Map<string, unknown>([
          ['there', 2],
          ['absent', { a: { b: 5 } }]
        ])
      )
    })

    test('loses no update when many change one key', async () => {
      const schema = await makeSchema(script)
      const handles = [asRole(schema, pooler), asRole(schema, pooler), asRole(schema, pooler)]
      const increment = (n: number | null) => (n ?? 0) + 1
      await Promise.all(handles.flatMap(db => Array.from({ length: 20 }, () => db.kvs.update('n', increment))))
      assert.equal(await handles[0]?.kvs.get('n'), 60)
    })

    test('inserts and updates users', async () => {
      const db = await open()
      await db.saveUser({ id: '1', platform: 'slack', first_name: 'Priya' })
      const user = await db.transaction(tx => tx.saveUser({ id: '1', platform: 'slack', locale: 'en_IN' }))
      assert.deepEqual([user.id, user.first_name, user.locale], ['slack:1', 'Priya', 'en_IN'])
    })

    test('runs statements of its own', async () => {
      const db = await open('CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)')
      assert.deepEqual(await db.run(sql`INSERT INTO things VALUES (${1}, ${'one'}), (${2}, ${'two'})`), { changes: 2 })
      assert.deepEqual(await db.one('SELECT name FROM things WHERE id = $1', [2]), { name: 'two' })
      const names: unknown[] = []
      for await (const thing of db.iterate<{ name: string }>('SELECT name FROM things ORDER BY id')) names.push(thing.name)
      assert.deepEqual(names, ['one', 'two'])
      await db.exec('UPDATE things SET name = NULL; DELETE FROM things WHERE id = 1')
      assert.deepEqual(await db.all('SELECT * FROM things'), [{ id: 2, name: null }])
    })

    test('opens many times at once', async () => {
      const schema = await makeSchema(script)
      await Promise.all(Array.from({ length: 8 }, () => asRole(schema, pooler).get()))
    })
  })
}

describe('A role without CREATE', () => {
  const ADVICE = /tables are not there, and the role may not create them: permission denied.*"npx duolect schema --postgres" prints/

  test('on an empty schema is told what to do', async () => {
    await assert.rejects(asRole(await makeSchema()).get(), failsWith('insufficient_privilege', ADVICE))
  })

  test('on a schema with one of the two tables is told what to do', async () => {
    const db = asRole(await makeSchema('CREATE TABLE kvs (key TEXT PRIMARY KEY, value TEXT, modified_on TIMESTAMPTZ)'))
    await assert.rejects(db.get(), failsWith('insufficient_privilege', ADVICE))
  })

  test('works as soon as the tables are there, with the same handle', async () => {
    const schema = await makeSchema()
    const db = asRole(schema)
    await assert.rejects(db.kvs.get('a'), failsWith('insufficient_privilege', ADVICE))
    await admin.query(`SET search_path = ${schema}`)
    await admin.query(script)
    await admin.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role}`)
    await db.kvs.set('a', 1)
    assert.equal(await db.kvs.get('a'), 1)
  })

  test('that may only read reads, and is refused the rest', async () => {
    const schema = await makeSchema(script)
    await admin.query(`REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} FROM ${role}`)
    const db = asRole(schema)
    assert.equal(await db.kvs.get('a'), null)
    await assert.rejects(db.kvs.set('a', 1), failsWith('insufficient_privilege', /permission denied for/))
    await assert.rejects(db.saveUser({ id: '1', platform: 'slack' }), failsWith('insufficient_privilege', /permission denied for/))
  })

  test('that may not use the schema at all is refused', async () => {
    const schema = await makeSchema(script)
    await admin.query(`REVOKE ALL ON SCHEMA ${schema} FROM ${role}`)
    await assert.rejects(asRole(schema).kvs.get('a'), failsWith('undefined_object', /no schema has been selected/))
  })
})

// The command ---------------------------------------------------------------------------------------------------

describe('The command', () => {
  test('prints a script that may be run again and again', async () => {
    await makeSchema(`${script};\n${script}`)
    assert.match(script, /CREATE TABLE IF NOT EXISTS kvs[\s\S]*CREATE TABLE IF NOT EXISTS users/)
  })

  test('prints the tables that duolect makes by itself', async () => {
    const columns = async (schema: string) => {
      const { rows } = await admin.query(
        'SELECT table_name, column_name, data_type, is_nullable, collation_name FROM information_schema.columns WHERE table_schema = $1 ORDER BY 1, 2',
        [schema]
      )
      return rows as unknown[]
    }
    const prepared = await makeSchema(script)
    const own = await makeSchema()
    const db = createDatabase(`${url}${url.includes('?') ? '&' : '?'}options=-c%20search_path%3D${own}`)
    await db.get()
    await db.close()
    assert.deepEqual(await columns(prepared), await columns(own))
    assert.ok((await columns(own)).length > 10)
  })

  test('prints for SQLite too what SQLite takes', async () => {
    const { status, stdout, stderr } = command('schema', '--sqlite')
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' })
    const directory = mkdtempSync(join(tmpdir(), 'duolect-command-'))
    const db = createDatabase(join(directory, 'db.sqlite'))
    await db.exec('DROP TABLE kvs; DROP TABLE users')
    await db.exec(stdout)
    await db.kvs.set('a', 1)
    await db.saveUser({ id: '1', platform: 'slack' })
    await db.close()
    rmSync(directory, { recursive: true })
  })

  test('prints nothing but the script, and ends with 0', () => {
    const { status, stdout, stderr } = command('schema', '--postgres')
    assert.deepEqual({ status, stderr, isSame: stdout === script }, { status: 0, stderr: '', isSame: true })
    // psql sends each statement by itself.
    assert.match(stdout, /^BEGIN;\n[\s\S]*\nCOMMIT;\n$/)
  })

  for (const parameters of [['--help'], ['-h'], ['schema', '--help']]) {
    test(`shows its usage with ${parameters.join(' ')}, and ends with 0`, () => {
      const { status, stdout, stderr } = command(...parameters)
      assert.deepEqual({ status, stderr }, { status: 0, stderr: '' })
      assert.match(stdout, /^Usage: duolect <command>/)
    })
  }

  for (const parameter of ['--version', '-v']) {
    test(`shows its version with ${parameter}`, () => {
      const { status, stdout } = command(parameter)
      assert.deepEqual({ status, stdout }, { status: 0, stdout: `${version}\n` })
    })
  }

  for (const [parameters, message] of [
    [[], /^Expected a command/],
    [['schema'], /^schema takes --postgres or --sqlite/],
    [['schema', '--mysql'], /'--mysql'/],
    [['schema', '--postgres', '--sqlite'], /^schema takes --postgres or --sqlite/],
    [['schema', '--Postgres'], /'--Postgres'/],
    [['shema'], /^There is no command "shema"; did you mean "schema"\?/],
    [['--version2'], /^There is no command "--version2"/]
  ] as const) {
    test(`refuses "${parameters.join(' ')}" with the reason on stderr, and ends with 2`, () => {
      const { status, stdout, stderr } = command(...parameters)
      assert.deepEqual({ status, stdout }, { status: 2, stdout: '' })
      assert.match(stderr, message)
      assert.match(stderr, /npx duolect --help/)
    })
  }
})
