/** What the journaled commit path is made of. */
import type { Clock, Journal, Log, Random, Store } from '../ports/index.ts'

export interface JournaledCommitDeps {
  shard: number
  store: Store
  journal: Journal
  clock: Clock
  random: Random
  log: Log
  node: string
  /** Of the view that names this node; a loser tries again only with a newer one. */
  viewVersion: number
  /** Without an acknowledgement for this long the end is read before the next write. */
  ownerSilenceMs?: number
  /** What the journal takes in one message; a larger record would be tried for ever. */
  recordBytesMax?: number
}
