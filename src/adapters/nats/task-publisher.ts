/**
 * Putting tasks on the stream.
 *
 * Decides: the same bytes with the same id are sent until JetStream says that it has them, for a while:
 * the window in which it knows ids is much longer. After that the outcome is unknown, and whoever owns the
 * task publishes it again. Consumers are told which priorities are in use, now and then.
 * Leaves to others: what is done when the stream is gone (task-queue.ts).
 */
import { ErrorCode, type NatsError } from 'nats'
import type { Clock, Log, TaskMessage } from '../../ports/index.ts'
import { messageOfThrown } from '../../protocol/index.ts'
import type { Connection } from './connection.ts'
import { encodeTask } from './task-messages.ts'
import type { TaskNames } from './task-names.ts'

export interface TaskPublisherDeps {
  connection: Connection
  names: TaskNames
  clock: Clock
  log: Log
  /** The stream may be gone; resolves when it is there, as far as that is known. */
  restoreStream: () => Promise<void>
}

export type Publication = 'published' | 'known' | 'unknown'

/** How long one message is tried: a server starts meanwhile, or a stream elects a leader, also a second time. */
const TRY_FOR_MS = 30_000
const ANSWER_MS = 3_000
const PAUSE_FIRST_MS = 50
const PAUSE_MAX_MS = 1_000
const DOUBLINGS_MAX = 5
/** Past it the outcome is unknown at once: memory has an end, and owners publish again. */
const UNDER_WAY_MAX = 10_000
/** How often consumers are told of a priority that is in use. */
const TELL_MS = 1_000
const TOLD_MAX = 1_000

export class TaskPublisher {
  readonly #deps: TaskPublisherDeps
  /** When a priority of a queue was told last, by subject. */
  readonly #toldAtMs = new Map<string, number>()
  #underWay = 0
  #isTroubled = false
  #isClosed = false

  constructor(deps: TaskPublisherDeps) {
    this.#deps = deps
  }

  /** Never rejects. */
  async publish(message: TaskMessage): Promise<Publication> {
    if (this.#underWay >= UNDER_WAY_MAX) return 'unknown'
    this.#underWay += 1
    try {
      return await this.#untilKnown(message)
    } finally {
      this.#underWay -= 1
    }
  }

  /** What is under way is tried no more. */
  close(): void {
    this.#isClosed = true
  }

  async #untilKnown(message: TaskMessage): Promise<Publication> {
    const { clock } = this.#deps
    const giveUpAtMs = clock.monotonic() + TRY_FOR_MS
    for (let failures = 0; ; failures++) {
      try {
        const isNew = await this.#once(message)
        this.#isTroubled = false
        return isNew ? 'published' : 'known'
      } catch (thrown) {
        const isUnheard = (thrown as Partial<NatsError>).code === ErrorCode.NoResponders
        this.#trouble(isUnheard ? 'the stream does not answer' : messageOfThrown(thrown))
        if (isUnheard) await this.#deps.restoreStream()
      }
      const pauseMs = Math.min(
        PAUSE_MAX_MS,
        PAUSE_FIRST_MS * 2 ** Math.min(failures, DOUBLINGS_MAX),
      )
      if (this.#isClosed || clock.monotonic() + pauseMs >= giveUpAtMs) return 'unknown'
      await new Promise<void>((resolve) => clock.after(pauseMs, resolve))
    }
  }

  /** Whether JetStream did not have it; throws when that is not known. */
  async #once(message: TaskMessage): Promise<boolean> {
    const { connection, names } = this.#deps
    if (!connection.isConnected) throw new Error('not connected to NATS')
    const subject = names.task(message.queue, message.priority)
    const { bytes, headers } = encodeTask(message)
    this.#tell(subject, message)
    const { data } = await connection.nats.request(subject, bytes, { headers, timeout: ANSWER_MS })
    const ack = JSON.parse(Buffer.from(data).toString()) as PublicationAck
    if (ack.error) throw new Error(`${ack.error.description} (${ack.error.err_code})`)
    if (ack.stream !== names.stream) throw new Error(`another stream has it: ${ack.stream}`)
    return ack.duplicate !== true
  }

  /** A hint: consumers look by themselves as well, but seldom. */
  #tell(subject: string, { queue, priority }: TaskMessage): void {
    const nowMs = this.#deps.clock.monotonic()
    const toldAtMs = this.#toldAtMs.get(subject)
    if (toldAtMs !== undefined && nowMs - toldAtMs < TELL_MS) return
    // Those told longest ago are first.
    this.#toldAtMs.delete(subject)
    this.#toldAtMs.set(subject, nowMs)
    const [oldest] = this.#toldAtMs.keys()
    if (oldest !== undefined && this.#toldAtMs.size > TOLD_MAX) this.#toldAtMs.delete(oldest)
    const { connection, names } = this.#deps
    connection.nats.publish(names.priorities(queue), String(priority))
  }

  #trouble(why: string): void {
    if (this.#isTroubled || this.#isClosed || !this.#deps.connection.isConnected) return
    this.#isTroubled = true
    this.#deps.log.warn({ why }, 'tasks cannot be put on their stream; this is tried again')
  }
}

interface PublicationAck {
  stream?: string
  duplicate?: boolean
  error?: { err_code?: number; description?: string }
}
