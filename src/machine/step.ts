/**
 * The pure step: (snapshot, event) → (snapshot, effects). Decides: what counts as a failure of the
 * machine. Leaves to others: storing, ids, and what becomes of a failed step.
 */
import type { AnyMachineSnapshot, AnyStateNode } from 'xstate'
import { type EventObject, messageOfThrown } from '../protocol/index.ts'
import type { Effect } from './effects.ts'
import type { Chart } from './logic.ts'
import { activeLeaves, GOTO_EVENT, invokingNode } from './reentry.ts'
import { CollectingScope, InertRef, type StepIdentity } from './scope.ts'
import { dehydrate, rehydrate, type StoredSnapshot } from './snapshot.ts'

export type Step =
  | { kind: 'stepped'; snapshot: AnyMachineSnapshot; effects: Effect[]; handled: boolean }
  /** Nothing happened; the actor is as it was. */
  | { kind: 'failed'; message: string }

/** One scope serves all: steps never nest. */
const scope = new CollectingScope()

export function stepInitial(chart: Chart, input: unknown, identity: StepIdentity): Step {
  return guarded(chart, undefined, identity, () =>
    scope.run(identity, (actorScope) =>
      chart.machine.getInitialSnapshot(actorScope, input as never),
    ),
  )
}

export function stepEvent(
  chart: Chart,
  snapshot: AnyMachineSnapshot,
  event: EventObject,
  identity: StepIdentity,
): Step {
  return guarded(chart, snapshot, identity, () =>
    scope.run(identity, (actorScope) =>
      chart.machine.transition(snapshot, event as never, actorScope),
    ),
  )
}

/** To the state at `path`; a finished actor becomes active first. The path exists. */
export function stepToState(
  chart: Chart,
  snapshot: AnyMachineSnapshot,
  path: string,
  identity: StepIdentity,
): Step {
  return stepDerived(chart, chart.reentry.toState(path), snapshot, identity)
}

/**
 * Leaves the present leaves and enters them again, with the states that invoked `failedChildren`, so
 * that what failed starts again.
 */
export function stepReentry(
  chart: Chart,
  snapshot: AnyMachineSnapshot,
  failedChildren: readonly string[],
  identity: StepIdentity,
): Step {
  const nodes = snapshot._nodes as AnyStateNode[]
  const also = failedChildren.flatMap((childId) => invokingNode(nodes, childId) ?? [])
  const derived = chart.reentry.reenter(activeLeaves(nodes), also)
  return stepDerived(chart, derived, snapshot, identity)
}

function stepDerived(
  chart: Chart,
  derived: Chart['machine'],
  snapshot: AnyMachineSnapshot,
  identity: StepIdentity,
): Step {
  return guarded(chart, snapshot, identity, () => {
    const there = rehydrate(derived, dehydrate(snapshot), snapshot.children, 'active')
    const { result, effects } = scope.run(identity, (actorScope) =>
      derived.transition(there, { type: GOTO_EVENT } as never, actorScope),
    )
    const moved = result as AnyMachineSnapshot
    if (moved.status === 'error') return { result: moved, effects }
    const stored = dehydrate(moved)
    // One that had finished has no output any more.
    if (stored.status === 'active') stored.output = undefined
    return { result: rehydrate(chart.machine, stored, moved.children), effects }
  })
}

/** A throwing guard, assign or action argument leaves the actor as it was (P9). */
function guarded(
  chart: Chart,
  before: AnyMachineSnapshot | undefined,
  identity: StepIdentity,
  step: () => { result: unknown; effects: Effect[] },
): Step {
  try {
    const { result, effects } = step()
    const snapshot = result as AnyMachineSnapshot
    if (snapshot.status === 'error')
      return { kind: 'failed', message: messageOfThrown(snapshot.error) }
    const sorted = effects.length === 0 ? effects : sortChildren(chart, effects)
    replaceChildren(snapshot, sorted)
    return {
      kind: 'stepped',
      snapshot,
      effects: sorted,
      handled: snapshot !== before || effects.length > 0,
    }
  } catch (thrown) {
    return { kind: 'failed', message: `${messageOfThrown(thrown)} (in ${identity.address})` }
  }
}

/** What a spawned `src` becomes depends on its kind. */
function sortChildren(chart: Chart, effects: Effect[]): Effect[] {
  return effects.map((effect) => {
    if (effect.kind !== 'child') return effect
    const source = chart.sources.get(effect.src)
    if (!source) throw new Error(`the actor "${effect.src}" is not registered in setup({ actors })`)
    if (source.kind !== 'task' && source.kind !== 'live') return effect
    return { kind: source.kind, childId: effect.childId, src: effect.src, input: effect.input }
  })
}

/** XState's own child refs are inert actors: ours are lighter, and hold nothing alive. */
function replaceChildren(snapshot: AnyMachineSnapshot, effects: readonly Effect[]): void {
  const children = snapshot.children as Record<string, unknown>
  for (const id in children) {
    const ref = children[id]
    if (ref instanceof InertRef) continue
    const spawned = effects.find(
      (effect) =>
        (effect.kind === 'child' || effect.kind === 'task' || effect.kind === 'live') &&
        effect.childId === id,
    )
    if (!spawned || !('src' in spawned)) {
      throw new Error(
        `child ${id} was spawned inside an assign or a context factory, which leaves no trace: use spawnChild() or invoke`,
      )
    }
    children[id] = scope.childRef(id, spawned.src)
  }
}

/** Brings a stored actor back for stepping. */
export function wake(
  chart: Chart,
  stored: StoredSnapshot,
  children: readonly (readonly [id: string, src: string])[],
  identity: StepIdentity,
): AnyMachineSnapshot {
  if (children.length === 0) return rehydrate(chart.machine, stored, {})
  const refs: Record<string, unknown> = {}
  scope.run(identity, () => {
    for (const [id, src] of children) refs[id] = scope.childRef(id, src)
  })
  return rehydrate(chart.machine, stored, refs)
}
