/**
 * Bodies that come in pieces. Decides: that a small one is held until it is whole, and a large one goes to a
 * stretch of the file that is reserved for it while others write on behind it; its record, which alone makes
 * it a shard, is written when all of it is on the disk. A crash before that leaves a stretch that nobody
 * names. Leaves to others: whether the shard may be written (`chunk.ts`).
 */
import { refusal, type StorageRefusal } from '../codes/index.ts'
import { type Checksums, RunningChecksums } from './checksums.ts'
import type { ChunkFile } from './chunk-file.ts'
import type { DiskHealth } from './disk-health.ts'
import { PIECE_BYTES } from './shard-bytes.ts'

/** Longer ones go to the disk in pieces of this length. */
export const HELD_BYTES_MAX = PIECE_BYTES

export interface Stretch {
  file: ChunkFile
  dataAt: number
  /** The file may be closed. */
  release(): Promise<void>
}

/** @throws StorageRefusal 600 when it has another length than was said */
export async function holdBody(
  body: AsyncIterable<Uint8Array>,
  size: number,
): Promise<{ data: Uint8Array[]; checksums: Checksums }> {
  const data: Uint8Array[] = []
  const running = new RunningChecksums()
  let bytes = 0
  for await (const piece of body) {
    bytes += piece.length
    if (bytes > size) throw wrongLength(size, bytes)
    running.add(piece)
    data.push(piece)
  }
  if (bytes !== size) throw wrongLength(size, bytes)
  return { data, checksums: running.finish() }
}

export interface StreamTarget {
  reserve(): Promise<Stretch>
  /** @throws StorageRefusal 658 when other bytes came than were meant */
  check(checksums: Checksums): void
  /** Makes what is in the stretch a shard. @returns false when the chunk has moved away from it */
  name(stretch: Stretch, checksums: Checksums): Promise<boolean>
}

/** @throws StorageRefusal 600, and what the disk and the chunk refuse */
export async function streamShard(
  body: AsyncIterable<Uint8Array>,
  size: number,
  { reserve, check, name }: StreamTarget,
  health: DiskHealth,
): Promise<{ crc: number }> {
  let stretch = await reserve()
  try {
    const checksums = await streamBody(body, size, stretch, health)
    check(checksums)
    while (!(await name(stretch, checksums))) {
      const moved = stretch
      stretch = await reserve()
      await copyBody(size, moved, stretch, health).finally(() => moved.release())
    }
    return { crc: checksums.crc }
  } finally {
    await stretch.release()
  }
}

async function streamBody(
  body: AsyncIterable<Uint8Array>,
  size: number,
  { file, dataAt }: Stretch,
  health: DiskHealth,
): Promise<Checksums> {
  const running = new RunningChecksums()
  let held: Uint8Array[] = []
  let heldBytes = 0
  let bytes = 0
  const write = async () => {
    const at = dataAt + bytes - heldBytes
    const pieces = held
    held = []
    heldBytes = 0
    await health.guard('cannot write', () => file.disk.write(pieces, at))
  }
  for await (const piece of body) {
    bytes += piece.length
    heldBytes += piece.length
    if (bytes > size) throw wrongLength(size, bytes)
    running.add(piece)
    held.push(piece)
    if (heldBytes >= PIECE_BYTES) await write()
  }
  if (bytes !== size) throw wrongLength(size, bytes)
  if (heldBytes > 0) await write()
  return running.finish()
}

/** To where the chunk has moved in the meantime; as it is, right or wrong. */
async function copyBody(
  size: number,
  from: Stretch,
  to: Stretch,
  health: DiskHealth,
): Promise<void> {
  const buffer = Buffer.alloc(Math.min(size, PIECE_BYTES))
  for (let at = 0; at < size; at += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, size - at))
    await health.guard('cannot copy', async () => {
      await from.file.disk.read(piece, from.dataAt + at)
      await to.file.disk.write([piece], to.dataAt + at)
    })
  }
}

export function wrongLength(size: number, bytes: number): StorageRefusal {
  const some = bytes > size ? 'more' : `${bytes}`
  return refusal(600, `the body was to have ${size} bytes and has ${some}; send it again`)
}
