/**
 * The next step of a read, by what the units have said so far. Decides: who is asked, when other shards are
 * asked for those that fail or are slow, when a blob is there, and what it means when it is not. Pure.
 * Leaves to others: asking, and time (`read-blob.ts`).
 */
import { type CodeMode, localStripes, unitCount } from '../codes/index.ts'
import type { CanRebuild } from './ports.ts'
import type { UnitFailure } from './unit-answers.ts'

export type UnitState =
  /** Known to be down: asked when nothing else is left. */
  | 'down'
  | 'untried'
  | 'asked'
  /** Asked, and waited for longer than one should have to. It may still come. */
  | 'slow'
  | 'whole'
  | UnitFailure

export interface Reading {
  mode: CodeMode
  /** Units that hold the bytes; of replicas all copies. */
  wanted: readonly number[]
  /** By index. */
  states: readonly UnitState[]
  /** Of replicas the one that is asked first. */
  firstCopy: number
  canRebuild: CanRebuild
}

export type ReadStep =
  /** The bytes are there; `rebuild` are made from `present`. */
  | { do: 'finish'; present: readonly number[]; rebuild: readonly number[] }
  | { do: 'ask'; units: readonly number[] }
  | { do: 'wait' }
  | { do: 'give-up'; verdict: Verdict }

/** Why there is nothing to give. */
export type Verdict = 'unavailable' | 'absent' | 'lost'

export function nextReadStep(reading: Reading): ReadStep {
  return reading.mode.kind === 'replica' ? nextOfCopies(reading) : nextOfShards(reading)
}

function nextOfCopies(reading: Reading): ReadStep {
  const { states, firstCopy } = reading
  const whole = inState(states, 'whole')
  if (whole.length > 0) return { do: 'finish', present: whole, rebuild: [] }
  if (inState(states, 'asked').length > 0) return { do: 'wait' }
  const turn = (index: number) => (index - firstCopy + states.length) % states.length
  for (const state of ['untried', 'down'] as const) {
    const [next] = inState(states, state).sort((a, b) => turn(a) - turn(b))
    if (next !== undefined) return { do: 'ask', units: [next] }
  }
  return ended(reading)
}

function nextOfShards(reading: Reading): ReadStep {
  const { mode, wanted, states, canRebuild } = reading
  const whole = inState(states, 'whole')
  const missing = wanted.filter((index) => states[index] !== 'whole')
  const isMade = missing.length === 0 || canRebuild(mode, whole, missing)
  if (isMade) return { do: 'finish', present: whole, rebuild: missing }
  const direct = wanted.filter((index) => states[index] === 'untried')
  if (direct.length > 0) return { do: 'ask', units: direct }
  const coming = [...whole, ...inState(states, 'asked')]
  const open = missing.filter((index) => states[index] !== 'asked')
  if (open.length === 0 || canRebuild(mode, coming, open)) return { do: 'wait' }
  for (const state of ['untried', 'down'] as const) {
    const units = fewestOf(reading, coming, open, inState(states, state))
    if (units.length > 0) return { do: 'ask', units }
  }
  return coming.length > whole.length ? { do: 'wait' } : ended(reading)
}

/**
 * Whom to ask beside those that are coming: the fewest that will do, within one AZ where it is as few; all
 * when nothing less will do, since the verdict needs to hear them.
 */
function fewestOf(
  { mode, canRebuild }: Reading,
  coming: readonly number[],
  open: readonly number[],
  candidates: readonly number[],
): readonly number[] {
  const groups = localStripes(mode).map(({ units, locals }) => ({
    members: new Set([...units, ...locals]),
    needed: units.length,
  }))
  const shards = mode.data + mode.parity
  const global = new Set(Array.from({ length: shards }, (_, index) => index))
  const choices = [...groups, { members: global, needed: mode.data }]
    .map(({ members, needed }) => {
      const missing = needed - coming.filter((index) => members.has(index)).length
      return candidates.filter((index) => members.has(index)).slice(0, Math.max(0, missing))
    })
    .filter((more) => more.length > 0 && canRebuild(mode, [...coming, ...more], open))
  return choices.reduce(
    (best, more) => (more.length < best.length ? more : best),
    choices[0] ?? candidates,
  )
}

/** Nobody is left to ask. Who is slow may still answer. */
function ended({ mode, states, canRebuild }: Reading): ReadStep {
  if (inState(states, 'slow').length > 0) return { do: 'wait' }
  return { do: 'give-up', verdict: verdictOf(mode, states, canRebuild) }
}

/** What it means for the blob as a whole that its bytes cannot be had. */
export function verdictOf(
  mode: CodeMode,
  states: readonly UnitState[],
  canRebuild: CanRebuild,
): Verdict {
  const hoped = [...inState(states, 'whole'), ...inState(states, 'unreachable')]
  if (makesUp(mode, hoped, canRebuild)) return 'unavailable'
  if (inState(states, 'deleted').length > 0) return 'absent'
  if (states.some((state) => state === 'whole' || state === 'damaged')) return 'lost'
  // Nobody has seen it; but of those that cannot say, there are perhaps enough to have held it.
  const silent = states.flatMap((state, index) => (state === 'none' ? [] : [index]))
  return makesUp(mode, silent, canRebuild) ? 'lost' : 'absent'
}

function makesUp(mode: CodeMode, units: readonly number[], canRebuild: CanRebuild): boolean {
  if (mode.kind === 'replica') return units.length > 0
  const data = Array.from({ length: mode.data }, (_, index) => index)
  return canRebuild(mode, units, data)
}

/** Units whose shard has to be made again. Where somebody has it marked, the blob is on its way out. */
export function badUnitsOf(states: readonly UnitState[]): number[] {
  if (states.includes('deleted')) return []
  return [...inState(states, 'none'), ...inState(states, 'damaged')].sort((a, b) => a - b)
}

/** Before anybody was asked. */
export function initialStates(mode: CodeMode, isUp: (index: number) => boolean): UnitState[] {
  return Array.from({ length: unitCount(mode) }, (_, index) => (isUp(index) ? 'untried' : 'down'))
}

function inState(states: readonly UnitState[], state: UnitState): number[] {
  return states.flatMap((each, index) => (each === state ? [index] : []))
}
