/**
 * Writing an object. Decides: that the next blob is read while others are written, that an id is given only
 * for what is on disk as a whole, and that what was written of anything else is removed.
 */
import { TroupeError } from '../../../../src/index.ts'
import type { CodeMode } from '../codes/index.ts'
import { formatBlobId, type Slice, tooManySlices } from './blob-id.ts'
import { BlobPlaces } from './blob-places.ts'
import { BodyBlobs, type CutBlob } from './body-blobs.ts'
import { stripeBytesOf } from './get.ts'
import { type Budget, Lanes } from './lanes.ts'
import { BLOB_BYTES_MAX, SLICES_MAX } from './limits.ts'
import { inParallel } from './parallel.ts'
import { removeLeftover, type WriteDeps, type WrittenBlob, writeBlob } from './write-blob.ts'

export interface PutDeps extends WriteDeps {
  budget: Budget
}

export interface PutOptions {
  mode: CodeMode
  /** How many bytes will come, where it is known. */
  announced?: number
  signal: AbortSignal
}

export interface PutObject {
  id: string
  size: number
}

/** @throws TroupeError `busy`, `unavailable`, `malformed`, `too-large`, and as the body breaks */
export function putObject(
  deps: PutDeps,
  body: AsyncIterable<Uint8Array>,
  options: PutOptions,
): Promise<PutObject> {
  return new ObjectPut(deps, body, options).run()
}

class ObjectPut {
  readonly #deps: PutDeps
  readonly #options: PutOptions
  readonly #cut: BodyBlobs
  readonly #places: BlobPlaces
  readonly #lanes: Lanes
  readonly #stop = new AbortController()
  readonly #writes: Promise<void>[] = []
  /** In the order of the object; who is not there yet is undefined. */
  readonly #written: (WrittenBlob | undefined)[] = []
  #failure: { thrown: unknown } | undefined

  /** @throws TroupeError `busy` */
  constructor(deps: PutDeps, body: AsyncIterable<Uint8Array>, options: PutOptions) {
    const { mode, announced = BLOB_BYTES_MAX } = options
    const blobBytes = Math.max(1, Math.min(announced, BLOB_BYTES_MAX))
    this.#deps = deps
    this.#options = options
    this.#cut = new BodyBlobs(deps.erasure, body, { ...options, blobBytes: BLOB_BYTES_MAX })
    this.#places = new BlobPlaces(deps.volumes, { mode, blobBytes })
    this.#lanes = new Lanes(deps.budget, {
      blobBytes: stripeBytesOf(mode, blobBytes),
      countMax: deps.limits.blobsPerPutMax,
    })
  }

  async run(): Promise<PutObject> {
    const { signal, mode } = this.#options
    const stop = () => this.#fail(new TroupeError('no-answer', 'the client gave the put up'))
    signal.addEventListener('abort', stop, { once: true })
    try {
      if (signal.aborted) stop()
      await this.#readAll()
      await Promise.all(this.#writes)
      if (this.#failure) throw this.#failure.thrown
      const { size } = this.#cut
      const slices = slicesOf(this.#written as WrittenBlob[])
      return { id: formatBlobId({ mode, size, blobBytes: BLOB_BYTES_MAX, slices }), size }
    } catch (thrown) {
      this.#fail(thrown)
      void this.#cut.drop()
      await Promise.all(this.#writes)
      await this.#removeAll()
      throw this.#failure?.thrown ?? thrown
    } finally {
      signal.removeEventListener('abort', stop)
      this.#lanes.close()
    }
  }

  /** Until the end of the body, or the first failure. */
  async #readAll(): Promise<void> {
    for (;;) {
      await this.#lanes.enter()
      if (this.#failure) return this.#lanes.leave()
      const { blobsLeft } = this.#cut
      const blob = await this.#cut.next()
      if (blob === undefined) return this.#lanes.leave()
      const at = this.#written.push(undefined) - 1
      this.#writes.push(this.#write(at, blob, blobsLeft))
    }
  }

  /** Never rejects: its failure is told to all. */
  async #write(at: number, blob: CutBlob, blobsLeft: number): Promise<void> {
    const { signal } = this.#stop
    try {
      const told = { blobsLeft, signal }
      const written = await writeBlob(this.#deps, this.#options.mode, blob, this.#places, told)
      this.#written[at] = written
    } catch (thrown) {
      this.#fail(thrown)
    } finally {
      this.#deps.erasure.release(blob.stripe)
      this.#lanes.leave()
    }
  }

  /** Ends all that is under way; the first reason counts. */
  #fail(thrown: unknown): void {
    if (this.#failure) return
    this.#failure = { thrown }
    this.#stop.abort()
    this.#cut.stop(thrown)
  }

  /** Nobody has its id. */
  async #removeAll(): Promise<void> {
    const blobs = this.#written.filter((blob) => blob !== undefined)
    const { blobsPerDeleteMax } = this.#deps.limits
    await inParallel(blobs, blobsPerDeleteMax, (blob) => removeLeftover(this.#deps, blob))
  }
}

/** @throws TroupeError `too-large` */
export function slicesOf(blobs: readonly WrittenBlob[]): Slice[] {
  const slices: Slice[] = []
  for (const { vid, bid } of blobs) {
    const last = slices.at(-1)
    if (last && last.vid === vid && last.firstBid + BigInt(last.count) === bid) last.count++
    else slices.push({ vid, firstBid: bid, count: 1 })
    if (slices.length > SLICES_MAX) throw tooManySlices()
  }
  return slices
}
