/**
 * Resume: lifting a pause, trying again what failed, moving to a state.
 *
 * Decides: that the chart moves first, as a normal turn, and that the kept queue is stepped before
 * anything new.
 */
import {
  type Chart,
  describeEffect,
  type Effect,
  type Step,
  stepAnew,
  stepReentry,
  stepToState,
} from '../machine/index.ts'
import { type Command, type ErrorRecord, errorRecord, type StateValue } from '../protocol/index.ts'
import type { Answer, Batch } from './batch.ts'
import type { ShardContext } from './context.ts'
import { controlTurn, encodeHead, firstKept, park, takeKept } from './control.ts'
import { stepArrival } from './deliver.ts'
import { identityOf, snapshotOf } from './heads.ts'
import { drainingKey, EMPTY, timerKey } from './keys.ts'
import { causeOf, conflict, dryRun, familyOf, type OperatorCommand } from './operator-commands.ts'
import { type Head, KEPT_TIMER, type TimerEntry } from './records.ts'
import { releaseTasks } from './tasks.ts'
import { addTimerRow, applyTurn } from './turn.ts'
import { controlBytes, fitsBeside, tooLargeBeside, whyTooMuch } from './turn-size.ts'
import { receiptOf } from './views.ts'

function thawTimers(shard: ShardContext, batch: Batch, head: Head): void {
  head.timers = head.timers.map((timer): TimerEntry => {
    if (timer.frozenMs === null || timer.frozenMs === KEPT_TIMER) return timer
    const thawed = { ...timer, dueAt: batch.now + timer.frozenMs, frozenMs: null }
    addTimerRow(shard, batch, head, thawed)
    return thawed
  })
}

/** Lifts the pause; with a state or a retry the chart moves first, as a normal turn. */
export function resume(
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
  if (step && (step.kind === 'failed' || command.dryRun)) shard.heads.undoStep(head)
  if (step?.kind === 'failed')
    return {
      error: errorRecord('parked', `the step failed, nothing was changed: ${step.message}`, {
        address: head.address,
      }),
    }
  if (command.dryRun) return dryRunOfStep(head, step)
  const others = familyOf(shard, head)
    .slice(1)
    .filter((member) => member.paused)
  const bytes = others.reduce((sum, member) => sum + controlBytes(member), 0)
  // The turn itself brings the record.
  const own = controlBytes(head) - (step ? head.bytes : 0)
  const tooMuch = whyTooMuch(shard, batch, head, 'to resume the family of', bytes + own)
  if (tooMuch) {
    shard.heads.undoStep(head)
    return { error: tooMuch }
  }
  // The turn has what they leave.
  batch.heldBytes = bytes + own
  const applied = applyResume(shard, batch, head, command, step)
  batch.heldBytes = 0
  return applied
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
  if (state !== undefined) return planMove(head, chart, state)
  if (!head.parked && !retry) return undefined
  return stepReentry(
    chart,
    snapshotOf(head, chart),
    head.parked?.failedChildren ?? [],
    identityOf(head),
  )
}

function planMove(head: Head, chart: Chart, state: string): Step {
  const { stored, unreadable, status } = head
  const identity = identityOf(head)
  if (unreadable === null && status === 'active') {
    const failed = head.parked?.failedChildren.filter((childId) => hasEnded(head, childId))
    return stepToState(chart, snapshotOf(head, chart), state, identity, failed)
  }
  const ended = status === 'done' ? 'finished' : 'cancelled'
  const end = unreadable === null ? ended : 'unreadable'
  return stepAnew(chart, { stored, end }, state, identity)
}

/** Of a child that failed: a task whose result is kept will be heard. */
function hasEnded(head: Head, childId: string): boolean {
  return head.children.every((child) => child.childId !== childId || child.done)
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
      shard.heads.undoStep(head)
      for (const timer of was.timers)
        if (timer.kind === 'purge') addTimerRow(shard, batch, head, timer)
      return { error: turn.error }
    }
    head.version = head.hosted.definition.version
    if (head.logic.kind === 'chart') head.chartHash = head.logic.chart.hash
  } else controlTurn(shard, batch, head, causeOf(command))
  if (!batch.removed.has(head.address)) goOn(shard, batch, head)
  for (const member of familyOf(shard, head).slice(1)) {
    // What one of them kept may have ended another.
    if (shard.heads.get(member.address) !== member) continue
    if (member.paused) resumeMember(shard, batch, member, command)
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
  batch.save(head)
  // What is stepped next may fail, and be undone to this.
  encodeHead(shard, head)
  drainKept(shard, batch, head)
}

/** The actor has grown since the first of its queue was kept: that stays where it is. */
function parksBeside(shard: ShardContext, batch: Batch, head: Head): boolean {
  const bytes = firstKept(shard, batch, head)?.length ?? 0
  if (fitsBeside(shard.limits, head, bytes)) return false
  const { message } = tooLargeBeside(shard.limits, head, bytes)
  park(shard, batch, head, message, { type: 'what was kept', by: 'resume' })
  return true
}

/**
 * Steps the kept queue in order, within the steps of a batch; the rest goes on with the next batch,
 * and while it is not empty, everything that arrives joins its end.
 */
export function drainKept(shard: ShardContext, batch: Batch, head: Head): void {
  while (head.keptFrom < head.keptTo && !head.paused && !head.parked) {
    // What has finished makes a dead letter of each event.
    if (batch.isFull(shard.limits)) break
    if (head.status === 'active' && parksBeside(shard, batch, head)) break
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
  batch.save(head)
}
