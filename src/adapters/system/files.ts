/**
 * Blobs as files of one directory.
 *
 * Decides: a value is written aside, synced, renamed into place, and the directory synced, so that
 * a name holds a whole value or nothing, whatever crashes. A name is one flat file name: everything
 * but letters, digits, `-` and `_` is percent-encoded (`.` and `/` too), so no name can leave the
 * root or meet a temporary file, and names in order are files in order of the decoded name.
 * Leaves to others: what the names mean.
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { open, readdir, rename, rm, stat, unlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Blobs } from '../../ports/index.ts'
import { TroupeError } from '../../protocol/index.ts'

/** File systems end at 255 bytes. */
const FILE_NAME_BYTES_MAX = 255
const TEMPORARY_PREFIX = '.tmp-'

export class FileBlobs implements Blobs {
  private readonly root: string

  /** Creates the directory when it is missing; removes what a crash left half written. */
  constructor(directory: string) {
    this.root = resolve(directory)
    try {
      mkdirSync(this.root, { recursive: true })
      for (const file of readdirSync(this.root)) {
        if (file.startsWith(TEMPORARY_PREFIX)) rmSync(join(this.root, file), { force: true })
      }
    } catch (cause) {
      throw failure(`cannot use the directory ${this.root}`, cause)
    }
  }

  async put(name: string, value: Uint8Array): Promise<void> {
    const path = this.pathOf(name)
    const temporary = join(this.root, TEMPORARY_PREFIX + randomUUID())
    try {
      const file = await open(temporary, 'wx')
      try {
        await file.writeFile(value)
        await file.datasync()
      } finally {
        await file.close()
      }
      await rename(temporary, path)
      await this.syncRoot()
    } catch (cause) {
      await rm(temporary, { force: true }).catch(() => {})
      throw failure(`cannot write blob "${name}"`, cause)
    }
  }

  async get(
    name: string,
    range?: { offset: number; length: number },
  ): Promise<Uint8Array | undefined> {
    const path = this.pathOf(name)
    try {
      const file = await open(path, 'r')
      try {
        if (range === undefined) return await file.readFile()
        return await readPart(file, range)
      } finally {
        await file.close()
      }
    } catch (cause) {
      if (isMissing(cause)) return undefined
      throw failure(`cannot read blob "${name}"`, cause)
    }
  }

  async size(name: string): Promise<number | undefined> {
    const path = this.pathOf(name)
    try {
      return (await stat(path)).size
    } catch (cause) {
      if (isMissing(cause)) return undefined
      throw failure(`cannot read blob "${name}"`, cause)
    }
  }

  async list(prefix: string): Promise<string[]> {
    try {
      const files = await readdir(this.root)
      return files
        .filter((file) => !file.startsWith('.'))
        .map(decodeURIComponent)
        .filter((name) => name.startsWith(prefix))
        .sort()
    } catch (cause) {
      throw failure('cannot list blobs', cause)
    }
  }

  async delete(name: string): Promise<void> {
    const path = this.pathOf(name)
    try {
      await unlink(path)
      await this.syncRoot()
    } catch (cause) {
      if (!isMissing(cause)) throw failure(`cannot delete blob "${name}"`, cause)
    }
  }

  private pathOf(name: string): string {
    const file = encodeName(name)
    if (name.length === 0 || file.length > FILE_NAME_BYTES_MAX) {
      throw new TroupeError(
        'too-large',
        `"${name.slice(0, 80)}" cannot name a blob: 1 to ${FILE_NAME_BYTES_MAX} bytes once encoded`,
      )
    }
    return join(this.root, file)
  }

  /** A rename is on disk only when its directory is. */
  private async syncRoot(): Promise<void> {
    const directory = await open(this.root, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  }
}

async function readPart(
  file: Awaited<ReturnType<typeof open>>,
  range: { offset: number; length: number },
): Promise<Uint8Array> {
  const { size } = await file.stat()
  const length = Math.max(0, Math.min(range.length, size - range.offset))
  const part = Buffer.allocUnsafeSlow(length)
  let read = 0
  while (read < length) {
    const { bytesRead } = await file.read(part, read, length - read, range.offset + read)
    if (bytesRead === 0) break
    read += bytesRead
  }
  return part.subarray(0, read)
}

function encodeName(name: string): string {
  return encodeURIComponent(name.toWellFormed()).replace(
    /[.!~*'()]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function isMissing(cause: unknown): boolean {
  return (cause as NodeJS.ErrnoException).code === 'ENOENT'
}

function failure(what: string, cause: unknown): TroupeError {
  return new TroupeError('store-failed', `${what}: ${(cause as Error).message}`, { cause })
}
