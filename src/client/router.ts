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
  transport: Pick<Transport, 'request' | 'subscribe'>
  subjects: Subjects
  clock: Clock
  limits: Limits
  shardCount: number
  /**
   * How long a first try waits for its answer, where a node may die with it; each further one waits twice
   * as long. Without it an answer is waited for as long as the caller waits: none is lost in a process.
   */
  answerMs?: number
}

/** Something asked, until it is answered or the caller's time is over. */
interface Asked {
  /** On the monotonic clock. */
  end: number
  tries: number
  /** Tries that nobody answered. */
  unanswered: number
  resolve: (value: unknown) => void
  reject: (error: Error) => void
}

interface Waiting extends Asked {
  command: Command
}

interface Question extends Asked {
  shard: number
  payload: Uint8Array
}

/** First wait before another try; it doubles up to the second number. */
const RETRY_FIRST_MS = 10
const RETRY_MAX_MS = 1_000
/** Time-outs of requests are rounded up to this; a caller's own time is kept by the retries. */
const TIMEOUT_STEP_MS = 100
/** Commands in one request: as many as a batch takes. What is larger than can be sent is sent in parts. */
const REQUEST_COUNT_MAX = 512
/** What a command takes in a list beside itself, and a list beside its commands; its times may change. */
const ENTRY_BYTES_MAX = 16

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
      const end = this.endOf(timeoutMs)
      this.#enqueue({ command, end, tries: 0, unanswered: 0, resolve, reject })
    })
  }

  /** Nothing is tried again from now on: what waits is told how it stands. */
  close(): void {
    this.#closed = true
  }

  /** When a call that begins now has to be answered, on the monotonic clock. */
  endOf(timeoutMs: number): number {
    return this.#deps.clock.monotonic() + timeoutMs
  }

  /** One question to one shard: it changes nothing, so it is asked again as long as there is time. */
  query(shard: number, query: ShardQuery, end: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#ask({ shard, payload: pack(query), end, tries: 0, unanswered: 0, resolve, reject })
    })
  }

  #ask(question: Question): void {
    const { transport, subjects } = this.#deps
    const { shard, payload } = question
    const request = {
      subject: subjects.query(shard),
      payload,
      timeoutMs: this.#timeoutOf(question),
    }
    transport.request(request, (outcome) => {
      const [answer = MISSING] = outcomesOf(outcome, 1, (bytes) => [unpack(bytes) as Outcome])
      if ('ok' in answer) return question.resolve(answer.ok)
      const waitMs = this.#waitBefore(question, answer.error)
      if (waitMs === undefined) return question.reject(TroupeError.from(answer.error))
      this.#deps.clock.after(waitMs, () => this.#ask(question))
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
    const { transport, subjects } = this.#deps
    const now = this.#deps.clock.monotonic()
    let timeoutMs = Number.POSITIVE_INFINITY
    for (const waiting of batch) {
      waiting.command.timeoutMs = Math.max(0, Math.ceil(waiting.end - now))
      timeoutMs = Math.min(timeoutMs, this.#timeoutOf(waiting, now))
    }
    let payload: Uint8Array
    try {
      payload = pack(batch.map((waiting) => waiting.command))
    } catch (thrown) {
      for (const waiting of batch)
        waiting.reject(TroupeError.from(toErrorRecord(thrown, 'malformed')))
      return
    }
    transport.request({ subject: subjects.shard(shard), payload, timeoutMs }, (outcome) => {
      // Those that were applied are known by their ids, and answered again.
      if (outcome.kind === 'too-large' && batch.length > 1) {
        for (const part of partsOf(batch, outcome)) this.#send(shard, part)
        return
      }
      const outcomes = outcomesOf(outcome, batch.length, (bytes) => unpack(bytes) as Outcome[])
      batch.forEach((waiting, index) => {
        this.#settle(waiting, outcomes[index] ?? MISSING)
      })
    })
  }

  /** Certainly or possibly applied commands are sent again under the same id. */
  #settle(waiting: Waiting, outcome: Outcome): void {
    if ('ok' in outcome) return waiting.resolve(withDurability(outcome))
    const waitMs = this.#waitBefore(waiting, outcome.error)
    if (waitMs === undefined) return waiting.reject(TroupeError.from(outcome.error))
    this.#deps.clock.after(waitMs, () => this.#enqueue(waiting))
  }

  /** In steps, so that a transport can let many requests share one timer. */
  #timeoutOf({ end, unanswered }: Asked, now = this.#deps.clock.monotonic()): number {
    const { answerMs = Number.POSITIVE_INFINITY } = this.#deps
    const waitMs = Math.min(end - now, answerMs * 2 ** unanswered)
    return Math.max(1, Math.ceil(waitMs / TIMEOUT_STEP_MS)) * TIMEOUT_STEP_MS
  }

  /** How long to wait before another try; undefined when none can help or there is no time for it. */
  #waitBefore(asked: Asked, error: ErrorRecord): number | undefined {
    if (this.#closed || !error.retry) return undefined
    if (error.code === 'no-answer') asked.unanswered += 1
    const waitMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** asked.tries)
    if (this.#deps.clock.monotonic() + waitMs >= asked.end) return undefined
    asked.tries += 1
    return waitMs
  }
}

const MISSING: Outcome = { error: errorRecord('internal', 'an answer is missing') }

/** Every reply about an actor says what was true before it left. */
function withDurability(outcome: Extract<Outcome, { ok: unknown }>): unknown {
  const { ok, durability } = outcome
  if (typeof ok === 'object' && ok !== null && 'address' in ok) Object.assign(ok, { durability })
  return ok
}

/** All leave at once, so that they keep their order; what is asked again only was taken in order before. */
function partsOf(
  batch: readonly Waiting[],
  { what, bytesMax }: { what: 'request' | 'reply'; bytesMax: number },
): Waiting[][] {
  const parts: Waiting[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const waiting of what === 'request' ? batch : []) {
    const ownBytes = pack(waiting.command).length + ENTRY_BYTES_MAX
    bytes += ownBytes
    if (bytes <= bytesMax) parts.at(-1)!.push(waiting)
    else {
      parts.push([waiting])
      bytes = ownBytes + ENTRY_BYTES_MAX
    }
  }
  if (parts.length > 1) return parts
  const middle = Math.ceil(batch.length / 2)
  return [batch.slice(0, middle), batch.slice(middle)]
}

const TOO_LARGE = {
  request: (bytesMax: number) =>
    `the request is larger than the ${bytesMax} bytes that can be sent`,
  reply: (bytesMax: number) =>
    `the answer is larger than the ${bytesMax} bytes that can be sent; what was asked for is done: ask for less of it`,
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
    case 'too-large':
      return all(errorRecord('too-large', TOO_LARGE[outcome.what](outcome.bytesMax)))
    case 'reply':
      try {
        return read(outcome.payload)
      } catch (thrown) {
        return all(toErrorRecord(thrown))
      }
  }
}
