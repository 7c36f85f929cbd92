/**
 * For how long JetStream has not answered on a connection.
 *
 * Decides: when that is long enough to look for another server. One that is cut off from its cluster
 * takes clients as ever, and answers nothing that needs the others. Silence counts from a question that
 * stays without an answer, never while nobody asks.
 * Leaves to others: what is an answer (api.ts), and how a server is left (connection.ts).
 */
import type { Clock } from '../../ports/index.ts'

/**
 * Longer than servers take to elect a leader of JetStream (4 to 9 s), during which none of them
 * answers: an election alone makes nobody leave.
 */
const SILENCE_MS = 10_000
/** Where no server answers, leaving one only disturbs what needs no JetStream: ever more seldom. */
const DOUBLINGS_MAX = 3

export class Silence {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #firstMs: number
  #sinceMs: number | undefined
  #endedAtMs = Number.NEGATIVE_INFINITY
  #limitMs: number

  constructor(clock: Pick<Clock, 'monotonic'>, firstMs = SILENCE_MS) {
    this.#clock = clock
    this.#firstMs = firstMs
    this.#limitMs = firstMs
  }

  /** To be given back when there is no answer. */
  get nowMs(): number {
    return this.#clock.monotonic()
  }

  /** JetStream has answered. */
  end(): void {
    this.#limitMs = this.#firstMs
    this.restart()
  }

  /** Another server, which knows nothing of what was asked before. */
  restart(): void {
    this.#sinceMs = undefined
    this.#endedAtMs = this.nowMs
  }

  /** What was asked then has no answer. True once it is enough: then it counts anew, up to a longer one. */
  isEnough(askedAtMs: number): boolean {
    this.#sinceMs ??= Math.max(askedAtMs, this.#endedAtMs)
    if (this.nowMs - this.#sinceMs < this.#limitMs) return false
    this.#limitMs = Math.min(this.#firstMs * 2 ** DOUBLINGS_MAX, this.#limitMs * 2)
    this.restart()
    return true
  }
}
