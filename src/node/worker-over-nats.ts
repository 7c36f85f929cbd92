/**
 * A worker's way over NATS: it takes from the queues by consumers that all workers share, and speaks to
 * the owners of its tasks itself. NATS lets it in, and says by its subjects what it may do.
 *
 * What its commands write it brings to a node all the same: read from the worker on demand, the logs of a
 * machine that died would be gone, and those are the ones that people want to read.
 */
import {
  NatsConnector,
  type NatsOptions,
  NatsTaskQueue,
  NatsTransport,
} from '../adapters/nats/index.ts'
import type { Clock, Log, Random, Subscription } from '../ports/index.ts'
import { pack, type Subjects, subjectsOf, toErrorRecord, unpack } from '../protocol/index.ts'
import {
  type DirectAnswer,
  NodeCaller,
  readOrder,
  type WorkerCondition,
  type WorkerOrder,
} from '../worker/index.ts'
import type { WorkerAccess } from './worker-access.ts'

export interface NatsAccessDeps {
  options: NatsOptions
  cluster: string
  group: string
  worker: string
  /** Of the worker's data directory. */
  instance?: string
  clock: Clock
  random: Random
  log: Log
  /** Ends the wait for a server that is not there. */
  signal: AbortSignal | undefined
}

/** As nodes wait for each other. */
const ANSWER_MS = 5_000

/** Waits for NATS. @throws TroupeError `invalid-config`, `unavailable` */
export async function openNatsAccess(deps: NatsAccessDeps): Promise<WorkerAccess> {
  const { options, cluster, worker, clock, random, log, signal } = deps
  const name = `troupe ${cluster} worker ${worker}`
  const connector = new NatsConnector({ options, name, clock, random, log })
  const connection = await connector.open({ reconnect: true, ...(signal && { signal }) })
  const { inboxPrefix } = options
  const shared = { connection, clock, log, ...(inboxPrefix === undefined ? {} : { inboxPrefix }) }
  const transport = new NatsTransport(shared)
  const taskQueue = NatsTaskQueue.ofGuest({ ...shared, cluster })
  const close = async () => {
    await taskQueue.close()
    transport.close()
    await connection.close()
  }
  return new DirectAccess({
    ...deps,
    target: options.servers.join(', '),
    transport,
    taskQueue,
    close,
  })
}

export interface DirectAccessDeps
  extends Pick<NatsAccessDeps, 'cluster' | 'group' | 'worker' | 'instance' | 'random' | 'log'>,
    Pick<WorkerAccess, 'target' | 'transport' | 'taskQueue' | 'close'> {}

/** The same over whichever transport and queue. */
export class DirectAccess implements WorkerAccess {
  readonly target: string
  readonly transport: WorkerAccess['transport']
  readonly taskQueue: WorkerAccess['taskQueue']
  readonly uploads: NodeCaller
  readonly answerMs = ANSWER_MS
  readonly #deps: DirectAccessDeps
  readonly #session: string
  readonly #presence: Subscription
  /** Set once it was let in. */
  #ordered: ((order: WorkerOrder) => void) | undefined

  constructor(deps: DirectAccessDeps) {
    const { target, transport, taskQueue, cluster, worker, group, random, instance } = deps
    this.target = target
    this.transport = transport
    this.taskQueue = taskQueue
    this.#deps = deps
    this.#session = instance === undefined ? random.id() : `${instance}:${random.id()}`
    const subjects = this.subjectsOf(cluster)
    this.uploads = new NodeCaller({ transport, subjects, worker, group, session: this.#session })
    this.#presence = this.#listen(subjects)
  }

  /** Commands go to where owners hear workers. */
  subjectsOf(cluster: string): Subjects {
    const subjects = subjectsOf(cluster)
    return { ...subjects, shard: (shard) => subjects.work(shard, this.#deps.worker) }
  }

  report(condition: WorkerCondition): Promise<DirectAnswer> {
    return this.uploads.report(condition)
  }

  enter(ordered: (order: WorkerOrder) => void): void {
    this.#ordered = ordered
  }

  close(): Promise<void> {
    this.#presence.unsubscribe()
    return this.#deps.close()
  }

  abandon(): Promise<void> {
    return this.close()
  }

  /** Before it asks for its name: from the moment that it has it, it answers as who has it. */
  #listen(subjects: Subjects): Subscription {
    const { transport, worker, log } = this.#deps
    const subject = subjects.order(worker, this.#session)
    return transport.subscribe(subject, {}, ({ payload, reply }) => {
      if (reply) return reply(pack(true))
      try {
        this.#ordered?.(readOrder(unpack(payload)))
      } catch (thrown) {
        // The answer to its next report says the same.
        log.warn({ error: toErrorRecord(thrown) }, 'an order could not be read')
      }
    })
  }
}
