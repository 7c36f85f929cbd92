/**
 * An answer on its way to somebody who asks for it part by part. Decides: how much is a part, also where all
 * answers together hold as much as they may, how long somebody waits for one, that the last one can be
 * had again, and that an answer that was read to its end keeps next to nothing.
 */
import type { Readable } from 'node:stream'
import type { Clock } from '../ports/index.ts'

export interface PartLimits {
  /** Bytes of a part. */
  partBytesMax: number
  /** After so long a part is empty: a sign of life. */
  silenceMs: number
  /** What comes so soon after the first bytes goes with them. */
  gatherMs: number
}

/** Of all room: what answers leave to requests. Else who reads many could keep everybody from asking. */
const REQUESTS_PART = 1 / 4

/** What requests and answers hold together, in bytes. */
export class HeldBytes {
  readonly #max: number
  #ofRequests = 0
  #ofAnswers = 0

  constructor(max: number) {
    this.#max = max
  }

  /** Whatever answers hold, requests have their part. */
  get leftForRequests(): number {
    const own = this.#max * REQUESTS_PART - this.#ofRequests
    return Math.max(own, this.#left)
  }

  /** Less than nothing where others took their least although there was nothing left. */
  get leftForAnswers(): number {
    const own = this.#max * (1 - REQUESTS_PART) - this.#ofAnswers
    return Math.min(own, this.#left)
  }

  get #left(): number {
    return this.#max - this.#ofRequests - this.#ofAnswers
  }

  addRequest(bytes: number): void {
    this.#ofRequests += bytes
  }

  addAnswer(bytes: number): void {
    this.#ofAnswers += bytes
  }
}

/** So much goes on whatever others hold: else whoever holds little would wait for who does not read. */
const PART_BYTES_MIN = 16 * 1_024
/** A later part that is larger does not say that it is the last: nobody asks for it to be freed then. */
const LAST_BYTES_MAX = PART_BYTES_MIN

export interface Part {
  bytes: Uint8Array
  end?: true
  /** Why it does not go on. */
  broken?: string
}

export class GivenAnswer {
  readonly #answer: Readable
  readonly #clock: Clock
  readonly #limits: PartLimits
  readonly #held: HeldBytes
  /** Of the last part. */
  #bytes = 0
  #isStopped = false
  #isRead = false
  #failure: Error | undefined
  #wake: () => void = () => {}
  #number = 0
  #last: Promise<Part> | undefined

  constructor(answer: Readable, clock: Clock, limits: PartLimits, held: HeldBytes) {
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

  /** Its last part was given, and nothing is left of it but that. */
  get isRead(): boolean {
    return this.#isRead
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
    this.#held.addAnswer(bytes - this.#bytes)
    this.#bytes = bytes
  }

  /** Bytes that still belong to the part: none or less where others took the room while it was gathered. */
  get #room(): number {
    const { partBytesMax } = this.#limits
    const most = Math.max(PART_BYTES_MIN, this.#bytes + this.#held.leftForAnswers)
    return Math.min(partBytesMax, most) - this.#bytes
  }

  /** The first part is freed with its end at once: nobody is told where to ask for it again. */
  #mayEnd({ length }: Uint8Array): boolean {
    return this.#number === 1 || length <= LAST_BYTES_MAX
  }

  async #gather(): Promise<Part> {
    const { silenceMs, gatherMs } = this.#limits
    const chunks: Uint8Array[] = []
    let endMs = this.#clock.monotonic() + silenceMs
    for (;;) {
      const room = this.#room
      if (room <= 0) return { bytes: Buffer.concat(chunks) }
      const chunk = this.#read(room)
      if (chunk) {
        if (chunks.length === 0) endMs = Math.min(endMs, this.#clock.monotonic() + gatherMs)
        chunks.push(chunk)
        this.#hold(this.#bytes + chunk.length)
        continue
      }
      const bytes = Buffer.concat(chunks)
      if (this.#answer.readableEnded) {
        this.#isRead = this.#mayEnd(bytes)
        return this.#isRead ? { bytes, end: true } : { bytes }
      }
      if (this.#failure || this.#answer.destroyed) {
        // What came before it broke off is good; the next part tells.
        if (bytes.length > 0) return { bytes }
        this.#isRead = true
        return { bytes, broken: 'the node broke it off' }
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
