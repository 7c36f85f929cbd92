/** Lanes: whose turn it is among tasks of one type. Queues: which worker has which of those in hand. */
import type { AppOptions, MachineDefinition } from '../../../../src/index.ts'
import { moveLane, laneSingletons as singletons } from './lane.ts'
import { checkTask, pickTask } from './lane-tasks.ts'
import { workerQueue } from './worker-queue.ts'

export { type LaneRecord, laneAddress } from './lane-record.ts'
export { type LaneView, laneView } from './lane-view.ts'
export { type LanesConfig, lanesConfig, openLanes } from './ports.ts'
export {
  type Location,
  type MoveProgress,
  openWorkerQueue,
  type QueueRecord,
  queueAddress,
} from './queue-record.ts'
export {
  type Acquired,
  type AcquireRequest,
  type CallAnswer,
  type WorkerCall,
  WorkerQueues,
  type WorkerQueuesDeps,
} from './worker-queues.ts'

export const laneMachines: readonly MachineDefinition[] = [moveLane, workerQueue]
export const laneSingletons: NonNullable<AppOptions<unknown>['singletons']> = singletons
/** For tests that run a worker of their own. */
export const laneTasks = [pickTask, checkTask] as const
