/**
 * Calls that are made again. Decides: which failures may pass. What a blobnode has said for good (there is no
 * such chunk, its disk is broken or full) is not asked again; who is busy is waited for longer.
 */
import { type Clock, TroupeError, wait } from '../../../../src/index.ts'
import { StorageRefusal } from '../../plane/codes/index.ts'
import { isBusy } from './failures.ts'
import type { MoveLimits } from './limits.ts'

/** The bytes changed on their way. */
const CHECKSUM_WRONG = 658

export interface TryDeps {
  clock: Clock
  limits: Pick<MoveLimits, 'triesMax' | 'busyTriesMax' | 'retryMs'>
  signal: AbortSignal
}

/** @throws what the last try threw; why it was aborted */
export async function tried<T>(
  { clock, limits, signal }: TryDeps,
  call: () => Promise<T>,
): Promise<T> {
  for (let count = 1; ; count += 1) {
    signal.throwIfAborted()
    try {
      return await call()
    } catch (thrown) {
      signal.throwIfAborted()
      const triesMax = isBusy(thrown) ? limits.busyTriesMax : limits.triesMax
      if (count >= triesMax || !mayPass(thrown)) throw thrown
    }
    await wait({ clock, signal }, limits.retryMs)
  }
}

function mayPass(thrown: unknown): boolean {
  if (thrown instanceof StorageRefusal && thrown.status === CHECKSUM_WRONG) return true
  return thrown instanceof TroupeError && thrown.retry
}
