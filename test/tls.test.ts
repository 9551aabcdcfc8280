/** TLS against real servers: each mode, from each source, on each kind of certificate. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { TLSSocket } from 'node:tls'
import pg from 'pg'
import { createDatabase, type Database, type DatabaseConfig } from '../src/index.ts'
import { type PostgresServer, startPostgres } from '../src/tools/servers/postgres.ts'
import { type Certificate, LOCAL, pemOf, serverSettings, Workshop } from './support/certificates.ts'
import { failsWith } from './support/databases.ts'

const PASSWORD = 'scram-password-7'

const workshop = new Workshop()
const authority = workshop.selfSigned('authority', 'duolect test authority')
const otherAuthority = workshop.selfSigned('other-authority', 'another authority')
const namesake = workshop.selfSigned('namesake', 'duolect test authority')
const proper = workshop.signed('proper', authority, LOCAL)
const misnamed = workshop.signed('misnamed', authority, 'DNS:db.example.com')
const expired = workshop.signed('expired', authority, LOCAL, -1)
const selfSigned = workshop.selfSigned('self-signed', 'localhost', LOCAL)

/** What the server does with users: the superuser may come in any way, `app` by TLS and password, `plain` without TLS. */
const ACCESS = `
host      all postgres 127.0.0.1/32 trust
hostssl   all app      127.0.0.1/32 scram-sha-256
hostssl   all certified 127.0.0.1/32 cert
hostnossl all plain    127.0.0.1/32 trust
`

const SERVERS = {
  proper: serverSettings(proper),
  misnamed: serverSettings(misnamed),
  expired: serverSettings(expired),
  selfSigned: serverSettings(selfSigned),
  plain: ['ssl=off'],
  guarded: [
    ...serverSettings(proper),
    `ssl_ca_file=${authority.certificate}`,
    'password_encryption=scram-sha-256',
    `hba_file=${workshop.write('pg_hba.conf', ACCESS)}`
  ]
}
type ServerName = keyof typeof SERVERS

const servers = new Map<ServerName, PostgresServer>()

before(async () => {
  const started = Object.entries(SERVERS).map(async ([name, settings]) => servers.set(name as ServerName, await startPostgres(settings)))
  await Promise.all(started)
  const admin = new pg.Client({ connectionString: server('guarded').url })
  await admin.connect()
  await admin.query(
    `CREATE ROLE app LOGIN PASSWORD '${PASSWORD}'; CREATE ROLE plain LOGIN; CREATE ROLE certified LOGIN; GRANT ALL ON SCHEMA public TO app, plain, certified`
  )
  await admin.end()
})

after(async () => {
  await Promise.all([...servers.values()].map(started => started.stop()))
  workshop.remove()
})

function server(name: ServerName): PostgresServer {
  const found = servers.get(name)
  assert.ok(found)
  return found
}

function portOf(name: ServerName): number {
  return Number(new URL(server(name).url).port)
}

/** The server's URL, by a host name that certificates may have. */
function urlOf(name: ServerName, query = '', user = name === 'guarded' ? `app:${PASSWORD}` : 'postgres'): string {
  return `postgres://${user}@localhost:${portOf(name)}/postgres${query}`
}

const VARIABLES = [
  'DATABASE',
  'DATABASE_URL',
  'PG_SSL',
  'PG_SSL_CA',
  'PG_SSL_CERT',
  'PG_SSL_KEY',
  'PGSSLMODE',
  'PGSSLROOTCERT',
  'NODE_TLS_REJECT_UNAUTHORIZED'
]
const opened: Database[] = []

/** Opens nothing yet; the environment has these variables, and no others that matter, until the test ends. */
function configure(config: DatabaseConfig, env: Readonly<Record<string, string>> = {}): Database {
  for (const variable of VARIABLES) delete process.env[variable]
  Object.assign(process.env, env)
  const db = createDatabase(config)
  opened.push(db)
  return db
}

