import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { after, describe, test } from 'node:test'
import { inspect, promisify } from 'node:util'
import { readSettings, type Settings } from '../src/config.ts'
import { createDatabase, type Database, type DatabaseConfig } from '../src/index.ts'
import { failsWith, onEachDatabase } from './support/databases.ts'

type Environment = Record<string, string>

/** Takes any config, also one that the types refuse. */
function read(config: unknown, env: Environment = {}): Settings {
  return readSettings(config as DatabaseConfig, env)
}

/** Checks those settings that are expected; the password is compared as the text that it gives, the host alone. */
function assertSettings(config: unknown, env: Environment, expected: Record<string, unknown>): void {
  const settings = read(config, env)
  const actual: Record<string, unknown> =
    settings.dialect === 'postgres' ? { ...settings, ...settings.hosts[0], password: settings.password() } : { ...settings }
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map(name => [name, actual[name]])), expected)
}

function assertRefused(config: unknown, env: Environment, message: RegExp): void {
  assert.throws(() => read(config, env), failsWith('invalid_configuration', message))
}

const TIMEOUTS = { connect: 10_000, acquire: 10_000, query: 60_000, lock: 10_000 }

describe('Defaults', () => {
  test('without any configuration it is SQLite at ./data/db.sqlite, fully durable', () => {
    assert.deepEqual(read(undefined), {
      dialect: 'sqlite',
      location: resolve('data', 'db.sqlite'),
      driver: undefined,
      durability: 'full',
      isReadOnly: false,
      pragmas: {},
      maxValueBytes: 16 * 1024 * 1024,
      timeouts: TIMEOUTS
    })
  })

  test('an empty config is as none', () => {
    assert.deepEqual(read({}), read(undefined))
  })

  const user = userInfo().username
  for (const [name, value] of Object.entries({
    dialect: 'postgres',
    host: '127.0.0.1',
    port: 5432,
    user,
    password: '',
    database: user,
    tls: 'disable',
    ca: undefined,
    maxConnections: 10,
    pooler: false,
    maxValueBytes: 16 * 1024 * 1024,
    timeouts: TIMEOUTS
  })) {
    test(`"${name}" of Postgres has its default`, () => {
      assertSettings({ postgres: { enabled: true } }, {}, { [name]: value })
    })
  }

  test('without a database name it is the name of the user', () => {
    assertSettings({ postgres: { enabled: true, user: 'ada' } }, {}, { database: 'ada' })
  })

  test('a setting that is undefined has its default', () => {
    const config = {
      dataDir: undefined,
      sqlite: { location: undefined, durability: undefined },
      postgres: undefined,
      kvs: { maxValueBytes: undefined },
      timeouts: { connect: undefined, query: 5 }
    }
    assert.deepEqual(read(config), { ...read({}), timeouts: { ...TIMEOUTS, query: 5 } })
  })
})

describe('The guide', () => {
  const shape = { host: '127.0.0.1', user: '', password: '', database: '', ssl: false, connection: undefined }
  for (const port of [5433, '5433']) {
    test(`its configuration works with the port ${inspect(port)}`, () => {
      assertSettings(
        { postgres: { ...shape, enabled: true, port } },
        {},
        { dialect: 'postgres', host: '127.0.0.1', port: 5433, user: userInfo().username, password: '', tls: 'disable' }
      )
    })
  }

  test('its configuration with enabled: false is SQLite', () => {
    assertSettings({ postgres: { ...shape, enabled: false, port: 5432 } }, {}, { dialect: 'sqlite' })
  })

  test('its configuration for Heroku works', () => {
    assertSettings(
      { postgres: { enabled: true, connection: 'postgres://ada:secret@db.example/app', ssl: 'true' } },
      {},
      { host: 'db.example', user: 'ada', password: 'secret', database: 'app', tls: 'verify-full' }
    )
  })
})

describe('Environment', () => {
  const on = { DATABASE: 'postgres' }

  for (const [variable, value, expected] of [
    ['PG_HOST', 'db.example', { host: 'db.example' }],
    ['PG_PORT', '5433', { port: 5433 }],
    ['PG_USER', 'ada', { user: 'ada' }],
    ['PG_PASSWORD', 'secret', { password: 'secret' }],
    ['PG_DB', 'app', { database: 'app' }],
    ['PG_SSL', 'no-verify', { tls: 'no-verify' }],
    ['PG_SSL_CA', '/ca.pem', { ca: '/ca.pem' }],
    ['DATABASE_URL', 'postgres://ada:secret@db.example:5433/app', { host: 'db.example', port: 5433, user: 'ada', database: 'app' }]
  ] as const) {
    test(`${variable} is used`, () => {
      assertSettings({}, { ...on, [variable]: value }, expected)
    })

    test(`${variable} that is empty counts as not set`, () => {
      const { password: _one, ...settings } = read({}, { ...on, [variable]: '' }) as Settings & { password: unknown }
      const { password: _other, ...expectedSettings } = read({}, on) as Settings & { password: unknown }
      assert.deepEqual(settings, expectedSettings)
    })

    test(`${variable} alone does not turn Postgres on`, () => {
      assertSettings({}, { [variable]: value }, { dialect: 'sqlite' })
    })
  }

  test('DATA_DIR is used', () => {
    assertSettings({}, { DATA_DIR: '/var/app' }, { location: '/var/app/db.sqlite' })
  })

  test('DATA_DIR that is empty counts as not set', () => {
    assertSettings({}, { DATA_DIR: '' }, { location: resolve('data/db.sqlite') })
  })

  for (const port of ['0', '65536', '5432a', '-1', '1.5']) {
    test(`PG_PORT=${port} is an error that names it`, () => {
      assertRefused({}, { ...on, PG_PORT: port }, new RegExp(`PG_PORT must be a port from 1 to 65535; got "${port}"`))
    })
  }

  for (const [setting, config, env, expected] of [
    ['dataDir', { dataDir: '/mine' }, { DATA_DIR: '/env' }, { location: '/mine/db.sqlite' }],
    ['sqlite.location', { sqlite: { location: '/mine/a.db' } }, { DATA_DIR: '/env' }, { location: '/mine/a.db' }],
    ['host', { postgres: { host: 'mine' } }, { ...on, PG_HOST: 'env' }, { host: 'mine' }],
    ['port', { postgres: { port: 1 } }, { ...on, PG_PORT: '2' }, { port: 1 }],
    ['user', { postgres: { user: 'mine' } }, { ...on, PG_USER: 'env' }, { user: 'mine' }],
    ['password', { postgres: { password: 'mine' } }, { ...on, PG_PASSWORD: 'env' }, { password: 'mine' }],
    ['database', { postgres: { database: 'mine' } }, { ...on, PG_DB: 'env' }, { database: 'mine' }],
    ['ssl', { postgres: { ssl: 'require' } }, { ...on, PG_SSL: 'verify-ca' }, { tls: 'no-verify' }],
    ['ca', { postgres: { ca: '/mine' } }, { ...on, PG_SSL_CA: '/env' }, { ca: '/mine' }],
    ['connection', { postgres: { connection: 'postgres://mine/a' } }, { ...on, DATABASE_URL: 'postgres://env/b' }, { host: 'mine' }],
    ['enabled: false', { postgres: { enabled: false } }, on, { dialect: 'sqlite' }],
    ['enabled: true', { postgres: { enabled: true } }, { DATABASE: 'sqlite' }, { dialect: 'postgres' }]
  ] as const) {
    test(`the explicit ${setting} beats the environment`, () => {
      assertSettings(config, env, expected)
    })
  }

  test('an explicit URL is not checked against a DATABASE_URL that cannot be parsed', () => {
    assertSettings({ postgres: { connection: 'postgres://mine/a' } }, { ...on, DATABASE_URL: 'nonsense' }, { host: 'mine' })
  })

  test('a URL wins over the single parts', () => {
    const parts = { host: 'other', port: 1, user: 'eve', password: 'wrong', database: 'else' }
    assertSettings(
      { postgres: { enabled: true, connection: 'postgres://ada:secret@db.example:5433/app', ...parts } },
      { PG_HOST: 'env', PG_PORT: '2', PG_USER: 'env', PG_PASSWORD: 'env', PG_DB: 'env' },
      { host: 'db.example', port: 5433, user: 'ada', password: 'secret', database: 'app' }
    )
  })
})

