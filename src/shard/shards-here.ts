/** Which shards this process serves just now. Decides: of two owners of one shard the newer is asked. */
import type { NearShard, NearShards } from '../ports/index.ts'

export class ShardsHere implements NearShards {
  readonly #shards = new Map<number, NearShard>()

  of(shard: number): NearShard | undefined {
    return this.#shards.get(shard)
  }

  /** The result takes it away again. */
  add(shard: number, near: NearShard): () => void {
    this.#shards.set(shard, near)
    return () => {
      if (this.#shards.get(shard) === near) this.#shards.delete(shard)
    }
  }
}
