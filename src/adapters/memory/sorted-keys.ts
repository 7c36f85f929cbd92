/**
 * An ordered set of strings: chunks of at most 512 sorted keys, found by binary search. Two levels
 * of a B-tree are enough for millions of keys: an insertion moves half a chunk on average.
 */
const CHUNK_KEYS_MAX = 512

export interface KeyRange {
  from: string
  /** Exclusive. */
  to: string
}

export class SortedKeys {
  /** Never empty, except for the only chunk of an empty set. */
  private chunks: string[][] = [[]]

  copy(): SortedKeys {
    const copy = new SortedKeys()
    copy.chunks = this.chunks.map((chunk) => [...chunk])
    return copy
  }

  add(key: string): void {
    const at = this.chunkOf(key)
    const chunk = this.chunks[at]!
    const index = lowerBound(chunk, key)
    if (chunk[index] === key) return
    if (index === chunk.length) chunk.push(key)
    else chunk.splice(index, 0, key)
    if (chunk.length <= CHUNK_KEYS_MAX) return
    // Keys often come in ascending order: then a full chunk stays full.
    const half = index === chunk.length - 1 ? chunk.length - 1 : chunk.length >> 1
    this.chunks.splice(at + 1, 0, chunk.splice(half))
  }

  delete(key: string): void {
    const at = this.chunkOf(key)
    const chunk = this.chunks[at]!
    const index = lowerBound(chunk, key)
    if (chunk[index] !== key) return
    chunk.splice(index, 1)
    if (chunk.length === 0 && this.chunks.length > 1) this.chunks.splice(at, 1)
  }

  count(range: KeyRange): number {
    if (range.from >= range.to) return 0
    const first = this.chunkOf(range.from)
    const last = this.chunkOf(range.to)
    let count =
      lowerBound(this.chunks[last]!, range.to) - lowerBound(this.chunks[first]!, range.from)
    for (let i = first; i < last; i++) count += this.chunks[i]!.length
    return count
  }

  /** Up to `limit` keys from the beginning of the range, in order. */
  first(range: KeyRange, limit: number): string[] {
    const keys: string[] = []
    let at = this.chunkOf(range.from)
    let index = lowerBound(this.chunks[at]!, range.from)
    while (at < this.chunks.length && keys.length < limit) {
      const chunk = this.chunks[at]!
      if (index >= chunk.length) {
        at++
        index = 0
        continue
      }
      const key = chunk[index++]!
      if (key >= range.to) break
      keys.push(key)
    }
    return keys
  }

  /** Up to `limit` keys from the end of the range, last first. */
  last(range: KeyRange, limit: number): string[] {
    const keys: string[] = []
    let at = this.chunkOf(range.to)
    let index = lowerBound(this.chunks[at]!, range.to) - 1
    while (at >= 0 && keys.length < limit) {
      if (index < 0) {
        at--
        index = at < 0 ? -1 : this.chunks[at]!.length - 1
        continue
      }
      const key = this.chunks[at]![index--]!
      if (key < range.from) break
      keys.push(key)
    }
    return keys
  }

  /** The chunk in which `key` is, or would be: the last one that does not begin after it. */
  private chunkOf(key: string): number {
    const { chunks } = this
    let low = 1
    let high = chunks.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (chunks[middle]![0]! <= key) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}

function lowerBound(keys: string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (keys[middle]! < key) low = middle + 1
    else high = middle
  }
  return low
}
