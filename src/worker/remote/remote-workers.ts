/**
 * All workers in processes of their own that this node serves.
 *
 * Decides: that a worker's name is one worker's at a time, which commands a worker may send (those about
 * tasks), and to which queues its key admits it; only who was given a task there has its ticket. Leaves to others: who may
 * come in (`registrar.ts`), how requests travel (the gateway), one worker's deliveries (`session.ts`).
 */
import type { Client } from '../../client/index.ts'
import type {
  Clock,
  LinkAnswer,
  Log,
  Random,
  RunKept,
  Subscription,
  TaskQueue,
  Transport,
} from '../../ports/index.ts'
import {
  checkCommand,
  isNodeName,
  type Limits,
  type Outcome,
  pack,
  type Subjects,
  TroupeError,
  taskOperationOf,
  toErrorRecord,
  unpack,
} from '../../protocol/index.ts'
import { keepUpload } from './keep-upload.ts'
import type { WorkerRegistrar } from './registrar.ts'
import { RemoteSession } from './session.ts'
import { readPoll, readReport, readTell, readUpload, type WorkerAnswer } from './shapes.ts'
import type { UploadedRuns } from './uploaded-runs.ts'

export interface RemoteWorkersDeps {
  /** Of the node; its own worker has that name too. */
  node: string
  cluster: string
  registrar: WorkerRegistrar
  client: Client
  taskQueue: Pick<TaskQueue, 'consume'>
  transport: Pick<Transport, 'subscribe'>
  subjects: Subjects
  limits: Limits
  clock: Clock
  random: Random
  log: Log
  /** What commands of these workers wrote. */
  runs: UploadedRuns
}

/** Who asks, by its key. */
export interface WorkerAdmission {
  worker: string
  group: string
  queues: ReadonlySet<string>
}

interface Connected {
  session: RemoteSession
  instance: string
  group: string
  cancels: Subscription
}

/** Attempts whose first output may still be on its way. */
const GRANTED_MAX = 10_000

export class RemoteWorkers {
  readonly #deps: RemoteWorkersDeps
  readonly #connected = new Map<string, Connected>()
  /** Attempts that were granted to workers through this node, by token, oldest first. */
  readonly #granted = new Map<string, { worker: string; address: string }>()
  /** Workers that are given nothing, by name. */
  readonly #refused = new Set<string>()
  #closed = false

  constructor(deps: RemoteWorkersDeps) {
    this.#deps = deps
  }

  /** @throws TroupeError `unauthorized`, `malformed` for a name that cannot be one */
  async enter(claim: { worker: string; group: string; key: string }): Promise<WorkerAdmission> {
    const { worker, group, key } = claim
    const { queues } = await this.#deps.registrar.authenticate({ group, key })
    if (!isNodeName(worker)) {
      const why = `"${worker.slice(0, 64)}" cannot name a worker: a letter or digit and at most 63 letters, digits, "_" or "-"`
      throw new TroupeError('malformed', why)
    }
    if (worker === this.#deps.node) {
      const why = `the worker of the node itself is named ${worker}: start yours with another --name`
      throw new TroupeError('conflict', why)
    }
    return { worker, group, queues: new Set(queues) }
  }

  /**
   * @param options `confirm` looks at the key again: it may have been changed while the worker waited
   * @throws TroupeError `conflict` while another worker of that name is there, `forbidden`, and what
   * `confirm` throws: then what the worker was to be given is for others
   */
  async poll(
    admission: WorkerAdmission,
    body: unknown,
    options: { timeoutMs: number; signal: AbortSignal; confirm: () => Promise<unknown> },
  ): Promise<LinkAnswer> {
    if (this.#closed) throw new TroupeError('unavailable', 'the node is stopping')
    const request = readPoll(body)
    requireQueues(admission, request.consumers)
    const answer = await this.#sessionOf(admission, request).poll(request, options)
    try {
      await options.confirm()
    } catch (thrown) {
      this.leave(admission, request.session)
      throw thrown
    }
    return answer
  }

  /** @throws TroupeError `unavailable` until the session has asked for the first time */
  tell(admission: WorkerAdmission, body: unknown): void {
    const request = readTell(body)
    requireQueues(admission, request.consumers)
    const connected = this.#connected.get(admission.worker)
    if (connected?.session.id !== request.session) {
      throw new TroupeError('unavailable', 'this session is not known here (yet): ask first')
    }
    connected.session.tell(request)
  }

  leave({ worker }: WorkerAdmission, session: unknown): void {
    const connected = this.#connected.get(worker)
    if (connected && connected.session.id === session) this.#forget(worker, connected)
  }

  /** @throws TroupeError `conflict` while another worker of that name is there */
  async report(admission: WorkerAdmission, body: unknown): Promise<WorkerAnswer> {
    const { node, cluster, registrar } = this.#deps
    const { worker: name, group, queues } = admission
    const { instance, condition } = readReport(body)
    this.#requireOnly(name, instance)
    const order = await registrar.heard({ ...condition, name, group, node })
    this.admit(name, order.admitted)
    return { ...order, cluster, queues: [...queues] }
  }

  /** From now on; a worker that comes later is judged by its first report. */
  admit(worker: string, admitted: boolean): void {
    if (admitted) this.#refused.delete(worker)
    else this.#refused.add(worker)
    this.#connected.get(worker)?.session.admit(admitted)
  }

  /** Commands about tasks, packed; each is answered for itself. */
  async execute(
    admission: WorkerAdmission,
    payload: Uint8Array,
    timeoutMs: number,
  ): Promise<Uint8Array> {
    const commands = unpack(payload)
    if (!Array.isArray(commands)) throw new TroupeError('malformed', 'commands come in a list')
    const outcomes = commands.map(async (command: unknown): Promise<Outcome> => {
      try {
        const ok = await this.#executeOne(admission, command, timeoutMs)
        return { ok, durability: 'flushed' }
      } catch (thrown) {
        return { error: toErrorRecord(thrown) }
      }
    })
    return pack(await Promise.all(outcomes))
  }

  /** Bytes that a command of this worker wrote. @throws TroupeError `forbidden`, `task-gone`, `task-stale` */
  async bring({ worker }: WorkerAdmission, body: unknown): Promise<RunKept> {
    const upload = readUpload(body)
    return keepUpload(this.#deps, worker, upload, () => {
      const granted = this.#granted.get(upload.token)
      return granted?.worker === worker && granted.address === upload.address
    })
  }

