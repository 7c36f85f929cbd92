/**
 * Volumes as this node sees them. Decides: how many mappings are remembered and for how long, and what of a
 * volume readers and writers are told. Leaves to others: the truth, which is the actor's; whoever finds that
 * a unit has moved asks for a fresh view.
 */
import { type Client, type Clock, TroupeError } from '../../../../src/index.ts'
import { type CodeMode, codeModeOf, refusal, vuidOf } from '../codes/index.ts'
import type { DiskTable, DiskView } from '../disks/index.ts'
import { lastVid } from './numbers.ts'
import type { UnitPlace } from './ports.ts'
import { volumeAddress } from './volume.ts'
import type { VolumeRecord, VolumeStanding } from './volume-record.ts'

export interface UnitView extends UnitPlace {
  index: number
  /** Its disk is normal and was heard of lately. */
  isUp: boolean
}

export interface VolumeView {
  vid: number
  mode: CodeMode
  status: VolumeStanding
  /** By index. */
  units: readonly UnitView[]
  /** Of blobs, about. */
  freeBytes: number
}

export interface VolumeViewsOptions {
  client: Client
  clock: Clock
  table: DiskTable
  /** Remembered at a time. */
  viewsMax: number
  /** How long. */
  viewMs: number
}

interface Known {
  record: VolumeRecord
  readAt: number
}

export class VolumeViews {
  readonly #options: VolumeViewsOptions
  /** Those that were asked for last stand last. */
  readonly #known = new Map<number, Known>()
  readonly #reading = new Map<number, Promise<VolumeRecord>>()

  constructor(options: VolumeViewsOptions) {
    this.#options = options
  }

  /** @param fresh the mapping as it stands now @throws StorageRefusal 904 */
  async view(vid: number, { fresh = false } = {}): Promise<VolumeView> {
    const [record, disks] = await Promise.all([
      this.record(vid, { fresh }),
      this.#options.table.all({ fresh }),
    ])
    return viewOf(record, disks)
  }

  /** @throws StorageRefusal 904 */
  async record(vid: number, { fresh = false } = {}): Promise<VolumeRecord> {
    const { clock, viewMs } = this.#options
    const known = this.#known.get(vid)
    if (!fresh && known && clock.monotonic() - known.readAt <= viewMs) {
      this.#remember(vid, known)
      return known.record
    }
    // Who asks for what stands now must not have what was begun to be read before.
    if (fresh) await this.#reading.get(vid)?.catch(() => undefined)
    const reading = this.#reading.get(vid) ?? this.#read(vid)
    this.#reading.set(vid, reading)
    try {
      return await reading
    } finally {
      if (this.#reading.get(vid) === reading) this.#reading.delete(vid)
    }
  }

  /** Units of which these chunks are all there is: see `settledOf`. @throws StorageRefusal 904 */
  async settled(vid: number, vuids: readonly bigint[]): Promise<ReadonlySet<number>> {
    return settledOf(await this.record(vid, { fresh: true }), vuids)
  }

  /** The highest number that was given out; not every one below it is there. */
  lastVid(): Promise<number> {
    return lastVid(this.#options.client)
  }

  forget(vid: number): void {
    this.#known.delete(vid)
  }

  async #read(vid: number): Promise<VolumeRecord> {
    const { client, clock } = this.#options
    const readAt = clock.monotonic()
    const view = await known(vid, client.get(volumeAddress(vid)))
    const record = view.context as VolumeRecord
    this.#remember(vid, { record, readAt })
    return record
  }

  #remember(vid: number, known: Known): void {
    this.#known.delete(vid)
    this.#known.set(vid, known)
    const [oldest] = this.#known.keys()
    if (this.#known.size > this.#options.viewsMax && oldest !== undefined) {
      this.#known.delete(oldest)
    }
  }
}

/** Of an actor that may not be there. @throws StorageRefusal 904 */
export async function known<T>(vid: number, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (thrown) {
    const isGone = thrown instanceof TroupeError && GONE.has(thrown.code)
    if (!isGone) throw thrown
    throw refusal(904, `there is no volume ${vid}`)
  }
}

const GONE: ReadonlySet<string> = new Set(['unknown-actor', 'finished', 'invalid-address'])

export function viewOf(record: VolumeRecord, disks: ReadonlyMap<number, DiskView>): VolumeView {
  const mode = codeModeOf(record.mode)
  const units = record.units.map(({ index, epoch, diskId }): UnitView => {
    const disk = disks.get(diskId)
    const vuid = vuidOf({ vid: record.vid, index, epoch })
    return { index, vuid, diskId, address: disk?.address ?? '', isUp: disk?.isUp ?? false }
  })
  const { vid, standing: status } = record
  return { vid, mode, status, units, freeBytes: freeBytesOf(record, mode) }
}

/**
 * Indexes of units whose chunk is among those, and is the only one of its unit: none is made that is to follow it,
 * and none that it followed is left, where who has an older mapping may still read.
 */
export function settledOf(record: VolumeRecord, vuids: readonly bigint[]): ReadonlySet<number> {
  const { vid, units, fittings, retired } = record
  const alone = units.filter(
    ({ index, epoch }) =>
      vuids.includes(vuidOf({ vid, index, epoch })) &&
      fittings[index] === undefined &&
      !retired.some((old) => old.index === index),
  )
  return new Set(alone.map(({ index }) => index))
}

/** All chunks fill alike: each blob is on each of them. */
export function freeBytesOf(
  { chunkBytesMax, chunkBytesUsed }: Pick<VolumeRecord, 'chunkBytesMax' | 'chunkBytesUsed'>,
  mode: CodeMode,
): number {
  const perChunk = Math.max(0, chunkBytesMax - chunkBytesUsed)
  return mode.kind === 'replica' ? perChunk : perChunk * mode.data
}

/** 0: all units can be read and written; −n: n cannot. */
export function healthOf({ units, mode }: VolumeView): number {
  const whole = units.filter(({ isUp }) => isUp).length
  return units.length === 0 ? 0 : Math.min(0, whole - (mode.data + mode.parity + mode.local))
}