describe('The switch', () => {
  test('DATABASE=postgres turns Postgres on', () => {
    assertSettings({}, { DATABASE: 'postgres' }, { dialect: 'postgres' })
  })

  for (const value of ['postgresql', 'Postgres', 'POSTGRES', 'pg', 'psql', ' postgres', 'postgres ', 'postgre', 'postgress']) {
    test(`DATABASE=${JSON.stringify(value)} is an error that says what to write`, () => {
      assertRefused({}, { DATABASE: value }, new RegExp(`DATABASE is "${value}"; .*"postgres"`))
    })
  }

  for (const value of ['', 'sqlite', 'mysql', 'app_production', 'true', '1']) {
    test(`DATABASE=${JSON.stringify(value)} means SQLite`, () => {
      assertSettings({}, { DATABASE: value }, { dialect: 'sqlite' })
    })
  }

  test('an explicit switch makes a near miss in DATABASE irrelevant', () => {
    assertSettings({ postgres: { enabled: true } }, { DATABASE: 'postgresql' }, { dialect: 'postgres' })
  })

  test('settings of Postgres do not turn it on', () => {
    assertSettings({ postgres: { connection: 'postgres://db.example/app', host: 'db.example' } }, {}, { dialect: 'sqlite' })
  })
})

describe('A text as config', () => {
  for (const [text, expected] of [
    ['postgres://ada@db.example/app', { dialect: 'postgres', host: 'db.example' }],
    ['postgresql://ada@db.example/app', { dialect: 'postgres', host: 'db.example' }],
    ['POSTGRES://ada@db.example/app', { dialect: 'postgres', host: 'db.example' }],
    ['app.sqlite', { dialect: 'sqlite', location: resolve('app.sqlite') }],
    ['./some/app.db', { dialect: 'sqlite', location: resolve('some/app.db') }],
    ['/var/app.db', { dialect: 'sqlite', location: '/var/app.db' }],
    ['sqlite:app.db', { dialect: 'sqlite', location: resolve('app.db') }],
    ['sqlite:/var/app.db', { dialect: 'sqlite', location: '/var/app.db' }],
    ['sqlite:///var/app.db', { dialect: 'sqlite', location: '/var/app.db' }],
    ['./mysql:app.db', { dialect: 'sqlite', location: resolve('mysql:app.db') }],
    [':memory:', { dialect: 'sqlite', location: ':memory:' }],
    ['sqlite::memory:', { dialect: 'sqlite', location: ':memory:' }]
  ] as const) {
    test(`${text} leads to ${expected.dialect}`, () => {
      assertSettings(text, {}, expected)
    })
  }

  test('the path of a file beats DATABASE=postgres', () => {
    assertSettings('app.db', { DATABASE: 'postgres', DATABASE_URL: 'postgres://h/d' }, { dialect: 'sqlite', location: resolve('app.db') })
  })

  test('a URL beats DATABASE=sqlite and DATABASE_URL', () => {
    assertSettings('postgres://mine/a', { DATABASE: 'sqlite', DATABASE_URL: 'postgres://env/b' }, { dialect: 'postgres', host: 'mine' })
  })

  for (const text of ['mysql://localhost/app', 'file:app.db', 'file:///app.db', 'http://db.example/app', 'jdbc:postgresql://h/app']) {
    test(`${text} is an error that names its scheme`, () => {
      assertRefused(text, {}, new RegExp(`postgres:// URL or the path of a SQLite file, .*"${/^[a-z]+:/.exec(text)?.[0]}"`))
    })
  }

  for (const text of ['', 'sqlite:', 'sqlite://']) {
    test(`${JSON.stringify(text)} is an error, as it names no file`, () => {
      assertRefused(text, {}, /empty string/)
    })
  }

  test('a URL with a space in front is an error, not the name of a file', () => {
    assertRefused(' postgres://ada@db.example/app', {}, /postgres:\/\//)
  })
})

describe('SQLite settings', () => {
  test("durability 'normal' is taken", () => {
    assertSettings({ sqlite: { durability: 'normal' } }, {}, { durability: 'normal' })
  })

  test('the file is in dataDir', () => {
    assertSettings({ dataDir: 'some' }, {}, { location: resolve('some/db.sqlite') })
  })

  test('an empty dataDir and location count as not given', () => {
    assertSettings({ dataDir: '', sqlite: { location: '' } }, {}, { location: resolve('data/db.sqlite') })
  })

  for (const [title, config, setting] of [
    ['dataDir', { dataDir: 'a\0b' }, 'dataDir'],
    ['sqlite.location', { sqlite: { location: 'a\0b' } }, 'sqlite.location'],
    ['a text', 'a\0b', 'sqlite.location']
  ] as const) {
    test(`a NUL in ${title} is an error`, () => {
      assertRefused(config, {}, new RegExp(`"${setting}" must be a path \\(a string without a NUL character`))
    })
  }
})

describe('The URL', () => {
  for (const [title, url, expected] of [
    [
      'percent-encoded parts are decoded',
      'postgres://a%40b:p%40%3A%2F%23%3F%25@h/x%2Fy',
      { user: 'a@b', password: 'p@:/#?%', database: 'x/y' }
    ],
    ['percent-encoded letters beyond ASCII are decoded', 'postgres://j%C3%BCrg:%E2%82%AC@h/d', { user: 'jürg', password: '€' }],
    [
      'an IPv6 address is taken without its brackets',
      'postgres://u@[::1]:5433/d',
      { host: '::1', port: 5433, location: 'postgres://u@[::1]:5433/d' }
    ],
    ['a missing port is 5432', 'postgres://u@h/d', { port: 5432 }],
    ['an empty port is 5432', 'postgres://u@h:/d', { port: 5432 }],
    ['a missing database is the name of the user', 'postgres://ada@h', { database: 'ada' }],
    ['a missing user is the one who runs the process', 'postgres://h/d', { user: userInfo().username, database: 'd' }],
    ['a colon in the password belongs to it', 'postgres://u:a:b@h/d', { host: 'h', port: 5432, user: 'u', password: 'a:b' }],
    ['connect_timeout is in seconds', 'postgres://u@h/d?connect_timeout=5', { timeouts: { ...TIMEOUTS, connect: 5000 } }],
    ['connect_timeout=0 is no limit', 'postgres://u@h/d?connect_timeout=0', { timeouts: { ...TIMEOUTS, connect: 0 } }],
    ['application_name is taken', 'postgres://u@h/d?application_name=my%20app', { applicationName: 'my app' }],
    ['options are taken', 'postgres://u@h/d?options=-c%20search_path%3Dapp', { options: '-c search_path=app' }],
    ['sslrootcert is the CA', 'postgres://u@h/d?sslmode=verify-ca&sslrootcert=%2Fca.pem', { ca: '/ca.pem', tls: 'verify-ca' }]
  ] as const) {
    test(title, () => {
      assertSettings(url, {}, expected)
    })
  }

  test('an explicit timeouts.connect beats connect_timeout', () => {
    assertSettings(
      { postgres: { enabled: true, connection: 'postgres://h/d?connect_timeout=5' }, timeouts: { connect: 7 } },
      {},
      { timeouts: { ...TIMEOUTS, connect: 7 } }
    )
  })

  for (const timeouts of [{}, { connect: 7 }]) {
    test(`a connect_timeout that is no number is an error with timeouts ${inspect(timeouts)}`, () => {
      assertRefused(
        { postgres: { enabled: true, connection: 'postgres://h/d?connect_timeout=soon' }, timeouts },
        {},
        /"connect_timeout".*seconds/
      )
    })
  }

  for (const url of [
    'postgres://',
    'postgres:///d',
    'postgres://u:p@/d',
    'postgres://:5432/d',
    'postgres://u@:5432/d',
    'postgres://?sslmode=disable'
  ]) {
    test(`${url} is an error, since it names no host`, () => {
      assertRefused(url, {}, /names no host; expected postgres:\/\/user:password@host:port\/database/)
    })
  }

  for (const url of [
    'postgres:',
    'postgres:h/d',
    'postgres:/h/d',
    'postgres://h h/d',
    'postgres://h:port/d',
    'postgres://[::1/d',
    'postgres://h/d#x'
  ]) {
    test(`${url} cannot be parsed, and leads nowhere`, () => {
      assertRefused(url, {}, /is not a URL of the form postgres:\/\/user:password@host:port\/database/)
    })
  }

  for (const url of ['nonsense', 'localhost/d', 'http://h/d', '/d', '//h/d', '5432', 'mysql://h/d']) {
    test(`DATABASE_URL=${url} is an error that names the variable`, () => {
      assertRefused(
        {},
        { DATABASE: 'postgres', DATABASE_URL: url },
        /^Environment variable DATABASE_URL is not a URL of the form postgres:/
      )
    })

    test(`postgres.connection ${url} is an error that names the setting`, () => {
      assertRefused(
        { postgres: { enabled: true, connection: url } },
        {},
        /^Setting "postgres.connection" is not a URL of the form postgres:/
      )
    })
  }

  for (const port of ['0', '65536', '99999']) {
    test(`the port ${port} is an error`, () => {
      assertRefused(`postgres://h:${port}/d`, {}, /a port from 1 to 65535/)
    })
  }

  for (const character of ['@', '/', '?', '#']) {
    for (const password of [`p${character}w`, `${character}w`, `w${character}`, `5432${character}w`, `5432${character}`]) {
      test(`the password ${password}, not percent-encoded, is an error`, () => {
        assertRefused(`postgres://u:${password}@h/d`, {}, /percent-encode/)
      })
    }
  }

  test('a password that reads like a port and a parameter does not lead to another host', () => {
    assertRefused('postgres://u:5432?options=x@h/d', {}, /percent-encode/)
  })

  for (const [part, url] of [
    ['user', 'postgres://u%zz@h/d'],
    ['password', 'postgres://u:p%@h/d'],
    ['password', 'postgres://u:%ff@h/d'],
    ['host', 'postgres://u@h%zz/d'],
    ['database', 'postgres://u@h/d%1']
  ] as const) {
    test(`${url} is an error that names the ${part}`, () => {
      assertRefused(url, {}, new RegExp(`the ${part} has a % .*%25`))
    })
  }

  test('a bad % in a parameter is an error', () => {
    assertRefused('postgres://h/d?application_name=100%zz', {}, /%/)
  })

  for (const [parameter, message] of [
    ['sslmod', /the unknown parameter "sslmod"; did you mean "sslmode"\?/],
    ['SSLMODE', /the unknown parameter "SSLMODE"; did you mean "sslmode"\?/],
    ['aplication_name', /did you mean "application_name"\?/],
    ['banana', /the unknown parameter "banana"; allowed: .*sslmode.*connect_timeout/],
    ['__proto__', /the unknown parameter "__proto__"/]
  ] as const) {
    test(`the unknown parameter ${parameter} is an error`, () => {
      assertRefused(`postgres://h/d?${parameter}=x`, {}, message)
    })
  }

  for (const query of ['sslmode=disable&sslmode=disable', 'options=a&options=b', 'sslmode=require&application_name=x&sslmode=disable']) {
    test(`${query} is an error, as a parameter stands twice`, () => {
      assertRefused(`postgres://h/d?${query}`, {}, /the parameter "(sslmode|options)" twice/)
    })
  }
})

const TLS_WORDS = {
  disable: ['', 'false', '0', 'no', 'off', 'disable'],
  'verify-full': ['true', '1', 'yes', 'on', 'verify-full'],
  'verify-ca': ['verify-ca'],
  'no-verify': ['no-verify', 'require']
}

const TLS_SOURCES: Record<string, (word: string) => { config: DatabaseConfig; env: Environment }> = {
  'postgres.ssl': ssl => ({ config: { postgres: { enabled: true, ssl } }, env: {} }),
  PG_SSL: ssl => ({ config: { postgres: { enabled: true } }, env: { PG_SSL: ssl } }),
  '"sslmode"': mode => ({ config: { postgres: { enabled: true, connection: `postgres://h/d?sslmode=${mode}` } }, env: {} }),
  '"ssl"': mode => ({ config: { postgres: { enabled: true, connection: `postgres://h/d?ssl=${mode}` } }, env: {} })
}

describe('TLS', () => {
  for (const [name, source] of Object.entries(TLS_SOURCES)) {
    for (const [mode, words] of Object.entries(TLS_WORDS)) {
      for (const word of words) {
        test(`"${word}" in ${name} is ${mode}`, () => {
          const { config, env } = source(word)
          assertSettings(config, env, { tls: mode })
        })
      }
    }

    for (const word of ['maybe', 'prefer', 'allow', 'verify', '2', 'constructor']) {
      test(`"${word}" in ${name} is an error that names it and what is allowed`, () => {
        const { config, env } = source(word)
        assertRefused(config, env, new RegExp(`${name}.* must be .*verify-full, verify-ca, no-verify, require; got "${word}"`))
      })
    }
  }

  for (const [ssl, mode] of [
    [true, 'verify-full'],
    [false, 'disable']
  ] as const) {
    test(`the boolean ${ssl} is ${mode}`, () => {
      assertSettings({ postgres: { enabled: true, ssl } }, {}, { tls: mode })
    })
  }

  for (const [title, config, env, message] of [
    [
      'config and sslmode',
      { ssl: false, connection: 'postgres://h/d?sslmode=require' },
      {},
      /"postgres.ssl" says false.*"sslmode".*"require"/
    ],
    ['config and ssl', { ssl: true, connection: 'postgres://h/d?ssl=no-verify' }, {}, /"postgres.ssl" says true.*"ssl".*"no-verify"/],
    [
      'config and DATABASE_URL',
      { ssl: 'off' },
      { DATABASE_URL: 'postgres://h/d?sslmode=require' },
      /"postgres.ssl" says "off".*"sslmode".*"require"/
    ],
    [
      'PG_SSL and sslmode',
      { connection: 'postgres://h/d?sslmode=disable' },
      { PG_SSL: 'true' },
      /PG_SSL says "true".*"sslmode".*"disable"/
    ],
    [
      'PG_SSL and DATABASE_URL',
      {},
      { PG_SSL: '1', DATABASE_URL: 'postgres://h/d?sslmode=verify-ca' },
      /PG_SSL says "1".*"sslmode".*"verify-ca"/
    ],
    ['sslmode and ssl', { connection: 'postgres://h/d?sslmode=require&ssl=true' }, {}, /"sslmode".*"require".*"ssl".*"true"/]
  ] as const) {
    test(`${title} that disagree are an error that names both`, () => {
      assertRefused({ postgres: { enabled: true, ...config } }, env, message)
    })
  }

  for (const [title, config, env, tls] of [
    ['config and sslmode', { ssl: true, connection: 'postgres://h/d?sslmode=verify-full' }, {}, 'verify-full'],
    ['PG_SSL and sslmode', { connection: 'postgres://h/d?sslmode=require' }, { PG_SSL: 'no-verify' }, 'no-verify'],
    ['config and ssl', { ssl: false, connection: 'postgres://h/d?ssl=off' }, {}, 'disable'],
    ['sslmode and ssl', { connection: 'postgres://h/d?sslmode=disable&ssl=0' }, {}, 'disable']
  ] as const) {
    test(`${title} that agree in other words are fine`, () => {
      assertSettings({ postgres: { enabled: true, ...config } }, env, { tls })
    })
  }

  test("an explicit ca beats DATABASE_URL's sslrootcert", () => {
    assertSettings({ postgres: { enabled: true, ca: '/mine' } }, { DATABASE_URL: 'postgres://h/d?sslrootcert=%2Fenv' }, { ca: '/mine' })
  })

  test('the ca may be PEM text', () => {
    const ca = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'
    assertSettings({ postgres: { enabled: true, ca } }, {}, { ca })
  })

  test("a ca's file that cannot be read is an error of the opening that names where it came from", async () => {
    const db = createDatabase({ postgres: { enabled: true, connection: 'postgres://u@127.0.0.1:1/d', ssl: true, ca: '/nowhere/ca.pem' } })
    await assert.rejects(db.get(), failsWith('invalid_configuration', /postgres\.ca, PG_SSL_CA.*\/nowhere\/ca\.pem/))
  })
})

describe('Checks', () => {
  const wrong: readonly (readonly [setting: string, allowed: RegExp, values: readonly unknown[]])[] = [
    ['dataDir', /a path/, [5, true, null, []]],
    ['sqlite.location', /a path/, [5, null, {}]],
    ['sqlite.durability', /'full' or 'normal'/, ['fast', true, null, '']],
    ['sqlite.readOnly', /true or false/, ['true', 1, null]],
    ['sqlite.pragmas.cache_size', /a number, a boolean, or a word/, [1.5, null, '1; DROP TABLE users', {}]],
    ['postgres.enabled', /true or false/, ['true', 1, null, '']],
    ['postgres.connection', /a string/, [5, null, {}]],
    ['postgres.host', /a string/, [5, null]],
    ['postgres.port', /a port from 1 to 65535/, [0, 65536, 1.5, -1, '54a', '0', Number.NaN, null, true]],
    ['postgres.user', /a string/, [5, null]],
    ['postgres.password', /a string, or a function/, [null, {}, true, 5n, Symbol('hunter2')]],
    ['postgres.cert', /a string/, [5, null]],
    ['postgres.key', /a string/, [5, null, Buffer.from('hunter2')]],
    ['postgres.database', /a string/, [5, null]],
    ['postgres.ssl', /true, false or one of: .*verify-full/, ['maybe', 1, null, {}]],
    ['postgres.ca', /a string/, [5, null]],
    ['postgres.maxConnections', /a whole number from 1 to 10000/, [0, -1, 1.5, '10', 10_001, Number.POSITIVE_INFINITY, null, '']],
    ['postgres.pooler', /true or false/, ['yes', 0, null, '']],
    ['kvs.maxValueBytes', /bytes as a whole number from 1 to/, [0, 1.5, '1', null, '']],
    ...['connect', 'acquire', 'query', 'lock'].map(
      name => [`timeouts.${name}`, /milliseconds as a whole number from 0/, [-1, 1.5, '5', Number.NaN, 2 ** 31, null, '']] as const
    )
  ]
  for (const [setting, allowed, values] of wrong) {
    for (const value of values) {
      test(`"${setting}" refuses ${inspect(value)}, and says what is allowed`, () => {
        const isSecret = /\.(password|connection|ca|cert|key)$/.test(setting) && value !== null
        const shown = isSecret
          ? `a value of type ${typeof value}`
          : typeof value === 'string'
            ? JSON.stringify(value)
            : value !== null && typeof value === 'object'
              ? 'an (object|array)'
              : value
        assertRefused(nest(setting, value), {}, new RegExp(`"${setting}" must be ${allowed.source}.*; got ${shown}\\.$`))
      })
    }
  }

  for (const [setting, value, expected] of [
    ['postgres.maxConnections', 1, { maxConnections: 1 }],
    ['postgres.pooler', true, { pooler: true }],
    ['kvs.maxValueBytes', 1, { maxValueBytes: 1 }],
    ['timeouts.connect', 0, { timeouts: { ...TIMEOUTS, connect: 0 } }],
    ['timeouts.acquire', 1, { timeouts: { ...TIMEOUTS, acquire: 1 } }],
    ['timeouts.query', 0, { timeouts: { ...TIMEOUTS, query: 0 } }],
    ['timeouts.lock', 2 ** 31 - 1, { timeouts: { ...TIMEOUTS, lock: 2 ** 31 - 1 } }]
  ] as const) {
    test(`"${setting}" takes ${value}`, () => {
      assertSettings(nest(setting, value), { DATABASE: 'postgres' }, expected)
    })
  }

  for (const [name, hint] of [
    ['dataDIR', 'did you mean "dataDir"?'],
    ['postgress', 'did you mean "postgres"?'],
    ['sqlite.locaton', 'did you mean "sqlite.location"?'],
    ['postgres.pasword', 'did you mean "postgres.password"?'],
    ['postgres.maxConnection', 'did you mean "postgres.maxConnections"?'],
    ['kvs.maxValueByte', 'did you mean "kvs.maxValueBytes"?'],
    ['timeouts.querry', 'did you mean "timeouts.query"?'],
    ['banana', 'allowed here: dataDir, sqlite, postgres'],
    ['sqlite.banana', 'allowed here: location, driver, durability'],
    ['timeouts.banana', 'allowed here: connect, acquire, query, lock'],
    ['constructor', 'allowed here'],
    ['postgres.toString', 'allowed here']
  ] as const) {
    test(`the unknown setting "${name}" is an error with a hint`, () => {
      assert.throws(
        () => read(nest(name, 'x')),
        failsWith('invalid_configuration', new RegExp(`^Unknown setting "${name}"; ${hint.replace('?', '\\?')}`))
      )
    })
  }

  test('__proto__ from a JSON file is an unknown setting', () => {
    assertRefused(JSON.parse('{"__proto__": {"dataDir": "x"}}'), {}, /Unknown setting "__proto__"/)
  })

  for (const config of [null, 5, true, [], () => 'x', 5n]) {
    test(`${inspect(config)} is no configuration`, () => {
      assertRefused(config, {}, /The configuration must be an object with: dataDir, sqlite, postgres, kvs, timeouts; got/)
    })
  }

  for (const group of ['sqlite', 'postgres', 'kvs', 'timeouts']) {
    for (const value of [null, 5, true, [], 'x']) {
      test(`"${group}" refuses ${inspect(value)}`, () => {
        assertRefused({ [group]: value }, {}, new RegExp(`Setting "${group}" must be an object with: `))
      })
    }
  }

  test('settings of Postgres are checked also when it is off', () => {
    assertRefused({ postgres: { enabled: false, port: 0 } }, {}, /"postgres.port"/)
  })
})

/** `{ a: { b: value } }` of `a.b`. */
function nest(setting: string, value: unknown): Record<string, unknown> {
  return setting.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as Record<string, unknown>
}

describe('A password', () => {
  const secret = 'hunter2'
  const url = `postgres://ada:${secret}@db.example/app`

  for (const [title, config, env] of [
    ['a URL', url, {}],
    ['a URL with the password percent-encoded', 'postgres://ada:%68unter2@db.example/app', {}],
    ['postgres.connection', { postgres: { enabled: true, connection: url } }, {}],
    ['postgres.password', { postgres: { enabled: true, password: secret } }, {}],
    ['PG_PASSWORD', {}, { DATABASE: 'postgres', PG_PASSWORD: secret }],
    ['DATABASE_URL', {}, { DATABASE: 'postgres', DATABASE_URL: url }]
  ] as const) {
    test(`of ${title} is known, but shows nowhere in the settings`, () => {
      const settings = read(config, env)
      assertSettings(config, env, { password: secret })
      for (const shown of [inspect(settings, { depth: 10, showHidden: true }), JSON.stringify(settings), settings.location]) {
        assert.doesNotMatch(shown, /hunter2|%68unter2/)
      }
    })
  }

  const wrong: readonly (readonly [title: string, config: unknown, env?: Environment])[] = [
    ['a URL of another scheme', `mysql://ada:${secret}@db.example/app`],
    ['a URL with two @', `postgres://ada:${secret}@x@db.example/app`],
    ['a URL with a ? in the password', `postgres://ada:1?${secret}@db.example/app`],
    ['a URL with a ? behind the password', `postgres://ada:${secret}?@db.example/app`],
    ['a URL with a / in the password', `postgres://ada:1/${secret}@db.example/app`],
    ['a URL with a # in the password', `postgres://ada:1#${secret}@db.example/app`],
    ['a URL with a bad %', `postgres://ada:${secret}%zz@db.example/app`],
    ['a URL without a host', `postgres://ada:${secret}@/app`],
    ['a URL with a bad port', `postgres://ada:${secret}@db.example:99999/app`],
    ['a URL with an unknown parameter', `${url}?banana=1`],
    ['a URL with a parameter twice', `${url}?options=a&options=b`],
    ['a URL with a bad sslmode', `${url}?sslmode=maybe`],
    ['a URL with a bad connect_timeout', `${url}?connect_timeout=maybe`],
    ['a URL with a space in front', ` ${url}`],
    ['a bad DATABASE_URL', {}, { DATABASE: 'postgres', DATABASE_URL: `pg://ada:${secret}@db.example/app` }],
    ['a URL as an unknown setting', { url }],
    ['a URL in place of the settings', { postgres: url }],
    ['a URL as the settings of SQLite', { sqlite: url }],
    ['a URL as the path of SQLite', { sqlite: { location: url } }],
    ['a URL as postgres.enabled', { postgres: { enabled: url } }],
    ['a URL as postgres.port', { postgres: { port: url } }],
    ['a URL as postgres.ssl', { postgres: { ssl: url } }],
    ['a URL as PG_PORT', {}, { DATABASE: 'postgres', PG_PORT: url }],
    ['a URL as PG_SSL', {}, { DATABASE: 'postgres', PG_SSL: url }],
    ['a list of URLs', [url]]
  ]
  for (const [title, config, env] of wrong) {
    test(`does not show in the error for ${title}`, () => {
      assert.throws(
        () => read(config, env),
        error => {
          assert.doesNotMatch(inspect(error, { depth: 10, showHidden: true }), /hunter2/)
          return failsWith('invalid_configuration')(error)
        }
      )
    })
  }

  test('that is a number does not show in the error', () => {
    assert.throws(
      () => read({ postgres: { password: 8675309 } }),
      error => {
        assert.doesNotMatch(inspect(error, { depth: 10, showHidden: true }), /8675309/)
        return failsWith('invalid_configuration', /"postgres.password" must be a string/)(error)
      }
    )
  })

  test('does not show in the error for a server that cannot be reached', async () => {
    const db = createDatabase({ postgres: { enabled: true, connection: `postgres://ada:${secret}@127.0.0.1:1/app`, ssl: false } })
    await assert.rejects(db.get(), error => {
      assert.doesNotMatch(inspect(error, { depth: 10, showHidden: true }), /hunter2/)
      return failsWith('connection_failure', /Cannot connect to postgres:\/\/ada@127\.0\.0\.1:1\/app/)(error)
    })
  })
})

onEachDatabase('A password', database => {
  test('does not show when the database is printed, before and after it is opened', async () => {
    const { postgres, ...config } = await database.config()
    const url = new URL(postgres?.connection ?? 'postgres://ada@db.example/app')
    url.password ||= 'hunter2'
    const db = database.closeAfterTest(createDatabase({ ...config, postgres: { ...postgres, connection: url.href } }))
    const before = inspect(db, { depth: 10, showHidden: true })
    const adapter = await db.get()
    await db.kvs.set('a', 1)
    for (const shown of [before, inspect([db, adapter], { depth: 10, showHidden: true }), JSON.stringify(db), db.location]) {
      assert.ok(!shown.includes(url.password))
    }
  })
})

describe('location', () => {
  for (const [title, config, location] of [
    ['is the absolute path of the SQLite file', 'some/app.db', resolve('some/app.db')],
    ['is :memory: for a database in memory', ':memory:', ':memory:'],
    ['is the URL with every part but the password', 'postgresql://ada:secret@db.example:5433/app', 'postgres://ada@db.example:5433/app'],
    [
      'is a URL also for single parts',
      { postgres: { enabled: true, host: 'h', user: 'a@b', database: 'x/y' } },
      'postgres://a%40b@h:5432/x%2Fy'
    ]
  ] as const) {
    test(title, () => {
      assert.equal(createDatabase(config).location, location)
    })
  }
})

describe('Opening', () => {
  const home = mkdtempSync(join(tmpdir(), 'duolect-config-'))
  let count = 0
  const fresh = () => join(home, String(++count))
  const modeOf = (path: string) => statSync(path).mode & 0o777
  const off = { postgres: { enabled: false } }
  after(() => rmSync(home, { recursive: true, force: true }))

  async function using<T>(db: Database, work: (db: Database) => Promise<T>): Promise<T> {
    try {
      return await work(db)
    } finally {
      await db.close()
    }
  }

  test('createDatabase alone creates nothing', async () => {
    const dataDir = fresh()
    const db = createDatabase({ ...off, dataDir })
    await new Promise(resolve => setTimeout(resolve, 20))
    assert.equal(existsSync(dataDir), false)
    await db.close()
    assert.equal(existsSync(dataDir), false)
  })

  test('createDatabase throws at once for a bad setting, and creates nothing', () => {
    const dataDir = fresh()
    assert.throws(
      () => createDatabase({ ...off, dataDir, timeouts: { lock: -1 } }),
      failsWith('invalid_configuration', /"timeouts.lock" must be milliseconds/)
    )
    assert.equal(existsSync(dataDir), false)
  })

  test('the directory is created with mode 0700, and the file with its -wal and -shm with 0600', async () => {
    const dataDir = join(fresh(), 'deep')
    await using(createDatabase({ ...off, dataDir }), async db => {
      await db.kvs.set('a', 1)
      const file = join(dataDir, 'db.sqlite')
      assert.deepEqual([dataDir, file, `${file}-wal`, `${file}-shm`].map(modeOf), [0o700, 0o600, 0o600, 0o600])
    })
  })

  test('a file that is there is used as it is', async () => {
    const dataDir = fresh()
    await using(createDatabase({ ...off, dataDir }), db => db.kvs.set('a', 1))
    await using(createDatabase(join(dataDir, 'db.sqlite')), async db => assert.equal(await db.kvs.get('a'), 1))
  })

  test('a location elsewhere leaves dataDir alone', async () => {
    const [dataDir, location] = [fresh(), join(fresh(), 'app.db')]
    await using(createDatabase({ ...off, dataDir, sqlite: { location } }), db => db.get())
    assert.deepEqual([existsSync(dataDir), existsSync(location)], [false, true])
  })

  test(':memory: creates nothing', async () => {
    const dataDir = fresh()
    await using(createDatabase({ ...off, dataDir, sqlite: { location: ':memory:' } }), db => db.kvs.set('a', 1))
    assert.deepEqual([existsSync(dataDir), existsSync(':memory:')], [false, false])
  })

  test('all who wait get the same adapter', async () => {
    await using(createDatabase({ ...off, dataDir: fresh() }), async db => {
      const adapters = await Promise.all([db.get(), db.get(), db.get()])
      assert.equal(new Set(adapters).size, 1)
    })
  })

  test('a location whose parent is a file fails, and works once that is gone', async () => {
    const parent = fresh()
    writeFileSync(parent, '')
    await using(createDatabase(join(parent, 'db.sqlite')), async db => {
      await assert.rejects(db.get(), failsWith('connection_failure', /Cannot open the SQLite database .*db\.sqlite/))
      await assert.rejects(db.kvs.get('a'), failsWith('connection_failure', /Cannot open the SQLite database/))
      rmSync(parent)
      assert.equal(await db.kvs.get('a'), null)
    })
  })

  test('a location that is a directory fails, and says what it must be', async () => {
    const location = fresh()
    mkdirSync(location)
    await using(createDatabase(location), db =>
      assert.rejects(db.get(), failsWith('connection_failure', /path must be that of a file.*"sqlite\.location"/))
    )
  })

  describe('on Heroku', () => {
    const index = new URL('../src/index.ts', import.meta.url).href

    /** Opens databases in a process of its own, and returns the warnings that it emitted. */
    async function warningsOf(env: Environment, ...configs: readonly (DatabaseConfig | undefined)[]): Promise<string[]> {
      const script = `${fresh()}.mjs`
      writeFileSync(
        script,
        `import { createDatabase } from ${JSON.stringify(index)}
        const messages = []
        process.on('warning', ({ message }) => messages.push(message))
        for (const config of ${JSON.stringify(configs.map(config => config ?? {}))}) {
          const db = createDatabase(config)
          await db.get().catch(error => { if (error.code !== 'connection_failure') throw error })
          await db.close()
        }
        setTimeout(() => console.log(JSON.stringify(messages)), 10)`
      )
      const { stdout } = await promisify(execFile)(process.execPath, ['--import', import.meta.resolve('tsx'), script], {
        cwd: home,
        env: { PATH: process.env.PATH, DATA_DIR: fresh(), ...env }
      })
      return JSON.parse(stdout)
    }

    test('one warning names the fix, however many SQLite files are opened', async () => {
      const warnings = await warningsOf({ DYNO: 'web.1' }, undefined, { dataDir: fresh() }, undefined)
      assert.equal(warnings.length, 1)
      assert.match(warnings[0] as string, /Heroku.*DATABASE=postgres/)
    })

    for (const [title, env, config] of [
      ['elsewhere', {}, undefined],
      ['for a database in memory', { DYNO: 'web.1' }, { sqlite: { location: ':memory:' } }],
      ['for Postgres', { DYNO: 'web.1', DATABASE: 'postgres', DATABASE_URL: 'postgres://u@127.0.0.1:1/d' }, undefined]
    ] as const) {
      test(`there is no warning ${title}`, async () => {
        assert.deepEqual(await warningsOf(env, config), [])
      })
    }
  })
})

describe('Several hosts', () => {
  test('are tried in their order, each with its port or the default', () => {
    const settings = read('postgres://me@a:5433,b,[::1]:5434/db?target_session_attrs=read-write')
    assert.deepEqual(settings.dialect === 'postgres' && [settings.hosts, settings.targetServer, settings.location], [
      [
        { host: 'a', port: 5433 },
        { host: 'b', port: 5432 },
        { host: '::1', port: 5434 }
      ],
      'read-write',
      'postgres://me@a:5433,b:5432,[::1]:5434/db'
    ])
  })

  test('may include a server that takes no writes unless target_session_attrs says otherwise', () => {
    assertSettings('postgres://me@a,b/db', {}, { targetServer: 'any' })
    for (const targetServer of ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const) {
      assertSettings(`postgres://me@a,b/db?target_session_attrs=${targetServer}`, {}, { targetServer })
    }
    assertRefused('postgres://me@a,b/db?target_session_attrs=secondary', {}, /any, read-write, .* or prefer-standby; got "secondary"/)
  })

  test('must each be one', () => {
    for (const hosts of ['a,', ',a', 'a,,b', 'a:5432:5433', 'a,b:0']) assertRefused(`postgres://me@${hosts}/db`, {}, /host|port/)
  })
})

describe('Only own, plain properties', () => {
  test('count: what a prototype has is not read', () => {
    const config = Object.create({ postgres: { enabled: true }, dataDir: '/elsewhere' }) as object
    assert.deepEqual(read(config), read({}))
    const inherited = Object.create({ enabled: true, connection: 'postgres://u@127.0.0.1/d' }) as object
    assert.equal(read({ postgres: inherited }).dialect, 'sqlite')
  })

  test('a polluted Object.prototype changes nothing', () => {
    const prototype = Object.prototype as Record<string, unknown>
    prototype.pooler = true
    prototype.dataDir = '/elsewhere'
    try {
      const settings = read({ postgres: { enabled: true, user: 'u' } })
      assert.equal(settings.dialect === 'postgres' && settings.pooler, false)
      assert.equal(read({}).location, resolve('data', 'db.sqlite'))
    } finally {
      delete prototype.pooler
      delete prototype.dataDir
    }
  })

  test('a getter is refused by its name, and not called', () => {
    const config = {
      get dataDir(): string {
        throw new Error('called')
      }
    }
    assertRefused(config, {}, /"dataDir" must be a plain property; got a getter/)
  })
})

describe('What is no configuration', () => {
  for (const config of [new Map(), new Date(), [], 5, null]) {
    test(`is refused: ${inspect(config)}`, () => assertRefused(config, {}, /The configuration must be an object with: dataDir/))
  }

  test('is refused without the password of a connection string', () => {
    for (const config of ['host=h user=u password=hunter2', { postgres: 'host=h password=hunter2' }, { postgres: { connection: 5 } }]) {
      assert.throws(
        () => read(config),
        (error: Error) => !error.message.includes('hunter2') && failsWith('invalid_configuration')(error)
      )
    }
  })

  test('is a database in memory that is only read', () => {
    assertRefused({ sqlite: { location: ':memory:', readOnly: true } }, {}, /a database in memory is empty/)
  })
})

describe('The path of a SQLite file', () => {
  for (const location of [' bot.sqlite', 'bot.sqlite ', 'bot.sqlite\n', '\tbot.sqlite']) {
    test(`${JSON.stringify(location)} is refused, as SQLite would open another file`, () => {
      assertRefused({ sqlite: { location } }, {}, /"sqlite.location" must be a path .*without blanks at its ends/)
      assertRefused(location, {}, /without blanks at its ends/)
    })
  }

  test('may have blanks in it', () => {
    assertSettings('./my bot.sqlite', {}, { location: resolve('my bot.sqlite') })
  })
})

describe('PRAGMAs of the configuration', () => {
  test('are words and numbers', () => {
    const pragmas = { cache_size: -65536, mmap_size: 2 ** 31, recursive_triggers: true, temp_store: 'MEMORY' }
    assertSettings(
      { sqlite: { pragmas } },
      {},
      {
        pragmas: { cache_size: '-65536', mmap_size: '2147483648', recursive_triggers: '1', temp_store: 'MEMORY' }
      }
    )
  })

  for (const [name, wayOut] of [
    ['synchronous', /sqlite\.durability/],
    ['query_only', /sqlite\.readOnly/],
    ['busy_timeout', /timeouts\.lock/],
    ['journal_mode', /WAL/],
    ['foreign_keys', /always on/],
    ['locking_mode', /other processes/]
  ] as const) {
    test(`${name} is refused with the reason`, () => {
      assertRefused(
        { sqlite: { pragmas: { [name]: 1 } } },
        {},
        new RegExp(`"sqlite\\.pragmas\\.${name}" cannot be changed: .*${wayOut.source}`)
      )
    })
  }

  test('a misspelled one is refused with its neighbour', () => {
    assertRefused({ sqlite: { pragmas: { cachesize: 1 } } }, {}, /did you mean "sqlite\.pragmas\.cache_size"\?/)
    assertRefused({ sqlite: { pragmas: { 'x; DROP TABLE users': 1 } } }, {}, /Unknown setting/)
  })
})

describe('URLs as services print them', () => {
  for (const [service, url, expected] of [
    [
      'Neon',
      'postgresql://me:pw@ep-x-pooler.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require',
      { tls: 'no-verify', channelBinding: 'require' }
    ],
    [
      'Neon for Prisma',
      'postgresql://me:pw@ep-x-pooler.aws.neon.tech/neondb?sslmode=require&pgbouncer=true&connect_timeout=15',
      { pooler: true, timeouts: { ...TIMEOUTS, connect: 15_000 } }
    ],
    ['Supabase', 'postgresql://postgres.ref:pw@aws-0-eu-central-1.pooler.supabase.com:6543/postgres?pgbouncer=true', { pooler: true }],
    ['Heroku', 'postgres://u:pw@ec2-1-2-3-4.compute-1.amazonaws.com:5432/d', { tls: 'disable' }],
    [
      'RDS',
      'postgresql://u:pw@x.rds.amazonaws.com:5432/d?sslmode=verify-full&sslrootcert=/certs/global-bundle.pem',
      { ca: '/certs/global-bundle.pem' }
    ],
    ['Render', 'postgresql://u:pw@dpg-x-a.frankfurt-postgres.render.com/d', { database: 'd' }],
    ['libpq with a socket', 'postgresql:///d?host=/var/run/postgresql&port=5433&user', undefined],
    [
      'libpq with the system’s authorities',
      'postgres://u@h/d?sslmode=verify-full&sslrootcert=system',
      { tls: 'verify-full', ca: undefined }
    ],
    ['a client certificate', 'postgres://u@h/d?sslmode=verify-full&sslcert=/c.pem&sslkey=/k.pem', { cert: '/c.pem', key: '/k.pem' }]
  ] as const) {
    test(`${service}`, () => {
      if (expected === undefined) assertRefused(url, {}, /unknown parameter "user"/)
      else assertSettings(url, {}, expected)
    })
  }

  test('a port beside a socket’s folder', () => {
    assertSettings('postgres://u@/d?host=/var/run/postgresql&port=5433', {}, { hosts: [{ host: '/var/run/postgresql', port: 5433 }] })
    assertRefused('postgres://u@h/d?port=5433', {}, /parameter "port" too; write it behind the host: host:5433/)
    assertRefused('postgres://u@/d?host=/run&port=x', {}, /a port from 1 to 65535/)
  })

  for (const [parameter, mend] of [
    ['schema=app', 'options=-c%20search_path%3Dapp'],
    ['connection_limit=5', 'postgres.maxConnections'],
    ['pool_timeout=5', 'timeouts.acquire'],
    ['sslaccept=strict', 'sslmode=verify-full'],
    ['supa=base-pooler.x', 'leave it out']
  ] as const) {
    test(`${parameter} is refused with the mend`, () => {
      assertRefused(`postgres://u:hunter2@h/d?${parameter}`, {}, new RegExp(mend.replaceAll('.', '\\.')))
    })
  }

  test('words that libpq does not have are refused', () => {
    assertRefused('postgres://u@h/d?channel_binding=yes', {}, /"channel_binding".*disable, prefer or require; got "yes"/)
    assertRefused('postgres://u@h/d?pgbouncer=1', {}, /"pgbouncer".*true or false; got "1"/)
    assertRefused('postgres://u@h/d?channel_binding=require', {}, /needs TLS/)
    assertRefused('postgres://u@h/d?sslcert=/c.pem', {}, /"postgres\.key" is missing/)
  })

  test('a parameter is checked also where a setting beats it', () => {
    const url = 'postgres://u@h/d?pgbouncer=1'
    assertRefused({ postgres: { enabled: true, connection: url, pooler: true } }, {}, /"pgbouncer".*true or false; got "1"/)
  })

  test('pooler that is set beats pgbouncer', () => {
    const postgres = { enabled: true, connection: 'postgres://u@h/d?pgbouncer=true', pooler: false }
    assertSettings({ postgres }, {}, { pooler: false })
  })
})
