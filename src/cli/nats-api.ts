/**
 * Calls to any node of a cluster over NATS (gateway/api-messages.ts has the form). Decides: the role that a
 * request is sent with, which is the least that can do, and more only where a node asks for more; what is
 * asked again when it is lost; and what a user learns whom NATS does not let through.
 */
import { randomUUID } from 'node:crypto'
import { type ApiAnswer, messageOf, readAnswer, readPart } from '../gateway/index.ts'
import { type NatsLine, openNatsLine, type VerbRequest, type VerbResponse } from '../node/index.ts'
import type { TransportOutcome } from '../ports/index.ts'
import {
  type ErrorRecord,
  formatCommandId,
  fromJson,
  type Role,
  TroupeError,
  toJson,
} from '../protocol/index.ts'
import { Unreachable } from './exit-codes.ts'
import type { NatsPlace } from './nats-place.ts'
import {
  answerOf,
  type NodeCaller,
  TIMEOUT_MS_DEFAULT,
  TRAVEL_MS,
  targetOf,
} from './node-answers.ts'

interface NatsApiOptions extends NatsPlace {
  /** How long a node may take; it is told, so that it gives up first. */
  timeoutMs: number | undefined
  author: string | undefined
  signal: AbortSignal
}

/** A question and how often it may be asked. */
interface Question {
  subject: string
  payload: Uint8Array
  timeoutMs: number
  /** How long one try waits, since a node may die with the answer. Default: as long as all of them. */
  tryMs?: number
  /** Asking again does nothing twice. */
  isRepeatable: boolean
  /** How long nobody may be there, and what it means then. */
  nobodyMs: number
  nobody: () => Error
}

/** What has begun, and how the rest is had. */
interface Begun {
  status: number
  type: string
  bytes: AsyncIterable<Uint8Array>
}

const ROLES: readonly Role[] = ['read', 'operate', 'admin']
/** Where nobody says how long: a node that starts again, and a connection that is lost, are there by then. */
const NOBODY_MS = 5_000
const PAUSE_MS = 200
/** A command that is sent again under its id has its first reply. */
const COMMAND_TRY_MS = 5_000
/** Signing in takes a moment, also where a node may take none. */
const SIGN_IN_MS_MIN = 1_000
/** A part comes at least every ten seconds, if it is empty: otherwise it was lost. */
const PART_TRY_MS = 12_000
/** The node that gives an answer is gone with it. */
const PART_NOBODY_MS = 2_000

export class NatsApi implements NodeCaller {
  readonly url: string
  readonly #options: NatsApiOptions
  #line: Promise<NatsLine> | undefined

  constructor(options: NatsApiOptions) {
    this.#options = options
    this.url = `${options.nats.servers.join(', ')} (cluster ${options.cluster})`
  }

  async call(request: VerbRequest): Promise<VerbResponse> {
    const { status, type, bytes } = await this.#begin(request)
    return answerOf(this.url, { status, type, text: await textOf(bytes) })
  }

  async stream(
    request: VerbRequest,
    after: string | undefined,
    silentMsMax: number,
  ): Promise<AsyncIterable<Uint8Array>> {
    const { status, type, bytes } = await this.#begin(request, after, silentMsMax)
    if (status < 400) return bytes
    answerOf(this.url, { status, type, text: await textOf(bytes) })
    throw new Unreachable(`${this.url} answers ${status}: is it a Troupe node?`)
  }

  async transfer(): Promise<never> {
    const why = 'bytes of any length do not travel over NATS'
    throw new TroupeError('malformed', `${why}: name a node with --http or TROUPE_HTTP instead`)
  }

  async close(): Promise<void> {
    const line = await this.#line?.catch(() => undefined)
    await line?.close()
  }

