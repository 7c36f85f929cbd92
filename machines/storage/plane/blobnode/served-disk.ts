/**
 * One disk of a blobnode. Decides: that a disk which cannot be opened is tried again for ever and keeps no
 * other from its work; what its callers are told while it cannot be used; that one which does not answer
 * its probe is as broken as one that fails it. Leaves to others: its files, and telling a node of it.
 */
import { type Clock, type Log, TroupeError } from '../../../../src/index.ts'
import { refusal, StorageRefusal } from '../codes/index.ts'
import { DiskSlots, type SlotFigures, type SlotLimits } from './disk-slots.ts'
import type { DiskOpener, DiskStore, DiskUsage } from './disk-store.ts'

export interface DiskPlace {
  id: number
  /** A directory that is this disk's alone. */
  path: string
}

export interface ServedDiskDeps {
  open: DiskOpener
  clock: Clock
  log: Log
  /** Called once, when it turns broken. */
  onBroken: (disk: ServedDisk) => void
  slots?: SlotLimits
  probeMsMax?: number
  closeMsMax?: number
}

/** `refused` by a node: another one serves a disk of this id. */
export type DiskState = 'opening' | 'up' | 'refused' | 'broken' | 'closed'

/** What was done since the start; refusals and failures count as none of these. */
export interface DiskCounters {
  puts: number
  gets: number
  deletes: number
  /** Of shards that were looked at as they lie there. */
  verified: number
  /** Of these, such that are not what was written. */
  corrupt: number
  bytes_in: number
  bytes_out: number
  /** By their numbers. */
  refusals: Record<number, number>
}

export interface DiskReport {
  disk_id: number
  path: string
  state: DiskState
  /** Why it is not up. */
  problem: string | null
  usage: DiskUsage | null
  slots: SlotFigures
  counters: DiskCounters
}

/** From a directory that is mounted in a moment to one that somebody has to look for. */
const RETRY_MS_MIN = 1_000
const RETRY_MS_MAX = 60_000
/** A disk that stands still for so long serves nobody; one that is busy answers within seconds. */
const PROBE_MS_MAX = 60_000
/** What it has acknowledged is on it already: whoever stops the process does not wait for a disk that stands still. */
const CLOSE_MS_MAX = 30_000
const DISK_FULL = 615

export class ServedDisk {
  readonly id: number
  readonly path: string
  readonly slots: DiskSlots
  readonly counters: DiskCounters = {
    ...{ puts: 0, gets: 0, deletes: 0, verified: 0, corrupt: 0, bytes_in: 0, bytes_out: 0 },
    refusals: {},
  }
  readonly #deps: ServedDiskDeps
  #store: DiskStore | undefined
  #state: DiskState = 'opening'
  #problem: string | null = null
  #failures = 0
  #opening: Promise<void> | undefined
  #probing: Promise<void> | undefined
  #cancelRetry = () => {}

  constructor({ id, path }: DiskPlace, deps: ServedDiskDeps) {
    this.id = id
    this.path = path
    this.slots = new DiskSlots(id, deps.slots)
    this.#deps = deps
  }

  get state(): DiskState {
    return this.#state
  }

  /** Of its directory; undefined until that is open. */
  get uuid(): string | undefined {
    return this.#store?.uuid
  }

  /** Why it is broken; undefined while it is not. */
  get broken(): string | undefined {
    return this.#state === 'broken' ? (this.#problem ?? 'it fails') : undefined
  }

  /** Resolves when the first try has ended, whichever way. */
  open(): Promise<void> {
    this.#opening = this.#try()
    return this.#opening
  }

