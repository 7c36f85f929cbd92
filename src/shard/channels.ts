/**
 * The sending side of the channels to other shards.
 *
 * Decides: what is in flight on each channel, when it is sent again, when its rows may go, and what
 * follows when the peer knows less or more than it should. Leaves to others: stepping what arrives
 * (inbound.ts), which messages both ends mean by the same numbers (lineage.ts).
 */
import type { Clock, Log, Random, Store, Transport } from '../ports/index.ts'
import {
  checkRelayReply,
  type Limits,
  pack,
  type RelayMessage,
  type RelayReply,
  type RelayRequest,
  type Subjects,
  toErrorRecord,
  unpack,
} from '../protocol/index.ts'
import { type Batch, ROW_BYTES } from './batch.ts'
import { outboxEndKey, outboxKey, parseOutboxKey, peerOfKey, TABLE, tableRange } from './keys.ts'
import {
  extended,
  generationOf,
  generationRow,
  generationsOf,
  type Lineage,
  newGeneration,
  packEnd,
  unpackEnd,
} from './lineage.ts'

export type { RelayReply, RelayRequest }

interface Channel {
  target: number
  /** The generations of the shard, each with the number of the first message that this channel has of it. */
  lineage: Lineage
  /** The number that the next message gets. */
  next: number
  /**
   * Committed up to here: only that is sent. An embedded store shows the rows of a batch before they are
   * on disk.
   */
  committed: number
  /** Acknowledged up to here. */
  acked: number
  /** Rows up to here are removed. */
  removed: number
  inFlight: boolean
  cancelRetry: (() => void) | undefined
}

export interface ChannelDeps {
  shard: number
  store: Store
  transport: Transport
  subjects: Subjects
  clock: Clock
  random: Random
  log: Log
  limits: Limits
  /** There is something to do with the next commit. */
  changed: () => void
}

export class Channels {
  readonly #deps: ChannelDeps
  readonly #channels = new Map<number, Channel>()
  /** Of the shard, after the first: one for each time that it has forgotten messages. */
  #generations: number[] = []
  /** The newest that a target knows, and this shard does not: one above it begins with the next commit. */
  #above: number | undefined
  /** Begins with the batch under way. */
  #begun: number | undefined
  #stopped = false

  constructor(deps: ChannelDeps) {
    this.#deps = deps
  }

