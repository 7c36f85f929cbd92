/** Workers in processes of their own, as the node that serves them sees them. */
export { DirectWorkers, type DirectWorkersDeps } from './direct-workers.ts'
export { NodeCaller, type NodeCallerDeps } from './node-caller.ts'
export type {
  DirectAnswer,
  WorkerAnswer,
  WorkerClaim,
  WorkerOrder,
  WorkerRegistrar,
  WorkerReport,
} from './registrar.ts'
export { RemoteWorkers, type RemoteWorkersDeps, type WorkerAdmission } from './remote-workers.ts'
export { readOverheard, type WorkerCondition } from './shapes.ts'
export { UploadedRuns, type UploadedRunsDeps } from './uploaded-runs.ts'
