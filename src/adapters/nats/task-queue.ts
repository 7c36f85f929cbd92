/**
 * Task queues over JetStream: one stream for the tasks of a cluster, with work-queue retention.
 *
 * Decides: what becomes of a message that a server sends. One that was acknowledged here is acknowledged
 * again, as a server that was killed forgets acknowledgements; one that is out here goes on as the same
 * delivery; one before its time is given back until then and costs no slot; one that finds no slot goes
 * back at once; what is no task is removed. Also: the stream is created again when it is gone, since the
 * rows of the owners are the truth and not the queue; by nodes, as workers elsewhere are guests.
 * Order: by priority, and as published within one, for each consumer; a message that was given back comes
 * before those that wait.
 * Leaves to others: asking (task-reader.ts, task-lane.ts, task-pulls.ts), publishing, depths.
 */
import { DiscardPolicy, type Msg, RetentionPolicy, StorageType } from 'nats'
import type {
  Clock,
  ConsumeOptions,
  Log,
  TaskConsumer,
  TaskDelivery,
  TaskMessage,
  TaskQueue,
} from '../../ports/index.ts'
import { messageOfThrown } from '../../protocol/index.ts'
import { readInfo } from './api.ts'
import type { Connection } from './connection.ts'
import type { Hearing } from './rights.ts'
import { createStream, type StreamShape } from './streams.ts'
import { ACK, Delivery, nak } from './task-delivery.ts'
import { TaskLane } from './task-lane.ts'
import { decodeTask } from './task-messages.ts'
import { type TaskNames, taskNames } from './task-names.ts'
import { TaskPublisher } from './task-publisher.ts'
import { TaskPulls } from './task-pulls.ts'
import { TaskReader } from './task-reader.ts'
import { TaskSurvey } from './task-survey.ts'

export interface NatsTaskQueueOptions extends NatsTaskGuestOptions {
  /** Of the stream: 1, or 3 in a NATS cluster. */
  replicas: number
}

/** Who only consumes. */
export interface NatsTaskGuestOptions {
  /** One that reconnects. */
  connection: Connection
  cluster: string
  clock: Clock
  log: Log
  /** As of the connection. */
  inboxPrefix?: string
  /**
   * A delivery that is silent for so long is given to somebody else. Workers ask the owner at once and say
   * so each time they ask again; so it is as long as one such question may take.
   */
  ackWaitMs?: number
  /** How long JetStream knows the ids of messages; much longer than one message is tried. */
  dedupeWindowMs?: number
  /**
   * While somebody consumes, the stream is looked at so often for what hints and consumers have missed; one
   * question about all queues, so that an idle node costs nearly nothing.
   */
  surveyMs?: number
}

const ACK_WAIT_MS = 30_000
const DEDUPE_WINDOW_MS = 120_000
const SURVEY_MS = 10_000
const API_MS = 5_000
/** Ids of acknowledged messages that are kept, for a server that forgets. */
const ACKNOWLEDGED_MAX = 20_000
/** Acknowledgements that are kept while there is no connection. */
const UNSAID_MAX = 10_000
/** A priority without messages for so long is not asked for any more, and a queue without consumers left. */
const IDLE_MS = 600_000

interface Queue {
  reader: TaskReader
  priorities: Hearing
  /** Deliveries of it that are out. */
  out: number
  usedAtMs: number
}

export class NatsTaskQueue implements TaskQueue {
  readonly #options: NatsTaskGuestOptions
  readonly #ackWaitMs: number
  readonly #names: TaskNames
  /** Undefined for a guest: it finds what nodes have made. */
  readonly #shape: StreamShape | undefined
  readonly #pulls: TaskPulls
  readonly #publisher: TaskPublisher
  readonly #survey: TaskSurvey
  readonly #queues = new Map<string, Queue>()
  /** What is out, by the id of its message. */
  readonly #deliveries = new Map<string, Delivery>()
  /** By the ids of messages, the oldest first. */
  readonly #acknowledged = new Set<string>()
  /** Where the acknowledgements belong that could not be sent. */
  #unsaid: string[] = []
  readonly #listening: { stop(): void }
  #restoring: Promise<void> | undefined
  #isClosed = false

  /** @throws TroupeError `invalid-config` when there is another stream of that name; others when nobody answers */
  static async open(options: NatsTaskQueueOptions): Promise<NatsTaskQueue> {
    const shape = streamShape(taskNames(options.cluster), options)
    const queue = new NatsTaskQueue(options, shape)
    try {
      await createStream(options.connection, shape, API_MS)
      return queue
    } catch (thrown) {
      await queue.close()
      throw thrown
    }
  }

