/**
 * What follows from the end of a step. Decides: the next state, rests, tries and their back-off, when a
 * thread parks, when a sector is given up. Leaves to others: the chart's transitions, timers, messages.
 * Pure.
 */
import type { TaskFailure } from '../../../src/index.ts'
import type { Chapter } from '../history/index.ts'
import {
  applyEvent,
  clearedBy,
  furtherOf,
  hasStep,
  isEnd,
  type PlanEvent,
  type SectorState,
} from '../plans/index.ts'
import type { Change } from './changes.ts'
import {
  entriesOf,
  isLive,
  isOutdated,
  MESSAGE_CHARS_MAX,
  NOTE_CHARS_MAX,
  nextConfig,
  noted,
  renewed,
  type ThreadContext,
  timeOf,
  type Wait,
  workName,
} from './context.ts'
import {
  FAILURE_LEVELS,
  type FailureLevel,
  type RestReason,
  type SectorRecord,
  type StepFailure,
  type TimedOutcome,
} from './step.ts'

/** A person has looked at it by then, or it has helped itself. */
const RETRY_WAIT_MS_MAX = 30 * 60_000
/** Part of the wait, up and down: threads that failed together do not come back together. */
const JITTER = 0.2
/** Pools come back within seconds, or not soon. */
const POOL_WAIT_MS = 5_000
const POOL_WAIT_MS_MAX = 120_000

/** Rests in which nobody answered. */
const OUTAGES: ReadonlySet<RestReason> = new Set(['manager-down', 'worker-down', 'processor-down'])

type Done = Extract<TimedOutcome, { kind: 'done' }>
type Rest = Extract<TimedOutcome, { kind: 'rest' }>

export function stepEnded(context: ThreadContext, outcome: TimedOutcome): Change {
  const at = timeOf(context, outcome.at)
  if (outcome.kind === 'rest') return settled(context, rested(context, outcome, at))
  const { state, plan } = context
  const next = isEnd(state) ? state : applyEvent(plan, state, outcome.event)
  if (next !== undefined) return done(context, outcome, next, at)
  const message = `the step of ${state} ended with "${outcome.event}", which the plan ${plan} does not know there`
  return settled(context, parked(context, 'critical', message, at))
}

function done(context: ThreadContext, outcome: Done, next: SectorState, at: number): Change {
  const { state, record, startedAt, abortReason } = context
  const { event, workMs: durationMs } = outcome
  const begun = { ...context, record: recordAfter(context, outcome) }
  const set: Partial<ThreadContext> = {
    ...noted(isLive(context) ? context : begun, {
      ...{ event, from: state, to: next, at, durationMs, isSpan: true },
    }),
    ...progress(at),
    record: begun.record,
    startedAt: startedAt ?? outcome.startedAt,
  }
  if (!isEnd(state)) {
    const reported = { prev: state, next, event }
    // Here, and nowhere else, is a sector known to be given: until then the same one is asked for.
    const cycle = context.cycle + (state === 'Empty' ? 1 : 0)
    const moved = { ...set, cycle, reported, ...pauseNow(context) }
    return { set: moved, raise: event as PlanEvent }
  }
  set.end = { end: state, reason: abortReason, at }
  // There is nothing to write of a sector that there never was.
  if (workName(record) !== null) return settled(context, set)
  const change = archived({ ...context, ...set })
  return { ...change, set: { ...set, ...change.set } }
}

/** Whatever comes on begins anew with the counters. */
function progress(at: number): Partial<ThreadContext> {
  return { retries: 0, rests: 0, lastError: null, wait: null, parked: false, at }
}

function recordAfter({ plan, record }: ThreadContext, { event, record: written }: Done) {
  const merged: Record<string, unknown> = { ...record }
  for (const key of clearedBy(plan, event)) delete merged[key]
  for (const [key, value] of Object.entries(written)) {
    // A field that comes without a value is taken away.
    if (value === undefined || value === null) delete merged[key]
    else merged[key] = value
  }
  return merged as SectorRecord
}

function rested(context: ThreadContext, outcome: Rest, at: number): Partial<ThreadContext> {
  const { reason, why, afterMs } = outcome
  const { state, settings } = context
  const rests = restsFor(context, reason)
  const isRenewal = state === 'Empty' && reason === 'idle' && rests > settings.requestTaskMaxRetries
  // Who answered is not the one who failed before: what polls for hours fails now and then.
  const recovered = OUTAGES.has(reason) ? {} : { retries: 0, lastError: null }
  const wait = isRenewal
    ? interval(settings.sealIntervalMs, at)
    : waiting({ kind: 'rest', reason, why, waitMs: afterMs, since: at })
  // Where nobody was there to be told, it is told later.
  const told = reason === 'manager-down' || reason === 'worker-down' ? {} : { reported: null }
  return { at, ranUntil: at, rests, restedFor: reason, wait, ...told, ...recovered }
}

