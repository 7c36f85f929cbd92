/**
 * Reading one stream of a run by byte positions, while it grows and after.
 *
 * Decides: what a stream that does not exist yet is (empty), and when a stream is at its end: the run
 * is over and nothing is left. Leaves to others: text, lines and waiting.
 */
import { statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'

import { TroupeError } from '../../protocol/index.ts'
import { inspectRun, isMissing, RUN_FILES } from '../process/index.ts'

export type StreamName = 'stdout' | 'stderr'

export interface StreamPart {
  bytes: Uint8Array
  /** The size of the stream when it was read. */
  size: number
  /** The run is over, and was before `size` was taken: it grows no more. */
  ended: boolean
}

export function streamPath(dir: string, stream: StreamName): string {
  return join(dir, RUN_FILES[stream])
}

/** Whether nothing more will be written: the end is on record, or nobody lives who could write. */
export function hasEnded(dir: string): boolean {
  const { kind } = inspectRun(dir)
  return kind === 'ended' || kind === 'lost'
}

/** Bytes of the stream now; 0 when there is none yet. */
export function streamSize(dir: string, stream: StreamName): number {
  try {
    return statSync(streamPath(dir, stream), { throwIfNoEntry: false })?.size ?? 0
  } catch (cause) {
    if (isMissing(cause)) return 0
    throw new TroupeError('store-failed', `cannot look at ${stream} of ${dir}`, { cause })
  }
}

/**
 * Up to `length` bytes from `offset`, fewer only at the end of what is there. Whether the run is over
 * is only looked at when the read comes to that end, and always before the size is taken.
 */
export async function readPart(
  dir: string,
  stream: StreamName,
  offset: number,
  length: number,
): Promise<StreamPart> {
  return withStream(dir, stream, async (file) => {
    const size = (await file?.stat())?.size ?? 0
    if (file !== undefined && offset + length < size) {
      return { bytes: await readExactly(file, offset, length), size, ended: false }
    }
    const ended = hasEnded(dir)
    // A stream that was not there before its run ended may be there now.
    if (file === undefined && ended && streamSize(dir, stream) > 0) {
      return readPart(dir, stream, offset, length)
    }
    const finalSize = (await file?.stat())?.size ?? 0
    const wanted = Math.max(0, Math.min(length, finalSize - offset))
    const bytes = file === undefined ? new Uint8Array() : await readExactly(file, offset, wanted)
    return { bytes, size: finalSize, ended }
  })
}

/** Opens the stream for the time of `use`; undefined stands for one that is not there yet. */
export async function withStream<T>(
  dir: string,
  stream: StreamName,
  use: (file: FileHandle | undefined) => Promise<T>,
): Promise<T> {
  let file: FileHandle | undefined
  try {
    file = await open(streamPath(dir, stream), 'r')
  } catch (cause) {
    if (!isMissing(cause)) {
      throw new TroupeError('store-failed', `cannot open ${stream} of ${dir}`, { cause })
    }
  }
  try {
    return await use(file)
  } finally {
    await file?.close()
  }
}

/** `length` bytes, or fewer when the file ends before. */
export async function readExactly(
  file: FileHandle,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return bytes.subarray(0, filled)
}
