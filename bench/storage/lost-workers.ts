/**
 * A chunk is moved by hand through a whole store, and the blobnode whose worker has it is killed as soon as it is
 * leased: when does another worker have it? Decides: that both times are the queue's own: when the lease that
 * was lost was to end, and when the next one was given.
 */
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BlobnodeClient } from '../../machines/storage/plane/blobnode/index.ts'
import { parseStorageJson } from '../../machines/storage/plane/codes/index.ts'
import { fromJson } from '../../src/index.ts'
import { each, pause } from '../measure.ts'
import { freePort, startProcess } from './processes.ts'

const BLOBNODES = 3
const DISKS_EACH = 3
/** Of nine disks three are left to move to. */
const MODE = 'EC3P3'
const CHUNK_BYTES_MAX = 1024 ** 3
const SHARD_BYTES = 1024 ** 2
const SHARDS = 128
const PUTS_AT_ONCE = 8
const PATIENCE_MS = 120_000
const LOOK_MS = 5

export interface LossParams {
  data: string
  rounds: number
  leaseMs: number
}

export interface LossRound {
  leaseMs: number
  /** From the end of the lease that was lost to the next one. */
  lateMs: number
}

export async function storageLostWorkers(params: LossParams): Promise<LossRound[]> {
  const store = await Store.open(params)
  try {
    const rounds: LossRound[] = []
    for (let round = 0; round < params.rounds; round += 1) rounds.push(await store.round())
    return rounds
  } finally {
    await store.close()
  }
}

interface Lease {
  worker: string
  until: number
}

interface ShownVolume {
  vid: number
  status: string
  units: { vuid: bigint | number; disk_id: number; address: string }[]
}

class Store {
  readonly #params: LossParams
  readonly #url: string
  readonly #ports: readonly number[]
  readonly #node: ChildProcess
  readonly #blobnodes: ChildProcess[] = []
  readonly #client = new BlobnodeClient({ timeoutMs: 60_000 })

  private constructor(params: LossParams, port: number, ports: readonly number[]) {
    const { data, leaseMs } = params
    this.#params = params
    this.#url = `http://127.0.0.1:${port}`
    this.#ports = ports
    mkdirSync(data, { recursive: true })
    const file = join(data, 'node.yaml')
    const plane = { chunkBytesMax: CHUNK_BYTES_MAX, heartbeatMs: 1_000, heartbeatLossMs: 20_000 }
    const storage = { plane, background: { lanes: { leaseMs } } }
    const config = { data: join(data, 'node'), http: { port }, log: { level: 'error' } }
    writeFileSync(file, JSON.stringify({ ...config, apps: { storage } }))
    this.#node = startProcess('troupe-main', ['start', '--config', file])
  }

  static async open(params: LossParams): Promise<Store> {
    const [port = 0, ...ports] = await Promise.all(Array.from({ length: BLOBNODES + 1 }, freePort))
    const store = new Store(params, port, ports)
    for (const index of ports.keys()) store.#start(index)
    await store.#allHeard()
    return store
  }

  async round(): Promise<LossRound> {
    const { leaseMs } = this.#params
    const id = await this.#begin()
    const leased = async () => this.#lease(id)
    const first = await this.#until(leased, `${id} to be leased`)
    const index = this.#ports.findIndex((port) => first.worker.includes(`:${port}#`))
    this.#blobnodes[index]?.kill('SIGKILL')
    // It may have been renewed just before.
    let { until } = first
    const second = await this.#until(async () => {
      const lease = await this.#lease(id)
      if (lease?.worker === first.worker) until = lease.until
      return lease?.worker === first.worker ? undefined : lease
    }, `${id} to be leased by another worker`)
    this.#start(index)
    await this.#allHeard()
    return { leaseMs, lateMs: second.until - leaseMs - until }
  }

  async close(): Promise<void> {
    this.#client.close()
    const children = [this.#node, ...this.#blobnodes]
    const ended = children.map((child) => new Promise((resolve) => child.once('exit', resolve)))
    for (const child of children) child.kill('SIGTERM')
    await Promise.all(ended)
  }

  #start(index: number): void {
    const disks = Array.from({ length: DISKS_EACH }, (_, n) => {
      const id = 1 + index * DISKS_EACH + n
      const path = join(this.#params.data, `disk${id}`)
      mkdirSync(path, { recursive: true })
      return ['--disk', `${id}=${path}`]
    })
    this.#blobnodes[index] = startProcess('troupe-main', [
      ...['storage', 'blobnode', '--host', `h${index}`, '--rack', `r${index}`, '--idc', 'z1'],
      ...['--listen', `127.0.0.1:${this.#ports[index]}`, '--log-level', 'error'],
      ...['--nodes', this.#url, '--inspect-slots', '0'],
      ...disks.flat(),
    ])
  }

  /** A new volume with one chunk that has something in it, and the move of that. @returns the task */
  async #begin(): Promise<string> {
    const { vid } = await this.#call<ShownVolume>('POST', '/storage/volumes', { mode: MODE })
    const volume = await this.#until(async () => {
      const shown = await this.#call<ShownVolume>('GET', `/storage/volumes/${vid}`)
      return shown.status === 'idle' ? shown : undefined
    }, `volume ${vid} to be made`)
    const [unit] = volume.units
    if (unit === undefined) throw new Error(`volume ${vid} has no units`)
    const { vuid, disk_id: diskId, address } = unit
    const bytes = randomBytes(SHARD_BYTES)
    const place = { address, diskId, vuid: BigInt(vuid) }
    await each(SHARDS, PUTS_AT_ONCE, (n) => this.#client.putShard(place, BigInt(n + 1), bytes))
    const body = { vuid: Number(vuid), direct_download: true }
    const path = '/manual/migrate/task/add'
    return (await this.#call<{ task_id: string }>('POST', path, body)).task_id
  }

  async #lease(id: string): Promise<Lease | undefined> {
    const response = await fetch(`${this.#url}/troupe/v1/actors/migrate-task/${id}`)
    const view = fromJson(await response.text()) as { context?: { lease?: Lease | null } }
    return view.context?.lease ?? undefined
  }

  async #allHeard(): Promise<void> {
    await this.#until(async () => {
      const { disks } = await this.#call<{ disks: { heard: boolean }[] }>('GET', '/storage/disks')
      const heard = disks.filter((disk) => disk.heard).length
      return heard === BLOBNODES * DISKS_EACH ? true : undefined
    }, 'all disks to be heard')
  }

  async #call<T>(method: 'GET' | 'POST', path: string, body?: object): Promise<T> {
    const headers = { 'content-type': 'application/json' }
    const sent = body === undefined ? {} : { headers, body: JSON.stringify(body) }
    const response = await fetch(`${this.#url}${path}`, { method, ...sent })
    const text = await response.text()
    if (response.ok) return parseStorageJson(text) as T
    throw new Error(`${method} ${path}: ${response.status} ${text}`)
  }

  async #until<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
    const end = performance.now() + PATIENCE_MS
    let failure: unknown
    while (performance.now() < end) {
      const seen = await look().catch((thrown: unknown) => {
        failure = thrown
        return undefined
      })
      if (seen !== undefined) return seen
      await pause(LOOK_MS)
    }
    const last = failure instanceof Error ? `; the last failure: ${failure.message}` : ''
    throw new Error(`waited in vain for ${what}${last}`)
  }
}
