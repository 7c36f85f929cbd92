/**
 * Where the blobs of one put go. Decides: that they go into one volume, under bids in a row, for as long as
 * that works, so that the id stays short; that a volume that failed is not tried again; and that a run of
 * blobs sees which units are up as it goes on: one that was down at its begin is written to once it is back.
 */
import type { CodeMode } from '../codes/index.ts'
import type { VolumesPort, VolumeView } from './ports.ts'

export interface NewBlobPlace {
  view: VolumeView
  bid: bigint
}

/** Blobs of a run: 4 GiB, which are written before a volume's lease at this node is over. */
const RUN_MAX = 1024

interface Run {
  vid: number
  next: bigint
  left: number
}

export class BlobPlaces {
  readonly #volumes: Pick<VolumesPort, 'writable' | 'nextBids' | 'view'>
  readonly #mode: CodeMode
  readonly #blobBytes: number
  readonly #bad = new Set<number>()
  #run: Run | undefined
  /** Of a body whose end is not known each run is twice as long as the one before. */
  #runNext = 1
  #turn: Promise<unknown> = Promise.resolve()

  constructor(
    volumes: Pick<VolumesPort, 'writable' | 'nextBids' | 'view'>,
    { mode, blobBytes }: { mode: CodeMode; blobBytes: number },
  ) {
    this.#volumes = volumes
    this.#mode = mode
    this.#blobBytes = blobBytes
  }

  /** @param blobsLeft known to come, this one among them @throws TroupeError `unavailable` */
  next(blobsLeft: number): Promise<NewBlobPlace> {
    const place = this.#turn.then(() => this.#place(blobsLeft))
    this.#turn = place.catch(() => {})
    return place
  }

  /** Nothing more goes there. */
  failed(vid: number): void {
    this.#bad.add(vid)
    if (this.#run?.vid === vid) this.#run = undefined
  }

  async #place(blobsLeft: number): Promise<NewBlobPlace> {
    if (!this.#run || this.#run.left === 0) this.#run = await this.#newRun(blobsLeft)
    const { vid, next } = this.#run
    this.#run.next++
    this.#run.left--
    return { view: await this.#volumes.view(vid), bid: next }
  }

  async #newRun(blobsLeft: number): Promise<Run> {
    const bytes = this.#blobBytes
    const view = await this.#volumes.writable(this.#mode, { avoid: this.#bad, bytes })
    // Half of what is free: others write there, too.
    const room = Math.max(1, Math.floor(view.freeBytes / bytes / 2))
    const count = Math.min(RUN_MAX, room, Math.max(blobsLeft, this.#runNext))
    this.#runNext = Math.min(RUN_MAX, this.#runNext * 2)
    return { vid: view.vid, next: await this.#volumes.nextBids(count), left: count }
  }
}
