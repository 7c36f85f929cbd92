/**
 * Hosting `fromTransition` children: reducers without a chart. Decides: their stored form, which is
 * their context alone. They ask for no effects.
 */
import type { AnyActorLogic } from 'xstate'
import { type EventObject, messageOfThrown } from '../protocol/index.ts'
import { CollectingScope, type StepIdentity } from './scope.ts'

export type TransitionStep =
  | { kind: 'stepped'; context: unknown }
  | { kind: 'failed'; message: string }

interface ReducerSnapshot {
  status: 'active'
  context: unknown
  output: undefined
  error: undefined
}

const scope = new CollectingScope()

export function initialTransition(
  logic: AnyActorLogic,
  input: unknown,
  identity: StepIdentity,
): TransitionStep {
  return caught(() => {
    const { result } = scope.run(identity, (actorScope) =>
      logic.getInitialSnapshot(actorScope, input),
    )
    return (result as ReducerSnapshot).context
  })
}

export function stepTransition(
  logic: AnyActorLogic,
  context: unknown,
  event: EventObject,
  identity: StepIdentity,
): TransitionStep {
  return caught(() => {
    const { result } = scope.run(identity, (actorScope) =>
      logic.transition(wakeTransition(context), event as never, actorScope),
    )
    return (result as ReducerSnapshot).context
  })
}

function wakeTransition(context: unknown): ReducerSnapshot {
  return { status: 'active', context, output: undefined, error: undefined }
}

function caught(step: () => unknown): TransitionStep {
  try {
    return { kind: 'stepped', context: step() }
  } catch (thrown) {
    return { kind: 'failed', message: messageOfThrown(thrown) }
  }
}
