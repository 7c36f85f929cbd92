/**
 * What operators do to an actor: pause, resume, patch, cancel, delete (protocols.md section 5).
 *
 * Decides: what each of them means in each condition of an actor. Every one is a turn in the history
 * and a row in the audit trail, in the same commit. A dry run stops before anything is touched.
 */
import {
  type Chart,
  describeEffect,
  type Effect,
  type Step,
  stepReentry,
  stepToState,
} from '../machine/index.ts'
import {
  type Command,
  childOf,
  type DryRunView,
  type ErrorRecord,
  errorRecord,
  type Operation,
  pack,
  type StateValue,
} from '../protocol/index.ts'
import type { Batch } from './batch.ts'
import type { ShardContext } from './context.ts'
import { controlTurn, saveHead, takeKept } from './control.ts'
import { describeIssues, stepArrival } from './deliver.ts'
import { identityOf, snapshotOf } from './heads.ts'
import type { Cause } from './history.ts'
import { drainingKey, EMPTY, sequencedKey, TABLE, timerKey } from './keys.ts'
import { type Head, KEPT_TIMER, type TimerEntry } from './records.ts'
import { removeActor, removeBelongings } from './removal.ts'
import { type Answer, interruptTasks, releaseTasks } from './tasks.ts'
import { addTimerRow, applyTurn, encodeWithin, indexWithin } from './turn.ts'
import { diffContexts, receiptOf } from './views.ts'

type OperatorOperation = Extract<
  Operation,
  { op: 'pause' | 'resume' | 'patch' | 'cancel' | 'delete' }
>
export type OperatorCommand = Command & OperatorOperation

export function operate(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: OperatorCommand,
): Answer {
  const before = head.stateText
  const answer = dispatch(shard, batch, head, command)
  if ('ok' in answer && !command.dryRun) writeAudit(shard, batch, head, command, before)
  return answer
}

function dispatch(shard: ShardContext, batch: Batch, head: Head, command: OperatorCommand): Answer {
  switch (command.op) {
    case 'pause':
      return pause(shard, batch, head, command)
    case 'resume':
      return resume(shard, batch, head, command)
    case 'patch':
      return patch(shard, batch, head, command)
    case 'cancel':
      return cancel(shard, batch, head, command)
    case 'delete':
      return remove(shard, batch, head, command)
  }
}

function writeAudit(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: OperatorCommand,
  before: string,
): void {
  const { address, author = 'anonymous', id = '', op } = command
  const after = batch.removed.has(address) ? null : head.stateText
  const row = [address, author, op, id, detailOf(command), before, after]
  batch.write(
    sequencedKey(shard.shard, TABLE.audit, batch.now, batch.slot, batch.nextSequence()),
    pack(row),
  )
}

/** What was asked, without what every command has. */
function detailOf(command: OperatorCommand): unknown {
  const {
    address: _a,
    id: _i,
    author: _w,
    op: _o,
    deadline: _d,
    durability: _c,
    ...detail
  } = command
  return detail
}

function causeOf(command: OperatorCommand, note?: string): Cause {
  const cause: Cause = { type: command.op, by: command.author ?? 'anonymous' }
  if (command.id !== undefined) cause.commandId = command.id
  if (note !== undefined && note !== '') cause.note = note
  return cause
}

function conflict(head: Head, why: string): Answer {
  return { error: errorRecord('conflict', `${head.address} ${why}`, { address: head.address }) }
}

function dryRun(
  head: Head,
  effects: string[],
  value: StateValue = head.stored.value,
  after: unknown = head.stored.context,
): Answer {
  const view: DryRunView = {
    dryRun: true,
    value,
    status: head.status,
    handled: true,
    contextDiff: diffContexts(head.stored.context, after),
    effects,
  }
  return { ok: view }
}

/** Children are paused with their parent: what runs below it is part of it. */
function familyOf(shard: ShardContext, head: Head): Head[] {
  const family = [head]
  for (const child of head.children) {
    if (child.done || (child.kind !== 'machine' && child.kind !== 'transition')) continue
    const below = shard.heads.get(childOf(head.address, child.childId, shard.limits))
    if (below) family.push(...familyOf(shard, below))
  }
  return family
}