const environment = { ...process.env }
afterEach(async () => {
  await Promise.all(opened.splice(0).map(db => db.close()))
  for (const variable of VARIABLES) {
    if (environment[variable] === undefined) delete process.env[variable]
    else process.env[variable] = environment[variable]
  }
})

async function isEncrypted(db: Database): Promise<boolean> {
  const { ssl } = await db.one<{ ssl: boolean }>('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')
  return ssl
}

// The matrix ----------------------------------------------------------------------------------------------------

/** What a refusal says, and what to do about it. */
const REFUSALS = {
  authority:
    /not signed by an authority that is known here: give the authority's certificate as "postgres\.ca" \(PG_SSL_CA\).*Heroku.*"no-verify"/,
  name: /Host: localhost\. is not in the cert's altnames: DNS:db\.example\.com.*Use the host name that the certificate names.*"verify-ca"/,
  date: /certificate has expired.*Renew the server's certificate.*"no-verify"/,
  noTls: /does not support SSL.*Turn TLS off with "postgres\.ssl": false \(PG_SSL=off\), or turn it on at the server/,
  wantsTls: /no pg_hba\.conf entry.*The server wants TLS: set "postgres\.ssl" \(PG_SSL\) to true, or on Heroku to "no-verify"/
} as const

type Outcome = 'open' | 'encrypted' | keyof typeof REFUSALS

interface Situation {
  readonly title: string
  readonly server: ServerName
  readonly ca?: Certificate
  /** What comes of `disable`, `no-verify`, `verify-ca` and `verify-full`. */
  readonly outcomes: readonly [Outcome, Outcome, Outcome, Outcome]
}

const MODES = ['disable', 'no-verify', 'verify-ca', 'verify-full'] as const

const SITUATIONS: readonly Situation[] = [
  {
    title: 'its own authority, which is given',
    server: 'proper',
    ca: authority,
    outcomes: ['open', 'encrypted', 'encrypted', 'encrypted']
  },
  { title: 'its own authority, which is not given', server: 'proper', outcomes: ['open', 'encrypted', 'authority', 'authority'] },
  {
    title: 'another authority than is given',
    server: 'proper',
    ca: otherAuthority,
    outcomes: ['open', 'encrypted', 'authority', 'authority']
  },
  {
    title: 'an authority whose namesake is given',
    server: 'proper',
    ca: namesake,
    outcomes: ['open', 'encrypted', 'authority', 'authority']
  },
  { title: 'the wrong host name', server: 'misnamed', ca: authority, outcomes: ['open', 'encrypted', 'encrypted', 'name'] },
  { title: 'a certificate that has expired', server: 'expired', ca: authority, outcomes: ['open', 'encrypted', 'date', 'date'] },
  { title: 'a self-signed certificate', server: 'selfSigned', outcomes: ['open', 'encrypted', 'authority', 'authority'] },
  {
    title: 'a self-signed certificate, which is given',
    server: 'selfSigned',
    ca: selfSigned,
    outcomes: ['open', 'encrypted', 'encrypted', 'encrypted']
  },
  { title: 'no TLS', server: 'plain', outcomes: ['open', 'noTls', 'noTls', 'noTls'] },
  {
    title: 'TLS and a SCRAM password wanted',
    server: 'guarded',
    ca: authority,
    outcomes: ['wantsTls', 'encrypted', 'encrypted', 'encrypted']
  }
]

interface Source {
  readonly title: string
  configure(server: ServerName, mode: string, ca: string | undefined): Database
}

/** Each way to say the mode, and with it the authority. */
const SOURCES: readonly Source[] = [
  {
    title: 'config',
    configure: (name, ssl, ca) => configure({ postgres: { enabled: true, connection: urlOf(name), ssl, ca } })
  },
  {
    title: 'PG_SSL and PG_SSL_CA',
    configure: (name, mode, ca) =>
      configure({}, { DATABASE: 'postgres', DATABASE_URL: urlOf(name), PG_SSL: mode, ...(ca !== undefined && { PG_SSL_CA: ca }) })
  },
  {
    title: 'URL',
    configure: (name, mode, ca) => {
      const query = `?sslmode=${mode}${ca === undefined ? '' : `&sslrootcert=${encodeURIComponent(ca)}`}`
      return configure({ postgres: { enabled: true, connection: urlOf(name, query) } })
    }
  }
]

