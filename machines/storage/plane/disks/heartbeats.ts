/**
 * Which disks are alive, as this node hears them. Decides: which heartbeats are written down, and when a
 * silent disk is.
 *
 * A write for each disk every 5 s would be most of what a large cluster writes, and say nothing. So a
 * heartbeat is written only when it tells something: the disk is broken, its usage has changed enough, it
 * was not heard before or by another node; and else a few times in `quietMs`. That it is silent is noticed
 * by the node that heard it last, from memory. Where that node ends together with the blobnode, a timer of
 * the actor notices after `quietMs`.
 */
import type { AppDaemon, Clock, Log } from '../../../../src/index.ts'
import { StorageRefusal } from '../codes/index.ts'
import { type DiskUsage, isReadonly } from './disk-record.ts'
import type { DiskTable } from './disk-table.ts'
import type { DiskStatus, Disks } from './disks.ts'

/** A part of a disk that is worth a write; placement looks at no less. */
const USAGE_STEP = 1 / 64
/** The timer of the actor runs so many times as long as the loss that a living node notices. */
const QUIET_LOSSES = 10
/** Writes within that time, so that one that fails does not silence the disk. */
const WRITES_PER_QUIET = 3

export interface Heartbeat extends DiskUsage {
  diskId: number
  uuid: string
  broken: string | null
}

export interface HeartbeatsOptions {
  disks: Disks
  table: DiskTable
  clock: Clock
  log: Log
  node: string
  heartbeatMs: number
  heartbeatLossMs: number
}

/** What of a disk is written down, and when it was heard; by the clock that never jumps. */
interface Heard {
  at: number
  writtenAt: number
  written: DiskUsage | undefined
  isSilent: boolean
}

export class Heartbeats {
  readonly quietMs: number
  readonly #options: HeartbeatsOptions
  readonly #heard = new Map<number, Heard>()

  constructor(options: HeartbeatsOptions) {
    this.#options = options
    this.quietMs = options.heartbeatLossMs * QUIET_LOSSES
  }

  /** It was registered here. */
  registered(diskId: number, usage: DiskUsage): void {
    const at = this.#options.clock.monotonic()
    this.#heard.set(diskId, { at, writtenAt: at, written: usage, isSilent: false })
  }

  /** @throws StorageRefusal 911 for a disk that was never registered */
  async hear(beat: Heartbeat): Promise<DiskStatus> {
    const { table, clock, node, disks } = this.#options
    const at = clock.monotonic()
    const view = (await table.all()).get(beat.diskId)
    // Of another directory that has its id by mistake: that says nothing of the disk.
    const heard = view?.uuid === beat.uuid ? this.#heard.get(beat.diskId) : undefined
    if (heard) heard.at = at
    const isKnown = heard?.written !== undefined && !heard.isSilent && view !== undefined
    if (isKnown && view.via === node && view.isHeard && !this.#tells(beat, heard, view.status)) {
      return { status: view.status, readonly: isReadonly(view.standing) }
    }
    const { diskId, uuid, broken, ...usage } = beat
    const told = { at: clock.now(), via: node, quietMs: this.quietMs, uuid, broken, ...usage }
    const status = await disks.ask(diskId, { type: 'HEARTBEAT', ...told })
    this.#heard.set(diskId, { at, writtenAt: at, written: usage, isSilent: false })
    if (view === undefined || !view.isHeard || view.status !== status.status) table.forget()
    return status
  }

  #tells(beat: Heartbeat, { written, writtenAt }: Heard, status: number): boolean {
    if (written === undefined || (beat.broken !== null && status === 1)) return true
    const step = beat.sizeBytes * USAGE_STEP
    return (
      Math.abs(beat.freeBytes - written.freeBytes) > step ||
      Math.abs(beat.usedBytes - written.usedBytes) > step ||
      beat.sizeBytes !== written.sizeBytes ||
      beat.chunks !== written.chunks ||
      beat.chunksMax !== written.chunksMax ||
      this.#options.clock.monotonic() - writtenAt > this.quietMs / WRITES_PER_QUIET
    )
  }

  /** Looks for those that have fallen silent, as long as the node runs. */
  daemon(): AppDaemon {
    const { clock, heartbeatMs } = this.#options
    let isStopped = false
    let cancel = () => {}
    let looking = Promise.resolve()
    const look = () => {
      if (isStopped) return
      cancel = clock.after(heartbeatMs, () => {
        looking = this.#look().finally(look)
      })
    }
    return {
      name: 'storage heartbeats',
      start: async () => look(),
      stop: async () => {
        isStopped = true
        cancel()
        await looking
      },
    }
  }

  async #look(): Promise<void> {
    const { clock, heartbeatLossMs, table, node, log } = this.#options
    const now = clock.monotonic()
    try {
      // Of disks that this node heard before it was started anew, silence counts from now.
      const disks = await table.all()
      for (const { diskId, via, isHeard } of disks.values()) {
        if (via !== node || !isHeard || this.#heard.has(diskId)) continue
        this.#heard.set(diskId, { at: now, writtenAt: now, written: undefined, isSilent: false })
      }
      for (const [diskId, heard] of this.#heard) {
        // Its blobnode may tell another node now.
        const isOurs = disks.get(diskId)?.via === node
        const isLate = now - heard.at > heartbeatLossMs
        if (isOurs && isLate && !heard.isSilent) await this.#lost(diskId, heard)
      }
    } catch (thrown) {
      log.warn({ err: thrown }, 'silent disks could not be looked for; tried again')
    }
  }

  async #lost(diskId: number, heard: Heard): Promise<void> {
    const { disks, node, table, log } = this.#options
    try {
      await disks.ask(diskId, { type: 'LOST', via: node })
    } catch (thrown) {
      if (!(thrown instanceof StorageRefusal)) throw thrown
      // It was removed, or stands still by an operator's word.
      this.#heard.delete(diskId)
      return
    }
    heard.isSilent = true
    table.forget()
    log.warn({ disk: diskId }, `disk ${diskId} is silent: nothing new is placed on it`)
  }
}
