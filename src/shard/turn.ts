/**
 * One turn: what a step asked for becomes rows, releases and deliveries, all or none.
 *
 * Decides: ids of effects, the limits of a turn, what a finished actor leaves behind, and parking.
 * Leaves to others: choosing the event (deliver.ts) and the commit (engine.ts).
 */
import type { AnyMachineSnapshot } from 'xstate'
import { dehydrate, type Effect, type StoredSnapshot, stateText } from '../machine/index.ts'
import {
  type ActorStatus,
  type AddressText,
  type ErrorRecord,
  type EventObject,
  errorRecord,
  nestsDeeper,
  pack,
  toErrorRecord,
} from '../protocol/index.ts'
import { checkBacklog } from './backlog.ts'
import type { Batch } from './batch.ts'
import { parentHeadOf, tellDone } from './child-ends.ts'
import type { ShardContext } from './context.ts'
import { type Cause, chunkBytes, flushHistory, withEntry } from './history.ts'
import { indexOf } from './index-fields.ts'
import { EMPTY, liveKey, timerKey } from './keys.ts'
import { checkOutgoing } from './outgoing.ts'
import { emptyPlan, finishPlan, type Plan, planTurn } from './plan.ts'
import { type ChildEntry, encodeActor, type Head, type TimerEntry } from './records.ts'
import { removeActor, removeChild, removeTaskRow } from './removal.ts'
import { publishTask, writeTaskRow } from './task-rows.ts'
import { turnBytes, whyTooMuch } from './turn-size.ts'

export type TurnOutcome =
  | { kind: 'done'; reply: unknown; replied: boolean }
  /** Nothing changed. */
  | { kind: 'refused'; error: ErrorRecord }

/** Applies a successful step of a chart. */
export function applyTurn(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  snapshot: AnyMachineSnapshot,
  effects: readonly Effect[],
  cause: Cause,
): TurnOutcome {
  let plan: Plan
  let stored: StoredSnapshot
  try {
    plan = planTurn(shard, batch, head, effects)
    checkBacklog(shard, batch, plan)
    // Nothing may happen that the caller cannot be told.
    if (plan.replied && cause.commandId !== undefined)
      plan.bytesReply += checkOutgoing(shard, `the reply of ${head.address}`, plan.reply)
    stored = dehydrate(snapshot)
    if (stored.output !== undefined)
      plan.bytesReply += checkOutgoing(shard, `the output of ${head.address}`, stored.output)
    finishPlan(shard, batch, head, plan, stored)
  } catch (thrown) {
    return {
      kind: 'refused',
      error: { ...toErrorRecord(thrown, 'conflict'), address: head.address },
    }
  }
  const refused = storeTurn(shard, batch, head, plan, stored, cause)
  if (refused) return { kind: 'refused', error: refused }
  head.snapshot = snapshot
  flushPlan(shard, batch, head, plan)
  if (head.status === 'done') finishActor(shard, batch, head, stored.output)
  return { kind: 'done', reply: plan.reply, replied: plan.replied }
}

/** Applies a step of a reducer: it asks for no effects. */
export function applyReducerTurn(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  context: unknown,
  cause: Cause,
): TurnOutcome {
  const stored: StoredSnapshot = { ...head.stored, context }
  const refused = storeTurn(shard, batch, head, emptyPlan(head), stored, cause)
  return refused
    ? { kind: 'refused', error: refused }
    : { kind: 'done', reply: undefined, replied: false }
}

/** Encodes and checks; changes the head only when it fits. */
function storeTurn(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  plan: Plan,
  stored: StoredSnapshot,
  cause: Cause,
): ErrorRecord | undefined {
  const text = stored.value === head.stored.value ? head.stateText : stateText(stored.value)
  const moved = text !== head.stateText || plan.turn === 1 || stored.status !== head.status
  const status: ActorStatus = stored.status
  const before = plan.turn === 1 ? null : head.stateText
  const { turn, updatedAt, since, timers, tasks, children } = head
  const previous = {
    turn,
    updatedAt,
    since,
    status: head.status,
    timers,
    tasks,
    children,
    recent: head.recent,
    recentFrom: head.recentFrom,
    index: head.index,
  }
  const { recent, recentFrom } = withEntry(shard, head, plan.turn, batch.now, cause, before, text)
  head.recent = recent
  head.recentFrom = recentFrom
  head.turn = plan.turn
  head.updatedAt = batch.now
  if (moved) head.since = batch.now
  head.status = status
  head.timers = plan.timers
  head.tasks = plan.tasks
  head.children = plan.children
  const index = indexWithin(head, stored)
  if ('index' in index) head.index = index.index
  const encoded = 'error' in index ? index.error : encodeTurn(shard, batch, head, plan, stored)
  if (!(encoded instanceof Uint8Array)) {
    Object.assign(head, previous)
    return encoded
  }
  head.stored = stored
  head.stateText = text
  batch.resized(head, encoded.length)
  shard.heads.resized(head, encoded.length)
  head.encoded = encoded
  batch.touch(head)
  announce(shard, batch, head, cause, before)
  return undefined
}

/** The packed record, or why the turn does not fit. */
function encodeTurn(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  plan: Plan,
  stored: StoredSnapshot,
): Uint8Array | ErrorRecord {
  const encoded = encodeWithin(shard, head, stored)
  if (!(encoded instanceof Uint8Array)) return encoded
  const sync = head.sources.length > 0 && parentHeadOf(shard, head)?.entry.sync === true
  const record = encoded.length * (sync ? 2 : 1) + chunkBytes(head)
  const bytes = turnBytes(shard, head, plan, record)
  return whyTooMuch(shard, batch, head, 'a turn of', bytes) ?? encoded
}

