export { reply, tell, type TellTarget } from './actions.ts'
export {
  hasPosition,
  isInState,
  leavesOf,
  legalEvents,
  nodeAt,
  stateText,
  tagsOf,
} from './chart.ts'
export {
  defineMachine,
  type EventSchemas,
  type MachineDefinition,
  type MachineOptions,
  type MachineTypes,
  type MigratedState,
  type Migration,
  type Retention,
  type TypesOf,
} from './define.ts'
export { describeEffect, type Effect, type SendTarget } from './effects.ts'
export { hostMachine, type HostedMachine } from './host.ts'
export { Chart, type Source } from './logic.ts'
export { mermaid } from './mermaid.ts'
export { migrate, type MigrationOutcome } from './migrate.ts'
export { backoffMs, DEFAULT_RETRY, resolveRetry, type RetryPolicy } from './retry.ts'
export type { StepIdentity } from './scope.ts'
export { dehydrate, type StoredSnapshot } from './snapshot.ts'
export { stepEvent, stepInitial, stepReentry, stepToState, wake, type Step } from './step.ts'
export {
  stepTransition,
  wakeTransition,
  initialTransition,
  type TransitionStep,
} from './reducer.ts'
export {
  task,
  TaskError,
  type AnyTask,
  type TaskAttempt,
  type TaskLogic,
  type TaskOptions,
  type WorkerLostPolicy,
} from './task.ts'
