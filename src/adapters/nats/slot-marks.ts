/**
 * What tells a slot from anything else in the stream of a journal.
 *
 * Decides: that a slot carries its number in a header, which only who writes slots can set. A server sends
 * its answers, also a consumer's to who asks it for messages, wherever the asker says, also into a journal,
 * and does not ask whether he may speak there. (What a consumer sends by itself reaches only who listens to
 * exactly its subject, which no stream does.) Such a message has no mark: it is no slot, whatever its
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
  /** From there up to this sequence nothing is left. */
  upTo: number
}

/** The first and the last slot there are. */
export interface Marks {
  first: Mark
  last: Mark
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

/** The marks of a stream that is not empty. What is no slot before and behind them is removed, and told of once. */
export async function marksOf(
  slots: SlotStream,
  { first_seq, last_seq }: { first_seq: number; last_seq: number },
  seen: Partial<Marks>,
): Promise<Marks> {
  const walk: Walk = { ...slots, removed: new Set(), oldest: undefined }
  const [first, last] = await Promise.allSettled([
    firstMark(walk, first_seq, seen.first),
    lastMark(walk, { first_seq, last_seq }, seen.last),
  ])
  sayRemoved(walk)
  if (first.status === 'rejected') throw first.reason
  if (last.status === 'rejected') throw last.reason
  return { first: first.value, last: last.value }
}

/** One look at a stream, and what it removed. */
interface Walk extends SlotStream {
  removed: Set<number>
  oldest: { sequence: number; subject: string; bytes: number } | undefined
}

/** The slot of the first message there is. */
async function firstMark(walk: Walk, sequence: number, seen: Mark | undefined): Promise<Mark> {
  const mark = seen?.sequence === sequence ? seen : await markAt(walk, sequence)
  if (mark) return mark
  throw changed()
}

/**
 * The last slot, and nothing behind it. Whatever else there is came after it: nothing is written but behind
 * what was read as the end. So sequences and slots part there, by what was removed: that is looked at once.
 */
async function lastMark(
  walk: Walk,
  { first_seq, last_seq }: { first_seq: number; last_seq: number },
  seen: Mark | undefined,
): Promise<Mark> {
  for (let sequence = last_seq; sequence >= first_seq; sequence--) {
    const isSeen = seen && isUpTo(seen, sequence)
    const mark = isSeen ? seen : await markAt(walk, sequence)
    if (mark) return { ...mark, upTo: last_seq }
  }
  throw changed()
}

function isUpTo({ sequence, upTo }: Mark, asked: number): boolean {
  return sequence <= asked && asked <= upTo
}

/** Removes what is no slot. */
async function markAt(walk: Walk, sequence: number): Promise<Mark | undefined> {
  const { connection, stream, slotOf, timeoutMs } = walk
  const found = await readMessage(connection, stream, { seq: sequence }, timeoutMs)
  if (!found) return undefined
  const slot = slotOf(found.subject)
  if (isMarked(slot, found.headers)) return { sequence, slot, upTo: sequence }
  if (CONDITION.test(found.headers)) {
    throw new StrangeMessageError(`${stream} holds ${strangeness(slot, found)}`)
  }
  // Before it is gone: should the removal fail, it is still told of.
  walk.removed.add(sequence)
  if (!walk.oldest || sequence < walk.oldest.sequence) {
    walk.oldest = { sequence, subject: found.subject, bytes: found.bytes.length }
  }
  await removeMessage(connection, stream, sequence, timeoutMs)
  return undefined
}

/** Slots had no marks before this version. */
function strangeness(slot: number, { subject, headers }: StoredMessage): string {
  if (slot === 0 || HEADER.test(headers)) return `what is no slot: ${subject}`
  return `slot ${slot} as an older version wrote it; this one cannot read it`
}

/** In one line, as it may be thousands: how many, and the oldest of them. */
function sayRemoved({ stream, log, removed, oldest }: Walk): void {
  if (!oldest) return
  log.error(
    { stream, messages: removed.size, ...oldest },
    'something that no node wrote is in the journal of a shard; it is removed: see who may use JetStream',
  )
}

/** It is looked at again. */
function changed(): Error {
  return new Error('the stream has changed meanwhile')
}