  async #begin(request: VerbRequest, after?: string, silentMsMax?: number): Promise<Begun> {
    const { timeoutMs, author } = this.#options
    const { method, body } = request
    const isStream = silentMsMax !== undefined
    const line = await this.#open()
    const id = isCommand(request) ? formatCommandId(line.clock.now(), randomUUID()) : undefined
    const head = {
      ...{ method, path: targetOf(request), author, after, id },
      ...(isStream ? {} : { timeoutMs }),
    }
    const payload = messageOf(head, body === undefined ? undefined : Buffer.from(toJson(body)))
    let role: Role = 'read'
    for (;;) {
      const message = await this.#ask(line, {
        ...{ subject: line.subjects.api(role), payload },
        isRepeatable: method === 'GET' || id !== undefined,
        ...(id === undefined ? {} : { tryMs: COMMAND_TRY_MS }),
        timeoutMs: (timeoutMs ?? TIMEOUT_MS_DEFAULT) + TRAVEL_MS,
        nobodyMs: timeoutMs ?? NOBODY_MS,
        nobody: () => this.#nobody(),
      })
      const { head: answer, body: first } = readAnswer(message)
      const more = roleWanted(answer, first)
      if (more === undefined || ROLES.indexOf(more) <= ROLES.indexOf(role)) {
        const { status, type = '' } = answer
        return { status, type, bytes: this.#parts(line, role, answer, first, silentMsMax) }
      }
      role = more
    }
  }

  async *#parts(
    line: NatsLine,
    role: Role,
    { more }: ApiAnswer,
    first: Uint8Array,
    silentMsMax = TIMEOUT_MS_DEFAULT,
  ): AsyncGenerator<Uint8Array, void, void> {
    if (first.length > 0) yield first
    if (!more) return
    const { node, stream } = more
    const subject = line.subjects.apiMore(role, node)
    const about = { stream }
    const half = silentMsMax / 2
    const tries = {
      timeoutMs: silentMsMax,
      tryMs: Math.min(PART_TRY_MS, half),
      isRepeatable: true,
      nobodyMs: Math.min(PART_NOBODY_MS, half),
      nobody: () =>
        new TroupeError('unavailable', `${node} is gone, which had the rest: ask again`),
    }
    let isOver = false
    try {
      for (let part = 1; !isOver; part++) {
        const { head, body } = readPart(
          await this.#ask(line, { subject, payload: messageOf({ ...about, part }), ...tries }),
        )
        isOver = head.end === true || head.broken !== undefined
        if (head.broken !== undefined) throw new TroupeError('unavailable', head.broken)
        if (body.length > 0) yield body
      }
    } finally {
      // Also of an answer that was read to its end: the node keeps the last part for who has lost it.
      line.transport.publish(subject, messageOf({ ...about, part: 1, stop: true }))
    }
  }

  async #ask(line: NatsLine, question: Question): Promise<Uint8Array> {
    const { subject, payload, timeoutMs, tryMs = timeoutMs, isRepeatable } = question
    const { clock } = line
    const beganMs = clock.monotonic()
    for (;;) {
      requireAllowed(line, subject)
      const leftMs = Math.max(1, beganMs + timeoutMs - clock.monotonic())
      const triedMs = Math.min(tryMs, leftMs)
      const outcome = await this.#request(line, { subject, payload, timeoutMs: triedMs })
      if (outcome.kind === 'reply') return outcome.payload
      requireAllowed(line, subject)
      const tookMs = clock.monotonic() - beganMs
      switch (outcome.kind) {
        case 'too-large': {
          const why = `the request is larger than the ${outcome.bytesMax} bytes that NATS carries`
          throw new TroupeError('too-large', why)
        }
        case 'no-responders':
          if (tookMs >= question.nobodyMs) throw question.nobody()
          break
        case 'timeout':
          if (!isRepeatable || tookMs >= timeoutMs) throw noAnswer(this.url)
      }
      await new Promise<void>((resolve) => clock.after(PAUSE_MS, resolve))
    }
  }

  #request(
    { transport }: NatsLine,
    request: { subject: string; payload: Uint8Array; timeoutMs: number },
  ): Promise<TransportOutcome> {
    const { signal } = this.#options
    return new Promise((resolve, reject) => {
      const stop = () => reject(new Error('interrupted'))
      if (signal.aborted) return stop()
      signal.addEventListener('abort', stop, { once: true })
      transport.request(request, (outcome) => {
        signal.removeEventListener('abort', stop)
        resolve(outcome)
      })
    })
  }

  #open(): Promise<NatsLine> {
    const { nats, cluster, timeoutMs = NOBODY_MS, signal, author } = this.#options
    this.#line ??= openNatsLine({
      ...{ nats, cluster, signal },
      name: `troupe command${author === undefined ? '' : ` of ${author}`}`,
      timeoutMs: Math.max(timeoutMs, SIGN_IN_MS_MIN),
    }).catch((thrown: unknown) => {
      const isNobody = thrown instanceof TroupeError && thrown.code === 'unavailable'
      throw isNobody ? new Unreachable(thrown.message, { cause: thrown }) : thrown
    })
    return this.#line
  }

  #nobody(): Unreachable {
    const { cluster, nats } = this.#options
    const start = `troupe start --nats ${nats.servers.join(',')} --cluster ${cluster}`
    return new Unreachable(
      `no node of the cluster "${cluster}" answers at ${nats.servers.join(', ')}; start one with: ${start}`,
    )
  }
}

/** A change of an actor, which is known again by its id. */
function isCommand({ method, path }: VerbRequest): boolean {
  return method !== 'GET' && path.startsWith('/troupe/v1/actors/')
}

/** @throws TroupeError `forbidden` */
function requireAllowed(line: NatsLine, subject: string): void {
  const refusal = line.refusalOf(subject)
  if (refusal) throw refusal
}

function noAnswer(url: string): TroupeError {
  return new TroupeError('no-answer', `no node at ${url} did answer; look before you send it again`)
}

/** The role that a refusal asks for. */
function roleWanted({ status }: ApiAnswer, body: Uint8Array): Role | undefined {
  if (status !== 403) return undefined
  try {
    const { error } = fromJson(Buffer.from(body).toString()) as { error?: ErrorRecord }
    const { role } = (error?.detail ?? {}) as { role?: unknown }
    return ROLES.find((one) => one === role)
  } catch {
    return undefined
  }
}

async function textOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}
