/** A blobnode in this process, over disks in memory, and the ways to call it. */
import { request as httpRequest } from 'node:http'
import {
  Blobnode,
  BlobnodeClient,
  type BlobnodeClientOptions,
  type BlobnodeDeps,
  type BlobnodeOptions,
  type UnitPlace,
} from '../../../../../machines/storage/plane/blobnode/index.ts'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import type { Log } from '../../../../../src/index.ts'
import { MemoryDisk } from './memory-disk.ts'

export const VUID = vuidOf({ vid: 4_294_967_295, index: 3, epoch: 7 })

export interface Logged {
  level: string
  fields: Record<string, unknown>
  message: string
}

export function logInto(lines: Logged[]): Log {
  const at = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, fields: fields as Record<string, unknown>, message })
  const log: Log = {
    ...{ debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    child: () => log,
  }
  return log
}

export interface Rig {
  blobnode: Blobnode
  disk: MemoryDisk
  at: UnitPlace
  logged: Logged[]
  client(options?: BlobnodeClientOptions): BlobnodeClient
  stop(): Promise<void>
}

/** With one disk, 1, and a chunk on it. */
export async function serving(
  options: Partial<BlobnodeOptions> = {},
  deps: Partial<BlobnodeDeps> = {},
): Promise<Rig> {
  const disk = new MemoryDisk()
  await disk.createChunk(VUID, 0)
  const logged: Logged[] = []
  const clients: BlobnodeClient[] = []
  const blobnode = new Blobnode(
    {
      ...{ host: 'b1', rack: 'r1', idc: 'z1', disks: [{ id: 1, path: '/data/1' }] },
      ...{ listen: { host: '127.0.0.1', port: 0 }, chunkBytesMax: 1_000_000, ...options },
    },
    {
      call: async (path, body) => ({ status: 200, body: welcomed(path, body) }),
      openDisk: async ({ onBroken }) => Object.assign(disk, { onBroken }),
      log: logInto(logged),
      ...deps,
    },
  )
  await blobnode.start()
  return {
    ...{ blobnode, disk, logged },
    at: { address: blobnode.address, diskId: 1, vuid: VUID },
    client: (given) => {
      const client = new BlobnodeClient(given)
      clients.push(client)
      return client
    },
    stop: async () => {
      for (const client of clients) client.close()
      await blobnode.stop()
    },
  }
}

/** What a node answers to whom it takes in. */
export function welcomed(path: string, body: object): object {
  if (path === '/storage/disks') return { disk_id: 1, status: 1, readonly: false }
  const { disks } = body as { disks: { disk_id: number; broken: string | null }[] }
  const status = (broken: string | null) => (broken === null ? 1 : 2)
  return { disks: disks.map(({ disk_id, broken }) => ({ disk_id, status: status(broken) })) }
}

export interface Plain {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
}

/** A call as other programs make it. */
export function plain(
  address: string,
  method: string,
  path: string,
  { headers = {}, body }: { headers?: Record<string, string>; body?: string | Buffer } = {},
): Promise<Plain> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(`${address}${path}`, { method, headers }, (incoming) => {
      let text = ''
      incoming.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text }),
      )
      incoming.on('error', reject)
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}
