/**
 * An answer on its way to somebody who asks for it part by part. Decides: how much is a part, how long
 * somebody waits for one, and that the last one can be had again.
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
  #failure: Error | undefined
  #wake: () => void = () => {}
  #number = 0
  #last: Promise<Part> | undefined

  constructor(answer: IncomingMessage, clock: Clock, limits: PartLimits) {
    this.#answer = answer
    this.#clock = clock
    this.#limits = limits
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
    this.#last = this.#gather()
    return this.#last
  }

  /** Nobody reads it any more. */
  stop(): void {
    this.#answer.destroy()
  }

  async #gather(): Promise<Part> {
    const { partBytesMax, silenceMs, gatherMs } = this.#limits
    const chunks: Uint8Array[] = []
    let room = partBytesMax
    let endMs = this.#clock.monotonic() + silenceMs
    for (;;) {
      const chunk = this.#read(room)
      if (chunk) {
        if (chunks.length === 0) endMs = Math.min(endMs, this.#clock.monotonic() + gatherMs)
        chunks.push(chunk)
        room -= chunk.length
        if (room === 0) return { bytes: Buffer.concat(chunks) }
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
