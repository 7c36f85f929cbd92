/** The room of the worker: it copies chunks, or makes them anew from the others of their volumes. */
export { type BlobnodeWorkerOptions, startWorker } from './blobnode-worker.ts'
export { MOVE_LIMITS, type MoveLimits } from './limits.ts'
export { type MoveTask, movePlanOf } from './move-task.ts'
export { MoveWorker, type MoveWorkerDeps, type WorkerFigures } from './move-worker.ts'
export type { ChunkCalls, RecoveryCode } from './ports.ts'
export {
  type AskNode,
  HttpWorkerCalls,
  type HttpWorkerCallsOptions,
  type WorkerCalls,
} from './worker-calls.ts'
