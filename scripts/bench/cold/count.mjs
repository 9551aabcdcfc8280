/** Given with --import: appends the names of all files that the process loads to the file COUNT_FILES names. */
import { appendFileSync } from 'node:fs'
import { createRequire, register } from 'node:module'

const source = `
  import { appendFileSync } from 'node:fs'
  export async function load(url, context, next) {
    if (url.startsWith('file:')) appendFileSync(process.env.COUNT_FILES, url.slice('file://'.length) + '\\n')
    return next(url, context)
  }`
register(`data:text/javascript,${encodeURIComponent(source)}`)

const { cache } = createRequire(import.meta.url)
process.on('exit', () => appendFileSync(process.env.COUNT_FILES, `${Object.keys(cache).join('\n')}\n`))
