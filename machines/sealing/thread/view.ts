/**
 * A thread as people and programs see it. Decides: what is shown of it, and in which words. Leaves to
 * others: lists, tables and the old forms (`rows.ts`).
 */
import { type ActorRow, type ActorView, parseAddress } from '../../../src/index.ts'
import { gateOf, type PlanName, type SectorState, stageOf } from '../plans/index.ts'
import type { SectorId } from '../venus/index.ts'
import {
  type Asked,
  type Condition,
  conditionOf,
  type LastError,
  nextConfig,
  type ThreadContext,
  workName,
} from './context.ts'
import { STEP_TASK } from './step.ts'

/** What a list knows of a thread, from its row alone. */
export interface ThreadRow {
  worker: string
  /** The id of its actor: `<worker>~<name>`. */
  thread: string
  index: number
  plan: PlanName
  state: SectorState
  stage: string | null
  condition: Condition
  /** The name of its sector or job; null: it has none. */
  sector: string | null
  /** Paused by a person or parked by an error. */
  paused: boolean
  /** There is a last error. */
  errors: boolean
  /** It takes no new sector. */
  draining: boolean
  /** Unix ms: since when it is in its state and condition. */
  since: number
  /** Null where a row does not tell. */
  why: string | null
}

/** All of it. */
export interface ThreadView extends ThreadRow {
  location: string | null
  sectorId: SectorId | null
  /** When what it waits for comes, or is looked for again. */
  until: number | null
  /** Failed tries of this state, and after how many it parks. */
  retries: number
  maxRetries: number
  /** As the step tells it. */
  progress: unknown
  /** Who runs the step, and what does the work there as far as it is known. */
  runner: string | null
  process: string | null
  lastError: LastError | null
  /** Who paused it, or asked for a pause that has not taken effect. */
  pausedBy: Asked | null
  /** The places of the worker's pool that it holds. */
  granted: string[]
  startedAt: number | null
  /** Where it stands in the sector's history. */
  entries: number
  /** What the next sector is worked on with. */
  nextPlan: PlanName
  totals: ThreadContext['totals']
}

export function rowOf(row: ActorRow): ThreadRow {
  const { index, since, reason } = row
  const text = (field: string) => (index[field] === undefined ? null : String(index[field]))
  const condition = row.parked ? 'parked' : row.paused ? 'paused' : text('condition')
  return {
    worker: text('worker') ?? '',
    thread: parseAddress(row.address).id,
    index: Number(index['index'] ?? 0),
    plan: text('plan') as PlanName,
    state: text('state') as SectorState,
    stage: text('stage'),
    condition: condition as Condition,
    sector: text('sector'),
    paused: row.parked || row.paused || index['paused'] === true,
    errors: row.parked || index['errors'] === true,
    draining: index['draining'] === true,
    since,
    why: reason ?? null,
  }
}

export function viewOf(view: ActorView): ThreadView {
  const context = view.context as ThreadContext
  const { worker, index, plan, state, record, settings, place, lastError } = context
  const held = heldByOperator(view)
  const condition = held?.condition ?? conditionOf(context)
  const task = view.tasks.find(({ name }) => name === STEP_TASK)
  const progress = task?.progress ?? null
  const error = held?.error ?? lastError
  return {
    ...{ worker, thread: parseAddress(view.address).id, index, plan, state, condition },
    stage: stageOf(plan, state),
    sector: workName(record),
    paused: condition === 'paused' || condition === 'parked',
    errors: error !== null,
    draining: !context.takesNew,
    since: held?.since ?? view.since,
    why: held?.why ?? whyOf(context),
    location: context.location,
    sectorId: record.sector?.ID ?? null,
    until: held ? null : untilOf(view, context),
    retries: context.retries,
    maxRetries: settings.maxRetries,
    progress,
    runner: context.runner,
    process: processOf(progress) ?? laneOf(place?.names ?? []),
    lastError: error,
    pausedBy: held?.by ?? context.paused ?? context.pausing,
    granted: place?.names ?? [],
    startedAt: context.startedAt,
    entries: context.history.length,
    nextPlan: nextConfig(context).plan,
    totals: context.totals,
  }
}

interface Held {
  condition: Condition
  since: number
  why: string
  by: Asked | null
  error: LastError | null
}

/** The platform holds an actor by itself: a fault of the machine, or `troupe actors pause`. */
function heldByOperator({ parked, paused, context }: ActorView): Held | undefined {
  if (parked !== undefined) {
    const { since, error } = parked
    const { state } = context as ThreadContext
    const lastError: LastError = { level: 'critical', message: error.message, at: since, state }
    return { condition: 'parked', since, why: error.message, by: null, error: lastError }
  }
  if (paused === undefined) return undefined
  const { since, by, reason } = paused
  const asked: Asked = { by, at: since, reason: reason ?? null }
  const why = `held by the platform: ${askedInWords(asked)}`
  return { condition: 'paused', since, why, by: asked, error: null }
}

function whyOf(context: ThreadContext): string | null {
  const { phase, paused, pausing, wait, lastError, plan, state, worker, takesNew } = context
  const stage = stageOf(plan, state) ?? state
  switch (phase) {
    case 'gate':
      return `waits for a place of ${gateOf(plan, state) ?? stage}`
    case 'queued':
      return `waits for the worker ${worker}`
    case 'running':
      return pausing ? `pauses behind ${stage}: ${askedInWords(pausing)}` : stage
    case 'archive':
      return 'its history is written'
    case 'rest':
    case 'retry':
      return wait?.why ?? null
    case 'parked':
      return lastError?.message ?? null
    case 'paused':
      return paused ? askedInWords(paused) : null
    case 'drained':
      return takesNew ? null : 'takes no new sector'
    default:
      return null
  }
}

function askedInWords({ by, reason }: Asked): string {
  return reason === null ? `by ${by}` : `by ${by}: ${reason}`
}

/** The timer knows it better than who set it. */
function untilOf({ timers }: ActorView, { wait, phase }: ThreadContext): number | null {
  if (wait === null || (phase !== 'rest' && phase !== 'retry')) return null
  const timer = timers.find(({ event }) => event.startsWith('xstate.after.wait'))
  return timer?.dueAt ?? wait.until
}

function processOf(progress: unknown): string | null {
  if (typeof progress !== 'object' || progress === null) return null
  const { process } = progress as { process?: unknown }
  return typeof process === 'string' ? process : null
}

/** The child that was granted: `child.<stage>.<n>`. */
function laneOf(names: readonly string[]): string | null {
  return names.find((name) => name.startsWith('child.')) ?? null
}
