/**
 * The rows of one moment of the store in memory. Decides: that it holds a copy of the list of rows, not
 * of their bytes, which the store never changes.
 */
import type { StorePage, StoreRow, StoreSnapshot } from '../../ports/index.ts'
import { bytesOf, copyOf, textOf } from './bytes.ts'
import type { SortedKeys } from './sorted-keys.ts'

const PAGE_ROWS = 64

export class MemorySnapshot implements StoreSnapshot {
  private taken: { rows: ReadonlyMap<string, Uint8Array>; keys: SortedKeys } | undefined
  private readonly closed: () => void

  constructor(rows: ReadonlyMap<string, Uint8Array>, keys: SortedKeys, closed: () => void) {
    this.taken = { rows: new Map(rows), keys: keys.copy() }
    this.closed = closed
  }

  page({ from, to, bytesMax }: StorePage): StoreRow[] | undefined {
    if (!this.taken) return undefined
    const { rows, keys } = this.taken
    const found: StoreRow[] = []
    const end = textOf(to)
    let start = textOf(from)
    let bytes = 0
    while (bytes < bytesMax) {
      const some = start < end ? keys.first({ from: start, to: end }, PAGE_ROWS) : []
      for (const key of some) {
        const row = { key: bytesOf(key), value: copyOf(rows.get(key)!) }
        found.push(row)
        bytes += row.key.length + row.value.length
        if (bytes >= bytesMax) return found
      }
      if (some.length < PAGE_ROWS) return found
      start = `${some.at(-1)!}\0`
    }
    return found
  }

  close(): void {
    if (!this.taken) return
    this.taken = undefined
    this.closed()
  }
}
