/**
 * Files that outlive `kill -9` and a loss of power: flushed, and their names with them. Decides: how that
 * is done. Leaves to others: which files.
 */
import { open, readdir, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Of a file or a directory. */
export async function flush(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Readers see the old content or the new, never half of it. */
export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  const draft = `${path}.${process.pid}.draft`
  try {
    const file = await open(draft, 'w')
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await moveDurably(draft, path)
  } catch (thrown) {
    // What is left of it would take room on a disk that is full.
    await rm(draft, { force: true }).catch(() => undefined)
    throw thrown
  }
}

/** Both names must be on one file system. */
export async function moveDurably(from: string, to: string): Promise<void> {
  await rename(from, to)
  await flush(dirname(to))
  if (dirname(from) !== dirname(to)) await flush(dirname(from))
}

/** Its entries, none when there is no such directory. */
export async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort()
  } catch (thrown) {
    if (isMissing(thrown)) return []
    throw thrown
  }
}

export function errnoOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined
  const { code } = thrown as NodeJS.ErrnoException
  return typeof code === 'string' ? code : undefined
}

export function isMissing(thrown: unknown): boolean {
  return errnoOf(thrown) === 'ENOENT'
}