function pause(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: Command & { op: 'pause' },
): Answer {
  if (head.status !== 'active')
    return conflict(head, `has finished (${head.status}): there is nothing to pause`)
  if (head.paused && !command.interrupt) {
    return conflict(head, `is paused already, by ${head.paused.by} since ${head.paused.since}`)
  }
  if (command.dryRun) {
    const running = head.tasks.filter((task) => task.state === 'running')
    return dryRun(
      head,
      running.map(
        (task) =>
          `task ${task.name} ${command.interrupt ? 'is interrupted' : 'runs on; its result waits'}`,
      ),
    )
  }
  for (const member of familyOf(shard, head)) {
    if (member.status === 'active') pauseOne(shard, batch, member, command)
  }
  return { ok: receiptOf(head) }
}

function pauseOne(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: Command & { op: 'pause' },
): void {
  const timers = command.timers ?? 'run'
  head.paused ??= {
    since: batch.now,
    by: command.author ?? 'anonymous',
    reason: command.reason ?? '',
    timers,
  }
  if (head.paused.timers === 'freeze') freezeTimers(shard, batch, head)
  if (command.interrupt) interruptTasks(shard, batch, head)
  controlTurn(shard, batch, head, causeOf(command, command.reason))
}

/** Only the chart's own: leases and retention go on. */
function freezeTimers(shard: ShardContext, batch: Batch, head: Head): void {
  head.timers = head.timers.map((timer) => {
    if (timer.kind !== 'event' || timer.frozenMs !== null) return timer
    batch.write(timerKey(shard.shard, timer.dueAt, timer.effectId), null)
    return { ...timer, frozenMs: Math.max(0, timer.dueAt - batch.now) }
  })
}

function thawTimers(shard: ShardContext, batch: Batch, head: Head): void {
  head.timers = head.timers.map((timer): TimerEntry => {
    if (timer.frozenMs === null || timer.frozenMs === KEPT_TIMER) return timer
    const thawed = { ...timer, dueAt: batch.now + timer.frozenMs, frozenMs: null }
    addTimerRow(shard, batch, head, thawed)
    return thawed
  })
}

/** Lifts the pause; with a state or a retry the chart moves first, as a normal turn. */
function resume(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: Command & { op: 'resume' },
): Answer {
  const { state, retry } = command
  const chart = head.logic.kind === 'chart' ? head.logic.chart : undefined
  if (state !== undefined && !chart?.states.includes(state)) return unknownState(head, chart, state)
  if (state === undefined && head.status !== 'active') {
    return conflict(
      head,
      `has finished (${head.status} in ${head.stateText}); name a state to resume it at: --state`,
    )
  }
  if (state === undefined && !retry && !head.paused && !head.parked)
    return conflict(head, 'is neither paused nor parked')
  if (state === undefined && head.unreadable !== null) return { error: stuckError(head) }
  const step = chart ? planStep(head, chart, state, retry === true) : undefined
  if (step?.kind === 'failed')
    return {
      error: errorRecord('parked', `the step failed, nothing was changed: ${step.message}`, {
        address: head.address,
      }),
    }
  if (command.dryRun) return dryRunOfStep(head, step)
  return applyResume(shard, batch, head, command, step)
}

function unknownState(head: Head, chart: Chart | undefined, state: string): Answer {
  const states = chart?.states ?? []
  const why = `${head.kindName} has no state "${state.slice(0, 80)}"; it has: ${states.join(', ') || 'none'}`
  return { error: errorRecord('unknown-state', why, { address: head.address, detail: { states } }) }
}

function stuckError(head: Head): ErrorRecord {
  const why = `${head.unreadable}; resume it at a state, or register a version that can read it`
  return errorRecord('version-unknown', why, { address: head.address })
}

