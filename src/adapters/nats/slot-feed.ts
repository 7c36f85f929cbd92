/**
 * The slots of one shard as they are written, for who follows it.
 *
 * Decides: they are asked of a consumer of the stream's own server instead of one by one, some at a time,
 * and kept until they are read. What is kept belongs to one connection: the server may have started anew
 * behind another. A slot that is not here is no news: it may not have come yet, and is read as any other.
 * Leaves to others: whether somebody follows, and where the stream ends (journal.ts).
 */
import type { Msg, Subscription } from 'nats'
import type { Clock } from '../../ports/index.ts'
import { askApi } from './api.ts'
import type { Connection } from './connection.ts'
import { hasMark, type Mark } from './slot-marks.ts'

export interface SlotFeedDeps {
  connection: Connection
  stream: string
  /** The slot that a subject is of; 0 when it is of none. */
  slotOf: (subject: string) => number
  clock: Clock
  timeoutMs: number
}

export interface FedSlot {
  sequence: number
  bytes: Uint8Array
}

/** Slots in one answer, and as many again that wait to be read. */
const BATCH = 64
/** Of the largest messages two fit in one answer: whoever follows is not behind by much. */
const MESSAGES_MIN = 2
/** How long the server keeps a question to which nothing has been written. */
const WAIT_MS = 3_000
/** Nobody follows any more who has read nothing for so long. A shard that rests costs nothing then. */
const IDLE_MS = 5_000
/** The server forgets a consumer that was asked nothing for so long. */
const INACTIVE_MS = 15_000
/** All that there was has come. */
const TIME_IS_UP = new Set([404, 408])
const HEARTBEAT = 100
/** The next one does not fit in what was asked for. */
const BYTES_ARE_OUT = /MaxBytes/

export class SlotFeed {
  readonly connection: Connection
  readonly #deps: SlotFeedDeps
  readonly #slots = new Map<number, FedSlot>()
  #subscription: Subscription | undefined
  #consumer: string | undefined
  #isAsking = false
  #missing = 0
  #readAtMs: number
  #newest: Mark | undefined
  #isOver = false
  #cancelLook: () => void = () => {}

  /** @param from the first sequence that is wanted */
  constructor(deps: SlotFeedDeps, from: number) {
    this.#deps = deps
    this.connection = deps.connection
    this.#readAtMs = deps.clock.monotonic()
    this.#begin(from).catch(() => this.end())
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Takes it out; what is before it is not read any more. */
  take(slot: number): FedSlot | undefined {
    this.#readAtMs = this.#deps.clock.monotonic()
    const found = this.#slots.get(slot)
    for (const known of this.#slots.keys()) {
      if (known > slot) break
      this.#slots.delete(known)
    }
    this.#ask()
    return found
  }

  /** Which slot the newest message holds, if it is the one of that sequence. */
  markAt(sequence: number): Mark | undefined {
    return this.#newest?.sequence === sequence ? this.#newest : undefined
  }

  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelLook()
    this.#slots.clear()
    this.#subscription?.unsubscribe()
    const { connection, stream, timeoutMs } = this.#deps
    if (this.#consumer === undefined || !connection.isConnected) return
    // Else the server forgets it by itself.
    askApi(connection, `CONSUMER.DELETE.${stream}.${this.#consumer}`, {}, timeoutMs).catch(() => {})
  }

  async #begin(from: number): Promise<void> {
    const { connection, stream, timeoutMs } = this.#deps
    const config = {
      deliver_policy: 'by_start_sequence',
      opt_start_seq: from,
      ack_policy: 'none',
      replay_policy: 'instant',
      inactive_threshold: INACTIVE_MS * 1_000_000,
      mem_storage: true,
    }
    const body = { stream_name: stream, config }
    const { name } = await askApi<{ name: string }>(
      connection,
      `CONSUMER.CREATE.${stream}`,
      body,
      timeoutMs,
    )
    this.#consumer = name
    if (this.#isOver) return
    this.#subscription = connection.nats.subscribe(connection.inbox(), {
      callback: (error, message) => {
        if (error !== null) this.end()
        else this.#received(message)
      },
    })
    this.#ask()
  }

  #received(message: Msg): void {
    if (this.#isOver) return
    const { code = 0, description = '' } = message.headers ?? {}
    if (message.data.length === 0 && code > 0) return this.#answered(code, description)
    const sequence = sequenceOf(message)
    const slot = this.#deps.slotOf(message.subject)
    // What is no slot is removed by who reads the end.
    if (!hasMark(slot, message.headers)) return this.end()
    this.#slots.set(slot, { sequence, bytes: Buffer.from(message.data) })
    this.#newest = { sequence, slot, upTo: sequence }
    this.#missing -= 1
    if (this.#missing === 0) this.#goOn()
  }

  #answered(code: number, description: string): void {
    if (code === HEARTBEAT) return
    const isFull = BYTES_ARE_OUT.test(description) && this.#missing < BATCH
    // Else the consumer or the stream is gone, and nothing that they gave counts.
    if (TIME_IS_UP.has(code) || isFull) this.#goOn()
    else this.end()
  }

  #goOn(): void {
    this.#isAsking = false
    this.#ask()
  }

  /** The next ones, unless enough wait or nobody reads. */
  #ask(): void {
    const { connection, stream, clock } = this.#deps
    if (this.#isOver || this.#isAsking || this.#subscription === undefined) return
    if (!connection.isConnected || clock.monotonic() - this.#readAtMs > IDLE_MS) return this.end()
    this.#cancelLook()
    if (this.#slots.size >= BATCH) {
      this.#cancelLook = clock.after(IDLE_MS + 1, () => this.#ask())
      return
    }
    this.#isAsking = true
    this.#missing = BATCH
    const question = {
      batch: BATCH,
      max_bytes: MESSAGES_MIN * connection.payloadBytesMax,
      expires: WAIT_MS * 1_000_000,
    }
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${this.#consumer}`
    connection.nats.publish(subject, JSON.stringify(question), {
      reply: this.#subscription.getSubject(),
    })
    // Whoever does not answer at all is gone.
    this.#cancelLook = clock.after(2 * WAIT_MS, () => this.end())
  }
}

/** In the stream: a consumer's message says it where it wants to be acknowledged. */
function sequenceOf({ reply = '' }: Msg): number {
  const tokens = reply.split('.')
  // Newer servers may name their domain and account before the stream.
  return Number(tokens[tokens.length > SHORT_ACK_TOKENS ? 7 : 5])
}

/** `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.…` */
const SHORT_ACK_TOKENS = 9
