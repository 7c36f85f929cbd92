/**
 * Reading an object. Decides: that nothing is answered before the first blob is there, how far is read
 * ahead of who listens, and that an answer that breaks off is seen to be broken. Leaves to others: one
 * blob (`read-blob.ts`).
 */
import { Readable } from 'node:stream'
import { type CodeMode, shardBytesOf, unitCount } from '../codes/index.ts'
import type { BlobId } from './blob-id.ts'
import { type BlobPart, blobsOf, partsOf } from './blob-layout.ts'
import { type Budget, Lanes } from './lanes.ts'
import type { ByteRange } from './ports.ts'
import { type ReadDeps, readBlob } from './read-blob.ts'

/** Memory of a blob, all its shards counted. */
export function stripeBytesOf(mode: CodeMode, blobBytes: number): number {
  return shardBytesOf(mode, blobBytes) * unitCount(mode)
}

export interface GetDeps extends ReadDeps {
  budget: Budget
}

/**
 * The bytes of a range, which begin once the first blob is there. @param signal ends it, also after it was
 * answered @throws TroupeError `busy`, and as `readBlob`
 */
export async function openObject(
  deps: GetDeps,
  id: BlobId,
  range: ByteRange,
  signal: AbortSignal,
): Promise<Readable> {
  if (id.size === 0) await requireThere(deps, id, signal)
  if (range.from >= range.to) return Readable.from([])
  const stream = new ObjectStream(deps, id, range, signal)
  try {
    await stream.begun
  } catch (thrown) {
    stream.destroy()
    throw thrown
  }
  return stream
}

/** Of an object without bytes: its blob of one zero tells. */
async function requireThere(deps: GetDeps, id: BlobId, signal: AbortSignal): Promise<void> {
  for (const blob of blobsOf(id))
    await readBlob(deps, id.mode, { ...blob, range: { from: 0, to: 1 } }, signal)
}

class ObjectStream extends Readable {
  readonly begun: Promise<void>
  readonly #deps: GetDeps
  readonly #mode: CodeMode
  readonly #parts: Iterator<BlobPart, void>
  readonly #lanes: Lanes
  readonly #stop = new AbortController()
  /** In order; the first is the one that is given next. */
  readonly #ahead: Promise<Buffer[]>[] = []
  readonly #forget: () => void
  #underWay = 0
  #isGiving = false
  /** What was given last still counts as here. */
  #isTaken = false

  /** @throws TroupeError `busy` */
  constructor(deps: GetDeps, id: BlobId, range: ByteRange, signal: AbortSignal) {
    super()
    // Whoever listens hears of an error; before the first blob is there nobody does.
    this.on('error', () => {})
    this.#deps = deps
    this.#mode = id.mode
    this.#parts = partsOf(id, range)
    const blobBytes = stripeBytesOf(id.mode, Math.max(1, Math.min(id.size, id.blobBytes)))
    this.#lanes = new Lanes(deps.budget, { blobBytes, countMax: deps.limits.blobsPerGetMax })
    const onAbort = () => this.destroy(new Error('nobody waits for the object any more'))
    signal.addEventListener('abort', onAbort, { once: true })
    this.#forget = () => signal.removeEventListener('abort', onAbort)
    this.#readAhead()
    this.begun = (this.#ahead[0] as Promise<Buffer[]>).then(() => {})
    if (signal.aborted) onAbort()
  }

  override _read(): void {
    if (!this.#isGiving) void this.#give()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#forget()
    this.#stop.abort()
    this.#settle()
    done(error)
  }

  /** The place of a blob is free again when more is asked for, since then it was taken. */
  async #give(): Promise<void> {
    this.#isGiving = true
    if (this.#isTaken) {
      this.#isTaken = false
      this.#lanes.leave()
      this.#readAhead()
    }
    const next = this.#ahead[0]
    if (next === undefined) return void this.push(null)
    let pieces: Buffer[]
    try {
      pieces = await next
    } catch (thrown) {
      return void this.destroy(thrown as Error)
    }
    if (this.destroyed) return
    void this.#ahead.shift()
    this.#isTaken = true
    this.#isGiving = false
    for (const piece of pieces) this.push(piece)
  }

  #readAhead(): void {
    while (!this.destroyed && this.#lanes.tryEnter()) {
      const { value: part, done } = this.#parts.next()
      if (done || part === undefined) return this.#lanes.leave()
      this.#underWay++
      const read = readBlob(this.#deps, this.#mode, part, this.#stop.signal)
      // It is looked at when its turn comes.
      read
        .catch(() => {})
        .finally(() => {
          this.#underWay--
          this.#settle()
        })
      this.#ahead.push(read)
    }
  }

  /** Memory counts as used until the last read has ended. */
  #settle(): void {
    if (this.destroyed && this.#underWay === 0) this.#lanes.close()
  }
}
