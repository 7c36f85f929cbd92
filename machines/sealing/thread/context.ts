/**
 * All that a sealing thread remembers. Decides: what a thread begins with, what a new sector begins with,
 * and in which part of its work a thread is, by its context alone. Leaves to others: what changes it
 * (`outcomes.ts`, `control.ts`). Pure.
 */

import { isDeepStrictEqual } from 'node:util'
import type { HistoryEntry } from '../history/index.ts'
import { gateOf, type PlanName, type SectorState } from '../plans/index.ts'
import { sectorName } from '../venus/index.ts'
import type { ThreadInput } from './settings.ts'
import type { FailureLevel, RestReason, SealingSettings, SectorRecord, StepInput } from './step.ts'

/** Entries of a sector's history: ten times what a sector without trouble has. The newest are kept. */
export const HISTORY_MAX = 200
/** Of the errors in it, all together: the record of the sector needs its room, too. */
export const HISTORY_TEXT_BYTES_MAX = 64 * 1024
/** Characters of an error that are kept: the cause is at its beginning. */
export const MESSAGE_CHARS_MAX = 4_000
/** The same in the history, which holds many. */
export const NOTE_CHARS_MAX = 500

/** The parts of a thread's work; the chart has a state for each. */
export const PHASES = [
  'begin',
  'gate',
  'queued',
  'running',
  'rest',
  'retry',
  'parked',
  'paused',
  'drained',
  'archive',
] as const
export type Phase = (typeof PHASES)[number]

/** Who asked for something, and when. */
export interface Asked {
  by: string
  /** Unix ms. */
  at: number
  reason: string | null
}

export interface LastError {
  level: FailureLevel
  message: string
  at: number
  state: SectorState
}

export interface Wait {
  kind: 'rest' | 'retry'
  /** `pool`: no place could be asked for. `interval`: between two sectors. `error`: before another try. */
  reason: RestReason | 'pool' | 'interval' | 'error'
  why: string
  since: number
  until: number
  waitMs: number
  /** Once it is over the next sector begins, with what was configured meanwhile. */
  isRenewal: boolean
}

/** A place in a pool. */
export interface Place {
  pool: string
  token: number
  names: string[]
}

/** What is asked of a pool: its choice of that name. */
export interface Gate {
  pool: string
  choice: string
}

/** What a sector is worked on with. */
export interface WorkConfig {
  plan: PlanName
  settings: SealingSettings
}

/** Where, the thread itself says: there are many entries of a thread. */
export type ThreadEntry = Omit<HistoryEntry, 'worker' | 'thread'>

/** How a sector ended, until its history is written. */
export interface SectorEnd {
  end: 'Finished' | 'Aborted'
  reason: string | null
  at: number
}

export interface ThreadContext {
  worker: string
  thread: string
  location: string | null
  index: number
  /** Where stages ask for places; null: nowhere. */
  pool: string | null
  /** Those that do. */
  gates: string[]
  /** What the next sector is worked on with; null: what the present one is. */
  configured: WorkConfig | null
  /** False: it is drained once the present sector has ended. */
  takesNew: boolean

  /** Of the present sector, whatever is configured for the next one. */
  plan: PlanName
  settings: SealingSettings
  state: SectorState
  prev: SectorState | null
  /** The state that the sector has come to at most. */
  furthest: SectorState
  record: SectorRecord
  reported: StepInput['reported']
  abortReason: string | null
  startedAt: number | null
  history: ThreadEntry[]
  /** Older entries that are no longer there. */
  dropped: number
  /** Where the time that the next entry accounts for begins. */
  spanAt: number
  end: SectorEnd | null
  /** When the last step ended, if nothing was noted of it; 0: there was none. */
  ranUntil: number

