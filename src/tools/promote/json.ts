/** JSON as jsonb keeps it: the text that Postgres prints for it, so that both sides can be compared. Pure. */

/** The largest nesting that both databases read (SQLite's JSON_MAX_DEPTH). */
const MAX_DEPTH = 1000

/** The digits that NUMERIC holds before and after the point. */
const MAX_INTEGER_DIGITS = 131_072
const MAX_SCALE = 16_383

/** Why a text is no JSON that can move; completes "holds …". */
export class UnfitJson extends Error {}

/** Returns why a text is no JSON; undefined for one that is. */
export function jsonProblem(text: string): string | undefined {
  try {
    JSON.parse(text)
  } catch {
    return 'a text that is not JSON'
  }
  return depthOf(text) > MAX_DEPTH ? `JSON that is nested deeper than ${MAX_DEPTH} levels` : undefined
}

function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gs)) {
    if (token === '[' || token === '{') deepest = Math.max(deepest, ++depth)
    else if (token === ']' || token === '}') depth--
  }
  return deepest
}

/** Returns JSON as jsonb prints it. Throws `UnfitJson` for a text that jsonb cannot hold without a change. */
export function canonicalJson(text: string): string {
  const problem = jsonProblem(text)
  if (problem !== undefined) throw new UnfitJson(problem)
  return new Canonical(text).value()
}

const STRING = /"(?:[^"\\]|\\.)*"/sy
const NUMBER = /(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?/y

/** Walks over a text that is JSON. */
class Canonical {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  value(): string {
    this.#skip()
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object()
      case '[':
        return this.#array()
      case '"':
        return this.#string().printed
      case 't':
        return this.#word('true')
      case 'f':
        return this.#word('false')
      case 'n':
        return this.#word('null')
      default:
        return this.#number()
    }
  }

  #skip(): void {
    while (/[\s:,]/.test(this.#text[this.#at] ?? '')) this.#at++
  }

  #word(word: string): string {
    this.#at += word.length
    return word
  }

  #match(pattern: RegExp): RegExpExecArray {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text) as RegExpExecArray
    this.#at = pattern.lastIndex
    return found
  }

  #string(): { value: string; printed: string } {
    const value = JSON.parse(this.#match(STRING)[0]) as string
    if (value.includes('\0')) throw new UnfitJson('JSON with \\u0000, which JSONB cannot hold')
    if (!value.isWellFormed()) throw new UnfitJson('JSON with half of a surrogate pair, which JSONB cannot hold')
    return { value, printed: JSON.stringify(value) }
  }

  #number(): string {
    const [, sign = '', whole = '', fraction = '', exponent = '0'] = this.#match(NUMBER)
    return plainDecimal(sign, whole, fraction, Number(exponent))
  }

  #array(): string {
    const parts: string[] = []
    this.#at++
    for (this.#skip(); this.#text[this.#at] !== ']'; this.#skip()) parts.push(this.value())
    this.#at++
    return `[${parts.join(', ')}]`
  }

  /** The last of several values of one name counts, and names stand in the order of their lengths, then of their bytes. */
  #object(): string {
    const parts = new Map<string, { bytes: Buffer; printed: string }>()
    this.#at++
    for (this.#skip(); this.#text[this.#at] !== '}'; this.#skip()) {
      const name = this.#string()
      parts.set(name.value, { bytes: Buffer.from(name.value), printed: `${name.printed}: ${this.value()}` })
    }
    this.#at++
    const sorted = [...parts.values()].sort((a, b) => a.bytes.length - b.bytes.length || Buffer.compare(a.bytes, b.bytes))
    return `{${sorted.map(({ printed }) => printed).join(', ')}}`
  }
}

/** A number as NUMERIC prints it: without an exponent, with the digits behind the point that were given. */
function plainDecimal(sign: string, whole: string, fraction: string, exponent: number): string {
  const scale = Math.max(0, fraction.length - exponent)
  const isZero = /^0*$/.test(whole + fraction)
  if (isZero && sign === '-') throw new UnfitJson('JSON with a negative zero, whose sign JSONB does not keep')
  if (scale > MAX_SCALE || (!isZero && whole.length + exponent > MAX_INTEGER_DIGITS)) {
    throw new UnfitJson('JSON with a number that is outside of what JSONB holds')
  }
  const digits = whole + fraction
  const point = whole.length + exponent
  const shifted = isZero
    ? `0.${'0'.repeat(scale)}`
    : point <= 0
      ? `0.${'0'.repeat(-point)}${digits}`
      : `${digits.slice(0, point).padEnd(point, '0')}.${digits.slice(point)}`
  const [before = '', after = ''] = shifted.split('.')
  return `${sign}${before.replace(/^0+(?=\d)/, '')}${scale > 0 ? `.${after.slice(0, scale)}` : ''}`
}
