import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'

const root = join(import.meta.dirname, '..')
const modules = join(root, 'node_modules')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }

describe('The package', () => {
  let directory = ''
  let tarball = ''

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'duolect-package-'))
    // npm runs the build before it packs.
    execFileSync('npm', ['pack', '--pack-destination', directory], { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] })
    tarball = join(directory, `duolect-${version}.tgz`)
  })

  after(() => rmSync(directory, { recursive: true, force: true }))

  /** An empty project that has installed the package, and of the others those that are named. */
  function project(name: string, packages: readonly string[]): string {
    const folder = join(directory, name)
    mkdirSync(join(folder, 'node_modules', 'duolect'), { recursive: true })
    execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', join(folder, 'node_modules', 'duolect')])
    for (const dependency of packages) {
      mkdirSync(join(folder, 'node_modules', dependency, '..'), { recursive: true })
      symlinkSync(join(modules, dependency), join(folder, 'node_modules', dependency))
    }
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    return folder
  }

  function run(folder: string, source: string, env: NodeJS.ProcessEnv = {}): { status: number | null; output: string } {
    writeFileSync(join(folder, 'main.js'), source)
    const { status, stdout, stderr } = spawnSync(process.execPath, ['main.js'], {
      cwd: folder,
      env: { ...process.env, ...env },
      encoding: 'utf8'
    })
    return { status, output: stdout + stderr }
  }

  const USE = `
    import { createDatabase, sql } from 'duolect'
    const db = createDatabase()
    await db.saveUser({ id: '1', platform: 'slack', first_name: 'Sylvain' })
    await db.kvs.set('key', 5, 'b.5')
    console.log(JSON.stringify([await db.kvs.get('key'), await db.all(sql\`SELECT id FROM users WHERE first_name = \${'Sylvain'}\`)]))
    await db.close()`
  const RESULT = '[{"b":[null,null,null,null,null,5]},[{"id":"slack:1"}]]\n'

  test('holds what users need and nothing else', () => {
    const files = execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }).trim().split('\n')
    const others = files.filter(
      file =>
        !/^package\/(dist\/.+\.(js|d\.ts)|dist\/LICENSES\.txt|package\.json|docs\/\w+\.md|README\.md|CHANGELOG\.md|LICENSE)$/.test(file)
    )
    assert.deepEqual(others, [])
    for (const file of ['dist/index.js', 'dist/index.d.ts', 'README.md', 'CHANGELOG.md', 'LICENSE'])
      assert.ok(files.includes(`package/${file}`), file)
  })

  test('has its tools in the command alone, not in what a program loads', () => {
    const textOf = (file: string) => execFileSync('tar', ['-xOzf', tarball, `package/dist/${file}`], { encoding: 'utf8' })
    assert.match(textOf('cli.js'), /duolect_seal_/)
    assert.doesNotMatch(textOf('index.js'), /duolect_seal_/)
  })

  test('works from JavaScript with SQLite alone', () => {
    const folder = project('sqlite', ['better-sqlite3'])
    assert.deepEqual(run(folder, USE, { DATABASE: '', DATA_DIR: '' }), { status: 0, output: RESULT })
    assert.ok(readdirSync(join(folder, 'data')).includes('db.sqlite'))
  })

  test('works from JavaScript with Postgres alone', () => {
    const folder = project('postgres', ['pg'])
    const schema = `package_${process.pid}`
    const url = process.env.TEST_PG_URL as string
    const prepare = `
      import pg from 'pg'
      const client = new pg.Client(process.env.TEST_PG_URL)
      await client.connect()
      await client.query('DROP SCHEMA IF EXISTS ${schema} CASCADE')`
    assert.equal(run(folder, `${prepare}\nawait client.query('CREATE SCHEMA ${schema}')\nawait client.end()`).status, 0)
    const connection = `${url}${url.includes('?') ? '&' : '?'}options=-c%20search_path%3D${schema}`
    const used = run(folder, USE, { DATABASE: 'postgres', DATABASE_URL: connection })
    run(folder, `${prepare}\nawait client.end()`)
    assert.deepEqual(used, { status: 0, output: RESULT })
  })

  test('has errors that name themselves, when they are printed too', () => {
    const folder = project('errors', ['better-sqlite3'])
    const source = `
      import { createDatabase, DatabaseError } from 'duolect'
      const db = createDatabase(':memory:')
      const error = await db.all('SELECT absent').catch(error => error)
      console.log(error.constructor.name, DatabaseError.name, error instanceof DatabaseError)
      console.log(error)`
    const { status, output } = run(folder, source)
    assert.equal(status, 0, output)
    assert.match(output, /^DatabaseError DatabaseError true\nDatabaseError: no such column: absent\n/)
  })

  for (const [missing, env] of [
    ['better-sqlite3', { DATABASE: '' }],
    ['pg', { DATABASE: 'postgres', DATABASE_URL: 'postgres://127.0.0.1:1/db' }]
  ] as const) {
    test(`without ${missing} says what to install, and only when its database is opened`, () => {
      const folder = project(`no-${missing}`, [])
      const source = `
        import { createDatabase } from 'duolect'
        const db = createDatabase()
        await db.get().catch(({ code, message }) => console.log(code, message))`
      const { status, output } = run(folder, source, env)
      assert.equal(status, 0, output)
      assert.match(output, new RegExp(`^missing_driver .*Cannot load "${missing}".*Run: npm install ${missing}`))
    })
  }

  for (const [module, resolution] of [
    ['node16', 'node16'],
    ['esnext', 'bundler']
  ] as const) {
    test(`has types for moduleResolution ${resolution}, without types of others`, () => {
      const folder = project(`types-${resolution}`, [])
      writeFileSync(
        join(folder, 'main.ts'),
        `import { createDatabase, DatabaseError, type ErrorCode, type KeyValueStore, sql, type User } from 'duolect'
        const db = createDatabase({ sqlite: { location: ':memory:' } })
        const users: User[] = await db.all<User>(sql\`SELECT * FROM users\`)
        const kvs: KeyValueStore = db.kvs
        const count: number | null = await kvs.get<number>('count')
        const role: string | null | undefined = await kvs.get<string>('user', 'role')
        const moved: string = await db.transaction(async tx => {
          await tx.kvs.set('a', 1)
          await tx.batch([['SELECT $1', [1]]])
          await tx.transaction(inner => inner.run('DELETE FROM users'))
          return 'moved'
        })
        for await (const { id } of db.iterate<User>('SELECT * FROM users')) id.toUpperCase()
        const code: ErrorCode = new DatabaseError('invalid_value', 'x').code
        // @ts-expect-error: a key is a text
        void kvs.get(5)
        // @ts-expect-error: there is no such setting
        createDatabase({ dataDIR: 'x' })
        export const all = [users, count, role, moved, code]`
      )
      const config = {
        module,
        moduleResolution: resolution,
        target: 'es2022',
        lib: ['es2022'],
        types: [],
        strict: true,
        noEmit: true,
        skipLibCheck: false
      }
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: config, include: ['main.ts'] }))
      const { status, stdout } = spawnSync(process.execPath, [join(modules, 'typescript', 'bin', 'tsc'), '-p', folder], {
        encoding: 'utf8'
      })
      assert.equal(status, 0, stdout)
    })
  }

  test('passes publint', () => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [join(modules, 'publint', 'src', 'cli.js'), 'run', tarball, '--strict'],
      { encoding: 'utf8' }
    )
    assert.equal(status, 0, stdout + stderr)
  })

  test('passes attw, as a package of ES modules', () => {
    const cli = join(modules, '@arethetypeswrong', 'cli', 'dist', 'index.js')
    const { status, stdout, stderr } = spawnSync(process.execPath, [cli, tarball, '--profile', 'esm-only', '--no-emoji'], {
      encoding: 'utf8'
    })
    assert.equal(status, 0, stdout + stderr)
  })
})
