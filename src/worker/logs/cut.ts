/**
 * That a stream which is read here is only the beginning of what was written. Decides: how that is
 * marked, beside the stream. Leaves to others: when to cut (`remote/uploaded-runs.ts`), the words for it.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMissing } from '../process/index.ts'
import type { StreamName } from './stream-file.ts'

export interface StreamCut {
  /** Bytes that were kept. */
  bytes: number
  /** Who has the whole, on its own disk, by the name of the run there. */
  worker: string
}

/** The path of the mark. */
export function markCut(dir: string, stream: StreamName, cut: StreamCut): string {
  const path = pathOf(dir, stream)
  writeFileSync(path, JSON.stringify(cut), { mode: 0o600 })
  return path
}

/** Undefined for a stream that is whole. */
export function readCut(dir: string, stream: StreamName): StreamCut | undefined {
  try {
    return JSON.parse(readFileSync(pathOf(dir, stream), 'utf8')) as StreamCut
  } catch (cause) {
    // Half of a mark is none: the next part that does not fit makes it again.
    if (isMissing(cause) || cause instanceof SyntaxError) return undefined
    throw cause
  }
}

function pathOf(dir: string, stream: StreamName): string {
  return join(dir, `${stream}.cut`)
}
