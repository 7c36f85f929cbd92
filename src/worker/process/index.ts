/** What this folder offers: commands that outlive their worker. */
export { ChangeHint } from './change.ts'
export { type Command, cleanEnvironment, type ProcessSpec } from './command.ts'
export { Heartbeat, type HeartbeatOptions } from './heartbeat.ts'
export {
  bootId,
  groupLives,
  type ProcessIdentity,
  processIdentityOf,
  processLives,
  processStat,
  RUN_VARIABLE,
  signalGroup,
} from './identity.ts'
export { DEFAULT_PROCESS_LIMITS, type ProcessLimits } from './limits.ts'
export {
  type ExitReason,
  inspectRun,
  isMissing,
  type ProcessExit,
  RUN_FILES,
  type RunState,
} from './records.ts'
export { ProcessRunner, type ProcessRunnerOptions } from './runner.ts'
export { type KillOptions, RunningProcess } from './running.ts'
