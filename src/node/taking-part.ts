/**
 * The first steps of a node in its cluster, from a directory that is open to one that may be served from.
 *
 * Decides: their order. Who brings data stands in the registry before its name does, and its data are in the
 * cluster before it is anything else there. Leaves to others: each step (joining.ts, publishing.ts), and the
 * directory (member-data.ts).
 */
import type { Checkpoints, Clock, Journal, Log, Random } from '../ports/index.ts'
import type { Agreed, Joining } from './joining.ts'
import type { MemberData } from './member-data.ts'
import { Publishing } from './publishing.ts'
import type { CareProgress } from './store-care.ts'

export interface TakingPartDeps {
  name: string
  data: MemberData
  joining: Joining
  journal: Journal
  checkpoints: Checkpoints
  clock: Clock
  random: Random
  log: Log
  /** Of the options, for a cluster that is made now. */
  shardCount?: number | undefined
  /** An operator's word that the directory which had the name is gone for good. */
  replace: boolean
  chunkBytesMax: number
  /** Ends it; it can be gone on with. */
  signal?: AbortSignal | undefined
  progress?: CareProgress | undefined
}

/** Nothing is written to the directory for good before the cluster has agreed. @throws TroupeError */
export async function takePart(deps: TakingPartDeps): Promise<Agreed> {
  const { data, joining, shardCount, replace } = deps
  const { legacy, id, store } = data
  const publishing = legacy && new Publishing({ ...deps, id, legacy, store })
  await publishing?.begin()
  const agreed = legacy
    ? { shardCount: legacy.shardCount, founder: id }
    : await joining.agreeOnShards(data, shardCount)
  await joining.claimName(id, replace)
  await publishing?.run()
  return agreed
}