function planStep(
  head: Head,
  chart: Chart,
  state: string | undefined,
  retry: boolean,
): Step | undefined {
  if (state !== undefined) {
    const from = head.unreadable === null ? head : atInitial(head, chart)
    return stepToState(chart, snapshotOf(from, chart), state, identityOf(head))
  }
  if (!head.parked && !retry) return undefined
  return stepReentry(
    chart,
    snapshotOf(head, chart),
    head.parked?.failedChildren ?? [],
    identityOf(head),
  )
}

/** A position that the chart no longer has cannot be left: the move starts from the initial one. */
function atInitial(head: Head, chart: Chart): Head {
  const target = chart.machine.root.initial?.target[0]
  const value: StateValue = target ? target.key : {}
  return {
    ...head,
    stored: { ...head.stored, value, historyValue: null, status: 'active' },
    children: [],
    snapshot: undefined,
  }
}

function dryRunOfStep(head: Head, step: Step | undefined): Answer {
  if (step?.kind !== 'stepped')
    return dryRun(head, [`${head.keptTo - head.keptFrom} kept events are stepped`])
  const effects = step.effects.map(describeEffect)
  return dryRun(head, effects, step.snapshot.value as StateValue, step.snapshot.context)
}

function applyResume(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: Command & { op: 'resume' },
  step: Step | undefined,
): Answer {
  const condition = { paused: head.paused, parked: head.parked, unreadable: head.unreadable }
  const was = { status: head.status, timers: head.timers }
  const abandoned = head.unreadable === null ? [] : endOfAll(head)
  head.paused = null
  head.parked = null
  head.unreadable = null
  if (head.status !== 'active') reopen(shard, batch, head)
  if (step?.kind === 'stepped') {
    const note = command.state ?? (command.retry ? 'retry' : undefined)
    const effects = [...abandoned, ...step.effects]
    const turn = applyTurn(shard, batch, head, step.snapshot, effects, causeOf(command, note))
    if (turn.kind === 'refused') {
      Object.assign(head, condition, was)
      for (const timer of was.timers)
        if (timer.kind === 'purge') addTimerRow(shard, batch, head, timer)
      return { error: turn.error }
    }
    head.version = head.hosted.definition.version
  } else controlTurn(shard, batch, head, causeOf(command))
  if (!batch.removed.has(head.address)) goOn(shard, batch, head)
  for (const member of familyOf(shard, head).slice(1)) {
    if (member.paused && !command.dryRun) resumeMember(shard, batch, member, command)
  }
  return { ok: receiptOf(head) }
}

/** What belongs to states that the chart no longer has: no exit of theirs will end it. */
function endOfAll(head: Head): Effect[] {
  const timers = head.timers.filter((timer) => timer.kind === 'event')
  return [
    ...timers.map(({ id }): Effect => ({ kind: 'cancel', id })),
    ...head.children.map(({ childId }): Effect => ({ kind: 'stop', childId })),
  ]
}

/** A finished actor lives again: it is not purged. */
function reopen(shard: ShardContext, batch: Batch, head: Head): void {
  for (const timer of head.timers) {
    if (timer.kind === 'purge')
      batch.write(timerKey(shard.shard, timer.dueAt, timer.effectId), null)
  }
  head.timers = head.timers.filter((timer) => timer.kind !== 'purge')
  head.status = 'active'
}

function resumeMember(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: OperatorCommand,
): void {
  head.paused = null
  controlTurn(shard, batch, head, causeOf(command))
  goOn(shard, batch, head)
}

/** The kept queue is stepped before anything new, and what waited to start is offered again. */
function goOn(shard: ShardContext, batch: Batch, head: Head): void {
  if (head.parked) return
  thawTimers(shard, batch, head)
  releaseTasks(shard, batch, head)
  saveHead(shard, batch, head)
  drainKept(shard, batch, head)
}

/**
 * Steps the kept queue in order, within the steps of a batch; the rest goes on with the next batch,
 * and while it is not empty, everything that arrives joins its end.
 */
