/**
 * Writing one blob. Decides: which units are waited for, what is left to repair, and when another volume
 * is tried. Leaves to others: what a quorum is (`quorum.ts`).
 */
import { setMaxListeners } from 'node:events'
import { type Clock, type Log, TroupeError } from '../../../../src/index.ts'
import type { CodeMode } from '../codes/index.ts'
import type { BlobPlaces, NewBlobPlace } from './blob-places.ts'
import type { CutBlob } from './body-blobs.ts'
import type { AccessLimits } from './limits.ts'
import { Mapping } from './mapping.ts'
import type { ErasurePort, ShardIo, StripePort, UpkeepPort, VolumesPort } from './ports.ts'
import { allUnits, type WriteState, writeVerdict } from './quorum.ts'
import { wordsOf } from './unit-answers.ts'

export interface WriteDeps {
  shards: Pick<ShardIo, 'putShard'>
  volumes: VolumesPort
  upkeep: UpkeepPort
  erasure: ErasurePort
  clock: Clock
  log: Log
  limits: AccessLimits
}

/** Where a blob is. */
export interface WrittenBlob {
  vid: number
  bid: bigint
}

/**
 * It is on disk at a quorum of units when this resolves, and what is missing is known to upkeep.
 * @throws TroupeError `unavailable` when no volume took it; what is left of it is removed
 */
export async function writeBlob(
  deps: WriteDeps,
  mode: CodeMode,
  { stripe, bytes }: CutBlob,
  places: BlobPlaces,
  { blobsLeft, signal }: { blobsLeft: number; signal: AbortSignal },
): Promise<WrittenBlob> {
  const { limits, volumes, erasure } = deps
  const crcs = await erasure.encode(stripe)
  let why = ''
  for (let tried = 0; tried < limits.volumesPerBlobMax; tried++) {
    if (signal.aborted) break
    // Of a blob that is tried again only itself is known to need a place.
    const place = await places.next(tried === 0 ? blobsLeft : 1)
    const { vid } = place.view
    const write = new StripeWrite(deps, mode, place, { stripe, crcs })
    const outcome = await write.run(signal)
    const blob = { vid, bid: place.bid }
    if (outcome.isWritten) {
      volumes.wrote(vid, bytes)
      await askForRepair(deps, blob, outcome)
      return blob
    }
    places.failed(vid)
    await removeLeftover(deps, blob)
    why = `volume ${vid}: ${outcome.reason}`
  }
  if (signal.aborted) throw new TroupeError('no-answer', 'the put was given up by its client')
  throw new TroupeError('unavailable', `no volume took a blob of the object; last, ${why}`)
}

/** @throws as upkeep does: then it is not acknowledged, and goes */
async function askForRepair(
  deps: WriteDeps,
  blob: WrittenBlob,
  { badIndexes, reason }: Outcome,
): Promise<void> {
  if (badIndexes.length === 0) return
  try {
    await deps.upkeep.repair({ ...blob, badIndexes, reason })
  } catch (thrown) {
    await removeLeftover(deps, blob)
    throw thrown
  }
}

/** Of what nobody was told of. Where it cannot be said, shards stay that nobody finds: the log knows. */
export async function removeLeftover(
  { upkeep, log }: Pick<WriteDeps, 'upkeep' | 'log'>,
  { vid, bid }: WrittenBlob,
): Promise<void> {
  try {
    await upkeep.remove({ vid, bid, unitsMarked: [], isMarked: false, isLeftover: true })
  } catch (thrown) {
    const about = { vid, bid: String(bid), err: thrown }
    log.warn(about, 'what is left of a blob that was not acknowledged could not be given to upkeep')
  }
}

interface Outcome {
  isWritten: boolean
  /** Units without their shard. */
  badIndexes: number[]
  reason: string
}

