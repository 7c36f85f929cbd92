/**
 * The shards of a chunk in memory: where each one is, in the form the last record of it gave it. Decides: what
 * counts after each record, what of the file is alive, and the order of lists. A shard takes some 200
 * bytes here, a tombstone some 50; a chunk of 17,000 shards has 3.4 MB.
 */
import { BARE_BYTES, type ChunkRecord, shardBytes } from './record.ts'

export interface Shard {
  readonly bid: bigint
  readonly at: number
  readonly dataAt: number
  readonly size: number
  readonly crc: number
  isMarked: boolean
}

export interface ShardInfo {
  vuid: bigint
  bid: bigint
  size: number
  crc: number
  /** Of its bytes in the chunk's file. */
  offset: number
  /** 1 normal, 2 marked as deleted. */
  flag: 1 | 2
}

export type ShardState = 'absent' | 'normal' | 'marked' | 'deleted'

export class ShardIndex {
  readonly #shards = new Map<bigint, Shard>()
  /** When each was deleted, by the wall clock. */
  readonly #tombstones = new Map<bigint, number>()
  /** Of the shards, ascending; undefined until somebody wants a list. */
  #sorted: bigint[] | undefined
  #shardsBytes = 0

  get size(): number {
    return this.#shards.size
  }

  get liveBytes(): number {
    return this.#shardsBytes + this.#tombstones.size * BARE_BYTES
  }

  get tombstones(): ReadonlyMap<bigint, number> {
    return this.#tombstones
  }

  get(bid: bigint): Shard | undefined {
    return this.#shards.get(bid)
  }

  stateOf(bid: bigint): ShardState {
    const shard = this.#shards.get(bid)
    if (shard) return shard.isMarked ? 'marked' : 'normal'
    return this.#tombstones.has(bid) ? 'deleted' : 'absent'
  }

  /** In the order of their places. */
  inPlace(): Shard[] {
    return [...this.#shards.values()].sort((a, b) => a.at - b.at)
  }

  apply({ kind, bid, at, dataAt, size, crc, isMarked }: ChunkRecord): void {
    if (kind === 'shard') this.#set({ bid, at, dataAt, size, crc, isMarked })
    if (kind === 'mark') {
      const shard = this.#shards.get(bid)
      if (shard) shard.isMarked = true
    }
    if (kind === 'tombstone') {
      this.#remove(bid)
      this.#tombstones.set(bid, size)
    }
  }

  /** After a copy: each shard where it is now, and what of the tombstones went along. */
  move(places: ReadonlyMap<bigint, ChunkRecord>, tombstones: ReadonlyMap<bigint, number>): void {
    for (const { bid, isMarked } of [...this.#shards.values()]) {
      const { at, dataAt, size, crc } = places.get(bid)!
      this.#set({ bid, at, dataAt, size, crc, isMarked })
    }
    for (const bid of [...this.#tombstones.keys()]) {
      if (!tombstones.has(bid)) this.#tombstones.delete(bid)
    }
  }

  /** From `from` on, at most `count`. */
  list(from: bigint, count: number, isWanted: (shard: Shard) => boolean): Shard[] {
    this.#sorted ??= [...this.#shards.keys()].sort((a, b) => (a < b ? -1 : 1))
    const found: Shard[] = []
    for (let index = placeOf(this.#sorted, from); index < this.#sorted.length; index += 1) {
      if (found.length === count) break
      const shard = this.#shards.get(this.#sorted[index]!)!
      if (isWanted(shard)) found.push(shard)
    }
    return found
  }

  #set(shard: Shard): void {
    const { bid } = shard
    const old = this.#shards.get(bid)
    if (old) this.#shardsBytes -= shardBytes(old)
    else if (this.#sorted) {
      // Bids mostly come in their order.
      const last = this.#sorted.at(-1)
      if (last === undefined || last < bid) this.#sorted.push(bid)
      else this.#sorted = undefined
    }
    this.#shards.set(bid, shard)
    this.#shardsBytes += shardBytes(shard)
  }

  #remove(bid: bigint): void {
    const old = this.#shards.get(bid)
    if (!old) return
    this.#shardsBytes -= shardBytes(old)
    this.#shards.delete(bid)
    this.#sorted = undefined
  }
}

/** Of the first that is not below. */
function placeOf(sorted: readonly bigint[], bid: bigint): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle]! < bid) low = middle + 1
    else high = middle
  }
  return low
}
