/** Threads as the worker's interface gives them out. Decides: one row for old clients and new ones. Pure. */
import { headRow, oldRow, type ThreadView } from '../thread/index.ts'
import type { NumberedThread } from './thread-desk.ts'
import type { WorkerRow } from './worker-api.ts'

/** @param nowMs unix ms */
export function rowOf({ index, view }: NumberedThread, nowMs: number): WorkerRow {
  return { ...headRow(view, nowMs), ...oldRow(view, nowMs), index }
}

/** A thread in full, under the number that it is called by here. */
export type ShownThread = ThreadView & { isConfigured: boolean }

export function shownThread({ index, isConfigured, view }: NumberedThread): ShownThread {
  return { ...view, index, isConfigured }
}
