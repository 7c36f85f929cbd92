/**
 * Twins of what upkeep works with: units that keep one blob's shards in memory, and a code that knows the
 * right bytes. Decides: what a unit answers in each of its conditions, and that nobody is given bytes that do
 * not follow from what was read.
 */
import { crc32 } from 'node:zlib'
import {
  type CodeMode,
  codeModeOf,
  refusal,
  unitCount,
  vuidOf,
  vuidParts,
} from '../../../../../machines/storage/plane/codes/index.ts'
import { canRebuild } from '../../../../../machines/storage/plane/erasure/index.ts'
import { DeletePace, type UpkeepKind } from '../../../../../machines/storage/plane/upkeep/index.ts'
import type {
  UnitPlace,
  UpkeepPorts,
  UpkeepStripe,
  UpkeepVolume,
} from '../../../../../machines/storage/plane/upkeep/ports.ts'
import { type Clock, TroupeError } from '../../../../../src/index.ts'

export const VID = 7
export const BID = 2n ** 60n + 1n
const SHARD_BYTES = 64

interface Shard {
  bytes: Buffer
  isMarked: boolean
  isCorrupt: boolean
}

export class Twins {
  readonly mode: CodeMode
  /** What was written, by unit. */
  readonly right: Buffer[]
  readonly shards = new Map<number, Shard>()
  /** Nobody answers there. */
  readonly away = new Set<number>()
  /** On a disk that is broken. */
  readonly gone = new Set<number>()
  /** Its chunk is read-only: it takes no shard. */
  readonly locked = new Set<number>()
  /** The store knows it as broken, whether it answers or not. */
  readonly known = new Set<number>()
  readonly off = new Set<UpkeepKind>()
  /** Where units were before, with what they had then: they answer for a while. */
  readonly retired = new Map<number, Shard>()
  readonly #epochs: number[]
  #seenEpochs: number[]
  readonly reads: number[] = []
  readonly puts: number[] = []
  /** Asked for with `fresh`. */
  freshViews = 0
  stripesOut = 0
  /** Between two calls. */
  onPut: (index: number) => void = () => {}
  onMarked: (index: number) => void = () => {}
  onDeleted: (index: number) => void = () => {}

  constructor(mode: string) {
    this.mode = codeModeOf(mode)
    const isReplica = this.mode.kind === 'replica'
    this.right = Array.from({ length: unitCount(this.mode) }, (_, index) =>
      Buffer.alloc(SHARD_BYTES, isReplica ? 7 : index + 1),
    )
    for (const index of this.indexes()) this.write(index)
    this.#epochs = this.right.map(() => 1)
    this.#seenEpochs = [...this.#epochs]
  }

  /** Its chunk is another from now on, with a copy of what it had before it was marked, or without. */
  move(index: number, { isCopied = true } = {}): void {
    const shard = this.shards.get(index)
    if (shard) this.retired.set(index, shard)
    if (shard && isCopied) this.shards.set(index, { ...shard, isMarked: false })
    else this.shards.delete(index)
    this.#epochs[index] = (this.#epochs[index] ?? 0) + 1
  }

  indexes(): number[] {
    return [...this.right.keys()]
  }

  write(index: number, bytes = this.right[index] ?? Buffer.alloc(0)): void {
    this.shards.set(index, { bytes, isMarked: false, isCorrupt: false })
  }

  lose(...indexes: number[]): void {
    for (const index of indexes) this.shards.delete(index)
  }

  corrupt(...indexes: number[]): void {
    for (const index of indexes) this.#shard(index).isCorrupt = true
  }

  mark(...indexes: number[]): void {
    for (const index of indexes) this.#shard(index).isMarked = true
  }

  /** Whether the unit has what was written. */
  isRight(index: number): boolean {
    const shard = this.shards.get(index)
    if (shard === undefined || shard.isMarked || shard.isCorrupt) return false
    return shard.bytes.equals(this.right[index] ?? Buffer.alloc(0))
  }

