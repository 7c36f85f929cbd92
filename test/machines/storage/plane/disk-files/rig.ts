/** Disks for tests: a directory that goes with the test, and the short words the tests are written in. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { StorageRefusal } from '../../../../../machines/storage/plane/codes/index.ts'
import {
  DiskFiles,
  type DiskFilesOptions,
  type ShardBytes,
} from '../../../../../machines/storage/plane/disk-files/index.ts'
import { realClock, silentLog } from '../../../../worker/process/real-time.ts'

export { CHUNK_BYTES, content, inPieces, randomOf, VUID } from './contents.ts'

const cleanups: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

export function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'disk-files-'))
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

export async function openDisk(
  directory: string,
  given: Partial<DiskFilesOptions> = {},
): Promise<DiskFiles> {
  const options = { directory, diskId: 7, clock: realClock, log: silentLog, reservedBytes: 0 }
  const disk = await DiskFiles.open({ ...options, ...given })
  cleanups.push(() => disk.close())
  return disk
}

/** The number of a refusal; what is none is thrown on. */
export async function statusOf(act: () => unknown): Promise<number> {
  try {
    await act()
    return 0
  } catch (thrown) {
    if (thrown instanceof StorageRefusal) return thrown.status
    throw thrown
  }
}

export async function bytesOf({ bytes }: ShardBytes): Promise<Buffer> {
  if (Buffer.isBuffer(bytes)) return bytes
  const pieces: Buffer[] = []
  for await (const piece of bytes) pieces.push(piece)
  return Buffer.concat(pieces)
}
