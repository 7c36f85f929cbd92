/**
 * What is kept of the work on a sector. Decides: the shapes, that a chapter is written once however often
 * it comes, and what goes when there is more than an actor keeps. Pure.
 */
import { z } from 'zod'
import { PLANS } from '../plans/index.ts'

export const historyEntry = z.object({
  /** Unix ms. */
  at: z.int(),
  /** Of the plan, or what a person did. */
  event: z.string(),
  from: z.string(),
  to: z.string(),
  worker: z.string(),
  thread: z.string(),
  /** Of the work itself. */
  durationMs: z.number().min(0),
  /** Before it, since the entry before: for a place, the chain, another try, a person. */
  waitedMs: z.number().min(0),
  error: z.object({ level: z.string(), message: z.string() }).exactOptional(),
  /** The person who did it. */
  by: z.string().exactOptional(),
})
export type HistoryEntry = z.infer<typeof historyEntry>

/** From the allocation of a sector to its end. One that is unsealed or upgraded later has several. */
export const chapter = z.object({
  /** `s-t010000-2`, or the id of a job. */
  sector: z.string().min(1),
  plan: z.enum(PLANS),
  worker: z.string(),
  thread: z.string(),
  end: z.enum(['Finished', 'Aborted']),
  reason: z.string().nullable(),
  startedAt: z.int(),
  endedAt: z.int(),
  /** The oldest first. */
  entries: z.array(historyEntry),
  /** Older entries that are no longer there. */
  dropped: z.int().min(0),
})
export type Chapter = z.infer<typeof chapter>

export interface Chapters {
  /** The oldest first. */
  chapters: Chapter[]
  /** Older chapters that are no longer there. */
  chaptersDropped: number
}

/** Sealed once, then upgraded or unsealed now and then: more is a program that goes round in circles. */
export const CHAPTERS_MAX = 40

/** As JSON, which is more than what is stored: the actor stays well below 256 KiB. */
export const HISTORY_BYTES_MAX = 192 * 1024

/** Of an error: its cause is at the beginning. */
const MESSAGE_CHARACTERS_MAX = 500
/** Of names, which come from programs of others as well. */
const NAME_CHARACTERS_MAX = 256

/**
 * With one more chapter. The same one, by its thread and its beginning, replaces what is there if it ended
 * later: a sector that was ended went on after all. Undefined: it is known already.
 */
export function withChapter(known: Chapters, given: Chapter): Chapters | undefined {
  const added = clipped(given)
  const before = known.chapters.find(
    ({ thread, startedAt }) => thread === added.thread && startedAt === added.startedAt,
  )
  if (before !== undefined && before.endedAt >= added.endedAt) return undefined
  const others = known.chapters.filter((one) => one !== before)
  const chapters = [...others, added].sort((a, b) => a.endedAt - b.endedAt)
  return bounded({ ...known, chapters })
}

/** Texts of a length that a person reads. */
export function clipped(given: Chapter): Chapter {
  const { reason, entries } = given
  return {
    ...given,
    reason: reason === null ? null : clip(reason, MESSAGE_CHARACTERS_MAX),
    worker: clip(given.worker),
    thread: clip(given.thread),
    entries: entries.map(({ error, by, ...entry }) => ({
      ...entry,
      event: clip(entry.event),
      from: clip(entry.from),
      to: clip(entry.to),
      worker: clip(entry.worker),
      thread: clip(entry.thread),
      ...(by === undefined ? {} : { by: clip(by) }),
      ...(error === undefined
        ? {}
        : {
            error: {
              level: clip(error.level),
              message: clip(error.message, MESSAGE_CHARACTERS_MAX),
            },
          }),
    })),
  }
}

function clip(text: string, charactersMax = NAME_CHARACTERS_MAX): string {
  return text.length <= charactersMax ? text : text.slice(0, charactersMax)
}

/** What is oldest goes first; how much went is known. */
function bounded({ chapters, chaptersDropped }: Chapters): Chapters {
  const gone = Math.max(0, chapters.length - CHAPTERS_MAX)
  const kept = chapters.slice(gone)
  let bytes = kept.reduce((sum, one) => sum + jsonBytes({ ...one, entries: [] }), 0)
  // From the newest back for as long as there is room.
  let isFull = false
  const whole = kept.toReversed().map((one) => {
    let from = one.entries.length
    while (!isFull && from > 0) {
      bytes += jsonBytes(one.entries[from - 1])
      isFull = bytes > HISTORY_BYTES_MAX
      if (!isFull) from -= 1
    }
    return { ...one, entries: one.entries.slice(from), dropped: one.dropped + from }
  })
  return { chapters: whole.toReversed(), chaptersDropped: chaptersDropped + gone }
}

function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value))
}
