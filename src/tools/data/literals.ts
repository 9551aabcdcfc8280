/** Literals of SQL texts: what a query or a CHECK compares with is what rows need to hold. Pure. */
import { tokens } from '../../lexer.ts'

export interface Literals {
  readonly numbers: readonly number[]
  readonly texts: readonly string[]
  /** Names in JSON: of `doc -> 'name'` and `'$.name'`. */
  readonly jsonNames: readonly string[]
}

export const NO_LITERALS: Literals = { numbers: [], texts: [], jsonNames: [] }

/** Returns the literals of SQL texts, each once. */
export function literalsOf(texts: readonly string[]): Literals {
  const numbers = new Set<number>()
  const strings = new Set<string>()
  const jsonNames = new Set<string>()
  for (const text of texts) {
    let before = ''
    for (const { kind, start, end } of tokens(text, 'postgres')) {
      if (kind === 'comment') continue
      const token = text.slice(start, end)
      if (kind === 'number' && Number.isFinite(Number(token))) {
        numbers.add(Number(token))
        // Of a difference or of a negative number.
        if (before.endsWith('-')) numbers.add(-Number(token))
      }
      if (kind === 'string' && token.startsWith("'")) {
        const value = token.slice(1, -1).replaceAll("''", "'")
        if (/->>?$/.test(before)) jsonNames.add(value)
        else if (value.startsWith('$'))
          for (const [, quoted, plain] of value.matchAll(/\.(?:"([^"]+)"|(\w+))/g)) jsonNames.add((quoted ?? plain) as string)
        else strings.add(value)
      }
      before = kind === 'symbol' ? before + token : ''
    }
  }
  return { numbers: [...numbers], texts: [...strings], jsonNames: [...jsonNames] }
}

export function mergeLiterals(all: readonly Literals[]): Literals {
  const merge = <T>(pick: (literals: Literals) => readonly T[]) => [...new Set(all.flatMap(pick))]
  return { numbers: merge(({ numbers }) => numbers), texts: merge(({ texts }) => texts), jsonNames: merge(({ jsonNames }) => jsonNames) }
}
