/**
 * How many actors of each machine stand in each condition and position. Decides: that counts are
 * exact, kept with the commits, and never counted again.
 */
import type { Store } from '../ports/index.ts'
import { type CountRow, invariant } from '../protocol/index.ts'
import type { Batch } from './batch.ts'
import { type CounterName, counterKey, parseCounterKey } from './index-keys.ts'
import { packNumber, TABLE, tableRange, unpackNumber } from './keys.ts'

export class Counters {
  readonly #shard: number
  readonly #store: Store
  readonly #counts = new Map<string, { name: CounterName; count: number }>()

  constructor(shard: number, store: Store) {
    this.#shard = shard
    this.#store = store
  }

  load(): void {
    for (const { key, value } of this.#store.range(tableRange(this.#shard, TABLE.counter))) {
      const name = parseCounterKey(key)
      this.#counts.set(keyOf(name), { name, count: unpackNumber(value) })
    }
  }

  write(batch: Batch): void {
    for (const [key, { name, delta }] of batch.counters) {
      if (delta === 0) continue
      const entry = this.#counts.get(key) ?? { name, count: 0 }
      entry.count += delta
      invariant(entry.count >= 0, `the count of ${key.replaceAll('\0', ' ')} is not negative`)
      if (entry.count === 0) this.#counts.delete(key)
      else this.#counts.set(key, entry)
      batch.write(counterKey(this.#shard, name), entry.count === 0 ? null : packNumber(entry.count))
    }
  }

  /** All positions of all machines; children's machines have a `/` in their name. */
  all(): CounterName[] {
    return [...this.#counts.values()].map(({ name }) => name)
  }

  rows(wanted: (name: CounterName) => boolean): CountRow[] {
    return [...this.#counts.values()]
      .filter(({ name }) => wanted(name))
      .map(({ name, count }) => ({
        machine: name.machine,
        state: name.state,
        condition: name.condition,
        count,
      }))
  }
}

function keyOf(name: CounterName): string {
  return `${name.machine}\0${name.condition}\0${name.state}`
}
