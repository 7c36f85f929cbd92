/**
 * Whose fault it is that a task cannot go on. Decides: a destination that fails is given back, and the task has
 * another one (`reclaim`); all else is tried again later as it is (`cancel`). One that is only busy is no fault
 * of its disk. Leaves to others: how often something is tried before (`tried.ts`).
 */
import { StorageRefusal } from '../../plane/codes/index.ts'

/** The chunk that is filled, or its disk, or its blobnode. */
export class DestinationFailed extends Error {}

/** A chunk that is read, or the lock of its volume. */
export class SourceFailed extends Error {}

const BUSY: ReadonlySet<number> = new Set([604, 673, 676])

/** @returns what the run is to end with */
export function destinationFailure(what: string, thrown: unknown): unknown {
  if (!(thrown instanceof Error) || isBusy(thrown)) return thrown
  return new DestinationFailed(`${what}: ${thrown.message}`, { cause: thrown })
}

export function isBusy(thrown: unknown): boolean {
  return thrown instanceof StorageRefusal && BUSY.has(thrown.status)
}