function describeOutcome(outcome: Outcome): string {
  if (outcome === 'open') return 'connects without encryption'
  return outcome === 'encrypted' ? 'connects encrypted' : 'is refused with what to do'
}

for (const source of SOURCES) {
  for (const situation of SITUATIONS) {
    describe(`A server with ${situation.title} (${source.title})`, () => {
      MODES.forEach((mode, i) => {
        const outcome = situation.outcomes[i] as Outcome
        test(`${mode} ${describeOutcome(outcome)}`, async () => {
          const db = source.configure(situation.server, mode, situation.ca?.certificate)
          if (outcome === 'open' || outcome === 'encrypted') assert.equal(await isEncrypted(db), outcome === 'encrypted')
          else
            await assert.rejects(
              db.get(),
              failsWith(outcome === 'wantsTls' ? 'invalid_authorization' : 'connection_failure', REFUSALS[outcome])
            )
        })
      })
    })
  }
}

// The words -----------------------------------------------------------------------------------------------------

/** Each word on a server that cannot be verified. */
const WORDS: readonly (readonly [word: string, outcome: Outcome])[] = [
  ...['false', '0', 'no', 'off', 'disable', 'OFF', ''].map(word => [word, 'open'] as const),
  ...['no-verify', 'require', 'Require'].map(word => [word, 'encrypted'] as const),
  ...['true', '1', 'yes', 'on', 'verify-full', 'verify-ca', 'True'].map(word => [word, 'authority'] as const)
]

const ALL_SOURCES: readonly Source[] = [
  ...SOURCES,
  {
    title: 'ssl in the URL',
    configure: (name, mode) => configure({ postgres: { enabled: true, connection: urlOf(name, `?ssl=${mode}`) } })
  },
  {
    title: 'config with single parts',
    configure: (name, ssl) =>
      configure({ postgres: { enabled: true, host: 'localhost', port: portOf(name), user: 'postgres', database: 'postgres', ssl } })
  },
  {
    title: 'DATABASE_URL',
    configure: (name, mode) => configure({}, { DATABASE: 'postgres', DATABASE_URL: urlOf(name, `?sslmode=${mode}`) })
  }
]

for (const source of ALL_SOURCES) {
  describe(`The words for TLS (${source.title})`, () => {
    for (const [word, outcome] of WORDS) {
      test(`"${word}" ${describeOutcome(outcome)} where the server cannot be verified`, async () => {
        const db = source.configure('selfSigned', word, undefined)
        if (outcome === 'authority') await assert.rejects(db.get(), failsWith('connection_failure', REFUSALS.authority))
        else assert.equal(await isEncrypted(db), outcome === 'encrypted')
      })
    }

    for (const word of ['prefer', 'allow', 'verify_full', 'tls', '2']) {
      test(`"${word}" is refused before anything is opened`, () => {
        assert.throws(
          () => source.configure('plain', word, undefined),
          failsWith('invalid_configuration', new RegExp(`must be true, false or one of: .*no-verify, require; got "${word}"`))
        )
      })
    }
  })
}

