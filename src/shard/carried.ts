/**
 * Deliveries that did not fit their batch. Decides: where they wait (rows of channel (S, S), numbered
 * as they came) and that what comes later from inside the shard waits behind them: between two actors
 * messages never overtake each other. What comes from outside may: else two actors that never stop
 * sending to each other could not be reached by an operator any more.
 */
import { pack } from '../protocol/index.ts'
import type { Batch, ChildStart, Delivery } from './batch.ts'
import type { ShardContext } from './context.ts'
import { deliverNext } from './deliveries.ts'
import { outboxKey } from './keys.ts'

type Waiting = Delivery | ChildStart

export class Carried {
  readonly #shard: number
  /** From `#first` on; what lies before is taken, and cut off now and then. */
  #waiting: Waiting[] = []
  #first = 0
  /** The number of the row of `#waiting[#first]`. */
  #number = 1

  constructor(shard: number) {
    this.#shard = shard
  }

  get count(): number {
    return this.#waiting.length - this.#first
  }

  /** What the store remembers: a row of numbers without gaps. */
  load(found: readonly Waiting[], firstNumber: number): void {
    this.#waiting = [...found]
    this.#first = 0
    this.#number = firstNumber
  }

  /** The oldest of them, with half of the steps of a batch: the others are for what is new. */
  step(shard: ShardContext, batch: Batch): void {
    const stepsMax = shard.limits.stepsPerBatchMax / 2
    while (batch.steps < stepsMax && !batch.isFull(shard.limits)) {
      const next = this.#take(batch)
      if (!next) return
      deliverNext(shard, batch, next)
    }
  }

  /** Its row goes with this batch. */
  #take(batch: Batch): Waiting | undefined {
    const next = this.#waiting[this.#first]
    if (!next) return undefined
    batch.write(outboxKey(this.#shard, this.#shard, this.#number), null)
    this.#number += 1
    this.#first += 1
    if (this.#first * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#first)
      this.#first = 0
    }
    return next
  }

  /** What is left of this batch goes behind what waits. */
  keep(batch: Batch): void {
    let number = this.#number + this.count
    for (const delivery of batch.deliveries) {
      this.#waiting.push(delivery)
      batch.write(outboxKey(this.#shard, this.#shard, number), pack(delivery))
      number += 1
    }
  }
}
