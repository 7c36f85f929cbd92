/**
 * One turn: what a step asked for becomes rows, releases and deliveries, all or none.
 *
 * Decides: ids of effects, the limits of a turn, what a finished actor leaves behind, and parking.
 * Leaves to others: choosing the event (deliver.ts) and the commit (engine.ts).
 */
import type { AnyMachineSnapshot } from 'xstate'
import {
  dehydrate,
  describeEffect,
  type Effect,
  type StoredSnapshot,
  stateText,
} from '../machine/index.ts'
import {
  type ActorStatus,
  type AddressText,
  canonicalAddress,
  childOf,
  type ErrorRecord,
  type EventObject,
  errorRecord,
  lastName,
  pack,
  parentOf,
  shardOf,
  TroupeError,
  toErrorRecord,
} from '../protocol/index.ts'
import type { Batch, ChildStart, Delivery, Release } from './batch.ts'
import type { ShardContext } from './context.ts'
import { indexOf } from './heads.ts'
import { type Cause, flushHistory, withEntry } from './history.ts'
import { EMPTY, liveKey, timerKey } from './keys.ts'
import {
  type ChildEntry,
  encodeActor,
  type Head,
  type TaskEntry,
  type TimerEntry,
} from './records.ts'
import { removeActor, removeChild, removeTaskRow } from './removal.ts'
import { newTask, publishTask, writeTaskRow } from './task-rows.ts'

export type TurnOutcome =
  | { kind: 'done'; reply: unknown; replied: boolean }
  /** Nothing changed. */
  | { kind: 'refused'; error: ErrorRecord }

/** Everything a turn would change, before it is known that it may. */
interface Plan {
  turn: number
  timers: TimerEntry[]
  tasks: TaskEntry[]
  children: ChildEntry[]
  timersGone: TimerEntry[]
  timersNew: TimerEntry[]
  tasksGone: TaskEntry[]
  tasksNew: TaskEntry[]
  stopped: ChildEntry[]
  liveNew: { entry: ChildEntry; input: unknown }[]
  deliveries: (Delivery | ChildStart)[]
  tells: { to: AddressText; event: EventObject }[]
  releases: Release[]
  reply: unknown
  replied: boolean
}

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
    // Nothing may happen that the caller cannot be told.
    if (plan.replied && cause.commandId !== undefined)
      checkOutgoing(shard, `the reply of ${head.address}`, plan.reply)
    stored = dehydrate(snapshot)
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

