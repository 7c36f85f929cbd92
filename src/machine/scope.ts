/**
 * The reused `ActorScope` in which XState's pure step runs.
 *
 * Decides: how what XState asks for becomes `Effect`s. XState builds an inert actor and a system at
 * every public `transition()`; one scope per chart costs a seventh of that. Everything that touches
 * XState's internals lives here and in snapshot.ts.
 */
import {
  type ActorSystem,
  type ActorSystemInfo,
  type AnyActorRef,
  type AnyActorScope,
  createActor,
  createMachine,
} from 'xstate'
import type { EventObject } from '../protocol/index.ts'
import { isMarkedAction } from './actions.ts'
import type { Effect, SendTarget } from './effects.ts'

type AnyActorSystem = ActorSystem<ActorSystemInfo>

/** An action as XState hands it to an executor. */
interface ExecutableAction {
  type: string
  info: { context: unknown; event: unknown }
  params: unknown
  exec: unknown
}

/** What an actor knows of itself, its parent and its children inside a step: names, nothing live. */
export class InertRef {
  readonly id: string
  readonly sessionId: string
  readonly system: AnyActorSystem
  readonly _parent: InertRef | undefined
  readonly src: string | undefined

  constructor(
    id: string,
    sessionId: string,
    system: AnyActorSystem,
    parent: InertRef | undefined,
    src?: string,
  ) {
    this.id = id
    this.sessionId = sessionId
    this.system = system
    this._parent = parent
    this.src = src
  }

  send(): never {
    throw new Error('an actor cannot be sent to from inside a step: use sendTo() or tell()')
  }

  getSnapshot(): never {
    throw new Error('the snapshot of another actor cannot be read inside a step')
  }

  toJSON(): unknown {
    return { xstate$$type: 1, id: this.id }
  }
}

/** One system for all charts: it only hands out session ids to refs that are thrown away. */
const inertSystem: AnyActorSystem = createActor(createMachine({ id: 'inert' })).system

/** Who steps: used for `self`, `sendParent` and `sendTo(({ self }) => self)`. */
export interface StepIdentity {
  id: string
  address: string
  hasParent: boolean
}

export class CollectingScope {
  readonly actorScope: AnyActorScope
  #self: InertRef
  #effects: Effect[] = []

  constructor() {
    this.#self = new InertRef('', '', inertSystem, undefined)
    const collect = (action: ExecutableAction) => this.#collect(action)
    this.actorScope = {
      self: this.#self as unknown as AnyActorRef,
      id: '',
      sessionId: '',
      logger: () => {},
      defer: () => {},
      system: inertSystem,
      stopChild: () => {},
      emit: () => {},
      actionExecutor: collect as AnyActorScope['actionExecutor'],
    }
  }

  /** Runs `step` as the given actor and returns what it gave and what it asked for. */
  run<T>(
    identity: StepIdentity,
    step: (scope: AnyActorScope) => T,
  ): { result: T; effects: Effect[] } {
    const parent = identity.hasParent
      ? new InertRef('parent', `${identity.address}^`, inertSystem, undefined)
      : undefined
    this.#self = new InertRef(identity.id, identity.address, inertSystem, parent)
    this.#effects = []
    const scope = this.actorScope as { self: AnyActorRef; id: string; sessionId: string }
    scope.self = this.#self as unknown as AnyActorRef
    scope.id = identity.id
    scope.sessionId = identity.address
    const result = step(this.actorScope)
    return { result, effects: this.#effects }
  }

  childRef(id: string, src: string): AnyActorRef {
    return new InertRef(
      id,
      `${this.#self.sessionId}/${id}`,
      inertSystem,
      this.#self,
      src,
    ) as unknown as AnyActorRef
  }

  #collect(action: ExecutableAction): void {
    const effect = this.#toEffect(action)
    if (Array.isArray(effect)) this.#effects.push(...effect)
    else if (effect) this.#effects.push(effect)
  }

