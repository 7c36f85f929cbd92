/**
 * Chunks and the shards in them, in memory: what blobnodes have. Decides: what they refuse, as far as volumes and
 * moves ask them anything. Leaves to others: how a call travels, and what becomes of it on the way (`ChunkCall`).
 */
import type { MoveShards } from '../../../../../machines/storage/background/moves/index.ts'
import { refusal } from '../../../../../machines/storage/plane/codes/index.ts'
import type { ChunkCalls, UnitPlace } from '../../../../../machines/storage/plane/volumes/index.ts'
import type { ChunkCall } from '../../plane/volumes/volume-sim.ts'

/** 1 whole, 2 marked as deleted. */
export type Flag = 1 | 2
export type Shards = Map<bigint, Flag>
export type ChunkMode = 'normal' | 'readonly'

/** `<disk>/<vuid>` */
export function chunkKey({ diskId, vuid }: Pick<UnitPlace, 'diskId' | 'vuid'>): string {
  return `${diskId}/${vuid}`
}

export class FakeChunks {
  /** Of the chunks that there are. */
  readonly modes = new Map<string, ChunkMode>()
  readonly shards = new Map<string, Shards>()

  chunkCalls(call: ChunkCall): ChunkCalls {
    const { modes, shards } = this
    return {
      createChunk: (at) =>
        call('create', at, () => {
          if (!modes.has(chunkKey(at))) modes.set(chunkKey(at), 'normal')
          return undefined
        }),
      setChunk: (at, mode) =>
        call(mode, at, () => {
          if (!modes.has(chunkKey(at))) return 621
          modes.set(chunkKey(at), mode === 'readonly' ? 'readonly' : 'normal')
          return undefined
        }),
      releaseChunk: (at, isForced) =>
        call('release', at, () => {
          if (!modes.has(chunkKey(at))) return 621
          if (!isForced && modes.get(chunkKey(at)) !== 'readonly') return 625
          modes.delete(chunkKey(at))
          shards.delete(chunkKey(at))
          return undefined
        }),
      statChunk: async (at) => {
        let status: ChunkMode = 'normal'
        await call('stat', at, () => {
          const mode = modes.get(chunkKey(at))
          if (mode === undefined) return 621
          status = mode
          return undefined
        })
        return { status, usedBytes: 0 }
      },
    }
  }

  shardCalls(call: ChunkCall): MoveShards {
    return {
      listShards: async (at, { from, count }) => {
        let page: { bid: bigint; flag: Flag }[] = []
        let next = 0n
        await call('list', at, () => {
          const all = [...this.#of(at)].sort(([a], [b]) => (a < b ? -1 : 1))
          const rest = all.filter(([bid]) => bid >= from)
          page = rest.slice(0, count).map(([bid, flag]) => ({ bid, flag }))
          next = rest[count]?.[0] ?? 0n
          return undefined
        })
        return { shards: page, next }
      },
      markDelete: (at, bid) =>
        call('mark', at, () => {
          const shards = this.#of(at)
          if (!shards.has(bid)) return 651
          shards.set(bid, 2)
          return undefined
        }),
      deleteShard: (at, bid) =>
        call('delete', at, () => (this.#of(at).delete(bid) ? undefined : 651)),
    }
  }

  #of(at: UnitPlace): Shards {
    const key = chunkKey(at)
    if (!this.modes.has(key)) throw refusal(621, 'as a blobnode says it')
    const shards = this.shards.get(key) ?? new Map<bigint, Flag>()
    this.shards.set(key, shards)
    return shards
  }
}
