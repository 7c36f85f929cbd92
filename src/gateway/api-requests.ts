/**
 * The routes of HTTP for whoever can reach the transport, as the command does: requests come as messages and
 * go to the same server (api-messages.ts has the form). Decides: which subject means which role, how many
 * are answered at a time, and how long an answer waits for its reader. Who may use which subject is the
 * transport's business. All nodes share the requests; the rest of an answer comes from the node that began it.
 */
import { randomBytes } from 'node:crypto'
import type { Server } from 'node:http'
import type { TroupeNode } from '../node/index.ts'
import type { Log, MessageHandler, Subscription } from '../ports/index.ts'
import {
  type ErrorRecord,
  errorRecord,
  type Role,
  TroupeError,
  toErrorRecord,
  toJson,
} from '../protocol/index.ts'
import { ROLE_HEADER } from './access.ts'
import { type ApiAsk, type ApiPart, ASK, MORE, messageOf, read } from './api-messages.ts'
import { GivenAnswer, HeldBytes, type PartLimits } from './given-answer.ts'
import { InnerConnections } from './inner-requests.ts'
import { failureOf } from './statuses.ts'

export interface ApiLimits extends PartLimits {
  /** Requests under way at once; more are told `busy`. */
  requestsMax: number
  /** Answers that have not been read to their end. */
  answersMax: number
  /** Of requests under way and of parts that can be had again, all together; more requests are told `busy`. */
  bytesMax: number
  /** An answer that nobody asks for is forgotten after so long. */
  idleMs: number
}

const LIMITS: Readonly<ApiLimits> = Object.freeze({
  partBytesMax: 512 * 1_024,
  silenceMs: 10_000,
  gatherMs: 20,
  requestsMax: 1_024,
  answersMax: 1_024,
  // A hundred whole parts: far more than those who read need at a time.
  bytesMax: 64 * 1_024 * 1_024,
  idleMs: 30_000,
})

export interface ApiRequestsOptions {
  node: TroupeNode
  log: Log
  /** One that nobody else reaches: it takes our word for the role. */
  server: Server
  limits?: Partial<ApiLimits>
}

export interface ApiRequests {
  /** Takes no more; resolves when those under way are answered, or were cut off after `graceMs`. */
  close(graceMs: number): Promise<void>
}

const ROLES: readonly Role[] = ['read', 'operate', 'admin']
/** Members of it share the requests. */
const QUEUE = 'gateway'

export function serveApi(options: ApiRequestsOptions): ApiRequests {
  const desk = new ApiDesk(options)
  const { transport, subjects, name } = options.node
  const subscriptions: Subscription[] = ROLES.flatMap((role) => [
    transport.subscribe(subjects.api(role), { queue: QUEUE }, desk.answering(role)),
    // A group of one: what comes while it ends is refused, and not left without an answer.
    transport.subscribe(subjects.apiMore(role, name), { queue: name }, desk.continuing(role)),
  ])
  return {
    close: async (graceMs) => {
      for (const subscription of subscriptions) subscription.unsubscribe()
      await desk.close(graceMs)
    },
  }
}

/** With the role that it was asked with: another one does not get it. */
interface Given {
  role: Role
  answer: GivenAnswer
  cancelIdle: () => void
}

class ApiDesk {
  readonly #options: ApiRequestsOptions
  readonly #limits: ApiLimits
  readonly #inner: InnerConnections
  readonly #open = new Set<Promise<void>>()
  readonly #given = new Map<string, Given>()
  readonly #held: HeldBytes

  constructor(options: ApiRequestsOptions) {
    this.#options = options
    this.#inner = new InnerConnections(options.server)
    this.#limits = { ...LIMITS, ...options.limits }
    this.#held = new HeldBytes(this.#limits.bytesMax)
  }

