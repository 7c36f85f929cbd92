/**
 * What blobnodes and their workers need of a node, and no more: it takes in disks, hands out the tasks that it
 * is given, and hears of their ends. So what is measured is what workers and blobnodes do. Decides: nothing.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseStorageJson, storageJson } from '../../machines/storage/plane/codes/index.ts'

export interface WireUnit {
  vuid: bigint
  host: string
  disk_id: number
}

export interface ScriptedTask {
  task_id: string
  task_type: 'manual_migrate' | 'disk_repair'
  source_vuid: bigint
  source_disk_id: number
  sources: WireUnit[]
  destination: WireUnit
  code_mode: number
}

type Body = Record<string, never> & {
  task_id?: string
  reason?: string
  disks?: { disk_id: number }[]
}

export class ScriptedScheduler {
  readonly disks = new Set<number>()
  readonly #server: Server
  readonly #tasks: ScriptedTask[] = []
  readonly #waiting: ((task: ScriptedTask | undefined) => void)[] = []
  readonly #ends = new Map<string, (why: string | undefined) => void>()

  static async open(): Promise<ScriptedScheduler> {
    const scheduler = new ScriptedScheduler()
    await new Promise<void>((resolve) => scheduler.#server.listen(0, '127.0.0.1', resolve))
    return scheduler
  }

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  /** Resolves when a worker has completed it. */
  run(task: ScriptedTask): Promise<void> {
    const ended = new Promise<void>((resolve, reject) => {
      this.#ends.set(task.task_id, (why) =>
        why === undefined ? resolve() : reject(new Error(`${task.task_id}: ${why}`)),
      )
    })
    const waiting = this.#waiting.shift()
    if (waiting) waiting(task)
    else this.#tasks.push(task)
    return ended
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = ''
    for await (const piece of request.setEncoding('utf8')) text += piece
    const path = (request.url ?? '').split('?')[0] ?? ''
    const body = (text === '' ? {} : parseStorageJson(text)) as Body
    const answer = path === '/task/acquire' ? await this.#acquired() : this.#said(path, body)
    const status = answer === undefined ? 700 : 200
    const said = answer ?? { error: 'nothing to do', code: 'NothingTodo' }
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(storageJson(said))
  }

  async #acquired(): Promise<object | undefined> {
    const task = this.#tasks.shift() ?? (await this.#next())
    if (task === undefined) return undefined
    return {
      ...task,
      ...{ source_idc: 'z1', forbidden_direct_download: false, state: 2 },
      ...{ token: 1, lease_ms: 10_000 },
    }
  }

  #next(): Promise<ScriptedTask | undefined> {
    return new Promise((resolve) => {
      const late = setTimeout(() => give(undefined), 5_000)
      const give = (task: ScriptedTask | undefined) => {
        clearTimeout(late)
        const at = this.#waiting.indexOf(give)
        if (at >= 0) this.#waiting.splice(at, 1)
        resolve(task)
      }
      this.#waiting.push(give)
    })
  }

  #said(path: string, body: Body): object | undefined {
    const { task_id = '', reason = '', disks = [] } = body
    if (path === '/storage/disks') {
      const { disk_id } = body as unknown as { disk_id: number }
      this.disks.add(disk_id)
      return { disk_id, status: 1 }
    }
    if (path === '/storage/heartbeat') {
      return { disks: disks.map(({ disk_id }) => ({ disk_id, status: 1 })) }
    }
    if (path === '/task/complete') this.#ends.get(task_id)?.(undefined)
    if (path === '/task/cancel' || path === '/task/reclaim') this.#ends.get(task_id)?.(reason)
    return path === '/inspect/acquire' ? undefined : {}
  }
}