  stop(): void {
    this.#closed = true
    for (const [worker, connected] of [...this.#connected]) this.#forget(worker, connected)
  }

  async #executeOne(
    admission: WorkerAdmission,
    candidate: unknown,
    timeoutMs: number,
  ): Promise<unknown> {
    const checked = checkCommand(candidate, this.#deps.limits)
    if ('error' in checked) throw TroupeError.from(checked.error)
    const { command } = checked
    const operation = taskOperationOf(command, admission.worker)
    const options = { timeoutMs, ...(command.id === undefined ? {} : { id: command.id }) }
    const client = this.#deps.client.as(`worker ${admission.worker}`)
    const answer = await client.execute(command.address, operation, options)
    if (operation.op === 'task.start' || operation.op === 'task.attach') {
      this.#remember(admission.worker, command.address, answer)
    }
    return answer
  }

  /** A short command may be over, and killed, before the first of its output is brought. */
  #remember(worker: string, address: string, answer: unknown): void {
    const { token } = answer as { token: string }
    if (this.#granted.size >= GRANTED_MAX) {
      for (const [oldest] of this.#granted) {
        this.#granted.delete(oldest)
        break
      }
    }
    this.#granted.set(token, { worker, address })
  }

  #sessionOf(
    { worker, group }: WorkerAdmission,
    { session: id, instance }: { session: string; instance: string },
  ): RemoteSession {
    const { clock, random, taskQueue, transport, subjects, log } = this.#deps
    const known = this.#connected.get(worker)
    if (known?.session.id === id) return known.session
    this.#requireOnly(worker, instance)
    if (known) this.#forget(worker, known)
    const deps = { session: id, taskQueue, clock, deliveryId: () => random.id() }
    const session = new RemoteSession(deps, !this.#refused.has(worker))
    const subject = subjects.cancel(worker)
    const cancels = transport.subscribe(subject, {}, ({ payload }) =>
      session.message({ subject, payload }),
    )
    this.#connected.set(worker, { session, instance, group, cancels })
    log.info({ worker, group }, 'a worker has come')
    return session
  }

  /** Two of one name would be given each other's cancels, and answer for each other. */
  #requireOnly(worker: string, instance: string): void {
    const known = this.#connected.get(worker)
    if (!known?.session.asking || known.instance === instance) return
    const why = `a worker ${worker} of group ${known.group} is connected from another data directory: start this one with another --name`
    throw new TroupeError('conflict', why)
  }

  #forget(worker: string, { session, cancels }: Connected): void {
    cancels.unsubscribe()
    session.close()
    this.#connected.delete(worker)
  }
}

function requireQueues(
  { group, queues }: WorkerAdmission,
  consumers: readonly { queue: string }[],
) {
  const foreign = consumers.find(({ queue }) => !admitsTo(queues, queue))
  if (foreign === undefined) return
  const why = `the key of group ${group} does not admit to the queue ${foreign.queue.slice(0, 80)}; it admits to: ${[...queues].join(', ')}`
  throw new TroupeError('forbidden', why)
}

/** Whoever may take from a queue may take from those below it, `<queue>/<more>`. */
function admitsTo(queues: ReadonlySet<string>, queue: string): boolean {
  const [above = ''] = queue.split('/', 1)
  return queues.has(queue) || queues.has(above)
}
