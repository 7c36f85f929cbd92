/**
 * What the verbs `troupe storage volumes` call, and whoever moves units. Decides: the paths, what they take
 * and what they answer. Leaves to others: who may call (the gateway's users), every rule (`volume-rules.ts`).
 */
import { z } from 'zod'
import { type AppRequest, type AppRoute, type Client, TroupeError } from '../../../../src/index.ts'
import {
  codeModeOf,
  refusal,
  storageAnswer,
  storageParsers,
  VID_MAX,
  vuidOf,
  vuidSchema,
} from '../codes/index.ts'
import {
  DISK_ID_MAX,
  type DiskTable,
  type DiskView,
  hostsToLose,
  refusing,
} from '../disks/index.ts'
import { standingAnswer, unitAnswer, volumeAnswer, volumesAnswer } from './answers.ts'
import { troubleOf } from './volume.ts'
import type { VolumeCalls } from './volume-calls.ts'
import type { VolumeMaker } from './volume-maker.ts'
import { type Chunk, fittingsAt, VOLUME_STANDINGS, type VolumeRecord } from './volume-record.ts'
import { freeBytesOf, healthOf, type VolumeViews, viewOf } from './volume-views.ts'

export interface VolumeRoutesDeps {
  client: Client
  table: DiskTable
  views: VolumeViews
  calls: VolumeCalls
  maker: VolumeMaker
}

const COUNT_DEFAULT = 100
const COUNT_MAX = 1_000

const diskId = z.int().min(1).max(DISK_ID_MAX)
const listQuery = z.object({
  mode: z.string().optional(),
  status: z.enum(VOLUME_STANDINGS).optional(),
  count: z
    .string()
    .regex(/^[1-9]\d{0,3}$/)
    .optional(),
  /** From the page before. */
  cursor: z.string().optional(),
})
const creation = z.object({ mode: z.string() })
const unlocking = z.object({ force: z.boolean().default(false) })
const allocation = z.object({
  vuid: vuidSchema,
  excludes: z.array(diskId).max(COUNT_MAX).default([]),
})
const swap = z.object({ new_vuid: vuidSchema, old_vuid: vuidSchema, new_disk_id: diskId })
const giving = z.object({ vuid: vuidSchema, disk_id: diskId })

export function volumeRoutes(deps: VolumeRoutesDeps): AppRoute[] {
  return [...readingRoutes(deps), ...statusRoutes(deps), ...unitRoutes(deps)]
}

function readingRoutes({ client, table, views, maker }: VolumeRoutesDeps): AppRoute[] {
  const path = '/storage/volumes'
  return [
    {
      method: 'GET',
      path,
      summary: 'volumes, by their numbers',
      schemas: { query: listQuery, answer: volumesAnswer },
      handle: refusing(async ({ query }) => {
        const { mode, status, count, cursor } = listQuery.parse(Object.fromEntries(query))
        const where = {
          ...(mode === undefined ? {} : { mode: codeModeOf(mode).name }),
          ...(status === undefined ? {} : { status }),
        }
        const page = await client.list({
          filter: { machine: 'volume', ...(Object.keys(where).length === 0 ? {} : { where }) },
          sort: { by: 'vid' },
          limit: Math.min(COUNT_MAX, Number(count ?? COUNT_DEFAULT)),
          ...(cursor === undefined ? {} : { cursor }),
        })
        const disks = await table.all()
        const vids = page.rows.map(({ index }) => Number(index['vid']))
        const records = await Promise.all(vids.map((vid) => views.record(vid, { fresh: true })))
        const volumes = records.map((record) => shownVolume(record, disks))
        return storageAnswer({ volumes, ...(page.cursor ? { cursor: page.cursor } : {}) })
      }),
    },
    {
      method: 'GET',
      path: `${path}/:vid`,
      summary: 'a volume, with its units',
      schemas: { answer: volumeAnswer },
      handle: refusing(async (request) => {
        const record = await views.record(vidOf(request), { fresh: true })
        return storageAnswer(shownVolume(record, await table.all()))
      }),
    },
    {
      method: 'POST',
      path,
      summary: 'make a volume; nodes make them by themselves when they need one',
      schemas: { body: creation, answer: volumeAnswer, status: 202 },
      handle: refusing(async ({ body }) => {
        const { mode } = body as z.output<typeof creation>
        const vid = await maker.begin(codeModeOf(mode))
        const record = await views.record(vid, { fresh: true })
        return storageAnswer(shownVolume(record, await table.all()), 202)
      }),
    },
  ]
}

