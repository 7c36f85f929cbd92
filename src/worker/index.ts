/** The room of workers: running tasks, commands that outlive their worker, and their logs. */
export { type AbortKind, AttemptAborted } from './attempt.ts'
export { DEFAULT_WORKER_LIMITS, type WorkerLimits } from './limits.ts'
export * from './logs/index.ts'
export * from './process/index.ts'
export { type RunResult, type RunSpec, runProcess } from './run-process.ts'
export { Worker, type WorkerDeps, type WorkerStatus } from './worker.ts'
