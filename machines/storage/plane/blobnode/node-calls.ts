/**
 * How a blobnode reaches nodes. Decides: that of several one is asked as long as it answers, and the next
 * when it does not. Leaves to others: what is said (`registration.ts`, the worker).
 */
import { type ErrorRecord, fromJson, TroupeError } from '../../../../src/index.ts'
import { HttpPeers, type PeerAnswer } from './http-peers.ts'

export interface NodeAnswer {
  status: number
  body: unknown
}

/** @throws TroupeError as the node answered, `unavailable` or `no-answer` when none did */
export type NodeCall = (path: string, body: object) => Promise<NodeAnswer>

export interface NodeRequest {
  method: 'GET' | 'POST'
  path: string
  /** JSON. */
  body?: string
  /** Of each node that is tried. */
  timeoutMs?: number
  signal?: AbortSignal
}

/** As it came: a text keeps every digit of an id. */
export interface NodeText {
  status: number
  text: string
}

export interface NodeListOptions {
  /** At least one, such as `http://10.0.0.1:9800`. */
  urls: readonly string[]
  token?: string | undefined
  ca?: string | undefined
}

/** A node answers a heartbeat in milliseconds; one that is busy for longer hears the next one. */
const ANSWER_MS_MAX = 10_000
const ANSWER_BYTES_MAX = 4_194_304

export class NodeList {
  readonly #urls: readonly string[]
  readonly #headers: Readonly<Record<string, string>>
  readonly #peers: HttpPeers
  #at = 0

  constructor({ urls, token, ca }: NodeListOptions) {
    this.#urls = urls
    this.#peers = new HttpPeers({ ca })
    this.#headers = {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    }
  }

  readonly call: NodeCall = async (path, body) => {
    const { status, text } = await this.ask({ method: 'POST', path, body: JSON.stringify(body) })
    const said = fromJson(text)
    const record = (said as { error?: ErrorRecord } | null)?.error
    if (status >= 400 && typeof record?.code === 'string') throw TroupeError.from(record)
    return { status, body: said }
  }

  /** Asks all of them before it says that none answers. A refusal is an answer. @throws TroupeError */
  readonly ask = async (request: NodeRequest): Promise<NodeText> => {
    const failures: string[] = []
    for (let tried = 0; tried < this.#urls.length; tried++) {
      const at = this.#at
      try {
        return await this.#ask(this.#urls[at] ?? '', request)
      } catch (thrown) {
        request.signal?.throwIfAborted()
        const isAway = thrown instanceof TroupeError && thrown.retry
        if (!isAway) throw thrown
        failures.push(thrown.message)
        // Unless another call has found that already.
        if (this.#at === at) this.#at = (at + 1) % this.#urls.length
      }
    }
    throw new TroupeError('unavailable', failures.join('; '))
  }

  close(): void {
    this.#peers.close()
  }

  async #ask(
    url: string,
    { method, path, body, timeoutMs = ANSWER_MS_MAX, signal }: NodeRequest,
  ): Promise<NodeText> {
    const answer = await this.#peers.call(url, {
      ...{ method, path, headers: this.#headers, timeoutMs, signal },
      ...(body === undefined ? {} : { body: [Buffer.from(body)] }),
      answerBytesMax: ANSWER_BYTES_MAX,
    })
    if (isOfNode(answer)) return { status: answer.status, text: answer.body.toString('utf8') }
    const why = `what answers at ${url} is no Troupe node (HTTP ${answer.status})`
    throw new TroupeError('unavailable', why)
  }
}

function isOfNode({ headers, isWhole, status, body }: PeerAnswer): boolean {
  if (!isWhole) return false
  // As the reference has it: done, and nothing to say.
  if (status < 300 && body.length === 0) return true
  return String(headers['content-type'] ?? '').includes('json')
}
