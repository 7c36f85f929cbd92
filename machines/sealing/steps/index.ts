/** The room of steps: the work of each state of each plan, as the task `sealing-step` runs it. */
export { follow } from './following.ts'
export { type PieceSourcesConfig, pieceSources } from './pieces.ts'
export type {
  EndedStep,
  PieceAddress,
  PieceFile,
  PieceSources,
  ProcessorUse,
  StepAttempt,
  StepDeps,
  StepEvent,
  StepProcessors,
} from './ports.ts'
export { StepRunner } from './runner.ts'
export { proverId } from './task-bytes.ts'