/** One try, in one volume. */
class StripeWrite {
  readonly #deps: WriteDeps
  readonly #mode: CodeMode
  readonly #bid: bigint
  readonly #mapping: Mapping
  readonly #stripe: StripePort
  readonly #crcs: readonly number[]
  readonly #states: WriteState[]
  readonly #reasons = new Map<number, string>()
  readonly #stop = new AbortController()
  #changed: (() => void) | undefined

  constructor(
    deps: WriteDeps,
    mode: CodeMode,
    { view, bid }: NewBlobPlace,
    { stripe, crcs }: { stripe: StripePort; crcs: readonly number[] },
  ) {
    this.#deps = deps
    this.#mode = mode
    this.#bid = bid
    this.#mapping = new Mapping(deps.volumes, view)
    this.#stripe = stripe
    this.#crcs = crcs
    // One listener a unit.
    setMaxListeners(0, this.#stop.signal)
    this.#states = allUnits(mode).map(() => 'open')
  }

  async run(signal: AbortSignal): Promise<Outcome> {
    const { clock, limits } = this.#deps
    const stop = () => this.#giveUp('the put was given up')
    signal.addEventListener('abort', stop, { once: true })
    const tooLate = `it took longer than ${limits.writeMs} ms (writeMs)`
    const cancelWhole = clock.after(limits.writeMs, () => this.#giveUp(tooLate))
    const writes = allUnits(this.#mode).map((index) => this.#write(index))
    try {
      if (signal.aborted) stop()
      await this.#until(() => this.#verdict() !== 'open')
      if (this.#verdict() === 'acknowledged') await this.#awaitStragglers()
      else this.#giveUp('the others were too few')
      // The stripe is somebody else's next: nothing may still be sent from it.
      await Promise.all(writes)
      const isWritten = this.#verdict() === 'acknowledged'
      // Of a client that went away nothing is known against the units.
      return this.#outcome(isWritten, !signal.aborted)
    } finally {
      cancelWhole()
      signal.removeEventListener('abort', stop)
    }
  }

  async #awaitStragglers(): Promise<void> {
    const { clock, limits } = this.#deps
    const why = `it was slower than the others by more than ${limits.stragglerMs} ms (stragglerMs)`
    const cancel = clock.after(limits.stragglerMs, () => this.#giveUp(why))
    await this.#until(() => !this.#states.includes('open'))
    cancel()
  }

  #verdict() {
    return writeVerdict(this.#mode, this.#states)
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
    }
  }

  #giveUp(why: string): void {
    for (const [index, state] of this.#states.entries())
      if (state === 'open') this.#told(index, 'failed', why)
    this.#stop.abort()
  }

  async #write(index: number): Promise<void> {
    if (!this.#mapping.unit(index).isUp) return this.#told(index, 'failed', 'its disk is not up')
    const { signal } = this.#stop
    const crc = this.#crcs[index]
    if (crc === undefined) throw new Error(`broken invariant: shard ${index} has no checksum`)
    try {
      await this.#mapping.at(index, (place) =>
        this.#deps.shards.putShard(place, this.#bid, this.#stripe.shard(index), { crc, signal }),
      )
      this.#told(index, 'written')
    } catch (thrown) {
      this.#told(index, 'failed', wordsOf(thrown))
    }
  }

  /** The first word counts: who was given up may answer later. */
  #told(index: number, state: 'written' | 'failed', why = ''): void {
    if (this.#states[index] !== 'open') return
    this.#states[index] = state
    if (state === 'failed') this.#reasons.set(index, why)
    this.#changed?.()
  }

  #outcome(isWritten: boolean, isTheirFault: boolean): Outcome {
    const badIndexes = [...this.#reasons.keys()].sort((a, b) => a - b)
    if (isTheirFault)
      for (const index of badIndexes) this.#deps.volumes.failed(this.#mapping.vid, index)
    const said = badIndexes.map((index) => `unit ${index}: ${this.#reasons.get(index)}`)
    return { isWritten, badIndexes, reason: `a put left out ${said.join('; ')}` }
  }
}
