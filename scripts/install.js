// Installs what is missing before "npm start" and "npm test". Plain JavaScript, as nothing is installed yet.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** The packages of a lock file by their folder. */
function packagesOf(file) {
  if (!existsSync(file)) return {}
  return JSON.parse(readFileSync(file, 'utf8')).packages
}

/** Whether a package belongs on this machine, and must be there. */
function isWanted({ os, cpu, libc, optional }, isInstalled) {
  if (os && !os.includes(process.platform)) return false
  if (cpu && !cpu.includes(process.arch)) return false
  // Among the optional packages of this machine are those for another C library.
  if (optional && libc) return isInstalled
  return true
}

function isComplete() {
  const wanted = packagesOf(join(root, 'package-lock.json'))
  const installed = packagesOf(join(root, 'node_modules', '.package-lock.json'))
  return Object.entries(wanted).every(([folder, entry]) => {
    if (folder === '' || !isWanted(entry, folder in installed)) return true
    return installed[folder]?.version === entry.version && existsSync(join(root, folder))
  })
}

/** An optional package whose build failed is left out without a word. */
function missingDriver() {
  const require = createRequire(join(root, 'package.json'))
  return ['better-sqlite3', 'pg'].find(name => {
    try {
      const Driver = require(name)
      if (name === 'better-sqlite3') new Driver(':memory:').close()
      return false
    } catch {
      return true
    }
  })
}

/** Programs that tests run, and the Debian packages that have them. */
const PROGRAMS = { strace: 'strace', pgbouncer: 'pgbouncer', openssl: 'openssl' }

/** Installs the programs that are missing, where that is possible; the test that needs one says so elsewhere. */
function installPrograms() {
  // Debian keeps servers where only root looks.
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin`, DEBIAN_FRONTEND: 'noninteractive' }
  const missing = Object.keys(PROGRAMS).filter(program => spawnSync(program, ['--version'], { stdio: 'ignore', env }).error)
  if (missing.length === 0 || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return
  const packages = missing.map(program => PROGRAMS[program])
  console.log(`Installing what the tests run: ${packages.join(', ')}`)
  spawnSync('apt-get', ['update', '-qq'], { stdio: 'ignore', env })
  spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { stdio: 'ignore', env })
}

/** Packages that tests run and that users of the project need not install. */
function installTestPackages() {
  for (const folder of ['workerd', 'integrations']) {
    const home = join(root, 'test', folder)
    const { devDependencies } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))
    if (Object.keys(devDependencies).every(name => existsSync(join(home, 'node_modules', name)))) continue
    // Their install scripts do nothing that the tests need.
    const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: home, stdio: 'inherit' })
    if (status !== 0) process.exit(status ?? 1)
  }
}

if (process.argv.includes('--for-tests')) {
  installPrograms()
  installTestPackages()
}

if (!isComplete() || missingDriver()) {
  console.log('Installing what is missing: npm ci')
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32'
  })
  if (status !== 0) process.exit(status ?? 1)
  const missing = missingDriver()
  if (missing) {
    console.error(
      `"${missing}" could not be installed. ${missing === 'better-sqlite3' ? 'Where it has no ready-made binary it is compiled, which needs Python 3, make and a C++ compiler. ' : ''}` +
        `Run "npm rebuild ${missing} --foreground-scripts" to see why.`
    )
    process.exit(1)
  }
}
