/** From the cells of a result to its rows: how each column is decoded is settled once for all results of its columns. */
import type { Row } from '../../adapter.ts'
import { BoundedCache } from '../../cache.ts'
import { type Parse, parserOf } from './values.ts'

/** A column of a result, as `pg` describes it. */
export interface Field {
  readonly name: string
  /** The OID of its type. */
  readonly dataTypeID: number
}

/** What the server sends for a row: texts, and null for NULL. */
export type Cells = readonly (string | null)[]

type Build = (cells: Cells, parsers: readonly (Parse | undefined)[]) => Row

/** The plans of recent results, by their columns' names and types. */
const plans = new BoundedCache<RowPlan>(500, 200_000)

/** Number of results after which code is made for the rows: making it takes longer than decoding a few of them. */
const USES_BEFORE_CODE = 3

export class RowPlan {
  readonly names: readonly string[]
  /** True if two columns share a name, so that a row cannot hold both. */
  readonly hasDuplicates: boolean
  readonly #parsers: readonly (Parse | undefined)[]
  #build: Build
  #uses = 0

  /** Returns the plan for a result of these columns. */
  static of(fields: readonly Field[]): RowPlan {
    let key = ''
    for (const { name, dataTypeID } of fields) key += `${dataTypeID} ${name}\0`
    let plan = plans.get(key)
    if (plan === undefined) {
      plan = new RowPlan(fields)
      plans.set(key, plan)
    }
    return plan
  }

  private constructor(fields: readonly Field[]) {
    this.names = fields.map(({ name }) => name)
    this.hasDuplicates = new Set(this.names).size < fields.length
    this.#parsers = fields.map(({ dataTypeID }) => parserOf(dataTypeID))
    this.#build = plainBuilder(this.names)
  }

  /** Called after each result. */
  used(): void {
    if (++this.#uses === USES_BEFORE_CODE) this.#build = codeBuilder(this.names, this.#parsers) ?? this.#build
  }

  /** @throws DatabaseError `data_corrupted`, `invalid_configuration` for a value that cannot be decoded */
  decode(cells: Cells): Row {
    return this.#build(cells, this.#parsers)
  }
}

function plainBuilder(names: readonly string[]): Build {
  return (cells, parsers) =>
    Object.fromEntries(
      names.map((name, i) => {
        const [cell = null, parse] = [cells[i], parsers[i]]
        return [name, cell === null || parse === undefined ? cell : parse(cell)]
      })
    )
}

/**
 * A function that makes a row by one literal, so that V8 gives all rows one hidden class and looks up no parser for
 * each cell. Undefined where no code can be made at run time.
 */
function codeBuilder(names: readonly string[], parsers: readonly (Parse | undefined)[]): Build | undefined {
  const members = names.map((name, i) => {
    const value = parsers[i] === undefined ? `c[${i}]` : `c[${i}] === null ? null : p[${i}](c[${i}])`
    // Computed, since a plain __proto__ in a literal would set the prototype.
    return `${name === '__proto__' ? '["__proto__"]' : JSON.stringify(name)}: ${value}`
  })
  try {
    return new Function('c', 'p', `return { ${members.join(', ')} }`) as Build
  } catch {
    // Node runs with --disallow-code-generation-from-strings, or it is a Cloudflare Worker.
    return undefined
  }
}
