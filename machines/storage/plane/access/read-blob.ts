/**
 * Reading a part of one blob. Decides: nothing of who is asked (`read-plan.ts`) but when: it asks, waits,
 * makes what is missing from other shards, and has bad ones repaired. What is given was verified by a
 * blobnode, or rebuilt from what was.
 */
import { setMaxListeners } from 'node:events'
import { type Clock, type Log, TroupeError } from '../../../../src/index.ts'
import { type CodeMode, refusal, shardBytesOf } from '../codes/index.ts'
import { type BlobPart, type ShardWindow, shardWindowOf, wantedOf } from './blob-layout.ts'
import type { AccessLimits } from './limits.ts'
import { Mapping } from './mapping.ts'
import type { ByteRange, ErasurePort, ShardIo, UpkeepPort, VolumesPort } from './ports.ts'
import {
  badUnitsOf,
  initialStates,
  nextReadStep,
  type ReadStep,
  type UnitState,
  type Verdict,
} from './read-plan.ts'
import { unitFailureOf, wordsOf } from './unit-answers.ts'

export interface ReadDeps {
  shards: Pick<ShardIo, 'getShard'>
  volumes: Pick<VolumesPort, 'view'>
  upkeep: Pick<UpkeepPort, 'repair'>
  erasure: ErasurePort
  clock: Clock
  log: Log
  limits: AccessLimits
}

/**
 * In order. @throws TroupeError `unavailable` when enough of it may come back, `not-found` when it is
 * deleted or never was; StorageRefusal 671 when too little is left of it
 */
export async function readBlob(
  deps: ReadDeps,
  mode: CodeMode,
  part: BlobPart,
  signal: AbortSignal,
): Promise<Buffer[]> {
  const view = await deps.volumes.view(part.vid)
  if (view.mode.id !== mode.id) {
    const why = `volume ${part.vid} is of mode ${view.mode.name}, and the id says ${mode.name}`
    throw new TroupeError('not-found', `there is no such blob: ${why}`)
  }
  const read = new BlobRead(deps, mode, part, new Mapping(deps.volumes, view))
  const stop = () => read.stop()
  signal.addEventListener('abort', stop, { once: true })
  try {
    if (signal.aborted) throw gone()
    return await read.run()
  } finally {
    signal.removeEventListener('abort', stop)
    read.stop()
  }
}

function gone(): TroupeError {
  return new TroupeError('no-answer', 'nobody waits for the blob any more')
}

class BlobRead {
  readonly #deps: ReadDeps
  readonly #mode: CodeMode
  readonly #part: BlobPart
  readonly #mapping: Mapping
  readonly #wanted: ShardWindow
  readonly #states: UnitState[]
  /** The window of those that are whole. */
  readonly #held = new Map<number, Buffer>()
  readonly #reasons = new Map<number, string>()
  readonly #stop = new AbortController()
  readonly #timers = new Map<number, () => void>()
  #wake: (() => void) | undefined
  #isRenewed = false

