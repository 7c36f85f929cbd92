/**
 * How long to wait before the next try to connect. Decides: ever longer, and by chance a little more or
 * less, so that clients of a server that died do not all come back at once. Constant until a try has
 * failed: the library asks more often.
 */
import type { Random } from '../../ports/index.ts'

const RETRY_FIRST_MS = 100
const RETRY_MAX_MS = 2_000

export class BackOff {
  readonly #random: Random
  #failures = 0
  #waitMs = RETRY_FIRST_MS

  constructor(random: Random) {
    this.#random = random
  }

  get waitMs(): number {
    return this.#waitMs
  }

  failed(): void {
    const fullMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** this.#failures++)
    this.#waitMs = Math.round(fullMs * (1 / 2 + this.#random.fraction() / 2))
  }

  succeeded(): void {
    this.#failures = 0
    this.#waitMs = RETRY_FIRST_MS
  }
}
