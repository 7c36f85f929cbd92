/**
 * Actions of Troupe for use in a machine: `tell` another actor, `reply` to the caller. They do
 * nothing themselves: the step finds them by their mark and turns them into effects.
 */
import type {
  ActionArgs,
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

type Params = ParameterizedObject['params'] | undefined

/**
 * The form of XState's own `log` action: the event of the expression and those of the machine are
 * told apart, so that both can be inferred where the action stands.
 */
type Action<
  TContext extends MachineContext,
  TExpressionEvent extends XEventObject,
  TParams extends Params,
  TEvent extends XEventObject,
> = (args: ActionArgs<TContext, TExpressionEvent, TEvent>, params: TParams) => void

/** What marks a function as an action of Troupe. */
export interface MarkedAction {
  readonly troupeAction: 'tell' | 'reply'
  readonly value: unknown
}

export function isMarkedAction(candidate: unknown): candidate is MarkedAction {
  return typeof candidate === 'function' && 'troupeAction' in candidate
}

function mark(kind: MarkedAction['troupeAction'], value: unknown): object {
  const action = () => {
    throw new Error(`${kind}() takes effect only in a machine that Troupe hosts`)
  }
  return Object.assign(action, { troupeAction: kind, value })
}

/** Sends an event to another actor: once, in order, after the commit (P4). */
export function tell<
  TContext extends MachineContext,
  TExpressionEvent extends XEventObject,
  TParams extends Params,
  TEvent extends XEventObject,
>(
  target:
    | TellTarget
    | readonly TellTarget[]
    | ((
        args: ActionArgs<TContext, TExpressionEvent, TEvent>,
        params: TParams,
      ) => TellTarget | readonly TellTarget[]),
): Action<TContext, TExpressionEvent, TParams, TEvent> {
  return mark('tell', target) as Action<TContext, TExpressionEvent, TParams, TEvent>
}

/** Answers the command that is being applied; without it `ask` gets the turn's summary only. */
export function reply<
  TContext extends MachineContext,
  TExpressionEvent extends XEventObject,
  TParams extends Params,
  TEvent extends XEventObject,
>(
  value: (args: ActionArgs<TContext, TExpressionEvent, TEvent>, params: TParams) => unknown,
): Action<TContext, TExpressionEvent, TParams, TEvent> {
  return mark('reply', value) as Action<TContext, TExpressionEvent, TParams, TEvent>
}
