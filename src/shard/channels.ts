/**
 * The sending side of the channels to other shards.
 *
 * Decides: what is in flight on each channel, when it is sent again, and when its rows may go.
 * Leaves to others: stepping what arrives (engine.ts).
 */
import type { Clock, Log, Store, Transport } from '../ports/index.ts'
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

export type { RelayReply, RelayRequest }

interface Channel {
  target: number
  generation: number
  /** The number that the next message gets. */
  next: number
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
  log: Log
  limits: Limits
  /** Rows can be removed with the next commit. */
  acknowledged: () => void
}

export class Channels {
  readonly #deps: ChannelDeps
  readonly #channels = new Map<number, Channel>()
  #stopped = false

  constructor(deps: ChannelDeps) {
    this.#deps = deps
  }

  /** Reads what the store remembers; nothing is sent before `resume`. */
  load(): void {
    const { store, shard } = this.#deps
    for (const { key, value } of store.range(tableRange(shard, TABLE.outboxEnd))) {
      const [generation, next] = unpack(value) as [number, number]
      const channel = this.#channel(peerOfKey(key))
      Object.assign(channel, { generation, next, acked: next - 1, removed: next - 1 })
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
    for (const [target, messages] of batch.outgoing) {
      const channel = this.#channel(target)
      for (const message of messages)
        batch.write(outboxKey(shard, target, channel.next++), pack(message))
      batch.write(outboxEndKey(shard, target), pack([channel.generation, channel.next]))
    }
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
    for (const target of batch.outgoing.keys()) this.#send(this.#channel(target))
  }

  #channel(target: number): Channel {
    let channel = this.#channels.get(target)
    if (!channel) {
      channel = {
        target,
        generation: 1,
        next: 1,
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
    if (this.#stopped || channel.inFlight || channel.acked >= channel.next - 1) return
    const { shard, store, transport, subjects, limits } = this.#deps
    channel.cancelRetry?.()
    channel.cancelRetry = undefined
    const first = channel.acked + 1
    const messages: RelayMessage[] = []
    let bytes = 0
    const range = {
      from: outboxKey(shard, channel.target, first),
      to: outboxKey(shard, channel.target, channel.next),
      limit: limits.channelWindowMax,
    }
    for (const { value } of store.range(range)) {
      bytes += value.length
      if (messages.length > 0 && bytes > limits.payloadBytesMax) break
      messages.push(unpack(value) as RelayMessage)
    }
    if (messages.length === 0) return
    channel.inFlight = true
    const request: RelayRequest = { from: shard, generation: channel.generation, first, messages }
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
    const acked = 'acked' in reply ? reply.acked : reply.expected - 1
    if (acked < channel.acked || acked >= channel.next) {
      this.#deps.log.error(
        { target: channel.target, acked, next: channel.next },
        'a channel and its peer disagree about what arrived',
      )
      return this.#retry(channel, 'disagreement')
    }
    channel.acked = acked
    this.#deps.acknowledged()
    this.#send(channel)
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
