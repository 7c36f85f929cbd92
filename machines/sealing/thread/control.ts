/**
 * What people and programs ask of a thread: pause, go on, drain, abort, wake, another configuration.
 * Decides: what is done at once, what waits for the end of the running step, what is refused. Leaves to
 * others: going on in another state (`resume.ts`), who may ask. Pure.
 */
import { isDeepStrictEqual } from 'node:util'
import { hasStep, isEnd } from '../plans/index.ts'
import type { Answer, Change, Done, Refused } from './changes.ts'
import {
  type Asked,
  conditionOf,
  configuredAs,
  gateHere,
  isAtWork,
  isLive,
  isOutdated,
  nextConfig,
  noted,
  phaseFor,
  renewed,
  type ThreadContext,
  timeOf,
} from './context.ts'
import type { AbortEvent, ConfigureEvent, PauseEvent, ResumeEvent } from './events.ts'
import { abortion } from './outcomes.ts'
import { moveTo } from './resume.ts'

/** The answer to what is done; where the work goes on from here, if `set` lets it. */
function doneWith(
  context: ThreadContext,
  set: Partial<ThreadContext>,
  extra: Partial<Done> = {},
): Answer {
  const after = { ...context, ...set }
  const phase = isAtWork(after) ? after.phase : phaseFor(after)
  const { plan, state } = after
  return { ok: true, plan, state, condition: conditionOf({ ...after, phase }), ...extra }
}

function refusal(refused: Refused['refused'], message: string): Refused {
  return { refused, message }
}

/** Nothing changes. */
function unchanged(context: ThreadContext, answer: Answer) {
  return { set: { at: context.at }, answer } satisfies Change
}

/** The work goes on where the context says. */
function settle(context: ThreadContext, set: Partial<ThreadContext>, extra?: Partial<Done>) {
  // What it does now ends with it.
  const answer = doneWith({ ...context, phase: 'begin' }, set, extra)
  return { set, raise: 'SETTLE', answer } satisfies Change
}

export function pause(context: ThreadContext, event: PauseEvent): Change {
  const { state, phase } = context
  const at = timeOf(context, event.at)
  if (context.paused !== null || context.parked) {
    return unchanged(context, doneWith(context, {}, { already: true }))
  }
  const isWorking = isAtWork(context)
  if (context.pausing !== null) {
    const answer = doneWith(context, {}, { pausing: isWorking, already: true })
    return unchanged(context, answer)
  }
  const asked: Asked = { by: event.by, at, reason: event.reason ?? null }
  if (isWorking) {
    const set = { pausing: asked, at }
    return { set, answer: doneWith(context, set, { pausing: true }) }
  }
  const entry = { event: 'Paused', from: state, to: state, at, by: event.by, isSpan: true }
  const note = isLive(context) ? noted(context, entry) : {}
  const set = { ...note, paused: asked, wait: null, at }
  // It is drained all the same, and paused when it takes sectors again.
  if (phase === 'drained') return { set, answer: doneWith(context, set) }
  return settle(context, set)
}

export function resume(context: ThreadContext, event: ResumeEvent): Change {
  const change = resumed(context, event)
  // What it would answer, and nothing else.
  return event.dryRun === true ? { set: { at: context.at }, answer: change.answer } : change
}

function resumed(context: ThreadContext, event: ResumeEvent): Change & { answer: Answer } {
  const at = timeOf(context, event.at)
  const { phase, pausing } = context
  const isHeld = context.paused !== null || context.parked
  if (event.state !== undefined) {
    if (isAtWork(context)) return unchanged(context, stillWorking(context))
    if (!isHeld) return unchanged(context, notHeld(context))
    if (context.end !== null) return unchanged(context, hasEnded(context))
    return moveTo(context, event.state, event, at)
  }
  if (isHeld) return goOn(context, event, at)
  if (event.retry === true) return tryAnew(context, event, at)
  if (pausing === null) {
    return unchanged(context, phase === 'drained' ? isDrained() : notHeld(context))
  }
  const set = { pausing: null, at }
  return { set, answer: doneWith(context, set) }
}

/** A pause ends where it stood; what an error has parked is tried again, with its counters at nothing. */
function goOn(context: ThreadContext, { by }: ResumeEvent, at: number) {
  const { state } = context
  const entry = { event: 'Resumed', from: state, to: state, at, by, isSpan: false }
  const note = isLive(context) ? noted(context, entry) : {}
  const again = context.parked ? { retries: 0, lastError: null } : {}
  const set = { ...note, ...again, paused: null, parked: false, wait: null, rests: 0, at }
  return settle(context, set)
}

