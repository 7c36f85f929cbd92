/**
 * The public door of Troupe. What stands here is what programs, apps and the machines that ship with
 * Troupe may use; everything else may change.
 */
export {
  type ActorHandle,
  type AuditOptions,
  type CallOptions,
  Client,
  type PauseOptions,
  type ReadOptions,
  type ResumeOptions,
  type WatchedEvent,
  type WatchTarget,
} from './client/index.ts'
export {
  createGateway,
  type Gateway,
  type GatewayLimits,
  type GatewayOptions,
} from './gateway/index.ts'
export {
  defineMachine,
  type MachineDefinition,
  type RetryPolicy,
  reply,
  type TaskAttempt,
  TaskError,
  type TaskOptions,
  type TaskStartedEvent,
  task,
  tell,
  type WorkerLostPolicy,
} from './machine/index.ts'
export * from './node/index.ts'
export type { Clock, Log, Random } from './ports/index.ts'
export {
  type ActorQuery,
  type ActorRow,
  type ActorView,
  ERROR_CODES,
  type ErrorCode,
  type ErrorRecord,
  type EventObject,
  formatAddress,
  formatCommandId,
  fromJson,
  type HistoryView,
  type IndexValue,
  type Limits,
  type ListenerConfig,
  type OperatorReceipt,
  type Page,
  parseAddress,
  type Role,
  type StateValue,
  type TaskFailure,
  TroupeError,
  type TurnView,
  toJson,
  type UserConfig,
} from './protocol/index.ts'
export {
  inspectRun,
  type LogLine,
  type LogLines,
  type LogPiece,
  LogStore,
  type ProcessExit,
  ProcessRunner,
  type ProcessSpec,
  type RunLog,
  type RunningProcess,
  type RunResult,
  type RunSpec,
  type RunState,
  runProcess,
  type StreamName,
  type WorkerClaim,
  type WorkerOrder,
  type WorkerRegistrar,
  type WorkerReport,
  type WorkerStatus,
} from './worker/index.ts'