  /** Reads what the store remembers; nothing is sent before `resume`. */
  load(): void {
    const { store, shard } = this.#deps
    this.#generations = generationsOf(shard, store)
    for (const { key, value } of store.range(tableRange(shard, TABLE.outboxEnd))) {
      const { number: next, lineage: stored } = unpackEnd(value)
      const channel = this.#channel(peerOfKey(key))
      const last = next - 1
      // Of the newest it may have had no message yet.
      const lineage = extended(stored, this.#generations, next)
      Object.assign(channel, { lineage, next, committed: last, acked: last, removed: last })
    }
    const seen = new Set<number>()
    for (const { key } of store.range(tableRange(shard, TABLE.outbox))) {
      const { target, sequence } = parseOutboxKey(key)
      if (target === shard || seen.has(target)) continue
      seen.add(target)
      const channel = this.#channel(target)
      channel.acked = sequence - 1
      channel.removed = sequence - 1
    }
  }

  resume(): void {
    for (const channel of this.#channels.values()) this.#send(channel)
  }

  stop(): void {
    this.#stopped = true
    for (const channel of this.#channels.values()) channel.cancelRetry?.()
  }

  /** Gives the messages of a batch their numbers and rows. */
  write(batch: Batch): void {
    const { shard } = this.#deps
    this.#beginGeneration(batch)
    for (const [target, messages] of batch.outgoing) {
      const channel = this.#channel(target)
      for (const message of messages)
        batch.write(outboxKey(shard, target, channel.next++), pack(message))
      batch.write(outboxEndKey(shard, target), packEnd(channel.next, channel.lineage))
    }
  }

  #beginGeneration(batch: Batch): void {
    const { shard, random, log } = this.#deps
    if (this.#above === undefined) return
    const generation = newGeneration([...this.#generations, this.#above], random)
    log.warn({ shard, above: this.#above, generation }, 'the channels of a shard begin anew')
    batch.write(...generationRow(shard, batch.slot, generation))
    this.#begun = generation
    this.#above = undefined
  }

  /** Removes what was acknowledged, as far as the batch has room. */
  removeAcknowledged(batch: Batch): void {
    const { shard, limits } = this.#deps
    for (const channel of this.#channels.values()) {
      while (channel.removed < channel.acked) {
        const key = outboxKey(shard, channel.target, channel.removed + 1)
        if (batch.roomLeft(limits) < key.length + ROW_BYTES) return
        channel.removed += 1
        batch.write(key, null)
      }
    }
  }

  /** Messages to a shard that it has not acknowledged. */
  waitingFor(target: number): number {
    const channel = this.#channels.get(target)
    return channel === undefined ? 0 : channel.next - 1 - channel.acked
  }

  committed(batch: Batch): void {
    this.#haveBegun()
    for (const target of batch.outgoing.keys()) {
      const channel = this.#channel(target)
      channel.committed = channel.next - 1
      this.#send(channel)
    }
  }

  #haveBegun(): void {
    if (this.#begun === undefined) return
    this.#generations.push(this.#begun)
    this.#begun = undefined
    for (const channel of this.#channels.values()) {
      channel.lineage = extended(channel.lineage, this.#generations, channel.next)
    }
  }

  #channel(target: number): Channel {
    let channel = this.#channels.get(target)
    if (!channel) {
      channel = {
        target,
        lineage: extended([], this.#generations, 1),
        next: 1,
        committed: 0,
        acked: 0,
        removed: 0,
        inFlight: false,
        cancelRetry: undefined,
      }
      this.#channels.set(target, channel)
    }
    return channel
  }

  /** One request in flight per channel keeps the order; it carries as many as wait. */
  #send(channel: Channel): void {
    if (this.#stopped || channel.inFlight || channel.acked >= channel.committed) return
    const { shard, store, transport, subjects, limits } = this.#deps
    channel.cancelRetry?.()
    channel.cancelRetry = undefined
    const first = channel.acked + 1
    const messages: RelayMessage[] = []
    let bytes = 0
    const range = {
      from: outboxKey(shard, channel.target, first),
      to: outboxKey(shard, channel.target, channel.committed + 1),
      limit: limits.channelWindowMax,
    }
    for (const { value } of store.range(range)) {
      bytes += value.length
      if (messages.length > 0 && bytes > limits.payloadBytesMax) break
      messages.push(unpack(value) as RelayMessage)
    }
    if (messages.length === 0) return
    channel.inFlight = true
    const { lineage } = channel
    const request: RelayRequest = {
      ...{ from: shard, generation: generationOf(lineage) },
      ...(lineage.length > 0 && { lineage }),
      ...{ oldest: channel.removed + 1, first, messages },
    }
    transport.request(
      {
        subject: subjects.relay(channel.target),
        payload: pack(request),
        timeoutMs: limits.requestTimeoutMs,
      },
      (outcome) => {
        channel.inFlight = false
        // The next owner goes on from the rows.
        if (this.#stopped) return
        if (outcome.kind !== 'reply') return this.#retry(channel, outcome.kind)
        this.#answered(channel, outcome.payload)
      },
    )
  }

  #answered(channel: Channel, payload: Uint8Array): void {
    let reply: RelayReply | undefined
    try {
      reply = checkRelayReply(unpack(payload))
    } catch (thrown) {
      return this.#retry(channel, toErrorRecord(thrown).message)
    }
    if (!reply) return this.#retry(channel, 'malformed')
    if ('error' in reply) return this.#retry(channel, reply.error.code)
    if ('above' in reply) return this.#outrank(channel, reply.above)
    const acked = 'acked' in reply ? reply.acked : reply.expected - 1
    if (acked > channel.committed) return this.#forgot(channel, acked)
    if (acked < channel.acked) return this.#goBack(channel, acked)
    channel.acked = acked
    this.#deps.changed()
    this.#send(channel)
  }

  /** A generation that the target knows must not hide the messages of this one. */
  #outrank(channel: Channel, above: number): void {
    // Else one has begun since it was asked.
    if (above >= generationOf(channel.lineage)) {
      this.#above = Math.max(above, this.#above ?? 0)
      this.#deps.changed()
    }
    this.#retry(channel, 'generation')
  }

  /** The target has had messages that nobody here knows of, and nobody said that something was lost. */
  #forgot(channel: Channel, acked: number): void {
    const { target, committed, lineage } = channel
    this.#deps.log.error(
      { target, acked, committed },
      'a shard has had more messages from here than were sent: some may have been taken for others',
    )
    this.#outrank(channel, generationOf(lineage))
  }

  /** The target has lost what it had acknowledged. What is still here is sent again; it says what is not. */
  #goBack(channel: Channel, acked: number): void {
    const { target, removed } = channel
    this.#deps.log.warn(
      { target, from: acked + 1, to: channel.acked, removed },
      'a shard has lost messages that it had acknowledged: what is still here is sent again',
    )
    channel.acked = Math.max(acked, removed)
    this.#retry(channel, 'lost')
  }

  #retry(channel: Channel, why: string): void {
    this.#deps.log.debug(
      { target: channel.target, why },
      'messages to a shard wait for another try',
    )
    channel.cancelRetry = this.#deps.clock.after(this.#deps.limits.channelResendMs, () =>
      this.#send(channel),
    )
  }
}
