/**
 * Damage on disk: a flipped byte in a shard. Decides: how many shards of an object may be hurt so that it
 * can still be read. It looks into the chunk file as nobody but its blobnode should, and flips nothing where
 * it does not find the very bytes that the blobnode gives.
 */
import { type FileHandle, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type CodeMode,
  parseStorageJson,
  readsNeeded,
  unitCount,
} from '../../../../../machines/storage/plane/codes/index.ts'
import type { StoredObject } from './objects.ts'
import type { StoreFarm } from './store-farm.ts'

interface ShownUnit {
  index: number
  disk_id: number
  vuid: number | bigint
}

/** What may be lost beside what a put that was acknowledged at its quorum may lack. */
export function hurtMax(mode: CodeMode): number {
  if (mode.kind === 'replica') return mode.putQuorum - 1
  return mode.putQuorum - mode.data
}

/** From the first unit on, so that the bytes of small objects are hit, too. */
export function unitsToLose(mode: CodeMode): number[] {
  const left = mode.kind === 'replica' ? 0 : readsNeeded(mode) - 1
  return Array.from({ length: unitCount(mode) - left }, (_, index) => index)
}

/** @returns whether a byte was flipped; not where the unit has no such shard, or cannot be asked */
export async function hurt(farm: StoreFarm, object: StoredObject, index: number): Promise<boolean> {
  const [slice] = object.place.slices
  if (slice === undefined) return false
  const { units } = (await shown(`${farm.url}/storage/volumes/${slice.vid}`)) as {
    units: ShownUnit[]
  }
  const unit = units.find((one) => one.index === index)
  if (unit === undefined) return false
  const { url } = farm.blobnodeOf(unit.disk_id)
  const place = `diskid/${unit.disk_id}/vuid/${unit.vuid}/bid/${slice.firstBid}`
  const bytes = await fetched(`${url}/shard/get/${place}`).catch(() => undefined)
  const stat = await shown(`${url}/shard/stat/${place}`).catch(() => undefined)
  if (bytes === undefined || stat === undefined) return false
  const { offset } = stat as { offset: number }
  const isHurt = await flip(farm.diskDirectory(unit.disk_id), String(unit.vuid), offset, bytes)
  if (isHurt) object.hurt.add(index)
  return isHurt
}

async function flip(
  directory: string,
  vuid: string,
  offset: number,
  bytes: Buffer,
): Promise<boolean> {
  for (const path of await chunkFiles(directory, vuid)) {
    const file = await open(path, 'r+')
    try {
      if (!(await holds(file, offset, bytes))) continue
      const at = Math.floor(bytes.length / 2)
      await file.write(Buffer.of((bytes[at] ?? 0) ^ 0x40), 0, 1, offset + at)
      return true
    } finally {
      await file.close()
    }
  }
  return false
}

async function holds(file: FileHandle, offset: number, bytes: Buffer): Promise<boolean> {
  const found = Buffer.alloc(bytes.length)
  await file.read(found, 0, found.length, offset)
  return found.equals(bytes)
}

async function chunkFiles(directory: string, vuid: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const hex = BigInt(vuid).toString(16)
  return entries
    .filter((entry) => entry.isFile() && (entry.name.includes(vuid) || entry.name.includes(hex)))
    .map((entry) => join(entry.parentPath, entry.name))
}

async function shown(url: string): Promise<unknown> {
  return parseStorageJson((await fetched(url)).toString())
}

async function fetched(url: string): Promise<Buffer> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(10_000) })
  const body = Buffer.from(await answer.arrayBuffer())
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${body}`)
  return body
}