/** A hundred polls of the chain are no reason to wait long for a manager that is away for a second. */
function restsFor({ rests, restedFor }: ThreadContext, reason: Wait['reason']): number {
  return restedFor === reason ? rests + 1 : 1
}

function waiting({ since, waitMs, ...given }: Omit<Wait, 'until' | 'isRenewal'>): Wait {
  const wholeMs = Math.max(0, Math.round(waitMs))
  const why = given.why.slice(0, NOTE_CHARS_MAX)
  return { ...given, why, since, waitMs: wholeMs, until: since + wholeMs, isRenewal: false }
}

function interval(waitMs: number, since: number): Wait {
  const why = 'the next sector begins after the interval'
  const wait = waiting({ kind: 'rest', reason: 'interval', why, waitMs, since })
  return { ...wait, isRenewal: true }
}

/** A step that threw, or was lost with its worker. */
export function stepFailed(context: ThreadContext, failure: TaskFailure): Change {
  const { level, startedAt, at: endedAt } = detailOf(failure)
  const at = timeOf(context, endedAt)
  const { state } = context
  const message = failure.message.slice(0, MESSAGE_CHARS_MAX)
  const durationMs =
    startedAt !== undefined && endedAt !== undefined ? Math.max(0, endedAt - startedAt) : 0
  const error = { level, message }
  const entry = isLive(context)
    ? noted(context, {
        ...{ event: 'failed', from: state, to: state, at, durationMs, error, isSpan: true },
      })
    : {}
  // Whoever was to report has done so before the work, unless the worker was lost.
  const told = isOfStep(failure) ? { ...entry, reported: null } : entry
  const set = { ...told, at, ranUntil: at, rests: 0 }
  const failed = { ...context, ...set }
  if (level === 'abort') {
    const change = abortion(failed, message, at)
    return { ...change, set: { ...set, ...change.set } }
  }
  const { settings } = context
  const retries = context.retries + 1
  const isOver = level !== 'temporary' || retries > settings.maxRetries
  if (isOver) {
    const words = level === 'temporary' ? `${message} (tried ${retries} times)` : message
    const lasting = level === 'temporary' ? 'permanent' : level
    return settled(context, { ...set, retries, ...parked(failed, lasting, words, at) })
  }
  const waitMs = backoffMs(settings.recoverIntervalMs, retries, `${context.thread} ${retries}`)
  const why = `tries again after: ${message}`
  return settled(context, {
    ...set,
    retries,
    lastError: { level, message, at, state },
    wait: waiting({ kind: 'retry', reason: 'error', why, waitMs, since: at }),
  })
}

function detailOf({ detail }: TaskFailure): StepFailure {
  const given = (typeof detail === 'object' && detail !== null ? detail : {}) as StepFailure
  const isKnown = FAILURE_LEVELS.includes(given.level)
  return { ...given, level: isKnown ? given.level : 'temporary' }
}

/** Not of the platform, whose failures have no level. */
function isOfStep({ detail }: TaskFailure): boolean {
  return typeof detail === 'object' && detail !== null && 'level' in detail
}

/**
 * Doubles from try to try, spread by who waits: the same try of the same thread always waits as long.
 * @param retries from 1
 */
export function backoffMs(firstMs: number, retries: number, spreadBy: string): number {
  const fullMs = Math.min(RETRY_WAIT_MS_MAX, firstMs * 2 ** Math.min(retries - 1, 40))
  return Math.round(fullMs * (1 - JITTER + 2 * JITTER * fractionOf(spreadBy)))
}

/** In [0, 1), from a text: FNV-1a. */
function fractionOf(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  }
  return (hash >>> 0) / 2 ** 32
}

/** Stops where it stands, for a person to look. */
function parked(
  { state }: ThreadContext,
  level: FailureLevel,
  message: string,
  at: number,
): Partial<ThreadContext> {
  return { parked: true, wait: null, lastError: { level, message, at, state }, at, pausing: null }
}

