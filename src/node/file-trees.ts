/**
 * Directories of files, copied with a fingerprint of each. Decides: that a copy is flushed before it
 * counts, that only plain files are copied, and that one which goes away meanwhile is not missed.
 */
import { createHash } from 'node:crypto'
import { mkdir, open, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { flush } from '../adapters/lmdb/index.ts'

export interface CopiedFile {
  /** Below the directory that was copied, with slashes. */
  path: string
  bytes: number
  sha256: string
}

const CHUNK_BYTES = 1024 * 1024

/** Paths of all plain files below a directory; none when there is no directory. */
export async function filesBelow(
  directory: string,
  isWanted: (path: string) => boolean = () => true,
  below = '',
): Promise<string[]> {
  const entries = await readdir(join(directory, below), { withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    },
  )
  const found: string[] = []
  for (const entry of entries) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`
    if (!isWanted(path)) continue
    if (entry.isDirectory()) found.push(...(await filesBelow(directory, isWanted, path)))
    else if (entry.isFile()) found.push(path)
  }
  return found.sort()
}

/** Undefined when it is not there any more. @param wrote is told the size of each piece */
export async function copyFile(
  from: string,
  to: string,
  wrote: (bytes: number) => void,
): Promise<Omit<CopiedFile, 'path'> | undefined> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 })
  const source = await open(from, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (!source) return undefined
  try {
    const { mode } = await source.stat()
    const target = await open(to, 'w', mode & 0o700)
    try {
      const copied = await readAll(source, async (chunk) => {
        await target.writeFile(chunk)
        wrote(chunk.length)
      })
      await target.sync()
      return copied
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}

export async function fingerprintOf(
  path: string,
  read: (bytes: number) => void,
): Promise<Omit<CopiedFile, 'path'>> {
  const file = await open(path, 'r')
  try {
    return await readAll(file, async (chunk) => read(chunk.length))
  } finally {
    await file.close()
  }
}

async function readAll(
  file: Awaited<ReturnType<typeof open>>,
  each: (chunk: Uint8Array) => Promise<void>,
): Promise<Omit<CopiedFile, 'path'>> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
  let bytes = 0
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, bytes)
    if (bytesRead === 0) return { bytes, sha256: hash.digest('hex') }
    const chunk = buffer.subarray(0, bytesRead)
    hash.update(chunk)
    await each(chunk)
    bytes += bytesRead
  }
}

/** The names in a directory and in all below it. */
export async function flushTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await flushTree(join(directory, entry.name))
  }
  flush(directory)
}
