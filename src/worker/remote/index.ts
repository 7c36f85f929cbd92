/** Workers in processes of their own, as the node that serves them sees them. */
export { DirectWorkers, type DirectWorkersDeps } from './direct-workers.ts'
export { NodeCaller, type NodeCallerDeps } from './node-caller.ts'
export type {
  WorkerClaim,
  WorkerRegistrar,
  WorkerReport,
} from './registrar.ts'
export { RemoteWorkers, type RemoteWorkersDeps, type WorkerAdmission } from './remote-workers.ts'
export {
  type DirectAnswer,
  readAnswer,
  readOrder,
  readOverheard,
  type WorkerAnswer,
  type WorkerCondition,
  type WorkerOrder,
} from './shapes.ts'
export { UploadedRuns, type UploadedRunsDeps } from './uploaded-runs.ts'