/** The sector is given up, unless its plan has no way to: then it is for a person. */
export function abortion(context: ThreadContext, reason: string, at: number, by?: string): Change {
  const { plan, state } = context
  const lastError = { level: 'abort', message: reason, at, state } as const
  if (!hasStep(plan, 'Aborted') || isEnd(state) || !isLive(context)) {
    const message = `abort: ${reason}, but ${whyNoAbort(context)}`
    return settled(context, parked(context, 'permanent', message, at))
  }
  const reported = { prev: state, next: 'Aborted', event: 'Abort' } as const
  const entry = { event: 'Abort', from: state, to: 'Aborted', at, isSpan: true } as const
  const set = {
    ...noted(context, by === undefined ? entry : { ...entry, by }),
    ...progress(at),
    ...{ lastError, abortReason: reason, reported },
    ...pauseNow(context),
  }
  return { set, raise: 'Abort' }
}

function whyNoAbort(context: ThreadContext): string {
  const { state, plan } = context
  if (!isLive(context)) return 'there is no sector'
  return isEnd(state) ? `it is ${state}` : `the plan ${plan} cannot give it up`
}

/** A pause that waited for the end of the step takes effect before the next one. */
function pauseNow({ pausing }: ThreadContext): Partial<ThreadContext> {
  return pausing === null ? {} : { paused: pausing, pausing: null }
}

/**
 * In the same state; a pause that waited takes effect, and what parked goes before it. Where nothing has
 * begun, what was configured meanwhile does.
 */
function settled(context: ThreadContext, set: Partial<ThreadContext>): Change {
  const after = { ...context, ...set }
  if (isOutdated(after)) {
    return { set: { ...set, ...renewed(after), ...pauseNow(context) }, raise: 'NextSector' }
  }
  return { set: set.parked ? set : { ...set, ...pauseNow(context) }, raise: 'SETTLE' }
}

/** The end of a wait. */
export function waitOver(context: ThreadContext): Change {
  const { wait } = context
  const at = timeOf(context, wait?.until)
  if (wait?.isRenewal) return { set: { ...renewed({ ...context, at }), at }, raise: 'NextSector' }
  return { set: { wait: null, at }, raise: 'SETTLE' }
}

/** A pool that refuses, or is not there, is asked again later; no try is used up. */
export function noPlace(context: ThreadContext, why: string): Change {
  const { at } = context
  const rests = restsFor(context, 'pool')
  const waitMs = Math.min(POOL_WAIT_MS_MAX, POOL_WAIT_MS * 2 ** Math.min(rests - 1, 10))
  const wait = waiting({ kind: 'rest', reason: 'pool', why, waitMs, since: at })
  return { set: { rests, restedFor: 'pool', wait }, raise: 'SETTLE' }
}

/** The history of the sector is written: the next one begins after the interval. */
export function archived(context: ThreadContext): Change {
  const { end, totals, at } = context
  const counted = {
    finished: totals.finished + (end?.end === 'Finished' ? 1 : 0),
    aborted: totals.aborted + (end?.end === 'Aborted' ? 1 : 0),
  }
  const fresh = renewed(context)
  const wait = interval(nextConfig(context).settings.sealIntervalMs, at)
  const set = { ...fresh, totals: counted, wait, ...pauseNow(context) }
  return { set, raise: 'NextSector' }
}

/** Whatever it takes: without its history no sector ends. */
export function recordFailed(context: ThreadContext, { message }: TaskFailure): Change {
  const { at, settings, state, thread } = context
  const retries = context.retries + 1
  const why = `its history could not be written: ${message}`.slice(0, MESSAGE_CHARS_MAX)
  const waitMs = backoffMs(settings.recoverIntervalMs, retries, `${thread} ${retries}`)
  return settled(context, {
    retries,
    lastError: { level: 'temporary', message: why, at, state },
    wait: waiting({ kind: 'retry', reason: 'error', why, waitMs, since: at }),
  })
}

export function chapterOf(context: ThreadContext): Chapter {
  const { record, plan, worker, thread, end, startedAt, at, dropped } = context
  return {
    sector: workName(record) ?? '',
    ...{ plan, worker, thread },
    end: end?.end ?? 'Finished',
    reason: end?.reason ?? null,
    startedAt: startedAt ?? at,
    endedAt: end?.at ?? at,
    entries: entriesOf(context),
    dropped,
  }
}

/** What changes with the state itself, however it was come to. */
export function entered(
  context: ThreadContext,
  plan: ThreadContext['plan'],
  state: SectorState,
): Partial<ThreadContext> {
  if (context.plan === plan && context.state === state) return {}
  const isNew = context.plan !== plan || state === 'Empty'
  return {
    ...{ plan, state },
    prev: isNew ? null : context.state,
    furthest: isNew ? state : furtherOf(plan, context.furthest, state),
    ...{ retries: 0, rests: 0, wait: null },
  }
}
