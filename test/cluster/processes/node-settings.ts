/** What a process of a node is told, and what tests choose for all nodes of a cluster. */
import type { ClusterLimits } from '../../../src/cluster/index.ts'
import { LIMITS, SHARDS } from '../../node/cluster-rig.ts'

export interface NodeSettings {
  name: string
  cluster: string
  dataDirectory: string
  /** Of its links, not of the servers themselves. */
  servers: readonly string[]
  replicas: number
  shards: number
  limits: Partial<ClusterLimits>
  /** Tasks that its worker runs at once. */
  taskSlots: number
  /** What it logs is added there. */
  logFile: string
  /** What happens in it is added there (recorder.ts). */
  eventFile: string
}

export type ClusterSettings = Pick<
  NodeSettings,
  'cluster' | 'replicas' | 'shards' | 'limits' | 'taskSlots'
>

/** A fraction of the defaults, but patient: a machine that runs tests is busy. */
export const DEFAULT_SETTINGS: ClusterSettings = {
  cluster: 'test',
  replicas: 1,
  shards: SHARDS,
  limits: { ...LIMITS, leaderSilenceMs: 1_500, memberSilenceMs: 1_500 },
  taskSlots: 8,
}
