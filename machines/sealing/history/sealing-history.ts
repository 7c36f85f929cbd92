/**
 * The machine `sealing-history`: what became of a sector, or a job, by its name. Decides: how long it is
 * kept. Leaves to others: what is kept (`chapter.ts`), who writes it (`record-task.ts`).
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { defineMachine, reply } from '../../../src/index.ts'
import { type Chapter, type Chapters, chapter, withChapter } from './chapter.ts'

/** Since the newest chapter: time enough for questions that come when a sector faults or expires early. */
export const HISTORY_KEPT_MS = 90 * 86_400_000

interface HistoryContext extends Chapters {
  sector: string
}

const NOTHING: Chapters = { chapters: [], chaptersDropped: 0 }

const chart = setup({
  types: {
    context: {} as HistoryContext,
    events: {} as { type: 'ADD'; chapter: Chapter },
    input: {} as Chapter,
  },
  actions: {
    added: reply(() => ({ added: true })),
    known: reply(() => ({ added: false })),
  },
  delays: { whileItIsKept: HISTORY_KEPT_MS },
})

const machine = chart.createMachine({
  id: 'sealing-history',
  context: ({ input }) => ({ sector: input.sector, ...(withChapter(NOTHING, input) ?? NOTHING) }),
  initial: 'kept',
  states: {
    kept: {
      after: { whileItIsKept: 'over' },
      on: {
        ADD: [
          {
            guard: ({ context, event }) => withChapter(context, event.chapter) !== undefined,
            target: 'kept',
            // It is kept from now on.
            reenter: true,
            actions: [
              assign(({ context, event }) => withChapter(context, event.chapter) ?? context),
              'added',
            ],
          },
          { actions: 'known' },
        ],
      },
    },
    over: { type: 'final' },
  },
})

export const sealingHistory = defineMachine({
  machine,
  input: chapter,
  context: z.object({
    sector: z.string(),
    chapters: z.array(chapter),
    chaptersDropped: z.int().min(0),
  }),
  events: { ADD: z.object({ chapter }) },
  index: ({ chapters }) => {
    const newest = chapters.at(-1)
    if (newest === undefined) return {}
    const { worker, thread, plan, end, startedAt, endedAt } = newest
    return { worker, thread, plan, end, startedAt, endedAt, chapters: chapters.length }
  },
  retention: { finishedMs: 0, historyCount: 10 },
})
