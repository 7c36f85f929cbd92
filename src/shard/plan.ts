/**
 * What a turn would change, worked out from the effects of its step before anything is touched.
 *
 * Decides: ids of effects, the limits of a turn, and what a final state leaves behind. Leaves to
 * others: making it so (turn.ts).
 */
import type { Effect, StoredSnapshot } from '../machine/index.ts'
import {
  type AddressText,
  canonicalAddress,
  childOf,
  type EventObject,
  nestsDeeper,
  parentOf,
  shardOf,
  TroupeError,
  tooDeep,
} from '../protocol/index.ts'
import type { Batch, ChildStart, Delivery, Release } from './batch.ts'
import type { ShardContext } from './context.ts'
import { checkEventType, checkOutgoing, sentBytes } from './outgoing.ts'
import type { ChildEntry, Head, TaskEntry, TimerEntry } from './records.ts'
import { newTask } from './task-rows.ts'

/** Everything a turn would change, before it is known that it may. */
export interface Plan {
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
  tells: { target: number; to: AddressText; event: EventObject }[]
  releases: Release[]
  /** At most so many bytes of rows hold what it sends, and what it starts. */
  bytesOut: number
  /** Of what the caller is told. */
  bytesReply: number
  reply: unknown
  replied: boolean
}

export function emptyPlan(head: Head): Plan {
  return {
    turn: head.turn + 1,
    timers: ownCopy(head.timers),
    tasks: ownCopy(head.tasks),
    children: ownCopy(head.children),
    timersGone: [],
    timersNew: [],
    tasksGone: [],
    tasksNew: [],
    stopped: [],
    liveNew: [],
    deliveries: [],
    tells: [],
    releases: [],
    bytesOut: 0,
    bytesReply: 0,
    reply: undefined,
    replied: false,
  }
}

/** Most actors have none of these: what is empty is not iterated to be copied. */
function ownCopy<T>(list: readonly T[]): T[] {
  return list.length === 0 ? [] : list.slice()
}

export function planTurn(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  effects: readonly Effect[],
): Plan {
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
    case 'timer':
      return planTimer(shard, batch, plan, effect, effectId)
    case 'cancel':
      return dropTimers(plan, (timer) => timer.kind === 'event' && timer.id === effect.id)
    case 'task': {
      const task = newTask(shard, head, effect, effectId, batch.now)
      addChild(head, plan, childEntry(effect.childId, effect.src, 'task', false, effectId))
      plan.tasks.push(task)
      plan.tasksNew.push(task)
      plan.bytesOut += sentBytes(0, task.queue, task.name)
      return
    }
    case 'child':
      return planChild(shard, head, plan, effect, effectId)
    case 'live': {
      const bytes = checkOutgoing(shard, `the input of ${effect.src}`, effect.input)
      plan.bytesOut += sentBytes(bytes, head.address, effect.childId, effect.src)
      const entry = childEntry(effect.childId, effect.src, 'live', false, effectId)
      addChild(head, plan, entry)
      plan.liveNew.push({ entry, input: effect.input })
      return
    }
    case 'stop':
      return planStop(plan, effect.childId)
    case 'send':
      return planSend(shard, head, plan, effect)
    case 'tell':
      return planTell(shard, head, plan, effect)
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

function planTell(
  shard: ShardContext,
  head: Head,
  plan: Plan,
  { to: wanted, event }: Effect & { kind: 'tell' },
): void {
  const bytes = checkOutgoing(shard, `the event ${event.type} for ${wanted}`, event)
  const to = canonicalAddress(wanted, shard.limits)
  plan.bytesOut += sentBytes(bytes, head.address, to, head.address)
  plan.tells.push({ target: shardOf(to, shard.shardCount), to, event })
}

function planTimer(
  shard: ShardContext,
  batch: Batch,
  plan: Plan,
  effect: Effect & { kind: 'timer' },
  effectId: string,
): void {
  const id = effect.id || effectId
  dropTimers(plan, (timer) => timer.kind === 'event' && timer.id === id)
  // XState's own clock would fire at once: never what a machine means by it.
  if (!Number.isFinite(effect.delayMs)) {
    throw new TroupeError('conflict', `the delay of timer ${id} is ${effect.delayMs}, not a time`)
  }
  checkEventType(`timer ${id}`, effect.event)
  if (nestsDeeper(effect.event, shard.limits.nestingMax))
    throw TroupeError.from(tooDeep(`the event of timer ${id}`, shard.limits))
  const delayMs = Math.max(0, Math.round(effect.delayMs))
  const timer: TimerEntry = {
    id,
    effectId,
    dueAt: batch.now + delayMs,
    kind: 'event',
    to: effect.to.kind === 'self' ? '' : effect.to.kind === 'parent' ? '^' : effect.to.childId,
    event: effect.event,
    frozenMs: null,
  }
  plan.timers.push(timer)
  plan.timersNew.push(timer)
}

function planChild(
  shard: ShardContext,
  head: Head,
  plan: Plan,
  effect: Effect & { kind: 'child' },
  effectId: string,
): void {
  const { childId, src, input, sync } = effect
  const bytes = checkOutgoing(shard, `the input of ${src}`, input)
  addChild(head, plan, childEntry(childId, src, sourceKind(head, src), sync, effectId))
  const to = childOf(head.address, childId, shard.limits)
  plan.bytesOut += sentBytes(bytes, to, head.address, childId, effectId, src)
  plan.deliveries.push({ kind: 'start', to, parent: head.address, childId, effectId, src, input })
}

/** In XState a second child of an id takes the first one's place, which nobody could stop any more. */
function addChild(head: Head, plan: Plan, entry: ChildEntry): void {
  const { childId } = entry
  const before = plan.children.findIndex((other) => other.childId === childId)
  if (before >= 0 && plan.children[before]?.done === false) {
    const why = `${head.address} has a child ${childId} that is still alive: stop it first, or give each an id of its own`
    throw new TroupeError('conflict', why)
  }
  if (before >= 0) plan.children.splice(before, 1)
  plan.children.push(entry)
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
  checkEventType(`a sendTo() of ${by}`, effect.event)
  // It may have to wait in a row before it is stepped: while its target holds, or for the next batch.
  const what = `the event ${effect.event.type} that ${by} sends`
  const childId = effect.to.kind === 'child' ? effect.to.childId : ''
  plan.bytesOut += sentBytes(checkOutgoing(shard, what, effect.event), by, by, childId)
  if (effect.to.kind === 'self') {
    plan.deliveries.push({ kind: 'event', to: head.address, event: effect.event, by })
  } else if (effect.to.kind === 'parent') {
    const parent = parentOf(head.address)
    if (parent) plan.deliveries.push({ kind: 'event', to: parent, event: effect.event, by })
  } else {
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
export function finishPlan(
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
  const timer = purgeTimer(shard, batch, head, plan.turn)
  plan.timers.push(timer)
  plan.timersNew.push(timer)
}

/** Takes a finished actor away when its time is over. @param turn in which it finishes */
export function purgeTimer(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  turn: number,
): TimerEntry {
  const retentionMs =
    head.hosted.definition.retention.finishedMs ?? shard.limits.finishedRetentionMs
  return {
    id: 'troupe.purge',
    effectId: `${head.address}#${head.birth}:${turn}:purge`,
    dueAt: batch.now + retentionMs,
    kind: 'purge',
    to: '',
    event: null,
    frozenMs: null,
  }
}
