/**
 * What blobnodes and the verbs `troupe storage disks` call. Decides: the paths, what they take and what
 * they answer. Leaves to others: who may call (the gateway's users), every rule (`disk-rules.ts`).
 */
import { z } from 'zod'
import type { AppRequest, AppResponse, AppRoute } from '../../../../src/index.ts'
import { refusal, refusalAnswer, StorageRefusal, storageAnswer, vuidParts } from '../codes/index.ts'
import type { PlaneConfig } from '../config.ts'
import {
  diskAnswer,
  disksAnswer,
  diskUnitsAnswer,
  heartbeatAnswer,
  registeredAnswer,
  standingAnswer,
} from './answers.ts'
import {
  DISK_ID_MAX,
  type DiskRecord,
  diskPlace,
  isReadonly,
  statusOf,
  unitPlaces,
  unitsAllowed,
} from './disk-record.ts'
import type { DiskTable, DiskView } from './disk-table.ts'
import type { Disks } from './disks.ts'
import type { Heartbeats } from './heartbeats.ts'

export interface DiskRoutesDeps {
  config: PlaneConfig
  node: string
  disks: Disks
  table: DiskTable
  heartbeats: Heartbeats
}

/** Disks of one blobnode. */
const DISKS_PER_HEARTBEAT_MAX = 1_000

const diskId = z.int().min(1).max(DISK_ID_MAX)
const bytes = z.int().min(0)
const usage = {
  size: bytes,
  free: bytes,
  used: bytes.default(0),
  chunks: z.int().min(0).default(0),
  chunks_max: z.int().min(0),
}
const registration = diskPlace.extend({ disk_id: diskId, ...usage })
const beats = z.object({
  disks: z
    .array(
      z.object({
        disk_id: diskId,
        uuid: z.uuid(),
        ...usage,
        broken: z.string().max(1_000).nullable(),
      }),
    )
    .max(DISKS_PER_HEARTBEAT_MAX),
})
const statusBody = z.object({ status: z.int() })
const readonlyBody = z.object({ readonly: z.boolean() })
const listQuery = z.object({
  idc: z.string().optional(),
  rack: z.string().optional(),
  host: z.string().optional(),
  /** As `broken`, `dropping`, … */
  standing: z.string().optional(),
})

export function diskRoutes(deps: DiskRoutesDeps): AppRoute[] {
  return [...blobnodeRoutes(deps), ...readingRoutes(deps), ...statusRoutes(deps)]
}

function blobnodeRoutes({ config, node, disks, table, heartbeats }: DiskRoutesDeps): AppRoute[] {
  return [
    {
      method: 'POST',
      path: '/storage/disks',
      summary: 'register a disk of a blobnode, or register it again',
      schemas: { body: registration, answer: registeredAnswer },
      handle: refusing(async ({ body, author }) => {
        const { disk_id, size, free, used, chunks, chunks_max, ...place } = body as z.output<
          typeof registration
        >
        const facts = usageOf({ size, free, used, chunks, chunks_max })
        const hearing = { via: node, quietMs: heartbeats.quietMs }
        const unitsMax = config.unitsPerDiskMax
        const input = { diskId: disk_id, unitsMax, ...place, ...facts, ...hearing }
        const status = await disks.as(author).register(input)
        heartbeats.registered(disk_id, facts)
        table.forget()
        const { heartbeatMs: heartbeat_ms, chunkBytesMax: chunk_bytes_max } = config
        return storageAnswer({ disk_id, ...status, heartbeat_ms, chunk_bytes_max })
      }),
    },
    {
      method: 'POST',
      path: '/storage/heartbeat',
      summary: 'how disks stand; answers what the node makes of them',
      isFrequent: true,
      bodyBytesMax: 4 * 1024 * 1024,
      schemas: { body: beats, answer: heartbeatAnswer },
      handle: async ({ body }) => {
        const heard = (body as z.output<typeof beats>).disks.map(async (beat) => {
          const { disk_id, uuid, broken } = beat
          try {
            const status = await heartbeats.hear({
              diskId: disk_id,
              uuid,
              broken,
              ...usageOf(beat),
            })
            return { disk_id, ...status }
          } catch (thrown) {
            // One that has to register again keeps none of the others back.
            if (!(thrown instanceof StorageRefusal)) throw thrown
            const { status: refused, message: error } = thrown
            return { disk_id, status: 0, readonly: true, refused, error }
          }
        })
        return storageAnswer({ disks: await Promise.all(heard) })
      },
    },
  ]
}

