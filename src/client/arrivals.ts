/**
 * What comes next, or that nothing comes. Decides: only that whoever waits for an event can look for
 * itself from time to time, without losing the event that comes meanwhile.
 */
import type { Clock } from '../ports/index.ts'

export class Arrivals<T> {
  readonly #source: AsyncIterator<T>
  readonly #clock: Clock
  /** Gives what has arrived, or throws what the source has thrown. */
  #arrived: (() => IteratorResult<T>) | undefined
  #isAsked = false
  #wake: () => void = () => {}

  /** Begins to listen when it is made, if the source does so when it is iterated. */
  constructor(source: AsyncIterable<T>, clock: Clock) {
    this.#source = source[Symbol.asyncIterator]()
    this.#clock = clock
  }

  /** Undefined once nothing has come for so long. */
  async next(silenceMs: number): Promise<IteratorResult<T> | undefined> {
    this.#ask()
    if (!this.#arrived) await this.#pause(silenceMs)
    const arrived = this.#arrived
    this.#arrived = undefined
    return arrived?.()
  }

  /** One question at a time; its answer stays until it is taken. */
  #ask(): void {
    if (this.#isAsked || this.#arrived) return
    this.#isAsked = true
    const settle = (arrived: () => IteratorResult<T>) => {
      this.#isAsked = false
      this.#arrived = arrived
      this.#wake()
    }
    this.#source.next().then(
      (arrived) => settle(() => arrived),
      (thrown: unknown) =>
        settle(() => {
          throw thrown
        }),
    )
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
