/**
 * An embedded node in a simulated world: it owns every shard of its data directory, until a newer
 * process opens that.
 *
 * Decides: how the directory becomes its own, as src/node/data.ts does it, and that it then serves all
 * shards at once. Leaves to others: the commits (src/shard), and what the directory is (sim-directory.ts).
 */
import type { NodeLogic, SimNode } from './node.ts'
import { OWNER_KEY } from './sim-directory.ts'

export class EmbeddedLogic implements NodeLogic {
  readonly #node: SimNode

  constructor(node: SimNode) {
    this.#node = node
  }

  start(): void {
    const { life } = this.#node
    if (!life) return
    const owner = { key: OWNER_KEY, equals: Buffer.from(life.random.id()) }
    life.store.write({
      writes: [[owner.key, owner.equals]],
      flushed: () => this.#serve(owner),
      failed: ({ message }) => this.#node.failed(message),
    })
  }

  stop(): void {}

  serves(shard: number): boolean {
    return this.#node.life?.shards.get(shard)?.engine.state === 'serving'
  }

  #serve(owner: { key: Uint8Array; equals: Uint8Array }): void {
    const { life, around } = this.#node
    const { parameters, parts } = around
    for (let shard = 0; shard < parameters.shards; shard++) {
      if (!life || this.#node.life !== life) return
      const commit = new parts.EmbeddedCommit(shard, life.store, owner)
      this.#node.open(shard, 0, parameters.limits, commit)
    }
  }
}
