/** What an engine is made of: ports, limits, and whom it tells. */
import type { AnyActorLogic } from 'xstate'
import type { Clock, Log, Random, Store, TaskQueue, Transport } from '../ports/index.ts'
import type { AddressText, EventObject, Limits, Subjects } from '../protocol/index.ts'
import type { CommitPath } from './commit.ts'
import type { Backlog, ShardContext } from './context.ts'
import { Heads, type Machines } from './heads.ts'
import { Leases } from './leases.ts'
import { Leftovers } from './leftovers.ts'
import type { ResidentBudget } from './resident-budget.ts'
import type { WalkTurns } from './walk-turns.ts'

export interface EngineDeps {
  shard: number
  shardCount: number
  limits: Limits
  store: Store
  clock: Clock
  random: Random
  log: Log
  transport: Transport
  subjects: Subjects
  taskQueue: TaskQueue
  machines: Machines
  budget: ResidentBudget
  walks: WalkTurns
  commit: CommitPath
  live: LiveHost
  /** Actors that apps need for as long as they are there. */
  singletons?: ReadonlySet<AddressText>
  /** Whether committed transitions are published on the event subjects. */
  announces: boolean
  stopped: (reason: EngineStop) => void
}

/** `reset`: nobody else has the shard, and it can be taken again at once (see `Lost`). */
export interface EngineStop {
  shard: number
  why: string
  kind: 'lost' | 'failed'
  reset?: true
}

/** Runs callbacks and observables beside the owner; their events come back to the engine. */
export interface LiveHost {
  start(child: {
    shard: number
    address: string
    childId: string
    effectId: string
    logic: AnyActorLogic
    input: unknown
  }): void
  /** Best effort, as callbacks are: one that does not run here does not get it. */
  send(effectId: string, event: EventObject): void
  stop(effectId: string): void
}

export function makeContext(deps: EngineDeps, backlog: Backlog): ShardContext {
  const { shard, shardCount, limits, store, clock, random, log, machines, budget, announces } = deps
  const heads = new Heads(shard, store, machines, budget)
  return {
    shard,
    shardCount,
    limits,
    store,
    clock,
    random,
    log,
    machines,
    announces,
    singletons: deps.singletons ?? new Set(),
    journaled: deps.commit.journaled,
    heads,
    leases: new Leases(clock),
    backlog,
    leftovers: new Leftovers({ shard, store, limits, heads }),
  }
}