  /** For a worker elsewhere, which may not make streams: until a node has made it, nothing comes. */
  static ofGuest(options: NatsTaskGuestOptions): NatsTaskQueue {
    return new NatsTaskQueue(options, undefined)
  }

  private constructor(options: NatsTaskGuestOptions, shape: StreamShape | undefined) {
    this.#options = options
    this.#shape = shape
    const { connection, clock, log, inboxPrefix } = options
    this.#ackWaitMs = options.ackWaitMs ?? ACK_WAIT_MS
    const names = taskNames(options.cluster)
    this.#names = names
    const restoreStream = () => this.#restoreStream()
    this.#pulls = new TaskPulls({
      connection,
      clock,
      received: (message) => this.#receive(message),
      ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
    })
    this.#publisher = new TaskPublisher({ connection, names, clock, log, restoreStream })
    this.#survey = new TaskSurvey({
      connection,
      names,
      clock,
      isConsumed: () => [...this.#queues.values()].some(({ reader }) => reader.isUsed),
      found: (queue, priority) => this.#seen(queue, priority),
      surveyed: () => this.#forgetIdle(),
      restoreStream,
      surveyMs: options.surveyMs ?? SURVEY_MS,
    })
    this.#listening = connection.listen({
      lost: () => this.#pulls.abandon('the connection is lost'),
      back: () => this.#back(),
    })
  }

  publish(message: TaskMessage, done: (outcome: 'published' | 'unknown') => void): void {
    const { queue } = message
    void this.#publisher.publish({ ...message }).then((publication) => {
      if (publication === 'published') this.#survey.add(queue, 1)
      this.#options.clock.defer(() => done(publication === 'unknown' ? 'unknown' : 'published'))
    })
  }

  consume({ queue, slots }: ConsumeOptions, deliver: (d: TaskDelivery) => void): TaskConsumer {
    if (this.#isClosed) return { stop: () => {} }
    const { reader } = this.#queue(queue)
    const consumer = reader.consume(slots, deliver)
    this.#survey.refresh()
    return consumer
  }

  depth(queue: string): number {
    return Math.max(0, this.#survey.count(queue) - (this.#queues.get(queue)?.out ?? 0))
  }

  /** Nothing is delivered any more; what comes until the server knows is given back. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#survey.close()
    this.#publisher.close()
    for (const { reader, priorities } of this.#queues.values()) {
      reader.close()
      priorities.unsubscribe()
    }
    for (const delivery of [...this.#deliveries.values()]) delivery.end()
    await this.#pulls.close()
    this.#listening.stop()
  }

  #receive({ subject, data, reply = '' }: Msg): void {
    const { clock, log } = this.#options
    const message = decodeTask(data)
    if (message === undefined || this.#names.task(message.queue, message.priority) !== subject) {
      log.error({ subject }, 'a message on the stream of tasks is none; it is removed')
      return this.#say(reply, ACK)
    }
    const { messageId, notBefore = 0 } = message
    if (this.#acknowledged.has(messageId)) return this.#say(reply, ACK)
    if (this.#deliveries.get(messageId)?.goesOn(reply)) return
    const earlyMs = notBefore - clock.now()
    if (earlyMs > 0) return this.#say(reply, nak(earlyMs))
    this.#deliver(message, reply)
  }

  #deliver(message: TaskMessage, reply: string): void {
    const queue = this.#queues.get(message.queue)
    const seat = this.#isClosed ? undefined : queue?.reader.takeSlot()
    if (!queue || !seat) return this.#say(reply, nak(0))
    const { messageId } = message
    queue.out += 1
    const delivery = new Delivery({
      message,
      reply,
      ackWaitMs: this.#ackWaitMs,
      clock: this.#options.clock,
      say: (where, word) => this.#say(where, word),
      ended: () => {
        this.#deliveries.delete(messageId)
        queue.out -= 1
        queue.reader.freeSlot(seat)
      },
      acknowledged: () => this.#acknowledge(message),
    })
    this.#deliveries.set(messageId, delivery)
    try {
      seat.deliver(delivery)
    } catch (thrown) {
      // For the process to judge, without harm to the messages that came with this one.
      this.#options.clock.defer(() => {
        throw thrown
      })
    }
  }

  #acknowledge({ queue, messageId }: TaskMessage): void {
    // By two deliveries of it.
    if (this.#acknowledged.has(messageId)) return
    this.#survey.add(queue, -1)
    this.#acknowledged.add(messageId)
    const [oldest] = this.#acknowledged
    if (oldest !== undefined && this.#acknowledged.size > ACKNOWLEDGED_MAX) {
      this.#acknowledged.delete(oldest)
    }
  }

  /** Words other than an acknowledgement are worth nothing later: the message comes back anyway. */
  #say(reply: string, word: string): void {
    const { connection } = this.#options
    if (connection.isConnected && !connection.isClosed) connection.nats.publish(reply, word)
    else if (word === ACK && this.#unsaid.length < UNSAID_MAX) this.#unsaid.push(reply)
  }

  #back(): void {
    const unsaid = this.#unsaid
    this.#unsaid = []
    for (const reply of unsaid) this.#say(reply, ACK)
    for (const { reader } of this.#queues.values()) reader.stir()
    this.#survey.refresh(0)
  }

  #queue(name: string): Queue {
    const { connection, clock } = this.#options
    let queue = this.#queues.get(name)
    if (queue === undefined) {
      const priorities = connection.rights.hear(this.#names.priorities(name), {
        heard: (message) => this.#found(name, Number(message.string())),
        again: () => this.#survey.refresh(0),
      })
      queue = { reader: new TaskReader(), priorities, out: 0, usedAtMs: 0 }
      this.#queues.set(name, queue)
      // What was published before it could hear of it.
      this.#survey.refresh(0)
    }
    queue.usedAtMs = clock.monotonic()
    return queue
  }

  /** The stream has messages of it. */
  #seen(name: string, priority: number): void {
    const lanes = this.#queues.get(name)?.reader.lanes
    const known = lanes?.find((lane) => lane.priority === priority)
    if (known) void known.inspect()
    else this.#found(name, priority)
  }

  #found(name: string, priority: number): void {
    const reader = this.#queues.get(name)?.reader
    if (this.#isClosed || !reader || !Number.isFinite(priority)) return
    if (reader.lanes.some((lane) => lane.priority === priority)) return
    const { connection, clock, log } = this.#options
    const { stream } = this.#names
    const shape = {
      stream,
      name: this.#names.consumer(name, priority),
      subject: this.#names.task(name, priority),
      ackWaitMs: this.#ackWaitMs,
    }
    const restoreStream = () => this.#restoreStream()
    const ready = () => reader.stir()
    const deps = { connection, clock, log, pulls: this.#pulls, restoreStream, ready }
    reader.addLane(new TaskLane(priority, shape, deps))
  }

  /** Priorities and queues come and go; the server forgets consumers that nobody asks. */
  #forgetIdle(): void {
    const nowMs = this.#options.clock.monotonic()
    for (const [name, queue] of this.#queues) {
      const { reader, priorities, out } = queue
      for (const lane of [...reader.lanes]) if (lane.idleMs > IDLE_MS) reader.removeLane(lane)
      if (reader.isUsed || out > 0) queue.usedAtMs = nowMs
      if (nowMs - queue.usedAtMs <= IDLE_MS) continue
      reader.close()
      priorities.unsubscribe()
      this.#queues.delete(name)
    }
  }

  #restoreStream(): Promise<void> {
    this.#restoring ??= this.#restore().finally(() => {
      this.#restoring = undefined
    })
    return this.#restoring
  }

  /** Never rejects: whoever needs the stream finds out. */
  async #restore(): Promise<void> {
    const { connection, log } = this.#options
    const { stream } = this.#names
    if (this.#isClosed || this.#shape === undefined) return
    try {
      if (await readInfo(connection, stream, API_MS)) return
      await createStream(connection, this.#shape, API_MS)
      log.warn({ stream }, 'the stream of tasks was gone; owners publish again what it held')
    } catch (thrown) {
      if (!connection.isConnected) return
      log.warn({ stream, why: messageOfThrown(thrown) }, 'the stream of tasks cannot be used')
    }
  }
}

/** Nothing is ever removed but by its acknowledgement. */
function streamShape(names: TaskNames, options: NatsTaskQueueOptions): StreamShape {
  const NO_LIMIT = -1
  return {
    name: names.stream,
    subjects: [names.all],
    retention: RetentionPolicy.Workqueue,
    storage: StorageType.File,
    discard: DiscardPolicy.New,
    num_replicas: options.replicas,
    duplicate_window: (options.dedupeWindowMs ?? DEDUPE_WINDOW_MS) * 1_000_000,
    max_age: 0,
    max_msgs: NO_LIMIT,
    max_bytes: NO_LIMIT,
    max_msgs_per_subject: NO_LIMIT,
  }
}
