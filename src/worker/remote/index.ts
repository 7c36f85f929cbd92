/** Workers in processes of their own, as the node that serves them sees them. */
export type {
  WorkerAnswer,
  WorkerClaim,
  WorkerOrder,
  WorkerRegistrar,
  WorkerReport,
} from './registrar.ts'
export { RemoteWorkers, type RemoteWorkersDeps, type WorkerAdmission } from './remote-workers.ts'
export type { WorkerCondition } from './shapes.ts'
export { UploadedRuns, type UploadedRunsDeps } from './uploaded-runs.ts'
