/**
 * What nodes of a cluster ask each other beside their shards. Decides: that a question is a word and what
 * belongs to it, that who runs under a name is answered by every node, and that silence is no answer:
 * whoever asks says what it means.
 */
import { hostname } from 'node:os'
import type { Log, Subscription, Transport, TransportOutcome } from '../ports/index.ts'
import { pack, type Subjects, toErrorRecord, unpack } from '../protocol/index.ts'

export interface PeersDeps {
  name: string
  transport: Transport
  subjects: Subjects
  log: Log
}

export interface ProcessPlace {
  pid: number
  host: string
}

/** Whatever it returns can be packed. What it throws is logged, and nobody is answered. */
export type PeerAnswer = (...told: unknown[]) => unknown

export type PeerOutcome =
  | { kind: 'answer'; answer: unknown[] }
  | { kind: 'silence' }
  | Extract<TransportOutcome, { kind: 'too-large' }>

const ASK_MS = 2_000

export class Peers {
  readonly #deps: PeersDeps
  readonly #answers = new Map<string, PeerAnswer>([['who', () => [process.pid, hostname()]]])

  constructor(deps: PeersDeps) {
    this.#deps = deps
  }

  get name(): string {
    return this.#deps.name
  }

  /** From now on, whoever asks for this node's name is answered. */
  listen(): Subscription {
    const { transport, subjects, name } = this.#deps
    return transport.subscribe(subjects.node(name), {}, ({ payload, reply }) => {
      if (reply) void this.#answer(payload, reply)
    })
  }

  /** How this node answers that question. */
  on(question: string, answer: PeerAnswer): void {
    this.#answers.set(question, answer)
  }

  /** Undefined when nobody answers. */
  async ask(node: string, question: string, ...told: unknown[]): Promise<unknown> {
    const outcome = await this.inquire(node, question, ...told)
    return outcome.kind === 'answer' ? outcome.answer : undefined
  }

  /** The same for whom it matters that an answer could not be sent. */
  async inquire(node: string, question: string, ...told: unknown[]): Promise<PeerOutcome> {
    const { transport, subjects } = this.#deps
    const payload = pack([question, ...told])
    const request = { subject: subjects.node(node), payload, timeoutMs: ASK_MS }
    const outcome = await new Promise<TransportOutcome>((resolve) =>
      transport.request(request, resolve),
    )
    if (outcome.kind === 'too-large') return outcome
    const answer = outcome.kind === 'reply' ? read(outcome.payload) : undefined
    return answer === undefined ? { kind: 'silence' } : { kind: 'answer', answer }
  }

  /** Who runs under this node's own name; undefined when nobody answers. */
  async who(): Promise<ProcessPlace | undefined> {
    const answer = await this.ask(this.name, 'who')
    const [pid, host] = Array.isArray(answer) ? (answer as unknown[]) : []
    return typeof pid === 'number' && typeof host === 'string' ? { pid, host } : undefined
  }

  async #answer(payload: Uint8Array, reply: (payload: Uint8Array) => void): Promise<void> {
    const { log } = this.#deps
    const [question, ...told] = (read(payload) ?? []) as unknown[]
    const answer = this.#answers.get(String(question))
    // A node of another version asks what this one does not know.
    if (!answer) return log.warn({ question }, 'a question of another node is not known here')
    try {
      reply(pack(await answer(...told)))
    } catch (thrown) {
      const error = toErrorRecord(thrown)
      log.error({ question, error }, 'a question of another node could not be answered')
    }
  }
}

/** Undefined for what is no list. */
function read(payload: Uint8Array): unknown[] | undefined {
  try {
    const value = unpack(payload)
    return Array.isArray(value) ? (value as unknown[]) : undefined
  } catch {
    return undefined
  }
}
