/**
 * How much a turn, or a command of an operator, adds to its batch.
 *
 * Decides: what counts, and that it stays within `turnBytesMax`: so that a batch that begins nothing
 * past `beginBytesMax` always fits the slot of a journal. All of it is sums of sizes that are known, or
 * bounds; nothing is packed for it. Leaves to others: who is told.
 */
import { childOf, type ErrorRecord, errorRecord, type Limits } from '../protocol/index.ts'
import { type Batch, ROW_BYTES } from './batch.ts'
import type { ShardContext } from './context.ts'
import { indexRowsBytes } from './index-keys.ts'
import { MESSAGE_FIXED_BYTES, UTF8_BYTES_MAX } from './outgoing.ts'
import type { Plan } from './plan.ts'
import type { ChildEntry, Head } from './records.ts'

/** Of a key whose end is an effect id or a number: shard, table, time, birth, turn and index. */
const KEY_FIXED_BYTES = 64
/** A row without a value, by the address that its key holds. */
const BARE_ROW_BYTES = KEY_FIXED_BYTES + ROW_BYTES
/** The row of a remembered answer, of a timer or an event that was taken, of the audit trail. */
const COMMAND_FIXED_BYTES = 2_048

/** What parking writes beside the actor, its texts and a dead letter about it: this part of a turn. */
const PARK_PART = 10

/** What a planned turn adds. @param record size of the actor after it */
export function turnBytes(shard: ShardContext, head: Head, plan: Plan, record: number): number {
  const { timersGone, timersNew, tasksGone, tasksNew, stopped, liveNew } = plan
  const rows =
    timersGone.length + timersNew.length + tasksGone.length + tasksNew.length + liveNew.length
  let bytes =
    record +
    plan.bytesOut +
    plan.bytesReply +
    indexRowsBytes(head) +
    rows * bareRowBytes(head) +
    COMMAND_FIXED_BYTES +
    head.stateText.length * UTF8_BYTES_MAX
  for (const child of stopped) bytes += childRemovalBytes(shard, head, child)
  return bytes
}

/** Why a turn, or what an operator asks for, is too much for a batch. */
export function whyTooMuch(
  { limits }: ShardContext,
  batch: Batch,
  { address }: Head,
  what: string,
  bytes: number,
): ErrorRecord | undefined {
  const { turnBytesMax } = limits
  if (bytes + batch.heldBytes <= turnBytesMax) return undefined
  return errorRecord(
    'too-large',
    `${what} ${address} adds ${bytes + batch.heldBytes} bytes to a batch; the limit is ${turnBytesMax} (turnBytesMax)`,
    { address, detail: { limit: 'turnBytesMax', bytes: bytes + batch.heldBytes } },
  )
}

/** Whether something of this size can be kept beside the actor, when it holds or is parked by it. */
export function fitsBeside({ turnBytesMax }: Limits, head: Head, bytes: number): boolean {
  return head.bytes + bytes + turnBytesMax / PARK_PART <= turnBytesMax
}

export function tooLargeBeside(
  { turnBytesMax }: Limits,
  { address, bytes }: Head,
  arrivedBytes: number,
): ErrorRecord {
  return errorRecord(
    'too-large',
    `${address} has ${bytes} bytes, what arrived ${arrivedBytes}: together they do not fit ${turnBytesMax} (turnBytesMax), of which a part is for parking`,
    { address, detail: { limit: 'turnBytesMax', bytes: bytes + arrivedBytes } },
  )
}

/** What taking an actor away writes, with all below it. What is numbered may go part by part. */
export function removalBytes(shard: ShardContext, head: Head): number {
  const rows = head.timers.length + head.tasks.length + FIXED_ROWS
  let bytes = rows * bareRowBytes(head) + indexRowsBytes(head)
  for (const child of head.children) if (!child.done) bytes += childRemovalBytes(shard, head, child)
  return bytes
}

/** The actor itself, what drains, and what is left of it. */
const FIXED_ROWS = 3

function childRemovalBytes(shard: ShardContext, head: Head, child: ChildEntry): number {
  if (child.kind === 'task') return 0
  if (child.kind === 'live') return bareRowBytes(head)
  const below = shard.heads.get(childOf(head.address, child.childId, shard.limits))
  return below ? removalBytes(shard, below) : 0
}

/** What a pause or a resume writes of one actor: its record with the reason, its timers and tasks. */
export function controlBytes(head: Head, reason = ''): number {
  const rows = head.timers.length + head.tasks.length + FIXED_ROWS
  const names = head.tasks.reduce((sum, { queue, name }) => sum + queue.length + name.length, 0)
  const texts = UTF8_BYTES_MAX * (2 * reason.length + names + head.stateText.length * 2)
  const record = head.bytes + head.recent.length
  return record + indexRowsBytes(head) + rows * (bareRowBytes(head) + MESSAGE_FIXED_BYTES) + texts
}

function bareRowBytes({ address }: Head): number {
  return address.length + BARE_ROW_BYTES
}
