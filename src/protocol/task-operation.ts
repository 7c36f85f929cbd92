/**
 * What a worker may ask of actors. Decides: that it speaks of tasks only, and for itself only, that it
 * starts none without a ticket, and that of its command nothing else counts. Leaves to others: who may
 * speak as that worker.
 */
import { type Command, type Operation, TASK_OPERATIONS } from './command.ts'
import { TroupeError } from './errors.ts'

export type TaskOperation = Extract<Operation, { taskId: string }>

/** Without its envelope. @throws TroupeError `forbidden` */
export function taskOperationOf(command: Command, worker: string): TaskOperation {
  if (!TASK_OPERATIONS.has(command.op) || !('taskId' in command)) {
    throw new TroupeError('forbidden', `a worker may not ${command.op}; it may speak of its tasks`)
  }
  switch (command.op) {
    case 'task.start':
      // Without one it is refused as with a wrong one: the id of a task can be guessed.
      return { op: command.op, taskId: command.taskId, worker, ticket: command.ticket ?? '' }
    case 'task.attach':
      return { op: command.op, taskId: command.taskId, token: command.token, worker }
    case 'task.beat': {
      const { op, taskId, token, progress } = command
      return { op, taskId, token, ...(progress === undefined ? {} : { progress }) }
    }
    case 'task.done': {
      const { op, taskId, token, output } = command
      return { op, taskId, token, output }
    }
    case 'task.failed': {
      const { op, taskId, token, failure } = command
      return { op, taskId, token, failure }
    }
  }
}
