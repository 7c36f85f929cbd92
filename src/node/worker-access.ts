/** What a worker in a process of its own needs of its cluster, whichever way it takes there. */
import type { RunUploads, TaskQueue, Transport } from '../ports/index.ts'
import type { Subjects } from '../protocol/index.ts'
import type { WorkerAnswer, WorkerCondition, WorkerOrder } from '../worker/index.ts'

export interface WorkerAccess {
  /** Where it leads, for people. */
  readonly target: string
  readonly transport: Pick<Transport, 'request' | 'subscribe'>
  readonly taskQueue: Pick<TaskQueue, 'consume'>
  readonly uploads: RunUploads
  /** How long a first try waits for its answer, where owners may die with it. */
  readonly answerMs?: number
  /** Where a worker of that cluster speaks and listens. */
  subjectsOf(cluster: string): Subjects
  /** @throws TroupeError: `retry` says whether asking again may help */
  report(condition: WorkerCondition): Promise<WorkerAnswer & { shardCount: number }>
  /** It was let in: orders that come between its reports are told from now on. */
  enter(ordered: (order: WorkerOrder) => void): void
  /** What was said leaves first, as far as it can. */
  close(): Promise<void>
  /** For a worker that was not let in. */
  abandon(): Promise<void>
}
