/**
 * What leaves an actor. Decides: what of it cannot be sent, and how much room its row takes. Leaves to
 * others: where it goes (plan.ts).
 */
import {
  type ErrorRecord,
  type EventObject,
  isEvent,
  nestsDeeper,
  pack,
  TroupeError,
  toErrorRecord,
  tooDeep,
} from '../protocol/index.ts'
import type { ShardContext } from './context.ts'

/**
 * What leaves the actor has to be packable, and neither too deep nor too large for a message.
 *
 * @returns its size in bytes
 */
export function checkOutgoing(shard: ShardContext, what: string, value: unknown): number {
  return packOutgoing(shard, what, value).length
}

/** The same. @returns the pack: part of a larger buffer, so who keeps it makes a copy */
export function packOutgoing(shard: ShardContext, what: string, value: unknown): Uint8Array {
  const { payloadBytesMax, nestingMax } = shard.limits
  if (nestsDeeper(value, nestingMax)) throw TroupeError.from(tooDeep(what, shard.limits))
  const packed = pack(value)
  if (packed.length <= payloadBytesMax) return packed
  throw new TroupeError('too-large', `${what} exceeds ${payloadBytesMax} bytes (payloadBytesMax)`, {
    detail: { limit: 'payloadBytesMax' },
  })
}

/** Why an event from code that runs beside the owner cannot be taken. */
export function whyNotOutgoing(
  shard: ShardContext,
  what: string,
  event: EventObject,
): ErrorRecord | undefined {
  try {
    checkEventType(what, event)
    checkOutgoing(shard, what, event)
    return undefined
  } catch (thrown) {
    const error = toErrorRecord(thrown, 'conflict')
    return { ...error, message: `${what} cannot be taken: ${error.message}` }
  }
}

/** Events go by their type wherever they arrive: one without would be noticed too late. */
export function checkEventType(what: string, event: EventObject): void {
  if (!isEvent(event)) throw new TroupeError('conflict', `${what} has no event with a text "type"`)
}

/** Of a message in its row: key, field names and headers. */
export const MESSAGE_FIXED_BYTES = 128
/** Of a text that was only counted in characters. */
export const UTF8_BYTES_MAX = 3

/** Of what is sent, in the row where it may have to wait. @param names that stand beside it */
export function sentBytes(packed: number, ...names: readonly string[]): number {
  let bytes = packed + MESSAGE_FIXED_BYTES
  for (const name of names) bytes += Buffer.byteLength(name)
  return bytes
}
