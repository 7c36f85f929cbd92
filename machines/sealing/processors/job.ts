/**
 * One request of a caller, from `run` until it is answered. Decides: that it settles once, and who is told
 * when its caller does not want it any more. Leaves to others: where it runs.
 */
import { ProcessorError, type ProcessorErrorKind, wordsOf } from './errors.ts'

export interface RunOptions {
  /** The child to use, `child.<stage>.<n>`; without it the least loaded one. */
  lane?: string | undefined
  /** Whose files it works on; see `Processors.quiet`. */
  key: string
  signal?: AbortSignal | undefined
  /** From when the child has it; without it what is configured for the child. */
  timeoutMs?: number | undefined
  onProgress?: ((progress: unknown) => void) | undefined
  /** When a child, or this process (`pid` null), begins with it. */
  onStarted?: ((where: { lane: string; pid: number | null }) => void) | undefined
}

export class Job {
  readonly stage: string
  readonly task: unknown
  readonly options: RunOptions
  readonly result: Promise<unknown>
  #resolve: (output: unknown) => void = () => undefined
  #reject: (error: ProcessorError) => void = () => undefined
  #isSettled = false
  #onUnwanted: (error: ProcessorError) => void = (error) => this.reject(error)
  readonly #abort = () =>
    this.giveUp('cancelled', `cancelled: ${wordsOf(this.options.signal?.reason)}`)

  constructor(stage: string, task: unknown, options: RunOptions) {
    this.stage = stage
    this.task = task
    this.options = options
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    options.signal?.addEventListener('abort', this.#abort, { once: true })
    if (options.signal?.aborted === true) this.#abort()
  }

  get isSettled(): boolean {
    return this.#isSettled
  }

  /** Who has it now, and so has to let go of it when it is cancelled or its time is over. */
  heldBy(onUnwanted: (error: ProcessorError) => void): void {
    this.#onUnwanted = onUnwanted
  }

  timeOut(timeoutMs: number): void {
    this.giveUp('timed-out', `${this.stage} took longer than ${timeoutMs} ms`)
  }

  /** Its caller hears of it at once; who holds it lets go of it when it can. */
  giveUp(kind: ProcessorErrorKind, message: string): void {
    if (this.#isSettled) return
    const error = new ProcessorError(kind, message, { stage: this.stage })
    this.#onUnwanted(error)
    this.reject(error)
  }

  resolve(output: unknown): void {
    if (this.#settle()) this.#resolve(output)
  }

  reject(error: ProcessorError): void {
    if (this.#settle()) this.#reject(error)
  }

  started(where: { lane: string; pid: number | null }): void {
    this.options.onStarted?.(where)
  }

  progress(progress: unknown): void {
    if (!this.#isSettled) this.options.onProgress?.(progress)
  }

  #settle(): boolean {
    if (this.#isSettled) return false
    this.#isSettled = true
    this.options.signal?.removeEventListener('abort', this.#abort)
    return true
  }
}
