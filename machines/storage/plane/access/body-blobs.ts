/**
 * A body cut into blobs. Decides: that bytes are copied once, into the stripe in which they are coded, and
 * that a body is never taken for whole that is not. Leaves to others: how many stripes there are at a time.
 */
import { TroupeError } from '../../../../src/index.ts'
import type { CodeMode } from '../codes/index.ts'
import { copyBytes } from '../erasure/index.ts'
import type { ErasurePort, StripePort } from './ports.ts'

/** A blob that was read, in a stripe that is whoever's it was given to. */
export interface CutBlob {
  stripe: StripePort
  bytes: number
}

export class BodyBlobs {
  readonly #erasure: Pick<ErasurePort, 'stripe' | 'release'>
  readonly #mode: CodeMode
  readonly #blobBytes: number
  readonly #announced: number | undefined
  readonly #chunks: AsyncIterator<Uint8Array>
  #chunk: Uint8Array = new Uint8Array(0)
  /** Asked for, and not there yet. */
  #coming: Promise<IteratorResult<Uint8Array>> | undefined
  #interrupt: ((thrown: unknown) => void) | undefined
  #stopped: { thrown: unknown } | undefined
  #isOver = false
  #size = 0
  #count = 0

  /** @param announced how many bytes will come, where it is known */
  constructor(
    erasure: Pick<ErasurePort, 'stripe' | 'release'>,
    body: AsyncIterable<Uint8Array>,
    { mode, blobBytes, announced }: { mode: CodeMode; blobBytes: number; announced?: number },
  ) {
    this.#erasure = erasure
    this.#mode = mode
    this.#blobBytes = blobBytes
    this.#announced = announced
    this.#chunks = body[Symbol.asyncIterator]()
  }

  /** Bytes that were read. */
  get size(): number {
    return this.#size
  }

  /** What is known to come still, in blobs; at least one. */
  get blobsLeft(): number {
    const left = this.#announced === undefined ? this.#blobBytes : this.#announced - this.#size
    return Math.max(1, Math.ceil(left / this.#blobBytes))
  }

  /**
   * Undefined after the last one. An empty body has a blob of one zero.
   * @throws TroupeError `malformed` when the body is not as long as announced, and as the body breaks
   */
  async next(): Promise<CutBlob | undefined> {
    const isEmpty = !(await this.#more())
    if (isEmpty) {
      this.#requireAnnounced()
      if (this.#count++ > 0) return undefined
      const stripe = this.#erasure.stripe(this.#mode, 1)
      stripe.data.fill(0)
      return { stripe, bytes: 1 }
    }
    this.#count++
    const left = this.#announced === undefined ? this.#blobBytes : this.#announced - this.#size
    const expected = Math.min(this.#blobBytes, left)
    if (expected <= 0) throw wrongLength(`more than the announced ${this.#announced}`)
    return this.#fill(expected)
  }

  async #fill(expected: number): Promise<CutBlob> {
    const stripe = this.#erasure.stripe(this.#mode, expected)
    const { data } = stripe
    let at = 0
    try {
      while (at < expected && (await this.#more())) {
        const part = this.#chunk.subarray(0, expected - at)
        copyBytes(data, at, part)
        at += part.length
        this.#chunk = this.#chunk.subarray(part.length)
      }
      this.#size += at
      if (at === expected) return { stripe, bytes: at }
      this.#requireAnnounced()
    } catch (thrown) {
      this.#erasure.release(stripe)
      throw thrown
    }
    return this.#shorter(stripe, at)
  }

  /** How the bytes lie over the shards depends on how many there are, which only the end tells. */
  #shorter(stripe: StripePort, bytes: number): CutBlob {
    const exact = this.#erasure.stripe(this.#mode, bytes)
    copyBytes(exact.data, 0, stripe.data.subarray(0, bytes))
    this.#erasure.release(stripe)
    return { stripe: exact, bytes }
  }

  /** Ends a `next` that waits for bytes, or would. */
  stop(thrown: unknown): void {
    this.#stopped ??= { thrown }
    this.#interrupt?.(thrown)
  }

  /** Reads what still comes and drops it: who hears nothing before all is sent hears a refusal, too. */
  async drop(): Promise<void> {
    this.#chunk = new Uint8Array(0)
    try {
      for (;;) if ((await (this.#coming ?? this.#chunks.next())).done) return
    } catch {
      // Who has gone hears nothing.
    }
  }

  /** Whether there is a byte to be read. */
  async #more(): Promise<boolean> {
    while (this.#chunk.length === 0 && !this.#isOver) {
      const { value, done } = await this.#nextChunk()
      if (done === true) this.#isOver = true
      else this.#chunk = value
    }
    return this.#chunk.length > 0
  }

  #nextChunk(): Promise<IteratorResult<Uint8Array>> {
    return new Promise((resolve, reject) => {
      if (this.#stopped) return reject(this.#stopped.thrown)
      this.#interrupt = reject
      this.#coming = this.#chunks.next().finally(() => {
        this.#coming = undefined
      })
      this.#coming.then(resolve, reject)
    })
  }

  #requireAnnounced(): void {
    if (this.#announced === undefined || this.#size === this.#announced) return
    throw wrongLength(`${this.#size} of the announced ${this.#announced}`)
  }
}

function wrongLength(how: string): TroupeError {
  return new TroupeError('malformed', `the body has ${how} bytes; nothing of it is kept`)
}
