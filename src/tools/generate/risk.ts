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

const SET_OPERATOR = /^(union|intersect|except|all|distinct)$/i

/** The items of every list behind SELECT and RETURNING. Those behind UNION and its like have the names of the first part. */
function selectItems(words: readonly string[]): SelectItem[] {
  const items: SelectItem[] = []
  // For each parenthesis that is open, the names of the first SELECT in it.
  const firsts: (readonly string[] | undefined)[] = [undefined]
  for (const [i, word] of words.entries()) {
    const before = words[i - 1] ?? ''
    if (word === '(') firsts.push(SET_OPERATOR.test(before) ? firsts.at(-1) : undefined)
    else if (word === ')') {
      const first = firsts.pop()
      if (firsts.at(-1) === undefined && firsts.length > 0) firsts[firsts.length - 1] = first
    } else if (/^(select|returning)$/i.test(word)) {
      const own = itemsOf(words.slice(i + 1))
      const first = SET_OPERATOR.test(before) || before === '(' ? firsts.at(-1) : undefined
      items.push(...own.map((item, place) => ({ ...item, name: first?.[place] ?? item.name })))
      if (first === undefined) firsts[firsts.length - 1] = own.map(({ name }) => name)
    }
  }
  return items
}

/** The items of the list at the beginning of the words. */
function itemsOf(words: readonly string[]): SelectItem[] {
  const items: SelectItem[] = []
  let depth = 0
  let body: string[] = []
  const finish = () => {
    if (body.length > 0) items.push(itemOf(body))
    body = []
  }
  for (const word of words) {
    if (word === '(') depth++
    else if (word === ')') depth--
    if (depth < 0 || (depth === 0 && /^(from|union|intersect|except|order|limit|where|group|;)$/i.test(word))) break
    if (word === ',' && depth === 0) finish()
    else body.push(word)
  }
  finish()
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