describe('The mode', () => {
  test('true verifies and false does not encrypt', async () => {
    const postgres = { enabled: true, connection: urlOf('selfSigned') }
    await assert.rejects(configure({ postgres: { ...postgres, ssl: true } }).get(), failsWith('connection_failure', REFUSALS.authority))
    assert.equal(await isEncrypted(configure({ postgres: { ...postgres, ssl: false } })), false)
  })

  test('is no TLS where nothing is said', async () => {
    assert.equal(await isEncrypted(configure({ postgres: { enabled: true, connection: urlOf('proper') } })), false)
  })

  test('of the config wins over that of the environment', async () => {
    const db = configure({ postgres: { enabled: true, connection: urlOf('selfSigned'), ssl: 'verify-full' } }, { PG_SSL: 'no-verify' })
    await assert.rejects(db.get(), failsWith('connection_failure', REFUSALS.authority))
  })

  for (const [title, postgres, env] of [
    ['config and URL', { ssl: true }, {}],
    ['environment and URL', {}, { PG_SSL: 'verify-full' }]
  ] as const) {
    test(`on which ${title} disagree is refused before anything is opened`, () => {
      for (const weaker of ['disable', 'no-verify', 'require', 'verify-ca']) {
        const config = { postgres: { enabled: true, connection: urlOf('proper', `?sslmode=${weaker}`), ...postgres } }
        assert.throws(
          () => configure(config, env),
          failsWith('invalid_configuration', /TLS: .* says .*\(verify-full\), but .*make them agree/)
        )
      }
    })
  }

  test('is not weakened by the variables of others', async () => {
    for (const env of [{ PGSSLMODE: 'no-verify' }, { PGSSLMODE: 'disable' }, { NODE_TLS_REJECT_UNAUTHORIZED: '0' }] as Record<
      string,
      string
    >[]) {
      const db = configure({ postgres: { enabled: true, connection: urlOf('selfSigned'), ssl: true } }, env)
      await assert.rejects(db.get(), failsWith('connection_failure', REFUSALS.authority))
    }
  })

  test('is not strengthened by the variables of others', async () => {
    const db = configure({ postgres: { enabled: true, connection: urlOf('plain') } }, { PGSSLMODE: 'require' })
    assert.equal(await isEncrypted(db), false)
  })
})

// The authority -------------------------------------------------------------------------------------------------

