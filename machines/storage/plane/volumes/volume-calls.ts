/**
 * What is asked of volumes by name: lock, unlock, and the change of a unit. Decides: that a refusal of the
 * machine is an error here, that a chunk is looked at before it takes its place (927), that a volume whose old
 * chunk is proven to take no writes any more needs no lock for that, and how long an allocation is waited for.
 * Leaves to others: every rule (`volume-rules.ts`, `unit-rules.ts`).
 */
import type { CallOptions, Client, Clock, EventObject } from '../../../../src/index.ts'
import { refusal, StorageRefusal, type Vuid, vuidOf, vuidParts } from '../codes/index.ts'
import type { DiskTable } from '../disks/index.ts'
import { whyOf } from '../why.ts'
import type { ChunkCalls, UnitPlace } from './ports.ts'
import { isUnusable } from './unusable-chunks.ts'
import { volumeAddress } from './volume.ts'
import type { Chunk, Claim, VolumeAnswer, VolumeRecord } from './volume-record.ts'
import { known, type VolumeViews } from './volume-views.ts'

/** Looking for disks and making a chunk takes two tasks and two calls; a disk that hangs costs a time-out more. */
const ALLOC_MS = 25_000

export interface VolumeCallsOptions {
  client: Client
  clock: Clock
  views: VolumeViews
  table: DiskTable
  chunks: Pick<ChunkCalls, 'statChunk'>
}

type Taken = Extract<VolumeAnswer, { ok: true }>

export class VolumeCalls {
  readonly #options: VolumeCallsOptions

  constructor(options: VolumeCallsOptions) {
    this.#options = options
  }

