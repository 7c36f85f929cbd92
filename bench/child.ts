/**
 * Entry of the processes that measure: one part of a scenario each, so that memory figures are those
 * of that part. It gets its part and parameters as arguments and sends its result back.
 */
import { clusterEcho } from './cluster/echo.ts'
import { failoverPart } from './cluster/failover.ts'
import { growthPart } from './cluster/growth.ts'
import { clusterPart } from './cluster/load.ts'
import { clusterMember } from './cluster/members.ts'
import { recoveryPart } from './cluster/recovery.ts'
import { clusterReference } from './cluster/reference.ts'
import { jobsPart } from './scenarios/jobs.ts'
import { passiveCreate, passiveEvict, passiveOpen } from './scenarios/passive.ts'
import { profilePart } from './scenarios/profile.ts'
import { semispacePart } from './scenarios/semispace.ts'
import { timersPart } from './scenarios/timers.ts'
import { transitionsPart } from './scenarios/transitions.ts'
import { sealingCrowd, sealingCrowdOpened, sealingNobody } from './sealing/crowd.ts'
import { sealingList } from './sealing/list.ts'
import { sealingSteps } from './sealing/steps.ts'
import { storageLoad } from './storage/load.ts'
import { storageLostWorkers } from './storage/lost-workers.ts'
import { storageMoves } from './storage/moves.ts'
import { storageTableAsked, storageTableMade } from './storage/table.ts'

const PARTS: Readonly<Record<string, (params: never) => Promise<unknown>>> = {
  transitions: transitionsPart,
  'passive-create': passiveCreate,
  'passive-open': passiveOpen,
  'passive-evict': passiveEvict,
  timers: timersPart,
  jobs: jobsPart,
  profile: profilePart,
  semispace: semispacePart,
  cluster: clusterPart,
  failover: failoverPart,
  recovery: recoveryPart,
  growth: growthPart,
  'sealing-steps': sealingSteps,
  'sealing-nobody': sealingNobody,
  'sealing-crowd': sealingCrowd,
  'sealing-crowd-opened': sealingCrowdOpened,
  'sealing-list': sealingList,
  'storage-load': storageLoad,
  'storage-moves': storageMoves,
  'storage-lost-workers': storageLostWorkers,
  'storage-table-made': storageTableMade,
  'storage-table-asked': storageTableAsked,
  'cluster-echo': clusterEcho,
  'cluster-member': clusterMember,
  'cluster-reference': clusterReference,
}

async function main(): Promise<void> {
  const [name = '', params = '{}'] = process.argv.slice(2)
  const part = PARTS[name]
  if (part === undefined) throw new Error(`there is no part "${name}"`)
  const result = await part(JSON.parse(params) as never)
  process.send?.({ result }, () => process.exit(0))
}

void main().catch((thrown: unknown) => {
  const error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
  process.send?.({ error }, () => process.exit(1))
})
