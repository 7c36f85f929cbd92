/**
 * How far a task is, as its server is told. Decides: that increments are told together where they come fast,
 * and that those of a report which was not answered go with the next one: a server that did hear them counts by
 * what is done in all. Leaves to others: what is moved.
 */
import { type Clock, TroupeError, wait } from '../../../../src/index.ts'
import { messageOf } from '../../plane/why.ts'

export interface MoveStat {
  doneSize: number
  doneCount: number
  totalSize: number
  totalCount: number
}

/** Since the last report. */
export interface Increase {
  bytes: number
  shards: number
}

export interface ProgressDeps {
  clock: Clock
  reportMs: number
  retryMs: number
  /** @throws TroupeError; one that is not to be tried again says that the task is another's */
  report: (stat: MoveStat, increase: Increase) => Promise<void>
  /** The task is not ours any more. */
  onLost: (why: string) => void
}

const END_TRIES_MAX = 5

export class Progress {
  readonly #deps: ProgressDeps
  readonly stat: MoveStat = { doneSize: 0, doneCount: 0, totalSize: 0, totalCount: 0 }
  #increase: Increase = { bytes: 0, shards: 0 }
  #sending: Promise<void> | undefined
  #cancel = () => {}
  #isWaiting = false
  #toldAt = Number.NEGATIVE_INFINITY

  constructor(deps: ProgressDeps) {
    this.#deps = deps
  }

  /** What there is to do, and what of it is done already. */
  begin(stat: MoveStat): void {
    Object.assign(this.stat, stat)
    this.#soon()
  }

  moved({ bytes, shards }: Increase): void {
    this.stat.doneSize += bytes
    this.stat.doneCount += shards
    this.#increase.bytes += bytes
    this.#increase.shards += shards
  }

  /** It is not to be moved any more. */
  dropped(bytes: number): void {
    this.stat.totalSize -= bytes
    this.stat.totalCount -= 1
  }

  /** At the end of a tasklet. */
  tell(): void {
    this.#soon()
  }

  /** Everything is told, as far as somebody hears it within a few tries. */
  async end(signal: AbortSignal): Promise<void> {
    const { clock, retryMs } = this.#deps
    this.#cancel()
    this.#isWaiting = true
    await this.#sending
    for (let tries = 0; tries < END_TRIES_MAX && !signal.aborted; tries += 1) {
      if (await this.#send()) return
      await wait({ clock, signal }, retryMs)
    }
  }

  /** Nothing is told any more. */
  async stop(): Promise<void> {
    this.#cancel()
    this.#isWaiting = true
    await this.#sending
  }

  #soon(): void {
    if (this.#isWaiting || this.#sending !== undefined) return
    const { clock, reportMs } = this.#deps
    const waitMs = Math.max(0, this.#toldAt + reportMs - clock.monotonic())
    this.#isWaiting = true
    this.#cancel = clock.after(waitMs, () => {
      this.#isWaiting = false
      this.#sending = this.#send().then(() => {
        this.#sending = undefined
        if (this.#increase.shards > 0) this.#soon()
      })
    })
  }

  /** @returns whether it was heard */
  async #send(): Promise<boolean> {
    const { clock, report, onLost } = this.#deps
    const told = this.#increase
    this.#increase = { bytes: 0, shards: 0 }
    this.#toldAt = clock.monotonic()
    try {
      await report({ ...this.stat }, told)
      return true
    } catch (thrown) {
      this.#increase.bytes += told.bytes
      this.#increase.shards += told.shards
      const isOver = thrown instanceof TroupeError && !thrown.retry
      if (isOver) onLost(messageOf(thrown))
      return false
    }
  }
}
