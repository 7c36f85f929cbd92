/**
 * From commands to shards. Decides: what is sent together (everything for one shard in one turn of
 * the event loop), and when to try again within the caller's time. A repeat carries the same id. While nobody
 * serves a shard, all that is for it waits together, and one try is made for all: whoever takes it next meets
 * few requests, in order. What was sent before and is not answered by then is asked again with them.
 */
import type { Clock, NearShards, Transport, TransportOutcome } from '../ports/index.ts'
import {
  type Command,
  type Durability,
  type ErrorRecord,
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
import { NearRequests, type Plain } from './near-requests.ts'
import { isMoved, MISSING, MOVED, NO_ANSWER, NOBODY, outcomesOf } from './outcomes.ts'

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
  /** Those that this process serves, where it has any. */
  near?: NearShards
}

/** What is said with a command. */
export interface Asking {
  timeoutMs: number
  /** See `Handed`. */
  plain?: Plain | undefined
}

/** Neither may throw: others are told behind them. */
export interface Told {
  resolve: (value: unknown) => void
  reject: (error: Error) => void
}

/** Something asked, until it is answered or the caller's time is over. */
interface Asked extends Told {
  /** On the monotonic clock. */
  end: number
  tries: number
  /** Tries that nobody answered. */
  unanswered: number
}

interface Waiting extends Asked {
  /** In the order in which they were asked. */
  number: number
  command: Command
  plain: Plain | undefined
  /** A shard of this process has had it. */
  wasHanded: boolean
}

/** One request, until its outcome is known, or it is asked again. */
interface Sent {
  /** In the order in which they were sent. */
  number: number
  batch: readonly Waiting[]
  isOpen: boolean
  /** It has not left the process. */
  isNear: boolean
}

/** What is for one shard. */
interface Lane {
  readonly shard: number
  readonly subject: string
  /** To be sent in this turn of the event loop; or, while nobody is there, with the next tries. */
  waiting: Waiting[]
  readonly sent: Set<Sent>
  /** Since when nobody has been there, on the monotonic clock; undefined when somebody is, or may be. */
  absentSinceMs: number | undefined
  /** When the next try is made. */
  retryAtMs: number
}

interface Question extends Asked {
  shard: number
  payload: Uint8Array
}

/** First wait before another try; it doubles up to the second number. */
const RETRY_FIRST_MS = 10
const RETRY_MAX_MS = 1_000
/**
 * A shard that nobody serves is tried again after this part of the time for which nobody has: what waits is
 * served at most so much later than it could be, and many clients of a cluster that is down stay quiet.
 */
const ABSENCE_RETRY_SHARE = 1 / 8
/** Time-outs of requests are rounded up to this; a caller's own time is kept by the retries. */
const TIMEOUT_STEP_MS = 100
/** Commands in one request: as many as a batch takes. What is larger than can be sent is sent in parts. */
const REQUEST_COUNT_MAX = 512
/** What a command takes in a list beside itself, and a list beside its commands; its times may change. */
const ENTRY_BYTES_MAX = 16

export class Router {
  readonly #deps: RouterDeps
  #count = 0
  readonly #lanes = new Map<number, Lane>()
  /** Those that have something to be sent in this turn of the event loop. */
  readonly #due = new Set<Lane>()
  readonly #near: NearRequests | undefined
  #closed = false

  constructor(deps: RouterDeps) {
    const { near, clock, limits } = deps
    this.#deps = deps
    this.#near = near && new NearRequests({ near, clock, limits })
  }

  get deps(): RouterDeps {
    return this.#deps
  }

  /** It ends as the shard answers, or with `unavailable` / `no-answer` after `timeoutMs`. */
  command(command: Command, { timeoutMs, plain }: Asking, { resolve, reject }: Told): void {
    const end = this.endOf(timeoutMs)
    const number = ++this.#count
    const asked = { end, tries: 0, unanswered: 0, resolve, reject }
    this.#enqueue({ number, command, plain, wasHanded: false, ...asked })
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
    const lane = this.#laneOf(shardOf(waiting.command.address, this.#deps.shardCount))
    const isTryPlanned =
      lane.absentSinceMs !== undefined && this.#deps.clock.monotonic() < lane.retryAtMs
    // Whoever has no time for the next try is told now how it stands.
    if (isTryPlanned && waiting.end <= lane.retryAtMs) return this.#send(lane, [waiting])
    lane.waiting.push(waiting)
    if (!isTryPlanned) this.#sendSoon(lane)
  }