  phase: Phase
  /** Failed tries of this state since the last progress. */
  retries: number
  /** Rests of this state, for one reason, that followed each other. */
  rests: number
  /** The reason of the last one. */
  restedFor: Wait['reason'] | null
  wait: Wait | null
  parked: boolean
  paused: Asked | null
  /** A pause that takes effect when the running step has ended. */
  pausing: Asked | null
  lastError: LastError | null
  place: Place | null
  /** Requests to pools so far: tells the answer to the present one from those before. */
  asked: number
  /** The pool that was asked last, while there is no answer. */
  askedOf: string | null
  /** Who runs the step. */
  runner: string | null

  totals: { finished: number; aborted: number }
  /** Sectors that it was given, whatever became of them. */
  cycle: number
  /** The latest time that it was told. */
  at: number
}

export function initialContext(input: ThreadInput): ThreadContext {
  const { worker, thread, location, index, pool, gates, takesNew, plan, settings } = input
  return {
    ...{ worker, thread, location, index, pool: pool ?? null, gates: gates ?? [] },
    configured: null,
    takesNew: takesNew ?? true,
    ...freshSector(plan, settings),
    ...{ spanAt: 0, ranUntil: 0 },
    phase: 'begin',
    ...{ wait: null, parked: false, paused: null, pausing: null },
    ...{ place: null, asked: 0, askedOf: null, runner: null },
    ...{ totals: { finished: 0, aborted: 0 }, cycle: 0 },
    at: 0,
  }
}

/** What is known of a sector before there is one. */
function freshSector(plan: PlanName, settings: SealingSettings) {
  return {
    ...{ plan, settings },
    state: 'Empty',
    prev: null,
    furthest: 'Empty',
    record: {},
    ...{ reported: null, abortReason: null, startedAt: null },
    ...{ history: [], dropped: 0, end: null },
    ...{ retries: 0, rests: 0, restedFor: null, lastError: null },
  } satisfies Partial<ThreadContext>
}

/** The next sector, with what is configured now. A pause stays. */
export function renewed(context: ThreadContext): Partial<ThreadContext> {
  const { plan, settings } = nextConfig(context)
  const fresh = freshSector(plan, settings)
  return { ...fresh, configured: null, spanAt: context.at, wait: null, parked: false }
}

/** What the next sector is worked on with. */
export function nextConfig({
  configured,
  plan,
  settings,
}: Pick<ThreadContext, 'configured' | 'plan' | 'settings'>): WorkConfig {
  return configured ?? { plan, settings }
}

/** The name of the sector or the job that it works on; null: it has none. */
export function workName({ sector, job }: SectorRecord): string | null {
  if (sector !== undefined) return sectorName(sector.ID)
  return job?.id ?? null
}

export function isLive({ record }: Pick<ThreadContext, 'record'>): boolean {
  return workName(record) !== null
}

/** Nothing is begun with what is configured no more. */
export function isOutdated(context: ThreadContext): boolean {
  const { state, configured } = context
  return state === 'Empty' && !isLive(context) && configured !== null
}

/** To be kept only where it differs from what the present sector has. */
export function configuredAs(
  { plan, settings }: Pick<ThreadContext, 'plan' | 'settings'>,
  next: WorkConfig,
): WorkConfig | null {
  return isDeepStrictEqual(next, { plan, settings }) ? null : next
}

/** What the work of the present state has to ask for; null: nothing. */
export function gateHere({ plan, state, pool, gates }: ThreadContext): Gate | null {
  const choice = gateOf(plan, state)
  if (pool === null || choice === null || !gates.includes(choice)) return null
  return { pool, choice }
}

/**
 * Where the context says that the work goes on. `queued` stands for the step as a whole; where that needs a
 * place, it leads through the gate, whatever place there was for the one before.
 */
export function phaseFor(context: ThreadContext): Exclude<Phase, 'begin' | 'running'> {
  // It holds nothing, so nothing keeps a worker from going away: not even a pause.
  if (context.state === 'Empty' && !context.takesNew && !isLive(context)) return 'drained'
  if (context.paused !== null) return 'paused'
  if (context.parked) return 'parked'
  if (context.wait !== null) return context.wait.kind
  if (context.end !== null) return 'archive'
  return gateHere(context) !== null ? 'gate' : 'queued'
}

