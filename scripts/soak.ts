/**
 * Terminates backends and restarts the server under 32 writers for a minute, and fails when a write that was
 * acknowledged is missing or there twice. `npm run soak -- 300 10` takes 300 s with 10 restarts.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const [seconds = '60', restarts = '3'] = process.argv.slice(2)
const options = ['--import', 'tsx', '--test', '--test-reporter=spec', join('test', 'soak.test.ts')]
const { status } = spawnSync(process.execPath, options, {
  cwd: join(import.meta.dirname, '..'),
  env: { ...process.env, SOAK_SECONDS: seconds, SOAK_RESTARTS: restarts },
  stdio: 'inherit'
})
process.exitCode = status ?? 1
