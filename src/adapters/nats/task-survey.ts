/**
 * What lies on the stream of tasks, as far as that is known here.
 *
 * Decides: one question about all queues, asked seldom while somebody consumes (it finds priorities whose
 * hint was lost, and messages that their consumer passes over) and often while somebody looks at depths; in between what this node publishes and
 * acknowledges is counted along. So a depth costs nothing to read, is right at once for what happened
 * here, and for the rest as old as the last answer; nobody looks, nobody asks.
 * Leaves to others: what is out with consumers and so does not wait (task-queue.ts).
 */
import type { Clock } from '../../ports/index.ts'
import { API_ERROR, askApi, isApiError } from './api.ts'
import type { Connection } from './connection.ts'
import type { TaskNames } from './task-names.ts'

export interface TaskSurveyDeps {
  connection: Connection
  names: TaskNames
  clock: Clock
  /** Whether somebody consumes. */
  isConsumed: () => boolean
  /** Priorities of a queue that have messages. */
  found: (queue: string, priority: number) => void
  /** After an answer. */
  surveyed: () => void
  restoreStream: () => Promise<void>
  /** How often it asks while somebody consumes. */
  surveyMs: number
}

const LOOKED_AT_MS = 1_000
/** Owners look at the depths of their queues every half minute. */
const LOOKED_FOR_MS = 60_000
const ANSWER_MS = 5_000

interface Page {
  total?: number
  state: { subjects?: Record<string, number> }
}

export class TaskSurvey {
  readonly #deps: TaskSurveyDeps
  /** Messages on the stream by queue. */
  #counts = new Map<string, number>()
  #lookedAtMs = Number.NEGATIVE_INFINITY
  #askedAtMs = Number.NEGATIVE_INFINITY
  #isAsking = false
  /** The present answer may be from before what somebody wants to know. */
  #isAskedAgain = false
  #cancelTimer: (() => void) | undefined
  #isClosed = false

  constructor(deps: TaskSurveyDeps) {
    this.#deps = deps
  }

  /** Messages of a queue, acknowledged ones not. */
  count(queue: string): number {
    this.#lookedAtMs = this.#deps.clock.monotonic()
    this.refresh(LOOKED_AT_MS)
    return this.#counts.get(queue) ?? 0
  }

  /** One more or less, by what this node did. */
  add(queue: string, difference: number): void {
    const count = (this.#counts.get(queue) ?? 0) + difference
    if (count > 0) this.#counts.set(queue, count)
    else this.#counts.delete(queue)
  }

  /** Asks unless the last answer is younger; 0 asks in any case. */
  refresh(agedMs = this.#deps.surveyMs): void {
    if (this.#isClosed) return
    if (this.#isAsking) this.#isAskedAgain ||= agedMs === 0
    else if (this.#deps.clock.monotonic() - this.#askedAtMs >= agedMs) void this.#survey()
    else this.#plan()
  }

  close(): void {
    this.#isClosed = true
    this.#cancelTimer?.()
  }

  async #survey(): Promise<void> {
    this.#cancelTimer?.()
    this.#isAsking = true
    this.#askedAtMs = this.#deps.clock.monotonic()
    try {
      if (this.#deps.connection.isConnected) await this.#askAll()
    } catch (thrown) {
      // What cannot be asked now is asked again; who publishes or consumes says what is wrong.
      if (isApiError(thrown, API_ERROR.streamNotFound)) await this.#deps.restoreStream()
    } finally {
      this.#isAsking = false
      if (this.#isAskedAgain) this.#askedAtMs = Number.NEGATIVE_INFINITY
      this.#isAskedAgain = false
      this.#plan()
    }
  }

  async #askAll(): Promise<void> {
    const { connection, names, found, surveyed } = this.#deps
    const counts = new Map<string, number>()
    for (let offset = 0, total = 1; offset < total; ) {
      const request = { subjects_filter: names.all, offset }
      const path = `STREAM.INFO.${names.stream}`
      const page = await askApi<Page>(connection, path, request, ANSWER_MS)
      const subjects = Object.entries(page.state.subjects ?? {})
      for (const [subject, count] of subjects) {
        const parsed = names.parse(subject)
        if (parsed === undefined) continue
        counts.set(parsed.queue, (counts.get(parsed.queue) ?? 0) + count)
        found(parsed.queue, parsed.priority)
      }
      // What goes meanwhile makes the pages shorter.
      if (subjects.length === 0) break
      offset += subjects.length
      total = page.total ?? 0
    }
    this.#counts = counts
    surveyed()
  }

  #plan(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    if (this.#isClosed) return
    const { clock, isConsumed, surveyMs } = this.#deps
    const nowMs = clock.monotonic()
    const isLookedAt = nowMs - this.#lookedAtMs < LOOKED_FOR_MS
    if (!isLookedAt && !isConsumed()) return
    const dueMs = this.#askedAtMs + Math.min(surveyMs, isLookedAt ? LOOKED_AT_MS : surveyMs)
    this.#cancelTimer = clock.after(Math.max(0, dueMs - nowMs), () => void this.#survey())
  }
}
