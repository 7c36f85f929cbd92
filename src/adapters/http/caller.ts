/**
 * Calls of a worker to its node over HTTP. Decides: how "nobody was there" is told from "nobody knows
 * what became of it", that connections are kept, and that a key which is refused is looked up again, so
 * that a key can be changed under a running worker.
 */
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest, Agent as SecureAgent } from 'node:https'
import { type ErrorRecord, fromJson, PACKED_TYPE, TroupeError } from '../../protocol/index.ts'

export interface HttpCallerOptions {
  /** Of the node, such as `http://127.0.0.1:9800`. */
  url: string
  group: string
  worker: string
  /** The key of the group; asked again when the node refuses the last one. */
  key: () => string
}

export interface CallOptions {
  /** How long the node may take; the answer has some more time to travel. */
  timeoutMs: number
  signal?: AbortSignal
}

const TRAVEL_MS = 5_000
/** Nothing has been sent. */
const NOBODY: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
])

export class HttpCaller {
  readonly #url: URL
  readonly #path: string
  readonly #agent: Agent
  readonly #key: () => string
  #lastKey: string | undefined

  /** @throws TroupeError `invalid-config` when the URL is none */
  constructor({ url, group, worker, key }: HttpCallerOptions) {
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      throw new TroupeError('invalid-config', `"${url}" is not a URL such as http://127.0.0.1:9800`)
    }
    this.#url = new URL(url)
    const base = this.#url.pathname.replace(/\/$/, '')
    this.#path = `${base}/troupe/v1/worker/${encodeURIComponent(group)}/${encodeURIComponent(worker)}`
    this.#agent =
      this.#url.protocol === 'https:'
        ? new SecureAgent({ keepAlive: true })
        : new Agent({ keepAlive: true })
    this.#key = key
  }

  /**
   * The body of the answer.
   * @throws TroupeError as the node answered; `unavailable` when nobody was there, `no-answer` when it
   * is not known what became of it
   */
  async call(name: string, body: Uint8Array, options: CallOptions): Promise<Uint8Array> {
    this.#lastKey ??= this.#key()
    const key = this.#lastKey
    try {
      return await this.#call(name, body, key, options)
    } catch (thrown) {
      if (!(thrown instanceof TroupeError) || thrown.code !== 'unauthorized') throw thrown
      const next = this.#key()
      if (next === key) throw thrown
      this.#lastKey = next
      return this.#call(name, body, next, options)
    }
  }

  close(): void {
    this.#agent.destroy()
  }

  async #call(
    name: string,
    body: Uint8Array,
    key: string,
    { timeoutMs, signal }: CallOptions,
  ): Promise<Uint8Array> {
    const target = this.#url
    // Node would say that a header is wrong, which says nothing to whoever made the file.
    if (!/^[\x21-\x7e]+$/.test(key)) {
      throw new TroupeError('unauthorized', 'the key of the group is empty, or no single word')
    }
    const options = {
      method: 'POST',
      hostname: target.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: target.port,
      path: `${this.#path}/${name}`,
      agent: this.#agent,
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': PACKED_TYPE,
        'content-length': String(body.length),
        'x-troupe-timeout-ms': String(Math.max(1, Math.ceil(timeoutMs))),
      },
      timeout: timeoutMs + TRAVEL_MS,
      ...(signal === undefined ? {} : { signal }),
    }
    const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
      const open = target.protocol === 'https:' ? httpsRequest : httpRequest
      const outgoing = open(options, resolve)
      outgoing.on('timeout', () => outgoing.destroy(silence(target)))
      outgoing.on('error', (error) => reject(explained(error, target)))
      outgoing.end(body)
    })
    return readAnswer(incoming, target)
  }
}

async function readAnswer(incoming: IncomingMessage, target: URL): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
  } catch (error) {
    throw explained(error, target)
  }
  const bytes = Buffer.concat(chunks)
  const type = String(incoming.headers['content-type'] ?? '')
  if (incoming.statusCode === 200 && type.startsWith(PACKED_TYPE)) return bytes
  const record = recordOf(bytes)
  if (record !== undefined) throw TroupeError.from(record)
  throw new TroupeError(
    'no-answer',
    `what answers at ${target.origin} is no Troupe node (HTTP ${incoming.statusCode})`,
  )
}

function recordOf(bytes: Buffer): ErrorRecord | undefined {
  try {
    const { error } = fromJson(bytes.toString('utf8')) as { error?: ErrorRecord }
    return typeof error?.code === 'string' ? error : undefined
  } catch {
    return undefined
  }
}

function explained(error: unknown, target: URL): unknown {
  if (error instanceof TroupeError) return error
  const { code, message } = error as NodeJS.ErrnoException
  if (code !== undefined && NOBODY.has(code)) {
    return new TroupeError('unavailable', `no node answers at ${target.origin} (${code})`)
  }
  return new TroupeError('no-answer', `the node at ${target.origin}: ${message}`, { cause: error })
}

function silence(target: URL): TroupeError {
  return new TroupeError('no-answer', `the node at ${target.origin} did not answer in time`)
}