export function drainKept(shard: ShardContext, batch: Batch, head: Head): void {
  while (head.keptFrom < head.keptTo && !head.paused && !head.parked) {
    if (batch.steps >= shard.limits.stepsPerBatchMax) break
    const arrival = takeKept(shard, batch, head)
    batch.steps += 1
    if (!arrival) continue
    stepArrival(shard, batch, head, arrival, false)
    if (batch.removed.has(head.address)) return
  }
  const left = head.keptFrom < head.keptTo
  if (left && !head.paused && !head.parked)
    batch.write(drainingKey(shard.shard, head.address), EMPTY)
  else batch.write(drainingKey(shard.shard, head.address), null)
  saveHead(shard, batch, head)
}

/** A JSON merge patch (RFC 7396) of the context, checked by the machine's schema. */
function patch(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: Command & { op: 'patch' },
): Answer {
  const context = mergePatch(head.stored.context, command.merge)
  const schema = head.sources.length === 0 ? head.hosted.definition.context : undefined
  const parsed = schema?.safeParse(context)
  if (parsed && !parsed.success) {
    const why = `the patched context of ${head.address}: ${describeIssues(parsed.error.issues)}`
    return {
      error: errorRecord('invalid-context', why, {
        address: head.address,
        detail: parsed.error.issues,
      }),
    }
  }
  if (typeof context !== 'object' || context === null || Array.isArray(context)) {
    return {
      error: errorRecord('invalid-context', `the context of ${head.address} must stay an object`, {
        address: head.address,
      }),
    }
  }
  if (command.dryRun) return dryRun(head, [], head.stored.value, context)
  const stored = { ...head.stored, context }
  const encoded = encodeWithin(shard, head, stored)
  if (!(encoded instanceof Uint8Array)) return { error: encoded }
  const index = indexWithin(head, stored)
  if ('error' in index) return index
  head.stored = stored
  head.snapshot = undefined
  head.index = index.index
  controlTurn(shard, batch, head, causeOf(command))
  return { ok: receiptOf(head) }
}

function mergePatch(target: unknown, merge: unknown): unknown {
  if (typeof merge !== 'object' || merge === null || Array.isArray(merge)) return merge
  const base = typeof target === 'object' && target !== null && !Array.isArray(target) ? target : {}
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(merge)) {
    if (value === null) delete merged[key]
    else merged[key] = mergePatch(merged[key], value)
  }
  return merged
}

/** Ends an actor where it stands: tasks and timers are cancelled, children go, its record stays. */
function cancel(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: Command & { op: 'cancel' },
): Answer {
  if (head.status !== 'active') return conflict(head, `has finished already (${head.status})`)
  if (command.dryRun) {
    return dryRun(head, [
      ...head.tasks.map((task) => `cancel task ${task.name}`),
      ...head.timers.map((timer) => `cancel timer ${timer.id}`),
    ])
  }
  removeBelongings(shard, batch, head)
  Object.assign(head, {
    status: 'stopped',
    paused: null,
    parked: null,
    timers: [],
    tasks: [],
    children: [],
    keptFrom: 0,
    keptTo: 0,
    since: batch.now,
    snapshot: undefined,
  })
  if (head.sources.length === 0) addPurge(shard, batch, head)
  controlTurn(shard, batch, head, causeOf(command, command.reason))
  return { ok: receiptOf(head) }
}

function addPurge(shard: ShardContext, batch: Batch, head: Head): void {
  const retentionMs =
    head.hosted.definition.retention.finishedMs ?? shard.limits.finishedRetentionMs
  head.operations += 1
  const timer: TimerEntry = {
    id: 'troupe.purge',
    effectId: `${head.address}#${head.birth}:op${head.operations}`,
    dueAt: batch.now + retentionMs,
    kind: 'purge',
    to: '',
    event: null,
    frozenMs: null,
  }
  head.timers = [timer]
  addTimerRow(shard, batch, head, timer)
}

function remove(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: Command & { op: 'delete' },
): Answer {
  if (head.sources.length > 0) return conflict(head, 'is a child: cancel or delete its parent')
  if (command.dryRun)
    return dryRun(head, ['delete the actor, its history, timers, tasks and children'])
  const receipt = receiptOf(head)
  removeActor(shard, batch, head)
  return { ok: receipt }
}
