/**
 * One queue and priority, as a consumer of it sees it.
 *
 * Decides: that its durable consumer is there before it is asked, and looked for again after a pull was
 * lost; that a lane in trouble rests, longer each time, and is not asked meanwhile; that a consumer which
 * passes over messages is made anew.
 * Leaves to others: which lane is asked next (task-reader.ts).
 */
import type { Clock, Log } from '../../ports/index.ts'
import { messageOfThrown } from '../../protocol/index.ts'
import { API_ERROR, isApiError } from './api.ts'
import type { Connection } from './connection.ts'
import {
  type ConsumerShape,
  messageBehind,
  openConsumer,
  removeConsumer,
} from './task-consumers.ts'
import type { PullEnd, TaskPulls } from './task-pulls.ts'

export interface TaskLaneDeps {
  connection: Connection
  clock: Clock
  log: Log
  pulls: TaskPulls
  /** The stream may be gone; resolves when it is there, as far as that is known. */
  restoreStream: () => Promise<void>
  /** The lane can be asked again. */
  ready: () => void
}

/**
 * A pull that waits is asked again after this long: what a server forgot of it, as when its consumer got
 * another leader, is late by no more.
 */
const WAIT_MS = 10_000
const REST_FIRST_MS = 100
const REST_MAX_MS = 5_000
const DOUBLINGS_MAX = 6

export class TaskLane {
  readonly priority: number
  readonly #shape: ConsumerShape
  readonly #deps: TaskLaneDeps
  #isOpen = false
  #isWaiting = false
  #failures = 0
  #cancelRest: (() => void) | undefined
  #usedAtMs: number
  /** A message that the consumer seems to pass over. */
  #behind: number | undefined

  constructor(priority: number, shape: ConsumerShape, deps: TaskLaneDeps) {
    this.priority = priority
    this.#shape = shape
    this.#deps = deps
    this.#usedAtMs = deps.clock.monotonic()
  }

  get subject(): string {
    return this.#shape.subject
  }

  /** A pull waits for its next message: nothing is there. */
  get isWaiting(): boolean {
    return this.#isWaiting
  }

  /** How long nothing has come. */
  get idleMs(): number {
    return this.#deps.clock.monotonic() - this.#usedAtMs
  }

  /** How many came, of at most `batch` that are there. */
  async take(batch: number): Promise<number> {
    if (this.#isWaiting || !(await this.#opened())) return 0
    return this.#judge(await this.#ask(batch, 0))
  }

  /** Waits for one message, and tells when that has ended; at once when it cannot wait. */
  wait(): void {
    if (this.#isWaiting || !this.#isOpen) return
    this.#isWaiting = true
    void this.#ask(1, WAIT_MS).then((end) => {
      this.#isWaiting = false
      this.#judge(end)
      this.#deps.ready()
    })
  }

  /**
   * The stream has messages of it: they are out with others, wait for their time, or are passed over. What
   * is passed over twice is not about to be removed.
   */
  async inspect(): Promise<void> {
    const { connection, log } = this.#deps
    if (!this.#isWaiting) return
    try {
      const behind = await messageBehind(connection, this.#shape)
      const isStuck = behind !== undefined && behind === this.#behind
      this.#behind = isStuck ? undefined : behind
      if (!isStuck) return
      const { name: consumer } = this.#shape
      log.warn(
        { consumer, sequence: behind },
        'a consumer of tasks passes over messages, as after a loss: it is made anew',
      )
      // Whoever waits is told, and opens it again.
      await removeConsumer(connection, this.#shape)
    } catch (thrown) {
      log.debug({ why: messageOfThrown(thrown) }, 'a consumer of tasks could not be looked at')
    }
  }

  close(): void {
    this.#cancelRest?.()
  }

  #ask(batch: number, waitMs: number): Promise<PullEnd> {
    const { stream, name: consumer, subject } = this.#shape
    return this.#deps.pulls.ask({ stream, consumer, subject, batch, waitMs })
  }

  #judge(end: PullEnd): number {
    if (end.received > 0) this.#usedAtMs = this.#deps.clock.monotonic()
    if (end.kind === 'answered') this.#failures = 0
    else this.#fail(end.why)
    return end.received
  }

  async #opened(): Promise<boolean> {
    if (this.#isOpen) return true
    const { connection, log, restoreStream } = this.#deps
    if (this.#cancelRest || !connection.isConnected) return false
    try {
      await openConsumer(connection, this.#shape, log)
      this.#isOpen = true
    } catch (thrown) {
      this.#fail(messageOfThrown(thrown))
      if (isApiError(thrown, API_ERROR.streamNotFound)) await restoreStream()
    }
    return this.#isOpen
  }

  #fail(why: string): void {
    this.#isOpen = false
    const { connection, clock, log, ready } = this.#deps
    // Others say it, and `ready` comes of being connected again.
    if (!connection.isConnected || this.#cancelRest) return
    // One that was lost may be the server's business; the second time something is wrong.
    if (this.#failures === 1) {
      log.warn({ consumer: this.#shape.name, why }, 'a consumer of tasks cannot be used')
    }
    const restMs = REST_FIRST_MS * 2 ** Math.min(this.#failures, DOUBLINGS_MAX)
    this.#failures += 1
    this.#cancelRest = clock.after(Math.min(restMs, REST_MAX_MS), () => {
      this.#cancelRest = undefined
      ready()
    })
  }
}
