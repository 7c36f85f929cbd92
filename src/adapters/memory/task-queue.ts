/**
 * The task queue inside one process.
 *
 * Decides: the order (larger priority first, then first come first served), taking turns among
 * consumers that have free slots, and redelivery: a delivery without `ack`, `retry` or `working` for
 * `ackWaitMs` goes back to its place and frees its slot. An `ack` counts however late it comes, also
 * after the message went back; a late `retry` or `working` does not.
 * Every operation is O(log n) in the messages that wait.
 * Leaves to others: surviving a restart (the engine publishes again from the store).
 */
import type {
  Clock,
  ConsumeOptions,
  TaskConsumer,
  TaskDelivery,
  TaskMessage,
  TaskQueue,
} from '../../ports/index.ts'
import { Deadlines, type Waiter } from './deadlines.ts'
import { Heap } from './heap.ts'

const ACK_WAIT_MS = 30_000
const DEDUPE_WINDOW_MS = 120_000
/** Deliveries in one go, before others get the event loop. */
const DELIVERIES_PER_TURN_MAX = 256

export interface MemoryTaskQueueOptions {
  clock: Clock
  ackWaitMs?: number
  dedupeWindowMs?: number
}

interface Entry {
  message: TaskMessage
  /** First come, first served within a priority; kept when the message goes back. */
  order: number
  state: 'waiting' | 'out' | 'done'
  lane: Lane
}

interface Delayed {
  entry: Entry
  dueMs: number
  order: number
}

interface Consumer {
  deliver: (delivery: TaskDelivery) => void
  freeSlots: number
  stopped: boolean
}

/** One queue by name. */
interface Lane {
  ready: Heap<Entry>
  /** Waiting messages, delayed ones included, acknowledged ones not. */
  depth: number
  /** Consumers with free slots; the first has waited longest. */
  idle: Set<Consumer>
  pumping: boolean
}

