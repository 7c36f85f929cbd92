/** The production code that a world runs, so that a deliberate bug can stand in its place. */
import { ClusterNode } from '../../src/cluster/index.ts'
import {
  EmbeddedCommit,
  JournaledCommit,
  ResidentBudget,
  ShardEngine,
  serveShard,
} from '../../src/shard/index.ts'
import { SimJournalServer } from './sim-journal.ts'

export interface Parts {
  ShardEngine: typeof ShardEngine
  JournaledCommit: typeof JournaledCommit
  EmbeddedCommit: typeof EmbeddedCommit
  ResidentBudget: typeof ResidentBudget
  serveShard: typeof serveShard
  ClusterNode: typeof ClusterNode
  Server: typeof SimJournalServer
}

export const REAL: Parts = {
  ShardEngine,
  JournaledCommit,
  EmbeddedCommit,
  ResidentBudget,
  serveShard,
  ClusterNode,
  Server: SimJournalServer,
}
