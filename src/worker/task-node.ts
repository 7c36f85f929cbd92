/**
 * `nodeOf`: speaking to actors from a task. Decides: that it is done in the name of the actor that asked,
 * unless the code says otherwise, and that only a task that runs on nodes can.
 */
import { type TaskAttempt, TaskError } from '../machine/index.ts'
import { runtimeOf, type TaskNode } from './attempt-runtime.ts'

/** @throws TaskError `permanent` for a task that does not run on nodes */
export function nodeOf(attempt: TaskAttempt<unknown>): TaskNode {
  const { node } = runtimeOf(attempt, 'nodeOf')
  if (node) return { ...node, client: node.client.as(attempt.address) }
  const why = "nodeOf() needs a task that runs on nodes: declare it with runsOn: 'node'"
  throw new TaskError('permanent', why)
}
