/**
 * What blobnodes and their workers need of nodes, over HTTP, with leases that lapse. Decides: that a task is one
 * worker's at a time, by its token, and again anybody's when its lease is over.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { MoveTask } from '../../../../../machines/storage/background/worker/index.ts'
import { parseStorageJson, storageJson } from '../../../../../machines/storage/plane/codes/index.ts'
import { until } from '../../../../waiting.ts'

export interface Lease {
  worker: string
  token: number
  /** By `performance.now()`. */
  takenAt: number
  until: number
}

interface Offered {
  task: MoveTask
  leases: Lease[]
  end: string | undefined
}

interface Told {
  task_id: string
  token: number
  worker: string
  ids?: Record<string, string[]>
  tokens?: Record<string, number>
  disks?: { disk_id: number }[]
  disk_id?: number
}

const LOOK_MS = 20

export class LeasingServer {
  readonly offered = new Map<string, Offered>()
  readonly disks = new Set<number>()
  /** What was said without a lease. */
  readonly refused: string[] = []
  /** A worker has begun to copy, and waits for an answer. */
  onReport: (worker: string) => void = () => {}
  readonly #leaseMs: number
  readonly #server: Server

  static async open(leaseMs: number): Promise<LeasingServer> {
    const server = new LeasingServer(leaseMs)
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve))
    return server
  }

  private constructor(leaseMs: number) {
    this.#leaseMs = leaseMs
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  offer(task: MoveTask): Offered {
    const offered: Offered = { task, leases: [], end: undefined }
    this.offered.set(task.task_id, offered)
    return offered
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = ''
    for await (const piece of request.setEncoding('utf8')) text += piece
    const url = new URL(request.url ?? '', this.url)
    const said =
      url.pathname === '/task/acquire'
        ? await this.#acquired(url.searchParams, response)
        : this.#told(url.pathname, (text === '' ? {} : parseStorageJson(text)) as Told)
    if (response.destroyed) return
    response.writeHead(said.status, { 'content-type': 'application/json' })
    response.end(storageJson(said.body))
  }

  async #acquired(query: URLSearchParams, response: ServerResponse) {
    const waits = { timeoutMs: Number(query.get('wait_ms')), every: LOOK_MS }
    const free = () => [...this.offered.values()].find(isFree)
    await until(() => free() ?? response.destroyed, waits, 'a task').catch(() => undefined)
    const offered = free()
    if (offered === undefined || response.destroyed) return NOTHING
    const now = performance.now()
    const token = offered.leases.length + 1
    const worker = query.get('worker') ?? ''
    offered.leases.push({ worker, token, takenAt: now, until: now + this.#leaseMs })
    return { status: 200, body: { ...offered.task, token, lease_ms: this.#leaseMs } }
  }

  #told(path: string, told: Told): { status: number; body: object } {
    if (path === '/inspect/acquire') return NOTHING
    if (path === '/storage/disks') {
      this.disks.add(told.disk_id ?? 0)
      return { status: 200, body: { disk_id: told.disk_id, status: 1 } }
    }
    if (path === '/storage/heartbeat') {
      const disks = (told.disks ?? []).map(({ disk_id }) => ({ disk_id, status: 1 }))
      return { status: 200, body: { disks } }
    }
    if (path === '/task/renewal') return this.#renewed(told)
    if (path === '/task/report') this.onReport(told.worker)
    const lease = this.#leaseOf(told.task_id, told.token)
    if (lease === undefined) {
      this.refused.push(path)
      return { status: 409, body: { error: 'it is leased to another' } }
    }
    const offered = this.offered.get(told.task_id)
    if (path !== '/task/report' && offered !== undefined) offered.end = path
    return { status: 200, body: {} }
  }

  #renewed({ ids = {}, tokens = {} }: Told): { status: number; body: object } {
    const errors: Record<string, Record<string, string>> = {}
    for (const [type, list] of Object.entries(ids)) {
      for (const id of list) {
        const lease = this.#leaseOf(id, tokens[id] ?? 0)
        if (lease === undefined) this.refused.push('/task/renewal')
        if (lease !== undefined) lease.until = performance.now() + this.#leaseMs
        else errors[type] = { ...errors[type], [id]: 'it is leased to another' }
      }
    }
    return { status: 200, body: { errors } }
  }

  /** Only the last one counts, and only while it lasts. */
  #leaseOf(id: string, token: number): Lease | undefined {
    const lease = this.offered.get(id)?.leases.at(-1)
    return lease?.token === token && lease.until > performance.now() ? lease : undefined
  }
}

const NOTHING = { status: 700, body: { error: 'nothing to do', code: 'NothingTodo' } }

function isFree({ leases, end }: Offered): boolean {
  return end === undefined && (leases.at(-1)?.until ?? 0) <= performance.now()
}
