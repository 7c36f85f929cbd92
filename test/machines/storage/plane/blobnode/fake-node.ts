/** What blobnodes register at, as a server. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { refusal, refusalAnswer } from '../../../../../machines/storage/plane/codes/index.ts'

export interface Registered {
  disk_id: number
  address: string
  host: string
  path: string
}

export interface Beat {
  disk_id: number
  chunks: number
  broken: string | null
}

export class FakeNode {
  readonly registered: Registered[] = []
  /** The last of each disk. */
  readonly beats = new Map<number, Beat>()
  /** Disks that it does not take. */
  readonly refused = new Set<number>()
  readonly heartbeatMs = 150
  readonly #server: Server

  static async start(): Promise<FakeNode> {
    const node = new FakeNode()
    await new Promise<void>((resolve) => node.#server.listen(0, '127.0.0.1', resolve))
    return node
  }

  private constructor() {
    this.#server = createServer(async (request, response) => {
      let text = ''
      for await (const piece of request.setEncoding('utf8')) text += piece
      const { status = 200, body } = this.#answer(request.url ?? '', text)
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(typeof body === 'string' ? body : JSON.stringify(body))
    })
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #answer(path: string, text: string): { status?: number; body?: unknown } {
    // It has no tasks.
    if (path.includes('/acquire')) return { status: 700, body: { error: 'nothing to do' } }
    const body: unknown = JSON.parse(text)
    if (path === '/storage/disks') {
      const disk = body as Registered
      if (this.refused.has(disk.disk_id)) {
        return refusalAnswer(refusal(925, `disk ${disk.disk_id} is of host b9`))
      }
      this.registered.push(disk)
      return { body: { disk_id: disk.disk_id, status: 1, heartbeat_ms: this.heartbeatMs } }
    }
    const { disks } = body as { disks: Beat[] }
    for (const beat of disks) this.beats.set(beat.disk_id, beat)
    const rows = disks.map(({ disk_id, broken }) => ({ disk_id, status: broken === null ? 1 : 2 }))
    return { body: { disks: rows } }
  }
}
