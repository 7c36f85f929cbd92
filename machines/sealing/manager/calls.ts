/**
 * The built-in sector manager: who answers which call of `VENUS_CALLS`. Decides: nothing but that, and how
 * a task is known again. Leaves to others: all that the calls do.
 */
import { createHash } from 'node:crypto'
import type { Client, Clock, Log } from '../../../src/index.ts'
import type { ParamsOf, ResultOf, VenusCall } from '../venus/index.ts'
import { Allocation } from './allocation.ts'
import type { ChainPort } from './chain-port.ts'
import type { ManagerConfig } from './config.ts'
import type { ContentChecks } from './content-checks.ts'
import { LaterWork } from './later-work.ts'
import { Reports } from './reports.ts'
import { Sectors } from './sectors.ts'
import { Storage } from './storage.ts'
import { Submissions } from './submissions.ts'

/** Proofs of spacetime: who keeps their jobs. */
export interface WdPoStPort {
  allocate(
    spec: ParamsOf<'WdPoStAllocateJobs'>[0],
    count: number,
    worker: string,
    taskId?: string,
  ): Promise<ResultOf<'WdPoStAllocateJobs'>>
  heartbeat(ids: readonly string[], worker: string): Promise<unknown>
  finish(id: string, output: unknown, error: string, taskId?: string): Promise<unknown>
}

export interface ManagerDeps {
  client: Client
  clock: Clock
  log: Log
  config: ManagerConfig
  chain: ChainPort
  jobs: WdPoStPort
  content: ContentChecks
}

/** Who asks. */
export interface Caller {
  /** As it names itself; null: it cannot be known again. */
  taskId: string | null
}

export type Answers = {
  [TCall in VenusCall]: (params: ParamsOf<TCall>, caller: Caller) => Promise<ResultOf<TCall>>
}

export function answersOf(deps: ManagerDeps): Answers {
  const sectors = new Sectors(deps.client)
  const storage = new Storage({ ...deps, sectors })
  const allocation = new Allocation({ ...deps, sectors })
  const submissions = new Submissions({ ...deps, sectors, storage })
  const later = new LaterWork({ ...deps, sectors, allocation })
  const reports = new Reports({ ...deps, sectors })
  const { jobs } = deps
  return {
    AllocateSector: ([spec], caller) => allocation.sector(spec, hashOf(caller)),
    AcquireDeals: ([id, spec]) => allocation.deals(id, spec),
    AssignTicket: ([id]) => allocation.ticket(id),
    SubmitPreCommit: ([sector, info, reset]) => submissions.preCommit(sector, info, reset),
    PollPreCommitState: ([id]) => submissions.poll('preCommit', id),
    StoreReserveSpace: ([id, sizeBytes, names]) => storage.reserve(id, sizeBytes, names),
    StoreBasicInfo: async ([name]) => storage.basic(name),
    SubmitPersistedEx: ([id, store, isUpgrade]) => storage.persisted(id, store, isUpgrade),
    WaitSeed: ([id]) => submissions.waitSeed(id),
    SubmitProof: ([id, { Proof }, reset]) => submissions.proof(id, Proof, reset),
    PollProofState: ([id]) => submissions.poll('prove', id),
    ReportState: ([id, report]) => reports.state(id, report),
    ReportFinalized: ([id]) => reports.finalized(id),
    ReportAborted: ([id, reason]) => reports.aborted(id, reason),
    AllocateSanpUpSector: ([spec], caller) => later.snapUp(spec, hashOf(caller)),
    SubmitSnapUpProof: ([id, info]) => submissions.snapUp(id, info),
    AllocateRebuildSector: ([spec], caller) => later.rebuild(spec, hashOf(caller)),
    AllocateUnsealSector: ([spec], caller) => later.unseal(spec, hashOf(caller)),
    AcquireUnsealDest: ([id, piece]) => later.unsealDest(id, piece),
    AchieveUnsealSector: ([id, piece, error]) => later.unsealed(id, piece, error),
    WdPoStAllocateJobs: ([spec, count, worker], { taskId }) =>
      jobs.allocate(spec, count, worker, ...(taskId === null ? [] : [taskId])),
    WdPoStHeartbeatJobs: ([ids, worker]) => jobs.heartbeat(ids, worker),
    WdPoStFinishJob: ([id, output, error], { taskId }) =>
      jobs.finish(id, output, error, ...(taskId === null ? [] : [taskId])),
    WorkerPing: ([info]) => reports.ping(info),
  }
}

/** Short enough to be remembered by the thousand. */
const TASK_CHARS = 24

function hashOf({ taskId }: Caller): string | null {
  if (taskId === null) return null
  return createHash('sha256').update(taskId).digest('hex').slice(0, TASK_CHARS)
}
