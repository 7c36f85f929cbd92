/**
 * What is done to a whole store: finding who has it open, copying it, compacting it, retiring it.
 *
 * Decides: that LMDB's own table of readers says who has it open (every opener reads, and the kernel
 * drops the locks of a process that was killed); and that a compacted copy takes the place of the store
 * by one commit of the old one, on condition that nobody has opened it since: a node that starts
 * meanwhile wins. Leaves to others: what else is in a data directory.
 */
import { existsSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { open } from 'lmdb'
import { TroupeError } from '../../protocol/index.ts'
import { flush } from './durable-files.ts'
import { checkMagic, type Environment, openEnvironment, READERS_MAX } from './environment.ts'
import { inUse, isRemoved, openFailure } from './errors.ts'
import {
  currentGeneration,
  generationName,
  generationPath,
  makeCurrent,
  removeOthers,
} from './generations.ts'

/** Bytes that are written, of about so many. */
export type CopyProgress = (bytes: number, of: number) => void

const PROGRESS_MS = 100

/** Ids of the processes that have the store open, this one included. */
export async function openersOf(directory: string): Promise<number[]> {
  const path = generationPath(directory, currentGeneration(directory))
  const data = join(path, 'data.mdb')
  if (!existsSync(data)) return []
  try {
    checkMagic(data, directory)
    // Nothing is read here: that would make this process one of them. lmdb-js strikes out those that were
    // killed as it opens.
    const root = open<Uint8Array, Uint8Array>({
      path,
      noSubdir: false,
      readOnly: true,
      maxReaders: READERS_MAX,
      encoding: 'binary',
      keyEncoding: 'binary',
    })
    try {
      return pidsOf(root.readerList())
    } finally {
      await root.close()
    }
  } catch (cause) {
    throw openFailure(directory, cause)
  }
}

function pidsOf(list: string): number[] {
  const pids = list.split('\n').flatMap((line) => /^\s*(\d+)\s+[0-9a-f]+\s/.exec(line)?.[1] ?? [])
  return [...new Set(pids.map(Number))]
}

/** @throws TroupeError naming the processes that have it open */
export async function requireUnused(directory: string): Promise<void> {
  const pids = await openersOf(directory)
  if (pids.length > 0) throw inUse(directory, pids)
}

/**
 * Copies what is committed at this moment to `<target>/data.mdb`, flushed. A node may have it open and
 * goes on; what it commits meanwhile is not in the copy.
 */
export async function copyStore(
  directory: string,
  target: string,
  progress: CopyProgress = () => {},
): Promise<void> {
  await guarded(directory, async () => {
    const environment = openEnvironment({ directory, readOnly: true })
    try {
      const of = environment.space().usedBytes
      const data = join(target, 'data.mdb')
      await watched(data, of, progress, () => environment.copyTo(target, false))
      flush(data)
    } finally {
      await environment.close()
    }
  })
}

export interface Compacted {
  beforeBytes: number
  afterBytes: number
}

/**
 * Writes the store anew without its free pages. It is either as it was or compacted, wherever a crash
 * comes. @param id never used before @throws TroupeError when a node has it open, or starts meanwhile
 */
export async function compactStore(
  directory: string,
  id: string,
  progress: CopyProgress = () => {},
): Promise<Compacted> {
  await requireUnused(directory)
  return guarded(directory, async () => {
    const environment = openEnvironment({ directory })
    const next = generationName(id)
    const target = generationPath(directory, next)
    let isDone = false
    try {
      const { usedBytes, directory: place } = environment.space()
      const data = join(target, 'data.mdb')
      await watched(data, usedBytes, progress, () => environment.copyTo(target, true))
      if (!existsSync(data)) throw takenMeanwhile(directory)
      await checkCopy(target, environment.count())
      for (const path of [data, target, directory]) flush(path)
      const sizes = { beforeBytes: bytesOf(join(place, 'data.mdb')), afterBytes: bytesOf(data) }
      isDone = environment.retire(next)
      if (!isDone) throw takenMeanwhile(directory)
      makeCurrent(directory, next)
      removeOthers(directory, next)
      return sizes
    } finally {
      await environment.close()
      if (!isDone) rmSync(target, { recursive: true, force: true })
    }
  })
}

/**
 * Makes a store unusable, so that its files can be removed. @throws TroupeError when a node has it
 * open, or starts meanwhile
 */
export async function retireStore(directory: string): Promise<void> {
  await requireUnused(directory)
  await guarded(directory, async () => {
    let environment: Environment
    try {
      environment = openEnvironment({ directory })
    } catch (thrown) {
      // By one that was cut short.
      if (isRemoved(thrown)) return
      throw thrown
    }
    try {
      if (!environment.retire(undefined)) throw takenMeanwhile(directory)
    } finally {
      await environment.close()
    }
  })
}

async function checkCopy(place: string, rows: number): Promise<void> {
  const copy = openEnvironment({ directory: place, readOnly: true })
  try {
    const found = copy.count()
    if (found === rows) return
    throw new TroupeError(
      'store-failed',
      `the compacted copy has ${found} rows instead of ${rows}; the store is as it was`,
    )
  } finally {
    await copy.close()
  }
}

async function watched(
  path: string,
  of: number,
  progress: CopyProgress,
  copy: () => Promise<void>,
): Promise<void> {
  const timer = setInterval(() => progress(Math.min(bytesOf(path), of), of), PROGRESS_MS)
  try {
    await copy()
    progress(of, of)
  } finally {
    clearInterval(timer)
  }
}

function bytesOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

async function guarded<T>(directory: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (cause) {
    throw openFailure(directory, cause)
  }
}

function takenMeanwhile(directory: string): TroupeError {
  return new TroupeError(
    'conflict',
    `a node has opened ${directory} meanwhile; the store is as it was. Stop the node first`,
  )
}
