/**
 * `defineMachine`: a statechart and all that makes it durable: schemas, version, migrations, index,
 * retention. Decides: the shape of a definition and its types. Leaves to others: whether it can be
 * hosted (host.ts).
 */
import type { AnyStateMachine, ContextFrom, EventFromLogic, InputFrom, OutputFrom } from 'xstate'
import type { ZodType } from 'zod'
import type { EventObject, IndexValue, StateValue } from '../protocol/index.ts'
import type { RetryPolicy } from './retry.ts'

/** What a migration is given and gives back: the stored position and data of an actor. */
export interface MigratedState {
  value: StateValue
  context: unknown
}

/** From version `n` (its key) to `n + 1`. Pure. */
export type Migration = (state: MigratedState) => MigratedState

export interface Retention {
  /** How long a finished actor is kept; 0 removes it with its last transition. */
  finishedMs?: number
  /** Transitions kept in the history of one actor. */
  historyCount?: number
}

/** Only the platform brings these: they need no schema, and callers cannot send them. */
type PlatformEvent = `troupe.${string}` | `xstate.${string}`

type PayloadOf<TEvent, TType> = Omit<Extract<TEvent, { type: TType }>, 'type'>

/** A schema per event that callers may send, for the payload without `type`. */
export type EventSchemas<
  TEvent extends { type: string },
  TInternal extends string,
> = string extends TEvent['type']
  ? Record<string, ZodType>
  : {
      [TType in Exclude<TEvent['type'], TInternal | PlatformEvent>]: ZodType<
        PayloadOf<TEvent, TType>
      >
    }

export interface MachineOptions<TMachine extends AnyStateMachine, TInternal extends string> {
  /** Its `id` is the name in addresses. */
  machine: TMachine
  /** Whole numbers from 1; raise it with every change that live actors could notice. Default 1. */
  version?: number
  events: EventSchemas<EventFromLogic<TMachine>, TInternal>
  /** Events that only the machine itself raises: callers cannot send them. */
  internal?: readonly TInternal[]
  /** Checked at `start`. */
  input?: ZodType
  /** Checked at `patch`. */
  context?: ZodType
  /** Keyed by the version they start from: `{ 1: (state) => … }` leads to version 2. */
  migrations?: Readonly<Record<number, Migration>>
  /** Fields to filter and sort lists by. */
  index?: (context: ContextFrom<TMachine>) => Record<string, IndexValue | undefined>
  /** Top-level fields of the context that people and programs outside never see. */
  secrets?: readonly string[]
  retention?: Retention
  /**
   * What users of the HTTP interface must be allowed to do to change its actors: `admin` where an actor
   * lets others in, such as one that holds a key. Default `operate`.
   */
  role?: 'operate' | 'admin'
  /** For the tasks of this machine; a task's own policy is laid over it. */
  retry?: Partial<RetryPolicy>
}

declare const TYPES: unique symbol

/** A machine ready to be registered; the type parameter carries its events, input and output. */
export interface MachineDefinition<TTypes extends MachineTypes = MachineTypes> {
  readonly name: string
  readonly version: number
  readonly machine: AnyStateMachine
  readonly events: Readonly<Record<string, ZodType>>
  readonly internal: readonly string[]
  readonly input: ZodType | undefined
  readonly context: ZodType | undefined
  readonly migrations: Readonly<Record<number, Migration>>
  readonly index: ((context: unknown) => Record<string, IndexValue | undefined>) | undefined
  readonly secrets: readonly string[]
  readonly retention: Retention
  readonly role: 'operate' | 'admin'
  readonly retry: Partial<RetryPolicy>
  readonly [TYPES]?: TTypes
}

export interface MachineTypes {
  event: { type: string }
  input: unknown
  context: unknown
  output: unknown
}

export type TypesOf<TDefinition> =
  TDefinition extends MachineDefinition<infer TTypes> ? TTypes : MachineTypes

type SendableEvent<
  TMachine extends AnyStateMachine,
  TInternal extends string,
> = string extends EventFromLogic<TMachine>['type']
  ? EventObject
  : Exclude<EventFromLogic<TMachine>, { type: TInternal | PlatformEvent }>

/** Declares a machine for hosting. Nothing is checked here: registration does, and names the place. */
export function defineMachine<
  TMachine extends AnyStateMachine,
  const TInternal extends string = never,
>(
  options: MachineOptions<TMachine, TInternal>,
): MachineDefinition<{
  event: SendableEvent<TMachine, TInternal>
  input: InputFrom<TMachine>
  context: ContextFrom<TMachine>
  output: OutputFrom<TMachine>
}> {
  return {
    name: options.machine.id,
    version: options.version ?? 1,
    machine: options.machine,
    events: options.events as Readonly<Record<string, ZodType>>,
    internal: options.internal ?? [],
    input: options.input,
    context: options.context,
    migrations: options.migrations ?? {},
    index: options.index as MachineDefinition['index'],
    secrets: options.secrets ?? [],
    retention: options.retention ?? {},
    role: options.role ?? 'operate',
    retry: options.retry ?? {},
  }
}
