/** The units of a volume in memory, by a virtual clock: what an inspection asks of blobnodes. */
import type {
  InspectShards,
  InspectTask,
} from '../../../../../machines/storage/background/inspect/index.ts'
import {
  codeModeOf,
  refusal,
  vuidOf,
  vuidParts,
} from '../../../../../machines/storage/plane/codes/index.ts'
import { VirtualClock } from '../../../../../src/adapters/memory/index.ts'
import { TroupeError } from '../../../../../src/protocol/index.ts'

export const MODE = codeModeOf('EC6P3')
export const UNITS = 9
export const SETTLE_MS = 1_000
const SHARD_BYTES = 10
const CALL_MS = 1

interface Kept {
  flag: 1 | 2
  isCorrupt: boolean
}

interface Refusing {
  with: number | 'unavailable'
  times: number
}

export function taskOf(vid = 7): InspectTask {
  const replicas = Array.from({ length: UNITS }, (_, index) => ({
    ...{ vuid: vuidOf({ vid, index, epoch: 1 }), host: `http://b${index}`, disk_id: index + 1 },
  }))
  return { task_id: `inspect-${vid}-x`, mode: MODE.id, replicas, lease_ms: 9_000 }
}

export class FakeUnits implements InspectShards {
  readonly clock = new VirtualClock()
  readonly units = Array.from({ length: UNITS }, () => new Map<bigint, Kept>())
  readonly #refusing = new Map<number, Refusing>()
  pages = 0

  /** Blobs 1 to `blobs`, whole. */
  fill(blobs: number): void {
    for (let unit = 0; unit < UNITS; unit++) {
      for (let bid = 1n; bid <= blobs; bid++) this.put(unit, bid)
    }
  }

  put(unit: number, bid: bigint): void {
    this.units[unit]?.set(bid, { flag: 1, isCorrupt: false })
  }

  mark(unit: number, bid: bigint): void {
    this.units[unit]?.set(bid, { flag: 2, isCorrupt: false })
  }

  corrupt(unit: number, bid: bigint): void {
    this.units[unit]?.set(bid, { flag: 1, isCorrupt: true })
  }

  /** So often, or for ever. */
  refuse(unit: number, status: number | 'unavailable', times = Number.POSITIVE_INFINITY): void {
    this.#refusing.set(unit, { with: status, times })
  }

  /** Lets the clock run until it is done. */
  async run<T>(work: Promise<T>): Promise<T> {
    let isOver = false
    const over = () => {
      isOver = true
    }
    work.then(over, over)
    for (let turn = 0; turn < 1_000_000 && !isOver; turn++) await this.clock.settle(CALL_MS)
    return work
  }

  async verifyShards(
    { vuid }: { vuid: bigint },
    { from, count }: { from: bigint; count: number },
    { signal }: { signal?: AbortSignal | undefined } = {},
  ) {
    const kept = await this.#at(vuid, signal)
    this.pages += 1
    const bids = [...kept.keys()].filter((bid) => bid >= from).sort((a, b) => (a < b ? -1 : 1))
    const shards = bids.slice(0, count).map((bid) => this.#info(vuid, bid))
    const isBad = ({ bid }: { bid: bigint }) => kept.get(bid)?.isCorrupt === true
    const corrupt = shards.filter(isBad).map(({ bid }) => bid)
    return { shards, corrupt, next: bids[count] ?? 0n }
  }

  async statShard(
    { vuid }: { vuid: bigint },
    bid: bigint,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ) {
    const kept = await this.#at(vuid, signal)
    if (!kept.has(bid)) throw refusal(651, `there is no shard ${bid}`)
    return this.#info(vuid, bid)
  }

  async #at(vuid: bigint, signal: AbortSignal | undefined): Promise<Map<bigint, Kept>> {
    await new Promise<void>((resolve) => this.clock.after(CALL_MS, resolve))
    signal?.throwIfAborted()
    const { index } = vuidParts(vuid)
    const refusing = this.#refusing.get(index)
    if (refusing !== undefined && refusing.times > 0) {
      refusing.times -= 1
      if (refusing.with === 'unavailable') throw new TroupeError('unavailable', 'nobody is there')
      throw refusal(refusing.with, 'as the test wants it')
    }
    const kept = this.units[index]
    if (kept === undefined) throw refusal(621, `there is no chunk ${vuid}`)
    return kept
  }

  #info(vuid: bigint, bid: bigint) {
    const flag = this.units[vuidParts(vuid).index]?.get(bid)?.flag ?? 1
    return { vuid, bid, size: SHARD_BYTES, crc: 0, offset: 0, flag }
  }
}
