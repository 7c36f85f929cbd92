/**
 * What a node of a cluster, and the shards on it, are made of. Decides nothing; what is done with it: node.ts,
 * seat.ts.
 */
import type {
  Checkpoints,
  Clock,
  Journal,
  Log,
  Random,
  Store,
  TaskQueue,
  Transport,
} from '../ports/index.ts'
import type { AddressText, Limits, Subjects } from '../protocol/index.ts'
import type {
  LiveHost,
  Machines,
  OtherTails,
  ReadTurns,
  ResidentBudget,
  ShardsHere,
  WalkTurns,
} from '../shard/index.ts'
import type { ClusterLimits } from './limits.ts'
import type { Members } from './members.ts'
import type { Versions } from './versions.ts'
import type { Views } from './views.ts'

/** What a node is given, and gives its shards as it is. */
export interface SharedDeps {
  name: string
  shardCount: number
  clock: Clock
  random: Random
  log: Log
  store: Store
  journal: Journal
  checkpoints: Checkpoints
  transport: Transport
  taskQueue: TaskQueue
  subjects: Subjects
  /** Told of what is served, for clients within the process. */
  here: ShardsHere
  machines: Machines
  limits: Limits
  budget: ResidentBudget
  live: LiveHost
  /** Actors that apps need for as long as they are there. */
  singletons?: ReadonlySet<AddressText>
  /** Whether committed transitions are published on the event subjects. */
  announces: boolean
}

/** What all shards of a node share. */
export interface SeatDeps extends SharedDeps {
  /** Of its machines: a shard that needs newer ones is not taken. */
  versions: Versions
  clusterLimits: ClusterLimits
  recordBytesMax: number | undefined
  ownerSilenceMs: number | undefined
  views: Views
  members: Members
  otherTails: OtherTails
  turns: ReadTurns
  walks: WalkTurns
  /** What this node serves or follows has changed: others wait to hear it. */
  changed: () => void
  /** Memory and disk may not agree: the process has to end. */
  failed: (reason: { shard: number; why: string }) => void
}
