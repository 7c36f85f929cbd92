/**
 * Messages from shard to shard as they travel. Decides: what is a well-formed request of a channel, and
 * a well-formed answer; it is looked at as commands are, because what takes a shard down here would do so with every repeat.
 */
import { canonicalAddress } from './address.ts'
import { isEvent, tooDeep } from './check-command.ts'
import type { EventObject } from './command.ts'
import { type ErrorRecord, errorRecord, toErrorRecord } from './errors.ts'
import { nestsDeeper } from './foreign-values.ts'
import type { Limits } from './limits.ts'

/** What travels from shard to shard in one request. */
export interface RelayRequest {
  from: number
  /** Of the messages that it gives numbers to now. */
  generation: number
  /**
   * Each generation after the first, and the number of its first message; absent where there is none:
   * so long as the shard has lost nothing, there is none.
   */
  lineage?: readonly (readonly [generation: number, from: number])[]
  /** The number of the oldest message that the sender still has: those before were acknowledged. */
  oldest: number
  /** The number of the first message. */
  first: number
  messages: RelayMessage[]
}

export interface RelayMessage {
  from: string
  to: string
  event: EventObject
}

export type RelayReply =
  /** Everything up to this number is committed at the target. */
  | { acked: number }
  /** A number is missing: go on from here. */
  | { expected: number }
  /** A newer generation of the channel is known here: the sender has to begin one above it. */
  | { above: number }
  | { error: ErrorRecord }

type Fields = Record<string, unknown>

/** Keys hold the number of a shard in two bytes. */
const SHARD_MAX = 0xffff

/** The request, or why it is none: then nothing of it takes effect. */
export function checkRelay(
  candidate: unknown,
  limits: Limits,
): { request: RelayRequest } | { error: ErrorRecord } {
  if (typeof candidate !== 'object' || candidate === null)
    return malformed('messages of a shard come as an object')
  const { from, generation, lineage, oldest, first, messages } = candidate as Fields
  if (!isCount(from, 0) || from > SHARD_MAX) return malformed('"from" is the number of a shard')
  if (!isCount(generation, 0)) return malformed('"generation" is a whole number from 0')
  if (lineage !== undefined && !isLineage(lineage, generation))
    return malformed('"lineage" is a list of generations that ends with "generation"')
  if (!isCount(first, 1)) return malformed('"first" is a whole number from 1')
  if (!isCount(oldest, 1) || oldest > first)
    return malformed('"oldest" is a whole number from 1 to "first"')
  if (!Array.isArray(messages)) return malformed('"messages" is a list')
  for (const message of messages as unknown[]) {
    const error = whyNoMessage(message, limits)
    if (error) return { error }
  }
  return { request: candidate as RelayRequest }
}

/** The answer to a request, or undefined when it is none. */
export function checkRelayReply(candidate: unknown): RelayReply | undefined {
  if (typeof candidate !== 'object' || candidate === null) return undefined
  const { acked, expected, above, error } = candidate as Fields
  if (typeof error === 'object' && error !== null)
    return typeof (error as ErrorRecord).code === 'string' ? (candidate as RelayReply) : undefined
  if (acked !== undefined) return isCount(acked, 0) ? { acked } : undefined
  if (above !== undefined) return isCount(above, 0) ? { above } : undefined
  return isCount(expected, 1) ? { expected } : undefined
}

function whyNoMessage(message: unknown, limits: Limits): ErrorRecord | undefined {
  if (typeof message !== 'object' || message === null)
    return malformed('a message is an object').error
  const { from, to, event } = message as Record<string, unknown>
  if (!isEvent(event)) return malformed('the event of a message is an object with a "type"').error
  // Twice: a dead letter holds the event that was refused, and why.
  if (nestsDeeper(event, 2 * limits.nestingMax)) return tooDeep(`the event ${event.type}`, limits)
  for (const address of [from, to]) {
    if (typeof address !== 'string') return malformed('a message has a sender and a target').error
    try {
      // Both were made canonical by the shard that sent them.
      if (canonicalAddress(address, limits) !== address)
        return errorRecord('invalid-address', `${address.slice(0, 80)} is not canonical`)
    } catch (thrown) {
      return toErrorRecord(thrown, 'invalid-address')
    }
  }
  return undefined
}

function isLineage(value: unknown, newest: number): boolean {
  if (!Array.isArray(value)) return false
  const isBranch = (one: unknown) =>
    Array.isArray(one) && one.length === 2 && isCount(one[0], 2) && isCount(one[1], 1)
  return value.every(isBranch) && (value.at(-1) as number[] | undefined)?.[0] === newest
}

function isCount(value: unknown, min: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min
}

function malformed(why: string): { error: ErrorRecord } {
  return { error: errorRecord('malformed', why) }
}
