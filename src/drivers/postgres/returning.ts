/** What the text of a statement that writes tells about the rows that it returns, so that not every one needs BEGIN. */
import { type Token, tokens } from '../../lexer.ts'

/** Functions that return one value, beside those that write nothing. */
const SCALAR = new Set(['CURRVAL', 'GEN_RANDOM_UUID', 'NEXTVAL', 'RANDOM'])

/** A token that is no comment, and how many parentheses are open around it. */
interface Word {
  /** In capitals where it is no quoted name. */
  readonly text: string
  readonly kind: Token['kind']
  readonly depth: number
}

function wordsOf(text: string): Word[] {
  const words: Word[] = []
  let depth = 0
  for (const { kind, start, end } of tokens(text, 'postgres')) {
    if (kind === 'comment') continue
    const word = text.slice(start, end)
    if (word === ')') depth--
    words.push({ text: kind === 'word' ? word.toUpperCase() : word, kind, depth })
    if (word === '(') depth++
  }
  return words
}

/**
 * Returns true for an INSERT of one row of VALUES: it returns that row, or none if it has changed nothing.
 *
 * @param isPure true for the name of a function that returns one value
 */
export function insertsOneRow(text: string, isPure: (name: string) => boolean): boolean {
  const words = wordsOf(text)
  if (words[0]?.text !== 'INSERT') return false
  const values = words.findIndex(({ text, kind, depth }) => kind === 'word' && depth === 0 && (text === 'VALUES' || text === 'SELECT'))
  if (words[values]?.text !== 'VALUES') return false
  if (words[values - 1]?.text === 'DEFAULT') return true
  const end = words.findIndex(({ text, depth }, i) => i > values && depth === 0 && text === ')')
  // A second row follows a comma; a function that returns a set makes several rows of one.
  if (end === -1 || words[end + 1]?.text === ',') return false
  return words.slice(values + 1, end).every(({ text, kind }, i, row) => {
    const isCall = row[i + 1]?.text === '(' && (kind === 'word' || kind === 'name')
    return !isCall || isPure(text) || SCALAR.has(text)
  })
}

/** Returns true if the columns that RETURNING lists have distinct names, as far as the text tells. */
export function returnsDistinctNames(text: string): boolean {
  const words = wordsOf(text)
  if (words[0]?.text === 'WITH') return false
  const returning = words.findLastIndex(({ text, kind, depth }) => kind === 'word' && depth === 0 && text === 'RETURNING')
  if (returning === -1) return false
  const list = words.slice(returning + 1)
  const names: (string | undefined)[] = []
  for (let from = 0; from < list.length; ) {
    const comma = list.findIndex(({ text, depth }, i) => i >= from && depth === 0 && text === ',')
    const end = comma === -1 ? list.length : comma
    names.push(nameOf(list.slice(from, end)))
    from = end + 1
  }
  return names.every(name => name !== undefined) && new Set(names).size === names.length
}

/** The name of a column that is named by `a`, `t.a` or `… AS a`. */
function nameOf(item: readonly Word[]): string | undefined {
  const last = item.at(-1)
  const before = item.at(-2)?.text
  const isNamed = item.length === 1 || before === 'AS' || (item.length === 3 && before === '.')
  if (last === undefined || !isNamed) return undefined
  if (last.kind === 'word') return last.text.toLowerCase()
  return last.kind === 'name' ? last.text.slice(1, -1).replaceAll('""', '"') : undefined
}
