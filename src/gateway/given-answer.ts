/**
 * An answer on its way to somebody who asks for it part by part. Decides: how much is a part, also where all
 * answers together hold as much as they may, how long somebody waits for one, and that the last one can be
 * had again.
 */
import type { IncomingMessage } from 'node:http'
import type { Clock } from '../ports/index.ts'

export interface PartLimits {
  /** Bytes of a part. */
  partBytesMax: number
  /** After so long a part is empty: a sign of life. */
  silenceMs: number
  /** What comes so soon after the first bytes goes with them. */
  gatherMs: number
}

/** What many hold together, in bytes. */
export class HeldBytes {
  readonly #max: number
  #held = 0

  constructor(max: number) {
    this.#max = max
  }

  get left(): number {
    return this.#max - this.#held
  }

  add(bytes: number): void {
    this.#held += bytes
  }
}

/** So much goes on whatever others hold: else whoever holds little would wait for who does not read. */
const PART_BYTES_MIN = 16 * 1_024

export interface Part {
  bytes: Uint8Array
  end?: true
  /** Why it does not go on. */
  broken?: string
}

export class GivenAnswer {
  readonly #answer: IncomingMessage
  readonly #clock: Clock
  readonly #limits: PartLimits
  readonly #held: HeldBytes
  /** Of the last part. */
  #bytes = 0
  #isStopped = false
  #failure: Error | undefined
  #wake: () => void = () => {}
  #number = 0
  #last: Promise<Part> | undefined

  constructor(answer: IncomingMessage, clock: Clock, limits: PartLimits, held: HeldBytes) {
    this.#answer = answer
    this.#clock = clock
    this.#limits = limits
    this.#held = held
    for (const event of ['readable', 'end', 'close']) answer.on(event, () => this.#wake())
    answer.on('error', (error) => {
      this.#failure = error
      this.#wake()
    })
  }

  /** Undefined for one that is neither the next nor the last that was given. */
  part(number: number): Promise<Part> | undefined {
    if (number === this.#number) return this.#last
    if (number !== this.#number + 1) return undefined
    this.#number = number
    this.#hold(0)
    this.#last = this.#gather()
    return this.#last
  }

  /** Nobody reads it any more. */
  stop(): void {
    this.#hold(0)
    this.#isStopped = true
    if (!this.#answer.readableEnded) this.#answer.destroy()
  }

  #hold(bytes: number): void {
    if (this.#isStopped) return
    this.#held.add(bytes - this.#bytes)
    this.#bytes = bytes
  }

  /** Bytes that still belong to the part. */
  get #room(): number {
    const { partBytesMax } = this.#limits
    const most = Math.max(PART_BYTES_MIN, this.#bytes + this.#held.left)
    return Math.min(partBytesMax, most) - this.#bytes
  }

  async #gather(): Promise<Part> {
    const { silenceMs, gatherMs } = this.#limits
    const chunks: Uint8Array[] = []
    let endMs = this.#clock.monotonic() + silenceMs
    for (;;) {
      const chunk = this.#read(this.#room)
      if (chunk) {
        if (chunks.length === 0) endMs = Math.min(endMs, this.#clock.monotonic() + gatherMs)
        chunks.push(chunk)
        this.#hold(this.#bytes + chunk.length)
        if (this.#room <= 0) return { bytes: Buffer.concat(chunks) }
        continue
      }
      const bytes = Buffer.concat(chunks)
      if (this.#answer.readableEnded) return { bytes, end: true }
      if (this.#failure || this.#answer.destroyed) {
        // What came before it broke off is good; the next part tells.
        return bytes.length > 0 ? { bytes } : { bytes, broken: 'the node broke it off' }
      }
      const leftMs = endMs - this.#clock.monotonic()
      if (leftMs <= 0) return { bytes }
      await this.#pause(leftMs)
    }
  }

  #read(room: number): Uint8Array | undefined {
    const chunk = this.#answer.read() as Buffer | null
    if (!chunk) return undefined
    if (chunk.length > room) this.#answer.unshift(chunk.subarray(room))
    return chunk.subarray(0, room)
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(ms, resolve)
      this.#wake = () => {
        cancel()
        resolve()
      }
    })
  }
}
