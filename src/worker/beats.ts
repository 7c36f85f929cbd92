/**
 * Heartbeats of all running attempts of a worker.
 *
 * Decides: when each is sent (those due together go together, and the client makes one message of
 * them), and when an attempt has lost its owner. Leaves to others: what an aborted attempt does.
 */
import type { Client } from '../client/index.ts'
import type { Clock, Log } from '../ports/index.ts'
import { type Operation, TroupeError, toErrorRecord } from '../protocol/index.ts'
import type { RunningAttempt } from './attempt.ts'

export interface BeatsDeps {
  client: Client
  clock: Clock
  log: Log
  attempts: () => Iterable<RunningAttempt>
  /** The owner has accepted a heartbeat of this attempt. */
  accepted: (attempt: RunningAttempt) => void
}

/** Two of three may be lost. */
const BEATS_PER_LEASE = 3
/** A command under `rerun` ends half a lease after the last accepted one: two of three, again. */
const BEATS_PER_LEASE_RERUN = 6
/**
 * Under `rerun` the code is aborted when this part of the lease has passed in silence, so that it has
 * come to its end when the owner starts another attempt.
 */
const SILENCE_SHARE = 5 / 6
/** Heartbeats that are due within this part of their period go along with one that is due now. */
const TOGETHER_SHARE = 1 / 4

export class Beats {
  readonly #deps: BeatsDeps
  #cancel: (() => void) | undefined
  #plannedMs = Number.POSITIVE_INFINITY
  #stopped = false

  constructor(deps: BeatsDeps) {
    this.#deps = deps
  }

  /** The attempt was accepted by its owner just now: `task.start` and `task.attach` count as beats. */
  add(attempt: RunningAttempt): void {
    attempt.acceptedMs = this.#deps.clock.monotonic()
    attempt.beatDueMs = attempt.acceptedMs + periodOf(attempt)
    this.#plan(attempt.beatDueMs)
  }

  /** A heartbeat out of turn: what the owner does not want any more is aborted when this resolves. */
  async ask(attempt: RunningAttempt, timeoutMs: number): Promise<'answered' | 'unclear'> {
    return this.#beat(attempt, this.#deps.clock.monotonic(), timeoutMs)
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  #plan(dueMs: number): void {
    if (this.#stopped || dueMs >= this.#plannedMs) return
    this.#cancel?.()
    this.#plannedMs = dueMs
    this.#cancel = this.#deps.clock.after(dueMs - this.#deps.clock.monotonic(), () => {
      this.#plannedMs = Number.POSITIVE_INFINITY
      this.#beatAll()
    })
  }

  #beatAll(): void {
    const now = this.#deps.clock.monotonic()
    let nextMs = Number.POSITIVE_INFINITY
    for (const attempt of this.#deps.attempts()) {
      const periodMs = periodOf(attempt)
      if (attempt.beatDueMs <= now + periodMs * TOGETHER_SHARE) {
        attempt.beatDueMs = now + periodMs
        if (!this.#checkSilence(attempt, now)) void this.#beat(attempt, now, periodMs)
      }
      nextMs = Math.min(nextMs, attempt.beatDueMs)
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#plan(nextMs)
  }

  /** True when the attempt must not go on. Under `wait` and `park` nobody else starts it. */
  #checkSilence(attempt: RunningAttempt, now: number): boolean {
    const { leaseMs, onWorkerLost, taskId } = attempt.record
    const silenceMs = now - attempt.acceptedMs
    if (onWorkerLost !== 'rerun' || silenceMs < leaseMs * SILENCE_SHARE) return false
    const message = `no heartbeat got through for ${Math.round(silenceMs)} ms; the lease is ${leaseMs} ms`
    if (attempt.abort('lease-lost', message)) this.#deps.log.warn({ taskId }, message)
    return true
  }

  async #beat(
    attempt: RunningAttempt,
    sentMs: number,
    timeoutMs: number,
  ): Promise<'answered' | 'unclear'> {
    const { client, log } = this.#deps
    const { address, taskId, token } = attempt.record
    const operation: Operation = { op: 'task.beat', taskId, token }
    if (attempt.progressed) operation.progress = attempt.progress
    attempt.progressed = false
    try {
      await client.execute(address, operation, { timeoutMs: Math.max(1, Math.floor(timeoutMs)) })
      attempt.acceptedMs = Math.max(attempt.acceptedMs, sentMs)
      this.#deps.accepted(attempt)
      return 'answered'
    } catch (thrown) {
      if ('progress' in operation) attempt.progressed = true
      if (thrown instanceof TroupeError && isRefused(thrown)) {
        attempt.abort(thrown.code === 'task-gone' ? 'unwanted' : 'stale', thrown.message)
        return 'answered'
      }
      log.warn({ taskId, error: toErrorRecord(thrown) }, 'a heartbeat did not get through')
      return 'unclear'
    }
  }
}

/** The owner has said that nobody waits for this attempt. */
export function isRefused(error: TroupeError): boolean {
  return error.code === 'task-gone' || error.code === 'task-stale'
}

function periodOf({ record }: RunningAttempt): number {
  const beats = record.onWorkerLost === 'rerun' ? BEATS_PER_LEASE_RERUN : BEATS_PER_LEASE
  return record.leaseMs / beats
}
