/**
 * Memory that is used again and again: large buffers that come and go keep the collector of garbage busy. Decides:
 * that what is taken is rounded up, so that bodies of about a size share what lies idle; how much may lie idle.
 * How much is under way at a time its callers decide. Leaves to others: what the memory is, and who may still
 * write to it.
 */
const BYTES_MIN = 65_536
const IDLE_BYTES_MAX = 67_108_864

export class MemoryPool<TMemory extends { readonly byteLength: number }> {
  readonly #make: (bytes: number) => TMemory
  readonly #idleBytesMax: number
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
    const memory = this.#idle.get(size)?.pop()
    if (!memory) return this.#make(size)
    this.#idleBytes -= size
    return memory
  }

  give(memory: TMemory): void {
    const size = memory.byteLength
    if (this.#idleBytes + size > this.#idleBytesMax) return
    this.#idleBytes += size
    const others = this.#idle.get(size)
    if (others) others.push(memory)
    else this.#idle.set(size, [memory])
  }
}

/** What is taken for so many: a power of two. */
export function pooledBytes(bytes: number): number {
  return Math.max(BYTES_MIN, 2 ** Math.ceil(Math.log2(bytes)))
}