/** What leaves the actor has to be packable, and not too large for a message. */
function checkOutgoing(shard: ShardContext, what: string, value: unknown): void {
  const { payloadBytesMax } = shard.limits
  if (pack(value).length <= payloadBytesMax) return
  throw new TroupeError('too-large', `${what} exceeds ${payloadBytesMax} bytes (payloadBytesMax)`, {
    detail: { limit: 'payloadBytesMax' },
  })
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

function emptyPlan(head: Head): Plan {
  return {
    turn: head.turn + 1,
    timers: [...head.timers],
    tasks: [...head.tasks],
    children: [...head.children],
    timersGone: [],
    timersNew: [],
    tasksGone: [],
    tasksNew: [],
    stopped: [],
    liveNew: [],
    deliveries: [],
    tells: [],
    releases: [],
    reply: undefined,
    replied: false,
  }
}

function planTurn(shard: ShardContext, batch: Batch, head: Head, effects: readonly Effect[]): Plan {
  const plan = emptyPlan(head)
  const { effectsPerTurnMax } = shard.limits
  if (effects.length > effectsPerTurnMax) {
    throw new TroupeError(
      'limit-exceeded',
      `a turn has at most ${effectsPerTurnMax} effects (effectsPerTurnMax), this one has ${effects.length}`,
    )
  }
  effects.forEach((effect, index) => {
    planEffect(
      shard,
      batch,
      head,
      plan,
      effect,
      `${head.address}#${head.birth}:${plan.turn}:${index}`,
    )
  })
  if (plan.timers.length > shard.limits.timersPerActorMax) {
    throw new TroupeError(
      'limit-exceeded',
      `an actor has at most ${shard.limits.timersPerActorMax} timers (timersPerActorMax)`,
    )
  }
  if (plan.children.length > shard.limits.childrenPerActorMax) {
    throw new TroupeError(
      'limit-exceeded',
      `an actor has at most ${shard.limits.childrenPerActorMax} children and tasks (childrenPerActorMax)`,
    )
  }
  return plan
}

function planEffect(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  plan: Plan,
  effect: Effect,
  effectId: string,
): void {
  switch (effect.kind) {
    case 'timer': {
      const id = effect.id || effectId
      dropTimers(plan, (timer) => timer.kind === 'event' && timer.id === id)
      const delayMs = Number.isFinite(effect.delayMs) ? Math.max(0, Math.round(effect.delayMs)) : 0
      const to =
        effect.to.kind === 'self' ? '' : effect.to.kind === 'parent' ? '^' : effect.to.childId
      const dueAt = batch.now + delayMs
      const timer: TimerEntry = {
        id,
        effectId,
        dueAt,
        kind: 'event',
        to,
        event: effect.event,
        frozenMs: null,
      }
      plan.timers.push(timer)
      plan.timersNew.push(timer)
      return
    }
    case 'cancel':
      return dropTimers(plan, (timer) => timer.kind === 'event' && timer.id === effect.id)
    case 'task': {
      const task = newTask(shard, head, effect, effectId, batch.now)
      plan.children.push(childEntry(effect.childId, effect.src, 'task', false, effectId))
      plan.tasks.push(task)
      plan.tasksNew.push(task)
      return
    }
    case 'child': {
      checkOutgoing(shard, `the input of ${effect.src}`, effect.input)
      const kind = sourceKind(head, effect.src)
      plan.children.push(childEntry(effect.childId, effect.src, kind, effect.sync, effectId))
      const to = childOf(head.address, effect.childId, shard.limits)
      plan.deliveries.push({
        kind: 'start',
        to,
        parent: head.address,
        childId: effect.childId,
        effectId,
        src: effect.src,
        input: effect.input,
      })
      return
    }
    case 'live': {
      checkOutgoing(shard, `the input of ${effect.src}`, effect.input)
      const entry = childEntry(effect.childId, effect.src, 'live', false, effectId)
      plan.children.push(entry)
      plan.liveNew.push({ entry, input: effect.input })
      return
    }
    case 'stop':
      return planStop(plan, effect.childId)
    case 'send':
      return planSend(shard, head, plan, effect)
    case 'tell':
      checkOutgoing(shard, `the event ${effect.event.type} for ${effect.to}`, effect.event)
      plan.tells.push({ to: canonicalAddress(effect.to, shard.limits), event: effect.event })
      return
    case 'reply':
      plan.reply = effect.value
      plan.replied = true
      return
    case 'emit':
      checkOutgoing(shard, `the emitted event ${effect.event.type}`, effect.event)
      plan.releases.push({
        kind: 'emit',
        address: head.address,
        event: effect.event,
        turn: plan.turn,
      })
      return
    case 'log':
      plan.releases.push({ kind: 'log', address: head.address, value: effect.value })
      return
    case 'action':
      plan.releases.push({
        kind: 'action',
        address: head.address,
        type: effect.type,
        run: effect.run,
      })
  }
}

function childEntry(
  childId: string,
  src: string,
  kind: ChildEntry['kind'],
  sync: boolean,
  effectId: string,
): ChildEntry {
  return { childId, src, kind, sync, done: false, effectId }
}

function sourceKind(head: Head, src: string): 'machine' | 'transition' {
  const source = head.logic.kind === 'chart' ? head.logic.chart.sources.get(src) : undefined
  return source?.kind === 'transition' ? 'transition' : 'machine'
}

function planSend(
  shard: ShardContext,
  head: Head,
  plan: Plan,
  effect: Effect & { kind: 'send' },
): void {
  const by = head.address
  if (effect.to.kind === 'self') {
    plan.deliveries.push({ kind: 'event', to: head.address, event: effect.event, by })
  } else if (effect.to.kind === 'parent') {
    const parent = parentOf(head.address)
    if (parent) plan.deliveries.push({ kind: 'event', to: parent, event: effect.event, by })
  } else {
    const { childId } = effect.to
    const child = plan.children.find((entry) => entry.childId === childId)
    // A task or a finished child takes no events; XState drops them too.
    if (!child || child.done || child.kind === 'task') return
    if (child.kind === 'live') {
      plan.releases.push({ kind: 'live-send', effectId: child.effectId, event: effect.event })
      return
    }
    const to = childOf(head.address, childId, shard.limits)
    plan.deliveries.push({ kind: 'event', to, event: effect.event, by })
  }
}

/** A child is stopped by the exit of its state; a finished one is only taken off the list. */
function planStop(plan: Plan, childId: string): void {
  const at = plan.children.findIndex((entry) => entry.childId === childId)
  const entry = plan.children[at]
  if (!entry) return
  plan.children.splice(at, 1)
  const task = plan.tasks.find((candidate) => candidate.effectId === entry.effectId)
  if (task) {
    plan.tasks = plan.tasks.filter((candidate) => candidate !== task)
    dropTimers(plan, (timer) => timer.kind !== 'event' && timer.to === task.effectId)
    if (plan.tasksNew.includes(task))
      plan.tasksNew = plan.tasksNew.filter((candidate) => candidate !== task)
    else plan.tasksGone.push(task)
  }
  const started = plan.liveNew.findIndex((live) => live.entry === entry)
  if (started >= 0) plan.liveNew.splice(started, 1)
  else if (!entry.done && !task) plan.stopped.push(entry)
}

function dropTimers(plan: Plan, drop: (timer: TimerEntry) => boolean): void {
  for (const timer of plan.timers.filter(drop)) {
    plan.timers = plan.timers.filter((candidate) => candidate !== timer)
    if (plan.timersNew.includes(timer))
      plan.timersNew = plan.timersNew.filter((candidate) => candidate !== timer)
    else plan.timersGone.push(timer)
  }
}

/** A final state cancels what it leaves pending: XState itself does not cancel other delayed raises. */
function finishPlan(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  plan: Plan,
  stored: StoredSnapshot,
): void {
  if (stored.status === 'active') return
  dropTimers(plan, () => true)
  for (const child of [...plan.children]) planStop(plan, child.childId)
  if (parentOf(head.address)) return
  addPurgeTimer(shard, batch, head, plan)
}

function addPurgeTimer(shard: ShardContext, batch: Batch, head: Head, plan: Plan): void {
  const retentionMs =
    head.hosted.definition.retention.finishedMs ?? shard.limits.finishedRetentionMs
  const effectId = `${head.address}#${head.birth}:${plan.turn}:purge`
  const timer: TimerEntry = {
    id: 'troupe.purge',
    effectId,
    dueAt: batch.now + retentionMs,
    kind: 'purge',
    to: '',
    event: null,
    frozenMs: null,
  }
  plan.timers.push(timer)
  plan.timersNew.push(timer)
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
  const encoded = encodeWithin(shard, head, stored)
  const index = indexWithin(head, stored)
  if (!(encoded instanceof Uint8Array) || 'error' in index) {
    Object.assign(head, previous)
    return encoded instanceof Uint8Array ? (index as { error: ErrorRecord }).error : encoded
  }
  head.stored = stored
  head.stateText = text
  head.index = index.index
  shard.heads.resized(head, encoded.length)
  head.encoded = encoded
  batch.touch(head)
  announce(shard, batch, head, cause, before)
  return undefined
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
  if (bytes.length > shard.limits.actorBytesMax) {
    return errorRecord(
      'too-large',
      `${head.address} would take ${bytes.length} bytes; the limit is ${shard.limits.actorBytesMax} (actorBytesMax)`,
      { address: head.address, detail: { limit: 'actorBytesMax', bytes: bytes.length } },
    )
  }
  return bytes
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
  const { address, turn, stateText: to, status } = head
  batch.releases.push({
    kind: 'transition',
    address,
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
  batch.deliveries.push(...plan.deliveries)
  for (const { to, event } of plan.tells) sendTell(shard, batch, head.address, to, event)
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
  from: AddressText,
  to: AddressText,
  event: EventObject,
): void {
  const target = shardOf(to, shard.shardCount)
  if (target === shard.shard)
    batch.deliveries.push({ kind: 'event', to, event, by: from, tellFrom: from })
  else batch.tell(target, { from, to, event })
}

/** A child hands its output to its parent and is gone; a root actor stays for its retention. */
function finishActor(shard: ShardContext, batch: Batch, head: Head, output: unknown): void {
  const parent = parentOf(head.address)
  if (!parent) return
  const childId = lastName(head.address)
  const type = `xstate.done.actor.${childId}`
  batch.deliveries.push({
    kind: 'event',
    to: parent,
    event: { type, output, actorId: childId },
    by: head.address,
  })
  removeActor(shard, batch, head)
}

/** The effects of a step in words, for dry runs. */
export function describeEffects(effects: readonly Effect[]): string[] {
  return effects.map(describeEffect)
}
