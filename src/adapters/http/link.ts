/**
 * What a worker in a process of its own needs of its node, over HTTP: a transport for commands and
 * cancels, and task queues. The node's side is `RemoteWorkers`.
 *
 * Decides: that one request is always open on which the node can answer (long polling), what is told
 * together, and how long to wait after a failure. Leaves to others: HTTP itself (`caller.ts`), what the
 * bytes mean.
 */
import {
  type Clock,
  type ConsumeOptions,
  type LinkAnswer,
  type LinkConsumer,
  type LinkDelivery,
  type LinkPoll,
  type LinkSettlement,
  type LinkState,
  type LinkTell,
  type Log,
  type MessageHandler,
  type Random,
  type SubscribeOptions,
  type Subscription,
  type TaskConsumer,
  type TaskDelivery,
  type TaskQueue,
  type Transport,
  type TransportOutcome,
  type TransportRequest,
  WORKER_FORM,
} from '../../ports/index.ts'
import { pack, TroupeError, toErrorRecord, unpack } from '../../protocol/index.ts'
import type { HttpCaller } from './caller.ts'

export interface HttpLinkOptions {
  caller: Pick<HttpCaller, 'call' | 'close'>
  /** Of the worker's data directory. */
  instance: string
  clock: Clock
  random: Random
  log: Log
}

const POLL_MS = 25_000
const TELL_MS = 10_000
/** Settlements of one request: after an outage there may be many, and a request has its bounds. */
const TELL_COUNT_MAX = 1_000
const PAUSE_FIRST_MS = 100
const PAUSE_MAX_MS = 5_000
/** The node refused before anything was done. */
const REFUSED: ReadonlySet<string> = new Set([
  'unavailable',
  'unauthorized',
  'forbidden',
  'conflict',
  'busy',
])

interface Consumer {
  mirrored: LinkConsumer
  deliver: (delivery: TaskDelivery) => void
}

