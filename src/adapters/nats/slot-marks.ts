/**
 * What tells a slot from anything else in the stream of a journal.
 *
 * Decides: that a slot carries its number in a header, which only who writes slots can set. A server answers
 * JetStream's API, and sends what a consumer is given, wherever it is asked to, also into a journal, and it
 * does not ask whether the asker may speak there. Such a message has no mark: it is no slot, whatever its
 * subject, and is removed, since nothing can be written behind it otherwise. What was written on a condition,
 * as slots are, was written by somebody who may write: that is never removed, but complained of.
 */
import type { Log } from '../../ports/index.ts'
import { readMessage, type StoredMessage } from './api.ts'
import type { Connection } from './connection.ts'
import { removeMessage } from './streams.ts'

/** Where a slot that was seen stands. */
export interface Mark {
  sequence: number
  slot: number
}

/** The stream of a shard, over the connection on which its end is read. */
export interface SlotStream {
  connection: Connection
  stream: string
  /** 0 for a subject that is of no slot. */
  slotOf: (subject: string) => number
  log: Log
  timeoutMs: number
}

const NAME = 'Troupe-Slot'
const HEADER = new RegExp(`\\r\\n${NAME}: *(\\d+)\\r\\n`)

/** Of a message that was published on a condition; servers set none. */
const CONDITION = /\r\nNats-Expected-/i

/** A message that is no slot, and that is for people to judge. */
export class StrangeMessageError extends Error {}

/** For the headers of a slot. */
export function markOf(slot: number): { name: string; value: string } {
  return { name: NAME, value: String(slot) }
}

/** Whether a message that was read is that slot. @param headers as they stand in it */
export function isMarked(slot: number, headers: string): boolean {
  return slot > 0 && HEADER.exec(headers)?.[1] === String(slot)
}

/** The same of a message that was sent to us. */
export function hasMark(slot: number, headers: { get(name: string): string } | undefined): boolean {
  return slot > 0 && headers?.get(NAME) === String(slot)
}

/** The slot of the first message there is. */
export async function firstMark(
  slots: SlotStream,
  sequence: number,
  seen: Mark | undefined,
): Promise<Mark> {
  const mark = seen?.sequence === sequence ? seen : await markAt(slots, sequence)
  if (mark) return mark
  throw changed()
}

/**
 * The last slot, and nothing behind it. Whatever else there is came after it: nothing is written but behind
 * what was read as the end. So sequences and slots part there, by what was removed.
 */
export async function lastMark(
  slots: SlotStream,
  { first_seq, last_seq }: { first_seq: number; last_seq: number },
  seen: Mark | undefined,
): Promise<Mark> {
  for (let sequence = last_seq; sequence >= first_seq; sequence--) {
    const mark = seen?.sequence === sequence ? seen : await markAt(slots, sequence)
    if (mark) return mark
  }
  throw changed()
}

/** Removes what is no slot. */
async function markAt(slots: SlotStream, sequence: number): Promise<Mark | undefined> {
  const { connection, stream, slotOf, timeoutMs } = slots
  const found = await readMessage(connection, stream, { seq: sequence }, timeoutMs)
  if (!found) return undefined
  const slot = slotOf(found.subject)
  if (isMarked(slot, found.headers)) return { sequence, slot }
  if (CONDITION.test(found.headers)) {
    throw new StrangeMessageError(`${stream} holds what is no slot: ${found.subject}`)
  }
  await removeForeign(slots, found)
  return undefined
}

async function removeForeign(
  { connection, stream, log, timeoutMs }: SlotStream,
  { subject, sequence, bytes }: StoredMessage,
): Promise<void> {
  log.error(
    { stream, subject, sequence, bytes: bytes.length },
    'something that no node wrote is in the journal of a shard; it is removed: see who may use JetStream',
  )
  await removeMessage(connection, stream, sequence, timeoutMs)
}

/** It is looked at again. */
function changed(): Error {
  return new Error('the stream has changed meanwhile')
}