  #laneOf(shard: number): Lane {
    let lane = this.#lanes.get(shard)
    if (!lane) {
      const subject = this.#deps.subjects.shard(shard)
      const absence = { absentSinceMs: undefined, retryAtMs: 0 }
      lane = { shard, subject, waiting: [], sent: new Set(), ...absence }
      this.#lanes.set(shard, lane)
    }
    return lane
  }

  #sendSoon(lane: Lane): void {
    const isPlanned = this.#due.size > 0
    this.#due.add(lane)
    if (!isPlanned) this.#deps.clock.defer(() => this.#flush())
  }

  #flush(): void {
    const lanes = [...this.#due]
    this.#due.clear()
    for (const lane of lanes) {
      const { waiting, absentSinceMs } = lane
      // A try is one request: the rest goes once somebody has answered it.
      const count = absentSinceMs === undefined ? waiting.length : REQUEST_COUNT_MAX
      lane.waiting = waiting.slice(count)
      for (let at = 0; at < Math.min(count, waiting.length); at += REQUEST_COUNT_MAX) {
        this.#send(lane, waiting.slice(at, at + REQUEST_COUNT_MAX))
      }
    }
  }

  #send(lane: Lane, batch: readonly Waiting[]): void {
    const { transport } = this.#deps
    const now = this.#deps.clock.monotonic()
    let timeoutMs = Number.POSITIVE_INFINITY
    for (const waiting of batch) {
      if (waiting.wasHanded) renew(waiting)
      waiting.command.timeoutMs = Math.max(0, Math.ceil(waiting.end - now))
      timeoutMs = Math.min(timeoutMs, this.#timeoutOf(waiting, now))
    }
    if (this.#handOver(lane, batch, timeoutMs)) return
    let payload: Uint8Array
    try {
      payload = pack(batch.map((waiting) => waiting.command))
    } catch (thrown) {
      for (const waiting of batch)
        waiting.reject(TroupeError.from(toErrorRecord(thrown, 'malformed')))
      if (lane.waiting.length > 0) this.#sendSoon(lane)
      return
    }
    const sent = this.#sent(lane, batch, false)
    transport.request({ subject: lane.subject, payload, timeoutMs }, (outcome) => {
      // It was given up, and asked again.
      if (!sent.isOpen) return
      lane.sent.delete(sent)
      this.#answered(lane, sent, outcome)
    })
  }

  #sent(lane: Lane, batch: readonly Waiting[], isNear: boolean): Sent {
    const sent: Sent = { number: ++this.#count, batch, isOpen: true, isNear }
    lane.sent.add(sent)
    return sent
  }

  /** To a shard of this process. What left it before must not be overtaken. */
  #handOver(lane: Lane, batch: readonly Waiting[], timeoutMs: number): boolean {
    if (!this.#near) return false
    for (const { isNear } of lane.sent) if (!isNear) return false
    const sent = this.#sent(lane, batch, true)
    const isHanded = this.#near.hand(lane.shard, batch, timeoutMs, (outcome) => {
      if (!sent.isOpen) return
      lane.sent.delete(sent)
      if (Array.isArray(outcome)) this.#told(lane, batch, outcome, true)
      else this.#answered(lane, sent, outcome)
    })
    if (isHanded) for (const waiting of batch) waiting.wasHanded = true
    else lane.sent.delete(sent)
    return isHanded
  }

  #answered(lane: Lane, sent: Sent, outcome: TransportOutcome): void {
    const { batch } = sent
    // Those that were applied are known by their ids, and answered again.
    if (outcome.kind === 'too-large' && batch.length > 1) {
      for (const part of partsOf(batch, outcome)) this.#send(lane, part)
      return
    }
    if (outcome.kind === 'no-responders') return this.#nobodyThere(lane, sent)
    const outcomes = outcomesOf(outcome, batch.length, (bytes) => unpack(bytes) as Outcome[])
    this.#told(lane, batch, outcomes, outcome.kind === 'reply')
  }

  #told(
    lane: Lane,
    batch: readonly Waiting[],
    outcomes: readonly Outcome[],
    isAnswered: boolean,
  ): void {
    const moved: Waiting[] = []
    batch.forEach((waiting, index) => {
      const own = outcomes[index] ?? MISSING
      if (isMoved(own)) moved.push(waiting)
      else this.#settle(waiting, own)
    })
    if (moved.length > 0) return this.#park(lane, moved, MOVED)
    if (lane.absentSinceMs === undefined) return
    if (isAnswered) this.#somebodyThere(lane)
    else if (lane.waiting.length > 0) this.#planTry(lane)
  }

  /** What was sent before has gone to who is there no more: it waits with the rest. */
  #nobodyThere(lane: Lane, { number, batch }: Sent): void {
    const before = [...lane.sent].filter((sent) => sent.number < number)
    for (const sent of before) {
      sent.isOpen = false
      lane.sent.delete(sent)
    }
    const unanswered = before.flatMap((sent) => sent.batch)
    for (const waiting of unanswered) waiting.unanswered += 1
    this.#park(lane, [...unanswered, ...batch], NOBODY)
  }

  /** They wait for the next try, in order with what was not sent yet; who has no time for it is told now. */
  #park(lane: Lane, batch: readonly Waiting[], error: ErrorRecord): void {
    this.#planTry(lane)
    const all = [...batch, ...lane.waiting].sort((a, b) => a.number - b.number)
    const mayWait = ({ end }: Waiting) => !this.#closed && end > lane.retryAtMs
    lane.waiting = all.filter(mayWait)
    for (const waiting of all.filter((one) => !mayWait(one))) this.#refuse(waiting, error)
  }

  #planTry(lane: Lane): void {
    const { clock } = this.#deps
    const nowMs = clock.monotonic()
    if (lane.absentSinceMs !== undefined && nowMs < lane.retryAtMs) return
    // Nobody has asked for long: that says nothing of how long nobody was there.
    if (nowMs - lane.retryAtMs > RETRY_MAX_MS) lane.absentSinceMs = undefined
    lane.absentSinceMs ??= nowMs
    const shareMs = Math.ceil((nowMs - lane.absentSinceMs) * ABSENCE_RETRY_SHARE)
    const waitMs = Math.min(RETRY_MAX_MS, Math.max(RETRY_FIRST_MS, shareMs))
    lane.retryAtMs = nowMs + waitMs
    clock.after(waitMs, () => this.#sendSoon(lane))
  }

  #somebodyThere(lane: Lane): void {
    lane.absentSinceMs = undefined
    if (lane.waiting.length > 0) this.#sendSoon(lane)
  }

  /** Certainly or possibly applied commands are sent again under the same id. */
  #settle(waiting: Waiting, outcome: Outcome): void {
    if ('ok' in outcome) return waiting.resolve(withDurability(outcome))
    const waitMs = this.#waitBefore(waiting, outcome.error)
    if (waitMs === undefined) return this.#refuse(waiting, outcome.error)
    this.#deps.clock.after(waitMs, () => this.#enqueue(waiting))
  }

  /** A try that nobody answered may have been applied, whatever was said of a later one that was not. */
  #refuse({ unanswered, reject }: Waiting, error: ErrorRecord): void {
    reject(TroupeError.from(error.retry && unanswered > 0 ? NO_ANSWER : error))
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

/** As it was before a shard had it, under its id. */
function renew(waiting: Waiting): void {
  waiting.command = { ...waiting.command, ...waiting.plain?.again() }
  waiting.wasHanded = false
}

/** Every reply about an actor says what was true before it left. */
function withDurability(outcome: Extract<Outcome, { ok: unknown }>): unknown {
  const { ok, durability } = outcome
  if (typeof ok !== 'object' || ok === null || !('address' in ok)) return ok
  const view = ok as { durability?: Durability }
  view.durability = durability
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
