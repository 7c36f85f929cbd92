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
import {
  dehydrate,
  flawIn,
  nowhere,
  putInDocumentOrder,
  rehydrate,
  type StoredSnapshot,
} from './snapshot.ts'

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

/**
 * An active actor to the state at `path`. What lies beside it goes on untouched, but for the states that
 * invoked `failedChildren`: these start again. The path exists.
 */
export function stepToState(
  chart: Chart,
  snapshot: AnyMachineSnapshot,
  path: string,
  identity: StepIdentity,
  failedChildren: readonly string[] = [],
): Step {
  const nodes = snapshot._nodes as AnyStateNode[]
  const failed = failedChildren.flatMap((childId) => invokingNode(nodes, childId) ?? [])
  const derived =
    failed.length === 0
      ? chart.reentry.toState(path)
      : chart.reentry.toStateAgain(path, activeLeaves(nodes), failed)
  return stepDerived(chart, derived, identity, () =>
    rehydrate(derived, dehydrate(snapshot), snapshot.children),
  )
}

/** Of an actor that is not alive, when it is brought back. */
export interface Remains {
  stored: StoredSnapshot
  /**
   * The exits of a finished actor have run when it finished. One that was cancelled stands where it was:
   * they run now. An `unreadable` one stands in no state of this chart.
   */
  end: 'finished' | 'cancelled' | 'unreadable'
}

/**
 * Brings an actor back at the state at `path`. Nothing of it is alive, so everything is entered, from
 * the root on; the regions beside the path where they stood, or at their beginning.
 */
export function stepAnew(
  chart: Chart,
  { stored, end }: Remains,
  path: string,
  identity: StepIdentity,
): Step {
  const stood =
    end === 'unreadable' ? [] : (rehydrate(chart.machine, stored, {})._nodes as AnyStateNode[])
  const derived = chart.reentry.anew(path, activeLeaves(stood))
  const step = stepDerived(chart, derived, identity, () => {
    if (end === 'unreadable') return nowhere(derived, { ...stored, historyValue: null })
    if (end === 'finished') return nowhere(derived, stored)
    // Exits may speak to children, which were there as long as their states.
    const children = stood.flatMap(({ invoke }) =>
      invoke.map(({ id, src }) => [id, String(src)] as const),
    )
    return rehydrate(derived, stored, childRefs(children, identity))
  })
  return step.kind === 'failed' ? step : { ...step, effects: withoutEndsOfNothing(step.effects) }
}

/** Nothing was alive before the step: it can only end, or speak to, what it has started itself. */
function withoutEndsOfNothing(effects: readonly Effect[]): Effect[] {
  const children = new Set<string>()
  const timers = new Set<string>()
  return effects.filter((effect) => {
    switch (effect.kind) {
      case 'task':
      case 'child':
      case 'live':
        return children.add(effect.childId)
      case 'timer':
        return timers.add(effect.id)
      case 'stop':
        return children.delete(effect.childId)
      case 'cancel':
        return timers.delete(effect.id)
      case 'send':
        return effect.to.kind !== 'child' || children.has(effect.to.childId)
      default:
        return true
    }
  })
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
  return stepDerived(chart, derived, identity, () =>
    rehydrate(derived, dehydrate(snapshot), snapshot.children),
  )
}

function stepDerived(
  chart: Chart,
  derived: Chart['machine'],
  identity: StepIdentity,
  start: () => AnyMachineSnapshot,
): Step {
  return guarded(chart, undefined, identity, () => {
    const there = start()
    const { result, effects } = scope.run(identity, (actorScope) =>
      derived.transition(there, { type: GOTO_EVENT } as never, actorScope),
    )
    const moved = result as AnyMachineSnapshot
    if (moved.status === 'error') return { result: moved, effects }
    checkPosition(chart, moved)
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
    checkPosition(chart, snapshot)
    putInDocumentOrder(snapshot)
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

/**
 * Of a transition into a history state that leads to its own source, XState leaves nothing. So it stands
 * in no conflict with that of another region which leaves both regions, and both are taken: states are
 * active then that exclude each other, or that lack the tasks and timers which their exit ended.
 */
function checkPosition(chart: Chart, snapshot: AnyMachineSnapshot): void {
  const flaw = chart.hasHistory ? flawIn(snapshot) : undefined
  if (flaw === undefined) return
  throw new Error(
    `${flaw}: two regions moved at once, one of them into a history state that leads back to where it stood`,
  )
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
  children: readonly ChildName[],
  identity: StepIdentity,
): AnyMachineSnapshot {
  return rehydrate(chart.machine, stored, childRefs(children, identity))
}

type ChildName = readonly [id: string, src: string]

function childRefs(
  children: readonly ChildName[],
  identity: StepIdentity,
): Record<string, unknown> {
  const refs: Record<string, unknown> = {}
  if (children.length === 0) return refs
  scope.run(identity, () => {
    for (const [id, src] of children) refs[id] = scope.childRef(id, src)
  })
  return refs
}
