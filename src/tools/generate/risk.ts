/**
 * Finds the columns whose SQL says that they may be NULL: `nullif()`, a CASE without ELSE or with NULL in it. Rows of
 * every kind were tried, but what such an expression waits for may be rarer than they. Pure.
 */
import { tokens } from '../../lexer.ts'

/** Returns the names of columns that may be NULL by their SQL, also through subqueries and WITH. */
export function riskyColumns(text: string): Set<string> {
  const words = [...tokens(text, 'postgres')].filter(({ kind }) => kind !== 'comment').map(({ start, end }) => text.slice(start, end))
  const items = selectItems(words)
  const risky = new Set<string>()
  // A column of a subquery brings its risk to those that read it, which may stand before.
  for (let size = -1; size < risky.size; ) {
    size = risky.size
    for (const { name, body } of items) if (isRisky(body, risky)) risky.add(name)
  }
  return risky
}

interface SelectItem {
  readonly name: string
  readonly body: readonly string[]
}

/** The items of every list behind SELECT and RETURNING. */
function selectItems(words: readonly string[]): SelectItem[] {
  const items: SelectItem[] = []
  for (const [i, word] of words.entries()) {
    if (!/^(select|returning)$/i.test(word)) continue
    let depth = 0
    let body: string[] = []
    const finish = () => {
      if (body.length > 0) items.push(itemOf(body))
      body = []
    }
    for (const next of words.slice(i + 1)) {
      if (next === '(') depth++
      else if (next === ')') depth--
      if (depth < 0 || (depth === 0 && /^(from|union|intersect|except|order|limit|where|group|;)$/i.test(next))) break
      if (next === ',' && depth === 0) finish()
      else body.push(next)
    }
    finish()
  }
  return items
}

function itemOf(body: readonly string[]): SelectItem {
  const as = body.findLastIndex(word => /^as$/i.test(word))
  const hasAlias = as !== -1 && as === body.length - 2
  const name = (body.at(-1) as string).replace(/^"(.*)"$/, '$1')
  return { name, body: hasAlias ? body.slice(0, as) : body }
}

function isRisky(body: readonly string[], risky: ReadonlySet<string>): boolean {
  // These make something of NULL that is none.
  if (/^(coalesce|count|exists)$/i.test(body[0] ?? '') || body.some(word => /^is$/i.test(word))) return false
  for (const [i, word] of body.entries()) {
    if (/^nullif$/i.test(word) || (/^null$/i.test(word) && /^(then|else)$/i.test(body[i - 1] ?? ''))) return true
    if (/^case$/i.test(word) && !hasElse(body, i)) return true
  }
  const reads = body.length === 1 || (body.length === 3 && body[1] === '.')
  return reads && risky.has((body.at(-1) as string).replace(/^"(.*)"$/, '$1'))
}

function hasElse(body: readonly string[], start: number): boolean {
  let depth = 0
  for (const word of body.slice(start)) {
    if (/^case$/i.test(word)) depth++
    else if (/^end$/i.test(word) && --depth === 0) return false
    else if (depth === 1 && /^else$/i.test(word)) return true
  }
  return false
}
