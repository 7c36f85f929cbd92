/**
 * Chunks of many disks behind one HTTP listener, in memory: what nodes call on blobnodes, and nothing of
 * shards. It remembers every call, can refuse, can be silent, and can hold calls back.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface FakeChunk {
  status: 'normal' | 'readonly'
  used: number
}

export interface FakeCall {
  verb: string
  diskId: number
  vuid: string
}

/** A number: it is refused with that. `hang`: never answered. `lost`: done, and the answer is lost. */
type Behaviour = number | 'hang' | 'lost'

export class FakeBlobnodes {
  readonly chunks = new Map<string, FakeChunk>()
  readonly calls: FakeCall[] = []
  /** What happens to a call; undefined: it is answered. */
  behaviour: (call: FakeCall) => Behaviour | undefined = () => undefined
  /** Called before a call is done, and waited for. */
  before: (call: FakeCall) => Promise<void> = async () => {}
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  static async open(): Promise<FakeBlobnodes> {
    const fake = new FakeBlobnodes()
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve))
    return fake
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  /** `<disk>/<vuid>` of all chunks, sorted. */
  get list(): string[] {
    return [...this.chunks.keys()].sort()
  }

  on(diskId: number): string[] {
    return this.list.filter((key) => key.startsWith(`${diskId}/`))
  }

  count(verb: string): number {
    return this.calls.filter((call) => call.verb === verb).length
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, , verb = '', , disk = '', , vuid = ''] =
      (request.url ?? '').split('?')[0]?.split('/') ?? []
    const call = { verb, diskId: Number(disk), vuid }
    this.calls.push(call)
    await this.before(call)
    const behaviour = this.behaviour(call)
    if (behaviour === 'hang') return
    const outcome = typeof behaviour === 'number' ? behaviour : this.#do(call)
    if (behaviour === 'lost') {
      response.destroy()
      return
    }
    response.statusCode = typeof outcome === 'number' ? outcome : 200
    response.setHeader('content-type', 'application/json')
    const refusal = { error: `the fake says ${outcome}`, code: 'fake' }
    response.end(typeof outcome === 'number' ? JSON.stringify(refusal) : outcome)
  }

  #do({ verb, diskId, vuid }: FakeCall): number | string {
    const key = `${diskId}/${vuid}`
    const chunk = this.chunks.get(key)
    if (verb === 'create') {
      if (!chunk) this.chunks.set(key, { status: 'normal', used: 0 })
      return '{}'
    }
    if (verb === 'list') {
      const chunks = this.on(diskId).map((name) => {
        const [, text = ''] = name.split('/')
        return statText(text, this.chunks.get(name) ?? { status: 'normal', used: 0 })
      })
      return `{"chunks":[${chunks.join(',')}]}`
    }
    if (!chunk) return 621
    if (verb === 'readonly') chunk.status = 'readonly'
    if (verb === 'readwrite') chunk.status = 'normal'
    if (verb === 'release') {
      if (chunk.status !== 'readonly') return 625
      this.chunks.delete(key)
    }
    return statText(vuid, chunk)
  }
}

function statText(vuid: string, { status, used }: FakeChunk): string {
  const facts = `"status":${status === 'normal' ? 1 : 2},"total":1000000,"used":${used}`
  return `{"vuid":${vuid},${facts},"free":1000000,"shards":0}`
}
