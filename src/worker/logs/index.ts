/** What this folder offers: the logs of runs, and clearing them away. */
export { markCut, readCut, type StreamCut } from './cut.ts'
export { DEFAULT_LOG_LIMITS, type LogLimits } from './limits.ts'
export {
  type FollowOptions,
  type LogLine,
  type LogLines,
  type LogPiece,
  type NumberedLogLines,
  type ReadLinesFromOptions,
  type ReadLinesOptions,
  type ReadOptions,
  RunLog,
} from './run-log.ts'
export {
  LogStore,
  type LogStoreOptions,
  type RunUsage,
  type SweepOptions,
  type SweepResult,
} from './store.ts'
export { readPart, type StreamName, streamSize } from './stream-file.ts'