/** What is at work and would be cut off by a pause at once. */
export function isAtWork({ phase }: Pick<ThreadContext, 'phase'>): boolean {
  return phase === 'running' || phase === 'archive'
}

export const CONDITIONS = [
  'empty',
  'idle',
  'waiting',
  'running',
  'resting',
  'retrying',
  'pausing',
  'paused',
  'parked',
  'drained',
] as const
export type Condition = (typeof CONDITIONS)[number]

/** The phase in the words of operators. */
export function conditionOf(
  context: Pick<ThreadContext, 'phase' | 'state' | 'pausing'>,
): Condition {
  const { phase, state, pausing } = context
  const isEmpty = state === 'Empty'
  switch (phase) {
    case 'running':
    case 'archive':
      if (pausing !== null) return 'pausing'
      return isEmpty ? 'empty' : 'running'
    case 'rest':
      return isEmpty ? 'idle' : 'resting'
    case 'retry':
      return 'retrying'
    case 'parked':
    case 'paused':
    case 'drained':
      return phase
    default:
      return isEmpty ? 'empty' : 'waiting'
  }
}

export function stepInputOf(context: ThreadContext): StepInput {
  const { worker, thread, location, plan, state, record, settings } = context
  const { place, retries, rests, restedFor, reported, abortReason, cycle, spanAt, ranUntil } =
    context
  const since = Math.max(spanAt, ranUntil)
  return {
    ...{ worker, thread, location, plan, state, record, settings },
    granted: place?.names ?? [],
    ...{ retries, rests, restedFor, reported, abortReason, cycle },
    waitingSince: since === 0 ? null : since,
    waitedMs: 0,
  }
}

/** Time goes on, whoever tells it. */
export function timeOf({ at }: Pick<ThreadContext, 'at'>, told: number | undefined): number {
  return told === undefined ? at : Math.max(at, told)
}

/** What is written into the history of the sector. */
export type Noted = Pick<HistoryEntry, 'event' | 'from' | 'to'> &
  Partial<Pick<HistoryEntry, 'durationMs' | 'error' | 'by'>> & {
    at: number
    /** The time since the entry before was spent waiting, but for the work. */
    isSpan: boolean
  }

/** Nothing is noted of a thread that has no sector: its own history is the platform's. */
export function noted(
  context: ThreadContext,
  { at, isSpan, error, by, durationMs = 0, event, from, to }: Noted,
): Partial<ThreadContext> {
  const { history, dropped, spanAt } = context
  const sinceMs = Math.max(0, at - (spanAt === 0 ? at : spanAt))
  const waitedMs = isSpan ? Math.max(0, sinceMs - durationMs) : 0
  const entry: ThreadEntry = { at, event, from, to, durationMs, waitedMs }
  if (error !== undefined)
    entry.error = { ...error, message: error.message.slice(0, NOTE_CHARS_MAX) }
  if (by !== undefined) entry.by = by
  const all = [...history, entry]
  const over = Math.max(all.length - HISTORY_MAX, overText(all), 0)
  return { history: all.slice(over), dropped: dropped + over, spanAt: at }
}

/** As others read them. */
export function entriesOf({
  worker,
  thread,
  history,
}: Pick<ThreadContext, 'worker' | 'thread' | 'history'>): HistoryEntry[] {
  return history.map((entry) => ({ ...entry, worker, thread }))
}

/** How many of the oldest go, so that the texts of the others are not too much. */
function overText(entries: readonly ThreadEntry[]): number {
  let bytes = 0
  return (
    entries.findLastIndex(({ error }) => {
      bytes += error === undefined ? 0 : Buffer.byteLength(error.message)
      return bytes > HISTORY_TEXT_BYTES_MAX
    }) + 1
  )
}
