/**
 * The shards of one blob, side by side in memory that threads see as well: data first, which is the blob
 * as it came, then parity, then local parity. Of replicas, one copy after the other. Decides: how large it
 * is, and which memory it gets (`memory-pool.ts`). Only the padding is zeroed:
 * the blob and what is computed from it are written over what was there (of 4 MiB in EC6P3, zeroing all took
 * as long as receiving them).
 *
 * Shared, not handed over: the way to a thread and back takes 20 µs either way (measured with 8 MiB), but what
 * is handed over cannot be sent to a blobnode meanwhile, and is lost with a thread that dies.
 */
import { TroupeError } from '../../../../src/index.ts'
import { type CodeMode, readsNeeded, shardBytesOf, unitCount } from '../codes/index.ts'
import { MemoryPool } from './memory-pool.ts'

export class Stripe {
  readonly mode: CodeMode
  readonly shardBytes: number
  readonly blobBytes: number
  #memory: SharedArrayBuffer | undefined

  constructor(mode: CodeMode, blobBytes: number, pool: StripePool) {
    if (!Number.isSafeInteger(blobBytes) || blobBytes < 0) {
      throw new TroupeError('malformed', `a blob has a whole number of bytes, not ${blobBytes}`)
    }
    this.mode = mode
    this.blobBytes = blobBytes
    this.shardBytes = shardBytesOf(mode, blobBytes)
    this.#memory = pool.take(unitCount(mode) * this.shardBytes)
    const paddingBytes = readsNeeded(mode) * this.shardBytes - blobBytes
    new Uint8Array(this.#memory, blobBytes, paddingBytes).fill(0)
  }

  /** Of all units. May be longer than they are. */
  get memory(): SharedArrayBuffer {
    if (this.#memory) return this.#memory
    throw new Error('broken invariant: a stripe was used after it was released')
  }

  /** The blob, which has to be written as a whole. What of the data shards is behind it is zero. */
  get data(): Uint8Array {
    return new Uint8Array(this.memory, 0, this.blobBytes)
  }

  /** The memory itself: it is another blob's when the stripe is released. */
  shard(index: number): Buffer {
    if (!Number.isInteger(index) || index < 0 || index >= unitCount(this.mode)) {
      const range = `0 to ${unitCount(this.mode) - 1}`
      throw new TroupeError('malformed', `${this.mode.name} has units ${range}, not ${index}`)
    }
    return Buffer.from(this.memory, index * this.shardBytes, this.shardBytes)
  }

  /** From now on it has none. */
  leaveMemory(): SharedArrayBuffer | undefined {
    const memory = this.#memory
    this.#memory = undefined
    return memory
  }
}

/** Two stripes of 32 MiB, of several blobs that are made anew together, and as much again of single ones beside them. */
const STRIPES_IDLE_BYTES_MAX = 134_217_728

/** Memory for stripes; how many blobs are under way, their callers decide. */
export class StripePool extends MemoryPool<SharedArrayBuffer> {
  constructor(idleBytesMax = STRIPES_IDLE_BYTES_MAX) {
    super((bytes) => new SharedArrayBuffer(bytes), idleBytesMax)
  }
}
