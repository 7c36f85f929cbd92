/**
 * Memory for many shards at a time, used again and again: buffers of such sizes that come and go keep the collector
 * of garbage busy, which took more of a blobnode than all else (14 of 69 s while chunks were made anew). Decides: how much lies
 * idle. Whoever cannot be sure that nobody writes to a buffer any more does not give it back.
 */
const BUFFER_BYTES_MIN = 65_536
const IDLE_BYTES_MAX = 67_108_864

export class BufferPool {
  readonly #idleBytesMax: number
  /** By size: powers of two. */
  readonly #idle = new Map<number, Buffer[]>()
  #idleBytes = 0

  constructor(idleBytesMax = IDLE_BYTES_MAX) {
    this.#idleBytesMax = idleBytesMax
  }

  get idleBytes(): number {
    return this.#idleBytes
  }

  /** With whatever stands in it. */
  take(bytes: number): Buffer {
    const size = Math.max(BUFFER_BYTES_MIN, 2 ** Math.ceil(Math.log2(bytes)))
    const memory = this.#idle.get(size)?.pop()
    if (memory) this.#idleBytes -= size
    return (memory ?? Buffer.allocUnsafeSlow(size)).subarray(0, bytes)
  }

  /** @param buffer as it was taken */
  give({ buffer }: Buffer): void {
    const memory = Buffer.from(buffer)
    if (this.#idleBytes + memory.length > this.#idleBytesMax) return
    this.#idleBytes += memory.length
    const others = this.#idle.get(memory.length)
    if (others) others.push(memory)
    else this.#idle.set(memory.length, [memory])
  }
}