/** The fields of its index, or why they cannot be had: `index` is the machine's own code. */
export function indexWithin(
  head: Head,
  stored: StoredSnapshot,
): { index: Head['index'] } | { error: ErrorRecord } {
  if (!head.hosted.definition.index) return { index: head.index }
  try {
    return { index: indexOf(head.hosted, head.sources, stored.context) }
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    const message = `the index of ${head.hosted.definition.name} failed: ${why}`
    return { error: errorRecord('conflict', message, { address: head.address }) }
  }
}

/** The packed record, or why it cannot be stored. */
export function encodeWithin(
  shard: ShardContext,
  head: Head,
  stored: StoredSnapshot,
): Uint8Array | ErrorRecord {
  let bytes: Uint8Array
  try {
    bytes = encodeActor(head, stored)
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    return errorRecord(
      'conflict',
      `the context or output of ${head.address} cannot be stored: ${why}`,
      { address: head.address },
    )
  }
  // What is small cannot be nested so deep that nobody could be shown it.
  const deep =
    bytes.length - head.recent.length > DEEP_BYTES_MIN &&
    nestsDeeper([stored.context, stored.output], STORED_LEVELS_FACTOR * shard.limits.nestingMax)
  if (deep) return tooDeepToStore(shard, head)
  if (bytes.length > shard.limits.actorBytesMax) {
    return errorRecord(
      'too-large',
      `${head.address} would take ${bytes.length} bytes; the limit is ${shard.limits.actorBytesMax} (actorBytesMax)`,
      { address: head.address, detail: { limit: 'actorBytesMax', bytes: bytes.length } },
    )
  }
  return bytes
}

/** A level takes a byte at least; packing fails at about 1,200, and a view has some of its own. */
const DEEP_BYTES_MIN = 1_000
/** An event, nested as deep as it may be, can be kept anywhere in a context. */
const STORED_LEVELS_FACTOR = 2

function tooDeepToStore({ limits }: ShardContext, { address }: Head): ErrorRecord {
  const levels = STORED_LEVELS_FACTOR * limits.nestingMax
  return errorRecord(
    'too-large',
    `the context or output of ${address} holds more than ${levels} lists and objects in each other (twice nestingMax)`,
    { address, detail: { limit: 'nestingMax' } },
  )
}

/** Tells whoever watches, and moves a full chunk of the history to its row. */
export function announce(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  cause: Cause,
  before: string | null,
): void {
  flushHistory(shard, batch, head)
  if (!shard.announces) return
  const { address, createdAt, turn, stateText: to, status } = head
  batch.releases.push({
    kind: 'transition',
    address,
    createdAt,
    turn,
    cause: cause.type,
    from: before,
    to,
    status,
  })
}

function flushPlan(shard: ShardContext, batch: Batch, head: Head, plan: Plan): void {
  for (const timer of plan.timersGone) {
    if (timer.frozenMs === null)
      batch.write(timerKey(shard.shard, timer.dueAt, timer.effectId), null)
  }
  for (const timer of plan.timersNew) addTimerRow(shard, batch, head, timer)
  for (const task of plan.tasksGone) removeTaskRow(shard, batch, task)
  for (const task of plan.tasksNew) {
    writeTaskRow(shard, batch, task)
    publishTask(shard, batch, task)
  }
  for (const child of plan.stopped) removeChild(shard, batch, head, child)
  for (const { entry, input } of plan.liveNew) startLive(shard, batch, head, entry, input)
  batch.reserve(plan.bytesOut)
  batch.deliveries.push(...plan.deliveries)
  for (const { target, to, event } of plan.tells)
    sendTell(shard, batch, { target, from: head.address, to, event })
  batch.releases.push(...plan.releases)
}

export function addTimerRow(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  timer: TimerEntry,
): void {
  batch.write(timerKey(shard.shard, timer.dueAt, timer.effectId), EMPTY)
  batch.releases.push({
    kind: 'timer',
    effectId: timer.effectId,
    address: head.address,
    dueAt: timer.dueAt,
  })
}

function startLive(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  entry: ChildEntry,
  input: unknown,
): void {
  const source = head.logic.kind === 'chart' ? head.logic.chart.sources.get(entry.src) : undefined
  if (source?.kind !== 'live') return
  batch.write(
    liveKey(shard.shard, entry.effectId),
    pack([head.address, entry.childId, entry.src, input]),
  )
  batch.releases.push({
    kind: 'live-start',
    address: head.address,
    childId: entry.childId,
    effectId: entry.effectId,
    logic: source.logic,
    input,
  })
}

/** Within the shard at once, otherwise by the channel to the other shard. */
export function sendTell(
  shard: ShardContext,
  batch: Batch,
  {
    target,
    from,
    to,
    event,
  }: { target: number; from: AddressText; to: AddressText; event: EventObject },
): void {
  if (target === shard.shard)
    batch.deliveries.push({ kind: 'event', to, event, by: from, tellFrom: from })
  else batch.tell(target, { from, to, event })
}

/** A child hands its output to its parent and is gone; a root actor stays for its retention. */
function finishActor(shard: ShardContext, batch: Batch, head: Head, output: unknown): void {
  if (head.sources.length === 0) return
  const parent = parentHeadOf(shard, head)
  if (parent) tellDone(batch, parent, head.address, output, head.bytes)
  removeActor(shard, batch, head)
}
