/** What this room offers: external processors as child processes, and stages inside the daemon. */
export { ProcessorError, type ProcessorErrorKind } from './errors.ts'
export { type GateNames, gateNames, type StageLimits } from './gate-names.ts'
export type { InnerCall, InnerHandler } from './inner-stages.ts'
export type { RunOptions } from './job.ts'
export type { LaneReport, LaneState, Trouble } from './lane.ts'
export { DEFAULT_PROCESSOR_LIMITS, type ProcessorLimits } from './limits.ts'
export { Processors, type ProcessorsDeps } from './processors.ts'
export {
  laneName,
  lockName,
  type ProcessorConfig,
  type ProcessorsConfig,
  processorConfig,
  stageName,
} from './settings.ts'
