/**
 * Actors that go on with what they kept. Decides: that those with much take turns, a batch at a time.
 * Leaves to others: what of a kept queue is stepped (resume.ts).
 */
import type { AddressText } from '../protocol/index.ts'
import type { Batch } from './batch.ts'
import type { ShardContext } from './context.ts'
import type { Head } from './records.ts'
import { drainKept } from './resume.ts'

/** Actors that go on in one batch: thousands may be resumed together. */
const DRAINED_PER_BATCH_MAX = 64

export class Draining {
  readonly #addresses = new Set<AddressText>()

  get size(): number {
    return this.#addresses.size
  }

  load(addresses: readonly AddressText[]): void {
    for (const address of addresses) this.#addresses.add(address)
  }

  /** After a change: whether it has something to go on with. */
  note(head: Head): void {
    if (drains(head)) this.#addresses.add(head.address)
  }

  /** @param deliver delivers what a step asked for */
  step(shard: ShardContext, batch: Batch, deliver: () => void): void {
    let turns = Math.min(this.#addresses.size, DRAINED_PER_BATCH_MAX)
    // What a turn adds comes behind those that are there.
    for (const address of this.#addresses) {
      if (turns-- === 0 || batch.isFull(shard.limits)) return
      // Behind the others, if it does not finish.
      this.#addresses.delete(address)
      const head = shard.heads.get(address)
      if (!head) continue
      drainKept(shard, batch, head)
      deliver()
      this.note(head)
    }
  }
}

function drains(head: Head): boolean {
  return head.keptFrom < head.keptTo && !head.paused && !head.parked
}
