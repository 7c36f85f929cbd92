/**
 * Workers that take tasks from the queues themselves and speak to owners without a node in between, as
 * the node sees them that hears their reports.
 *
 * Decides: that a worker is heard by one node, which tells the others; that a worker is told at once what
 * an operator wants of it. Leaves to others: who may come in (whoever lets it speak on its subjects), whose
 * a name is (`name-claims.ts`), which queues a group has (`registrar.ts`), its tasks (their owners).
 */
import type { Client } from '../../client/index.ts'
import type { Clock, Log, Registry, RunKept, Subscription, Transport } from '../../ports/index.ts'
import {
  isNodeName,
  pack,
  questionOf,
  type Subjects,
  TroupeError,
  toErrorRecord,
  unpack,
} from '../../protocol/index.ts'
import { keepUpload } from './keep-upload.ts'
import { NameClaims, type Presence } from './name-claims.ts'
import type { WorkerRegistrar } from './registrar.ts'
import {
  type DirectAnswer,
  type NodeAnswer,
  readDirectReport,
  readUpload,
  type WorkerOrder,
} from './shapes.ts'
import type { UploadedRuns } from './uploaded-runs.ts'

export interface DirectWorkersDeps {
  node: string
  cluster: string
  shardCount: number
  /** Whose workers have their names: the nodes of the cluster. */
  nodes: () => readonly string[]
  /** Where it stands whose a name is. */
  registry: Registry
  registrar: Pick<Required<WorkerRegistrar>, 'heard' | 'queuesOf'>
  client: Client
  transport: Pick<Transport, 'request' | 'publish' | 'subscribe'>
  subjects: Subjects
  clock: Clock
  log: Log
  /** What commands of these workers wrote. */
  runs: UploadedRuns
}

const QUESTIONS = ['report', 'runs']
/** One node answers a question to any. */
const NODES = 'nodes'
const WHO_MS = 2_000
/**
 * Whoever does not answer and was not heard for so long, three times as long as a worker is silent, has lost
 * its name. Where workers have a NATS account of their own, nobody is told that nobody listens there.
 */
const SILENCE_MS = 30_000

export class DirectWorkers {
  readonly #deps: DirectWorkersDeps
  /** Those that this node has heard last, and which process of that name. */
  readonly #sessions = new Map<string, string>()
  readonly #names: NameClaims
  /**
   * When a worker was heard last, by any node, on the monotonic clock, oldest first. Who is not in it was not
   * heard for as long as matters, or not since this node began.
   */
  readonly #heardAtMs = new Map<string, number>()
  readonly #beganMs: number
  #subscriptions: Subscription[] = []

  constructor(deps: DirectWorkersDeps) {
    this.#deps = deps
    const { registry, clock } = deps
    this.#beganMs = clock.monotonic()
    // Two of one name would be told each other's cancels, and go on with each other's attempts.
    this.#names = new NameClaims({ registry, presenceOf: (...who) => this.#presenceOf(...who) })
  }

  start(): void {
    const { transport, subjects, node } = this.#deps
    const take: Parameters<Transport['subscribe']>[2] = ({ subject, payload, reply }) => {
      if (reply) void this.#answer(subject, payload).then((answer) => reply(pack(answer)))
    }
    this.#subscriptions = [
      ...QUESTIONS.map((question) =>
        transport.subscribe(subjects.workerQuestions(question), { queue: NODES }, take),
      ),
      transport.subscribe(subjects.workerQuestionsTo(node), {}, take),
    ]
  }

  stop(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
    this.#subscriptions = []
  }

  /** Told by the node that hears it; should that be lost, its next report is answered so. */
  admit(worker: string, order: WorkerOrder): void {
    const session = this.#sessions.get(worker)
    if (session === undefined) return
    const { transport, subjects } = this.#deps
    transport.publish(subjects.order(worker, session), pack(order))
  }

  /** Another node hears it now. */
  forget(worker: string): void {
    this.#sessions.delete(worker)
    this.#hear(worker)
  }

  async #answer(subject: string, payload: Uint8Array): Promise<NodeAnswer> {
    const { node } = this.#deps
    const { worker, question } = questionOf(subject)
    try {
      this.#requireName(worker)
      const body = unpack(payload)
      if (question === 'report') return { node, ok: await this.#report(worker, body) }
      if (question === 'runs') return { node, ok: await this.#bring(worker, body) }
      throw new TroupeError('malformed', `there is no question "${question.slice(0, 40)}"`)
    } catch (thrown) {
      return { node, error: toErrorRecord(thrown) }
    }
  }

  /** @throws TroupeError `conflict` while another process of that name is there */
  async #report(name: string, body: unknown): Promise<DirectAnswer> {
    const { node, cluster, shardCount, registrar, log } = this.#deps
    const { group, session, condition } = readDirectReport(body)
    const queues = await registrar.queuesOf(group)
    if (this.#sessions.get(name) !== session) {
      await this.#names.take(name, session)
      log.info({ worker: name, group }, 'a worker has come')
    }
    const order = await registrar.heard({ ...condition, name, group, node })
    this.#hear(name)
    this.#sessions.set(name, session)
    if (condition.state === 'stopped') {
      this.#sessions.delete(name)
      await this.#names.leave(name, session)
    }
    return { ...order, cluster, queues, shardCount }
  }

  async #bring(worker: string, body: unknown): Promise<RunKept> {
    const { runs, client } = this.#deps
    return keepUpload({ runs, client }, worker, readUpload(body))
  }

  #requireName(worker: string): void {
    if (!isNodeName(worker)) {
      const why = `"${worker.slice(0, 64)}" cannot name a worker: a letter or digit and at most 63 letters, digits, "_" or "-"`
      throw new TroupeError('malformed', why)
    }
    if (!this.#deps.nodes().includes(worker)) return
    const why = `the worker of a node itself is named ${worker}: start yours with another --name`
    throw new TroupeError('conflict', why)
  }

  /** A process listens on a subject of its own, before it comes for its name. */
  #presenceOf(worker: string, session: string): Promise<Presence> {
    const { transport, subjects } = this.#deps
    const subject = subjects.order(worker, session)
    return new Promise((resolve) =>
      transport.request({ subject, payload: pack(null), timeoutMs: WHO_MS }, ({ kind }) => {
        if (kind === 'no-responders') resolve('gone')
        else if (kind === 'reply') resolve('there')
        else resolve(this.#silenceMs(worker) > SILENCE_MS ? 'gone' : 'unclear')
      }),
    )
  }

  #hear(worker: string): void {
    const now = this.#deps.clock.monotonic()
    this.#heardAtMs.delete(worker)
    this.#heardAtMs.set(worker, now)
    for (const [name, atMs] of this.#heardAtMs) {
      if (now - atMs <= SILENCE_MS) break
      this.#heardAtMs.delete(name)
    }
  }

  #silenceMs(worker: string): number {
    return this.#deps.clock.monotonic() - (this.#heardAtMs.get(worker) ?? this.#beganMs)
  }
}
