/**
 * Why the databases differ, and what to write instead. A run has shown the difference; the tokens of the query, the
 * types of the schema, the two values and the errors tell which rule of SQL is the likeliest cause. Pure.
 */
import { BOOLEANS } from './causes/booleans.ts'
import { JSON_PARTS } from './causes/json.ts'
import { FALLBACKS, NAMES } from './causes/names.ts'
import { NUMBERS } from './causes/numbers.ts'
import { ORDER } from './causes/order.ts'
import { CERTAIN, Evidence, type Rule, type Sign } from './causes/rule.ts'
import { TEXTS } from './causes/texts.ts'
import { TIMES } from './causes/times.ts'
import { WRITES } from './causes/writes.ts'
import type { Cause, Finding } from './finding.ts'

export { type SchemaNote, schemaNotes } from './schema-notes.ts'

/** The rules by what they are about. Of two that fit alike, the one that stands first is taken. */
export const RULES: Readonly<Record<string, readonly Rule[]>> = {
  Writing: WRITES,
  'Order and limits': ORDER,
  Times: TIMES,
  JSON: JSON_PARTS,
  'Booleans and comparisons': BOOLEANS,
  Numbers: NUMBERS,
  Texts: TEXTS,
  'Names and functions': NAMES,
  Others: FALLBACKS
}

/** Returns the likeliest cause of a difference, and undefined when none fits. */
export function explain(finding: Finding): Cause | undefined {
  const evidence = new Evidence(finding)
  let best: { readonly rule: Rule; readonly sign: Sign; readonly weight: number } | undefined
  for (const rule of Object.values(RULES).flat()) {
    for (const sign of rule.find(evidence)) {
      const weight = sign.weight + weightOfPlace(evidence, sign)
      if (weight > (best?.weight ?? 0)) best = { rule, sign, weight }
    }
  }
  if (best === undefined) return undefined
  const { rule, sign } = best
  const { name, title, mend } = rule
  return { name, title, mend, offset: typeof sign.at === 'number' ? sign.at : sign.at.start }
}

/** How well a place fits what differs: the column, the rows, their order, or where Postgres found the error. */
function weightOfPlace({ finding, differing, query }: Evidence, { at, weight }: Sign): number {
  if (typeof at === 'number') return 0
  const { clause, level, item } = at
  switch (finding.kind) {
    case 'error': {
      const [, character] = /at character (\d+)/.exec(finding.errors?.postgres?.message ?? '') ?? []
      const isSameText = finding.texts.sqlite === finding.texts.postgres
      const offset = Number(character) - 1
      return isSameText && offset >= at.start && offset < at.end ? 1 : 0
    }
    case 'order':
      return clause === 'order' ? 3 : -2
    case 'rows': {
      const isItem = item !== undefined && level === 0 && (clause === 'select' || clause === 'returning')
      // Without a column, other rows were found.
      if (finding.column === undefined) return isItem && weight < CERTAIN ? -1 : 1
      if (item === finding.column) return 3
      // What another column computes does not change this one.
      if (isItem && weight < CERTAIN) return -4
      return differing?.kind === 'column' ? 1 : 0
    }
    case 'tables': {
      const isWritten = query.assignments.some(
        ({ column, value }) => column.name === finding.column && value.start <= at.start && at.end <= value.end
      )
      return isWritten ? 3 : 0
    }
    default:
      return 0
  }
}
