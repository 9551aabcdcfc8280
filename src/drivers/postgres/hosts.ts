import { clock } from '../../clock.ts'
import type { Host } from '../../config.ts'

/** How long a host that did not answer in time is asked after all others, in ms. */
const AVOIDED_FOR = 30_000

/** The hosts of a URL, in the order in which a new connection asks them, and what the pool has learned of them. */
export class Hosts {
  /** The host that worked last comes first. */
  readonly #hosts: Host[]
  readonly #avoidedUntil = new Map<Host, number>()
  /** True if a server was left because it took no writes, until one is met that takes them. */
  mayTakeNoWrites = false

  constructor(hosts: readonly Host[]) {
    this.#hosts = [...hosts]
  }

  inOrder(): readonly Host[] {
    const now = clock()
    const isAvoided = (host: Host) => Number((this.#avoidedUntil.get(host) ?? 0) > now)
    return this.#hosts.toSorted((one, other) => isAvoided(one) - isAvoided(other))
  }

  worked(host: Host): void {
    this.#avoidedUntil.delete(host)
    this.#hosts.splice(this.#hosts.indexOf(host), 1)
    this.#hosts.unshift(host)
  }

  /** Asks the host last for a while: each connection that asks it first would wait for `timeouts.connect`. */
  avoid(host: Host): void {
    this.#avoidedUntil.set(host, clock() + AVOIDED_FOR)
  }
}
