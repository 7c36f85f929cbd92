/**
 * The inspection of one volume: all shards of all its units are looked at where they lie, side by side in the
 * order of their bids. Decides: that what looks bad is looked at once more, when puts and deletes that were under
 * way are over; that units which are away keep nobody from judging the others; how fast it goes. Leaves to others:
 * what a blob's findings mean (`verdict.ts`), and what becomes of what is found.
 *
 * Memory is bounded: a page per unit, and those that look bad.
 */
import { setMaxListeners } from 'node:events'
import { type Clock, wait } from '../../../../src/index.ts'
import {
  type CodeMode,
  codeModeOf,
  readsNeeded,
  unitCount,
  vuidParts,
} from '../../plane/codes/index.ts'
import { type Finding, findingOf } from '../../plane/upkeep/index.ts'
import { hasMoved, INSPECT, type InspectShards, type SeenShard, UnitShards } from './unit-shards.ts'
import { verdictOf } from './verdict.ts'
import { LOST_MAX, type LostBlob, TROUBLES_MAX } from './volume-inspection.ts'
import { FOUND_PER_REPORT, type FoundShard, type InspectTask } from './wire.ts'

/** A put that was under way has come to its end: no call of it takes longer. */
export const SETTLE_MS = 15_000
/** Of all units together; of a disk that is a small part of what it can read. */
export const BYTES_PER_SECOND = 128 * 1024 ** 2
const SUSPECTS_MAX = 5_000
const LOOKED_AT_ONCE = 8

export interface InspectRunOptions {
  task: InspectTask
  shards: InspectShards
  clock: Clock
  signal: AbortSignal
  settleMs?: number
  bytesPerSecond?: number
  /** Called with some that were found, before the rest is looked for. */
  found: (some: { missed: FoundShard[]; corrupt: FoundShard[] }) => Promise<void>
}

export interface InspectOutcome {
  /** Why it has to be done again; null: it is done. */
  error: string | null
  blobs: number
  shards: number
  bytes: number
  missed: number
  corrupt: number
  lost: number
  lostBlobs: LostBlob[]
  /** Of units that were away, whole or in part. */
  troubles: string[]
  /** Of those, the ones whose chunk cannot be used at all, unless the mapping is an old one. */
  unusable: bigint[]
}

interface Suspect {
  bid: bigint
  seenAt: number
  /** Units whose bytes were not what was written. */
  corrupt: number[]
}

export class InspectRun {
  readonly #options: InspectRunOptions
  readonly #mode: CodeMode
  readonly #units: readonly (UnitShards | undefined)[]
  readonly #counts = { blobs: 0, shards: 0, bytes: 0, missed: 0, corrupt: 0, lost: 0 }
  readonly #lostBlobs: LostBlob[] = []
  #suspects: Suspect[] = []
  #missed: FoundShard[] = []
  #corrupt: FoundShard[] = []
  #isMoved = false