export class HttpLink
  implements Pick<Transport, 'request' | 'subscribe'>, Pick<TaskQueue, 'consume'>
{
  readonly #options: HttpLinkOptions
  readonly #session: string
  readonly #consumers = new Map<number, Consumer>()
  readonly #handlers = new Map<string, Set<MessageHandler>>()
  readonly #stopping = new AbortController()
  #settled: LinkSettlement[] = []
  /** Deliveries that are worked on, which is told once however often it was said. */
  readonly #working = new Set<string>()
  #version = 0
  #toldVersion = 0
  #lastConsumer = 0
  #after = 0
  #polling: Promise<void> | undefined
  #telling = false
  #troubled = false

  constructor(options: HttpLinkOptions) {
    this.#options = options
    this.#session = options.random.id()
  }

  /** Commands of any shard: the node finds their owners. */
  request({ payload, timeoutMs }: TransportRequest, done: (outcome: TransportOutcome) => void) {
    this.#options.caller.call('commands', payload, { timeoutMs }).then(
      (answer) => done({ kind: 'reply', payload: answer }),
      (thrown: unknown) => {
        const isRefused = thrown instanceof TroupeError && REFUSED.has(thrown.code)
        done({ kind: isRefused ? 'no-responders' : 'timeout' })
      },
    )
  }

  /** What the node hears on a subject of this worker. */
  subscribe(subject: string, _options: SubscribeOptions, handle: MessageHandler): Subscription {
    const handlers = this.#handlers.get(subject) ?? new Set()
    this.#handlers.set(subject, handlers.add(handle))
    this.#begin()
    return { unsubscribe: () => void handlers.delete(handle) }
  }

  consume({ queue, slots }: ConsumeOptions, deliver: Consumer['deliver']): TaskConsumer {
    this.#lastConsumer += 1
    const id = this.#lastConsumer
    this.#consumers.set(id, { mirrored: { id, queue, slots }, deliver })
    this.#changed()
    return {
      stop: () => {
        if (this.#consumers.delete(id)) this.#changed()
      },
    }
  }

  /** Says goodbye, so that what waits for this worker need not wait for its silence. */
  async close(): Promise<void> {
    this.#stopping.abort()
    await this.#polling
    await this.#flushTold()
    const goodbye = this.#options.caller.call('leave', pack(this.#session), { timeoutMs: TELL_MS })
    await goodbye.catch((thrown: unknown) => this.#trouble('leave', thrown))
    this.#options.caller.close()
  }

  #begin(): void {
    if (!this.#stopping.signal.aborted) this.#polling ??= this.#pollOn()
  }

  #changed(): void {
    this.#version += 1
    this.#begin()
    this.#tellSoon()
  }

  #state(): LinkState {
    return {
      session: this.#session,
      instance: this.#options.instance,
      version: this.#version,
      consumers: [...this.#consumers.values()].map(({ mirrored }) => mirrored),
    }
  }

  async #pollOn(): Promise<void> {
    const { caller } = this.#options
    const { signal } = this.#stopping
    // What begins together is asked for together.
    await this.#pause(0)
    for (let failures = 0; !signal.aborted; ) {
      try {
        const poll: LinkPoll = { ...this.#state(), after: this.#after }
        const bytes = await caller.call('poll', pack({ ...poll, form: WORKER_FORM }), {
          timeoutMs: POLL_MS,
          signal,
        })
        failures = 0
        this.#troubled = false
        this.#take(unpack(bytes) as LinkAnswer)
      } catch (thrown) {
        if (signal.aborted) return
        this.#trouble('poll', thrown)
        await this.#pause(this.#pauseMs(failures++))
      }
    }
  }

  #take({ number, deliveries, messages }: LinkAnswer): void {
    if (number <= this.#after) return
    this.#after = number
    // What is no longer wanted first: what is new may take its place.
    for (const { subject, payload } of messages) {
      for (const handle of this.#handlers.get(subject) ?? []) handle({ subject, payload })
    }
    for (const delivery of deliveries) this.#receive(delivery)
  }

  #receive({ id, consumer, message }: LinkDelivery): void {
    let current = true
    const end = (how: 'ack' | 'retry', delayMs?: number) => {
      if (!current) return
      current = false
      this.#working.delete(id)
      this.#settled.push({ delivery: id, how, ...(delayMs === undefined ? {} : { delayMs }) })
      this.#tellSoon()
    }
    const delivery: TaskDelivery = {
      message,
      ack: () => end('ack'),
      retry: (delayMs) => end('retry', delayMs),
      working: () => {
        if (!current) return
        this.#working.add(id)
        this.#tellSoon()
      },
    }
    const known = this.#consumers.get(consumer)
    // It was stopped while the answer was on its way.
    if (known === undefined || this.#stopping.signal.aborted) delivery.retry(0)
    else known.deliver(delivery)
  }

  #tellSoon(): void {
    if (this.#telling || this.#stopping.signal.aborted) return
    this.#telling = true
    this.#options.clock.defer(() => {
      void this.#tellOn().finally(() => {
        this.#telling = false
        if (this.#hasNews()) this.#tellSoon()
      })
    })
  }

  #hasNews(): boolean {
    const { length } = this.#settled
    return length > 0 || this.#working.size > 0 || this.#toldVersion < this.#version
  }

  /** One at a time, in order, each until the node has it. */
  async #tellOn(): Promise<void> {
    for (let failures = 0; this.#hasNews() && !this.#stopping.signal.aborted; ) {
      try {
        await this.#tell()
        failures = 0
      } catch (thrown) {
        this.#trouble('tell', thrown)
        await this.#pause(this.#pauseMs(failures++))
      }
    }
  }

  async #tell(): Promise<void> {
    const ended = this.#settled.splice(0, TELL_COUNT_MAX)
    const working = [...this.#working].slice(0, TELL_COUNT_MAX - ended.length)
    for (const id of working) this.#working.delete(id)
    const settled = [
      ...ended,
      ...working.map((delivery) => ({ delivery, how: 'working' as const })),
    ]
    const tell: LinkTell = { ...this.#state(), settled }
    try {
      await this.#options.caller.call('tell', pack({ ...tell, form: WORKER_FORM }), {
        timeoutMs: TELL_MS,
      })
      this.#toldVersion = Math.max(this.#toldVersion, tell.version)
    } catch (thrown) {
      // What was said of work is said again by whoever works, as long as it does.
      this.#settled = [...ended, ...this.#settled]
      throw thrown
    }
  }

  async #flushTold(): Promise<void> {
    try {
      while (this.#settled.length > 0) await this.#tell()
    } catch (thrown) {
      this.#trouble('tell', thrown)
    }
  }

  #pauseMs(failures: number): number {
    const fullMs = Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** Math.min(failures, 10))
    return fullMs * (1 / 2 + this.#options.random.fraction() / 2)
  }

  /** Ends early when the link is closed. */
  #pause(delayMs: number): Promise<void> {
    const { signal } = this.#stopping
    if (signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const end = () => {
        cancel()
        signal.removeEventListener('abort', end)
        resolve()
      }
      const cancel = this.#options.clock.after(delayMs, end)
      signal.addEventListener('abort', end, { once: true })
    })
  }

  /** Said once, until something goes well again. */
  #trouble(what: string, thrown: unknown): void {
    if (this.#troubled) return
    this.#troubled = true
    const error = toErrorRecord(thrown)
    this.#options.log.warn({ what, error }, 'the node cannot be reached; the worker goes on trying')
  }
}
