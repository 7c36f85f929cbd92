export { reply, type TellTarget, tell } from './actions.ts'
export {
  hasPosition,
  legalEvents,
  namesEvent,
  nodeAt,
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
export { type HostedMachine, hostMachine } from './host.ts'
export { Chart, type Source } from './logic.ts'
export { mermaid } from './mermaid.ts'
export { type MigrationOutcome, migrate } from './migrate.ts'
export { isInState, leavesOf, stateText } from './position.ts'
export {
  initialTransition,
  stepTransition,
  type TransitionStep,
} from './reducer.ts'
export { backoffMs, DEFAULT_RETRY, type RetryPolicy, resolveRetry } from './retry.ts'
export type { StepIdentity } from './scope.ts'
export { addressOf } from './self.ts'
export { dehydrate, putInDocumentOrder, type StoredSnapshot } from './snapshot.ts'
export {
  type Remains,
  type Step,
  stepAnew,
  stepEvent,
  stepInitial,
  stepReentry,
  stepToState,
  wake,
} from './step.ts'
export {
  type AnyTask,
  startedType,
  type TaskAttempt,
  TaskError,
  type TaskLogic,
  type TaskOptions,
  type TaskStartedEvent,
  task,
  type WorkerLostPolicy,
} from './task.ts'
