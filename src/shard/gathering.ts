/**
 * What one batch takes on. Decides: the order (what earlier batches left, then what is due, then what is
 * new) and that none of them can keep the others away. Actors that never stop sending to each other, or
 * timers faster than they can be stepped, fill every batch: what found no room goes first in the next.
 * So an operator always reaches the shard. Leaves to others: what becomes of each.
 */
import { addressOfEffect } from '../protocol/index.ts'
import type { Batch } from './batch.ts'
import type { Carried } from './carried.ts'
import type { ShardContext } from './context.ts'
import { drainDeliveries } from './deliveries.ts'
import type { Draining } from './draining.ts'
import type { Mailbox, MailItem } from './mailbox.ts'
import { fireTimer } from './tasks.ts'
import type { TimerQueue } from './timer-queue.ts'

export interface GatheringDeps {
  context: ShardContext
  carried: Carried
  draining: Draining
  timers: TimerQueue
  mailbox: Mailbox
}

type Take = (item: MailItem, deliver: () => void) => void

export class Gathering {
  readonly #deps: GatheringDeps
  /** In the usual order. */
  readonly #parts = [this.#stepCarried, this.#stepKept, this.#fireDue, this.#takeMail]
  /** Which of them found no room in the last batch. */
  #first = 0
  /** Timers alone do not wake the shard before this, on the monotonic clock. */
  timersRestUntil = Number.NEGATIVE_INFINITY

  constructor(deps: GatheringDeps) {
    this.#deps = deps
  }

  /** @param take steps an item, then calls `deliver` for what that sends */
  fill(batch: Batch, take: Take): void {
    const { limits } = this.#deps.context
    const from = this.#first
    this.#first = 0
    for (let n = 0; n < this.#parts.length; n++) {
      const at = (from + n) % this.#parts.length
      if (n > 0 && batch.isFull(limits)) {
        this.#first = at
        return
      }
      this.#parts[at]?.call(this, batch, take)
    }
  }

  #stepCarried(batch: Batch): void {
    this.#deps.carried.step(this.#deps.context, batch)
    this.#drain(batch)
  }

  #stepKept(batch: Batch): void {
    this.#deps.draining.step(this.#deps.context, batch, () => this.#drain(batch))
  }

  #fireDue(batch: Batch): void {
    const { context, timers } = this.#deps
    const { batchCountMax, timerGatherMs } = context.limits
    for (let fired = 0; fired < batchCountMax && !batch.isFull(context.limits); fired++) {
      const [due] = timers.takeDue(batch.now, 1)
      if (!due) return
      this.timersRestUntil = context.clock.monotonic() + timerGatherMs
      const { effectId, dueAt } = due
      fireTimer(context, batch, addressOfEffect(effectId), effectId, dueAt)
      this.#drain(batch)
    }
  }

  #takeMail(batch: Batch, take: Take): void {
    const { context, mailbox } = this.#deps
    const { batchCountMax } = context.limits
    const deliver = () => this.#drain(batch)
    for (let taken = 0; taken < batchCountMax && !batch.isFull(context.limits); taken++) {
      const item = mailbox.shift()
      if (!item) return
      take(item, deliver)
    }
  }

  /** Within the batch, unless older ones wait: those go first. */
  #drain(batch: Batch): void {
    if (this.#deps.carried.count === 0) drainDeliveries(this.#deps.context, batch)
  }
}
