/**
 * Whether a history of calls on one key can be put into an order in which each call takes effect at one moment between
 * its beginning and its end, with the calls of one process in their order: Wing and Gong's search, with Lowe's memory of
 * the configurations that were tried.
 */

/** What one call did to one key, and saw of it. */
export interface Operation {
  readonly key: string
  readonly kind: 'get' | 'set' | 'part' | 'append' | 'delete'
  /** The member of `parts` that a `part` sets. */
  readonly name?: string
  readonly argument?: unknown
  readonly result?: unknown
  readonly worker: number
  /** The calls of a worker in the order in which they were made. */
  readonly order: number
  /** Microseconds of a clock that all share. */
  readonly start: number
  readonly end: number
}

interface Document {
  readonly set?: unknown
  readonly parts?: Readonly<Record<string, unknown>>
  readonly list?: readonly unknown[]
}

/** The value after an operation, or `impossible` when it cannot have seen what it saw. */
function apply(value: Document | null, { kind, name, argument, result }: Operation): Document | null | 'impossible' {
  switch (kind) {
    case 'get':
      return isSame(value, result) ? value : 'impossible'
    case 'set':
      return argument as Document
    case 'part':
      return { ...value, parts: { ...value?.parts, [name as string]: argument } }
    case 'append': {
      const next = { ...value, list: [...(value?.list ?? []), argument] }
      return isSame(next, result) ? next : 'impossible'
    }
    case 'delete':
      return result === (value !== null) ? null : 'impossible'
  }
}

/** Whether two values are the same; the order of an object's members does not count. */
function isSame(one: unknown, other: unknown): boolean {
  return textOf(one) === textOf(other)
}

function textOf(value: unknown): string {
  return JSON.stringify(value ?? null, (_, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member) ? Object.fromEntries(Object.entries(member).sort()) : member
  )
}

/**
 * Returns an order of the operations on one key that explains what they saw; undefined if there is none.
 */
export function linearize(operations: readonly Operation[]): readonly Operation[] | undefined {
  const all = [...operations].sort((one, other) => one.start - other.start)
  const tried = new Set<string>()
  const done = new Array<boolean>(all.length).fill(false)
  const order: number[] = []

  /** The operations that may come next: begun before all that are left have ended, and not behind one of their own process. */
  function candidates(): number[] {
    let firstEnd = Number.POSITIVE_INFINITY
    const found: number[] = []
    const isBlocked = new Set<number>()
    for (let i = 0; i < all.length; i++) {
      const operation = all[i] as Operation
      if (done[i]) continue
      if (operation.start > firstEnd) break
      firstEnd = Math.min(firstEnd, operation.end)
      found.push(i)
    }
    // Of one process, the call that was made first comes first.
    const inOrder = [...found].sort((one, other) => (all[one] as Operation).order - (all[other] as Operation).order)
    return inOrder.filter(i => {
      const { worker } = all[i] as Operation
      if (isBlocked.has(worker)) return false
      isBlocked.add(worker)
      return (all[i] as Operation).start <= firstEnd
    })
  }

  function search(value: Document | null): boolean {
    if (order.length === all.length) return true
    const open = candidates()
    const state = `${order.length} ${open.join()} ${textOf(value)}`
    if (tried.has(state)) return false
    tried.add(state)
    for (const i of open) {
      const next = apply(value, all[i] as Operation)
      if (next === 'impossible') continue
      done[i] = true
      order.push(i)
      if (search(next)) return true
      order.pop()
      done[i] = false
    }
    return false
  }

  return search(null) ? order.map(i => all[i] as Operation) : undefined
}
