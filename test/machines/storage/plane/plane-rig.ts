/** A real node with the app `storage`, a gateway, and disks of a blobnode that keeps chunks in memory. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StorageConfig } from '../../../../machines/storage/config.ts'
import { storage } from '../../../../machines/storage/index.ts'
import { parseStorageJson } from '../../../../machines/storage/plane/codes/index.ts'
import type { DiskRecord } from '../../../../machines/storage/plane/disks/index.ts'
import { type Parts, partsOf } from '../../../../machines/storage/plane/parts.ts'
import type { VolumeRecord } from '../../../../machines/storage/plane/volumes/index.ts'
import { createGateway, type Gateway } from '../../../../src/gateway/index.ts'
import { type AppContext, createNode, type TroupeNode } from '../../../../src/index.ts'
import { type Ran, run } from '../../../cli/rig.ts'
import { until } from '../../../waiting.ts'
import { FakeBlobnodes } from './fake-blobnodes.ts'

export interface PlaneRigOptions {
  /** Of `storage.plane`. */
  plane?: Record<string, unknown>
  /** Of `storage.background`. */
  background?: Record<string, unknown>
}

export interface DiskFacts {
  host?: string
  rack?: string
  idc?: string
  path?: string
  free?: number
  chunks?: number
  chunks_max?: number
  uuid?: string
}

/** Of the directory of a disk. */
export function uuidOf(diskId: number): string {
  return `00000000-0000-4000-8000-${String(diskId).padStart(12, '0')}`
}

export const DISK_BYTES = 2 ** 40
const PATIENT = { timeoutMs: 20_000 }

export interface Answered {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: what is in it is what the test is about
  body: any
}

export class PlaneRig {
  readonly directory: string
  readonly blobnodes: FakeBlobnodes
  readonly #options: PlaneRigOptions
  #node: TroupeNode | undefined
  #gateway: Gateway | undefined

  private constructor(directory: string, blobnodes: FakeBlobnodes, options: PlaneRigOptions) {
    this.directory = directory
    this.blobnodes = blobnodes
    this.#options = options
  }

  static async create(options: PlaneRigOptions = {}): Promise<PlaneRig> {
    const directory = await mkdtemp(join(tmpdir(), 'troupe-plane-'))
    const rig = new PlaneRig(directory, await FakeBlobnodes.open(), options)
    await rig.start()
    return rig
  }

  get node(): TroupeNode {
    if (!this.#node) throw new Error('the node is not started')
    return this.#node
  }

  get url(): string {
    return this.#gateway?.url ?? ''
  }

  /** What its rooms share. */
  get parts(): Parts {
    const [running] = this.node.apps
    return partsOf(running?.context as AppContext<StorageConfig>)
  }

  get listenerUrl(): string {
    return this.#gateway?.listeners[0]?.url ?? ''
  }

  /** @param more of `storage.plane` */
  async start(more: Record<string, unknown> = {}): Promise<void> {
    const plane = { blobnodeTimeoutMs: 1_000, disksMs: 0, ...this.#options.plane, ...more }
    this.#node = await createNode({
      dataDirectory: join(this.directory, 'node'),
      apps: [storage],
      config: { storage: { plane, background: this.#options.background ?? {} } },
    })
    const listeners = [{ app: 'storage', port: 0 }]
    this.#gateway = await createGateway({ node: this.#node, port: 0, graceMs: 200, listeners })
  }

  async stop(): Promise<void> {
    await this.#gateway?.close()
    await this.#node?.stop()
  }

  async close(): Promise<void> {
    await this.stop()
    await this.blobnodes.close()
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 })
  }

  async call(method: string, path: string, body?: unknown): Promise<Answered> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      ...(body === undefined
        ? {}
        : {
            body: typeof body === 'string' ? body : JSON.stringify(body),
            headers: { 'content-type': 'application/json' },
          }),
    })
    return { status: response.status, body: parseStorageJson(await response.text()) }
  }

  get(path: string): Promise<Answered> {
    return this.call('GET', path)
  }

  post(path: string, body: unknown = {}): Promise<Answered> {
    return this.call('POST', path, body)
  }

  troupe(...words: string[]): Promise<Ran> {
    return run([...words, '--http', this.url], { apps: [storage] })
  }

  register(diskId: number, facts: DiskFacts = {}): Promise<Answered> {
    const { host = 'h1', rack = 'r1', idc = 'z1', path = `/disk/${diskId}` } = facts
    const { free = DISK_BYTES, chunks = 0, chunks_max = 100, uuid = uuidOf(diskId) } = facts
    const place = { uuid, address: this.blobnodes.address, host, rack, idc, path }
    return this.post('/storage/disks', {
      ...{ disk_id: diskId, ...place, size: DISK_BYTES, free, chunks, chunks_max },
    })
  }

  /** So many disks on each of so many hosts of each AZ: numbered from 1, `z1-h1` and so on. */
  async registerAll({ azs = 3, hosts = 2, disks = 4 } = {}): Promise<number[]> {
    const ids: number[] = []
    for (let az = 1; az <= azs; az++) {
      for (let host = 1; host <= hosts; host++) {
        for (let disk = 1; disk <= disks; disk++) {
          const id = ids.length + 1
          const place = { idc: `z${az}`, rack: `z${az}-r${host}`, host: `z${az}-h${host}` }
          const { status, body } = await this.register(id, place)
          if (status !== 200) throw new Error(`disk ${id}: ${JSON.stringify(body)}`)
          ids.push(id)
        }
      }
    }
    return ids
  }

  beat(
    diskId: number,
    facts: Partial<{
      free: number
      used: number
      chunks: number
      broken: string
      uuid: string
    }> = {},
  ) {
    const { free = DISK_BYTES, used = 0, chunks = 0, broken = null, uuid = uuidOf(diskId) } = facts
    const beat = {
      disk_id: diskId,
      uuid,
      size: DISK_BYTES,
      free,
      used,
      chunks,
      chunks_max: 100,
      broken,
    }
    return this.post('/storage/heartbeat', { disks: [beat] })
  }

  async disk(diskId: number): Promise<DiskRecord> {
    return (await this.node.client.get(`disk/${diskId}`)).context as DiskRecord
  }

  async volume(vid: number): Promise<VolumeRecord> {
    return (await this.node.client.get(`volume/${vid}`)).context as VolumeRecord
  }

  /** A volume that is made, and all its chunks. */
  async made(mode: string): Promise<VolumeRecord> {
    const { status, body } = await this.post('/storage/volumes', { mode })
    if (status !== 202) throw new Error(JSON.stringify(body))
    return this.stands(body.vid, ({ standing }) => standing === 'idle')
  }

  /** Waits until the record of a volume is so. */
  async stands(vid: number, is: (record: VolumeRecord) => boolean): Promise<VolumeRecord> {
    let last: VolumeRecord | undefined
    await until(
      async () => {
        last = await this.volume(vid)
        return is(last)
      },
      PATIENT,
      () => `volume ${vid} to be so; it is ${JSON.stringify(last)}`,
    )
    if (!last) throw new Error('there is no volume')
    return last
  }

  /** What ledgers promise, as `<disk>/<vuid>`, sorted. */
  async ledger(): Promise<string[]> {
    const lines: string[] = []
    for await (const { address } of this.node.client.rows({ filter: { machine: 'disk' } })) {
      const record = (await this.node.client.get(address)).context as DiskRecord
      lines.push(...Object.keys(record.units).map((vuid) => `${record.diskId}/${vuid}`))
    }
    return lines.sort()
  }
}
