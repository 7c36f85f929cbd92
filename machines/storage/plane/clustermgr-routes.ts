/**
 * What schedulers and tools of the old store read of its cluster manager: `/volume/get` and others, at
 * listeners of this app only. Decides: its field names and numbers (reference sheet, section 4). Leaves to
 * others: all that changes anything, which has paths of its own.
 */
import { z } from 'zod'
import type { AppRequest, AppRoute } from '../../../src/index.ts'
import {
  codeModeOf,
  numberedAnswer,
  refusal,
  storageAnswer,
  VID_MAX,
  vuidOf,
  vuidParts,
} from './codes/index.ts'
import { type Disks, type DiskTable, type DiskView, diskIdOf, isReadonly } from './disks/index.ts'
import type { VolumeRecord, VolumeViews } from './volumes/index.ts'
import { healthOf, isRefused, viewOf } from './volumes/index.ts'

export interface ClustermgrDeps {
  disks: Disks
  table: DiskTable
  views: VolumeViews
}

/** Pages are at most that long, and as long where nothing is said. */
const COUNT_MAX = 1_000
const COUNT_DEFAULT = 10
/** Numbers of volumes that are looked at for one page: those that are not there cost a look, too. */
const LOOKS_MAX = 10_000

/** By its numbers a volume that is still being made is none. */
const STATUSES = { creating: 0, idle: 1, active: 2, lock: 3, unlocking: 4 } as const

const whole = z
  .string()
  .regex(/^\d{1,10}$/)
  .transform(Number)

export function clustermgrRoutes(deps: ClustermgrDeps): AppRoute[] {
  const { disks, table, views } = deps
  const get = (
    path: string,
    summary: string,
    answer: (request: AppRequest) => Promise<unknown>,
  ): AppRoute => ({
    ...{ method: 'GET', path, summary, listenerOnly: true, isFrequent: true },
    handle: (request) =>
      answer(request)
        .then((value) => storageAnswer(value))
        .catch(numberedAnswer),
  })
  return [
    get('/volume/get', 'a volume, as the old cluster manager tells of it', async ({ query }) => {
      const record = await views.record(numberOf(query, 'vid', 904), { fresh: true })
      if (record.standing !== 'creating') return volumeOf(record, await table.all())
      throw refusal(904, `volume ${record.vid} is still being made`)
    }),
    get('/volume/list', 'volumes behind a marker', async ({ query }) => {
      const records = await volumesBehind(views, query)
      const all = await table.all()
      const marker = records.at(-1)?.vid ?? 0
      return { volumes: records.map((record) => volumeOf(record, all)), marker }
    }),
    get('/disk/list', 'disks behind a marker', async ({ query }) => {
      const all = [...(await table.all()).values()].sort((a, b) => a.diskId - b.diskId)
      const marker = numberOf(query, 'marker', 912, 0)
      const isWanted = (disk: DiskView) =>
        disk.diskId > marker &&
        (['idc', 'rack', 'host'] as const).every((field) =>
          [null, '', disk[field]].includes(query.get(field)),
        ) &&
        [0, disk.status].includes(numberOf(query, 'status', 912, 0))
      const page = all.filter(isWanted).slice(0, countOf(query))
      return { disks: page.map(diskOf), marker: page.at(-1)?.diskId ?? 0 }
    }),
    get('/disk/info', 'a disk', async ({ query }) => {
      const id = diskIdOf(query.get('disk_id') ?? '')
      const disk = (await table.all()).get(id)
      if (disk) return diskOf(disk)
      throw refusal(911, `there is no disk ${id}`)
    }),
    get('/disk/droppinglist', 'the disks that are being emptied', async () => {
      const all = [...(await table.all()).values()]
      return { disks: all.filter(({ standing }) => standing === 'dropping').map(diskOf) }
    }),
    get('/volume/unit/list', 'the units on a disk', async ({ query }) => {
      const record = await disks.record(diskIdOf(query.get('disk_id') ?? ''))
      const units = Object.entries(record.units).map(async ([text, { bytesMax: total }]) => {
        const vuid = BigInt(text)
        const used = Math.min(total, await bytesUsed(views, vuidParts(vuid).vid))
        const room = { total, free: total - used, used }
        return { vuid, disk_id: record.diskId, ...room, compact: false, host: record.address }
      })
      return { volume_unit_infos: await Promise.all(units) }
    }),
  ]
}

/** @throws StorageRefusal as given */
function numberOf(query: URLSearchParams, name: string, status: number, absent?: number): number {
  const text = query.get(name)
  if (text === null && absent !== undefined) return absent
  const read = whole.safeParse(text)
  if (read.success) return read.data
  throw refusal(status, `${name}: "${String(text).slice(0, 32)}" is no whole number`)
}

function countOf(query: URLSearchParams): number {
  return Math.min(COUNT_MAX, Math.max(1, numberOf(query, 'count', 912, COUNT_DEFAULT)))
}

/** Numbers are given in order: who asks for the next ones is told of those that are there. */
async function volumesBehind(views: VolumeViews, query: URLSearchParams): Promise<VolumeRecord[]> {
  const records: VolumeRecord[] = []
  const count = countOf(query)
  const last = Math.min(VID_MAX, await views.lastVid())
  let vid = numberOf(query, 'marker', 904, 0)
  for (let looked = 0; vid < last && records.length < count && looked < LOOKS_MAX; looked++) {
    vid += 1
    const record = await views.record(vid, { fresh: true }).catch((thrown: unknown) => {
      if (isRefused(thrown, 904)) return undefined
      throw thrown
    })
    if (record !== undefined && record.standing !== 'creating') records.push(record)
  }
  return records
}

/** Of each chunk of a volume, as its writer knows; of one that is not there, nothing. */
async function bytesUsed(views: VolumeViews, vid: number): Promise<number> {
  try {
    return (await views.record(vid)).chunkBytesUsed
  } catch (thrown) {
    if (isRefused(thrown, 904)) return 0
    throw thrown
  }
}

function volumeOf(record: VolumeRecord, disks: ReadonlyMap<number, DiskView>) {
  const { vid, mode, standing, chunkBytesMax, chunkBytesUsed, units } = record
  const view = viewOf(record, disks)
  const total = chunkBytesMax * codeModeOf(mode).data
  return {
    units: units.map(({ index, epoch, diskId }) => ({
      ...{ vuid: vuidOf({ vid, index, epoch }), disk_id: diskId },
      host: disks.get(diskId)?.address ?? '',
    })),
    ...{ vid, code_mode: mode, status: STATUSES[standing], health_score: healthOf(view) },
    ...{ total, free: view.freeBytes, used: chunkBytesUsed * codeModeOf(mode).data },
    ...{ create_by_node_id: 0, epoch: 0 },
  }
}

function diskOf(disk: DiskView) {
  const { diskId: disk_id, idc, rack, address, path, status, standing, chunksMax } = disk
  const at = (ms: number) => new Date(ms).toISOString()
  return {
    ...{ cluster_id: 1, idc, rack, host: address, path, status, disk_id },
    ...{ readonly: isReadonly(standing) },
    ...{ create_time: at(disk.createdAt), last_update_time: at(disk.updatedAt) },
    ...{ disk_set_id: 0, node_id: 0, used: disk.usedBytes, free: disk.freeBytes },
    ...{ size: disk.sizeBytes, max_chunk_cnt: chunksMax, used_chunk_cnt: disk.units },
    ...{ free_chunk_cnt: Math.max(0, chunksMax - disk.units), oversold_free_chunk_cnt: 0 },
  }
}
