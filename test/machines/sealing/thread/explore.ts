/**
 * Every position of a thread with a given plan, found by bringing it whatever can come, in the pure step:
 * what people ask, how steps end, what rings. Positions are told apart without times and counters.
 */
import type { PlanName } from '../../../../machines/sealing/plans/index.ts'
import {
  sealingThread,
  type ThreadContext,
  type ThreadInput,
} from '../../../../machines/sealing/thread/index.ts'
import { type Effect, hostMachine, stepEvent, stepInitial } from '../../../../src/machine/index.ts'
import { type EventObject, resolveLimits } from '../../../../src/protocol/index.ts'
import { FULL, inputOf, SETTINGS, THREAD } from './rig.ts'

export interface Move {
  name: string
  event: EventObject
  by: 'caller' | 'worker' | 'clock'
}

export interface Position {
  value: { plan: unknown; work: unknown }
  context: ThreadContext
  key: string
  /** The shortest way to it. */
  way: Move[]
}

export interface Edge {
  from: Position
  move: Move
  to: Position
  effects: Effect[]
}

export const STARTED = 'troupe.started.actor.step'
const IDENTITY = { id: 'w1~a', address: THREAD, hasParent: false }

export function keyOf(context: ThreadContext): string {
  const { plan, state, phase, paused, pausing, parked, wait, end, takesNew, lastError } = context
  return JSON.stringify([
    ...[plan, state, phase, parked, takesNew, lastError?.level],
    ...[paused !== null, pausing !== null, wait && [wait.kind, wait.isRenewal], end?.end],
    Object.keys(context.record).length > 0,
  ])
}

export const exploredInput = (plan: PlanName): ThreadInput =>
  inputOf({ plan, settings: { ...SETTINGS, maxRetries: 1, requestTaskMaxRetries: 0 } })

const done = (output: object) => ({
  type: 'xstate.done.actor.step',
  actorId: 'step',
  output: { startedAt: 1, at: 2, ...output },
})

/** How the step of a state can end. */
function endsOf(events: readonly string[], record: object): Move[] {
  const byWorker = (name: string, event: EventObject): Move => ({ name, event, by: 'worker' })
  return [
    ...events.map((event) => byWorker(event, done({ kind: 'done', event, record, workMs: 1 }))),
    ...['idle', 'chain'].map((reason) =>
      byWorker(reason, done({ kind: 'rest', reason, afterMs: 1_000, why: reason })),
    ),
    ...['temporary', 'permanent', 'abort'].map((level) => {
      const error = { class: 'temporary', message: level, detail: { level } }
      return byWorker(level, { type: 'xstate.error.actor.step', actorId: 'step', error })
    }),
  ]
}

const asked = (type: string, fields: object = {}): Move => {
  const name = [type, ...Object.keys(fields).filter((field) => field !== 'by')].join(' ')
  return { name, event: { type, ...fields }, by: 'caller' }
}
const BY = { by: 'ann' }
export const ASKED: readonly Move[] = [
  asked('PAUSE', BY),
  asked('RESUME', BY),
  asked('RESUME', { ...BY, retry: true }),
  asked('RESUME', { ...BY, state: 'Finished', force: true }),
  asked('ABORT', { ...BY, reason: 'x' }),
  asked('WAKE'),
  asked('DRAIN'),
  asked('UNDRAIN'),
]

function movesAt({ context }: Position, events: readonly string[]): Move[] {
  const { phase, plan, state } = context
  const worker = (name: string, event: EventObject): Move[] => [{ name, event, by: 'worker' }]
  const rings = (at: string): Move[] => {
    const event = { type: `xstate.after.wait.sealing-thread.work.${at}` }
    return [{ name: 'time', event, by: 'clock' }]
  }
  const record = plan === 'wdpost' ? { job: { id: 'j', input: {} }, jobOutput: {} } : FULL
  switch (phase) {
    case 'queued':
      return worker('begun', { type: STARTED, actorId: 'step', attempt: 1, worker: 'w1', at: 0 })
    case 'running':
      return endsOf(events, state === 'Empty' ? record : {})
    case 'archive':
      return worker('recorded', { type: 'xstate.done.actor.record', actorId: 'record' })
    case 'rest':
    case 'retry':
      return rings(phase)
    default:
      return []
  }
}

/** @param eventsAt the events that the step of a state can end with */
export function explore(plan: PlanName, eventsAt: (state: string) => readonly string[]): Edge[] {
  const { chart } = hostMachine(sealingThread, resolveLimits())
  const begun = stepInitial(chart, exploredInput(plan), IDENTITY)
  if (begun.kind === 'failed') throw new Error(begun.message)
  const seen = new Set<string>()
  const edges: Edge[] = []
  const positionOf = ({ value, context }: typeof begun.snapshot, way: Move[]): Position => ({
    ...{ value: value as Position['value'], context: context as ThreadContext, way },
    key: keyOf(context as ThreadContext),
  })
  const queue = [{ at: begun.snapshot, position: positionOf(begun.snapshot, []) }]
  for (const { at, position } of queue) {
    if (seen.has(position.key)) continue
    seen.add(position.key)
    const moves = [...movesAt(position, eventsAt(position.context.state)), ...ASKED]
    for (const move of moves) {
      const step = stepEvent(chart, at, move.event, IDENTITY)
      if (step.kind === 'failed') throw new Error(`${position.key} ${move.name}: ${step.message}`)
      const to = positionOf(step.snapshot, [...position.way, move])
      edges.push({ from: position, move, to, effects: step.effects })
      if (!seen.has(to.key)) queue.push({ at: step.snapshot, position: to })
    }
  }
  return edges
}
