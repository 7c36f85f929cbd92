/**
 * What a node does for workers in processes of their own, and the shapes that travel between them.
 *
 * Decides: that a worker always asks and a node only answers, so that a worker may sit behind a NAT or a
 * firewall; that consumers of queues are mirrored on the node one by one, so that it keeps every promise
 * of a `TaskQueue`; and that what an answer brought is sent again until the worker says that it has it.
 * Leaves to others: how the shapes travel (HTTP), who may come in.
 */
import type { TaskMessage } from './task-queue.ts'

/**
 * The form of all that workers in processes of their own and nodes say to each other, by whichever way; a worker
 * says it with its reports and questions. Grows with every change that one side has to know of: a worker that
 * does not know what its tasks come with would take them and never start them. 2: tasks come with tickets. 3:
 * their inputs come packed.
 */
export const WORKER_FORM = 3

export interface WorkerLink {
  /** What came for the worker; waits for it. @throws TroupeError, as all of these */
  poll(request: LinkPoll, options: { timeoutMs: number; signal: AbortSignal }): Promise<LinkAnswer>
  /** Consumers have changed, deliveries are settled. Saying it twice changes nothing. */
  tell(request: LinkTell): Promise<void>
  /** The worker goes: what it was not given yet is for others at once. */
  leave(session: string): Promise<void>
}

/** The consumers that a worker has now. */
export interface LinkState {
  /** One life of a worker's process. */
  session: string
  /** Its data directory, which outlives the process: two workers of one name differ in it. */
  instance: string
  /** Grows with each change, so that an old state never replaces a newer one. */
  version: number
  consumers: LinkConsumer[]
}

export interface LinkPoll extends LinkState {
  /** The number of the last answer that the worker has. */
  after: number
}

export interface LinkTell extends LinkState {
  settled: LinkSettlement[]
}

export interface LinkConsumer {
  id: number
  queue: string
  slots: number
}

export interface LinkSettlement {
  delivery: string
  how: 'ack' | 'retry' | 'working'
  delayMs?: number
}

export interface LinkAnswer {
  /** The next one, or the number that was asked with when there is nothing. */
  number: number
  deliveries: LinkDelivery[]
  messages: LinkMessage[]
}

export interface LinkDelivery {
  id: string
  consumer: number
  message: TaskMessage
}

/** What somebody published on a subject of the worker. */
export interface LinkMessage {
  subject: string
  payload: Uint8Array
}
