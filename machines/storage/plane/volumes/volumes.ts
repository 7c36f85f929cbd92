/**
 * Volumes for those who read and write on this node. Decides: which volume a blob goes to, that writes spread
 * over several, that the next volume is there before the last one is full, and when a unit that failed is
 * written to again. Leaves to others: who may write (the actor), how a volume comes to be (`volume-maker.ts`).
 */
import type { AppDaemon, Clock, Log } from '../../../../src/index.ts'
import { type CodeMode, refusal } from '../codes/index.ts'
import { whyOf } from '../why.ts'
import type { ActiveVolume } from './active-volume.ts'
import type { Bids } from './bids.ts'
import type { ChunkCalls } from './ports.ts'
import { isRefused, type VolumeCalls } from './volume-calls.ts'
import type { VolumeMaker } from './volume-maker.ts'
import type { VolumeView, VolumeViews } from './volume-views.ts'

export interface VolumesOptions {
  calls: VolumeCalls
  views: VolumeViews
  maker: VolumeMaker
  bids: Bids
  chunks: Pick<ChunkCalls, 'statChunk' | 'setChunk'>
  clock: Clock
  log: Log
  /** In whose name volumes are held: that of the node, so that it has them again after a crash. */
  token: string
  retainMs: number
  /** So often what is held is looked after. */
  tendMs: number
  /** A volume without its quorum for so long is given back. */
  weakMs: number
  activePerMode: number
}

/** After a volume could not be made in the background. */
const MAKE_PAUSE_MS = 5_000
/** A volume may be taken by another node between being made and being taken. */
const TRIES_MAX = 3
const RETURN_MS = 5_000

export class Volumes {
  readonly #options: VolumesOptions
  /** By mode; the next to be written to stands first. */
  readonly #active = new Map<number, ActiveVolume[]>()
  readonly #making = new Map<number, Promise<void>>()
  readonly #pausedUntil = new Map<number, number>()
  #isStopped = false

  constructor(options: VolumesOptions) {
    this.#options = options
  }

  /** @throws StorageRefusal 904 */
  view(vid: number, options: { fresh?: boolean } = {}): Promise<VolumeView> {
    return this.#options.views.view(vid, options)
  }

  /** @throws StorageRefusal 904 */
  settled(vid: number, vuids: readonly bigint[]): Promise<ReadonlySet<number>> {
    return this.#options.views.settled(vid, vuids)
  }

  nextBids(count: number): Promise<bigint> {
    return this.#options.bids.next(count)
  }

