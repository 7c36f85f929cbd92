/**
 * How a blobnode reaches nodes. Decides: that of several one is asked as long as it answers, and the next
 * when it does not. Leaves to others: what is said (`registration.ts`).
 */
import { type ErrorRecord, fromJson, TroupeError } from '../../../../src/index.ts'
import { HttpPeers } from './http-peers.ts'

export interface NodeAnswer {
  status: number
  body: unknown
}

/** @throws TroupeError as the node answered, `unavailable` or `no-answer` when none did */
export type NodeCall = (path: string, body: object) => Promise<NodeAnswer>

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

  /** Asks all of them before it says that none answers. */
  readonly call: NodeCall = async (path, body) => {
    const failures: string[] = []
    for (let tried = 0; tried < this.#urls.length; tried++) {
      const url = this.#urls[this.#at] ?? ''
      try {
        return await this.#ask(url, path, body)
      } catch (thrown) {
        const isAway = thrown instanceof TroupeError && thrown.retry
        if (!isAway) throw thrown
        failures.push(thrown.message)
        this.#at = (this.#at + 1) % this.#urls.length
      }
    }
    throw new TroupeError('unavailable', failures.join('; '))
  }

  close(): void {
    this.#peers.close()
  }

  async #ask(url: string, path: string, body: object): Promise<NodeAnswer> {
    const answer = await this.#peers.call(url, {
      ...{ method: 'POST', path, headers: this.#headers },
      body: Buffer.from(JSON.stringify(body)),
      ...{ answerBytesMax: ANSWER_BYTES_MAX, timeoutMs: ANSWER_MS_MAX },
    })
    const type = String(answer.headers['content-type'] ?? '')
    if (!type.includes('json') || !answer.isWhole) {
      const why = `what answers at ${url} is no Troupe node (HTTP ${answer.status})`
      throw new TroupeError('unavailable', why)
    }
    const said = fromJson(answer.body.toString('utf8'))
    const record = (said as { error?: ErrorRecord } | null)?.error
    if (answer.status >= 400 && typeof record?.code === 'string') throw TroupeError.from(record)
    return { status: answer.status, body: said }
  }
}