function readingRoutes({ disks, table }: DiskRoutesDeps): AppRoute[] {
  return [
    {
      method: 'GET',
      path: '/storage/disks',
      summary: 'all disks',
      schemas: { query: listQuery, answer: disksAnswer },
      handle: async ({ query }) => {
        const wanted = ['idc', 'rack', 'host', 'standing'] as const
        const isWanted = (disk: DiskView) =>
          wanted.every((field) => [null, disk[field]].includes(query.get(field)))
        const all = [...(await table.all({ fresh: true })).values()].filter(isWanted)
        const sorted = all.sort((a, b) => a.diskId - b.diskId)
        return storageAnswer({ disks: sorted.map(shownDisk) })
      },
    },
    {
      method: 'GET',
      path: '/storage/disks/:id',
      summary: 'a disk',
      schemas: { answer: diskAnswer },
      handle: refusing(async (request) =>
        storageAnswer(shownRecord(await disks.record(idOf(request)))),
      ),
    },
    {
      method: 'GET',
      path: '/storage/disks/:id/units',
      summary: 'the units that a disk holds, or has promised room to',
      schemas: { answer: diskUnitsAnswer },
      handle: refusing(async (request) => {
        const id = idOf(request)
        return storageAnswer({ disk_id: id, units: unitsOf(await disks.record(id)) })
      }),
    },
  ]
}

function statusRoutes({ disks, table }: DiskRoutesDeps): AppRoute[] {
  const post = (
    verb: string,
    summary: string,
    ask: (of: Disks, id: number, body: unknown) => Promise<object>,
    body?: z.ZodType,
  ): AppRoute => ({
    method: 'POST',
    path: `/storage/disks/:id/${verb}`,
    summary,
    schemas: { ...(body === undefined ? {} : { body }), answer: standingAnswer },
    handle: refusing(async (request) => {
      const id = idOf(request)
      const status = await ask(disks.as(request.author), id, request.body)
      table.forget()
      return storageAnswer({ disk_id: id, ...status })
    }),
  })
  return [
    post(
      'set',
      'the next status of a disk: 2 broken, 3 repairing, 4 repaired',
      (of, id, body) => of.set(id, (body as z.output<typeof statusBody>).status),
      statusBody,
    ),
    post(
      'readonly',
      'whether a disk takes new chunks',
      (of, id, body) => of.setReadonly(id, (body as z.output<typeof readonlyBody>).readonly),
      readonlyBody,
    ),
    post('drop', 'put a disk that is read-only on the list of those that are emptied', (of, id) =>
      of.drop(id),
    ),
    post('dropped', 'a disk that is empty is dropped for good', (of, id) => of.dropped(id)),
  ]
}

/** A refusal of the store is an answer. */
export function refusing(
  handle: (request: AppRequest) => Promise<AppResponse>,
): (request: AppRequest) => Promise<AppResponse> {
  return (request) => handle(request).catch(refusalAnswer)
}

function idOf({ params }: AppRequest): number {
  return diskIdOf(params['id'] ?? '')
}

/** @throws StorageRefusal 614 */
export function diskIdOf(text: string): number {
  const id = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : 0
  if (id >= 1 && id <= DISK_ID_MAX) return id
  throw refusal(614, `"${text.slice(0, 32)}" is no disk id: a number from 1 to ${DISK_ID_MAX}`)
}

interface UsageBody {
  size: number
  free: number
  used: number
  chunks: number
  chunks_max: number
}

function usageOf({ size, free, used, chunks, chunks_max }: UsageBody) {
  return { sizeBytes: size, freeBytes: free, usedBytes: used, chunks, chunksMax: chunks_max }
}

function shownDisk(disk: DiskView) {
  const { diskId: disk_id, uuid, address, host, rack, idc, path, standing, status, isHeard } = disk
  return {
    ...{ disk_id, uuid, address, host, rack, idc, path, status, standing },
    ...{ readonly: isReadonly(standing), heard: isHeard, size: disk.sizeBytes },
    ...{ free: disk.freeBytes, used: disk.usedBytes, units: disk.units, chunks: disk.chunks },
    ...{ chunks_max: disk.chunksMax, why: disk.why, via: disk.via },
    ...{ created_at: disk.createdAt, updated_at: disk.updatedAt },
  }
}

function shownRecord(record: DiskRecord) {
  const { diskId: disk_id, uuid, address, host, rack, idc, path, standing, isHeard } = record
  return {
    ...{ disk_id, uuid, address, host, rack, idc, path, status: statusOf(standing), standing },
    ...{ readonly: isReadonly(standing), heard: isHeard, heard_at: record.heardAt },
    ...{ size: record.sizeBytes, free: record.freeBytes, used: record.usedBytes },
    ...{ units: Object.keys(record.units).length, chunks: record.chunks },
    ...{ chunks_max: unitPlaces(record), units_allowed: unitsAllowed(record) },
    ...{ why: record.why, via: record.via, created_at: record.createdAt },
  }
}

/** `vuid_text` for readers that keep no more digits of a number than a double has. */
export function unitsOf({ units }: Pick<DiskRecord, 'units'>) {
  return Object.entries(units)
    .map(([text, { bytesMax, at }]) => {
      const vuid = BigInt(text)
      return { vuid, vuid_text: text, ...vuidParts(vuid), bytes_max: bytesMax, since: at }
    })
    .sort((a, b) => a.vid - b.vid || a.index - b.index || a.epoch - b.epoch)
}