  /** As it was seen last. */
  readonly volume = (): UpkeepVolume => ({
    mode: this.mode,
    units: this.indexes().map((index) => ({
      ...{ index, address: 'http://127.0.0.1:1', diskId: 100 + index },
      vuid: vuidOf({ vid: VID, index, epoch: this.#seenEpochs[index] ?? 1 }),
    })),
  })

  /** @param deletes of a node: without a clock all that is due goes at once */
  ports(deletes: UpkeepPorts['deletes'] = UNPACED): UpkeepPorts {
    return {
      volumes: {
        view: async (_vid, { fresh } = {}) => {
          if (fresh) {
            this.freshViews += 1
            this.#seenEpochs = [...this.#epochs]
          }
          return this.volume()
        },
        vuids: async () => this.#epochs.map((epoch, index) => vuidOf({ vid: VID, index, epoch })),
      },
      brokenDisks: async () => new Set([...this.known].map((index) => 100 + index)),
      isOn: async (kind) => !this.off.has(kind),
      deletes,
      shards: this.#io(),
      erasure: {
        stripe: (_mode, blobBytes) => this.#stripe(blobBytes),
        rebuild: async (stripe, present, wanted) => this.#rebuild(stripe, present, wanted),
        release: () => {
          this.stripesOut -= 1
        },
      },
    }
  }

  #stripe(blobBytes: number): UpkeepStripe {
    this.stripesOut += 1
    const shardBytes = this.mode.kind === 'replica' ? blobBytes : blobBytes / this.mode.data
    const shards = this.right.map(() => Buffer.alloc(shardBytes))
    return { shardBytes, shard: (index) => shards[index] ?? Buffer.alloc(0) }
  }

  #rebuild(stripe: UpkeepStripe, present: readonly number[], wanted: readonly number[]): void {
    if (!canRebuild(this.mode, present, wanted)) throw refusal(671, 'too few')
    const isRight = present.every((index) => stripe.shard(index).equals(this.right[index]!))
    for (const index of wanted) {
      if (isRight) this.right[index]!.copy(stripe.shard(index))
      else stripe.shard(index).fill(0xee)
    }
  }

  #io(): UpkeepPorts['shards'] {
    return {
      getShard: async (at) => {
        const index = this.#reached(at)
        this.reads.push(index)
        const { bytes, isCorrupt } = this.#unmarked(at)
        if (isCorrupt) throw refusal(658, 'the checksum is wrong')
        return bytes
      },
      putShard: async (at, _bid, bytes, { crc }) => {
        const index = this.#reached(at)
        if (crc32(bytes) !== crc) throw refusal(658, 'other bytes than were meant')
        const chunk = this.#chunkOf(at)
        if (chunk.get(index)?.isMarked) throw refusal(654, 'marked')
        if (this.locked.has(index)) throw refusal(622, 'read-only')
        chunk.set(index, { bytes: Buffer.from(bytes), isMarked: false, isCorrupt: false })
        this.puts.push(index)
        this.onPut(index)
      },
      statShard: async (at) => {
        const { bytes, isMarked } = this.#shardAt(at)
        return { size: bytes.length, flag: isMarked ? 2 : 1 }
      },
      markDelete: async (at) => {
        const index = this.#reached(at)
        this.#unmarked(at).isMarked = true
        this.onMarked(index)
      },
      deleteShard: async (at) => {
        const index = this.#reached(at)
        if (!this.#shardAt(at).isMarked) throw refusal(653, 'not marked')
        this.#chunkOf(at).delete(index)
        this.onDeleted(index)
      },
    }
  }

  #reached({ diskId }: UnitPlace): number {
    const index = diskId - 100
    if (this.away.has(index)) throw new TroupeError('unavailable', 'nobody listens')
    if (this.gone.has(index)) throw refusal(613, 'the disk is broken')
    return index
  }

  #shard(index: number): Shard {
    const shard = this.shards.get(index)
    if (shard === undefined) throw refusal(651, 'no such bid')
    return shard
  }

  #chunkOf({ vuid }: UnitPlace): Map<number, Shard> {
    const { index, epoch } = vuidParts(vuid)
    return epoch === this.#epochs[index] ? this.shards : this.retired
  }

  #shardAt(at: UnitPlace): Shard {
    const shard = this.#chunkOf(at).get(this.#reached(at))
    if (shard === undefined) throw refusal(651, 'no such bid')
    return shard
  }

  #unmarked(at: UnitPlace): Shard {
    const shard = this.#shardAt(at)
    if (shard.isMarked) throw refusal(654, 'marked')
    return shard
  }
}

const STOPPED: Pick<Clock, 'now'> = { now: () => 0 }
const UNPACED = new DeletePace({
  ...{ clock: STOPPED, hours: { from: 0, to: 24 }, perSecond: 1_000_000 },
})
