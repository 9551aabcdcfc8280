/** The words for types in annotations. */

/** Types of parameters and columns, as annotations name them. */
export type TypeWord = 'text' | 'integer' | 'bigint' | 'double' | 'numeric' | 'boolean' | 'timestamp' | 'date' | 'json' | 'bytea'

/** The declared type of a parameter. */
export interface ParameterType {
  readonly word: TypeWord
  readonly isList: boolean
}

export const POSTGRES_TYPES: Readonly<Record<TypeWord, string>> = {
  text: 'TEXT',
  integer: 'INTEGER',
  bigint: 'BIGINT',
  double: 'DOUBLE PRECISION',
  numeric: 'NUMERIC',
  boolean: 'BOOLEAN',
  timestamp: 'TIMESTAMPTZ',
  date: 'DATE',
  json: 'JSON',
  bytea: 'BYTEA'
}

export const TYPE_WORDS = Object.keys(POSTGRES_TYPES) as readonly TypeWord[]

export function isTypeWord(word: string): word is TypeWord {
  return Object.hasOwn(POSTGRES_TYPES, word)
}