  /** What runs on it is to have ended, unless the disk does not end it. */
  async close(): Promise<void> {
    const isOpening = this.#state === 'opening'
    if (isOpening) this.#state = 'closed'
    this.#cancelRetry()
    const probing = this.broken === undefined ? this.#probing : undefined
    await this.#withinTime(async () => {
      await this.#opening
      await probing
      this.#state = 'closed'
      await this.#store?.close()
    })
    this.#state = 'closed'
  }

  #withinTime(work: () => Promise<void>): Promise<void> {
    const { clock, log, closeMsMax = CLOSE_MS_MAX } = this.#deps
    return new Promise((resolve, reject) => {
      const cancel = clock.after(closeMsMax, () => {
        log.warn({ disk: this.id, path: this.path }, 'a disk stands still: it is left unclosed')
        resolve()
      })
      work().then(resolve, reject).finally(cancel)
    })
  }

  /** @throws StorageRefusal 611, 613 @throws TroupeError `unavailable` while it is not there yet */
  store(): DiskStore {
    if (this.#state === 'up' && this.#store !== undefined) return this.#store
    const why = this.#problem ?? 'it is being opened'
    if (this.#state === 'broken') throw refusal(613, `disk ${this.id} is broken: ${why}`)
    if (this.#state === 'refused') throw refusal(611, `disk ${this.id} is not served here: ${why}`)
    throw new TroupeError('unavailable', `disk ${this.id} is not there yet: ${why}`)
  }

  /** What it holds; undefined while nobody knows. */
  async usage(): Promise<DiskUsage | undefined> {
    try {
      return await this.#store?.usage()
    } catch {
      return undefined
    }
  }

  /** By a node, or no longer. */
  refuse(why: string | null): void {
    if (this.#state !== 'up' && this.#state !== 'refused') return
    this.#state = why === null ? 'up' : 'refused'
    this.#problem = why
  }

  /** Looks whether it still works, unless that is under way; never rejects. */
  probe(): void {
    const store = this.#store
    if (this.#state !== 'up' || store === undefined || this.#probing !== undefined) return
    const { clock, probeMsMax = PROBE_MS_MAX } = this.#deps
    const late = `it did not answer a probe within ${probeMsMax} ms`
    const cancel = clock.after(probeMsMax, () => this.#fail(late))
    this.#probing = store
      .probe()
      .catch((thrown: unknown) => {
        // A full disk is none that fails.
        const isFull = thrown instanceof StorageRefusal && thrown.status === DISK_FULL
        if (!isFull) this.#fail(wordsOf(thrown))
      })
      .finally(() => {
        cancel()
        this.#probing = undefined
      })
  }

  async report(): Promise<DiskReport> {
    return {
      ...{ disk_id: this.id, path: this.path, state: this.#state, problem: this.#problem },
      usage: (await this.usage()) ?? null,
      slots: this.slots.figures(),
      counters: this.counters,
    }
  }

  async #try(): Promise<void> {
    const { open, clock, log } = this.#deps
    const { id, path } = this
    try {
      const store = await open({
        ...{ directory: path, diskId: id, clock, log: log.child({ disk: id }) },
        onBroken: (why) => this.#fail(why),
      })
      if (this.#state !== 'opening') return await store.close()
      this.#store = store
      this.#state = 'up'
      this.#problem = null
      log.info({ disk: id, path }, 'a disk is open')
      if (store.broken !== undefined) this.#fail(store.broken)
    } catch (thrown) {
      if (this.#state !== 'opening') return
      const problem = wordsOf(thrown)
      const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** this.#failures)
      this.#failures += 1
      // For the same reason as before it is told once.
      if (problem !== this.#problem) {
        log.error({ disk: id, path, problem }, 'a disk cannot be opened; it is tried again')
      }
      this.#problem = problem
      this.#cancelRetry = clock.after(waitMs, () => void this.open())
    }
  }

  #fail(why: string): void {
    if (this.#state !== 'up' && this.#state !== 'refused') return
    this.#state = 'broken'
    this.#problem = why
    this.#deps.log.error({ disk: this.id, path: this.path, problem: why }, 'a disk is broken')
    this.#deps.onBroken(this)
  }
}

function wordsOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