  /** @throws StorageRefusal 801 with what stands in the way; TroupeError while the node stops */
  async writable(
    mode: CodeMode,
    { avoid = new Set(), bytes }: { avoid?: ReadonlySet<number>; bytes: number },
  ): Promise<VolumeView> {
    for (let tried = 0; tried < TRIES_MAX; tried++) {
      if (this.#isStopped) throw refusal(801, 'the node is stopping')
      const view = await this.#next(mode, avoid, bytes)
      if (view) return view
      await this.#make(mode, avoid)
    }
    throw refusal(
      801,
      `no volume of ${mode.name} has room and its units up; made ones were lost again`,
    )
  }

  /** Bytes of one blob. */
  wrote(vid: number, bytes: number): void {
    this.#find(vid)?.wrote(bytes)
  }

  /** A unit could not be written: nothing counts on it before it is found well. */
  failed(vid: number, index: number): void {
    const { views } = this.#options
    views.forget(vid)
    const volume = this.#find(vid)
    if (!volume || volume.doubts.has(index)) return
    volume.doubts.add(index)
    void this.#look(volume, index)
  }

  /** Keeps what is held, and gives it back at the end. */
  daemon(): AppDaemon {
    const { clock, tendMs, log } = this.#options
    let cancel = () => {}
    let tending = Promise.resolve()
    const tend = () => {
      if (this.#isStopped) return
      cancel = clock.after(tendMs, () => {
        const failed = (thrown: unknown) => log.warn({ err: thrown }, 'volumes were not tended')
        tending = this.#tend().catch(failed).finally(tend)
      })
    }
    return {
      name: 'storage volumes',
      start: async () => tend(),
      stop: async () => {
        this.#isStopped = true
        cancel()
        await tending
        await Promise.all([...this.#making.values()].map((made) => made.catch(() => undefined)))
        await Promise.all(this.#all().map((volume) => this.#giveBack(volume, 'the node stops')))
      },
    }
  }

  /** The next in turn that can take it. */
  async #next(
    mode: CodeMode,
    avoid: ReadonlySet<number>,
    bytes: number,
  ): Promise<VolumeView | undefined> {
    const active = this.#active.get(mode.id) ?? []
    let found: VolumeView | undefined
    let able = 0
    for (const volume of [...active]) {
      if (volume.isWantedBack || !volume.isHeld || avoid.has(volume.vid)) continue
      const view = await this.#viewOf(volume)
      if (view === undefined || !volume.hasQuorum(view)) continue
      if (!volume.isNearlyFull) able += 1
      if (found !== undefined || !volume.hasRoom(bytes)) continue
      found = { ...view, freeBytes: volume.freeBytes }
      active.splice(active.indexOf(volume), 1)
      active.push(volume)
    }
    if (found && able < this.#options.activePerMode) this.#makeAhead(mode)
    return found
  }

  async #viewOf({ vid }: ActiveVolume): Promise<VolumeView | undefined> {
    try {
      return await this.view(vid)
    } catch (thrown) {
      if (!isRefused(thrown, 904)) throw thrown
      this.#drop(vid)
      return undefined
    }
  }

  /** Beside those that there are; nobody waits for it. */
  #makeAhead(mode: CodeMode): void {
    const { clock, log } = this.#options
    const pausedUntil = this.#pausedUntil.get(mode.id) ?? Number.NEGATIVE_INFINITY
    if (this.#isStopped || this.#making.has(mode.id) || clock.monotonic() < pausedUntil) return
    this.#make(mode, new Set()).catch((thrown: unknown) => {
      this.#pausedUntil.set(mode.id, clock.monotonic() + MAKE_PAUSE_MS)
      log.debug({ mode: mode.name, err: thrown }, 'no further volume could be made')
    })
  }

  /** One at a time of each mode. @throws StorageRefusal 801 */
  #make(mode: CodeMode, avoid: ReadonlySet<number>): Promise<void> {
    const known = this.#making.get(mode.id)
    if (known !== undefined) return known
    const held = new Set([...this.#all().map(({ vid }) => vid), ...avoid])
    const making = this.#options.maker
      .take(mode, held)
      .then((volume) => {
        this.#active.set(mode.id, [volume, ...(this.#active.get(mode.id) ?? [])])
      })
      .finally(() => this.#making.delete(mode.id))
    this.#making.set(mode.id, making)
    return making
  }

  /** Until the unit is well, or the volume is this node's no more. */
  async #look(volume: ActiveVolume, index: number): Promise<void> {
    const { chunks, clock, tendMs, log } = this.#options
    const { vid } = volume
    for (;;) {
      try {
        const { units } = await this.view(vid, { fresh: true })
        const unit = units[index]
        if (unit?.isUp) {
          const { status, usedBytes } = await chunks.statChunk(unit)
          // It was given back meanwhile, and may be locked.
          if (this.#find(vid) !== volume || !volume.isHeld) return
          // Nobody has locked the volume: a call of an earlier lock came late.
          if (status === 'readonly') await chunks.setChunk(unit, 'readwrite')
          volume.chunkBytesUsed = Math.max(volume.chunkBytesUsed, usedBytes)
          if (status !== 'release') break
        }
      } catch (thrown) {
        log.debug({ vid, index, why: whyOf(thrown) }, 'a unit is still not well')
      }
      await new Promise<void>((resolve) => clock.after(tendMs, resolve))
      if (this.#isStopped || this.#find(vid) !== volume) return
    }
    volume.doubts.delete(index)
  }

  async #tend(): Promise<void> {
    await this.#hearWishes()
    await Promise.all(this.#all().map((volume) => this.#tendOne(volume)))
  }

  /** Who wants to lock a volume waits until it is given back. */
  async #hearWishes(): Promise<void> {
    if (this.#all().length === 0) return
    for (const vid of await this.#options.maker.wantedBack()) {
      const volume = this.#find(vid)
      if (volume) volume.isWantedBack = true
    }
  }

  async #tendOne(volume: ActiveVolume): Promise<void> {
    const { clock, retainMs, weakMs } = this.#options
    const now = clock.monotonic()
    if (now >= volume.heldUntil) return this.#drop(volume.vid)
    const view = await this.#viewOf(volume)
    if (view === undefined) return
    volume.weakSince = volume.hasQuorum(view) ? undefined : (volume.weakSince ?? now)
    const isWeak = volume.weakSince !== undefined && now - volume.weakSince > weakMs
    if (volume.isWantedBack) return this.#giveBack(volume, 'it is wanted back')
    if (isWeak) return this.#giveBack(volume, 'its quorum is not up')
    if (volume.isNearlyFull) return this.#giveBack(volume, 'it is full')
    // Before half the time is over, so that there is as much again for what goes wrong.
    if (now - volume.retainedAt > retainMs / 3) await this.#retain(volume)
  }

  async #retain(volume: ActiveVolume): Promise<void> {
    const { calls, clock, token, retainMs } = this.#options
    const { vid, chunkBytesUsed } = volume
    const event = { type: 'RETAIN', token, retainMs, chunkBytesUsed, at: clock.now() }
    // Of its actor the time runs from the commit on, which is before the answer.
    const askedAt = clock.monotonic()
    try {
      const { isWantedBack } = await calls.ask(vid, event)
      volume.held(retainMs, askedAt)
      volume.isWantedBack ||= isWantedBack === true
    } catch (thrown) {
      if (!isRefused(thrown, 929, 904)) throw thrown
      this.#drop(vid)
    }
  }

  async #giveBack(volume: ActiveVolume, why: string): Promise<void> {
    const { calls, clock, token, log } = this.#options
    const { vid, chunkBytesUsed } = volume
    this.#drop(vid)
    log.debug({ vid, why }, 'a volume is given back')
    const event = { type: 'RETURN', token, chunkBytesUsed, at: clock.now() }
    // Where it cannot be said, its time runs out.
    await calls.ask(vid, event, { timeoutMs: RETURN_MS }).catch(() => undefined)
  }

  #drop(vid: number): void {
    for (const [mode, volumes] of this.#active) {
      this.#active.set(
        mode,
        volumes.filter((one) => one.vid !== vid),
      )
    }
  }

  #find(vid: number): ActiveVolume | undefined {
    return this.#all().find((one) => one.vid === vid)
  }

  #all(): ActiveVolume[] {
    return [...this.#active.values()].flat()
  }
}
