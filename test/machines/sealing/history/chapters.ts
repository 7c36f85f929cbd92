/** Chapters for tests, as threads write them. */
import type { Chapter, HistoryEntry } from '../../../../machines/sealing/history/index.ts'

export const WORKER = 'w1'
export const THREAD = 'w1~store1-0a1b2c'

export function entryOf(at: number, given: Partial<HistoryEntry> = {}): HistoryEntry {
  const from = given.from ?? 'TicketAssigned'
  return {
    ...{ at, event: 'PC1', from, to: 'PC1Done', worker: WORKER, thread: THREAD },
    ...{ durationMs: 1_000, waitedMs: 250 },
    ...given,
  }
}

export function chapterOf(given: Partial<Chapter> = {}): Chapter {
  return {
    ...{ sector: 's-t010000-2', plan: 'sealer', worker: WORKER, thread: THREAD },
    ...{ end: 'Finished', reason: null, startedAt: 1_000, endedAt: 9_000 },
    ...{ entries: [entryOf(2_000), entryOf(3_000)], dropped: 0 },
    ...given,
  }
}
