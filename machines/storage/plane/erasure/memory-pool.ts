/**
 * Memory that is used again and again: large buffers that come and go keep the collector of garbage busy. Decides:
 * that what is taken is rounded up, so that bodies of about a size share what lies idle; how much may lie idle, and
 * that what is used now is kept rather than memory of a size that nobody has asked for since: a blobnode that had
 * copied chunks kept theirs, and made all memory for recoveries anew (a sixth of its CPU went to the collector).
 * How much is under way at a time its callers decide. Leaves to others: what the memory is, and who may still
 * write to it.
 */
const BYTES_MIN = 65_536
const IDLE_BYTES_MAX = 67_108_864

export class MemoryPool<TMemory extends { readonly byteLength: number }> {
  readonly #make: (bytes: number) => TMemory
  readonly #idleBytesMax: number
  /** By size; the size that was used last stands last. */
  readonly #idle = new Map<number, TMemory[]>()
  #idleBytes = 0

  constructor(make: (bytes: number) => TMemory, idleBytesMax = IDLE_BYTES_MAX) {
    this.#make = make
    this.#idleBytesMax = idleBytesMax
  }

  get idleBytes(): number {
    return this.#idleBytes
  }

  /** At least so many, with whatever stands there. */
  take(bytes: number): TMemory {
    const size = pooledBytes(bytes)
    const memory = this.#used(size).pop()
    if (!memory) return this.#make(size)
    this.#idleBytes -= size
    return memory
  }

  give(memory: TMemory): void {
    const size = memory.byteLength
    if (size > this.#idleBytesMax) return
    const own = this.#used(size)
    this.#makeRoom(size)
    if (this.#idleBytes + size > this.#idleBytesMax) return
    this.#idleBytes += size
    own.push(memory)
  }

  /** Those of that size, which count as used last from now on. */
  #used(size: number): TMemory[] {
    const known = this.#idle.get(size) ?? []
    this.#idle.delete(size)
    this.#idle.set(size, known)
    return known
  }

  /** As far as memory of other sizes makes it. */
  #makeRoom(bytes: number): void {
    for (const [size, idle] of this.#idle) {
      if (size === bytes) return
      while (idle.length > 0 && this.#idleBytes + bytes > this.#idleBytesMax) {
        idle.pop()
        this.#idleBytes -= size
      }
      if (idle.length > 0) return
      this.#idle.delete(size)
    }
  }
}

/** What is taken for so many: a power of two. */
export function pooledBytes(bytes: number): number {
  return Math.max(BYTES_MIN, 2 ** Math.ceil(Math.log2(bytes)))
}
