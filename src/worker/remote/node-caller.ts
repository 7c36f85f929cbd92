/**
 * What a worker that takes its tasks itself asks of nodes: who is to hear it, and keep what its commands
 * write. The node's side is `DirectWorkers`.
 *
 * Decides: that it stays with the node that answered it last, since that one has what was brought before,
 * and goes to any other when that one is gone or silent. Leaves to others: how bytes travel (transport).
 */
import {
  type RunKept,
  type RunUpload,
  type RunUploads,
  type Transport,
  type TransportOutcome,
  WORKER_FORM,
} from '../../ports/index.ts'
import { pack, type Subjects, TroupeError, unpack } from '../../protocol/index.ts'
import {
  type DirectAnswer,
  readDirectAnswer,
  readKept,
  readNodeAnswer,
  type WorkerCondition,
} from './shapes.ts'

export interface NodeCallerDeps {
  transport: Pick<Transport, 'request'>
  subjects: Subjects
  worker: string
  group: string
  /** One life of the worker's process. */
  session: string
}

const REPORT_MS = 10_000
/** A node flushes what it keeps. */
const BRING_MS = 20_000

export class NodeCaller implements RunUploads {
  readonly #deps: NodeCallerDeps
  #node: string | undefined

  constructor(deps: NodeCallerDeps) {
    this.#deps = deps
  }

  /** @throws TroupeError as a node answered; `unavailable`, `no-answer` */
  async report(condition: WorkerCondition): Promise<DirectAnswer> {
    const { group, session } = this.#deps
    const body = { ...condition, group, session, form: WORKER_FORM }
    const answer = await this.#call('report', body, REPORT_MS)
    return readDirectAnswer(answer)
  }

  async bring(upload: RunUpload): Promise<RunKept> {
    return readKept(await this.#call('runs', upload, BRING_MS))
  }

  async #call(question: string, body: object, timeoutMs: number): Promise<unknown> {
    const payload = pack(body)
    const known = this.#node
    let outcome = await this.#request(question, payload, timeoutMs)
    // That node is gone, and certainly did nothing.
    if (outcome.kind === 'no-responders' && known !== undefined) {
      this.#node = undefined
      outcome = await this.#request(question, payload, timeoutMs)
    }
    if (outcome.kind === 'reply') return this.#read(outcome.payload)
    if (outcome.kind === 'timeout') this.#node = undefined
    throw failureOf(outcome)
  }

  #request(question: string, payload: Uint8Array, timeoutMs: number): Promise<TransportOutcome> {
    const { transport, subjects, worker } = this.#deps
    const subject = subjects.workerQuestion(worker, question, this.#node)
    return new Promise((resolve) => transport.request({ subject, payload, timeoutMs }, resolve))
  }

  #read(payload: Uint8Array): unknown {
    const answer = readNodeAnswer(unpack(payload))
    this.#node = answer.node
    if ('error' in answer) throw TroupeError.from(answer.error)
    return answer.ok
  }
}

function failureOf(outcome: Exclude<TransportOutcome, { kind: 'reply' }>): TroupeError {
  switch (outcome.kind) {
    case 'no-responders':
      return new TroupeError('unavailable', 'no node that keeps a list of workers answers')
    case 'timeout':
      return new TroupeError('no-answer', 'the node did not answer in time')
    case 'too-large':
      return new TroupeError(
        'too-large',
        `a message to the node is larger than the ${outcome.bytesMax} bytes that can be sent`,
      )
  }
}
