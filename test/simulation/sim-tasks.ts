/**
 * The task queue in a simulated world, as each party sees it. Decides: publications that are lost or
 * of unknown outcome, and that a dead or frozen consumer hears nothing. The queue itself is the
 * memory adapter: a short patience makes it deliver again what still runs.
 */
import { MemoryTaskQueue, type VirtualClock } from '../../src/adapters/memory/index.ts'
import type {
  ConsumeOptions,
  TaskConsumer,
  TaskDelivery,
  TaskMessage,
  TaskQueue,
} from '../../src/ports/index.ts'
import type { ProcessClock } from './process-clock.ts'
import type { SimRandom } from './random.ts'

export interface QueueRates {
  lostChance: number
  unknownChance: number
  latencyMs: number
  ackWaitMs: number
}

export class SimTasks {
  readonly queue: MemoryTaskQueue
  readonly #base: VirtualClock
  readonly #random: SimRandom
  readonly rates: QueueRates
  published: (party: string, message: TaskMessage) => void = () => {}

  constructor(base: VirtualClock, random: SimRandom, rates: QueueRates) {
    this.#base = base
    this.#random = random
    this.rates = rates
    this.queue = new MemoryTaskQueue({ clock: base, ackWaitMs: rates.ackWaitMs })
  }

  connect(party: string, process: ProcessClock): TaskQueue {
    return {
      publish: (message, done) => this.#publish(party, process, message, done),
      consume: (options, deliver) => this.#consume(process, options, deliver),
      depth: (queue) => this.queue.depth(queue),
    }
  }

  #publish(
    party: string,
    process: ProcessClock,
    message: TaskMessage,
    done: (outcome: 'published' | 'unknown') => void,
  ): void {
    const { lostChance, unknownChance, latencyMs } = this.rates
    this.published(party, message)
    const isLost = this.#random.chance(lostChance)
    const isUnknown = this.#random.chance(unknownChance)
    this.#base.after(this.#random.fraction() * latencyMs, () => {
      if (isLost || isUnknown) this.queue.failNext({ happened: !isLost })
      this.queue.publish(message, (outcome) => process.enter(() => done(outcome)))
    })
  }

  #consume(
    process: ProcessClock,
    options: ConsumeOptions,
    deliver: (delivery: TaskDelivery) => void,
  ): TaskConsumer {
    return this.queue.consume(options, (delivery) => process.enter(() => deliver(delivery)))
  }
}
