/**
 * One part of the daemon on its own. Decides: that what cannot be started is tried again for ever, and
 * holds up nobody else: one broken store, port or cluster must not keep all threads down.
 */
import type { Clock, Log } from '../../../src/index.ts'

/** From a mistake that is gone in a moment to a machine that is away for a day. */
const RETRY_MS_MIN = 1_000
const RETRY_MS_MAX = 60_000

export interface PartReport {
  part: string
  state: 'starting' | 'up' | 'down' | 'stopped'
  /** Unix ms. */
  since: number
  /** Why it is down; null while it is not. */
  problem: string | null
  /** Unix ms of the next try. */
  retryAt: number | null
}

/** What starts it; resolves with what stops it. */
export type StartPart = (signal: AbortSignal) => Promise<() => Promise<void> | void>

export class Part {
  readonly #deps: { clock: Clock; log: Log }
  readonly #start: StartPart
  readonly #stopping = new AbortController()
  #report: PartReport
  #end: (() => Promise<void> | void) | undefined
  #cancelRetry = () => {}
  #trying: Promise<void> | undefined
  #failures = 0
  #told: string | null = null

  constructor(name: string, start: StartPart, deps: { clock: Clock; log: Log }) {
    this.#start = start
    this.#deps = deps
    const since = deps.clock.now()
    this.#report = { part: name, state: 'starting', since, problem: null, retryAt: null }
  }

  report(): PartReport {
    return { ...this.#report }
  }

  get isUp(): boolean {
    return this.#report.state === 'up'
  }

  /** Resolves when the first try has ended, whichever way; never rejects. */
  start(): Promise<void> {
    this.#trying = this.#try()
    return this.#trying
  }

  /** What was up has ended by itself. */
  fail(why: string): void {
    if (this.#stopping.signal.aborted || !this.isUp) return
    const end = this.#end
    this.#end = undefined
    this.#trying = this.#endWith(end).then(() => this.#failed(new Error(why)))
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#cancelRetry()
    await this.#trying
    await this.#endWith(this.#end)
    this.#end = undefined
    this.#set('stopped', null, null)
  }

  async #try(): Promise<void> {
    const { log } = this.#deps
    try {
      const end = await this.#start(this.#stopping.signal)
      this.#end = end
      if (this.#told !== null)
        log.info({ part: this.#report.part }, 'a part of the worker is up again')
      this.#failures = 0
      this.#told = null
      this.#set('up', null, null)
    } catch (thrown) {
      this.#failed(thrown)
    }
  }

  #failed(thrown: unknown): void {
    if (this.#stopping.signal.aborted) return
    const { clock, log } = this.#deps
    const { part } = this.#report
    const problem = thrown instanceof Error ? thrown.message : String(thrown)
    const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** this.#failures)
    this.#failures += 1
    // For the same reason as before it is told once.
    if (problem !== this.#told)
      log.error({ part, problem, waitMs }, 'a part of the worker is down; the others go on')
    this.#told = problem
    this.#set('down', problem, clock.now() + waitMs)
    this.#cancelRetry = clock.after(waitMs, () => {
      this.#trying = this.#try()
    })
  }

  async #endWith(end: (() => Promise<void> | void) | undefined): Promise<void> {
    try {
      await end?.()
    } catch (error) {
      this.#deps.log.error({ part: this.#report.part, error }, 'a part did not end well')
    }
  }

  #set(state: PartReport['state'], problem: string | null, retryAt: number | null): void {
    const { part } = this.#report
    this.#report = { part, state, since: this.#deps.clock.now(), problem, retryAt }
  }
}
