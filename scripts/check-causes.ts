/** Writes docs/check-causes.md: the causes that `duolect check` knows. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pageOfCauses } from '../test/support/causes.ts'

writeFileSync(join(import.meta.dirname, '..', 'docs', 'check-causes.md'), pageOfCauses())
