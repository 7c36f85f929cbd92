/**
 * One worker in a process of its own, as its node sees it: the consumers that it has, what it was given,
 * what waits for it.
 *
 * Decides: when its consumers take part in their queues (while it asks, and is admitted), and what
 * becomes of deliveries that it did not take: they go back at once when the worker is seen to be gone,
 * and are given again when only an answer was lost. Leaves to others: who the worker is.
 */
import type {
  Clock,
  LinkAnswer,
  LinkConsumer,
  LinkDelivery,
  LinkMessage,
  LinkPoll,
  LinkSettlement,
  LinkState,
  LinkTell,
  TaskConsumer,
  TaskDelivery,
  TaskQueue,
} from '../../ports/index.ts'

export interface SessionDeps {
  session: string
  taskQueue: Pick<TaskQueue, 'consume'>
  clock: Clock
  /** A fresh name for a delivery. */
  deliveryId: () => string
}

/** A worker asks again at once; one that has not for this long is gone, or cannot reach us. */
const GAP_MS = 5_000
/** Deliveries that nobody settled are forgotten after this: their queue has given them to others. */
const FORGET_MS = 15 * 60_000
/** Messages beyond it are dropped, oldest first: they are hints, and heartbeats tell the same. */
const MESSAGES_MAX = 10_000

interface Mirrored {
  consumer: LinkConsumer
  /** Undefined while it takes no part. */
  running: TaskConsumer | undefined
}

interface Out {
  delivery: TaskDelivery
  sinceMs: number
}

export class RemoteSession {
  readonly #deps: SessionDeps
  readonly #consumers = new Map<number, Mirrored>()
  /** Not settled yet, oldest first. */
  readonly #out = new Map<string, Out>()
  #deliveries: LinkDelivery[] = []
  #messages: LinkMessage[] = []
  #version = -1
  #number = 0
  /** Given, and not known to have arrived. */
  #unconfirmed: LinkAnswer | undefined
  #admitted: boolean
  #asking = false
  #wake: (why: 'something' | 'replaced') => void = () => {}
  #cancelGap: () => void = () => {}
  #closed = false

  constructor(deps: SessionDeps, admitted: boolean) {
    this.#deps = deps
    this.#admitted = admitted
  }

  get id(): string {
    return this.#deps.session
  }

  /** True while the worker asks, or did a moment ago. */
  get asking(): boolean {
    return this.#asking
  }

  /** At most one question is open: a new one ends the one before. */
  async poll(
    request: LinkPoll,
    { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
  ): Promise<LinkAnswer> {
    this.#wake('replaced')
    this.#cancelGap()
    this.#asking = true
    this.#forgetOld()
    this.#apply(request)
    const { after } = request
    const lost = this.#unconfirmed
    if (lost !== undefined && lost.number > after) return this.#leaveOff(lost)
    this.#unconfirmed = undefined
    // Numbers go on where another process of the node was.
    this.#number = Math.max(this.#number, after)
    this.#resume()
    const why = await this.#something(timeoutMs, signal)
    const nothing = { number: after, deliveries: [], messages: [] }
    if (why === 'replaced') return nothing
    if (why === 'gone') {
      this.pause()
      return nothing
    }
    if (this.#deliveries.length === 0 && this.#messages.length === 0) return this.#leaveOff(nothing)
    this.#number += 1
    const answer = {
      number: this.#number,
      deliveries: this.#deliveries,
      messages: this.#messages,
    }
    this.#deliveries = []
    this.#messages = []
    this.#unconfirmed = answer
    return this.#leaveOff(answer)
  }

  tell({ settled, ...state }: LinkTell): void {
    this.#apply(state)
    if (this.#asking) this.#resume()
    for (const one of settled) this.#settle(one)
  }

  message(message: LinkMessage): void {
    if (this.#messages.length >= MESSAGES_MAX) this.#messages.shift()
    this.#messages.push(message)
    this.#wake('something')
  }

  admit(admitted: boolean): void {
    this.#admitted = admitted
    if (!admitted) this.#withdraw()
    else if (this.#asking) this.#resume()
  }

  /** The worker does not ask any more: what waits for it is for others. */
  pause(): void {
    this.#cancelGap()
    this.#asking = false
    this.#withdraw()
  }

  /** For good: also what was given and not settled goes back. A worker that has begun it is known. */
  close(): void {
    this.#closed = true
    this.#wake('replaced')
    this.pause()
    for (const { delivery } of this.#out.values()) delivery.retry(0)
    this.#out.clear()
  }

  /** From here on the worker has some time to ask again. */
  #leaveOff(answer: LinkAnswer): LinkAnswer {
    this.#cancelGap()
    if (!this.#closed) this.#cancelGap = this.#deps.clock.after(GAP_MS, () => this.pause())
    return answer
  }

  #something(
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<'something' | 'replaced' | 'gone' | 'nothing'> {
    if (signal.aborted) return Promise.resolve('gone')
    if (this.#deliveries.length > 0 || this.#messages.length > 0)
      return Promise.resolve('something')
    return new Promise((resolve) => {
      const end = (why: 'something' | 'replaced' | 'gone' | 'nothing') => {
        cancel()
        signal.removeEventListener('abort', gone)
        this.#wake = () => {}
        resolve(why)
      }
      const gone = () => end('gone')
      const cancel = this.#deps.clock.after(timeoutMs, () => end('nothing'))
      signal.addEventListener('abort', gone, { once: true })
      this.#wake = end
    })
  }

  #apply({ version, consumers }: LinkState): void {
    if (version <= this.#version || this.#closed) return
    this.#version = version
    const wanted = new Set(consumers.map(({ id }) => id))
    for (const [id, { running }] of this.#consumers) {
      if (wanted.has(id)) continue
      running?.stop()
      this.#consumers.delete(id)
    }
    for (const consumer of consumers) {
      if (this.#consumers.has(consumer.id)) continue
      this.#consumers.set(consumer.id, { consumer, running: undefined })
    }
  }

  /** All consumers take part in their queues. */
  #resume(): void {
    if (!this.#admitted || this.#closed) return
    for (const mirrored of this.#consumers.values()) {
      const { id, queue, slots } = mirrored.consumer
      mirrored.running ??= this.#deps.taskQueue.consume({ queue, slots }, (delivery) =>
        this.#deliver(id, delivery),
      )
    }
  }

  /** None does, and what was not given yet goes back. */
  #withdraw(): void {
    for (const mirrored of this.#consumers.values()) {
      mirrored.running?.stop()
      mirrored.running = undefined
    }
    for (const { id } of this.#deliveries) this.#settle({ delivery: id, how: 'retry', delayMs: 0 })
    this.#deliveries = []
  }

  #deliver(consumer: number, delivery: TaskDelivery): void {
    const id = this.#deps.deliveryId()
    this.#out.set(id, { delivery, sinceMs: this.#deps.clock.monotonic() })
    this.#deliveries.push({ id, consumer, message: delivery.message })
    this.#wake('something')
  }

  #settle({ delivery: id, how, delayMs = 0 }: LinkSettlement): void {
    const out = this.#out.get(id)
    if (out === undefined) return
    if (how === 'working') return out.delivery.working()
    this.#out.delete(id)
    if (how === 'ack') out.delivery.ack()
    else out.delivery.retry(delayMs)
  }

  #forgetOld(): void {
    const before = this.#deps.clock.monotonic() - FORGET_MS
    for (const [id, { sinceMs }] of this.#out) {
      if (sinceMs > before) return
      this.#out.delete(id)
    }
  }
}
