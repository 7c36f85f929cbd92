/**
 * Twins of what puts, gets and deletes work with: units that keep shards in memory, a table of volumes that
 * they lie in, and a list of what upkeep was asked for. The erasure code is the real one. Decides: what a
 * unit answers in each of its conditions.
 */
import { crc32 } from 'node:zlib'
import type { BlobId } from '../../../../../machines/storage/plane/access/blob-id.ts'
import {
  type AccessLimits,
  DEFAULT_ACCESS_LIMITS,
} from '../../../../../machines/storage/plane/access/limits.ts'
import type {
  ShardIo,
  UnitPlace,
  UpkeepPort,
  VolumesPort,
  VolumeView,
} from '../../../../../machines/storage/plane/access/ports.ts'
import type { AccessDeps } from '../../../../../machines/storage/plane/access/routes.ts'
import {
  type CodeMode,
  refusal,
  unitCount,
  vuidOf,
  vuidParts,
} from '../../../../../machines/storage/plane/codes/index.ts'
import type { Erasure } from '../../../../../machines/storage/plane/erasure/index.ts'
import { type Log, systemClock, TroupeError } from '../../../../../src/index.ts'

/** `silent`: it never answers, until it is no longer waited for. */
export type Condition = 'up' | 'away' | 'broken' | 'silent' | 'full' | 'busy'

interface Shard {
  bytes: Buffer
  state: 'whole' | 'corrupt' | 'marked' | 'deleted'
}

export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
}

const aborted = (signal: AbortSignal | undefined) =>
  new Promise<never>((_resolve, reject) => {
    const end = () => reject(new TroupeError('unavailable', 'given up'))
    if (signal?.aborted) end()
    else signal?.addEventListener('abort', end)
  })

export class Twins {
  readonly volumes = new Map<number, { mode: CodeMode; epochs: number[] }>()
  /** As a node remembers them; `moved` changes only what stands. */
  readonly #cached = new Map<number, VolumeView>()
  readonly #shards = new Map<string, Shard>()
  /** By `<vid>/<index>`. */
  readonly conditions = new Map<string, Condition>()
  /** Units that a view says are down. */
  readonly shownDown = new Set<string>()
  /** Units with a chunk besides the one in their place. */
  readonly unsettled = new Set<string>()
  recordFails = false
  readonly reads: number[] = []
  readonly repairs: Parameters<UpkeepPort['repair']>[0][] = []
  readonly removals: Parameters<UpkeepPort['remove']>[0][] = []
  readonly failed: string[] = []
  wroteBytes = 0
  freshViews = 0
  runningPuts = 0
  runningGets = 0
  stripesOut = 0
  freeBytes = 2 ** 40
  upkeepFails = false
  repairsFail = false
  /** Called before a shard is taken; what it returns is waited for. */
  onPut: (place: { vid: number; index: number }, bid: bigint) => void | Promise<void> = () => {}
  onGet: (place: { vid: number; index: number }, bid: bigint) => void | Promise<void> = () => {}
  /** Behind each mark. */
  onMark: (index: number) => void = () => {}
  #nextBid = 1_000n
  readonly #erasure: Erasure
  readonly #mode: CodeMode

  constructor(erasure: Erasure, mode: CodeMode, vids: readonly number[] = [7]) {
    this.#erasure = erasure
    this.#mode = mode
    for (const vid of vids)
      this.volumes.set(vid, { mode, epochs: Array(unitCount(mode)).fill(1) as number[] })
  }

  /** Of the blob that got a place last. */
  get lastBid(): bigint {
    return this.#nextBid - 1n
  }

  set(condition: Condition, vid: number, ...indexes: number[]): void {
    for (const index of indexes) this.conditions.set(`${vid}/${index}`, condition)
  }

  /** Its chunk is another, elsewhere, and has what the old one had. */
  move(vid: number, index: number): void {
    const { epochs } = this.volumes.get(vid)!
    const before = vuidOf({ vid, index, epoch: epochs[index]! })
    epochs[index] = epochs[index]! + 1
    for (const [key, shard] of this.#shards) {
      const [vuid, bid] = key.split('/')
      if (vuid === String(before)) this.#shards.set(`${before + 1n}/${bid}`, shard)
    }
  }

  shard(vid: number, index: number, bid: bigint): Shard | undefined {
    const epoch = this.volumes.get(vid)!.epochs[index]!
    return this.#shards.get(`${vuidOf({ vid, index, epoch })}/${bid}`)
  }

  spoil(state: Shard['state'] | 'none', vid: number, bid: bigint, ...indexes: number[]): void {
    for (const index of indexes) {
      const epoch = this.volumes.get(vid)!.epochs[index]!
      const key = `${vuidOf({ vid, index, epoch })}/${bid}`
      if (state === 'none') this.#shards.delete(key)
      else this.#shards.get(key)!.state = state
    }
  }

  deps(limits: Partial<AccessLimits> = {}): AccessDeps {
    return {
      shards: this.#io(),
      volumes: this.#volumes(),
      upkeep: {
        repair: async (message) => {
          if (this.upkeepFails || this.repairsFail)
            throw new TroupeError('unavailable', 'no upkeep')
          this.repairs.push(message)
        },
        remove: async (message) => {
          if (this.upkeepFails) throw new TroupeError('unavailable', 'no upkeep')
          this.removals.push(message)
        },
      },
      erasure: this.#counted(),
      clock: systemClock(),
      log: silentLog,
      limits: { ...DEFAULT_ACCESS_LIMITS, readPatienceMs: 5_000, ...limits },
      modeDefault: this.#mode.name,
    }
  }