  as(author: string): VolumeCalls {
    return new VolumeCalls({ ...this.#options, client: this.#options.client.as(author) })
  }

  /**
   * No more is written to it from now on; its chunks are set read-only behind the answer.
   * @param by the claim that it is locked under, and as long as @throws StorageRefusal 902, 929
   */
  lock(vid: number, by: { claim?: Claim } = {}): Promise<Taken> {
    return this.ask(vid, { type: 'LOCK', ...by })
  }

  /** @param force although chunks cannot be set writable, or a unit is moved @throws StorageRefusal 903 */
  unlock(vid: number, { force = false } = {}): Promise<Taken> {
    return this.ask(vid, { type: 'UNLOCK', ...(force ? { force } : {}) })
  }

  /**
   * A chunk beside the one of `vuid`, on another disk, for the same place: the same as long as it is neither
   * used nor released nor excluded, so that whoever was cut off asks again.
   * @param by the claim of who moves that unit @throws StorageRefusal 601, 914, 917, 918, 924, 929
   */
  async allocUnit(
    vuid: Vuid,
    {
      excludes = [],
      timeoutMs = ALLOC_MS,
      ...by
    }: { excludes?: readonly number[]; timeoutMs?: number; claim?: Claim } = {},
  ): Promise<UnitPlace> {
    const { vid, index } = vuidParts(vuid)
    const asked = await this.ask(vid, { type: 'ALLOC_UNIT', vuid, excludes: [...excludes], ...by })
    const view = await this.#options.client.waitFor(
      volumeAddress(vid),
      ({ context }) => {
        const { fittings } = context as VolumeRecord
        return fittings[index] === undefined || fittings[index]?.step === 'ready'
      },
      { timeoutMs },
    )
    const { fittings, unplaceable } = view.context as VolumeRecord
    const fitting = fittings[index]
    if (fitting === undefined) {
      const isTold = unplaceable.count > (asked.unplaced ?? 0)
      const why = isTold ? unplaceable.why : 'the chunk was swapped in or released meanwhile'
      throw refusal(917, `unit ${index} of volume ${vid}: ${why}`)
    }
    const fresh = vuidOf({ vid, index, epoch: fitting.epoch })
    return { ...(await this.#placeOf(fitting.diskId)), vuid: fresh }
  }

  /**
   * The new chunk takes the place of the old one. Told again it is no error.
   * @throws StorageRefusal 601, 918–920, 924, 926, 927, 929; TroupeError where nobody says whether the old one takes writes
   */
  async updateUnit(change: {
    newVuid: Vuid
    oldVuid: Vuid
    newDiskId: number
    /** Of who moves that unit. */
    claim?: Claim
  }): Promise<void> {
    const { newVuid, oldVuid, newDiskId } = change
    const { vid, index, epoch } = vuidParts(newVuid)
    const record = await this.#options.views.record(vid, { fresh: true })
    const [unit, fitting] = [record.units[index], record.fittings[index]]
    const isOld = unit !== undefined && vuidOf({ vid, index, epoch: unit.epoch }) === oldVuid
    const isFitting = fitting?.epoch === epoch && fitting.diskId === newDiskId
    // Unless it is proven that it is not.
    let isOldNormal = true
    // What is done, or refused anyhow, needs no look at the disks.
    if (isOld && isFitting && fitting.step === 'ready') {
      const at = { ...(await this.#placeOf(newDiskId)), vuid: newVuid }
      await this.#options.chunks.statChunk(at).catch((thrown: unknown) => {
        throw refusal(927, `unit ${index} of volume ${vid} on disk ${newDiskId}: ${whyOf(thrown)}`)
      })
      isOldNormal = await this.#mayBeWritten(record, unit)
    }
    await this.ask(vid, {
      ...{ type: 'UPDATE_UNIT', ...change, isOldNormal, at: this.#options.clock.now() },
    })
    this.#options.views.forget(vid)
  }

  /** It is gone from its disk some time after the answer, however often that has to be tried. @throws StorageRefusal 914, 918, 920, 924 */
  async releaseUnit(vuid: Vuid, diskId: number): Promise<void> {
    await this.ask(vuidParts(vuid).vid, { type: 'RELEASE_UNIT', vuid, diskId })
  }

  /** @throws StorageRefusal as the volume refuses; 904 */
  async ask(vid: number, event: EventObject, options: CallOptions = {}): Promise<Taken> {
    const answer = await askVolume(this.#options.client, vid, event, options)
    if ('refused' in answer) throw refusal(answer.refused, answer.message)
    return answer
  }

  /** Whoever holds an older mapping: not where the disk is broken, nor to a chunk that cannot be used. */
  async #mayBeWritten({ vid, standing }: VolumeRecord, { index, epoch, diskId }: Chunk) {
    const { table, chunks } = this.#options
    const disk = (await table.all({ fresh: true })).get(diskId)
    if (disk?.status !== 1) return false
    // Under a lock it makes no difference.
    if (standing === 'lock') return true
    const at = { address: disk.address, diskId, vuid: vuidOf({ vid, index, epoch }) }
    return chunks.statChunk(at).then(
      () => true,
      (thrown: unknown) => {
        // Of one that does not answer, or is busy, nothing is known: whoever asks has to ask again.
        if (!isUnusable(thrown)) throw thrown
        return false
      },
    )
  }

  async #placeOf(diskId: number): Promise<{ address: string; diskId: number }> {
    const disk = (await this.#options.table.all()).get(diskId)
    if (disk) return { address: disk.address, diskId }
    throw refusal(911, `there is no disk ${diskId}: its record was removed`)
  }
}

/** @throws StorageRefusal 904 */
export async function askVolume(
  client: Client,
  vid: number,
  event: EventObject,
  options: CallOptions = {},
): Promise<VolumeAnswer> {
  const asked = client.ask(volumeAddress(vid), event, options)
  const answer = (await known(vid, asked)) as VolumeAnswer | undefined
  if (answer !== undefined) return answer
  throw refusal(904, `volume ${vid} is paused or parked: resume it`)
}

export function isRefused(thrown: unknown, ...statuses: number[]): thrown is StorageRefusal {
  return thrown instanceof StorageRefusal && statuses.includes(thrown.status)
}
