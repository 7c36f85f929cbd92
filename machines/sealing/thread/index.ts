/** The room of sealing threads: the machine, the contract of its steps, and how it is shown. */
export type { Answer, Done, Move, RefusalCode, Refused } from './changes.ts'
export {
  CONDITIONS,
  type Condition,
  entriesOf,
  type LastError,
  type ThreadContext,
} from './context.ts'
export { type ThreadEvent, threadEvents } from './events.ts'
export { errorText, type HeadRow, headRow, type OldRow, oldRow, type ThreadState } from './rows.ts'
export { registerRunner, runnerOf, type StepContext, type StepRun } from './runners.ts'
export {
  type Placing,
  sealingSettings,
  type ThreadInput,
  threadIdOf,
  threadInput,
  threadNameOf,
  threadSettings,
  WORKER_NAME,
} from './settings.ts'
export * from './step.ts'
export { sealingStep } from './step-task.ts'
export { SEALING_THREAD, sealingThread } from './thread.ts'
export { rowOf, type ThreadRow, type ThreadView, viewOf } from './view.ts'
