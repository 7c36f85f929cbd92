/**
 * What has to hold when nothing is disturbed any more: chunks are where volumes say, once each; tasks have ended
 * or say what a person has to look at; figures are the sum of what happened. Decides: how each is seen, from
 * outside. Leaves to others: objects and their bytes.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { FarmBlobnode, ShownDisk, StoreFarm } from '../../plane/proof/store-farm.ts'

export interface ShownTask {
  task_id: string
  task_type: string
  source_vuid_text: string
  state: number
  at: string
  condition: string
  why: string | null
}

export interface ShownJob {
  task_type: string
  disk_id: number
  state: string
  end: string | null
  why: string | null
}

interface ShownVolume {
  vid: number
  units: { vuid: number; disk_id: number }[]
}

const PAGE_COUNT = 1_000
const FINISHED = 4
const FINISHED_IN_ADVANCE = 5

export async function tasksOf(farm: StoreFarm): Promise<ShownTask[]> {
  const tasks: ShownTask[] = []
  let cursor: string | undefined
  do {
    const more = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const page: { tasks: ShownTask[]; cursor?: string } = await farm.ask(
      `/storage/tasks?count=${PAGE_COUNT}${more}`,
    )
    tasks.push(...page.tasks)
    cursor = page.cursor
  } while (cursor !== undefined)
  return tasks
}

export async function jobsOf(farm: StoreFarm): Promise<ShownJob[]> {
  return (await farm.ask<{ jobs: ShownJob[] }>('/storage/disk-jobs')).jobs
}

/** Neither at an end nor parked with a reason. */
export function openTasks(tasks: readonly ShownTask[]): string[] {
  return tasks
    .filter(({ state, at, why }) => {
      const isParked = at.includes('parked') && why !== null && why !== ''
      return state !== FINISHED && state !== FINISHED_IN_ADVANCE && !isParked
    })
    .map(({ task_id, at, why }) => `${task_id} ${at}: ${why}`)
}

/** Chunks that no volume has, that are missing, or that lie on two disks. Empty when all is well. */
export async function chunkFaults(farm: StoreFarm): Promise<string[]> {
  const wanted = new Map<string, string>()
  const { volumes } = await farm.ask<{ volumes: ShownVolume[] }>(
    `/storage/volumes?count=${PAGE_COUNT}`,
  )
  for (const { vid, units } of volumes)
    for (const { vuid, disk_id } of units) wanted.set(`${vuid} on disk ${disk_id}`, `volume ${vid}`)
  const dropped = await droppedDisks(farm)
  const faults: string[] = []
  for (const blobnode of farm.blobnodes)
    for (const diskId of blobnode.diskIds) {
      const left = await chunksLeft(farm, diskId)
      // Its blobnode does not serve it any more once it was started again.
      const chunks = dropped.has(diskId) ? left : await chunksServed(blobnode, diskId)
      if ('refused' in chunks) {
        faults.push(chunks.refused)
        continue
      }
      for (const vuid of chunks.vuids) {
        const place = `${vuid} on disk ${diskId}`
        if (!wanted.delete(place)) faults.push(`${place} is nobody's`)
      }
      const unserved = left.vuids.filter((vuid) => !chunks.vuids.includes(vuid))
      faults.push(
        ...unserved.map((vuid) => `${vuid} on disk ${diskId} is a file that nobody serves`),
      )
    }
  return [...faults, ...[...wanted].map(([place, volume]) => `${place} of ${volume} is missing`)]
}

async function droppedDisks(farm: StoreFarm): Promise<ReadonlySet<number>> {
  const { disks } = await farm.ask<{ disks: ShownDisk[] }>('/storage/disks')
  const dropped = disks.filter(({ standing }) => standing === 'dropped')
  return new Set(dropped.map(({ disk_id }) => disk_id))
}

async function chunksServed(
  { url }: FarmBlobnode,
  diskId: number,
): Promise<{ vuids: string[] } | { refused: string }> {
  const answer = await fetch(`${url}/chunk/list/diskid/${diskId}`)
  if (!answer.ok) return { refused: `disk ${diskId} says ${answer.status} ${await answer.text()}` }
  const { chunks } = (await answer.json()) as { chunks: { vuid: number }[] }
  return { vuids: chunks.map(({ vuid }) => String(vuid)) }
}

async function chunksLeft(farm: StoreFarm, diskId: number): Promise<{ vuids: string[] }> {
  const files = await readdir(join(farm.diskDirectory(diskId), 'chunks'))
  return { vuids: files.map((file) => file.replace(/\.chunk$/, '')) }
}

/** Lines of Prometheus: by type, the moves that came to each end, as the node that leads counts them. */
export async function endsCounted(farm: StoreFarm): Promise<Map<string, number>> {
  for (const { url } of farm.nodes) {
    const text = await (await fetch(`${url}/metrics`)).text()
    const lines = [...text.matchAll(/^storage_moves_ended_total\{([^}]*)\} (\d+)$/gm)]
    if (lines.length === 0) continue
    return new Map(
      lines.flatMap(([, labels = '', count]) => {
        const [, type] = /type="([^"]*)"/.exec(labels) ?? []
        const [, end] = /end="([^"]*)"/.exec(labels) ?? []
        return Number(count) === 0 ? [] : [[`${type} ${end}`, Number(count)] as const]
      }),
    )
  }
  throw new Error('no node counts moves: none leads')
}

/** The same, by the tasks that can still be read. */
export function endsRead(tasks: readonly ShownTask[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { task_type, at, state } of tasks) {
    if (state !== FINISHED && state !== FINISHED_IN_ADVANCE) continue
    const key = `${task_type} ${at}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}
