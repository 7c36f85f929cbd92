/** A reader of server-sent events that can stop reading, break off and come back. */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { fromJson } from '../../src/protocol/index.ts'
import { until } from '../waiting.ts'

const WAIT = { timeoutMs: 20_000 }

export interface Received {
  event: string
  id: string | undefined
  // biome-ignore lint/suspicious/noExplicitAny: tests look into events of every shape
  data: any
}

export class EventSource {
  readonly events: Received[] = []
  /** The last id that came, with or without an event. */
  lastId: string | undefined
  heartbeats = 0
  isEnded = false
  status = 0
  headers: IncomingMessage['headers'] = {}
  #text = ''
  #incoming: IncomingMessage | undefined
  readonly #request: ReturnType<typeof httpRequest>

  constructor(base: string, path: string, headers: Record<string, string> = {}) {
    this.#request = httpRequest(
      `${base}/troupe/v1${path}`,
      { headers, agent: false },
      (incoming) => {
        this.#incoming = incoming
        this.status = incoming.statusCode ?? 0
        this.headers = incoming.headers
        incoming.setEncoding('utf8')
        incoming.on('data', (chunk: string) => this.#take(chunk))
        incoming.on('close', () => {
          this.isEnded = true
        })
        incoming.on('error', () => {})
      },
    )
    this.#request.on('error', () => {
      this.isEnded = true
    })
    this.#request.end()
  }

  get names(): string[] {
    return this.events.map(({ event }) => event)
  }

  /** Waits for so many events. */
  async until(count: number): Promise<Received[]> {
    const seen = () => `${count} events; there are: ${this.names.join(' ')}`
    await until(() => this.events.length >= count, WAIT, seen)
    return this.events
  }

  async untilEnd(): Promise<void> {
    await until(() => this.isEnded, WAIT, 'the end of the stream')
  }

  pause(): void {
    this.#incoming?.pause()
  }

  close(): void {
    this.#request.destroy()
  }

  #take(chunk: string): void {
    this.#text += chunk
    const blocks = this.#text.split('\n\n')
    this.#text = blocks.pop() ?? ''
    for (const block of blocks) this.#block(block)
  }

  #block(block: string): void {
    const fields = new Map<string, string>()
    for (const line of block.split('\n')) {
      const at = line.indexOf(':')
      if (at === 0) this.heartbeats += 1
      else fields.set(line.slice(0, at), line.slice(at + 1).replace(/^ /, ''))
    }
    const id = fields.get('id')
    if (id !== undefined) this.lastId = id
    const data = fields.get('data')
    if (data === undefined) return
    this.events.push({ event: fields.get('event') ?? 'message', id, data: fromJson(data) })
  }
}
