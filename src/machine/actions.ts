/**
 * Actions of Troupe for use in a machine: `tell` another actor, `reply` to the caller. They do
 * nothing themselves: the step finds them by their mark and turns them into effects.
 */
import type {
  ActionFunction,
  MachineContext,
  ParameterizedObject,
  EventObject as XEventObject,
} from 'xstate'
import type { EventObject } from '../protocol/index.ts'

export interface TellTarget {
  /** An address, or a singleton's. */
  to: string
  event: EventObject
}

interface ActionArgs<TContext, TEvent> {
  context: TContext
  event: TEvent
}

type Resolvable<TContext, TEvent, TParams, TValue> =
  | TValue
  | ((args: ActionArgs<TContext, TEvent>, params: TParams) => TValue)

/** What marks a function as an action of Troupe. */
export interface MarkedAction {
  readonly troupeAction: 'tell' | 'reply'
  readonly value: unknown
}

export function isMarkedAction(candidate: unknown): candidate is MarkedAction {
  return typeof candidate === 'function' && 'troupeAction' in candidate
}

type Action<
  TContext extends MachineContext,
  TEvent extends XEventObject,
  TParams extends ParameterizedObject['params'] | undefined,
> = ActionFunction<TContext, TEvent, TEvent, TParams, never, never, never, never, never>

function mark(kind: MarkedAction['troupeAction'], value: unknown): object {
  const action = () => {
    throw new Error(`${kind}() takes effect only in a machine that Troupe hosts`)
  }
  return Object.assign(action, { troupeAction: kind, value })
}

/** Sends an event to another actor: once, in order, after the commit (P4). */
export function tell<
  TContext extends MachineContext,
  TEvent extends XEventObject,
  TParams extends ParameterizedObject['params'] | undefined = undefined,
>(
  target: Resolvable<TContext, TEvent, TParams, TellTarget | TellTarget[]>,
): Action<TContext, TEvent, TParams> {
  return mark('tell', target) as Action<TContext, TEvent, TParams>
}

/** Answers the command that is being applied; without it `ask` gets the turn's summary only. */
export function reply<
  TContext extends MachineContext,
  TEvent extends XEventObject,
  TParams extends ParameterizedObject['params'] | undefined = undefined,
>(
  value: (args: ActionArgs<TContext, TEvent>, params: TParams) => unknown,
): Action<TContext, TEvent, TParams> {
  return mark('reply', value) as Action<TContext, TEvent, TParams>
}