  #counted(): AccessDeps['erasure'] {
    const erasure = this.#erasure
    return {
      stripe: (mode, bytes) => {
        this.stripesOut++
        return erasure.stripe(mode, bytes)
      },
      release: (stripe) => {
        this.stripesOut--
        erasure.release(stripe as never)
      },
      encode: (stripe) => erasure.encode(stripe as never),
      rebuild: (stripe, present, wanted) => erasure.rebuild(stripe as never, present, wanted),
      canRebuild: (...asked) => erasure.canRebuild(...asked),
    }
  }

  #volumes(): VolumesPort {
    return {
      view: async (vid, { fresh = false } = {}) => {
        if (!this.volumes.has(vid)) throw refusal(904, `there is no volume ${vid}`)
        if (fresh) this.freshViews++
        return this.#view(vid, fresh)
      },
      settled: async (vid, vuids) => {
        if (this.recordFails) throw new TroupeError('unavailable', 'nobody knows')
        const { epochs } = this.volumes.get(vid)!
        const isSettled = (index: number) =>
          !this.unsettled.has(`${vid}/${index}`) &&
          vuids.includes(vuidOf({ vid, index, epoch: epochs[index]! }))
        return new Set([...epochs.keys()].filter(isSettled))
      },
      writable: async (_mode, { avoid = new Set() }) => {
        const vid = [...this.volumes.keys()].find((one) => !avoid.has(one))
        if (vid === undefined) throw refusal(801, 'there is no volume')
        return this.#view(vid, false)
      },
      wrote: (_vid, bytes) => {
        this.wroteBytes += bytes
      },
      failed: (vid, index) => void this.failed.push(`${vid}/${index}`),
      nextBids: async (count) => {
        const first = this.#nextBid
        this.#nextBid += BigInt(count)
        return first
      },
    }
  }

  #view(vid: number, fresh: boolean): VolumeView {
    const known = this.#cached.get(vid)
    // Which disks are up is no part of the mapping, and never remembered.
    if (known && !fresh)
      return { ...known, units: known.units.map((unit) => this.#seen(vid, unit)) }
    const { mode, epochs } = this.volumes.get(vid)!
    const units = epochs.map((epoch, index) => ({
      ...{ index, address: 'http://127.0.0.1:1', diskId: index + 1 },
      vuid: vuidOf({ vid, index, epoch }),
    }))
    const seen = units.map((unit) => this.#seen(vid, unit))
    const view = { vid, mode, units: seen, freeBytes: this.freeBytes }
    this.#cached.set(vid, view)
    return view
  }

  #seen<TUnit extends { index: number }>(vid: number, unit: TUnit): TUnit & { isUp: boolean } {
    return { ...unit, isUp: !this.shownDown.has(`${vid}/${unit.index}`) }
  }

  #io(): ShardIo {
    return {
      putShard: async (at, bid, bytes, { crc, signal }) => {
        this.runningPuts++
        try {
          const { vid, index } = await this.#reached(at, signal)
          if (this.conditions.get(`${vid}/${index}`) === 'full') throw refusal(627, 'no room')
          await Promise.race([this.onPut({ vid, index }, bid), aborted(signal)])
          const state = this.#shards.get(`${at.vuid}/${bid}`)?.state
          if (state === 'marked' || state === 'deleted') throw refusal(654, 'deleted')
          if (crc32(bytes) !== crc) throw refusal(658, 'other bytes than were meant')
          this.#shards.set(`${at.vuid}/${bid}`, { bytes: Buffer.from(bytes), state: 'whole' })
        } finally {
          this.runningPuts--
        }
      },
      getShard: async (at, bid, { range, signal } = {}) => {
        const { vid, index } = await this.#reached(at, signal)
        this.reads.push(index)
        this.runningGets++
        try {
          await Promise.race([this.onGet({ vid, index }, bid), aborted(signal)])
        } finally {
          this.runningGets--
        }
        const { bytes, state } = this.#found(at, bid)
        if (state === 'marked' || state === 'deleted') throw refusal(654, 'deleted')
        if (state === 'corrupt') throw refusal(658, 'the checksum is wrong')
        if (range && range.to > bytes.length) throw refusal(655, 'no such range')
        return Buffer.from(range ? bytes.subarray(range.from, range.to) : bytes)
      },
      markDelete: async (at, bid) => {
        const { index } = await this.#reached(at)
        const shard = this.#found(at, bid)
        const wasMarked = shard.state === 'marked' || shard.state === 'deleted'
        if (!wasMarked) shard.state = 'marked'
        this.onMark(index)
        if (wasMarked) throw refusal(654, 'deleted')
      },
    }
  }

  async #reached(
    { vuid }: UnitPlace,
    signal?: AbortSignal,
  ): Promise<{ vid: number; index: number }> {
    await Promise.resolve()
    const { vid, index, epoch } = vuidParts(vuid)
    const isOld = this.volumes.get(vid)?.epochs[index] !== epoch
    if (isOld) throw refusal(621, 'no such chunk')
    switch (this.conditions.get(`${vid}/${index}`)) {
      case 'away':
        throw new TroupeError('unavailable', `nobody listens at unit ${index}`)
      case 'busy':
        throw refusal(604, 'overload')
      case 'broken':
        throw refusal(613, `the disk of unit ${index} is broken`)
      case 'silent':
        return aborted(signal)
      default:
        return { vid, index }
    }
  }

  #found({ vuid }: UnitPlace, bid: bigint): Shard {
    const shard = this.#shards.get(`${vuid}/${bid}`)
    if (!shard) throw refusal(651, `there is no shard ${bid}`)
    return shard
  }
}

/** Where the first blob of an object is. */
export function firstBlob({ slices: [slice] }: BlobId): { vid: number; bid: bigint } {
  return { vid: slice!.vid, bid: slice!.firstBid }
}
