/**
 * What the worker that runs a task is configured with. Decides: that code of a task sees the section of
 * its own app, as the app's schema gives it, and that of the machine where it runs.
 */
import type { TaskAttempt } from '../machine/index.ts'
import { runtimeOf } from './attempt-runtime.ts'

/**
 * The section of the task's app in the configuration of this worker: of its node, or its own (`troupe
 * worker --config`). Undefined when the app has no schema.
 */
export function configOf<TConfig>(attempt: TaskAttempt<unknown>): TConfig {
  return runtimeOf(attempt, 'configOf').config as TConfig
}
