/**
 * How much is under way at a time. Decides: that a request begins only where memory for one blob is free,
 * and goes on with that alone when no more is; so whoever has begun never waits for somebody else.
 */
import { TroupeError } from '../../../../src/index.ts'

/** Memory that requests of a node share. */
export class Budget {
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  tryTake(bytes: number): boolean {
    if (this.#bytes + bytes > this.#bytesMax) return false
    this.#bytes += bytes
    return true
  }

  give(bytes: number): void {
    this.#bytes -= bytes
  }
}

/** The places of one request, each for a blob. */
export class Lanes {
  readonly #budget: Budget
  readonly #blobBytes: number
  readonly #countMax: number
  #held: number
  #running = 0
  #waiting: (() => void)[] = []

  /**
   * @param blobBytes what one blob takes, parity counted
   * @throws TroupeError `busy`
   */
  constructor(budget: Budget, { blobBytes, countMax }: { blobBytes: number; countMax: number }) {
    this.#budget = budget
    this.#blobBytes = blobBytes
    this.#countMax = countMax
    if (!budget.tryTake(blobBytes)) {
      const why = 'as much is read and written here as fits its memory (bytesUnderWayMax)'
      throw new TroupeError('busy', `${why}; try again in a moment`)
    }
    this.#held = 1
  }

  /** A place at once, or none. */
  tryEnter(): boolean {
    if (this.#running === this.#held) {
      const mayGrow = this.#held < this.#countMax && this.#budget.tryTake(this.#blobBytes)
      if (!mayGrow) return false
      this.#held++
    }
    this.#running++
    return true
  }

  /** Waits for its own blobs. */
  async enter(): Promise<void> {
    while (!this.tryEnter()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  leave(): void {
    this.#running--
    for (const wake of this.#waiting.splice(0)) wake()
  }

  /** When nothing of it runs any more. */
  close(): void {
    this.#budget.give(this.#held * this.#blobBytes)
    this.#held = 0
  }
}
