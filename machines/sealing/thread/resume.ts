/**
 * Going on in another state, as a person chooses it. Decides: what is refused and with which words, which
 * submissions have to be replaced, and what a person should know before. Pure.
 */
import {
  hasStep,
  isEnd,
  isSectorState,
  missingInputs,
  offeredStates,
  planOf,
  resubmitFlags,
  type SectorState,
  stageOf,
  suggestState,
} from '../plans/index.ts'
import type { Answer, Change, Move, RefusalCode, Refused } from './changes.ts'
import { conditionOf, isLive, noted, phaseFor, renewed, type ThreadContext } from './context.ts'
import type { ResumeEvent } from './events.ts'

export function moveTo(
  context: ThreadContext,
  given: string,
  event: ResumeEvent,
  at: number,
): Change & { answer: Answer } {
  const refused = whyNot(context, given, event.force === true)
  if (refused !== undefined) return { set: { at: context.at }, answer: refused }
  const to = given as SectorState
  const { state: from, plan, furthest, record } = context
  const sets = resubmitFlags(plan, furthest, to)
  const dryRun = event.dryRun === true
  const move: Move = {
    ...{ dryRun, from, to, sets: [...sets] },
    stage: stageOf(plan, to),
    hint: hintOf(context, to),
  }
  const note = noted(context, { event: 'SetState', from, to, at, by: event.by, isSpan: false })
  const set: Partial<ThreadContext> = {
    ...note,
    record: { ...record, ...Object.fromEntries(sets.map((flag) => [flag, true])) },
    ...{ paused: null, parked: false, wait: null, lastError: null, retries: 0, rests: 0, at },
    reported: { prev: from, next: to, event: 'SetState' },
  }
  if (to === 'Empty') return emptied(context, { set, move, by: event.by, at })
  if (to === 'Aborted') set.abortReason = event.reason ?? `set to Aborted by ${event.by}`
  return changeOf(context, set, move, `SetState.${to}`)
}

function changeOf(
  context: ThreadContext,
  set: Partial<ThreadContext>,
  move: Move,
  raise: NonNullable<Change['raise']>,
): Change & { answer: Answer } {
  const { plan } = context
  const state = move.to
  const after = { ...context, ...set, state }
  const condition = conditionOf({ ...after, phase: phaseFor(after) })
  const answer = { ok: true, plan, state, condition, move } as const
  return { set, raise, answer }
}

/** The sector is forgotten here; its history is kept. */
function emptied(
  context: ThreadContext,
  { set, move, by, at }: { set: Partial<ThreadContext>; move: Move; by: string; at: number },
): Change & { answer: Answer } {
  // Its record was taken away by hand: there is nothing to write.
  if (!isLive(context))
    return changeOf(context, { ...set, ...renewed({ ...context, at }) }, move, 'NextSector')
  const end = context.state === 'Finished' ? 'Finished' : 'Aborted'
  const reason = `the thread was set to Empty by ${by}`
  return changeOf(context, { ...set, end: { end, reason, at } }, move, 'SETTLE')
}

function whyNot(context: ThreadContext, given: string, force: boolean): Refused | undefined {
  const { plan, state, record } = context
  const refuse = (refused: RefusalCode, message: string): Refused => {
    return { refused, message, offered: offeredStates(plan).filter((one) => one !== state) }
  }
  if (!hasStep(plan, given)) {
    const meant = suggestState(plan, given)
    const hint = meant === undefined ? '' : `; did you mean ${meant}?`
    return isSectorState(given)
      ? refuse('wrong-plan', `the plan ${plan} has no state ${given}${hint}`)
      : refuse('unknown-state', `"${given.slice(0, 40)}" is no state of a sector${hint}`)
  }
  const to = given as SectorState
  if (to === state) {
    return refuse('present-state', `the thread is in ${to}: to try it again leave the state out`)
  }
  const missing = missingInputs(plan, to, record)
  if (missing.length > 0) {
    return refuse('missing-input', `for ${to} the sector lacks: ${missing.join(', ')}`)
  }
  if ((to === 'Finished' || to === 'Empty') && isLive(context) && !force) {
    return refuse('needs-force', `${whatIsLost(to)}; if that is meant, use force`)
  }
  return undefined
}

function whatIsLost(to: 'Finished' | 'Empty'): string {
  return to === 'Finished'
    ? 'Finished tells the manager that the sector is sealed, and removes its files here, whatever is on the chain'
    : 'Empty forgets the sector: its files stay where they are, and the manager keeps its number and its deals (Aborted gives them back)'
}

function hintOf({ plan, record }: ThreadContext, to: SectorState): string | null {
  if (to === 'Finished' || to === 'Empty') return whatIsLost(to)
  const renews = planOf(plan).clears.AssignTicket !== undefined
  if (to === 'TicketAssigned' && renews && record.ticket !== undefined) {
    return `the ticket of epoch ${record.ticket.Epoch} is used again, and may have expired: TreeDBuilt asks for a new one`
  }
  return isEnd(to) ? 'the files of the sector are moved to the quarantine' : null
}