  constructor(deps: ReadDeps, mode: CodeMode, part: BlobPart, mapping: Mapping) {
    this.#deps = deps
    this.#mode = mode
    this.#part = part
    this.#mapping = mapping
    this.#wanted = shardWindowOf(mode, part.bytes, part.range)
    // One listener a unit.
    setMaxListeners(0, this.#stop.signal)
    this.#states = initialStates(mode, (index) => mapping.unit(index).isUp)
  }

  async run(): Promise<Buffer[]> {
    for (;;) {
      const step = this.#next()
      switch (step.do) {
        case 'finish': {
          const bytes = await this.#finish(step)
          void this.#askForRepair()
          return bytes
        }
        case 'ask':
          for (const index of step.units) this.#ask(index)
          break
        case 'wait':
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
          if (this.#stop.signal.aborted) throw gone()
          break
        case 'give-up':
          if (!(await this.#tryElsewhere())) throw this.#failure(step.verdict)
      }
    }
  }

  /** Ends what is under way. */
  stop(): void {
    for (const cancel of this.#timers.values()) cancel()
    this.#timers.clear()
    this.#stop.abort()
    this.#wake?.()
  }

  #next(): ReadStep {
    const { erasure } = this.#deps
    return nextReadStep({
      mode: this.#mode,
      wanted: this.#wanted.units,
      states: this.#states,
      // Readers of different blobs go to different copies.
      firstCopy: Number(this.#part.bid % BigInt(this.#states.length)),
      canRebuild: (...asked) => erasure.canRebuild(...asked),
    })
  }

  #ask(index: number): void {
    this.#states[index] = 'asked'
    const { clock, limits } = this.#deps
    const late = () => {
      this.#timers.delete(index)
      if (this.#states[index] === 'asked') this.#told(index, 'slow')
    }
    this.#timers.set(index, clock.after(limits.readPatienceMs, late))
    void this.#shardOf(index)
  }

  async #shardOf(index: number): Promise<void> {
    const { window } = this.#wanted
    const { signal } = this.#stop
    const isAll = lengthOf(window) === shardBytesOf(this.#mode, this.#part.bytes)
    const options = isAll ? { signal } : { range: window, signal }
    try {
      const bytes = await this.#mapping.at(index, (place) =>
        this.#deps.shards.getShard(place, this.#part.bid, options),
      )
      if (bytes.length !== window.to - window.from) {
        this.#reasons.set(index, `it gave ${bytes.length} bytes of ${window.to - window.from}`)
        return this.#told(index, 'damaged')
      }
      this.#held.set(index, bytes)
      this.#told(index, 'whole')
    } catch (thrown) {
      this.#reasons.set(index, wordsOf(thrown))
      this.#told(index, unitFailureOf(thrown))
    }
  }

  #told(index: number, state: UnitState): void {
    this.#states[index] = state
    if (state !== 'slow') {
      this.#timers.get(index)?.()
      this.#timers.delete(index)
    }
    this.#wake?.()
  }

  /** Once: who did not answer may lie elsewhere by now. */
  async #tryElsewhere(): Promise<boolean> {
    if (this.#isRenewed) return false
    this.#isRenewed = true
    const moved = await this.#mapping.renew()
    const again = moved.filter((index) => isFailed(this.#states[index]))
    for (const index of again) this.#states[index] = 'untried'
    return again.length > 0
  }

  async #finish({ present, rebuild }: ReadStep & { do: 'finish' }): Promise<Buffer[]> {
    const { units } = this.#wanted
    if (this.#mode.kind === 'replica') return [this.#piece(present[0] as number)]
    if (rebuild.length > 0) await this.#rebuild(present, rebuild)
    return units.map((index) => this.#piece(index))
  }

  #piece(index: number): Buffer {
    const { bytes, range } = this.#part
    const { from, to } = wantedOf(this.#mode, bytes, range, this.#wanted, index)
    const held = this.#held.get(index)
    if (held) return held.subarray(from, to)
    throw new Error(`unit ${index} was taken for whole, and nothing of it is there`)
  }

  async #rebuild(present: readonly number[], rebuild: readonly number[]): Promise<void> {
    const { erasure } = this.#deps
    const bytes = lengthOf(this.#wanted.window)
    const stripe = erasure.stripe(this.#mode, bytes * this.#mode.data)
    try {
      for (const index of present) stripe.shard(index).set(this.#held.get(index) as Buffer)
      await erasure.rebuild(stripe, present, rebuild)
      // The stripe is somebody else's next.
      for (const index of rebuild)
        this.#held.set(index, Buffer.from(stripe.shard(index).subarray(0, bytes)))
    } finally {
      erasure.release(stripe)
    }
  }

  /** Nobody has to wait for it: that a reader has its bytes is true without. */
  async #askForRepair(): Promise<void> {
    const badIndexes = badUnitsOf(this.#states)
    if (badIndexes.length === 0) return
    const { vid, bid } = this.#part
    const reason = `a read found: ${this.#findings(badIndexes)}`
    try {
      await this.#deps.upkeep.repair({ vid, bid, badIndexes, reason })
    } catch (thrown) {
      const about = { vid, bid: String(bid), badIndexes, err: thrown }
      this.#deps.log.warn(about, 'the repair of a blob could not be asked for; its next read will')
    }
  }

  #findings(indexes: readonly number[]): string {
    return indexes
      .map((index) => `unit ${index} ${this.#states[index]} (${this.#reasons.get(index) ?? ''})`)
      .join('; ')
  }

  #failure(verdict: Verdict): TroupeError {
    const { vid, bid } = this.#part
    const blob = `blob ${bid} of volume ${vid}`
    const bad = this.#states.flatMap((state, index) => (state === 'whole' ? [] : [index]))
    const why = this.#findings(bad)
    switch (verdict) {
      case 'absent':
        return new TroupeError('not-found', `there is no ${blob}: it is deleted, or never was`)
      case 'unavailable':
        return new TroupeError('unavailable', `${blob} cannot be read now: ${why}`)
      case 'lost':
        return refusal(671, `${blob} is lost: ${why}`)
    }
  }
}

function lengthOf({ from, to }: ByteRange): number {
  return to - from
}

function isFailed(state: UnitState | undefined): boolean {
  return state === 'unreachable' || state === 'broken' || state === 'none'
}
