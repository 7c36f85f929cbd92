/**
 * Chunks, and lines of the ledgers of disks, that no volume knows of: what a call leaves that comes late, behind
 * the release of what it was to make. Decides: which are such, and that they go when they were seen for long
 * enough. Each node looks at the disks that it hears.
 *
 * A chunk is in the record of its volume before anything is done for it, and its vuid is given once. So one
 * that was on the disk, and is not in the record that was read behind that, will never be anybody's; one
 * that is being made is always in it. Of a volume that is not there at all, which an operator has deleted,
 * only that goes which no ledger promises room to.
 */
import type { AppDaemon, Clock, Log } from '../../../../src/index.ts'
import { vuidParts } from '../codes/index.ts'
import type { Disks, DiskTable, DiskView } from '../disks/index.ts'
import { whyOf } from '../why.ts'
import type { ChunkCalls } from './ports.ts'
import { isRefused } from './volume-calls.ts'
import { fittingsAt, isSameChunk, type VolumeRecord } from './volume-record.ts'
import { releaseChunk } from './volume-tasks.ts'
import type { VolumeViews } from './volume-views.ts'

export interface StrayChunksOptions {
  disks: Disks
  table: DiskTable
  views: VolumeViews
  chunks: ChunkCalls & {
    listChunks(address: string, diskId: number): Promise<readonly { vuid: bigint }[]>
  }
  clock: Clock
  log: Log
  /** The name of this node. */
  node: string
  strayLookMs: number
  strayKeptMs: number
}

export class StrayChunks {
  readonly #options: StrayChunksOptions
  /** Of each disk, since when which are seen; by the clock that never jumps. */
  readonly #seen = new Map<number, ReadonlyMap<bigint, number>>()
  #isStopped = false

  constructor(options: StrayChunksOptions) {
    this.#options = options
  }

  daemon(): AppDaemon {
    const { clock, strayLookMs, log } = this.#options
    let cancel = () => {}
    let looking = Promise.resolve()
    const look = () => {
      if (this.#isStopped) return
      cancel = clock.after(strayLookMs, () => {
        const failed = (thrown: unknown) =>
          log.warn({ err: thrown }, 'chunks that no volume knows could not be looked for')
        looking = this.look().catch(failed).finally(look)
      })
    }
    return {
      name: 'storage stray chunks',
      start: async () => look(),
      stop: async () => {
        this.#isStopped = true
        cancel()
        await looking
      },
    }
  }

  /** Once at each disk that this node hears. */
  async look(): Promise<void> {
    const { table, node, log } = this.#options
    const disks = await table.all({ fresh: true })
    for (const diskId of this.#seen.keys()) if (!disks.has(diskId)) this.#seen.delete(diskId)
    for (const disk of disks.values()) {
      if (this.#isStopped) return
      if (disk.via !== node || !disk.isUp) continue
      await this.#lookAt(disk).catch((thrown: unknown) => {
        const { diskId } = disk
        log.debug(
          { disk: diskId, why: whyOf(thrown) },
          'the chunks of a disk could not be looked at',
        )
      })
    }
  }

  async #lookAt(disk: DiskView): Promise<void> {
    const { chunks, disks, clock, strayKeptMs } = this.#options
    const { diskId } = disk
    const there = await chunks.listChunks(disk.address, diskId)
    const { units: promised } = await disks.record(diskId)
    const vuids = new Set([
      ...there.map(({ vuid }) => vuid),
      ...Object.keys(promised).map((text) => BigInt(text)),
    ])
    const before = this.#seen.get(diskId)
    const seen = new Map<bigint, number>()
    const now = clock.monotonic()
    for (const vuid of vuids) {
      if (this.#isStopped) return
      const isPromised = Object.hasOwn(promised, vuid.toString())
      if (!(await this.#isStray(vuid, diskId, isPromised))) continue
      const since = before?.get(vuid) ?? now
      if (now - since < strayKeptMs || !(await this.#release(vuid, disk))) seen.set(vuid, since)
    }
    this.#seen.set(diskId, seen)
  }

  async #isStray(vuid: bigint, diskId: number, isPromised: boolean): Promise<boolean> {
    const { views } = this.#options
    const { vid, index, epoch } = vuidParts(vuid)
    const isKnown = (record: VolumeRecord) =>
      [...record.units, ...fittingsAt(record, 'chosen'), ...fittingsAt(record, 'ready')]
        .concat(record.retired)
        .some((chunk) => isSameChunk(chunk, { index, epoch, diskId }))
    try {
      // What was once known is known, or will be found the next time.
      if (isKnown(await views.record(vid))) return false
      const record = await views.record(vid, { fresh: true })
      return !isKnown(record) && epoch <= (record.epochs[index] ?? 0)
    } catch (thrown) {
      if (!isRefused(thrown, 904)) throw thrown
      return !isPromised && vid <= (await views.lastVid())
    }
  }

  /** @returns whether it is gone */
  async #release(vuid: bigint, disk: DiskView): Promise<boolean> {
    const { disks, chunks, log } = this.#options
    const { diskId, address } = disk
    const about = { disk: diskId, vuid: vuid.toString() }
    try {
      await releaseChunk({ disks, chunks }, { address, diskId, vuid }, disk)
      log.warn(about, 'a chunk that no volume knows was released')
      return true
    } catch (thrown) {
      log.warn(
        { ...about, why: whyOf(thrown) },
        'a chunk that no volume knows was not released yet',
      )
      return false
    }
  }
}
