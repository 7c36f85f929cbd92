/**
 * One chunk's file, open. Decides: that it stays open until the last of its readers is done, though its
 * chunk has moved to another file or is gone.
 */
import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import { refusal } from '../codes/index.ts'
import type { DiskFile, FileOps } from './file-ops.ts'
import { type ChunkHead, decodeFileHead, encodeFileHead, FIRST_RECORD_AT } from './record.ts'

const SALT_BYTES = 8
export const DRAFT_END = '.draft'

export class ChunkFile {
  readonly disk: DiskFile
  readonly head: ChunkHead
  #users = 1

  constructor(disk: DiskFile, head: ChunkHead) {
    this.disk = disk
    this.head = head
  }

  /** @throws StorageRefusal 658 when neither copy of its head can be read, 624 when it is another chunk's */
  static async open(ops: FileOps, path: string, vuid: bigint): Promise<ChunkFile> {
    const disk = await ops.open(path, 'append')
    try {
      const pages = Buffer.alloc(FIRST_RECORD_AT)
      const head = decodeFileHead(pages.subarray(0, await disk.read(pages, 0)))
      if (head === undefined) throw refusal(658, `the head of ${path} cannot be read`)
      if (head.vuid !== vuid) throw refusal(624, `${path} is the file of chunk ${head.vuid}`)
      return new ChunkFile(disk, head)
    } catch (thrown) {
      await disk.close()
      throw thrown
    }
  }

  /** Keeps it open. @returns to be called once, when it is not needed any more */
  hold(): () => Promise<void> {
    this.#users += 1
    return () => this.release()
  }

  async release(): Promise<void> {
    this.#users -= 1
    if (this.#users === 0) await this.disk.close()
  }
}

/**
 * Makes a chunk file with what `fill` writes behind its head, and opens it. It takes its name when all of it
 * is on the disk, so a file of that name is always whole.
 */
export async function makeChunkFile(
  ops: FileOps,
  path: string,
  given: Omit<ChunkHead, 'salt'>,
  fill: (draft: DiskFile, head: ChunkHead) => Promise<void>,
): Promise<ChunkFile> {
  const draft = `${path}${DRAFT_END}`
  let made: ChunkFile | undefined
  try {
    await writeDraft(ops, draft, { ...given, salt: randomBytes(SALT_BYTES) }, fill)
    // Before it has its name: once it has, nobody may write to the file that had it.
    made = await ChunkFile.open(ops, draft, given.vuid)
    await ops.rename(draft, path)
  } catch (thrown) {
    await made?.release()
    // What is left of it would take room on a disk that is full.
    await ops.remove(draft).catch(() => undefined)
    throw thrown
  }
  try {
    await ops.syncDirectory(dirname(path))
  } catch (thrown) {
    await made.release()
    // Whatever it was: which file has the name after a loss of power is not known.
    throw new Error(`the directory of ${path} cannot be flushed: ${String(thrown)}`)
  }
  return made
}

async function writeDraft(
  ops: FileOps,
  draft: string,
  head: ChunkHead,
  fill: (draft: DiskFile, head: ChunkHead) => Promise<void>,
): Promise<void> {
  const file = await ops.open(draft, 'draft')
  try {
    await file.write([encodeFileHead(head)], 0)
    await fill(file, head)
    await file.sync()
  } finally {
    await file.close()
  }
}
