/**
 * The pings of a worker to its manager. Decides: what is counted, and that the first one is sent at once.
 * A manager that does not answer is only told of once, not at each ping.
 */
import type { Clock, Log } from '../../../src/index.ts'
import type { ThreadRow } from '../thread/index.ts'
import type { ManagerCalls } from '../venus/index.ts'

export interface PingsDeps {
  manager: ManagerCalls
  name: string
  /** Where this worker's own interface is. */
  dest: () => string
  version: string
  /** Of this life: tells a restart from a second worker of the same name. */
  instance: string
  intervalMs: number
  threads: () => Promise<ThreadRow[]>
  clock: Clock
  log: Log
}

export interface Summary {
  Threads: number
  Empty: number
  Paused: number
  Errors: number
  Running: number
  Waiting: number
}

/** As the manager counts: who waits for the chain is none of these. */
export function summaryOf(threads: readonly ThreadRow[]): Summary {
  const count = (isMeant: (row: ThreadRow) => boolean) => threads.filter(isMeant).length
  return {
    Threads: threads.length,
    Empty: count(({ sector }) => sector === null),
    Paused: count(({ paused }) => paused),
    Errors: count(({ errors }) => errors),
    Running: count(({ condition }) => condition === 'running' || condition === 'pausing'),
    Waiting: count(({ condition }) => condition === 'waiting'),
  }
}

export class Pings {
  readonly #deps: PingsDeps
  #cancel = () => {}
  #isStopped = false
  #problem: string | null = null
  #heardAt: number | null = null

  constructor(deps: PingsDeps) {
    this.#deps = deps
  }

  /** Sends one and goes on; never rejects. */
  async start(): Promise<void> {
    await this.#ping()
    if (this.#isStopped) return
    const { clock, intervalMs } = this.#deps
    this.#cancel = clock.after(intervalMs, () => void this.start())
  }

  stop(): void {
    this.#isStopped = true
    this.#cancel()
  }

  report(): { heardAt: number | null; problem: string | null } {
    return { heardAt: this.#heardAt, problem: this.#problem }
  }

  async #ping(): Promise<void> {
    const {
      manager,
      name: Name,
      dest,
      version: Version,
      instance,
      threads,
      clock,
      log,
    } = this.#deps
    try {
      const Summary = summaryOf(await threads())
      await manager.call('WorkerPing', [
        { Name, Dest: dest(), Version, Instance: instance, Summary },
      ])
      if (this.#problem !== null) log.info({}, 'the manager hears this worker again')
      this.#problem = null
      this.#heardAt = clock.now()
    } catch (thrown) {
      const problem = thrown instanceof Error ? thrown.message : String(thrown)
      if (problem !== this.#problem) log.warn({ problem }, 'the manager does not hear this worker')
      this.#problem = problem
    }
  }
}