export class MemoryTaskQueue implements TaskQueue {
  private readonly clock: Clock
  private readonly dedupeWindowMs: number
  private readonly lanes = new Map<string, Lane>()
  private readonly delayed = new Heap<Delayed>(
    (a, b) => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order),
  )
  private wakeMs = Number.POSITIVE_INFINITY
  private cancelWake: (() => void) | undefined
  /** Message ids with the time until which they are known, oldest first. */
  private readonly known = new Map<string, number>()
  private readonly unacknowledged: Deadlines<Delivery>
  private published = 0
  private faults: { happened: boolean }[] = []

  constructor(options: MemoryTaskQueueOptions) {
    this.clock = options.clock
    this.dedupeWindowMs = options.dedupeWindowMs ?? DEDUPE_WINDOW_MS
    this.unacknowledged = new Deadlines(this.clock, options.ackWaitMs ?? ACK_WAIT_MS, (delivery) =>
      delivery.expire(),
    )
  }

  publish(message: TaskMessage, done: (outcome: 'published' | 'unknown') => void): void {
    const fault = this.faults.shift()
    if (fault?.happened !== false && this.isNew(message.messageId)) this.accept({ ...message })
    this.clock.defer(() => done(fault === undefined ? 'published' : 'unknown'))
  }

  consume(options: ConsumeOptions, deliver: (delivery: TaskDelivery) => void): TaskConsumer {
    const lane = this.lane(options.queue)
    const consumer: Consumer = { deliver, freeSlots: options.slots, stopped: false }
    if (consumer.freeSlots > 0) lane.idle.add(consumer)
    this.pumpSoon(lane)
    return {
      stop: () => {
        consumer.stopped = true
        lane.idle.delete(consumer)
      },
    }
  }

  depth(queue: string): number {
    return this.lanes.get(queue)?.depth ?? 0
  }

  /** The next publication has an unknown outcome. */
  failNext(fault: { happened: boolean }): void {
    this.faults.push(fault)
  }

  /** Stops timers; nothing is delivered any more. */
  close(): void {
    this.cancelWake?.()
    this.unacknowledged.clear()
    for (const lane of this.lanes.values()) lane.idle.clear()
  }

  /** @internal for deliveries */
  watch(delivery: Delivery): void {
    this.unacknowledged.add(delivery)
  }

  /** @internal for deliveries: the consumer has a slot again. */
  free(consumer: Consumer, lane: Lane): void {
    consumer.freeSlots++
    if (consumer.stopped) return
    lane.idle.add(consumer)
    this.pumpSoon(lane)
  }

  /** @internal for deliveries */
  unwatch(delivery: Delivery): void {
    this.unacknowledged.remove(delivery)
  }

  /** @internal for deliveries: the entry is done with, wherever it is. */
  finish(entry: Entry): void {
    // It stays in its heap, which skips it.
    if (entry.state === 'waiting') entry.lane.depth--
    entry.state = 'done'
  }

  /** @internal for deliveries: the entry waits again. */
  putBack(entry: Entry, delayMs: number): void {
    if (entry.state === 'done') return
    entry.state = 'waiting'
    entry.lane.depth++
    this.enqueue(entry, delayMs)
  }

  private accept(message: TaskMessage): void {
    const lane = this.lane(message.queue)
    lane.depth++
    const entry: Entry = { message, order: this.published++, state: 'waiting', lane }
    this.enqueue(entry, 0)
  }

  private enqueue(entry: Entry, delayMs: number): void {
    const { notBefore } = entry.message
    // The wall clock may jump: what is due by it is judged again when the timer fires.
    const leftMs = Math.max(delayMs, notBefore === undefined ? 0 : notBefore - this.clock.now())
    if (leftMs > 0) {
      this.delayed.push({ entry, dueMs: this.clock.monotonic() + leftMs, order: entry.order })
      this.wakeForDelayed()
      return
    }
    entry.lane.ready.push(entry)
    this.pumpSoon(entry.lane)
  }

  private wakeForDelayed(): void {
    const first = this.delayed.peek()
    if (first === undefined || first.dueMs >= this.wakeMs) return
    this.cancelWake?.()
    this.wakeMs = first.dueMs
    this.cancelWake = this.clock.after(first.dueMs - this.clock.monotonic(), () => {
      this.cancelWake = undefined
      this.wakeMs = Number.POSITIVE_INFINITY
      const nowMs = this.clock.monotonic()
      while ((this.delayed.peek()?.dueMs ?? Number.POSITIVE_INFINITY) <= nowMs) {
        const { entry } = this.delayed.pop()!
        if (entry.state === 'waiting') this.enqueue(entry, 0)
      }
      this.wakeForDelayed()
    })
  }

  private pumpSoon(lane: Lane): void {
    if (lane.pumping || lane.idle.size === 0 || lane.ready.size === 0) return
    lane.pumping = true
    this.clock.defer(() => this.pump(lane))
  }

  private pump(lane: Lane): void {
    try {
      for (let count = 0; count < DELIVERIES_PER_TURN_MAX; count++) {
        const [consumer] = lane.idle
        if (consumer === undefined) return
        const entry = nextWaiting(lane)
        if (entry === undefined) return
        lane.idle.delete(consumer)
        consumer.freeSlots--
        // Last in line now: consumers take turns.
        if (consumer.freeSlots > 0) lane.idle.add(consumer)
        entry.state = 'out'
        lane.depth--
        consumer.deliver(new Delivery(this, entry, consumer))
      }
    } finally {
      lane.pumping = false
      this.pumpSoon(lane)
    }
  }

  private isNew(messageId: string): boolean {
    const nowMs = this.clock.monotonic()
    for (const [id, untilMs] of this.known) {
      if (untilMs > nowMs) break
      this.known.delete(id)
    }
    if (this.known.has(messageId)) return false
    this.known.set(messageId, nowMs + this.dedupeWindowMs)
    return true
  }

  private lane(queue: string): Lane {
    let lane = this.lanes.get(queue)
    if (lane === undefined) {
      const ready = new Heap<Entry>(comesBefore)
      lane = { ready, depth: 0, idle: new Set(), pumping: false }
      this.lanes.set(queue, lane)
    }
    return lane
  }
}

function comesBefore(a: Entry, b: Entry): boolean {
  const byPriority = a.message.priority - b.message.priority
  return byPriority > 0 || (byPriority === 0 && a.order < b.order)
}

function nextWaiting(lane: Lane): Entry | undefined {
  for (;;) {
    const entry = lane.ready.pop()
    if (entry === undefined || entry.state === 'waiting') return entry
  }
}

class Delivery implements TaskDelivery, Waiter {
  dueMs = 0
  earlier: Waiter | undefined = undefined
  later: Waiter | undefined = undefined
  readonly message: TaskMessage
  private readonly queue: MemoryTaskQueue
  private readonly entry: Entry
  private readonly consumer: Consumer
  /** Whether the message is still this delivery's. */
  private current = true

  constructor(queue: MemoryTaskQueue, entry: Entry, consumer: Consumer) {
    this.queue = queue
    this.entry = entry
    this.consumer = consumer
    this.message = entry.message
    queue.watch(this)
  }

  // Bound, as consumers like to take a delivery apart.
  readonly ack = (): void => {
    this.queue.finish(this.entry)
    this.end()
  }

  readonly retry = (delayMs: number): void => {
    if (this.end()) this.queue.putBack(this.entry, delayMs)
  }

  readonly working = (): void => {
    if (this.current) this.queue.watch(this)
  }

  expire(): void {
    if (this.end()) this.queue.putBack(this.entry, 0)
  }

  private end(): boolean {
    if (!this.current) return false
    this.current = false
    this.queue.unwatch(this)
    this.queue.free(this.consumer, this.entry.lane)
    return true
  }
}
