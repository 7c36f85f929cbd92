/**
 * From commands to shards. Decides: what is sent together (everything for one shard in one turn of
 * the event loop), and when to try again within the caller's time. A repeat carries the same id.
 */
import type { Clock, Transport, TransportOutcome } from '../ports/index.ts'
import {
  type Command,
  type ErrorRecord,
  errorRecord,
  type Limits,
  type Outcome,
  pack,
  type ShardQuery,
  type Subjects,
  shardOf,
  TroupeError,
  toErrorRecord,
  unpack,
} from '../protocol/index.ts'

export interface RouterDeps {
  transport: Transport
  subjects: Subjects
  clock: Clock
  limits: Limits
  shardCount: number
}

interface Waiting {
  command: Command
  /** On the monotonic clock. */
  end: number
  tries: number
  resolve: (value: unknown) => void
  reject: (error: Error) => void
}

/** First wait before another try; it doubles up to the second number. */
const RETRY_FIRST_MS = 10
const RETRY_MAX_MS = 1_000
/** Time-outs of requests are rounded up to this; a caller's own time is kept by the retries. */
const TIMEOUT_STEP_MS = 100
/** Commands in one request: with the largest mailbox it still fits a transport's payload limit. */
const REQUEST_COUNT_MAX = 512

export class Router {
  readonly #deps: RouterDeps
  readonly #queues = new Map<number, Waiting[]>()
  #planned = false
  #closed = false

  constructor(deps: RouterDeps) {
    this.#deps = deps
  }

  get deps(): RouterDeps {
    return this.#deps
  }

  /** @throws TroupeError as the shard answered, or `unavailable` / `no-answer` after `timeoutMs` */
  command(command: Command, timeoutMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const end = this.#deps.clock.monotonic() + timeoutMs
      this.#enqueue({ command, end, tries: 0, resolve, reject })
    })
  }

  /** Nothing is tried again from now on: what waits is told how it stands. */
  close(): void {
    this.#closed = true
  }

  /** One question to one shard. */
  query(shard: number, query: ShardQuery, timeoutMs: number): Promise<unknown> {
    const { transport, subjects } = this.#deps
    return new Promise((resolve, reject) => {
      const request = { subject: subjects.query(shard), payload: pack(query), timeoutMs }
      transport.request(request, (outcome) => {
        const [answer] = outcomesOf(outcome, 1, (bytes) => [unpack(bytes) as Outcome])
        if (answer && 'ok' in answer) resolve(answer.ok)
        else reject(TroupeError.from(answer?.error ?? errorRecord('internal', 'an empty answer')))
      })
    })
  }

  #enqueue(waiting: Waiting): void {
    const shard = shardOf(waiting.command.address, this.#deps.shardCount)
    const queue = this.#queues.get(shard)
    if (queue) queue.push(waiting)
    else this.#queues.set(shard, [waiting])
    if (this.#planned) return
    this.#planned = true
    this.#deps.clock.defer(() => this.#flush())
  }

  #flush(): void {
    this.#planned = false
    const queues = [...this.#queues]
    this.#queues.clear()
    for (const [shard, queue] of queues) {
      for (let at = 0; at < queue.length; at += REQUEST_COUNT_MAX) {
        this.#send(shard, queue.slice(at, at + REQUEST_COUNT_MAX))
      }
    }
  }

  #send(shard: number, batch: readonly Waiting[]): void {
    const { transport, subjects, clock } = this.#deps
    let payload: Uint8Array
    try {
      payload = pack(batch.map((waiting) => waiting.command))
    } catch (thrown) {
      for (const waiting of batch)
        waiting.reject(TroupeError.from(toErrorRecord(thrown, 'malformed')))
      return
    }
    const now = clock.monotonic()
    let earliest = Number.POSITIVE_INFINITY
    for (const waiting of batch) earliest = Math.min(earliest, waiting.end)
    // In steps, so that a transport can let many requests share one timer.
    const timeoutMs = Math.max(1, Math.ceil((earliest - now) / TIMEOUT_STEP_MS)) * TIMEOUT_STEP_MS
    transport.request({ subject: subjects.shard(shard), payload, timeoutMs }, (outcome) => {
      const outcomes = outcomesOf(outcome, batch.length, (bytes) => unpack(bytes) as Outcome[])
      batch.forEach((waiting, index) => {
        this.#settle(
          waiting,
          outcomes[index] ?? { error: errorRecord('internal', 'an answer is missing') },
        )
      })
    })
  }

  /** Tries again when it can help and there is time; certainly or possibly applied ids are the same. */
  #settle(waiting: Waiting, outcome: Outcome): void {
    if ('ok' in outcome) return waiting.resolve(withDurability(outcome))
    const { clock } = this.#deps
    const waitMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** waiting.tries)
    const again = !this.#closed && outcome.error.retry && clock.monotonic() + waitMs < waiting.end
    if (!again) return waiting.reject(TroupeError.from(outcome.error))
    waiting.tries += 1
    clock.after(waitMs, () => this.#enqueue(waiting))
  }
}

/** Every reply about an actor says what was true before it left. */
function withDurability(outcome: Extract<Outcome, { ok: unknown }>): unknown {
  const { ok, durability } = outcome
  if (typeof ok === 'object' && ok !== null && 'address' in ok) Object.assign(ok, { durability })
  return ok
}

/** What a transport says, as one outcome per command. */
function outcomesOf(
  outcome: TransportOutcome,
  count: number,
  read: (bytes: Uint8Array) => Outcome[],
): Outcome[] {
  const all = (error: ErrorRecord): Outcome[] => new Array<Outcome>(count).fill({ error })
  switch (outcome.kind) {
    case 'no-responders':
      return all(errorRecord('unavailable', 'no node serves this shard now'))
    case 'timeout':
      return all(
        errorRecord(
          'no-answer',
          'no answer came in time; it may or may not have been applied: send it again with the same id, or look',
        ),
      )
    case 'reply':
      try {
        return read(outcome.payload)
      } catch (thrown) {
        return all(toErrorRecord(thrown))
      }
  }
}
