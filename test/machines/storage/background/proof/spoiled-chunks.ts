/**
 * Chunks of a store of real processes that cannot be used any more, although their disks work, in each of the ways
 * in which a blobnode says so; and what has to be true of each once it was made anew. Decides: how they are
 * spoiled, on the disks and behind the back of whoever moves units. Leaves to others: who finds them, and when all
 * has ended (`ends.ts`).
 */
import { copyFileSync, rmSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../../../../waiting.ts'
import type { StoredObject } from '../../plane/proof/objects.ts'
import type { ShownDisk, StoreFarm } from '../../plane/proof/store-farm.ts'
import { tasksOf } from './ends.ts'

/** As its blobnode refuses each, and in which words. */
const REFUSALS = {
  gone: { status: 621, words: 'there is no chunk' },
  released: { status: 623, words: 'is released' },
  foreign: { status: 624, words: 'is the file of chunk' },
  unreadable: { status: 658, words: 'cannot be read' },
} as const
type Way = keyof typeof REFUSALS

/** Of one volume of each mode; a volume lets one move in at a time, and the next one waits for seconds. */
const SPOILED: Readonly<Record<string, { index: number; way: Way }>> = {
  EC6P3: { index: 2, way: 'released' },
  EC12P4: { index: 13, way: 'gone' },
  EC6P3L3: { index: 10, way: 'foreign' },
  Replica3: { index: 1, way: 'unreadable' },
}

/** Of each chunk that was made anew. */
const OBJECTS_READ_MAX = 50
const FINISHED = 4

interface ShownUnit {
  index: number
  epoch: number
  vuid_text: string
  disk_id: number
}

export interface SpoiledUnit extends ShownUnit {
  vid: number
  way: Way
}

/** Nobody may look after chunks meanwhile. @returns those that are spoiled, as their volumes had them */
export async function spoilChunks(
  farm: StoreFarm,
  objects: readonly StoredObject[],
): Promise<SpoiledUnit[]> {
  const spoiled: SpoiledUnit[] = []
  for (const [mode, { index, way }] of Object.entries(SPOILED)) {
    const object = objects.find(({ place }) => place.mode.name === mode)
    if (object === undefined) throw new Error(`there is no object in ${mode}`)
    const vid = vidOf(object)
    const unit = (await unitsOf(farm, vid))[index]
    if (unit === undefined) throw new Error(`volume ${vid} has no unit ${index}`)
    spoiled.push({ ...unit, vid, way })
  }
  const released = spoiled.filter(({ way }) => way === 'released')
  await spoilFiles(
    farm,
    spoiled.filter(({ way }) => way !== 'released'),
  )
  for (const unit of released) await release(farm, unit)
  for (const unit of released) await isRefused(farm, unit)
  return spoiled
}

/** @returns what does not hold of those that were to be made anew */
export async function remadeFaults(
  farm: StoreFarm,
  spoiled: readonly SpoiledUnit[],
  objects: readonly StoredObject[],
): Promise<string[]> {
  const faults = await Promise.all(
    spoiled.map(async (unit) => {
      const now = (await unitsOf(farm, unit.vid))[unit.index]
      if (now === undefined) return [`volume ${unit.vid} has no unit ${unit.index} any more`]
      return [
        ...(await moveFaults(farm, unit, now)),
        ...(await shardFaults(farm, { unit, now, objects })),
        ...(await diskFaults(farm, unit)),
      ].map((fault) => `${unit.way}, unit ${unit.index} of volume ${unit.vid}: ${fault}`)
    }),
  )
  return faults.flat()
}

/** Their blobnodes are dead meanwhile: one that runs would give its disk up as a whole. */
async function spoilFiles(farm: StoreFarm, spoiled: readonly SpoiledUnit[]): Promise<void> {
  const blobnodes = new Set(spoiled.map(({ disk_id }) => farm.blobnodeOf(disk_id)))
  for (const { process } of blobnodes) await process.end('SIGKILL')
  for (const unit of spoiled) {
    const path = fileOf(farm, unit)
    if (unit.way === 'gone') rmSync(path)
    if (unit.way === 'unreadable') truncateSync(path)
    if (unit.way === 'foreign') {
      const [other] = (await unitsOf(farm, unit.vid)).filter(({ index }) => index !== unit.index)
      if (other === undefined) throw new Error(`volume ${unit.vid} has one unit`)
      copyFileSync(fileOf(farm, other), path)
    }
  }
  for (const { process } of blobnodes) process.start()
  for (const unit of spoiled) await isRefused(farm, unit)
  await farm.allUp()
}

async function release(farm: StoreFarm, unit: SpoiledUnit): Promise<void> {
  const { url } = farm.blobnodeOf(unit.disk_id)
  const answer = await fetch(`${url}/chunk/release/${placeOf(unit)}?force=true`, { method: 'POST' })
  if (!answer.ok) throw new Error(`a release: ${answer.status} ${await answer.text()}`)
}

async function isRefused(farm: StoreFarm, unit: SpoiledUnit): Promise<void> {
  const { url } = farm.blobnodeOf(unit.disk_id)
  let last: number | undefined
  await until(
    async () => {
      // As long as its blobnode begins there is no answer.
      const answer = await fetch(`${url}/chunk/stat/${placeOf(unit)}`).catch(() => undefined)
      last = answer?.status
      return last === REFUSALS[unit.way].status
    },
    { timeoutMs: 60_000, every: 100 },
    () => `a chunk that is ${unit.way} to be refused; it is answered with ${last}`,
  )
}

/** There is one move that did it, and it says why it was asked for. */
async function moveFaults(farm: StoreFarm, unit: SpoiledUnit, now: ShownUnit): Promise<string[]> {
  const moves = (await tasksOf(farm)).filter(
    ({ source_vuid_text, task_type }) =>
      source_vuid_text === unit.vuid_text && task_type === 'disk_repair',
  )
  const [move] = moves
  if (move === undefined || moves.length > 1) return [`${moves.length} moves were begun for it`]
  const told = await farm.ask<Record<string, unknown>>(`/storage/tasks/${move.task_id}`)
  const path = `/task/detail/disk_repair/${move.task_id}`
  const { task } = await farm.ask<{ task: Record<string, unknown> }>(path)
  const { words } = REFUSALS[unit.way]
  const wanted = {
    'a move that is finished': move.state === FINISHED && task['state'] === FINISHED,
    'a reason': String(told['reason']).includes(words),
    'no read of the old chunk': told['forbidden_direct_download'] === true,
    'the place of the new chunk': told['destination_vuid_text'] === now.vuid_text,
    'another disk': now.disk_id !== unit.disk_id && told['destination_disk_id'] === now.disk_id,
  }
  return Object.entries(wanted).flatMap(([what, is]) =>
    is ? [] : [`${what} is missing in ${JSON.stringify({ told, now })}`],
  )
}

/** The new chunk gives what belongs there; a blobnode gives no shard that is not what was written. */
async function shardFaults(
  farm: StoreFarm,
  given: { unit: SpoiledUnit; now: ShownUnit; objects: readonly StoredObject[] },
): Promise<string[]> {
  const { unit, now, objects } = given
  const { url } = farm.blobnodeOf(now.disk_id)
  const those = objects.filter((object) => vidOf(object) === unit.vid)
  const faults: string[] = []
  for (const { place } of those.slice(0, OBJECTS_READ_MAX)) {
    const bid = place.slices[0]?.firstBid
    const answer = await fetch(`${url}/shard/get/${placeOf(now)}/bid/${bid}`)
    await answer.arrayBuffer()
    if (!answer.ok) faults.push(`the shard of blob ${bid} is answered with ${answer.status}`)
  }
  return those.length === 0 ? ['no object lies there'] : faults
}

/** It has not been given up for one chunk. */
async function diskFaults(farm: StoreFarm, unit: SpoiledUnit): Promise<string[]> {
  const { standing } = await farm.ask<ShownDisk>(`/storage/disks/${unit.disk_id}`)
  return standing === 'writable' ? [] : [`its old disk is ${standing}`]
}

async function unitsOf(farm: StoreFarm, vid: number): Promise<ShownUnit[]> {
  return (await farm.ask<{ units: ShownUnit[] }>(`/storage/volumes/${vid}`)).units
}

function vidOf({ place: { slices } }: StoredObject): number {
  return slices[0]?.vid ?? 0
}

function placeOf({ disk_id, vuid_text }: ShownUnit): string {
  return `diskid/${disk_id}/vuid/${vuid_text}`
}

function fileOf(farm: StoreFarm, { disk_id, vuid_text }: ShownUnit): string {
  return join(farm.diskDirectory(disk_id), 'chunks', `${vuid_text}.chunk`)
}