  #toEffect(action: ExecutableAction): Effect | Effect[] | undefined {
    if (isMarkedAction(action.exec)) return markedEffects(action)
    switch (action.type) {
      case 'xstate.raise':
        return raiseEffect(action.params as RaiseParams)
      case 'xstate.sendTo':
        return this.#sendEffect(action.params as SendParams)
      case 'xstate.cancel':
        return { kind: 'cancel', id: cancelId(action.params) }
      case 'xstate.spawnChild':
        return spawnEffect(action.params as SpawnParams)
      case 'xstate.stopChild': {
        const ref = action.params as { id: string } | undefined
        return ref ? { kind: 'stop', childId: ref.id } : undefined
      }
      case 'xstate.emit':
        return { kind: 'emit', event: (action.params as { event: EventObject }).event }
      case 'xstate.log':
        return { kind: 'log', value: (action.params as { value: unknown }).value }
      default:
        return plainEffect(action)
    }
  }

  #sendEffect(params: SendParams): Effect {
    const target = this.#targetOf(params)
    if (params.delay === undefined) return { kind: 'send', to: target, event: params.event }
    return {
      kind: 'timer',
      id: params.id ?? '',
      to: target,
      event: params.event,
      delayMs: params.delay,
    }
  }

  #targetOf(params: SendParams): SendTarget {
    if (params.to === this.#self) return { kind: 'self' }
    if (params.to !== undefined && params.to === this.#self._parent) return { kind: 'parent' }
    const childId = params.targetId ?? (params.to as { id?: string } | undefined)?.id
    if (childId === undefined)
      throw new Error(`sendTo() of ${params.event.type} has no target that Troupe can reach`)
    return { kind: 'child', childId }
  }
}

interface RaiseParams {
  event: EventObject
  id: string | undefined
  delay: number | undefined
}

interface SendParams {
  to: unknown
  targetId: string | undefined
  event: EventObject
  id: string | undefined
  delay: number | undefined
}

interface SpawnParams {
  id: string | undefined
  actorRef: { id: string; _syncSnapshot?: boolean } | undefined
  src: unknown
  input: unknown
}

/** Older builds of XState pass the id itself. */
function cancelId(params: unknown): string {
  return typeof params === 'string' ? params : String((params as { sendId: unknown }).sendId)
}

/** A raise without a delay was handled inside the macrostep. */
function raiseEffect(params: RaiseParams): Effect | undefined {
  if (params.delay === undefined) return undefined
  return {
    kind: 'timer',
    id: params.id ?? '',
    to: { kind: 'self' },
    event: params.event,
    delayMs: params.delay,
  }
}

/** Which kind of child it is depends on `src`; the chart decides that after the step. */
function spawnEffect(params: SpawnParams): Effect {
  if (typeof params.src !== 'string' || params.id === undefined || params.actorRef === undefined) {
    throw new Error(
      'spawnChild() needs the name of an actor registered in setup({ actors }) and an id',
    )
  }
  const sync = params.actorRef._syncSnapshot === true
  return { kind: 'child', childId: params.actorRef.id, src: params.src, input: params.input, sync }
}

function markedEffects(action: ExecutableAction): Effect | Effect[] {
  const marked = action.exec as unknown as { troupeAction: 'tell' | 'reply'; value: unknown }
  const value =
    typeof marked.value === 'function'
      ? (marked.value as (args: unknown, params: unknown) => unknown)(action.info, action.params)
      : marked.value
  if (marked.troupeAction === 'reply') return { kind: 'reply', value }
  const targets = (Array.isArray(value) ? value : [value]) as { to: string; event: EventObject }[]
  return targets.map(({ to, event }) => ({ kind: 'tell', to, event }))
}

function plainEffect(action: ExecutableAction): Effect | undefined {
  const { exec, info, params, type } = action
  if (typeof exec !== 'function') return undefined
  const run = exec as (info: unknown, params: unknown) => void
  return { kind: 'action', type, run: () => run(info, params) }
}
