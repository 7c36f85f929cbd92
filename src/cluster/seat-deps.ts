/** What the shards of a node are made of. Decides nothing; what each does with it: seat.ts. */
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
} from '../shard/index.ts'
import type { ClusterLimits } from './limits.ts'
import type { Members } from './members.ts'
import type { Versions } from './versions.ts'
import type { Views } from './views.ts'

/** What all shards of a node share. */
export interface SeatDeps {
  name: string
  shardCount: number
  clock: Clock
  random: Random
  log: Log
  store: Store
  journal: Journal
  checkpoints: Checkpoints
  transport: Transport
  subjects: Subjects
  here?: ShardsHere
  taskQueue: TaskQueue
  machines: Machines
  /** Of its machines: a shard that needs newer ones is not taken. */
  versions: Versions
  budget: ResidentBudget
  live: LiveHost
  singletons?: ReadonlySet<AddressText>
  announces: boolean
  limits: Limits
  clusterLimits: ClusterLimits
  recordBytesMax: number | undefined
  ownerSilenceMs: number | undefined
  views: Views
  members: Members
  otherTails: OtherTails
  turns: ReadTurns
  /** What this node serves or follows has changed: others wait to hear it. */
  changed: () => void
  /** Memory and disk may not agree: the process has to end. */
  failed: (reason: { shard: number; why: string }) => void
}
