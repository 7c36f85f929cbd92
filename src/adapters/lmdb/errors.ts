/**
 * What LMDB and the disk say, in Troupe's words. The only place that knows error codes.
 *
 * Decides: `full` or `broken`. lmdb-js goes on after the first failed put of a transaction and then
 * reports the last error (usually MDB_BAD_TXN), so a full map has to be recognised by its size.
 */
import { statfsSync } from 'node:fs'
import type { StoreFailure } from '../../ports/index.ts'
import { TroupeError } from '../../protocol/index.ts'

const MDB_MAP_FULL = -30792
const FULL_CODES = new Set<unknown>([MDB_MAP_FULL, 28, 122, 'ENOSPC', 'EDQUOT'])
const FULL_TEXT = /MDB_MAP_FULL|no space left|ENOSPC|quota exceeded/i
const REMOVED = 'removed'
/** Less than this left means that the failure was one of space. */
const LEFT_BYTES_MIN = 1024 * 1024

export interface SpaceUsed {
  mapSizeBytes: number
  usedBytes: number
  directory: string
}

/** The cause of a rejected commit; lmdb-js hides it behind a second promise. */
export async function causeOfCommitFailure(error: unknown): Promise<unknown> {
  const cause = (error as { commitError?: Promise<never> }).commitError
  if (cause === undefined) return error
  return cause.then(
    () => error,
    (hidden: unknown) => hidden,
  )
}

export function storeFailureOf(error: unknown, space: () => SpaceUsed): StoreFailure {
  const message = error instanceof Error ? error.message : String(error)
  const code = (error as { code?: unknown }).code
  if (FULL_CODES.has(code) || FULL_TEXT.test(message)) return { kind: 'full', message }
  try {
    const { mapSizeBytes, usedBytes, directory } = space()
    if (mapSizeBytes - usedBytes < LEFT_BYTES_MIN) {
      return { kind: 'full', message: `the map of ${mapSizeBytes} bytes is full (${message})` }
    }
    const disk = statfsSync(directory)
    if (disk.bavail * disk.bsize < LEFT_BYTES_MIN) {
      return { kind: 'full', message: `no space left in ${directory} (${message})` }
    }
  } catch {
    // Whatever keeps us from looking does not change what has failed.
  }
  return { kind: 'broken', message }
}

export function openFailure(directory: string, cause: unknown): TroupeError {
  if (cause instanceof TroupeError) return cause
  const { code, message } = cause as { code?: unknown; message?: string }
  const text = `${String(code)} ${message ?? String(cause)}`
  return new TroupeError('store-failed', `cannot open the store in ${directory}: ${reason(text)}`, {
    cause,
  })
}

export function notOurs(directory: string, what: string): TroupeError {
  return new TroupeError(
    'store-failed',
    `${directory} is not a store of Troupe: ${what}. Name another directory, or move this one away`,
  )
}

export function unfinished(directory: string): TroupeError {
  return new TroupeError(
    'store-failed',
    `a compaction of ${directory} was cut short: start its node once, or compact it again, which completes it`,
  )
}

export function removed(directory: string): TroupeError {
  return new TroupeError(
    'store-failed',
    `${directory} was being reset and is not whole any more: run that reset again`,
    { detail: REMOVED },
  )
}

export function isRemoved(thrown: unknown): boolean {
  return thrown instanceof TroupeError && thrown.detail === REMOVED
}

export function inUse(directory: string, pids: readonly number[]): TroupeError {
  return new TroupeError(
    'conflict',
    `${directory} is in use by process ${pids.join(', ')}: stop the node first`,
  )
}

function reason(text: string): string {
  if (/EACCES|EPERM|permission denied|not permitted|\b13\b/i.test(text)) {
    return 'no permission to write there'
  }
  if (/EROFS|read-only file system/i.test(text)) return 'the file system is read-only'
  if (/ENOTDIR|EEXIST|not a directory/i.test(text)) return 'a file of that name is in the way'
  if (/EAGAIN|EBUSY|temporarily unavailable/i.test(text)) return 'it is locked by another process'
  if (/MDB_INVALID|MDB_CORRUPTED|MDB_VERSION_MISMATCH|not an LMDB/i.test(text)) {
    return `data.mdb is damaged or not a store of Troupe (${text.trim()})`
  }
  if (FULL_TEXT.test(text)) return 'no space left'
  return text.trim()
}
