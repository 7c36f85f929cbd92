/**
 * How a node comes by a volume to write to. Decides: that one that is idle and has room is taken before
 * another is made, that one is made only where there is a place for it, and that one which is being made is
 * waited for instead of making the next. Leaves to others: making it (the actor).
 */
import type { Client, Clock } from '../../../../src/index.ts'
import { type CodeMode, refusal } from '../codes/index.ts'
import { allUnits, type DiskTable, place } from '../disks/index.ts'
import { ActiveVolume } from './active-volume.ts'
import { takeVid } from './numbers.ts'
import type { ChunkCalls } from './ports.ts'
import { volumeAddress } from './volume.ts'
import { isRefused, type VolumeCalls } from './volume-calls.ts'
import { isKept, type VolumeRecord } from './volume-record.ts'
import type { VolumeView, VolumeViews } from './volume-views.ts'

/** Chunks on up to 36 disks, with a time-out of one that hangs and another one in its place. */
const MAKE_MS = 25_000
/** Idle ones that are looked at before one is made. */
const LOOKS_MAX = 50
/** Another node may take what was made here. */
const TRIES_MAX = 2

export interface VolumeMakerOptions {
  client: Client
  clock: Clock
  calls: VolumeCalls
  views: VolumeViews
  table: DiskTable
  chunks: Pick<ChunkCalls, 'statChunk'>
  token: string
  retainMs: number
  chunkBytesMax: number
  retiredKeptMs: number
  readyKeptMs: number
}

export class VolumeMaker {
  readonly #options: VolumeMakerOptions

  constructor(options: VolumeMakerOptions) {
    this.#options = options
  }

  /** This node's to write to. @throws StorageRefusal 801 with what stands in the way */
  async take(mode: CodeMode, without: ReadonlySet<number>): Promise<ActiveVolume> {
    const taken = await this.#takeIdle(mode, without)
    if (taken) return taken
    for (let tried = 0; tried < TRIES_MAX; tried++) {
      const vid = (await this.#beingMade(mode, without)) ?? (await this.begin(mode))
      await this.#whole(vid, mode)
      const volume = await this.#acquire(vid, mode, without)
      if (volume) return volume
    }
    throw refusal(
      801,
      `volumes of ${mode.name} were made, and lost to other nodes or to silent disks`,
    )
  }

  /** Volumes of this node that somebody wants to lock. */
  async wantedBack(): Promise<number[]> {
    const { token: holder } = this.#options
    return this.#vids({ holder, isWantedBack: true })
  }

  async #takeIdle(mode: CodeMode, without: ReadonlySet<number>): Promise<ActiveVolume | undefined> {
    const { token } = this.#options
    // Its own from before it was started anew come first.
    const own = await this.#vids({ mode: mode.name, holder: token, hasRoom: true })
    const idle = await this.#vids({ mode: mode.name, status: 'idle', hasRoom: true })
    for (const vid of [...own, ...idle].slice(0, LOOKS_MAX)) {
      const volume = await this.#acquire(vid, mode, without)
      if (volume) return volume
    }
    return undefined
  }

  /** Undefined where it is not for this node now. */
  async #acquire(
    vid: number,
    mode: CodeMode,
    without: ReadonlySet<number>,
  ): Promise<ActiveVolume | undefined> {
    const { calls, clock, views, token, retainMs } = this.#options
    if (without.has(vid)) return undefined
    try {
      const [view, record] = await Promise.all([
        views.view(vid, { fresh: true }),
        views.record(vid, { fresh: true }),
      ])
      if (isKept(record, clock.now())) return undefined
      const { chunkBytesMax } = record
      const chunkBytesUsed = await this.#measured(view, record)
      const volume = new ActiveVolume(clock, { vid, mode, chunkBytesMax, chunkBytesUsed })
      if (!volume.hasQuorum(view) || volume.isNearlyFull) return undefined
      volume.held(retainMs)
      const event = { type: 'ACQUIRE', token, retainMs, chunkBytesUsed, at: clock.now() }
      await calls.ask(vid, event)
      views.forget(vid)
      return volume
    } catch (thrown) {
      if (isRefused(thrown, 904, 929)) return undefined
      throw thrown
    }
  }

  /** What chunks hold: compaction may have made it less than the record says, and a holder that was killed more. */
  async #measured({ units }: VolumeView, { chunkBytesUsed }: VolumeRecord): Promise<number> {
    const { chunks } = this.#options
    const stats = units
      .filter(({ isUp }) => isUp)
      .map((unit) => chunks.statChunk(unit).catch(() => undefined))
    const known = (await Promise.all(stats)).filter((stat) => stat !== undefined)
    return known.length === 0 ? chunkBytesUsed : Math.max(...known.map((stat) => stat.usedBytes))
  }

  /** By whomever. One that takes longer than that stands in nobody's way. */
  async #beingMade(mode: CodeMode, without: ReadonlySet<number>): Promise<number | undefined> {
    const { clock } = this.#options
    const rows = await this.#rows({ mode: mode.name, status: 'creating' })
    const young = rows.find(
      ({ vid, createdAt }) => clock.now() - createdAt < MAKE_MS && !without.has(vid),
    )
    return young?.vid
  }

  /** It is made from now on. @throws StorageRefusal 801 where there is no place for it */
  async begin(mode: CodeMode): Promise<number> {
    const { client, clock, table, chunkBytesMax, retiredKeptMs, readyKeptMs } = this.#options
    const disks = await table.all({ fresh: true })
    const placement = place({
      ...{ disks: disks.values(), mode, wanted: allUnits(mode), placed: [] },
      ...{ excludes: new Set<number>(), random: () => 0 },
    })
    if ('why' in placement) throw refusal(801, placement.why)
    const vid = await takeVid(client)
    const kept = { retiredKeptMs, readyKeptMs }
    const input = { vid, mode: mode.id, chunkBytesMax, ...kept, at: clock.now() }
    await client.ensure(volumeAddress(vid), input)
    return vid
  }

  async #whole(vid: number, mode: CodeMode): Promise<void> {
    const isWhole = ({ context }: { context?: unknown }) =>
      (context as VolumeRecord).standing !== 'creating'
    try {
      await this.#options.client.waitFor(volumeAddress(vid), isWhole, { timeoutMs: MAKE_MS })
    } catch (thrown) {
      const record = await this.#options.views.record(vid, { fresh: true }).catch(() => undefined)
      if (record === undefined) throw thrown
      const { unplaceable, troubles } = record
      const why = troubles.fitting.why ?? unplaceable.why
      throw refusal(801, `volume ${vid} of ${mode.name} is still being made: ${why || 'wait'}`)
    }
  }

  async #vids(where: Record<string, string | boolean>): Promise<number[]> {
    return (await this.#rows(where)).map(({ vid }) => vid)
  }

  async #rows(
    where: Record<string, string | boolean>,
  ): Promise<{ vid: number; createdAt: number }[]> {
    const filter = { machine: 'volume', where }
    const { rows } = await this.#options.client.list({ filter, limit: LOOKS_MAX })
    return rows.map(({ index, createdAt }) => ({ vid: Number(index['vid']), createdAt }))
  }
}