  /** What nobody waits for is not done. */
  answering(role: Role): MessageHandler {
    return ({ payload, reply }) => {
      if (!reply) return
      const why = this.#whyFull(payload.length)
      if (why !== undefined) return reply(refusal(503, errorRecord('busy', why)))
      this.#held.addRequest(payload.length)
      const work = this.#answer(role, payload)
        .catch((thrown: unknown) => this.#failed(thrown))
        .then(reply)
        .finally(() => {
          this.#held.addRequest(-payload.length)
          this.#open.delete(work)
        })
      this.#open.add(work)
    }
  }

  /** Why no more can be taken. */
  #whyFull(bytes: number): string | undefined {
    const { requestsMax, answersMax, bytesMax } = this.#limits
    if (this.#open.size >= requestsMax) return `${requestsMax} requests are under way`
    if (this.#held.leftForRequests < bytes) {
      return `requests and answers of ${bytesMax} bytes are under way`
    }
    if (this.#given.size >= answersMax) this.#forgetOneRead()
    return this.#given.size < answersMax ? undefined : `${answersMax} answers are under way`
  }

  continuing(role: Role): MessageHandler {
    return ({ payload, reply }) => {
      void this.#continue(role, payload)
        .catch((thrown: unknown): Uint8Array => {
          return partOf({ part: 0, broken: toErrorRecord(thrown).message })
        })
        .then((part) => reply?.(part))
    }
  }

  async close(graceMs: number): Promise<void> {
    const cancel = this.#options.node.clock.after(graceMs, () => this.#inner.cut())
    await Promise.all(this.#open)
    cancel()
    for (const stream of [...this.#given.keys()]) this.#forget(stream)
  }

  async #answer(role: Role, payload: Uint8Array): Promise<Uint8Array> {
    const { node } = this.#options
    const { head, body } = read(payload, ASK)
    const { method, path } = head
    const headers = headersOf(head, role, body.length > 0)
    const incoming = await this.#inner.request({ method, path, headers, body }).catch(brokenOff)
    const { statusCode: status = 500 } = incoming
    const type = incoming.headers['content-type']
    const about = { status, ...(type === undefined ? {} : { type }) }
    const answer = new GivenAnswer(incoming, node.clock, this.#limits, this.#held)
    const first = await answer.part(1)
    if (!first || first.end) {
      answer.stop()
      return messageOf(about, first?.bytes)
    }
    const stream = randomBytes(16).toString('base64url')
    this.#given.set(stream, { role, answer, cancelIdle: this.#idle(stream) })
    return messageOf({ ...about, more: { node: node.name, stream } }, first.bytes)
  }

  async #continue(role: Role, payload: Uint8Array): Promise<Uint8Array> {
    const { stream, part: number, stop } = read(payload, MORE).head
    const given = this.#given.get(stream)
    if (!given || given.role !== role) {
      throw new TroupeError('not-found', 'the node does not give this answer any more')
    }
    if (stop) {
      this.#forget(stream)
      return partOf({ part: number, end: true })
    }
    given.cancelIdle()
    // The first part went with the answer.
    const part = await given.answer.part(number + 1)
    given.cancelIdle()
    if (this.#given.has(stream)) given.cancelIdle = this.#idle(stream)
    if (!part) throw new TroupeError('malformed', 'parts are asked for in their order')
    const { bytes, end, broken } = part
    return partOf({ part: number, ...(end && { end }), ...(broken && { broken }) }, bytes)
  }

  /** Who has read to the end may leave it at that: its last part is kept only while nobody needs its place. */
  #forgetOneRead(): void {
    for (const [stream, { answer }] of this.#given) {
      if (!answer.isRead) continue
      this.#forget(stream)
      return
    }
  }

  #idle(stream: string): () => void {
    return this.#options.node.clock.after(this.#limits.idleMs, () => this.#forget(stream))
  }

  #forget(stream: string): void {
    const given = this.#given.get(stream)
    this.#given.delete(stream)
    given?.cancelIdle()
    given?.answer.stop()
  }

  #failed(thrown: unknown): Uint8Array {
    const { status, record, isFault } = failureOf(thrown, '-')
    if (isFault) this.#options.log.error({ err: thrown }, 'a request could not be passed on')
    return refusal(status, record)
  }
}

/** @throws TroupeError `no-answer` */
function brokenOff(cause: unknown): never {
  const why = 'the node broke the request off; it may or may not have been done'
  throw new TroupeError('no-answer', why, { cause })
}

function partOf(part: ApiPart, bytes?: Uint8Array): Uint8Array {
  return messageOf(part, bytes)
}

function refusal(status: number, error: ErrorRecord): Uint8Array {
  return messageOf({ status, type: 'application/json' }, Buffer.from(toJson({ error })))
}

/** Nothing that the sender has written becomes a header of its own choice. */
function headersOf(
  { author, id, timeoutMs, after }: ApiAsk,
  role: Role,
  hasBody: boolean,
): Record<string, string> {
  return {
    [ROLE_HEADER]: role,
    ...(hasBody ? { 'content-type': 'application/json' } : {}),
    // Node writes headers as latin1; the gateway reads them as UTF-8.
    ...(author === undefined
      ? {}
      : { 'x-troupe-author': Buffer.from(author, 'utf8').toString('latin1') }),
    ...(id === undefined ? {} : { 'idempotency-key': id }),
    ...(timeoutMs === undefined ? {} : { 'x-troupe-timeout-ms': String(timeoutMs) }),
    ...(after === undefined ? {} : { 'last-event-id': after }),
  }
}