describe('The authority', () => {
  test('may be given as PEM text, from each source', async () => {
    for (const source of SOURCES) assert.equal(await isEncrypted(source.configure('proper', 'verify-full', pemOf(authority))), true)
  })

  test('may be several in one text', async () => {
    const both = pemOf(otherAuthority) + pemOf(authority)
    for (const name of ['proper', 'guarded'] as const) {
      assert.equal(await isEncrypted(configure({ postgres: { enabled: true, connection: urlOf(name), ssl: true, ca: both } })), true)
    }
  })

  test('of the config wins over that of the environment', async () => {
    const config = { postgres: { enabled: true, connection: urlOf('proper'), ssl: true, ca: authority.certificate } }
    assert.equal(await isEncrypted(configure(config, { PG_SSL_CA: otherAuthority.certificate })), true)
  })

  test('whose file is missing is refused with the path and the settings', async () => {
    for (const source of SOURCES) {
      const db = source.configure('proper', 'verify-full', '/nowhere/authority.pem')
      await assert.rejects(
        db.get(),
        failsWith(
          'invalid_configuration',
          /file of the certificate authority \(postgres\.ca, PG_SSL_CA or sslrootcert\).*\/nowhere\/authority\.pem.*Give PEM text or a file's path/
        )
      )
    }
  })

  for (const [title, text] of [
    ['is no PEM text', () => workshop.write('note.txt', 'no certificate')],
    ['is a key', () => otherAuthority.key],
    ['is empty', () => workshop.write('empty.pem', '')],
    ['has a broken body', () => '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
    ['has \\n in place of line ends', () => pemOf(authority).replaceAll('\n', '\\n')]
  ] as const) {
    test(`that ${title} is refused with what it must be`, async () => {
      const db = configure({ postgres: { enabled: true, connection: urlOf('proper'), ssl: true, ca: text() } })
      await assert.rejects(
        db.get(),
        failsWith('invalid_configuration', /\(postgres\.ca, PG_SSL_CA or sslrootcert\).*Give PEM text or a file's path/)
      )
    })
  }

  test('is read again for each connection, so a renewed file needs no restart', async () => {
    const file = workshop.write('renewed.pem', pemOf(otherAuthority))
    const db = configure({ postgres: { enabled: true, connection: urlOf('proper'), ssl: true, ca: file } })
    await assert.rejects(db.get(), failsWith('connection_failure', REFUSALS.authority))
    workshop.write('renewed.pem', pemOf(authority))
    assert.equal(await isEncrypted(db), true)
  })
})

// The host name -------------------------------------------------------------------------------------------------

describe('The host name', () => {
  test('may be an address that the certificate names', async () => {
    const connection = urlOf('proper').replace('localhost', '127.0.0.1')
    assert.equal(await isEncrypted(configure({ postgres: { enabled: true, connection, ssl: true, ca: authority.certificate } })), true)
  })

  test('that is an address which the certificate does not name is refused', async () => {
    const connection = urlOf('misnamed').replace('localhost', '127.0.0.1')
    const db = configure({ postgres: { enabled: true, connection, ssl: true, ca: authority.certificate } })
    await assert.rejects(db.get(), failsWith('connection_failure', /IP: 127\.0\.0\.1 is not in the cert's list.*"verify-ca"/))
  })

  test('is verified for each of several hosts', async () => {
    const connection = `postgres://postgres@localhost:${portOf('misnamed')},localhost:${portOf('proper')}/postgres`
    const db = configure({ postgres: { enabled: true, connection, ssl: true, ca: authority.certificate } })
    const { port } = await db.one<{ port: number }>('SELECT inet_server_port() AS port')
    assert.equal(port, portOf('proper'))
  })
})

// Passwords and rules -------------------------------------------------------------------------------------------

describe('A server that wants TLS and a password', () => {
  const verified = { enabled: true, ssl: 'verify-full', ca: authority.certificate }

  test('refuses a wrong password, and the error says what to check', async () => {
    const db = configure({ postgres: { ...verified, connection: urlOf('guarded', '', 'app:wrong') } })
    await assert.rejects(
      db.get(),
      failsWith('invalid_authorization', /password authentication failed for user "app".*Check the user and the password/)
    )
  })

  test('is not told a password where none is given', async () => {
    const db = configure({ postgres: { ...verified, connection: urlOf('guarded', '', 'app') } })
    await assert.rejects(db.get(), failsWith('invalid_authorization', /The server wants a password: set "postgres\.password"/))
  })

  test('takes the password of the config beside a URL without one', async () => {
    const db = configure({ postgres: { ...verified, connection: urlOf('guarded', '', 'app'), password: PASSWORD } })
    assert.equal(await isEncrypted(db), true)
  })

  test('that lets a user in only without TLS says so', async () => {
    const connection = urlOf('guarded', '', 'plain')
    await assert.rejects(
      configure({ postgres: { ...verified, connection } }).get(),
      failsWith('invalid_authorization', /no pg_hba\.conf entry.*(SSL encryption|SSL on).*pg_hba\.conf.*"postgres\.ssl": false/)
    )
    assert.equal(await isEncrypted(configure({ postgres: { enabled: true, connection } })), false)
  })

  test('works with a pooler set', async () => {
    assert.equal(await isEncrypted(configure({ postgres: { ...verified, connection: urlOf('guarded'), pooler: true } })), true)
  })

  test('encrypts each connection of the pool', async () => {
    const db = configure({ postgres: { ...verified, connection: urlOf('guarded'), maxConnections: 5 } })
    const answers = await Promise.all(
      Array.from({ length: 5 }, () =>
        db.one<{ ssl: boolean; pid: number }>('SELECT ssl, pid, pg_sleep(0.1)::TEXT FROM pg_stat_ssl WHERE pid = pg_backend_pid()')
      )
    )
    assert.equal(new Set(answers.map(({ pid }) => pid)).size, 5)
    assert.ok(answers.every(({ ssl }) => ssl))
  })

  test('is asked over TLS to cancel a statement that takes too long', async () => {
    const db = configure({ postgres: { ...verified, connection: urlOf('guarded'), pooler: true }, timeouts: { query: 150 } })
    await assert.rejects(db.all('SELECT pg_sleep(20), 6226 AS mark'), failsWith('query_canceled'))
    await pause(50)
    const running = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%6226 AS mark%' AND pid <> pg_backend_pid()"
    assert.deepEqual(await db.all(running), [])
  })
})

// Impostors -----------------------------------------------------------------------------------------------------

// The client's certificate, and the binding of the password to the connection ---------------------------------------

describe('The client’s certificate', () => {
  const own = workshop.signed('certified', authority, LOCAL)

  test('is sent, from each source', async () => {
    const connection = urlOf('guarded', '', 'certified')
    const base = { enabled: true, ssl: true, ca: authority.certificate }
    const parameters = `&sslcert=${encodeURIComponent(own.certificate)}&sslkey=${encodeURIComponent(own.key)}`
    const environment = { PG_SSL_CERT: own.certificate, PG_SSL_KEY: own.key }
    const byUrl = urlOf(
      'guarded',
      `?sslrootcert=${encodeURIComponent(authority.certificate)}&sslmode=verify-full${parameters}`,
      'certified'
    )
    for (const db of [
      configure({ postgres: { ...base, connection, cert: own.certificate, key: own.key } }),
      configure({ postgres: { ...base, connection, cert: pemOf(own), key: readFileSync(own.key, 'utf8') } }),
      configure({ postgres: { ...base, connection } }, environment),
      configure({ postgres: { enabled: true, connection: byUrl } })
    ]) {
      assert.deepEqual(await db.one('SELECT CAST(current_user AS TEXT) AS name'), { name: 'certified' })
    }
  })

  test('that is not given, or cannot be read, is an error', async () => {
    const base = { enabled: true, connection: urlOf('guarded', '', 'certified'), ssl: true, ca: authority.certificate }
    await assert.rejects(configure({ postgres: base }).get(), failsWith('invalid_authorization'))
    for (const [cert, key, message] of [
      ['/nowhere.pem', own.key, /client's certificate \(postgres\.cert, PG_SSL_CERT or sslcert\).*\/nowhere\.pem/],
      [own.certificate, '/nowhere.key', /client's key \(postgres\.key, PG_SSL_KEY or sslkey\).*\/nowhere\.key/]
    ] as const) {
      await assert.rejects(configure({ postgres: { ...base, cert, key } }).get(), failsWith('invalid_configuration', message))
    }
  })
})

describe('channel_binding', () => {
  const query = (mode: string) => `?sslmode=no-verify&channel_binding=${mode}`

  const to = (mode: string) => configure({ postgres: { enabled: true, connection: urlOf('guarded', query(mode)) } })

  for (const mode of ['disable', 'prefer']) {
    test(`${mode} connects`, async () => {
      assert.equal(await isEncrypted(to(mode)), true)
    })
  }

  test('require connects where the server offers it, from Postgres 11 on', async () => {
    const { number } = await to('prefer').one<{ number: number }>("SELECT CAST(current_setting('server_version_num') AS INTEGER) AS number")
    if (number >= 110_000) assert.equal(await isEncrypted(to('require')), true)
    else await assert.rejects(to('require').get(), failsWith('invalid_authorization', /offers no channel binding/))
  })

  test('require refuses a server that asks for no password', async () => {
    const db = configure({ postgres: { enabled: true, connection: urlOf('proper', query('require')) } })
    await assert.rejects(db.get(), failsWith('invalid_authorization', /offers no channel binding.*channel_binding=require/))
  })

  test('require tells a server that asks for the password as it is nothing', async () => {
    const impostor = new Impostor('S')
    const connection = `postgres://app:${PASSWORD}@localhost:${await impostor.listen()}/postgres${query('require')}`
    const db = configure({ postgres: { enabled: true, connection }, timeouts: { connect: 500 } })
    await assert.rejects(db.get(), failsWith('invalid_authorization', /channel_binding=require/))
    assert.ok(!impostor.heard.includes(PASSWORD))
    impostor.close()
  })
})

describe('A function for the password', () => {
  const passwordOf = (password: () => string | Promise<string>) =>
    configure({ postgres: { enabled: true, connection: urlOf('guarded', '', 'app'), ssl: 'no-verify', password, maxConnections: 3 } })

  test('is asked for each new connection', async () => {
    let asked = 0
    const db = passwordOf(async () => {
      asked++
      return PASSWORD
    })
    await Promise.all([db.all('SELECT 1 AS a'), db.all('SELECT pg_sleep(0.05) AS a'), db.all('SELECT pg_sleep(0.05) AS a')])
    assert.equal(asked, 3)
    await db.all('SELECT 1 AS a')
    assert.equal(asked, 3)
  })

  test('that fails, or returns no string, is an error without what it said', async () => {
    for (const [password, message] of [
      [() => Promise.reject(new Error('hunter2')), /function of "postgres\.password" failed/],
      [() => 5 as never, /must return a string, got number/],
      [() => 'wrong', /password authentication failed/]
    ] as const) {
      await assert.rejects(passwordOf(password).get(), (error: Error) => {
        assert.ok(!error.message.includes('hunter2'))
        return failsWith('invalid_authorization', message)(error)
      })
    }
  })
})

/** Who stands between: agrees to TLS, shows a certificate of its own, and asks for the password as it is. */
class Impostor {
  readonly #server: Server = createServer(socket => this.#meet(socket))
  readonly #sockets = new Set<Socket>()
  /** What it answers to the wish for TLS. */
  readonly #answer: string
  /** What it was told behind TLS, or without. */
  heard = ''

  constructor(answer: string) {
    this.#answer = answer
  }

  async listen(): Promise<number> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    return (this.#server.address() as { port: number }).port
  }

  #meet(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('data', () => {
      socket.write(this.#answer)
      if (this.#answer !== 'S') {
        socket.on('data', data => (this.heard += data.toString('latin1')))
        return
      }
      const secure = new TLSSocket(socket, { isServer: true, key: readFileSync(selfSigned.key), cert: pemOf(selfSigned) })
      secure.on('error', () => undefined)
      secure.on('data', data => {
        this.heard += data.toString('latin1')
        // AuthenticationCleartextPassword.
        secure.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]))
      })
    })
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }
}

describe('An impostor', () => {
  const impostors: Impostor[] = []
  afterEach(() => {
    for (const impostor of impostors.splice(0)) impostor.close()
  })

  function meet(answer: string): Impostor {
    const impostor = new Impostor(answer)
    impostors.push(impostor)
    return impostor
  }

  for (const [title, answer, ssl, hears] of [
    ['is told nothing under verify-full', 'S', 'verify-full', false],
    ['is told nothing under verify-ca', 'S', 'verify-ca', false],
    ['is told the password under no-verify, as was asked for', 'S', 'no-verify', true],
    ['that says there is no TLS is told nothing', 'N', 'no-verify', false],
    ['that sends more than its consent is told nothing', 'SR', 'no-verify', false],
    ['that speaks another protocol is told nothing', 'HTTP/1.1 400 Bad Request\r\n\r\n', 'verify-full', false]
  ] as const) {
    test(title, async () => {
      const impostor = meet(answer)
      const connection = `postgres://app:${PASSWORD}@localhost:${await impostor.listen()}/postgres`
      const db = configure({ postgres: { enabled: true, connection, ssl, ca: authority.certificate }, timeouts: { connect: 500 } })
      await assert.rejects(db.get(), failsWith('connection_failure'))
      assert.equal(impostor.heard.includes(PASSWORD), hears)
      if (!hears) assert.equal(impostor.heard, '')
    })
  }

  test('that speaks another protocol is named as such', async () => {
    const impostor = meet('HTTP/1.1 400 Bad Request\r\n\r\n')
    const connection = `postgres://app@localhost:${await impostor.listen()}/postgres`
    const db = configure({ postgres: { enabled: true, connection, ssl: true } })
    await assert.rejects(db.get(), failsWith('connection_failure', /Check the host and the port/))
  })
})
