/**
 * Questions to the tables of the plans. Decides: what follows an event, what a state needs, which flags a
 * step back sets. Pure; names only, never ordinals: an order that is stored somewhere could not change.
 */
import { REBUILD } from './rebuild.ts'
import { SEALER } from './sealer.ts'
import { SNAPUP } from './snapup.ts'
import { PLANS, type PlanName, SECTOR_STATES, type SectorState } from './states.ts'
import type { Plan, PlanEvent, PlanState, RecordKey, Submission } from './table.ts'
import { UNSEAL } from './unseal.ts'
import { WDPOST } from './wdpost.ts'

const TABLES: Readonly<Record<PlanName, Plan>> = {
  sealer: SEALER,
  snapup: SNAPUP,
  rebuild: REBUILD,
  unseal: UNSEAL,
  wdpost: WDPOST,
}

export function planOf(plan: PlanName): Plan {
  return TABLES[plan]
}

export function isPlan(name: string): name is PlanName {
  return (PLANS as readonly string[]).includes(name)
}

export function isSectorState(name: string): name is SectorState {
  return (SECTOR_STATES as readonly string[]).includes(name)
}

/** The states of a plan, in the order in which a sector goes through them. */
export function statesOf(plan: PlanName): readonly SectorState[] {
  return Object.keys(TABLES[plan].states) as SectorState[]
}

/** What the plan says of a state: every state that it has, has a step. Undefined where it has none. */
export function stateOf(plan: PlanName, state: string): PlanState | undefined {
  const { states } = TABLES[plan]
  return Object.hasOwn(states, state) ? states[state as SectorState] : undefined
}

export function hasStep(plan: PlanName, state: string): boolean {
  return stateOf(plan, state) !== undefined
}

/** Undefined: the plan does not know this event in this state. */
export function applyEvent(
  plan: PlanName,
  state: SectorState,
  event: string,
): SectorState | undefined {
  const on = stateOf(plan, state)?.on ?? {}
  return Object.hasOwn(on, event) ? on[event as PlanEvent] : undefined
}

/** The stage that operators are shown; null where nothing is done for the sector. */
export function stageOf(plan: PlanName, state: SectorState): string | null {
  return stateOf(plan, state)?.stage ?? null
}

/** The name under which the work of a state is limited. */
export function gateOf(plan: PlanName, state: SectorState): string | null {
  return stateOf(plan, state)?.gate ?? null
}

/** A sector that stands here is worked on no more once its step has ended. */
export function isEnd(state: SectorState): state is 'Finished' | 'Aborted' {
  return state === 'Finished' || state === 'Aborted'
}

/** The states that are worth choosing when a sector is to go on elsewhere. */
export function offeredStates(plan: PlanName): readonly SectorState[] {
  return statesOf(plan).filter((state) => stateOf(plan, state)?.offered === true)
}

/** What the step of a state needs and the record does not hold. */
export function missingInputs(
  plan: PlanName,
  state: SectorState,
  record: Readonly<Partial<Record<RecordKey, unknown>>>,
): readonly RecordKey[] {
  const inputs = stateOf(plan, state)?.inputs ?? []
  return inputs.filter((key) => record[key] === undefined || record[key] === null)
}

/** What an event of the plan removes from the record. */
export function clearedBy(plan: PlanName, event: string): readonly RecordKey[] {
  const { clears } = TABLES[plan]
  return Object.hasOwn(clears, event) ? (clears[event as PlanEvent] ?? []) : []
}

/** The one of two states that a sector reaches later. An end is no progress. */
export function furtherOf(plan: PlanName, one: SectorState, other: SectorState): SectorState {
  if (isEnd(other)) return one
  const states = statesOf(plan)
  return states.indexOf(other) > states.indexOf(one) ? other : one
}

/**
 * The flags of the submissions that may have reached the manager, and that a sector which goes on at `to`
 * makes again. `furthest` is the state that it has come to at most: what was tried there and failed may
 * have been stored all the same, and a replacement of nothing does no harm.
 */
export function resubmitFlags(
  plan: PlanName,
  furthest: SectorState,
  to: SectorState,
): readonly Submission['flag'][] {
  const states = statesOf(plan)
  const isAtOrBefore = (one: SectorState, other: SectorState) =>
    states.indexOf(one) <= states.indexOf(other)
  if (isEnd(to)) return []
  return TABLES[plan].submissions
    .filter(({ state }) => isAtOrBefore(state, furthest) && isAtOrBefore(to, state))
    .map(({ flag }) => flag)
}

/** A state of the plan that somebody may have meant. */
export function suggestState(plan: PlanName, given: string): SectorState | undefined {
  const wanted = given.toLowerCase()
  const states = statesOf(plan)
  const same = states.find((state) => state.toLowerCase() === wanted)
  if (same !== undefined) return same
  const near = states.map((state) => ({ state, apart: distance(state.toLowerCase(), wanted) }))
  const [best] = near.sort((a, b) => a.apart - b.apart)
  return best !== undefined && best.apart <= TYPOS_MAX ? best.state : undefined
}

/** Letters that differ; with more it is another word. */
const TYPOS_MAX = 3
/** No state has a name of this length: nothing is compared with what is longer. */
const NAME_CHARS_MAX = 40

/** Levenshtein's. */
function distance(one: string, other: string): number {
  if (other.length > NAME_CHARS_MAX) return other.length
  let row = Array.from({ length: other.length + 1 }, (_, at) => at)
  for (let i = 1; i <= one.length; i++) {
    const next = [i]
    for (let j = 1; j <= other.length; j++) {
      const swap = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[other.length] ?? 0
}
