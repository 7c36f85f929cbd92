/**
 * Ports of a node that dies in the middle of what it does: the call of a given number may still happen, but
 * its outcome is unknown, and nothing happens any more.
 */
import type { ClusterPorts } from '../../src/node/join.ts'

export class Fuse {
  readonly #stopping = new AbortController()
  readonly #at: number | string
  #left: number

  /**
   * @param at which call of the journal, the registry and the checkpoints is the last; or the key of a
   * registry whose claim is. That of an even number happens, and so does that claim.
   */
  constructor(at: number | string) {
    this.#at = at
    this.#left = typeof at === 'number' ? at : Number.POSITIVE_INFINITY
  }

  /** Aborted once it has: what waits for an outcome ends. */
  get signal(): AbortSignal {
    return this.#stopping.signal
  }

  ports(ports: ClusterPorts): ClusterPorts {
    return {
      ...ports,
      journal: this.#through(ports.journal),
      registry: this.#through(ports.registry),
      checkpoints: this.#through(ports.checkpoints),
    }
  }

  /** All methods of these ports tell their outcome by the callback that comes last. */
  #through<T extends object>(port: T): T {
    return new Proxy(port, {
      get: (target, name) => {
        const method = Reflect.get(target, name) as unknown
        if (typeof method !== 'function') return method
        return (...told: unknown[]) => this.#call(method.bind(target), told)
      },
    })
  }

  #call(method: (...told: unknown[]) => unknown, told: unknown[]): unknown {
    this.#left -= 1
    if (told[0] === this.#at && told.length > 2) this.#left = 0
    if (this.#left > 0) return method(...told)
    this.#stopping.abort()
    const happens = typeof this.#at === 'string' || this.#at % 2 === 0
    if (this.#left === 0 && happens) method(...told.slice(0, -1), () => {})
    const done = told.at(-1) as (outcome: object) => void
    setImmediate(() => done({ kind: 'unknown', why: 'it is dead' }))
    return undefined
  }
}
