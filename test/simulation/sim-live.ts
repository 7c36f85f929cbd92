/**
 * What runs callbacks beside an owner, in a simulated node. Decides: each sends a few events at its own
 * pace and one for each that it is sent, numbered, and says who sends them; all end with their process.
 */
import type { EventObject } from '../../src/protocol/index.ts'
import type { LiveHost } from '../../src/shard/index.ts'
import type { ProcessClock } from './process-clock.ts'

const PULSE_MS = 300
/** It falls silent then, so that a world comes to rest. */
const PULSES_MAX = 12

type Forward = (shard: number, address: string, effectId: string, event: EventObject) => void
type Tell = (shard: number, effectId: string, how: 'begins' | 'ends') => void

interface Running {
  shard: number
  pulse: () => void
}

export class SimLive implements LiveHost {
  readonly #process: ProcessClock
  readonly #forward: Forward
  readonly #tell: Tell
  readonly #running = new Map<string, Running>()
  readonly #run: string
  #runs = 0

  /** @param name of this life of its node */
  constructor(name: string, process: ProcessClock, forward: Forward, tell: Tell) {
    this.#run = name
    this.#process = process
    this.#forward = forward
    this.#tell = tell
  }

  start({ shard, address, effectId }: Parameters<LiveHost['start']>[0]): void {
    if (this.#running.has(effectId)) return
    this.#tell(shard, effectId, 'begins')
    this.#runs += 1
    const run = `${this.#run}.${this.#runs}`
    let n = 0
    const pulse = () => {
      n += 1
      this.#forward(shard, address, effectId, { type: 'PULSE', live: effectId, run, n })
    }
    const running = { shard, pulse }
    this.#running.set(effectId, running)
    const beat = () =>
      void this.#process.after(PULSE_MS, () => {
        if (this.#running.get(effectId) !== running || n >= PULSES_MAX) return
        pulse()
        beat()
      })
    beat()
  }

  send(effectId: string): void {
    this.#running.get(effectId)?.pulse()
  }

  stop(effectId: string): void {
    const running = this.#running.get(effectId)
    if (!running) return
    this.#running.delete(effectId)
    this.#tell(running.shard, effectId, 'ends')
  }

  /** The node no longer owns it. */
  stopShard(shard: number): void {
    for (const [effectId, running] of this.#running) {
      if (running.shard === shard) this.stop(effectId)
    }
  }
}
