/**
 * Disks of a simulated world with the chunks on them: they outlive every process.
 *
 * Decides: what becomes of a call on its way: it is lost, its answer is lost, or its caller dies meanwhile and it is
 * done all the same. Each stands in the list of events. Leaves to others: what chunks refuse (`fake-chunks.ts`).
 */

import { refusal, StorageRefusal } from '../../../machines/storage/plane/codes/index.ts'
import type { UnitPlace } from '../../../machines/storage/plane/volumes/index.ts'
import type { VirtualClock } from '../../../src/adapters/memory/index.ts'
import { TroupeError } from '../../../src/protocol/index.ts'
import { chunkKey, FakeChunks } from '../../machines/storage/background/moves/fake-chunks.ts'
import type { ChunkCall } from '../../machines/storage/plane/volumes/volume-sim.ts'
import type { ChunkLeft, Recorder } from '../events.ts'
import type { ProcessClock } from '../process-clock.ts'
import type { SimRandom } from '../random.ts'

export interface CallRates {
  latencyMs: number
  lostChance: number
  unheardChance: number
}

/** Until a caller takes silence for an answer. */
const TIMEOUT_MS = 400

export class ChunkFarm {
  readonly chunks = new FakeChunks()
  readonly rates: CallRates
  readonly #base: VirtualClock
  readonly #random: SimRandom
  readonly #recorder: Recorder

  constructor(base: VirtualClock, random: SimRandom, recorder: Recorder, rates: CallRates) {
    this.#base = base
    this.#random = random
    this.#recorder = recorder
    this.rates = rates
  }

  /** Calls of a process: once it is dead none begins, and none is answered. */
  callsOf(party: string, process: ProcessClock): ChunkCall {
    return (verb, at, work) =>
      new Promise((resolve, reject) => {
        if (process.isDead) return
        this.#base.after(this.#latencyMs(), () => {
          const end = this.#perform(at, work)
          const { how } = end
          this.#recorder.add({ kind: 'chunk-call', party, verb, chunk: chunkKey(at), how })
          const answerMs = end.isSilent ? TIMEOUT_MS : this.#latencyMs()
          this.#base.after(answerMs, () =>
            process.enter(() => (end.thrown === undefined ? resolve() : reject(end.thrown))),
          )
        })
      })
  }

  left(): ChunkLeft[] {
    const { modes, shards } = this.chunks
    return [...modes].sort().map(([chunk, mode]) => {
      const whole = [...(shards.get(chunk) ?? [])].filter(([, flag]) => flag === 1)
      return { chunk, mode, bids: whole.map(([bid]) => String(bid)).sort() }
    })
  }

  /** As nobody sees it on the way. */
  vuidsOn(diskId: number): bigint[] {
    const own = [...this.chunks.modes.keys()].filter((key) => key.startsWith(`${diskId}/`))
    return own.map((key) => BigInt(key.slice(key.indexOf('/') + 1)))
  }

  #latencyMs(): number {
    return this.#random.fraction() * this.rates.latencyMs
  }

  #perform(at: UnitPlace, work: () => number | undefined) {
    const silence = new TroupeError('unavailable', `disk ${at.diskId} does not answer`)
    if (this.#random.chance(this.rates.lostChance)) {
      return { how: 'lost', thrown: silence, isSilent: true }
    }
    const refused = refusalOf(work)
    if (this.#random.chance(this.rates.unheardChance)) {
      return { how: `unheard ${refused?.status ?? 'done'}`, thrown: silence, isSilent: true }
    }
    return { how: String(refused?.status ?? 'done'), thrown: refused, isSilent: false }
  }
}

function refusalOf(work: () => number | undefined): StorageRefusal | undefined {
  try {
    const status = work()
    return status === undefined ? undefined : refusal(status, 'as a blobnode says it')
  } catch (thrown) {
    if (thrown instanceof StorageRefusal) return thrown
    throw thrown
  }
}
