/**
 * Actors with a fixed address that apps need. Decides: that they live before anything that may use them
 * begins; and that a node of a cluster goes on where the shard of one is not served, since then its
 * operators have to be able to look, and tries until it is.
 */
import type { Client } from '../client/index.ts'
import type { Clock, Log } from '../ports/index.ts'
import { formatAddress, type Limits, TroupeError } from '../protocol/index.ts'
import type { App } from './app.ts'

export interface SingletonsDeps {
  apps: readonly App[]
  client: Client
  clock: Clock
  log: Log
  limits: Limits
  /** Whether others may have to come before a shard is served. */
  isShared: boolean
}

/** A shard that is on its way from node to node is served within that. */
const TRY_MS = 2_000
const AGAIN_MS = 2_000

export class Singletons {
  readonly #deps: SingletonsDeps
  readonly #cancels = new Set<() => void>()
  #stopped = false

  constructor(deps: SingletonsDeps) {
    this.#deps = deps
  }

  /** @throws TroupeError when one cannot be started */
  async start(): Promise<void> {
    const { apps, limits } = this.#deps
    const all = apps.flatMap(({ singletons = [] }) => singletons)
    await Promise.all(
      all.map(({ machine, id, input }) =>
        this.#ensure(formatAddress(machine, id, [], limits), input),
      ),
    )
  }

  stop(): void {
    this.#stopped = true
    for (const cancel of this.#cancels) cancel()
  }

  async #ensure(address: string, input: unknown): Promise<void> {
    const { client, clock, log, isShared } = this.#deps
    try {
      await client.ensure(address, input, isShared ? { timeoutMs: TRY_MS } : {})
    } catch (thrown) {
      const mayBeBetter = thrown instanceof TroupeError && thrown.retry && isShared
      if (!mayBeBetter) throw thrown
      if (this.#stopped) return
      log.error({ err: thrown, address }, 'an actor that an app needs cannot be started yet')
      const cancel = clock.after(AGAIN_MS, () => {
        this.#cancels.delete(cancel)
        void this.#again(address, input)
      })
      this.#cancels.add(cancel)
    }
  }

  async #again(address: string, input: unknown): Promise<void> {
    const { log } = this.#deps
    try {
      await this.#ensure(address, input)
    } catch (thrown) {
      log.error({ err: thrown, address }, 'an actor that an app needs cannot be started')
    }
  }
}
