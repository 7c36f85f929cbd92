/**
 * Rows of one snapshot of a store, for those that walk over all of them. Decides: the size of a page,
 * and that a snapshot which was given up is an error: half a walk says nothing.
 */
import type { StoreRow, StoreSnapshot } from '../ports/index.ts'
import { type AddressText, TroupeError } from '../protocol/index.ts'
import { actorKey, keptKey, nameOfKey, TABLE, tableRange } from './keys.ts'

const PAGE_BYTES = 256 * 1024

export class RowReader {
  readonly #snapshot: StoreSnapshot

  constructor(snapshot: StoreSnapshot) {
    this.#snapshot = snapshot
  }

  /** @throws TroupeError `store-failed` when the snapshot was given up */
  *pages(range: { from: Uint8Array; to: Uint8Array }): Generator<readonly StoreRow[]> {
    let { from } = range
    for (;;) {
      const rows = this.#page(from, range.to, PAGE_BYTES)
      const last = rows.at(-1)
      if (!last) return
      yield rows
      from = after(last.key)
    }
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#page(key, after(key), 1)[0]?.value
  }

  has(key: Uint8Array): boolean {
    return this.get(key) !== undefined
  }

  actor(shard: number, address: AddressText): Uint8Array | undefined {
    return this.get(actorKey(shard, address))
  }

  /** All actors of a shard, a page at a time. */
  *actors(shard: number): Generator<readonly (readonly [address: AddressText, Uint8Array])[]> {
    for (const rows of this.pages(tableRange(shard, TABLE.actor))) {
      yield rows.map(({ key, value }) => [nameOfKey(key), value] as const)
    }
  }

  /** Of the events that are kept for an actor, those that are there. */
  countKept(
    shard: number,
    address: AddressText,
    { keptFrom, keptTo }: { keptFrom: number; keptTo: number },
  ): number {
    const range = { from: keptKey(shard, address, keptFrom), to: keptKey(shard, address, keptTo) }
    let found = 0
    for (const rows of this.pages(range)) found += rows.length
    return found
  }

  #page(from: Uint8Array, to: Uint8Array, bytesMax: number): StoreRow[] {
    const rows = this.#snapshot.page({ from, to, bytesMax })
    if (rows) return rows
    throw new TroupeError('store-failed', 'the snapshot of the store was given up')
  }
}

function after(key: Uint8Array): Uint8Array {
  return Buffer.concat([key, Buffer.of(0)])
}