  /** @throws StorageRefusal 674 */
  constructor(options: InspectRunOptions) {
    const { task, shards, clock, signal } = options
    this.#options = options
    this.#mode = codeModeOf(task.mode)
    const places = new Map(
      task.replicas.map(({ vuid, host: address, disk_id: diskId }) => [
        vuidParts(vuid).index,
        { vuid, address, diskId },
      ]),
    )
    this.#units = Array.from({ length: unitCount(this.#mode) }, (_, index) => {
      const place = places.get(index)
      return place && new UnitShards(index, place, { shards, clock, signal })
    })
    // Each call listens to it, and there is one per unit at a time.
    setMaxListeners(0, signal)
  }

  /** @throws what the signal says */
  async run(): Promise<InspectOutcome> {
    const { clock, bytesPerSecond = BYTES_PER_SECOND } = this.#options
    const begunAt = clock.monotonic()
    let looked = 0
    for (;;) {
      looked += await this.#fill()
      const shards = this.#heads()
      if (shards === undefined) break
      this.#look(shards)
      if (this.#suspects.length >= SUSPECTS_MAX) await this.#confirm()
      await this.#until(begunAt + (looked / bytesPerSecond) * 1_000)
    }
    await this.#confirm()
    await this.#tell()
    return this.#outcome()
  }

  async #fill(): Promise<number> {
    const dry = this.#units.filter((unit) => unit?.isDry)
    if (dry.length === 0) return 0
    const bytes = await Promise.all(dry.map((unit) => unit?.fill() ?? 0))
    return bytes.reduce((sum, one) => sum + one, 0)
  }

  /** Of the blob that comes next, by index; undefined behind the last one. */
  #heads(): (SeenShard | undefined)[] | undefined {
    let bid: bigint | undefined
    for (const unit of this.#units) {
      const head = unit?.head
      if (head && (bid === undefined || head.bid < bid)) bid = head.bid
    }
    if (bid === undefined) return undefined
    return this.#units.map((unit) => {
      const head = unit?.head
      if (head?.bid !== bid) return undefined
      unit?.take()
      return head
    })
  }

  #look(shards: readonly (SeenShard | undefined)[]): void {
    const findings = shards.map((shard, index) => this.#seen(shard, index))
    const present = shards.filter((shard) => shard !== undefined)
    const [first] = present
    if (first === undefined) return
    this.#counts.blobs += 1
    this.#counts.shards += present.length
    this.#counts.bytes += present.reduce((sum, { size }) => sum + size, 0)
    const { kind } = verdictOf(this.#mode, findings)
    if (kind === 'whole' || kind === 'deleted') return
    const corrupt = shards.flatMap((shard, index) => (shard?.isCorrupt ? [index] : []))
    this.#suspects.push({ bid: first.bid, seenAt: this.#options.clock.monotonic(), corrupt })
  }

  #seen(shard: SeenShard | undefined, index: number): Finding {
    const unit = this.#units[index]
    if (shard === undefined) {
      const why = unit === undefined ? 'nobody knows its disk' : unit.away
      return why === undefined ? { kind: 'absent' } : { kind: 'away', why }
    }
    if (shard.flag === 2) return { kind: 'deleted' }
    if (shard.isCorrupt) return { kind: 'corrupt', why: 'it is not what was written' }
    return { kind: 'whole', size: shard.size }
  }

  /** What was under way is over: what looks bad now is. */
  async #confirm(): Promise<void> {
    const suspects = this.#suspects
    this.#suspects = []
    const last = suspects.at(-1)
    if (last === undefined) return
    const { settleMs = SETTLE_MS } = this.#options
    await this.#until(last.seenAt + settleMs)
    for (let from = 0; from < suspects.length; from += LOOKED_AT_ONCE) {
      this.#options.signal.throwIfAborted()
      const some = suspects.slice(from, from + LOOKED_AT_ONCE)
      await Promise.all(some.map((suspect) => this.#judge(suspect)))
      if (this.#missed.length + this.#corrupt.length >= FOUND_PER_REPORT / 2) await this.#tell()
    }
  }

  async #judge(suspect: Suspect): Promise<void> {
    const { bid } = suspect
    const findings = await Promise.all(this.#units.map((unit) => this.#ask(unit, suspect)))
    const verdict = verdictOf(this.#mode, findings)
    if (verdict.kind === 'damaged') {
      const shardOf = (index: number): FoundShard[] => {
        const vuid = this.#units[index]?.place.vuid
        return vuid === undefined ? [] : [{ vuid, bid }]
      }
      this.#missed.push(...verdict.missed.flatMap(shardOf))
      this.#corrupt.push(...verdict.corrupt.flatMap(shardOf))
      this.#counts.missed += verdict.missed.length
      this.#counts.corrupt += verdict.corrupt.length
    }
    if (verdict.kind === 'lost') {
      const { whole, away } = verdict
      this.#counts.lost += 1
      if (this.#lostBlobs.length < LOST_MAX) this.#lostBlobs.push({ bid, whole, away })
    }
  }

  async #ask(unit: UnitShards | undefined, { bid, corrupt }: Suspect): Promise<Finding> {
    const { shards, signal } = this.#options
    const away = unit === undefined ? 'nobody knows its disk' : unit.away
    // A chunk that cannot be listed cannot be written to, either.
    if (unit === undefined || away !== undefined) return { kind: 'away', why: away ?? '' }
    const options = { signal, ...INSPECT }
    try {
      const { size, flag } = await shards.statShard(unit.place, bid, options)
      if (flag === 2) return { kind: 'deleted' }
      if (!corrupt.includes(unit.index)) return { kind: 'whole', size }
      const page = await shards.verifyShards(unit.place, { from: bid, count: 1 }, options)
      if (!page.corrupt.includes(bid)) return { kind: 'whole', size }
      return { kind: 'corrupt', why: 'it is not what was written' }
    } catch (thrown) {
      signal.throwIfAborted()
      if (hasMoved(thrown)) this.#isMoved = true
      const finding = findingOf(thrown)
      // As in the list: what was there may be made elsewhere by now, and the next pass will know.
      return finding.kind === 'gone' ? { kind: 'away', why: finding.why } : finding
    }
  }

  async #tell(): Promise<void> {
    const some = { missed: this.#missed, corrupt: this.#corrupt }
    if (some.missed.length + some.corrupt.length === 0) return
    this.#missed = []
    this.#corrupt = []
    await this.#options.found(some)
  }

  #outcome(): InspectOutcome {
    const { replicas } = this.#options.task
    const away = this.#units.flatMap((unit) => (unit?.away === undefined ? [] : [unit]))
    const troubles = away.map(({ index, place, away: why }) => {
      return `unit ${index} on disk ${place.diskId}: ${why}`
    })
    const lostBlobs = this.#lostBlobs.sort((a, b) => (a.bid < b.bid ? -1 : 1))
    const unusable = away.filter((unit) => unit.isUnusable).map(({ place }) => place.vuid)
    const outcome = { ...this.#counts, lostBlobs, unusable }
    const shown = troubles.slice(0, TROUBLES_MAX)
    const moved = away.find(({ isMoved }) => isMoved)
    if (moved || this.#isMoved) {
      // By another mapping it may be there.
      const error = troubles[away.indexOf(moved ?? (away[0] as UnitShards))] ?? 'a unit has moved'
      return { ...outcome, lost: 0, lostBlobs: [], error, troubles: shown }
    }
    const listed = replicas.length - away.length
    const isBlind = listed < readsNeeded(this.#mode)
    const error = `only ${listed} of ${this.#units.length} units can be looked at: ${troubles[0] ?? 'the others are on disks that nobody knows'}`
    return { ...outcome, error: isBlind ? error : null, troubles: shown }
  }

  async #until(atMs: number): Promise<void> {
    const { clock, signal } = this.#options
    const leftMs = atMs - clock.monotonic()
    if (leftMs > 0) await wait({ clock, signal }, leftMs)
    signal.throwIfAborted()
  }
}
