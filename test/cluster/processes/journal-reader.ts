/**
 * Reads the journals of a cluster back: every message of every stream, straight from JetStream, by the
 * package `nats` alone. Decides: that a message is told of by its place in the stream, so that two messages
 * of one slot are seen as two.
 */
import type { JetStreamManager, NatsConnection } from 'nats'
import { jetStreamNames } from '../../../src/adapters/nats/names.ts'
import { hashBytes } from '../../../src/protocol/index.ts'
import { entryOf } from '../../simulation/mirror.ts'

export interface SlotRead {
  shard: number
  slot: number
  sequence: number
  hash: string
  bytes: Buffer
}

/** Where a journal ends; 0 for one that is not there. */
export interface JournalEnd {
  shard: number
  lastSlot: number
}

/** Messages asked for at once. */
const AT_ONCE = 64
/** JetStream says so of one that was removed. */
const NO_MESSAGE = /no message found/i
const NO_STREAM = /stream not found/i

export class JournalReader {
  readonly #nats: NatsConnection
  readonly #cluster: string
  readonly #shards: number
  /** By shard, what was read before, by its sequence. */
  readonly #known = new Map<number, Map<number, SlotRead>>()

  constructor(nats: NatsConnection, cluster: string, shards: number) {
    this.#nats = nats
    this.#cluster = cluster
    this.#shards = shards
  }

  /** What was read before may not be there any more: everything is read again. */
  forget(): void {
    this.#known.clear()
  }

  /** All slots that there are, each journal in the order of its stream. */
  async read(): Promise<SlotRead[]> {
    const manager = await this.#manager()
    const all: SlotRead[] = []
    for (let shard = 0; shard < this.#shards; shard++) {
      const state = await this.#stateOf(manager, shard)
      if (!state) continue
      const { first_seq: first, last_seq: last } = state
      for (let from = first; from <= last; from += AT_ONCE) {
        const count = Math.min(AT_ONCE, last - from + 1)
        const part = Array.from({ length: count }, (_, at) =>
          this.#remembered(manager, shard, from + at),
        )
        for (const slot of await Promise.all(part)) if (slot) all.push(slot)
      }
    }
    return all
  }

  async ends(): Promise<JournalEnd[]> {
    const manager = await this.#manager()
    const ends: JournalEnd[] = []
    for (let shard = 0; shard < this.#shards; shard++) {
      const state = await this.#stateOf(manager, shard)
      const last = state && (await this.#message(manager, shard, state.last_seq))
      ends.push({ shard, lastSlot: last?.slot ?? 0 })
    }
    return ends
  }

  #manager(): Promise<JetStreamManager> {
    return this.#nats.jetstreamManager()
  }

  async #stateOf(manager: JetStreamManager, shard: number) {
    const { stream } = jetStreamNames(this.#cluster).journal(shard)
    const info = await unless(NO_STREAM, manager.streams.info(stream))
    return info && info.state.messages > 0 ? info.state : undefined
  }

  async #remembered(manager: JetStreamManager, shard: number, seq: number) {
    const known = entryOf(this.#known, shard, () => new Map<number, SlotRead>())
    const found = known.get(seq) ?? (await this.#message(manager, shard, seq))
    if (found) known.set(seq, found)
    return found
  }

  async #message(
    manager: JetStreamManager,
    shard: number,
    seq: number,
  ): Promise<SlotRead | undefined> {
    const { stream } = jetStreamNames(this.#cluster).journal(shard)
    const found = await unless(NO_MESSAGE, manager.streams.getMessage(stream, { seq }))
    if (!found) return undefined
    const bytes = Buffer.from(found.data)
    const slot = Number(found.subject.slice(found.subject.lastIndexOf('.') + 1))
    return { shard, slot, sequence: seq, hash: hashBytes(bytes), bytes }
  }
}

/** Undefined when it fails so. */
async function unless<T>(absent: RegExp, asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (thrown) {
    if (absent.test(String(thrown))) return undefined
    throw thrown
  }
}
