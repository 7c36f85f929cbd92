/**
 * Callbacks and observables of one owner of a shard. Decides: that none outlives it, and none begins
 * behind its end.
 */
import type { EventObject } from '../protocol/index.ts'
import type { LiveHost } from '../shard/index.ts'

export class LiveOfShard implements LiveHost {
  readonly #host: LiveHost
  readonly #running = new Set<string>()
  #isOver = false

  constructor(host: LiveHost) {
    this.#host = host
  }

  start(child: Parameters<LiveHost['start']>[0]): void {
    // Its row begins it where the shard is next.
    if (this.#isOver) return
    this.#running.add(child.effectId)
    this.#host.start(child)
  }

  send(effectId: string, event: EventObject): void {
    this.#host.send(effectId, event)
  }

  stop(effectId: string): void {
    this.#running.delete(effectId)
    this.#host.stop(effectId)
  }

  /** Stops them, and begins none any more. */
  end(): void {
    this.#isOver = true
    for (const effectId of [...this.#running]) this.stop(effectId)
  }
}