function statusRoutes({ calls }: VolumeRoutesDeps): AppRoute[] {
  return [
    {
      method: 'POST',
      path: '/storage/volumes/:vid/lock',
      summary:
        'nobody writes to the volume any more, until it is unlocked; its chunks are set read-only. A lock of who moves a unit of it becomes a lasting one',
      schemas: { answer: standingAnswer },
      handle: refusing(async (request) => {
        const vid = vidOf(request)
        const { standing: status } = await calls.as(request.author).lock(vid)
        return storageAnswer({ vid, status })
      }),
    },
    {
      method: 'POST',
      path: '/storage/volumes/:vid/unlock',
      summary: 'the volume can be written to again, once its chunks can be',
      schemas: { answer: standingAnswer },
      handle: refusing(async (request) => {
        const vid = vidOf(request)
        const { force } = bodyOf(unlocking, request.body ?? {})
        const { standing: status } = await calls.as(request.author).unlock(vid, { force })
        return storageAnswer({ vid, status })
      }),
    },
  ]
}

/** Ids in these bodies have more digits than JSON Schema, and most readers of JSON, know of. */
function unitRoutes({ calls }: VolumeRoutesDeps): AppRoute[] {
  const post = (
    verb: string,
    summary: string,
    ask: (of: VolumeCalls, body: unknown) => Promise<object>,
  ): AppRoute => ({
    method: 'POST',
    path: `/storage/volumes/units/${verb}`,
    summary,
    parsers: storageParsers,
    schemas: { answer: unitAnswer },
    handle: refusing(async ({ author, body }) => storageAnswer(await ask(calls.as(author), body))),
  })
  return [
    post('alloc', 'a chunk on another disk for the place of a unit', async (of, body) => {
      const { vuid, excludes } = bodyOf(allocation, body)
      const fresh = await of.allocUnit(vuid, { excludes })
      return { vuid: fresh.vuid, disk_id: fresh.diskId, address: fresh.address }
    }),
    post('update', 'a new chunk takes the place of a unit', async (of, body) => {
      const { new_vuid: newVuid, old_vuid: oldVuid, new_disk_id: newDiskId } = bodyOf(swap, body)
      await of.updateUnit({ newVuid, oldVuid, newDiskId })
      return { vuid: newVuid, disk_id: newDiskId }
    }),
    post('release', 'a chunk that is no unit any more goes', async (of, body) => {
      const { vuid, disk_id } = bodyOf(giving, body)
      await of.releaseUnit(vuid, disk_id)
      return { vuid, disk_id }
    }),
  ]
}

/** @throws TroupeError `malformed` */
function bodyOf<T>(schema: z.ZodType<T>, body: unknown): T {
  const read = schema.safeParse(body)
  if (read.success) return read.data
  throw new TroupeError('malformed', z.prettifyError(read.error))
}

function vidOf({ params }: AppRequest): number {
  const text = params['vid'] ?? ''
  const vid = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : 0
  if (vid >= 1 && vid <= VID_MAX) return vid
  throw refusal(904, `"${text.slice(0, 32)}" is no volume: a number from 1 to ${VID_MAX}`)
}

/** `vuid_text` for readers that keep no more digits of a number than a double has. */
function shownVolume(record: VolumeRecord, disks: ReadonlyMap<number, DiskView>) {
  const { vid, mode: code_mode, standing: status, holder, chunkBytesMax } = record
  const mode = codeModeOf(code_mode)
  const chunk = ({ index, epoch, diskId }: Chunk) => {
    const vuid = epoch === 0 ? null : vuidOf({ vid, index, epoch })
    return { index, epoch, vuid, vuid_text: vuid?.toString() ?? null, disk_id: diskId }
  }
  const units = record.units.map((unit) => {
    const disk = disks.get(unit.diskId)
    const { host = '', rack = '', idc = '', address = '', isUp: up = false } = disk ?? {}
    return { ...chunk(unit), host, rack, idc, address, up, disk: disk?.standing ?? 'unknown' }
  })
  const fittings = (['wanted', 'chosen', 'ready'] as const).flatMap((step) =>
    fittingsAt(record, step).map((one) => ({ ...chunk(one), step })),
  )
  const placed = units.map(({ index, idc, host }) => ({ index, host: JSON.stringify([idc, host]) }))
  return {
    ...{ vid, mode: mode.name, code_mode, status, health: healthOf(viewOf(record, disks)) },
    hosts_to_lose: units.length === 0 ? null : hostsToLose(mode, placed),
    total: freeBytesOf({ chunkBytesMax, chunkBytesUsed: 0 }, mode),
    ...{ free: freeBytesOf(record, mode), chunk_bytes_max: chunkBytesMax },
    ...{ chunk_bytes_used: record.chunkBytesUsed, holder: holder?.token ?? null },
    ...{ until: holder?.until ?? null, wanted_back: record.isWantedBack, settled: record.isSet },
    ...{ why: troubleOf(record), units, fittings },
    retired: record.retired.map((one) => ({ ...chunk(one), due: one.isDue })),
    created_at: record.createdAt,
  }
}
