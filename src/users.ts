import { atCaller, type DatabaseError, invalidParameter } from './errors.ts'
import type { Runner } from './execute.ts'
import { nearestTo } from './nearest.ts'
import { callQuery } from './queries.ts'

/** A row of the table `users`. */
export interface User {
  /** `platform:userId`. */
  id: string
  /** The user's id on the platform. */
  userId: string
  /** The platform's name, such as `slack`; without a colon. */
  platform: string
  /** The gender, in the platform's words. */
  gender: string | null
  /** Hours from UTC; 5.5 in India. */
  timezone: number | null
  /** Where the user's picture is. */
  picture_url: string | null
  /** The first name. */
  first_name: string | null
  /** The last name. */
  last_name: string | null
  /** The language and country, such as `en_IN`. */
  locale: string | null
  /** When the user was saved first. */
  created_on: Date
}

const TEXTS = ['gender', 'picture_url', 'first_name', 'last_name', 'locale'] as const
const FIELDS = [...TEXTS, 'timezone'] as const

/** What `saveUser` takes. A field that is left out, or undefined, keeps its value; null removes it. */
export type UserInput = {
  /** The user's id on the platform; `platform:` may stand before it, as in a stored row. */
  id: string | number
  /** The platform's name, such as `slack`; without a colon. */
  platform: string
} & { [F in (typeof FIELDS)[number]]?: User[F] | undefined }

/** What `saveUser` ignores in a row that it returned itself. */
const OF_A_ROW: readonly string[] = ['userId', 'created_on']

/**
 * Inserts a user, or updates the fields that are given. A row that was returned before may be given again.
 *
 * @returns the stored row
 * @throws DatabaseError `invalid_parameter`, naming the field
 */
export async function putUser(runner: Runner, user: UserInput): Promise<User> {
  const row = rowOf(user)
  try {
    return (await callQuery(runner, 'saveUser', row)) as User
  } catch (error) {
    throw atCaller(error)
  }
}

function rowOf(user: UserInput): Record<string, unknown> {
  if (typeof user !== 'object' || user === null)
    throw fail(`expects an object with id and platform, got ${user === null ? 'null' : typeof user}`)
  const known = ['id', 'platform', ...FIELDS]
  const unknown = Object.keys(user).find(name => !known.includes(name) && !OF_A_ROW.includes(name))
  if (unknown !== undefined) {
    const nearest = nearestTo(unknown, known)
    throw fail(`has no field "${unknown}"; ${nearest === undefined ? `it has ${known.join(', ')}` : `did you mean "${nearest}"`}`)
  }
  const { platform } = user
  if (typeof platform !== 'string' || platform === '' || platform.includes(':')) {
    throw fail('expects "platform" to be a text that is not empty and has no colon')
  }
  const userId = userIdOf(user)
  const row: Record<string, unknown> = { id: `${platform}:${userId}`, userId, platform, now: new Date() }
  for (const field of FIELDS) {
    const value = user[field]
    checkField(field, value)
    row[field] = value ?? null
    row[`gives_${field}`] = value !== undefined
  }
  return row
}

function userIdOf(user: UserInput): string {
  const { id, platform } = user
  const isNumber = typeof id === 'number' && Number.isSafeInteger(id)
  if (!isNumber && (typeof id !== 'string' || id === '')) {
    throw fail('expects "id" to be the user\'s id on the platform: a text that is not empty, or a whole number')
  }
  // A stored row has its platform in the id already.
  const text = String(id)
  return text.startsWith(`${platform}:`) && text.length > platform.length + 1 ? text.slice(platform.length + 1) : text
}

function checkField(field: (typeof FIELDS)[number], value: unknown): void {
  if (value === undefined || value === null) return
  const expected = field === 'timezone' ? 'number' : 'string'
  if (typeof value !== expected || (expected === 'number' && !Number.isFinite(value))) {
    throw fail(
      `expects "${field}" to be ${expected === 'number' ? 'a number of hours' : 'a text'} or null, got a value of type ${typeof value}`
    )
  }
}

function fail(problem: string): DatabaseError {
  return invalidParameter(`saveUser() ${problem}.`)
}