/** What runs is cancelled, what waits does so no longer. */
function tryAnew(context: ThreadContext, { by }: ResumeEvent, at: number) {
  const { state, phase } = context
  if (phase === 'drained') return unchanged(context, isDrained())
  // Its history is being written; there is no step.
  if (phase === 'archive') return unchanged(context, notHeld(context))
  const entry = { event: 'Retried', from: state, to: state, at, by, isSpan: true }
  const note = isLive(context) ? noted(context, entry) : {}
  const set = { ...note, retries: 0, rests: 0, wait: null, lastError: null, pausing: null, at }
  return settle(context, set)
}

function notHeld({ state, phase, pausing }: ThreadContext): Refused {
  const condition = conditionOf({ state, phase, pausing })
  const message = `the thread is ${condition} in ${state}, and neither paused nor parked; to try its step anew use retry`
  return refusal('not-paused', message)
}

function hasEnded({ state, end }: ThreadContext): Refused {
  const what = end === null ? `is ${state} already` : 'has ended, and only its history is left'
  return refusal('ending', `the sector ${what}`)
}

function isDrained(): Refused {
  return refusal('not-paused', 'the thread is drained: let it take sectors again (UNDRAIN)')
}

function stillWorking({ state }: ThreadContext): Refused {
  const message = `the step of ${state} still runs: pause the thread and wait until it is paused, or abort the sector`
  return refusal('pausing', message)
}

export function drain(context: ThreadContext): Change {
  const set = { takesNew: false }
  if (!context.takesNew) return unchanged(context, doneWith(context, {}, { already: true }))
  const isIdle = context.state === 'Empty' && !isAtWork(context)
  return isIdle ? settle(context, set) : { set, answer: doneWith(context, set) }
}

export function undrain(context: ThreadContext): Change {
  if (context.takesNew) return unchanged(context, doneWith(context, {}, { already: true }))
  const set = { takesNew: true, wait: null }
  return context.phase === 'drained'
    ? settle(context, set)
    : { set: { takesNew: true }, answer: doneWith(context, { takesNew: true }) }
}

/** Something that it waits for may have come. */
export function wake(context: ThreadContext): Change {
  const { wait, phase } = context
  if (wait === null || (phase !== 'rest' && phase !== 'retry')) {
    return unchanged(context, doneWith(context, {}, { woken: false }))
  }
  if (!wait.isRenewal) return settle(context, { wait: null }, { woken: true })
  const set = renewed(context)
  return { set, raise: 'NextSector', answer: doneWith(context, set, { woken: true }) }
}

export function abort(context: ThreadContext, event: AbortEvent): Change {
  const { plan, state } = context
  const at = timeOf(context, event.at)
  if (!isLive(context)) {
    return unchanged(
      context,
      refusal('no-sector', 'the thread has no sector that could be aborted'),
    )
  }
  if (!hasStep(plan, 'Aborted')) {
    const message = `the plan ${plan} has no Aborted; to end it, resume it at Finished with force`
    return unchanged(context, refusal('no-abort', message))
  }
  if (isEnd(state) || context.end !== null) return unchanged(context, hasEnded(context))
  // Who aborts wants it done, whatever holds the thread.
  const free = { paused: null, pausing: null }
  const { set, ...change } = abortion({ ...context, ...free }, event.reason, at, event.by)
  const whole = { ...free, ...set }
  const after = { ...context, ...whole, state: 'Aborted', phase: 'begin' } as const
  return { ...change, set: whole, answer: doneWith(after, {}) }
}

export function configure(context: ThreadContext, event: ConfigureEvent): Change {
  const known = nextConfig(context)
  const next = { plan: event.plan ?? known.plan, settings: event.settings ?? known.settings }
  const settings = event.settingsNow === true ? next.settings : context.settings
  const configured = configuredAs({ plan: context.plan, settings }, next)
  const set: Partial<ThreadContext> = { settings, configured }
  if (event.index !== undefined) set.index = event.index
  if (event.location !== undefined) set.location = event.location
  if (event.pool !== undefined) set.pool = event.pool
  if (event.gates !== undefined) set.gates = event.gates
  const after = { ...context, ...set }
  if (isOutdated(after) && !isAtWork(context)) {
    const anew = { ...set, ...renewed(after) }
    const there = { ...context, phase: 'begin' } as const
    return { set: anew, raise: 'NextSector', answer: doneWith(there, anew) }
  }
  return isOvertaken(context, after)
    ? settle(context, set)
    : { set, answer: doneWith(context, set) }
}

/** What it waits with was asked for, or put into the queue, with what counts no more. */
function isOvertaken(before: ThreadContext, after: ThreadContext): boolean {
  const { phase } = before
  if (phase === 'gate') return !isDeepStrictEqual(gateHere(after), gateHere(before))
  const isSame =
    after.location === before.location && isDeepStrictEqual(after.settings, before.settings)
  return phase === 'queued' && !isSame
}
