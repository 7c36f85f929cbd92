/**
 * Memory for many shards at a time, used again and again: buffers of such sizes that come and go took more of a
 * blobnode than all else (14 of 69 s while chunks were made anew). Whoever cannot be sure that nobody writes to a
 * buffer any more does not give it back. Leaves to others: how much lies idle (`erasure/memory-pool.ts`).
 */
import { MemoryPool } from '../erasure/index.ts'

export class BufferPool {
  readonly #pool: MemoryPool<ArrayBufferLike>

  constructor(idleBytesMax?: number) {
    this.#pool = new MemoryPool((bytes) => Buffer.allocUnsafeSlow(bytes).buffer, idleBytesMax)
  }

  get idleBytes(): number {
    return this.#pool.idleBytes
  }

  /** With whatever stands in it. */
  take(bytes: number): Buffer {
    return Buffer.from(this.#pool.take(bytes), 0, bytes)
  }

  /** @param buffer as it was taken */
  give({ buffer }: Buffer): void {
    this.#pool.give(buffer)
  }
}
